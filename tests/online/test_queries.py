"""Answers of the index against slow readable ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fmahal._kernels.sketched_queries import fold_queries, median_sqnorms
from fmahal.online import AdaptiveMahalanobisIndex, _estimates
from fmahal.online._accuracy import median_failure, shrinkage_bound
from fmahal.online._products import dot_centred

N, P, M, K = 40, 30, 24, 8
DTYPES = [np.float64, np.float32]
RTOL = {np.float64: 1e-10, np.float32: 2e-4}


def make(dtype=np.float64, *, n=N, L=5, r=5, seed=0, **kwargs):
    rng = np.random.default_rng(11)
    U, X = rng.standard_normal((M, P)), rng.standard_normal((n, P)).astype(dtype)
    options = {"n_components": K, "n_sketches": L, "sample_size": r, "random_state": seed} | kwargs
    return AdaptiveMahalanobisIndex(U, **options).fit(X)


def changed(index):
    """An index with room for more points, ids out of order, and a metric whose change is pending."""
    rng = np.random.default_rng(12)
    index.insert(rng.standard_normal((3, P)))
    index.delete([0, 5, 41])
    return index.update_metric(rng.standard_normal(M), rng.standard_normal(P))


def exact_by_loop(index, x):
    U = index.metric_factor_
    return np.array([np.sum((U @ (z - x)) ** 2) for z in index.points_.astype(np.float64)])


def medians_by_loop(index, x):
    """From the folded maps and the points: all sketches are sampled."""
    folded = index._store.folded.astype(np.float64)
    return np.array(
        [np.median([np.sum((F @ (z - x)) ** 2) for F in folded]) for z in index.points_.astype(np.float64)]
    )


# -------------------------------------------------------------------- estimates


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("r", [4, 5])
def test_query(dtype, r):
    index = changed(make(dtype, L=r, r=r))
    X = np.random.default_rng(1).standard_normal((6, P))
    want = np.array([medians_by_loop(index, x) for x in X])
    for q in (1, 3, 6):  # one thread folds, blocks of four and what is left of them
        got = index.query(X[:q])
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want[:q], rtol=RTOL[dtype])
    np.testing.assert_allclose(index.query(X[0].tolist()), want[0], rtol=RTOL[dtype])
    assert index.query(X[:0]).shape == (0, N)


def test_a_point_is_its_own_neighbour_up_to_rounding():
    index = make(np.float32)
    d2 = index.query(index.points_[7])
    assert d2[7] < 1e-10 * np.delete(d2, 7).min()


def test_query_pair():
    index = changed(make())
    ids, X = index.ids_, index.points_
    assert index.query_pair(ids[2], ids[2]) == 0.0
    for a, b in ((2, 3), (0, 37)):
        want = medians_by_loop(index, X[b])[a]
        assert index.query_pair(ids[a], ids[b]) == pytest.approx(want, rel=1e-10)
        assert index.query_pair(int(ids[b]), int(ids[a])) == pytest.approx(want, rel=1e-10)


@given(
    n=st.integers(1, 70),
    k=st.integers(1, 9),
    r=st.integers(1, 6),
    q=st.integers(0, 9),
    seed=st.integers(0, 9),
)
def test_kernel_is_the_median_of_sums_however_it_is_cut(n, k, r, q, seed):
    rng = np.random.default_rng(seed)
    stored, centres = rng.standard_normal((7, n + 3, k)), rng.standard_normal((q, r, k))
    chosen = rng.choice(7, r, replace=False).astype(np.int64)
    folded = rng.standard_normal((7, k, 4))
    for array in (stored, centres, chosen, folded):
        array.flags.writeable = False
    outs = []
    for segments, rows in ((1, 512), (5, 8), (64, 3)):
        out = np.full((q, n), np.nan)
        median_sqnorms(stored, chosen, centres, np.empty((segments, 4 if q >= 4 else 1, rows, r)), out)
        outs.append(out)
    want = np.median(
        [np.sum((stored[c, None, :n] - centres[:, None, s]) ** 2, axis=-1) for s, c in enumerate(chosen)], 0
    )
    np.testing.assert_allclose(outs[0], want, rtol=1e-12)
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[0], outs[2])
    sketches = np.empty((n, r, k))
    X = rng.standard_normal((n, 4))
    X.flags.writeable = False
    fold_queries(folded, chosen, X, sketches)
    np.testing.assert_allclose(
        sketches, np.einsum("skp,ap->ask", folded[chosen], X), rtol=1e-9, atol=1e-13 * np.abs(X).max()
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_centred_products(dtype):
    """However many rows are left over from blocks, and on both sides of where BLAS takes over."""
    rng = np.random.default_rng(0)
    for n, t in ((1, 1), (3, 4), (4, 1), (64 * 5 + 7, 3), (9, 5), (0, 2)):
        X, origin, V = (rng.standard_normal(s).astype(dtype) for s in ((n, 7), 7, (t, 7)))
        got = dot_centred(X + 2, origin + 2, V)
        np.testing.assert_allclose(got, (X + 2 - (origin + 2)) @ V.T, rtol=0, atol=30 * np.finfo(dtype).eps)


def test_answers_repeat_with_the_calls():
    """The same random_state and sequence of calls give the same answers, and each call draws a fresh subset."""

    def answers(seed):
        index, x = make(L=20, r=3, seed=seed), np.ones(P)
        return [
            index.query(x),
            index.query(x),
            index.query_pair(1, 2),
            index.sample_exact(x, 4),
            index.query(x),
        ]

    first, second, other = answers(0), answers(0), answers(1)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_units(scale):
    """A power of two changes no rounding: estimates scale by its square, and the draws stay."""
    x, index = np.ones(P), make(L=9, r=3)
    scaled = clone(index).fit(scale * index.points_)
    np.testing.assert_array_equal(scaled.query(scale * x), scale**2 * index.query(x))
    np.testing.assert_array_equal(scaled.sample_exact(scale * x, 9), index.sample_exact(x, 9))
    np.testing.assert_array_equal(scaled.query_nearest(scale * x, 9)[0], index.query_nearest(x, 9)[0])


# -------------------------------------------------------------------- exact distances and neighbours


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact(dtype):
    index, x = changed(make(dtype)), np.random.default_rng(1).standard_normal(P)
    got = index.exact(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, exact_by_loop(index, x), rtol=1e-10 if dtype == np.float64 else 1e-6)
    plain = AdaptiveMahalanobisIndex(n_components=4, random_state=0).fit(index.points_)
    np.testing.assert_allclose(plain.exact(x), ((plain.points_ - x) ** 2).sum(axis=1), rtol=1e-6)


def test_nearest():
    index, x = changed(make(r=1)), np.random.default_rng(1).standard_normal(P)
    d2 = exact_by_loop(index, x)
    order = np.argsort(d2)
    for candidates in (N, N + 5):
        ids, found = index.query_nearest(x, 6, n_candidates=candidates)
        np.testing.assert_array_equal(ids, index.ids_[order[:6]])
        np.testing.assert_allclose(found, d2[order[:6]], rtol=1e-10)
    best = set()
    for _ in range(40):  # each sketch picks four candidates; their distances are exact in any case
        ids, found = index.query_nearest(x, 2, n_candidates=4)
        slots = [index.ids_.tolist().index(i) for i in ids]
        np.testing.assert_allclose(found, d2[slots], rtol=1e-10)
        assert found[0] <= found[1]
        best.add(int(ids[0]))
    assert int(index.ids_[order[0]]) in best
    assert len(best) > 1


def test_nearest_finds_what_the_estimates_separate():
    X = np.random.default_rng(0).standard_normal((300, 200))
    index = AdaptiveMahalanobisIndex(n_components=100, random_state=0).fit(X)
    for i in (3, 77):
        ids, d2 = index.query_nearest(X[i] + 0.05)
        assert ids.tolist() == [i]
        assert d2[0] == pytest.approx(200 * 0.05**2)


def test_equal_distances_are_ordered_by_identifier():
    index = AdaptiveMahalanobisIndex(n_components=2, random_state=0).fit(np.ones((6, 4)))
    index.delete(1)
    assert index.query_nearest(np.zeros(4), 3, n_candidates=5)[0].tolist() == [0, 2, 3]


@pytest.mark.parametrize("delete", [[], [1], [0, 399, 7]])
def test_equal_estimates_are_cut_by_identifier(delete):
    """More points at one distance than candidates."""
    index = AdaptiveMahalanobisIndex(n_components=16, random_state=0).fit(np.ones((400, 64)))
    index.delete(np.array(delete, int))
    for n_candidates in (3, 30):
        ids = index.query_nearest(np.zeros(64), 3, n_candidates=n_candidates)[0]
        assert ids.tolist() == sorted(index.ids_)[:3]


def test_smallest():
    values, ids = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 5.0]), np.array([9, 8, 7, 1, 5, 0])
    for count, want in ((1, [1]), (2, [1, 3]), (3, [1, 3, 4]), (4, [1, 2, 3, 4]), (6, range(6))):
        assert sorted(_estimates._smallest(values, count, ids)) == list(want)


def test_points_inserted_during_a_query(monkeypatch):
    """An insert that reallocates between two reads of the store: n never exceeds the array that the kernel gets."""
    index = AdaptiveMahalanobisIndex(n_components=4, random_state=0).fit(np.ones((10, 16)))
    seen, original = [], _estimates.median_sqnorms

    class Slow(type(index._store)):
        """Another thread inserts after each read of the count, and after each read of the sketches."""

        def _interrupt(self):
            if not self.__dict__.get("busy"):
                self.__dict__["busy"] = True
                self.append(np.ones((5000, 16)))
                del self.__dict__["busy"]

        def __getattribute__(self, name):
            value = object.__getattribute__(self, name)
            if name in ("_n", "_sketched") and not object.__getattribute__(self, "__dict__").get("busy"):
                Slow._interrupt(self)
            return value

    def check(stored, chosen, centres, sums, out):
        seen.append((stored.shape[1], out.shape[1]))
        if out.shape[1] <= stored.shape[1]:
            original(stored, chosen, centres, sums, out)

    monkeypatch.setattr(_estimates, "median_sqnorms", check)
    index._store.__class__ = Slow
    assert np.ndim(index.query(np.zeros(16))) == 1
    assert all(n <= rows for rows, n in seen)
    assert index._store.__dict__["_n"] > 5000


# -------------------------------------------------------------------- draws


def goodness(counts, weights):
    """p-value of the chi-square test over cells of positive weight."""
    assert np.all(counts[weights == 0] == 0)
    counts, weights = counts[weights > 0], weights[weights > 0]
    return stats.chisquare(counts, counts.sum() * weights / weights.sum()).pvalue


def spread(n, p):
    """Points at distances that differ by orders, some of them zero."""
    X = np.random.default_rng(5).standard_normal((n, p)) * np.linspace(0.2, 2.0, n)[:, None]
    X[::7] = 0.0
    return X


def test_sample_exact_by_exact_distances():
    X = spread(15, P)
    index = AdaptiveMahalanobisIndex(n_components=K, random_state=0).fit(X)
    counts = np.bincount(index.sample_exact(np.zeros(P), 20_000), minlength=15)
    assert goodness(counts, index.exact(np.zeros(P))) > 1e-3
    among = [0, 2, 3, 9, 3]
    counts = np.bincount(index.sample_exact(np.zeros(P), 5000, among=among), minlength=15)
    weights = np.where(np.isin(np.arange(15), among), index.exact(np.zeros(P)), 0.0)
    assert goodness(counts, weights) > 1e-3


def large(monkeypatch):
    """An index whose draws are worth sketching, and a list of how many distances were measured."""
    n, p = 1500, 80
    index = AdaptiveMahalanobisIndex(np.eye(p), n_components=60, sample_size=5, random_state=3)
    index.fit(spread(n, p))
    index.delete([1, 2])  # rows are not identifiers
    measured, original = [], _estimates.exact_distances

    def counting(store, x, slots=None):
        measured.append(store.n if slots is None else len(slots))
        return original(store, x, slots)

    monkeypatch.setattr(_estimates, "exact_distances", counting)
    return index, measured


def weights_of_large():
    """What its draws are proportional to, in cells of 50 identifiers."""
    weights = (spread(1500, 80) ** 2).sum(axis=1)
    weights[[1, 2]] = 0.0
    return np.bincount(np.arange(1500) // 50, weights)


def test_sample_exact_by_rejection(monkeypatch):
    index, measured = large(monkeypatch)
    counts = np.zeros(1500)
    for _ in range(30):
        ids = index.sample_exact(np.zeros(80), 200)
        assert len(ids) == 200
        np.add.at(counts, ids, 1)
    assert max(measured) < index.n_points_  # never all
    weights = (spread(1500, 80) ** 2).sum(axis=1)
    weights[[1, 2]] = 0.0
    cells = np.where(weights > 0, np.arange(1500) // 50, 30)  # the last cell: what is never to be drawn
    assert goodness(np.bincount(cells, counts, 31), np.bincount(cells, weights, 31)) > 1e-3


def test_sample_exact_when_the_bound_is_wrong(monkeypatch):
    """A bound that points exceed is noticed, and the draws have the right law all the same."""
    index, measured = large(monkeypatch)
    monkeypatch.setattr(_estimates, "shrinkage_bound", lambda *args: 0.9)
    counts = np.bincount(index.sample_exact(np.zeros(80), 400) // 50, minlength=30)
    assert measured[-1] == index.n_points_
    assert goodness(counts, weights_of_large()) > 1e-3


def test_sample_exact_when_all_is_rejected(monkeypatch):
    """Rounds are limited: what is missing comes from exact distances."""
    index, measured = large(monkeypatch)
    monkeypatch.setattr(_estimates, "_ROUNDS", 1)
    monkeypatch.setattr(_estimates, "_FLOOR", 20.0)  # far more is proposed than can be kept
    ids = index.sample_exact(np.zeros(80), 200)
    assert len(ids) == 200
    assert measured[0] < measured[-1] == index.n_points_
    assert goodness(np.bincount(ids // 50, minlength=30), weights_of_large()) > 1e-3


@pytest.mark.parametrize("n", [20, 2000])
def test_sample_exact_has_nothing_to_draw_from_zeros(n):
    X = np.tile(np.random.default_rng(0).standard_normal(60).astype(np.float32), (n, 1))
    index = AdaptiveMahalanobisIndex(np.eye(60), n_components=50, random_state=0).fit(X)
    with pytest.raises(ValueError, match="Every squared distance from x is 0 in float64"):
        index.sample_exact(X[0], 2)


def test_tiny_units():
    """Distances below the range of float32 are 0, as documented; draws use float64, and say where that ends."""
    X = spread(30, P).astype(np.float32)
    index = AdaptiveMahalanobisIndex(n_components=K, random_state=0).fit(X * np.float32(1e-25))
    plain = AdaptiveMahalanobisIndex(n_components=K, random_state=0).fit(X)
    x = np.zeros(P)
    assert not index.query(x).any()
    assert not index.exact(x).any()
    counts = np.bincount(index.sample_exact(x, 5000), minlength=30)
    assert goodness(counts, plain.exact(x)) > 1e-3
    tiny = AdaptiveMahalanobisIndex(n_components=K, random_state=0).fit(1e-165 * spread(30, P))
    with pytest.raises(ValueError, match=r"0 in float64.* squares of the differences underflow: rescale"):
        tiny.sample_exact(x)


# -------------------------------------------------------------------- accuracy


def test_failure_of_two_sketches_in_closed_form():
    """The median of two is their mean, a chi-square over 2 k degrees of freedom."""
    for k in (1, 3, 64):
        for eps in (0.05, 0.3, 0.9):
            want = stats.chi2.sf(2 * k * (1 + eps), 2 * k) + stats.chi2.cdf(2 * k * (1 - eps), 2 * k)
            assert median_failure(k, 2, eps) == pytest.approx(want, rel=1e-5 if k == 1 else 1e-8)


def test_failure_by_simulation():
    rng = np.random.default_rng(0)
    for k, r in ((2, 3), (10, 4), (50, 5), (50, 10)):
        answers = np.median(rng.chisquare(k, (40_000, r)) / k, axis=1)
        for eps in (0.1, 0.3):
            share, want = np.mean(np.abs(answers - 1) > eps), median_failure(k, r, eps)
            assert abs(share - want) < 4 * np.sqrt(want * (1 - want) / 40_000)


def test_failure_keeps_its_digits():
    one = stats.chi2.sf(1.5 * 400, 400) + stats.chi2.cdf(0.5 * 400, 400)
    assert median_failure(400, 1, 0.5) == pytest.approx(one, rel=1e-9)
    assert 0 < median_failure(400, 9, 0.5) < one**4
    assert 0 < median_failure(400, 10, 0.5) < median_failure(400, 9, 0.5)
    np.testing.assert_array_equal(
        make().failure_probability([0.1, 0.2]), median_failure(K, 5, np.array([0.1, 0.2]))
    )


def test_bound_of_the_shrinkage():
    for k, r, probability in ((64, 5, 1e-19), (8, 4, 1e-6), (1, 1, 1e-3)):
        bound = shrinkage_bound(k, r, probability)
        assert median_below(k, r, 1.0 / bound) == pytest.approx(probability, rel=1e-6)
    assert shrinkage_bound(10_000, 9, 1e-19) == 1.25


def median_below(k, r, t):
    """P(median < t): what `median_failure` has beyond the upper tail."""
    both = median_failure(k, r, 1.0 - t)
    if r % 2:
        return stats.binom.sf(r // 2, r, stats.chi2.cdf(k * t, k))
    return both - above_by_simpson(k, r, 2.0 - t)


def above_by_simpson(k, r, t):
    """P(mean of the middle two > t) by a plain rule over the lower one."""
    y = np.linspace(0.0, t, 20_001)
    half, law = r // 2, stats.gamma(k / 2, scale=2.0 / k)
    constant = np.exp(sum(np.log(np.arange(1, r + 1))) - 2 * sum(np.log(np.arange(1, half + 1)))) * half
    height = constant * law.cdf(y) ** (half - 1) * law.pdf(y) * law.sf(2 * t - y) ** half
    inner = (y[1] - y[0]) / 3 * (height[0] + 4 * height[1::2].sum() + 2 * height[2:-1:2].sum() + height[-1])
    return inner + stats.binom.sf(half, r, law.sf(t))


# -------------------------------------------------------------------- bad input


CASES = {
    "query short": (lambda i: i.query(np.ones(P - 1)), "x has 29 columns, expected 30"),
    "query nan": (lambda i: i.query(np.full(P, np.nan)), "x contains NaN"),
    "query cube": (lambda i: i.query(np.ones((2, 2, P))), "x must be a vector or an"),
    "query text": (lambda i: i.query(["a"] * P), "x holds values that are not numbers"),
    "query complex": (lambda i: i.query(np.ones(P) * 1j), "x is complex"),
    "query overflow": (lambda i: i.query(np.full(P, 1e200)), "squared distances overflow"),
    "queries overflow": (lambda i: i.query(np.full((6, P), 1e200)), "squared distances overflow"),
    "nearest rows": (lambda i: i.query_nearest(np.ones((1, P))), r"x must have shape \(30,\), got \(1, 30\)"),
    "nearest inf": (lambda i: i.query_nearest(np.full(P, np.inf)), "x contains infinity"),
    "nearest none": (
        lambda i: i.query_nearest(np.ones(P), 0),
        "n_neighbors must be an integer of at least 1, got 0",
    ),
    "nearest float": (lambda i: i.query_nearest(np.ones(P), 1.0), "n_neighbors must be an integer"),
    "nearest bool": (lambda i: i.query_nearest(np.ones(P), True), "n_neighbors must be an integer"),
    "nearest many": (lambda i: i.query_nearest(np.ones(P), N + 1), "n_neighbors = 41 exceeds the 40 points"),
    "nearest few": (
        lambda i: i.query_nearest(np.ones(P), 3, n_candidates=2),
        "n_candidates = 2 is below n_neighbors = 3",
    ),
    "sample none": (lambda i: i.sample_exact(np.ones(P), 0), "n_samples must be an integer of at least 1"),
    "sample nan": (lambda i: i.sample_exact(np.full(P, np.nan)), "x contains NaN"),
    "sample overflow": (lambda i: i.sample_exact(np.full(P, 1e200)), "squared distances overflow"),
    "nearest overflow": (lambda i: i.query_nearest(np.full(P, 1e200)), "squared distances overflow"),
    "among nothing": (lambda i: i.sample_exact(np.ones(P), among=[]), "among must be a list of identifiers"),
    "among square": (
        lambda i: i.sample_exact(np.ones(P), among=[[1]]),
        "among must be a list of identifiers",
    ),
    "exact long": (lambda i: i.exact(np.ones(P + 1)), "x must have shape"),
    "eps": (lambda i: i.failure_probability(0.0), "eps, a relative error, must be positive"),
    "eps nan": (lambda i: i.failure_probability(float("nan")), "eps, a relative error, must be positive"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name):
    call, message = CASES[name]
    with pytest.raises(ValueError, match=message):
        call(make())


def test_answers_out_of_the_range_of_float32():
    index = make(np.float32)
    with pytest.raises(ValueError, match="squared distances overflow float32"):
        index.query(np.full(P, 1e25))
    with pytest.raises(ValueError, match="squared distances overflow float32"):
        index.exact(np.full(P, 1e25))
    with pytest.raises(ValueError, match="query's coordinates overflow float32"):
        index.query(np.full((6, P), 1e60))
    with pytest.raises(ValueError, match="query's sketches overflow"):
        index.query(np.full((6, P), 3e38))


@pytest.mark.parametrize(
    "call",
    [
        lambda i: i.query_pair(0, N),
        lambda i: i.query_pair(-1, 0),
        lambda i: i.query_pair(0.0, 1),
        lambda i: i.sample_exact(np.ones(P), among=[0, N]),
        lambda i: i.sample_exact(np.ones(P), among=[0.5]),
    ],
)
def test_unknown_points(call):
    with pytest.raises(IndexError, match="There is no point"):
        call(make())


def test_before_fit():
    for name, args in (("query", (np.ones(3),)), ("query_pair", (0, 1)), ("failure_probability", (0.1,))):
        with pytest.raises(NotFittedError):
            getattr(AdaptiveMahalanobisIndex(), name)(*args)
