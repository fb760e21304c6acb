"""Curves observed at points of their own: least-squares coefficients in a basis."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .._typing import FloatArray
from ._bases import domain_of, gram
from ._grids import EPS, SAME


def suited_basis(X: Any, basis: Any) -> Any:
    """Return the basis for irregular curves: on their domain if it has none, once for each component."""
    from skfda.representation.basis import VectorValuedBasis

    if not hasattr(basis, "n_basis"):
        raise ValueError(
            f"basis must be a basis of scikit-fda, such as BSplineBasis(n_basis=7), got {basis!r}."
        )
    if basis.dim_domain != X.dim_domain:
        raise ValueError(f"basis has {basis.dim_domain} argument(s), the curves have {X.dim_domain}.")
    if not basis.is_domain_range_fixed():
        basis = basis.rescale(X.domain_range)
    if basis.dim_codomain == 1 and X.dim_codomain > 1:
        basis = VectorValuedBasis([basis] * X.dim_codomain)
    if basis.dim_codomain != X.dim_codomain:
        raise ValueError(
            f"basis has {basis.dim_codomain} component(s), the curves have {X.dim_codomain}: pass a VectorValuedBasis "
            "of one basis for each component."
        )
    return basis


def smooth(X: Any, basis: Any) -> FloatArray:
    """Return the (n, m) least-squares coefficients of irregular curves; O(sum_i n_i m^2) time."""
    points, values = np.asarray(X.points, dtype=np.float64), np.asarray(X.values)
    if np.iscomplexobj(values) or values.dtype.kind not in "fiub":
        raise ValueError(f"X.values has dtype {values.dtype}: curves must be real numbers.")
    if points.shape[1] != basis.dim_domain:
        raise ValueError(f"The curves have {points.shape[1]} argument(s), the basis has {basis.dim_domain}.")
    bounds = np.append(np.asarray(X.start_indices), len(points))
    _check_points(points, values, bounds, basis)
    m, d = basis.n_basis, basis.dim_codomain
    lows, highs = np.array(domain_of(basis)).T
    design = np.asarray(basis(np.clip(points, lows, highs))).reshape(m, len(points), d)
    unit = np.sqrt(np.diagonal(gram(basis, (0,) * basis.dim_domain, np.ones(d), None)))
    unit = np.where(unit > 0, unit, 1.0)
    design = design / unit[:, None, None]
    coefficients = np.empty((len(X), m))
    for i, (start, stop) in enumerate(pairwise(bounds)):
        rows = design[:, start:stop].reshape(m, -1).T
        if len(rows) < m:
            raise ValueError(
                f"Curve {i} has {stop - start} observed point(s), too few for {m} basis functions. Use a basis of "
                "fewer functions or drop the curve; conditional expectation (PACE), which borrows from the other "
                "curves, is not available."
            )
        solution, _, rank, _ = np.linalg.lstsq(rows, values[start:stop].ravel(), rcond=len(rows) * 16 * EPS)
        if rank < m:
            raise ValueError(
                f"The {stop - start} observed points of curve {i} do not determine {m} basis functions: they leave a "
                "part of the domain empty or coincide. Use a basis of fewer functions or drop the curve."
            )
        coefficients[i] = solution / unit
    return coefficients


def _check_points(points: FloatArray, values: FloatArray, bounds: Any, basis: Any) -> None:
    """Raise for NaN, and for points outside the domain of the basis, naming curve and point."""
    for what, bad in (
        ("NaN or infinity as observation time", ~np.isfinite(points).all(axis=1)),
        ("NaN or infinity", ~np.isfinite(values).all(axis=1)),
    ):
        if bad.any():
            where = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"X contains {what} in curve {_curve(where, bounds)} at t = {_shown(points[where])}. Drop missing "
                "observations: irregular curves need none."
            )
    for axis, (a, b) in enumerate(domain_of(basis)):
        slack = SAME * (b - a) + 4 * EPS * max(abs(a), abs(b))
        outside = (points[:, axis] < a - slack) | (points[:, axis] > b + slack)
        if outside.any():
            where = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"Curve {_curve(where, bounds)} is observed at t = {_shown(points[where])}, outside the domain "
                f"[{a:.10g}, {b:.10g}] of the basis. Give the basis a domain_range that holds all curves, or restrict "
                "them to it."
            )


def _curve(position: int, bounds: Any) -> int:
    return int(np.searchsorted(bounds, position, side="right")) - 1


def _shown(point: FloatArray) -> str:
    return f"{point[0]:.10g}" if point.size == 1 else "(" + ", ".join(f"{t:.10g}" for t in point) + ")"
