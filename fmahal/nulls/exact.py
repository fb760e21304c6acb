"""Laws in closed form: chi-square, and the exact Beta and F laws of normal data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from scipy import stats
from sklearn.utils.validation import _num_samples

from .._registry import nulls
from .._typing import ArrayLike, FloatArray
from ..exceptions import CalibrationWarning, RankDeficientError
from ..scatter import ScatterFacts
from ._cases import exact_case
from ._fisher import fisher_f
from ._forgetting import weighted_laws
from ._sketches import applies_unless_sketched, refuse_sketch
from .base import BaseNull, Law, training_facts, warn_caller


@nulls.register(
    "chi2",
    "Chi-square with rank degrees of freedom",
    order=10,
    applies=applies_unless_sketched,
    cost=lambda n, p: 0,
)
class ChiSquareNull(BaseNull):
    r"""Chi-square law of squared distances, the same for training and for new rows.

    .. math:: d^2(x) = (x - m)^\top \Sigma^{-1} (x - m) \sim \chi^2_p

    for normal rows with known location and covariance of rank p. For an estimated location and covariance
    it is the limit for a number of rows that is large against the rank; `NormalTheoryNull` is exact there
    for the sample mean and covariance.

    Parameters
    ----------
    df : float, optional
        Degrees of freedom, greater than zero. By default the rank of the fitted scatter.

    Attributes
    ----------
    train_dist_, new_dist_ : scipy.stats frozen distribution
        ``scipy.stats.chi2(df)``, the law of the squared distance, twice.
    df_ : float
        The degrees of freedom in use.

    Raises
    ------
    ValueError
        When `df` is not a number above zero; without `df` for a sketched scatter (see `WeightedChiSquareNull`).
    RankDeficientError
        When all training rows are equal, so that there are no degrees of freedom, and the estimator is neither robust
        nor regularised: for such ones the law is that of 1.

    Notes
    -----
    O(1) time and memory.

    References
    ----------
    .. [1] Hotelling, H. (1931). The generalization of Student's ratio. Annals of Mathematical Statistics
       2(3), 360-378. DOI 10.1214/aoms/1177732979

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.covariance import LedoitWolf
    >>> from fmahal import ChiSquareNull
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> scatter = LedoitWolf().fit(X)
    >>> null = ChiSquareNull().fit(scatter, X, scatter.mahalanobis(X))
    >>> round(float(null.new_dist_.isf(0.01)), 3)  # the squared distance that 1 % of new rows exceed
    11.345
    """

    def __init__(self, df: float | None = None):
        self.df = df

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> ChiSquareNull:
        """Take the degrees of freedom from `df` or from the rank of the fitted estimator.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances; not looked at when `df` is given.
        X : array-like of shape (n_samples, n_features)
            The training rows.
        d2 : ndarray of shape (n_samples,)
            Their squared distances, not used.

        Returns
        -------
        self : ChiSquareNull
            The fitted law.
        """
        if self.df is None:
            refuse_sketch("ChiSquareNull", estimator)
        df = _given_df(self.df) if self.df is not None else _rank(training_facts(estimator, X))
        self.df_ = df
        self.train_dist_ = self.new_dist_ = stats.chi2(df)
        return self


def _applies_to_empirical(scatter_name: str, n: int, p: int) -> str | None:
    if scatter_name != "empirical":
        return "the Beta and F laws are those of the sample covariance, scatter 'empirical'"
    if n <= p + 1:
        return f"needs more than p + 1 rows (n = {n}, p = {p})"
    return None


@nulls.register(
    "normal",
    "Exact Beta and F laws of normal data",
    order=20,
    applies=_applies_to_empirical,
    cost=lambda n, p: 0,
)
class NormalTheoryNull(BaseNull):
    r"""Exact laws of squared distances from the sample mean and covariance of normal rows.

    With n training rows, a covariance of rank p and divisor n - 1,

    .. math::

        d^2(x_i) \sim \frac{(n-1)^2}{n} \, \mathrm{Beta}\!\left(\frac p2, \frac{n-p-1}2\right),
        \qquad
        d^2(x_{\mathrm{new}}) \sim \frac{(n^2-1)\,p}{n\,(n-p)} \, F_{p,\,n-p} .

    A scatter with divisor n - ddof has (n - ddof) / (n - 1) times these squared distances, and so are its
    laws. Two more cases are exact: a known location (``assume_centered=True``), with divisor n,

    .. math::

        d^2(x_i) \sim n \, \mathrm{Beta}\!\left(\frac p2, \frac{n-p}2\right),
        \qquad
        d^2(x_{\mathrm{new}}) \sim \frac{n\,p}{n-p+1} \, F_{p,\,n-p+1} ,

    and a known covariance with the sample mean, :math:`\frac{n-1}n \chi^2_p` and
    :math:`\frac{n+1}n \chi^2_p`. A training distance is bounded, here by (n - 1)^2 / n, because an outlier
    pulls mean and covariance towards itself; for small n a chi-square cut-off can lie above the bound.

    For rows that fade, ``EmpiricalCovariance(forgetting=...)``, the laws are approximate: new rows
    follow a scaled F law whose scale and degrees of freedom come from the inverse moments of the weighted covariance,
    training rows the law of a new row to the fit without them, one law for each row by its age. While the effective
    number of rows is at least twice the rank, new clean rows are flagged a little less often than `alpha`, at the
    levels 0.05 and 0.01 never by as much as a quarter of it (at 0.001 by up to two thirds, and half from four times
    the rank on); from there down to rank + 1 rows by up to a third, and
    below that a CalibrationWarning says so.

    Attributes
    ----------
    train_dist_ : scipy.stats frozen distribution
        Law of the squared distances of training rows.
    new_dist_ : scipy.stats frozen distribution
        Law of the squared distances of new rows.

    Raises
    ------
    ValueError
        For a sketched scatter; see `BootstrapNull`.
    RankDeficientError
        When n <= rank + 1 (n <= rank with a known location): then all training rows have the same squared
        distance, whatever their values; or when all training rows are equal.

    Warns
    -----
    CalibrationWarning
        When the estimator is none of the three above, so that the laws are an approximation; and when rows fade so
        fast that their effective number is at most rank + 1.

    Notes
    -----
    O(1) time and memory, given the rank.

    References
    ----------
    .. [1] Tracy, N. D., Young, J. C. and Mason, R. L. (1992). Multivariate control charts for individual
       observations. Journal of Quality Technology 24(2), 88-95. DOI 10.1080/00224065.1992.12015232
    .. [2] Hotelling, H. (1931). The generalization of Student's ratio. Annals of Mathematical Statistics
       2(3), 360-378. DOI 10.1214/aoms/1177732979

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance, NormalTheoryNull
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> scatter = EmpiricalCovariance().fit(X)
    >>> null = NormalTheoryNull().fit(scatter, X, scatter.mahalanobis(X))
    >>> round(float(null.train_dist_.isf(0.01)), 3), round(float(null.new_dist_.isf(0.01)), 3)
    (9.463, 19.215)
    """

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> NormalTheoryNull:
        """Find the two laws of a fitted estimator's squared distances.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances.
        X : array-like of shape (n_samples, n_features)
            The training rows.
        d2 : ndarray of shape (n_samples,)
            Their squared distances, not used.

        Returns
        -------
        self : NormalTheoryNull
            The fitted law.
        """
        refuse_sketch("NormalTheoryNull", estimator)
        facts = training_facts(estimator, X)
        weighted = facts.effective_n_samples is not None
        case, reason = exact_case(estimator, replace(facts, effective_n_samples=None))
        if case is None:
            case = "known-location" if facts.assume_centered else "sample"
            warn_caller(
                f"NormalTheoryNull is an approximation here: {reason}. Its Beta and F laws belong to the sample "
                "mean and covariance of normal rows. Use EmpiricalCovariance for exact p-values, or read the "
                "p-values as a ranking.",
                CalibrationWarning,
            )
        if weighted:
            _check_rows(facts, 0 if facts.assume_centered else 1)
            self.train_dist_, self.new_dist_ = weighted_laws(facts, _num_samples(X))
        else:
            self.train_dist_, self.new_dist_ = _LAWS[case](facts)
        return self


def _given_df(df: Any) -> float:
    if isinstance(df, bool) or not isinstance(df, Real) or not 0 < float(df) < np.inf:
        raise ValueError(f"df must be a number greater than zero or None for the rank, got {df!r}.")
    return float(df)


def _rank(facts: ScatterFacts) -> int:
    if facts.rank < 1 and (facts.robust or facts.regularized):
        return 1  # most rows are one point, from which their distance is 0; the others are off the subspace
    if facts.rank < 1:
        raise RankDeficientError(
            f"All {facts.n_samples} training rows are equal (rank 0), so that every squared distance is zero "
            "and no law exists. Pass rows that differ."
        )
    return facts.rank


def _check_rows(facts: ScatterFacts, estimated: int) -> tuple[int, int]:
    """Return n and the rank when n > rank + estimated, the number of estimated locations."""
    n, p = facts.n_samples, _rank(facts)
    if n <= p + estimated:
        bound = f"rank{' + 1' * estimated}"
        raise RankDeficientError(
            f"{n} training rows span {p} dimensions: with n <= {bound} all training rows have the same squared "
            "distance from their own mean and covariance, a constant that does not depend on their values. "
            f"Pass at least {'two more rows than there are' if estimated else 'more rows than'} columns (their rank, "
            "where columns depend on each other), or fewer columns. Rows that can be fitted all at once, no stream, "
            "may take a regularised estimator such as LedoitWolf, OAS, QIS or ShrunkCovariance with null='auto'."
        )
    return n, p


def _sample_laws(facts: ScatterFacts) -> tuple[Law, Law]:
    n, p = _check_rows(facts, 1)
    ratio = (n - facts.ddof) / (n - 1)
    train = stats.beta(p / 2, (n - p - 1) / 2, scale=ratio * (n - 1) ** 2 / n)
    new = fisher_f(p, n - p, scale=ratio * (n**2 - 1) * p / (n * (n - p)))
    return train, new


def _known_location_laws(facts: ScatterFacts) -> tuple[Law, Law]:
    n, p = _check_rows(facts, 0)
    divisor = n - facts.ddof
    train = stats.beta(p / 2, (n - p) / 2, scale=divisor)
    new = fisher_f(p, n - p + 1, scale=divisor * p / (n - p + 1))
    return train, new


def _known_covariance_laws(facts: ScatterFacts) -> tuple[Law, Law]:
    n, p = facts.n_samples, _rank(facts)
    if n < 2:
        raise RankDeficientError(
            "One training row is its own mean: its squared distance is zero. Pass two rows."
        )
    return stats.chi2(p, scale=(n - 1) / n), stats.chi2(p, scale=(n + 1) / n)


def _known_laws(facts: ScatterFacts) -> tuple[Law, Law]:
    law = stats.chi2(_rank(facts))
    return law, law


_LAWS: dict[str, Callable[[ScatterFacts], tuple[Law, Law]]] = {
    "sample": _sample_laws,
    "known-location": _known_location_laws,
    "known-covariance": _known_covariance_laws,
    "known": _known_laws,
}
