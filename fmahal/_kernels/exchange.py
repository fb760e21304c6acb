"""Exchange descent: pairs of observations swapped as long as the determinant of the subset's scatter falls.

For a subset H of h observations with mean m and products A about it, W = L^-1 (x - m), A = L L', d = |W|^2 and
G = W_i . W_j, removing i and adding j multiplies det A by

    (1 - c d_i) (1 + q / c),    q = d_j + 2 e G + e^2 d_i + c (G + e d_i)^2 / (1 - c d_i),

with c = h / (h - 1), e = 1 / (h - 1), or c = 1, e = 0 when the location is known to be 0. As q is at least
(sqrt d_j - e sqrt d_i)^2, only observations close to the boundary of the subset can take part: all others are left out
without being looked at.
"""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .concentration import (
    FLAT,
    OK,
    SINGULAR,
    concentrate,
    concentrate_all,
    elemental_starts,
    standardise,
    subset_moments,
)
from .moments import cholesky, count_on_plane, moments, new_state, new_work, null_vector, sqnorms
from .selection import select

ENOUGH = 1.0 - 1e-10  # a swap has to lower the determinant by more than rounding would


@jit
def _ratio_bound(d_in, d_out, c, e):
    """Lower bound of the ratio of determinants, whatever the angle between the two observations."""
    gap = max(np.sqrt(d_out) - e * np.sqrt(d_in), 0.0)
    return (1.0 - c * d_in) * (1.0 + gap * gap / c)


@jit
def _boundary(d, inside, c, e, cap, pool, band):
    """List the inside, then the outside observations that may take part, `cap` of each; return their numbers."""
    n = d.size
    top, low = 0.0, np.inf
    for i in range(n):
        if inside[i]:
            top = max(top, d[i])
        else:
            low = min(low, d[i])
    counts = (0, 0)
    start = 0
    for side in range(2):
        count = 0
        for i in range(n):
            if inside[i] == (side == 0):
                bound = _ratio_bound(d[i], low, c, e) if side == 0 else _ratio_bound(top, d[i], c, e)
                if bound < ENOUGH:
                    band[start + count] = i
                    pool[count] = -d[i] if side == 0 else d[i]
                    count += 1
        if count > cap:
            threshold = select(pool, count, cap - 1)
            kept = 0
            for t in range(count):
                i = band[start + t]
                if (-d[i] if side == 0 else d[i]) <= threshold and kept < cap:
                    band[start + kept] = i
                    kept += 1
            count = kept
        counts = (count, 0) if side == 0 else (counts[0], count)
        start += count
    return counts


@jit
def _whiten_band(Zt, band, count, state, scale, W, d):
    """Rows of W: the band in the coordinates of the factor, times `scale`; d: their squared norms."""
    p = Zt.shape[0]
    for t in range(count):
        i = band[t]
        s = 0.0
        for j in range(p):
            v = Zt[j, i] - state.mean[j]
            for k in range(j):
                v -= state.L[j, k] * W[t, k]
            v *= state.inverse[j]
            W[t, j] = v
        for j in range(p):
            W[t, j] *= scale
            s += W[t, j] * W[t, j]
        d[t] = s


@jit
def _best_pair(W, d, n_in, n_out, c, e):
    """Best pair (inside, outside) of the band and its ratio of determinants."""
    best, best_i, best_j = ENOUGH, -1, -1
    for i in range(n_in):
        rest = 1.0 - c * d[i]
        if not rest > 1e-12:  # without i the scatter is singular: a concentration step says so
            continue
        for j in range(n_in, n_in + n_out):
            if _ratio_bound(d[i], d[j], c, e) >= best:
                continue
            g = 0.0
            for k in range(W.shape[1]):
                g += W[i, k] * W[j, k]
            t = g + e * d[i]
            q = d[j] + 2.0 * e * g + e * e * d[i] + c * t * t / rest
            ratio = rest * (1.0 + q / c)
            if ratio < best:
                best, best_i, best_j = ratio, i, j
    return best_i, best_j


@jit
def _swap(Zt, out_row, in_row, h, ddof, state):
    """Mean and scatter after `out_row` has left and `in_row` has entered."""
    p = Zt.shape[0]
    c = h / (h - 1.0) if ddof else 1.0
    for j in range(p):
        a = Zt[j, out_row] - state.mean[j]
        for k in range(j + 1):
            state.S[j, k] -= c * a * (Zt[k, out_row] - state.mean[k]) / (h - ddof)
    if ddof:
        for j in range(p):
            state.mean[j] -= (Zt[j, out_row] - state.mean[j]) / (h - 1.0)
    for j in range(p):
        a = Zt[j, in_row] - state.mean[j]
        for k in range(j + 1):
            state.S[j, k] += a * (Zt[k, in_row] - state.mean[k]) / (c * (h - ddof))
    if ddof:
        for j in range(p):
            state.mean[j] += (Zt[j, in_row] - state.mean[j]) / h


