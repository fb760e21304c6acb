"""Constants of the minimum covariance determinant: subset size, consistency and small-sample factors.

Everything is plain arithmetic on (n, p, alpha); no data.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, NamedTuple

from scipy import special

# The regressions of Pison et al. extrapolate through zero for few rows: 1 - exp(A) / n^B is then tiny or negative, and
# with it the covariance. No simulated factor (the table below) exceeds 3.2, so that beyond ten nothing is known.
_LARGEST_FACTOR = 10.0

_NOMINAL = (0.5, 0.75, 0.875)  # the shares that people ask for by name


class _Fits(NamedTuple):
    """Regression of the factor on n at one share of rows: f = 1 - exp(A) / n^B."""

    direct: dict[int, tuple[float, float]]  # (A, B) at p = 1 and p = 2
    anchors: tuple[tuple[float, float], tuple[float, float]]  # (a, b) at n = q p^2, q = 2 and 3, for p > 2


# Pison, Van Aelst and Willems (2002), with the digits of the published program: (reweighted, share) -> regression.
_FITS = {
    (False, 0.5): _Fits(
        {1: (0.262024211897096, 0.604756680630497), 2: (0.673292623522027, 0.691365864961895)},
        ((-1.42764571687802, 1.26263336932151), (-1.06141115981725, 1.28907991440387)),
    ),
    (False, 0.875): _Fits(
        {1: (-0.351584646688712, 1.01646567502486), 2: (0.446537815635445, 1.06690782995919)},
        ((-0.455179464070565, 1.11192541278794), (-0.294241208320834, 1.09649329149811)),
    ),
    (True, 0.5): _Fits(
        {1: (1.11098143415027, 1.5182890270453), 2: (3.11101712909049, 1.91401056721863)},
        ((-1.02842572724793, 1.67659883081926), (-0.26800273450853, 1.35968562893582)),
    ),
    (True, 0.875): _Fits(
        {1: (-0.66046776772861, 0.88939595831888), 2: (0.79473550581058, 1.10081930350091)},
        ((-0.544482443573914, 1.25994483222292), (-0.343791072183285, 1.25159004257133)),
    ),
}

# Where the regression fails for alpha = 0.5: p -> (first n, factors of the raw scatter, of the reweighted one).
_SMALL: dict[int, tuple[int, tuple[float, ...], tuple[float, ...]]] = {
    1: (1, (1.0, 3.075819), (1.0, 0.984724)),
    2: (4, (3.15342, 1.799889, 2.258497), (2.216302, 1.418526, 1.635601)),
    3: (
        6,
        (2.12777, 2.718898, 1.993509, 2.220433, 1.820585),
        (1.73511, 2.06681, 1.545905, 1.659655, 1.456835),
    ),
    4: (
        8,
        (2.950549, 2.145387, 2.382224, 1.927077, 2.032489, 1.8371),
        (2.388892, 1.847626, 1.96998, 1.630723, 1.701272, 1.521008),
    ),
    5: (
        10,
        (2.229573, 2.494447, 2.016117, 2.190061, 1.877996, 1.978964, 1.767284),
        (1.968153, 2.168931, 1.784373, 1.894409, 1.667912, 1.693007, 1.545176),
    ),
    6: (
        12,
        (2.580264, 2.109121, 2.240741, 1.944719, 2.043397, 1.821808, 1.89725),
        (2.275891, 1.866587, 2.014249, 1.750567, 1.829363, 1.650019, 1.689043),
    ),
    7: (
        14,
        (2.165233, 2.320281, 2.007836, 2.086471, 1.884052, 1.950563, 1.76926),
        (1.95771, 2.074066, 1.847385, 1.905408, 1.71393, 1.768425, 1.63908),
    ),
    8: (
        16,
        (2.340443, 2.048262, 2.161097, 1.926082, 1.995422),
        (2.164121, 1.871024, 1.979485, 1.782417, 1.84489),
    ),
    9: (18, (2.093386, 2.185793, 1.948989), (1.938822, 2.050409, 1.834863)),
}


def mcd_subset_size(n: int, p: int, alpha: float) -> int:
    r"""Return how many of n rows the minimum covariance determinant keeps, by the rule of R's robustbase.

    .. math:: h = \lfloor 2 n_2 - n + 2 (n - n_2)\, \alpha \rfloor, \qquad
       n_2 = \lfloor (n + p + 1) / 2 \rfloor

    Parameters
    ----------
    n : int
        Number of rows.
    p : int
        Number of columns.
    alpha : float
        Share of rows, from 0.5 (h = n_2, the largest breakdown point) to 1 (h = n, all rows).

    Returns
    -------
    h : int
        The subset size. `MinCovDet` takes it as ``support_fraction=(h + 0.5) / n``.

    Raises
    ------
    ValueError
        When `alpha` is not between 0.5 and 1, or when there are fewer than p + 1 rows.

    Notes
    -----
    The small-sample factors of `MinCovDet` depend on `alpha`, its consistency factor on h / n. O(1).

    References
    ----------
    .. [1] Rousseeuw, P. J. and Van Driessen, K. (1999). A fast algorithm for the minimum covariance
       determinant estimator. Technometrics 41(3), 212-223. :doi:`10.1080/00401706.1999.10485670`

    Examples
    --------
    >>> from fmahal import mcd_subset_size
    >>> mcd_subset_size(100, 4, 0.5), mcd_subset_size(100, 4, 0.75)
    (52, 76)
    """
    n, p = _count(n, "n"), _count(p, "p")
    alpha = _share(alpha, "alpha", 0.5)
    if n < p + 1:
        raise ValueError(
            f"A subset of nonsingular covariance needs more rows than columns: n = {n}, p = {p}. "
            "MRCD regularises and takes fewer rows."
        )
    half = (n + p + 1) // 2
    return math.floor(2 * half - n + 2 * (n - half) * alpha)


def nominal_alpha(n: int, p: int, h: int) -> float:
    """Return the share `alpha` for which `mcd_subset_size` is `h`: 0.5, 0.75 or 0.875 when one of them is."""
    for alpha in _NOMINAL:
        if mcd_subset_size(n, p, alpha) == h:
            return alpha
    half = (n + p + 1) // 2
    if half >= n:  # every share asks for all rows
        return 0.5
    return min(max((h - 2 * half + n) / (2 * (n - half)), 0.5), 1.0)


def consistency_factor(p: int, a: float) -> float:
    r"""Return what makes the covariance of the innermost share `a` of normal rows consistent.

    .. math:: C(p, a) = \frac{a}{P(\chi^2_{p+2} \le \chi^2_{p,a})}

    Parameters
    ----------
    p : int
        Number of columns.
    a : float
        Share of rows kept, above 0 and at most 1.

    Returns
    -------
    factor : float
        At least 1; exactly 1 for ``a=1``.

    Raises
    ------
    ValueError
        When `a` is not in (0, 1].

    References
    ----------
    .. [1] Croux, C. and Haesbroeck, G. (1999). Influence function and efficiency of the minimum covariance
       determinant scatter matrix estimator. Journal of Multivariate Analysis 71, 161-190.
       :doi:`10.1006/jmva.1999.1839`
    """
    p, a = _count(p, "p"), _share(a, "a", 0.0)
    if a == 1.0:
        return 1.0
    half_quantile = special.gammaincinv(p / 2, a)
    return float(a / special.gammainc(p / 2 + 1, half_quantile))


def small_sample_factor(n: int, p: int, alpha: float, *, reweighted: bool = False) -> float:
    r"""Return the factor that removes the bias of the scatter for few rows, apart from consistency.

    .. math:: c_2 = 1 / f, \qquad f_a(n, p) = 1 - e^{A} / n^{B}, \qquad
       f = \begin{cases} f_{.5} + (f_{.875} - f_{.5}) (\alpha - .5) / .375 & \alpha \le .875 \\
       f_{.875} + (1 - f_{.875}) (\alpha - .875) / .125 & \alpha > .875 \end{cases}

    with A and B of Pison et al. (2002): from a table for p < 3, for larger p such that
    :math:`f = 1 + a_q p^{-b_q}` at :math:`n = q p^2` for q = 2 and 3.

    Parameters
    ----------
    n : int
        Number of rows.
    p : int
        Number of columns.
    alpha : float
        Nominal share of rows, from 0.5 to 1; see `mcd_subset_size`.
    reweighted : bool, default=False
        Whether the factor is that of the reweighted scatter, not of the raw one.

    Returns
    -------
    factor : float
        Above 0 and at most 10.

    Raises
    ------
    ValueError
        When `alpha` is not between 0.5 and 1.

    Notes
    -----
    For alpha exactly 0.5 and very few rows (up to n = 20 for p <= 9) the factor is a simulated one. Elsewhere the
    regression may extrapolate to f near or below zero, for n below about 2 p: a covariance would blow up or turn
    negative definite. There the factor is 10, which says that nothing is known; the published programs go on with
    the negative number.

    References
    ----------
    .. [1] Pison, G., Van Aelst, S. and Willems, G. (2002). Small sample corrections for LTS and MCD. Metrika
       55, 111-123. :doi:`10.1007/s001840200191`
    """
    n, p = _count(n, "n"), _count(p, "p")
    alpha, reweighted = _share(alpha, "alpha", 0.5), bool(reweighted)
    simulated = _simulated(n, p, reweighted) if alpha == 0.5 else None
    if simulated is not None:
        return simulated
    upper = _regression(n, p, 0.875, reweighted)
    if alpha <= 0.875:
        lower = _regression(n, p, 0.5, reweighted)
        f = lower + (upper - lower) / 0.375 * (alpha - 0.5)
    else:
        f = upper + (1.0 - upper) / 0.125 * (alpha - 0.875)
    return 1.0 / f if f * _LARGEST_FACTOR >= 1.0 else _LARGEST_FACTOR


def _simulated(n: int, p: int, reweighted: bool) -> float | None:
    if p not in _SMALL:
        return None
    first, raw, final = _SMALL[p]
    factors = final if reweighted else raw
    return factors[n - first] if 0 <= n - first < len(factors) else None


def _regression(n: int, p: int, share: float, reweighted: bool) -> float:
    fits = _FITS[reweighted, share]
    if p in fits.direct:
        A, B = fits.direct[p]
    else:
        # log(1 - f) is linear in log n, through its values at n = 2 p^2 and n = 3 p^2.
        (x2, y2), (x3, y3) = (
            (math.log(q * p**2), math.log(-a / p**b)) for q, (a, b) in zip((2, 3), fits.anchors)
        )
        B = (y2 - y3) / (x3 - x2)
        A = y2 + B * x2
    return 1.0 - math.exp(A) / n**B


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def _share(value: Any, name: str, lowest: float) -> float:
    """Return a share of rows: in [lowest, 1], without 0 itself."""
    if isinstance(value, Real) and not isinstance(value, bool):
        share = float(value)
        if max(lowest, math.ulp(0.0)) <= share <= 1.0:  # NaN fails
            return share
    bound = "above 0" if lowest == 0.0 else f"from {lowest:g}"
    raise ValueError(f"{name} must be a share of rows, a number {bound} and at most 1, got {value!r}.")
