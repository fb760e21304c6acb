"""What ``fmahal detect`` prints: the fit, the farthest rows and what makes them outlying."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .._typing import FloatArray
from . import _console, _detect_curves
from ._curves import CurveTable
from ._table import Table, plural

_TOP_COLUMNS = 3
_CONTRIBUTIONS = "columns that add most (shares of d2, above 100% where others are negative)"
_CHUNK_CELLS = 4_000_000


def size_words(table: Table) -> str:
    """Return how large a table is: rows and columns, or curves and points."""
    if isinstance(table, CurveTable):
        return _detect_curves.size_words(table)
    return f"{plural(table.X.shape[0], 'row')}, {plural(table.X.shape[1], 'column')}"


def coordinates(detector: Any, table: Table) -> list[str]:
    """Return the names of what the scatter works on: the columns, or the coordinates of curves."""
    return list(map(str, detector.contribution_names_)) if isinstance(table, CurveTable) else table.names


def speech(table: Table) -> Any:
    """Return what turns a sentence about rows into one about curves, where these are."""
    if not isinstance(table, CurveTable):
        return str
    from ..report._curves import in_words_of_curves

    return in_words_of_curves


def top_columns(detector: Any, X: FloatArray, names: list[str]) -> list[list[tuple[str, float]]]:
    """Return for each training row the three columns that add most to its squared distance, as shares of it.

    Shares may exceed one, since other columns may take something away; these are not listed.
    """
    from ..plotting._rows import contributions

    result: list[list[tuple[str, float]]] = []
    chunk = max(1, _CHUNK_CELLS // X.shape[1])
    for start in range(0, X.shape[0], chunk):
        block = X[start : start + chunk]
        parts = contributions(detector, block, np.ones(len(block)))  # only shares are wanted
        k = min(_TOP_COLUMNS, parts.shape[1])
        best = np.argpartition(-parts, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(parts, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        values = np.take_along_axis(parts, best, axis=1)
        totals = parts.sum(axis=1).tolist()
        for columns, shares, total in zip(best.tolist(), values.tolist(), totals):
            kept = [(names[j], share) for j, share in zip(columns, shares) if share > 0]
            result.append([(name, share / total) for name, share in kept if total > 0])
    return result


def show(
    options: argparse.Namespace,
    detector: Any,
    table: Table,
    order: np.ndarray,
    facts: dict[str, Any],
    took: float,
) -> None:
    """Print the results of a fitted detector."""
    from . import _nulls

    say = speech(table)
    n = facts["rows"]
    screen = _console.console()
    lines = [
        f"{table.source}: {size_words(table)}, fitted in {_console.seconds(took)}",
        *table.notes,
        f"scatter  {facts['scatter']}{'' if options.scatter else ' (default)'}",
        *map(say, _subset(facts)),
        *_sketch(facts),
        say(f"null     {facts['null']}{_nulls.picked_words(detector) if options.null == 'auto' else ''}"),
        say(f"level    {_nulls.level_words(detector)}{_nulls.cutoff_words(detector)}"),
        *map(say, _nulls.distance_words(detector)),
    ]
    for line in lines:
        screen.print(line, markup=False, soft_wrap=True)
    shown = order[: min(options.top, n)]
    if shown.size:
        _console.show(screen, _top_table(detector, table, shown))
    screen.print(say(_summary(detector, facts)), markup=False)
    if facts["flagged"] > shown.size and options.out is None:
        screen.print(say("--top K shows more rows, --out FILE.csv writes the scores of all."), markup=False)
    if facts["sketch_kind"] is not None:
        from ..report._sketch import LIMIT

        screen.print(say(f"note: {LIMIT}"), markup=False, soft_wrap=not screen.is_terminal)
    for path, what in ((options.out, "scores"), (options.report, "report")):
        if path:
            screen.print(f"{what}: {path}", markup=False, soft_wrap=True)


def _subset(facts: dict[str, Any]) -> list[str]:
    """Return how many rows a robust fit rests on, as no or one line."""
    h, n = facts["subset"], facts["rows"]
    return [] if h is None else [f"subset   {h} of {plural(n, 'row')} ({_console.percent(h / n)})"]


def _sketch(facts: dict[str, Any]) -> list[str]:
    """Return how large the random map of a sketched scatter is, as no or one line."""
    from ..report._sketch import words

    return [] if facts["sketch_kind"] is None else [f"sketch   {words(facts)}"]


def _summary(detector: Any, facts: dict[str, Any]) -> str:
    """Return how many rows are flagged, how many by chance, and how many of the known outliers."""
    from . import _nulls

    n, flagged = facts["rows"], facts["flagged"]
    meaning = _nulls.expectation(detector)
    text = f"{flagged} of {plural(n, 'row')} flagged ({_console.percent(flagged / n)}); {meaning}."
    if "known_outliers" in facts:
        hits, known = facts["known_outliers_flagged"], facts["known_outliers"]
        text += (
            f" Of {plural(known, 'known outlier')} {hits} {'is' if hits == 1 else 'are'} flagged, "
            f"of the {plural(n - known, 'other row')} {flagged - hits}."
        )
    return text


def _cause_words(detector: Any, table: Table, shown: np.ndarray) -> list[str]:
    """Return what makes each of the rows outlying: columns, or a part of the domain."""
    if isinstance(table, CurveTable):
        return [_detect_curves.words(part, table) for part in _detect_curves.causes(detector, table, shown)]
    return [
        ", ".join(f"{name} {100 * share:+.0f}%" for name, share in causes if share >= 0.005)
        for causes in top_columns(detector, table.X[shown], table.names)
    ]


def _top_table(detector: Any, table: Table, shown: np.ndarray) -> Any:
    from rich.text import Text

    from ..report._law import is_bounded, off_subspace

    law = detector.null_.train_dist_
    off = off_subspace(detector, detector.d2_, detector.pvalues_, law)
    bounded = is_bounded(law, detector.d2_)
    headings: list[Any] = [
        (speech(table)("row"), "right"),
        ("d2", "right"),
        ("p-value", "right"),
        "label",
        _detect_curves.HEADING if isinstance(table, CurveTable) else _CONTRIBUTIONS,
    ]
    if table.row_names is not None:
        headings.insert(1, str(table.index))
    rows = []
    for i, cause in zip(shown, _cause_words(detector, table, shown)):
        bad = detector.labels_[i] == -1
        cells: list[Any] = [
            int(i) + 1,
            _console.distance(detector.d2_[i]),
            "0" if off[i] else f"{'<=' if bounded[i] else ''}{_console.pvalue(detector.pvalues_[i])}",
        ]
        label = Text("outlier", style="bold red") if bad else Text("regular")
        cells.append(label + Text(", off the subspace") if off[i] else label)
        cells.append(cause)
        if table.row_names is not None:
            cells.insert(1, table.row_names[i])
        rows.append(cells)
    return _console.table(headings, rows)
