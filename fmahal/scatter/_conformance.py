"""Distance to the nearest training row in the norm of a spectral filter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray
from .._validation import check_finite
from ._spectral_loo import is_cut, leave_one_out_conformance

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_SAME_ROWS = 1e-6
_CACHED_BYTES = 4 * 2**20  # of distances: they are looked at four times
_DIGITS = 1e-11  # relative error of a whitened difference beyond which the rows themselves are subtracted


def conformance(
    scatter: Any, X: ArrayLike | None = None, *, squared: bool = True, block: int | None = None
) -> FloatArray:
    r"""Distance of each row to the nearest training row, in the norm of a fitted spectral filter.

    .. math:: d^2(x) = \min_i \Big( \sum_m g(\lambda_m) \langle x - x_i, e_m \rangle^2 + g_0 R^2(x - x_i) \Big)

    Parameters
    ----------
    scatter : SpectralFilter
        Fitted.
    X : array-like of shape (m, n_features), optional
        Rows; None measures each training row to the nearest other one, in the norm of a fit without it.
    squared : bool, default=True
        Whether to return squared distances.
    block : int, optional
        Rows at a time; changes nothing but the memory, block times n_samples_ numbers.

    Returns
    -------
    d2 : ndarray of shape (m,)
        Squared distances: an exact 0 for a training row, +inf off the span where the filter's `outside` is "inf".

    Raises
    ------
    ValueError
        For NaN or infinity; for training rows that were changed in place after the fit, or that are needed and were
        not stored with an unpickled filter.
    OutsideSubspaceError
        For a row off the span where the filter's `outside` is "raise".

    Notes
    -----
    O(m r (p + n)) time. One matrix product a block finds candidates; the distance to a candidate is measured by an
    explicit difference, of whitened rows, or of the rows themselves where these are so near that whitening costs
    digits.
    """
    if X is None:
        return leave_one_out_conformance(scatter, squared=squared)
    rows = scatter._rows(X)
    check_finite(rows, "X", scatter._names())
    train, reach = _training(scatter)
    out = np.empty(len(rows))
    step = block or max(64, _CACHED_BYTES // (8 * max(train.shape[0], rows.shape[1])))
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        centred = np.subtract(part, scatter.location_, dtype=np.float64)
        Z, constant = _embedded(scatter, centred)
        size = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        at, other = nearest(Z, train)
        best = np.full(len(part), np.inf)
        for some in row_blocks(len(at), rows.shape[1]):
            i, j = at[some], other[some]
            difference = Z[i] - train[j]
            d2 = np.einsum("ij,ij->i", difference, difference) + constant[i]
            close = np.flatnonzero(d2 <= _noise(scatter, size[i] + reach[j]) ** 2 / _DIGITS**2)
            if close.size and scatter._fitted_rows is not None:
                d2[close] = _between(scatter, part[i[close]], j[close], d2[close], size[i[close]])
            np.minimum.at(best, i, d2)
        out[first : first + step] = best
    _mark_outside(scatter, rows, out)
    result = out if squared else np.sqrt(out)
    return result.astype(rows.dtype, copy=False)


def nearest(Z: Array, train: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    r"""Pairs of rows and training rows: for each row, all that rounding cannot tell from the nearest.

    :math:`|z'|^2 - 2 z \cdot z'` errs by a few :math:`r \epsilon (|z|^2 + |z'|^2)`; within twice that of the best all
    are candidates.
    """
    sizes, own = np.einsum("ij,ij->i", train, train), np.einsum("ij,ij->i", Z, Z)
    rough = Z @ train.T
    rough *= -2.0
    rough += sizes
    bound = 8.0 * (Z.shape[1] + 4) * _EPS * (own + sizes.max(initial=0.0))
    found = np.flatnonzero(rough <= (rough.min(axis=1) + 2.0 * bound)[:, None])
    at, other = np.divmod(found, len(train))
    return at, other


def _training(scatter: Any) -> tuple[Array, Array]:
    """Return training rows in coordinates whose nearest row is the nearest, and their lengths."""
    if _needs_columns(scatter):
        if scatter._fitted_rows is None:
            raise ValueError(
                "This ridge filter was unpickled or copied, and the rows it was fitted to were not stored with it. "
                "What its n_components cut away counts in the distance between two rows, so that scores are not "
                "enough: fit again, or take the values before."
            )
        scatter._recomputed()  # an error where the rows were changed in place
        centred = np.subtract(scatter._fitted_rows, scatter.location_, dtype=np.float64)
        return scatter.whitener_.whiten(centred), np.sqrt(np.einsum("ij,ij->i", centred, centred))
    train: Array = scatter._training_whitened()
    return train, np.sqrt(train**2 @ (1.0 / scatter.filter_values_))


def _needs_columns(scatter: Any) -> bool:
    """Whether what the ridge filter cuts away differs between training rows, so that all columns count."""
    if scatter.filter != "ridge" or scatter.n_components_ >= min(
        scatter.n_samples_ - 1, scatter.n_features_in_
    ):
        return False
    # Else the rank rule left no more than rounding out.
    return is_cut(scatter) or scatter._fitted_rows is not None


def _embedded(scatter: Any, centred: Array) -> tuple[Array, Array]:
    """Return centred rows in the same coordinates, and what is the same for all training rows."""
    constant = np.zeros(len(centred))
    if _needs_columns(scatter):
        return scatter.whitener_.whiten(centred), constant
    if scatter.residual_weight_ == 0 or scatter.n_components_ == centred.shape[1]:
        scores = centred @ scatter.components_.T
    else:
        scores, rest = _off_components(scatter, centred)
        constant = scatter.residual_weight_ * rest
    return scores * np.sqrt(scatter.filter_values_), constant


def _noise(scatter: Any, size: Array) -> Array:
    """Return the rounding of whitened differences of rows with given sums of lengths."""
    heaviest = max(float(scatter.filter_values_.max()), scatter.residual_weight_)
    noise: Array = _EPS * np.sqrt(scatter.n_features_in_ * heaviest) * size
    return noise


def _between(scatter: Any, rows: Array, j: NDArray[np.intp], rough: Array, size: Array) -> Array:
    """Squared distances of rows to training rows j, by differences of the rows themselves."""
    scores, rest = _off_components(scatter, np.subtract(rows, scatter._fitted_rows[j], dtype=np.float64))
    d2 = np.einsum("ij,ij,j->i", scores, scores, scatter.filter_values_) + scatter.residual_weight_ * rest
    heaviest = max(float(scatter.filter_values_.max()), scatter.residual_weight_)
    if np.any(np.abs(d2 - rough) > _SAME_ROWS * heaviest * size**2):
        raise ValueError(
            "The training rows were changed in place after fit, and are needed again: fit to a copy of X."
        )
    return d2


def _off_components(scatter: Any, rows: Array) -> tuple[Array, Array]:
    """Scores of differences, and the squared length of what they leave; zeros where that weighs nothing, or is none."""
    scores = rows @ scatter.components_.T
    if scatter.residual_weight_ == 0 or scatter.n_components_ == rows.shape[1]:
        return scores, np.zeros(len(rows))
    rest = rows - scores @ scatter.components_
    return scores, np.einsum("ij,ij->i", rest, rest)


def _mark_outside(scatter: Any, rows: FloatArray, out: Array) -> None:
    if scatter.outside == "ignore" or scatter.filter == "ridge":
        return
    if scatter.outside == "raise":
        scatter._distances(rows)  # its own complaint
        return
    out[scatter.whitener_.off_subspace(rows, scatter.location_)] = np.inf
