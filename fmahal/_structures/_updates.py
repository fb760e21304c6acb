"""Changes of a covariance by a few outer products, in the structure that holds it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from scipy.linalg import lapack

from .._kernels.updates import clear_upper, factor_update, whitening_update
from .._typing import FloatArray
from .._validation import readonly
from ..exceptions import NotPositiveDefiniteError

if TYPE_CHECKING:
    from .base import Structure
    from .spectral import Spectral
    from .triangular import Triangular

EPS = float(np.finfo(float).eps)
DOUBT = 0.1  # a larger margin is safe whatever the condition: the rank rules leave nothing of condition 1e14 triangular
ROUNDINGS = 10.0  # units of rounding times condition within which a margin cannot be told from zero
PANEL = 16  # columns of one panel of it
THIN_ROWS = 32  # rows that enter a spectral structure at once, or as many as it has pairs


def by_sign(weights: FloatArray) -> list[np.ndarray]:
    """Positions of positive, then of negative weights: in this order no definite end has an indefinite step."""
    return [rows for rows in (np.flatnonzero(weights > 0), np.flatnonzero(weights < 0)) if rows.size]


def lost(margin: float, limit: float, which: str) -> NoReturn:
    """Raise the error of a down-date that leaves nothing."""
    raise NotPositiveDefiniteError(
        f"The covariance is not positive definite after the down-date: {which} a share of {margin:.3g} of it (the "
        f"margin, see downdate_margin) in their direction; at its condition at least {limit:.3g} is needed. Usual "
        "causes: a row that was never added, was added with another weight or about another location, or that carries "
        "all of a direction. Where the margin is small, refit, or factorise the covariance that is left with "
        "Whitener.from_covariance."
    )


def overflow(which: str) -> NoReturn:
    """Raise the error of an update beyond the floating-point range."""
    raise ValueError(
        f"The update leaves the floating-point range {which}: weight times squared distance is not a finite number. "
        "Usual cause: rows in other units than the covariance."
    )


def margins_of(Z: FloatArray, weights: FloatArray) -> FloatArray:
    """1 + the eigenvalues, ascending, of the sum of weights z z' on the span of the whitened rows Z."""
    if Z.shape[0] == 1:
        return 1.0 + weights * (Z[0] @ Z[0])
    triangle: FloatArray = np.linalg.qr(Z.T, mode="r")  # type: ignore[assignment]
    return 1.0 + np.linalg.eigvalsh((triangle * weights) @ triangle.T)


