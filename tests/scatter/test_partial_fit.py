"""Moments merged block by block are the moments of all rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generators

from fmahal import _validation
from fmahal.exceptions import DenseSizeError, RankDeficientWarning
from fmahal.scatter import EmpiricalCovariance


def assert_same(found, expected, rtol):
    assert found.n_samples_ == expected.n_samples_
    assert found.rank_ == expected.rank_
    sd = np.sqrt(np.diagonal(expected.covariance_))
    assert np.all(np.abs(found.location_ - expected.location_) <= rtol * (sd + np.abs(expected.location_)))
    gap = (found.covariance_ - expected.covariance_) / np.outer(sd, sd)
    assert np.abs(gap).max() <= rtol


@given(
    generators(),
    st.integers(1, 6),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.sampled_from((1e-8, 1.0, 1e8)),
    st.booleans(),
)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_equals_one_fit(rng, p, sizes, scale, centered):
    sizes = [p + 2, *sizes]
    X = scale * (rng.normal(size=(sum(sizes), p)) + 5.0)
    merged = EmpiricalCovariance(assume_centered=centered)
    first = 0
    for size in sizes:
        merged.partial_fit(X[first : first + size])
        first += size
    whole = EmpiricalCovariance(assume_centered=centered).fit(X)
    assert_same(merged, whole, 1e-13)
    np.testing.assert_allclose(merged.mahalanobis(X), whole.mahalanobis(X), rtol=1e-9)


def test_large_offsets_lose_nothing():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    shifted = X + 1e7  # a sum of squares would keep two digits of the variance
    merged = EmpiricalCovariance()
    for block in np.array_split(shifted, 30):
        merged.partial_fit(block)
    np.testing.assert_allclose(
        merged.covariance_, EmpiricalCovariance().fit(X).covariance_, rtol=0, atol=1e-8
    )


def test_continues_after_fit_and_fit_starts_again():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(40, 4)), rng.normal(size=(25, 4)) + 2.0
    scatter = EmpiricalCovariance().fit(A)
    before = scatter.precision_
    scatter.partial_fit(B)
    assert_same(scatter, EmpiricalCovariance().fit(np.vstack([A, B])), 1e-13)
    assert np.abs(scatter.precision_ - before).max() > 0.1 * np.abs(before).max()  # nothing stale is kept
    assert_same(scatter.fit(A), EmpiricalCovariance().fit(A), 1e-15)


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_continues_after_a_wide_fit():
    rng = np.random.default_rng(2)
    A, B = rng.normal(size=(6, 10)), rng.normal(size=(60, 10)) * 3.0
    scatter = EmpiricalCovariance().fit(A)
    assert scatter._covariance is None
    assert_same(scatter.partial_fit(B), EmpiricalCovariance().fit(np.vstack([A, B])), 1e-12)


def test_columns_become_variable():
    X = np.random.default_rng(3).normal(size=(30, 3))
    X[:, 2] = 0.1
    scatter = EmpiricalCovariance()
    with pytest.warns(RankDeficientWarning, match="Constant columns: 2"):
        scatter.partial_fit(X)
    with pytest.warns(RankDeficientWarning, match="Constant columns: 2"):
        scatter.partial_fit(X * [2.0, 2.0, 1.0])
    X[:, 2] = 0.2
    scatter.partial_fit(X)
    assert scatter.rank_ == 3
    assert scatter.covariance_[2, 2] == pytest.approx(0.1**2 * 2 / 9)


def test_one_row_at_a_time():
    X = np.random.default_rng(4).normal(size=(20, 2))
    scatter = EmpiricalCovariance().fit(X[:5])
    for row in X[5:]:
        scatter.partial_fit(row[None])
    assert_same(scatter, EmpiricalCovariance().fit(X), 1e-13)
    with pytest.raises(ValueError, match="minimum of 2"):
        EmpiricalCovariance().partial_fit(X[:1])


def test_other_columns_are_refused():
    X = np.random.default_rng(5).normal(size=(20, 3))
    scatter = EmpiricalCovariance().partial_fit(X)
    with pytest.raises(ValueError, match=r"2 features.* 3 features"):
        scatter.partial_fit(X[:, :2])


def test_too_large_is_refused(monkeypatch):
    X = np.random.default_rng(6).normal(size=(5, 100))
    monkeypatch.setattr(_validation, "_memory_limit", lambda: 100 * 100 * 8.0 - 1)
    with pytest.raises(DenseSizeError, match="100 x 100"):
        EmpiricalCovariance().partial_fit(X)
