"""The protocol of a null law: two frozen distributions, one for training rows and one for new rows."""

from __future__ import annotations

import sys
import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._typing import ArrayLike, FloatArray
from ..scatter import ScatterFacts, resolve
from ..scatter import facts as scatter_facts


class Law(Protocol):
    """What `train_dist_` and `new_dist_` have to do; every frozen SciPy distribution does it.

    All four are vectorised. `sf` is asked for p-values, never ``1 - cdf``: it keeps its digits in the far
    tail, where the outliers are.
    """

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance up to `x`."""

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance above `x`, the p-value of `x`."""

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance below which the share `q` lies."""

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance above which the share `q` lies, the cut-off at level `q`."""


class BaseNull(BaseEstimator):
    """Base class of the null laws of squared Mahalanobis distances.

    A null law says how squared distances are distributed when no row is an outlier. Training rows took part
    in the estimate from which their distance is measured and new rows did not, so that there are two laws.

    A subclass defines ``_laws(facts)``, which returns the pair of frozen laws, or its own `fit`. It may also

    - set ``scorer_``, an estimator that takes the place of the fitted one for new rows, and ``train_d2_``, squared
      distances that take the place of the fitted one's for the training rows;
    - define ``pvalues(X)``, which takes the place of ``new_dist_.sf``, or ``flags(pvalues, level,
      simultaneous=False)``, which decides which training rows are outlying instead of ``pvalues <= level``;
    - set ``level_``, a level of its own that takes the place of alpha, or ``familywise_``, True when its p-values
      account for all rows already;
    - set ``ranked_``, True when p-values are ranks among rows that may be off the training subspace themselves: such a
      row then has an infinite distance and its rank, instead of the p-value 0;
    - define ``cutoff_se(level, kind="new")``, the standard error of a simulated cut-off, and ``check_level(level)``,
      which warns when its p-values cannot get as small as the level.

    Attributes
    ----------
    train_dist_ : frozen distribution
        Law of the squared distances of training rows, with vectorised ``cdf sf ppf isf``; it may hold one
        law per row.
    new_dist_ : frozen distribution
        Law of the squared distances of rows that were not used in the fit.
    """

    train_dist_: Law
    new_dist_: Law

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> BaseNull:
        """Find the two laws of a fitted estimator's squared distances.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances.
        X : array-like of shape (n_samples, n_features)
            The training rows, as they were given to `estimator`.
        d2 : ndarray of shape (n_samples,)
            Their squared distances.

        Returns
        -------
        self : BaseNull
            The fitted law.

        Notes
        -----
        O(1) time and memory for laws in closed form, given the facts of the estimator.
        """
        self.train_dist_, self.new_dist_ = self._laws(training_facts(estimator, X))
        return self

    def _laws(self, facts: ScatterFacts) -> tuple[Law, Law]:
        raise NotImplementedError(f"{type(self).__name__} defines neither fit nor _laws.")


def training_facts(estimator: Any, X: ArrayLike) -> ScatterFacts:
    """Return what a law has to know about a fitted estimator: rows, rank, divisor, kind."""
    _, scatter = resolve(estimator)
    check_is_fitted(
        scatter,
        "location_",
        msg="%(name)s has not been fitted: a null law is about the distances that a fitted estimator gave. Call its "
        "fit first.",
    )
    return scatter_facts(scatter, X)


def check_distances(d2: Any, n_rows: int | None = None, *, needed: bool = True) -> NDArray[np.float64]:
    """Return squared distances of training rows as a float64 vector: one a row, and no NaN.

    Infinity is a verdict and passes. None passes where the distances are not `needed`, as an empty vector.
    """
    if d2 is None and not needed:
        return np.empty(0)
    if d2 is None:
        raise ValueError(
            "d2 is None: this null ranks the squared distances of the training rows. Pass "
            "estimator.mahalanobis(X), or use MahalanobisDetector, which does so."
        )
    distances = np.asarray(d2, dtype=np.float64)
    if distances.ndim != 1 or (n_rows is not None and distances.size != n_rows):
        rows = "" if n_rows is None else f", one for each of the {n_rows} rows of X"
        raise ValueError(
            f"d2 must be a vector of squared distances{rows}; got shape {distances.shape}. Usual causes: distances of "
            "other rows than X, or the rows themselves. Pass estimator.mahalanobis(X) of the same X."
        )
    absent = np.flatnonzero(np.isnan(distances))
    if absent.size:
        raise ValueError(
            f"d2 has {absent.size} NaN, the first at row {absent[0]}. Usual causes: rows with missing values, or a "
            "precision matrix that is not positive definite. Drop or impute such rows before the fit."
        )
    return distances


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the line of the first caller outside fmahal, however deep the call came from."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fmahal."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
