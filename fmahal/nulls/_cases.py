"""For which fitted estimators the law of normal rows is known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils import get_tags

from ..scatter import FixedScatter, ScatterFacts, resolve
from ..scatter import facts as scatter_facts
from ..scatter._resolve import inner_of, is_sketch

Case: TypeAlias = Literal["sample", "known-location", "known-covariance", "known"]

# They only shift and scale columns, which changes no distance from the sample mean and covariance.
_AFFINE = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)


def exact_case(estimator: Any, facts: ScatterFacts) -> tuple[Case | None, str]:
    """Return the case in which the law of a fitted estimator is exact, or None and the reason why not."""
    space, scatter = resolve(estimator)
    case = _scatter_case(scatter, facts)
    if case is None:
        return None, _why_inexact(scatter, facts)
    if facts.effective_n_samples is not None:
        return None, (
            f"the rows of {type(scatter).__name__} have unequal weights, and the laws for equal ones do not hold"
        )
    step = _learning_step(space, affine=case == "sample")
    if step is not None:
        return None, (
            f"{type(step).__name__} learns from the rows that {type(scatter).__name__} is fitted to, so that "
            "its exact law does not hold"
        )
    return case, ""


def known_sketch(estimator: Any) -> Case | None:
    """Return "known" or "known-covariance" for a sketch of a given covariance, in front of which nothing learns."""
    space, scatter = resolve(estimator)
    inner = inner_of(scatter)
    if not is_sketch(scatter) or not isinstance(inner, FixedScatter) or not space_is_fixed(space):
        return None
    return _scatter_case(inner, scatter_facts(inner))


def weighted_case(estimator: Any, facts: ScatterFacts) -> bool:
    """Tell whether only the unequal weights of the rows keep the law of a fitted estimator from being exact."""
    sketch = is_sketch(resolve(estimator)[1])  # the facts may be those of the scatter under it
    if facts.effective_n_samples is None or sketch:
        return False
    return exact_case(estimator, replace(facts, effective_n_samples=None))[0] is not None


def space_keeps_law(space: Any) -> bool:
    """Tell whether the steps before an affine equivariant scatter leave the law of its distances as it is."""
    return _learning_step(space, affine=True) is None


def space_is_fixed(space: Any) -> bool:
    """Tell whether the steps before a scatter learn nothing from the rows."""
    return _learning_step(space, affine=False) is None


def space_keeps_robust_law(space: Any) -> bool:
    """Tell whether the steps before a robust scatter leave the law of its distances about as it is.

    So do robust principal directions: they do not adapt to the rows that are scored as much as the sample's own do.
    """
    return all(
        _is_fixed(step) or _is_affine(step) or getattr(step, "keeps_robust_law", False)
        for step in _flat(space)
    )


def _learning_step(space: Any, *, affine: bool) -> Any:
    """Return the first step that learns from the rows, other than by shifting and scaling if that is `affine`."""
    for step in _flat(space):
        if not (_is_fixed(step) or (affine and _is_affine(step))):
            return step
    return None


def _scatter_case(scatter: Any, facts: ScatterFacts) -> Case | None:
    if facts.kind == "empirical":
        return "known-location" if facts.assume_centered else "sample"
    if facts.kind == "spectral" and not facts.regularized:
        return "sample"
    if isinstance(scatter, FixedScatter) and _covariance_is_given(scatter):
        if scatter.location_is_known:
            return "known"
        return "known-covariance" if scatter.location == "mean" else None
    return None


def _covariance_is_given(scatter: FixedScatter) -> bool:
    # Without a matrix the distances are Euclidean: the identity is a unit of measurement, not knowledge.
    given = (scatter.covariance, scatter.precision, scatter.factor, scatter.whitener)
    return any(matrix is not None for matrix in given)


def _why_inexact(scatter: Any, facts: ScatterFacts) -> str:
    name, unknown = type(scatter).__name__, "the law of its distances is not known in closed form"
    if facts.kind == "sketched":
        return f"{name} measures by a random map from a location and covariance that were estimated, and {unknown}"
    if isinstance(scatter, FixedScatter):
        if not _covariance_is_given(scatter):
            return f"{name} measures Euclidean distances, whose law depends on a covariance that it was not given"
        return f"{name} estimates its location otherwise than by the mean, and {unknown}"
    if facts.kind == "spectral":
        return _why_filtered(scatter, name, unknown)
    if facts.robust:
        return (
            f"{name} lets the rows decide which of them count, and {unknown}; it flags too many rows when there "
            "are few rows for a column"
        )
    if facts.regularized:
        return (
            f"{name} shrinks the covariance, and {unknown}; the more it shrinks, the farther from chi-square"
        )
    return f"of {name}, {unknown}"


def _why_filtered(scatter: Any, name: str, unknown: str) -> str:
    if getattr(scatter, "filter", None) in ("truncate", "inverse"):
        return (
            f"{name} keeps the directions in which the rows vary most, which makes training rows nearer and new rows "
            f"farther than in fixed directions, and {unknown} (the Beta law of training rows is close, and the F law "
            "of new rows flags too few of them)"
        )
    return f"{name} weighs directions by a filter of estimated eigenvalues, and {unknown}"


def _flat(step: Any) -> Iterator[Any]:
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            yield from _flat(inner)
    elif step is not None:
        yield step


def _is_fixed(step: Any) -> bool:
    if isinstance(step, str) or getattr(step, "fixed_space", False):  # "passthrough"
        return True
    return not get_tags(step).requires_fit  # stateless: a FunctionTransformer, a Normalizer


def _is_affine(step: Any) -> bool:
    return isinstance(step, _AFFINE) and not getattr(step, "clip", False)
