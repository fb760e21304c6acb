"""What a detector promises: verdicts that agree with each other, and results that belong to one fit."""

import functools
import pickle

import numpy as np
import pytest
import sklearn.covariance as skcov
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import fmahal
from fmahal import MahalanobisDetector
from fmahal.exceptions import CalibrationWarning, RankDeficientError, RankDeficientWarning
from fmahal.models._steps import default_estimator
from fmahal.nulls import BaseNull, ChiSquareNull, NormalTheoryNull

RNG = np.random.default_rng(7)
X = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4)) + [0.0, 10.0, -5.0, 1.0]
X[:3] += 8 * X.std(axis=0) * [[1, -1, 1, -1], [1, 1, -1, -1], [0, 0, 3, 0]]
NEW = X[::7] * 1.5

SCATTERS = [
    fmahal.EmpiricalCovariance(),
    fmahal.LedoitWolf(),
    fmahal.QIS(),
    skcov.EmpiricalCovariance(),
    skcov.OAS(),
    skcov.MinCovDet(random_state=1),
    make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance()),
    make_pipeline(PCA(2), skcov.EmpiricalCovariance()),
]
every_scatter = pytest.mark.parametrize("scatter", SCATTERS, ids=repr)
approximate = pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")


@functools.cache
def _fitted(number):
    return MahalanobisDetector(SCATTERS[number]).fit(X)


def shared(scatter):
    """One fit for all tests that need no other."""
    return _fitted(SCATTERS.index(scatter)).set_params(alpha=0.01, simultaneous=False)


def detector(**options):
    return MahalanobisDetector(fmahal.EmpiricalCovariance(), **options).fit(X)


# ------------------------------------------------------------------ verdicts


@every_scatter
@approximate
def test_distances_are_those_of_the_estimator(scatter):
    det = shared(scatter)
    twin = clone(scatter).fit(X)
    last = twin[-1] if hasattr(twin, "steps") else twin
    coordinates = twin[:-1].transform(X) if hasattr(twin, "steps") else X
    np.testing.assert_allclose(det.d2_, last.mahalanobis(coordinates), rtol=1e-9)
    np.testing.assert_allclose(det.mahalanobis(X), det.d2_, rtol=1e-12)
    np.testing.assert_allclose(det.mahalanobis(X, squared=False) ** 2, det.d2_, rtol=1e-12)
    np.testing.assert_array_equal(det.score_samples(NEW), -det.mahalanobis(NEW))
    assert det.n_samples_ == 60
    assert det.n_features_in_ == 4


def test_training_and_new_rows_follow_their_own_law():
    det = detector()
    assert isinstance(det.null_, NormalTheoryNull)
    n, p = X.shape
    beta = stats.beta(p / 2, (n - p - 1) / 2, scale=(n - 1))  # divisor n
    f = stats.f(p, n - p, scale=(n + 1) * p / (n - p))
    np.testing.assert_allclose(det.pvalues_, beta.sf(det.d2_), rtol=1e-9)
    np.testing.assert_allclose(det.pvalues(X), f.sf(det.d2_), rtol=1e-9)
    np.testing.assert_allclose(det.cutoff_, f.isf(0.01), rtol=1e-12)
    np.testing.assert_allclose(det.train_cutoff_, beta.isf(0.01), rtol=1e-12)
    assert det.train_cutoff_ < stats.chi2(p).isf(0.01) < det.cutoff_


