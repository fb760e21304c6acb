"""Bands, requirements and tables of the calibration study: what `e01_calibration.py` makes of its counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from fmahal.nulls import auto_table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "nulls.md"
LEVELS = (0.01, 0.05)
ROBUST = ("mcd", "mrcd", "ogk", "wrapped")
FAMILY = 0.05  # probability that any band of one table misses, were all its nulls exact
CONFORMAL = ("split", "full")
Line = dict[str, Any]


# ------------------------------------------------------------------------------------------------- rates and bands


def rate(line: Line) -> float:
    """Share of the rows that were flagged, over all data sets."""
    return line["flagged"] / (line["sets"] * line["tested"])


def standard_error(line: Line, expected: float | None = None) -> float:
    """Standard error of `rate`, from its spread over the data sets.

    Rows of one data set share a fit and often a set of reference distances, so that they are flagged together. Data
    sets are independent. With few of them, or with hardly a flagged row, that spread is itself uncertain: the binomial
    error at the expected rate, which takes rows for independent, is the least that is returned.
    """
    sets, tested = line["sets"], line["tested"]
    share = rate(line) if expected is None else expected
    binomial = math.sqrt(share * (1.0 - share) / (sets * tested))
    if sets < 2:
        return binomial
    mean = line["flagged"] / sets
    variance = max(line["squares"] / sets - mean**2, 0.0) * sets / (sets - 1)
    return max(binomial, math.sqrt(variance / sets) / tested)


def band(line: Line, expected: float, tests: int) -> tuple[float, float]:
    """Two-sided band of the rate for one of `tests` lines, were `expected` true; Student's t for the spread."""
    half = stats.t.isf(FAMILY / tests / 2.0, max(line["sets"] - 1, 1)) * standard_error(line, expected)
    return expected - half, expected + half


def conformal_rate(level: float, m: int) -> float:
    """Probability that the p-value of a new row among m exchangeable distances is at most `level`."""
    return math.floor(level * (m + 1) * (1.0 + 1e-12)) / (m + 1)


def aim(line: Line) -> float:
    """Return the rate that the null of a line aims at: its level, or what whole ranks leave of it."""
    if line["null"] not in ("split", "full", "jackknife"):
        return line["level"]
    if line["rows"] == "train":  # ranked among themselves
        return math.floor(line["level"] * line["tested"] * (1.0 + 1e-12)) / line["tested"]
    return conformal_rate(line["level"], line["references"])


def split_band(line: Line, tests: int) -> tuple[float, float]:
    """Band of a split conformal rate, whose law is known: beta-binomial in one data set.

    All new rows of a data set meet the same m calibration distances. Given these, a new row is flagged with a
    probability that varies like Beta(k, m + 1 - k), k = floor(level (m + 1)). A gamma law with the mean and
    the variance of the sum has about its skewness.
    """
    m, tested, sets = line["references"], line["tested"], line["sets"]
    q = conformal_rate(line["level"], m)
    if q == 0.0:
        return 0.0, 0.0
    variance = q * (1.0 - q) / tested * (1.0 + (tested - 1) / (m + 2)) / sets
    low, high = stats.gamma(q**2 / variance, scale=variance / q).interval(1.0 - FAMILY / tests)
    return float(low), float(high)


def named(line: Line) -> str:
    """Where a line comes from, in words."""
    return (
        f"{line['scatter']}, {line['null']}, {line['law']} rows, n = {line['n']}, p = {line['p']}, "
        f"{line['rows']} rows at {100 * line['level']:.0f} %"
    )


def _chosen(lines: Iterable[Line], **wanted: Any) -> list[Line]:
    """Lines with data sets whose entries are the wanted ones, or among them when these are a tuple."""
    return [
        line
        for line in lines
        if line["sets"]
        and all(line[k] in v if isinstance(v, tuple) else line[k] == v for k, v in wanted.items())
    ]


def _told(line: Line, low: float, high: float) -> str:
    return f"{named(line)}: {100 * rate(line):.2f} %, not within {100 * low:.2f} to {100 * high:.2f} %"


# ------------------------------------------------------------------------------------------------- requirements


