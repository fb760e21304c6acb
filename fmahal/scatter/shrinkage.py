"""Linear shrinkage of the sample covariance towards a multiple of the identity."""

from __future__ import annotations

import sys
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

from sklearn.utils import check_scalar

from .._registry import scatters
from .._typing import ArrayLike
from ._amounts import ledoit_wolf_share, oas_share
from ._linear import LinearShrinkage
from ._moments import DualMoments, PrimalMoments

DEFAULT_SHRINKAGE = 0.1


def _check_amount(value: Any, name: str, largest: float) -> None:
    if not (isinstance(value, Real) and 0 <= float(value) <= largest):  # NaN fails the comparison
        bound = f"between 0 and {largest:g}" if largest <= 1 else "finite and not negative"
        raise ValueError(f"{name} must be a number, {bound}, got {value!r}.")


@scatters.register("ledoit-wolf", "Linear shrinkage of Ledoit and Wolf (2004)", order=20)
class LedoitWolf(LinearShrinkage):
    r"""Covariance shrunk towards a multiple of the identity, with the intensity of Ledoit and Wolf (2004).

    .. math:: \Sigma = (1 - s) S + s \mu I, \qquad \mu = \operatorname{tr} S / p, \qquad
       s = \min\!\left(1,\;
       \frac{\frac1n \sum_k \lVert x_k \rVert^4 - \lVert S \rVert_F^2}{n\,\lVert S - \mu I \rVert_F^2}\right)

    with centred rows :math:`x_k` and the sample covariance S of divisor n.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.
    assume_centered : bool, default=False
        Whether the location is known to be zero; the mean is then not estimated.
    block_size : int, default=1000
        Accepted for scikit-learn's sake and without effect: no blocks of a p x p matrix are needed.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The mean, or zeros.
    shrinkage_ : float
        The intensity s, between 0 and 1.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, in squared units; formed on first use when p > n.
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse, formed on first use; None if not `store_precision`.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        n_features, unless s is 0 and S is singular.
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
        When s is 0 and S is singular: nothing varies, or n = 2.

    See Also
    --------
    OAS : another intensity.
    QIS : an intensity for each eigenvalue.

    Notes
    -----
    For p > n everything comes from the n x n Gram matrix: O(n^2 p + n^3) time and two more arrays of the size of
    `X`; no p x p array. For p <= n, O(n p^2 + p^3) time and O(p^2) memory. `shrinkage_` is scikit-learn's up to
    rounding; where it is nothing but rounding it is an exact 0. Not equivariant under a change of unit of
    single columns: give columns comparable units first.

    References
    ----------
    .. [1] Ledoit, O. and Wolf, M. (2004). A well-conditioned estimator for large-dimensional covariance
       matrices. Journal of Multivariate Analysis 88, 365-411. :doi:`10.1016/S0047-259X(03)00096-4`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import LedoitWolf
    >>> X = np.random.default_rng(0).normal(size=(20, 1000))
    >>> scatter = LedoitWolf().fit(X)
    >>> round(scatter.shrinkage_, 3), scatter.whitener_.kind
    (0.899, 'spectral')
    >>> scatter.mahalanobis(X).shape
    (20,)
    """

    scatter_kind: ClassVar[str] = "ledoit-wolf"

    def __init__(
        self, *, store_precision: bool = True, assume_centered: bool = False, block_size: int = 1000
    ):
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.block_size = block_size

    def fit(self, X: ArrayLike, y: Any = None) -> LedoitWolf:
        """Estimate location, shrinkage and covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : LedoitWolf
            The fitted estimator.
        """
        self._fit_shrunk(X)
        return self

    def _check_parameters(self) -> None:
        check_scalar(self.block_size, "block_size", Integral, min_val=1)

    def _intensity(self, moments: PrimalMoments | DualMoments) -> float:
        _, dispersion, fourth = moments.invariants
        return float(ledoit_wolf_share(dispersion, fourth, moments.n, moments.p, moments.tolerance))


