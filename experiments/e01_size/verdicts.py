"""Bands and requirements of the study of sizes: what is made of its counts.

A line is a rate: flagged rows of one kind under one null of one scatter on one law, size and level, over all data
sets. Its entries are "scatter", "robust", "law", "n", "p", "null", "rows" and "level", and the counts "sets", "lost",
"tested", "flagged", "squares" and "references".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

LEVELS = (0.01, 0.05)
FAMILY = 0.05  # probability that any band of one table misses, were all its nulls exact
CONFORMAL = ("split", "full")
KNOWN = ("chi2", "weighted")  # laws of known location and covariance, which the bootstrap is held against
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
    probability that varies like Beta(k, m + 1 - k), k = floor(level (m + 1)).
    """
    m, tested, sets = line["references"], line["tested"], line["sets"]
    k = round(conformal_rate(line["level"], m) * (m + 1))
    if k == 0:
        return 0.0, 0.0
    low, high = _counts_between(k, m, tested, sets, FAMILY / tests)
    slack = 1e-9 / (tested * sets)  # counts are whole, and a count over its number of rows is rounded
    return low / (tested * sets) - slack, high / (tested * sets) + slack


@cache
def _counts_between(k: int, m: int, tested: int, sets: int, outside: float) -> tuple[int, int]:
    """Least and greatest count of a central interval of the sum of `sets` beta-binomial counts, by convolution."""
    one = stats.betabinom(tested, k, m + 1 - k).pmf(np.arange(tested + 1))
    size = tested * sets + 1
    total = np.fft.irfft(np.fft.rfft(one, 2 * size) ** sets, 2 * size)[:size]
    below, above = np.cumsum(total), np.cumsum(total[::-1])[::-1]
    return int(np.argmax(below > outside / 2.0)), int(size - 1 - np.argmax(above[::-1] > outside / 2.0))


def named(line: Line) -> str:
    """Where a line comes from, in words."""
    return (
        f"{line['scatter']}, {line['null']}, {line['law']} rows, n = {line['n']}, p = {line['p']}, "
        f"{line['rows']} rows at {100 * line['level']:.0f} %"
    )


def chosen(lines: Iterable[Line], **wanted: Any) -> list[Line]:
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


def conformal_bands(lines: Iterable[Line]) -> list[tuple[Line, float, float]]:
    """Rates of new rows by split and full conformal, each with its band about what whole ranks leave of the level."""
    found = [line for line in chosen(lines, null=CONFORMAL, rows="new") if line["law"] != "planted"]
    return [
        (
            line,
            *(split_band(line, len(found)) if line["null"] == "split" else band(line, aim(line), len(found))),
        )
        for line in found
    ]


def conformal_failures(lines: Iterable[Line]) -> list[str]:
    """New rows by split and full conformal: the rate is floor(level (m + 1)) / (m + 1), on every law."""
    return [
        _told(line, low, high) for line, low, high in conformal_bands(lines) if not low <= rate(line) <= high
    ]


def conformal_resolution(lines: Iterable[Line]) -> tuple[int, float]:
    """How many of these rates aim at zero, and half the width of the median band of the others at 5 %."""
    bands = conformal_bands(lines)
    widths = [high - low for line, low, high in bands if aim(line) > 0.0 and line["level"] == LEVELS[1]]
    return sum(aim(line) == 0.0 for line, *_ in bands), median(widths) / 2.0 if widths else math.nan


def exact_failures(lines: Iterable[Line]) -> list[str]:
    """Training and new rows by the exact law on normal rows: the level."""
    found = chosen(lines, null="normal", law="normal")
    bands = [band(line, line["level"], len(found)) for line in found]
    return [_told(line, *b) for line, b in zip(found, bands, strict=True) if not b[0] <= rate(line) <= b[1]]


def resampled(lines: Iterable[Line]) -> list[Line]:
    """Lines by a bootstrap null, of which "auto" is one for scatters without a law of their own."""
    lines = list(lines)
    auto = chosen(lines, null="auto", rows=("train", "new"))
    return chosen(lines, null="bootstrap") + [
        line for line in auto if line["law"] != "planted" and line["references"]
    ]


