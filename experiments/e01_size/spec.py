"""How often clean rows are flagged: data sets, null laws, and how a scatter is measured under all of its nulls.

A repetition is a batch of data sets, each with its own seeds. A cell fits one scatter to each data set of its batch
and counts the flagged rows under every null, on that one fit. Nulls that cost much have fewer data sets: they are
left out of later data sets, and records tell how many there were.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import toeplitz

from experiments._spec import DataSet, Experiment, Method, Seeds
from fmahal import (
    BootstrapNull,
    ChiSquareNull,
    ConformalNull,
    EmpiricalNull,
    NormalTheoryNull,
    RankDeficientError,
    RobustNull,
    WeightedChiSquareNull,
)
from fmahal.exceptions import FmahalWarning
from fmahal.nulls import AutoNull

LAWS = ("normal", "t5", "lognormal", "skew-normal", "uniform")
LEVELS = (0.01, 0.05)
SIZES = ((30, 2), (30, 50), (100, 10), (100, 50), (500, 10))
N_NEW = 500  # fresh rows for each data set, however few it was fitted on
SHARE = 0.15  # of the rows are planted outliers, where there are any,
SHIFT = 10.0  # so many standard deviations away in every column
BATCH = 10  # data sets a repetition

NULLS_BY_DEFAULT = ("chi2", "auto", "split")  # of a method that names none
SETS = (80, 40, 20, 8)  # data sets of nulls that cost nothing, milliseconds, a tenth of a second, more
CLOSED = ("empirical", "ledoit-wolf", "oas", "shrunk")  # resampled from weighted sums
REFITTED = ("modified-cholesky", "qis", "spectral")  # resampled by fits, which cost little
CROSS_VALIDATED = ("modified-cholesky-cv",)
REPLICATES = {"modified-cholesky": 49, "qis": 199}  # no short way, or not a very short one


# ------------------------------------------------------------------------------------------------- rows


class Table(NamedTuple):
    """Training rows, fresh rows, and how many of the training rows are planted outliers (the first)."""

    X: np.ndarray
    fresh: np.ndarray
    n_out: int


class Batch(NamedTuple):
    """The data sets of one repetition."""

    law: str
    n: int
    p: int
    tables: Sequence[Table]


def _standard(law: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return uncorrelated columns of mean 0 and variance 1."""
    if law == "uniform":
        return rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape)
    Z = rng.standard_normal(shape)
    if law == "t5":  # multivariate: one radius a row
        return Z * np.sqrt(3.0 / rng.chisquare(5.0, (shape[0], 1)))
    if law == "lognormal":
        return (np.exp(Z) - math.exp(0.5)) / math.sqrt(math.e**2 - math.e)
    if law == "skew-normal":  # shape parameter 5
        delta = 5.0 / math.sqrt(26.0)
        skew = delta * np.abs(rng.standard_normal(shape)) + math.sqrt(1.0 - delta**2) * Z
        return (skew - delta * math.sqrt(2.0 / math.pi)) / math.sqrt(1.0 - 2.0 * delta**2 / math.pi)
    return Z


