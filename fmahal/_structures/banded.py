"""Banded modified Cholesky: T unit lower triangular with k subdiagonals, D diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._kernels.sequences import banded_adjoint, banded_color, banded_sqnorm, banded_whiten
from .._typing import FloatArray
from .._validation import readonly
from .base import Structure


@dataclass(frozen=True, eq=False)
class Banded(Structure):
    """precision = T' D^-1 T, row j of T holding -phi_{j,j-1} ... -phi_{j,j-k}.

    Attributes
    ----------
    band : ndarray of shape (p, k)
        ``band[j, t-1]`` = phi_{j,j-t}; zero where j - t < 0.
    scale : ndarray of shape (p,)
        Innovation standard deviations.
    """

    band: FloatArray
    scale: FloatArray
    kind: ClassVar[str] = "banded"

    @property
    def shape(self) -> tuple[int, int]:
        return self.scale.size, self.scale.size

    @property
    def logdet(self) -> float:
        return 2.0 * float(np.log(self.scale).sum())

    def whiten(self, X: FloatArray) -> FloatArray:
        out = np.empty(X.shape, dtype=np.float64)
        banded_whiten(readonly(X), self.band, self.scale, out)
        return out

    def adjoint(self, Z: FloatArray) -> FloatArray:
        out = np.empty(Z.shape, dtype=np.float64)
        banded_adjoint(readonly(Z), self.band, self.scale, out)
        return out

    def color(self, Z: FloatArray) -> FloatArray:
        out = np.empty(Z.shape, dtype=np.float64)
        banded_color(readonly(Z), self.band, self.scale, out)
        return out

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        origin = np.zeros(X.shape[1]) if location is None else location
        banded_sqnorm(readonly(X), readonly(origin), self.band, readonly(1.0 / self.scale), out)

    def scaled(self, factor: float) -> Banded:
        return Banded(self.band, self.scale * np.sqrt(factor))
