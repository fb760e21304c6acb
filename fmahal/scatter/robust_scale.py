"""Scales of columns that outlying rows cannot carry away."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from .._kernels import scales as kernels
from .._typing import ArrayLike, FloatArray
from .._validation import as_float, check_finite, readonly

ScaleKind: TypeAlias = Literal["qn", "sn", "tau", "mad"]
KINDS = ("qn", "sn", "tau", "mad")


def columns_of(X: ArrayLike, function: str) -> FloatArray:
    """Return finite rows of a matrix as read-only float64 columns, (p, n)."""
    names = getattr(X, "columns", None)
    rows = as_float(X)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(
            f"{function} takes an (n_samples, n_features) array with at least one row and one column, got shape "
            f"{rows.shape}. A single variable is one column: x[:, None]."
        )
    check_finite(rows, "X", names)
    return readonly(np.ascontiguousarray(rows.T, dtype=np.float64))


def check_kind(kind: Any, kinds: tuple[str, ...], name: str) -> None:
    """Raise for a name that is not in the list."""
    if not (isinstance(kind, str) and kind in kinds):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, kinds))}, got {kind!r}.")


def medians(Xt: FloatArray) -> FloatArray:
    """Medians of the rows of a (p, n) array."""
    out = np.empty(Xt.shape[0])
    kernels.median_rows(readonly(Xt), out)
    return out


def row_scales(Xt: FloatArray, kind: str) -> tuple[FloatArray, FloatArray]:
    """Locations (median; of tau its own) and scales of the rows of a read-only (p, n) array."""
    scale = np.empty(Xt.shape[0])
    if kind == "tau":
        location = np.empty(Xt.shape[0])
        kernels.tau_rows(Xt, location, scale)
        return location, scale
    {"qn": kernels.qn_rows, "sn": kernels.sn_rows, "mad": kernels.mad_rows}[kind](Xt, scale)
    return medians(Xt), scale


def robust_scale(X: ArrayLike, kind: ScaleKind = "qn") -> FloatArray:
    r"""Return a robust scale of every column.

    .. math:: Q_n &= 2.21914\, c_n \{|x_i - x_j|;\ i < j\}_{(k)}, \quad k = \tbinom{\lfloor n/2 \rfloor + 1}{2} \\
       S_n &= 1.1926\, c_n \operatorname{lomed}_i \operatorname{himed}_j |x_i - x_j| \\
       \tau &= s_0 \sqrt{\frac{1}{0.9247\, n} \sum_i \min\{(x_i - m)^2 / s_0^2,\ 9\}} \\
       \mathrm{MAD} &= 1.4826 \operatorname{med}_i |x_i - \operatorname{med}_j x_j|

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite rows.
    kind : {"qn", "sn", "tau", "mad"}, default="qn"
        Which scale. In the formula of tau, :math:`s_0 = \operatorname{med} |x_i - \operatorname{med} x|` and m is the
        mean with the weights :math:`\{1 - ((x_i - \operatorname{med} x) / 4.5 s_0)^2\}_+^2`.

    Returns
    -------
    scale : ndarray of shape (n_features,)
        Scales in the units of the columns, float64. 0 for a column in which more than half of the values are equal
        ("qn": already when k pairs of values are), and for a single row.

    Raises
    ------
    ValueError
        For NaN or infinity (with rows and columns), another shape, or an unknown `kind`.

    Notes
    -----
    All are consistent for the standard deviation of a normal sample; the factors :math:`c_n` correct "qn" and "sn" for
    small n [1]_; "tau" has none. Breakdown value 1/2. Efficiency at the normal: 82 % (Qn), 58 % (Sn), 95 % (tau,
    about), 37 % (MAD). Time for each column: O(n log n) for "qn" [2]_ and "sn", O(n) for "tau" [3]_ and "mad".
    Exactly scale equivariant for powers of two, otherwise up to rounding.

    References
    ----------
    .. [1] Rousseeuw, P. J. and Croux, C. (1993). Alternatives to the median absolute deviation. Journal of the
       American Statistical Association 88, 1273-1283. :doi:`10.1080/01621459.1993.10476408`
    .. [2] Croux, C. and Rousseeuw, P. J. (1992). Time-efficient algorithms for two highly robust estimators of scale.
       Computational Statistics 1, 411-428. :doi:`10.1007/978-3-662-26811-7_58`
    .. [3] Maronna, R. A. and Zamar, R. H. (2002). Robust estimates of location and dispersion for high-dimensional
       datasets. Technometrics 44, 307-317. :doi:`10.1198/004017002188618509`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import robust_scale
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) * [1.0, 10.0]
    >>> X[:60] = 1e6
    >>> bool(np.all(robust_scale(X) < [4.0, 40.0]))
    True
    >>> robust_scale([[1.0], [2.0], [3.0], [4.0], [90.0]], "mad")
    array([1.4826])
    """
    check_kind(kind, KINDS, "kind")
    return row_scales(columns_of(X, "robust_scale"), kind)[1]
