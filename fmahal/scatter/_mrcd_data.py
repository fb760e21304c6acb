"""Standardised columns, the equicorrelation target, and starts from inner products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._typing import FloatArray
from ._det_starts import (
    EPS,
    Scale,
    doubled_ranks_rows,
    floored,
    normal_scores,
    row_medians,
    row_scales,
    spatial_weights,
)
from ._mrcd_engine import nearest

_BLOCK = 2 * 2**20  # bytes of a block of columns: half a dozen arrays of this size are alive at once
_CLOSE = 1.0 - 1e-6  # the largest common correlation of the target
_FAR = 1e3  # median distances beyond which a row only lends its direction to the spatial median
_HUGE = 1e140  # units from the median beyond which squares would overflow; any row so far is simply far
_WEISZFELD = 200
_LARGE = 5000


class Columns:
    """Columns standardised by median and Qn, block by block; X is not copied.

    Attributes
    ----------
    medians, scales : ndarray of shape (p,)
        A scale that vanishes gives way as in `row_scales`; a constant column has the magnitude of its value, or,
        if that is zero, the median scale of the other columns.
    constant : ndarray of shape (p,), bool
        Columns that do not vary.
    correlation : float
        c of the target T = c J + (1 - c) I; 0 for the identity.
    """

    def __init__(self, X: FloatArray):
        self.X = X
        n, p = X.shape
        self.medians, self.scales = np.empty(p), np.empty(p)
        self.constant = np.zeros(p, dtype=bool)
        for columns in column_blocks(n, p):
            block = X[:, columns].T.astype(np.float64, order="C")
            self.medians[columns] = row_medians(block)
            block -= self.medians[columns, None]
            self.constant[columns] = np.abs(block).max(axis=1) <= 32.0 * EPS * np.abs(self.medians[columns])
            self.scales[columns] = row_scales(block, "qn", np.zeros(block.shape[0]))
        if self.constant.any():
            varying = self.scales[~self.constant]
            usual = float(np.median(varying)) if varying.size else 1.0
            size = np.abs(self.medians[self.constant])
            self.scales[self.constant] = np.where(size > 0, size, usual)
        self.correlation = 0.0
        self._row_means: FloatArray | None = None

    def block(self, columns: slice, rows: np.ndarray | None = None) -> FloatArray:
        """Standardised columns with variables in rows, (width, n)."""
        part = self.X[:, columns] if rows is None else self.X[rows, columns]
        block = part.T.astype(np.float64, order="C")
        block -= self.medians[columns, None]
        block /= self.scales[columns, None]
        np.clip(block, -_HUGE, _HUGE, out=block)
        if self.constant[columns].any():
            block[self.constant[columns]] = 0.0
        return block

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Blocks of columns, in the coordinates u."""
        for columns in column_blocks(*self.X.shape):
            yield columns, self.block(columns)

    def set_equicorrelation(self) -> None:
        """Measure the common correlation: the mean over pairs of columns of sin(pi/2 Spearman)."""
        n, p = self.X.shape
        self.correlation = _common_correlation(self, n, p)
        means = np.zeros(n)
        for _, block in self.blocks():
            means += block.sum(axis=0)
        self._row_means = means / p

    def target_eigenvalues(self) -> tuple[float, float]:
        """Eigenvalue of the target on the vector of ones, and the one on its complement."""
        c = self.correlation
        return 1.0 + (self.X.shape[1] - 1) * c, 1.0 - c

    def targeted_blocks(self) -> Iterator[FloatArray]:
        """Blocks of w = T^(-1/2) u, by the symmetric root, which no order of the columns changes."""
        along, across = self.target_eigenvalues()
        for _, block in self.blocks():
            if self._row_means is not None:
                block /= np.sqrt(across)
                block += (along**-0.5 - across**-0.5) * self._row_means
            yield block


def starting_scale(n: int) -> Scale:
    """Return "qn", or "tau" for so many rows that the sorts of Qn would take most of the time."""
    return "qn" if n < _LARGE else "tau"


