"""Which engine serves which penalty of `ModifiedCholesky`, and the checks at its door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from .._structures import Structure, Triangular
from .._typing import FloatArray
from .._validation import as_square
from . import _chain
from ._chain import Columns, Innovations
from ._sparse_rows import (
    CholeskyFactor,
    LassoRows,
    NestedRows,
    cscs_factor,
    hierarchical_factor,
    lasso_rows,
    nested_rows,
    unit_factor,
)

PENALTIES = (None, "l2", "l1", "nested", "hierarchical", "cscs", "shrink")
VARIANCES = ("auto", "mle", "unbiased", "loo")
NESTED_TOL = 1e-6  # the local quadratic iteration of the nested lasso stops on its relative change
_OWN = ("hierarchical", "cscs")  # objectives that estimate the innovation variances themselves


@dataclass(frozen=True)
class Plan:
    """Checked settings of one fit."""

    penalty: str | None
    bandwidth: int | None
    alpha: float
    variance: str
    target: Any
    tol: float
    max_iter: int

    @classmethod
    def of(cls, estimator: Any, n: int, p: int) -> Plan:
        """Check the parameters of a `ModifiedCholesky` against a table of n rows and p columns."""
        penalty, k = estimator.penalty, estimator.bandwidth
        alpha: Any = estimator.alpha
        _member("penalty", penalty, PENALTIES)
        _member("variance", estimator.variance, VARIANCES)
        _member("average", estimator.average, ("precision", "factors"))
        if (
            isinstance(alpha, bool)
            or not isinstance(alpha, float | int | np.number)
            or not 0 <= alpha < np.inf
        ):
            raise ValueError(f"alpha must be a finite number >= 0, got {alpha!r}.")
        if penalty == "shrink" and alpha > 1:
            raise ValueError(f'penalty="shrink" takes a share alpha in [0, 1], got {alpha!r}.')
        if penalty is None and alpha != 0:
            raise ValueError(f'alpha={alpha:g} without a penalty: name one, for example penalty="l2".')
        reach = p - 1 if k is None else k
        if (
            penalty is not None
            and penalty != "shrink"
            and alpha == 0
            and isinstance(reach, int)
            and reach >= n - 1
        ):
            raise ValueError(f"penalty={penalty!r} with alpha=0 regularises nothing: {_ways_out(n, p)}")
        _check_bandwidth(k, penalty, n, p)
        _count("n_orders", estimator.n_orders, 1)
        _count("max_iter", estimator.max_iter, 1)
        if not isinstance(estimator.tol, float | int | np.number) or not 0 < estimator.tol < np.inf:
            raise ValueError(f"tol must be positive, got {estimator.tol!r}.")
        if estimator.n_orders > 1 and estimator.order is not None:
            raise ValueError("order and n_orders > 1 exclude each other: several orders are drawn at random.")
        if estimator.average == "factors" and estimator.n_orders > 1 and p >= n - 1:
            raise ValueError(
                f'average="factors" needs p < n - 1 (p = {p}, n = {n}); use average="precision".'
            )
        kind = estimator.variance
        if kind == "auto":
            kind = "mle" if penalty is None else "own" if penalty in _OWN else "loo"
        return cls(penalty, k, float(alpha), kind, estimator.target, float(estimator.tol), estimator.max_iter)

    def fit(self, columns: Columns) -> Innovations:
        """Regress every column on its predecessors."""
        n, p = columns.X.shape
        if self.penalty in (None, "l2"):
            if self.bandwidth is not None and self.bandwidth < p - 1:
                return _chain.banded(columns, self.bandwidth, self.alpha, self.variance == "loo")
            # With ridge and (nearly) as many columns as rows residuals are of order alpha: only the n x n form, which
            # has them to full relative precision, leaves rows out correctly.
            use_dual = self.alpha > 0 and p >= n - 1
            return _chain.implicit(columns, self.alpha) if use_dual else _chain.dense(columns, self.alpha)
        if self.penalty == "shrink":
            return _shrunk(columns, self.alpha, self.target, self.bandwidth)
        return _sparse(columns, self)

    def variances(self, fit: Innovations, columns: Columns) -> tuple[FloatArray, np.ndarray]:
        """Innovation variances in data units above the floor, and which were lifted to it."""
        marginal = columns.units
        value = fit.variances(self.variance, columns.n, columns.centred) * columns.scale**2
        floor = _chain.VARIANCE_FLOOR * marginal**2
        low = ~(value > floor)
        if self.penalty == "shrink":
            unit = np.where(low, floor, value) / marginal**2
            return ((1.0 - self.alpha) * unit + self.alpha * unit.mean()) * marginal**2, low
        return np.where(low, floor, value), low


def _member(name: str, value: Any, allowed: Sequence[Any]) -> None:
    if not (value is None or isinstance(value, str)) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")


def _count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}.")


def _ways_out(n: int, p: int) -> str:
    return (
        f"{p} columns and {n} rows. Three ways out: a bandwidth below n - 1 (ModifiedCholesky(bandwidth=k)), a penalty "
        '(ModifiedCholesky(penalty="l2", alpha=1.0)), or ModifiedCholeskyCV, which chooses between them.'
    )


def _check_bandwidth(k: Any, penalty: str | None, n: int, p: int) -> None:
    if k is not None:
        _count("bandwidth", k, 0)
        if k >= p:
            raise ValueError(
                f"bandwidth must lie below the {p} columns, got {k}; None takes all predecessors."
            )
        if penalty not in (None, "l2", "shrink"):
            raise ValueError(
                f'bandwidth goes with penalty None, "l2" and "shrink"; {penalty!r} finds its own.'
            )
    reach = p - 1 if k is None or penalty == "shrink" else k
    if penalty in (None, "shrink") and reach > 0 and reach >= n - 1:
        raise ValueError(
            f"Least squares on {reach} predecessors needs more than {reach + 1} rows: {_ways_out(n, p)}"
        )


def _sparse(columns: Columns, plan: Plan) -> Innovations:
    """Fit the penalties that set coefficients to zero."""
    Z = columns.standardised()
    control: dict[str, Any] = {"tol": plan.tol, "max_iter": plan.max_iter}
    result: LassoRows | NestedRows | CholeskyFactor
    own = None
    if plan.penalty == "l1":
        result = lasso_rows(Z, np.array([plan.alpha]), **control)
        coef = result.coef[0]
    elif plan.penalty == "nested":
        result = nested_rows(Z, plan.alpha, **(control | {"tol": max(plan.tol, NESTED_TOL)}))
        coef = result.coef
    else:
        S = Z.T @ Z / columns.n
        floor = _chain.VARIANCE_FLOOR * (columns.units / columns.scale) ** 2  # constant columns
        S[np.diag_indices_from(S)] = np.maximum(np.diagonal(S), floor)
        solve = hierarchical_factor if plan.penalty == "hierarchical" else cscs_factor
        result = solve(S, plan.alpha, **control)
        T, own = unit_factor(result.factor)
        coef = sparse.csr_array(-np.tril(T, -1))
    return from_coefficients(
        columns,
        Z,
        coef,
        own=own,
        kkt=float(np.max(result.kkt)),
        n_iter=max(int(np.max(result.n_iter)), 1),
        converged=bool(np.all(result.converged)),
    )


def from_coefficients(columns: Columns, Z: FloatArray, coef: Any, **facts: Any) -> Innovations:
    """Innovations of sparse coefficients phi (p, p) on the standardised scale.

    Leave-one-out residuals are those of least squares on each active set: exact to first order for the lasso.
    """
    n, p = Z.shape
    coef = sparse.csr_array(coef)
    E = Z - (coef @ Z.T).T
    loo = np.empty(p)
    for j in range(p):
        active = coef.indices[coef.indptr[j] : coef.indptr[j + 1]]
        h = columns.intercept
        if active.size:
            Q = np.linalg.qr(Z[:, active])[0]
            h = h + np.einsum("ij,ij->i", Q, Q)
        loo[j] = np.mean((E[:, j] / np.maximum(1.0 - h, 0.5 / n)) ** 2)
    D = sparse.diags_array(columns.scale)
    inverse = sparse.diags_array(1.0 / columns.scale)
    units = sparse.csr_array(D @ coef @ inverse)
    T = sparse.csr_array(sparse.eye_array(p, format="csr") - units)
    distance = np.repeat(np.arange(p), np.diff(coef.indptr)) - coef.indices
    return Innovations(
        build=lambda sd: Triangular(T.toarray() / sd[:, None], inverse=False),
        rss=np.einsum("ij,ij->j", E, E),
        dof=np.diff(coef.indptr).astype(float),
        loo=loo,
        factor=lambda: T,
        reach=int(distance.max(initial=0)),
        **facts,
    )


def _target(columns: Columns, target: Any, bandwidth: int | None) -> FloatArray:
    """Return the T towards which T is shrunk, on the standardised scale."""
    p = columns.X.shape[1]
    if not isinstance(target, str):
        T = as_square(target, "target")
        if T.shape[0] != p or np.any(np.triu(T, 1) != 0) or np.any(np.diagonal(T) != 1):
            raise ValueError(f"target must be unit lower triangular of shape ({p}, {p}).")
        return T / columns.scale[:, None] * columns.scale
    _member("target", target, ("identity", "banded", "ar1"))
    if target == "identity" or p == 1:
        return np.eye(p)
    if target == "banded":
        fit = _chain.banded(columns, min(1 if bandwidth is None else bandwidth, p - 1), 0.0, loo=False)
        return fit.factor().toarray() / columns.scale[:, None] * columns.scale
    Z = columns.standardised()
    lagged = np.einsum("ij,ij->", Z[:, 1:], Z[:, :-1]) / np.einsum("ij,ij->", Z[:, :-1], Z[:, :-1])
    return np.eye(p) - lagged * np.eye(p, k=-1)


def _shrunk(columns: Columns, share: float, target: Any, bandwidth: int | None) -> Innovations:
    """T = (1 - share) T_ols + share T_0; its leave-one-out residuals mix those of both."""
    parts = _chain.dense_regressions(columns, 0.0)
    if parts is None:
        raise ValueError('penalty="shrink" needs columns that no others determine; use penalty="l2".')
    T0 = _target(columns, target, bandwidth)
    Z = columns.standardised()
    E0 = T0 @ Z.T
    rest = np.maximum(1.0 - columns.intercept - parts.leverages, _chain.LEVERAGE_FLOOR)
    T = (1.0 - share) * parts.T + share * T0
    E = (1.0 - share) * parts.residuals + share * E0
    left_out = (1.0 - share) * parts.residuals / rest + share * E0 / (1.0 - columns.intercept)
    return _chain.from_factor(
        columns,
        T,
        rss=np.einsum("ij,ij->i", E, E),
        dof=(1.0 - share) * parts.leverages.sum(axis=1),
        loo=(left_out**2).mean(axis=1),
    )


def mean_of_factors(fits: list[tuple[np.ndarray, Innovations]], variances: list[FloatArray]) -> Structure:
    """Kang & Deng: T and D of every order, brought back to the columns' own order and averaged; dense."""
    p = fits[0][0].size
    T, var = np.zeros((p, p)), np.zeros(p)
    for (order, fit), own in zip(fits, variances, strict=True):
        factor = fit.factor()
        dense = factor.toarray() if sparse.issparse(factor) else factor
        T[np.ix_(order, order)] += dense / len(fits)
        var[order] += own / len(fits)
    root = T / np.sqrt(var)[:, None]  # precision = root' root: positive definite while T is nonsingular
    upper = np.asarray(np.linalg.qr(root[:, ::-1], mode="r"))
    R = upper[::-1, ::-1]  # lower triangular with R'R the same precision
    return Triangular(np.ascontiguousarray(R), inverse=False)
