"""Do two samples of curves, or of rows, have the same mean? A permutation test in a Mahalanobis distance."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline

from .._random import as_generator
from .._typing import FloatArray, RandomState
from ..exceptions import CalibrationWarning, RankDeficientError, RankDeficientWarning
from ..models._steps import fit_estimator
from ..scatter import resolve
from ..scatter.spectral import SpectralFilter
from ..spaces import L2Space
from ..whitener import Whitener
from ._pooling import pooled_samples, taken
from ._splits import (
    Statistic,
    all_splits,
    at_least,
    enumerated,
    mean_statistic,
    random_splits,
    studentized_statistic,
)

_METHODS = ("permutation", "studentized")
_CONSTANT = 1e-9  # relative spread of the statistics of all splits that is rounding
_CURVES_EACH = 8  # of the smaller sample, for each direction that the default of "studentized" keeps
_CURVES_AT_LEAST = 4  # fewer, and the level of "studentized" is measurably off


@dataclass(frozen=True)
class TwoSampleResult:
    """Verdict of `two_sample_test`.

    Parameters
    ----------
    statistic : float
        Value of the test statistic for the samples as they are, in units of squared distance (a pure number).
    pvalue : float
        Share of splits with a statistic as large or larger, the observed split among them; at least
        ``1 / (n_permutations + 1)``.
    distance : float
        Distance d of the two means, **not squared**, in the metric of the estimator fitted to the pooled curves.
    n_samples : tuple of int
        Curves or rows of X and of Y.
    n_permutations : int
        Splits that were compared with the observed one.
    method : {"permutation", "studentized"}
        Which statistic.
    exact : bool
        Whether these were all the distinct splits there are, so that the p-value has no Monte Carlo error.
    null_statistics : ndarray of shape (n_permutations,)
        The statistic of each of these splits.

    Notes
    -----
    Frozen, picklable; memory O(n_permutations).

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance, two_sample_test
    >>> X, Y = np.random.default_rng(0).normal(size=(2, 30, 3))
    >>> result = two_sample_test(X, Y + 1.0, EmpiricalCovariance(), random_state=0)
    >>> result.pvalue, result.n_samples, result.exact
    (0.001, (30, 30), False)
    """

    statistic: float
    pvalue: float
    distance: float
    n_samples: tuple[int, int]
    n_permutations: int
    method: str
    exact: bool
    null_statistics: NDArray[np.float64] = field(repr=False, compare=False)

    def __repr__(self) -> str:
        of = (
            f"all {self.n_permutations} other splits"
            if self.exact
            else f"{self.n_permutations} random splits"
        )
        return (
            f"TwoSampleResult(pvalue={self.pvalue:.4g}, statistic={self.statistic:.4g}, distance={self.distance:.4g}, "
            f"n_samples={self.n_samples}, method={self.method!r}, against {of})"
        )


def two_sample_test(
    X: Any,
    Y: Any,
    estimator: Any = None,
    *,
    method: Literal["permutation", "studentized"] = "permutation",
    n_permutations: int = 999,
    random_state: RandomState = None,
) -> TwoSampleResult:
    r"""Test whether two samples of curves, or of rows, have the same mean.

    .. math:: T = \Bigl(\frac{1}{n_1} + \frac{1}{n_2}\Bigr)^{-1} d^2(\bar x, \bar y), \qquad
       p = \frac{1 + \#\{b : T_b \ge T\}}{1 + B}

    where d is the distance of `estimator`, fitted once to the pooled curves about the pooled mean, and :math:`T_b` is
    the statistic after the curves have been dealt out to two groups of the same sizes at random.

    Parameters
    ----------
    X : FData, array-like of shape (n_1, n_points) or (n_1, n_features)
        First sample, at least two curves or rows.
    Y : FData, array-like of shape (n_2, n_points) or (n_2, n_features)
        Second sample, of the same kind and on the same grid or in the same basis.
    estimator : scatter, Pipeline that ends in one, or FunctionalMahalanobis, optional
        What measures the distance; a clone is fitted. None stands for curves, and arrays are then curves on an equally
        spaced grid: ``make_pipeline(L2Space(), SpectralFilter("ridge"))``, the distance :math:`d_p` of Ghiglietti, Ieva
        and Paganoni, and for ``method="studentized"`` ``SpectralFilter("truncate")`` with 95 % of the
        variance, but at most one direction for 8 curves of the smaller sample. For rows without an order
        pass a scatter such as ``EmpiricalCovariance()`` or ``LedoitWolf()``.
    method : {"permutation", "studentized"}, default="permutation"
        "permutation" is the statistic above: exact when both samples come from one law but, for unequal covariances and
        unequal sizes, a test of equal laws rather than of equal means. "studentized" is
        :math:`(\bar x - \bar y)^\top (S_1/n_1 + S_2/n_2)^{-1} (\bar x - \bar y)` in the directions of
        the estimator, with both covariances computed anew for each split: exact under equal laws too, and
        asymptotically a test of equal means whatever the two covariances are.
    n_permutations : int, default=999
        Number B of random splits. When there are no more distinct ones than that they are all listed and the p-value
        has no Monte Carlo error.
    random_state : int, RandomState, Generator or None, default=None
        Source of the splits.

    Returns
    -------
    result : TwoSampleResult
        `pvalue`, `statistic` (squared), `distance` (not squared), and the statistics of the splits.

    Raises
    ------
    ValueError
        For an unknown method, fewer than one permutation, fewer than two curves in a sample, samples of different kinds
        or grids, NaN or infinity.
    RankDeficientError
        When an estimator without regularisation has no fewer columns than there are rows, or
        ``method="studentized"`` no fewer directions than the smaller sample has curves.

    Warns
    -----
    RankDeficientWarning
        When every split has the same statistic, so that the p-value is 1 whatever the data.
    CalibrationWarning
        When ``method="studentized"`` has more than one direction for 4 curves of the smaller sample.

    Notes
    -----
    *Why permutations are exact.* The estimator sees the pooled curves only, without their labels, so that its metric is
    the same for every split; that holds for robust and for regularised ones too. Under equal laws the
    observed split is then as good as any other, and :math:`P(p \le a) \le a` for every sample size, dimension and
    filter. A parametric bootstrap, which draws mean differences from the estimated covariances, has no such
    property: with fewer curves than dimensions the observed difference of the means leaves the span of
    the curves about their own means, where a ridge filter weighs it by 1 / alpha, while the drawn
    differences never do. For small alpha it rejects always. The pooled span holds the differences of the means of all
    splits.

    *Power.* The pooled covariance contains the difference of the means, so that T is bounded. For the full-rank
    empirical covariance it is an increasing function of Hotelling's :math:`T^2`, and the test is his with permutations
    in place of normality. With as many directions as curves less one and no regularisation all splits have the same T
    (see Warns), and with too little regularisation nearly so: raise `alpha` or keep fewer directions.

    *Unequal covariances.* The statistic of "studentized" has the chi-square law with K degrees of freedom in the limit,
    under the null and under random splits alike, for K fixed directions (Chung and Romano). The proof does not
    cover ridge filters, whose limit depends on the covariances, so only the directions of `estimator` matter
    here and not its weights: the statistic is the same for every invertible map of the coordinates. It is infinite when
    some direction separates the samples without any variance within them. Where the smaller sample
    scatters more the level is approached from above, the more slowly the more directions there are and the more unequal
    the samples.

    With an int the p-value depends neither on the order of the curves nor on which sample comes first: before they are
    dealt out, curves are put in the order of their distances from the pooled mean. Two exceptions: different curves at
    exactly equal distances, among which the order given decides which random splits are drawn, and estimators with
    random starts, which see the curves in random order for the sake of exactness.

    Besides the fit, B splits of n curves cost O(B n r) time for "permutation", as one blocked matrix product,
    with r the smaller of n and of the whitened columns; O(B (n K^2 + K^3)) for "studentized"; and memory for n r
    (n K) numbers and a block.

    References
    ----------
    .. [1] Ghiglietti, A., Ieva, F. and Paganoni, A. M. (2017). Statistical inference for stochastic processes:
       two-sample hypothesis tests. Journal of Statistical Planning and Inference 180, 49-68.
       DOI 10.1016/j.jspi.2016.08.004
    .. [2] Chung, E. and Romano, J. P. (2016). Multivariate and multiple permutation tests. Journal of Econometrics
       193(1), 76-91. DOI 10.1016/j.jeconom.2016.01.003
    .. [3] Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical Applications in
       Genetics and Molecular Biology 9(1), 39. DOI 10.2202/1544-6115.1585

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import two_sample_test
    >>> rng = np.random.default_rng(0)
    >>> t = np.linspace(0, 1, 50)
    >>> X = rng.normal(size=(20, 50)).cumsum(axis=1)
    >>> Y = rng.normal(size=(25, 50)).cumsum(axis=1)
    >>> bool(two_sample_test(X, Y, random_state=0).pvalue > 0.05)
    True
    >>> bool(two_sample_test(X, Y + 20 * t, random_state=0).pvalue < 0.05)
    True
    """
    if method not in _METHODS:
        raise ValueError(f"method must be one of {_METHODS}, got {method!r}.")
    if isinstance(n_permutations, bool) or not isinstance(n_permutations, Integral) or n_permutations < 1:
        raise ValueError(
            f"n_permutations must be a whole number, at least 1, got {n_permutations!r}: the smallest possible "
            "p-value is 1 / (n_permutations + 1), for example 0.001 with 999."
        )
    rng = as_generator(random_state)
    pooled, n1, n2 = pooled_samples(X, Y)
    first = np.arange(n1 + n2) < n1
    if _has_random_starts(estimator):  # rows drawn by number: let the numbers say nothing of the samples
        mixed = rng.permutation(n1 + n2)
        pooled, first = taken(pooled, mixed), first[mixed]
    Z = _whitened(pooled, estimator, method, min(n1, n2))
    gap = Z[first].mean(axis=0) - Z[~first].mean(axis=0)
    order = np.argsort(np.einsum("ij,ij->i", Z, Z), kind="stable")
    Z, small = Z[order], (first if n1 <= n2 else ~first)[order]
    m = min(n1, n2)
    measure = mean_statistic(Z, m) if method == "permutation" else studentized_statistic(_directions(Z, m), m)
    statistic, others, exact = _compared(measure, small, int(n_permutations), rng)
    return TwoSampleResult(
        statistic=statistic,
        pvalue=(1 + at_least(statistic, others)) / (1 + others.size),
        distance=float(np.sqrt(gap @ gap)),
        n_samples=(n1, n2),
        n_permutations=others.size,
        method=method,
        exact=exact,
        null_statistics=others,
    )


def _has_random_starts(estimator: Any) -> bool:
    """Whether a fit may depend on the order of the rows beyond rounding."""
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        return False
    settings = {name.rpartition("__")[2]: value for name, value in estimator.get_params().items()}
    return "random_state" in settings or settings.get("forgetting", 1.0) != 1.0


def _whitened(pooled: Any, estimator: Any, method: str, smaller: int) -> FloatArray:
    """Return whitened pooled rows (n, r), centred, r <= n, after a fit to all of them."""
    if estimator is not None:
        fitted, _, coordinates = fit_estimator(estimator, pooled)
    elif method == "permutation":
        fitted, _, coordinates = fit_estimator(make_pipeline(L2Space(), SpectralFilter("ridge")), pooled)
    else:
        fitted, coordinates = _fit_truncated(pooled, max(1, smaller // _CURVES_EACH))
    Z = _whitened_rows(resolve(fitted)[1], coordinates.table)
    Z = Z - Z.mean(axis=0)  # robust scatters have other centres; only differences matter
    if Z.shape[1] > Z.shape[0]:  # the same inner products in as many columns as rows
        Z = np.asarray(np.linalg.qr(Z.T, mode="r")).T
    return np.ascontiguousarray(Z)


def _whitened_rows(scatter: Any, rows: FloatArray) -> FloatArray:
    """Return the whitened training rows of a fitted scatter."""
    if isinstance(scatter, SpectralFilter) and (scatter.n_components is None or scatter.filter != "ridge"):
        return scatter._training_whitened()  # no training row has a part off the components that counts
    centred = np.subtract(rows, scatter.location_, dtype=np.float64)
    if isinstance(getattr(scatter, "whitener_", None), Whitener):
        return scatter.whitener_.whiten(centred)
    values, vectors = np.linalg.eigh(scatter.get_precision())
    return np.asarray((centred @ vectors) * np.sqrt(np.maximum(values, 0.0)))


def _fit_truncated(pooled: Any, at_most: int) -> tuple[Any, Any]:
    """Return the fitted default of "studentized" and the coordinates of the curves."""
    space = L2Space()
    fitted, _, coordinates = fit_estimator(make_pipeline(space, SpectralFilter("truncate")), pooled)
    if fitted[-1].n_components_ > at_most:
        few = make_pipeline(space, SpectralFilter("truncate", n_components=at_most))
        fitted, _, coordinates = fit_estimator(few, pooled)
    return fitted, coordinates


def _check_directions(K: int, smaller: int) -> None:
    """Refuse, or warn of, more directions than the smaller sample can studentise."""
    advice = (
        'Keep fewer directions, for example SpectralFilter("truncate", n_components='
        f"{max(1, smaller // _CURVES_EACH)}) as the last step."
    )
    if smaller <= K:
        raise RankDeficientError(
            f"method='studentized' inverts covariances in {K} directions, and the smaller "
            f"sample has {smaller} curves or rows. {advice} A ridge filter, which weighs every direction, goes with "
            "method='permutation'."
        )
    if smaller < K * _CURVES_AT_LEAST:
        warnings.warn(
            f"method='studentized' with {K} directions and {smaller} curves or rows in the smaller sample: with "
            f"unequal covariances it may reject more often than it should. {advice}",
            CalibrationWarning,
            stacklevel=4,
        )


def _directions(Z: FloatArray, smaller: int) -> FloatArray:
    """Return an orthogonal basis of the columns of centred `Z`, with sum of products n - 1 times the identity."""
    U, s, _ = np.linalg.svd(Z, full_matrices=False)
    kept = s > max(Z.shape) * np.finfo(float).eps * s[0] if s.size else np.zeros(0, dtype=bool)
    _check_directions(int(kept.sum()), smaller)
    return np.ascontiguousarray(U[:, kept]) * np.sqrt(len(Z) - 1.0)


def _compared(
    statistic: Statistic, small: NDArray[np.bool_], n_permutations: int, rng: np.random.Generator
) -> tuple[float, NDArray[np.float64], bool]:
    """Return the observed statistic, those of other splits, and whether these are all of them."""
    n, m = small.size, int(small.sum())
    observed = float(statistic(small[None, :].astype(np.float64))[0])
    exact = all_splits(n, m, n_permutations + 1) is not None
    blocks: Iterator[FloatArray] = enumerated(small) if exact else random_splits(n, m, n_permutations, rng)
    others = np.concatenate([statistic(labels) for labels in blocks])
    _check_spread(observed, others)
    return observed, others, exact


def _check_spread(observed: float, others: FloatArray) -> None:
    """Warn when all splits have one and the same statistic."""
    values = np.append(others, observed)
    if np.isfinite(values).all() and others.size > 1 and np.ptp(values) <= _CONSTANT * values.max():
        warnings.warn(
            "Every split of the pooled curves or rows has the same statistic, so that the p-value is 1 whatever the "
            "data. Usual cause: as many directions as rows less one without regularisation. Use "
            'SpectralFilter("ridge") with a larger alpha, or fewer components.',
            RankDeficientWarning,
            stacklevel=4,
        )
