"""Few coordinates of many rows, and squared distances between all rows of two narrow arrays."""

import numpy as np
from numba import prange

from ._jit import jit, warms

ROWS = 4  # of X that share a pass over the directions


@jit
def columns_from(Z, U, start, stop, out):
    """Write `cross_columns` for rows start ... stop-1 of Z."""
    r, m = U.shape
    for i in range(start, stop):
        for k in range(m):
            out[i, k] = 0.0
        j = 0
        while j + 4 <= r:
            a, b, c, d = Z[i, j], Z[i, j + 1], Z[i, j + 2], Z[i, j + 3]
            for k in range(m):
                e, f, g, h = a - U[j, k], b - U[j + 1, k], c - U[j + 2, k], d - U[j + 3, k]
                out[i, k] += (e * e + f * f) + (g * g + h * h)
            j += 4
        while j < r:
            a = Z[i, j]
            for k in range(m):
                e = a - U[j, k]
                out[i, k] += e * e
            j += 1


@jit(parallel=True)
def cross_columns(Z, U, out):
    """Write squared Euclidean distances between the rows of Z (n, r) and the *columns* of U (r, m). O(n m r).

    By differences, the inner loop over neighbouring columns: for few coordinates several times faster than a loop
    over those. The order of summation is that of the coordinates, four at a time, for every pair. `columns_from` does
    the same on the caller's thread, which wakes none.
    """
    for i in prange(Z.shape[0]):
        columns_from(Z, U, i, i + 1, out)


@jit
def product_from(X, W, shift, start, stop, out):
    """Write `narrow_product` for rows start ... stop-1."""
    p = X.shape[1]
    r = W.shape[0]
    i = start
    while i + ROWS <= stop:
        k = 0
        while k + 2 <= r:  # eight products for six numbers read
            s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
            t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0
            for j in range(p):
                v, w = W[k, j], W[k + 1, j]
                x0, x1, x2, x3 = X[i, j], X[i + 1, j], X[i + 2, j], X[i + 3, j]
                s0 += x0 * v
                s1 += x1 * v
                s2 += x2 * v
                s3 += x3 * v
                t0 += x0 * w
                t1 += x1 * w
                t2 += x2 * w
                t3 += x3 * w
            out[i, k], out[i, k + 1] = s0 - shift[k], t0 - shift[k + 1]
            out[i + 1, k], out[i + 1, k + 1] = s1 - shift[k], t1 - shift[k + 1]
            out[i + 2, k], out[i + 2, k + 1] = s2 - shift[k], t2 - shift[k + 1]
            out[i + 3, k], out[i + 3, k + 1] = s3 - shift[k], t3 - shift[k + 1]
            k += 2
        while k < r:
            s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
            for j in range(p):
                w = W[k, j]
                s0 += X[i, j] * w
                s1 += X[i + 1, j] * w
                s2 += X[i + 2, j] * w
                s3 += X[i + 3, j] * w
            out[i, k], out[i + 1, k] = s0 - shift[k], s1 - shift[k]
            out[i + 2, k], out[i + 3, k] = s2 - shift[k], s3 - shift[k]
            k += 1
        i += ROWS
    while i < stop:
        for k in range(r):
            s0 = 0.0
            for j in range(p):
                s0 += X[i, j] * W[k, j]
            out[i, k] = s0 - shift[k]
        i += 1


@jit(parallel=True)
def narrow_product(X, W, shift, out):
    """Write ``X @ W.T - shift`` for X (n, p) and few rows of W (r, p). O(n p r).

    As fast as BLAS for few coordinates. `product_from` does the same on the caller's thread, which wakes none.
    """
    n = X.shape[0]
    for block in prange((n + ROWS - 1) // ROWS):
        product_from(X, W, shift, block * ROWS, min(n, (block + 1) * ROWS), out)


@warms
def _warm():
    Z = np.ones((3, 2))
    Z.flags.writeable = False
    U = np.ones((2, 3))
    U.flags.writeable = False
    shift = np.ones(3)
    shift.flags.writeable = False
    narrow_product(Z, Z, shift, np.empty((3, 3)))
    product_from(Z, Z, shift, 0, 3, np.empty((3, 3)))
    cross_columns(Z, U, np.empty((3, 3)))
    columns_from(Z, U, 0, 3, np.empty((3, 3)))
