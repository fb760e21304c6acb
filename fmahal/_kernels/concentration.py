"""Concentration steps of the minimum covariance determinant: locations, scatters and subsets, all starts at once.

Observations are the columns of `Zt`, an array (p, n) with one variable a row, so that every inner loop runs over
neighbouring observations. A scatter of m observations has divisor m - ddof: ddof is 1, or 0 when the location is known
to be 0. Singular means that a squared pivot of the factor is at most `tol` times its diagonal entry.
"""

from collections import namedtuple

import numpy as np
from numba import prange

from ._jit import jit, warms
from .selection import select

ROWS = 64
CHUNKS = 32  # pieces into which starts are dealt; each allocates its workspace once
OK, SINGULAR, FAILED = 0, 1, 2
EPS = 2.0**-52

Work = namedtuple("Work", "y e total d pool rows old mark left entered shift sums cross")
State = namedtuple("State", "mean S L inverse")


@jit
def new_state(p):
    """Location, scatter, its lower factor and the inverse pivots."""
    return State(np.zeros(p), np.zeros((p, p)), np.zeros((p, p)), np.zeros(p))


@jit
def new_work(p, n):
    """Workspace of one thread for n observations of p variables."""
    return Work(
        np.empty((p, ROWS)),
        np.empty(ROWS),
        np.empty(ROWS),
        np.empty(n),
        np.empty(n),
        np.empty(n + 1, np.int64),
        np.empty(n + 1, np.int64),
        np.zeros(n, np.int64),
        np.empty(n + 1, np.int64),
        np.empty(n + 1, np.int64),
        np.zeros(p),
        np.zeros(p),
        np.zeros((p, p)),
    )


@jit
def cholesky(S, L, inverse, tol):
    """Lower factor of S and inverse pivots; return its log-determinant and the first singular pivot, or -1."""
    p = S.shape[0]
    logdet = 0.0
    for j in range(p):
        for k in range(j):
            s = S[j, k]
            for l in range(k):
                s -= L[j, l] * L[k, l]
            L[j, k] = s * inverse[k]
        pivot = S[j, j]
        for l in range(j):
            pivot -= L[j, l] * L[j, l]
        if not pivot > tol * S[j, j] or pivot == np.inf:  # NaN stops here too
            return -np.inf, j
        L[j, j] = np.sqrt(pivot)
        inverse[j] = 1.0 / L[j, j]
        logdet += np.log(pivot)
    return logdet, -1


@jit
def null_vector(state, j, normal):
    """Unit direction without variance of a scatter whose factor stopped at pivot j."""
    L = state.L
    for k in range(normal.size):
        normal[k] = 0.0
    normal[j] = 1.0
    size = 1.0
    for k in range(j - 1, -1, -1):
        s = -L[j, k]
        for l in range(k + 1, j):
            s -= L[l, k] * normal[l]
        normal[k] = s * state.inverse[k]
        size += normal[k] * normal[k]
    size = np.sqrt(size)
    for k in range(j + 1):
        normal[k] /= size


@jit
def count_on_plane(Zt, mean, normal, tol):
    """Number of observations whose distance from the hyperplane is within rounding, `tol` being squared."""
    p, n = Zt.shape
    largest = 0.0
    for j in range(p):
        largest = max(largest, abs(normal[j]))
    width = np.sqrt(tol) * largest
    count = 0
    for i in range(n):
        s, size = 0.0, 0.0
        for j in range(p):
            t = normal[j] * (Zt[j, i] - mean[j])
            s += t
            size += abs(t)
        count += abs(s) <= width + 16.0 * EPS * size
    return count


