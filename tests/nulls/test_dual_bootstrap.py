"""Replicates from inner products against explicit copies of rows, refitted by the class itself."""

import numpy as np
import pytest
import reference_resampling_dual as twin
import sklearn.covariance as skcov
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fmahal
from fmahal._kernels import resampling_dual as kernels
from fmahal._validation import readonly
from fmahal.exceptions import RankDeficientError
from fmahal.nulls import _dual_bootstrap
from fmahal.nulls._draws import generator_key, held_out, resample_counts
from fmahal.nulls._dual_bootstrap import dual_draws
from fmahal.scatter._moments import second_moments

OURS = [
    fmahal.LedoitWolf(),
    fmahal.LedoitWolf(assume_centered=True),
    fmahal.OAS(),
    fmahal.OAS(formula="paper", assume_centered=True),
    fmahal.QIS(),
    fmahal.QIS(assume_centered=True),
    fmahal.ShrunkCovariance(),
    fmahal.ShrunkCovariance(shrinkage=1.0),
    fmahal.ShrunkCovariance(ridge=1.0),
]
RIDGES = [1e-6, 1e-3, 1e3, 1e8]  # relative to the mean variance: the short formulas cancel at either end
THEIRS = [
    skcov.LedoitWolf(),
    skcov.LedoitWolf(assume_centered=True),
    skcov.OAS(),
    skcov.ShrunkCovariance(shrinkage=0.4),
]
B = 4


