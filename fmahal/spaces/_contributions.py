"""Which part of the domain a squared distance comes from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._typing import ArrayLike, FloatArray


class TimeContributions(NamedTuple):
    """Squared distances of curves as densities over their domain.

    Parameters
    ----------
    grid_points : tuple of ndarray
        Points of each argument.
    density : ndarray of shape (n_samples, T, d) or (n_samples, T1, T2, d)
        Squared distance per unit of the domain, for each component; may be negative.
    weights : ndarray of shape (T,) or (T1, T2)
        Quadrature weights of the points.

    Notes
    -----
    Weights times density, summed over points and components, are the squared distances: exactly for curves on a grid,
    to the accuracy of the quadrature for curves in a basis. Holds O(n T d) numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.spaces import L2Space
    >>> space = L2Space()
    >>> Z = space.fit_transform(np.array([[0.0, 0.0, 0.0], [1.0, 3.0, 0.0]]))
    >>> found = space.split_contributions(Z, Z)  # of the plain L2 distance from zero
    >>> found.mass[1, :, 0]
    array([0.25, 4.5 , 0.  ])
    >>> found.total
    array([0.  , 4.75])
    """

    grid_points: tuple[FloatArray, ...]
    density: FloatArray
    weights: FloatArray

    def __repr__(self) -> str:
        """Say how many curves, points and components there are; the numbers are in the fields."""
        n, *points, d = self.density.shape
        shape = " x ".join(map(str, points))
        ends = ", ".join(f"{p[0]:g} to {p[-1]:g}" for p in self.grid_points)
        words = [f"n_samples={n}", f"points={shape}", f"components={d}", f"domain=({ends})"]
        return f"TimeContributions({', '.join(words)}, with grid_points, density and weights)"

    @property
    def mass(self) -> FloatArray:
        """Density times weights, of the shape of `density`: what each point and component adds."""
        return self.density * self.weights[..., None]

    @property
    def components(self) -> FloatArray:
        """What each component adds to the squared distance, (n_samples, d)."""
        mass = self.mass
        return mass.sum(axis=tuple(range(1, mass.ndim - 1)))

    @property
    def total(self) -> FloatArray:
        """The squared distances, (n_samples,): the integral of the density over the domain, over all components."""
        return np.asarray(self.components.sum(axis=1))

    @property
    def peaks(self) -> FloatArray:
        """Where the density, summed over components, is largest: (n_samples, number of arguments)."""
        density = self.density.sum(axis=-1)
        index = np.unravel_index(density.reshape(len(density), -1).argmax(axis=1), density.shape[1:])
        return np.column_stack([points[k] for points, k in zip(self.grid_points, index, strict=True)])

    def intervals(self, edges: ArrayLike) -> FloatArray:
        """Return what each interval of the domain adds to the squared distance, over all components.

        Parameters
        ----------
        edges : array-like of shape (k + 1,)
            Increasing bounds of k intervals; a grid point on a bound belongs to the interval on its right, on the last
            one to that on its left.

        Returns
        -------
        added : ndarray of shape (n_samples, k)
            Squared distance; divided by ``total[:, None]`` the share of each interval. The row sums are `total` when
            the intervals cover the domain.

        Raises
        ------
        ValueError
            For surfaces, and for bounds that do not increase.

        Notes
        -----
        A grid point's weight goes undivided to one interval. O(n T) time.
        """
        if len(self.grid_points) != 1:
            raise ValueError("Intervals exist for curves; sum `mass` over the region for surfaces.")
        bounds = np.asarray(edges, dtype=np.float64)
        if bounds.ndim != 1 or bounds.size < 2 or not (np.diff(bounds) > 0).all():
            raise ValueError(f"edges must be at least two increasing numbers, got {edges!r}.")
        points = self.grid_points[0]
        place = np.searchsorted(bounds, points, side="right") - 1
        place[points == bounds[-1]] = bounds.size - 2
        member = place[:, None] == np.arange(bounds.size - 1)
        return np.asarray(self.mass.sum(axis=-1) @ member.astype(np.float64))
