"""Regressions of every variable on its nearest predecessors, tile by tile, without a centred copy of the data."""

import numpy as np
from numba import prange

from ._jit import jit, warms

ROWS = 256  # rows a block of a tile
COLUMNS = 64  # targets a tile, at least
WIDTH = 512  # columns a block of the moments
SLIDE = 32  # wider windows update one factor along the tile instead of factorising each window
SHARP = 1e-4  # pivots or residual shares below this send the column through a correction on the residuals


@jit(parallel=True)
def column_moments(X, weights, centred, location, square):
    """Weighted means (when `centred`) and mean squares about them, weights summing to n; two passes, O(n p)."""
    n, p = X.shape
    for block in prange((p + WIDTH - 1) // WIDTH):
        low = block * WIDTH
        high = min(low + WIDTH, p)
        m = np.zeros(high - low)
        if centred:
            for i in range(n):
                for j in range(low, high):
                    m[j - low] += weights[i] * X[i, j]
            for j in range(high - low):
                m[j] /= n
        shift, s = np.zeros(high - low), np.zeros(high - low)
        for i in range(n):
            for j in range(low, high):
                gap = X[i, j] - m[j - low]
                shift[j - low] += weights[i] * gap
                s[j - low] += weights[i] * gap * gap
        for j in range(low, high):
            rest = shift[j - low] / n if centred else 0.0  # what rounding left of the mean
            location[j] = m[j - low] + rest
            square[j] = max(s[j - low] / n - rest * rest, 0.0)


@jit
def load(X, location, inverse, root, first, width, low, stop, tile):
    """Transposed block of standardised, weighted rows: tile[a, r] = w_r (x - m) / s; zero beyond `width`."""
    for r in range(width):
        w = root[first + r]
        for j in range(low, stop):
            tile[j - low, r] = w * (X[first + r, j] - location[j]) * inverse[j]
    if width < ROWS:
        tile[:, width:] = 0.0


@jit
def accumulate(tile, gram):
    """Add the products of tile rows at lags 0 ... k to the banded Gram matrix."""
    columns, k1 = gram.shape
    for a in range(columns):
        top = min(k1, a + 1)
        t = 0
        while t + 4 <= top:
            s0 = s1 = s2 = s3 = 0.0
            for r in range(ROWS):
                x = tile[a, r]
                s0 += x * tile[a - t, r]
                s1 += x * tile[a - t - 1, r]
                s2 += x * tile[a - t - 2, r]
                s3 += x * tile[a - t - 3, r]
            gram[a, t] += s0
            gram[a, t + 1] += s1
            gram[a, t + 2] += s2
            gram[a, t + 3] += s3
            t += 4
        while t < top:
            s0 = 0.0
            for r in range(ROWS):
                s0 += tile[a, r] * tile[a - t, r]
            gram[a, t] += s0
            t += 1


@jit
def _factor_window(gram, first, size, ridge, tolerance, L):
    """Cholesky factor of the Gram matrix of window columns first ... first+size-1; returns the smallest pivot share.

    A column whose pivot falls below `tolerance` of its square is dead: its row keeps a unit pivot, its
    coefficient is zero.
    """
    smallest = 1.0
    for i in range(size):
        a = first + i
        for j in range(i + 1):
            value = gram[a, i - j]
            if i == j:
                value += ridge
            for m in range(j):
                value -= L[i, m] * L[j, m]
            if i == j:
                size_i = gram[a, 0] + ridge
                if value <= tolerance * size_i:
                    smallest = min(smallest, 0.0)
                    for m in range(i):
                        L[i, m] = 0.0
                    L[i, i] = 0.0
                else:
                    smallest = min(smallest, value / size_i)
                    L[i, i] = np.sqrt(value)
            elif L[j, j] == 0.0:
                L[i, j] = 0.0
            else:
                L[i, j] = value / L[j, j]
    return smallest


@jit
def _slide_window(gram, first, size, ridge, tolerance, L, v):
    """Drop the first column of the window before `first` and append column first+size-1; the pivot share, or -1.

    The remaining block absorbs the dropped column by a rank-one *update*, which is stable. -1 asks the caller for
    a fresh factorisation (a pivot too small to judge).
    """
    for i in range(size - 1):
        v[i] = L[i + 1, 0]
    for i in range(size - 1):  # shift, then L L' + v v' by rotations
        for j in range(i + 1):
            L[i, j] = L[i + 1, j + 1]
    for j in range(size - 1):
        r = np.sqrt(L[j, j] * L[j, j] + v[j] * v[j])
        if r == 0.0:
            return -1.0
        c, s = L[j, j] / r, v[j] / r
        L[j, j] = r
        for i in range(j + 1, size - 1):
            x = L[i, j]
            L[i, j] = c * x + s * v[i]
            v[i] = c * v[i] - s * x
    i = size - 1
    a = first + i
    value = gram[a, 0] + ridge
    whole = value
    for j in range(i):
        x = gram[a, i - j]
        for m in range(j):
            x -= L[i, m] * L[j, m]
        x /= L[j, j]
        L[i, j] = x
        value -= x * x
    if value <= 1e3 * tolerance * whole:
        return -1.0
    L[i, i] = np.sqrt(value)
    smallest = value / whole
    for j in range(i):
        smallest = min(smallest, L[j, j] * L[j, j] / (gram[first + j, 0] + ridge))
    return smallest


@jit
def _solve(L, size, b):
    """Overwrite b with the solution of L L' x = b; dead columns get zero."""
    for i in range(size):
        value = b[i]
        for m in range(i):
            value -= L[i, m] * b[m]
        b[i] = value / L[i, i] if L[i, i] > 0.0 else 0.0
    for step in range(size):
        i = size - 1 - step
        value = b[i]
        for m in range(i + 1, size):
            value -= L[m, i] * b[m]
        b[i] = value / L[i, i] if L[i, i] > 0.0 else 0.0


@jit
def _next_factor(gram, a, k, fresh, ridge, tolerance, L, v):
    """Factor of the window of predecessors of tile column a: slid on when it pays and is safe, else fresh."""
    size = min(k, a)
    first = a - size
    if size == 0:
        return 1.0
    share = -1.0
    if not fresh and k > SLIDE and size == k and first > 0:
        share = _slide_window(gram, first, size, ridge, tolerance, L, v)
    if share < 0.0:
        share = _factor_window(gram, first, size, ridge, tolerance, L)
    return share


@jit
def _leverages(tile, first, size, L, work, out):
    """out[r] = |L^{-1} z_r|^2 for the predictors of one target, vectorised over rows."""
    out[:] = 0.0
    for i in range(size):
        for r in range(ROWS):
            work[i, r] = tile[first + i, r]
        if L[i, i] > 0.0:
            for m in range(i):
                c = L[i, m]
                for r in range(ROWS):
                    work[i, r] -= c * work[m, r]
            c = 1.0 / L[i, i]
            for r in range(ROWS):
                work[i, r] *= c
                out[r] += work[i, r] * work[i, r]
        else:
            work[i, :] = 0.0


@jit(parallel=True)
def banded_regression(X, location, inverse, root, k, settings, coef, stats):
    """Least-squares or ridge regression of each column on its k nearest predecessors.

    Columns are standardised on the way: z = root_i (x - location) * inverse, root the roots of row weights that
    sum to n. On return ``coef[j, t-1]`` is phi_{j,j-t} for standardised columns; ``stats[j]`` holds the residual
    sum of squares, the degrees of freedom, and with loo the mean squared leave-one-out residual (else zero).
    ``settings``: ridge (n alpha), relative pivot tolerance, loo (0 or 1), whether a mean was estimated (0 or 1).
    O(n p k + p k^3) with narrow windows, O(n p k + p k^2) with wide ones; loo and ridge add O(n p k^2).
    """
    n, p = X.shape
    ridge, tolerance, loo = settings[0], settings[1], settings[2] > 0.0
    span = max(COLUMNS, k)
    for tile_index in prange((p + span - 1) // span):
        start = tile_index * span
        stop = min(start + span, p)
        low = max(start - k, 0)
        lead = start - low
        width = stop - low
        tile = np.empty((width, ROWS))
        gram = np.zeros((width, k + 1))
        L = np.zeros((k + 1, k + 1))
        v = np.empty(k + 1)
        b = np.empty(k + 1)
        refine = np.zeros(width, np.bool_)
        for first in range(0, n, ROWS):
            load(X, location, inverse, root, first, min(ROWS, n - first), low, stop, tile)
            accumulate(tile, gram)
        any_refine = False
        fresh = True
        for a in range(lead, width):
            size = min(k, a)
            share = _next_factor(gram, a, k, fresh, ridge, tolerance, L, v)
            fresh = share <= 0.0
            for i in range(size):
                b[i] = gram[a, size - i]
            _solve(L, size, b)
            rss, shrunk = gram[a, 0], 0.0
            for i in range(size):
                coef[low + a, size - 1 - i] = b[i]
                rss -= b[i] * gram[a, size - i]
                shrunk += b[i] * b[i]
            stats[low + a, 0] = rss - ridge * shrunk
            if loo or (size > 0 and (share < SHARP or rss < SHARP * gram[a, 0] or ridge > 0.0)):
                refine[a] = True
                any_refine = True
            for i in range(size):  # live pivots: what others determine uses nothing up
                stats[low + a, 1] += 1.0 if L[i, i] > 0.0 else 0.0
        if any_refine:
            _refine_tile(X, location, inverse, root, settings, coef, stats, low, lead, gram, refine)


@jit
def _refine_tile(X, location, inverse, root, settings, coef, stats, low, lead, gram, refine):
    """Correct the coefficients of marked columns on their residuals; exact residual sums, leverages on request."""
    n = X.shape[0]
    ridge, tolerance, loo, centred = settings[0], settings[1], settings[2] > 0.0, settings[3]
    width, k = gram.shape[0], gram.shape[1] - 1
    tile = np.empty((width, ROWS))
    e = np.empty(ROWS)
    sums = np.zeros(
        (width, k + 2)
    )  # residual products at lags 1 ... k, squared residuals, leave-one-out squares
    used = np.zeros(width)
    h = np.zeros(ROWS)
    work = np.empty((max(k, 1), ROWS))
    L = np.zeros((k + 1, k + 1))
    v = np.empty(k + 1)
    for first in range(0, n, ROWS):
        rows = min(ROWS, n - first)
        load(X, location, inverse, root, first, rows, low, low + width, tile)
        fresh = True
        for a in range(lead, width):
            if not refine[a]:
                fresh = True
                continue
            size = min(k, a)
            for r in range(ROWS):
                e[r] = tile[a, r]
            for t in range(1, size + 1):
                c = coef[low + a, t - 1]
                for r in range(ROWS):
                    e[r] -= c * tile[a - t, r]
            for t in range(1, size + 1):
                s = 0.0
                for r in range(ROWS):
                    s += e[r] * tile[a - t, r]
                sums[a, t - 1] += s
            s = 0.0
            for r in range(ROWS):
                s += e[r] * e[r]
            sums[a, k] += s
            if loo or ridge > 0.0:
                fresh = _next_factor(gram, a, k, fresh, ridge, tolerance, L, v) <= 0.0
                _leverages(tile, a - size, size, L, work, h)
                for r in range(rows):
                    used[a] += h[r]
                    w = root[first + r]
                    rest = max(1.0 - centred * w * w / n - h[r], 1e-8)
                    sums[a, k + 1] += (e[r] / rest) ** 2
    fresh = True
    b = np.empty(k + 1)
    for a in range(lead, width):
        if not refine[a]:
            fresh = True
            continue
        size = min(k, a)
        fresh = _next_factor(gram, a, k, fresh, ridge, tolerance, L, v) <= 0.0
        for i in range(size):
            b[i] = sums[a, size - 1 - i] - ridge * coef[low + a, size - 1 - i]
        _solve(L, size, b)
        gain = 0.0
        for i in range(size):
            gain += b[i] * (sums[a, size - 1 - i] - ridge * coef[low + a, size - 1 - i])
            coef[low + a, size - 1 - i] += b[i]
        stats[low + a, 0] = max(sums[a, k] - gain, 0.0) if ridge == 0.0 else sums[a, k]
        if loo or ridge > 0.0:
            stats[low + a, 1] = used[a]
        stats[low + a, 2] = sums[a, k + 1] / n


@warms
def _warm():
    vector = np.ones(3)
    vector.flags.writeable = False
    for dtype in (np.float64, np.float32):
        X = np.arange(12.0).reshape(4, 3).astype(dtype) ** 2
        X.flags.writeable = False
        rows = np.ones(4)
        rows.flags.writeable = False
        column_moments(X, rows, True, np.empty(3), np.empty(3))
        settings = np.array([0.0, 1e-12, 1.0, 1.0])
        settings.flags.writeable = False
        banded_regression(X, vector, vector, rows, 1, settings, np.zeros((3, 1)), np.zeros((3, 3)))
