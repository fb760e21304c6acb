"""Bias and detection of robust scatters against the share of outliers and their distance."""

from .spec import EXPERIMENT

__all__ = ["EXPERIMENT"]
