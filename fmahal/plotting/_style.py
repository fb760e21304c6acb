"""Colours, axes, legends and point labels that the displays share.

matplotlib is imported inside functions only: importing `fmahal.plotting` must not load it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray

# Okabe & Ito's palette, told apart under every common colour vision. Flagged rows also differ by marker.
BLUE = "#0072B2"
VERMILION = "#D55E00"
SKY = "#56B4E9"
GREEN = "#009E73"
INK = "#1f2933"
MUTED = "#5f6b7a"
GRID = "#e7eaee"

FONT_SIZE = 8.5
RASTER_ABOVE = 5000  # points: beyond it a vector file is larger than the same cloud as pixels
LOG_RATIO = 20.0  # outliers this many times the cutoff away would press the bulk into a corner

# Candidate places of a label around its point: right first, then the diagonals, then the rest.
_ANGLES = np.deg2rad([0.0, 45.0, -45.0, 180.0, 135.0, -135.0, 90.0, -90.0])
_RADII = (5.0, 11.0, 18.0, 27.0, 38.0)


def require_matplotlib(caller: str) -> None:
    """Raise an ImportError that names the extra to install when matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(f'{caller} draws with matplotlib: pip install "fmahal[plot]"') from error


def axes_for(ax: Any, caller: str) -> Any:
    """Return `ax`, or the axes of a new figure."""
    require_matplotlib(caller)
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(5.0, 4.3), layout="constrained")
    return ax


def literal(text: Any, limit: int = 28) -> str:
    """Return `text` on one line, shortened, with its dollar signs kept from being read as mathematics."""
    words = " ".join(str(text).split())
    if len(words) > limit:
        words = words[: limit - 1].rstrip() + "…"
    return words.replace("$", r"\$")


def tidy(ax: Any, xlabel: str, ylabel: str) -> None:
    """Quiet frame and grid, axis labels, small type."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=FONT_SIZE, length=3)
    ax.grid(True, color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel(xlabel, fontsize=FONT_SIZE + 0.5, color=INK)
    ax.set_ylabel(ylabel, fontsize=FONT_SIZE + 0.5, color=INK)


def legend_above(ax: Any, rows: tuple[Any, Any], lines: list[Any]) -> Any:
    """Put the legend above the axes, where it can hide no point: points left, lines right.

    `rows` are the two collections of `draw_rows`; where one is None its place stays empty, so that the columns,
    and with them the width of the axes, are the same for all data.
    """
    from matplotlib.lines import Line2D

    points = sorted(rows, key=lambda handle: handle is None)
    empty = Line2D([], [], linestyle="none", label=" ")
    lines = [line for line in lines if line is not None]
    empties = [empty] * max(0, len(lines) - len(points))
    return ax.legend(
        handles=[*(empty if handle is None else handle for handle in points), *empties, *lines],
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        frameon=False,
        fontsize=FONT_SIZE,
        labelcolor=INK,
        handlelength=1.7,
        handletextpad=0.6,
        columnspacing=1.4,
        borderaxespad=0.2,
    )


def draw_rows(ax: Any, x: FloatArray, y: FloatArray, flagged: np.ndarray) -> tuple[Any, Any]:
    """Scatter the rows and, on top, the flagged ones; return both collections (None for an empty one)."""
    raster = x.size > RASTER_ABOVE
    regular = outlying = None
    if not flagged.all():
        regular = ax.scatter(
            x[~flagged], y[~flagged], s=15, marker="o", color=BLUE, alpha=0.65, linewidths=0,
            zorder=3, rasterized=raster, label=f"not flagged ({count(~flagged)})",
        )  # fmt: skip
    if flagged.any():
        outlying = ax.scatter(
            x[flagged], y[flagged], s=24, marker="D", color=VERMILION, alpha=0.9, edgecolors="white",
            linewidths=0.5, zorder=4, rasterized=raster, label=f"flagged ({count(flagged)})",
        )  # fmt: skip
    return regular, outlying


def count(mask: np.ndarray) -> str:
    """Return the number of true entries, with thousands set apart."""
    return f"{int(np.count_nonzero(mask)):,}"


def choose_scale(scale: str, values: FloatArray, cutoff: float | None) -> str:
    """Return "linear" or "log"; "auto" takes the logarithm when outliers dwarf the cutoff."""
    if scale in ("linear", "log"):
        return scale
    if scale != "auto":
        raise ValueError(f'scale must be "auto", "linear" or "log", got {scale!r}.')
    finite = values[np.isfinite(values)]
    if cutoff is None or not np.isfinite(cutoff) or cutoff <= 0 or finite.size == 0:
        return "linear"
    return "log" if finite.max() > LOG_RATIO * cutoff else "linear"


def far_from_zero(values: FloatArray) -> float:
    """Return where a linear axis shall start for distances in a narrow range far from zero, for others zero."""
    finite = values[np.isfinite(values)]
    low, top = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    return float(low - 0.07 * (top - low)) if 0.5 * top < low < 0.99 * top else 0.0


def set_limits(ax: Any, axis: str, values: FloatArray, scale: str, start: float = 0.0) -> None:
    """Set scale and limits of one axis from everything that is drawn along it.

    A linear axis of distances begins at `start`. Limits are fixed here, before labels are placed, because
    the place of a label depends on them.
    """
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    top = positive.max() if positive.size else 1.0
    getattr(ax, f"set_{axis}scale")(scale)
    if scale == "log":
        # Rows at the very centre have distances near zero: they may leave the picture to the left or below.
        bottom = max(positive.min(), 1e-4 * np.median(positive)) if positive.size else 0.1
        limits = (bottom / 1.3, top * (top / bottom) ** 0.06)
        _plain_ticks(getattr(ax, f"{axis}axis"), limits)
    else:
        limits = (start, start + 1.07 * (top - start))
    getattr(ax, f"set_{axis}lim")(*limits)


def _plain_ticks(axis: Any, limits: tuple[float, float]) -> None:
    """Write 0.5, 20, 1,000 on a logarithmic axis, and decades only where there are many of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    decades = np.log10(limits[1] / limits[0])
    axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.5 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(_plain_number))
    axis.set_minor_formatter(NullFormatter())


