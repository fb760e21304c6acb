"""The sample covariance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from .._registry import scatters
from .._structures import Spectral
from .._typing import ArrayLike, FloatArray
from ..whitener import Whitener
from ._moments import DualMoments, PrimalMoments, Route, primal_moments, second_moments
from .base import BaseScatter


def _applies(n: int, p: int) -> str | None:
    if n <= p:
        return f"needs more rows than columns (n = {n}, p = {p})"
    if n == p + 1:
        return f"needs at least p + 2 rows: p + 1 rows all have the same distance (n = {n}, p = {p})"
    return None


@scatters.register("empirical", "Sample mean and covariance", order=10, applies=_applies)
class EmpiricalCovariance(BaseScatter):
    r"""Sample mean and covariance, with divisor n.

    .. math:: m = \frac1n \sum_i x_i, \qquad \Sigma = \frac1n \sum_i (x_i - m)(x_i - m)^\top

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
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, in squared units; formed on first use when p > n.
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse (on its range when it is singular), formed on first use; None if not `store_precision`.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        Dimension of the subspace on which distances are defined.
    n_samples_ : int
        Rows seen.
    ddof_ : int
        0: the divisor is n, as in scikit-learn.
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
        Once a fit, when the rows span fewer dimensions than there are columns; constant, repeated and
        dependent columns are named (the latter two for up to 400 columns).

    See Also
    --------
    LedoitWolf, OAS, QIS : estimators for many columns.

    Notes
    -----
    O(n p^2 + p^3) time and O(p^2) memory for p <= n, with rows passing in blocks. For p > n, O(n^2 p) time and two
    more arrays of the size of `X`; no p x p array. With p >= n - 1 columns of full rank every training row has the
    same squared distance, n - 1 (n if `assume_centered`).

    A column counts as constant when its standard deviation is below ``32 * eps`` times its mean, and the rank is
    judged on the scale of the correlation matrix: units change no decision. For float32 rows the rounding of their
    entries counts too.

    References
    ----------
    .. [1] Mahalanobis, P. C. (1936). On the generalised distance in statistics. Proceedings of the National
       Institute of Sciences of India 2, 49-55. Reprint: :doi:`10.1007/s13171-019-00164-5`
    .. [2] Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for computing the sample variance.
       The American Statistician 37, 242-247. :doi:`10.1080/00031305.1983.10483115`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance
    >>> X = [[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]
    >>> scatter = EmpiricalCovariance().fit(X)
    >>> scatter.location_.tolist(), scatter.covariance_.tolist()
    ([1.0, 2.0], [[1.0, 0.0], [0.0, 4.0]])
    >>> scatter.mahalanobis([[1.0, 2.0], [3.0, 2.0]])  # squared
    array([0., 4.])
    """

    affine_equivariant: ClassVar[bool] = True
    equivariances: ClassVar[frozenset[str]] = frozenset(
        {"translation", "permutation", "orthogonal", "scale", "columns", "affine"}
    )
    scatter_kind: ClassVar[str] = "empirical"
    _route: Route = None  # tests force one

    def __init__(self, *, store_precision: bool = True, assume_centered: bool = False):
        self.store_precision = store_precision
        self.assume_centered = assume_centered

    def fit(self, X: ArrayLike, y: Any = None) -> EmpiricalCovariance:
        """Estimate location and covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : EmpiricalCovariance
            The fitted estimator.
        """
        rows = self._checked(X)
        self._finish(second_moments(rows, centred=not self.assume_centered, route=self._route), rows)
        return self

    def partial_fit(self, X: ArrayLike, y: Any = None) -> EmpiricalCovariance:
        """Add rows to those seen so far, by `fit` or by earlier calls; `fit` starts again.

        Moments are merged by the updating formula of Chan, Golub and LeVeque, so that the result equals a fit
        to all rows up to rounding.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            More rows; at least two in the first call.
        y : None
            Ignored.

        Returns
        -------
        self : EmpiricalCovariance
            The updated estimator.

        Raises
        ------
        DenseSizeError
            When the p x p covariance, which updates need, does not fit into memory.

        Warns
        -----
        RankDeficientWarning
            As `fit`, in each call after which the rows seen so far lack rank.

        Notes
        -----
        m rows cost O(m p^2 + p^3): pass blocks of at least p rows.
        """
        first = "whitener_" not in self.__dict__
        rows = self._checked(X, min_samples=2 if first else 1, reset=first)
        new = primal_moments(rows, not self.assume_centered)
        if first:
            self._finish(new)
            return self
        n = self.n_samples_ + new.n
        share = new.n / n
        gap = new.location - self.location_
        covariance = (1.0 - share) * self.covariance_ + share * new.covariance
        covariance += share * (1.0 - share) * np.multiply.outer(gap, gap)
        self._finish(PrimalMoments(n, self.location_ + share * gap, covariance, new.centred))
        return self

    def _checked(self, X: ArrayLike, **options: Any) -> FloatArray:
        self._check_flags("store_precision", "assume_centered")
        return self._training_rows(X, **options)

    def _finish(self, moments: PrimalMoments | DualMoments, rows: FloatArray | None = None) -> None:
        whitener, covariance = moments.whitener()
        if rows is not None and isinstance(moments, PrimalMoments):  # the dual route knows what it cut
            whitener = _as_tight_as(rows, moments.location, whitener)
        self._store(moments.location, whitener, moments.n, covariance=covariance)
        self._warn_rank(moments)


def _as_tight_as(rows: FloatArray, location: FloatArray, whitener: Whitener) -> Whitener:
    """Whitener of a singular covariance that takes a row for inside when it is as near as the training rows are."""
    structure = whitener._structure
    if not isinstance(structure, Spectral) or whitener.rank == whitener.shape[1]:
        return whitener
    residual, _ = structure.residual(rows, location)
    rounding = structure.shape[1] * np.finfo(np.float64).eps
    return Whitener(
        replace(structure, noise=float(16.0 * residual.max() ** 2 + rounding**2)), whitener.outside
    )
