"""The picture of the study of sketches: on which side of the crossover curve a job lies."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from e06_costs import best_exact, single, sketched_seconds

from fmahal.scatter._sketch_costs import costs_by

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "sketch_crossover.svg"
KS = (64, 256)
EQUAL = 1.1  # ratio of times up to which no way wins
# Okabe and Ito's palette; the two sides also differ by marker and by a word.
SKETCH, EXACT, INK, MUTED = "#0072B2", "#D55E00", "#1f2933", "#5f6b7a"
SKETCH_TINT, EXACT_TINT = "#d9eaf6", "#fbe6d8"
P_RANGE, N_RANGE = (45.0, 6000.0), (5.0, 250_000.0)
FONT = 8.5
CELLS = 120  # of the raster behind each panel, each way


class Panel(NamedTuple):
    """A column of the picture: a workload and a structure; width 0 is p."""

    title: str
    workload: str
    structure: str
    width: int


PANELS = (
    Panel("one centre\nfull covariance", "center", "triangular", 0),
    Panel("one centre\nrank 100 + ridge", "center", "spectral", 100),
    Panel("all pairs of n rows\nfull covariance", "pairs", "triangular", 0),
    Panel("one query\nof n stored rows", "query", "triangular", 0),
)


def digest(lines: list[dict[str, Any]], constants: dict[str, Any]) -> str:
    """What the picture was drawn from, as a number in its description."""
    text = json.dumps([sorted(lines, key=str), constants], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sketch_wins(panel: Panel, k: int, p: int, n: int, constants: dict[str, Any]) -> bool:
    """Whether the model takes the sketch."""
    part = (panel.structure, min(panel.width or p, p))
    return costs_by(constants, [part], n=n, p=p, rank=p, k=k, workload=panel.workload, kind="gaussian").pays


def points(lines: list[dict[str, Any]], panel: Panel, k: int) -> list[tuple[int, int, float]]:
    """Columns, rows, and measured seconds of the better exact way over those of the sketch."""
    dtype = "float32" if panel.workload == "query" else "float64"
    return [
        (x["p"], x["n"], best_exact(x) / sketched_seconds(x))
        for x in single(lines)
        if (x["workload"], x["structure"], x["kind"], x["k"], x["dtype"])
        == (panel.workload, panel.structure, "gaussian", k, dtype)
        and x["width"] == (panel.width or x["p"])
    ]


def draw(lines: list[dict[str, Any]], constants: dict[str, Any], path: Path = PICTURE) -> None:
    """Draw from stored lines; the same lines give the same file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "e06", "font.size": FONT, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(10.4, 6.3), layout="constrained")
        figure.get_layout_engine().set(rect=(0.0, 0.055, 1.0, 0.945))
        axes = figure.subplots(len(KS), len(PANELS), sharex=True, sharey=True)
        for row, k in zip(axes, KS, strict=True):
            for ax, panel in zip(row, PANELS, strict=True):
                _panel(ax, panel, k, points(lines, panel, k), constants)
            row[0].set_ylabel(f"k = {k}\nrows n", color=INK, fontsize=FONT + 1)
        for ax, panel in zip(axes[0], PANELS, strict=True):
            ax.set_title(panel.title, fontsize=FONT + 1.5, color=INK, fontweight="bold")
        for ax in axes[-1]:
            ax.set_xlabel("columns p", color=INK, fontsize=FONT + 1)
        figure.suptitle(
            "Where a sketch of k numbers a row is faster than the exact distance",
            fontsize=FONT + 4, color=INK, fontweight="bold",
        )  # fmt: skip
        _legend(figure)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial" + path.suffix)
        about = {"Description": digest(lines, constants), "Date": None} if path.suffix == ".svg" else None
        figure.savefig(partial, metadata=about, dpi=110)
    os.replace(partial, path)