@every_scatter
@approximate
@settings(max_examples=15, deadline=None)
@given(alpha=st.floats(1e-30, 1 - 1e-6), simultaneous=st.booleans())
def test_every_verdict_is_the_same_verdict(scatter, alpha, simultaneous):
    det = shared(scatter)
    det.set_params(alpha=alpha, simultaneous=simultaneous)
    level = det.level_
    assert det.offset_ == -det.cutoff_
    np.testing.assert_array_equal(det.labels_ == -1, det.pvalues_ <= level)
    np.testing.assert_array_equal(det.predict(NEW) == -1, det.pvalues(NEW) <= level)
    decision = det.decision_function(NEW)
    np.testing.assert_array_equal(decision, det.score_samples(NEW) - det.offset_)
    clear = np.abs(decision) > 1e-9 * det.cutoff_  # at the cut-off itself rounding may decide
    np.testing.assert_array_equal(det.predict(NEW)[clear] == -1, decision[clear] < 0)
    clear = np.abs(det.d2_ - det.train_cutoff_) > 1e-9 * det.train_cutoff_
    np.testing.assert_array_equal(det.labels_[clear] == -1, det.d2_[clear] > det.train_cutoff_)


def test_alpha_changes_without_a_refit():
    det = detector(alpha=0.05)
    fitted, null = det.estimator_, det.null_
    flagged = (det.labels_ == -1).sum()
    cutoff = det.cutoff_
    det.set_params(alpha=1e-6)
    assert det.estimator_ is fitted
    assert det.null_ is null
    assert det.cutoff_ > cutoff
    assert (det.labels_ == -1).sum() < flagged
    np.testing.assert_array_equal(det.labels_, detector(alpha=1e-6).labels_)


def test_simultaneous_level_has_no_cancellation():
    det = detector(simultaneous=True, alpha=1e-15)
    np.testing.assert_allclose(det.level_, 1e-15 / 60, rtol=1e-9)
    det.set_params(alpha=0.05)
    np.testing.assert_allclose((1 - det.level_) ** 60, 0.95, rtol=1e-12)
    np.testing.assert_allclose(det.cutoff_, det.null_.new_dist_.isf(det.level_), rtol=1e-12)
    single = detector(alpha=0.05)
    assert det.cutoff_ > single.cutoff_
    assert det.predict(X[:1]).shape == (1,)  # the n of the level is the training n, also for one row


def test_simultaneous_keeps_the_error_of_the_whole_sample():
    # P(any of n clean rows flagged): n = 20 rows, level 0.2, against plain testing at the same alpha.
    rng = np.random.default_rng(11)
    any_flagged = np.zeros(2)
    reps = 300
    for _ in range(reps):
        det = MahalanobisDetector(fmahal.EmpiricalCovariance(), alpha=0.2).fit(rng.normal(size=(20, 2)))
        any_flagged += [(det.labels_ == -1).any(), (det.set_params(simultaneous=True).labels_ == -1).any()]
    assert any_flagged[0] > 0.9 * reps
    law = stats.binom(reps, 0.2)
    assert law.ppf(1e-4) <= any_flagged[1] <= law.isf(1e-4)


@every_scatter
@approximate
def test_fit_predict_judges_rows_as_new(scatter):
    det = MahalanobisDetector(scatter, alpha=0.05)
    np.testing.assert_array_equal(det.fit_predict(X), det.fit(X).predict(X))
    assert det.labels_.dtype == det.predict(X).dtype == np.int64


def test_pvalues_keep_the_tail():
    det = MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(
        np.random.default_rng(0).normal(size=(500, 2))
    )
    pvalues = det.pvalues([[30.0, 0.0], [60.0, 0.0]])
    assert (pvalues > 0).all()
    assert pvalues[0] < 1e-100
    assert pvalues[1] < pvalues[0]


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_change_no_decision(scale):
    det = detector(alpha=0.05)
    scaled = MahalanobisDetector(fmahal.EmpiricalCovariance(), alpha=0.05).fit(X * scale)
    np.testing.assert_allclose(scaled.pvalues_, det.pvalues_, rtol=1e-6)
    np.testing.assert_array_equal(scaled.predict(NEW * scale), det.predict(NEW))


# ------------------------------------------------------------------ what a null may bring


def test_only_a_resampled_cutoff_has_a_standard_error():
    assert detector(null="normal").cutoff_se_ is None
    det = detector(null=fmahal.BootstrapNull(200, random_state=0), alpha=0.05)
    assert 0 < det.cutoff_se_ < det.cutoff_
    se = det.cutoff_se_
    det.alpha = 0.01  # follows without a refit
    assert det.cutoff_se_ > se


