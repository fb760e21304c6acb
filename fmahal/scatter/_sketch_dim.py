"""How many coordinates a random map needs, and how far its squared distances may be off."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc
from scipy.stats import chi2

from .._maps import MAP_KINDS
from .._typing import ArrayLike, FloatArray

_MOST = 2**62  # coordinates
_LEAST_SHARE = 1e-290  # tails below it lose digits to underflow


def johnson_lindenstrauss_dim(
    n_points: ArrayLike,
    eps: ArrayLike,
    delta: float = 0.01,
    pairs: bool = False,
    *,
    kind: str = "gaussian",
) -> Any:
    r"""Coordinates with which a random map keeps squared distances within a factor of :math:`1 \pm \epsilon`.

    The smallest k from which on, except with probability :math:`\delta` over the maps, **all** squared distances have
    a relative error of at most :math:`\epsilon`. For a Gaussian map by the law itself,

    .. math:: P\bigl(\chi^2_k / k \notin [1 - \epsilon, 1 + \epsilon]\bigr) \le \delta / m

    where m is the number of distances: `n_points` to one centre, :math:`\binom{n}{2}` between all `pairs`.

    Parameters
    ----------
    n_points : int or array-like of int
        Number of rows, at least 1; at least 2 for `pairs`. 1 is a promise for any single row on its own.
    eps : float or array-like of float
        Largest relative error of a squared distance, between 0 and 1.
    delta : float, default=0.01
        Probability, over the draw of the map, that an error is larger.
    pairs : bool, default=False
        Whether the distances are those between all pairs of rows, or those of all rows to one centre.
    kind : {"gaussian", "rademacher", "sparse", "srht"}, default="gaussian"
        Kind of the map. "gaussian": exact up to the union over the m distances. "rademacher": the bound of
        Chernoff's method below, which is proven [2]_. "sparse" and "srht": the same number, as a rule of thumb; see
        the notes.

    Returns
    -------
    n_components : int, or ndarray of int of the broadcast shape
        Number of coordinates k. It depends neither on the number of columns nor on the covariance; when it is not below
        the rank of the scatter, exact distances are cheaper.

    Raises
    ------
    ValueError
        If `eps` or `delta` is not between 0 and 1, `n_points` is not a positive whole number, `pairs` are asked for of
        one row, or `kind` is unknown.

    See Also
    --------
    Sketched : the scatter that uses it.

    Notes
    -----
    O(log k) evaluations of two incomplete gamma functions, by bisection below the bound

    .. math:: k \ge \frac{2 \log(2 m / \delta)}{\epsilon^2 / 2 - \epsilon^3 / 3}

    of Chernoff's method, which holds for Gaussian and for Rademacher maps. The two-sided tail falls as k grows, though
    neither side does so alone for small k. :func:`sklearn.random_projection.johnson_lindenstrauss_min_dim` is this
    bound for all pairs with :math:`\delta = 1 - 1/n`: it promises that at least one map in n keeps all distances. For
    that :math:`\delta` the number here is never larger with "gaussian"; other kinds have the same bound, rounded
    up, as its proof asks, where that function rounds down: larger by one, unless the bound is a whole number.

    Nothing as sharp is proven for the other kinds. The variance of a squared distance is at most the Gaussian's, 2/k,
    for both. A sparse map has tails like these when its number of nonzeros in a column grows like
    :math:`\log(m / \delta) / \epsilon` [3]_, which a fixed number does not; a subsampled Hadamard transform has proofs
    with further logarithms [4]_. For rows whose weight is spread over many coordinates both behave like a Gaussian map.

    References
    ----------
    .. [1] Johnson, W. B. and Lindenstrauss, J. (1984). Extensions of Lipschitz mappings into a Hilbert space.
       Contemporary Mathematics 26, 189-206. :doi:`10.1090/conm/026/737400`
    .. [2] Achlioptas, D. (2003). Database-friendly random projections: Johnson-Lindenstrauss with binary coins. Journal
       of Computer and System Sciences 66, 671-687. :doi:`10.1016/S0022-0000(03)00025-4`
    .. [3] Kane, D. M. and Nelson, J. (2014). Sparser Johnson-Lindenstrauss transforms. Journal of the ACM 61, 4.
       :doi:`10.1145/2559902`
    .. [4] Tropp, J. A. (2011). Improved analysis of the subsampled randomized Hadamard transform. Advances in Adaptive
       Data Analysis 3, 115-126. :doi:`10.1142/S1793536911000787`

    Examples
    --------
    >>> from fmahal.scatter import johnson_lindenstrauss_dim
    >>> johnson_lindenstrauss_dim(1, eps=0.25)
    215
    >>> johnson_lindenstrauss_dim([100, 10_000], eps=0.25, pairs=True).tolist()
    [787, 1451]
    """
    if kind not in MAP_KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, MAP_KINDS))}, got {kind!r}.")
    error = check_eps(eps)
    count = _number_of_distances(n_points, pairs)
    chance = check_delta(delta)
    bound = _chernoff(error, np.log(2.0 * count) - np.log(chance))
    k = bound if kind != "gaussian" else _smallest(*np.broadcast_arrays(error, chance / count, bound))
    return int(k) if np.ndim(k) == 0 else k


def two_sided_tail(k: ArrayLike, eps: ArrayLike) -> FloatArray:
    r"""Probability that :math:`\chi^2_k / k` leaves :math:`[1 - \epsilon, 1 + \epsilon]`.

    Parameters
    ----------
    k : array-like
        Degrees of freedom.
    eps : array-like
        Relative error.

    Returns
    -------
    tail : ndarray
        Probabilities of the broadcast shape; both tails to full relative accuracy.
    """
    half = 0.5 * np.asarray(k, dtype=np.float64)
    error = np.asarray(eps, dtype=np.float64)
    return gammainc(half, half * (1.0 - error)) + gammaincc(half, half * (1.0 + error))


def chi_square_interval(d2: FloatArray, k: int, level: float) -> FloatArray:
    r"""Intervals for squared distances from those of a Gaussian sketch, :math:`k \hat d^2 / d^2 \sim \chi^2_k`.

    Parameters
    ----------
    d2 : ndarray of shape (n,)
        Squared distances by the sketch.
    k : int
        Its coordinates.
    level : float
        Probability, over the maps, with which each interval holds its squared distance.

    Returns
    -------
    interval : ndarray of shape (n, 2)
        Ends, equal tails.
    """
    ends = k / chi2.ppf([0.5 + 0.5 * level, 0.5 - 0.5 * level], k)
    return (d2[:, None].astype(np.float64) * ends).astype(d2.dtype, copy=False)


def check_eps(eps: Any) -> FloatArray:
    """Return `eps` as floats strictly between 0 and 1."""
    value = _numbers(eps, "eps")
    if not np.all((value > 0) & (value < 1)):
        raise ValueError(
            f"eps must lie strictly between 0 and 1, got {eps!r}. It is the largest relative error of a squared "
            "distance, for example 0.25."
        )
    return value


def check_delta(delta: Any) -> float:
    """Return `delta` as a float strictly between 0 and 1."""
    number = isinstance(delta, Real) and not isinstance(delta, bool | np.bool_)
    if not (number and 0 < float(delta) < 1):
        raise ValueError(
            f"delta must be a number strictly between 0 and 1, got {delta!r}. It is the probability, over the random "
            "maps, that an error exceeds eps, for example 0.01."
        )
    return float(delta)


def check_count(value: Any, name: str) -> int:
    """Return a positive integer parameter."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    return int(value)


