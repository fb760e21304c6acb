"""Slow readable twin of the two-sample tests: one split after the other, one row after the other."""

import itertools

import numpy as np


def mean_distance(Z, first):
    """Squared distance of the two group means over 1/n1 + 1/n2, of whitened rows."""
    one, two = Z[first], Z[~first]
    gap = one.mean(axis=0) - two.mean(axis=0)
    return sum(g**2 for g in gap) / (1 / len(one) + 1 / len(two))


def studentized(Z, first):
    """Difference of the means in the metric of its own estimated covariance."""
    one, two = Z[first], Z[~first]
    gap = one.mean(axis=0) - two.mean(axis=0)
    covariance = np.atleast_2d(np.cov(one.T)) / len(one) + np.atleast_2d(np.cov(two.T)) / len(two)
    return gap @ np.linalg.solve(covariance, gap)


def every_split(n, n1):
    """All label vectors with n1 rows in the first group."""
    for chosen in itertools.combinations(range(n), n1):
        first = np.zeros(n, dtype=bool)
        first[list(chosen)] = True
        yield first


def exact_pvalue(Z, n1, statistic):
    """Share of all splits, the observed one among them, with a statistic as large or larger."""
    observed = statistic(Z, np.arange(len(Z)) < n1)
    values = [statistic(Z, first) for first in every_split(len(Z), n1)]
    return np.mean([value >= observed * (1 - 1e-9) for value in values])


def sampled_pvalue(Z, n1, statistic, n_permutations, rng):
    """The same from random splits, with the observed one added."""
    first = np.arange(len(Z)) < n1
    observed = statistic(Z, first)
    count = 1
    for _ in range(n_permutations):
        count += statistic(Z, rng.permutation(first)) >= observed * (1 - 1e-9)
    return count / (n_permutations + 1)
