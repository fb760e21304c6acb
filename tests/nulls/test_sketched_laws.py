"""The laws of sketched distances: given the map, a weighted sum of chi-squares, and what the nulls make of it."""

import numpy as np
import pandas as pd
import pytest
import sklearn.covariance as skcov
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fmahal import (
    MRCD,
    EmpiricalCovariance,
    FixedScatter,
    LedoitWolf,
    MahalanobisDetector,
    ModifiedCholesky,
)
from fmahal._registry import nulls
from fmahal.exceptions import (
    CalibrationWarning,
    ExactIsCheaperWarning,
    RankDeficientError,
    RankDeficientWarning,
)
from fmahal.nulls import (
    BootstrapNull,
    ChiSquareNull,
    ConformalNull,
    EmpiricalNull,
    NormalTheoryNull,
    RobustNull,
    RobustSpectralNull,
    WeightedChiSquareNull,
    select_null,
)
from fmahal.nulls._bootstrap_plan import Choice, make_plan
from fmahal.nulls._resample_maps import new_row_factor, new_row_map, typical_factor
from fmahal.nulls._sketches import applies_unless_sketched, sketch_weights
from fmahal.nulls._template import template
from fmahal.scatter import MinCovDet, SpectralFilter, facts, resolve
from fmahal.scatter.sketched import Sketched

CLOSED = [ChiSquareNull, NormalTheoryNull, RobustNull, RobustSpectralNull]


def rows(n, p, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p)) * np.linspace(1.0, 3.0, p)


def fixed(p, location=True):
    """A known covariance, about a known location or the mean."""
    covariance = np.diag(np.linspace(1.0, 3.0, p) ** 2)
    return (
        FixedScatter(np.zeros(p), covariance=covariance) if location else FixedScatter(covariance=covariance)
    )


def map_of(sketch):
    """The map S of a fitted sketch of a scatter with a square whitener: S W taken back by the covariance's factor."""
    folded = sketch.whitener_.adjoint(np.eye(sketch.n_components_))
    return sketch.scatter_.whitener_.color(np.eye(sketch.rank_)) @ folded.T


@pytest.fixture
def maps(monkeypatch):
    """Record the map of every fit of a sketch."""
    seen, fit = [], Sketched.fit

    def recorded(self, X, y=None):
        fit(self, X, y)
        seen.append(map_of(self).T)
        return self

    monkeypatch.setattr(Sketched, "fit", recorded)
    return seen


# ---------------------------------------------------------------- the map stays


@pytest.mark.parametrize(
    ("null", "space"),
    [
        (BootstrapNull(2, random_state=0), None),
        (BootstrapNull(2, random_state=0), PCA(5)),
        (BootstrapNull(2, kind="smoothed", random_state=0), None),
        (BootstrapNull(2, kind="parametric", random_state=0), StandardScaler()),
        (BootstrapNull(2, kind="wild", random_state=0), StandardScaler()),
        (ConformalNull("split", cv=2, random_state=0), PCA(5)),
        (ConformalNull("jackknife", cv=2, random_state=0), StandardScaler()),
    ],
    ids=str,
)
def test_refits_measure_by_the_same_map(null, space, maps):
    X, sketch = rows(40, 6), Sketched(EmpiricalCovariance(), n_components=3)
    estimator = sketch if space is None else make_pipeline(space, sketch)
    estimator.fit(X)
    null.fit(
        estimator, X, resolve(estimator)[1].mahalanobis(X if space is None else estimator[0].transform(X))
    )
    assert len(maps) > 2
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], rtol=1e-9, atol=1e-9 * np.abs(maps[0]).max())


def test_without_the_template_refits_would_draw_other_maps():
    X = rows(40, 6)
    sketch = Sketched(EmpiricalCovariance(), n_components=3).fit(X)
    again, other = template(sketch).fit(X), Sketched(EmpiricalCovariance(), n_components=3).fit(X)
    np.testing.assert_array_equal(again.mahalanobis(X), sketch.mahalanobis(X))
    assert np.abs(other.mahalanobis(X) / sketch.mahalanobis(X) - 1).max() > 0.01


