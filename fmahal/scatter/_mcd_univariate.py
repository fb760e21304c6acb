"""The h values of least variance in one dimension, exactly."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray

EPS = float(np.finfo(np.float64).eps)


def univariate(x: FloatArray, h: int, known: bool) -> np.ndarray:
    """Rows of the h values of least variance: a window of the sorted values, the middle one of tied windows.

    Sums are taken outwards from the median, so that far values cost no digits of the windows without them.
    O(n log n).
    """
    if known:
        return np.sort(np.argsort(np.abs(x), kind="stable")[:h])
    order = np.argsort(x, kind="stable")
    n = x.size
    middle = n // 2
    z = x[order] - x[order[middle]]
    unit = np.partition(np.abs(z), h - 1)[h - 1]
    if unit > 0:  # only comparisons count: squares of far values must not overflow
        z = np.clip(z / unit, -1e150, 1e150)
    sums = np.empty((2, n + 1))
    for power in (1, 2):
        values = z**power
        sums[power - 1, middle] = 0.0
        sums[power - 1, middle + 1 :] = np.cumsum(values[middle:])
        sums[power - 1, :middle] = -np.cumsum(values[:middle][::-1])[::-1]
    first, second = sums[:, h:] - sums[:, : n + 1 - h]
    spread = np.maximum(second - first**2 / h, 0.0)
    tied = np.flatnonzero(spread <= spread.min() + 64.0 * EPS * second[spread.argmin()])[:1000]
    exact = [np.square(z[t : t + h] - z[t : t + h].mean()).sum() for t in tied]
    tied = tied[np.flatnonzero(exact <= min(exact) * (1.0 + 64.0 * EPS))]
    start = tied[(tied.size - 1) // 2]
    return np.sort(order[start : start + h])
