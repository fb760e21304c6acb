"""Many refits of one sample from weighted sums: covariances, their Cholesky factors and squared distances.

Symmetric r x r matrices are packed: the upper triangle row by row, q = r (r + 1) / 2 entries. A row of `sums` starts
with the q weighted sums of products of centred rows and the r weighted sums of the rows themselves.
"""

import numpy as np
from numba import prange

from ._jit import jit, warms

CHUNKS = 32  # pieces into which replicates are dealt; each allocates its workspace once
OK, LOST, HARD = 0, 1, 2  # LOST: no full rank. HARD: the sums cancel, take the moments from the rows
LANES = 64  # rows that a kernel works on at a time, which stay in the first cache


@jit
def _subtract_chunk(products, rows, total, chunk, sums):
    b, m = rows.shape
    width = total.size
    for r in range(chunk, b, CHUNKS):
        mine = sums[r]
        for c in range(width):
            mine[c] = total[c]
        t = 0
        while t + 4 <= m:  # four rows a pass: one store for four terms
            i0, i1, i2, i3 = rows[r, t], rows[r, t + 1], rows[r, t + 2], rows[r, t + 3]
            for c in range(width):
                mine[c] -= (products[i0, c] + products[i1, c]) + (products[i2, c] + products[i3, c])
            t += 4
        while t < m:
            i0 = rows[r, t]
            for c in range(width):
                mine[c] -= products[i0, c]
            t += 1


@jit(parallel=True)
def subtract_rows(products, rows, total, sums):
    """`total` (c,) less the rows of `products` (n, c) that `rows` (b, m) lists, into `sums` (b, c). O(b m c)."""
    for chunk in prange(CHUNKS):
        _subtract_chunk(products, rows, total, chunk, sums)


@jit
def _centre_one(sums, divisor, centred, size, digits, mean, packed):
    """Mean and covariance of one replicate; HARD when a variance is a small difference of large sums."""
    r = mean.size
    q = packed.size
    status = OK
    for j in range(r):
        mean[j] = sums[q + j] / divisor if centred else 0.0
    start = 0
    for j in range(r):
        a = mean[j]
        for k in range(j, r):
            packed[start + k - j] = sums[start + k - j] / divisor - a * mean[k]
        if packed[start] < digits * (size[j] + a * a):
            status = HARD
        start += r - j
    return status


@jit(parallel=True)
def centre_sums(sums, divisor, centred, size, digits, means, packed, status):
    """Means (b, r) and packed covariances (b, q) from `sums` (b, >= q + r); O(b r^2).

    `size` (r,) are the mean squares of all rows: a variance below `digits` times them has lost digits.
    """
    for i in prange(means.shape[0]):
        status[i] = _centre_one(sums[i], divisor, centred, size, digits, means[i], packed[i])


@jit
def _moments_one(Y, weights, centred, mean, packed):
    """Two passes over the rows: the second about the mean of the first."""
    n, r = Y.shape
    gap = np.empty(r)
    divisor = 0.0
    for j in range(r):
        mean[j] = 0.0
    for i in range(n):
        divisor += weights[i]
        for j in range(r):
            mean[j] += weights[i] * Y[i, j]
    for j in range(r):
        mean[j] = mean[j] / divisor if centred else 0.0
    for c in range(packed.size):
        packed[c] = 0.0
    rest = np.zeros(r)
    for i in range(n):
        w = weights[i]
        if w == 0.0:
            continue
        for j in range(r):
            gap[j] = Y[i, j] - mean[j]
            rest[j] += w * gap[j]
        start = 0
        for j in range(r):
            a = w * gap[j]
            for k in range(j, r):
                packed[start + k - j] += a * gap[k]
            start += r - j
    start = 0
    for j in range(r):
        for k in range(j, r):
            packed[start + k - j] /= divisor
            if centred:  # what rounding left of the mean
                packed[start + k - j] -= (rest[j] / divisor) * (rest[k] / divisor)
        start += r - j
    if centred:
        for j in range(r):
            mean[j] += rest[j] / divisor


