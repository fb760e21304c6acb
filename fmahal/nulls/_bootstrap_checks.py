"""What a bootstrap checks of its parameters and of a level."""

from __future__ import annotations

import re
from numbers import Integral, Real
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..exceptions import CalibrationWarning, RankDeficientError
from ..scatter import ScatterFacts
from .base import warn_caller

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_RARE = 0.25  # of 1 / (n + 1)


def too_rare(level: float, n: int) -> bool:
    """Tell whether resamples of n rows say nothing of a level: the largest of them is reached once in n + 1 rows."""
    return level * (n + 1) < _RARE


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if not isinstance(value, str | None) or value not in allowed:  # an array has no truth value
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def check_numbers(n_resamples: Any, holdout: Any, n_jobs: Any, callback: Any) -> None:
    B, h = n_resamples, holdout
    if isinstance(B, bool) or not isinstance(B, int | np.integer) or B < 1:
        raise ValueError(f"n_resamples must be a whole number of at least 1, got {B!r}; 999 is usual.")
    if h is not None and (isinstance(h, bool) or not isinstance(h, Real) or not 0 < float(h) <= 0.5):
        raise ValueError(f"holdout must be a share of the rows above 0 and at most 0.5, or None, got {h!r}.")
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(f"n_jobs must be a number of processes, -1 for all, or None, got {n_jobs!r}.")
    if callback is not None and not callable(callback):
        raise ValueError(
            f"callback must be None or something to call with (replicates done, replicates), got {callback!r}."
        )


def warn_left(n: int, left: int, name: str) -> None:
    """Warn that rows which a robust estimate does not rest on are missing in the law."""
    warn_caller(
        f"The p-values are too small: only the {n - left} of {n} training rows that {name} rests on are resampled, "
        "since the others may be outliers, so that clean rows among these are missing in the tail of the law. Up to "
        f"{100 * left / n:.2g} % of clean rows are flagged in addition to the level; kind='parametric' has a whole "
        "tail.",
        CalibrationWarning,
    )


def check_tail(tail: Any, kind: str, statistic: str) -> None:
    """Raise for an unknown tail, or one that the kind of rows or the statistic has no use for."""
    one_of("tail", tail, (None, "gpd", "normal"))
    if tail == "normal" and (kind == "parametric" or statistic == "max"):
        raise ValueError(
            "tail='normal' continues the law of single rows that are resampled; with kind='parametric' all of it is "
            "that of normal rows, and statistic='max' needs tail='gpd' or kind='parametric'."
        )


def largest(block: FloatArray) -> FloatArray:
    """Return the largest distance of each replicate, NaN where a resample missed no row."""
    most = np.max(np.where(np.isnan(block), -np.inf, block), axis=1)
    return np.where(np.isneginf(most), np.nan, most)


def as_bytes(size: Any) -> int:
    """Return a number of bytes, from a number or a text such as "256MB"."""
    if isinstance(size, int | np.integer) and not isinstance(size, bool) and size > 0:
        return int(size)
    found = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", size.upper())
        if isinstance(size, str)
        else None
    )
    number = 0 if found is None else int(float(found[1]) * _UNITS[found[2]])
    if number < 1:
        raise ValueError(
            f"max_memory must be a number of bytes or a text such as '256MB' or '2GB', got {size!r}."
        )
    return number


def held_rows(holdout: float | None, n: int, facts: ScatterFacts) -> int:
    """Return how many rows are held out, and raise where too few are left."""
    if holdout is None:
        return 0
    n_held = max(1, round(holdout * n))
    least = 3 if facts.regularized else facts.rank + (1 if facts.assume_centered else 2)
    if n - n_held < least:
        raise RankDeficientError(
            f"holdout={holdout:g} leaves {n - n_held} of {n} rows to fit, and a covariance of rank {facts.rank} needs "
            f"{least}. {_advice(n, least, facts)}"
        )
    return n_held


def _advice(n: int, least: int, facts: ScatterFacts) -> str:
    """Return what helps where a holdout leaves too few rows."""
    ways = ["Use a smaller holdout"] if n - 1 >= least else ["No holdout leaves as many: pass more rows"]
    if not facts.regularized:
        ways.append("use a regularised estimator (LedoitWolf, OAS, QIS, ShrunkCovariance)")
    if n >= least:
        ways.append("use kind='parametric'")
    return f"{', or '.join(ways)}."
