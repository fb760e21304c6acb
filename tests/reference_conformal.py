"""Slow readable twins of the conformal laws: refits, one at a time."""

import warnings

import numpy as np
from sklearn.base import clone


def distances(scatter, X):
    """Squared distances; infinite off the subspace of a fit."""
    d2 = np.asarray(scatter.mahalanobis(X), dtype=float)
    if hasattr(scatter, "whitener_"):
        d2 = np.where(scatter.whitener_.off_subspace(X, scatter.location_), np.inf, d2)
    return d2


def fit(estimator, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(estimator).fit(X)


def leave_one_out(estimator, X):
    """The distance of each row from a fit to all the others."""
    return np.array(
        [distances(fit(estimator, np.delete(X, i, axis=0)), X[i : i + 1])[0] for i in range(len(X))]
    )


def full_conformal(estimator, X, Y, rtol=1e-9):
    """The share of rows of the sample with y added that are at least as far as y from its fit."""
    out = np.empty(len(Y))
    for k, y in enumerate(Y):
        augmented = np.vstack([X, y])
        d2 = np.asarray(fit(estimator, augmented).mahalanobis(augmented), dtype=float)
        out[k] = np.mean(d2 >= d2[-1] * (1 - rtol))
    return out


def conformal_pvalue(calibration, d2):
    """(1 + the number of calibration distances that are d2 or larger) / (m + 1)."""
    return np.array([(1 + sum(c >= d for c in calibration)) / (len(calibration) + 1) for d in d2])
