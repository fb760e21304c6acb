"""The sample covariance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from .._registry import scatters
from .._structures import Spectral
from .._typing import ArrayLike, FloatArray
from ..exceptions import NotPositiveDefiniteError
from ..whitener import Whitener
from . import _streaming as streaming
from ._moments import DualMoments, PrimalMoments, Route, second_moments
from .base import BaseScatter


def _applies(n: int, p: int) -> str | None:
    if n <= p:
        return f"needs more rows than columns (n = {n}, p = {p})"
    if n == p + 1:
        return f"needs at least p + 2 rows: p + 1 rows all have the same distance (n = {n}, p = {p})"
    return None


@scatters.register("empirical", "Sample mean and covariance", order=10, applies=_applies)
class EmpiricalCovariance(BaseScatter):
    r"""Sample mean and covariance, with divisor n; of rows that fade, with exponential forgetting.

    .. math:: m = \frac1w \sum_i w_i x_i, \qquad \Sigma = \frac1w \sum_i w_i (x_i - m)(x_i - m)^\top,
        \qquad w_i = \lambda^{n - i}, \quad w = \sum_i w_i

    with :math:`\lambda` the parameter `forgetting`: all weights are 1, and w = n, unless it is set.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.
    assume_centered : bool, default=False
        Whether the location is known to be zero; the mean is then not estimated.
    forgetting : float, default=1.0
        Weight that a row keeps when the next one arrives, above 0 and at most 1. Below 1 the order of the rows
        matters, the last being the newest, and mean and covariance follow a drift with a time constant of about
        1 / (1 - forgetting) rows. It may be changed between calls of `partial_fit`, and holds from then on.

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
        Rows seen, less those removed.
    effective_n_samples_ : float
        :math:`w^2 / \sum_i w_i^2`, the number of rows of equal weight whose mean varies as much; `n_samples_` without
        forgetting, and in the long run (1 + forgetting) / (1 - forgetting).
    ddof_ : int
        0: the divisor is n, as in scikit-learn.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN, infinity, text or fewer than two rows, or a `forgetting` outside (0, 1].

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
    O(n p^2 + p^3) time and O(p^2) memory for p <= n, with rows passing in blocks; for all n with `forgetting` below 1.
    For p > n, O(n^2 p) time and two more arrays of the size of `X`; no p x p array. With p >= n - 1 columns of full
    rank every training row has the same squared distance, n - 1 (n if `assume_centered`), when all weights are 1.

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

    def __init__(
        self, *, store_precision: bool = True, assume_centered: bool = False, forgetting: float = 1.0
    ):
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.forgetting = forgetting

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
        weights = streaming.arriving_weights(self.forgetting, len(rows))
        seen = streaming.NOTHING.plus(weights)
        if self.forgetting == 1.0:
            moments = second_moments(rows, centred=not self.assume_centered, route=self._route)
            self._finish(seen, moments, rows=rows)
        else:
            self._finish(seen, *self._merged(rows, weights, streaming.NOTHING))
        return self

    def partial_fit(self, X: ArrayLike, y: Any = None) -> EmpiricalCovariance:
        """Add rows to those seen so far, by `fit` or by earlier calls; `fit` starts again.

        Moments are merged by the updating formula of Chan, Golub and LeVeque, so that the result equals a fit
        to all rows up to rounding. With `forgetting` below 1 every row makes all those before it fade, within `X` too.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            More rows, the oldest first; at least two in the first call.
        y : None
            Ignored.

        Returns
        -------
        self : EmpiricalCovariance
            The updated estimator. When the call fails, it stays as it was.

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
        m rows cost O(m p^2) while m is small against p, by updates of the whitener, which is factorised again after a
        hundred of them; else O(m p^2 + p^3). Numbers do not depend on which of the two was taken, beyond rounding.
        """
        first = "whitener_" not in self.__dict__
        rows = self._checked(X, min_samples=2 if first else 1, reset=first)
        weights = streaming.arriving_weights(self.forgetting, len(rows))
        seen = streaming.NOTHING if first else self._seen.aged(self.forgetting ** len(rows))
        if first or len(rows) > rows.shape[1]:
            self._finish(seen.plus(weights), *self._merged(rows, weights, seen))
            return self
        step = streaming.change(self.location_, seen.total, rows, weights, not self.assume_centered)
        self._finish(seen.plus(weights), *self._changed(step, seen.plus(weights)))
        return self

    def remove(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> EmpiricalCovariance:
        """Take rows out again, as if they had never been added.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows that were added, in any order.
        sample_weight : float or array-like of shape (n_samples,), optional
            Their present weights, ``forgetting ** a`` for a row after which a rows were added. By default 1; it has to
            be given when `forgetting` is below 1 and when it once was, so that rows seen have other weights.

        Returns
        -------
        self : EmpiricalCovariance
            The updated estimator. When the call fails, it stays as it was.

        Raises
        ------
        ValueError
            When a row cannot have been among those seen: the covariance without it would not be non-negative, by more
            than rounding. A row that could have been is not told from one that was. And when the rows make up so much
            of a variance that what is left of it is rounding: fit to the rows that stay.
        RankDeficientError
            When fewer than two rows, or no weight, would be left.

        Warns
        -----
        RankDeficientWarning
            As `fit`, when the rows left lack rank.

        Notes
        -----
        Costs as `partial_fit`. The whitener is down-dated only where this leaves at least a thousandth of the
        covariance in every direction; else it is factorised again from the covariance. Rounding of the rows removed
        stays behind: its size relative to what is left is kept in mind when the rank is judged.

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal import EmpiricalCovariance
        >>> X = np.random.default_rng(0).normal(size=(50, 3))
        >>> scatter = EmpiricalCovariance().fit(X).remove(X[:10])
        >>> scatter.n_samples_, bool(np.allclose(scatter.covariance_, np.cov(X[10:].T, ddof=0)))
        (40, True)
        """
        self._check_fitted("covariance_")
        rows = self._checked(X, min_samples=1, reset=False)
        weights = streaming.leaving_weights(sample_weight, streaming.is_weighted(self), len(rows))
        streaming.check_enough(self._seen, weights)
        step = streaming.change(self.location_, self._seen.total, rows, -weights, not self.assume_centered)
        left = self._seen.minus(weights)
        self._finish(left, *self._changed(step, left))
        return self

    def _checked(self, X: ArrayLike, **options: Any) -> FloatArray:
        self._check_flags("store_precision", "assume_centered")
        streaming.check_forgetting(self.forgetting)
        return self._training_rows(X, **options)

    def _merged(
        self, rows: FloatArray, weights: FloatArray, seen: streaming.Weights
    ) -> tuple[streaming.StreamMoments, streaming.Factor]:
        """Return the moments of rows seen, of given weights by now, and of a batch of many, and their factor."""
        centred = not self.assume_centered
        location, covariance = streaming.weighted_moments(rows, weights, centred)
        after = seen.plus(weights)
        peak = np.diagonal(covariance).copy()
        if seen.rows:
            share = 1.0 - seen.total / after.total
            gap = location - self.location_
            location = self.location_ + share * gap
            covariance *= share
            covariance += (1.0 - share) * self.covariance_
            covariance += share * (1.0 - share) * np.multiply.outer(gap, gap)
            peak = np.maximum(share * peak, (1.0 - share) * self._peak)
        moments = streaming.StreamMoments(after, location, covariance, centred, peak)
        return moments, streaming.Factor(moments.whitener()[0])

    def _changed(
        self, step: streaming.Change, seen: streaming.Weights
    ) -> tuple[streaming.StreamMoments, streaming.Factor]:
        """Return the moments, and their factor, after a change by few rows or a removal."""
        covariance, peak = step.of(self.covariance_), step.scale * self._peak
        if step.scale > 1.0:
            streaming.check_leaves(covariance, peak)
        moments = streaming.StreamMoments(seen, step.location, covariance, not self.assume_centered, peak)
        try:
            return moments, streaming.Factor(self.whitener_, self._updates).follow(step, moments)
        except NotPositiveDefiniteError:
            raise streaming.never_in() from None

    def _finish(
        self,
        seen: streaming.Weights,
        moments: PrimalMoments | DualMoments,
        factor: streaming.Factor | None = None,
        rows: FloatArray | None = None,
    ) -> None:
        if factor is None:
            whitener, covariance = moments.whitener()
            if rows is not None and isinstance(moments, PrimalMoments):  # the dual route knows what it cut
                whitener = _as_tight_as(rows, moments.location, whitener)
            factor = streaming.Factor(whitener)
        else:
            covariance = getattr(moments, "covariance", None)
        self._peak = getattr(moments, "peak", moments._sd() ** 2)
        self._store(moments.location, factor.whitener, seen.rows, covariance=covariance)
        self._seen, self.effective_n_samples_, self._updates = seen, seen.effective, factor.updates
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
