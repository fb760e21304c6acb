"""Implicit modified Cholesky for p > n: regressions in dual form, 2 p n numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._kernels.sequences import sequential_adjoint, sequential_forward, sequential_sqnorm
from .._typing import FloatArray
from .._validation import readonly
from .base import Structure


@dataclass(frozen=True, eq=False)
class Sequential(Structure):
    """phi_jk = columns_k . dual_j for k < j; innovations need one running vector of length m a row.

    Attributes
    ----------
    dual : ndarray of shape (p, m)
        Row j solves the dual regression of variable j on its predecessors.
    columns : ndarray of shape (p, m)
        Row k is column k of the m fitted rows, centred.
    scale : ndarray of shape (p,)
        Innovation standard deviations.
    """

    dual: FloatArray
    columns: FloatArray
    scale: FloatArray
    kind: ClassVar[str] = "sequential"

    @property
    def shape(self) -> tuple[int, int]:
        return self.scale.size, self.scale.size

    @property
    def logdet(self) -> float:
        return 2.0 * float(np.log(self.scale).sum())

    def _forward(self, X: FloatArray, color: bool) -> FloatArray:
        out = np.empty(X.shape, dtype=np.float64)
        sequential_forward(readonly(X), self.dual, self.columns, self.scale, color, out)
        return out

    def whiten(self, X: FloatArray) -> FloatArray:
        return self._forward(X, False)

    def color(self, Z: FloatArray) -> FloatArray:
        return self._forward(Z, True)

    def adjoint(self, Z: FloatArray) -> FloatArray:
        out = np.empty(Z.shape, dtype=np.float64)
        sequential_adjoint(readonly(Z), self.dual, self.columns, self.scale, out)
        return out

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        origin = np.zeros(X.shape[1]) if location is None else location
        inverse = readonly(1.0 / self.scale)
        sequential_sqnorm(readonly(X), readonly(origin), self.dual, self.columns, inverse, out)

    def scaled(self, factor: float) -> Sequential:
        return Sequential(self.dual, self.columns, self.scale * np.sqrt(factor))
