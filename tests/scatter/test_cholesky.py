"""The modified Cholesky family against p explicit regressions, scikit-learn, R, and its own identities."""

import tracemalloc
import warnings

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from strategies import SCALES, generators

from fmahal import EmpiricalCovariance, MahalanobisDetector, ModifiedCholesky, RankDeficientWarning, datasets
from fmahal.scatter._chain import Columns, banded, dense, implicit


def chain(n, p, seed=0, rho=0.6):
    """Correlated rows in mixed units, away from the origin."""
    rng = np.random.default_rng(seed)
    X = datasets.make_ar1(n, p, rho=rho, random_state=seed).data
    return X * rng.uniform(0.1, 10.0, p) + rng.uniform(-5.0, 5.0, p)


def standardised(X, weights=None):
    w = np.ones(len(X)) if weights is None else np.asarray(weights) * len(X) / np.sum(weights)
    m = w @ X / len(X)
    s = np.sqrt(w @ (X - m) ** 2 / len(X))
    return (X - m) / s, m, s, w


def dense_array(A):
    return A.toarray() if sparse.issparse(A) else A


def in_data_units(T, var, s):
    return T * s[:, None] / s, var * s**2


@pytest.mark.parametrize(
    ("n", "p", "bandwidth"), [(40, 12, 1), (40, 12, 3), (300, 30, 7), (90, 70, 40), (60, 90, 5)]
)
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_banded_equals_explicit_regressions(n, p, bandwidth, alpha, weighted):
    X = chain(n, p)
    weights = np.random.default_rng(1).uniform(0.2, 3.0, n) if weighted else None
    Z, m, s, w = standardised(X, weights)
    T, rss, dof, loo = reference.modified_cholesky_rows(Z, bandwidth, alpha, w)
    for variance, value in {"mle": rss / n, "unbiased": rss / (n - 1 - dof), "loo": loo}.items():
        fit = ModifiedCholesky(
            bandwidth=bandwidth, penalty="l2" if alpha else None, alpha=alpha, variance=variance
        ).fit(X, sample_weight=weights)
        want_T, want_var = in_data_units(T, value, s)
        np.testing.assert_allclose(dense_array(fit.T_), want_T, rtol=1e-8, atol=1e-10 * np.abs(want_T).max())
        np.testing.assert_allclose(fit.innovation_variance_, want_var, rtol=1e-8)
        np.testing.assert_allclose(fit.location_, m, rtol=1e-12)
        assert fit.whitener_.kind == "banded"
        assert sparse.issparse(fit.T_)


@pytest.mark.parametrize(("n", "p"), [(40, 1), (40, 12), (40, 38), (40, 40), (25, 60)])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_equals_explicit_regressions(n, p, weighted):
    X, alpha = chain(n, p), 0.2
    weights = np.random.default_rng(2).uniform(0.2, 3.0, n) if weighted else None
    Z, _, s, w = standardised(X, weights)
    T, rss, dof, loo = reference.modified_cholesky_rows(Z, None, alpha, w)
    for variance, value in {"mle": rss / n, "unbiased": rss / np.maximum(n - 1 - dof, 1), "loo": loo}.items():
        fit = ModifiedCholesky(penalty="l2", alpha=alpha, variance=variance).fit(X, sample_weight=weights)
        want_T, want_var = in_data_units(T, value, s)
        np.testing.assert_allclose(fit.innovation_variance_, want_var, rtol=1e-8)
        for j in range(p):
            np.testing.assert_allclose(fit.coefficients(j), -want_T[j, :j], rtol=1e-7, atol=1e-9)
        want = reference.modified_cholesky_precision(want_T, want_var)
        np.testing.assert_allclose(fit.precision_, want, rtol=1e-7, atol=1e-9 * np.abs(want).max())
        assert fit.whitener_.kind == ("triangular" if p < n - 1 else "sequential")


