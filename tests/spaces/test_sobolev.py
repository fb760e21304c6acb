"""Sobolev spaces: exact seminorms, agreement of grid and basis, units, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmahal.spaces import L2Space, SobolevSpace
from fmahal.spaces._grids import stencil

SEEDS = st.integers(0, 2**32 - 1)


def uneven(rng, T, length=1.0):
    return length * np.concatenate([[0.0], np.cumsum(rng.uniform(0.2, 1.0, T - 1))])


@given(SEEDS, st.integers(2, 20))
def test_the_h1_seminorm_is_exact_for_piecewise_linear_curves(seed, T):
    rng = np.random.default_rng(seed)
    t = uneven(rng, T)
    X = rng.standard_normal((3, T))
    Z = SobolevSpace(1, grid_points=t, length_scale=2.0).fit_transform(X)
    slopes = np.diff(X) / np.diff(t)
    exact = 4.0 * (slopes * np.diff(t)) @ slopes.T  # the slopes are constant on the cells
    level = L2Space(grid_points=t).fit_transform(X)
    np.testing.assert_allclose(Z @ Z.T, level @ level.T + exact, rtol=1e-10, atol=1e-12 * np.abs(exact).max())
    assert Z.shape == (3, 2 * T - 1)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_the_seminorm_of_order_j_is_exact_for_polynomials_of_degree_j(order):
    rng = np.random.default_rng(order)
    factorial = np.prod(np.arange(1, order + 1))
    for t in (uneven(rng, 9), np.linspace(0, 2, 9)):
        below = rng.standard_normal(order) @ t ** np.arange(order)[:, None]
        Z = L2Space(grid_points=t, derivative=order).fit_transform([t**order + below, below])
        np.testing.assert_allclose(np.sum(Z[0] ** 2), factorial**2 * t[-1], rtol=1e-8)
        assert np.sum(Z[1] ** 2) < 1e-16 * np.sum(Z[0] ** 2)


@pytest.mark.parametrize("order", [3, 4])
def test_derivatives_of_high_order_converge_on_uneven_grids(order):
    errors = []
    for T in (40, 160, 640):
        t = uneven(np.random.default_rng(T), T)
        t /= t[-1]
        Z = L2Space(grid_points=t, derivative=order).fit_transform([np.sin(3 * t)])
        exact = 3.0 ** (2 * order) * (0.5 - (-1) ** order * np.sin(6) / 12)
        errors.append(abs(np.sum(Z**2) / exact - 1))
    assert errors[0] < 0.2
    assert errors[2] < 0.01
    assert errors[2] < errors[0]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_cells_of_derivatives_are_positive_and_cover_the_grid(order):
    t = uneven(np.random.default_rng(order), 9)
    cells = stencil(t, order)
    assert (cells.widths > 0).all()
    np.testing.assert_allclose(cells.widths.sum(), t[-1] - t[0], rtol=1e-14)
    assert cells.nodes.size == cells.widths.size == 9 - order
    back = stencil(-t[::-1], order)
    np.testing.assert_allclose(back.widths[::-1], cells.widths, rtol=1e-12)
    np.testing.assert_allclose(-back.nodes[::-1], cells.nodes, rtol=1e-12)


@pytest.mark.parametrize("unit", [1e150, 1e-150])
def test_units_of_time_beyond_the_range_of_floats_are_named(unit):
    t = unit * np.linspace(0, 1, 30)
    X = np.random.default_rng(0).standard_normal((4, 30))
    space = SobolevSpace(1, grid_points=t)
    np.testing.assert_allclose(space.inverse_transform(space.fit_transform(X)), X, rtol=1e-9)
    with pytest.raises(ValueError, match=r"The length 1e.150 to the power of 4"):
        SobolevSpace(2, grid_points=t).fit(X)


def test_order_one_is_level_plus_derivative():
    rng = np.random.default_rng(3)
    t = uneven(rng, 10)
    X = rng.standard_normal((4, 10))
    Z = SobolevSpace(1, grid_points=t).fit_transform(X)
    level = L2Space(grid_points=t).fit_transform(X)
    slope = L2Space(grid_points=t, derivative=1).fit_transform(X)
    np.testing.assert_allclose(Z @ Z.T, level @ level.T + t[-1] ** 2 * slope @ slope.T, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("T", [8, 9])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_time_reversal_changes_nothing(T, order):
    rng = np.random.default_rng(T)
    t = uneven(rng, T)
    X = rng.standard_normal((5, T))
    forth = SobolevSpace(order, grid_points=t).fit_transform(X)
    back = SobolevSpace(order, grid_points=-t[::-1]).fit_transform(X[:, ::-1])
    np.testing.assert_allclose(back @ back.T, forth @ forth.T, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("order", [1, 2])
def test_rescaling_time_changes_one_common_factor(unit, order):
    rng = np.random.default_rng(4)
    t = uneven(rng, 11)
    X = rng.standard_normal((5, 11))
    plain = SobolevSpace(order, grid_points=t).fit_transform(X)
    scaled = SobolevSpace(order, grid_points=t * unit).fit_transform(X)
    np.testing.assert_allclose(scaled, plain * np.sqrt(unit), rtol=1e-8, atol=1e-9 * np.sqrt(unit))


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("order", [1, 2])
def test_inverse_transform_undoes_transform(unit, order):
    rng = np.random.default_rng(5)
    t = uneven(rng, 30) * unit
    X = rng.standard_normal((3, 30, 2))
    space = SobolevSpace(order, grid_points=t, component_weights=[1, 3])
    np.testing.assert_allclose(space.inverse_transform(space.fit_transform(X)), X, rtol=1e-6, atol=1e-8)


def test_inverse_transform_of_any_row_is_the_nearest_curve():
    rng = np.random.default_rng(6)
    space = SobolevSpace(1).fit(np.zeros((1, 6)))
    A = space.transform(np.eye(6)).T
    rows = rng.standard_normal((4, A.shape[0]))
    expected = np.linalg.lstsq(A, rows.T, rcond=None)[0].T
    np.testing.assert_allclose(space.inverse_transform(rows), expected, rtol=1e-9)


def test_surfaces():
    rng = np.random.default_rng(7)
    u, v = uneven(rng, 5), uneven(rng, 6)
    X = rng.standard_normal((3, 5, 6))
    space = SobolevSpace(1, grid_points=(u, v), length_scale=[1.0, 2.0])
    Z = space.fit_transform(X)
    np.testing.assert_allclose(space.inverse_transform(Z), X, rtol=1e-8, atol=1e-10)
    turned = SobolevSpace(1, grid_points=(v, u), length_scale=[2.0, 1.0]).fit_transform(X.swapaxes(1, 2))
    np.testing.assert_allclose(turned @ turned.T, Z @ Z.T, rtol=1e-10, atol=1e-10)
    plane = np.add.outer(3 * u, 4 * v)
    norm = np.sum(SobolevSpace(1, grid_points=(u, v), length_scale=[1.0, 2.0]).fit_transform([plane]) ** 2)
    level = np.sum(L2Space(grid_points=(u, v)).fit_transform([plane]) ** 2)
    np.testing.assert_allclose(norm - level, (9 + 4 * 16) * u[-1] * v[-1], rtol=1e-9)


def test_the_length_scale_weighs_the_derivatives():
    X = np.random.default_rng(8).standard_normal((3, 9))
    slope = L2Space(derivative=1).fit_transform(X)
    level = L2Space().fit_transform(X)
    for length in (1e-3, 10.0):
        Z = SobolevSpace(length_scale=length).fit_transform(X)
        np.testing.assert_allclose(
            Z @ Z.T, level @ level.T + length**2 * slope @ slope.T, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "one"])
def test_bad_orders(bad):
    with pytest.raises(ValueError, match="order must be an integer of at least 1"):
        SobolevSpace(bad).fit(np.zeros((2, 5)))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, [1.0, 2.0], "long"])
def test_bad_length_scales(bad):
    with pytest.raises(ValueError, match="length_scale must be a positive number"):
        SobolevSpace(length_scale=bad).fit(np.zeros((2, 5)))
