"""Locations that outlying rows cannot carry away."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from .._kernels.scales import hodges_lehmann_rows, median_rows
from .._typing import ArrayLike, FloatArray
from ._location import spatial_median
from .robust_scale import check_kind, columns_of

LocationKind: TypeAlias = Literal["spatial-median", "median", "hodges-lehmann"]
KINDS = ("spatial-median", "median", "hodges-lehmann")
_OPTIMAL = 5e-11  # residual at which the spatial median stops: half of what is promised


def robust_location(X: ArrayLike, kind: LocationKind = "spatial-median") -> FloatArray:
    r"""Return a robust location of the rows.

    .. math:: m_{\text{spatial}} = \arg\min_y \sum_i \lVert x_i - y \rVert, \qquad
       m_j^{\text{median}} = \operatorname{med}_i x_{ij}, \qquad
       m_j^{\text{HL}} = \operatorname{med}_{i \le k} \frac{x_{ij} + x_{kj}}{2}

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite rows.
    kind : {"spatial-median", "median", "hodges-lehmann"}, default="spatial-median"
        The point of least total distance to the rows; the median of each column; or the median of the means of all
        n (n + 1) / 2 pairs of values of each column, every value paired with itself too (pairs i <= k).

    Returns
    -------
    location : ndarray of shape (n_features,)
        The location in the units of the columns, float64.

    Raises
    ------
    ValueError
        For NaN or infinity (with rows and columns), another shape, or an unknown `kind`.

    Warns
    -----
    ConvergenceWarning
        When the optimality residual of the spatial median does not come down to 1e-10.

    See Also
    --------
    robust_scale : scales of columns.

    Notes
    -----
    The spatial median stops when its optimality residual, :math:`\lVert \sum_i u_i \rVert / n` over the unit vectors
    from it to the rows, less the share of rows that coincide with it, is below 1e-10; it has no units. It is
    equivariant under translations, rotations and a common change of unit but **not under a change of unit of single
    columns**: a column in small units dominates the distances. Divide columns in different units by `robust_scale`
    first. The other two go column by column: any monotone map of a column commutes with the median for odd n, any
    change of unit with both.

    Breakdown values: 1/2 for the two medians, 0.29 for Hodges-Lehmann, whose efficiency at the normal is 95 % (64 %
    for the median). Even numbers: the mean of the two middle values. Time: O(n p min(n, p)) for each Newton step of
    the spatial median; O(n p) for the medians; O(p n log n) for Hodges-Lehmann.

    References
    ----------
    .. [1] Vardi, Y. and Zhang, C.-H. (2000). The multivariate L1-median and associated data depth. Proceedings of
       the National Academy of Sciences 97, 1423-1426. :doi:`10.1073/pnas.97.4.1423`
    .. [2] Hodges, J. L. and Lehmann, E. L. (1963). Estimates of location based on rank tests. Annals of Mathematical
       Statistics 34, 598-611. :doi:`10.1214/aoms/1177704172`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import robust_location
    >>> X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 1.0], [90.0, 90.0]])
    >>> robust_location(X).round(6)
    array([1., 1.])
    >>> robust_location(X, "median"), robust_location(X, "hodges-lehmann")
    (array([1.5, 1.5]), array([1.5, 1.5]))
    """
    check_kind(kind, KINDS, "kind")
    columns = columns_of(X, "robust_location")
    if kind == "spatial-median":
        return spatial_median(np.ascontiguousarray(columns.T), tol=_OPTIMAL)
    out = np.empty(columns.shape[0])
    (median_rows if kind == "median" else hodges_lehmann_rows)(columns, out)
    return out