@jit
def block_sqnorm(Zt, first, state, work):
    """Squared distances of ROWS observations from `first` on into work.total; O(p^2) each."""
    p, n = Zt.shape
    y, e, total, L = work.y, work.e, work.total, state.L
    width = min(ROWS, n - first)
    for r in range(ROWS):
        total[r] = 0.0
    for j in range(p):
        m = state.mean[j]
        for r in range(width):
            e[r] = Zt[j, first + r] - m
        for r in range(width, ROWS):
            e[r] = 0.0
        k = 0
        while k + 4 <= j:
            a, b, c, d = L[j, k], L[j, k + 1], L[j, k + 2], L[j, k + 3]
            for r in range(ROWS):
                e[r] -= (a * y[k, r] + b * y[k + 1, r]) + (c * y[k + 2, r] + d * y[k + 3, r])
            k += 4
        while k < j:
            a = L[j, k]
            for r in range(ROWS):
                e[r] -= a * y[k, r]
            k += 1
        scale = state.inverse[j]
        for r in range(ROWS):
            v = e[r] * scale
            y[j, r] = v
            total[r] += v * v


@jit
def sqnorms(Zt, state, work):
    """Squared distances of all observations into work.d."""
    n = Zt.shape[1]
    for first in range(0, n, ROWS):
        block_sqnorm(Zt, first, state, work)
        for r in range(min(ROWS, n - first)):
            work.d[first + r] = work.total[r]


@jit
def add_products(Zt, rows, count, sign, work):
    """Add sign times the sums and cross products (lower half) about work.shift of the listed observations."""
    p = Zt.shape[0]
    g, sums, cross = work.y, work.sums, work.cross
    for first in range(0, count, ROWS):
        width = min(ROWS, count - first)
        for j in range(p):
            c = work.shift[j]
            s = 0.0
            for r in range(width):
                v = Zt[j, rows[first + r]] - c
                g[j, r] = v
                s += v
            for r in range(width, ROWS):
                g[j, r] = 0.0
            sums[j] += sign * s
        for j in range(p):
            k = 0
            while k + 4 <= j + 1:
                s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
                for r in range(ROWS):
                    v = g[j, r]
                    s0 += v * g[k, r]
                    s1 += v * g[k + 1, r]
                    s2 += v * g[k + 2, r]
                    s3 += v * g[k + 3, r]
                cross[j, k] += sign * s0
                cross[j, k + 1] += sign * s1
                cross[j, k + 2] += sign * s2
                cross[j, k + 3] += sign * s3
                k += 4
            while k <= j:
                s0 = 0.0
                for r in range(ROWS):
                    s0 += g[j, r] * g[k, r]
                cross[j, k] += sign * s0
                k += 1


@jit
def set_moments(state, work, m, ddof):
    """Turn sums and cross products of m observations into state.mean and the lower half of state.S."""
    p = state.mean.size
    for j in range(p):
        delta = work.sums[j] / m if ddof else 0.0
        state.mean[j] = work.shift[j] + delta
        for k in range(j + 1):
            s = work.cross[j, k]
            if ddof:
                s -= delta * work.sums[k]
            state.S[j, k] = s / (m - ddof)


@jit
def _moments_about(Zt, rows, m, ddof, state, work):
    """Mean and scatter of the first m listed observations through products about the present state.mean."""
    p = Zt.shape[0]
    for j in range(p):
        work.sums[j] = 0.0
        work.shift[j] = state.mean[j] if ddof else 0.0
        for k in range(j + 1):
            work.cross[j, k] = 0.0
    add_products(Zt, rows, m, 1.0, work)
    set_moments(state, work, m, ddof)


@jit
def moments(Zt, rows, m, ddof, state, work):
    """Mean and scatter of the first m listed observations; state.mean holds a guess of the mean."""
    _moments_about(Zt, rows, m, ddof, state, work)
    for j in range(Zt.shape[0]):
        delta = state.mean[j] - work.shift[j]
        if ddof and not delta * delta <= 16.0 * state.S[j, j]:  # a far guess has cancelled digits
            _moments_about(Zt, rows, m, ddof, state, work)
            return


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
    log-determinant never increases: a step that would raise it, by rounding, is undone and ends the sequence.
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
            return SINGULAR, reached, step
        if not reached < logdet:
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
        statuses[c], logdets[c] = _moments_one(
            Zt, subsets[c], ddof, tol, means[c], scatters[c], normals[c]
        )


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
