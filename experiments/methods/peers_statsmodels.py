"""Robust covariances of statsmodels, which are functions of the data there, as estimators.

They came with statsmodels 0.15; where that is missing, nothing is registered, and a line says so.
"""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.stats import chi2
from sklearn.base import BaseEstimator

from .._spec import method
from .sample import more_rows_than_columns


class Statsmodels(BaseEstimator):
    """One of them by its name, at its defaults, with `location_` and `get_precision`."""

    def __init__(self, name: str = "CovDetMCD"):
        self.name = name

    def fit(self, X: Any, y: Any = None) -> Statsmodels:
        """Fit n rows of p columns."""
        from statsmodels.robust import covariance

        X = np.asarray(X, dtype=np.float64)
        one = getattr(covariance, self.name)
        if self.name == "cov_tyler_regularized":  # a shape about a known centre: both are completed as usual
            self.location_ = np.median(X, axis=0)
            shape = one(X - self.location_).cov
            d2 = np.einsum("ij,ij->i", (X - self.location_) @ np.linalg.inv(shape), X - self.location_)
            self.covariance_ = shape * (np.median(d2) / chi2.median(X.shape[1]))
            self.precision_ = np.linalg.inv(self.covariance_)
            return self
        found = one(X) if self.name.startswith("cov_") else one(X).fit(*self._options())
        self.location_, self.covariance_ = np.asarray(found.mean), np.asarray(found.cov)
        self.precision_ = np.linalg.inv(self.covariance_)  # in the fit, as others do
        return self

    def _options(self) -> list[None]:
        return (
            [None] if self.name == "CovDetMCD" else []
        )  # the size of its subset has no default: None means half

    def get_precision(self) -> np.ndarray:
        """Return the inverse of the covariance."""
        return self.precision_


def _register() -> None:
    def one(name: str, label: str, wanted: str, **fields: Any) -> None:
        method(
            name,
            lambda seed: Statsmodels(wanted),
            label=f"{label} (statsmodels)",
            package="statsmodels",
            **{"applies": more_rows_than_columns, "roles": ("robustness",), **fields},
        )

    robust = {"robust": True}
    one("statsmodels-detmcd", "DetMCD", "CovDetMCD", roles=("robustness", "cost"), options=robust)
    # its table of tuning constants ends at 15 columns
    one("statsmodels-detmm", "DetMM", "CovDetMM", applies=lambda n, p: n > p + 2 and p <= 15, options=robust)
    one("statsmodels-ogk", "OGK", "cov_ogk", roles=("robustness", "cost"), options=robust)
    one(
        "statsmodels-tyler",
        "Tyler, regularised",
        "cov_tyler_regularized",
        applies=lambda n, p: n <= p + 2,
        options=robust,
    )


def _missing() -> bool:
    if find_spec("statsmodels") is None:
        return True
    return tuple(int(part) for part in metadata.version("statsmodels").split(".")[:2]) < (0, 15)


if _missing():
    print("left out: the methods of statsmodels, of which 0.15 or later is not installed", file=sys.stderr)
else:
    _register()
