"""What the engines of resampling nulls have in common: the blocks they yield and the resamples they see."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import readonly


class Draws(NamedTuple):
    """Reference distances of one block of replicates.

    Attributes
    ----------
    train : ndarray of shape (b, n), or (b, n - m) with ``kept=True``
        Squared distances of the rows of each resample to its own fit; a row drawn twice is there twice. An engine that
        is called with ``kept=True`` (and a holdout) makes no fit with replacement: these are the rows that the holdout
        fit keeps, in increasing order, and each replicate is one fit.
    new : ndarray of shape (b, m)
        Squared distances of rows that a fit did not see: those left out by a holdout fit or, without one, those that
        the resample happens to miss, m = n then, with NaN for the rows it contains.
    redrawn : int
        Resamples of this block that were drawn again because they lacked rank.
    """

    train: NDArray[np.float64]
    new: NDArray[np.float64]
    redrawn: int


def generator_key(seed: np.random.SeedSequence) -> NDArray[np.uint32]:
    """Return the key of the counter-based generator of a call, (2,) uint32."""
    return readonly(seed.generate_state(2, np.uint32))


def resample_counts(
    key: NDArray[np.uint32],
    replicates: ArrayLike,
    attempts: ArrayLike,
    n: int,
    dtype: type[np.int32] | type[np.float64] = np.int32,
) -> NDArray[Any]:
    """Return how often each row is in each resample of n rows with replacement.

    Parameters
    ----------
    key : ndarray of shape (2,)
        Of `generator_key`.
    replicates, attempts : array-like of shape (b,)
        Number of the replicate, and how often it was drawn before.
    n : int
        Rows.
    dtype : {numpy.int32, numpy.float64}
        Of the counts; the numbers are the same.

    Returns
    -------
    counts : ndarray of shape (b, n)
        Each row sums to n and depends on key, replicate, attempt and n alone.

    Notes
    -----
    O(b n). ``numpy.repeat(numpy.arange(n), counts[b])`` lists the rows of resample b.
    """
    from .._kernels import counter

    ids, tries = _pairs(replicates, attempts)
    counts: NDArray[Any] = np.empty((ids.size, n), dtype)
    counter.resample_counts(readonly(key), ids, tries, counts)
    return counts


def held_out(
    key: NDArray[np.uint32], replicates: ArrayLike, attempts: ArrayLike, n: int, m: int
) -> NDArray[np.int64]:
    """Return m distinct rows of n for each replicate, those that its holdout fit leaves out.

    Parameters
    ----------
    key : ndarray of shape (2,)
        Of `generator_key`.
    replicates, attempts : array-like of shape (b,)
        Number of the replicate, and how often it was drawn before.
    n, m : int
        Rows, and how many of them to leave out.

    Returns
    -------
    rows : ndarray of shape (b, m)
        Row numbers, independent of those of `resample_counts`.

    Notes
    -----
    O(b (n + m)).
    """
    from .._kernels import counter

    ids, tries = _pairs(replicates, attempts)
    rows = np.empty((ids.size, m), np.int64)
    counter.held_out(readonly(key), ids, tries, n, rows)
    return rows


def _pairs(replicates: ArrayLike, attempts: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = np.atleast_1d(np.asarray(replicates, np.int64))
    tries = np.broadcast_to(np.asarray(attempts, np.int64), ids.shape)
    return readonly(ids), readonly(tries)
