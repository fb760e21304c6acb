"""Axes, colours and labels that the displays of curves share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .._typing import FloatArray
from . import _style

GREY = "#aab2bd"
_DARKEST, _LIGHTEST = 0.05, 0.72  # part of the colour map that stands out from white and from the grey curves
_LEAST_SPAN = 3.0  # decades of p-values that the colours cover at least
_FLOOR = 1e-16  # smaller p-values have its colour: differences among them say nothing
_MOST_TICKS = 12
_OBSTACLES = 200  # points of a curve that names keep clear of
_PLACES = 16  # of a curve where its name may stand
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))


def panels(
    ax: Any,
    heights: Sequence[float],
    columns: int,
    caller: str,
    *,
    across: float = 4.2,
    share_y: bool = False,
) -> np.ndarray:
    """Return a (len(heights), columns) array of axes: new ones, those inside one given axes, or those given."""
    _style.require_matplotlib(caller)
    rows = len(heights)
    if isinstance(ax, np.ndarray | list | tuple):
        given = np.asarray(ax, dtype=object)
        if given.size != rows * columns:
            raise ValueError(
                f"ax must hold {rows} x {columns} axes, {rows} above each other; got {given.size}. Pass one Axes to "
                "have it divided."
            )
        return given.reshape(rows, columns)
    if ax is None:
        import matplotlib.pyplot as plt

        size = (1.6 + across * columns, 1.5 + 1.05 * sum(heights) if rows > 1 else 3.6)
        figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(rows, columns, height_ratios=heights)
    elif not hasattr(ax, "get_subplotspec"):
        raise TypeError(
            f"ax must be matplotlib Axes, an array of them, or None for a new figure; got {ax!r}."
        )
    else:
        figure = ax.figure
        ax.set_axis_off()
        grid = ax.get_subplotspec()
        if grid is None:
            raise ValueError(
                "ax has no place in a grid of subplots; pass one from plt.subplots, or an array of axes."
            )
        grid = grid.subgridspec(rows, columns, height_ratios=heights)
    made = np.empty((rows, columns), dtype=object)
    for j in range(columns):
        for i in range(rows):
            left = made[i, 0] if share_y and j else None
            made[i, j] = figure.add_subplot(grid[i, j], sharex=made[0, j] if i else None, sharey=left)
    return made


def pvalue_colours(pvalues: FloatArray, alpha: float | None, least: float | None = None) -> Any:
    """Return the scale that maps p-values of flagged curves to colours, the smaller the darker.

    It runs from the level to the smallest p-value, or to `least`, the smallest that the law can give, if that is less.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm

    top = alpha if alpha is not None else float(pvalues.max(initial=0.01))
    top = min(max(top, float(pvalues.max(initial=0.0)), 10 * _FLOOR), 1.0)
    positive = pvalues[pvalues > 0]
    low = max(float(positive.min(initial=top)), _FLOOR)
    if (pvalues < low).any():
        low = max(low / 10, _FLOOR)  # p = 0 is smaller than the smallest that is not
    span = top * 10**-_LEAST_SPAN
    low = max(min(low, span if least is None else max(span, least), top / 2), _FLOOR)
    colours = ListedColormap(colormaps["plasma"](np.linspace(_DARKEST, _LIGHTEST, 256)))
    scale = ScalarMappable(LogNorm(low, top, clip=True), colours)
    return scale


def rank_of(pvalues: FloatArray, d2: FloatArray | None) -> FloatArray:
    """Return the rank of each curve, 0 for the farthest, by squared distance where that is known."""
    order = np.argsort(pvalues if d2 is None else -d2, kind="stable")
    rank = np.empty(order.size)
    rank[order] = np.arange(order.size)
    return rank


def colour_of(scale: Any, pvalue: float) -> Any:
    """Return the colour of a p-value, of those below the scale the darkest."""
    return scale.to_rgba(max(float(pvalue), scale.norm.vmin))


def pvalue_bar(figure: Any, axes: np.ndarray, scale: Any, pvalues: FloatArray) -> Any:
    """Draw the bar that explains the colours, beside the upper axes."""
    bar = figure.colorbar(scale, ax=axes[0].tolist(), pad=0.02, aspect=18, fraction=0.05)
    bar.set_label("p-value of flagged curves", fontsize=_style.FONT_SIZE, color=_style.INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=_style.FONT_SIZE - 1, colors=_style.MUTED, labelcolor=_style.INK, length=2)
    bar.ax.minorticks_off()
    bar.ax.invert_yaxis()  # the farthest on top
    if (pvalues < scale.norm.vmin).any():
        bar.ax.set_title("smaller", fontsize=_style.FONT_SIZE - 1, color=_style.INK)
    return bar


def line_collection(ax: Any, grid: FloatArray, values: FloatArray, label: str) -> Any:
    """Draw many curves in grey as one artist; None where there are none."""
    if not len(values):
        return None
    from matplotlib.collections import LineCollection

    lines = LineCollection(
        list(np.stack([np.broadcast_to(grid, values.shape), values], axis=2)), colors=GREY, linewidths=0.7,
        alpha=float(np.clip(18 / len(values), 0.25, 0.8)), zorder=2, label=label,
        rasterized=values.size > 20 * _style.RASTER_ABOVE,
    )  # fmt: skip
    return ax.add_collection(lines)


