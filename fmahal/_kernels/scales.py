"""Robust univariate locations and scales of rows: median, MAD, Qn, Sn, tau, Hodges-Lehmann.

Every kernel takes finite float64 data with the variables in rows, (m, n); the scales are consistent at the normal
distribution. A row in which more than half of the values are equal has scale 0, and so has a single value.
"""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .selection import first_not_above, median_inplace, select, select_difference, sorted_copy

MAD_FACTOR = 1.4826  # 1 / Phi^-1(3/4), with the digits that R uses
TAU_CENTRE = 4.5
TAU_CLIP = 3.0
# 2 ((1 - b^2) Phi(b) - b phi(b) + b^2) - 1 at b = 3 Phi^-1(3/4), the mean of min(z^2, b^2) over a normal z
TAU_MEAN = 0.9247153921761315
QN_FACTOR = 2.21914
# for n = 2 ... 12
QN_SMALL = (
    0.399356,
    0.99365,
    0.51321,
    0.84401,
    0.61220,
    0.85877,
    0.66993,
    0.87344,
    0.72014,
    0.88906,
    0.75743,
)
SN_FACTOR = 1.1926
# for n = 2 ... 9
SN_SMALL = (0.743, 1.851, 0.954, 1.351, 0.993, 1.198, 1.005, 1.131)


@jit
def mad_of(x, work):
    """Median of x and median absolute deviation from it, without a factor; `work` holds n floats. O(n)."""
    n = x.size
    for i in range(n):
        work[i] = x[i]
    centre = median_inplace(work, n)
    for i in range(n):
        work[i] = abs(x[i] - centre)
    return centre, median_inplace(work, n)


@jit
def tau_of(x, work):
    """Tau location and scale of x (Maronna and Zamar 2002, one step from median and MAD). O(n).

    m = sum w x / sum w with w = (1 - (r / 4.5)^2)_+^2 and r = (x - median) / MAD;
    s^2 = MAD^2 sum min(((x - m) / MAD)^2, 9) / (n 0.9247). Median and 0 where the MAD is 0.
    """
    n = x.size
    centre, spread = mad_of(x, work)
    if not spread > 0.0:
        return centre, spread
    unit = 1.0 / (TAU_CENTRE * spread)
    total = 0.0
    moved = 0.0
    for i in range(n):
        r = (x[i] - centre) * unit
        weight = max(1.0 - r * r, 0.0)
        weight *= weight
        total += weight
        moved += weight * r
    shift = TAU_CENTRE * (moved / total)  # in units of the MAD
    unit = 1.0 / spread
    dispersion = 0.0
    for i in range(n):
        r = (x[i] - centre) * unit - shift
        dispersion += min(r * r, TAU_CLIP * TAU_CLIP)
    return centre + shift * spread, spread * np.sqrt(dispersion / (n * TAU_MEAN))


@jit
def qn_correction(n):
    """Factor of the raw order statistic of differences: consistency times the finite-sample factor."""
    if n < 2:
        return 0.0
    if n <= 12:
        return QN_FACTOR * QN_SMALL[n - 2]
    if n % 2 == 1:
        return QN_FACTOR / (1.0 + (1.60188 + (-2.1284 - 5.172 / n) / n) / n)
    return QN_FACTOR / (1.0 + (3.67561 + (1.9654 + (6.987 - 77.0 / n) / n) / n) / n)


