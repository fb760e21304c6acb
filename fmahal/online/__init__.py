"""Distances that stay right while points, the metric and the questions change."""

from .index import AdaptiveMahalanobisIndex

__all__ = ["AdaptiveMahalanobisIndex"]
