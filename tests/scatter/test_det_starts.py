"""The six deterministic starts: R's orderings, a slow twin, equivariance, ties."""

import json

import numpy as np
import pytest
import reference_mrcd as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmahal.scatter import _det_starts
from fmahal.scatter._det_starts import deterministic_starts, doubled_ranks, doubled_ranks_rows, normal_scores

NAMES = ["bushfire", "hbk_x", "iris4", "pulpfiber", "toxicity", "wood_x"]


def clouds(n, p, seed=0, outliers=0.2, at=8.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    X[: int(outliers * n)] += at
    return X


def subsets(orderings, h):
    return [frozenset(row[:h].tolist()) for row in orderings]


@pytest.mark.parametrize("key", ["a50_det", "a75_det"])
@pytest.mark.parametrize("name", NAMES)
def test_robustbase(fixtures_dir, name, key):
    case = json.loads((fixtures_dir / "mrcd_golden.json").read_text())[name]
    record = case["orderings"][key]
    found = deterministic_starts(np.array(case["x"], dtype=float), record["h"])
    assert subsets(found, record["h"]) == subsets(np.array(record["rows"]), record["h"])


@pytest.mark.parametrize(
    ("n", "p", "scale"), [(40, 3, "qn"), (75, 6, "qn"), (75, 6, "tau"), (1003, 4, "tau")]
)
def test_twin(n, p, scale):
    X = clouds(n, p, seed=n)
    h = (n + p + 1) // 2
    expected = twin.orderings(X, h, {"qn": twin.qn, "tau": twin.tau}[scale])
    np.testing.assert_array_equal(deterministic_starts(X, h, scale=scale), expected)


@pytest.mark.parametrize(("n", "kind"), [(999, "qn"), (1000, "tau")])
def test_automatic_scale(n, kind):
    X = clouds(n, 3)
    np.testing.assert_array_equal(deterministic_starts(X, 600), deterministic_starts(X, 600, scale=kind))
    other = {"qn": "tau", "tau": "qn"}[kind]
    assert (deterministic_starts(X, 600) != deterministic_starts(X, 600, scale=other)).any()


def test_unknown_scale():
    with pytest.raises(ValueError, match='"auto", "qn" or "tau"'):
        deterministic_starts(clouds(20, 2), 12, scale="mad")


def test_memory_bound_changes_nothing(monkeypatch):
    X = clouds(60, 4)
    expected = deterministic_starts(X, 35)
    monkeypatch.setattr(_det_starts, "BLOCK_BYTES", 1)
    np.testing.assert_array_equal(deterministic_starts(X, 35), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 60), st.integers(1, 5), st.integers(-9, 9))
def test_equivariance(seed, n, p, power):
    rng = np.random.default_rng(seed)
    X = clouds(n, p, seed=seed)
    h = (n + p + 1) // 2
    expected = subsets(deterministic_starts(X, h), h)
    units = 2.0 ** rng.integers(-30, 30, size=p) * 2.0**power
    assert subsets(deterministic_starts(X * units, h), h) == expected
    columns, rows = rng.permutation(p), rng.permutation(n)
    moved = subsets(deterministic_starts(np.ascontiguousarray(X[rows][:, columns]), h), h)
    assert [frozenset(rows[list(one)].tolist()) for one in moved] == expected
    np.testing.assert_array_equal(deterministic_starts(X, h), deterministic_starts(X.copy(order="F"), h))


@pytest.mark.parametrize("at", [1e3, 1e6, 1e9, 1e12])
def test_far_rows_stay_out(at):
    X = clouds(200, 5, outliers=0.3, at=at)
    starts = deterministic_starts(X, 120)
    assert (np.sort(starts, axis=1) == np.arange(200)).all()
    assert (starts[:, :120] >= 60).all()


def test_ties_and_constant_columns():
    rng = np.random.default_rng(1)
    X = rng.integers(0, 3, size=(50, 4)).astype(float)
    X[:, 1] = 7.0
    X[:, 2] = 0.0
    X[:3, 2] = [5.0, -4.0, 6.0]  # every quantile of the deviations that is tried is zero
    X[10:40] = X[10]
    starts = deterministic_starts(X, 30)
    assert (np.sort(starts, axis=1) == np.arange(50)).all()
    assert subsets(deterministic_starts(X * 1e-8, 30), 30) == subsets(starts, 30)
    for start in starts:
        assert not {0, 1, 2} & set(start[:30].tolist())


def test_one_column_and_all_rows():
    X = np.arange(11.0)[:, None] ** 2
    starts = deterministic_starts(X, 6)
    assert all(set(start[:6]) == set(range(6)) for start in starts)
    assert deterministic_starts(clouds(20, 3), 20).shape == (6, 20)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_ranks(values):
    row = np.array(values, dtype=float)
    np.testing.assert_array_equal(doubled_ranks(row), 2 * stats.rankdata(row))
    block = np.stack([row, np.arange(row.size, dtype=float)[::-1]])
    np.testing.assert_array_equal(
        doubled_ranks_rows(block), 2 * np.apply_along_axis(stats.rankdata, 1, block)
    )
    n = row.size
    expected = stats.norm.ppf((stats.rankdata(row) - 1 / 3) / (n + 1 / 3))
    np.testing.assert_allclose(normal_scores(n)[doubled_ranks(row)], expected, atol=1e-14)
