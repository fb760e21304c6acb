r"""Leave-one-out squared distances of spectral filters that are cut to their leading directions.

Symbols as in `_spectral_deletion`. Such a filter chooses its K directions again without row i. Their eigenvalues
:math:`\mu` are roots of the secular equation

.. math:: k \sum_j c_{ij}^2 / (s_j^2 - \mu) = 1,

one between two neighbouring :math:`s_j^2`, and the squared score of :math:`x_i - m_{-i}` along the eigenvector of
:math:`\mu` is :math:`1 / \sum_j c_{ij}^2 (s_j^2 - \mu)^{-2}`. That needs all directions, the ones cut away too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from .._structures.base import row_blocks
from ._spectral_deletion import EPS, Deletion

Array = NDArray[np.float64]

_BISECTIONS = 56  # halvings of an interval between two poles: below the rounding of its ends
_SMALL = 1e-3  # share of the secular equation above which the rest of it gives the term of a pole
_GRADED = 1e-4  # spread of the squares from which on singular values are worth their time
_TINY = float(np.finfo(np.float64).tiny)
_TIE = 4.0 * EPS  # relative width below which two eigenvalues are one


def cut_left_out_distances(
    frame: Deletion, filter: str, alpha: float, n_components: int, *, lost: str = "ignore"
) -> Array:
    """Squared distance of each training row from a filter of `n_components` directions fitted to all others.

    Parameters
    ----------
    frame : Deletion
        The decomposition, with all directions.
    filter : {"rkhs", "ridge", "inverse", "truncate"}
        The filter.
    alpha : float
        The regularisation, in the units of the eigenvalues.
    n_components : int
        Directions kept.
    lost : {"inf", "ignore"}, default="ignore"
        As in `left_out_distances`; what the cut takes away weighs nothing, and 1 / alpha for "ridge".

    Returns
    -------
    d2 : ndarray of shape (n,)
        Squared distances; the directions are chosen again without the row.

    Notes
    -----
    O(n n_components r) time, times some fifty halvings; no fit.
    """
    n = len(frame.left)
    lift = frame.lift(alpha) if filter in ("rkhs", "ridge") else 0.0
    out, seen = np.zeros(n), np.zeros(n)
    size = (frame.left**2) @ frame.squares
    for m in range(min(n_components, frame.squares.size, n - 2)):
        for rows in row_blocks(*frame.left.shape):
            mu, score = _root(frame, rows, m)
            g = mu / (mu + lift) ** 2 if filter == "rkhs" else 1.0 / (mu + lift)
            # A root has the digits of the poles it lies between; the last one may be zero, and vanish with its row.
            there = (m + 1 < frame.squares.size) | (mu > EPS * frame.squares[m])
            out[rows] += frame.divisor * np.where(there, g, 0.0) * score
            seen[rows] += score
    if filter == "ridge":
        out += frame.divisor * np.maximum(frame.k**2 * size - seen, 0.0) / lift
    elif lost == "inf":
        out[frame.rest == 0] = np.inf
    return out


def cut_left_out_conformance(
    frame: Deletion, filter: str, alpha: float, n_components: int, *, lost: str = "ignore"
) -> Array:
    """As `left_out_conformance`, from filters of `n_components` directions: one r x r decomposition a row, O(n r^3)."""
    n, roots = len(frame.left), np.sqrt(frame.squares)
    lift = frame.lift(alpha) if filter in ("rkhs", "ridge") else 0.0
    scores = frame.left * roots
    r, out = roots.size, np.full(n, np.inf)
    K = min(n_components, r, n - 2)
    for i in range(n):
        if lost == "inf" and filter != "ridge" and frame.rest[i] == 0:
            continue
        mu, vectors = _leading_without(frame, i, K)
        others = scores[i] - np.delete(scores, i, axis=0)
        along = (others @ vectors) ** 2
        d2 = along @ (mu / (mu + lift) ** 2 if filter == "rkhs" else 1.0 / (mu + lift))
        if filter == "ridge":
            d2 += np.maximum(np.einsum("ij,ij->i", others, others) - along.sum(axis=1), 0.0) / lift
        out[i] = frame.divisor * d2.min()
    return out


def _leading_without(frame: Deletion, i: int, K: int) -> tuple[Array, Array]:
    """Return the K largest eigenvalues without row i, and their eigenvectors in columns.

    Eigenvalues have an error of eps times the largest. Where that counts, singular values have it instead: those of
    (I - c u u') diag(s), whose first factor has the square I - k u u'.
    """
    r, roots, own = frame.squares.size, np.sqrt(frame.squares), frame.left[i]
    least = frame.squares[K] if r > K else EPS * frame.squares[-1]  # eigenvalues interlace
    if least > _GRADED * frame.squares[0]:
        matrix = np.diag(frame.squares) - frame.k * np.outer(own * roots, own * roots)
        mu, vectors = eigh(matrix, subset_by_index=[r - K, r - 1], check_finite=False)
        return np.maximum(mu, least), vectors
    leverage = float(own @ own)
    left_over = max(1.0 - frame.k * leverage, 0.0)
    c = frame.k / (1.0 + np.sqrt(left_over))
    _, singular, right = np.linalg.svd(np.diag(roots) - c * np.outer(own, own * roots))
    return np.maximum(singular[:K] ** 2, least), right[:K].T


def _root(frame: Deletion, rows: slice, m: int) -> tuple[Array, Array]:
    """Return the m-th eigenvalue without each of some rows, and the squared score of the row along its eigenvector."""
    c2 = frame.left[rows] ** 2 * frame.squares
    d = frame.squares
    lower = d[m + 1] if m + 1 < d.size else 0.0
    width = d[m] - lower
    if width <= _TIE * d[m]:  # an eigenvector that is orthogonal to the row
        return np.full(len(c2), d[m]), np.zeros(len(c2))
    # From the nearer pole, so that differences to it have all digits: f rises from -inf to inf between two poles.
    middle = frame.k * (c2 / ((d - lower) - 0.5 * width)).sum(axis=1) - 1.0
    pole = np.where(middle > 0, lower, d[m])
    sign = np.where(middle > 0, 1.0, -1.0)
    shifted = d - pole[:, None]
    low, high = np.zeros(len(c2)), np.full(len(c2), 0.5 * width)
    for _ in range(_BISECTIONS):
        tau = 0.5 * (low + high)
        f = frame.k * (c2 / (shifted - (sign * tau)[:, None])).sum(axis=1) - 1.0
        away = (f < 0) == (sign > 0)  # the root is farther from the pole
        low, high = np.where(away, tau, low), np.where(away, high, tau)
    tau = 0.5 * (low + high)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        terms = c2 / (shifted - (sign * tau)[:, None])
        near = np.abs(shifted) <= _TIE * d[m]
        squares = np.where(near, 0.0, terms / (shifted - (sign * tau)[:, None])).sum(axis=1)
        # A row that hardly has a score at the pole has its root on it: the equation knows the term better than tau.
        other = 1.0 - frame.k * np.where(near, 0.0, terms).sum(axis=1)
        own = np.where(near, c2, 0.0).sum(axis=1)
        pole_term = np.where(
            np.abs(other) > _SMALL, (other / frame.k) ** 2 / own, own / np.maximum(tau**2, _TINY)
        )
        weight = squares + pole_term
    return pole + sign * tau, np.where(weight > 0, 1.0 / weight, 0.0)
