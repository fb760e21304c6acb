"""Published laws of distances from the minimum covariance determinant: Hardin-Rocke, Green-Martin, Cerioli."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from .._typing import FloatArray
from ..distance import mahalanobis
from ..exceptions import RankDeficientError
from ..scatter._mcd_factors import consistency_factor, nominal_alpha, small_sample_factor
from ._fisher import fisher_f
from .base import Law

Published: TypeAlias = Literal["hardin-rocke", "green-martin"]

CERIOLI_DELTA = 0.025  # share of clean rows that the first step of Cerioli's rule may drop


class Estimate(NamedTuple):
    """A location, a covariance, and the squared distances of the training rows from them."""

    location: FloatArray
    covariance: FloatArray
    d2: FloatArray


def asymptotic_dof(n: int, p: int, a: float) -> float:
    """Return the Wishart degrees of freedom that match the raw scatter of n rows, asymptotically (`a` = h / n)."""
    q = 2 * special.gammaincinv(p / 2, a)
    c_a = consistency_factor(p, a)
    c2 = -special.gammainc(p / 2 + 1, q / 2) / 2
    c3 = -special.gammainc(p / 2 + 2, q / 2) / 2  # some programs put 0 for p = 1, and then have 0 / 0
    c4 = 3 * c3
    b1 = c_a * (c3 - c4) / a
    b2 = 0.5 + c_a / a * (c3 - q / p * (c2 + a / 2))
    trimmed = 1 - a
    v1 = a * b1**2 * (trimmed * (c_a * q / p - 1) ** 2 - 1) - 2 * c3 * c_a**2 * (
        3 * (b1 - p * b2) ** 2 + (p + 2) * b2 * (2 * b1 - p * b2)
    )
    v2 = n * (b1 * (b1 - p * b2) * a) ** 2 * c_a**2
    return float(2 * v2 / (c_a**2 * v1))


def wishart_dof(n: int, p: int, a: float, method: Published) -> float:
    """Return the degrees of freedom m corrected for few rows, as the two papers do (`a` = h / n)."""
    if a >= 1:
        return float(n - 1)
    m = asymptotic_dof(n, p, a)
    if method == "hardin-rocke":
        return m * math.exp(0.725 - 0.00663 * p - 0.0780 * math.log(n))
    return m * math.exp((12.745653 - 14.545559 * a + 0.127400 * p) / n ** (0.559217 + 0.149040 * a))


def raw_law(n: int, p: int, h: int, method: Published) -> Any:
    r"""Return the law of raw squared distances outside the subset: F with p and m - p + 1 degrees, scaled."""
    m = wishart_dof(n, p, h / n, method)
    if not m > p - 1:
        raise RankDeficientError(
            f"The {method} law does not exist for n = {n}, p = {p}, h = {h}: its scatter would have {m:.3g} degrees "
            f"of freedom, and more than p - 1 = {p - 1} are needed. Use RobustNull(method='simulated'), more rows, "
            "fewer columns or a larger support_fraction."
        )
    return fisher_f(p, m - p + 1, scale=p * m / (m - p + 1))


def raw_estimate(Z: FloatArray, subset: NDArray[np.bool_], known: FloatArray | None) -> Estimate:
    """Return the estimate from the rows of the subset, with consistency and small-sample factors.

    It is made anew from the rows, whatever corrections the estimator was asked for: the papers are about this one.
    """
    n, p = Z.shape
    h = int(np.count_nonzero(subset))
    factor = consistency_factor(p, h / n) * small_sample_factor(n, p, nominal_alpha(n, p, h))
    return _moments(Z, subset, factor, known)


def cerioli(
    Z: FloatArray, raw_d2: FloatArray, h: int, known: FloatArray | None, method: Published = "green-martin"
) -> tuple[Estimate, NDArray[np.bool_]]:
    """Return Cerioli's reweighted estimate and which rows it was made of."""
    n, p = Z.shape
    kept = raw_d2 <= raw_law(n, p, h, method).isf(CERIOLI_DELTA)
    m = int(np.count_nonzero(kept))
    if m <= p + 1:
        raise RankDeficientError(
            f"Cerioli's rule keeps {m} of {n} rows of {p} columns, and its laws need at least {p + 2}. Use "
            "RobustNull(method='simulated'), more rows or fewer columns."
        )
    return _moments(Z, kept, consistency_factor(p, 1 - CERIOLI_DELTA), known), kept


def cerioli_laws(m: int, p: int) -> tuple[Law, Law]:
    """Return the laws of rows that made the estimate, of m rows, and of rows that did not."""
    inner = stats.beta(p / 2, (m - p - 1) / 2, scale=(m - 1) ** 2 / m)
    outer = fisher_f(p, m - p, scale=(m**2 - 1) * p / (m * (m - p)))
    return inner, outer


def irmcd_flags(pvalues: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Flag at `level` row by row, but only if the rows together reject "no outliers" at that level."""
    together = -np.expm1(np.log1p(-level) / pvalues.size)
    if not (pvalues <= together).any():
        return np.zeros(pvalues.shape, dtype=bool)
    return pvalues <= level


def _moments(Z: FloatArray, rows: NDArray[np.bool_], factor: float, known: FloatArray | None) -> Estimate:
    """Return location and factor times covariance of some rows, and the distances of all rows."""
    part = np.asarray(Z[rows], dtype=np.float64)
    origin = part[0] if known is None else known
    shifted = part - origin  # far from zero, the mean of the rows themselves would lose digits
    location = origin + shifted.mean(axis=0) if known is None else known
    centred = part - location
    covariance = factor / (len(part) - (known is None)) * (centred.T @ centred)
    d2 = mahalanobis(np.asarray(Z, dtype=np.float64), location, covariance=covariance, squared=True)
    return Estimate(location, covariance, d2)
