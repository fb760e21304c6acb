"""The figure of the study of sizes: ready rates, a panel for each kind of null."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from experiments._figures import FONT, MUTED, legend, look

LEVEL, FACTOR = 5.0, 1.3  # percent, and what is required of the bootstrap
LEAST, MOST = 0.1, 100.0  # percent: ends of the axis
NORMAL = ("normal", "cerioli", "auto", "bootstrap")
Dot = tuple[str, str, str, str, str, float, float, float]

GROUPS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "Chi-square, weighted sums": lambda line: line["null"] in ("chi2", "weighted"),
    "Laws of normal rows": lambda line: (
        line["null"] in ("normal", "cerioli") or (line["robust"] and line["null"] in NORMAL)
    ),
    "Bootstrap of the rows": lambda line: line["null"] in ("bootstrap", "auto"),
    "Conformal, split": lambda line: line["null"] == "split",
    "Conformal, jackknife and full": lambda line: line["null"] in ("jackknife", "full"),
    "Ranks of training distances": lambda line: line["null"] == "empirical",
}  # the first that takes a line has it


def draw_rates(canvas: Any, dots: Sequence[Dot], laws: Sequence[str]) -> None:
    """Draw a panel for each kind of null: laws down, shares of flagged rows across, a dot for each scatter and null."""
    panels = canvas.subplots(2, 3, sharex=True, sharey=True)
    for ax, group in zip(panels.flat, GROUPS, strict=True):
        ax.axvspan(LEVEL / FACTOR, LEVEL * FACTOR, color="#e8eef4", linewidth=0, zorder=0)
        ax.axvline(LEVEL, color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0.8)
        for row, law in enumerate(laws):
            _draw_row(ax, [dot for dot in dots if dot[0] == group and dot[1] == law], row)
            if row:
                ax.axhline(row - 0.5, color="#e3e6ea", linewidth=0.5)
        ax.set_title(group, fontsize=FONT)
        ax.set_xscale("log")
        ax.set_xlim(0.8 * LEAST, MOST)
        ax.set_xticks([0.1, 1.0, 5.0, 20.0, 100.0], ["0.1", "1", "5", "20", "100"])
        ax.set_xticks([], minor=True)
        ax.set_yticks(range(len(laws)), laws)
        ax.set_ylim(len(laws) - 0.5, -0.5)
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    for ax in panels[1]:
        ax.set_xlabel("new rows flagged, %")
    legend(canvas, columns=4)


def _draw_row(ax: Any, dots: Sequence[Dot], row: int) -> None:
    """Draw the dots of one law below each other."""
    for place, (_, _, scatter, label, _, share, low, high) in enumerate(dots):
        one, y = look(scatter), row + 0.84 * ((place + 0.5) / len(dots) - 0.5)
        ends = [min(max(value, LEAST), MOST) for value in (low, high)]
        ax.plot(ends, [y, y], color=one.colour, linewidth=0.8, solid_capstyle="butt")
        ax.plot([max(share, LEAST)], [y], color=one.colour, marker=one.marker, markersize=3.4, linestyle="none",
                markeredgewidth=0.0, label=label)  # fmt: skip
