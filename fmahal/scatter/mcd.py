"""The minimum covariance determinant estimator."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._kernels._jit import thread_limit
from .._random import as_generator
from .._registry import scatters
from .._typing import ArrayLike, FloatArray, RandomState
from ..exceptions import AmbiguousFitWarning, ExactFitWarning
from ._mcd_alternative import alternative_message, alternative_to, exact_fit_message
from ._mcd_factors import consistency_factor
from ._mcd_fit import Estimate, ExactFit, Moments, Options, estimate, moments, scaled, weighting
from ._mcd_large import LARGE_ROWS, estimate_large
from ._mcd_search import check_enumerable
from .base import BaseScatter

METHODS = ("auto", "fast", "deterministic", "exact")
CORRECTIONS = ("pison", "simulated", "asymptotic", None)


def _applies(n: int, p: int) -> str | None:
    if n <= p + 1:
        return f"needs at least p + 2 rows (n = {n}, p = {p}); MRCD does not"
    return None


@scatters.register("mcd", "Minimum covariance determinant, robust", order=60, applies=_applies)
class MinCovDet(BaseScatter):
    r"""Minimum covariance determinant: location and scatter of the h rows whose scatter has the least determinant.

    .. math:: H = \arg\min_{|H| = h} \det S_H, \qquad
              S_H = \frac1{h-1} \sum_{i \in H} (x_i - \bar x_H)(x_i - \bar x_H)^\top

    The raw scatter :math:`c_1 c_2 S_H` is made consistent for normal data by :math:`c_1 = C(p, h/n)`,
    :math:`C(p, a) = a / P(\chi^2_{p+2} \le \chi^2_{p,a})`, and corrected for small samples by :math:`c_2`. The rows
    with :math:`d^2_{raw} < \chi^2_{p, 0.975}` then give `location_` and `covariance_`, with the two factors that
    belong to them. Up to n - h rows may lie anywhere.

    Parameters
    ----------
    method : {"auto", "fast", "deterministic", "exact"}, default="auto"
        "fast": random elemental starts, concentration steps, exchange descent; affine equivariant (when rows millions
        of spreads away leave no such start any digits, the deterministic ones take over). "deterministic":
        six starts from robust scatters; the same answer always. "auto": both, and the better subset. "exact":
        enumeration with bounds, for few rows.
    support_fraction : float, optional
        h = int(support_fraction n), at least p + 1 and half of the rows. By default h = (n + p + 1) // 2, of highest
        breakdown value; `mcd_subset_size` gives the sizes of R's robustbase. Up to n - h rows may be bad, and as many
        clean ones may be trimmed: where the training rows are known to be clean, as in novelty detection, take 0.9.
    n_starts : int, default=500
        Random starts.
    correction : {"pison", "simulated", "asymptotic", None}, default="pison"
        "pison": both factors, with the small-sample factors of Pison et al. [3]_ and divisor h - 1, R's numbers. These
        aim at the determinant of the raw scatter and leave the mean variance in `covariance_` some per cent too small
        for few rows; "simulated" corrects that too, for p <= 40 and ``reweight=0.975``, by a table made with this
        estimator. "asymptotic": the consistency factors alone. None: scikit-learn's numbers: divisor h, no factor on
        `raw_covariance_`, C(p, 0.975) on `covariance_`.
    reweight : float, optional, default=0.975
        Chi-square level of the reweighting step; None keeps the raw estimate.
    assume_centered : bool, default=False
        Whether the location is known to be 0.
    n_jobs : int, optional
        Most threads to use; None or -1 for all. The result does not depend on it.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the random starts.
    store_precision : bool, default=True
        Whether `precision_` is kept.

    Attributes
    ----------
    location_, covariance_, precision_ : ndarray
        The reweighted estimate, (n_features,) and (n_features, n_features).
    raw_location_, raw_covariance_ : ndarray
        The estimate from the h rows, factors included.
    raw_support_ : ndarray of shape (n_samples,), bool
        The h rows.
    support_ : ndarray of shape (n_samples,), bool
        The rows that produced `covariance_`.
    weights_ : ndarray of shape (n_samples,), bool
        The rows within the cutoff of the final distances.
    d2_, dist_ : ndarray of shape (n_samples,)
        Squared distances of the training rows; `dist_` is scikit-learn's name for them.
    raw_d2_ : ndarray of shape (n_samples,)
        Squared distances to the raw estimate.
    objective_ : float
        :math:`\log \det S_H`, divisor h - 1 (h with a known location); minus infinity for an exact fit.
    n_support_ : int
        h.
    raw_factors_, factors_ : tuple of two floats
        Consistency and small-sample factor of the raw and of the reweighted scatter.
    exact_fit_ : ExactFit or None
        Hyperplane ``(normal, offset, rows)`` with at least h rows.
    alternative_ : Alternative or None
        The deterministic solution when the better subset calls other rows outlying; else, when the rows left out hold
        a separate cluster of a fifth of all rows or more, the solution that counts it in.
    method_ : str
        What found the subset: "fast", "deterministic", "exact", "univariate" or "classical" (h = n).
    whitener_, rank_, n_samples_, ddof_, n_features_in_, feature_names_in_
        As for every scatter; `rank_` is the dimension of the flat for an exact fit.

    Raises
    ------
    ValueError
        When n <= p + 1 (use `MRCD`), for a parameter out of range, for NaN or infinity, and when "exact" would visit
        too many subsets.

    Warns
    -----
    ExactFitWarning
        When h rows or more are found on a hyperplane (random starts find one that deterministic ones may miss). The
        estimate then lives inside it, with the robust fit of the rows on it; `residual` is how far a row lies off.
    AmbiguousFitWarning
        When one solution accepts and the other puts far out at least a tenth of the rows, as with a tight cluster of
        30 to 40 % of them; and when at least a fifth of the rows are left out and form a cluster with a valley between
        it and the bulk. Heavy tails have no such valley.

    Notes
    -----
    O((n_starts + sweeps) n p^2) time; above 600 rows starts run in groups, so that for many rows the time is that of
    some dozens of passes. O(n p) memory beyond the data. Above a million rows the search runs on a sample, the data
    are read in blocks (a memory-mapped array is never loaded), concentration ends when the objective falls by less
    than 1e-8, and no `alternative_` is sought. In concentration steps ties are broken by the order of rows,
    and no step raises the objective. p = 1 is solved exactly.

    References
    ----------
    .. [1] Rousseeuw, P. J. and Van Driessen, K. (1999). A fast algorithm for the minimum covariance determinant
       estimator. Technometrics 41, 212-223. :doi:`10.1080/00401706.1999.10485670`
    .. [2] Hubert, M., Rousseeuw, P. J. and Verdonck, T. (2012). A deterministic algorithm for robust location and
       scatter. Journal of Computational and Graphical Statistics 21, 618-637. :doi:`10.1080/10618600.2012.672100`
    .. [3] Pison, G., Van Aelst, S. and Willems, G. (2002). Small sample corrections for LTS and MCD. Metrika 55,
       111-123. :doi:`10.1007/s001840200191`
    .. [4] Hawkins, D. M. (1994). The feasible solution algorithm for the minimum covariance determinant estimator.
       Computational Statistics and Data Analysis 17, 197-210. :doi:`10.1016/0167-9473(92)00071-X`

    Examples
    --------
    >>> from fmahal import MinCovDet
    >>> from fmahal.datasets import load_hbk
    >>> X = load_hbk().data  # rows 0 to 13 were made outlying
    >>> mcd = MinCovDet(random_state=0).fit(X)
    >>> [int(i) for i in (~mcd.weights_).nonzero()[0]]
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    """

    robust = True
    scatter_kind = "mcd"

    def __init__(
        self,
        *,
        method: str = "auto",
        support_fraction: float | None = None,
        n_starts: int = 500,
        correction: str | None = "pison",
        reweight: float | None = 0.975,
        assume_centered: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        store_precision: bool = True,
    ):
        self.method = method
        self.support_fraction = support_fraction
        self.n_starts = n_starts
        self.correction = correction
        self.reweight = reweight
        self.assume_centered = assume_centered
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_precision = store_precision

    @property
    def affine_equivariant(self) -> bool:  # type: ignore[override]
        """Whether the method is: the deterministic starts are not."""
        return self.method in ("fast", "exact")

    @property
    def equivariances(self) -> frozenset[str]:  # type: ignore[override]
        """The transformations of all rows that leave squared distances as they are."""
        names = {"permutation", "scale", "columns"}
        if not self.assume_centered:
            names.add("translation")
        if self.affine_equivariant:
            names |= {"orthogonal"} if self.assume_centered else {"orthogonal", "affine"}
        return frozenset(names)

    def fit(self, X: ArrayLike, y: Any = None) -> MinCovDet:
        """Search the subset and estimate location and scatter.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, n_samples > n_features + 1.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self : MinCovDet
            The fitted estimator.

        Raises
        ------
        ValueError
            See the class.
        """
        options, jobs = self._options()
        rows = self._training_rows(X)
        options = options._replace(eps=float(np.finfo(rows.dtype).eps))
        n, p = rows.shape
        h = self._subset_size(n, p)
        if self.method == "exact" and p > 1:
            check_enumerable(n, h)
        rng = as_generator(self.random_state)

        def in_memory() -> Estimate:
            return estimate(np.asarray(rows, dtype=np.float64), h, options, rng)

        with thread_limit(jobs):
            large = n > LARGE_ROWS and p > 1 and h < n
            found = estimate_large(rows, h, options, rng, in_memory) if large else in_memory()
        self._keep(found, n, h, rows.dtype)
        self.alternative_ = alternative_to(rows, found, h, options)
        self._report()
        return self

    # ---------------------------------------------------------------- parameters

    def _options(self) -> tuple[Options, int | None]:
        self._check_flags("assume_centered", "store_precision")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}.")
        if self.correction not in CORRECTIONS:
            raise ValueError(
                f'correction must be "pison", "simulated", "asymptotic" or None, got {self.correction!r}.'
            )
        if not isinstance(self.n_starts, Integral) or isinstance(self.n_starts, bool) or self.n_starts < 1:
            raise ValueError(f"n_starts must be an integer of at least 1, got {self.n_starts!r}.")
        level = self.reweight
        if level is not None and not (_is_number(level) and 0.5 <= level < 1):
            raise ValueError(f"reweight must be a level in [0.5, 1), such as 0.975, or None, got {level!r}.")
        jobs = self.n_jobs
        if jobs is not None and (not isinstance(jobs, Integral) or isinstance(jobs, bool) or jobs == 0):
            raise ValueError(f"n_jobs must be a number of threads, -1 or None, got {jobs!r}.")
        options = Options(
            self.method,
            int(self.n_starts),
            self.correction,
            None if level is None else float(level),
            bool(self.assume_centered),
        )
        return options, None if jobs is None or jobs < 0 else int(jobs)

    def _subset_size(self, n: int, p: int) -> int:
        if n <= p + 1:
            raise ValueError(
                f"MinCovDet needs more than p + 1 rows, got n = {n} rows and p = {p} columns: every subset would be "
                "singular. Use MRCD, which is regularised, fewer columns, or more rows."
            )
        fraction = self.support_fraction
        if fraction is None:
            return (n + p + 1) // 2
        if not _is_number(fraction) or not 0 < fraction <= 1:
            raise ValueError(f"support_fraction must be in (0, 1], got {fraction!r}.")
        h = int(fraction * n)
        if h <= p or 2 * h < n - 1:
            raise ValueError(
                f"support_fraction={fraction!r} gives subsets of h = {h} of {n} rows; h must be at least p + 1 = "
                f"{p + 1} and half of the rows. Leave it None for h = {(n + p + 1) // 2}."
            )
        return h

    # ---------------------------------------------------------------- results

    def _keep(self, found: Estimate, n: int, h: int, dtype: Any) -> None:
        ddof = 0 if self.correction is None or self.assume_centered else 1
        self._store(found.location, found.whitener, n, covariance=found.covariance, ddof=ddof)
        self.raw_location_, self.raw_covariance_ = found.raw_location, found.raw_covariance
        self.raw_support_, self.support_ = found.raw_support, found.support
        self.raw_d2_, self.d2_ = found.raw_d2.astype(dtype, copy=False), found.d2.astype(dtype, copy=False)
        self.weights_ = found.weights
        self.raw_factors_, self.factors_ = found.raw_factors, found.factors
        self.objective_, self.method_, self.n_support_ = found.objective, found.origin, h
        self.exact_fit_: ExactFit | None = found.exact

    @property
    def dist_(self) -> FloatArray:
        """Squared distances of the training rows, `d2_`."""
        self._check_fitted("dist_")
        return self.d2_

    def _report(self) -> None:
        """Warn at the line that called `fit`."""
        if self.exact_fit_ is not None:
            message = exact_fit_message(self.exact_fit_, self.rank_, self._names())
            warnings.warn(message, ExactFitWarning, stacklevel=3)
        if self.alternative_ is not None:
            message = alternative_message(self.alternative_, self.support_, self.objective_)
            warnings.warn(message, AmbiguousFitWarning, stacklevel=3)

    # ---------------------------------------------------------------- scikit-learn's steps

    def correct_covariance(self, data: ArrayLike) -> FloatArray:
        """Return the raw covariance with its consistency factor.

        Parameters
        ----------
        data : array-like of shape (n_samples, n_features)
            The training rows; for scikit-learn's signature.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features)
            `raw_covariance_` times C(p, h/n) with ``correction=None``, else `raw_covariance_`, which has its factors.

        Notes
        -----
        O(p^2). Unlike scikit-learn's method it changes nothing.
        """
        check_is_fitted(self)
        rows = self._rows(data)
        n, p = rows.shape
        if self.correction is not None or self.n_support_ >= n:
            return self.raw_covariance_.copy()
        return self.raw_covariance_ * consistency_factor(p, self.n_support_ / n)

    def reweight_covariance(self, data: ArrayLike) -> tuple[FloatArray, FloatArray, np.ndarray]:
        """Return location, covariance and support of the reweighting step on the training rows.

        Parameters
        ----------
        data : array-like of shape (n_samples, n_features)
            The training rows.

        Returns
        -------
        location : ndarray of shape (n_features,)
            Mean of the rows within the cutoff.
        covariance : ndarray of shape (n_features, n_features)
            Their covariance with its factors.
        support : ndarray of shape (n_samples,), bool
            These rows.

        Raises
        ------
        ValueError
            When the number of rows is not that of the fit.

        Notes
        -----
        O(n p^2). Unlike scikit-learn's method it changes nothing, and the covariance has its factors.
        """
        check_is_fitted(self)
        rows = np.asarray(self._rows(data), dtype=np.float64)
        n, p = rows.shape
        if n != self.n_samples_:
            raise ValueError(
                f"data has {n} rows, the estimator was fitted on {self.n_samples_}: pass those rows."
            )
        if self.exact_fit_ is not None or self.reweight is None:
            return self.location_.copy(), self.covariance_.copy(), self.support_.copy()
        options, _ = self._options()
        support = weighting(self.raw_d2_, self.raw_support_, n, p, options)
        found: Moments = moments(rows, support, options.known)
        return found.location, scaled(found, self.factors_, options), support


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


@scatters.register(
    "detmcd", "Minimum covariance determinant from deterministic starts", order=61, applies=_applies
)
def _deterministic(**parameters: Any) -> MinCovDet:
    return MinCovDet(**({"method": "deterministic"} | parameters))
