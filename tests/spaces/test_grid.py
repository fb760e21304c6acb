"""Curves on a grid: quadrature, isometry, symmetries, units, components, surfaces, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import simpson

from fmahal.spaces import L2Space
from fmahal.spaces._grids import cell_widths, simpson_weights

TIMES = (1e-6, 1e-3, 1.0, 1e6)
VALUES = (1e-8, 1.0, 1e8)


@st.composite
def grids(draw, least=2, most=24):
    """Increasing points with cells of unequal width, anywhere on the line, in any unit."""
    size = draw(st.integers(least - 1, most - 1))
    steps = draw(st.lists(st.floats(0.1, 1.0), min_size=size, max_size=size))
    start = draw(st.floats(-5.0, 5.0))
    return (start + np.concatenate([[0.0], np.cumsum(steps)])) * draw(st.sampled_from(TIMES))


def curves(rng, n, t, *more):
    return rng.standard_normal((n, t.size, *more))


# -------------------------------------------------------------------- quadrature


@given(grids())
def test_trapezoid_weights_are_positive_sum_to_the_length_and_do_not_know_the_direction_of_time(t):
    w = cell_widths(t)
    assert (w > 0).all()
    np.testing.assert_allclose(w.sum(), t[-1] - t[0], rtol=1e-12)
    np.testing.assert_allclose(cell_widths(-t[::-1])[::-1], w, rtol=1e-12)
    np.testing.assert_allclose(
        w @ (3 * t), 1.5 * (t[-1] ** 2 - t[0] ** 2), rtol=1e-9, atol=1e-12 * np.abs(t).max() ** 2
    )


@given(grids(least=3))
def test_simpson_weights_are_those_of_scipy(t):
    expected = simpson(np.eye(t.size), x=t)
    np.testing.assert_allclose(simpson_weights(t), expected, rtol=1e-9, atol=1e-9 * np.ptp(t))


@given(grids(), st.integers(0, 2**32 - 1))
def test_dot_products_are_the_trapezoid_integral_of_products(t, seed):
    X = curves(np.random.default_rng(seed), 3, t)
    Z = L2Space(grid_points=t).fit_transform(X)
    expected = np.trapezoid(X[:, None] * X[None], t, axis=-1)
    np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


def test_it_is_an_isometry_for_smooth_curves_up_to_the_square_of_the_cell():
    errors = []
    for T in (51, 101, 201):
        t = np.linspace(0, 2, T)
        Z = L2Space(grid_points=t).fit_transform([np.exp(t), np.sin(t)])
        exact = (np.exp(4) - 1) / 2 - (np.exp(2) * (np.sin(2) - np.cos(2)) + 1) + (1 - np.sin(4) / 4)
        errors.append(np.abs(np.sum((Z[0] - Z[1]) ** 2) / exact - 1))
    assert errors[0] < 2e-3
    assert errors[1] < errors[0] / 3.9
    assert errors[2] < errors[1] / 3.9


@pytest.mark.parametrize("T", [10, 11])
def test_grid_refinement_of_a_smooth_sample_changes_mahalanobis_distances_little(T):
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((30, 3)) * [3, 2, 1]

    def distances(T):
        t = np.linspace(0, 1, T)
        basis = np.array([np.ones(T), np.sqrt(2) * np.sin(2 * np.pi * t), np.sqrt(2) * np.cos(2 * np.pi * t)])
        Z = L2Space(grid_points=t).fit_transform(scores @ basis)
        return berrendero(Z, Z, alpha=0.1)

    np.testing.assert_allclose(distances(20 * T), distances(400), rtol=2e-3)


def berrendero(Z, Y, alpha, share=False):
    centre = Z.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(Z.T))
    values = np.maximum(values, 0)
    if share:
        alpha = alpha * values.max()
    scores = (Y - centre) @ vectors
    return (scores**2 * (values / (values + alpha) ** 2)).sum(axis=1)


@pytest.mark.parametrize("T", [8, 9])
@pytest.mark.parametrize("derivative", [0, 1, 2])
def test_time_reversal_changes_nothing(T, derivative):
    rng = np.random.default_rng(T)
    t = np.sort(rng.uniform(0, 1, T))
    X = curves(rng, 12, t)
    forth = L2Space(grid_points=t, derivative=derivative).fit_transform(X)
    back = L2Space(grid_points=1 - t[::-1], derivative=derivative).fit_transform(X[:, ::-1])
    np.testing.assert_allclose(
        back @ back.T, forth @ forth.T, rtol=1e-9, atol=1e-11 * np.abs(forth @ forth.T).max()
    )
    np.testing.assert_allclose(
        berrendero(back, back, 0.1, share=True), berrendero(forth, forth, 0.1, share=True), rtol=1e-8
    )


def test_simpson_knows_the_direction_of_time_on_an_even_grid():
    t = np.linspace(0, 1, 8)
    w = simpson_weights(t)
    assert np.abs(w - w[::-1]).max() > 0.1 * w.max()


@pytest.mark.parametrize("unit", TIMES)
@pytest.mark.parametrize("size", VALUES)
def test_units_of_time_and_values_change_nothing_but_one_factor(unit, size):
    rng = np.random.default_rng(2)
    t = np.linspace(0, 3, 15)
    X = curves(rng, 9, t)
    for derivative in (0, 1, 2):
        plain = L2Space(grid_points=t, derivative=derivative).fit_transform(X)
        scaled = L2Space(grid_points=t * unit, derivative=derivative).fit_transform(X * size)
        factor = size * unit ** (0.5 - derivative)
        np.testing.assert_allclose(scaled, plain * factor, rtol=1e-9, atol=1e-10 * factor)
        np.testing.assert_allclose(
            berrendero(scaled, scaled, 0.05, share=True),
            berrendero(plain, plain, 0.05, share=True),
            rtol=1e-7,
        )


@pytest.mark.parametrize("unit", TIMES)
def test_new_grids_are_compared_relative_to_the_cell(unit):
    t = np.linspace(0, 1, 21) * unit
    skfda = pytest.importorskip("skfda")
    X = np.random.default_rng(0).standard_normal((4, 21))
    space = L2Space().fit(skfda.FDataGrid(X, t))
    jitter = t * (1 + 1e-10)
    space.transform(skfda.FDataGrid(X, jitter))
    moved = t.copy()
    moved[7] += 1e-3 * (t[1] - t[0])
    with pytest.raises(ValueError, match=r"first at point 7: "):
        space.transform(skfda.FDataGrid(X, moved))


# -------------------------------------------------------------------- weights


def test_given_weights_and_domain_weights_multiply():
    rng = np.random.default_rng(3)
    t = np.linspace(0, 2, 9)
    X = curves(rng, 4, t)
    w = rng.uniform(0.5, 2, 9)
    Z = L2Space(grid_points=t, weights=w, domain_weight=lambda t: 1 + t).fit_transform(X)
    np.testing.assert_allclose(Z @ Z.T, (X * w * (1 + t)) @ X.T, rtol=1e-12)
    again = L2Space(grid_points=t, weights=w, domain_weight=1 + t)
    np.testing.assert_allclose(again.fit_transform(X), Z, rtol=1e-14)
    np.testing.assert_array_equal(again.weights_, w)


def test_a_linear_domain_weight_on_derivatives_is_taken_at_the_middle_of_the_cells():
    t = np.array([0.0, 0.5, 2.0, 3.0])
    X = np.random.default_rng(4).standard_normal((3, 4))
    by_function = L2Space(grid_points=t, derivative=1, domain_weight=lambda t: 2 + t).fit_transform(X)
    by_values = L2Space(grid_points=t, derivative=1, domain_weight=2 + t).fit_transform(X)
    np.testing.assert_allclose(by_values, by_function, rtol=1e-13)
    slopes = np.diff(X) / np.diff(t)
    middle = 0.5 * (t[1:] + t[:-1])
    np.testing.assert_allclose(by_values, slopes * np.sqrt(np.diff(t) * (2 + middle)), rtol=1e-13)


# -------------------------------------------------------------------- components and surfaces


def test_components_are_concatenated_before_anything_is_squared():
    rng = np.random.default_rng(5)
    t = np.linspace(0, 1, 7)
    X = curves(rng, 6, t, 2)
    Z = L2Space(grid_points=t, component_weights=[4.0, 0.25]).fit_transform(X)
    one = L2Space(grid_points=t).fit_transform(2 * X[..., 0])
    two = L2Space(grid_points=t).fit_transform(0.5 * X[..., 1])
    assert Z.shape == (6, 14)
    np.testing.assert_allclose(Z @ Z.T, one @ one.T + two @ two.T, rtol=1e-12)
    np.testing.assert_allclose(Z[:, ::2], one, rtol=1e-14)
    space = L2Space(grid_points=t).fit(X)
    assert (space.n_codomain_, space.n_features_in_) == (2, 14)


def test_surfaces_have_tensor_weights():
    rng = np.random.default_rng(6)
    u, v = np.array([0.0, 0.2, 1.0]), np.linspace(0, 3, 5)
    X = rng.standard_normal((4, 3, 5))
    space = L2Space(grid_points=(u, v))
    Z = space.fit_transform(X)
    expected = np.trapezoid(np.trapezoid(X[:, None] * X[None], v), u)
    np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-12)
    np.testing.assert_allclose(space.weights_, np.outer(cell_widths(u), cell_widths(v)))
    swapped = L2Space(grid_points=(v, u)).fit_transform(X.swapaxes(1, 2))
    np.testing.assert_allclose(swapped @ swapped.T, Z @ Z.T, rtol=1e-12)
    np.testing.assert_allclose(space.inverse_transform(Z), X, rtol=1e-12)
    given = L2Space(grid_points=(u, v), weights=[cell_widths(u), cell_widths(v)]).fit_transform(X)
    np.testing.assert_allclose(given, Z, rtol=1e-14)


def test_the_derivative_of_surfaces_is_the_gradient():
    u, v = np.linspace(0, 1, 5), np.linspace(0, 2, 6)
    plane = 3 * u[:, None] + 4 * v
    Z = L2Space(grid_points=(u, v), derivative=1).fit_transform([plane])
    np.testing.assert_allclose(np.sum(Z**2), (9 + 16) * 2.0, rtol=1e-12)
    bent = u[:, None] * v  # its second derivatives are the mixed one, which occurs twice
    Z = L2Space(grid_points=(u, v), derivative=2).fit_transform([bent])
    np.testing.assert_allclose(np.sum(Z**2), 2 * 2.0, rtol=1e-12)


@pytest.mark.parametrize("derivative", [1, 2])
def test_surfaces_come_back_from_their_derivatives(derivative):
    rng = np.random.default_rng(11)
    space = L2Space(grid_points=(np.linspace(0, 1, 5), [0.0, 1.0, 3.0, 4.0, 4.5]), derivative=derivative)
    Z = space.fit_transform(rng.standard_normal((3, 5, 5)))
    np.testing.assert_allclose(space.transform(space.inverse_transform(Z)), Z, rtol=1e-8, atol=1e-9)


# -------------------------------------------------------------------- the way back


@given(grids(least=3), st.integers(0, 2**32 - 1), st.sampled_from(VALUES))
def test_inverse_transform_is_exact_for_l2(t, seed, size):
    X = curves(np.random.default_rng(seed), 3, t, 2) * size
    space = L2Space(grid_points=t)
    np.testing.assert_allclose(space.inverse_transform(space.fit_transform(X)), X, rtol=1e-12)


@pytest.mark.parametrize("unit", TIMES)
@pytest.mark.parametrize("derivative", [1, 2, 3])
def test_derivative_spaces_lose_the_polynomials_below_their_order_and_nothing_else(derivative, unit):
    rng = np.random.default_rng(7)
    t = np.sort(rng.uniform(0, 1, 12)) * unit
    X = curves(rng, 3, t)
    space = L2Space(grid_points=t, derivative=derivative)
    Z = space.fit_transform(X)
    assert Z.shape == (3, 12 - derivative)
    back = space.inverse_transform(Z)
    np.testing.assert_allclose(space.transform(back), Z, rtol=1e-6, atol=1e-9 * np.abs(Z).max())
    lost = X - back
    s = t / unit
    fitted = np.polynomial.polynomial.polyval(s, np.polynomial.polynomial.polyfit(s, lost.T, derivative - 1))
    np.testing.assert_allclose(fitted, lost, atol=1e-7 * np.abs(X).max())
    w = cell_widths(t)
    for power in range(derivative):
        moment = back @ (w * s**power)
        assert np.abs(moment).max() < 1e-7 * w.sum() * np.abs(back).max()


def test_orthonormal_rows_come_back_as_orthonormal_functions():
    rng = np.random.default_rng(8)
    t = np.sort(rng.uniform(0, 5, 15))
    space = L2Space(grid_points=t).fit(curves(rng, 4, t))
    rows, _ = np.linalg.qr(rng.standard_normal((15, 6)))
    functions = space.inverse_transform(rows.T)
    gram = np.trapezoid(functions[:, None] * functions[None], t)
    np.testing.assert_allclose(gram, np.eye(6), atol=1e-12)


# -------------------------------------------------------------------- small things


def test_float32_stays_float32():
    X = np.random.default_rng(9).standard_normal((5, 8)).astype(np.float32)
    for derivative in (0, 1):
        space = L2Space(derivative=derivative)
        Z = space.fit_transform(X)
        assert Z.dtype == np.float32
        assert space.inverse_transform(Z).dtype == np.float32
        np.testing.assert_allclose(
            Z, L2Space(derivative=derivative).fit_transform(X.astype(float)), atol=1e-5
        )
    assert L2Space().fit_transform(np.arange(6).reshape(2, 3)).dtype == np.float64


def test_arrays_without_a_grid_live_on_the_unit_interval():
    space = L2Space().fit(np.zeros((2, 5)))
    np.testing.assert_array_equal(space.grid_points_[0], np.linspace(0, 1, 5))
    assert space.domain_range_ == ((0.0, 1.0),)
    assert space.kind_ == "array"


def test_fit_learns_nothing_from_the_values():
    rng = np.random.default_rng(10)
    X, Y = rng.standard_normal((2, 6, 9))
    assert L2Space.fixed_space is True
    np.testing.assert_array_equal(L2Space().fit(X).transform(Y), L2Space().fit(Y).transform(Y))
    np.testing.assert_array_equal(L2Space().fit_transform(Y), L2Space().fit(X).transform(Y))


def test_names_of_coordinates():
    assert list(L2Space().fit(np.zeros((1, 3))).get_feature_names_out()) == ["t=0", "t=0.5", "t=1"]
    vector = L2Space(grid_points=[0, 2], derivative=1).fit(np.zeros((1, 2, 2)))
    assert list(vector.get_feature_names_out()) == ["D1 t=1[0]", "D1 t=1[1]"]
    surface = L2Space(grid_points=([0, 1], [5, 6])).fit(np.zeros((1, 2, 2)))
    assert list(surface.get_feature_names_out())[:2] == ["t=(0,5)", "t=(0,6)"]
    near = L2Space(grid_points=1e6 + np.linspace(0, 1e-3, 4)).fit(np.zeros((1, 4)))
    assert len(set(near.get_feature_names_out())) == 4
