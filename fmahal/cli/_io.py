"""Reading tables: delimited text, Parquet, standard input, bundled data sets."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import IO, TextIO

import numpy as np

from ..exceptions import DataError
from ._table import (
    MISSING,
    STDIN,
    RawTable,
    Table,
    brief,
    choose,
    degenerate_columns,
    is_number,
    plural,
    suggest,
    through,
    to_numbers,
)

DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma", " ": "space"}
_WORDS = {word: mark for mark, word in DELIMITERS.items()} | {"\\t": "\t", "whitespace": " "}
_SAMPLE_LINES = 40
_SAMPLE_CHARACTERS = 1_000_000
_FOREIGN = {b"PK\x03\x04": "an Excel or zip file", b"\x1f\x8b": "a gzip file", b"\x89HDF": "an HDF5 file"}


def load(
    file: str,
    *,
    columns: str | None = None,
    drop: str | None = None,
    index: str | None = None,
    labels: str | None = None,
    delimiter: str | None = None,
    header: str = "auto",
    keep_constant: bool = False,
) -> Table:
    """Return the numeric table in a file, on standard input (``-``) or in a bundled data set.

    A file of that name comes first, then the data sets. Constant columns of a data set are left out with a
    note, unless the caller names columns or keeps them; those of a file are for its owner to decide about.
    """
    dataset, raw = dataset_of(file)
    if raw is not None:
        table = choose(raw, columns=columns, drop=drop, index=index, labels=labels)
        table = replace(table, summary=next(iter(str(dataset.DESCR).splitlines()), ""))
        if labels is None and dataset.outliers is not None:
            table = replace(table, outliers=np.asarray(dataset.outliers, bool))
        return table if columns or keep_constant else _without_constant(table)
    raw = read_table(file, delimiter=delimiter, header=header)
    return choose(raw, columns=columns, drop=drop, index=index, labels=labels)


def dataset_of(file: str):
    """Return a bundled data set and its table; None, None where `file` is a file or standard input."""
    if file == "-" or os.path.lexists(file):
        return None, None
    dataset = load_dataset(file)
    return dataset, dataset_table(dataset)


def _without_constant(table: Table) -> Table:
    constant, _ = degenerate_columns(table.X)
    if not constant:
        return table
    note = f"{plural(len(constant), 'constant column')} left out: {brief([table.names[j] for j in constant])}"
    names = [name for j, name in enumerate(table.names) if j not in constant]
    return replace(table, X=np.delete(table.X, constant, axis=1), names=names, notes=(*table.notes, note))


def dataset_table(dataset) -> RawTable:
    """Return a bundled data set as a table; its row names become the index column ``name``."""
    names = [str(name) for name in dataset.feature_names]
    cells: list = [np.asarray(column, dtype=np.float64) for column in np.asarray(dataset.data).T]
    index = None
    numbers = [str(k + 1) for k in range(len(dataset.data))]
    if dataset.row_names is not None and list(map(str, dataset.row_names)) != numbers:
        index = "name"
        names, cells = [index, *names], [[str(row) for row in dataset.row_names], *cells]
    return RawTable(str(dataset.name), names, cells, index=index)


def load_dataset(name: str):
    """Return a bundled data set; an unknown name is an error that names near ones."""
    if os.sep in name or re.search(r"\.\w{1,8}$", name):
        raise DataError(f"There is no file {name!r}{_near_file(name)}")
    from .. import datasets

    known = list(datasets.list_datasets())
    key = name.strip().lower().replace("_", "-")
    if key in known:
        return datasets.load_dataset(key)
    near = suggest(name, known) or f" Bundled data sets: {', '.join(known)}."
    raise DataError(f"There is neither a file nor a bundled data set named {name!r}.{near}")


def _near_file(path: str) -> str:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f": there is no folder {folder!r}."
    near = suggest(os.path.basename(path), os.listdir(folder))
    return f" in {folder!r}.{near}" if near else "."


def read_table(file: str, *, delimiter: str | None = None, header: str = "auto") -> RawTable:
    """Read a delimited text or Parquet file; ``-`` is standard input.

    Parameters
    ----------
    file : str
        Path, or ``-``.
    delimiter : str, optional
        One character or one of the words tab, comma, semicolon, pipe, space; sniffed by default. A space
        stands for any run of blanks.
    header : {"auto", "yes", "no"}
        Whether the first row holds the names; "auto" says yes when a cell of it is not a number.
    """
    source = STDIN if file == "-" else file
    if file != "-" and os.path.isdir(file):
        raise DataError(f"{source!r} is a folder; name a file in it.")
    try:
        with _open(file) as stream:
            start = stream.read(8192)
            stream.seek(0)
            if start[:4] == b"PAR1":
                return _read_parquet(stream, source)
            _refuse_binary(start, file, source)
            wide = start[:2] in (b"\xff\xfe", b"\xfe\xff")
            text = io.TextIOWrapper(stream, encoding="utf-16" if wide else "utf-8-sig", newline="")
            return _read_text(text, source, _delimiter(delimiter), header)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8, for "
            f"example: {through('iconv -f latin1 -t utf-8', source)}"
        ) from None
    except OSError as error:
        raise DataError(f"Cannot read {source}: {error.strerror or error}.") from None


def _open(file: str) -> IO[bytes]:
    """Open for reading from the start as often as needed: pipes are read into memory."""
    if file == "-":
        return io.BytesIO(sys.stdin.buffer.read())
    stream = open(file, "rb")  # noqa: SIM115 (the caller closes it)
    if stream.seekable():
        return stream
    with stream:
        return io.BytesIO(stream.read())


def _refuse_binary(start: bytes, file: str, source: str) -> None:
    if not start.strip():
        raise DataError(f"{source} is empty: expected rows of numbers, with or without a header.")
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise DataError(f"{source} is {what}, not a table in text. Export it as CSV first.")
    if file.lower().endswith((".parquet", ".pq")):
        raise DataError(f"{source} is not a Parquet file: its first bytes are not PAR1.")
    if b"\0" in start and start[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{source} is a binary file, not a table in text. Export it as CSV or Parquet first.")


def _delimiter(text: str | None) -> str | None:
    if text is None:
        return None
    mark = _WORDS.get(text.lower(), text)
    if len(mark) != 1 or mark in '"\r\n':
        raise ValueError(
            f"--delimiter takes one character or one of {', '.join(DELIMITERS.values())}, got {text!r}."
        )
    return mark


def _split(lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of every line that is not blank."""
    if delimiter == " ":
        for number, line in enumerate(lines, 1):
            fields = line.split()
            if fields:
                yield number, [field.strip('"') for field in fields]
        return
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for fields in reader:
            if fields and (len(fields) > 1 or fields[0].strip()):
                yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(f"Line {reader.line_num} cannot be split into fields: {error}.") from None


