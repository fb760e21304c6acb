"""Our metrics inside scikit-fda: everything of it that takes a metric, and the fast way to all pairs."""

import pickle
import subprocess
import sys

import multimethod
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

import fmahal
from fmahal.models import metric as module
from fmahal.models.functional import FunctionalMahalanobis
from fmahal.models.metric import MahalanobisMetric
from fmahal.spaces.functional import L2Space

skfda = pytest.importorskip("skfda")
from skfda import FDataBasis, FDataGrid  # noqa: E402
from skfda.exploratory.depth import DistanceBasedDepth  # noqa: E402
from skfda.exploratory.outliers import LocalOutlierFactor  # noqa: E402
from skfda.misc.metrics import (  # noqa: E402
    MahalanobisDistance,
    PairwiseMetric,
    l2_distance,
    pairwise_metric_optimization,
)
from skfda.ml.classification import (  # noqa: E402
    KNeighborsClassifier,
    NearestCentroid,
    RadiusNeighborsClassifier,
)
from skfda.ml.clustering import AgglomerativeClustering, KMeans, NearestNeighbors  # noqa: E402
from skfda.ml.regression import KNeighborsRegressor  # noqa: E402
from skfda.representation.basis import BSplineBasis, MonomialBasis, TensorBasis  # noqa: E402

METRICS = [
    FunctionalMahalanobis(),
    FunctionalMahalanobis("truncate", n_components=3),
    FunctionalMahalanobis("ridge"),
    FunctionalMahalanobis(scatter=fmahal.MinCovDet(random_state=0)),
    MahalanobisMetric(make_pipeline(L2Space(), fmahal.LedoitWolf())),
]
every_metric = pytest.mark.parametrize("metric", METRICS, ids=repr)


def two_groups(n=60, T=31, seed=0):
    """Two groups that differ in a direction of little variance: L2 sees the large ones, Mahalanobis this one."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 1.0, T)
    k = np.arange(1, 7)
    scores = rng.standard_normal((n, 6)) * np.array([4.0, 2.0, 1.0, 0.15, 0.05, 0.05])
    y = np.arange(n) % 2
    scores[:, 3] += 0.6 * y
    return t, scores @ np.sin(np.pi * k[:, None] * t), y


def as_kind(kind, t, X):
    if kind == "grid":
        return FDataGrid(X, t)
    if kind == "basis":
        return FDataGrid(X, t).to_basis(BSplineBasis((0, 1), n_basis=12))
    if kind == "vector":
        return FDataGrid(np.stack([X, X[:, ::-1] ** 2], axis=2), t)
    if kind == "surface":
        v = 1.0 + t  # as many points on both axes: FDataGrid.concatenate wants that
        return FDataGrid(X[:, :, None] * v, (t, v))
    monomial = MonomialBasis(n_basis=3)
    return FDataBasis(TensorBasis([monomial, monomial]), X[:, :9])


KINDS = ("grid", "basis", "vector", "surface", "tensor")
every_kind = pytest.mark.parametrize("kind", KINDS)
metrics_and_kinds = pytest.mark.parametrize(
    ("metric", "kind"),
    [*((m, "grid") for m in METRICS), *((METRICS[0], kind) for kind in KINDS[1:])],
    ids=repr,
)


@pytest.fixture
def counted(monkeypatch):
    """Counts of calls of the metric on pairs and on whole sets."""
    counts = {"pairs": 0, "sets": 0}
    call, pairwise = MahalanobisMetric.__call__, MahalanobisMetric.pairwise

    def counted_call(self, e1, e2):
        counts["pairs"] += 1
        return call(self, e1, e2)

    def counted_pairwise(self, X, Y=None):
        counts["sets"] += 1
        return pairwise(self, X, Y)

    monkeypatch.setattr(MahalanobisMetric, "__call__", counted_call)
    monkeypatch.setattr(MahalanobisMetric, "pairwise", counted_pairwise)
    return counts


# ---------------------------------------------------------------- all pairs


@every_kind
def test_all_pairs_take_the_fast_way(kind, counted):
    t, X, _ = two_groups()
    X = as_kind(kind, t, X)
    metric = FunctionalMahalanobis("ridge").fit(X)
    for arguments in ((X,), (X, None), (X, X), (X[:7], X[7:])):
        counted.update(pairs=0, sets=0)
        D = PairwiseMetric(metric)(*arguments)
        assert counted == {"pairs": 0, "sets": 1}
        np.testing.assert_array_equal(D, metric.pairwise(*arguments))
    assert D.shape == (7, 53)
    slow = np.array([metric(X[i], X[7:]) for i in range(7)])
    assert counted["pairs"] == 7
    np.testing.assert_allclose(D, slow, rtol=1e-9, atol=1e-10 * D.max())


def test_registered_once():
    before = len([key for key in pairwise_metric_optimization if key and key[0] is MahalanobisMetric])
    metrics = [FunctionalMahalanobis() for _ in range(3)]
    t, X, _ = two_groups()
    for metric in metrics:
        metric.fit(FDataGrid(X, t))
    generic = pairwise_metric_optimization
    functions = [
        generic[key] for key in list(generic) if isinstance(key, tuple) and MahalanobisMetric in key[:1]
    ]
    assert functions == [module._pairwise_of_skfda]
    assert before <= 1
    assert PairwiseMetric(l2_distance)(FDataGrid(X, t)).shape == (60, 60)  # other metrics as before


ORDERS = {
    "skfda first": "import skfda; skfda.FDataGrid\nfrom fmahal.models.functional import FunctionalMahalanobis\n",
    "fmahal first": "from fmahal.models.functional import FunctionalMahalanobis\nassert 'skfda' not in sys.modules\n",
}
SCRIPT = """
import sys, numpy as np
{start}
metric = FunctionalMahalanobis("truncate", n_components=2)
import skfda
from skfda.misc.metrics import PairwiseMetric, pairwise_metric_optimization
X = skfda.FDataGrid(np.random.default_rng(0).normal(size=(9, 5)), np.linspace(0, 1, 5))
if {cached}:  # the dispatcher has remembered that there is no fast way
    assert pairwise_metric_optimization(metric, X, None) is NotImplemented or "first" in "{name}"
