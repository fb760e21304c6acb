"""Do rows drawn from a shrunk robust covariance lie too near, so that rows left out of the fit are flagged?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..exceptions import CalibrationWarning, FmahalWarning
from ..scatter import facts as scatter_facts
from ..scatter import resolve
from ._left_out import new_distances, refit, take_rows
from .base import warn_caller

_FOLDS, _LEVEL = 10, 0.05
# Share of the rows by which outliers, and fits to a tenth fewer rows, make a difference at most: and 1.3 / sqrt(n).
_GAP, _NOISE = 0.1, 1.3


def warn_near(estimator: Any, X: Any, train: Any, new: Any) -> None:
    """Warn when many more training rows are flagged once they are left out than when they take part.

    Outliers are flagged either way; what is flagged when left out only are clean rows that lie farther from the fit
    than rows drawn from it. That happens with fewer rows than columns, to a robust scatter that adds a multiple of the
    identity: off the span of the rows the shrunk covariance then is too small where few directions have most of the
    variance. Ten refits.
    """
    scatter = resolve(estimator)[1]
    known = scatter_facts(scatter, X)
    n, p = known.n_samples, int(np.size(scatter.location_))
    if not (known.robust and known.regularized) or p < n or n < _FOLDS:
        return
    part = np.arange(n) % _FOLDS
    left_out = np.empty(n)
    try:
        for fold in range(_FOLDS):
            kept = take_rows(X, np.flatnonzero(part != fold))
            fitted = refit(estimator, kept, quiet=FmahalWarning)
            left_out[part == fold] = new_distances(fitted, take_rows(X, np.flatnonzero(part == fold)), kept)
        inside = new_distances(estimator, X, X)
    except ValueError:  # a tenth fewer rows cannot be fitted: nothing is known
        return
    out, taken = (np.mean(law.sf(d2) <= _LEVEL) for law, d2 in ((new, left_out), (train, inside)))
    if out - taken <= _GAP + _NOISE / np.sqrt(n):
        return
    warn_caller(
        f"The p-values are too small, most of all of new rows: {100 * out:.0f} % of the training rows are flagged at "
        f"level {_LEVEL:g} when they are left out of the fit, {100 * taken:.0f} % when they take part. The law is that "
        f"of rows drawn from the covariance that {type(scatter).__name__} fitted, and with fewer rows ({n}) than "
        f"columns ({p}) such rows lie too near where a few directions have most of the variance, such as a factor that "
        "all columns share. Read the distances as a ranking, or take MRCD(), whose p-values then err to the safe side, "
        "or, if the training rows are known to be clean, LedoitWolf() or ConformalNull().",
        CalibrationWarning,
    )
