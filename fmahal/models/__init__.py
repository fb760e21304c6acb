"""Estimators built on a scatter and a null law."""

from .detector import MahalanobisDetector
from .functional import FunctionalMahalanobis
from .functional_detector import FunctionalOutlierDetector
from .metric import MahalanobisMetric

__all__ = ["FunctionalMahalanobis", "FunctionalOutlierDetector", "MahalanobisDetector", "MahalanobisMetric"]