@jit(parallel=True)
def row_moments(Y, weights, centred, means, packed):
    """Means and packed covariances of the rows Y (n, r) under `weights` (b, n), without cancellation. O(b n r^2)."""
    for i in prange(means.shape[0]):
        _moments_one(Y, weights[i], centred, means[i], packed[i])


@jit
def _finish_row(row, j, variance, mean, size, limits, scale):
    """Judge the pivot of row j of a factor and divide by its root; a status."""
    pivot = row[j]
    if pivot < limits[1] * (size[j] + mean[j] * mean[j]):
        return HARD
    if not pivot > limits[0] * variance:  # NaN too
        return LOST
    inverse = 1.0 / np.sqrt(pivot)
    for i in range(j, row.size):
        row[i] *= inverse
    scale[j] = inverse
    return OK


@jit
def _factor(packed, weight, ridge, mean, size, limits, U, coefficients, scale):
    """Cholesky factor of weight S + ridge I for `_solve`: minus its rows, and one over its diagonal; a status.

    Two rows at a time, so that those above are read once for both.
    """
    r = mean.size
    start = 0
    for j in range(r):
        for k in range(j, r):
            U[j, k] = weight * packed[start + k - j]
        U[j, j] += ridge
        start += r - j
    for j in range(0, r, 2):
        top, low = U[j], U[min(j + 1, r - 1)]
        pair = j + 1 < r
        first, second = top[j], low[min(j + 1, r - 1)]
        for k in range(0, j, 2):  # an even number of rows lies above
            a0, a1 = U[k, j], U[k + 1, j]
            if pair:
                b0, b1 = U[k, j + 1], U[k + 1, j + 1]
                top[j] -= a0 * a0 + a1 * a1
                for i in range(j + 1, r):
                    above, below = U[k, i], U[k + 1, i]
                    top[i] -= a0 * above + a1 * below
                    low[i] -= b0 * above + b1 * below
            else:
                top[j] -= a0 * a0 + a1 * a1
        status = _finish_row(top, j, first, mean, size, limits, scale)
        if status == OK and pair:
            c = top[j + 1]
            for i in range(j + 1, r):
                low[i] -= c * top[i]
            status = _finish_row(low, j + 1, second, mean, size, limits, scale)
        if status != OK:
            return status
    for j in range(r):
        for k in range(j):
            coefficients[j, k] = -U[k, j]
    return OK


@jit
def _solve(z, coefficients, scale, total):
    """Forward substitution in the columns of z (r, lanes), in place; `total` receives their squared norms.

    Two rows of the factor at a time, so that z is read once for both. The inner loops run over columns and have no
    reduction.
    """
    r, lanes = z.shape
    for t in range(lanes):
        total[t] = 0.0
    for j in range(0, r - 1, 2):
        top, low = z[j], z[j + 1]
        k = 0
        while k + 4 <= j:
            a0, a1 = coefficients[j, k], coefficients[j, k + 1]
            a2, a3 = coefficients[j, k + 2], coefficients[j, k + 3]
            b0, b1 = coefficients[j + 1, k], coefficients[j + 1, k + 1]
            b2, b3 = coefficients[j + 1, k + 2], coefficients[j + 1, k + 3]
            for t in range(lanes):
                z0, z1, z2, z3 = z[k, t], z[k + 1, t], z[k + 2, t], z[k + 3, t]
                top[t] += (a0 * z0 + a1 * z1) + (a2 * z2 + a3 * z3)
                low[t] += (b0 * z0 + b1 * z1) + (b2 * z2 + b3 * z3)
            k += 4
        if k < j:  # j is even: two are left
            a0, a1 = coefficients[j, k], coefficients[j, k + 1]
            b0, b1 = coefficients[j + 1, k], coefficients[j + 1, k + 1]
            for t in range(lanes):
                z0, z1 = z[k, t], z[k + 1, t]
                top[t] += a0 * z0 + a1 * z1
                low[t] += b0 * z0 + b1 * z1
        a, b, c = scale[j], scale[j + 1], coefficients[j + 1, j]
        for t in range(lanes):
            above = top[t] * a
            below = (low[t] + c * above) * b
            top[t] = above
            low[t] = below
            total[t] += above * above + below * below
    if r & 1:
        top, a = z[r - 1], scale[r - 1]
        for k in range(r - 1):
            c = coefficients[r - 1, k]
            for t in range(lanes):
                top[t] += c * z[k, t]
        for t in range(lanes):
            above = top[t] * a
            total[t] += above * above


