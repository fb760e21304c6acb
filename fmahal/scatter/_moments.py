"""Centred second moments of a sample, by the cheaper of two routes that give the same numbers.

``n >= p``: the p x p covariance, accumulated over blocks of rows (`PrimalMoments`).
``p > n``: the centred rows and their n x n Gram matrix; no p x p array (`DualMoments`).
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.linalg import blas, qr

from .._factorize import from_eigh
from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray
from .._validation import as_vector, check_dense_size
from ..whitener import Whitener

Route: TypeAlias = Literal["primal", "dual"] | None
EPS = float(np.finfo(np.float64).eps)
WIDE = 1e-6  # eigenvalues below this share of the largest need more care than a Gram matrix takes


def rank_tolerance(n: int, p: int) -> float:
    """Relative size below which an eigenvalue of a correlation matrix counts as zero."""
    return max(n, p, 16) * EPS


def second_moments(X: FloatArray, *, centred: bool, route: Route = None) -> PrimalMoments | DualMoments:
    """Return the moments of finite C-ordered rows `X`, about their mean or about zero (`centred` False)."""
    n, p = X.shape
    if route is None:
        route = "dual" if p > n else "primal"
    moments = primal_moments(X, centred) if route == "primal" else dual_moments(X, centred)
    moments.input_eps = float(np.finfo(X.dtype).eps) if X.dtype != np.float64 else 0.0
    return moments


def check_overflow(squares: FloatArray) -> None:
    """Raise when sums of squares of a column are infinite."""
    if not np.isfinite(squares).all():
        j = int(np.flatnonzero(~np.isfinite(squares))[0])
        raise ValueError(
            f"The squares of column {j} of X exceed the largest float: bring the columns to smaller units first."
        )


def column_means(X: FloatArray, origin: FloatArray | None = None) -> FloatArray:
    """Column means of X - origin, summed in float64 by BLAS over blocks of rows."""
    n, p = X.shape
    total = np.zeros(p)
    for rows in row_blocks(n, p):
        block = X[rows].astype(np.float64, copy=False)
        if origin is not None:
            block = block - origin
        total += np.ones(block.shape[0]) @ block
    return total / n


def constant_columns(sd: FloatArray, location: FloatArray, n: int) -> np.ndarray:
    """Columns whose spread is rounding of their own magnitude; about a fixed zero only zero columns are.

    The mean is taken in two passes, so that its rounding, and with it this rule, does not grow with the rows.
    """
    return sd <= 32.0 * EPS * np.abs(location)


def drop_constant_columns(covariance: FloatArray, location: FloatArray, n: int) -> np.ndarray:
    """Set rows and columns of constant columns to an exact zero, in place, and return which they are."""
    constant = constant_columns(np.sqrt(np.diagonal(covariance)), location, n)
    covariance[constant] = 0.0
    covariance[:, constant] = 0.0
    return constant


def column_scale(sd: FloatArray, location: FloatArray, constant: np.ndarray) -> FloatArray:
    """Positive units of the columns: sd; for constant ones their magnitude, so that residuals stay relative."""
    if not constant.any():
        return sd
    magnitude = np.abs(location)
    fallback = max(sd[~constant].max(initial=0.0), magnitude.max(initial=0.0)) or 1.0
    return np.where(constant, np.where(magnitude > 0, magnitude, fallback), sd)


class Invariants(NamedTuple):
    """Sums over a sample that decide how much to shrink.

    Attributes
    ----------
    trace : float
        Trace of the covariance S (divisor n), a sum of variances.
    dispersion : float
        |S|_F^2 / (tr S)^2, between 1/p and 1; free of units. 0 when nothing varies.
    fourth : float
        mean_k |x_k|^4 / (tr S)^2 over the centred rows; free of units. 0 when nothing varies.
    """

    trace: float
    dispersion: float
    fourth: float


def _invariants(trace: float, matrix: FloatArray, sqnorms: FloatArray | None) -> Invariants:
    """Return the invariants from tr S, a matrix with the Frobenius norm of S, and the squared row norms."""
    if trace <= 0 or sqnorms is None:
        return Invariants(0.0, 0.0, 0.0)
    unit = matrix.ravel(order="K") / trace
    return Invariants(trace, float(unit @ unit), float(np.mean((sqnorms / trace) ** 2)))


class Moments:
    """What both routes know.

    Attributes
    ----------
    n, p : int
        Rows and columns.
    location : ndarray of shape (p,)
        Mean, or zeros.
    centred : bool
        Whether the mean was removed, which costs one dimension.
    constant : ndarray of shape (p,)
        Mask of constant columns.
    """

    n: int
    p: int
    location: FloatArray
    centred: bool
    constant: np.ndarray
    input_eps: float = 0.0  # rounding unit of rows that came in less than double precision

    @property
    def tolerance(self) -> float:
        """The relative rank tolerance: rounding of the sums, and that of the entries where they are float32."""
        base = rank_tolerance(self.n, self.p)
        if self.input_eps == 0.0 or self.constant.all():
            return base
        sd = self._sd()[~self.constant]
        size = np.hypot(self.location[~self.constant], sd)
        return base + self.p * float(np.max(self.input_eps * size / sd)) ** 2

    def _sd(self) -> FloatArray:
        raise NotImplementedError

    @property
    def max_rank(self) -> int:
        """The largest rank that so many rows can have."""
        return min(self.p, self.n - 1 if self.centred else self.n)


class PrimalMoments(Moments):
    """Moments that hold the dense covariance S, which `whitener` overwrites."""

    def __init__(
        self,
        n: int,
        location: FloatArray,
        covariance: FloatArray,
        centred: bool,
        sqnorms: FloatArray | None = None,
    ):
        self.n, self.p = n, location.size
        self.location, self.centred = location, centred
        self.covariance, self._sqnorms = covariance, sqnorms
        self.constant = drop_constant_columns(covariance, location, n)

    def _sd(self) -> FloatArray:
        return np.sqrt(np.diagonal(self.covariance))

    @cached_property
    def invariants(self) -> Invariants:
        """The invariants of a sample whose squared row norms were kept."""
        return _invariants(float(np.trace(self.covariance)), self.covariance, self._sqnorms)

    def whitener(self, weight: float = 1.0, ridge: float = 0.0) -> tuple[Whitener, FloatArray]:
        """Return the whitener of weight * S + ridge * I, and that matrix."""
        matrix, tolerance = self.covariance, None if ridge > 0 else self.tolerance
        if weight != 1.0:
            matrix *= weight
        if ridge > 0:
            matrix.flat[:: self.p + 1] += ridge
        return self._factorise(matrix, tolerance), matrix

    def _factorise(self, matrix: FloatArray, tolerance: float | None = None) -> Whitener:
        scale = None
        sd = np.sqrt(np.diagonal(matrix))
        zero = sd == 0
        if zero.any():
            scale = column_scale(sd, self.location, zero)
        return Whitener.from_covariance(matrix, n_samples=self.n, scale=scale, rtol=tolerance)

    @cached_property
    def _eigen(self) -> tuple[FloatArray, FloatArray]:
        values, vectors = np.linalg.eigh(self.covariance)
        return np.maximum(values[::-1], 0.0), vectors[:, ::-1]

    def eigenvalues(self) -> FloatArray:
        """Eigenvalues of S, descending, (p,)."""
        return self._eigen[0]

    def from_spectrum(self, values: FloatArray, rest: float) -> tuple[Whitener, FloatArray]:
        """Whitener with the leading eigenvalues replaced by `values` and all others by `rest`, and its matrix."""
        vectors = self._eigen[1]
        if rest == 0 and values.size < self.p:
            return self._singular(values, vectors[:, : values.size])
        full = np.concatenate([values, np.full(self.p - values.size, rest)])
        matrix = (vectors * full) @ vectors.T
        matrix = 0.5 * (matrix + matrix.T)
        return self._factorise(matrix), matrix

    def _singular(self, values: FloatArray, vectors: FloatArray) -> tuple[Whitener, FloatArray]:
        """Whitener on the span of `vectors`, and its matrix.

        The rank is that of the eigenvalues kept. It cannot be judged again by the matrix made of them: columns that
        do not vary, or not beside the largest one, have its rounding there, which in units of their own looks like
        variance.
        """
        vectors = np.where(self.constant[:, None], 0.0, vectors)
        matrix = (vectors * values) @ vectors.T
        matrix = 0.5 * (matrix + matrix.T)
        sample = self._eigen[0]
        unit = np.full(self.p, np.sqrt(sample[0]) or 1.0)  # one for all, so that the vectors stay orthonormal
        scale = column_scale(np.where(self.constant, 0.0, unit), self.location, self.constant)
        # A training row may carry all of what was cut, and its rounding.
        lost = sample[values.size :].sum() / unit[0] ** 2
        noise = 4.0 * self.n * max(float(lost), self.p * EPS)
        return _spectral(values / unit[0] ** 2, vectors, scale=scale, noise=noise), matrix


class DualMoments(Moments):
    """Moments that hold the centred rows; `whitener` and `from_spectrum` use them up, so that one copy exists."""

    def __init__(self, location: FloatArray, rows: FloatArray, centred: bool):
        self.n, self.p = rows.shape
        self.location, self.centred, self._rows = location, centred, rows
        self.sd = np.sqrt(np.einsum("ij,ij->j", rows, rows) / self.n)
        self.constant = constant_columns(self.sd, location, self.n)
        check_overflow(self.sd)
        if self.constant.any():
            rows[:, self.constant] = 0.0
            self.sd[self.constant] = 0.0

    def _sd(self) -> FloatArray:
        return self.sd

    @cached_property
    def _gram(self) -> FloatArray:
        return self._rows @ self._rows.T

    @cached_property
    def _eigen(self) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues of S, descending, (n,), and the eigenvectors of the Gram matrix, (n, n).

        The Gram matrix squares the singular values: when they spread over more than three digits, those of the
        rows themselves are taken.
        """
        values, vectors = np.linalg.eigh(self._gram)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        kept = values[: max(min(self.max_rank, self.n), 1)]
        if kept[-1] < WIDE * kept[0]:
            triangle = qr(self._rows.T, mode="r", check_finite=False)[0][: self.n]
            _, roots, right = np.linalg.svd(triangle)
            values, vectors = np.zeros(self.n), right.T
            values[: roots.size] = roots**2
        return values / self.n, vectors

    @cached_property
    def invariants(self) -> Invariants:
        """The invariants, from the Gram matrix: it shares its non-zero eigenvalues with n S."""
        S = self._gram / self.n
        return _invariants(float(np.trace(S)), S, np.diagonal(self._gram))

    def eigenvalues(self) -> FloatArray:
        """Leading min(n, p) eigenvalues of S, descending."""
        return self._eigen[0][: min(self.n, self.p)]

    def _take_rows(self) -> FloatArray:
        rows, self._rows = self._rows, np.empty((0, self.p))
        return rows

    def _vectors(self, count: int) -> FloatArray:
        """Leading eigenvectors of S, (p, count), from those of the Gram matrix: V = X' U / sqrt(n lambda).

        Their errors grow with the spread of the spectrum; one orthonormalisation, largest first, removes them.
        """
        values, vectors = self._eigen
        V = self._take_rows().T @ (vectors[:, :count] / np.sqrt(self.n * values[:count]))
        if count and values[count - 1] < WIDE * values[0]:
            V, triangle = qr(V, overwrite_a=True, mode="economic", check_finite=False)
            V *= np.sign(np.diagonal(triangle))
        return V

    def whitener(self, weight: float = 1.0, ridge: float = 0.0) -> tuple[Whitener, None]:
        """Return the whitener of weight * S + ridge * I; the matrix itself is not formed."""
        if ridge <= 0:
            return self._unregularised(weight), None
        values = weight * self._eigen[0]
        if ridge <= self.tolerance * values[0]:  # no ridge beyond rounding: the rank rule has to decide
            return self._unregularised(weight), None
        count = min(int(np.sum(values > self.n * EPS * values[0])), self.max_rank)
        return _spectral(values[:count], self._vectors(count), ridge=ridge), None

    def _unregularised(self, weight: float) -> Whitener:
        """Whitener of weight * S on its range.

        An orthogonal factorisation, not the Gram matrix: squaring would leave directions of small variance
        with few correct digits, and nothing here lifts them.
        """
        rows = self._take_rows()
        scale = column_scale(self.sd, self.location, self.constant)
        rows /= scale
        basis, triangle = qr(rows.T, overwrite_a=True, mode="economic", check_finite=False)
        del rows
        rotation, roots, _ = np.linalg.svd(triangle, full_matrices=False)
        values = roots**2 / self.n
        keep = values > self.tolerance * values[0]
        keep[self.max_rank :] = False
        noise = 4.0 * self.n * float(values[~keep].sum())  # a training row may carry all of what was cut
        vectors = basis @ rotation[:, keep]
        return _spectral(weight * values[keep], vectors, scale=scale, noise=noise)

    def from_spectrum(self, values: FloatArray, rest: float) -> tuple[Whitener, None]:
        """Whitener with the leading eigenvalues replaced by `values` and all others by `rest`."""
        vectors = self._vectors(values.size)
        ridge = rest if values.size < self.p else 0.0
        # Shrunk eigenvalues may lie below that of the null space: w = values - ridge takes both signs.
        return _spectral(values - ridge, vectors, ridge=ridge), None


