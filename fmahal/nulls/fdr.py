"""Control of the false discovery rate: adjusted p-values."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .._typing import ArrayLike
from ._numbers import as_numbers


def fdr(pvalues: ArrayLike, *, method: Literal["bh", "by"] = "bh") -> NDArray[np.float64]:
    r"""Adjust p-values so that a level on them bounds the false discovery rate.

    Calling outlying the rows whose adjusted p-value is at most q keeps the expected share of clean rows among those
    called outlying at most q. With the p-values in ascending order,

    .. math:: \tilde p_{(i)} = \min\Bigl(1, \min_{j \ge i} \frac{c_n \, n \, p_{(j)}}{j}\Bigr)

    with :math:`c_n = 1` (Benjamini-Hochberg) or :math:`c_n = \sum_{k=1}^n 1/k` (Benjamini-Yekutieli).

    Parameters
    ----------
    pvalues : array-like
        p-values, of any shape; all of them are adjusted together.
    method : {"bh", "by"}, default="bh"
        "bh" is valid for independent p-values and some kinds of positive dependence; "by" for any dependence, and
        it is more cautious by a factor of about log n.

    Returns
    -------
    adjusted : ndarray, the shape of `pvalues`
        Adjusted p-values, at least as large as `pvalues` and in the same order.

    Raises
    ------
    ValueError
        For p-values that are NaN or outside [0, 1], which are named by their position, a masked array, entries that are
        no numbers, and an unknown `method`.

    Notes
    -----
    The p-values of a detector's training rows, ``pvalues_``, depend on each other, and those of new rows do too, since
    all of them are measured from one estimate. For many more rows than columns this dependence is slight, and conformal
    p-values of new rows are positively dependent in the way that "bh" asks for [3]_; "by" is always valid. p-values
    that are ranks among M references are at least 1 / (M + 1): with n of them no adjusted p-value is below
    n / (k (M + 1)), k being the number of ties at the smallest.

    ``fdr(detector.pvalues_)`` wraps :func:`scipy.stats.false_discovery_control`. O(n log n) time and O(n) memory.

    References
    ----------
    .. [1] Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate: a practical and powerful
       approach to multiple testing. Journal of the Royal Statistical Society B 57(1), 289-300.
       DOI 10.1111/j.2517-6161.1995.tb02031.x
    .. [2] Benjamini, Y. and Yekutieli, D. (2001). The control of the false discovery rate in multiple testing under
       dependency. Annals of Statistics 29(4), 1165-1188. DOI 10.1214/aos/1013699998
    .. [3] Bates, S., Candes, E., Lei, L., Romano, Y. and Sesia, M. (2023). Testing for outliers with conformal
       p-values. Annals of Statistics 51(1), 149-178. DOI 10.1214/22-AOS2244

    Examples
    --------
    >>> from fmahal import fdr
    >>> fdr([0.001, 0.02, 0.03, 0.5])
    array([0.004, 0.04 , 0.04 , 0.5  ])
    >>> fdr([0.001, 0.02, 0.03, 0.5], method="by") <= 0.05
    array([ True, False, False, False])
    """
    if method not in ("bh", "by"):
        raise ValueError(f"method must be 'bh' or 'by', got {method!r}.")
    p = as_numbers(pvalues, "pvalues")
    bad = ~((p >= 0) & (p <= 1))  # NaN is neither
    if bad.any():
        where = [tuple(map(int, index)) for index in np.argwhere(bad)[:5]]
        shown = ", ".join(f"{p[index]:.6g} at {index[0] if p.ndim == 1 else index}" for index in where)
        more = f" and {int(bad.sum()) - len(where)} more" if bad.sum() > len(where) else ""
        raise ValueError(
            f"pvalues must lie in [0, 1], got {shown}{more}. Usual causes: distances were passed for their p-values, "
            "or missing values. Pass the p-values of a detector, or drop these."
        )
    if p.size == 0:
        return p
    return np.asarray(stats.false_discovery_control(p.ravel(), method=method), dtype=np.float64).reshape(
        p.shape
    )
