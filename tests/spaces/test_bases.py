"""Curves in a basis: Gram matrices, derivatives, agreement with the grid, near-singular Gram matrices."""

import math
from fractions import Fraction

import numpy as np
import pytest

from fmahal.exceptions import RankDeficientWarning
from fmahal.spaces import L2Space, SobolevSpace
from fmahal.spaces._bases import gram_factor
from fmahal.spaces._roots import root_factor

skfda = pytest.importorskip("skfda")
from skfda.representation.basis import (  # noqa: E402
    BSplineBasis,
    ConstantBasis,
    FourierBasis,
    MonomialBasis,
    TensorBasis,
    VectorValuedBasis,
)

CURVES = {
    "monomial": MonomialBasis(domain_range=(0, 1), n_basis=5),
    "monomial off zero": MonomialBasis(domain_range=(2, 5), n_basis=4),
    "monomial long": MonomialBasis(domain_range=(0, 1e6), n_basis=4),
    "monomial short": MonomialBasis(domain_range=(0, 1e-6), n_basis=4),
    "spline": BSplineBasis(domain_range=(0, 2), n_basis=8),
    "spline uneven": BSplineBasis(knots=[0, 0.1, 0.5, 2], order=4),
    "fourier": FourierBasis(domain_range=(0, 365), n_basis=7),
    "fourier other period": FourierBasis(domain_range=(0, 1), n_basis=5, period=1.7),
}
OTHERS = {
    "vector": VectorValuedBasis([MonomialBasis(n_basis=3), FourierBasis(n_basis=5)]),
    "surface": TensorBasis([MonomialBasis(n_basis=3), BSplineBasis(domain_range=(0, 2), n_basis=5)]),
}


def sample(basis, n=6, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.sqrt(np.diagonal(basis.gram_matrix()))
    return skfda.FDataBasis(basis, rng.standard_normal((n, basis.n_basis)) / scale)


@pytest.mark.parametrize("name", [*CURVES, *OTHERS])
def test_dot_products_are_those_of_the_gram_matrix(name):
    basis = {**CURVES, **OTHERS}[name]
    X = sample(basis)
    Z = L2Space().fit_transform(X)
    expected = X.coefficients @ basis.gram_matrix() @ X.coefficients.T
    np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max())
    assert Z.shape == X.coefficients.shape


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("derivative", [0, 1, 2])
def test_basis_equals_grid_on_a_fine_grid(name, derivative):
    X = sample(CURVES[name])
    ((a, b),) = X.domain_range
    t = np.linspace(a, b, 4001)
    values = X.derivative(order=derivative)(t)[..., 0] if derivative else X(t)[..., 0]
    on_grid = L2Space(grid_points=t).fit_transform(values)
    Z = L2Space(derivative=derivative).fit_transform(X)
    expected = on_grid @ on_grid.T
    np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["monomial", "spline", "fourier"])
def test_sobolev_in_a_basis_is_the_limit_of_sobolev_on_grids(name):
    X = sample(CURVES[name])
    ((a, b),) = X.domain_range
    t = np.linspace(a, b, 4001)
    Z = SobolevSpace(1).fit_transform(X)
    on_grid = SobolevSpace(1, grid_points=t).fit_transform(X(t)[..., 0])
    expected = on_grid @ on_grid.T
    np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_sobolev_of_polynomials_is_exact():
    X = skfda.FDataBasis(MonomialBasis(domain_range=(0, 2), n_basis=3), [[0, 0, 1.0]])  # t^2
    Z = SobolevSpace(2, length_scale=1.0).fit_transform(X)
    np.testing.assert_allclose(np.sum(Z**2), 2**5 / 5 + 4 * 2**3 / 3 + 4 * 2, rtol=1e-12)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_time_changes_one_common_factor(unit):
    rng = np.random.default_rng(1)
    C = rng.standard_normal((5, 8))
    plain = SobolevSpace(2).fit_transform(skfda.FDataBasis(BSplineBasis(domain_range=(0, 1), n_basis=8), C))
    scaled = SobolevSpace(2).fit_transform(
        skfda.FDataBasis(BSplineBasis(domain_range=(0, unit), n_basis=8), C)
    )
    np.testing.assert_allclose(scaled @ scaled.T, unit * plain @ plain.T, rtol=1e-8)
    powers = unit ** -np.arange(4.0)
    C = rng.standard_normal((5, 4))
    plain = SobolevSpace(1).fit_transform(skfda.FDataBasis(MonomialBasis(domain_range=(0, 1), n_basis=4), C))
    X = skfda.FDataBasis(MonomialBasis(domain_range=(0, unit), n_basis=4), C * powers)
    scaled = SobolevSpace(1).fit_transform(X)
    np.testing.assert_allclose(scaled @ scaled.T, unit * plain @ plain.T, rtol=1e-8)


