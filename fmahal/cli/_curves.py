"""Curves from a table: wide (a row a curve) or long (a row a point)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..exceptions import DataError
from ._io import dataset_of, read_table
from ._table import MISSING, RawTable, Table, brief, choose, is_number, plural

_ID = re.compile(r"(id|ids|curve|curves|name|row|sample|series|subject|unit|unnamed.*|index|year|date|day)$")
_TIME = re.compile(r"(t|x|time|grid|point|argument|hour|month|wavelength|frequency|position|age)$")
_VALUE = re.compile(r"(value|values|y|measurement|reading)$")
_COMPONENT = re.compile(r"(component|components|dimension|dim|variable|channel)$")
_EQUAL_STEPS = 1e-6  # relative


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
        return self.names if self.grid is None and not _is_default(self.names) else None

    @property
    def points(self) -> FloatArray:
        """The grid, numbered from 0 to 1 at equal steps where there is none."""
        return np.linspace(0.0, 1.0, self.X.shape[1]) if self.grid is None else self.grid


def _is_default(names: Sequence[str]) -> bool:
    """Tell whether the columns have no names of their own."""
    return all(name == f"x{j}" for j, name in enumerate(names))


def read_curves(options: Any) -> CurveTable:
    """Read and check the curves that the options of the command line name."""
    grid = None if options.grid is None else _read_grid(options.grid)
    summary = ""
    dataset, raw = dataset_of(options.file)
    if raw is None:
        raw = _read(options.file, options.delimiter, options.header)
    else:
        summary = next(iter(str(dataset.DESCR).splitlines()), "")
    if options.long or (dataset is None and _looks_long(raw)):
        table = _from_long(raw, options)
    else:
        table = _from_wide(raw, options)
    if dataset is not None and options.labels is None and dataset.outliers is not None:
        table = replace(table, outliers=np.asarray(dataset.outliers, bool))
    if grid is not None:
        table = _on_grid(table, grid, options.grid)
    return _checked(replace(table, summary=summary))


def _read(file: str, delimiter: str | None, header: str) -> RawTable:
    """Read a table whose first row may hold grid points, that is, numbers."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raw = read_table(file, delimiter=delimiter, header=header)
    if header == "auto" and _is_default(raw.names) and raw.n_rows > 1:
        first = [column[0] for column in raw.columns]
        if _is_grid(first, [column[1] for column in raw.columns]):
            warnings.warn(
                f"the first line of the file, from {first[0]:g} up to {first[-1]:g}, is taken as the grid; --header no "
                "makes it a curve",
                stacklevel=2,
            )
            names = [repr(float(value)) for value in first]
            lines = None if raw.lines is None else raw.lines[1:]
            return replace(raw, names=names, columns=[column[1:] for column in raw.columns], lines=lines)
        warnings.warn(
            f"no grid: the {plural(len(first), 'point')} of a curve are taken at equal steps; --grid FILE names them",
            stacklevel=2,
        )
        return raw
    for warning in caught:
        if "taken as column names" not in str(warning.message) or _grid_names(raw.names[1:]) is None:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return raw


