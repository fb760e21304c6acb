"""Curves: fit, score and all pairs against scikit-fda's Mahalanobis distance, on one operator and one quadrature."""

import statistics
import time

import numpy as np
import pytest
from _process import PEAK, run_python
from scipy.integrate import simpson
from skfda import FDataGrid
from skfda.misc.metrics import MahalanobisDistance, PairwiseMetric

import fmahal

T, K, ALPHA = 501, 10, 1e-3


@pytest.fixture(scope="module")
def grid():
    return np.linspace(0.0, 1.0, T)


def curves(n, grid, seed=0):
    """Smooth curves with a spectrum that falls off, so that ten leading components are well defined."""
    k = np.arange(1, 40)
    scores = np.random.default_rng(seed).standard_normal((n, k.size)) * 1.5 ** (1.0 - k)
    return FDataGrid(scores @ np.sin(np.pi * k[:, None] * grid), grid)


def metrics(grid):
    weights = simpson(np.eye(T), x=grid)
    ours = fmahal.FunctionalMahalanobis(
        "rkhs", n_components=K, alpha=ALPHA, alpha_units="absolute", weights=weights
    )
    return ours, MahalanobisDistance(n_components=K, alpha=ALPHA, weights=weights)


def test_fit_and_score(pair, grid):
    X = curves(1000, grid)
    ours, theirs = metrics(grid)

    def scikit_fda():
        theirs.fit(X)
        return theirs(X, X.mean())

    pair(
        f"fit and score n=1000 curves, T={T}, {K} components",
        lambda: ours.fit(X).mahalanobis(X),
        {"scikit-fda": scikit_fda},
        {"scikit-fda": 10.0},
        rtol=1e-6,
        rounds=25,
    )


def test_all_pairs(pair, grid):
    X, Y = curves(200, grid), curves(200, grid, seed=1)
    ours, theirs = metrics(grid)
    ours.fit(X)
    theirs.fit(X)
    pair(
        f"200 x 200 distance matrix, T={T}",
        lambda: PairwiseMetric(ours)(X, Y),
        {"scikit-fda": lambda: np.sqrt(PairwiseMetric(theirs)(X, Y))},
        {"scikit-fda": 500.0},
        rtol=1e-6,
        rounds=5,
        budget=40.0,
    )


@pytest.mark.parametrize("components", [K, None])
def test_a_thousand_by_a_thousand(record, grid, components):
    X, Y = curves(1000, grid), curves(1000, grid, seed=1)
    metric = fmahal.FunctionalMahalanobis(n_components=components).fit(X)
    pairs = PairwiseMetric(metric)
    np.testing.assert_allclose(pairs(X[:3], Y), [metric(X[i], Y) for i in range(3)], rtol=1e-6)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        pairs(X, Y)
        times.append(time.perf_counter() - start)
    milliseconds = 1e3 * statistics.median(times)
    record.add(
        f"1000 x 1000 distance matrix, T={T}, {components or 'all'} components",
        "< 50 ms",
        f"{milliseconds:.0f} ms",
        milliseconds < 50.0,
        median_ms=round(milliseconds, 2),
    )


MEMORY = """
import warnings, numpy as np
from fmahal import FunctionalMahalanobis
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
FunctionalMahalanobis({kind!r}).fit(rng.standard_normal((20, 300))).mahalanobis(rng.standard_normal((20, 300)))
X = rng.standard_normal((200, 100_000))
before = peak()
d2 = FunctionalMahalanobis({kind!r}).fit(X).mahalanobis(X)
after = peak()
assert np.isfinite(d2).all()
print((X.nbytes + after - before) / X.nbytes)
"""


@pytest.mark.parametrize("kind", ["rkhs", "truncate", "ridge"])
def test_memory(record, kind):
    multiple = float(run_python(PEAK + MEMORY.format(kind=kind)))
    record.add(
        f"FunctionalMahalanobis({kind!r}): peak memory of fit and score with the data, n=200 curves, T=100000",
        "< 4x the data",
        f"{multiple:.2f}x the data",
        multiple < 4.0,
        peak_over_X=multiple,
    )
