"""Figures that look alike: one font, Okabe and Ito's colours, a marker and a dash for each method, the same everywhere.

Nothing here computes: helpers take ready numbers. Colours are told apart under every common colour vision; marker and
dash tell the series apart in grey.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._looks import (  # noqa: F401 - pages take colours from here
    BLACK,
    BLUE,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PALETTE,
    PURPLE,
    SKY,
    VERMILION,
    Look,
    colour,
    dash,
    look,
    marker,
    readable,
)
from ._stats import undistinguished

INK, MUTED, GRID = "#1f2933", "#5f6b7a", "#e3e6ea"
FONT = 8.5
WIDTH = 6.3  # inches: the width of the paper's text


# ------------------------------------------------------------------------------------------------- style, files


def style() -> AbstractContextManager[Any]:
    """Return the context in which all figures are drawn: ``with style(): ...``."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "font.family": "STIXGeneral", "mathtext.fontset": "stix", "font.size": FONT, "axes.titlesize": FONT + 0.5,
            "axes.labelsize": FONT, "xtick.labelsize": FONT - 0.5, "ytick.labelsize": FONT - 0.5,
            "legend.fontsize": FONT - 0.5, "legend.frameon": False, "legend.handlelength": 2.2,
            "legend.labelspacing": 0.3, "legend.columnspacing": 1.2, "axes.titlelocation": "left",
            "axes.titlepad": 4.0, "axes.labelpad": 2.5, "axes.spines.top": False, "axes.spines.right": False,
            "axes.edgecolor": MUTED, "axes.linewidth": 0.6, "axes.labelcolor": INK, "text.color": INK,
            "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
            "xtick.major.size": 2.5, "ytick.major.size": 2.5, "xtick.minor.size": 1.3, "ytick.minor.size": 1.3,
            "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.minor.width": 0.4, "ytick.minor.width": 0.4,
            "axes.grid": True, "axes.grid.which": "major", "grid.color": GRID, "grid.linewidth": 0.5,
            "axes.axisbelow": True, "lines.linewidth": 1.1, "lines.markersize": 3.6, "lines.markeredgewidth": 0.6,
            "errorbar.capsize": 0.0, "figure.dpi": 100, "savefig.facecolor": "white", "path.simplify": False,
            "pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "fmahal", "axes.unicode_minus": True,
        }
    )  # fmt: skip