def _is_grid(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Tell whether a row of numbers is a grid: it increases, in equal steps or where the row after it does not."""
    if any(isinstance(cell, str) for cell in first) or len(first) < 3:
        return False
    steps = np.diff(np.asarray(first, dtype=float))
    if not np.all(steps > 0):
        return False
    equal = steps.max() - steps.min() <= _EQUAL_STEPS * steps.max()
    if equal:
        return True
    return any(isinstance(cell, str) for cell in second) or not np.all(np.diff(np.asarray(second, float)) > 0)


def _grid_names(names: Sequence[str]) -> FloatArray | None:
    """Return column names as grid points; None unless all are numbers."""
    if not names or not all(is_number(name) for name in names):
        return None
    values = np.array([float(name) for name in names])
    return values if np.isfinite(values).all() else None


def _from_wide(raw: RawTable, options: Any) -> CurveTable:
    """Return curves of a table with a row for each."""
    index = options.index
    note: tuple[str, ...] = ()
    if index is None and raw.index is None:
        index = _name_column(raw, options.labels)
        note = () if index is None else (f"curves are named by column {index!r}; --index names another",)
    table = choose(
        raw, columns=options.columns, drop=options.drop, index=index, labels=options.labels, finite=False
    )
    grid = _grid_names(table.names)
    if grid is not None:
        _check_increasing(grid, f"{raw.source}: the header", "If the first row is a curve, pass --header no")
    _check_wide(raw, table)
    return CurveTable(**{**vars(table), "notes": (*table.notes, *note)}, grid=grid)


def _name_column(raw: RawTable, labels: str | None) -> str | None:
    """Return the column that names the curves: the first, if it holds text, stands before a grid or is called so."""
    names = [name for name in raw.names if name != labels]
    if len(names) < 3:
        return None
    first, column = names[0], raw.columns[raw.names.index(names[0])]
    words = isinstance(column, list) and not any(is_number(cell) for cell in column)
    before_grid = not is_number(first) and _grid_names(names[1:]) is not None
    called = bool(_ID.match(first.strip().casefold())) and not is_number(first)
    return first if words or before_grid or called else None


def _check_wide(raw: RawTable, table: Table) -> None:
    """Name the curve and the point of the first cell that is no number."""
    bad = ~np.isfinite(table.X)
    if bad.any():
        rows = np.flatnonzero(bad.any(axis=1))
        i = int(rows[0])
        k = int(np.flatnonzero(bad[i])[0])
        raise DataError(_nan_message(table, i, k, int(bad[i].sum()), rows.size, raw.at(i)))


def _nan_message(table: Table, i: int, k: int, cells: int, curves: int, where: str) -> str:
    what = "no value" if np.isnan(table.X[i, k]).any() else "an infinite value"
    name = f"curve {table.row_labels[i]!r}" + (f", {where}," if where else "")
    more = f", and {plural(curves - 1, 'other curve')} too" if curves > 1 else ""
    return (
        f"{table.source}: {name} has {what} at t = {table.names[k]} ({plural(cells, 'such point')} of it{more}). "
        "Nothing is dropped or filled silently: leave the curve out, interpolate it first, or leave out the points "
        "with --drop."
    )


def _looks_long(raw: RawTable) -> bool:
    """Tell whether the columns are those of a long table: id, t, value and perhaps component, ids occurring again."""
    if len(raw.names) not in (3, 4):
        return False
    folded = [name.strip().casefold() for name in raw.names]
    patterns = (_ID, _TIME, _VALUE, _COMPONENT)[: len(folded)]
    if not all(any(pattern.match(name) for name in folded) for pattern in patterns):
        return False
    found = _long_columns(raw)
    ids = raw.columns[raw.names.index(found[0])]
    return len(set(ids)) < len(ids)


def _long_columns(raw: RawTable) -> list[str]:
    """Return the columns of a long table: id, t, value and component if there is one, by name, else by place."""
    if len(raw.names) not in (3, 4):
        raise DataError(
            f"{raw.source} has {plural(len(raw.names), 'column')} ({brief(raw.names)}); a long table of curves has "
            "three, id, t and value, or four, with component. Choose and order them first; a wide table, a row a "
            "curve, needs no --long."
        )
    folded = {name: name.strip().casefold() for name in raw.names}
    found: list[str] = []
    for pattern in (_ID, _TIME, _VALUE, _COMPONENT)[: len(raw.names)]:
        name = next((n for n, f in folded.items() if pattern.match(f) and n not in found), None)
        if name is None:
            return list(raw.names)  # in the order that the help gives
        found.append(name)
    return found


def _from_long(raw: RawTable, options: Any) -> CurveTable:
    """Return curves of a table with a row for each point."""
    for option in ("columns", "drop", "index", "labels"):
        if getattr(options, option) is not None:
            raise DataError(
                f"--{option} is for wide tables; {raw.source} is read as a long one: id, t, value."
            )
    columns = _long_columns(raw)
    cells = dict(zip(raw.names, raw.columns))
    ids = _texts(cells[columns[0]])
    parts = _texts(cells[columns[3]]) if len(columns) == 4 else [""] * raw.n_rows
    t, values = (_long_numbers(raw, name, cells[name], ids) for name in columns[1:3])
    curves, components = list(dict.fromkeys(ids)), list(dict.fromkeys(parts))
    grid = np.unique(t)
    place = {name: k for k, name in enumerate(curves)}, {name: k for k, name in enumerate(components)}
    where = (
        np.array([place[0][name] for name in ids]),
        np.searchsorted(grid, t),
        np.array([place[1][name] for name in parts]),
    )
    shape = (len(curves), grid.size, len(components))
    counts = np.zeros(shape, dtype=int)
    np.add.at(counts, where, 1)
    _check_common(raw.source, counts, curves, grid, components)
    X = np.empty(shape)
    X[where] = values
    X = X[:, :, 0] if len(components) == 1 else X
    names = [f"{value:.12g}" for value in grid]
    return CurveTable(
        raw.source, X, names, curves, columns[0], grid=grid, argument=columns[1],
        components=tuple(components) if len(components) > 1 else (),
    )  # fmt: skip


def _texts(column: Any) -> list[str]:
    if isinstance(column, list):
        return [cell.strip() for cell in column]
    return [repr(int(value)) if float(value).is_integer() else repr(float(value)) for value in column]


def _long_numbers(raw: RawTable, name: str, column: Any, ids: list[str]) -> FloatArray:
    """Return a column of a long table as finite numbers; the message names the curve."""
    if isinstance(column, list):
        k = next(k for k, c in enumerate(column) if not is_number(c) and c.strip().casefold() not in MISSING)
        raise DataError(
            f"{raw.source}: column {name!r} holds text: {raw.at(k)}, curve {ids[k]!r}, is {column[k].strip()!r}. A "
            "long table has numbers in t and value; its columns are id, t, value in this order, or have these names."
        )
    bad = np.flatnonzero(~np.isfinite(column))
    if bad.size:
        k = int(bad[0])
        times = raw.columns[raw.names.index(_long_columns(raw)[1])][k]
        at = "" if isinstance(times, str) or name == _long_columns(raw)[1] else f" at t = {times:g}"
        raise DataError(
            f"{raw.source}: curve {ids[k]!r} has no number in column {name!r}{at} ({raw.at(k)}; "
            f"{plural(bad.size, 'such row')}). Leave these rows out if the curves then still share their grid, or "
            "interpolate first."
        )
    return np.asarray(column, dtype=float)


def _check_common(
    source: str, counts: np.ndarray, curves: list[str], grid: FloatArray, parts: list[str]
) -> None:
    """Raise unless every curve has each grid point once in each component."""
    if (counts > 1).any():
        i, k, j = (int(a[0]) for a in np.nonzero(counts > 1))
        of = f" in component {parts[j]!r}" if len(parts) > 1 else ""
        raise DataError(
            f"{source}: curve {curves[i]!r} has {counts[i, k, j]} values at t = {grid[k]:g}{of}; a curve has one. "
            "Average them, or give the curves different ids."
        )
    if (counts == 0).any():
        i, k, j = (int(a[0]) for a in np.nonzero(counts == 0))
        short = int((counts == 0).any(axis=(1, 2)).sum())
        of = f" in component {parts[j]!r}" if len(parts) > 1 else ""
        raise DataError(
            f"{source}: the curves have no common grid: {plural(short, 'curve')} of {len(curves)} lack points that "
            f"others have, the first is {curves[i]!r} at t = {grid[k]:g}{of}. Interpolate or smooth them to one grid "
            "first, or in Python pass an FDataIrregular through L2Space(basis=...), which smooths each curve."
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
    _check_increasing(grid, f"--grid {path}")
    return grid


def _check_increasing(grid: FloatArray, source: str, hint: str = "See that no point is there twice") -> None:
    steps = np.diff(grid)
    if not np.all(steps > 0):
        k = int(np.flatnonzero(~(steps > 0))[0])
        raise DataError(
            f"{source}: grid points must increase; point {k + 2} is {grid[k + 1]:g} after {grid[k]:g}. Sort by time. "
            f"{hint}."
        )


def _on_grid(table: CurveTable, grid: FloatArray, path: str) -> CurveTable:
    T = table.X.shape[1]
    if grid.size != T:
        hint = " A column that is no point is left out with --drop, or names the curves with --index."
        raise DataError(
            f"--grid {path} has {plural(grid.size, 'point')}, the curves of {table.source} {T}.{hint}"
        )
    names = table.names if not (_is_default(table.names) or _grid_names(table.names) is not None) else None
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
    return table
