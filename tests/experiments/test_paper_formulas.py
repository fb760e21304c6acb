"""The formulas that the paper prints, computed as they are printed, beside refits and the package."""

import numpy as np
import pytest
from numpy.linalg import cholesky, det, inv, slogdet
from numpy.testing import assert_allclose
from scipy import stats

from fmahal import ConformanceLaw, ModifiedCholesky, SpectralFilter

TIGHT = {"rtol": 1e-10}


def forms(rows, matrix):
    """Quadratic form of each row."""
    return np.einsum("ij,jk,ik->i", rows, matrix, rows)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


class TestModifiedCholesky:
    """Propositions 1 and 2, and step 5 of algorithm 1."""

    n, p, alpha = 12, 40, 0.3

    @pytest.fixture
    def columns(self, rng):
        X = rng.normal(size=(self.n, self.p))
        return (X - X.mean(axis=0)) / X.std(axis=0)

    def dual(self, before):
        return inv(self.n * self.alpha * np.eye(self.n) + before @ before.T)

    def ridge(self, before, z):
        penalty = self.n * self.alpha * np.eye(before.shape[1])
        return inv(before.T @ before + penalty) @ before.T

    def test_dual_form_of_one_regression(self, columns):
        before, z = columns[:, :20], columns[:, 20]
        inverse, solve = self.dual(before), self.ridge(before, z)
        u = inverse @ z
        assert_allclose(before.T @ u, solve @ z, **TIGHT)
        assert_allclose(self.n * self.alpha * u, z - before @ (solve @ z), **TIGHT)
        assert_allclose(self.n * self.alpha * np.diag(inverse), 1.0 - np.diag(before @ solve), **TIGHT)

    def test_residual_of_a_row_left_out(self, columns):
        before, z, kept = columns[:, :20], columns[:, 20], np.arange(self.n) != 3
        inverse = self.dual(before)
        phi = self.ridge(before[kept], z[kept]) @ z[kept]
        assert_allclose((inverse @ z)[3] / inverse[3, 3], z[3] - before[3] @ phi, **TIGHT)

    def test_blocks_of_columns(self, columns):
        inverse, block = self.dual(columns[:, :20]), columns[:, 20:30]
        C = cholesky(np.eye(10) + block.T @ inverse @ block)
        U = inverse @ block @ inv(C).T @ np.diag(np.diag(C))
        here, following = self.dual(columns[:, :25]), self.dual(columns[:, :26])
        assert_allclose(U[:, 5], here @ block[:, 5], **TIGHT)
        assert_allclose(following, here - np.outer(U[:, 5], U[:, 5]) / C[5, 5] ** 2, **TIGHT)

    def test_distances_by_a_running_vector_are_those_of_the_package(self, rng):
        X, x = rng.normal(size=(self.n, self.p)), rng.normal(size=self.p)
        columns, y = (X - X.mean(axis=0)) / X.std(axis=0), (x - X.mean(axis=0)) / X.std(axis=0)
        running, d2 = np.zeros(self.n), 0.0
        for j in range(self.p):
            inverse, z = self.dual(columns[:, :j]), columns[:, j]
            u = inverse @ z
            left_out = self.n * self.alpha * u / (self.n * self.alpha * np.diag(inverse) - 1.0 / self.n)
            d2 += (y[j] - u @ running) ** 2 / np.mean(left_out**2)
            running += y[j] * z
        fitted = ModifiedCholesky(penalty="l2", alpha=self.alpha).fit(X)
        assert fitted.whitener_.kind == "sequential"
        assert_allclose(fitted.mahalanobis(x[None]), [d2], **TIGHT)


def test_exchange_of_a_pair(rng):
    X, h, i, j = rng.normal(size=(30, 4)), 18, 2, 25
    mean = X[:h].mean(axis=0)
    w = (X - mean) @ inv(cholesky((X[:h] - mean).T @ (X[:h] - mean))).T
    c, e, d, g = h / (h - 1), 1 / (h - 1), np.square(w).sum(axis=1), w[i] @ w[j]
    q = d[j] + 2 * e * g + e**2 * d[i] + c * (g + e * d[i]) ** 2 / (1 - c * d[i])
    swapped = np.append(np.delete(np.arange(h), i), j)
    ratio = det(np.cov(X[swapped].T)) / det(np.cov(X[:h].T))
    assert_allclose((1 - c * d[i]) * (1 + q / c), ratio, **TIGHT)


