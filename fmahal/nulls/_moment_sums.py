"""Rows in the form in which weighted sums of them and of their products lose no digits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import covariance as sk

from .._kernels import resampling as kernel
from .._typing import FloatArray
from .._validation import readonly
from ..exceptions import RankDeficientWarning
from ..scatter import QIS, EmpiricalCovariance, LedoitWolf, ShrunkCovariance
from ..scatter._moments import column_means, constant_columns, rank_tolerance

Array = NDArray[np.float64]
_BLOCK_BYTES = 2_000_000  # counts or sums of a block of replicates, which the next step finds in cache
_LEDOIT_WOLF = (LedoitWolf, sk.LedoitWolf)  # need mean fourth powers


def is_affine(scatter: Any) -> bool:
    """Tell whether the scatter is the sample covariance, if need be by an amount of shrinkage that is zero."""
    if type(scatter) in (EmpiricalCovariance, sk.EmpiricalCovariance):
        return True
    if type(scatter) not in (ShrunkCovariance, sk.ShrunkCovariance):
        return False
    ridge = getattr(scatter, "ridge", None)
    return (scatter.shrinkage if ridge is None else ridge) == 0


@dataclass
class Sample:
    """Rows in the form that sums are taken in, and what all refits share."""

    scatter: Any
    Y: Array  # (n, r)
    tiles: Array  # (count, r, lanes): the same rows for SIMD
    products: Array | None  # (n, c), or None where it is formed in blocks of rows
    total: Array  # (c,) sums over all rows
    size: Array  # (r,) mean squares
    step: int  # rows whose products are formed at a time where not all are kept
    p: int
    centred: bool
    affine: bool

    @property
    def n(self) -> int:
        return self.Y.shape[0]

    @property
    def r(self) -> int:
        return self.Y.shape[1]

    @property
    def q(self) -> int:
        return self.r * (self.r + 1) // 2

    @property
    def fourth(self) -> bool:
        return type(self.scatter) in _LEDOIT_WOLF

    def block(self, n_held: int, max_bytes: int) -> int:
        """Replicates a block."""
        kept = 0 if self.products is None else self.products.nbytes
        entries = 2 * self.n + (n_held or self.n) + self.total.size + self.q + 2 * self.r
        if isinstance(self.scatter, QIS):
            entries += 4 * self.r**2
        elif not self.affine:
            entries += 2 * self.q
        fitting = max(max_bytes - kept, 0) // (8 * entries)
        return int(np.clip(fitting, 1, max(_BLOCK_BYTES // (8 * max(self.n, self.total.size)), 32)))

    def sums(self, weights: Array) -> Array:
        """Weighted sums (b, c) of products, rows and what else the shrinkage needs."""
        if self.products is not None:
            return weights @ self.products
        out = np.zeros((len(weights), self.total.size))
        for rows in _row_blocks(self.n, self.step):
            out += weights[:, rows] @ packed_columns(self.Y[rows], self.fourth)
        return out


def _row_blocks(n: int, step: int) -> list[slice]:
    return [slice(start, start + step) for start in range(0, n, step)]


def packed_columns(Y: Array, fourth: bool) -> Array:
    """Packed products y_j y_k (k >= j), rows and, with `fourth`, |y|^2 y and |y|^4, side by side."""
    n, r = Y.shape
    q = r * (r + 1) // 2
    out = np.empty((n, q + r + (r + 1 if fourth else 0)))
    start = 0
    for j in range(r):
        np.multiply(Y[:, j:], Y[:, j : j + 1], out=out[:, start : start + r - j])
        start += r - j
    out[:, q : q + r] = Y
    if fourth:
        squares = np.einsum("ij,ij->i", Y, Y)
        out[:, q + r : -1] = squares[:, None] * Y
        out[:, -1] = squares**2
    return out


def prepare(scatter: Any, Z: Array, max_bytes: int) -> Sample:
    n, p = Z.shape
    centred = not getattr(scatter, "assume_centered", False)
    affine = is_affine(scatter)
    Y = _whitened(Z, centred) if affine else _standardised(scatter, Z, centred)
    r = Y.shape[1]
    fourth = type(scatter) in _LEDOIT_WOLF
    width = r * (r + 1) // 2 + r + (r + 1 if fourth else 0)
    step = max(1, min(max_bytes // 4, 32_000_000) // (8 * width))
    if 2 * 8 * n * width <= max_bytes:
        products = readonly(packed_columns(Y, fourth))
        total = products.sum(axis=0)
    else:
        products = None
        total = np.zeros(width)
        for rows in _row_blocks(n, step):
            total += packed_columns(Y[rows], fourth).sum(axis=0)
    size = readonly(np.einsum("ij,ij->j", Y, Y) / n)
    return Sample(
        scatter, readonly(Y), row_tiles(Y), products, readonly(total), size, step, p, centred, affine
    )


def _whitened(Z: Array, centred: bool) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficientWarning)  # the fit of the scatter has said so
        return np.ascontiguousarray(EmpiricalCovariance(assume_centered=not centred).fit_transform(Z))


def _standardised(scatter: Any, Z: Array, centred: bool) -> Array:
    """Rows centred and over one number; for QIS turned into the range of their covariance."""
    n, p = Z.shape
    location: FloatArray = np.zeros(p)
    if centred:
        location = column_means(Z)
        location += column_means(Z, location)
    Y = Z - location
    sd = np.sqrt(np.einsum("ij,ij->j", Y, Y) / n)
    Y[:, constant_columns(sd, location, n)] = 0.0
    unit = np.abs(Y).max()
    if unit > 0:
        Y /= unit
        Y /= np.sqrt(np.einsum("ij,ij->", Y, Y) / Y.size)
    if isinstance(scatter, QIS):
        values, vectors = np.linalg.eigh(Y.T @ Y / n)
        present = values > rank_tolerance(n, p) * values[-1]
        if not present.all():
            Y = np.ascontiguousarray(Y @ vectors[:, present])
    return Y


def row_tiles(Y: Array) -> Array:
    """Rows in groups of `lanes`, each group transposed; the last one padded with zeros."""
    n, r = Y.shape
    count = -(-n // kernel.LANES)
    lanes = -(-n // (16 * count)) * 16
    padded = np.zeros((count * lanes, r))
    padded[:n] = Y
    return readonly(padded.reshape(count, lanes, r).transpose(0, 2, 1))
