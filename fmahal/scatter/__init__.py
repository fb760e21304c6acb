"""Scatter estimators: a location and a whitener, learned from rows.

Importing the package registers every family under its name.
"""

from . import mcd as _mcd  # noqa: F401  (registers scikit-learn's estimator)
from ._facts import ScatterFacts, facts
from ._location import spatial_median
from ._resolve import resolve
from .base import BaseScatter
from .cholesky import ModifiedCholesky
from .cholesky_cv import ModifiedCholeskyCV
from .empirical import EmpiricalCovariance
from .fixed import FixedScatter
from .qis import QIS
from .shrinkage import OAS, LedoitWolf, ShrunkCovariance

__all__ = [
    "OAS",
    "QIS",
    "BaseScatter",
    "EmpiricalCovariance",
    "FixedScatter",
    "LedoitWolf",
    "ModifiedCholesky",
    "ModifiedCholeskyCV",
    "ScatterFacts",
    "ShrunkCovariance",
    "facts",
    "resolve",
    "spatial_median",
]
