"""The grid of (n, p, subset size) on which `MinCovDet` has been simulated, and interpolation on it.

A simulated quantity is tabulated as something that goes to zero like 1 / n, which it does beyond the last point.
Between the points it is interpolated by monotone cubics: in 1 / n from zero on, then in log p, then in the share of
rows that the subset keeps. With the default subset size h = (n + p + 1) // 2 even and odd n + p differ by half a row,
which is seen below 100 rows: each has its own points there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from ._mcd_factors import nominal_alpha

FEWEST, WIDEST = 20, 40  # rows, columns
PARITY_BELOW = 100  # rows from which on even and odd n + p share their points
SHARES = (0.5, 0.75, 1.0)
COLUMNS = (1, 2, 3, 4, 5, 7, 10, 13, 17, 20, 26, 33, 40)


class Cell(NamedTuple):
    """One simulated point."""

    share: float
    p: int
    n: int


def grid() -> list[Cell]:
    """Return the points, those most often asked for first."""
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
    """Tell whether the grid speaks about n rows and p columns."""
    return 1 <= p <= WIDEST and n >= max(FEWEST, 2 * p)


def curve(n: ArrayLike, p: int, parity: int | None) -> NDArray[np.bool_]:
    """Return which of the row counts `n` are points for p columns when n + p has this parity, or whatever it has."""
    rows = np.asarray(n)
    if parity is None:
        return np.ones(rows.shape, dtype=bool)
    return (rows >= PARITY_BELOW) | ((rows + p) % 2 == parity)


class _Column(NamedTuple):
    """The points of one share and p, most rows first: rows, and values of shape (n_points, ...)."""

    rows: NDArray[np.int64]
    values: NDArray[np.float64]


class Table:
    """Values on the grid, zero for infinitely many rows.

    Parameters
    ----------
    share, p, n : array-like of shape (n_cells,)
        The points, all those of `grid`.
    values : array-like of shape (n_cells, ...)
        What is known there.
    """

    def __init__(self, share: ArrayLike, p: ArrayLike, n: ArrayLike, values: ArrayLike):
        share, p, n = np.asarray(share), np.asarray(p), np.asarray(n, dtype=np.int64)
        values = np.asarray(values, dtype=np.float64)
        self._columns: dict[tuple[float, int], _Column] = {}
        for known in SHARES:
            for columns in COLUMNS:
                chosen = np.flatnonzero((share == known) & (p == columns))
                chosen = chosen[np.argsort(-n[chosen])]
                self._columns[known, columns] = _Column(n[chosen], values[chosen])

    def at(self, n: int, p: int, h: int) -> NDArray[np.float64] | None:
        """Return the values for n rows, p columns and subsets of h rows, or None off the grid."""
        if not covers(n, p) or not (n + p + 1) // 2 <= h <= n:
            return None
        share = nominal_alpha(n, p, h)
        if share in SHARES:
            return self._of_share(share, n, p)
        return PchipInterpolator(SHARES, [self._of_share(known, n, p) for known in SHARES])(share)

    def _of_share(self, share: float, n: int, p: int) -> NDArray[np.float64]:
        """Interpolate in n, for every p that has as few rows, then in p."""
        parity = (n + p) % 2 if share == 0.5 else None
        if p in COLUMNS:
            return _in_rows(self._columns[share, p], n, p, parity)
        columns = {q: self._columns[share, q] for q in COLUMNS}
        known = [q for q, column in columns.items() if n >= column.rows[curve(column.rows, q, parity)].min()]
        values = [_in_rows(columns[q], n, q, parity) for q in known]
        return PchipInterpolator(np.log(known), values)(np.log(p))


def _in_rows(column: _Column, n: int, p: int, parity: int | None) -> NDArray[np.float64]:
    points = curve(column.rows, p, parity)
    inverse = np.concatenate([[0.0], 1.0 / column.rows[points]])
    values = column.values[points]
    most = int(column.rows.max())
    if n > most:
        return values[0] * (most / n)
    return PchipInterpolator(inverse, np.concatenate([np.zeros_like(values[:1]), values]))(1.0 / n)