def test_a_template_pins_every_sketch_and_nothing_else():
    X = rows(60, 6)
    unfitted = make_pipeline(StandardScaler(), Sketched(EmpiricalCovariance(), n_components=3), LedoitWolf())
    assert template(unfitted)[1].random_state is None
    fitted = make_pipeline("passthrough", unfitted).fit(X)
    copy = template(fitted)
    assert copy[1][1].random_state == fitted[1][1].seed_
    assert not hasattr(copy[1][1], "seed_")
    assert not hasattr(copy[1][2], "location_")
    assert fitted[1][1].random_state is None  # the estimator itself is not changed
    np.testing.assert_array_equal(copy.fit(X)[-1][-1].location_, fitted[-1][-1].location_)
    assert template(EmpiricalCovariance().fit(X)).get_params() == EmpiricalCovariance().get_params()


def test_a_template_keeps_the_number_of_rows_that_a_rule_found():
    X = np.random.default_rng(0).normal(size=(40, 60))
    sketch = Sketched(LedoitWolf(), eps=0.9, delta=0.3).fit(X)
    copy = template(sketch)
    assert (copy.n_components, copy.eps) == (sketch.n_components_, None)
    np.testing.assert_array_equal(copy.fit(X).mahalanobis(X), sketch.mahalanobis(X))


# ---------------------------------------------------------------- who refuses


@pytest.mark.parametrize("null", CLOSED)
@pytest.mark.parametrize("piped", [False, True])
def test_laws_of_exact_distances_refuse_a_sketch(null, piped):
    X = rows(40, 12)
    estimator = Sketched(MinCovDet(random_state=0, method="deterministic"), n_components=3, random_state=0)
    estimator = make_pipeline(StandardScaler(), estimator) if piped else estimator
    estimator.fit(X)
    with pytest.raises(ValueError, match=r"squared singular values of S") as error:
        null().fit(estimator, X, None)
    for word in (null.__name__, "BootstrapNull", "WeightedChiSquareNull", "3 x 12", "12 degrees"):
        assert word in str(error.value)


@pytest.mark.parametrize("k", [5, 20])
def test_what_chi_square_would_flag_is_many_times_the_level_and_is_what_the_error_says(k):
    p = 200
    sketch = Sketched(FixedScatter(np.zeros(p), covariance=np.eye(p)), n_components=k, random_state=0)
    X = np.random.default_rng(1).normal(size=(4000, p))
    d2 = sketch.fit(X).mahalanobis(X)
    flagged = np.mean(d2 > ChiSquareNull(df=p).fit(sketch, X, d2).new_dist_.isf(0.01))
    assert flagged > 0.2
    with pytest.raises(ValueError, match="of clean rows") as error:
        ChiSquareNull().fit(sketch, X, d2)
    said = float(str(error.value).split("flag about ")[1].split()[0])
    assert abs(said - flagged) < 0.05


def test_given_degrees_of_freedom_are_taken_as_they_are():
    X = rows(40, 6)
    sketch = Sketched(EmpiricalCovariance(), n_components=3).fit(X)
    assert ChiSquareNull(df=6).fit(sketch, X, None).df_ == 6


def test_the_registry_knows_which_laws_a_registered_sketch_has(monkeypatch):
    from fmahal._registry import Entry, scatters

    entry = Entry("some-sketch", lambda: Sketched(EmpiricalCovariance(), n_components=3), "for the test")
    monkeypatch.setitem(scatters._entries, "some-sketch", entry)
    for name in ("chi2", "normal", "robust", "cerioli"):
        assert nulls[name].applies("some-sketch", 100, 10) is not None
    assert "weighted sums" in nulls["chi2"].applies("some-sketch", 100, 10)
    for name in ("auto", "bootstrap", "conformal", "empirical"):
        assert nulls[name].applies("some-sketch", 100, 10) is None
    assert applies_unless_sketched("empirical", 100, 10) is None
    assert applies_unless_sketched("no such name", 100, 10) is None


# ---------------------------------------------------------------- what auto takes


def test_auto_takes_the_weighted_law_where_the_covariance_is_known():
    X, sketch = rows(50, 8), Sketched(fixed(8), n_components=3, random_state=0)
    for estimator in (sketch, make_pipeline(FunctionTransformer(), sketch)):
        null = select_null(estimator.fit(X), X)
        assert isinstance(null, WeightedChiSquareNull)
    fitted = null.fit(sketch, X, None)
    np.testing.assert_allclose(
        fitted.weights_, np.linalg.svd(map_of(sketch), compute_uv=False) ** 2, rtol=1e-9
    )
    assert fitted.new_dist_ is fitted.train_dist_


