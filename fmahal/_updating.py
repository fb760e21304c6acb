"""Changes of a whitener by a few rows: the methods of `Whitener` that do not start again."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ._constructors import Constructors
from ._structures import Structure
from ._typing import ArrayLike, FloatArray, Outside
from ._validation import as_float, as_rows, check_finite

Self = TypeVar("Self", bound="Updates")


class Updates(Constructors):
    """Rank-one updates and down-dates; mixed into `Whitener`."""

    __slots__ = ()

    _structure: Structure
    outside: Outside

    def _check_inside(self, rows: FloatArray, location: FloatArray | None = None) -> None:
        raise NotImplementedError

    def update(self: Self, x: ArrayLike, weight: ArrayLike = 1.0, *, scale: float = 1.0) -> Self:
        r"""Return the whitener of a covariance changed by a few rows, without factorising it again.

        That of :math:`\text{scale} \cdot \Sigma + \sum_i \text{weight}_i\, x_i x_i^\top`. A negative weight takes a row
        out (a down-date). This whitener stays as it is.

        Parameters
        ----------
        x : array-like of shape (p,) or (r, p)
            Centred rows.
        weight : float or array-like of shape (r,), default=1.0
            Weights of the rows, finite, in units of squared distance per squared unit of the rows. Rows of positive
            weight enter before those of negative weight leave; rows of weight zero change nothing.
        scale : float, default=1.0
            Positive factor of the covariance: with exponential forgetting, what it keeps.

        Returns
        -------
        whitener : Whitener
            Of the changed covariance, with the same policy `outside`.

        Raises
        ------
        NotPositiveDefiniteError
            If rows of negative weight leave less of the covariance than rounding times its condition number, or have a
            part off the subspace.
        OutsideSubspaceError
            With ``outside="raise"``, if a row has a part off the subspace.
        ValueError
            If x, `weight` or `scale` is not finite or has a wrong shape, `scale` is not positive, or the structure
            cannot be updated (banded, sequential, stacked, sketched, the whitener of a spectral filter).

        See Also
        --------
        downdate_margin : How much of the covariance a row leaves when it is taken out.

        Notes
        -----
        Triangular (either form) and permuted: plane rotations, O(r p^2) time [1]_; p/12 rows or more of positive
        weight (at least 16, at most 96) enter a factor of the covariance by one block QR. A down-date solves for
        :math:`z = L^{-1} x` first and takes the rotations from the margin
        :math:`1 + \text{weight}\, x^\top \Sigma^{-1} x` upward, the stable order [2]_; it is refused when the margin
        (of several rows that of all of them together, see `downdate_margin`) is at most ten units of rounding times
        the condition number, which is looked at only for margins below 0.1. A
        triangular whitener stays one: the rank is not judged again, not even after a row so large that the covariance
        becomes singular to working precision.

        Spectral, m pairs: eigenpairs of a matrix of order m + r in the basis that the rows extend [3]_,
        O(p (m + r)^2 + (m + r)^3) time; no p x p array exists. With a ridge each row adds a pair at most. Without one
        the rank grows by the rows with a part off the subspace, and falls where a down-date takes all of a direction.

        Errors of rounding add up slowly over updates and grow by one over the margin at each down-date: factorise again
        from time to time, and after a small margin.

        References
        ----------
        .. [1] Gill, Golub, Murray and Saunders (1974), Methods for modifying matrix factorizations. Mathematics of
           Computation 28, 505-535. :doi:`10.1090/S0025-5718-1974-0343558-6`
        .. [2] Stewart (1979), The effects of rounding error on an algorithm for downdating a Cholesky factorization.
           IMA Journal of Applied Mathematics 23, 203-213. :doi:`10.1093/imamat/23.2.203`
        .. [3] Brand (2006), Fast low-rank modifications of the thin singular value decomposition. Linear Algebra and
           its Applications 415, 20-30. :doi:`10.1016/j.laa.2005.07.021`

        Examples
        --------
        >>> from fmahal import Whitener
        >>> w = Whitener.from_covariance([[4.0, 0.0], [0.0, 1.0]])
        >>> changed = w.update([2.0, 1.0], 0.5)
        >>> changed.covariance.round(6).tolist()
        [[6.0, 1.0], [1.0, 1.5]]
        >>> changed.update([2.0, 1.0], -0.5).sqnorm([[2.0, 1.0]]).round(6)
        array([2.])
        """
        rows, weights = self._changes(x, weight)
        factor = _positive_scale(scale)
        if self.outside == "raise":
            self._check_inside(rows[weights != 0])
        return type(self)(self._structure.updated(rows, weights, factor), self.outside)

    def downdate_margin(self, x: ArrayLike, weight: ArrayLike = -1.0, *, scale: float = 1.0) -> float:
        r"""Share of the covariance that an update leaves in the direction it takes most of.

        For one row :math:`1 + \text{weight}\, x^\top \Sigma^{-1} x / \text{scale}`: the ratio of the determinants after
        and before.

        Parameters
        ----------
        x : array-like of shape (p,) or (r, p)
            Centred rows.
        weight : float or array-like of shape (r,), default=-1.0
            Weights of the rows, as in `update`; negative for rows that leave.
        scale : float, default=1.0
            Positive factor of the covariance, as in `update`.

        Returns
        -------
        margin : float
            Not positive: `update` would raise. Small: it would lose that many digits, and a new factorisation is
            better. For several rows 1 + the smallest eigenvalue of
            :math:`\sum_i \text{weight}_i z_i z_i^\top / \text{scale}` over the whitened rows :math:`z_i`, on their
            span. Minus infinity when a row of negative weight has a part off the subspace.

        Raises
        ------
        ValueError
            If x, `weight` or `scale` is not finite or has a wrong shape, or `scale` is not positive.

        Notes
        -----
        Cost: that of whitening the rows, O(r p^2) or less, and O(r^2 p) for several.

        Examples
        --------
        >>> from fmahal import Whitener
        >>> w = Whitener.from_covariance([[4.0, 0.0], [0.0, 1.0]])
        >>> w.downdate_margin([1.0, 0.5], -1.0)
        0.5
        """
        rows, weights = self._changes(x, weight)
        return self._structure.margin(rows, weights / _positive_scale(scale))

    def _changes(self, x: ArrayLike, weight: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Rows in float64 and one weight each, both finite."""
        rows = as_rows(x, name="x", n_features=self._structure.shape[1]).astype(np.float64, copy=False)
        check_finite(rows, "x")
        weights = as_float(weight, "weight").astype(np.float64, copy=False)
        if weights.ndim > 1 or (weights.ndim == 1 and weights.size != rows.shape[0]):
            raise ValueError(
                f"weight must be one number or one for each of the {rows.shape[0]} rows of x, got shape "
                f"{weights.shape}."
            )
        if not np.isfinite(weights).all():
            raise ValueError(f"weight must be finite, got {weights}.")
        return rows, weights if weights.ndim else np.full(rows.shape[0], weights)


def _positive_scale(scale: float) -> float:
    """Return `scale` as a float; an error unless it is positive and finite."""
    try:
        value = float(scale)
    except (TypeError, ValueError):
        value = float("nan")
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"scale must be a positive finite number, got {scale!r}.")
    return value