def test_many_splines_do_not_wait_for_the_gram_matrix_of_skfda(monkeypatch):
    monkeypatch.delattr(BSplineBasis, "_gram_matrix")  # minutes for some hundred functions
    X = skfda.FDataBasis(BSplineBasis(n_basis=60), np.ones((1, 60)))
    np.testing.assert_allclose(np.sum(L2Space().fit_transform(X) ** 2), 1.0, rtol=1e-12)  # splines sum to one


def test_component_weights_multiply_blocks():
    X = sample(OTHERS["vector"])
    Z = L2Space(component_weights=[4.0, 9.0]).fit_transform(X)
    first = L2Space().fit_transform(X.coordinates[0])
    second = L2Space().fit_transform(X.coordinates[1])
    np.testing.assert_allclose(Z @ Z.T, 4 * first @ first.T + 9 * second @ second.T, rtol=1e-10)


def test_surfaces_in_a_tensor_basis_equal_surfaces_on_a_grid():
    X = sample(OTHERS["surface"])
    u, v = np.linspace(0, 1, 301), np.linspace(0, 2, 301)
    values = X((u, v), grid=True)[..., 0]
    for space in (L2Space, SobolevSpace):
        Z = space().fit_transform(X)
        on_grid = space(grid_points=(u, v)).fit_transform(values)
        expected = on_grid @ on_grid.T
        np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_domain_weights_in_a_basis():
    X = sample(CURVES["spline"])
    t = np.linspace(0, 2, 4001)
    for weight in (lambda t: 1 + t**2, lambda t: np.exp(-t)):
        Z = L2Space(domain_weight=weight).fit_transform(X)
        on_grid = L2Space(grid_points=t, domain_weight=weight).fit_transform(X(t)[..., 0])
        expected = on_grid @ on_grid.T
        np.testing.assert_allclose(Z @ Z.T, expected, atol=1e-5 * np.abs(expected).max())
    surface = sample(OTHERS["surface"])
    Z = L2Space(domain_weight=lambda u, v: 3.0 + 0 * u).fit_transform(surface)
    plain = L2Space().fit_transform(surface)
    np.testing.assert_allclose(Z @ Z.T, 3 * plain @ plain.T, rtol=1e-10)


@pytest.mark.parametrize("name", [*CURVES, *OTHERS])
def test_inverse_transform_gives_the_same_curves_in_the_same_basis(name):
    X = sample({**CURVES, **OTHERS}[name])
    for space in (L2Space(), SobolevSpace(1)):
        back = space.inverse_transform(space.fit_transform(X))
        assert back.basis == X.basis
        unit = np.abs(X.coefficients).max(axis=0)
        np.testing.assert_allclose(back.coefficients / unit, X.coefficients / unit, atol=1e-8)


def test_labels_come_back():
    X = sample(CURVES["fourier"]).copy(
        argument_names=["day"], coordinate_names=["C"], extrapolation="periodic"
    )
    space = L2Space().fit(X)
    back = space.inverse_transform(space.transform(X))
    assert (back.argument_names, back.coordinate_names) == (("day",), ("C",))
    assert back.extrapolation == X.extrapolation
    grid = X.to_grid(np.linspace(0, 365, 11)).copy(argument_names=["day"], coordinate_names=["C"])
    back = L2Space().fit(grid).inverse_transform(L2Space().fit_transform(grid))
    assert (back.argument_names, back.coordinate_names) == (("day",), ("C",))
    assert back.extrapolation == grid.extrapolation
    np.testing.assert_array_equal(back.grid_points[0], grid.grid_points[0])