def draw(kind="plain", n=20, p=45):
    rng = np.random.default_rng(n * p)
    X = rng.standard_normal((n, p)) * rng.uniform(0.5, 2.0, p)
    if kind == "duplicates":
        X[: n // 3] = X[n // 3 : 2 * (n // 3)]
    elif kind == "few directions":
        X = rng.standard_normal((n, 4)) @ rng.standard_normal((4, p))
    elif kind == "smooth curves":
        X = np.cumsum(np.cumsum(X, axis=1), axis=1)
    elif kind == "far row":
        X[0] *= 1e5
    elif kind == "constant columns":
        X[:, :5] = 3.0
    elif kind == "offset":
        X += 1e3
    return X


KINDS = ["plain", "duplicates", "few directions", "smooth curves", "far row", "constant columns", "offset"]


def all_draws(scatter, X, *, n_held, n_resamples=B, seed=3, max_bytes=10**7, kept=False):
    blocks = list(
        dual_draws(
            scatter,
            X,
            n_resamples=n_resamples,
            seed=np.random.SeedSequence(seed),
            n_held=n_held,
            max_bytes=max_bytes,
            kept=kept,
        )
    )
    return tuple(np.concatenate(part) for part in list(zip(*blocks, strict=True))[:2])


def refits(scatter, X, *, n_held, n_resamples=B, seed=3):
    """The same by copies of rows: training distances, and those of rows that a fit has not seen."""
    n = len(X)
    key, ids = generator_key(np.random.SeedSequence(seed)), np.arange(n_resamples)
    counts = resample_counts(key, ids, 0, n)
    train, new = np.empty((n_resamples, n)), np.full((n_resamples, n_held or n), np.nan)
    for b in ids:
        rows = np.repeat(np.arange(n), counts[b])
        train[b] = scatter.fit(X[rows]).mahalanobis(X[rows])
        missed = np.flatnonzero(counts[b] == 0)
        if n_held:
            missed = held_out(key, [b], 0, n, n_held)[0]
            scatter.fit(np.delete(X, missed, axis=0))
        new[b, slice(None) if n_held else missed] = scatter.mahalanobis(X[missed])
    return train, new


def check(scatter, X, n_held, rtol=1e-10):
    for found, want in zip(
        all_draws(scatter, X, n_held=n_held), refits(scatter, X, n_held=n_held), strict=True
    ):
        assert_allclose(found, want, rtol=rtol)  # NaN in the same places


@pytest.mark.parametrize("n_held", [0, 3])
@pytest.mark.parametrize("scatter", OURS + THEIRS, ids=repr)
def test_counts_stand_for_copies(scatter, n_held):
    check(scatter, draw(), n_held)


@pytest.mark.parametrize("n_held", [0, 3])
@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize(
    "scatter", [fmahal.LedoitWolf(), fmahal.OAS(formula="paper"), fmahal.QIS()], ids=repr
)
def test_awkward_rows(scatter, kind, n_held):
    check(scatter, draw(kind), n_held)


@pytest.mark.parametrize("n_held", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ridge", RIDGES)
def test_ridges_small_and_large(ridge, kind, n_held):
    check(fmahal.ShrunkCovariance(ridge=ridge), draw(kind), n_held)


@pytest.mark.parametrize("unit", [1e-8, 1e8])
@pytest.mark.parametrize("scatter", [fmahal.LedoitWolf(), fmahal.QIS(), fmahal.ShrunkCovariance()], ids=repr)
def test_units_do_not_matter(scatter, unit):
    X = draw()
    for n_held in (0, 3):
        for found, want in zip(
            all_draws(scatter, unit * X, n_held=n_held), all_draws(scatter, X, n_held=n_held), strict=True
        ):
            assert_allclose(found, want, rtol=1e-11)


@pytest.mark.parametrize("unit", [2.0**-510, 2.0**500])
@pytest.mark.parametrize(
    "scatter",
    [fmahal.ShrunkCovariance(ridge=1e-10), fmahal.ShrunkCovariance(ridge=0.01), fmahal.OAS(), fmahal.QIS()],
    ids=repr,
)
def test_squares_that_nearly_vanish_or_overflow(scatter, unit):
    # The ridge, 1e-10 of a variance of 1e-307, is subnormal; units of a power of two change no digit.
    X = draw()
    for centred in (False, True):
        scatter.set_params(assume_centered=centred)
        for found, want in zip(all_draws(scatter, unit * X, n_held=3), all_draws(scatter, X, n_held=3)):
            assert np.isfinite(found).all()
            assert_allclose(found, want, rtol=1e-11)


@pytest.mark.parametrize(("n", "p"), [(20, 21), (21, 21), (9, 200), (5, 6)])
def test_other_shapes(n, p):
    for scatter in (fmahal.LedoitWolf(), fmahal.ShrunkCovariance(ridge=0.1)):
        for n_held in (0, 1):
            check(scatter, draw(n=n, p=p), n_held)


@pytest.mark.parametrize(
    "scatter", [fmahal.OAS(), fmahal.QIS(), fmahal.ShrunkCovariance(ridge=1e-6)], ids=repr
)
def test_blocks_do_not_matter(scatter):
    X = draw("duplicates")
    for n_held in (0, 3):
        whole = all_draws(scatter, X, n_held=n_held, n_resamples=11)
        for one, other in zip(
            whole, all_draws(scatter, X, n_held=n_held, n_resamples=11, max_bytes=1), strict=True
        ):
            assert_array_equal(one, other)


@pytest.mark.parametrize("scatter", [fmahal.OAS(), fmahal.QIS()], ids=repr)
def test_blocks_are_bounded_by_work(scatter, monkeypatch):
    X = draw()
    whole = all_draws(scatter, X, n_held=3, n_resamples=7)
    monkeypatch.setattr(_dual_bootstrap, "_WORK", 2 * 20.0**3)
    monkeypatch.setattr(_dual_bootstrap._Linear, "workers", lambda self: 1)
    options = {"n_resamples": 7, "seed": np.random.SeedSequence(3), "n_held": 3, "max_bytes": 10**7}
    blocks = list(dual_draws(scatter, X, **options))
    assert [len(block.train) for block in blocks] == [2, 2, 2, 1]
    for k, want in enumerate(whole):
        assert_array_equal(np.concatenate([block[k] for block in blocks]), want)


def test_sizes_of_blocks():
    size = _dual_bootstrap._block_size
    assert size(1500, 10**9, 1) == 1  # seconds for each replicate
    assert size(500, 10**9, 1) == 8
    assert size(1500, 10**9, 4) == 4  # no thread is idle
    assert size(50, 10**9, 1) == 256
    assert size(50, 48 * 50 * 5, 2) == 5
    assert size(50, 1, 2) == 1


def test_threads_do_not_matter():
    import numba

    X = draw(n=40, p=50)
    before = numba.get_num_threads()
    found = []
    for threads in {1, before}:
        numba.set_num_threads(threads)
        try:
            found.append(all_draws(fmahal.LedoitWolf(), X, n_held=4, n_resamples=50))
        finally:
            numba.set_num_threads(before)
    for one, other in zip(found[0], found[-1], strict=True):
        assert_array_equal(one, other)


def test_replicates_do_not_depend_on_how_many_there_are():
    X = draw()
    few, many = (all_draws(fmahal.OAS(), X, n_held=3, n_resamples=b) for b in (3, 9))
    for one, other in zip(few, many, strict=True):
        assert_array_equal(one, other[:3])


@pytest.mark.parametrize("scatter", [fmahal.LedoitWolf(), fmahal.QIS(), fmahal.ShrunkCovariance()], ids=repr)
def test_one_holdout_fit_a_replicate(scatter):
    X = draw()
    train, new = all_draws(scatter, X, n_held=3, kept=True)
    assert_array_equal(new, all_draws(scatter, X, n_held=3)[1])
    held = held_out(generator_key(np.random.SeedSequence(3)), np.arange(B), 0, len(X), 3)
    for b in range(B):
        rest = np.delete(X, held[b], axis=0)
        assert_allclose(train[b], scatter.fit(rest).mahalanobis(rest), rtol=1e-10)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(5, 12),  # of fewer rows most resamples may be one row, which is refused
    extra=st.integers(1, 20),
    exponent=st.floats(-6, 6),
)
def test_training_distances_of_a_resample_have_the_mean_of_the_identity(seed, n, extra, exponent):
    # sum_i w_i d2_i / N = tr(S (S + r I)^-1), whatever the resample.
    X, ridge = np.random.default_rng(seed).standard_normal((n, n + extra)), 10.0**exponent
    train, _ = all_draws(fmahal.ShrunkCovariance(ridge=ridge), X, n_held=0, seed=seed)
    counts = resample_counts(generator_key(np.random.SeedSequence(seed)), np.arange(B), 0, n)
    for b in np.flatnonzero((counts < n).all(axis=1)):  # the others were drawn again
        Y = (X - counts[b] @ X / n) * np.sqrt(counts[b] / n)[:, None]
        values = np.linalg.svd(Y, compute_uv=False) ** 2
        share = values / (values + ridge * values.sum() / (n + extra))
        assert_allclose(train[b].mean(), share.sum(), rtol=1e-10)


# ---------------------------------------------------------------- resamples without full rank


@pytest.mark.parametrize(
    "scatter",
    [fmahal.EmpiricalCovariance(), skcov.EmpiricalCovariance(), fmahal.ShrunkCovariance(shrinkage=0.0)],
    ids=repr,
)
def test_nothing_added_is_an_error(scatter):
    with pytest.raises(RankDeficientError, match=r"n = 20 rows with p = 45 columns"):
        all_draws(scatter, draw(), n_held=2)


@pytest.mark.parametrize("scatter", [fmahal.LedoitWolf(), fmahal.QIS(), fmahal.ShrunkCovariance()], ids=repr)
def test_rows_that_do_not_vary_are_an_error(scatter):
    with pytest.raises(RankDeficientError, match="nothing varies"):
        all_draws(scatter, np.full((6, 9), 0.1), n_held=1)


def test_other_scatters_are_refused():
    with pytest.raises(TypeError, match="MinCovDet"):
        all_draws(skcov.MinCovDet(), draw(), n_held=2)


def test_resamples_of_one_row_are_drawn_again():
    # Of four rows, a resample repeats one row with probability 1/64: nothing varies in it.
    X, count = draw(n=4, p=7), 400
    scatter = fmahal.ShrunkCovariance(ridge=1.0)
    blocks = list(
        dual_draws(
            scatter,
            X,
            n_resamples=count,
            seed=np.random.SeedSequence(0),
            n_held=1,
            max_bytes=10**6,
        )
    )
    key = generator_key(np.random.SeedSequence(0))
    single = np.flatnonzero((resample_counts(key, np.arange(count), 0, 4) == 4).any(axis=1))
    assert single.size > 0
    assert sum(block.redrawn for block in blocks) >= single.size
    train = np.concatenate([block.train for block in blocks])
    assert np.isfinite(train).all()
    attempt = 1
    counts = resample_counts(key, single[:1], attempt, 4)
    while (counts == 4).any():
        attempt += 1
        counts = resample_counts(key, single[:1], attempt, 4)
    rows = np.repeat(np.arange(4), counts[0])
    assert_allclose(train[single[0]], scatter.fit(X[rows]).mahalanobis(X[rows]), rtol=1e-10)


def test_too_many_singular_fits_are_an_error():
    # Of five rows four are equal, and a holdout fit misses the other one with probability 3/5.
    X = draw(n=5, p=8)
    X[1:] = X[1]
    with pytest.raises(RankDeficientError, match=r"More than half of the resamples of n = 5 rows and p = 8"):
        all_draws(fmahal.ShrunkCovariance(), X, n_held=3, n_resamples=100)


# ---------------------------------------------------------------- the two routes through the kernels


def gram_case(n=15, p=30, ridge=0.3):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, p))
    counts = readonly(rng.multinomial(n, np.full(n, 1 / n), size=5).astype(np.int32))
    triangle = np.linalg.qr(X.T, mode="r").T
    amount = readonly(np.full(5, ridge))
    return X, readonly(X @ X.T), readonly(triangle), counts, amount


