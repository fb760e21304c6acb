"""Nested lasso: regressions on predecessors with a bandwidth of its own in every row, by local quadratic iteration."""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .lasso import LANES
from .working_set import dot

GONE = 1e-10  # standardised coefficient below which it and all farther ones are zero


@jit
def cholesky(A, m):
    """Lower factor of the leading m x m block, in place; False if it is not positive definite. O(m^3 / 6)."""
    for i in range(m):
        for k in range(i):
            A[i, k] = (A[i, k] - dot(A[i, :k], A[k, :k])) / A[k, k]
        pivot = A[i, i] - dot(A[i, :i], A[i, :i])
        if not pivot > 1e-15 * A[i, i]:
            return False
        A[i, i] = np.sqrt(pivot)
    return True


@jit
def substitute(A, m, rhs):
    """Solve with the factor in place. O(m^2)."""
    for i in range(m):
        rhs[i] = (rhs[i] - dot(A[i, :i], rhs[:i])) / A[i, i]
    for i in range(m - 1, -1, -1):
        rhs[i] /= A[i, i]
        for k in range(i):
            rhs[k] -= A[i, k] * rhs[i]


@jit
def nested_row(gram, j, alpha, tol, max_iter, phi):
    """Nested lasso of variable j by local quadratic iteration; returns relative change, iterations, success.

    Coefficients phi[t] run from the nearest predecessor (t = 0) outwards. With s_t^2 = |phi_t phi_{t-1}| at the
    previous iterate (phi_{-1} the marginal slope on the nearest) the ridge system (G + alpha S^-2) phi = g is solved as
    (S G S + alpha I) psi = S g, phi = S psi, whose condition does not suffer from coefficients on their way to zero.
    """
    near = 0.0
    for t in range(j):
        square = gram[j - 1 - t, j - 1 - t]
        phi[t] = gram[j, j - 1 - t] / square if square > 0.0 else 0.0
    near = abs(phi[0])
    m, change = j, np.inf
    A, new, s = np.empty((j, j)), np.empty(j), np.empty(j)
    for step in range(max_iter):
        for t in range(m):
            k = j - 1 - t
            if abs(phi[t]) * np.sqrt(gram[k, k]) <= GONE * np.sqrt(gram[j, j]):
                for c in range(t, m):
                    phi[c] = 0.0
                m = t
                break
            s[t] = np.sqrt(abs(phi[t]) * (near if t == 0 else abs(phi[t - 1])))
        for t in range(m):
            for c in range(t + 1):
                A[t, c] = s[t] * gram[j - 1 - t, j - 1 - c] * s[c]
            A[t, t] += alpha
            new[t] = s[t] * gram[j, j - 1 - t]
        if not cholesky(A, m):
            return change, step, False
        substitute(A, m, new)
        moved, size = 0.0, 0.0
        for t in range(m):
            value = s[t] * new[t]
            moved += abs(value - phi[t])
            size += abs(phi[t])
            phi[t] = value
        change = moved / size if size > 0.0 else 0.0
        if change <= tol:
            return change, step + 1, True
    return change, max_iter, True


@jit(parallel=True)
def nested_rows(gram, alpha, tol, max_iter, coef, rss, change, steps, solved):
    """Nested lasso of every variable on its predecessors: coef (p, p) strictly lower, the others (p,)."""
    p = gram.shape[0]
    lanes = min(LANES, p)
    for number in prange(lanes):
        lane = np.int64(number)
        for turn in range((p + lanes - 1) // lanes):
            j = turn * lanes + (lane if turn % 2 == 0 else lanes - 1 - lane)
            if j >= p:
                continue
            phi = np.zeros(j)
            change[j], steps[j], solved[j] = 0.0, 0, True
            if j > 0 and gram[j, j] > 0.0:
                change[j], steps[j], solved[j] = nested_row(gram, j, alpha, tol, max_iter, phi)
            total = gram[j, j]
            for t in range(j):
                k = j - 1 - t
                coef[j, k] = phi[t]
            for k in range(j):
                b = coef[j, k]
                if b != 0.0:
                    total += b * (dot(gram[k, :j], coef[j, :j]) - 2.0 * gram[j, k])
            rss[j] = max(0.0, total)


@warms
def _warm():
    gram = np.array([[1.0, 0.5], [0.5, 1.0]])
    gram.flags.writeable = False
    steps, solved = np.zeros(2, np.int64), np.zeros(2, np.bool_)
    nested_rows(gram, 0.1, 1e-4, 9, np.zeros((2, 2)), np.zeros(2), np.zeros(2), steps, solved)
