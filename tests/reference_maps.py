"""Slow readable twins of the random maps: explicit matrices, and exact moments by enumeration."""

from itertools import combinations, product

import numpy as np
from scipy.linalg import hadamard


def next_power_of_two(m):
    order = 1
    while order < m:
        order *= 2
    return order


def srht_matrix(signs, sample):
    """sqrt(1/k) R H D with H from SciPy, for rows of length m = len(signs) that are padded with zeros."""
    m = len(signs)
    H = hadamard(next_power_of_two(m)).astype(float)
    return np.sqrt(1.0 / len(sample)) * (H[sample] @ np.eye(len(H))[:, :m] @ np.diag(signs))


def sparse_matrix(codes, k, s):
    """One entry of each column in each of s blocks of rows, of size sqrt(rows of the block / k)."""
    edges = [t * k // s for t in range(s + 1)]
    S = np.zeros((k, len(codes)))
    for j, column in enumerate(codes):
        for t, code in enumerate(column):
            row, sign = (code, 1.0) if code >= 0 else (-code - 1, -1.0)
            assert edges[t] <= row < edges[t + 1]
            S[row, j] = sign * np.sqrt((edges[t + 1] - edges[t]) / k)
    return S


def srht_norms(x, k):
    """|S x|^2 for every choice of signs and of sampled rows, all equally likely."""
    m = len(x)
    samples = combinations(range(next_power_of_two(m)), k)
    choices = product(list(samples), product((-1.0, 1.0), repeat=m))
    return np.array([np.sum((srht_matrix(signs, list(sample)) @ x) ** 2) for sample, signs in choices])


def sparse_norms(x, k, s):
    """|S x|^2 for every choice of rows and signs, all equally likely."""
    sizes = np.diff([t * k // s for t in range(s + 1)])
    starts = np.cumsum(sizes) - sizes
    entries = [list(range(a, a + b)) + [-1 - r for r in range(a, a + b)] for a, b in zip(starts, sizes)]
    columns = list(product(*entries))
    return np.array([np.sum((sparse_matrix(S, k, s) @ x) ** 2) for S in product(columns, repeat=len(x))])
