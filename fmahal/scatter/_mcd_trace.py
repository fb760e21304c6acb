"""How much too small the reweighted covariance of `MinCovDet` is on clean normal rows: a shipped table."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np

from ._mcd_grid import Table

TABLE = Path(__file__).parent / "tables" / "mcd_trace.npz"


def trace_factor(n: int, p: int, h: int) -> float | None:
    """Return what makes the mean variance of `MinCovDet`'s `covariance_` that of clean normal rows, or None.

    Parameters
    ----------
    n, p : int
        Rows and columns.
    h : int
        Size of the subset.

    Returns
    -------
    factor : float or None
        One over the mean, over many fits of rows from N(0, I), of ``trace(covariance_) / p`` with the default
        corrections and reweighting; by monotone interpolation in 1/n, log p and the share of rows. None off the table:
        for p > 40, n < 20, n < 2 p or h < (n + p + 1) // 2.
    """
    value = _table().at(n, p, h)
    return None if value is None else math.exp(-float(value))


@lru_cache(maxsize=1)
def _table() -> Table:
    with np.load(TABLE) as data:
        return Table(data["share"], data["p"], data["n"], data["log_trace"])
