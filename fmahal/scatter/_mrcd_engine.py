"""Generalised concentration steps of the regularised minimum covariance determinant, p x p or from inner products.

Both engines work in coordinates in which the target is the identity: for a subset H of h rows,

    K = rho I + a S_H,    a = (1 - rho) c,    d_i^2 = (w_i - m_H)' K^-1 (w_i - m_H)

`PrimalEngine` holds the rows, `GramEngine` their inner products: no array of it has p as a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import blas, eigvalsh, lapack

from .._typing import FloatArray

MAX_STEPS = 200
SMALLEST = 1e-6  # the least regularisation of rho="auto", for data that need none
LARGEST_KEPT = 0.1  # starts that need no more than this are all kept


class Engine(Protocol):
    """What a search needs of the data."""

    n: int
    p: int
    consistency: float

    def extremes(self, rows: np.ndarray) -> tuple[float, float]:
        """Least and largest eigenvalue of c S, divisor h - 1."""

    def step(self, rows: np.ndarray, rho: float, ddof: int = 0) -> tuple[FloatArray, float]:
        """Squared distances of all rows to a subset, (n,), and log det K; S has divisor h - ddof."""


def _cholesky(K: FloatArray) -> FloatArray:
    factor, status = lapack.dpotrf(K, lower=1, clean=1)
    if status:
        raise np.linalg.LinAlgError(
            "The regularised covariance of a subset is not positive definite in floating point: rho is too small for "
            'these data. Raise rho, or use rho="auto".'
        )
    return factor


class PrimalEngine:
    """The p x p form, O(n p^2 + p^3) a step.

    Parameters
    ----------
    Wt : ndarray of shape (p, n)
        Rows in columns.
    consistency : float
        The factor c.
    """

    def __init__(self, Wt: FloatArray, consistency: float):
        self.p, self.n = Wt.shape
        self.Wt, self.consistency = Wt, consistency

    def _moments(self, rows: np.ndarray) -> tuple[FloatArray, FloatArray]:
        subset = np.take(self.Wt, rows, axis=1)
        mean = subset.mean(axis=1)
        subset -= mean[:, None]
        return mean, subset @ subset.T

    def extremes(self, rows: np.ndarray) -> tuple[float, float]:
        values = eigvalsh(self._moments(rows)[1], check_finite=False) * (self.consistency / (rows.size - 1))
        return max(float(values[0]), 0.0), max(float(values[-1]), 0.0)

    def step(self, rows: np.ndarray, rho: float, ddof: int = 0) -> tuple[FloatArray, float]:
        mean, K = self._moments(rows)
        K *= (1.0 - rho) * self.consistency / (rows.size - ddof)
        K.flat[:: self.p + 1] += rho
        factor = _cholesky(K)
        centred = self.Wt - mean[:, None]
        blas.dtrsm(1.0, factor, centred.T, side=1, lower=1, trans_a=1, overwrite_b=1)
        return np.einsum("ij,ij->j", centred, centred), 2.0 * float(np.log(np.diagonal(factor)).sum())


class GramEngine:
    r"""The n x n form, O(n h^2) a step whatever p.

    With k_i the inner products of w_i - m with the h centred rows of the subset, B their own, and
    M = rho I + (a/h) B, the identity of Woodbury gives

        d_i^2 = (|w_i - m|^2 - (a/h) k_i' M^-1 k_i) / rho,    log det K = (p - h) log rho + log det M

    and d_i^2 = (B M^-1)_ii for a row of the subset, where nothing cancels.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        Inner products of the rows, about any origin.
    p : int
        Dimension of the space.
    consistency : float
        The factor c.
    """

    def __init__(self, gram: FloatArray, p: int, consistency: float):
        self.n, self.p = gram.shape[0], p
        self.gram, self.consistency = gram, consistency
        self._sqnorms = np.diagonal(gram).copy()

    def centred(self, rows: np.ndarray) -> tuple[FloatArray, FloatArray]:
        """Inner products of all rows with those of a subset, (n, h), and squared norms, about the subset's mean."""
        cross = self.gram[:, rows]
        towards = cross.mean(axis=1)
        inner = towards[rows]
        grand = inner.mean()
        cross -= towards[:, None]
        cross -= inner - grand
        return cross, self._sqnorms - 2.0 * towards + grand

    def extremes(self, rows: np.ndarray) -> tuple[float, float]:
        h = rows.size
        values = eigvalsh(self.centred(rows)[0][rows], check_finite=False) * (self.consistency / (h - 1))
        least = float(values[h - self.p]) if self.p < h else 0.0
        return max(least, 0.0), max(float(values[-1]), 0.0)

    def step(self, rows: np.ndarray, rho: float, ddof: int = 0) -> tuple[FloatArray, float]:
        h = rows.size
        cross, sqnorms = self.centred(rows)
        weight = (1.0 - rho) * self.consistency / (h - ddof)
        own = cross[rows]
        M = weight * own
        M.flat[:: h + 1] += rho
        factor = _cholesky(M)
        halves = blas.dtrsm(1.0, factor, cross, side=1, lower=1, trans_a=1)
        d2 = (sqnorms - weight * np.einsum("ij,ij->i", halves, halves)) / rho
        d2[rows] = np.diagonal(lapack.dpotrs(factor, own, lower=1)[0])
        logdet = (self.p - h) * np.log(rho) + 2.0 * float(np.log(np.diagonal(factor)).sum())
        return np.maximum(d2, 0.0), float(logdet)


# ---------------------------------------------------------------- search


@dataclass
class Solution:
    """A subset at which concentration stopped.

    Attributes
    ----------
    rows : ndarray of shape (h,)
        Row numbers, ascending.
    objective : float
        log det K at the divisor h.
    n_steps : int
        Concentration steps taken from its start.
    """

    rows: np.ndarray
    objective: float
    n_steps: int


def needed_rho(least: float, largest: float, max_condition: float) -> float:
    """Return the least rho, but at least 1e-6, at which rho I + (1 - rho) S has a condition number of `max_condition`.

    S has the extreme eigenvalues given. (rho + (1 - rho) largest) = max_condition (rho + (1 - rho) least) has the
    root (largest - kappa least) / (largest - kappa least + kappa - 1).
    """
    excess = largest - max_condition * least
    return max(excess / (excess + max_condition - 1.0), SMALLEST) if excess > 0 else SMALLEST


def choose_rho(needed: Sequence[float]) -> tuple[float, np.ndarray]:
    """Return rho and which starts are kept: those that need no more than the median, or 0.1 if that is larger."""
    values = np.asarray(needed)
    cutoff = max(LARGEST_KEPT, float(np.median(values)))
    kept = values <= cutoff
    return float(values[kept].max()), kept


def nearest(d2: FloatArray, h: int) -> np.ndarray:
    """Row numbers of the h smallest, ascending."""
    if h == d2.size:
        return np.arange(h)
    return np.sort(np.argpartition(d2, h - 1)[:h])


def concentrate(engine: Engine, rows: np.ndarray, rho: float, seen: set[bytes]) -> Solution | None:
    """Concentrate until the subset repeats; None once a subset turns up from which another start has gone on.

    log det K never increases in a step; one that does not lower it, as when rows tie, ends the search.
    """
    best: Solution | None = None
    own: set[bytes] = set()
    for steps in range(MAX_STEPS + 1):
        key = rows.tobytes()
        if key in seen:
            return None
        d2, objective = engine.step(rows, rho)
        if best is not None and objective >= best.objective:
            break
        best = Solution(rows, objective, steps)
        own.add(key)
        rows = nearest(d2, rows.size)
        if np.array_equal(rows, best.rows):
            break
    seen |= own
    return best


def search(
    engine: Engine, starts: Sequence[np.ndarray], rho: float | None, max_condition: float
) -> tuple[Solution, float]:
    """Return the best subset over the starts, and rho, chosen from them when it is not given."""
    unique = list({start.tobytes(): start for start in starts}.values())
    if rho is None:
        needed = [needed_rho(*engine.extremes(start), max_condition) for start in starts]
        rho, kept = choose_rho(needed)
        allowed = {start.tobytes() for start, keep in zip(starts, kept, strict=True) if keep}
        unique = [start for start in unique if start.tobytes() in allowed]
    seen: set[bytes] = set()
    found = [concentrate(engine, start, rho, seen) for start in unique]
    return min((one for one in found if one is not None), key=lambda one: one.objective), rho
