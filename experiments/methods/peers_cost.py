"""Peers whose answers are those of one of ours, so that only their cost is of interest.

``options["same_as"]`` names ours: e09 compares the distances of both before it times them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.covariance import EmpiricalCovariance

from .._spec import method
from .sample import more_rows_than_columns


class ByHand(BaseEstimator):
    """What is written where no library is asked: mean, covariance and its inverse by NumPy, distances by SciPy."""

    def fit(self, X: Any, y: Any = None) -> ByHand:
        """Keep the mean and the inverse of the covariance, divided by n."""
        self.location_ = np.mean(X, axis=0)
        self.precision_ = np.linalg.inv(np.atleast_2d(np.cov(X, rowvar=False, ddof=0)))
        return self

    def get_precision(self) -> np.ndarray:
        """Return the inverse of the covariance."""
        return self.precision_

    def mahalanobis(self, X: Any) -> np.ndarray:
        """Return squared distances."""
        return cdist(X, self.location_[None], "mahalanobis", VI=self.precision_)[:, 0] ** 2


method(
    "sklearn-empirical",
    lambda seed: EmpiricalCovariance(),
    roles=("cost",),
    label="EmpiricalCovariance (scikit-learn)",
    package="scikit-learn",
    applies=more_rows_than_columns,
    options={"same_as": "empirical"},
)
method(
    "scipy-cdist",
    lambda seed: ByHand(),
    roles=("cost",),
    label="cov, inv (NumPy), cdist (SciPy)",
    package="scipy",
    applies=more_rows_than_columns,
    options={"same_as": "empirical"},
)
