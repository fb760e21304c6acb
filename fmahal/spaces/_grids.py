"""Grids of observation points: their checks, quadrature weights and difference operators.

A field of curves is an array of shape (n, T_1, ..., T_k, d). The derivative of order j along an axis is taken by j
rounds of difference quotients. After k rounds they are k! times the divided differences of k + 1 neighbouring points,
and live at the means of these: the next round divides by the distances of those means.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .._typing import ArrayLike, FloatArray

EPS = float(np.finfo(np.float64).eps)
SAME = 1e-6  # of a cell: points closer than that are the same observation point

Grid = tuple[FloatArray, ...]


def as_grid(grid_points: Any) -> Grid:
    """Return one float64 array of points for each argument of the curves."""
    axes = per_axis(grid_points)
    return tuple(_check_axis(axis, k, len(axes)) for k, axis in enumerate(axes))


def per_axis(value: Any) -> list[Any]:
    """Return what is given for each axis: one vector stands for one axis."""
    several = isinstance(value, tuple | list) or getattr(value, "dtype", None) == np.dtype(object)
    if several and len(value) and np.ndim(value[0]) > 0:
        return list(value)
    return [value]


def _check_axis(axis: Any, k: int, n_axes: int) -> FloatArray:
    name = "grid_points" if n_axes == 1 else f"grid_points[{k}]"
    if np.iscomplexobj(axis):
        raise ValueError(f"{name} is complex: the points at which curves are observed are real numbers.")
    try:
        points = np.array(axis, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an increasing vector of numbers, got {axis!r}.") from None
    if points.ndim != 1:
        raise ValueError(
            f"{name} must be an increasing vector, got shape {points.shape}. For surfaces pass a tuple of two vectors."
        )
    if points.size < 2:
        raise ValueError(
            f"{name} has {points.size} grid point(s) (n_features = {points.size}): a curve needs at least two. For "
            "plain numbers leave the space out and use a scatter on the rows."
        )
    if not np.isfinite(points).all():
        i = int(np.flatnonzero(~np.isfinite(points))[0])
        raise ValueError(f"{name} must be finite: point {i} is {points[i]}.")
    steps = np.diff(points)
    if not (steps > 0).all():
        i = int(np.flatnonzero(~(steps > 0))[0])
        raise ValueError(
            f"{name} must increase strictly: point {i + 1} is {points[i + 1]:.10g}, after {points[i]:.10g} at point "
            f"{i}. Usual causes: unsorted or duplicated observation times. Sort the points and the columns of the "
            "curves together, and merge duplicates."
        )
    return points


def cell_widths(points: FloatArray) -> FloatArray:
    """Trapezoid weights: half of the cells on both sides of each point; positive and reversal symmetric."""
    half = 0.5 * np.diff(points)
    weights = np.zeros(points.size)
    weights[:-1] += half
    weights[1:] += half
    return weights


def simpson_weights(points: FloatArray) -> FloatArray:
    """Composite Simpson weights as SciPy and scikit-fda use them; not always positive.

    With an even number of points the last cell is integrated by the parabola through the last three.
    """
    if points.size == 2:
        return cell_widths(points)
    h = np.diff(points)
    weights = np.zeros(points.size)
    pairs = 2 * ((points.size - 1) // 2)
    h0, h1 = h[0:pairs:2], h[1:pairs:2]
    both = h0 + h1
    weights[0:pairs:2] += both / 6 * (2 - h1 / h0)
    weights[1:pairs:2] += both**3 / (6 * h0 * h1)
    weights[2 : pairs + 1 : 2] += both / 6 * (2 - h0 / h1)
    if pairs < points.size - 1:
        a, b = h[-2], h[-1]
        weights[-1] += (2 * b**2 + 3 * a * b) / (6 * (a + b))
        weights[-2] += (b**2 + 3 * a * b) / (6 * a)
        weights[-3] -= b**3 / (6 * a * (a + b))
    return weights


def quadrature(rule: Any, grid: Grid) -> tuple[FloatArray, ...]:
    """Return positive quadrature weights for each axis, from a rule or from given weights."""
    if isinstance(rule, str):
        if rule not in ("trapezoid", "simpson"):
            raise ValueError(f'weights must be "trapezoid", "simpson" or positive numbers, got {rule!r}.')
        if rule == "trapezoid":
            return tuple(cell_widths(points) for points in grid)
        axes = tuple(simpson_weights(points) for points in grid)
        for k, w in enumerate(axes):
            if not (w > 0).all():
                i = int(np.flatnonzero(~(w > 0))[0])
                raise ValueError(
                    f'weights="simpson" gives point {i} of {_axis_name(k, grid)} the weight {w[i]:.3g} on this '
                    'unevenly spaced grid, which is no inner product. Use weights="trapezoid", positive on any grid.'
                )
        return axes
    given = per_axis(rule)
    if len(given) != len(grid):
        raise ValueError(f"weights must hold one array for each of {len(grid)} arguments, got {len(given)}.")
    return tuple(
        positive_array(w, (points.size,), f"weights of {_axis_name(k, grid)}")
        for k, (w, points) in enumerate(zip(given, grid, strict=True))
    )


def _axis_name(k: int, grid: Grid) -> str:
    return "the grid" if len(grid) == 1 else f"axis {k}"


def positive_array(values: ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    """Return finite positive float64 numbers of this shape."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"The {name} must be positive numbers, got {values!r}.") from None
    if array.shape != shape:
        raise ValueError(f"The {name} must have shape {shape}, got {array.shape}.")
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        at = where[0] if len(where) == 1 else where
        raise ValueError(f"The {name} must be positive and finite; position {at} holds {array[where]}.")
    return array


