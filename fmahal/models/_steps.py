"""The steps of a detector's fit: check, fit, measure. No state."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_array

from .._typing import ArrayLike, FloatArray
from .._validation import as_rows, check_finite, only_numbers, refuse_curves
from ..exceptions import RankDeficientError
from ..nulls._left_out import subspace_of
from ..scatter import MRCD, LedoitWolf, resolve
from ..scatter import facts as scatter_facts
from ..scatter._facts import _SKLEARN_REGULARIZED
from ..scatter._resolve import as_pipeline, inner_of
from ..scatter.mcd import MinCovDet
from ..scatter.spectral import SpectralFilter
from ..spaces._fdata import is_fdata
from ..whitener import Whitener

_MOST_RANDOM = 100  # columns
_MOST_PAIRS = 50_000_000  # scales of all pairs of columns, in entries of X times columns
_MOST_PRODUCTS = 2_000_000_000  # inner products of all rows, in multiplications


class Coordinates(NamedTuple):
    """Rows where the scatter works: as it is given them, perhaps a data frame, and as a (n, q) array."""

    given: Any
    table: FloatArray


def default_for(X: Any) -> Any:
    """Return the estimator that ``estimator=None`` means for a table of rows."""
    if is_fdata(X):
        raise TypeError(
            f"X is a {type(X).__name__}, curves: MahalanobisDetector takes them with a space in front of the scatter, "
            "such as make_pipeline(L2Space(), SpectralFilter()) or FunctionalMahalanobis(). FunctionalOutlierDetector "
            "has a default for curves."
        )
    return default_estimator(*as_table(X, ensure_min_samples=2).shape)


def default_estimator(n: int, p: int) -> Any:
    """Return the estimator that ``estimator=None`` means for n rows and p columns.

    Robust ones. Beyond 100 columns the random starts of `MinCovDet`, O(p^3) each, take longer than all the rest and
    only the deterministic ones are left; `MRCD` takes O(n p^2 log n) time for p <= n and O(n^2 p) for p > n, and beyond
    ten seconds or so on one core it is left to those who ask for it.
    """
    if n >= 5 * p:
        return MinCovDet(random_state=0) if p <= _MOST_RANDOM else MinCovDet(method="deterministic")
    work, most = (n * p**2, _MOST_PAIRS) if p <= n else (n**2 * p, _MOST_PRODUCTS)
    return MRCD() if n >= 4 and work <= most else LedoitWolf()


def check_alpha(alpha: Any) -> float:
    """Return `alpha` as a float strictly between 0 and 1."""
    if isinstance(alpha, bool | np.bool_) or not isinstance(alpha, Real) or not 0 < float(alpha) < 1:
        raise ValueError(
            f"alpha must be a number strictly between 0 and 1, got {alpha!r}. It is the share of clean rows "
            "that may be called outlying, for example 0.01."
        )
    return float(alpha)


def row_level(alpha: Any, n: int | None) -> float:
    """Return the level of one row; for n rows judged together 1 - (1 - alpha)^(1/n), without cancellation."""
    alpha = check_alpha(alpha)
    return alpha if n is None else float(-np.expm1(np.log1p(-alpha) / n))


def labels(pvalues: NDArray[np.float64], level: float) -> NDArray[np.int64]:
    """Return -1 for p-values up to the level, else 1."""
    return np.where(pvalues <= level, np.int64(-1), np.int64(1))


def is_frame(X: Any) -> bool:
    """Whether `X` is a data frame, which estimators should see with its column names."""
    return hasattr(X, "columns") and hasattr(X, "shape")


def column_names(X: Any) -> list[str] | None:
    """Return the column names of a data frame, None for anything else."""
    return [str(name) for name in X.columns] if is_frame(X) else None


def as_table(X: ArrayLike, **checks: Any) -> FloatArray:
    """Return `X` as a finite (n, p) float array; text, NaN and infinity are reported by column."""
    with only_numbers(X):
        table = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite=False, **checks)
    check_finite(table, "X", column_names(X))
    return table


def in_table(X: Any, **checks: Any) -> Coordinates:
    """Return checked rows for a scatter without a space in front of it."""
    table = as_table(X, **checks)
    return Coordinates(X if is_frame(X) else table, table)


def in_space(space: Any, Z: Any) -> Coordinates:
    """Return the checked output of a space."""
    name = "The output of the steps before the scatter"
    table = as_rows(Z, name=name)
    check_finite(table, name, coordinate_names(space, None, table.shape[1]))
    return Coordinates(Z if is_frame(Z) else table, table)


def coordinate_names(space: Any, scatter: Any, q: int) -> NDArray[np.object_]:
    """Return the names of the q columns on which the scatter works."""
    names = None
    if space is None:
        names = getattr(scatter, "feature_names_in_", None)
    elif hasattr(space, "get_feature_names_out"):
        try:
            names = space.get_feature_names_out()
        except (AttributeError, TypeError, ValueError):  # a step that cannot name its output
            names = None
    if names is None or len(names) != q:
        letter = "x" if space is None else "z"
        names = [f"{letter}{j}" for j in range(q)]
    return np.asarray(names, dtype=object)


def check_row_count(scatter: Any, n: int, q: int) -> None:
    """Raise a ValueError when an estimator without regularisation has no more rows than columns."""
    scatter = inner_of(scatter)
    regularized = getattr(scatter, "regularized", isinstance(scatter, _SKLEARN_REGULARIZED))
    if n <= q and not regularized and isinstance(scatter, SpectralFilter):
        raise RankDeficientError(
            f"SpectralFilter({scatter.filter!r}) needs more curves or rows than coordinates, got n = {n} and {q} "
            'coordinates: every one of the training set would have the same distance. Use filter="ridge" or '
            'filter="rkhs", or n_components= with fewer directions.'
        )
    if n <= q and not regularized:
        raise RankDeficientError(
            f"{type(scatter).__name__} needs more rows than columns, got n = {n} rows and p = {q} columns: "
            "every training row would have the same distance. Use a regularised estimator "
            "(LedoitWolf, OAS, QIS, ShrunkCovariance, or MRCD, which is robust too), fewer columns or more rows. A "
            "class of your own that is regularised says so by a class attribute regularized = True."
        )


def fit_estimator(template: Any, X: Any) -> tuple[Any, Any, Coordinates]:
    """Clone and fit; return the fitted estimator, the rows it was given and their coordinates."""
    if isinstance(template, type):
        raise TypeError(f"estimator must be an object, not a class: pass {template.__name__}().")
    if isinstance(template, str):
        raise TypeError(
            f"estimator must be an object, not a name: got {template!r}. For curves pass "
            "FunctionalMahalanobis('ridge'), for example, for rows LedoitWolf()."
        )
    resolve(template)  # a TypeError when it gives no distances
    estimator = as_pipeline(clone(template))  # what a shortcut stands for
    space, scatter = resolve(estimator)
    if space is None:
        refuse_curves(X, type(scatter).__name__)
        Z = in_table(X, ensure_min_samples=2)
        X = Z.given
    else:
        if hasattr(X, "__array__") and not hasattr(X, "__getitem__"):
            X = np.asarray(X)  # rows have to be taken out of it
        Z = in_space(space, space.fit_transform(X))
    check_row_count(scatter, *Z.table.shape)
    scatter.fit(Z.given)
    if not hasattr(scatter, "location_"):
        raise TypeError(
            f"{type(scatter).__name__} is no scatter: it has no location_ after its fit. Add one as the last step "
            "of the pipeline, for example make_pipeline(..., LedoitWolf())."
        )
    return estimator, X, Z


def squared_distances(scatter: Any, Z: Coordinates) -> FloatArray:
    """Return the squared distances of rows in the coordinates of the scatter."""
    if hasattr(scatter, "mahalanobis"):
        d2 = np.asarray(scatter.mahalanobis(Z.given))
    else:
        centred = Z.table - scatter.location_
        d2 = np.einsum("ij,ij->i", centred @ scatter.get_precision(), centred)
    if np.isnan(d2).any():  # infinity is a verdict, of a whitener with outside="inf"
        raise ValueError(
            f"{type(scatter).__name__} gives NaN as squared distance of row {int(np.flatnonzero(np.isnan(d2))[0])}: "
            "its precision matrix is not positive semi-definite, or a column is in units that overflow."
        )
    return np.maximum(d2, 0)


def shapley_values(scatter: Any, Z: Coordinates) -> FloatArray:
    """Return (z - m) * (precision (z - m)), without a p x p array where the scatter can do so."""
    centred = np.subtract(
        Z.table, scatter.location_, dtype=np.float64
    )  # the sum cancels: float32 would not do
    if isinstance(getattr(scatter, "whitener_", None), Whitener):
        return centred * scatter.whitener_.precision_dot(centred)
    return centred * (centred @ scatter.get_precision())


def fitted_subspace(scatter: Any, rows: FloatArray) -> Whitener | None:
    """Return `training_subspace` of a scatter fitted to as many rows as these, or fewer."""
    return training_subspace(scatter, scatter_facts(scatter, rows).rank, len(rows))


def training_subspace(scatter: Any, rank: int, n: int) -> Whitener | None:
    """Return a whitener that knows the training subspace, None when that is the whole space."""
    return subspace_of(scatter, n, rank)
