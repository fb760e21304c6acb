"""How likely the median of several Gaussian sketches is to be wrong, exactly."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from .._typing import ArrayLike, FloatArray

_REACH, _PANELS, _NODES = (
    16.0,
    64,
    12,
)  # standard deviations from the threshold, panels over them, nodes in a panel


def median_failure(n_components: int, sample_size: int, eps: ArrayLike) -> float | FloatArray:
    r"""Probability that the median of independent Gaussian sketches errs by more than a share eps.

    .. math:: P\bigl(|\mathrm{med}(Y_1, \dots, Y_r) - 1| > \varepsilon\bigr), \qquad k Y_s \sim \chi^2_k

    Parameters
    ----------
    n_components : int
        k, the dimension of a sketch.
    sample_size : int
        r, the number of sketches; of an even number the median is the mean of the middle two.
    eps : float or array-like
        Relative error of the squared distance, positive. From 1 on, only estimates too large count.

    Returns
    -------
    probability : float or ndarray
        Of the shape of `eps`.

    Raises
    ------
    ValueError
        If k or r is not a positive integer, or eps is not positive.

    Notes
    -----
    With a Gaussian map S, :math:`|S U d|^2 / |U d|^2` is :math:`\chi^2_k / k` whatever U and d are. For odd r the
    median exceeds t when at least (r + 1)/2 of the estimates do: a binomial tail. For even r the law of the mean of
    the middle two is one integral over one of them, summed by Gauss-Legendre quadrature on panels. Cost: O(1).

    Examples
    --------
    >>> from fmahal.online._accuracy import median_failure
    >>> one, five = median_failure(256, 1, 0.2), median_failure(256, 5, 0.2)
    >>> bool(0.02 < one < 0.03 and five < 1e-3)
    True
    """
    k, r = _positive(n_components, "n_components"), _positive(sample_size, "sample_size")
    errors = np.asarray(eps, dtype=np.float64)
    if not np.all(errors > 0):
        raise ValueError(f"eps, a relative error, must be positive, got {eps!r}.")
    out = np.array([_above(k, r, 1.0 + e) + _below(k, r, 1.0 - e) for e in errors.ravel()])
    return float(out[0]) if errors.ndim == 0 else out.reshape(errors.shape)


def shrinkage_bound(n_components: int, sample_size: int, probability: float) -> float:
    """Return the ratio of true to estimated squared distance that a median of Gaussian sketches seldom exceeds.

    Never below 1.25; a point has a larger ratio with at most the given probability, infinity where none is known.
    """
    low, high = 0.0, 0.8
    if _below(n_components, sample_size, high) <= probability:
        return 1.0 / high
    for _ in range(60):
        middle = 0.5 * (low + high)
        if _below(n_components, sample_size, middle) <= probability:
            low = middle
        else:
            high = middle
    return 1.0 / low if low > 0 else np.inf


def _positive(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    return int(value)


def _above(k: int, r: int, t: float) -> float:
    """P(median > t)."""
    half = r // 2
    if r % 2:
        return _order_tail(half + 1, r, stats.chi2.sf(k * t, k))
    nodes, weights = _panels(k, t, -1.0)
    density = stats.chi2.cdf(k * nodes, k) ** (half - 1) * weights
    pairs = np.sum(density * stats.chi2.sf(k * (2 * t - nodes), k) ** half)
    return _order_tail(half + 1, r, stats.chi2.sf(k * t, k)) + _constant(half) * float(pairs)


def _below(k: int, r: int, t: float) -> float:
    """P(median < t)."""
    if t <= 0:
        return 0.0
    half = r // 2
    if r % 2:
        return _order_tail(half + 1, r, stats.chi2.cdf(k * t, k))
    nodes, weights = _panels(k, t, 1.0)
    density = stats.chi2.sf(k * nodes, k) ** (half - 1) * weights
    pairs = np.sum(density * stats.chi2.cdf(k * (2 * t - nodes), k) ** half)
    return _order_tail(half + 1, r, stats.chi2.cdf(k * t, k)) + _constant(half) * float(pairs)


def _order_tail(least: int, r: int, share: float) -> float:
    """P(at least `least` of r do), each with probability `share`; keeps its digits where it is tiny."""
    return float(special.betainc(least, r - least + 1, share))


def _constant(half: int) -> float:
    """Return r! / ((r/2 - 1)! (r/2)!) for r = 2 half."""
    return float(np.exp(special.gammaln(2 * half + 1) - special.gammaln(half) - special.gammaln(half + 1)))


def _panels(k: int, t: float, side: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes y on one side of t and quadrature weights times the density of chi2_k / k there.

    The variable is the root of y, whose density is bounded at 0 even for k = 1. The law of the lower (or upper) one of
    the middle two lies within some standard deviations of the threshold wherever it matters.
    """
    root, sd = np.sqrt(t), 1.0 / np.sqrt(2.0 * k)
    end = max(0.0, root - _REACH * sd) if side < 0 else min(np.sqrt(2.0 * t), root + _REACH * sd)
    edges = np.linspace(min(root, end), max(root, end), _PANELS + 1)
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * np.diff(edges)[:, None]
    roots = (edges[:-1, None] + half * (1.0 + x)).ravel()
    return roots**2, (half * w).ravel() * stats.chi2.pdf(k * roots**2, k) * k * 2.0 * roots
