"""A spectral filter: it may weigh directions by nothing, which the rows span all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._typing import FloatArray
from .base import centred, row_blocks
from .spectral import Spectral

NEAR = (
    1e4  # squared distance of the location from the origin, in units of 1/g, up to which coordinates of size one lose
    # two digits; those of a filter that damps all directions are smaller than one, and lose more
)


@dataclass(frozen=True, eq=False)
class Filtered(Spectral):
    """Directions with weights g, stored as eigenvalues 1/g, inside a span that has an accuracy of its own.

    Attributes
    ----------
    unweighted : ndarray of shape (p, s) or None
        Orthonormal columns, orthogonal to `vectors`: further directions of the span, of weight zero.
    accuracy : float
        Part of a row in the span, relative to its length, that may seem to lie off it by rounding.
    """

    unweighted: FloatArray | None
    accuracy: float
    kind: ClassVar[str] = "spectral"

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        if self.ridge > 0 or location is None or not self._is_near(location):
            super().sqnorm(X, location, out)
            return
        shift = location @ self.vectors  # no centred copy: the rows pass once
        for rows in row_blocks(X.shape[0], X.shape[1]):
            scores = X[rows].astype(np.float64, copy=False) @ self.vectors
            scores -= shift
            scores *= scores
            out[rows] = scores @ (1.0 / self.eigenvalues)

    def _is_near(self, location: FloatArray) -> bool:
        """Whether scores of rows about zero keep their digits when that of the location is subtracted."""
        return bool(self.eigenvalues.size and location @ location <= NEAR * self.eigenvalues.min())

    def residual(
        self, X: FloatArray, location: FloatArray | None, eps: float = 0.0
    ) -> tuple[FloatArray, np.ndarray]:
        n, p = X.shape
        residual, off = np.zeros(n), np.zeros(n, dtype=bool)
        known = self.vectors.shape[1] + (0 if self.unweighted is None else self.unweighted.shape[1])
        if self.ridge > 0 or known == p:
            return residual, off
        if X.dtype != np.float64 and location is not None:
            eps = max(eps, float(np.finfo(X.dtype).eps))
        for rows in row_blocks(n, p):
            block = centred(X[rows], location)
            size = np.einsum("ij,ij->i", block, block)
            block = block - (block @ self.vectors) @ self.vectors.T
            if self.unweighted is not None:
                block -= (block @ self.unweighted) @ self.unweighted.T
            rest = np.einsum("ij,ij->i", block, block)
            residual[rows] = np.sqrt(rest)
            off[rows] = rest > self.noise + self.accuracy**2 * size
            if eps > 0 and off[rows].any():  # entries rounded before they were centred carry that much noise
                raw = np.einsum("ij,ij->i", X[rows], X[rows], dtype=np.float64)
                off[rows] &= rest > 4.0 * eps**2 * raw
        return residual, off

    def updated(self, X: FloatArray, weights: FloatArray, scale: float) -> Filtered:
        raise ValueError(
            "The whitener of a spectral filter cannot be updated: its weights follow from the whole spectrum. Fit the "
            "filter again, or give up the filter: Whitener.from_covariance of the changed covariance."
        )

    def scaled(self, factor: float) -> Filtered:
        return Filtered(
            self.eigenvalues * factor,
            self.vectors,
            self.ridge * factor,
            None,
            self.noise,
            self.unweighted,
            self.accuracy,
        )
