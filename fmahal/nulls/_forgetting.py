r"""Laws of squared distances from weighted moments of normal rows, as exponential forgetting leaves them.

Let the rows have weights :math:`v_j`, :math:`\sum v_j = 1`, and the covariance S the rank p. By rotation, a new row has

.. math:: d^2 = \lVert y \rVert^2 / s, \qquad s = 1 / [S^{-1}]_{11}

for standard normal rows, y being the new row minus the mean and s what the other coordinates leave of the first one's
variance. For equal weights n s is chi-square with n - p degrees of freedom. For others it is taken as a multiple b of a
chi-square variable with m degrees of freedom, by its inverse moments, on which the upper tail of d^2 depends. With
:math:`\kappa(d)` the root of

.. math:: \sum_j \frac{v_j \kappa}{1 + v_j \kappa} = d

(the leverages of d columns sum to d; random matrix theory), and e = 2 (1 for a known location),

.. math:: E s^{-1} \approx \frac{\kappa(p+e)}{p+e}, \qquad
   E s^{-2} \approx \frac{\kappa(p+e)}{p+e} \, \frac{\kappa(p+e+2)}{p+e+2} ,

which equal weights make exact. The mean of large weights pulls the covariance along, so that its own noise counts for
less than :math:`\sum v_j^2`: y has the variances :math:`1 + q` with :math:`q = (1 - p/\kappa(p)) / p`, by the leverage
of the mean; 1/n for equal weights.

A training row of weight v is a new one to the fit without it: with T its squared distance from that fit,
:math:`d^2 = (1 - v) T / (1 + v T)`; about a known location :math:`d^2 = T / (1 - v + v T)`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from .._typing import ArrayLike
from ..exceptions import CalibrationWarning
from ..scatter import ScatterFacts
from ._fisher import fisher_f
from .base import Law, warn_caller

_MEMORY = 40.0  # time constants after which a weight counts for nothing
_STEP = 0.05  # of a time constant: ages within it are summed as one
_DIGITS = 12  # of the effective number, to which the weights of a long stream do not change any more
_AGES = 48  # at which the law of a training row is found; in between it is interpolated
_STEPS = 200  # of Newton's iteration, which converges from below


class Profile(NamedTuple):
    """Weights of rows by age: `count` rows of each weight, adding up to 1."""

    weights: NDArray[np.float64]
    counts: NDArray[np.float64]

    def without(self, weight: float) -> Profile:
        """Return the profile of the other rows, once a row of this weight has been left out."""
        counts, age = self.counts.copy(), int(np.argmin(np.abs(self.weights - weight)))
        counts[age] -= weight / self.weights[age]
        return Profile(self.weights / (1.0 - weight), counts)


def weight_profile(n: int, effective: float) -> Profile:
    r"""Return the geometric weights of n rows with a given effective number, one node for many of nearly equal weight.

    Parameters
    ----------
    n : int
        Rows.
    effective : float
        :math:`1 / \sum v_j^2`, between 1 and n.

    Returns
    -------
    profile : Profile
        The newest rows first.
    """
    rate = decay_rate(n, effective)
    rows = float(n) if rate == 0.0 else min(float(n), np.ceil(_MEMORY / rate))
    nodes = int(min(rows, np.ceil(rows * rate / _STEP) + _AGES))
    width = rows / nodes
    ages = (np.arange(nodes) + 0.5) * width - 0.5
    weights = np.exp(-rate * ages)
    return Profile(weights / (width * weights.sum()), np.full(nodes, width))


def decay_rate(n: int, effective: float) -> float:
    """Return L > 0 with weights e^(-L a) of ages a = 0 ... n - 1 of the given effective number; 0 for equal weights.

    That number is tanh(n L / 2) / tanh(L / 2).
    """
    if effective >= n * (1.0 - 1e-12):
        return 0.0
    gap = lambda log_rate: (  # noqa: E731
        np.log(np.tanh(n * np.exp(log_rate) / 2) / np.tanh(np.exp(log_rate) / 2)) - np.log(effective)
    )
    low, high = np.log(1e-9 / n), 4.0
    if gap(high) >= 0.0:
        return float(np.exp(high))
    return float(np.exp(optimize.brentq(gap, low, high, xtol=1e-13)))


def _kappa(profile: Profile, d: float) -> float:
    """Return the root of the sum of leverages; Newton's steps from below, for a concave function."""
    v, c = profile
    kappa = float(d) / float(c @ v)
    for _ in range(_STEPS):
        share = v / (1.0 + v * kappa)
        step = (d - kappa * float(c @ share)) / float(c @ (share / (1.0 + v * kappa)))
        kappa += step
        if step <= 1e-13 * kappa:
            break
    return kappa


class NewLaw(NamedTuple):
    """The law of new rows: `scale` times F with `rank` and `df` degrees of freedom."""

    scale: float
    df: float


