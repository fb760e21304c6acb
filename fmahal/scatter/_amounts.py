"""How much to shrink, from the invariants of a sample: for one sample or, with arrays, for many at once."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .._typing import FloatArray

Values: TypeAlias = float | FloatArray  # of one sample, or of b samples in an array (b,)


def ledoit_wolf_share(dispersion: Values, fourth: Values, n: int, p: int, tolerance: float) -> FloatArray:
    """Return the intensity of Ledoit and Wolf, between 0 and 1.

    Parameters
    ----------
    dispersion, fourth : float or ndarray of shape (b,)
        |S|_F^2 / (tr S)^2 and mean_k |x_k|^4 / (tr S)^2 of the centred rows, S of divisor n.
    n, p : int
        Rows and columns.
    tolerance : float
        Relative rounding of the sums: a numerator below that is an exact 0, as it is with two rows.

    Returns
    -------
    share : ndarray of shape () or (b,)
        Weight of the identity.
    """
    noise = (fourth - dispersion) / n
    spread = np.asarray(dispersion - 1.0 / p)
    share = np.ones(spread.shape)
    np.divide(noise, spread, out=share, where=noise < spread)
    if p == 1:
        return np.zeros(spread.shape)
    return np.where(noise * n <= tolerance * fourth, 0.0, share)


def oas_share(dispersion: Values, n: int, p: int, omitted: float) -> FloatArray:
    """Return the intensity of the oracle approximation, between 0 and 1.

    Parameters
    ----------
    dispersion : float or ndarray of shape (b,)
        |S|_F^2 / (tr S)^2, S of divisor n.
    n, p : int
        Rows and columns.
    omitted : float
        The constant c: 2 / p in the paper, 0 in scikit-learn.

    Returns
    -------
    share : ndarray of shape () or (b,)
        Weight of the identity.
    """
    numerator = np.asarray((1.0 - omitted) * dispersion + 1.0)
    denominator = (n + 1.0 - omitted) * (dispersion - 1.0 / p)
    share = np.ones(numerator.shape)
    np.divide(numerator, denominator, out=share, where=numerator < denominator)
    return np.zeros(numerator.shape) if p == 1 else share
