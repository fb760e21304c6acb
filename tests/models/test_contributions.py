"""Which column made the outlier."""

import warnings
from itertools import permutations

import numpy as np
import pytest
import sklearn.covariance as skcov
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import fmahal
from fmahal import MahalanobisDetector

RNG = np.random.default_rng(8)
X = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4)) + np.array([0.0, 10.0, -5.0, 1.0])
NEW = X[::7] * 1.5


@pytest.mark.parametrize(
    "scatter",
    [
        fmahal.EmpiricalCovariance(),
        fmahal.QIS(),
        skcov.EmpiricalCovariance(),
        skcov.MinCovDet(random_state=1),
        make_pipeline(StandardScaler(), fmahal.LedoitWolf()),
        make_pipeline(PCA(2), skcov.OAS()),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
def test_contributions_sum_to_the_squared_distance(scatter):
    det = MahalanobisDetector(scatter).fit(X)
    rows = det.contributions(NEW)
    assert rows.shape == (len(NEW), len(det.contribution_names_))
    np.testing.assert_allclose(rows.sum(axis=1), det.mahalanobis(NEW), rtol=1e-9)


def test_contributions_are_shapley_values():
    # Against the definition: the mean gain over all orders in which columns join, the others at the location.
    det = MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(X[:, :3])
    m, x = det.estimator_.location_, X[0, :3]
    expected = np.zeros(3)
    orders = list(permutations(range(3)))
    for order in orders:
        z, worth = m.copy(), 0.0
        for j in order:
            z[j] = x[j]
            new = det.mahalanobis(z[None])[0]
            expected[j] += (new - worth) / len(orders)
            worth = new
    np.testing.assert_allclose(det.contributions(x[None])[0], expected, rtol=1e-9)


def test_contributions_show_the_column_that_made_the_outlier():
    det = MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(X)
    row = det.estimator_.location_.copy()
    row[2] += 10 * X[:, 2].std()
    assert det.contributions([row]).argmax() == 2
    with pytest.raises(ValueError, match="method must be 'shapley' or 'sequential', got 'lime'"):
        det.contributions([row], method="lime")


def test_contribution_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    scatter = fmahal.EmpiricalCovariance()
    assert list(MahalanobisDetector(scatter).fit(X).contribution_names_) == ["x0", "x1", "x2", "x3"]
    det = MahalanobisDetector(scatter).fit(frame)
    assert list(det.contribution_names_) == list(det.feature_names_in_) == ["a", "b", "c", "d"]
    scaled = MahalanobisDetector(make_pipeline(StandardScaler(), scatter)).fit(frame)
    assert list(scaled.contribution_names_) == ["a", "b", "c", "d"]
    nameless = MahalanobisDetector(make_pipeline(FunctionTransformer(np.cbrt), scatter)).fit(X)
    assert list(nameless.contribution_names_) == ["z0", "z1", "z2", "z3"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no complaint about lost names, whichever way the rows go
        det.pvalues(frame)
        det.contributions(frame)
        scaled.predict(frame)
