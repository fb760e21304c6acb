"""Whitening by sequences of regressions: banded coefficients, and implicit ones (p > n).

Both write e_j = x_j - sum_{k<j} phi_jk x_k, z_j = e_j / s_j, where s_j^2 is the innovation variance.
Banded: ``band[j, t-1]`` is phi_{j,j-t}. Implicit: phi_jk = columns_k . dual_j, so that a new row needs only the
running vector sum_{k<j} x_k columns_k. ``location`` is subtracted on the way.
"""

import numpy as np
from numba import prange

from ._jit import jit, warms

ROWS = 32
COLUMNS = 256


@jit(parallel=True, reassociate=False)
def banded_sqnorm(X, location, band, inverse, out):
    """Squared norms of banded innovations, divided by s_j; `inverse` = 1 / s_j. O(n p k), memory O(k) a thread."""
    n, p = X.shape
    k = band.shape[1]
    for block in prange((n + ROWS - 1) // ROWS):
        first = block * ROWS
        width = min(ROWS, n - first)
        tile = np.zeros((COLUMNS + k, ROWS))
        total = np.zeros(ROWS)
        e = np.empty(ROWS)
        for start in range(0, p, COLUMNS):
            stop = min(start + COLUMNS, p)
            low = max(start - k, 0)
            for r in range(width):
                for j in range(low, stop):
                    tile[j - low, r] = X[first + r, j] - location[j]
            for j in range(start, stop):
                row = j - low
                for r in range(ROWS):
                    e[r] = tile[row, r]
                terms = min(k, j)
                t = 0
                while t + 4 <= terms:
                    c0, c1, c2, c3 = band[j, t], band[j, t + 1], band[j, t + 2], band[j, t + 3]
                    for r in range(ROWS):
                        e[r] -= (c0 * tile[row - t - 1, r] + c1 * tile[row - t - 2, r]) + (
                            c2 * tile[row - t - 3, r] + c3 * tile[row - t - 4, r]
                        )
                    t += 4
                while t < terms:
                    c0 = band[j, t]
                    for r in range(ROWS):
                        e[r] -= c0 * tile[row - t - 1, r]
                    t += 1
                for r in range(ROWS):
                    z = e[r] * inverse[j]
                    total[r] += z * z
        for r in range(width):
            out[first + r] = total[r]


@jit(parallel=True)
def banded_whiten(X, band, scale, out):
    """Standardised banded innovations of centred rows. O(n p k)."""
    n, p = X.shape
    k = band.shape[1]
    for i in prange(n):
        for j in range(p):
            value = np.float64(X[i, j])
            for t in range(min(k, j)):
                value -= band[j, t] * X[i, j - t - 1]
            out[i, j] = value / scale[j]


@jit(parallel=True)
def banded_adjoint(Z, band, scale, out):
    """Rows times the whitening matrix D^{-1/2} T, T banded. O(n p k)."""
    n, p = Z.shape
    k = band.shape[1]
    for i in prange(n):
        for j in range(p):
            value = Z[i, j] / scale[j]
            for t in range(min(k, p - 1 - j)):
                value -= band[j + t + 1, t] * (Z[i, j + t + 1] / scale[j + t + 1])
            out[i, j] = value


@jit(parallel=True)
def banded_color(Z, band, scale, out):
    """Inverse of `banded_whiten`, by recursion along each row. O(n p k)."""
    n, p = Z.shape
    k = band.shape[1]
    for i in prange(n):
        for j in range(p):
            value = Z[i, j] * scale[j]
            for t in range(min(k, j)):
                value += band[j, t] * out[i, j - t - 1]
            out[i, j] = value


@jit(parallel=True, reassociate=False)
def sequential_sqnorm(X, location, dual, columns, inverse, out):
    """Squared norms of implicit innovations, divided by s_j. O(n p m), m fitted rows; memory O(m)."""
    n, p = X.shape
    m = dual.shape[1]
    for block in prange((n + ROWS - 1) // ROWS):
        first = block * ROWS
        width = min(ROWS, n - first)
        running = np.zeros((m, ROWS))
        total = np.zeros(ROWS)
        x = np.zeros(ROWS)
        e = np.empty(ROWS)
        for j in range(p):
            for r in range(width):
                x[r] = X[first + r, j] - location[j]
            for r in range(ROWS):
                e[r] = x[r]
            i = 0
            while i + 4 <= m:
                u0, u1, u2, u3 = dual[j, i], dual[j, i + 1], dual[j, i + 2], dual[j, i + 3]
                v0, v1, v2, v3 = columns[j, i], columns[j, i + 1], columns[j, i + 2], columns[j, i + 3]
                for r in range(ROWS):
                    s0, s1 = running[i, r], running[i + 1, r]
                    s2, s3 = running[i + 2, r], running[i + 3, r]
                    e[r] -= (u0 * s0 + u1 * s1) + (u2 * s2 + u3 * s3)
                    running[i, r] = s0 + v0 * x[r]
                    running[i + 1, r] = s1 + v1 * x[r]
                    running[i + 2, r] = s2 + v2 * x[r]
                    running[i + 3, r] = s3 + v3 * x[r]
                i += 4
            while i < m:
                u0, v0 = dual[j, i], columns[j, i]
                for r in range(ROWS):
                    e[r] -= u0 * running[i, r]
                    running[i, r] += v0 * x[r]
                i += 1
            for r in range(ROWS):
                z = e[r] * inverse[j]
                total[r] += z * z
        for r in range(width):
            out[first + r] = total[r]


@jit(parallel=True)
def sequential_forward(X, dual, columns, scale, color, out):
    """Standardised implicit innovations of centred rows, or (`color`) the rows that have them. O(n p m)."""
    n, p = X.shape
    m = dual.shape[1]
    for i in prange(n):
        running = np.zeros(m)
        for j in range(p):
            fitted = 0.0
            for t in range(m):
                fitted += dual[j, t] * running[t]
            if color:
                x = X[i, j] * scale[j] + fitted
                out[i, j] = x
            else:
                x = np.float64(X[i, j])
                out[i, j] = (x - fitted) / scale[j]
            for t in range(m):
                running[t] += columns[j, t] * x


@jit(parallel=True)
def sequential_adjoint(Z, dual, columns, scale, out):
    """Rows times the whitening matrix D^{-1/2} T, T implicit; runs backwards along each row. O(n p m)."""
    n, p = Z.shape
    m = dual.shape[1]
    for i in prange(n):
        running = np.zeros(m)
        for step in range(p):
            j = p - 1 - step
            z = Z[i, j] / scale[j]
            carried = 0.0
            for t in range(m):
                carried += columns[j, t] * running[t]
            out[i, j] = z - carried
            for t in range(m):
                running[t] += dual[j, t] * z


@warms
def _warm():
    def fixed(*shape):
        array = np.ones(shape)
        array.flags.writeable = False
        return array

    vector, square = fixed(2), fixed(2, 2)
    for dtype in (np.float64, np.float32):
        X = np.ones((3, 2), dtype)
        X.flags.writeable = False
        banded_sqnorm(X, vector, fixed(2, 1), vector, np.empty(3, dtype))
        sequential_sqnorm(X, vector, square, square, vector, np.empty(3, dtype))
        out = np.empty((3, 2))
        banded_whiten(X, fixed(2, 1), vector, out)
        banded_adjoint(X, fixed(2, 1), vector, out)
        banded_color(X, fixed(2, 1), vector, out)
        sequential_forward(X, square, square, vector, False, out)
        sequential_adjoint(X, square, square, vector, out)
