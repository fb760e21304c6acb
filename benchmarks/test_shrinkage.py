"""Shrinkage when p > n: the n x n route against scikit-learn's p x p one, and its memory."""

import warnings

import numpy as np
import pytest
from _process import PEAK, run_python
from sklearn import covariance as sk

import fmahal


def data(n, p):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, p)) * rng.uniform(0.5, 2.0, p)


@pytest.mark.parametrize(
    ("ours", "theirs", "p"), [(fmahal.LedoitWolf, sk.LedoitWolf, 5000), (fmahal.OAS, sk.OAS, 2000)]
)
def test_p_much_larger_than_n(pair, ours, theirs, p):
    X = data(200, p)
    factor = 200.0 if p == 5000 else 40.0
    pair(
        f"{theirs.__name__}().fit(X).mahalanobis(X), n=200, p={p}",
        lambda: ours().fit(X).mahalanobis(X),
        {"scikit-learn": lambda: theirs().fit(X).mahalanobis(X)},
        {"scikit-learn": factor},
        rtol=1e-6,
        rounds=3,
        budget=40,
    )


@pytest.mark.parametrize(("n", "p"), [(20_000, 20), (2_000, 300)])
def test_more_rows_than_columns(pair, n, p):
    X = data(n, p)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair(
            f"LedoitWolf().fit(X).mahalanobis(X), n={n}, p={p}",
            lambda: fmahal.LedoitWolf().fit(X).mahalanobis(X),
            {"scikit-learn": lambda: sk.LedoitWolf().fit(X).mahalanobis(X)},
            {"scikit-learn": 1.0},
            rounds=5,
        )


MEMORY = """
import numpy as np, fmahal
rng = np.random.default_rng(0)
fmahal.{name}().fit(rng.standard_normal((20, 300))).mahalanobis(rng.standard_normal((20, 300)))
X = rng.standard_normal(({n}, {p}))
before = peak()
d2 = fmahal.{name}().fit(X).mahalanobis(X)
after = peak()
assert np.isfinite(d2).all()
print((X.nbytes + after - before) / X.nbytes)
"""


@pytest.mark.parametrize("name", ["LedoitWolf", "OAS", "QIS", "ShrunkCovariance"])
def test_memory_at_a_hundred_thousand_columns(record, name):
    n, p = 200, 100_000
    multiple = float(run_python(PEAK + MEMORY.format(name=name, n=n, p=p)))
    record.add(
        f"{name}: peak memory with X, n={n}, p={p}",
        "< 4x X",
        f"{multiple:.2f}x X",
        multiple < 4.0,
        peak_over_X=multiple,
    )
