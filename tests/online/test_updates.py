"""Each update against a fresh index with the same seeds, its cost by counting, and what an estimator must do."""

import pickle
from contextlib import contextmanager

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fmahal._maps import MAP_KINDS, RandomMap
from fmahal.online import AdaptiveMahalanobisIndex, _factor, _store
from fmahal.scatter import EmpiricalCovariance

N, P, M, K = 40, 24, 20, 6


def make(U, X, **kwargs):
    options = {"n_components": K, "n_sketches": 3, "sample_size": 2, "random_state": 7} | kwargs
    return AdaptiveMahalanobisIndex(U, **options).fit(X)


def assert_same(index, fresh, rtol=1e-10):
    """Equal arrays, relative to the largest entry of each; the sketches of `fresh` moved to the origin of `index`."""
    fresh._store.origin = index._store.origin
    fresh._store._sketched = fresh._store._sketch(fresh.points_)
    for name in ("points", "sketched", "folded", "factor"):
        ours, theirs = getattr(index._store, name), getattr(fresh._store, name)
        if theirs is None:
            assert ours is None
            continue
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * np.abs(theirs).max(), err_msg=name)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture(params=["identity", "wide", "tall"])
def metric(request, rng):
    if request.param == "identity":
        return None, np.eye(P)
    U = rng.standard_normal((M if request.param == "wide" else P + 9, P))
    return U, U


# -------------------------------------------------------------------- the metric


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_rank_one(metric, kind, rng):
    given, U = metric
    X = rng.standard_normal((N, P))
    u, v = rng.standard_normal(len(U)), rng.standard_normal(P)
    index = make(given, X, kind=kind)
    assert index.update_metric(u, v) is index
    assert_same(index, make(U + np.outer(u, v), X, kind=kind))


@pytest.mark.parametrize("r", [1, 2, 5])
def test_low_rank(metric, r, rng):
    given, U = metric
    X = rng.standard_normal((N, P))
    u, v = rng.standard_normal((len(U), r)), rng.standard_normal((P, r))
    assert_same(make(given, X).update_metric(u, v), make(U + u @ v.T, X))


def test_many_rank_one_updates(metric, rng):
    """More of them than are kept pending, so that U is brought up to date on the way."""
    given, U = metric
    X = rng.standard_normal((N, P))
    index, total = make(given, X), U.copy()
    for _ in range(3 * _factor.PENDING):
        u, v = rng.standard_normal(len(U)), rng.standard_normal(P)
        index.update_metric(u, v)
        total += np.outer(u, v)
    assert_same(index, make(total, X))


@pytest.mark.parametrize("kind", MAP_KINDS)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.coo_matrix])
def test_rows(metric, kind, form, rng):
    given, U = metric
    X = rng.standard_normal((N, P))
    rows = [5, 0, 11]
    values = rng.standard_normal((3, P)) * (rng.random((3, P)) < 0.2)
    index = make(given, X, kind=kind).update_metric_rows(rows, form(values))
    U = U.copy()
    U[rows] += values
    assert_same(index, make(U, X, kind=kind))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_more_rows_than_are_kept_pending(metric, form, rng):
    given, U = metric
    X = rng.standard_normal((N, P))
    rows = rng.permutation(len(U))[: _factor.PENDING + 1]
    values = rng.standard_normal((len(rows), P)) * (rng.random((len(rows), P)) < 0.2)
    index = make(given, X).update_metric(np.ones(len(U)), np.ones(P)).update_metric_rows(rows, form(values))
    U = U + 1.0
    U[rows] += values
    assert_same(index, make(U, X))


def test_sparse_rows_are_not_tidied_in_place(rng):
    doubled = sparse.csr_array((np.array([1.0, 2.0]), np.array([3, 3]), np.array([0, 2])), shape=(1, P))
    X = rng.standard_normal((N, P))
    index = make(None, X).update_metric_rows([2], doubled)
    assert doubled.nnz == 2
    U = np.eye(P)
    U[2, 3] += 3.0
    assert_same(index, make(U, X))


