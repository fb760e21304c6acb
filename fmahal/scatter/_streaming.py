"""Moments of rows that come, fade and leave: weighted sums merged and taken apart, and the whitener kept up with them.

With w the weight of all rows seen so far, B that of a batch and s = B / (w + B), location and covariance become

    m + s g,    (1 - s) S + s S_B + s (1 - s) g g',    g = m_B - m

(Chan, Golub and LeVeque). Removal is the same with weights -B: what was merged is taken apart.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from .._structures import Triangular
from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray
from .._validation import as_vector, check_dense_size
from ..exceptions import NotPositiveDefiniteError, RankDeficientError
from ..whitener import Whitener
from ._moments import EPS, PrimalMoments, check_overflow, primal_moments, rank_tolerance

_FEW = 20  # columns for every row of a batch from which on an update beats a new factorisation
_THIN = 4  # vectors whose outer products are added one by one
_MOST_UPDATES = 100  # updates of one factor, whose rounding adds up
_SAFE_PIVOT = (
    1e-6  # share of a column's variance that the others do not explain: above it nothing is near singular
)
_SAFE_MARGIN = 1e-3  # share of the covariance that a down-date must leave in every direction
_LOST = 1e-6  # relative rounding of a variance beyond which removal has left too few digits
_MEMORY = 40.0  # a row weighs e^-40 after so many time constants


class Weights(NamedTuple):
    """What is known of the weights of all rows seen: their number, sum and sum of squares."""

    rows: int
    total: float
    squares: float

    @property
    def effective(self) -> float:
        """Number of equally weighted rows with the same variance of the mean; at most the number of rows."""
        return min(self.total**2 / self.squares, float(self.rows))

    def aged(self, factor: float) -> Weights:
        """Return the weights once all of them are multiplied by `factor`."""
        return Weights(self.rows, factor * self.total, factor**2 * self.squares)

    def plus(self, weights: FloatArray) -> Weights:
        """Return the weights with those of more rows."""
        total, squares = float(weights.sum()), float(weights @ weights)
        return Weights(self.rows + weights.size, self.total + total, self.squares + squares)

    def minus(self, weights: FloatArray) -> Weights:
        """Return the weights without those of some rows."""
        count, total = self.rows - weights.size, self.total - float(weights.sum())
        # Rounding aside: squares are no smaller than this by Cauchy's inequality.
        return Weights(count, total, max(self.squares - float(weights @ weights), total**2 / count))


NOTHING = Weights(0, 0.0, 0.0)


def check_forgetting(value: Any) -> float:
    """Return the weight that a row keeps when one more arrives, a number in (0, 1]."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or not 0.0 < float(value) <= 1.0:
        raise ValueError(
            f"forgetting must be a number above 0 and at most 1, got {value!r}. It is the weight that a row keeps when "
            "the next one arrives: 1 forgets nothing, 0.99 looks back about 100 rows."
        )
    return float(value)


def is_weighted(scatter: Any) -> bool:
    """Tell whether rows have, or will have in a refit, other weights than 1 in an estimate of moments."""
    if getattr(scatter, "forgetting", 1.0) != 1.0:
        return True
    effective = getattr(scatter, "effective_n_samples_", None)
    return effective is not None and bool(effective < scatter.n_samples_ * (1.0 - 1e-12))


def arriving_weights(forgetting: float, m: int) -> FloatArray:
    """Weights of m rows in the order in which they came, once the last of them is in."""
    return forgetting ** np.arange(m - 1.0, -1.0, -1.0)


def leaving_weights(sample_weight: ArrayLike | None, weighted: bool, m: int) -> FloatArray:
    """Check the present weights of rows that are to be removed; 1 by default where no row has faded."""
    if sample_weight is None:
        if weighted:
            raise ValueError(
                "With a forgetting below 1, now or earlier, the rows to remove have faded: pass their present weights "
                "as sample_weight, forgetting ** a for a row after which a rows were added (the product of the "
                "forgetting of all these, where it was changed)."
            )
        return np.ones(m)
    weight = np.full(m, float(sample_weight)) if np.isscalar(sample_weight) else sample_weight  # type: ignore[arg-type]
    weights = as_vector(weight, "sample_weight", m).astype(np.float64)
    if not ((weights > 0) & (weights <= 1)).all():
        i = int(np.flatnonzero(~((weights > 0) & (weights <= 1)))[0])
        raise ValueError(
            f"sample_weight must be above 0 and at most 1, entry {i} is {weights[i]:.6g}: a row arrives with weight 1 "
            "and keeps forgetting ** a of it after a more rows."
        )
    return weights


