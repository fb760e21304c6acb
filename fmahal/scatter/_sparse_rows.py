"""Sparse Cholesky factors of a precision matrix: the row problems behind the penalties of `ModifiedCholesky`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._kernels import hierarchy as _hierarchy
from .._kernels import lasso as _lasso
from .._kernels import nested as _nested
from .._validation import readonly

GRAM_LIMIT = 2000  # variables up to which one Gram matrix serves all rows
BLOCK = 1 << 23  # coefficients held dense at a time before they are stored sparse


class LassoRows(NamedTuple):
    """Lasso regressions of every variable on its predecessors, at every alpha.

    Attributes
    ----------
    alphas : ndarray of shape (n_alphas,)
    coef : list of csr_array of shape (p, p)
        Strictly lower triangle of coefficients phi_jk, one array an alpha; T = I - coef.
    var : ndarray of shape (n_alphas, p)
        Mean squared training residual RSS_j / n, correct to about 1e-16 of the mean square of variable j.
    kkt : ndarray of shape (n_alphas, p)
        Largest violation of the optimality conditions, over sqrt(G_jj max_k G_kk) (one on standardised data).
    n_iter : ndarray of shape (n_alphas, p)
        Passes of coordinate descent.
    converged : ndarray of shape (n_alphas,)
        Whether every row reached `tol`.
    """

    alphas: np.ndarray
    coef: list[sparse.csr_array]
    var: np.ndarray
    kkt: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray


class CholeskyFactor(NamedTuple):
    """Lower triangular L of the precision matrix L'L, with what the solver reached.

    Attributes
    ----------
    factor : ndarray of shape (p, p)
    objective : float
    kkt : ndarray of shape (p,)
        Largest violation of the optimality conditions of each row, over sqrt(max_k S_kk).
    n_iter : ndarray of shape (p,)
    converged : bool
    """

    factor: np.ndarray
    objective: float
    kkt: np.ndarray
    n_iter: np.ndarray
    converged: bool


def lasso_rows(
    Z: np.ndarray,
    alphas: np.ndarray,
    *,
    tol: float = 1e-9,
    max_iter: int = 10_000,
    weights: np.ndarray | None = None,
) -> LassoRows:
    """Regress every variable on its predecessors with an l1 penalty, along a path of alphas.

    phi_j = argmin |x_j - X_{<j} phi|^2 / (2n) + alpha |phi|_1 for every j and alpha: the regressions of the sparse
    modified Cholesky factor [1]_, with scikit-learn's objective and its meaning of alpha.

    Parameters
    ----------
    Z : ndarray of shape (n, p), float64, C-contiguous
        Centred rows, usually standardised; columns in the order of the factor.
    alphas : array_like of shape (n_alphas,)
        Penalties, in any order; solved from the largest down, each from the solution before it.
    tol : float, default=1e-9
        Violation of the optimality conditions allowed, relative to sqrt(G_jj max_k G_kk), G = Z'Z/n. It is checked
        over all predecessors, not only those in use.
    max_iter : int, default=10000
        Passes of coordinate descent a row and alpha.
    weights : ndarray of shape (n,), optional
        Weights of the rows of `Z`; sums of squares become weighted, n their total.

    Returns
    -------
    LassoRows
        Results in the order of `alphas`. Check `converged`.

    Notes
    -----
    Coordinate descent on a working set proposes signs; the linear system on the coefficients in use is then solved, up
    to the first change of sign, so that correlated variables cost no thousands of passes; dependent ones leave along
    a direction that does not change the fit, so that no more than the rank of Z are in use. Up to 2000 variables (or
    n) all rows share one Gram matrix; beyond, products are taken from the columns and memory stays O(n p).

    Time O(n p^2) for the Gram matrix, then O(a j) a round and row for gradients and O(a^3) for systems, with a
    coefficients in use; memory O(p^2) or O(n p), plus O(64 a^2) and the sparse results. Where p > n, alpha = 0 has
    no unique minimum and may not converge.

    References
    ----------
    .. [1] Huang, Liu, Pourahmadi & Liu (2006), Covariance matrix selection and estimation via penalised normal
       likelihood. Biometrika 93:85-98. :doi:`10.1093/biomet/93.1.85`.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.scatter._sparse_rows import lasso_rows
    >>> Z = np.random.default_rng(0).standard_normal((200, 4))
    >>> Z[:, 1] = 0.8 * Z[:, 0] + 0.6 * Z[:, 1]
    >>> rows = lasso_rows(Z, [0.2])
    >>> bool(rows.converged.all()), rows.coef[0].nnz
    (True, 1)
    """
    alphas = np.asarray(alphas, dtype=float)
    if alphas.ndim != 1 or alphas.size == 0 or not (np.isfinite(alphas).all() and (alphas >= 0).all()):
        raise ValueError(f"alphas must be a non-empty vector of finite numbers >= 0, got {alphas!r}.")
    if weights is not None:
        weights = np.asarray(weights, dtype=float)
        Z = Z * np.sqrt(weights * (len(Z) / weights.sum()))[:, None]
    n, p = Z.shape
    shared = p <= max(GRAM_LIMIT, n)
    data = Z.T @ Z / n if shared else np.ascontiguousarray(Z.T)
    squares = np.diagonal(data) if shared else np.einsum("ij,ij->j", Z, Z) / n
    largest = np.concatenate([[0.0], np.maximum.accumulate(squares)[:-1]])
    units = np.column_stack([np.sqrt(squares * largest), np.sqrt(squares)])
    down = np.argsort(-alphas, kind="stable")
    coef, _, var, kkt, n_iter = _blocks(data, shared, alphas[down], False, units, tol, max_iter)
    kkt = kkt / np.where(units[:, 0] > 0.0, units[:, 0], 1.0)
    back = np.argsort(down)
    return LassoRows(
        alphas, [coef[k] for k in back], var[back], kkt[back], n_iter[back], (kkt[back] <= tol).all(axis=1)
    )


class NestedRows(NamedTuple):
    """Nested-lasso regressions of every variable on its predecessors.

    Attributes
    ----------
    coef : csr_array of shape (p, p)
        Strictly lower triangle of coefficients phi_jk; the nonzeros of a row end at the diagonal without a gap.
    var : ndarray of shape (p,)
        Mean squared training residual RSS_j / n.
    kkt : ndarray of shape (p,)
        Relative l1 change of the last iteration: there is no other measure of optimality.
    n_iter : ndarray of shape (p,)
    converged : bool
        Whether every row came to `tol`.
    """

    coef: sparse.csr_array
    var: np.ndarray
    kkt: np.ndarray
    n_iter: np.ndarray
    converged: bool


def nested_rows(Z: np.ndarray, alpha: float, *, tol: float = 1e-4, max_iter: int = 200) -> NestedRows:
    """Regress every variable on its predecessors with the nested lasso: a bandwidth of its own in every row.

    |x_j - X_{<j} phi|^2 / (2n) + alpha ( |phi_{j-1}|/|phi*| + |phi_{j-2}|/|phi_{j-1}| + ... + |phi_1|/|phi_2| ), with
    phi* the slope of x_j on x_{j-1} alone and 0/0 = 0: once a coefficient is zero all farther ones are [1]_.

    Parameters
    ----------
    Z : ndarray of shape (n, p), float64, C-contiguous
        Centred rows, usually standardised; columns in the order of the factor.
    alpha : float
        Penalty > 0.
    tol : float, default=1e-4
        Relative l1 change of a row at which it stops.
    max_iter : int, default=200
        Iterations a row.

    Returns
    -------
    NestedRows

    Notes
    -----
    The criterion is not convex, and [1]_ solves it by local quadratic iteration, which this follows: from the marginal
    slopes, each ridge step takes the weights alpha / |phi_t phi_{t+1}| (t + 1 the next nearer) from the iterate
    before, and cuts the row at the first coefficient below 1e-10 in standard deviations. A fixed point satisfies
    g - G phi = alpha sign(phi_t) / |phi_{t+1}| at the coefficients in use, in which the denominators count as
    constants; it is not in general a stationary point of the whole criterion.

    Time O(n p^2), then O(k^3 / 6) an iteration of a row with k coefficients left, all j at first: meant for p up to a
    few hundred. Memory O(p^2).

    References
    ----------
    .. [1] Levina, Rothman & Zhu (2008), Sparse estimation of large covariance matrices via a nested lasso penalty.
       Annals of Applied Statistics 2:245-263. :doi:`10.1214/07-AOAS139`.
    """
    if not (np.isfinite(alpha) and alpha > 0):
        raise ValueError(
            f"alpha must be a finite number > 0, got {alpha!r}; use a banded fit for no penalty."
        )
    n, p = Z.shape
    coef, var, change = np.zeros((p, p)), np.zeros(p), np.zeros(p)
    n_iter, solved = np.zeros(p, dtype=np.int64), np.zeros(p, dtype=bool)
    gram = readonly(Z.T @ Z / n)
    _nested.nested_rows(gram, float(alpha), tol, max_iter, coef, var, change, n_iter, solved)
    done = bool((solved & (change <= tol)).all())
    return NestedRows(sparse.csr_array(coef), var, change, n_iter, done)


def _blocks(data, shared, alphas, free, units, tol, max_iter):
    """Run the kernel on blocks of rows that fit a dense buffer; store the coefficients sparse, one array an alpha."""
    p, steps = data.shape[0], alphas.size
    data, units = readonly(data), readonly(units)  # the types that the warm-up compiles
    x, rss, kkt = (np.empty((p, steps)) for _ in range(3))
    passes = np.empty((p, steps), dtype=np.int64)
    parts: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in range(steps)]
    first = 0
    while first < p:
        last = first + 1
        while last < p and (last + 1 - first) * (last + 1) * steps <= BLOCK:
            last += 1
        coef = np.zeros((last - first, steps, last))
        here = slice(first, last)
        _lasso.l1_rows(
            data,
            shared,
            first,
            alphas,
            free,
            units[here],
            tol,
            max_iter,
            coef,
            x[here],
            rss[here],
            kkt[here],
            passes[here],
        )
        row, step, column = np.nonzero(coef)
        values = coef[row, step, column]
        for k in range(steps):
            mine = step == k
            parts[k].append((first + row[mine], column[mine], values[mine]))
        first = last
    return [_join(blocks, p) for blocks in parts], x.T, rss.T, kkt.T, passes.T


def _join(blocks, p):
    """One csr_array of the blocks' entries, which come sorted by row and column."""
    row, column, values = (np.concatenate(pieces) for pieces in zip(*blocks))
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=p))])
    return sparse.csr_array((values, column, starts), shape=(p, p))


