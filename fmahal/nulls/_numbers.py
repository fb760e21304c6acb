"""Checks of the numbers that null laws are given: their messages name the argument."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_numbers(values: Any, name: str) -> NDArray[np.float64]:
    """Return a new float64 array of `values`; refuse masked entries, complex numbers, None and text."""
    if np.ma.isMaskedArray(values):
        raise ValueError(
            f"{name} is a masked array, and masked entries would be taken for numbers. Pass those that are not masked, "
            f"{name}.compressed()."
        )
    array = np.asarray(values)
    try:
        if array.dtype.kind not in "biufO" or (
            array.dtype.kind == "O" and any(v is None for v in array.flat)
        ):
            raise TypeError  # NumPy makes NaN of None
        return np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be real numbers, got {values!r:.60}.") from None


def checked_level(level: Any) -> float:
    """Return a level as a float strictly between 0 and 1."""
    if isinstance(level, bool | np.bool_) or not isinstance(level, Real) or not 0 < float(level) < 1:
        raise ValueError(
            f"The level must be a number strictly between 0 and 1, got {level!r}. It is the share of clean rows "
            "that may be called outlying, for example 0.01."
        )
    return float(level)
