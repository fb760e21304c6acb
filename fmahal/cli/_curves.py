"""Curves from a table: wide (a row a curve) or long (a row a point)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..exceptions import DataError
from . import _curve_headers as headers
from ._io import dataset_of, read_table
from ._long_curves import ID, check_not_long, looks_long, read_long, without_index
from ._table import RawTable, Table, choose, is_number, plural, split_names

_AGREE = 1e-6  # of the length of the domain
_SMALL_SHARE = 0.01  # of the variance, in one component


@dataclass(frozen=True)
class CurveTable(Table):
    """Curves ready for fitting: `X` is (n, T) or (n, T, d), `names` are the grid points as text.

    `grid` is None where the columns have names that are no numbers: the points are then at equal steps.
    """

    grid: FloatArray | None = None
    components: tuple[str, ...] = ()
    argument: str = "t"

    @property
    def tick_labels(self) -> list[str] | None:
        """Names of the grid points where they are words."""
        return self.names if self.grid is None and not headers.is_default(self.names) else None

    @property
    def points(self) -> FloatArray:
        """The grid, numbered from 0 to 1 at equal steps where there is none."""
        return np.linspace(0.0, 1.0, self.X.shape[1]) if self.grid is None else self.grid


def read_curves(options: Any) -> CurveTable:
    """Read and check the curves that the options of the command line name."""
    grid = None if options.grid is None else _read_grid(options.grid)
    summary = ""
    dataset, raw = dataset_of(options.file)
    if raw is None:
        raw = _read(options, quiet=grid is not None or options.long)
    else:
        summary = next(iter(str(dataset.DESCR).splitlines()), "")
    if options.transpose:
        raw = headers.transposed(raw, options.index)
        table = _from_wide(raw, options, None)
    elif options.long or (dataset is None and looks_long(without_index(raw)[0])):
        table = CurveTable(**read_long(raw, options))
    else:
        table = _from_wide(raw, options, options.index)
        if dataset is None and grid is None and table.grid is None and not headers.is_default(table.names):
            table = _with_pattern(table)
    if dataset is not None and options.labels is None and dataset.outliers is not None:
        table = replace(table, outliers=np.asarray(dataset.outliers, bool))
    if grid is not None:
        table = _on_grid(table, grid, options.grid)
    return _checked(replace(table, summary=summary))


def _read(options: Any, *, quiet: bool) -> RawTable:
    """Read a table whose first row may hold grid points, that is, numbers."""
    header = options.header
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raw = read_table(options.file, delimiter=options.delimiter, header=header)
    if header == "auto" and raw.header is None:
        found = headers.with_first_line(raw)
        if found is None and not quiet and not options.transpose:
            warnings.warn(
                f"no grid: the {plural(len(raw.names), 'point')} of a curve are taken at equal steps; --grid FILE "
                "names them",
                stacklevel=2,
            )
        return raw if found is None else found
    cells = list(raw.header or raw.names)
    for warning in caught:
        known = "taken as column names" in str(warning.message) and headers.grid_names(cells[1:]) is not None
        if not known:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return raw


def _with_pattern(table: CurveTable) -> CurveTable:
    """Return curves with the numbers in their headers, X0.34 or 900nm, as the grid; else say that there is none."""
    found = headers.pattern_numbers(table.names)
    if found is None:
        warnings.warn(
            f"no grid: the header ({table.names[0]!r} to {table.names[-1]!r}) holds no increasing numbers, and the "
            f"{plural(len(table.names), 'point')} of a curve are taken at equal steps; --grid FILE names them",
            stacklevel=2,
        )
        return table
    if np.ptp(np.diff(found)) <= 1e-9 * np.diff(found).max():
        return table  # equal steps: the words say as much, and distances are the same
    warnings.warn(
        f"the numbers in the header, {table.names[0]!r} to {table.names[-1]!r}, are taken as the grid, from "
        f"{found[0]:g} up to {found[-1]:g}; --grid FILE names another",
        stacklevel=2,
    )
    return replace(table, grid=found, names=[f"{value:.12g}" for value in found])


def _from_wide(raw: RawTable, options: Any, index: str | None) -> CurveTable:
    """Return curves of a table with a row for each."""
    note: tuple[str, ...] = ()
    named = [name for text in (options.columns, options.drop) if text for name in split_names(text)]
    free = options.columns is None and not options.transpose
    if index is None and raw.index is None:
        if headers.is_unnamed(raw) and raw.names[0] not in (*named, options.labels):
            index = raw.names[0]
            note = (
                "curves are named by the first column, which has no name of its own; --index names another",
            )
        else:
            index = _name_column(raw, options.labels)
            note = () if index is None else (f"curves are named by column {index!r}; --index names another",)
    if free and not set(named) & set(raw.names[:3]) and options.labels is None:
        check_not_long(without_index(raw)[0])
    left = [name for name in raw.names if name not in (index, raw.index, options.labels, *named)]
    if free and len(left) > 2:
        headers.check_not_transposed(raw, left[0], left[1:])
    table = choose(
        raw, columns=options.columns, drop=options.drop, index=index, labels=options.labels, finite=False
    )
    of = dict(zip(raw.names, raw.names if raw.header is None else raw.header))
    cells = [of[name] for name in table.names]
    if raw.header is not None and options.grid is None:
        headers.check_one_kind(raw, table.names, cells)
    grid = headers.grid_names(cells)
    if grid is not None:
        headers.check_increasing(
            grid, f"{raw.source}: the header", "If the first row is a curve, pass --header no."
        )
    _check_wide(raw, table)
    return CurveTable(**{**vars(table), "notes": (*table.notes, *note)}, grid=grid)


def _name_column(raw: RawTable, labels: str | None) -> str | None:
    """Return the column that names the curves: the first, if it holds text, stands before a grid or is called so."""
    names = [name for name in raw.names if name != labels]
    if len(names) < 3:
        return None
    first, column = names[0], raw.columns[raw.names.index(names[0])]
    words = isinstance(column, list) and not any(is_number(cell) for cell in column)
    marks = not isinstance(column, list) and set(np.unique(column)) <= {
        0.0,
        1.0,
    }  # of outliers, say: no names
    before_grid = not is_number(first) and headers.grid_names(names[1:]) is not None and not marks
    called = bool(ID.match(first.strip().casefold())) and not is_number(first)
    return first if words or before_grid or called else None


def _check_wide(raw: RawTable, table: Table) -> None:
    """Name the curve and the point of the first cell that is no number."""
    bad = ~np.isfinite(table.X)
    if bad.any():
        rows = np.flatnonzero(bad.any(axis=1))
        i = int(rows[0])
        k = int(np.flatnonzero(bad[i])[0])
        first = "" if i or raw.header is not None else " If this line is a header, pass --header yes."
        raise DataError(_nan_message(table, i, k, int(bad[i].sum()), rows.size, raw.at(i)) + first)


def _nan_message(table: Table, i: int, k: int, cells: int, curves: int, where: str) -> str:
    what = "no value" if np.isnan(table.X[i, k]).any() else "an infinite value"
    name = f"curve {table.row_labels[i]!r}" + (f", {where}," if where else "")
    more = f", and {plural(curves - 1, 'other curve')} too" if curves > 1 else ""
    return (
        f"{table.source}: {name} has {what} at t = {table.names[k]} ({plural(cells, 'such point')} of it{more}). "
        "Nothing is dropped or filled silently: leave the curve out, interpolate it first, or leave out the points "
        "with --drop."
    )


def _read_grid(path: str) -> FloatArray:
    """Return the grid points in a file: one column, or one row, of numbers."""
    if path == "-":
        raise DataError("--grid takes a file with one number a line.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = read_table(path)
    if len(raw.columns) > 1 and raw.n_rows > 1:
        raise DataError(
            f"--grid {path}: expected one column of grid points, found {len(raw.columns)} columns."
        )
    text = [name for name, column in zip(raw.names, raw.columns) if isinstance(column, list)]
    if text:
        raise DataError(f"--grid {path}: column {text[0]!r} holds text; expected numbers, the grid points.")
    grid = np.concatenate([np.asarray(column, dtype=float) for column in raw.columns])
    if not np.isfinite(grid).all():
        raise DataError(
            f"--grid {path}: grid point {int(np.flatnonzero(~np.isfinite(grid))[0]) + 1} is no number."
        )
    headers.check_increasing(grid, f"--grid {path}")
    return grid


def _on_grid(table: CurveTable, grid: FloatArray, path: str) -> CurveTable:
    T = table.X.shape[1]
    if grid.size != T:
        hint = " A column that is no point is left out with --drop, or names the curves with --index."
        raise DataError(
            f"--grid {path} has {plural(grid.size, 'point')}, the curves of {table.source} {T}.{hint}"
        )
    own = table.grid
    if own is not None and np.abs(own - grid).max() > _AGREE * np.ptp(grid):
        raise DataError(
            f"--grid {path} runs from {grid[0]:g} to {grid[-1]:g}, and the header of {table.source} is another grid, "
            f"from {own[0]:g} to {own[-1]:g}. Leave --grid out, or take the first line from the file; --header no "
            "makes it a curve."
        )
    names = (
        table.names
        if not (headers.is_default(table.names) or headers.grid_names(table.names) is not None)
        else None
    )
    return replace(table, grid=grid, names=names or [f"{value:.12g}" for value in grid])


def _checked(table: CurveTable) -> CurveTable:
    n, T = table.X.shape[:2]
    if T < 2:
        raise DataError(
            f"{table.source}: the curves have {plural(T, 'point')}; a curve needs at least two. A long table (id, t, "
            "value) is read with --long."
        )
    if n < 3:
        raise DataError(f"{table.source} has {plural(n, 'curve')}; their scatter needs at least three.")
    if table.X.ndim == 3:
        _note_units(table)
    return table


def _note_units(table: CurveTable) -> None:
    """Say where one component has next to none of the variance: its units then decide that it hardly counts."""
    variance = table.X.var(axis=0).mean(axis=0)
    share = variance / variance.sum() if variance.sum() > 0 else np.ones_like(variance)
    k = int(share.argmin())
    if share[k] < _SMALL_SHARE:
        warnings.warn(
            f"component {table.components[k]!r} has {100 * share[k]:.2g} % of the variance and hardly counts; if the "
            "components have different units, divide each by its standard deviation first",
            stacklevel=2,
        )
