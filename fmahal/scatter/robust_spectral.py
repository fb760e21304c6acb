"""A spectral filter of the rows that agree: robust regularised distances of curves and of rows with p > n."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .._registry import scatters
from .._typing import ArrayLike, FloatArray, Outside
from ..exceptions import RankDeficientError
from ._blas import one_blas_thread
from ._robust_spectral import coordinates, kept_rows, search
from .base import BaseScatter
from .spectral import SpectralFilter


def _applies(n: int, p: int) -> str | None:
    return f"needs at least 4 rows (n = {n})" if n < 4 else None


@scatters.register(
    "robust-spectral",
    "Spectral filter of the most central rows, for curves, robust",
    order=94,
    applies=_applies,
)
class RobustSpectralFilter(BaseScatter):
    r"""`SpectralFilter` of the rows that are left when outlying ones are set aside.

    Over subsets H of h rows it looks for the least

    .. math:: \log\det(C_H + \alpha I), \qquad d_H^2(x) = (x - m_H)^\top (C_H + \alpha I)^{-1} (x - m_H)

    with mean and covariance of the subset, drops the rows too far from the best subset for its filtered law, and fits
    a `SpectralFilter` to the others.

    Parameters
    ----------
    filter : {"ridge", "rkhs"}, default="ridge"
        Filter of the final distance, see `SpectralFilter`; the search is always by "ridge". "ridge" sees directions
        in which clean rows hardly vary, and is the one for outliers of every kind; "rkhs" all but ignores them.
    n_components : int, float or None, default=None
        As in `SpectralFilter`.
    alpha : float, default=0.03
        Amount of regularisation, positive.
    alpha_units : {"leading", "trace", "absolute"}, default="leading"
        The unit of `alpha`: the largest eigenvalue, the total variance, or the squared unit of the data; in the
        search those of a robust start.
    support_fraction : float, default=0.75
        Share of the rows in the subset, between 0.5 and 1; h is the next larger whole number of rows. At most n - h
        rows may be outliers.
    outside : {"ignore", "inf", "raise"}, default="ignore"
        As in `SpectralFilter`.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Mean of the kept rows.
    filter_ : SpectralFilter
        The filter, fitted to the kept rows.
    eigenvalues_, components_, n_components_, explained_variance_ratio_, total_variance_
        Those of `filter_`: they describe the covariance of the kept rows, of divisor n_support_ - 1, without a
        consistency factor.
    filter_values_, residual_weight_, alpha_, null_weights_
        Those of `filter_` too.
    raw_support_ : ndarray of shape (n_samples_,), bool
        The best subset, h rows.
    support_ : ndarray of shape (n_samples_,), bool
        The kept rows.
    n_support_ : int
        Number of kept rows.
    objective_ : float
        :math:`\log\det(C_H + \alpha I)` of the best subset, in min(n - 1, p) dimensions that hold the rows;
        :math:`\alpha` is at least 1e-10 of the variance of the start.
    n_steps_ : int
        Concentration steps of all starts.
    d2_ : ndarray of shape (n_samples_,)
        Squared distances of the training rows.
    covariance_, precision_, whitener_, rank_, n_features_in_, feature_names_in_
        As in `SpectralFilter`.
    n_samples_ : int
        Rows seen, kept or not.
    ddof_ : int
        ``n_samples_ - n_support_ + 1``: the divisor is the number of kept rows less one.

    Raises
    ------
    ValueError
        For NaN, infinity, text, fewer than four rows, or a parameter out of its range.
    RankDeficientError
        When h rows are equal, or fewer but all that would be kept; up to rounding.

    See Also
    --------
    SpectralFilter : the same of all rows.
    MRCD : the regularised determinant of columns in units of their own.

    Notes
    -----
    Columns are not standardised: the inner product is the dot product of the rows. Curves are brought to coordinates
    with the inner product of their space first.

    Three deterministic starts order the rows: by the distance from their spatial median; by the filtered distance with
    the eigenvectors of their unit vectors from there and robust variances of the scores; and by that of the covariance
    of rows pulled in to the median distance. From each, concentration steps take the h nearest rows by the moments of
    the h rows before, at one :math:`\alpha` for all. A step never raises the objective, as for the regularised
    determinant of [1]_, so that the sequence ends; the idea of a regularised distance of curves in such a search is
    that of [2]_, whose objective is a trace. A row is kept when its distance is at most the 97.5 % quantile of the
    weighted sum of chi-squares of :math:`C_H`, stretched so that the medians agree.

    Equivariant under translations, orthogonal maps and (but for absolute `alpha`) a common change of units. A step
    takes O(n q^2 + q^3), q = min(n - 1, p), after O(n p q) once. Rows that are more than a million times as far from
    the columnwise median as the usual row are searched for as if they were at that distance.

    References
    ----------
    .. [1] Boudt, K., Rousseeuw, P. J., Vanduffel, S. and Verdonck, T. (2020). The minimum regularized covariance
       determinant estimator. Statistics and Computing 30, 113-128. :doi:`10.1007/s11222-019-09869-x`
    .. [2] Oguamalam, J., Radojicic, U. and Filzmoser, P. (2024). Minimum regularized covariance trace estimator and
       outlier detection for functional data. Technometrics 66. :doi:`10.1080/00401706.2024.2336542`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.scatter.robust_spectral import RobustSpectralFilter
    >>> X = np.random.default_rng(0).normal(size=(50, 80)).cumsum(axis=1)
    >>> X[:10] += 20 * np.sin(np.arange(80))
    >>> scatter = RobustSpectralFilter().fit(X)
    >>> bool(scatter.support_[:10].any()), bool(scatter.d2_[:10].min() > scatter.d2_[10:].max())
    (False, True)
    """

    robust: ClassVar[bool] = True
    regularized: ClassVar[bool] = True
    scatter_kind: ClassVar[str] = "spectral"

    filter_: SpectralFilter
    support_: NDArray[np.bool_]
    raw_support_: NDArray[np.bool_]
    d2_: FloatArray

    def __init__(
        self,
        filter: Literal["ridge", "rkhs"] = "ridge",
        *,
        n_components: float | None = None,
        alpha: float = 0.03,
        alpha_units: Literal["leading", "trace", "absolute"] = "leading",
        support_fraction: float = 0.75,
        outside: Outside = "ignore",
    ):
        self.filter = filter
        self.n_components = n_components
        self.alpha = alpha
        self.alpha_units = alpha_units
        self.support_fraction = support_fraction
        self.outside = outside

    @property
    def equivariances(self) -> frozenset[str]:  # type: ignore[override]
        """Transformations of all rows that leave squared distances as they are."""
        same = {"translation", "permutation", "orthogonal"}
        return frozenset(same if self.alpha_units == "absolute" else same | {"scale"})

    def fit(self, X: ArrayLike, y: Any = None) -> RobustSpectralFilter:
        """Find the rows that agree, and filter their spectrum.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least four.
        y : None
            Ignored.

        Returns
        -------
        self : RobustSpectralFilter
            The fitted estimator.
        """
        inner = self._inner()
        rows = self._training_rows(X, min_samples=4)
        n = rows.shape[0]
        h = min(math.ceil(float(self.support_fraction) * n * (1.0 - 1e-15)), n)
        with one_blas_thread():
            Y = coordinates(rows)
            alpha = Y.alpha(float(self.alpha), self.alpha_units)
            found = search(Y.values, h, alpha, self.alpha_units, Y.rounding)
            if found is None:
                raise _no_spread(f"At least {h} of {n} rows are equal up to rounding")
            kept = kept_rows(Y.values, found.rows, alpha, self.alpha_units)
        try:
            inner.fit(rows[kept])
        except RankDeficientError as error:
            raise _no_spread(
                f"{int(kept.sum())} of {n} rows are equal up to rounding, and all others are too far from them to be "
                "kept"
            ) from error
        self.filter_ = inner
        self._store(inner.location_, inner.whitener_, n, ddof=n - int(kept.sum()) + 1)
        self.raw_support_ = np.zeros(n, dtype=bool)
        self.raw_support_[found.rows] = True
        self.support_, self.n_support_ = kept, int(kept.sum())
        self.objective_, self.n_steps_ = Y.objective(found.objective), found.n_steps
        for name in _OF_FILTER:
            setattr(self, name, getattr(inner, name))
        self.d2_ = self._distances(rows, squared=True)
        return self

    def _inner(self) -> SpectralFilter:
        """Check the parameters, and return the filter of the kept rows, which checks the others."""
        if self.filter not in ("ridge", "rkhs"):
            raise ValueError(
                f'filter of RobustSpectralFilter must be "ridge" or "rkhs", got {self.filter!r}. For "truncate", use '
                "a robust scatter of SphericalPCA scores."
            )
        _check(self.alpha, "alpha", self.alpha > 0 if isinstance(self.alpha, Real) else False, "positive")
        share = self.support_fraction
        _check(share, "support_fraction", isinstance(share, Real) and 0.5 <= share <= 1, "in [0.5, 1]")
        inner = SpectralFilter(
            self.filter,
            n_components=self.n_components,
            alpha=self.alpha,
            alpha_units=self.alpha_units,
            outside=self.outside,
        )
        inner._check_parameters()
        return inner

    def _whitened_parts(self, X: ArrayLike, *, residuals: bool = True) -> tuple[FloatArray, FloatArray]:
        """Return weighted scores sqrt(g) c of rows, (m, n_components_), and squared lengths off the components."""
        return self.filter_._whitened_parts(X, residuals=residuals)

    @property
    def dist_(self) -> FloatArray:
        """Squared distances of the training rows, (n_samples_,): `d2_` under scikit-learn's name."""
        self._check_fitted("dist_")
        return self.d2_


_OF_FILTER = (
    "eigenvalues_",
    "components_",
    "n_components_",
    "filter_values_",
    "residual_weight_",
    "alpha_",
    "null_weights_",
    "explained_variance_ratio_",
    "total_variance_",
)


def _no_spread(words: str) -> RankDeficientError:
    return RankDeficientError(
        f"{words}: they have no spread to measure the others by. Constant curves? The same row many times? Numbers "
        "below 1e-150, whose squares vanish? Look at the spread of each column of X, and drop repeated rows."
    )


def _check(value: Any, name: str, good: bool, words: str) -> None:
    if isinstance(value, bool | np.bool_) or not good or not np.isfinite(value):
        raise ValueError(f"{name} of RobustSpectralFilter must be {words}, got {value!r}.")
