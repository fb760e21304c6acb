"""The law of the largest of n distances, from that of the largest of m."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._typing import ArrayLike
from ._empirical_law import EmpiricalLaw

_ROUNDING = 1e-12


class MaximumLaw:
    r"""The law of the largest of n distances, when `base` is that of the largest of m = n / `power`.

    .. math:: \mathrm{sf}(x) = 1 - (1 - \mathrm{sf}_m(x))^{n/m}

    Parameters
    ----------
    base : EmpiricalLaw
        The law of the largest of m.
    power : float
        n / m.
    """

    def __init__(self, base: EmpiricalLaw, power: float):
        self.base, self.power = base, float(power)

    @property
    def size(self) -> int:
        """Number of reference distances."""
        return self.base.size

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability that the largest is above `x`."""
        return self._raised(self.base.sf(x))

    def _raised(self, level: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore"):
            return -np.expm1(self.power * np.log1p(-level))

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return ``1 - sf(x)``."""
        return 1 - self.sf(x)

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Cut-off at level `q`: ``x > isf(q)`` exactly where ``sf(x) <= q``."""
        q = np.asarray(q, dtype=np.float64)
        # The power loses digits near 1: the count of references that passes is sought, not the level.
        low, high = np.full(q.shape, -1), np.full(q.shape, self.size + 1)
        while (high - low > 1).any():
            middle = (low + high) // 2
            passes = self._raised(self.base._level(np.maximum(middle, 0))) <= q
            low, high = np.where(passes, middle, low), np.where(passes, high, middle)
        tail = self.base_level(q) * (1 - _ROUNDING)
        return self.base.isf(np.where(low >= 0, self.base._level(np.maximum(low, 0)), tail))

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Quantile of the largest."""
        return self.isf(1 - np.asarray(q, dtype=np.float64))

    def standard_error(self, q: float) -> float:
        """Return the standard error of ``isf(q)``."""
        return self.base.standard_error(float(self.base_level(np.asarray(q))))

    def base_level(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the level of the largest of m for a level of the largest of n."""
        with np.errstate(divide="ignore"):
            return -np.expm1(np.log1p(-np.minimum(q, 1.0)) / self.power)
