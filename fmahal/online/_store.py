"""Points and their sketches under a metric that changes: the memory of the adaptive index."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np

from .._maps import NONZEROS, padded_length, random_map
from .._structures.base import row_blocks
from .._typing import FloatArray
from ._factor import ROOM, MetricFactor
from ._products import add_product, add_sparse, dot_centred, dot_rows, largest, row_by_sparse

_DENSE = ("gaussian", "rademacher")
quiet = np.errstate(over="ignore", invalid="ignore")  # overflow is looked for, and raised by name
_ADDITION = {"srht": 5.0, "sparse": 20.0}  # of a fast map, in multiply-adds of a large matrix product


class Store:
    """n points, their sketches and the folded maps; each method either finishes or changes nothing.

    Attributes
    ----------
    points : ndarray of shape (n, p)
        View of the points, in the order of `ids`.
    origin : ndarray of shape (p,)
        c, the mean of the points when they were fitted or refreshed last, in the dtype of `points`: sketches are those
        of differences from it, or an offset that all points share would take their digits.
    sketched : ndarray of shape (L, n, k)
        View of their sketches S_l U (x - c), in the dtype of `points`; each of the L parts is C-ordered.
    folded : ndarray of shape (L, k, p)
        The products S_l U, in the same dtype.
    factor : ndarray of shape (m, p) or None
        U in float64, None while it is the identity; reading it adds the changes that are pending.
    metric : MetricFactor
        The same, with ``metric.transform(X)`` for the rows U x.
    ids : ndarray of shape (n,)
        Identifiers in the order of the rows.
    maps : list of RandomMap
        The L maps S_l.
    sample_size : int
        Sketches that one answer takes.
    rng : numpy.random.Generator
        The stream of these samples, apart from those of the maps.
    """

    def __init__(
        self,
        points: FloatArray,
        factor: FloatArray | None,
        *,
        kind: str,
        n_components: int,
        n_sketches: int,
        sample_size: int,
        seeds: np.random.SeedSequence,
    ):
        n, p = points.shape
        self.metric = MetricFactor(factor, p)
        for_maps, for_answers = seeds.spawn(2)
        words = for_maps.generate_state(n_sketches, np.uint64)
        self.maps = [random_map(kind, n_components, self.metric.shape[0], int(word)) for word in words]
        self.rng = np.random.default_rng(for_answers)
        self.sample_size = sample_size
        self._points = points
        self._ids = np.arange(n)
        self._slots = dict(zip(range(n), range(n)))
        self._n = self._next_id = n
        # dense maps are kept: drawing them again costs more than all else in an update of the metric
        self._matrices = [s.matrix(points.dtype) for s in self.maps] if kind in _DENSE else None
        self.origin = mean_of(points)
        self.folded = self._fold()
        self._sketched = self._sketch(points)
        self._peaks = [np.inf, np.inf]  # no entry of the sketches, of the folded maps, is larger

    # ---------------------------------------------------------------- views

    @property
    def n(self) -> int:
        """Number of points."""
        return self._n

    @property
    def points(self) -> FloatArray:
        """The points, (n, p)."""
        return self._points[: self._n]

    @property
    def sketched(self) -> FloatArray:
        """Their sketches, (L, n, k)."""
        return self._sketched[:, : self._n]

    def scanned(self) -> tuple[FloatArray, int]:
        """Return the sketches with the room for further points, (L, capacity, k), in C order for kernels, and n.

        Kernels do not check bounds, and another thread may insert meanwhile: n is read first and fits the array.
        """
        n = self._n
        stored = self._sketched
        return stored, min(n, stored.shape[1])

    @property
    def ids(self) -> np.ndarray:
        """Identifiers in the order of the rows, (n,)."""
        return self._ids[: self._n]

    @property
    def factor(self) -> FloatArray | None:
        """U, (m, p), or None for the identity."""
        return self.metric.matrix

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, room for further points included."""
        maps = 0 if self._matrices is None else sum(S.nbytes for S in self._matrices)
        own = (self._points, self._sketched, self.folded, self._ids, self.origin)
        return maps + self.metric.nbytes + sum(array.nbytes for array in own)

    def slot_of(self, identifier: Any) -> int:
        """Return the row of an identifier; an IndexError names one that does not exist."""
        if isinstance(identifier, int | np.integer) and not isinstance(identifier, bool):
            slot = self._slots.get(int(identifier))
            if slot is not None:
                return slot
        raise IndexError(
            f"There is no point {identifier!r}: the index holds {self._n} points, whose identifiers are in `ids_`. "
            "A deleted identifier is never given again; rows are not identifiers once something was deleted."
        )

    def __getstate__(self) -> dict[str, Any]:  # room for further points is not worth writing to disk
        state = self.__dict__.copy()
        state.update(_points=self.points.copy(), _sketched=self.sketched.copy(), _ids=self.ids.copy())
        return state

    # ---------------------------------------------------------------- sketches

    def _transforms_first(self) -> bool:
        """Whether rows are cheaper through U and the fast transforms than through the folded maps.

        A row costs L k p multiply-adds by the folded maps; otherwise m p (for the identity its changes), and for each
        map m' log2 m' ("srht") or m s ("sparse") additions, each counted as `_ADDITION` multiply-adds: those of a
        sparse map jump about in memory.
        """
        if self._matrices is not None:
            return False
        (k, m), (_, p) = self.maps[0].shape, self.metric.shape
        kind, padded = self.maps[0].kind, padded_length(m)
        additions = padded * log2(padded) if kind == "srht" else m * min(k, NONZEROS)
        return self.metric.row_cost + len(self.maps) * _ADDITION[kind] * additions < len(self.maps) * k * p

    def project(self, rows: FloatArray, number: int) -> FloatArray:
        """Return the rows S_l u, (r, k), of rows u, (r, m)."""
        if self._matrices is None:
            return self.maps[number].apply(rows)
        return dot_rows(rows, self._matrices[number])

    @quiet
    def _fold(self) -> FloatArray:
        """Return the products S_l U, (L, k, p)."""
        U = None if self.metric.is_implicit else self.metric.matrix
        if U is None:
            return self._fold_identity()
        dtype, (k, _), (_, p) = self._points.dtype, self.maps[0].shape, self.metric.shape
        folded = np.zeros((len(self.maps), k, p), dtype)
        factor = U.astype(dtype, copy=False)
        if self._matrices is None:
            factor = np.ascontiguousarray(factor.T)  # fast maps take its columns
        for number, one in enumerate(self.maps):
            if self._matrices is None:
                folded[number] = one.apply(factor).T
            else:
                add_product(folded[number], self._matrices[number], factor)
        return require_finite(folded, "The maps folded with the metric")

    def _fold_identity(self) -> FloatArray:
        """Return S_l plus the images of what changed the identity: O(L k p t) for rank t; no p x p array."""
        dtype, (k, p) = self._points.dtype, self.maps[0].shape
        left, right = self.metric.pending()
        folded = np.empty((len(self.maps), k, p), dtype)
        for number, one in enumerate(self.maps):
            S = one.matrix(dtype) if self._matrices is None else self._matrices[number]
            if self.metric.is_identity:
                folded[number] = S
                continue
            total = S.astype(np.float64)  # changes that undo each other leave no more rounding than in U
            image = dot_rows(total, left)
            for rows, values in self.metric.pending_rows():
                add_sparse(total, np.ascontiguousarray(S[:, rows].T, dtype=np.float64), values)
            add_product(total, image, right)
            folded[number] = total
        return require_finite(folded, "The maps folded with the metric")

    @quiet
    def _sketch(self, X: FloatArray) -> FloatArray:
        """Return the sketches of rows minus the origin, (L, rows, k), by the cheaper way."""
        out = np.empty((len(self.maps), len(X), self.maps[0].shape[0]), X.dtype)
        fast = self._transforms_first()
        for rows in row_blocks(len(X), X.shape[1]):
            block = X[rows] - self.origin
            through = self.metric.transform(block) if fast and not self.metric.is_identity else block
            for number in range(len(self.maps)):
                if fast:
                    out[number, rows] = self.maps[number].apply(through)
                else:
                    dot_rows(block, self.folded[number], out=out[number, rows])
        return require_finite(out, "The sketches")

    def refresh(self) -> None:
        """Recompute origin, folded maps and sketches from U and the points."""
        before = self.origin, self.folded
        try:
            self.origin, self.folded = mean_of(self.points), self._fold()
            self._sketched[:, : self._n] = self._sketch(self.points)
        except BaseException:
            self.origin, self.folded = before
            raise
        self._peaks = [np.inf, np.inf]

    # ---------------------------------------------------------------- the metric

    @quiet
    def add_to_metric(self, left: FloatArray, right: FloatArray) -> None:
        """U <- U + left' right for float64 rows left (r, m) and right (r, p)."""
        dtype = self._points.dtype
        inner, outer = left.astype(dtype), right.astype(dtype)
        require_finite(inner, "The metric update"), require_finite(outer, "The metric update")
        increment = require_room(left.T, right.T, "The metric update")
        images = [self.project(inner, number) for number in range(len(self.maps))]
        amounts = dot_centred(self.points, self.origin, outer)
        peaks = self._require_room(increment, amounts, images, outer)
        self.metric.add(left, right, increment)
        self._peaks = peaks
        for number, image in enumerate(images):
            self._change(self._sketched[number, : self._n], self.folded[number], amounts, image, outer)

    @quiet
    def add_to_rows(self, rows: np.ndarray, values: Any) -> None:
        """U[rows] <- U[rows] + values, (q, p) float64, dense or CSR with sorted, unique entries."""
        dtype, sparse = self._points.dtype, not isinstance(values, np.ndarray)
        outer = values.astype(dtype)
        require_finite(outer.data if sparse else outer, "The metric update")
        images = [self._columns(rows, number) for number in range(len(self.maps))]
        centred = row_by_sparse if sparse else dot_centred
        amounts = centred(self.points, self.origin, outer)
        increment = largest(values.data if sparse else values)
        peaks = self._require_room(increment, amounts, images, outer)
        self.metric.add_rows(rows, values, increment)
        self._peaks = peaks
        for number, image in enumerate(images):
            self._change(self._sketched[number, : self._n], self.folded[number], amounts, image, outer)

    def _columns(self, rows: np.ndarray, number: int) -> FloatArray:
        """Return the columns of S_l that meet the given rows of U, as rows (q, k)."""
        if self._matrices is None:
            return np.ascontiguousarray(self.maps[number].columns(rows, self._points.dtype).T)
        return np.ascontiguousarray(self._matrices[number][:, rows].T)

    def _change(
        self, sketched: FloatArray, folded: FloatArray, amounts: FloatArray, image: FloatArray, outer: Any
    ) -> None:
        """Add one update to the sketches and the folded map of one S_l, in place."""
        add_product(sketched, amounts, image)
        if isinstance(outer, np.ndarray):
            add_product(folded, image.T, outer)
        else:
            add_sparse(folded, image, outer)

    def _require_room(
        self, increment: float, amounts: FloatArray, images: list[FloatArray], outer: Any
    ) -> list[float]:
        """Raise a ValueError if an update would overflow U, a sketch or a folded map; return bounds of the latter two.

        The bounds grow by those of the increments; only when they come near to overflow are the arrays read, and only
        when these seem too large are the sums tried out.
        """
        image = np.array([[np.max([largest(one) for one in images])]], self._points.dtype)
        factors = amounts, outer if isinstance(outer, np.ndarray) else outer.data
        added = [require_room(factor, image, "The metric update", len(images[0])) for factor in factors]
        if not self.metric.has_room(increment):
            raise ValueError(f"The metric update would overflow float64. {_RANGE}")
        limit = ROOM * float(np.finfo(self._points.dtype).max)
        peaks = np.add(self._peaks, added)
        if not np.all(peaks < limit):
            peaks = np.add([largest(self.sketched), largest(self.folded)], added)
        if not np.all(peaks < limit):
            peaks = self._tried(amounts, images, outer)
        if not np.all(peaks < limit):
            raise ValueError(f"The metric update would overflow {self._points.dtype}. {_RANGE}")
        return list(map(float, peaks))

    def _tried(self, amounts: FloatArray, images: list[FloatArray], outer: Any) -> FloatArray:
        """Return the largest entries that the sketches and the folded maps would have after an update."""
        peaks = np.zeros(2)
        for number, image in enumerate(images):
            sketched, folded = self.sketched[number].copy(), self.folded[number].copy()
            self._change(sketched, folded, amounts, image, outer)
            peaks = np.maximum(peaks, [largest(sketched), largest(folded)])  # NaN stays
        return peaks

    # ---------------------------------------------------------------- points

    def replace(self, slot: int, row: FloatArray) -> None:
        """Put another point, (1, p), into a row."""
        sketches = self._sketch(row)
        self._peaks[0] = max(self._peaks[0], largest(sketches))
        self._points[slot] = row[0]
        self._sketched[:, slot] = sketches[:, 0]

    def append(self, rows: FloatArray) -> np.ndarray:
        """Add points, (q, p); return their identifiers."""
        sketches, first, last = self._sketch(rows), self._n, self._n + len(rows)
        self._reserve(last)
        self._peaks[0] = max(self._peaks[0], largest(sketches))
        ids = np.arange(self._next_id, self._next_id + len(rows))
        self._points[first:last], self._sketched[:, first:last] = rows, sketches
        self._ids[first:last] = ids
        self._slots.update(zip(ids.tolist(), range(first, last)))
        self._n, self._next_id = last, self._next_id + len(rows)
        return ids

    def _reserve(self, wanted: int) -> None:
        """Make room for `wanted` points: at least twice as many as before, so that each is copied O(1) times."""
        capacity = len(self._ids)
        if wanted <= capacity:
            return
        capacity, n = max(wanted, 2 * capacity), self._n
        points = np.empty((capacity, self._points.shape[1]), self._points.dtype)
        sketched = np.empty((len(self.maps), capacity, self._sketched.shape[2]), self._points.dtype)
        ids = np.empty(capacity, self._ids.dtype)
        points[:n], sketched[:, :n], ids[:n] = self.points, self.sketched, self.ids
        self._points, self._sketched, self._ids = points, sketched, ids

    def remove(self, identifiers: list[int]) -> None:
        """Delete points that exist, one after the other: the last row takes the place of the one that leaves."""
        for identifier in identifiers:
            slot, last = self._slots.pop(identifier), self._n - 1
            if slot != last:
                moved = self._ids[last]
                self._points[slot] = self._points[last]
                self._sketched[:, slot] = self._sketched[:, last]
                self._ids[slot] = moved
                self._slots[int(moved)] = slot
            self._n = last


