r"""Leave-one-out squared distances in closed form.

The rows :math:`c_i = x_i - m` have the scatter matrix :math:`A = \sum_i c_i c_i^\top`. Without row i, location and
scatter matrix are

.. math:: m_{-i} = m - \frac{c_i}{n-1}, \qquad A_{-i} = A - k\, c_i c_i^\top, \qquad x_i - m_{-i} = k\, c_i,
   \qquad k = \frac n{n-1}

(k = 1 and m = 0 when the location is known). A covariance :math:`w_i A_{-i} / (n-1) + \rho_i I`, where the weight and
the ridge are those that the estimator itself would choose without row i, is inverted by the rank-one identity:

.. math:: d^2_{-i} = k\, t_i / g_i, \qquad
   t_i = \sum_j u_{ij}^2 \frac{(n-1) \lambda_j}{w_i \lambda_j + (n-1) \rho_i}, \qquad
   g_i = \frac1k - \sum_j u_{ij}^2 + \sum_j u_{ij}^2 \frac{(n-1) \rho_i}{w_i \lambda_j + (n-1) \rho_i}

with the singular value decomposition :math:`C = U \Lambda^{1/2} V^\top` of the centred rows.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from sklearn import covariance as sk

from .._structures.base import row_blocks
from ..scatter import OAS, EmpiricalCovariance, LedoitWolf, ScatterFacts, ShrunkCovariance, resolve
from ..scatter._moments import EPS, WIDE, column_scale, dual_moments, rank_tolerance
from ..scatter._spectral_loo import leave_one_out as filter_leave_one_out
from ..scatter.spectral import SpectralFilter
from ..whitener import Whitener
from ._cases import exact_case, space_is_fixed, space_keeps_law
from ._intensity import shrinkage_weights
from ._left_out import float_table, left_out, scatter_distances, subspace_of
from .base import training_facts

EMPIRICAL = (EmpiricalCovariance, sk.EmpiricalCovariance)
SHRUNK = (ShrunkCovariance, sk.ShrunkCovariance)
_ADAPTIVE = (LedoitWolf, OAS, sk.LedoitWolf, sk.OAS)
_OUTWEIGHED = 0.05  # below this share of the sum of squares, what is left of it without a row has lost digits
_HIDDEN = 1e-8  # below this share, the squares of all other rows are near the rounding of one row's
_FEW = 4  # rows; of two, the noise that an intensity estimates is nothing but rounding
_RISKY = 1e-6  # below it, the gap of an unregularised covariance may be nothing but rounding
_OWN_PART = 1e-9  # share of a row's length from which on it is more than the rounding of what was taken off
_MOST_REFITS = (
    8  # rows with so small a gap that a fit each decides; at most rank + 1 rows can have one, or all
)

Array = NDArray[np.float64]


class Frame(NamedTuple):
    """The singular value decomposition of centred rows.

    Attributes
    ----------
    rows : ndarray of shape (n, p)
        Centred rows C, without constant columns, in units of `scale`.
    location : ndarray of shape (p,)
        What was subtracted: the mean, or zeros.
    scale : ndarray of shape (p,)
        Units of the columns: one for all, a power of two, or their standard deviations.
    centred : bool
        Whether the mean was subtracted.
    values : ndarray of shape (r,)
        Positive eigenvalues of C'C, descending.
    left : ndarray of shape (n, r)
        Left singular vectors U.
    rest : ndarray of shape (n,)
        1/k - |u_i|^2, the part of the leverage that is left to other directions; an exact 0 where there are none.
    tolerance : float
        Share of the largest eigenvalue below which one counts as zero when nothing regularises.
    basis : ndarray of shape (p, r) or None
        Right singular vectors, where they are known already.
    """

    rows: Array
    location: Array
    scale: Array
    centred: bool
    values: Array
    left: Array
    rest: Array
    tolerance: float
    basis: Array | None = None

    def vectors(self) -> Array:
        """Return the right singular vectors V, (p, r): O(n p r)."""
        return self.basis if self.basis is not None else _right(self.rows, self.values, self.left)


def spectral_frame(X: NDArray[Any], *, centred: bool, rank: int | None = None) -> Frame:
    """Decompose the rows about their mean, or about zero; perhaps in units of their standard deviations.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Finite rows.
    centred : bool
        Whether the mean is subtracted.
    rank : int, optional
        Rank of a covariance that nothing regularises: columns are brought to a common unit, and so many directions
        kept. By default all directions are, as far as rounding knows them, in one unit for all columns, so that no
        sum of squares overflows.

    Returns
    -------
    frame : Frame
        The decomposition.

    Notes
    -----
    O(n p min(n, p)) time; memory for the rows three times.
    """
    n, p = X.shape
    moments = dual_moments(X, centred)  # the centred rows, whichever of n and p is larger
    rows: Any = moments._rows
    moments.input_eps = float(np.finfo(X.dtype).eps) if X.dtype != np.float64 else 0.0
    tolerance = moments.tolerance
    if rank is None:
        scale = np.full(p, np.ldexp(1.0, np.frexp(moments.sd.max(initial=0.0))[1] - 1))
    else:
        scale = column_scale(moments.sd, moments.location, moments.constant)
    rows /= scale
    basis = None
    if rank is None:
        values, left, basis = _all_directions(rows, np.einsum("ij,ij->i", rows, rows), moments.max_rank)
    else:
        values, left = _decompose(rows)
        count = min(int(np.count_nonzero(values > 0)), rank, moments.max_rank)
        values, left = values[:count], np.ascontiguousarray(left[:, :count])
    count = values.size
    most = n - 1 if centred else n
    largest = 1.0 - 1.0 / n if centred else 1.0
    rest = np.zeros(n) if count == most else largest - np.einsum("ij,ij->i", left, left)
    location: Any = moments.location
    return Frame(rows, location, scale, centred, values, left, rest, tolerance, basis)


def _all_directions(rows: Array, sizes: Array, most: int) -> tuple[Array, Array, Array | None]:
    """Decompose rows, and again what the leading directions leave of them, until nothing is left but rounding.

    A gross row hides the directions of all others below the rounding of its own. Where a ridge lifts them they are
    the distances of the other rows, though, and new rows have them too.
    """
    values, left = _decompose(rows)
    count = min(int(np.count_nonzero(values > len(rows) * EPS * values.max(initial=0.0))), most)
    values, left = values[:count], np.ascontiguousarray(left[:, :count])
    if count in (0, most):
        return values, left, None
    basis = _right(rows, values, left)
    others = rows - (rows @ basis) @ basis.T
    if not np.any(np.einsum("ij,ij->i", others, others) > _OWN_PART**2 * sizes):
        return values, left, basis
    more, more_left, more_basis = _all_directions(others, sizes, most - count)
    if more_basis is None:
        more_basis = _right(others, more, more_left)
    return np.append(values, more), np.hstack([left, more_left]), np.hstack([basis, more_basis])


def _right(rows: Array, values: Array, left: Array) -> Array:
    """Return right singular vectors from left ones; one orthonormalisation, largest first, where they lose digits."""
    V: Array = rows.T @ (left / np.sqrt(values))
    if values.size and values[-1] < WIDE * values[0]:
        V, triangle = qr(V, overwrite_a=True, mode="economic", check_finite=False)
        V *= np.sign(np.diagonal(triangle))
    return V


def _decompose(rows: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of C'C, descending, and left singular vectors of the positive ones."""
    n, p = rows.shape
    gram = rows @ rows.T if p > n else rows.T @ rows
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    if (
        values[min(p, n - 1) - 1] < WIDE * values[0]
    ):  # products have squared the spread of the singular values
        if p > n:
            triangle = qr(rows.T, mode="r", check_finite=False)[0][:n]
            _, roots, right = np.linalg.svd(triangle)
            return roots**2, right.T
        vectors, roots, _ = np.linalg.svd(rows, full_matrices=False)
        return roots**2, vectors
    if p > n:
        return values, vectors
    roots = np.sqrt(values)
    return values, rows @ (vectors / np.where(roots > 0, roots, 1.0))


