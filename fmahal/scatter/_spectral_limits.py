"""Limits of a spectral filter: of its span, by rounding, and of its numbers, by the range of floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._structures.base import row_blocks
from .._typing import FloatArray
from ..exceptions import RankDeficientError
from ._moments import EPS
from ._spectral_fit import Spectrum, Sums

_TINY = float(np.finfo(np.float64).tiny)
_MOST_ACCURACY = 1e-3


# -------------------------------------------------------------------- the span


def span_accuracy(X: FloatArray, found: Sums, spectrum: Spectrum, vectors: FloatArray) -> tuple[float, float]:
    """Return the squared length, and the share of its length, by which a row of the span may seem to lie off it.

    The length is that of one row: the rounding of the mean and of entries as they were given, and what the rank rule
    dropped of the training row that has most of it. Their sums over all rows would let new rows stray further from
    the span the more rows the fit saw.
    """
    n, p = X.shape
    eps = float(np.finfo(X.dtype).eps)
    centre = float(found.location @ found.location)
    squares, m = spectrum.squares, min(n, p)
    spread = float(squares[0] / squares[-1])
    rounding = 10.0 * EPS * (np.sqrt(m * spread) if spectrum.route == "svd" else m * spread)
    row = centre + found.total if X.dtype == np.float64 else _largest_square(X)
    tilt = 8.0 * eps * np.sqrt(row / squares[-1])  # rows far out in the last direction magnify what bent it
    accuracy = min(float(rounding + tilt), _MOST_ACCURACY)
    noise = (4.0 * eps) ** 2 * (centre + found.total / n)
    if spectrum.dropped > 0 and vectors.shape[1] == squares.size:
        return noise + 4.0 * _largest_excess(X, found.location, vectors, accuracy), accuracy
    return noise + 4.0 * spectrum.dropped, accuracy


def _largest_square(X: FloatArray) -> float:
    """Return the largest squared length of a row: its rounding is what one row does to a direction."""
    return max(
        float(np.einsum("ij,ij->i", X[rows], X[rows], dtype=np.float64).max())
        for rows in row_blocks(*X.shape)
    )


def _largest_excess(X: FloatArray, location: FloatArray, vectors: FloatArray, accuracy: float) -> float:
    """Return the largest squared length that a training row has off the span, beyond what its own length explains."""
    eps = 0.0 if X.dtype == np.float64 else float(np.finfo(X.dtype).eps)
    largest = 0.0
    for rows in row_blocks(*X.shape):
        block = np.subtract(X[rows], location, dtype=np.float64)
        explained = accuracy**2 * np.einsum("ij,ij->i", block, block)
        if eps > 0:
            explained += 4.0 * eps**2 * np.einsum("ij,ij->i", X[rows], X[rows], dtype=np.float64)
        block -= (block @ vectors) @ vectors.T
        rest = np.einsum("ij,ij->i", block, block) - explained
        largest = max(largest, float(rest.max(initial=0.0)))
    return largest


# -------------------------------------------------------------------- the range of floats


def no_direction(X: FloatArray) -> ValueError:
    """Return the error for rows without a direction: they are equal, or their squares vanish."""
    spread = float(np.max(X.max(axis=0).astype(np.float64) - X.min(axis=0)))
    largest = float(np.abs(X).max())
    if 0.0 < spread < _TINY**0.5 / EPS and spread > 16 * EPS * largest:
        return ValueError(
            f"The rows differ by {spread:.3g} at most, and the squares of that vanish below the smallest float: bring "
            f"the rows to larger units first, for example {_power(spread)} * X."
        )
    return RankDeficientError(
        f"All {len(X)} rows are equal up to rounding: there is no direction to measure along. Constant curves? "
        "The same row many times? Look at the spread of each column of X."
    )


def check_range(
    estimator: Any, shape: tuple[int, int], found: Sums, spectrum: Spectrum, values: FloatArray
) -> None:
    """Raise a ValueError when small eigenvalues are below the smallest float with all digits.

    Kept ones show it; others may have vanished before the rank rule saw them, which matters where the filter divides by
    them.

    Parameters
    ----------
    estimator : object
        Whose name the message bears.
    shape : tuple of int
        Rows and columns of the data.
    found : Sums
        Their moments.
    spectrum : Spectrum
        Their spectrum.
    values : ndarray of shape (k,)
        The eigenvalues that are kept, descending.
    """
    whole = spectrum.whole and values.size == spectrum.squares.size < min(shape[1], shape[0] - 1)
    hidden = whole and estimator.filter in ("truncate", "inverse") and EPS**2 * found.total < _TINY
    if values[-1] >= _TINY and not hidden:
        return
    size = float(np.sqrt(values[0]))
    raise ValueError(
        f"{type(estimator).__name__}: the rows have standard deviations of {size:.3g} and less, and the squares of "
        "small ones vanish below the smallest float. Bring the rows to larger units first, for example "
        f"{_power(size)} * X."
    )


def check_weights(estimator: Any, alpha: float, inverse: FloatArray, values: FloatArray) -> None:
    """Raise a ValueError when alpha, or a weight 1/`inverse`, is beyond the range of floats."""
    inside = np.isfinite(alpha) and (alpha >= _TINY or estimator.filter != "ridge")
    if inside and np.isfinite(inverse).all() and inverse.min() >= _TINY and inverse.max() <= 1.0 / _TINY:
        return
    raise ValueError(
        f"{type(estimator).__name__}({estimator.filter!r}): alpha is {alpha:.3g} in squared units of the data, next to "
        f"eigenvalues from {values[0]:.3g} to {values[-1]:.3g}: the weights of the filter exceed the range of floats. "
        "Usual causes: an alpha that is far from all eigenvalues, and extreme units. Take an alpha nearer to them, or "
        "bring the rows to units in which their standard deviation is about 1."
    )


def _power(size: float) -> str:
    """Return the power of two that brings a size to about one, as text."""
    return f"2.0**{-int(np.floor(np.log2(size)))}"