@pytest.mark.parametrize("centred", [True, False])
def test_long_and_short_formulas_agree(centred):
    X, K, T, counts, ridge = gram_case()
    weight = readonly(np.full(5, 0.8))
    short, long = np.empty((2, 5, 15))
    status = np.empty(5, np.int64)
    kernels.gram_distances(K, counts, weight, ridge, centred, True, True, status, short)
    assert (status == kernels.OK).all()
    kernels.refined_distances(K, T, counts, weight, ridge, centred, status, long)
    assert (status == kernels.OK).all()
    assert_allclose(short, long, rtol=1e-12)
    for b in range(5):
        assert_allclose(long[b], twin.distances(X @ X.T, counts[b], 0.8, 0.3, centred), rtol=1e-11)
        covariance = twin.covariance(X, counts[b], 0.8, 0.3, centred)
        Y = X - (counts[b] @ X / 15 if centred else 0.0)
        assert_allclose(long[b], np.einsum("ij,ij->i", Y, np.linalg.solve(covariance, Y.T).T), rtol=1e-11)


def test_lost_digits_are_noticed():
    _, K, _, counts, _ = gram_case()
    one, out, status = readonly(np.ones(5)), np.empty((5, 15)), np.empty(5, np.int64)
    kernels.gram_distances(K, counts, one, readonly(np.full(5, 1e9)), True, True, False, status, out)
    assert (status == kernels.INACCURATE).all()
    flat = readonly(np.outer(np.arange(15.0), np.arange(15.0)))  # one direction
    tiny = readonly(np.full(5, 1e-6))
    for inside in (True, False):
        kernels.gram_distances(flat, counts, one, tiny, True, inside, not inside, status, out)
        assert (status == kernels.INACCURATE).all()


def test_the_basis_is_not_formed_where_it_is_not_needed(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a factorisation of the rows themselves")

    monkeypatch.setattr(_dual_bootstrap, "qr", refuse)
    for scatter in (fmahal.OAS(), fmahal.ShrunkCovariance(ridge=1e-6)):
        assert np.isfinite(all_draws(scatter, draw(), n_held=3)[0]).all()
    with pytest.raises(AssertionError):
        all_draws(fmahal.ShrunkCovariance(ridge=1e-6), draw("few directions"), n_held=3)


@pytest.mark.parametrize("centred", [True, False])
def test_invariants_are_those_of_the_copies(centred):
    X, K, _, counts, _ = gram_case()
    found = np.empty((5, 3))
    kernels.gram_invariants(K, counts, centred, found)
    for b in range(5):
        assert_allclose(found[b], twin.invariants(K, counts[b], centred), rtol=1e-12)
        rows = X[np.repeat(np.arange(15), counts[b])]
        assert_allclose(found[b], second_moments(rows, centred=centred).invariants, rtol=1e-12)
