"""From matrices to structures: Cholesky first, an eigendecomposition only when a pivot fails."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from ._structures import Banded, Spectral, Structure, Triangular
from ._typing import ArrayLike, FloatArray
from ._validation import as_rows, as_square, as_symmetric, as_vector, check_finite
from .exceptions import NotPositiveDefiniteError


def positive(values: ArrayLike, name: str, size: int) -> FloatArray:
    """Return `values` as a vector of positive finite numbers."""
    vector = as_vector(values, name, size)
    if not np.all(vector > 0):
        bad = np.flatnonzero(~(vector > 0))[:5].tolist()
        raise ValueError(f"{name} must be positive; entries {bad} are not.")
    return vector


def _eps(matrix: ArrayLike) -> float:
    """Return the rounding unit of the matrix as it was given."""
    dtype = np.asarray(matrix).dtype
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else float(np.finfo(float).eps)


def _standardise(matrix: FloatArray, what: str) -> tuple[FloatArray, FloatArray]:
    """Unit-diagonal version of a matrix and the roots of its diagonal (largest root where it is zero)."""
    diagonal = np.diagonal(matrix)
    if np.any(diagonal < 0):
        j = int(np.argmin(diagonal))
        raise NotPositiveDefiniteError(
            f"{what} has the negative diagonal entry {diagonal[j]:.6g} at ({j}, {j}); variances are not negative."
        )
    roots = np.sqrt(diagonal)
    zero = roots == 0
    if np.any(zero):
        if np.any(matrix[zero] != 0):
            j = int(np.flatnonzero(zero & (matrix != 0).any(axis=1))[0])
            raise NotPositiveDefiniteError(
                f"{what} has a zero at ({j}, {j}) but non-zero entries beside it: it is indefinite."
            )
        roots = np.where(zero, roots.max() if roots.max() > 0 else 1.0, roots)
    return matrix / roots[:, None] / roots, roots


def _tolerance(rows: int, matrix: ArrayLike) -> float:
    """Relative size below which an eigenvalue counts as zero; small matrices carry the rounding of some sums too."""
    return max(rows, 16) * _eps(matrix)


def _cholesky(correlation: FloatArray, tolerance: float) -> tuple[FloatArray | None, bool]:
    """Lower Cholesky factor (C order), or None, and whether its pivots settle that the rank is full.

    A pivot within three digits of the tolerance settles nothing: what rounding leaves there grows with the
    collinearity of the variables before it, so an eigendecomposition has to decide.
    """
    upper, info = lapack.dpotrf(correlation.T, lower=0, clean=1)
    if info != 0:
        return None, False
    return upper.T, bool(np.min(np.diagonal(upper)) ** 2 > 1e3 * tolerance)


def _spectrum(correlation: FloatArray, tolerance: float, what: str) -> tuple[FloatArray, FloatArray, float]:
    """Eigenpairs above the tolerance and the sum of what was cut; negative ones are an error."""
    w, V = np.linalg.eigh(correlation)
    cut = tolerance * max(float(w[-1]), 0.0)
    if w[0] < -10.0 * cut or w[-1] <= 0:
        if w[-1] == 0 and w[0] == 0:
            return w[:0], V[:, :0], 0.0
        raise NotPositiveDefiniteError(
            f"{what} is indefinite: scaled to unit diagonal its smallest eigenvalue is {w[0]:.6g} and its largest "
            f"{w[-1]:.6g}. Usual causes: pairwise deletion of missing values, rounded entries, or a matrix that "
            "is no covariance. Estimate it from complete rows, or repair it by clipping its eigenvalues."
        )
    keep = w > cut
    return w[keep], V[:, keep], float(np.abs(w[~keep]).sum())


def from_covariance(
    covariance: ArrayLike,
    n_samples: int | None,
    scale: ArrayLike | None,
    noise: float | None,
    rtol: float | None = None,
) -> Structure:
    """Triangular structure, or a spectral one on the range when the correlation matrix is singular."""
    matrix = as_symmetric(covariance, "covariance")
    p = matrix.shape[0]
    if scale is None:
        correlation, roots = _standardise(matrix, "covariance")
    else:
        roots = positive(scale, "scale", p).copy()
        correlation = matrix / roots[:, None] / roots
    rows = max(n_samples or 0, p)
    tolerance = _tolerance(rows, covariance) if rtol is None else rtol
    factor, settled = _cholesky(correlation, tolerance)
    if not settled:
        w, V, lost = _spectrum(correlation, tolerance, "covariance")
        settled = w.size == p
    if settled and factor is not None:
        return Triangular(roots[:, None] * factor, inverse=True)
    if noise is None:  # a training row may carry all of what the rank rule cut
        noise = 4.0 * rows * max(lost, p * np.finfo(float).eps)
    return Spectral(w, V, 0.0, roots, float(noise))


def from_precision(precision: ArrayLike) -> Structure:
    """Triangular structure from the flipped Cholesky factor: W lower with W'W = precision."""
    matrix = as_symmetric(precision, "precision")
    p = matrix.shape[0]
    unit, roots = _standardise(matrix, "precision")
    tolerance = _tolerance(p, precision)
    flipped, settled = _cholesky(np.ascontiguousarray(unit[::-1, ::-1]), tolerance)
    if not settled:
        w, V, _ = _spectrum(unit, tolerance, "precision")
        settled = w.size == p
    if settled and flipped is not None:  # J U J of the reversed matrix's factor turns upper into lower
        return Triangular(flipped.T[::-1, ::-1] * roots, inverse=False)
    return Spectral(1.0 / w, V, 0.0, 1.0 / roots, np.inf)


