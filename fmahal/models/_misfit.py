"""Do so many training rows lie just beyond the cut-off that a law of normal rows is in doubt?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from .._typing import FloatArray
from ..exceptions import CalibrationWarning
from ..nulls import BootstrapNull, NormalTheoryNull, RobustNull, RobustSpectralNull
from ..nulls.base import warn_caller
from ..scatter._resolve import inner_of

MISFIT = "Many training rows lie beyond the cut-off"  # how the warning begins
_FLAGGED, _NEAR = 0.2, 0.15  # shares of the rows
_TIMES, _SMALL = 5.0, 1e-6  # the level, and the chance of as many rows were their share that
_ASKED = 0.01  # level at which rows are counted, if a larger one is asked for: skewness shows in the tail
_REACH = 4.0  # cut-offs up to which a squared distance is just beyond


def _is_of_normal_rows(null: Any) -> bool:
    """Tell whether a law claims to be that of this estimator's distances of normal rows; chi-square never does."""
    if isinstance(null, BootstrapNull):
        return null.kind == "parametric"
    return isinstance(null, NormalTheoryNull | RobustNull | RobustSpectralNull)


def warn_of_misfit(
    null: Any, scatter: Any, d2: FloatArray, pvalues: NDArray[np.float64], level: float
) -> None:
    """Warn when a fifth of the training rows are flagged and most of these are no farther than twice the cut-off.

    Gross outliers lie far off, with few rows between; skewed rows and heavy tails fill the gap. Silent where the
    estimator itself says that its fit is in doubt (`alternative_`, `exact_fit_`).
    """
    level = min(level, _ASKED)
    n, flagged = len(d2), pvalues <= level
    if np.mean(flagged) <= _FLAGGED or not _is_of_normal_rows(null):
        return
    if any(getattr(inner_of(scatter), name, None) is not None for name in ("alternative_", "exact_fit_")):
        return
    near = int(np.count_nonzero(flagged & (d2 <= _REACH * np.asarray(null.train_dist_.isf(level)))))
    if near <= _NEAR * n or binom.sf(near - 1, n, min(_TIMES * level, 1.0)) > _SMALL:
        return
    warn_caller(
        f"{MISFIT}: {100 * np.mean(flagged):.0f} % are flagged at level {level:.3g}, and {100 * near / n:.0f} % of all "
        "rows are no farther than twice the cut-off distance. Either so many rows are outlying, though moderately, or "
        "the clean rows do not follow the law of normal rows: skewed columns, heavy tails, several modes. Read the "
        "ranking then, not the p-values. If the training rows are known to be clean, take ConformalNull(), which "
        "assumes no law, or an estimator that keeps more of them: MinCovDet(support_fraction=0.9), "
        "EmpiricalCovariance().",
        CalibrationWarning,
    )
