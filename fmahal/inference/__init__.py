"""Tests about samples, and what makes a curve unusual."""

from .contributions import functional_contributions
from .two_sample import TwoSampleResult, two_sample_test

__all__ = ["TwoSampleResult", "functional_contributions", "two_sample_test"]