def test_about_the_mean_the_weights_shrink_for_training_rows_and_grow_for_new_ones():
    n, X = 12, rows(12, 8)
    sketch = Sketched(fixed(8, location=False), n_components=3, random_state=0).fit(X)
    null = select_null(sketch, X).fit(sketch, X, None)
    np.testing.assert_allclose(null.train_dist_.weights, null.weights_ * (n - 1) / n, rtol=1e-12)
    np.testing.assert_allclose(null.new_dist_.weights, null.weights_ * (n + 1) / n, rtol=1e-12)
    with pytest.raises(RankDeficientError, match="its own mean"):
        WeightedChiSquareNull().fit(template(sketch).fit(X[:1]), X[:1], None)


@pytest.mark.parametrize(("kind", "location"), [("gaussian", False), ("srht", False), ("sparse", True)])
def test_the_weighted_law_is_exact(kind, location):
    n, p, samples = 6, 9, 2000
    sketch = Sketched(fixed(p, location), n_components=4, kind=kind, random_state=3).fit(rows(n, p))
    null = WeightedChiSquareNull().fit(sketch, rows(n, p), None)
    X = rows(samples * 2 * n, p, seed=1).reshape(samples, 2 * n, p)
    centred = X if location else X - X[:, :n].mean(axis=1, keepdims=True)
    for row, law in ((0, null.train_dist_), (n, null.new_dist_)):
        d2 = sketch.whitener_.sqnorm(centred[:, row])
        assert stats.kstest(law.cdf(d2), "uniform").pvalue > 1e-3
    if not location:  # a sample of six tells its mean from the truth
        assert (
            stats.kstest(null.new_dist_.cdf(sketch.whitener_.sqnorm(centred[:, 0])), "uniform").pvalue < 1e-3
        )


def test_a_singular_known_covariance_has_the_weights_of_its_rank():
    p, covariance = 7, np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0])
    X = np.random.default_rng(0).normal(size=(3000, p)) * np.sqrt(np.diag(covariance))
    with pytest.warns(RankDeficientWarning):
        sketch = Sketched(FixedScatter(covariance=covariance), n_components=3, random_state=0).fit(X)
    null = select_null(sketch, X).fit(sketch, X, None)
    assert null.weights_.size == 3
    assert stats.kstest(null.train_dist_.cdf(sketch.mahalanobis(X)), "uniform").pvalue > 1e-3


def test_correlated_whitened_coordinates_have_the_weights_of_their_covariance():
    """Those of a mean of precisions outnumber its rank: the squared singular values of the map are no weights then."""
    inner = ModifiedCholesky(bandwidth=1, n_orders=2, random_state=0).fit(rows(40, 8)).whitener_
    X = rows(30, 8, seed=1)
    for location in (np.zeros(8), "mean"):
        scatter = FixedScatter(location, whitener=inner)
        sketch = Sketched(scatter, n_components=3, random_state=0).fit(X)
        folded = sketch.whitener_.adjoint(np.eye(3))
        want = np.linalg.eigvalsh(folded @ inner.covariance @ folded.T)[::-1]
        null = select_null(sketch, X)
        assert isinstance(null, WeightedChiSquareNull)
        np.testing.assert_allclose(null.fit(sketch, X, None).weights_, want, rtol=1e-9)
        np.testing.assert_allclose(sketch_weights(sketch), want, rtol=1e-9)
        assert np.abs(want / sketch.singular_values_**2 - 1).max() > 0.05
        with pytest.raises(ValueError, match=f"here from {want.min():.3g} to {want.max():.3g}"):
            ChiSquareNull().fit(sketch, X, None)


def test_too_few_rows_for_a_mean_of_precisions_get_the_weights_of_its_covariance():
    X = rows(8, 6)
    inner = ModifiedCholesky(penalty="l2", alpha=0.1, n_orders=2, random_state=0)
    sketch = Sketched(inner, n_components=3, random_state=0).fit(X)
    with pytest.warns(CalibrationWarning, match="too few for a resampled law"):
        null = select_null(sketch, X).fit(sketch, X, None)
    folded = sketch.whitener_.adjoint(np.eye(3))
    want = np.linalg.eigvalsh(folded @ sketch.scatter_.covariance_ @ folded.T)[::-1]
    np.testing.assert_allclose(null.weights_, want, rtol=1e-8)


