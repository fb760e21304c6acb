"""Null laws: how squared distances are distributed when no row is an outlier."""

from .auto import AutoNull, check_null, resolve_null, select_null
from .base import BaseNull
from .exact import ChiSquareNull, NormalTheoryNull
from .robust import RobustNull

__all__ = [
    "AutoNull",
    "BaseNull",
    "ChiSquareNull",
    "NormalTheoryNull",
    "RobustNull",
    "check_null",
    "resolve_null",
    "select_null",
]
