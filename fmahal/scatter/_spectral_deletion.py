r"""Leave-one-out squared distances of spectral filters in closed form.

Centred rows :math:`c_i = x_i - m` with singular value decomposition :math:`C = U \operatorname{diag}(s) V^\top` have
the scatter matrix :math:`A = C^\top C`. Without row i, in the coordinates of V,

.. math:: m_{-i} = m - \frac{c_i}{n-1}, \qquad A_{-i} = \operatorname{diag}(s^2) - k\, c_i c_i^\top, \qquad
   x_i - m_{-i} = k\, c_i, \qquad k = \frac{n}{n-1},

and the divisor is :math:`\nu = n - 1 - \mathrm{ddof}`. With alpha frozen at its absolute value, the rank-one identity
gives every filter that keeps all directions as a moment of one law on the directions: direction j has the probability
:math:`p_{ij} = k u_{ij}^2` and the value :math:`e_j = \nu\alpha / (s_j^2 + \nu\alpha)`, and what is missing to one,
:math:`p_{i0} = 1 - k |u_i|^2`, has the value 1. Then

.. math:: d^2_{-i} = k \nu \, \frac{1 - \operatorname{E}_i e}{\operatorname{E}_i e} \ \text{(ridge)}, \qquad
   d^2_{-i} = k \nu \, \frac{\operatorname{Var}_i e}{(\operatorname{E}_i e)^2} \ \text{(rkhs)}, \qquad
   d^2_{-i} = k \nu \, \frac{1 - p_{i0}}{p_{i0}} \ \text{(inverse)}.

The sums have no differences of nearly equal numbers: variances are taken of e or of 1 - e, whichever is small. Only
:math:`p_{i0}` is one, for a row that outweighs all others, and the caller measures such rows again. The part of the
ridge distance off the span of the other rows is in it: a training row lies in the span of all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._structures.base import row_blocks
from .._typing import FloatArray

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)


class Deletion(NamedTuple):
    """What leaving out each row needs to know.

    Attributes
    ----------
    left : ndarray of shape (n, r)
        Left singular vectors of the centred rows.
    squares : ndarray of shape (r,)
        Squared singular values, relative to the largest, descending and positive.
    unit : float
        The largest squared singular value, in squared units of the data.
    rest : ndarray of shape (n,)
        p_i0, 1 - k |u_i|^2: what is left of the leverage for directions that are not in `left`; an exact 0 where a
        direction vanishes with the row.
    k : float
        n / (n - 1).
    divisor : float
        n - 1 - ddof.
    """

    left: Array
    squares: Array
    unit: float
    rest: Array
    k: float
    divisor: float

    def lift(self, alpha: float) -> float:
        """Return what alpha adds to `squares`."""
        return self.divisor * (alpha / self.unit)


def deletion(left: Array, eigenvalues: FloatArray, *, ddof: int) -> Deletion:
    """Prepare leave-one-out formulas.

    Parameters
    ----------
    left : ndarray of shape (n, r)
        Left singular vectors of the centred rows.
    eigenvalues : ndarray of shape (r,)
        Eigenvalues of the covariance of divisor n - ddof, descending and positive.
    ddof : int
        The divisor without a row is n - 1 - ddof.

    Returns
    -------
    frame : Deletion
        The decomposition.

    Raises
    ------
    ValueError
        When fewer than two rows, or no degree of freedom, are left without one row.

    Notes
    -----
    O(n r).
    """
    n, r = left.shape
    divisor = n - 1 - ddof
    if n < 3 or divisor < 1:
        raise ValueError(
            f"Leave-one-out distances need a covariance of the other rows: {n} rows with ddof={ddof} leave a divisor "
            f"of {divisor} without one of them. Pass at least {max(3, ddof + 2)} rows."
        )
    k = n / (n - 1.0)
    rest = np.zeros(n) if r >= n - 1 else 1.0 - k * np.einsum("ij,ij->i", left, left)
    rest[rest < 16.0 * n * EPS] = 0.0  # the rounding of a sum of squares near one
    unit = float(eigenvalues[0]) * (n - ddof)
    squares: Array = np.asarray(eigenvalues / eigenvalues[0], dtype=np.float64)
    return Deletion(left, squares, unit, rest, k, float(divisor))


def left_out_distances(frame: Deletion, filter: str, alpha: float, *, lost: str = "inf") -> Array:
    r"""Squared distance of each training row from the filter fitted to all others, all directions kept.

    Parameters
    ----------
    frame : Deletion
        The decomposition.
    filter : {"rkhs", "ridge", "inverse", "truncate"}
        The filter; "truncate" that keeps all directions is "inverse".
    alpha : float
        The regularisation, in the units of the eigenvalues; the same without a row.
    lost : {"inf", "ignore"}, default="inf"
        What a row does that is alone in a direction, so that the rank drops without it: an infinite distance, or the
        direction is not seen. Only for "rkhs" and "inverse": for "ridge" it weighs 1 / alpha.

    Returns
    -------
    d2 : ndarray of shape (n,)
        Squared distances, +inf where a row is alone in a direction and `lost` says so.

    Notes
    -----
    O(n r) time, memory for a block of rows. "rkhs" sees no such direction unless `lost` is "inf", as the limit of
    its weight is 0 there; "inverse" with "ignore" is the limit of "rkhs" for a vanishing alpha.
    """
    scale = frame.k * frame.divisor
    alone = frame.rest == 0
    if filter in ("inverse", "truncate"):
        mass = np.where(alone, 1.0, frame.rest)
        out = scale * (1.0 - mass) / mass
        if alone.any():
            blind = lost == "ignore"
            out[alone] = scale * _relative_variance(frame, 1.0 / frame.squares, alone) if blind else np.inf
        return out
    lift = frame.lift(alpha)
    # e_j in units of its smallest value would do as well: alpha may be far below all eigenvalues.
    values, kept = 1.0 / (1.0 + frame.squares / lift), frame.squares / (frame.squares + lift)
    if filter == "ridge":
        return scale * _mean(frame, kept, rest=0.0) / _mean(frame, values)
    out = scale * _relative_variance(frame, values, np.ones(len(alone), dtype=bool))
    mean = _mean(frame, values)
    high = mean > 0.5  # e is near one, and 1 - e has the digits of its variance
    out[high] = scale * _variance_of_kept(frame, kept, high) / mean[high] ** 2
    if lost == "inf":
        out[alone] = np.inf
    return out


def left_out_logdet(frame: Deletion, alpha: float, n_features: int) -> Array:
    """Log-determinant of the covariance without each row plus alpha, (n,), in squared units of the data: O(n r)."""
    lift = frame.lift(alpha)
    inside = float(np.log(frame.squares + lift).sum())
    units = frame.squares.size * np.log(frame.unit / frame.divisor)
    outside = (n_features - frame.squares.size) * np.log(alpha)
    return inside + units + outside + np.log(_mean(frame, lift / (frame.squares + lift)))


def _mean(frame: Deletion, values: Array, rest: float = 1.0) -> Array:
    """E_i of a function of the directions, (n,)."""
    out = rest * frame.rest
    for rows in row_blocks(*frame.left.shape):
        out[rows] += (frame.left[rows] ** 2) @ (frame.k * values)
    return out


def _relative_variance(frame: Deletion, values: Array, rows: NDArray[np.bool_]) -> Array:
    """Var_i e / (E_i e)^2 of some rows, by two passes: nothing cancels."""
    left, rest = frame.left[rows], frame.rest[rows]
    out = np.empty(len(left))
    for block in row_blocks(*left.shape):
        p = frame.k * left[block] ** 2
        mean = p @ values + rest[block]
        relative = values / mean[:, None] - 1.0
        others = np.where(rest[block] > 0, 1.0 / np.where(rest[block] > 0, mean, 1.0) - 1.0, 0.0)
        out[block] = np.einsum("ij,ij->i", p, relative**2) + rest[block] * others**2
    return out


def _variance_of_kept(frame: Deletion, kept: Array, rows: NDArray[np.bool_]) -> Array:
    """Var_i (1 - e), which is Var_i e, of some rows; 1 - e is zero for what is missing to one."""
    left, rest = frame.left[rows], frame.rest[rows]
    out, unit = np.empty(len(left)), float(kept.max()) or 1.0  # squares of small numbers vanish
    for block in row_blocks(*left.shape):
        p = frame.k * left[block] ** 2
        mean = p @ (kept / unit)
        out[block] = np.einsum("ij,ij->i", p, (kept / unit - mean[:, None]) ** 2) + rest[block] * mean**2
    return out * unit**2


# -------------------------------------------------------------------- nearest other row


def left_out_conformance(
    frame: Deletion, filter: str, alpha: float, *, block: int | None = None, lost: str = "inf"
) -> Array:
    r"""Squared distance of each training row to the nearest other one, in the norm fitted to all others.

    In the coordinates of the left singular vectors, with :math:`u = u_i - u_l`, :math:`a = u_i`,
    :math:`P = I - k a a^\top`, :math:`\gamma = (\operatorname{E}_i e) / k`, :math:`\tau = \sum_j (1 - e_j) a_j u_j` and
    :math:`\zeta = (p_{i0} a - P(e \circ a)) / \gamma`,

    .. math:: d^2_{il} = \nu \Big( \sum_j (1 - e_j) u_j^2 + \frac{\tau^2}{\gamma} \Big) \ \text{(ridge)}, \qquad
       d^2_{il} = \nu \Big( \lVert P((1 - e) \circ u) + \tau \zeta \rVert^2 + \frac{p_{i0} \tau^2}{k \gamma^2} \Big)
       \ \text{(rkhs, inverse)}.

    Parameters
    ----------
    frame : Deletion
        The decomposition.
    filter : {"rkhs", "ridge", "inverse", "truncate"}
        The filter.
    alpha : float
        The regularisation, in the units of the eigenvalues.
    block : int, optional
        Rows at a time; changes nothing but the memory, block times n.
    lost : {"inf", "ignore"}, default="inf"
        As in `left_out_distances`.

    Returns
    -------
    d2 : ndarray of shape (n,)
        Squared distances.

    Notes
    -----
    O(n^2 r) time, two matrix products a block. Those find candidates; the candidates are measured again by explicit
    differences.
    """
    n = len(frame.left)
    plain = filter in ("inverse", "truncate")
    lift = 0.0 if plain else frame.lift(alpha)
    values = 1.0 / (1.0 + frame.squares / lift) if lift > 0 else np.zeros(frame.squares.size)
    alone = frame.rest == 0
    gap, pull = _mean(frame, values) / frame.k, np.broadcast_to(values, frame.left.shape)
    if plain and alone.any():  # the limit of a vanishing alpha
        pull = np.where(alone[:, None], 1.0 / frame.squares, 0.0)
        gap[alone] = np.einsum("ij,ij,j->i", *[frame.left[alone]] * 2, 1.0 / frame.squares)
    pairs = _Pairs(frame, frame.squares / (frame.squares + lift), pull, gap, filter == "ridge", plain)
    out = np.empty(n)
    for rows in _square_blocks(n, block):
        out[rows] = frame.divisor * pairs.nearest(np.arange(n)[rows])
    if lost == "inf" and filter != "ridge":
        out[alone] = np.inf
    return out


class _Pairs(NamedTuple):
    """The quadratic form of each row without itself: `kept` is 1 - e, `pull` is e, `gap` is gamma."""

    frame: Deletion
    kept: Array
    pull: Array
    gap: Array
    ridge: bool
    plain: bool

    def nearest(self, rows: NDArray[np.int64]) -> Array:
        """Smallest form of each of some rows: candidates by matrix products, then the candidates again."""
        zeta = self._zeta(rows)
        rough, error = self._rough(rows, zeta)
        rough[np.arange(len(rows)), rows] = np.inf
        at, other = np.nonzero(rough <= (rough.min(axis=1) + 2.0 * error)[:, None])
        out = np.full(len(rows), np.inf)
        for some in row_blocks(len(at), self.frame.left.shape[1]):
            np.minimum.at(out, at[some], self._exact(rows[at[some]], other[some], zeta[at[some]]))
        return out

    def _zeta(self, rows: NDArray[np.int64]) -> Array:
        own = self.frame.left[rows]
        gap = self.gap[rows, None]
        pulled = self._projected(own, self.pull[rows] * own)
        zeta = (self.frame.rest[rows, None] * own - pulled) / gap
        if self.plain:
            return zeta
        high = self.frame.k * gap[:, 0] > 0.5  # e is near one: P a = p_i0 a, and what is left is P((1 - e) a)
        zeta[high] = self._projected(own[high], self.kept * own[high]) / gap[high]
        return zeta

    def _projected(self, own: Array, rows: Array) -> Array:
        """P of each row."""
        return rows - self.frame.k * own * np.einsum("ij,ij->i", own, rows)[:, None]

    def _own(self, rows: NDArray[np.int64]) -> Array:
        return self.frame.rest[rows] / (self.frame.k * self.gap[rows] ** 2)

    def _rough(self, rows: NDArray[np.int64], zeta: Array) -> tuple[Array, Array]:
        """All forms by expanding squares, and a bound on their rounding."""
        left, own = self.frame.left, self.frame.left[rows]
        weights = self.kept if self.ridge else self.kept**2
        sizes = (left**2) @ weights
        form = sizes[rows, None] + sizes - 2.0 * ((own * weights) @ left.T)
        tau = ((own**2) @ self.kept)[:, None] - (own * self.kept) @ left.T
        if self.ridge:
            growth = 1.0 / self.gap[rows]
            form += tau**2 * growth[:, None]
        else:
            k, rest = self.frame.k, self.frame.rest[rows]
            across = (zeta - k * own * np.einsum("ij,ij->i", own, zeta)[:, None]) * self.kept
            turn = np.einsum("ij,ij->i", across, own)[:, None] - across @ left.T
            growth = np.einsum("ij,ij->i", zeta, zeta) + self._own(rows)
            form += 2.0 * tau * turn + tau**2 * (growth - k * (1.0 + rest))[:, None]
        return form, 16.0 * (own.shape[1] + 8) * EPS * (sizes[rows] + sizes.max()) * (1.0 + growth)

    def _exact(self, i: NDArray[np.int64], j: NDArray[np.int64], zeta: Array) -> Array:
        own = self.frame.left[i]
        u = own - self.frame.left[j]
        tau = np.einsum("ij,ij,j->i", u, own, self.kept)
        if self.ridge:
            return np.einsum("ij,ij,j->i", u, u, self.kept) + tau**2 / self.gap[i]
        y = self.kept * u + (zeta - self.frame.k * own) * tau[:, None]
        return np.einsum("ij,ij->i", y, y) + self._own(i) * tau**2


def _square_blocks(n: int, block: int | None) -> list[slice]:
    if block is None:
        return list(row_blocks(n, n))
    return [slice(start, min(start + block, n)) for start in range(0, n, block)]
