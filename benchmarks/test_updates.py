"""Rank-one changes of a whitener against a new factorisation, and the two routes for many rows."""

import numpy as np
import pytest
from scipy.linalg import cholesky

from fmahal import Whitener
from fmahal._kernels.updates import cholesky_update
from fmahal._structures._updates import _absorb, _rotate, block_rows


def problem(p):
    rng = np.random.default_rng(p)
    A = rng.standard_normal((p, p + 10))
    covariance = A @ A.T / p + 0.1 * np.eye(p)
    return covariance, rng.standard_normal(p) / np.sqrt(p)


def column_sweep(L, x, weight):
    """The textbook program: one rotation a column, each over the rows below it."""
    L, x = L.copy(), np.sqrt(weight) * x
    for k in range(x.size):
        r = np.hypot(L[k, k], x[k])
        c, s = r / L[k, k], x[k] / L[k, k]
        L[k, k] = r
        L[k + 1 :, k] = (L[k + 1 :, k] + s * x[k + 1 :]) / c
        x[k + 1 :] = c * x[k + 1 :] - s * L[k + 1 :, k]
    return L


@pytest.mark.parametrize("p", [100, 300, 1000])
def test_rank_one_update(pair, p):
    covariance, x = problem(p)
    w = Whitener.from_covariance(covariance)
    L = w._structure.matrix
    changed = covariance + 0.5 * np.outer(x, x)
    factor, against_scipy = {100: (1.0, 0.3), 300: (4.0, 1.5), 1000: (20.0, 20.0)}[p]
    pair(
        f"Whitener.update, p={p}",
        lambda: w.update(x, 0.5)._structure.matrix,
        {
            "scipy cholesky": lambda: cholesky(changed, lower=True),
            "from_covariance": lambda: Whitener.from_covariance(changed)._structure.matrix,
            "column sweep": lambda: column_sweep(L, x, 0.5),
        },
        {"scipy cholesky": against_scipy, "from_covariance": factor, "column sweep": 4.0},
        rounds=25,
        warm=3,
        budget=30.0,
    )


def test_down_date(pair):
    covariance, x = problem(1000)
    w = Whitener.from_covariance(covariance)
    weight = -0.5 / w.sqnorm(x)[0]
    changed = covariance + weight * np.outer(x, x)
    pair(
        "Whitener.update, down-date, p=1000",
        lambda: w.update(x, weight)._structure.matrix,
        {
            "scipy cholesky": lambda: cholesky(changed, lower=True),
            "from_covariance": lambda: Whitener.from_covariance(changed)._structure.matrix,
        },
        {"scipy cholesky": 10.0, "from_covariance": 20.0},
        rounds=25,
        warm=3,
        budget=30.0,
    )


def test_update_of_a_factor_of_the_precision(pair):
    covariance, x = problem(1000)
    w = Whitener.from_precision(np.linalg.inv(covariance))
    changed = np.linalg.inv(covariance + 0.5 * np.outer(x, x))
    changed = 0.5 * (changed + changed.T)
    pair(
        "Whitener.update, whitening matrix, p=1000",
        lambda: np.diagonal(w.update(x, 0.5)._structure.matrix),
        {"from_precision": lambda: np.diagonal(Whitener.from_precision(changed)._structure.matrix)},
        {"from_precision": 20.0},
        rounds=25,
        warm=3,
        budget=30.0,
    )


def test_update_and_down_date_in_place(pair):
    """What a stream does: a row enters, a row leaves, no new array."""
    covariance, x = problem(1000)
    L = np.ascontiguousarray(cholesky(covariance, lower=True))
    changed = covariance + 0.5 * np.outer(x, x)

    def ours():
        cholesky_update(L, x, 0.5)
        cholesky_update(L, x, -0.5)
        return L

    def peer():
        cholesky(changed, lower=True)
        return cholesky(covariance, lower=True)

    pair(
        "in place, a row in and out, p=1000",
        ours,
        {"scipy cholesky": peer},
        {"scipy cholesky": 20.0},
        rounds=25,
        warm=3,
        budget=30.0,
    )


@pytest.mark.parametrize("p", [100, 1000])
def test_many_rows_by_rotations_or_in_a_block(pair, p):
    """From block_rows on the block is to win."""
    r = block_rows(p)
    covariance, _ = problem(p)
    structure = Whitener.from_covariance(covariance)._structure
    X = np.random.default_rng(0).standard_normal((r, p))
    weights, rows = np.ones(r), np.arange(r)
    pair(
        f"{r} rows at once, p={p}",
        lambda: _absorb(structure, X, 1.0).matrix,
        {"rotations": lambda: _rotate(structure, X, weights, rows, 1.0).matrix},
        {"rotations": 1.0},
        rounds=9,
        budget=30.0,
    )


def test_wide_spectral_update(pair):
    rng = np.random.default_rng(0)
    p, r = 20_000, 50
    V = np.linalg.qr(rng.standard_normal((p, r)))[0]
    values = np.linspace(1.0, 5.0, r)
    w, x = Whitener.from_eigh(values, V, 0.1), rng.standard_normal(p)

    def by_svd():
        """Eigenpairs of the old pairs and the new row together."""
        U, s, _ = np.linalg.svd(np.column_stack([V * np.sqrt(values), x]), full_matrices=False)
        return Whitener.from_eigh(s**2, U, 0.1).sqnorm(x)

    pair(
        f"Whitener.update, {r} pairs plus ridge, p={p}",
        lambda: w.update(x).sqnorm(x),
        {"singular values anew": by_svd},
        {"singular values anew": 4.0},
        rounds=9,
        budget=30.0,
    )
