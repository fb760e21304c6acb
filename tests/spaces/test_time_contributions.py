"""Squared distances along the domain: they add up, exactly on a grid, and point at the part that is outlying."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmahal.scatter import EmpiricalCovariance
from fmahal.spaces import L2Space, SobolevSpace

SEEDS = st.integers(0, 2**32 - 1)


def split(space, X, ridge=0.1):
    """Return the contributions, and the squared distances of a ridge-regularised covariance."""
    Z = space.fit_transform(X)
    V = Z - Z.mean(axis=0)
    C = V.T @ V / len(V)
    G = np.linalg.solve(C + ridge * np.trace(C) * np.eye(len(C)), V.T).T
    return space.split_contributions(V, G), np.sum(V * G, axis=1)


SPACES = [
    L2Space(),
    L2Space(domain_weight=lambda t: 1 + t, component_weights=[2.0, 0.5]),
    L2Space(derivative=1),
    L2Space(derivative=2),
    SobolevSpace(1),
    SobolevSpace(2, component_weights=[2.0, 0.5]),
]


@given(SEEDS, st.sampled_from(SPACES))
def test_the_density_integrates_to_the_squared_distance(seed, space):
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.1, 1, 7))
    space.set_params(grid_points=t)
    found, d2 = split(space, rng.standard_normal((6, 7, 2)))
    assert found.density.shape == (6, 7, 2)
    np.testing.assert_allclose(found.total, d2, rtol=1e-9)
    np.testing.assert_allclose(np.einsum("ntd,t->n", found.density, found.weights), d2, rtol=1e-9)
    np.testing.assert_allclose(found.components.sum(axis=1), d2, rtol=1e-9)
    np.testing.assert_array_equal(found.grid_points[0], t)


def test_for_l2_it_is_the_curve_times_its_precision():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 6)
    X = rng.standard_normal((40, 6))
    space = L2Space(grid_points=t)
    scatter = EmpiricalCovariance().fit(space.fit_transform(X))
    Z = space.transform(X)
    found = space.split_contributions(Z - scatter.location_, scatter.precision_dot(Z))
    v = X - X.mean(axis=0)
    w = space.weights_
    kernel = np.linalg.inv(np.cov(X.T, ddof=0)) / np.outer(w, w)  # of the precision operator
    np.testing.assert_allclose(found.density[..., 0], v * (v * w @ kernel), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.total, scatter.mahalanobis(Z), rtol=1e-9)


def test_surfaces():
    rng = np.random.default_rng(1)
    for space in (L2Space, SobolevSpace):
        found, d2 = split(space(grid_points=([0, 1, 3], [0, 2, 3, 4])), rng.standard_normal((5, 3, 4)))
        assert found.density.shape == (5, 3, 4, 1)
        np.testing.assert_allclose(found.total, d2, rtol=1e-9)


@pytest.mark.parametrize("space", [L2Space, SobolevSpace])
def test_the_units_of_time_only_stretch_the_density(space):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((6, 9))
    t = np.linspace(0, 1, 9)
    plain, _ = split(space(grid_points=t), X)
    scaled, _ = split(space(grid_points=1e6 * t), X)
    np.testing.assert_allclose(scaled.density * 1e6, plain.density, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("space", [L2Space(), L2Space(derivative=1), SobolevSpace(1)])
def test_time_reversal_reverses_the_density(space):
    rng = np.random.default_rng(3)
    t = np.sort(rng.uniform(0, 1, 8))
    X = rng.standard_normal((6, 8))
    forth, _ = split(space.set_params(grid_points=t), X)
    back, _ = split(space.set_params(grid_points=1 - t[::-1]), X[:, ::-1])
    np.testing.assert_allclose(
        back.density[:, ::-1], forth.density, rtol=1e-7, atol=1e-8 * np.abs(forth.density).max()
    )


@pytest.mark.parametrize("space", [L2Space(), SobolevSpace(1)])
def test_a_peak_is_found_where_it_is(space):
    rng = np.random.default_rng(4)
    t = np.linspace(0, 1, 101)
    scores = rng.standard_normal((60, 2))
    X = scores @ np.array([np.ones(101), np.cos(np.pi * t)]) + 0.02 * rng.standard_normal((60, 101))
    X[0] += 2 * np.exp(-0.5 * ((t - 0.7) / 0.03) ** 2)
    found, _ = split(space.set_params(grid_points=t), X, ridge=0.01)
    share = found.mass[0, np.abs(t - 0.7) < 0.15].sum() / found.total[0]
    assert share > 0.7


def test_in_a_basis_it_integrates_to_the_accuracy_of_the_quadrature():
    skfda = pytest.importorskip("skfda")
    from skfda.representation.basis import BSplineBasis, FourierBasis, TensorBasis, VectorValuedBasis

    rng = np.random.default_rng(5)
    spline, fourier = (
        BSplineBasis(domain_range=(0, 1), n_basis=7),
        FourierBasis(domain_range=(0, 1), n_basis=5),
    )
    for basis, spaces in (
        (spline, SPACES[:1] + SPACES[2:5]),
        (VectorValuedBasis([spline, fourier]), SPACES),
        (TensorBasis([fourier, fourier]), [L2Space(), SobolevSpace(1)]),
    ):
        X = skfda.FDataBasis(basis, rng.standard_normal((8, basis.n_basis)))
        for space in spaces:
            found, d2 = split(space.set_params(grid_points=None), X)
            assert found.density.shape == (8, *[201] * basis.dim_domain, basis.dim_codomain)
            np.testing.assert_allclose(found.total, d2, rtol=2e-4)


def test_a_grid_for_contributions_in_a_basis_may_be_given():
    skfda = pytest.importorskip("skfda")
    from skfda.representation.basis import MonomialBasis

    X = skfda.FDataBasis(MonomialBasis(n_basis=3), np.random.default_rng(6).standard_normal((5, 3)))
    t = np.linspace(0, 1, 1001)
    found, d2 = split(L2Space(grid_points=t), X)
    assert found.density.shape == (5, 1001, 1)
    np.testing.assert_allclose(found.total, d2, rtol=1e-3)
