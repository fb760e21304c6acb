"""Null laws: how squared distances are distributed when no row is an outlier."""

from .auto import AutoNull, auto_table, check_null, resolve_null, select_null
from .base import BaseNull
from .conformal import ConformalNull
from .conformance import ConformanceLaw
from .empirical import EmpiricalNull
from .exact import ChiSquareNull, NormalTheoryNull
from .fdr import fdr
from .resampling import BootstrapNull
from .robust import RobustNull
from .robust_spectral import RobustSpectralNull
from .weighted_chi2 import WeightedChiSquareNull

__all__ = [
    "AutoNull",
    "BaseNull",
    "BootstrapNull",
    "ChiSquareNull",
    "ConformalNull",
    "ConformanceLaw",
    "EmpiricalNull",
    "NormalTheoryNull",
    "RobustNull",
    "RobustSpectralNull",
    "WeightedChiSquareNull",
    "auto_table",
    "check_null",
    "fdr",
    "resolve_null",
    "select_null",
]
