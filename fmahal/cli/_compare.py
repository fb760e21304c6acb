"""``fmahal compare``: the estimators side by side on one table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from . import _console, _params, _write
from ._detect import check_report, read
from ._pairs import Comparison, Pair, Plan, compare, warm
from ._table import Table

DEFAULT_DATASET = "breast-cancer"
_AGREEMENT = (
    "agreement: mean overlap of the flagged rows with those of each other scatter "
    "(Jaccard index: rows flagged by both over rows flagged by either)"
)
_FIT_TIME = "fit time: one fit, distances and p-values, with one BLAS thread"
_AUTO = "*: the null that 'auto' picks for this scatter"


def run_compare(options: argparse.Namespace) -> int:
    """Run all pairs and print, write or report their table."""
    _params.check_alpha(options.alpha)
    if not options.budget >= 0:
        raise ValueError(f"--budget takes seconds, at least 0; got {options.budget:g}.")
    settings = _params.parse_settings(options.set)
    _write.check_output(options.out, "--out")
    check_report(options.report)
    options.file = options.file or DEFAULT_DATASET
    table = read(options)
    plan = _plan(options, settings, table)
    with _console.Progress(total=len(plan.scatters)) as progress:
        progress.say("loading")
        warm(plan.scatters)
        result = compare(plan, progress.say, progress.step)
    if not result.ran and not result.interrupted:
        reasons = "; ".join(f"{what}: {why}" for what, why in result.left_out())
        raise ValueError(f"{table.source}: nothing could be compared. {reasons}")
    _output(options, table, result)
    return 130 if result.interrupted else 0


def _plan(options: argparse.Namespace, settings: dict[str, Any], table: Table) -> Plan:
    scatters, nulls = _params.registered()
    scatter_names = _params.check_names(scatters, options.scatter, "--scatter")
    null_names = _params.check_names(nulls, options.null, "--null")
    _params.known_to(settings, scatter_names)
    return Plan(
        table.X, scatter_names, null_names, options.alpha, options.budget, settings, outliers=table.outliers
    )


def _output(options: argparse.Namespace, table: Table, result: Comparison) -> None:
    rows = [record(pair) for pair in result.pairs]
    report = _report(options, table, result, rows) if options.report else None
    if options.out is not None:
        keys = list(record(Pair("", "")))
        _write.write_columns(options.out, {key: [row[key] for row in rows] for key in keys})
    if report is not None:
        _write.write_text(options.report, report)
    if options.out == "-":
        return
    if options.json:
        print(json.dumps(_summary(options, table) | {"pairs": rows}, indent=2, allow_nan=False))
        return
    _show(options, table, result)


def record(pair: Pair) -> dict[str, Any]:
    """Return one pair as plain numbers, None for what does not exist."""
    flagged = pair.flagged
    return {
        "scatter": pair.scatter,
        "null": pair.null,
        "auto": pair.auto,
        "status": "ok" if pair.ran else "failed" if pair.failed else "skipped",
        "reason": pair.reason or None,
        "fit_seconds": pair.seconds if pair.ran else None,
        "flagged": None if flagged is None else int(flagged.sum()),
        "flagged_share": None if flagged is None else float(flagged.mean()),
        "agreement": pair.agreement,
        "found": pair.found,
        "auroc": pair.auroc,
    }


def _summary(options: argparse.Namespace, table: Table) -> dict[str, Any]:
    return {
        "source": table.source,
        "rows": int(table.X.shape[0]),
        "columns": int(table.X.shape[1]),
        "alpha": options.alpha,
        "known_outliers": None if table.outliers is None else int(table.outliers.sum()),
        "call": options.call,
    }


Column = tuple[str, Callable[[Pair], Any]]


def _columns(result: Comparison) -> list[Column]:
    """Heading and text of each column; those about known outliers only where there are any."""
    columns: list[Column] = [
        ("scatter", lambda pair: pair.scatter),
        ("null", lambda pair: f"{pair.null}{' *' if pair.auto else ''}"),
        ("fit time", lambda pair: _console.seconds(pair.seconds)),
        ("flagged", lambda pair: _console.percent(_share(pair))),
        ("agreement", lambda pair: "" if pair.agreement is None else f"{pair.agreement:.2f}"),
    ]
    if any(pair.auroc is not None for pair in result.ran):
        columns.append(
            ("outliers found", lambda pair: "" if pair.found is None else _console.percent(pair.found))
        )
        columns.append(("AUROC", lambda pair: "" if pair.auroc is None else f"{pair.auroc:.3f}"))
    return columns


def _share(pair: Pair) -> float:
    return 0.0 if pair.flagged is None else float(pair.flagged.mean())


def _notes(table: Table, result: Comparison) -> list[str]:
    notes = [*table.notes, _FIT_TIME]
    if any(pair.agreement is not None for pair in result.ran):
        notes.append(_AGREEMENT)
    if any(pair.auto for pair in result.ran):
        notes.append(_AUTO)
    if result.interrupted:
        notes.append("interrupted: the table holds what was finished")
    return notes


def _report(options: argparse.Namespace, table: Table, result: Comparison, rows: list[dict[str, Any]]) -> str:
    from ..report import compare_report

    n, p = table.X.shape
    columns = ["scatter", "null", "fit_seconds", "flagged_share", "agreement"]
    if any(pair.auroc is not None for pair in result.ran):
        columns += ["auroc", "found"]
    return compare_report(
        [row | {"null": f"{row['null']} *" if row["auto"] else row["null"]} for row in rows],
        title=f"Estimators on {table.source}",
        source=f"{table.source}, {n} rows, {p} columns, level {options.alpha:g}",
        call=options.call,
        columns=columns,
        notes=[text for text in _notes(table, result) if text != _AGREEMENT],
    )


def _show(options: argparse.Namespace, table: Table, result: Comparison) -> None:
    screen = _console.console()
    n, p = table.X.shape
    known = "" if table.outliers is None else f", {int(table.outliers.sum())} known outliers"
    screen.print(
        f"{table.source}: {n} rows, {p} columns{known}, level {options.alpha:g}", markup=False, soft_wrap=True
    )
    columns = _columns(result)
    left = ("scatter", "null")
    headings = [name if name in left else (name, "right") for name, _ in columns]
    rows = [[text(pair) for _, text in columns] for pair in result.ran]
    _console.show(screen, _console.table(headings, rows))
    notes = [*_notes(table, result), *(f"{what}: {why}" for what, why in result.left_out())]
    for text in notes:
        screen.print(text, markup=False, soft_wrap=not screen.is_terminal)
    for path, what in ((options.out, "table"), (options.report, "report")):
        if path:
            screen.print(f"{what}: {path}", markup=False, soft_wrap=True)