def conformal_failures(lines: Iterable[Line]) -> list[str]:
    """New rows by split and full conformal: the rate is floor(level (m + 1)) / (m + 1), on every law."""
    found = [line for line in _chosen(lines, null=CONFORMAL, rows="new") if line["law"] != "planted"]
    out = []
    for line in found:
        q = conformal_rate(line["level"], line["references"])
        low, high = split_band(line, len(found)) if line["null"] == "split" else band(line, q, len(found))
        if not low <= rate(line) <= high:
            out.append(_told(line, low, high))
    return out


def exact_failures(lines: Iterable[Line]) -> list[str]:
    """Training and new rows by the exact law on normal rows: the level."""
    found = _chosen(lines, null="normal", law="normal")
    bands = [band(line, line["level"], len(found)) for line in found]
    return [_told(line, *b) for line, b in zip(found, bands, strict=True) if not b[0] <= rate(line) <= b[1]]


def resampled(lines: Iterable[Line]) -> list[Line]:
    """Lines by a bootstrap null, of which "auto" is one for the robust scatters without a law of their own."""
    lines = list(lines)
    auto = _chosen(lines, null="auto", scatter=("mrcd", "ogk", "wrapped"), rows=("train", "new"))
    return _chosen(lines, null="bootstrap") + [
        line for line in auto if line["law"] != "planted" and line["references"]
    ]


def bootstrap_bounds(line: Line) -> tuple[float, float] | None:
    """What is required of a bootstrap rate; None: nothing.

    A factor of 1.3 at 5 % for n >= 10 p, and of 1.6 at 1 % for n >= 500. A parametric bootstrap, the one for robust
    scatters, takes the normal law of the bulk for granted: rows beyond it are what it is to flag, so that it is
    held to its level on normal rows alone.
    """
    n, p, level = line["n"], line["p"], line["level"]
    if n <= p + 2 or (line["scatter"] in ROBUST and line["law"] != "normal"):
        return None
    factor = {0.05: 1.3 if n >= 10 * p else None, 0.01: 1.6 if n >= 500 else None}[level]
    return None if factor is None else (level / factor, level * factor)


def _outside(lines: Iterable[Line], *, by: float) -> Iterator[str]:
    for line in resampled(lines):
        bounds = bootstrap_bounds(line)
        slack = by * standard_error(line)
        if bounds is not None and not bounds[0] - slack <= rate(line) <= bounds[1] + slack:
            yield _told(line, *bounds)


def bootstrap_failures(lines: Iterable[Line]) -> list[str]:
    """Bootstrap rates that lie outside `bootstrap_bounds` by more than two standard errors."""
    return list(_outside(lines, by=2.0))


def bootstrap_doubts(lines: Iterable[Line]) -> list[str]:
    """Bootstrap rates outside `bootstrap_bounds` by less than that: the data sets are too few to tell."""
    failures = set(bootstrap_failures(lines))
    return [text for text in _outside(lines, by=0.0) if text not in failures]


def mean_errors(lines: Iterable[Line]) -> dict[tuple[str, str, float], tuple[float, float]]:
    """Mean absolute errors of (bootstrap, chi-square) over the non-normal laws and all sizes with n > p + 2."""
    lines = [line for line in lines if line["n"] > line["p"] + 2 and line["law"] not in ("normal", "planted")]
    chi2 = {_place(line): line for line in _chosen(lines, null="chi2")}
    errors: dict[tuple[str, str, float], list[tuple[float, float]]] = {}
    for line in resampled(lines):
        pair = (line, chi2.get(_place(line)))
        if pair[1] is not None:
            key = line["scatter"], line["rows"], line["level"]
            errors.setdefault(key, []).append(tuple(abs(rate(one) - one["level"]) for one in pair))
    return {key: tuple(np.mean(values, axis=0).tolist()) for key, values in errors.items()}


def _place(line: Line) -> tuple[Any, ...]:
    return tuple(line[key] for key in ("scatter", "law", "n", "p", "rows", "level"))


def chi_square_failures(lines: Iterable[Line]) -> list[str]:
    """Scatters for which the bootstrap errs more than chi-square in the mean over the non-normal laws."""
    return [
        f"{scatter}, {rows} rows at {100 * level:.0f} %, mean over the non-normal laws: the bootstrap errs by "
        f"{100 * ours:.2f} points, chi-square by {100 * theirs:.2f}"
        for (scatter, rows, level), (ours, theirs) in mean_errors(lines).items()
        if ours >= theirs
    ]


