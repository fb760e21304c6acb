"""The law of the distance to the nearest of n rows: golden numbers, closed cases, limits, simulation."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fmahal.nulls.conformance import ConformanceLaw

SHARES = np.array([1e-200, 1e-100, 1e-12, 1e-4, 0.05, 0.5, 0.9, 0.999])


def test_golden(fixtures_dir):
    record = json.loads((fixtures_dir / "hilbert_loo.json").read_text())[
        "conformance_null_law_known_covariance"
    ]
    for key, want in record["outputs"].items():
        k, n, *what = key.split("_")
        law = ConformanceLaw(int(n[1:]), int(k[1:]))
        got = law.sf(1.0) if what[0] == "sf" else law.ppf(float(what[0][1:]))
        np.testing.assert_allclose(got, want, rtol=1e-9, err_msg=key)  # nine digits are given


@pytest.mark.parametrize("df", [1, 2, 3, 10, 100, 1000])
def test_one_row_is_twice_a_chi_square(df):
    """Both tails, far out."""
    law, chi2 = ConformanceLaw(1, df), stats.chi2(df, scale=2.0)
    np.testing.assert_allclose(law.sf(chi2.isf(SHARES)), SHARES, rtol=1e-11)
    lower = SHARES[1:]  # for k = 1 the quantile of 1e-200 is below the smallest float
    np.testing.assert_allclose(law.cdf(chi2.ppf(lower)), lower, rtol=1e-11)
    np.testing.assert_allclose(law.isf(SHARES), chi2.isf(SHARES), rtol=1e-12)


def test_one_dimension_by_another_integral():
    """For k = 1 the noncentral law is that of a shifted normal variable."""
    n, t = 12, 1.7

    def integrand(x):
        within = stats.norm.cdf(np.sqrt(t) - x) - stats.norm.cdf(-np.sqrt(t) - x)
        return stats.norm.pdf(x) * (1 - within) ** n

    want = integrate.quad(integrand, -12, 12, epsabs=0, epsrel=1e-12, limit=200)[0]
    np.testing.assert_allclose(ConformanceLaw(n, 1).sf(t), want, rtol=1e-11)


@pytest.mark.parametrize(("n", "k"), [(20, 3), (1000, 1), (10**6, 30), (10**9, 2)])
def test_quantiles_invert_both_tails(n, k):
    law = ConformanceLaw(n, k)
    np.testing.assert_allclose(law.sf(law.isf(SHARES)), SHARES, rtol=1e-10)
    np.testing.assert_allclose(law.cdf(law.ppf(SHARES[1:])), SHARES[1:], rtol=1e-10)
    x = law.isf(SHARES)
    np.testing.assert_allclose(law.sf(x) + law.cdf(x), 1.0, rtol=1e-12)


@settings(max_examples=12)
@given(st.integers(1, 10_000), st.integers(1, 60), st.floats(1e-3, 0.999))
def test_more_rows_are_nearer(n, k, q):
    few, many = ConformanceLaw(n, k), ConformanceLaw(2 * n, k)
    x = few.isf(q)
    assert 0 < many.sf(x) < few.sf(x)
    assert x <= 2 * stats.chi2.isf(q, k) * (1 + 1e-12)
    assert few.sf(1.1 * x) < few.sf(x) < few.sf(0.9 * x)


def test_ends_shapes_and_nan():
    law = ConformanceLaw(20, 3)
    x = np.array([[-1.0, 0.0], [np.inf, np.nan]])
    np.testing.assert_array_equal(law.sf(x), [[1, 1], [0, np.nan]])
    np.testing.assert_array_equal(law.cdf(x), [[0, 0], [1, np.nan]])
    np.testing.assert_array_equal(law.isf([0, 1, -0.1, 1.1, np.nan]), [np.inf, 0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(law.ppf([0, 1, 2]), [0, np.inf, np.nan])
    assert np.ndim(law.sf(1.0)) == 0
    assert law.sf(np.ones((2, 0))).shape == (2, 0)
    assert law.sf(1e6) >= 0
    assert np.isfinite(ConformanceLaw(10**6, 30).ppf(1e-300))
    assert repr(law) == "ConformanceLaw(n_samples=20, df=3)"
    assert pickle.loads(pickle.dumps(law)).sf(1.0) == law.sf(1.0)


@pytest.mark.parametrize(
    "bad", [{"n_samples": 0, "df": 3}, {"n_samples": 5, "df": 2.5}, {"n_samples": True, "df": 1}]
)
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match="ConformanceLaw must be a positive integer"):
        ConformanceLaw(**bad)


@pytest.mark.parametrize(("n", "k"), [(20, 3), (60, 8)])
def test_simulation(n, k):
    """Distances of new normal rows to the nearest of n, with the covariance they were drawn with."""
    rng = np.random.default_rng(n)
    d2 = np.array(
        [((rng.normal(size=(n, k)) - rng.normal(size=k)) ** 2).sum(axis=1).min() for _ in range(2000)]
    )
    law = ConformanceLaw(n, k)
    for q in (0.5, 0.1, 0.02):
        share = (d2 > law.isf(q)).mean()
        assert abs(share - q) < 4 * np.sqrt(q * (1 - q) / len(d2))


def test_overflow_far_below_the_noncentrality_is_met(monkeypatch):
    """SciPy before 1.17 overflows there, where probabilities are next to nothing."""
    t, wanted = 1e-8, ConformanceLaw(20, 3).cdf(1e-8)
    exact = stats.ncx2.cdf

    def overflows(x, df, nc):
        if np.any(np.asarray(nc) > 300.0):
            raise OverflowError("tgamma")
        return exact(x, df, nc)

    monkeypatch.setattr(stats.ncx2, "cdf", overflows)
    assert ConformanceLaw(20, 3).cdf(t) == pytest.approx(wanted, rel=1e-12)
