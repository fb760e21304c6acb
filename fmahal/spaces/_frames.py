"""Coordinates on a grid: a fixed linear map from values to rows whose dot product is the inner product.

Values are arrays of shape (n, T_1, ..., T_k, d).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import block_array, csc_array, diags_array, eye_array, kron
from scipy.sparse.linalg import splu

from .._structures.base import row_blocks
from .._typing import FloatArray
from ._grids import (
    Grid,
    Stencil,
    differentiate,
    domain_weights,
    multi_indices,
    outer,
    share_out,
    stencil,
)

_TINY = float(np.finfo(np.float64).tiny)


class Term(NamedTuple):
    """One term of an inner product: total derivative order, and the factor in front of it for each axis.

    The weight of the derivative with multi-index a is ``times(a) * prod(lengths ** (2 * a))``.
    """

    order: int
    lengths: tuple[float, ...]


def derivatives(term: Term) -> list[tuple[tuple[int, ...], float]]:
    """Return the multi-indices of a term and their factors."""
    found = []
    for index, times in multi_indices(term.order, len(term.lengths)):
        for length, j in zip(term.lengths, index, strict=True):
            times *= _power(length, 2 * j)
        found.append((index, times))
    return found


def _power(length: float, exponent: int) -> float:
    try:
        power = length**exponent
    except OverflowError:
        power = np.inf
    if not _TINY <= power <= 1.0 / _TINY:
        raise ValueError(
            f"The length {length:.3g} to the power of {exponent}, which weighs a derivative, exceeds the range of "
            "floats. Measure the argument of the curves (and length_scale) in units in which the domain has a length "
            "of about 1."
        )
    return power


class Block(NamedTuple):
    """Coordinates of one derivative: difference quotients times the roots of their weights.

    Attributes
    ----------
    orders : tuple of int
        Order of the derivative along each axis.
    stencils : list of Stencil
        The difference quotients along each axis.
    root : ndarray of shape (S_1, ..., S_k, d)
        Roots of all weights: quadrature, domain, component, factor.
    """

    orders: tuple[int, ...]
    stencils: list[Stencil]
    root: FloatArray


class GridFrame:
    """Inner product of fields on a grid.

    Parameters
    ----------
    grid : tuple of ndarray
        Points of each axis.
    axes : tuple of ndarray
        Quadrature weights of each axis, for the terms without derivative.
    components : ndarray of shape (d,)
        Weights of the components.
    domain_weight : callable, array-like or None
        Weight on the domain.
    terms : list of Term
        The terms of the inner product.
    """

    def __init__(
        self,
        grid: Grid,
        axes: tuple[FloatArray, ...],
        components: FloatArray,
        domain_weight: Any,
        terms: list[Term],
    ) -> None:
        self.grid = grid
        self.weights = outer(axes)
        self.components = components
        self.shape = (*self.weights.shape, components.size)
        self.blocks: list[Block] = []
        self._factor: Any = None
        for term in terms:
            for index, factor in derivatives(term):
                stencils = [stencil(points, j) for points, j in zip(grid, index, strict=True)]
                pairs = zip(axes, stencils, index, strict=True)
                measure = outer(tuple(s.widths if j else w for w, s, j in pairs))
                nodes = tuple(s.nodes for s in stencils)
                weight = domain_weights(domain_weight, grid, nodes, index)
                if weight is not None:
                    measure = measure * weight
                root = np.sqrt(factor) * np.multiply.outer(np.sqrt(measure), np.sqrt(components))
                self.blocks.append(Block(index, stencils, root))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_factor": None}  # a sparse factorisation cannot be pickled

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return int(sum(block.root.size for block in self.blocks))

    @property
    def diagonal(self) -> bool:
        """Whether coordinates are the values, each times a number."""
        return len(self.blocks) == 1 and not any(self.blocks[0].orders)

    # ---------------------------------------------------------------- coordinates

    def coordinates(self, values: FloatArray) -> FloatArray:
        """Map (n, T_1, ..., T_k, d) values to (n, size) rows of the same dtype, in one array."""
        n = values.shape[0]
        out = np.empty((n, self.size), dtype=values.dtype)
        start = 0
        for block in self.blocks:
            stop = start + block.root.size
            root = block.root.ravel().astype(values.dtype, copy=False)
            if any(block.orders):
                for rows in row_blocks(
                    n, values[:1].size
                ):  # differences of a few rows at a time stay in the cache
                    part = differentiate(values[rows], block.stencils)
                    np.multiply(part.reshape(len(part), -1), root, out=out[rows, start:stop])
            else:
                np.multiply(values.reshape(n, -1), root, out=out[:, start:stop])
            start = stop
        return out

    def values(self, Z: FloatArray) -> FloatArray:
        """Map rows back to values: exactly for L2, by least squares for the others."""
        n = Z.shape[0]
        if self.diagonal:
            return (Z / self.blocks[0].root.ravel()).reshape(n, *self.shape)
        d = self.components.size
        T = self.weights.size
        rhs = []
        start = 0
        for block in self.blocks:  # divide the component weights out: one matrix for all components
            stop = start + block.root.size
            part = Z[:, start:stop].reshape(n, -1, d) / np.sqrt(self.components)
            rhs.append(np.moveaxis(part, 1, 0).reshape(-1, n * d))
            start = stop
        data = np.concatenate(rhs).astype(np.float64, copy=False)
        if self._factor is None:
            self._factor = self._factorise()
        solver, rows = self._factor
        stacked = np.zeros((rows + T, n * d))
        stacked[: data.shape[0]] = data
        solution = solver.solve(stacked)[rows:]
        return np.moveaxis(solution.reshape(T, n, d), 0, 1).reshape(n, *self.shape)

    def _factorise(self) -> tuple[Any, int]:
        """Factorise the augmented system [aI, A; A', 0] of the least-squares problem, which does not square A."""
        matrices = [_difference_matrix(block, self.components) for block in self.blocks]
        alpha = min(float(np.abs(matrix.data).min()) for matrix in matrices)
        lowest = min(sum(block.orders) for block in self.blocks)
        if lowest > 0:  # polynomials below that degree have no coordinates: the answer has none of them
            moments = _moments(self.grid, self.weights, lowest)
            moments *= max(float(np.abs(m.data).max()) for m in matrices) / np.abs(moments).max()
            matrices.append(csc_array(moments))
        A = block_array([[matrix] for matrix in matrices], format="csc")
        system = block_array([[alpha * eye_array(A.shape[0]), A], [A.T, None]], format="csc")
        return splu(system), A.shape[0]

    # ---------------------------------------------------------------- along the domain

    def split(self, V: FloatArray, G: FloatArray) -> FloatArray:
        """Spread the products of (n, size) coordinates over the grid: (n, T_1, ..., T_k, d) densities."""
        products = V * G
        n = products.shape[0]
        total = np.zeros((n, *self.shape))
        start = 0
        for block in self.blocks:
            stop = start + block.root.size
            total += share_out(products[:, start:stop].reshape(n, *block.root.shape), block.orders)
            start = stop
        return total / self.weights[..., None]

    def names(self) -> list[str]:
        """Name each coordinate by derivative, point and component."""
        found = []
        d = self.components.size
        for block in self.blocks:
            prefix = "" if not any(block.orders) else "D" + ",".join(str(j) for j in block.orders) + " "
            axes = [_labels(s.nodes) for s in block.stencils]
            points = axes[0]
            for axis in axes[1:]:
                points = [f"{a},{b}" for a in points for b in axis]
            for point in points:
                at = f"{prefix}t={point}" if len(axes) == 1 else f"{prefix}t=({point})"
                found += [at] if d == 1 else [f"{at}[{k}]" for k in range(d)]
        return found


def _labels(nodes: FloatArray) -> list[str]:
    short = [f"{t:.6g}" for t in nodes]
    return short if len(set(short)) == len(short) else [repr(float(t)) for t in nodes]


def _difference_matrix(block: Block, components: FloatArray) -> Any:
    """Return the block as a sparse matrix on the values of one component."""
    matrix: Any = None
    for s in block.stencils:
        size = s.nodes.size + len(s.steps)
        axis: Any = eye_array(size, format="csc")
        for step in s.steps:
            difference = diags_array(
                [-1.0 / step, 1.0 / step], offsets=[0, 1], shape=(step.size, step.size + 1)
            )
            axis = difference @ axis
        matrix = axis if matrix is None else kron(matrix, axis)
    root = block.root[..., 0].ravel() / np.sqrt(components[0])
    return csc_array(diags_array(root) @ matrix)


def _moments(grid: Grid, weights: FloatArray, degree: int) -> FloatArray:
    """Weighted polynomials of total degree below `degree`, orthonormal, one a row."""
    axes = [(t - t.mean()) / (t[-1] - t[0]) for t in grid]
    rows = []
    for total in range(degree):
        for index, _ in multi_indices(total, len(grid)):
            rows.append(outer(tuple(t**j for t, j in zip(axes, index, strict=True))).ravel())
    root = np.sqrt(weights).ravel()
    basis, _ = np.linalg.qr((np.array(rows) * root).T)
    return basis.T * root
