"""``fmahal detect --curves``: the estimator of curves, and where along their domain outliers are outlying."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .._registry import nulls
from . import _params
from ._curves import CurveTable
from ._table import plural, suggest

HEADING = "where it is outlying (share of d2 there)"
_SPACES = ("l2", "sobolev")


def check_options(options: argparse.Namespace) -> None:
    """Raise where an option of curves comes without --curves."""
    if options.curves:
        if options.long and options.transpose:
            raise ValueError(
                "--long reads a row for each point, --transpose a column for each curve: pass one."
            )
        return
    for name in ("grid", "long", "transpose", "space"):
        if getattr(options, name):
            raise ValueError(f"--{name} is about curves: add --curves, which reads each row as a curve.")


def make_space(name: str | None, table: CurveTable) -> Any:
    """Return the unfitted space of curves of a name, on the grid of the table."""
    from ..spaces import L2Space

    if name not in (None, *_SPACES):
        raise ValueError(
            f"--space: there is no space named {name!r}.{suggest(str(name), _SPACES)} Available: {', '.join(_SPACES)}."
        )
    if name == "sobolev":
        from ..spaces.sobolev import SobolevSpace

        return SobolevSpace(grid_points=table.grid)
    return L2Space(grid_points=table.grid)


def build(options: argparse.Namespace, settings: dict[str, Any], table: CurveTable) -> Any:
    """Return the unfitted detector that the options name."""
    from ..models.functional_detector import FunctionalOutlierDetector

    _params.registered()
    _params.check_name(nulls, options.null, "--null")
    estimator = _estimator(options, settings, table)
    return FunctionalOutlierDetector(estimator, alpha=options.alpha, simultaneous=options.simultaneous)


def _estimator(options: argparse.Namespace, settings: dict[str, Any], table: CurveTable) -> Any:
    """Return the space of the curves, and behind it the named scatter or the steps that are the default."""
    from sklearn.pipeline import Pipeline

    space = ("space", make_space(options.space, table))
    if options.scatter is None:
        from ..models.functional_detector import FunctionalOutlierDetector

        _, *rest = FunctionalOutlierDetector()._default_estimator(table.X).steps
        if settings:
            _params.apply_settings(rest[-1][1], settings, type(rest[-1][1]).__name__)
        return Pipeline([space, *rest])
    scatter = _params.make_scatter(options.scatter, settings)
    n, q = table.X.shape[0], int(np.prod(table.X.shape[1:]))
    reason = nulls[options.null].applies(_params.name_for_laws(options.scatter, scatter), n, q)
    if reason is not None:
        raise ValueError(f"--null {options.null} does not apply to --scatter {options.scatter}: {reason}.")
    if getattr(scatter, "robust", False) and not getattr(scatter, "regularized", False):
        from ..spaces.spherical import SphericalPCA

        return Pipeline([space, ("scores", SphericalPCA()), ("scatter", scatter)])
    _params.check_applies(options.scatter, n, q, scatter)
    return Pipeline([space, ("scatter", scatter)])


def causes(detector: Any, table: CurveTable, rows: np.ndarray) -> list[dict[str, Any] | None]:
    """Return for each of the rows the shortest stretch of the domain with half of its squared distance.

    Entries: ``from`` and ``to`` (grid points, numbers or names), ``share`` (of the squared distance; above one where
    the rest takes something away) and, for several components, ``components`` (share of each). None for a curve at the
    centre.
    """
    from ..plotting._curves import along_time, main_part

    rows = np.asarray(rows, dtype=int)
    if not rows.size:
        return []
    split = along_time(detector, table.X[rows], detector.d2_[rows])
    names: Any = table.tick_labels or [float(t) for t in split.grid]
    found: list[dict[str, Any] | None] = []
    for density, parts in zip(split.density, split.parts):
        part = main_part(parts)
        if part is None:
            found.append(None)
            continue
        entry: dict[str, Any] = {"from": names[part.first], "to": names[part.last], "share": part.share}
        if table.components:
            shares = split.weights @ density / parts.sum()
            entry["components"] = dict(zip(table.components, map(float, shares)))
        found.append(entry)
    return found


def words(cause: dict[str, Any] | None, table: CurveTable) -> str:
    """Return the part of the domain in words: "Oct to Dec (61%)"."""
    if cause is None:
        return ""
    ends = [_end(cause[key], table) for key in ("from", "to")]
    text = ends[0] if ends[0] == ends[1] else " to ".join(ends)
    text += f" ({100 * cause['share']:.0f}%)"
    if "components" in cause:
        name, share = max(cause["components"].items(), key=lambda item: item[1])
        text += f", {name} ({100 * share:.0f}%)"
    return text


def _end(value: Any, table: CurveTable) -> str:
    if isinstance(value, str):
        return value
    from ..plotting._curves import number_labels

    return number_labels(table.points)[int(np.argmin(np.abs(table.points - value)))]


def size_words(table: CurveTable) -> str:
    """Return how many curves and points there are."""
    n, T = table.X.shape[:2]
    text = f"{plural(n, 'curve')} of {plural(T, 'point')}"
    return text + (f" and {plural(len(table.components), 'component')}" if table.components else "")
