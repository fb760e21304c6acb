"""Curves from a long table, with a row for each point."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..exceptions import DataError
from ._curve_headers import TIME, counts_rows, grid_names, is_unnamed
from ._table import MISSING, RawTable, brief, is_number, plural, split_names

ID = re.compile(r"(id|ids|curve|curves|name|row|sample|series|subject|unit|unnamed.*|index|year|date|day)$")
_VALUE = re.compile(r"(value|values|y|measurement|reading)$")
_COMPONENT = re.compile(r"(component|components|dimension|dim|variable|channel)$")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+$")
_MOST_COLUMNS = 12  # of a table that may be a long one


@dataclass(frozen=True)
class Columns:
    """Which columns of a long table are what: one of values, and perhaps one of components, or several of values."""

    ids: str
    t: str
    values: tuple[str, ...]
    component: str | None = None


def looks_long(raw: RawTable) -> bool:
    """Tell whether the columns are those of a long table: id, t, value and perhaps component, ids occurring again."""
    found = _by_name(raw.names)
    if found is None:
        return False
    ids = raw.columns[raw.names.index(found.ids)]
    return len(set(ids)) < len(ids)


def check_not_long(raw: RawTable) -> None:
    """Raise where a table that is to be read as a wide one looks like a long one with names of its own."""
    if not 3 <= len(raw.names) <= _MOST_COLUMNS or grid_names(raw.names[1:]) is not None:
        return
    pair = next(((i, t) for i, t in _pairs(raw) if _is_long_by(raw, i, t)), None)
    if pair is None:
        return
    rest = [name for name in raw.names if name not in pair]
    order = [*pair, *rest]
    call = "--long" if order == raw.names else f"--long --columns {','.join(order)}"
    several = " (more than one column of values: one component each)" if len(rest) > 1 else ""
    raise DataError(
        f"{raw.source} looks like a long table: {pair[0]!r} holds each name again and again, with another {pair[1]!r} "
        f"each time. Pass {call}, which reads the columns as id, t and value{several}; a table with a row for each "
        f"curve is told by --drop {pair[0]}."
    )


def _pairs(raw: RawTable) -> list[tuple[str, str]]:
    first = raw.names[:3]
    return [(i, t) for i in first for t in first if i != t]


def _is_long_by(raw: RawTable, ids: str, t: str) -> bool:
    """Tell whether a column has names that occur again, and another a point that is new each time."""
    names, points = (raw.columns[raw.names.index(name)] for name in (ids, t))
    if isinstance(points, list):
        return False
    if not isinstance(names, list) and not np.array_equal(names, np.round(names)):
        return False
    labels, place, counts = np.unique(np.asarray(names), return_inverse=True, return_counts=True)
    if len(labels) < 2 or counts.min() < 3 or not _all_new(place, points):
        return False
    if len(np.unique(points)) <= 0.5 * len(points):
        return not np.array_equal(points, place) and (isinstance(names, list) or len(np.unique(points)) > 2)
    order = np.argsort(place, kind="stable")
    same = np.diff(place[order]) == 0
    return bool((np.diff(points[order])[same] > 0).all())


def _all_new(place: np.ndarray, points: FloatArray) -> bool:
    """Tell whether no name has a point twice."""
    return len({*zip(place.tolist(), points.tolist())}) == len(points)


def _by_name(names: list[str]) -> Columns | None:
    """Return the columns of a long table by their names; None where these do not say."""
    if len(names) not in (3, 4):
        return None
    folded = {name: name.strip().casefold() for name in names}
    found: list[str] = []
    for pattern in (ID, TIME, _VALUE, _COMPONENT)[: len(names)]:
        name = next((n for n, f in folded.items() if pattern.match(f) and n not in found), None)
        if name is None:
            return None
        found.append(name)
    return Columns(found[0], found[1], (found[2],), found[3] if len(found) == 4 else None)


def _columns_of(raw: RawTable) -> Columns:
    """Return the columns of a long table: by name, else by place: id, t, then value, or values side by side."""
    found = _by_name(raw.names)
    if found is not None:
        return found
    names = raw.names
    if len(names) >= 3 and grid_names(names[1:]) is None:
        ids, points = (raw.columns[raw.names.index(name)] for name in names[:2])
        several = len(names) > 3 and len({*zip(list(ids), list(points))}) == raw.n_rows
        if len(names) == 3 or (several and 2 * len(set(ids)) <= raw.n_rows):
            return Columns(names[0], names[1], tuple(names[2:]))
        if len(names) == 4:
            return Columns(names[0], names[1], (names[2],), names[3])
    raise DataError(
        f"{raw.source} has {plural(len(names), 'column')} ({brief(names)}); a long table of curves has three, id, t "
        "and value, or four, with component, or a column for each component after id and t. Choose and order them with "
        "--columns; a wide table, a row a curve, needs no --long."
    )


def without_index(raw: RawTable) -> tuple[RawTable, tuple[str, ...]]:
    """Return a table without an unnamed first column that counts the rows, and a note if there was one."""
    if not is_unnamed(raw) or not counts_rows(raw.columns[0]):
        return raw, ()
    bare = replace(raw, names=raw.names[1:], columns=raw.columns[1:], header=(raw.header or ())[1:])
    return bare, ("the first column has no name and counts the rows: it is left out",)


def _chosen(raw: RawTable, options: Any) -> tuple[RawTable, tuple[str, ...]]:
    """Return the columns of a long table that the options name, in their order."""
    for option in ("index", "labels"):
        if getattr(options, option) is not None:
            raise DataError(
                f"--{option} is for wide tables; {raw.source} is read as a long one: id, t, value."
            )
    note: tuple[str, ...] = ()
    wanted = split_names(options.columns) if options.columns else None
    unwanted = split_names(options.drop) if options.drop else []
    if wanted is None:
        bare, note = without_index(raw)
        raw, note = (raw, ()) if unwanted and set(unwanted) - set(bare.names) else (bare, note)
    missing = [name for name in [*(wanted or []), *unwanted] if name not in raw.names]
    if missing:
        raise DataError(f"{raw.source} has no column {missing[0]!r}. The columns are {brief(raw.names, 12)}.")
    keep = [name for name in (wanted or raw.names) if name not in unwanted]
    return replace(raw, names=keep, columns=[raw.columns[raw.names.index(name)] for name in keep]), note


def read_long(raw: RawTable, options: Any) -> dict[str, Any]:
    """Return the fields of a `CurveTable` of a table with a row for each point."""
    raw, notes = _chosen(raw, options)
    found = _columns_of(raw)
    cells = dict(zip(raw.names, raw.columns))
    ids = _texts(cells[found.ids])
    t = _long_numbers(raw, found, found.t, ids)
    values = np.concatenate([_long_numbers(raw, found, name, ids) for name in found.values])
    parts = (
        [name for name in found.values for _ in ids]
        if found.component is None
        else _texts(cells[found.component])
    )
    k = len(found.values)
    grid, at = np.unique(t, return_inverse=True)
    curves, components = list(dict.fromkeys(ids)), list(dict.fromkeys(parts))
    place = {name: j for j, name in enumerate(curves)}, {name: j for j, name in enumerate(components)}
    where = (
        np.tile([place[0][name] for name in ids], k), np.tile(at, k), np.array([place[1][name] for name in parts])
    )  # fmt: skip
    shape = (len(curves), grid.size, len(components))
    counts = np.zeros(shape, dtype=int)
    np.add.at(counts, where, 1)
    _check_common(raw.source, counts, curves, grid, components)
    X = np.empty(shape)
    X[where] = values
    return {
        "source": raw.source, "X": X[:, :, 0] if len(components) == 1 else X, "names": [f"{v:.12g}" for v in grid],
        "row_names": curves, "index": found.ids, "grid": grid, "argument": found.t, "notes": notes,
        "components": tuple(components) if len(components) > 1 else (),
    }  # fmt: skip


def _texts(column: Any) -> list[str]:
    if isinstance(column, list):
        return [cell.strip() for cell in column]
    return [repr(int(value)) if float(value).is_integer() else repr(float(value)) for value in column]


def _long_numbers(raw: RawTable, found: Columns, name: str, ids: list[str]) -> FloatArray:
    """Return a column of a long table as finite numbers; the message names the curve."""
    column = raw.columns[raw.names.index(name)]
    if isinstance(column, list):
        k = next(k for k, c in enumerate(column) if not is_number(c) and c.strip().casefold() not in MISSING)
        text = column[k].strip()
        raise DataError(
            f"{raw.source}: column {name!r} holds text: {raw.at(k)}, curve {ids[k]!r}, is {text!r}. {_cure(text)}"
        )
    bad = np.flatnonzero(~np.isfinite(column))
    if bad.size:
        k = int(bad[0])
        times = raw.columns[raw.names.index(found.t)][k]
        at = "" if isinstance(times, str) or name == found.t else f" at t = {times:g}"
        raise DataError(
            f"{raw.source}: curve {ids[k]!r} has no number in column {name!r}{at} ({raw.at(k)}; "
            f"{plural(bad.size, 'such row')}). Leave these rows out if the curves then still share their grid, or "
            "interpolate first."
        )
    return np.asarray(column, dtype=float)


def _cure(text: str) -> str:
    """Say what to do about a cell that is no number."""
    if _COMMA_NUMBER.match(text):
        return "Numbers are written with a decimal point, here and in the other columns."
    if _DATE.match(text):
        return "Dates are not read as times: write numbers, days since the first for example."
    return (
        "A long table has numbers in t and value; its columns are id, t, value in this order, or have these names. "
        "Choose and order them with --columns."
    )


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
