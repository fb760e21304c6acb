"""Orders of the variables: recovery of chains, agreement with the slow twins, equivariance, bad input."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csgraph

from fmahal.scatter import _order_graph, _orders
from fmahal.scatter._orders import check_order, order_bic, order_rcm, random_orders

METHODS = [order_bic, order_rcm]
RHOS = [0.5, 0.6, 0.7, 0.8, 0.9]


def standardise(X):
    X = X - X.mean(axis=0)
    sd = X.std(axis=0)
    return np.ascontiguousarray(X / np.where(sd > 0, sd, 1.0))


def chain(n, p, rho, rng):
    """Rows of an AR(1) series with unit variance."""
    X = rng.normal(size=(n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    return X


def is_chain(path):
    steps = np.diff(path)
    return abs(steps[0]) == 1 and bool((steps == steps[0]).all())


def same_up_to_reversal(a, b):
    return np.array_equal(a, b) or np.array_equal(a, b[::-1])


def assert_permutation(order, p):
    assert order.dtype == np.intp
    assert sorted(order.tolist()) == list(range(p))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rho", RHOS)
def test_a_shuffled_chain_is_recovered(method, rho):
    found = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, columns = chain(200, 50, rho, rng), rng.permutation(50)
        found += is_chain(columns[method(standardise(X[:, columns]))])
    assert found >= 9


@pytest.mark.parametrize("method", METHODS)
def test_a_chain_with_more_variables_than_rows_is_recovered(method):
    rng = np.random.default_rng(1)
    X, columns = chain(60, 150, 0.9, rng), rng.permutation(150)
    assert is_chain(columns[method(standardise(X[:, columns]))])


@pytest.mark.parametrize(("n", "p", "m"), [(40, 7, 1), (40, 9, 3), (12, 14, 2), (200, 10, 5)])
def test_order_bic_equals_its_twin(n, p, m):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        Z = standardise(rng.normal(size=(n, 3)) @ rng.normal(size=(3, p)) + rng.normal(size=(n, p)))
        assert same_up_to_reversal(order_bic(Z, max_predecessors=m), reference.greedy_bic_order(Z, m))


def test_the_sequence_stops_at_the_price_of_the_search():
    rng = np.random.default_rng(3)
    Z = standardise(np.hstack([chain(100, 5, 0.9, rng), chain(100, 6, 0.8, rng), rng.normal(size=(100, 3))]))
    columns = rng.permutation(14)
    order = order_bic(Z[:, columns], max_predecessors=2)
    assert order.tolist() == reference.greedy_bic_order(Z[:, columns], 2)
    assert is_chain(columns[order[:5]])
    assert is_chain(columns[order[5:11]])


def test_the_graph_equals_its_twin():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        p, n = 14, 80
        Z = standardise(np.hstack([chain(n, 8, 0.8, rng), chain(n, 4, 0.6, rng), rng.normal(size=(n, 2))]))
        cut, z = _order_graph._significance(n, p)
        unit = _order_graph.unit_rows(Z)[0]
        graph, _ = _order_graph._correlation_graph(unit, cut, 32)
        graph = _order_graph._drop_indirect(_order_graph._raise_threshold(graph), n, z)
        edges = set(zip(*(index.tolist() for index in sp.triu(graph).tocoo().coords), strict=True))
        assert edges == reference.correlation_skeleton(Z.T @ Z / n, n, cut, z)


def test_the_graph_does_not_depend_on_blocks(monkeypatch):
    Z = standardise(chain(80, 40, 0.8, np.random.default_rng(0)))
    whole = [method(Z) for method in METHODS]
    monkeypatch.setattr(_order_graph, "_BLOCK", 7 * 40)
    monkeypatch.setattr(_order_graph, "_WEDGES", 5)
    for method, expected in zip(METHODS, whole, strict=True):
        np.testing.assert_array_equal(method(Z), expected)


def test_dropping_indirect_edges_keeps_components_and_the_spanning_tree():
    rng = np.random.default_rng(5)
    Z = standardise(rng.normal(size=(60, 4)) @ rng.normal(size=(4, 40)) + rng.normal(size=(60, 40)))
    unit = _order_graph.unit_rows(Z)[0]
    full = _order_graph._raise_threshold(_order_graph._correlation_graph(unit, 0.4, 40)[0])
    sparse = _order_graph._drop_indirect(full, 60, 4.0)
    assert sparse.nnz < full.nnz
    assert csgraph.connected_components(full)[0] == csgraph.connected_components(sparse)[0]

    def tree(graph):
        cost = graph.copy()
        cost.data = 2 - np.abs(cost.data)
        return csgraph.minimum_spanning_tree(cost).sum()

    np.testing.assert_allclose(tree(sparse), tree(full), rtol=1e-12)


def test_strongest_neighbours_bound_the_graph():
    Z = standardise(
        np.random.default_rng(0).normal(size=(50, 1)) + np.random.default_rng(1).normal(size=(50, 30))
    )
    unit = _order_graph.unit_rows(Z)[0]
    graph, strength = _order_graph._correlation_graph(unit, 0.01, 4)
    R = np.abs(Z.T @ Z / 50)
    np.fill_diagonal(R, 0)
    np.testing.assert_allclose(strength, (R**2).sum(axis=1), rtol=1e-10)
    top = np.argsort(-R, axis=1)[:, :4]
    expected = {(min(i, j), max(i, j)) for i in range(30) for j in top[i].tolist()}
    assert set(zip(*(index.tolist() for index in sp.triu(graph).tocoo().coords), strict=True)) == expected


def bandwidth(graph, order):
    place = np.argsort(order)
    i, j = graph.nonzero()
    return np.abs(place[i] - place[j]).max()


def test_bandwidth_is_no_larger_than_scipys_on_grids():
    for rows, columns in [(3, 12), (5, 8), (2, 30)]:
        line = [
            sp.diags_array([np.full(k - 1, 0.5)] * 2, offsets=[-1, 1], shape=(k, k)) for k in (rows, columns)
        ]
        grid = sp.csr_array(sp.kronsum(line[0], line[1]))
        shuffle = np.random.default_rng(rows).permutation(rows * columns)
        grid = sp.csr_array(grid[shuffle][:, shuffle])
        grid.sort_indices()
        ours = _order_graph._reverse_cuthill_mckee(grid, np.ones(rows * columns))
        peer = csgraph.reverse_cuthill_mckee(sp.csr_matrix(grid), symmetric_mode=True)
        assert_permutation(ours, rows * columns)
        assert bandwidth(grid, ours) <= bandwidth(grid, peer)
        assert bandwidth(grid, ours) <= min(rows, columns) + 1


def test_a_given_threshold_is_used_as_it_is():
    rng = np.random.default_rng(0)
    X = chain(400, 30, 0.6, rng)
    columns = rng.permutation(30)
    Z = standardise(X[:, columns])
    assert is_chain(columns[order_rcm(Z, threshold=0.49)])
    R = np.abs(Z.T @ Z / 400)
    graph = sp.csr_array(np.where(R >= 0.25, R, 0.0) - np.diag(np.diagonal(R)))
    assert graph.nnz > 80  # joins variables two steps apart
    assert 2 <= bandwidth(graph, order_rcm(Z, threshold=0.25)) <= 3
    np.testing.assert_array_equal(order_rcm(Z, threshold=0.95), np.argsort(-(R**2).sum(axis=1)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["chain", "factors"])
def test_permuted_columns_give_the_permuted_order(method, kind):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(100, 3)) @ rng.normal(size=(3, 25)) + rng.normal(size=(100, 25))
    Z = standardise(chain(100, 25, 0.85, rng) if kind == "chain" else X)
    order = method(Z)
    for _ in range(5):
        columns = rng.permutation(25)
        assert same_up_to_reversal(columns[method(np.ascontiguousarray(Z[:, columns]))], order)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_and_signs_do_not_matter(method, scale):
    rng = np.random.default_rng(2)
    Z = standardise(chain(100, 30, 0.8, rng))
    units = scale ** rng.uniform(size=30) * rng.choice([-1.0, 1.0], size=30)
    order = method(Z)
    np.testing.assert_array_equal(method(Z * scale), order)
    np.testing.assert_array_equal(method(Z * units), order)


@pytest.mark.parametrize("method", METHODS)
def test_blocks_are_contiguous(method):
    rng = np.random.default_rng(4)
    X = np.repeat(rng.normal(size=(150, 6)), 5, axis=1) + 0.7 * rng.normal(size=(150, 30))
    columns = rng.permutation(30)
    blocks = columns[method(standardise(X[:, columns]))] // 5
    assert np.count_nonzero(np.diff(blocks)) == 5


@pytest.mark.parametrize("method", METHODS)
def test_constant_columns_come_last_in_their_order(method):
    rng = np.random.default_rng(6)
    Z = standardise(chain(100, 12, 0.8, rng))
    full = np.insert(Z, [0, 4, 12], 0.0, axis=1)
    order = method(full)
    assert order[-3:].tolist() == [0, 5, 14]
    kept = np.setdiff1d(np.arange(15), [0, 5, 14])
    np.testing.assert_array_equal(order[:-3], kept[method(Z)])


@pytest.mark.parametrize("method", METHODS)
def test_a_duplicate_stands_beside_its_twin(method):
    rng = np.random.default_rng(8)
    X = chain(150, 12, 0.7, rng)
    columns = rng.permutation(13)
    source = np.append(np.arange(12), 5)[columns]
    path = source[method(standardise(X[:, source]))]
    first = int(np.flatnonzero(path == 5)[0])
    assert path[first + 1] == 5
    assert is_chain(np.delete(path, first))


@pytest.mark.parametrize("method", METHODS)
def test_all_columns_equal_or_constant(method):
    column = np.random.default_rng(0).normal(size=(20, 1))
    assert_permutation(method(standardise(np.tile(column, 6))), 6)
    np.testing.assert_array_equal(method(np.zeros((20, 4))), np.arange(4))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("n", "p"), [(1, 3), (2, 1), (2, 5), (3, 1), (3, 2), (3, 8), (4, 6), (5, 40), (50, 1), (50, 2)]
)
def test_small_sizes(method, n, p):
    Z = standardise(np.random.default_rng(n * p).normal(size=(n, p)))
    order = method(Z)
    assert_permutation(order, p)
    np.testing.assert_array_equal(method(Z), order)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 12), p=st.integers(1, 9), seed=st.integers(0, 999), m=st.integers(1, 12))
def test_every_result_is_a_permutation(n, p, seed, m):
    Z = standardise(
        np.random.default_rng(seed).integers(-1, 2, size=(n, p)).astype(float)
    )  # ties, duplicates
    assert_permutation(order_bic(Z, max_predecessors=m), p)
    assert_permutation(order_rcm(Z), p)
    assert_permutation(order_rcm(Z, threshold=0.5), p)


def test_independent_variables_are_not_joined():
    joined = 0
    for seed in range(10):
        Z = standardise(np.random.default_rng(seed).normal(size=(100, 60)))
        cut, _ = _order_graph._significance(100, 60)
        joined += _order_graph._correlation_graph(_order_graph.unit_rows(Z)[0], cut, 32)[0].nnz > 0
    assert joined <= 3  # one in twenty expected


def test_random_orders_are_permutations_reproducible_and_nested():
    orders = random_orders(30, 8, random_state=3)
    assert orders.shape == (8, 30)
    for row in orders:
        assert_permutation(row, 30)
    assert len({tuple(row) for row in orders}) == 8
    np.testing.assert_array_equal(orders, random_orders(30, 8, random_state=3))
    np.testing.assert_array_equal(orders[:3], random_orders(30, 3, random_state=3))
    assert not np.array_equal(orders, random_orders(30, 8, random_state=4))


def test_random_orders_are_uniform():
    orders = random_orders(4, 2400, random_state=0)
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert counts.size == 24
    assert ((counts - 100) ** 2 / 100).sum() < 49.7  # 0.999 quantile of chi-square with 23 degrees of freedom


def test_random_orders_advance_a_generator():
    first, second = np.random.default_rng(0), np.random.default_rng(0)
    a, b = random_orders(20, 1, first), random_orders(20, 1, first)
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, random_orders(20, 1, second))


def test_a_given_order_is_copied():
    given_order = np.array([2, 0, 1])
    order = check_order(given_order, 3)
    order[0] = 7
    assert given_order.tolist() == [2, 0, 1]
    assert check_order(range(4), 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("order", "p", "message"),
    [
        ([0, 1, 1], 3, "0 ... 2: twice or more 1; missing 2"),
        ([0, 1], 3, "missing 2"),
        ([0, 1, 2, 2], 3, "twice or more 2."),
        ([0, 1, 3], 3, "out of range 3"),
        ([-1, 0, 1], 3, "out of range -1"),
        ([], 2, "missing 0, 1"),
        ([0, 0], 9, "missing 1, 2, 3, 4, 5 and 3 more"),
        ([0.0, 1.0], 2, "dtype float64"),
        ([True, False], 2, "dtype bool"),
        ([[0, 1]], 2, r"shape (1, 2)"),
    ],
)
def test_what_is_not_a_permutation(order, p, message):
    with pytest.raises(ValueError, match="order must be a permutation of 0") as caught:
        check_order(order, p)
    assert message in str(caught.value)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "a"])
def test_bad_numbers(bad):
    Z = standardise(np.random.default_rng(0).normal(size=(20, 4)))
    with pytest.raises(ValueError, match="max_predecessors must be a positive integer"):
        order_bic(Z, max_predecessors=bad)
    with pytest.raises(ValueError, match="n_orders must be a positive integer"):
        random_orders(4, bad)
    with pytest.raises(ValueError, match="p must be a positive integer"):
        random_orders(bad, 4)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1, np.nan])
def test_bad_threshold(bad):
    Z = standardise(np.random.default_rng(0).normal(size=(20, 4)))
    with pytest.raises(ValueError, match="absolute correlation between 0 and 1"):
        order_rcm(Z, threshold=bad)


def test_too_many_edges_are_refused(monkeypatch):
    monkeypatch.setattr(_order_graph, "_MOST_EDGES", 50)
    Z = standardise(np.random.default_rng(0).normal(size=(20, 30)))
    with pytest.raises(ValueError, match=r"threshold=0\.001 joins more than 50 pairs"):
        order_rcm(Z, threshold=0.001)


def test_gains_equal_regressions():
    rng = np.random.default_rng(0)
    Z = standardise(chain(300, 20, 0.8, rng))
    window = (4, 9, 2)
    growth = _orders._Growth(_order_graph.unit_rows(Z)[0], 300, 3)
    seen = {i: growth.rows @ growth.unit[i] for i in window}
    scores = growth._scores(window, seen)
    for j in set(range(20)) - set(window):
        np.testing.assert_allclose(scores[j], reference.nearest_bic_gain(Z, j, list(window)), rtol=1e-9)


def test_indices_beyond_32_bits():
    """A chain and its shortcut among 100000 variables: row times p does not fit into 32 bits."""
    p = 100_000
    i, j = np.array([[p - 3, p - 2, p - 3], [p - 2, p - 1, p - 1]], dtype=np.int32)
    graph = _order_graph._symmetric(i, j, np.array([0.8, 0.7, 0.56]), p)
    left = sp.triu(_order_graph._drop_indirect(graph, 200, 4.0)).tocoo()
    assert sorted(left.data.tolist()) == [0.7, 0.8]


def test_indices_of_the_graph_are_those_that_csgraph_takes_in_every_version():
    pairs = np.array([0, 1], dtype=np.int64), np.array([1, 2], dtype=np.int64)
    graph = _order_graph._symmetric(*pairs, np.array([0.5, -0.5]), 3)
    assert graph.indices.dtype == graph.indptr.dtype == np.int32
    np.testing.assert_array_equal(graph.toarray(), [[0, 0.5, 0], [0.5, 0, -0.5], [0, -0.5, 0]])
