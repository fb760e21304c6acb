"""From the columns of a file to a matrix that a covariance can be fitted on."""

from __future__ import annotations

import csv
import difflib
import re
import shlex
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .._typing import FloatArray
from ..exceptions import DataError

STDIN = "standard input"
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", ".", "?"})
SED = "sed 's/,/./g'"
_LABEL_NAME = re.compile(
    r"(^|[^a-z])(is_?)?(outliers?|labels?|targets?|anomal(y|ies|ous)|fault\w*|fraud\w*|class|y)($|[^a-z])"
)
_COMMA_NUMBER = re.compile(r"[+-]?[\d.]*,\d+$")


@dataclass(frozen=True)
class RawTable:
    """Columns as they were read: numbers as float64 vectors, anything else as lists of text.

    `lines` holds the line of the file on which each row stands, None where a format has no lines. `header` holds the
    cells of the header as they stand there, None without one.
    """

    source: str
    names: list[str]
    columns: list[FloatArray | list[str]]
    lines: Sequence[int] | None = None
    index: str | None = None
    delimiter: str | None = None
    header: tuple[str, ...] | None = None

    @property
    def n_rows(self) -> int:
        """Number of data rows."""
        return len(self.columns[0]) if self.columns else 0

    def at(self, row: int) -> str:
        """Say where a row (counted from 0) stands, in the user's terms."""
        line = f" (line {self.lines[row]})" if self.lines is not None else ""
        return f"row {row + 1}{line}"


@dataclass(frozen=True)
class Table:
    """A numeric table ready for fitting. Rows are numbered from 1 wherever a user sees them."""

    source: str
    X: FloatArray
    names: list[str]
    row_names: list[str] | None = None
    index: str | None = None
    outliers: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    summary: str = ""

    @property
    def row_labels(self) -> list[str]:
        """Row names, or row numbers from 1."""
        return self.row_names or [str(k + 1) for k in range(self.X.shape[0])]


