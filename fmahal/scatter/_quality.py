"""How well a fitted scatter describes rows, or agrees with another matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._structures.base import row_blocks
from .._typing import ArrayLike
from .._validation import as_square, check_dense_size


class QualityMixin:
    """`score` and `error_norm` of a scatter, with scikit-learn's definitions."""

    def score(self: Any, X: ArrayLike, y: Any = None) -> float:
        r"""Mean Gaussian log-likelihood of rows under the fitted location and covariance.

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
            Log-density per row, as scikit-learn computes it. When the covariance is singular it is the density
            on its subspace of dimension r, and minus infinity if a row lies off that subspace.

        Notes
        -----
        O(n p rank) time.
        """
        rows = self._rows(X)
        d2 = self._distances(rows).mean(dtype=np.float64)
        rank, p = self.whitener_.shape
        if rank < p:
            for block in row_blocks(*rows.shape):
                centred = np.subtract(rows[block], self.location_, dtype=np.float64)
                if self.whitener_.off_subspace(centred).any():
                    return -np.inf
        return float(-0.5 * (d2 + self.whitener_.logdet + rank * np.log(2.0 * np.pi)))

    def error_norm(
        self: Any, comp_cov: ArrayLike, norm: str = "frobenius", scaling: bool = True, squared: bool = True
    ) -> float:
        """Distance between `covariance_` and another covariance matrix, as scikit-learn computes it.

        Parameters
        ----------
        comp_cov : array-like of shape (n_features, n_features)
            The covariance to compare with.
        norm : {"frobenius", "spectral"}, default="frobenius"
            Norm of the difference.
        scaling : bool, default=True
            Divide the squared norm by the number of columns.
        squared : bool, default=True
            Return the squared norm.

        Returns
        -------
        error : float
            The norm, squared and scaled as asked.

        Raises
        ------
        NotImplementedError
            For another norm.
        DenseSizeError
            When a p x p matrix does not fit into memory.

        Notes
        -----
        O(p^2) time for the Frobenius norm, O(p^3) for the spectral one.
        """
        self._check_fitted("covariance_")
        if norm not in ("frobenius", "spectral"):
            raise NotImplementedError(f'norm must be "frobenius" or "spectral", got {norm!r}.')
        p = self.whitener_.shape[1]
        check_dense_size(p, "The difference of covariances")
        other = as_square(comp_cov, "comp_cov")
        if other.shape[0] != p:
            raise ValueError(f"comp_cov must have shape ({p}, {p}), got {other.shape}.")
        error = float(np.linalg.norm(other - self.covariance_, None if norm == "frobenius" else 2)) ** 2
        if scaling:
            error /= p
        return error if squared else float(np.sqrt(error))
