"""What a metric promises, for any scatter: the axioms, digits of small distances, one answer by every way to it."""

import pickle

import numpy as np
import pytest
import sklearn.covariance as skcov
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist as scipy_cdist
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from strategies import rows

import fmahal
from fmahal.exceptions import OutsideSubspaceError
from fmahal.models import _pairwise
from fmahal.models.metric import MahalanobisMetric
from fmahal.scatter.spectral import SpectralFilter

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4)) + [0.0, 10.0, -5.0, 1.0]
WIDE = RNG.normal(size=(40, 120)).cumsum(axis=1)
NEW = RNG.normal(size=(9, 120)).cumsum(axis=1)

SCATTERS = [
    fmahal.EmpiricalCovariance(),
    fmahal.LedoitWolf(),
    fmahal.MinCovDet(random_state=0),
    skcov.OAS(),
    skcov.MinCovDet(random_state=1),
    make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance()),
    make_pipeline(PCA(3), skcov.EmpiricalCovariance()),
]
every_scatter = pytest.mark.parametrize("scatter", SCATTERS, ids=repr)
FILTERS = [
    SpectralFilter("truncate", n_components=5),
    SpectralFilter("rkhs"),
    SpectralFilter("ridge", alpha=0.1),
    SpectralFilter("ridge", alpha=0.1, n_components=6),
    fmahal.LedoitWolf(),
]
every_filter = pytest.mark.parametrize("scatter", FILTERS, ids=repr)


def brute(metric, A, B):
    """Distances by the precision matrix and nothing else."""
    space, scatter = fmahal.scatter.resolve(metric.estimator_)
    if space is not None:
        A, B = space.transform(A), space.transform(B)
    V = A[:, None] - B
    return np.sqrt(np.einsum("ijk,kl,ijl->ij", V, scatter.get_precision(), V))


# ---------------------------------------------------------------- one answer


@every_scatter
def test_distances_are_those_of_the_precision_matrix(scatter):
    metric = MahalanobisMetric(scatter).fit(X)
    want = brute(metric, X, X)
    np.testing.assert_allclose(metric.pairwise(X), want, rtol=1e-9, atol=1e-12 * want.max())
    np.testing.assert_allclose(metric.pairwise(X[:7], X), want[:7], rtol=1e-9, atol=1e-12 * want.max())
    np.testing.assert_allclose(metric(X[:30], X[30:]), np.diagonal(want, 30)[:30], rtol=1e-9)
    np.testing.assert_allclose(metric(X[:1], X), want[0], rtol=1e-9, atol=1e-12 * want.max())
    np.testing.assert_allclose(metric(X, X[:1]), want[0], rtol=1e-9, atol=1e-12 * want.max())


@every_filter
@pytest.mark.parametrize("other", [None, "training", "new"])
def test_more_columns_than_rows(scatter, other):
    metric = MahalanobisMetric(scatter).fit(WIDE)
    Y = {"training": WIDE[:11], "new": NEW[::-1], None: None}[other]
    for A in (WIDE[5:], NEW):
        want = brute(metric, A, A if Y is None else Y)
        np.testing.assert_allclose(metric.pairwise(A, Y), want, rtol=1e-8, atol=1e-9 * want.max())


def test_the_short_way_for_a_ridge_is_taken_and_exact(monkeypatch):
    """A side in the span has no residual: r coordinates then do for both."""
    metric = MahalanobisMetric(SpectralFilter("ridge", alpha=1e-3)).fit(WIDE)
    widths = []
    made = _pairwise._rows
    monkeypatch.setattr(_pairwise, "_rows", lambda Z, *rest: widths.append(Z.shape[1]) or made(Z, *rest))
    for A, Y, width in (
        (WIDE, None, 39),
        (NEW, WIDE, 39),
        (WIDE, NEW, 39),
        (NEW, None, 120),
        (NEW, NEW + 1, 120),
    ):
        widths.clear()
        D = metric.pairwise(A, Y)
        assert widths[-1] == width
        np.testing.assert_allclose(D, brute(metric, A, A if Y is None else Y), rtol=1e-7, atol=1e-9 * D.max())


