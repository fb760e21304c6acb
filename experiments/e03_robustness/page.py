"""The page of e03: the worst over distances and kinds of outliers, for each share, and false alarms on clean rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments._figures import Figure, draw_series, legend
from experiments._render import Rendering, Results
from experiments._spec import methods
from experiments._tables import Table, bold, interval, percent, significant

from .standing import FAR, MEASURES, Contest, Size, alarms_of, at, clean_rows, contests, silent, worst

PAGE = "docs/robust_family.md"
SHOWN = (0.2, 0.4)  # shares in the tables
DRAWN = ("truth", "empirical", "ledoit-wolf", "mcd", "mcd-75", "mcd-deterministic", "mrcd", "ogk", "wrapped")
DRAWN += ("sklearn-mcd", "statsmodels-detmcd", "statsmodels-detmm", "statsmodels-ogk", "statsmodels-tyler")
DRAWN += ("robpy-mcd",)
CONTESTS = {
    "location": "smallest worst bias of location",
    "found": f"largest share of outliers found in the worst arrangement at distances of {FAR:g} and more",
    "found_mean": "largest mean share of outliers found over all arrangements",
}
NAMED = (
    "empirical",
    "mcd",
    "mcd-75",
    "mcd-90",
    "mcd-deterministic",
    "mrcd",
    "ogk",
    "wrapped",
    "sklearn-mcd",
)  # in the text
NAMED += ("statsmodels-detmcd", "statsmodels-ogk", "robpy-mcd")
NOTE = (
    "Data sets are resampled each for itself, the two methods together. The few repetitions make intervals rough, and "
    "the best of many variants looks better than it is, on the side that has more of them the more so."
)
Contests = Mapping[tuple[Size, float, str], Contest]


def render(results: Results) -> Rendering:
    """Make numbers, tables, figures, the block of the page, and say where a peer wins."""
    frame = results.frame
    labels = {one.name: one.label or one.name for one in methods("robustness")}
    names = sorted(dict.fromkeys(frame["method"]), key=lambda name: name != "truth")
    labels = {name: labels.get(name, name) for name in names}
    sizes = sorted(
        {(int(n), int(p)) for n, p in zip(frame["n"], frame["p"], strict=True)}, key=lambda s: s[1]
    )
    standing = worst(frame)
    clean = clean_rows(frame)
    tables = {f"e03_{n}x{p}": _table(results, standing, clean, (n, p), labels) for n, p in sizes}
    compared = contests(frame, list(labels), list(CONTESTS), SHOWN)
    findings = _findings(frame, standing, clean, compared, sizes, labels)
    return Rendering(
        numbers=_numbers(results, standing, clean, compared, sizes, labels),
        tables=tables,
        figures={
            "e03_bias": _bias_figure(results, standing, sizes, labels),
            "e03_detection": _detection_figure(results, standing, sizes, labels),
        },
        blocks={PAGE: {"e03": _block(tables, findings)}},
        findings=findings,
    )


# ------------------------------------------------------------------------------------------------- tables


def _table(
    results: Results, standing: pd.DataFrame, clean: pd.DataFrame, size: Size, labels: Mapping[str, str]
) -> Table:
    n, p = size
    shares = [share for share in SHOWN if share in set(standing.index.get_level_values("share"))]
    ran = [
        name for name in labels if (n, p, name) in clean.index or (n, p, name, shares[-1]) in standing.index
    ]
    columns = [(column, share) for column in (*MEASURES, "found", "beyond") for share in shares]
    values = {name: [at(standing, c, n, p, name, share) for c, share in columns] for name in ran}
    judged = [name for name in ran if name != "truth"]
    best = [
        _best([values[name][i] for name in judged], column in MEASURES)
        for i, (column, _) in enumerate(columns)
    ]
    rows = []
    for name in ran:
        cells = []
        for (column, _), value, top in zip(columns, values[name], best, strict=True):
            text = significant(value, 2) if column in MEASURES else percent(value, 0)
            cells.append(bold(text, when=name in judged and value == top))
        alarms = at(clean, "false", n, p, name) / at(clean, "rows", n, p, name)
        rows.append([labels[name], *cells, percent(alarms)])
    heads = {"location": "location", "log_condition": "shape", "found": "found", "beyond": "ranked"}
    return Table(
        ["method", *(f"{heads[c]} {percent(share, 0)}" for c, share in columns), "false alarms"],
        rows,
        f"Normal rows, n = {n}, p = {p}: the worst over three kinds of outliers and all distances, for shares of "
        f"{' and '.join(percent(share, 0) for share in shares)}. Location: Mahalanobis length of the bias; shape: log "
        "condition number of the estimate relative to the truth; both medians over repetitions. Found: outliers called "
        "such at 1 % by the method's own law; ranked: outliers farther than every clean row, for which no law is "
        f"needed; both are means, the worst at distances of {FAR:g} and more. On rows with outliers "
        f"{_repeated(results, (n, p))}, without intervals: near values may be chance. False alarms: on rows without "
        f"outliers, {_repeated(results, (n, p), clean=True)}.",
        note="Bold: the best of the estimates, where any finds anything. Ours are judged by "
        'null="auto", others by the chi-square law.',
    )


def _repeated(results: Results, size: Size | None = None, clean: bool = False) -> str:
    """Say how many repetitions there are on rows with outliers, or on clean ones."""
    frame = results.frame
    chosen = (frame["kind"] == "none") == clean
    if size is not None:
        chosen &= (frame["n"] == size[0]) & (frame["p"] == size[1])
    often = Results(results.name, frame[chosen], results.facts).repetitions()
    return f"{often} repetition{'' if often == '1' else 's'}"


def _best(values: Sequence[float], small: bool) -> float:
    known = [value for value in values if np.isfinite(value)]
    best = (min(known) if small else max(known)) if known else np.nan
    return best if small or best > 0.0 else np.nan  # none is the best where all find nothing


def _block(tables: Mapping[str, Table], findings: Sequence[str]) -> str:
    out = [*(f"- {one}" for one in findings), ""]
    out += [
        f"*Best of several on both sides; intervals: 95 % by a paired bootstrap over repetitions. {NOTE}*",
        "",
    ]
    for one in tables.values():
        out.append(one.markdown(caption=True))
    return "\n".join(out)


# ------------------------------------------------------------------------------------------------- numbers, sentences


def _numbers(
    results: Results,
    standing: pd.DataFrame,
    clean: pd.DataFrame,
    compared: Contests,
    sizes: Sequence[Size],
    labels: Mapping[str, str],
) -> dict[str, str]:
    out = {"e03.repetitions": _repeated(results), "e03.far": f"{FAR:g}"}
    for ((n, p), share, column), one in compared.items():
        stem = f"e03.{n}x{p}.{100 * share:g}.{column.replace('_', '-')}"
        for side, name, value, many in zip(("ours", "peer"), one.names, one.values, one.many, strict=True):
            out |= {f"{stem}.{side}": _text(value, column), f"{stem}.{side}.name": labels[name]}
            out[f"{stem}.{side}.many"] = str(many)
        out |= {f"{stem}.interval": _interval(one), f"{stem}.verdict": one.verdict}
    for n, p in sizes:
        stem = f"e03.{n}x{p}"
        for share in SHOWN:
            for column in CONTESTS:
                what = column.replace("_", "-")
                for name in [name for name in NAMED if (n, p, name, share) in standing.index]:
                    value = at(standing, column, n, p, name, share)
                    out[f"{stem}.{100 * share:g}.{what}.{name}"] = _text(value, column)
        for side, known in alarms_of(clean, (n, p), list(labels)).items():
            out[f"{stem}.alarms.{side}.low"] = percent(min(known.values()))
            out[f"{stem}.alarms.{side}.high"] = percent(max(known.values()))
    missed, said = silent(results.frame)
    return {**out, "e03.missed": str(missed), "e03.missed.warned": str(said)}


def _text(value: float, column: str) -> str:
    return significant(value, 2) if column in MEASURES else percent(value, 0)


def _interval(one: Contest) -> str:
    """Return the interval of ours minus the peer's; shares in points."""
    if one.column in MEASURES:
        return interval(one.low, one.high)
    return interval(100.0 * one.low, 100.0 * one.high, 0)


