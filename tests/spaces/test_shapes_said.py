"""Arrays of the wrong shape are told so in words of curves."""

import numpy as np
import pytest

from fmahal import FunctionalMahalanobis, FunctionalOutlierDetector
from fmahal.spaces import L2Space, SobolevSpace

RNG = np.random.default_rng(0)
X = np.cumsum(RNG.normal(size=(30, 12)), axis=1)


@pytest.mark.parametrize("space", [L2Space(), SobolevSpace()])
def test_one_curve_without_its_axis(space):
    with pytest.raises(
        ValueError, match=r"X is one curve of 12 points.*Reshape your data: X\[None\]"
    ) as caught:
        space.fit(X[0])
    assert "array=[" not in str(caught.value)  # not all numbers of the curve
    with pytest.raises(ValueError, match=r"X is one curve of 12 points"):
        space.fit(X).transform(X[0])


def test_the_detector_says_the_same():
    detector = FunctionalOutlierDetector(FunctionalMahalanobis("truncate", n_components=2), "chi2")
    with pytest.raises(ValueError, match=r"X is one curve of 12 points"):
        detector.fit(X[0])
    with pytest.raises(ValueError, match=r"X is one curve of 12 points"):
        detector.fit(X).predict(X[0])


def test_other_points_than_in_fit():
    with pytest.raises(ValueError, match=r"X has 7 features, but L2Space is expecting 12.*interpolate them"):
        L2Space().fit(X).transform(X[:, :7])


def test_curves_that_lack_the_axis_of_components():
    metric = FunctionalMahalanobis().fit(RNG.normal(size=(20, 12, 2)))
    with pytest.raises(
        ValueError, match=r"X has shape \(30, 12\), read as one curve of 30 points and 12 components"
    ) as e:
        metric.mahalanobis(X)
    assert "lacks the axis of components" in str(e.value)
    assert "(n, 12, d)" in str(e.value)
