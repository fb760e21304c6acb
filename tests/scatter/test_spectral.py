"""Spectral filters: the slow twin, the theorems of the field, and the samples that break a spectrum."""

import pickle
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_spectral import rank_of, spectral_distance
from strategies import generators

from fmahal.exceptions import (
    AmbiguousFitWarning,
    OutsideSubspaceError,
    RankDeficientError,
    RankDeficientWarning,
)
from fmahal.scatter import EmpiricalCovariance, ShrunkCovariance, SpectralFilter, _spectral_fit, facts

FILTERS = ["rkhs", "truncate", "ridge", "inverse"]
SHAPES = [(30, 5), (8, 20), (12, 12), (13, 12), (40, 39)]
quiet = pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")


def walks(n, p, seed=0):
    """Random walks: a spectrum that decays as curves have it."""
    return np.random.default_rng(seed).normal(size=(n, p)).cumsum(axis=1) / np.sqrt(p)


def fit(X, *args, route=None, **parameters):
    scatter = SpectralFilter(*args, **parameters)
    scatter._route = route
    return scatter.fit(X)


# -------------------------------------------------------------------- values


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("n", "p"), SHAPES)
@quiet
def test_the_twin_agrees(kind, n, p):
    X, Y = walks(n, p) + 3.0, 2.0 * walks(5, p, 1)
    for K in (None, 2, 0.7):
        for units, alpha in (("leading", 1e-2), ("trace", 1e-3), ("absolute", 0.3)):
            scatter = SpectralFilter(kind, n_components=K, alpha=alpha, alpha_units=units).fit(X)
            want = spectral_distance(X, Y, kind, K, alpha, units)
            np.testing.assert_allclose(scatter.mahalanobis(Y), want, rtol=1e-7)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("n", "p"), [*SHAPES, (260, 230), (230, 260)])
@quiet
def test_routes_agree(kind, n, p):
    X, Y = walks(n, p) + 3.0, walks(5, p, 1)
    for K in (None, 3):
        by = {r: fit(X, kind, n_components=K, route=r).mahalanobis(Y) for r in ("gram", "svd", None)}
        spread = (
            1e-12 if kind in ("rkhs", "ridge") else 1e-7
        )  # 1/lambda of the Gram route loses what it squares
        np.testing.assert_allclose(by["gram"], by["svd"], rtol=max(spread, 1e-10))
        np.testing.assert_allclose(by[None], by["svd"], rtol=1e-10)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("n", "p"), [(40, 6), (10, 25)])
@pytest.mark.parametrize("K", [None, 4, 0.8])
@quiet
def test_mean_identity(kind, ddof, n, p, K):
    X = walks(n, p)
    scatter = SpectralFilter(kind, ddof=ddof, n_components=K).fit(X)
    want = scatter.null_weights_.sum() * (n - ddof) / n
    np.testing.assert_allclose(scatter.mahalanobis(X).mean(), want, rtol=1e-11)
    assert scatter.ddof_ == ddof
    assert facts(scatter).kind == "spectral"


def test_mean_identity_of_a_ridge_whose_rest_is_known_as_a_sum():
    X = walks(300, 260)
    scatter = SpectralFilter("ridge", n_components=5).fit(X)
    assert scatter.null_weights_.size == 260
    np.testing.assert_allclose(
        scatter.mahalanobis(X).mean(), scatter.null_weights_.sum() * 299 / 300, rtol=1e-11
    )


def test_attributes():
    X = walks(50, 8)
    scatter = SpectralFilter("ridge", alpha=0.1, n_components=3).fit(X)
    values, vectors = np.linalg.eigh(np.cov(X.T))
    np.testing.assert_allclose(scatter.eigenvalues_, values[::-1][:3], rtol=1e-12)
    assert (scatter.components_.max(axis=1) == np.abs(scatter.components_).max(axis=1)).all()
    np.testing.assert_allclose(np.abs(np.diag(scatter.components_ @ vectors[:, ::-1])), 1.0, rtol=1e-12)
    np.testing.assert_allclose(scatter.total_variance_, np.cov(X.T).trace(), rtol=1e-12)
    np.testing.assert_allclose(scatter.explained_variance_ratio_, values[::-1][:3] / values.sum(), rtol=1e-12)
    np.testing.assert_allclose(scatter.alpha_, 0.1 * values[-1], rtol=1e-12)
    np.testing.assert_allclose(scatter.residual_weight_, 1.0 / scatter.alpha_)
    np.testing.assert_allclose(scatter.filter_values_, 1.0 / (values[::-1][:3] + scatter.alpha_), rtol=1e-12)
    assert (scatter.rank_, scatter.n_components_) == (8, 3)
    want = scatter.components_.T * scatter.filter_values_ @ scatter.components_
    want += (np.eye(8) - scatter.components_.T @ scatter.components_) / scatter.alpha_
    np.testing.assert_allclose(scatter.precision_, want, rtol=1e-10, atol=1e-10 * want.max())
    np.testing.assert_allclose(scatter.covariance_ @ want, np.eye(8), atol=1e-10)


