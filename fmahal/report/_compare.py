"""The report on many pairs of scatter and null, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._page import number, percent, plural, render, require_jinja2, seconds


@dataclass(frozen=True)
class _Column:
    """How one entry of the rows is shown.

    `best` picks the value to emphasise; `unit` is the value of a full bar.
    """

    heading: str
    meaning: str
    show: Callable[[float], Any] = number
    best: Callable[..., float] | None = None
    unit: float | None = None


_COLUMNS = {
    "scatter": _Column("Scatter", "Estimator of centre and covariance."),
    "null": _Column("Null law", "Law that turns squared distances into p-values."),
    "fit_seconds": _Column("Fit", "Time of one fit, distances and p-values included.", seconds),
    "flagged": _Column("Flagged", "Number of rows called outliers.", lambda count: f"{count:,.0f}"),
    "flagged_share": _Column(
        "Share flagged", "Part of the rows called outliers; near the level when all rows are clean and the law holds.",
        percent, unit=1.0,
    ),
    "agreement": _Column(
        "Agreement",
        "Mean overlap with the rows that each other scatter flags: rows flagged by both over rows flagged by either "
        "(Jaccard).",
        lambda value: f"{value:.2f}",
        unit=1.0,
    ),
    "found": _Column(
        "Outliers found", "Part of the known outliers that are flagged; flagging every row finds them all.",
        percent, unit=1.0,
    ),
    "false_alarms": _Column(
        "Clean rows flagged",
        "Part of the rows that are not known outliers but are flagged: false alarms. Near the level if the law holds.",
        percent, unit=1.0,
    ),
    "auroc": _Column(
        "AUROC",
        "Probability that a known outlier lies farther out than another row; it does not depend on the null law "
        "where that keeps the order of the distances.",
        lambda value: f"{value:.3f}", max, 1.0,
    ),
    "sketch": _Column(
        "Sketch",
        "Of distances behind a random map: coordinates k, kind of the map, and ± the relative standard error of a "
        "squared distance over such maps.",
    ),
}  # fmt: skip
_HIDDEN = ("status", "reason")


def compare_report(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    source: str = "",
    call: str = "",
    columns: Sequence[str] | Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Return one self-contained HTML page that compares pairs of scatter and null.

    Parameters
    ----------
    rows : sequence of mappings
        One a pair: ``scatter``, ``null``, ``status`` ("ok", "skipped" or "failed"; "ok" when absent), ``reason``
        (text, unless "ok"), and for those that ran any of ``fit_seconds``, ``flagged``, ``flagged_share``,
        ``agreement``, ``found``, ``false_alarms``, ``auroc`` and further entries. None and NaN are shown as a dash.
    title : str
        Heading of the page.
    source : str, default=""
        Where the data come from.
    call : str, default=""
        The command or code that reproduces the page.
    columns : sequence of str or mapping of str to str, default=None
        Entries to show, in order, a mapping with their headings. None shows every known entry that some row
        has, then all others.
    notes : sequence of str, default=()
        Remarks above the table.

    Returns
    -------
    str
        HTML with inline style; a short inline script sorts the table, nothing is loaded.

    Raises
    ------
    ImportError
        jinja2 is missing.
    ValueError
        A status is unknown.

    Examples
    --------
    >>> from fmahal.report import compare_report
    >>> page = compare_report(
    ...     [{"scatter": "oas", "null": "chi2", "fit_seconds": 0.01, "flagged": 3, "flagged_share": 0.03}],
    ...     title="One pair",
    ... )
    >>> "10 ms" in page
    True
    """
    require_jinja2()
    for row in rows:
        if row.get("status", "ok") not in ("ok", "skipped", "failed"):
            raise ValueError(f'status must be "ok", "skipped" or "failed", got {row["status"]!r}.')
    ran = [row for row in rows if row.get("status", "ok") == "ok"]
    shown = _chosen(ran, columns)
    return render(
        "compare.html.j2",
        title=title,
        source=source,
        call=call,
        lead=_lead(rows, ran),
        notes=[str(note) for note in notes],
        hint=_hint(ran, shown),
        columns=[
            {"heading": column.heading, "numeric": _is_numeric(ran, key)} for key, column in shown.items()
        ],
        ran=_cells(ran, shown),
        left_out=[
            group
            for group in (_left_out(rows, "failed", "Failed"), _left_out(rows, "skipped", "Not run"))
            if group["reasons"]
        ],
        glossary=[(column.heading, column.meaning) for column in shown.values() if column.meaning],
    )


