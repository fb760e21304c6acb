"""The sparse row problems: optimality by independent twins, scikit-learn, and factors computed by varband in R."""

import json

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from fmahal._kernels._jit import threading_facts
from fmahal.scatter import _sparse_rows
from fmahal.scatter._sparse_rows import (
    cscs_factor,
    hierarchical_factor,
    lasso_rows,
    nested_rows,
    unit_factor,
)

CASES = ["iris4", "milk"]
if threading_facts()["jit"]:  # minutes as plain Python
    CASES += ["octane_s30", "olitos", "sim13_pgtn_n40_p60"]


@pytest.fixture
def rng():
    return np.random.default_rng(20240601)


def chain(rng, n, p, rho=0.7):
    """Standardised rows (mean 0, variance 1 with divisor n) of an autoregression with two far links."""
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    X[:, p // 2] += 0.8 * X[:, 0]
    X -= X.mean(axis=0)
    return X / X.std(axis=0)


def alpha_max(Z):
    return np.abs(np.tril(Z.T @ Z / len(Z), -1)).max()


@st.composite
def problems(draw, wide=True):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = draw(st.integers(1, 12))
    n = draw(st.integers(4 if wide else p + 4, 40))
    return chain(rng, n, p, draw(st.sampled_from((0.0, 0.7, 0.99)))) if p > 1 else chain(rng, n, 2)[:, :1]


# -- lasso


@pytest.mark.parametrize(("n", "p"), [(60, 12), (15, 20)])
def test_lasso_equals_sklearn_row_by_row(rng, n, p):
    Z = chain(rng, n, p)
    alphas = np.array([0.3, 0.1, 0.03]) * alpha_max(Z)
    rows = lasso_rows(Z, alphas, tol=1e-12)
    assert rows.converged.all()
    for k, alpha in enumerate(alphas):
        phi = rows.coef[k].toarray()
        for j in range(1, p):
            peer = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(
                Z[:, :j], Z[:, j]
            )
            np.testing.assert_allclose(
                phi[j, :j], peer.coef_, rtol=1e-8, atol=1e-8 * np.abs(peer.coef_).max()
            )
        residual = Z - Z @ rows.coef[k].T
        np.testing.assert_allclose(rows.var[k], (residual**2).mean(axis=0), rtol=1e-9)


@given(problems(), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_lasso_satisfies_optimality_conditions(Z, shares):
    n, p = Z.shape
    G = Z.T @ Z / n
    rows = lasso_rows(Z, shares, tol=1e-10)
    assert rows.converged.all()
    for k, alpha in enumerate(shares):
        phi = rows.coef[k].toarray()
        np.testing.assert_array_equal(phi, np.tril(phi, -1))
        worst = [reference.lasso_violation(G, j, phi[j], alpha) for j in range(p)]
        assert max(worst) <= 1e-10 * (1 + 1e-3)
        np.testing.assert_allclose(rows.kkt[k], worst, rtol=0, atol=1e-13)


@given(problems(wide=False))
@settings(max_examples=20, deadline=None)
def test_path_equals_cold_starts_in_any_order(Z):
    alphas = np.array([0.02, 0.5, 0.1])
    path = lasso_rows(Z, alphas, tol=1e-12)
    for k, alpha in enumerate(alphas):
        cold = lasso_rows(Z, [alpha], tol=1e-12)
        scale = max(np.abs(cold.coef[0]).max(), 1.0)
        np.testing.assert_allclose(
            path.coef[k].toarray(), cold.coef[0].toarray(), rtol=1e-8, atol=1e-8 * scale
        )


@given(problems())
@settings(max_examples=20, deadline=None)
def test_large_alpha_gives_no_coefficients(Z):
    rows = lasso_rows(Z, [alpha_max(Z) * (1 + 1e-12)])
    assert rows.coef[0].nnz == 0
    np.testing.assert_allclose(rows.var[0], 1.0, rtol=1e-12)


@given(problems(wide=False))
@settings(max_examples=20, deadline=None)
def test_no_penalty_is_least_squares(Z):
    rows = lasso_rows(Z, [0.0], tol=1e-12)
    assert rows.converged.all()
    for j in range(1, Z.shape[1]):
        exact = np.linalg.lstsq(Z[:, :j], Z[:, j], rcond=None)[0]
        np.testing.assert_allclose(
            rows.coef[0].toarray()[j, :j], exact, rtol=1e-8, atol=1e-8 * np.abs(exact).max()
        )


def test_routes_and_blocks_agree(rng, monkeypatch):
    Z = chain(rng, 20, 30)
    alphas = np.geomspace(0.5, 0.02, 5)
    want = lasso_rows(Z, alphas, tol=1e-12)
    monkeypatch.setattr(_sparse_rows, "BLOCK", 40 * 5)
    blocked = lasso_rows(Z, alphas, tol=1e-12)
    monkeypatch.setattr(_sparse_rows, "GRAM_LIMIT", 0)
    columns = lasso_rows(Z, alphas, tol=1e-12)
    for k in range(5):
        np.testing.assert_array_equal(blocked.coef[k].toarray(), want.coef[k].toarray())
        np.testing.assert_allclose(columns.coef[k].toarray(), want.coef[k].toarray(), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(columns.var, want.var, rtol=1e-9)


def test_units_do_not_matter(rng):
    Z = chain(rng, 30, 8)
    want, got = lasso_rows(Z, [0.1]), lasso_rows(Z * 2.0**-30, [0.1 * 2.0**-60])
    np.testing.assert_array_equal(got.coef[0].toarray(), want.coef[0].toarray())
    assert got.converged.all()


def test_row_weights_are_repetitions(rng):
    Z, weights = chain(rng, 25, 6), rng.integers(0, 4, 25)
    want = lasso_rows(np.repeat(Z, weights, axis=0), [0.05], tol=1e-12)
    got = lasso_rows(Z, [0.05], tol=1e-12, weights=weights)
    np.testing.assert_allclose(got.coef[0].toarray(), want.coef[0].toarray(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.var, want.var, rtol=1e-9)


def test_nearly_collinear_columns_take_few_passes(rng):
    Z = rng.standard_normal((60, 1)) + 1e-3 * rng.standard_normal((60, 10))
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    rows = lasso_rows(Z, [1e-6], tol=1e-10)
    assert rows.converged.all()
    assert rows.n_iter.max() < 500


def test_duplicate_and_constant_columns(rng):
    Z = chain(rng, 30, 6)
    Z[:, 3] = Z[:, 2]
    Z[:, 4] = 0.0
    rows = lasso_rows(Z, [0.1])
    assert rows.converged.all()
    assert rows.var[0, 4] == 0.0
    assert rows.coef[0].toarray()[:, 4].tolist() == [0.0] * 6


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.05])
@pytest.mark.parametrize("rho", [0.0, 0.99])
def test_more_columns_than_rows_take_few_passes(rng, rho, alpha):
    Z = chain(rng, 10, 25, rho)
    rows = lasso_rows(Z, [alpha])
    assert rows.converged.all()
    assert rows.n_iter.max() < 60
    if alpha > 0:
        assert np.diff(rows.coef[0].indptr).max() <= 9  # the rank of the centred rows
        factor = cscs_factor(Z.T @ Z / 10, 2 * alpha)
        assert factor.converged
        assert factor.n_iter.max() < 60


def test_too_few_passes_are_reported(rng):
    Z = chain(rng, 40, 10)
    rows = lasso_rows(Z, [0.3, 0.01], max_iter=1)
    assert not rows.converged[1]
    assert rows.kkt[1].max() > 1e-9
    G = Z.T @ Z / 40
    worst = [reference.lasso_violation(G, j, rows.coef[1].toarray()[j], 0.01) for j in range(10)]
    np.testing.assert_allclose(rows.kkt[1], worst, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("alphas", [[], [-0.1], [np.nan], 0.1, [[0.1]]])
def test_bad_alphas(rng, alphas):
    with pytest.raises(ValueError, match="alphas must be"):
        lasso_rows(chain(rng, 10, 3), alphas)


# -- nested lasso


@pytest.mark.parametrize(("n", "p", "tol"), [(50, 8, 1e-4), (50, 8, 1e-10), (12, 16, 1e-6)])
def test_nested_equals_the_plain_iteration(rng, n, p, tol):
    Z = chain(rng, n, p)
    rows = nested_rows(Z, 0.02, tol=tol)
    phi = rows.coef.toarray()
    for j in range(1, p):
        want = reference.nested_lasso_row(Z.T @ Z / n, j, 0.02, tol, 200)
        np.testing.assert_allclose(phi[j, :j], want, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(rows.var, ((Z - Z @ rows.coef.T) ** 2).mean(axis=0), rtol=1e-9)


def test_nested_is_a_fixed_point_without_gaps(rng):
    Z = chain(rng, 80, 10)
    G, alpha = Z.T @ Z / 80, 0.01
    rows = nested_rows(Z, alpha, tol=1e-12, max_iter=5000)
    assert rows.converged
    phi = rows.coef.toarray()
    widths = set()
    for j in range(1, 10):
        used = np.flatnonzero(phi[j, :j])
        assert used.size == 0 or used.tolist() == list(range(used[0], j))
        widths.add(used.size / j)
        nearer = np.append(np.abs(phi[j, 1:j]), abs(G[j, j - 1]))
        gradient = (G[j, :j] - G[:j, :j] @ phi[j, :j])[used]
        np.testing.assert_allclose(gradient, alpha * np.sign(phi[j, used]) / nearer[used], rtol=1e-6)
    assert min(widths) < 0.5


def test_nested_reports_that_it_stopped_early(rng):
    rows = nested_rows(chain(rng, 40, 8), 0.05, tol=1e-12, max_iter=2)
    assert not rows.converged
    assert rows.n_iter.max() == 2


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.inf])
def test_nested_needs_a_penalty(rng, alpha):
    with pytest.raises(ValueError, match="alpha must be"):
        nested_rows(chain(rng, 10, 3), alpha)


# -- convex factors


@pytest.fixture(scope="module")
def golden(fixtures_dir):
    return json.loads((fixtures_dir / "chol_golden.json").read_text())


def golden_case(golden, name, key, alpha):
    case = golden[name]
    X = np.array(case["x"])
    X = (X - X.mean(axis=0)) / X.std(axis=0, ddof=1)
    L = np.zeros((case["p"], case["p"]))
    L[np.tril_indices(case["p"])] = case[key][str(alpha)]
    return X.T @ X / len(X), L


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("name", CASES)
def test_cscs_golden(golden, name, alpha):
    S, L = golden_case(golden, name, "lasso", alpha)
    got = cscs_factor(S, alpha, tol=1e-11)
    assert got.converged
    assert reference.cscs_violation(S, got.factor, alpha) <= 1.1e-11
    want = reference.cscs_objective(S, L, alpha)
    np.testing.assert_allclose(got.objective, reference.cscs_objective(S, got.factor, alpha), rtol=1e-12)
    assert got.objective <= want + 1e-12 * abs(want)
    tight = 1e-6 if name == "octane_s30" else 2e-8  # spectra: variables correlated to 0.999
    np.testing.assert_allclose(got.factor, L, rtol=tight, atol=tight * np.abs(L).max())


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("name", CASES)
def test_hierarchical_golden(golden, name, alpha):
    S, L = golden_case(golden, name, "u", alpha)
    got = hierarchical_factor(S, alpha, tol=1e-11)
    assert got.converged
    assert reference.hierarchical_violation(S, got.factor, alpha, False) <= 1e-10
    want = reference.hierarchical_objective(S, L, alpha, False)
    np.testing.assert_allclose(
        got.objective, reference.hierarchical_objective(S, got.factor, alpha, False), rtol=1e-12
    )
    assert got.objective <= want + 1e-12 * abs(want)
    tight = 2e-5 if name == "octane_s30" else 1e-6  # of the reference, by its objective
    np.testing.assert_allclose(got.factor, L, rtol=tight, atol=tight * np.abs(L).max())
    np.testing.assert_array_equal(got.factor != 0, L != 0)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("name", CASES)
def test_weighted_hierarchical_beats_golden_objective(golden, name, alpha):
    S, L = golden_case(golden, name, "w", alpha)
    got = hierarchical_factor(S, alpha, weighted=True, tol=1e-10)
    assert got.converged
    mine = reference.hierarchical_objective(S, got.factor, alpha, True)
    want = reference.hierarchical_objective(S, L, alpha, True)
    np.testing.assert_allclose(got.objective, mine, rtol=1e-12)
    assert mine <= want + 1e-12 * abs(want)
    if name in ("iris4", "milk"):
        assert reference.hierarchical_violation(S, got.factor, alpha, True) <= 1e-9


@given(problems(), st.floats(0.02, 2.5))
@settings(max_examples=30, deadline=None)
def test_cscs_is_optimal(Z, alpha):
    S = Z.T @ Z / len(Z)
    got = cscs_factor(S, alpha, tol=1e-10)
    assert got.converged
    assert reference.cscs_violation(S, got.factor, alpha) <= 1.01e-10


@given(problems(), st.floats(0.02, 2.5), st.booleans())
@settings(max_examples=30, deadline=None)
def test_hierarchical_is_optimal_with_zeros_first(Z, alpha, weighted):
    S = Z.T @ Z / len(Z)
    got = hierarchical_factor(S, alpha, weighted=weighted, tol=1e-9)
    assert got.converged
    assert reference.hierarchical_violation(S, got.factor, alpha, weighted) <= 1e-8
    for i in range(len(S)):
        used = np.flatnonzero(got.factor[i])
        assert used.tolist() == list(range(used[0], i + 1))


@pytest.mark.parametrize("alpha", [0.05, 0.3])
@pytest.mark.parametrize("rho", [0.0, 0.7, 0.99])
@pytest.mark.parametrize("weighted", [False, True])
def test_hierarchical_converges_where_columns_outnumber_rows(rng, weighted, rho, alpha):
    Z = chain(rng, 12, 20, rho)
    got = hierarchical_factor(Z.T @ Z / 12, alpha, weighted=weighted)
    assert got.converged
    assert got.n_iter.max() < 400


@pytest.mark.parametrize("solve", [cscs_factor, hierarchical_factor])
def test_no_penalty_gives_the_inverse(rng, solve):
    S = np.corrcoef(chain(rng, 60, 7).T)
    got = solve(S, 0.0, tol=1e-12)
    np.testing.assert_allclose(got.factor.T @ got.factor, np.linalg.inv(S), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_large_penalty_gives_a_diagonal(rng, weighted):
    Z = chain(rng, 30, 7)
    S = Z.T @ Z / 30
    alpha = 2 * alpha_max(Z) * (1 + 1e-9)  # twice the largest |S_jk| / sqrt(S_jj) frees no coefficient
    np.testing.assert_allclose(cscs_factor(S, alpha).factor, np.diag(np.diagonal(S) ** -0.5), rtol=1e-14)
    got = hierarchical_factor(S, alpha, weighted=weighted).factor
    np.testing.assert_allclose(got, np.diag(np.diagonal(S) ** -0.5), rtol=1e-12)


def test_unit_factor_is_the_same_precision(rng):
    S = np.corrcoef(chain(rng, 40, 6).T)
    L = cscs_factor(S, 0.1).factor
    T, var = unit_factor(L)
    np.testing.assert_array_equal(np.diagonal(T), 1.0)
    np.testing.assert_allclose(T.T @ np.diag(1 / var) @ T, L.T @ L, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("solve", [cscs_factor, hierarchical_factor])
def test_factors_refuse_what_has_no_minimum(rng, solve):
    S = np.corrcoef(chain(rng, 20, 4).T)
    with pytest.raises(ValueError, match="alpha must be"):
        solve(S, -0.1)
    S[2], S[:, 2] = 0.0, 0.0
    with pytest.raises(ValueError, match="Variable 2 has variance 0"):
        solve(S, 0.1)


@pytest.mark.parametrize("solve", [cscs_factor, hierarchical_factor])
def test_factors_report_that_they_stopped_early(golden, solve):
    S, _ = golden_case(golden, "milk", "u", 0.05)
    got = solve(S, 0.05, max_iter=1)
    assert not got.converged
    assert got.kkt.max() > 1e-9