def test_default_truncation_reaches_95_percent():
    scatter = SpectralFilter("truncate").fit(walks(80, 30))
    share = np.cumsum(scatter.explained_variance_ratio_)
    assert share[-1] >= 0.95 > share[-2]
    assert SpectralFilter("truncate", n_components=0.5).fit(walks(80, 30)).n_components_ == 1


def test_special_cases_are_known_estimators():
    X, Y = walks(60, 7), walks(9, 7, 1)
    empirical = EmpiricalCovariance().fit(X)
    np.testing.assert_allclose(
        SpectralFilter("inverse", ddof=0).fit(X).mahalanobis(Y), empirical.mahalanobis(Y), rtol=1e-10
    )
    ridge = ShrunkCovariance(ridge=0.2).fit(X)
    mu = np.trace(np.cov(X.T, ddof=0)) / 7  # S + ridge * mu * I
    ours = SpectralFilter("ridge", ddof=0, alpha=0.2 * mu, alpha_units="absolute").fit(X)
    np.testing.assert_allclose(ours.mahalanobis(Y), ridge.mahalanobis(Y), rtol=1e-10)
    np.testing.assert_allclose(ours.score(Y), ridge.score(Y), rtol=1e-10)


# -------------------------------------------------------------------- theorems


@pytest.mark.parametrize("kind", FILTERS)
@given(rng=generators(), n=st.integers(4, 12), p=st.integers(1, 12), power=st.sampled_from([-8, 0, 8]))
@quiet
def test_equivariance(kind, rng, n, p, power):
    X, Y = rng.normal(size=(n, p)), rng.normal(size=(3, p))
    K = min(2, p)
    before = SpectralFilter(kind, n_components=K).fit(X)
    turn = np.linalg.qr(rng.normal(size=(p, p)))[0]
    shift, unit = rng.normal(size=p), 10.0**power

    def moved(Z):
        return unit * (Z @ turn + shift)

    after = SpectralFilter(kind, n_components=K).fit(moved(X))
    assert after.n_components_ == before.n_components_
    gap = 1.0 if before.n_components_ == min(n - 1, p) else 1.0 - _next_share(X, K)
    np.testing.assert_allclose(
        after.mahalanobis(moved(Y)), before.mahalanobis(Y), rtol=1e-9 / gap / _least(X, K)
    )


def _values(X):
    return np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2


def _next_share(X, K):
    return _values(X)[K] / _values(X)[K - 1]


def _least(X, K):
    return _values(X)[K - 1] / _values(X)[0]


@given(rng=generators(), n=st.integers(3, 12), p=st.integers(2, 12))
@quiet
def test_order_and_monotony(rng, n, p):
    X, Y = rng.normal(size=(n, p)), rng.normal(size=(4, p))
    alphas = [1e-3, 1e-2, 1.0]
    rkhs = [SpectralFilter("rkhs", alpha=a).fit(X).mahalanobis(Y) for a in alphas]
    ridge = [SpectralFilter("ridge", alpha=a).fit(X).mahalanobis(Y) for a in alphas]
    cut = [
        SpectralFilter("truncate", n_components=k).fit(X).mahalanobis(Y) for k in range(1, min(n - 1, p) + 1)
    ]
    slack = 1.0 + 1e-12
    for small, large in zip(rkhs, ridge, strict=True):
        assert (small <= large * slack).all()
    for sequence in (rkhs[::-1], ridge[::-1], cut):
        for small, large in pairwise(sequence):
            assert (small <= large * slack).all()