class Change(NamedTuple):
    """The covariance becomes ``scale * S + vectors' diag(weights) vectors``, exactly, about a new location.

    Attributes
    ----------
    vectors : ndarray of shape (r, p)
        Rows about their mean and, but for a known location, the way from the old location to that mean.
    weights : ndarray of shape (r,)
        All positive, or all negative.
    scale : float
        Factor of the covariance.
    location : ndarray of shape (p,)
        The new location.
    """

    vectors: FloatArray
    weights: FloatArray
    scale: float
    location: FloatArray

    def of(self, covariance: FloatArray) -> FloatArray:
        """Return the new covariance, a fresh symmetric array; O(r p^2)."""
        out: FloatArray = self.scale * covariance
        if self.weights.size:
            half = np.sqrt(np.abs(self.weights))[:, None] * self.vectors
            check_overflow(np.einsum("ij,ij->j", half, half))
            _add_products(out, half, float(np.sign(self.weights[0])))
        return out


def _add_products(out: FloatArray, half: FloatArray, sign: float) -> None:
    """Add sign * half' half in place; outer products by blocks of rows, in cache, where BLAS would not pay."""
    if len(half) > _THIN:
        out += sign * (half.T @ half)  # BLAS makes a symmetric product of it
        return
    p = out.shape[0]
    for block in row_blocks(p, p):
        for row in half:
            out[block] += (sign * row[block])[:, None] * row


def change(
    location: FloatArray, total: float, rows: FloatArray, weights: FloatArray, centred: bool
) -> Change:
    """Return what adding rows, or removing them by negative weights, does to moments of weight `total`."""
    share = weights / (total + weights.sum())
    rows = rows.astype(np.float64, copy=False)
    all_of_it = float(share.sum())
    if not centred:
        return Change(rows, share, 1.0 - all_of_it, location)
    relative = weights / weights.sum()
    centre = relative @ rows
    centre = centre + relative @ (rows - centre)
    gap = centre - location
    if len(rows) == 1:
        vectors, about = gap[None], np.array([all_of_it * (1.0 - all_of_it)])
    else:
        vectors, about = np.vstack([rows - centre, gap]), np.append(share, all_of_it * (1.0 - all_of_it))
    return Change(vectors, about, 1.0 - all_of_it, location + all_of_it * gap)


def weighted_moments(X: FloatArray, weights: FloatArray, centred: bool) -> tuple[FloatArray, FloatArray]:
    """Return mean and covariance of weighted rows, by blocks of rows; O(n p^2) time, O(p^2) memory."""
    if weights[0] == weights[-1] == 1.0:
        plain = primal_moments(X, centred)
        return plain.location, plain.covariance
    n, p = X.shape
    check_dense_size(p, "The covariance")
    share = weights / weights.sum()
    origin = np.zeros(p)
    blocks = list(row_blocks(n, p))
    if centred:
        for rows in blocks:
            origin += share[rows] @ X[rows].astype(np.float64, copy=False)
    covariance, shift = np.zeros((p, p)), np.zeros(p)
    for rows in blocks:
        block = np.subtract(X[rows], origin, dtype=np.float64)
        shift += share[rows] @ block
        block *= np.sqrt(share[rows])[:, None]
        covariance += block.T @ block
    check_overflow(np.diagonal(covariance))
    if centred:  # what rounding left of the mean
        covariance -= np.multiply.outer(shift, shift)
        origin = origin + shift
    return origin, covariance


class StreamMoments(PrimalMoments):
    """Dense moments whose rounding is that of the rows they remember, and of those that were removed.

    Attributes
    ----------
    peak : ndarray of shape (p,)
        The largest variances whose rounding the covariance carries, in its units.
    """

    def __init__(
        self,
        weights: Weights,
        location: FloatArray,
        covariance: FloatArray,
        centred: bool,
        peak: FloatArray,
    ):
        np.fill_diagonal(covariance, np.maximum(np.diagonal(covariance), 0.0))
        super().__init__(weights.rows, location, covariance, centred)
        variances = np.diagonal(covariance)
        self.peak = np.maximum(peak, variances)
        self._remembered = min(weights.rows, int(_MEMORY * weights.effective))
        ratio = self.peak / np.where(variances > 0, variances, self.peak + (self.peak == 0))
        self._loss = float(ratio.max())

    @property
    def tolerance(self) -> float:
        """The relative rank tolerance: rounding of the sums, magnified where most of a sum has been removed."""
        return rank_tolerance(self._remembered, self.p) * self._loss