@every_scatter
def test_distance_to_the_centre_is_that_of_the_scatter(scatter):
    metric = MahalanobisMetric(scatter).fit(X)
    space, fitted = fmahal.scatter.resolve(metric.estimator_)
    Z = X if space is None else space.transform(X)
    np.testing.assert_allclose(metric.mahalanobis(X), fitted.mahalanobis(Z), rtol=1e-9)
    np.testing.assert_allclose(metric.mahalanobis(X, squared=False) ** 2, metric.mahalanobis(X), rtol=1e-12)


def test_squared():
    one, two = (MahalanobisMetric(fmahal.LedoitWolf(), squared=s).fit(X) for s in (False, True))
    np.testing.assert_allclose(one(X[:9], X[9]) ** 2, two(X[:9], X[9]), rtol=1e-12)
    np.testing.assert_allclose(one.pairwise(X) ** 2, two.pairwise(X), rtol=1e-12)


def test_float32_is_measured_in_float64():
    metric = MahalanobisMetric(fmahal.EmpiricalCovariance()).fit(X.astype(np.float32))
    assert metric.pairwise(X.astype(np.float32)).dtype == np.float64
    assert metric(X[:3].astype(np.float32), X[:3]).dtype == np.float64


def test_blocks_give_the_same_distances(monkeypatch):
    metric = MahalanobisMetric(fmahal.LedoitWolf()).fit(WIDE)
    whole, cross = metric.pairwise(WIDE), metric.pairwise(WIDE, NEW)
    monkeypatch.setattr(
        _pairwise, "row_blocks", lambda n, width: [slice(i, min(i + 7, n)) for i in range(0, n, 7)]
    )
    np.testing.assert_allclose(metric.pairwise(WIDE), whole, rtol=1e-12)
    np.testing.assert_allclose(metric.pairwise(WIDE, NEW), cross, rtol=1e-12)
    D = metric.pairwise(WIDE)
    assert (D == D.T).all()


# ---------------------------------------------------------------- axioms


@given(st.data())
def test_axioms(data):
    n, p = data.draw(st.integers(3, 12)), data.draw(st.sampled_from([1, 2, 5, 24]))
    Z = np.asarray(data.draw(rows(n, p)), dtype=np.float64)
    unit = data.draw(st.sampled_from([1e-8, 1.0, 1e8]))
    Z = Z[data.draw(st.lists(st.integers(0, n - 1), min_size=3, max_size=12))] * unit
    metric = MahalanobisMetric(fmahal.FixedScatter(covariance=np.diag(np.logspace(0, -4, p)) * unit**2)).fit(
        Z
    )
    D = metric.pairwise(Z)
    assert (D == D.T).all()
    assert (D.diagonal() == 0).all()
    assert ((D == 0) == (Z[:, None] == Z).all(axis=2)).all()  # full rank: equal elements and no others
    assert (D[:, :, None] <= (D[:, None, :] + D.T[None]) * (1 + 1e-12)).all()
    forth, back = metric(Z[:-1], Z[1:]), metric(Z[1:], Z[:-1])
    assert (forth == back).all()
    np.testing.assert_allclose(forth, np.diagonal(D, 1), rtol=1e-9)


@every_filter
def test_triangles_on_curves(scatter):
    D = MahalanobisMetric(scatter).fit(WIDE).pairwise(NEW)
    assert (D[:, :, None] <= (D[:, None, :] + D.T[None]) * (1 + 1e-12)).all()


@pytest.mark.parametrize("p", [3, 40])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_small_distances_keep_their_digits(p, offset):
    """Pairs 1e-7 apart, in clouds that are far from each other: expansions would leave nothing of them."""
    rng = np.random.default_rng(0)
    A = rng.integers(-512, 512, size=(12, p)) + offset
    V = rng.integers(-512, 512, size=(12, p)) * 2.0**-30
    variances = np.logspace(0, 6, p)
    metric = MahalanobisMetric(fmahal.FixedScatter(covariance=np.diag(variances))).fit(A)
    want = np.sqrt((V**2 / variances).sum(axis=1))
    np.testing.assert_allclose(metric.pairwise(A, A + V).diagonal(), want, rtol=1e-12)
    np.testing.assert_allclose(metric.pairwise(np.vstack([A, A + V])).diagonal(12), want, rtol=1e-12)
    np.testing.assert_allclose(metric(A, A + V), want, rtol=1e-12)