def leave_one_out(estimator: Any, X: Any, d2: Array) -> Array | None:
    """Return the squared distance of each training row from a fit to all the others, in closed form.

    Parameters
    ----------
    estimator : fitted scatter or Pipeline that ends in one
        `EmpiricalCovariance`, `ShrunkCovariance`, `LedoitWolf` or `OAS`, ours or scikit-learn's; or a `FixedScatter`
        with a given covariance and the mean or a given location; or a `SpectralFilter` with an absolute alpha, or none,
        and a number of components, or all. Steps before it learn nothing from the rows, or
        only shift and scale columns in front of the sample covariance.
    X : array-like of shape (n, n_features)
        Training rows, as given to `estimator`; at least three.
    d2 : ndarray of shape (n,)
        Their squared distances.

    Returns
    -------
    left_out : ndarray of shape (n,) or None
        Squared distances, +inf where the rank drops when the row leaves; None for any other estimator.

    Notes
    -----
    O(n) for the sample covariance and for a known one. For the others a decomposition, O(n p min(n, p)), then
    O(n min(n, p)). The few rows that formulas cannot measure to many digits, those that outweigh all others or that
    nearly make up a direction alone, are measured by one more fit each. What a regularised
    estimator adds is chosen again without the row: nothing is frozen at its value for all rows.
    """
    space, scatter = resolve(estimator)
    if not isinstance(X, np.ndarray) and not hasattr(X, "shape"):
        X = np.asarray(X)
    known = training_facts(estimator, X)
    if known.n_samples != len(d2) or known.effective_n_samples is not None:
        # Updated by partial_fit, so that the other rows are not here; or of unequal weights.
        return None
    case, _ = exact_case(estimator, known)
    if case in ("known", "known-covariance"):
        return _known(scatter, X if space is None else space.transform(X), d2, known)
    if type(scatter) is SpectralFilter:
        return _filtered(estimator, scatter, X) if space_is_fixed(space) and len(d2) >= _FEW else None
    empirical = type(scatter) in EMPIRICAL
    if not empirical and type(scatter) not in SHRUNK + _ADAPTIVE:
        return None
    affine = empirical and not known.assume_centered
    if not (space_keeps_law(space) if affine else space_is_fixed(space)):
        return None
    Z = X if space is None else space.transform(X)
    if empirical or given_amount(scatter) == 0:
        return _empirical(scatter, Z, d2, known.assume_centered)
    return _regularised(scatter, float_table(Z), not known.assume_centered)


