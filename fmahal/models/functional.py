"""The Mahalanobis distances of the functional literature, by name."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn import covariance as sk
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils._set_output import _get_output_config

from .._typing import FloatArray
from ..scatter import resolve
from ..scatter.spectral import SpectralFilter
from ..spaces._base import CurveSpace
from ..spaces.functional import L2Space
from ..spaces.spherical import SphericalPCA
from .metric import MahalanobisMetric, _tell_skfda

_FILTERS = ("truncate", "rkhs", "ridge", "inverse")
_DEFAULTS = {"filter": "rkhs", "n_components": None, "alpha": 1e-2, "alpha_units": "leading"}


class FunctionalMahalanobis(MahalanobisMetric):
    r"""Mahalanobis distance of curves and surfaces, of :math:`L^2` or another space, with a regularised covariance.

    .. math:: d^2(x, y) = \sum_m g(\lambda_m)\, \langle x - y, e_m \rangle^2
       + g_0 \Bigl( \lVert x - y \rVert^2 - \sum_m \langle x - y, e_m \rangle^2 \Bigr)

    with the eigenvalues :math:`\lambda_m` and eigenfunctions :math:`e_m` of the covariance operator of the training
    curves. `filter` says what takes the place of :math:`1/\lambda`:

    ============ ================================== ================ =============================================
    filter       :math:`g(\lambda)`                 :math:`g_0`      known as
    ============ ================================== ================ =============================================
    "rkhs"       :math:`\lambda/(\lambda+\alpha)^2` 0                alpha-distance of Berrendero et al. [1]_
    "truncate"   :math:`1/\lambda`, leading K       0                FPCA semi-distance of Galeano et al. [2]_
    "ridge"      :math:`1/(\lambda+\alpha)`         :math:`1/\alpha` generalised distance :math:`d_p`,
                                                                     :math:`\alpha = 1/p`, of Ghiglietti et al. [3]_
    "inverse"    :math:`1/\lambda`                  0                distance of the empirical covariance
    ============ ================================== ================ =============================================

    A name for ``make_pipeline(space, scatter)`` together with `MahalanobisMetric`. It takes ``FDataGrid``,
    ``FDataBasis`` and, in a space with ``basis=``, ``FDataIrregular`` objects of scikit-fda, or arrays: (n, T) for
    curves on T equally spaced points of [0, 1]; ``space=L2Space(grid_points=t)`` for others.

    Parameters
    ----------
    filter : {"rkhs", "truncate", "ridge", "inverse"}, default="rkhs"
        The filter, by the table above.
    n_components : int, float or None, default=None
        Number of eigenpairs kept, for every filter; a float between 0 and 1 is a share of the variance. None: all
        above rounding, for "truncate" 0.95 of the variance.
    alpha : float, default=0.01
        Amount of regularisation of "rkhs" and "ridge".
    alpha_units : {"leading", "trace", "absolute"}, default="leading"
        Units of `alpha`: the largest eigenvalue, the sum of the eigenvalues, or units of an eigenvalue, which are the
        squared units of the curves times the length of the domain. With the first two neither the units of the curves
        nor those of time change a distance.
    weights : {"trapezoid", "simpson"} or array-like, optional
        Quadrature weights of `L2Space`, "trapezoid" by default; not together with `space`.
    space : transformer, optional
        Maps curves to coordinates, `L2Space` by default; a `SobolevSpace` sees derivatives too. Cloned.
    scatter : scatter, optional
        Any scatter in place of the spectral filter, and then without filter arguments. A robust one, such as
        ``MinCovDet()`` or ``MRCD()``, without `space`, works on the scores of `SphericalPCA`; `RobustSpectralFilter`
        on all coordinates. Cloned.

    Attributes
    ----------
    pipeline_ : Pipeline
        The fitted steps, "space" and "scatter", for a robust scatter with "scores" between them.
    space_ : transformer
        The fitted space.
    scatter_ : scatter
        The fitted scatter.
    estimator_ : Pipeline
        ``pipeline_``, by the name it has in `MahalanobisMetric`.
    whitener_ : Whitener
        The whitener of `scatter_`.
    eigenvalues_ : ndarray of shape (r,)
        Eigenvalues of the covariance operator, descending; of the covariance of `scatter_` if it is no filter.
    eigenfunctions_ : FData or ndarray of shape (r, ...)
        Eigenfunctions, of norm 1 in the space, as the kind of object that was fitted.
    location_ : FData or ndarray of shape (1, ...)
        The centre: the mean curve, or the robust one of `scatter_`.
    weights_per_curve_ : ndarray of shape (n_samples,) or None
        Weights with which curves enter a robust scatter, 0 for those left out; None for other scatters.
    n_features_in_ : int
        Values in each curve, for arrays.

    Raises
    ------
    ValueError
        For an unknown `filter`, `scatter` together with filter arguments, `weights` together with `space`; for curves
        with NaN, of another grid, domain or number of components than those of the fit, as `L2Space` reports them.

    See Also
    --------
    SpectralFilter : the scatter behind it, and `L2Space`, `SobolevSpace`: the spaces.
    MahalanobisMetric : the same for any estimator.
    MahalanobisDetector : p-values of these distances; it takes this object as its estimator.

    Notes
    -----
    A call is a **distance**: the triangle inequality holds. ``skfda.misc.metrics.MahalanobisDistance`` returns its
    square, with 10 components, an absolute alpha of 0.001 and Simpson weights, which depend on the direction of time
    on an even number of points. `mahalanobis`, the distance to the centre, is squared by default as in scikit-learn.
    With :math:`g_0 = 0` curves that differ off the span of the eigenfunctions have distance 0: a semi-metric.

    Fitted on classes, as by scikit-fda's classifiers, it pools them: the covariance is the total one.

    n curves on T points are fitted in O(n T min(n, T)) time, in less with few `n_components`, and scored in O(n T r).
    Eigenfunctions and centre are made when asked for; those of a scatter on q coordinates that is no filter in O(q^3).

    References
    ----------
    .. [1] Berrendero, J. R., Bueno-Larraz, B. & Cuevas, A. (2020). On Mahalanobis distance in functional settings.
       Journal of Machine Learning Research 21(9), 1-33. https://jmlr.org/papers/v21/18-156.html
    .. [2] Galeano, P., Joseph, E. & Lillo, R. E. (2015). The Mahalanobis distance for functional data with
       applications to classification. Technometrics 57, 281-291. :doi:`10.1080/00401706.2014.902774`
    .. [3] Ghiglietti, A., Ieva, F. & Paganoni, A. M. (2017). Statistical inference for stochastic processes: two-sample
       hypothesis tests. Journal of Statistical Planning and Inference 180, 49-68. :doi:`10.1016/j.jspi.2016.08.004`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import FunctionalMahalanobis
    >>> t = np.linspace(0.0, 1.0, 51)
    >>> level, slope = np.random.default_rng(0).standard_normal((2, 40, 1))
    >>> metric = FunctionalMahalanobis("truncate", n_components=2).fit(level + slope * t)
    >>> bool(metric(t, t + 5.0) > metric(t, 2.0 * t))
    True
    >>> metric.eigenfunctions_.shape
    (2, 51)
    """

    squared: bool = False
    pipeline_: Pipeline
    space_: Any
    scatter_: Any
    _spectrum: tuple[FloatArray, FloatArray] | None

    def __init__(
        self,
        filter: Literal["rkhs", "truncate", "ridge", "inverse"] = "rkhs",
        *,
        n_components: int | float | None = None,
        alpha: float = 1e-2,
        alpha_units: Literal["leading", "trace", "absolute"] = "leading",
        weights: Any = None,
        space: Any = None,
        scatter: Any = None,
    ):
        self.filter = filter
        self.n_components = n_components
        self.alpha = alpha
        self.alpha_units = alpha_units
        self.weights = weights
        self.space = space
        self.scatter = scatter
        _tell_skfda()

    # ---------------------------------------------------------------- steps

    def as_pipeline(self) -> Pipeline:
        """Return the pipeline that this name stands for.

        Returns
        -------
        pipeline : Pipeline
            ``pipeline_`` once fitted, else a new one of unfitted steps at each call.

        Raises
        ------
        ValueError
            For parameters that contradict each other, as the class says.

        Notes
        -----
        O(1): nothing is fitted.
        """
        known = self.__dict__.get("pipeline_")
        return self._new_pipeline() if known is None else known

    def _new_pipeline(self) -> Pipeline:
        self._check_parameters()
        if self.space is not None:
            space = clone(self.space)
        else:
            space = L2Space() if self.weights is None else L2Space(weights=self.weights)
        if self.scatter is None:
            scatter = SpectralFilter(
                self.filter, n_components=self.n_components, alpha=self.alpha, alpha_units=self.alpha_units
            )
            return Pipeline([("space", space), ("scatter", scatter)])
        steps = [("space", space), ("scatter", clone(self.scatter))]
        filters = hasattr(self.scatter, "alpha_units")  # a robust filter, which regularises by itself
        if self.space is None and _is_robust(self.scatter) and not filters:
            steps.insert(1, ("scores", SphericalPCA()))
        return Pipeline(steps)

    def _check_parameters(self) -> None:
        if not (isinstance(self.filter, str) and self.filter in _FILTERS):
            raise ValueError(
                f"filter must be one of {', '.join(map(repr, _FILTERS))}, got {self.filter!r}. For any other scatter "
                "pass scatter=."
            )
        for name in ("space", "scatter"):
            if isinstance(getattr(self, name), type):
                raise TypeError(
                    f"{name} must be an object, not a class: pass {getattr(self, name).__name__}()."
                )
        if self.scatter is not None and not hasattr(self.scatter, "get_precision"):
            raise TypeError(
                "scatter must be a scatter object, such as MinCovDet() or MRCD(), or None for the spectral filter; "
                f"got {self.scatter!r}."
            )
        if self.space is not None and not hasattr(self.space, "transform"):
            raise TypeError(
                "space must be a transformer of curves, such as L2Space() or SobolevSpace(), or None; "
                f"got {self.space!r}."
            )
        if self.weights is not None and self.space is not None:
            raise ValueError(
                "weights and space are both given: weights belong to the default space. Pass them to the space, for "
                "example space=SobolevSpace(1, weights=...)."
            )
        if self.scatter is None:
            return
        given = [
            f"{name}={getattr(self, name)!r}"
            for name, v in _DEFAULTS.items()
            if not _same(getattr(self, name), v)
        ]
        if given:
            raise ValueError(
                f"scatter={type(self.scatter).__name__} and {', '.join(given)} are both given: filter arguments "
                "describe the spectral filter that scatter replaces. Leave one of them out."
            )

    def _fitted_estimator(self, X: Any) -> Pipeline:
        pipeline = self._new_pipeline()
        resolve(pipeline)  # a TypeError when it gives no distances
        *before, (_, scatter) = pipeline.steps
        Z = X
        for _, step in before:  # as Pipeline.fit, whose own business takes longer than to read the curves
            Z = _fit_transform(step, Z)
        scatter.fit(Z)
        return pipeline

    def fit(self, X: Any, y: Any = None) -> FunctionalMahalanobis:
        """Estimate centre and covariance of curves.

        Parameters
        ----------
        X : FData or array-like of shape (n_samples, T), (n_samples, T, d) or (n_samples, T1, T2[, d])
            Training curves.
        y : Ignored
            For API consistency; classes are pooled.

        Returns
        -------
        self : FunctionalMahalanobis
            Fitted.

        Raises
        ------
        ValueError
            As the class says.

        Notes
        -----
        O(n T min(n, T)) time; less with few `n_components`.
        """
        super().fit(X)
        self.pipeline_ = self.estimator_
        self.space_ = self.pipeline_.named_steps["space"]
        self.scatter_ = self.pipeline_.named_steps["scatter"]
        self._spectrum = None
        return self

    # ---------------------------------------------------------------- facts

    @property
    def eigenvalues_(self) -> FloatArray:
        """Eigenvalues of the covariance operator, (r,), descending, in squared units of the curves times the domain."""
        return self._eigen()[0]

    @property
    def eigenfunctions_(self) -> Any:
        """Eigenfunctions, r of them, as the kind of object that was fitted; the largest coordinate is positive."""
        directions = self._eigen()[1]
        return self._curves(np.vstack([np.zeros_like(directions[:1]), directions]), linear=True)

    @property
    def location_(self) -> Any:
        """The centre, one curve of the kind that was fitted."""
        self._require("location_")
        return self._curves(np.asarray(self.scatter_.location_, dtype=np.float64)[None], linear=False)

    @property
    def weights_per_curve_(self) -> FloatArray | None:
        """Weights of the training curves in a robust scatter, (n_samples,); None for other scatters."""
        self._require("weights_per_curve_")
        if not _is_robust(self.scatter_):
            return None
        weights = getattr(self.scatter_, "weights_", getattr(self.scatter_, "support_", None))
        return None if weights is None else np.asarray(weights, dtype=np.float64)

    def _require(self, name: str) -> None:
        if "scatter_" not in self.__dict__:  # an AttributeError too, so that hasattr is False
            raise NotFittedError(f"This {type(self).__name__} has no {name} yet: call fit first.")

    def _eigen(self) -> tuple[FloatArray, FloatArray]:
        self._require("eigenvalues_")
        scatter = self.scatter_
        if hasattr(scatter, "eigenvalues_") and hasattr(scatter, "components_"):
            return scatter.eigenvalues_, scatter.components_
        known = self._spectrum
        if known is None:
            covariance = getattr(scatter, "covariance_", None)
            covariance = self.whitener_.covariance if covariance is None else covariance
            known = self._spectrum = _spectrum_of(np.asarray(covariance, dtype=np.float64))
        return known

    def _curves(self, Z: FloatArray, *, linear: bool) -> Any:
        """Curves of rows in the coordinates of the scatter; `linear`: of rows but the first, from where that one is."""
        for step in reversed(self._resolved[0]):
            if hasattr(step, "kind_"):  # the space of curves, a linear map; what is before it works on curves
                return step.inverse_transform(Z[1:] - Z[0] if linear else Z)
            if not hasattr(step, "inverse_transform"):
                raise AttributeError(
                    f"{type(step).__name__} has no inverse_transform: there is no way back from the coordinates of the "
                    "scatter to curves. Distances do not need it."
                )
            Z = np.asarray(step.inverse_transform(Z), dtype=np.float64)
        return Z[1:] - Z[0] if linear else Z


def _fit_transform(step: Any, X: Any) -> Any:
    """Return what the step's own method does, without scikit-learn's look for data frames where none is asked for."""
    plain = isinstance(step, CurveSpace) and _get_output_config("transform", step)["dense"] == "default"
    return step._fit_coordinates(X) if plain else step.fit_transform(X)


def _same(value: Any, default: Any) -> bool:
    """Tell whether a parameter has its default; an array, whose comparison has no truth value, has not."""
    return np.ndim(value) == 0 and bool(value == default)


def _is_robust(scatter: Any) -> bool:
    return getattr(scatter, "robust", False) is True or isinstance(scatter, sk.MinCovDet)


def _spectrum_of(covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Positive eigenvalues, descending, and eigenvectors in rows, the entry of largest size positive."""
    values, vectors = np.linalg.eigh(covariance)
    values, rows = values[::-1], vectors.T[::-1]
    kept = values > len(values) * np.finfo(float).eps * values[0]
    values, rows = values[kept], rows[kept]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return values, rows * np.sign(largest)


__all__ = ["FunctionalMahalanobis"]