def outer(axes: tuple[FloatArray, ...]) -> FloatArray:
    """Tensor product of one vector for each axis."""
    result = axes[0]
    for axis in axes[1:]:
        result = np.multiply.outer(result, axis)
    return result


def domain_weights(weight: Any, grid: Grid, nodes: Grid, shape: tuple[int, ...]) -> FloatArray | None:
    """Return the domain weight at `nodes`, from a function or from values at the points of `grid`."""
    if weight is None:
        return None
    if callable(weight):
        mesh = np.meshgrid(*nodes, indexing="ij")
        found = np.broadcast_to(np.asarray(weight(*mesh), dtype=np.float64), mesh[0].shape)
        return positive_array(found, mesh[0].shape, "domain weight")
    values: Any = positive_array(weight, tuple(points.size for points in grid), "domain weight")
    for axis, times in enumerate(shape):
        for _ in range(times):
            values = 0.5 * (_part(values, axis, 1, None) + _part(values, axis, 0, -1))
    return np.asarray(values)


def _part(values: FloatArray, axis: int, start: int, stop: int | None) -> FloatArray:
    index = [slice(None)] * values.ndim
    index[axis] = slice(start, stop)
    return values[tuple(index)]


# -------------------------------------------------------------------- derivatives


class Stencil(NamedTuple):
    """Derivative of one order along one axis.

    Attributes
    ----------
    steps : list of ndarray
        Distances by which each round of differences is divided.
    nodes : ndarray
        Where the derivative lives.
    widths : ndarray
        The cells of the nodes; they cover the range of the grid.
    """

    steps: list[FloatArray]
    nodes: FloatArray
    widths: FloatArray


def stencil(points: FloatArray, order: int) -> Stencil:
    """Return the divided differences of an order on increasing points, times its factorial.

    Round r divides by a r-th of the distance between points r apart: the result is exact for polynomials of degree
    `order` on any grid (midpoints of midpoints would do for even ones alone). The cells lie between the means of
    neighbouring windows of `order` points; those at the ends reach to the ends of the grid, so that the widths sum to
    its range, and a constant derivative has its exact norm.
    """
    if order == 0:
        return Stencil([], points, cell_widths(points))
    steps: list[FloatArray] = []
    means = points
    for r in range(1, order + 1):
        if r > 1:  # of r neighbouring points, from those of r - 1
            means = means[:-1] + (points[r - 1 :] - means[:-1]) / r
        steps.append((points[r:] - points[:-r]) / r)
    edges = means.copy()
    edges[0], edges[-1] = points[0], points[-1]
    return Stencil(steps, means[:-1] + 0.5 * np.diff(means), np.diff(edges))


