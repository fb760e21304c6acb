"""``fmahal compare``: the estimators side by side on one table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from . import _console, _params, _write
from ._detect import check_report, read
from ._pairs import Comparison, Pair, Plan, compare, set_up, warm
from ._table import Table, plural

DEFAULT_DATASET = "breast-cancer"
_AGREEMENT = (
    "agreement: mean overlap of the flagged rows with those of each other scatter "
    "(Jaccard index: rows flagged by both over rows flagged by either)"
)
_FALSE_ALARMS = (
    "clean rows flagged: share of the rows not labelled outliers that are flagged, false alarms; "
    "at level {alpha:g} about {share} if the law held"
)
_FIT_TIME = "fit time: one fit, distances and p-values, with one BLAS thread; the median of three where it is under 3 s"
_RANKS = "{}: the rows are ranked among themselves, so that no more than the level can be flagged, whatever the data"
_POOLS = "{} of {}: {}"
_SKETCH = "sketch: coordinates k, kind of the map, ± relative standard error of a squared distance; {limit}"
_AUTO = "*: the null that 'auto' picks for this scatter"


def run_compare(options: argparse.Namespace) -> int:
    """Run all pairs and print, write or report their table."""
    _params.check_alpha(options.alpha)
    if not options.budget >= 0:
        raise ValueError(f"--budget takes seconds, at least 0; got {options.budget:g}.")
    settings = _params.parse_settings(options.set)
    null_settings = _params.parse_settings(options.null_set, "--null-set")
    _write.check_output(options.out, "--out")
    check_report(options.report)
    options.file = options.file or DEFAULT_DATASET
    table = read(options)
    plan = _plan(options, settings, null_settings, table)
    with _console.Progress(total=len(plan.scatters)) as progress:
        progress.say("loading")
        warm(plan.scatters, wide=table.X.shape[0] <= table.X.shape[1])
        result = compare(plan, progress.say, progress.step)
    if not result.ran and not result.interrupted:
        reasons = "; ".join(f"{what}: {why}" for what, why in result.left_out())
        raise ValueError(f"{table.source}: nothing could be compared. {reasons}")
    _output(options, table, result)
    return 130 if result.interrupted else 0


def _plan(
    options: argparse.Namespace, settings: dict[str, Any], null_settings: dict[str, Any], table: Table
) -> Plan:
    scatters, nulls = _params.registered()
    if options.scatter:
        scatter_names = _params.check_names(scatters, options.scatter, "--scatter")
    else:
        scatter_names = [*scatters.names(), *_worthwhile(settings, *table.X.shape)]
    null_names = _params.check_names(nulls, options.null, "--null")
    _params.known_to(settings, scatter_names)
    _params.known_to(null_settings, null_names, nulls, "--null-set")
    return Plan(
        table.X,
        scatter_names,
        null_names,
        options.alpha,
        options.budget,
        settings,
        outliers=table.outliers,
        null_settings=null_settings,
    )


def _worthwhile(settings: dict[str, Any], n: int, p: int) -> list[str]:
    """Return the composed names that can gain something on n rows and p columns."""
    scatters, _ = _params.registered()
    names = []
    for name in scatters.composed():
        entry = scatters[name]
        made = set_up(name, settings)
        if entry.listed is not None and entry.applies(n, p) is None and entry.listed(made, n, p):
            names.append(name)
    return names


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
        "configured": pair.configured or None,
        "status": "ok" if pair.ran else "failed" if pair.failed else "skipped",
        "reason": pair.reason or None,
        "fit_seconds": pair.seconds if pair.ran else None,
        "flagged": None if flagged is None else int(flagged.sum()),
        "flagged_share": None if flagged is None else float(flagged.mean()),
        "agreement": pair.agreement,
        "found": pair.found,
        "false_alarms": pair.false_alarms,
        "auroc": pair.auroc,
        **dict.fromkeys(("sketch_components", "sketch_kind", "sketch_se")),
        **(pair.sketch or {}),
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


# Entry of `record`, heading on the terminal, text of a value that is there; the report has the same order.
_COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("scatter", "scatter", str),
    ("null", "null", str),
    ("fit_seconds", "fit time", _console.seconds),
    ("flagged_share", "flagged", _console.percent),
    ("agreement", "agreement", "{:.2f}".format),
    ("found", "outliers found", _console.percent),
    ("false_alarms", "clean rows flagged", _console.percent),
    ("auroc", "AUROC", "{:.3f}".format),
    ("sketch", "sketch", str),
)
_OF_LABELS = ("found", "false_alarms", "auroc")


def _keys(result: Comparison) -> list[str]:
    """Entries to show; those about known outliers and about sketches only where there are any."""
    absent = set() if any(pair.auroc is not None for pair in result.ran) else set(_OF_LABELS)
    if not any(pair.sketch for pair in result.ran):
        absent.add("sketch")
    return [key for key, _, _ in _COLUMNS if key not in absent]


def _worded(row: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a pair with a star at the null that `auto` picks, and a sketch in words."""
    from ..report._sketch import short_words

    words = {"sketch": None if row["sketch_kind"] is None else short_words(row)}
    return row | words | ({"null": f"{row['null']} *"} if row["auto"] else {})