def test_no_rows_is_no_change(rng):
    X = rng.standard_normal((N, P))
    index = make(None, X).update_metric_rows([], np.zeros((0, P)))
    assert index.metric_factor_ is None
    np.testing.assert_array_equal(index._store.sketched, make(None, X)._store.sketched)


def test_the_callers_arrays_are_left_alone(rng):
    U, X = rng.standard_normal((M, P)), rng.standard_normal((N, P))
    U0, X0 = U.copy(), X.copy()
    index = make(U, X).update_metric(np.ones(M), np.ones(P)).update_metric_rows([0], np.ones((1, P)))
    index.update_point(0, np.zeros(P))
    assert not np.array_equal(index.metric_factor_, U0)
    np.testing.assert_array_equal(U, U0)
    np.testing.assert_array_equal(X, X0)


def test_identity_stays_implicit(rng):
    """Few changes of the identity do not make a p x p array; the rows U x are right all the same."""
    X = rng.standard_normal((N, P))
    u, v = rng.standard_normal(P), rng.standard_normal(P)
    index = make(None, X).update_metric(u, v).update_metric_rows([4], np.ones((1, P)))
    metric = index._store.metric
    assert metric.nbytes < P * P * 8
    U = np.eye(P) + np.outer(u, v)
    U[4] += 1.0
    np.testing.assert_allclose(metric.transform(X), X @ U.T, rtol=1e-12)
    np.testing.assert_allclose(index.metric_factor_, U, rtol=1e-12)
    np.testing.assert_allclose(metric.transform(X), X @ U.T, rtol=1e-12)
    assert index.memory_bytes_ > make(None, X).memory_bytes_


def test_an_identity_is_never_filled_by_a_refresh_or_by_sparse_rows():
    """So wide that no machine holds U: 671 GiB."""
    p = 300_000
    rng = np.random.default_rng(0)
    X, u, v = rng.standard_normal((3, p)), rng.standard_normal(p), rng.standard_normal(p) / p
    index = make(None, X, n_components=2, n_sketches=2)
    index.update_metric(u, v)
    for shift in (0, 5):  # the second meets rows of the first
        rows = 1000 * np.arange(40) + 1000 * shift
        index.update_metric_rows(rows, sparse.csr_array((np.full(40, 2.0), (np.arange(40), rows)), (40, p)))
    before = index.exact(np.zeros(p)), index._store.sketched.copy(), index._store.folded.copy()
    Y = X + np.outer(X @ v, u)
    for first in (0, 5000):
        Y[:, first : first + 40_000 : 1000] += 2.0 * X[:, first : first + 40_000 : 1000]
    np.testing.assert_allclose(before[0], (Y**2).sum(axis=1), rtol=1e-12)
    index.refresh()
    np.testing.assert_allclose(index._store.sketched, before[1], rtol=0, atol=1e-11 * abs(before[1]).max())
    np.testing.assert_allclose(index._store.folded, before[2], rtol=0, atol=1e-12 * abs(before[2]).max())
    assert index.memory_bytes_ < 40 * 8 * p


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_refresh_of_a_changed_identity(kind, rng):
    X, u, v = rng.standard_normal((N, P)), rng.standard_normal((P, 2)), rng.standard_normal((P, 2))
    values = sparse.random_array((P, P), density=0.05, rng=rng, format="csr")
    index = make(None, X, kind=kind).update_metric(u, v).update_metric_rows(np.arange(P)[::-1], values)
    index.update_metric_rows([3, 1], sparse.csr_array(values[:2]))
    assert index._store.metric.is_implicit
    U = np.eye(P) + u @ v.T
    U[::-1] += values.toarray()
    U[[3, 1]] += values[:2].toarray()
    np.testing.assert_allclose(
        index.exact(X[0]), (((X - X[0]) @ U.T) ** 2).sum(axis=1), rtol=1e-11, atol=1e-20
    )
    index.refresh()
    assert index._store.metric.is_implicit
    assert_same(index, make(U, X, kind=kind))
    np.testing.assert_allclose(index.metric_factor_, U, rtol=1e-12, atol=1e-14)
    assert_same(index, make(U, X, kind=kind))


