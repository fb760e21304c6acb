"""Slow readable twins of `fmahal._kernels.resampling_dual`: the specification, in plain NumPy.

K are inner products of the rows, counts how often a resample takes each of them.
"""

import numpy as np


def gram(K, counts, centred):
    """Inner products about the mean of the resample."""
    if not centred:
        return K
    centring = np.eye(len(K)) - np.outer(np.ones(len(K)), counts / counts.sum())
    return centring @ K @ centring.T


def invariants(K, counts, centred):
    """tr S, |S|_F^2 / (tr S)^2 and mean |x|^4 / (tr S)^2, S of divisor sum(counts)."""
    G, share = gram(K, counts, centred), counts / counts.sum()
    trace = share @ np.diagonal(G)
    return trace, share @ G**2 @ share / trace**2, share @ np.diagonal(G) ** 2 / trace**2


def distances(K, counts, weight, ridge, centred):
    """Squared distances of all rows to the fit weight S + ridge I, by the identity of Woodbury."""
    G, root = gram(K, counts, centred), np.sqrt(counts)
    number = counts.sum()
    M = weight / number * root[:, None] * G * root + ridge * np.eye(len(K))
    k = root[:, None] * G
    return (np.diagonal(G) - weight / number * (k * np.linalg.solve(M, k)).sum(axis=0)) / ridge


def covariance(X, counts, weight, ridge, centred):
    """The fit itself, p x p, from the rows."""
    number = counts.sum()
    Y = X - (counts @ X / number if centred else 0.0)
    return weight * (Y.T * counts) @ Y / number + ridge * np.eye(X.shape[1])
