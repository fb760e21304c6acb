"""Random maps of rows: subsampled Walsh-Hadamard transforms with random signs, and sparse signed sums."""

import numpy as np
from numba import prange

from ._jit import jit, warms

TAIL = 16  # entries that the last levels mix: of them only the sums that were sampled are made
LOCAL = 4096  # entries that stay in the first cache: one such piece after the other takes all lower levels
ROWS = 16  # rows that a sparse map works on side by side
PANEL = 256  # columns of them that are turned at a time
CHUNK = 8  # rows a thread takes at a time, on one work space


@jit
def _pairs(w):
    for block in range(w.shape[0]):
        for i in range(w.shape[2]):
            a, b = w[block, 0, i], w[block, 1, i]
            w[block, 0, i] = a + b
            w[block, 1, i] = a - b


@jit
def _fours(w):
    last = w.shape[0] - 1
    for block in range(w.shape[0]):
        u = w[block & last]  # = block, in a form that keeps the compiler's test for overlap inside this loop
        for i in range(u.shape[1]):
            a, b, c, d = u[0, i], u[1, i], u[2, i], u[3, i]
            a, b, c, d = a + c, b + d, a - c, b - d
            u[0, i] = a + b
            u[1, i] = a - b
            u[2, i] = c + d
            u[3, i] = c - d


@jit
def _eights(w):
    last = w.shape[0] - 1
    for block in range(w.shape[0]):
        u = w[block & last]
        for i in range(u.shape[1]):
            a, b, c, d, e, f, g, h = u[0, i], u[1, i], u[2, i], u[3, i], u[4, i], u[5, i], u[6, i], u[7, i]
            a, b, c, d, e, f, g, h = a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h
            a, b, c, d, e, f, g, h = a + c, b + d, a - c, b - d, e + g, f + h, e - g, f - h
            u[0, i] = a + b
            u[1, i] = a - b
            u[2, i] = c + d
            u[3, i] = c - d
            u[4, i] = e + f
            u[5, i] = e - f
            u[6, i] = g + h
            u[7, i] = g - h


@jit
def _levels(w, size, least):
    """Mix the blocks of `size` entries of w down to blocks of at most `least`; return their size.

    Three levels a pass, and one or two in the first where their number asks for it.
    """
    left = 0
    while size >> left > least:
        left += 1
    while left > 0:
        step = left % 3 if left % 3 > 0 else 3
        blocks = w.size // size
        size >>= step
        if step == 3:
            _eights(w.reshape((blocks, 8, size)))
        elif step == 2:
            _fours(w.reshape((blocks, 4, size)))
        else:
            _pairs(w.reshape((blocks, 2, size)))
        left -= step
    return size


@jit
def _load(x, signs, w):
    """Write the first level of (signs * x, zeros) to w; the zeros are not read."""
    h = w.size // 2
    if h == 0:
        w[0] = x[0] * signs[0]
        return
    both = x.size - h
    w0, w1 = w[:h], w[h:]  # slices: indices that cannot be negative let the compiler use SIMD
    x1, signs1 = x[h:], signs[h:]
    for i in range(both):
        a, b = x[i] * signs[i], x1[i] * signs1[i]
        w0[i] = a + b
        w1[i] = a - b
    for i in range(both, h):
        a = x[i] * signs[i]
        w0[i] = a
        w1[i] = a


