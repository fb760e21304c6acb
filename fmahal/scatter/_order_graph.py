"""Order of the variables from the graph of their correlations: reverse Cuthill-McKee."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from scipy import stats
from scipy.sparse import csgraph

from .._typing import FloatArray

_BLOCK = 1 << 22  # correlations held at once: 32 MB
_WEDGES = 1 << 21  # pairs of edges looked at in one go
_MOST_EDGES = 1 << 26  # of a graph the caller thresholds: about 1 GB
_NEIGHBOURS = 32  # strongest correlations kept a variable when the threshold is ours
_FALSE_EDGES = 0.05  # expected number of edges between independent variables


def order_rcm(Z: FloatArray, *, threshold: float | None = None) -> np.ndarray:
    """Order the variables by the reverse Cuthill-McKee algorithm on the graph of their correlations.

    With a `threshold`, variables i and j are joined when ``|r_ij| >= threshold``. Without one the graph is the
    sparsest that tells the same components:

    1. correlations significant in the t-test, at a level that lets 0.05 edges appear between p independent
       variables; of each variable the 32 strongest;
    2. in each component the threshold rises to the largest value that keeps the component connected, the
       weakest edge of its maximum spanning tree;
    3. an edge i - j leaves when a third variable k explains it: ``|r_ij| < min(|r_ik|, |r_jk|)``, and the
       partial correlation of i and j given k is not significant at the level of 1. The edge that leaves is the
       weakest of a triangle, hence not in the maximum spanning tree: components stay connected.

    A Markov chain gives a path in this way, although all its correlations may be large. Each component is
    then numbered by breadth from a pseudo-peripheral variable, neighbours by ascending degree (ties: stronger
    correlation first), and reversed. Components come by size, those of one size by the sum of their
    squared correlations with all variables; constant columns last.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Centred columns, standardised or zero.
    threshold : float in (0, 1), optional
        Absolute correlation from which two variables are joined.

    Returns
    -------
    order : ndarray of int, shape (p,)
        ``order[j]`` is the column that comes at place j.

    Raises
    ------
    ValueError
        When `threshold` is outside (0, 1), or so low that more than 2^26 edges appear.

    See Also
    --------
    order_bic : Greedy order by the sequential regressions.

    Notes
    -----
    Signs and units of the columns do not matter, and permuted columns give the permuted order, up to ties.
    Cost: O(n p^2) time in matrix products, O(n p + edges) memory: correlations are formed in blocks of rows.

    References
    ----------
    Cuthill and McKee (1969), :doi:`10.1145/800195.805928`; George and Liu (1979), :doi:`10.1145/355841.355845`,
    for the start; Margolin et al. (2006), :doi:`10.1186/1471-2105-7-S1-S7`, for step 3.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.scatter._orders import order_rcm
    >>> chain = np.cumsum(np.random.default_rng(0).normal(size=(200, 6)), axis=1)
    >>> Z = (chain - chain.mean(axis=0)) / chain.std(axis=0)
    >>> columns = np.array([3, 0, 5, 1, 4, 2])
    >>> order = columns[order_rcm(Z[:, columns])]
    >>> sorted([int(order[0]), int(order[-1])])
    [0, 5]
    """
    if threshold is not None and not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold is an absolute correlation between 0 and 1, got {threshold}.")
    unit, kept, constant = unit_rows(Z)
    if kept.size < 2:
        return np.concatenate([kept, constant])
    if threshold is not None:
        graph, strength = _correlation_graph(unit, threshold, None)
    else:
        cut, z = _significance(Z.shape[0], kept.size)
        graph, strength = _correlation_graph(unit, cut, _NEIGHBOURS)
        graph = _drop_indirect(_raise_threshold(graph), Z.shape[0], z)
    return np.concatenate([kept[_reverse_cuthill_mckee(graph, strength)], constant])


def unit_rows(Z: FloatArray) -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """Return the columns as rows of length 1, (q, n), their indices, and those of the zero columns."""
    norms = np.sqrt(np.einsum("ij,ij->j", Z, Z))
    kept = np.flatnonzero(norms > 0.0)
    return np.ascontiguousarray((Z[:, kept] / norms[kept]).T), kept, np.flatnonzero(norms == 0.0)


def correlation_blocks(unit: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Yield the correlations of some rows with all, their own set to zero."""
    p = unit.shape[0]
    step = max(1, _BLOCK // p)
    for start in range(0, p, step):
        r = unit[start : start + step] @ unit.T
        np.fill_diagonal(r[:, start:], 0.0)
        yield start, np.clip(r, -1.0, 1.0, out=r)


def _significance(n: int, p: int) -> tuple[float, float]:
    """Return the absolute correlation, and the normal score, that only 0.05 of p(p - 1)/2 null ones exceed."""
    tail = _FALSE_EDGES / (p * (p - 1))
    if n < 3:
        return 1.0, float(stats.norm.isf(tail))
    t = float(stats.t.isf(tail, n - 2))
    return float(t / np.hypot(t, np.sqrt(n - 2))), float(stats.norm.isf(tail))


def _correlation_graph(unit: FloatArray, cut: float, most: int | None) -> tuple[sp.csr_array, FloatArray]:
    """Return the correlations of size `cut` and more, of each variable the `most` strongest, symmetric.

    Also the sum of each variable's squared correlations, which breaks ties.
    """
    p = unit.shape[0]
    strength = np.empty(p)
    rows, columns, values, edges = [], [], [], 0
    for start, r in correlation_blocks(unit):
        strong = np.abs(r) >= cut
        strength[start : start + r.shape[0]] = np.einsum("ij,ij->i", r, r)
        if most is not None:
            for row in np.flatnonzero(np.count_nonzero(strong, axis=1) > most):
                strong[row, np.argpartition(np.abs(r[row]), p - most)[: p - most]] = False
        i, j = np.nonzero(strong)
        edges += i.size
        if edges > _MOST_EDGES:
            raise ValueError(
                f"threshold={cut} joins more than {_MOST_EDGES} pairs of the {p} variables; "
                "raise it, or leave it out to let the data choose."
            )
        rows.append(i + start)
        columns.append(j)
        values.append(r[i, j])
    i, j, r = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    # one value a pair: two blocks may differ in the last bit, and one end may have dropped the other
    _, first = np.unique(np.minimum(i, j) * p + np.maximum(i, j), return_index=True)
    return _symmetric(i[first], j[first], r[first], p), strength


def _symmetric(i: np.ndarray, j: np.ndarray, r: FloatArray, p: int) -> sp.csr_array:
    both = (np.concatenate([r, r]), (np.concatenate([i, j]), np.concatenate([j, i])))
    graph = sp.csr_array(both, shape=(p, p))
    graph.sort_indices()
    # csgraph of SciPy 1.15 takes no other indices; there are never as many edges as would need more bits
    graph.indices, graph.indptr = (
        part.astype(np.int32, copy=False) for part in (graph.indices, graph.indptr)
    )
    return graph


def _raise_threshold(graph: sp.csr_array) -> sp.csr_array:
    """Drop in each component the edges below the weakest one of its maximum spanning tree."""
    p = graph.shape[0]
    cost = graph.copy()
    cost.data = 2.0 - np.abs(cost.data)  # positive: SciPy takes a zero for no edge
    tree = csgraph.minimum_spanning_tree(cost).tocoo()
    label = csgraph.connected_components(graph, directed=False)[1]
    highest = np.zeros(p)
    np.maximum.at(highest, label[tree.coords[0]], tree.data)
    edges = sp.triu(graph, k=1).tocoo()
    i, j = edges.coords
    keep = 2.0 - np.abs(edges.data) <= highest[label[i]]
    return _symmetric(i[keep], j[keep], edges.data[keep], p)


def _drop_indirect(graph: sp.csr_array, n: int, z: float) -> sp.csr_array:
    """Drop the edges that are the weakest of a triangle and vanish given its third variable."""
    p = graph.shape[0]
    edges = sp.triu(graph, k=1).tocoo()
    i, j = edges.coords
    keep = np.ones(i.size, dtype=bool)
    degree = np.diff(graph.indptr)
    ends = np.cumsum(degree[i])
    keys = np.repeat(np.arange(p), degree) * p + graph.indices
    start = 0
    while start < i.size:
        before = ends[start] - degree[i[start]]
        stop = max(start + 1, int(np.searchsorted(ends, before + _WEDGES, side="right")))
        repeat = degree[i[start:stop]]
        edge = np.repeat(np.arange(start, stop), repeat)
        slot = np.arange(edge.size) - np.repeat(np.cumsum(repeat) - repeat, repeat) + graph.indptr[i[edge]]
        r_ij, r_ik = edges.data[edge], graph.data[slot]
        stronger = np.abs(r_ik) > np.abs(r_ij)
        edge, slot, r_ij, r_ik = edge[stronger], slot[stronger], r_ij[stronger], r_ik[stronger]
        r_jk = _look_up(graph, keys, j[edge], graph.indices[slot])
        keep[edge[_explained(r_ij, r_ik, r_jk, n, z)]] = False
        start = stop
    return _symmetric(i[keep], j[keep], edges.data[keep], p)


def _look_up(graph: sp.csr_array, keys: np.ndarray, i: np.ndarray, j: np.ndarray) -> FloatArray:
    """Return the entries (i, j), zero where there is no edge; `keys` number the stored entries, ascending."""
    wanted = i.astype(np.intp) * graph.shape[0] + j  # SciPy's indices are 32 bits wide
    place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[place] == wanted, graph.data[place], 0.0)