def _known(scatter: Any, Z: Any, d2: Array, known: ScatterFacts) -> Array:
    """d2_{-i} = d2 when nothing was estimated, and (n / (n - 1))^2 d2 when the mean was; +inf off the subspace."""
    n = len(d2)
    out = d2 * (1.0 if known.assume_centered else (n / (n - 1.0)) ** 2)
    subspace = subspace_of(scatter, known.n_samples, known.rank)
    if subspace is not None:
        out[subspace.off_subspace(float_table(Z), scatter.location_)] = np.inf
    return out


def _filtered(estimator: Any, scatter: SpectralFilter, X: Any) -> Array | None:
    """Measure by a spectral filter whose parameters do not change with the rows; None for another.

    A relative alpha, and a share of the variance, are chosen again in a fit without a row.
    """
    K = scatter.n_components
    chosen = K is None if scatter.filter == "truncate" else scatter.alpha_units != "absolute"
    if scatter.filter == "inverse":
        chosen = False
    if chosen or (K is not None and not isinstance(K, Integral)) or scatter._fitted_rows is None:
        return None
    n, divisor = scatter.n_samples_, scatter.n_samples_ - scatter.ddof_
    if divisor < 2:
        return None
    size = scatter._training_whitened() ** 2 @ (1.0 / scatter.filter_values_)
    if n / (n - 1.0) * size.max() > (1.0 - _HIDDEN) * scatter.total_variance_ * divisor:
        return None  # such a row hides the directions of the others from the fit to all
    lost = "ignore" if scatter.outside == "ignore" else "inf"
    d2 = filter_leave_one_out(scatter, lost=lost)
    # What is left of a leverage near one has lost its digits: a row that outweighs the others, or is alone.
    full = scatter.n_components_ >= n - 1
    risky = np.flatnonzero(d2 > n / _RISKY)
    if 0 < risky.size <= _MOST_REFITS and not full:
        d2[risky] = [left_out(estimator, X, np.array([i]))[0] for i in risky]
    return d2


def given_amount(scatter: Any) -> float | None:
    """Return how much a `ShrunkCovariance` was told to shrink, None for other classes."""
    if type(scatter) not in SHRUNK:
        return None
    ridge = getattr(scatter, "ridge", None)
    return float(scatter.shrinkage if ridge is None else ridge)


