"""The l1 path of all row regressions at once, against scikit-learn's lasso_path called row by row."""

import numpy as np
import pytest
from sklearn.linear_model import lasso_path

from fmahal.scatter._sparse_rows import lasso_rows

N, P, STEPS = 200, 300, 20
PEER_TOL = {
    "chain": 1e-8,
    "iid": 1e-8,
    "factors": 1e-10,
}  # duality gap that gives coefficients correct to 1e-6


def design(kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, P))
    if kind == "chain":
        for j in range(1, P):
            X[:, j] = 0.8 * X[:, j - 1] + 0.6 * X[:, j]
    if kind == "factors":
        X += 2.0 * rng.standard_normal((N, 3)) @ rng.standard_normal((3, P))
    X -= X.mean(axis=0)
    return np.ascontiguousarray(X / X.std(axis=0))


def row_by_row(Z, alphas, tol, gram):
    G = Z.T @ Z if gram else None
    out = np.ones(
        (STEPS, P, P)
    )  # one plus the coefficients: a relative comparison is an absolute one of coefficients
    for j in range(1, P):
        options = {"precompute": G[:j, :j], "Xy": G[:j, j]} if gram else {}
        _, path, _ = lasso_path(
            np.asfortranarray(Z[:, :j]), Z[:, j], alphas=alphas, tol=tol, max_iter=100_000, **options
        )
        out[:, j, :j] += path.T
    return out


def at_once(Z, alphas):
    rows = lasso_rows(Z, alphas)
    return np.stack([coef.toarray() for coef in rows.coef]) + 1.0


@pytest.mark.parametrize("kind", ["chain", "iid", "factors"])
def test_path_of_all_rows(pair, kind):
    Z = design(kind)
    top = np.abs(np.tril(Z.T @ Z / N, -1)).max()
    alphas = np.geomspace(top, 0.05 * top, STEPS)
    pair(
        f"l1 path of every row, {kind}, n={N}, p={P}, {STEPS} alphas",
        lambda: at_once(Z, alphas),
        {
            "lasso_path": lambda: row_by_row(Z, alphas, PEER_TOL[kind], gram=False),
            "lasso_path, shared Gram": lambda: row_by_row(Z, alphas, PEER_TOL[kind], gram=True),
        },
        {"lasso_path": 10.0, "lasso_path, shared Gram": 5.0},
        rtol=1e-6,
        rounds=3,
        budget=40,
    )
