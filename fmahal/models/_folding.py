"""Short ways from curves to distances: the weights of the space inside the whitener, or blocks of coordinates."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._kernels.pairs import narrow_product, product_from
from .._structures import Spectral
from .._structures.base import BLOCK_BYTES
from .._typing import FloatArray
from .._validation import readonly
from ..distance import DIFFERENCE_RANK, mahalanobis
from ..spaces._base import CurveSpace
from ..whitener import Whitener

_MOST = 2**19  # entries of the product: next to it the whitener keeps its own vectors
_ALONE = 2**24  # products that one thread takes sooner than several meet
_NEAR = 1e4  # squared distance of the location from the zero curve: it may cost two digits


class Folded(NamedTuple):
    """Whitened rows are ``values @ matrix.T - shift``.

    Attributes
    ----------
    matrix : ndarray of shape (r, T)
        The whitener times the roots of the quadrature weights.
    shift : ndarray of shape (r,)
        The whitened location.
    """

    matrix: FloatArray
    shift: FloatArray

    def whiten(self, values: Any) -> FloatArray | None:
        """Return whitened rows (n, r) about the location; None for values that are not finite doubles."""
        if values.dtype != np.float64:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            Z = self._product(values.reshape(len(values), -1))
            return Z if np.isfinite(Z.sum()) else None

    def _product(self, rows: FloatArray) -> FloatArray:
        r = self.shift.size
        Z: FloatArray
        if r > DIFFERENCE_RANK:
            Z = rows @ self.matrix.T
            Z -= self.shift
            return Z
        Z = np.empty((len(rows), r))
        given = readonly(rows), readonly(self.matrix), readonly(self.shift)
        if rows.size * r < _ALONE:
            product_from(*given, 0, len(rows), Z)
        else:
            narrow_product(*given, Z)
        return Z


def fold(steps: list[Any], scatter: Any, whitener: Whitener) -> Folded | None:
    """Return the way past the coordinates where it keeps their digits: curves on a grid, a span of few directions."""
    structure = whitener._structure
    space = grid_space(steps)
    if space is None or not space._frame.diagonal or whitener.outside != "ignore":
        return None
    if not isinstance(structure, Spectral) or structure.ridge > 0 or structure.scale is not None:
        return None
    if not 0 < structure.vectors.size <= _MOST:
        return None
    matrix = np.ascontiguousarray((structure.vectors / np.sqrt(structure.eigenvalues)).T)
    location = np.asarray(scatter.location_, dtype=np.float64)
    if not location @ location <= _NEAR * structure.eigenvalues.min():
        return None
    shift = matrix @ location
    matrix *= space._frame.blocks[0].root.ravel()
    return Folded(matrix, shift)


def grid_space(steps: list[Any]) -> CurveSpace | None:
    """Return the space of curves on a grid, where that is the only step before the scatter."""
    only = steps[0] if len(steps) == 1 else None
    return only if isinstance(only, CurveSpace) and only.kind_ in ("grid", "array") else None


def blockwise(steps: list[Any], X: Any, location: Any, whitener: Whitener) -> FloatArray | None:
    """Squared distances of many curves without all their coordinates at once; None for few."""
    space = grid_space(steps)
    if space is None or whitener.outside == "raise" or 8 * len(X) * space.n_features_out_ <= BLOCK_BYTES:
        return None
    curves = space._read_again(X)
    d2 = np.empty(len(curves.values))
    for rows, Z in space._coordinate_blocks(curves):
        block = Z.astype(np.float64, copy=False)
        d2[rows] = mahalanobis(block, location, whitener=whitener, squared=True)
    return d2
