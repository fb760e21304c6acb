"""Slow readable twins of the counter-based generator and of resampled refits: the specification, in plain Python."""

import warnings

import numpy as np
from sklearn.base import clone

MASK = 0xFFFFFFFF


def philox(counter, key):
    """Philox-4x32 with ten rounds on Python integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def word(key, replicate, attempt, stream, draw):
    return philox([draw // 4, replicate, attempt, stream], [int(k) for k in key])[draw % 4]


def below(key, replicate, attempt, stream, draw, bound):
    """The high half of word times bound; where the low half is below 2^32 mod bound, of the next word."""
    retry = 0
    while True:
        product = word(key, replicate, attempt, stream + (retry << 16), draw) * bound
        if product & MASK >= 2**32 % bound:
            return product >> 32
        retry += 1


def resample_rows(key, replicate, attempt, n):
    """Rows with replacement, sorted."""
    return sorted(below(key, replicate, attempt, 0, draw, n) for draw in range(n))


def held_rows(key, replicate, attempt, n, m):
    """Distinct rows: each draw picks from those that are left, and the first of these takes the place of the pick."""
    left = list(range(n))
    out = []
    for draw in range(m):
        pick = below(key, replicate, attempt, 1, draw, n - draw)
        out.append(left[pick])
        left[pick] = left[0]
        left = left[1:] if pick == 0 else [left[pick] if i == pick else left[i] for i in range(1, len(left))]
    return out


def weighted_moments(Y, weights, centred):
    """Mean and packed covariance (upper triangle row by row), divisor sum of the weights."""
    mean = weights @ Y / weights.sum() if centred else np.zeros(Y.shape[1])
    S = (Y - mean).T @ (weights[:, None] * (Y - mean)) / weights.sum()
    return mean, S[np.triu_indices(Y.shape[1])]


def distances(Y, mean, packed, weight, ridge):
    """Squared distances of the rows to mean and weight S + ridge I."""
    r = Y.shape[1]
    S = np.zeros((r, r))
    S[np.triu_indices(r)] = packed
    S = weight * (S + np.triu(S, 1).T) + ridge * np.eye(r)
    return np.einsum("ij,ji->i", Y - mean, np.linalg.solve(S, (Y - mean).T))


def rank(X, centred):
    """Rank of the rows on the scale of the correlation matrix."""
    Y = X - X.mean(axis=0) if centred else X
    norms = np.linalg.norm(Y, axis=0)
    Y = Y[:, norms > 1e-12 * np.abs(X).max(axis=0)]
    if Y.shape[1] == 0:
        return 0
    return np.linalg.matrix_rank(Y / np.linalg.norm(Y, axis=0), tol=1e-7)


def refits(estimator, X, key, n_resamples, n_held, *, needs_rank, kept=False):
    """Explicit copies of rows and refits of the class: train (B, n or n - m), new (B, m or n), how many redrawn."""
    centred = not estimator.assume_centered
    full = rank(X, centred)
    train, new, redrawn = [], [], 0
    for b in range(n_resamples):
        attempt = 0
        while True:
            rows = resample_rows(key, b, attempt, len(X))
            held = held_rows(key, b, attempt, len(X), n_held)
            rest = np.setdiff1d(np.arange(len(X)), held)
            fits = [rows] if n_held == 0 else [rest] if kept else [rows, rest]
            if not needs_rank or all(rank(X[fit], centred) == full for fit in fits):
                break
            attempt += 1
        redrawn += attempt
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models = [clone(estimator).fit(X[fit]) for fit in fits]
        train.append(models[0].mahalanobis(X[fits[0]]))
        if n_held == 0:
            d2 = models[0].mahalanobis(X)
            d2[rows] = np.nan
            new.append(d2)
        else:
            new.append(models[-1].mahalanobis(X[held]))
    return np.array(train), np.array(new), redrawn
