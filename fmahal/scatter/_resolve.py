"""Take a pipeline apart into the space it maps to and the scatter in it."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline


def as_pipeline(estimator: Any) -> Any:
    """Return the pipeline that a named shortcut stands for, and anything else as it is."""
    if hasattr(estimator, "as_pipeline") and not isinstance(estimator, type):
        return estimator.as_pipeline()
    return estimator


def is_sketch(scatter: Any) -> bool:
    """Tell whether a scatter measures by a random map of whitened rows; one that kept the exact distance does not."""
    kind = getattr(scatter, "scatter_kind", None)
    return kind == "sketched" and bool(getattr(scatter, "is_sketched_", True))


def inner_of(scatter: Any) -> Any:
    """Return the scatter under a sketch, fitted if the sketch is, and any other scatter as it is."""
    if getattr(scatter, "scatter_kind", None) != "sketched":
        return scatter
    return scatter.scatter_ if hasattr(scatter, "scatter_") else scatter.scatter


def _flat(steps: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the steps with those of inner pipelines in place of these."""
    found: list[tuple[str, Any]] = []
    for name, step in steps:
        found += _flat(step.steps) if isinstance(step, Pipeline) else [(name, step)]
    return found


def resolve(estimator: Any) -> tuple[Pipeline | None, Any]:
    """Return the transformers before the scatter, and the scatter.

    Parameters
    ----------
    estimator : scatter or Pipeline
        A scatter estimator, ours or scikit-learn's, a pipeline that ends in one, or an object with `as_pipeline`, a
        named shortcut for one; fitted or not. An unfitted shortcut makes a new pipeline at each call.

    Returns
    -------
    space : Pipeline or None
        All steps but the last, which share their fitted objects with `estimator`; None when there are none.
    scatter : object
        The last step; of a fitted sketch that kept the exact distance, the scatter that it would have sketched.

    Raises
    ------
    TypeError
        When the last step is no scatter: it has no `get_precision`.

    Notes
    -----
    O(1): nothing is copied or fitted. Nested pipelines are flattened, those among the transformers too.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fmahal.scatter import EmpiricalCovariance, resolve
    >>> space, scatter = resolve(make_pipeline(StandardScaler(), EmpiricalCovariance()))
    >>> [name for name, _ in space.steps], scatter
    (['standardscaler'], EmpiricalCovariance())
    """
    steps: list[tuple[str, Any]] = []
    scatter = estimator
    while True:
        scatter = as_pipeline(scatter)
        if not isinstance(scatter, Pipeline):
            break
        steps += _flat(scatter.steps[:-1])
        scatter = scatter.steps[-1][1]
    if not hasattr(scatter, "get_precision"):
        where = "The last step of the pipeline" if isinstance(estimator, Pipeline) else "The estimator"
        raise TypeError(
            f"{where} must be a scatter, with location_ and get_precision(), such as EmpiricalCovariance or any "
            f"covariance estimator of scikit-learn; got {scatter!r}."
        )
    if getattr(scatter, "is_sketched_", True) is False:
        scatter = scatter.scatter_  # a sketch that did not pay: whatever holds for the exact scatter holds
    if not steps:
        return None, scatter
    names = [name for name, _ in steps]
    if len(set(names)) < len(names):  # two nested pipelines may use one name
        steps = [(f"{name}-{k}", step) for k, (name, step) in enumerate(steps)]
    return Pipeline(steps), scatter