def suggest(name: str, options: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``" Did you mean 'a' or 'b'?"``, or an empty string when nothing is near."""
    known = list(options)
    folded = {option.casefold(): option for option in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=cutoff)
    return f" Did you mean {' or '.join(repr(folded[match]) for match in near)}?" if near else ""


def plural(count: int, noun: str) -> str:
    """Return "1 row", "2 rows"."""
    return f"{count} {noun}{'s'[: count != 1]}"


def through(command: str, source: str) -> str:
    """Return the shell line that passes the input through `command` before it is analysed."""
    start = "... | " + command if source == STDIN else f"{command} {shlex.quote(source)}"
    return f"{start} | fmahal detect -"


def brief(names: Sequence[str], limit: int = 8) -> str:
    """Join names with commas, at most `limit` of them."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more


def split_names(text: str) -> list[str]:
    """Split ``a,b,"c, d"`` at its commas; quotes protect commas inside a name."""
    names = next(csv.reader([text], skipinitialspace=True), [])
    return [name.strip() for name in names if name.strip()]


def is_number(text: str) -> bool:
    """Tell whether a cell reads as a number (NaN and infinity included)."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def to_numbers(cells: Sequence[str]) -> FloatArray | None:
    """Return the cells as float64, missing markers as NaN; None when a cell is text."""
    try:
        values = np.array(list(map(float, cells)), dtype=np.float64)
    except ValueError:
        values = np.empty(len(cells))
        for k, cell in enumerate(cells):
            text = cell.strip()
            if text.casefold() in MISSING:
                values[k] = np.nan
            elif is_number(text):
                values[k] = float(text)
            else:
                return None
        return values
    # float() reads "1_000" as a number; in a data file the underscore is a slip
    return None if any("_" in cell for cell in cells) else values


def _names_in(raw: RawTable, text: str | None, option: str) -> list[str]:
    names = split_names(text) if text else []
    for name in names:
        _check_column(raw, name, option)
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise DataError(f"{option} names {brief(twice)} more than once.")
    return names


def _check_column(raw: RawTable, name: str, option: str) -> None:
    if name not in raw.names:
        near = suggest(name, raw.names)
        listing = "" if near else f" The columns are {brief(raw.names, 12)}."
        raise DataError(f"{raw.source} has no column {name!r} ({option}).{near}{listing}")


def choose(
    raw: RawTable,
    *,
    columns: str | None = None,
    drop: str | None = None,
    index: str | None = None,
    labels: str | None = None,
    finite: bool = True,
) -> Table:
    """Pick the columns to analyse; numeric and, unless told not to look, finite, or an error says where not."""
    wanted, unwanted = _names_in(raw, columns, "--columns"), _names_in(raw, drop, "--drop")
    for name, option in ((index, "--index"), (labels, "--labels")):
        if name is not None:
            _check_column(raw, name, option)
            if name in wanted:
                raise DataError(f"Column {name!r} is named by both --columns and {option}; keep one.")
    index = index if index is not None else raw.index
    rest = [name for name in raw.names if name not in (index, labels)]
    chosen = [name for name in (wanted or rest) if name not in unwanted]
    if not chosen:
        raise DataError(f"{raw.source}: no column is left to analyse; the file has {brief(raw.names, 12)}.")
    by_name = dict(zip(raw.names, raw.columns))
    for name in chosen:
        if isinstance(by_name[name], list):
            raise DataError(_text_message(raw, name, chosen))
    X = np.empty((raw.n_rows, len(chosen)))
    for j, name in enumerate(chosen):
        X[:, j] = by_name[name]
    if finite:
        _check_finite(raw, X, chosen)
    if labels is None and not wanted:
        _note_labels(X, chosen)
    outliers, note = _outlier_mask(raw, labels) if labels is not None else (None, "")
    row_names = _as_text(by_name[index]) if index is not None else None
    return Table(raw.source, X, chosen, row_names, index, outliers, (note,) if note else ())


def _note_labels(X: FloatArray, names: list[str]) -> None:
    """Warn about columns that look like marks of known outliers, of which distances must not know."""
    for j, name in enumerate(names):
        if not _LABEL_NAME.search(name.casefold()):
            continue
        ones = np.count_nonzero(X[:, j] == 1)
        if 0 < ones <= 0.3 * len(X) and ones + np.count_nonzero(X[:, j] == 0) == len(X):
            warnings.warn(
                f"column {name!r} holds only 0 and 1 and is analysed like the others; if its ones mark known "
                f"outliers, pass --labels {_join([name])}",
                stacklevel=2,
            )


def _as_text(column: FloatArray | list[str]) -> list[str]:
    if isinstance(column, list):
        return [cell.strip() for cell in column]
    return [repr(int(value)) if float(value).is_integer() else repr(float(value)) for value in column]


def _text_message(raw: RawTable, name: str, chosen: list[str]) -> str:
    column = raw.columns[raw.names.index(name)]
    bad = [
        k for k, cell in enumerate(column) if cell.strip().casefold() not in MISSING and not is_number(cell)
    ]
    value = str(column[bad[0]]).strip()
    message = f"{raw.source}: column {name!r} holds text: {raw.at(bad[0])} is {value!r}"
    if _COMMA_NUMBER.match(value):
        fix = "Write numbers with a decimal point and without thousands separators"
        if raw.delimiter in (";", "\t", "|"):
            fix += f" (and pass all options again), for example: {through(SED, raw.source)}"
        return f"{message}, a number with a comma. {fix}"
    if "\n" in value:
        return f"{message}, a cell of several lines: look for a quote that is not closed."
    is_text = {name: isinstance(column, list) for name, column in zip(raw.names, raw.columns)}
    numeric, text = ([c for c in chosen if is_text[c] is kind] for kind in (False, True))
    message += f" ({len(bad)} such cells)." if len(bad) > 1 else "."
    if len(bad) < 0.2 * raw.n_rows:
        message += " Correct the cell, or leave"
    else:
        message += " Leave"
    option = f"--columns {_join(numeric)}" if 0 < len(numeric) <= 6 else f"--drop {_join(text)}"
    message += f" the column out with {option}"
    return message + (f", or name the rows by it with --index {_join([name])}." if len(text) == 1 else ".")


def _join(names: Sequence[str]) -> str:
    """Names as one shell word that `split_names` reads back."""
    inner = ",".join(f'"{name}"' if "," in name else name for name in names)
    return inner if re.fullmatch(r"[\w.,:+-]+", inner) else "'" + inner.replace("'", "'\\''") + "'"


def _check_finite(raw: RawTable, X: FloatArray, names: list[str]) -> None:
    if np.isfinite(np.sum(X)):
        return
    bad = ~np.isfinite(X)
    if not bad.any():
        return
    columns = [names[j] for j in np.flatnonzero(bad.any(axis=0))]
    row = int(np.flatnonzero(bad.any(axis=1))[0])
    name = names[int(np.flatnonzero(bad[row])[0])]
    kinds = [
        kind
        for kind, mask in (("missing values (NaN)", np.isnan(X)), ("infinite values", np.isinf(X)))
        if mask.any()
    ]
    cells, rows = plural(int(bad.sum()), "cell"), plural(int(bad.any(axis=1).sum()), "row")
    empty = [names[j] for j in np.flatnonzero(bad.all(axis=0))]
    fix = "Remove or impute these rows first (nothing is dropped silently)"
    if len(columns) < len(names) and len(columns) <= 8:
        fix += f", or leave the columns out with --drop {_join(columns)}"
    raise DataError(
        f"{raw.source} has {' and '.join(kinds)}: {cells} in {rows}, first in "
        f"{raw.at(row)}, column {name!r}; columns concerned: {brief(columns)}."
        + (f" Nothing at all is in {brief(empty)}." if empty else "")
        + f" {fix}."
    )


def _outlier_mask(raw: RawTable, name: str) -> tuple[np.ndarray, str]:
    """Return the rows with the rarer of two values; of equally frequent ones the later in order."""
    column = raw.columns[raw.names.index(name)]
    values = np.array(_as_text(column) if isinstance(column, list) else column)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise DataError(f"{raw.source}: label column {name!r} has missing values; give every row a label.")
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) != 2:
        raise DataError(
            f"{raw.source}: label column {name!r} has {len(levels)} distinct values; it must have two, "
            "one of which marks the outliers (the rarer one)."
        )
    rare = levels[0] if counts[0] < counts[1] else levels[1]
    shown = f"{rare:g}" if values.dtype.kind == "f" else str(rare)
    count = int(counts.min())
    known = "the outlier is the 1 row" if count == 1 else f"outliers are the {count} rows"
    return values == rare, f"{known} with {name} = {shown}, the rarer value"


def check_table(table: Table, *, allow_degenerate: bool = False) -> None:
    """Raise `DataError` on fewer than two rows, and on constant or duplicate columns unless allowed."""
    n = table.X.shape[0]
    if n < 2:
        raise DataError(f"{table.source} has {plural(n, 'row')} of data; a covariance needs at least two.")
    if allow_degenerate:
        return
    constant, twins = degenerate_columns(table.X)
    if not constant and not twins:
        return
    parts = []
    if constant:
        parts.append(f"constant columns: {brief([table.names[j] for j in constant])}")
    if twins:
        pairs = [f"{table.names[j]!r} (equals {table.names[i]!r})" for j, i in twins[:8]]
        more = f" and {len(twins) - 8} more" if len(twins) > 8 else ""
        parts.append(f"duplicate columns: {', '.join(pairs)}{more}")
    bad = [table.names[j] for j in (*constant, *(j for j, _ in twins))]
    drop = f"--drop {_join(bad)}" if len(bad) <= 8 else "--drop"
    raise DataError(
        f"{table.source} has {'; '.join(parts)}. Leave them out with {drop}, or pass --allow-degenerate: "
        "distances are then measured inside the span of the data."
    )


def degenerate_columns(X: FloatArray) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the constant columns, and pairs (later, earlier) of columns equal in every row."""
    constant = np.flatnonzero(X.max(axis=0) == X.min(axis=0)).tolist()
    first: dict[bytes, int] = {}
    twins = []
    skip = set(constant)
    for j in range(X.shape[1]):
        if j in skip:
            continue
        key = (X[:, j] + 0.0).tobytes()  # + 0.0 turns -0.0 into 0.0
        i = first.setdefault(key, j)
        if i != j:
            twins.append((j, i))
    return constant, twins
