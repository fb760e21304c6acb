"""A random map applied after whitening, folded into one k x p array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._typing import FloatArray
from .base import Structure


@dataclass(frozen=True, eq=False)
class Sketch(Structure):
    """z = (S W) x with S W stored as one array.

    Attributes
    ----------
    matrix : ndarray of shape (k, p)
        S W.
    log_determinant : float
        Log-determinant of the covariance before the sketch.
    inner_rank : int
        Rank of the covariance before the sketch.
    """

    matrix: FloatArray
    log_determinant: float
    inner_rank: int
    kind: ClassVar[str] = "sketched"

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def logdet(self) -> float:
        return self.log_determinant

    def whiten(self, X: FloatArray) -> FloatArray:
        return X @ self.matrix.T

    def adjoint(self, Z: FloatArray) -> FloatArray:
        return Z @ self.matrix

    def color(self, Z: FloatArray) -> FloatArray:
        return Z @ np.linalg.pinv(self.matrix).T

    def scaled(self, factor: float) -> Sketch:
        shift = self.inner_rank * float(np.log(factor))
        return Sketch(self.matrix / np.sqrt(factor), self.log_determinant + shift, self.inner_rank)