@pytest.mark.parametrize("ratio", [0.2, 0.9, 1.0, 1.1, 3.0])
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
def test_primal_and_dual_are_one_method(ratio, alpha):
    n = 40
    p = int(ratio * n)
    X = chain(n, p)
    _, m, s, _ = standardised(X)
    columns = Columns(X, m, s, np.ones(n))
    primal, dual, band = (
        dense(columns, alpha),
        implicit(columns, alpha),
        banded(columns, p - 1, alpha, loo=True),
    )
    for other in (dual, band):
        for name in ("rss", "dof", "loo"):
            np.testing.assert_allclose(getattr(other, name), getattr(primal, name), rtol=1e-9, atol=1e-12)
    sd = np.sqrt(primal.loo) * s
    x = chain(7, p, seed=9) - m
    np.testing.assert_allclose(
        (dual.build(sd).whiten(x) ** 2).sum(axis=1), (primal.build(sd).whiten(x) ** 2).sum(axis=1), rtol=1e-9
    )


def test_full_bandwidth_without_penalty_is_the_inverse_sample_covariance():
    X = chain(60, 15)
    fit, want = ModifiedCholesky().fit(X), EmpiricalCovariance().fit(X)
    np.testing.assert_allclose(
        fit.precision_, want.precision_, rtol=1e-9, atol=1e-9 * np.abs(want.precision_).max()
    )
    np.testing.assert_allclose(fit.mahalanobis(X), want.mahalanobis(X), rtol=1e-9)
    np.testing.assert_allclose(
        dense_array(ModifiedCholesky(bandwidth=14).fit(X).precision_), want.precision_, rtol=1e-8, atol=1e-9
    )


def test_lasso_equals_scikit_learn_row_by_row():
    X, alpha = chain(80, 12), 0.05
    Z, _, s, _ = standardised(X)
    fit = ModifiedCholesky(penalty="l1", alpha=alpha, tol=1e-12).fit(X)
    assert sparse.issparse(fit.T_)
    for j in range(1, 12):
        peer = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(Z[:, :j], Z[:, j])
        np.testing.assert_allclose(fit.coefficients(j) * s[:j] / s[j], peer.coef_, rtol=1e-8, atol=1e-9)
    assert fit.kkt_ <= 1e-12


@pytest.mark.parametrize("penalty", ["l1", "nested", "hierarchical", "cscs"])
def test_sparse_penalties_are_triangular_and_calibrated(penalty):
    X = chain(100, 20)
    fit = ModifiedCholesky(penalty=penalty, alpha=0.1).fit(X)
    T = dense_array(fit.T_)
    assert np.array_equal(np.diagonal(T), np.ones(20))
    assert not np.triu(T, 1).any()
    assert 0 < np.count_nonzero(np.tril(T, -1)) < 190
    if penalty in ("nested", "hierarchical"):  # a bandwidth in every row: no gaps before the diagonal
        for j in range(20):
            used = np.flatnonzero(T[j, :j])
            assert used.size == 0 or used[0] + used.size == j
    fresh = fit.mahalanobis(chain(100, 20, seed=0)) / 20
    assert 0.5 < fresh.mean() < 1.5


def test_shrink_is_the_convex_combination():
    X = chain(50, 8)
    Z, _, s, _ = standardised(X)
    T = reference.modified_cholesky_rows(Z)[0]
    lag = np.sum(Z[:, 1:] * Z[:, :-1]) / np.sum(Z[:, :-1] ** 2)
    targets = {
        "identity": np.eye(8),
        "ar1": np.eye(8) - lag * np.eye(8, k=-1),
        "banded": reference.modified_cholesky_rows(Z, 1)[0],
    }
    for name, target in targets.items():
        fit = ModifiedCholesky(penalty="shrink", alpha=0.25, target=name, variance="mle").fit(X)
        mixed = 0.75 * T + 0.25 * target
        var = ((Z @ mixed.T) ** 2).mean(axis=0)
        want_T, want_var = in_data_units(mixed, 0.75 * var + 0.25 * var.mean(), s)
        np.testing.assert_allclose(fit.T_, want_T, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fit.innovation_variance_, want_var, rtol=1e-8)
    given = ModifiedCholesky(penalty="shrink", alpha=1.0, target=np.eye(8)).fit(X)
    np.testing.assert_allclose(given.T_, np.eye(8), atol=1e-12)
    np.testing.assert_allclose(
        ModifiedCholesky(penalty="shrink", alpha=0.0, variance="mle").fit(X).precision_,
        ModifiedCholesky().fit(X).precision_,
        rtol=1e-9,
    )


