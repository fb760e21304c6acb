"""What a robust fit says of itself: its subset, an exact fit, a competing fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._typing import FloatArray
from ..plotting._rows import training_coordinates
from . import _sketch
from ._page import minus, percent, plural

_TERMS = 8  # of an equation; more cannot be read
_LISTED = 10  # rows
_NEGLIGIBLE = 1e-9  # of the largest term
_SEARCHES = {
    "fast": "random starts",
    "deterministic": "deterministic starts",
    "exact": "every subset",
    "univariate": "exact algorithm for one column",
}


def fitted_scatter(detector: Any) -> Any:
    """Return the scatter of a fitted detector, without the steps before it and without a sketch around it."""
    from ..scatter import resolve
    from ..scatter._resolve import inner_of

    return inner_of(resolve(detector.estimator_)[1])


def python_setting(key: str, value: Any) -> str:
    """Return a parameter as it is written in Python."""
    return f"{key}={value!r}"


def shell_setting(key: str, value: Any) -> str:
    """Return a parameter as it is written on the command line."""
    return f"--set {key}={value}"


def shell_null_setting(key: str, value: Any) -> str:
    """Return a parameter of the null as it is written on the command line."""
    return f"--null-set {key}={value}"


def equation(normal: FloatArray, offset: float, columns: Sequence[str], size: FloatArray) -> str:
    """Return the hyperplane normal'x = offset as an equation in column names.

    Parameters
    ----------
    normal : ndarray of shape (p,)
        Normal vector, of any length but 0.
    offset : float
        Its product with every row on the hyperplane.
    columns : sequence of p str
        Names.
    size : ndarray of shape (p,)
        How large entries of a column are: terms are compared in these units, so that the choice of the terms does
        not depend on the units of the columns.

    Returns
    -------
    str
        Positive terms on the left, negative ones on the right; the largest coefficient is 1, or all are whole
        numbers. Terms below 1e-9 of the largest are left out, those beyond the eighth are counted.
    """
    weight = np.abs(normal) * np.where(size > 0, size, 1.0)
    kept = np.flatnonzero(weight > _NEGLIGIBLE * weight.max())
    more = kept.size - _TERMS
    if more > 0:
        kept = np.sort(kept[np.argsort(-weight[kept], kind="stable")[:_TERMS]])
    unit = _unit(normal[kept])
    coefficients, constant = normal[kept] / unit, offset / unit
    if abs(offset) <= _NEGLIGIBLE * weight[kept].sum():
        constant = 0.0
    if coefficients[0] < 0:
        coefficients, constant = -coefficients, -constant
    left = [_term(c, columns[j]) for c, j in zip(coefficients, kept.tolist()) if c > 0]
    right = [_term(-c, columns[j]) for c, j in zip(coefficients, kept.tolist()) if c < 0]
    text = " + ".join(left) + " = " + (" + ".join(right) or f"{constant:.6g}")
    if right and constant != 0:
        text += f" {'+' if constant > 0 else '-'} {abs(constant):.6g}"
    return text + (f" (and {plural(more, 'smaller term')})" if more > 0 else "")


def _unit(coefficients: FloatArray) -> float:
    """Return the divisor that makes the coefficients whole numbers, else the largest of them 1."""
    sizes = np.abs(coefficients)
    whole = sizes / sizes.min()
    if whole.max() < 100 and np.all(np.abs(whole - np.round(whole)) <= 1e-6 * whole):
        return float(sizes.min())
    return float(sizes.max())


def _term(coefficient: float, name: str) -> str:
    name = name if name.isidentifier() else f"'{name}'"
    text = f"{coefficient:.6g}"
    return name if text == "1" else f"{text}*{name}"


def rows_text(mask: np.ndarray, names: Sequence[Any] | None) -> str:
    """Return "rows 3, 8 and 12" for the rows of `mask`, at most ten of them; nothing without names."""
    where = np.flatnonzero(mask)
    if names is None or where.size == 0:
        return ""
    shown = [str(names[i]) for i in where[:_LISTED]]
    if where.size > _LISTED:
        return f"rows {', '.join(shown)} and {where.size - _LISTED:,} more"
    return f"row {shown[0]}" if where.size == 1 else f"rows {', '.join(shown[:-1])} and {shown[-1]}"


def hyperplane(detector: Any, columns: Sequence[str], X: Any = None) -> str | None:
    """Return the equation of the hyperplane of an exact fit, None when there is no exact fit.

    `X`, the training rows, serve to tell which terms are rounding errors of the others; without them the
    location does.
    """
    scatter = fitted_scatter(detector)
    fit = getattr(scatter, "exact_fit_", None)
    if fit is None:
        return None
    Z = training_coordinates(detector, X)
    size = np.abs(scatter.location_) if Z is None else np.abs(Z[fit.rows]).max(axis=0)
    return equation(np.asarray(fit.normal, dtype=float), float(fit.offset), columns, size)


def exact_fit_text(
    detector: Any, columns: Sequence[str], names: Sequence[Any] | None = None, X: Any = None
) -> str | None:
    """Return what an exact fit means, in words; None when there is none.

    Parameters
    ----------
    detector : MahalanobisDetector
        Fitted.
    columns : sequence of str
        Names of the columns on which the scatter works.
    names : sequence of n_samples names, optional
        Names of the training rows; without them no row is listed.
    X : array-like of shape (n_samples, n_features), optional
        The training rows.
    """
    line = hyperplane(detector, columns, X)
    if line is None:
        return None
    scatter = fitted_scatter(detector)
    rows = np.asarray(scatter.exact_fit_.rows, dtype=bool)
    n, on, rank = rows.size, int(rows.sum()), int(scatter.rank_)
    where = f"all {n:,}" if on == n else f"{on:,} of the {n:,}"
    text = f"Exact fit: {where} rows lie on the hyperplane {line}"
    if rank < len(columns) - 1:
        text += f", and on others: they span only {plural(rank, 'dimension')}"
    text += f". Distances are measured inside it{'' if rank else ', where all rows are one point'}. "
    if on < n:
        listed = rows_text(~rows, names)
        text += (
            f"The {plural(n - on, 'row')} off it{f' ({listed})' if listed else ''} "
            f"{'has' if n - on == 1 else 'have'} p-value 0, whatever the distance. "
        )
    return text + (
        "Usual causes: a column with one value in most rows, a column computed from others, rounded or capped values, "
        "duplicated rows. If the equation holds by construction, leave out one of its columns."
    )


class Verdicts(NamedTuple):
    """Training rows that the fit used and the one that competes call outlying, and those on which they differ much."""

    own: np.ndarray
    others: np.ndarray
    disputed: np.ndarray


def two_verdicts(scatter: Any) -> Verdicts | None:
    """Return what two competing fits say of the training rows; None without a competing fit."""
    other = getattr(scatter, "alternative_", None)
    if other is None:
        return None
    from scipy.stats import chi2

    from ..scatter._mcd_alternative import FAR

    cutoff = chi2.ppf(getattr(scatter, "reweight", None) or 0.975, scatter.rank_)
    own, others = ~np.asarray(scatter.weights_, dtype=bool), ~(np.asarray(other.d2) < cutoff)
    differs = own != others
    far = differs & (np.maximum(scatter.d2_, other.d2) > FAR * cutoff)
    if getattr(other, "cluster", None) is not None:
        far = np.asarray(other.cluster, dtype=bool)
    return Verdicts(own, others, far)


def alternative_text(
    detector: Any,
    names: Sequence[Any] | None = None,
    setting: Callable[[str, Any], str] | None = None,
) -> str | None:
    """Return what a competing fit means and what to do, in words; None when there is none.

    Parameters
    ----------
    detector : MahalanobisDetector
        Fitted.
    names : sequence of n_samples names, optional
        Names of the training rows; without them no row is listed.
    setting : callable, optional
        Writes a parameter and its value the way the reader sets it; the default writes Python.
    """
    scatter = fitted_scatter(detector)
    other = getattr(scatter, "alternative_", None)
    if other is None:
        return None
    setting = setting or python_setting
    n, counts, where = detector.n_samples_, "", ""
    verdicts = two_verdicts(scatter)
    if verdicts is not None:
        k, others = int(verdicts.own.sum()), int(verdicts.others.sum())
        counts = f"The one shown here calls {plural(k, 'row')} outlying, the other {others:,}. "
        where = f" ({listed})" if (listed := rows_text(verdicts.disputed, names)) else ""
    if getattr(other, "cluster", None) is not None:
        return (
            f"The fit leaves out a separate cluster of {percent(other.share)} of the {n:,} rows{where}; another fit "
            f"counts it in. {counts}Outliers may form such a cluster, and so may clean rows of a second mode: decide "
            "from what you know of the data. If the training rows are known to be clean, "
            f"{setting('support_fraction', 0.9)} trims fewer of them; where several modes are all normal no single "
            "ellipsoid describes them, and a mixture or nearest neighbours are the right tool."
        )
    lower, gap = scatter.objective_ <= other.objective, abs(scatter.objective_ - other.objective)
    size = "smaller" if lower else "larger"
    return (
        f"Two fits compete. {counts}They disagree widely on {percent(other.share)} of the {n:,} rows{where}. The fit "
        f"shown here has the {size} log-determinant, by {gap:.3g}, which does not make it the right one: a tight group "
        "of outliers can have the smallest. See whether the rows form two groups, and decide from what you know of the "
        "data which one is the bulk. "
        f"{setting('method', 'deterministic')} gives the fit that starts from robust guesses at the centre; "
        f"{setting('support_fraction', 0.75)} is steadier where fewer than a quarter of the rows can be outlying."
    )


def complement_text(detector: Any, flagged: np.ndarray) -> str | None:
    """Return a warning when the flags of training rows only repeat which rows the fit left out; else None.

    With few rows for a column a robust fit describes its own subset so closely that every other row, clean or not,
    lies far from it.
    """
    scatter = fitted_scatter(detector)
    subset = getattr(scatter, "raw_support_", None)
    if subset is None or len(subset) != flagged.size or flagged.size >= 5 * np.size(scatter.location_):
        return None
    outside = ~np.asarray(subset, dtype=bool)
    if not flagged.any() or (flagged & ~outside).any() or flagged.sum() < 0.9 * outside.sum():
        return None
    every = (
        "all" if flagged.sum() == outside.sum() else f"{int(flagged.sum()):,} of the {int(outside.sum()):,}"
    )
    return (
        f"The flagged rows are {every} rows that the fit does not rest on: it rests on {int((~outside).sum()):,} of "
        f"{flagged.size:,}. With so few rows for so many columns every other row lies far from these, a clean one too. "
        "A flag alone is no evidence here; a gap in the ranking is, and rows that stay far out whatever the "
        "support_fraction."
    )


def fit_numbers(detector: Any, columns: Sequence[str] = (), X: Any = None) -> dict[str, Any]:
    """Return size of the subset, exact fit and competing fit as plain numbers, None for what there is not.

    Rows are numbered from 1. Without `columns` the size of the subset is all.
    """
    scatter = fitted_scatter(detector)
    h = getattr(scatter, "n_support_", None)
    numbers: dict[str, Any] = {"subset": None if h is None else int(h)}
    if not columns:
        return numbers
    fit, other = getattr(scatter, "exact_fit_", None), getattr(scatter, "alternative_", None)
    verdicts = two_verdicts(scatter)
    numbers["exact_fit"] = (
        None
        if fit is None
        else {
            "equation": hyperplane(detector, columns, X),
            "rows_on": int(np.sum(fit.rows)),
            "rows_off": (np.flatnonzero(~np.asarray(fit.rows)) + 1).tolist(),
        }
    )
    numbers["competing_fit"] = (
        None
        if other is None
        else {
            "share": float(other.share),
            "objective": float(other.objective),
            "objective_of_the_fit_used": float(scatter.objective_),
            "disputed_rows": None if verdicts is None else (np.flatnonzero(verdicts.disputed) + 1).tolist(),
        }
    )
    return numbers


def fit_facts(detector: Any) -> list[tuple[str, str]]:
    """Return name and text of what a robust or a sketched fit did, for the set-up of a report; empty for others."""
    scatter, n = fitted_scatter(detector), detector.n_samples_
    sketch = _sketch.of_detector(detector)
    facts = [] if sketch is None else [("Sketch", _sketch.words(sketch))]
    h = getattr(scatter, "n_support_", None)
    if h is not None:
        facts.append(("Subset", f"h = {int(h):,} of {n:,} rows ({percent(h / n)})"))
    search = _search(scatter)
    if search:
        facts.append(("Search" if hasattr(scatter, "method_") else "Objective", search))
    factors = _factors(scatter)
    if factors:
        facts.append(("Correction factors", factors))
    reweight = getattr(scatter, "reweight", None)
    if reweight and hasattr(scatter, "support_"):
        level = f"{reweight:g} quantile of chi-square, {plural(scatter.rank_, 'degree')} of freedom"
        facts.append(("Rows behind the final estimate", f"{int(np.sum(scatter.support_)):,} of {n:,}"))
        within = int(np.sum(scatter.weights_))
        facts.append(("Rows within the cutoff of the weights", f"{within:,} of {n:,} ({level})"))
    if getattr(scatter, "rho_", None) is not None:
        target = getattr(scatter, "target", None)
        towards = f" towards the {target} target" if isinstance(target, str) else ""
        facts.append(("Regularisation", f"ρ = {scatter.rho_:.3g}{towards}"))
    elif getattr(scatter, "shrinkage_", None):
        facts.append(("Regularisation", f"shrinkage {scatter.shrinkage_:.3g}"))
    return facts


def _search(scatter: Any) -> str:
    method, objective = getattr(scatter, "method_", None), getattr(scatter, "objective_", None)
    parts = [] if method is None else [f"best from {_SEARCHES.get(method, method)}"]
    if objective is not None and np.isfinite(objective):
        parts.append(f"log-determinant {minus(f'{objective:.6g}')}")
    return ", ".join(parts)


def _factors(scatter: Any) -> str:
    """Return the factors in the raw and in the final covariance: consistency, and small sample where there is one."""
    parts, meanings = [], {1: "consistency", 2: "consistency × small sample"}
    count = 1
    for label, name in (("raw", "raw_factor"), ("final", "factor")):
        values = getattr(scatter, f"{name}s_", getattr(scatter, f"{name}_", None))
        if values is not None:
            count = np.size(values)
            parts.append(f"{label} {' × '.join(f'{value:.4g}' for value in np.ravel(values))}")
    return f"{', '.join(parts)} ({meanings.get(count, 'factors')})" if parts else ""