@jit
def _sweep(Zt, h, ddof, cap, tol, state, work, inside, band, W, d):
    """Swap pairs of the present boundary while that helps; return the number of swaps and a singular pivot or -1."""
    c = h / (h - 1.0) if ddof else 1.0
    e = 1.0 / (h - 1.0) if ddof else 0.0
    sqnorms(Zt, state, work)
    work.d[:] = work.d / (h - ddof)
    n_in, n_out = _boundary(work.d, inside, c, e, cap, work.pool, band)
    scale = 1.0 / np.sqrt(h - ddof)
    swaps = 0
    while swaps < 2 * cap:
        _whiten_band(Zt, band, n_in + n_out, state, scale, W, d)
        i, j = _best_pair(W, d, n_in, n_out, c, e)
        if i < 0:
            break
        _swap(Zt, band[i], band[j], h, ddof, state)
        inside[band[i]], inside[band[j]] = False, True
        band[i], band[j] = band[j], band[i]
        swaps += 1
        stop = cholesky(state.S, state.L, state.inverse, tol)[1]
        if stop >= 0:
            return swaps, stop
    return swaps, -1


@jit
def descend(Zt, h, ddof, sweeps, cap, tol, logdet, state, spare, work, normal):
    """Exchange sweeps and concentration steps in turn from the subset in work.rows; as `concentrate`."""
    p, n = Zt.shape
    cap = min(cap, max(h, n - h))
    inside = np.zeros(n, np.bool_)
    band = np.empty(n + 1, np.int64)
    W = np.empty((min(2 * cap, n), p))
    d = np.empty(min(2 * cap, n))
    status = OK
    for _ in range(sweeps):
        inside[:] = False
        for t in range(h):
            inside[work.rows[t]] = True
        swaps, stop = _sweep(Zt, h, ddof, cap, tol, state, work, inside, band, W, d)
        if stop >= 0:
            null_vector(state, stop, normal)
            if count_on_plane(Zt, state.mean, normal, FLAT * tol) >= h:
                return SINGULAR, -np.inf
            moments(Zt, work.rows, h, ddof, state, work)
            cholesky(state.S, state.L, state.inverse, tol)
            break
        if swaps == 0:
            break
        work.old[:h] = work.rows[:h]
        count = 0
        for i in range(n):
            work.rows[count] = i
            count += inside[i]
        moments(Zt, work.rows, h, ddof, state, work)
        reached, stop = cholesky(state.S, state.L, state.inverse, tol)
        if stop >= 0 or not reached < logdet:
            work.rows[:h] = work.old[:h]
            moments(Zt, work.rows, h, ddof, state, work)
            cholesky(state.S, state.L, state.inverse, tol)
            break
        status, logdet, _ = concentrate(Zt, h, ddof, 100, tol, reached, state, spare, work, normal)
        if status != OK:
            break
    return status, logdet


@jit
def _descend_one(Zt, h, ddof, sweeps, cap, tol, subset, mean, scatter, normal):
    p, n = Zt.shape
    work, state, spare = new_work(p, n), new_state(p), new_state(p)
    for t in range(h):
        work.rows[t] = subset[t]
    state.mean[:] = mean
    moments(Zt, work.rows, h, ddof, state, work)
    logdet, stop = cholesky(state.S, state.L, state.inverse, tol)
    status = OK
    if stop >= 0:
        null_vector(state, stop, normal)
        status = SINGULAR
    else:
        status, logdet = descend(Zt, h, ddof, sweeps, cap, tol, logdet, state, spare, work, normal)
    mean[:] = state.mean
    scatter[:] = state.S
    for t in range(h):
        subset[t] = work.rows[t]
    return status, logdet


@jit(parallel=True)
def descend_all(Zt, h, ddof, sweeps, cap, tol, logdets, means, scatters, statuses, normals, subsets):
    """Exchange descent of every subset (s, h), in place; `cap` boundary observations on either side.

    O(n p^2) a sweep and O(m^2 p) a swap, m the number of boundary observations, parallel over subsets.
    """
    for c in prange(subsets.shape[0]):
        statuses[c], logdets[c] = _descend_one(
            Zt, h, ddof, sweeps, cap, tol, subsets[c], means[c], scatters[c], normals[c]
        )


@warms
def _warm():
    n, p, h = 40, 2, 21
    X = np.random.default_rng(0).normal(size=(n, p))
    Zt, centre, scale = np.empty((p, n)), np.empty(p), np.empty(p)
    X.setflags(write=False)
    standardise(X, h, False, centre, scale, Zt)
    groups, uniforms = Zt[None].copy(), np.random.default_rng(0).random((1, 4, p + 9))
    for array in (Zt, groups, uniforms):
        array.setflags(write=False)
    found = np.zeros((1, 4)), np.zeros((1, 4, p)), np.zeros((1, 4, p, p)), np.zeros((1, 4), np.int64)
    elemental_starts(groups, uniforms, h, 1, 2, 1e-13, *found, np.zeros((1, 4, p)))
    logdets, means, scatters, statuses = (array[0] for array in found)
    normals, subsets = np.zeros((4, p)), np.zeros((4, h), np.int64)
    solutions = (logdets, means, scatters, statuses, normals, subsets)
    concentrate_all(Zt, h, 1, 9, 1e-13, *solutions, np.zeros(4, np.int64))
    descend_all(Zt, h, 1, 3, 24, 1e-13, *solutions)
    given = subsets.copy()
    given.setflags(write=False)
    subset_moments(Zt, given, 1, 1e-13, logdets, means, scatters, statuses, normals)
