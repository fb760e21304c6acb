"""Outlier detection: a scatter, a null law and a level."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._typing import ArrayLike, FloatArray
from ..nulls import BaseNull, check_null, resolve_null
from ..scatter import resolve
from . import _steps
from ._misfit import warn_of_misfit
from ._streaming import StreamingMixin
from ._verdicts import VerdictMixin


class MahalanobisDetector(VerdictMixin, StreamingMixin, OutlierMixin, BaseEstimator):
    r"""Calibrated outlier detection by squared Mahalanobis distances.

    .. math:: d^2(x) = (x - m)^\top \Sigma^{-1} (x - m), \qquad \text{p-value} = 1 - F_0(d^2)

    A row is an outlier when its p-value is at most the level. Training rows and new rows follow different
    laws, because a training row took part in the estimate of m and :math:`\Sigma`: `pvalues_` and `labels_`
    judge the training rows by the first, `pvalues` and `predict` judge rows by the second, as rows not used
    in the fit. ``fit_predict(X)`` is ``fit(X).predict(X)``, so that verdicts on training rows are `labels_`.

    Parameters
    ----------
    estimator : scatter or Pipeline that ends in one, optional
        Any scatter of fmahal or covariance estimator of scikit-learn; in a Pipeline the steps before it map
        the rows to the space where distances are taken. It is cloned and fitted, also when it was fitted
        before. By default a robust one: ``MinCovDet(random_state=0)``, with a fixed seed so that two fits agree,
        for n >= 5 p (``method="deterministic"`` beyond 100 columns), and `MRCD` for fewer rows; only where `MRCD`
        would take long (n p^2 above 5e7 for p <= n, n^2 p above 2e9 for p > n) and for fewer than 4 rows
        `LedoitWolf`, which is not robust. It guards against training rows that are bad, at the price of trimming clean
        ones; where they are known to be clean, pass ``MinCovDet(support_fraction=0.9, random_state=0)``.
    null : str or null, default="auto"
        The law of squared distances when no row is an outlier: ``"auto"`` (exact where a law is known, else simulated
        or resampled, as `fmahal.nulls.auto_table` lists), ``"chi2"``, ``"normal"``, ``"bootstrap"``,
        ``"conformal"``, or an object such as ``ChiSquareNull(df=3)``.
    alpha : float, default=0.01
        Level, between 0 and 1: the share of clean rows that is called outlying.
    simultaneous : bool, default=False
        Whether `alpha` is the probability that any of n clean rows is called outlying, n being the number of
        training rows. Each row is then judged at level 1 - (1 - alpha)^(1/n), in `labels_` and in `predict`; at
        `alpha` by a null whose p-values account for all rows, such as ``BootstrapNull(statistic="max")``.

    Attributes
    ----------
    estimator_ : scatter or Pipeline
        The fitted estimator.
    null_ : null
        The fitted law, with `train_dist_` and `new_dist_`.
    d2_ : ndarray of shape (n_samples,)
        Squared distances of the training rows; ``null_.train_d2_`` when the null measures them in its own way, from an
        estimate of its own or each from the estimate without the row.
    pvalues_ : ndarray of shape (n_samples,)
        Their p-values by ``null_.train_dist_``.
    labels_ : ndarray of shape (n_samples,)
        -1 for training rows with a p-value of at most `level_`, else 1; a null with ``flags`` has its own rule.
    level_ : float
        The level at which one row is judged; of the null when it has its own (`EmpiricalNull`).
    cutoff_ : float
        Squared distance above which a new row is called outlying, ``null_.new_dist_.isf(level_)``.
    train_cutoff_ : float or ndarray of shape (n_samples,)
        The same for training rows, ``null_.train_dist_.isf(level_)``; an array for one law per row.
    cutoff_se_ : float or None
        Standard error of `cutoff_`: what the finite number of replicates adds, given the rows, and not how far other
        rows would move it; None for laws without resampling.
    offset_ : float
        ``-cutoff_``.
    contribution_names_ : ndarray of shape (n_coordinates,)
        Names of the columns of `contributions`.
    n_samples_ : int
        Number of training rows.
    n_features_in_ : int
        Number of columns seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of these columns, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN or infinity in `X` (rows and columns are named), `alpha` outside (0, 1), an unknown `null`, or
        as many columns as rows with an estimator that is not regularised.
    RankDeficientError
        When there are too few rows for the law; see `NormalTheoryNull`.

    Warns
    -----
    CalibrationWarning
        When ``null="auto"`` finds only an approximation. When more than a fifth of the training rows are flagged by a
        law of normal rows, most of them just beyond the cut-off: moderate outliers, or rows that are not normal.
    ExactFitWarning, AmbiguousFitWarning
        From robust estimators: most rows lie on a hyperplane (``estimator_.exact_fit_``), two fits compete, or a fifth
        of the rows or more are left out as a separate cluster (``estimator_.alternative_``).

    Notes
    -----
    `labels_`, `level_`, `cutoff_`, `cutoff_se_`, `train_cutoff_` and `offset_` follow `alpha` and `simultaneous`,
    which may be set without a refit. p-values come from the survival function and keep their digits in the tail.

    Rank-deficient training rows are judged inside the subspace that they span. Rows off that subspace cannot
    occur under the fitted law: their p-value is 0, their label -1, their score minus infinity, while
    `mahalanobis` and `contributions` stay finite and describe the part inside the subspace. All of them tie: how far
    off they are, ``estimator_.residual(X)`` of a scatter tells, in units that squared distances do not share.

    An estimator with `partial_fit`, such as ``EmpiricalCovariance(forgetting=0.99)``, gives the detector one too.

    Apart from the fit of the estimator, n rows cost O(n p rank) time and O(n p) memory.

    References
    ----------
    .. [1] Mahalanobis, P. C. (1936). On the generalised distance in statistics. Proceedings of the National
       Institute of Sciences of India 2, 49-55. Reprint: DOI 10.1007/s13171-019-00164-5
    .. [2] Tracy, N. D., Young, J. C. and Mason, R. L. (1992). Multivariate control charts for individual
       observations. Journal of Quality Technology 24(2), 88-95. DOI 10.1080/00224065.1992.12015232
    .. [3] Mayrhofer, M. and Filzmoser, P. (2023). Multivariate outlier explanations using Shapley values and
       Mahalanobis distances. Econometrics and Statistics. DOI 10.1016/j.ecosta.2023.04.003

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance, MahalanobisDetector
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> X[0] = [4.0, -4.0, 4.0]
    >>> detector = MahalanobisDetector(EmpiricalCovariance(), alpha=0.001).fit(X)
    >>> np.flatnonzero(detector.labels_ == -1)
    array([0])
    >>> detector.predict([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]])
    array([ 1, -1])
    """

    estimator_: Any
    null_: BaseNull
    d2_: FloatArray
    pvalues_: NDArray[np.float64]
    contribution_names_: NDArray[np.object_]
    n_samples_: int
    n_features_in_: int

    def __init__(
        self,
        estimator: Any = None,
        null: Any = "auto",
        *,
        alpha: float = 0.01,
        simultaneous: bool = False,
    ):
        self.estimator = estimator
        self.null = null
        self.alpha = alpha
        self.simultaneous = simultaneous

    def fit(self, X: ArrayLike, y: Any = None) -> MahalanobisDetector:
        """Fit the estimator and its law, and judge the training rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : MahalanobisDetector
            The fitted detector. When the fit fails, the results of an earlier fit stay as they were.
        """
        check_null(self.null)
        _steps.check_alpha(self.alpha)
        template = self._default_estimator(X) if self.estimator is None else self.estimator
        estimator, rows, Z = _steps.fit_estimator(template, X)
        space, scatter = resolve(estimator)
        subspace = _steps.fitted_subspace(scatter, Z.table)
        d2 = measured = _steps.squared_distances(scatter, Z).astype(np.float64)
        level = _steps.row_level(self.alpha, len(d2) if self.simultaneous else None)
        null = resolve_null(self.null, estimator, rows, alpha=level).fit(estimator, rows, d2)
        self._check_level(null, len(d2))
        d2 = getattr(null, "train_d2_", d2)  # a law may be about distances from an estimate of its own
        pvalues = np.asarray(null.train_dist_.sf(d2), dtype=np.float64)
        if subspace is not None and not getattr(null, "ranked_", False):
            pvalues[subspace.off_subspace(Z.table, scatter.location_)] = 0.0
        warn_of_misfit(null, scatter, d2, pvalues, self._level(null, len(d2)))
        names = _steps.coordinate_names(space, scatter, Z.table.shape[1])
        new_subspace = subspace
        if hasattr(null, "scorer_"):  # new rows are measured by it, perhaps in coordinates of its own
            new_subspace = _steps.fitted_subspace(resolve(null.scorer_)[1], Z.table)

        # Nothing can fail from here on, so that the attributes belong to one fit.
        validate_data(self, X, skip_check_array=True)
        self.estimator_, self.null_, self._subspace = estimator, null, new_subspace
        self.d2_, self.pvalues_, self.n_samples_ = d2, pvalues, len(d2)
        self._measured = measured  # by the estimator itself, by which displays know the training rows again
        self.contribution_names_ = names
        return self

    def _default_estimator(self, X: Any) -> Any:
        """Return the estimator that None stands for."""
        return _steps.default_for(X)

    def _check_level(self, null: Any, n: int) -> None:
        """Let a null of pooled distances say when they are too few for the level."""
        if hasattr(null, "check_level"):
            null.check_level(self._level(null, n))

    def _coordinates(self, X: Any) -> tuple[Any, _steps.Coordinates]:
        """Return the scatter for new rows and the rows in its coordinates."""
        check_is_fitted(self, "null_")
        # A law may bring its own scorer, for example one that was fitted without the calibration rows.
        space, scatter = resolve(getattr(self.null_, "scorer_", self.estimator_))
        Z = _steps.in_table(X) if space is None else _steps.in_space(space, space.transform(X))
        validate_data(self, X, skip_check_array=True, reset=False)
        return scatter, Z

    def _measure(self, X: Any) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return squared distances in float64 and which rows are off the training subspace."""
        scatter, Z = self._coordinates(X)
        d2 = _steps.squared_distances(scatter, Z).astype(np.float64)
        if self._subspace is None:
            return d2, np.zeros(d2.shape, dtype=bool)
        return d2, self._subspace.off_subspace(Z.table, scatter.location_)

    def mahalanobis(self, X: ArrayLike, *, squared: bool = True) -> FloatArray:
        """Mahalanobis distances of rows from the fitted location.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Rows.
        squared : bool, default=True
            Whether to return squared distances.

        Returns
        -------
        distances : ndarray of shape (n,)
            Squared distances, or their square roots. Of rows off the training subspace, the distance of the
            part inside it.
        """
        d2 = _steps.squared_distances(*self._coordinates(X))
        return d2 if squared else np.sqrt(d2)

    def pvalues(self, X: ArrayLike) -> NDArray[np.float64]:
        """p-values of rows that were not used in the fit.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            New rows; the p-values of training rows are `pvalues_`.

        Returns
        -------
        pvalues : ndarray of shape (n,)
            Probability that a clean new row has a larger squared distance; 0 off the training subspace, but for
            nulls that rank rows (`ConformalNull`) the rank of an infinite distance.
        """
        d2, off = self._measure(X)
        ranked = getattr(self.null_, "ranked_", False)
        if hasattr(self.null_, "pvalues"):
            pvalues = np.array(self.null_.pvalues(X), dtype=np.float64)
        else:
            pvalues = np.array(self.null_.new_dist_.sf(np.where(off & ranked, np.inf, d2)), dtype=np.float64)
        if not ranked:
            pvalues[off] = 0.0
        return pvalues

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Negative squared distances; the lower, the more outlying.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            New rows.

        Returns
        -------
        scores : ndarray of shape (n,)
            ``-mahalanobis(X)``, and minus infinity for rows off the training subspace.
        """
        d2, off = self._measure(X)
        return np.where(off, -np.inf, -d2)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Cut-off minus squared distance; negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            New rows.

        Returns
        -------
        scores : ndarray of shape (n,)
            ``score_samples(X) - offset_``, in units of squared distance. For a null with p-values of its own
            (``ConformalNull("full")``, whose sample is another one for each row) the cut-off is an approximation:
            near it `predict`, which goes by the p-value, may differ.
        """
        scores = self.score_samples(X)
        if np.isinf(self.offset_):  # nothing is beyond the cut-off, not even a row off the subspace
            return np.where(np.isneginf(scores), 0.0, np.inf)
        return scores - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Label new rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            New rows; the labels of training rows are `labels_`.

        Returns
        -------
        labels : ndarray of shape (n,)
            -1 where ``pvalues(X) <= level_``, else 1.
        """
        return _steps.labels(self.pvalues(X), self.level_)

    def fit_predict(self, X: ArrayLike, y: Any = None) -> NDArray[np.int64]:
        """Fit, then label the same rows as if they were new: ``fit(X).predict(X)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, else 1. `labels_`, which uses the law of training rows, is the calibrated verdict
            on these rows.
        """
        return self.fit(X).predict(X)

    def contributions(self, X: ArrayLike, method: Literal["shapley", "sequential"] = "shapley") -> FloatArray:
        r"""Share of each column in the squared distance of each row.

        .. math:: c_j(x) = (x - m)_j \, [\Sigma^{-1} (x - m)]_j, \qquad \sum_j c_j(x) = d^2(x)

        This is the Shapley value of the squared distance, when the worth of a set of columns is the squared
        distance of x with every other column put at its location. Entries may be negative: such a column makes
        the row less unusual, given the others.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Rows.
        method : {"shapley", "sequential"}, default="shapley"
            How the distance is divided: as above, or, for estimators with `sequential_contributions` (the
            modified Cholesky family), into what each column adds given those before it, never negative.

        Returns
        -------
        contributions : ndarray of shape (n, n_coordinates)
            Rows sum to ``mahalanobis(X)``, in units of squared distance. The columns are those of `X`, or in a
            Pipeline the coordinates that its last step sees; `contribution_names_` names them.

        Raises
        ------
        ValueError
            For an unknown `method`.

        Notes
        -----
        O(n p rank) time and O(n p) memory for estimators of fmahal.

        References
        ----------
        .. [1] Mayrhofer, M. and Filzmoser, P. (2023). Multivariate outlier explanations using Shapley values
           and Mahalanobis distances. Econometrics and Statistics. DOI 10.1016/j.ecosta.2023.04.003

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal import EmpiricalCovariance, MahalanobisDetector
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
        >>> detector.contributions([[0.0, 6.0, 0.0]]).argmax()  # the second column makes this row an outlier
        np.int64(1)
        """
        if method not in ("shapley", "sequential"):
            raise ValueError(f"method must be 'shapley' or 'sequential', got {method!r}.")
        scatter, Z = self._coordinates(X)
        if method == "shapley":
            return _steps.shapley_values(scatter, Z)
        if not hasattr(scatter, "sequential_contributions"):
            raise ValueError(
                f"method='sequential' needs an estimator with a sequence of regressions, such as ModifiedCholesky; "
                f"{type(scatter).__name__} has none. Use method='shapley'."
            )
        return scatter.sequential_contributions(Z.given)
