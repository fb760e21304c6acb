"""``fmahal datasets``: list, describe, export."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

import numpy as np

from . import _console, _write
from ._io import dataset_table, load_dataset
from ._table import plural


def run_datasets(options: argparse.Namespace) -> int:
    """List the bundled data sets, or describe or export one."""
    if options.name is None:
        if options.csv or options.with_outlier:
            raise ValueError("Name the data set to export: fmahal datasets NAME --csv FILE.csv")
        return _list(options.json)
    dataset = load_dataset(options.name)
    if options.csv:
        return _export(dataset, options.csv, options.with_outlier)
    if options.json:
        print(json.dumps(_record(dataset), indent=2))
        return 0
    _describe(dataset)
    return 0


def _list(as_json: bool) -> int:
    from ..datasets import dataset_summaries

    records = dataset_summaries()
    if as_json:
        print(json.dumps(records, indent=2))
        return 0
    rows = [
        (r["name"], r["n"], r["p"], "" if r["outliers"] is None else r["outliers"], r["summary"])
        for r in records
    ]
    headings: list[Any] = [
        "name",
        ("rows", "right"),
        ("columns", "right"),
        ("outliers", "right"),
        "what it is",
    ]
    screen = _console.console()
    _console.show(screen, _console.table(headings, rows))
    screen.print("fmahal datasets NAME describes one; fmahal detect NAME analyses it.", markup=False)
    return 0


def _record(dataset: Any) -> dict[str, Any]:
    n, p = dataset.data.shape
    outliers = None if dataset.outliers is None else (np.flatnonzero(dataset.outliers) + 1).tolist()
    fields = ("name", "source", "licence", "citation")
    return {field: dataset[field] for field in fields} | {
        "n": n,
        "p": p,
        "columns": list(dataset.feature_names),
        "outlier_rows": outliers,
        "description": dataset.DESCR,
    }


def _describe(dataset: Any) -> None:
    n, p = dataset.data.shape
    known = (
        "" if dataset.outliers is None else f", {int(dataset.outliers.sum())} of the rows known as outliers"
    )
    print(f"{dataset.name}: {plural(n, 'row')}, {plural(p, 'column')}{known}\n")
    for paragraph in str(dataset.DESCR).strip().split("\n"):
        print(textwrap.fill(paragraph, 100, subsequent_indent="" if ":" not in paragraph[:9] else "  "))
    print(f"\n{textwrap.fill('Columns: ' + ', '.join(dataset.feature_names), 100, subsequent_indent='  ')}")


def _export(dataset: Any, path: str, with_outlier: bool) -> int:
    _write.check_output(path, "--csv", (".csv", ".tsv"))
    if with_outlier and dataset.outliers is None:
        raise ValueError(f"Data set {dataset.name!r} has no known outliers; leave --with-outlier out.")
    raw = dataset_table(dataset)
    columns: dict[str, Any] = dict(zip(raw.names, raw.columns))
    if with_outlier:
        columns["outlier"] = np.asarray(dataset.outliers, dtype=int)
    _write.write_columns(path, columns)
    if path != "-":
        extra = " --index name" if raw.index else ""
        extra += " --labels outlier" if with_outlier else ""
        print(f"{path}: {plural(raw.n_rows, 'row')}. Analyse it with: fmahal detect {path}{extra}")
    return 0
