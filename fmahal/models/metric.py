"""Distances between elements: a fitted scatter, perhaps behind a space, as a metric."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from .._typing import ArrayLike, FloatArray
from .._validation import as_rows, check_finite
from ..distance import mahalanobis
from ..scatter import resolve
from ..scatter.base import BaseScatter
from ..spaces._fdata import is_fdata
from ..whitener import Whitener
from . import _steps
from ._folding import Folded, blockwise, fold
from ._pairwise import CLOSE, pairwise_sqnorm, pairwise_whitened, same_elements

_NOT_FITTED = (
    "This %(name)s is not fitted yet: call fit first. The neighbours, centroids and depths of scikit-fda fit the "
    "metric they are given; its clusterings and outlier detectors want a fitted one."
)
_known_to: Any = None  # the generic function of scikit-fda that knows the fast way to all pairs


class MahalanobisMetric(BaseEstimator):
    r"""Mahalanobis distance between two elements, rows or curves, by any scatter or pipeline.

    .. math:: d(x, y) = \lVert W (\varphi(x) - \varphi(y)) \rVert, \qquad W^\top W = \Sigma^{-1}

    with the space :math:`\varphi` and the scatter :math:`\Sigma` of `estimator`. It follows the protocol of
    scikit-fda's metrics (``fit(X)`` and a call with two sets of elements), so that its neighbours, centroids, depths
    and clusterings take it as ``metric=``, and scikit-learn's, which call it with two vectors.

    Parameters
    ----------
    estimator : scatter or Pipeline that ends in one
        Any scatter of fmahal or covariance estimator of scikit-learn; in a Pipeline the steps before it map the
        elements to the space where distances are taken. It is cloned and fitted.
    squared : bool, default=False
        Whether to return squared distances. These are no metric: the triangle inequality holds for their roots only.

    Attributes
    ----------
    estimator_ : scatter or Pipeline
        The fitted estimator.
    whitener_ : Whitener
        W, which takes differences of elements in the coordinates of the scatter.
    n_features_in_ : int
        Columns seen by `estimator_`, where it counts them.

    Raises
    ------
    ValueError
        For NaN, infinity or elements of another shape or another grid than those of the fit, as the space and the
        scatter report them; two sets of different lengths in a call; `squared` that is no bool.
    TypeError
        When `estimator` does not end in a scatter.
    NotFittedError
        For distances before `fit`.

    See Also
    --------
    FunctionalMahalanobis : the metric of curves by name.
    cdist, pdist : the same from a matrix, without an estimator.

    Notes
    -----
    A metric when :math:`\Sigma` has full rank, else a semi-metric: elements whose difference lies off the subspace of
    the whitener have distance 0 with its policy ``outside="ignore"``, infinity with ``"inf"``. Distances do not depend
    on the estimated location.

    The neighbours, centroids and depths of scikit-fda fit the metric they are given, to all classes pooled; its
    clusterings and outlier detectors take it as it is, fitted before.

    When scikit-fda is loaded, its ``PairwiseMetric`` finds `pairwise` by itself: O((n + m) q rank + n m rank) time for
    n and m elements of q coordinates, and O((n + m) q + n m) memory, where it would else form n m differences of
    curves. scikit-fda itself is never imported here.

    References
    ----------
    .. [1] Mahalanobis, P. C. (1936). On the generalised distance in statistics. Proceedings of the National
       Institute of Sciences of India 2, 49-55. Reprint: :doi:`10.1007/s13171-019-00164-5`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance, MahalanobisMetric
    >>> X = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> metric = MahalanobisMetric(EmpiricalCovariance()).fit(X)
    >>> metric(X[:2], X[2:])
    array([2., 2.])
    >>> metric.pairwise(X).round(3)[0]
    array([0.   , 2.828, 2.   , 2.   ])
    """

    whitener_: Whitener

    def __init__(self, estimator: Any, *, squared: bool = False):
        self.estimator = estimator
        self.squared = squared
        _tell_skfda()

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        _tell_skfda()

    def fit(self, X: Any, y: Any = None) -> MahalanobisMetric:
        """Fit a clone of the estimator.

        Parameters
        ----------
        X : FData or array-like of shape (n_samples, ...)
            Training elements, as the first step of the estimator takes them.
        y : Ignored
            For API consistency; classes are pooled.

        Returns
        -------
        self : MahalanobisMetric
            Fitted.

        Raises
        ------
        ValueError
            As the class says.

        Notes
        -----
        The time of the estimator's own fit; for a scatter without a whitener O(p^3) more.
        """
        if not isinstance(self.squared, bool | np.bool_):
            raise ValueError(f"squared of {type(self).__name__} must be True or False, got {self.squared!r}.")
        estimator = self._fitted_estimator(X)
        space, scatter = resolve(estimator)
        whitener = getattr(scatter, "whitener_", None)
        if not isinstance(whitener, Whitener):
            whitener = Whitener.from_precision(scatter.get_precision())
        self.estimator_ = estimator
        self.whitener_ = whitener
        self._resolved = _flat(space), scatter
        self._folded = fold(*self._resolved, whitener)
        self._element_ndim = None if is_fdata(X) else np.ndim(X)
        _tell_skfda()
        return self

    def _fitted_estimator(self, X: Any) -> Any:
        if isinstance(self.estimator, type):
            raise TypeError(f"estimator must be an object, not a class: pass {self.estimator.__name__}().")
        resolve(self.estimator)  # a TypeError when it gives no distances
        return clone(self.estimator).fit(X)

    def __call__(self, e1: Any, e2: Any) -> Any:
        """Distances between the elements of two sets, one by one.

        Parameters
        ----------
        e1, e2 : FData or array-like of shape (n_samples, ...)
            Two sets of as many elements, or one of a single element, which meets each of the other.

        Returns
        -------
        distances : ndarray of shape (n_samples,), or float for two single vectors
            Distances (squared ones if `squared`), exactly 0 between equal elements, float64.

        Raises
        ------
        ValueError
            As the class says.
        NotFittedError
            Before `fit`.

        Notes
        -----
        O(n q rank) for n elements of q coordinates.
        """
        _tell_skfda()
        A = self._coordinates(e1)
        B = A if e2 is e1 else self._coordinates(e2)
        if len(A) != len(B) and 1 not in (len(A), len(B)):
            raise ValueError(
                f"{type(self).__name__} compares elements one by one: got {len(A)} and {len(B)} of them. Pass as many, "
                "or a single one on one side; for all pairs use pairwise(X, Y)."
            )
        differences = A - B
        if self._inexact_space():
            _cancel_equal(differences, A, self._elements(e1), self._elements(e2))
        distances = mahalanobis(differences, whitener=self.whitener_, squared=bool(self.squared))
        return float(distances[0]) if self._is_single(e1) and self._is_single(e2) else distances

    def pairwise(self, X: Any, Y: Any = None) -> FloatArray:
        """Distances between all elements of two sets.

        Parameters
        ----------
        X : FData or array-like of shape (n_samples_X, ...)
            Elements.
        Y : FData or array-like of shape (n_samples_Y, ...), optional
            Other elements; by default those of `X`.

        Returns
        -------
        distances : ndarray of shape (n_samples_X, n_samples_Y)
            Distances (squared ones if `squared`), float64, exactly 0 between equal elements; without `Y` exactly
            symmetric.

        Raises
        ------
        ValueError
            As the class says.
        NotFittedError
            Before `fit`.

        Notes
        -----
        Elements are whitened once, O((n + m) q rank), and compared by differences up to rank 16, else by one GEMM,
        O(n m rank); with a ridge on the rest of the space and elements off the span of the scatter O(n m q). Pairs
        that are close compared with the elements are measured again from their difference.
        """
        Y = None if Y is X else Y
        Z, U = self._whitened(X), None if Y is None else self._whitened(Y)
        if Z is not None and (Y is None or U is not None):
            d2 = pairwise_whitened(Z, U, lambda: self._both(X, Y), self.whitener_)
        else:
            d2 = self._pairwise(X, Y)
        return d2 if self.squared else np.sqrt(d2, out=d2)

    def _both(self, X: Any, Y: Any) -> tuple[FloatArray, FloatArray]:
        A = self._coordinates(X)
        return A, A if Y is None else self._coordinates(Y)

    def _pairwise(self, X: Any, Y: Any) -> FloatArray:
        """Squared distances by way of the coordinates."""
        A = self._coordinates(X)
        B = None if Y is None else self._coordinates(Y)
        same = None
        if self._inexact_space():
            first = self._elements(X)
            same = same_elements(first, first if B is None else self._elements(Y))
        return pairwise_sqnorm(A, B, self.whitener_, self._scatter.location_, same)

    def mahalanobis(self, X: Any, *, squared: bool = True) -> FloatArray:
        r"""Squared distances of elements to the location of the scatter.

        Parameters
        ----------
        X : FData or array-like of shape (n_samples, ...)
            Elements.
        squared : bool, default=True
            Whether to return squared distances, as scikit-learn's scatters do, or their roots.

        Returns
        -------
        d2 : ndarray of shape (n_samples,)
            Squared distances (distances if not `squared`).

        Raises
        ------
        ValueError
            As the class says.
        NotFittedError
            Before `fit`.

        Notes
        -----
        O(n q rank) for n elements of q coordinates.
        """
        self._require_fit()
        (steps, scatter), whitener = self._resolved, self.whitener_
        Z = self._whitened(X)
        d2 = None if Z is None else np.einsum("ij,ij->i", Z, Z)
        if Z is None:
            d2 = blockwise(steps, self._elements(X), scatter.location_, whitener)
        if d2 is None or not np.isfinite(d2.sum()):  # what is wrong there, the long way says
            return mahalanobis(self._coordinates(X), scatter.location_, whitener=whitener, squared=squared)
        return d2 if squared else np.sqrt(d2, out=d2)

    # ---------------------------------------------------------------- inside

    @property
    def n_features_in_(self) -> int:
        """Columns seen by `estimator_`, where it counts them."""
        if "estimator_" not in self.__dict__:
            raise AttributeError(f"This {type(self).__name__} has no n_features_in_ yet: call fit first.")
        return self.estimator_.n_features_in_

    @property
    def _scatter(self) -> Any:
        return self._resolved[1]

    def _is_single(self, X: Any) -> bool:
        return self._element_ndim is not None and not is_fdata(X) and np.ndim(X) == self._element_ndim - 1

    def _elements(self, X: Any) -> Any:
        return np.asarray(X)[None] if self._is_single(X) else X

    def _whitened(self, X: Any) -> FloatArray | None:
        """Return whitened rows about the location, straight from the values; None where there is no short way."""
        folded: Folded | None = self.__dict__.get("_folded")
        if folded is None:
            return None
        return folded.whiten(self._resolved[0][0]._read_again(self._elements(X)).values)

    def _inexact_space(self) -> bool:
        """Whether equal elements may get coordinates that differ by rounding, as products of other sizes do."""
        return any(getattr(step, "kind_", "") not in ("grid", "array") for step in self._resolved[0])

    def _require_fit(self) -> None:
        if "estimator_" not in self.__dict__:  # the check itself takes as long as many a distance
            check_is_fitted(self, "estimator_", msg=_NOT_FITTED)

    def _coordinates(self, X: Any) -> FloatArray:
        """Return the finite (n, q) rows, float64, on which the scatter works."""
        self._require_fit()
        steps, scatter = self._resolved
        single = self._is_single(X)
        if (
            single and not steps
        ):  # no look at column names, which a vector has not: scikit-learn comes n^2 times
            rows = as_rows(X, n_features=self.whitener_.shape[1])
            check_finite(rows, "X")
            return rows.astype(np.float64, copy=False)
        if not steps:
            rows = _table(scatter, X)
            check_finite(rows, "X", getattr(scatter, "feature_names_in_", None))
            return rows.astype(np.float64, copy=False)
        Z = self._elements(X) if single else X
        for step in steps:
            Z = step.transform(Z)
        name = "The output of the steps before the scatter"
        rows = as_rows(Z, name=name, n_features=self.whitener_.shape[1])
        looked = hasattr(steps[-1], "kind_")  # a space of curves has looked for NaN by itself
        if not looked and not np.isfinite(rows.sum(dtype=np.float64)):
            check_finite(rows, name, _steps.coordinate_names(steps[-1], None, rows.shape[1]))
        return rows.astype(np.float64, copy=False)


def _table(scatter: Any, X: ArrayLike) -> FloatArray:
    if isinstance(scatter, BaseScatter):
        return scatter._rows(X)
    if isinstance(scatter, BaseEstimator):
        return validate_data(scatter, X, reset=False, dtype=[np.float64, np.float32], ensure_all_finite=False)
    return _steps.as_table(X)


def _flat(space: Any) -> list[Any]:
    """Return the transformers in order, those of pipelines inside pipelines too."""
    if not isinstance(space, Pipeline):
        return [] if space is None or isinstance(space, str) else [space]
    return [inner for _, step in space.steps for inner in _flat(step)]


def _cancel_equal(differences: FloatArray, A: FloatArray, e1: Any, e2: Any) -> None:
    """Set to zero the differences of coordinates, in place, of elements that are equal."""
    size, length = (np.einsum("ij,ij->i", V, V) for V in (differences, A))
    i = np.flatnonzero(size <= CLOSE * length)
    if i.size:
        n, m = len(A), len(differences)
        k = i if len(e2) == m else np.zeros_like(i)
        equal = same_elements(e1, e2)(i if n == m else np.zeros_like(i), k)
        differences[i[equal]] = 0.0


def _pairwise_of_skfda(metric: MahalanobisMetric, elem1: Any, elem2: Any) -> FloatArray:
    return metric.pairwise(elem1, elem2)


def _tell_skfda() -> None:
    """Register `pairwise` with scikit-fda's ``PairwiseMetric``, once, as soon as its curves exist.

    ``skfda`` loads its parts on demand: without ``skfda.representation`` nobody holds a curve, and where it is loaded
    the metrics come in milliseconds.
    """
    global _known_to
    if "skfda.representation" not in sys.modules:
        return
    try:
        generic = importlib.import_module("skfda.misc.metrics").pairwise_metric_optimization
    except (ImportError, AttributeError):  # a version without it calls the metric on pairs: slow, and right
        return
    if generic is not _known_to:
        generic.register(MahalanobisMetric, object, object)(_pairwise_of_skfda)
        _known_to = generic


__all__ = ["MahalanobisMetric"]
