"""How much each of many resamples is shrunk, by the formulas of the scatter classes, from sums over the resample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import covariance as sk

from ..scatter import OAS, EmpiricalCovariance, LedoitWolf, ShrunkCovariance
from ..scatter._amounts import ledoit_wolf_share, oas_share
from ..scatter._moments import rank_tolerance

_CELLS = 2_000_000  # entries of a work array
# Exact classes: a subclass may shrink by another rule, as scikit-learn's own MinCovDet and GraphicalLasso do.
LINEAR = (
    EmpiricalCovariance,
    LedoitWolf,
    OAS,
    ShrunkCovariance,
    sk.EmpiricalCovariance,
    sk.LedoitWolf,
    sk.OAS,
    sk.ShrunkCovariance,
)


def shrinkage_weights(
    scatter: Any,
    trace: NDArray[np.float64],
    dispersion: NDArray[np.float64],
    fourth: NDArray[np.float64],
    n: int,
    p: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the weights of S and of the identity in the covariance of each resample.

    Parameters
    ----------
    scatter : estimator
        A scatter whose class is one of `LINEAR`; its parameters are read, and nothing that it has fitted.
    trace : ndarray of shape (b,)
        tr S of each resample, S of divisor n: a sum of variances.
    dispersion : ndarray of shape (b,)
        :math:`\lVert S \rVert_F^2 / \operatorname{tr}^2 S`.
    fourth : ndarray of shape (b,)
        :math:`\frac1n \sum_k \lVert x_k \rVert^4 / \operatorname{tr}^2 S` of the centred rows.
    n, p : int
        Rows of a resample, repeated ones included, and columns.

    Returns
    -------
    weight : ndarray of shape (b,)
        Factor of S.
    ridge : ndarray of shape (b,)
        Multiple of the identity, a variance: the covariance is ``weight * S + ridge * I``.

    Raises
    ------
    TypeError
        For another class.

    Notes
    -----
    O(b). Where nothing varies (trace 0) both invariants count as 0, as in a fit.
    """
    kind = type(scatter)
    if kind not in LINEAR:
        raise TypeError(f"{kind.__name__} is not one of the linear shrinkage scatters.")
    trace = np.asarray(trace, np.float64)
    share: Any = 0.0
    if kind in (LedoitWolf, sk.LedoitWolf):
        share = ledoit_wolf_share(dispersion, fourth, n, p, rank_tolerance(n, p))
    elif kind in (OAS, sk.OAS):
        share = oas_share(dispersion, n, p, 2.0 / p if getattr(scatter, "formula", "") == "paper" else 0.0)
    elif kind in (ShrunkCovariance, sk.ShrunkCovariance):
        ridge = getattr(scatter, "ridge", None)
        if ridge is not None:
            return np.ones(trace.shape), float(ridge) * trace / p
        share = float(scatter.shrinkage)
    share = np.broadcast_to(share, trace.shape)
    return 1.0 - share, share * trace / p


def qis_spectra(
    values: NDArray[np.float64], p: int, freedom: int, rtol: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Shrink the sample eigenvalues of many resamples by the formula of `QIS`.

    Parameters
    ----------
    values : ndarray of shape (b, k)
        Largest eigenvalues of each sample covariance of divisor `freedom`, descending, k >= min(p, freedom); all
        others are zero.
    p : int
        Columns.
    freedom : int
        Rows of a resample, less one when the mean was estimated.
    rtol : float
        Share of the largest eigenvalue below which one counts as zero.

    Returns
    -------
    shrunk : ndarray of shape (b, k)
        Shrunk eigenvalues in the places of `values`; 0 in those of vanishing ones.
    rest : ndarray of shape (b,)
        The common value of all other eigenvalues.

    See Also
    --------
    fmahal.scatter.qis.qis_eigenvalues : the same for one sample, with the formula.

    Notes
    -----
    O(b k^2) time, and memory bounded by blocks of resamples.
    """
    b, k = values.shape
    shrunk, rest = np.zeros((b, k)), np.zeros(b)
    m = min(k, p, freedom)
    step = max(1, _CELLS // max(m * m, 1))
    for start in range(0, b, step):
        rows = slice(start, start + step)
        shrunk[rows, :m], rest[rows] = _qis_block(values[rows, :m], p, freedom, rtol)
    return shrunk, rest


def _qis_block(
    values: NDArray[np.float64], p: int, freedom: int, rtol: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    m = values.shape[1]
    present = (values > rtol * values[:, :1]) & (values[:, :1] > 0)
    count = present.sum(axis=1)
    limits = np.zeros(count.size, np.int64)  # inverse eigenvalues that are infinite
    n = np.full(count.size, freedom)
    if p > freedom:  # rows repeat: fewer degrees of freedom
        n -= m - count
    else:
        limits = m - count
    some = count > 0
    c = p / np.where(some, n, 1)
    h = np.minimum(c * c, 1.0 / (c * c)) ** 0.35 / p**0.35
    inverse = np.divide(values[:, :1], values, out=np.zeros_like(values), where=present)
    theta, conjugate = _smoothed(inverse, present, h, limits)
    amplitude2 = theta**2 + conjugate**2
    c = c[:, None]
    if p <= freedom:
        reciprocal = inverse * ((1.0 - c) ** 2 + 2.0 * c * (1.0 - c) * theta + c * c * amplitude2)
        rest = np.zeros(count.size)
    else:
        reciprocal = inverse * amplitude2
        # 1 / ((c - 1) mean_j l_j), and 0 where nothing varies
        rest = np.divide(count, (c[:, 0] - 1.0) * inverse.sum(axis=1), out=np.zeros(count.size), where=some)
    shrunk = np.divide(1.0, reciprocal, out=np.zeros_like(values), where=present)
    total = shrunk.sum(axis=1) + (p - count) * rest
    factor = np.divide(
        np.where(present, values, 0.0).sum(axis=1), total, out=np.zeros(count.size), where=some
    )
    return shrunk * factor[:, None], rest * factor


def _smoothed(
    inverse: NDArray[np.float64],
    present: NDArray[np.bool_],
    h: NDArray[np.float64],
    limits: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return theta and its conjugate (b, m) for the non-null eigenvalues; elsewhere values that mean nothing."""
    width2 = (h[:, None] * inverse) ** 2
    gap = inverse[:, None, :] - inverse[:, :, None]  # (b, i, j)
    size = gap**2 + width2[:, None, :]
    weight = np.divide(
        inverse[:, None, :], size, out=np.zeros_like(gap), where=present[:, None, :] & (size > 0)
    )
    theta = np.einsum("bij,bij->bi", weight, gap)
    conjugate = h[:, None] * np.einsum("bij,bj->bi", weight, inverse)
    number = np.maximum(present.sum(axis=1) + limits, 1)[:, None]
    theta += (limits / (1.0 + h * h))[:, None]
    conjugate += (limits * h / (1.0 + h * h))[:, None]
    return theta / number, conjugate / number
