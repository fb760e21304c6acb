"""Tables, figures, numbers and findings about outlying curves: what is made of the stored counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from .._figures import MUTED, Figure, draw_critical_difference, draw_intervals
from .._render import Rendering, Results
from .._spec import methods
from .._stats import Estimate
from .._tables import Table, bold, fixed, interval, percent, significant
from ..methods.curves import DEFAULT, LEVEL
from .spec import MODELS, REAL, SMOOTH
from .verdicts import (
    CHECKS,
    FAMILY,
    WHY,
    Standing,
    beaten,
    common,
    defeats,
    difference,
    failed,
    leads,
    ranks,
    rate,
    sentence_failures,
    standings,
    with_rates,
)

PAGE = "docs/outlying_curves.md"
SOBOLEV, MSPLOT, RIDGE = "curves-robust-sobolev", "skfda-msplot", "curves-ridge"
Labels = Mapping[str, str]


def render(results: Results) -> Rendering:
    """Return everything that the paper and the page show of the results."""
    frame, labels = results.frame, _labels(results.frame)
    shown = common(frame)
    found = standings(shown)
    tables = {
        "e05_summary": _summary(found, frame, shown, labels),
        "e05_models": _by_model(found, shown, labels),
        "e05_settings": _by_setting(found, frame, labels),
        "e05_beside": _beside(found, frame, labels),
    }
    failures = [text for call in CHECKS.values() for text in call(found, labels)]
    failures += sentence_failures(frame, shown, SOBOLEV, RIDGE)
    return Rendering(
        numbers=_numbers(found, frame, shown, labels),
        tables=tables,
        figures={
            "e05_youden": _youden_figure(found, shown, labels),
            "e05_ranks": _rank_figure(shown, labels),
        },
        blocks={PAGE: _blocks(results, tables, shown, found, labels)},
        findings=_findings(found, frame, shown, labels),
        failures=failures,
    )


def _labels(frame: pd.DataFrame) -> dict[str, str]:
    known = {one.name: one.label or one.name for one in methods("curves")}
    return {str(name): known.get(name, str(name)) for name in frame["method"].unique()}


def _sets(shown: pd.DataFrame) -> str:
    """Say on how many data sets of which sizes the rates are."""
    per_cell = shown.groupby(["data", "method"])["repetition"].nunique()
    low, high = per_cell.min(), per_cell.max()
    sizes = " and ".join(map(str, sorted(shown["n"].unique())))
    shares = " and ".join(map(str, sorted(shown["contamination"].unique())))
    return (
        f"{shown['model'].nunique()} models, n = {sizes} curves, {shares} % of them outliers, "
        f"{low if low == high else f'{low} to {high}'} data sets a cell, the same for all"
    )


def _share(one: Estimate, digits: int = 1) -> str:
    return f"{fixed(100 * one.value, digits)} {interval(100 * one.low, 100 * one.high, digits)}"


def _plain(one: Estimate) -> str:
    return f"{fixed(one.value, 3)} {interval(one.low, one.high, 3)}"


# ------------------------------------------------------------------------------------------------- tables


def _summary(found: list[Standing], frame: pd.DataFrame, shown: pd.DataFrame, labels: Labels) -> Table:
    best = max((one.youden.value for one in found if one.level_kept), default=float("nan"))
    rows = []
    for one in found:
        index = bold(_plain(one.youden), one.level_kept and one.youden.value == best)
        ahead = "-" if one.method == DEFAULT else _plain(one.ahead)
        rows.append(
            [labels[one.method], index, ahead, _share(one.tpr), _share(one.fpr), significant(one.seconds, 2)]
        )
    rows += [
        [labels[name], f"failed in {number} cells", "-", "-", "-", "-"]
        for name, number in failed(frame).items()
    ]
    return Table(
        [
            "detector",
            "Youden index",
            "less the default's",
            "outliers found, %",
            "others flagged, %",
            "seconds",
        ],
        rows,
        caption=f"Outlying curves: {_sets(shown)}. Brackets: single 95 % bootstrap intervals over repetitions within "
        "cells, not corrected for the number of detectors; differences are paired. Bold: the highest index of all that "
        f"flag at most {percent(1.5 * LEVEL)} of the other curves. Seconds: median of a data set, others beside it.",
    )


def _found_flagged(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "-"
    return f"{fixed(100 * rows['tpr'].mean(), 0)} / {fixed(100 * rows['fpr'].mean(), 1)}"


def _by_model(found: list[Standing], shown: pd.DataFrame, labels: Labels) -> Table:
    models = [model for model in MODELS if model in set(shown["model"])]
    rows = []
    for one in found:
        own = shown[shown["method"] == one.method]
        rows.append([labels[one.method], *(_found_flagged(own[own["model"] == model]) for model in models)])
    return Table(
        ["detector", *models],
        rows,
        caption=f"Percent of the outliers found / of the other curves flagged, by model: {_sets(shown)}.",
    )


def _by_setting(found: list[Standing], frame: pd.DataFrame, labels: Labels) -> Table:
    rates = with_rates(frame[frame["model"].isin(MODELS)])
    settings = sorted(
        {(int(n), int(share)) for n, share in zip(rates["n"], rates["contamination"], strict=True)}
    )
    rows = []
    for one in found:
        own = rates[rates["method"] == one.method]
        cells = [own[(own["n"] == n) & (own["contamination"] == share)] for n, share in settings]
        rows.append([labels[one.method], *map(_found_flagged, cells)])
    sets = rates.groupby("n")["repetition"].nunique()
    told = ", ".join(f"{number} data sets a cell of {n} curves" for n, number in sets.items())
    return Table(
        ["detector", *(f"n = {n}, {share} %" for n, share in settings)],
        rows,
        caption="Percent of the outliers found / of the other curves flagged, by number of curves and percentage of "
        f"outliers, over {rates['model'].nunique()} models: {told}; detectors that take long saw the first size only.",
    )


def _beside(found: list[Standing], frame: pd.DataFrame, labels: Labels) -> Table:
    rates = with_rates(frame)
    smooth, real = rates[rates["model"] == SMOOTH], rates[rates["model"] == REAL]
    rows = []
    for one in found:
        own = smooth[smooth["method"] == one.method]
        texts = [_share(rate(own, name)) for name in ("tpr", "fpr")] if len(own) else ["-", "-"]
        years = real[real["method"] == one.method]
        told = [
            f"{row.hits:.0f} of {row.outliers}, {row.false:.0f}".split(", ") for row in years.itertuples()
        ]
        rows.append([labels[one.method], *texts, *(told[0] if told else ["-", "-"])])
    shares = " and ".join(map(str, sorted(smooth["contamination"].unique())))
    return Table(
        ["detector", "waves found, %", "others flagged, %", "El Niño years found", "other years flagged"],
        rows,
        caption=f"Smooth curves with a small fast wave ({_repeated(smooth)} data sets a cell of "
        f"{' and '.join(map(str, sorted(smooth['n'].unique())))} curves, {shares} % of them outliers; brackets: 95 % "
        "bootstrap intervals over repetitions), and sea surface temperatures by month of 69 years with four years of "
        "El Niño that the literature calls outlying (one real data set: an illustration, not a comparison).",
    )


def _repeated(rows: pd.DataFrame) -> int:
    return int(rows["repetition"].nunique())


# ------------------------------------------------------------------------------------------------- figures


def _youden_figure(found: list[Standing], shown: pd.DataFrame, labels: Labels) -> Figure:
    names, texts = [one.method for one in found], [labels[one.method] for one in found]

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        index = [one.youden for one in found]
        draw_intervals(left, texts, *zip(*index, strict=True), names=names)
        left.set_xlabel("Youden index")
        flagged = [[100 * value for value in one.fpr] for one in found]
        draw_intervals(right, texts, *zip(*flagged, strict=True), names=names, reference=100 * LEVEL)
        right.set_xlabel("other curves flagged, %")
        right.tick_params(axis="y", labelleft=False)
        right.grid(False, axis="x")
        where = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
        right.annotate("level", (100 * LEVEL, 1.0), color=MUTED, **where)

    caption = (
        f"Share of outlying curves found less share of other curves flagged, and that share itself: {_sets(shown)}. "
        "Bars: single 95 % bootstrap intervals over repetitions within cells. Our variants are judged at the dashed "
        "level, the detectors of scikit-fda at their own defaults."
    )
    return Figure(draw, caption, size=(6.3, 0.8 + 0.19 * len(found)), docs=True)


def _rank_figure(shown: pd.DataFrame, labels: Labels) -> Figure:
    mean_ranks, apart, p_value = ranks(shown)
    count = len(mean_ranks)
    caption = (
        f"Mean ranks of the detectors by the Youden index over models ({_sets(shown)}; a model is one observation). "
        "Bars join detectors whose ranks differ by less than the critical difference of Nemenyi's test at 5 %; "
        f"Friedman's test that all are alike: p = {significant(p_value, 2)}."
    )
    return Figure(
        lambda figure: draw_critical_difference(figure, dict(mean_ranks), apart, labels=labels),
        caption,
        size=(6.3, 1.3 + 0.12 * count),
    )


# ------------------------------------------------------------------------------------------------- numbers


def _key(method: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+_-]", "-", method.removeprefix("curves-"))


def _numbers(
    found: list[Standing], frame: pd.DataFrame, shown: pd.DataFrame, labels: Labels
) -> dict[str, str]:
    mean_ranks, apart, p_value = ranks(shown)
    out = {
        "level": percent(LEVEL, 0),
        "cells": str(shown["data"].nunique()),
        "sets": str(len(shown[["data", "repetition"]].drop_duplicates())),
        "methods": str(len(found)),
        "friedman": significant(p_value, 2),
        "cd": fixed(apart, 1),
    }
    for one in found:
        name = _key(one.method)
        out[f"{name}.label"] = labels[one.method]
        out[f"{name}.youden"], out[f"{name}.ahead"] = _plain(one.youden), _plain(one.ahead)
        out[f"{name}.tpr"], out[f"{name}.fpr"] = percent(one.tpr.value), percent(one.fpr.value)
        out[f"{name}.rank"], out[f"{name}.seconds"] = (
            fixed(mean_ranks[one.method], 1),
            significant(one.seconds, 1),
        )
        own = shown[shown["method"] == one.method]
        for share, rows in own.groupby("contamination"):
            out[f"{name}.tpr.{share}"] = percent(rows["tpr"].mean(), 0)
    out |= _places(found, shown, labels)
    rates = with_rates(frame)
    for one in (DEFAULT, SOBOLEV, MSPLOT):
        for model in (SMOOTH, REAL):
            rows = rates[(rates["method"] == one) & (rates["model"] == model)]
            if len(rows):
                out[f"{model}.{_key(one)}.tpr"] = percent(rows["tpr"].mean(), 0)
                out[f"{model}.{_key(one)}.found"] = str(int(rows["hits"].iloc[0]))
                out[f"{model}.{_key(one)}.false"] = str(int(rows["false"].iloc[0]))
                out[f"{model}.{_key(one)}.named"] = _years(rows)
    return {f"e05.{name}": text for name, text in out.items()}


def _years(rows: pd.DataFrame) -> str:
    named = rows["named"].iloc[0]
    years = named.split() if isinstance(named, str) else []
    return ", ".join(years) if years else "none"


def _places(found: list[Standing], shown: pd.DataFrame, labels: Labels) -> dict[str, str]:
    """Who is first and who comes next to the default, and the model where the default does worst."""
    out = {"first.label": labels[found[0].method], "first.youden": _plain(found[0].youden)}
    rivals = [one for one in found if one.method != DEFAULT]
    if rivals:
        out |= {"rival.label": labels[rivals[0].method], "rival.ahead": _plain(rivals[0].ahead)}
        out["rival.fpr"] = percent(rivals[0].fpr.value)
    peers = [one for one in found if one.method.startswith("skfda-")]
    if peers:
        out |= {"peer.label": labels[peers[0].method], "peer.ahead": _plain(peers[0].ahead)}
        out |= {"peer.fpr": percent(peers[0].fpr.value), "peer.seconds": significant(peers[0].seconds, 1)}
    lost, every = beaten(shown), sorted(leads(shown), key=lambda one: -one.gap.value)
    out["beaten"], out["compared"] = str(len(lost)), str(len(every))
    who = [f"{labels[one.method]} on {one.model} by {_plain(one.gap)}" for one in [*lost, *every[:1]]]
    out["beaten.who"] = "; ".join(who[: len(lost)]) or "none"
    out["ahead.who"] = who[-1] if who else "-"
    out["ahead.single"] = str(sum(one.p_value < FAMILY for one in every))
    missed = sorted(defeats(shown), key=lambda one: one.tpr.value)
    out["defeats"] = ", ".join(one.model for one in missed) or "none"
    if missed:
        one = missed[0]
        out |= {"worst.model": one.model, "worst.tpr": percent(one.tpr.value, 0)}
        out |= {"worst.best": labels[one.best], "worst.why": WHY[one.model]}
        out["worst.best.tpr"] = percent(one.best_tpr.value, 0)
    return out


# ------------------------------------------------------------------------------------------------- sentences


def _findings(found: list[Standing], frame: pd.DataFrame, shown: pd.DataFrame, labels: Labels) -> list[str]:
    by_name, out = {one.method: one for one in found}, []
    default = by_name.get(DEFAULT)
    if default:
        out.append(
            f"The default finds {percent(default.tpr.value)} of the outliers and flags {percent(default.fpr.value)} "
            f"of the others: Youden index {_plain(default.youden)}, place {found.index(default) + 1} of {len(found)}."
        )
    for one in [one for one in found if one.method != DEFAULT][:2]:
        out.append(
            f"{labels[one.method]}: {_plain(one.youden)}, {_plain(one.ahead)} from the default; flags "
            f"{percent(one.fpr.value)} of the other curves."
        )
    out += [
        f"On {one.model} {labels[one.method]} beats the default by {_plain(one.gap)}."
        for one in beaten(shown)
    ]
    for one in defeats(shown):
        out.append(f"Of {one.model} outliers the default finds {_share(one.tpr)} %: {WHY[one.model]}.")
    rates = with_rates(frame)
    smooth = rates[rates["model"] == SMOOTH]
    if {DEFAULT, SOBOLEV} <= set(smooth["method"]):
        shares = [percent(smooth.loc[smooth["method"] == one, "tpr"].mean(), 0) for one in (DEFAULT, SOBOLEV)]
        gap = difference(smooth, SOBOLEV)
        out.append(
            f"Small fast waves on smooth curves: the default finds {shares[0]} of them, the Sobolev space {shares[1]} "
            f"(Youden index {_plain(gap)} higher)."
        )
    real = rates[rates["model"] == REAL]
    for one in (one for one in (DEFAULT, MSPLOT) if one in set(real["method"])):
        row = real[real["method"] == one]
        out.append(
            f"El Niño: {labels[one]} finds {int(row['hits'].iloc[0])} of {int(row['outliers'].iloc[0])} years and "
            f"flags {int(row['false'].iloc[0])} others ({_years(row)})."
        )
    return out


# ------------------------------------------------------------------------------------------------- the page


def _details(title: str, table: Table) -> str:
    return f"<details>\n<summary>{title}</summary>\n{table.markdown(caption=True)}\n</details>\n"


def _blocks(
    results: Results, tables: Mapping[str, Table], shown: pd.DataFrame, found: list[Standing], labels: Labels
) -> dict[str, str]:
    held = [["no" if call(found, labels) else "yes", text] for text, call in CHECKS.items()]
    required = Table(["holds", "required"], held, caption="", align="l l")
    facts = results.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())
    source = (
        f"By `python -m experiments run e05 --profile {results.profile}`, "
        f"{fixed(facts.get('wall_seconds', float('nan')) / 60, 1)} minutes, {facts.get('processor', '')}; {versions}."
    )
    misses = [
        f"- **{one.model}** ({_share(one.tpr)} % found): {WHY[one.model]}. Best: {labels[one.best]}, "
        f"{_share(one.best_tpr)} % found, {_share(one.best_fpr)} % of the other curves flagged."
        for one in defeats(shown)
    ]
    lost = [
        f"- {one.model}: {labels[one.method]}, by {_plain(one.gap)} in the Youden index"
        for one in beaten(shown)
    ]
    failures = [f"- {text}" for call in CHECKS.values() for text in call(found, labels)]
    sections = [
        ("Requirements that do not hold:", failures),
        (
            f"Ahead of the default on a model by more than the level (Holm's correction over {len(leads(shown))} "
            "comparisons; brackets: single 95 % intervals by Student's t):",
            lost,
        ),
    ]
    more = [line for title, lines in sections if lines for line in ("", title, "", *lines)]
    body = [required.markdown(), tables["e05_summary"].markdown(caption=True)]
    body += [
        _details("By model", tables["e05_models"]),
        _details("By setting", tables["e05_settings"]),
        source,
    ]
    return {
        "e05": "\n".join(body),
        "defeats": "\n".join([*(misses or ["None."]), *more]),
        "smooth": tables["e05_beside"].markdown(caption=True),
    }