@scatters.register("oas", "Oracle approximating shrinkage", order=30)
class OAS(LinearShrinkage):
    r"""Covariance shrunk towards a multiple of the identity by oracle approximation.

    .. math:: \Sigma = (1 - s) S + s \mu I, \qquad \mu = \operatorname{tr} S / p, \qquad
       s = \min\!\left(1,\; \frac{(1 - c) \operatorname{tr} S^2 + \operatorname{tr}^2 S}
       {(n + 1 - c)(\operatorname{tr} S^2 - \operatorname{tr}^2 S / p)}\right)

    with c = 2/p in the paper [1]_ and c = 0 in scikit-learn.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.
    assume_centered : bool, default=False
        Whether the location is known to be zero; the mean is then not estimated.
    formula : {"sklearn", "paper"}, default="sklearn"
        Which c. Both agree for large p; for few columns scikit-learn's shrinks more.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The mean, or zeros.
    shrinkage_ : float
        The intensity s, between 0 and 1.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, in squared units; formed on first use when p > n.
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse, formed on first use; None if not `store_precision`.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        n_features, unless nothing varies.
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
        For NaN, infinity, text, fewer than two rows or an unknown `formula`.

    Warns
    -----
    RankDeficientWarning
        When nothing varies.

    See Also
    --------
    LedoitWolf : an intensity that assumes no normal distribution.

    Notes
    -----
    O(n^2 p + n^3) time for p > n, O(n p^2 + p^3) for p <= n, as `LedoitWolf`. Not equivariant under a
    change of unit of single columns.

    References
    ----------
    .. [1] Chen, Y., Wiesel, A., Eldar, Y. C. and Hero, A. O. (2010). Shrinkage algorithms for MMSE covariance
       estimation. IEEE Transactions on Signal Processing 58, 5016-5029. :doi:`10.1109/TSP.2010.2053029`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import OAS
    >>> X = np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 2.0, 4.0]
    >>> round(OAS().fit(X).shrinkage_, 4), round(OAS(formula="paper").fit(X).shrinkage_, 4)
    (0.1193, 0.0908)
    """

    scatter_kind: ClassVar[str] = "oas"

    def __init__(
        self,
        *,
        store_precision: bool = True,
        assume_centered: bool = False,
        formula: Literal["sklearn", "paper"] = "sklearn",
    ):
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.formula = formula

    def fit(self, X: ArrayLike, y: Any = None) -> OAS:
        """Estimate location, shrinkage and covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : OAS
            The fitted estimator.
        """
        self._fit_shrunk(X)
        return self

    def _check_parameters(self) -> None:
        if self.formula not in ("sklearn", "paper"):
            raise ValueError(f'formula must be "sklearn" or "paper", got {self.formula!r}.')

    def _intensity(self, moments: PrimalMoments | DualMoments) -> float:
        omitted = 2.0 / moments.p if self.formula == "paper" else 0.0
        return float(oas_share(moments.invariants.dispersion, moments.n, moments.p, omitted))


@scatters.register("shrunk", "Linear shrinkage by a given amount", order=50)
class ShrunkCovariance(LinearShrinkage):
    r"""Covariance shrunk towards a multiple of the identity by an amount that is given.

    .. math:: \Sigma = (1 - s) S + s \mu I \quad\text{or}\quad \Sigma = S + \lambda \mu I,
       \qquad \mu = \operatorname{tr} S / p

    Parameters
    ----------
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.
    assume_centered : bool, default=False
        Whether the location is known to be zero; the mean is then not estimated.
    shrinkage : float, default=0.1
        s, between 0 and 1. Leave it alone when `ridge` is given.
    ridge : float, optional
        :math:`\lambda \ge 0`, relative to the mean variance: adds to S instead of mixing.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The mean, or zeros.
    shrinkage_ : float
        Share of the identity: s, or :math:`\lambda / (1 + \lambda)`.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, in squared units; formed on first use when p > n.
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse, formed on first use; None if not `store_precision`.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        n_features, unless nothing is added to a singular S.
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
        For NaN, infinity, text, fewer than two rows, amounts out of range, or both `ridge` and `shrinkage`.

    Warns
    -----
    RankDeficientWarning
        When S is singular and nothing is added.

    Notes
    -----
    O(n^2 p + n^3) time for p > n, O(n p^2 + p^3) for p <= n, as `LedoitWolf`. Not equivariant under a
    change of unit of single columns.

    References
    ----------
    .. [1] Hoerl, A. E. and Kennard, R. W. (1970). Ridge regression: biased estimation for nonorthogonal
       problems. Technometrics 12, 55-67. :doi:`10.1080/00401706.1970.10488634`

    Examples
    --------
    >>> from fmahal import ShrunkCovariance
    >>> X = [[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]
    >>> ShrunkCovariance(shrinkage=0.5).fit(X).covariance_.tolist()
    [[1.75, 0.0], [0.0, 3.25]]
    >>> ShrunkCovariance(ridge=1.0).fit(X).covariance_.tolist()
    [[3.5, 0.0], [0.0, 6.5]]
    """

    scatter_kind: ClassVar[str] = "shrunk"

    def __init__(
        self,
        *,
        store_precision: bool = True,
        assume_centered: bool = False,
        shrinkage: float = DEFAULT_SHRINKAGE,
        ridge: float | None = None,
    ):
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.shrinkage = shrinkage
        self.ridge = ridge

    def fit(self, X: ArrayLike, y: Any = None) -> ShrunkCovariance:
        """Estimate location and covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : ShrunkCovariance
            The fitted estimator.
        """
        self._fit_shrunk(X)
        return self

    def _check_parameters(self) -> None:
        _check_amount(self.shrinkage, "shrinkage", 1.0)
        if self.ridge is None:
            return
        _check_amount(self.ridge, "ridge", sys.float_info.max)
        if self.shrinkage != DEFAULT_SHRINKAGE:
            raise ValueError(
                f"Both shrinkage={self.shrinkage!r} and ridge={self.ridge!r} are set; they are two ways to say "
                "how much of the identity is mixed in. Set one of them."
            )

    def _weights(self, moments: PrimalMoments | DualMoments) -> tuple[float, float]:
        if self.ridge is None:
            self.shrinkage_ = float(self.shrinkage)
            return 1.0 - self.shrinkage_, self.shrinkage_
        self.shrinkage_ = float(self.ridge / (1.0 + self.ridge))
        return 1.0, float(self.ridge)
