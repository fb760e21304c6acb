"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmahal.scatter import (
    MRCD,
    OAS,
    OGK,
    QIS,
    EmpiricalCovariance,
    FixedScatter,
    LedoitWolf,
    MinCovDet,
    ModifiedCholesky,
    ModifiedCholeskyCV,
    ShrunkCovariance,
    Sketched,
    SpectralFilter,
    WrappedCovariance,
)

SCATTERS = [
    EmpiricalCovariance(),
    EmpiricalCovariance(assume_centered=True, store_precision=False),
    LedoitWolf(),
    OAS(),
    OAS(formula="paper"),
    ShrunkCovariance(),
    ShrunkCovariance(ridge=0.5),
    QIS(),
    FixedScatter(),
    FixedScatter("spatial-median"),
    ModifiedCholesky(penalty="l2", alpha=0.1),
    ModifiedCholesky(bandwidth=0),
    ModifiedCholesky(penalty="l1", alpha=0.1),
    ModifiedCholesky(penalty="l2", alpha=0.1, n_orders=2, random_state=0),
    ModifiedCholeskyCV(alphas=[0.1, 1.0], bandwidths=[0], cv=2),
    MinCovDet(random_state=0),
    MinCovDet(method="deterministic"),
    MinCovDet(correction=None, reweight=None, random_state=0),
    MinCovDet(assume_centered=True, store_precision=False, random_state=0),
    OGK(),
    OGK(scale="qn"),
    WrappedCovariance(),
    MRCD(),
    SpectralFilter(),
    SpectralFilter("truncate"),
    SpectralFilter("ridge", n_components=1),
    SpectralFilter("inverse", outside="inf"),
    Sketched(EmpiricalCovariance(), n_components="auto", random_state=0),
    Sketched(LedoitWolf(), n_components=1, random_state=0),
]


def expected_failures(estimator):
    if isinstance(estimator, ModifiedCholesky) and estimator.penalty in ("l2", "l1"):
        return {
            "check_sample_weight_equivalence_on_dense_data": (
                'the "loo" variance leaves out a row with all its weight, not one of so many copies'
            )
        }
    return {}


@parametrize_with_checks(SCATTERS, expected_failed_checks=expected_failures)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_sklearn(estimator, check):
    check(estimator)
