"""Checks at the door, without scikit-learn: plain functions must start fast."""

from __future__ import annotations

import os
import reprlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._typing import ArrayLike, FloatArray
from .exceptions import DenseSizeError

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _refuse_mask(X: Any, name: str) -> None:
    if np.ma.isMaskedArray(X):
        raise ValueError(f"{name} is a masked array: fill its masked entries or drop their rows first.")


def as_float(X: ArrayLike, name: str = "X") -> FloatArray:
    """Return `X` as a native float32 or float64 array; integers and booleans become float64."""
    _refuse_mask(X, name)
    array = np.asarray(X)
    if np.iscomplexobj(array):
        raise ValueError(f"{name} is complex; Mahalanobis distances are defined for real numbers.")
    if array.dtype in _FLOATS and array.dtype.isnative:
        return array
    if array.dtype.kind == "f" and array.dtype.itemsize == 4:
        return array.astype(np.float32)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} holds values that are not numbers (dtype {array.dtype}); "
            "encode or drop the text columns first."
        ) from None


def as_rows(X: ArrayLike, *, name: str = "X", n_features: int | None = None) -> FloatArray:
    """Return `X` as a C-contiguous (n, p) float array; a vector becomes one row.

    The values are not looked at: NaN and infinity are searched for only where an output shows them.
    """
    array = as_float(X, name)
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2:
        raise ValueError(f"{name} must be a vector or an (n, p) array, got shape {array.shape}.")
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(f"{name} has {array.shape[1]} columns, expected {n_features}.")
    if array.shape[1] == 0:
        raise ValueError(f"{name} has no columns.")
    return np.require(array, requirements=["C", "A"])


def refuse_curves(X: Any, name: str) -> None:
    """Raise a TypeError for functional data of scikit-fda, which is not imported for that, where rows are expected."""
    base = getattr(sys.modules.get("skfda.representation"), "FData", None)
    if base is not None and isinstance(X, base):
        raise TypeError(
            f"X is an {type(X).__name__}, curves, and {name} works on rows of numbers. Put a space in front of it: "
            f"make_pipeline(L2Space(), {name}(...))."
        )


def as_vector(v: ArrayLike, name: str, size: int | None = None) -> FloatArray:
    """Return `v` as a finite float64 vector of length `size`."""
    array = np.require(as_float(v, name), dtype=np.float64, requirements=["C", "A"])
    if array.ndim != 1 or (size is not None and array.shape[0] != size):
        wanted = "(p,)" if size is None else f"({size},)"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}.")
    check_finite(array, name)
    return array


def as_square(A: ArrayLike, name: str) -> FloatArray:
    """Return `A` as a finite float64 (p, p) array."""
    array = np.ascontiguousarray(as_float(A, name), dtype=np.float64)
    if array.ndim == 0:
        array = array.reshape(1, 1)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] == 0:
        raise ValueError(f"{name} must be a square matrix, got shape {array.shape}.")
    check_finite(array, name)
    return array


def as_symmetric(A: ArrayLike, name: str, rtol: float = 1e-6) -> FloatArray:
    """Return `A` as a finite symmetric float64 matrix, symmetrised; gross asymmetry is an error.

    Asymmetry is measured on the correlation scale, so that units do not matter.
    """
    array = as_square(A, name)
    transposed = array.T
    if np.array_equal(array, transposed):
        return array
    scale = np.sqrt(np.abs(np.diagonal(array)))
    gap = np.abs(array - transposed)
    bound = rtol * np.outer(scale, scale) + 4 * np.finfo(float).eps * np.abs(array)
    if np.any(gap > bound):
        i, j = np.unravel_index(np.argmax(gap - bound), gap.shape)
        raise ValueError(
            f"{name} is not symmetric: entry ({i}, {j}) is {array[i, j]:.10g} and entry ({j}, {i}) is "
            f"{array[j, i]:.10g}. Pass a symmetric matrix, for example 0.5 * (A + A.T)."
        )
    return 0.5 * (array + transposed)


def _positions(mask: Any, names: Any = None, limit: int = 5) -> str:
    where = np.flatnonzero(mask)
    shown = [str(names[k]) if names is not None else str(k) for k in where[:limit]]
    more = f" and {where.size - limit} more" if where.size > limit else ""
    return ", ".join(shown) + more


