"""What a report on curves has in addition: the curves, contributions along their domain, eigenfunctions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..plotting._curves import AlongTime, along_time, curve_space, main_part, stretch, taken
from ..plotting._eigenfunctions import EigenfunctionDisplay, eigen_step
from ..plotting._functional_outlier import FunctionalOutlierDisplay
from ..plotting._rows import JudgedRows
from ..plotting._svg import inline_svg
from ._page import percent

_CURVES = (
    "Above, flagged curves in colour, the others in grey. Below, the squared distance per unit of the axis of the "
    "farthest flagged curves: the area below such a line is the squared distance of the curve, and where the line is "
    "high the curve is unusual. A line below zero says that this part makes the curve less unusual, given the rest."
)
_CURVES_BY_POINT = (
    "Above, flagged curves in colour, the others in grey. Below, what each point adds to the squared distance of the "
    "farthest flagged curves, the values at the other points given: the points of a curve add up to its squared "
    "distance, and where the line is high the curve is unusual. A point below zero makes the curve less unusual."
)
_NO_BAND = "No curve is flagged: all are grey, and there are no contributions to show."
_EIGEN = (
    "Each panel shows curves that differ from the centre in one direction alone, by two standard deviations to "
    "either side; where that could not be seen, the centre is left out. {}The distance of a curve is measured in these "
    "units, so that a small departure in a direction with little variance weighs as much as a large one in the first."
)
_SHARE = "The title has the share of the variance. "
_WIDE = (9.4, 5.6)
_FLAT = (9.4, 3.1)
_NARROW, _TALL = (4.3, 5.6), (4.3, 6.6)  # for a telephone, where the wide ones would have to be scrolled
_PANELS = 3
_SPARK = (200.0, 34.0)  # units of the small pictures in the table
_SPARK_POINTS = 100
_MEANING = (
    "A contribution is the part of the squared distance that a stretch of the domain accounts for. Over the whole "
    "domain, and over all components, the parts add up to the squared distance. The stretch named in the table is "
    "the shortest one with half of it."
)
_MEASURE = (
    "Distances depend on the space in which curves are compared. In L2 only their values count; in a Sobolev space "
    "slopes count too, which shows curves of unusual shape that stay among the others."
)
_LONG_ARRAY = re.compile(r"=array\(\[.*?\]\)")
_WORDS = (
    (re.compile(r"\brow(s?)\b"), r"curve\1"),
    (re.compile(r"\bRow(s?)\b"), r"Curve\1"),
    (re.compile(r"\bcolumn(s?)\b"), r"coordinate\1"),
    (re.compile(r"\bColumn(s?)\b"), r"Coordinate\1"),
)


def are_curves(detector: Any) -> bool:
    """Tell whether a fitted detector judges curves: its estimator starts with a space that knows their domain."""
    space = curve_space(detector.estimator_)
    return space is not None and len(getattr(space, "grid_points_", ())) == 1


def in_words_of_curves(text: Any) -> Any:
    """Return a sentence about rows and columns as one about curves and their coordinates."""
    kind = type(text)
    for pattern, word in _WORDS:
        text = pattern.sub(word, str(text))
    return kind(text)


def meaning(sentences: Sequence[str]) -> list[str]:
    """Return what the numbers mean, for curves."""
    kept = [in_words_of_curves(text) for text in sentences if not text.startswith("A contribution is")]
    return [*kept, _MEANING]


def limits(sentences: Sequence[str]) -> list[str]:
    """Return the limits, for curves."""
    return [*map(in_words_of_curves, sentences), _MEASURE]


def estimator_words(estimator: Any) -> str:
    """Return the steps of an estimator on one line, without the numbers of a long grid."""
    from ..scatter import resolve

    space, scatter = resolve(estimator)
    steps = [*([] if space is None else [step for _, step in space.steps]), scatter]
    return ", ".join(_LONG_ARRAY.sub("=...", " ".join(repr(step).split())) for step in steps)


def size(detector: Any) -> str:
    """Return on how many points, and of how many components, the curves are known."""
    space = curve_space(detector.estimator_)
    T, d = np.size(space.grid_points_[0]), int(getattr(space, "n_codomain_", 1))
    if getattr(space, "kind_", "grid") in ("basis", "irregular"):
        text = f"in a basis of {int(space.n_features_out_):,} functions"
    else:
        text = f"on {T:,} points"
    return text + (f", {d} components" if d > 1 else "")


def figures(rows: JudgedRows, names: list[str], words: dict[str, Any]) -> list[dict[str, Any]]:
    """Return title, SVG and caption of the plots of curves, each as wide as the page and once more for narrow ones."""
    detector = rows.detector
    caption = _CURVES if words["tick_labels"] is None else _CURVES_BY_POINT

    def curves(ax: Any) -> None:
        FunctionalOutlierDisplay.from_estimator(
            detector, rows.X, alpha=rows.alpha, row_names=names, ax=ax, **words
        )

    flagged = bool(rows.flagged.any())
    d = int(getattr(curve_space(detector.estimator_), "n_codomain_", 1))
    drawn = [
        _figure(
            "curves", "The curves, and where they are outlying", caption if flagged else _NO_BAND, curves,
            _WIDE if flagged else (_WIDE[0], 0.75 * _WIDE[1]), curves if d == 1 else None,
            _NARROW if flagged else (_NARROW[0], 0.75 * _NARROW[1]),
        )
    ]  # fmt: skip
    try:
        step, _ = eigen_step(detector)
    except TypeError:
        return drawn

    def eigen(ax: Any) -> None:
        EigenfunctionDisplay.from_estimator(detector, n_components=_PANELS, ax=ax, **words)

    def below_each_other(ax: Any) -> None:
        figure = ax.figure
        ax.remove()
        eigen(figure.subplots(min(_PANELS, len(step.eigenvalues_)), 1, squeeze=False).ravel())

    known = getattr(step, "explained_variance_ratio_", None) is not None
    drawn.append(
        _figure(
            "eigen", "How the curves vary", _EIGEN.format(_SHARE if known else ""), eigen, _FLAT,
            below_each_other if d == 1 else None, _TALL,
        )
    )  # fmt: skip
    return drawn


def _figure(
    key: str,
    title: str,
    caption: str,
    draw: Any,
    shape: tuple[float, float],
    narrow: Any,
    narrow_shape: tuple[float, float],
) -> dict[str, Any]:
    """Return a plot, wide and, where there is a way to draw it so, narrow."""
    from markupsafe import Markup

    second = None if narrow is None else Markup(inline_svg(narrow, f"{key}-narrow", title, narrow_shape))
    return {
        "title": title,
        "caption": caption,
        "svg": Markup(inline_svg(draw, key, title, shape)),
        "narrow": second,
    }


def causes(
    rows: JudgedRows,
    order: np.ndarray,
    tick_labels: Sequence[str] | None = None,
    component_names: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Return for each row of the table a small picture of its contributions and their main stretch in words."""
    X = taken(rows.X, order)
    split = along_time(rows.detector, X, rows.d2[order] if rows.training else None)
    labels = tick_labels if tick_labels is not None and len(tick_labels) == split.grid.size else None
    return [_cause(split, k, labels, component_names) for k in range(len(order))]


