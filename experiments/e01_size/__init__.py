"""Size of every null law of every scatter, on normal rows and on others."""

from .spec import EXPERIMENT

__all__ = ["EXPERIMENT"]
