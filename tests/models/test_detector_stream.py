"""A detector that goes on learning: pure verdicts, the law of all rows seen, and no word on rows that are not kept."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.covariance import EmpiricalCovariance as SklearnCovariance
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fmahal import (
    BootstrapNull,
    ChiSquareNull,
    EmpiricalCovariance,
    LedoitWolf,
    MahalanobisDetector,
    MinCovDet,
    NormalTheoryNull,
)
from fmahal.exceptions import CalibrationWarning, RankDeficientError, RankDeficientWarning
from fmahal.plotting._rows import judge
from fmahal.scatter import BaseScatter, resolve

X = np.random.default_rng(0).normal(size=(120, 4))
NEW = np.random.default_rng(1).normal(size=(50, 4)) * 1.5


class Counting(SklearnCovariance):
    """A foreign scatter with partial_fit, of known location and covariance."""

    def partial_fit(self, X, y=None):
        self.location_, self.covariance_ = np.zeros(X.shape[1]), np.eye(X.shape[1])
        self.precision_ = np.eye(X.shape[1])
        return self


@pytest.mark.parametrize("null", ["auto", "normal", "chi2", NormalTheoryNull(), ChiSquareNull(df=4)])
@pytest.mark.parametrize("forgetting", [1.0, 0.97])
def test_is_a_fit_to_all_rows_for_new_rows(null, forgetting):
    whole = MahalanobisDetector(EmpiricalCovariance(forgetting=forgetting), null).fit(X)
    for start in ("fit", "partial_fit"):
        detector = MahalanobisDetector(EmpiricalCovariance(forgetting=forgetting), null)
        getattr(detector, start)(X[:30])
        for rows in (X[30:31], X[31:100], X[100:]):
            assert detector.partial_fit(rows) is detector
        np.testing.assert_allclose(detector.pvalues(NEW), whole.pvalues(NEW), rtol=1e-9)
        np.testing.assert_array_equal(detector.predict(NEW), whole.predict(NEW))
        np.testing.assert_allclose(detector.decision_function(NEW), whole.decision_function(NEW), rtol=1e-7)
        assert detector.cutoff_ == pytest.approx(whole.cutoff_)
        assert detector.n_samples_ == 120
        np.testing.assert_allclose(
            detector.contributions(NEW), whole.contributions(NEW), rtol=1e-6, atol=1e-9
        )


def test_verdicts_change_nothing():
    detector = MahalanobisDetector(EmpiricalCovariance(forgetting=0.9)).partial_fit(X)
    detector.predict(NEW)
    before = pickle.dumps(detector)
    first = detector.pvalues(NEW)
    detector.predict(NEW + 100.0)
    detector.decision_function(NEW)
    np.testing.assert_array_equal(detector.pvalues(NEW), first)
    np.testing.assert_array_equal(np.concatenate([detector.pvalues(x[None]) for x in NEW]), first)
    assert pickle.dumps(detector) == before
    np.testing.assert_array_equal(pickle.loads(before).pvalues(NEW), first)


@pytest.mark.parametrize("name", ["labels_", "d2_", "pvalues_", "train_cutoff_"])
def test_training_rows_are_not_judged_any_more(name):
    detector = MahalanobisDetector(EmpiricalCovariance())
    with pytest.raises(AttributeError) as unfitted:
        getattr(detector, name)
    assert isinstance(unfitted.value, NotFittedError) == (name in ("labels_", "train_cutoff_"))
    detector.fit(X)
    assert np.size(getattr(detector, name))
    detector.partial_fit(X[:1])
    with pytest.raises(
        AttributeError, match=f"no {name} after partial_fit: the rows learned from are not kept"
    ):
        getattr(detector, name)
    assert np.size(getattr(detector.fit(X), name))
    with pytest.raises(AttributeError, match="object has no attribute 'nonsense'"):
        detector.nonsense  # noqa: B018


def test_displays_take_all_rows_for_new():
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    assert judge(detector, X).training
    detector.partial_fit(X[:1])
    judged = judge(detector, X)
    assert not judged.training
    np.testing.assert_array_equal(judged.pvalues, detector.pvalues(X))
    with pytest.raises(AttributeError, match="after partial_fit"):
        judge(detector)


def test_starts_with_few_rows():
    detector = MahalanobisDetector(EmpiricalCovariance())
    with pytest.raises(ValueError, match="minimum of 2"):
        detector.partial_fit(X[:1])
    with pytest.raises(NotFittedError):
        detector.predict(NEW)
    with pytest.warns(RankDeficientWarning):
        detector.partial_fit(X[:3])
    with pytest.raises(RankDeficientError, match="3 training rows span 2"):
        detector.predict(NEW)
    detector.partial_fit(X[3:12])
    np.testing.assert_allclose(
        detector.pvalues(NEW), MahalanobisDetector(EmpiricalCovariance()).fit(X[:12]).pvalues(NEW), rtol=1e-9
    )


def test_no_simulation_and_no_factorisation(monkeypatch):
    rows = np.random.default_rng(2).normal(size=(300, 60))
    detector = MahalanobisDetector(EmpiricalCovariance(forgetting=0.999)).fit(rows)
    monkeypatch.setattr("fmahal.scatter._streaming.StreamMoments.whitener", None)
    monkeypatch.setattr("fmahal.nulls._forgetting.law_of_training_rows", None)
    for x in rows[:20]:
        detector.partial_fit(x[None])
    assert detector.n_samples_ == 320


def test_flagged_rows_can_be_kept_out_and_a_batch_taken_back():
    rng = np.random.default_rng(3)
    detector = MahalanobisDetector(EmpiricalCovariance(), alpha=0.001).fit(X)
    batch = rng.normal(size=(40, 4))
    batch[::4] += 8.0
    labels = detector.predict(batch)
    assert set(np.flatnonzero(labels == -1)) >= set(range(0, 40, 4))
    detector.partial_fit(batch[labels == 1])
    before = detector.pvalues(NEW)
    bad = rng.normal(size=(30, 4)) + 3.0
    detector.partial_fit(bad)
    assert np.abs(detector.pvalues(NEW) - before).max() > 0.05
    assert detector.remove(bad) is detector
    np.testing.assert_allclose(detector.pvalues(NEW), before, rtol=1e-8)
    with pytest.raises(ValueError, match="not among those seen"):
        detector.remove(bad + 20.0)
    np.testing.assert_allclose(detector.pvalues(NEW), before, rtol=1e-8)
    fading = MahalanobisDetector(EmpiricalCovariance(forgetting=0.95)).fit(X)
    before = fading.pvalues(NEW)
    fading.partial_fit(bad).remove(bad, 0.95 ** np.arange(29.0, -1.0, -1.0))
    left = fading.estimator_
    np.testing.assert_allclose(
        left.covariance_, EmpiricalCovariance(forgetting=0.95).fit(X).covariance_, rtol=1e-6
    )
    np.testing.assert_allclose(fading.pvalues(NEW), before, rtol=1e-6)  # all of them have faded alike


def test_simultaneous_level_goes_by_the_rows_seen():
    detector = MahalanobisDetector(EmpiricalCovariance(), simultaneous=True).partial_fit(X).partial_fit(X)
    assert detector.level_ == pytest.approx(1 - 0.99 ** (1 / 240))


@pytest.mark.parametrize(
    "estimator", [None, LedoitWolf(), MinCovDet(), make_pipeline(LedoitWolf()), "empirical"]
)
def test_only_where_the_given_estimator_has_it(estimator):
    detector = MahalanobisDetector(estimator)
    assert not hasattr(detector, "partial_fit")
    assert not hasattr(detector, "remove")
    with pytest.raises(AttributeError, match=r"no partial_fit: .* has none.*EmpiricalCovariance\("):
        detector.partial_fit(X)


@pytest.mark.parametrize("null", ["bootstrap", "conformal", "empirical", BootstrapNull(20)])
def test_laws_that_need_rows_are_refused(null):
    detector = MahalanobisDetector(EmpiricalCovariance(), null)
    with pytest.raises(ValueError, match="partial_fit keeps no rows"):
        detector.partial_fit(X)
    assert not hasattr(detector, "estimator_")


def test_other_scatters_get_chi_square_when_asked():
    detector = MahalanobisDetector(Counting(), "chi2").partial_fit(X)
    assert not isinstance(detector.estimator_, BaseScatter)
    assert detector.cutoff_ == pytest.approx(13.2767, rel=1e-4)
    assert detector.partial_fit(X).n_samples_ == 240
    for null in ("auto", "normal"):
        with pytest.raises(ValueError, match=f"null='{null}'"):
            MahalanobisDetector(Counting(), null).partial_fit(X)


def test_pipelines_with_a_fixed_space():
    fixed = make_pipeline(FunctionTransformer(np.cbrt), EmpiricalCovariance())
    detector = MahalanobisDetector(fixed).partial_fit(X[:50]).partial_fit(X[50:])
    np.testing.assert_allclose(
        detector.pvalues(NEW), MahalanobisDetector(fixed).fit(X).pvalues(NEW), rtol=1e-9
    )
    detector.remove(X[:10])
    np.testing.assert_allclose(
        detector.pvalues(NEW), MahalanobisDetector(fixed).fit(X[10:]).pvalues(NEW), rtol=1e-8
    )
    learning = MahalanobisDetector(make_pipeline(StandardScaler(), EmpiricalCovariance()))
    with pytest.raises(ValueError, match="standardscaler"):
        learning.partial_fit(X)


@pytest.mark.parametrize("wrap", [lambda scatter: scatter, lambda s: make_pipeline(FunctionTransformer(), s)])
def test_forgetting_set_between_calls_holds_from_then_on(wrap):
    scatter = EmpiricalCovariance()
    detector = MahalanobisDetector(wrap(EmpiricalCovariance()))
    name = next(name for name in detector.get_params() if name.endswith("forgetting"))
    for rows, forgetting in ((X[:60], 1.0), (X[60:90], 0.95), (X[90:], 1.0)):
        scatter.set_params(forgetting=forgetting).partial_fit(rows)
        detector.set_params(**{name: forgetting}).partial_fit(rows)
        fitted = resolve(detector.estimator_)[1]
        assert fitted.forgetting == forgetting
        assert fitted.effective_n_samples_ == scatter.effective_n_samples_
        np.testing.assert_array_equal(fitted.covariance_, scatter.covariance_)
    assert scatter.effective_n_samples_ < 100
    with pytest.raises(ValueError, match="pass their present weights"):
        detector.remove(X[:3])  # they have faded, though nothing fades any more
    weights = 0.95 ** np.full(3, 30.0)
    np.testing.assert_array_equal(
        resolve(detector.remove(X[:3], weights).estimator_)[1].covariance_,
        scatter.remove(X[:3], weights).covariance_,
    )


def test_forgetting_set_before_a_removal_holds_for_it():
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X).set_params(estimator__forgetting=0.9)
    with pytest.raises(ValueError, match="pass their present weights"):
        detector.remove(X[:1])
    assert detector.estimator_.forgetting == 1.0  # nothing was changed
    assert detector.remove(X[:1], 1.0).estimator_.forgetting == 0.9


def test_another_estimator_cannot_go_on():
    detector = MahalanobisDetector(EmpiricalCovariance(), "chi2").fit(X)
    before = detector.estimator_
    with pytest.raises(ValueError, match=r"Counting now, and EmpiricalCovariance was fitted"):
        detector.set_params(estimator=Counting()).partial_fit(X)
    assert detector.estimator_ is before


def test_bad_rows_leave_everything_as_it_was():
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    before = pickle.dumps(detector)
    bad = X[:5].copy()
    bad[2, 1] = np.nan
    for rows, match in ((bad, "NaN"), (X[:, :3], "3 features"), (X[:0, :3], "0 sample")):
        with pytest.raises(ValueError, match=match):
            detector.partial_fit(rows)
    assert pickle.dumps(detector) == before
    slow = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    kept = slow.estimator_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast = MahalanobisDetector(EmpiricalCovariance(forgetting=0.5))
        with pytest.raises(CalibrationWarning):
            fast.partial_fit(X)
        assert not hasattr(fast, "estimator_")
        slow.set_params(estimator__forgetting=0.5)
        with pytest.raises(CalibrationWarning):
            slow.partial_fit(X)
    assert slow.estimator_ is kept
    assert slow.n_samples_ == kept.n_samples_ == 120
    given = detector.estimator
    assert not hasattr(given, "location_")  # the user's estimator is not touched
    assert not hasattr(clone(detector), "null_")


def test_columns_have_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    detector = MahalanobisDetector(EmpiricalCovariance()).partial_fit(frame[:60]).partial_fit(frame[60:])
    assert detector.contribution_names_.tolist() == list("abcd")
    assert detector.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        detector.partial_fit(frame.rename(columns={"a": "z"}))


def test_a_batch_without_rows_changes_nothing():
    detector = MahalanobisDetector(EmpiricalCovariance(forgetting=0.9)).fit(X)
    state = dict(vars(detector))
    assert detector.partial_fit(X[:0]) is detector
    assert all(vars(detector)[name] is value for name, value in state.items())
    assert vars(detector).keys() == state.keys()  # d2_ and labels_ are still there
    with pytest.raises(ValueError, match="0 sample"):
        detector.partial_fit(np.empty((0, 3)))  # of another table
    with pytest.raises(ValueError, match="0 sample"):
        MahalanobisDetector(EmpiricalCovariance()).partial_fit(X[:0])
