"""Say which columns more than half of the rows agree on, exactly: there the robust scale is 0."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..exceptions import ExactFitWarning, RankDeficientWarning
from ._degenerate import NAMED_COLUMNS, _cause, _label, _listed, rank_message
from ._moments import EPS, Moments


def flat_columns(location: FloatArray, scale: FloatArray) -> np.ndarray:
    """Columns whose scale is rounding of their own magnitude."""
    return scale <= 32.0 * EPS * np.abs(location)


def flat_message(
    estimator: str, flat: np.ndarray, inside: int, n: int, rank: int, names: Any, cause: str = ""
) -> str:
    """Return what half of the rows have in common, what is done about it, and what to do."""
    text = f"{estimator}: "
    if flat.any():
        which = _listed([_label(int(j), names) for j in np.flatnonzero(flat)])
        text += f"columns of robust scale 0, more than half of whose values are equal: {which}. "
    if rank < flat.size:
        text += (
            f"{inside} of {n} rows lie on a subspace of {rank} of {flat.size} dimensions and give the fit; distances "
            "are taken inside that subspace, and `residual` measures what lies outside it."
        )
    else:
        text += "These columns take no part in the choice of the rows that give the fit."
    return (
        text
        + cause
        + " Usual causes: constant or repeated columns, counts with many zeros, indicators, rounded "
        "values. Drop those columns, or use EmpiricalCovariance or LedoitWolf if all rows are to count."
    )


def warn_flat(
    estimator: Any, flat: np.ndarray, inside: np.ndarray, exact: bool, moments: Moments | None, kept: int
) -> None:
    """Warn about scales of 0, else about a lack of rank, from the line that called `fit`, which calls this."""
    p, names = flat.size, estimator._names()
    if not exact and estimator.rank_ == p:
        return
    covariance = getattr(moments, "covariance", None)
    if exact or moments is None:
        cause = ""
        if moments is not None and covariance is not None and p <= NAMED_COLUMNS and not flat.any():
            cause = _cause(covariance, moments.tolerance, names)
        message = flat_message(
            type(estimator).__name__, flat, int(inside.sum()), inside.size, estimator.rank_, names, cause
        )
        warnings.warn(message, ExactFitWarning, stacklevel=3)
        return
    message = rank_message(
        type(estimator).__name__,
        rank=estimator.rank_,
        n=kept,
        constant=moments.constant,
        centred=moments.centred,
        covariance=covariance,
        tolerance=moments.tolerance,
        names=names,
    )
    warnings.warn(message, RankDeficientWarning, stacklevel=3)
