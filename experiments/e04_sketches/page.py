"""What e04 says: tables, figures, numbers, the blocks of docs/sketching.md and the constants of the cost model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from experiments._figures import INK, MUTED, draw_series, legend
from experiments._render import Figure, Rendering, Results, Table
from experiments._stats import Estimate, estimate
from experiments._tables import fixed, percent, seconds, significant, size_of

from . import speed
from .costs import TABLE, check, fitted_constants, judged, lines_of, table_text
from .picture import crossover

PAGE = "docs/sketching.md"
FOOLED = 0.1  # of the true squared distance: an answer below it is plainly wrong
# names of colours and markers for the series, one a line of a figure
SERIES = ("gaussian", "rademacher", "sparse", "srht", "sketch-5", "sketch-6")


def render(results: Results) -> Rendering:
    """Make everything from stored results."""
    frame, out = results.frame, Rendering()
    lines = lines_of(frame)
    constants = fitted_constants(lines)
    ks = tuple(sorted({line["k"] for line in lines if not line["sample"]}))
    _accuracy(results, out)
    _outliers(results, out)
    _adversary(results, out)
    _changes(results, out)
    _speed(results, lines, constants, out)
    out.figures["e04_crossover"] = crossover(lines, constants, results.repetitions(part="speed"))
    blocks = {
        "answer": speed.answer(constants).markdown(),
        "summary": speed.summary(lines),
        "dims": speed.dims().markdown(),
        "center": speed.center(lines, ks).markdown(),
        "pairs": speed.pairs(lines, ks).markdown(),
        "query": speed.query(lines, ks).markdown(),
        "kinds": speed.kinds(lines).markdown(),
        "errors": speed.errors(lines).markdown(),
        "theory": out.tables["e04_error"].markdown(),
        "power": out.tables["e04_flagged"].markdown(caption=True),
        "adversary": out.tables["e04_answers"].markdown(caption=True),
        "changes": out.tables["e04_changes"].markdown(caption=True),
        "model": speed.verdict(lines, results.facts, constants),
    }
    out.blocks[PAGE] = blocks
    out.failures += check(lines, constants)
    if results.profile == "paper":  # the package's decisions come from no other results
        out.files[TABLE] = table_text(constants, results.facts)
    return out


def _each(frame: Any, column: str) -> Estimate:
    """Mean over repetitions with its bootstrap interval."""
    return estimate(frame.groupby("repetition")[column].mean().to_numpy())


def _text(one: Estimate, digits: int) -> str:
    return f"{fixed(one.value, digits)} [{fixed(one.low, digits)}, {fixed(one.high, digits)}]"


# ------------------------------------------------------------------------------------------------- errors


def _accuracy(results: Results, out: Rendering) -> None:
    found = results.frame[results.frame["part"] == "error"].copy()
    found["ratio"] = found["error_rms"] / found["theory_rms"]
    rows, worst = [], 0.0
    laws = {"normal": "normal whitened rows", "few": "whitened rows with four nonzero coordinates"}
    for law in found["law"].unique():
        rows.append([laws[law]])
        for (k, kind), here in found[found["law"] == law].groupby(["k", "method"], sort=True, observed=True):
            rms, ratio = _each(here, "error_rms"), here["ratio"].dropna()
            text = "-"
            if len(ratio):
                one = _each(here, "ratio")
                worst = max(worst, abs(one.value - 1.0))
                text = _text(one, 2)
            cells = [
                percent(rms.value),
                text,
                percent(here["error_mean"].mean()),
                percent(here["error_95"].mean()),
            ]
            rows.append([f"`{kind}`", str(int(k)), *cells])
    n, p = int(found["n"].max()), int(found["p"].max())
    out.tables["e04_error"] = Table(
        ["kind", "k", "root mean square error", "over theory", "mean error", "95 % of errors"],
        rows,
        f"Relative errors of sketched squared distances: {n} rows of {p} columns, {results.repetitions(part='error')} "
        "maps. Theory: the variance over maps for the rows at hand, 2/k for a Gaussian map. Brackets: 95 % bootstrap "
        "intervals over repetitions.",
        align="l r r r r r",
    )
    out.numbers["e04.error.worst"] = percent(worst, 0)
    out.findings.append(
        f"The root mean square error of a sketched squared distance is within {percent(worst, 0)} of theory for every "
        "kind of map, number of coordinates and law of rows."
    )


# ------------------------------------------------------------------------------------------------- outliers


def _outliers(results: Results, out: Rendering) -> None:
    found = results.frame[results.frame["part"] == "power"].copy()
    found["share"], found["exact"] = found["flagged"] / found["of"], found["flagged_exact"] / found["of"]
    main = found[found["method"] == "gaussian"]
    excess, ks = sorted(main["excess"].unique()), [int(k) for k in sorted(main["k"].unique())]
    series = {"exact": {e: _each(main[main["excess"] == e], "exact") for e in excess}}
    for k in ks[::-1]:
        here = main[main["k"] == k]
        series[f"k = {k}"] = {e: _each(here[here["excess"] == e], "share") for e in excess}
    rows = [[name, *(percent(one[e].value, 0 if e else 1) for e in excess)] for name, one in series.items()]
    for kind in [one for one in found["method"].unique() if one != "gaussian"]:
        here = found[(found["method"] == kind) & (found["k"] == _middle(ks))]
        cells = [percent(_each(here[here["excess"] == e], "share").value, 0 if e else 1) for e in excess]
        rows.append([f"k = {_middle(ks)}, `{kind}`", *cells])
    n, p = int(found["n"].max()), int(found["p"].max())
    about = (
        f"{n} clean rows and {n} outliers of each size, {p} columns, level 1 %, known scatter; "
        f"{results.repetitions(part='power')} repetitions."
    )
    head = ["distances", "clean rows", *(f"{e:g}" for e in excess if e)]
    out.tables["e04_flagged"] = Table(
        head,
        rows,
        "Share of rows flagged, by what the mean squared distance of an outlier exceeds that of a clean row, "
        f"relatively: {about}",
    )
    out.figures["e04_power"] = Figure(
        partial(_draw_power, series),
        "Share of planted outliers that are flagged by exact distances and behind Gaussian sketches, by the relative "
        f"excess of their mean squared distance: {about} Bands: 95 % bootstrap intervals over repetitions.",
        size=(4.4, 2.7),
    )
    _lost(series, ks, p, out)


def _middle(ks: list[int]) -> int:
    return ks[len(ks) // 2]


def _lost(series: Mapping[str, Mapping[float, Estimate]], ks: list[int], p: int, out: Rendering) -> None:
    """Where exact distances first see nine of ten outliers: how many does a sketch still see?"""
    exact, k = series["exact"], _middle(ks)
    seen = [e for e in exact if e and exact[e].value >= 0.9]
    at = seen[0] if seen else max(exact)
    behind = series[f"k = {k}"][at]
    out.numbers |= {
        "e04.power.excess": percent(at, 0),
        "e04.power.exact": percent(exact[at].value, 0),
        "e04.power.sketch": percent(behind.value, 0),
        "e04.power.k": str(k),
        "e04.power.p": str(p),
    }
    out.findings.append(
        f"Of outliers with {percent(at, 0)} more squared distance than clean rows of {p} columns, exact distances flag "
        f"{percent(exact[at].value, 0)} and those behind k = {k} coordinates {percent(behind.value, 0)} "
        f"[{percent(behind.low, 0)}, {percent(behind.high, 0)}]: a sketch costs power."
    )


def _draw_power(series: Mapping[str, Mapping[float, Estimate]], figure: Any) -> None:
    ax = figure.subplots()
    for name, style in zip(series, SERIES, strict=False):
        one = [(e, value) for e, value in series[name].items() if e]
        draw_series(
            ax, [e for e, _ in one], [v.value for _, v in one], style,
            low=[v.low for _, v in one], high=[v.high for _, v in one], label=name,
        )  # fmt: skip
    ax.axhline(0.01, color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)))
    ax.set(xlabel="relative excess of the squared distance", ylabel="share flagged", ylim=(0.0, 1.02))
    legend(ax, place="upper left", bbox_to_anchor=(1.0, 1.0))  # beside the curves, which fill the axes


# ------------------------------------------------------------------------------------------------- the adversary


def _answerer(kept: int, sample: int) -> str:
    if kept == 1:
        return "one fixed sketch"
    return f"{kept} sketches, all" if kept == sample else f"{kept} sketches, {sample} a call"


def _adversary(results: Results, out: Rendering) -> None:
    found = results.frame[(results.frame["part"] == "adaptivity")]
    main = found[found["method"] == "gaussian"]
    asked = [int(q) for q in sorted(main["questions"].unique())]
    series: dict[str, dict[int, Estimate]] = {}
    for (kept, sample), here in main.groupby(["kept", "sample"], sort=True):
        name = _answerer(int(kept), int(sample))
        series[name] = {
            q: estimate(here[here["questions"] == q]["ratio"].to_numpy(), np.median) for q in asked
        }
    shown = [q for q in asked if not q or q >= 256]
    rows = [[name, *(significant(one[q].value, 2) for q in shown)] for name, one in series.items()]
    p, k = int(found["p"].max()), int(found["k"].max())
    about = f"p = {p}, k = {k}, {results.repetitions(part='adaptivity', method='gaussian')} repetitions"
    out.tables["e04_answers"] = Table(
        ["answered by", *(f"{q}" for q in shown)],
        rows,
        "Answer over true squared distance at the point that an adversary has found after so many questions, each "
        f"chosen by earlier answers (1 is right, 0 a far point that is said to be near): {about}, medians.",
    )
    out.figures["e04_adversary"] = Figure(
        partial(_draw_adversary, series),
        "Answer over true squared distance at the point that an adversary has found, by the number of questions it "
        f"has asked (Gaussian maps, {about}; medians, bands are 95 % bootstrap intervals over repetitions).",
        size=(4.4, 2.7),
    )
    fixed_one, best = series[_answerer(1, 1)], max(series, key=lambda name: series[name][asked[-1]].value)
    last, early = asked[-1], next((q for q in asked if fixed_one[q].value < FOOLED), asked[-1])
    if not fixed_one[early].value < FOOLED:
        out.failures.append(
            f"one fixed sketch still reports {significant(fixed_one[early].value, 2)} of the truth after {early} "
            f"questions; it was to be below {FOOLED:g}, as paper/sections/e04.tex says"
        )
    out.numbers |= {
        "e04.adversary.fixed": significant(fixed_one[last].value, 2),
        "e04.adversary.index": significant(series[best][last].value, 2),
        "e04.adversary.questions": f"{last}",
        "e04.adversary.early": f"{early}",
    }
    out.findings.append(
        f"An adversary that reuses answers brings one fixed sketch (k = {k}, p = {p}) below a tenth of the true "
        f"squared distance after at most {early} questions; of the indexes, {best} holds best, at "
        f"{significant(series[best][last].value, 2)} of the truth after {last}, and the others are at "
        + ", ".join(
            f"{significant(one[last].value, 2)} ({name})"
            for name, one in series.items()
            if name not in (best, _answerer(1, 1))
        )
        + ": protection is gradual, and grows with the sketches kept."
    )


def _draw_adversary(series: Mapping[str, Mapping[int, Estimate]], figure: Any) -> None:
    ax = figure.subplots()
    for name, style in zip(series, SERIES, strict=False):
        asked = [max(q, 64) for q in series[name]]  # none asked stands at the left edge of a logarithmic axis
        found = list(series[name].values())
        draw_series(
            ax, asked, [v.value for v in found], style,
            low=[v.low for v in found], high=[v.high for v in found], label=name,
        )  # fmt: skip
    ax.axhline(1.0, color=INK, linewidth=0.7, linestyle=(0, (3, 2)))
    ax.set(
        xscale="log", xlabel="questions asked (left edge: none)", ylabel="answer over truth", ylim=(0.0, None)
    )
    legend(ax, place="lower left")


# ------------------------------------------------------------------------------------------------- changes, speed


def _changes(results: Results, out: Rendering) -> None:
    found = results.frame[results.frame["part"] == "update"]
    rows = []
    for name in found["operation"].unique():
        here = found[found["operation"] == name]
        index, exact = estimate(here["seconds_index"], np.median), estimate(here["seconds_exact"], np.median)
        ratio = here["seconds_exact"] / here["seconds_index"]
        rows.append(
            [name, seconds(index.value), seconds(exact.value), f"{speed.factor_text(ratio.median())}x"]
        )
        key = f"e04.changes.{name.replace(' ', '-')}"
        out.numbers[key] = speed.factor_text(1.0 / ratio.median())
    first = found.iloc[0]
    n, p, k = int(first["n"]), int(first["p"]), int(first["k"])
    sizes = f"{size_of(first['bytes_sketched'])} against {size_of(first['bytes_exact'])}"
    out.tables["e04_changes"] = Table(
        ["operation", "index", "whitened rows", "speed of the index"],
        rows,
        f"Seconds of operations on an index of {int(first['kept'])} sketches (k = {k}, {int(first['sample'])} a "
        f"question) and on whitened rows kept up to date: n = {n}, p = {p}, one thread, medians of "
        f"{results.repetitions(part='update')} repetitions; memory {sizes}.",
    )
    slower = [row[0] for row in rows if not row[3].startswith(("inf",)) and float(row[3][:-1]) < 1.0]
    out.findings.append(
        f"With n = {n}, p = {p}, k = {k}: an index is slower than whitened rows kept up to date for "
        f"{', '.join(slower) or 'nothing'} ({sizes} of memory)."
    )


def _listed(lines: list[Any], column: str) -> str:
    return ", ".join(str(value) for value in sorted({line[column] for line in lines if not line["sample"]}))


def _speed(results: Results, lines: list[Any], constants: Mapping[str, Any], out: Rendering) -> None:
    rows = []
    for title, ratios in speed.won(lines).items():
        making = "apart" if "query" in title else "included"
        wins, total = sum(r > 1.0 for r in ratios), len(ratios)
        low, middle, high = min(ratios), float(np.median(ratios)), max(ratios)
        rows.append([title, f"{wins} of {total}", *(f"{speed.factor_text(r)}x" for r in (low, middle, high))])
        key = title.replace(",", "").replace(" + ", " ").replace(" ", "-")
        out.numbers[f"e04.speed.{key}"] = f"{wins} of {total}"
        out.findings.append(
            f"{title}: a sketch, its making {making}, is faster in {wins} of {total} measured pairs of a job and a "
            f"k, by a median factor of {speed.factor_text(middle)} (from {speed.factor_text(low)} to "
            f"{speed.factor_text(high)})."
        )
    out.tables["e04_speed"] = Table(
        ["job", "sketch faster", "least", "median", "most"],
        rows,
        f"Speed of Gaussian sketches relative to the exact distances, their making included but for queries. Counted "
        f"are pairs of a job, of many numbers of rows and columns, and a k ({_listed(lines, 'k')}) below its columns. "
        "The exact way is the whitener; under a full covariance whitening by one dense product instead where that is "
        f"faster. One thread, medians of {results.repetitions(part='speed', method='gaussian')} repetitions of each.",
    )
    found = judged(lines, constants)
    out.numbers |= {
        "e04.model.jobs": str(found["lines"]),
        "e04.model.agreement": percent(found["agreement"], 0),
        "e04.model.regret": percent(found["mean"] - 1.0, 1),
    }
    out.findings.append(
        f"The cost model chooses the faster way, or one within 10 % of it, in {percent(found['agreement'], 0)} of "
        f"{found['lines']} pairs of a job and a sketch (those that its constants are fitted to; the exact way is that "
        f"of the whitener); its choices cost "
        f"{percent(found['mean'] - 1.0, 1)} more than the faster way in the mean."
    )