def set_span(ax: Any, grid: FloatArray, words: Sequence[str] | None = None) -> None:
    """Let the domain fill the axes, with names at its points where there are any."""
    ax.set_xlim(float(grid[0]), float(grid[-1]))
    tick_words(ax, grid, words)


def one_scale(axes: Sequence[Any]) -> None:
    """Give axes one vertical scale, so that components can be compared."""
    ends = np.array([ax.get_ylim() for ax in axes])
    for ax in axes:
        ax.set_ylim(ends[:, 0].min(), ends[:, 1].max())


def tick_words(ax: Any, grid: FloatArray, words: Sequence[str] | None, most: int = _MOST_TICKS) -> None:
    """Write names at the grid points instead of numbers, every k-th where there are many."""
    if words is None:
        return
    if len(words) != grid.size:
        raise ValueError(f"tick_labels has {len(words)} entries for {grid.size} grid points.")
    step = -(-grid.size // most)
    ax.set_xticks(grid[::step], [_style.literal(word, 10) for word in words[::step]])


def label_curves(
    axes: Sequence[Any],
    grid: FloatArray,
    curves: FloatArray,
    rows: np.ndarray,
    names: list[str],
    regular: np.ndarray,
) -> list[Any]:
    """Write the name of each curve in `rows` at the point where it leaves the regular curves farthest behind.

    The component where it does so most gets the label; distances are in units of the spread of the regular curves.
    """
    if not len(rows):
        return []
    reference = curves[regular] if np.count_nonzero(regular) > 1 else curves
    middle = np.median(reference, axis=0)
    spread = np.median(np.abs(reference - middle), axis=0)
    spread = np.maximum(spread, 1e-3 * max(float(np.abs(curves - middle).max()), np.finfo(float).tiny))
    far = np.abs(curves[rows] - middle) / spread
    j = far.max(axis=1).argmax(axis=1)
    made = []
    fine = np.linspace(grid[0], grid[-1], _OBSTACLES)
    for component, ax in enumerate(axes):
        mine = np.flatnonzero(j == component)
        if not mine.size:
            continue
        drawn = [*curves[~regular, :, component], middle[:, component]]
        obstacles = [np.column_stack([fine, np.interp(fine, grid, curve)]) for curve in drawn]
        places = np.array([_places(far[i, :, component]) for i in mine])
        made += _style.label_points(
            ax, grid[places], np.take_along_axis(curves[rows[mine], :, component], places, axis=1),
            [names[i] for i in mine], np.concatenate(obstacles), backed=True,
        )  # fmt: skip
    return made


def _places(far: FloatArray) -> np.ndarray:
    """Return points of a curve where its name may stand: those far from the others first, all over the domain."""
    ends = np.unique(np.linspace(0, far.size, _PLACES + 1).astype(int))
    best = np.array([start + int(far[start:stop].argmax()) for start, stop in pairwise(ends)])
    return best[np.argsort(-far[best], kind="stable")]


def dash(k: int) -> Any:
    """Return the dashes of the k-th curve whose contributions are drawn."""
    return _DASHES[k % len(_DASHES)]


def write_words(column: Sequence[Any], name: str, argument: str, unit: str) -> None:
    """Write axis labels: the name of the component above, the domain under the lowest axes, the unit beside those."""
    top, bands = column[0], len(column) > 1
    _style.tidy(top, "" if bands else argument, _style.literal(name) if name else "curve")
    if bands:
        _style.tidy(column[-1], argument, unit)
        top.tick_params(labelbottom=False)


def legend_of(ax: Any, handles: Sequence[Any]) -> None:
    """Put a legend above the axes, where it can hide no curve."""
    handles = [handle for handle in handles if handle is not None]
    if handles:
        legend = ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, frameon=False, handlelength=2.2,
            fontsize=_style.FONT_SIZE, labelcolor=_style.INK, columnspacing=1.3, borderaxespad=0.2,
        )  # fmt: skip
        for handle in legend.legend_handles:
            handle.set_alpha(1.0)  # one faint line would not be seen


def draw_bands(
    ax: Any,
    grid: FloatArray,
    densities: FloatArray,
    colours: Sequence[Any],
    labels: Sequence[str],
    *,
    by_point: bool,
) -> list[Any]:
    """Draw contributions along the domain, as filled lines, or with a mark at each point where these stand alone."""
    ax.axhline(0.0, color=_style.MUTED, linewidth=0.8, zorder=2)
    drawn = []
    for k, (density, colour) in enumerate(zip(densities, colours)):
        (line,) = ax.plot(
            grid, density, color=colour, linewidth=1.4, linestyle=dash(k), zorder=4 - 0.1 * k,
            marker="o" if by_point else None, markersize=3.2, label=labels[k],
        )  # fmt: skip
        if not by_point:
            ax.fill_between(grid, 0.0, density, color=colour, alpha=0.14, linewidth=0, zorder=3 - 0.1 * k)
        drawn.append(line)
    return drawn
