"""scikit-learn's own checks, on arrays: a row of the test data is a curve."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmahal.spaces import L2Space, SobolevSpace

SPACES = [
    L2Space(),
    L2Space(derivative=1),
    SobolevSpace(),
    SobolevSpace(length_scale=0.1),
]


@parametrize_with_checks(SPACES)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_sklearn(estimator, check):
    check(estimator)
