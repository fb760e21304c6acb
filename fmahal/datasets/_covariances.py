"""The covariance matrices of the simulators, each in the few numbers that define it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._typing import ArrayLike, FloatArray
from .._validation import as_symmetric, check_dense_size
from ..exceptions import NotPositiveDefiniteError
from ._checks import check_real

if TYPE_CHECKING:
    from ..whitener import Whitener

Self = TypeVar("Self", bound="TrueCovariance")


class TrueCovariance(ABC):
    """A covariance matrix known by its structure; `np.asarray` gives the dense matrix."""

    scale: float

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Shape (p, p) of the matrix."""

    @abstractmethod
    def color(self, Z: FloatArray) -> FloatArray:
        """Return rows with this covariance from rows Z (n, p) with the identity."""

    @abstractmethod
    def whitener(self) -> Whitener:
        """Return the `fmahal.Whitener` of this structure; its `sqnorm` gives the true squared distances."""

    @abstractmethod
    def _unit(self) -> FloatArray:
        """Return the dense matrix for scale one."""

    def dense(self) -> FloatArray:
        """Return the (p, p) matrix; raises DenseSizeError when it is too large for this machine."""
        check_dense_size(self.shape[0], "The true covariance")
        return self.scale * self._unit()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        return np.asarray(self.dense(), dtype=dtype)

    def scaled(self: Self, factor: float) -> Self:
        """Return `factor` times this covariance."""
        return replace(self, scale=factor * self.scale)  # type: ignore[type-var]


@dataclass(frozen=True, eq=False)
class IdentityCovariance(TrueCovariance):
    """``scale * I``; two numbers."""

    size: int
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (p, p) of the matrix."""
        return self.size, self.size

    def color(self, Z: FloatArray) -> FloatArray:
        """Return ``sqrt(scale) Z`` in O(n p)."""
        return np.sqrt(self.scale) * Z

    def _unit(self) -> FloatArray:
        return np.eye(self.size)

    def whitener(self) -> Whitener:
        """Return the whitener, diagonal, with O(p) memory."""
        from ..whitener import Whitener

        if self.size == 1:  # a band of one column would be the whole (1, 1) factor
            return Whitener.from_cholesky([[np.sqrt(self.scale)]])
        return Whitener.from_modified_cholesky(np.zeros((self.size, 1)), np.full(self.size, self.scale))


@dataclass(frozen=True, eq=False)
class AR1Covariance(TrueCovariance):
    """``scale * rho^|i-j|``; three numbers."""

    size: int
    rho: float
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (p, p) of the matrix."""
        return self.size, self.size

    def color(self, Z: FloatArray) -> FloatArray:
        """Run the recursion ``x_j = rho x_{j-1} + sqrt(1 - rho^2) z_j`` from ``x_1 = z_1``, in O(n p)."""
        from scipy.signal import lfilter

        innovation = np.sqrt((1.0 - self.rho) * (1.0 + self.rho))
        first = np.sqrt(self.scale) * Z[:, :1]
        rest = np.sqrt(self.scale) * innovation * Z[:, 1:]
        driven = np.concatenate([first, rest], axis=1)
        return lfilter([1.0], [1.0, -self.rho], driven, axis=1)

    def _unit(self) -> FloatArray:
        lag = np.abs(np.subtract.outer(np.arange(self.size), np.arange(self.size)))
        return np.power(self.rho, lag)

    def whitener(self) -> Whitener:
        """Return the whitener, one band of autoregression coefficients, with O(p) memory."""
        from ..whitener import Whitener

        if self.size == 1:  # a band of one column would be the whole (1, 1) factor
            return Whitener.from_cholesky([[np.sqrt(self.scale)]])
        coefficients = np.full((self.size, 1), self.rho)
        coefficients[0] = 0.0
        variances = np.full(self.size, self.scale * (1.0 - self.rho) * (1.0 + self.rho))
        variances[0] = self.scale
        return Whitener.from_modified_cholesky(coefficients, variances)


