"""What a sketch costs in accuracy: errors of squared distances against theory, and outliers that are no longer seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import toeplitz

from experiments._spec import Method, Seeds
from fmahal import FixedScatter, MahalanobisDetector

AR = 0.5  # correlation of neighbouring columns
NONZERO = 4  # whitened coordinates of a row that point along few of them
ALPHA = 0.01
EXCESS = (
    0.05,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
)  # of the mean squared distance of an outlier over that of a clean row
Record = dict[str, Any]


class Rows(NamedTuple):
    """Rows under a known scatter: all of one law, or clean ones and groups of outliers."""

    scatter: FixedScatter
    rows: np.ndarray
    groups: np.ndarray  # number of a row's group: 0 are clean ones, i those shifted by EXCESS[i - 1]
    ks: tuple[int, ...]


def known_scatter(p: int) -> FixedScatter:
    """Return an autoregressive covariance, which is known."""
    scatter = FixedScatter(location=np.zeros(p), covariance=toeplitz(AR ** np.arange(p)))
    return scatter.fit(np.zeros((1, p)))


# ------------------------------------------------------------------------------------------------- errors


def draw_rows(law: str, n: int, p: int, ks: tuple[int, ...], seeds: Seeds) -> Rows:
    """Draw rows whose whitened coordinates are normal, or all zero but a few (the worst case for some maps)."""
    scatter, rng = known_scatter(p), seeds.rng("rows")
    Z = rng.standard_normal((n, p))
    if law == "few":
        keep = np.argsort(rng.random((n, p)), axis=1)[:, :NONZERO]
        Z *= _marks(keep, p)
    return Rows(scatter, scatter.whitener_.color(Z), np.zeros(n, int), ks)


def _marks(keep: np.ndarray, p: int) -> np.ndarray:
    marks = np.zeros((len(keep), p))
    np.put_along_axis(marks, keep, 1.0, axis=1)
    return marks


def relative_variance(kind: str, k: int, Z: np.ndarray) -> np.ndarray | None:
    """Variance over maps of each row's sketched squared length, over its square; None for maps that are not known.

    2/k for a Gaussian map; for signs, sparse maps and Hadamard rows less by the fourth powers of the coordinates, and
    for the last by drawing without replacement from an isometry of order a power of two.
    """
    if kind == "gaussian":
        return np.full(len(Z), 2.0 / k)
    if kind not in ("rademacher", "sparse", "srht"):
        return None
    squares = Z**2
    found = 2.0 / k * (1.0 - (squares**2).sum(axis=1) / squares.sum(axis=1) ** 2)
    order = 1 << (Z.shape[1] - 1).bit_length()
    return found * (order - k) / (order - 1) if kind == "srht" else found


def error_records(drawn: Rows, method: Method, seeds: Seeds) -> list[Record]:
    """Relative errors of one map for each number of coordinates, beside those of theory."""
    exact, Z = drawn.scatter.mahalanobis(drawn.rows), drawn.scatter.whitener_.whiten(drawn.rows)
    records = []
    for k in drawn.ks:
        sketch = sketch_of(method, drawn.scatter, k, seeds).fit(drawn.rows)
        off = sketch.mahalanobis(drawn.rows) / exact - 1.0
        variance = relative_variance(method.options.get("kind", method.name), k, Z)
        records.append(
            {
                "k": k,
                "error_mean": float(off.mean()),
                "error_rms": float(np.sqrt(np.mean(off**2))),
                "theory_rms": None if variance is None else float(np.sqrt(variance.mean())),
                "error_median": float(np.median(np.abs(off))),
                "error_95": float(np.quantile(np.abs(off), 0.95)),
                "error_max": float(np.abs(off).max()),
            }
        )
    return records


def sketch_of(method: Method, scatter: Any, k: int, seeds: Seeds) -> Any:
    """Return the method's estimator around a scatter, with k coordinates."""
    return method.make(seeds.integer("map", k)).set_params(scatter=scatter, n_components=k)


# ------------------------------------------------------------------------------------------------- outliers


def draw_outliers(n: int, p: int, ks: tuple[int, ...], seeds: Seeds) -> Rows:
    """Draw n clean normal rows, and n for each excess that are shifted in a random direction, an own one each."""
    scatter, rng = known_scatter(p), seeds.rng("rows")
    groups = np.repeat(np.arange(len(EXCESS) + 1), n)
    Z = rng.standard_normal((len(groups), p))
    shifts = rng.standard_normal((len(groups), p))
    size = np.sqrt(np.array([0.0, *EXCESS])[groups] * p)
    Z += size[:, None] * shifts / np.linalg.norm(shifts, axis=1)[:, None]
    return Rows(scatter, scatter.whitener_.color(Z), groups, ks)


def power_records(drawn: Rows, method: Method, seeds: Seeds) -> list[Record]:
    """Share of each group flagged at the same level by exact and by sketched distances, each by its own law."""
    clean = drawn.rows[drawn.groups == 0]
    exact = MahalanobisDetector(drawn.scatter, alpha=ALPHA).fit(clean).pvalues(drawn.rows) < ALPHA
    records = []
    for k in drawn.ks:
        sketch = sketch_of(method, drawn.scatter, k, seeds)
        flagged = MahalanobisDetector(sketch, alpha=ALPHA).fit(clean).pvalues(drawn.rows) < ALPHA
        for group, excess in enumerate((0.0, *EXCESS)):
            here = drawn.groups == group
            counts = {"flagged": int(flagged[here].sum()), "flagged_exact": int(exact[here].sum())}
            records.append({"k": k, "excess": excess, "of": int(here.sum()), **counts})
    return records
