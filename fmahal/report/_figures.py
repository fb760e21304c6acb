"""The plots of a detector's report, with captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..plotting import DistanceDistanceDisplay, DistanceQQDisplay, ToleranceEllipseDisplay
from ..plotting._rows import JudgedRows, scatter_facts
from ..plotting._svg import inline_svg

_QQ = (
    "Each point is a row. Rows that follow the null law lie along the line, inside the shaded band; outliers leave "
    "it at the upper right. A bulk that leaves the band says that the law itself does not fit."
)
_DD = (
    "Distances, not squared. Rows high above the line look harmless to the classical scatter and far out to the "
    "detector's: outliers that hide each other."
)
_ELLIPSE = "Rows outside the solid ellipse are flagged."
_BOTH = " The dashed one is that of the classical scatter."
_ONE_DISTANCE = (
    "There is no distance-distance plot: with no more rows than columns (plus one) every classical distance is the "
    "same number."
)


_SAME_SCATTER = (
    "There is no distance-distance plot: the detector itself uses the classical scatter. Outliers that hide each "
    "other show only against a robust one, such as MinCovDet."
)


def hint(rows: JudgedRows) -> str:
    """Return what to say above the plots."""
    if not _has_classical(rows):
        text = _ONE_DISTANCE
    else:
        text = _SAME_SCATTER if _is_classical(rows) else ""
    return (
        text if rows.law is rows.common[1] else text + " Distances are mapped to one law that all rows share."
    )


def _has_classical(rows: JudgedRows) -> bool:
    """Tell whether classical distances of these rows differ."""
    return rows.d2.size > rows.detector.contribution_names_.size + 1


def _is_classical(rows: JudgedRows) -> bool:
    """Tell whether the detector's scatter is the classical one, ours or scikit-learn's."""
    return scatter_facts(rows.detector).kind == "empirical"


def figures(rows: JudgedRows, names: list[str], feature_names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return title, SVG and caption of every plot that applies."""
    detector, X = rows.detector, rows.X
    common: dict[str, Any] = {"alpha": rows.alpha, "row_names": names}
    drawn = [
        _figure(
            "qq", "Squared distances against their null law", _QQ,
            lambda ax: DistanceQQDisplay.from_estimator(detector, X, ax=ax, **common),
        )
    ]  # fmt: skip
    classical = _is_classical(rows)
    if _has_classical(rows) and not classical:
        drawn.append(
            _figure(
                "dd", "Classical and detector's distances", _DD,
                lambda ax: DistanceDistanceDisplay.from_estimator(detector, X, ax=ax, **common),
            )
        )  # fmt: skip
    if detector.contribution_names_.size == 2 and _has_classical(rows):
        drawn.append(
            _figure(
                "ellipse", "Tolerance ellipse", _ELLIPSE + ("" if classical else _BOTH),
                lambda ax: _ellipse(ax, detector, X, feature_names, common),
            )
        )  # fmt: skip
    return drawn


def _ellipse(
    ax: Any, detector: Any, X: Any, feature_names: Sequence[str] | None, common: dict[str, Any]
) -> None:
    display = ToleranceEllipseDisplay.from_estimator(detector, X, ax=ax, **common)
    if feature_names is not None and not hasattr(detector.estimator_, "steps"):
        display.ax_.set(xlabel=str(feature_names[0]), ylabel=str(feature_names[1]))


def _figure(key: str, title: str, caption: str, draw: Callable[[Any], Any]) -> dict[str, Any]:
    from markupsafe import Markup

    return {"title": title, "caption": caption, "svg": Markup(inline_svg(draw, key, title))}
