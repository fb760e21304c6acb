"""The counter-based generator, and refits from weights against refits of explicit copies."""

import warnings

import numpy as np
import pytest
import reference_resampling as ref
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import covariance as sk

import fmahal
from fmahal._kernels import counter
from fmahal._kernels import resampling as kernel
from fmahal._kernels._jit import thread_limit
from fmahal._validation import readonly
from fmahal.exceptions import RankDeficientError
from fmahal.nulls._draws import Draws, generator_key, held_out, resample_counts
from fmahal.nulls._moment_bootstrap import fast_moments, moment_draws
from fmahal.nulls._moment_sums import packed_columns, row_tiles

SEED = np.random.SeedSequence(5)
KEY = generator_key(SEED)
OURS = [
    fmahal.EmpiricalCovariance,
    fmahal.LedoitWolf,
    fmahal.OAS,
    fmahal.QIS,
    fmahal.ShrunkCovariance,
]
THEIRS = [sk.EmpiricalCovariance, sk.LedoitWolf, sk.OAS, sk.ShrunkCovariance]


def named(estimator):
    return f"{type(estimator).__module__.split('.')[0]}-{estimator}".replace("Covariance", "")


def sample(n, p, seed=0):
    rng = np.random.default_rng([seed, n, p])
    return rng.standard_t(5, (n, p)) @ rng.standard_normal((p, p)) + rng.standard_normal(p)


def fitted(estimator, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X)


def draw(estimator, X, n_resamples=8, n_held=4, max_bytes=10**8, kept=False):
    options = {
        "n_resamples": n_resamples,
        "seed": SEED,
        "n_held": n_held,
        "max_bytes": max_bytes,
        "kept": kept,
    }
    blocks = list(moment_draws(fitted(estimator, X), X, **options))
    train = np.concatenate([block.train for block in blocks])
    new = np.concatenate([block.new for block in blocks])
    return Draws(train, new, sum(block.redrawn for block in blocks))


# ---------------------------------------------------------------- the generator


