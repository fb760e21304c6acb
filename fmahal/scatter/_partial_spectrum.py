"""The spectrum that partial whitening raises to a power, and the criterion that chooses the power."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from .._structures import Spectral
from .._typing import FloatArray
from ..whitener import Whitener

_EPS = float(np.finfo(np.float64).eps)


class Spectrum(NamedTuple):
    """A covariance as D (V diag(values - ridge) V' + ridge I) D.

    Attributes
    ----------
    values : ndarray of shape (r,)
        Eigenvalues of the directions `vectors`, the ridge included.
    vectors : ndarray of shape (p, r)
        Orthonormal columns.
    ridge : float
        Eigenvalue of all other directions; 0 where the distance lives on the span of `vectors`.
    scale : ndarray of shape (p,)
        Diagonal of D.
    noise : float
        Squared standardised residual up to which a row counts as inside the span.
    """

    values: FloatArray
    vectors: FloatArray
    ridge: float
    scale: FloatArray
    noise: float

    def whitener(self, power: float, outside: str) -> Whitener:
        """Return the whitener of D V diag(values ** power) V' D, of D ** 2 for power 0."""
        ridge = self.ridge**power if self.ridge else 0.0
        inside = self.values**power - ridge  # below the ridge where a filter damps the directions kept
        return Whitener(Spectral(inside, self.vectors, ridge, self.scale, self.noise), outside)  # type: ignore[arg-type]


def spectrum_of(whitener: Whitener) -> Spectrum:
    """Return the spectrum of a covariance on the scale of its correlation matrix, of one with a ridge on its own.

    A ridge is no ridge any more in other units: a covariance that is stored as few directions and a ridge keeps the
    units it is stored in. All others are taken as a root A with covariance A A', whose rows are divided by their
    lengths: O(p r^2), no p x p array but for whiteners that hold one, or as many coordinates as columns.
    """
    structure = whitener._structure
    p = whitener.shape[1]
    if isinstance(structure, Spectral):
        scale = np.ones(p) if structure.scale is None else structure.scale
        values, vectors, ridge = structure.eigenvalues + structure.ridge, structure.vectors, structure.ridge
        if ridge > 0 and values.size < p:
            return Spectrum(values, vectors, ridge, scale, structure.noise)
        root, noise, units = scale[:, None] * (vectors * np.sqrt(values)), structure.noise, scale
    else:
        root, noise, units = whitener.color(np.eye(whitener.shape[0])).T, 0.0, np.ones(p)
    sd = np.sqrt(np.einsum("ij,ij->i", root, root))
    # No variance but that of rounding: any unit will do, if it does not blow the rounding up.
    sd = np.where(sd > root.shape[1] * _EPS * _largest(root, units) * units, sd, units)
    vectors, roots, _ = np.linalg.svd(root / sd[:, None], full_matrices=False)
    rank = int(np.count_nonzero(roots**2 > max(root.shape[1], 16) * _EPS * roots.max(initial=0.0) ** 2))
    noise *= float(np.max(units / sd, initial=1.0)) ** 2
    return Spectrum(roots[:rank] ** 2, np.ascontiguousarray(vectors[:, :rank]), 0.0, sd, noise)


def _largest(root: FloatArray, units: FloatArray) -> float:
    """Largest singular value of the root in those units, from above."""
    return float(np.linalg.norm(root / units[:, None]))


def distinct_rows(rows: FloatArray, most: int, rng: np.random.Generator) -> FloatArray:
    """Return the distinct ones among the rows, at most so many, at random; of very many rows those of a sample."""
    n = len(rows)
    drawn = rng.permutation(n)[: 4 * most] if n > most else np.arange(n)
    part = np.ascontiguousarray(rows[drawn]) + 0.0  # whose bytes are compared: -0.0 is 0.0
    _, first = np.unique(
        part.view(np.dtype((np.void, part.dtype.itemsize * part.shape[1]))), return_index=True
    )
    found: FloatArray = rows[drawn[np.sort(first)[:most]]]
    return found


def log_densities(scores: FloatArray, values: FloatArray, powers: FloatArray, k: int) -> FloatArray:
    """Return, for each power, the mean leave-one-out log-density of the k-th neighbour, (n_powers,).

    `scores` (m, r) are centred rows on the eigenvectors: the density is that of the standardised rows on their span,
    whatever the power, so that powers can be compared: log |det| of each map enters.
    """
    m, r = scores.shape
    constant = np.log(k / (m - 1)) - 0.5 * r * np.log(np.pi) + gammaln(0.5 * r + 1.0)
    out = np.empty(powers.size)
    for j, power in enumerate(powers):
        squares = _neighbours(scores * values ** (-0.5 * power), k)
        out[j] = constant - 0.5 * r * np.log(squares).mean() - 0.5 * power * np.log(values).sum()
    return out


def _neighbours(Z: FloatArray, k: int) -> FloatArray:
    """Squared distance of each row to its k-th neighbour among the others, no smaller than its own rounding."""
    squares = np.einsum("ij,ij->i", Z, Z)
    out = np.empty(len(Z))
    step = max(1, 2**22 // len(Z))  # 32 MB
    for first in range(0, len(Z), step):
        rows = slice(first, min(first + step, len(Z)))
        d2 = Z[rows] @ Z.T
        d2 *= -2.0
        d2 += squares
        d2 += squares[rows, None]
        at = np.arange(d2.shape[0])
        d2[at, first + at] = np.inf
        out[rows] = np.partition(d2, k - 1, axis=1)[:, k - 1]
    floor = 16.0 * _EPS * max(float(squares.max()), np.finfo(np.float64).tiny / _EPS)
    return np.maximum(out, floor)
