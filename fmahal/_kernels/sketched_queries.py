"""Passes over the points or the sketches of an adaptive index: medians of squared distances, centred products."""

import numpy as np
from numba import prange

from ._jit import jit, warms

TOGETHER = 4  # queries that share a pass over a stored row
SEGMENTS = 64  # jobs for the threads: enough to share them out evenly


@jit
def _one_query(stored, chosen, centre, start, stop, sums):
    """Fill the rows of sums[0] for stored rows start ... stop-1."""
    for s in range(chosen.shape[0]):
        number = chosen[s]
        for i in range(start, stop):
            total = 0.0
            for j in range(stored.shape[2]):
                gap = np.float64(stored[number, i, j]) - centre[s, j]
                total += gap * gap
            sums[0, i - start, s] = total


@jit
def _four_queries(stored, chosen, centres, start, stop, sums):
    """Fill sums for four queries: eight operations for each number that is read and widened."""
    for s in range(chosen.shape[0]):
        number = chosen[s]
        for i in range(start, stop):
            t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0
            for j in range(stored.shape[2]):
                value = np.float64(stored[number, i, j])
                a, b = value - centres[0, s, j], value - centres[1, s, j]
                c, d = value - centres[2, s, j], value - centres[3, s, j]
                t0 += a * a
                t1 += b * b
                t2 += c * c
                t3 += d * d
            sums[0, i - start, s] = t0
            sums[1, i - start, s] = t1
            sums[2, i - start, s] = t2
            sums[3, i - start, s] = t3


@jit
def _medians(sums, out):
    """Sort the rows of `sums` and write their medians; of an even number the mean of the middle two."""
    r = sums.shape[1]
    half = r // 2
    for i in range(out.shape[0]):
        for s in range(1, r):
            value = sums[i, s]
            t = s
            while t > 0 and sums[i, t - 1] > value:
                sums[i, t] = sums[i, t - 1]
                t -= 1
            sums[i, t] = value
        out[i] = sums[i, half] if r % 2 == 1 else 0.5 * (sums[i, half - 1] + sums[i, half])


@jit(parallel=True)
def median_sqnorms(stored, chosen, centres, sums, out):
    """Medians over chosen sketches of squared distances between stored rows and queries, by differences. O(q n r k).

    out[a, i] = median over s of |stored[chosen[s], i] - centres[a, s]|^2 for the first n = out.shape[1] rows of the
    (L, capacity, k) sketches, float32 or float64, and q float64 queries (q, r, k); sums are float64. `sums`
    (segments, 4, rows, r), or (segments, 1, rows, r) for less than four queries, is work space: each segment of points
    is one thread's job, taken `rows` points at a time, which stay in its cache while all queries pass over them. No
    number depends on segments, rows or threads.
    """
    q, n = out.shape
    segments, rows = sums.shape[0], sums.shape[2]
    length = (n + segments - 1) // segments
    for segment in prange(segments):
        work = sums[segment]
        last = min(n, (segment + 1) * length)
        for start in range(segment * length, last, rows):
            stop = min(last, start + rows)
            a = 0
            while a + TOGETHER <= q:
                _four_queries(stored, chosen, centres[a : a + TOGETHER], start, stop, work)
                for b in range(TOGETHER):
                    _medians(work[b], out[a + b, start:stop])
                a += TOGETHER
            while a < q:
                _one_query(stored, chosen, centres[a], start, stop, work)
                _medians(work[0], out[a, start:stop])
                a += 1


@jit
def fold_queries(folded, chosen, X, out):
    """Write the sketches of few queries, out[a, s, j] = folded[chosen[s], j] . X[a], summed in float64. O(q r k p).

    On the caller's thread: so short a read is not worth waking others, and those of a BLAS would keep spinning beside
    the threads that scan the points next.
    """
    q, r, k = out.shape
    for s in range(r):
        number = chosen[s]
        for j in range(k):
            for a in range(q):
                total = 0.0
                for i in range(X.shape[1]):
                    total += np.float64(folded[number, j, i]) * X[a, i]
                out[a, s, j] = total


@jit(parallel=True)
def centred_products(X, origin, V, out):
    """Write out[i, a] = (X[i] - origin) . V[a], summed in the dtype of X; all C-ordered of one dtype. O(n p t).

    Rows are read from memory once for all t of V, four of them for each number of V and the origin, and a centred copy
    is never written: about as fast as X V' alone.
    """
    n, t = out.shape
    segments = min(n, SEGMENTS)
    for segment in prange(segments):
        i, last = segment * n // segments, (segment + 1) * n // segments
        while i + 4 <= last:
            for a in range(t):
                t0 = V[a, 0] - V[a, 0]
                t1, t2, t3 = t0, t0, t0
                for j in range(X.shape[1]):
                    c, v = origin[j], V[a, j]
                    t0 += (X[i, j] - c) * v
                    t1 += (X[i + 1, j] - c) * v
                    t2 += (X[i + 2, j] - c) * v
                    t3 += (X[i + 3, j] - c) * v
                out[i, a], out[i + 1, a], out[i + 2, a], out[i + 3, a] = t0, t1, t2, t3
            i += 4
        for rest in range(i, last):
            for a in range(t):
                total = V[a, 0] - V[a, 0]
                for j in range(X.shape[1]):
                    total += (X[rest, j] - origin[j]) * V[a, j]
                out[rest, a] = total


@warms
def _warm():
    chosen, centres = np.zeros(1, np.int64), np.ones((1, 1, 2))
    for array in (chosen, centres):
        array.flags.writeable = False
    for dtype in (np.float64, np.float32):
        stored = np.ones((1, 3, 2), dtype)
        stored.flags.writeable = False
        median_sqnorms(stored, chosen, centres, np.empty((1, TOGETHER, 2, 1)), np.empty((1, 3)))
        fold_queries(stored, chosen, centres[0], np.empty((1, 1, 3)))
        centred_products(stored[0], stored[0, 0], stored[0, :1], np.empty((3, 1), dtype))
