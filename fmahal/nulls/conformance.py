"""The law of conformance: of the distance to the nearest of n training rows."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.interpolate import barycentric_interpolate
from scipy.optimize import brentq

from .._typing import ArrayLike

_PANEL = 0.5  # width, in units of the standard normal law, of a panel of the quadrature
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)
_MANY = 300  # different numbers beyond which probabilities are interpolated
_STEP = 0.5  # width of a panel of that, in log t
_CHEBYSHEV = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
_REACH = 38.0  # beyond it a normal density is below the smallest float64
_NEGLIGIBLE = 45.0  # natural logarithm of what a panel may fall below the largest one and still count


class ConformanceLaw:
    r"""The law of squared conformance for normal rows with known covariance.

    Squared conformance is the squared Mahalanobis distance of a new row to the nearest of n training rows. When all
    n + 1 rows are independent draws of one normal law in k dimensions and the distance is taken with its covariance,

    .. math:: P(D^2 > t) = \int_0^\infty f_{\chi^2_k}(u) \left(1 - F_{\chi'^2_k(u)}(t)\right)^n du,

    since, given the squared distance u of the new row to the mean, its squared distances to the training rows are
    independent noncentral chi-square variables with k degrees of freedom and noncentrality u.

    Parameters
    ----------
    n_samples : int
        Training rows n, at least one.
    df : int
        Dimensions k in which the distance is taken, at least one: the rank of the covariance.

    Raises
    ------
    ValueError
        For numbers that are not positive integers.

    Notes
    -----
    The integral over the distance :math:`\sqrt u` is taken by Gauss-Legendre quadrature in panels of half a standard
    deviation, those that matter. The relative error of both tails is about 1e-12 down to 1e-200 and below; for n = 1,
    where :math:`D^2 / 2` is a chi-square variable, it can be seen. A number costs O(1), some hundred values of
    the noncentral chi-square law, a quantile ten times that. More than 300 numbers are interpolated, by
    polynomials in log x through 16 numbers for each half unit of it.

    The covariance is taken as known. With one that is estimated from few training rows, or a regularised filter,
    compare with the leave-one-out conformance of the training rows instead.

    References
    ----------
    .. [1] Cass, T., Gonon, L. and Zozoulenko, N. (2024). Variance norms for kernelized anomaly detection.
       DOI 10.48550/arXiv.2407.11873
    .. [2] Johnson, N. L., Kotz, S. and Balakrishnan, N. (1995). Continuous Univariate Distributions, volume 2, chapter
       29. Wiley, New York.

    Examples
    --------
    >>> from fmahal import ConformanceLaw
    >>> law = ConformanceLaw(n_samples=20, df=3)
    >>> round(float(law.isf(0.05)), 6)  # squared distance to the nearest row that 5 % of new rows exceed
    2.792869
    >>> bool(0 < law.sf(80.0) < 1e-10)
    True
    """

    def __init__(self, n_samples: int, df: int):
        self.n_samples = _count(n_samples, "n_samples")
        self.df = _count(df, "df")
        centre = np.sqrt(self.df)
        first = max(0.0, centre - _REACH)
        panels = int(np.ceil((centre + _REACH - first) / _PANEL))
        self._left = first + _PANEL * np.arange(panels)

    def __repr__(self) -> str:
        return f"ConformanceLaw(n_samples={self.n_samples}, df={self.df})"

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of a squared conformance above `x`.

        Parameters
        ----------
        x : array-like
            Squared distances; NaN gives NaN.

        Returns
        -------
        probability : ndarray
            Probabilities, of the shape of `x`.
        """
        return self._probability(x, True)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of a squared conformance up to `x`.

        Parameters
        ----------
        x : array-like
            Squared distances; NaN gives NaN.

        Returns
        -------
        probability : ndarray
            Probabilities, of the shape of `x`.
        """
        return self._probability(x, False)

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Return the squared conformance above which the share `q` lies.

        Parameters
        ----------
        q : array-like
            Shares; one outside of 0 to 1 gives NaN.

        Returns
        -------
        x : ndarray
            Squared distances, of the shape of `q`.
        """
        return _each(lambda share: self._quantile(share, upper=True), q)

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Return the squared conformance below which the share `q` lies.

        Parameters
        ----------
        q : array-like
            Shares; one outside of 0 to 1 gives NaN.

        Returns
        -------
        x : ndarray
            Squared distances, of the shape of `q`.
        """
        return _each(lambda share: self._quantile(share, upper=False), q)

    def _probability(self, x: ArrayLike, upper: bool) -> NDArray[np.float64]:
        t = np.asarray(x, dtype=np.float64)
        out = np.where(np.isnan(t), np.nan, ((t <= 0) == upper).astype(np.float64))
        inside = (t > 0) & (t < np.inf)
        different, where = np.unique(t[inside], return_inverse=True)
        if different.size <= _MANY:
            logs = np.array([self._log_tail(float(v), upper) for v in different])
            out[inside] = np.exp(np.minimum(logs, 0.0))[where]
        else:
            out[inside] = self._interpolated(different, upper)[where]
        return out[()]

    def _interpolated(self, t: NDArray[np.float64], upper: bool) -> NDArray[np.float64]:
        """Probabilities of many numbers, by polynomials in log t for the logarithm of the smaller tail."""
        y = np.log(t)
        middle = float(np.log(self._quantile(0.5, upper=True)))
        panel = np.floor((y - middle) / _STEP).astype(np.int64)
        out = np.empty(y.size)
        for number in np.unique(panel):
            here, left, above = panel == number, middle + _STEP * number, bool(number >= 0)
            at = left + 0.5 * _STEP * (1.0 + _CHEBYSHEV)
            logs = np.array([self._log_tail(float(v), above) for v in np.exp(at)])
            if np.isfinite(logs).all():
                scaled = 2.0 * (y[here] - left) / _STEP - 1.0
                values = np.minimum(barycentric_interpolate(_CHEBYSHEV, logs, scaled), 0.0)
            else:  # underflow
                values = np.array([self._log_tail(float(v), above) for v in t[here]])
            out[here] = np.exp(values) if above == upper else -np.expm1(values)
        return out

    def _log_tail(self, t: float, upper: bool) -> float:
        """Logarithm of one tail, by quadrature over the panels that matter."""
        rough = self._log_integrand(self._left + 0.5 * _PANEL, t, upper)
        if not np.isfinite(rough).any():
            return -np.inf
        left = self._left[_near_peak(rough)]
        radius = left[:, None] + 0.5 * _PANEL * (1.0 + _NODES)
        values = self._log_integrand(radius.ravel(), t, upper).reshape(radius.shape)
        largest = float(values.max())
        if not np.isfinite(largest):
            return -np.inf
        return largest + float(np.log(np.exp(values - largest) @ _WEIGHTS @ np.full(len(left), 0.5 * _PANEL)))

    def _log_integrand(self, radius: NDArray[np.float64], t: float, upper: bool) -> NDArray[np.float64]:
        """Log-density of the distance to the mean plus the log-probability that no row (or one) is within t."""
        nc = radius**2
        with np.errstate(divide="ignore", under="ignore"):
            below = _within(t, self.df, nc)
            none = self.n_samples * np.log1p(-np.minimum(below, 1.0))
            far = below > 0.5  # the other tail has the digits
            if far.any():
                none[far] = self.n_samples * np.log(stats.ncx2.sf(t, self.df, nc[far]))
            share = none if upper else np.log(-np.expm1(none))
            return stats.chi.logpdf(radius, self.df) + share

    def _quantile(self, q: float, upper: bool) -> float:
        if not 0 <= q <= 1:
            return np.nan
        if q in (0, 1):
            return np.inf if (q == 0) == upper else 0.0
        # Not farther than any one row, for which D^2 / 2 is chi-square, and a union bound over all of them.
        farthest, below = (stats.chi2.isf, 1.0 - q) if upper else (stats.chi2.ppf, q)
        largest = 2.0 * float(farthest(q, self.df))
        smallest = 2.0 * float(stats.chi2.ppf(below / self.n_samples, self.df))
        if self.n_samples == 1 or smallest <= 0:  # exact; or nothing but underflow
            return largest if self.n_samples == 1 else 0.0
        goal = np.log(q)

        def miss(y: float) -> float:
            return self._log_tail(float(np.exp(y)), upper) - goal

        ends = [np.log(smallest) - 1e-9, np.log(largest) + 1e-9]
        away = [miss(end) for end in ends]
        if not away[0] * away[1] < 0:  # a share near the smallest float64
            return float(np.exp(ends[int(np.argmin(np.abs(away)))]))
        return float(np.exp(brentq(miss, *ends, xtol=1e-14)))


def _near_peak(rough: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Panels whose middle is not negligible, and their neighbours."""
    kept = rough > rough.max() - _NEGLIGIBLE
    wide = kept.copy()
    wide[1:] |= kept[:-1]
    wide[:-1] |= kept[1:]
    return wide


def _each(function: Any, values: ArrayLike) -> NDArray[np.float64]:
    """Apply a function of a number to each entry of an array, once to equal ones; NaN stays NaN."""
    x = np.asarray(values, dtype=np.float64)
    different, where = np.unique(x.ravel(), return_inverse=True)
    found = np.array([np.nan if np.isnan(v) else function(float(v)) for v in different], dtype=np.float64)
    return found[where].reshape(x.shape)[()]


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} of ConformanceLaw must be a positive integer, got {value!r}.")
    return int(value)


def _within(t: float, df: int, nc: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noncentral chi-square probabilities of at most t; SciPy before 1.17 overflows where they are next to nothing."""
    try:
        return np.asarray(stats.ncx2.cdf(t, df, nc), dtype=np.float64)
    except OverflowError:
        return np.array([_within_one(t, df, float(one)) for one in nc])


def _within_one(t: float, df: int, nc: float) -> float:
    try:
        return float(stats.ncx2.cdf(t, df, nc))
    except OverflowError:
        return float(special.chndtr(t, df, nc))
