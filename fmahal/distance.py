"""Distances as functions: `mahalanobis`, `cdist`, `pdist`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._kernels.quadform import condensed_sqnorm, cross_sqnorm, expand_sqnorm
from ._structures.base import centred, row_blocks
from ._typing import ArrayLike, FloatArray, Outside
from ._validation import as_rows, as_vector, check_finite, readonly
from .whitener import Whitener

DIFFERENCE_RANK = (
    16  # up to here differences in one kernel beat a GEMM and its repairs (benchmarks/test_distance.py)
)
LOST = 1e-3  # an expanded square below this share of its terms has lost three digits and is computed again


def mahalanobis(
    X: ArrayLike,
    location: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    precision: ArrayLike | None = None,
    factor: ArrayLike | None = None,
    whitener: Whitener | None = None,
    squared: bool = False,
    outside: Outside | None = None,
    out: FloatArray | None = None,
) -> Any:
    r"""Mahalanobis distance of each row to a location.

    .. math:: d(x) = \sqrt{(x - m)^\top \Sigma^{-1} (x - m)}

    Parameters
    ----------
    X : array-like of shape (n, p) or (p,)
        Rows; a single vector gives a single number.
    location : array-like of shape (p,), optional
        The centre m; zero when omitted, so that X may hold differences. Nothing is estimated here.
    covariance, precision, factor : array-like of shape (p, p), optional
        The scatter matrix, its inverse, or the lower triangular L with covariance L L'. Exactly one of these
        or `whitener` is given.
    whitener : Whitener, optional
        A factorisation made before: factor once, measure often.
    squared : bool, default=False
        Return squared distances.
    outside : {"ignore", "inf", "raise"}, optional
        What happens to the part of a row off the range of a singular covariance: left out, distance infinite,
        or `OutsideSubspaceError`. By default "ignore", or the policy that a whitener brings.
    out : ndarray of shape (n,), optional
        Where to write; float32 when X is float32, else float64.

    Returns
    -------
    distances : ndarray of shape (n,), or float for a single vector
        Distances, or squared distances; float32 for float32 rows (sums are float64), else float64.

    Raises
    ------
    ValueError
        If X holds NaN or infinity (the message names rows and columns), shapes disagree, or not exactly one
        scatter is given.
    NotPositiveDefiniteError
        If the matrix has a negative eigenvalue beyond rounding.

    See Also
    --------
    cdist, pdist : distances between rows.

    Notes
    -----
    O(p^3 / 3 + n p^2), without a centred copy of X up to 224 columns and in blocks above. Rank is judged on the
    correlation scale: units do not matter [1]_.

    References
    ----------
    .. [1] Mahalanobis (1936), On the generalised distance in statistics; reprinted in Sankhya A 80 (2018), 1-7.
       :doi:`10.1007/s13171-019-00164-5`

    Examples
    --------
    >>> import fmahal
    >>> fmahal.mahalanobis([[2.0, 1.0], [0.0, 3.0]], covariance=[[4.0, 0.0], [0.0, 1.0]])
    array([1.41421356, 3.        ])
    >>> fmahal.mahalanobis([2.0, 1.0], [0.0, 1.0], covariance=[[4.0, 0.0], [0.0, 1.0]])
    1.0
    """
    single = np.ndim(X) == 1
    rows = as_rows(X)
    given = _the_whitener(covariance, precision, factor, whitener, outside)
    _same_width(rows, given, "X")
    centre = None if location is None else as_vector(location, "location", rows.shape[1])
    result = given._sqnorm(rows, centre, out)
    if given.outside != "inf" and not np.isfinite(result.sum(dtype=np.float64)):
        return _overflowed(rows, centre, given, squared, result, single)
    if not squared:
        np.sqrt(result, out=result)
    return result.item() if single else result


def cdist(
    XA: ArrayLike,
    XB: ArrayLike,
    *,
    covariance: ArrayLike | None = None,
    precision: ArrayLike | None = None,
    factor: ArrayLike | None = None,
    whitener: Whitener | None = None,
    squared: bool = False,
    out: FloatArray | None = None,
) -> FloatArray:
    r"""Mahalanobis distances between all rows of two arrays.

    .. math:: d(a, b) = \sqrt{(a - b)^\top \Sigma^{-1} (a - b)}

    Parameters
    ----------
    XA, XB : array-like of shape (n, p) and (m, p)
        Rows.
    covariance, precision, factor : array-like of shape (p, p), optional
        The scatter matrix, its inverse, or its lower Cholesky factor; exactly one of these or `whitener`.
    whitener : Whitener, optional
        A factorisation made before. Differences off the range of a singular covariance count for nothing.
    squared : bool, default=False
        Return squared distances.
    out : ndarray of shape (n, m), optional
        Where to write.

    Returns
    -------
    distances : ndarray of shape (n, m)
        Distances, or squared distances; never negative, exactly zero between equal rows.

    Raises
    ------
    ValueError, NotPositiveDefiniteError
        As `mahalanobis`.

    Notes
    -----
    Rows are whitened once, O((n + m) p^2), and compared in O(n m rank): by differences up to rank 16, else by one
    GEMM whose entries are computed again from the difference where the expansion loses three digits.

    Examples
    --------
    >>> import fmahal
    >>> fmahal.cdist([[0.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], covariance=[[4.0, 0.0], [0.0, 1.0]])
    array([[1., 1.]])
    """
    A, B = as_rows(XA, name="XA"), as_rows(XB, name="XB")
    given = _the_whitener(covariance, precision, factor, whitener)
    _same_width(A, given, "XA")
    _same_width(B, given, "XB")
    dtype = np.result_type(A, B)
    result = _output(out, (A.shape[0], B.shape[0]), dtype)
    origin = _middle(A)
    ZA, ZB = _whitened(A, given, origin), _whitened(B, given, origin)
    if ZA.shape[1] <= DIFFERENCE_RANK:
        cross_sqnorm(readonly(ZA), readonly(ZB), result)
    else:
        for rows in row_blocks(ZA.shape[0], ZB.shape[0]):
            result[rows] = _expanded(ZA[rows], ZB)
    return _finished(result, squared, (A, "XA"), (B, "XB"))


def pdist(
    X: ArrayLike,
    *,
    covariance: ArrayLike | None = None,
    precision: ArrayLike | None = None,
    factor: ArrayLike | None = None,
    whitener: Whitener | None = None,
    squared: bool = False,
    out: FloatArray | None = None,
) -> FloatArray:
    """Mahalanobis distances between all pairs of rows, in SciPy's condensed order.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Rows, n >= 2.
    covariance, precision, factor : array-like of shape (p, p), optional
        The scatter matrix, its inverse, or its lower Cholesky factor; exactly one of these or `whitener`.
    whitener : Whitener, optional
        A factorisation made before.
    squared : bool, default=False
        Return squared distances.
    out : ndarray of shape (n (n - 1) / 2,), optional
        Where to write.

    Returns
    -------
    distances : ndarray of shape (n (n - 1) / 2,)
        Entry n i - i (i + 1) / 2 + j - i - 1 belongs to the pair i < j: `scipy.spatial.distance.squareform`
        unfolds it.

    Raises
    ------
    ValueError, NotPositiveDefiniteError
        As `mahalanobis`.

    Notes
    -----
    O(n p^2 + n^2 rank / 2); see `cdist`.

    Examples
    --------
    >>> import fmahal
    >>> fmahal.pdist([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]], covariance=[[4.0, 0.0], [0.0, 1.0]])
    array([1.        , 2.        , 2.23606798])
    """
    rows = as_rows(X)
    n = rows.shape[0]
    if n < 2:
        raise ValueError(f"pdist needs at least two rows, got {n}.")
    given = _the_whitener(covariance, precision, factor, whitener)
    _same_width(rows, given, "X")
    result = _output(out, (n * (n - 1) // 2,), rows.dtype)
    Z = _whitened(rows, given, _middle(rows))
    if Z.shape[1] <= DIFFERENCE_RANK:
        condensed_sqnorm(readonly(Z), result)
    else:
        _condensed_by_blocks(Z, result)
    return _finished(result, squared, (rows, "X"))


def _the_whitener(
    covariance: ArrayLike | None,
    precision: ArrayLike | None,
    factor: ArrayLike | None,
    whitener: Whitener | None,
    outside: Outside | None = None,
) -> Whitener:
    names = ("covariance", "precision", "factor", "whitener")
    given = [
        name for name, value in zip(names, (covariance, precision, factor, whitener)) if value is not None
    ]
    if len(given) != 1:
        raise ValueError(
            f"Pass exactly one of covariance=, precision=, factor= and whitener=; got {' and '.join(given) or 'none'}."
        )
    if whitener is not None:
        if not isinstance(whitener, Whitener):
            raise ValueError(f"whitener must be a fmahal.Whitener, got {type(whitener).__name__}.")
        return whitener if outside in (None, whitener.outside) else whitener.with_outside(outside)
    outside = outside or "ignore"
    if covariance is not None:
        return Whitener.from_covariance(covariance, outside=outside)
    if precision is not None:
        return Whitener.from_precision(precision, outside=outside)
    return Whitener.from_cholesky(factor, outside=outside)  # type: ignore[arg-type]


def _same_width(rows: FloatArray, whitener: Whitener, name: str) -> None:
    p = whitener.shape[1]
    if rows.shape[1] != p:
        raise ValueError(f"{name} has {rows.shape[1]} columns, but the scatter is {p} x {p}.")


def _output(out: FloatArray | None, shape: tuple[int, ...], dtype: np.dtype) -> FloatArray:
    if out is None:
        return np.empty(shape, dtype=dtype)
    if out.shape != shape or out.dtype != dtype or not (out.flags.writeable and out.flags.c_contiguous):
        raise ValueError(
            f"out must be a writeable C-contiguous {dtype} array of shape {shape}, got {out.dtype} {out.shape}."
        )
    return out


def _middle(rows: FloatArray) -> FloatArray:
    """Origin among the rows: whitening differences from it keeps the digits that a far origin would cost.

    The lower median of a sample, column by column: an entry of the data, which far rows cannot pull away.
    """
    n = rows.shape[0]
    if n == 0:
        return np.zeros(rows.shape[1])
    sample = rows[:: max(1, n // 64)].astype(np.float64)
    middle = (sample.shape[0] - 1) // 2
    return np.partition(sample, middle, axis=0)[middle]


def _whitened(rows: FloatArray, whitener: Whitener, origin: FloatArray) -> FloatArray:
    return np.ascontiguousarray(whitener._structure.whiten(centred(rows, origin)))


def _expanded(ZA: FloatArray, ZB: FloatArray) -> FloatArray:
    """Squared distances between whitened rows by |a|^2 + |b|^2 - 2 a.b, repaired where digits are lost."""
    block = ZA @ ZB.T
    sqA, sqB = np.einsum("ij,ij->i", ZA, ZA), np.einsum("ij,ij->i", ZB, ZB)
    expand_sqnorm(readonly(ZA), readonly(ZB), readonly(sqA), readonly(sqB), LOST, block)
    return block


def _condensed_by_blocks(Z: FloatArray, result: FloatArray) -> None:
    n = Z.shape[0]
    for rows in row_blocks(n, n):
        block = _expanded(Z[rows], Z[rows.start :])
        for i in range(rows.start, min(rows.stop, n - 1)):
            start = i * (2 * n - i - 1) // 2
            result[start : start + n - i - 1] = block[i - rows.start, i + 1 - rows.start :]


def _finished(result: FloatArray, squared: bool, *inputs: tuple[FloatArray, str]) -> FloatArray:
    if not np.isfinite(result.sum(dtype=np.float64)):
        for rows, name in inputs:
            check_finite(rows, name)
        if np.isnan(result).any():
            raise OverflowError(
                "Differences of rows exceed the largest float; bring the columns to smaller units."
            )
    return result if squared else np.sqrt(result, out=result)


def _overflowed(
    rows: FloatArray,
    centre: FloatArray | None,
    whitener: Whitener,
    squared: bool,
    d2: FloatArray,
    single: bool,
) -> Any:
    """Distances again for rows whose square exceeds the largest float: on rows scaled to one."""
    result = d2.copy() if squared else np.sqrt(d2)
    for i in np.flatnonzero(~np.isfinite(d2)):
        row = rows[i].astype(np.float64)
        size = float(np.abs(row).max())
        unit = row / size if centre is None else row / size - centre / size
        distance = size * float(np.linalg.norm(whitener.whiten(unit)))
        result[i] = distance * distance if squared else distance
    d2[...] = result
    return d2.item() if single else d2
