"""From the best subset to location and whitener: dense, low rank plus ridge, or in the span of a Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr

from .._factorize import from_eigh
from .._structures.base import row_blocks
from .._typing import FloatArray
from .._validation import as_symmetric
from ..whitener import Whitener
from ._degenerate import _label, _listed
from ._det_starts import EPS, initial_distances, standardised_rows
from ._mrcd_data import Columns, column_blocks, spatial_median_weights, starting_scale
from ._mrcd_engine import nearest


def constant_message(estimator: str, constant: np.ndarray, names: Any) -> str:
    """Say which columns are constant and what is done with them."""
    which = _listed([_label(int(j), names) for j in np.flatnonzero(constant)])
    return (
        f"{estimator}: constant columns: {which}. They keep a unit of the size of their value, so that the regularised "
        "covariance has full rank, and add nothing to the training distances. Drop them, unless new rows may vary "
        "there."
    )


def primal_starts(Wt: FloatArray, h: int) -> list[np.ndarray]:
    """Return the h nearest rows by each of the six initial estimates of the deterministic MCD."""
    n = Wt.shape[1]
    if h == n:
        return [np.arange(n)]
    kind = starting_scale(n)
    Zt = standardised_rows(Wt.T, kind)[0]
    return [nearest(d2, h) for d2 in initial_distances(Zt, kind)]


def dense_whitener(
    columns: Columns, rows: np.ndarray, rho: float, factor: float
) -> tuple[FloatArray, Whitener, FloatArray]:
    """Location, whitener and covariance D (rho T + (1 - rho) c S) D, (p, p)."""
    p = columns.X.shape[1]
    subset = columns.block(slice(0, p), rows)
    mean = subset.mean(axis=1)
    subset -= mean[:, None]
    covariance = subset @ subset.T
    covariance *= (1.0 - rho) * factor / (rows.size - 1)
    covariance += rho * columns.correlation
    covariance.flat[:: p + 1] += rho * (1.0 - columns.correlation)
    covariance *= columns.scales[:, None]
    covariance *= columns.scales
    covariance = 0.5 * (covariance + covariance.T)
    whitener = Whitener.from_covariance(covariance)
    return columns.medians + columns.scales * mean, whitener, covariance


def spectral_whitener(
    columns: Columns, rows: np.ndarray, rho: float, factor: float
) -> tuple[FloatArray, Whitener, None]:
    """Location and whitener of D (V diag(w) V' + ridge I) D; no p x p array, O(p h^2).

    With F the centred subset, and the vector of ones when the target has a common correlation, the covariance is
    F diag(m) F' + ridge I: an orthogonal factorisation of F leaves a problem of h or h + 1 dimensions.
    """
    n, p = columns.X.shape
    h, c = rows.size, columns.correlation
    Ft = np.ones((h + (c != 0.0), p))
    mean = np.empty(p)
    for part in column_blocks(n, p):
        block = columns.block(part, rows)
        mean[part] = block.mean(axis=1)
        block -= mean[part, None]
        Ft[:h, part] = block.T
    middle = np.full(Ft.shape[0], (1.0 - rho) * factor / (h - 1))
    middle[h:] = rho * c
    Q, R = qr(Ft.T, overwrite_a=True, mode="economic", check_finite=False)
    del Ft
    values, vectors = np.linalg.eigh((R * middle) @ R.T)
    kept = np.abs(values) > middle.size * EPS * np.abs(values).max()
    vectors = vectors[:, kept]
    for part in row_blocks(p, middle.size):
        Q[part, : vectors.shape[1]] = Q[part] @ vectors
    structure = from_eigh(
        values[kept], Q[:, : vectors.shape[1]], rho * (1.0 - c), None, columns.scales, None, copy=False
    )
    return columns.medians + columns.scales * mean, Whitener(structure), None


# ---------------------------------------------------------------- Gram matrices


@dataclass
class Embedding:
    """The span of the rows behind a centred Gram matrix G = E diag(g) E'.

    Attributes
    ----------
    gram : ndarray of shape (n, n)
        G / unit.
    unit : float
        Mean squared size of a coordinate, robustly: the median squared distance from the spatial median over the rank.
    values, vectors : ndarray of shape (r,), (n, r)
        Positive eigenvalues g / unit and eigenvectors of `gram`.
    """

    gram: FloatArray
    unit: float
    values: FloatArray
    vectors: FloatArray

    @property
    def rank(self) -> int:
        """Dimension of the span."""
        return self.values.size

    def whitener(self, rows: np.ndarray, rho: float, factor: float) -> tuple[FloatArray, Whitener]:
        """Location and whitener of rows of the Gram matrix as given.

        Coordinates y of a row in the span, with y y' = G / unit, give its inner products unit E sqrt(g) y with the
        training rows; those have the same distances.
        """
        roots = np.sqrt(self.values)
        Y = self.vectors[rows] * roots
        mean = Y.mean(axis=0)
        Y -= mean
        K = Y.T @ Y * ((1.0 - rho) * factor / (rows.size - 1))
        K.flat[:: K.shape[0] + 1] += rho
        map_ = roots * self.unit
        values, axes = np.linalg.eigh(K * np.outer(map_, map_))
        location = self.vectors @ (mean * map_)
        structure = from_eigh(values, self.vectors @ axes, 0.0, None, None, None, copy=False)
        return location, Whitener(structure)


def embed(X: FloatArray) -> Embedding:
    """Check a centred Gram matrix and take its span."""
    if X.shape[0] != X.shape[1]:
        raise ValueError(
            f"With gram=True, X must be a square (n, n) matrix of inner products, got shape {X.shape}. Pass "
            "Xc @ Xc.T of centred rows, or leave gram=False for rows."
        )
    gram = as_symmetric(X, "X")
    n = gram.shape[0]
    values, vectors = np.linalg.eigh(gram)
    largest = float(values[-1])
    tolerance = max(n, 16) * max(EPS, float(np.finfo(X.dtype).eps)) * largest
    if largest <= 0.0:
        raise ValueError(
            "With gram=True, X has no positive eigenvalue: all points coincide, or X is no Gram matrix."
        )
    if values[0] < -1e4 * tolerance:
        raise ValueError(
            f"With gram=True, X must be positive semi-definite; its eigenvalues run from {values[0]:.3g} to "
            f"{largest:.3g}. A kernel that is not positive definite has no Mahalanobis distance."
        )
    if np.abs(gram.sum(axis=0)).max() > np.sqrt(EPS) * n * largest:
        raise ValueError(
            "With gram=True, X must be centred: its rows do not sum to zero. Subtract row and column means and add the "
            "grand mean, as sklearn.preprocessing.KernelCenterer does."
        )
    kept = values > tolerance
    weights = spatial_median_weights(gram)
    moved = gram @ weights
    d2 = np.diagonal(gram) - 2.0 * moved + weights @ moved
    unit = (float(np.median(d2)) or float(d2.mean())) / int(kept.sum())
    return Embedding(gram / unit, unit, values[kept] / unit, vectors[:, kept])