def from_cholesky(factor: ArrayLike, n_samples: int | None) -> Structure:
    """Triangular structure of a given lower factor; singular factors go the way of their covariance."""
    L = as_square(factor, "factor")
    if np.any(np.triu(L, 1) != 0):
        raise ValueError(
            "factor must be lower triangular, with covariance = factor @ factor.T, as numpy.linalg.cholesky gives "
            "it; an upper factor has to be transposed first."
        )
    sd = np.sqrt(np.einsum("ij,ij->i", L, L))
    pivots = np.abs(np.diagonal(L))
    L = np.where(np.diagonal(L) < 0, -L, L)  # a fresh array; the sign of a column is free
    if np.all(pivots**2 > 1e3 * _tolerance(max(n_samples or 0, L.shape[0]), factor) * sd**2):
        return Triangular(L, inverse=True)
    return from_covariance(L @ L.T, n_samples, None, None)


def from_modified_cholesky(T: ArrayLike, var: ArrayLike) -> Structure:
    """Dense T: a triangular whitening matrix; (p, k) coefficients: the banded structure."""
    matrix = as_rows(T, name="T").astype(np.float64)
    check_finite(matrix, "T")
    p, k = matrix.shape
    sd = np.sqrt(positive(var, "var", p))
    if k < p:
        padded = [j for j in range(min(k, p)) if np.any(matrix[j, j:] != 0)]
        if padded:
            raise ValueError(
                f"T has {k} columns of coefficients: row j may only fill the first j of them, but row {padded[0]} "
                "reaches before the first variable. Pad with zeros."
            )
        return Banded(matrix, sd)
    if k > p:
        raise ValueError(f"T must have shape (p, p) or (p, k) with k < p, got {matrix.shape}.")
    if np.any(np.triu(matrix, 1) != 0) or np.any(np.diagonal(matrix) != 1.0):
        raise ValueError("T must be unit lower triangular: ones on the diagonal, zeros above it.")
    return Triangular(matrix / sd[:, None], inverse=False)


def from_eigh(
    w: ArrayLike,
    V: ArrayLike,
    ridge: float,
    rtol: float | None,
    scale: ArrayLike | None,
    noise: float | None,
    copy: bool = True,
) -> Structure:
    """Spectral structure of given eigenpairs; without `copy` the vectors are ours already, and orthonormal."""
    vectors = np.array(V, dtype=np.float64) if copy else np.asarray(V, dtype=np.float64)
    if vectors.ndim != 2:
        raise ValueError(f"V must have shape (p, r), got {vectors.shape}.")
    p, r = vectors.shape
    values = as_vector(w, "w", r).copy() if r else np.zeros(0)
    check_finite(vectors, "V")
    if copy and r and np.abs(vectors.T @ vectors - np.eye(r)).max() > 1e-6:
        raise ValueError("The columns of V must be orthonormal, as numpy.linalg.eigh gives them.")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge must be non-negative and finite, got {ridge!r}.")
    tolerance = max(p, r) * np.finfo(float).eps if rtol is None else float(rtol)
    largest = float(values.max(initial=0.0))
    if ridge > 0:
        if r and values.min() + ridge <= 0:
            raise NotPositiveDefiniteError(
                f"w has the eigenvalue {values.min():.6g}: with ridge {ridge:.6g} it is not positive."
            )
        keep = np.ones(r, dtype=bool)
    else:
        if r and values.min() < -10.0 * tolerance * largest:
            raise NotPositiveDefiniteError(f"w has the negative eigenvalue {values.min():.6g}.")
        keep = (values > tolerance * largest) & (values > 0)
    lost = float(np.abs(values[~keep]).sum())
    if not keep.all():
        values, vectors = values[keep], vectors[:, keep]
    factor = None if scale is None else positive(scale, "scale", p).copy()
    if noise is None:
        noise = tolerance * largest + lost
    return Spectral(values, vectors, float(ridge), factor, float(noise))
