"""Coordinates in a basis: coefficients times a factor F of the Gram matrix, FF' = G.

scikit-fda gives the Gram matrix of most bases. Those of splines, of derivatives and with a weight on the domain are
integrated here by Gauss-Legendre rules between the knots, exact for polynomials and splines on any domain. Functions
that depend on one another almost, such as monomials on a domain far from zero, never meet in a Gram matrix, which
squares what tells them apart: there F comes from an orthogonal factorisation of their values (`_roots`).
"""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
from scipy.linalg import block_diag, solve_triangular

from .._typing import FloatArray
from ..exceptions import RankDeficientWarning
from ._frames import Term, derivatives
from ._grids import (
    EPS,
    Grid,
    as_grid,
    cell_widths,
    check_same_domain,
    domain_weights,
    outer,
    simpson_weights,
)
from ._input import Curves

_POINTS = 201  # of an axis on which curves in a basis are shown
_NODES = 12  # Gauss-Legendre nodes of a panel
_CLEAR = 1e-6  # smallest eigenvalue of a Gram matrix of unit functions whose factor has the digits
_SEEN = 1e-3  # of a curve's norm: what it may lose without a word


class BasisFrame:
    """Inner product of functions in a basis of m functions.

    Parameters
    ----------
    basis : Basis
        The basis, of scikit-fda.
    components : ndarray of shape (d,)
        Weights of the components.
    domain_weight : callable or None
        Weight on the domain.
    terms : list of Term
        The terms of the inner product.
    grid : tuple of ndarray, optional
        Where densities are shown; by default 201 points an axis.
    """

    def __init__(
        self, basis: Any, components: FloatArray, domain_weight: Any, terms: list[Term], grid: Grid | None
    ) -> None:
        self.basis = basis
        self.domain = domain_of(basis)
        if grid is None:
            self.grid: Grid = tuple(np.linspace(a, b, _POINTS) for a, b in self.domain)
            axes = tuple(simpson_weights(points) for points in self.grid)
        else:
            self.grid, axes = grid, tuple(cell_widths(points) for points in grid)
        self.weights = outer(axes)
        self.components = components
        self.domain_weight = domain_weight
        self.terms = terms
        self.gram = np.zeros((basis.n_basis, basis.n_basis))
        for term in terms:
            for index, factor in derivatives(term):
                self.gram += factor * gram(basis, index, components, domain_weight)
        self._factor, self._inverse, self._lost = self._factors()

    @property
    def size(self) -> int:
        """Number of coordinates: the rank of the Gram matrix."""
        return int(self._factor.shape[1])

    def coordinates(self, coefficients: FloatArray) -> FloatArray:
        """Map (n, m) coefficients to (n, size) rows of the same dtype; warn of curves that lose a part."""
        Z: FloatArray = (coefficients @ self._factor).astype(coefficients.dtype, copy=False)
        if self._lost is not None and len(Z):
            self._complain(np.linalg.norm(coefficients @ self._lost, axis=1), np.linalg.norm(Z, axis=1))
        return Z

    def _factors(self) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Return F, its left inverse, and what maps coefficients to the part that F leaves out."""
        if not well_conditioned(self.gram):
            from ._roots import basis_root, root_factor

            found = [
                (factor, basis_root(self.basis, index, self.components, self.domain_weight))
                for term in self.terms
                for index, factor in derivatives(term)
            ]
            roots = [np.sqrt(factor) * root for factor, root in found if root is not None]
            if len(roots) == len(found):
                F, inverse, lost = root_factor(np.vstack(roots))
                level = any(
                    term.order == 0 for term in self.terms
                )  # else polynomials count for nothing: no loss
                return F, inverse, lost if level else None
        return (*gram_factor(self.gram), None)

    def _complain(self, lost: FloatArray, kept: FloatArray) -> None:
        """Warn when a curve has a part that its coordinates do not show."""
        worst = int(np.argmax(lost - _SEEN * kept))
        if lost[worst] > _SEEN * kept[worst]:
            m, q = self._factor.shape
            where = " x ".join(f"[{a:.6g}, {b:.6g}]" for a, b in self.domain)
            warnings.warn(
                f"{m - q} of {m} directions of {type(self.basis).__name__} cannot be told from rounding on {where} and "
                f"are left out; curve {worst} has a part there, of about {lost[worst]:.2g} next to {kept[worst]:.2g}. "
                "Usual causes: powers of an argument far from zero, such as years. Convert the curves with "
                "X.to_basis(BSplineBasis(...)), or count the argument from the middle of the domain.",
                RankDeficientWarning,
                stacklevel=2,
            )

    def values(self, Z: FloatArray) -> FloatArray:
        """Map rows back to coefficients; those of functions without norm are zero."""
        return np.asarray(Z @ self._inverse)

    def split(self, V: FloatArray, G: FloatArray) -> FloatArray:
        """Densities, (n, T_1, ..., T_k, d), of the products of the functions with coordinates `V` and `G`."""
        left, right = self.values(V), self.values(G)
        weight = domain_weights(self.domain_weight, self.grid, self.grid, (0,) * len(self.grid))
        total = np.zeros((len(V), *self.weights.shape, self.components.size))
        for term in self.terms:
            for index, factor in derivatives(term):
                phi = evaluate(self.basis, self.grid, index)
                total += factor * np.tensordot(left, phi, 1) * np.tensordot(right, phi, 1)
        total *= self.components
        return total if weight is None else total * weight[..., None]

    def names(self) -> list[str]:
        """Return a number for each coordinate."""
        return [f"z{j}" for j in range(self.size)]


def basis_frame(space: Any, curves: Curves, components: FloatArray, terms: list[Term]) -> BasisFrame:
    """Return the frame of curves in a basis, with the keywords of `space`."""
    if not (isinstance(space.weights, str) and space.weights == "trapezoid"):
        raise ValueError(
            "weights= are quadrature weights of grid points, and the curves are in a basis, where integrals are exact. "
            "Leave weights= out; a weight on the domain is domain_weight=."
        )
    if space.domain_weight is not None and not callable(space.domain_weight):
        raise ValueError(
            "domain_weight must be a function of the argument for curves in a basis, which have no grid points; got "
            f"{type(space.domain_weight).__name__}."
        )
    basis = curves.basis
    if curves.kind == "irregular":
        from ._irregular import suited_basis

        basis = suited_basis(curves.values, basis)
    grid = None if space.grid_points is None else as_grid(space.grid_points)
    if grid is not None and len(grid) != basis.dim_domain:
        raise ValueError(
            f"grid_points has {len(grid)} axes and the basis {basis.dim_domain}: give one for each argument."
        )
    return BasisFrame(basis, components, space.domain_weight, terms, grid)


def domain_of(basis: Any) -> tuple[tuple[float, float], ...]:
    """Return the domain of a basis as floats."""
    return tuple((float(a), float(b)) for a, b in basis.domain_range)


def well_conditioned(G: FloatArray) -> bool:
    """Whether a factor of the Gram matrix keeps the digits of its functions, taken to unit norm."""
    scale = np.sqrt(np.maximum(np.diagonal(G), 0.0))
    used = scale > 0
    if not (used.any() and np.isfinite(G).all()):
        return False
    R = G[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    return bool(np.linalg.eigvalsh(0.5 * (R + R.T))[0] > _CLEAR)


def gram_factor(G: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return F (m, q) with FF' = G, and its left inverse (q, m).

    Judged on the correlation scale, so that the units of single functions do not matter: a triangular factor, or, for
    a nearly singular matrix (monomials of high degree, derivatives, which lose constants), one made of the eigenvectors
    whose eigenvalues stand out from rounding.
    """
    m = len(G)
    scale = np.sqrt(np.maximum(np.diagonal(G), 0.0))
    used = scale > 0
    safe = np.where(used, scale, 1.0)
    R = np.where(np.outer(used, used), G / np.outer(safe, safe), 0.0)
    values, vectors = np.linalg.eigh(0.5 * (R + R.T))
    tolerance = 16 * m * EPS * max(float(values[-1]), 0.0)
    if values[0] > tolerance:
        L = np.linalg.cholesky(0.5 * (G + G.T))
        return L, solve_triangular(L, np.eye(m), lower=True)
    keep = values > tolerance
    if not keep.any():
        raise ValueError(
            "The Gram matrix of the basis is zero: these derivatives of all its functions vanish."
        )
    roots = np.sqrt(values[keep])
    V = vectors[:, keep]
    return safe[:, None] * V * roots, ((V / safe[:, None]) / roots).T


