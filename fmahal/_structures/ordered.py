"""Structures on reordered columns, and the mean of several precisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._typing import FloatArray
from .._validation import check_dense_size
from .base import Structure


@dataclass(frozen=True, eq=False)
class Permuted(Structure):
    """A structure of the columns ``order[0], order[1], ...`` of the rows.

    Attributes
    ----------
    inner : Structure
        Acts on reordered rows; its whitened coordinates stay in that order.
    order : ndarray of shape (p,)
        A permutation.
    """

    inner: Structure
    order: np.ndarray
    kind: ClassVar[str] = "permuted"

    @property
    def shape(self) -> tuple[int, int]:
        return self.inner.shape

    @property
    def logdet(self) -> float:
        return self.inner.logdet

    @property
    def condition_number(self) -> float:
        return self.inner.condition_number

    def _back(self, rows: FloatArray) -> FloatArray:
        out = np.empty_like(rows)
        out[:, self.order] = rows
        return out

    def whiten(self, X: FloatArray) -> FloatArray:
        return self.inner.whiten(np.ascontiguousarray(X[:, self.order]))

    def adjoint(self, Z: FloatArray) -> FloatArray:
        return self._back(self.inner.adjoint(Z))

    def color(self, Z: FloatArray) -> FloatArray:
        return self._back(self.inner.color(Z))

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        moved = None if location is None else location[self.order]
        self.inner.sqnorm(np.ascontiguousarray(X[:, self.order]), moved, out)

    def updated(self, X: FloatArray, weights: FloatArray, scale: float) -> Permuted:
        return Permuted(
            self.inner.updated(np.ascontiguousarray(X[:, self.order]), weights, scale), self.order
        )

    def scaled(self, factor: float) -> Permuted:
        return Permuted(self.inner.scaled(factor), self.order)


@dataclass(frozen=True, eq=False)
class Stacked(Structure):
    """The mean of m precisions: whitened rows lie one beside the other, divided by the root of m.

    Attributes
    ----------
    parts : tuple of Structure
        Of full rank p each.
    """

    parts: tuple[Structure, ...]
    kind: ClassVar[str] = "stacked"

    @property
    def shape(self) -> tuple[int, int]:
        p = self.parts[0].shape[1]
        return p * len(self.parts), p

    @property
    def rank(self) -> int:
        return self.parts[0].shape[1]

    @property
    def logdet(self) -> float:
        """Log-determinant of the inverse of the mean precision; dense, O(p^3)."""
        return -float(np.linalg.slogdet(self.precision())[1])

    def whiten(self, X: FloatArray) -> FloatArray:
        return np.hstack([part.whiten(X) for part in self.parts]) / np.sqrt(len(self.parts))

    def adjoint(self, Z: FloatArray) -> FloatArray:
        pieces = np.split(Z, len(self.parts), axis=1)
        total = np.zeros((Z.shape[0], self.shape[1]))
        for part, piece in zip(self.parts, pieces, strict=True):
            total += part.adjoint(np.ascontiguousarray(piece))
        return total / np.sqrt(len(self.parts))

    def color(self, Z: FloatArray) -> FloatArray:
        """Rows A z with A = covariance W': the smallest rows whose whitened rows are nearest to Z; dense."""
        return self.adjoint(Z) @ self.covariance()

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        total, one = np.zeros(X.shape[0]), np.empty(X.shape[0])
        for part in self.parts:
            part.sqnorm(X, location, one)
            total += one
        out[...] = total / len(self.parts)

    def scaled(self, factor: float) -> Stacked:
        return Stacked(tuple(part.scaled(factor) for part in self.parts))

    def precision(self) -> FloatArray:
        check_dense_size(self.shape[1], "The precision")
        total = self.parts[0].precision()
        for part in self.parts[1:]:
            total = total + part.precision()
        return total / len(self.parts)

    def covariance(self) -> FloatArray:
        check_dense_size(self.shape[1], "The covariance")
        inverse = np.linalg.inv(self.precision())
        return 0.5 * (inverse + inverse.T)
