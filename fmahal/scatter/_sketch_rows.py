"""What rows become by a sketched scatter, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._typing import ArrayLike, FloatArray, Outside
from .._validation import as_rows, check_finite


class SketchedRows:
    """Methods of `Sketched` that map rows: they go on to those of the scatters, with the sketched whitener."""

    def transform(self: Any, X: ArrayLike) -> FloatArray:
        """Return sketched rows S W (x - m): their squared norm is the sketched squared distance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components_)
            Sketched rows, without units; float32 for float32 rows. Distances between them are sketched distances
            between the rows.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.
        OutsideSubspaceError
            For a row off the subspace of a scatter whose own policy is ``outside="raise"``.

        Notes
        -----
        O(n p k) time.
        """
        check_is_fitted(self)
        if self.is_sketched_:  # the exact whitener sees to it itself
            self._exact._check_inside(self._rows(X), self.location_)
        return super().transform(X)  # type: ignore[misc]

    def inverse_transform(self: Any, Z: ArrayLike) -> FloatArray:
        """Return rows, in the units of the data, that `transform` maps to `Z`: those of the least exact distance.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components_)
            Sketched rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            ``location_`` plus rows :math:`W^+ S^+ z`; float32 for float32 rows. Many rows share one sketched row;
            these do not depend on the units of the columns, and lie in the subspace of a singular covariance. What no
            row has as its sketched row (maps of few signs may have equal rows) gets that of the nearest one.

        Raises
        ------
        ValueError
            For NaN, infinity or another number of columns than `n_components_`.

        Notes
        -----
        The cost of colouring n rows by the exact whitener, and O(k^2 rank) for the generalised inverse of S; O(k p^2)
        for a singular scatter of scikit-learn.
        """
        check_is_fitted(self)
        if not self.is_sketched_ or self._span() is self._exact:
            return super().inverse_transform(Z)  # type: ignore[misc]
        rows = as_rows(Z, name="Z", n_features=self.n_components_)
        check_finite(rows, "Z")
        # The precision matrix of a foreign scatter does not tell its subspace; its covariance, dense anyway, does.
        folded = self.whitener_.adjoint(np.eye(self.n_components_))
        spread = folded @ self.covariance_
        gram = spread @ folded.T
        colored = (
            rows.astype(np.float64, copy=False)
            @ np.linalg.pinv(0.5 * (gram + gram.T), hermitian=True)
            @ spread
        )
        return (colored + self.location_).astype(rows.dtype, copy=False)

    def _distances(
        self: Any, rows: FloatArray, squared: bool = True, outside: Outside | None = None
    ) -> FloatArray:
        if not self.is_sketched_:
            return super()._distances(rows, squared, outside)  # type: ignore[misc]
        d2 = super()._distances(rows, squared)  # type: ignore[misc]
        policy = self._exact.outside if outside is None else outside
        if policy != "ignore":
            self._span().with_outside(policy)._mark_outside(rows, self.location_, d2)
        return d2