@dataclass
class Figure:
    """A drawing and its caption.

    Attributes
    ----------
    draw : callable
        ``draw(figure)`` with an empty matplotlib figure of constrained layout, inside `style`.
    caption : str
        Says the sizes, the number of repetitions, and what bars and bands are.
    size : (float, float)
        Inches.
    docs : bool
        Whether docs/pictures gets it too, as SVG.
    """

    draw: Callable[[Any], None]
    caption: str
    size: tuple[float, float] = (WIDTH, 3.2)
    docs: bool = False

    def drawn(self, kind: str, title: str = "") -> bytes:
        """Return the figure as the bytes of a pdf, svg or png file; the same bytes each time."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas

        with style():
            figure = Canvas(figsize=self.size, layout="constrained")
            FigureCanvasAgg(figure)
            self.draw(figure)
            out = io.BytesIO()
            blank: dict[str, dict[str, Any]] = {
                "pdf": {"CreationDate": None, "Creator": "fmahal", "Producer": None, "Title": title},
                "svg": {"Date": None, "Creator": "fmahal", "Title": title},
                "png": {"Software": None},
            }
            figure.savefig(out, format=kind, metadata=blank[kind], dpi=200)
        return out.getvalue()


def drawing_versions() -> dict[str, str]:
    """Return versions of what decides the bytes of a drawing."""
    import matplotlib as mpl
    from matplotlib import ft2font

    return {"matplotlib": mpl.__version__, "freetype": ft2font.__freetype_version__}


# ------------------------------------------------------------------------------------------------- series


def draw_series(
    ax: Any,
    x: Sequence[float],
    y: Sequence[float],
    name: str,
    *,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    label: str | None = None,
    bars: bool = False,
) -> None:
    """Draw the line of a method with its intervals: a band, or bars; where y is missing the line is broken."""
    one = look(name)
    x, y = np.asarray(x, float), np.asarray(y, float)
    ax.plot(
        x, y, color=one.colour, marker=one.marker, linestyle=one.dash, label=label or name, markeredgecolor="white",
        markeredgewidth=0.4,
    )  # fmt: skip
    if low is None or high is None:
        return
    low, high = np.asarray(low, float), np.asarray(high, float)
    if bars:
        ax.vlines(x, low, high, color=one.colour, linewidth=0.8, alpha=0.8)
    else:
        ax.fill_between(x, low, high, color=one.colour, alpha=0.15, linewidth=0)


def draw_intervals(
    ax: Any,
    labels: Sequence[str],
    values: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    names: Sequence[str] | None = None,
    *,
    reference: float | None = None,
) -> None:
    """Draw one row a label: a point with its interval; the first label on top. `names` decide colours."""
    rows = np.arange(len(labels))[::-1]
    for row, value, left, right, name in zip(rows, values, low, high, names or labels, strict=True):
        one = look(name)
        ax.plot([left, right], [row, row], color=one.colour, linewidth=1.0, solid_capstyle="butt")
        ax.plot([value], [row], color=one.colour, marker=one.marker, markersize=4.2, markeredgecolor="white")
    if reference is not None:
        ax.axvline(reference, color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0.5)
    ax.set_yticks(rows, labels)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def draw_power_laws(
    ax: Any, series: Mapping[str, Mapping[str, Any]], *, labels: Mapping[str, str] | None = None
) -> None:
    """Draw points on log-log axes with fitted lines ``factor * x ** exponent``; legends name the exponent.

    `series` gives for each method ``x``, ``y``, and perhaps ``low``, ``high``, ``exponent``, ``factor`` and ``fit_x``
    (the first and the last x of the line).
    """
    for name, one in series.items():
        of = look(name)
        title = (labels or {}).get(name, name)
        if one.get("exponent") is not None:
            title = f"{title}  ({one['exponent']:.2f})"
            ends = np.asarray(one.get("fit_x") or (min(one["x"]), max(one["x"])), float)
            ax.plot(
                ends,
                one["factor"] * ends ** one["exponent"],
                color=of.colour,
                linewidth=0.8,
                linestyle=of.dash,
            )
        if one.get("low") is not None:
            ax.vlines(one["x"], one["low"], one["high"], color=of.colour, linewidth=0.8, alpha=0.8)
        ax.plot(one["x"], one["y"], color=of.colour, marker=of.marker, linestyle="none", label=title,
                markeredgecolor="white", markeredgewidth=0.4)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        decades = np.floor(np.log10(max(limits))) - np.ceil(np.log10(min(limits)))
        if decades >= 1.0:  # two powers of ten are shown: labels between them would touch
            axis.set_minor_formatter("")


def legend(
    where: Any, *, columns: int = 1, place: str = "best", title: str | None = None, **options: Any
) -> Any:
    """Draw a frameless legend of axes; of a figure, the entries of all its axes once, outside below."""
    if hasattr(where, "get_legend_handles_labels"):
        return where.legend(loc=place, ncols=columns, title=title, **options)
    entries = {}
    for ax in where.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    place = "outside lower center" if place == "best" else place
    return where.legend(entries.values(), entries.keys(), loc=place, ncols=columns, title=title, **options)


# ------------------------------------------------------------------------------------------------- ranks


def draw_critical_difference(
    figure: Any, mean_ranks: Mapping[str, float], cd: float, *, labels: Mapping[str, str] | None = None
) -> None:
    """Draw mean ranks on a line, best to the left; bars join methods that the test does not tell apart (Demsar 2006).

    A bar joins a longest run of methods whose ranks, from the first to the last, differ by less than `cd`.
    """
    ax = figure.add_subplot()
    names = sorted(mean_ranks, key=lambda name: (mean_ranks[name], name))
    titles = {name: (labels or {}).get(name, name) for name in names}
    first, last = 1, max(2, len(names))
    runs = [(mean_ranks[run[0]], mean_ranks[run[-1]]) for run in undistinguished(mean_ranks, cd)]
    bars = list(zip(_rows_of_bars(runs, 0.02 * (last - first)), runs, strict=True))
    left = names[: (len(names) + 1) // 2]
    top, step = 0.0, 1.0
    depth = 0.75 + 0.42 * max((row + 1 for row, _ in bars), default=0)
    ax.plot([first, last], [top, top], color=INK, linewidth=0.8)
    for rank in range(first, last + 1):
        ax.plot([rank, rank], [top, top - 0.22], color=INK, linewidth=0.8)
        ax.text(rank, top - 0.32, str(rank), ha="center", va="bottom", fontsize=FONT - 0.5)
    ax.plot([first, first + cd], [top - 1.35] * 2, color=INK, linewidth=0.8, marker="|", markersize=5)
    ax.text(
        first + cd / 2,
        top - 1.5,
        f"critical difference {cd:.2f}",
        ha="center",
        va="bottom",
        fontsize=FONT - 0.5,
    )
    room = 0.06 * (last - first)
    for side, members in (("left", left), ("right", names[len(left) :][::-1])):
        for line, name in enumerate(members):
            rank, y = mean_ranks[name], top + depth + step * line
            edge = first - room if side == "left" else last + room
            ax.plot([rank, rank, edge], [top, y, y], color=MUTED, linewidth=0.6)
            ax.plot([rank], [top], color=colour(name), marker=marker(name), markeredgecolor="white", zorder=3)
            text = f"{titles[name]}  {rank:.2f}" if side == "left" else f"{rank:.2f}  {titles[name]}"
            edge += -room / 4 if side == "left" else room / 4
            ax.text(edge, y, text, ha="right" if side == "left" else "left", va="center")
    for row, (start, end) in bars:
        y = top + 0.45 + 0.42 * row
        ax.plot([start, end], [y, y], color=INK, linewidth=2.6, solid_capstyle="butt", zorder=2.5)
    ax.set_ylim(top + depth + step * (len(left) - 1) + 0.5, top - 2.1)
    ax.set_axis_off()


def _rows_of_bars(runs: Sequence[tuple[float, float]], gap: float) -> list[int]:
    """Return the first row in which each bar touches none before it; runs are sorted by their starts."""
    ends: list[float] = []
    out = []
    for start, end in runs:
        row = next((row for row, taken in enumerate(ends) if taken + gap < start), len(ends))
        ends[row : row + 1] = [end]
        out.append(row)
    return out
