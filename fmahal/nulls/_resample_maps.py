r"""From distances of resamples to those of the fit to all rows: what a size and a row's own weight do to them.

A row's squared distance q from an estimate that it took part in, and its squared distance D from the estimate of the
others, are one number: for sample mean and covariance of n rows, divisor n, the rank-one identities give

.. math:: D = \frac{n\,q}{n - 1 - c\,q}, \qquad q = \frac{(n-1)\,D}{n + c\,D},

with c = 1; with c = 1 - s when the covariance is :math:`(1-s) S + s \mu I` and s and :math:`\mu` change nothing when a
row leaves. With a known centre :math:`D = (n-1)\,q/(n-c\,q)` and :math:`q = n\,D/(n-1+c\,D)`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import covariance as sk

from .._kernels.interpolation import interpolate
from .._typing import FloatArray
from .._validation import readonly
from ..scatter import ShrunkCovariance
from ._fisher import fisher_f
from ._mapped import _through

# Upper tail probabilities of the points between which a map is linear in logarithms; beyond them it is a factor.
_LEVELS = np.concatenate([1 - np.logspace(-6, -0.5, 30), np.logspace(np.log10(0.68), -14, 90)])
_TABLE = 1 << 13
_MIDDLE = np.linspace(0.3, 0.7, 21)  # where the typical row is


def pulled_in(D: FloatArray, n: int, c: float, *, centred: bool) -> FloatArray:
    """Return the squared distances of rows from a fit of n rows with them, from those without them.

    Parameters
    ----------
    D : ndarray
        Squared distances from the fit of the other rows.
    n : int
        Rows of the fit that they are in.
    c : float
        Share of the sample covariance in the estimate, between 0 and 1.
    centred : bool
        Whether the location was estimated.
    """
    own, other = (n - 1, n) if centred else (n, n - 1)
    return own * D / (other + c * D)


def grown(q: FloatArray, N: int, n: int, c: float, *, centred: bool) -> FloatArray:
    """Return training distances of a fit of n rows from those of a fit of N: left out of N - 1, pulled in by n.

    For a sample covariance N - 1 bounds q and n - 1 the result; with c = 0 nearly nothing changes.
    """
    factor, bound = (N * (n - 1), n * (N - 1)) if centred else (n * (N - 1), N * (n - 1))
    out = np.multiply(q, -c * (n - N))  # in place: there may be millions
    out += bound
    np.divide(q, out, out=out)
    out *= factor
    return out


def grown_normal(N: int, n: int, p: int, *, centred: bool) -> Callable[[FloatArray], FloatArray]:
    """Return the increasing map from training distances of a sample covariance of N rows to those of n rows.

    For normal rows of rank p it takes the one scaled Beta law to the other: out of the N rows, from N - 1 to n - 1
    others, and into the n rows. Tabulated: linear between many points, exact at both ends.
    """
    most = N - 1 if centred else N
    q = np.linspace(0.0, most, _TABLE + 1)
    own, other = (N, N - 1) if centred else (N - 1, N)
    D = np.full(q.size, np.inf)
    D[:-1] = own * q[:-1] / (other - q[:-1])
    D[1:-1] = new_row_map(N - 1, n - 1, p, centred=centred)(D[1:-1])
    own, other = (n - 1, n) if centred else (n, n - 1)
    with np.errstate(divide="ignore"):
        table = readonly(own / (other / D + 1.0))

    def apply(q: FloatArray) -> FloatArray:
        out = np.empty(q.shape)
        interpolate(readonly(q.ravel()), _TABLE / most, table, out.reshape(-1))
        return out

    return apply


def own_share(scatter: Any) -> float | None:
    """Return the share of the sample covariance in a moment estimate, None for another estimator."""
    if isinstance(scatter, ShrunkCovariance) and scatter.ridge is not None:
        return 1.0
    if type(scatter) is sk.ShrunkCovariance:
        return 1.0 - float(scatter.shrinkage)
    kind = getattr(scatter, "scatter_kind", None)
    if kind == "empirical" or type(scatter) is sk.EmpiricalCovariance:
        return 1.0
    if kind in ("ledoit-wolf", "oas", "shrunk") or type(scatter) in (sk.LedoitWolf, sk.OAS):
        return 1.0 - float(scatter.shrinkage_)
    return None


def own_weight(kept: FloatArray, held: FloatArray, N: int, *, centred: bool) -> float:
    """Return the share c that turns the middle of the held-out distances of fits of N rows into that of the kept ones.

    For estimators whose c is not known; between 0 and 1.
    """
    D, q = np.nanquantile(held, _MIDDLE), np.nanquantile(kept, _MIDDLE)
    own, other = (N - 1, N) if centred else (N, N - 1)
    there = (D > 0) & (q > 0)
    return float(np.clip(np.median(own / q[there] - other / D[there]), 0.0, 1.0)) if there.any() else 0.0


def effective_size(n: int, p: int) -> float:
    r"""Return how many rows a resample of n rows with replacement is worth to a covariance of rank p.

    With weights w of a row, Poisson with mean 1, the mean :math:`\delta` of the inverse eigenvalues of the weighted
    covariance of many white rows solves :math:`1/\delta = E[w / (1 + w \delta p/n)]`, while for n' rows of weight 1 it
    is :math:`1 / (1 - p/n')`: equating them gives n'. It is n / 2 for few columns, less for more of them, and none
    exists when p reaches the number of distinct rows, 0.63 n: then nan.
    """
    if p >= -np.expm1(-1.0) * n:
        return np.nan
    # E[w g(w)] = E[g(1 + Poisson(1))], binomial for few rows.
    k = np.arange(min(n, 40))
    share = stats.binom.pmf(k, n - 1, 1 / n)
    low, high = 1.0, 2.0

    def excess(delta: float) -> float:
        return delta * float(np.sum(share / (1 + (1 + k) * (p / n) * delta))) - 1

    while excess(high) < 0:
        low, high = high, 2 * high
        if high > 1e9:
            return np.nan
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return p / (1 - 1 / high)


def new_row_map(start: float, end: float, p: int, *, centred: bool) -> Callable[[FloatArray], FloatArray]:
    """Return the increasing map from squared distances of new rows to a fit of `start` rows into those to one of `end`.

    Exact for the sample covariance (divisor: the number of rows) and normal rows: it takes each quantile of one F law
    to that of the other.
    """
    (one, scale_one), (two, scale_two) = _new_law(start, p, centred), _new_law(end, p, centred)
    x, y = scale_one * one.isf(_LEVELS), scale_two * two.isf(_LEVELS)
    rising = np.concatenate([[True], (np.diff(np.maximum.accumulate(x)) > 0)])
    log_x, log_y = np.log(x[rising]), np.log(y[rising])

    def apply(d2: FloatArray) -> NDArray[np.float64]:
        return _through(d2, log_x, log_y)

    return apply


def new_row_factor(start: float, end: float, p: int, *, centred: bool) -> Callable[[FloatArray], FloatArray]:
    """Return the multiple that takes the median of new rows to a fit of `start` rows to that of a fit to `end`.

    For sketched distances of the sample covariance of rank p: each direction of the map loses the same to the rank,
    and the shape of the law is that of the map's weights.
    """
    (one, scale_one), (two, scale_two) = _new_law(start, p, centred), _new_law(end, p, centred)
    return partial(np.multiply, float((scale_two * two.isf(0.5)) / (scale_one * one.isf(0.5))))


def typical_factor(
    d2: FloatArray, change: Callable[[FloatArray], FloatArray]
) -> Callable[[FloatArray], FloatArray]:
    """Return the multiple that takes the median of squared distances to where a map takes it; 1 where that is 0."""
    middle = np.nanmedian(d2, keepdims=True)
    return partial(np.multiply, (change(middle) / middle).item() if np.all(middle > 0) else 1.0)


def _new_law(n: float, p: int, centred: bool) -> tuple[stats.rv_continuous, float]:
    if centred:
        return fisher_f(p, n - p), (n + 1) * p / (n - p)
    return fisher_f(p, n - p + 1), n * p / (n - p + 1)
