"""All the ways in which pooled rows fall into two groups, and how two-sample statistics follow from the labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray

_BLOCK = 1 << 21  # entries of a block of labels
_SEPARATED = (
    1e-12  # share of the variance of a direction below which its variance within the groups is rounding
)
_TIE = 1e-11  # rounding of a sum over the labels of 1e6 rows, with a margin

Statistic = Callable[[FloatArray], FloatArray]


def all_splits(n: int, m: int, at_most: int) -> int | None:
    """Return the number of distinct splits into m and n - m rows without names; None beyond `at_most`.

    Two groups of one size may trade their names without a change of the statistic, so such pairs count once.
    """
    log_count = math.lgamma(n + 1) - math.lgamma(m + 1) - math.lgamma(n - m + 1)
    if log_count > math.log(at_most) + 2.0:  # exact integers of this size would take seconds
        return None
    count = math.comb(n, m) // (2 if 2 * m == n else 1)
    return count if count <= at_most else None


def enumerated(observed: NDArray[np.bool_]) -> Iterator[FloatArray]:
    """Yield blocks (b, n) of 0 and 1: every split of the size of `observed` but itself."""
    n, m = observed.size, int(observed.sum())
    if 2 * m == n and not observed[0]:
        observed = ~observed  # the name of the group that holds row 0 is settled
    groups = itertools.combinations(range(n), m)
    if 2 * m == n:
        groups = ((0, *rest) for rest in itertools.combinations(range(1, n), m - 1))  # type: ignore[assignment]
    own = tuple(np.flatnonzero(observed).tolist())
    others = (group for group in groups if group != own)
    while chosen := list(itertools.islice(others, max(1, _BLOCK // n))):
        labels = np.zeros((len(chosen), n))
        np.put_along_axis(labels, np.array(chosen), 1.0, axis=1)
        yield labels


def random_splits(n: int, m: int, count: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield blocks (b, n) of 0 and 1 with m ones in a row, each split as likely as any other.

    The rows are shuffled one after the other, so that the stream does not depend on the size of the blocks.
    """
    row = np.zeros(n, dtype=np.int8)
    row[:m] = 1
    size = max(1, _BLOCK // n)
    for start in range(0, count, size):
        labels = np.tile(row, (min(size, count - start), 1))
        yield rng.permuted(labels, axis=1).astype(np.float64)


def mean_statistic(Z: FloatArray, m: int) -> Statistic:
    """Return T = (1/m + 1/(n - m))^-1 |mean_1 - mean_2|^2 of the rows of centred `Z`, for blocks of labels.

    The two group sums of centred rows cancel, so that one of them tells all: T = n / (m (n - m)) |sum_1|^2.
    """
    factor = len(Z) / (m * (len(Z) - m))

    def statistic(labels: FloatArray) -> FloatArray:
        sums = labels @ Z
        return factor * np.einsum("ij,ij->i", sums, sums)

    return statistic


def studentized_statistic(U: FloatArray, m: int) -> Statistic:
    """Return (mean_1 - mean_2)' (S_1/m + S_2/(n - m))^-1 (mean_1 - mean_2) for blocks of labels.

    `U` (n, K) holds centred rows of which the sum of products is n - 1 times the identity. A split without
    variance within the groups along some direction separates them there, and has the statistic infinity.
    """
    n, K = U.shape
    upper = np.triu_indices(K)
    scale = 1.0 / m + 1.0 / (n - m)
    width = max(1, _BLOCK // upper[0].size)  # rows of which the products are held at a time
    block = max(1, _BLOCK // K**2)

    def products(labels: FloatArray) -> FloatArray:
        total = np.zeros((len(labels), upper[0].size))
        for start in range(0, n, width):
            rows = U[start : start + width]
            total += labels[:, start : start + width] @ (rows[:, upper[0]] * rows[:, upper[1]])
        return total

    whole = products(np.ones((1, n)))[0]

    def one_block(labels: FloatArray) -> FloatArray:
        first = labels @ U
        packed = products(labels)
        spread = packed / (m * (m - 1.0)) + (whole - packed) / ((n - m) * (n - m - 1.0))
        outer = 1.0 / (m**2 * (m - 1.0)) + 1.0 / (
            (n - m) ** 2 * (n - m - 1.0)
        )  # the other group sums to -first
        spread -= outer * first[:, upper[0]] * first[:, upper[1]]
        matrices = np.empty((len(labels), K, K))
        matrices[:, upper[0], upper[1]] = matrices[:, upper[1], upper[0]] = spread
        return _wald(first * scale, matrices, _SEPARATED * scale)

    def statistic(labels: FloatArray) -> FloatArray:
        return np.concatenate([one_block(labels[k : k + block]) for k in range(0, len(labels), block)])

    return statistic


def _wald(difference: FloatArray, matrices: FloatArray, tolerance: float) -> FloatArray:
    """Return d' A^-1 d for each row d and matrix A; infinity where A has a pivot of at most `tolerance`."""
    try:
        factors = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.array([np.inf])
        pairs = zip(difference, matrices, strict=True)
        return np.concatenate([_wald(d[None], A[None], tolerance) for d, A in pairs])
    pivots = np.diagonal(factors, axis1=1, axis2=2).min(axis=1) ** 2
    singular = pivots <= tolerance
    factors[singular] = np.eye(difference.shape[1])
    whitened = np.linalg.solve(factors, difference[:, :, None])[:, :, 0]
    return np.where(singular, np.inf, np.einsum("ij,ij->i", whitened, whitened))


def at_least(statistic: float, others: FloatArray) -> int:
    """Return how many of `others` are the statistic or larger, equal up to rounding counting as equal."""
    if np.isinf(statistic):
        return int(np.isinf(others).sum())
    finite = others[np.isfinite(others)]
    scale = max(statistic, float(finite.mean()) if finite.size else 0.0)
    return int((others >= statistic - _TIE * scale).sum())
