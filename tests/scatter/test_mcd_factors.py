"""Subset sizes and correction factors of the minimum covariance determinant, against R and against Monte Carlo."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

import fmahal
from fmahal.scatter._mcd_factors import (
    consistency_factor,
    mcd_subset_size,
    nominal_alpha,
    small_sample_factor,
)


@pytest.fixture(scope="module")
def grid(fixtures_dir):
    rows = json.loads((fixtures_dir / "mcd_factors.json").read_text())["factors"]
    assert len(rows) > 200
    return rows


def test_the_numbers_of_r(grid):
    for p, n, alpha, h, consistency, *_, consistency_975 in grid:
        assert fmahal.mcd_subset_size(n, p, alpha) == h
        assert consistency_factor(p, h / n) == pytest.approx(consistency, rel=1e-12)
        assert consistency_factor(p, 0.975) == pytest.approx(consistency_975, rel=1e-12)


@pytest.mark.parametrize(("reweighted", "column"), [(False, 5), (True, 6)])
def test_small_sample_factors_of_r_where_they_make_sense(grid, reweighted, column):
    usable = [row for row in grid if 0 < row[column] <= 10]
    broken = [row for row in grid if not 0 < row[column] <= 10]
    assert len(usable) > 150
    assert broken
    for p, n, alpha, *rest in usable:
        factor = small_sample_factor(n, p, alpha, reweighted=reweighted)
        assert factor == pytest.approx(rest[column - 3], rel=1e-12)
    for p, n, alpha, *_ in broken:  # negative or huge in R
        assert small_sample_factor(n, p, alpha, reweighted=reweighted) == 10.0


def test_negative_factor_of_the_published_program_is_not_followed():
    # p = 7, n = 14, alpha = 0.55: the published regression gives a negative definite covariance, at n = 2p.
    assert 0 < small_sample_factor(14, 7, 0.55, reweighted=True) <= 10


def test_simulated_factors_hold_at_one_half_only():
    assert small_sample_factor(10, 5, 0.5) == 2.229573
    assert small_sample_factor(20, 9, 0.5, reweighted=True) == 1.834863
    assert small_sample_factor(10, 5, 0.5000001) != pytest.approx(2.229573, rel=1e-3)
    assert small_sample_factor(17, 5, 0.5) != small_sample_factor(16, 5, 0.5)  # first row of the regression


@given(
    p=st.integers(1, 80),
    extra=st.integers(1, 3000),
    alpha=st.floats(0.5, 1.0),
    reweighted=st.booleans(),
)
def test_factors_keep_a_covariance_positive(p, extra, alpha, reweighted):
    n = p + extra
    factor = small_sample_factor(n, p, alpha, reweighted=reweighted)
    assert 0.5 < factor <= 10
    assert 1 <= consistency_factor(p, mcd_subset_size(n, p, alpha) / n) < np.inf


@given(p=st.integers(1, 40), extra=st.integers(1, 500), share=st.floats(0, 1))
def test_nominal_share_gives_back_the_subset_size(p, extra, share):
    n = p + extra
    lowest = (n + p + 1) // 2
    h = lowest + round(share * (n - lowest))
    alpha = nominal_alpha(n, p, h)
    assert 0.5 <= alpha <= 1
    assert (
        mcd_subset_size(n, p, min(alpha + 1e-9, 1.0)) == h
    )  # the rounding of 1e-9 rows downwards is not the point


@pytest.mark.parametrize("alpha", [0.5, 0.75, 0.875])
def test_nominal_share_is_the_one_people_name(alpha):
    for n, p in ((50, 3), (101, 4), (400, 20)):
        assert nominal_alpha(n, p, mcd_subset_size(n, p, alpha)) == alpha


def test_ends_of_the_range():
    assert mcd_subset_size(100, 4, 1.0) == 100
    assert nominal_alpha(100, 4, 100) == 1.0
    assert nominal_alpha(100, 4, 10) == 0.5  # fewer rows than the breakdown point allows
    assert consistency_factor(3, 1.0) == 1.0
    assert small_sample_factor(100, 4, 1.0) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(("p", "a"), [(1, 0.5), (2, 0.6), (7, 0.75), (40, 0.9)])
def test_consistency_is_the_variance_of_the_innermost_rows(p, a):
    # E[d2 | d2 <= q] / p is the variance of a coordinate among the innermost share of normal rows.
    law = stats.chi2(p)
    mean, _ = integrate.quad(lambda x: x * law.pdf(x), 0, law.ppf(a))
    assert consistency_factor(p, a) * mean / (a * p) == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize("n", [20, 60])
def test_factors_make_the_raw_scatter_unbiased(n):
    # With one column the best subset is a window of the sorted rows.
    h = mcd_subset_size(n, 1, 0.5)
    rows = np.sort(np.random.default_rng(n).normal(size=(4000, n)), axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(rows, h, axis=1)
    variance = consistency_factor(1, h / n) * windows.var(axis=2, ddof=0).min(axis=1).mean()  # R's divisor, h
    assert variance * small_sample_factor(n, 1, 0.5) == pytest.approx(1.0, abs=0.06)
    assert variance < 0.9  # without the factor it is not


@pytest.mark.parametrize("alpha", [0.4, 1.01, np.nan, "half", True, None])
def test_bad_share(alpha):
    for call in (mcd_subset_size, small_sample_factor):
        with pytest.raises(
            ValueError, match=r"alpha must be a share of rows, a number from 0\.5 and at most 1"
        ):
            call(20, 3, alpha)


@pytest.mark.parametrize("a", [0.0, -0.1, 1.5, np.inf])
def test_bad_innermost_share(a):
    with pytest.raises(ValueError, match="a must be a share of rows, a number above 0"):
        consistency_factor(3, a)


@pytest.mark.parametrize(("n", "p"), [(0, 3), (3.0, 1), ("n", 1), (True, 1)])
def test_bad_counts(n, p):
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        mcd_subset_size(n, p, 0.5)


def test_too_few_rows_name_the_way_out():
    with pytest.raises(ValueError, match=r"n = 3, p = 3.*MRCD"):
        mcd_subset_size(3, 3, 0.5)