def test_limits_of_alpha():
    X, Y = walks(40, 6), walks(5, 6, 1)
    exact = SpectralFilter("inverse").fit(X).mahalanobis(Y)
    V = Y - X.mean(axis=0)
    along = np.einsum("ij,jk,ik->i", V, np.cov(X.T), V)
    for kind in ("rkhs", "ridge"):
        near = SpectralFilter(kind, alpha=1e-12).fit(X).mahalanobis(Y)
        np.testing.assert_allclose(near, exact, rtol=1e-8)
        far = SpectralFilter(kind, alpha=1e9, alpha_units="absolute").fit(X).mahalanobis(Y)
        want = along / 1e18 if kind == "rkhs" else np.einsum("ij,ij->i", V, V) / 1e9
        np.testing.assert_allclose(far, want, rtol=1e-8)
    np.testing.assert_allclose(SpectralFilter("rkhs", alpha=0.0).fit(X).mahalanobis(Y), exact, rtol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_more_columns_than_rows_make_all_distances_equal(ddof):
    X = walks(9, 40)
    with pytest.warns(RankDeficientWarning, match="same squared distance"):
        scatter = SpectralFilter("inverse", ddof=ddof).fit(X)
    np.testing.assert_allclose(scatter.mahalanobis(X), 8 * (9 - ddof) / 9, rtol=1e-10)
    pairs = [scatter.whitener_.sqnorm(X[[i]] - X[[j]])[0] for i in range(9) for j in range(i)]
    np.testing.assert_allclose(pairs, 2 * (9 - ddof), rtol=1e-10)
    with pytest.warns(RankDeficientWarning, match="same squared distance"):
        SpectralFilter("truncate", n_components=8).fit(X)
    assert not scatter.regularized
    assert SpectralFilter().regularized


# -------------------------------------------------------------------- the variance norm


@given(rng=generators(), n=st.integers(3, 10), p=st.integers(2, 14))
@quiet
def test_no_functional_of_unit_variance_exceeds_the_variance_norm(rng, n, p):
    X, Y = rng.normal(size=(n, p)), rng.normal(size=(3, p))
    scatter = SpectralFilter("inverse", outside="inf").fit(X)
    inside = (
        Y if scatter.n_components_ == p else rng.normal(size=(3, n)) @ (X - X.mean(axis=0)) + X.mean(axis=0)
    )
    d = scatter.mahalanobis(inside, squared=False)
    assert np.isfinite(d).all()
    covariance = np.cov(X.T)
    functionals = np.vstack([rng.normal(size=(40, p)), scatter.precision_dot(inside)])
    sd = np.sqrt(np.einsum("ij,jk,ik->i", functionals, covariance, functionals))
    reached = np.abs((inside - X.mean(axis=0)) @ functionals.T) / sd
    assert (reached <= d[:, None] * (1.0 + 1e-7)).all()
    np.testing.assert_allclose(np.diagonal(reached[:, 40:]), d, rtol=1e-7)  # the maximiser: its own gradient


@pytest.mark.parametrize("kind", ["rkhs", "truncate", "inverse"])
@pytest.mark.parametrize(("n", "p", "rank"), [(9, 40, 8), (60, 12, 7), (300, 250, 100)])
@pytest.mark.parametrize("unit", [1e-8, 1e8])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("K", [None, 3])
@quiet
def test_outside_means_off_the_span_of_the_rows(kind, n, p, rank, unit, offset, K):
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(p, p)))[0]
    X = unit * (rng.normal(size=(n, rank)) @ basis[:rank] + offset)
    scatter = SpectralFilter(kind, n_components=K, outside="inf").fit(X)
    combinations = rng.normal(size=(20, n)) @ (X - X.mean(axis=0)) + X.mean(axis=0)
    for inside in (X, combinations, X.mean(axis=0) + 1e3 * (X[:5] - X.mean(axis=0))):
        assert np.isfinite(scatter.mahalanobis(inside)).all()
    for step in (1.0, 1e-4):
        off = X[:6] + unit * step * basis[rank]
        assert np.isinf(scatter.mahalanobis(off)).all()
    ignored = scatter.mahalanobis(off, outside="ignore")
    np.testing.assert_allclose(ignored, scatter.mahalanobis(X[:6]), rtol=1e-5)
    with pytest.raises(OutsideSubspaceError):
        scatter.set_params(outside="raise").fit(X).mahalanobis(off)