def sniff(lines: list[str]) -> str | None:
    """Return the delimiter that splits most lines into as many fields as the first, None for one column.

    Ties go to the marks that turn up least inside fields: tab, semicolon, pipe, comma, blanks.
    """
    best, best_share = None, 0.5
    for mark in DELIMITERS:
        try:
            counts = [len(fields) for _, fields in _split(lines, mark)]
        except DataError:
            continue
        if not counts or counts[0] < 2:
            continue
        share = sum(count == counts[0] for count in counts) / len(counts)
        if share > best_share:
            best, best_share = mark, share
    return best


def _read_text(text: TextIO, source: str, delimiter: str | None, header: str) -> RawTable:
    sample = list(islice(text, _SAMPLE_LINES))
    while len(sample) > 2 and sum(map(len, sample)) > _SAMPLE_CHARACTERS:
        sample.pop()
    mark = delimiter if delimiter is not None else sniff(sample)
    head = list(islice(_split(sample, mark or ","), 2))
    if not head:
        raise DataError(f"{source} is empty: it has blank lines only.")
    named = _has_header(head[0][1], header)
    if len(head[0][1]) == 1:
        _check_single(head[0][1][0], source, mark, sniff(sample))
    text.seek(0)
    if named and len(head) == 1:
        raise DataError(f"{source} has a header and no rows.")
    names = _names(head[0][1]) if named else [f"x{j}" for j in range(len(head[0][1]))]
    header_cells = tuple(head[0][1]) if named else None
    columns = _parse_fast(text, mark, head[0][0] if named else 0, len(names))
    if columns is not None:
        return RawTable(source, names, columns, None, delimiter=mark, header=header_cells)
    text.seek(0)
    return replace(_parse_with_care(text, source, mark or ",", names, named), header=header_cells)


