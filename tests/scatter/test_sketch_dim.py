"""Numbers of coordinates for a promised error: the law itself, found without a search over all of them."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.random_projection import johnson_lindenstrauss_min_dim

from fmahal.scatter._sketch_dim import chi_square_interval, johnson_lindenstrauss_dim, two_sided_tail

LARGEST = 16_000


def brute_force(m, eps, delta):
    """The first k after the last one whose tail is too heavy."""
    k = np.arange(1, LARGEST)
    heavy = chi2.cdf(k * (1 - eps), k) + chi2.sf(k * (1 + eps), k) > delta / m
    assert not heavy[-1]
    return 1 + (np.flatnonzero(heavy)[-1] + 1 if heavy.any() else 0)


@pytest.mark.parametrize("eps", [0.1, 0.25, 0.6, 0.95])
def test_brute_force(eps):
    for n in (1, 2, 10_000):
        for delta in (1e-6, 0.01, 0.99):
            assert johnson_lindenstrauss_dim(n, eps, delta) == brute_force(n, eps, delta)
            if n > 1:
                want = brute_force(n * (n - 1) / 2, eps, delta)
                assert johnson_lindenstrauss_dim(n, eps, delta, pairs=True) == want


@pytest.mark.parametrize("eps", [1e-6, 1e-3, 0.05, 0.3, 0.7, 0.95, 0.999, 1 - 1e-9])
def test_both_tails_together_fall_with_k(eps):
    """What the bisection rests on; the upper tail alone rises at first."""
    tail = two_sided_tail(np.arange(1, 3000), eps)
    assert np.all(np.diff(tail[tail > 1e-290]) < 0)
    if eps < 0.1:
        assert chi2.sf(2 * (1 + eps), 2) > chi2.sf(1 + eps, 1)


def test_arrays_broadcast():
    got = johnson_lindenstrauss_dim([[10], [100]], [0.1, 0.2, 0.5], delta=0.05)
    assert got.shape == (2, 3)
    assert got.dtype == np.int64
    for i, n in enumerate((10, 100)):
        for j, eps in enumerate((0.1, 0.2, 0.5)):
            assert got[i, j] == johnson_lindenstrauss_dim(n, eps, 0.05)
    assert type(johnson_lindenstrauss_dim(10, 0.2)) is int
    assert johnson_lindenstrauss_dim([], 0.2).shape == (0,)


def test_never_above_the_bound_that_scikit_learn_uses():
    """Its formula is Chernoff's for all pairs with delta = 1 - 1/n."""
    n = np.unique(np.round(np.geomspace(2, 1e6, 25)).astype(int))
    for eps in (0.02, 0.1, 0.3, 0.6, 0.9, 0.99):
        theirs = johnson_lindenstrauss_min_dim(n, eps=eps)
        ours = [johnson_lindenstrauss_dim(int(m), eps, 1 - 1 / m, pairs=True) for m in n]
        assert np.all(np.array(ours) <= theirs)


@pytest.mark.parametrize("kind", ["rademacher", "sparse", "srht"])
def test_the_bound_is_rounded_up_where_scikit_learn_rounds_down(kind):
    n = np.unique(np.round(np.geomspace(2, 1e6, 12)).astype(int))
    for eps in (0.02, 0.25, 0.9):
        theirs = johnson_lindenstrauss_min_dim(n, eps=eps)
        ours = [johnson_lindenstrauss_dim(int(m), eps, 1 - 1 / m, pairs=True, kind=kind) for m in n]
        np.testing.assert_array_equal(np.array(ours), theirs + 1)


def test_a_tiny_delta_is_no_overflow():
    """Smaller than tails that floating point tells apart: the bound serves, and grows with the number of rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        least = [johnson_lindenstrauss_dim(n, 0.5, delta=5e-324) for n in (1, 1000)]
    want = [np.ceil(2 * (np.log(2 * n) - np.log(5e-324)) / (0.5**2 / 2 - 0.5**3 / 3)) for n in (1, 1000)]
    assert least == want
    assert johnson_lindenstrauss_dim(1, 0.5, delta=1e-280) < least[0]


def test_ends_of_an_interval_by_its_formula():
    k, level, d2 = 3, 0.9, np.array([2.0, 50.0])
    got = chi_square_interval(d2, k, level)
    np.testing.assert_allclose(got[:, 0], k * d2 / chi2.ppf(0.95, k), rtol=1e-12)
    np.testing.assert_allclose(got[:, 1], k * d2 / chi2.ppf(0.05, k), rtol=1e-12)


@pytest.mark.parametrize("kind", ["rademacher", "sparse", "srht"])
def test_other_kinds_by_the_bound(kind):
    for n, eps, delta in ((1, 0.25, 0.01), (1000, 0.1, 0.2), (5, 0.9, 0.5)):
        bound = 2 * np.log(2 * n / delta) / (eps**2 / 2 - eps**3 / 3)
        k = johnson_lindenstrauss_dim(n, eps, delta, kind=kind)
        assert k == np.ceil(bound)
        assert k > johnson_lindenstrauss_dim(n, eps, delta)


@given(
    st.integers(2, 10**9), st.floats(0.01, 0.99), st.floats(1e-9, 0.99), st.booleans(), st.floats(1.0, 3.0)
)
def test_asking_for_more_costs_more(n, eps, delta, pairs, more):
    k = johnson_lindenstrauss_dim(n, eps, delta, pairs)
    assert johnson_lindenstrauss_dim(n, eps / more, delta, pairs) >= k
    assert johnson_lindenstrauss_dim(n, eps, delta / more, pairs) >= k
    assert johnson_lindenstrauss_dim(int(n * more), eps, delta, pairs) >= k
    m = n * (n - 1) / 2 if pairs else n
    assert two_sided_tail(k, eps) <= delta / m
    assert k == 1 or two_sided_tail(k - 1, eps) > delta / m


BAD = {
    "eps 0": ({"eps": 0.0}, "eps must lie strictly between 0 and 1"),
    "eps 1": ({"eps": 1.0}, "eps must lie strictly between 0 and 1"),
    "eps among others": ({"eps": [0.5, -0.1]}, "eps must lie strictly"),
    "eps NaN": ({"eps": np.nan}, "eps must lie strictly"),
    "eps text": ({"eps": "small"}, "eps must be a number"),
    "eps too small": ({"eps": 1e-12}, "larger eps"),
    "delta 0": ({"delta": 0}, "delta must be a number strictly between 0 and 1"),
    "delta 1": ({"delta": 1.0}, "delta must be a number"),
    "delta array": ({"delta": [0.1]}, "delta must be a number"),
    "no points": ({"n_points": 0}, "n_points must be positive whole"),
    "half a point": ({"n_points": 1.5}, "n_points must be positive whole"),
    "endless": ({"n_points": np.inf}, "n_points must be positive whole"),
    "points by name": ({"n_points": "many"}, "n_points must be a number"),
    "truth": ({"n_points": True}, "n_points must be a number"),
    "pairs of one": ({"n_points": 1, "pairs": True}, "two rows"),
    "pairs": ({"pairs": "yes"}, "pairs must be True or False"),
    "kind": ({"kind": "dense"}, "kind must be one of 'gaussian'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    given, match = BAD[name]
    with pytest.raises(ValueError, match=match):
        johnson_lindenstrauss_dim(**({"n_points": 10, "eps": 0.25} | given))
