"""Concentration steps of the minimum covariance determinant, all starts together, in the notation of `moments`."""

import numpy as np
from numba import prange

from ._jit import jit
from .moments import (
    add_products,
    cholesky,
    count_on_plane,
    moments,
    new_state,
    new_work,
    null_vector,
    set_moments,
    sqnorms,
)
from .selection import select

CHUNKS = 32  # pieces into which starts are dealt; each allocates its workspace once
OK, SINGULAR, FAILED = 0, 1, 2
FLAT = 64.0  # the rows of a flat subset lie within some standard deviations of its hyperplane, squared


@jit
def smallest(d, h, pool, rows):
    """List in `rows` the positions of the h smallest of `d`, in order; of ties at the threshold the first ones."""
    n = d.size
    for i in range(n):
        pool[i] = d[i]
    threshold = select(pool, n, h - 1)
    count = 0
    for i in range(n):
        rows[count] = i
        count += d[i] <= threshold
    if count == h:
        return
    room = h
    for t in range(count):
        room -= d[rows[t]] < threshold
    kept = 0
    for t in range(count):
        i = rows[t]
        if d[i] == threshold:
            if room == 0:
                continue
            room -= 1
        rows[kept] = i
        kept += 1


@jit
def _changes(work, h, step):
    """List the observations that entered and left between work.old and work.rows; marks hold the last step inside."""
    n_in, n_out = 0, 0
    for t in range(h):
        i = work.rows[t]
        work.entered[n_in] = i
        n_in += work.mark[i] != step - 1
        work.mark[i] = step
    for t in range(h):
        i = work.old[t]
        work.left[n_out] = i
        n_out += work.mark[i] != step
    return n_in, n_out


@jit
def _update(Zt, n_in, n_out, h, ddof, state, work):
    """Moments by the observations that changed; False when that would cancel digits."""
    p = Zt.shape[0]
    for j in range(p):
        for t in range(n_out):
            v = Zt[j, work.left[t]] - work.shift[j]
            if v * v > 16.0 * state.S[j, j]:
                return False
    add_products(Zt, work.entered, n_in, 1.0, work)
    add_products(Zt, work.left, n_out, -1.0, work)
    set_moments(state, work, h, ddof)
    return True


@jit
def _copy(source, target):
    target.mean[:] = source.mean
    target.S[:] = source.S
    target.L[:] = source.L
    target.inverse[:] = source.inverse


@jit
def concentrate(Zt, h, ddof, steps, tol, logdet, state, spare, work, normal):
    """Concentration steps from a factored state until the subset stays or `steps` are done.

    `logdet` belongs to the h observations of work.rows, infinite when the state is not that of h observations. Leaves
    the subset in work.rows and its moments and factor in `state`; returns status, log-determinant and steps. The
    log-determinant never increases: a step that would raise it, by rounding, is undone and ends the sequence, and so
    is a step to a scatter without digits that lies on no hyperplane of h rows.
    """
    n_in, n_out = h, h
    for step in range(1, steps + 1):
        sqnorms(Zt, state, work)
        work.old[:h] = work.rows[:h]
        smallest(work.d, h, work.pool, work.rows)
        if step > 1:
            n_in, n_out = _changes(work, h, step)
            if n_in == 0:
                return OK, logdet, step
        elif logdet < np.inf and np.array_equal(work.rows[:h], work.old[:h]):
            return OK, logdet, step
        else:
            work.mark[:] = 0
            for t in range(h):
                work.mark[work.rows[t]] = 1
        _copy(state, spare)
        if step <= 2 or 5 * n_in > h or not _update(Zt, n_in, n_out, h, ddof, state, work):
            moments(Zt, work.rows, h, ddof, state, work)
        reached, stop = cholesky(state.S, state.L, state.inverse, tol)
        if stop >= 0:
            null_vector(state, stop, normal)
            if count_on_plane(Zt, state.mean, normal, FLAT * tol) >= h:
                return SINGULAR, reached, step
            if logdet == np.inf:
                return FAILED, logdet, step
        if stop >= 0 or not reached < logdet:
            _copy(spare, state)
            work.rows[:h] = work.old[:h]
            return OK, logdet, step
        logdet = reached
    return OK, logdet, steps


@jit
def _elemental(Zt, uniforms, h, ddof, tol, state, work, normal):
    """Random p + ddof observations, more while their scatter is singular; SINGULAR when h lie on their hyperplane."""
    p, n = Zt.shape
    for i in range(n):
        work.rows[i] = i
    m = 0
    stop = 0
    while stop >= 0 and m < n:
        target = m + 1 if m else min(p + ddof, n)
        for t in range(m, target):
            u = uniforms[t] if t < uniforms.size else 0.0
            other = t + min(int(u * (n - t)), n - t - 1)
            work.rows[t], work.rows[other] = work.rows[other], work.rows[t]
        m = target
        for j in range(p):
            state.mean[j] = Zt[j, work.rows[0]]
        moments(Zt, work.rows, m, ddof, state, work)
        stop = cholesky(state.S, state.L, state.inverse, tol)[1]
        if stop >= 0:
            null_vector(state, stop, normal)
            if count_on_plane(Zt, state.mean, normal, tol) >= h:
                return SINGULAR
    return OK if stop < 0 else FAILED


