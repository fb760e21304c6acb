"""What a detector says about input that it cannot use, and that a failed fit changes nothing."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import fmahal
from fmahal import MahalanobisDetector

X = np.random.default_rng(7).normal(size=(60, 4)) + np.array([0.0, 10.0, -5.0, 1.0])


def detector(**options):
    return MahalanobisDetector(fmahal.EmpiricalCovariance(), **options).fit(X)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 2.0, np.nan, "0.05", None, True])
def test_bad_alpha_at_the_fit_and_afterwards(alpha):
    with pytest.raises(ValueError, match="alpha must be a number strictly between 0 and 1"):
        MahalanobisDetector(fmahal.EmpiricalCovariance(), alpha=alpha).fit(X)
    det = detector().set_params(alpha=alpha)
    for name in ("level_", "labels_", "cutoff_", "train_cutoff_", "offset_"):
        with pytest.raises(ValueError, match="alpha must be"):
            getattr(det, name)
    with pytest.raises(ValueError, match="alpha must be"):
        det.predict(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonfinite_entries_are_named(bad):
    pd = pytest.importorskip("pandas")
    holes = X.copy()
    holes[11, 2] = bad
    what = "NaN" if np.isnan(bad) else "infinity"
    with pytest.raises(ValueError, match=f"X contains {what}: 1 entries, in rows 11 and columns 2"):
        MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(holes)
    with pytest.raises(ValueError, match="rows 11 and columns weight"):
        MahalanobisDetector().fit(pd.DataFrame(holes, columns=["a", "b", "weight", "d"]))
    with pytest.raises(ValueError, match="rows 11 and columns 2"):
        detector().predict(holes)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_nonfinite_output_of_a_space_is_named():
    pipeline = make_pipeline(FunctionTransformer(np.log), fmahal.EmpiricalCovariance())
    with pytest.raises(ValueError, match="output of the steps before the scatter contains infinity"):
        MahalanobisDetector(pipeline).fit(np.vstack([np.abs(X) + 1, np.zeros(4)]))


@pytest.mark.parametrize("bad", ["empirical", fmahal.EmpiricalCovariance, 3, StandardScaler()], ids=repr)
def test_estimator_must_be_an_object(bad):
    with pytest.raises(TypeError, match="estimator must be a"):
        MahalanobisDetector(bad).fit(X)


def test_estimator_must_give_distances():
    with pytest.raises(TypeError, match="PCA is no scatter"):
        MahalanobisDetector(make_pipeline(StandardScaler(), PCA())).fit(X)


def test_unknown_null_fails_before_the_fit():
    class Untouchable(fmahal.EmpiricalCovariance):
        def fit(self, X, y=None):
            raise AssertionError("fitted before the null was checked")

    with pytest.raises(ValueError, match="Unknown null 'beta'"):
        MahalanobisDetector(Untouchable(), "beta").fit(X)
    with pytest.raises(TypeError, match="null must be one of"):
        MahalanobisDetector(Untouchable(), 3).fit(X)


@pytest.mark.parametrize(
    "bad", [X[:1], X[0], np.empty((0, 4)), np.empty((5, 0)), X[:, :, None], X + 1j], ids=np.shape
)
def test_bad_shapes(bad):
    with pytest.raises(ValueError):  # noqa: PT011  scikit-learn's own words
        MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(bad)


def test_wrong_number_of_columns():
    with pytest.raises(ValueError, match="X has 3 features, but MahalanobisDetector is expecting 4"):
        detector().predict(X[:, :3])


@pytest.mark.parametrize(
    "method", ["mahalanobis", "pvalues", "score_samples", "decision_function", "predict", "contributions"]
)
def test_methods_before_the_fit(method):
    with pytest.raises(NotFittedError):
        getattr(MahalanobisDetector(), method)(X)


@pytest.mark.parametrize("name", ["labels_", "cutoff_", "train_cutoff_", "offset_", "level_"])
def test_properties_before_the_fit(name):
    assert not hasattr(MahalanobisDetector(), name)
    with pytest.raises(NotFittedError):
        getattr(MahalanobisDetector(), name)


def _failing_fits():
    yield {"alpha": 2}, X
    yield {"null": "nonsense"}, X
    yield {"estimator": 3}, X
    yield {}, np.where(X.max() == X, np.nan, X)
    yield {}, X[:3]
    yield {}, X[:5]
    yield {}, np.column_stack([X, X])[:7]


@pytest.mark.parametrize(("change", "rows"), list(_failing_fits()))
def test_a_failed_fit_leaves_the_earlier_one(change, rows):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    det = MahalanobisDetector(fmahal.EmpiricalCovariance()).fit(frame)
    before = {k: v for k, v in vars(det).items() if k.endswith("_") or k.startswith("_")}
    parameters = det.get_params(deep=False)
    with pytest.raises((ValueError, TypeError)):
        det.set_params(**change).fit(rows)
    after = {k: v for k, v in vars(det).items() if k.endswith("_") or k.startswith("_")}
    assert after.keys() == before.keys()
    assert all(after[k] is before[k] for k in before)
    det.set_params(**parameters)
    assert det.predict(frame).shape == (60,)
