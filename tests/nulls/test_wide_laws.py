"""Laws of wide rows: how distances grow with the rows of a fit, and what sketches get where refits are slow."""

import warnings

import numpy as np
import pytest
import sklearn.covariance as skcov
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fmahal import MRCD, QIS, EmpiricalCovariance, LedoitWolf, MahalanobisDetector, ShrunkCovariance
from fmahal.exceptions import CalibrationWarning
from fmahal.nulls import BootstrapNull, ConformalNull, WeightedChiSquareNull, _auto_rules, select_null
from fmahal.nulls import _bootstrap_plan as plans
from fmahal.nulls._size_scale import continued, more_held
from fmahal.scatter import SpectralFilter
from fmahal.scatter.sketched import Sketched


def rows(n, p, factors, seed=0, new=1000):
    """Rows of common factors and noise, and new ones."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(factors, p))
    X = rng.normal(size=(n + new, factors)) @ loadings + rng.normal(size=(n + new, p))
    return X[:n], X[n:]


def shares(estimator, X, Y, level=0.05, null=None):
    """Shares of training and of new rows that a law flags."""
    estimator.fit(X)
    d2 = (estimator[-1] if hasattr(estimator, "steps") else estimator).mahalanobis
    to = estimator[:-1].transform if hasattr(estimator, "steps") else np.asarray
    train, new = d2(to(X)), d2(to(Y))
    law = (select_null(estimator, X, alpha=level) if null is None else null).fit(estimator, X, train)
    return np.mean(law.train_dist_.sf(train) <= level), np.mean(law.new_dist_.sf(new) <= level)


def plan(scatter, X, **parameters):
    return plans.make_plan(scatter.fit(X), X, BootstrapNull(20, **parameters)._choice())


# ---------------------------------------------------------------- the scale


WIDE = [
    (LedoitWolf(), None),
    (skcov.OAS(), BootstrapNull(40, random_state=0)),
    (make_pipeline(StandardScaler(), LedoitWolf()), BootstrapNull(30, random_state=0)),
    (Sketched(LedoitWolf(), n_components=60, random_state=0), BootstrapNull(30, random_state=0)),
]


@pytest.mark.parametrize(("estimator", "null"), WIDE, ids=lambda value: str(value)[:40])
def test_wide_rows_with_common_factors_keep_their_level(estimator, null, monkeypatch):
    """Nine tenths of the rows are shrunk more: unscaled, their distances are a smaller law than those of all rows."""
    X, Y = rows(150, 500, 8, seed=1)
    train, new = shares(estimator, X, Y, null=null)
    assert 0.01 < train < 0.08
    assert 0.01 < new < 0.08
    monkeypatch.setattr(plans, "grows", lambda scatter, facts: False)
    unscaled = shares(estimator, X, Y, null=null)[1]
    assert unscaled > max(0.06, 1.5 * new)


@pytest.mark.slow
@pytest.mark.parametrize("factors", [0, 5, 30])
@pytest.mark.parametrize(("n", "p"), [(300, 1000), (100, 300), (100, 50), (50, 100)])
def test_rates_of_wide_rows_stay_within_a_factor_of_two(n, p, factors):
    found = [shares(LedoitWolf(), *rows(n, p, factors, seed)) for seed in range(2 + 600 // n)]
    assert (np.mean(found, axis=0) < 0.08).all()
    assert (np.mean(found, axis=0) > 0.015).all()


def test_a_power_of_the_rows_is_continued_exactly():
    d2 = np.random.default_rng(0).chisquare(50, size=(20, 10))
    for power in (-0.5, 0.0, 1.0, 2.5):
        at = {size: d2 * size**power for size in (80, 90, 100)}
        factor = continued(at[90], at[80], 90, 80, 100)
        np.testing.assert_allclose(factor * at[90], at[100], rtol=1e-12)
    some = np.where(d2 > np.quantile(d2, 0.9), np.inf, d2)  # rows off a subspace, and rows at the centre
    some[0] = 0.0
    assert continued(some, some / 2, 90, 80, 100) == pytest.approx(2 ** (np.log(100 / 90) / np.log(90 / 80)))
    assert continued(np.zeros((2, 2)), np.zeros((2, 2)), 90, 80, 100) == 1.0


@pytest.mark.parametrize(("n", "held"), [(100, 10), (10, 1), (10, 5), (4, 1), (3, 2), (2, 1)])
def test_the_second_fits_keep_half_of_the_rows_of_the_first(n, held):
    more = more_held(n, held)
    assert held <= more <= 2 * held
    assert n - more >= (n - held) / 2


@pytest.mark.parametrize("estimator", [LedoitWolf(), QIS(), ShrunkCovariance(shrinkage=0.2)], ids=str)
def test_training_distances_get_the_median_of_the_fit(estimator):
    X, _ = rows(60, 90, 4)
    d2 = estimator.fit(X).mahalanobis(X)
    null = BootstrapNull(20, random_state=0).fit(estimator, X, None)
    assert null.train_dist_.ppf(0.5) == pytest.approx(np.median(d2), rel=2e-3)


def test_the_rows_left_out_are_the_same_ones_in_both_fits():
    """Else the ratio would be one of different rows, whose distances differ more than the fits do."""
    X, _ = rows(60, 90, 4)
    made = plan(LedoitWolf(), X)
    seed = np.random.SeedSequence(3)
    held = np.concatenate([block.new for block in made.draws(seed)])
    farther = np.concatenate([block.new for block in made.resize.again(seed, len(held))])
    assert held.shape == (20, 6)
    assert farther.shape == (20, 12)
    ratio = np.log(held / farther[:, :6])
    assert ratio.std() < 0.5 * np.log(held).std()
    assert ratio.std() < 0.5 * np.log(held / farther[:, 6:]).std()


TALL, FLAT = rows(80, 6, 2)[0], rows(40, 60, 2)[0]
LEFT = [(LedoitWolf(), TALL), (EmpiricalCovariance(), TALL), (MRCD(), FLAT), (SpectralFilter("ridge"), FLAT)]


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
@pytest.mark.parametrize(("scatter", "X"), LEFT, ids=str)
def test_laws_that_are_right_are_left_as_they_are(scatter, X):
    assert plan(scatter, X).resize is None
    if scatter.__class__ is not EmpiricalCovariance:
        assert plan(Sketched(scatter, n_components=3, random_state=0), X).resize is None
    assert plan(LedoitWolf(), FLAT).resize is not None


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_change_no_cut_off(unit):
    one, other = (
        BootstrapNull(20, random_state=0).fit(LedoitWolf().fit(X), X, None) for X in (FLAT, unit * FLAT)
    )
    for name in ("train_dist_", "new_dist_"):
        a, b = (getattr(null, name).isf([0.5, 0.05]) for null in (one, other))
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("settings", [{"max_memory": 1}, {"refit": "full"}], ids=str)
def test_blocks_and_engines_change_no_cut_off(settings):
    X, scatter = FLAT, LedoitWolf().fit(FLAT)
    one, other = (BootstrapNull(25, random_state=0, **kw).fit(scatter, X, None) for kw in ({}, settings))
    for name in ("train_dist_", "new_dist_"):
        a, b = (getattr(null, name).isf([0.5, 0.05]) for null in (one, other))
        np.testing.assert_allclose(a, b, rtol=1e-7)


class Demanding(LedoitWolf):
    """Fits no fewer rows than a replicate has."""

    def fit(self, X, y=None):
        if len(X) < 36:
            raise ValueError("too few rows")
        return super().fit(X)


def test_fits_that_are_too_small_for_the_estimator_scale_nothing(monkeypatch):
    scatter = Demanding().fit(FLAT)
    null = BootstrapNull(20, random_state=0).fit(scatter, FLAT, None)
    monkeypatch.setattr(plans, "grows", lambda scatter, facts: False)
    plain = BootstrapNull(20, random_state=0).fit(scatter, FLAT, None)
    np.testing.assert_array_equal(null.new_dist_.isf([0.5, 0.05]), plain.new_dist_.isf([0.5, 0.05]))


def test_half_of_the_rows_held_out_and_planted_rows():
    X, Y = rows(100, 300, 5)
    X[:5] += 2.0 * np.random.default_rng(1).normal(size=(5, 300))
    for holdout in (0.1, 0.5):
        null = BootstrapNull(60, holdout=holdout, random_state=0)
        assert shares(LedoitWolf(), X, Y, null=null)[1] < 0.05
    d2 = LedoitWolf().fit(X).mahalanobis(X)
    assert set(np.argsort(d2)[-5:]) == set(range(5))


# ---------------------------------------------------------------- sketches whose refits take long


def sketch(scatter, k=10):
    return Sketched(scatter, n_components=k, random_state=0)


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(_auto_rules, "_PATIENCE", 0.0)


def test_a_sketch_whose_refits_take_long_is_calibrated_on_half_of_the_rows(hurried):
    """The law of known parameters would flag no training row, and every new one."""
    X, Y = rows(120, 200, 4, new=300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = MahalanobisDetector(sketch(LedoitWolf()), alpha=0.05).fit(X)
    assert isinstance(detector.null_, ConformalNull)
    assert detector.null_.kind == "split"
    assert np.mean(detector.predict(Y) == -1) < 0.15
    assert 0 < np.mean(detector.labels_ == -1) <= 0.05
    again = MahalanobisDetector(sketch(LedoitWolf()), alpha=0.05).fit(X)
    np.testing.assert_array_equal(again.predict(Y), detector.predict(Y))


def test_a_level_that_half_of_the_rows_do_not_resolve_is_a_warning_that_says_so(hurried):
    X, Y = rows(120, 200, 4, new=50)
    scatter = sketch(LedoitWolf()).fit(X)
    assert isinstance(select_null(scatter, X, alpha=1 / 61), ConformalNull)
    with pytest.warns(
        CalibrationWarning, match=r"they say nothing.*ConformalNull\('split'\).*is 0.016"
    ) as record:
        null = select_null(scatter, X, alpha=0.016)
    assert isinstance(null, WeightedChiSquareNull)
    assert len(record) == 1
    law = null.fit(scatter, X, None)
    assert np.mean(law.new_dist_.sf(scatter.mahalanobis(Y)) <= 0.016) > 0.2  # what it warns of


WEIGHTED = [
    (sketch(MRCD()), FLAT),  # calibration among outliers
    (make_pipeline(PCA(25), sketch(LedoitWolf())), FLAT),  # half of the rows have no 25 components
    (sketch(EmpiricalCovariance()), rows(40, 25, 2)[0]),  # nor the rank of all
]


@pytest.mark.parametrize(("estimator", "X"), WEIGHTED, ids=lambda value: str(value)[:30])
def test_what_half_of_the_rows_cannot_do_is_not_asked_of_them(estimator, X, hurried):
    estimator.fit(X)
    with pytest.warns(CalibrationWarning, match="ConformalNull"):
        assert isinstance(select_null(estimator, X, alpha=0.1), WeightedChiSquareNull)


def test_half_of_the_rows_will_do_for_unregularised_sketches_of_few_columns(hurried):
    X = rows(60, 12, 2)[0]
    scatter = make_pipeline(StandardScaler(), sketch(EmpiricalCovariance(), 4)).fit(X)
    null = select_null(scatter, X, alpha=0.05)
    assert isinstance(null, ConformalNull)
    assert null.fit(scatter, X, np.ones(60)).n_references_[1] == 30


def test_fits_without_more_rows_count_as_time(monkeypatch):
    scatter = sketch(LedoitWolf()).fit(FLAT)
    facts = _auto_rules.Case(scatter, None, scatter, _facts(scatter, FLAT), None, "", 60, 0.2)
    fits = _auto_rules._replicates(facts)
    assert fits > 20
    for share, kind in ((0.5, ConformalNull), (1.5, BootstrapNull)):
        monkeypatch.setattr(_auto_rules, "_PATIENCE", (fits + 20 * share) * _auto_rules._fit_seconds(facts))
        assert isinstance(select_null(scatter, FLAT, alpha=0.2), kind)


def _facts(scatter, X):
    from fmahal.scatter import facts
    from fmahal.scatter._resolve import inner_of

    return facts(inner_of(scatter), X)
