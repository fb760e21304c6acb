r"""Refits of moment scatters from weighted sums: no row is copied, and no covariance is summed twice.

With counts W (b x n) of b resamples, the sums :math:`\sum_i w_i x_i` and :math:`\sum_i w_i x_i x_i^\top` of all of them
are one matrix product of W with the n x (q + r) array of packed products and rows, q = r (r + 1) / 2. A holdout fit has
the sums of all rows less those of the few that it leaves out. A kernel then factorises each covariance and takes the
squared distances.

The rows are brought to a form in which these sums lose no digits: whitened by the fit to all of them where distances
are affine equivariant, else centred and divided by one number. Where the sums cancel none the less (a resample without
the one far outlier that carries a variance), mean and covariance are taken from the rows in two passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._kernels import resampling as kernel
from .._validation import readonly
from ..exceptions import RankDeficientError
from ..scatter import QIS
from ..scatter._blas import one_blas_thread
from ..scatter._moments import rank_tolerance
from ..scatter._streaming import is_weighted
from ._draws import Draws, generator_key, held_out, resample_counts
from ._intensity import LINEAR, qis_spectra, shrinkage_weights
from ._moment_sums import Array, Sample, is_affine, prepare

_Measured: TypeAlias = tuple[tuple[Array, ...], NDArray[np.int64]]  # distances and status
_DIGITS = 1e-5  # a variance below this share of the mean squares has lost too many digits to its sums
_FOURTH = 1e-4  # the same for mean fourth powers


def fast_moments(scatter: Any) -> bool:
    """Tell whether `moment_draws` serves a fitted scatter.

    Parameters
    ----------
    scatter : fitted scatter
        Not a pipeline.

    Returns
    -------
    served : bool
        True for `EmpiricalCovariance`, `LedoitWolf`, `OAS`, `ShrunkCovariance` (ours and scikit-learn's) and `QIS`;
        False for subclasses, which may follow other rules, and for rows of unequal weights.
    """
    return type(scatter) in (*LINEAR, QIS) and not is_weighted(scatter)


def moment_draws(
    scatter: Any,
    Z: Array,
    *,
    n_resamples: int,
    seed: np.random.SeedSequence,
    n_held: int,
    max_bytes: int,
    kept: bool = False,
) -> Iterator[Draws]:
    r"""Yield blocks of squared distances of resampled rows to refits of a moment scatter.

    Parameters
    ----------
    scatter : fitted scatter
        One that `fast_moments` knows; its class and parameters are read.
    Z : ndarray of shape (n, p)
        Finite float64 rows, those of the fit.
    n_resamples : int
        Replicates, each one fit to n rows drawn with replacement and, with `n_held`, one holdout fit.
    seed : SeedSequence
        Keys the resamples.
    n_held : int
        Rows that a holdout fit leaves out, drawn without replacement; 0: no holdout fits, `Draws.new` holds the
        distances of the rows that a resample misses.
    max_bytes : int
        Bound of the working arrays, exceeded only where one replicate needs more.
    kept : bool, default=False
        With `n_held`: no resamples with replacement, one fit a replicate; `Draws.train` has the rows that it keeps.

    Yields
    ------
    draws : Draws
        Squared distances; blocks in the order of the replicates.

    Raises
    ------
    RankDeficientError
        When more than half of all replicates have less rank than the fit to all rows.

    Notes
    -----
    O(b n r^2) for b replicates, r = rank_ for affine equivariant scatters and p for others: one product of matrices
    and one kernel. For p > n the shrinkage scatters go by n x n matrices. Numbers depend on neither `max_bytes` nor
    threads beyond the rounding of a product of matrices; which rows a replicate draws depends on neither at all.
    A replicate without full rank, of its resample or of its holdout fit, is drawn again, both parts.
    """
    Z = np.ascontiguousarray(Z, dtype=np.float64)
    n, p = Z.shape
    if p > n and not is_affine(scatter):
        from ._dual_bootstrap import dual_draws

        yield from dual_draws(
            scatter, Z, n_resamples=n_resamples, seed=seed, n_held=n_held, max_bytes=max_bytes, kept=kept
        )
        return
    sample = prepare(scatter, Z, max_bytes)
    engine = _Engine(sample, generator_key(seed), n_resamples, n_held, kept)
    block = sample.block(n_held, max_bytes)
    for start in range(0, n_resamples, block):
        with one_blas_thread():  # its threads would spin on while those of the kernels work
            draws = engine.draws(np.arange(start, min(start + block, n_resamples)))
        yield draws


@dataclass
class _Fits:
    """Means and packed covariances of a block of refits, and the two amounts to mix with."""

    means: Array
    packed: Array
    amounts: Array

    def arguments(self, rows: Any = slice(None)) -> tuple[Array, Array, Array]:
        return readonly(self.means[rows]), readonly(self.packed[rows]), readonly(self.amounts[rows])


def _fit(sample: Sample, sums: Array, divisor: int, weights: Callable[[NDArray[np.intp]], Array]) -> _Fits:
    """Refit from sums; `weights` gives those of the few replicates whose sums cancel."""
    b, r = len(sums), sample.r
    means, packed, status = np.empty((b, r)), np.empty((b, sample.q)), np.empty(b, np.int64)
    kernel.centre_sums(
        readonly(sums), float(divisor), sample.centred, sample.size, _DIGITS, means, packed, status
    )
    hard = status == kernel.HARD
    fourth = np.zeros(b)
    if sample.fourth:
        fourth, cancelled = _fourth_powers(sample, sums, divisor, means, packed)
        hard |= cancelled
    if hard.any():
        which = np.flatnonzero(hard)
        W = weights(which)
        means[which], packed[which] = _from_rows(sample, W)
        if sample.fourth:
            fourth[which] = [
                w @ np.square(np.square(sample.Y - m).sum(axis=1)) / divisor
                for w, m in zip(W, means[which], strict=True)
            ]
    return _Fits(means, *_shrunk(sample, packed, fourth, divisor))


def _from_rows(sample: Sample, weights: Array) -> tuple[Array, Array]:
    means, packed = np.empty((len(weights), sample.r)), np.empty((len(weights), sample.q))
    kernel.row_moments(sample.Y, readonly(weights), sample.centred, means, packed)
    return means, packed


def _fourth_powers(
    sample: Sample, sums: Array, divisor: int, means: Array, packed: Array
) -> tuple[Array, NDArray[np.bool_]]:
    r"""Return mean_k |x_k - m|^4, and where that is a small difference.

    .. math:: \overline{a^2} - 4 m^\top \overline{a y} + 4 m^\top S m + 2 |m|^2 \operatorname{tr} S + 3 |m|^4,
       \qquad a = |y|^2
    """
    raw = sums[:, -1] / divisor
    if not sample.centred:
        return raw, np.zeros(raw.size, bool)
    mixed = sums[:, sample.q + sample.r : -1] / divisor
    first, second, diagonal = _places(sample.r)
    form = packed * means[:, first]
    form *= means[:, second]
    quadratic = 2.0 * form.sum(axis=1) - form[:, diagonal].sum(axis=1)
    square = np.einsum("ij,ij->i", means, means)
    trace = packed[:, diagonal].sum(axis=1)
    fourth = raw - 4.0 * np.einsum("ij,ij->i", means, mixed) + 4.0 * quadratic
    fourth += 2.0 * square * trace + 3.0 * square**2
    return fourth, ~(fourth >= _FOURTH * raw)


def _places(r: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of packed entries, and the places of the diagonal among them."""
    first, second = np.triu_indices(r)
    return first, second, np.flatnonzero(first == second)


def _shrunk(sample: Sample, packed: Array, fourth: Array, n: int) -> tuple[Array, Array]:
    """Return packed matrices and the weights of them and of the identity."""
    b, p = len(packed), sample.p
    if sample.affine:
        return packed, np.repeat([[1.0, 0.0]], b, axis=0)
    if isinstance(sample.scatter, QIS):
        return _quadratic_inverse(sample, packed, n), np.repeat([[1.0, 0.0]], b, axis=0)
    diagonal = _places(sample.r)[2]
    trace = packed[:, diagonal].sum(axis=1)
    unit = np.where(trace > 0, trace, 1.0)
    squares = 2.0 * np.einsum("ij,ij->i", packed, packed)
    squares -= np.einsum("ij,ij->i", packed[:, diagonal], packed[:, diagonal])
    weight, ridge = shrinkage_weights(sample.scatter, trace, squares / unit**2, fourth / unit**2, n, p)
    return packed, np.column_stack([weight, ridge])


def _quadratic_inverse(sample: Sample, packed: Array, n: int) -> Array:
    """Packed covariances with eigenvalues shrunk one by one."""
    freedom = n - (1 if sample.centred else 0)
    b, r = len(packed), sample.r
    first, second, _ = _places(r)
    S = np.empty((b, r, r))
    S[:, first, second] = packed
    S[:, second, first] = packed
    S *= n / freedom
    values, vectors = np.linalg.eigh(S)
    spectrum = np.zeros((b, sample.p))
    spectrum[:, :r] = np.maximum(values[:, ::-1], 0.0)
    shrunk, rest = qis_spectra(spectrum, sample.p, freedom, rank_tolerance(n, sample.p))
    shrunk[:, min(sample.p, freedom) :] = rest[:, None]
    vectors = vectors[:, :, ::-1]
    S = np.matmul(vectors * shrunk[:, None, :r], vectors.transpose(0, 2, 1))
    return S[:, first, second]


class _Engine:
    """Draws, refits and measures blocks of replicates."""

    def __init__(self, sample: Sample, key: NDArray[np.uint32], n_resamples: int, n_held: int, kept: bool):
        self.sample, self.key, self.n_resamples = sample, key, n_resamples
        self.n_held, self.kept, self.redrawn = n_held, kept, 0

    def draws(self, ids: NDArray[np.int64]) -> Draws:
        """Measure replicates, those without rank again under the next attempt number."""
        before = self.redrawn
        attempts = np.zeros(ids.size, np.int64)
        found, status = self._measure(ids, attempts)
        waiting = np.flatnonzero(status != kernel.OK)
        while waiting.size:
            self.redrawn += waiting.size
            if self.redrawn > self.n_resamples:
                self._raise()
            attempts[waiting] += 1
            again, status = self._measure(ids[waiting], attempts[waiting])
            for target, values in zip(found, again, strict=True):
                target[waiting] = values
            waiting = waiting[status != kernel.OK]
        train, new = found
        return Draws(train, new, self.redrawn - before)

    def _measure(self, ids: NDArray[np.int64], attempts: NDArray[np.int64]) -> _Measured:
        if self.n_held == 0:
            return self._resamples(ids, attempts)
        if self.kept:
            return self._holdouts(ids, attempts)
        (train, _), status = self._resamples(ids, attempts)
        (new,), other = self._holdouts(ids, attempts)
        return (train, new), np.maximum(status, other)

    def _raise(self) -> None:
        sample = self.sample
        what = f"fits to {sample.n - self.n_held} of the rows"
        if not (self.kept and self.n_held):
            what = f"resamples (about {round(0.632 * sample.n)} distinct rows each)"
        raise RankDeficientError(
            f"More than half of all {what} have less than the rank {sample.r} of all n = {sample.n} rows with "
            f"p = {sample.p} columns: {type(sample.scatter).__name__} cannot be refitted to them. Usual causes: too "
            "few rows for so many columns, or a column that differs from a constant in a few rows only. Use "
            "LedoitWolf, OAS or ShrunkCovariance, more rows, or fewer columns."
        )

    def _limits(self, rows: int, digits: bool) -> Array:
        share = _DIGITS if digits and self.sample.affine else 0.0
        return readonly(np.array([rank_tolerance(rows, self.sample.p), share]))

    def _resamples(self, ids: NDArray[np.int64], attempts: NDArray[np.int64]) -> _Measured:
        sample, n, b = self.sample, self.sample.n, ids.size
        counts = resample_counts(self.key, ids, attempts, n, np.float64)
        fits = _fit(sample, sample.sums(counts), n, counts.__getitem__)
        train, new = np.empty((b, n)), np.empty((b, 0 if self.n_held else n))

        def measure(rows: Any, limits: Array, *out: Any) -> None:
            kernel.resample_distances(
                sample.tiles, readonly(counts[rows]), *fits.arguments(rows), limits, sample.size, *out
            )

        return self._measured(measure, fits, (train, new), n, counts.__getitem__)

    def _holdouts(self, ids: NDArray[np.int64], attempts: NDArray[np.int64]) -> _Measured:
        sample, n, b = self.sample, self.sample.n, ids.size
        held = readonly(held_out(self.key, ids, attempts, n, self.n_held))

        def weights(which: Any) -> Array:
            kept = np.ones((held[which].shape[0], n))
            np.put_along_axis(kept, held[which], 0.0, axis=1)
            return kept

        if sample.products is None:
            sums = sample.sums(weights(slice(None)))
        else:
            sums = np.empty((b, sample.total.size))
            kernel.subtract_rows(sample.products, held, sample.total, sums)
        fits = _fit(sample, sums, n - self.n_held, weights)
        out: tuple[Array, ...] = (np.empty((b, self.n_held)),)
        if self.kept:
            out = (np.empty((b, n - self.n_held)), *out)

        def measure(rows: Any, limits: Array, *out: Any) -> None:
            shared = readonly(held[rows]), *fits.arguments(rows), limits, sample.size
            if self.kept:
                kernel.kept_distances(sample.tiles, *shared, *out)
            else:
                kernel.held_distances(sample.Y, *shared, *out)

        return self._measured(measure, fits, out, n - self.n_held, weights)

    def _measured(
        self, measure: Any, fits: _Fits, out: tuple[Array, ...], rows: int, weights: Callable[[Any], Array]
    ) -> _Measured:
        """Take the distances; where a pivot shows cancelled sums, again with moments from the rows."""
        status = np.empty(len(fits.means), np.int64)
        measure(slice(None), self._limits(rows, digits=True), *out, status)
        hard = np.flatnonzero(status == kernel.HARD)
        if hard.size:
            fits.means[hard], fits.packed[hard] = _from_rows(self.sample, weights(hard))
            again = tuple(np.empty((hard.size, values.shape[1])) for values in out)
            settled = np.empty(hard.size, np.int64)
            measure(hard, self._limits(rows, digits=False), *again, settled)
            for target, values in zip(out, again, strict=True):
                target[hard] = values
            status[hard] = settled
        return out, status
