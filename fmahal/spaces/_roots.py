"""Factors of Gram matrices of nearly dependent functions, from their values and without the Gram matrix.

With root-weighted values B at the nodes of a quadrature rule, G = B'B. Functions that differ by a small part eps' have
singular values of that size in B, and of its square in G: below half the digits of a float only B has them.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from scipy.linalg import block_diag, solve_triangular

from .._typing import FloatArray
from ._bases import parts, weighted_values
from ._grids import EPS

_DIGITS = 256.0  # times the rounding of unit functions: what a direction must exceed to have digits left


def basis_root(
    basis: Any, index: tuple[int, ...], components: FloatArray, domain_weight: Any
) -> FloatArray | None:
    """Return B of one derivative of the functions of a basis, at most (m, m); None where no rule is exact for them."""
    how, pieces = parts(basis)
    one = np.ones(1)
    if how == "vector":
        blocks = [basis_root(piece, index, one, domain_weight) for piece in pieces]
        if any(block is None for block in blocks):
            return None
        scaled = (
            np.sqrt(w) * block for w, block in zip(components, blocks, strict=True) if block is not None
        )
        return np.asarray(block_diag(*scaled))
    if how == "tensor" and domain_weight is None:
        axes = [basis_root(piece, (j,), one, None) for piece, j in zip(pieces, index, strict=True)]
        if any(axis is None for axis in axes):
            return None
        return np.asarray(
            np.sqrt(components[0]) * reduce(np.kron, [axis for axis in axes if axis is not None])
        )
    if domain_weight is None and not any(index) and not _has_rule(basis):
        return None
    return _triangle(weighted_values(basis, index, components, domain_weight).T)


def _has_rule(basis: Any) -> bool:
    """Whether Gauss-Legendre rules between the knots integrate products of the functions to all digits."""
    from skfda.representation.basis import BSplineBasis, ConstantBasis, FourierBasis, MonomialBasis

    return isinstance(basis, BSplineBasis | ConstantBasis | FourierBasis | MonomialBasis)


def _triangle(B: FloatArray) -> FloatArray:
    """Return a triangle with the same products of columns; each column keeps its own digits."""
    scale = np.linalg.norm(B, axis=0)
    return np.asarray(np.linalg.qr(B / np.where(scale > 0, scale, 1.0), mode="r")) * scale


def root_factor(B: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return F (m, q) with FF' = B'B, its left inverse (q, m), and a factor of what F leaves out.

    Judged on functions of unit norm, so that their units do not matter. The factor is triangular, or, where directions
    are below rounding, made of the others.

    Parameters
    ----------
    B : ndarray of shape (k, m)
        Root-weighted values.

    Returns
    -------
    factor : ndarray of shape (m, q)
        F.
    inverse : ndarray of shape (q, m)
        Its left inverse.
    lost : ndarray of shape (m, m - q) or None
        Maps coefficients to an upper estimate of the part that F leaves out.
    """
    m = B.shape[1]
    scale = np.linalg.norm(B, axis=0)
    used = scale > 0
    if not used.any():
        raise ValueError(
            "The Gram matrix of the basis is zero: these derivatives of all its functions vanish."
        )
    safe = np.where(used, scale, 1.0)
    R = np.linalg.qr(B / safe, mode="r")
    _, sizes, V = np.linalg.svd(R)
    sizes = np.append(sizes, np.zeros(m - sizes.size))
    keep = sizes > _DIGITS * m * EPS * sizes[0]
    if keep.all():
        signs = np.where(np.diagonal(R) < 0, -1.0, 1.0)
        L = (signs[:, None] * R).T  # the factor of functions of unit norm
        return safe[:, None] * L, np.asarray(solve_triangular(L, np.diag(1.0 / safe), lower=True)), None
    kept, cut = V[keep].T, V[~keep].T
    lost = (safe * used)[:, None] * cut * np.maximum(sizes[~keep], EPS * sizes[0])
    return safe[:, None] * kept * sizes[keep], ((kept / safe[:, None]) / sizes[keep]).T, lost
