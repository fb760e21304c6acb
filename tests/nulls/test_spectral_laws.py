"""Laws of spectral filters and of robust scatters on spherical scores: engines, ranks, maps, sizes."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from fmahal import (
    MRCD,
    BootstrapNull,
    ChiSquareNull,
    ConformalNull,
    EmpiricalCovariance,
    MahalanobisDetector,
    MinCovDet,
    NormalTheoryNull,
    RobustNull,
    WeightedChiSquareNull,
)
from fmahal.exceptions import CalibrationWarning, RankDeficientError, RankDeficientWarning
from fmahal.nulls import select_null
from fmahal.nulls._continued_law import FartherLaw
from fmahal.nulls._empirical_law import EmpiricalLaw
from fmahal.nulls._left_out import lost_directions
from fmahal.scatter import SpectralFilter
from fmahal.spaces import L2Space, SphericalPCA

FILTERS = [
    {"filter": "rkhs"},
    {"filter": "rkhs", "alpha": 1e-3, "alpha_units": "trace"},
    {"filter": "rkhs", "n_components": 6},
    {"filter": "ridge"},
    {"filter": "ridge", "n_components": 4},
    {"filter": "truncate"},
    {"filter": "truncate", "n_components": 0.8},
    {"filter": "inverse", "n_components": 5},
]
LEVELS = [0.5, 0.1, 0.02]


def brownian(n, T=50, seed=0):
    return np.random.default_rng(seed).normal(size=(n, T)).cumsum(axis=1) / np.sqrt(T)


def ornstein(n, T=50, seed=0):
    t = np.linspace(0, 1, T)
    root = np.linalg.cholesky(np.exp(-np.abs(t[:, None] - t) / 0.3))
    return np.random.default_rng(seed).normal(size=(n, T)) @ root.T


# ---------------------------------------------------------------- the engine


@pytest.mark.parametrize("settings", FILTERS, ids=lambda s: "-".join(str(v) for v in s.values()))
@pytest.mark.parametrize(("n", "T"), [(60, 20), (30, 90)])
def test_the_engine_gives_the_distances_of_refits(settings, n, T):
    X = brownian(n, T) + 50.0
    scatter = SpectralFilter(**settings).fit(X)
    fast = BootstrapNull(15, random_state=1).fit(scatter, X, None)
    slow = BootstrapNull(15, random_state=1, refit="full").fit(scatter, X, None)
    assert (fast.engine_, slow.engine_) == ("spectral", "refit")
    for kind in ("train_dist_", "new_dist_"):
        np.testing.assert_allclose(
            getattr(fast, kind).isf(LEVELS), getattr(slow, kind).isf(LEVELS), rtol=1e-7
        )


@pytest.mark.parametrize("unit", [1e-120, 1e-8, 1e8, 1e120])
def test_units_change_no_law(unit):
    X = brownian(40, 60)
    laws = [
        BootstrapNull(10, random_state=0).fit(SpectralFilter().fit(rows), rows, None)
        for rows in (X, unit * X)
    ]
    np.testing.assert_allclose(laws[1].new_dist_.isf(LEVELS), laws[0].new_dist_.isf(LEVELS), rtol=1e-9)


def test_absolute_amounts_and_many_columns():
    X = 1e-3 * brownian(40, 250)
    for settings in (
        {"filter": "ridge", "alpha": 1e-5, "alpha_units": "absolute"},
        {"filter": "inverse", "n_components": 3},
    ):
        scatter = SpectralFilter(**settings).fit(X)
        fast, slow = (
            BootstrapNull(6, random_state=2, refit=refit).fit(scatter, X, None) for refit in ("fast", "full")
        )
        np.testing.assert_allclose(fast.new_dist_.isf(LEVELS), slow.new_dist_.isf(LEVELS), rtol=1e-7)


def test_filters_that_divide_by_next_to_nothing_are_refitted():
    X = brownian(60, 10) * np.r_[np.ones(9), 1e-7]
    X[:, :9] = brownian(60, 9, seed=1)
    scatter = SpectralFilter("inverse", n_components=10).fit(X)
    assert BootstrapNull(5, random_state=0).fit(scatter, X, None).engine_ == "refit"


# ---------------------------------------------------------------- rank


@pytest.mark.parametrize("refit", ["fast", "full"])
def test_fewer_rows_are_no_lost_rank(refit):
    X = ornstein(20, 200)
    for settings in FILTERS:
        scatter = SpectralFilter(**settings).fit(X)
        null = BootstrapNull(10, refit=refit, random_state=0).fit(scatter, X, None)
        assert null.n_redrawn_ == 0
        assert np.isfinite(null.new_dist_.isf(0.1))
        assert lost_directions(clone(scatter).fit(X[:15]), X[:15], scatter.rank_) == 0


def test_named_directions_can_be_lost():
    X = np.zeros((30, 8))
    X[:, :3] = brownian(30, 3)
    X[0, 5] = 9.0
    scatter = SpectralFilter("inverse", n_components=4).fit(X)
    with pytest.warns(CalibrationWarning, match="lacked the rank"):
        laws = [
            BootstrapNull(20, refit=refit, random_state=3).fit(scatter, X, None) for refit in ("fast", "full")
        ]
    assert laws[0].n_redrawn_ == laws[1].n_redrawn_ > 0
    np.testing.assert_allclose(laws[0].new_dist_.isf(LEVELS), laws[1].new_dist_.isf(LEVELS), rtol=1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficientWarning)
        assert lost_directions(clone(scatter).fit(X[1:]), X[1:], 4) == 1


# ---------------------------------------------------------------- the laws that are given


def test_weights_of_the_filter():
    X = brownian(200)
    for settings in FILTERS:
        scatter = SpectralFilter(**settings).fit(X)
        null = WeightedChiSquareNull().fit(scatter, X, None)
        np.testing.assert_allclose(null.weights_, scatter.null_weights_)
        if settings["filter"] in ("truncate", "inverse"):
            chi2 = ChiSquareNull().fit(scatter, X, None)
            assert chi2.df_ == scatter.n_components_
            np.testing.assert_allclose(
                null.new_dist_.isf(LEVELS), stats.chi2(scatter.n_components_).isf(LEVELS), rtol=1e-12
            )


@pytest.mark.parametrize("ddof", [0, 1])
def test_the_inverse_without_a_cut_has_the_exact_laws(ddof):
    X = brownian(40, 6)
    scatter = SpectralFilter("inverse", ddof=ddof).fit(X)
    null = select_null(scatter, X).fit(scatter, X, None)
    assert isinstance(null, NormalTheoryNull)
    sample = EmpiricalCovariance().fit(X)
    exact = NormalTheoryNull().fit(sample, X, None)
    for kind in ("train_dist_", "new_dist_"):
        expected = getattr(exact, kind).isf(LEVELS) * (40 - ddof) / 40
        np.testing.assert_allclose(getattr(null, kind).isf(LEVELS), expected)
    with pytest.warns(RankDeficientWarning, match="every training row has the same"):
        wide = SpectralFilter("inverse").fit(brownian(10, 30))
    with pytest.raises(RankDeficientError, match="constant that does not depend"):
        select_null(wide, brownian(10, 30)).fit(wide, brownian(10, 30), None)


def test_normal_theory_is_an_approximation_for_a_cut():
    X = brownian(100)
    with pytest.warns(CalibrationWarning, match="Beta law of training rows is close"):
        NormalTheoryNull().fit(SpectralFilter("truncate").fit(X), X, None)
    with pytest.warns(CalibrationWarning, match="filter of estimated eigenvalues"):
        NormalTheoryNull().fit(SpectralFilter("ridge").fit(X), X, None)


def test_made_rows_have_the_covariance_of_the_rows_and_not_of_the_filter():
    X = brownian(80, 30)
    scatter = SpectralFilter("rkhs").fit(X)
    for kind in ("parametric", "smoothed", "elliptical", "wild"):
        null = BootstrapNull(10, kind=kind, random_state=0).fit(scatter, X, None)
        law = WeightedChiSquareNull().fit(scatter, X, None).new_dist_
        assert null.new_dist_.isf(0.5) == pytest.approx(law.isf(0.5), rel=0.35)
    wide = brownian(20, 60)
    with pytest.raises(ValueError, match="all are equally far"):
        BootstrapNull(5, kind="elliptical").fit(SpectralFilter().fit(wide), wide, None)


# ---------------------------------------------------------------- what null="auto" takes


def test_auto():
    X = ornstein(100, 60)
    for settings in FILTERS:
        for estimator in (SpectralFilter(**settings), make_pipeline(L2Space(), SpectralFilter(**settings))):
            null = select_null(estimator.fit(X), X)
            assert isinstance(null, BootstrapNull)
            assert null.kind == "nonparametric"
            assert null.n_resamples >= 100
    with pytest.warns(CalibrationWarning, match="law of weighted sums"):
        null = select_null(SpectralFilter().fit(X[:8]), X[:8])
    assert isinstance(null, WeightedChiSquareNull)


def white(n, T=60, seed=0):
    return np.random.default_rng(seed).normal(size=(n, T))


@pytest.mark.parametrize(("filter", "n"), [("ridge", 12), ("rkhs", 12), ("truncate", 20)])
def test_flat_spectra_keep_rare_levels(filter, n):
    X, new = white(n), white(500, seed=1)
    detector = MahalanobisDetector(SpectralFilter(filter)).fit(X)
    assert detector.null_.kind == "parametric"
    assert np.sum(detector.labels_ == -1) <= 1
    assert np.mean(detector.predict(new) == -1) < 0.05


def test_rows_that_make_their_own_distances_are_not_resampled():
    X = white(30)
    detector = MahalanobisDetector(SpectralFilter("rkhs")).fit(X)
    assert detector.null_.kind == "parametric"
    assert np.sum(detector.labels_ == -1) <= 2
    resampled = MahalanobisDetector(SpectralFilter("rkhs"), BootstrapNull(100, random_state=0)).fit(X)
    assert np.mean(resampled.labels_ == -1) > 0.5  # why


@pytest.mark.parametrize("unit", [1e-120, 1e120])
def test_units_change_no_parametric_law(unit):
    X = ornstein(12, 30)
    laws = [
        BootstrapNull(10, kind="parametric", random_state=0).fit(SpectralFilter().fit(rows), rows, None)
        for rows in (X, unit * X)
    ]
    np.testing.assert_allclose(laws[1].new_dist_.isf(LEVELS), laws[0].new_dist_.isf(LEVELS), rtol=1e-9)


def test_the_farther_of_two_laws():
    rng = np.random.default_rng(0)
    near, far = EmpiricalLaw(rng.chisquare(3, 400)), EmpiricalLaw(rng.chisquare(3, 600) * 2)
    law = FartherLaw(near, far)
    x = np.linspace(0.0, 30.0, 50)
    np.testing.assert_array_equal(law.sf(x), np.maximum(near.sf(x), far.sf(x)))
    np.testing.assert_array_equal(law.cdf(x), 1 - law.sf(x))
    np.testing.assert_array_equal(law.isf(LEVELS), far.isf(LEVELS))
    np.testing.assert_array_equal(law.ppf(LEVELS), np.maximum(near.ppf(LEVELS), far.ppf(LEVELS)))
    assert law.size == 400
    assert law.standard_error(0.1) == far.standard_error(0.1)


def test_auto_for_robust_scatters_on_spherical_scores():
    X = brownian(60)
    pipe = make_pipeline(L2Space(), SphericalPCA(), MinCovDet(random_state=0)).fit(X)
    assert isinstance(select_null(pipe, X), RobustNull)
    pipe = make_pipeline(L2Space(), SphericalPCA(), MRCD()).fit(X)
    null = select_null(pipe, X)
    assert null.kind == "parametric"
    fitted = null.fit(pipe, X, None)
    assert np.isfinite(fitted.new_dist_.isf(0.01))
    learned = make_pipeline(SphericalPCA(3), EmpiricalCovariance()).fit(X)
    assert not isinstance(select_null(learned, X), NormalTheoryNull)


@pytest.mark.parametrize("scatter", [MinCovDet(random_state=0), MRCD()], ids=["mcd", "mrcd"])
@pytest.mark.parametrize("share", [0.1, 0.2])
def test_planted_outliers_do_not_widen_the_law_of_robust_curves(scatter, share):
    X = brownian(100)
    bad = np.arange(int(100 * share))
    X[bad] += 3 * np.sin(np.linspace(0, 3 * np.pi, 50))
    detector = MahalanobisDetector(make_pipeline(L2Space(), SphericalPCA(), scatter), alpha=0.01).fit(X)
    flagged = detector.labels_ == -1
    assert flagged[bad].all()
    assert flagged[bad.size :].mean() < 0.06


@pytest.mark.parametrize("kind", ["jackknife", "split"])
def test_conformal_laws_of_curves(kind):
    X, Y = ornstein(60, 100), ornstein(60, 100, seed=1)
    detector = MahalanobisDetector(SpectralFilter(), null=ConformalNull(kind, random_state=0), alpha=0.1).fit(
        X
    )
    rate = np.mean(detector.predict(Y) == -1)
    assert stats.binom(60, 0.1).cdf(rate * 60) > 1e-3
    assert stats.binom(60, 0.1).sf(rate * 60 - 1) > 1e-4
    far = detector.pvalues(Y[:3] + 50.0)
    assert np.all(far <= 0.05)


# ---------------------------------------------------------------- sizes

CASES = [
    ({"filter": "rkhs"}, brownian),
    ({"filter": "rkhs", "alpha": 1e-3}, brownian),
    ({"filter": "truncate"}, ornstein),
    ({"filter": "inverse", "n_components": 5}, ornstein),
]


def sizes(settings, curves, n, data_sets, level):
    """Share of flagged training rows and new rows, over data sets."""
    rates = []
    for k in range(data_sets):
        X, Y = curves(n, seed=k), curves(300, seed=10_000 + k)
        scatter = SpectralFilter(**settings).fit(X)
        null = BootstrapNull(60, random_state=0).fit(scatter, X, None)
        rates.append(
            [
                np.mean(law.sf(scatter.mahalanobis(rows)) <= level)
                for law, rows in ((null.train_dist_, X), (null.new_dist_, Y))
            ]
        )
    return np.mean(rates, axis=0)


@pytest.mark.parametrize(("settings", "curves"), CASES)
def test_the_level_is_kept(settings, curves):
    train, new = sizes(settings, curves, 100, 8, 0.05)
    assert 0.035 < train < 0.065
    assert 0.03 < new < 0.075


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100, 200])
@pytest.mark.parametrize("settings", FILTERS[:2] + FILTERS[3:4] + FILTERS[5:], ids=str)
@pytest.mark.parametrize("curves", [brownian, ornstein])
def test_the_level_is_kept_in_many_samples(settings, curves, n):
    train, new = sizes(settings, curves, n, 100, 0.05)
    assert 0.03 < train < 0.065
    assert 0.038 < new < 0.065


# ---------------------------------------------------------------- levels that few rows reach


def test_the_tail_of_few_rows_goes_on_like_that_of_normal_rows():
    X = ornstein(40)
    scatter = SpectralFilter().fit(X)
    assert select_null(scatter, X, alpha=0.01).tail == "normal"
    assert select_null(scatter, X, alpha=0.05).tail is None
    plain = BootstrapNull(30, random_state=0).fit(scatter, X, None)
    null = BootstrapNull(30, tail="normal", random_state=0).fit(scatter, X, None)
    made = BootstrapNull(75, kind="parametric", random_state=5).fit(scatter, X, None)
    law, share = null.new_dist_, 2.5 / 40
    np.testing.assert_array_equal(null.train_dist_.isf(LEVELS), plain.train_dist_.isf(LEVELS))
    np.testing.assert_array_equal(law.isf([0.5, 0.1, share]), plain.new_dist_.isf([0.5, 0.1, share]))
    assert law.isf(0.01) / law.isf(share) == pytest.approx(
        made.new_dist_.isf(0.01) / made.new_dist_.isf(share), rel=0.15
    )
    x = np.linspace(0, 3 * float(law.isf(1e-3)), 400)
    p = law.sf(x)
    assert np.all(np.diff(p) <= 0)
    assert 0 < p[-1] < 1e-3
    np.testing.assert_allclose(p + law.cdf(x), 1)
    q = np.array([0.04, 0.02, 0.01, 0.003])
    np.testing.assert_allclose(law.sf(law.isf(q)), q, rtol=0.2)
    for level in q:  # a cut-off and a p-value tell the same rows apart
        above = x > law.isf(level)
        np.testing.assert_array_equal(law.sf(x[above]) <= level, True)
        np.testing.assert_array_equal(law.sf(x[~above]) > level, True)
    np.testing.assert_array_equal(law.ppf(1 - q), law.isf(1 - (1 - q)))
    assert 0 < null.cutoff_se(0.01) < law.isf(0.01)
    null.check_level(1e-4)


@pytest.mark.parametrize("settings", [{"kind": "parametric"}, {"statistic": "max"}])
def test_a_normal_tail_is_for_single_rows_that_are_resampled(settings):
    X = brownian(30)
    with pytest.raises(ValueError, match="tail='normal' continues"):
        BootstrapNull(5, tail="normal", **settings).fit(SpectralFilter().fit(X), X, None)