def test_changes_that_undo_each_other_leave_no_rounding_after_a_refresh(rng):
    """Also for an identity that stays implicit, in float32."""
    X = rng.standard_normal((N, P)).astype(np.float32)
    index, plain = make(None, X), make(None, X)
    u, v = 1e4 * rng.standard_normal(P), rng.standard_normal(P)
    index.update_metric(u, v).update_metric(-u, v).refresh()
    assert index._store.metric.is_implicit
    np.testing.assert_allclose(index._store.folded, plain._store.folded, rtol=1e-6)


def test_an_identity_with_many_sparse_changes_becomes_an_array(rng):
    """When its changes would fill as much memory, and with the same numbers."""
    X = rng.standard_normal((N, P))
    index, U = make(None, X), np.eye(P)
    for _ in range(40):
        rows = rng.permutation(P)[:20]
        values = sparse.random_array((20, P), density=0.3, rng=rng, format="csr")
        index.update_metric_rows(rows, values)
        U[rows] += values.toarray()
        assert index._store.metric.nbytes <= 16 * 8 * max(P, 32) * P
    assert not index._store.metric.is_implicit
    assert_same(index, make(U, X))


def test_later_changes_of_the_callers_arrays_do_nothing(rng):
    X, u, v = rng.standard_normal((N, P)), rng.standard_normal(P), rng.standard_normal(P)
    values = rng.standard_normal((2, P))
    U = np.eye(P) + np.outer(u, v)
    U[[4, 5]] += values
    index = make(None, X).update_metric(u, v).update_metric_rows([4, 5], values)
    for array in (u, v, values):
        array[:] = 9.0
    np.testing.assert_allclose(index.metric_factor_, U, rtol=1e-12)


# -------------------------------------------------------------------- points


@pytest.mark.parametrize("kind", ["gaussian", "srht"])
def test_points(metric, kind, rng):
    given, _ = metric
    X = rng.standard_normal((N, P))
    index = make(given, X, kind=kind)
    index.update_point(4, np.arange(P))
    assert index.insert(np.ones(P)) == N
    np.testing.assert_array_equal(
        index.insert(np.ones((50, P)) + np.arange(50)[:, None]), N + 1 + np.arange(50)
    )
    now = X.copy()
    now[4] = np.arange(P)
    now = np.concatenate([now, np.ones((1, P)), np.ones((50, P)) + np.arange(50)[:, None]])
    np.testing.assert_array_equal(index.points_, now)
    assert_same(index, make(given, now, kind=kind))


def test_identifiers_survive_deletion(rng):
    X = rng.standard_normal((5, P))
    index = make(None, X)
    index.delete(1)
    np.testing.assert_array_equal(index.ids_, [0, 4, 2, 3])
    np.testing.assert_array_equal(index.points_, X[[0, 4, 2, 3]])
    index.delete([3, 0])
    np.testing.assert_array_equal(index.ids_, [2, 4])
    assert index.insert(X[1]) == 5  # never an old one
    index.update_point(4, 2 * X[4])
    np.testing.assert_array_equal(index.ids_, [2, 4, 5])
    np.testing.assert_array_equal(index.points_, np.array([X[2], 2 * X[4], X[1]]))
    assert_same(index, make(None, index.points_))


