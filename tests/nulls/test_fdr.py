"""Adjusted p-values: the definition, then what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmahal.nulls.fdr import fdr


def by_definition(p, factor):
    """min over j >= i of n p_(j) / j, times the factor; one entry at a time."""
    order = np.argsort(p)
    n = len(p)
    adjusted = np.empty(n)
    for i in range(n):
        adjusted[order[i]] = min(1.0, *(factor * n * p[order[j]] / (j + 1) for j in range(i, n)))
    return adjusted


@given(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=30))
def test_definition(pvalues):
    p = np.array(pvalues)
    harmonic = np.sum(1 / np.arange(1, p.size + 1))
    np.testing.assert_allclose(fdr(p), by_definition(p, 1.0), rtol=1e-12)
    np.testing.assert_allclose(fdr(p, method="by"), by_definition(p, harmonic), rtol=1e-12)
    assert (fdr(p) >= p * (1 - 1e-12)).all()


@pytest.mark.parametrize("shape", [(), (0,), (12,), (3, 4), (2, 2, 3)])
def test_shape_is_kept_and_all_are_adjusted_together(shape):
    p = np.random.default_rng(0).random(shape)
    assert fdr(p).shape == shape
    np.testing.assert_array_equal(fdr(p).ravel(), fdr(p.ravel()))


def test_false_discovery_rate():
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(400):
        p = rng.random(100)
        p[:20] = rng.random(20) * 1e-3
        found = fdr(p) <= 0.1
        shares.append(found[20:].sum() / max(1, found.sum()))
        assert found[:20].sum() > 10
    mean, error = np.mean(shares), np.std(shares) / 20
    assert abs(mean - 0.1 * 0.8) < 4 * error  # q times the share of true hypotheses


@pytest.mark.parametrize(
    ("pvalues", "message"),
    [
        ([0.1, np.nan], "nan at 1"),
        ([0.1, 0.2, 1.5], "1.5 at 2"),
        ([[0.1, 0.2], [-0.5, 0.2]], r"-0.5 at \(1, 0\)"),
        (np.full(9, 7.0), "and 4 more"),
        (2.0, "2 at"),
    ],
)
def test_bad_pvalues_are_named(pvalues, message):
    with pytest.raises(ValueError, match=message):
        fdr(pvalues)


@pytest.mark.parametrize(
    ("pvalues", "message"),
    [
        (np.ma.array([0.1, 0.2], mask=[False, True]), r"pvalues is a masked array.*pvalues\.compressed"),
        (None, "pvalues must be real numbers, got None"),
        ([0.1, None], "pvalues must be real numbers"),
        ("a", "pvalues must be real numbers, got 'a'"),
        (["0.1", "b"], "pvalues must be real numbers"),
        ([0.1 + 1j], "pvalues must be real numbers"),
    ],
)
def test_what_is_no_number_is_refused_by_name(pvalues, message):
    with pytest.raises(ValueError, match=message):
        fdr(pvalues)


def test_pvalues_are_not_changed():
    p = np.array([0.5, 0.01, 0.3])
    before = p.copy()
    fdr(p)
    np.testing.assert_array_equal(p, before)
    empty = np.empty(0)
    assert fdr(empty) is not empty


def test_unknown_method():
    with pytest.raises(ValueError, match="'bh' or 'by'"):
        fdr([0.1], method="holm")
