"""Normal rows, a share of which is replaced by outliers: how far estimates move, and which rows are called outliers.

The outliers lie in the direction in which the clean rows vary least, where single columns hardly show them; an
estimator that turns with the data does not mind. Distances are multiples of the root of the chi-square quantile that
one clean row in a hundred exceeds: at 1 nothing could tell an outlier from an unlucky row. All distances of a cell
move the same rows, so that what changes along a curve is the distance alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import toeplitz
from scipy.stats import chi2, rankdata

from experiments._spec import DataSet, Experiment, Method, Seeds
from fmahal import MahalanobisDetector
from fmahal.exceptions import AmbiguousFitWarning, FmahalWarning

LEVEL = 0.01
SIZES = ((200, 5), (200, 20), (60, 120))
REPETITIONS = {5: 4, 20: 3, 120: 3}  # by columns
CLEAN = 4  # times as often on clean rows, since these cost one fit and not one for each distance
SHARES = (0.1, 0.2, 0.4)
KINDS = ("cluster", "point", "radial")
DISTANCES = (1.5, 2.5, 100.0)  # biases are largest where outliers are only just not rejected
POINT = 0.01  # spread of what is called a point, in that of the clean rows: no two rows are equal


# ------------------------------------------------------------------------------------------------- rows


class Table(NamedTuple):
    """Clean rows about 0 with their covariance, and where the first rows go, as `moved` puts them."""

    clean: np.ndarray
    covariance: np.ndarray
    spread: np.ndarray  # of the outliers about their centres, in units of the rows
    centres: np.ndarray  # (outliers, p), at Mahalanobis distance 1
    distances: tuple[float, ...]

    def moved(self, distance: float) -> np.ndarray:
        """Return the rows with outliers at so many units."""
        p, k = self.clean.shape[1], len(self.centres)
        X = self.clean.copy()
        X[:k] = self.spread + distance * math.sqrt(chi2.isf(LEVEL, p)) * self.centres
        return X


def table_of(n: int, p: int, share: float, kind: str, distances: tuple[float, ...], seeds: Seeds) -> Table:
    """Draw normal rows with correlations 1/2 to the power of the lag, and outliers of a kind."""
    covariance = toeplitz(0.5 ** np.arange(p))
    factor = np.linalg.cholesky(covariance)
    clean = seeds.rng("rows").standard_normal((n, p)) @ factor.T
    k = round(share * n)
    if kind == "radial":  # on a sphere: the middle stays where it is, the scatter grows
        towards = seeds.rng("directions").standard_normal((k, p))
        centres = towards / np.linalg.norm(towards, axis=1, keepdims=True) @ factor.T
        return Table(clean, covariance, np.zeros((k, p)), centres, distances)
    values, vectors = np.linalg.eigh(covariance)
    centres = np.tile(vectors[:, 0] * math.sqrt(values[0]), (k, 1))
    return Table(clean, covariance, clean[:k] * (1.0 if kind == "cluster" else POINT), centres, distances)


def data_set(n: int, p: int, share: float, kind: str, distances: tuple[float, ...] = DISTANCES) -> DataSet:
    """Return the data set of a size, a share and a kind of outliers; distances are measured inside its cells."""

    def draw(seeds: Seeds) -> Table:
        return table_of(n, p, share, kind, distances, seeds)

    return DataSet(
        f"{kind} {100 * share:g} %, {n} x {p}", draw, {"n": n, "p": p, "share": share, "kind": kind}
    )


def data_sets(profile: str) -> list[DataSet]:
    """Return every size clean, and with every share of every kind of outliers."""
    if profile == "smoke":
        return [
            data_set(40, 3, 0.0, "none", (0.0,)),
            data_set(40, 3, 0.2, "cluster", (5.0,)),
            data_set(20, 30, 0.2, "point", (5.0,)),
        ]
    bad = [(share, kind) for share in SHARES for kind in KINDS]
    return [
        data_set(n, p, *arrangement, *more)
        for n, p in SIZES
        for arrangement, more in [((0.0, "none"), ((0.0,),)), *((one, ()) for one in bad)]
    ]


def repetitions(data: DataSet, method: Method, profile: str) -> int:
    """How often: the same for all methods, which are paired, and `CLEAN` times as often on clean rows."""
    n, p = int(data.axes["n"]), int(data.axes["p"])
    if not method.applies(n, p):
        return 0
    if profile == "smoke":
        return 1 - bool(method.options.get("slow"))
    return REPETITIONS[p] * (CLEAN if data.axes["kind"] == "none" else 1)


# ------------------------------------------------------------------------------------------------- measures


def bias(location: np.ndarray, precision: np.ndarray, covariance: np.ndarray) -> dict[str, float]:
    """Return how far an estimate is from location 0 and the covariance, in units that affine maps do not change.

    The eigenvalues w of W S W', S the truth and W'W the estimated precision, are all 1 for the truth itself:
    `log_condition` is log(max w / min w), the error of the shape; `kl` is Stein's loss per column.
    """
    factor = np.linalg.cholesky(covariance)
    w = np.linalg.eigvalsh(factor.T @ precision @ factor)
    if not w.min() > len(w) * np.finfo(float).eps * w.max():
        raise np.linalg.LinAlgError("the estimate is singular")
    return {
        "location": float(np.linalg.norm(np.linalg.solve(factor, location))),
        "log_condition": math.log(w.max() / w.min()),
        "log_scale": -float(np.mean(np.log(w))),
        "kl": float(np.mean(w - np.log(w)) - 1.0),
    }


def detection(d2: np.ndarray, flagged: np.ndarray, k: int) -> dict[str, float]:
    """Return counts of flagged rows, the first k being outliers, and two measures that no threshold enters."""
    found = {"outliers": k, "found": int(flagged[:k].sum()), "false": int(flagged[k:].sum())}
    if k == 0:
        return found
    ranks = rankdata(d2)[:k].sum() - k * (k + 1) / 2
    return {
        **found,
        "auroc": float(ranks / (k * (len(d2) - k))),
        "beyond": int((d2[:k] > d2[k:].max()).sum()),
    }


def flags(method: Method, estimator: Any, X: np.ndarray, d2: np.ndarray) -> np.ndarray:
    """Return which training rows are called outliers at 1 %, by the law that the method's users have.

    Ours by the detector's ``null="auto"``; other packages offer the chi-square law.
    """
    if method.package != "fmahal":
        return np.asarray(d2 > chi2.isf(LEVEL, X.shape[1]))
    return np.asarray(MahalanobisDetector(estimator, alpha=LEVEL).fit(X).labels_ == -1)


def one_fit(table: Table, distance: float, method: Method, seeds: Seeds) -> dict[str, Any]:
    """Fit one method to the rows with outliers at one distance, and measure it."""
    X, k = table.moved(distance), len(table.centres)
    estimator = method.make(seeds.integer("fit"))
    if method.options.get("truth"):
        estimator.set_params(location=np.zeros(X.shape[1]), covariance=table.covariance)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", AmbiguousFitWarning)
        estimator.fit(X)
    precision = estimator.get_precision()
    precision = precision.toarray() if hasattr(precision, "toarray") else precision
    moved = bias(estimator.location_, precision, table.covariance)
    gap = X - estimator.location_
    d2 = np.einsum("ij,ij->i", gap @ precision, gap)
    found = {**moved, **detection(d2, flags(method, estimator, X, d2), k)}
    return {
        **{key: v if isinstance(v, int) else float(f"{round(v, 9):.4g}") for key, v in found.items()},
        "warned": int(any(issubclass(one.category, AmbiguousFitWarning) for one in said)),
        "failed": None,
    }


def measure(table: Table, method: Method, seeds: Seeds) -> Iterator[dict[str, Any]]:
    """Measure one method at every distance; an estimate that cannot be had is said to have failed, and why."""
    for distance in table.distances:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", FmahalWarning)
            # of other packages: doubtful determinants, divisions by zero
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            try:
                found = one_fit(table, distance, method, seeds)
            except (ValueError, np.linalg.LinAlgError) as error:
                found = {"outliers": len(table.centres), "failed": f"{type(error).__name__}: {error}"[:120]}
        yield {"distance": distance, **found}


EXPERIMENT = Experiment(
    "e03",
    "robustness: bias and detection",
    role="robustness",
    data_sets=data_sets,
    repetitions=repetitions,
    measure=measure,
    modules=(
        "experiments.methods.peers_robpy",
        "experiments.methods.peers_statsmodels",
        "experiments.methods.variants",
    ),
)