@pytest.mark.parametrize("sketched", [False, True])
def test_refits_of_a_filter_that_chooses_its_rank_lack_nothing(sketched):
    """Fewer directions hold the share of the variance in some replicates; these are no worse for that."""
    X = np.random.default_rng(1).normal(size=(40, 8))
    inner = SpectralFilter("truncate", n_components=0.9)
    estimator = Sketched(inner, n_components=3, random_state=0) if sketched else inner
    estimator.fit(X)
    ranks = [clone(inner).fit(np.delete(X, range(4 * k, 4 * k + 4), axis=0)).rank_ for k in range(10)]
    assert np.median(ranks) < estimator.rank_  # what a plain comparison of ranks would redraw
    null = BootstrapNull(20, refit="full", random_state=0).fit(estimator, X, None)
    assert null.n_redrawn_ == 0


TAKEN = [
    (EmpiricalCovariance(), "parametric"),
    (skcov.EmpiricalCovariance(), "parametric"),
    (make_pipeline(StandardScaler(), EmpiricalCovariance()), "parametric"),
    (MinCovDet(random_state=0, method="deterministic"), "parametric"),
    (MRCD(), "parametric"),
    (LedoitWolf(), "nonparametric"),
    (skcov.LedoitWolf(), "nonparametric"),
    (ModifiedCholesky(), "nonparametric"),
    (FixedScatter("median", covariance=np.eye(6)), "nonparametric"),
    (make_pipeline(PCA(5), EmpiricalCovariance()), "nonparametric"),
    (make_pipeline(StandardScaler(), fixed(6)), "nonparametric"),
]


@pytest.mark.parametrize(("inner", "kind"), TAKEN, ids=str)
def test_auto_resamples_where_something_was_estimated(inner, kind):
    X = rows(60, 6)
    space, scatter = resolve(inner)
    sketch = Sketched(scatter, n_components=2, random_state=0)
    estimator = (sketch if space is None else make_pipeline(*space.named_steps.values(), sketch)).fit(X)
    null = select_null(estimator, X, alpha=0.05)
    assert isinstance(null, BootstrapNull)
    assert null.kind == kind


def test_a_sketch_has_the_facts_of_its_scatter():
    X = np.column_stack([rows(40, 5), np.zeros(40)])
    with pytest.warns(RankDeficientWarning):
        sketch = Sketched(EmpiricalCovariance(assume_centered=True), n_components=2).fit(X)
    known = facts(sketch)
    assert (known.rank, known.n_samples, known.kind, known.assume_centered) == (5, 40, "sketched", True)
    assert facts(Sketched(MRCD(), n_components=2).fit(rows(40, 6))).robust


def test_too_few_rows_to_resample_get_the_law_of_known_parameters_and_a_warning():
    X = np.random.default_rng(0).normal(size=(8, 30))
    sketch = Sketched(LedoitWolf(), n_components=4, random_state=0).fit(X)
    with pytest.warns(CalibrationWarning, match="too few for a resampled law"):
        null = select_null(sketch, X)
    assert isinstance(null, WeightedChiSquareNull)
    np.testing.assert_allclose(null.fit(sketch, X, None).weights_, sketch.singular_values_**2)


# ---------------------------------------------------------------- the levels


def rates(inner, n, p, k, null, samples, level, new=200, seed=0):
    """Shares of flagged training and new rows, means over samples with a map each, and their standard errors."""
    found = []
    for s in range(samples):
        X = rows(n + new, p, 1000 * seed + s)
        sketch = Sketched(inner, n_components=k, random_state=s).fit(X[:n])
        d2 = sketch.mahalanobis(X)
        law = null(sketch, X[:n], level).fit(sketch, X[:n], d2[:n])
        found.append(
            [np.mean(law.train_dist_.sf(d2[:n]) <= level), np.mean(law.new_dist_.sf(d2[n:]) <= level)]
        )
    found = np.array(found)
    return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(samples)


def automatic(sketch, X, level):
    return select_null(sketch, X, alpha=level)


def resampled(sketch, X, level):
    return BootstrapNull(20, random_state=0)