def _numbers(value: Any, name: str) -> FloatArray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be a number or an array of numbers, got {value!r}.")
    return array.astype(np.float64)


def _number_of_distances(n_points: Any, pairs: Any) -> FloatArray:
    if not isinstance(pairs, bool | np.bool_):
        raise ValueError(f"pairs must be True or False, got {pairs!r}.")
    n = _numbers(n_points, "n_points")
    if not np.all(np.isfinite(n) & (n >= 1) & (n == np.floor(n))):
        raise ValueError(f"n_points must be positive whole numbers, got {n_points!r}.")
    if not pairs:
        return n
    if np.any(n < 2):
        raise ValueError(f"pairs=True needs at least two rows, got n_points={n_points!r}.")
    return 0.5 * n * (n - 1.0)


def _chernoff(eps: FloatArray, exponent: FloatArray) -> Any:
    """Least k of Chernoff's bound on both tails together, log(2 m / delta) in the exponent."""
    bound = np.ceil(2.0 * exponent / (eps**2 * (0.5 - eps / 3.0)))
    if np.any(bound > _MOST):
        raise ValueError(
            f"eps = {np.min(eps):.3g} would need {np.max(bound):.3g} coordinates: pass a larger eps."
        )
    return np.maximum(bound, 1.0).astype(np.int64)


def _smallest(eps: FloatArray, share: FloatArray, bound: NDArray[np.int64]) -> Any:
    """Least k whose exact two-sided tail is at most `share`; `bound` is such a k, and serves where tails underflow."""
    below, enough = np.zeros_like(bound), bound.copy()
    while np.any(enough - below > 1):
        middle = (below + enough) // 2
        holds = two_sided_tail(np.maximum(middle, 1), eps) <= share
        settled = enough - below <= 1
        enough = np.where(holds & ~settled, middle, enough)
        below = np.where(holds | settled, below, middle)
    return np.where(share < _LEAST_SHARE, bound, enough)
