"""Say once, and by name, why a sample spans fewer dimensions than it has columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray

NAMED_COLUMNS = 400  # finding the dependent ones costs p^3: beyond this they are only counted
_SHOWN = 5
_UNITS = 1e6  # standard deviations farther apart than this are blamed for a lost rank


def dependent_columns(covariance: FloatArray, tolerance: float) -> list[tuple[int, int | None]]:
    """Find columns that columns to their left determine.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
        Positive semi-definite; columns of zero variance are left out.
    tolerance : float
        Share of a column's variance below which nothing new is left in it.

    Returns
    -------
    found : list of (int, int or None)
        Each such column, and the one column to its left that it repeats up to sign, unit and origin (None
        when it combines several).

    Notes
    -----
    Cholesky factorisation of the correlation matrix from left to right that skips vanishing pivots; O(p^3).
    """
    sd = np.sqrt(np.diagonal(covariance))
    active = np.flatnonzero(sd > 0)
    R = covariance[np.ix_(active, active)] / sd[active, None] / sd[active]
    basis = np.zeros_like(R)
    kept: list[int] = []
    found: list[tuple[int, int | None]] = []
    for j in range(active.size):
        row = R[j] - basis[: len(kept), j] @ basis[: len(kept)]
        if row[j] > tolerance * active.size:
            basis[len(kept)] = row / np.sqrt(row[j])
            kept.append(j)
            continue
        twins = [i for i in kept if 1.0 - abs(R[i, j]) <= 4.0 * tolerance]
        found.append((int(active[j]), int(active[twins[0]]) if twins else None))
    return found


def _label(j: int, names: Any) -> str:
    return repr(str(names[j])) if names is not None else str(j)


def _listed(labels: list[str]) -> str:
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(labels[:_SHOWN]) + more


def _cause(covariance: FloatArray, tolerance: float, names: Any) -> str:
    """Name the dependent columns; when there are none, it is their units."""
    found = dependent_columns(covariance, tolerance)
    labels = [
        _label(j, names) + (f" (repeats {_label(twin, names)})" if twin is not None else "")
        for j, twin in found
    ]
    if labels:
        return f" Columns that others to their left determine: {_listed(labels)}."
    sd = np.sqrt(np.diagonal(covariance))
    sd = sd[sd > 0]
    if sd.size and sd.max() > _UNITS * sd.min():
        return (
            f" The standard deviations of the columns differ by a factor of {sd.max() / sd.min():.0e}: bring them "
            "to comparable units, for example by StandardScaler."
        )
    return ""


def rank_message(
    estimator: str,
    *,
    rank: int,
    n: int,
    constant: np.ndarray,
    centred: bool = True,
    covariance: FloatArray | None = None,
    tolerance: float = 0.0,
    names: Any = None,
) -> str:
    """Return what is missing, where, and what to do, in a few sentences."""
    p = constant.size
    others = " or ".join(name for name in ("LedoitWolf", "OAS", "QIS") if name != estimator)
    text = f"{estimator}: {n} rows span {rank} of {p} dimensions."
    if constant.any():
        which = _listed([_label(int(j), names) for j in np.flatnonzero(constant)])
        text += f" Constant columns: {which}."
    span = n - 1 if centred else n
    if p > span:
        limit = "n - 1" if centred else "n"
        text += f" So few rows span at most {limit} = {span} dimensions"
        if rank == span:
            text += f"; when they do, all training distances are equal (squared distance {limit} = {span})"
        return text + f". Use {others}, which work for more columns than rows, or add rows."
    if covariance is not None and p <= NAMED_COLUMNS:
        text += _cause(covariance, tolerance, names)
    return (
        text
        + " Distances are taken inside the span, and `residual` measures what lies outside it. Drop those "
        f"columns, or use {others}."
    )
