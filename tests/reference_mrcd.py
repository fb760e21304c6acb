"""Slow, readable twins of the regularised MCD and of the six deterministic starts: p x p matrices, plain numpy."""

import numpy as np
from scipy import stats


def qn(x):
    """Qn of a vector, O(n^2): the C(h, 2)-th smallest difference, with the finite-sample factors of R."""
    n = len(x)
    half = n // 2 + 1
    i, j = np.triu_indices(n, 1)
    raw = 2.21914 * np.sort(np.abs(x[i] - x[j]))[half * (half - 1) // 2 - 1]
    small = [0.399356, 0.99365, 0.51321, 0.84401, 0.61220, 0.85877]
    small += [0.66993, 0.87344, 0.72014, 0.88906, 0.75743]
    if n <= 12:
        return raw * small[n - 2]
    if n % 2:
        return raw / (1.0 + (1.60188 + (-2.1284 - 5.172 / n) / n) / n)
    return raw / (1.0 + (3.67561 + (1.9654 + (6.987 - 77.0 / n) / n) / n) / n)


def tau(x):
    """Tau scale of a vector, with c1 = 4.5 and c2 = 3."""
    median = np.median(x)
    mad = np.median(np.abs(x - median))
    weights = np.maximum(0.0, 1.0 - ((x - median) / (4.5 * mad)) ** 2) ** 2
    centre = np.sum(weights * x) / np.sum(weights)
    b = 3.0 * stats.norm.ppf(0.75)
    expected = 2.0 * ((1.0 - b * b) * stats.norm.cdf(b) - b * stats.norm.pdf(b) + b * b) - 1.0
    return mad * np.sqrt(np.mean(np.minimum(((x - centre) / mad) ** 2, 9.0)) / expected)


def standardised(X, scale=qn):
    return (X - np.median(X, axis=0)) / np.array([scale(column) for column in X.T])


def shapes(Z, scale):
    """The six shape matrices of standardised rows."""
    n, p = Z.shape
    ranks = np.apply_along_axis(stats.rankdata, 0, Z)
    yield np.corrcoef(np.tanh(Z), rowvar=False)
    yield np.corrcoef(ranks, rowvar=False)
    yield np.corrcoef(stats.norm.ppf((ranks - 1.0 / 3.0) / (n + 1.0 / 3.0)), rowvar=False)
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    yield (Z / norms).T @ (Z / norms)
    yield np.cov(Z[np.argsort(norms[:, 0])[: (n + 1) // 2]], rowvar=False)
    pairs = np.eye(p)
    for j in range(p):
        for k in range(j):
            plus, minus = scale(Z[:, j] + Z[:, k]), scale(Z[:, j] - Z[:, k])
            pairs[j, k] = pairs[k, j] = (plus**2 - minus**2) / 4.0
    yield pairs


def initial_distances(Z, scale):
    """Squared distances to each of the six initial estimates, (6, n)."""
    found = []
    for shape in shapes(Z, scale):
        P = np.linalg.eigh(np.atleast_2d(shape))[1]
        scales = np.array([scale(column) for column in (Z @ P).T])
        root, inverse = (P * scales) @ P.T, (P / scales) @ P.T
        location = root @ np.median(Z @ inverse, axis=0)
        found.append((((Z - location) @ P / scales) ** 2).sum(axis=1))
    return np.array(found)


def orderings(X, h, scale):
    """The refined orderings of the deterministic MCD, (6, n)."""
    Z = standardised(X, scale)
    found = []
    for d2 in initial_distances(Z, scale):
        first = Z[np.argsort(d2)[:h]]
        gap = Z - first.mean(axis=0)
        covariance = np.atleast_2d(np.cov(first, rowvar=False))
        found.append(np.argsort(np.einsum("ij,ji->i", gap, np.linalg.solve(covariance, gap.T))))
    return np.array(found)


def common_correlation(X):
    """Mean over pairs of columns of sin(pi/2 Spearman), not below min(0, -1/(p-1) + 0.01)."""
    p = X.shape[1]
    ranks = np.apply_along_axis(stats.rankdata, 0, X)
    matrix = np.sin(0.5 * np.pi * np.corrcoef(ranks, rowvar=False))
    return max((matrix.sum() - p) / (p * (p - 1)), min(0.0, -1.0 / (p - 1) + 0.01))


def target(p, correlation):
    return correlation * np.ones((p, p)) + (1.0 - correlation) * np.eye(p)


def regularised(U, rows, rho, factor, T, ddof):
    """Mean of a subset and rho T + (1 - rho) c S, with divisor h - ddof."""
    mean = U[rows].mean(axis=0)
    gap = U[rows] - mean
    return mean, rho * T + (1.0 - rho) * factor * (gap.T @ gap) / (len(rows) - ddof)


def step(U, rows, rho, factor, T, ddof=0):
    """Squared distances of all rows to a subset, and the log-determinant of its regularised covariance."""
    mean, K = regularised(U, rows, rho, factor, T, ddof)
    gap = U - mean
    return np.einsum("ij,ji->i", gap, np.linalg.solve(K, gap.T)), np.linalg.slogdet(K)[1]


def concentrate(U, rows, rho, factor, T):
    """Concentrate until the subset repeats."""
    rows = np.sort(rows)
    while True:
        nearest = np.sort(np.argsort(step(U, rows, rho, factor, T)[0], kind="stable")[: len(rows)])
        if np.array_equal(nearest, rows):
            return rows
        rows = nearest


def needed_rho(U, rows, factor, T, max_condition):
    """The least rho that bounds the condition number relative to T, by bisection; 1e-6 when none is needed."""
    values, vectors = np.linalg.eigh(T)
    root = (vectors / np.sqrt(values)) @ vectors.T
    S = root @ np.atleast_2d(np.cov(U[rows], rowvar=False)) @ root * factor
    low, high = 1e-6, 1.0
    if np.linalg.cond(low * np.eye(len(T)) + (1 - low) * S) <= max_condition:
        return low
    for _ in range(60):
        middle = 0.5 * (low + high)
        if np.linalg.cond(middle * np.eye(len(T)) + (1 - middle) * S) > max_condition:
            low = middle
        else:
            high = middle
    return high


def mrcd(X, starts, rho, factor, correlation=0.0):
    """Best subset over the starts, location, covariance, distances and log det, at a given rho."""
    medians, scales = np.median(X, axis=0), np.array([qn(column) for column in X.T])
    U, T = (X - medians) / scales, target(X.shape[1], correlation)
    ends = [concentrate(U, start, rho, factor, T) for start in starts]
    rows = min(ends, key=lambda one: step(U, one, rho, factor, T)[1])
    mean, K = regularised(U, rows, rho, factor, T, 1)
    covariance = K * np.outer(scales, scales)
    location = medians + scales * mean
    gap = X - location
    d2 = np.einsum("ij,ji->i", gap, np.linalg.solve(covariance, gap.T))
    return rows, location, covariance, d2, np.linalg.slogdet(covariance)[1]
