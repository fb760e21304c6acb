"""What the simulators share: argument checks and the form of the result."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import ArrayLike, FloatArray
from .._validation import as_vector
from ._bunch import make_bunch

if TYPE_CHECKING:
    from sklearn.utils import Bunch


def check_count(value: Any, name: str) -> int:
    """Return a positive integer."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a positive integer, got {value!r}.") from None
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    return number


def check_real(value: Any, name: str) -> float:
    """Return a finite float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {value!r}.") from None
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}.")
    return number


def check_positive(value: Any, name: str) -> float:
    """Return a positive finite float."""
    number = check_real(value, name)
    if number <= 0:
        raise ValueError(f"{name} must be positive, got {value!r}.")
    return number


def check_choice(value: Any, name: str, options: dict[str, Any]) -> Any:
    """Return the option called `value`."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}.")
    return options[value]


def check_location(location: float | ArrayLike, p: int, name: str = "location") -> FloatArray:
    """Return a vector of length p from a number or a vector."""
    if np.ndim(location) == 0:
        location = np.full(p, location)
    return as_vector(location, name, p)


def simulated(X: FloatArray, *, model: str, name: str, **fields: Any) -> Bunch:
    """Return simulated rows with every field of a data set and further `fields`."""
    return make_bunch(
        X,
        [f"x{j}" for j in range(1, X.shape[1] + 1)],
        name=name,
        DESCR=f"{model}.\n",
        source=f"Simulated by fmahal.datasets: {model}",
        licence="Simulated; no licence needed",
        **fields,
    )