def new_law(profile: Profile, rank: int, centred: bool) -> NewLaw:
    """Return scale and second degrees of freedom of the F law of new rows."""
    rows, extra = float(profile.counts.sum()), 2 if centred else 1
    q = (1.0 - rank / _kappa(profile, rank)) / rank if centred else 0.0
    if rows > rank + extra + 2 + 1e-6:
        first, second = (_kappa(profile, d) / d for d in (rank + extra, rank + extra + 2))
        ratio = second / first
        df = (4.0 * ratio - 2.0) / (ratio - 1.0)
        unit = 1.0 / (first * (df - 2.0))
    else:  # s has no second inverse moment: its first two moments, by the same leverages
        d = rank - 2 + extra
        kappa = _kappa(profile, d) if d else 0.0
        g = profile.weights / (1.0 + profile.weights * kappa)
        one, two = float(profile.counts @ g), float(profile.counts @ g**2)
        df, unit = one**2 / two - d, two / (one - kappa * two)
    return NewLaw((1.0 + q) * rank / (unit * df), df)


@lru_cache(maxsize=64)
def _cached_law(n: int, effective: float, rank: int, centred: bool) -> Law:
    law = new_law(weight_profile(n, effective), rank, centred)
    return fisher_f(rank, law.df, scale=law.scale)


def law_of_new_rows(facts: ScatterFacts) -> Law:
    """Return the F law of new rows of a weighted fit; O(1), and a look-up while weights stay the same."""
    effective = float(f"{facts.effective_n_samples:.{_DIGITS}g}")
    rate = decay_rate(facts.n_samples, effective)
    n = facts.n_samples if rate == 0.0 else int(min(facts.n_samples, np.ceil(_MEMORY / rate)))
    return _cached_law(n, effective, facts.rank, not facts.assume_centered)


def law_of_training_rows(facts: ScatterFacts) -> WeightedRowLaw:
    """Return the laws of the rows of a fit with forgetting, one a row, the oldest first."""
    n, rank, centred = facts.n_samples, facts.rank, not facts.assume_centered
    rate = decay_rate(n, float(facts.effective_n_samples))  # type: ignore[arg-type]
    weights = np.exp(-rate * np.arange(n - 1.0, -1.0, -1.0))
    weights /= weights.sum()
    profile = weight_profile(n, float(facts.effective_n_samples))  # type: ignore[arg-type]
    at = np.unique(profile.weights[np.linspace(0, profile.weights.size - 1, _AGES).astype(int)])
    laws = np.array([new_law(profile.without(v), rank, centred) for v in at])
    scale, df = (np.interp(weights, at, column) for column in laws.T)
    return WeightedRowLaw(weights, scale, df, rank, centred)


class WeightedRowLaw:
    """Laws of the squared distances of training rows, one a row, that of a new row under a monotone map.

    Parameters
    ----------
    weights : ndarray of shape (n,)
        Shares of the rows in the weight of all.
    scale, df : ndarray of shape (n,)
        Of the F law of a row's squared distance from the fit to the others.
    rank : int
        First degrees of freedom.
    centred : bool
        Whether the mean was estimated.
    """

    def __init__(
        self,
        weights: NDArray[np.float64],
        scale: NDArray[np.float64],
        df: NDArray[np.float64],
        rank: int,
        centred: bool,
    ):
        self._v, self._base, self._centred = weights, fisher_f(rank, df, scale=scale), centred

    def _left_out(self, d2: ArrayLike) -> NDArray[np.float64]:
        x = np.asarray(d2, dtype=np.float64)
        top = x if self._centred else (1.0 - self._v) * x
        rest = 1.0 - self._v - self._v * x if self._centred else 1.0 - self._v * x
        with np.errstate(invalid="ignore"):
            return np.where(rest > 0, top / np.where(rest > 0, rest, 1.0), np.inf)

    def _kept(self, t: Any) -> NDArray[np.float64]:
        inverse = 1.0 / np.asarray(t, dtype=np.float64)
        share = 1.0 - self._v
        return share / (inverse + self._v) if self._centred else 1.0 / (share * inverse + self._v)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance up to `x`."""
        return self._base.cdf(self._left_out(x))

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a squared distance above `x`."""
        return self._base.sf(self._left_out(x))

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance below which the share `q` lies."""
        with np.errstate(divide="ignore"):
            return self._kept(self._base.ppf(q))

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Squared distance above which the share `q` lies."""
        with np.errstate(divide="ignore"):
            return self._kept(self._base.isf(q))


class NoLaw:
    """In the place of a law that is not known: each of its functions raises an error that says why."""

    def __init__(self, error: Exception):
        self._error = error

    def _raise(self, _: ArrayLike) -> NDArray[np.float64]:
        raise self._error

    cdf = sf = ppf = isf = _raise


def weighted_laws(facts: ScatterFacts, rows_given: int) -> tuple[Law, Law]:
    """Return the laws of training and new rows of a fit to normal rows of unequal weights."""
    effective = float(facts.effective_n_samples)  # type: ignore[arg-type]
    if effective <= facts.rank + 1.0:
        warn_caller(
            f"Rows with forgetting: {facts.n_samples} rows count like {effective:.4g} of equal weight, no more than "
            f"rank + 1 = {facts.rank + 1}. The laws of squared distances are then too wide and flag fewer rows than "
            "alpha. Use a forgetting closer to 1, or fewer columns.",
            CalibrationWarning,
        )
    if rows_given == facts.n_samples:
        return law_of_training_rows(facts), law_of_new_rows(facts)
    train = NoLaw(
        ValueError(
            "The law of a training row depends on its weight, and with it on its age, and these are not all the rows "
            f"seen, in their order: {rows_given} rows were given, {facts.n_samples} seen. Judge rows as new ones, "
            "before they are added."
        )
    )
    return train, law_of_new_rows(facts)
