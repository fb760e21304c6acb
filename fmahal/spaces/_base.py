"""What L2 and Sobolev spaces share: reading curves, fitting nothing but the geometry, coordinates and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_array,
    check_is_fitted,
    validate_data,
)

from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray
from .._validation import as_rows, check_finite
from ._contributions import TimeContributions
from ._fdata import fdata_kind, is_fdata
from ._frames import GridFrame, Term
from ._grids import Grid, as_grid, check_same_domain, check_same_grid, positive_array, quadrature
from ._input import Curves, about_curves, check_values, read_fdata, real_values, refuse_basis, shape_rows

_DTYPES = (np.float64, np.float32)


class CurveSpace(TransformerMixin, BaseEstimator):
    """Base class of spaces of curves; a subclass says which derivatives enter its inner product."""

    fixed_space: ClassVar[bool] = True

    grid_points: Any
    weights: Any
    domain_weight: Any
    component_weights: Any
    basis: Any

    kind_: str
    grid_points_: Grid
    domain_range_: tuple[tuple[float, float], ...]
    n_codomain_: int
    weights_: FloatArray
    n_features_out_: int
    n_features_in_: int

    def _terms(self, domain: tuple[tuple[float, float], ...]) -> list[Term]:
        raise NotImplementedError

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None) -> Any:
        """Record the grid or basis, the domain and the weights; nothing is learned from the values.

        Parameters
        ----------
        X : FDataGrid, FDataBasis, FDataIrregular or array-like
            Curves; arrays as (n_samples, T), (n_samples, T, d) or, for surfaces, (n_samples, T1, T2[, d]).
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted space.

        Raises
        ------
        ValueError
            For NaN (the message names curve and point), complex or non-numeric values, fewer than two points, a grid
            that does not increase, weights that are not positive, irregular curves without `basis`.

        Notes
        -----
        O(n T) time to look for NaN; on a basis of m functions O(m^3) for the factor of its Gram matrix.
        """
        curves = self._read(X, reset=True)
        frame = self._make_frame(curves)
        if curves.kind == "irregular":
            self._coordinates(curves, frame)  # too few points of a curve are an error already here
        else:
            check_values(curves)
        self._keep(curves, frame)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> FloatArray:
        """Fit to `X` and return its coordinates; the curves are read once.

        Parameters
        ----------
        X : FDataGrid, FDataBasis, FDataIrregular or array-like
            Curves, as for `fit`.
        y : None
            Ignored.
        **fit_params : dict
            Not used; there for scikit-learn's pipelines.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out_)
            Coordinates, as `transform` gives them.

        Raises
        ------
        ValueError
            As `fit`.

        Notes
        -----
        O(n T) time for curves on a grid.
        """
        return self._fit_coordinates(X)

    def _fit_coordinates(self, X: Any) -> FloatArray:
        """`fit_transform` without the wrapper of scikit-learn, which takes time to look for data frames."""
        curves = self._read(X, reset=True)
        frame = self._make_frame(curves)
        Z = self._coordinates(curves, frame)
        self._keep(curves, frame)
        return Z

    def _read(self, X: Any, *, reset: bool) -> Curves:
        if is_fdata(X):
            if reset:
                return read_fdata(X, self.basis)
            return read_fdata(
                X, self._frame.basis if self.kind_ == "irregular" else self.basis, self.grid_points_
            )
        refuse_basis(self.basis, "an array, curves")
        values = self._array(X, reset)
        shaped, grid = shape_rows(values, self.grid_points, None if reset else self.grid_points_)
        if reset:
            self.n_features_in_ = int(np.prod(shaped.shape[1:]))
        domain = tuple((float(points[0]), float(points[-1])) for points in grid)
        return Curves("array", shaped, grid, domain, shaped.shape[-1], squeeze=shaped.ndim > values.ndim)

    def _array(self, X: Any, reset: bool) -> FloatArray:
        """Return an array of curves as floats; tables with scikit-learn's checks of their columns."""
        try:
            table = (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) <= 2
        except ValueError:
            raise ValueError(
                "X is no array: its curves have different lengths. Hold them as FDataIrregular, with "
                "L2Space(basis=...)."
            ) from None
        try:
            if table and (reset or (self._squeeze and len(self.grid_points_) == 1)):
                return np.asarray(validate_data(self, X, reset=reset, dtype=_DTYPES, ensure_all_finite=False))
            values = real_values(X, "X")
            return np.asarray(check_array(values, allow_nd=True, dtype=_DTYPES, ensure_all_finite=False))
        except ValueError as error:
            raise about_curves(error, X) from error

    def _make_frame(self, curves: Curves) -> Any:
        if curves.d < 1:
            raise ValueError("X has no components.")
        components = (
            np.ones(curves.d)
            if self.component_weights is None
            else positive_array(np.atleast_1d(self.component_weights), (curves.d,), "component_weights")
        )
        terms = self._terms(curves.domain)
        if curves.grid is None:
            from ._bases import basis_frame

            return basis_frame(self, curves, components, terms)
        if curves.kind == "grid" and self.grid_points is not None:
            check_same_grid(curves.grid, as_grid(self.grid_points), "grid_points=")
        order = max(term.order for term in terms)
        for points in curves.grid:
            if points.size <= order:
                raise ValueError(
                    f"A derivative of order {order} needs at least {order + 1} grid points, got {points.size}."
                )
        axes = quadrature(self.weights, curves.grid)
        return GridFrame(curves.grid, axes, components, self.domain_weight, terms)

    def _keep(self, curves: Curves, frame: Any) -> None:
        """Set the fitted attributes."""
        if curves.kind != "array":  # of an earlier fit to arrays
            self.__dict__.pop("n_features_in_", None)
        if curves.kind != "array" or not curves.squeeze:
            self.__dict__.pop("feature_names_in_", None)
        self.kind_ = curves.kind
        self.grid_points_ = frame.grid
        self.domain_range_ = frame.domain if curves.grid is None else curves.domain
        self.n_codomain_ = curves.d
        self.weights_ = frame.weights
        self.n_features_out_ = frame.size
        self._frame = frame
        self._labels = curves.labels
        self._squeeze = curves.squeeze

    # ---------------------------------------------------------------- coordinates

    def _coordinates(self, curves: Curves, frame: Any) -> FloatArray:
        values = curves.values
        if curves.kind == "irregular":
            from ._irregular import smooth

            values = smooth(values, frame.basis)
        with np.errstate(invalid="ignore", over="ignore"):  # reported by name, once seen in the coordinates
            Z: FloatArray = frame.coordinates(values)
            seen = np.isfinite(np.sum(Z, dtype=np.float64))
        if not seen:
            if curves.kind != "irregular":
                check_values(curves)
            if not np.isfinite(Z).all():
                raise ValueError(
                    f"The coordinates of curve {int(np.argwhere(~np.isfinite(Z))[0][0])} overflow: bring the values to "
                    "smaller units first."
                )
        return Z

    def transform(self, X: Any) -> FloatArray:
        """Return coordinates whose dot product is the inner product of the curves.

        Parameters
        ----------
        X : FDataGrid, FDataBasis, FDataIrregular or array-like
            Curves of the kind, grid or basis, domain and number of components of the fit.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out_)
            Coordinates, in units of the values times the root of the units of the domain; float32 for float32 values.

        Raises
        ------
        ValueError
            For NaN (the message names curve and point), and when kind, grid, basis, domain or number of components
            are not those of the fit (the message says which, and where they first differ).

        Notes
        -----
        Curves on T points cost O(n T) time and one array of output; coefficients on m basis functions O(n m^2);
        irregular curves one least-squares problem each.
        """
        return self._coordinates(self._read_again(X), self._frame)

    def _read_again(self, X: Any) -> Curves:
        """Read curves that have to be of the kind of the fit, without a look at their values."""
        if "kind_" not in self.__dict__:  # the check itself takes as long as to read a few curves
            check_is_fitted(self, "kind_")
        self._check_kind(X)
        curves = self._read(X, reset=False)
        self._check_same(curves)
        return curves

    def _coordinate_blocks(self, curves: Curves) -> Iterator[tuple[slice, FloatArray]]:
        """Yield `transform` of curves on a grid in blocks of rows, with their place."""
        for rows in row_blocks(len(curves.values), self.n_features_out_):
            with np.errstate(invalid="ignore", over="ignore"):
                Z = self._frame.coordinates(curves.values[rows])
                seen = np.isfinite(np.sum(Z, dtype=np.float64))
            if not seen:
                Z = self._coordinates(curves, self._frame)[rows]  # raises, with the place among all curves
            yield rows, Z

    def _check_kind(self, X: Any) -> None:
        """Raise when curves come as another kind of object than those of the fit."""
        kind = fdata_kind(X) or "array"
        if kind != self.kind_ and (kind, self.kind_) != (
            "basis",
            "irregular",
        ):  # inverse_transform gives those
            names = {"array": "a plain array", "grid": "an FDataGrid", "basis": "an FDataBasis"}
            now, then = (names.get(k, "an FDataIrregular") for k in (kind, self.kind_))
            raise ValueError(
                f"X is {now} and {type(self).__name__} was fitted to {then}: convert one to the other."
            )

    def _check_same(self, curves: Curves) -> None:
        """Raise when curves live elsewhere than those of the fit."""
        if curves.d != self.n_codomain_:
            raise ValueError(
                f"The curves have {curves.d} component(s), those of the fit had {self.n_codomain_}: the codomain must "
                "have the same dimension."
            )
        if curves.grid is None:
            from ._bases import check_same_basis

            check_same_basis(curves, self._frame)
            return
        check_same_grid(curves.grid, self.grid_points_)
        check_same_domain(curves.domain, self.domain_range_)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """Return the curves with these coordinates, as the kind of object that was fitted.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features_out_)
            Coordinates; eigenvectors of their covariance come back as eigenfunctions.

        Returns
        -------
        X : FDataGrid, FDataBasis or ndarray
            Curves on the grid or in the basis of the fit, with its names and extrapolation; irregular curves come back
            as FDataBasis, arrays as arrays.

        Raises
        ------
        ValueError
            For NaN, infinity or another number of columns than `n_features_out_`.

        Notes
        -----
        Exact for L2. With derivatives the coordinates are more numbers than the values: the curve whose coordinates
        are nearest is returned, by a sparse least-squares solve. Where only derivatives count, the polynomials below
        their order have no coordinates: the curve without them, orthogonal to them, is returned.
        """
        check_is_fitted(self, "kind_")
        rows = as_rows(Z, name="Z", n_features=self.n_features_out_)
        check_finite(rows, "Z")
        values = self._frame.values(rows).astype(rows.dtype, copy=False)
        if self.kind_ == "array":
            return values[..., 0] if self._squeeze else values
        if self.kind_ == "grid":
            from skfda import FDataGrid

            return FDataGrid(values, self.grid_points_, domain_range=self.domain_range_, **self._labels)
        from skfda import FDataBasis

        return FDataBasis(self._frame.basis, values, **self._labels)

    def split_contributions(self, V: ArrayLike, G: ArrayLike) -> TimeContributions:
        """Split squared distances along the domain.

        Parameters
        ----------
        V : array-like of shape (n_samples, n_features_out_)
            Centred coordinates, ``space.transform(X) - scatter.location_``.
        G : array-like of shape (n_samples, n_features_out_)
            ``scatter.precision_dot`` of the coordinates: their dot product with `V` is the squared distance.

        Returns
        -------
        contributions : TimeContributions
            Density of the squared distance over the domain, for each component; it integrates to the squared
            distance, exactly on a grid and to the accuracy of the quadrature on `grid_points_` in a basis.

        Raises
        ------
        ValueError
            For shapes that do not fit.

        Notes
        -----
        A density may be negative: correlation lets one part of a curve excuse another. Derivatives are given half to
        each end of their cell. O(n T) on a grid; O(n m T) in a basis of m functions.
        """
        check_is_fitted(self, "kind_")
        q = self.n_features_out_
        left = as_rows(V, name="V", n_features=q).astype(np.float64, copy=False)
        right = as_rows(G, name="G", n_features=q).astype(np.float64, copy=False)
        if left.shape != right.shape:
            raise ValueError(f"V and G must have one shape, got {left.shape} and {right.shape}.")
        return TimeContributions(self.grid_points_, self._frame.split(left, right), self.weights_)

    # ---------------------------------------------------------------- scikit-learn

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Name the coordinates: by derivative, point and component, or by basis function.

        Parameters
        ----------
        input_features : array-like of str, optional
            Checked against the fit where that had column names; otherwise not used.

        Returns
        -------
        names : ndarray of str objects
            One name for each of the ``n_features_out_`` coordinates.

        Raises
        ------
        ValueError
            When `input_features` are not those of the fit.
        """
        check_is_fitted(self, "kind_")
        if self.kind_ == "array":
            _check_feature_names_in(self, input_features, generate_names=False)
        return np.asarray(self._frame.names(), dtype=object)

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
