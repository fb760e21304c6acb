"""The page of e02: losses relative to Ledoit and Wolf's estimator, by design, and medians of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments._figures import Figure, draw_series, legend
from experiments._render import Rendering, Results
from experiments._spec import methods
from experiments._stats import Estimate, estimate
from experiments._tables import Table, bold, fixed, percent

from .spec import DESIGNS, ORDERED

PAGE = "docs/precision.md"
LOSSES = {"kl": "Stein's loss", "frobenius": "Frobenius", "d2_rms": "distances", "d2_correlation": "ranking"}
BASE = "ledoit-wolf"
SHRINKAGE = ("ledoit-wolf", "oas", "qis")
SAME = 1e-6  # two programs for one formula
GROUPS = {
    "ordered": ("ordered designs", ORDERED, "cholesky-bands"),
    "spiked": ("the spiked design", ("spiked",), "cholesky-10-orders"),
    "unordered": ("shuffled and factor designs", ("shuffled AR(1)", "sparse factors"), "cholesky-10-orders"),
    "found": ("shuffled and factor designs", ("shuffled AR(1)", "sparse factors"), "cholesky-bic"),
}
DRAWN = (
    "ledoit-wolf",
    "oas",
    "qis",
    "modified-cholesky-cv",
    "cholesky-bands",
    "cholesky-10-orders",
    "cholesky-bic",
)
DRAWN += ("sklearn-graphical-lasso",)


def render(results: Results) -> Rendering:
    """Make numbers, tables and the figure."""
    frame = results.frame
    labels = {one.name: one.label or one.name for one in methods("precision")}
    labels = {name: labels.get(name, name) for name in order_of(frame)}
    groups = {key: found for key in GROUPS if (found := standing(frame, key))}
    summary = _summary(results, labels)
    return Rendering(
        numbers=_numbers(results, groups),
        tables={"e02_summary": summary},
        figures={"e02_kl": _figure(results, labels)},
        blocks={PAGE: {"e02": _block(frame, labels, summary, groups)}},
        findings=_findings(frame, labels, groups),
        failures=_failures(frame),
    )


# ------------------------------------------------------------------------------------------------- summaries


def order_of(frame: pd.DataFrame) -> list[str]:
    """Return the methods' names, the truth first."""
    return sorted(dict.fromkeys(frame["method"]), key=lambda name: name != "truth")


def medians(frame: pd.DataFrame, loss: str) -> pd.DataFrame:
    """Return medians over repetitions: (design, p, n) x methods."""
    wide = frame.pivot_table(index=["design", "p", "n"], columns="method", values=loss, aggfunc="median")
    return wide.reindex(columns=order_of(frame)).sort_index(level=["p", "n"], sort_remaining=False)


def relative(frame: pd.DataFrame, loss: str = "kl") -> pd.DataFrame:
    """Return log ratios of a loss to Ledoit and Wolf's on the same table: (design, p, n, repetition) x methods."""
    wide = frame.pivot_table(index=["design", "p", "n", "repetition"], columns="method", values=loss)
    if BASE not in wide:
        return wide.iloc[:, :0]
    positive = wide.where(wide > 1e-12)  # the truth has no loss
    return np.log(positive).sub(np.log(positive[BASE]), axis=0).reindex(columns=order_of(frame))


def standing(frame: pd.DataFrame, key: str) -> dict[str, Any] | None:
    """Return how one of ours stands to the best shrinkage estimator of each cell, by medians, for both losses."""
    _, designs, ours = GROUPS[key]
    if ours not in set(frame["method"]) or not set(SHRINKAGE) <= set(frame["method"]):
        return None
    out: dict[str, Any] = {}
    for loss in ("kl", "d2_rms"):
        wide = medians(frame, loss)
        wide = wide[wide.index.get_level_values("design").isin(designs)].dropna(subset=[ours])
        if wide.empty:
            return None
        ratio = wide[ours] / wide[list(SHRINKAGE)].min(axis=1)
        out[loss] = {
            "cells": len(ratio), "below": int((ratio < 1).sum()), "near": int((ratio <= 1.1).sum()),
            "typical": float(np.exp(np.log(ratio).mean())), "worst": float(ratio.max()), "where": ratio.idxmax(),
        }  # fmt: skip
    return out


