"""What laws of pooled reference distances have in common."""

from __future__ import annotations

from typing import Any, Literal

from sklearn.utils.validation import check_is_fitted

from ._numbers import checked_level
from .base import BaseNull


class PooledNull(BaseNull):
    """A law of the distances of many replicates or simulated samples, which know how far a cut-off is off."""

    def cutoff_se(self, level: float, kind: Literal["new", "train"] = "new") -> float:
        """Return the standard error of a cut-off: what the finite number of replicates adds, given the rows.

        It says nothing of how far the cut-off would move with other rows, which for few rows is farther: the standard
        error is 0 where all replicates have met the same row.

        Parameters
        ----------
        level : float
            The level.
        kind : {"new", "train"}, default="new"
            Of new rows or of training rows.

        Returns
        -------
        se : float
            Standard error of ``new_dist_.isf(level)`` or ``train_dist_.isf(level)``, in units of squared distance,
            from how much the replicates differ; infinite when there are too few for the level.

        Raises
        ------
        ValueError
            For another `kind`, or a level that is not strictly between 0 and 1.
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "new_dist_")
        if kind not in ("new", "train"):
            raise ValueError(f"kind must be 'new' or 'train', got {kind!r}.")
        law: Any = self.new_dist_ if kind == "new" else self.train_dist_
        return float(law.standard_error(checked_level(level)))