def column_blocks(n: int, p: int) -> Iterator[slice]:
    """Slices of columns of which a float64 copy has about `_BLOCK` bytes."""
    width = max(16, _BLOCK // (8 * n))
    for first in range(0, p, width):
        yield slice(first, min(first + width, p))


def _common_correlation(columns: Columns, n: int, p: int) -> float:
    """Mean of sin(pi/2 Spearman) over pairs of columns that vary, kept where T is well inside the positive matrices."""
    varying = np.flatnonzero(~columns.constant)
    m = varying.size
    if m < 2:
        return 0.0
    ranks = np.empty((m, n), dtype=np.float32)  # of half-integers: exact below 2^23 rows
    for part in column_blocks(n, m):
        ranks[part] = doubled_ranks_rows(columns.X[:, varying[part]].T)
    ranks -= n + 1
    norms = np.sqrt(np.einsum("ij,ij->i", ranks, ranks, dtype=np.float64))
    total, width = 0.0, max(16, min(512, _BLOCK // (8 * n)))
    for i in range(0, m, width):
        left = ranks[i : i + width].astype(np.float64) / norms[i : i + width, None]
        for k in range(i, m, width):
            right = left if k == i else ranks[k : k + width].astype(np.float64) / norms[k : k + width, None]
            part = left @ right.T
            np.clip(part, -1.0, 1.0, out=part)
            part *= 0.5 * np.pi
            np.sin(part, out=part)
            total += float(part.sum() - np.trace(part)) if k == i else 2.0 * float(part.sum())
    lowest = min(0.0, -1.0 / (p - 1) + 0.01)
    return float(np.clip(total / (m * (m - 1.0)), lowest, _CLOSE))


# ---------------------------------------------------------------- starts from inner products


def _from_cross(cross: FloatArray, own: FloatArray, h: int, scale: Scale) -> np.ndarray:
    """Return the h rows nearest by an initial estimate with shape F'F, on the range of that shape.

    `cross` = Z F' and `own` = F F' hold inner products: with F F' = E diag(s^2) E', the eigenvectors of F'F are
    F' E / s and the projections of the rows Z F' E / s. Each is centred by its median and divided by its scale.
    """
    values, vectors = np.linalg.eigh(own)
    kept = values > max(own.shape[0], 16) * EPS * max(values[-1], 0.0)
    if not kept.any():
        return np.arange(h)
    scores = (vectors[:, kept] / np.sqrt(values[kept])).T @ cross.T
    scores -= row_medians(scores)[:, None]
    scores /= floored(row_scales(scores, scale, np.zeros(scores.shape[0])), h)[:, None]
    return nearest(np.einsum("ij,ij->j", scores, scores), h)


def _normalised(scores: FloatArray) -> FloatArray:
    """Rows centred and divided by their norms, in place."""
    scores -= scores.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", scores, scores))
    scores /= np.where(norms > 0, norms, 1.0)[:, None]
    return scores


def spatial_median_weights(gram: FloatArray) -> FloatArray:
    """Weights of the rows in their spatial median, by Weiszfeld steps on the inner products, (n,).

    Rows far from the origin are drawn in first: to the median only their directions matter, and their squares would
    swamp the others.
    """
    sqnorms = np.diagonal(gram)
    radius = _FAR * float(np.sqrt(np.median(sqnorms)))
    if radius > 0:
        shrink = np.minimum(1.0, radius / np.sqrt(np.maximum(sqnorms, radius**2 * EPS)))
        gram = gram * np.outer(shrink, shrink)
        sqnorms = np.diagonal(gram)
    largest = float(sqnorms.max())
    weights = np.full(gram.shape[0], 1.0 / gram.shape[0])
    if largest <= 0:
        return weights
    for _ in range(_WEISZFELD):
        moved = gram @ weights
        d2 = sqnorms - 2.0 * moved + weights @ moved
        fresh = 1.0 / np.sqrt(np.maximum(d2, EPS * largest))
        fresh /= fresh.sum()
        change = float(np.abs(fresh - weights).max())
        weights = fresh
        if change <= 1e-8 * float(weights.max()):
            break
    return weights


def _about(gram: FloatArray, weights: FloatArray) -> FloatArray:
    """Inner products about the weighted mean of the rows."""
    moved = gram @ weights
    return gram - moved[:, None] - moved + weights @ moved


def _half_start(gram: FloatArray, h: int, scale: Scale) -> np.ndarray:
    """Start from the covariance of the half of the rows nearest to the origin."""
    n = gram.shape[0]
    half = nearest(np.diagonal(gram), (n + 1) // 2)
    cross = gram[:, half]
    cross -= cross.mean(axis=1, keepdims=True)
    own = cross[half]
    own -= own.mean(axis=0)
    return _from_cross(cross, own, h, scale)


def _sign_start(gram: FloatArray, h: int, scale: Scale) -> np.ndarray:
    """Start from the spatial sign covariance about the origin."""
    inverse = np.sqrt(spatial_weights(np.diagonal(gram)))
    cross = gram * inverse
    return _from_cross(cross, cross * inverse[:, None], h, scale)


def _median_start(gram: FloatArray, h: int) -> np.ndarray:
    """Start from the rows nearest to their spatial median."""
    return nearest(np.diagonal(_about(gram, spatial_median_weights(gram))), h)


def gram_and_starts(columns: Columns, h: int) -> tuple[FloatArray, list[np.ndarray]]:
    """Return the Gram matrix of the rows w, and six starts for more columns than rows in a subset.

    One pass over blocks of columns; O(n^2 p) time, memory for the blocks and eight n x n matrices.
    """
    n = columns.X.shape[0]
    scale = starting_scale(n)
    table = normal_scores(n)
    gram, again = np.zeros((n, n)), np.zeros((n, n))
    cross, own = np.zeros((3, n, n)), np.zeros((3, n, n))
    for block in columns.targeted_blocks():
        gram += block.T @ block
        if columns.correlation != 0.0:  # else they are standardised already
            block -= row_medians(block)[:, None]
            block /= row_scales(block, "qn", np.zeros(block.shape[0]))[:, None]
            again += block.T @ block
        twice = doubled_ranks_rows(block)
        for k, scores in enumerate((np.tanh(block), twice - (n + 1.0), table[twice])):
            scores = _normalised(scores)
            cross[k] += block.T @ scores
            own[k] += scores.T @ scores
    standard = gram if columns.correlation == 0.0 else again
    starts = [_from_cross(cross[k], own[k], h, scale) for k in range(3)]
    starts += [_sign_start(standard, h, scale), _half_start(standard, h, scale), _median_start(standard, h)]
    return gram, starts


def gram_starts(gram: FloatArray, h: int) -> list[np.ndarray]:
    """Three starts that need nothing but inner products, all about the spatial median."""
    scale = starting_scale(gram.shape[0])
    inner = _about(gram, spatial_median_weights(gram))
    return [_sign_start(inner, h, scale), _half_start(inner, h, scale), _median_start(gram, h)]
