"""The spectrum of centred rows: one tall matrix, two routes to its singular values, one rank rule.

Write C for the centred rows and A for the taller of C and C'. Products of A with itself are m x m with
m = min(n, p), and A passes in blocks, so that no centred copy of the rows exists.

* ``gram``: eigenpairs of A'A, all of them or the leading ones. An eigenvalue has an error of eps times the largest.
* ``svd``: the triangle R of A = QR, factored block by block, and its singular value decomposition. A *singular*
  value has an error of eps times the largest: what filters that divide by small eigenvalues need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.linalg import blas, eigh, qr, solve_triangular, svd
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from .._typing import FloatArray
from ._moments import EPS, WIDE, column_means
from ._spectral_krylov import is_worth_it, leading_of_rows
from ._spectral_lanczos import leading_in_cache

Route: TypeAlias = Literal["gram", "svd"] | None
_TALL_BYTES, _TALL_ROWS = 2**21, 512  # blocks that the cache holds, tall enough for fast products
_LANCZOS_SIZE = 200  # below it a full decomposition costs less than the overhead of iterations
_LANCZOS_SHARE = 0.06  # of all eigenpairs; for more, reduction to tridiagonal form is faster
_CONVERGED, _CHECK_STEPS = 1e-14, 12
_KEPT_BYTES = 2**26  # up to here a centred copy saves the subtraction in every step
_ORTHONORMAL = 1e-13
_ROUNDED = 4.0  # of eps times the mean: rounding of an entry, and of what came before it


class Sums(NamedTuple):
    """Moments of rows, from one or two passes over them.

    Attributes
    ----------
    location : ndarray of shape (p,)
        The mean.
    total : float
        Sum of squares of the centred rows.
    gram : ndarray of shape (m, m) or None
        C'C (p <= n) or CC', lower triangle; None where few leading vectors came without it.
    leading : tuple of ndarray, or None
        Those: squares and vectors.
    """

    location: FloatArray
    total: float
    gram: FloatArray | None
    leading: tuple[FloatArray, FloatArray] | None = None


class Spectrum(NamedTuple):
    """Singular values of the centred rows and what is known of their vectors.

    Attributes
    ----------
    squares : ndarray of shape (k,)
        Squared singular values above the rank rule, descending.
    short : ndarray of shape (m, k)
        Singular vectors on the short side: right ones for p <= n, else left ones.
    dropped : float
        Sum of the squares that the rank rule took for rounding.
    whole : bool
        Whether all above the rank rule are there, not only the leading ones.
    route : str
        "gram" or "svd".
    """

    squares: FloatArray
    short: FloatArray
    dropped: float
    whole: bool
    route: str

    def share(self, number: int) -> float:
        """Return a square, counted from one, as a share of the largest: 0 where the rank rule cut it."""
        inside = 0 < number <= self.squares.size
        return float(self.squares[number - 1] / self.squares[0]) if inside else 0.0

    def leading(self, count: int) -> Spectrum:
        """Return the leading pairs alone."""
        return self._replace(squares=self.squares[:count], short=self.short[:, :count])


def tall_blocks(X: FloatArray, location: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Yield blocks (b, m) of rows of the tall matrix A as float64, with their place; the next overwrites the last."""
    n, p = X.shape
    short, long = min(n, p), max(n, p)
    step = min(max(_TALL_ROWS, _TALL_BYTES // (8 * short)), long)
    room = np.empty(step * short)
    for first in range(0, long, step):
        where = slice(first, min(first + step, long))
        if p <= n:
            block = room[: (where.stop - first) * p].reshape(-1, p)
            yield where, np.subtract(X[where], location, out=block, dtype=np.float64)
        else:
            block = room[: (where.stop - first) * n].reshape(n, -1)
            yield where, np.subtract(X[:, where], location[where], out=block, dtype=np.float64).T


def _add_product(gram: FloatArray, block: FloatArray) -> FloatArray:
    """Add block'block to the lower triangle of a Fortran-ordered array, in place."""
    if block.flags.c_contiguous:
        return blas.dsyrk(1.0, block.T, beta=1.0, c=gram, lower=1, overwrite_c=1)
    return blas.dsyrk(1.0, block, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)


def sums(X: FloatArray, count: int | None = None) -> Sums:
    """Return mean and Gram matrix of the rows; or, where it is cheaper, `count` leading singular vectors.

    Infinite entries or NaN show in the total. For p <= n the rows pass once, about the mean of the first of them, and
    the shift to the mean of all is put right afterwards; where that would cost digits they pass again.
    """
    n, p = X.shape
    with np.errstate(
        invalid="ignore", over="ignore"
    ):  # the caller looks at the total, and names what is wrong
        if count is not None and min(n, p) >= _LANCZOS_SIZE:
            found = _sums_of_few(X, count)
            if found and (found.leading or not np.isfinite(found.total)):
                return found
        if p > n:
            location = _mean(X)
            return _finished(location, _products(X, location)[0])
        return _sums_of_many(X)


def _mean(X: FloatArray) -> FloatArray:
    origin = column_means(X)
    return origin + column_means(X, origin)


def _sums_of_few(X: FloatArray, count: int) -> Sums | None:
    cached = leading_in_cache(X, count)
    if cached is not None:
        return Sums(*cached)
    if not is_worth_it(count, min(X.shape)):
        return None
    location = _mean(X)
    if not np.isfinite(location).all():
        return Sums(location, np.nan, None)
    if 8 * X.size <= _KEPT_BYTES:
        rows = np.subtract(X, location, dtype=np.float64)
        kept = [rows if rows.shape[0] >= rows.shape[1] else rows.T]
        total = float(np.vdot(rows, rows))
    else:
        kept = None
        total = sum(float(np.einsum("ij,ij->", block, block)) for _, block in tall_blocks(X, location))
    if not (np.isfinite(total) and total > 0):
        return Sums(location, total, None)
    leading = leading_of_rows(
        lambda: kept or (block for _, block in tall_blocks(X, location)), min(X.shape), count
    )
    return Sums(location, total, None, leading)


def gram_of(X: FloatArray, found: Sums) -> FloatArray:
    """Return the Gram matrix, from the rows where the sums came without it."""
    return _products(X, found.location)[0] if found.gram is None else found.gram


def _sums_of_many(X: FloatArray) -> Sums:
    n, p = X.shape
    first = X[: max(_TALL_ROWS, _TALL_BYTES // (8 * p))]
    origin = np.ones(len(first)) @ first.astype(np.float64, copy=False) / len(first)
    gram, total = _products(X, origin)
    shift = total / n
    location = origin + shift
    squares = np.diagonal(gram)
    if (
        n * (shift @ shift) > 0.25 * squares.sum()
    ):  # rows that drift: their mean is far from that of the first
        return _finished(location, _products(X, location)[0])
    return _finished(location, blas.dsyr(-float(n), shift, lower=1, a=gram, overwrite_a=1))


def _products(X: FloatArray, origin: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return A'A about an origin, lower triangle, and (p <= n) the column sums of A."""
    m = min(X.shape)
    gram, total = np.zeros((m, m), order="F"), np.zeros(m)
    for _, block in tall_blocks(X, origin):
        total += np.ones(block.shape[0]) @ block
        gram = _add_product(gram, block)
    return gram, total


def _finished(location: FloatArray, gram: FloatArray) -> Sums:
    return Sums(location, float(np.trace(gram)), gram)


def rank_floor(X: FloatArray, found: Sums, largest: float, route: str) -> float:
    """Return the square below which a squared singular value is rounding.

    A decomposition leaves max(n, p) eps of the largest singular value. What the entries carry from being rounded, as
    they were given and about a mean known to eps of its size, is a matrix of n independent rows of length eps
    |mean|: its norm grows as sqrt(n), as that of a direction in which the rows vary does. So more rows remove no
    direction: those of a standard deviation above 4 eps |mean| stay. Entries of less than double precision carry
    rounding of their own size, and products square the spread of the spectrum.
    """
    n, p = X.shape
    offset = n * float(found.location @ found.location)
    floor = max((max(n, p) * EPS) ** 2 * largest, (_ROUNDED * EPS) ** 2 * offset)
    if route == "gram":
        floor = max(floor, 10.0 * n * EPS * largest)
    if X.dtype != np.float64:
        floor += float(np.finfo(X.dtype).eps) ** 2 * (found.total + offset)
    return floor


def _above(
    squares: FloatArray, short: FloatArray, X: FloatArray, found: Sums, whole: bool, route: str
) -> Spectrum:
    """Apply the rank rule; the n-th direction of n centred rows is none."""
    n, p = X.shape
    squares, most = np.maximum(squares, 0.0), min(p, n - 1)
    squares, short = squares[:most], short[:, : squares.size][:, :most]
    floor = rank_floor(X, found, float(squares[0]), route)
    count = int(np.count_nonzero(squares > floor))
    dropped = float(squares[count:].sum()) if whole else 0.0
    whole = whole or count < squares.size
    return Spectrum(squares[:count], short[:, :count], dropped, whole, route)


def gram_spectrum(X: FloatArray, found: Sums, count: int | None) -> Spectrum:
    """Eigenpairs of the Gram matrix above the rank rule; at least `count` leading ones, or all."""
    if count is not None and found.leading is not None and count <= found.leading[0].size:
        return _above(*found.leading, X, found, False, "gram")
    gram = gram_of(X, found)
    m = gram.shape[0]
    if count is not None and m >= _LANCZOS_SIZE and count <= _LANCZOS_SHARE * m:
        squares, short = leading_pairs(gram, count)
        return _above(squares, short, X, found, False, "gram")
    if count is not None and m >= _LANCZOS_SIZE and count <= m // 4:
        squares, short = eigh(gram, subset_by_index=[m - count, m - 1], check_finite=False)
        return _above(squares[::-1], short[:, ::-1], X, found, False, "gram")
    # By the BLAS of the products: the threads of another one would wait for those of the first to fall asleep.
    squares, short = eigh(gram, driver="evd", check_finite=False)
    return _above(squares[::-1], short[:, ::-1], X, found, True, "gram")


def leading_pairs(gram: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the largest eigenvalues, descending, and eigenvectors of a symmetric matrix, lower triangle given.

    Restarted Lanczos iterations find one vector of a multiple eigenvalue for sure, the others by rounding. What
    they may have missed is looked for in the complement, and then the dense solver decides.
    """
    m = gram.shape[0]
    start = np.random.default_rng(0).standard_normal((2, m))

    def times(v: FloatArray) -> FloatArray:
        return blas.dsymv(1.0, gram, v.ravel(), lower=1)

    operator: Any = LinearOperator((m, m), matvec=times, dtype=np.float64)
    try:
        squares, short = eigsh(operator, k=count, v0=start[0], tol=_CONVERGED, maxiter=30)
        order = np.argsort(squares)[::-1]
        squares, short = squares[order], short[:, order]
        if _complete(times, squares, short, start[1]):
            return squares, short
    except ArpackError:
        pass
    squares, short = eigh(gram, subset_by_index=[m - count, m - 1], check_finite=False)
    return squares[::-1], short[:, ::-1]


def _complete(times: Any, squares: FloatArray, short: FloatArray, start: FloatArray) -> bool:
    """Whether the complement of the vectors holds no eigenvalue above the smallest found, by Lanczos steps."""
    known = np.empty((start.size, squares.size + _CHECK_STEPS + 1), order="F")
    known[:, : squares.size] = short
    coefficients = np.zeros((_CHECK_STEPS, _CHECK_STEPS))
    v = start - short @ (short.T @ start)
    for k in range(_CHECK_STEPS):
        size = float(np.linalg.norm(v))
        if k and size <= 1e-12 * squares[0]:
            break
        done = squares.size + k + 1
        known[:, done - 1] = v / size
        v = times(known[:, done - 1])
        along = known[:, :done].T @ v
        v -= known[:, :done] @ along
        coefficients[k, : k + 1] = along[squares.size :]
    top = np.linalg.eigvalsh(coefficients)[-1]
    return bool(top <= squares[-1] * (1.0 + 1e-8) + 1e-13 * squares[0])


def svd_spectrum(X: FloatArray, found: Sums) -> Spectrum:
    """Singular values above the rank rule, from the triangle of an orthogonal factorisation in blocks."""
    location = found.location
    if X.shape[1] <= X.shape[0]:  # the mean itself, not an origin near it: there is no correction afterwards
        location = location + column_means(X, location)
    triangle: FloatArray = np.empty((0, min(X.shape)))
    for _, block in tall_blocks(X, location):
        stacked = np.vstack([triangle, block])
        triangle = qr(stacked, overwrite_a=True, mode="r", check_finite=False)[0][: stacked.shape[1]]
    _, roots, right = svd(triangle, check_finite=False)
    return _above(roots**2, right.T, X, found, True, "svd")


def singular_vectors(
    X: FloatArray, location: FloatArray, spectrum: Spectrum
) -> tuple[FloatArray, FloatArray | None]:
    """Return right singular vectors, (p, k) in C order, the entry of largest size positive; left ones for p > n."""
    n, p = X.shape
    if p <= n:
        vectors, left = np.array(spectrum.short, order="C"), None
    else:
        vectors, left = np.empty((p, spectrum.squares.size)), spectrum.short
        weights = spectrum.short / np.sqrt(spectrum.squares)
        for where, block in tall_blocks(X, location):
            vectors[where] = block @ weights
        _orthonormalise(vectors, spectrum)
    if vectors.shape[1]:
        signs = np.where(vectors.max(axis=0) >= -vectors.min(axis=0), 1.0, -1.0)
        vectors *= signs
        left = None if left is None else left * signs
    return vectors, left


def count_of_share(squares: FloatArray, total: float, share: float) -> int:
    """Return the smallest number of leading squares that make up a share of the total."""
    reached = np.cumsum(squares) >= share * total * (1.0 - 10.0 * EPS)
    return int(np.argmax(reached)) + 1 if reached.any() else squares.size


def _orthonormalise(vectors: FloatArray, spectrum: Spectrum) -> None:
    """Gram-Schmidt steps in place, largest first: products lose the ratio of the singular values."""
    k = vectors.shape[1]
    for _ in range(3):
        if k == 0 or spectrum.share(k) > 1e-2:
            return
        product = vectors.T @ vectors
        error = float(np.abs(product - np.eye(k)).max())
        if error <= _ORTHONORMAL * k:
            return
        factor = np.linalg.cholesky(product)
        step = max(_TALL_ROWS, _TALL_BYTES // (8 * k))
        for first in range(0, len(vectors), step):
            part = vectors[first : first + step]
            part[...] = solve_triangular(factor, part.T, lower=True, check_finite=False).T


def spectrum_of(
    X: FloatArray,
    found: Sums,
    wanted: Callable[[FloatArray], int],
    *,
    count: int | None,
    lifted: Callable[[float], float],
    exact_span: bool,
    route: Route = None,
) -> Spectrum:
    """Return the spectrum by the cheaper route that has the digits.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Finite rows.
    found : Sums
        Their moments.
    wanted : callable
        From squares above the rank rule to the number of directions that the filter keeps.
    count : int or None
        That number where it is known beforehand.
    lifted : callable
        From the largest square to what the filter adds to all before it divides, as a share of that.
    exact_span : bool
        Whether it matters what the rows span.
    route : {"gram", "svd"} or None
        Forced by tests.

    Returns
    -------
    spectrum : Spectrum
        At least one pair more than the filter keeps, where there are more: it shows the gap.
    """
    if route == "svd":
        return svd_spectrum(X, found)
    most = min(X.shape[1], X.shape[0] - 1)
    partial = None if count is None or exact_span else min(count + 1, most)
    spectrum = gram_spectrum(X, found, partial)
    if route == "gram" or not spectrum.squares.size:
        return spectrum
    least = spectrum.share(most if exact_span else min(wanted(spectrum.squares), most))
    if least >= WIDE or (not exact_span and lifted(float(spectrum.squares[0])) >= WIDE):
        return spectrum
    return svd_spectrum(X, found)
