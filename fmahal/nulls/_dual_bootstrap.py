"""Replicates of shrinkage scatters with more columns than rows, from the inner products of the rows alone.

A resample is a vector of counts; its fit, and the squared distance of every row to it, are functions of the n x n Gram
matrix of the rows, formed once. No array has p columns beyond one centred copy of the rows, and none is p x p.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from .._validation import readonly
from ..exceptions import RankDeficientError
from ..scatter import QIS
from ..scatter._blas import one_blas_thread
from ..scatter._moments import WIDE, dual_moments, rank_tolerance
from ..scatter.qis import qis_eigenvalues
from ._draws import Draws, generator_key, held_out, resample_counts
from ._intensity import LINEAR, shrinkage_weights

Array = NDArray[np.float64]
# Progress is reported, and an interrupt heeded, after each block: of at most so many replicates, and of so many thread
# times n^3, which take about a second.
_LARGEST_BLOCK = 256
_WORK = 1e9


def dual_draws(
    scatter: Any,
    Z: Array,
    *,
    n_resamples: int,
    seed: np.random.SeedSequence,
    n_held: int,
    max_bytes: int,
    kept: bool = False,
) -> Iterator[Draws]:
    r"""Yield squared distances to refits of a shrinkage scatter, for more columns than rows.

    Parameters
    ----------
    scatter : LedoitWolf, OAS, QIS or ShrunkCovariance, or scikit-learn's of these names
        Its parameters are read, and nothing that it has fitted: the amount of shrinkage is that of each resample.
    Z : ndarray of shape (n, p)
        Finite rows.
    n_resamples : int
        Replicates: a resample of n rows with replacement each, and a fit without `n_held` rows.
    seed : numpy.random.SeedSequence
        Everything random follows from it.
    n_held : int
        Rows that a replicate leaves out, without replacement, for `new`; 0 for out-of-bag rows of the resample.
    max_bytes : int
        Size of the arrays of a block.
    kept : bool, default=False
        With `n_held`: no resamples with replacement, one fit a replicate; `Draws.train` has the rows that it keeps.

    Yields
    ------
    draws : Draws
        Blocks of replicates, in order. Where blocks end makes no difference, nor do threads.

    Raises
    ------
    RankDeficientError
        When the fit to all rows is singular, as the sample covariance without shrinkage is, or more than half of all
        resamples are.
    TypeError
        For a scatter of another class.

    Notes
    -----
    With u distinct rows in a resample, n^2 p once and O(u^2 n) for each replicate; for `QIS` an eigendecomposition of
    size u. O(n p + n^2) memory, and O(n^2) more a thread, beyond the block. Distances agree with a fit to copied rows
    to 1e-10 while the amount added is above 1e-8 times the largest eigenvalue. A replicate without full rank, of its
    resample or of its holdout fit, is drawn again, both parts.
    """
    n = Z.shape[0]
    sample = _sample(scatter, Z)
    _check_full_rank(scatter, sample)
    key = generator_key(seed)
    size = _block_size(n, max_bytes, sample.workers())
    redrawn = 0
    for first in range(0, n_resamples, size):
        ids = np.arange(first, min(first + size, n_resamples))
        with (
            one_blas_thread()
        ):  # matrices of size n: more threads would spin on while those of the kernels work
            draws = _block(sample, key, ids, n_held, kept, n_resamples - redrawn)
        redrawn += draws.redrawn
        yield draws


def _block_size(n: int, max_bytes: int, workers: int) -> int:
    """Return how many replicates a block has: one for each thread at least, if memory allows."""
    by_work = workers * max(int(_WORK / float(n) ** 3), 1)
    return max(min(max_bytes // (48 * n), by_work, _LARGEST_BLOCK), 1)


def _block(
    sample: _Sample, key: NDArray[np.uint32], ids: NDArray[np.int64], n_held: int, kept: bool, allowed: int
) -> Draws:
    """Draw the replicates `ids`, those without full rank again: at most `allowed` times in all."""
    attempts = np.zeros(ids.size, np.int64)
    train, new, failed = _fits(sample, key, ids, attempts, n_held, kept)
    redrawn = 0
    while failed.any():
        again = np.flatnonzero(failed)
        redrawn += again.size
        if redrawn > allowed:
            raise RankDeficientError(
                f"More than half of the resamples of n = {sample.n} rows and p = {sample.p} columns have a covariance "
                "without full rank. Usual causes are very few rows, and rows that are equal. Use more rows, or "
                "ShrunkCovariance(ridge=...), which adds to every covariance that is not zero."
            )
        attempts[again] += 1
        train[again], new[again], failed[again] = _fits(
            sample, key, ids[again], attempts[again], n_held, kept
        )
    return Draws(train, new, redrawn)


def _fits(
    sample: _Sample,
    key: NDArray[np.uint32],
    ids: NDArray[np.int64],
    attempts: NDArray[np.int64],
    n_held: int,
    kept: bool,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Distances of each replicate, and whether it failed."""
    n, b = sample.n, ids.size
    failed = np.zeros(b, np.bool_)
    if not (kept and n_held):
        counts = readonly(resample_counts(key, ids, attempts, n))
        d2, failed = sample.distances(counts, n, inside=True, outside=n_held == 0)
        train = np.repeat(d2.ravel(), counts.ravel()).reshape(b, n)
        if n_held == 0:
            return train, np.where(counts == 0, d2, np.nan), failed
    held = held_out(key, ids, attempts, n, n_held)
    counts = np.ones((b, n), np.int32)
    np.put_along_axis(counts, held, 0, axis=1)
    d2, singular = sample.distances(readonly(counts), n - n_held, inside=kept, outside=True)
    if kept:
        train = d2[counts == 1].reshape(b, n - n_held)
    return train, np.take_along_axis(d2, held, axis=1), failed | singular


