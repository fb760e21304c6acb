"""The envelope of uniform order statistics covers as often as it says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from fmahal.plotting._bands import ranks_to_draw, uniform_envelope


def inside(n, confidence, kind, replicates=2000, seed=1):
    ranks, lower, upper = uniform_envelope(n, confidence, kind)
    sample = np.sort(np.random.default_rng(seed).random((replicates, n)), axis=1)[:, ranks - 1]
    return (sample >= lower) & (sample <= upper)


@pytest.mark.parametrize("n", [1, 5, 60, 1000])
def test_simultaneous_coverage(n):
    hits = int(inside(n, 0.9, "simultaneous").all(axis=1).sum())
    # Both the band and this check rest on 2000 replicates: twice the binomial variance.
    sd = np.sqrt(2 * 2000 * 0.9 * 0.1)
    assert abs(hits - 1800) < 4 * sd


@pytest.mark.parametrize("n", [1, 60])
def test_pointwise_coverage_at_every_rank(n):
    hits = inside(n, 0.9, "pointwise").sum(axis=0)
    low, high = stats.binom(2000, 0.9).interval(1 - 1e-5)
    assert np.all((hits >= low) & (hits <= high))


def test_pointwise_is_the_beta_interval():
    ranks, lower, upper = uniform_envelope(10, 0.95, "pointwise")
    assert_allclose(stats.beta.cdf(lower, ranks, 11 - ranks), 0.025, rtol=1e-9)
    assert_allclose(stats.beta.sf(upper, ranks, 11 - ranks), 0.025, rtol=1e-9)


def test_the_band_of_a_sample_size_is_always_the_same():
    from fmahal.plotting import _bands

    first = uniform_envelope(50, 0.95, "simultaneous")
    _bands._local_level.cache_clear()
    second = uniform_envelope(50, 0.95, "simultaneous")
    for one, other in zip(first, second):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("n", [1, 300, 301, 5000, 10**6])
def test_ranks_hold_both_ends_and_stay_few(n):
    ranks = ranks_to_draw(n)
    assert ranks[0] == 1
    assert ranks[-1] == n
    assert len(ranks) <= 500
    assert np.all(np.diff(ranks) > 0)
    assert np.array_equal(n + 1 - ranks[::-1], ranks)