def _explained(r_ij: FloatArray, r_ik: FloatArray, r_jk: FloatArray, n: int, z: float) -> np.ndarray:
    """Tell where k explains the correlation of i and j: a stronger path, no significant partial correlation."""
    partial = r_ij - r_ik * r_jk
    scale = np.sqrt((1.0 - r_ik**2) * (1.0 - r_jk**2))
    limit = np.tanh(z / np.sqrt(n - 4)) if n > 4 else 1.0  # Fisher's transform of the partial correlation
    return (np.abs(r_jk) > np.abs(r_ij)) & (np.abs(partial) <= limit * scale)


def _reverse_cuthill_mckee(graph: sp.csr_array, strength: FloatArray) -> np.ndarray:
    """Return the components, large ones first, each numbered by breadth from an end, backwards."""
    degree = np.diff(graph.indptr)
    size = np.abs(graph.data)
    # neighbours by ascending degree, then by descending correlation
    row = np.repeat(np.arange(degree.size), degree)
    by = np.lexsort((-size, degree[graph.indices], row))
    neighbours = np.split(graph.indices[by], graph.indptr[1:-1])
    adjacent = [a.tolist() for a in neighbours]
    n_parts, label = csgraph.connected_components(graph, directed=False)
    members = np.split(np.lexsort((strength, degree, label)), np.cumsum(np.bincount(label))[:-1])
    total = np.bincount(label, weights=strength)
    order = []
    for part in sorted(range(n_parts), key=lambda c: (-members[c].size, -total[c])):
        order.append(_peripheral_numbering(adjacent, degree, int(members[part][0]))[::-1])
    return np.concatenate(order).astype(np.intp)


def _peripheral_numbering(adjacent: list[list[int]], degree: np.ndarray, start: int) -> list[int]:
    """Return the breadth-first numbering from an end of a longest shortest path that George and Liu's walk finds."""
    order, depth = _breadth_first(adjacent, start)
    while True:
        last = [i for i in order if depth[i] == depth[order[-1]]]
        other, other_depth = _breadth_first(adjacent, min(last, key=lambda i: degree[i]))
        if other_depth[other[-1]] <= depth[order[-1]]:
            return order
        order, depth = other, other_depth


def _breadth_first(adjacent: list[list[int]], start: int) -> tuple[list[int], dict[int, int]]:
    order, depth = [start], {start: 0}
    for i in order:
        for j in adjacent[i]:
            if j not in depth:
                depth[j] = depth[i] + 1
                order.append(j)
    return order, depth