def _has_header(fields: list[str], header: str) -> bool:
    if header != "auto":
        return header == "yes"
    numeric = [is_number(field) for field in fields]
    missing = [field.strip().casefold() in MISSING for field in fields]
    named = not all(a or b for a, b in zip(numeric, missing))
    if not named:
        warnings.warn(
            "no header: the first row is numeric and taken as data, the columns are x0, x1, ...; "
            "--header yes makes it names",
            stacklevel=2,
        )
    elif any(numeric):
        warnings.warn(
            f"the first row is taken as column names, since it holds text ({brief(fields, 4)}); "
            "--header no makes it data",
            stacklevel=2,
        )
    return named


def _check_single(field: str, source: str, mark: str | None, sniffed: str | None) -> None:
    """Refuse one column that another delimiter would split."""
    inside = [other for other in DELIMITERS if other not in (mark, " ") and other in field]
    other = sniffed if sniffed != mark and sniffed is not None else next(iter(inside), None)
    if other is not None:
        raise DataError(
            f"Wrong delimiter? {source} has a single column {field.strip()!r} when split at "
            f"{DELIMITERS.get(mark or ',', mark)!r}. Pass --delimiter {DELIMITERS[other]}."
        )


def _names(fields: list[str]) -> list[str]:
    """Column names: blanks become x0, x1, ...; a name used twice gets .1, .2, ..."""
    names: dict[str, None] = {}
    renamed = []
    for j, field in enumerate(fields):
        name = base = field.strip() or f"x{j}"
        count = 0
        while name in names:
            count += 1
            name = f"{base}.{count}"
        if count:
            renamed.append(name)
        names[name] = None
    if renamed:
        warnings.warn(f"column names that occur twice were renamed: {brief(renamed)}", stacklevel=2)
    return list(names)


def _parse_fast(text: TextIO, mark: str | None, skip: int, p: int) -> list | None:
    """Parse an all-numeric finite table in C; None sends anything else to the reader that explains."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            X = np.loadtxt(
                text,
                delimiter=None if mark == " " else (mark or ","),
                skiprows=skip,
                comments=None,
                quotechar='"',
                ndmin=2,
            )
    except (ValueError, UserWarning):
        return None
    if X.shape[1] != p or not np.isfinite(np.sum(X)):
        return None
    return list(X.T)


def _parse_with_care(text: TextIO, source: str, mark: str, names: list[str], named: bool) -> RawTable:
    rows: list[list[str]] = []
    lines: list[int] = []
    width = len(names)
    for number, fields in _split(text, mark):
        if named:
            named = False
            continue
        if len(fields) != width:
            raise DataError(_ragged_message(source, number, len(fields), names, mark, first=not rows))
        rows.append(fields)
        lines.append(number)
    columns: list = []
    for cells in zip(*rows):
        numbers = to_numbers(cells)
        columns.append(list(cells) if numbers is None else numbers)
    return RawTable(source, names, columns, lines, delimiter=mark)


def _ragged_message(source: str, line: int, got: int, names: list[str], mark: str, *, first: bool) -> str:
    message = (
        f"{source}: line {line} has {plural(got, 'field')} where the first line has {len(names)} "
        f"(split at {DELIMITERS.get(mark, mark)!r})."
    )
    if first and got == len(names) + 1:
        return (
            f"{message} The first column seems to lack a name: add one to the header and pass it to --index."
        )
    return f"{message} Correct that line; if the file is split wrongly, pass --delimiter."


def _read_parquet(stream: IO[bytes], source: str) -> RawTable:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            f"{source} is a Parquet file, which needs pyarrow: pip install pyarrow, or "
            "pip install 'fmahal[experiments]'."
        ) from None
    from pyarrow import ArrowException, types

    try:
        data = pq.read_table(io.BytesIO(stream.read()))
    except (ArrowException, OSError) as error:
        raise DataError(f"{source} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    columns: list = []
    for column in data.columns:
        kind = column.type
        if (
            types.is_boolean(kind)
            or types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_decimal(kind)
        ):
            columns.append(column.cast("float64").to_numpy())
        else:
            columns.append(["" if cell is None else str(cell) for cell in column.to_pylist()])
    names = [str(name) for name in data.column_names]
    if not columns or data.num_rows == 0:
        raise DataError(f"{source} has no rows.")
    index = next((name for name in names if name.startswith("__index_level_")), None)
    return RawTable(source, names, columns, index=index, header=tuple(names))
