"""The generalised Pareto law with a shape of at least zero, as the tail beyond the largest reference distance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray

FEWEST = 10  # exceedances that a fit needs
MOST = 100_000  # exceedances that a fit looks at; more of them change nothing that can be seen


class Tail(NamedTuple):
    """A generalised Pareto law that goes on from the largest of some reference distances."""

    start: float  # largest reference
    scale: float  # of the law of x - start given x > start
    shape: float
    threshold: float  # the quantile above which the law was fitted
    n_exceedances: int

    def sf(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of more than `x`, given more than `start`."""
        with np.errstate(over="ignore"):
            z = np.maximum(x - self.start, 0.0) / self.scale
            if self.shape == 0.0:
                return np.exp(-z)
            return np.exp(-np.log1p(self.shape * z) / self.shape)

    def standard_error(self, ratio: float) -> float:
        r"""Return the standard error of the point that `ratio` (at least 1) times fewer distances exceed than `start`.

        Two things are uncertain: the largest reference, which has the spread of a Gumbel law, and the two
        parameters, whose covariance is taken to be that of maximum likelihood.
        """
        xi, log_r = self.shape, math.log(ratio)
        grown = math.expm1(xi * log_r) / xi if xi > 0 else log_r
        d_grown = (ratio**xi * log_r - grown) / xi if xi > 1e-4 else log_r**2 / 2  # derivative by the shape
        reach = self.start - self.threshold
        sigma = self.scale - xi * reach  # scale at the threshold
        by_log_scale, by_shape = sigma * grown, reach * grown + self.scale * d_grown
        variance = (
            (1 + xi)
            * (2 * by_log_scale**2 - 2 * by_log_scale * by_shape + (1 + xi) * by_shape**2)
            / self.n_exceedances
        )
        return math.sqrt(variance + (ratio**xi * self.scale) ** 2 * math.pi**2 / 6)


def fit_tail(exceedances: FloatArray, threshold: float, start: float, n_exceedances: int) -> Tail | None:
    """Return the tail fitted to sorted exceedances of a threshold; None when they have no spread."""
    mean = float(np.mean(exceedances))
    if not 0 < mean < math.inf:
        return None
    shape, scale = _probability_weighted(exceedances)
    return Tail(start, scale + shape * (start - threshold), shape, threshold, n_exceedances)


# Tried on chi-square, F and Beta laws, 400 samples each: the root mean square error of the logarithm of the point that
# is passed 100 times more rarely than the largest of 10 k distances, for k exceedances.
#     k = 10:   probability-weighted moments 0.42 (chi-square, 10 degrees), 0.82 (F, 5 and 10);
#              Zhang-Stephens 0.89, 1.42
#     k = 100:  0.20, 0.60; 0.23, 0.65         k = 1000:  0.12, 0.37; 0.12, 0.37
# An exponential tail does as well for chi-square, and for F it is too light by 0.6 at k = 1000. Zhang, J. and Stephens,
# M. A. (2009). A new and efficient estimation method for the generalized Pareto distribution. Technometrics 51(3),
# 316-325. DOI 10.1198/tech.2009.08017
def _probability_weighted(y: FloatArray) -> tuple[float, float]:
    r"""Return shape and scale by probability-weighted moments; a negative shape becomes 0, the exponential law.

    With a0 the mean and a1 the mean of y weighted by 1 - F, the shape is 2 - a0 / (a0 - 2 a1) and the scale
    2 a0 a1 / (a0 - 2 a1). A shape above 0.9, where these moments say little, becomes 0.9.
    """
    k = y.size
    mean = float(y.mean())
    weighted = float(y @ ((k - np.arange(1, k + 1) + 0.35) / k)) / k
    shape = min(2 - mean / (mean - 2 * weighted), 0.9) if mean > 2 * weighted else 0.0
    return (shape, mean * (1 - shape)) if shape > 0 else (0.0, mean)
