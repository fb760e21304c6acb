"""The conditions under which p-values hold that were resampled from the rows themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..plotting._rows import JudgedRows, scatter_facts
from . import _law
from ._fit import fitted_scatter
from ._page import percent, plural, short


def resampling_limits(rows: JudgedRows) -> list[str]:
    """Return what a law of reference distances assumes; nothing for other laws."""
    null = rows.detector.null_
    if not _law.is_resampled(null):
        return []
    if _law.is_a(null, "BootstrapNull"):
        return _bootstrap(rows, null)
    if _law.is_a(null, "ConformalNull"):
        return [_conformal(rows, null), *_ranking(rows)]
    return [
        "The empirical law has no model of clean rows: it flags a given share of the rows, those that lie farthest "
        "out, in any data.",
        *_ranking(rows),
    ]


def _bootstrap(rows: JudgedRows, null: Any) -> list[str]:
    detector, kind = rows.detector, null.kind
    if kind == "parametric":
        return [
            "The parametric bootstrap assumes that clean rows are independent and normal: it fits the estimator again "
            "to normal rows with the location and covariance that were found, and takes these for the true ones. "
            "Heavy tails or skewness raise flags too."
        ]
    asks = (
        "elliptical in law, normal or not" if kind == "elliptical" else "independent and alike, normal or not"
    )
    limits = [
        f"The bootstrap law asks that clean rows are {asks}. It is right for many rows (asymptotically): with "
        f"{plural(detector.n_samples_, 'row')} the level is met approximately."
    ]
    kept = _kept(detector)
    if kept is not None:
        share = percent(kept / detector.n_samples_)
        limits.append(
            f"It draws from the {plural(kept, 'row')} that the robust fit rests on, {share} of them all, so that "
            "outliers it leaves out do not hide in the law. Clean rows among those left out are missing in its tail: "
            f"up to {percent(1 - kept / detector.n_samples_)} of clean rows are flagged in addition to the level. "
            'kind="parametric" has a whole tail, of normal rows.'
        )
    elif scatter_facts(detector).robust:
        limits.append(
            "Rows that lie far from the robust fit are not drawn, so that they do not hide in the law."
        )
    elif rows.training:
        limits.append(
            "Outliers are drawn with the other rows and widen the law: however many rows are outlying, as a rule about "
            f"{percent(rows.level)} of the rows are flagged{_if_shrunk(detector)}. With a robust scatter only the "
            "rows that it rests on are drawn, and outliers do not hide in the law."
        )
    return limits


def _if_shrunk(detector: Any) -> str:
    """Return that the rule is none for a shrunk scatter, or nothing for others."""
    return f" ({_law.NO_RULE_IF_SHRUNK})" if scatter_facts(detector).regularized else ""


def _kept(detector: Any) -> int | None:
    """Return how many rows a robust fit rests on, None for other fits."""
    support = getattr(fitted_scatter(detector), "support_", None)
    if not scatter_facts(detector).robust or support is None:
        return None
    support = np.asarray(support)
    return int(support.sum()) if support.dtype == bool else int(support.size)


def _conformal(rows: JudgedRows, null: Any) -> str:
    if null.kind in ("split", "full"):
        return (
            "The conformal law is exact for exchangeable rows, whatever their law: it asks for no normality and no "
            f"large number of rows. At this level at most {short(100 * rows.level)}% of clean new rows are flagged, "
            "in the mean over data like these."
        )
    return (
        f'The conformal law of kind "{null.kind}" asks that clean rows are exchangeable, normal or not. For new rows '
        'it is right only for many rows (asymptotically); kind "split" is exact.'
    )


def _ranking(rows: JudgedRows) -> list[str]:
    if not (rows.training and getattr(rows.law, "itself", False)):
        return []
    return [
        "Rows that took part in the fit are ranked among themselves. However many are outlying, no more than "
        f"{percent(rows.level)} of them can be flagged, and that share is flagged in clean data too: a flag says which "
        "rows lie farthest out, not that they are outliers."
    ]