@jit
def _all_rows(tiles, mean, coefficients, scale, z, d):
    """Squared distances of all rows to one fit; `z` (r, lanes) is a work space."""
    count, r, lanes = tiles.shape
    for tile in range(count):
        for j in range(r):
            m = mean[j]
            for t in range(lanes):
                z[j, t] = tiles[tile, j, t] - m
        _solve(z, coefficients, scale, d[tile * lanes : (tile + 1) * lanes])


@jit
def _repeat(d, counts, out):
    """Each distance as often as its row was drawn, in the order of the rows; almost without branches."""
    n = counts.size
    place = 0
    for i in range(n):
        times = np.int64(counts[i])
        value = d[i]
        if place + 3 <= n:  # what is written too far is overwritten by the rows that follow
            out[place] = value
            out[place + 1] = value
            out[place + 2] = value
            for t in range(3, times):
                out[place + t] = value
        else:
            for t in range(times):
                out[place + t] = value
        place += times


@jit
def _resample_chunk(tiles, counts, moments, limits, size, chunk, train, new, status):
    means, packed, amounts = moments
    count, r, lanes = tiles.shape
    b = counts.shape[0]
    U, coefficients, scale = np.zeros((r, r)), np.zeros((r, r)), np.empty(r)
    z, d = np.empty((r, lanes)), np.empty(count * lanes)
    for i in range(chunk, b, CHUNKS):
        status[i] = _factor(
            packed[i], amounts[i, 0], amounts[i, 1], means[i], size, limits, U, coefficients, scale
        )
        if status[i] != OK:
            continue
        _all_rows(tiles, means[i], coefficients, scale, z, d)
        _repeat(d, counts[i], train[i])
        for k in range(new.shape[1]):
            new[i, k] = d[k] if counts[i, k] == 0.0 else np.nan


@jit(parallel=True)
def resample_distances(tiles, counts, means, packed, amounts, limits, size, train, new, status):
    """Squared distances of all rows to the fit of each resample, parallel over resamples. O(b (r^3 / 3 + n r^2)).

    `tiles` (count, r, lanes) holds the rows, in order, padded with zeros; `counts` (b, n) float64; the covariance is
    amounts[i, 0] S + amounts[i, 1] I. `limits`: a pivot below limits[1] times the mean squares makes a replicate HARD,
    one not above limits[0] times its variance LOST. `train` (b, n) repeats a distance as often as its row was drawn;
    `new` (b, n or 0) has the distances of rows that were not, and NaN elsewhere.
    """
    for chunk in prange(CHUNKS):
        moments = (means, packed, amounts)
        _resample_chunk(tiles, counts, moments, limits, size, chunk, train, new, status)