def _cause(
    split: AlongTime, k: int, labels: Sequence[str] | None, components: Sequence[str] | None
) -> dict[str, Any]:
    parts = split.parts[k]
    part = main_part(parts)
    text = ""
    if part is not None:
        text = f"{stretch(part, split.grid, labels)}: {percent(part.share)}"
        d = split.density.shape[2]
        if d > 1:
            shares = split.weights @ split.density[k] / parts.sum()
            most = int(shares.argmax())
            name = f"component {most + 1}" if components is None else components[most]
            text += f", {name}: {percent(shares[most])}"
    shown = parts if labels is not None else split.density[k].sum(axis=1)  # what the plot above shows
    return {"text": text, "svg": _spark(split.grid, shown)}


def _spark(grid: FloatArray, density: FloatArray) -> Any:
    """Return the density of one curve as a small filled line, each on its own scale."""
    from markupsafe import Markup

    width, height = _SPARK
    if grid.size > _SPARK_POINTS:  # what a picture of this size can show, peaks kept
        starts = np.linspace(0, grid.size, _SPARK_POINTS + 1).astype(int)[:-1]
        high, low = np.maximum.reduceat(density, starts), np.minimum.reduceat(density, starts)
        grid, density = grid[starts], np.where(high >= -low, high, low)
    top, bottom = max(density.max(), 0.0), min(density.min(), 0.0)
    unit = (height - 2) / ((top - bottom) or 1.0)
    x = (grid - grid[0]) / (grid[-1] - grid[0]) * width
    y = 1 + (top - density) * unit
    zero = 1 + top * unit
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y))
    return Markup(
        f'<svg class="spark" viewBox="0 0 {width:.0f} {height:.0f}" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon points="0,{zero:.1f} {line} {width:.0f},{zero:.1f}"/><polyline points="{line}"/>'
        f'<line x1="0" x2="{width:.0f}" y1="{zero:.1f}" y2="{zero:.1f}"/></svg>'
    )
