"""The robust estimators against scikit-learn and statsmodels, and what they need at extreme sizes."""

import json
from pathlib import Path

import numpy as np
import pytest
from _process import PEAK, run_python
from _robust import (
    SIZES,
    Search,
    add_rows,
    assert_no_worse,
    contaminated,
    half,
    objective,
    race,
    watch_anonymous_memory,
)
from sklearn import covariance as sk
from threadpoolctl import threadpool_limits

import fmahal

# a fifth of the rows is planted as a cluster, of which the fit warns
pytestmark = pytest.mark.filterwarnings("ignore::fmahal.exceptions.AmbiguousFitWarning")

SKLEARN = {(200, 5): 3.0, (1_000, 40): 12.0}  # wanted ratios, 25 elsewhere
STATSMODELS = 50.0


def ours(X, method):
    """A search of ours, at the default subset size."""
    return Search(
        lambda seed: fmahal.MinCovDet(method=method, random_state=seed).fit(X),
        lambda fit: checked(X, fit).objective_,
        random=method != "deterministic",
    )


def checked(X, fit):
    """The fit, once its objective is what its rows have and their number is the default."""
    assert fit.raw_support_.sum() == fit.n_support_ == half(*X.shape)
    np.testing.assert_allclose(fit.objective_, objective(X, fit.raw_support_), rtol=1e-8, atol=1e-8)
    return fit


def scikit_learn(X):
    n, p = X.shape
    h = half(n, p)

    def reached(fit):
        assert fit.raw_support_.sum() == h
        return objective(X, fit.raw_support_)

    return Search(
        lambda seed: sk.MinCovDet(support_fraction=(h + 0.5) / n, random_state=seed).fit(X), reached
    )


def statsmodels(X):
    peer = pytest.importorskip("statsmodels.robust.covariance").CovDetMCD
    return Search(
        lambda seed: peer(X).fit(half(*X.shape)),
        lambda fit: float(np.log(fit.results_raw.det_subset)),
        random=False,
    )


@pytest.fixture(scope="module", autouse=True)
def _warm():
    """Compiled code and imported peers before any clock starts; BLAS on one thread, where peers are steady."""
    with threadpool_limits(1, "blas"):
        fmahal.warmup()
        X = contaminated(100, 3)
        for search in (ours(X, "auto"), ours(X, "deterministic"), scikit_learn(X), statsmodels(X)):
            search.run(0)
        yield


@pytest.mark.parametrize(("n", "p"), SIZES)
def test_min_cov_det(record, n, p):
    record.about(statsmodels=pytest.importorskip("statsmodels").__version__)
    X = contaminated(n, p)
    entrants = {name: ours(X, name) for name in ("auto", "fast", "deterministic")}
    peers = {"scikit-learn": scikit_learn(X), "statsmodels": statsmodels(X)}
    for entrant in entrants.values():
        entrant.fit(0)  # its own sizes once: threads, pages, caches
    race({**entrants, **peers})
    random = {"scikit-learn": peers["scikit-learn"]}
    deterministic = {"statsmodels": peers["statsmodels"]}
    assert_no_worse(X, "auto", entrants["auto"], peers)
    assert_no_worse(X, "fast", entrants["fast"], random)
    assert_no_worse(X, "deterministic", entrants["deterministic"], deterministic)
    wanted = {"scikit-learn": SKLEARN.get((n, p), 25.0)}
    add_rows(record, f"MinCovDet, n={n}, p={p}", entrants["auto"], random, wanted)
    add_rows(record, f'MinCovDet(method="fast"), n={n}, p={p}', entrants["fast"], random, wanted)
    add_rows(
        record,
        f'MinCovDet(method="deterministic"), n={n}, p={p}',
        entrants["deterministic"],
        deterministic,
        {"statsmodels": STATSMODELS},
    )


MRCD = """
import json, time, warnings
import numpy as np, fmahal
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
small = rng.standard_normal(({n}, 500))
fmahal.MRCD().fit(small).mahalanobis(small)
X = rng.standard_normal(({n}, {p}))
X[: {n} // 5] += 5.0
before = peak()
start = time.perf_counter()
fit = fmahal.MRCD().fit(X)
d2 = fit.mahalanobis(X)
seconds = time.perf_counter() - start
after = peak()
assert np.isfinite(d2).all() and not fit.raw_support_[: {n} // 5].any()
print(json.dumps([seconds, (X.nbytes + after - before) / X.nbytes]))
"""


def test_mrcd_of_twenty_thousand_columns(record):
    n, p = 200, 20_000
    seconds, multiple = json.loads(run_python(PEAK + MRCD.format(n=n, p=p)))
    record.add(f"MRCD, n={n}, p={p}: fit and distances", "< 30 s", f"{seconds:.1f} s", seconds < 30)
    record.add(f"MRCD, n={n}, p={p}: peak memory with X", "< 4x X", f"{multiple:.2f}x X", multiple < 4)


MAPPED = """
import json, time, warnings
import numpy as np, fmahal
from _robust import anonymous_memory
warnings.simplefilter("ignore")
fmahal.MinCovDet(random_state=0).fit(np.random.default_rng(1).standard_normal((2000, {p})))
X = np.load({path!r}, mmap_mode="r")
before = anonymous_memory("self")
start = time.perf_counter()
fit = fmahal.MinCovDet(random_state=0).fit(X)
seconds = time.perf_counter() - start
clean = np.arange(len(X)) >= len(X) // 5
print(json.dumps({{
    "seconds": seconds,
    "before": before,
    "shifted": int(fit.raw_support_[~clean].sum()),
    "trace": float(np.trace(fit.covariance_)),
    "h": int(fit.n_support_),
}}))
"""


@pytest.mark.slow
def test_ten_million_mapped_rows(record, tmp_path):
    n, p, block = 10_000_000, 10, 500_000
    path = tmp_path / "rows.npy"
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(n, p))
    rng = np.random.default_rng(0)
    for first in range(0, n, block):
        X[first : first + block] = rng.standard_normal((block, p))
    for first in range(0, n // 5, block):
        X[first : first + block] += 5.0
    X.flush()
    del X
    line, peak = watch_anonymous_memory(
        MAPPED.format(p=p, path=str(path)), PYTHONPATH=str(Path(__file__).parent)
    )
    fit = json.loads(line)
    beyond = (peak - fit["before"]) / 1e9
    assert fit["h"] == half(n, p)
    assert fit["shifted"] == 0
    assert abs(fit["trace"] / p - 1) < 0.02
    record.add(
        "MinCovDet, n=1e7, p=10, memory-mapped: memory beyond the data",
        "< 2 GB",
        f"{beyond:.2f} GB",
        beyond < 2,
        seconds=round(fit["seconds"], 1),
    )
    record.add("MinCovDet, n=1e7, p=10, memory-mapped: fit", "finishes", f"{fit['seconds']:.1f} s", True)