def multi_indices(order: int, n_axes: int) -> list[tuple[tuple[int, ...], float]]:
    """List the derivatives of total order `order` and how often each occurs in the tensor of all of them."""
    found = []
    for index in product(range(order + 1), repeat=n_axes):
        if sum(index) == order:
            times = math.factorial(order)
            for j in index:
                times //= math.factorial(j)
            found.append((index, float(times)))
    return found


def differentiate(values: FloatArray, stencils: list[Stencil]) -> FloatArray:
    """Difference quotients of (n, T_1, ..., T_k, d) values along all axes."""
    for axis, s in enumerate(stencils):
        for step in s.steps:
            shape = values.shape
            after = math.prod(shape[axis + 2 :])
            flat = values.reshape(-1, shape[axis + 1] * after)  # two long axes: NumPy is slow on short ones
            inverse = np.repeat(1.0 / step, after).astype(values.dtype)
            values = np.subtract(flat[:, after:], flat[:, :-after])
            values *= inverse
            values = values.reshape(*shape[: axis + 1], shape[axis + 1] - 1, *shape[axis + 2 :])
    return values


def share_out(parts: FloatArray, index: tuple[int, ...]) -> FloatArray:
    """Give half of what sits on a cell to each of its two ends, until it sits on the points of the grid."""
    for axis, times in enumerate(index):
        for _ in range(times):
            pad = [(0, 0)] * parts.ndim
            pad[axis + 1] = (0, 1)
            left = np.pad(parts, pad)
            pad[axis + 1] = (1, 0)
            parts = 0.5 * (left + np.pad(parts, pad))
    return parts


# -------------------------------------------------------------------- comparison


def check_same_grid(new: Grid, fitted: Grid, what: str = "the fit") -> None:
    """Raise a ValueError that names the first point in which two grids differ by more than a millionth of a cell."""
    if len(new) != len(fitted):
        raise ValueError(
            f"The curves have {len(new)} argument(s), those of {what} had {len(fitted)}: curves and "
            "surfaces do not mix."
        )
    for k, (a, b) in enumerate(zip(new, fitted, strict=True)):
        name = "grid_points" if len(fitted) == 1 else f"grid_points[{k}]"
        if a is b:
            continue
        if a.size != b.size:
            raise ValueError(
                f"{name} differs from that of {what}: {a.size} points now, {b.size} then. Bring the curves to one grid "
                "first, for example with X.to_grid(grid_points)."
            )
        tolerance = SAME * np.minimum(*_cells(b)) + 4 * EPS * np.abs(b).max()
        off = np.abs(a - b) > tolerance
        if off.any():
            i = int(np.flatnonzero(off)[0])
            raise ValueError(
                f"{name} differs from that of {what}, first at point {i}: {a[i]:.10g} now, {b[i]:.10g} then. "
                "Usual causes: other units of time or resampled curves. Bring the curves to one grid first, for "
                "example with X.to_grid(grid_points)."
            )


def _cells(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    steps = np.diff(points)
    return np.append(steps, steps[-1]), np.append(steps[0], steps)


def check_same_domain(new: Any, fitted: Any, what: str = "the fit") -> None:
    """Raise a ValueError when two domains differ by more than a millionth of their length."""
    for k, ((a, b), (c, d)) in enumerate(zip(new, fitted, strict=True)):
        tolerance = SAME * (d - c) + 4 * EPS * max(abs(c), abs(d))
        if abs(a - c) > tolerance or abs(b - d) > tolerance:
            name = "domain" if len(fitted) == 1 else f"domain of argument {k}"
            raise ValueError(
                f"The {name} of the curves is [{a:.10g}, {b:.10g}]; {what} saw [{c:.10g}, {d:.10g}]. Restrict or "
                "rescale the curves to one domain first."
            )