@jit
def _elemental_chunk(groups, uniforms, chunk, h, ddof, steps, tol, found):
    """Every CHUNKS-th start, on one workspace."""
    logdets, means, scatters, statuses, normals = found
    k, p, n = groups.shape
    s = uniforms.shape[1]
    work, state, spare = new_work(p, n), new_state(p), new_state(p)
    for task in range(chunk, k * s, CHUNKS):
        group, start = task // s, task % s
        Zt = groups[group]
        normal = normals[group, start]
        status = _elemental(Zt, uniforms[group, start], h, ddof, tol, state, work, normal)
        logdet = -np.inf if status == SINGULAR else np.inf
        if status == OK:
            status, logdet, _ = concentrate(Zt, h, ddof, steps, tol, np.inf, state, spare, work, normal)
        statuses[group, start] = status
        logdets[group, start] = logdet
        means[group, start] = state.mean
        scatters[group, start] = state.S


# The bodies of parallel loops are functions: arrays allocated directly in a body can be hoisted out of the loop.


@jit(parallel=True)
def elemental_starts(groups, uniforms, h, ddof, steps, tol, logdets, means, scatters, statuses, normals):
    """Concentrate random elemental starts in every group of observations, groups (k, p, n), uniforms (k, s, q).

    A singular scatter that h observations share ends a start with status SINGULAR: `normals` then holds the direction
    and `means` a point of the hyperplane. O(k s steps n p^2), parallel over starts.
    """
    for chunk in prange(CHUNKS):
        found = (logdets, means, scatters, statuses, normals)
        _elemental_chunk(groups, uniforms, chunk, h, ddof, steps, tol, found)


@jit
def _concentrate_one(Zt, h, ddof, steps, tol, mean, scatter, normal, subset):
    p, n = Zt.shape
    work, state, spare = new_work(p, n), new_state(p), new_state(p)
    state.mean[:] = mean
    state.S[:] = scatter
    if cholesky(state.S, state.L, state.inverse, tol)[1] >= 0:
        return FAILED, np.inf, 0
    work.rows[:] = 0
    status, logdet, taken = concentrate(Zt, h, ddof, steps, tol, np.inf, state, spare, work, normal)
    mean[:] = state.mean
    scatter[:] = state.S
    for t in range(h):
        subset[t] = work.rows[t]
    return status, logdet, taken


@jit(parallel=True)
def concentrate_all(Zt, h, ddof, steps, tol, logdets, means, scatters, statuses, normals, subsets, taken):
    """Concentrate candidates, given by means (s, p) and the lower halves of scatters (s, p, p), in place.

    `subsets` (s, h) receives the observations of each, `taken` (s,) the number of steps. O(s steps n p^2), parallel
    over candidates.
    """
    for c in prange(means.shape[0]):
        statuses[c], logdets[c], taken[c] = _concentrate_one(
            Zt, h, ddof, steps, tol, means[c], scatters[c], normals[c], subsets[c]
        )


@jit
def _moments_one(Zt, subset, ddof, tol, mean, scatter, normal):
    p = Zt.shape[0]
    work, state = new_work(p, 1), new_state(p)
    for j in range(p):
        state.mean[j] = Zt[j, subset[0]]
    moments(Zt, subset, subset.size, ddof, state, work)
    logdet, stop = cholesky(state.S, state.L, state.inverse, tol)
    if stop >= 0:
        null_vector(state, stop, normal)
    mean[:] = state.mean
    scatter[:] = state.S
    return SINGULAR if stop >= 0 else OK, logdet


@jit(parallel=True)
def subset_moments(Zt, subsets, ddof, tol, logdets, means, scatters, statuses, normals):
    """Means, scatters and log-determinants of given subsets (s, m); O(s m p^2), parallel over subsets."""
    for c in prange(subsets.shape[0]):
        statuses[c], logdets[c] = _moments_one(Zt, subsets[c], ddof, tol, means[c], scatters[c], normals[c])


@jit
def _standardise_one(X, j, h, known, out):
    """Centre and scale of column j, whose standardised entries go to `out`."""
    n = X.shape[0]
    pool = np.empty(n)
    for i in range(n):
        out[i] = X[i, j]
        pool[i] = out[i]
    c = 0.0
    if not known:
        c = select(pool, n, (n - 1) // 2)
        if n % 2 == 0:
            c = 0.5 * c + 0.5 * np.min(pool[n // 2 :])
    for i in range(n):
        out[i] -= c
        pool[i] = abs(out[i])
    s = select(pool, n, h - 1)
    if s > 0.0:
        for i in range(n):
            out[i] /= s
    return c, s


@jit(parallel=True)
def standardise(X, h, known, centre, scale, Zt):
    """Columns minus their medians over the h-th smallest absolute deviation, transposed; `known`: about 0."""
    for j in prange(X.shape[1]):
        centre[j], scale[j] = _standardise_one(X, j, h, known, Zt[j])
