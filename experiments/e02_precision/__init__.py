"""Precision matrices in high dimension, where the truth is known."""

from .spec import EXPERIMENT

__all__ = ["EXPERIMENT"]
