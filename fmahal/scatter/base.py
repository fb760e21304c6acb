"""What every scatter estimator can do once it has a location and a whitener."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, validate_data

from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray, Outside
from .._validation import as_rows, check_finite, only_numbers, refuse_curves
from ..distance import mahalanobis
from ..exceptions import RankDeficientWarning
from ..whitener import Whitener
from ._degenerate import rank_message
from ._moments import Moments
from ._quality import QualityMixin

_DTYPES = (np.float64, np.float32)


class BaseScatter(QualityMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Base class of scatter estimators: a location m and a whitener W with :math:`W^\top W = \Sigma^{-1}`.

    A subclass defines `fit`, which calls `_store`. Everything below costs what its whitener costs; no method
    but `covariance_`, `precision_`, `get_precision` and `error_norm` forms a p x p array that the whitener
    does not hold already.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The centre m.
    whitener_ : Whitener
        Whitening operator of the covariance; takes rows minus `location_`.
    rank_ : int
        Dimension of the subspace on which distances are defined; the number of whitened columns.
    n_samples_ : int
        Rows seen.
    ddof_ : int
        The divisor of the covariance is ``n_samples_ - ddof_``.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Notes
    -----
    Class attributes: `affine_equivariant`, `robust`, `regularized` (distances exist for more columns than
    rows), `equivariances` (the transformations of all rows, "translation", "permutation" of columns,
    "orthogonal", "scale", "columns" (a unit for each), "affine", that leave squared distances as they are).
    """

    affine_equivariant: ClassVar[bool] = False
    robust: ClassVar[bool] = False
    regularized: ClassVar[bool] = False
    equivariances: ClassVar[frozenset[str]] = frozenset()
    scatter_kind: ClassVar[str] = "other"

    location_: FloatArray
    whitener_: Whitener
    rank_: int
    n_samples_: int
    ddof_: int
    n_features_in_: int
    _covariance: FloatArray | None
    _precision: FloatArray | None

    # ---------------------------------------------------------------- for subclasses

    def _training_rows(self, X: ArrayLike, *, min_samples: int = 2, reset: bool = True) -> FloatArray:
        """Return finite C-ordered float rows; integers become float64."""
        refuse_curves(X, type(self).__name__)
        rows = self._numbers(X, reset=reset, ensure_min_samples=min_samples)
        check_finite(rows, "X", self._names())
        return rows

    def _numbers(self, X: ArrayLike, **checks: Any) -> FloatArray:
        """Return C-ordered float rows, finite or not; an error about text says where it is."""
        with only_numbers(X):
            return validate_data(self, X, dtype=_DTYPES, order="C", ensure_all_finite=False, **checks)

    def _store(
        self,
        location: FloatArray,
        whitener: Whitener,
        n_samples: int,
        *,
        covariance: FloatArray | None = None,
        ddof: int = 0,
    ) -> None:
        """Set the fitted attributes; a dense covariance is kept when the fit made one anyway."""
        self.location_ = location
        self.whitener_ = whitener
        self.rank_ = whitener.rank
        self.n_samples_ = int(n_samples)
        self.ddof_ = ddof
        self._covariance = covariance
        self._precision = None

    def _warn_rank(self, moments: Moments) -> None:
        """Warn, from the line that called `fit`, when the stored whitener lacks rank."""
        if self.rank_ < self.n_features_in_:
            message = rank_message(
                type(self).__name__,
                rank=self.rank_,
                n=self.n_samples_,
                constant=moments.constant,
                centred=moments.centred,
                covariance=getattr(moments, "covariance", None),
                tolerance=moments.tolerance,
                names=self._names(),
            )
            warnings.warn(message, RankDeficientWarning, stacklevel=4)

    def _names(self) -> Any:
        return getattr(self, "feature_names_in_", None)

    def _check_flags(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name} of {type(self).__name__} must be True or False, got {value!r}.")

    # ---------------------------------------------------------------- fitted matrices

    @property
    def covariance_(self) -> FloatArray:
        """Covariance matrix, (n_features, n_features), in squared units; made on first use when p > n."""
        self._check_fitted("covariance_")
        if self._covariance is not None:
            return self._covariance
        covariance = self.whitener_.covariance
        if getattr(self, "store_precision", True):
            self._covariance = covariance
        return covariance

    @property
    def precision_(self) -> FloatArray | None:
        """Generalised inverse of `covariance_`, (n_features, n_features); None if ``store_precision=False``."""
        self._check_fitted("precision_")
        return self.get_precision() if getattr(self, "store_precision", True) else None

    def _check_fitted(self, name: str) -> None:
        if "whitener_" not in self.__dict__:  # an AttributeError too, so that hasattr is False
            raise NotFittedError(f"This {type(self).__name__} has no {name} yet: call fit first.")

    def get_precision(self) -> FloatArray:
        r"""Return the precision matrix :math:`\Sigma^{-1}`.

        Returns
        -------
        precision : ndarray of shape (n_features, n_features)
            Inverse of `covariance_`; when that is singular, the inverse on its range on the scale of the
            correlation matrix, so that units do not matter.

        Raises
        ------
        DenseSizeError
            When such a matrix does not fit into memory. `precision_dot` does not need it.

        Notes
        -----
        O(p^2 rank) time at the first call, O(p^2) memory; kept when ``store_precision`` is True.
        """
        check_is_fitted(self)
        if self._precision is not None:
            return self._precision
        precision = self.whitener_.precision
        if getattr(self, "store_precision", True):
            self._precision = precision
        return precision

    # ---------------------------------------------------------------- rows

    def _rows(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        return self._numbers(X, reset=False)

    def _map(
        self, X: ArrayLike, method: str, width: int | None, whitener: Whitener | None = None
    ) -> FloatArray:
        """Apply a method of a whitener, by default the fitted one, to blocks of centred rows; float32 stays float32."""
        rows = self._rows(X)
        n, p = rows.shape
        out = np.empty(n if width is None else (n, width), dtype=rows.dtype)
        apply = getattr(self.whitener_ if whitener is None else whitener, method)
        for block in row_blocks(n, p):
            centred = np.subtract(rows[block], self.location_, dtype=np.float64)
            if not np.isfinite(centred.sum()):
                check_finite(rows, "X", self._names())
            out[block] = apply(centred)
        return out

    def mahalanobis(
        self, X: ArrayLike, *, squared: bool = True, outside: Outside | None = None
    ) -> FloatArray:
        r"""Squared Mahalanobis distances of rows to `location_`.

        .. math:: d^2(x) = (x - m)^\top \Sigma^{-1} (x - m) = \lVert W (x - m) \rVert^2

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.
        squared : bool, default=True
            Whether to return squared distances, as scikit-learn does, or their roots.
        outside : {"ignore", "inf", "raise"}, optional
            What the part of a row off the fitted subspace does: nothing, an infinite distance, or an
            `OutsideSubspaceError`. By default the policy of `whitener_`, which is "ignore" unless you made it.

        Returns
        -------
        d2 : ndarray of shape (n_samples,)
            Squared distances (distances if not `squared`); float32 for float32 rows.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.

        Notes
        -----
        n rows cost O(n p rank) time, and memory for a block of rows.
        """
        return self._distances(self._rows(X), squared, outside)

    def _distances(
        self, rows: FloatArray, squared: bool = True, outside: Outside | None = None
    ) -> FloatArray:
        whitener = self.whitener_
        if outside is not None and outside != whitener.outside:
            whitener = Whitener(whitener._structure, outside)
        try:
            return mahalanobis(rows, self.location_, whitener=whitener, squared=squared)
        except ValueError:
            check_finite(rows, "X", self._names())  # the same complaint, with the names of the columns
            raise

    def transform(self, X: ArrayLike) -> FloatArray:
        """Return whitened rows W (x - m): their squared norm is the squared Mahalanobis distance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.

        Returns
        -------
        Z : ndarray of shape (n_samples, rank_)
            Whitened rows, without units; float32 for float32 rows.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.

        Notes
        -----
        O(n p rank) time.
        """
        check_is_fitted(self)
        return self._map(X, "whiten", self.whitener_.shape[0])

    def inverse_transform(self, Z: ArrayLike) -> FloatArray:
        """Return the rows, in the units of the data, that `transform` maps to `Z`.

        Parameters
        ----------
        Z : array-like of shape (n_samples, rank_)
            Whitened rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            ``location_`` plus coloured rows; float32 for float32 rows. When the covariance is singular they lie
            in its subspace.

        Raises
        ------
        ValueError
            For NaN, infinity or another number of columns than `rank_`.

        Notes
        -----
        O(n p rank) time.
        """
        check_is_fitted(self)
        rows = as_rows(Z, name="Z", n_features=self.whitener_.shape[0])
        check_finite(rows, "Z")
        colored = self.whitener_.color(rows.astype(np.float64, copy=False))
        return (colored + self.location_).astype(rows.dtype, copy=False)

    def residual(self, X: ArrayLike) -> FloatArray:
        """Return how far rows lie off the fitted subspace: 0 everywhere at full rank.

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
        """
        return self._map(X, "residual", None)

    def precision_dot(self, X: ArrayLike) -> FloatArray:
        r"""Return the rows :math:`\Sigma^{-1} (x - m)` without forming the precision matrix.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Half the gradient of the squared distance; times (x - m), its sum over columns is the squared
            distance.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.

        Notes
        -----
        The cost of whitening twice.
        """
        return self._map(X, "precision_dot", getattr(self, "n_features_in_", 0))

    # ---------------------------------------------------------------- scikit-learn

    @property
    def _n_features_out(self) -> int:
        """Number of whitened columns, for `get_feature_names_out`."""
        return self.whitener_.shape[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
