"""The robust spectral filter: its search, who is kept, what it does to outliers, equivariance, degenerate rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmahal import MahalanobisDetector
from fmahal.datasets import make_outlying_curves
from fmahal.exceptions import RankDeficientError
from fmahal.scatter import SpectralFilter
from fmahal.scatter import _robust_spectral as parts
from fmahal.scatter.robust_spectral import RobustSpectralFilter

KINDS = ["magnitude", "peak", "shift", "covariance", "bump", "periodic", "phase"]


def curves(n=60, p=30, model="shape", contamination=0.2, seed=0):
    bunch = make_outlying_curves(model, n, p, contamination=contamination, random_state=seed)
    return bunch.data / np.sqrt(p - 1), bunch.outliers


def turned(X, seed=1):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((X.shape[1], X.shape[1])))[0]
    return X @ Q


# ---------------------------------------------------------------- what it is


@pytest.mark.parametrize("filter", ["ridge", "rkhs"])
@pytest.mark.parametrize("shape", [(60, 30), (40, 90)])
def test_it_is_the_filter_of_the_kept_rows(filter, shape):
    X, _ = curves(*shape)
    scatter = RobustSpectralFilter(filter, alpha=0.05).fit(X)
    inner = SpectralFilter(filter, alpha=0.05).fit(X[scatter.support_])
    np.testing.assert_allclose(scatter.mahalanobis(X), inner.mahalanobis(X), rtol=1e-12)
    np.testing.assert_array_equal(scatter.d2_, scatter.mahalanobis(X))
    np.testing.assert_array_equal(scatter.dist_, scatter.d2_)
    for name in ("eigenvalues_", "components_", "null_weights_", "alpha_", "location_"):
        np.testing.assert_array_equal(getattr(scatter, name), getattr(inner, name))
    n = len(X)
    assert (scatter.n_samples_, scatter.n_support_) == (n, scatter.support_.sum())
    assert scatter.n_samples_ - scatter.ddof_ == scatter.n_support_ - 1
    assert scatter.raw_support_.sum() == np.ceil(0.75 * n)


def test_the_distance_is_the_formula():
    X, _ = curves()
    scatter = RobustSpectralFilter(alpha=0.03).fit(X)
    kept = X[scatter.support_]
    C = np.cov(kept.T)
    alpha = 0.03 * np.linalg.eigvalsh(C)[-1]
    V = X - kept.mean(axis=0)
    want = np.einsum("ij,ij->i", V, np.linalg.solve(C + alpha * np.eye(len(C)), V.T).T)
    np.testing.assert_allclose(scatter.d2_, want, rtol=1e-8)


@pytest.mark.parametrize("units", ["leading", "trace", "absolute"])
def test_units_of_alpha(units):
    X, _ = curves()
    scatter = RobustSpectralFilter(alpha=0.02, alpha_units=units).fit(X)
    C = np.cov(X[scatter.support_].T)
    size = {"leading": np.linalg.eigvalsh(C)[-1], "trace": np.trace(C), "absolute": 1.0}[units]
    assert scatter.alpha_ == pytest.approx(0.02 * size, rel=1e-9)


# ---------------------------------------------------------------- the search


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([1e-4, 1e-2, 1.0]), wide=st.booleans())
def test_a_step_never_raises_the_objective(seed, alpha, wide):
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((20, 30 if wide else 4)) * rng.uniform(0.1, 3.0, 30 if wide else 4)
    Y[:5] += rng.normal(size=Y.shape[1]) * 5
    rows, h = np.sort(rng.choice(20, 13, replace=False)), 13
    last = np.inf
    for _ in range(6):
        mean, C = parts._moments(Y, rows)
        d2, objective = parts._distances(Y - mean, C, alpha)
        assert objective <= last + 1e-9 * max(1.0, abs(objective))
        rows, last = parts._nearest(d2, h), objective


def test_the_best_subset_is_a_fixed_point_and_no_worse_than_the_clean_rows():
    X, outliers = curves(model="periodic")
    Y, h = parts.coordinates(X).values, 45
    found = parts.search(Y, h, 0.03, "leading")
    values, _ = parts._sign_spectrum(
        Y - parts.spatial_median(Y), np.linalg.norm(Y - parts.spatial_median(Y), axis=1)
    )
    alpha = parts.amount(values, 0.03, "leading")
    mean, C = parts._moments(Y, found.rows)
    d2, objective = parts._distances(Y - mean, C, alpha)
    np.testing.assert_array_equal(parts._nearest(d2, h), found.rows)
    assert objective == pytest.approx(found.objective, rel=1e-12)
    rows = np.flatnonzero(~outliers)[:h]
    for _ in range(30):
        mean, C = parts._moments(Y, rows)
        d2, truth = parts._distances(Y - mean, C, alpha)
        rows = parts._nearest(np.where(outliers, np.inf, d2), h)
    assert found.objective <= truth + 0.05 * abs(truth)
    assert not outliers[found.rows].any()


def test_the_wide_form_keeps_all_distances():
    X, _ = curves(25, 80)
    found = parts.coordinates(X)
    Y = found.values * 2.0**found.exponent
    assert Y.shape[1] <= 24
    gaps = np.linalg.norm(X[:, None] - X, axis=2)
    np.testing.assert_allclose(np.linalg.norm(Y[:, None] - Y, axis=2), gaps, atol=1e-13 * gaps.max())


@pytest.mark.parametrize("level", [0.5, 0.975])
def test_the_quantile_of_equal_weights_is_exact(level):
    assert parts.quantile(np.full(7, 2.0), level) == pytest.approx(2 * stats.chi2.ppf(level, 7), rel=1e-10)


def test_the_quantile_of_unequal_weights_is_near_a_simulated_one():
    weights = 0.7 ** np.arange(12)
    draws = np.random.default_rng(0).chisquare(1.0, (200_000, 12)) @ weights
    for level in (0.5, 0.975):
        assert parts.quantile(weights, level) == pytest.approx(np.quantile(draws, level), rel=0.02)


# ---------------------------------------------------------------- outliers


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("n", [60, 30])
def test_outliers_are_not_kept_and_are_the_farthest(model, n):
    X, outliers = curves(n, 40, model)
    scatter = RobustSpectralFilter().fit(X)
    assert not scatter.support_[outliers].any()
    assert scatter.d2_[outliers].min() > np.median(scatter.d2_[~outliers])


def test_far_outliers_change_nothing():
    X, outliers = curves(model="magnitude")
    far = X.copy()
    far[outliers] += 1e6
    near, one = RobustSpectralFilter().fit(X), RobustSpectralFilter().fit(far)
    np.testing.assert_array_equal(one.support_, near.support_)
    np.testing.assert_allclose(one.d2_[~outliers], near.d2_[~outliers], rtol=1e-6)


def test_most_clean_rows_are_kept():
    X, _ = curves(400, 20, contamination=0.0)
    assert RobustSpectralFilter().fit(X).support_.mean() > 0.9


def test_the_fit_without_a_row_is_the_law_of_the_kept_ones():
    X, _ = curves()
    scatter = RobustSpectralFilter().fit(X)
    kept = X[scatter.support_]
    own = scatter.filter_.leave_one_out()
    for i in (0, 7):
        rest = SpectralFilter("ridge", alpha=scatter.alpha_, alpha_units="absolute").fit(
            np.delete(kept, i, axis=0)
        )
        assert own[i] == pytest.approx(rest.mahalanobis(kept[i : i + 1])[0], rel=1e-7)


# ---------------------------------------------------------------- equivariance and units


@pytest.mark.parametrize("factor", [1e-8, 1e8])
@pytest.mark.parametrize("shape", [(60, 30), (40, 90)])
def test_units_change_nothing(shape, factor):
    X, _ = curves(*shape)
    one, other = RobustSpectralFilter().fit(X), RobustSpectralFilter().fit(factor * X)
    np.testing.assert_array_equal(one.support_, other.support_)
    np.testing.assert_allclose(other.d2_, one.d2_, rtol=1e-8)


@pytest.mark.parametrize("shape", [(60, 30), (40, 90)])
def test_shifts_turns_and_permutations_change_nothing(shape):
    X, _ = curves(*shape)
    one = RobustSpectralFilter().fit(X)
    order = np.random.default_rng(0).permutation(len(X))
    for Z in (X + 7.0, turned(X), X[:, ::-1]):
        other = RobustSpectralFilter().fit(Z)
        np.testing.assert_array_equal(other.support_, one.support_)
        np.testing.assert_allclose(other.d2_, one.d2_, rtol=1e-6)
    other = RobustSpectralFilter().fit(X[order])
    np.testing.assert_array_equal(other.support_, one.support_[order])


def test_float32_stays_and_agrees():
    X, _ = curves()
    one, other = RobustSpectralFilter().fit(X), RobustSpectralFilter().fit(X.astype(np.float32))
    np.testing.assert_array_equal(one.support_, other.support_)
    np.testing.assert_allclose(other.d2_, one.d2_, rtol=1e-3)


# ---------------------------------------------------------------- degenerate rows and errors


def test_duplicated_and_constant_columns_are_no_trouble():
    X, outliers = curves(model="periodic")
    Z = np.column_stack([X, X[:, 0], np.full(len(X), 3.0)])
    scatter = RobustSpectralFilter().fit(Z)
    assert np.isfinite(scatter.d2_).all()
    assert not scatter.support_[outliers].any()


def test_most_rows_on_a_line():
    rng = np.random.default_rng(0)
    X = np.outer(rng.normal(size=40), np.ones(6))
    X[:6] = rng.normal(size=(6, 6)) * 4
    scatter = RobustSpectralFilter().fit(X)
    assert np.isfinite(scatter.d2_).all()
    assert not scatter.support_[:6].any()


@pytest.mark.parametrize("X", [np.ones((10, 3)), np.vstack([np.ones((9, 3)), np.eye(3)])])
def test_equal_rows_are_an_error(X):
    with pytest.raises(RankDeficientError, match="rows are equal"):
        RobustSpectralFilter().fit(X)


def test_four_rows_are_enough():
    X = np.random.default_rng(0).normal(size=(4, 3))
    assert np.isfinite(RobustSpectralFilter().fit(X).d2_).all()
    with pytest.raises(ValueError, match="minimum of 4"):
        RobustSpectralFilter().fit(X[:3])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"filter": "truncate"}, "filter of RobustSpectralFilter"),
        ({"alpha": 0.0}, "alpha of RobustSpectralFilter must be positive"),
        ({"alpha": np.nan}, "alpha"),
        ({"alpha": "1"}, "alpha"),
        ({"alpha": True}, "alpha"),
        ({"alpha_units": "volts"}, "alpha_units"),
        ({"support_fraction": 0.4}, "support_fraction"),
        ({"support_fraction": 1.1}, "support_fraction"),
        ({"support_fraction": None}, "support_fraction"),
        ({"outside": "no"}, "outside"),
        ({"n_components": 0}, "n_components"),
    ],
)
def test_parameters_are_checked(parameters, words):
    X, _ = curves(20, 5)
    with pytest.raises(ValueError, match=words):
        RobustSpectralFilter(**parameters).fit(X)


def test_nan_is_named():
    X, _ = curves(20, 5)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="rows 3"):
        RobustSpectralFilter().fit(X)


def test_a_failed_fit_leaves_the_old_one():
    X, _ = curves(20, 5)
    scatter = RobustSpectralFilter().fit(X)
    before = scatter.d2_
    with pytest.raises(RankDeficientError):
        scatter.fit(np.ones((20, 5)))
    assert scatter.d2_ is before


def test_it_serves_the_detector():
    X, outliers = curves(100, 30, "phase")
    detector = MahalanobisDetector(RobustSpectralFilter(), alpha=0.01).fit(X)
    assert type(detector.null_).__name__ == "RobustSpectralNull"
    assert (detector.labels_[outliers] == -1).all()
    assert (detector.labels_[~outliers] == -1).mean() < 0.05


# ---------------------------------------------------------------- rows that hide others, numbers far from one


@pytest.mark.parametrize("distance", [1e8, 1e10, 1e15, 1e100])
@pytest.mark.parametrize("p", [20, 80])
def test_one_gross_row_hides_no_other(p, distance):
    X = np.random.default_rng(0).normal(size=(50, p))
    X[:8] += 3 * np.sin(np.arange(p))
    X[-1] += distance
    scatter = RobustSpectralFilter().fit(X)
    assert not scatter.support_[[*range(8), 49]].any()
    assert scatter.d2_[:8].min() > scatter.d2_[8:-1].max()


@pytest.mark.parametrize("units", ["leading", "trace", "absolute"])
@pytest.mark.parametrize("alpha", [1e-100, 1e60, 1e100])
def test_any_alpha_can_be_searched_with(alpha, units):
    X, _ = curves(30, 12)
    scatter = RobustSpectralFilter(alpha=alpha, alpha_units=units).fit(X)
    assert scatter.support_.mean() >= 0.5
    assert np.isfinite(scatter.objective_)


@pytest.mark.parametrize("units", ["leading", "absolute"])
@pytest.mark.parametrize("shape", [(60, 30), (40, 90)])
def test_the_objective_is_the_determinant(shape, units):
    X, _ = curves(*shape)
    X *= 1e3
    scatter = RobustSpectralFilter(alpha=0.03, alpha_units=units).fit(X)
    subset = X[scatter.raw_support_]
    values = np.linalg.svd(subset - subset.mean(axis=0), compute_uv=False) ** 2 / (len(subset) - 1)
    dimensions = min(X.shape[1], len(X) - 1)
    lifted = np.pad(values, (0, max(dimensions - values.size, 0)))[:dimensions]
    if units == "absolute":
        assert scatter.objective_ == pytest.approx(np.log(lifted + 0.03).sum(), rel=1e-6)
    else:  # in the units of the data, whichever alpha the start has led to
        other = RobustSpectralFilter(alpha=0.03).fit(X / 1e3)
        assert scatter.objective_ - other.objective_ == pytest.approx(dimensions * np.log(1e6), rel=1e-9)


@pytest.mark.parametrize("p", [3, 45])
@pytest.mark.parametrize("share", [0.75, 1.0])
def test_more_than_half_of_the_rows_equal(p, share):
    X = np.random.default_rng(0).normal(size=(30, p))
    X[:19] = X[0]
    with pytest.raises(RankDeficientError, match="19 of 30 rows are equal"):
        RobustSpectralFilter(support_fraction=share).fit(X)


def test_a_far_row_is_no_reason_to_call_the_others_equal():
    X = np.random.default_rng(0).normal(size=(100, 30))
    X[-1] += 1e15
    scatter = RobustSpectralFilter().fit(X)
    assert not scatter.support_[-1]
    assert scatter.support_.mean() > 0.7