def rows_of(law: str, n: int, p: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n rows; neighbouring columns have correlation 1/2, and 2 to the minus the lag in general."""
    return _standard(law, (n, p), rng) @ np.linalg.cholesky(toeplitz(0.5 ** np.arange(p))).T


def table_of(law: str, n: int, p: int, seeds: Seeds, index: int) -> Table:
    """Draw one data set; `law` "planted" is the normal law with one cluster of outliers."""
    train, new = seeds.rng("train", index), seeds.rng("new", index)
    X, fresh = rows_of(law, n, p, train), rows_of(law, N_NEW, p, new)
    n_out = int(SHARE * n) if law == "planted" else 0
    X[:n_out] += SHIFT * train.choice([-1.0, 1.0], p)
    return Table(X, fresh, n_out)


def data_set(law: str, n: int, p: int, batch: int = BATCH) -> DataSet:
    """Return the data set of a law and a size, `batch` tables a repetition."""

    def draw(seeds: Seeds) -> Batch:
        return Batch(law, n, p, [table_of(law, n, p, seeds, i) for i in range(batch)])

    axes = {"law": law, "n": n, "p": p, "batch": batch}
    return DataSet(f"{law} {n} x {p}", draw, axes)


def data_sets(profile: str) -> list[DataSet]:
    """Return five laws on all sizes, and planted outliers where there are rows enough to hide them."""
    if profile == "smoke":
        return [data_set(*where, 1) for where in (("normal", 40, 3), ("t5", 24, 30), ("planted", 60, 3))]
    sizes = sorted(SIZES, key=math.prod)
    planted = [data_set("planted", n, p) for n, p in sizes if n >= 5 * p and n >= 100]
    return [data_set(law, n, p) for n, p in sizes for law in LAWS] + planted


# ------------------------------------------------------------------------------------------------- nulls


def few_replicates(n: int) -> int:
    """As many replicates of a costly fit as give 2000 distances, 10 to 100: those of ``null="auto"`` at 1 %."""
    return min(max(math.ceil(20 / LEVELS[0] / n), 10), 100)


def _bootstrap(method: Method, n: int, seed: int) -> Any:
    if method.options.get("robust"):
        return BootstrapNull(few_replicates(n), kind="parametric", random_state=seed)
    # A refit costs many times a replicate from weighted sums; calibration hardly depends on their number.
    return BootstrapNull(REPLICATES.get(method.name, 499), random_state=seed)


NULLS: dict[str, Callable[[Method, int, int], Any]] = {
    "chi2": lambda method, n, seed: ChiSquareNull(),
    "weighted": lambda method, n, seed: WeightedChiSquareNull(),
    "normal": lambda method, n, seed: NormalTheoryNull(),
    "auto": lambda method, n, seed: AutoNull(),
    "cerioli": lambda method, n, seed: RobustNull("cerioli"),
    "bootstrap": _bootstrap,
    "split": lambda method, n, seed: ConformalNull("split", random_state=seed),
    "jackknife": lambda method, n, seed: ConformalNull("jackknife", random_state=seed),
    "full": lambda method, n, seed: ConformalNull("full", random_state=seed),
    "empirical": lambda method, n, seed: EmpiricalNull(),
}


def nulls_of(method: Method, law: str, n: int, p: int) -> list[str]:
    """Names of the nulls that make sense for a method on n rows of p columns."""
    if not method.applies(n, p):
        return []
    if law == "planted":
        return ["auto"] if method.options.get("robust") else []
    out = list(method.options.get("nulls", NULLS_BY_DEFAULT))
    if not method.applies(n // 2, p):
        out = [null for null in out if null != "split"]
    if method.name == "mcd" and p > 40:  # beyond its table each law takes minutes of simulation
        out = [null for null in out if null not in ("auto", "bootstrap")]
    return out


def sets_of(method: Method, null: str, law: str, n: int, p: int) -> int:
    """How many data sets a null is to have: it follows from what it costs, not from the clock."""
    free, cheap, dear, dearest = SETS
    refits, required = null in ("auto", "bootstrap", "split"), n >= 10 * p  # something is, of resampled rates
    if method.name in CROSS_VALIDATED:
        return dearest // 2 if refits else dear
    if method.name in CLOSED:
        return free if null != "bootstrap" or required else cheap
    if method.name in REFITTED:
        resampled = null in ("auto", "bootstrap") and method.name != "qis"
        return free if null == "chi2" else cheap if not resampled else dear if required else dearest
    if not refits or (method.name, null) == ("mcd", "auto"):
        return free if method.name != "mcd" or p <= 40 else cheap
    if law != "normal" or null == "split":  # a parametric bootstrap is held to its level on normal rows alone
        return dearest
    return cheap if required else dear


# ------------------------------------------------------------------------------------------------- measuring


def pvalues(null: Any, scatter: Any, d2: np.ndarray, fresh: np.ndarray) -> dict[str, np.ndarray]:
    """p-values by a fitted null, of training and of fresh rows, as `MahalanobisDetector` makes them."""
    train = null.train_dist_.sf(getattr(null, "train_d2_", d2))
    if hasattr(null, "pvalues"):
        return {"new": null.pvalues(fresh), "train": train}
    return {"new": null.new_dist_.sf(getattr(null, "scorer_", scatter).mahalanobis(fresh)), "train": train}


def _references(null: Any, n: int) -> int:
    """Return the number of distances that new rows are ranked among; 0 for a law in closed form."""
    return int(getattr(null.new_dist_, "size", 0)) if not hasattr(null, "pvalues") else n


class Counter:
    """Flagged rows under one null, summed over data sets; their squares tell how data sets differ."""

    def __init__(self) -> None:
        self.sets = self.lost = self.references = 0
        self.seconds = 0.0
        self.why = ""
        self.sums: dict[str, list[int]] = {}

    def add(self, p: dict[str, np.ndarray]) -> None:
        """Count the p-values of one data set."""
        self.sets += 1
        for rows, values in p.items():
            sums = self.sums.setdefault(rows, [values.size] + [0, 0] * len(LEVELS))
            for i, level in enumerate(LEVELS):
                count = int(np.sum(values <= level))
                sums[2 * i + 1] += count
                sums[2 * i + 2] += count**2

    def records(self, method: Method, null: str) -> Iterator[dict[str, Any]]:
        """Records for the results, one for each kind of rows; one alone when no fit succeeded."""
        names = ["tested"] + [f"{what}_{100 * a:.0f}" for a in LEVELS for what in ("flagged", "squares")]
        nothing = {"new": [0] * len(names)}
        for rows, sums in (self.sums or nothing).items():
            yield {
                "null": null,
                "rows": rows,
                "robust": bool(method.options.get("robust")),
                "sets": self.sets,
                "lost": self.lost,
                "failed": self.why or None,
                "references": self.references,
                **dict(zip(names, sums, strict=True)),
                "milliseconds": round(1000 * self.seconds / max(self.sets, 1)),
            }


def measure(batch: Batch, method: Method, seeds: Seeds) -> Iterator[dict[str, Any]]:
    """Count flagged rows of the data sets of a batch under each null of the method."""
    counters = {null: Counter() for null in nulls_of(method, batch.law, batch.n, batch.p)}
    wanted = {null: sets_of(method, null, *batch[:3]) for null in counters}
    first = seeds.repetition * BATCH
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        for i, table in enumerate(batch.tables):
            names = [null for null, sets in wanted.items() if first + i < sets]
            if not names:
                break
            scatter = method.make(seeds.integer("fit", i)).fit(table.X)
            d2 = scatter.mahalanobis(table.X)
            for name in names:
                null = NULLS[name](method, batch.n, seeds.integer("null", name, i))
                _count(null, counters[name], scatter, d2, table)
    for null, counter in counters.items():
        if counter.sets or counter.lost:
            yield from counter.records(method, null)


def _count(null: Any, counter: Counter, scatter: Any, d2: np.ndarray, table: Table) -> None:
    start = time.perf_counter()
    try:
        null = null.fit(scatter, table.X, d2)
        null = getattr(null, "null_", null)  # what "auto" has picked
        p = pvalues(null, scatter, d2, table.fresh)
    except RankDeficientError as error:  # too few rows for this law
        counter.lost, counter.why = counter.lost + 1, type(error).__name__
        return
    counter.seconds += time.perf_counter() - start
    counter.references = _references(null, len(table.X))
    if table.n_out:
        train = p.pop("train")
        p |= {"outliers": train[: table.n_out], "clean": train[table.n_out :]}
    counter.add(p)


def repetitions(data: DataSet, method: Method, profile: str) -> int:
    """As many batches as the null with most data sets needs."""
    law, n, p = (data.axes[key] for key in ("law", "n", "p"))
    sets = max((sets_of(method, null, law, n, p) for null in nulls_of(method, law, n, p)), default=0)
    if profile == "smoke":
        return int(sets > 0 and (law != "t5" or method.name not in (*REFITTED, *CROSS_VALIDATED)))
    return math.ceil(sets / BATCH)


EXPERIMENT = Experiment(
    "e01",
    "Size: how often every null law of every scatter flags clean rows",
    "size",
    data_sets,
    repetitions,
    measure,
)
