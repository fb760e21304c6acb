"""Golden values of scikit-fda's Mahalanobis distance, by our coordinates and an eigendecomposition in this file."""

import json

import numpy as np
import pytest

from fmahal.spaces import L2Space


@pytest.fixture(scope="module")
def records(fixtures_dir):
    return {r["name"]: r for r in json.loads((fixtures_dir / "spaces_golden.json").read_text())}


def sample(seed, end):
    rng = np.random.default_rng(seed)
    t = np.linspace(0, end, 21)
    X = rng.standard_normal((12, 21)).cumsum(axis=1) / np.sqrt(21)
    Y = 1.3 * rng.standard_normal((4, 21)).cumsum(axis=1) / np.sqrt(21)
    return t, X, Y


def spectrum(Z, ddof=1):
    centre = Z.mean(axis=0)
    _, s, rows = np.linalg.svd(Z - centre, full_matrices=False)
    return s**2 / (len(Z) - ddof), rows


def squared(V, values, rows, alpha, r):
    scores = V @ rows[:r].T
    return (scores**2 * (values[:r] / (values[:r] + alpha) ** 2)).sum(axis=1)


@pytest.mark.parametrize(
    ("name", "seed", "end"), [("skfda_grid_T21_dom0_1", 201, 1), ("skfda_grid_T21_dom0_5", 203, 5)]
)
def test_grid(records, name, seed, end):
    t, X, Y = sample(seed, end)
    out = records[name]["outputs"]
    space = L2Space(grid_points=t, weights="simpson")
    Z = space.fit_transform(X)
    np.testing.assert_allclose(space.weights_, out["simpson_weights"], rtol=1e-12)
    values, rows = spectrum(Z)
    np.testing.assert_allclose(values[:6], out["eigenvalues_r6"], rtol=1e-10)
    new = space.transform(Y)
    for r in (3, 6):
        for alpha in (0.001, 0.1, 0.0):
            key = f"r{r}_alpha{alpha:g}"
            np.testing.assert_allclose(
                squared(new - Z.mean(axis=0), values, rows, alpha, r),
                out[f"sq_dist_to_mean_{key}"],
                rtol=1e-9,
            )
            np.testing.assert_allclose(
                squared(new - Z[:4], values, rows, alpha, r), out[f"sq_dist_Yi_to_Xi_{key}"], rtol=1e-9
            )


def test_trapezoid(records):
    t, X, Y = sample(201, 1)
    out = records["derived_grid_trapezoid"]["outputs"]
    space = L2Space(grid_points=t)
    Z = space.fit_transform(X)
    values, rows = spectrum(Z, ddof=0)
    np.testing.assert_allclose(values[:11], out["eigenvalues_divisor_n"], rtol=1e-10)
    V = space.transform(Y) - Z.mean(axis=0)
    for alpha in (0.001, 0.1):
        expected = out[f"berrendero_sq_alpha{alpha}_allcomponents_divisor_n"]
        np.testing.assert_allclose(squared(V, values, rows, alpha, 11), expected, rtol=1e-9)
    np.testing.assert_allclose(squared(V, values, rows, 0, 6), out["galeano_sq_K6_divisor_n"], rtol=1e-9)


@pytest.mark.parametrize("name", ["monomial5", "fourier5"])
def test_basis(records, name):
    skfda = pytest.importorskip("skfda")
    from skfda.representation.basis import FourierBasis, MonomialBasis

    out = records[f"skfda_basis_{name}"]["outputs"]
    basis = (MonomialBasis if name.startswith("m") else FourierBasis)(domain_range=(0, 1), n_basis=5)
    rng = np.random.default_rng(210)
    X = skfda.FDataBasis(basis, rng.standard_normal((12, 5)))
    Y = skfda.FDataBasis(basis, rng.standard_normal((4, 5)))
    space = L2Space()
    Z = space.fit_transform(X)
    unit = space.transform(skfda.FDataBasis(basis, np.eye(5)))
    np.testing.assert_allclose(unit @ unit.T, out["basis_gram_matrix"], rtol=1e-12, atol=1e-13)
    values, rows = spectrum(Z)
    np.testing.assert_allclose(values[:3], out["eigenvalues"], rtol=1e-9)
    V = space.transform(Y) - Z.mean(axis=0)
    for alpha in (0.001, 0.1):
        expected = out[f"sq_dist_to_mean_r3_alpha{alpha}"]
        np.testing.assert_allclose(squared(V, values, rows, alpha, 3), expected, rtol=1e-9)


def test_skfda_bug_custom_weights(records):
    """Weights enter our eigenproblem and our scores alike; scikit-fda takes Simpson's for the scores."""
    t, X, Y = sample(201, 1)
    out = records["skfda_BUG_custom_weights"]["outputs"]
    space = L2Space(grid_points=t, weights=np.linspace(0.5, 1.5, 21))
    Z = space.fit_transform(X)
    values, rows = spectrum(Z)
    ours = squared(space.transform(Y) - Z.mean(axis=0), values, rows, 0.001, 3)
    np.testing.assert_allclose(ours, out["consistent_value"], rtol=1e-9)
    assert (np.abs(ours / np.asarray(out["skfda_value"]) - 1) > 1).all()
