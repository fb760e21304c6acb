"""Real outliers in tables, learned from clean rows: the semi-supervised protocol of Livernoche et al. (ICLR 2024).

Fewer than 1000 rows are bootstrapped to 1000, more than 50000 subsampled to 50000, by ``numpy.random.seed(seed)`` and
``choice``. Of the rows with y = 0, in their order, the first half trains; the rest and all outliers are the test.
Columns are standardised by the training rows, and the test rows ranked by their score: AUROC. Repetition r is the
protocol's seed r.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from experiments._spec import DataSet, Experiment, Method, Seeds, datasets
from experiments.datasets.tabular import FOLDER, missing
from fmahal.exceptions import FmahalWarning

FEW, MANY = 1000, 50_000
SEEDS = 5
LEVEL = 0.01
PEERS = 2_000  # rows from which the random starts of other packages take long: one seed
SMOKE = ("hepatitis", "cardiotocography")  # small, in the project, one drawn at random and one collinear


def split(X: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standardised training rows, test rows, and which of the test rows are outliers."""
    random = np.random.RandomState(seed)
    if len(X) < FEW:
        drawn = random.choice(len(X), FEW, replace=True)
    elif len(X) > MANY:
        drawn = random.choice(len(X), MANY, replace=False)
    else:
        drawn = np.arange(len(X))
    X, y = X[drawn], y[drawn]
    clean = X[y == 0]
    half = round(len(clean) / 2)
    train, test = clean[:half], np.concatenate([clean[half:], X[y == 1]])
    outlying = np.repeat([0, 1], [len(clean) - half, len(test) - len(clean) + half])
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), outlying


def scores(estimator: Any, rows: np.ndarray) -> np.ndarray:
    """Return how outlying rows are: squared distance, distance to the last neighbour, or minus a log density."""
    if isinstance(estimator, Pipeline) and not hasattr(estimator, "mahalanobis"):
        return scores(estimator[-1], estimator[:-1].transform(rows))
    if hasattr(estimator, "mahalanobis"):
        return estimator.mahalanobis(rows)
    if hasattr(estimator, "kneighbors"):
        return estimator.kneighbors(rows)[0][:, -1]
    return -estimator.score_samples(rows)


def data_sets(profile: str) -> list[DataSet]:
    """All tables; `repetitions` leaves out what is neither at hand nor stored."""
    return [one for one in datasets("tabular") if profile == "paper" or one.name in SMOKE]


@lru_cache(maxsize=1)
def stored() -> frozenset[tuple[str, str]]:
    """Sets and methods that the committed results have, if these sources made them."""
    parquet = Path(__file__).parent / "results" / "paper.parquet"
    manifest = parquet.with_suffix(".json")
    if not (manifest.exists() and json.loads(manifest.read_text())["sources"] == EXPERIMENT.sources()):
        return frozenset()
    rows = pq.read_table(parquet, columns=["data", "method"]).to_pylist()
    return frozenset((row["data"], row["method"]) for row in rows)


@lru_cache(maxsize=1)
def say_missing(names: tuple[str, ...]) -> None:
    """Say once which tables are left out."""
    print(
        f"e07: left out, for want of the tables: {', '.join(names)}; name ADBench's folder in {FOLDER}",
        file=sys.stderr,
    )


def planned(data: DataSet, method: Method) -> bool:
    """Whether a pair can be measured here, or has been."""
    if data.name not in missing() or (data.name, method.name) in stored():
        return True
    say_missing(missing())
    return False


def drawn_at_random(data: DataSet) -> bool:
    """Whether the protocol takes a random choice of the rows of a set."""
    return not FEW <= data.axes["n"] <= MANY


def repetitions(data: DataSet, method: Method, profile: str) -> int:
    """All seeds where rows are drawn, or the random starts of a robust method decide what it finds; else one.

    Folds of a cross-validation, rows that decide a power and starts of a mixture are random too, and get one seed
    where the table is the same, to save time: what they move is not measured, and the captions say so.
    """
    n, p = data.axes["n"], data.axes["p"]
    if not planned(data, method):
        return 0
    if method.package != "fmahal" and not method.applies(min(max(n, FEW), MANY) // 2, p):
        return 0  # ours say no by themselves, which is recorded
    if profile == "smoke":
        return 1
    starts = repr(method.make(0)) != repr(method.make(1)) and method.options.get("robust", False)
    if starts and method.package != "fmahal" and n >= PEERS:
        return 1
    return SEEDS if starts or drawn_at_random(data) else 1


def measure(table: tuple[np.ndarray, np.ndarray], method: Method, seeds: Seeds) -> Iterator[dict[str, Any]]:
    """Fit to the training rows and rank the test rows; warnings and refusals are results too."""
    train, test, outlying = split(*table, seeds.repetition)
    record: dict[str, Any] = {"rows": len(train), "columns": train.shape[1], "auroc": None, "failed": None}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            estimator = method.make(seeds.repetition).fit(train)
            record["auroc"] = float(roc_auc_score(outlying, scores(estimator, test)))
            record |= described(estimator, train, test, outlying)
        except ValueError as error:  # numpy's LinAlgError is one
            record["failed"] = str(error).partition(":")[0].partition(". ")[0][:120]
    names = {one.category.__name__ for one in said if issubclass(one.category, FmahalWarning)}
    yield record | {"warned": " ".join(sorted(names)) or None}


def described(estimator: Any, train: np.ndarray, test: np.ndarray, outlying: np.ndarray) -> dict[str, Any]:
    """Describe what was fitted.

    Of scatters also the share of clean training rows that a chi-square cut-off of `LEVEL` flags, or that are off the
    fitted subspace; where this is less than the whole, the AUROC with rows off it ranked above all others.
    """
    steps = list(estimator.named_steps.values()) if isinstance(estimator, Pipeline) else [estimator]
    scatter, last = steps[0], steps[-1]
    names = ("rank", "flat", "flagged", "off", "auroc_off", "power", "components", "alternative")
    found: dict[str, Any] = dict.fromkeys(names)
    found |= {"rank": getattr(scatter, "rank_", None), "power": getattr(scatter, "power_", None)}
    found |= {"components": getattr(last, "n_components_", None)}
    found |= {"alternative": getattr(getattr(scatter, "alternative_", None), "share", None)}
    if getattr(scatter, "exact_fit_", None) is not None:
        found["flat"] = float(np.mean(scatter.exact_fit_.rows))
    if scatter is not last or not hasattr(scatter, "residual"):
        return found
    cutoff = chi2.isf(LEVEL, max(scatter.rank_, 1))
    found["flagged"] = float(np.mean(scatter.mahalanobis(train, outside="inf") > cutoff))
    if scatter.rank_ < test.shape[1]:
        off, inside = np.isinf(scatter.mahalanobis(test, outside="inf")), scatter.mahalanobis(test)
        ranked = np.where(off, inside.max() + 1.0 + scatter.residual(test), inside)
        found |= {"off": float(off.mean()), "auroc_off": float(roc_auc_score(outlying, ranked))}
    return found


EXPERIMENT = Experiment(
    name="e07",
    title="Real outliers in tables: what a default is worth on clean training rows",
    role="tabular",
    data_sets=data_sets,
    repetitions=repetitions,
    measure=measure,
    modules=("experiments.datasets.tabular", "experiments.methods.tabular"),
)
