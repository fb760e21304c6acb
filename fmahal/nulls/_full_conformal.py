r"""Full conformal p-values of new rows in closed form.

A new row y joins the n training rows, location and covariance are estimated from all n + 1, and its p-value is the
share of the n + 1 squared distances that are as large as its own. With :math:`\delta = y - m`, :math:`c_i = x_i - m`,
:math:`\eta = 1/(n+1)` and :math:`\kappa = n/(n+1)` (0 and 1 about a known location), the covariance of the n + 1 rows
is :math:`(w (A + \kappa \delta\delta^\top) + (n+1) \rho I) / (n+1)`, and with :math:`B = w A + (n+1) \rho I`,

.. math:: s_i = c_i^\top B^{-1} c_i, \quad b_i = c_i^\top B^{-1} \delta, \quad g = \delta^\top B^{-1} \delta, \quad
   \tau = \frac1{1 + w \kappa g}

the squared distances are, up to the factor n + 1,

.. math:: d_i = s_i + \tau (\eta^2 g - 2 \eta b_i - w \kappa b_i^2), \qquad d_y = \kappa^2 g\, \tau .

All :math:`s_i` and :math:`b_i` of many new rows are two matrix products in the eigenbasis of A, where the ridge may
differ from row to row: relative to the mean variance, it depends on y.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..scatter import resolve
from ..scatter._streaming import is_weighted
from ._cases import space_is_fixed, space_keeps_law
from ._intensity import shrinkage_weights
from ._jackknife import EMPIRICAL, SHRUNK, Array, given_amount, spectral_frame
from ._left_out import float_table, subspace_of
from .base import training_facts

_BLOCK_CELLS = 2_000_000  # new rows times training rows at once
_TIE = 1e-10  # relative gap below which distances tie, at least
_FAR = 1e100  # spreads; a row farther away is judged at this distance, where its square does not overflow


class FullConformal:
    """Ranks of new rows among the training rows, each new row being part of its own estimate.

    Parameters
    ----------
    estimator : fitted scatter or Pipeline that ends in one
        One for which `supports_full` is true.
    X : table of shape (n, n_features)
        Training rows, as given to `estimator`.

    Notes
    -----
    O(n p min(n, p)) time; memory for the rows three times.
    """

    def __init__(self, estimator: Any, X: Any):
        self._space, scatter = resolve(estimator)
        self._n_columns = _width(X)
        Z = float_table(X if self._space is None else self._space.transform(X))
        self._scatter = scatter
        self._plain = type(scatter) in EMPIRICAL or given_amount(scatter) == 0
        self._subspace, rank = None, None
        if self._plain:
            known = training_facts(estimator, X)
            rank = known.rank
            self._subspace = subspace_of(scatter, known.n_samples, rank)
        frame = spectral_frame(Z, centred=not scatter.assume_centered, rank=rank)
        self._location, self._scale, self._centred = frame.location, frame.scale, frame.centred
        self._values, self._vectors = frame.values, frame.vectors()
        # Measured like new rows are, with the same rounding, so that a new row that is a training row ties with it.
        self._left = (frame.rows @ self._vectors) / np.sqrt(frame.values)
        self._squares = self._left**2
        self._total = float(np.einsum("ij,ij->", frame.rows, frame.rows))

    def pvalues(self, X: Any) -> Array:
        """Return the p-values of new rows, multiples of 1 / (n + 1): O((n + p) r) time a row, r the rank."""
        if _width(X) != self._n_columns:
            raise ValueError(
                f"X has {_width(X)} columns, expected the {self._n_columns} of the training rows."
            )
        Y = float_table(X if self._space is None else self._space.transform(X))
        n = len(self._left)
        out = np.empty(len(Y))
        step = max(1, _BLOCK_CELLS // max(n, Y.shape[1]))
        for start in range(0, len(Y), step):
            out[start : start + step] = self._block(Y[start : start + step])
        return out

    def _block(self, Y: NDArray[Any]) -> Array:
        n, values = len(self._left), self._values
        scores, off = self._coordinates(Y)
        eta, kappa = (1.0 / (n + 1), n / (n + 1.0)) if self._centred else (0.0, 1.0)
        trace = (self._total + kappa * (np.einsum("ij,ij->i", scores, scores) + off)) / (n + 1)
        weight, added = self._weights(trace)
        lifted = weight * values + added[:, None]
        inner = self._left_products(values / lifted, np.sqrt(values) * scores / lifted)
        g = np.einsum("ij,ij->i", scores, scores / lifted)
        with np.errstate(divide="ignore", invalid="ignore"):
            g += np.where(off > 0, off / added, 0.0)  # infinite off the subspace, if nothing regularises
            tau = 1.0 / (1.0 + weight * kappa * g)
            spread = np.where(np.isinf(g), 1.0 / max(weight * kappa, np.finfo(float).tiny), g * tau)
        own = kappa**2 * spread
        others = inner.own + (eta**2 * spread)[:, None]
        others -= tau[:, None] * (2.0 * eta + weight * kappa * inner.cross) * inner.cross
        count = np.count_nonzero(others >= (own * (1.0 - self._tie(lifted)))[:, None], axis=1)
        return (1 + count) / (n + 1)

    def _coordinates(self, Y: NDArray[Any]) -> tuple[Array, Array]:
        """Return new rows in the eigenbasis of A, and their squared length off it, in units of the frame.

        Where nothing regularises, any length off the subspace makes the distance the largest there is, and the rule
        of the fitted scatter, by which the training rows are on it, says which rows have one.
        """
        with np.errstate(over="ignore"):
            delta = np.subtract(Y, self._location, dtype=np.float64) / self._scale
        far = np.flatnonzero(~(np.abs(delta).max(axis=1) <= _FAR))
        if far.size:
            delta[far] = self._nearer(Y[far])
        scores = delta @ self._vectors
        off = np.zeros(len(Y))
        if self._plain:
            if self._subspace is not None:
                with np.errstate(over="ignore", invalid="ignore"):
                    off[self._subspace.off_subspace(Y, self._scatter.location_)] = 1.0
        elif scores.shape[1] < Y.shape[1]:
            delta -= scores @ self._vectors.T
            off = np.einsum("ij,ij->i", delta, delta)
        return scores, off

    def _nearer(self, Y: NDArray[Any]) -> Array:
        """Return centred rows brought along their direction to a distance of `_FAR`."""
        delta = 0.5 * Y.astype(np.float64) - 0.5 * self._location
        for unit in (1.0, self._scale):
            delta /= unit
            delta /= np.abs(delta).max(axis=1, keepdims=True)
        return _FAR * delta

    def _weights(self, trace: Array) -> tuple[float, Array]:
        """Return w and (n + 1) rho for each new row."""
        if self._plain:
            return 1.0, np.zeros(len(trace))
        n, p = len(self._left), len(self._location)
        none = np.zeros(len(trace))
        weight, ridge = shrinkage_weights(self._scatter, trace, none, none, n + 1, p)
        return float(weight[0]), (n + 1) * ridge

    def _left_products(self, own: Array, cross: Array) -> _Products:
        """Return all s_i and b_i: two matrix products, one where s_i does not depend on the new row."""
        if self._plain:
            return _Products(self._squares.sum(axis=1)[None, :], cross @ self._left.T)
        return _Products(own @ self._squares.T, cross @ self._left.T)

    def _tie(self, lifted: Array) -> Array:
        """Return the relative rounding of the distances for each row: of coordinates, so the root of the condition."""
        if lifted.shape[1] == 0:
            return np.full(len(lifted), _TIE)
        rounding = 8.0 * max(len(self._location), 16) * np.finfo(np.float64).eps
        return np.clip(rounding * np.sqrt(lifted.max(axis=1) / lifted.min(axis=1)), _TIE, 1e-6)


class _Products(NamedTuple):
    own: Array
    cross: Array


def _width(X: Any) -> int:
    shape = np.shape(X)
    if len(shape) != 2:
        raise ValueError(f"X must be a table of rows and columns, got shape {shape}. Pass one row as [row].")
    return shape[1]


def supports_full(estimator: Any) -> bool:
    """Tell whether the closed form holds: sample or shrunk covariance, and a space that learns nothing from the rows.

    In front of the sample covariance about its mean, steps may shift and scale columns.
    """
    space, scatter = resolve(estimator)
    if is_weighted(scatter):
        return False
    if type(scatter) in EMPIRICAL and not scatter.assume_centered:
        return space_keeps_law(space)
    return type(scatter) in EMPIRICAL + SHRUNK and space_is_fixed(space)
