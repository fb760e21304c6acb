"""Estimators of robpy, at their defaults; where it is missing, nothing is registered, and a line says so.

Its metadata ask for older versions of scikit-learn and statsmodels than it needs for what is used here:
``pip install --no-deps robpy seaborn`` (and matplotlib) is enough.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from .._spec import method
from .sample import more_rows_than_columns


class Robpy(BaseEstimator):
    """One of robpy's covariances by the name of its class.

    robpy 0.0.6 calls a method that scikit-learn has since made a function; the class made here gives it back, and
    changes nothing else.
    """

    def __init__(self, name: str = "FastMCD", random_seed: int | None = None):
        self.name, self.random_seed = name, random_seed

    def fit(self, X: Any, y: Any = None) -> Robpy:
        """Fit n rows of p columns."""
        from robpy import covariance

        base = getattr(covariance, self.name)
        mended = type(self.name, (base,), {"_validate_data": lambda one, rows: validate_data(one, rows)})
        fitted = (mended() if self.random_seed is None else mended(random_seed=self.random_seed)).fit(X)
        self.location_, self.covariance_ = np.asarray(fitted.location_), np.asarray(fitted.covariance_)
        self.precision_ = np.linalg.inv(self.covariance_)  # in the fit, as others do
        return self

    def get_precision(self) -> np.ndarray:
        """Return the inverse of the covariance."""
        return self.precision_


def _register() -> None:
    def one(name: str, label: str, make: Any, **fields: Any) -> None:
        method(
            name,
            make,
            label=f"{label} (robpy)",
            package="robpy",
            options={"robust": True},
            **{"applies": more_rows_than_columns, "roles": ("robustness",), **fields},
        )

    one("robpy-mcd", "FastMCD", lambda seed: Robpy("FastMCD", seed), roles=("robustness", "cost"))
    # seconds a fit from twenty columns on: its scale of a column is a loop in Python
    one("robpy-detmcd", "DetMCD", lambda seed: Robpy("DetMCD"), applies=lambda n, p: n > p + 2 and p <= 10)
    one("robpy-ogk", "OGK", lambda seed: Robpy("OGK"), roles=("robustness", "cost"))
    one("robpy-wrapping", "Wrapping", lambda seed: Robpy("WrappingCovariance"), roles=("robustness", "cost"))


if any(find_spec(name) is None for name in ("robpy", "seaborn", "matplotlib")):
    print(
        "left out: the methods of robpy, which is not installed, or not seaborn or matplotlib",
        file=sys.stderr,
    )
else:
    _register()
