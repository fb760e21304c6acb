"""Engines of the modified Cholesky family: each variable regressed on its predecessors, by least squares or ridge.

All of them work on standardised columns z = sqrt(w) (x - m) / s, weights w summing to n, and hand back a
structure in the units of the data together with what each regression used up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import blas, lapack, qr

from .._kernels.regression import SHARP, banded_regression
from .._structures import Banded, Sequential, Structure, Triangular
from .._typing import FloatArray
from .._validation import readonly
from ._blas import one_blas_thread

VARIANCE_FLOOR = 1e-10  # of the marginal variance of a variable
LEAST_RIDGE = 1e-7  # of the mean column variance: a smaller one leaves too few digits in the n x n form
LEVERAGE_FLOOR = 1e-8  # 1 - h below it is rounding


@dataclass(frozen=True)
class Columns:
    """The columns of a table, ready to be standardised.

    Attributes
    ----------
    X : ndarray of shape (n, p)
        Rows.
    location, scale : ndarray of shape (p,)
        m and s: standardised columns are root (x - m) / s.
    root : ndarray of shape (n,)
        Roots of the row weights, which sum to n.
    centred : bool
        Whether m is the mean.
    marginal : ndarray of shape (p,) or None
        Units of the columns, standard deviations or the magnitude of constant ones; None: `scale`.
    constant : ndarray of shape (p,) or None
        Columns whose spread is rounding: standardised to zero, so that they predict nothing.
    """

    X: FloatArray
    location: FloatArray
    scale: FloatArray
    root: FloatArray
    centred: bool = True
    marginal: FloatArray | None = None
    constant: np.ndarray | None = None

    @property
    def units(self) -> FloatArray:
        """Units of the columns."""
        return self.scale if self.marginal is None else self.marginal

    @cached_property
    def inverse(self) -> FloatArray:
        """1 / s, zero for constant columns."""
        inverse = 1.0 / self.scale
        return inverse if self.constant is None else np.where(self.constant, 0.0, inverse)

    def reordered(self, order: np.ndarray) -> Columns:
        """Return the same columns in another order; a copy."""
        X = np.ascontiguousarray(self.X[:, order])
        marginal = None if self.marginal is None else self.marginal[order]
        constant = None if self.constant is None else self.constant[order]
        return Columns(
            X, self.location[order], self.scale[order], self.root, self.centred, marginal, constant
        )

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.X.shape[0]

    @property
    def intercept(self) -> FloatArray:
        """Leverage of the mean in each row."""
        return self.root**2 / self.n if self.centred else np.zeros(self.n)

    def standardised(self, columns: Any = slice(None)) -> FloatArray:
        """Return (n, q) float64 standardised columns, a fresh array."""
        Z = np.subtract(self.X[:, columns], self.location[columns], dtype=np.float64)
        Z *= self.root[:, None]
        Z *= self.inverse[columns]
        return Z


@dataclass
class Innovations:
    """What the regressions leave, per variable and on the standardised scale.

    Attributes
    ----------
    build : callable
        ``build(sd)``: the structure in data units, given innovation standard deviations in data units.
    rss : ndarray of shape (p,)
        Residual sums of squares.
    dof : ndarray of shape (p,)
        Effective number of predictors, the trace of each hat matrix.
    loo : ndarray of shape (p,) or None
        Mean squared leave-one-out residuals.
    factor : callable
        ``factor()``: T in data units, sparse or dense, or None when it is implicit.
    reach : int
        Largest distance of a predecessor with a coefficient.
    own : ndarray of shape (p,) or None
        Variances that the objective itself estimates.
    kkt, n_iter, converged
        Optimality residual reached, in how many sweeps, and whether it is small enough.
    """

    build: Callable[[FloatArray], Structure]
    rss: FloatArray
    dof: FloatArray
    loo: FloatArray | None
    factor: Callable[[], Any] = lambda: None
    reach: int = 0
    own: FloatArray | None = None
    kkt: float = 0.0
    n_iter: int = 1
    converged: bool = True

    def variances(self, kind: str, n: int, centred: bool) -> FloatArray:
        """Innovation variances on the standardised scale."""
        if kind == "mle":
            return self.rss / n
        if kind == "unbiased":
            return self.rss / np.maximum(n - (1.0 if centred else 0.0) - self.dof, 1.0)
        value = self.own if kind == "own" else self.loo
        assert value is not None
        return value


def banded(columns: Columns, bandwidth: int, alpha: float, loo: bool) -> Innovations:
    """Regressions on the `bandwidth` nearest predecessors; ridge when alpha > 0. See `banded_regression`."""
    X, n, p = columns.X, columns.n, columns.X.shape[1]
    coef, stats = np.zeros((p, max(bandwidth, 1))), np.zeros((p, 3))
    if bandwidth == 0:
        Z = columns.standardised()
        stats[:, 0] = np.einsum("ij,ij->j", Z, Z)
        stats[:, 2] = ((Z / (1.0 - columns.intercept)[:, None]) ** 2).mean(axis=0)
    else:
        tolerance = max(n, bandwidth) * np.finfo(np.float64).eps
        settings = np.array([n * alpha, tolerance, float(loo), float(columns.centred)])
        arrays = [readonly(a) for a in (X, columns.location, columns.inverse, columns.root)]
        banded_regression(*arrays, bandwidth, readonly(settings), coef, stats)
    for t in range(1, bandwidth + 1):  # back to data units
        coef[t:, t - 1] *= columns.scale[t:] / columns.scale[:-t]
    return Innovations(
        build=lambda sd: Banded(coef, sd) if p > 1 else Triangular(1.0 / sd[:, None], inverse=False),
        rss=stats[:, 0],
        dof=stats[:, 1],
        loo=stats[:, 2] if loo or bandwidth == 0 else None,
        factor=lambda: band_factor(coef),
        reach=bandwidth,
    )


def band_factor(coef: FloatArray) -> Any:
    """T as a sparse array from coefficients (p, k)."""
    p, k = coef.shape
    bands = [np.ones(p)] + [-coef[t:, t - 1] for t in range(1, min(k, p - 1) + 1)]
    return sparse.diags_array(bands, offsets=list(range(0, -len(bands), -1)), shape=(p, p)).tocsr()


@dataclass(frozen=True)
class Dense:
    """All regressions in p x p form, on the standardised scale: T, residuals (p, n) and leverages (p, n)."""

    T: FloatArray
    residuals: FloatArray
    leverages: FloatArray


def dense_regressions(columns: Columns, alpha: float) -> Dense | None:
    """All predecessors, p x p form: one Cholesky factor of n (G + alpha I) serves all p regressions.

    W = L^{-1} Z' gives the residuals e_j = L_jj W_j, and the leverages of regression j are the sums of W_t^2 over
    t < j, since the leading blocks of L are the factors of the leading blocks. O(n p^2 + p^3 / 3). None when a pivot
    says that a variable is determined by its predecessors.
    """
    n, p = columns.X.shape
    Z = columns.standardised()
    gram = blas.dsyrk(1.0, Z.T, lower=1)
    gram.flat[:: p + 1] += n * alpha
    size = np.diagonal(gram).copy()
    L, info = lapack.dpotrf(gram, lower=1, clean=1)
    if info == 0 and np.all(np.diagonal(L) ** 2 > SHARP * size):
        W = blas.dtrsm(1.0, L, Z.T, lower=1)
    else:  # the Gram matrix has squared away half of the digits: orthogonalise the columns themselves
        ridge = np.sqrt(n * alpha) * np.eye(p if alpha > 0 else 0, p)
        Q, R = qr(np.vstack([Z, ridge]), mode="economic", check_finite=False)
        signs = np.where(np.diagonal(R) < 0, -1.0, 1.0)
        L, W = np.asfortranarray(R.T * signs), (Q[:n] * signs).T
    pivots = np.diagonal(L)
    if np.any(pivots**2 <= 1e3 * max(n, p) * np.finfo(float).eps * size):
        return None
    squares = W**2
    inverse, _ = lapack.dtrtri(L, lower=1)
    T = np.ascontiguousarray(inverse * pivots[:, None])
    T.flat[:: p + 1] = 1.0
    return Dense(T, W * pivots[:, None], np.cumsum(squares, axis=0) - squares)


def dense(columns: Columns, alpha: float) -> Innovations:
    """`dense_regressions` as innovations; collinear variables go through the banded engine, which drops them."""
    parts = dense_regressions(columns, alpha)
    if parts is None:
        return banded(columns, columns.X.shape[1] - 1, alpha, loo=True)
    rest = np.maximum(1.0 - columns.intercept - parts.leverages, LEVERAGE_FLOOR)
    return from_factor(
        columns,
        parts.T,
        rss=np.einsum("ij,ij->i", parts.residuals, parts.residuals),
        dof=parts.leverages.sum(axis=1),
        loo=((parts.residuals / rest) ** 2).mean(axis=1),
    )


def from_factor(columns: Columns, T: FloatArray, **facts: Any) -> Innovations:
    """Innovations of a dense unit lower T on the standardised scale, overwritten with the one in data units."""
    T *= columns.scale[:, None]
    T /= columns.scale
    T.flat[:: T.shape[0] + 1] = 1.0
    return Innovations(
        build=lambda sd: Triangular(T / sd[:, None], inverse=False),
        factor=lambda: T,
        reach=T.shape[0] - 1,
        **facts,
    )


def implicit(columns: Columns, alpha: float) -> Innovations:
    """All predecessors, n x n form: u_j = K_j^{-1} z_j with K_j = n alpha I + sum_{k<j} z_k z_k'.

    Residuals are n alpha u_j and 1 - h_ii = n alpha (K_j^{-1})_ii, less the share of the mean. K is factorised afresh
    at each block of about n columns, so that rounding cannot accumulate. O(p n^2) time; 2 p n numbers are kept, no
    p x p array exists.
    """
    n, p = columns.X.shape
    least = LEAST_RIDGE * float(np.mean((columns.units / columns.scale) ** 2))
    if alpha < least:
        raise ValueError(
            f"alpha = {alpha:g} is lost in rounding with {p} columns and {n} rows: take at least {least:.1g}."
        )
    Z, U = np.empty((p, n)), np.empty((p, n))
    rss, dof, loo = np.empty(p), np.empty(p), np.empty(p)
    step = max(64, n)
    # The direction of the mean, to which every z_j is orthogonal, is lifted out of the way: 1 - h would cancel there.
    share = columns.intercept
    lift = float(n) if columns.centred else 0.0
    K = np.asfortranarray(lift * np.outer(np.sqrt(share), np.sqrt(share)))
    K.flat[:: n + 1] += n * alpha
    with one_blas_thread():
        for first in range(0, p, step):
            block = slice(first, min(first + step, p))
            Zb = columns.standardised(block)
            Ub, diagonal = _dual_block(K, Zb, alpha)
            # in data units phi_jk = (z_k / s_k) . (s_j u_j); scaled on the way, since each pass over both arrays counts
            scale = columns.scale[block, None]
            np.divide(Zb.T, scale, out=Z[block])
            np.multiply(Ub.T, scale, out=U[block])
            E = (n * alpha) * Ub
            rest = diagonal - (share / (n * alpha + lift))[:, None]  # (1 - h_ii - share_i) / (n alpha)
            rest = (n * alpha) * np.maximum(rest, np.finfo(float).eps * diagonal)
            rss[block] = np.einsum("ij,ij->j", E, E)
            loo[block] = ((E / rest) ** 2).mean(axis=0)
            dof[block] = n - share.sum() - rest.sum(axis=0)
            K = blas.dsyrk(1.0, Zb.T, trans=1, beta=1.0, c=K, lower=1, overwrite_c=1)
    return Innovations(
        build=lambda sd: Sequential(U, Z, sd),
        rss=rss,
        dof=dof,
        loo=loo,
        reach=p - 1,
    )


def _dual_block(K: FloatArray, Zb: FloatArray, alpha: float) -> tuple[FloatArray, FloatArray]:
    """u_j and the diagonals of K_j^{-1} for a block of columns, K holding what lies before it.

    K^{-1} Z_b comes from the factor of K; with C C' = I + Z_b' K^{-1} Z_b, the u_j are the columns of
    K^{-1} Z_b C^{-T} diag(C), and each takes u_j^2 / C_jj^2 off the diagonal of the inverse.
    """
    R, info = lapack.dpotrf(K, lower=1, clean=1)
    if info != 0:
        raise ValueError(f"alpha = {alpha:g} is too small for the rounding of this table; raise it.")
    W = blas.dtrsm(1.0, R, Zb, lower=1)
    B = blas.dtrsm(1.0, R, W, lower=1, trans_a=1)
    inverse, _ = lapack.dtrtri(R, lower=1)
    diagonal = np.einsum("ij,ij->j", inverse, inverse)
    S = blas.dsyrk(1.0, W, trans=1, lower=1)
    S.flat[:: S.shape[0] + 1] += 1.0
    C, _ = lapack.dpotrf(S, lower=1, clean=0, overwrite_a=1)
    pivots = np.diagonal(C)
    U = blas.dtrsm(1.0, C, B, side=1, lower=1, trans_a=1, overwrite_b=1) * pivots
    taken = (U / pivots) ** 2
    before = np.cumsum(taken, axis=1) - taken
    return U, diagonal[:, None] - before
