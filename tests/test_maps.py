"""Random maps: kernels against explicit matrices, exact moments, and what holds whatever is drawn."""

import os
import pickle

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_maps import next_power_of_two, sparse_matrix, sparse_norms, srht_matrix, srht_norms

from fmahal._kernels._jit import thread_limit
from fmahal._kernels.sketching import LOCAL, PANEL, ROWS, TAIL
from fmahal._maps import MAP_KINDS, NONZEROS, padded_length, random_map

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
DRAWN_BY_COLUMN = ("gaussian", "rademacher", "sparse")
X_UNEVEN = np.array([3.0, -1.0, 1.0, 0.5, -0.2])


def rows_of(n, m, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m)).astype(dtype)


def assert_images(Z, X, S, units):
    """Entries of Z agree with X S', to `units` of rounding of their dtype relative to |x|."""
    want = X.astype(float) @ S.T
    size = np.linalg.norm(X.astype(float), axis=1, keepdims=True)
    assert Z.dtype == X.dtype
    assert Z.shape == want.shape
    assert np.all(np.abs(Z - want) <= units * np.finfo(X.dtype).eps * size)


# ---------------------------------------------------------------- kernels and their twins


@pytest.mark.parametrize("m", [1, 2, 3, 5, 8, 16, 17, 32, 33, 100, 128, 300])
def test_transform_is_the_explicit_hadamard_matrix(m):
    order = next_power_of_two(m)
    X = rows_of(3, m)
    for k in sorted({1, min(5, order), max(order // 8, 1), order}):
        S = random_map("srht", k, m, seed=m + k)
        want = srht_matrix(S._signs, S._sample)
        np.testing.assert_allclose(S.matrix(), want, rtol=1e-14)
        assert_images(S.apply(X), X, want, units=order.bit_length() + 2)
        assert_images(S.apply(X.astype(np.float32)), X.astype(np.float32), want, units=order.bit_length() + 2)
        assert len(np.unique(S._sample)) == k
        assert np.all(np.diff(S._sample) > 0)


@pytest.mark.parametrize("k", [2, 1000])
def test_long_rows_are_transformed_in_pieces(k):
    m = LOCAL + 700
    S = random_map("srht", k, m, seed=1)
    X = rows_of(1, m, np.float32)
    assert_images(S.apply(X), X, S.matrix(), units=15)


@pytest.mark.parametrize(("k", "m"), [(1, 1), (1, 4), (7, 3), (8, 5), (13, 40), (24, PANEL + 44)])
def test_sparse_sums_are_the_explicit_matrix(k, m):
    S = random_map("sparse", k, m, seed=k)
    want = sparse_matrix(S._codes, k, min(k, NONZEROS))
    np.testing.assert_allclose(S.matrix(), want, rtol=1e-14)
    for n in (0, 1, ROWS + 1):
        X = rows_of(n, m)
        assert_images(S.apply(X), X, want, units=m)
        assert_images(S.apply(X.astype(np.float32)), X.astype(np.float32), want, units=2)


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
@pytest.mark.parametrize("m", [1, 5, 256, 257, 1025])
def test_slabs_are_one_product(kind, m):
    S = random_map(kind, 3, m, seed=2)
    X = rows_of(2, m)
    assert_images(S.apply(X), X, S.matrix(), units=m)
    assert_images(S.apply(X.astype(np.float32)), X.astype(np.float32), S.matrix(), units=8 + np.sqrt(m))
    if kind == "rademacher":
        np.testing.assert_array_equal(np.abs(S.matrix()), np.full((3, m), 1 / np.sqrt(3)))


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_columns_and_dtypes_agree_with_the_matrix(kind):
    S = random_map(kind, 9, 600, seed=3)
    J = np.array([599, 0, 256, 255, 0])
    np.testing.assert_array_equal(S.columns(J), S.matrix()[:, J])
    assert S.matrix(np.float32).dtype == S.columns(J, np.float32).dtype == np.float32
    np.testing.assert_array_equal(S.matrix(np.float32), S.matrix().astype(np.float32))
    assert S.matrix().flags.c_contiguous
    assert S.columns([]).shape == (9, 0)


# ---------------------------------------------------------------- the law


def test_moments_of_transforms_by_enumeration():
    for k in (1, 3, 8):
        norms = srht_norms(X_UNEVEN, k)
        square = np.sum(X_UNEVEN**2)
        assert norms.mean() == pytest.approx(square, rel=1e-12)
        predicted = random_map("srht", k, 5, 0).norm_variance(X_UNEVEN)[0]
        assert norms.var() == pytest.approx(predicted, rel=1e-10, abs=1e-12 * square**2)


@pytest.mark.parametrize(("k", "s"), [(3, 2), (4, 2), (3, 1), (3, 3)])
def test_sparse_variance_holds_for_blocks_of_unequal_size(k, s):
    x = np.array([2.0, -1.0, 0.5][: 3 if s < 3 else 2])
    norms = sparse_norms(x, k, s)
    square, fourth = np.sum(x**2), np.sum(x**4)
    assert norms.mean() == pytest.approx(square, rel=1e-12)
    assert norms.var() == pytest.approx(2 / k * (square**2 - fourth), rel=1e-10)


def drawn_norms(kind, k, x, count):
    """|S x|^2 of independent maps: groups of columns of one wide map, or maps of as many seeds."""
    m = len(x)
    if kind == "srht":
        return np.array([np.sum(random_map(kind, k, m, s).apply(x) ** 2) for s in range(count // 16)])
    wide = random_map(kind, k, m * count, seed=4).matrix().reshape(k, count, m)
    return np.sum((wide @ x) ** 2, axis=0)


@pytest.mark.parametrize("k", [5, 13])
@pytest.mark.parametrize("kind", MAP_KINDS)
def test_drawn_maps_have_these_moments(kind, k):
    x = np.append(X_UNEVEN, [0.7, -0.7, 0.3, 1.0])
    norms = drawn_norms(kind, k, x, 20_000 if JIT else 2000)
    variance = random_map(kind, k, len(x), 0).norm_variance(x)[0]
    deviations = (norms - np.sum(x**2)) ** 2
    assert abs(norms.mean() - np.sum(x**2)) < 4.5 * np.sqrt(variance / norms.size)
    assert abs(deviations.mean() - variance) < 4.5 * deviations.std() / np.sqrt(norms.size)
    if JIT and kind != "gaussian":  # the band is narrow enough to tell the laws apart
        other = random_map("gaussian", k, len(x), 0).norm_variance(x)[0]
        assert abs(deviations.mean() - other) > 4.5 * deviations.std() / np.sqrt(norms.size)


def test_variance_of_no_kind_exceeds_the_gaussian_one():
    X = rows_of(6, 20) ** 3
    bound = random_map("gaussian", 7, 20, 0).norm_variance(X)
    np.testing.assert_allclose(bound, 2 / 7 * np.sum(X**2, axis=1) ** 2, rtol=1e-12)
    for kind in ("rademacher", "sparse", "srht"):
        variance = random_map(kind, 7, 20, 0).norm_variance(X)
        assert np.all(variance < bound)
        np.testing.assert_array_equal(variance, random_map(kind, 7, 20, 9).norm_variance(X))
    small = random_map("sparse", 7, 20, 0).norm_variance(1e-8 * X)
    np.testing.assert_allclose(small, 1e-32 * random_map("sparse", 7, 20, 0).norm_variance(X), rtol=1e-7)


# ---------------------------------------------------------------- what holds for every draw


@given(k=st.integers(1, 40), m=st.integers(1, 30), seed=st.integers(0, 2**64))
def test_sparse_maps_keep_coordinate_vectors(k, m, seed):
    S = random_map("sparse", k, m, seed)
    matrix = S.matrix()
    assert np.all(np.count_nonzero(matrix, axis=0) == min(k, NONZEROS))
    np.testing.assert_allclose(np.sum(matrix**2, axis=0), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(S.norm_variance(np.eye(m)), np.zeros(m))
    if k % NONZEROS == 0:
        np.testing.assert_allclose(np.abs(matrix[matrix != 0]), 1 / np.sqrt(NONZEROS), rtol=1e-14)


@given(m=st.integers(1, 70), seed=st.integers(0, 2**64))
def test_a_transform_of_full_length_is_an_isometry(m, seed):
    S = random_map("srht", padded_length(m), m, seed)
    X = rows_of(2, m)
    np.testing.assert_allclose(np.sum(S.apply(X) ** 2, axis=1), np.sum(X**2, axis=1), rtol=1e-13)
    np.testing.assert_array_equal(S.norm_variance(X), np.zeros(2))


@pytest.mark.parametrize("kind", DRAWN_BY_COLUMN)
@given(k=st.integers(1, 20), m=st.integers(1, 300), more=st.integers(1, 300), seed=st.integers(0, 99))
def test_more_columns_leave_the_first_ones_as_they_are(kind, k, m, more, seed):
    wide = random_map(kind, k, m + more, seed).matrix()
    np.testing.assert_array_equal(random_map(kind, k, m, seed).matrix(), wide[:, :m])


def test_more_columns_of_a_transform_of_the_same_order():
    wide = random_map("srht", 6, 64, 1).matrix()
    np.testing.assert_array_equal(random_map("srht", 6, 40, 1).matrix(), wide[:, :40])


@pytest.mark.parametrize("kind", MAP_KINDS)
@given(
    a=st.floats(-4, 4, allow_subnormal=False),
    power=st.integers(-30, 30),
    k=st.integers(1, 4),
    m=st.integers(4, 40),
)
def test_maps_are_linear(kind, a, power, k, m):
    S = random_map(kind, k, m, 5)
    X, Y = rows_of(2, m), rows_of(2, m, seed=1)
    size = np.linalg.norm(X, axis=1, keepdims=True) * abs(a) + np.linalg.norm(Y, axis=1, keepdims=True)
    gap = S.apply(a * X + Y) - (a * S.apply(X) + S.apply(Y))
    assert np.all(np.abs(gap) <= 8 * m * np.finfo(float).eps * size)
    np.testing.assert_array_equal(S.apply(2.0**power * X), 2.0**power * S.apply(X))


@pytest.mark.skipif(not JIT or numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize("kind", ["sparse", "srht"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_matter(kind, dtype):
    S = random_map(kind, 20, 500, 6)
    X = rows_of(90, 500, dtype)
    with thread_limit(1):
        alone = S.apply(X)
    np.testing.assert_array_equal(S.apply(X), alone)


@pytest.mark.parametrize("kind", ["sparse", "srht"])
def test_rows_do_not_depend_on_their_neighbours(kind):
    S = random_map(kind, 4, 4 * TAIL + 3, 7)
    X = rows_of(2 * ROWS + 3, S.shape[1])
    together = S.apply(X)
    np.testing.assert_array_equal(S.apply(X[ROWS + 1 :]), together[ROWS + 1 :])
    np.testing.assert_array_equal(S.apply(X[5]), together[5:6])
    np.testing.assert_array_equal(S.apply(np.asfortranarray(X)), together)
    np.testing.assert_array_equal(S.apply(np.repeat(X, 2, axis=1)[:, ::2]), together)


def test_maps_differ_by_seed_kind_and_dimension():
    drawn = [
        random_map(kind, k, 64, seed).matrix()[0] for kind in MAP_KINDS for k in (16, 32) for seed in (0, 1)
    ]
    signs = np.sign(np.array(drawn))
    assert len({row.tobytes() for row in signs}) == len(drawn)


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_pickles_hold_the_recipe_alone(kind):
    S = random_map(kind, 5, 700, seed=2**100 + 1)
    X = rows_of(2, 700)
    image = S.apply(X)
    pickled = pickle.dumps(S)
    assert len(pickled) < 200  # the draws are made again
    again = pickle.loads(pickled)
    assert again == S
    assert hash(again) == hash(S)
    np.testing.assert_array_equal(again.apply(X), image)
    with pytest.raises(AttributeError):
        S.seed = 1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("fourier", 2, 3, 0), ValueError, "'gaussian', 'rademacher', 'sparse', 'srht', got 'fourier'"),
        (("gaussian", 0, 3, 0), ValueError, "k, the dimension of the image, must be at least 1, got 0"),
        (("sparse", 2, 0, 0), ValueError, "m, the length of a row, must be at least 1, got 0"),
        (("srht", 5, 3, 0), ValueError, "order 4 .* take k <= 4"),
        (("srht", 2, 3, -1), ValueError, "seed, the entropy of a SeedSequence, must be at least 0"),
        (("srht", 2.0, 3, 0), TypeError, "k, .* must be an integer, got 2.0"),
        (("srht", True, 3, 0), TypeError, "must be an integer, got True"),
        (("srht", 2, 3, None), TypeError, "seed, .* must be an integer, got None"),
    ],
)
def test_bad_maps_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        random_map(*arguments)


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_bad_rows_and_columns_are_refused(kind):
    S = random_map(kind, 2, 3, 0)
    with pytest.raises(ValueError, match="X has 4 columns, expected 3"):
        S.apply(np.ones((2, 4)))
    with pytest.raises(ValueError, match="X has 2 columns, expected 3"):
        S.norm_variance(np.ones(2))
    with pytest.raises(IndexError, match="Column 3 does not exist: the map has columns 0 "):
        S.columns([0, 3])
    with pytest.raises(IndexError, match="Column -1 does not exist"):
        S.columns([-1])
    with pytest.raises(IndexError, match="must be integers in one dimension, got float64"):
        S.columns([0.0])
    assert S.apply([[1, 2, 3]]).dtype == np.float64


@pytest.mark.parametrize("kind", MAP_KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows(kind, value):
    X = rows_of(3, 70)
    X[1, 3] = value
    S = random_map(kind, 4, 70, 0)
    with np.errstate(invalid="ignore"):
        Z = S.apply(X)
    assert not np.isfinite(np.sum(Z[1] ** 2))
    assert np.isfinite(Z[[0, 2]]).all()
