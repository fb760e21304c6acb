"""The page of e03: the worst over distances and kinds of outliers, for each share, and what it costs on clean rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments._figures import Figure, draw_series, legend
from experiments._render import Rendering, Results
from experiments._spec import methods
from experiments._tables import Table, bold, percent, seconds, significant

PAGE = "docs/robust_family.md"
FAR = 5.0  # from this distance on the outliers are plain to see, unless they mask each other
SHOWN = (0.2, 0.4)  # shares in the tables
REFERENCES = ("truth", "empirical", "ledoit-wolf")  # not robust, or not an estimate
DRAWN = ("truth", "empirical", "ledoit-wolf", "mcd", "mcd-75", "mcd-deterministic", "mrcd", "ogk", "wrapped")
DRAWN += ("sklearn-mcd", "statsmodels-detmcd", "statsmodels-detmm", "statsmodels-ogk", "statsmodels-tyler")
DRAWN += ("robpy-mcd",)
MEASURES = ("location", "log_condition")
CONTESTS = {
    "location": "smallest maximum bias of location",
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
Size = tuple[int, int]


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
    findings = _findings(frame, standing, clean, sizes, labels)
    return Rendering(
        numbers=_numbers(results, standing, clean, sizes, labels),
        tables=tables,
        figures={
            "e03_bias": _bias_figure(results, standing, sizes, labels),
            "e03_detection": _detection_figure(results, standing, sizes, labels),
        },
        blocks={PAGE: {"e03": _block(tables, findings)}},
        findings=findings,
    )


# ------------------------------------------------------------------------------------------------- summaries


def worst(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the worst over kinds and distances for each size, method and share.

    Biases are medians over repetitions; an estimate that failed is infinitely far. `found` and `beyond` are means over
    repetitions, the worst of the distances from `FAR` on; an estimate that failed finds nothing. `found_mean` and
    `auroc_mean` are means over all kinds and distances.
    """
    bad = frame[frame["kind"] != "none"].copy()
    failed = bad["failed"].notna()
    for name in MEASURES:
        bad[name] = bad[name].astype(float).mask(failed, np.inf)
    for name in ("found", "beyond"):
        bad[name] = (bad[name].astype(float) / bad["outliers"]).mask(failed, 0.0)
    bad["auroc"] = bad["auroc"].astype(float).mask(failed, 0.0)
    keys = ["n", "p", "method", "share"]
    spots = bad.groupby([*keys, "kind", "distance"])
    biases = spots[list(MEASURES)].median().groupby(keys).max()
    far = bad[bad["distance"] >= FAR].groupby([*keys, "kind", "distance"])
    detected = far[["found", "beyond"]].mean().groupby(keys).min()
    means = bad.groupby(keys)[["found", "auroc"]].mean().add_suffix("_mean")
    return (
        biases.join(detected).join(means).join(failed.groupby([bad[k] for k in keys]).mean().rename("failed"))
    )


def clean_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return biases, false alarms and the time of a fit on rows without outliers, for each size and method."""
    keys = ["n", "p", "method"]
    good = frame[frame["kind"] == "none"]
    out = good.groupby(keys)[[*MEASURES, "fit_seconds"]].median()
    done = good[good["failed"].isna()]
    rows = done.groupby(keys)[["n"]].sum().rename(columns={"n": "rows"})
    return out.join(done.groupby(keys)["false"].sum().rename("false")).join(rows)


def at(table: pd.DataFrame, column: str, *where: Any) -> float:
    """Return a number of a summary; NaN where the method was not run."""
    return float(table[column].get(where, np.nan))


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
        rows.append(
            [
                labels[name],
                *cells,
                percent(alarms),
                seconds(at(clean, "fit_seconds", n, p, name)),
            ]
        )
    heads = {"location": "location", "log_condition": "shape", "found": "found", "beyond": "ranked"}
    return Table(
        ["method", *(f"{heads[c]} {percent(share, 0)}" for c, share in columns), "false alarms", "fit"],
        rows,
        f"Normal rows, n = {n}, p = {p}: the worst over three kinds of outliers and all distances, for shares of "
        f"{' and '.join(percent(share, 0) for share in shares)}. Location: Mahalanobis length of the bias; shape: log "
        f"condition number of the estimate relative to the truth (medians over {results.repetitions(n=n, p=p)} "
        "repetitions, most of them on clean rows). Found: outliers called such at 1 % by the method's own law; "
        "ranked: outliers farther than every clean row, for which no law is needed; both are means, the worst "
        f"at distances of {FAR:g} and more. False alarms, and median time of a fit on one thread: on rows without "
        "outliers; the law takes its own time.",
        note='Bold: the best of the estimates. Ours are judged by null="auto", others by the chi-square law.',
    )


def _best(values: Sequence[float], small: bool) -> float:
    known = [value for value in values if np.isfinite(value)]
    return (min(known) if small else max(known)) if known else np.nan


def _block(tables: Mapping[str, Table], findings: Sequence[str]) -> str:
    out = [*(f"- {one}" for one in findings)]
    for one in tables.values():
        out.append(one.markdown(caption=True))
    return "\n".join(out)


# ------------------------------------------------------------------------------------------------- numbers, sentences


def _numbers(
    results: Results,
    standing: pd.DataFrame,
    clean: pd.DataFrame,
    sizes: Sequence[Size],
    labels: Mapping[str, str],
) -> dict[str, str]:
    out = {"e03.repetitions": results.repetitions(), "e03.far": f"{FAR:g}"}
    for n, p in sizes:
        stem = f"e03.{n}x{p}"
        for share in SHOWN:
            for column in CONTESTS:
                what = column.replace("_", "-")
                for side, one in zip(
                    ("ours", "peer"), contest(standing, (n, p), share, column, labels), strict=False
                ):
                    out[f"{stem}.{100 * share:g}.{what}.{side}"] = _text(one[1], column)
                    out[f"{stem}.{100 * share:g}.{what}.{side}.name"] = labels[one[0]]
                for name in [name for name in NAMED if (n, p, name, share) in standing.index]:
                    value = at(standing, column, n, p, name, share)
                    out[f"{stem}.{100 * share:g}.{what}.{name}"] = _text(value, column)
        for name in [name for name in NAMED if (n, p, name) in clean.index]:
            out[f"{stem}.{name}.seconds"] = seconds(at(clean, "fit_seconds", n, p, name))
        for side, known in alarms_of(clean, (n, p), labels).items():
            out[f"{stem}.alarms.{side}.low"] = percent(min(known.values()))
            out[f"{stem}.alarms.{side}.high"] = percent(max(known.values()))
    missed, said = silent(results.frame)
    return {**out, "e03.missed": str(missed), "e03.missed.warned": str(said)}


def sides(labels: Mapping[str, str]) -> dict[str, list[str]]:
    """Return names of our robust methods, and of those of other packages."""
    package = {one.name: one.package for one in methods("robustness")}
    own = [name for name in labels if package.get(name, "fmahal") == "fmahal"]
    return {
        "ours": [name for name in own if name not in REFERENCES],
        "peers": [name for name in labels if name not in own],
    }


def contest(
    standing: pd.DataFrame, size: Size, share: float, column: str, labels: Mapping[str, str]
) -> list[tuple[str, float]]:
    """Return the best of ours and the best peer with their values; nothing where one side is missing."""
    out = []
    for names in sides(labels).values():
        known = {name: at(standing, column, *size, name, share) for name in names}
        known = {name: value for name, value in known.items() if np.isfinite(value)}
        if not known:
            return []
        first = (min if column in MEASURES else max)(known, key=known.__getitem__)
        out.append((first, known[first]))
    return out


def alarms_of(clean: pd.DataFrame, size: Size, labels: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return the shares of clean rows flagged at one size, for ours and for peers, where there are any."""
    found: dict[str, dict[str, float]] = {}
    for side, names in sides(labels).items():
        for name in names:
            share = at(clean, "false", *size, name) / at(clean, "rows", *size, name)
            if np.isfinite(share):
                found.setdefault(side, {})[name] = share
    return found


