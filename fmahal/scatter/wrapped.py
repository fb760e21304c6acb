"""The covariance of wrapped data: robust against outlying cells and rows, at the price of the classical one."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np

from .._kernels.wrapping import wrap_cells, wrap_rows
from .._registry import scatters
from .._structures import Spectral
from .._typing import ArrayLike, FloatArray
from .._validation import readonly
from ..whitener import Whitener
from ._flat import flat_columns, warn_flat
from ._moments import DualMoments, PrimalMoments, Route, column_scale, second_moments
from .base import BaseScatter
from .shrinkage import LedoitWolf

_VARIANCE = 0.7532528310468226  # of psi(z) for standard normal z


@scatters.register("wrapped", "Covariance of wrapped data, robust, any dimension", order=90)
class WrappedCovariance(BaseScatter):
    r"""Covariance of data whose outlying cells are drawn in by the wrapping function of Raymaekers and Rousseeuw.

    .. math:: x^*_{ij} = m_j + s_j\, \psi\!\left(\frac{x_{ij} - m_j}{s_j}\right), \quad
       \psi(z) = \begin{cases} z & |z| \le b \\ q_1 \tanh(q_2 (c - |z|)) \operatorname{sign}(z) & b < |z| < c \\
       0 & |z| \ge c \end{cases}, \quad
       \Sigma = k\, D \bigl((1 - t) R + t I\bigr) D

    with b = 1.5, c = 4, :math:`q_1 = 1.540793`, :math:`q_2 = 0.8622731`, the correlations R and standard deviations D
    of the wrapped columns, and robust :math:`m_j` and :math:`s_j`.

    Parameters
    ----------
    shrinkage : "auto" or float, default="auto"
        t, the share of the identity in the correlation matrix, between 0 and 1. "auto" is 0 for n > p, where the
        result is the covariance of the wrapped rows, and the intensity of Ledoit and Wolf for the standardised wrapped
        rows otherwise: the matrix is positive definite for any number of columns.
    correction : {"asymptotic"} or None, default="asymptotic"
        The factor k that makes the variances consistent at the normal, 1.3276, one over the variance of a wrapped
        standard normal variable. None is k = 1.
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The mean of the wrapped rows.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, in squared units; formed on first use when p > n.
    column_location_, column_scale_ : ndarray of shape (n_features,)
        The :math:`m_j` and :math:`s_j`.
    shrinkage_ : float
        The t in use.
    factor_ : float
        The k in use.
    d2_, dist_ : ndarray of shape (n_samples,)
        Squared distances of the training rows, as they are, not wrapped.
    precision_ : ndarray of shape (n_features, n_features) or None
        Inverse of `covariance_`, formed on first use; None if not `store_precision`.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        Dimension of the subspace on which distances are defined.
    n_samples_ : int
        Rows seen.
    ddof_ : int
        0: the divisor is n.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN, infinity, text, fewer than two rows or a parameter out of range.

    Warns
    -----
    ExactFitWarning
        When the scale of a column is 0, as half of its values are equal. All its cells are then wrapped to that value:
        without shrinkage distances ignore the column, and `residual` measures what lies off it.
    RankDeficientWarning
        When the wrapped rows span fewer dimensions than there are columns and nothing is added.

    See Also
    --------
    robust_scale, robust_location : locations and scales of columns.
    OGK : pairwise robust scales; p^2 of them.

    Notes
    -----
    :math:`m_j` and :math:`s_j` start from the :math:`h = \lfloor n/2 \rfloor` neighbouring values of least variance
    (the univariate MCD; one more for n < 12), with mean :math:`\mu`, and the distance r from it within which h values
    lie. The values within 3.3231 r n / (n - 3) of :math:`\mu` have the mean :math:`m^0` and the standard deviation
    :math:`s^0` (divisor their number less 1); :math:`s = 1.0835\, s^0 n / (n - 1.4)`; and
    :math:`m = \sum w_i x_i / \sum w_i` with :math:`w = \psi(z) / z` at :math:`z = (x - m^0) / s`. These are the
    numbers of R's cellWise; with fewer than 20 rows or so they say little.

    O(n p log n) time for the columns, then O(n p^2 + p^3), or O(n^2 p + n^3) for p > n, where no p x p array is formed.
    Two more arrays of the size of `X`. Deterministic. Equivariant under translations, permutations of columns and a
    unit for each. Wrapping each column bounds the effect of any cell, but rows that are outlying only by their
    combination of ordinary values count in full; and the correlations of wrapped normal variables are a little
    smaller than those of the variables.

    References
    ----------
    .. [1] Raymaekers, J. and Rousseeuw, P. J. (2021). Fast robust correlation for high-dimensional data.
       Technometrics 63, 184-198. :doi:`10.1080/00401706.2019.1677270`
    .. [2] Ledoit, O. and Wolf, M. (2004). A well-conditioned estimator for large-dimensional covariance
       matrices. Journal of Multivariate Analysis 88, 365-411. :doi:`10.1016/S0047-259X(03)00096-4`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import WrappedCovariance
    >>> X = np.random.default_rng(0).normal(size=(40, 1000))
    >>> X[:4, 500:] += 30.0
    >>> scatter = WrappedCovariance().fit(X)
    >>> d2 = scatter.mahalanobis(X)
    >>> bool(d2[:4].min() > 10 * d2[4:].max()), scatter.rank_
    (True, 1000)
    """

    robust: ClassVar[bool] = True
    regularized: ClassVar[bool] = True
    equivariances: ClassVar[frozenset[str]] = frozenset({"translation", "permutation", "scale", "columns"})
    scatter_kind: ClassVar[str] = "wrapped"
    _route: Route = None  # tests force one

    def __init__(
        self,
        *,
        shrinkage: Literal["auto"] | float = "auto",
        correction: Literal["asymptotic"] | None = "asymptotic",
        store_precision: bool = True,
    ):
        self.shrinkage = shrinkage
        self.correction = correction
        self.store_precision = store_precision

    def fit(self, X: ArrayLike, y: Any = None) -> WrappedCovariance:
        """Wrap the columns and take their covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : WrappedCovariance
            The fitted estimator.
        """
        self._check_parameters()
        rows = self._training_rows(X)
        n, p = rows.shape
        columns = readonly(np.ascontiguousarray(rows.T, dtype=np.float64))
        self.column_location_, self.column_scale_ = np.empty(p), np.empty(p)
        wrap_rows(columns, self.column_location_, self.column_scale_)
        flat = flat_columns(self.column_location_, self.column_scale_)
        self.column_scale_[flat] = 0.0
        wrapped = np.empty((p, n))
        wrap_cells(columns, readonly(self.column_location_), readonly(self.column_scale_), wrapped)
        del columns
        location, sd = _standardise(wrapped, self.column_location_, self.column_scale_)
        moments = second_moments(np.ascontiguousarray(wrapped.T), centred=True, route=self._route)
        del wrapped
        self._finish(location, sd, moments)
        self.d2_ = self.dist_ = self._distances(rows)
        inside = (rows[:, flat] == self.column_location_[flat].astype(rows.dtype)).all(axis=1)
        warn_flat(self, flat, inside, bool(flat.any()), moments, n)
        return self

    def _check_parameters(self) -> None:
        self._check_flags("store_precision")
        shrinkage = self.shrinkage
        if shrinkage != "auto" and not (
            isinstance(shrinkage, Real) and not isinstance(shrinkage, bool) and 0 <= shrinkage <= 1
        ):
            raise ValueError(f'shrinkage must be "auto" or a number between 0 and 1, got {shrinkage!r}.')
        if self.correction not in ("asymptotic", None):
            raise ValueError(f'correction must be "asymptotic" or None, got {self.correction!r}.')

    def _finish(self, location: FloatArray, sd: FloatArray, moments: PrimalMoments | DualMoments) -> None:
        """Store the whitener of k D ((1 - t) R + t I) D, where `moments` are those of the standardised columns."""
        n, p = moments.n, moments.p
        self.factor_ = 1.0 / _VARIANCE if self.correction else 1.0
        if self.shrinkage == "auto":
            self.shrinkage_ = 0.0 if n > p else LedoitWolf()._intensity(moments)
        else:
            self.shrinkage_ = float(self.shrinkage)
        scale = np.sqrt(self.factor_) * column_scale(sd, location, sd == 0)
        tolerance = moments.tolerance if self.shrinkage_ == 0 else None
        whitener, correlation = moments.whitener(1.0 - self.shrinkage_, self.shrinkage_)
        if correlation is None:
            structure = whitener._structure
            assert isinstance(structure, Spectral)
            inner = 1.0 if structure.scale is None else structure.scale
            self._store(location, Whitener(replace(structure, scale=inner * scale)), n)
            return
        covariance = correlation * np.outer(scale, scale)
        units = scale * np.sqrt(np.where(np.diagonal(correlation) > 0, np.diagonal(correlation), 1.0))
        whitener = Whitener.from_covariance(covariance, n_samples=n, scale=units, rtol=tolerance)
        self._store(location, whitener, n, covariance=covariance)


def _standardise(
    wrapped: FloatArray, location: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Centre wrapped columns, (p, n), and divide them by their standard deviations, in place; return both."""
    wrapped -= location[:, None]  # first by a value nearby: what follows is free of the offset's rounding
    shift = wrapped.mean(axis=1)
    shift[scale == 0] = 0.0
    wrapped -= shift[:, None]
    sd = np.sqrt(np.einsum("ij,ij->i", wrapped, wrapped) / wrapped.shape[1])
    wrapped /= np.where(sd > 0, sd, 1.0)[:, None]
    return location + shift, sd
