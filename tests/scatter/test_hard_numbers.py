"""Inputs on which digits are easily lost, each with what must come out."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist as scipy_pdist
from sklearn import covariance as sk

import fmahal
from fmahal import (
    EmpiricalCovariance,
    LedoitWolf,
    MahalanobisDetector,
    ModifiedCholesky,
    ModifiedCholeskyCV,
    ShrunkCovariance,
    Whitener,
)


@pytest.mark.parametrize("p", [3, 20])
@pytest.mark.parametrize("far", [1e10, 1e17, 1e300])
def test_one_far_row_costs_the_others_no_digits(p, far):
    X = np.random.default_rng(0).normal(size=(60, p))
    X[0] = far
    with np.errstate(over="ignore"):
        got = fmahal.pdist(X, covariance=np.eye(p))[59:]
    np.testing.assert_allclose(got, scipy_pdist(X[1:]), rtol=1e-10)


def test_differences_at_the_edge_of_the_floats():
    got = fmahal.cdist([[1e308, 0], [1e308, 1]], [[1e308, 1]], covariance=np.eye(2))
    assert got.ravel().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("small", [1e-5, 1e-6, 1e-7])
@pytest.mark.parametrize("seed", range(3))
def test_wide_spectra_with_more_columns_than_rows(small, seed):
    """Eigenvectors from the Gram matrix alone would be wrong by a percent in the weak directions."""
    g = np.random.default_rng(seed)
    n, p = 20, 60
    Q = np.linalg.qr(g.normal(size=(p, n)))[0]
    A = g.normal(size=(n, n)) * np.r_[np.ones(3), np.full(n - 3, small)] @ Q.T
    Y = g.normal(size=(6, n)) * np.r_[np.zeros(3), np.ones(n - 3)] @ Q.T + A.mean(axis=0)
    np.testing.assert_allclose(
        LedoitWolf().fit(A).mahalanobis(Y), sk.LedoitWolf().fit(A).mahalanobis(Y), rtol=1e-9
    )
    S = np.cov(A.T, bias=True)
    S += 1e-4 * np.trace(S) / p * np.eye(p)
    gap = Y - A.mean(axis=0)
    want = np.einsum("ij,ij->i", gap, np.linalg.solve(S, gap.T).T)
    np.testing.assert_allclose(ShrunkCovariance(ridge=1e-4).fit(A).mahalanobis(Y), want, rtol=1e-7)


def test_repr_of_a_long_chain_is_cheap_and_its_condition_an_estimate():
    p = 5000
    w = Whitener.from_modified_cholesky(np.r_[[[0.0]], np.full((p - 1, 1), 0.5)], np.ones(p))
    assert "condition" not in repr(w)
    assert 8.0 < w.condition_number <= 9.0001  # (1.5 / 0.5)^2 for the endless chain
    assert "condition number" in repr(w)


def test_float32_contributions_sum_to_the_distance():
    X = np.random.default_rng(0).normal(size=(200, 4))
    X[:, 3] = X[:, 0] + 1e-5 * X[:, 3]
    X = X.astype(np.float32)
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    np.testing.assert_allclose(detector.contributions(X).sum(axis=1), detector.d2_, rtol=1e-5)


def test_a_whitener_does_not_follow_its_maker():
    L, V, w = np.diag([2.0, 1.0]), np.eye(2), np.array([1.0, 2.0])
    one, two = Whitener.from_cholesky(L), Whitener.from_eigh(w, V, ridge=1.0)
    L[0, 0], V[0, 0], w[0] = 100.0, 9.0, 1e6
    assert one.sqnorm([[2.0, 0.0]])[0] == 1.0
    assert two.sqnorm([[1.0, 0.0]])[0] == 0.5


def test_outside_overrides_the_policy_of_a_whitener_and_is_not_lost():
    w = Whitener.from_covariance(np.ones((2, 2)))
    assert fmahal.mahalanobis([[1.0, -1.0]], whitener=w, outside="inf")[0] == np.inf
    with pytest.raises(ValueError, match="outside must be"):
        fmahal.mahalanobis([[1.0, -1.0]], whitener=w, outside="bogus")
    with pytest.raises(ValueError, match="would be lost"):
        Whitener.from_eigh(np.ones(10), np.eye(20)[:, :10], outside="raise").sketch(5)


@pytest.mark.parametrize("n", [50, 20_000])
def test_a_constant_column_may_not_move(n):
    X = np.random.default_rng(0).normal(size=(n, 5))
    X[:, 3] = 1000.0
    with pytest.warns(fmahal.RankDeficientWarning):
        detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    rows = np.zeros((2, 5))
    rows[:, 3] = 1000.0, 1000.0001
    assert detector.predict(rows).tolist() == [1, -1]
    assert (detector.pvalues(X) > 0).all()


def test_more_rows_do_not_make_a_column_constant():
    rng = np.random.default_rng(0)
    t = 1.7e9 + 0.1 * rng.normal(size=300_000)  # seconds since 1970, to a tenth
    X = np.c_[t, rng.normal(size=t.size)]
    assert EmpiricalCovariance().fit(X).rank_ == 2


@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
@pytest.mark.parametrize("n", [30, 1000])
def test_rounding_of_float32_rows_is_no_dimension(offset, n):
    rows = np.random.default_rng(0).normal(size=(n, 3)) + offset
    X = np.c_[rows, rows[:, 0] + rows[:, 1]].astype(np.float32)
    with pytest.warns(fmahal.RankDeficientWarning):
        assert EmpiricalCovariance().fit(X).rank_ == 3


@pytest.mark.parametrize("shape", [(30, 4), (10, 30)])
def test_squares_beyond_the_floats_are_named(shape):
    X = np.random.default_rng(0).normal(size=shape)
    X[:, 2] *= 1e160
    with pytest.raises(ValueError, match="column 2"), np.errstate(over="ignore"):
        LedoitWolf().fit(X)


def test_masked_arrays_are_refused():
    with pytest.raises(ValueError, match="masked"):
        fmahal.mahalanobis(np.ma.array([[1.0, 99.0]], mask=[[False, True]]), covariance=np.eye(2))


def test_vectors_must_be_orthonormal():
    with pytest.raises(ValueError, match="orthonormal"):
        Whitener.from_eigh([1.0, 1.0], [[1.0, 1.0], [0.0, 1.0]])


@pytest.mark.parametrize("size", [1e-8, 1e-3, 1e8])
@pytest.mark.parametrize("kwargs", [{}, {"bandwidth": 1}, {"penalty": "shrink", "alpha": 0.5}])
def test_the_floor_of_innovation_variances_has_the_units_of_the_data(size, kwargs):
    X = np.random.default_rng(0).normal(size=(100, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    want = ModifiedCholesky(standardize=False, **kwargs).fit(X).mahalanobis(X)
    fit = ModifiedCholesky(standardize=False, **kwargs).fit(X * size)
    np.testing.assert_allclose(fit.mahalanobis(X * size), want, rtol=1e-9)
    assert fit.n_floored_ == 0


@pytest.mark.parametrize("alpha", [1e-3, 1e-7])
@pytest.mark.parametrize("p", [30, 120])
def test_leave_one_out_variances_of_an_almost_vanishing_ridge(p, alpha):
    """1 - h is of order alpha there: formed by subtraction it would be rounding noise.

    The twin works in the complement of the mean, where nothing cancels.
    """
    n = 30
    X = np.random.default_rng(0).normal(size=(n, p))
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    basis = np.linalg.svd(np.ones((1, n)))[2][1:]
    want = np.empty(p)
    for j in range(p):
        P = basis @ Z[:, :j]
        G = basis.T @ np.linalg.inv(n * alpha * np.eye(n - 1) + P @ P.T) @ basis
        want[j] = np.mean((G @ Z[:, j] / np.diagonal(G)) ** 2)
    fit = ModifiedCholesky(penalty="l2", alpha=alpha).fit(X)
    np.testing.assert_allclose(fit.innovation_variance_ / X.var(axis=0), want, rtol=1e-6)
    with pytest.raises(ValueError, match="lost in rounding"):
        ModifiedCholesky(penalty="l2", alpha=1e-9).fit(X)


def test_a_constant_column_with_rounding_noise_predicts_nothing():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 5))
    X[:, 1] = 1e6 + 1e-10 * rng.normal(size=100)
    for kwargs in ({}, {"bandwidth": 2}, {"penalty": "l1", "alpha": 0.1}):
        with pytest.warns(fmahal.RankDeficientWarning, match="constant columns 1"):
            fit = ModifiedCholesky(**kwargs).fit(X)
        assert all(fit.coefficients(j)[1] == 0 for j in (2, 3, 4))


def test_least_squares_keeps_its_digits_on_nearly_collinear_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 5))
    X[:, 2] = X[:, 0] + X[:, 1] + 1e-5 * rng.normal(size=100)
    X -= X.mean(axis=0)
    want = np.linalg.lstsq(X[:, :3], X[:, 3], rcond=None)[0]
    for kwargs in ({}, {"bandwidth": 3}):
        np.testing.assert_allclose(ModifiedCholesky(**kwargs).fit(X).coefficients(3), want, rtol=1e-8)


def test_rows_of_weight_zero_are_not_there():
    X = np.random.default_rng(0).normal(size=(100, 5))
    weights = np.zeros(100)
    weights[:4] = 1.0
    with pytest.raises(ValueError, match="Three ways out"):
        ModifiedCholesky().fit(X, sample_weight=weights)
    weights[:50] = 1.0
    for variance in ("mle", "unbiased", "loo"):
        got = ModifiedCholesky(variance=variance).fit(X, sample_weight=weights).mahalanobis(X)
        np.testing.assert_allclose(
            got, ModifiedCholesky(variance=variance).fit(X[:50]).mahalanobis(X), rtol=1e-10
        )


@pytest.mark.parametrize("shape", [(3, 2), (4, 3), (6, 2)])
def test_cross_validation_on_a_handful_of_rows(shape):
    X = np.random.default_rng(0).normal(size=shape)
    assert np.isfinite(ModifiedCholeskyCV().fit(X).mahalanobis(X)).all()


def test_tiny_units_do_not_overflow_inside():
    X = np.random.default_rng(0).normal(size=(40, 4))
    want = ModifiedCholesky(bandwidth=2).fit(X).mahalanobis(X)
    X[:, 2] *= 1e-120
    np.testing.assert_allclose(ModifiedCholesky(bandwidth=2).fit(X).mahalanobis(X), want, rtol=1e-9)
