"""e07: the semi-supervised outlier benchmark of ADBench's tables, beside published figures."""

from .spec import EXPERIMENT

__all__ = ["EXPERIMENT"]
