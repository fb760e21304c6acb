"""What a sketched or a partly whitened scatter asks of the scatter inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import covariance as sk
from sklearn.pipeline import Pipeline

from .._maps import RandomMap
from .._typing import FloatArray
from ..whitener import Whitener
from ._facts import _SKLEARN_REGULARIZED
from ._sketch_costs import SketchCosts
from .fixed import FixedScatter


def check_scatter(scatter: Any, taker: str, place: str, refused: Mapping[str, str]) -> None:
    """Raise a TypeError for what a scatter around another one cannot hold: pipelines, classes, no scatters, some kinds.

    Parameters
    ----------
    scatter : object
        What was given.
    taker : str
        The class that wants a scatter.
    place : str
        How to write it behind a space, instead of around the pipeline.
    refused : mapping of str to str
        Kinds that it cannot hold, and what to say of each.
    """
    name = type(scatter).__name__
    if isinstance(scatter, type):
        raise TypeError(f"scatter must be an object, not a class: pass {scatter.__name__}().")
    if isinstance(scatter, Pipeline) or hasattr(scatter, "as_pipeline"):
        raise TypeError(
            f"{taker} takes a scatter, got {name}, which makes coordinates first. Put it behind the space: {place}."
        )
    kind = str(getattr(scatter, "scatter_kind", ""))
    if kind in refused:
        raise TypeError(f"{taker} takes a plain scatter, got {name}: {refused[kind]}")
    if not (hasattr(scatter, "get_precision") and hasattr(scatter, "fit")):
        raise TypeError(
            f"{taker} takes a scatter, with fit(), location_ and get_precision(), such as EmpiricalCovariance() or any "
            f"covariance estimator of scikit-learn; got {scatter!r}."
        )


def whitener_of(fitted: Any) -> Whitener:
    """Return the exact whitener of a fitted scatter; of a foreign one by its precision matrix, O(p^3)."""
    if not hasattr(fitted, "location_"):
        raise TypeError(f"{type(fitted).__name__} is no scatter: it has no location_ after its fit.")
    whitener = getattr(fitted, "whitener_", None)
    if not isinstance(whitener, Whitener):
        return Whitener.from_precision(fitted.get_precision())
    if whitener.kind == "sketched":
        raise TypeError(
            f"The whitener of {type(fitted).__name__} is a sketch already: pass the one that it was made from."
        )
    return whitener


def is_robust(scatter: Any) -> bool:
    """Whether some rows count for less than others in a scatter, fitted or not."""
    return isinstance(scatter, sk.MinCovDet) or bool(getattr(scatter, "robust", False))


def is_regularized(scatter: Any) -> bool:
    """Whether distances of a scatter, fitted or not, exist for more columns than rows."""
    return isinstance(scatter, _SKLEARN_REGULARIZED) or bool(getattr(scatter, "regularized", False))


def is_known(scatter: Any) -> bool:
    """Whether nothing in a scatter is estimated: location and covariance are given."""
    if not (isinstance(scatter, FixedScatter) and scatter.location_is_known):
        return False
    # Without a matrix the distances are Euclidean: the identity is a unit of measurement, not knowledge.
    given = (scatter.covariance, scatter.precision, scatter.factor, scatter.whitener)
    return any(matrix is not None for matrix in given)


def singular_values(drawn: RandomMap) -> FloatArray:
    """Return the singular values of a map, (k,), decreasing, through its k x k Gram matrix."""
    S = drawn.matrix()
    return np.sqrt(np.maximum(np.linalg.eigvalsh(S @ S.T)[::-1], 0.0))


def not_below_message(sketch: Any, k: int, rank: int, what: str) -> str:
    """Say why k coordinates are too many for a sketch, and what to do."""
    scatter = type(sketch.scatter).__name__
    if rank < 2:
        return (
            f"A sketch keeps fewer coordinates than {what} = {rank}, and there are none fewer. Usual causes: a single "
            f"row, rows that are all equal, a single column. Pass more rows, or use the {scatter} without Sketched."
        )
    whence = "n_components" if sketch.n_components is not None else "eps, delta and n_points ask for k"
    return (
        f"{whence} = {k} coordinates, not below {what} = {rank}: exact is cheaper. Use the {scatter} without Sketched, "
        'or fewer coordinates (a larger eps); n_components="auto" decides by itself.'
    )


def kept_message(exact: Whitener, n: int, k: int, costs: SketchCosts) -> str:
    """Say by which predicted costs the exact whitener is kept."""
    full = f"; only fewer coordinates than {exact.rank} can gain" if k >= exact.rank else ""
    return (
        f"Sketched: exact distances cost no more and are used. Predicted for {n} rows: exact {costs.exact:.3g} s, "
        f"sketched to k = {k} coordinates {costs.sketched:.3g} s (rank {exact.rank}, {exact.kind} whitener{full})."
    )
