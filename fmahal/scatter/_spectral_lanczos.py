"""Few leading singular vectors of rows that the last cache holds, by single Lanczos steps.

Such rows pass quickly, and steps from one vector need the least arithmetic. For larger sets `_spectral_krylov` makes
the most of each pass with a block of vectors.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from .._kernels._jit import thread_limit, threading_facts
from .._kernels.lanczos import chunks_of, lanczos_steps, moments_about
from .._typing import FloatArray
from .._validation import readonly
from ._moments import EPS
from ._spectral_krylov import CONVERGED, ROUNDING

_CACHED_BYTES = 2**24  # rows that pass at the speed of a cache
_CHEAP = 8  # columns whose share of the Gram matrix costs as much as one step
_MORE = 4  # steps than vectors before a glance at the trace; the first look at residuals takes a few more
_STRIDE = (2, 8)  # steps between two later looks
_LEAST = 0.25  # of the total in the first few vectors: below, the spectrum is too flat for this
_HOPELESS = 1e3  # predicted excess at the last step
_SHOWN = 1e-6  # of its value: residual of the pair that only shows the gap
_CHECK_STEPS = 12
_GLANCE = 16  # rows whose mean is near enough to that of all
_ALONE = 2**20  # entries that one thread passes sooner than several meet after each step

Pairs = tuple[FloatArray, FloatArray]


def leading_in_cache(X: FloatArray, count: int) -> tuple[FloatArray, float, None, Pairs | None] | None:
    """Return mean, sum of squares about it, no Gram matrix, and `count` leading pairs; None where others cost less.

    The pairs are None, too, where a spectrum falls slowly, or holds equal values at the cut.
    """
    if not _is_worth_it(count, X.shape):
        return None
    location, total = mean_and_total(X)
    known = np.isfinite(total) and total > 0
    return location, total, None, leading_by_lanczos(X, location, total, count) if known else None


def _is_worth_it(count: int, shape: tuple[int, ...]) -> bool:
    """Whether compiled Lanczos steps on n >= p rows cost less than their Gram matrix, if they converge."""
    n, p = shape
    if p > n or 8 * n * p > _CACHED_BYTES or not threading_facts()["jit"]:
        return False
    return 2 * count + _MORE + _CHECK_STEPS <= p // _CHEAP


def _threads(X: FloatArray) -> int | None:
    return 1 if X.size < _ALONE else None


def mean_and_total(X: FloatArray) -> tuple[FloatArray, float]:
    """Return the mean of rows and the sum of squares about it, without a centred copy.

    One pass about the mean of the first rows does, or two where that of all lies far away.
    """
    n, p = X.shape
    location = X[:_GLANCE].mean(axis=0, dtype=np.float64)
    shifts, squares = np.empty((chunks_of(n), p)), np.empty(chunks_of(n))
    for _ in range(2):
        with thread_limit(_threads(X)):
            moments_about(readonly(X), readonly(location), shifts, squares)
        shift = shifts.sum(axis=0) / n
        total, moved = float(squares.sum()), n * float(shift @ shift)
        location = location + shift
        if not moved > 0.25 * total:
            break
    return location, max(total - moved, 0.0)


class _Process:
    """A Lanczos process of C'C, for the centred rows C, in the complement of known vectors."""

    def __init__(self, X: FloatArray, location: FloatArray, most: int, known: FloatArray, start: FloatArray):
        d, p = known.shape
        self.rows, self.location, self.deflated = readonly(X), readonly(location), d
        self.basis, self.partial = np.empty((d + most + 1, p)), np.empty((chunks_of(len(X)), p))
        self.alpha, self.beta = np.empty(most), np.empty(most)
        self.basis[:d] = known
        start = start - known.T @ (known @ start)
        self.basis[d] = start / np.linalg.norm(start)
        self.done = 0

    def advance(self, steps: int) -> bool:
        """Take steps; return whether there were directions left for all of them."""
        first, last = self.done, self.done + steps
        state = self.basis, self.deflated, self.alpha, self.beta
        with thread_limit(_threads(self.rows)):
            self.done = lanczos_steps(self.rows, self.location, *state, first, last, self.partial)
        return self.done == last and self.beta[last - 1] > 0

    def ritz(self) -> tuple[FloatArray, FloatArray]:
        """Return Ritz values, descending, and their vectors in terms of the basis."""
        values, turn, info = lapack.dstev(self.alpha[: self.done], self.beta[: max(self.done - 1, 1)])
        return (values[::-1], turn[:, ::-1]) if info == 0 else (np.zeros(self.done), np.eye(self.done))


def leading_by_lanczos(X: FloatArray, location: FloatArray, total: float, count: int) -> Pairs | None:
    """Return what `leading_of_rows` does, for rows that lie in a cache; n >= p.

    Steps from one vector see one copy of a repeated value. What they missed is bounded by the next Ritz value and the
    trace that the basis leaves; where that bound says too little, more steps look for it in the complement.
    """
    p = X.shape[1]
    start = np.random.default_rng(0).standard_normal((2, p))
    most = p // _CHEAP
    process = _Process(X, location, most, np.empty((0, p)), start[0])
    if not process.advance(count + _MORE) or process.alpha[: process.done].sum() < _LEAST * total:
        return None
    step, before = max(count - _MORE, _MORE), (0, np.inf)
    while process.advance(step):
        values, turn = process.ritz()
        excess = _excess(values, process.beta[process.done - 1] * np.abs(turn[-1]), count)
        if excess <= 1.0:
            found = values[:count], process.basis[: process.done].T @ turn[:, :count]
            left = max(total - float(values.sum()), 0.0)  # no value in the complement is larger than that
            sure = values[count - 1] + left <= values[count - 2] - EPS * p * values[0]
            return found if sure or _complete(X, location, *found, start[1]) else None
        step = _next_look(process.done, excess, *before, most)
        before = process.done, excess
        if step < 1:
            return None
    return None


def _next_look(done: int, excess: float, earlier: int, before: float, most: int) -> int:
    """Return after how many more steps convergence is likely, 0 when not within `most`."""
    wanted = np.log(excess)
    rate = (np.log(before) - wanted) / (done - earlier) if earlier else wanted
    if not np.isfinite(wanted) or wanted - max(rate, 0.0) * (most - done) > np.log(_HOPELESS):
        return 0
    return min(max(int(np.ceil(wanted / max(rate, EPS))), _STRIDE[0]), _STRIDE[1], most - done)


def _excess(values: FloatArray, lengths: FloatArray, count: int) -> float:
    """Residuals over what is allowed, the largest: infinite for a cut among equal values."""
    kept, gap = values[: count - 1], values[count - 2] - values[count - 1]
    allowed = CONVERGED * np.minimum(kept, gap)
    if not allowed.min() > CONVERGED * EPS * values[0]:
        return np.inf
    shown = lengths[count - 1] / (_SHOWN * values[count - 1])
    return max(float((lengths[: count - 1] / np.maximum(allowed, ROUNDING * values[0])).max()), float(shown))


def _complete(
    X: FloatArray, location: FloatArray, values: FloatArray, short: FloatArray, start: FloatArray
) -> bool:
    """Whether Lanczos steps in the complement of the vectors meet no value above the last of theirs."""
    process = _Process(X, location, _CHECK_STEPS, np.ascontiguousarray(short.T), start)
    process.advance(_CHECK_STEPS)
    top = float(process.ritz()[0][0])
    return top <= values[-1] * (1.0 + 10.0 * _SHOWN) + 1e-13 * float(values[0])
