"""Distances of curves by name: the published numbers, what the name stands for, and what it refuses."""

import json
import pickle

import numpy as np
import pytest
from scipy.integrate import simpson
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import Pipeline, make_pipeline

import fmahal
from fmahal.models.functional import FunctionalMahalanobis
from fmahal.scatter.robust_spectral import RobustSpectralFilter
from fmahal.scatter.spectral import SpectralFilter
from fmahal.spaces.functional import L2Space
from fmahal.spaces.spherical import SphericalPCA

skfda = pytest.importorskip("skfda")
from skfda import FDataBasis, FDataGrid  # noqa: E402
from skfda.misc.metrics import MahalanobisDistance  # noqa: E402
from skfda.representation.basis import (  # noqa: E402
    BSplineBasis,
    FourierBasis,
    MonomialBasis,
    TensorBasis,
    VectorValuedBasis,
)

KINDS = ("truncate", "rkhs", "ridge", "inverse")
every_filter = pytest.mark.parametrize("filter", KINDS)


@pytest.fixture(scope="module")
def golden(request):
    path = request.config.rootpath / "tests" / "fixtures" / "functional_golden.json"
    return {name: record["outputs"] for name, record in json.loads(path.read_text()).items()}


def walks(seed, end=1.0):
    """Training and new curves of the records on 21 points."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 21)).cumsum(axis=1) / np.sqrt(21)
    Y = 1.3 * rng.standard_normal((4, 21)).cumsum(axis=1) / np.sqrt(21)
    return np.linspace(0.0, end, 21), X, Y


def curves(n=30, T=41, seed=0):
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 1.0, T)
    k = np.arange(1, 9)
    return t, 2.0 + (rng.standard_normal((n, 8)) / k) @ np.sin(np.pi * k[:, None] * t)


# ---------------------------------------------------------------- published numbers


@pytest.mark.parametrize(("end", "seed"), [(1, 201), (5, 203)])
@pytest.mark.parametrize("K", [3, 6])
@pytest.mark.parametrize("alpha", [0.001, 0.1, 0.0])
def test_scikit_fda_on_a_grid(golden, end, seed, K, alpha):
    record = golden[f"skfda_grid_T21_dom0_{end}"]
    t, X, Y = walks(seed, float(end))
    X, Y = FDataGrid(X, t), FDataGrid(Y, t)
    weights = simpson(np.eye(21), x=t)
    np.testing.assert_allclose(weights, record["simpson_weights"], rtol=1e-12)
    ours = FunctionalMahalanobis(
        "rkhs", n_components=K, alpha=alpha, alpha_units="absolute", weights=weights
    ).fit(X)
    theirs = MahalanobisDistance(K, alpha=alpha).fit(X)
    want = record[f"sq_dist_to_mean_r{K}_alpha{alpha:g}"]
    np.testing.assert_allclose(ours.mahalanobis(Y), want, rtol=1e-10)
    np.testing.assert_allclose(theirs(Y, X.mean()), want, rtol=1e-10)
    want = record[f"sq_dist_Yi_to_Xi_r{K}_alpha{alpha:g}"]
    np.testing.assert_allclose(ours(Y, X[:4]) ** 2, want, rtol=1e-10)
    np.testing.assert_allclose(theirs(Y, X[:4]), want, rtol=1e-10)
    by_name = clone(ours).set_params(weights="simpson").fit(X)
    np.testing.assert_allclose(by_name.mahalanobis(Y), ours.mahalanobis(Y), rtol=1e-10)


def test_weights_are_used_throughout(golden):
    """With weights of its user's, scikit-fda takes Simpson's for the scores."""
    t, X, Y = walks(201)
    X, Y = FDataGrid(X, t), FDataGrid(Y, t)
    ours = FunctionalMahalanobis(
        n_components=3, alpha=0.001, alpha_units="absolute", weights=np.linspace(0.5, 1.5, 21)
    ).fit(X)
    record = golden["skfda_BUG_custom_weights"]
    np.testing.assert_allclose(ours.mahalanobis(Y), record["consistent_value"], rtol=1e-10)


@pytest.mark.parametrize("name", ["monomial5", "fourier5"])
@pytest.mark.parametrize("alpha", [0.001, 0.1])
def test_scikit_fda_in_a_basis(golden, name, alpha):
    basis = {"monomial5": MonomialBasis(n_basis=5), "fourier5": FourierBasis((0, 1), n_basis=5)}[name]
    rng = np.random.default_rng(210)
    X, Y = (FDataBasis(basis, rng.standard_normal((n, 5))) for n in (12, 4))
    record = golden[f"skfda_basis_{name}"]
    ours = FunctionalMahalanobis(n_components=3, alpha=alpha, alpha_units="absolute").fit(X)
    np.testing.assert_allclose(ours.mahalanobis(Y), record[f"sq_dist_to_mean_r3_alpha{alpha}"], rtol=1e-9)
    np.testing.assert_allclose(ours.eigenvalues_, record["eigenvalues"], rtol=1e-9)
    np.testing.assert_allclose(
        MahalanobisDistance(3, alpha=alpha).fit(X)(Y, X[:4]), ours(Y, X[:4]) ** 2, rtol=1e-8
    )


@pytest.mark.parametrize("K", [1, 3, 6])
def test_trapezoid_truncate(golden, K):
    record, (_, X, Y) = golden["derived_grid_trapezoid"], walks(201)
    for ddof, name in ((0, "n"), (1, "n_minus_1")):
        metric = FunctionalMahalanobis(scatter=SpectralFilter("truncate", n_components=K, ddof=ddof)).fit(X)
        np.testing.assert_allclose(
            metric.mahalanobis(Y), record[f"galeano_sq_K{K}_divisor_{name}"], rtol=1e-9
        )
    named = FunctionalMahalanobis("truncate", n_components=K).fit(X)
    np.testing.assert_allclose(named.mahalanobis(Y), metric.mahalanobis(Y), rtol=1e-12)
    np.testing.assert_allclose(named.eigenvalues_ * 11 / 12, record["eigenvalues_divisor_n"][:K], rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.001, 0.1])
def test_trapezoid_rkhs(golden, alpha):
    record, (_, X, Y) = golden["derived_grid_trapezoid"], walks(201)
    filter = SpectralFilter("rkhs", alpha=alpha, alpha_units="absolute", ddof=0)
    metric = FunctionalMahalanobis(scatter=filter).fit(X)
    want = record[f"berrendero_sq_alpha{alpha}_allcomponents_divisor_n"]
    np.testing.assert_allclose(metric.mahalanobis(Y), want, rtol=1e-9)


@pytest.mark.parametrize("p", [1, 100, 10000])
def test_trapezoid_ridge(golden, p):
    record, (_, X, Y) = golden["derived_grid_trapezoid"], walks(201)
    filter = SpectralFilter("ridge", alpha=1.0 / p, alpha_units="absolute", ddof=0)
    metric = FunctionalMahalanobis(scatter=filter).fit(X)
    np.testing.assert_allclose(metric.mahalanobis(Y), record[f"ghiglietti_sq_p{p}_divisor_n_full"], rtol=1e-9)


def gmfd_curves():
    rng = np.random.default_rng(20240611)
    return [rng.standard_normal((n, 16)).cumsum(1) / 4.0 for n in (12, 30, 30)]


@pytest.mark.parametrize("p", [1, 100, 100000])
def test_generalised_distance(golden, p):
    X = gmfd_curves()[0]
    metric = FunctionalMahalanobis("ridge", alpha=1.0 / p, alpha_units="absolute").fit(X)
    want = golden["gmfd_X"][f"consistent_quadrature_value_p{p}"]
    assert metric(X[0], X[1]) == pytest.approx(want, rel=1e-9)
    assert metric.pairwise(X)[0, 1] == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("K", [1, 3, 5])
def test_truncated_distance(golden, K):
    X = gmfd_curves()[0]
    metric = FunctionalMahalanobis("truncate", n_components=K).fit(X)
    assert metric(X[0], X[1]) == pytest.approx(
        golden["gmfd_X"][f"consistent_quadrature_trunc_k{K}"], rel=1e-9
    )


def test_example_of_scikit_fda():
    X = FDataGrid([[1.0, 0.0], [0.0, 2.0]], [0, 1])
    want = 2.0 / (1.0 + 0.001 / 1.25) ** 2
    np.testing.assert_allclose(MahalanobisDistance(2).fit(X)(X[0], X[1]), want, rtol=1e-8)
    metric = FunctionalMahalanobis(n_components=1, alpha=0.001, alpha_units="absolute").fit(X)
    np.testing.assert_allclose(metric(X[0], X[1]) ** 2, want, rtol=1e-12)
    assert f"{metric(X[0], X[1])[0] ** 2:.8f}" == "1.99680384"


# ---------------------------------------------------------------- one distance by every representation


@every_filter
def test_grid_array_and_long_way_agree(filter):
    t, X = curves()
    grid = FDataGrid(X, t)
    K = 4
    metric = FunctionalMahalanobis(filter, n_components=K).fit(grid)
    want = metric.pairwise(grid[:9], grid)
    for other, A in (
        (FunctionalMahalanobis(filter, n_components=K), X),
        (
            FunctionalMahalanobis(filter, n_components=K, space=L2Space(grid_points=7.0 * t)),
            X,
        ),  # units of time
        (FunctionalMahalanobis(filter, n_components=K), 1e-6 * X),  # and of the curves
        (FunctionalMahalanobis(filter, n_components=K), X[:, ::-1].copy()),  # and its direction
        (fmahal_metric(make_pipeline(L2Space(), SpectralFilter(filter, n_components=K))), X),
    ):
        np.testing.assert_allclose(other.fit(A).pairwise(A[:9], A), want, rtol=1e-8, atol=1e-9 * want.max())


def fmahal_metric(pipeline):
    from fmahal.models.metric import MahalanobisMetric

    return MahalanobisMetric(pipeline)


@every_filter
def test_basis_is_the_grid_of_its_functions(filter):
    """Cubic splines on a fine grid and in their basis: equal up to the quadrature."""
    rng = np.random.default_rng(1)
    basis = FDataBasis(BSplineBasis((0, 2), n_basis=7), rng.standard_normal((25, 7)))
    grid = basis.to_grid(np.linspace(0, 2, 4001))
    one, two = (FunctionalMahalanobis(filter, n_components=5).fit(X) for X in (basis, grid))
    np.testing.assert_allclose(one.pairwise(basis), two.pairwise(grid), rtol=1e-4)
    np.testing.assert_allclose(one.eigenvalues_, two.eigenvalues_, rtol=1e-5)


def test_vector_valued_curves_are_concatenated(golden):
    """Components are added before squaring, not after."""
    _, A, B = gmfd_curves()
    X = np.stack([A, B], axis=2)
    t = np.linspace(0, 1, 16)
    metric = FunctionalMahalanobis("ridge", alpha=0.01, alpha_units="absolute").fit(FDataGrid(X, t))
    d = metric(FDataGrid(X[:1], t), FDataGrid(X[1:2], t))[0]
    assert d == pytest.approx(
        FunctionalMahalanobis("ridge", alpha=0.01, alpha_units="absolute").fit(X)(X[0], X[1])
    )
    w = np.full(16, 1 / 15.0)
    w[[0, -1]] /= 2
    Z = (X * np.sqrt(w)[:, None]).reshape(30, -1)
    C = np.cov(Z.T) + 0.01 * np.eye(32)
    v = Z[0] - Z[1]
    assert d == pytest.approx(np.sqrt(v @ np.linalg.solve(C, v)), rel=1e-9)
    assert d != pytest.approx(golden["gmfd_bivariate"]["gmfd_value"], rel=1e-2)


def test_vector_valued_basis():
    rng = np.random.default_rng(2)
    basis = VectorValuedBasis([MonomialBasis(n_basis=3), FourierBasis((0, 1), n_basis=3)])
    X = FDataBasis(basis, rng.standard_normal((20, 6)))
    metric = FunctionalMahalanobis(n_components=3).fit(X)
    grid = X.to_grid(np.linspace(0, 1, 2001))
    np.testing.assert_allclose(
        metric.pairwise(X), FunctionalMahalanobis(n_components=3).fit(grid).pairwise(grid), rtol=1e-4
    )
    assert metric.eigenfunctions_.dim_codomain == 2


@pytest.mark.parametrize("kind", ["grid", "array", "basis"])
def test_surfaces(kind):
    rng = np.random.default_rng(3)
    u, v = np.linspace(0, 1, 9), np.linspace(0, 2, 12)
    factors = [rng.standard_normal(shape) for shape in ((20, 4), (4, 9), (4, 12))]
    values = np.einsum("nj,ju,jv->nuv", *factors)
    if kind == "grid":
        X, space = FDataGrid(values, (u, v)), None
    elif kind == "array":
        X, space = values, L2Space(grid_points=(u, v))
    else:
        X = FDataBasis(
            TensorBasis([MonomialBasis(n_basis=2), MonomialBasis(n_basis=2)]), rng.standard_normal((20, 4))
        )
        space = None
    metric = FunctionalMahalanobis("truncate", n_components=2, space=space).fit(X)
    D = metric.pairwise(X)
    assert D.shape == (20, 20)
    assert metric.mahalanobis(X).mean() == pytest.approx(2 * 19 / 20)
    np.testing.assert_allclose(metric(X[:1], X), D[0], rtol=1e-9, atol=1e-9)
    if kind == "array":
        assert metric.eigenfunctions_.shape == (2, 9, 12)
        assert metric(values[0], values[1]) == pytest.approx(D[0, 1])


def test_irregular_curves():
    t, X = curves()
    rng = np.random.default_rng(0)
    kept = [np.sort(rng.choice(41, 30, replace=False)) for _ in X]
    irregular = skfda.FDataIrregular(
        start_indices=np.arange(0, 30 * len(X), 30),
        points=np.concatenate([t[k] for k in kept]),
        values=np.concatenate([x[k] for x, k in zip(X, kept)]),
        domain_range=((0.0, 1.0),),
    )
    space = L2Space(basis=BSplineBasis((0, 1), n_basis=12))
    metric = FunctionalMahalanobis("truncate", n_components=3, space=space).fit(irregular)
    whole = FunctionalMahalanobis("truncate", n_components=3).fit(X)
    D = metric.pairwise(irregular)
    np.testing.assert_allclose(D, whole.pairwise(X), rtol=0.05, atol=0.05)
    assert (metric(irregular[3], irregular)[[3]] == 0).all()
    assert (metric.pairwise(irregular[:5], irregular).diagonal() == 0).all()
    assert isinstance(metric.eigenfunctions_, FDataBasis)
    with pytest.raises(ValueError, match="basis"):
        FunctionalMahalanobis().fit(irregular)


def test_equal_curves_in_a_basis():
    rng = np.random.default_rng(5)
    X = FDataBasis(BSplineBasis((0, 1), n_basis=30), rng.standard_normal((40, 30)))
    metric = FunctionalMahalanobis("ridge", alpha=1e-6).fit(X)
    twice = X.concatenate(X[3:9])
    D = metric.pairwise(twice)
    assert (D[40:, 3:9].diagonal() == 0).all()
    assert (metric.pairwise(X[:7], X).diagonal() == 0).all()
    assert metric(X[4], X)[4] == 0
    assert (metric(X[2:9], twice[2:9]) == 0).all()


# ---------------------------------------------------------------- facts


@pytest.mark.parametrize("kind", ["grid", "basis", "array"])
@every_filter
def test_eigenfunctions_are_orthonormal_and_rebuild_the_curves(kind, filter):
    t, values = curves()
    X = {"grid": FDataGrid(values, t), "array": values}.get(kind)
    if kind == "basis":
        X = FDataGrid(values, t).to_basis(BSplineBasis((0, 1), n_basis=12))
    metric = FunctionalMahalanobis(filter, n_components=5).fit(X)
    e, m, space = metric.eigenfunctions_, metric.location_, metric.space_
    assert type(e) is type(m) is type(X)
    assert len(e) == 5
    assert len(m) == 1
    E = space.transform(e)
    np.testing.assert_allclose(E @ E.T, np.eye(5), atol=1e-9)
    V = space.transform(X) - space.transform(m)
    np.testing.assert_allclose(V.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.diag(np.cov((V @ E.T).T)), metric.eigenvalues_, rtol=1e-8)
    assert (np.diff(metric.eigenvalues_) <= 0).all()


def test_scores_against_scikit_fda():
    t, X = curves()
    X = FDataGrid(X, t)
    pca = skfda.preprocessing.dim_reduction.FPCA(n_components=3, _weights=simpson(np.eye(41), x=t)).fit(X)
    metric = FunctionalMahalanobis("truncate", n_components=3, weights="simpson").fit(X)
    np.testing.assert_allclose(metric.eigenvalues_, pca.explained_variance_, rtol=1e-9)
    products = np.abs(skfda.misc.inner_product_matrix(metric.eigenfunctions_, pca.components_))
    np.testing.assert_allclose(products, np.eye(3), atol=1e-7)


@pytest.mark.parametrize("scatter", [fmahal.LedoitWolf(), fmahal.FixedScatter()], ids=repr)
def test_facts_of_another_scatter(scatter):
    t, X = curves()
    metric = FunctionalMahalanobis(scatter=scatter).fit(FDataGrid(X, t))
    E = metric.space_.transform(metric.eigenfunctions_)
    np.testing.assert_allclose((E.T * metric.eigenvalues_) @ E, metric.scatter_.covariance_, atol=1e-10)
    assert metric.weights_per_curve_ is None
    np.testing.assert_allclose(metric.location_.data_matrix[0, :, 0], X.mean(axis=0), rtol=1e-9)


def test_facts_without_a_space_of_curves():
    """Any transformer may be the space; without a way back there are distances and no eigenfunctions."""
    _, X = curves()
    metric = FunctionalMahalanobis("truncate", n_components=2, space=PCA(5)).fit(X)
    plain = fmahal_metric(make_pipeline(PCA(5), SpectralFilter("truncate", n_components=2))).fit(X)
    np.testing.assert_allclose(metric.pairwise(X), plain.pairwise(X), rtol=1e-9)
    np.testing.assert_allclose(metric.eigenfunctions_ @ metric.eigenfunctions_.T, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(metric.location_[0], X.mean(axis=0), rtol=1e-9)
    metric = FunctionalMahalanobis(
        "truncate", n_components=2, space=Nystroem(n_components=6, random_state=0)
    ).fit(X)
    assert metric.pairwise(X).shape == (30, 30)
    for name in ("eigenfunctions_", "location_"):
        with pytest.raises(AttributeError, match="Nystroem has no inverse_transform"):
            getattr(metric, name)


def test_smoothing_before_the_space():
    """What comes before the space maps curves to curves: the way back ends at the space."""
    t, X = curves()
    grid = FDataGrid(X, t)
    smoother = skfda.preprocessing.smoothing.BasisSmoother(BSplineBasis((0, 1), n_basis=9), return_basis=True)
    metric = FunctionalMahalanobis(n_components=3, space=make_pipeline(smoother, L2Space())).fit(grid)
    assert isinstance(metric.eigenfunctions_, FDataBasis)
    smooth = smoother.fit_transform(grid)
    np.testing.assert_allclose(
        metric.pairwise(grid),
        FunctionalMahalanobis(n_components=3).fit(smooth).pairwise(smooth),
        rtol=1e-8,
        atol=1e-8,
    )


def test_the_eigenvalues_of_a_filter_with_cross_validated_alpha_are_its_own():
    class Decomposed(fmahal.LedoitWolf):
        def fit(self, X, y=None):
            super().fit(X)
            self.eigenvalues_, self.components_ = np.array([2.0]), np.eye(1, X.shape[1])
            return self

    _, X = curves()
    metric = FunctionalMahalanobis(scatter=Decomposed()).fit(X)
    assert metric.eigenvalues_.tolist() == [2.0]
    assert metric.eigenfunctions_.shape == (1, 41)


# ---------------------------------------------------------------- robust scatters


@pytest.fixture(scope="module")
def polluted():
    t, X = curves(n=80, seed=4)
    X[:8] += 6.0 * np.sin(9 * np.pi * t) + 3.0
    return t, X


@pytest.mark.parametrize("scatter", [fmahal.MinCovDet(random_state=0), fmahal.MRCD()], ids=repr)
@pytest.mark.parametrize("kind", ["grid", "array"])
def test_robust_scatters_work_on_spherical_scores(polluted, scatter, kind):
    t, values = polluted
    X = FDataGrid(values, t) if kind == "grid" else values
    metric = FunctionalMahalanobis(scatter=scatter).fit(X)
    assert [name for name, _ in metric.pipeline_.steps] == ["space", "scores", "scatter"]
    assert isinstance(metric.pipeline_.named_steps["scores"], SphericalPCA)
    weights = metric.weights_per_curve_
    assert weights.shape == (80,)
    assert (weights[:8] == 0).all()
    assert weights[8:].mean() > 0.8
    d2 = metric.mahalanobis(X)
    assert d2[:8].min() > np.median(d2) * 10
    E = metric.space_.transform(metric.eigenfunctions_)
    np.testing.assert_allclose(E @ E.T, np.eye(len(E)), atol=1e-9)
    centre = metric.location_ if kind == "array" else metric.location_.data_matrix[:, :, 0]
    clean = values[8:].mean(axis=0)
    assert np.abs(centre[0] - clean).max() < 0.5 * np.abs(values.mean(axis=0) - clean).max()
    np.testing.assert_array_equal(metric.pairwise(X[:5], X).diagonal(), 0.0)


def test_a_robust_filter_works_on_all_coordinates(polluted):
    t, values = polluted
    X = FDataGrid(values, t)
    metric = FunctionalMahalanobis(scatter=RobustSpectralFilter()).fit(X)
    assert [name for name, _ in metric.pipeline_.steps] == ["space", "scatter"]
    weights = metric.weights_per_curve_
    assert weights.shape == (80,)
    assert (weights[:8] == 0).all()
    assert weights[8:].mean() > 0.8
    assert metric.mahalanobis(X)[:8].min() > metric.mahalanobis(X)[8:].max()
    E = metric.space_.transform(metric.eigenfunctions_)
    np.testing.assert_allclose(E @ E.T, np.eye(len(E)), atol=1e-9)
    assert len(E) == metric.eigenvalues_.size
    np.testing.assert_allclose(metric(X[:3], X[3:6]), np.diagonal(metric.pairwise(X), 3)[:3], rtol=1e-8)


def test_a_given_space_is_left_alone(polluted):
    _, X = polluted
    metric = FunctionalMahalanobis(
        space=make_pipeline(L2Space(), SphericalPCA(3)), scatter=fmahal.MinCovDet(random_state=0)
    )
    assert [name for name, _ in metric.as_pipeline().steps] == ["space", "scatter"]
    assert metric.fit(X).eigenfunctions_.shape == (3, 41)


# ---------------------------------------------------------------- the name


def test_the_pipeline_behind_the_name():
    _, X = curves()
    metric = FunctionalMahalanobis("ridge", n_components=4, alpha=0.5, alpha_units="trace", weights="simpson")
    one, two = metric.as_pipeline(), metric.as_pipeline()
    assert isinstance(one, Pipeline)
    assert one is not two
    assert [name for name, _ in one.steps] == ["space", "scatter"]
    assert one["space"].weights == "simpson"
    assert one["scatter"].get_params()["alpha"] == 0.5
    metric.fit(X)
    assert metric.as_pipeline() is metric.pipeline_ is metric.estimator_
    assert metric.space_ is metric.pipeline_["space"]
    space, scatter = fmahal.scatter.resolve(metric)
    assert space.steps[0][1] is metric.space_
    assert scatter is metric.scatter_
    np.testing.assert_allclose(
        one.fit(X)["scatter"].mahalanobis(one["space"].transform(X)), metric.mahalanobis(X), rtol=1e-9
    )


def test_given_parts_are_cloned():
    _, X = curves()
    space, scatter = L2Space(), fmahal.LedoitWolf()
    metric = FunctionalMahalanobis(space=space, scatter=scatter).fit(X)
    assert metric.space_ is not space
    assert metric.scatter_ is not scatter
    assert not hasattr(scatter, "location_")


def test_clones_pickles_and_refits():
    t, X = curves()
    X = FDataGrid(X, t)
    metric = FunctionalMahalanobis("truncate", n_components=2).fit(X)
    again = pickle.loads(pickle.dumps(metric))
    np.testing.assert_array_equal(again.pairwise(X), metric.pairwise(X))
    assert again.eigenfunctions_.equals(metric.eigenfunctions_)
    fresh = clone(metric)
    assert not hasattr(fresh, "pipeline_")
    assert fresh.get_params() == metric.get_params()
    metric.set_params(n_components=4).fit(X)
    assert metric.eigenvalues_.size == 4
    assert "squared" not in metric.get_params()


def test_a_metric_of_a_name():
    _, X = curves()
    metric = fmahal_metric(FunctionalMahalanobis("truncate", n_components=2)).fit(X)
    np.testing.assert_allclose(
        metric.pairwise(X), FunctionalMahalanobis("truncate", n_components=2).fit(X).pairwise(X), rtol=1e-12
    )


# ---------------------------------------------------------------- refusals


def test_not_fitted():
    metric = FunctionalMahalanobis()
    _, X = curves()
    for call in (lambda: metric(X, X), lambda: metric.pairwise(X), lambda: metric.mahalanobis(X)):
        with pytest.raises(NotFittedError):
            call()
    for name in ("eigenvalues_", "eigenfunctions_", "location_", "weights_per_curve_", "pipeline_", "space_"):
        assert not hasattr(metric, name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filter": "tikhonov"}, "'truncate', 'rkhs', 'ridge', 'inverse', got 'tikhonov'"),
        ({"filter": 3}, "got 3"),
        ({"scatter": fmahal.LedoitWolf(), "filter": "ridge"}, "scatter=LedoitWolf and filter='ridge'"),
        ({"scatter": fmahal.LedoitWolf(), "n_components": 3, "alpha": 1.0}, "n_components=3, alpha=1.0"),
        ({"scatter": fmahal.LedoitWolf(), "alpha_units": "trace"}, "alpha_units='trace'"),
        ({"weights": "simpson", "space": L2Space()}, "weights and space"),
        ({"n_components": 0}, "n_components"),
        ({"alpha": -1.0}, "alpha"),
    ],
)
def test_parameters_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        FunctionalMahalanobis(**arguments).fit(curves()[1])


def test_classes_are_no_objects():
    for arguments in ({"space": L2Space}, {"scatter": fmahal.LedoitWolf}):
        with pytest.raises(TypeError, match="not a class"):
            FunctionalMahalanobis(**arguments).fit(curves()[1])
    with pytest.raises(TypeError, match="must be a scatter"):
        FunctionalMahalanobis(scatter=L2Space()).fit(curves()[1])


def test_curves_that_do_not_fit():
    t, X = curves()
    grid = FDataGrid(X, t)
    metric = FunctionalMahalanobis().fit(grid)
    bad = X.copy()
    bad[3, 7] = np.nan
    strangers = {
        "NaN": FDataGrid(bad, t),
        "grid": FDataGrid(X, t**2),
        "component|codomain": FDataGrid(np.stack([X, X], axis=2), t),
        "domain": FDataGrid(X, t, domain_range=(-1, 2)),
        "grid_points": FDataGrid(X, 3 * t),
        "FDataBasis": grid.to_basis(MonomialBasis(n_basis=4)),
        "array": X,
    }
    for message, Y in strangers.items():
        for call in (
            lambda Y=Y: metric(grid, Y),
            lambda Y=Y: metric(Y, grid),
            lambda Y=Y: metric.pairwise(grid, Y),
            lambda Y=Y: metric.mahalanobis(Y),
        ):
            with pytest.raises(ValueError, match=message):
                call()
    with pytest.raises(ValueError, match=r"(?s)3.*NaN|NaN.*3"):
        FunctionalMahalanobis().fit(FDataGrid(bad, t))


def test_equal_curves_only():
    with pytest.raises(fmahal.RankDeficientError, match="equal"):
        FunctionalMahalanobis().fit(np.ones((5, 11)))


def test_two_curves():
    X = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 0.0]])
    metric = FunctionalMahalanobis().fit(X)
    D = metric.pairwise(X)
    assert np.isfinite(D).all()
    assert D[0, 1] > 0


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"scatter": "mcd"}, TypeError, r"scatter must be a scatter object, such as MinCovDet\(\)"),
        ({"space": "l2"}, TypeError, r"space must be a transformer of curves, such as L2Space\(\)"),
        (
            {"alpha": np.array([1.0, 2.0]), "scatter": fmahal.MinCovDet()},
            ValueError,
            r"scatter=MinCovDet and alpha=array\(\[1., 2.\]\) are both given",
        ),
    ],
)
def test_parameters_of_another_kind_are_named(settings, error, words):
    with pytest.raises(error, match=words):
        FunctionalMahalanobis(**settings).fit(np.eye(6, 4))


@pytest.mark.parametrize(
    "estimator",
    [
        SpectralFilter(),
        fmahal.SpectralFilterCV(),
        RobustSpectralFilter(),
        fmahal.LedoitWolf(),
        SphericalPCA(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_curves_where_rows_are_expected_need_a_space(estimator):
    curves = FDataGrid(np.random.default_rng(0).normal(size=(20, 10)))
    with pytest.raises(TypeError, match=r"X is an FDataGrid, curves.*make_pipeline\(L2Space\(\)"):
        estimator.fit(curves)
    if hasattr(estimator, "mahalanobis"):
        with pytest.raises(TypeError, match=r"make_pipeline\(L2Space\(\)"):
            fmahal.FunctionalOutlierDetector(estimator).fit(curves)


def test_advice_for_curves_names_filters():
    X = np.random.default_rng(0).normal(size=(20, 30))
    with pytest.raises(
        fmahal.exceptions.RankDeficientError, match='Use filter="ridge" or filter="rkhs", or n_comp'
    ):
        fmahal.FunctionalOutlierDetector(FunctionalMahalanobis("inverse")).fit(X)
    with pytest.raises(TypeError, match=r"not a name: got 'ridge'. For curves pass FunctionalMahalanobis"):
        fmahal.FunctionalOutlierDetector("ridge").fit(X)
