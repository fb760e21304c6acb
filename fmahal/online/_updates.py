"""What an adaptive index lets you change: the metric by low rank, points one by one."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._typing import ArrayLike, FloatArray
from .._validation import as_float, as_vector, check_finite
from ._store import Store, quiet


class UpdateMixin(BaseEstimator):
    """Updates of a fitted index. Each checks its arguments first: one that fails leaves the index as it was."""

    _store: Store
    n_features_in_: int

    def _fitted(self) -> Store:
        check_is_fitted(self, "_store")
        return self._store

    # ---------------------------------------------------------------- the metric

    def update_metric(self, u: ArrayLike, v: ArrayLike) -> Self:
        r"""Change the metric factor by a matrix of rank one, or of low rank: :math:`U \leftarrow U + u v^\top`.

        Parameters
        ----------
        u : array-like of shape (m,) or (m, r)
            Left vectors; m is the number of rows of `metric_factor`, n_features for the identity.
        v : array-like of shape (n_features,) or (n_features, r)
            Right vectors.

        Returns
        -------
        self : AdaptiveMahalanobisIndex
            The index under the new metric.

        Raises
        ------
        ValueError
            If a shape is wrong, an entry is not finite, or the new sketches would overflow their dtype. The index is
            as it was.

        Notes
        -----
        O(r (n p + L n k + L k p)) time, plus O(r L k m) for the images of u (less under fast maps): by
        :math:`S_l (U + u v^\top) x = S_l U x + (S_l u)(v^\top x)` no product of points with a map is formed. U itself
        is brought up to date when an exact distance reads it. Rounding errors of many updates add up like those of a
        sum; `refresh` clears them.
        """
        store = self._fitted()
        m, p = store.metric.shape
        left, right = _columns(u, "u", m), _columns(v, "v", p)
        if left.shape[0] != right.shape[0]:
            raise ValueError(
                f"u has {left.shape[0]} columns and v has {right.shape[0]}: u v' needs the same number. Pass two "
                f"vectors, ({m},) and ({p},), or two matrices, ({m}, r) and ({p}, r)."
            )
        store.add_to_metric(left, right)
        return self

    def update_metric_rows(self, rows: ArrayLike, values: Any) -> Self:
        """Add values to some rows of the metric factor: ``U[rows] += values``.

        Parameters
        ----------
        rows : array-like of int, shape (q,)
            Distinct rows of U, counted from 0.
        values : array-like or sparse matrix of shape (q, n_features)
            What is added. Of a sparse one only the nonzeros cost anything.

        Returns
        -------
        self : AdaptiveMahalanobisIndex
            The index under the new metric.

        Raises
        ------
        IndexError
            If U has no such row.
        ValueError
            If a row is named twice, a shape is wrong, or an entry is not finite. The index is as it was.

        Notes
        -----
        O(n nnz + L k nnz + L n k q) time with nnz nonzeros in `values` (q n_features of them when it is dense).
        """
        store = self._fitted()
        m, p = store.metric.shape
        chosen = _integers(rows, "rows")
        for row in chosen:
            if not 0 <= row < m:
                raise IndexError(f"rows: the metric factor has no row {row}; its rows are 0 to {m - 1}.")
        if len(np.unique(chosen)) < len(chosen):
            raise ValueError("rows names a row twice: add up its values first.")
        amounts = _row_values(values, (len(chosen), p))
        if len(chosen):
            store.add_to_rows(chosen, amounts)
        return self

    # ---------------------------------------------------------------- points

    def update_point(self, i: int, z: ArrayLike) -> Self:
        """Put another point in the place of one, under the same identifier.

        Parameters
        ----------
        i : int
            Its identifier.
        z : array-like of shape (n_features,)
            The new point.

        Returns
        -------
        self : AdaptiveMahalanobisIndex
            The index with the point replaced.

        Raises
        ------
        IndexError
            If there is no such point.
        ValueError
            If `z` has another shape, is not finite, or overflows the dtype. The index is as it was.

        Notes
        -----
        O(L k p) time, less where a fast map pays.
        """
        store = self._fitted()
        slot = store.slot_of(i)
        store.replace(slot, self._new_rows(as_vector(z, "z", store.points.shape[1])[None], "z"))
        return self

    def insert(self, Z: ArrayLike) -> Any:
        """Add points.

        Parameters
        ----------
        Z : array-like of shape (n_features,) or (q, n_features)
            A point, or some.

        Returns
        -------
        ids : int or ndarray of shape (q,)
            The new identifiers, larger than all that were given before.

        Raises
        ------
        ValueError
            If `Z` has another number of columns, is not finite, or overflows the dtype. The index is as it was.

        Notes
        -----
        O(q L k p) time, less where a fast map pays. Memory for further points is doubled when it is full: O(1) copies
        of each point on average.
        """
        store = self._fitted()
        rows = as_float(Z, "Z")
        if rows.ndim not in (1, 2) or rows.shape[-1] != store.points.shape[1]:
            raise ValueError(
                f"Z must be a point ({store.points.shape[1]},) or rows (q, {store.points.shape[1]}), the columns of "
                f"the fit, got shape {rows.shape}."
            )
        ids = store.append(self._new_rows(np.atleast_2d(rows), "Z"))
        return int(ids[0]) if rows.ndim == 1 else ids

    def delete(self, ids: ArrayLike) -> Self:
        """Remove points.

        Parameters
        ----------
        ids : int or array-like of int, shape (q,)
            Their identifiers.

        Returns
        -------
        self : AdaptiveMahalanobisIndex
            The index without them.

        Raises
        ------
        IndexError
            If there is no such point.
        ValueError
            If an identifier comes twice, or no point would be left. The index is as it was.

        Notes
        -----
        O(q (p + L k)) time: the last row moves to the free place, so that the order of `ids_` changes; the
        identifiers of the other points do not. Memory is kept for points to come.
        """
        store = self._fitted()
        chosen = _integers(ids, "ids").tolist()
        for identifier in chosen:
            store.slot_of(identifier)
        if len(set(chosen)) < len(chosen):
            raise ValueError("ids names a point twice; it can be deleted once.")
        if len(chosen) == store.n:
            raise ValueError(
                f"Deleting {len(chosen)} of {store.n} points would leave none, and an empty index answers nothing. "
                "Insert the next point first, or drop the index."
            )
        store.remove(chosen)
        return self

    def refresh(self) -> Self:
        """Recompute every sketch from the points and the metric, which clears the rounding of many updates.

        Sketches are of differences from the mean of the points; it is computed anew, too.

        Returns
        -------
        self : AdaptiveMahalanobisIndex
            The index with the same points, identifiers, metric and random maps.

        Notes
        -----
        The cost of a fit without the drawing of its maps, and the memory of the sketches once more meanwhile.
        """
        self._fitted().refresh()
        return self

    @quiet
    def _new_rows(self, rows: FloatArray, name: str) -> FloatArray:
        """Return finite C-ordered rows in the dtype of the fit."""
        check_finite(rows, name)
        cast = np.require(rows, dtype=self._store.points.dtype, requirements=["C", "A"])
        if not np.isfinite(cast).all():
            raise ValueError(
                f"{name} overflows {cast.dtype}, the dtype of the fit. Fit float64 points instead."
            )
        return cast


@quiet
def _columns(value: ArrayLike, name: str, size: int) -> FloatArray:
    """Return the columns of (size,) or (size, r) as the rows of a finite float64 (r, size) array."""
    if sparse.issparse(value):
        raise ValueError(f"{name} is sparse: pass {name}.toarray(), or use update_metric_rows.")
    array = as_float(value, name)
    if array.ndim not in (1, 2) or array.shape[0] != size or array.size == 0:
        raise ValueError(f"{name} must have shape ({size},) or ({size}, r), got {array.shape}.")
    check_finite(array, name)
    return np.ascontiguousarray(array.reshape(size, -1).T, dtype=np.float64)


@quiet
def _row_values(values: Any, shape: tuple[int, int]) -> Any:
    """Return finite float64 values of one shape, C-ordered or CSR with sorted, unique entries."""
    if not sparse.issparse(values):
        array = as_float(values, "values")
        if array.shape != shape:
            raise ValueError(f"values must have shape {shape}, a row for each of `rows`, got {array.shape}.")
        check_finite(array, "values")
        return np.ascontiguousarray(array, dtype=np.float64)
    if values.shape != shape:
        raise ValueError(f"values must have shape {shape}, a row for each of `rows`, got {values.shape}.")
    if values.dtype.kind not in "fiub":
        raise ValueError(f"values must hold real numbers, got a sparse matrix of {values.dtype}.")
    entries = sparse.csr_array(values, dtype=np.float64)
    if entries is values or np.shares_memory(entries.data, values.data):
        entries = entries.copy()  # never tidy the caller's matrix
    entries.sum_duplicates()
    check_finite(entries.data, "the nonzeros of values")
    return entries


def _integers(values: ArrayLike, name: str) -> np.ndarray:
    array = np.atleast_1d(np.asarray(values))
    if array.size == 0:
        return np.zeros(0, np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise IndexError(f"{name} must be an integer or a vector of integers, got {values!r}.")
    return array.astype(np.intp)
