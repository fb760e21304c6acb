"""A random map applied after whitening, folded into one k x p array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from .._typing import FloatArray
from .base import Structure, row_blocks


class LinearMap(Protocol):
    """What `folded` needs of a random map."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def matrix(self) -> FloatArray: ...


@dataclass(frozen=True, eq=False)
class Sketch(Structure):
    """z = (S W) x with S W stored as one array.

    float32 rows are centred and multiplied in float64: what a product in float32 saves, its conversions cost, and no
    digits are lost where columns of very different variance cancel.

    Attributes
    ----------
    matrix : ndarray of shape (k, p)
        S W.
    inner : Structure
        W, which colours: pre-images lie in its subspace, and no column's unit decides between them.
    random_map : LinearMap of shape (k, m)
        S.
    factor : float
        By which the covariance of `inner` was multiplied since.
    """

    matrix: FloatArray
    inner: Structure
    random_map: LinearMap
    factor: float = 1.0
    kind: ClassVar[str] = "sketched"

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def logdet(self) -> float:
        """Log-determinant of the covariance before the sketch."""
        return self.inner.logdet + self.inner.rank * float(np.log(self.factor))

    def whiten(self, X: FloatArray) -> FloatArray:
        return X @ self.matrix.T

    def adjoint(self, Z: FloatArray) -> FloatArray:
        return Z @ self.matrix

    def color(self, Z: FloatArray) -> FloatArray:
        """Rows W^+ S^+ z: of all rows with sketched rows Z, those of the least exact distance."""
        S = self.random_map.matrix()
        if self.inner.shape[0] == self.inner.rank:
            whitened = Z @ np.linalg.pinv(S).T
        else:  # not all of W^+'s rows are whitened rows: the least of those that are
            gram = (self.matrix * np.sqrt(self.factor)) @ self.inner.color(S).T
            whitened = Z @ np.linalg.pinv(0.5 * (gram + gram.T), hermitian=True) @ S
        return self.inner.color(whitened) * np.sqrt(self.factor)

    def updated(self, X: FloatArray, weights: FloatArray, scale: float) -> Sketch:
        raise ValueError(
            "A sketched whitener cannot be updated: its map is folded into one array. Update the whitener that it was "
            "made of, or one from Whitener.from_covariance, and sketch that one again with the same random_state."
        )

    def scaled(self, factor: float) -> Sketch:
        return Sketch(self.matrix / np.sqrt(factor), self.inner, self.random_map, self.factor * factor)


def folded(structure: Structure, random_map: LinearMap) -> Sketch:
    """Return the sketch S W of a structure, in O(k p) memory.

    Parameters
    ----------
    structure : Structure
        W, with m whitened coordinates; the sketch keeps it.
    random_map : RandomMap of shape (k, m)
        S, whose k rows pass through `adjoint` in blocks.

    Returns
    -------
    sketch : Sketch
        With an array of shape (k, p); no p x p array is formed that the structure does not hold.
    """
    S = random_map.matrix()
    (k, m), p = S.shape, structure.shape[1]
    out = S if m == p else np.empty((k, p))
    for rows in row_blocks(k, max(m, p)):
        out[rows] = structure.adjoint(S[rows])
    return Sketch(out, structure, random_map)
