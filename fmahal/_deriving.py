"""Whiteners made of a whitener: another policy, another scale, a sketch, SciPy's object."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ._maps import random_map
from ._random import as_seed
from ._structures import Sketch, Structure, Triangular
from ._structures.sketched import folded
from ._typing import FloatArray, Outside, RandomState
from ._updating import Updates

if TYPE_CHECKING:
    import scipy.stats

Self = TypeVar("Self", bound="Derivations")


class Derivations(Updates):
    """Whiteners that share or fold the factorisation of this one; mixed into `Whitener`."""

    __slots__ = ()

    _structure: Structure
    outside: Outside

    if TYPE_CHECKING:

        @property
        def covariance(self) -> FloatArray: ...

        @property
        def rank(self) -> int: ...

        @property
        def shape(self) -> tuple[int, int]: ...

    def with_outside(self: Self, outside: Outside) -> Self:
        """Return the same whitener with another policy for rows off the subspace.

        Parameters
        ----------
        outside : {"ignore", "inf", "raise"}
            The policy.

        Returns
        -------
        whitener : Whitener
            Sharing the factorisation.
        """
        return type(self)(self._structure, outside)

    def scaled(self: Self, factor: float) -> Self:
        """Return the whitener of a multiple of the covariance.

        Parameters
        ----------
        factor : float
            Positive; squared distances shrink by it.

        Returns
        -------
        whitener : Whitener
            Of ``factor`` times the covariance.

        Raises
        ------
        ValueError
            If `factor` is not positive and finite.
        """
        if not (np.isfinite(factor) and factor > 0):
            raise ValueError(f"factor must be positive and finite, got {factor!r}.")
        return type(self)(self._structure.scaled(float(factor)), self.outside)

    def sketch(self: Self, k: int, *, kind: str = "gaussian", random_state: RandomState = None) -> Self:
        r"""Whitener followed by a random map to k dimensions, folded into one k x p array.

        Squared distances keep their expectation and get a relative standard deviation of :math:`\sqrt{2/k}`, or less
        for the other kinds than "gaussian".

        Parameters
        ----------
        k : int
            Number of rows of the map; below the rank.
        kind : {"gaussian", "rademacher", "sparse", "srht"}, default="gaussian"
            Law of the map: normal entries, random signs, eight nonzero entries in each column, or random rows of a
            Hadamard matrix behind random signs.
        random_state : int, RandomState, Generator or None
            Source of the map.

        Returns
        -------
        whitener : Whitener
            Of kind "sketched", shape (k, p).

        Raises
        ------
        ValueError
            If k is not below the rank, the kind is unknown, or this is a sketch already.

        Notes
        -----
        O(k) whitened rows to make, O(k p) memory; O(n k p) for n distances. The sketch keeps this whitener alive: of
        all rows with the same sketched ones, its `color` returns those of the least exact distance, at the cost of
        colouring by this whitener and O(k^2 shape[0]).

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal import Whitener
        >>> w = Whitener.from_covariance(np.eye(50)).sketch(10, random_state=0)
        >>> w.shape
        (10, 50)
        """
        if isinstance(k, bool | np.bool_) or not isinstance(k, Integral):
            raise ValueError(f"k must be a positive integer, the number of coordinates to keep, got {k!r}.")
        if not 1 <= k < self.rank:
            raise ValueError(
                f"k must lie in 1 ... {self.rank - 1}, got {k}: above the rank exact is cheaper."
            )
        if self.outside != "ignore":
            raise ValueError(
                f"A sketch does not see what lies off the subspace: outside={self.outside!r} would be lost."
            )
        if isinstance(self._structure, Sketch):
            raise ValueError("This whitener is a sketch already; sketch the original one.")
        return type(self)(
            folded(self._structure, random_map(kind, int(k), self.shape[0], as_seed(random_state)))
        )

    def to_scipy(self) -> scipy.stats.Covariance:
        """Return a `scipy.stats.Covariance` of the same matrix.

        Returns
        -------
        covariance : scipy.stats.Covariance
            For `scipy.stats.multivariate_normal` and its kin; dense, O(p^2) memory, O(p^3) time.
        """
        from scipy.stats import Covariance

        if isinstance(self._structure, Triangular) and self._structure.inverse:
            return Covariance.from_cholesky(self._structure.matrix)
        w, V = np.linalg.eigh(self.covariance)
        w[: w.size - min(self.rank, w.size)] = 0.0
        return Covariance.from_eigendecomposition((w, V))
