"""What laws have to know about sketched distances: which refuse them, and which weights they have."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from .._registry import scatters
from .._typing import FloatArray
from ..scatter import resolve
from ..scatter._resolve import inner_of, is_sketch

_LEVEL = 0.01  # at which the error says how far off the law would be


def applies_unless_sketched(scatter_name: str, n: int, p: int) -> str | None:
    """Return why a law of exact distances does not apply to a registered scatter, None where it does."""
    if scatter_name in scatters and is_sketch(scatters[scatter_name].factory()):
        return "given the random map, sketched distances are weighted sums of chi-square variables"
    return None


def refuse_sketch(law: str, estimator: Any) -> None:
    """Raise a ValueError when a fitted estimator measures by a sketch, whose distances do not have the named law."""
    _, scatter = resolve(estimator)
    if not is_sketch(scatter):
        return
    weights = sketch_weights(scatter)
    rank = int(scatter.rank_)
    raise ValueError(
        f"{law} is no law of sketched distances. Given the random map S, here {weights.size} x {rank}, the squared "
        "distance |S z|^2 of a normal row is a weighted sum of chi-square variables, with the squared singular values "
        f"of S as weights, here from {weights.min():.3g} to {weights.max():.3g}: not chi-square with {rank} degrees of "
        f"freedom, the law of exact distances. At the level {_LEVEL:g} that would flag about "
        f"{_flagged(weights, rank):.2g} of clean rows. Use BootstrapNull(), which refits with the map held fixed "
        "(null='auto' does so), or, where the covariance is known and not estimated, WeightedChiSquareNull()."
    )


def sketch_weights(scatter: Any) -> FloatArray:
    """Return the weights of the law of normal rows by a fitted sketch, were its location and covariance the true ones.

    The squared singular values of the map, where the whitened coordinates are as many as the rank; else they are
    correlated, and the weights are the eigenvalues of the covariance of sketched rows.
    """
    exact = getattr(inner_of(scatter), "whitener_", None)
    if exact is None or exact.shape[0] == exact.rank:
        return np.square(np.asarray(scatter.singular_values_, dtype=np.float64))
    rows = scatter.whitener_.adjoint(np.eye(scatter.whitener_.shape[0]))
    gram = rows @ exact.covariance @ rows.T
    return np.maximum(np.linalg.eigvalsh((gram + gram.T) / 2)[::-1], 0.0)


def _flagged(weights: FloatArray, rank: int) -> float:
    """Return the share of normal rows beyond the chi-square cut-off, by a law with the first two cumulants."""
    first, second = weights.sum(), np.square(weights).sum()
    cutoff = stats.chi2.isf(_LEVEL, rank)
    return float(stats.chi2.sf(cutoff * first / second, first**2 / second))
