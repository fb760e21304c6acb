"""What the first line of a table of curves is: the grid, names of its points, or a curve."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..exceptions import DataError
from ._table import MISSING, RawTable, brief, is_number

_ROUNDING = 1e-6  # relative: steps of a grid of exact numbers
_COARSE = 0.05  # steps of a grid that was printed with few digits differ by at most this share
_LOOK_AHEAD = 20  # lines that the first one is compared with
_PATTERN = re.compile(r"(\D*?)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(\D*)$")
TIME = re.compile(r"(t|x|time|grid|point|argument|hour|month|wavelength|wavenumber|frequency|position|age)$")


def is_default(names: Sequence[str]) -> bool:
    """Tell whether the columns have no names of their own."""
    return all(name == f"x{j}" for j, name in enumerate(names))


def grid_names(names: Sequence[str]) -> FloatArray | None:
    """Return column names as grid points; None unless all are numbers."""
    if not names or not all(is_number(name) for name in names):
        return None
    values = np.array([float(name) for name in names])
    return values if np.isfinite(values).all() else None


def pattern_numbers(names: Sequence[str]) -> FloatArray | None:
    """Return the increasing numbers inside names such as X0.34 or 900nm; None unless all are alike."""
    found = [_PATTERN.match(name.strip()) for name in names]
    if len(names) < 2 or not all(found):
        return None
    if len({(match[1], match[3]) for match in found if match}) != 1:
        return None
    values = np.array([float(match[2]) for match in found if match])
    return values if np.all(np.diff(values) > 0) else None


def equal_steps(points: FloatArray) -> bool:
    """Tell whether points are at equal steps, up to the digits with which they were written."""
    steps = np.diff(points)
    top, spread = steps.max(), steps.max() - steps.min()
    if not top > 0:
        return False
    digits = max(len(repr(float(value)).partition(".")[2]) for value in points)
    return bool(spread <= max(_ROUNDING * top, min(2.01 * 10.0**-digits, _COARSE * top)))


def check_increasing(grid: FloatArray, source: str, hint: str = "See that no point is there twice.") -> None:
    """Raise unless the grid increases; the message names the first place where it does not."""
    steps = np.diff(grid)
    if not np.all(steps > 0):
        k = int(np.flatnonzero(~(steps > 0))[0])
        cure = "Reverse the order of the columns, or sort by time" if (steps < 0).all() else "Sort by time"
        raise DataError(
            f"{source}: grid points must increase; point {k + 2} is {grid[k + 1]:g} after {grid[k]:g}. {cure}. {hint}"
        )


def is_unnamed(raw: RawTable) -> bool:
    """Tell whether the first column alone has an empty name, as R and pandas write row names."""
    header = raw.header
    return (
        header is not None
        and len(header) > 1
        and not header[0].strip()
        and all(c.strip() for c in header[1:])
    )


def counts_rows(column: Any) -> bool:
    """Tell whether a column counts the rows, from 0 or 1."""
    return not isinstance(column, list) and any(
        np.array_equal(column, np.arange(start, start + len(column))) for start in (0, 1)
    )


def with_first_line(raw: RawTable) -> RawTable | None:
    """Return the table with its first line, all numbers, as the header; None where it is a curve.

    Raises
    ------
    DataError
        The line is a grid in the wrong order, or may be the grid as well as a curve.
    """
    cells = [column[0] for column in raw.columns]
    named = _is_blank(cells[0])
    points = _numbers(cells[named:])
    if points is None or points.size < 3 or raw.n_rows < 2:
        return None
    after = _rows(raw, int(named))
    if named:
        ids = _tail(raw.columns[0])
        sure = isinstance(ids, list) or counts_rows(ids) or _monotone(points)
        verdict = "grid" if sure else "curve"
    else:
        verdict = _verdict(points, after)
    where = f"{raw.source}: the first line"
    if verdict == "either":
        raise DataError(
            f"{where}, from {points[0]:g} to {points[-1]:g}, may be the grid as well as the first curve: it rises as "
            "the curves do, and lies outside all others at every point. Say which with --header yes or --header no."
        )
    if verdict == "curve":
        _hint_at_first(points, after)
        return None
    check_increasing(
        points,
        where,
        "If the first line is a curve and no header, pass --header no; see that no point is there twice.",
    )
    warnings.warn(
        f"the first line of the file, from {points[0]:g} up to {points[-1]:g}, is taken as the grid; --header no "
        "makes it a curve",
        stacklevel=3,
    )
    names = ([raw.names[0]] if named else []) + [repr(float(value)) for value in points]
    header = tuple(([""] if named else []) + names[named:])
    lines = None if raw.lines is None else raw.lines[1:]
    return replace(raw, names=names, columns=[_tail(c) for c in raw.columns], lines=lines, header=header)


def _tail(column: Any) -> Any:
    """Return a column without its first cell; as numbers where only that one was text."""
    rest = column[1:]
    if isinstance(rest, list) and all(is_number(cell) for cell in rest):
        return np.array([float(cell) for cell in rest])
    return rest


def _is_blank(cell: Any) -> bool:
    return cell.strip().casefold() in MISSING if isinstance(cell, str) else bool(np.isnan(cell))


def _numbers(cells: Sequence[Any]) -> FloatArray | None:
    if not all(not isinstance(cell, str) or is_number(cell) for cell in cells):
        return None
    values = np.array([float(cell) for cell in cells])
    return values if np.isfinite(values).all() else None


def _rows(raw: RawTable, first: int) -> FloatArray:
    """Return the lines after the first as numbers, text as NaN."""
    last = min(raw.n_rows, _LOOK_AHEAD + 1)
    parts = [
        [float(c) if not isinstance(c, str) or is_number(c) else np.nan for c in column[1:last]]
        for column in raw.columns[first:]
    ]
    return np.array(parts).T


def _monotone(points: FloatArray) -> bool:
    steps = np.diff(points)
    return bool((steps > 0).all() or (steps < 0).all())


def _disordered(points: FloatArray) -> bool:
    """Tell whether points are a grid but for their order: falling, with points twice, or equal steps once sorted."""
    steps = np.diff(points)
    ties = np.count_nonzero(steps == 0)
    if (steps < 0).all() or (0 < ties <= 0.2 * steps.size and ((steps >= 0).all() or (steps <= 0).all())):
        return True
    values = np.sort(points)
    return (
        points.size >= 5
        and values[0] < values[-1]
        and bool(np.diff(values).min() > 0)
        and equal_steps(values)
    )


def _verdict(points: FloatArray, after: FloatArray) -> str:
    """Return "grid", "curve" or "either" for a line of numbers without a blank."""
    rising = bool(np.all(np.diff(points) > 0))
    if rising:
        if equal_steps(points) or np.mean([np.all(np.diff(row) > 0) for row in after]) <= 0.5:
            return "grid"
        return "either" if _outside(points, after) else "curve"
    if not _disordered(points):
        return "curve"
    whole = after[np.isfinite(after).all(axis=1)]
    alike = np.mean([_disordered(row) for row in whole]) if len(whole) else 0.0
    return "grid" if alike <= 0.5 or _outside(points, after) else "curve"


def _outside(points: FloatArray, after: FloatArray) -> bool:
    """Tell whether the first line lies outside the range of the others at every point."""
    if len(after) < 3 or np.isnan(after).any():
        return False
    return bool(np.all((points > after.max(axis=0)) | (points < after.min(axis=0))))


def _hint_at_first(points: FloatArray, after: FloatArray) -> None:
    steps = np.diff(points)
    if _outside(points, after) and max(np.mean(steps > 0), np.mean(steps < 0)) >= 0.8:
        warnings.warn(
            "the first line is read as a curve, and lies outside all others at every point; if it is a header of "
            "grid points, sort them and pass --header yes",
            stacklevel=4,
        )


def check_one_kind(raw: RawTable, names: Sequence[str], cells: Sequence[str]) -> None:
    """Raise where columns with names of another kind stand among grid points."""
    other = [name for name, cell in zip(names, cells) if not is_number(cell)]
    if len(names) - len(other) >= 3 and 0 < len(other) < 0.5 * len(names):
        raise DataError(
            f"{raw.source}: the header holds grid points, and also {brief(other)}, which would be a point of every "
            "curve. Leave it out with --drop, name the curves by it with --index, or pass it to --labels."
        )


def check_not_transposed(raw: RawTable, first: str, others: Sequence[str]) -> None:
    """Raise where the first column holds the points of time and every other column a curve."""
    column = raw.columns[raw.names.index(first)]
    if isinstance(column, list) or not TIME.match(first.strip().casefold()) or len(column) < 3:
        return
    if np.all(np.diff(column) > 0) and grid_names(others) is None:
        raise DataError(
            f"{raw.source}: column {first!r} increases from {column[0]:g} to {column[-1]:g}, so that each column seems "
            f"to be a curve and each row a point. Pass --transpose, or --drop {first} if each row is a curve."
        )


def transposed(raw: RawTable, index: str | None) -> RawTable:
    """Return a table with a column for each curve as one with a row for each; a column holds the points."""
    if index is None and is_unnamed(raw) and len(raw.names) > 2 and counts_rows(raw.columns[0]):
        raw = replace(raw, names=raw.names[1:], columns=raw.columns[1:], header=(raw.header or ())[1:])
    name = index if index is not None else raw.names[0]
    if name not in raw.names:
        raise DataError(f"{raw.source} has no column {name!r} (--index).")
    k = raw.names.index(name)
    t = raw.columns[k]
    if isinstance(t, list) or not np.isfinite(t).all():
        raise DataError(
            f"{raw.source}: --transpose reads a column for each curve; the first, {name!r}, must hold the grid points, "
            "numbers. --index names another."
        )
    check_increasing(np.asarray(t), f"{raw.source}: column {name!r}")
    rest = [(n, c) for j, (n, c) in enumerate(zip(raw.names, raw.columns)) if j != k]
    text = [n for n, c in rest if isinstance(c, list)]
    if text:
        raise DataError(
            f"{raw.source}: column {text[0]!r} holds text; with --transpose each column but {name!r} is a curve."
        )
    points = [repr(float(value)) for value in t]
    values = np.array([c for _, c in rest], dtype=float)
    return RawTable(
        raw.source,
        ["curve", *points],
        [[n for n, _ in rest], *values.T],
        index="curve",
        header=("curve", *points),
    )
