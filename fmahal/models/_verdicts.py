"""The verdicts of a detector: what follows its level, which may be set without a refit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from . import _steps


class VerdictMixin:
    """Levels, cut-offs and labels of a fitted detector; each is computed when asked for."""

    alpha: float
    simultaneous: bool
    null_: Any
    pvalues_: NDArray[np.float64]
    n_samples_: int

    def _level(self, null: Any, n: int) -> float:
        if hasattr(null, "level_"):
            return float(null.level_)
        together = self.simultaneous and not getattr(null, "familywise_", False)
        return _steps.row_level(self.alpha, n if together else None)

    @property
    def level_(self) -> float:
        """Level at which one row is judged: `alpha`, or 1 - (1 - alpha)^(1/n) with ``simultaneous=True``."""
        check_is_fitted(self, "null_")
        return self._level(self.null_, self.n_samples_)

    @property
    def labels_(self) -> NDArray[np.int64]:
        """Labels of the training rows by their own law: -1 where ``pvalues_ <= level_``, else 1; or by its rule."""
        level = self.level_
        if hasattr(self.null_, "flags"):
            flags = self.null_.flags(self.pvalues_, level, simultaneous=self.simultaneous)
            return np.where(flags, np.int64(-1), np.int64(1))
        return _steps.labels(self.pvalues_, level)

    @property
    def cutoff_(self) -> float:
        """Squared distance above which a new row is called outlying, ``null_.new_dist_.isf(level_)``."""
        level = self.level_
        return float(self.null_.new_dist_.isf(level))

    @property
    def cutoff_se_(self) -> float | None:
        """Standard error of `cutoff_`, in units of squared distance; None for laws without resampling."""
        level = self.level_
        return float(self.null_.cutoff_se(level)) if hasattr(self.null_, "cutoff_se") else None

    @property
    def train_cutoff_(self) -> Any:
        """Squared distance above which a training row is called outlying, ``null_.train_dist_.isf(level_)``."""
        level = self.level_
        cutoff = np.asarray(self.null_.train_dist_.isf(level))
        return float(cutoff) if cutoff.ndim == 0 else cutoff

    @property
    def offset_(self) -> float:
        """``-cutoff_``: ``decision_function`` is ``score_samples`` minus this."""
        return -self.cutoff_
