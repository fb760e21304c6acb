"""The space L2: curves and surfaces as coordinates whose dot product is the integral of their product."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from ._base import CurveSpace
from ._frames import Term


class L2Space(CurveSpace):
    r"""Space L2 of curves and surfaces.

    A transformer from curves to coordinates whose dot product is the inner product of the curves,

    .. math:: \langle f, g \rangle = \sum_k c_k \int f_k(t)\, g_k(t)\, w(t)\, dt,

    with component weights c and a weight w on the domain, 1 unless given. Any scatter estimator after it works on
    curves: ``make_pipeline(L2Space(), scatter)``. The class attribute ``fixed_space`` is True: nothing is learned from
    the values of the curves.

    Parameters
    ----------
    grid_points : array-like of shape (T,), or tuple of them, optional
        Where curves given as arrays were observed; a tuple (u, v) for surfaces. By default equally spaced on [0, 1],
        also for a data frame whose column names are numbers: pass ``grid_points=X.columns.astype(float)``.
        An `FDataGrid` brings its own, which must then be these. For curves in a basis: where contributions are shown,
        by default 201 points an axis.
    weights : "trapezoid", "simpson" or array-like of shape (T,), default="trapezoid"
        Quadrature on the grid. "trapezoid" gives each point half of both cells next to it: positive on any
        increasing grid, and the same when time runs backwards. "simpson" is refused where a weight is not positive;
        with an even number of points it depends on the direction of time. For surfaces one array an axis.
    domain_weight : callable or array-like of shape (T,), optional
        Positive weight on the domain: a function of the argument (of two arguments for surfaces) or its values on the
        grid.
    component_weights : array-like of shape (d,), optional
        Positive weights of the components of vector-valued curves; by default 1 each. Components of different units
        need them; ``1 / X.var(axis=0).mean(axis=0)`` of arrays (n, T, d) gives each the same share of the variance.
    derivative : int, default=0
        Take the inner product of the derivatives of this order instead of that of the curves; for surfaces of all
        partial derivatives of this order. Polynomials below this order, such as constants, then count for nothing.
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
        weights that are not positive, irregular curves without `basis`, and curves of another kind or grid
        than those of the fit.

    See Also
    --------
    SobolevSpace : Counts curves and their derivatives.

    Notes
    -----
    `X` may be an `FDataGrid`, `FDataBasis` or `FDataIrregular` of scikit-fda, vector-valued and with several arguments
    too, or a plain array: (n, T), (n, T, d) vector-valued, and with ``grid_points=(u, v)`` surfaces (n, T1, T2[, d]).

    On a grid the coordinates are the values times the roots of their weights: O(n T) time and one array of output. In a
    basis of m functions with Gram matrix G = FF' they are the coefficients times F: O(m^3 + n m^2). Where G is nearly
    singular F comes from the values of the functions, which have twice its digits; directions that are rounding even in
    them are left out, with a `RankDeficientWarning` when a curve has a part there.
    Components are concatenated before anything is squared, and surfaces have the products of the weights of their axes.

    Integrals run over the range of the grid, from its first to its last point; a wider domain of an `FDataGrid` adds
    nothing.

    Derivatives on a grid are divided differences times the factorial of their order, each with the width of its cell:
    exact for piecewise linear curves (first derivative) and for polynomials of degree `derivative` on any grid, on
    T - derivative values.

    Registration and smoothing are left to scikit-fda, in steps before this one.

    References
    ----------
    .. [1] J. O. Ramsay and B. W. Silverman, "Functional Data Analysis", 2nd ed., Springer, 2005.
       https://doi.org/10.1007/b98888

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.spaces import L2Space
    >>> t = np.linspace(0, 1, 101)
    >>> X = np.array([np.ones(101), t])
    >>> Z = L2Space(grid_points=t).fit_transform(X)
    >>> (Z @ Z.T).round(3)
    array([[1.   , 0.5  ],
           [0.5  , 0.333]])
    """

    def __init__(
        self,
        *,
        grid_points: Any = None,
        weights: Any = "trapezoid",
        domain_weight: Any = None,
        component_weights: Any = None,
        derivative: int = 0,
        basis: Any = None,
    ) -> None:
        self.grid_points = grid_points
        self.weights = weights
        self.domain_weight = domain_weight
        self.component_weights = component_weights
        self.derivative = derivative
        self.basis = basis

    def _terms(self, domain: tuple[tuple[float, float], ...]) -> list[Term]:
        order = as_order(self.derivative, "derivative", 0)
        if order and not (isinstance(self.weights, str) and self.weights == "trapezoid"):
            raise ValueError(
                'weights must be "trapezoid" with derivative > 0: derivatives live on the cells between the grid '
                "points and weigh as much as their cells."
            )
        return [Term(order, (1.0,) * len(domain))]


def as_order(value: Any, name: str, least: int) -> int:
    """Return a derivative order as an int."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
    return int(value)
