"""Laws that are not in closed form: a known law under a monotone map, and one law per row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from .._typing import ArrayLike
from ._fisher import fisher_f
from .base import Law

_HEAVIEST, _LIGHTEST = 1.0, 1e5  # second degrees of freedom of an F tail; beyond the latter it is chi-square


class MappedLaw:
    """The law of t(U) with U of a known law and t increasing.

    log t is piecewise linear in log u through the given points and has slope 1 beyond them, so that both tails are
    those of the known law up to a scale, and every function below is the exact inverse of another.

    Parameters
    ----------
    base : law
        Law of U, on the positive numbers.
    u, x : array-like of shape (n_points,)
        Increasing positive points and their images, increasing too.
    """

    def __init__(self, base: Law, u: ArrayLike, x: ArrayLike):
        self.base = base
        self._log_u = np.log(np.asarray(u, dtype=np.float64))
        self._log_x = np.log(np.asarray(x, dtype=np.float64))
        if not ((np.diff(self._log_u) > 0).all() and (np.diff(self._log_x) > 0).all()):
            raise ValueError("The points of a MappedLaw must increase.")

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance up to `x`."""
        return self.base.cdf(_through(x, self._log_x, self._log_u))

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance above `x`."""
        return self.base.sf(_through(x, self._log_x, self._log_u))

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance below which the share `q` lies."""
        return _through(self.base.ppf(q), self._log_u, self._log_x)

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance above which the share `q` lies."""
        return _through(self.base.isf(q), self._log_u, self._log_x)

    def support(self) -> tuple[float, float]:
        """Smallest and largest possible squared distance."""
        return 0.0, np.inf


def _through(x: ArrayLike, log_from: NDArray[Any], log_to: NDArray[Any]) -> NDArray[np.float64]:
    """Map positive numbers along the points; 0 and infinity stay, a negative number is like 0."""
    values = np.asarray(x, dtype=np.float64)
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(values < 0, 0.0, values))
    inside = np.interp(logs, log_from, log_to)
    below, above = logs < log_from[0], logs > log_from[-1]
    inside = np.where(below, logs + (log_to[0] - log_from[0]), inside)
    inside = np.where(above, logs + (log_to[-1] - log_from[-1]), inside)
    return np.exp(inside)


class RowLaw:
    """One of two laws for each row: `inner` where `mask`, else `outer`.

    Arguments are broadcast against the rows: a number gives one value per row.

    Parameters
    ----------
    mask : array-like of shape (n_rows,)
        Which rows have the first law.
    inner, outer : law
        The two laws.
    """

    def __init__(self, mask: ArrayLike, inner: Law, outer: Law):
        self.mask = np.asarray(mask, dtype=bool)
        self.inner = inner
        self.outer = outer

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance up to `x`, for each row."""
        return np.where(self.mask, self.inner.cdf(x), self.outer.cdf(x))

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance above `x`, for each row."""
        return np.where(self.mask, self.inner.sf(x), self.outer.sf(x))

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance below which the share `q` lies, for each row."""
        return np.where(self.mask, self.inner.ppf(q), self.outer.ppf(q))

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance above which the share `q` lies, for each row."""
        return np.where(self.mask, self.inner.isf(q), self.outer.isf(q))


def f_tail(p: int, q: NDArray[np.float64], x: NDArray[np.float64]) -> Any:
    """Return the F law whose quantiles at the levels `q` (two, the rarer last) have the ratio of those in `x`."""
    wanted = np.log(x[1] / x[0])

    def excess(log_m: float) -> float:
        near, far = fisher_f(p, np.exp(log_m)).isf(q)
        return float(np.log(far / near) - wanted)

    if excess(np.log(_LIGHTEST)) >= 0:
        return stats.chi2(p)
    if excess(np.log(_HEAVIEST)) <= 0:
        return fisher_f(p, _HEAVIEST)
    return fisher_f(p, np.exp(optimize.brentq(excess, np.log(_HEAVIEST), np.log(_LIGHTEST), xtol=1e-6)))


def law_of_quantiles(
    p: int, levels: NDArray[np.float64], x: NDArray[np.float64], *, base: Law | None = None
) -> MappedLaw:
    """Return a law with the upper quantiles `x` at `levels` (falling), and the tail of `base` or an F tail.

    Without a `base` the tail is that of the F law which fits the quantiles at 1 % and at the last level.
    """
    x = _increasing(x)
    if base is None:
        ends = np.array([np.searchsorted(-levels, -0.01), len(levels) - 1])
        base = f_tail(p, levels[ends], x[ends])
    return MappedLaw(base, base.isf(levels), x)


def _increasing(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `x`, raised by as little as makes it increase: simulated quantiles may tie."""
    x = np.array(x, dtype=np.float64)
    for k in range(1, x.size):
        x[k] = max(x[k], x[k - 1] * (1 + 1e-9))
    return x