@pytest.mark.parametrize("null", [automatic, resampled])
def test_alpha_means_alpha_for_the_sample_covariance(null):
    """Half as many columns as rows: unmapped, the resamples would flag half of the level."""
    share, se = rates(EmpiricalCovariance(), 60, 30, 6, null, 10, 0.05)
    assert (np.abs(share - 0.05) < 4 * se + 0.005).all()
    assert (se < 0.012).all()


def test_alpha_means_alpha_for_a_shrunk_covariance_with_more_columns_than_rows():
    share, se = rates(LedoitWolf(), 50, 80, 8, resampled, 6, 0.05)
    assert (np.abs(share - 0.05) < 4 * se + 0.01).all()


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.05, 0.01])
@pytest.mark.parametrize(
    ("inner", "n", "p", "k", "slack"),
    [
        (EmpiricalCovariance(), 100, 20, 5, 0.1),
        (EmpiricalCovariance(), 100, 50, 10, 0.1),
        (EmpiricalCovariance(), 500, 80, 20, 0.1),
        (LedoitWolf(), 60, 200, 10, 0.5),
        (LedoitWolf(), 300, 50, 10, 0.2),
        (MinCovDet(random_state=0, method="deterministic"), 100, 5, 3, 0.2),
        (ModifiedCholesky(), 300, 20, 5, 0.2),
    ],
    ids=str,
)
def test_alpha_means_alpha(inner, n, p, k, slack, level):
    """`slack`: share of the level by which resamples of few rows are known to be off."""
    share, se = rates(inner, n, p, k, automatic, 30, level, new=1000)
    assert (np.abs(share - level) < 3 * se + slack * level).all()


def test_distances_of_nine_tenths_of_the_rows_are_multiplied_to_those_of_all():
    X, d2 = rows(50, 20), np.array([1.0, 20.0, 60.0])
    choice = Choice(30, "nonparametric", 0.1, "fast", 2**26, None)
    plan = make_plan(Sketched(EmpiricalCovariance(), n_components=4).fit(X), X, choice)
    np.testing.assert_allclose(plan.new(d2), new_row_factor(45, 50, 20, centred=True)(d2))
    np.testing.assert_allclose(plan.train(d2), d2 * (45 * 49) / (50 * 44))
    shrunk = make_plan(Sketched(LedoitWolf(), n_components=4).fit(X), X, choice)
    train = shrunk.learn(np.full((20, 45), 10.0), np.full((20, 5), 14.0))
    np.testing.assert_allclose(train(d2) / d2, train(d2[:1])[0])
    assert shrunk.new is None
    assert 1.0 < train(d2[:1])[0] < 1.2


def test_new_rows_are_moved_by_the_ratio_of_the_exact_medians():
    factor = new_row_factor(90, 100, 40, centred=True)
    d2 = np.array([1.0, 39.0, 200.0])
    np.testing.assert_allclose(factor(d2) / d2, factor(d2)[0])
    median = (91 * 40 / 50) * stats.f.median(40, 50)
    np.testing.assert_allclose(
        factor(median), new_row_map(90, 100, 40, centred=True)(np.array([median])), rtol=1e-4
    )


@given(unit=st.sampled_from([1e-8, 1.0, 1e8]), power=st.floats(0.5, 2.0))
def test_the_typical_factor_agrees_with_its_map_at_the_median(unit, power):
    d2 = unit * np.array([1.0, 2.0, np.nan, 5.0])
    change = typical_factor(d2, lambda q: unit * (q / unit) ** power)
    np.testing.assert_allclose(change(d2[1:2]), unit * 2.0**power, rtol=1e-12)
    np.testing.assert_allclose(change(3 * d2), 3 * change(d2), rtol=1e-12)
    np.testing.assert_array_equal(typical_factor(np.zeros(3), lambda q: q)(d2), d2)


# ---------------------------------------------------------------- other nulls, and the detector


def test_ranks_of_a_sketch_are_ranks():
    X = rows(99, 8)
    sketch = Sketched(EmpiricalCovariance(), n_components=3, random_state=0)
    detector = MahalanobisDetector(sketch, ConformalNull(random_state=0), alpha=0.1).fit(X)
    assert detector.null_.new_dist_.size == 49
    new = rows(2000, 8, seed=1)
    assert 0.02 < np.mean(detector.predict(new) == -1) < 0.25
    assert detector.pvalues(np.full((1, 8), 50.0))[0] == pytest.approx(1 / 50)
    ranked = MahalanobisDetector(sketch, EmpiricalNull(), alpha=0.1).fit(X)
    assert np.count_nonzero(ranked.labels_ == -1) == 9


