"""Held-out likelihoods of all bandwidths of a banded regression from one sweep over the widest."""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .regression import COLUMNS, ROWS, accumulate, load


@jit
def _factor_nearest(gram, a, size, tolerance, L, q):
    """Cholesky factor of the predecessors of tile column a, nearest first, and q = L^{-1} b; dead ones get zero."""
    for i in range(size):
        for j in range(i + 1):
            value = gram[a - 1 - j, i - j]
            for m in range(j):
                value -= L[i, m] * L[j, m]
            if i != j:
                L[i, j] = value / L[j, j] if L[j, j] > 0.0 else 0.0
            elif value > tolerance * gram[a - 1 - i, 0]:
                L[i, i] = np.sqrt(value)
            else:
                L[i, : i + 1] = 0.0
        value = gram[a, i + 1]
        for m in range(i):
            value -= L[i, m] * q[m]
        q[i] = value / L[i, i] if L[i, i] > 0.0 else 0.0


@jit(parallel=True)
def banded_path(train, test, location, inverse, bands, settings, scores):
    """Held-out Gaussian log-likelihood of every bandwidth in `bands` (ascending), from one sweep over the widest.

    With the predecessors nearest first, the Cholesky factor of bandwidth k is the leading block of the widest one:
    the training residual sums of squares of all k are partial sums of q^2, and the held-out residuals are partial
    sums over the orthogonalised held-out predecessors; the squares of the latter are the leverages of training rows.
    ``settings``: pivot tolerance, variance floor, kind of variance (0 RSS / n, 1 unbiased, 2 leave-one-out), whether
    a mean was estimated (0 or 1). ``scores[tile, b]`` receives the sum over the columns of a tile of log variance +
    mean squared standardised residual. O(n p k + p k^3 + n_test p k^2), and n p k^2 for leave-one-out variances.
    """
    n, p = train.shape
    n_test = test.shape[0]
    k = bands[bands.size - 1]
    tolerance, floor, kind, centred = settings[0], settings[1], settings[2], settings[3]
    for t_index in prange(scores.shape[0]):
        start = t_index * COLUMNS
        stop = min(start + COLUMNS, p)
        low = max(start - k, 0)
        lead, width = start - low, stop - low
        tile = np.empty((width, ROWS))
        gram = np.zeros((width, k + 1))
        one = np.ones(max(n, n_test))
        for first in range(0, n, ROWS):
            load(train, location, inverse, one, first, min(ROWS, n - first), low, stop, tile)
            accumulate(tile, gram)
        L = np.zeros((stop - start, k + 1, k + 1))
        q = np.zeros((stop - start, k + 1))
        for a in range(lead, width):
            _factor_nearest(gram, a, min(k, a), tolerance, L[a - lead], q[a - lead])
        squares, own = np.zeros((stop - start, bands.size)), np.zeros((stop - start, bands.size))
        v, e, h = np.zeros((k + 1, ROWS)), np.empty(ROWS), np.empty(ROWS)
        for first in range(0, n_test, ROWS):
            load(test, location, inverse, one, first, min(ROWS, n_test - first), low, stop, tile)
            for a in range(lead, width):
                _residual_path(tile, a, L[a - lead], q[a - lead], bands, -1.0, v, e, h, squares[a - lead])
        if kind == 2.0:
            for first in range(0, n, ROWS):
                load(train, location, inverse, one, first, min(ROWS, n - first), low, stop, tile)
                for a in range(lead, width):
                    _residual_path(
                        tile, a, L[a - lead], q[a - lead], bands, centred / n, v, e, h, own[a - lead]
                    )
        for a in range(lead, width):
            rss, done, live = gram[a, 0], 0, 0.0
            for b in range(bands.size):
                size = min(bands[b], a)
                for i in range(done, size):
                    rss -= q[a - lead, i] ** 2
                    live += 1.0 if L[a - lead, i, i] > 0.0 else 0.0
                done = max(done, size)
                var = rss / n
                if kind == 1.0:
                    var = rss / max(n - centred - live, 1.0)
                elif kind == 2.0:
                    var = own[a - lead, b] / n
                var = max(var, floor)
                scores[t_index, b] += np.log(var) + squares[a - lead, b] / (n_test * var)


@jit
def _residual_path(tile, a, L, q, bands, share, v, e, h, squares):
    """Add the squared residuals of one target over a block of rows, for every bandwidth.

    With `share` >= 0, the leverage of the mean, they are leave-one-out residuals of the rows that were fitted.
    """
    for r in range(ROWS):
        e[r] = tile[a, r]
        h[r] = share
    done = 0
    for b in range(bands.size):
        for i in range(done, min(bands[b], a)):
            for r in range(ROWS):
                v[i, r] = tile[a - 1 - i, r]
            for m in range(i):
                c = L[i, m]
                for r in range(ROWS):
                    v[i, r] -= c * v[m, r]
            c = 1.0 / L[i, i] if L[i, i] > 0.0 else 0.0
            for r in range(ROWS):
                v[i, r] *= c
                e[r] -= q[i] * v[i, r]
                h[r] += v[i, r] * v[i, r]
        done = max(done, min(bands[b], a))
        total = 0.0
        if share < 0.0:
            for r in range(ROWS):
                total += e[r] * e[r]
        else:
            for r in range(ROWS):
                x = e[r] / max(1.0 - h[r], 1e-8)
                total += x * x
        squares[b] += total


@warms
def _warm():
    vector, bands, path = np.ones(3), np.array([0, 1]), np.array([1e-12, 1e-10, 2.0, 1.0])
    for one in (vector, bands, path):
        one.flags.writeable = False
    for dtype in (np.float64, np.float32):
        X = np.arange(12.0).reshape(4, 3).astype(dtype) ** 2
        X.flags.writeable = False
        banded_path(X, X, vector, vector, bands, path, np.zeros((1, 2)))