def _overall(ratios: pd.DataFrame, name: str) -> Estimate | None:
    logs = ratios[name].dropna() if name in ratios else pd.Series(dtype=float)
    return Estimate(*np.exp(estimate(logs.to_numpy()))) if len(logs) else None


# ------------------------------------------------------------------------------------------------- tables


def _sizes(frame: pd.DataFrame) -> str:
    listed = ", ".join(str(p) for p in sorted(frame["p"].unique()))
    return f"p = {listed}, n = {', '.join(str(n) for n in sorted(frame['n'].unique()))}"


def _summary(results: Results, labels: Mapping[str, str]) -> Table:
    frame, ratios = results.frame, relative(results.frame)
    everywhere = frame.groupby("design")[["p", "n"]].apply(lambda part: len(part.drop_duplicates()))
    ran = frame.groupby(["method", "design"])[["p", "n"]].apply(lambda part: len(part.drop_duplicates()))
    logs = ratios.groupby(level="design").mean().reindex(list(DESIGNS))
    full = {name: [d for d in DESIGNS if ran.get((name, d), 0) == everywhere.get(d, 0)] for name in labels}
    logs = logs.drop(columns=[name for name in logs if logs[name].isna().all()])
    best = {
        d: min((logs.at[d, m] for m in labels if m in logs and d in full[m]), default=np.nan) for d in DESIGNS
    }
    rows = []
    for name, label in labels.items():
        cells = []
        for design in DESIGNS:
            value = logs.at[design, name] if name in logs else np.nan
            mark = "" if design in full[name] or np.isnan(value) else "*"
            shown = fixed(float(np.exp(value))) + mark
            cells.append(bold(shown, when=value == best[design] and len(labels) > 1))
        found = _overall(ratios, name)
        cells.append(f"{fixed(found.value)} [{fixed(found.low)}, {fixed(found.high)}]" if found else "-")
        rows.append([label, *cells])
    return Table(
        ["method", *DESIGNS, "all tables"],
        rows,
        f"Stein's loss over that of LedoitWolf on the same table, geometric means over all sizes ({_sizes(frame)}) and "
        f"{results.repetitions()} repetitions; below 1 is better. Last column: all tables that the method was run on, "
        "with 95 % bootstrap intervals over tables. Bold: the smallest of a design. The truth has no loss.",
        note="- not run: bands for columns with an order, orders for columns without one. * on some sizes only: the "
        "sample covariance where rows outnumber columns, the graphical lasso on 50 columns and 200 rows.",
    )


def _block(
    frame: pd.DataFrame, labels: Mapping[str, str], summary: Table, groups: Mapping[str, dict[str, Any]]
) -> str:
    out = [*(f"- {sentence}" for sentence in _verdicts(groups)), summary.markdown(caption=True)]
    for loss in LOSSES:
        wide = medians(frame, loss)
        rows = [
            [
                str(design),
                str(p),
                str(n),
                *("" if np.isnan(v) else fixed(v, 3) for v in wide.loc[design, p, n]),
            ]
            for design, p, n in wide.index
        ]
        shown = Table(["design", "p", "n", *labels.values()], rows, "", "l r r" + " r" * len(labels))
        out += [f"**{loss}**", shown.markdown()]
    return "\n".join(out)


# ------------------------------------------------------------------------------------------------- numbers, sentences


