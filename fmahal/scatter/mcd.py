"""The minimum covariance determinant estimator: scikit-learn's, under its registered name."""

from __future__ import annotations

from sklearn.covariance import MinCovDet

from .._registry import scatters


def _applies(n: int, p: int) -> str | None:
    if n <= p + 1:
        return f"needs at least p + 2 rows (n = {n}, p = {p})"
    return None


scatters.register("mcd", "Minimum covariance determinant, robust", order=60, applies=_applies)(MinCovDet)
