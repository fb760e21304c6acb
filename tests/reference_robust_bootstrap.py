"""The fast robust bootstrap in plain numpy: one corrected concentration step of a weighted sample, then reweighting.

Works on the rows as they are, with matrix roots, logarithms and inverses; weights are whole numbers, copies of rows.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats


class Setting(NamedTuple):
    """What does not depend on the resample."""

    h: float  # rows that the step keeps
    scale: float  # factors of the raw scatter
    ddof: int
    known: bool
    gains: tuple  # of location and shape
    bound: float | None  # squared distance within which rows are reweighted; None: not at all
    factor: float  # of the reweighted scatter
    factor_all: float  # of it when no row was left out


def gains(p, a):
    """Inverses of 1 minus the derivative of the concentration step at the normal law."""
    q = stats.chi2.ppf(a, p)
    below = [stats.chi2.cdf(q, p + k) for k in (2, 4)]
    return a / below[0], below[0] / below[1]


def squared_distances(X, location, covariance):
    centred = X - location
    return np.einsum("ij,ij->i", centred @ np.linalg.inv(covariance), centred)


def weighted_moments(X, weights, setting, scale):
    total = weights.sum()
    location = np.zeros(X.shape[1]) if setting.known else weights @ X / total
    centred = X - location
    return location, scale * (centred * weights[:, None]).T @ centred / (total - setting.ddof)


def power(S, k):
    w, V = np.linalg.eigh(S)
    return (V * w**k) @ V.T


def nearest(X, weights, h, location, covariance):
    """Weights of the h nearest rows, copies counted, the last row partly."""
    order = np.argsort(squared_distances(X, location, covariance), kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    kept = np.empty(len(X))
    kept[order] = np.clip(h - before, 0.0, weights[order])
    return kept


def corrected_step(X, weights, start, setting):
    """Raw and final estimate of a weighted sample, from the raw estimate `start` of all rows."""
    weights = np.asarray(weights, float)
    n, p = X.shape
    everything = np.ones(n)
    image = nearest(X, everything, setting.h * n / weights.sum(), *start)
    m0, S0 = weighted_moments(X, image, setting, setting.scale)
    kept = nearest(X, weights, setting.h, *start)
    m1, S1 = weighted_moments(X, kept, setting, setting.scale)
    root, back = power(S0, 0.5), power(S0, -0.5)
    T = back @ S1 @ back
    size = np.linalg.det(T) ** (1 / p)
    raw = m0 + setting.gains[0] * (m1 - m0), root @ (size * power(T / size, setting.gains[1])) @ root
    if setting.bound is None:
        return raw, raw
    inside = weights * (squared_distances(X, *raw) < setting.bound)
    if inside.sum() <= p + 1:
        inside = kept
    factor = setting.factor_all if inside.sum() == weights.sum() else setting.factor
    return raw, weighted_moments(X, inside, setting, factor)