def cscs_factor(S: np.ndarray, alpha: float, *, tol: float = 1e-9, max_iter: int = 10_000) -> CholeskyFactor:
    """Sparse Cholesky factor of a precision matrix by the jointly convex l1 criterion.

    min over lower triangular L with positive diagonal of

        tr(L S L') - 2 sum_i log L_ii + alpha sum_{k<i} |L_ik|,

    the convex sparse Cholesky selection of Khare et al. [1]_. Rows separate.

    Parameters
    ----------
    S : ndarray of shape (p, p), float64
        Covariance of the variables in order, with a positive diagonal; usually a correlation matrix.
    alpha : float
        Penalty >= 0. With alpha = 0 and a singular S there is no minimum.
    tol : float, default=1e-9
        Violation of the optimality conditions allowed, relative to sqrt(max_k S_kk).
    max_iter : int, default=10000
        Passes of coordinate descent a row.

    Returns
    -------
    CholeskyFactor
        Check `converged`; `unit_factor` brings it to (T, var).

    Notes
    -----
    The solver of `lasso_rows`, with L_ii as one more coordinate. O(p a j) a row and round with a nonzeros a row, plus
    O(a^3) for the final linear systems; memory O(p^2).

    References
    ----------
    .. [1] Khare, Oh, Rahman & Rajaratnam (2019), A scalable sparse Cholesky based approach for learning
       high-dimensional covariance matrices in ordered data. Machine Learning 108:2061-2086.
       :doi:`10.1007/s10994-019-05810-5`.
    """
    S = _check_problem(S, alpha)
    p = S.shape[0]
    scale = np.sqrt(np.maximum.accumulate(np.diagonal(S)))
    units = np.column_stack([scale / 2.0, np.full(p, 0.5)])
    half = np.array([alpha / 2.0])
    coef, x, _, kkt, n_iter = _blocks(S, True, half, True, units, tol, max_iter)
    L = coef[0].toarray()
    np.fill_diagonal(L, x[0])
    kkt = 2.0 * kkt[0] / scale
    value = _loss(L, S) + alpha * (np.abs(L).sum() - L.trace())
    return CholeskyFactor(L, value, kkt, n_iter[0], bool((kkt <= tol).all()))


