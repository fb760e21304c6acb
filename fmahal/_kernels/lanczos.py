"""Lanczos steps on the products of centred rows, which pass once a step and are never copied."""

import numpy as np
from numba import prange

from ._jit import jit, warms

CHUNKS = 64  # at most: sums do not depend on the number of threads
ROWS = 4  # rows that share one pass over the vector and over the sum
FEWEST = 16  # rows in a chunk
_EXHAUSTED = 1e-14  # of the size of the operator: what is left of a vector is rounding


def chunks_of(n):
    """Return how many chunks n rows are summed in."""
    return max(1, min(CHUNKS, n // FEWEST))


@jit(parallel=True)
def moments_about(X, origin, shifts, squares):
    """Write the sums of x - origin over chunks of rows into shifts (chunks, p), of its squares into squares. O(n p)."""
    n, p = X.shape
    count = squares.size
    for chunk in prange(count):
        for j in range(p):
            shifts[chunk, j] = 0.0
        total = 0.0
        for i in range(chunk * n // count, (chunk + 1) * n // count):
            for j in range(p):
                value = np.float64(X[i, j]) - origin[j]
                shifts[chunk, j] += value
                total += value * value
        squares[chunk] = total


@jit
def add_products(X, location, v, start, stop, out):
    """Add C'(C v) of rows start ... stop-1 to out, C being X - location."""
    p = v.size
    i = start
    while i + ROWS <= stop:
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(p):
            m, w = location[j], v[j]
            s0 += (np.float64(X[i, j]) - m) * w
            s1 += (np.float64(X[i + 1, j]) - m) * w
            s2 += (np.float64(X[i + 2, j]) - m) * w
            s3 += (np.float64(X[i + 3, j]) - m) * w
        for j in range(p):  # these rows are still in the first cache
            m = location[j]
            out[j] += (s0 * (np.float64(X[i, j]) - m) + s1 * (np.float64(X[i + 1, j]) - m)) + (
                s2 * (np.float64(X[i + 2, j]) - m) + s3 * (np.float64(X[i + 3, j]) - m)
            )
        i += ROWS
    while i < stop:
        s0 = 0.0
        for j in range(p):
            s0 += (np.float64(X[i, j]) - location[j]) * v[j]
        for j in range(p):
            out[j] += s0 * (np.float64(X[i, j]) - location[j])
        i += 1


@jit
def _orthogonalise(w, basis, known):
    """Subtract from w, twice, its parts along the first rows of the basis; return what is left of its length."""
    p = w.size
    for _ in range(2):
        for k in range(known):
            along = 0.0
            for j in range(p):
                along += w[j] * basis[k, j]
            for j in range(p):
                w[j] -= along * basis[k, j]
    size = 0.0
    for j in range(p):
        size += w[j] * w[j]
    return np.sqrt(size)


@jit(parallel=True)
def lanczos_steps(X, location, basis, deflated, alpha, beta, first, last, partial):
    """Take steps first ... last-1 of a Lanczos process of C'C, C being X - location; return how many are done.

    Rows of `basis` are orthonormal vectors: `deflated` of them to stay orthogonal to, then those of the process,
    which begins with basis[deflated]. Step k fills alpha[k], beta[k] and the vector after its own. It stops early
    where no further direction is left. O(n p) a step, the rows passing once, and O(p) for each vector before it.
    """
    n, p = X.shape
    count = partial.shape[0]
    w = np.empty(p)
    for k in range(first, last):
        known = deflated + k + 1
        v = basis[known - 1]
        for chunk in prange(count):
            for j in range(p):
                partial[chunk, j] = 0.0
            add_products(X, location, v, chunk * n // count, (chunk + 1) * n // count, partial[chunk])
        along = 0.0
        for j in range(p):
            w[j] = 0.0
        for chunk in range(count):
            for j in range(p):
                w[j] += partial[chunk, j]
        for j in range(p):
            along += w[j] * v[j]
        alpha[k] = along
        size = _orthogonalise(w, basis, known)
        beta[k] = size
        if not size > _EXHAUSTED * alpha[0]:
            return k + 1
        for j in range(p):
            basis[known, j] = w[j] / size
    return last


@warms
def _warm():
    for dtype in (np.float64, np.float32):
        X = np.eye(6, 3, dtype=dtype)
        location, squares = np.zeros(3), np.empty(1)
        for array in (X, location):
            array.flags.writeable = False
        moments_about(X, location, np.empty((1, 3)), squares)
        basis = np.eye(3)
        lanczos_steps(X, location, basis, 0, np.empty(2), np.empty(2), 0, 1, np.empty((1, 3)))