def require_finite(array: FloatArray, what: str) -> FloatArray:
    """Return the array, or say that its numbers left the range of its dtype."""
    with np.errstate(over="ignore", invalid="ignore"):  # of finite numbers, too
        total = array.sum(dtype=np.float64)
    if not np.isfinite(total) and not np.isfinite(array).all():
        raise ValueError(f"{what} overflow {array.dtype}. {_RANGE}")
    return array


def require_room(A: FloatArray, B: FloatArray, what: str, terms: int | None = None) -> float:
    """Return a bound for sums of so many products of entries of A and B; a ValueError where it leaves their dtype.

    `terms` is by default the number of columns of A.
    """
    bound = largest(A) * largest(B) * max(A.shape[-1] if terms is None else terms, 1)
    if not bound < np.finfo(A.dtype).max / 4:
        raise ValueError(f"{what} would overflow {A.dtype}. {_RANGE}")
    return bound


def mean_of(points: FloatArray) -> FloatArray:
    """Return the mean in the dtype of the points, (p,); zeros where its sum would overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = points.mean(axis=0, dtype=np.float64)
    return np.where(np.isfinite(mean), mean, 0.0).astype(points.dtype)


_RANGE = (
    "Usual causes are points or metrics in units far too large; rescale them, or fit float64 points where these are "
    "float32. The index is as it was."
)
