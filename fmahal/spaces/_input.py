"""Curves at the door: what they are, on which grid or basis, and the errors that say what is wrong with them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._typing import FloatArray
from ._fdata import fdata_kind
from ._grids import Grid, as_grid

_LABELS = ("dataset_name", "argument_names", "coordinate_names", "extrapolation")


class Curves(NamedTuple):
    """Curves as read.

    Attributes
    ----------
    kind : {"array", "grid", "basis", "irregular"}
        What they came as.
    values : ndarray
        Values (n, T_1, ..., T_k, d), or coefficients (n, n_basis).
    grid : tuple of ndarray, or None
        Where the values were observed.
    domain : tuple of pairs
        The domain of each argument.
    d : int
        Components.
    basis : object
        The basis of the coefficients, or None.
    labels : dict
        What `inverse_transform` gives back besides values.
    squeeze : bool
        Whether an array came without an axis of components.
    """

    kind: str
    values: Any
    grid: Grid | None
    domain: tuple[tuple[float, float], ...]
    d: int
    basis: Any = None
    labels: dict[str, Any] = {}  # noqa: RUF012  never written to
    squeeze: bool = False


def read_fdata(X: Any, basis: Any, known: Grid | None = None) -> Curves:
    """Read an object of scikit-fda; irregular curves keep their raw observations as `values`.

    A grid that equals `known`, that of the fit, is not looked at again: that one is returned, and no labels.
    """
    kind = fdata_kind(X)
    if kind not in ("grid", "basis", "irregular"):
        raise TypeError(
            f"X is a {type(X).__name__}: convert it to FDataGrid, FDataBasis or FDataIrregular first."
        )
    labels = {name: getattr(X, name, None) for name in _LABELS} if known is None else {}
    if len(X) == 0:
        raise ValueError("X holds no curves: 0 sample(s) given, at least 1 is needed.")
    domain = tuple((float(a), float(b)) for a, b in X.domain_range)
    if kind == "grid":
        refuse_basis(basis, "an FDataGrid")
        values = real_values(X.data_matrix, "X.data_matrix")
        if known is None:
            labels["interpolation"] = X.interpolation
        grid = known if known and _equal(X.grid_points, known) else as_grid(tuple(X.grid_points))
        return Curves(kind, values, grid, domain, values.shape[-1], None, labels)
    if kind == "basis":
        if basis is not None and basis != X.basis:
            raise ValueError(
                f"basis={basis!r} is not the basis of X, {X.basis!r}. Leave basis= out, or convert the curves with "
                "X.to_basis(basis) first."
            )
        values = real_values(X.coefficients, "X.coefficients")
        return Curves(kind, values, None, domain, int(X.dim_codomain), X.basis, labels)
    if basis is None:
        raise ValueError(
            "X is an FDataIrregular, curves observed at points of their own: give the space a basis to smooth them in, "
            "for example L2Space(basis=BSplineBasis(domain_range=X.domain_range, n_basis=7)). Scores by conditional "
            "expectation (PACE), for curves with fewer points than basis functions, are not available."
        )
    return Curves(kind, X, None, domain, int(X.dim_codomain), basis, labels)


def _equal(points: Any, known: Grid) -> bool:
    return len(points) == len(known) and all(np.array_equal(a, b) for a, b in zip(points, known, strict=True))


def refuse_basis(basis: Any, what: str) -> None:
    """Raise when a basis is given for curves that are observed on one grid."""
    if basis is not None:
        raise ValueError(
            f"basis= smooths irregularly observed curves, and X is {what} on one grid. Leave basis= out, or smooth the "
            "curves with X.to_basis(basis) first, in a pipeline for example."
        )


def real_values(values: Any, name: str) -> FloatArray:
    """Return real float32 or float64 values; integers become float64."""
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise ValueError(
            f"Complex data not supported: {name} is complex. Pass real and imaginary part as components."
        )
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise ValueError(not_numbers(name, array.dtype))
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float64)


def not_numbers(name: str, dtype: Any) -> str:
    """Return what to say of curves that are not numbers."""
    return (
        f"{name} has dtype {dtype}: curves must be numbers. Usual causes: text, dates or curves of different lengths "
        "in one array; an FDataIrregular holds those."
    )


def about_curves(error: ValueError, X: Any) -> ValueError:
    """Return an error of scikit-learn about an array as one about curves."""
    text = str(error)
    if np.dtype(object) == getattr(X, "dtype", None) or "could not convert" in text:
        return ValueError(not_numbers("X", getattr(X, "dtype", type(X).__name__)))
    if "Expected 2D array, got 1D array" in text:
        return ValueError(
            f"Expected 2D array, got 1D array: X is one curve of {np.size(X)} points, and a sample of curves has shape "
            "(n, T). Reshape your data: X[None], or x[[i]] in place of x[i]."
        )
    if "features, but" in text:
        return ValueError(f"{text} Curves need the points of those in fit: interpolate them to that grid.")
    return error


def shape_rows(values: FloatArray, grid_points: Any, known: Grid | None = None) -> tuple[FloatArray, Grid]:
    """Give an array of curves the shape (n, T_1, ..., T_k, d), with its grid: `known`, if that was checked before."""
    if known is not None:
        grid = known
    elif grid_points is None:
        if values.ndim not in (2, 3):
            raise ValueError(
                f"X must be (n, T) or (n, T, d), got shape {values.shape}. For surfaces pass grid_points=(u, v)."
            )
        T = values.shape[1]
        if T < 2:
            as_grid(np.zeros(T))
        grid = (np.linspace(0.0, 1.0, T),)
    else:
        grid = as_grid(grid_points)
    wanted = tuple(points.size for points in grid)
    if values.ndim == len(wanted) + 1:
        values = values[..., None]
    if values.ndim != len(wanted) + 2 or values.shape[1:-1] != wanted or values.shape[-1] == 0:
        sizes = ", ".join(str(size) for size in wanted)
        shape = values.shape[:-1] if values.shape[-1] == 1 else values.shape
        if len(wanted) == 1 and len(shape) == 3 and shape[0] == 1 and shape[2] == wanted[0]:
            raise ValueError(
                f"X has shape {shape[1:]}, read as one curve of {shape[1]} points and {shape[2]} components. If it is "
                f"{shape[1]} curves of {shape[2]} points, it lacks the axis of components that the curves in fit have: "
                f"(n, {sizes}, d)."
            )
        raise ValueError(
            f"X has shape {shape}, and grid_points asks for (n, {sizes}) or (n, {sizes}, d): one column for each grid "
            "point."
        )
    return values, grid


def check_values(curves: Curves) -> None:
    """Raise a ValueError that names curve and point of the first NaN or infinite values."""
    values = curves.values
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(np.sum(values, dtype=np.float64)):  # no NaN can hide in a finite sum
            return
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    what = "NaN" if np.isnan(values[first]) else "infinity"
    count = int(np.sum(bad.reshape(len(values), -1).any(axis=1)))
    if curves.grid is None:
        where = f"coefficient {first[1]}"
        cure = "Fit the basis again without the missing values."
    else:
        at = [points[i] for points, i in zip(curves.grid, first[1:-1], strict=True)]
        where = f"t = {at[0]:.10g}" if len(at) == 1 else "t = (" + ", ".join(f"{t:.10g}" for t in at) + ")"
        where += f", component {first[-1]}" if curves.d > 1 else ""
        cure = (
            "Usual causes: missing measurements, curves of different lengths. Interpolate them, drop those curves, or "
            "hold them as FDataIrregular with L2Space(basis=...); nothing is filled silently."
        )
    raise ValueError(
        f"X contains {what} in curve {first[0]} at {where}; {count} curve(s) hold NaN or infinity. {cure}"
    )