def test_orthonormal_rows_come_back_as_orthonormal_functions():
    rng = np.random.default_rng(2)
    X = sample(CURVES["monomial"])
    space = L2Space().fit(X)
    rows, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    functions = space.inverse_transform(rows)
    np.testing.assert_allclose(skfda.misc.inner_product_matrix(functions), np.eye(5), atol=1e-9)


@pytest.mark.parametrize("n_basis", [16, 25])
def test_monomials_of_high_degree_have_a_singular_gram_matrix(n_basis):
    X = sample(MonomialBasis(n_basis=n_basis), n=40)
    space = L2Space()
    Z = space.fit_transform(X)
    assert np.isfinite(Z).all()
    assert Z.shape[1] == space.n_features_out_
    assert (Z.shape[1] < n_basis) == (n_basis == 25)  # values of 16 are independent, products of them are not
    t = np.linspace(0, 1, 4001)
    on_grid = L2Space(grid_points=t).fit_transform(X(t)[..., 0])
    expected = on_grid @ on_grid.T
    np.testing.assert_allclose(Z @ Z.T, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(space.transform(space.inverse_transform(Z)), Z, atol=1e-6 * np.abs(Z).max())


def legendre(a, b, degree, n_basis):
    """The Legendre polynomial on [a, b] in powers of t, correctly rounded, and its squared norm."""
    half, middle = Fraction(b - a, 2), Fraction(a + b, 2)
    powers = [
        Fraction(c).limit_denominator(2**20) for c in np.polynomial.legendre.leg2poly([0] * degree + [1])
    ]
    coefficients = [Fraction(0)] * n_basis
    for j, c in enumerate(powers):
        for i in range(j + 1):
            coefficients[i] += c * math.comb(j, i) * (-middle) ** (j - i) / half**j
    basis = MonomialBasis(domain_range=(a, b), n_basis=n_basis)
    return skfda.FDataBasis(basis, [[float(c) for c in coefficients]]), (b - a) / (2 * degree + 1)


@pytest.mark.parametrize(
    ("a", "b", "n_basis"), [(1990, 2020, 4), (1990, 2020, 5), (10000, 10001, 3), (-7, 1, 6)]
)
def test_monomials_far_from_zero_keep_their_directions(a, b, n_basis):
    X, squared = legendre(a, b, n_basis - 1, n_basis)
    space = L2Space()
    Z = space.fit_transform(X)
    assert Z.shape == (1, n_basis)
    np.testing.assert_allclose(np.sum(Z**2), squared, rtol=1e-6)
    t = np.linspace(a, b, 50)
    np.testing.assert_allclose(space.inverse_transform(Z)(t)[0, :, 0], X(t)[0, :, 0], atol=1e-5)


@pytest.mark.parametrize("how", ["vector", "tensor", "weight"])
def test_monomials_far_from_zero_in_composed_bases(how):
    X, squared = legendre(1990, 2020, 3, 4)
    weight, c = None, X.coefficients
    if how == "vector":
        X = skfda.FDataBasis(VectorValuedBasis([X.basis, X.basis]), np.hstack([c, 2 * c]))
        squared = 5 * squared
    elif how == "tensor":
        X = skfda.FDataBasis(TensorBasis([X.basis, MonomialBasis(n_basis=2)]), np.kron(c, [[1.0, 0.0]]))
    else:

        def weight(t):
            return 3.0 + 0.0 * t

        squared = 3 * squared
    Z = L2Space(domain_weight=weight).fit_transform(X)
    np.testing.assert_allclose(np.sum(Z**2), squared, rtol=1e-6)


def test_what_a_basis_loses_is_named():
    X, _ = legendre(1990, 2020, 6, 7)
    with pytest.warns(
        RankDeficientWarning, match=r"directions of MonomialBasis .* \[1990, 2020\] .* curve 0"
    ):
        L2Space().fit_transform(X)
    level = skfda.FDataBasis(X.basis, [[1.0] + [0.0] * 6])
    np.testing.assert_allclose(np.sum(L2Space().fit_transform(level) ** 2), 30.0, rtol=1e-9)  # without a word


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_the_factor_of_values_does_not_know_units(unit):
    rng = np.random.default_rng(3)
    units = unit ** rng.uniform(-1, 1, 6)
    for rank in (4, 6):
        B = rng.standard_normal((40, rank)) @ rng.standard_normal((rank, 6))
        F, inverse, lost = root_factor(B * units)
        assert F.shape == (6, rank)
        assert (lost is None) == (rank == 6)
        product = B.T @ B
        np.testing.assert_allclose((F @ F.T) / np.outer(units, units), product, atol=1e-9 * product.max())
        np.testing.assert_allclose(inverse @ F, np.eye(rank), atol=1e-8)
    np.testing.assert_allclose(
        root_factor(B)[0], np.linalg.cholesky(product), atol=1e-9 * product.max() ** 0.5
    )


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_the_cut_of_a_singular_gram_matrix_does_not_know_units(unit):
    rng = np.random.default_rng(3)
    A = rng.standard_normal((6, 4))
    units = unit ** rng.uniform(-1, 1, 6)
    G = (A @ A.T) * np.outer(units, units)
    F, inverse = gram_factor(G)
    assert F.shape == (6, 4)
    np.testing.assert_allclose((F @ F.T) / np.outer(units, units), A @ A.T, atol=1e-9)
    np.testing.assert_allclose(inverse @ F, np.eye(4), atol=1e-8)


def test_constants_have_no_derivative():
    X = skfda.FDataBasis(ConstantBasis(), [[1.0], [2.0]])
    with pytest.raises(ValueError, match="these derivatives of all its functions vanish"):
        L2Space(derivative=1).fit(X)
    plain = L2Space().fit_transform(X)
    np.testing.assert_allclose(np.abs(plain), [[1.0], [2.0]])


def test_quadrature_weights_have_no_place_in_a_basis():
    X = sample(CURVES["fourier"])
    with pytest.raises(ValueError, match="where integrals are exact"):
        L2Space(weights=np.ones(7)).fit(X)
    with pytest.raises(ValueError, match="domain_weight must be a function"):
        L2Space(domain_weight=np.ones(7)).fit(X)
    with pytest.raises(ValueError, match="grid_points has 2 axes and the basis 1"):
        L2Space(grid_points=([0, 1], [0, 1])).fit(X)


def test_float32_coefficients_stay_float32():
    basis = CURVES["spline"]
    X = skfda.FDataBasis(basis, np.ones((3, basis.n_basis), dtype=np.float32))
    assert L2Space().fit_transform(X).dtype == np.float32


def test_bases_that_cannot_be_differentiated_say_so():
    from skfda.representation.basis import CustomBasis, FiniteElementBasis

    inner = skfda.FDataBasis(MonomialBasis(n_basis=4), np.random.default_rng(4).standard_normal((3, 4)))
    X = skfda.FDataBasis(CustomBasis(fdata=inner), np.eye(3))
    plain = L2Space().fit_transform(X)
    np.testing.assert_allclose(plain @ plain.T, skfda.misc.inner_product_matrix(inner), rtol=1e-8, atol=1e-10)
    with pytest.raises(ValueError, match="does not differentiate CustomBasis 2 times"):
        L2Space(derivative=2).fit(X)
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    mesh = FiniteElementBasis(vertices=corners, cells=[(0, 1, 2), (1, 2, 3)], domain_range=[(0, 1), (0, 1)])
    X = skfda.FDataBasis(mesh, np.ones((2, 4)))
    np.testing.assert_allclose(np.sum(L2Space().fit_transform(X) ** 2, axis=1), 1.0, rtol=1e-3)
    with pytest.raises(ValueError, match="FiniteElementBasis has no derivatives here"):
        SobolevSpace().fit(X)