@dataclass(frozen=True, eq=False)
class SpectralCovariance(TrueCovariance):
    """``scale * (V diag(w) V' + ridge I)``, V (p, r) with orthonormal columns; p r numbers.

    Attributes
    ----------
    w : ndarray of shape (r,)
        Eigenvalues above the ridge, positive.
    V : ndarray of shape (p, r)
        Their eigenvectors.
    ridge : float
        The other p - r eigenvalues; zero only when r = p.
    """

    w: FloatArray
    V: FloatArray
    ridge: float = 0.0
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (p, p) of the matrix."""
        return self.V.shape[0], self.V.shape[0]

    def __repr__(self) -> str:
        p, r = self.V.shape
        return (
            f"SpectralCovariance(shape=({p}, {p}), n_directions={r}, ridge={self.ridge}, scale={self.scale})"
        )

    def color(self, Z: FloatArray) -> FloatArray:
        """Return Z times the symmetric square root, in O(n p r)."""
        gain = np.sqrt(self.w + self.ridge) - np.sqrt(self.ridge)
        return np.sqrt(self.scale) * (np.sqrt(self.ridge) * Z + ((Z @ self.V) * gain) @ self.V.T)

    def _unit(self) -> FloatArray:
        dense = (self.V * self.w) @ self.V.T
        dense[np.diag_indices_from(dense)] += self.ridge
        return 0.5 * (dense + dense.T)

    def whitener(self) -> Whitener:
        """Return the whitener, spectral, with O(p r) memory."""
        from ..whitener import Whitener

        return Whitener.from_eigh(self.scale * self.w, self.V, ridge=self.scale * self.ridge)


@dataclass(frozen=True, eq=False)
class DenseCovariance(TrueCovariance):
    """``scale * factor factor'``, factor lower triangular; p^2 numbers."""

    factor: FloatArray
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (p, p) of the matrix."""
        return self.factor.shape[0], self.factor.shape[0]

    def __repr__(self) -> str:
        return f"DenseCovariance(shape={self.shape}, scale={self.scale})"

    def color(self, Z: FloatArray) -> FloatArray:
        """Return ``Z factor'`` in O(n p^2)."""
        return np.sqrt(self.scale) * (Z @ self.factor.T)

    def _unit(self) -> FloatArray:
        return self.factor @ self.factor.T

    def whitener(self) -> Whitener:
        """Return the triangular whitener."""
        from ..whitener import Whitener

        return Whitener.from_cholesky(np.sqrt(self.scale) * self.factor)


def random_directions(p: int, r: int, generator: np.random.Generator) -> FloatArray:
    """Return r orthonormal columns of length p, uniform over all such frames; O(p r^2)."""
    Q, R = np.linalg.qr(generator.standard_normal((p, r)))
    # Without the signs of R the frame is not uniform: QR routines prefer one orientation.
    return np.ascontiguousarray(Q * np.where(np.diagonal(R) < 0, -1.0, 1.0))


def random_covariance(p: int, condition_number: float, generator: np.random.Generator) -> SpectralCovariance:
    """Return a covariance with random eigenvectors and eigenvalues in geometric progression.

    The eigenvalues run from ``sqrt(condition_number)`` down to its reciprocal, so that the determinant is 1.
    """
    if check_real(condition_number, "condition_number") < 1:
        raise ValueError(f"condition_number must be at least 1, got {condition_number!r}.")
    check_dense_size(p, "A random covariance")
    half = 0.5 * np.log(condition_number)
    w = np.exp(np.linspace(half, -half, p)) if p > 1 else np.ones(1)
    return SpectralCovariance(w, random_directions(p, p, generator))


def ar1_covariance(p: int, rho: float) -> AR1Covariance:
    """Return the covariance ``rho^|i-j|`` after checking `rho`."""
    if not -1 < check_real(rho, "rho") < 1:
        raise ValueError(f"rho must lie strictly between -1 and 1, got {rho!r}.")
    return AR1Covariance(p, float(rho))


def given_covariance(covariance: ArrayLike, p: int) -> DenseCovariance:
    """Return a given positive definite (p, p) matrix with its Cholesky factor; O(p^3)."""
    matrix = as_symmetric(covariance, "covariance")
    if matrix.shape[0] != p:
        raise ValueError(f"covariance must have shape ({p}, {p}) for n_features={p}, got {matrix.shape}.")
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise NotPositiveDefiniteError(
            "covariance is not positive definite, so nothing can be simulated from it. "
            "Add a ridge to its diagonal, or drop the columns that depend on others."
        ) from None
    return DenseCovariance(factor)


def resolve_covariance(
    covariance: str | ArrayLike,
    p: int,
    *,
    rho: float,
    condition_number: float,
    generator: np.random.Generator,
) -> TrueCovariance:
    """Return the covariance that the simulators' argument of this name asks for."""
    if not isinstance(covariance, str):
        return given_covariance(covariance, p)
    if covariance == "identity":
        return IdentityCovariance(p)
    if covariance == "ar1":
        return ar1_covariance(p, rho)
    if covariance == "random":
        return random_covariance(p, condition_number, generator)
    raise ValueError(
        f"covariance must be 'identity', 'ar1', 'random' or a ({p}, {p}) matrix, got {covariance!r}."
    )