def test_equal_elements_behind_a_space_that_rounds():
    """Products of arrays of several sizes differ in their last digits: equal elements are still equal."""
    Z = np.vstack([WIDE, WIDE[3:4], WIDE[7:9]])
    metric = MahalanobisMetric(make_pipeline(PCA(30), fmahal.EmpiricalCovariance())).fit(WIDE)
    D = metric.pairwise(Z)
    assert D[40, 3] == D[41, 7] == D[42, 8] == 0
    assert (metric.pairwise(WIDE[:5], WIDE).diagonal() == 0).all()
    assert (metric(WIDE[3:4], Z)[[3, 40]] == 0).all()
    assert metric(WIDE[3], Z[40]) == 0
    assert (metric(WIDE[:6], Z[:6].copy()) == 0).all()
    assert metric(WIDE[3], WIDE[3] * (1 + 1e-12)) > 0


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_change_nothing(unit):
    for scatter in (fmahal.EmpiricalCovariance(), SpectralFilter("ridge")):
        D = MahalanobisMetric(scatter).fit(X).pairwise(X)
        np.testing.assert_allclose(MahalanobisMetric(scatter).fit(X * unit).pairwise(X * unit), D, rtol=1e-6)


# ---------------------------------------------------------------- off the subspace


@pytest.fixture
def flat():
    Z = X.copy()
    Z[:, 3] = Z[:, 0] + Z[:, 1]
    with pytest.warns(fmahal.RankDeficientWarning):
        return Z, fmahal.EmpiricalCovariance().fit(Z)


def test_policy_for_what_lies_off_the_subspace(flat):
    Z, scatter = flat
    off = np.vstack([Z[:4], Z[0] + [0.0, 0.0, 0.0, 1.0], Z[1] + [0.0, 0.0, 0.0, 1.0]])
    metrics = {
        outside: MahalanobisMetric(
            fmahal.FixedScatter(whitener=scatter.whitener_.with_outside(outside), location=scatter.location_)
        )
        for outside in ("ignore", "inf", "raise")
    }
    for metric in metrics.values():
        metric.fit(Z)
        np.testing.assert_allclose(metric.pairwise(Z), metrics["ignore"].pairwise(Z), rtol=1e-12)
    assert np.isfinite(metrics["ignore"].pairwise(off)).all()
    D = metrics["inf"].pairwise(off)
    side = np.arange(6) < 4  # the last two are off by as much: they see each other
    np.testing.assert_array_equal(np.isinf(D), side[:, None] != side)
    np.testing.assert_array_equal(
        np.isinf(metrics["inf"].pairwise(off[:4], off[3:])), np.array([[0, 1, 1]] * 4, bool)
    )
    np.testing.assert_array_equal(np.isinf(metrics["inf"](off, off[0])), ~side)
    for call in (lambda m: m.pairwise(off), lambda m: m.pairwise(Z, off), lambda m: m(off, off[0])):
        with pytest.raises(OutsideSubspaceError):
            call(metrics["raise"])


# ---------------------------------------------------------------- protocols


def test_two_vectors_give_a_number():
    metric = MahalanobisMetric(fmahal.LedoitWolf()).fit(X)
    assert isinstance(metric(X[0], X[1]), float)
    assert metric(X[0], X[1]) == metric(X[:1], X[1:2])[0]
    assert metric(X[0], X[:1]).shape == (1,)
    np.testing.assert_array_equal(metric(X[0], X), metric(X[:1], X))


@every_scatter
def test_scikit_learn_neighbours_take_it(scatter):
    metric = MahalanobisMetric(scatter).fit(X)
    y = (X[:, 0] > 0).astype(int)
    knn = KNeighborsClassifier(3, metric=metric, algorithm="brute").fit(X, y)
    distances, _ = knn.kneighbors(X[:5])
    np.testing.assert_allclose(distances, np.sort(metric.pairwise(X[:5], X), axis=1)[:, :3], rtol=1e-9)


