"""A lower triangular factor of the covariance, or a lower triangular whitening matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import blas, lapack

from .._kernels.quadform import CHUNK, rows_sqnorm, triangular_rows, triangular_sqnorm
from .._typing import FloatArray
from .._validation import readonly
from ._updates import update_triangular
from .base import EXACT_CONDITION_COLUMNS, Structure, centred, row_blocks

FUSED_COLUMNS = 224  # up to here one fused pass beats BLAS and its centred copy (benchmarks/test_distance.py)


@dataclass(frozen=True, eq=False)
class Triangular(Structure):
    """z solves L z = x (`inverse`), or z = W x, with L or W lower triangular.

    Attributes
    ----------
    matrix : ndarray of shape (p, p)
        L with covariance L L' when `inverse`, else W with precision W'W. C-contiguous, zero above the diagonal.
    inverse : bool
        Which of the two.
    """

    matrix: FloatArray
    inverse: bool
    kind: ClassVar[str] = "triangular"

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def logdet(self) -> float:
        value = 2.0 * float(np.log(np.abs(np.diagonal(self.matrix))).sum())
        return value if self.inverse else -value

    @property
    def condition_number(self) -> float:
        # On the unit-diagonal scale of covariance or precision: units of the columns do not matter.
        norms = np.linalg.norm(self.matrix, axis=1 if self.inverse else 0)
        unit = self.matrix / (norms[:, None] if self.inverse else norms)
        if unit.shape[0] <= EXACT_CONDITION_COLUMNS:
            return float(np.linalg.cond(unit) ** 2)
        rcond, _ = lapack.dtrcon(unit.T, uplo="U")  # one-norm estimate, O(p^2)
        return float("inf") if rcond == 0 else float(rcond**-2)

    def _product(self, X: FloatArray, solve: bool, transpose: bool) -> FloatArray:
        """M x or M' x of every row, or the solution with M or M'; X is a fresh float64 (n, p) array, overwritten."""
        routine = blas.dtrsm if solve else blas.dtrmm
        # The C-ordered lower matrix is, to BLAS, an upper one transposed; rows of X are columns there.
        return routine(1.0, self.matrix.T, X.T, lower=0, trans_a=0 if transpose else 1, overwrite_b=1).T

    def whiten(self, X: FloatArray) -> FloatArray:
        return self._product(np.array(X, dtype=np.float64, order="C"), self.inverse, False)

    def adjoint(self, Z: FloatArray) -> FloatArray:
        return self._product(np.array(Z, dtype=np.float64, order="C"), self.inverse, True)

    def color(self, Z: FloatArray) -> FloatArray:
        return self._product(np.array(Z, dtype=np.float64, order="C"), not self.inverse, False)

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        n, p = X.shape
        if p <= FUSED_COLUMNS:
            diagonal = np.diagonal(self.matrix)
            if self.inverse:
                coefficients, scale = -self.matrix, 1.0 / diagonal
            else:
                coefficients, scale = self.matrix / diagonal[:, None], diagonal
            origin = np.zeros(p) if location is None else location
            arrays = [readonly(a) for a in (X, origin, coefficients, scale)]
            if n <= CHUNK:  # one thread's share: starting the others would cost more than the work
                triangular_rows(*arrays, self.inverse, 0, n, out)
            else:
                triangular_sqnorm(*arrays, self.inverse, out)
            return
        ones = readonly(np.ones(p))
        for rows in row_blocks(n, p):
            block = centred(X[rows], location)
            if block.base is not None or block is X or location is None:
                block = np.array(block, order="C")
            rows_sqnorm(readonly(self._product(block, self.inverse, False)), ones, out[rows])

    def updated(self, X: FloatArray, weights: FloatArray, scale: float) -> Triangular:
        return update_triangular(self, X, weights, scale)

    def scaled(self, factor: float) -> Triangular:
        root = np.sqrt(factor)
        return Triangular(self.matrix * (root if self.inverse else 1.0 / root), self.inverse)