# -------------------------------------------------------------------- functions of a basis


def parts(basis: Any) -> tuple[str, list[Any]]:
    """Return how a basis is composed, "vector", "tensor", "curve" or "other", and of what."""
    from skfda.representation.basis import TensorBasis, VectorValuedBasis

    if isinstance(basis, VectorValuedBasis):
        return "vector", list(basis.basis_list)
    if isinstance(basis, TensorBasis):
        return "tensor", list(basis.basis_list)
    return ("curve" if basis.dim_domain == 1 and basis.dim_codomain == 1 else "other"), [basis]


def gram(basis: Any, index: tuple[int, ...], components: FloatArray, domain_weight: Any) -> FloatArray:
    """Gram matrix of one derivative of the functions of a basis."""
    how, pieces = parts(basis)
    if how == "vector":
        one = np.ones(1)
        blocks = (w * gram(b, index, one, domain_weight) for w, b in zip(components, pieces, strict=True))
        return np.asarray(block_diag(*blocks))
    if domain_weight is None and how == "tensor":
        result: Any = np.ones((1, 1))
        for piece, j in zip(pieces, index, strict=True):
            result = np.kron(result, gram(piece, (j,), np.ones(1), None))
        return result * components[0]
    # scikit-fda takes minutes for functions of several arguments with kinks, and for some hundred splines
    plain = domain_weight is None and not any(index) and basis.dim_domain == 1 and not _has_knots(basis)
    if plain and (components.size == 1 or (components == components[0]).all()):
        return components[0] * np.asarray(basis.gram_matrix(), dtype=np.float64)
    rows = weighted_values(basis, index, components, domain_weight)
    return np.asarray(rows @ rows.T)


