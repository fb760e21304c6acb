"""Spectral filters: the regularised Mahalanobis distances of functional data, on vectors and curves alike."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np

from .._registry import scatters
from .._structures.filtered import Filtered
from .._typing import ArrayLike, FloatArray, Outside
from .._validation import check_finite, refuse_curves
from ..whitener import Whitener
from ._spectral_fit import (
    Route,
    Spectrum,
    Sums,
    count_of_share,
    singular_vectors,
    spectrum_of,
    sums,
)
from ._spectral_limits import check_range, check_weights, no_direction, span_accuracy
from ._spectral_rows import SpectralRows
from ._spectral_words import complaints

FILTERS = ("rkhs", "truncate", "ridge", "inverse")
_UNITS = ("leading", "trace", "absolute")
_OUTSIDE = ("ignore", "inf", "raise")
_DEFAULT_SHARE = 0.95


@scatters.register("spectral", "Spectral filter of reproducing-kernel type, for curves and p > n", order=92)
class SpectralFilter(SpectralRows):
    r"""Mahalanobis distance through a filter of the eigenvalues: truncated, regularised, or exact on the span.

    .. math:: d^2(x) = \sum_{m \le r} g(\lambda_m)\, \langle x - \bar x, e_m \rangle^2 + g_0\, R^2(x)

    with the eigenpairs :math:`(\lambda_m, e_m)` of the sample covariance of divisor ``n - ddof`` and the squared
    length :math:`R^2(x)` of the part of :math:`x - \bar x` that is orthogonal to :math:`e_1, \dots, e_r`.

    ============ ======================================== ==================== ===================================
    filter       :math:`g(\lambda)`                       :math:`g_0`          distance
    ============ ======================================== ==================== ===================================
    "truncate"   :math:`1/\lambda`                        0                    functional Mahalanobis of K
                                                                               components [1]_
    "rkhs"       :math:`\lambda / (\lambda + \alpha)^2`   0                    alpha-distance [2]_
    "ridge"      :math:`1 / (\lambda + \alpha)`           :math:`1 / \alpha`   generalised distance with
                                                                               p = 1/alpha [3]_
    "inverse"    :math:`1/\lambda`                        0                    variance norm of the empirical law,
                                                                               with ``outside="inf"`` [4]_
    ============ ======================================== ==================== ===================================

    Parameters
    ----------
    filter : {"rkhs", "truncate", "ridge", "inverse"}, default="rkhs"
        Which g. "rkhs" is not the ordinary ridge: it never exceeds "ridge" at the same `alpha`.
    n_components : int, float or None, default=None
        How many leading eigenpairs are kept: a number, or a share of the total variance, above 0 and below 1,
        which the smallest sufficient number reaches. None keeps all above the rank rule; for "truncate", a share of
        0.95. The ridge filter weighs what is cut by :math:`1/\alpha`, the others by nothing.
    alpha : float, default=1e-2
        Amount of regularisation of "rkhs" and "ridge"; without effect on the others.
    alpha_units : {"leading", "trace", "absolute"}, default="leading"
        The unit of `alpha`: the largest eigenvalue, the total variance, or the squared unit of the data. With
        "absolute" the distance depends on the units of the data and of their domain.
    ddof : int, default=1
        The divisor of the covariance is ``n_samples - ddof``.
    outside : {"ignore", "inf", "raise"}, default="ignore"
        What the part of a row off the span of the training rows does: nothing, an infinite distance, or an
        `OutsideSubspaceError`. Directions that `n_components` cuts belong to the span; a fit that ignores the outside
        forgets them, so that ``mahalanobis(X, outside="inf")`` then tells only what lies off the kept ones. The ridge
        filter measures such parts, and knows no outside.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The mean.
    eigenvalues_ : ndarray of shape (n_components_,)
        Kept eigenvalues of the covariance, descending, in squared units.
    components_ : ndarray of shape (n_components_, n_features)
        Their orthonormal eigenvectors in rows; the entry of largest size is positive.
    n_components_ : int
        Number of kept eigenpairs.
    filter_values_ : ndarray of shape (n_components_,)
        :math:`g(\lambda_m)`, the weights of squared scores.
    residual_weight_ : float
        :math:`g_0`: 1/alpha_ for "ridge", else 0.
    alpha_ : float
        `alpha` in squared units of the data; 0 for "truncate" and "inverse".
    null_weights_ : ndarray of shape (n_weights,)
        :math:`\lambda_m g(\lambda_m)`: with known mean and covariance, the squared distance of a Gaussian row is
        the sum of so many independent chi-square variables of one degree of freedom, each times its weight. The
        ridge filter has weights for what `n_components` cut too: equal ones, where only their sum is known.
    explained_variance_ratio_ : ndarray of shape (n_components_,)
        Shares of the total variance.
    total_variance_ : float
        Trace of the covariance.
    covariance_ : ndarray of shape (n_features, n_features)
        Generalised inverse of the precision :math:`W^\top W` of the *filtered* distance, not the sample covariance.
    precision_ : ndarray of shape (n_features, n_features)
        :math:`W^\top W = \sum_m g(\lambda_m) e_m e_m^\top` (plus :math:`g_0` off the kept directions).
    whitener_ : Whitener
        The whitening operator, of kind "spectral"; its policy is `outside`.
    rank_ : int
        Number of whitened columns: `n_components_`; n_features for "ridge".
    n_samples_ : int
        Rows seen.
    ddof_ : int
        `ddof`.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN, infinity, text, fewer than two rows, a parameter out of its range, and for units, or an alpha, with
        which squares or weights leave the range of floats.
    RankDeficientError
        When all rows are equal.

    Warns
    -----
    RankDeficientWarning
        When all training rows have the same distance (all n - 1 directions of n rows, weighed by 1/lambda), when
        "inverse" meets fewer directions than columns, and when there are fewer directions than `n_components`.
    AmbiguousFitWarning
        When `n_components` cuts between eigenvalues that are equal up to rounding: which directions are kept is
        then arbitrary.

    See Also
    --------
    EmpiricalCovariance : the distance of the sample covariance in units that do not depend on the columns' own.
    ShrunkCovariance : shrinkage towards a multiple of the identity.

    Notes
    -----
    Columns are not standardised: the inner product is the dot product of the rows. Curves are brought to
    coordinates with the inner product of their space first.

    *Rank.* A direction counts when its singular value exceeds the rounding of the decomposition,
    :math:`\max(n, p)\,\epsilon\,s_1`, and that of entries far from zero, :math:`4\,\epsilon\,\sqrt n\,\lVert \bar x
    \rVert`, which grows with n as a singular value does: a standard deviation of :math:`4\,\epsilon\,\lVert \bar x
    \rVert` counts for any n. When eigenvalues come from products of the rows, :math:`10\,n\,\epsilon\,\lambda_1` is
    their rounding. At most n - 1 count. Entries of float32 rows carry their own rounding. Everything is relative:
    units change no decision.

    *Routes.* For p <= n the p x p products of the rows, which pass in blocks, O(n p^2 + p^3); for p > n the n x n
    ones, O(n^2 p + n^3), and memory for :math:`p\,r` numbers next to the rows. Few components come from Krylov
    iterations. Where the filter divides by eigenvalues below a millionth of the largest, and where `outside` has to
    know the span, an orthogonal factorisation in blocks takes the place of the products, at about four times the
    time. n rows are measured in O(n p r).

    *Cuts.* A cut is called ambiguous for a relative gap of 1e-8, which only exactly repeated eigenvalues show. Sampling
    error is far larger: neighbours :math:`\lambda_K, \lambda_{K+1}` whose relative gap is below about
    :math:`\sqrt{8/n}` are in no order that another sample would confirm.

    *Identities.* With all directions kept, the mean squared distance of the training rows is ``(n - ddof) / n *
    null_weights_.sum()``. The log-likelihood `score` exists where the filter has a density: for "ridge", and for
    "inverse" with all components.

    References
    ----------
    .. [1] Galeano, P., Joseph, E. and Lillo, R. E. (2015). The Mahalanobis distance for functional data with
       applications to classification. Technometrics 57, 281-291. :doi:`10.1080/00401706.2014.902774`
    .. [2] Berrendero, J. R., Bueno-Larraz, B. and Cuevas, A. (2020). On Mahalanobis distance in functional settings.
       Journal of Machine Learning Research 21(9), 1-33. https://jmlr.org/papers/v21/18-156.html
    .. [3] Ghiglietti, A., Ieva, F. and Paganoni, A. M. (2017). Statistical inference for stochastic processes:
       two-sample hypothesis tests. Journal of Statistical Planning and Inference 180, 49-68.
       :doi:`10.1016/j.jspi.2016.08.004`
    .. [4] Shao, Z., Chan, R. S.-Y., Cochrane, T., Foster, P. and Lyons, T. (2020). Dimensionless anomaly detection on
       multivariate streams with variance norm and path signature. :doi:`10.48550/arXiv.2006.03487`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import SpectralFilter
    >>> X = np.random.default_rng(0).normal(size=(20, 100)).cumsum(axis=1)
    >>> scatter = SpectralFilter("truncate", n_components=3).fit(X)
    >>> scatter.n_components_, scatter.null_weights_.tolist()
    (3, [1.0, 1.0, 1.0])
    >>> round(float(scatter.mahalanobis(X).mean()), 6)  # 3 (n - 1) / n
    2.85
    """

    scatter_kind: ClassVar[str] = "spectral"
    _route: Route = None  # tests force one

    explained_variance_ratio_: FloatArray
    null_weights_: FloatArray
    residual_weight_: float
    total_variance_: float

    def __init__(
        self,
        filter: Literal["rkhs", "truncate", "ridge", "inverse"] = "rkhs",
        *,
        n_components: float | None = None,
        alpha: float = 1e-2,
        alpha_units: Literal["leading", "trace", "absolute"] = "leading",
        ddof: int = 1,
        outside: Outside = "ignore",
    ):
        self.filter = filter
        self.n_components = n_components
        self.alpha = alpha
        self.alpha_units = alpha_units
        self.ddof = ddof
        self.outside = outside

    # ---------------------------------------------------------------- facts

    @property
    def regularized(self) -> bool:  # type: ignore[override]
        """Whether distances differ between training rows when there are more columns than rows."""
        return self.filter != "inverse" or self.n_components is not None

    @property
    def equivariances(self) -> frozenset[str]:  # type: ignore[override]
        """Transformations of all rows that leave squared distances as they are."""
        same = {"translation", "permutation", "orthogonal"}
        fixed = self.filter in ("rkhs", "ridge") and self.alpha_units == "absolute"
        return frozenset(same if fixed else same | {"scale"})

    # ---------------------------------------------------------------- fit

    def fit(self, X: ArrayLike, y: Any = None) -> SpectralFilter:
        """Decompose the centred rows and filter their spectrum.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : SpectralFilter
            The fitted estimator.
        """
        self._check_parameters()
        refuse_curves(X, type(self).__name__)
        rows = self._numbers(X, ensure_min_samples=2)
        n = rows.shape[0]
        if n <= self.ddof:
            raise ValueError(
                f"ddof = {self.ddof} leaves no divisor for n = {n} rows: pass more than ddof rows."
            )
        found = sums(rows, self._few(*rows.shape))
        if not np.isfinite(found.total):
            self._not_finite(rows)
        spectrum = self._spectrum(rows, found)
        if not spectrum.squares.size:
            raise no_direction(rows)
        self._finish(rows, found, spectrum)
        return self

    def _check_parameters(self) -> None:
        for name, allowed in (("filter", FILTERS), ("alpha_units", _UNITS), ("outside", _OUTSIDE)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}.")
        if not (_is_integer(self.ddof) and self.ddof >= 0):
            raise ValueError(f"ddof must be a non-negative integer, got {self.ddof!r}.")
        K = self.n_components
        if K is not None and not (_is_integer(K) and K >= 1) and not (_is_share(K)):
            raise ValueError(
                "n_components must be None, a positive integer, or a share of the variance above 0 and below 1, "
                f"got {K!r}."
            )
        if self.filter in ("rkhs", "ridge"):
            alpha = self.alpha
            number = isinstance(alpha, Real) and not isinstance(alpha, bool | np.bool_)
            if not (number and np.isfinite(alpha) and alpha >= 0):
                raise ValueError(f"alpha must be a finite number, 0 or more, got {alpha!r}.")
            if self.filter == "ridge" and alpha == 0:
                raise ValueError(
                    'alpha of filter="ridge" must be positive: 1/alpha weighs what lies off the kept directions. '
                    'The limit is filter="inverse" with outside="inf".'
                )

    def _not_finite(self, rows: FloatArray) -> None:
        check_finite(rows, "X", self._names())
        raise ValueError(
            "The squares of the entries of X exceed the largest float: bring the rows to smaller units first."
        )

    def _spectrum(self, rows: FloatArray, found: Sums) -> Spectrum:
        n, K = rows.shape[0], self.n_components
        return spectrum_of(
            rows,
            found,
            lambda squares: self._wanted(squares, found.total, rows.shape),
            count=None if K is None or not _is_integer(K) else int(K),
            lifted=lambda largest: self._alpha(largest, found.total, n) * (n - self.ddof) / largest,
            exact_span=self.outside != "ignore" and self.filter != "ridge",
            route=self._route,
        )

    def _few(self, n: int, p: int) -> int | None:
        """Return how many leading eigenpairs do: one more than are kept; None where all are needed."""
        K = self.n_components
        exact_span = self.outside != "ignore" and self.filter != "ridge"
        if K is None or not _is_integer(K) or exact_span or self._route is not None:
            return None
        return min(int(K) + 1, p, n - 1)

    def _wanted(self, squares: FloatArray, total: float, shape: tuple[int, ...]) -> int:
        """Return how many directions the parameters ask for, whether there are so many or not."""
        K = self.n_components
        if K is None and self.filter == "truncate":
            K = _DEFAULT_SHARE
        if K is None:
            return min(shape[1], shape[0] - 1)
        return int(K) if _is_integer(K) else count_of_share(squares, total, K)

    def _alpha(self, largest: float, total: float, n: int) -> float:
        """Return alpha in squared units of the data, from the largest square and the sum of all."""
        if self.filter not in ("rkhs", "ridge"):
            return 0.0
        units = {"leading": largest / (n - self.ddof), "trace": total / (n - self.ddof), "absolute": 1.0}
        return float(self.alpha) * units[self.alpha_units]

    def _finish(self, rows: FloatArray, found: Sums, spectrum: Spectrum) -> None:
        n, p = rows.shape
        divisor = n - self.ddof
        rank = spectrum.squares.size
        wanted = self._wanted(spectrum.squares, found.total, (n, p))
        K = min(wanted, rank)
        span = spectrum if self.outside != "ignore" and self.filter != "ridge" else spectrum.leading(K)
        values = spectrum.squares[:K] / divisor
        check_range(self, (n, p), found, spectrum, values)
        alpha = self._alpha(float(spectrum.squares[0]), found.total, n)
        inverse, ridge = self._inverse_weights(values, alpha)
        vectors, left = singular_vectors(rows, found.location, span)
        kept = np.ascontiguousarray(vectors[:, :K])
        noise, accuracy = span_accuracy(rows, found, spectrum, vectors)
        structure = Filtered(
            inverse if p > K else inverse + ridge,  # no rest of the space: 1/ridge would weigh rounding
            kept,
            ridge if p > K else 0.0,
            None,
            noise,
            vectors[:, K:] if vectors.shape[1] > K else None,
            accuracy,
        )
        self._store(found.location, Whitener(structure, self.outside), n, ddof=self.ddof)
        self.eigenvalues_, self.components_, self.n_components_ = values, structure.vectors.T, K
        self.alpha_, self.total_variance_ = alpha, found.total / divisor
        self.residual_weight_ = 1.0 / alpha if self.filter == "ridge" else 0.0
        self.filter_values_ = 1.0 / (inverse + ridge)
        self.explained_variance_ratio_ = values / self.total_variance_
        self.null_weights_ = self._null_weights(spectrum, K, (n, p))
        self._left = None if left is None else np.ascontiguousarray(left[:, :K])
        self._fitted_rows = rows  # conformance and leave-one-out distances of a cut need them again
        self._whitened = None
        for category, message in complaints(self, rows, found, spectrum, wanted):
            warnings.warn(message, category, stacklevel=3)

    def _inverse_weights(self, values: FloatArray, alpha: float) -> tuple[FloatArray, float]:
        """Return 1/g without the ridge, and the ridge."""
        ridge = alpha if self.filter == "ridge" else 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # named by the check; the order avoids what it can
            inverse = (values + alpha) * ((values + alpha) / values) if self.filter == "rkhs" else values
        check_weights(self, alpha, inverse + ridge, values)
        return inverse, ridge

    def _null_weights(self, spectrum: Spectrum, K: int, shape: tuple[int, int]) -> FloatArray:
        if self.filter in ("truncate", "inverse"):
            return np.ones(K)
        weights = self.eigenvalues_ / (self.eigenvalues_ + self.alpha_)
        if self.filter == "rkhs":
            return weights**2
        if spectrum.whole:
            rest = spectrum.squares[K:] / (self.n_samples_ - self.ddof)
        else:  # only the sum of the others is known
            others = min(shape[1], shape[0] - 1) - K
            left_over = max(self.total_variance_ - float(self.eigenvalues_.sum()), 0.0)
            rest = np.full(others, left_over / max(others, 1))
        return np.append(weights, rest / self.alpha_)


@scatters.register("pca", "Truncated principal components, 95 % of the variance", order=93)
def _truncated(**parameters: Any) -> SpectralFilter:
    return SpectralFilter(**({"filter": "truncate"} | parameters))


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _is_share(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, Integral | np.bool_) and 0.0 < float(value) < 1.0
