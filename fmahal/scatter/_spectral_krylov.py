"""Few leading singular vectors of centred rows by block Krylov steps, without the products of all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .._typing import FloatArray
from ._moments import EPS

_OVERSAMPLED = 5
_FEWEST, _MOST = 6, 12  # steps: fewer rarely converge
_SHARE = 8  # this times all columns of all steps is at most m: they cost less than the Gram matrix
CONVERGED = 1e-11
ROUNDING = 30.0 * EPS  # of residuals, next to the largest value: what a Gram matrix has too


def _steps(count: int, m: int) -> int:
    return min(m // (_SHARE * (count + _OVERSAMPLED)), _MOST)


def is_worth_it(count: int, m: int) -> bool:
    """Whether block steps for `count` vectors cost less than the m x m Gram matrix, if they converge."""
    return _steps(count, m) >= _FEWEST


def leading_of_rows(
    blocks: Callable[[], Iterable[FloatArray]], m: int, count: int
) -> tuple[FloatArray, FloatArray] | None:
    """Return the leading squared singular values of a tall matrix, descending, and its right singular vectors.

    Parameters
    ----------
    blocks : callable
        Gives the rows of the matrix in blocks (b, m), again at each call.
    m : int
        Columns of the matrix.
    count : int
        How many are wanted; the last of them only shows the gap, and is known to few digits.

    Returns
    -------
    squares, short : ndarray of shape (count,), (m, count), or None
        None when the spectrum falls too slowly for a few steps, or equal values lie at the cut.

    Notes
    -----
    A random block of more columns than the multiplicity of any wanted value meets every copy of it. Convergence is
    judged by the residuals, against the gap at the cut.
    """
    width, steps = count + _OVERSAMPLED, _steps(count, m)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((m, width)))[0]
    basis, images = np.empty((m, width * steps), order="F"), np.empty((m, width * steps), order="F")
    before = np.inf
    for step in range(steps):
        done = (step + 1) * width
        new = slice(done - width, done)
        basis[:, new] = Q
        images[:, new] = sum(block.T @ (block @ Q) for block in blocks())
        B, W = basis[:, :done], images[:, :done]
        if step:
            product = B.T @ W
            values, turn = np.linalg.eigh(0.5 * (product + product.T))
            values, turn = values[: -count - 1 : -1], turn[:, : -count - 1 : -1]
            short = B @ turn
            lengths = np.linalg.norm(W @ turn - short * values, axis=0)[: count - 1]
            allowed = CONVERGED * np.minimum(values[: count - 1], values[count - 2] - values[count - 1])
            if (
                not allowed.min() > CONVERGED * EPS * values[0]
            ):  # fewer directions, or a cut among equal values
                return None
            allowed = np.maximum(allowed, ROUNDING * values[0])
            excess = float((lengths / allowed).max())
            if excess <= 1.0:
                return values, short
            if excess * (excess / before) ** (steps - step - 1) > 1e2 and step > 2:
                return None
            before = excess
        Q = images[:, new]
        for _ in range(2):  # what the first projection leaves may be all rounding, and far from orthogonal
            Q = np.linalg.qr(Q - B @ (B.T @ Q))[0]
    return None
