"""A law of pooled distances that goes on, where few rows are left, like another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._bootstrap_plan import Choice, make_plan
from ._empirical_law import Pool

_ROWS = 2.5  # rows in the tail, below which their own distances say little of its quantiles
_REFERENCES = 3000
_LEAST, _MOST = 10, 100  # replicates


class ContinuedLaw:
    r"""Pooled distances of n rows, continued by the shape of a second law.

    .. math:: \mathrm{sf}(x) = \begin{cases} \mathrm{sf}_1(x) & x \le x_1 \\ \mathrm{sf}_2(x\, x_2 / x_1) & x > x_1
       \end{cases}

    where :math:`x_1` and :math:`x_2` are the points that the two laws exceed with probability 2.5 / n, at most 1/2.

    Parameters
    ----------
    base : EmpiricalLaw
        The law of the rows.
    beyond : EmpiricalLaw
        The law whose tail is taken.
    n : int
        Rows.
    """

    def __init__(self, base: Any, beyond: Any, n: int):
        self.base, self.beyond = base, beyond
        self.share = min(0.5, _ROWS / n)
        self.start = float(base.isf(self.share))
        there = float(beyond.isf(self.share))
        # A start of zero, most rows being equal, has no ratio.
        self.ratio = there / self.start if 0 < self.start < np.inf and there > 0 else np.nan

    @property
    def size(self) -> int:
        """Number of reference distances of the base."""
        return int(self.base.size)

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance above `x`."""
        x = np.asarray(x, dtype=np.float64)
        inner = self.base.sf(x)
        if np.isnan(self.ratio):
            return inner
        outer = np.minimum(self.beyond.sf(x * self.ratio), self.base.sf(self.start))
        return np.where(np.isnan(x) | (x <= self.start), inner, outer)[()]

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return ``1 - sf(x)``."""
        return 1 - self.sf(x)

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance above which the share `q` lies."""
        q = np.asarray(q, dtype=np.float64)
        inner = self.base.isf(q)
        if np.isnan(self.ratio):
            return inner
        outer = np.maximum(self.beyond.isf(np.where(q < self.share, q, self.share)) / self.ratio, self.start)
        return np.where(q < self.share, outer, inner)[()]

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance below which the share `q` lies."""
        return self.isf(1 - np.asarray(q, dtype=np.float64))

    def standard_error(self, q: float) -> float:
        """Return the standard error of ``isf(q)`` that the finite numbers of both kinds of references cause."""
        if q >= self.share or np.isnan(self.ratio):
            return float(self.base.standard_error(q))
        cut, own = float(self.isf(q)), float(self.base.standard_error(self.share))
        tail = float(self.beyond.standard_error(q)) / float(self.beyond.isf(q))
        joint = float(self.beyond.standard_error(self.share)) / float(self.beyond.isf(self.share))
        return cut * float(np.sqrt((own / self.start) ** 2 + tail**2 + joint**2))


class FartherLaw:
    r"""The larger of the upper tails of two laws, where neither of two models can be told to be the right one.

    .. math:: \mathrm{sf}(x) = \max\{\mathrm{sf}_1(x), \mathrm{sf}_2(x)\}

    Parameters
    ----------
    laws : sequence of two laws
        Each with ``sf``, ``isf``, ``standard_error`` and ``size``.
    """

    def __init__(self, *laws: Any):
        self.laws = laws

    @property
    def size(self) -> int:
        """Number of reference distances of the smaller one."""
        return min(int(law.size) for law in self.laws)

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance above `x`."""
        return np.maximum(*(law.sf(x) for law in self.laws))

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return ``1 - sf(x)``."""
        return 1 - self.sf(x)

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance above which the share `q` lies."""
        return np.maximum(*(law.isf(q) for law in self.laws))

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance below which the share `q` lies."""
        return np.maximum(*(law.ppf(q) for law in self.laws))

    def standard_error(self, q: float) -> float:
        """Return the standard error of ``isf(q)``, that of the law which it is taken from."""
        return float(max(self.laws, key=lambda law: float(law.isf(q))).standard_error(q))


def parametric_law(estimator: Any, X: Any, choice: Choice, seed: np.random.SeedSequence) -> Any:
    """Return the law of new rows of a parametric bootstrap, to continue another."""
    n = len(X) if hasattr(X, "__len__") else X.shape[0]
    B = int(np.clip(np.ceil(_REFERENCES / n), _LEAST, _MOST))
    plan = make_plan(estimator, X, replace(choice, kind="parametric", n_resamples=B))
    pool = Pool("gpd")
    for _, new, _ in plan.references(seed.spawn(1)[0]):
        pool.add(new)
    return pool.law()


def reaches(level: float, n: int) -> bool:
    """Tell whether n rows have a tail at a level."""
    return level * n >= 1
