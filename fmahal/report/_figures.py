"""The plots of a detector's report, with captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..plotting import DistanceDistanceDisplay, DistanceQQDisplay, ToleranceEllipseDisplay
from ..plotting._rows import JudgedRows, classical_reference, feature_coordinates, scatter_facts
from ..plotting._svg import inline_svg
from ._curves import are_curves
from ._fit import fitted_scatter
from ._words import ranks_the_rows

_QQ = (
    "Each point is a row. Rows that follow the null law lie along the line, inside the shaded band; outliers leave "
    "it at the upper right. A bulk that leaves the band says that the law itself does not fit."
)
_QQ_RANKS = (
    "The law is that of these rows among themselves, so that every point lies near the line whatever the data. "
    "Look at the gaps: rows that stand apart from the bulk are the outliers, flagged or not."
)
_DD = (
    "Distances, not squared. Rows high above the line look harmless to the classical scatter and far out to the "
    "detector's: outliers that hide each other."
)
_DD_CURVES = (
    "Distances, not squared. The classical distances are those of a spectral filter, which uses every row. Rows far up "
    "but not far right look harmless to it: outliers that hide each other."
)
_ELLIPSE = "Rows outside the solid ellipse are flagged."
_BOTH = " The dashed one is that of the classical scatter."
_DD_WIDE = (
    "Distances, not squared. With no more rows than columns (plus one) every classical distance is the same number, "
    "so the comparison is with a regularised scatter that is not robust: Ledoit-Wolf shrinkage of the standardised "
    "columns. The two scales differ, hence compare the order: rows far up but not far right hide each other."
)
_RIVAL = (
    "Distances, not squared. Rows near the line are as far out for one fit as for the other; a group far out along one "
    "axis and near the start of the other is what the two fits disagree on."
)
_ONE_DISTANCE = (
    "There is no distance-distance plot: with no more rows than columns (plus one) every classical distance is the "
    "same number, and the detector's own scatter is not robust. MRCD is, for any number of columns."
)


_SAME_SCATTER = (
    "There is no distance-distance plot: the detector itself uses the classical scatter. Outliers that hide each "
    "other show only against a robust one, such as MinCovDet."
)


def hint(rows: JudgedRows) -> str:
    """Return what to say above the plots."""
    if _has_classical(rows):
        text = _SAME_SCATTER if _is_classical(rows) else ""
    else:
        text = "" if scatter_facts(rows.detector).robust else _ONE_DISTANCE
    return (
        text if rows.law is rows.common[1] else text + " Distances are mapped to one law that all rows share."
    )


def _has_classical(rows: JudgedRows) -> bool:
    """Tell whether classical distances of these rows differ."""
    if are_curves(rows.detector):
        return True  # those of a spectral filter, which is regularised
    return rows.d2.size > rows.detector.contribution_names_.size + 1


def _is_classical(rows: JudgedRows) -> bool:
    """Tell whether the detector's scatter is the classical one, ours or scikit-learn's."""
    kinds = ("empirical", "spectral") if are_curves(rows.detector) else ("empirical",)
    facts = scatter_facts(rows.detector)
    return facts.kind in kinds and not facts.robust


def figures(rows: JudgedRows, names: list[str], feature_names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return title, SVG and caption of every plot that applies."""
    detector, X = rows.detector, rows.X
    common: dict[str, Any] = {"alpha": rows.alpha, "row_names": names}
    drawn = [
        _figure(
            "qq", "Squared distances against their null law", _QQ_RANKS if ranks_the_rows(rows) else _QQ,
            lambda ax: DistanceQQDisplay.from_estimator(detector, X, ax=ax, **common),
        )
    ]  # fmt: skip
    classical = _is_classical(rows)
    if _has_classical(rows) and not classical:
        drawn.append(
            _figure(
                "dd", "Classical and detector's distances", _DD_CURVES if are_curves(detector) else _DD,
                lambda ax: DistanceDistanceDisplay.from_estimator(detector, X, ax=ax, **common),
            )
        )  # fmt: skip
    elif not classical and scatter_facts(detector).robust:
        drawn.append(
            _figure("dd", "Regularised and detector's distances", _DD_WIDE, lambda ax: _wide(ax, rows, names))
        )
    rival = getattr(fitted_scatter(detector), "alternative_", None)
    if rival is not None and rows.training:
        drawn.append(
            _figure("rival", "The two fits that compete", _RIVAL, lambda ax: _rivals(ax, rows, rival, names))
        )
    two = detector.contribution_names_.size == 2 and not are_curves(detector)
    if two and _has_classical(rows) and np.isfinite(rows.common[2]):
        drawn.append(
            _figure(
                "ellipse", "Tolerance ellipse", _ELLIPSE + ("" if classical else _BOTH),
                lambda ax: _ellipse(ax, detector, X, feature_names, common),
            )
        )  # fmt: skip
    return drawn


def _wide(ax: Any, rows: JudgedRows, names: list[str]) -> None:
    """Draw the detector's distances over those of a regularised scatter of standardised columns."""
    from ..scatter import LedoitWolf

    Z, scatter, _ = feature_coordinates(rows.detector, rows.X)
    scale = Z.std(axis=0)
    Z = (Z - Z.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    _, reference_d2, _ = classical_reference(Z, LedoitWolf(), rows.level)
    d2, _, cutoff = rows.common
    DistanceDistanceDisplay.from_distances(
        reference_d2, d2, flagged=rows.flagged, cutoff=cutoff, alpha=rows.alpha, row_names=names, ax=ax,
        reference_name="LedoitWolf", name=type(scatter).__name__,
    )  # fmt: skip


def _rivals(ax: Any, rows: JudgedRows, rival: Any, names: list[str]) -> None:
    """Draw the distances of the chosen fit over those of the one that competes with it."""
    cutoff = rows.common[2]
    DistanceDistanceDisplay.from_distances(
        np.asarray(rival.d2, dtype=float), rows.d2, flagged=rows.flagged, cutoff=cutoff, reference_cutoff=cutoff,
        alpha=rows.alpha, row_names=names, ax=ax, reference_name="the other fit", name="the fit used",
    )  # fmt: skip


def _ellipse(
    ax: Any, detector: Any, X: Any, feature_names: Sequence[str] | None, common: dict[str, Any]
) -> None:
    display = ToleranceEllipseDisplay.from_estimator(detector, X, ax=ax, **common)
    if feature_names is not None and not hasattr(detector.estimator_, "steps"):
        display.ax_.set(xlabel=str(feature_names[0]), ylabel=str(feature_names[1]))


def _figure(key: str, title: str, caption: str, draw: Callable[[Any], Any]) -> dict[str, Any]:
    from markupsafe import Markup

    return {"title": title, "caption": caption, "svg": Markup(inline_svg(draw, key, title))}
