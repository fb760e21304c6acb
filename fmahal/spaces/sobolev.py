"""Sobolev spaces: curves as coordinates whose dot product counts their derivatives too."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._base import CurveSpace
from ._frames import Term
from .functional import as_order


class SobolevSpace(CurveSpace):
    r"""Sobolev space of curves and surfaces: their derivatives count too.

    A transformer from curves to coordinates whose dot product is

    .. math:: \langle f, g \rangle = \sum_{j \le m} L^{2j} \sum_k c_k \int f_k^{(j)}(t)\, g_k^{(j)}(t)\, w(t)\, dt,

    with the order m, a length L that makes the terms comparable, component weights c and a weight w on the domain, 1
    unless given. Curves of unusual shape, which hardly differ in level, are far from the others in it. The class
    attribute ``fixed_space`` is True: nothing is learned from the values of the curves.

    Parameters
    ----------
    order : int, default=1
        The highest derivative m, at least 1.
    length_scale : float or array-like of one float an argument, optional
        The length L, in the units of the domain: the larger, the more derivatives count. By default the length of the
        domain, of each axis its own, so that the units of time change nothing but a common factor.
    grid_points : array-like of shape (T,), or tuple of them, optional
        Where curves given as arrays were observed; a tuple (u, v) for surfaces. By default equally spaced on [0, 1].
        An `FDataGrid` brings its own, which must then be these. For curves in a basis: where contributions are shown,
        by default 201 points an axis.
    weights : "trapezoid", "simpson" or array-like of shape (T,), default="trapezoid"
        Quadrature on the grid, for the term without derivative; the others weigh by their cells. "trapezoid" gives each
        point half of both cells next to it: positive on any increasing grid, and the same when time runs backwards.
        "simpson" is refused where a weight is not positive; with an even number of points it depends on the direction
        of time. For surfaces one array an axis.
    domain_weight : callable or array-like of shape (T,), optional
        Positive weight on the domain: a function of the argument (of two arguments for surfaces) or its values on the
        grid.
    component_weights : array-like of shape (d,), optional
        Positive weights of the components of vector-valued curves; by default 1 each. Components of different units
        need them.
    basis : Basis, optional
        Basis of scikit-fda in which irregularly observed curves (`FDataIrregular`) are smoothed, by least squares
        curve by curve; required for those, refused for others. One of scalar functions serves all components.

    Attributes
    ----------
    kind_ : {"array", "grid", "basis", "irregular"}
        What the curves of the fit came as.
    grid_points_ : tuple of ndarray
        Points of each argument; in a basis those on which contributions are shown.
    domain_range_ : tuple of pairs of float
        The domain of each argument.
    n_codomain_ : int
        Components d of the curves.
    weights_ : ndarray of shape (T,) or (T1, T2)
        Quadrature weights of `grid_points_`, in units of the domain; without `domain_weight`.
    n_features_out_ : int
        Coordinates of a curve.
    n_features_in_ : int
        Values of a curve, T * d; for arrays only.
    feature_names_in_ : ndarray of str objects
        Column names, where the curves came as a data frame with names.

    Raises
    ------
    ValueError
        For NaN, infinity or text among the values (the message names curve and point), a grid that does not increase,
        weights that are not positive, an `order` or `length_scale` out of its range, and curves of another kind or
        grid than those of the fit.

    See Also
    --------
    L2Space : Counts the curves alone, or one derivative alone.

    Notes
    -----
    On a grid the coordinates are the values and their divided differences on the cells, times the roots of their
    weights: (m + 1) T - m (m + 1) / 2 numbers a curve and component, O(n T m) time. The first-order term is the exact
    one of the piecewise linear curve through the values, and the same when time runs backwards; that of order j
    is exact for polynomials of degree j, on uneven grids too. In a basis the Gram matrices of all derivatives are
    added: O(m^3 + n m^2) for m functions. On surfaces the derivatives of order j are all partial derivatives of that
    total order, as often as they occur in the tensor of them.

    Differences amplify noise: smooth rough curves first, or use a small `length_scale`.

    `inverse_transform` returns the curve whose coordinates are nearest, by a sparse least-squares solve.

    References
    ----------
    .. [1] J. O. Ramsay and B. W. Silverman, "Functional Data Analysis", 2nd ed., Springer, 2005.
       https://doi.org/10.1007/b98888

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.spaces import SobolevSpace
    >>> t = np.linspace(0, 1, 101)
    >>> X = np.array([np.ones(101), t])
    >>> Z = SobolevSpace(grid_points=t).fit_transform(X)
    >>> (Z @ Z.T).round(3)
    array([[1.   , 0.5  ],
           [0.5  , 1.333]])
    """

    def __init__(
        self,
        order: int = 1,
        *,
        length_scale: Any = None,
        grid_points: Any = None,
        weights: Any = "trapezoid",
        domain_weight: Any = None,
        component_weights: Any = None,
        basis: Any = None,
    ) -> None:
        self.order = order
        self.length_scale = length_scale
        self.grid_points = grid_points
        self.weights = weights
        self.domain_weight = domain_weight
        self.component_weights = component_weights
        self.basis = basis

    def _terms(self, domain: tuple[tuple[float, float], ...]) -> list[Term]:
        order = as_order(self.order, "order", 1)
        lengths = tuple(b - a for a, b in domain)
        if self.length_scale is not None:
            try:
                given = np.asarray(self.length_scale, dtype=np.float64)
            except (TypeError, ValueError):
                given = np.zeros(0)
            if given.shape not in ((), (len(lengths),)) or not (np.isfinite(given) & (given > 0)).all():
                raise ValueError(
                    "length_scale must be a positive number in the units of the domain, or one for each of "
                    f"{len(lengths)} arguments; got {self.length_scale!r}."
                )
            lengths = tuple(float(length) for length in np.broadcast_to(given, len(lengths)))
        return [Term(j, lengths) for j in range(order + 1)]
