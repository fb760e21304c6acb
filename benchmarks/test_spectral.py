"""Spectral filters: against principal components of scikit-learn, against a bare product, and their memory."""

import statistics
import time
import warnings

import numpy as np
import pytest
from _process import PEAK, run_python
from sklearn.decomposition import PCA

from fmahal import SpectralFilter


def walks(n, p, seed=0):
    return np.random.default_rng(seed).standard_normal((n, p)).cumsum(axis=1) / np.sqrt(p) + 1.0


def by_pca(X, K, alpha, solver="auto"):
    """The same distance by hand: components, scores, a weighted sum."""
    pca = PCA(n_components=K, svd_solver=solver, random_state=0).fit(X)
    values = pca.explained_variance_
    return (pca.transform(X) ** 2) @ (values / (values + alpha * values[0]) ** 2)


@pytest.mark.parametrize(
    ("n", "p", "K"), [(1000, 500, 10), (500, 1000, 10), (1000, 500, 100), (20_000, 100, 20)]
)
def test_fit_and_score(pair, n, p, K):
    X = walks(n, p)
    pair(
        f"SpectralFilter(n_components={K}).fit(X).mahalanobis(X), n={n}, p={p}",
        lambda: SpectralFilter(n_components=K).fit(X).mahalanobis(X),
        {
            "PCA (full SVD)": lambda: by_pca(X, K, 1e-2, "full"),
            "PCA (covariance)": lambda: by_pca(X, K, 1e-2, "covariance_eigh"),
        },
        {"PCA (full SVD)": 5.0 if p >= 10 * K else 2.0, "PCA (covariance)": 1.0},
        rounds=5,
    )


@pytest.mark.parametrize("kind", ["rkhs", "truncate", "ridge"])
def test_many_rows_cost_little_more_than_a_bare_product(record, kind):
    n, p = 100_000, 100
    X = np.random.default_rng(0).standard_normal((n, p))
    scatter = SpectralFilter(kind)
    scatter.fit(X)
    ratios, ours, bare = [], [], []
    for _ in range(5):
        start = time.perf_counter()
        X.T @ X
        middle = time.perf_counter()
        scatter.fit(X)
        end = time.perf_counter()
        bare.append(middle - start)
        ours.append(end - middle)
        ratios.append(ours[-1] / bare[-1])
    ratio = statistics.median(ratios)
    record.add(
        f"SpectralFilter({kind!r}).fit, n={n}, p={p}: time over X'X by BLAS",
        "< 3x",
        f"{ratio:.2f}x",
        ratio < 3.0,
        fmahal_ms=round(1e3 * statistics.median(ours), 3),
        peer_ms=round(1e3 * statistics.median(bare), 3),
    )


MEMORY = """
import warnings, numpy as np
from fmahal import SpectralFilter
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
SpectralFilter({kind!r}).fit(rng.standard_normal((20, 300))).mahalanobis(rng.standard_normal((20, 300)))
X = rng.standard_normal(({n}, {p}))
before = peak()
d2 = SpectralFilter({kind!r}).fit(X).mahalanobis(X)
after = peak()
assert np.isfinite(d2).all()
print((X.nbytes + after - before) / X.nbytes)
"""


@pytest.mark.parametrize("kind", ["rkhs", "ridge", "inverse"])
@pytest.mark.parametrize(("n", "p", "most"), [(200, 100_000, 4.0), (100_000, 100, 1.5)])
def test_memory(record, kind, n, p, most):
    multiple = float(run_python(PEAK + MEMORY.format(kind=kind, n=n, p=p)))
    record.add(
        f"SpectralFilter({kind!r}): peak memory with X, n={n}, p={p}",
        f"< {most:g}x X",
        f"{multiple:.2f}x X",
        multiple < most,
        peak_over_X=multiple,
    )


@pytest.mark.parametrize(("n", "p"), [(2000, 300), (300, 2000)])
def test_the_exact_route(pair, n, p):
    """Eigenvalues far apart: an orthogonal factorisation against a singular value decomposition of all rows."""
    X = walks(n, p) * np.logspace(0, -5, p)
    r = min(n - 1, p)

    def by_svd():
        _, roots, right = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
        right, roots = right[:r], roots[:r]
        return (n - 1) * (((X - X.mean(axis=0)) @ right.T / roots) ** 2).sum(axis=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair(
            f'SpectralFilter("inverse").fit(X).mahalanobis(X), condition 1e10, n={n}, p={p}',
            lambda: SpectralFilter("inverse").fit(X).mahalanobis(X),
            {"SVD": by_svd},
            {"SVD": 1.0},
            rtol=1e-5,
            rounds=5,
        )
