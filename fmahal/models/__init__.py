"""Estimators built on a scatter and a null law."""

from .detector import MahalanobisDetector

__all__ = ["MahalanobisDetector"]
