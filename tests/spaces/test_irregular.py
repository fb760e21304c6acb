"""Irregularly observed curves: least-squares coefficients in a basis, and errors that name the curve."""

import numpy as np
import pytest

from fmahal.spaces import L2Space, SobolevSpace

skfda = pytest.importorskip("skfda")
from skfda.representation import FDataIrregular  # noqa: E402
from skfda.representation.basis import (  # noqa: E402
    BSplineBasis,
    FDataBasis,
    FourierBasis,
    MonomialBasis,
    TensorBasis,
    VectorValuedBasis,
)


def observe(function, n=5, m=14, seed=0, unit=1.0, ends=True):
    rng = np.random.default_rng(seed)
    points, values, starts = [], [], []
    for i in range(n):
        t = np.sort(rng.uniform(0, 1, m + i))
        if ends:
            t[0], t[-1] = 0.0, 1.0
        starts.append(sum(len(p) for p in points))
        points.append(t * unit)
        values.append(function(t, i))
    return FDataIrregular(starts, np.concatenate(points), np.concatenate(values))


def test_curves_of_the_span_are_found_exactly():
    basis = MonomialBasis(n_basis=3)
    X = observe(lambda t, i: 1 + i * t - 2 * t**2)
    space = L2Space(basis=basis)
    Z = space.fit_transform(X)
    exact = FDataBasis(MonomialBasis(domain_range=(0, 1), n_basis=3), [[1, i, -2] for i in range(5)])
    expected = L2Space().fit_transform(exact)
    np.testing.assert_allclose(Z @ Z.T, expected @ expected.T, rtol=1e-9)
    assert space.kind_ == "irregular"
    back = space.inverse_transform(Z)
    np.testing.assert_allclose(back.coefficients, exact.coefficients, atol=1e-9)


def test_it_is_least_squares_smoothing_as_scikit_fda_does_it():
    rng = np.random.default_rng(1)
    X = observe(lambda t, i: np.sin(5 * t) + 0.1 * rng.standard_normal(t.size))
    basis = BSplineBasis(domain_range=(0, 1), n_basis=6)
    expected = L2Space().fit_transform(X.to_basis(basis))
    np.testing.assert_allclose(L2Space(basis=basis).fit_transform(X), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_time_change_one_factor(unit):
    rng = np.random.default_rng(2)
    noise = 0.1 * rng.standard_normal((5, 100))

    def function(t, i):
        return np.cos(4 * t) + noise[i, : t.size]

    for basis in (MonomialBasis(n_basis=4), BSplineBasis(n_basis=6)):
        plain = SobolevSpace(basis=basis).fit_transform(observe(function))
        scaled = SobolevSpace(basis=basis).fit_transform(observe(function, unit=unit))
        np.testing.assert_allclose(scaled @ scaled.T, unit * plain @ plain.T, rtol=1e-7)


def test_a_basis_without_a_domain_takes_that_of_the_fit_and_keeps_it():
    X = observe(lambda t, i: t + i, ends=False)
    space = L2Space(basis=BSplineBasis(n_basis=5)).fit(X)
    assert space.domain_range_ == tuple(tuple(map(float, pair)) for pair in X.domain_range)
    np.testing.assert_allclose(space.transform(X[2:4]), space.transform(X)[2:4], rtol=1e-12)


def test_vector_valued_curves_take_one_basis_for_all_components():
    X = observe(lambda t, i: np.column_stack([1 + i * t, t**2]))
    basis = MonomialBasis(n_basis=3)
    Z = L2Space(basis=basis).fit_transform(X)
    same = L2Space(
        basis=VectorValuedBasis([MonomialBasis(domain_range=(0, 1), n_basis=3)] * 2)
    ).fit_transform(X)
    np.testing.assert_allclose(Z, same, rtol=1e-9, atol=1e-11)
    exact = [[1 + i / 2 * 2 + i**2 / 3 + 1 / 5] for i in range(5)]
    np.testing.assert_allclose(np.sum(Z**2, axis=1, keepdims=True), exact, rtol=1e-9)


def test_scattered_surfaces():
    rng = np.random.default_rng(3)
    points = rng.uniform(0, 1, (60, 2))
    values = points[:, 0] * points[:, 1]
    X = FDataIrregular([0, 30], points, values, domain_range=((0, 1), (0, 1)))
    Z = L2Space(basis=TensorBasis([MonomialBasis(n_basis=2), MonomialBasis(n_basis=2)])).fit_transform(X)
    np.testing.assert_allclose(np.sum(Z**2, axis=1), 1 / 9, rtol=1e-9)


# -------------------------------------------------------------------- errors


def test_no_basis():
    X = observe(lambda t, i: t)
    with pytest.raises(ValueError, match=r"give the space a basis.*L2Space\(basis=.*PACE.*not available"):
        L2Space().fit(X)


def test_what_is_no_basis():
    with pytest.raises(ValueError, match="basis must be a basis of scikit-fda"):
        L2Space(basis="spline").fit(observe(lambda t, i: t))


def test_too_few_points_name_the_curve():
    X = FDataIrregular(
        [0, 6, 9], np.r_[np.linspace(0, 1, 6), 0.1, 0.5, 0.9, np.linspace(0, 1, 6)], np.arange(15.0)
    )
    with pytest.raises(ValueError, match=r"Curve 1 has 3 observed point.* too few for 5 basis functions"):
        L2Space(basis=FourierBasis(domain_range=(0, 1), n_basis=5)).fit(X)


def test_points_that_leave_a_gap_name_the_curve():
    t = np.r_[np.linspace(0, 1, 12), np.linspace(0, 0.2, 12)]
    X = FDataIrregular([0, 12], t, np.ones(24))
    with pytest.raises(
        ValueError, match="The 12 observed points of curve 1 do not determine 8 basis functions"
    ):
        L2Space(basis=BSplineBasis(domain_range=(0, 1), n_basis=8)).fit_transform(X)


def test_points_outside_the_domain_name_the_curve():
    X = observe(lambda t, i: t)
    with pytest.raises(
        ValueError, match=r"Curve 0 is observed at t = 0\.91.*, outside the domain \[0, 0\.9\]"
    ):
        L2Space(basis=MonomialBasis(domain_range=(0, 0.9), n_basis=3)).fit_transform(X)


def test_nan_names_curve_and_time():
    t = np.linspace(0, 1, 5)
    values = np.arange(15.0)
    values[7] = np.nan
    X = FDataIrregular([0, 5, 10], np.tile(t, 3), values)
    with pytest.raises(ValueError, match=r"NaN or infinity in curve 1 at t = 0.5"):
        L2Space(basis=MonomialBasis(n_basis=3)).fit_transform(X)


def test_codomain_and_arguments():
    X = observe(lambda t, i: np.column_stack([t, t, t]))
    with pytest.raises(ValueError, match="basis has 2 component"):
        L2Space(basis=VectorValuedBasis([MonomialBasis(n_basis=2)] * 2)).fit(X)
    with pytest.raises(ValueError, match="basis has 2 argument"):
        L2Space(basis=TensorBasis([MonomialBasis(n_basis=2)] * 2)).fit(X)
    space = L2Space(basis=MonomialBasis(n_basis=2)).fit(observe(lambda t, i: t))
    with pytest.raises(ValueError, match="3 component"):
        space.transform(X)
