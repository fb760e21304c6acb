"""Results as files: checked before the work, written whole or not at all."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from .._files import is_special, replacing, write_text

__all__ = ["SUFFIXES", "check_output", "replacing", "write_columns", "write_text"]

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")


def check_output(path: str | None, option: str, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Raise before any work is done when `path` cannot be written or its ending is not known."""
    if path is None or path == "-":
        return
    if os.path.isdir(path):
        raise ValueError(f"{option} {path!r} is a folder; name a file in it.")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise ValueError(f"{option} {path!r}: there is no folder {folder!r}. Create it first.")
    if is_special(path):
        return
    if not path.lower().endswith(tuple(suffixes)):
        raise ValueError(f"{option} {path!r} must end in one of {', '.join(suffixes)}.")
    if not os.access(folder, os.W_OK) or (os.path.exists(path) and not os.access(path, os.W_OK)):
        raise ValueError(f"{option} {path!r} cannot be written: permission denied.")
    if path.lower().endswith((".parquet", ".pq")):
        _parquet()


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            "Writing Parquet needs pyarrow: pip install pyarrow, or pip install 'fmahal[experiments]'."
        ) from None
    return pyarrow


def write_columns(path: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a table given by columns: CSV, TSV or Parquet by the ending; ``-`` is CSV on standard output."""
    if path == "-":
        _write_delimited(sys.stdout, columns, ",")
        return
    with replacing(path) as temporary:
        if path.lower().endswith((".parquet", ".pq")):
            arrow = _parquet()
            data = {name: _typed(values) for name, values in columns.items()}
            arrow.parquet.write_table(arrow.table(data), temporary)
            return
        mark = "\t" if path.lower().endswith(".tsv") else ","
        with open(temporary, "w", encoding="utf-8", newline="") as stream:
            _write_delimited(stream, columns, mark)


def _typed(values: Sequence[Any]) -> Any:
    return values if isinstance(values, np.ndarray) else list(values)


def _write_delimited(stream: TextIO, columns: Mapping[str, Sequence[Any]], mark: str) -> None:
    writer = csv.writer(stream, delimiter=mark, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(values) for values in columns.values())))


def _cells(values: Sequence[Any]) -> list[Any]:
    """Python objects whose text reads back to the same value (shortest round-trip floats)."""
    cells = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return [("true" if cell else "false") if isinstance(cell, bool) else cell for cell in cells]