def _chosen(ran: Sequence[Mapping[str, Any]], columns: Any) -> dict[str, _Column]:
    """Return the columns to show, by key."""
    present = list(dict.fromkeys(key for row in ran for key in row if key not in _HIDDEN))
    if columns is None:
        filled = [key for key in present if any(_is_there(row.get(key)) for row in ran)]
        columns = [key for key in _COLUMNS if key in filled] + [key for key in filled if key not in _COLUMNS]
    headings = columns if isinstance(columns, Mapping) else {}
    shown = {}
    for key in columns:
        known = _COLUMNS.get(key, _Column(str(key).replace("_", " ").capitalize(), ""))
        heading = str(headings.get(key, known.heading))
        shown[str(key)] = _Column(heading, known.meaning, known.show, known.best, known.unit)
    return shown


def _is_there(value: Any) -> bool:
    return value is not None and not (_is_number(value) and np.isnan(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(
        value, bool | np.bool_
    )


def _is_numeric(ran: Sequence[Mapping[str, Any]], key: str) -> bool:
    values = [row.get(key) for row in ran if row.get(key) is not None]
    return bool(values) and all(_is_number(value) for value in values)


def _cells(ran: Sequence[Mapping[str, Any]], shown: dict[str, _Column]) -> list[list[dict[str, Any]]]:
    """Return the table as text, with the full value of every number beside it."""
    best = {key: _best(ran, key, column) for key, column in shown.items()}
    numeric = {key: _is_numeric(ran, key) for key in shown}
    return [
        [_cell(row.get(key), column, numeric[key], best[key]) for key, column in shown.items()] for row in ran
    ]


def _cell(value: Any, column: _Column, numeric: bool, best: Any) -> dict[str, Any]:
    cell = {"shown": "–", "value": None, "numeric": numeric, "best": False, "bar": None}
    if not _is_there(value):
        return cell
    if not numeric:
        return cell | {"shown": str(value)}
    shown = column.show(value)
    bar = None if column.unit is None else round(100 * min(max(value / column.unit, 0), 1), 1)
    # What looks equal is equal: a hundredth of a millisecond does not win.
    return cell | {
        "shown": shown,
        "value": float(value),
        "best": best is not None and shown == best,
        "bar": bar,
    }


def _best(ran: Sequence[Mapping[str, Any]], key: str, column: _Column) -> Any:
    """Return the best value as it is shown; None when there is nothing to win."""
    values = [row[key] for row in ran if _is_there(row.get(key))]
    if column.best is None or not _is_numeric(ran, key) or len(values) < 2:
        return None
    shown = {str(column.show(value)) for value in values}
    return column.show(column.best(values)) if len(shown) > 1 else None


def _lead(rows: Sequence[Mapping[str, Any]], ran: Sequence[Mapping[str, Any]]) -> str:
    text = f"{plural(len(ran), 'pair')} of scatter and null law ran"
    skipped = sum(row.get("status") == "skipped" for row in rows)
    failed = sum(row.get("status") == "failed" for row in rows)
    if skipped:
        text += f", {skipped:,} {'was' if skipped == 1 else 'were'} not run"
    if failed:
        text += f", {failed:,} failed"
    text += "."
    scored = [row for row in ran if _is_there(row.get("auroc"))]
    if scored:
        top = max(row["auroc"] for row in scored)
        names = dict.fromkeys(str(row.get("scatter", "")) for row in scored if row["auroc"] == top)
        text += f" The known outliers are ranked best by {', '.join(names)} (AUROC {top:.3f})."
    shares = [row["flagged_share"] for row in ran if _is_there(row.get("flagged_share"))]
    if shares:
        text += f" The pairs flag between {percent(min(shares))} and {percent(max(shares))} of the rows."
    return text


def _hint(ran: Sequence[Mapping[str, Any]], shown: dict[str, _Column]) -> str:
    emphasised = [column.heading for key, column in shown.items() if _best(ran, key, column) is not None]
    text = f"Best values are green in {', '.join(emphasised)}. " if emphasised else ""
    return text + "A click on a heading sorts."


def _left_out(rows: Sequence[Mapping[str, Any]], status: str, title: str) -> dict[str, Any]:
    """Return the pairs of one status, grouped by reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.get("status", "ok") == status:
            pair = " × ".join(str(row[key]) for key in ("scatter", "null") if row.get(key))
            reasons.setdefault(str(row.get("reason") or "no reason given"), []).append(pair)
    return {"title": title, "reasons": [(reason, ", ".join(pairs)) for reason, pairs in reasons.items()]}