def test_room_is_doubled(rng):
    index = make(None, rng.standard_normal((8, P)))
    capacities = set()
    for z in rng.standard_normal((100, P)):
        index.insert(z)
        capacities.add(len(index._store._ids))
    assert sorted(capacities) == [16, 32, 64, 128]
    assert index.n_points_ == 108


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_the_smallest_sizes(kind):
    """One point, one column, one number a sketch, one sketch; no new points."""
    index = make(None, [[2.0]], n_components=1, n_sketches=1, sample_size=1, kind=kind)
    index.update_metric([1.0], [2.0]).update_point(0, [5.0]).update_metric_rows([0], [[1.0]])
    assert index.insert(np.empty((0, 1))).tolist() == []
    assert index.insert([7.0]) == 1
    index.refresh()
    np.testing.assert_array_equal(index.metric_factor_, [[4.0]])
    fresh = make([[4.0]], [[5.0], [7.0]], n_components=1, n_sketches=1, sample_size=1, kind=kind)
    assert_same(index, fresh)
    assert index.delete([]).n_points_ == 2


def test_a_rank_above_that_of_the_metric(rng):
    X, u, v = rng.standard_normal((N, 3)), rng.standard_normal((3, 40)), rng.standard_normal((3, 40))
    assert_same(
        make(None, X, n_components=2).update_metric(u, v), make(np.eye(3) + u @ v.T, X, n_components=2)
    )


def test_refresh(metric, rng):
    given, _ = metric
    X = rng.standard_normal((N, P))
    index = make(given, X)
    index.update_metric(np.ones(index._store.metric.shape[0]), np.ones(P)).delete(3)
    index._store._sketched += 1.0  # stands for rounding that has piled up
    index._store.folded += 1.0
    index.refresh()
    fresh = make(index.metric_factor_, index.points_)
    np.testing.assert_array_equal(index._store.origin, fresh._store.origin)
    for name in ("folded", "sketched"):
        ours, theirs = getattr(index._store, name), getattr(fresh._store, name)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14 * abs(theirs).max())


def test_float32(metric, rng):
    given, U = metric
    X = rng.standard_normal((N, P)).astype(np.float32)
    u, v = rng.standard_normal((len(U), 3)), rng.standard_normal((P, 3))
    values = sparse.random_array((2, P), density=0.3, rng=rng)
    index = make(given, X).update_metric(u, v).update_metric_rows([1, 2], values)
    index.update_point(0, np.ones(P))
    index.insert(np.zeros((2, P)))
    assert index.points_.dtype == index._store.sketched.dtype == index._store.folded.dtype == np.float32
    U = U + u @ v.T
    U[[1, 2]] += values.toarray()
    assert_same(index, make(U, index.points_), rtol=1e-5)
    np.testing.assert_allclose(index.metric_factor_, U, rtol=1e-12)  # U stays in float64


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_change_nothing(scale, rng):
    X, u, v = rng.standard_normal((N, P)), rng.standard_normal(P), rng.standard_normal(P)
    one = make(None, X).update_metric(u, v)
    other = make(None, X * scale).update_metric(u, v)
    np.testing.assert_allclose(
        other._store.sketched, one._store.sketched * scale, rtol=1e-9, atol=1e-12 * scale
    )


def test_the_metric_of_a_scatter(rng):
    """The recipe of the docstring: distances to the location are the squared Mahalanobis distances."""
    X = rng.standard_normal((200, P)) @ rng.standard_normal((P, P)) + 3.0
    scatter = EmpiricalCovariance().fit(X)
    index = make(scatter.whitener_.whiten(np.eye(P)).T, X)
    np.testing.assert_allclose(index.exact(scatter.location_), scatter.mahalanobis(X), rtol=1e-9)