@jit
def qn_sorted(y):
    """Qn of ascending y: the C(h, 2)-th smallest difference, h = n // 2 + 1, times its factor. O(n log n)."""
    n = y.size
    if n < 2:
        return 0.0
    h = n // 2 + 1
    rank = h * (h - 1) // 2
    first = np.zeros(n, np.int64)
    last = np.arange(n)
    guess = 0.334 * (y[(3 * n) // 4] - y[n // 4])  # the quartile range, at the normal distribution
    slope = rank / guess if guess > 0.0 else 0.0
    return qn_correction(n) * select_difference(y, y, first, last, rank, guess, slope, np.empty(2 * n))


@jit
def sn_correction(n):
    """Factor of the raw low median of high medians: consistency times the finite-sample factor."""
    if n < 2:
        return 0.0
    if n <= 9:
        return SN_FACTOR * SN_SMALL[n - 2]
    return SN_FACTOR * n / (n - 0.9) if n % 2 == 1 else SN_FACTOR


@jit
def sn_sorted(y):
    """Sn of ascending y: lomed_i himed_j |y_i - y_j| times its factor. O(n) after the sort.

    The h = n // 2 + 1 values nearest to y_i, itself included, are a window of the sorted values, and it moves to
    the right with i; the high median is the distance to its farther end.
    """
    n = y.size
    if n < 2:
        return 0.0
    h = n // 2 + 1
    medians = np.empty(n)
    start = 0
    for i in range(n):
        while start + h < n and y[start + h] - y[i] < y[i] - y[start]:
            start += 1
        medians[i] = max(y[i] - y[start], y[start + h - 1] - y[i])
    return sn_correction(n) * select(medians, n, (n + 1) // 2 - 1)


@jit
def hodges_lehmann_sorted(y):
    """Median of the means (y_i + y_j) / 2 over i <= j, of ascending y; the middle of two for an even number of them.

    y_i + y_j = y_i - w_k for the ascending w_k = -y_{n-1-k}: a selection among differences. O(n log n).
    """
    n = y.size
    w = -y[::-1]
    pairs = n * (n + 1) // 2
    centre = 2.0 * y[n // 2]
    spread = (y[(3 * n) // 4] - y[n // 4]) / 1.349
    slope = 0.282 * pairs / spread if spread > 0.0 else 0.0
    first = n - 1 - np.arange(n)
    last = np.full(n, n)
    middle = select_difference(y, w, first, last, (pairs + 1) // 2, centre, slope, np.empty(2 * n))
    if pairs % 2 == 1:
        return 0.5 * middle
    first = n - 1 - np.arange(n)
    last[:] = n
    pointers = np.empty(n, np.int64)
    if (
        first_not_above(y, w, middle, first, last, pointers) > pairs // 2
    ):  # the upper middle equals the lower one
        return 0.5 * middle
    upper = np.inf
    for i in range(n):
        if pointers[i] > first[i]:
            upper = min(upper, y[i] - w[pointers[i] - 1])
    return 0.25 * (middle + upper)


# -------------------------------------------------------------------------------------------------- launchers


@jit(parallel=True)
def median_rows(Xt, out):
    """Median of each row. O(m n)."""
    m, n = Xt.shape
    for r in prange(m):
        out[r] = median_inplace(Xt[r].copy(), n)


@jit(parallel=True)
def mad_rows(Xt, out):
    """Median absolute deviation from the median of each row, times 1.4826. O(m n)."""
    m, n = Xt.shape
    for r in prange(m):
        out[r] = MAD_FACTOR * mad_of(Xt[r], np.empty(n))[1]


@jit(parallel=True)
def tau_rows(Xt, location, scale):
    """Tau location and scale of each row, see `tau_of`. O(m n)."""
    m, n = Xt.shape
    for r in prange(m):
        location[r], scale[r] = tau_of(Xt[r], np.empty(n))


@jit(parallel=True)
def qn_rows(Xt, out):
    """Qn of each row. O(m n log n)."""
    for r in prange(Xt.shape[0]):
        out[r] = qn_sorted(sorted_copy(Xt[r]))


@jit(parallel=True)
def sn_rows(Xt, out):
    """Sn of each row. O(m n log n)."""
    for r in prange(Xt.shape[0]):
        out[r] = sn_sorted(sorted_copy(Xt[r]))


@jit(parallel=True)
def hodges_lehmann_rows(Xt, out):
    """Hodges-Lehmann location of each row. O(m n log n)."""
    for r in prange(Xt.shape[0]):
        out[r] = hodges_lehmann_sorted(sorted_copy(Xt[r]))


@jit(parallel=True)
def tau_pairs(Zt, out):
    """Fill the symmetric out_jk = (s(z_j + z_k)^2 - s(z_j - z_k)^2) / 4 for the tau scale s; s(z_j)^2 on its diagonal.

    Row s takes its pairs with the p // 2 rows after it, cyclically: all take equally long. O(p^2 n).
    """
    p, n = Zt.shape
    for a in prange(p):
        work, total = np.empty(n), np.empty(n)
        out[a, a] = tau_of(Zt[a], work)[1] ** 2
        for step in range(1, (p - 1) // 2 + 1 + (p % 2 == 0 and a < p // 2)):
            b = (a + step) % p
            x, y = Zt[a], Zt[b]
            for i in range(n):
                total[i] = x[i] + y[i]
            plus = tau_of(total, work)[1]
            for i in range(n):
                total[i] = x[i] - y[i]
            minus = tau_of(total, work)[1]
            out[a, b] = out[b, a] = 0.25 * (plus - minus) * (plus + minus)


@jit(parallel=True)
def qn_pairs(Zt, out):
    """As `tau_pairs` for the scale Qn. O(p^2 n log n)."""
    p = Zt.shape[0]
    for a in prange(p):
        out[a, a] = qn_sorted(sorted_copy(Zt[a])) ** 2
        for step in range(1, (p - 1) // 2 + 1 + (p % 2 == 0 and a < p // 2)):
            b = (a + step) % p
            plus = qn_sorted(sorted_copy(Zt[a] + Zt[b]))
            minus = qn_sorted(sorted_copy(Zt[a] - Zt[b]))
            out[a, b] = out[b, a] = 0.25 * (plus - minus) * (plus + minus)


@jit(parallel=True)
def mad_pairs(Zt, out):
    """As `tau_pairs` for the median absolute deviation. O(p^2 n)."""
    p, n = Zt.shape
    for a in prange(p):
        work = np.empty(n)
        out[a, a] = (MAD_FACTOR * mad_of(Zt[a], work)[1]) ** 2
        for step in range(1, (p - 1) // 2 + 1 + (p % 2 == 0 and a < p // 2)):
            b = (a + step) % p
            plus = MAD_FACTOR * mad_of(Zt[a] + Zt[b], work)[1]
            minus = MAD_FACTOR * mad_of(Zt[a] - Zt[b], work)[1]
            out[a, b] = out[b, a] = 0.25 * (plus - minus) * (plus + minus)


@warms
def _warm():
    rows = np.arange(12.0).reshape(2, 6)
    rows.flags.writeable = False
    out, square = np.empty(2), np.empty((2, 2))
    for kernel in (median_rows, mad_rows, qn_rows, sn_rows, hodges_lehmann_rows):
        kernel(rows, out)
    tau_rows(rows, out, np.empty(2))
    for kernel in (tau_pairs, qn_pairs, mad_pairs):
        kernel(rows, square)