@jit
def _sampled_sums(w, table, sample, scale, out):
    """Write scale times the sampled sums of the last levels: products with rows of a small Hadamard matrix."""
    groups = w.reshape((w.size // TAIL, TAIL))
    for t in range(sample.size):
        z, signs = groups[sample[t] // TAIL], table[sample[t] % TAIL]
        total = w.dtype.type(0)
        for i in range(TAIL):  # a constant, so that the loop unrolls
            total += z[i] * signs[i]
        out[t] = total * scale


@jit
def _hadamard_chunk(X, signs, table, sample, scale, order, start, stop, out):
    w = np.empty(order, X.dtype)
    least = TAIL if table.size > 0 else 1
    for r in range(start, stop):
        _load(X[r], signs, w)
        size = _levels(w, max(order // 2, 1), max(LOCAL, least))
        for first in range(0, order, size):
            _levels(w[first : first + size], size, least)
        if table.size > 0:
            _sampled_sums(w, table, sample, scale, out[r])
        else:
            for t in range(sample.size):
                out[r, t] = w[sample[t]] * scale


@jit(parallel=True)
def hadamard_rows(X, signs, table, sample, scale, order, out):
    """Write scale times entries `sample` (k,) of H (signs * x, zeros) for each row x of X (n, m), to `out` (n, k).

    H is the Hadamard matrix of order m', a power of two, m <= m' < 2 m. `table` is that of order TAIL: the last levels
    are then done for the sampled entries alone, which pays when they are few; a table of no entries: all are done.
    O(m' log m' + TAIL k) a row, in a work space of m' entries for a thread.
    """
    n = X.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        first = chunk * CHUNK
        _hadamard_chunk(X, signs, table, sample, scale, order, first, min(first + CHUNK, n), out)


@jit
def _sparse_row(x, codes, scale, out):
    """One row alone, without the lanes of others that `_sparse_chunk` would leave empty; the same sums."""
    m, s = codes.shape
    sums = np.zeros(scale.size)
    for j in range(m):
        value = np.float64(x[j])
        for t in range(s):
            code = codes[j, t]
            sums[code ^ (code >> 31)] += (1.0 - 2.0 * (code < 0)) * value
    for i in range(scale.size):
        out[i] = sums[i] * scale[i]


@jit
def _sparse_chunk(X, codes, scale, start, stop, out):
    """Rows start ... stop-1, at most ROWS, side by side: an entry of the map costs one SIMD addition to all of them."""
    m, s = codes.shape
    k = scale.size
    sums = np.zeros((k, ROWS))
    panel = np.zeros((PANEL, ROWS))
    for left in range(0, m, PANEL):
        width = min(PANEL, m - left)
        for r in range(stop - start):
            for j in range(width):
                panel[j, r] = X[start + r, left + j]
        for j in range(width):
            x = panel[j]
            for t in range(s):
                code = codes[left + j, t]
                sign = 1.0 - 2.0 * (code < 0)  # no branch: it would be taken at random
                into = sums[code ^ (code >> 31)]
                for r in range(ROWS):
                    into[r] += sign * x[r]
    for r in range(stop - start):
        for i in range(k):
            out[start + r, i] = sums[i, r] * scale[i]


@jit(parallel=True)
def sparse_rows(X, codes, scale, out):
    """Write scale * sums of signed entries for each row x of X (n, m), to `out` (n, k), summed in float64.

    `codes` (m, s) int32: column j of the map has +1 in row c for a code c >= 0, and -1 in row ~c for one below 0.
    `scale` (k,): factors of the rows of the map. O(m s) a row.
    """
    n = X.shape[0]
    for chunk in prange((n + ROWS - 1) // ROWS):
        first = chunk * ROWS
        if first + 1 == n:
            _sparse_row(X[first], codes, scale, out[first])
        else:
            _sparse_chunk(X, codes, scale, first, min(first + ROWS, n), out)


@warms
def _warm():
    sample, codes, scale = np.zeros(1, np.int64), np.zeros((3, 2), np.int32), np.ones(2)
    for array in (sample, codes, scale):
        array.flags.writeable = False
    for dtype in (np.float64, np.float32):
        X, signs, table = np.ones((2, 3), dtype), np.ones(3, dtype), np.ones((0, 0), dtype)
        for array in (X, signs, table):
            array.flags.writeable = False
        hadamard_rows(X, signs, table, sample, dtype(1.0), 4, np.empty((2, 1), dtype))
        sparse_rows(X, codes, scale, np.empty((2, 2), dtype))
