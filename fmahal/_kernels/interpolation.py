"""Tabulated functions of many numbers."""

import numpy as np
from numba import prange

from ._jit import jit, warms


@jit
def _one(x, scale, table):
    """Linear between the points of a table; the last interval goes on for what lies beyond."""
    place = x * scale
    k = min(np.int64(place), table.size - 2)
    return table[k] + (place - k) * (table[k + 1] - table[k])


@jit(parallel=True)
def interpolate(x, scale, table, out):
    """Values at x (m,), not negative, of the function that is `table` at 0, 1 / scale, 2 / scale, ... O(m)."""
    for i in prange(x.size):
        out[i] = _one(x[i], scale, table)


@warms
def _warm():
    x, table = np.zeros(2), np.zeros(3)
    for array in (x, table):
        array.flags.writeable = False
    interpolate(x, 1.0, table, np.empty(2))
