"""The slow twins of the minimum covariance determinant agree with robustbase and with each other."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference_mcd as twin
from hypothesis import given
from hypothesis import strategies as st
from strategies import generators

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "mcd_golden.json").read_text())
RECORDS = [
    (name, alpha)
    for name, case in GOLDEN.items()
    for alpha in ("a50", "a75")
    if "best" in case[alpha].get("record", {})
]
ILL_CONDITIONED = ("octane_s30", "wages", "cascades", "wood_x", "sim14_tight_n60_p30")


def rows_of(bits):
    return np.array([i for i, bit in enumerate(bits) if bit == "1"])


def full(triangle, p):
    S = np.zeros((p, p))
    S[np.tril_indices(p)] = triangle
    return np.tril(S) + np.tril(S, -1).T


def assert_covariance(found, expected, tol):
    sd = np.sqrt(np.diagonal(expected))
    assert np.abs((found - expected) / np.outer(sd, sd)).max() < tol


@pytest.mark.parametrize(("name", "alpha"), RECORDS)
def test_records_follow_from_their_subsets(name, alpha):
    case = GOLDEN[name]
    record, X = case[alpha]["record"], np.array(case["x"])
    rows = rows_of(record["best"])
    assert len(rows) == case[alpha]["h"]
    assert twin.moments(X, rows)[2] == pytest.approx(record["crit"], rel=0, abs=1e-8)
    after = twin.reweight(X, rows, record["factors_raw"], record["factors"])
    assert record["factors_raw"][0] == pytest.approx(
        twin.consistency_factor(case["p"], len(rows) / case["n"]), rel=1e-12
    )
    if not after["support"].all():
        assert record["factors"][0] == pytest.approx(twin.consistency_factor(case["p"], 0.975), rel=1e-12)
    np.testing.assert_array_equal(np.flatnonzero(after["support"]), rows_of(record["raw_weights"]))
    np.testing.assert_array_equal(np.flatnonzero(after["weights"]), rows_of(record["weights"]))
    assert_covariance(after["covariance"], full(record["cov"], case["p"]), 1e-8)
    sd = np.sqrt(np.diagonal(after["covariance"]))
    assert np.abs((after["location"] - record["center"]) / sd).max() < 1e-8
    assert np.abs((after["raw_location"] - record["raw_center"]) / sd).max() < 1e-8
    if "raw_cov" in record:
        assert_covariance(after["raw_covariance"], full(record["raw_cov"], case["p"]), 1e-8)
    np.testing.assert_allclose(after["d2"], record["mah"], rtol=1e-6 if name in ILL_CONDITIONED else 1e-8)


@pytest.mark.parametrize(("name", "alpha"), RECORDS)
def test_records_are_fixed_points(name, alpha):
    X, rows = np.array(GOLDEN[name]["x"]), rows_of(GOLDEN[name][alpha]["record"]["best"])
    before = twin.moments(X, rows)[2]
    assert twin.moments(X, twin.concentrate(X, rows))[2] == pytest.approx(before, rel=0, abs=1e-8)
    assert twin.is_fixed(X, rows)


@given(generators(), st.integers(1, 4), st.integers(2, 8), st.integers(1, 6))
def test_exchange_ratios(rng, p, more, outside):
    h = p + more
    X = rng.normal(size=(h + outside, p)) * 10.0 ** rng.integers(-3, 4, size=p) + 5.0
    rows = np.sort(rng.permutation(len(X))[:h])
    closed, by_refit = twin.exchange_ratios(X, rows), twin.exchange_ratios_by_refit(X, rows)
    np.testing.assert_array_equal(closed[1], by_refit[1])
    np.testing.assert_allclose(closed[0], by_refit[0], rtol=1e-6, atol=1e-9)


@given(generators(), st.integers(4, 11), st.data())
def test_univariate_is_enumeration(rng, n, data):
    x = np.round(rng.normal(size=n) * 2.0, data.draw(st.sampled_from([0, 12])))
    h = data.draw(st.integers(n // 2 + 1, n))
    value, winners = twin.univariate(x, h)
    least, subsets = twin.enumerate_subsets(x[:, None], h)
    if np.isfinite(least):
        assert value == pytest.approx(least, abs=1e-9)
    else:
        assert value < -60
    assert any(tuple(rows) in subsets for _, rows in winners)


@given(generators(), st.integers(1, 3), st.integers(0, 3))
def test_descent_never_rises(rng, p, more):
    X = rng.standard_t(3, size=(3 * p + 6 + more, p))
    rows = np.sort(rng.permutation(len(X))[: len(X) // 2 + p])
    start = twin.moments(X, rows)[2]
    one = twin.moments(X, twin.concentrate(X, rows))[2]
    _, settled = twin.converge(X, rows)
    _, exchanged = twin.exchange_descent(X, rows)
    slack = 1e-10
    assert exchanged <= settled + slack
    assert settled <= one + slack
    assert one <= start + slack


@pytest.mark.parametrize(
    ("name", "alpha"),
    [("lmom33", "a75"), ("cascades", "a75"), ("cloud", "a75"), ("wood_x", "a75")],
)
def test_certified_targets_are_enumerated(name, alpha):
    case = GOLDEN[name]
    least, winners = twin.enumerate_subsets(np.array(case["x"]), case[alpha]["h"])
    assert case[alpha]["certified"]
    assert least == pytest.approx(case[alpha]["target"], abs=1e-9)
    assert tuple(rows_of(case[alpha]["record"]["best"])) in winners
