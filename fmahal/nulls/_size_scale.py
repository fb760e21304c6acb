r"""How the scale of distances grows with the rows of a fit, for regularised estimators: measured, and continued.

What a regularised estimator adds depends on the number of rows, in a way that no formula covers: with common factors
in wide rows a tenth of the rows less is several per cent off every distance, and such distances differ by little more.
So the left-out rows of some replicates are measured once more, from fits that also lack some others. The ratio of the
two distances of one row, free of how far the row is, is continued from N to n rows as a power of their number. The
training distances need no such thing: those of the fit to all rows are there to be met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..scatter import ScatterFacts
from ..scatter._resolve import inner_of
from ._draws import Draws

Map = Callable[[FloatArray], FloatArray]
FIRST = 20  # replicates from which maps are learned, where they are not known
_WIDE = 0.5  # columns for a row from which on regularisation decides about distances


def grows(scatter: Any, facts: ScatterFacts) -> bool:
    """Tell whether distances from a fit to fewer rows have another scale, of which no formula is known.

    So have those of wide rows, whose regularised covariance is largely what regularises it. `facts` are those of the
    scatter, or of what it sketches.
    """
    spectral = getattr(inner_of(scatter), "scatter_kind", None) == "spectral"
    if facts.robust or spectral or facts.effective_n_samples is not None:
        return False
    return facts.regularized and bool(np.size(scatter.location_) >= _WIDE * facts.n_samples)


def more_held(n: int, n_held: int) -> int:
    """Return how many rows the second fits lack: twice as many, as long as that leaves half of those of the first."""
    return n_held + min(n_held, (n - n_held) // 2)


@dataclass(frozen=True)
class Resize:
    """Factors that take the distances of fits of N rows to those of the fit to n.

    Attributes
    ----------
    again : callable
        From a SeedSequence and a number of replicates to draws that leave out `n_more` rows, the first of them those
        of the draws to be resized.
    measure : callable
        Returns the squared distances of the training rows from the fit to all of them.
    n, n_held, n_more : int
        Rows, those that the draws leave out, and those that `again` does.
    """

    again: Callable[[np.random.SeedSequence, int], Iterator[Draws]]
    measure: Callable[[], FloatArray]
    n: int
    n_held: int
    n_more: int

    def train_map(self, kept: FloatArray, before: Map | None) -> Map:
        """Return `before` and the multiple that then takes the median of `kept` to that of the fit to all rows."""
        mapped = kept if before is None else before(kept)
        middle, wanted = float(np.nanmedian(mapped)), float(np.median(self.measure()))
        factor = wanted / middle if middle > 0 and wanted > 0 and np.isfinite(wanted / middle) else 1.0
        return partial(_multiplied, factor=factor, before=before)

    def new_map(self, seed: np.random.SeedSequence, held: FloatArray, before: Map | None) -> Map:
        """Return `before` and a multiple, from the distances `held` (b, m) and those of the same rows by `again`."""
        try:
            farther = np.concatenate([draws.new for draws in self.again(seed, len(held))])[:, : held.shape[1]]
        except ValueError:  # these fits are too small for the estimator; those to be resized were not
            return partial(_multiplied, factor=1.0, before=before)
        factor = continued(held, farther, self.n - self.n_held, self.n - self.n_more, self.n)
        return partial(_multiplied, factor=factor, before=before)


def continued(d2: FloatArray, farther: FloatArray, N: int, M: int, n: int) -> float:
    """Return the factor from distances of fits of N rows to n, as a power of the rows, given the same ones of M < N.

    Parameters
    ----------
    d2, farther : ndarray of one shape
        Squared distances of the same rows from fits of N and of M rows.
    N, M, n : int
        Numbers of rows, M < N < n.

    Returns
    -------
    factor : float
        Of the typical row, 1 when no distance is positive and finite.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.log(d2) - np.log(farther)
    change = change[np.isfinite(change)]
    if change.size == 0:
        return 1.0
    return float(np.exp(np.median(change) * np.log(n / N) / np.log(N / M)))


def _multiplied(d2: FloatArray, factor: float, before: Map | None) -> FloatArray:
    return factor * (d2 if before is None else before(d2))
