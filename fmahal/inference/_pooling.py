"""Two samples at the door: checks that name the sample, and both in one object."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from .._validation import as_float
from ..spaces._fdata import fdata_kind

_FEWEST = 2  # one curve has no variance of its own, and says nothing of how its group scatters


def pooled_samples(X: Any, Y: Any) -> tuple[Any, int, int]:
    """Return the curves or rows of both samples in one object of their kind, X first, and their numbers."""
    kinds = _kind(X), _kind(Y)
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"X and Y must be of one kind, got {type(X).__name__} and {type(Y).__name__}. Turn one into the other "
            "first: curves on a grid have data_matrix, and to_grid() or to_basis() of scikit-fda convert."
        )
    if kinds[0] == "table":
        X, Y = _array(X, "X"), _array(Y, "Y")
    numbers = []
    for sample, name in ((X, "X"), (Y, "Y")):
        numbers.append(_num_samples(sample))
        if numbers[-1] < _FEWEST:
            raise ValueError(
                f"{name} has {numbers[-1]} curve or row, and the test needs at least {_FEWEST} in each sample. To "
                "judge whether one curve belongs to a sample use FunctionalOutlierDetector(...).pvalues."
            )
    if kinds[0] == "table":
        _check_shapes(X.shape[1:], Y.shape[1:], "columns or grid points")
        pooled = np.concatenate([X, Y])
    elif kinds[0] == "frame":
        pooled = _pooled_frames(X, Y)
    else:
        pooled = _pooled_curves(X, Y, kinds[0])
    return pooled, numbers[0], numbers[1]


def taken(pooled: Any, index: NDArray[np.intp]) -> Any:
    """Return pooled curves or rows in another order."""
    return pooled.iloc[index] if hasattr(pooled, "iloc") else pooled[index]


def _kind(X: Any) -> str:
    kind = fdata_kind(X)
    if kind is not None:
        return kind
    return "frame" if hasattr(X, "columns") and hasattr(X, "shape") else "table"


def _array(X: Any, name: str) -> Any:
    array = as_float(X, name)
    if array.ndim < 2:
        raise ValueError(
            f"{name} must have a curve or a row for each of its first indices, (n, T) or (n, p), got shape "
            f"{array.shape}. A single variable is a column: {name}.reshape(-1, 1)."
        )
    _check_finite(array, name)
    return array


def _check_finite(values: Any, name: str) -> None:
    if np.isfinite(np.sum(values, dtype=np.float64)):
        return
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        first = tuple(int(k) for k in bad[0])
        what = "NaN" if np.isnan(values[first]) else "infinity"
        raise ValueError(
            f"{name} contains NaN or infinity: {len(bad)} entries, the first ({what}) in curve or row {first[0]} at "
            f"position {first[1] if len(first) == 2 else first[1:]}. Drop, smooth or impute such curves first; "
            "nothing is dropped silently."
        )


def _check_shapes(first: Any, second: Any, what: str) -> None:
    if first != second:
        raise ValueError(
            f"X and Y differ in their {what}: {first} against {second} for each curve or row. Both samples must be "
            "observed alike; interpolate the curves to one grid first, or drop what only one sample has."
        )


def _pooled_frames(X: Any, Y: Any) -> Any:
    """Return both data frames on top of each other, with the names that the estimator may want."""
    if list(X.columns) != list(Y.columns):
        raise ValueError(
            f"X and Y are data frames with different columns: {list(X.columns)} against {list(Y.columns)}."
        )
    pandas = sys.modules.get("pandas")  # loaded by whoever made the frames
    if pandas is not None and isinstance(X, pandas.DataFrame) and isinstance(Y, pandas.DataFrame):
        return pandas.concat([X, Y], ignore_index=True)
    return np.concatenate([np.asarray(X), np.asarray(Y)])


def _pooled_curves(X: Any, Y: Any, kind: str) -> Any:
    """Return functional data of scikit-fda in one object."""
    _check_shapes(
        (X.dim_domain, X.dim_codomain), (Y.dim_domain, Y.dim_codomain), "dimensions of domain and codomain"
    )
    if kind == "grid":
        for sample, name in ((X, "X"), (Y, "Y")):
            _check_finite(sample.data_matrix, name)
        _check_grids(X.grid_points, Y.grid_points)
    elif kind == "basis" and X.basis != Y.basis:
        raise ValueError(
            f"X and Y are expanded in different bases, {X.basis} against {Y.basis}. Convert one of them first: "
            "Y.to_basis(X.basis)."
        )
    if not np.array_equal(X.domain_range, Y.domain_range):
        raise ValueError(
            f"X and Y have different domains, {X.domain_range} against {Y.domain_range}. Restrict both to the part "
            "they share, X.restrict(...)."
        )
    if kind != "grid":
        return X.concatenate(Y)
    values = np.concatenate(
        [X.data_matrix, Y.data_matrix]
    )  # concatenate() of scikit-fda refuses some surfaces
    return X.copy(data_matrix=values, sample_names=(None,) * len(values))


def _check_grids(first: Any, second: Any) -> None:
    for a, b in zip(first, second, strict=True):
        if len(a) != len(b):
            raise ValueError(
                f"X and Y are observed on different grids: {len(a)} points against {len(b)}. Evaluate both on one grid "
                "first: Y.to_grid(X.grid_points[0])."
            )
        if not np.array_equal(a, b):
            k = int(np.flatnonzero(np.asarray(a) != np.asarray(b))[0])
            raise ValueError(
                f"X and Y are observed on different grids: point {k} is t = {a[k]:.12g} against t = {b[k]:.12g}. "
                "Evaluate both on one grid first: Y.to_grid(X.grid_points[0])."
            )