def _spectral(
    w: FloatArray,
    V: FloatArray,
    ridge: float = 0.0,
    scale: FloatArray | None = None,
    noise: float | None = None,
) -> Whitener:
    """Whitener of eigenpairs made here: not copied."""
    return Whitener(from_eigh(w, V, ridge, None, scale, noise, copy=False))


def primal_moments(X: FloatArray, centred: bool) -> PrimalMoments:
    """Return the dense moments of `X`, accumulated over blocks of rows."""
    n, p = X.shape
    check_dense_size(p, "The covariance")
    origin = column_means(X) if centred else np.zeros(p)
    total, sqnorms = np.zeros(p), np.empty(n)
    scatter = np.zeros((p, p), order="F")
    for rows in row_blocks(n, p):
        block = np.subtract(X[rows], origin, dtype=np.float64)
        total += np.ones(block.shape[0]) @ block
        sqnorms[rows] = np.einsum("ij,ij->i", block, block)
        scatter = blas.dsyrk(1.0, block.T, beta=1.0, c=scatter, lower=1, overwrite_c=1)
    check_overflow(np.diagonal(scatter))
    covariance = scatter.T  # C order, upper triangle filled
    covariance /= n
    location = origin
    if centred:  # what rounding left of the mean
        shift = total / n
        covariance -= np.multiply.outer(shift, shift)
        location = origin + shift
    for j in range(p - 1):
        covariance[j + 1 :, j] = covariance[j, j + 1 :]
    np.fill_diagonal(covariance, np.maximum(np.diagonal(covariance), 0.0))
    return PrimalMoments(n, location, covariance, centred, sqnorms)


def dual_moments(X: FloatArray, centred: bool) -> DualMoments:
    """Return the moments of `X` that hold its centred rows."""
    if not centred:
        return DualMoments(np.zeros(X.shape[1]), X.astype(np.float64), centred)
    origin = column_means(X)
    location = origin + column_means(X, origin)
    # Centred by the location that new rows will be centred by: its own rounding then cancels.
    return DualMoments(location, np.subtract(X, location, dtype=np.float64), centred)


def row_weights(sample_weight: ArrayLike, n: int) -> FloatArray:
    """Return the weights of n rows after checking that two of them count."""
    weights = as_vector(sample_weight, "sample_weight", n)
    if weights.min() < 0:
        raise ValueError("sample_weight must be non-negative.")
    if np.count_nonzero(weights) < 2:
        raise ValueError(
            "sample_weight must be non-zero for two rows at least; a row of weight zero is left out."
        )
    return weights
