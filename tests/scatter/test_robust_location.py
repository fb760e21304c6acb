"""Robust locations: optimality, twins, breakdown, and what they are equivariant to."""

import numpy as np
import pandas as pd
import pytest
import reference_scales as twin
from hypothesis import given
from hypothesis import strategies as st
from strategies import LAYOUTS, generators, lay_out

from fmahal import robust_location
from fmahal.scatter import spatial_median

KINDS = ("spatial-median", "median", "hodges-lehmann")


def residual(X, y):
    gap = X - y
    distance = np.linalg.norm(gap, axis=1)
    at = distance <= 1e-12 * np.median(distance)
    pull = np.linalg.norm((gap[~at] / distance[~at, None]).sum(axis=0))
    return max(pull - at.sum(), 0.0) / len(X)


@given(generators(), st.integers(3, 60), st.integers(2, 12), st.sampled_from([1e-8, 1.0, 1e8]), st.booleans())
def test_spatial_median_is_optimal(rng, n, p, scale, heavy):
    X = scale * (rng.standard_t(1.5, size=(n, p)) if heavy else rng.normal(size=(n, p)))
    assert residual(X, robust_location(X)) < 1e-10
    np.testing.assert_allclose(robust_location(X), spatial_median(X), rtol=1e-6, atol=1e-7 * scale)


@given(generators(), st.integers(1, 60), st.sampled_from(["normal", "integers", "far"]))
def test_columns(rng, n, shape):
    X = rng.normal(size=(n, 3))
    if shape == "integers":
        X = rng.integers(0, 4, size=(n, 3)).astype(float)
    elif shape == "far":
        X[: n // 5] *= 1e12
    np.testing.assert_array_equal(robust_location(X, "median"), np.median(X, axis=0))
    expected = [twin.hodges_lehmann(x) for x in X.T]
    np.testing.assert_allclose(robust_location(X, "hodges-lehmann"), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n", [300, 301, 302, 303])
def test_hodges_lehmann_beyond_the_pool(n):
    rng = np.random.default_rng(n)
    X = np.column_stack(
        [rng.normal(size=n), rng.exponential(size=n), rng.integers(0, 9, n), 1.5 ** np.arange(n)]
    )
    expected = [twin.hodges_lehmann(x) for x in X.T]
    np.testing.assert_allclose(robust_location(X, "hodges-lehmann"), expected, rtol=1e-13)


def test_pairs_of_a_value_with_itself_count():
    assert (
        robust_location([[0.0], [1.0], [5.0]], "hodges-lehmann")[0] == 1.75
    )  # 0 .5 1 | 2.5 3 5; without: 2.5
    assert robust_location([[1.0], [4.0]], "hodges-lehmann")[0] == 2.5
    assert robust_location([[7.0]], "hodges-lehmann")[0] == 7.0


@pytest.mark.parametrize("kind", KINDS)
def test_equivariant(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    before = robust_location(X, kind)
    np.testing.assert_allclose(robust_location(1e8 * X - 5.0, kind), 1e8 * before - 5.0, rtol=1e-7)
    np.testing.assert_allclose(robust_location(-X, kind), -before, rtol=1e-9)
    units = np.array([1.0, 1e-3, 1e3])
    same_in_other_units = np.allclose(robust_location(X * units, kind) / units, before, rtol=1e-6)
    Q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotates = np.allclose(robust_location(X @ Q, kind), before @ Q, rtol=1e-6)
    assert (same_in_other_units, rotates) == ((False, True) if kind == "spatial-median" else (True, False))


@pytest.mark.parametrize(
    ("kind", "share"), [("spatial-median", 0.45), ("median", 0.45), ("hodges-lehmann", 0.25)]
)
def test_breakdown(kind, share):
    X = np.random.default_rng(1).normal(size=(100, 3))
    X[: int(100 * share)] = 1e12
    assert np.abs(robust_location(X, kind)).max() < 5.0
    np.testing.assert_array_equal(robust_location(np.full((6, 3), 0.3), kind), np.full(3, 0.3))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_layouts_and_types(kind, layout):
    X = np.round(np.random.default_rng(0).normal(size=(30, 3)) * 50)
    laid = lay_out(X, layout)
    before = robust_location(X, kind)
    np.testing.assert_array_equal(robust_location(laid, kind), before)
    np.testing.assert_array_equal(robust_location(laid.astype(np.float32), kind), before)
    np.testing.assert_array_equal(laid, X)
    assert before.dtype == np.float64


def test_bad_input():
    frame = pd.DataFrame({"height": [1.0, 2.0, np.nan], "age": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="rows 2 and columns height"):
        robust_location(frame)
    with pytest.raises(ValueError, match="kind must be one of 'spatial-median', 'median', 'hodges-lehmann'"):
        robust_location([[1.0]], "mean")
    with pytest.raises(ValueError, match="robust_location takes an"):
        robust_location([1.0])