@pytest.mark.parametrize("n", [9, 60])
@quiet
def test_float32_rows_are_inside_their_own_span(n):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, 7)) @ rng.normal(size=(7, 12)) + 3.0).astype(np.float32)
    for fitted in (X, X.astype(np.float64)):
        scatter = SpectralFilter("inverse", outside="inf").fit(fitted)
        assert scatter.n_components_ == (7 if fitted is X else min(n - 1, 12)) or n == 9
    scatter = SpectralFilter("inverse", outside="inf").fit(X)
    mixed = (0.5 * (X[0] + X[1:])).astype(np.float32)
    assert np.isfinite(scatter.mahalanobis(mixed)).all()
    assert scatter.mahalanobis(mixed).dtype == np.float32
    assert np.isinf(scatter.mahalanobis(X + rng.normal(size=12).astype(np.float32))).all()


@pytest.mark.parametrize(("n", "p", "rank"), [(9, 40, 8), (60, 12, 7)])
@quiet
def test_a_policy_that_is_asked_for_after_the_fit(n, p, rank):
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(p, p)))[0]
    X = rng.normal(size=(n, rank)) @ basis[:rank] + 2.0
    for kind in ("rkhs", "inverse"):
        scatter = SpectralFilter(kind).fit(X)
        np.testing.assert_array_equal(scatter.mahalanobis(X, outside="inf"), scatter.mahalanobis(X))
        assert np.isinf(scatter.mahalanobis(X + 1e-3 * basis[rank], outside="inf")).all()
    cut = SpectralFilter("truncate", n_components=2).fit(X)  # it knows of two directions only
    assert np.isinf(cut.mahalanobis(X, outside="inf")).all()


def test_ridge_knows_no_outside():
    X = walks(6, 20)
    scatter = SpectralFilter("ridge", outside="inf").fit(X)
    assert np.isfinite(scatter.mahalanobis(walks(3, 20, 1))).all()
    assert scatter.rank_ == 20


# -------------------------------------------------------------------- hard samples


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
@pytest.mark.parametrize("spread", [4, 6])
def test_small_eigenvalues_keep_their_digits(shape, spread):
    rng = np.random.default_rng(0)
    n, p = shape
    r = min(n - 1, p)
    left = rng.normal(size=(n, r))
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    right = np.linalg.qr(rng.normal(size=(p, p)))[0][:r]
    roots = np.logspace(0, -spread, r)
    X = (left * roots) @ right
    Y = rng.normal(size=(4, r)) @ (roots[:, None] * right)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficientWarning)
        scatter = SpectralFilter("inverse").fit(X)
    np.testing.assert_allclose(scatter.eigenvalues_, roots**2 / (n - 1), rtol=10.0 ** (spread - 14))
    want = (n - 1) * (((Y @ right.T) / roots) ** 2).sum(axis=1)
    np.testing.assert_allclose(scatter.mahalanobis(Y), want, rtol=10.0 ** (spread - 12))


@pytest.mark.parametrize("n", [30, 2000])
def test_a_large_common_offset(n):
    X, Y = walks(n, 5), walks(3, 5, 1)
    want = SpectralFilter("inverse").fit(X).mahalanobis(Y)
    np.testing.assert_allclose(SpectralFilter("inverse").fit(X + 1e6).mahalanobis(Y + 1e6), want, rtol=1e-6)


def test_rows_that_drift_are_centred_twice():
    X = walks(4000, 30) + np.linspace(0.0, 1e5, 4000)[:, None] ** 2
    scatter = SpectralFilter("rkhs").fit(X)
    np.testing.assert_allclose(scatter.location_, X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(scatter.eigenvalues_[0], np.linalg.eigvalsh(np.cov(X.T))[-1], rtol=1e-12)
    found = _spectral_fit.sums(X)
    C = X - X.mean(axis=0)
    np.testing.assert_allclose(np.tril(found.gram), np.tril(C.T @ C), rtol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize(("n", "p"), [(50, 10), (10, 50)])
def test_the_rank_rule_is_that_of_the_twin(offset, n, p):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4)) @ rng.normal(size=(4, p)) + offset
    with pytest.warns(RankDeficientWarning):
        scatter = SpectralFilter("inverse").fit(X)
    assert scatter.n_components_ == rank_of(X) == 4
    assert SpectralFilter("rkhs").fit(X).n_components_ == 4