def planted_failures(lines: Iterable[Line]) -> list[str]:
    """Planted outliers that null="auto" did not flag at 1 %."""
    return [
        f"{named(line)}: {line['sets'] * line['tested'] - line['flagged']} of {line['sets'] * line['tested']} missed"
        for line in _chosen(lines, law="planted", rows="outliers", level=LEVELS[0])
        if line["flagged"] != line["sets"] * line["tested"]
    ]


CHECKS: dict[str, Callable[[Iterable[Line]], list[str]]] = {
    "new rows by split and full conformal: floor(a (m + 1)) / (m + 1), within the band": conformal_failures,
    "the exact law on normal rows: the level, within the band": exact_failures,
    "bootstrap: within 1.3 times 5 % for n >= 10 p, within 1.6 times 1 % for n >= 500": bootstrap_failures,
    "bootstrap: mean error over the non-normal laws below that of chi-square": chi_square_failures,
    "15 % planted outliers: `auto` flags every one": planted_failures,
}


def check(lines: Iterable[Line]) -> list[str]:
    """Everything that was required of the study and does not hold, one sentence each."""
    lines = list(lines)
    lost = {(k["scatter"], k["null"], k["law"], k["n"], k["p"]): k["failed"] for k in lines if k["failed"]}
    out = [f"{', '.join(map(str, key))}: {count} fits failed" for key, count in lost.items()]
    return out + [failure for failures in CHECKS.values() for failure in failures(lines)]


# ------------------------------------------------------------------------------------------------- the page


def _held(lines: list[Line]) -> list[str]:
    counts = {
        conformal_failures: len(_chosen(lines, null=CONFORMAL, rows="new")),
        exact_failures: len(_chosen(lines, null="normal", law="normal")),
        bootstrap_failures: sum(bootstrap_bounds(line) is not None for line in resampled(lines)),
        chi_square_failures: len(mean_errors(lines)),
        planted_failures: len(_chosen(lines, law="planted", rows="outliers", level=LEVELS[0])),
    }
    out = ["| required | rates | fail |", "|---|--:|--:|"]
    return out + [f"| {text} | {counts[call]} | {len(call(lines))} |" for text, call in CHECKS.items()]


def _rates(lines: list[Line]) -> list[str]:
    """Return one table for new and one for training rows: sizes and nulls down, laws across."""
    out = []
    shown = [line for line in lines if line["law"] != "planted" and line["sets"]]
    laws = list(dict.fromkeys(line["law"] for line in shown))
    tests = len(shown)
    for rows, title in (("new", "New rows"), ("train", "Training rows")):
        out += ["<details>", f"<summary>{title}, percent flagged at nominal 1 / 5 %</summary>", ""]
        out += [
            "| scatter | n | p | null | " + " | ".join(laws) + " |",
            "|---|--:|--:|---" + "|--:" * len(laws) + "|",
        ]
        table: dict[tuple[Any, ...], dict[tuple[str, float], str]] = {}
        for line in shown:
            if line["rows"] == rows:
                low, high = band(line, aim(line), tests)
                mark = "" if low <= rate(line) <= high else "\\*"
                text = f"{100 * rate(line):.{1 if rate(line) >= 0.0995 else 2}f}{mark}"
                place = tuple(line[key] for key in ("scatter", "n", "p", "null"))
                table.setdefault(place, {})[line["law"], line["level"]] = text
        for place, texts in table.items():
            pairs = [" / ".join(texts.get((law, level), "-") for level in LEVELS) for law in laws]
            out.append("| " + " | ".join(map(str, place)) + " | " + " | ".join(pairs) + " |")
        out += ["", "</details>", ""]
    return out


