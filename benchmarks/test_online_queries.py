"""Queries of the adaptive index against exact distances by cached norms and one product, 100000 float32 points."""

import numpy as np
import pytest

from fmahal.online import AdaptiveMahalanobisIndex
from fmahal.online._accuracy import median_failure

N, P, K, L = 100_000, 4096, 256, 5
QUERIES = 5  # whose errors are averaged


@pytest.fixture(scope="module")
def index():
    rng = np.random.default_rng(0)
    points = np.empty((N, P), np.float32)
    for start in range(0, N, 1000):
        rng.standard_normal(out=points[start : start + 1000], dtype=np.float32)
    return AdaptiveMahalanobisIndex(n_components=K, n_sketches=L, sample_size=1, random_state=0).fit(points)


@pytest.fixture(scope="module")
def by_norms(index):
    """The exact peer on pre-whitened points; the metric is the identity, so that these are the points."""
    Z = index.points_
    norms = np.empty(N, np.float32)
    for start in range(0, N, 1000):
        block = Z[start : start + 1000]
        norms[start : start + 1000] = np.einsum("ij,ij->i", block, block, dtype=np.float64)

    def exact(x):
        return norms + x @ x - 2.0 * (Z @ x)

    return exact


def far(r):
    """Relative error that none of N answers has, but with probability 1e-6."""
    return next(e for e in np.linspace(0.05, 0.95, 181) if N * median_failure(K, r, e) < 1e-6)


@pytest.mark.parametrize("r", [1, 5])
def test_query(pair, record, index, by_norms, r):
    index._store.sample_size = r  # one fit serves both
    x = np.random.default_rng(1).standard_normal(P).astype(np.float32)
    eps = far(r)
    pair(
        f"query(x), n={N}, p={P}, k={K}, float32, {r} of {L} sketches",
        lambda: index.query(x),
        {"norms and GEMV": lambda: by_norms(x)},
        {"norms and GEMV": 0.5 * P / (r * K)},
        rtol=eps / (1.0 - eps),  # their agreement is the sketch's, not that of rounding
        pause=0.1,
        warm=5,
    )
    errors = []
    for seed in range(QUERIES):
        x = np.random.default_rng(10 + seed).standard_normal(P).astype(np.float32)
        errors.append(np.median(np.abs(index.query(x) / by_norms(x) - 1.0)))
    theory = median_relative_error(r)
    ratio = float(np.mean(errors)) / theory
    record.add(
        f"query(x): median relative error / theory, {r} sketches", "<= 1.1x", f"{ratio:.3f}x", ratio <= 1.1,
        error=round(float(np.mean(errors)), 5), theory=round(theory, 5),
    )  # fmt: skip
    if r == 1:
        assert theory == pytest.approx(0.67 * np.sqrt(2 / K), rel=0.02)
    assert ratio <= 1.1


def median_relative_error(r):
    """The error that half of the answers exceed, by bisection."""
    low, high = 1e-6, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if median_failure(K, r, middle) > 0.5 else (low, middle)
    return low
