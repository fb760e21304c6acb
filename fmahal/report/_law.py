"""Which law a detector's p-values come from, whether it is the exact one, and how finely it is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..plotting._rows import scatter_facts

_PUBLISHED = {
    "cerioli": "law of Cerioli",
    "green-martin": "law of Green and Martin",
    "hardin-rocke": "law of Hardin and Rocke",
}
_LAW_NAMES = {"chi2": "chi-square law", "beta": "scaled Beta law", "f": "scaled F law"}
_NULL_NAMES = {
    "BootstrapNull": "bootstrap law",
    "ConformalNull": "conformal law",
    "EmpiricalNull": "empirical law",
    "WeightedChiSquareNull": "weighted chi-square law",
    "RobustSpectralNull": "simulated law",
}


def law_name(law: Any, null: Any) -> str:
    """Return the name of a law of the fitted `null`, for use in a sentence."""
    if (source := getattr(null, "source_", None)) in ("table", "simulation"):
        return "simulated law"
    if source == "published":
        return _PUBLISHED.get(null.method, "published law")
    if is_a(null, "BootstrapNull") and null.kind == "parametric":
        return "bootstrap law of normal rows"
    for kind in type(null).__mro__:
        if kind.__name__ in _NULL_NAMES:
            return _NULL_NAMES[kind.__name__]
    family = getattr(getattr(law, "dist", None), "name", None)
    return _LAW_NAMES.get(str(family), f"law of {type(null).__name__}")


def is_a(null: Any, name: str) -> bool:
    """Tell whether a null is of the class of that name, without importing it."""
    return any(kind.__name__ == name for kind in type(null).__mro__)


def is_resampled(null: Any) -> bool:
    """Tell whether the law is made of reference distances that came from the rows themselves."""
    return any(is_a(null, name) for name in ("BootstrapNull", "ConformalNull", "EmpiricalNull"))


def references(law: Any) -> int | None:
    """Return the number of reference distances behind a law; None for a law that is a formula or a table."""
    return int(law.size) if hasattr(law, "standard_error") else None


def cutoff_se(law: Any, level: float) -> float | None:
    """Return the standard error of ``law.isf(level)``, a squared distance; None where there is none."""
    if not hasattr(law, "standard_error"):
        return None
    value = float(law.standard_error(level))
    return value if np.isfinite(value) else None


def smallest_pvalue(law: Any) -> float:
    """Return the p-value of a row beyond every reference distance; 0 for laws whose tail goes on."""
    return float(law.sf(np.inf)) if references(law) else 0.0


def is_bounded(law: Any, d2: FloatArray) -> np.ndarray:
    """Return which rows lie beyond every reference distance: their p-value is an upper bound."""
    least = smallest_pvalue(law)
    if least == 0.0 or getattr(law, "itself", False):
        return np.zeros(np.shape(d2), dtype=bool)
    return np.asarray(law.sf(d2)) <= least


def flagged_in_any_data(law: Any, level: float) -> int | None:
    """Return how many of its own reference distances a law flags, where no two are equal; None for other rows."""
    return math.floor(level * law.size * (1 + 1e-12)) if getattr(law, "itself", False) else None


def resamples_outliers(null: Any, robust: bool) -> bool:
    """Tell whether a fitted null of a scatter, robust or not, resamples outliers along with the other rows."""
    return is_a(null, "BootstrapNull") and null.kind != "parametric" and not robust


# Of a law that resamples outliers: what share it flags is a rule, and for a shrunk scatter not even that.
NO_RULE_IF_SHRUNK = "no bound for a shrunk scatter, which flags many more where its law does not fit the rows"


def pooled_words(flagged: str, regularized: bool) -> str:
    """Return how many rows a law flags that resamples outliers along with the other rows, for use in a sentence."""
    return (
        f"the law resamples these rows, outliers too, and widens with them: as a rule about {flagged} flagged, "
        f"outliers or not{f' ({NO_RULE_IF_SHRUNK})' if regularized else ''}"
    )


def rows_lacking(detector: Any) -> int:
    """Return how many training rows a bootstrap law lacks, since a robust fit does not rest on them."""
    null = detector.null_
    if not is_a(null, "BootstrapNull") or null.kind == "parametric":
        return 0
    return max(0, detector.n_samples_ - getattr(null, "n_rows_", detector.n_samples_))


def beyond_the_rows(detector: Any, level: float) -> bool:
    """Tell whether a level is so small that the rows that a bootstrap draws say nothing of it."""
    from ..nulls._bootstrap_checks import too_rare

    null = detector.null_
    if not is_a(null, "BootstrapNull") or null.kind == "parametric" or null.statistic != "point":
        return False
    return bool(too_rare(level, getattr(null, "n_rows_", detector.n_samples_)))


def error_source(null: Any) -> str | None:
    """Return what the standard error of a resampled cutoff measures: "replicates" or "rows"; None for other laws.

    Of a bootstrap it is what the finite number of replicates adds, whatever the number of rows; of ranks among rows it
    is how much the cutoff would differ with other rows of the same kind.
    """
    if is_a(null, "RobustSpectralNull"):
        return "replicates"  # simulated samples
    if not is_resampled(null):
        return None
    return "replicates" if is_a(null, "BootstrapNull") else "rows"


def judges_together(detector: Any) -> bool:
    """Tell whether the level is the probability of any false alarm among all rows."""
    return bool(detector.simultaneous or getattr(detector.null_, "familywise_", False))


def too_few(null: Any, law: Any, level: float, setting: Callable[[str, Any], str]) -> str | None:
    """Return why no row can be flagged at this level and what would mend it; None where rows can be.

    Parameters
    ----------
    null : null
        Fitted.
    law : frozen distribution
        Its law of the rows at hand.
    level : float
        Level of one row.
    setting : callable
        ``setting(name, value)`` is a parameter of the null in the language of the reader.
    """
    have, least = references(law), smallest_pvalue(law)
    if not have or least <= level * (1 + 1e-12):
        return None
    inner = float(law.base_level(level)) if hasattr(law, "base_level") else level
    needed = math.ceil(1 / inner * (1 - 1e-12)) - (not getattr(law, "itself", False))
    size = {"BootstrapNull": "n_resamples", "RobustSpectralNull": "n_samples"}
    simulated = next((name for kind, name in size.items() if is_a(null, kind)), None)
    if simulated:
        remedy = f"use {setting(simulated, math.ceil(needed * getattr(null, simulated) / have))}"
        if null.tail is None:
            remedy += f" or {setting('tail', 'gpd')}, which extends the law beyond them"
    elif getattr(law, "itself", False) or not is_a(null, "ConformalNull"):
        remedy = f"it takes {needed:,} rows, or a larger level"
    else:
        remedy = f"it takes {needed:,} calibration rows, or a larger level"
    return (
        f"No row can be flagged at level {level:.3g}: with {have:,} reference distances the smallest p-value is "
        f"{least:.3g}. To reach the level, {remedy}."
    )


def law_is_exact(detector: Any) -> bool:
    """Tell whether clean rows follow the null law of a fitted detector exactly.

    Only then is the level the share of clean rows that are flagged. Clean rows are normal, for the conformal law
    ("split", "full") merely exchangeable. A law simulated for the settings of the fit counts as exact, an approximate
    one such as a bootstrap law does not: that it was asked for by name, which brings no warning, makes it no better.
    """
    from ..nulls import ChiSquareNull, NormalTheoryNull
    from ..nulls._cases import exact_case

    null, facts = detector.null_, scatter_facts(detector)
    if is_resampled(null):  # ranks of exchangeable rows are uniform, whatever the law of the rows
        return is_a(null, "ConformalNull") and null.kind in ("split", "full")
    if getattr(null, "source_", None) in ("exact", "simulation", "table"):
        return True
    case, _ = exact_case(detector.estimator_, facts)
    if type(null) is NormalTheoryNull:
        return case in ("sample", "known-location", "known-covariance")
    return type(null) is ChiSquareNull and case == "known" and null.df_ == facts.rank


def off_subspace(detector: Any, d2: FloatArray, pvalues: FloatArray, law: Any) -> np.ndarray:
    """Return which rows have p-value 0 not for their distance but because they leave the training subspace."""
    pvalues = np.asarray(pvalues)
    if scatter_facts(detector).rank >= detector.contribution_names_.size:
        return np.zeros(pvalues.shape, dtype=bool)
    return (pvalues == 0) & (np.asarray(law.sf(d2)) > 0)
