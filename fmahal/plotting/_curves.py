"""Curves as arrays to draw, and what a fitted detector of curves says along their domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from .._typing import FloatArray

_BANDS = 3  # curves whose contributions are drawn
_DRAWN_POINTS = 301  # of a curve that is given by a basis
_HALF = 0.5  # of a squared distance: the share that the main part of the domain holds
_MOST_POINTS = 2000  # beyond it neighbouring points are joined before all intervals are looked at


@dataclass(frozen=True)
class Curves:
    """Curves on one grid, as arrays.

    Attributes
    ----------
    values : ndarray of shape (n, T, d)
        n curves, T points, d components.
    grid : ndarray of shape (T,)
        Increasing.
    names : list of str or None
        Names of the curves, where their object has any.
    argument : str
        Name of the domain.
    components : list of str
        Names of the d components, empty texts where there are none.
    """

    values: FloatArray
    grid: FloatArray
    names: list[str] | None
    argument: str
    components: list[str]


def as_curves(
    X: Any, grid_points: Any = None, space: Any = None, component_names: Sequence[str] | None = None
) -> Curves:
    """Return curves as arrays.

    Parameters
    ----------
    X : array-like of shape (n, T) or (n, T, d), FDataGrid, FDataBasis or FDataIrregular
        The curves. Irregular ones are drawn as the `space` smooths them.
    grid_points : array-like of shape (T,), default=None
        Grid of arrays; None takes that of the `space`, else T points from 0 to 1 at equal steps.
    space : transformer, default=None
        Fitted space of curves, the first step of their pipeline.
    component_names : sequence of str, default=None
        Names of the components instead of those that `X` knows.

    Raises
    ------
    ValueError
        Surfaces, grids that do not fit, NaN.
    """
    from ..spaces._fdata import fdata_kind

    kind = fdata_kind(X)
    if kind == "irregular":
        X = _smoothed(X, space)
        kind = fdata_kind(X)
    if kind in ("grid", "basis"):
        return _named(_from_fdata(X, kind, grid_points), component_names)
    names = None
    if hasattr(X, "iloc"):
        names = [str(name) for name in X.index]
    values = np.asarray(X, dtype=float)
    if values.ndim == 4:
        raise ValueError(_surfaces(values.shape[:3]))
    if values.ndim not in (2, 3):
        raise ValueError(
            f"Curves are an array of shape (n, T) or (n, T, d), one row a curve; got shape {values.shape}."
        )
    values = values.reshape(*values.shape[:2], -1)
    grid = _grid_of(grid_points, space, values.shape)
    return _named(
        _checked(Curves(values, grid, names, "t", _component_names(None, values.shape[2]))), component_names
    )


def _named(curves: Curves, names: Sequence[str] | None) -> Curves:
    if names is None:
        return curves
    if len(names) != curves.values.shape[2]:
        raise ValueError(f"component_names has {len(names)} entries for {curves.values.shape[2]} components.")
    return replace(curves, components=[str(name) for name in names])


def _surfaces(shape: Sequence[int]) -> str:
    return (
        f"These are surfaces, of shape {tuple(shape)}: a display draws curves, functions of one argument. Draw the "
        "density of functional_contributions(estimator, X) of one surface as an image instead."
    )


def _smoothed(X: Any, space: Any) -> Any:
    if space is None or not hasattr(space, "inverse_transform"):
        raise ValueError(
            "Irregular curves have no common grid to be drawn on. Pass them through a space with a basis, "
            "L2Space(basis=...), or turn them into an FDataBasis first."
        )
    return space.inverse_transform(space.transform(X))


def _from_fdata(X: Any, kind: str, grid_points: Any) -> Curves:
    if X.dim_domain != 1:
        raise ValueError(_surfaces((X.n_samples, X.dim_domain)))
    if kind == "basis" or grid_points is not None:
        low, high = X.domain_range[0]
        grid = np.linspace(low, high, _DRAWN_POINTS) if grid_points is None else np.ravel(grid_points)
        values = np.asarray(X(grid), dtype=float)
    else:
        grid, values = X.grid_points[0], np.asarray(X.data_matrix, dtype=float)
    names = [str(name) for name in X.sample_names] if all(X.sample_names) else None
    argument = X.argument_names[0] or "t"
    values = values.reshape(X.n_samples, np.size(grid), -1)
    components = _component_names(X.coordinate_names, values.shape[2])
    return _checked(Curves(values, np.asarray(grid, dtype=float), names, str(argument), components))


def _component_names(given: Any, d: int) -> list[str]:
    names = [str(name) if name else "" for name in (given or ())]
    if len(names) != d or (d > 1 and not all(names)):
        names = [""] if d == 1 else [f"component {k + 1}" for k in range(d)]
    return names


def _grid_of(grid_points: Any, space: Any, shape: Sequence[int]) -> FloatArray:
    if grid_points is None:
        own = getattr(space, "grid_points_", None)
        if own is not None and len(own) == 1 and np.size(own[0]) == shape[1]:
            return np.asarray(own[0], dtype=float)
        return np.linspace(0.0, 1.0, shape[1])
    grid = np.asarray(grid_points, dtype=float)
    grid = grid.reshape(-1) if grid.ndim == 2 and 1 in grid.shape else grid
    if grid.shape != (shape[1],):
        raise ValueError(
            f"grid_points has shape {grid.shape} for curves of {shape[1]} points: give one number a point."
        )
    return grid


def _checked(curves: Curves) -> Curves:
    grid, values = curves.grid, curves.values
    if grid.size < 2:
        raise ValueError("A curve needs at least two points to be drawn, got one.")
    if not np.all(np.diff(grid) > 0):
        k = int(np.flatnonzero(~(np.diff(grid) > 0))[0])
        raise ValueError(f"grid_points must increase; point {k + 1} is {grid[k + 1]:g} after {grid[k]:g}.")
    if not np.isfinite(values).all():
        i, k, _ = (int(j[0]) for j in np.nonzero(~np.isfinite(values)))
        raise ValueError(f"Curve {i} has {values[i, k].tolist()} at t = {grid[k]:g}: NaN cannot be drawn.")
    return curves


def curve_space(estimator: Any) -> Any:
    """Return the fitted space of curves of an estimator, its first step that splits contributions; else None."""
    from ..scatter import resolve

    space, _ = resolve(estimator)
    steps = [] if space is None else [step for _, step in space.steps]
    return next((step for step in steps if hasattr(step, "split_contributions")), None)


def centre_curve(estimator: Any, points: Any) -> FloatArray | None:
    """Return the fitted centre on a grid, (T, d); None where the steps before the scatter cannot go back."""
    from ..scatter import resolve

    space, scatter = resolve(estimator)
    return None if space is None else to_curves(space.steps, np.asarray(scatter.location_)[None], points)


def to_curves(steps: Sequence[tuple[str, Any]], Z: FloatArray, points: Any) -> Any:
    """Return coordinates as curves on the grid `points`, taken back through the fitted `steps`; None if one cannot."""
    for _, step in reversed(steps):
        if not hasattr(step, "inverse_transform"):
            return None
        Z = step.inverse_transform(Z)
    drawn = as_curves(Z, points if not isinstance(Z, np.ndarray) else None, steps[0][1])
    if drawn.grid.size != np.size(points):
        return None
    return drawn.values if len(drawn.values) > 1 else drawn.values[0]


def names_of(space: Any, d: int) -> tuple[str, list[str]]:
    """Return the name of the domain and of the d components, as far as the space has kept them."""
    labels = getattr(space, "_labels", None) or {}
    arguments = labels.get("argument_names") or ("t",)
    return str(arguments[0] or "t"), _component_names(labels.get("coordinate_names"), d)


@dataclass(frozen=True)
class AlongTime:
    """Contributions of curves along their domain.

    Attributes
    ----------
    grid : ndarray of shape (T,)
    density : ndarray of shape (k, T, d)
        Squared distance per unit of the domain.
    weights : ndarray of shape (T,) or None
        Quadrature weights: the weighted sum over points and components is the squared distance.
    """

    grid: FloatArray
    density: FloatArray
    weights: Any

    @property
    def parts(self) -> FloatArray:
        """Contribution of each point, (k, T), all components together."""
        return np.asarray(np.einsum("ktd,t->kt", self.density, self.weights))


def along_time(detector: Any, X: Any, d2: FloatArray | None = None) -> AlongTime:
    """Return the contributions of curves along time, scaled to add up to `d2` where that leaves the curve out.

    Parameters
    ----------
    detector : MahalanobisDetector
        Fitted to curves.
    X : curves
        k of them.
    d2 : ndarray of shape (k,), default=None
        Their entries of ``detector.d2_`` when they are training curves.
    """
    from ..inference import functional_contributions
    from ._rows import leaves_one_out

    split = functional_contributions(detector, X)
    grid = split.grid_points[0] if isinstance(split.grid_points, tuple) else split.grid_points
    density = np.asarray(split.density, dtype=float)
    if density.ndim != 3:
        raise ValueError(_surfaces(density.shape[:-1]))
    weights = np.asarray(split.weights, dtype=float).reshape(-1)
    found = AlongTime(np.asarray(grid, dtype=float), density, weights)
    if d2 is None or not leaves_one_out(detector.null_):
        return found
    total = found.parts.sum(axis=1)
    ratio = np.divide(d2, total, out=np.ones_like(total), where=(total > 0) & np.isfinite(d2))
    return AlongTime(found.grid, density * ratio[:, None, None], weights)


@dataclass(frozen=True)
class MainPart:
    """The shortest stretch of the domain with half of a squared distance: its first and last point, its share."""

    first: int
    last: int
    share: float


def main_part(parts: FloatArray) -> MainPart | None:
    """Return the shortest run of points with half of the sum of all contributions; None for a curve at the centre.

    Parameters
    ----------
    parts : ndarray of shape (T,)
        Contribution of each point; some may be negative.

    Notes
    -----
    O(T^2) time and O(T) memory. Of runs with one length the one with the largest sum counts.
    """
    total = float(parts.sum())
    if not total > 0:
        return None
    step = -(-parts.size // _MOST_POINTS)
    starts = np.arange(0, parts.size, step)
    sums = np.concatenate([[0.0], np.cumsum(np.add.reduceat(parts, starts))])
    for length in range(1, starts.size + 1):
        run = sums[length:] - sums[:-length]
        k = int(np.argmax(run))
        if run[k] >= _HALF * total:
            last = min((k + length) * step, parts.size) - 1
            return MainPart(int(starts[k]), last, float(run[k]) / total)
    return MainPart(0, parts.size - 1, 1.0)


def stretch(part: MainPart | None, grid: FloatArray, labels: Sequence[str] | None = None) -> str:
    """Return the main part in words: "Aug to Dec", "0.2 to 0.35"."""
    if part is None:
        return ""
    names = labels if labels is not None else number_labels(grid)
    first, last = names[part.first], names[part.last]
    return str(first) if part.first == part.last else f"{first} to {last}"


def number_labels(grid: FloatArray) -> list[str]:
    """Return grid points as text, with as many digits as neighbours need to differ."""
    for digits in range(3, 17):
        texts = [f"{value:.{digits}g}" for value in grid]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(float(value)) for value in grid]


def taken(X: Any, rows: np.ndarray) -> Any:
    """Return some of the curves, in their own kind of object."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return X[rows] if hasattr(X, "dim_domain") or isinstance(X, np.ndarray) else np.asarray(X)[rows]