@pytest.mark.parametrize("kind", FILTERS)
@quiet
def test_degenerate_samples_give_numbers(kind):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(6, 4))
    samples = {
        "two rows": base[:2],
        "duplicate rows": np.vstack([base, base, base[:1]]),
        "a constant column": np.column_stack([base, np.full(6, 7.0)]),
        "one column": base[:, :1],
        "a repeated column": base[:, [0, 1, 1]],
        "equal eigenvalues": np.vstack([np.eye(4), -np.eye(4)]),
        "many rows twice": np.repeat(base[:2], 5, axis=0),
    }
    for name, X in samples.items():
        scatter = (
            SpectralFilter(kind).fit(X)
            if kind != "truncate"
            else SpectralFilter(kind, n_components=0.99).fit(X)
        )
        d2 = scatter.mahalanobis(np.vstack([X, X.mean(axis=0)]))
        assert np.isfinite(d2).all(), name
        assert d2[-1] <= 1e-20 * d2.max(), name
        np.testing.assert_allclose(
            d2[:-1].mean(), scatter.null_weights_.sum() * (len(X) - 1) / len(X), rtol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("X", [np.ones((5, 3)), np.full((4, 9), 1e8 + 0.1), np.zeros((3, 2))])
@pytest.mark.parametrize("kind", FILTERS)
def test_equal_rows_are_an_error(X, kind):
    with pytest.raises(RankDeficientError, match="equal up to rounding"):
        SpectralFilter(kind).fit(X)


def test_fewer_directions_than_asked_for():
    with pytest.warns(RankDeficientWarning, match="n_components = 9, but 30 rows in 5 columns span 5"):
        scatter = SpectralFilter("rkhs", n_components=9).fit(walks(30, 5))
    assert scatter.n_components_ == 5
    with pytest.warns(RankDeficientWarning) as said:
        SpectralFilter("truncate", n_components=9).fit(walks(5, 8))
    assert [
        str(w.message).startswith("SpectralFilter('truncate'): n_components = 9 are not there") for w in said
    ] == [True]
    assert said[0].filename == __file__


# -------------------------------------------------------------------- cuts among equal eigenvalues


def designed(values, n, seed=0):
    """Rows whose covariance (divisor n - 1) has these eigenvalues."""
    rng = np.random.default_rng(seed)
    p = len(values)
    left = rng.normal(size=(n, p))
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    return (left * np.sqrt(np.asarray(values) * (n - 1))) @ np.linalg.qr(rng.normal(size=(p, p)))[0]


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("route", ["gram", "svd"])
def test_a_cut_in_a_cluster_is_called_ambiguous(kind, route):
    X = designed([5.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.5], 40)
    for K, words in ((2, "after 1 or 4 instead"), (3, "after 1 or 4 instead"), (5, "after 4 or 6 instead")):
        with pytest.warns(AmbiguousFitWarning, match=words):
            fit(X, kind, n_components=K, route=route)
    for K in (1, 4, 6, 7):
        fit(X, kind, n_components=K, route=route)
    with pytest.warns(AmbiguousFitWarning, match="after 7 instead"):
        fit(designed([1.0] * 7, 40), kind, n_components=3, route=route)


def test_ordinary_samples_have_no_ambiguous_cut():
    for seed in range(5):
        X = np.random.default_rng(seed).normal(size=(300, 220))
        for K in (1, 5, 12, 30):
            SpectralFilter("truncate", n_components=K).fit(X)


def test_lanczos_iterations_find_every_copy_of_an_eigenvalue():
    values = np.concatenate([[9.0, 9.0, 9.0, 5.0, 5.0, 4.0, 3.0, 3.0], np.linspace(2.0, 0.1, 292)])
    X = designed(values, 700)
    scatter = SpectralFilter("truncate", n_components=8).fit(X)
    np.testing.assert_allclose(scatter.eigenvalues_, values[:8], rtol=1e-10)
    whole = fit(X, "truncate", n_components=8, route="svd")
    Y = np.random.default_rng(1).normal(size=(5, 300))
    np.testing.assert_allclose(scatter.mahalanobis(Y), whole.mahalanobis(Y), rtol=1e-10)
    with pytest.warns(AmbiguousFitWarning, match="after 6 or 8 instead"):
        SpectralFilter("truncate", n_components=7).fit(X)


def test_a_missed_copy_is_noticed():
    gram = np.diag(np.concatenate([[9.0, 9.0], np.linspace(5.0, 1.0, 298)]))
    squares, short = _spectral_fit.leading_pairs(np.asfortranarray(gram), 4)
    start = np.random.default_rng(3).normal(size=300)
    assert _spectral_fit._complete(lambda v: gram @ v, squares, short, start)
    assert not _spectral_fit._complete(lambda v: gram @ v, squares[[0, 2, 3]], short[:, [0, 2, 3]], start)


@pytest.mark.parametrize(("n", "p"), [(900, 400), (400, 900)])
@pytest.mark.parametrize("K", [5, 60, 250])
def test_partial_decompositions_agree_with_the_full_one(n, p, K):
    X, Y = walks(n, p) + 1.0, walks(4, p, 1)
    part, full = fit(X, "rkhs", n_components=K), fit(X, "rkhs", n_components=K, route="svd")
    np.testing.assert_allclose(part.eigenvalues_, full.eigenvalues_, rtol=1e-8)
    np.testing.assert_allclose(part.mahalanobis(Y), full.mahalanobis(Y), rtol=1e-10)
    np.testing.assert_allclose(part.total_variance_, full.total_variance_, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1200, 900), (900, 1200)])
