"""The fast robust bootstrap of the minimum covariance determinant, in fits of the estimator."""

import statistics
import time
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fmahal
from fmahal.nulls._robust_bootstrap import mcd_draws

REPLICATES = 1000


def data(n, p):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    X[: n // 10] += 5.0
    return X


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def replicates(scatter, X, held, kept):
    """Draw all of them."""
    seed = np.random.SeedSequence(0)
    settings = {"n_resamples": REPLICATES, "seed": seed, "n_held": held, "kept": kept}
    return list(mcd_draws(scatter, X, max_bytes=2**28, **settings))


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(("n", "p", "wanted"), [(500, 10, 20.0), (200, 5, None), (1000, 40, None)])
def test_a_thousand_replicates_in_single_fits(benchmark, record, n, p, wanted, kept):
    X = data(n, p)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")
        scatter = fmahal.MinCovDet(random_state=0).fit(X)
        Z = X[scatter.support_]
        held = len(Z) // 10
        draws = replicates(scatter, Z, held, kept)
        assert all(np.isfinite(block.train).all() and np.isfinite(block.new).all() for block in draws)
        pairs = []
        for _ in range(7 if p <= 10 else 2):
            fit = seconds(lambda: fmahal.MinCovDet(random_state=0).fit(X))
            pairs.append((fit, seconds(lambda: replicates(scatter, Z, held, kept))))
        benchmark.pedantic(lambda: replicates(scatter, Z, held, kept), rounds=1, warmup_rounds=0)
    ratio = statistics.median(boot / fit for fit, boot in pairs)
    parts = "a holdout fit each" if kept else "a resample and a holdout fit each"
    record.add(
        f"fast robust bootstrap, n={n}, p={p}, B={REPLICATES}, {parts}, in single fits",
        "(none)" if wanted is None else f"< {wanted:g}",
        f"{ratio:.1f}",
        wanted is None or ratio < wanted,
        fit_ms=round(1e3 * statistics.median(fit for fit, _ in pairs), 2),
        bootstrap_ms=round(1e3 * statistics.median(boot for _, boot in pairs), 2),
    )
