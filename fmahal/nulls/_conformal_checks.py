"""What conformal nulls demand of parameters, rows and levels before anything costly starts."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from ..exceptions import CalibrationWarning, RankDeficientError
from ..scatter import ScatterFacts
from .base import warn_caller

KINDS = ("split", "jackknife", "cv", "full")


def check_parameters(kind: Any, fraction: Any, cv: Any) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}.")
    if isinstance(fraction, bool) or not isinstance(fraction, Real) or not 0 < float(fraction) < 1:
        raise ValueError(
            f"calibration_fraction must be a number strictly between 0 and 1, got {fraction!r}. It is the share of "
            "rows kept out of the fit, for example 0.5."
        )
    if isinstance(cv, bool) or not isinstance(cv, Integral) or cv < 2:
        raise ValueError(f"cv must be an integer of at least 2, the number of folds, got {cv!r}.")


def calibration_size(n: int, fraction: float) -> int:
    """Return how many of n rows calibrate; 0.29 of 100 rows are 29, though the product is rounded to less."""
    return min(math.floor(n * fraction * (1.0 + 1e-12)), n - 1)


def check_rank(kind: str, known: ScatterFacts, n: int, m: int, fraction: float, folds: int) -> None:
    """Raise when the smallest fit has too few rows to spread in all directions that the training rows span."""
    needed = known.rank + (1 if known.assume_centered else 2)
    if kind == "split":
        fitted, total, part = n - m, int((needed - 1) / (1.0 - fraction)), "are left for the fit"
        while total - calibration_size(total, fraction) < needed:
            total += 1
    elif kind == "cv" or known.kind != "empirical":
        fitted, total, part = (
            n - math.ceil(n / folds),
            math.ceil(needed * folds / (folds - 1)),
            "are in the fits",
        )
        while total - math.ceil(total / folds) < needed:
            total += 1
    else:  # one row leaves; n = rank + 2 gives finite distances
        needed -= 1
        fitted, total, part = n - 1, needed + 1, "are left when one leaves"
    if fitted < needed:
        raise RankDeficientError(
            f"Of {n} training rows {fitted} {part}; a scatter that is not regularised needs at least {needed} for "
            f"rank {known.rank}. Pass at least {total} rows{_more(known.rank, n)}, fewer columns, or a regularised "
            "estimator such as "
            "LedoitWolf, OAS, QIS or ShrunkCovariance."
        )


def _more(rank: int, n: int) -> str:
    """Return that the rank is that of the rows, where more rows may raise it; else nothing."""
    return "" if rank < n - 1 else " (more if there are more columns: so far the rows limit the rank)"


def warn_contamination(scatter: Any) -> None:
    warn_caller(
        f"{type(scatter).__name__} resists outliers, conformal p-values do not: the calibration rows are drawn from "
        "the training rows as they are, so that resampled calibration rows of contaminated data cannot flag a share "
        "of outliers above alpha. Fit to clean rows, or use a null that is not calibrated by the rows, such as "
        "'auto'.",
        CalibrationWarning,
    )