metric.fit(X)
calls = []
type(metric).__call__ = lambda self, a, b: calls.append(1)
D = PairwiseMetric(metric)(X)
assert D.shape == (9, 9) and not calls
"""


def test_a_dispatcher_that_remembers_a_slow_way_is_told(monkeypatch, counted):
    """scikit-fda loaded after a metric was made, and asked before any of ours heard of it."""
    parts = skfda.misc.metrics._utils

    @multimethod.multidispatch
    def generic(metric, elem1, elem2):
        return NotImplemented

    metric = FunctionalMahalanobis()
    for place in (parts, skfda.misc.metrics):
        monkeypatch.setattr(place, "pairwise_metric_optimization", generic, raising=False)
    t, X, _ = two_groups()
    X = FDataGrid(X, t)
    assert generic(metric, X, None) is NotImplemented
    PairwiseMetric(metric.fit(X))(X)
    assert counted == {"pairs": 0, "sets": 1}
    monkeypatch.undo()
    FunctionalMahalanobis()  # back to the one that is there


@pytest.mark.slow
@pytest.mark.parametrize("name", ORDERS)
def test_whoever_is_imported_first(name):
    code = SCRIPT.format(start=ORDERS[name], name=name, cached=name == "fmahal first")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pickled_metrics_are_registered(counted):
    t, X, _ = two_groups()
    X = FDataGrid(X, t)
    metric = pickle.loads(pickle.dumps(FunctionalMahalanobis().fit(X)))
    PairwiseMetric(metric)(X)
    assert counted == {"pairs": 0, "sets": 1}


def test_the_square_of_scikit_fda_is_the_square_of_ours():
    t, X, _ = two_groups()
    X = FDataGrid(X, t)
    theirs = MahalanobisDistance(4, alpha=0.01).fit(X)
    ours = FunctionalMahalanobis(n_components=4, alpha=0.01, alpha_units="absolute", weights="simpson").fit(X)
    D2, D = PairwiseMetric(theirs)(X[:9], X), PairwiseMetric(ours)(X[:9], X)
    np.testing.assert_allclose(D**2, D2, rtol=1e-8, atol=1e-10 * D2.max())


# ---------------------------------------------------------------- neighbours, centroids


@every_metric
@pytest.mark.parametrize("kind", ["grid", "basis"])
def test_neighbours(metric, kind, counted):
    t, X, y = two_groups()
    X = as_kind(kind, t, X)
    metric = clone(metric)
    knn = KNeighborsClassifier(n_neighbors=5, metric=metric).fit(X[:40], y[:40])
    predicted = knn.predict(X[40:])
    assert counted["pairs"] == 0
    D = metric.pairwise(X[40:], X[:40])
    nearest = np.argsort(D, axis=1)[:, :5]
    np.testing.assert_array_equal(predicted, (y[:40][nearest].mean(axis=1) > 0.5).astype(int))
    distances, indices = knn.kneighbors(X[40:])
    np.testing.assert_array_equal(indices, nearest)
    np.testing.assert_allclose(distances, np.take_along_axis(D, nearest, axis=1))


@every_kind
def test_neighbours_of_every_kind_of_curves(kind):
    t, X, y = two_groups()
    X = as_kind(kind, t, X)
    knn = KNeighborsClassifier(n_neighbors=1, metric=FunctionalMahalanobis("ridge")).fit(X, y)
    np.testing.assert_array_equal(knn.predict(X), y)  # each is its own neighbour, at distance 0


def test_mahalanobis_sees_what_l2_does_not():
    t, X, y = two_groups(n=120)
    X = FDataGrid(X, t)
    ours, l2 = (
        cross_val_score(KNeighborsClassifier(n_neighbors=5, metric=metric), X, y, cv=4).mean()
        for metric in (FunctionalMahalanobis("truncate", n_components=4), l2_distance)
    )
    assert ours > 0.9
    assert ours > l2 + 0.1


def test_a_grid_search_over_the_filter():
    t, X, y = two_groups()
    search = GridSearchCV(
        KNeighborsClassifier(n_neighbors=3, metric=FunctionalMahalanobis("truncate")),
        {"metric__n_components": [1, 4]},
        cv=3,
    ).fit(FDataGrid(X, t), y)
    assert search.best_params_ == {"metric__n_components": 4}


def test_other_estimators_with_neighbours():
    t, X, y = two_groups()
    X = FDataGrid(X, t)
    metric = FunctionalMahalanobis("truncate", n_components=4)
    radius = float(np.quantile(clone(metric).fit(X).pairwise(X), 0.5))
    assert RadiusNeighborsClassifier(radius=radius, metric=clone(metric)).fit(X, y).score(X, y) > 0.8
    regressor = KNeighborsRegressor(n_neighbors=1, metric=clone(metric)).fit(X, y.astype(float))
    np.testing.assert_array_equal(regressor.predict(X), y)
    neighbours = NearestNeighbors(n_neighbors=2, metric=clone(metric)).fit(X)
    assert neighbours.kneighbors(X)[1][:, 0].tolist() == list(range(60))
    assert (neighbours.kneighbors()[1] != np.arange(60)[:, None]).all()


@metrics_and_kinds
def test_nearest_centroid(metric, kind):
    t, X, y = two_groups()
    X = as_kind(kind, t, X)
    metric = clone(metric)
    classifier = NearestCentroid(metric=metric).fit(X, y)
    centroids = X[y == 0].mean().concatenate(X[y == 1].mean())
    np.testing.assert_array_equal(classifier.predict(X), metric.pairwise(X, centroids).argmin(axis=1))


# ---------------------------------------------------------------- depth, clusters, outliers


@metrics_and_kinds
def test_depth(metric, kind):
    t, X, _ = two_groups()
    X = as_kind(kind, t, X)
    metric = clone(metric)
    depth = DistanceBasedDepth(metric).fit(X).transform(X)
    np.testing.assert_allclose(depth, 1.0 / (1.0 + metric(X, X.mean())))
    if not isinstance(metric, FunctionalMahalanobis) or metric.scatter is None:  # its centre is the mean
        np.testing.assert_allclose(1.0 / depth - 1.0, metric.mahalanobis(X, squared=False), rtol=1e-7)


def test_clusters():
    """scikit-fda's clusterings take a metric as it is: a fitted one."""
    t, X, y = two_groups()
    X = FDataGrid(X, t)
    with pytest.raises(NotFittedError, match="want a fitted one"):
        KMeans(n_clusters=2, metric=FunctionalMahalanobis()).fit(X)
    metric = FunctionalMahalanobis("truncate", n_components=4).fit(X)
    kmeans = KMeans(n_clusters=2, metric=metric, random_state=0, n_init=3).fit(X)
    centres = kmeans.cluster_centers_
    np.testing.assert_array_equal(kmeans.labels_, metric.pairwise(X, centres).argmin(axis=1))
    tree = AgglomerativeClustering(
        n_clusters=2, metric=metric, linkage=AgglomerativeClustering.LinkageCriterion.COMPLETE
    ).fit(X)
    assert set(tree.labels_) == {0, 1}
    assert y.size == tree.labels_.size


def test_local_outliers():
    t, X, _ = two_groups()
    X[0] += np.sin(5 * np.pi * t)
    X = FDataGrid(X, t)
    metric = FunctionalMahalanobis("ridge", alpha=1e-3).fit(X)
    assert LocalOutlierFactor(n_neighbors=10, metric=metric).fit_predict(X)[0] == -1