def check_finite(X: FloatArray, name: str = "X", feature_names: Any = None) -> None:
    """Raise a ValueError that names the rows and columns of NaN or infinite entries."""
    if np.isfinite(np.sum(X, dtype=np.float64)):  # no NaN can hide in a finite sum
        return
    bad = ~np.isfinite(X)
    if not bad.any():  # finite entries whose sum overflows
        return
    kinds = [kind for kind, there in (("NaN", np.isnan(X).any()), ("infinity", np.isinf(X).any())) if there]
    what = f"{name} contains {' and '.join(kinds)}"
    if X.ndim == 1:
        raise ValueError(f"{what} at position {_positions(bad)}.")
    raise ValueError(
        f"{what}: {int(bad.sum())} entries, in rows {_positions(bad.any(axis=1))} and columns "
        f"{_positions(bad.any(axis=0), feature_names)}. Drop or impute them first; nothing is dropped silently."
    )


@contextmanager
def only_numbers(X: Any) -> Iterator[None]:
    """Turn an error about entries of a table that are no numbers into one that says where; refuse dates and masks."""
    _refuse_mask(X, "X")
    framed = hasattr(X, "columns") and hasattr(X, "iloc")
    kinds = {getattr(one, "kind", "O") for one in X.dtypes} if framed else {_kind(X)}
    if kinds & set("mM"):  # NumPy would turn dates into numbers without a word
        raise ValueError(_text_of_frame(X) if framed else _DATES)
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        said = _text_of_frame(X) if framed else _text_of_array(X)
        if said is None:
            raise
        if isinstance(error, TypeError) and not framed:
            # scikit-learn's checks want NumPy's type and words for an object
            raise TypeError(f"{said} ({error})") from error
        raise ValueError(said) from error


_DATES = (
    "X holds dates or spans of time, which are not numbers. Usual cause: a column of dates among the measurements. "
    "Leave it out, or turn it into numbers first, (dates - dates[0]) / np.timedelta64(1, 'D') for days."
)


def _kind(X: Any) -> str:
    return str(getattr(getattr(X, "dtype", None), "kind", "O"))


def _text_of_frame(X: Any) -> str | None:
    wrong = [j for j in range(X.shape[1]) if not _is_numeric(X.iloc[:, j])]
    if not wrong:
        return None
    where = {j: "" if X.columns.is_unique else f", column {j}" for j in wrong}
    names = ", ".join(f"{str(X.columns[j])!r} ({X.iloc[:, j].dtype}{where[j]})" for j in wrong[:5])
    names += ", ..." if len(wrong) > 5 else ""
    return (
        f"X has columns that are not numbers: {names}. Usual causes: row names, categories or dates among "
        "the measurements, a mark for missing values, or a decimal comma. Leave such columns out, "
        "X.select_dtypes('number'), or turn them into numbers first."
    )


def _is_numeric(column: Any) -> bool:
    """Tell whether the column of a data frame can be read as numbers."""
    kind = _kind(column)
    if kind in "iufbmM":
        return kind not in "mM"
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _text_of_array(X: Any) -> str | None:
    try:
        if np.asarray(X).dtype.kind not in "OUS":
            return None
        table = np.asarray(X, dtype=object)
    except ValueError:  # rows of different lengths, which is not about text
        return None
    if table.ndim != 2:
        return None
    texts = [(i, j) for i, row in enumerate(table) for j, entry in enumerate(row) if not _is_number(entry)]
    if not texts:
        return None
    i, j = texts[0]
    return (
        f"X holds entries that are not numbers: {reprlib.repr(table[i, j])} in row {i}, column {j}, and {len(texts)} "
        f"such {'entry' if len(texts) == 1 else 'entries'} in all. Usual causes: row names, categories, dates, a mark "
        "for missing values or a decimal comma. Leave such columns out, or turn them into numbers first."
    )


def _is_number(entry: Any) -> bool:
    """Tell whether NumPy reads the entry of an array of objects as a number; it reads None as NaN."""
    try:
        return entry is None or isinstance(float(entry), float)
    except (TypeError, ValueError, OverflowError):
        return False


def _memory_limit() -> float:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        total = 8 * 2**30
    return 0.5 * total


def check_dense_size(p: int, what: str, itemsize: int = 8) -> None:
    """Raise `DenseSizeError` when a p x p array needs more than half of the machine's memory."""
    need = float(p) * p * itemsize
    if need > _memory_limit():
        raise DenseSizeError(
            f"{what} would be a dense {p} x {p} array of {need / 2**30:.0f} GiB, more than half of this "
            "machine's memory. Distances, whitening and contributions do not need it: use "
            "`whitener_.sqnorm`, `whitener_.whiten` and `whitener_.precision_dot`."
        )


def readonly(X: np.ndarray) -> np.ndarray:
    """Return a read-only C-contiguous view, the one array type that kernels are compiled for."""
    view = np.require(X, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view