def test_names_of_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    metric = MahalanobisMetric(fmahal.EmpiricalCovariance()).fit(frame)
    plain = MahalanobisMetric(fmahal.EmpiricalCovariance()).fit(X)
    np.testing.assert_array_equal(metric.pairwise(frame), plain.pairwise(X))
    bad = frame.copy()
    bad.loc[4, "b"] = np.nan
    with pytest.raises(ValueError, match=r"rows 4 and columns b"):
        metric.pairwise(bad)
    with pytest.raises(ValueError, match="feature names"):
        metric.pairwise(frame[["b", "a", "c", "d"]])


def test_clones_pickles_and_parameters():
    metric = MahalanobisMetric(make_pipeline(StandardScaler(), fmahal.LedoitWolf()), squared=True)
    assert clone(metric).get_params()["squared"] is True
    metric.set_params(estimator__ledoitwolf__assume_centered=True).fit(X)
    assert metric.estimator is not metric.estimator_
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(metric)).pairwise(X), metric.pairwise(X))
    assert metric.n_features_in_ == 4


def test_a_search_sets_what_is_inside():
    y = (X[:, 0] > 0).astype(int)

    class Nearest(BaseEstimator):  # a classifier that fits its metric, as scikit-fda's do
        _estimator_type = "classifier"

        def __init__(self, metric):
            self.metric = metric

        def fit(self, X, y):
            self.metric.fit(X)
            self.X_, self.y_ = X, y
            return self

        def score(self, X, y):
            return float((self.y_[self.metric.pairwise(X, self.X_).argmin(axis=1)] == y).mean())

    search = GridSearchCV(
        Nearest(MahalanobisMetric(SpectralFilter("ridge"))), {"metric__estimator__alpha": [1e-3, 1.0]}, cv=3
    ).fit(X, y)
    assert search.best_score_ > 0.6


# ---------------------------------------------------------------- errors


def test_not_fitted():
    metric = MahalanobisMetric(fmahal.LedoitWolf())
    for call in (lambda: metric(X, X), lambda: metric.pairwise(X), lambda: metric.mahalanobis(X)):
        with pytest.raises(NotFittedError):
            call()
    assert not hasattr(metric, "n_features_in_")


@every_scatter
def test_bad_rows(scatter):
    metric = MahalanobisMetric(scatter).fit(X)
    bad = X.copy()
    bad[4, 2] = np.nan
    for call, arguments in (
        (metric, (bad, X)),
        (metric, (X, bad)),
        (metric.pairwise, (X, bad)),
        (metric.mahalanobis, (bad,)),
    ):
        with pytest.raises(ValueError, match="NaN"):
            call(*arguments)
    with pytest.raises(ValueError, match="3"):
        metric.pairwise(X[:, :3])
    with pytest.raises(ValueError, match="3"):
        metric(X[0, :3], X[1, :3])
    with pytest.raises(ValueError, match="NaN"):
        metric(bad[4], X[0])
    with pytest.raises(ValueError, match="got 5 and 7"):
        metric(X[:5], X[:7])


def test_what_is_no_metric():
    with pytest.raises(TypeError, match="must be a scatter"):
        MahalanobisMetric(StandardScaler()).fit(X)
    with pytest.raises(TypeError, match="not a class"):
        MahalanobisMetric(fmahal.LedoitWolf).fit(X)
    with pytest.raises(ValueError, match="squared"):
        MahalanobisMetric(fmahal.LedoitWolf(), squared="yes").fit(X)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_overflow_is_said():
    metric = MahalanobisMetric(fmahal.FixedScatter(covariance=np.eye(2))).fit([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(OverflowError):
        metric.pairwise(np.array([[1e308, 0.0], [-1e308, 0.0], [1e308, 1e308]]))


def test_euclidean_metric():
    metric = MahalanobisMetric(fmahal.FixedScatter(covariance=np.eye(4))).fit(X)
    np.testing.assert_allclose(metric.pairwise(X, X + 1), scipy_cdist(X, X + 1), rtol=1e-12)