def given_split(contributions: Any, rows: Sequence[int], drawn: Curves) -> AlongTime | None:
    """Return contributions that a caller gives, checked; None for none."""
    if contributions is None:
        return None
    grid, weights = drawn.grid, None
    if hasattr(contributions, "density"):
        points, weights = contributions.grid_points, np.ravel(contributions.weights)
        grid = np.ravel(points[0] if isinstance(points, tuple) else points)
        contributions = contributions.density
    density = np.asarray(contributions, dtype=float)
    density = density.reshape(*density.shape[:2], -1) if density.ndim > 1 else density[None, :, None]
    expected = (len(rows), grid.size, drawn.values.shape[2])
    if density.shape != expected:
        raise ValueError(
            f"contributions has shape {density.shape}, expected {expected}: one curve a row of contribution_rows, one "
            "number a grid point and component."
        )
    if any(not 0 <= int(i) < len(drawn.values) for i in rows):
        raise ValueError(f"contribution_rows must be positions of curves, 0 to {len(drawn.values) - 1}.")
    return AlongTime(grid, density, weights)


def chosen_rows(curve: int | None, d2: FloatArray, flagged: np.ndarray, n: int) -> np.ndarray:
    """Return the curves whose contributions are drawn."""
    if curve is None:
        return np.flatnonzero(flagged)[np.argsort(-d2[flagged], kind="stable")][:_BANDS]
    if isinstance(curve, bool | np.bool_) or not isinstance(curve, Integral):
        raise TypeError(f"curve must be a whole number, the position of one curve of X, got {curve!r}.")
    if not -n <= curve < n:
        raise ValueError(f"There is no curve {curve}: X has {n} curves, 0 to {n - 1}.")
    return np.array([curve % n])