def _check_full_rank(scatter: Any, sample: _Sample) -> None:
    everything = readonly(np.ones((1, sample.n), np.int32))
    if sample.distances(everything, sample.n, inside=True, outside=False)[1][0]:
        raise RankDeficientError(
            f"{type(scatter).__name__} fits a singular covariance to n = {sample.n} rows with p = {sample.p} columns: "
            "nothing is added to the sample covariance, or nothing varies, and the training distances of such a fit "
            "say nothing. Use LedoitWolf, OAS, QIS or ShrunkCovariance(ridge=...), or fewer columns than rows."
        )


# ---------------------------------------------------------------- one sample, many weights


class _Sample:
    """The rows to resample, by their inner products."""

    def __init__(self, scatter: Any, Z: Array):
        self.scatter = scatter
        self.n, self.p = Z.shape
        self.centred = not scatter.assume_centered
        rows = dual_moments(np.asarray(Z, np.float64), self.centred)._rows  # constant columns are exact zeros
        if self.centred:
            # A resample without a row that is far away must not find it in the inner products of all others.
            rows -= np.median(rows, axis=0)
        # All distances are those of the rows in any unit; in this one no inner product overflows, or vanishes that is
        # not negligible. A power of two rounds nothing.
        np.ldexp(rows, -np.frexp(np.abs(rows).max())[1], out=rows)
        self._rows = rows

    def workers(self) -> int:
        """Return how many replicates are worked on at once."""
        return 1

    @cached_property
    def gram(self) -> Array:
        """Inner products about the medians of the columns, or about zero, (n, n)."""
        return readonly(self._rows @ self._rows.T)

    @cached_property
    def coordinates(self) -> Array:
        """The rows in an orthonormal basis of their span, (n, min(n, p)): what the Gram matrix has squared."""
        triangle = qr(self._rows.T, mode="r", check_finite=False)[0][: min(self.n, self.p)]
        return readonly(np.ascontiguousarray(triangle.T))

    def distances(
        self, counts: NDArray[np.int32], number: int, *, inside: bool, outside: bool
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Squared distances of the rows to the fits of resamples, and which of the fits are singular.

        Parameters
        ----------
        counts : ndarray of shape (b, n)
            How often each row is in each resample, read-only.
        number : int
            Rows of a resample: the sum of its counts.
        inside, outside : bool
            Whether the rows are wanted that a resample contains, and the others.

        Returns
        -------
        d2 : ndarray of shape (b, n)
            Squared distances; entries that are not wanted mean nothing.
        singular : ndarray of shape (b,)
            Which fits lack full rank.
        """
        raise NotImplementedError


def _sample(scatter: Any, Z: Array) -> _Sample:
    if type(scatter) is QIS:
        return _Spectral(scatter, Z)
    if type(scatter) in LINEAR:
        return _Linear(scatter, Z)
    raise TypeError(f"{type(scatter).__name__} cannot be refitted from inner products of rows.")


class _Linear(_Sample):
    """Fits weight S + ridge I."""

    def workers(self) -> int:
        """Return the number of threads of the kernels."""
        from .._kernels._jit import thread_count

        return thread_count()

    def distances(
        self, counts: NDArray[np.int32], number: int, *, inside: bool, outside: bool
    ) -> tuple[Array, NDArray[np.bool_]]:
        from .._kernels import resampling_dual as kernels

        b = len(counts)
        sums = np.empty((b, 3))
        kernels.gram_invariants(self.gram, counts, self.centred, sums)
        trace, dispersion, fourth = sums.T
        weight, ridge = shrinkage_weights(self.scatter, trace, dispersion, fourth, number, self.p)
        # |S|_F^2 / tr S is at most the largest eigenvalue: what is added then counts as nothing, as in a fit.
        singular = ridge <= rank_tolerance(number, self.p) * weight * dispersion * trace
        d2, status = np.empty((b, self.n)), np.empty(b, np.int64)
        weight, ridge = readonly(weight), readonly(np.where(singular, 1.0, ridge))
        kernels.gram_distances(self.gram, counts, weight, ridge, self.centred, inside, outside, status, d2)
        hard = np.flatnonzero((status == kernels.INACCURATE) & ~singular)
        if hard.size:
            found, again = np.empty((hard.size, self.n)), np.empty(hard.size, np.int64)
            chosen = (readonly(counts[hard]), readonly(weight[hard]), readonly(ridge[hard]))
            kernels.refined_distances(self.gram, self.coordinates, *chosen, self.centred, again, found)
            d2[hard], status[hard] = found, again
        return d2, singular | (status == kernels.SINGULAR)


class _Spectral(_Sample):
    """Fits with an own amount for each eigenvalue: one eigendecomposition for each of them."""

    def distances(
        self, counts: NDArray[np.int32], number: int, *, inside: bool, outside: bool
    ) -> tuple[Array, NDArray[np.bool_]]:
        d2, singular = np.zeros((len(counts), self.n)), np.zeros(len(counts), np.bool_)
        for k, row in enumerate(counts):
            singular[k] = not self._one(row, number, d2[k])
        return d2, singular

    def _one(self, counts: NDArray[np.int32], number: int, out: Array) -> bool:
        """Squared distances of all rows to one fit; False when it lacks full rank."""
        T, weights = self.coordinates, counts.astype(np.float64)
        Y = T - (weights @ T) / number if self.centred else T
        chosen = counts > 0
        values, V = _spectrum(Y[chosen] * np.sqrt(weights[chosen, None]), int(self.centred))
        freedom = number - int(self.centred)
        padded = np.zeros(min(self.p, freedom))
        m = min(values.size, padded.size)
        padded[:m] = values[:m] / freedom
        shrunk, rest = qis_eigenvalues(padded, self.p, freedom, rank_tolerance(number, self.p))
        if shrunk.size == 0 or (shrunk.size < self.p and not rest > 0):
            return False
        V = V[:, : shrunk.size]
        scores = Y @ V
        np.einsum("ij,ij,j->i", scores, scores, 1.0 / shrunk, out=out)
        if rest > 0:
            Y = Y - scores @ V.T
            out += np.einsum("ij,ij->i", Y, Y) / rest
        return True


def _spectrum(Y: Array, lost: int) -> tuple[Array, Array]:
    """Eigenvalues of Y'Y, descending, as many as Y can have with `lost` dimensions removed, and the eigenvectors.

    From the Gram matrix where its squares do no harm, otherwise from the rows themselves.
    """
    values, U = np.linalg.eigh(Y @ Y.T)
    count = max(min(len(Y) - lost, Y.shape[1]), 0)
    values, U = values[::-1][:count], U[:, ::-1][:, :count]
    if count == 0 or values[-1] > WIDE * values[0]:
        return values, Y.T @ (U / np.sqrt(values))
    _, roots, right = np.linalg.svd(Y, full_matrices=False)
    return roots[:count] ** 2, right[:count].T