def test_full_conformal_says_that_it_does_not_serve_sketches():
    X = rows(40, 6)
    match = "distances after a row has joined do not follow from those before. Use kind='split', which is exact too"
    with pytest.raises(ValueError, match=match):
        MahalanobisDetector(Sketched(EmpiricalCovariance(), n_components=2), ConformalNull("full")).fit(X)


@pytest.mark.parametrize("space", [None, StandardScaler()], ids=["rows", "scaled"])
def test_rows_off_the_subspace_have_p_value_zero_though_no_sketch_sees_them(space):
    X = rows(60, 6)
    X[:, 5] = X[:, 0] + X[:, 1]
    sketch = Sketched(EmpiricalCovariance(), n_components=2, random_state=0)
    estimator = sketch if space is None else make_pipeline(space, sketch)
    with pytest.warns(RankDeficientWarning):
        detector = MahalanobisDetector(estimator, alpha=0.05).fit(X)
    inside = X.mean(axis=0)
    off = inside + np.eye(6)[5]
    np.testing.assert_array_equal(detector.pvalues([inside, off]) > 0, [True, False])
    assert detector.score_samples([off])[0] == -np.inf
    assert np.isfinite(detector.mahalanobis([off])).all()
    assert (detector.pvalues_ > 0).all()


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_change_no_decision(unit):
    X = rows(60, 8)
    sketch = Sketched(EmpiricalCovariance(), n_components=3, random_state=0)
    one, other = (MahalanobisDetector(sketch, alpha=0.05).fit(c * X) for c in (1.0, unit))
    np.testing.assert_array_equal(one.labels_, other.labels_)
    np.testing.assert_allclose(one.pvalues_, other.pvalues_, rtol=1e-6)


@pytest.mark.parametrize("piped", [False, True])
def test_a_sketch_that_kept_exact_distances_has_the_laws_of_its_scatter(piped):
    X = pd.DataFrame(rows(60, 6), columns=list("abcdef"))

    def detector(scatter):
        estimator = (
            make_pipeline(StandardScaler().set_output(transform="pandas"), scatter) if piped else scatter
        )
        return MahalanobisDetector(estimator, alpha=0.05)

    with pytest.warns(ExactIsCheaperWarning):
        found = detector(Sketched(EmpiricalCovariance(), n_components="auto")).fit(X)
    exact = detector(EmpiricalCovariance()).fit(X)
    assert isinstance(found.null_, NormalTheoryNull)
    for name in ("d2_", "pvalues_", "cutoff_"):
        np.testing.assert_array_equal(getattr(found, name), getattr(exact, name))
    np.testing.assert_array_equal(found.pvalues(X), exact.pvalues(X))
    np.testing.assert_array_equal(found.contributions(X), exact.contributions(X))
    step = found.estimator_[-1] if piped else found.estimator_
    assert not step.is_sketched_
    assert isinstance(resolve(found.estimator_)[1], EmpiricalCovariance)
    assert isinstance(resolve(template(found.estimator_))[1], EmpiricalCovariance)


def test_too_many_columns_for_the_scatter_are_an_error_that_names_it():
    with pytest.raises(RankDeficientError, match="EmpiricalCovariance needs more rows than columns"):
        MahalanobisDetector(Sketched(EmpiricalCovariance(), n_components=3)).fit(rows(6, 8))
    detector = MahalanobisDetector(Sketched(skcov.LedoitWolf(), n_components=3), "empirical").fit(rows(6, 8))
    assert detector.d2_.shape == (6,)


def test_a_detector_finds_outliers_by_a_sketch_in_a_pipeline():
    X = rows(120, 30)
    X[:3] += 8.0
    estimator = make_pipeline(StandardScaler(), Sketched(MRCD(), n_components=12, random_state=0))
    detector = MahalanobisDetector(estimator, alpha=0.01).fit(X)
    assert isinstance(detector.null_, BootstrapNull)
    assert detector.null_.kind == "parametric"
    assert (detector.labels_[:3] == -1).all()
    assert np.mean(detector.labels_[3:] == -1) < 0.1
    np.testing.assert_allclose(detector.contributions(X).sum(axis=1), detector.mahalanobis(X), rtol=1e-8)
