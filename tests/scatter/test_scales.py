"""Robust scales: R's numbers, slow twins, ties, breakdown, equivariance."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference_scales as twin
from hypothesis import given
from hypothesis import strategies as st
from strategies import LAYOUTS, generators, lay_out

from fmahal import robust_scale
from fmahal._kernels import scales, selection
from fmahal._validation import readonly

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "scales_golden.json").read_text())
KINDS = ("qn", "sn", "tau", "mad")
TWINS = {"qn": twin.qn, "sn": twin.sn, "tau": lambda x: twin.tau(x)[1], "mad": twin.mad}
SHAPES = ("normal", "rounded", "cauchy", "far", "three values", "skew")


def draw(rng, n, shape):
    x = rng.normal(size=n)
    if shape == "rounded":
        return np.round(2.0 * x)
    if shape == "cauchy":
        return rng.standard_cauchy(n)
    if shape == "far":
        return np.where(rng.random(n) < 0.4, 1e12 + x, x)
    if shape == "three values":
        return rng.integers(0, 3, n).astype(float)
    return np.exp(5.0 * x) if shape == "skew" else x


@pytest.mark.parametrize("name", [name for name in GOLDEN if "scales" in GOLDEN[name]])
def test_golden(name):
    X = np.array(GOLDEN[name]["x"], dtype=float)
    X = X[:, None] if X.ndim == 1 else X
    expected = {key: np.atleast_1d(value) for key, value in GOLDEN[name]["scales"].items()}
    tau = np.reshape(expected["tau2"], (2, -1))
    np.testing.assert_allclose(robust_scale(X, "mad"), expected["mad"], rtol=1e-13)
    np.testing.assert_allclose(robust_scale(X, "qn"), expected["Qn"], rtol=5e-8)  # R rounds them to float32
    np.testing.assert_allclose(robust_scale(X, "sn"), expected["Sn"], rtol=1e-13)
    np.testing.assert_allclose(robust_scale(X, "tau"), tau[1], rtol=1e-12)
    columns, location = readonly(np.ascontiguousarray(X.T)), np.empty(X.shape[1])
    scales.tau_rows(columns, location, np.empty(X.shape[1]))
    np.testing.assert_allclose(location, tau[0], rtol=1e-11, atol=1e-13 * np.abs(X).max())
    scales.median_rows(columns, location)
    np.testing.assert_allclose(location, expected["median"], rtol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@given(generators(), st.integers(1, 90), st.sampled_from(SHAPES))
def test_twins(kind, rng, n, shape):
    X = np.column_stack([draw(rng, n, shape), rng.normal(size=n)])
    # Weighted sums over rows 1e12 spreads apart cancel: the order of summation shows.
    rtol = 1e-6 if (kind, shape) == ("tau", "far") else 1e-12
    np.testing.assert_allclose(robust_scale(X, kind), [TWINS[kind](x) for x in X.T], rtol=rtol)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [257, 400])
def test_qn_beyond_the_pool(n, shape):
    x = draw(np.random.default_rng(n), n, shape)
    assert robust_scale(x[:, None])[0] == pytest.approx(twin.qn(x), rel=1e-13)


def test_weighted_medians_finish_what_interpolation_does_not():
    """Gaps that double: the rank is as far from linear in the difference as can be."""
    x = 2.0 ** np.arange(-200.0, 200.0)
    assert robust_scale(x[:, None])[0] == pytest.approx(twin.qn(x), rel=1e-13)
    y = np.concatenate([x, np.zeros(150), -x])
    assert robust_scale(y[:, None])[0] == pytest.approx(twin.qn(y), rel=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@given(generators(), st.integers(2, 60), st.sampled_from(SHAPES[:3]))
def test_equivariant(kind, rng, n, shape):
    x = draw(rng, n, shape)
    before = robust_scale(x[:, None], kind)
    for unit in (1e-8, -1.0, 1e8):
        np.testing.assert_allclose(robust_scale(unit * x[:, None], kind), abs(unit) * before, rtol=1e-13)
    np.testing.assert_array_equal(robust_scale(2.0**-20 * x[:, None], kind), 2.0**-20 * before)
    shuffled = robust_scale(rng.permutation(x)[:, None], kind)
    np.testing.assert_allclose(shuffled, before, rtol=1e-13 if kind == "tau" else 0)  # tau sums
    atol = 1e-12 * np.abs(x).max()
    np.testing.assert_allclose(robust_scale(x[:, None] + 3.0, kind), before, rtol=1e-10, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_breakdown(kind):
    x = np.random.default_rng(3).normal(size=101)
    clean = robust_scale(x[:, None], kind)[0]
    for far in (1e3, 1e12):
        y = x.copy()
        y[:45] = far * (1.0 + np.arange(45))
        assert clean < robust_scale(y[:, None], kind)[0] < 12.0 * clean
        y[:45] = far  # the ties pull Qn down
        assert 0.5 * clean < robust_scale(y[:, None], kind)[0] < 12.0 * clean


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_ties_and_few_values(kind, unit):
    assert robust_scale([[0.1 * unit]], kind)[0] == 0.0
    for n in (2, 3, 10, 57, 700):
        assert robust_scale(np.full((n, 1), 0.1 * unit), kind)[0] == 0.0
        x = np.full(n, 0.3) * unit
        x[: (n - 1) // 2] = unit * np.arange((n - 1) // 2)
        assert robust_scale(x[:, None], kind)[0] == 0.0
    pair = robust_scale(np.array([[1.0], [4.0]]) * unit, kind)[0]
    assert pair == pytest.approx(TWINS[kind](np.array([1.0, 4.0])) * unit, rel=1e-14)
    assert pair > 0


@pytest.mark.parametrize("kind", KINDS)
def test_consistent_at_the_normal(kind):
    x = np.random.default_rng(0).normal(size=(4000, 10)) * 3.0
    assert robust_scale(x, kind).mean() == pytest.approx(3.0, rel=0.01)
    small = np.random.default_rng(0).normal(size=(15, 4000))
    if kind in ("qn", "sn"):  # those with a small-sample factor
        assert robust_scale(small, kind).mean() == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_types(layout):
    X = np.round(np.random.default_rng(0).normal(size=(40, 3)) * 50)
    laid = lay_out(X, layout)
    for kind in KINDS:
        before = robust_scale(X, kind)
        np.testing.assert_array_equal(robust_scale(laid, kind), before)
        np.testing.assert_array_equal(robust_scale(laid.astype(int), kind), before)
        narrow = robust_scale(laid.astype(np.float32), kind)
        assert narrow.dtype == np.float64
        np.testing.assert_array_equal(narrow, before)
    np.testing.assert_array_equal(laid, X)


@pytest.mark.parametrize("p", [1, 2, 3, 6, 7])
def test_pairs(p):
    Z = np.random.default_rng(p).normal(size=(p, 41))
    for kernel, s in (
        (scales.qn_pairs, twin.qn),
        (scales.mad_pairs, twin.mad),
        (scales.tau_pairs, lambda z: twin.tau(z)[1]),
    ):
        out = np.full((p, p), np.nan)
        kernel(readonly(Z), out)
        np.testing.assert_allclose(out, twin.pairwise(s, Z), rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(out, out.T)


@given(generators(), st.integers(1, 300), st.integers(1, 300))
def test_selection(rng, n, values):
    x = rng.integers(0, values, size=n).astype(float)
    k = int(rng.integers(n))
    a = x.copy()
    found = selection.select(a, n, k)
    assert found == np.sort(x)[k]
    assert np.all(a[:k] <= found)
    assert np.all(a[k:] >= found)
    np.testing.assert_array_equal(selection.sorted_copy(a), np.sort(x))
    assert selection.median_inplace(x.copy(), n) == np.median(x)
    weights = rng.integers(1, 9, size=n)
    expected = np.sort(np.repeat(x, weights))[int(weights.sum()) // 2]
    assert selection.weighted_high_median(x.copy(), weights.copy(), n, np.empty(n)) == expected


@pytest.mark.parametrize("order", ["ascending", "descending", "organ pipe", "blocks"])
def test_no_natural_order_is_slow(order):
    """A quadratic selection would take minutes."""
    n = 300_000
    x = np.arange(n, dtype=float)
    if order == "descending":
        x = x[::-1].copy()
    elif order == "organ pipe":
        x = np.minimum(x, n - x)
    elif order == "blocks":
        x = np.floor(x / 1000) % 7
    assert selection.median_inplace(x.copy(), n) == np.median(x)
    np.testing.assert_array_equal(selection.sorted_copy(x), np.sort(x))


@given(generators(), st.integers(0, 3000))
def test_sort(rng, n):
    x = rng.normal(size=n)
    np.testing.assert_array_equal(selection.sorted_copy(x), np.sort(x))


def test_bad_input():
    frame = pd.DataFrame({"height": [1.0, 2.0, np.nan], "age": [1.0, np.inf, 3.0]})
    with pytest.raises(ValueError, match="rows 1, 2 and columns height, age"):
        robust_scale(frame)
    with pytest.raises(ValueError, match=r"got shape \(3,\). A single variable is one column"):
        robust_scale([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"got shape \(0, 2\)"):
        robust_scale(np.empty((0, 2)))
    with pytest.raises(ValueError, match="kind must be one of 'qn', 'sn', 'tau', 'mad', got 'iqr'"):
        robust_scale([[1.0]], "iqr")
    with pytest.raises(ValueError, match="not numbers"):
        robust_scale([["a"], ["b"]])
