"""Checks of what a caller of a display passes: the message names the argument and what to give instead."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from .._typing import FloatArray


def whole(name: str, value: Any, least: int, remedy: str) -> int:
    """Return a whole number of at least `least`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}. {remedy}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}. {remedy}")
    return int(value)


def positive(name: str, value: Any, remedy: str) -> float:
    """Return a finite number above zero."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}. {remedy}")
    if not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be positive and finite, got {value!r}. {remedy}")
    return float(value)


def numbers(
    name: str, values: Any, shape: tuple[int, ...], remedy: str, *, infinite: bool = False
) -> FloatArray:
    """Return an array of this shape without NaN, and without infinity unless `infinite`."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers of shape {shape}, got {values!r}. {remedy}") from None
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}. {remedy}")
    bad = np.isnan(array) if infinite else ~np.isfinite(array)
    if bad.any():
        k = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name} has {array[k]} at position {k[0] if len(k) == 1 else k}. {remedy}")
    return array


def mean_of(values: Any, points: int, components: int) -> FloatArray:
    """Return a centre as (T, d); (T,) is one component."""
    flat = components == 1 and np.ndim(values) == 1
    shape = (points,) if flat else (points, components)
    mean = numbers(
        "mean", values, shape, "Give one finite number for each grid point and component of the curves."
    )
    return mean.reshape(points, components)


def judged(pvalues: Any, flagged: Any, alpha: Any, d2: Any, n: int) -> dict[str, Any]:
    """Return what a caller says about n curves, checked, by name."""
    from ..models._steps import check_alpha

    values = np.asarray(pvalues, dtype=float)
    if values.shape != (n,) or not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"pvalues must be {n} numbers between 0 and 1, one a curve.")
    if flagged is None and alpha is None:
        raise ValueError("Pass alpha, the level, or flagged, a mask of the outliers.")
    level = None if alpha is None else check_alpha(alpha)
    flags = values <= level if flagged is None else np.asarray(flagged, dtype=bool)
    if flags.shape != (n,):
        raise ValueError(f"flagged has shape {flags.shape} for {n} curves.")
    if d2 is not None:
        d2 = numbers("d2", d2, (n,), "Give one squared distance for each curve.", infinite=True)
    return {"pvalues": values, "flagged": flags, "alpha": level, "d2": d2}
