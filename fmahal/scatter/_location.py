"""Locations that are not the mean."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import qr
from sklearn.exceptions import ConvergenceWarning

from .._typing import FloatArray

EPS = float(np.finfo(np.float64).eps)
_COINCIDES = 1e-14  # distance to a data point, in units of the spread, at which the iterate is that point


def spatial_median(X: FloatArray, *, tol: float = 1e-10, max_iter: int = 500) -> FloatArray:
    r"""Return the spatial (geometric) median, the point of least total distance to the rows.

    .. math:: m = \arg\min_y f(y), \qquad f(y) = \sum_i \lVert x_i - y \rVert

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Finite rows, in comparable units.
    tol : float, default=1e-10
        Bound on the optimality residual :math:`\lVert \sum_i u_i \rVert / n` of the unit vectors from the median to
        the rows, less the share of the rows that coincide with it. It has no units.
    max_iter : int, default=500
        Bound on the number of steps.

    Returns
    -------
    median : ndarray of shape (p,)
        The median; for rows on a line, where it need not be unique, the middle of the medians.

    Warns
    -----
    ConvergenceWarning
        When `max_iter` steps do not reach `tol`.

    Notes
    -----
    Weiszfeld steps with the correction of Vardi and Zhang at data points [1]_, replaced by a Newton step wherever
    that lowers f further. O(n p min(n, p)) time per step; for p > n in the coordinates of the rows' span.
    Translation, orthogonal and scale equivariant; breakdown value 1/2.

    References
    ----------
    .. [1] Vardi, Y. and Zhang, C.-H. (2000). The multivariate L1-median and associated data depth. Proceedings of
       the National Academy of Sciences 97, 1423-1426. :doi:`10.1073/pnas.97.4.1423`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.scatter import spatial_median
    >>> spatial_median(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 1.0], [90.0, 90.0]])).round(6)
    array([1., 1.])
    """
    rows = np.asarray(X, dtype=np.float64)
    n, p = rows.shape
    origin = np.median(rows, axis=0)
    if n == 1 or p == 1:
        return origin
    centred = rows - origin
    spread = float(np.median(np.linalg.norm(centred, axis=1))) or float(np.abs(centred).max())
    if spread == 0:
        return origin
    centred /= spread
    if p <= n:
        return origin + spread * _solve(centred, tol, max_iter)
    basis, triangle = qr(centred.T, mode="economic", check_finite=False)
    return origin + spread * (basis @ _solve(np.ascontiguousarray(triangle.T), tol, max_iter))


def _solve(rows: FloatArray, tol: float, max_iter: int) -> FloatArray:
    """Median of rows of unit spread in at most as many columns as rows."""
    n = rows.shape[0]
    mean = rows.mean(axis=0)
    _, roots, axes = np.linalg.svd(rows - mean, full_matrices=False)
    if roots[1] <= max(rows.shape) * EPS * roots[0]:  # on a line every Newton matrix is singular
        return mean + axes[0] * np.median((rows - mean) @ axes[0])
    y: FloatArray = np.zeros(rows.shape[1])
    residual = np.inf
    for _ in range(max_iter):
        gap = rows - y
        distance = np.linalg.norm(gap, axis=1)
        nearest = rows[int(distance.argmin())]
        pull, at = _pull(rows - nearest)[:2]
        if np.linalg.norm(pull) <= at + tol * n:  # a data point is the median: no sequence need reach it
            return nearest.copy()
        pull, at, weights = _pull(gap)
        residual = max(float(np.linalg.norm(pull)) - at, 0.0) / n
        if residual <= tol:
            return y
        y = _step(rows, y, gap, pull, at, weights, float(distance.sum()))
    warnings.warn(
        f"The spatial median stopped after {max_iter} steps with an optimality residual of {residual:.1e}, above "
        f"tol={tol:.1e}. Raise max_iter or tol, or bring the columns to comparable units.",
        ConvergenceWarning,
        stacklevel=3,
    )
    return y


def _pull(gap: FloatArray) -> tuple[FloatArray, int, FloatArray]:
    """Sum of unit vectors towards the rows, the number of rows that coincide, and inverse distances (0 there)."""
    distance = np.linalg.norm(gap, axis=1)
    away = distance > _COINCIDES
    weights = np.zeros_like(distance)
    weights[away] = 1.0 / distance[away]
    return weights @ gap, int(np.sum(~away)), weights


def _step(
    rows: FloatArray,
    y: FloatArray,
    gap: FloatArray,
    pull: FloatArray,
    at: int,
    weights: FloatArray,
    total: float,
) -> FloatArray:
    """Return the better of a Newton step and the Weiszfeld step, which always descends."""
    size = float(np.linalg.norm(pull))
    weiszfeld = y + (1.0 - at / size) * pull / weights.sum()
    if at:
        return weiszfeld
    scaled = gap * (weights**1.5)[:, None]
    hessian = weights.sum() * np.eye(y.size) - scaled.T @ scaled
    try:
        newton = y + np.linalg.solve(hessian, pull)
    except np.linalg.LinAlgError:
        return weiszfeld
    reached = float(np.linalg.norm(rows - newton, axis=1).sum())
    if not np.isfinite(reached) or reached > total * (1.0 + 4.0 * EPS):
        return weiszfeld
    return newton