def bootstrap_bounds(line: Line) -> tuple[float, float] | None:
    """What is required of a bootstrap rate; None: nothing.

    A factor of 1.3 at 5 % for n >= 10 p, and of 1.6 at 1 % for n >= 500. A parametric bootstrap, the one for robust
    scatters, takes the normal law of the bulk for granted: rows beyond it are what it is to flag, so that it is
    held to its level on normal rows alone.
    """
    n, p, level = line["n"], line["p"], line["level"]
    if line["sets"] < 2:  # no standard error
        return None
    if n <= p + 2 or (line["robust"] and line["law"] != "normal"):
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
    chi2 = {_place(line): line for line in chosen(lines, null=KNOWN)}
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
        for line in chosen(lines, law="planted", rows="outliers", level=LEVELS[0])
        if line["flagged"] != line["sets"] * line["tested"]
    ]


def checked(lines: Iterable[Line]) -> dict[str, int]:
    """How many rates, or means of rates, each requirement is about."""
    lines = list(lines)
    new = [line for line in chosen(lines, null=CONFORMAL, rows="new") if line["law"] != "planted"]
    bounded = [line for line in resampled(lines) if bootstrap_bounds(line) is not None]
    normal, means = chosen(lines, null="normal", law="normal"), mean_errors(lines)
    planted = chosen(lines, law="planted", rows="outliers", level=LEVELS[0])
    counts = [len(found) for found in (new, normal, bounded, means, planted)]
    return dict(zip(CHECKS, counts, strict=True))


CHECKS: dict[str, Callable[[Iterable[Line]], list[str]]] = {
    "new rows by split and full conformal: floor(a (m + 1)) / (m + 1), within the band": conformal_failures,
    "the exact law on normal rows: the level, within the band": exact_failures,
    "bootstrap: within 1.3 times 5 % for n >= 10 p, within 1.6 times 1 % for n >= 500": bootstrap_failures,
    "bootstrap: mean error over the non-normal laws below that of chi-square": chi_square_failures,
    "15 % planted outliers: `auto` flags every one": planted_failures,
}


# ------------------------------------------------------------------------------------------------- sentences


def facts_of_sentences(lines: Iterable[Line]) -> Mapping[str, bool]:
    """What the paper's text says in words, and whether the rates say so too; what cannot be told is left out."""
    new = [line for line in chosen(lines, rows="new", level=LEVELS[1]) if line["law"] != "planted"]
    beyond = [line for line in new if line["robust"] and line["null"] == "auto" and line["law"] != "normal"]
    split = [line for line in new if line["null"] == "split" and line["n"] <= min(k["n"] for k in new)]
    spectral = chosen(new, scatter="spectral", null="auto")
    wide = [rate(line) for line in spectral if line["p"] >= line["n"] / 2]
    out = {}
    if beyond:
        words = "with a robust scatter the laws of normal rows flag many clean rows of other laws"
        out[words] = max(map(rate, beyond)) > 3.0 * LEVELS[1]
    if split:
        out["from few rows split conformal p-values flag nothing"] = not any(
            line["flagged"] for line in split
        )
    if wide:
        words = "the automatic law of spectral filters errs both ways, where rows are few for their columns"
        out[words] = min(wide) < LEVELS[1] / 1.5 and max(wide) > 1.5 * LEVELS[1]
    return out


def sentence_failures(lines: Iterable[Line]) -> list[str]:
    """Sentences of the paper that the rates contradict."""
    told = facts_of_sentences(list(lines))
    return [
        f"The paper's text should not say any more that {words}" for words, holds in told.items() if not holds
    ]


def check(lines: Iterable[Line]) -> list[str]:
    """Everything that was required of the study and does not hold, one sentence each."""
    lines = list(lines)
    lost = {(k["scatter"], k["null"], k["law"], k["n"], k["p"]): k["lost"] for k in lines if k["lost"]}
    out = [f"{', '.join(map(str, key))}: {count} fits failed" for key, count in lost.items()]
    return out + [failure for failures in CHECKS.values() for failure in failures(lines)]
