"""What the numbers of a report say, in sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binom

from ..plotting._rows import JudgedRows, leaves_one_out, scatter_facts
from . import _law
from ._fit import complement_text, fitted_scatter
from ._page import percent, plural, short
from ._resampling import resampling_limits


def describe_law(law: Any, level: float | None = None, null: Any = None) -> str:
    """Return a frozen SciPy distribution in words, anything else by the name of its class.

    Of a law of reference distances: how many there are and, given the level, its cutoff with its standard error, and
    given the null, what that error measures.
    """
    if (count := _law.references(law)) is not None:
        text = plural(count, "reference distance") + _tail_words(law)
        return text if level is None else f"{text}; cutoff {_cutoff_words(law, level, null)}"
    family = getattr(getattr(law, "dist", None), "name", None)
    shape = [value for value in getattr(law, "args", ()) if np.ndim(value) == 0]
    scale = getattr(law, "kwds", {}).get("scale", 1.0)
    times = "" if np.ndim(scale) or scale == 1 else f"{short(scale)} × "
    if family == "chi2" and len(shape) == 1:
        return f"{times}chi-square, {short(shape[0])} degrees of freedom"
    if family == "beta" and len(shape) == 2:
        return f"{times}Beta({short(shape[0])}, {short(shape[1])})"
    if family == "f" and len(shape) == 2:
        return f"{times}F({short(shape[0])}, {short(shape[1])})"
    if family is not None:
        return family
    if hasattr(law, "inner") and hasattr(law, "outer"):
        return (
            f"{describe_law(law.inner)} for the rows that were kept, {describe_law(law.outer)} for the others"
        )
    if hasattr(law, "isf"):  # a law of our own: its quantiles say more than its class
        with np.errstate(all="ignore"):
            quantiles = [np.ravel(law.isf(tail)) for tail in (0.5, 0.01)]
        if all(q.size == 1 and np.isfinite(q).all() for q in quantiles):
            return f"quantiles {short(quantiles[0][0])} (50%) and {short(quantiles[1][0])} (99%)"
    return type(law).__name__


def _tail_words(law: Any) -> str:
    return ", beyond the largest a generalised Pareto tail" if getattr(law, "tail", None) == "gpd" else ""


def _cutoff_words(law: Any, level: float, null: Any) -> str:
    cutoff, error = float(law.isf(level)), _law.cutoff_se(law, level)
    return f"{short(cutoff)}" + ("" if error is None else f", {error_words(error, null)}")


def error_words(error: float, null: Any = None) -> str:
    """Return a standard error with the two digits that are worth reading and, given the null, what it measures."""
    text = f"standard error {short(float(f'{error:.2g}'))}"
    return text + {
        "replicates": " from the number of replicates alone",
        "rows": " from the sampling of the rows",
    }.get(_law.error_source(null) or "", "")


def law_name(rows: JudgedRows) -> str:
    """Return the name of the law of the rows at hand, for use in a sentence."""
    return _law.law_name(rows.law, rows.detector.null_)


def verdict_of(rows: JudgedRows, known: np.ndarray | None) -> Any:
    """Return the answer in one or two sentences."""
    from markupsafe import Markup

    n, k = rows.d2.size, int(rows.flagged.sum())
    if k == 0:
        calm = Markup(' class="plain"' if misfit_of(rows) else ' class="calm"')
        text = Markup("<strong{}>No row is flagged.</strong> All {} lie within the cutoff. ").format(
            calm, plural(n, "row")
        )
    else:
        doubt = rows.training and complement_text(rows.detector, rows.flagged)
        text = Markup("<strong{}>{} of {}</strong> {} flagged as {}. ").format(
            Markup(' class="plain"') if doubt else "",
            f"{k:,}",
            plural(n, "row"),
            "is" if k == 1 else "are",
            "an outlier" if k == 1 else "outliers",
        )
    if known is not None and known.any():
        text += _recall(known, rows.flagged)
    return text + _expectation(rows, n)


def _recall(known: np.ndarray, flagged: np.ndarray) -> str:
    total, hits, false = int(known.sum()), int((known & flagged).sum()), int((~known & flagged).sum())
    if not flagged.any():
        return f"{plural(total, 'row')} {'is a known outlier' if total == 1 else 'are known outliers'}. "
    if total == 1:
        text = f"The known outlier is{'' if hits else ' not'} among them"
    elif hits == 0:
        text = f"None of the {total:,} known outliers is among them"
    else:
        text = f"All {total:,}" if hits == total else f"{hits:,} of the {total:,}"
        text += f" known outliers {'is' if hits == 1 else 'are'} among them"
    if hits:
        text += f", and {plural(false, 'other row') if false else 'no other row'}"
    return text + ". "


def _expectation(rows: JudgedRows, n: int) -> str:
    most = _law.flagged_in_any_data(rows.law, rows.level) if rows.training else None
    if most is not None:
        return (
            f"The {law_name(rows)} ranks these rows among themselves: at this level it flags "
            f"{'none' if most == 0 else f'the {most:,} farthest' if most > 1 else 'the farthest'}, in clean data too."
        )
    if unknown := unknown_chance(rows.detector, rows.level):
        return f"{unknown[0].upper()}{unknown[1:]}."
    if rows.training and _pools(rows):
        text = _law.pooled_words(f"{_rounded(n * rows.level)} are", scatter_facts(rows.detector).regularized)
        return f"{text[0].upper()}{text[1:]}."
    condition = "If no row were an outlier"
    if not _law.law_is_exact(rows.detector):
        condition += f" and the {law_name(rows)} held"
    elif not _law.is_resampled(rows.detector.null_):
        condition = "If the rows were normal and none an outlier"
    if _law.judges_together(rows.detector):
        return f"{condition}, any row at all would be flagged with probability {rows.alpha:g}."
    return f"{condition}, about {_rounded(n * rows.level)} would be flagged."


def _rounded(expected: float) -> str:
    return short(round(expected, 1 if expected >= 1 else 2))


def _pools(rows: JudgedRows) -> bool:
    """Tell whether the law of these training rows was resampled from them, outliers included, one by one."""
    detector = rows.detector
    pools = _law.resamples_outliers(detector.null_, scatter_facts(detector).robust)
    return pools and not _law.judges_together(detector)


def unknown_chance(detector: Any, level: float) -> str | None:
    """Return why it is not known how many clean rows are flagged, for use in a sentence; None where it is."""
    n = detector.n_samples_
    if lacking := _law.rows_lacking(detector):
        return (
            f"the law is resampled from the {n - lacking:,} rows that the robust fit rests on: up to "
            f"{percent(lacking / n)} of clean rows are flagged in addition to the level"
        )
    if _law.beyond_the_rows(detector, level):
        return f"how many are flagged by chance cannot be told from {plural(n, 'row')} at so small a level"
    return None


def ranks_the_rows(rows: JudgedRows) -> bool:
    """Tell whether the rows at hand are themselves the reference distances of their law."""
    return rows.training and bool(getattr(rows.law, "itself", False))


def misfit_of(rows: JudgedRows) -> str | None:
    """Return a warning when the bulk of the distances, not only the outliers, contradicts the null law.

    Half of clean rows have a p-value above 1/2. Three quarters on one side of it, by more than chance at 1e-6, or
    a quarter of all rows flagged say that the law does not fit.
    """
    if rows.training and (text := complement_text(rows.detector, rows.flagged)):
        return text
    n, share, law = rows.d2.size, float(rows.flagged.mean()), law_name(rows)
    above = int((rows.pvalues > 0.5).sum())
    if above > 0.75 * n and binom.sf(above - 1, n, 0.5) < 1e-6:
        return (
            f"Most distances are smaller than the {law} expects: {percent(above / n)} of the p-values exceed 1/2, "
            "and half of them should. Hardly any row can be flagged, and not to be flagged says little. Read the "
            "ranking, or let the rows be judged by each other: ConformalNull() (in the shell --null conformal)."
        )
    too_large = n - above > 0.75 * n and binom.sf(n - above - 1, n, 0.5) < 1e-6
    if too_large or (share >= 0.25 and rows.flagged.sum() > 3):
        robust = share < 0.5 and scatter_facts(rows.detector).robust
        cause = (
            "Either so many rows are outlying, which a robust fit can stand, or"
            if robust
            else "More likely than so many outliers is that"
        )
        return (
            f"{percent(share)} of the rows are flagged, and {percent((n - above) / n)} of the p-values are at most "
            f"1/2, where half of them should be. {cause} these data do not follow the {law}: skewed columns, several "
            "groups, or too few rows for the estimator. Read the ranking, not the p-values."
        )
    return None


def meaning_of(rows: JudgedRows) -> list[str]:
    """Return what distance, p-value and contribution mean."""
    kind = "took part in the fit" if rows.training else "did not take part in the fit"
    if rows.training and leaves_one_out(rows.detector.null_):
        kind = "were measured without themselves"
    return [
        "The distance of a row measures how far it lies from the centre of the data in units of their own "
        "spread, correlations included. The p-value is the chance that a clean row lies at least as far out; "
        f"it comes from the {law_name(rows)} for rows that {kind}.",
        f"A row is flagged when its p-value is at most {short(rows.level)}, that is, when its squared distance "
        "exceeds the cutoff. A flag says that the row is unusual, not that it is wrong.",
        "A contribution is the part of the squared distance that a column accounts for (its Shapley value). "
        "The parts of all columns add up to the squared distance.",
        *_left_out_words(rows),
    ]


def _left_out_words(rows: JudgedRows) -> list[str]:
    """Return what the distances of training rows are where a fit without them measures each row."""
    if not (rows.training and leaves_one_out(rows.detector.null_)):
        return []
    what, without = "leave-one-out", "a fit to all the other rows"
    if getattr(rows.detector.null_, "engine_", None) == "folds":
        what, without = "cross-validated", "the fit to the folds that it is not in"
    return [
        f"The distances shown are {what} distances: each row is measured from {without}, as a new row would be, so "
        "that no row draws the centre and the spread towards itself."
    ]


def limits_of(rows: JudgedRows) -> list[str]:
    """Return the conditions under which the numbers hold."""
    detector = rows.detector
    n, p = detector.n_samples_, detector.contribution_names_.size
    facts = scatter_facts(detector)
    rank = facts.rank
    limits = resampling_limits(rows) or [
        "The laws assume that clean rows are independent and normal. Heavy tails or skewness raise flags too."
    ]
    scatter = fitted_scatter(detector)
    if not facts.robust:
        limits.append(
            f"{type(scatter).__name__} uses every row: several outliers together can widen the estimate and hide "
            f"each other. Compare with a robust scatter such as {'MinCovDet' if n >= 5 * p else 'MRCD'}."
        )
    elif facts.regularized:
        limits.append(
            f"{type(scatter).__name__} pulls the covariance towards a simple one, which makes distances exist for any "
            "number of columns. How large they are depends on how far it pulls, and no formula gives their law."
        )
    elif n < 5 * p:
        limits.append(
            f"{n:,} rows are few for a robust fit in {p:,} columns; five rows a column are a usual minimum."
        )
    if type(detector.null_).__name__ == "ChiSquareNull":
        limits.append(
            "The chi-square law treats centre and scatter as known. Estimated from few rows they make clean rows "
            f"look farther or nearer than they are; here {n:,} rows stand against rank {rank:,}."
        )
    if rank < p:
        limits.append(
            f"The rows span {rank:,} of {p:,} dimensions. Distances live on that span; a row off it has p-value 0, "
            "whatever its distance."
        )
    known = unknown_chance(detector, rows.level) is None and not (rows.training and _pools(rows))
    together = _law.judges_together(detector)
    if known and not together and not ranks_the_rows(rows) and rows.d2.size * rows.level >= 1:
        share = f"about {100 * rows.level:.3g}% of clean rows"
        if _law.law_is_exact(detector):
            text = f"At this level {share} are flagged by chance."
        else:
            text = (
                f"If the {law_name(rows)} held, {share} would be flagged by chance at this level. It is an "
                "approximation here: the share can be far from that."
            )
        limits.append(
            f"{text} To bound the chance of any false alarm among all rows use simultaneous=True, in the shell "
            "--simultaneous."
        )
    return limits
