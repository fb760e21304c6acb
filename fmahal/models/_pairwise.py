"""All distances between two sets of rows: whiten once, compare by GEMM, measure close pairs by their difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._kernels.pairs import columns_from, cross_columns
from .._kernels.quadform import expand_sqnorm
from .._structures import Spectral
from .._structures.base import row_blocks
from .._typing import FloatArray
from .._validation import readonly
from ..distance import DIFFERENCE_RANK, LOST
from ..spaces._fdata import fdata_kind
from ..whitener import Whitener

CLOSE = 1e-10  # of |z|^2 + |z'|^2: below, two whitened rows share over five digits and the difference is taken first
_CACHED = 2**15  # entries of a block of distances
_ALONE = 2**20  # products that one thread takes sooner than several meet
_INSIDE = 64 * np.finfo(float).eps  # of the length of a row: a residual of that size is its rounding


# Whether elements i and k are equal, for index arrays i and k: bool array.
Same: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]


class _Rows(NamedTuple):
    """Whitened rows, and what to add to every squared distance of each (0 but for a residual left out)."""

    whitened: FloatArray
    beside: FloatArray | None
    size: FloatArray


def pairwise_sqnorm(
    A: FloatArray,
    B: FloatArray | None,
    whitener: Whitener,
    location: FloatArray,
    same: Same | None = None,
) -> FloatArray:
    """Squared distances between the rows of A and of B, (n, m); B None: of A, symmetric with a zero diagonal.

    Pairs whose whitened rows share their leading digits are measured again from the difference of the rows as they
    were given, so that equal rows have distance 0 and near ones keep their digits. With `same`, that difference is 0
    for pairs of which it says so. O((n + m) q rank + n m rank).
    """
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the result
        first, second = _whitened(A, B, whitener, location)
    result = _all_pairs(
        first, None if B is None else second, lambda: (A, A if B is None else B), whitener, same
    )
    if whitener.outside != "ignore":
        _mark_outside(A, B, whitener, location, result)
    return result


def pairwise_whitened(
    Z: FloatArray,
    U: FloatArray | None,
    given: Callable[[], tuple[FloatArray, FloatArray]],
    whitener: Whitener,
) -> FloatArray:
    """`pairwise_sqnorm` of rows that are whitened already; `given` makes the two sets for pairs that are close."""
    return _all_pairs(_rows(Z), None if U is None else _rows(U), given, whitener, None)


def _all_pairs(
    first: _Rows,
    second: _Rows | None,
    given: Callable[[], tuple[FloatArray, FloatArray]],
    whitener: Whitener,
    same: Same | None,
) -> FloatArray:
    other = first if second is None else second
    n, m = len(first.whitened), len(other.whitened)
    blocks = list(row_blocks(n, m))
    if len(blocks) == 1:
        result = _compared(first, other, blocks[0], slice(0, m))
    else:
        result = np.empty((n, m))
        for rows in blocks:
            if second is None:  # a product with its own transpose comes out symmetric to the last bit
                rest = slice(rows.stop, None)
                result[rows, rows] = _compared(first, first, rows, rows)
                result[rows, rest] = _compared(first, first, rows, rest)
                result[rest, rows] = result[rows, rest].T
            else:
                result[rows] = _compared(first, other, rows, slice(None))
    if second is None:
        result.flat[:: n + 1] = np.inf  # of no interest to the search for close pairs
    _measure_close(given, second is None, (first.size, other.size), whitener, result, same)
    if second is None:
        result.flat[:: n + 1] = 0.0
    return result


def _whitened(
    A: FloatArray, B: FloatArray | None, whitener: Whitener, location: FloatArray
) -> tuple[_Rows, _Rows]:
    structure = whitener._structure
    if isinstance(structure, Spectral) and structure.ridge > 0 and structure.scale is None:
        p, r = structure.vectors.shape
        if 2 * r < p:
            found = _inside_span(A, B, structure, location)
            if found is not None:
                return found
    origin = _middle(A[:: len(A) // 9 + 1])  # digits that a far origin would cost are kept
    first = _rows(structure.whiten(A - origin))
    return first, first if B is None else _rows(structure.whiten(B - origin))


def _middle(rows: FloatArray) -> FloatArray:
    """Return the lower median of a few rows, column by column: a place among the data, and not among the far ones."""
    middle = (len(rows) - 1) // 2
    return np.partition(rows, middle, axis=0)[middle]


def _rows(Z: FloatArray, beside: FloatArray | None = None) -> _Rows:
    Z = np.ascontiguousarray(Z)
    size = np.einsum("ij,ij->i", Z, Z)
    return _Rows(Z, beside, size if beside is None else size + beside)


def _inside_span(
    A: FloatArray, B: FloatArray | None, structure: Spectral, location: FloatArray
) -> tuple[_Rows, _Rows] | None:
    """Rows in r coordinates when one side has no residual: the residual of the other counts whole in every pair."""
    first, inside = _split(A, structure, location)
    if B is None:
        return (first, first) if inside else None
    second, other = _split(B, structure, location)
    return (first, second) if inside or other else None


def _split(X: FloatArray, structure: Spectral, location: FloatArray) -> tuple[_Rows, bool]:
    X = X - location
    length = np.einsum("ij,ij->i", X, X)
    scores = X @ structure.vectors
    X -= scores @ structure.vectors.T
    rest = np.einsum("ij,ij->i", X, X)
    inside = bool(np.all(rest <= _INSIDE**2 * X.shape[1] * length))
    whitened = scores / np.sqrt(structure.eigenvalues + structure.ridge)
    return _rows(whitened, None if inside else rest / structure.ridge), inside


def _compared(first: _Rows, second: _Rows, rows: slice, columns: slice) -> FloatArray:
    Z, U = first.whitened[rows], second.whitened[columns]
    if U.shape[1] <= DIFFERENCE_RANK:
        out = np.empty((len(Z), len(U)))
        if out.size * U.shape[1] < _ALONE:
            columns_from(readonly(Z), readonly(U.T), 0, len(Z), out)
        else:
            cross_columns(readonly(Z), readonly(U.T), out)
    else:
        out = Z @ U.T
        squares = np.einsum("ij,ij->i", Z, Z), np.einsum("ij,ij->i", U, U)
        expand_sqnorm(readonly(Z), readonly(U), readonly(squares[0]), readonly(squares[1]), LOST, out)
    if first.beside is not None:
        out += first.beside[rows, None]
    if second.beside is not None:
        out += second.beside[columns]
    return out


def _measure_close(
    given: Callable[[], tuple[FloatArray, FloatArray]],
    symmetric: bool,
    sizes: tuple[FloatArray, FloatArray],
    whitener: Whitener,
    result: FloatArray,
    same: Same | None,
) -> None:
    """Replace the squared distances of close pairs by those of the differences; one of each pair if symmetric."""
    least = result.min(axis=1)
    if np.isnan(least).any():
        raise OverflowError("Differences of elements exceed the largest float; bring them to smaller units.")
    suspects = np.flatnonzero(least <= CLOSE * (sizes[0] + sizes[1].max()))
    if not suspects.size:
        return
    A, other = given()
    step = max(1, _CACHED // result.shape[1])
    for first in range(
        0, suspects.size, step
    ):  # blocks that stay in the cache: most hold few such pairs, or none
        rows = suspects[first : first + step]
        limits = np.add.outer(sizes[0][rows], sizes[1])
        limits *= CLOSE
        i, k = np.nonzero(result[rows] <= limits)
        i = rows[i]
        if symmetric:
            upper = i < k
            i, k = i[upper], k[upper]
        for part in row_blocks(i.size, A.shape[1]):
            values = np.empty(i[part].size)
            whitener._structure.sqnorm(A[i[part]] - other[k[part]], None, values)
            if same is not None:
                values[same(i[part], k[part])] = 0.0
            result[i[part], k[part]] = values
            if symmetric:
                result[k[part], i[part]] = values


def _mark_outside(
    A: FloatArray, B: FloatArray | None, whitener: Whitener, location: FloatArray, result: FloatArray
) -> None:
    """Apply the policy for pairs whose difference leaves the subspace; both in it: it does not."""
    other = A if B is None else B
    for i in np.flatnonzero(whitener.off_subspace(A, location)):
        _mark(whitener, other - A[i], result[i])
    for k in np.flatnonzero(whitener.off_subspace(other, location)):
        _mark(whitener, A - other[k], result[:, k])


def _mark(whitener: Whitener, differences: FloatArray, out: FloatArray) -> None:
    whitener._check_inside(differences)  # raises where that is the policy
    out[whitener.off_subspace(differences)] = np.inf


def same_elements(X: Any, Y: Any) -> Same:
    """Return a function that compares elements of X and Y, curves or rows, as they were given."""
    kind = fdata_kind(X)
    if kind == "irregular":
        return lambda i, k: np.array([_same_irregular(X, a, Y, b) for a, b in zip(i, k)], dtype=bool)
    values = {"grid": "data_matrix", "basis": "coefficients"}.get(kind or "")
    A, B = (np.asarray(Z if values is None else getattr(Z, values)) for Z in (X, Y))

    def same(i: np.ndarray, k: np.ndarray) -> np.ndarray:
        equal = np.empty(i.size, dtype=bool)
        for part in row_blocks(i.size, A[0].size):
            equal[part] = (A[i[part]] == B[k[part]]).reshape(len(i[part]), -1).all(axis=1)
        return equal

    return same


def _same_irregular(X: Any, i: int, Y: Any, k: int) -> bool:
    one, other = X[int(i)], Y[int(k)]
    return np.array_equal(one.points, other.points) and np.array_equal(one.values, other.values)
