"""Wrapping: robust locations and scales of rows, and their cells drawn in (Raymaekers and Rousseeuw 2021)."""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .selection import select, sorted_copy

WRAP_IN = 1.5  # b and c of Raymaekers and Rousseeuw (2021), and the constants that follow from them
WRAP_OUT = 4.0
WRAP_HEIGHT = 1.540793  # q1
WRAP_SLOPE = 0.8622731  # q2
WRAP_CUT = (
    3.3230973  # sqrt(chi2_{1, 0.975}) / Phi^-1(3/4): a distance that half of the values have, to the cutoff
)
WRAP_FACTOR = 1.0835  # of a standard deviation after that cutoff
FEW = 12
REFRESH = 1e-6
SAME = 1e-9
ROUNDING = 32 * 2.220446049250313e-16  # a scale below it, relative to the location, is rounding


@jit
def window_scatters(y, h, out):
    """Sum of squares about the mean of every h neighbours y[s:s+h] of ascending y. O(n).

    Sums slide by one value; they start afresh where they fall so far that rounding of larger ones would show.
    """
    n = y.size
    mean, total, peak = 0.0, 0.0, np.inf
    for s in range(n - h + 1):
        if s > 0:
            step = y[s + h - 1] - y[s - 1]
            before = mean
            mean += step / h
            total += step * ((y[s + h - 1] - mean) + (y[s - 1] - before))
            peak = max(peak, total)
        if total < REFRESH * peak:
            mean = 0.0
            for i in range(s, s + h):
                mean += (y[i] - y[s]) / h
            mean += y[s]
            total = 0.0
            for i in range(s, s + h):
                total += (y[i] - mean) * (y[i] - mean)
            peak = total
        out[s] = total


@jit
def shortest_half(y):
    """Mean of the h neighbours of least variance in ascending y, and the distance from it that holds as many values.

    h = n // 2, and one more of few values, where half of them say little.
    Of several such sets, equal up to rounding, the middle one counts, or the mean of the two middle ones.
    """
    n = y.size
    h = n // 2 + (n < FEW)
    scatters = np.empty(n - h + 1)
    window_scatters(y, h, scatters)
    bound = scatters.min() * (1.0 + SAME)
    ties = np.empty(n - h + 1, np.int64)
    count = 0
    for s in range(n - h + 1):
        if scatters[s] <= bound:
            ties[count] = s
            count += 1
    mean = 0.0
    for s in (ties[(count - 1) // 2], ties[count // 2]):
        moved = 0.0
        for i in range(s, s + h):
            moved += (y[i] - y[s]) / h  # no rounding where the values are equal
        mean += 0.5 * (y[s] + moved)
    distances = np.abs(y - mean)
    return mean, select(distances, n, h - 1)


@jit
def wrapped_location(x, centre, scale):
    """One step of the M-estimator of location with the wrapping psi: weights psi(z) / z at z = (x - centre) / scale."""
    total = 0.0
    moved = 0.0
    for i in range(x.size):
        z = (x[i] - centre) / scale
        size = abs(z)
        weight = 1.0
        if size >= WRAP_OUT:
            weight = 0.0
        elif size > WRAP_IN:
            weight = WRAP_HEIGHT * np.tanh(WRAP_SLOPE * (WRAP_OUT - size)) / size
        total += weight
        moved += weight * z
    return centre + scale * (moved / total)


@jit
def wrap_of(x, y):
    """Location and scale of x, sorted in y, from which cells are wrapped (see `WrappedCovariance`). O(n).

    The univariate MCD of half of the values gives weights 0 or 1, these a mean and a standard deviation, and a step
    of the wrapping M-estimator from there the location. The middle value and 0 where half of the values are equal.
    """
    n = y.size
    if n < 2:
        return y[0], 0.0
    centre, reach = shortest_half(y)
    cut = WRAP_CUT * reach * (n / (n - 3.0) if n > 3 else 1.0)
    count = 0
    mean = 0.0
    for i in range(n):
        if abs(y[i] - centre) <= cut:
            count += 1
            mean += y[i] - centre
    mean = centre + mean / count
    total = 0.0
    for i in range(n):
        if abs(y[i] - centre) <= cut:
            total += (y[i] - mean) * (y[i] - mean)
    scale = WRAP_FACTOR * n / (n - 1.4) * np.sqrt(total / (count - 1.0)) if count > 1 else 0.0
    if not scale > ROUNDING * abs(mean):
        return y[n // 2], 0.0
    return wrapped_location(x, mean, scale), scale


@jit(parallel=True)
def wrap_rows(Xt, location, scale):
    """Location and scale of each row for wrapping, see `wrap_of`. O(m n log n)."""
    for r in prange(Xt.shape[0]):
        location[r], scale[r] = wrap_of(Xt[r], sorted_copy(Xt[r]))


@jit(parallel=True)
def wrap_cells(Xt, location, scale, out):
    """Write the wrapped values m + s psi((x - m) / s) of each row; m where the scale s is 0. O(m n)."""
    m, n = Xt.shape
    for r in prange(m):
        centre, unit = location[r], scale[r]
        for i in range(n):
            if not unit > 0.0:
                out[r, i] = centre
                continue
            z = (Xt[r, i] - centre) / unit
            size = abs(z)
            if size <= WRAP_IN:
                out[r, i] = Xt[r, i]
            elif size >= WRAP_OUT:
                out[r, i] = centre
            else:
                out[r, i] = centre + np.copysign(
                    unit * WRAP_HEIGHT * np.tanh(WRAP_SLOPE * (WRAP_OUT - size)), z
                )


@warms
def _warm():
    rows = np.arange(12.0).reshape(2, 6)
    rows.flags.writeable = False
    location, scale = np.empty(2), np.empty(2)
    wrap_rows(rows, location, scale)
    location.flags.writeable = scale.flags.writeable = False
    wrap_cells(rows, location, scale, np.empty((2, 6)))
