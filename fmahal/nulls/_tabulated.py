"""The shipped table of simulated quantiles for `MinCovDet` at its default settings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..scatter._mcd_grid import Table
from ._simulation import LEVELS

TABLE = Path(__file__).parent / "tables" / "min_cov_det.npz"
UNITS = 4000  # the table holds whole multiples of 1 / UNITS
KINDS = ("train", "new", "raw-train", "raw-new")


def lookup(n: int, p: int, h: int, kind: str) -> NDArray[np.float64] | None:
    """Return logarithms of the quantiles at `LEVELS` over those of chi-square, or None off the table."""
    ratios = _table().at(n, p, h)
    return None if ratios is None else ratios[KINDS.index(kind)]


@lru_cache(maxsize=1)
def _table() -> Table:
    with np.load(TABLE) as data:
        if not np.array_equal(data["levels"], LEVELS):
            raise RuntimeError(
                f"{TABLE} was made for other levels; make it again with experiments/constants/robust_null_table.py."
            )
        return Table(data["share"], data["p"], data["n"], data["ratios"].astype(np.float64) / UNITS)
