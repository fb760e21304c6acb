"""What a sketched scatter takes from the scatter inside, exactly: the map does not enter."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._typing import ArrayLike, FloatArray
from ..whitener import Whitener
from .fixed import FixedScatter


def has_score(estimator: Any) -> bool:
    """Whether the scatter has a likelihood; its own error says why not."""
    scatter = getattr(estimator, "scatter_", estimator.scatter)
    return callable(scatter.score)


class ExactParts:
    """Facts and methods of `Sketched` that are those of its scatter."""

    @property
    def assume_centered(self: Any) -> bool:
        """Whether the location of the scatter is known and not estimated."""
        known = isinstance(self.scatter, FixedScatter) and self.scatter.location_is_known
        return known or bool(getattr(self.scatter, "assume_centered", False))

    @property
    def covariance_(self: Any) -> FloatArray:
        """Covariance matrix of the scatter, (n_features, n_features), in squared units."""
        self._check_fitted("covariance_")
        covariance = getattr(self.scatter_, "covariance_", None)
        return self._exact.covariance if covariance is None else np.asarray(covariance)

    def _span(self: Any) -> Whitener:
        """Return the whitener that knows the subspace of the scatter."""
        if self.rank_ == self.n_features_in_ or hasattr(self.scatter_, "whitener_"):
            return self._exact
        if self._subspace is None:
            # A foreign precision matrix does not tell its null space; its covariance does.
            covariance = getattr(self.scatter_, "covariance_", None)
            self._subspace = (
                self._exact
                if covariance is None
                else Whitener.from_covariance(covariance, n_samples=self.n_samples_)
            )
        found: Whitener = self._subspace
        return found

    def residual(self: Any, X: ArrayLike) -> FloatArray:
        """Return how far rows lie off the subspace of the scatter: 0 everywhere at full rank.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.

        Returns
        -------
        residual : ndarray of shape (n_samples,)
            Euclidean norm of the part off the subspace, in standardised units, not squared.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.

        Notes
        -----
        By the exact whitener, and at its cost: a sketch does not see that part. The covariance of a singular scatter of
        scikit-learn is factorised for it once, O(p^3), at the first call after a fit.
        """
        check_is_fitted(self)
        residual: FloatArray = self._map(X, "residual", None, self._span())
        return residual

    @available_if(has_score)
    def score(self: Any, X: ArrayLike, y: Any = None) -> float:
        """Mean Gaussian log-likelihood of rows under the scatter: its own `score`, without the map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.
        y : None
            Ignored.

        Returns
        -------
        score : float
            Log-density per row, from exact distances.

        Notes
        -----
        The cost of exact distances. A sketch has k coordinates of a row and no density for all of it.
        """
        check_is_fitted(self)
        return float(self.scatter_.score(X))
