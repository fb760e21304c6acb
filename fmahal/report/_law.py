"""Which law a detector's p-values come from, and whether it is the exact one."""

from __future__ import annotations

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


def law_name(law: Any, null: Any) -> str:
    """Return the name of a law of the fitted `null`, for use in a sentence."""
    if (source := getattr(null, "source_", None)) in ("table", "simulation"):
        return "simulated law"
    if source == "published":
        return _PUBLISHED.get(null.method, "published law")
    family = getattr(getattr(law, "dist", None), "name", None)
    return _LAW_NAMES.get(str(family), f"law of {type(null).__name__}")


def law_is_exact(detector: Any) -> bool:
    """Tell whether normal rows follow the null law of a fitted detector exactly.

    Only then is the level the share of clean normal rows that are flagged. A law simulated for the settings of the
    fit counts as exact, an approximate one does not: that it was asked for by name, which brings no warning, makes it
    no better.
    """
    from ..nulls import ChiSquareNull, NormalTheoryNull
    from ..nulls._cases import exact_case

    null, facts = detector.null_, scatter_facts(detector)
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
