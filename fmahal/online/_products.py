"""The matrix products of the index, on one BLAS, written into memory that is there already.

Every multiply-add of an update passes through this module (or through the fast transforms of a random map), so that
the tests count costs here. SciPy's BLAS is used throughout: it accumulates in place, and two libraries of BLAS threads
in turn would wait for each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import blas

from .._kernels.sketched_queries import centred_products
from .._structures.base import row_blocks
from .._typing import FloatArray
from .._validation import readonly

_FEW = 2  # so many rank-one passes over C read and write less time away than one general product of that inner size
_TOGETHER = 4  # rows of B up to which reading A takes longer than multiplying it


def _routine(name: str, dtype: np.dtype[Any]) -> Any:
    return getattr(blas, ("s" if dtype == np.float32 else "d") + name)


def dot_rows(A: FloatArray, B: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Return A B', the dot products of the rows of A (n, p) and B (k, p); C-ordered, of one dtype. O(n k p)."""
    if out is None:
        out = np.empty((A.shape[0], B.shape[0]), A.dtype)
    if out.size == 0:  # BLAS wrappers refuse arrays without entries
        return out
    if B.shape[0] == 1:
        _routine("gemv", A.dtype)(1.0, A.T, B[0], trans=1, y=out[:, 0], beta=0.0, overwrite_y=1)
    elif A.shape[0] == 1:
        _routine("gemv", A.dtype)(1.0, B.T, A[0], trans=1, y=out[0], beta=0.0, overwrite_y=1)
    else:  # BLAS sees transposes of C-ordered arrays as they lie: nothing is copied
        _routine("gemm", A.dtype)(1.0, B.T, A.T, trans_a=1, c=out.T, beta=0.0, overwrite_c=1)
    return out


def dot_centred(A: FloatArray, origin: FloatArray, B: FloatArray) -> FloatArray:
    """Return (A - origin) B', differences first: an offset that all rows share costs no digits. O(n k p)."""
    out = np.empty((A.shape[0], B.shape[0]), A.dtype)
    if B.shape[0] <= _TOGETHER:
        centred_products(readonly(A), readonly(origin), readonly(B), out)
    else:
        for rows in row_blocks(len(A), A.shape[1]):
            dot_rows(A[rows] - origin, B, out=out[rows])
    return out


def add_product(C: FloatArray, A: FloatArray, B: FloatArray) -> None:
    """Add A B to C in place: A (n, r), B (r, k), C (n, k); B and C C-ordered, of one dtype. O(n k r)."""
    if B.shape[0] <= _FEW:
        for j in range(B.shape[0]):
            _routine("ger", C.dtype)(1.0, B[j], np.ascontiguousarray(A[:, j]), a=C.T, overwrite_a=1)
    else:
        _routine("gemm", C.dtype)(1.0, B.T, np.ascontiguousarray(A).T, beta=1.0, c=C.T, overwrite_c=1)


def largest(array: FloatArray) -> float:
    """Return the largest absolute value; NaN or infinity where there is one. 0 for no entries."""
    if array.size == 0:
        return 0.0
    return float(np.maximum(array.max(), -array.min()))


def row_by_sparse(A: FloatArray, origin: FloatArray, values: Any) -> FloatArray:
    """Return (A - origin) values' for a sparse `values` (q, p) and A (n, p): O(n (columns in use + nonzeros))."""
    used = np.unique(values.indices)
    narrow = values[:, used]
    out = np.empty((A.shape[0], values.shape[0]), A.dtype)
    step = max(16, 2**18 // max(used.size, 1))  # gathered columns stay in the second cache
    for first in range(0, A.shape[0], step):
        out[first : first + step] = (narrow @ (A[first : first + step, used] - origin[used]).T).T
    return out


def add_sparse(C: FloatArray, B: FloatArray, values: Any) -> None:
    """Add B' values to C in place for a sparse `values` (q, p), B (q, k) and C (k, p): O(k nonzeros)."""
    used = np.unique(values.indices)
    C[:, used] += (values[:, used].T @ B).T