def _numbers(results: Results, groups: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    frame, ratios, out = results.frame, relative(results.frame), {}
    for key, found in groups.items():
        for loss, one in found.items():
            stem = f"e02.{key}.{loss.replace('_', '-')}"
            out[f"{stem}.cells"], out[f"{stem}.below"] = str(one["cells"]), str(one["below"])
            out[f"{stem}.typical"], out[f"{stem}.worst"] = fixed(one["typical"]), fixed(one["worst"])
            out[f"{stem}.change"] = percent(abs(1.0 - one["typical"]), 0)
    for name in order_of(frame):
        if found := _overall(ratios, name):
            out[f"e02.kl.{name}"] = fixed(found.value)
            out[f"e02.kl.{name}.interval"] = f"[{fixed(found.low)}, {fixed(found.high)}]"
    square = ratios[ratios.index.get_level_values("p") == ratios.index.get_level_values("n")]
    for name in SHRINKAGE:
        found = _overall(square, name)
        out[f"e02.kl.{name}.square"] = fixed(found.value) if found else "-"
    out["e02.repetitions"] = results.repetitions()
    out["e02.columns"] = str(frame["p"].max())
    return out


def _verdicts(groups: Mapping[str, dict[str, Any]]) -> list[str]:
    out = []
    for key, found in groups.items():
        group, _, ours = GROUPS[key]
        for loss, one in found.items():
            design, p, n = one["where"]
            out.append(
                f"{group}, {loss}: {ours} over the best shrinkage estimator: {fixed(one['typical'])} as a geometric "
                f"mean, below 1 in {one['below']} and at most 1.1 in {one['near']} of {one['cells']} cells; largest "
                f"{fixed(one['worst'])} ({design}, p = {p}, n = {n})."
            )
    return out


def _findings(
    frame: pd.DataFrame, labels: Mapping[str, str], groups: Mapping[str, dict[str, Any]]
) -> list[str]:
    out, wide = _verdicts(groups), medians(frame, "kl")
    package = {one.name: one.package for one in methods("precision")}
    peers = [name for name in labels if package.get(name, "fmahal") != "fmahal" and not _same(frame, name)]
    ours = [name for name in labels if package.get(name, "fmahal") == "fmahal" and name != "truth"]
    for peer in peers:
        cells = wide[wide[peer].notna()]
        if cells.empty or not ours:
            continue
        wins = int((cells[peer] < cells[ours].min(axis=1)).sum())
        nearer = int((cells[peer] < cells[BASE]).sum()) if BASE in cells else 0
        out.append(
            f"{labels[peer]} has a smaller kl than every one of ours in {wins} of {len(cells)} cells in which it ran, "
            f"and a smaller one than our LedoitWolf in {nearer}."
        )
    return out


def _same(frame: pd.DataFrame, name: str) -> bool:
    """Whether a peer gives the numbers of our estimator of the same name, which is nothing to compare."""
    ours = name.removeprefix("sklearn-")
    wide = frame.pivot_table(index=["design", "p", "n", "repetition"], columns="method", values="kl")
    if ours == name or ours not in wide:
        return False
    both = wide[[name, ours]].dropna()
    return bool(len(both) and np.allclose(both[name], both[ours], rtol=10 * SAME, atol=0))


def _failures(frame: pd.DataFrame) -> list[str]:
    names, out = set(frame["method"]), []
    if {"ledoit-wolf", "sklearn-ledoit-wolf"} <= names and not _same(frame, "sklearn-ledoit-wolf"):
        out.append("LedoitWolf of fmahal and of scikit-learn differ: they are one formula.")
    return out


# ------------------------------------------------------------------------------------------------- figure


def _figure(results: Results, labels: Mapping[str, str]) -> Figure:
    frame = results.frame
    sizes = sorted({(int(p), int(n)) for p, n in zip(frame["p"], frame["n"], strict=True)})
    grouped = frame.groupby(["method", "design", "p", "n"])["kl"].agg(["median", "min", "max"])
    names = [name for name in labels if name in DRAWN]
    lines = {
        (name, design): grouped.loc[name].loc[design].reindex(sizes)
        for name in names
        for design in DESIGNS
        if design in grouped.loc[name].index.get_level_values("design")
    }

    def draw(figure: Any) -> None:
        axes = figure.subplots(2, 3, sharex=True).ravel()
        for ax, design in zip(axes, DESIGNS, strict=True):
            for name in names:
                if (one := lines.get((name, design))) is not None:
                    draw_series(
                        ax, range(len(sizes)), one["median"], name, low=one["min"], high=one["max"],
                        label=labels[name], bars=True,
                    )  # fmt: skip
            ax.set_title(design)
            ax.set_yscale("log")
            ax.set_xticks(range(len(sizes)), [f"{p}\n{n}" for p, n in sizes])
        for ax in axes[::3]:
            ax.set_ylabel("Stein's loss per column")
        for ax in axes[3:]:
            ax.set_xlabel("columns p, rows n")
        legend(figure, columns=4)

    return Figure(
        draw,
        f"Stein's loss per column by design and size ({_sizes(frame)}): medians over {results.repetitions()} "
        "repetitions; bars are the range of the repetitions. Bands are told that columns have an order; ten orders and "
        "the BIC order are for columns without one.",
        (6.3, 4.4),
        docs=True,
    )
