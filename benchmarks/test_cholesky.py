"""The modified Cholesky family at sizes where the plain way is p least-squares fits or a p x p inverse."""

import json
import statistics
import time

import numpy as np
import pytest
from _process import PEAK, run_python
from scipy import linalg
from sklearn import covariance as sk

from fmahal import ModifiedCholesky, datasets


def test_banded_against_lstsq(record):
    """p calls of lstsq on the same band; equal coefficients and variances first."""
    n, p, k = 500, 10_000, 20
    X = datasets.make_ar1(n, p, rho=0.6, random_state=0).data
    estimator = ModifiedCholesky(bandwidth=k)

    def ours():
        return estimator.fit(X).mahalanobis(X)

    def peer():
        Z = X - X.mean(axis=0)
        phi, rss = np.zeros((p, k)), np.empty(p)
        rss[0] = Z[:, 0] @ Z[:, 0]
        for j in range(1, p):
            first = max(0, j - k)
            coef = linalg.lstsq(Z[:, first:j], Z[:, j])[0]
            e = Z[:, j] - Z[:, first:j] @ coef
            phi[j, : j - first], rss[j] = coef[::-1], e @ e
        return phi, rss

    ours()
    start = time.perf_counter()
    phi, rss = peer()
    peer_seconds = time.perf_counter() - start
    np.testing.assert_allclose(estimator.innovation_variance_, rss / n, rtol=1e-8)
    np.testing.assert_allclose(estimator.whitener_._structure.band, phi, rtol=1e-6, atol=1e-9)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        ours()
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    ratio = peer_seconds / seconds
    record.add(
        f"banded fit and {n} distances, p={p}, k={k}, n={n}: p x scipy lstsq / fmahal",
        ">= 25x",
        f"{ratio:.1f}x",
        ratio >= 25,
        fmahal_ms=round(1e3 * seconds, 1),
        peer_ms=round(1e3 * peer_seconds, 1),
    )


def test_ridge_against_shrunk_covariance(record):
    n, p = 200, 5000
    X = np.random.default_rng(0).standard_normal((n, p))
    estimator = ModifiedCholesky(penalty="l2", alpha=1.0)

    def ours():
        return estimator.fit(X).mahalanobis(X)

    small = X[:, :150]  # the two are different estimators: what each is gets checked where p x p is cheap
    fit = ModifiedCholesky(penalty="l2", alpha=1.0).fit(small)
    gap = small - small.mean(axis=0)
    np.testing.assert_allclose(
        fit.mahalanobis(small), np.einsum("ij,jk,ik->i", gap, fit.precision_, gap), rtol=1e-8
    )
    ours()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        ours()
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    sk.ShrunkCovariance().fit(X).mahalanobis(X)
    peer = time.perf_counter() - start
    ratio = peer / statistics.median(times)
    record.add(
        f"ridge modified Cholesky fit and distances, p={p}, n={n}: scikit-learn ShrunkCovariance / fmahal",
        ">= 300x",
        f"{ratio:.0f}x",
        ratio >= 300,
        fmahal_ms=round(1e3 * statistics.median(times), 1),
        peer_ms=round(1e3 * peer, 1),
    )


MEASURE = """
import json, time, numpy as np, fmahal
rng = np.random.default_rng(0)
small = rng.standard_normal(({n}, 500))
fmahal.ModifiedCholesky(penalty="l2", alpha=1.0).fit(small).mahalanobis(small)
X = rng.standard_normal(({n}, {p}))
before = peak()
seconds = []
for _ in range({rounds}):
    start = time.perf_counter()
    d2 = fmahal.ModifiedCholesky(penalty="l2", alpha=1.0).fit(X).mahalanobis(X)
    seconds.append(time.perf_counter() - start)
after = peak()
assert np.isfinite(d2).all()
print(json.dumps([float(np.median(seconds)), (X.nbytes + after - before) / X.nbytes, after / 2**30]))
"""


def measure(n, p, rounds):
    return json.loads(run_python(PEAK + MEASURE.format(n=n, p=p, rounds=rounds)))


def test_memory_at_a_hundred_thousand_columns(record):
    _, multiple, _ = measure(200, 100_000, 1)
    record.add("ridge, n=200, p=100000: peak memory with X", "< 4x X", f"{multiple:.2f}x X", multiple < 4)


@pytest.mark.slow
def test_a_million_features(record):
    base, _, _ = measure(100, 10_000, 5)
    large, multiple, gigabytes = measure(100, 1_000_000, 1)
    record.add(
        "ridge, n=100, p=1e6: fit and 100 distances",
        "finishes",
        f"{large:.1f} s, {gigabytes:.1f} GiB",
        True,
        peak_over_X=multiple,
    )
    ratio = (large / 1e6) / (base / 1e4)
    record.add("time per feature, p=1e6 over p=1e4", "<= 1.6x", f"{ratio:.2f}x", ratio <= 1.6)


def test_l2_blocks_equal_the_dense_form_here_too():
    X = np.random.default_rng(1).standard_normal((60, 59))
    wide = np.hstack([X, np.random.default_rng(2).standard_normal((60, 3))])
    got = ModifiedCholesky(penalty="l2", alpha=0.5).fit(wide)
    want = ModifiedCholesky(penalty="l2", alpha=0.5).fit(wide[:, :60])
    np.testing.assert_allclose(got.innovation_variance_[:60], want.innovation_variance_, rtol=1e-9)
