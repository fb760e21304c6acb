"""Moments of subsets of observations, their factors, and the squared distances that follow.

Observations are the columns of `Zt`, an array (p, n) with one variable a row, so that every inner loop runs over
neighbouring observations. A scatter of m observations has divisor m - ddof: ddof is 1, or 0 when the location is known
to be 0. Singular means that a squared pivot of the factor is at most `tol` times its diagonal entry.
"""

from collections import namedtuple

import numpy as np

from ._jit import jit

ROWS = 64
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
    """Find the unit direction without variance of a scatter whose factor stopped at pivot j."""
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
    """Count observations whose distance from the hyperplane is within rounding, `tol` being squared."""
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
