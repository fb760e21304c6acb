"""The shipped table of simulated quantiles for `MinCovDet` at its default settings, and interpolation in it.

The table holds log(quantile / chi-square quantile), which goes to zero like 1 / n. It is interpolated by monotone
cubics: in 1 / n from zero on, then in log p, then in the share of rows that the subset keeps. With the default subset
size h = (n + p + 1) // 2 even and odd n + p differ by half a row, which is seen below 100 rows: each has its own
points there.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from ..scatter._mcd_factors import nominal_alpha
from ._simulation import LEVELS

TABLE = Path(__file__).parent / "tables" / "min_cov_det.npz"
UNITS = 4000  # the table holds whole multiples of 1 / UNITS
FEWEST, WIDEST = 20, 40  # rows, columns
PARITY_BELOW = 100  # rows from which on even and odd n + p share their points
SHARES = (0.5, 0.75, 1.0)
COLUMNS = (1, 2, 3, 4, 5, 7, 10, 13, 17, 20, 26, 33, 40)
KINDS = ("train", "new", "raw-train", "raw-new")


class Cell(NamedTuple):
    """One simulated point."""

    share: float
    p: int
    n: int


def grid() -> list[Cell]:
    """Return the points of the table, those most often asked for first."""
    cells = []
    for share in SHARES:
        for p in sorted(COLUMNS, key=lambda p: (p not in (2, 5, 10, 20), p)):
            lowest = max(FEWEST, -(-3 * p // 2))
            few = [lowest] + [n for n in (24, 30, 40, 50, 70) if n > 1.1 * lowest]
            many = [n for n in (100, 150, 250, 500, 1000) if n > lowest]
            odd = [n - 1 for n in few] if share == 0.5 else []
            cells += [Cell(share, p, n) for n in sorted([*few, *odd, *many])]
    return cells


def covers(n: int, p: int) -> bool:
    """Tell whether the table speaks about n rows and p columns."""
    return 1 <= p <= WIDEST and n >= max(FEWEST, 2 * p)


def lookup(n: int, p: int, h: int, kind: str) -> NDArray[np.float64] | None:
    """Return logarithms of the quantiles at `LEVELS` over those of chi-square, or None off the table."""
    if not covers(n, p) or not (n + p + 1) // 2 <= h <= n:
        return None
    shares = _load()
    share, row = nominal_alpha(n, p, h), KINDS.index(kind)
    if share in SHARES:
        return _at(shares[share], n, p, row)
    values = [_at(shares[known], n, p, row) for known in SHARES]
    return PchipInterpolator(SHARES, values)(share)


class _Column(NamedTuple):
    """The points of one p: rows, and log ratios of shape (n_points, n_kinds, n_levels)."""

    rows: NDArray[np.int64]
    ratios: NDArray[np.float64]


@lru_cache(maxsize=1)
def _load() -> dict[float, dict[int, _Column]]:
    with np.load(TABLE) as data:
        if not np.array_equal(data["levels"], LEVELS):
            raise RuntimeError(
                f"{TABLE} was made for other levels; make it again with experiments/robust_null_table.py."
            )
        share, p, n = data["share"], data["p"], data["n"]
        ratios = data["ratios"].astype(np.float64) / UNITS
    table: dict[float, dict[int, _Column]] = {}
    for known in SHARES:
        table[known] = {}
        for columns in COLUMNS:
            chosen = np.flatnonzero((share == known) & (p == columns))
            chosen = chosen[np.argsort(-n[chosen])]
            table[known][columns] = _Column(n[chosen], ratios[chosen])
    return table


def _at(table: dict[int, _Column], n: int, p: int, row: int) -> NDArray[np.float64]:
    """Interpolate in n, for every p that has as few rows, then in p."""
    parity = (n + p) % 2 if table is _load()[0.5] else None
    if p in table:
        return _in_rows(table[p], n, p, row, parity)
    known = [q for q in COLUMNS if n >= _fewest(table[q], q, parity)]
    values = [_in_rows(table[q], n, q, row, parity) for q in known]
    return PchipInterpolator(np.log(known), values)(np.log(p))


def _points(column: _Column, p: int, parity: int | None) -> NDArray[np.bool_]:
    if parity is None:
        return np.ones(column.rows.shape, dtype=bool)
    return (column.rows >= PARITY_BELOW) | ((column.rows + p) % 2 == parity)


def _fewest(column: _Column, p: int, parity: int | None) -> int:
    return int(column.rows[_points(column, p, parity)].min())


def _in_rows(column: _Column, n: int, p: int, row: int, parity: int | None) -> NDArray[np.float64]:
    points = _points(column, p, parity)
    inverse = np.concatenate([[0.0], 1.0 / column.rows[points]])  # infinitely many rows: chi-square
    values = np.concatenate([np.zeros((1, LEVELS.size)), column.ratios[points, row]])
    return PchipInterpolator(inverse, values)(1.0 / n)
