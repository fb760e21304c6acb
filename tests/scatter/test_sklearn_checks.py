"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmahal.scatter import OAS, QIS, EmpiricalCovariance, FixedScatter, LedoitWolf, ShrunkCovariance

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
]


@parametrize_with_checks(SCATTERS)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_sklearn(estimator, check):
    check(estimator)