def silent(frame: pd.DataFrame) -> tuple[int, int]:
    """Return how many fits of MinCovDet miss most outliers that are plain to see, and how many of them said so."""
    lost = frame[(frame["method"] == "mcd") & (frame["distance"] >= FAR)]
    lost = lost[lost["found"] < 0.5 * lost["outliers"]]
    return len(lost), int(lost["warned"].sum())


def _text(value: float, column: str) -> str:
    return significant(value, 2) if column in MEASURES else percent(value, 0)


def _findings(
    frame: pd.DataFrame,
    standing: pd.DataFrame,
    clean: pd.DataFrame,
    sizes: Sequence[Size],
    labels: Mapping[str, str],
) -> list[str]:
    out = []
    for size in sizes:
        for column, share in ((c, s) for c in CONTESTS for s in SHOWN):
            out += _verdict(contest(standing, size, share, column, labels), size, share, column, labels)
        parts = []
        for side, known in alarms_of(clean, size, labels).items():
            low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
            parts.append(
                f"{side} {percent(known[low])} ({labels[low]}) to {percent(known[high])} ({labels[high]})"
            )
        out += (
            [f"n = {size[0]}, p = {size[1]}, clean rows flagged at 1 %: {', '.join(parts)}."] if parts else []
        )
        us, them = at(clean, "fit_seconds", *size, "mcd"), at(clean, "fit_seconds", *size, "sklearn-mcd")
        if us > 0 and them > 0:
            out.append(
                f"n = {size[0]}, p = {size[1]}: MinCovDet fits in {seconds(us)}, scikit-learn's in {seconds(them)}."
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


def _verdict(
    best: Sequence[tuple[str, float]], size: Size, share: float, column: str, labels: Mapping[str, str]
) -> list[str]:
    """Say which of ours and which peer is best at one size, share and measure, and which of the two wins."""
    if not best:
        return []
    (us, value), (them, other) = best
    ahead = value < other if column in MEASURES else value > other
    verdict = "ours is ahead" if ahead else "the peer is ahead"
    if _text(value, column) == _text(other, column):
        verdict = "a tie"
    return [
        f"n = {size[0]}, p = {size[1]}, {percent(share, 0)} outliers, {CONTESTS[column]}: {labels[us]} "
        f"{_text(value, column)}, {labels[them]} {_text(other, column)}: {verdict}."
    ]


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
        "Maximum bias: the worst over three kinds of outliers (a cluster, a point, a sphere) and distances from "
        f"{near:g} to {results.frame['distance'].max():g} times the root of the 99 % chi-square quantile; medians over "
        f"{results.repetitions()} repetitions. Above: Mahalanobis length of the location's bias; below: log condition "
        "number of the estimate relative to the true covariance.",
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
        f"{results.repetitions()} repetitions. Above: share of the outliers that are called such at 1 % by the "
        "method's own law; below: AUROC of the distances, for which no law is needed.",
        (6.3, 5.0),
        docs=True,
    )