def _empirical(scatter: Any, Z: Any, d2: Array, known_location: bool) -> Array:
    """d2_{-i} = n d2 / (n - 1 - d2); about a known location (n - 1) d2 / (n - d2)."""
    table = float_table(Z)
    n, p = table.shape
    if table.dtype != np.float64:  # the distances of float32 rows have been rounded to float32
        d2 = scatter_distances(scatter, table.astype(np.float64))
    limit, factor = (n, n - 1.0) if known_location else (n - 1, float(n))
    gap = 1.0 - d2 / limit
    risky = np.flatnonzero(gap < _RISKY)
    if 0 < risky.size <= _MOST_REFITS:  # a gross outlier, or a row alone in its direction: a fit can tell
        gap[risky] = 1.0
        out = factor * (d2 / limit) / gap
        out[risky] = [left_out(scatter, table, np.array([i]))[0] for i in risky]
        return out
    # The rounding of a distance grows with the condition of the correlation matrix.
    floor = 0.0
    if risky.size:
        floor = min(8.0 * rank_tolerance(n, p) * max(_condition(scatter, n), 1.0), _RISKY)
    drops = gap <= floor
    return np.where(drops, np.inf, factor * (d2 / limit) / np.where(drops, 1.0, gap))


def _condition(scatter: Any, n: int) -> float:
    whitener = getattr(scatter, "whitener_", None)
    if whitener is None:
        whitener = Whitener.from_covariance(scatter.covariance_, n_samples=n)
    return float(whitener.condition_number)


def _regularised(scatter: Any, Z: NDArray[Any], centred: bool) -> Array:
    n = len(Z)
    if n < _FEW:
        return np.array([left_out(scatter, Z, np.array([i]))[0] for i in range(n)])
    frame = spectral_frame(Z, centred=centred)
    sqnorms = np.einsum("ij,ij->i", frame.rows, frame.rows)
    trace, dispersion, fourth = _invariants_without(frame, sqnorms)
    weight, ridge = shrinkage_weights(scatter, trace, dispersion, fourth, n - 1, Z.shape[1])
    k = n / (n - 1.0) if centred else 1.0
    d2 = np.empty(n)
    for rows in row_blocks(n, max(frame.values.size, 1)):
        squares = frame.left[rows] ** 2
        added = (n - 1.0) * ridge[rows, None]
        lifted = weight[rows, None] * frame.values + added
        with np.errstate(divide="ignore", invalid="ignore"):  # nothing varies: such rows are refitted below
            distance = np.einsum("ij,ij->i", squares, (n - 1.0) * frame.values / lifted)
            gap = frame.rest[rows] + np.einsum("ij,ij->i", squares, added / lifted)
            drops = gap <= n * frame.tolerance * (added[:, 0] == 0)
            d2[rows] = np.where(drops, np.inf, k * distance / gap)
    total = sqnorms.sum()
    for i in np.flatnonzero(k * sqnorms > (1.0 - _OUTWEIGHED) * total):
        d2[i] = left_out(scatter, Z, np.array([i]))[0]
    return d2


def _invariants_without(frame: Frame, sqnorms: Array) -> tuple[Array, Array, Array]:
    """Return trace, dispersion and fourth moment (see `Invariants`) of the sample without each row.

    With q_i = |c_i|^2, a_i = c_i' A c_i and h = sum_k q_k c_k, the fourth moments about the other location are
    sum_k (q_k + 2 c_k'e + |e|^2)^2 minus the row's own term, e = c_i / (n - 1).
    """
    n, q, total = len(sqnorms), sqnorms, sqnorms.sum()
    k = n / (n - 1.0) if frame.centred else 1.0
    if total <= 0:
        return np.zeros(n), np.zeros(n), np.zeros(n)
    q, values = q / total, frame.values / total  # free of units
    along = np.einsum("ij,j->i", frame.left**2, values**2)
    left = np.maximum(1.0 - k * q, 0.0)
    frobenius = values @ values - 2.0 * k * along + (k * q) ** 2
    fourth = q @ q - (k * k * q) ** 2 if frame.centred else q @ q - q**2
    if frame.centred:
        pull = frame.rows @ ((q / total) @ frame.rows)  # c_i'h
        fourth += (
            (4.0 * along + 2.0 * q) / (n - 1.0) ** 2 + n * q**2 / (n - 1.0) ** 4 + 4.0 * pull / (n - 1.0)
        )
    square = np.where(left > 0, left**2, 1.0)
    return (
        total * left / (n - 1),
        np.maximum(frobenius, 0.0) / square,
        np.maximum(fourth, 0.0) * (n - 1) / square,
    )