class Factor:
    """A whitener and how often it has been updated since it was factorised."""

    def __init__(self, whitener: Whitener, updates: int = 0):
        self.whitener, self.updates = whitener, updates

    def follow(self, step: Change, moments: StreamMoments) -> Factor:
        """Return the factor after a change, whose moments are given: by updates where they are cheap and safe.

        O(r p^2) for r vectors, else O(p^3).
        """
        updated = self._updated(step, moments)
        return updated if updated is not None else Factor(moments.whitener()[0])

    def _updated(self, step: Change, moments: StreamMoments) -> Factor | None:
        structure = self.whitener._structure
        r, p = step.vectors.shape
        cheap = _FEW * r <= p and self.updates + r <= _MOST_UPDATES
        if not cheap or not isinstance(structure, Triangular) or moments.constant.any():
            return None
        if r and step.weights[0] < 0 and self.margin(step) < _SAFE_MARGIN:
            return None
        try:
            whitener = self.whitener.update(step.vectors, step.weights, scale=step.scale)
        except NotPositiveDefiniteError:
            return None
        pivots = np.diagonal(whitener._structure.matrix)  # type: ignore[attr-defined]
        if not (pivots**2 > _SAFE_PIVOT * np.diagonal(moments.covariance)).all():
            return None  # the rank may have dropped: a factorisation of the correlation matrix has to tell
        return Factor(whitener, self.updates + r)

    def margin(self, step: Change) -> float:
        """Share of the covariance that a down-date leaves in the direction that it takes most of; O(r p^2)."""
        half = np.sqrt(np.abs(step.weights) / step.scale)[:, None] * self.whitener.whiten(step.vectors)
        gram = half @ half.T if len(half) <= half.shape[1] else half.T @ half
        return 1.0 - float(np.linalg.eigvalsh(gram)[-1])


def check_enough(weights: Weights, leaving: FloatArray) -> None:
    """Raise when rows cannot be removed, since fewer than two would be left or they would weigh nothing."""
    left = weights.rows - leaving.size
    if left < 2:
        raise RankDeficientError(
            f"{leaving.size} of {weights.rows} rows cannot be removed: at least two must be left. To start again, "
            "call fit with other rows."
        )
    if weights.total - leaving.sum() <= 1e-9 * weights.total:
        raise RankDeficientError(
            f"The {leaving.size} rows to remove carry the whole weight {weights.total:.6g} of {weights.rows} rows: "
            "what is left has been forgotten. Usual cause: a sample_weight that is not the present weight of its row. "
            "To start again, call fit with other rows."
        )


def check_leaves(covariance: FloatArray, peak: FloatArray) -> None:
    """Raise when the variances that a removal leaves are negative, or not known to enough digits.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
        The covariance that it leaves.
    peak : ndarray of shape (p,)
        The largest variances whose rounding the covariance carries, in its units.
    """
    variances = np.diagonal(covariance)
    rounding = 16.0 * EPS * peak
    if (variances < -rounding).any():
        raise never_in(int(np.argmin(variances + rounding)))
    hidden = (rounding > _LOST * variances) & (peak > 0)
    if hidden.any():
        j = int(np.flatnonzero(hidden)[0])
        raise ValueError(
            f"The rows to remove make up so much of the variance of column {j} that what is left of it is rounding "
            f"({max(variances[j], 0.0):.3g} of {peak[j]:.3g}). Usual causes: a gross outlier, or a column in which "
            "only these rows differ. Call fit with the rows that stay."
        )


def never_in(column: int | None = None) -> ValueError:
    """Return the error for rows that cannot be removed because they are not among those seen."""
    where = f" in column {column}" if column is not None else ""
    return ValueError(
        f"X has rows that are not among those seen: without them the covariance would not be non-negative{where}, by "
        "more than rounding. Usual causes: rows that were removed before or never added, rows in other units, or a "
        "sample_weight above the present weight of a row. Nothing was changed."
    )
