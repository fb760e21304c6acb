"""How many of some reference distances are at least x: from sorted values, or from their numbers in narrow bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray

_SHIFT = 36  # last bits of a float64 that a bin forgets: 16 of 52 remain, a relative width of 2**-16 or less


class Counts:
    """Sorted values; either each for itself, or with how many references lie below each of them."""

    def __init__(self, values: FloatArray, below: NDArray[np.int64] | None = None):
        self.values = values
        self.below = below
        self.size = values.size if below is None else int(below[-1])

    def sizes(self) -> NDArray[np.int64]:
        """Return how many references are equal to each value."""
        if self.below is None:
            return np.ones(self.size, dtype=np.int64)
        return np.diff(self.below)

    def at_least(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return how many references are x or larger."""
        position = np.searchsorted(self.values, x, side="left")
        return self.size - (position if self.below is None else self.below[position])

    def ranked(self, rank: Any) -> NDArray[np.float64]:
        """Return the references of these ranks, 0 for the smallest."""
        if self.below is None:
            return self.values[rank]
        return self.values[np.searchsorted(self.below, rank, side="right") - 1]


def sorted_counts(values: FloatArray, *, in_place: bool = False) -> Counts:
    """Return values that count for one each."""
    if not (in_place and values.flags.writeable):  # a law that was loaded from a memory map is not
        return Counts(np.sort(values))
    values.sort()
    return Counts(values)


def number(group: Counts | FloatArray | list[FloatArray]) -> int:
    """Return how many references there are, in bins or in arrays with NaN for absent ones."""
    if isinstance(group, list):
        return sum(number(part) for part in group)
    return group.size if isinstance(group, Counts) else int(np.count_nonzero(~np.isnan(group)))


def number_at_least(group: Counts | FloatArray | list[FloatArray], x: Any) -> int:
    """Return how many of these references are x or larger."""
    if isinstance(group, list):
        return sum(number_at_least(part, x) for part in group)
    return int(group.at_least(x)) if isinstance(group, Counts) else int(np.count_nonzero(group >= x))


def merged(parts: list[Counts]) -> Counts:
    """Return the union of binned counts."""
    keys = np.concatenate([part.values.view(np.int64) >> _SHIFT for part in parts])
    return _tallied(keys, np.concatenate([part.sizes() for part in parts]))


def binned(values: FloatArray) -> Counts:
    """Return values rounded up to 17 significant bits, and their numbers."""
    bits = (np.maximum(values, 0.0) + 0.0).view(np.int64)  # no minus zero
    return _tallied((bits + ((1 << _SHIFT) - 1)) >> _SHIFT, np.ones(values.size, dtype=np.int64))


def _tallied(keys: NDArray[np.int64], sizes: NDArray[np.int64]) -> Counts:
    """Return the bins with these leading bits, sizes of equal bins added."""
    low = int(keys.min()) if keys.size else 0
    width = int(keys.max()) - low + 1 if keys.size else 0
    if width <= 4 * keys.size + 1_000_000:  # a tally of all bins between is faster than a sort
        total = np.bincount(keys - low, weights=sizes, minlength=width)  # sums are exact below 2**53
        found = np.flatnonzero(total)
        keys, sizes = found + low, total[found].astype(np.int64)
    else:
        keys, inverse = np.unique(keys, return_inverse=True)
        sizes = np.bincount(inverse, weights=sizes).astype(np.int64)
    return Counts((keys << _SHIFT).view(np.float64), np.concatenate([[0], np.cumsum(sizes)]))