def _findings(
    frame: pd.DataFrame,
    standing: pd.DataFrame,
    clean: pd.DataFrame,
    compared: Contests,
    sizes: Sequence[Size],
    labels: Mapping[str, str],
) -> list[str]:
    out = []
    for size in sizes:
        out += [_verdict(one, size, share, labels) for (s, share, _), one in compared.items() if s == size]
        parts = []
        for side, known in alarms_of(clean, size, list(labels)).items():
            low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
            span = [f"{percent(known[name])} ({labels[name]})" for name in dict.fromkeys((low, high))]
            parts.append(f"{side} {' to '.join(span)}")
        out += (
            [f"n = {size[0]}, p = {size[1]}, clean rows flagged at 1 %: {', '.join(parts)}."] if parts else []
        )
    failed = standing["failed"][standing["failed"] > 0]
    out += [
        f"{labels.get(name, name)} failed on {percent(float(value), 0)} of the fits (n = {n}, p = {p}, "
        f"{percent(share, 0)} outliers)."
        for (n, p, name, share), value in failed.items()
    ]
    missed, said = silent(frame)
    if missed:
        out.append(
            f"Of {missed} fits of MinCovDet that miss more than half of outliers at {FAR:g} and farther, {said} said "
            "by a warning that the fit is ambiguous."
        )
    return out