@pytest.mark.parametrize("offset", [1e5, 1e6])
def test_an_offset_of_all_points_costs_no_digits(offset):
    """float32 points of unit spread, as they are after rounding at the offset; after updates of every kind."""
    rng = np.random.default_rng(0)
    p, k, t = 200, 40, 6
    X = (offset + rng.standard_normal((60, p))).astype(np.float32)
    index = make(None, X, n_components=k)
    index.insert(offset + rng.standard_normal((5, p)))
    index.update_point(1, offset + rng.standard_normal(p))
    index.update_metric(rng.standard_normal(p), rng.standard_normal(p))
    index.update_metric(rng.standard_normal((p, t)), rng.standard_normal((p, t)))
    values = rng.standard_normal((2, p))
    index.update_metric_rows([0, 1], values).update_metric_rows([5, 9], sparse.csr_array(values))
    x = index.points_[0]
    U = index.metric_factor_
    gaps = (index.points_.astype(np.float64) - x) @ U.T
    everything = np.array([((gaps @ S.matrix().T) ** 2).sum(axis=1) for S in index._store.maps])
    typical = np.median(everything)
    for _ in range(6):
        for got in (index.query(x), index.query(np.tile(x, (6, 1)))[5]):
            assert got[0] < 1e-9 * typical
            near = [np.sort(everything[:, i]) for i in range(len(got))]
            lowest, highest = np.array([[n[0], n[-1]] for n in near])[1:].T
            slack = 1e-4 * typical
            assert np.all((got[1:] > lowest - slack) & (got[1:] < highest + slack))