def _panel(ax: Any, panel: Panel, k: int, found: list[tuple[int, int, float]], constants: Any) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patheffects import Normal, Stroke

    ps, ns = np.geomspace(*P_RANGE, CELLS), np.geomspace(*N_RANGE, CELLS)
    wins = np.array([[sketch_wins(panel, k, int(p), int(n), constants) for p in ps] for n in ns])
    tints = ListedColormap([EXACT_TINT, SKETCH_TINT])
    ax.pcolormesh(ps, ns, wins, cmap=tints, vmin=0, vmax=1, shading="nearest", rasterized=True)
    if 0 < wins.mean() < 1:
        ax.contour(ps, ns, wins.astype(float), levels=[0.5], colors=[INK], linewidths=1.4)
    for word, side, colour in (("exact", ~wins, EXACT), ("sketch", wins, SKETCH)):
        place = free_place(side, found)
        if place is not None:
            ax.text(
                ps[place[1]], ns[place[0]], word, color=colour, alpha=0.55, ha="center", va="center",
                fontsize=14, fontweight="bold",
            )  # fmt: skip
    for p, n, ratio in found:
        marker, colour, text = _mark(ratio)
        ax.plot(p, n, marker, color=colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.6)
        label = ax.annotate(
            text, (p, n), (0, 5), textcoords="offset points", ha="center", fontsize=7.5, color=colour
        )
        label.set_path_effects([Stroke(linewidth=2.2, foreground="white", alpha=0.8), Normal()])
    ax.set(xscale="log", yscale="log", xlim=P_RANGE, ylim=N_RANGE)
    ax.set_xticks([64, 256, 1024, 4096], ["64", "256", "1024", "4096"])
    ax.set_yticks([10, 100, 1000, 10000, 100000], ["10", "100", "1000", "10 000", "100 000"])
    ax.minorticks_off()
    ax.tick_params(colors=MUTED, labelcolor=INK, length=3)
    for side in ax.spines.values():
        side.set_color(MUTED)


def free_place(side: np.ndarray, found: list[tuple[int, int, float]]) -> tuple[int, int] | None:
    """Row and column of the middle of a word: on its side, clear of marks, nearest to the side's middle."""
    free = side.copy()
    for p, n, _ in found:
        i, j = _cell(n, N_RANGE), _cell(p, P_RANGE)
        free[max(0, i - CELLS // 50) : i + CELLS // 13, max(0, j - CELLS // 12) : j + CELLS // 12] = False
    half, wide = CELLS // 18, CELLS // 5  # half the height and half the width of a word
    places = [
        (i, j)
        for i in range(half, CELLS - half, 2)
        for j in range(wide, CELLS - wide, 2)
        if free[i - half : i + half, j - wide : j + wide].all()
    ]
    middle = np.argwhere(side).mean(axis=0) if side.any() else (0, 0)
    return min(places, key=lambda at: (at[0] - middle[0]) ** 2 + (at[1] - middle[1]) ** 2, default=None)


def _cell(value: float, between: tuple[float, float]) -> int:
    """Index of a value on a logarithmic axis."""
    return round((CELLS - 1) * float(np.log(value / between[0]) / np.log(between[1] / between[0])))


def _mark(ratio: float) -> tuple[str, str, str]:
    """Marker, colour and the factor by which the faster way is faster."""
    faster = max(ratio, 1.0 / ratio)
    text = f"{faster:.0f}x" if faster >= 9.5 else f"{faster:.1f}x"
    if faster < EQUAL:
        return "D", MUTED, "="
    return ("o", SKETCH, text) if ratio > 1 else ("s", EXACT, text)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(shape: str, colour: str) -> Any:
        return Line2D([], [], marker=shape, color=colour, linestyle="", markersize=5.5)

    handles = [mark("o", SKETCH), mark("s", EXACT), mark("D", MUTED)]
    labels = ["measured: sketch faster, by this factor", "measured: exact faster", "measured: equal to 10 %"]
    handles += [Patch(color=SKETCH_TINT), Patch(color=EXACT_TINT), Line2D([], [], color=INK, linewidth=1.4)]
    labels += ["model: sketch", "model: exact", "crossover"]
    figure.legend(
        handles, labels, loc="lower center", ncol=6, frameon=False, fontsize=FONT - 0.5, labelcolor=INK,
        columnspacing=1.4, handletextpad=0.5,
    )  # fmt: skip