def _notes(options: argparse.Namespace, table: Table, result: Comparison) -> list[str]:
    from ..report._law import pooled_words

    notes = [*table.notes, _FIT_TIME]
    if any(pair.agreement is not None for pair in result.ran):
        notes.append(_AGREEMENT)
    if any(pair.auroc is not None for pair in result.ran):
        notes.append(_FALSE_ALARMS.format(alpha=options.alpha, share=_console.percent(options.alpha)))
    ranking = dict.fromkeys(pair.null for pair in result.ran if pair.ranks)
    if ranking:
        notes.append(_RANKS.format(" and ".join(ranking)))
    for null in dict.fromkeys(pair.null for pair in result.ran if pair.pools):
        pooling = [pair for pair in result.ran if pair.pools and pair.null == null]
        words = pooled_words("the level is", any(pair.shrunk for pair in pooling))
        notes.append(_POOLS.format(null, ", ".join(pair.scatter for pair in pooling), words))
    if any(pair.sketch for pair in result.ran):
        from ..report._sketch import LIMIT

        notes.append(_SKETCH.format(limit=LIMIT))
    notes += _partial(options, result)
    if any(pair.auto for pair in result.ran):
        notes.append(_AUTO)
        notes += _configured(result)
    if result.interrupted:
        notes.append("interrupted: the table holds what was finished")
    return notes


def _partial(options: argparse.Namespace, result: Comparison) -> list[str]:
    """Return which nulls a setting was left away from: those that have no such parameter value, others having it."""
    _, nulls = _params.registered()
    made = {name: nulls[name].factory() for name in dict.fromkeys(pair.null for pair in result.ran)}
    notes = []
    for key, value in _params.parse_settings(options.null_set, "--null-set").items():
        without = [
            name
            for name, null in made.items()
            if key in _params.parameters(null) and not _params.accepts(null, key, value)
        ]
        if without:
            notes.append(
                f"--null-set {key}={value} is no setting of {', '.join(without)}, which kept the usual one"
            )
    return notes


def _configured(result: Comparison) -> list[str]:
    """Return how auto sets the nulls that it picks where that is not as their names do here, each once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for pair in result.ran:
        if pair.configured:
            groups.setdefault((pair.null, pair.configured), []).append(pair.scatter)
    return [f"{null} * of {', '.join(names)}: {made}" for (null, made), names in groups.items()]


def _report(options: argparse.Namespace, table: Table, result: Comparison, rows: list[dict[str, Any]]) -> str:
    from ..report import compare_report

    n, p = table.X.shape
    size = f"{plural(n, 'row')}, {plural(p, 'column')}{_known(table)}, level {options.alpha:g}"
    return compare_report(
        [_worded(row) for row in rows],
        title=f"Estimators on {table.source}",
        source=f"{table.summary} ({size})" if table.summary else size,
        call=options.call,
        columns=_keys(result),
        notes=[text for text in _notes(options, table, result) if text != _AGREEMENT],
    )


def _known(table: Table) -> str:
    return "" if table.outliers is None else f", {plural(int(table.outliers.sum()), 'known outlier')}"


def _show(options: argparse.Namespace, table: Table, result: Comparison) -> None:
    screen = _console.console()
    n, p = table.X.shape
    size = f"{plural(n, 'row')}, {plural(p, 'column')}{_known(table)}, level {options.alpha:g}"
    screen.print(f"{table.source}: {size}", markup=False, soft_wrap=True)
    keys = _keys(result)
    columns = [column for column in _COLUMNS if column[0] in keys]
    headings = [name if text is str else (name, "right") for _, name, text in columns]
    cells = [_worded(record(pair)) for pair in result.ran]
    rows = [["" if row[key] is None else text(row[key]) for key, _, text in columns] for row in cells]
    _console.show(screen, _console.table(headings, rows))
    notes = [*_notes(options, table, result), *(f"{what}: {why}" for what, why in result.left_out())]
    for text in notes:
        screen.print(text, markup=False, soft_wrap=not screen.is_terminal)
    for path, what in ((options.out, "table"), (options.report, "report")):
        if path:
            screen.print(f"{what}: {path}", markup=False, soft_wrap=True)
