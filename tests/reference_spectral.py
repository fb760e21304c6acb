"""Spectral filters, slowly: the dense covariance, its eigenvectors, and one direction after another."""

import numpy as np


def weight(filter, value, alpha):
    """g(lambda)."""
    if filter == "rkhs":
        return value / (value + alpha) ** 2
    if filter == "ridge":
        return 1.0 / (value + alpha)
    return 1.0 / value


def rank_of(X):
    """Singular values of the centred rows above max(n, p) eps times the first, and 4 eps sqrt(n) |mean|."""
    n, p = X.shape
    mean = X.mean(axis=0)
    roots = np.linalg.svd(X - mean, compute_uv=False)
    floor = np.finfo(float).eps * max(max(n, p) * roots[0], 4 * np.sqrt(n) * np.linalg.norm(mean))
    return min(int((roots > floor).sum()), n - 1)


def spectral_distance(X, Y, filter, n_components=None, alpha=1e-2, alpha_units="leading", ddof=1):
    """Squared distances of the rows of Y from the mean of X."""
    n, p = X.shape
    mean = sum(X) / n
    covariance = np.zeros((p, p))
    for x in X:
        covariance += np.outer(x - mean, x - mean) / (n - ddof)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = rank_of(X)
    K = rank if n_components is None else n_components
    if filter == "truncate" and n_components is None:
        K = 0.95
    if isinstance(K, float):
        share = np.cumsum(values[:rank]) / np.trace(covariance)
        K = next(k for k in range(1, rank + 1) if k == rank or share[k - 1] >= K)
    K = min(K, rank)
    alpha = alpha * {"leading": values[0], "trace": np.trace(covariance), "absolute": 1.0}[alpha_units]
    out = []
    for y in Y:
        v = y - mean
        d2, inside = 0.0, np.zeros(p)
        for m in range(K):
            score = vectors[:, m] @ v
            d2 += weight(filter, values[m], alpha) * score**2
            inside += score * vectors[:, m]
        if filter == "ridge":
            d2 += np.sum((v - inside) ** 2) / alpha
        out.append(d2)
    return np.array(out)