@jit
def _held_chunk(Y, rows, moments, limits, size, chunk, new, status):
    means, packed, amounts = moments
    r = Y.shape[1]
    b, m = rows.shape
    U, coefficients, scale = np.zeros((r, r)), np.zeros((r, r)), np.empty(r)
    count = (m + LANES - 1) // LANES
    lanes = ((m + 16 * count - 1) // (16 * count)) * 16
    z, total = np.zeros((r, lanes)), np.empty(lanes)
    for i in range(chunk, b, CHUNKS):
        status[i] = _factor(
            packed[i], amounts[i, 0], amounts[i, 1], means[i], size, limits, U, coefficients, scale
        )
        if status[i] != OK:
            continue
        for first in range(0, m, lanes):
            width = min(lanes, m - first)
            for t in range(width):
                k = rows[i, first + t]
                for j in range(r):
                    z[j, t] = Y[k, j] - means[i, j]
            _solve(z, coefficients, scale, total)
            for t in range(width):
                new[i, first + t] = total[t]


@jit(parallel=True)
def held_distances(Y, rows, means, packed, amounts, limits, size, new, status):
    """Squared distances of the listed rows (b, m) to each fit, as `resample_distances`. O(b (r^3 / 3 + m r^2))."""
    for chunk in prange(CHUNKS):
        moments = (means, packed, amounts)
        _held_chunk(Y, rows, moments, limits, size, chunk, new, status)


@jit
def _kept_chunk(tiles, held, moments, limits, size, chunk, train, new, status):
    means, packed, amounts = moments
    count, r, lanes = tiles.shape
    b, m = held.shape
    kept = train.shape[1]
    U, coefficients, scale = np.zeros((r, r)), np.zeros((r, r)), np.empty(r)
    z, d = np.empty((r, lanes)), np.empty(count * lanes)
    inside = np.ones(kept + m, np.int64)
    for i in range(chunk, b, CHUNKS):
        status[i] = _factor(
            packed[i], amounts[i, 0], amounts[i, 1], means[i], size, limits, U, coefficients, scale
        )
        if status[i] != OK:
            continue
        _all_rows(tiles, means[i], coefficients, scale, z, d)
        for t in range(m):
            k = held[i, t]
            new[i, t] = d[k]
            inside[k] = 0
        place = 0
        for k in range(kept + m):  # what is written for a row left out is overwritten by the next one kept
            if place < kept:
                train[i, place] = d[k]
            place += inside[k]
        for t in range(m):
            inside[held[i, t]] = 1


@jit(parallel=True)
def kept_distances(tiles, held, means, packed, amounts, limits, size, train, new, status):
    """Squared distances of all rows to fits without the rows `held` (b, m), as `resample_distances`.

    `new` (b, m) has those of the rows left out, in their order, `train` (b, n - m) those of the others, in the order of
    the rows. O(b (r^3 / 3 + n r^2)), parallel over fits.
    """
    for chunk in prange(CHUNKS):
        moments = (means, packed, amounts)
        _kept_chunk(tiles, held, moments, limits, size, chunk, train, new, status)


@warms
def _warm():
    Y = np.array([[0.0, 0.5], [1.0, 0.0], [0.0, -1.0]])
    products, total = np.ones((3, 5)), np.ones(5)
    rows, weights, size = np.zeros((1, 1), np.int64), np.ones((1, 3)), np.ones(2)
    tiles, limits, amounts = np.ascontiguousarray(Y.T)[None], np.zeros(2), np.array([[1.0, 0.0]])
    for array in (Y, products, total, rows, weights, size, tiles, limits, amounts):
        array.flags.writeable = False
    sums, means, packed = np.empty((1, 5)), np.empty((1, 2)), np.empty((1, 3))
    status = np.empty(1, np.int64)
    subtract_rows(products, rows, total, sums)
    sums.flags.writeable = False
    centre_sums(sums, 3.0, True, size, 0.0, means, packed, status)
    row_moments(Y, weights, True, means, packed)
    for array in (means, packed):
        array.flags.writeable = False
    resample_distances(
        tiles,
        weights,
        means,
        packed,
        amounts,
        limits,
        size,
        np.empty((1, 3)),
        np.empty((1, 0)),
        status,
    )
    held_distances(Y, rows, means, packed, amounts, limits, size, np.empty((1, 1)), status)
    kept_distances(
        tiles, rows, means, packed, amounts, limits, size, np.empty((1, 2)), np.empty((1, 1)), status
    )
