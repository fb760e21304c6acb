"""Squared distances split along the domain: they add up, they find planted peaks, and units change nothing."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.covariance import LedoitWolf as SklearnLedoitWolf
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fmahal.inference import functional_contributions
from fmahal.models import FunctionalMahalanobis, MahalanobisDetector
from fmahal.scatter import EmpiricalCovariance, LedoitWolf, MinCovDet
from fmahal.scatter.spectral import SpectralFilter
from fmahal.spaces import L2Space
from fmahal.spaces.sobolev import SobolevSpace
from fmahal.spaces.spherical import SphericalPCA

T = np.linspace(0, 1, 61)
FILTERS = {
    "rkhs": lambda: SpectralFilter("rkhs"),
    "ridge": lambda: SpectralFilter("ridge"),
    "truncate": lambda: SpectralFilter("truncate"),
    "ridge, few components": lambda: SpectralFilter("ridge", n_components=3),
    "inverse": lambda: SpectralFilter("inverse", n_components=10),
    "LedoitWolf": LedoitWolf,
    "scikit-learn": SklearnLedoitWolf,
}
SPACES = {"L2": L2Space, "Sobolev": SobolevSpace, "derivative": lambda: L2Space(derivative=1)}


def brownian(seed, n=30, points=61):
    return np.random.default_rng(seed).normal(size=(n, points)).cumsum(axis=1) / np.sqrt(points)


def squared(pipeline, X):
    Z = pipeline[:-1].transform(X)
    if isinstance(pipeline[-1], SklearnLedoitWolf):
        centred = Z - pipeline[-1].location_
        return np.einsum("ij,ij->i", centred @ pipeline[-1].precision_, centred)
    return pipeline[-1].mahalanobis(Z)


def assert_adds_up(split, d2, rtol=1e-10):
    assert_allclose(split.total, d2, rtol=rtol)
    assert_allclose(split.components.sum(axis=1), d2, rtol=rtol)


# ------------------------------------------------------------------ sums


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", FILTERS)
def test_contributions_integrate_to_the_squared_distance(name, space):
    X = brownian(0)
    pipeline = make_pipeline(SPACES[space](), FILTERS[name]()).fit(X)
    new = brownian(1, n=7)
    split = functional_contributions(pipeline, new)
    assert split.density.shape == (7, 61, 1)
    assert_adds_up(split, squared(pipeline, new))


@pytest.mark.parametrize("space", [L2Space, SobolevSpace])
def test_vector_valued_curves_and_surfaces(space):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(25, 20, 3)).cumsum(axis=1)
    pipeline = make_pipeline(space(component_weights=[1.0, 2.0, 0.5]), SpectralFilter("ridge")).fit(X)
    split = functional_contributions(pipeline, X)
    assert split.density.shape == (25, 20, 3)
    assert_adds_up(split, squared(pipeline, X))
    grid = (np.linspace(0, 1, 8), np.linspace(0, 3, 6))
    surfaces = rng.normal(size=(25, 8, 6))
    pipeline = make_pipeline(space(grid_points=grid), SpectralFilter("ridge")).fit(surfaces)
    split = functional_contributions(pipeline, surfaces)
    assert split.density.shape == (25, 8, 6, 1)
    assert_adds_up(split, squared(pipeline, surfaces))
    assert split.peaks.shape == (25, 2)


def test_density_is_the_shapley_value_on_a_grid():
    X = brownian(3, points=5)
    pipeline = make_pipeline(L2Space(), SpectralFilter("ridge")).fit(X)
    centre = pipeline[0].inverse_transform(pipeline[1].location_[None])[0]
    x = X[4]

    def worth(kept):
        return squared(pipeline, np.where(kept, x, centre)[None])[0]

    values = np.zeros(5)
    orders = list(permutations(range(5)))
    for order in orders:
        kept = np.zeros(5, dtype=bool)
        for j in order:
            before = worth(kept)
            kept[j] = True
            values[j] += worth(kept) - before
    assert_allclose(
        functional_contributions(pipeline, X).mass[4, :, 0],
        values / len(orders),
        rtol=1e-8,
        atol=1e-10 * worth(np.ones(5, dtype=bool)),
    )


STEPS = {
    "SphericalPCA": lambda: SphericalPCA(n_components=5),
    "PCA": lambda: PCA(5),
    "whitened PCA": lambda: PCA(5, whiten=True),
    "StandardScaler": StandardScaler,
}


@pytest.mark.parametrize("name", STEPS)
def test_linear_steps_after_the_space(name):
    X = brownian(4)
    pipeline = make_pipeline(L2Space(), STEPS[name](), SpectralFilter("ridge", alpha=1e-3)).fit(X)
    new = brownian(5, n=7)
    assert_adds_up(functional_contributions(pipeline, new), squared(pipeline, new), rtol=1e-9)


@pytest.mark.parametrize("steps", [(), ("PCA",), ("SphericalPCA",), ("StandardScaler", "PCA")])
def test_float32_curves(steps):
    X = (brownian(23) + 100.0).astype(np.float32)
    pipeline = make_pipeline(
        L2Space(), *(STEPS[name]() for name in steps), SpectralFilter("ridge", alpha=1e-3)
    ).fit(X)
    assert_adds_up(functional_contributions(pipeline, X), squared(pipeline, X), rtol=2e-2)


def test_two_steps_and_robust_scatter():
    X = brownian(6, n=60)
    pipeline = make_pipeline(
        L2Space(), StandardScaler(), SphericalPCA(n_components=3), MinCovDet(random_state=0)
    ).fit(X)
    assert_adds_up(functional_contributions(pipeline, X), squared(pipeline, X), rtol=1e-9)


def test_scores_on_principal_directions_are_the_truncation():
    X = brownian(7)
    scores = make_pipeline(L2Space(), PCA(4), EmpiricalCovariance()).fit(X)
    filtered = make_pipeline(L2Space(), SpectralFilter("truncate", n_components=4, ddof=0)).fit(X)
    one, two = functional_contributions(scores, X), functional_contributions(filtered, X)
    assert_allclose(one.density, two.density, rtol=1e-6, atol=1e-8 * np.abs(two.density).max())


# ------------------------------------------------------------------ meaning


@pytest.mark.parametrize("name", ["ridge", "rkhs"])
@pytest.mark.parametrize("place", [0.15, 0.5, 0.85])
def test_a_planted_peak_is_found_where_it_is(name, place):
    X = brownian(8, n=100)
    curve = X[:1] + 5.0 * np.exp(-0.5 * ((T - place) / 0.02) ** 2)
    pipeline = make_pipeline(L2Space(), SpectralFilter(name, alpha=1e-3)).fit(X)
    split = functional_contributions(pipeline, curve)
    assert abs(split.peaks[0, 0] - place) < 0.03
    edges = [0.0, place - 0.08, place + 0.08, 1.0]
    added = split.intervals(edges)
    assert_allclose(added.sum(), split.total[0], rtol=1e-10)
    assert added[0, 1] > 0.8 * split.total[0]


def test_the_component_of_the_peak_is_named():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(80, 61, 2)).cumsum(axis=1) / np.sqrt(61)
    curve = X[:1].copy()
    curve[0, :, 1] += 2.0 * np.exp(-0.5 * ((T - 0.4) / 0.02) ** 2)
    split = functional_contributions(make_pipeline(L2Space(), SpectralFilter("ridge")).fit(X), curve)
    assert split.components[0, 1] > 0.8 * split.total[0]


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_of_values_change_nothing(unit):
    X = brownian(10)
    one, other = (
        functional_contributions(make_pipeline(L2Space(), SpectralFilter("ridge")).fit(X * u), X * u)
        for u in (1.0, unit)
    )
    assert_allclose(other.density, one.density, rtol=1e-7, atol=1e-9 * np.abs(one.density).max())


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_time_divide_the_density(unit):
    X = brownian(11)
    splits = []
    for u in (1.0, unit):
        pipeline = make_pipeline(L2Space(grid_points=T * u), SpectralFilter("ridge")).fit(X)
        splits.append(functional_contributions(pipeline, X))
    one, other = splits
    assert_allclose(other.density * unit, one.density, rtol=1e-7, atol=1e-9 * np.abs(one.density).max())
    assert_allclose(other.total, one.total, rtol=1e-9)
    assert_allclose(other.peaks, one.peaks * unit, rtol=1e-12)


def test_intervals():
    X = brownian(12)
    split = functional_contributions(make_pipeline(L2Space(), SpectralFilter("ridge")).fit(X), X)
    whole = split.intervals([0.0, 0.5, 1.0])
    assert_allclose(whole.sum(axis=1), split.total, rtol=1e-10)
    assert_allclose(whole[:, 0], split.mass[:, T < 0.5].sum(axis=(1, 2)), rtol=1e-10)
    assert_allclose(
        split.intervals([0.25, 0.5]), split.mass[:, (T >= 0.25) & (T <= 0.5)].sum(axis=(1, 2))[:, None]
    )
    for edges in ([0.0], [0.0, 0.0], [1.0, 0.0], [[0.0, 1.0]]):
        with pytest.raises(ValueError, match="increasing"):
            split.intervals(edges)


def test_surfaces_have_no_intervals():
    X = np.random.default_rng(13).normal(size=(12, 5, 5))
    pipeline = make_pipeline(
        L2Space(grid_points=(np.arange(5.0), np.arange(5.0))), SpectralFilter("ridge")
    ).fit(X)
    with pytest.raises(ValueError, match="surfaces"):
        functional_contributions(pipeline, X).intervals([0.0, 4.0])


# ------------------------------------------------------------------ what may be passed


def test_detectors():
    X = brownian(14, n=80)
    detector = MahalanobisDetector(
        make_pipeline(L2Space(), SpectralFilter("truncate", n_components=3)), "empirical", alpha=0.05
    )
    detector.fit(X)
    assert_adds_up(functional_contributions(detector, X), detector.mahalanobis(X))


def test_a_conformal_detector_is_split_by_its_scorer():
    X = brownian(15, n=120)
    detector = MahalanobisDetector(
        make_pipeline(L2Space(), SpectralFilter("truncate", n_components=3)), "conformal", alpha=0.05
    ).fit(X)
    new = brownian(16, n=5)
    assert_adds_up(functional_contributions(detector, new), detector.mahalanobis(new))


def test_metrics_and_shortcuts():
    functional = pytest.importorskip("fmahal.models.functional")
    metric = pytest.importorskip("fmahal.models.metric")
    X = brownian(17)
    shortcut = functional.FunctionalMahalanobis("ridge").fit(X)
    expected = make_pipeline(L2Space(), SpectralFilter("ridge")).fit(X)
    for fitted in (
        shortcut,
        metric.MahalanobisMetric(make_pipeline(L2Space(), SpectralFilter("ridge"))).fit(X),
    ):
        split = functional_contributions(fitted, X)
        assert_allclose(split.density, functional_contributions(expected, X).density, rtol=1e-9)
    assert_adds_up(functional_contributions(shortcut, X), shortcut.mahalanobis(X, squared=True))
    robust = functional.FunctionalMahalanobis(scatter=MinCovDet(random_state=0)).fit(X)
    assert_adds_up(functional_contributions(robust, X), robust.mahalanobis(X, squared=True), rtol=1e-9)
    detector = MahalanobisDetector(functional.FunctionalMahalanobis("truncate"), "empirical", alpha=0.05).fit(
        X
    )
    assert_adds_up(functional_contributions(detector, X), detector.mahalanobis(X))
    with pytest.raises(NotFittedError):
        functional_contributions(functional.FunctionalMahalanobis("ridge"), X)


def test_curves_of_skfda():
    skfda = pytest.importorskip("skfda")
    X = brownian(18)
    grid = skfda.FDataGrid(X, T)
    pipeline = make_pipeline(L2Space(), SpectralFilter("ridge")).fit(grid)
    split = functional_contributions(pipeline, grid)
    arrays = make_pipeline(L2Space(grid_points=T), SpectralFilter("ridge")).fit(X)
    assert_allclose(split.density, functional_contributions(arrays, X).density, rtol=1e-8)
    basis = grid.to_basis(skfda.representation.basis.BSplineBasis(domain_range=(0, 1), n_basis=9))
    pipeline = make_pipeline(L2Space(), SpectralFilter("ridge")).fit(basis)
    split = functional_contributions(pipeline, basis)
    assert split.density.shape[1] >= 201
    assert_adds_up(split, squared(pipeline, basis), rtol=1e-4)  # quadrature on the grid of evaluation


def test_steps_before_the_space_are_applied():
    X = brownian(19)
    pipeline = make_pipeline(
        FunctionTransformer(lambda rows: rows[:, ::2]), L2Space(), SpectralFilter("ridge")
    ).fit(X)
    split = functional_contributions(pipeline, X)
    assert split.density.shape == (30, 31, 1)
    assert_adds_up(split, squared(pipeline, X))


# ------------------------------------------------------------------ what may not


class Cubes(TransformerMixin, BaseEstimator):
    """A step that is not linear."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return np.asarray(X) ** 3

    def inverse_transform(self, X):
        return np.cbrt(X)


