"""scikit-learn's own checks of estimators."""

import pytest
import sklearn.covariance as skcov
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fmahal
from fmahal import BootstrapNull, MahalanobisDetector

CLASSICAL = MahalanobisDetector(fmahal.EmpiricalCovariance())
SIMULTANEOUS = MahalanobisDetector(skcov.LedoitWolf(), BootstrapNull(9, random_state=0), simultaneous=True)
DETECTORS = [
    CLASSICAL,
    SIMULTANEOUS,
    MahalanobisDetector(),
    MahalanobisDetector(fmahal.LedoitWolf(), null="chi2", alpha=0.1),
    MahalanobisDetector(make_pipeline(StandardScaler(), fmahal.OAS()), "chi2", alpha=0.1),
]

# These checks draw three blobs, of which a robust fit leaves one out and says so, and demand that some rows are
# outliers. A scatter of all rows covers all three blobs: at a small level it rightly flags none of the rows.
NOTHING_TO_FLAG = {
    "check_outliers_train": "no row of the three blobs is an outlier from the scatter of all of them",
    "check_outliers_fit_predict": "no row of the three blobs is an outlier from the scatter of all of them",
}


def expected_failures(detector):
    classical = type(detector.estimator) in (fmahal.EmpiricalCovariance, skcov.LedoitWolf)
    return NOTHING_TO_FLAG if classical else {}


@parametrize_with_checks(DETECTORS, expected_failed_checks=expected_failures)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.AmbiguousFitWarning")
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_sklearn(estimator, check):
    check(estimator)
