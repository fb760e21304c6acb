"""Do the rows that a robust fit leaves out form a cluster of their own, with a valley between it and the bulk?

Along any line through its centre the density of an elliptical law falls, however heavy its tails; so does that of most
skew laws. A cluster of its own shows as a valley: an interval between the centre and the cluster with clearly fewer
rows than one of the same length inside the cluster.
"""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray

SEPARATE = 0.2  # share of all rows from which a cluster left out may well be a mode of clean rows
_Z = 4.0  # standard errors by which the valley is lower, of the many intervals that are looked at
_DEPTH = 0.5  # and relative depth
_BULK = 2.0  # standard deviations of the bulk beyond which a row left out counts as on that side
_AXES = 3  # principal directions of the rows left out that are looked along
_PER_COLUMN = 10  # rows left out for each column, from which Fisher's direction does not follow their noise
_PLACES = 41  # intervals between centre and cluster
_MOST = 20_000  # rows that are looked at


def separate_cluster(Z: FloatArray, kept: np.ndarray, share: float = SEPARATE) -> np.ndarray | None:
    """Return which rows form a cluster left out, the largest found, or None.

    Parameters
    ----------
    Z : ndarray of shape (n, r)
        Rows in whitened coordinates of the fit.
    kept : ndarray of shape (n,), bool
        The rows that it rests on.
    share : float
        Least share of all rows.

    Returns
    -------
    rows : ndarray of shape (n,), bool, or None
        Rows left out beyond the valley.

    Notes
    -----
    O(n r^2) for at most 20 000 rows drawn with a fixed seed, and O(n r) for the rows of a cluster found.
    """
    n = len(Z)
    if n - np.count_nonzero(kept) < share * n or Z.shape[1] == 0:
        return None
    some = slice(None) if n <= _MOST else np.sort(np.random.default_rng(0).permutation(n)[:_MOST])
    part, out = Z[some], ~kept[some]
    least, best, found = share * len(part), 0, None
    if np.count_nonzero(out) < least:
        return None
    for direction in _directions(part[out]):
        along = part @ direction
        for side in (1.0, -1.0):
            cut = _valley(side * along, out, least)
            if cut is None:
                continue
            size = int(np.count_nonzero(out & (side * along > cut)))
            if size > best and size >= least:
                best, found = size, (side * direction, cut)
    return None if found is None else ~kept & (Z @ found[0] > found[1])


def _directions(rows: FloatArray) -> FloatArray:
    """Return unit vectors along which a cluster among rows left out would show, (m, r)."""
    m, r = rows.shape
    mean = rows.mean(axis=0)
    second = rows.T @ rows / m
    found = [mean, *np.linalg.eigh(second)[1][:, ::-1][:, :_AXES].T]
    if m >= _PER_COLUMN * r:  # the bulk has unit covariance in these coordinates
        found.append(np.linalg.solve(second - np.outer(mean, mean) + np.eye(r), mean))
    directions = np.array(found)
    lengths = np.linalg.norm(directions, axis=1)
    unit: FloatArray = directions[lengths > 0] / lengths[lengths > 0, None]
    return unit


def _valley(along: FloatArray, out: np.ndarray, least: float) -> float | None:
    """Return where, on the positive side, rows are few between the centre and the middle of the rows left out."""
    far = along[out & (along > _BULK)]
    if far.size < least:
        return None
    low, high = np.quantile(far, [0.25, 0.75])
    width = high - low
    if width <= 0:  # repeated rows: any interval will do that is not empty by its length
        width = 1e-3 * high
        low, high = low - 0.5 * width, high + 0.5 * width
    if low <= width:
        return None
    ordered = np.sort(along)
    starts = np.linspace(0.0, low - width, _PLACES)
    counts = np.searchsorted(ordered, starts + width) - np.searchsorted(ordered, starts)
    held = int(np.searchsorted(ordered, high, side="right") - np.searchsorted(ordered, low))
    fewest = int(counts.min())
    if fewest >= _DEPTH * held or held - fewest <= _Z * np.sqrt(held + fewest):
        return None
    lowest = np.flatnonzero(counts == fewest)
    return float(starts[lowest[lowest.size // 2]] + 0.5 * width)


def cluster_message(kept: np.ndarray, share: float) -> str:
    """Return what a separate cluster may mean and what to do, for a warning."""
    return (
        f"The fit leaves out {100 * (1 - np.mean(kept)):.0f} % of the rows, and {100 * share:.0f} % of all rows form a "
        "separate cluster among these: few rows lie between it and the bulk. Outliers may do so, and then all is "
        "well; so do clean rows of a second mode. If the training rows are known to be clean, take "
        "support_fraction=0.9, or alternative_, which counts the cluster in; where several modes are all normal no "
        "single ellipsoid describes them: use a mixture or nearest neighbours."
    )
