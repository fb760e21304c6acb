"""Which part of the domain makes a curve unusual."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .._typing import FloatArray
from ..models._steps import in_space
from ..scatter import resolve
from ..spaces._contributions import TimeContributions
from ..whitener import Whitener

_MOST_PROBED = 4096  # columns of a step without components_ whose matrix is read off unit vectors
_LINEAR = 1e-6  # of the size of the terms

_ADVICE = (
    "For the share of each column of the coordinates that the scatter sees, use "
    "MahalanobisDetector(...).fit(X).contributions(X)."
)


def functional_contributions(estimator: Any, X: Any) -> TimeContributions:
    r"""Split the squared distance of each curve along its domain.

    .. math:: c(t) = \sum_k v_k(t)\, (P v)_k(t), \qquad \int c(t)\, dt = \langle v, P v \rangle = d^2(x),
       \qquad v = x - m

    with the centre m and the precision operator P of the fitted estimator, and one term for each component k of
    vector-valued curves. On a grid it is the Shapley value of the squared distance, point by point, when the worth of a
    set of points is the squared distance of the curve with its other values put at the centre.

    Parameters
    ----------
    estimator : fitted detector, FunctionalMahalanobis, MahalanobisMetric or Pipeline
        Its space must have `split_contributions`, as `L2Space` and `SobolevSpace` do. Linear learned steps may follow
        the space, such as `SphericalPCA` or scikit-learn's PCA: they need an `inverse_transform`.
    X : FData or array-like
        Curves, as the estimator takes them.

    Returns
    -------
    contributions : TimeContributions
        `density` (n, T, d), squared distance per unit of the domain, `weights` of the quadrature and `grid_points`;
        `total` (n,), the squared distances, `components` (n, d), `peaks` and `intervals(edges)`.

    Raises
    ------
    NotFittedError
        When the estimator is not fitted.
    TypeError
        When there is no space that can split along a domain, or a step between the space and the scatter is not
        linear; the message names it.

    Notes
    -----
    The sum of weights times density is the squared distance to rounding for curves on a grid, and to the accuracy of
    the quadrature in a basis. The density may be negative: correlation lets one part of a curve excuse another, so
    that a point or an interval can make the curve less unusual, given the rest. With ``outside="inf"`` the finite part
    of the distance is split.

    The total is ``mahalanobis(X)``. The ``d2_`` of a detector whose law leaves each training curve out, as that of
    `RobustSpectralFilter` and conformal ones do, are other distances; `FunctionalOutlierDisplay` draws the parts of
    training curves scaled to them. A detector whose null law scores new curves by another fit (conformal ones) is split
    by that fit, as in its `contributions`.

    n curves cost what their distances do, O(n T r), plus O(n T).

    References
    ----------
    .. [1] Mayrhofer, M. and Filzmoser, P. (2023). Multivariate outlier explanations using Shapley values and
       Mahalanobis distances. Econometrics and Statistics. DOI 10.1016/j.ecosta.2023.04.003

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from fmahal import SpectralFilter, functional_contributions
    >>> from fmahal.spaces import L2Space
    >>> t = np.linspace(0, 1, 101)
    >>> X = np.random.default_rng(0).normal(size=(50, 101)).cumsum(axis=1) / 10
    >>> X[0] += 3 * np.exp(-((t - 0.7) ** 2) / 2e-4)
    >>> pipeline = make_pipeline(L2Space(), SpectralFilter("ridge")).fit(X)
    >>> split = functional_contributions(pipeline, X)
    >>> print(f"{split.peaks[0, 0]:.2f}")  # where the density is largest
    0.70
    """
    steps, scatter = _fitted_steps(estimator)
    if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype.kind in "fiu":
        raise ValueError(
            "X is one vector, and curves are rows: for a single curve x pass x[None], of shape (1, T)."
        )
    place = _place_of_space(steps, scatter)
    coordinates = X
    for step in steps[:place]:  # smoothing and registration: the split is along what they return
        coordinates = step.transform(coordinates)
    space = steps[place]
    rows = in_space(space, space.transform(coordinates)).table
    later = steps[place + 1 :]
    Z: Any = rows
    for step in later:
        Z = step.transform(Z)
    centred = np.subtract(np.asarray(Z), scatter.location_, dtype=np.float64)
    G = _precision_dot(scatter, centred)
    d2 = np.einsum("ij,ij->i", centred, G)
    centre: FloatArray = np.asarray(scatter.location_, dtype=np.float64)[None, :]
    for step in reversed(later):
        G = _adjoint(step, G)
        centre = _pulled_back(step, centre)
    V: FloatArray = np.subtract(rows, centre, dtype=np.float64)
    if later:
        _check_linear(rows, V * G, G, d2, later)
    split: TimeContributions = space.split_contributions(V, G)
    return split


def _fitted_steps(estimator: Any) -> tuple[list[Any], Any]:
    """Return the fitted steps before the scatter, and the scatter."""
    if hasattr(estimator, "null"):  # a detector: new curves are measured as it does
        check_is_fitted(estimator, "null_")
        estimator = getattr(estimator.null_, "scorer_", estimator.estimator_)
    elif not hasattr(estimator, "as_pipeline") and hasattr(
        estimator, "estimator"
    ):  # a metric around an estimator
        check_is_fitted(estimator, "estimator_")
        estimator = estimator.estimator_
    space, scatter = resolve(estimator)
    if not hasattr(scatter, "location_"):
        raise NotFittedError(f"This {type(estimator).__name__} is not fitted: call fit first.")
    return (
        [] if space is None else [step for _, step in space.steps if step not in (None, "passthrough")]
    ), scatter


def _place_of_space(steps: list[Any], scatter: Any) -> int:
    """Return the index of the space; a TypeError when there is none."""
    for k, step in enumerate(steps):
        if hasattr(step, "split_contributions"):
            return k
    if not steps:
        raise TypeError(
            f"{type(scatter).__name__} is fitted to rows without a space in front of it, so that there is no domain to "
            f"split along. For curves use make_pipeline(L2Space(), {type(scatter).__name__}(...)). {_ADVICE}"
        )
    names = ", ".join(type(step).__name__ for step in steps)
    raise TypeError(
        f"The space in front of {type(scatter).__name__}, {names}, has no split_contributions: it does not know the "
        f"domain of the curves. Use L2Space or SobolevSpace as the space. {_ADVICE}"
    )


def _precision_dot(scatter: Any, centred: FloatArray) -> FloatArray:
    """Return precision times centred rows."""
    whitener = getattr(scatter, "whitener_", None)
    if isinstance(whitener, Whitener):
        return whitener.precision_dot(centred)
    return np.asarray(centred @ scatter.get_precision())


def _adjoint(step: Any, G: FloatArray) -> FloatArray:
    """Return rows A'g for the linear part A of a step that maps v to A v + b."""
    components = getattr(step, "components_", None)
    if components is not None and not getattr(step, "whiten", False):
        return np.asarray(G @ components)
    q = int(step.n_features_in_)
    if q > _MOST_PROBED:
        raise TypeError(
            f"{type(step).__name__} stands between the space and the scatter and has no components_: with {q} columns "
            f"its matrix is too large to be read off. {_ADVICE}"
        )
    A = np.asarray(step.transform(np.eye(q)), dtype=np.float64) - np.asarray(step.transform(np.zeros((1, q))))
    return np.asarray(G @ A.T)


def _pulled_back(step: Any, centre: FloatArray) -> FloatArray:
    """Return the coordinates before a step of the centre after it."""
    if not hasattr(step, "inverse_transform"):
        raise TypeError(
            f"{type(step).__name__} stands between the space and the scatter and has no inverse_transform, so that the "
            f"centre of the distances is not known as a curve. Use SphericalPCA or PCA. {_ADVICE}"
        )
    return np.asarray(step.inverse_transform(centre), dtype=np.float64)


def _check_linear(
    rows: FloatArray, terms: FloatArray, G: FloatArray, d2: FloatArray, later: list[Any]
) -> None:
    """Raise a TypeError where the terms do not add up to the squared distances, which linear steps imply."""
    rounding = (
        32.0 * float(np.finfo(rows.dtype).eps) * np.linalg.norm(rows, axis=1) * np.linalg.norm(G, axis=1)
    )
    if (np.abs(terms.sum(axis=1) - d2) > _LINEAR * np.abs(terms).sum(axis=1) + rounding).any():
        names = ", ".join(type(step).__name__ for step in later)
        raise TypeError(
            f"The squared distances do not split along the domain, since a step between the space and the scatter is "
            f"not linear: {names}. Use SphericalPCA or PCA there. {_ADVICE}"
        )
