"""A given scatter about any location."""

import pickle

import numpy as np
import pytest
import reference
from sklearn.base import clone

from fmahal import Whitener
from fmahal.exceptions import NotPositiveDefiniteError, RankDeficientWarning
from fmahal.scatter import EmpiricalCovariance, FixedScatter, spatial_median

RNG = np.random.default_rng(0)
X = RNG.normal(size=(25, 3)) + 1.0
A = RNG.normal(size=(3, 3))
COVARIANCE = A @ A.T + np.eye(3)
GIVEN = {
    "covariance": COVARIANCE,
    "precision": np.linalg.inv(COVARIANCE),
    "factor": np.linalg.cholesky(COVARIANCE),
    "whitener": Whitener.from_covariance(COVARIANCE),
}


@pytest.mark.parametrize("name", GIVEN)
def test_four_ways_to_give_one_matrix(name):
    scatter = FixedScatter(**{name: GIVEN[name]}).fit(X)
    np.testing.assert_allclose(scatter.covariance_, COVARIANCE, rtol=1e-10)
    np.testing.assert_allclose(scatter.precision_, GIVEN["precision"], rtol=1e-9)
    np.testing.assert_allclose(
        scatter.mahalanobis(X), reference.squared_distance(X, X.mean(axis=0), COVARIANCE), rtol=1e-10
    )
    copy = pickle.loads(pickle.dumps(clone(scatter).fit(X)))
    np.testing.assert_array_equal(copy.mahalanobis(X), scatter.mahalanobis(X))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("mean", X.mean(axis=0)),
        ("median", np.median(X, axis=0)),
        ("spatial-median", spatial_median(X)),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        (lambda rows: rows[0], X[0]),
    ],
    ids=["mean", "median", "spatial-median", "vector", "callable"],
)
def test_locations(location, expected):
    scatter = FixedScatter(location).fit(X)
    np.testing.assert_allclose(scatter.location_, expected, rtol=1e-14)
    np.testing.assert_allclose(scatter.mahalanobis(X), ((X - expected) ** 2).sum(axis=1), rtol=1e-12)


def test_identity_needs_no_matrix():
    wide = RNG.normal(size=(4, 200_000))
    scatter = FixedScatter("median").fit(wide)
    assert scatter.whitener_.kind == "spectral"
    assert scatter.rank_ == 200_000
    np.testing.assert_allclose(scatter.transform(wide), wide - scatter.location_, rtol=1e-14)


def test_one_row_suffices():
    scatter = FixedScatter(covariance=COVARIANCE).fit(X[:1])
    assert scatter.n_samples_ == 1
    assert scatter.ddof_ == 0
    np.testing.assert_array_equal(scatter.mahalanobis(X[:1]), [0.0])


def test_location_is_known():
    assert FixedScatter([0.0, 0.0]).location_is_known
    assert not FixedScatter("mean").location_is_known
    assert not FixedScatter(np.mean).location_is_known


def test_singular_matrix_warns_and_whitener_does_not():
    singular = np.ones((3, 3))
    with pytest.warns(RankDeficientWarning, match="rank 1 of 3"):
        scatter = FixedScatter(covariance=singular).fit(X)
    assert scatter.rank_ == 1
    whitener = Whitener.from_covariance(singular, outside="inf")
    np.testing.assert_array_equal(FixedScatter(whitener=whitener).fit(X).mahalanobis(X), np.inf)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"covariance": COVARIANCE, "factor": COVARIANCE}, "got covariance and factor"),
        ({"covariance": np.eye(4)}, "covariance is for 4 columns, but X has 3"),
        ({"whitener": np.eye(3)}, "must be a fmahal.Whitener"),
        ({"location": "mode"}, "Unknown location 'mode'.*'mean', 'median', 'spatial-median'"),
        ({"location": [1.0, 2.0]}, r"location must have shape \(3,\)"),
        ({"location": lambda rows: rows}, r"location must have shape \(3,\)"),
        ({"location": [1.0, np.nan, 2.0]}, "location contains NaN"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        FixedScatter(**parameters).fit(X)


def test_indefinite_matrix():
    with pytest.raises(NotPositiveDefiniteError):
        FixedScatter(covariance=np.diag([1.0, -1.0, 1.0])).fit(X)


def test_given_matrix_is_not_shared():
    matrix = COVARIANCE.copy()
    scatter = FixedScatter(covariance=matrix).fit(X)
    matrix[:] = 0.0
    np.testing.assert_array_equal(scatter.covariance_, COVARIANCE)


def test_same_as_the_estimate_it_copies():
    estimate = EmpiricalCovariance().fit(X)
    fixed = FixedScatter(covariance=estimate.covariance_).fit(X)
    np.testing.assert_allclose(fixed.mahalanobis(X), estimate.mahalanobis(X), rtol=1e-12)
    assert fixed.score(X) == pytest.approx(estimate.score(X), rel=1e-12)
