"""The minimum covariance determinant in plain numpy: slow, readable, no search of its own but enumeration.

Rows in, subsets as sorted index arrays. `objective` is the log-determinant of the covariance with divisor h - 1.
"""

from itertools import combinations

import numpy as np
from scipy import stats

ROUNDING = 1e-10  # of log-determinants that ought to be equal


def moments(X, rows):
    """Mean, covariance with divisor h - 1, and its log-determinant (minus infinity when singular)."""
    subset = np.asarray(X, float)[rows]
    S = np.atleast_2d(np.cov(subset.T))
    return subset.mean(axis=0), S, logdet(S)


def logdet(S):
    """Log-determinant after scaling to unit diagonal, so that units do not decide on singularity."""
    scale = np.sqrt(np.diagonal(S))
    if not (scale > 0).all():
        return -np.inf
    eigenvalues = np.linalg.eigvalsh(S / np.outer(scale, scale))
    if eigenvalues[0] <= len(S) * np.finfo(float).eps * eigenvalues[-1]:
        return -np.inf
    return np.log(eigenvalues).sum() + 2 * np.log(scale).sum()


def squared_distances(X, location, covariance):
    centred = np.asarray(X, float) - location
    scale = np.sqrt(np.diagonal(np.atleast_2d(covariance)))
    R = np.linalg.cholesky(covariance / np.outer(scale, scale))
    return (np.linalg.solve(R, (centred / scale).T) ** 2).sum(axis=0)


def concentrate(X, rows):
    """One concentration step: the h rows nearest to the moments of `rows`; ties go to the earlier row."""
    location, S, _ = moments(X, rows)
    return np.sort(np.argsort(squared_distances(X, location, S), kind="stable")[: len(rows)])


def converge(X, rows, max_steps=200):
    """Concentration steps until the objective stands still (distances tie) or the subset is singular."""
    rows, value = np.sort(rows), moments(X, rows)[2]
    for _ in range(max_steps):
        if not np.isfinite(value):
            break
        following = concentrate(X, rows)
        lower = moments(X, following)[2]
        if lower >= value:
            break
        rows, value = following, lower
    return rows, value


def is_fixed(X, rows):
    """Whether no row outside is nearer than one inside, but for rounding."""
    location, S, _ = moments(X, rows)
    d2 = squared_distances(X, location, S)
    outside = np.setdiff1d(np.arange(len(X)), rows)
    return not len(outside) or d2[rows].max() <= d2[outside].min() * (1 + 1e-9)


def enumerate_subsets(X, h):
    """Lowest objective over all h-subsets, and every subset that reaches it. C(n, h) determinants."""
    best, winners = np.inf, []
    for subset in combinations(range(len(X)), h):
        value = moments(X, list(subset))[2]
        if value < best - ROUNDING:
            best, winners = value, [subset]
        elif value <= best + ROUNDING or value == best:
            winners.append(subset)
    return best, winners


def univariate(x, h):
    """p = 1: some run of h consecutive order statistics is best. Objective, mean and rows of every best run."""
    order = np.argsort(x, kind="stable")
    runs = [order[i : i + h] for i in range(len(x) - h + 1)]
    variances = [np.var(x[run], ddof=1) for run in runs]
    least = min(variances)
    with np.errstate(divide="ignore"):
        value = np.log(least)
    close = least * (1 + 1e-10)
    return value, [(x[run].mean(), np.sort(run)) for run, v in zip(runs, variances) if v <= close]


def exchange_ratios(X, rows):
    """Determinant after over before, for every swap of a row inside (axis 0) with a row outside (axis 1).

    With m, A = mean and sum of squares of the subset, A = L L', W = (X - m) L^-T, d_i = |W_i|^2, G = W W',
    c = h/(h - 1), e = 1/(h - 1): removing i costs the factor 1 - c d_i and moves the mean by -e (x_i - m); adding j
    with weight (h - 1)/h multiplies by 1 + q_ij / c, q = d_j + 2 e G + e^2 d_i + c (G + e d_i)^2 / (1 - c d_i) the
    distance of j on the remaining rows. Multiplied out, for these may lie on a hyperplane: then 1 - c d_i = 0. A row
    inside that lies a thousand times farther out than the others costs half the digits.
    """
    h = len(rows)
    subset = X[rows]
    m = subset.mean(axis=0)
    L = np.linalg.cholesky((subset - m).T @ (subset - m))
    W = np.linalg.solve(L, (X - m).T).T
    outside = np.setdiff1d(np.arange(len(X)), rows)
    c, e = h / (h - 1), 1 / (h - 1)
    d = (W**2).sum(axis=1)
    d_i, d_j = d[rows][:, None], d[outside][None, :]
    G = W[rows] @ W[outside].T
    near = d_j + 2 * e * G + e**2 * d_i
    return (1 - c * d_i) * (1 + near / c) + (G + e * d_i) ** 2, outside


def exchange_ratios_by_refit(X, rows):
    """The same by h (n - h) determinants."""
    outside = np.setdiff1d(np.arange(len(X)), rows)
    before = moments(X, rows)[2]
    ratios = np.empty((len(rows), len(outside)))
    for a in range(len(rows)):
        for b, j in enumerate(outside):
            after = moments(X, [*np.delete(rows, a), j])[2]
            ratios[a, b] = np.exp(after - before)
    return ratios, outside


def exchange_descent(X, rows):
    """Concentrate, then make the best swap, until no swap lowers the determinant."""
    rows, value = converge(X, rows)
    while np.isfinite(value):
        ratios, outside = exchange_ratios(X, rows)
        a, b = np.unravel_index(np.argmin(ratios), ratios.shape)
        if ratios[a, b] >= 1 - ROUNDING:
            break
        rows, value = converge(X, np.sort([*np.delete(rows, a), outside[b]]))
    return rows, value


def consistency_factor(p, a):
    """C(p, a) = a / P(chi2_{p+2} <= chi2_{p, a}), which makes the trimmed covariance of normal rows unbiased."""
    return 1.0 if a >= 1 else a / stats.chi2.cdf(stats.chi2.ppf(a, p), p + 2)


def reweight(X, rows, factors_raw, factors, quantile=0.975):
    """From the best subset to the final estimate, correction="pison".

    `factors_raw` and `factors` are pairs (consistency, small-sample). Returns raw and final location and covariance,
    the rows that produced the final ones, final squared distances, final weights. When no row is rejected the second
    pair is not applied.
    """
    cutoff = stats.chi2.ppf(quantile, X.shape[1])
    raw_location, S, _ = moments(X, rows)
    raw_covariance = np.prod(factors_raw) * S
    support = squared_distances(X, raw_location, raw_covariance) < cutoff
    location, S, _ = moments(X, np.flatnonzero(support))
    covariance = S * (1.0 if support.all() else np.prod(factors))
    d2 = squared_distances(X, location, covariance)
    return {
        "raw_location": raw_location,
        "raw_covariance": raw_covariance,
        "support": support,
        "location": location,
        "covariance": covariance,
        "d2": d2,
        "weights": d2 < cutoff,
    }