def test_regularised_distances_from_inner_products(rng):
    h, p, rho, a = 10, 50, 0.2, 0.9
    F = rng.normal(size=(h, p))
    F -= F.mean(axis=0)
    w = rng.normal(size=p)
    B, k = F @ F.T, F @ w
    K, M = rho * np.eye(p) + a / h * F.T @ F, rho * np.eye(h) + a / h * B
    assert_allclose((w @ w - a / h * k @ inv(M) @ k) / rho, w @ inv(K) @ w, **TIGHT)
    assert_allclose((p - h) * np.log(rho) + slogdet(M)[1], slogdet(K)[1], **TIGHT)
    assert_allclose(np.diag(B @ inv(M)), forms(F, inv(K)), **TIGHT)


def test_least_weight_of_the_target():
    largest, least, condition = 30.0, 0.1, 50.0
    rho = (largest - condition * least) / (largest - condition * least + condition - 1.0)
    assert_allclose((rho + (1 - rho) * largest) / (rho + (1 - rho) * least), condition, **TIGHT)


def test_fourth_powers_from_sums(rng):
    Y = rng.normal(size=(25, 3)) + 2.0
    m, q, S = Y.mean(axis=0), np.square(Y).sum(axis=1), np.cov(Y.T, bias=True)
    sums = (q**2).mean() - 4 * m @ (q[:, None] * Y).mean(axis=0) + 4 * m @ S @ m
    sums += 2 * (m @ m) * np.trace(S) + 3 * (m @ m) ** 2
    assert_allclose(sums, np.mean(np.square(Y - m).sum(axis=1) ** 2), **TIGHT)


def test_left_out_distances_are_moments(rng):
    n, p, alpha, i = 20, 7, 0.4, 4
    X = rng.normal(size=(n, p))
    U, s, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    nu, k = n - 2, n / (n - 1)
    weights, values = k * U[i] ** 2, nu * alpha / (s**2 + nu * alpha)
    rest = 1.0 - weights.sum()
    mean = weights @ values + rest
    variance = weights @ values**2 + rest - mean**2
    others = np.delete(X, i, axis=0)
    S, y = np.cov(others.T), X[i] - others.mean(axis=0)
    G = inv(S + alpha * np.eye(p))
    assert_allclose(k * nu * (1 - mean) / mean, y @ G @ y, **TIGHT)
    assert_allclose(k * nu * variance / mean**2, y @ G @ S @ G @ y, **TIGHT)
    assert_allclose(k * nu * (1 - rest) / rest, y @ inv(S) @ y, **TIGHT)
    d2 = forms(X - X.mean(axis=0), inv(np.cov(X.T)))[i]
    deletion = n**2 * (n - 2) * d2 / ((n - 1) * ((n - 1) ** 2 - n * d2))
    assert_allclose(deletion, y @ inv(S) @ y, **TIGHT)
    assert_allclose(det((n - 2) * S) / det((n - 1) * np.cov(X.T)), 1 - n * d2 / (n - 1) ** 2, **TIGHT)
    # the same p-value by the law of the others' fit and by the Beta law
    new = stats.f(p, n - 1 - p).sf(deletion * (n - 1) * (n - 1 - p) / (((n - 1) ** 2 - 1) * p))
    assert_allclose(new, stats.beta(p / 2, (n - p - 1) / 2).sf(n * d2 / (n - 1) ** 2), **TIGHT)


def test_full_conformal_distances(rng):
    n, p, w, rho = 20, 7, 0.7, 0.3
    X, y = rng.normal(size=(n, p)), 2.0 * rng.normal(size=p)
    c, delta, eta, kappa = X - X.mean(axis=0), y - X.mean(axis=0), 1 / (n + 1), n / (n + 1)
    inverse = inv(w * c.T @ c + (n + 1) * rho * np.eye(p))
    s, b, g = forms(c, inverse), c @ inverse @ delta, delta @ inverse @ delta
    tau = 1 / (1 + w * kappa * g)
    whole = np.vstack([X, y])
    fit = inv(w * np.cov(whole.T, bias=True) + rho * np.eye(p))
    expected = forms(whole - whole.mean(axis=0), fit) / (n + 1)
    assert_allclose(s + tau * (eta**2 * g - 2 * eta * b - w * kappa * b**2), expected[:-1], **TIGHT)
    assert_allclose(kappa**2 * g * tau, expected[-1], **TIGHT)


def test_mean_of_filtered_distances(rng):
    X = rng.normal(size=(20, 7))
    fitted = SpectralFilter("rkhs").fit(X)
    assert_allclose(fitted.mahalanobis(X).mean(), 19 / 20 * fitted.null_weights_.sum(), **TIGHT)


def test_conformance_to_one_row_is_half_a_chi_square():
    assert_allclose(ConformanceLaw(n_samples=1, df=4).sf(5.0), stats.chi2(4).sf(2.5), rtol=1e-9)