def _worst(lines: list[Line]) -> list[str]:
    """Return the summary: for each null of each scatter the range of the rate of new rows at 5 %, law by law."""
    found = [line for line in _chosen(lines, rows="new", level=0.05) if line["law"] != "planted"]
    laws = list(dict.fromkeys(line["law"] for line in found))
    out = ["New rows at nominal 5 %, percent flagged, smallest and largest over the sizes:", ""]
    out += ["| scatter | null | " + " | ".join(laws) + " |", "|---|---" + "|--:" * len(laws) + "|"]
    for scatter, null in dict.fromkeys((line["scatter"], line["null"]) for line in found):
        texts = []
        for law in laws:
            rates = [100 * rate(line) for line in _chosen(found, scatter=scatter, null=null, law=law)]
            texts.append(f"{min(rates):.1f} to {max(rates):.1f}" if rates else "-")
        out.append(f"| {scatter} | {null} | " + " | ".join(texts) + " |")
    return [*out, ""]


def _errors(lines: list[Line]) -> list[str]:
    out = [
        "Mean absolute error over the non-normal laws and the sizes with n > p + 2, in percent points:",
        "",
    ]
    out += ["| scatter | rows | level | bootstrap | chi2 |", "|---|---|--:|--:|--:|"]
    for (scatter, rows, level), (ours, theirs) in mean_errors(lines).items():
        out.append(f"| {scatter} | {rows} | {100 * level:.0f} % | {100 * ours:.2f} | {100 * theirs:.2f} |")
    return [*out, ""]


def _planted(lines: list[Line]) -> list[str]:
    found = _chosen(lines, law="planted", rows="outliers", level=LEVELS[0])
    out = [
        '15 % of the rows in one cluster, 10 standard deviations away in every column; null="auto" at 1 %:',
        "",
    ]
    out += [
        "| scatter | n | p | data sets | outliers flagged | clean rows flagged |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for line in found:
        where = {key: line[key] for key in ("scatter", "n", "p", "level")}
        (clean,) = _chosen(lines, law="planted", rows="clean", **where)
        place = " | ".join(str(line[key]) for key in ("scatter", "n", "p", "sets"))
        out.append(
            f"| {place} | {line['flagged']} of {line['sets'] * line['tested']} | {100 * rate(clean):.2f} % |"
        )
    return [*out, ""]


def render(lines: list[Line], facts: dict[str, Any]) -> dict[str, str]:
    """Generated parts of the page, by the name of their marks."""
    sets = sorted({line["sets"] for line in lines if line["law"] != "planted"})
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    shown = sum(line["law"] != "planted" for line in lines)
    minutes = sum(line["seconds"] for line in _chosen(lines, rows="new", level=LEVELS[0])) / 60
    source = (
        f"A star: outside the band about the level, or about what whole ranks leave of it, Bonferroni over all {shown} "
        f"rates. {sets[0]} to {sets[-1]} data sets a rate, {max(line['tested'] for line in lines)} fresh rows each; "
        f"`{min(facts['commands'], key=len)}`, {minutes:.0f} minutes in the nulls, {facts['machine']}; {versions}."
    )
    listed = [f"- {miss}." for miss in check(lines)] or ["Nothing that was required fails."]
    doubts = bootstrap_doubts(lines)
    if doubts:
        listed += ["", "Outside by less than two standard errors, so that nobody can tell:", ""]
        listed += [f"- {doubt}." for doubt in doubts]
    body = [
        *_held(lines),
        "",
        *_worst(lines),
        *_errors(lines),
        *_planted(lines),
        *_rates(lines),
        source,
        "",
    ]
    return {"e01": "\n".join(["", *body]), "misses": "\n".join(["", *listed, ""])}


def auto_rows() -> str:
    """Return the table of ``null="auto"``, from the code that decides."""
    out = ["", "| estimator | when | law |", "|---|---|---|"]
    rows = [" | ".join(row[key] for key in ("estimator", "condition", "law")) for row in auto_table()]
    return "\n".join([*out, *(f"| {row} |" for row in rows), ""])


def rendered(text: str, parts: dict[str, str]) -> str:
    """Replace what stands between the marks of each part."""
    for name, block in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{block}{end}{rest.split(end)[1]}"
    return text


def into_page(parts: dict[str, str]) -> None:
    """Write the generated parts, and the table of ``null="auto"``, into the page."""
    PAGE.write_text(rendered(PAGE.read_text(), {"auto": auto_rows(), **parts}))
