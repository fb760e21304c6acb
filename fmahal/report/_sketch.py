"""What a reader has to know of a sketched scatter: how large the map is, and how far it moves distances."""

from __future__ import annotations

from typing import Any

from ._page import percent, plural

LIMIT = (
    "the distances are sketched: another map would move them by about their relative standard error, and with them "
    "the flags of rows near the cut-off; the p-values hold the map fixed"
)


def sketch_of(scatter: Any) -> dict[str, Any] | None:
    """Return coordinates, kind of the map and relative standard error of a fitted sketch, None for other scatters."""
    if getattr(scatter, "scatter_kind", None) != "sketched" or not scatter.is_sketched_:
        return None
    return {
        "sketch_components": int(scatter.n_components_),
        "sketch_kind": scatter.kind,
        "sketch_se": float(scatter.sketch_se_),
    }


def short_words(sketch: dict[str, Any]) -> str:
    """Return a sketch for a cell of a table."""
    return f"k = {sketch['sketch_components']:,} {sketch['sketch_kind']} ±{percent(sketch['sketch_se'])}"


def words(sketch: dict[str, Any]) -> str:
    """Return a sketch for a line of its own."""
    bound = "" if sketch["sketch_kind"] == "gaussian" else "at most "
    return (
        f"{plural(sketch['sketch_components'], 'coordinate')} by a {sketch['sketch_kind']} map; relative standard "
        f"error of a squared distance {bound}{percent(sketch['sketch_se'])}"
    )


def of_detector(detector: Any) -> dict[str, Any] | None:
    """Return the same of the scatter of a fitted detector."""
    from ..scatter import resolve

    return sketch_of(resolve(detector.estimator_)[1])


def limit(detector: Any) -> list[str]:
    """Return what the random map means for the flagged rows, as no or one sentence."""
    return [] if of_detector(detector) is None else [f"{LIMIT[0].upper()}{LIMIT[1:]}."]