def test_family_wise_pvalues_are_not_corrected_twice():
    null = fmahal.BootstrapNull(200, kind="parametric", statistic="max", random_state=0)
    for simultaneous in (True, False):
        assert detector(null=null, alpha=0.05, simultaneous=simultaneous).level_ == 0.05


def test_the_level_of_a_null_takes_the_place_of_alpha():
    det = detector(null=fmahal.EmpiricalNull(contamination=0.1), alpha=0.001)
    assert det.level_ == det.null_.level_
    assert (det.labels_ == -1).sum() == 6


def test_too_few_reference_distances_for_the_level_are_reported():
    with pytest.warns(CalibrationWarning, match="1e-05"):
        detector(null=fmahal.BootstrapNull(20, random_state=0), alpha=1e-5)


def test_the_level_decides_how_many_refits_auto_takes():
    few = MahalanobisDetector(fmahal.MRCD(), alpha=0.1).fit(X).null_.n_resamples
    more = MahalanobisDetector(fmahal.MRCD(), alpha=0.01).fit(X).null_.n_resamples
    assert few == 10 < more == 34


@pytest.mark.parametrize("scatter", [fmahal.MRCD(), fmahal.LedoitWolf()], ids=repr)
def test_simultaneous_levels_are_within_reach_of_the_automatic_law(scatter):
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(60, 20))
    clean = MahalanobisDetector(scatter, alpha=0.05, simultaneous=True).fit(rows)
    assert clean.null_.kind == "parametric"
    assert (clean.labels_ == -1).sum() <= 1
    rows[0] += 1000.0
    if scatter.robust:
        far = MahalanobisDetector(scatter, alpha=0.05, simultaneous=True).fit(rows)
        assert np.flatnonzero(far.labels_ == -1).tolist()[:1] == [0]
    assert np.isfinite(clean.cutoff_)


# ------------------------------------------------------------------ estimators


def test_default_estimator_is_robust_while_rows_allow_it():
    det = MahalanobisDetector().fit(X)  # without a warning: the law of its distances is simulated
    assert isinstance(det.estimator_, fmahal.MinCovDet)
    assert det.estimator_.random_state == 0
    assert (det.labels_[:3] == -1).all()
    det = MahalanobisDetector().fit(X[:19])  # here too
    assert isinstance(det.estimator_, fmahal.MRCD)
    assert det.null_.kind == "parametric"


@pytest.mark.parametrize(
    ("n", "p", "name"),
    [
        (5, 1, "MinCovDet"), (500, 100, "MinCovDet"), (505, 101, "MinCovDet"), (499, 100, "MRCD"),
        (4, 1000, "MRCD"), (200, 20000, "MRCD"), (3, 2, "LedoitWolf"), (1000, 900, "LedoitWolf"),
        (2000, 10000, "LedoitWolf"),
    ],
)  # fmt: skip
def test_default_estimator_stays_quick_and_robust(n, p, name):
    estimator = default_estimator(n, p)
    assert type(estimator).__name__ == name
    if name == "MinCovDet":
        assert (estimator.method, estimator.random_state) == (
            ("auto", 0) if p <= 100 else ("deterministic", None)
        )


def test_the_given_estimator_is_left_alone():
    scatter = fmahal.EmpiricalCovariance().fit(X[:10])
    before = scatter.location_.copy()
    det = MahalanobisDetector(scatter).fit(X)
    np.testing.assert_array_equal(scatter.location_, before)
    np.testing.assert_allclose(det.estimator_.location_, X.mean(axis=0), rtol=1e-12)


