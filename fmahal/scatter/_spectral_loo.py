"""Leave-one-out distances and conformance of fitted spectral filters."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import FmahalWarning
from ._spectral_cut import cut_left_out_conformance, cut_left_out_distances
from ._spectral_deletion import Deletion, deletion, left_out_conformance, left_out_distances

Array = NDArray[np.float64]

_SAME_ROWS = 1e-6  # relative change of the total variance by which rows betray that they were written over
_RISKY = 1e-8  # of what is left of a leverage: it has lost half of its digits
_MOST_REFITS = 8  # rows that are measured by a fit each


def training_left(scatter: Any) -> Array:
    """Left singular vectors of the centred training rows of a fitted filter, (n, n_components_)."""
    size = np.sqrt(scatter.eigenvalues_ * (scatter.n_samples_ - scatter.ddof_))
    left: Array = scatter._training_whitened() / (np.sqrt(scatter.filter_values_) * size)
    return left


def is_cut(scatter: Any) -> bool:
    """Tell whether a fitted filter keeps fewer directions than its rows may span."""
    count = scatter.n_components
    asked = count is not None or scatter.filter == "truncate"
    if isinstance(count, Integral) and count > scatter.n_components_:  # the rows had no more
        return False
    return asked and scatter.n_components_ < min(scatter.n_samples_ - 1, scatter.n_features_in_)


def training_frame(scatter: Any) -> tuple[Deletion, int | None]:
    """Return the decomposition of a fitted filter's training rows, and where the filter cuts it: None for nowhere."""
    if not is_cut(scatter):
        return deletion(training_left(scatter), scatter.eigenvalues_, ddof=scatter.ddof_), None
    rows = scatter._fitted_rows
    if rows is None:
        raise ValueError(
            "This filter was unpickled or copied, and the rows it was fitted to were not stored with it. Without a row "
            "it would choose its directions again, which takes all of them: fit again, or take the values before."
        )
    from .spectral import SpectralFilter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)  # the fit has warned of what there is to warn of
        whole = SpectralFilter("rkhs", alpha=0.0, ddof=scatter.ddof_).fit(rows)
    if abs(whole.total_variance_ / scatter.total_variance_ - 1.0) > _SAME_ROWS:
        raise ValueError(
            "The training rows were changed in place after fit, and are needed again: fit to a copy of X."
        )
    frame = deletion(training_left(whole), whole.eigenvalues_, ddof=scatter.ddof_)
    return frame, scatter.n_components_ if scatter.n_components_ < whole.n_components_ else None


def leave_one_out(scatter: Any, *, squared: bool = True, lost: str | None = None) -> Array:
    """Distance of each training row of a fitted `SpectralFilter` from a fit to all others.

    Parameters
    ----------
    scatter : SpectralFilter
        Fitted; `alpha_` and `n_components_` stay as they are.
    squared : bool, default=True
        Whether to return squared distances.
    lost : {"inf", "ignore"}, optional
        Whether a row that is alone in a direction is infinitely far. By default it is for "inverse", for "truncate"
        that keeps everything, and wherever the filter's `outside` is not "ignore".

    Returns
    -------
    d2 : ndarray of shape (n,)
        Squared distances, or distances.
    """
    return _measured(scatter, squared, lost, left_out_distances, cut_left_out_distances)


def leave_one_out_conformance(scatter: Any, *, squared: bool = True, lost: str | None = None) -> Array:
    """Distance of each training row to the nearest other one; parameters as in `leave_one_out`."""
    return _measured(scatter, squared, lost, left_out_conformance, cut_left_out_conformance)


def _measured(scatter: Any, squared: bool, lost: str | None, whole: Any, cut: Any) -> Array:
    frame, count = training_frame(scatter)
    if lost is None:
        exact = scatter.filter == "inverse" or scatter.filter == "truncate"
        lost = "inf" if scatter.outside != "ignore" or (exact and count is None) else "ignore"
    # rkhs without a ridge divides by what inverse divides by
    plain = scatter.filter == "rkhs" and scatter.alpha_ == 0
    name = "inverse" if plain else scatter.filter
    if count is None:
        d2 = whole(frame, name, scatter.alpha_, lost=lost)
    else:
        d2 = cut(frame, name, scatter.alpha_, count, lost=lost)
    full = frame.squares.size >= scatter.n_samples_ - 1  # the rest is zero, exactly
    risky = np.flatnonzero(frame.rest < _RISKY)
    if not full and 0 < risky.size <= _MOST_REFITS and scatter._fitted_rows is not None:
        for i in risky:  # a gross row, or one alone in a direction: a fit can tell
            d2[i] = _refitted(scatter, int(i), name, count, lost, whole is left_out_conformance)
    return d2 if squared else np.sqrt(d2)


def _refitted(scatter: Any, i: int, name: str, count: int | None, lost: str, nearest: bool) -> float:
    """Squared distance of a training row by a fit to the others, or to the nearest of them."""
    from .spectral import SpectralFilter

    kind: Any = "inverse" if name == "truncate" and count is None else name
    rows, own = np.delete(scatter._fitted_rows, i, axis=0), scatter._fitted_rows[i : i + 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        fit = SpectralFilter(
            kind,
            n_components=count,
            alpha=scatter.alpha_ or 1.0,
            alpha_units="absolute",
            ddof=scatter.ddof_,
        ).fit(rows)
    if lost == "inf" and name != "ridge" and fit.whitener_.off_subspace(own, fit.location_)[0]:
        return np.inf
    return float((fit.conformance(own) if nearest else fit.mahalanobis(own))[0])
