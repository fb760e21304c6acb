"""What a fitted spectral filter does with rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray
from .._validation import check_finite
from .base import BaseScatter

_EPS = float(np.finfo(np.float64).eps)
_SAME_ROWS = 1e-6  # relative change of a sum of squares by which rows betray that they were written over


def has_likelihood(estimator: Any) -> bool:
    """Whether the distance belongs to a Gaussian density; an AttributeError with the reason where it does not."""
    if estimator.filter == "ridge" or (estimator.filter == "inverse" and estimator.n_components is None):
        return True
    raise AttributeError(
        f"SpectralFilter(filter={estimator.filter!r}, n_components={estimator.n_components!r}) has no score: its "
        "distance leaves directions out, or weighs them by more than a covariance does, so that there is no density "
        'on the space. filter="ridge" has one, and "inverse" with all components.'
    )


class SpectralRows(BaseScatter):
    """Likelihood, weighted scores, nearest training row and leave-one-out distances of a spectral filter.

    A subclass has the parameters `filter` and `n_components`, and sets the attributes below in `fit`.
    """

    eigenvalues_: FloatArray
    components_: FloatArray
    filter_values_: FloatArray
    alpha_: float
    n_components_: int
    _left: FloatArray | None  # singular vectors of the rows, where the fit made them
    _fitted_rows: FloatArray | None  # the rows as they were given; None once unpickled
    _whitened: FloatArray | None

    @available_if(has_likelihood)
    def score(self, X: ArrayLike, y: Any = None) -> float:
        r"""Mean Gaussian log-likelihood of rows; only for filters that have a density.

        .. math:: -\tfrac{1}{2} \bigl( \overline{d^2} + \log\det\Sigma + r \log 2\pi \bigr)

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.
        y : None
            Ignored.

        Returns
        -------
        score : float
            Log-density per row. "ridge": of the covariance with eigenvalues lambda + alpha, and alpha in all other
            directions. "inverse" with all components: of the sample covariance; where that is singular, on its span
            (of dimension r), and minus infinity when a row lies off it.

        Raises
        ------
        AttributeError
            For "truncate" and "rkhs", and for "inverse" with `n_components`: their distances belong to no density.

        Notes
        -----
        O(n p rank) time.
        """
        return super().score(X)

    def _training_whitened(self) -> FloatArray:
        """Return the weighted scores sqrt(g) c of the training rows, (n_samples_, n_components_)."""
        check_is_fitted(self)
        if self._whitened is None:
            roots = np.sqrt(self.filter_values_)
            if self._left is not None:
                size = np.sqrt(self.eigenvalues_ * (self.n_samples_ - self.ddof_))
                self._whitened = self._left * (size * roots)
            else:
                self._whitened = self._recomputed()
        return self._whitened

    def _recomputed(self) -> FloatArray:
        if self._fitted_rows is None:
            raise ValueError(
                "This SpectralFilter was unpickled or copied, and its training rows were not stored with it: fit "
                "again, or take the values before."
            )
        Z = self._whitened_parts(self._fitted_rows, residuals=False)[0]
        expected = self.eigenvalues_ * self.filter_values_ * (self.n_samples_ - self.ddof_)
        shift = _EPS**2 * float(self.location_ @ self.location_)  # of the mean, by its rounding
        allowed = _SAME_ROWS * expected.max() + 16.0 * self.n_samples_ * shift * self.filter_values_
        if np.any(np.abs(np.einsum("ij,ij->j", Z, Z) - expected) > allowed):
            raise ValueError(
                "The training rows were changed in place after fit, and are needed again: fit to a copy of X."
            )
        return Z

    def _whitened_parts(self, X: ArrayLike, *, residuals: bool = True) -> tuple[FloatArray, FloatArray]:
        """Return weighted scores sqrt(g) c of rows, (m, n_components_), and squared lengths off the components."""
        rows = X if X is self._fitted_rows else self._rows(X)
        n, p = rows.shape
        vectors = self.components_.T
        Z, rest = np.empty((n, self.n_components_)), np.zeros(n)
        for block in row_blocks(n, p):
            centred = np.subtract(rows[block], self.location_, dtype=np.float64)
            scores = centred @ vectors
            if not np.isfinite(scores.sum()):
                check_finite(rows, "X", self._names())
            if residuals:
                centred -= scores @ vectors.T
                rest[block] = np.einsum("ij,ij->i", centred, centred)
            np.multiply(scores, np.sqrt(self.filter_values_), out=Z[block])
        return Z, rest

    def conformance(self, X: ArrayLike | None = None, *, squared: bool = True) -> FloatArray:
        """Return the distance of each row to the nearest training row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Rows. None measures every training row to the nearest other one, by a fit that leaves it out.
        squared : bool, default=True
            Whether to return squared distances, or their roots.

        Returns
        -------
        d2 : ndarray of shape (n_samples,)
            Squared distances to the nearest training row.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.

        See Also
        --------
        leave_one_out : the same for the distance to the mean.

        Notes
        -----
        m rows cost O(m r (p + n)) time, in blocks; the leave-one-out values O(n^2 r), with `alpha_` held at its value
        for all rows.
        """
        from ._conformance import conformance

        return conformance(self, X, squared=squared)

    def leave_one_out(self, *, squared: bool = True) -> FloatArray:
        """Return the distance of each training row from a fit to all the others, in closed form.

        Parameters
        ----------
        squared : bool, default=True
            Whether to return squared distances, or their roots.

        Returns
        -------
        d2 : ndarray of shape (n_samples_,)
            Squared distances. +inf for a row that is alone in a direction, so that the others do not span it (every row
            when n - 1 directions are kept): for "inverse", and for "rkhs" and "truncate" with another `outside` than
            "ignore".

        See Also
        --------
        conformance : the distance to the nearest training row.

        Notes
        -----
        O(n r) time. A cut to K of r directions chooses them again without the row: O(n K r) after a decomposition of
        all rows. The regularisation stays at `alpha_`, its absolute value for all rows: a refit with relative
        `alpha_units` would choose it again. Up to eight rows that outweigh all others by far, of whose leverage too
        little is left, are measured by a fit each. All values are of the directions that the fit to all rows knows: a
        row that is a hundred million times as far as the others hides some of theirs.
        """
        from ._spectral_loo import leave_one_out

        return leave_one_out(self, squared=squared)

    def __getstate__(self) -> Any:
        state = dict(super().__getstate__())
        state.pop("_fitted_rows", None)  # the training set is not part of a stored model
        if "whitener_" in state:
            state["_fitted_rows"] = None
        return state
