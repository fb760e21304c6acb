r"""Monte Carlo of an affine equivariant estimator on normal rows: the quantiles of its squared distances.

The law depends on n, p and the settings alone, so that rows from N(0, I) stand for all normal rows.

Training rows: the distances of all rows of all fits. New rows: given a fit (m, S) and the direction u of a new row
:math:`r u`, its squared distance is a quadratic in r with :math:`r^2 \sim \chi^2_p`, so that each fit and direction
gives a whole law in closed form, far into the tail; these are averaged.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, special, stats
from scipy.linalg import solve_triangular

from .._random import as_generator
from .._typing import FloatArray, RandomState
from ._template import template

# Upper tail probabilities at which quantiles are kept, falling.
# fmt: off
LEVELS = np.array([
    0.999, 0.99, 0.975, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.125, 0.1, 0.08, 0.065,
    0.05, 0.04, 0.0325, 0.025, 0.02, 0.015, 0.0125, 0.01, 0.0075, 0.005, 0.0035, 0.0025, 0.0015, 0.001,
    0.0005, 0.00025, 0.0001,
])
# fmt: on
_DIRECTIONS = 6000  # pairs of opposite directions over all fits
_POINTS = 48  # squared distances at which the law of new rows is averaged
_FEWEST = 20  # training distances beyond a quantile that is believed


class _Measured(NamedTuple):
    """What one estimate adds: training distances, and coefficients of the quadratics of new rows."""

    d2: FloatArray
    quadratics: FloatArray


def chi2_quantiles(p: int) -> NDArray[np.float64]:
    """Return the quantiles of chi-square with p degrees of freedom at `LEVELS`."""
    return stats.chi2(p).isf(LEVELS)


def simulate(
    estimator: Any,
    n: int,
    p: int,
    *,
    n_fits: int,
    random_state: RandomState = 0,
    raw: bool = False,
    verbose: int = 0,
) -> NDArray[np.float64]:
    """Return logarithms of quantiles at `LEVELS` over those of chi-square: of training rows and of new rows.

    Parameters
    ----------
    estimator : scatter
        Unfitted or fitted; it is cloned.
    n, p : int
        Rows and columns of a fit.
    n_fits : int
        Number of independent fits.
    random_state : int, RandomState, Generator or None, default=0
        Seeds the rows and the fits.
    raw : bool, default=False
        Whether to measure from ``raw_location_`` and ``raw_covariance_`` as well.
    verbose : int, default=0
        Whether to report progress on the error stream.

    Returns
    -------
    ratios : ndarray of shape (2, n_levels) or (4, n_levels)
        Rows: training, new; with `raw`, the same for the raw estimate after them.

    Notes
    -----
    `n_fits` fits, and O(n_fits n) memory. The same seed gives the same numbers.
    """
    rng = as_generator(random_state)
    directions = min(max(_DIRECTIONS // n_fits, 2), 100)
    measured: list[list[_Measured]] = [[] for _ in range(2 if raw else 1)]
    fit = template(estimator)
    seeded = "random_state" in fit.get_params(deep=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a fit has to say about simulated rows concerns nobody
        for k in range(n_fits):
            X = rng.standard_normal((n, p))
            if seeded:
                fit.set_params(random_state=int(rng.integers(2**31)))
            fit.fit(X)
            U = rng.standard_normal((directions, p))
            measured[0].append(_measure(fit.location_, fit.covariance_, X, U))
            if raw:
                measured[1].append(_measure(fit.raw_location_, fit.raw_covariance_, X, U))
            if verbose and (k + 1) * 10 // n_fits > k * 10 // n_fits:
                print(f"RobustNull: {k + 1} of {n_fits} fits of {n} x {p} rows", file=sys.stderr)
    ratios = [row for kind in measured for row in _log_ratios(kind, p)]
    return np.array(ratios)


def _measure(location: FloatArray, covariance: FloatArray, X: FloatArray, U: FloatArray) -> _Measured:
    """Return the distances of the rows X, and (a, b, c) with d2(r u) = a r^2 - 2 b r + c for each direction u."""
    factor = np.linalg.cholesky(covariance)
    U = U / np.linalg.norm(U, axis=1, keepdims=True)
    stacked = np.concatenate([X - location, U, location[None, :]])
    white = solve_triangular(factor, stacked.T, lower=True, overwrite_b=True, check_finite=False).T
    n = len(X)
    d2 = np.einsum("ij,ij->i", white[:n], white[:n])
    toward, centre = white[n:-1], white[-1]
    a, b = np.einsum("ij,ij->i", toward, toward), toward @ centre
    return _Measured(d2, np.stack([a, b, np.full(len(U), centre @ centre)]))


def _log_ratios(measured: list[_Measured], p: int) -> tuple[FloatArray, FloatArray]:
    reference = chi2_quantiles(p)
    new = _new_quantiles(np.concatenate([one.quadratics for one in measured], axis=1), p)
    train = _training_quantiles(np.concatenate([one.d2 for one in measured]), new)
    return np.log(train / reference), np.log(new / reference)


def _training_quantiles(d2: FloatArray, new: FloatArray) -> FloatArray:
    """Return sample quantiles, continued like those of new rows where too few distances lie beyond.

    That is what they are there: a row so far out took no part in the estimate, so that to the other n - 1 rows it is
    a new row.
    """
    x = np.quantile(d2, 1 - LEVELS, method="hazen")
    seen = int(np.count_nonzero(LEVELS * d2.size >= _FEWEST))
    x[seen:] = x[seen - 1] * new[seen:] / new[seen - 1]
    return x


def _new_quantiles(quadratics: FloatArray, p: int) -> FloatArray:
    """Return the quantiles of the mean of the laws of the quadratics, by inverse interpolation of its tail."""
    a, b, c = quadratics
    b = np.abs(b)
    low, high = 0.2 * stats.chi2(p).ppf(1 - LEVELS[0]), stats.chi2(p).isf(LEVELS[-1])
    while _tail(np.array([high]), a, b, c, p)[0] > LEVELS[-1]:
        high *= 1.5
    while _tail(np.array([low]), a, b, c, p)[0] < LEVELS[0]:
        low /= 2
    points = np.geomspace(low, high, _POINTS)
    # Against the chi-square scale the tail is nearly a straight line, so that interpolation loses nothing.
    tail = _tail(points, a, b, c, p)
    points, tail = points[(tail > 0) & (tail < 1)], tail[(tail > 0) & (tail < 1)]
    scale = np.log(special.gammainccinv(p / 2, tail))
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(scale)) > 0])
    inverse = interpolate.PchipInterpolator(scale[rising], np.log(points[rising]))
    return np.exp(inverse(np.log(special.gammainccinv(p / 2, LEVELS))))


def _tail(t: FloatArray, a: FloatArray, b: FloatArray, c: FloatArray, p: int) -> FloatArray:
    """Return the mean probability, over directions and their opposites, that d2(r u) exceeds t."""
    out = np.empty(t.size)
    for k, level in enumerate(t):
        root2 = b * b + a * (level - c)
        root = np.sqrt(np.maximum(root2, 0.0))
        total = np.zeros_like(a)
        for sign in (1.0, -1.0):
            far, near = np.maximum((sign * b + root) / a, 0.0), np.maximum((sign * b - root) / a, 0.0)
            beyond = special.gammaincc(p / 2, far**2 / 2)
            if near.any():  # only for distances so small that the location itself is farther out
                beyond += special.gammainc(p / 2, near**2 / 2)
            total += np.where(root2 > 0, beyond, 1.0)
        out[k] = total.mean() / 2
    return out
