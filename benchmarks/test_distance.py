"""`mahalanobis` with a given covariance against SciPy, scikit-learn and plain BLAS."""

import numpy as np
import pytest
from scipy.linalg import blas
from scipy.spatial.distance import cdist as scipy_cdist
from scipy.spatial.distance import pdist as scipy_pdist
from sklearn.covariance import EmpiricalCovariance

import fmahal

SIZES = [(100_000, 5), (100_000, 20), (100_000, 50), (20_000, 200), (5_000, 1_000)]


def problem(n, p):
    rng = np.random.default_rng(p)
    A = rng.standard_normal((p, p + 10))
    X = rng.standard_normal((n, p))
    return X, X.mean(axis=0), A @ A.T / p + 0.1 * np.eye(p)


def by_triangular_solve(X, location, covariance):
    """The shortest good program with BLAS: factorise, centre, solve in place, square, add."""
    L = np.linalg.cholesky(covariance)
    Z = blas.dtrsm(1.0, L.T, (X - location).T, lower=0, trans_a=1, overwrite_b=1)
    return np.einsum("ij,ij->j", Z, Z)


def by_gemm(X, location, covariance):
    """The same with the inverse factor and one matrix product."""
    L = np.linalg.cholesky(covariance)
    W = blas.dtrsm(1.0, L.T, np.eye(L.shape[0], order="F"), lower=0, trans_a=1, side=0)
    Z = (X - location) @ W.T
    return np.einsum("ij,ij->i", Z, Z)


@pytest.mark.parametrize(("n", "p"), SIZES)
def test_against_scipy_and_sklearn(pair, n, p):
    X, location, covariance = problem(n, p)
    precision = np.linalg.inv(covariance)
    fitted = EmpiricalCovariance()
    fitted.location_, fitted.covariance_, fitted.precision_ = location, covariance, precision
    fitted.n_features_in_, fitted.store_precision = p, True
    factor = 3.0 if p <= 50 else 4.0
    pair(
        f"mahalanobis, n={n}, p={p}",
        lambda: fmahal.mahalanobis(X, location, covariance=covariance, squared=True),
        {
            "scipy cdist": lambda: scipy_cdist(X, location[None], "mahalanobis", VI=precision)[:, 0] ** 2,
            "scikit-learn": lambda: fitted.mahalanobis(X),
        },
        {"scipy cdist": factor, "scikit-learn": factor},
        rounds=9,
    )


@pytest.mark.parametrize(("n", "p"), SIZES)
def test_against_blas(pair, n, p):
    X, location, covariance = problem(n, p)
    pair(
        f"mahalanobis, n={n}, p={p}",
        lambda: fmahal.mahalanobis(X, location, covariance=covariance, squared=True),
        {
            "triangular solve": lambda: by_triangular_solve(X, location, covariance),
            "GEMM": lambda: by_gemm(X, location, covariance),
        },
        {"triangular solve": 1 / 1.1, "GEMM": 1 / 1.1},
        rounds=21,
    )


@pytest.mark.parametrize(("n", "p"), [(2_000, 5), (2_000, 50)])
def test_cdist_and_pdist(pair, n, p):
    X, _, covariance = problem(n, p)
    precision = np.linalg.inv(covariance)
    Y = X[::-1].copy() + 0.5
    pair(
        f"cdist, {n} x {n}, p={p}",
        lambda: fmahal.cdist(X, Y, covariance=covariance),
        {"scipy cdist": lambda: scipy_cdist(X, Y, "mahalanobis", VI=precision)},
        {"scipy cdist": 4.0},
        rounds=5,
    )
    assert np.allclose(
        fmahal.pdist(X[:50], precision=precision), scipy_pdist(X[:50], "mahalanobis", VI=precision)
    )
