"""The minimum covariance determinant estimator: scikit-learn's search, on columns of one scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import covariance as sk
from sklearn.utils.validation import validate_data

from .._registry import scatters
from .._typing import ArrayLike
from .._validation import check_finite


def _applies(n: int, p: int) -> str | None:
    if n <= p + 1:
        return f"needs at least p + 2 rows (n = {n}, p = {p})"
    return None


@scatters.register("mcd", "Minimum covariance determinant, robust", order=60, applies=_applies)
class MinCovDet(sk.MinCovDet):
    """`sklearn.covariance.MinCovDet` for columns in any units.

    scikit-learn judges determinants and ranks on an absolute scale: a table in metres fails where the same table in
    millimetres does not. Here columns are divided by their median absolute deviation first and the results brought
    back, which an affine equivariant estimator does not notice otherwise. Parameters, attributes and methods are
    scikit-learn's; O(n p^2) time for each concentration step.
    """

    def fit(self, X: ArrayLike, y: Any = None) -> MinCovDet:
        """Fit the estimator; see `sklearn.covariance.MinCovDet.fit`."""
        rows = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=2)
        check_finite(rows, "X", getattr(self, "feature_names_in_", None))
        names = getattr(self, "feature_names_in_", None)
        centre = np.median(rows, axis=0)
        scale = np.median(np.abs(rows - centre), axis=0)
        scale = np.where(scale > 0, scale, rows.std(axis=0))
        scale = np.where(scale > 0, scale, 1.0)
        super().fit((rows - centre) / scale)
        units = np.outer(scale, scale)
        fit: Any = self
        for name in ("location_", "raw_location_"):
            setattr(fit, name, centre + getattr(fit, name) * scale)
        for name in ("covariance_", "raw_covariance_"):
            setattr(fit, name, getattr(fit, name) * units)
        if fit.precision_ is not None:
            fit.precision_ = fit.precision_ / units
        if names is not None:
            fit.feature_names_in_ = names
        return self
