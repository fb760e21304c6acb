"""Slow twin of `Whitener.update`: form the changed covariance, factorise it again. And whiteners to change."""

import numpy as np
import reference

from fmahal import Whitener


def changed_covariance(covariance, X, weights, scale=1.0):
    """scale * covariance + sum of weights x x', one outer product after the other."""
    matrix = scale * np.array(covariance, dtype=float)
    for x, weight in zip(np.atleast_2d(X), np.atleast_1d(weights), strict=True):
        matrix = matrix + weight * np.outer(x, x)
    return 0.5 * (matrix + matrix.T)


def changed_factor(factor, x, weight):
    """Lower Cholesky factor of L L' + weight x x'; LinAlgError when that is not positive definite."""
    return np.linalg.cholesky(changed_covariance(factor @ factor.T, x, weight))


def margin(covariance, X, weights, scale=1.0):
    """Smallest ratio of variances after and before, over directions of the span of the whitened rows."""
    L = np.linalg.cholesky(scale * np.asarray(covariance))
    Z = np.linalg.solve(L, np.atleast_2d(X).T)
    U, s, _ = np.linalg.svd(Z, full_matrices=False)
    U = U[:, s > 1e-12 * s.max()]
    inside = U.T @ (np.eye(len(L)) + (Z * np.atleast_1d(weights)) @ Z.T) @ U
    return np.linalg.eigvalsh(inside)[0]


def changed_logdet(covariance, x, weight, scale=1.0):
    """Matrix determinant lemma: log |scale S| + log(1 + weight x' S^-1 x / scale)."""
    p = len(covariance)
    ratio = 1.0 + weight * (x @ np.linalg.solve(covariance, x)) / scale
    return np.linalg.slogdet(covariance)[1] + p * np.log(scale) + np.log(ratio)


def positive_definite(rng, p):
    """A covariance of moderate condition."""
    A = rng.standard_normal((p, p + 3))
    return A @ A.T / p + 0.2 * np.eye(p)


def spectral(rng, p, r, ridge, scaled=True):
    """A whitener of r random eigenpairs plus a ridge, in units of its own."""
    V = np.linalg.qr(rng.standard_normal((p, r)))[0]
    return Whitener.from_eigh(
        rng.uniform(0.5, 3.0, r), V, ridge, scale=rng.uniform(0.5, 2.0, p) if scaled else None
    )


def same(w, covariance, rng, rtol):
    """Assert that the whitener is that of the covariance: distances, determinant and products."""
    p = len(covariance)
    Y = np.linalg.cholesky(covariance) @ rng.standard_normal((p, 6))
    want = reference.squared_distance(Y.T, np.zeros(p), covariance)
    np.testing.assert_allclose(w.sqnorm(Y.T), want, rtol=rtol)
    np.testing.assert_allclose(w.color(w.whiten(Y.T)), Y.T, rtol=rtol, atol=rtol * np.abs(Y).max())
    assert abs(w.logdet - np.linalg.slogdet(covariance)[1]) <= p * rtol
