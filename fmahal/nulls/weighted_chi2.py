"""Laws of weighted sums of chi-square variables: of distances whose covariance is not the identity after whitening."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .._typing import ArrayLike, FloatArray
from ..exceptions import RankDeficientError
from ..scatter import resolve
from ._cases import known_sketch
from ._numbers import as_numbers
from ._sketches import sketch_weights
from ._weighted_law import Weights, log_tail, quantile, tail
from .base import BaseNull

Method: TypeAlias = Literal["imhof", "hall-buckley-eagleson", "satterthwaite"]

_NEGLIGIBLE = 1e-8  # share of the largest weight
_METHODS = ("imhof", "hall-buckley-eagleson", "satterthwaite")


class WeightedChiSquare:
    r"""The law of a weighted sum of independent chi-square variables with one degree of freedom.

    .. math:: Q = \sum_j w_j Z_j^2, \qquad Z_j \sim N(0, 1) \text{ independent}

    Weights below 1e-8 of the largest are replaced by the mean of their part of the sum, which shifts the law by
    their total.

    Parameters
    ----------
    weights : array-like of shape (n_weights,)
        The weights, at least zero and not all zero.
    method : {"imhof", "hall-buckley-eagleson", "satterthwaite"}, default="imhof"
        "imhof" inverts the characteristic function and is exact to 12 digits or more, p-values of 1e-100 included (11
        where many are interpolated).
        "hall-buckley-eagleson" is a shifted and scaled chi-square law with the first three cumulants of Q,
        "satterthwaite" a scaled one with the first two.

    Raises
    ------
    ValueError
        For weights that are negative, not finite, all zero or none at all, and an unknown `method`.

    Notes
    -----
    With :math:`c_k = \sum_j w_j^k` and :math:`\nu = c_2^3 / c_3^2`, Hall-Buckley-Eagleson is
    :math:`c_1 + \sqrt{c_2 / \nu} \, (\chi^2_\nu - \nu)`; Satterthwaite is
    :math:`(c_2 / c_1) \, \chi^2_{c_1^2 / c_2}`. At the 99 % point the first is often right to 0.2 %, the second a few
    per cent too low.

    "imhof" takes O(m) time for each number, m being the number of different weights: about 0.1 ms for m = 10, and
    five times that for a quantile. More than 200 probabilities on one side of the mean are interpolated, by polynomials
    in log x through 200 to 1000 of them: for m = 100 about 0.2 s, be it for 1e4 numbers or 1e5. The two others take
    O(1).

    References
    ----------
    .. [1] Imhof, J. P. (1961). Computing the distribution of quadratic forms in normal variables. Biometrika 48(3-4),
       419-426. DOI 10.1093/biomet/48.3-4.419
    .. [2] Rice, S. O. (1980). Distribution of quadratic forms in normal random variables: evaluation by numerical
       integration. SIAM Journal on Scientific and Statistical Computing 1(4), 438-448. DOI 10.1137/0901032
    .. [3] Buckley, M. J. and Eagleson, G. K. (1988). An approximation to the distribution of quadratic forms in normal
       random variables. Australian Journal of Statistics 30A(1), 150-159. DOI 10.1111/j.1467-842X.1988.tb00471.x
    .. [4] Satterthwaite, F. E. (1946). An approximate distribution of estimates of variance components. Biometrics
       Bulletin 2(6), 110-114. DOI 10.2307/3002019

    Examples
    --------
    >>> law = WeightedChiSquare([3.0, 1.0, 0.5])
    >>> round(float(law.isf(0.01)), 6)
    21.730698
    >>> bool(0 < law.sf(1000.0) < 1e-70)
    True
    """

    def __init__(self, weights: ArrayLike, method: Method = "imhof"):
        if method not in _METHODS:
            raise ValueError(f"method must be one of {', '.join(map(repr, _METHODS))}, got {method!r}.")
        self.method = method
        self.weights = _checked(weights)
        self.scale = float(self.weights.max())
        relative = self.weights / self.scale
        kept = relative >= _NEGLIGIBLE
        self.shift = self.scale * float(relative[~kept].sum())
        w, k = np.unique(relative[kept], return_counts=True)
        self._weights = Weights(w, k.astype(np.float64))
        self._chi2 = _chi2(self._weights, method, self.scale, self.shift)

    def mean(self) -> float:
        """Mean, the sum of the weights."""
        return float(self.weights.sum())

    def var(self) -> float:
        """Variance, twice the sum of the squared weights; infinite where that overflows."""
        with np.errstate(over="ignore"):  # infinite beyond the largest float64
            return 2 * float(np.square(self.scale) * np.sum((self.weights / self.scale) ** 2))

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance above `x`; its relative error is below 1e-11 however small it is."""
        if self._chi2 is not None:
            return self._chi2.sf(x)
        return self._probability(x, upper=True)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance up to `x`; its relative error is below 1e-11 however small it is."""
        if self._chi2 is not None:
            return self._chi2.cdf(x)
        return self._probability(x, upper=False)

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance above which the share `q` lies."""
        if self._chi2 is not None:
            return self._chi2.isf(q)
        return self._quantile(q, upper=True)

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance below which the share `q` lies."""
        if self._chi2 is not None:
            return self._chi2.ppf(q)
        return self._quantile(q, upper=False)

    def _probability(self, x: ArrayLike, *, upper: bool) -> NDArray[np.float64]:
        values = np.atleast_1d((np.asarray(x, dtype=np.float64) - self.shift) / self.scale)
        out = np.where(np.isnan(values), np.nan, (values <= 0) == upper).astype(np.float64)
        # Each tail is integrated on its own side of the mean; the other one is at least 0.1 there.
        mean = self._weights.w @ self._weights.k
        for part, side in (
            ((values > 0) & (values <= mean), False),
            ((values > mean) & (values < np.inf), True),
        ):
            exponent = np.minimum(log_tail(self._weights, values[part], upper=side), 0)
            out[part] = np.exp(exponent) if side == upper else -np.expm1(exponent)
        return out.reshape(np.shape(x))[()]

    def _quantile(self, q: ArrayLike, *, upper: bool) -> NDArray[np.float64]:
        p = np.atleast_1d(np.asarray(q, dtype=np.float64))
        out = np.where((p >= 0) & (p <= 1), 0.0, np.nan)
        out[p == (0 if upper else 1)] = np.inf
        rough = _chi2(self._weights, "satterthwaite", 1.0, 0.0)
        inside = (p > 0) & (p < 1)
        # Each side of the mean by its own tail, which has the digits.
        at_mean = float(
            np.exp(
                tail(self._weights, np.array([self._weights.w @ self._weights.k]), upper=upper).log_tail[0]
            )
        )
        for part, side in ((inside & (p <= at_mean), upper), (inside & (p > at_mean), not upper)):
            if part.any():
                small = p[part] if side == upper else 1 - p[part]
                start = np.maximum((rough.isf if side else rough.ppf)(small), 1e-300)
                out[part] = quantile(self._weights, small, start, upper=side)
        return (out * self.scale + self.shift).reshape(np.shape(q))[()]


class WeightedChiSquareNull(BaseNull):
    r"""Law of squared distances that are weighted sums of chi-square variables.

    .. math:: d^2(x) \sim \sum_j w_j \chi^2_1

    for normal rows whose covariance, in the whitened coordinates of the estimator, is not the identity but has the
    eigenvalues :math:`w_j`. So it is for every regularised distance, with location and covariance known: with spectral
    filter f and eigenvalues :math:`\lambda_j` of the covariance, :math:`w_j = f(\lambda_j)^2 \lambda_j`; for a ridge
    :math:`\alpha`, :math:`\lambda_j / (\lambda_j + \alpha)`. So it is for a sketch, given its random map S and the
    covariance: :math:`w_j` are the squared singular values of S; about the mean of n rows times (n - 1) / n for
    training rows and (n + 1) / n for new ones.

    Parameters
    ----------
    weights : array-like of shape (n_weights,), optional
        The weights, at least zero and not all zero. By default ``null_weights_`` of the fitted scatter, or those of a
        sketch of a `FixedScatter` about the mean.
    method : {"imhof", "hall-buckley-eagleson", "satterthwaite"}, default="imhof"
        Inversion of the characteristic function, exact to 12 digits or more, or a chi-square law with the same first
        three or two cumulants.

    Attributes
    ----------
    train_dist_, new_dist_ : WeightedChiSquare
        The law of the squared distance, twice; for a sketch about the mean, of training and of new rows.
    weights_ : ndarray of shape (n_weights,)
        The weights in use.

    Raises
    ------
    ValueError
        For weights that are negative, not finite, all zero or none at all; without `weights` for an estimator that
        knows none; for an unknown `method`.
    RankDeficientError
        For a sketch about the mean of a single row.

    Notes
    -----
    Weights below 1e-8 of the largest enter by their sum, as a shift. The law does not heed that location and
    covariance were estimated: it is a limit for many rows.

    "imhof" takes O(m) time for each p-value, m being the number of different weights: about 0.1 ms for m = 10. More
    than 200 are interpolated, to 11 digits, from at most about 1000.

    References
    ----------
    .. [1] Imhof, J. P. (1961). Computing the distribution of quadratic forms in normal variables. Biometrika 48(3-4),
       419-426. DOI 10.1093/biomet/48.3-4.419
    .. [2] Buckley, M. J. and Eagleson, G. K. (1988). An approximation to the distribution of quadratic forms in normal
       random variables. Australian Journal of Statistics 30A(1), 150-159. DOI 10.1111/j.1467-842X.1988.tb00471.x
    .. [3] Berrendero, J. R., Bueno-Larraz, B. and Cuevas, A. (2020). On Mahalanobis distance in functional settings.
       Journal of Machine Learning Research 21(9), 1-33. https://jmlr.org/papers/v21/18-156.html

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import WeightedChiSquareNull
    >>> eigenvalues = 1 / (np.pi * (np.arange(1, 51) - 0.5)) ** 2  # of Brownian motion
    >>> null = WeightedChiSquareNull(eigenvalues / (eigenvalues + 0.01)).fit(None, None, None)
    >>> round(float(null.new_dist_.isf(0.01)), 6)  # the squared distance that 1 % of new rows exceed
    12.054259
    """

    new_dist_: WeightedChiSquare
    train_dist_: WeightedChiSquare

    def __init__(self, weights: ArrayLike | None = None, *, method: Method = "imhof"):
        self.weights = weights
        self.method = method

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> WeightedChiSquareNull:
        """Make the law of `weights`, or of those of the fitted estimator.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances; not looked at when `weights` are given.
        X : array-like of shape (n_samples, n_features)
            The training rows, not used.
        d2 : ndarray of shape (n_samples,)
            Their squared distances, not used.

        Returns
        -------
        self : WeightedChiSquareNull
            The fitted law.
        """
        weights = _known_weights(estimator) if self.weights is None else self.weights
        law = train = new = WeightedChiSquare(weights, self.method)
        if self.weights is None and known_sketch(estimator) == "known-covariance":
            n = _two_rows(resolve(estimator)[1].n_samples_)
            train, new = (WeightedChiSquare(law.weights * c, self.method) for c in ((n - 1) / n, (n + 1) / n))
        self.weights_ = law.weights
        self.train_dist_, self.new_dist_ = train, new
        return self


def _known_weights(estimator: Any) -> ArrayLike:
    _, scatter = resolve(estimator)
    if known_sketch(estimator) == "known-covariance":
        return sketch_weights(scatter)
    weights = getattr(scatter, "null_weights_", None)
    if weights is None:
        raise ValueError(
            f"WeightedChiSquareNull knows no weights: {type(scatter).__name__} has no null_weights_. Pass "
            "weights=, the eigenvalues of the covariance of rows in its whitened coordinates; for one with eigenvalues "
            "l and a ridge a added to it, weights = l / (l + a)."
        )
    return weights


def _two_rows(n: int) -> int:
    if n < 2:
        raise RankDeficientError(
            "One training row is its own mean: its squared distance is zero. Pass two rows."
        )
    return n


def _checked(weights: ArrayLike) -> FloatArray:
    w = as_numbers(weights, "weights")
    if w.ndim != 1 or w.size == 0:
        raise ValueError(f"weights must be a vector with at least one entry, got shape {w.shape}.")
    bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if bad.size:
        shown = ", ".join(f"{w[j]:.6g} at {j}" for j in bad[:5]) + (
            f" and {bad.size - 5} more" if bad.size > 5 else ""
        )
        raise ValueError(
            f"weights must be finite and at least zero, got {shown}. Eigenvalues that rounding made negative "
            "may be set to zero."
        )
    if not w.any():
        raise ValueError("All weights are zero: the squared distance would be zero for every row.")
    return w


def _chi2(weights: Weights, method: Method, scale: float, shift: float) -> Any:
    """Return the frozen chi-square law that the method amounts to, None where the integral is needed."""
    w, k = weights
    c1, c2, c3 = (float(w**power @ k) for power in (1, 2, 3))
    if w.size == 1:  # exact, whatever the method
        return stats.chi2(k[0], loc=shift, scale=scale)
    if method == "satterthwaite":
        return stats.chi2(c1**2 / c2, loc=shift, scale=scale * c2 / c1)
    if method == "hall-buckley-eagleson":
        nu = c2**3 / c3**2
        factor = np.sqrt(c2 / nu)
        return stats.chi2(nu, loc=shift + scale * (c1 - factor * nu), scale=scale * factor)
    return None