@pytest.mark.parametrize(
    ("counter_words", "key", "want"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_answers(counter_words, key, want):
    words = [np.uint64(word) for word in counter_words + key]
    assert [int(word) for word in counter.philox(*words)] == want
    assert ref.philox(counter_words, key) == want


@pytest.mark.parametrize("n", [1, 2, 37, 1500])
def test_resamples_are_those_of_the_twin(n):
    ids, attempts = [0, 3, 2**31 + 5], [0, 2, 1]
    counts, held = resample_counts(KEY, ids, attempts, n), held_out(KEY, ids, attempts, n, (n + 1) // 2)
    for b, (replicate, attempt) in enumerate(zip(ids, attempts, strict=True)):
        assert np.repeat(np.arange(n), counts[b]).tolist() == ref.resample_rows(KEY, replicate, attempt, n)
        assert held[b].tolist() == ref.held_rows(KEY, replicate, attempt, n, (n + 1) // 2)
    np.testing.assert_array_equal(resample_counts(KEY, ids, attempts, n, np.float64), counts)


def test_words_that_would_favour_a_value_are_drawn_again():
    bound = 3 * 2**30  # a quarter of all words are refused
    refused = [k for k in range(200) if ref.word(KEY, 1, 0, 2, k) * bound % 2**32 < 2**32 % bound]
    assert 30 <= len(refused) <= 70
    words, out = np.empty((4, counter.TILE), np.uint64), np.empty(200, np.int64)
    counter.fill_below(KEY, 1, 0, 2, bound, words, out)
    assert out.tolist() == [ref.below(KEY, 1, 0, 2, k, bound) for k in range(200)]
    assert out[7] == counter.below(KEY, 1, 0, 2, 7, bound)


def test_numbers_depend_on_key_replicate_and_attempt_alone():
    whole = resample_counts(KEY, np.arange(300), 0, 20)
    np.testing.assert_array_equal(resample_counts(KEY, np.arange(200, 230), 0, 20), whole[200:230])
    with thread_limit(1):
        np.testing.assert_array_equal(resample_counts(KEY, np.arange(300), 0, 20), whole)
    assert (resample_counts(KEY, np.arange(300), 1, 20) != whole).any(axis=1).all()
    other = generator_key(np.random.SeedSequence(6))
    assert (resample_counts(other, np.arange(300), 0, 20) != whole).any(axis=1).all()


def test_counts_and_left_out_rows_are_uniform():
    n, b = 20, 5000
    counts = resample_counts(KEY, np.arange(b), 0, n)
    assert (counts.sum(axis=1) == n).all()
    assert stats.chisquare(counts.sum(axis=0)).pvalue > 1e-4
    pairs = np.zeros((n, n))
    held = held_out(KEY, np.arange(b), 0, n, 3)
    for first, second, third in held:
        pairs[first, second] += 1
        assert len({first, second, third}) == 3
    assert stats.chisquare(pairs[~np.eye(n, dtype=bool)]).pvalue > 1e-4
    assert stats.chisquare(np.bincount(held[:, 2], minlength=n)).pvalue > 1e-4
    uniform = [counter.unit(KEY, 0, 0, counter.FREE, k) for k in range(5000)]
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4


# ---------------------------------------------------------------- weights against copies


@pytest.mark.parametrize("assume_centered", [False, True])
@pytest.mark.parametrize(("n_held", "kept"), [(5, False), (5, True), (0, False)])
@pytest.mark.parametrize("kind", OURS + THEIRS)
def test_weights_give_what_copies_give(kind, n_held, kept, assume_centered):
    X = sample(45, 6)
    estimator = kind(assume_centered=assume_centered)
    assert fast_moments(estimator)
    got = draw(estimator, X, n_held=n_held, kept=kept)
    train, new, redrawn = ref.refits(estimator, X, KEY, 8, n_held, needs_rank=False, kept=kept)
    assert got.train.shape == (8, 40 if kept else 45)
    np.testing.assert_allclose(got.train, train, rtol=1e-10)
    np.testing.assert_allclose(got.new, new, rtol=1e-10)
    assert got.redrawn == redrawn == 0


@pytest.mark.parametrize(
    "estimator",
    [
        fmahal.OAS(formula="paper"),
        fmahal.ShrunkCovariance(ridge=0.3),
        fmahal.ShrunkCovariance(ridge=0.0),
        fmahal.ShrunkCovariance(shrinkage=0.0),
        fmahal.ShrunkCovariance(shrinkage=1.0),
        sk.ShrunkCovariance(shrinkage=0.0),
        sk.ShrunkCovariance(shrinkage=0.7),
    ],
    ids=named,
)
def test_parameters_of_the_scatter_count(estimator):
    X = sample(40, 5)
    got = draw(estimator, X)
    train, new, _ = ref.refits(estimator, X, KEY, 8, 4, needs_rank=False)
    np.testing.assert_allclose(got.train, train, rtol=1e-10)
    np.testing.assert_allclose(got.new, new, rtol=1e-10)


@given(n=st.integers(12, 40), p=st.integers(1, 4), seed=st.integers(0, 1000), kind=st.sampled_from(OURS))
def test_weights_give_what_copies_give_for_any_shape(n, p, seed, kind):
    X = sample(n, p, seed)
    n_held = max(1, n // 10)
    got = draw(kind(), X, n_resamples=2, n_held=n_held)
    train, new, _ = ref.refits(kind(), X, KEY, 2, n_held, needs_rank=True)
    np.testing.assert_allclose(got.train, train, rtol=1e-8)
    np.testing.assert_allclose(got.new, new, rtol=1e-8)


def test_other_estimators_are_left_to_other_engines():
    class Own(fmahal.LedoitWolf):
        pass

    assert not fast_moments(Own())
    assert not fast_moments(fmahal.MinCovDet())
    assert not fast_moments(sk.GraphicalLasso())


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_change_nothing(kind, unit):
    X = sample(40, 5)
    want, got = draw(kind(), X), draw(kind(), unit * X)
    np.testing.assert_allclose(got.train, want.train, rtol=1e-11)
    np.testing.assert_allclose(got.new, want.new, rtol=1e-11)


@pytest.mark.parametrize("kind", OURS + THEIRS)
def test_an_offset_of_a_million_standard_deviations_changes_nothing(kind):
    X = np.round(sample(40, 5) * 2**20) / 2**20  # so that the shifted rows are exact
    want, got = draw(kind(), X), draw(kind(), X + 2.0**20)
    np.testing.assert_allclose(got.train, want.train, rtol=1e-10)
    np.testing.assert_allclose(got.new, want.new, rtol=1e-10)


@pytest.mark.parametrize("kind", [fmahal.EmpiricalCovariance, fmahal.LedoitWolf, fmahal.QIS])
def test_sums_that_cancel_are_taken_from_the_rows(kind):
    X = np.round(sample(40, 4) * 2**20) / 2**20
    X[3] = 2.0**23 * np.array([1.0, -1.0, 1.0, 1.0])  # resamples without this row have tiny variances
    missed = resample_counts(KEY, np.arange(8), 0, 40)[:, 3] == 0
    assert 0 < missed.sum() < 8
    got = draw(kind(), X, n_held=0)
    train, new, _ = ref.refits(kind(), X, KEY, 8, 0, needs_rank=False)
    np.testing.assert_allclose(got.train[missed], train[missed], rtol=1e-8)
    np.testing.assert_allclose(got.new[missed], new[missed], rtol=1e-8)


# ---------------------------------------------------------------- rank


@pytest.mark.parametrize("kind", [fmahal.EmpiricalCovariance, fmahal.QIS, fmahal.ShrunkCovariance])
def test_columns_that_add_nothing(kind):
    X = sample(40, 4)
    X = np.column_stack([X, X[:, 0] - 2.0 * X[:, 1], np.full(40, 7.0)])
    got = draw(kind(), X)
    train, new, _ = ref.refits(kind(), X, KEY, 8, 4, needs_rank=True)
    np.testing.assert_allclose(got.train, train, rtol=1e-9)
    np.testing.assert_allclose(got.new, new, rtol=1e-9)


def test_resamples_without_rank_are_drawn_again():
    X = sample(30, 3)
    X[:, 2] = 0.0
    X[:2, 2] = 1.0  # missed by one resample in eight, and by no holdout fit of 29 rows
    got = draw(fmahal.EmpiricalCovariance(), X, n_resamples=40, n_held=1)
    train, new, redrawn = ref.refits(fmahal.EmpiricalCovariance(), X, KEY, 40, 1, needs_rank=True)
    assert got.redrawn == redrawn > 0
    np.testing.assert_allclose(got.train, train, rtol=1e-9)
    np.testing.assert_allclose(got.new, new, rtol=1e-9)


@pytest.mark.parametrize("kept", [False, True])
def test_replicates_without_rank_in_the_holdout_fit_are_drawn_again(kept):
    X = sample(12, 2)
    X[:, 1] = 0.0
    X[:2, 1] = 1.0
    got = draw(fmahal.EmpiricalCovariance(), X, n_resamples=30, n_held=6, kept=kept)
    train, new, redrawn = ref.refits(fmahal.EmpiricalCovariance(), X, KEY, 30, 6, needs_rank=True, kept=kept)
    assert got.redrawn == redrawn > 0
    np.testing.assert_allclose(got.train, train, rtol=1e-9)
    np.testing.assert_allclose(got.new, new, rtol=1e-9)


def test_too_many_resamples_without_rank_are_an_error():
    with pytest.raises(
        RankDeficientError, match=r"rank 25 of all n = 30 rows with p = 25 columns.*LedoitWolf"
    ):
        draw(fmahal.EmpiricalCovariance(), sample(30, 25), n_resamples=50)
    one_row = np.zeros((30, 1))
    one_row[0] = 1.0  # in two resamples of three, and in one third of the fits to 10 rows
    with pytest.raises(RankDeficientError, match="fits to 10 of the rows have less than the rank 1"):
        draw(fmahal.EmpiricalCovariance(), one_row, n_resamples=200, n_held=20, kept=True)


def test_shrinkage_needs_no_rank():
    X = sample(30, 25)
    for kind in (fmahal.LedoitWolf, fmahal.OAS, fmahal.ShrunkCovariance):
        got = draw(kind(), X)
        train, new, _ = ref.refits(kind(), X, KEY, 8, 4, needs_rank=False)
        assert got.redrawn == 0
        np.testing.assert_allclose(got.train, train, rtol=1e-9)
        np.testing.assert_allclose(got.new, new, rtol=1e-9)


def test_more_columns_than_rows():
    X = sample(20, 30)
    got = draw(fmahal.LedoitWolf(), X, n_held=2)
    train, new, _ = ref.refits(fmahal.LedoitWolf(), X, KEY, 8, 2, needs_rank=False)
    np.testing.assert_allclose(got.train, train, rtol=1e-9)
    np.testing.assert_allclose(got.new, new, rtol=1e-9)


# ---------------------------------------------------------------- blocks and threads


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("max_bytes", [1, 40_000, 10**9])
def test_blocks_change_nothing(kind, max_bytes):
    X = sample(40, 5)
    want, got = draw(kind(), X, n_resamples=70), draw(kind(), X, n_resamples=70, max_bytes=max_bytes)
    np.testing.assert_allclose(got.train, want.train, rtol=1e-12)
    np.testing.assert_allclose(got.new, want.new, rtol=1e-12)


def test_memory_bounds_the_blocks():
    X = sample(200, 10)
    scatter = fmahal.EmpiricalCovariance().fit(X)
    options = {"n_resamples": 999, "seed": SEED, "n_held": 20}
    for max_bytes in (300_000, 1_000_000):
        sizes = [block.train.nbytes for block in moment_draws(scatter, X, max_bytes=max_bytes, **options)]
        assert 0.1 * max_bytes < max(sizes) < max_bytes / 2


@pytest.mark.parametrize("n_held", [5, 0])
def test_threads_change_nothing(n_held):
    X = sample(200, 8)
    want = draw(fmahal.EmpiricalCovariance(), X, n_resamples=100, n_held=n_held)
    with thread_limit(1):
        got = draw(fmahal.EmpiricalCovariance(), X, n_resamples=100, n_held=n_held)
    np.testing.assert_allclose(got.train, want.train, rtol=1e-12)
    np.testing.assert_allclose(got.new, want.new, rtol=1e-12)


def test_a_longer_run_begins_like_a_shorter_one():
    X = sample(40, 5)
    short, long = (draw(fmahal.EmpiricalCovariance(), X, n_resamples=b) for b in (10, 25))
    np.testing.assert_allclose(long.train[:10], short.train, rtol=1e-12)
    np.testing.assert_allclose(long.new[:10], short.new, rtol=1e-12)


# ---------------------------------------------------------------- kernels


@given(n=st.integers(2, 90), r=st.integers(1, 13), seed=st.integers(0, 1000), centred=st.booleans())
def test_kernels_give_what_their_twins_give(n, r, seed, centred):
    rng = np.random.default_rng(seed)
    Y, size = readonly(rng.standard_normal((n, r))), readonly(np.ones(r))
    counts = readonly(rng.multinomial(n, np.full(n, 1 / n), 3).astype(np.float64))
    products = readonly(packed_columns(Y, fourth=bool(seed % 2)))
    twin = [ref.weighted_moments(Y, w, centred) for w in counts]
    means, packed, status = np.empty((3, r)), np.empty((3, r * (r + 1) // 2)), np.empty(3, np.int64)
    sums = readonly(counts @ products)
    kernel.centre_sums(sums, float(n), centred, size, 0.0, means, packed, status)
    np.testing.assert_allclose(means, [m for m, _ in twin], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(packed, [S for _, S in twin], rtol=1e-9, atol=1e-12)
    kernel.row_moments(Y, counts, centred, means, packed)
    np.testing.assert_allclose(packed, [S for _, S in twin], rtol=1e-9, atol=1e-12)

    amounts, limits = readonly(np.array([[0.8, 0.3]] * 3)), readonly(np.array([1e-13, 0.0]))
    fits = readonly(means), readonly(packed), amounts, limits, size
    train, new = np.empty((3, n)), np.empty((3, n))
    kernel.resample_distances(row_tiles(Y), counts, *fits, train, new, status)
    want = np.array([ref.distances(Y, m, S, 0.8, 0.3) for m, S in twin])
    assert (status == kernel.OK).all()
    for b in range(3):
        np.testing.assert_allclose(train[b], np.repeat(want[b], counts[b].astype(int)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(new, np.where(counts == 0, want, np.nan), rtol=1e-9, atol=1e-12)

    rows = np.array([rng.permutation(n)[: n // 2] for _ in range(3)]).reshape(3, -1)
    rows = readonly(rows)
    out = np.empty(rows.shape)
    kernel.held_distances(Y, rows, *fits, out, status)
    np.testing.assert_allclose(out, np.take_along_axis(want, rows, axis=1), rtol=1e-9, atol=1e-12)
    rest = np.empty((3, n - rows.shape[1]))
    kernel.kept_distances(row_tiles(Y), rows, *fits, rest, out, status)
    np.testing.assert_allclose(out, np.take_along_axis(want, rows, axis=1), rtol=1e-9, atol=1e-12)
    left = [np.delete(d2, listed) for d2, listed in zip(want, rows, strict=True)]
    np.testing.assert_allclose(rest, left, rtol=1e-9, atol=1e-12)
    sums = np.empty((3, products.shape[1]))
    kernel.subtract_rows(products, rows, readonly(products.sum(axis=0)), sums)
    left = [np.delete(products, listed, axis=0).sum(axis=0) for listed in rows]
    np.testing.assert_allclose(sums, left, rtol=1e-9, atol=1e-9)


def test_status_of_singular_and_of_cancelled_covariances():
    means, size = readonly(np.zeros((1, 2))), readonly(np.ones(2))
    amounts, Y = readonly(np.array([[1.0, 0.0]])), readonly(np.zeros((1, 2)))
    rows = readonly(np.zeros((1, 1), np.int64))
    for packed, limits, want in [
        ([[1.0, 1.0, 1.0]], [1e-13, 0.0], kernel.LOST),
        ([[0.0, 0.0, 1.0]], [1e-13, 0.0], kernel.LOST),
        ([[1.0, 0.5, np.nan]], [1e-13, 0.0], kernel.LOST),
        ([[1.0, 0.0, 1e-6]], [1e-13, 1e-5], kernel.HARD),
        ([[1.0, 0.0, 1e-6]], [1e-13, 0.0], kernel.OK),
    ]:
        status, out = np.empty(1, np.int64), np.empty((1, 1))
        packed, limits = readonly(np.array(packed)), readonly(np.array(limits))
        kernel.held_distances(Y, rows, means, packed, amounts, limits, size, out, status)
        assert status[0] == want
