"""The n x n route and the p x p route are one method; neither forms what it need not."""

import tracemalloc

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import generators

from fmahal.scatter import OAS, QIS, EmpiricalCovariance, LedoitWolf, ShrunkCovariance

SHRUNK = [LedoitWolf, OAS, QIS, ShrunkCovariance, lambda **kw: ShrunkCovariance(ridge=0.3, **kw)]
ROUND = [(20, 19), (20, 20), (20, 21), (40, 10), (10, 40), (3, 2), (2, 3)]


def by(make, route, X, **options):
    estimator = make(**options)
    estimator._route = route
    return estimator.fit(X)


def draw(n, p, seed=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) * np.linspace(1.0, 3.0, p) + rng.normal(size=(n, 1)) + 10.0


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("shape", ROUND)
@pytest.mark.parametrize("make", SHRUNK)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_routes_agree(make, shape, centered):
    X, new = draw(*shape), draw(15, shape[1], seed=4)
    primal = by(make, "primal", X, assume_centered=centered)
    dual = by(make, "dual", X, assume_centered=centered)
    assert primal.rank_ == dual.rank_
    np.testing.assert_allclose(dual.location_, primal.location_, rtol=1e-13)
    np.testing.assert_allclose(
        dual.covariance_, primal.covariance_, rtol=0, atol=1e-12 * np.abs(primal.covariance_).max()
    )
    np.testing.assert_allclose(dual.mahalanobis(X), primal.mahalanobis(X), rtol=1e-9)
    if dual.rank_ == shape[1]:
        np.testing.assert_allclose(dual.mahalanobis(new), primal.mahalanobis(new), rtol=1e-9)
        assert dual.score(new) == pytest.approx(primal.score(new), rel=1e-9)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("shape", ROUND)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_empirical_routes_agree(shape, centered):
    X, new = draw(*shape), draw(15, shape[1], seed=4)
    primal = by(EmpiricalCovariance, "primal", X, assume_centered=centered)
    dual = by(EmpiricalCovariance, "dual", X, assume_centered=centered)
    n, p = shape
    assert primal.rank_ == dual.rank_ == min(p, n if centered else n - 1)
    rtol = 1e-13 * max(primal.whitener_.condition_number, 1e4)
    for rows in (X, new):
        np.testing.assert_allclose(dual.mahalanobis(rows), primal.mahalanobis(rows), rtol=rtol)
        np.testing.assert_allclose(
            dual.residual(rows), primal.residual(rows), rtol=1e-9, atol=1e-6 * np.sqrt(p)
        )
    assert not dual.whitener_.off_subspace(X - dual.location_).any()


@given(generators(), st.integers(2, 25), st.integers(1, 25), st.booleans())
def test_intensities_are_the_formulas(rng, n, p, centered):
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + 1.0
    if p == 1 or n == 2:
        return
    for route in ("primal", "dual"):
        found = by(LedoitWolf, route, X, assume_centered=centered).shrinkage_
        assert found == pytest.approx(reference.ledoit_wolf_intensity(X, centered), rel=1e-9)
        for formula in ("sklearn", "paper"):
            found = by(OAS, route, X, assume_centered=centered, formula=formula).shrinkage_
            assert found == pytest.approx(reference.oas_intensity(X, formula, centered), rel=1e-9)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("shape", [(40, 6), (12, 12), (12, 11), (12, 13), (8, 30), (3, 2)])
def test_qis_is_the_formula(shape, centered):
    X = draw(*shape)
    expected = reference.qis_covariance(X, centered)
    for route in ("primal", "dual"):
        found = by(QIS, route, X, assume_centered=centered).covariance_
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("make", [EmpiricalCovariance, LedoitWolf, OAS, QIS, ShrunkCovariance])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_no_square_matrix_when_wide(make):
    n, p = 20, 3000
    X = draw(n, p)
    make().fit(X[:, :30]).mahalanobis(X[:, :30])  # imports and compilation are not counted
    tracemalloc.start()
    scatter = make().fit(X)
    scatter.mahalanobis(X)
    scatter.transform(X)
    scatter.precision_dot(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < p * p * 8 / 8
    assert scatter._covariance is None


@pytest.mark.parametrize("make", [EmpiricalCovariance, LedoitWolf, OAS, QIS, ShrunkCovariance])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_memory_of_a_wide_fit(make):
    X = draw(100, 20_000)
    make().fit(X[:, :120])
    tracemalloc.start()
    make().fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * X.nbytes  # the centred rows and the eigenvectors


def test_tall_data_pass_in_blocks():
    X = draw(200_000, 30)
    EmpiricalCovariance().fit(X[:100])
    tracemalloc.start()
    EmpiricalCovariance().fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.9 * X.nbytes


def test_float32_sums_are_float64():
    X = draw(5000, 4).astype(np.float32) + np.float32(1000.0)
    narrow, wide = EmpiricalCovariance().fit(X), EmpiricalCovariance().fit(X.astype(np.float64))
    np.testing.assert_allclose(narrow.covariance_, wide.covariance_, rtol=1e-14)
    assert narrow.location_.dtype == np.float64