def test_auto_variance_keeps_new_rows_near_one_when_p_is_large():
    """The table of the docs: "mle" and "unbiased" are off by orders of magnitude, "loo" is not."""
    rng = np.random.default_rng(0)
    n, p = 100, 3000
    X, Y = rng.standard_normal((n, p)), rng.standard_normal((50, p))
    ratio = {
        v: float(ModifiedCholesky(penalty="l2", alpha=1.0, variance=v).fit(X).mahalanobis(Y).mean()) / p
        for v in ("auto", "mle", "unbiased")
    }
    assert abs(ratio["auto"] - 1.0) < 0.1
    assert ratio["mle"] > 100
    assert 10 < ratio["unbiased"] < 30


def test_no_square_array_when_p_is_large():
    n, p = 20, 4000
    X = chain(n, p)
    tracemalloc.start()
    fit = ModifiedCholesky(penalty="l2", alpha=1.0).fit(X)
    fit.mahalanobis(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * X.nbytes < p * p * 8
    assert fit.T_ is None
    assert fit.coefficients(p - 1).shape == (p - 1,)


def test_several_orders_average_the_precisions():
    X = chain(40, 10)
    fit = ModifiedCholesky(penalty="l2", alpha=0.2, n_orders=4, random_state=3).fit(X)
    parts = [ModifiedCholesky(penalty="l2", alpha=0.2, order=o).fit(X) for o in fit.order_]
    np.testing.assert_allclose(
        fit.precision_, np.mean([part.precision_ for part in parts], axis=0), rtol=1e-10
    )
    np.testing.assert_allclose(
        fit.mahalanobis(X), np.mean([part.mahalanobis(X) for part in parts], axis=0), rtol=1e-10
    )
    assert fit.whitener_.kind == "stacked"
    assert fit.rank_ == 10
    assert fit.transform(X).shape == (40, 40)
    np.testing.assert_allclose((fit.transform(X) ** 2).sum(axis=1), fit.mahalanobis(X), rtol=1e-10)
    np.testing.assert_allclose(
        fit.precision_dot(X), (X - fit.location_) @ fit.precision_, rtol=1e-8, atol=1e-8
    )
    again = ModifiedCholesky(penalty="l2", alpha=0.2, n_orders=4, random_state=3, n_jobs=2).fit(X)
    np.testing.assert_allclose(again.mahalanobis(X), fit.mahalanobis(X), rtol=1e-12)
    with pytest.raises(ValueError, match="no single factor"):
        fit.coefficients(3)


def test_factor_average_of_kang_and_deng():
    X = chain(60, 6)
    fit = ModifiedCholesky(penalty="l2", alpha=0.1, n_orders=3, average="factors", random_state=0).fit(X)
    T, var = np.zeros((6, 6)), np.zeros(6)
    for order in fit.order_:
        one = ModifiedCholesky(penalty="l2", alpha=0.1, order=order).fit(X)
        T[np.ix_(order, order)] += one.T_ / 3
        var[order] += one.innovation_variance_ / 3
    np.testing.assert_allclose(fit.precision_, T.T @ np.diag(1 / var) @ T, rtol=1e-9)


@pytest.mark.parametrize(
    "kwargs", [{"bandwidth": 2}, {"penalty": "l2", "alpha": 0.3}, {"penalty": "l1", "alpha": 0.05}]
)
def test_joint_permutation_of_columns_and_order(kwargs):
    X = chain(50, 9)
    shuffle = np.random.default_rng(0).permutation(9)
    want = ModifiedCholesky(**kwargs).fit(X)
    moved = ModifiedCholesky(**kwargs, order=np.argsort(shuffle)).fit(X[:, shuffle])
    np.testing.assert_allclose(moved.mahalanobis(X[:, shuffle]), want.mahalanobis(X), rtol=1e-9)
    P = dense_array(moved.precision_)
    np.testing.assert_allclose(
        P, dense_array(want.precision_)[np.ix_(shuffle, shuffle)], rtol=1e-8, atol=1e-10
    )
    np.testing.assert_allclose(dense_array(moved.T_), dense_array(want.T_), rtol=1e-8, atol=1e-10)
    split = moved.sequential_contributions(X[:, shuffle])
    np.testing.assert_allclose(split, want.sequential_contributions(X)[:, shuffle], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("order", ["bic", "rcm"])
def test_orders_find_a_shuffled_chain(order):
    X = datasets.make_ar1(200, 30, rho=0.7, random_state=0).data[:, np.random.default_rng(1).permutation(30)]
    fit = ModifiedCholesky(bandwidth=1, order=order).fit(X)
    given = ModifiedCholesky(bandwidth=1).fit(X)
    assert fit.whitener_.logdet < given.whitener_.logdet - 5  # the chain explains more
    assert sparse.issparse(fit.precision_)
    np.testing.assert_allclose(fit.precision_.toarray() @ fit.covariance_, np.eye(30), atol=1e-8)


@given(st.data())
def test_properties_over_shape_scale_and_dtype(data):
    n, p = data.draw(st.integers(5, 40)), data.draw(st.integers(1, 30))
    rng = data.draw(generators())
    units = np.array([data.draw(st.sampled_from(SCALES)) for _ in range(p)])
    X = (rng.standard_normal((n, p)).cumsum(axis=1) + 1.0) * units
    options = [{"penalty": "l2", "alpha": data.draw(st.sampled_from((1e-2, 0.5, 10.0)))}]
    if n > 4 and p > 1:
        options.append({"bandwidth": data.draw(st.integers(0, min(p - 1, n - 3)))})
    kwargs = data.draw(st.sampled_from(options))
    fit = ModifiedCholesky(**kwargs).fit(X)
    d2 = fit.mahalanobis(X)
    assert np.isfinite(d2).all()
    assert (fit.innovation_variance_ > 0).all()
    if fit.T_ is not None:
        T = dense_array(fit.T_)
        assert np.array_equal(np.diagonal(T), np.ones(p))
        assert not np.triu(T, 1).any()
    assert fit.whitener_.logdet == pytest.approx(np.log(fit.innovation_variance_).sum(), rel=1e-9, abs=1e-9)
    scaled = ModifiedCholesky(**kwargs).fit(X / units)
    np.testing.assert_allclose(scaled.mahalanobis(X / units), d2, rtol=1e-7)
    np.testing.assert_allclose(fit.sequential_contributions(X).sum(axis=1), d2, rtol=1e-8)
    single = ModifiedCholesky(**kwargs).fit(X.astype(np.float32))
    assert single.mahalanobis(X.astype(np.float32)).dtype == np.float32


def test_assume_centered_and_unstandardised():
    X = chain(50, 5) - chain(50, 5).mean(axis=0) + 0.3
    T, rss, *_ = reference.modified_cholesky_rows(X, 2)
    fit = ModifiedCholesky(bandwidth=2, assume_centered=True, standardize=False).fit(X)
    np.testing.assert_allclose(fit.T_.toarray(), T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(fit.innovation_variance_, rss / 50, rtol=1e-9)
    assert not fit.location_.any()


def test_collinear_and_constant_columns_are_floored_and_named():
    X = chain(40, 6)
    X[:, 3] = 2 * X[:, 1] - X[:, 0]
    fit = ModifiedCholesky().fit(X)
    assert fit.n_floored_ == 1
    assert np.isfinite(fit.mahalanobis(X)).all()
    X[:, 4] = 7.0
    with pytest.warns(RankDeficientWarning, match="constant columns 4"):
        fit = ModifiedCholesky(penalty="l2", alpha=0.1).fit(X)
    assert np.isfinite(fit.mahalanobis(X)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficientWarning)
        for kwargs in ({"bandwidth": 2}, {"penalty": "l1", "alpha": 0.1}, {"penalty": "cscs", "alpha": 0.1}):
            assert np.isfinite(ModifiedCholesky(**kwargs).fit(X).mahalanobis(X)).all()


def test_not_converged_says_how_far_it_came():
    with pytest.warns(ConvergenceWarning, match="KKT residual"):
        ModifiedCholesky(penalty="cscs", alpha=0.01, max_iter=1, tol=1e-13).fit(chain(60, 15))


def test_banded_memory_and_huge_p():
    p = 20_000
    X = np.random.default_rng(0).standard_normal((30, p))
    fit = ModifiedCholesky(bandwidth=3).fit(X)
    assert fit.whitener_._structure.band.nbytes == p * 3 * 8
    assert fit.precision_.nnz <= 7 * p
    assert fit.T_.shape == (p, p)


def test_detector_and_sequential_contributions():
    X = chain(60, 200)
    X[0, 50] += 200.0
    detector = MahalanobisDetector(ModifiedCholesky(penalty="l2", alpha=1.0), null="chi2").fit(X)
    split = detector.contributions(X, method="sequential")
    np.testing.assert_allclose(split.sum(axis=1), detector.d2_, rtol=1e-8)
    assert split[0].argmax() == 50


BAD = {
    "p > n": ({}, "Three ways out"),
    "bandwidth >= n": ({"bandwidth": 29}, "Three ways out"),
    "alpha 0": ({"penalty": "l2"}, "Three ways out"),
    "alpha < 0": ({"penalty": "l2", "alpha": -1.0}, "alpha must be"),
    "alpha NaN": ({"penalty": "l2", "alpha": float("nan")}, "alpha must be"),
    "alpha alone": ({"alpha": 0.5, "bandwidth": 2}, "without a penalty"),
    "bandwidth >= p": ({"bandwidth": 40}, "below the 40 columns"),
    "bandwidth float": ({"bandwidth": 2.5}, "bandwidth must be an integer"),
    "order": ({"penalty": "l2", "alpha": 1.0, "order": [0, 0]}, "permutation"),
    "order name": ({"penalty": "l2", "alpha": 1.0, "order": "alphabet"}, "order must be"),
    "penalty": ({"penalty": "elastic", "alpha": 1.0}, "penalty must be one of"),
    "variance": ({"penalty": "l2", "alpha": 1.0, "variance": "best"}, "variance must be one of"),
    "both": ({"penalty": "l1", "alpha": 1.0, "bandwidth": 2}, "finds its own"),
    "orders": ({"penalty": "l2", "alpha": 1.0, "n_orders": 3, "order": "bic"}, "exclude"),
    "n_orders": ({"penalty": "l2", "alpha": 1.0, "n_orders": 0}, "n_orders must be"),
    "factors": ({"penalty": "l2", "alpha": 1.0, "n_orders": 3, "average": "factors"}, "p < n - 1"),
    "shrink": ({"penalty": "shrink", "alpha": 0.5}, "Three ways out"),
    "tol": ({"penalty": "l1", "alpha": 1.0, "tol": 0.0}, "tol must be positive"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_named(case):
    kwargs, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        ModifiedCholesky(**kwargs).fit(chain(30, 40))


def test_bad_weights_and_shares():
    X = chain(30, 4)
    with pytest.raises(ValueError, match="two rows at least"):
        ModifiedCholesky(penalty="l1", alpha=0.1).fit(X, sample_weight=np.zeros(30))
    with pytest.raises(ValueError, match="non-negative"):
        ModifiedCholesky().fit(X, sample_weight=-np.ones(30))
    with pytest.raises(ValueError, match="share"):
        ModifiedCholesky(penalty="shrink", alpha=1.5).fit(X)
    with pytest.raises(ValueError, match="must lie in"):
        ModifiedCholesky().fit(X).coefficients(4)
    Y = X.copy()
    Y[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*rows 2 and columns 1"):
        ModifiedCholesky().fit(Y)


def test_integer_weights_equal_repeated_rows():
    X = chain(30, 6)
    counts = np.random.default_rng(0).integers(1, 4, 30)
    for kwargs in ({"bandwidth": 2}, {"penalty": "l2", "alpha": 0.3}, {"penalty": "l1", "alpha": 0.1}):
        weighted = ModifiedCholesky(**kwargs, variance="mle").fit(X, sample_weight=counts)
        repeated = ModifiedCholesky(**kwargs, variance="mle").fit(np.repeat(X, counts, axis=0))
        np.testing.assert_allclose(weighted.mahalanobis(X), repeated.mahalanobis(X), rtol=1e-9)