def test_a_refresh_follows_points_that_moved_away():
    """What the notes of `query` say of the origin: rounding is relative to the distance from it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 200)).astype(np.float32)
    index = make(None, X, n_components=40)
    new = index.insert(X + np.float32(1e6))
    index.delete(np.arange(60))
    assert set(index.ids_) == set(new)
    x = index.points_[0]
    typical = np.median(index.exact(x))
    assert index.query(x)[0] > 1e-6 * typical
    assert index.refresh().query(x)[0] < 1e-9 * typical


# -------------------------------------------------------------------- costs, by counting


@contextmanager
def counted(monkeypatch):
    """Multiply-adds of every product, and entries that go through the maps."""
    counts = {"product": 0, "map": 0}
    dot_rows, dot_centred, add_product = _store.dot_rows, _store.dot_centred, _store.add_product
    row_by_sparse, add_sparse = _store.row_by_sparse, _store.add_sparse
    apply = RandomMap.apply

    def count_dot(A, B, out=None):
        counts["product"] += A.shape[0] * A.shape[1] * B.shape[0]
        return dot_rows(A, B, out=out)

    def count_centred(A, origin, B):
        counts["product"] += A.shape[0] * A.shape[1] * B.shape[0]
        return dot_centred(A, origin, B)

    def count_add(C, A, B):
        counts["product"] += C.size * len(B)
        add_product(C, A, B)

    def count_sparse(A, origin, values):
        counts["product"] += len(A) * values.nnz
        return row_by_sparse(A, origin, values)

    def count_sparse_sum(C, B, values):
        counts["product"] += B.shape[1] * values.nnz
        add_sparse(C, B, values)

    def count_apply(self, rows):
        counts["map"] += np.size(rows)
        return apply(self, rows)

    with monkeypatch.context() as patch:
        for module in (_store, _factor):
            patch.setattr(module, "dot_rows", count_dot)
            patch.setattr(module, "add_product", count_add)
        patch.setattr(_store, "dot_centred", count_centred)
        patch.setattr(_store, "row_by_sparse", count_sparse)
        patch.setattr(_store, "add_sparse", count_sparse_sum)
        patch.setattr(RandomMap, "apply", count_apply)
        yield counts


@pytest.mark.parametrize("t", [1, 3])
def test_cost_of_a_low_rank_update(monkeypatch, t, rng):
    n, p, m, k, L = 60, 50, 40, 8, 3
    index = make(rng.standard_normal((m, p)), rng.standard_normal((n, p)), n_components=k)
    with counted(monkeypatch) as counts:
        index.update_metric(np.ones((m, t)), np.ones((p, t)))
    assert counts == {"product": t * (n * p + L * n * k + L * k * p + L * k * m), "map": 0}
    assert counts["product"] < n * k * p  # not even one sketch is formed again
    with counted(monkeypatch) as counts:
        index.refresh()
    assert counts["product"] == L * k * (n * p + m * p) + t * m * p  # and what was pending


def test_cost_of_updates_under_fast_maps(monkeypatch, rng):
    n, p, k, L = 60, 64, 60, 3
    index = make(None, rng.standard_normal((n, p)), n_components=k, kind="srht")
    with counted(monkeypatch) as counts:
        index.update_point(0, np.ones(p))
    assert counts == {"product": 0, "map": L * p}  # the fast transform of one row, once a map
    with counted(monkeypatch) as counts:
        index.update_metric(np.ones(p), np.ones(p))
    assert counts == {"product": n * p + L * n * k + L * k * p, "map": L * p}


def test_cost_of_sparse_rows(monkeypatch, rng):
    n, p, m, k, L = 60, 50, 40, 8, 3
    index = make(rng.standard_normal((m, p)), rng.standard_normal((n, p)), n_components=k)
    values = sparse.csr_array(([1.0, 2.0], ([0, 1], [3, 9])), shape=(2, p))
    with counted(monkeypatch) as counts:
        index.update_metric_rows([4, 5], values)
    assert counts == {"product": 2 * n + 2 * L * n * k + 2 * L * k, "map": 0}


@pytest.mark.parametrize("kind", ["sparse", "srht"])
@pytest.mark.parametrize("fast", [False, True])
def test_both_ways_to_sketch_rows_agree(metric, kind, fast, monkeypatch, rng):
    """The rule that chooses between the folded maps and the transforms changes the cost, not the numbers."""
    given, U = metric
    X = rng.standard_normal((N, P))
    monkeypatch.setitem(_store._ADDITION, kind, -np.inf if fast else np.inf)
    index = make(given, X, kind=kind, n_sketches=30, sample_size=2)
    assert index._store._transforms_first() is fast
    gaps = X - X.mean(axis=0)
    for number, one in enumerate(index._store.maps):
        np.testing.assert_allclose(
            index._store.sketched[number],
            gaps @ U.T @ one.matrix().T,
            rtol=0,
            atol=1e-12 * abs(X @ U.T).max(),
        )


def test_the_cheaper_way_is_taken(rng):
    X = np.ones((2, 256))

    def ways(U, k, kind):
        return make(U, X, n_components=k, kind=kind, n_sketches=10)._store._transforms_first()

    assert ways(None, 200, "srht")  # 5 * 8 for a column instead of 200 multiply-adds
    assert ways(None, 200, "sparse")  # 20 * 8
    assert not ways(None, 150, "sparse")
    assert not ways(None, 16, "srht")
    assert not ways(None, 200, "gaussian")
    assert ways(np.eye(256), 200, "srht")  # 256 / 10 more for the rows U x
    assert not ways(np.eye(256), 40, "srht")


def test_cost_of_points(monkeypatch, rng):
    p, m, k, L = 50, 40, 8, 3
    index = make(rng.standard_normal((m, p)), rng.standard_normal((60, p)), n_components=k)
    with counted(monkeypatch) as counts:
        index.update_point(0, np.ones(p))
        index.insert(np.ones((4, p)))
    assert counts == {"product": 5 * L * k * p, "map": 0}
    with counted(monkeypatch) as counts:
        index.delete([0, 1])
    assert counts == {"product": 0, "map": 0}


def test_a_change_of_the_metric_touches_u_once_in_many(monkeypatch, rng):
    """The m p multiply-adds of U are paid once for `PENDING` changes of rank one."""
    n, p, m, k, L = 2, 50, 40, 1, 1
    index = make(
        rng.standard_normal((m, p)), rng.standard_normal((n, p)), n_components=k, n_sketches=L, sample_size=1
    )
    passes = []
    add_product = _factor.add_product
    monkeypatch.setattr(_factor, "add_product", lambda C, A, B: (passes.append(len(B)), add_product(C, A, B)))
    for _ in range(2 * _factor.PENDING + 1):
        index.update_metric(np.ones(m), np.ones(p))
    assert passes == [_factor.PENDING, _factor.PENDING]


# -------------------------------------------------------------------- an estimator


def test_parameters_and_clone(rng):
    U = rng.standard_normal((M, P))
    index = AdaptiveMahalanobisIndex(
        U, n_components=3, n_sketches=4, sample_size=1, kind="sparse", random_state=2
    )
    assert set(index.get_params()) == {
        "metric_factor", "n_components", "n_sketches", "sample_size", "kind", "random_state"
    }  # fmt: skip
    fitted = index.fit(rng.standard_normal((N, P)))
    again = clone(fitted)
    assert again.get_params()["n_components"] == 3
    assert not hasattr(again, "ids_")
    np.testing.assert_array_equal(again.metric_factor, U)
    assert fitted.set_params(n_components=5).fit(fitted.points_)._store.folded.shape == (4, 5, P)


@pytest.mark.parametrize("kind", ["gaussian", "srht"])
def test_pickling(kind, rng):
    index = make(None, rng.standard_normal((N, P)), kind=kind)
    index.insert(np.ones(P))
    index.update_metric(np.ones(P), np.ones(P)).delete([0, 5])
    copy = pickle.loads(pickle.dumps(index))
    assert copy.memory_bytes_ < index.memory_bytes_  # without the room for further points
    for one in (index, copy):
        one.update_point(N, np.zeros(P))
        one.insert(np.full((3, P), 2.0))
        one.update_metric(np.arange(P), np.ones(P))
    np.testing.assert_array_equal(copy.ids_, index.ids_)
    assert_same(copy, index, rtol=1e-15)


def test_refitting_starts_anew(rng):
    X = rng.standard_normal((N, P))
    index = make(None, X)
    before = index._store.sketched.copy()
    index.update_metric(np.ones(P), np.ones(P)).delete(0)
    np.testing.assert_array_equal(index.fit(X)._store.sketched, before)
    assert index.metric_factor_ is None
    np.testing.assert_array_equal(index.ids_, np.arange(N))


def test_seeds(rng):
    X = rng.standard_normal((N, P))
    first = make(None, X)._store
    assert len({one.seed for one in first.maps}) == 3
    assert not np.array_equal(first.sketched, make(None, X, random_state=8)._store.sketched)
    more = make(None, X, n_sketches=5)._store  # a further sketch leaves the others as they are
    np.testing.assert_array_equal(more.sketched[:3], first.sketched)


def test_attributes_are_views_that_cannot_be_written(rng):
    index = make(rng.standard_normal((M, P)), rng.standard_normal((N, P)))
    for array in (index.points_, index.metric_factor_):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    index.ids_[0] = 9  # a copy
    assert index.ids_[0] == 0


def test_memory(rng):
    n, p, m, k, L = N, P, M, K, 3
    index = make(rng.standard_normal((m, p)), rng.standard_normal((n, p)).astype(np.float32))
    assert index.memory_bytes_ == 4 * (n * p + p + L * n * k + L * k * p + L * k * m) + 8 * m * p + 8 * n


@pytest.mark.parametrize("name", ["ids_", "n_points_", "points_", "metric_factor_", "memory_bytes_"])
def test_not_fitted(name):
    index = AdaptiveMahalanobisIndex()
    assert not hasattr(index, name)
    with pytest.raises(NotFittedError, match="fit"):
        getattr(index, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda index: index.update_metric([1.0], [1.0]),
        lambda index: index.update_metric_rows([0], [[1.0]]),
        lambda index: index.update_point(0, [1.0]),
        lambda index: index.insert([1.0]),
        lambda index: index.delete(0),
        lambda index: index.refresh(),
    ],
)
def test_updates_need_a_fit(call):
    with pytest.raises(NotFittedError):
        call(AdaptiveMahalanobisIndex())