def test_a_scatter_with_only_location_and_precision_will_do():
    class Diagonal(BaseEstimator):
        def fit(self, X, y=None):
            self.location_, self.covariance_ = X.mean(axis=0), np.diag(X.var(axis=0))
            return self

        def get_precision(self):
            return np.linalg.inv(self.covariance_)

    det = MahalanobisDetector(Diagonal(), null="chi2").fit(X)
    np.testing.assert_allclose(det.d2_, (((X - X.mean(axis=0)) / X.std(axis=0)) ** 2).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(det.contributions(X).sum(axis=1), det.d2_, rtol=1e-9)


def test_pipeline_with_a_cache(tmp_path):
    pipeline = make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance(), memory=str(tmp_path))
    det = MahalanobisDetector(pipeline).fit(X)
    np.testing.assert_allclose(det.mahalanobis(X), detector().d2_, rtol=1e-9)
    np.testing.assert_allclose(det.estimator_[0].mean_, X.mean(axis=0), rtol=1e-12)
    assert not hasattr(pipeline[0], "mean_")


def test_nested_pipeline():
    inner = make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance())
    det = MahalanobisDetector(make_pipeline(make_pipeline(StandardScaler()), inner)).fit(X)
    np.testing.assert_allclose(det.pvalues(NEW), detector().pvalues(NEW), rtol=1e-9)
    np.testing.assert_allclose(det.estimator_[:-1].transform(X).mean(axis=0) + 1, 1, rtol=1e-9)


def test_pipeline_whose_first_step_repairs_the_rows():
    # The pipeline sees the rows as they are: a missing value is its business.
    pipeline = make_pipeline(FunctionTransformer(np.nan_to_num), fmahal.EmpiricalCovariance())
    holes = X.copy()
    holes[5, 2] = np.nan
    filled = np.nan_to_num(holes)
    det = MahalanobisDetector(pipeline).fit(holes)
    np.testing.assert_allclose(
        det.d2_, fmahal.EmpiricalCovariance().fit(filled).mahalanobis(filled), rtol=1e-9
    )


@pytest.mark.parametrize("null", ["chi2", ChiSquareNull(), ChiSquareNull(df=3), "normal", NormalTheoryNull()])
def test_null_by_name_or_instance(null):
    det = MahalanobisDetector(fmahal.EmpiricalCovariance(), null).fit(X)
    assert det.null_ is not null
    df = getattr(null, "df", None) or 4
    if isinstance(det.null_, ChiSquareNull):
        np.testing.assert_allclose(det.pvalues_, stats.chi2(df).sf(det.d2_), rtol=1e-12)


def test_null_with_its_own_scorer_pvalues_and_one_law_per_row():
    class PerRow(BaseNull):
        def fit(self, estimator, X, d2):
            self.train_dist_ = stats.chi2(np.where(np.arange(len(d2)) < 3, 100.0, 4.0))
            self.new_dist_ = stats.chi2(4)
            self.scorer_ = fmahal.EmpiricalCovariance().fit(X[3:])
            return self

        def pvalues(self, X):
            return np.full(len(X), 0.25)

    det = MahalanobisDetector(fmahal.EmpiricalCovariance(), PerRow()).fit(X)
    assert det.train_cutoff_.shape == (60,)
    assert (det.labels_[:3] == 1).all()
    np.testing.assert_array_equal(det.labels_ == -1, det.d2_ >= det.train_cutoff_)
    np.testing.assert_allclose(
        det.mahalanobis(X), fmahal.EmpiricalCovariance().fit(X[3:]).mahalanobis(X), rtol=1e-9
    )
    np.testing.assert_array_equal(det.pvalues(NEW), 0.25)