def test_errors_name_the_space_and_the_way_out():
    X = brownian(20, n=80)
    rows = EmpiricalCovariance().fit(X[:, :3])
    with pytest.raises(
        TypeError, match=r"make_pipeline\(L2Space\(\), EmpiricalCovariance.*contributions\(X\)"
    ):
        functional_contributions(rows, X[:, :3])
    with pytest.raises(TypeError, match=r"StandardScaler, has no split_contributions.*contributions\(X\)"):
        functional_contributions(make_pipeline(StandardScaler(), LedoitWolf()).fit(X), X)
    with pytest.raises(TypeError, match="not linear: Cubes"):
        functional_contributions(make_pipeline(L2Space(), Cubes(), LedoitWolf()).fit(X), X)
    halves = FunctionTransformer(lambda Z: Z / 2)
    with pytest.raises(TypeError, match="FunctionTransformer"):
        functional_contributions(make_pipeline(L2Space(), halves, LedoitWolf()).fit(X), X)


def test_unfitted_estimators():
    X = brownian(21)
    for estimator in (
        make_pipeline(L2Space(), LedoitWolf()),
        MahalanobisDetector(make_pipeline(L2Space(), LedoitWolf())),
    ):
        with pytest.raises(NotFittedError):
            functional_contributions(estimator, X)


def test_curves_on_another_grid():
    X = brownian(22)
    pipeline = make_pipeline(L2Space(), SpectralFilter("ridge")).fit(X)
    with pytest.raises(ValueError, match="60"):
        functional_contributions(pipeline, X[:, :60])


def test_nested_pipelines_are_split_as_flat_ones():
    X = brownian(0)
    space = make_pipeline(L2Space(grid_points=T), PCA(3))
    nested = make_pipeline(space, EmpiricalCovariance()).fit(X)
    flat = make_pipeline(L2Space(grid_points=T), PCA(3), EmpiricalCovariance()).fit(X)
    splits = [functional_contributions(fitted, X) for fitted in (nested, flat)]
    assert_allclose(splits[0].density, splits[1].density, atol=1e-9)
    metric = FunctionalMahalanobis(space=space, scatter=EmpiricalCovariance()).fit(X)
    assert_allclose(functional_contributions(metric, X).total, metric.mahalanobis(X))


def test_one_curve_is_a_row():
    X = brownian(0)
    fitted = make_pipeline(L2Space(grid_points=T), SpectralFilter("ridge")).fit(X)
    with pytest.raises(ValueError, match=r"for a single curve x pass x\[None\]"):
        functional_contributions(fitted, X[0])
