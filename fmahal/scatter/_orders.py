"""Orders of the variables for the modified Cholesky factorisation: given, greedy, by bandwidth, at random."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from .._random import as_seed_sequence
from .._typing import ArrayLike, FloatArray, RandomState
from ._order_graph import correlation_blocks, order_rcm, unit_rows

if TYPE_CHECKING:
    from ._chain import Columns

_TIE = 1e-9  # relative difference of two gains that rounding can make

__all__ = ["check_order", "chosen_orders", "order_bic", "order_rcm", "random_orders"]


def chosen_orders(
    columns: Columns, order: ArrayLike | str | None, n_orders: int, random_state: RandomState
) -> list[np.ndarray]:
    """Return the orders that the parameters of a modified Cholesky estimator mean for these columns."""
    p = columns.X.shape[1]
    if n_orders > 1:
        return list(random_orders(p, n_orders, random_state))
    if order is None:
        return [np.arange(p)]
    if isinstance(order, str):
        if order not in ("bic", "rcm"):
            raise ValueError(f'order must be None, "bic", "rcm" or a permutation, got {order!r}.')
        Z = columns.standardised() * (columns.scale / columns.units)
        return [(order_bic if order == "bic" else order_rcm)(np.ascontiguousarray(Z))]
    return [check_order(order, p)]


def check_order(order: ArrayLike, p: int) -> np.ndarray:
    """Return `order` as an integer array after checking that it is a permutation.

    Parameters
    ----------
    order : array_like of int, shape (p,)
        ``order[j]`` is the column that comes at place j.
    p : int
        Number of columns.

    Returns
    -------
    order : ndarray of int, shape (p,)
        A copy.

    Raises
    ------
    ValueError
        When a column is missing, appears twice or does not exist; the message names them.

    Notes
    -----
    Cost: O(p).

    Examples
    --------
    >>> from fmahal.scatter._orders import check_order
    >>> check_order([2, 0, 1], 3)
    array([2, 0, 1])
    """
    what = f"order must be a permutation of 0 ... {p - 1}"
    array = np.asarray(order)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{what}: got dtype {array.dtype}, shape {array.shape}; give a vector of {p} integers."
        )
    if not all(0 <= i < p for i in (array.min(initial=0), array.max(initial=0))):
        wrong = np.unique(array[(array < 0) | (array >= p)])
        raise ValueError(f"{what}: out of range {_some(wrong)}.")
    counts = np.bincount(array.astype(np.intp), minlength=p)
    faults = [
        (name, np.flatnonzero(mask))
        for name, mask in (("twice or more", counts > 1), ("missing", counts == 0))
    ]
    if any(which.size for _, which in faults):
        raise ValueError(
            f"{what}: " + "; ".join(f"{name} {_some(which)}" for name, which in faults if which.size) + "."
        )
    return array.astype(np.intp)


def random_orders(p: int, n_orders: int, random_state: RandomState = None) -> np.ndarray:
    """Return independent uniform permutations of 0 ... p-1.

    Order k comes from child k of the call's one seed sequence: it depends neither on `n_orders` nor on who
    works on which order.

    Parameters
    ----------
    p, n_orders : int
        Length and number of the permutations.
    random_state : int, RandomState, Generator or None
        Seed.

    Returns
    -------
    orders : ndarray of int, shape (n_orders, p)
        One permutation a row.

    Raises
    ------
    ValueError
        When `p` or `n_orders` is not a positive integer, or the seed is none.

    Notes
    -----
    Cost: O(p n_orders).

    Examples
    --------
    >>> from fmahal.scatter._orders import random_orders
    >>> orders = random_orders(4, 3, random_state=0)
    >>> orders.shape, sorted(orders[0].tolist())
    ((3, 4), [0, 1, 2, 3])
    """
    p, n_orders = _positive(p, "p"), _positive(n_orders, "n_orders")
    children = as_seed_sequence(random_state).spawn(n_orders)
    orders = np.empty((n_orders, p), dtype=np.intp)
    for row, child in zip(orders, children, strict=True):
        row[:] = np.random.default_rng(child).permutation(p)
    return orders


def order_bic(Z: FloatArray, *, max_predecessors: int | None = None) -> np.ndarray:
    """Order the variables greedily by the Bayesian information criterion of their sequential regressions.

    A sequence grows at both ends from the most correlated pair. The gain of putting variable j at an end is
    the fall of the BIC when j is regressed on the k variables nearest to that end instead of on nothing,

        gain(j) = max_{1 <= k <= m} [ -n log(1 - R^2_{j, k}) - k log n ],    m = `max_predecessors`,

    and the next variable is the one with the largest gain, at the end where it has it (where both ends give
    the same, at the end whose last variable is nearer). The sum of the gains, which is what the sequence
    greedily maximises, is BIC(independence) - BIC(sequence). Both ends are allowed
    since a banded Gaussian law read backwards is banded with the same band: a sequence that begins in the
    middle of a chain still finds all of it. No variable is added for a gain below ``2 log p``, the price of
    having searched p of them (extended BIC); the sequence then ends, and the next one begins with the most
    correlated pair of the variables left, and is turned so that it goes on from the end of the one before.
    What is related to nothing left follows as one last sequence, grown without that price, and constant
    columns come last.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Centred columns, standardised or zero.
    max_predecessors : int, optional
        m, at most n - 2. Default: 5, and not more than n / 10.

    Returns
    -------
    order : ndarray of int, shape (p,)
        ``order[j]`` is the column that comes at place j.

    Raises
    ------
    ValueError
        When `max_predecessors` is not a positive integer.

    See Also
    --------
    order_rcm : Order from the graph of the correlations.

    Notes
    -----
    Signs and units of the columns do not matter, and permuted columns give the permuted order, up to ties. A
    duplicated column stands beside its twin. Cost: O(p^2 (n + m^2)) time and O(p (n + m)) memory: no p x p
    array is formed.

    References
    ----------
    Schwarz (1978), :doi:`10.1214/aos/1176344136`; Chen and Chen (2008), :doi:`10.1093/biomet/asn034`, for the
    price of the search.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.scatter._orders import order_bic
    >>> chain = np.cumsum(np.random.default_rng(0).normal(size=(200, 6)), axis=1)
    >>> Z = (chain - chain.mean(axis=0)) / chain.std(axis=0)
    >>> order = order_bic(Z[:, [3, 0, 5, 1, 4, 2]])
    >>> [3, 0, 5, 1, 4, 2][order[0]], [3, 0, 5, 1, 4, 2][order[-1]]
    (5, 0)
    """
    n = Z.shape[0]
    m = min(5, n // 10) if max_predecessors is None else _positive(max_predecessors, "max_predecessors")
    unit, kept, constant = unit_rows(Z)
    if kept.size < 2:
        return np.concatenate([kept, constant])
    growth = _Growth(unit, n, max(1, min(m, n - 2)))
    return np.concatenate([kept[growth.run()], constant])


class _Growth:
    """Sequences grown from `unit` (p, n), one unit vector a variable."""

    def __init__(self, unit: FloatArray, n: int, m: int) -> None:
        self.unit, self.n, self.m = unit, n, m
        self.floor = max(unit.shape) * np.finfo(float).eps  # of 1 - R^2: duplicates are finite
        self.ids = np.arange(unit.shape[0])
        self.rows = unit  # the candidates' vectors: compacted when half of them have been placed
        self.alive = np.ones(unit.shape[0], dtype=bool)  # by variable
        self.nearest, self.strength = _nearest(unit)

    def run(self) -> np.ndarray:
        """Grow until every variable has its place."""
        order: list[int] = []
        price = 2.0 * np.log(self.unit.shape[0])
        while self.alive.any():
            pair = self._seed()
            if len(pair) == 2:
                rest = max(1.0 - self.strength[pair[0]] ** 2, self.floor)
                gain = -self.n * np.log(rest) - np.log(self.n)
                price = price if gain > price else -np.inf
            order += self._turned(self._grow(pair, price), order)
        return np.array(order, dtype=np.intp)

    def _turned(self, sequence: list[int], order: list[int]) -> list[int]:
        """Return `sequence` in the direction that goes on from `order`; the first one from its stronger end."""
        if order:
            first, last = (abs(self.unit[order[-1]] @ self.unit[i]) for i in (sequence[0], sequence[-1]))
        else:
            first, last = (abs(self.unit[i] @ self.unit[j]) for i, j in (sequence[:2], sequence[:-3:-1]))
        return sequence if first >= last else sequence[::-1]

    def _seed(self) -> list[int]:
        """Return the most correlated pair that is left, or the one variable left."""
        left = np.flatnonzero(self.alive)
        if left.size == 1:
            return [int(left[0])]
        while True:
            i = int(left[np.argmax(self.strength[left])])
            if self.alive[self.nearest[i]]:
                return [i, int(self.nearest[i])]
            # its partner has been placed since: what was stored is an upper bound of what is left
            r = np.where(self.alive[self.ids] & (self.ids != i), np.abs(self.rows @ self.unit[i]), -1.0)
            best = int(np.argmax(r))
            self.nearest[i], self.strength[i] = self.ids[best], min(r[best], 1.0)

    def _grow(self, pair: list[int], price: float) -> list[int]:
        """Place `pair`, then what gains most, until nothing gains more than `price`."""
        sequence: deque[int] = deque()
        seen: dict[int, FloatArray] = {}  # correlations of the candidates with the variables near an end
        scores: dict[tuple[int, ...], FloatArray] = {}
        side = 1
        for new in pair:
            self._place(sequence, seen, new, side)
        while self.alive.any():
            left, right = tuple(islice(sequence, self.m)), tuple(islice(reversed(sequence), self.m))
            if self._compact(seen):
                scores = {}
            seen = {i: seen[i] for i in (*left, *right)}
            scores = {w: scores[w] if w in scores else self._scores(w, seen) for w in (left, right)}
            alive = self.alive[self.ids]
            best = [int(np.argmax(np.where(alive, scores[w], -np.inf))) for w in (left, right)]
            gains = [scores[w][b] for w, b in zip((left, right), best)]
            side = int(gains[1] > gains[0])
            if abs(gains[1] - gains[0]) <= _TIE * max(
                gains
            ):  # both ends have the same neighbours: take the nearer
                side = int(abs(seen[right[0]][best[1]]) > abs(seen[left[0]][best[0]]))
            if gains[side] <= price:
                break
            self._place(sequence, seen, int(self.ids[best[side]]), side)
        return list(sequence)

    def _place(self, sequence: deque[int], seen: dict[int, FloatArray], new: int, side: int) -> None:
        (sequence.append if side else sequence.appendleft)(new)
        self.alive[new] = False
        seen[new] = self.rows @ self.unit[new]

    def _compact(self, seen: dict[int, FloatArray]) -> bool:
        mask = self.alive[self.ids]
        if 2 * np.count_nonzero(mask) > mask.size:
            return False
        self.ids, self.rows = self.ids[mask], self.rows[mask]
        for i, r in seen.items():
            seen[i] = r[mask]
        return True

    def _scores(self, window: tuple[int, ...], seen: dict[int, FloatArray]) -> FloatArray:
        """Return the gain of every candidate given the variables of `window`, nearest first."""
        W = self.unit[list(window)]
        gram = W @ W.T
        k = len(window)
        factor = np.zeros((k, k))
        parts: list[FloatArray] = []
        rest = np.ones(self.ids.size)
        best = np.full(self.ids.size, np.inf)
        for t, i in enumerate(window):
            pivot = gram[t, t] - factor[t, :t] @ factor[t, :t]
            part = seen[i] - sum((factor[t, s] * parts[s] for s in range(t)), np.zeros(1))
            if pivot > self.floor:
                factor[t, t] = np.sqrt(pivot)
                factor[t + 1 :, t] = (gram[t + 1 :, t] - factor[t + 1 :, :t] @ factor[t, :t]) / factor[t, t]
                part = part / factor[t, t]
            else:  # in the span of nearer ones: brings nothing
                part = np.zeros(self.ids.size)
            parts.append(part)
            rest = rest - part**2
            # n log(rest) + k log n = n log(rest n^(k/n)): one logarithm serves all k
            price = self.n ** ((t + 1) / self.n)
            np.minimum(best, np.maximum(rest, self.floor) * price, out=best)
        return -self.n * np.log(best)


def _nearest(unit: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Return each variable's most correlated other, and that absolute correlation."""
    nearest, strength = np.empty(unit.shape[0], dtype=np.intp), np.empty(unit.shape[0])
    for start, r in correlation_blocks(unit):
        np.abs(r, out=r)
        np.fill_diagonal(r[:, start:], -1.0)
        stop = start + r.shape[0]
        nearest[start:stop] = r.argmax(axis=1)
        strength[start:stop] = r.max(axis=1)
    return nearest, strength


def _positive(value: Any, name: str) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    return int(value)


def _some(indices: np.ndarray, most: int = 5) -> str:
    shown = ", ".join(str(i) for i in indices[:most])
    return shown if indices.size <= most else f"{shown} and {indices.size - most} more"
