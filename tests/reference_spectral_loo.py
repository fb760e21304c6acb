"""Slow, readable twins of leave-one-out distances and conformance: refit without each row, dense matrices."""

import numpy as np


def matrices(X, filter, alpha, ddof, n_components=None):
    """Location and the matrix M of the squared distance v'Mv, by a dense eigendecomposition."""
    n, p = X.shape
    mean = X.mean(axis=0)
    C = (X - mean).T @ (X - mean) / (n - ddof)
    values, vectors = np.linalg.eigh(C)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int(np.count_nonzero(values > 1e-10 * values[0])) if n_components is None else n_components
    values, vectors = values[:rank], vectors[:, :rank]
    g = {
        "rkhs": lambda v: v / (v + alpha) ** 2,
        "ridge": lambda v: 1.0 / (v + alpha),
        "inverse": lambda v: 1.0 / v,
        "truncate": lambda v: 1.0 / v,
    }[filter](values)
    M = (vectors * g) @ vectors.T
    if filter == "ridge":
        M = M + (np.eye(p) - vectors @ vectors.T) / alpha
    return mean, M


def left_out(X, filter, alpha, ddof, n_components=None):
    """Squared distance of each row from a fit to all the others."""
    out = []
    for i in range(len(X)):
        mean, M = matrices(np.delete(X, i, axis=0), filter, alpha, ddof, n_components)
        out.append((X[i] - mean) @ M @ (X[i] - mean))
    return np.array(out)


def left_out_conformance(X, filter, alpha, ddof):
    """Squared distance of each row to the nearest other one in the norm of a fit to all the others."""
    out = []
    for i in range(len(X)):
        others = np.delete(X, i, axis=0)
        _, M = matrices(others, filter, alpha, ddof)
        out.append(min((X[i] - x) @ M @ (X[i] - x) for x in others))
    return np.array(out)


def conformance(train, X, filter, alpha, ddof):
    """Squared distance of each row to the nearest training row."""
    _, M = matrices(train, filter, alpha, ddof)
    return np.array([min((x - t) @ M @ (x - t) for t in train) for x in X])


def left_out_loglik(X, alpha, ddof):
    """Mean leave-one-out log-likelihood of a normal law with the covariance of the other rows plus alpha."""
    n, p = X.shape
    total = 0.0
    for i in range(n):
        others = np.delete(X, i, axis=0)
        mean = others.mean(axis=0)
        C = (others - mean).T @ (others - mean) / (n - 1 - ddof) + alpha * np.eye(p)
        v = X[i] - mean
        total -= 0.5 * (p * np.log(2 * np.pi) + np.linalg.slogdet(C)[1] + v @ np.linalg.solve(C, v))
    return total / n