def _plain_number(value: float, position: int | None = None) -> str:
    return f"{value:,.10g}" if 1e-4 < value < 1e7 else f"{value:.0e}"


def straight(start: tuple[float, float], stop: tuple[float, float], k: int = 80) -> FloatArray:
    """Return (k, 2) points along a line, for `label_points` to keep clear of."""
    return np.linspace(start, stop, k)


def label_points(
    ax: Any, x: FloatArray, y: FloatArray, names: list[str], obstacles: FloatArray, *, backed: bool = False
) -> list[Any]:
    """Write `names` next to points (x, y), avoiding each other, the frame and the points in `obstacles`.

    Greedy, in the order given; a name with no free place is left out rather than printed over another.

    Parameters
    ----------
    ax : matplotlib Axes
        With final limits.
    x, y : ndarray of shape (k,) or (k, c)
        Data coordinates; c places that would do for each name, the better ones first.
    names : list of str
        One a point.
    obstacles : ndarray of shape (n, 2)
        Data coordinates of the points that a label should not hide.
    backed : bool, default=False
        Put white behind the names.

    Returns
    -------
    list of matplotlib Annotation
    """
    if not names:
        return []
    ax.figure.draw_without_rendering()  # a layout engine moves the axes when drawing: let it do so first
    size = FONT_SIZE - 1
    to_points = 72.0 / ax.figure.dpi
    frame = ax.bbox.extents * to_points
    blocked = _visible(ax, obstacles) * to_points
    placed: list[np.ndarray] = []
    annotations = []
    back = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.4} if backed else None
    for xs, ys, name in zip(x.reshape(len(names), -1), y.reshape(len(names), -1), names):
        text = literal(name)
        spot, xy = None, (0.0, 0.0)
        for rank, point in enumerate(zip(xs, ys)):
            anchor = ax.transData.transform(point) * to_points
            if not np.all(np.isfinite(anchor)):
                continue
            found = _free_spot(
                anchor, 0.6 * size * len(text) + 5.0, 1.25 * size, frame, blocked, placed, rank
            )
            if found is not None and (spot is None or found[3] < spot[3]):
                spot, xy = found, point
        if spot is None:
            continue
        offset, box, radius, _ = spot
        placed.append(box)
        line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        annotation = ax.annotate(
            text, xy=xy, xytext=offset, textcoords="offset points", fontsize=size, color=INK, bbox=back,
            ha="center", va="center", zorder=6, arrowprops=line if radius > _RADII[0] else None,
        )  # fmt: skip
        annotations.append(annotation)
    return annotations


def _visible(ax: Any, points: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        pixels = ax.transData.transform(points)
    return pixels[np.isfinite(pixels).all(axis=1)]


def _free_spot(anchor, width, height, frame, blocked, placed, handicap=0):
    """Return (offset of the text's centre, its box, radius, cost) of the cheapest free place, or None."""
    reach_of_all = _RADII[-1] + width + height
    blocked = blocked[np.abs(blocked - anchor).max(axis=1) <= reach_of_all]
    best, best_cost = None, np.inf
    half = np.array([width, height]) / 2
    for radius in _RADII:
        for rank, angle in enumerate(_ANGLES):
            reach = np.array([np.cos(angle), np.sin(angle)])
            offset = reach * radius + np.sign(np.round(reach, 6)) * half
            centre = anchor + offset
            box = np.append(centre - half, centre + half)
            if np.any(box[:2] < frame[:2]) or np.any(box[2:] > frame[2:]):
                continue
            if any(np.all(box[:2] < other[2:]) and np.all(other[:2] < box[2:]) for other in placed):
                continue
            hidden = np.count_nonzero(np.all((blocked > box[:2] - 1) & (blocked < box[2:] + 1), axis=1))
            cost = 12.0 * hidden + radius + rank + handicap
            if cost < best_cost:
                best, best_cost = (tuple(offset), box, radius, cost), cost
    return best