def hierarchical_factor(
    S: np.ndarray, alpha: float, *, weighted: bool = False, tol: float = 1e-9, max_iter: int = 2_000
) -> CholeskyFactor:
    """Cholesky factor of a precision matrix with a bandwidth of its own in every row.

    min over lower triangular L with positive diagonal of

        tr(L S L') - 2 sum_i log L_ii + alpha sum_i sum_{l<i} ( sum_{m<=l} w_{l-m}^2 L_im^2 )^{1/2},

    the local dependence model of Yu & Bien [1]_: nested groups that begin at the farthest predecessor, so that the
    zeros of a row are its first entries. w_d = 1, or (1 + d)^-2 when `weighted`, which shrinks less.

    Parameters
    ----------
    S : ndarray of shape (p, p), float64
        Covariance of the variables in order, with a positive diagonal; usually a correlation matrix.
    alpha : float
        Penalty >= 0. With alpha = 0 and a singular S there is no minimum.
    weighted : bool, default=False
    tol : float, default=1e-9
        Violation of the optimality conditions allowed, relative to sqrt(max_k S_kk): the step of the proximal gradient
        map over its length, or the subgradient of least bound found.
    max_iter : int, default=2000
        Proximal steps and steps of the path, a row; Newton steps on a given support come on top.

    Returns
    -------
    CholeskyFactor
        Check `converged`; `unit_factor` brings it to (T, var).

    Notes
    -----
    Without weights the proximal map of the nested groups is one pass of group shrinkage, as in [1]_: proximal gradient
    steps find the first nonzero of a row, Newton steps on the smooth rest the values. With weights that pass is not
    exact; Newton steps on smoothed norms, primal and dual together, follow the smoothing to zero (some 40 steps),
    as they do without weights for a row that has not come to rest after 300 proximal steps. Every row is then solved
    on its support and checked against dual vectors inside their balls.

    O(r k) a proximal step of row r with k nonzeros and O(k^3) a Newton step; O(r^3) a step of the path, hence
    O(p^4) in all with weights: meant for p up to a few hundred. Memory O(p^2), and O(p^2) a thread.

    References
    ----------
    .. [1] Yu & Bien (2017), Learning local dependence in ordered data. Journal of Machine Learning Research 18.
       arXiv:1604.07451.
    """
    S = _check_problem(S, alpha)
    p = S.shape[0]
    scale = np.sqrt(np.maximum.accumulate(np.diagonal(S)))
    w = (1.0 + np.arange(p)) ** (-2.0 if weighted else 0.0)
    L, kkt, n_iter = np.zeros((p, p)), np.zeros(p), np.zeros(p, dtype=np.int64)
    bound = float(np.linalg.norm(S, 2))
    fixed = readonly(S), float(alpha), readonly(w), bool(weighted), bound, readonly(scale)
    _hierarchy.hierarchical_rows(*fixed, tol, max_iter, L, kkt, n_iter)
    penalty = 0.0
    for i in range(1, p):
        squares = L[i, :i] ** 2
        groups = np.convolve(squares, w[:i] ** 2)[:i] if weighted else np.cumsum(squares)
        penalty += np.sqrt(groups).sum()
    return CholeskyFactor(L, _loss(L, S) + alpha * penalty, kkt, n_iter, bool((kkt <= tol).all()))


def unit_factor(L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return T = diag(1/L_ii) L, unit lower triangular, and var = 1/L_ii^2: T' diag(1/var) T = L'L."""
    diagonal = np.diagonal(L)
    return L / diagonal[:, None], 1.0 / diagonal**2


def _check_problem(S, alpha):
    S = np.ascontiguousarray(S, dtype=float)
    if not (np.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be a finite number >= 0, got {alpha!r}.")
    flat = np.flatnonzero(~(np.diagonal(S) > 0))
    if flat.size:
        raise ValueError(
            f"Variable {flat[0]} has variance {S[flat[0], flat[0]]:g}; its row of the factor has no minimum. "
            "Drop constant columns, or give them a variance floor."
        )
    return S


def _loss(L, S):
    return float(np.einsum("ij,ij->", L @ S, L) - 2.0 * np.log(np.diagonal(L)).sum())