def _verdict(one: Contest, size: Size, share: float, labels: Mapping[str, str]) -> str:
    """Say which of ours and which peer is best at one size, share and measure, and which of the two wins."""
    us, them = (
        f"{labels[name]} {_text(value, one.column)} (best of {many} {side})"
        for name, value, many, side in zip(one.names, one.values, one.many, ("of ours", "peers"), strict=True)
    )
    unit = "" if one.column in MEASURES else " points"
    return (
        f"n = {size[0]}, p = {size[1]}, {percent(share, 0)} outliers, {CONTESTS[one.column]}: {us}, {them}; ours minus "
        f"the peer's {_interval(one)}{unit}: {one.verdict}."
    )


# ------------------------------------------------------------------------------------------------- figures


def _grid(figure: Any, rows: int, sizes: Sequence[Size]) -> Any:
    axes = figure.subplots(rows, len(sizes), sharex=True, sharey="row", squeeze=False)
    for ax, (n, p) in zip(axes[0], sizes, strict=True):
        ax.set_title(f"n = {n}, p = {p}")
    for ax in axes[-1]:
        ax.set_xlabel("outliers, %")
    return axes


def _curve(
    standing: pd.DataFrame, clean: pd.DataFrame | None, where: tuple[Any, ...], column: str
) -> pd.Series:
    """Return a measure by share in percent; biases begin with that on clean rows."""
    line = (
        standing.loc[where, column] if where in standing.index.droplevel("share") else pd.Series(dtype=float)
    )
    line.index = [100.0 * share for share in line.index]
    if clean is not None and where in clean.index:
        line = pd.concat([pd.Series({0.0: float(clean.at[where, column])}), line])
    return line


def _panels(
    standing: pd.DataFrame, clean: pd.DataFrame | None, columns: Sequence[str], sizes: Sequence[Size],
    labels: Mapping[str, str],
) -> dict[tuple[int, int, str], pd.Series]:  # fmt: skip
    names = [name for name in labels if name in DRAWN]
    out = {}
    for row, column in enumerate(columns):
        for place, size in enumerate(sizes):
            for name in names:
                line = _curve(standing, clean, (*size, name), column)
                if len(line):
                    out[row, place, name] = line.where(np.isfinite(line))
    return out


def _bias_figure(
    results: Results, standing: pd.DataFrame, sizes: Sequence[Size], labels: Mapping[str, str]
) -> Figure:
    lines = _panels(standing, clean_rows(results.frame), list(MEASURES), sizes, labels)
    lines = {key: line for key, line in lines.items() if key[2] != "truth"}  # which has none
    near = results.frame["distance"][results.frame["distance"] > 0].min()

    def draw(figure: Any) -> None:
        axes = _grid(figure, 2, sizes)
        for (row, place, name), line in lines.items():
            draw_series(axes[row, place], line.index, line, name, label=labels[name])
        for ax in axes.ravel():
            ax.set_yscale("log")
        axes[0, 0].set_ylabel("bias of location")
        axes[1, 0].set_ylabel("log condition number")
        legend(figure, columns=4)

    return Figure(
        draw,
        "Largest bias: the worst over three kinds of outliers (a cluster, a point, a sphere) and distances from "
        f"{near:g} to {results.frame['distance'].max():g} times the root of the 99 % chi-square quantile; medians "
        f"over {_repeated(results)}, on rows without outliers over {_repeated(results, clean=True)}, without bars. "
        "Above: Mahalanobis length of the location's bias; below: log condition number of the estimate relative to the "
        "true covariance.",
        (6.3, 5.0),
        docs=True,
    )


def _detection_figure(
    results: Results, standing: pd.DataFrame, sizes: Sequence[Size], labels: Mapping[str, str]
) -> Figure:
    lines = _panels(standing, None, ["found_mean", "auroc_mean"], sizes, labels)

    def draw(figure: Any) -> None:
        axes = _grid(figure, 2, sizes)
        for (row, place, name), line in lines.items():
            draw_series(axes[row, place], line.index, line, name, label=labels[name])
        axes[0, 0].set_ylabel("outliers found")
        axes[1, 0].set_ylabel("AUROC")
        legend(figure, columns=4)

    return Figure(
        draw,
        "Detection: means over three kinds of outliers, all distances and "
        f"{_repeated(results)}, without bars. Above: share of the outliers that are called such at 1 % by the method's "
        "own law; below: AUROC of the distances, for which no law is needed.",
        (6.3, 5.0),
        docs=True,
    )
