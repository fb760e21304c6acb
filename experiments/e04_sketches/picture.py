"""The picture of the crossover: on which side of the curve a job lies, and what was measured there."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from experiments._figures import BLUE, FONT, INK, MUTED, VERMILION, Figure

from .costs import best_exact, model, single, sketched_seconds

KS = (64, 256)
EQUAL = 1.1  # ratio of times up to which no way wins
# The two sides differ by colour, by marker and by a word.
SKETCH, EXACT, SKETCH_TINT, EXACT_TINT = BLUE, VERMILION, "#d9eaf6", "#fbe6d8"
P_RANGE, N_RANGE = (45.0, 6000.0), (5.0, 250_000.0)
SMALL = FONT - 1.5
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


class Side(NamedTuple):
    """What one panel shows: where the model takes the sketch, and columns, rows and measured ratios."""

    panel: Panel
    k: int
    wins: np.ndarray
    found: list[tuple[int, int, float]]


def raster() -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the raster."""
    return np.geomspace(*P_RANGE, CELLS), np.geomspace(*N_RANGE, CELLS)


def side_of(panel: Panel, k: int, lines: list[dict[str, Any]], constants: Mapping[str, Any]) -> Side:
    """Evaluate the model on the raster, and pick the jobs measured."""

    def pays(p: int, n: int) -> bool:
        width = min(panel.width or p, p)
        return model(constants, panel.structure, width, n=n, p=p, k=k, workload=panel.workload).pays

    ps, ns = raster()
    # more rows favour the sketch: for each p there is a first row of the raster from which on it pays
    first = [bisect_left(range(CELLS), True, key=lambda i, p=int(p): pays(p, int(ns[i]))) for p in ps]
    wins = np.arange(CELLS)[:, None] >= np.array(first)[None]
    return Side(panel, k, wins, points(lines, panel, k))


def points(lines: list[dict[str, Any]], panel: Panel, k: int) -> list[tuple[int, int, float]]:
    """Columns, rows, and measured seconds of the better exact way over those of the sketch."""
    dtype = "float32" if panel.workload == "query" else "float64"
    wanted = (panel.workload, panel.structure, "gaussian", k, dtype)
    return [
        (x["p"], x["n"], best_exact(x) / sketched_seconds(x))
        for x in single(lines)
        if tuple(x[name] for name in ("workload", "structure", "kind", "k", "dtype")) == wanted
        and x["width"] == (panel.width or x["p"])
    ]


def crossover(lines: list[dict[str, Any]], constants: Mapping[str, Any], repetitions: str) -> Figure:
    """Return the figure from stored lines."""
    sides = [[side_of(panel, k, lines, constants) for panel in PANELS] for k in KS]
    caption = (
        "Where a sketch of k numbers a row is faster than the exact distance, by rows n and columns p. Curve and "
        f'tints: the cost model that `n_components="auto"` asks. Marks: medians of {repetitions} repetitions on '
        "one thread, with the factor by which the faster way is faster (round: the sketch; square: the exact distance; "
        "diamond: equal to 10 %). One centre and all pairs include the making of the sketch."
    )
    return Figure(partial(_draw, sides), caption, size=(7.2, 4.6), docs=True)


def _draw(sides: list[list[Side]], figure: Any) -> None:
    axes = figure.subplots(len(KS), len(PANELS), sharex=True, sharey=True)
    for row, here in zip(axes, sides, strict=True):
        for ax, side in zip(row, here, strict=True):
            _panel(ax, side)
        row[0].set_ylabel(f"k = {here[0].k}: rows n")
    for ax, panel in zip(axes[0], PANELS, strict=True):
        ax.set_title(panel.title)
    for ax in axes[-1]:
        ax.set_xlabel("columns p")
    _legend(figure)


def _panel(ax: Any, side: Side) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patheffects import Normal, Stroke

    (ps, ns), wins = raster(), side.wins
    tints = ListedColormap([EXACT_TINT, SKETCH_TINT])
    ax.pcolormesh(ps, ns, wins, cmap=tints, vmin=0, vmax=1, shading="nearest", rasterized=True)
    if 0 < wins.mean() < 1:
        ax.contour(ps, ns, wins.astype(float), levels=[0.5], colors=[INK], linewidths=1.0)
    for word, where, colour in (("exact", ~wins, EXACT), ("sketch", wins, SKETCH)):
        place = free_place(where, side.found)
        if place is not None:
            ax.text(
                ps[place[1]], ns[place[0]], word, color=colour, alpha=0.6, ha="center", va="center",
                fontsize=FONT + 2, fontweight="bold",
            )  # fmt: skip
    for p, n, ratio in side.found:
        shape, colour, text = mark(ratio)
        ax.plot(p, n, shape, color=colour, markersize=3.8, markeredgecolor="white", markeredgewidth=0.5)
        label = ax.annotate(
            text, (p, n), (0, 3.2), textcoords="offset points", ha="center", fontsize=SMALL, color=colour
        )
        label.set_path_effects([Stroke(linewidth=1.8, foreground="white", alpha=0.8), Normal()])
    ax.set(xscale="log", yscale="log", xlim=P_RANGE, ylim=N_RANGE)
    ax.set_xticks([64, 256, 1024, 4096], ["64", "256", "1024", "4096"])
    ax.set_yticks([10, 100, 1000, 10000, 100000], ["10", "100", "1000", "10 000", "100 000"])
    ax.minorticks_off()
    ax.grid(False)


def free_place(side: np.ndarray, found: list[tuple[int, int, float]]) -> tuple[int, int] | None:
    """Row and column of the middle of a word: on its side, clear of marks, nearest to the side's middle."""
    free = side.copy()
    for p, n, _ in found:
        i, j = _cell(n, N_RANGE), _cell(p, P_RANGE)
        free[max(0, i - CELLS // 50) : i + CELLS // 11, max(0, j - CELLS // 10) : j + CELLS // 10] = False
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


def mark(ratio: float) -> tuple[str, str, str]:
    """Marker, colour and the factor by which the faster way is faster."""
    faster = max(ratio, 1.0 / ratio)
    text = f"{faster:.0f}x" if faster >= 9.5 else f"{faster:.1f}x"
    if faster < EQUAL:
        return "D", MUTED, "="
    return ("o", SKETCH, text) if ratio > 1 else ("s", EXACT, text)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def shape(marker: str, colour: str) -> Any:
        return Line2D([], [], marker=marker, color=colour, linestyle="", markersize=4.5)

    handles = [shape("o", SKETCH), shape("s", EXACT), shape("D", MUTED)]
    labels = ["sketch faster, by this factor", "exact faster", "equal to 10 %"]
    handles += [Patch(color=SKETCH_TINT), Patch(color=EXACT_TINT), Line2D([], [], color=INK, linewidth=1.0)]
    labels += ["model: sketch", "model: exact", "crossover"]
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