def test_float32():
    det = MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(X.astype(np.float32))
    assert det.mahalanobis(X.astype(np.float32)).dtype == np.float32
    assert det.pvalues_.dtype == det.score_samples(X.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(det.d2_, detector().d2_, rtol=1e-3)


@every_scatter
@approximate
def test_pickle(scatter):
    det = shared(scatter).set_params(alpha=0.1)
    copy = pickle.loads(pickle.dumps(det))
    np.testing.assert_array_equal(copy.labels_, det.labels_)
    np.testing.assert_array_equal(copy.pvalues(NEW), det.pvalues(NEW))


# ------------------------------------------------------------------ rank deficiency


@pytest.mark.parametrize("library", [fmahal, skcov], ids=["fmahal", "sklearn"])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_rows_off_the_training_subspace_are_impossible(library):
    doubled = np.column_stack([X, X[:, 0] + X[:, 1]])
    det = MahalanobisDetector(library.EmpiricalCovariance()).fit(doubled)
    np.testing.assert_allclose(det.pvalues_, detector().pvalues_, rtol=1e-5)
    new = doubled[10:13].copy()
    new[1, 4] += 0.01
    assert det.pvalues(new)[1] == 0
    np.testing.assert_array_equal(det.predict(new), [1, -1, 1])
    assert det.score_samples(new)[1] == det.decision_function(new)[1] == -np.inf
    assert np.isfinite(det.mahalanobis(new)).all()
    np.testing.assert_allclose(det.contributions(new).sum(axis=1), det.mahalanobis(new), rtol=1e-6)
    det.set_params(alpha=1e-300)
    assert det.predict(new)[1] == -1


@pytest.mark.parametrize("offset", [1e3, 1e6])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_training_rows_are_never_off_their_own_subspace(offset):
    # Collinear up to the rounding of a large mean.
    base = X + offset
    collinear = np.column_stack([base, base.sum(axis=1), base[:, 0]])
    det = MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(collinear)
    assert (det.pvalues_ > 0).all()
    assert (det.pvalues(collinear) > 0).all()


def test_rank_deficiency_warns_once_and_names_the_columns():
    frame = pytest.importorskip("pandas").DataFrame(X, columns=["a", "b", "c", "d"]).assign(twin=X[:, 0])
    with pytest.warns(RankDeficientWarning, match="twin") as record:
        MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(frame)
    assert len(record) == 1


@pytest.mark.parametrize(
    "scatter",
    [
        fmahal.EmpiricalCovariance(),
        skcov.EmpiricalCovariance(),
        skcov.MinCovDet(),
        make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance()),
    ],
    ids=repr,
)
@pytest.mark.parametrize("n", [3, 4])
def test_no_more_rows_than_columns_without_regularisation(scatter, n):
    with pytest.raises(ValueError, match=rf"n = {n} rows and p = 4 columns.*LedoitWolf, OAS, QIS"):
        MahalanobisDetector(scatter).fit(X[:n])


@pytest.mark.parametrize("scatter", [fmahal.LedoitWolf(), fmahal.QIS(), skcov.OAS()], ids=repr)
def test_no_more_rows_than_columns_with_regularisation(scatter):
    wide = np.random.default_rng(3).normal(size=(12, 30))
    det = MahalanobisDetector(scatter, null="chi2").fit(wide)
    assert np.isfinite(det.d2_).all()
    np.testing.assert_allclose(det.contributions(wide).sum(axis=1), det.d2_, rtol=1e-7)


def test_one_row_more_than_the_rank():
    with pytest.raises(RankDeficientError, match="same squared distance"):
        MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(X[:5])


def test_infinite_distances_of_a_strict_whitener():
    whitener = fmahal.Whitener.from_covariance(np.diag([1.0, 2.0, 3.0, 0.0]), outside="inf")
    flat = X - X.mean(axis=0)
    flat[1:, 3] = 0
    det = MahalanobisDetector(fmahal.FixedScatter(np.zeros(4), whitener=whitener)).fit(flat)
    np.testing.assert_array_equal(np.isinf(det.d2_), np.arange(60) == 0)
    assert det.pvalues_[0] == 0
    assert (det.pvalues_[3:] > 0).all()
    assert det.score_samples(flat)[0] == -np.inf


def test_nan_distances_are_an_error():
    class Broken(fmahal.EmpiricalCovariance):
        def mahalanobis(self, X, **options):
            return np.where(np.arange(len(X)) == 4, np.nan, 1.0)

    with pytest.raises(ValueError, match="Broken gives NaN as squared distance of row 4"):
        MahalanobisDetector(Broken()).fit(X)