def weighted_values(
    basis: Any, index: tuple[int, ...], components: FloatArray, domain_weight: Any
) -> FloatArray:
    """Values, (m, nodes * d), of one derivative at Gauss-Legendre nodes, times the roots of all weights."""
    how, pieces = parts(basis)
    axes = [_gauss(piece, len(pieces)) for piece in pieces] if how != "other" else _plain_gauss(basis)
    nodes = tuple(x for x, _ in axes)
    measure = outer(tuple(w for _, w in axes))
    weight = domain_weights(domain_weight, nodes, nodes, (0,) * len(nodes))
    if weight is not None:
        measure = measure * weight
    phi = evaluate(basis, nodes, index)
    weighted = phi * np.sqrt(measure)[..., None] * np.sqrt(components)
    return np.asarray(weighted.reshape(len(phi), -1))


def evaluate(basis: Any, grid: Grid, index: tuple[int, ...]) -> FloatArray:
    """Values, (m, T_1, ..., T_k, d), of one derivative of all functions on a grid."""
    how, pieces = parts(basis)
    shape = tuple(points.size for points in grid)
    if how == "vector":
        found = np.zeros((basis.n_basis, *shape, len(pieces)))
        start = 0
        for k, piece in enumerate(pieces):
            stop = start + piece.n_basis
            found[start:stop, ..., k] = evaluate(piece, grid, index)[..., 0]
            start = stop
        return found
    if how == "tensor":
        result = np.ones((1,))
        for piece, points, j in zip(pieces, grid, index, strict=True):
            result = np.multiply.outer(result, evaluate(piece, (points,), (j,))[..., 0])
        k = len(pieces)
        order = [0, *range(1, 2 * k + 1, 2), *range(2, 2 * k + 1, 2)]
        return result.transpose(order).reshape(basis.n_basis, *shape, 1)
    if any(index):
        if how != "curve":
            raise ValueError(
                f"{type(basis).__name__} has no derivatives here: use L2Space(), or a TensorBasis of curves."
            )
        try:
            derivative = basis.derivative(order=index[0])
        except (NotImplementedError, ValueError) as error:
            raise ValueError(
                f"scikit-fda does not differentiate {type(basis).__name__} {index[0]} times: use a lower order, or "
                "evaluate the curves on a grid with X.to_grid(grid_points)."
            ) from error
        return np.asarray(derivative(grid[0])).reshape(basis.n_basis, *shape, 1)
    points = grid[0] if len(grid) == 1 else np.array(list(product(*grid)))
    return np.asarray(basis(points)).reshape(basis.n_basis, *shape, basis.dim_codomain)


def _has_knots(basis: Any) -> bool:
    """Whether a basis is made of polynomials between knots, which the rules here integrate exactly."""
    from skfda.representation.basis import BSplineBasis

    return isinstance(basis, BSplineBasis)


def _gauss(basis: Any, n_axes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights between the knots of a basis of curves, panels no wider than its functions."""
    (a, b) = domain_of(basis)[0]
    panels = max(64 if n_axes == 1 else 8, 2 * basis.n_basis if n_axes == 1 else basis.n_basis)
    knots = [float(t) for t in getattr(basis, "knots", None) or ()]
    return _panels(np.unique(np.concatenate([np.linspace(a, b, panels + 1), knots])))


def _plain_gauss(basis: Any) -> list[tuple[FloatArray, FloatArray]]:
    return [_panels(np.linspace(a, b, 17)) for a, b in domain_of(basis)]


def _panels(edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * np.diff(edges)
    return (edges[:-1, None] + half[:, None] * (1 + x)).ravel(), (half[:, None] * w).ravel()


# -------------------------------------------------------------------- comparison


def check_same_basis(curves: Curves, frame: BasisFrame) -> None:
    """Raise a ValueError that says how the basis of new curves differs from that of the fit."""
    if curves.kind == "irregular":
        return  # smoothing checks the points against the domain of the basis
    new, old = curves.basis, frame.basis
    if len(curves.domain) == len(frame.domain):
        check_same_domain(curves.domain, frame.domain)
    if type(new) is not type(old) or new.n_basis != old.n_basis:
        raise ValueError(
            f"The curves are in a {type(new).__name__} of {new.n_basis} functions, those of the fit in a "
            f"{type(old).__name__} of {old.n_basis}. Convert them with X.to_basis(basis) first."
        )
    if new != old:
        raise ValueError(
            f"The curves are in {new!r}, those of the fit in {old!r}: other knots, period or parts. Convert them with "
            "X.to_basis(basis) first."
        )