def test_block_steps_agree_with_the_full_decomposition(shape):
    X, Y = walks(*shape) + 1.0, walks(4, shape[1], 1)
    assert _spectral_fit.sums(X, 6).gram is None
    for kind in ("truncate", "ridge"):
        part, full = fit(X, kind, n_components=5), fit(X, kind, n_components=5, route="gram")
        np.testing.assert_allclose(part.eigenvalues_, full.eigenvalues_, rtol=1e-11)
        np.testing.assert_allclose(part.mahalanobis(Y), full.mahalanobis(Y), rtol=1e-10)
        np.testing.assert_allclose(part.total_variance_, full.total_variance_, rtol=1e-12)
        part.set_params(n_components=5).fit(X.astype(np.float32))
        np.testing.assert_allclose(part.eigenvalues_, full.eigenvalues_, rtol=1e-5)


def test_block_steps_give_up_where_they_cannot_tell():
    rng = np.random.default_rng(0)
    white = rng.normal(size=(900, 800))
    assert _spectral_fit.sums(white, 6).gram is not None  # falls too slowly
    few = rng.normal(size=(900, 3)) @ rng.normal(size=(3, 800))
    assert _spectral_fit.sums(few, 6).gram is not None  # fewer directions than asked for
    with pytest.warns(RankDeficientWarning, match="span 3 dimensions"):
        SpectralFilter("rkhs", n_components=5).fit(few)
    values = np.concatenate([[9.0, 9.0, 5.0, 5.0, 5.0], 0.5 ** np.arange(20)])
    X = designed(values, 900) @ np.linalg.qr(rng.normal(size=(800, 25)))[0].T
    np.testing.assert_allclose(fit(X, "rkhs", n_components=5).eigenvalues_, values[:5], rtol=1e-10)
    with pytest.warns(AmbiguousFitWarning, match="after 2 or 5 instead"):
        SpectralFilter("rkhs", n_components=4).fit(X)
    X[3, 4] = np.nan
    with pytest.raises(ValueError, match="rows 3 and columns 4"):
        SpectralFilter("rkhs", n_components=5).fit(X)


# -------------------------------------------------------------------- the estimator


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("n", "p"), [(30, 6), (6, 30)])
@quiet
def test_weighted_scores(kind, n, p):
    X = walks(n, p)
    scatter = SpectralFilter(kind, n_components=4).fit(X)
    Z, rest = scatter._whitened_parts(X)
    size = np.abs(Z).max()
    np.testing.assert_allclose(scatter._training_whitened(), Z, atol=1e-11 * size)
    d2 = (Z**2).sum(axis=1) + scatter.residual_weight_ * rest
    np.testing.assert_allclose(d2, scatter.mahalanobis(X), rtol=1e-10)


def test_rows_written_over_are_noticed():
    X = walks(30, 6)
    scatter = SpectralFilter().fit(X)
    X *= 2.0
    with pytest.raises(ValueError, match="changed in place"):
        scatter._training_whitened()