def block_rows(p: int) -> int:
    """From how many rows on a block QR beats passes over the factor (benchmarks/test_updates.py)."""
    return min(max(16, p // 12), 96)


def smallest_margin(structure: Structure) -> float:
    """Return the margin up to which a down-date cannot be told from singular: it inherits rounding times condition."""
    return ROUNDINGS * EPS * structure.condition_number


# ---------------------------------------------------------------- triangular


def update_triangular(structure: Triangular, X: FloatArray, weights: FloatArray, scale: float) -> Triangular:
    """Rotate rows into, then out of, the factor; O(p^2) a row."""
    for rows in by_sign(weights):
        if structure.inverse and rows.size >= block_rows(X.shape[1]) and weights[rows[0]] > 0:
            structure = _absorb(structure, X[rows] * np.sqrt(weights[rows])[:, None], scale)
        else:
            structure = _rotate(structure, X, weights, rows, scale)
        scale = 1.0
    return structure if scale == 1.0 else structure.scaled(scale)


def _rotate(
    structure: Triangular, X: FloatArray, weights: FloatArray, rows: np.ndarray, scale: float
) -> Triangular:
    """Pass the rows, of weights of one sign, one by one; the first pass reads the old factor and writes the new one."""
    kernel = factor_update if structure.inverse else whitening_update
    root = np.sqrt(scale) if structure.inverse else 1.0 / np.sqrt(scale)
    source, out = structure.matrix, np.empty(structure.shape)
    leaving, together = bool(weights[rows[0]] < 0), 1.0
    if leaving and rows.size > 1:
        together = _check_together(structure, X[rows] * np.sqrt(-weights[rows] / scale)[:, None])
    clear_upper(out)
    X, written = readonly(X), readonly(out)
    for i in rows:
        status, change = kernel(source, X[i], float(weights[i] / scale), float(root), out)
        if leaving and (status or (rows.size == 1 and change < DOUBT)):
            limit = smallest_margin(structure)
            if status or change <= limit:
                lost(min(change, together), limit, f"row {i} of x leaves")
        elif status:
            overflow(f"at row {i} of x")
        source, root, scale = written, 1.0, 1.0
    return replace(structure, matrix=out)


def _check_together(structure: Triangular, rows: FloatArray) -> float:
    """Return the margin of rows that leave with weight 1 each; an error when together they leave nothing.

    No single step takes a larger share than all of them: the covariance only shrinks from step to step.
    """
    Z = structure.whiten(rows)
    if not np.isfinite(np.einsum("ij,ij->i", Z, Z).sum()):
        lost(-np.inf, 0.0, "the rows of negative weight leave")
    margin = float(margins_of(Z, np.full(len(Z), -1.0))[0])
    limit = smallest_margin(structure) if margin < DOUBT else 0.0
    if margin <= limit:
        lost(margin, limit, "the rows of negative weight together leave")
    return margin


def _absorb(structure: Triangular, rows: FloatArray, scale: float) -> Triangular:
    """QR of the transposed factor with rows below it, which keeps its triangle; 2 r p^2 operations in blocks."""
    p = structure.matrix.shape[0]
    triangle, _, _, info = lapack.dtpqrt(
        0, min(PANEL, p), structure.matrix.T * np.sqrt(scale), rows, overwrite_a=1
    )
    diagonal = np.diagonal(triangle)
    if info != 0 or not np.abs(diagonal).max() < np.sqrt(np.finfo(float).max):
        overflow("in a block of rows of x")
    return replace(structure, matrix=triangle.T * np.where(diagonal < 0, -1.0, 1.0))


# ---------------------------------------------------------------- low rank plus ridge


def update_spectral(structure: Spectral, X: FloatArray, weights: FloatArray, scale: float) -> Spectral:
    """Add rows, then take rows away, some at a time so that no matrix is wider than twice the rank."""
    if scale != 1.0:
        structure = structure.scaled(scale)
    for rows in by_sign(weights):
        first = 0
        while first < rows.size:
            some = rows[first : first + max(THIN_ROWS, structure.eigenvalues.size)]
            structure = _thin(structure, X[some], weights[some])
            first += some.size
    return structure


def _thin(structure: Spectral, X: FloatArray, weights: FloatArray) -> Spectral:
    """Eigenpairs of the small matrix on the old vectors and the new directions; O(p (r + k)^2) for k rows."""
    Y = X if structure.scale is None else X / structure.scale
    V, ridge = structure.vectors, structure.ridge
    scores = Y @ V
    rest = (Y - scores @ V.T) * np.sqrt(np.abs(weights))[:, None]
    if ridge == 0:
        off = structure.residual(X, None)[1]
        if weights[0] < 0 and off.any():
            lost(-np.inf, 0.0, "a row of x has a part off its subspace and leaves")
        rest = rest[off]
    size = float(np.max(np.einsum("ij,ij->i", Y, Y) * np.abs(weights), initial=0.0))
    if not np.isfinite(size):
        overflow("in a row of x")
    Q = _new_directions(V, rest, size, ridge)
    scores = np.hstack([scores, Y @ Q])
    values = np.concatenate([structure.eigenvalues, np.zeros(Q.shape[1])])
    gone = _count_gone(structure, scores / np.sqrt(values + ridge), weights) if weights[0] < 0 else 0
    small = (scores.T * weights) @ scores
    small.flat[:: values.size + 1] += values
    values, U = np.linalg.eigh(small)
    keep = _kept(structure, values, gone)
    U = U[:, keep]
    vectors = V @ U[: V.shape[1]] + Q @ U[V.shape[1] :]
    noise = structure.noise + (float(np.abs(values[~keep]).sum()) if ridge == 0 else 0.0)
    return replace(structure, eigenvalues=values[keep], vectors=vectors, noise=noise)


def _new_directions(V: FloatArray, rest: FloatArray, size: float, ridge: float) -> FloatArray:
    """Orthonormal columns that span the rows of `rest` beyond rounding, orthogonal to V to the last digit.

    `size` is the largest squared row before the projection: what is left of it by rounding spans nothing.
    """
    p, r = V.shape
    if rest.shape[0] == 0 or r == p:
        return np.zeros((p, 0))
    Q, s, _ = np.linalg.svd(rest.T, full_matrices=False)
    seen = s**2 > max((ROUNDINGS * p * EPS) ** 2 * size, EPS * ridge)
    Q = Q[:, seen][:, : p - r]
    return np.linalg.qr(Q - V @ (V.T @ Q))[0]  # once more: the rows may lie almost in the span


def _count_gone(structure: Spectral, Z: FloatArray, weights: FloatArray) -> int:
    """How many directions the down-date empties; an error when it takes more than there is."""
    margins = margins_of(Z, weights)
    limit = smallest_margin(structure)
    if not margins[0] > (limit if structure.ridge > 0 else -limit):
        lost(float(margins[0]), limit if structure.ridge > 0 else -limit, "the rows of negative weight leave")
    return int(np.sum(margins <= limit))


def _kept(structure: Spectral, values: FloatArray, gone: int) -> np.ndarray:
    """Mark the ascending eigenvalues that are kept: above rounding, and without the `gone` smallest."""
    largest = float(np.max(np.abs(values), initial=0.0))
    relative = max(structure.vectors.shape[0], 16) * EPS
    if structure.ridge > 0:  # a pair below rounding of the largest is one with the ridge
        if values.size and values[0] + structure.ridge <= 0:
            lost(float(1.0 + values[0] / structure.ridge), 0.0, "the rows of negative weight leave")
        return np.abs(values) > 4.0 * EPS * (largest + structure.ridge)
    keep = values > relative * largest
    keep[:gone] = False
    return keep
