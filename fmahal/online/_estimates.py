"""Answers of the adaptive index: estimates from sketches, exact distances from points, draws from both."""

from __future__ import annotations

import numpy as np

from .._kernels.sketched_queries import SEGMENTS, TOGETHER, fold_queries, median_sqnorms
from .._structures.base import row_blocks
from .._typing import FloatArray
from .._validation import readonly
from ._accuracy import shrinkage_bound
from ._products import dot_rows
from ._store import Store, require_finite

_ROWS = 512  # points in a block that one query passes over
_CACHE = 1 << 18  # bytes of a block that several queries pass over in turn: it stays in the second cache
_FEW = 4  # queries that are folded without waking threads
_MISSED = 2.0**-50  # probability that the bound of rejection sampling fails for any of the points
_FLOOR = 1e-3  # of the mean estimate, added to each proposal: an estimate of zero can be proposed, too
_ROUNDS = 8  # of proposals, each for all that is missing, before exact distances take over


def draw_sketches(store: Store) -> np.ndarray:
    """Return the numbers of a fresh random subset of the sketches, ascending: (r,)."""
    chosen = store.rng.choice(len(store.folded), store.sample_size, replace=False, shuffle=False)
    return np.sort(chosen).astype(np.int64, copy=False)


def estimates(store: Store, X: FloatArray) -> FloatArray:
    """Return the medians over one fresh subset of sketches for q rows X: (q, n) in float64.

    O(q r k (p + n)); the sketches of the points are read once.
    """
    chosen, (buffer, n) = readonly(draw_sketches(store)), store.scanned()
    stored = readonly(buffer)
    q, r, k = len(X), store.sample_size, stored.shape[2]
    centres = _fold(store, X, chosen)
    height = _ROWS
    if q > 1:
        height = int(np.clip(_CACHE // (r * k * stored.itemsize), 8, _ROWS))
    segments, together = max(1, min(SEGMENTS, n // height)), TOGETHER if q >= TOGETHER else 1
    sums = np.empty((segments, together, height, r))
    out = np.empty((q, n))
    median_sqnorms(stored, chosen, readonly(centres), sums, out)
    return out


def _fold(store: Store, X: FloatArray, chosen: np.ndarray) -> FloatArray:
    """Return the sketches of queries minus the origin, (q, r, k) in float64."""
    centres = np.empty((len(X), len(chosen), store.folded.shape[1]))
    with np.errstate(over="ignore"):  # found at once, by name
        gaps = np.subtract(X, store.origin, dtype=np.float64)
        rows = gaps.astype(store.folded.dtype, copy=False)
    if len(X) <= _FEW:
        fold_queries(readonly(store.folded), chosen, readonly(gaps), centres)
    else:
        require_finite(rows, "The query's coordinates")
        for s, number in enumerate(chosen):
            centres[:, s] = dot_rows(rows, store.folded[number])
    return require_finite(centres, "The query's sketches")


def pair_estimate(store: Store, first: int, second: int) -> float:
    """Return the median over a fresh subset of sketches for two rows. O(r k)."""
    chosen = draw_sketches(store)
    gaps = store.sketched[chosen, first].astype(np.float64) - store.sketched[chosen, second]
    return float(np.median(np.einsum("sj,sj->s", gaps, gaps)))


def exact_distances(store: Store, x: FloatArray, slots: np.ndarray | None = None) -> FloatArray:
    """Return |U (x_i - x)|^2 in float64 for the given rows, or for all. O(c m p), O(c p) for the identity."""
    count = store.n if slots is None else len(slots)
    out = np.empty(count)
    for block in row_blocks(count, max(store.metric.shape)):
        rows = store.points[block if slots is None else slots[block]]
        gaps = np.subtract(rows, x, dtype=np.float64)
        if not store.metric.is_identity:
            gaps = store.metric.transform(gaps)
        out[block] = np.einsum("ij,ij->i", gaps, gaps)
    return out


def nearest(
    store: Store, x: FloatArray, n_neighbors: int, n_candidates: int
) -> tuple[np.ndarray, FloatArray]:
    """Return rows and exact squared distances of the nearest of the points that look nearest; ties by identifier."""
    slots = None
    if n_candidates < store.n:
        slots = _smallest(estimates(store, x[None, :])[0], n_candidates, store.ids)
    d2 = exact_distances(store, x, slots)
    slots = np.arange(store.n) if slots is None else slots
    order = np.lexsort((store.ids[slots], d2))[:n_neighbors]
    return slots[order], d2[order]


def _smallest(values: FloatArray, count: int, ids: np.ndarray) -> np.ndarray:
    """Return the rows of the `count` smallest values; of equal ones those of the smaller identifiers. O(n)."""
    last = np.partition(values, count - 1)[count - 1]
    below, ties = np.flatnonzero(values < last), np.flatnonzero(values == last)
    missing = count - len(below)
    if missing < len(ties):
        ties = ties[np.argpartition(ids[ties], missing - 1)[:missing]]
    return np.concatenate([below, ties])


def sample(store: Store, x: FloatArray, n_samples: int, slots: np.ndarray) -> np.ndarray:
    """Return rows drawn independently from `slots`, each with probability proportional to its exact distance.

    A row proposed in proportion to its estimate e is kept with probability d2 / (C e), with C so large that d2 > C e
    for none of the points but with probability `_MISSED`. What is kept does not depend on how many proposals it took,
    so that the number of rounds may be limited. A proposal that breaks the bound shows that C was too small, and that
    points may have been drawn too seldom: then all draws start anew from exact distances.
    """
    bound = shrinkage_bound(store.folded.shape[1], store.sample_size, _MISSED / store.n)
    price = store.points.shape[1] + store.metric.row_cost  # of one exact distance, in multiply-adds
    sketching = store.sample_size * store.n * store.folded.shape[1]
    if bound * (n_samples + 16) * price + sketching >= len(slots) * price:
        return slots[_proportional(exact_distances(store, x, slots), n_samples, store.rng)]
    guess = estimates(store, x[None, :])[0, slots]
    kept = _by_rejection(store, x, slots, guess + _FLOOR * guess.mean(), bound, n_samples)
    if kept is None or len(kept) < n_samples:
        missing = n_samples if kept is None else n_samples - len(kept)
        rest = _proportional(exact_distances(store, x, slots), missing, store.rng)
        kept = rest if kept is None else np.concatenate([kept, rest])
    return slots[kept]


def _by_rejection(
    store: Store, x: FloatArray, slots: np.ndarray, proposal: FloatArray, bound: float, n_samples: int
) -> np.ndarray | None:
    """Return at most n_samples positions in `slots`, or None where the bound is found broken."""
    kept: list[np.ndarray] = []
    missing, d2 = n_samples, np.full(len(slots), np.nan)
    for _ in range(_ROUNDS if proposal.max(initial=0.0) > 0 else 0):
        picks = _proportional(proposal, int(1.2 * bound * missing) + 16, store.rng)
        new = np.unique(picks[np.isnan(d2[picks])])
        d2[new] = exact_distances(store, x, slots[new])
        if np.any(d2[new] > bound * proposal[new]):
            return None
        heights = store.rng.random(len(picks)) * bound * proposal[picks]
        accepted = picks[heights < d2[picks]]  # never where d2 is 0
        kept.append(accepted[:missing])
        missing -= len(kept[-1])
        if missing == 0:
            break
    return np.concatenate(kept) if kept else np.empty(0, np.int64)


def _proportional(weights: FloatArray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return positions drawn with replacement in proportion to weights that are not negative; never one of weight 0."""
    largest = require_finite(weights, "The squared distances").max()
    if not largest > 0:
        raise ValueError(
            "Every squared distance from x is 0 in float64, so that no distribution is proportional to them. Usual "
            "causes are points that all equal x or differ from it only in directions that the metric does not see "
            "(draw uniformly from `ids_` where that is meant), or units so small that squares of the differences "
            "underflow: rescale the points or the metric."
        )
    total = np.cumsum(weights / largest)
    picks = np.searchsorted(total, rng.random(count) * total[-1], side="right")
    return np.minimum(picks, np.flatnonzero(weights)[-1])