@pytest.mark.parametrize(("n", "p"), [(30, 6), (6, 30)])
def test_pickles_do_not_carry_the_training_rows(n, p):
    X = walks(n, p)
    scatter = SpectralFilter().fit(X)
    copy = pickle.loads(pickle.dumps(scatter))
    np.testing.assert_array_equal(copy.mahalanobis(X), scatter.mahalanobis(X))
    if n < p:
        np.testing.assert_array_equal(copy._training_whitened(), scatter._training_whitened())
        return
    with pytest.raises(ValueError, match="unpickled"):
        copy._training_whitened()
    scatter._training_whitened()
    copy = pickle.loads(pickle.dumps(scatter))
    np.testing.assert_array_equal(copy._training_whitened(), scatter._training_whitened())


def test_float32_in_float32_out():
    X = walks(40, 12)
    want = SpectralFilter().fit(X.astype(np.float32).astype(np.float64))
    ours = SpectralFilter().fit(X.astype(np.float32))
    assert ours.mahalanobis(X.astype(np.float32)).dtype == np.float32
    assert ours.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(ours.eigenvalues_, want.eigenvalues_, rtol=1e-9)


def test_extreme_units_of_tiny_eigenvalues():
    X = walks(20, 6) * 1e-140
    scatter = SpectralFilter("rkhs").fit(X)
    np.testing.assert_allclose(
        scatter.mahalanobis(X), SpectralFilter("rkhs").fit(X * 1e140).mahalanobis(X * 1e140)
    )


@pytest.mark.parametrize("kind", ["truncate", "rkhs"])
def test_semi_distances_have_no_likelihood(kind):
    scatter = SpectralFilter(kind).fit(walks(30, 5))
    assert not hasattr(scatter, "score")
    with pytest.raises(AttributeError) as error:
        scatter.score(walks(30, 5))
    assert "no density" in str(error.value.__cause__)
    assert hasattr(SpectralFilter("inverse"), "score")
    assert not hasattr(SpectralFilter("inverse", n_components=2), "score")


def test_equivariances_follow_the_units_of_alpha():
    assert "scale" in SpectralFilter("rkhs").equivariances
    assert "scale" not in SpectralFilter("rkhs", alpha_units="absolute").equivariances
    assert "scale" in SpectralFilter("inverse", alpha_units="absolute").equivariances


def test_transform_whitens_and_comes_back():
    X = walks(50, 6)
    scatter = SpectralFilter("truncate", n_components=4).fit(X)
    Z = scatter.transform(X)
    assert Z.shape == (50, 4)
    np.testing.assert_allclose(np.cov(Z.T), np.eye(4), atol=1e-12)
    back = scatter.inverse_transform(Z) - scatter.location_
    want = (X - scatter.location_) @ scatter.components_.T @ scatter.components_
    np.testing.assert_allclose(back, want, atol=1e-12)
    np.testing.assert_allclose(
        scatter.residual(X), np.linalg.norm(X - scatter.location_ - want, axis=1), rtol=1e-10
    )


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"filter": "tikhonov"}, "filter must be one of"),
        ({"alpha_units": "relative"}, "alpha_units must be one of"),
        ({"outside": "nan"}, "outside must be one of"),
        ({"ddof": -1}, "ddof must be"),
        ({"ddof": 5}, "ddof = 5 leaves no divisor for n = 5"),
        ({"ddof": True}, "ddof must be"),
        ({"n_components": 0}, "n_components must be"),
        ({"n_components": 1.0}, "n_components must be"),
        ({"n_components": True}, "n_components must be"),
        ({"n_components": "95%"}, "n_components must be"),
        ({"alpha": -1.0}, "alpha must be"),
        ({"alpha": np.nan}, "alpha must be"),
        ({"alpha": None}, "alpha must be"),
        ({"filter": "ridge", "alpha": 0.0}, "must be positive"),
    ],
)
def test_bad_parameters(parameters, words):
    with pytest.raises(ValueError, match=words):
        SpectralFilter(**parameters).fit(walks(5, 3))


@pytest.mark.parametrize("shape", [(30, 6), (6, 30)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_entries_are_named(shape, bad):
    X = walks(*shape)
    X[4, 2] = bad
    with pytest.raises(ValueError, match="rows 4 and columns 2"):
        SpectralFilter().fit(X)
    with pytest.raises(ValueError, match="exceed the largest float"):
        SpectralFilter().fit(walks(*shape) * 1e200)
