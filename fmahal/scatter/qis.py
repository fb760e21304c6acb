"""Quadratic-inverse shrinkage: an own amount of shrinkage for each eigenvalue."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .._registry import scatters
from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray
from ._moments import Route, second_moments
from .base import BaseScatter


def _smoothed(inverse: FloatArray, h: float, limits: int) -> tuple[FloatArray, FloatArray]:
    r"""Return the smoothed Stein shrinker theta and its conjugate at each inverse eigenvalue.

    ``limits`` inverse eigenvalues more are infinite; each of them adds the limit of its term.
    """
    m = inverse.size + limits
    theta, conjugate = np.empty_like(inverse), np.empty_like(inverse)
    width2 = (h * inverse) ** 2
    for rows in row_blocks(inverse.size, inverse.size):
        gap = inverse - inverse[rows, None]
        weight = inverse / (gap**2 + width2)
        theta[rows] = (weight * gap).sum(axis=1)
        conjugate[rows] = h * (weight @ inverse)
    theta += limits / (1.0 + h * h)
    conjugate += limits * h / (1.0 + h * h)
    return theta / m, conjugate / m


def qis_eigenvalues(values: FloatArray, p: int, n: int, rtol: float) -> tuple[FloatArray, float]:
    r"""Shrink sample eigenvalues by the quadratic-inverse formula.

    Parameters
    ----------
    values : ndarray of shape (k,)
        Largest eigenvalues of the sample covariance, descending, k >= min(p, n); the others are zero.
    p : int
        Columns.
    n : int
        Degrees of freedom: rows, less one when the mean was estimated.
    rtol : float
        Share of the largest eigenvalue below which one counts as zero.

    Returns
    -------
    shrunk : ndarray of shape (m,)
        The leading eigenvalues, in the order of `values`; not necessarily monotone. m = min(p, n) less the
        vanishing ones.
    rest : float
        The common value of the remaining p - m.

    Notes
    -----
    With l_i = 1/lambda_i, c = p/n, h = min(c^2, c^-2)^0.35 / p^0.35 and means over the non-null j:

        theta_i = mean_j l_j (l_j - l_i) / ((l_j - l_i)^2 + h^2 l_j^2)
        H_i     = mean_j h l_j^2 / ((l_j - l_i)^2 + h^2 l_j^2),    A_i^2 = theta_i^2 + H_i^2
        p <= n: 1/d_i = (1 - c)^2 l_i + 2 c (1 - c) l_i theta_i + c^2 l_i A_i^2
        p > n:  1/d_i = l_i A_i^2, and 1/rest = (c - 1) mean_j l_j

    then all are multiplied by one number that restores the trace. O(m^2) time.

    Vanishing eigenvalues: for p <= n they stay zero, the limit of the formula as they vanish; for p > n they
    say that rows repeat, and their number is taken off n.
    """
    values = values[: min(p, n)]
    if values.size == 0 or values[0] <= 0:
        return np.zeros(0), 0.0
    positive = values[values > rtol * values[0]]
    vanishing = values.size - positive.size
    if p > n:
        n, vanishing = n - vanishing, 0
    c = p / n
    h = min(c * c, 1.0 / (c * c)) ** 0.35 / p**0.35
    unit = positive[0]
    inverse = unit / positive
    theta, conjugate = _smoothed(inverse, h, vanishing)
    amplitude2 = theta**2 + conjugate**2
    if p <= n:
        shrunk = 1.0 / (inverse * ((1.0 - c) ** 2 + 2.0 * c * (1.0 - c) * theta + c * c * amplitude2))
        rest = 0.0
    else:
        shrunk = 1.0 / (inverse * amplitude2)
        rest = 1.0 / ((c - 1.0) * float(inverse.mean()))
    outside = p - shrunk.size
    factor = float(positive.sum()) / (float(shrunk.sum()) + outside * rest)
    return shrunk * factor, rest * factor


@scatters.register("qis", "Nonlinear quadratic-inverse shrinkage of Ledoit and Wolf (2022)", order=40)
class QIS(BaseScatter):
    r"""Covariance with eigenvalues shrunk one by one, by the quadratic-inverse formula.

    .. math:: \Sigma = V \operatorname{diag}(d_1, \dots, d_p) V^\top, \qquad S = V \operatorname{diag}(\lambda) V^\top

    where each :math:`1/d_i` is a quadratic function of a smoothed Stein shrinker of the inverse sample
    eigenvalues. It is optimal, for p and n large, under the Frobenius loss, the inverse Stein loss (the loss of
    the precision matrix, which Mahalanobis distances depend on) and the minimum variance loss [1]_.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.
    assume_centered : bool, default=False
        Whether the location is known to be zero; the mean is then not estimated.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The mean, or zeros.
    eigenvalues_ : ndarray of shape (n_features,)
        Shrunk eigenvalues, in the ascending order of the sample eigenvalues; their sum is the trace of the
        sample covariance of divisor n - 1 (n if `assume_centered`).
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, in squared units; formed on first use when p > n.
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse, formed on first use; None if not `store_precision`.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        n_features, unless columns are constant or dependent and p < n.
    n_samples_ : int
        Rows seen.
    ddof_ : int
        1, or 0 if `assume_centered`: the formulas are stated for the unbiased sample covariance.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN, infinity, text or fewer than two rows.

    Warns
    -----
    RankDeficientWarning
        When p < n and columns are constant or dependent, or nothing varies.

    See Also
    --------
    LedoitWolf, OAS : one amount of shrinkage for all eigenvalues.

    Notes
    -----
    For p > n everything comes from the n x n Gram matrix: O(n^2 p + n^3) time and two more arrays of the size of
    `X`; no p x p array. For p <= n, O(n p^2 + p^3) time and O(p^2) memory. Not equivariant under a change of unit
    of single columns: give columns comparable units first. Eigenvalues below ``max(n, p) * eps`` times the
    largest count as zero; see the source of `qis_eigenvalues` for what they then mean. Where the rank is less than p,
    `residual` is in units of the root of the largest sample eigenvalue, and for constant columns of their own size.

    References
    ----------
    .. [1] Ledoit, O. and Wolf, M. (2022). Quadratic shrinkage for large covariance matrices. Bernoulli 28,
       1519-1547. :doi:`10.3150/20-BEJ1315`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import QIS
    >>> X = np.random.default_rng(0).normal(size=(30, 100))
    >>> scatter = QIS().fit(X)
    >>> scatter.rank_, scatter.eigenvalues_.min() > 0
    (100, np.True_)
    """

    regularized: ClassVar[bool] = True
    equivariances: ClassVar[frozenset[str]] = frozenset({"translation", "permutation", "orthogonal", "scale"})
    scatter_kind: ClassVar[str] = "qis"
    _route: Route = None  # tests force one

    eigenvalues_: FloatArray

    def __init__(self, *, store_precision: bool = True, assume_centered: bool = False):
        self.store_precision = store_precision
        self.assume_centered = assume_centered

    def fit(self, X: ArrayLike, y: Any = None) -> QIS:
        """Estimate location, eigenvalues and covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : QIS
            The fitted estimator.
        """
        self._fit_rows(X)
        return self

    def _fit_rows(self, X: ArrayLike) -> None:
        self._check_flags("store_precision", "assume_centered")
        rows = self._training_rows(X)
        moments = second_moments(rows, centred=not self.assume_centered, route=self._route)
        ddof = 1 if moments.centred else 0
        freedom = moments.n - ddof
        unbiased = moments.n / freedom
        shrunk, rest = qis_eigenvalues(
            unbiased * moments.eigenvalues(), moments.p, freedom, moments.tolerance
        )
        self.eigenvalues_ = np.concatenate([np.full(moments.p - shrunk.size, rest), shrunk[::-1]])
        whitener, covariance = moments.from_spectrum(shrunk, rest)
        self._store(moments.location, whitener, moments.n, covariance=covariance, ddof=ddof)
        self._warn_rank(moments)
