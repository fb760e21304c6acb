"""Numbers at the edge of what double precision holds: every fit ends, says what it found, and means it."""

import warnings

import numpy as np
import pytest

from fmahal import OGK, MinCovDet
from fmahal.exceptions import FmahalWarning

METHODS = ("auto", "fast", "deterministic")


def fit(X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        return MinCovDet(**({"random_state": 0} | options)).fit(X)


@pytest.mark.parametrize("noise", [1e-5, 1e-6, 5e-7, 4e-7, 3e-7, 1e-7, 1e-9])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_nearly_collinear_column_is_regular_or_an_exact_fit(method, noise, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 3))
    X[:, 2] = X[:, 0] + X[:, 1] + noise * rng.normal(size=300)
    fitted = fit(X, method=method)
    if fitted.exact_fit_ is None:
        assert fitted.rank_ == 3
        assert np.isfinite(fitted.objective_)
    else:
        assert fitted.rank_ == 2
        assert noise < 1e-6
        assert fitted.exact_fit_.rows.sum() >= fitted.n_support_
        expected = np.array([1.0, 1.0, -1.0]) / np.sqrt(3.0)
        assert abs(fitted.exact_fit_.normal @ expected) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("estimator", [MinCovDet(random_state=0), OGK()])
def test_rows_off_the_subspace_have_no_weight(estimator):
    """Just under half of the rows on a plane, and most of them: no row off it is called clean inside it."""
    rng = np.random.default_rng(0)
    for share in (0.499, 0.7):
        X = rng.normal(size=(500, 4))
        on = np.arange(500) < share * 500
        X[on, 3] = X[on, 0] + X[on, 1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FmahalWarning)
            fitted = estimator.fit(X)
        if fitted.rank_ < 4:
            assert not fitted.weights_[~on].any()
        assert np.linalg.matrix_rank(fitted.covariance_, tol=1e-14) == fitted.rank_


@pytest.mark.parametrize(
    ("n", "p", "share", "far"), [(400, 20, 0.3, 1e8), (500, 40, 0.2, 1e8), (300, 10, 0.45, 1e9)]
)
def test_far_rows_leave_the_fast_method_a_start(n, p, share, far):
    X = np.random.default_rng(1).normal(size=(n, p))
    bad = np.arange(n) < share * n
    X[bad] += far
    fitted = fit(X, method="fast", n_starts=100)
    assert not fitted.support_[bad].any()


def test_rounding_of_float32_is_no_information():
    rng = np.random.default_rng(2)
    for offset in (0.0, 10.0, 1000.0):
        X = (rng.normal(size=(200, 3)) + offset).astype(np.float32)
        X[:, 2] = X[:, 0] + X[:, 1]
        fitted = fit(X)
        assert fitted.rank_ == 2
        assert fitted.exact_fit_.rows.all()
        assert fitted.d2_.dtype == np.float32


def test_rounding_of_a_far_origin_is_no_information():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 3)) + 1e10
    X[:, 2] = X[:, 0] + X[:, 1]
    fitted = fit(X)
    assert fitted.rank_ == 2
    assert fitted.exact_fit_.rows.all()


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e160, 1e300])
def test_units_without_a_square_are_refused_by_column(unit):
    X = np.random.default_rng(4).normal(size=(50, 3))
    X[:, 1] *= unit
    with pytest.raises(ValueError, match=r"columns 1 \(spread"):
        MinCovDet(random_state=0).fit(X)


def test_weights_of_an_uncorrected_raw_estimate_are_those_of_a_consistent_one():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(80, 3))
    X[:15] += 8.0
    raw = fit(X, correction=None, reweight=None)
    np.testing.assert_array_equal(raw.weights_, fit(X, correction=None).support_)


def test_one_column_is_exact_for_any_number_of_rows():
    x = np.random.default_rng(6).normal(size=(500, 1))
    assert fit(x, method="exact").objective_ == fit(x).objective_
    x[0] = 1e100
    assert np.isfinite(fit(x).covariance_).all()


def test_simulated_correction_is_a_multiple_of_the_published_one():
    X = np.random.default_rng(7).normal(size=(100, 5))
    X[:10] += 6.0
    ours, pison = fit(X, correction="simulated"), fit(X)
    np.testing.assert_array_equal(ours.support_, pison.support_)
    np.testing.assert_allclose(ours.raw_covariance_, pison.raw_covariance_)
    ratio = ours.covariance_ / pison.covariance_
    np.testing.assert_allclose(ratio, ratio[0, 0])
    assert 1.0 < ratio[0, 0] < 1.15
