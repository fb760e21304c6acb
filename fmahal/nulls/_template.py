"""Unfitted copies for refits, with every random map of a sketch, and every power that was chosen, held fixed."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..scatter._resolve import as_pipeline, is_sketch


def template(estimator: Any, *, choices: bool = True) -> Any:
    """Return an unfitted copy of an estimator whose fits draw the same random maps as the estimator did.

    The law of sketched distances is one given the map S, as every distance that it is to judge was taken by that S.
    Refits by other maps would mix their laws.

    Parameters
    ----------
    estimator : scatter or Pipeline that ends in one
        Fitted, or not: then it has no map yet, and this is `sklearn.base.clone`.
    choices : bool, default=True
        Whether powers that were chosen from the rows are held fixed too. Not where rows are left out to be judged: the
        choice has seen them, as a random map has not.

    Returns
    -------
    copy : scatter or Pipeline
        A clone. A fitted sketch in it has the seed and the number of rows of its map as parameters; one that kept the
        exact distance is replaced by the scatter that it would have sketched, since fewer rows might decide otherwise.
        A fitted `PartialWhitening` has the power that it found.

    Notes
    -----
    Steps of pipelines are looked at, nested ones too. O(1) but for what `clone` copies.
    """
    if not any(_has_map(step) or _has_choice(step) for step in _steps(estimator)):
        return clone(estimator)
    return _pinned(estimator, choices)


def _steps(estimator: Any) -> Iterator[Any]:
    estimator = as_pipeline(estimator)
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _steps(step)
    else:
        yield estimator


def _has_map(step: Any) -> bool:
    return getattr(step, "scatter_kind", None) == "sketched" and hasattr(step, "is_sketched_")


def _has_choice(step: Any) -> bool:
    """Whether distances of other fits would have another scale, because these choose anew (`PartialWhitening`)."""
    return hasattr(step, "_pinned_params") and hasattr(step, "whitener_")


def _pinned(estimator: Any, choices: bool) -> Any:
    estimator = as_pipeline(estimator)
    if choices and _has_choice(estimator):
        return clone(estimator).set_params(**estimator._pinned_params())
    if isinstance(estimator, Pipeline):
        copy = clone(estimator)
        copy.steps = [(name, _pinned(step, choices)) for name, step in estimator.steps]
        return copy
    if not _has_map(estimator):
        return clone(estimator, safe=False)  # "passthrough" is a step too
    if not is_sketch(estimator):
        return _pinned(estimator.scatter_, choices)
    copy = clone(estimator).set_params(random_state=int(estimator.seed_))
    if choices and _has_choice(estimator.scatter_):
        copy.set_params(scatter=_pinned(estimator.scatter_, choices))
    if not isinstance(copy.n_components, Integral):  # found by a rule, which may know the number of rows
        copy.set_params(n_components=int(estimator.n_components_), eps=None)
    return copy
