"""Low rank plus ridge: covariance = D (V diag(w) V' + ridge I) D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._typing import FloatArray
from .._validation import check_dense_size
from ._updates import update_spectral
from .base import Structure, centred, row_blocks

REFINE_CONDITION = (
    1e4  # beyond it |x|^2 - |V'x|^2 costs more than four digits: the residual is formed explicitly
)


@dataclass(frozen=True, eq=False)
class Spectral(Structure):
    """Eigenpairs of a covariance on the scale `scale`, with a ridge for the rest of the space.

    Attributes
    ----------
    eigenvalues : ndarray of shape (r,)
        Without the ridge; positive with it.
    vectors : ndarray of shape (p, r)
        Orthonormal columns.
    ridge : float
        Added to every direction; 0 means that the distance lives on the span of `vectors`.
    scale : ndarray of shape (p,) or None
        Diagonal of D; None is the identity.
    noise : float
        Squared standardised residual up to which a row counts as inside the span.
    """

    eigenvalues: FloatArray
    vectors: FloatArray
    ridge: float
    scale: FloatArray | None
    noise: float
    kind: ClassVar[str] = "spectral"

    @property
    def shape(self) -> tuple[int, int]:
        p, r = self.vectors.shape
        return (p if self.ridge > 0 else r), p

    @property
    def logdet(self) -> float:
        p, r = self.vectors.shape
        value = float(np.log(self.eigenvalues + self.ridge).sum())
        if self.ridge > 0:
            value += (p - r) * float(np.log(self.ridge))
        elif self.scale is not None and r < p:  # pseudo-determinant: D tilts the span
            tilted = self.scale[:, None] * self.vectors
            return value + float(np.linalg.slogdet(tilted.T @ tilted)[1])
        if self.scale is not None:
            value += 2.0 * float(np.log(self.scale).sum())
        return value

    @property
    def condition_number(self) -> float:
        values = self.eigenvalues + self.ridge
        if self.shape[0] > values.size:
            values = np.append(values, self.ridge)
        return float(values.max() / values.min()) if values.size else 1.0

    def _standardised(self, X: FloatArray, location: FloatArray | None) -> FloatArray:
        block = centred(X, location)
        return block if self.scale is None else block / self.scale

    def _mix(self, X: FloatArray, inside: FloatArray, outside: float) -> FloatArray:
        """(V diag(inside) V' + outside (I - VV')) x of every row."""
        scores = X @ self.vectors
        return (scores * (inside - outside)) @ self.vectors.T + outside * X

    def whiten(self, X: FloatArray) -> FloatArray:
        X = self._standardised(X, None)
        if self.ridge > 0:  # the symmetric root: no basis of the complement is ever formed
            return self._mix(X, 1.0 / np.sqrt(self.eigenvalues + self.ridge), self.ridge**-0.5)
        return (X @ self.vectors) / np.sqrt(self.eigenvalues)

    def adjoint(self, Z: FloatArray) -> FloatArray:
        if self.ridge > 0:
            rows = self._mix(Z, 1.0 / np.sqrt(self.eigenvalues + self.ridge), self.ridge**-0.5)
        else:
            rows = (Z / np.sqrt(self.eigenvalues)) @ self.vectors.T
        return rows if self.scale is None else rows / self.scale

    def color(self, Z: FloatArray) -> FloatArray:
        if self.ridge > 0:
            rows = self._mix(Z, np.sqrt(self.eigenvalues + self.ridge), self.ridge**0.5)
        else:
            rows = (Z * np.sqrt(self.eigenvalues)) @ self.vectors.T
        return rows if self.scale is None else rows * self.scale

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        weights = 1.0 / (self.eigenvalues + self.ridge)
        for rows in row_blocks(X.shape[0], X.shape[1]):
            block = self._standardised(X[rows], location)
            scores = block @ self.vectors
            total = np.einsum("ij,ij,j->i", scores, scores, weights)
            if self.ridge > 0:
                total += self._rest(block, scores) / self.ridge
            out[rows] = total

    def _rest(self, block: FloatArray, scores: FloatArray) -> FloatArray:
        """Squared norm of the part of each row that is orthogonal to the vectors."""
        if self.condition_number > REFINE_CONDITION:
            block = block - scores @ self.vectors.T
            return np.einsum("ij,ij->i", block, block)
        whole = np.einsum("ij,ij->i", block, block)
        rest = whole - np.einsum("ij,ij->i", scores, scores)
        return np.fmax(rest, 0.0, where=~np.isnan(rest), out=rest)

    def residual(
        self, X: FloatArray, location: FloatArray | None, eps: float = 0.0
    ) -> tuple[FloatArray, np.ndarray]:
        n, p = X.shape
        if self.ridge > 0 or self.eigenvalues.size == p:
            return super().residual(X, location)
        residual, off = np.empty(n), np.empty(n, dtype=bool)
        # Directions of rows far away inherit the rounding of the vectors, eps times the spread of the spectrum.
        relative = min(10.0 * p * np.finfo(float).eps * max(self.condition_number, 1.0), 1e-3)
        for rows in row_blocks(n, p):
            block = self._standardised(X[rows], location)
            size = np.einsum("ij,ij->i", block, block)
            block = block - (block @ self.vectors) @ self.vectors.T
            rest = np.einsum("ij,ij->i", block, block)
            residual[rows] = np.sqrt(rest)
            off[rows] = rest > self.noise + relative**2 * size
            if eps > 0 and off[rows].any():  # entries rounded before they were centred carry that much noise
                raw = X[rows] if self.scale is None else X[rows] / self.scale
                off[rows] &= rest > 4.0 * eps**2 * np.einsum("ij,ij->i", raw, raw, dtype=np.float64)
        return residual, off

    def updated(self, X: FloatArray, weights: FloatArray, scale: float) -> Spectral:
        return update_spectral(self, X, weights, scale)

    def scaled(self, factor: float) -> Spectral:
        return Spectral(self.eigenvalues * factor, self.vectors, self.ridge * factor, self.scale, self.noise)

    def covariance(self) -> FloatArray:
        if self.ridge == 0:
            return super().covariance()
        return self._dense(self.eigenvalues, self.ridge, self.scale, "The covariance")

    def precision(self) -> FloatArray:
        if self.ridge == 0:
            return super().precision()
        inside = 1.0 / (self.eigenvalues + self.ridge) - 1.0 / self.ridge
        inverse = None if self.scale is None else 1.0 / self.scale
        return self._dense(inside, 1.0 / self.ridge, inverse, "The precision")

    def _dense(self, inside: FloatArray, diagonal: float, scale: FloatArray | None, what: str) -> FloatArray:
        """D (V diag(inside) V' + diagonal I) D, O(p^2 r)."""
        check_dense_size(self.vectors.shape[0], what)
        matrix = (self.vectors * inside) @ self.vectors.T
        matrix.flat[:: matrix.shape[0] + 1] += diagonal
        matrix = 0.5 * (matrix + matrix.T)
        return matrix if scale is None else matrix * np.outer(scale, scale)
