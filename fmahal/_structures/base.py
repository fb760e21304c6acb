"""What every representation of a whitening operator can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from .._typing import FloatArray
from .._validation import check_dense_size, readonly
from ._updates import margins_of

EXACT_CONDITION_COLUMNS = 400
BLOCK_BYTES = 16 * 2**20  # rows pass through BLAS in blocks of this size, so that no full centred copy exists


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Yield slices of rows whose float64 copies of `width` columns fill about `BLOCK_BYTES`."""
    step = max(16, BLOCK_BYTES // (8 * max(width, 1)))
    for first in range(0, n, step):
        yield slice(first, min(first + step, n))


def centred(X: FloatArray, location: FloatArray | None) -> FloatArray:
    """Return float64 rows minus the location."""
    if location is None:
        return X.astype(np.float64, copy=False)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is found, and named, at the output
        return np.subtract(X, location, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Structure:
    """A linear operator W (rank x p) with W'W = precision on its range.

    Subclasses are frozen dataclasses of read-only arrays and give `whiten` (x -> W x), `adjoint` (z -> W' z),
    `color` (z -> A z with A the generalised inverse of W), `sqnorm` (x -> |W x|^2, location subtracted on the way)
    and `logdet`, the log-determinant of the covariance on its range.
    """

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, f.name, readonly(value))

    def __reduce__(self) -> tuple[Any, ...]:  # rebuilt through the constructor: arrays come back read-only
        return type(self), tuple(getattr(self, f.name) for f in fields(self))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of whitened coordinates and of columns."""
        raise NotImplementedError

    @property
    def rank(self) -> int:
        """Dimension of the subspace on which the distance is defined."""
        return self.shape[0]

    @property
    def logdet(self) -> float:
        """Log-determinant of the covariance on its range."""
        raise NotImplementedError

    @property
    def condition_number(self) -> float:
        """Condition number of the covariance: exact for few columns, else from below by Lanczos steps."""
        p = self.shape[1]
        if p <= EXACT_CONDITION_COLUMNS:
            precision = self.precision()
            roots = np.sqrt(np.diagonal(precision))
            w = np.linalg.eigvalsh(precision / np.outer(roots, roots))[-self.rank :]
            return float(w[-1] / w[0])
        return self._lanczos_condition()

    def _lanczos_condition(self, steps: int = 40) -> float:
        """Ratio of the extreme Ritz values of the precision; each step whitens one row and back."""
        p = self.shape[1]
        q = np.random.default_rng(0).standard_normal(p)
        basis, alphas, betas = [q / np.linalg.norm(q)], [], []
        for _ in range(min(steps, p)):
            v = self.adjoint(self.whiten(basis[-1][None]))[0]
            alphas.append(float(v @ basis[-1]))
            for b in basis:  # full reorthogonalisation: few steps, many digits
                v = v - (b @ v) * b
            betas.append(float(np.linalg.norm(v)))
            if betas[-1] <= np.finfo(float).eps * abs(alphas[0]):
                break
            basis.append(v / betas[-1])
        size = len(alphas)
        off = betas[: size - 1]
        ritz = np.linalg.eigvalsh(np.diag(alphas) + np.diag(off, 1) + np.diag(off, -1))
        return float(ritz[-1] / max(ritz[0], np.finfo(float).tiny))

    def whiten(self, X: FloatArray) -> FloatArray:
        """Rows W x of centred rows, (n, rank)."""
        raise NotImplementedError

    def adjoint(self, Z: FloatArray) -> FloatArray:
        """Rows W' z, (n, p)."""
        raise NotImplementedError

    def color(self, Z: FloatArray) -> FloatArray:
        """Rows whose whitened rows are Z, (n, p)."""
        raise NotImplementedError

    def sqnorm(self, X: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        """Write |W (x - location)|^2 of every row into `out`."""
        for rows in row_blocks(X.shape[0], X.shape[1]):
            Z = self.whiten(centred(X[rows], location))
            np.einsum("ij,ij->i", Z, Z, out=out[rows], dtype=np.float64, casting="same_kind")

    def residual(
        self, X: FloatArray, location: FloatArray | None, eps: float = 0.0
    ) -> tuple[FloatArray, np.ndarray]:
        """Norm of the part off the subspace, in standardised units, and which rows are off beyond rounding.

        `eps` is the relative rounding of the entries of X before a location was subtracted from them.
        """
        return np.zeros(X.shape[0]), np.zeros(X.shape[0], dtype=bool)

    def scaled(self, factor: float) -> Structure:
        """Return the structure of `factor` times the covariance."""
        raise NotImplementedError

    def updated(self, X: FloatArray, weights: FloatArray, scale: float) -> Structure:
        """Return the structure of scale * covariance + sum of weights x x' over centred rows."""
        raise ValueError(
            f"A {self.kind} whitener cannot be updated: the changed covariance has no such structure. Refit its "
            "estimator, or factorise the changed matrix, O(p^3): "
            "Whitener.from_covariance(scale * whitener.covariance + weight * np.outer(x, x))."
        )

    def margin(self, X: FloatArray, weights: FloatArray) -> float:
        """Share of the covariance that adding the sum of weights x x' leaves in the direction it takes most of."""
        if X.shape[0] == 0:
            return 1.0
        if np.any(weights < 0) and self.residual(X[weights < 0], None)[1].any():
            return -np.inf
        return float(margins_of(self.whiten(X), weights)[0])

    def covariance(self) -> FloatArray:
        """Dense covariance A A', O(p^2 rank)."""
        check_dense_size(self.shape[1], "The covariance")
        A = self.color(np.eye(self.shape[0]))
        return A.T @ A

    def precision(self) -> FloatArray:
        """Dense precision W'W, O(p^2 rank)."""
        check_dense_size(self.shape[1], "The precision")
        W = self.adjoint(np.eye(self.shape[0]))
        return W.T @ W
