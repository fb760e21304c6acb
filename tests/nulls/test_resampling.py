"""The bootstrap: its maps against explicit refits, its engines against each other, and what it claims."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn.covariance as skcov
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fmahal import (
    MRCD,
    OAS,
    OGK,
    QIS,
    EmpiricalCovariance,
    LedoitWolf,
    NormalTheoryNull,
    ShrunkCovariance,
    WrappedCovariance,
)
from fmahal._registry import nulls
from fmahal.exceptions import CalibrationWarning, RankDeficientError, RankDeficientWarning
from fmahal.nulls._bootstrap_checks import as_bytes
from fmahal.nulls._bootstrap_plan import _radii, make_plan
from fmahal.nulls._empirical_law import EmpiricalLaw
from fmahal.nulls._generated import GeneratedSampler, SignSampler, bandwidth, clean_normal, span_of
from fmahal.nulls._maximum_law import MaximumLaw
from fmahal.nulls._moment_bootstrap import moment_draws
from fmahal.nulls._refit_bootstrap import refit_draws, squared_distances
from fmahal.nulls._resample_maps import (
    effective_size,
    grown,
    grown_normal,
    new_row_map,
    own_weight,
    pulled_in,
)
from fmahal.nulls.resampling import BootstrapNull
from fmahal.scatter import facts
from fmahal.scatter.mcd import MinCovDet

Q = np.array([0.9, 0.5, 0.1, 0.05, 0.01])
MOMENTS = [
    EmpiricalCovariance(),
    EmpiricalCovariance(assume_centered=True),
    LedoitWolf(),
    OAS(),
    QIS(),
    ShrunkCovariance(shrinkage=0.3),
    ShrunkCovariance(ridge=0.1),
    skcov.EmpiricalCovariance(),
    skcov.LedoitWolf(),
    skcov.OAS(),
    skcov.ShrunkCovariance(),
]
GENERATED = ["smoothed", "parametric", "elliptical", "wild"]


def rows(n, p, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_t(6, size=(n, p)) @ rng.normal(size=(p, p)) + 10.0


def fitted(estimator, X, n_resamples=40, **settings):
    settings.setdefault("random_state", 0)
    estimator.fit(X)
    return BootstrapNull(n_resamples, **settings).fit(estimator, X, squared_distances(estimator, X))


def cutoffs(null):
    return np.concatenate([null.train_dist_.isf(Q), null.new_dist_.isf(Q)])


def collected(blocks):
    blocks = list(blocks)
    return np.concatenate([b.train for b in blocks]), np.concatenate([b.new for b in blocks])


class Trimmed(BaseEstimator):
    """A scatter of somebody else: no tags, no mahalanobis, no rank."""

    def fit(self, X, y=None):
        X = np.asarray(X)
        self.location_ = np.median(X, axis=0)
        self.covariance_ = np.cov(X.T) + 0.1 * np.diag(X.var(axis=0))
        return self

    def get_precision(self):
        return np.linalg.inv(self.covariance_)


# ---------------------------------------------------------------- maps


def mean_and_inverse(X, c, target, centred):
    """Mean and inverse of c S + target, of divisor len(X)."""
    m = X.mean(axis=0) if centred else np.zeros(X.shape[1])
    return m, np.linalg.inv(c * (X - m).T @ (X - m) / len(X) + target)


def distance(x, m, inverse):
    return (x - m) @ inverse @ (x - m)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("c", [1.0, 0.6])
def test_a_row_s_own_weight_is_an_identity(c, centred):
    X = rows(12, 3)
    n = len(X)
    freedom = n / (n - 1)  # the added matrix keeps its size relative to the sums, not to the divisor
    target = (1 - c) * np.eye(3)
    D = [
        distance(X[i], *mean_and_inverse(np.delete(X, i, axis=0), c, freedom * target, centred))
        for i in range(n)
    ]
    q = [distance(x, *mean_and_inverse(X, c, target, centred)) for x in X]
    np.testing.assert_allclose(pulled_in(np.array(D), n, c, centred=centred), q, rtol=1e-9)


@pytest.mark.parametrize("centred", [True, False])
def test_growing_is_leaving_out_and_pulling_in(centred):
    D = np.geomspace(1e-3, 1e3, 50)
    q = pulled_in(D, 45, 0.7, centred=centred)
    np.testing.assert_allclose(
        grown(q, 45, 60, 0.7, centred=centred), pulled_in(D, 60, 0.7, centred=centred), rtol=1e-12
    )
    np.testing.assert_allclose(grown(q, 45, 45, 0.7, centred=centred), q, rtol=1e-12)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("c", [0.0, 0.4, 1.0])
def test_the_weight_of_a_row_is_found_again(c, centred):
    D = stats.chi2(5).rvs(size=(20, 30), random_state=1)
    q = pulled_in(D, 40, c, centred=centred)
    assert own_weight(q, D, 40, centred=centred) == pytest.approx(c, abs=1e-5)


def test_a_weight_that_makes_no_sense_is_none():
    assert own_weight(np.zeros((20, 3)), np.zeros((20, 3)), 10, centred=True) == 0.0
    assert own_weight(np.full((20, 3), 9.0), np.ones((20, 3)), 10, centred=True) == 0.0


def test_the_effective_size_of_a_resample():
    assert effective_size(10_000, 1) == pytest.approx(5000, rel=1e-3)
    assert np.isnan(effective_size(100, 64))
    assert effective_size(100, 60) > 60
    n, p, rng = 400, 80, np.random.default_rng(0)
    traces = []
    for _ in range(15):
        X, w = rng.normal(size=(n, p)), rng.multinomial(n, np.full(n, 1 / n))
        traces.append(np.trace(np.linalg.inv((X * w[:, None]).T @ X / n)) / p)
    # within a percent, where n / 2 would give 1 / (1 - 160 / 400) = 1.67
    assert 1 / (1 - p / effective_size(n, p)) == pytest.approx(np.mean(traces), rel=0.02)


@pytest.mark.parametrize("centred", [True, False])
def test_the_map_of_new_rows_is_that_of_f_laws(centred):
    p, N, n = 4, 27, 30
    d2 = np.geomspace(0.05, 60, 40)
    location = 1 if centred else 0

    def law(k):  # of divisor k, from the exact laws of one covariance with k - location degrees of freedom
        m = k - location
        return stats.f(p, m - p + 1, scale=(1 + location / k) * k * p / (m - p + 1))

    mapped = new_row_map(N, n, p, centred=centred)(d2)
    np.testing.assert_allclose(mapped, law(n).isf(law(N).sf(d2)), rtol=2e-3)
    far = new_row_map(N, n, p, centred=centred)(np.array([1e10, 1e20, 1e300]))
    assert np.isfinite(far).all()
    assert (np.diff(far) > 0).all()


# ---------------------------------------------------------------- engines


@pytest.mark.parametrize("scatter", MOMENTS, ids=repr)
@pytest.mark.parametrize("n_held", [0, 4])
def test_weights_give_what_copies_give(scatter, n_held):
    X = rows(40, 4)
    scatter.fit(X)
    options = {"n_resamples": 7, "seed": np.random.SeedSequence(3), "n_held": n_held}
    train, new = collected(moment_draws(scatter, X, max_bytes=2**20, **options))
    copies_train, copies_new = collected(refit_draws(scatter, X, **options))
    np.testing.assert_allclose(train, copies_train, rtol=1e-10)
    np.testing.assert_allclose(new, copies_new, rtol=1e-10)
    assert np.isnan(new).any() == (n_held == 0)


@pytest.mark.parametrize(
    ("scatter", "n", "p"),
    [(s, 40, 4) for s in MOMENTS] + [(s, 20, 30) for s in MOMENTS if "Empirical" not in repr(s)],
    ids=repr,
)
@pytest.mark.parametrize("statistic", ["point", "max"])
def test_the_fast_law_is_the_full_law(scatter, n, p, statistic):
    X = rows(n, p)
    fast, full = (fitted(scatter, X, 12, refit=r, statistic=statistic) for r in ("fast", "full"))
    assert fast.engine_ == ("moments" if p <= n else "gram")
    assert full.engine_ == "refit"
    assert fast.n_references_ == full.n_references_
    np.testing.assert_allclose(cutoffs(fast), cutoffs(full), rtol=1e-9)


@pytest.mark.parametrize("refit", ["fast", "full"])
@pytest.mark.parametrize("holdout", [0.1, None])
def test_memory_and_jobs_change_nothing(refit, holdout):
    X = rows(30, 3)
    base = fitted(EmpiricalCovariance(), X, refit=refit, holdout=holdout, n_resamples=24)
    for settings in ({"max_memory": 1}, {"max_memory": "2GB"}, {"n_jobs": 2}):
        other = fitted(EmpiricalCovariance(), X, refit=refit, holdout=holdout, n_resamples=24, **settings)
        np.testing.assert_allclose(cutoffs(other), cutoffs(base), rtol=1e-12)
    again = fitted(EmpiricalCovariance(), X, refit=refit, holdout=holdout, n_resamples=24, random_state=1)
    assert not np.allclose(cutoffs(again), cutoffs(base))


@pytest.mark.parametrize(
    "n_resamples", [7, 30]
)  # fewer and more than those from which a row's weight is learned
def test_what_is_learned_does_not_depend_on_blocks(n_resamples):
    X = rows(30, 3)
    one, many = (fitted(QIS(), X, n_resamples=n_resamples, max_memory=m) for m in (2**28, 1))
    np.testing.assert_allclose(cutoffs(one), cutoffs(many), rtol=1e-9)
    assert one.n_references_ == many.n_references_ == (27 * n_resamples, 3 * n_resamples)


@pytest.mark.parametrize("kind", GENERATED)
def test_jobs_do_not_change_generated_rows(kind):
    X = rows(25, 3)
    one, two = (fitted(LedoitWolf(), X, kind=kind, n_resamples=20, n_jobs=j) for j in (None, 2))
    np.testing.assert_allclose(cutoffs(one), cutoffs(two), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
def test_a_random_estimator_gets_a_seed_for_each_refit():
    X = rows(40, 2)
    first, second = (fitted(skcov.MinCovDet(), X, n_resamples=3) for _ in range(2))
    np.testing.assert_array_equal(cutoffs(first), cutoffs(second))


@pytest.mark.parametrize("refit", ["fast", "full"])
def test_an_interrupt_leaves_an_earlier_fit(refit):
    X = rows(30, 3)
    scatter = EmpiricalCovariance().fit(X)
    null = BootstrapNull(20, refit=refit, random_state=0, max_memory=1).fit(scatter, X, None)
    before = dict(vars(null))

    def stop(done, total):
        assert total == 40
        if done >= 10:
            raise KeyboardInterrupt

    null.set_params(n_resamples=40, statistic="max", callback=stop, random_state=5)
    with pytest.raises(KeyboardInterrupt):
        null.fit(scatter, X, None)
    fitted_names = [name for name in before if name.endswith("_")]
    assert len(fitted_names) == 7
    for name in fitted_names:
        assert vars(null)[name] is before[name]


@pytest.mark.parametrize("refit", ["fast", "full"])
def test_progress_reaches_the_end(refit, capsys):
    seen = []
    fitted(
        LedoitWolf(), rows(20, 2), n_resamples=30, refit=refit, callback=lambda *a: seen.append(a), verbose=1
    )
    assert seen[-1] == (30, 30)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert "BootstrapNull: 30 of 30 replicates" in capsys.readouterr().err


def test_the_estimator_is_not_touched_and_the_null_travels():
    X = rows(40, 3)
    pipeline = make_pipeline(PCA(2), LedoitWolf()).fit(X)
    before = squared_distances(pipeline, X)
    null = BootstrapNull(30, random_state=0).fit(pipeline, X, before)
    np.testing.assert_array_equal(squared_distances(pipeline, X), before)
    np.testing.assert_array_equal(cutoffs(pickle.loads(pickle.dumps(null))), cutoffs(null))


# ---------------------------------------------------------------- resamples without rank


def test_a_resample_without_rank_is_drawn_again_and_told():
    X = rows(12, 2)
    X[:, 1] = 0.0
    X[:3, 1] = [1.0, 2.0, 4.0]  # a resample without these three rows has a constant column
    with pytest.warns(CalibrationWarning, match="lacked the rank"):
        fast = fitted(EmpiricalCovariance(), X, holdout=0.5, n_resamples=60)
    with pytest.warns(CalibrationWarning, match="lacked the rank"):
        full = fitted(EmpiricalCovariance(), X, holdout=0.5, n_resamples=60, refit="full")
    assert fast.n_redrawn_ == full.n_redrawn_ > 3
    np.testing.assert_allclose(cutoffs(fast), cutoffs(full), rtol=1e-9)


@pytest.mark.parametrize("refit", ["fast", "full"])
def test_too_many_without_rank_are_an_error(refit):
    X = np.vstack([np.zeros((40, 2)), np.eye(2)])
    scatter = EmpiricalCovariance().fit(X)
    with pytest.raises(RankDeficientError, match=r"than half of (all|the) "):
        BootstrapNull(50, holdout=0.5, refit=refit, random_state=0).fit(scatter, X, None)


def test_a_refit_that_fails_says_where():
    class Fussy(Trimmed):
        def fit(self, X, y=None):
            if len(X) < 30:
                raise ValueError("I need 30 rows.")
            return super().fit(X)

    X = rows(30, 2)
    with pytest.raises(ValueError, match=r"Fussy to resample 0 failed: I need 30 rows"):
        fitted(Fussy(), X)


# ---------------------------------------------------------------- kinds


def test_parametric_is_normal_theory_for_the_sample_covariance():
    X = rows(30, 3)
    null = fitted(EmpiricalCovariance(), X, kind="parametric", n_resamples=200)
    exact = NormalTheoryNull().fit(EmpiricalCovariance().fit(X), X, None)
    for kind, level in (("train", 0.1), ("train", 0.01), ("new", 0.1), ("new", 0.01)):
        ours, theirs = (getattr(law, f"{kind}_dist_").isf(level) for law in (null, exact))
        assert abs(ours - theirs) < 5 * null.cutoff_se(level, kind)
        assert null.cutoff_se(level, kind) < 0.05 * theirs


def sampler(kind, X, n=4000):
    scatter = EmpiricalCovariance().fit(X)
    white = scatter.transform(X)
    radii = np.linalg.norm(white, axis=1)
    seed = np.random.SeedSequence(0)
    return scatter, GeneratedSampler(kind, white, radii, scatter.location_, scatter.whitener_, n, seed)


def test_elliptical_keeps_the_radial_law_and_nothing_else():
    X = np.exp(rows(100, 3) / 10)
    scatter, source = sampler("elliptical", X)
    (fit,) = source.fits(0, 0)
    d2 = scatter.mahalanobis(fit.rows)
    known = scatter.mahalanobis(X)
    assert np.abs(d2[:, None] / known - 1).min(axis=1).max() < 1e-9
    white = scatter.transform(fit.rows)
    directions = white / np.linalg.norm(white, axis=1, keepdims=True)
    np.testing.assert_allclose(directions.T @ directions / len(white), np.eye(3) / 3, atol=0.03)
    assert np.abs(directions.mean(axis=0)).max() < 0.05


def test_radii_of_the_sample_covariance_are_without_their_own_pull():
    X = np.random.default_rng(0).normal(size=(30, 6))
    scatter = EmpiricalCovariance().fit(X)
    radii = _radii(scatter.transform(X), scatter, facts(scatter))
    n, p, d2 = 30, 6, scatter.mahalanobis(X)
    known = stats.chi2(p).isf(NormalTheoryNull().fit(scatter, X, d2).train_dist_.sf(d2))
    np.testing.assert_allclose(radii**2, known, rtol=2e-3)
    shrunk = LedoitWolf().fit(X)
    np.testing.assert_allclose(
        _radii(shrunk.transform(X), shrunk, facts(shrunk)) ** 2, shrunk.mahalanobis(X), rtol=1e-9
    )
    far = np.zeros((n, p))
    far[0, 0] = 1.0
    far[1:, 1:] = np.random.default_rng(1).normal(size=(n - 1, p - 1))  # one row alone spans a dimension
    alone = EmpiricalCovariance().fit(far)
    assert np.isfinite(_radii(alone.transform(far), alone, facts(alone))).all()


REGULARISED = [MRCD(), WrappedCovariance(), LedoitWolf()]


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.ExactFitWarning")
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
@pytest.mark.parametrize("scatter", REGULARISED, ids=repr)
@pytest.mark.parametrize("kind", ["parametric", "smoothed", "elliptical"])
@pytest.mark.parametrize("dead", ["constant", "zero", "copies"])
def test_made_rows_do_not_vary_where_the_rows_do_not(scatter, kind, dead):
    X = np.random.default_rng(0).normal(size=(50, 4))
    more = {"constant": np.full((50, 3), 0.1), "zero": np.zeros((50, 3)), "copies": X[:, :3]}[dead]
    Y = np.hstack([X, more])
    scatter.fit(Y)
    plan = make_plan(scatter, Y, BootstrapNull(2, kind=kind)._choice())
    sampler = plan.draws.args[-1](seed=np.random.SeedSequence(0))
    (fit,) = sampler.fits(0, 0)
    assert np.linalg.matrix_rank(fit.rows - fit.rows.mean(axis=0), tol=1e-8) == 4
    if dead != "copies":
        assert (np.ptp(fit.rows[:, 4:], axis=0) == 0).all()
    cutoff = fitted(scatter, Y, kind=kind).new_dist_.isf(0.1)
    if isinstance(scatter, LedoitWolf):
        other = fitted(scatter, Y, kind="nonparametric", n_resamples=100)
    else:
        other = fitted(scatter, X, kind=kind)
    assert cutoff < 1.35 * other.new_dist_.isf(0.1)  # 1.5 times with seven dimensions


@pytest.mark.parametrize(("n", "p"), [(30, 6), (30, 50)])
def test_rows_of_full_rank_are_left_alone_and_repeated_rows_take_nothing_away(n, p):
    X = rows(n, p)
    whitener, location = clean_normal(X)
    assert span_of(X, location, whitener, centred=True).basis is None
    assert span_of(X[[0, *range(n - 1)]], location, whitener, centred=True).basis is None
    span = span_of(np.c_[X, np.ones(n)], location, clean_normal(np.c_[X, np.ones(n)])[0], centred=True)
    assert span.fixed.sum() == 1
    if n > p:
        assert span.basis.shape == (p, p + 1)
        np.testing.assert_allclose(span.basis @ span.basis.T, np.eye(p), atol=1e-12)
    else:
        assert span.basis is None


def test_equal_columns_of_any_value_have_no_units():
    Z = np.hstack([rows(30, 2), np.full((30, 1), 0.1) + 0.2])
    one, other = (clean_normal(Y)[0].covariance for Y in (Z, Z * [1, 1, 0]))
    np.testing.assert_array_equal(one, other)


def test_smoothed_keeps_location_and_covariance():
    X = rows(200, 3)
    scatter, source = sampler("smoothed", X, n=20_000)
    (fit,) = source.fits(3, 1)
    white = scatter.transform(fit.rows)
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(3), atol=0.1)
    assert bandwidth(500, 10) == pytest.approx((4 / 12) ** (1 / 14) * 500 ** (-1 / 14))
    assert len(np.unique(fit.rows[:, 0])) == len(fit.rows)


def test_wild_rows_lie_opposite_each_other_or_where_they_were():
    X = rows(50, 3)
    location = X.mean(axis=0)
    source = SignSampler(X - location, location, np.random.SeedSequence(0), 5)
    train, held = source.fits(2, 0)
    same = np.isclose(train.rows, X).all(axis=1)
    np.testing.assert_allclose(train.rows[~same], 2 * location - X[~same])
    assert 10 < same.sum() < 40
    assert len(held.rows) == 45
    assert len(held.measured[0].rows) == 5
    assert not np.isin(held.measured[0].rows[:, 0], held.rows[:, 0]).any()


def test_two_replicates_and_two_attempts_differ():
    _, source = sampler("parametric", rows(30, 3), n=10)
    made = [source.fits(*place)[0].rows for place in ((0, 0), (0, 1), (1, 0), (0, 0))]
    np.testing.assert_array_equal(made[0], made[3])
    assert len({float(m[0, 0]) for m in made}) == 3


@pytest.mark.parametrize("kind", GENERATED)
def test_kinds_through_a_scaler_and_a_third_party_scatter(kind):
    X = rows(60, 3)
    null = fitted(make_pipeline(StandardScaler(), LedoitWolf()), X, kind=kind)
    assert null.engine_ == "refit"
    assert np.isfinite(null.new_dist_.isf(0.05))
    assert 0.5 * 7.8 < fitted(Trimmed(), X, kind=kind).new_dist_.isf(0.05) < 3 * 7.8


@pytest.mark.parametrize("kind", GENERATED)
def test_a_pipeline_without_a_way_back_says_which_kind_works(kind):
    X = rows(40, 4)
    with pytest.raises(ValueError, match=r"PCA.*kind='nonparametric'"):
        fitted(make_pipeline(PCA(2), EmpiricalCovariance()), X, kind=kind)


# ---------------------------------------------------------------- pipelines


def test_a_scaler_before_the_sample_covariance_changes_nothing():
    X = rows(40, 3)
    bare = fitted(EmpiricalCovariance(), X)
    piped = fitted(make_pipeline(MinMaxScaler(), StandardScaler(), EmpiricalCovariance()), X)
    assert piped.engine_ == "moments"
    np.testing.assert_allclose(cutoffs(piped), cutoffs(bare), rtol=1e-9)


def test_steps_that_learn_are_refitted():
    X = rows(60, 5)
    assert fitted(make_pipeline(StandardScaler(), LedoitWolf()), X).engine_ == "refit"
    # Of pure noise, rows vary most along their own first component: frozen, new rows seem to do so too.
    X = np.random.default_rng(0).normal(size=(20, 12))
    learned = fitted(make_pipeline(PCA(1), EmpiricalCovariance()), X)
    frozen = fitted(EmpiricalCovariance(), PCA(1).fit_transform(X))
    assert learned.new_dist_.isf(0.5) < 0.8 * frozen.new_dist_.isf(0.5)


def test_a_data_frame_reaches_the_steps_as_one():
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer

    frame = pandas.DataFrame(rows(40, 3), columns=["a", "b", "c"])
    pipeline = make_pipeline(make_column_transformer((StandardScaler(), ["a", "c"])), EmpiricalCovariance())
    null = fitted(pipeline, frame, n_resamples=20)
    assert null.n_references_ == (20 * 36, 20 * 4)


# ---------------------------------------------------------------- robust scatters


@pytest.mark.parametrize("kind", ["nonparametric", "smoothed", "elliptical", "wild"])
def test_outliers_do_not_become_part_of_the_law(kind):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 2))
    X[:12] += 50.0
    with pytest.warns(CalibrationWarning, match="are missing in the tail"):
        null = fitted(OGK(), X, kind=kind)
    assert null.train_dist_.isf(0.01) < 100
    assert (null.train_dist_.sf(squared_distances(OGK().fit(X), X[:12])) < 0.01).all()


@pytest.mark.parametrize(("n", "p"), [(30, 50), (60, 40)])
def test_a_shrunk_robust_covariance_is_not_taken_for_the_law_of_its_rows(n, p):
    # Clean new rows of some data sets, at 5 %: rows drawn from the fitted covariance would have half of them flagged.
    mixing = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(np.arange(p), np.arange(p))))
    shares = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, new = (rng.standard_normal((m, p)) @ mixing.T for m in (n, 200))
        scatter = MRCD().fit(X)
        null = BootstrapNull(10, kind="parametric", random_state=0).fit(scatter, X, None)
        shares.append(
            [
                np.mean(null.train_dist_.sf(scatter.d2_) <= 0.05),
                np.mean(null.new_dist_.sf(scatter.mahalanobis(new)) <= 0.05),
            ]
        )
        in_units = MRCD().fit(X * np.logspace(-6, 6, p))
        scaled = BootstrapNull(10, kind="parametric", random_state=0).fit(
            in_units, X * np.logspace(-6, 6, p), None
        )
        np.testing.assert_allclose(scaled.new_dist_.isf(0.05), null.new_dist_.isf(0.05), rtol=1e-6)
    assert np.mean(shares, axis=0).max() < 0.075


def test_parametric_rows_flag_all_outliers_of_a_robust_scatter_without_a_warning():
    X = np.random.default_rng(2).normal(size=(60, 2))
    X[:9] += 50.0
    scatter = OGK().fit(X)
    null = BootstrapNull(40, kind="parametric", random_state=0).fit(scatter, X, None)
    flags = null.train_dist_.sf(scatter.mahalanobis(X)) <= 0.01
    assert flags[:9].all()
    assert flags[9:].mean() < 0.1


def test_a_robust_scatter_without_a_support():
    class Robust(Trimmed):
        robust = True

        def fit(self, X, y=None):
            super().fit(X)
            self.covariance_ = np.diag((1.48 * np.median(np.abs(X - self.location_), axis=0)) ** 2)
            return self

    X = np.random.default_rng(0).normal(size=(60, 2))
    X[:6] = 99.0
    with pytest.warns(CalibrationWarning, match="only the 5"):
        assert fitted(Robust(), X).new_dist_.isf(0.01) < 100


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
def test_the_fast_robust_bootstrap_is_near_the_full_one():
    X = np.random.default_rng(1).normal(size=(80, 2))
    scatter = MinCovDet(method="deterministic")
    fast = fitted(scatter, X, n_resamples=20)
    full = fitted(scatter, X, n_resamples=20, refit="full")
    assert (fast.engine_, full.engine_) == ("fast-robust", "refit")
    assert fast.n_references_ == full.n_references_
    np.testing.assert_allclose(cutoffs(fast), cutoffs(full), rtol=0.25)


# ---------------------------------------------------------------- laws


def test_p_values_are_never_zero_and_never_rise():
    null = fitted(EmpiricalCovariance(), rows(50, 3))
    d2 = np.concatenate([[0.0], np.geomspace(1e-3, 1e9, 300)])
    for law in (null.train_dist_, null.new_dist_):
        sf = law.sf(d2)
        assert sf[0] == 1.0
        assert (np.diff(sf) <= 0).all()
        assert sf[-1] == 1 / (law.size + 1)
    assert null.n_references_ == (null.train_dist_.size, null.new_dist_.size) == (40 * 45, 40 * 5)
    assert null.familywise_ is False


def test_a_tail_goes_on():
    null = fitted(EmpiricalCovariance(), rows(50, 3), kind="parametric", tail="gpd", n_resamples=60)
    sf = null.new_dist_.sf(np.array([1e2, 1e3, 1e4]))
    assert (np.diff(sf) < 0).all()
    assert sf[-1] > 0
    null.check_level(1e-9)


def test_the_largest_of_many_lies_farther_out():
    X = rows(40, 2)
    for kind in ("parametric", "nonparametric"):
        point, largest = (
            fitted(EmpiricalCovariance(), X, kind=kind, statistic=s, n_resamples=150)
            for s in ("point", "max")
        )
        assert largest.familywise_ is True
        assert largest.n_references_ == (150, 150)
        assert (largest.train_dist_.isf(0.1) > point.train_dist_.isf(0.1)).all()
        d2 = np.geomspace(0.1, 50, 30)
        assert (largest.new_dist_.sf(d2) >= point.new_dist_.sf(d2) - 1e-3).all()


def test_the_family_wise_cutoff_of_normal_rows():
    n, p = 50, 2
    X = np.random.default_rng(0).normal(size=(n, p))
    null = fitted(EmpiricalCovariance(), X, kind="parametric", statistic="max", n_resamples=400)
    rng, inside = np.random.default_rng(1), 0
    for _ in range(300):
        Y = rng.normal(size=(n, p))
        inside += EmpiricalCovariance().fit(Y).mahalanobis(Y).max() <= null.train_dist_.isf(0.1)
    assert inside / 300 == pytest.approx(0.9, abs=0.08)  # four standard errors


@given(
    reference=st.lists(st.floats(0, 100), min_size=1, max_size=60),
    x=st.lists(st.floats(0, 200), min_size=1, max_size=10),
    power=st.floats(0.3, 20),
    q=st.floats(1e-4, 1.0),
)
def test_cutoff_and_p_value_of_a_maximum_agree_exactly(reference, x, power, q):
    law = MaximumLaw(EmpiricalLaw(reference), power)
    x = np.concatenate([x, reference])
    levels = np.concatenate([[q], law.sf(x)])
    for level in levels:
        np.testing.assert_array_equal(x > law.isf(level), law.sf(x) <= level)
    np.testing.assert_allclose(law.cdf(x), 1 - law.sf(x))
    assert law.size == len(reference)


def test_the_law_of_a_maximum_is_a_power():
    base = EmpiricalLaw(np.arange(1.0, 100.0))
    law = MaximumLaw(base, 4.0)
    np.testing.assert_allclose(law.cdf([20.5, 80.5]), base.cdf([20.5, 80.5]) ** 4)
    assert law.ppf(0.5) == pytest.approx(100 * 0.5**0.25, abs=1)
    assert law.standard_error(0.1) == pytest.approx(base.standard_error(1 - 0.9**0.25))


# ---------------------------------------------------------------- levels


@pytest.mark.parametrize("statistic", ["point", "max"])
def test_too_few_replicates_for_a_level_are_told_with_how_many_it_takes(statistic):
    X = rows(20, 2)
    scatter = EmpiricalCovariance().fit(X)
    null = BootstrapNull(3, kind="parametric", statistic=statistic, random_state=0).fit(scatter, X, None)
    with pytest.warns(CalibrationWarning, match="n_resamples=3 is too few") as caught:
        null.check_level(0.01)
    needed = int(str(caught[0].message).split("Use n_resamples=")[1].split(" ")[0])
    null.set_params(n_resamples=needed).fit(scatter, X, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        null.check_level(0.01)
    assert min(null.new_dist_.sf(1e9), null.train_dist_.sf(1e9)) <= 0.01
    null.set_params(n_resamples=needed - 1).fit(scatter, X, None)
    with pytest.warns(CalibrationWarning, match=f"Use n_resamples={needed} "):
        null.check_level(0.01)


def test_the_standard_error_shrinks_with_replicates():
    X = rows(60, 2)
    few, many = (fitted(EmpiricalCovariance(), X, kind="parametric", n_resamples=b) for b in (50, 450))
    for kind in ("train", "new"):
        assert 1.5 < few.cutoff_se(0.05, kind) / many.cutoff_se(0.05, kind) < 7
    assert few.cutoff_se(1e-9) == np.inf
    with pytest.raises(ValueError, match="'new' or 'train'"):
        few.cutoff_se(0.05, "both")


# ---------------------------------------------------------------- invariance, sizes


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("kind", ["nonparametric", *GENERATED])
def test_units_change_nothing(scale, kind):
    X = rows(30, 3)
    for scatter in (EmpiricalCovariance(), LedoitWolf()):
        base, scaled = (fitted(scatter, Y, kind=kind, n_resamples=20) for Y in (X, scale * X))
        np.testing.assert_allclose(cutoffs(scaled), cutoffs(base), rtol=1e-6)


@pytest.mark.parametrize("holdout", [0.1, None])
@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_sizes_of_the_sample_covariance(law, holdout):
    rng, n, p, sizes = np.random.default_rng(0), 100, 10, []
    for seed in range(30):
        X, new = rng.normal(size=(n, p)), rng.normal(size=(300, p))
        X, new = (np.exp(X), np.exp(new)) if law == "lognormal" else (X, new)
        scatter = EmpiricalCovariance().fit(X)
        null = BootstrapNull(60, holdout=holdout, random_state=seed).fit(scatter, X, None)
        sizes.append(
            [
                np.mean(null.train_dist_.sf(scatter.mahalanobis(X)) <= 0.05),
                np.mean(null.new_dist_.sf(scatter.mahalanobis(new)) <= 0.05),
            ]
        )
    train, fresh = np.mean(sizes, axis=0)  # their standard errors are 0.2 % and 0.5 %
    assert 0.043 < train < 0.065
    assert 0.035 < fresh < 0.068


@pytest.mark.parametrize("scatter", [LedoitWolf(), QIS(), ShrunkCovariance(ridge=0.2)], ids=repr)
def test_training_rows_of_more_columns_than_rows_are_not_all_flagged(scatter):
    X = np.random.default_rng(0).normal(size=(30, 50))
    null = fitted(scatter, X, n_resamples=100)
    share = np.mean(null.train_dist_.sf(scatter.mahalanobis(X)) <= 0.1)
    assert share <= 0.2


# ---------------------------------------------------------------- the door


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_resamples": 0}, "n_resamples must be a whole number of at least 1"),
        ({"n_resamples": 2.5}, "n_resamples must be"),
        ({"n_resamples": True}, "n_resamples must be"),
        ({"kind": "pairs"}, "kind must be one of 'nonparametric', 'smoothed'"),
        ({"statistic": "mean"}, "statistic must be one of 'point', 'max'"),
        ({"tail": "pareto"}, "tail must be one of None, 'gpd', 'normal'"),
        ({"refit": "slow"}, "refit must be one of 'fast', 'full'"),
        ({"holdout": 0.0}, "holdout must be a share"),
        ({"holdout": 0.6}, "holdout must be a share"),
        ({"holdout": True}, "holdout must be a share"),
        ({"holdout": np.nan}, "holdout must be a share"),
        ({"n_jobs": 0}, "n_jobs must be a number of processes"),
        ({"max_memory": "much"}, "max_memory must be a number of bytes"),
        ({"max_memory": 0}, "max_memory must be"),
        ({"max_memory": "-1GB"}, "max_memory must be"),
        ({"max_memory": None}, "max_memory must be"),
        ({"statistic": np.array(["point", "max"])}, "statistic must be one of"),
        ({"kind": None}, "kind must be one of"),
        ({"callback": 3}, "callback must be None or something to call"),
        ({"random_state": -1}, "random_state must be non-negative"),
    ],
)
def test_bad_parameters_are_named(settings, message):
    X = rows(20, 2)
    with pytest.raises(ValueError, match=message):
        BootstrapNull(**settings).fit(EmpiricalCovariance().fit(X), X, None)


def test_sizes_of_memory():
    for text, size in (
        ("256MB", 2**28),
        ("2GB", 2**31),
        ("1.5 kb", 1536),
        ("1GiB", 2**30),
        (77, 77),
        ("99", 99),
    ):
        assert as_bytes(text) == size


def test_a_holdout_that_leaves_too_few_rows_says_so():
    X = rows(12, 9)
    with pytest.raises(RankDeficientError, match=r"holdout=0.5 leaves 6 of 12 rows .* rank 9 needs 11"):
        fitted(EmpiricalCovariance(), X, holdout=0.5)
    assert fitted(EmpiricalCovariance(), X, holdout=0.05, n_resamples=5).n_references_ == (55, 5)


def test_two_rows_leave_none_to_fit():
    with pytest.raises(RankDeficientError, match="leaves 1 of 2 rows to fit"):
        fitted(ShrunkCovariance(), rows(2, 2))


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
@pytest.mark.parametrize("kind", ["nonparametric", "parametric"])
def test_equal_rows_have_no_law(kind):
    with pytest.raises(RankDeficientError, match=r"20 training rows, .* are equal"):
        fitted(EmpiricalCovariance(), np.ones((20, 3)), kind=kind)


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
@pytest.mark.parametrize("kind", ["nonparametric", *GENERATED])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_equal_rows_have_no_law_though_a_robust_covariance_has_full_rank(kind, value):
    X = np.full((20, 3), value)
    some = np.vstack([X, np.random.default_rng(0).normal(size=(2, 3))])
    for Y in (X, some):
        scatter = MRCD().fit(Y)
        assert scatter.rank_ == 3
        with pytest.raises(RankDeficientError, match=rf"{len(Y)} training rows, or most of them, are equal"):
            BootstrapNull(5, kind=kind).fit(scatter, Y, None)


@pytest.mark.parametrize("scatter", [EmpiricalCovariance(), MRCD(), make_pipeline(StandardScaler(), OAS())])
def test_other_rows_than_those_of_the_fit_are_an_error(scatter):
    X = rows(60, 3)
    scatter.fit(X)
    with pytest.raises(ValueError, match=r"X has 30 rows, and \w+ was fitted to 60"):
        BootstrapNull(9).fit(scatter, X[:30], None)


@pytest.mark.parametrize("X", [np.arange(40.0), np.ones((40, 2)), np.ones((40, 3, 1))])
def test_rows_of_another_shape_are_an_error(X):
    with pytest.raises(ValueError, match=r"X (has|must)"):
        BootstrapNull(9).fit(EmpiricalCovariance().fit(rows(40, 3)), X, None)


@pytest.mark.parametrize("level", [0, 1, -1, 2, np.nan, "few", True, None])
def test_a_level_is_a_probability(level):
    null = fitted(EmpiricalCovariance(), rows(20, 2), n_resamples=5)
    for method in (null.check_level, null.cutoff_se):
        with pytest.raises(ValueError, match="level must be a number strictly between 0 and 1"):
            method(level)


def test_what_is_not_fitted_says_so():
    for method in (BootstrapNull().check_level, BootstrapNull().cutoff_se):
        with pytest.raises(NotFittedError, match="BootstrapNull"):
            method(0.1)
    with pytest.raises(NotFittedError, match="LedoitWolf has not been fitted"):
        BootstrapNull().fit(LedoitWolf(), rows(20, 2), None)


def test_advice_can_be_followed():
    X = rows(12, 30)
    with pytest.warns(RankDeficientWarning):
        scatter = EmpiricalCovariance().fit(X)
    with pytest.raises(RankDeficientError, match=r"rank 11 needs 13\. No holdout leaves as many: ") as caught:
        BootstrapNull().fit(scatter, X, None)
    assert "parametric" not in str(caught.value)
    with pytest.raises(RankDeficientError, match="pass more rows") as caught:
        fitted(LedoitWolf(), rows(3, 2))
    assert "LedoitWolf" not in str(caught.value)
    assert "smaller holdout" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
@pytest.mark.parametrize("kind", ["nonparametric", *GENERATED])
def test_a_repeated_column_changes_nothing(kind):
    X = rows(40, 2)
    once, twice = (fitted(EmpiricalCovariance(), Y, kind=kind) for Y in (X, X[:, [0, 1, 0]]))
    assert twice.n_redrawn_ == 0
    if kind in ("nonparametric", "wild"):  # others draw in other whitened coordinates
        np.testing.assert_allclose(cutoffs(twice), cutoffs(once), rtol=1e-8)
    else:
        np.testing.assert_allclose(cutoffs(twice), cutoffs(once), rtol=0.2)


@pytest.mark.parametrize(
    ("estimator", "shape", "reason"),
    [
        (LedoitWolf(), (40, 3), "affine equivariant"),
        (make_pipeline(PCA(2), EmpiricalCovariance()), (40, 3), "this pipeline is none"),
        (EmpiricalCovariance(), (20, 13), "too few distinct ones"),
    ],
    ids=["shrinkage", "pipeline", "few"],
)
def test_out_of_bag_rows_without_a_map_are_an_error(estimator, shape, reason):
    with pytest.raises(ValueError, match=rf"{reason}.*holdout=0.1"):
        fitted(estimator, rows(*shape), holdout=None)


def test_the_command_line_finds_it():
    entry = nulls["bootstrap"]
    assert entry.factory is BootstrapNull
    made = entry.factory(**entry.quick)
    assert 20 <= made.n_resamples <= 200


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("n", "p"), [(10, 1), (30, 10), (100, 50), (500, 2)])
def test_training_distances_of_fewer_normal_rows_are_mapped_to_their_exact_law(n, p, centred):
    N, lost = n - round(0.1 * n), int(centred)
    grow = grown_normal(N, n, p, centred=centred)
    levels = np.array([0.99, 0.5, 0.05, 0.01, 1e-4])
    q = (N - lost) * stats.beta(p / 2, (N - p - lost) / 2).isf(levels)
    np.testing.assert_allclose(
        stats.beta(p / 2, (n - p - lost) / 2).sf(grow(q) / (n - lost)), levels, rtol=5e-4
    )
    np.testing.assert_array_equal(grow(np.array([0.0, N - lost])), [0.0, n - lost])
    assert (np.diff(grow(np.linspace(0, N - lost, 1001))) > 0).all()


@pytest.mark.parametrize("kind", ["nonparametric", "wild", "smoothed", "elliptical"])
def test_rows_say_nothing_of_levels_far_below_one_in_their_number(kind):
    null = fitted(EmpiricalCovariance(), rows(40, 3), kind=kind, n_resamples=100)
    null.check_level(0.01)
    with pytest.warns(CalibrationWarning, match=r"level 0\.001 is too small for a law of 40 rows"):
        null.check_level(0.001)


def test_normal_rows_say_what_their_number_allows():
    fitted(EmpiricalCovariance(), rows(40, 3), kind="parametric", n_resamples=400).check_level(0.001)


@pytest.mark.parametrize("scatter", [EmpiricalCovariance(), QIS()], ids=repr)
def test_fast_measures_all_refits_in_the_space_of_the_fit_to_all_rows(scatter):
    X = rows(40, 4)
    X[0] = 1e10  # of all rows' covariance only one direction is left beside it
    with pytest.warns(RankDeficientWarning):
        scatter.fit(X)
    fast, full = (
        BootstrapNull(40, refit=refit, random_state=0).fit(scatter, X, None) for refit in ("fast", "full")
    )
    assert fast.train_dist_.isf(0.05) < 0.5 * full.train_dist_.isf(0.05)  # one dimension, four dimensions
