"""The law of the robust spectral filter: its studentisation, its level on clean and on contaminated curves, errors."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from fmahal import MRCD, MahalanobisDetector
from fmahal.datasets import make_functional_samples, make_outlying_curves
from fmahal.exceptions import CalibrationWarning
from fmahal.nulls import BootstrapNull, select_null
from fmahal.nulls.robust_spectral import RobustSpectralNull, bulk, is_strange, left_out, shape
from fmahal.scatter import SpectralFilter
from fmahal.scatter.robust_spectral import RobustSpectralFilter
from fmahal.spaces import L2Space


def fitted(n=60, p=20, seed=0, contamination=0.1, **parameters):
    bunch = make_outlying_curves("bump", n, p, contamination=contamination, random_state=seed)
    X = L2Space().fit_transform(bunch.data)
    scatter = RobustSpectralFilter(**parameters).fit(X)
    return X, bunch.outliers, scatter


# ---------------------------------------------------------------- the bulk


def test_the_bulk_of_a_normal_sample_has_its_centre_and_scale():
    roots = stats.norm(5.0, 0.4).ppf((np.arange(20_000) + 0.5) / 20_000)
    assert bulk(roots**3) == pytest.approx((5.0, 0.4), rel=2e-3)


def test_far_distances_do_not_move_the_bulk():
    roots = stats.norm(5.0, 0.4).ppf((np.arange(800) + 0.5) / 800)
    mixed = np.concatenate([roots**3, np.full(150, 1e4), [np.inf]])
    assert bulk(mixed) == pytest.approx(bulk(roots**3), rel=1e-2)


def test_equal_distances_have_a_scale_above_zero():
    centre, spread = bulk(np.full(30, 8.0))
    assert centre == pytest.approx(2.0)
    assert 0 < spread < 1e-10


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_bulk_follows_units(factor):
    d2 = np.random.default_rng(0).chisquare(6, 50)
    np.testing.assert_allclose(bulk(factor * d2), np.cbrt(factor) * np.array(bulk(d2)), rtol=1e-9)


# ---------------------------------------------------------------- the law


def test_training_distances_are_those_of_fits_without_the_row():
    X, _, scatter = fitted()
    null = RobustSpectralNull(2).fit(scatter, X, scatter.d2_)
    np.testing.assert_array_equal(null.train_d2_, left_out(scatter, scatter.d2_))
    np.testing.assert_array_equal(null.train_d2_[~scatter.support_], scatter.d2_[~scatter.support_])
    assert (null.train_d2_[scatter.support_] > scatter.d2_[scatter.support_]).all()
    i = int(np.flatnonzero(scatter.support_)[3])
    kept = scatter.support_.copy()
    kept[i] = False
    rest = SpectralFilter("ridge", alpha=scatter.alpha_, alpha_units="absolute").fit(X[kept])
    assert null.train_d2_[i] == pytest.approx(rest.mahalanobis(X[i : i + 1])[0], rel=1e-7)


def test_references_are_the_studentised_ones_of_simulated_samples():
    X, _, scatter = fitted(n=30, p=8)
    null = RobustSpectralNull(3, random_state=5).fit(scatter, X, scatter.d2_)
    kept = X[scatter.support_]
    sd = np.sqrt(np.linalg.eigvalsh(np.cov(kept.T))[::-1])
    references = []
    for seed in np.random.SeedSequence(5).spawn(3):
        rows = np.random.default_rng(seed).standard_normal((60, 8)) * sd
        own = RobustSpectralFilter().fit(rows[:30])
        d2 = left_out(own, own.d2_)
        centre, spread = bulk(d2)
        references.append((np.cbrt(d2) - centre) / spread)
    want = (null.centre_ + null.spread_ * np.concatenate(references)) ** 3
    got = np.array([null.train_dist_.sf(x * (1 + s)) for x in np.sort(want)[-5:] for s in (-1e-6, 1e-6)])
    np.testing.assert_allclose(got[::2] - got[1::2], 1.0 / 91, rtol=1e-9)


def test_the_same_seed_gives_the_same_law():
    X, _, scatter = fitted(n=30, p=8)
    one, two = (RobustSpectralNull(2, random_state=1).fit(scatter, X, scatter.d2_) for _ in range(2))
    other = RobustSpectralNull(2, random_state=2).fit(scatter, X, scatter.d2_)
    assert one.new_dist_.isf(0.1) == two.new_dist_.isf(0.1) != other.new_dist_.isf(0.1)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_units_change_no_pvalue(factor):
    X, _, _ = fitted(n=40)
    one, other = (MahalanobisDetector(RobustSpectralFilter()).fit(c * X) for c in (1.0, factor))
    np.testing.assert_allclose(other.pvalues_, one.pvalues_, atol=2e-3)
    np.testing.assert_array_equal(other.labels_, one.labels_)


def share_flagged(process, n, sets, contamination, level):
    train = new = 0.0
    for seed in range(sets):
        if contamination:
            bunch = make_outlying_curves("periodic", n, 20, contamination=contamination, random_state=seed)
            X, clean = L2Space().fit_transform(bunch.data), ~bunch.outliers
            fresh = make_outlying_curves(
                "periodic", 300, 20, contamination=0.0, random_state=10_000 + seed
            ).data
        else:
            X, clean = make_functional_samples(process, n, 20, random_state=seed).data, slice(None)
            fresh = make_functional_samples(process, 300, 20, random_state=10_000 + seed).data
        fresh = L2Space().fit_transform(fresh) if contamination else fresh
        detector = MahalanobisDetector(RobustSpectralFilter(), RobustSpectralNull(10)).fit(X)
        train += (detector.pvalues_[clean] <= level).mean() / sets
        new += (detector.pvalues(fresh) <= level).mean() / sets
    return train, new


@pytest.mark.parametrize("contamination", [0.0, 0.2])
def test_level_small(contamination):
    """Twelve data sets: five standard errors of the share are about 0.035 around 0.05."""
    for share in share_flagged("brownian", 60, 12, contamination, 0.05):
        assert 0.01 < share < 0.10


@pytest.mark.slow
@pytest.mark.parametrize("process", ["brownian", "exponential"])
@pytest.mark.parametrize("n", [40, 100])
def test_level(process, n):
    for share in share_flagged(process, n, 80, 0.0, 0.05):
        assert 0.035 < share < 0.07
    # a fifth of outliers takes rows from the bulk: fewer clean rows are flagged, half as many at n = 40
    for share in share_flagged(process, n, 80, 0.2, 0.05):
        assert (0.015 if n < 100 else 0.025) < share < 0.075


# ---------------------------------------------------------------- who gets it


def test_auto_picks_it_where_the_space_is_fixed_and_the_rows_are_enough():
    X, _, scatter = fitted(n=40)
    assert isinstance(select_null(scatter, X), RobustSpectralNull)
    fixed = make_pipeline(L2Space(), RobustSpectralFilter()).fit(X)
    assert isinstance(select_null(fixed, X), RobustSpectralNull)
    learns = make_pipeline(PCA(10), RobustSpectralFilter()).fit(X)
    assert not isinstance(select_null(learns, X), RobustSpectralNull)
    assert select_null(scatter, X, alpha=1e-5).tail == "gpd"


def test_few_rows_get_another_law():
    X, _, _ = fitted(n=40)
    few = RobustSpectralFilter().fit(X[:8])
    assert isinstance(select_null(few, X[:8]), BootstrapNull)


@pytest.mark.parametrize("estimator", [MRCD(), SpectralFilter()])
def test_other_estimators_are_refused(estimator):
    X, _, _ = fitted(n=30, p=8)
    estimator.fit(X)
    with pytest.raises(ValueError, match="law of RobustSpectralFilter, not of"):
        RobustSpectralNull().fit(estimator, X, estimator.mahalanobis(X))


@pytest.mark.parametrize("count", [0, 1.5, True, "many"])
def test_the_number_of_samples_is_checked(count):
    X, _, scatter = fitted(n=30, p=8)
    with pytest.raises(ValueError, match="n_samples must be a whole number"):
        RobustSpectralNull(count).fit(scatter, X, scatter.d2_)


@pytest.mark.parametrize("rows", [slice(5), slice(0, 30)])
def test_other_rows_than_the_training_rows_are_refused(rows):
    X, _, scatter = fitted(n=40, p=8)
    with pytest.raises(ValueError, match="pass the training rows"):
        RobustSpectralNull(2).fit(scatter, X[rows], scatter.d2_)


def test_an_unfitted_filter_is_refused():
    X, _, scatter = fitted(n=30, p=8)
    with pytest.raises(NotFittedError):
        RobustSpectralNull(2).fit(RobustSpectralFilter(), X, scatter.d2_)


# ---------------------------------------------------------------- levels, and what the law does not hold for


def test_a_level_that_no_pvalue_reaches_is_told():
    X, _, scatter = fitted(n=40, p=8)
    with pytest.warns(
        CalibrationWarning, match="n_samples=3 is too few for level 0.0001: with 120 references"
    ):
        MahalanobisDetector(RobustSpectralFilter(), RobustSpectralNull(3), alpha=1e-4).fit(X)
    null = RobustSpectralNull(3).fit(scatter, X, scatter.d2_)
    null.check_level(1 / 121)
    assert np.isfinite(null.new_dist_.isf(1 / 121))
    with pytest.warns(CalibrationWarning, match="Use n_samples=4 or more"):
        null.check_level(1 / 122)
    assert null.new_dist_.isf(1 / 122) == np.inf
    RobustSpectralNull(3, tail="gpd").fit(scatter, X, scatter.d2_).check_level(1e-4)
    with pytest.raises(ValueError, match="between 0 and 1"):
        null.check_level(0.0)


@pytest.mark.parametrize("kind", ["train", "new"])
def test_the_standard_error_of_a_cutoff_is_that_of_other_streams(kind):
    """Sixteen streams: the spread of their cut-offs is known to a fifth, an error of ten groups hardly better."""
    X, _, scatter = fitted(n=40, p=8)
    laws = [RobustSpectralNull(10, random_state=k).fit(scatter, X, scatter.d2_) for k in range(16)]
    cutoffs = [getattr(law, f"{kind}_dist_").isf(0.05) for law in laws]
    errors = [law.cutoff_se(0.05, kind) for law in laws]
    assert 0.4 < np.median(errors) / np.std(cutoffs, ddof=1) < 2.5
    with pytest.raises(ValueError, match="kind must be"):
        laws[0].cutoff_se(0.05, "old")
    detector = MahalanobisDetector(RobustSpectralFilter(), RobustSpectralNull(3)).fit(X)
    assert detector.cutoff_se_ == detector.null_.cutoff_se(0.01) > 0


def lognormal(n, seed, size=0.7):
    t = np.linspace(0, 1, 30)
    waves = np.array([np.sqrt(2) * np.sin((k + 0.5) * np.pi * t) / (k + 1) for k in range(5)])
    return np.exp(size * np.random.default_rng(seed).normal(size=(n, 5)) @ waves)


def test_skewed_curves_are_told():
    X = lognormal(100, 1)
    scatter = RobustSpectralFilter().fit(X)
    with pytest.warns(CalibrationWarning, match="wider or more skewed than for Gaussian curves"):
        null = RobustSpectralNull().fit(scatter, X, scatter.d2_)
    assert (null.train_dist_.sf(null.train_d2_) <= 0.01).mean() > 0.05
    logs = np.log(X)
    scatter = RobustSpectralFilter().fit(logs)
    RobustSpectralNull().fit(scatter, logs, scatter.d2_)  # no warning


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_shape_of_a_bulk_has_no_unit(factor):
    d2 = np.random.default_rng(0).chisquare(6, 50)
    np.testing.assert_allclose(shape(factor * d2, *bulk(factor * d2)), shape(d2, *bulk(d2)), rtol=1e-6)
    assert shape(np.zeros(5), 0.0, 0.0) == (0.0, 0.0)


def test_strange_is_what_simulated_bulks_hardly_ever_are():
    rng = np.random.default_rng(0)
    found = [is_strange(tuple(rng.normal(size=2)), rng.normal(size=(20, 2))) for _ in range(2000)]
    assert np.mean(found) < 0.003
    assert is_strange((9.0, 9.0), rng.normal(size=(20, 2)))
    assert not is_strange((-9.0, -9.0), rng.normal(size=(20, 2)))
    assert not is_strange((9.0, 9.0), rng.normal(size=(4, 2)))  # of so few nothing is known
    assert not is_strange((9.0, 9.0), np.zeros((20, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("contamination", [0.0, 0.2])
@pytest.mark.parametrize("n", [30, 100])
def test_neither_gaussian_curves_nor_outliers_are_told(n, contamination):
    """One in a thousand would be a warning for nothing; outliers near the others make it a few."""
    told = 0
    for seed in range(50):
        X, _, scatter = fitted(n, 30, seed, contamination)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            RobustSpectralNull().fit(scatter, X, scatter.d2_)
        told += len(caught)
    assert told <= (1 if contamination == 0 else 3)
