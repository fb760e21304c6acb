"""Refits without some rows, and the squared distances of the rows left out."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_array

from .._typing import ArrayLike
from ..exceptions import FmahalWarning, RankDeficientWarning
from ..scatter import facts as scatter_facts
from ..scatter import resolve
from ..scatter._resolve import inner_of
from ..whitener import Whitener
from ._template import template
from .base import warn_caller


def take_rows(X: Any, rows: NDArray[np.int64]) -> Any:
    """Return some rows of an array, a list or a data frame, as the same kind of table."""
    return _safe_indexing(X, rows)


def float_table(X: Any) -> NDArray[Any]:
    """Return rows as a C-ordered (n, p) float array; float32 stays float32."""
    return check_array(X, dtype=[np.float64, np.float32], order="C")


def refit(estimator: Any, X: Any, *, quiet: type[Warning] = RankDeficientWarning) -> Any:
    """Return a copy by `template` fitted to `X`, without warnings of the category `quiet`.

    The fit to all rows has warned of what is wrong with all rows. That these rows span less is nothing it could know:
    callers compare `lost_directions`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", quiet)
        return template(estimator, choices=False).fit(X)


def lost_directions(fitted: Any, X: Any, rank: int) -> int:
    """Return how many directions a fit to fewer rows lacks of the `rank` in which all rows vary.

    A space that chooses its dimension, by a share of the variance, say, has lost nothing while the fit fills it.
    """
    scatter = inner_of(resolve(fitted)[1])
    known = scatter_facts(scatter, X)
    # It keeps a share of what the rows span, or a number of them.
    if known.kind == "spectral" and known.regularized:
        K = getattr(scatter, "n_components", None)
        rank = min(rank, known.n_samples - 1) if isinstance(K, Integral) else 0
    return max(min(rank, int(np.size(scatter.location_))) - known.rank, 0)


def warn_lost(fits: str, lost: int, rank: int) -> None:
    """Warn that fits to fewer rows lack directions in which all rows vary."""
    warn_caller(
        f"{fits} fewer directions than the training rows, {rank - lost} instead of {rank}: rows off such a subspace, "
        "training rows, calibration rows and new rows alike, count as infinitely far and tie. Usual causes: columns "
        "in which few rows differ from the rest, such as indicators of rare events, or few rows for the columns. "
        "Leave such columns out, or use a regularised estimator.",
        RankDeficientWarning,
    )


def subspace_of(scatter: Any, n: int, rank: int) -> Whitener | None:
    """Return a whitener that knows the subspace of a fitted scatter, None when that is the whole space.

    None too for a scatter whose own parameter ``outside="ignore"`` says that its distance is a semi-distance, which
    does not see what lies off its directions. A sketch does not see that either; the scatter under it does.
    """
    scatter = inner_of(scatter)
    if rank >= np.size(scatter.location_) or getattr(scatter, "outside", None) == "ignore":
        return None
    whitener = getattr(scatter, "whitener_", None)
    return whitener if whitener is not None else Whitener.from_covariance(scatter.covariance_, n_samples=n)


def scatter_distances(scatter: Any, Z: Any) -> NDArray[np.float64]:
    """Return squared distances of rows in the coordinates of a scatter, ours or anybody's."""
    if hasattr(scatter, "mahalanobis"):
        d2 = np.asarray(scatter.mahalanobis(Z), dtype=np.float64)
    else:
        centred = np.asarray(Z, dtype=np.float64) - scatter.location_
        d2 = np.einsum("ij,ij->i", centred @ scatter.get_precision(), centred)
    return np.maximum(d2, 0.0)


def new_distances(fitted: Any, X: Any, fitted_rows: ArrayLike) -> NDArray[np.float64]:
    """Return squared distances of rows that a fit has not seen; infinite off the subspace of the fit.

    Under the fitted law a row off the subspace cannot occur, so that no distance is larger.

    Parameters
    ----------
    fitted : fitted scatter or Pipeline that ends in one
        The estimator.
    X : table of shape (m, n_features)
        Rows that it was not fitted to.
    fitted_rows : table of shape (n, n_features)
        Rows that it was fitted to, or all of which it was fitted to some; only their number counts, in the tolerance
        of the rank of scatters that do not know it.

    Returns
    -------
    d2 : ndarray of shape (m,)
        Squared distances.
    """
    space, scatter = resolve(fitted)
    Z = X if space is None else space.transform(X)
    d2 = scatter_distances(scatter, Z)
    known = scatter_facts(scatter, fitted_rows)
    subspace = subspace_of(scatter, known.n_samples, known.rank)
    if subspace is not None:
        d2[subspace.off_subspace(float_table(Z), scatter.location_)] = np.inf
    return d2


def left_out(estimator: Any, X: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the squared distances of `rows` from a fit to all other rows of `X`."""
    kept = np.setdiff1d(np.arange(_count(X)), rows)
    others = take_rows(X, kept)
    return new_distances(refit(estimator, others, quiet=FmahalWarning), take_rows(X, rows), others)


def fold_distances(
    estimator: Any, X: Any, n_folds: int, generator: np.random.Generator, rank: int
) -> NDArray[np.float64]:
    """Return the squared distance of each row from the fit to the folds that it is not in.

    Parameters
    ----------
    estimator : scatter or Pipeline that ends in one
        Cloned for each fold.
    X : table of shape (n, n_features)
        The rows.
    n_folds : int
        Folds of nearly equal size, drawn by `generator`; n of them leave one row out each.
    generator : numpy.random.Generator
        Deals the rows to the folds.
    rank : int
        Rank of the fit to all rows.

    Returns
    -------
    d2 : ndarray of shape (n,)
        Squared distances.

    Warns
    -----
    RankDeficientWarning
        When a fit has a smaller rank.

    Notes
    -----
    `n_folds` fits.
    """
    n = _count(X)
    d2, lost = np.empty(n), []
    for fold in np.array_split(generator.permutation(n), n_folds):
        others = take_rows(X, np.setdiff1d(np.arange(n), fold))
        fitted = refit(estimator, others, quiet=FmahalWarning)
        d2[fold] = new_distances(fitted, take_rows(X, fold), others)
        lost.append(lost_directions(fitted, others, rank))
    if any(lost):
        short = np.count_nonzero(lost)
        warn_lost(f"{short} of {n_folds} fits without a fold of the rows span", max(lost), rank)
    return d2


def _count(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") else len(X)
