"""Quadratic forms of many rows: fused triangular products and squared norms of differences."""

import numpy as np
from numba import prange

from ._jit import jit, warms

ROWS = 64  # rows a block: wide enough for SIMD, small enough that ROWS x p stays in the first two caches
CHUNK = 8 * ROWS  # rows a thread takes at a time, on one work space
NARROW = 32


@jit
def triangular_rows(X, location, coefficients, scale, recursive, start, stop, out):
    """Squared norms of triangularly whitened rows start ... stop-1, in one pass and on one thread.

    z_j = scale_j (x_j - m_j + sum_{k<j} coefficients_jk y_k) with y = z when `recursive` (forward substitution)
    and y = x - m otherwise (product with a lower triangle); out_i = |z_i|^2. O(n p^2 / 2) multiply-adds.
    Blocks of rows are transposed so that the inner loop runs over rows: it has no reduction, and its order of
    summation does not depend on the number of threads.
    """
    p = X.shape[1]
    z = np.zeros((p, ROWS))
    total = np.empty(ROWS)
    for first in range(start, stop, ROWS):
        width = min(ROWS, stop - first)
        if p <= NARROW:  # strided reads stay in the first cache
            for j in range(p):
                m = location[j]
                for r in range(width):
                    z[j, r] = X[first + r, j] - m
        else:
            for r in range(width):
                for j in range(p):
                    z[j, r] = X[first + r, j] - location[j]
        total[:] = 0.0
        for step in range(p):
            j = step if recursive else p - 1 - step
            zj = z[j]
            k = 0
            while k + 8 <= j:  # eight terms a pass: one store for eight multiply-adds
                c0, c1 = coefficients[j, k], coefficients[j, k + 1]
                c2, c3 = coefficients[j, k + 2], coefficients[j, k + 3]
                c4, c5 = coefficients[j, k + 4], coefficients[j, k + 5]
                c6, c7 = coefficients[j, k + 6], coefficients[j, k + 7]
                for r in range(ROWS):
                    zj[r] += ((c0 * z[k, r] + c1 * z[k + 1, r]) + (c2 * z[k + 2, r] + c3 * z[k + 3, r])) + (
                        (c4 * z[k + 4, r] + c5 * z[k + 5, r]) + (c6 * z[k + 6, r] + c7 * z[k + 7, r])
                    )
                k += 8
            while k < j:
                c0 = coefficients[j, k]
                for r in range(ROWS):
                    zj[r] += c0 * z[k, r]
                k += 1
            s = scale[j]
            for r in range(ROWS):
                value = zj[r] * s
                zj[r] = value
                total[r] += value * value
        for r in range(width):
            out[first + r] = total[r]


@jit(parallel=True)
def triangular_sqnorm(X, location, coefficients, scale, recursive, out):
    """`triangular_rows` over all rows, on all threads."""
    n = X.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        first = chunk * CHUNK
        triangular_rows(X, location, coefficients, scale, recursive, first, min(first + CHUNK, n), out)


@jit(parallel=True)
def rows_sqnorm(Z, weights, out):
    """Weighted squared norms of rows: out_i = sum_j weights_j z_ij^2, summed in float64. O(n r)."""
    n, r = Z.shape
    for i in prange(n):
        total = 0.0
        for j in range(r):
            value = np.float64(Z[i, j])
            total += weights[j] * value * value
        out[i] = total


@jit(parallel=True)
def cross_sqnorm(ZA, ZB, out):
    """Squared Euclidean distances between all rows of two arrays, by differences. O(n m r)."""
    n, r = ZA.shape
    m = ZB.shape[0]
    for i in prange(n):
        for k in range(m):
            total = 0.0
            for j in range(r):
                value = np.float64(ZA[i, j]) - np.float64(ZB[k, j])
                total += value * value
            out[i, k] = total


@jit(parallel=True)
def expand_sqnorm(ZA, ZB, sqA, sqB, lost, out):
    """Finish |a|^2 + |b|^2 - 2 a.b in place, where out holds a.b on entry.

    An entry below `lost` times |a|^2 + |b|^2 has lost digits to cancellation and is computed again from the
    difference a - b; no entry can come out negative. O(n m), plus O(r) for each entry computed again.
    """
    n, r = ZA.shape
    m = ZB.shape[0]
    for i in prange(n):
        for k in range(m):
            size = sqA[i] + sqB[k]
            value = size - 2.0 * out[i, k]
            if not value > lost * size:  # NaN takes this branch and stays NaN
                value = 0.0
                for j in range(r):
                    gap = ZA[i, j] - ZB[k, j]
                    value += gap * gap
            out[i, k] = value


@jit(parallel=True)
def condensed_sqnorm(Z, out):
    """Squared Euclidean distances between the rows of Z, upper triangle row by row, by differences. O(n^2 r / 2)."""
    n, r = Z.shape
    for i in prange(n - 1):
        start = i * (2 * n - i - 1) // 2 - i - 1  # row i of the triangle begins at start + i + 1
        for k in range(i + 1, n):
            total = 0.0
            for j in range(r):
                value = np.float64(Z[i, j]) - np.float64(Z[k, j])
                total += value * value
            out[start + k] = total


@warms
def _warm():
    for dtype in (np.float64, np.float32):
        X = np.ones((3, 2), dtype)
        X.flags.writeable = False
        vector, square = np.ones(2), np.eye(2)
        for array in (vector, square):
            array.flags.writeable = False
        out = np.empty(3, dtype)
        triangular_sqnorm(X, vector, square, vector, True, out)
        triangular_rows(X, vector, square, vector, True, 0, 3, out)
        rows_sqnorm(X, vector, out)
        rows_sqnorm(X, vector, np.empty(3))
        cross_sqnorm(X, X, np.empty((3, 3), dtype))
        condensed_sqnorm(X, np.empty(3, dtype))
    Z = np.ones((3, 2))
    Z.flags.writeable = False
    sq = np.ones(3)
    sq.flags.writeable = False
    expand_sqnorm(Z, Z, sq, sq, 1e-4, np.ones((3, 3)))
