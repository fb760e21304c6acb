"""Slow, readable twin of partial whitening: dense matrices, and one distance at a time."""

import math

import numpy as np


def metric(covariance, power):
    """The matrix M with d2 = (x - m)' M (x - m), on the range of the correlation matrix."""
    sd = np.sqrt(np.diagonal(covariance))
    values, vectors = spectrum(covariance)
    inner = sum(w**-power * np.outer(v, v) for w, v in zip(values, vectors.T, strict=True))
    return inner / np.outer(sd, sd)


def spectrum(covariance):
    """Positive eigenvalues of the correlation matrix, and their vectors."""
    sd = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
    kept = values > 1e-10 * values.max()
    return values[kept], vectors[:, kept]


def distances(X, location, M):
    return np.array([(x - location) @ M @ (x - location) for x in X])


def score(X, covariance, power, k):
    """Mean leave-one-out log-density of the k-th neighbour of standardised rows, on their span."""
    X = np.unique(X, axis=0)
    values, vectors = spectrum(covariance)
    r, m = values.size, len(X)
    Z = X / np.sqrt(np.diagonal(covariance)) @ vectors / values ** (power / 2)
    ball = math.pi ** (r / 2) / math.gamma(r / 2 + 1)
    total = 0.0
    for i in range(m):
        others = sorted(np.linalg.norm(Z[i] - Z[j]) for j in range(m) if j != i)
        volume = (
            ball * others[k - 1] ** r
        )  # in whitened units, where a unit cube has prod(values) ** (power / 2)
        total += math.log(k / (m - 1) / volume) - power / 2 * sum(math.log(w) for w in values)
    return total / m
