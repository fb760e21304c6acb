"""The law of distances from a robust spectral filter: simulated, and studentised by the bulk of the rows."""

from __future__ import annotations

import math
import warnings
from numbers import Integral
from typing import Any

import numpy as np
from scipy import special, stats
from sklearn.utils.validation import check_is_fitted

from .._random import as_seed_sequence
from .._registry import nulls
from .._typing import ArrayLike, FloatArray, RandomState
from ..exceptions import CalibrationWarning, FmahalWarning
from ..scatter import resolve
from ..scatter._blas import one_blas_thread
from ..scatter._robust_spectral import coordinates
from ..scatter.robust_spectral import RobustSpectralFilter
from ._empirical_law import EmpiricalLaw
from ._numbers import checked_level
from ._pooled import PooledNull
from ._sketches import refuse_sketch
from ._template import template
from .base import check_distances, warn_caller

_BULK = 2.0  # standard deviations above the centre up to which cube roots count as the bulk
_INSIDE = float(special.ndtr(_BULK))
_MEAN = float(np.exp(-0.5 * _BULK**2) / np.sqrt(2.0 * np.pi)) / _INSIDE  # by which cutting lowers the mean
_SPREAD = float(np.sqrt(1.0 - _BULK * _MEAN - _MEAN**2))  # to which it lowers the standard deviation
_MOST_STEPS = 100
_FEW_SAMPLES = 5  # of fewer nothing is known about how much their bulks vary
_STRANGE = 5e-4  # level at which the bulk of the rows is unlike that of the simulated samples
_EPS = float(np.finfo(np.float64).eps)


def _applies(scatter: str, n: int, p: int) -> str | None:
    return None if scatter == "robust-spectral" else "it is the law of robust-spectral alone"


@nulls.register(
    "robust-spectral",
    "Law of the robust spectral filter, simulated",
    order=35,
    applies=_applies,
    cost=lambda n, p: 20,
)
class RobustSpectralNull(PooledNull):
    r"""Simulated law of the distances of a `RobustSpectralFilter`, studentised by the bulk of the rows.

    .. math:: t(x) = \frac{d^{2/3}(x) - m}{s}, \qquad p(x) = \frac{1 + \#\{t^*_i \ge t(x)\}}{M + 1}

    with centre m and scale s of the bulk of :math:`d^{2/3}` over the training rows, and M values :math:`t^*` of
    simulated samples, each with its own fit, m and s.

    Parameters
    ----------
    n_samples : int, default=20
        Simulated samples, each of as many rows as were trained on, and as many fresh ones.
    tail : {None, "gpd"}, default=None
        Whether p-values go on beyond the largest reference, by a generalised Pareto law.
    random_state : int, RandomState, Generator or None, default=0
        Stream of the simulation.

    Attributes
    ----------
    train_d2_ : ndarray of shape (n_samples,)
        Squared distances of the training rows, each from a fit without it: of rows that were kept by the closed form,
        with `alpha_` as it is; the others had no part in the fit.
    train_dist_, new_dist_ : EmpiricalLaw
        Their law, and that of new rows.
    centre_, spread_ : float
        m and s, in the unit of cube roots of squared distances.

    Raises
    ------
    ValueError
        When the estimator does not end in a fitted `RobustSpectralFilter`, for parameters out of their range, and for
        other rows than it was fitted to.

    Warns
    -----
    CalibrationWarning
        From `fit`, when the bulk of the rows is far wider, for its centre, and more skewed than those of the simulated
        samples, as for curves that are not Gaussian; from `check_level`, when there are too few references for a level.

    Notes
    -----
    Samples are normal with the mean and the covariance of the kept rows: neither shrunk, which makes distances of
    simulated rows too large, nor filtered. Whether a row is kept makes its distance smaller, and how many clean rows
    are kept depends on how many outliers there are; distances from fits without the row do not have that jump. Cube
    roots of sums of squares are close to normal [1]_: their bulk, up to two standard deviations above the
    centre, tells both parameters of the normal law cut there, hardly touched by outliers. What is left, the law of the
    tail and the error of m and s, comes from the simulation. For few rows the equations of m and s may have several
    solutions, of which the one next to the start from median and lower quartile is taken, for the rows as for the
    samples: the level holds on average over data sets, and single ones may be far from it.

    It is a law of Gaussian curves. m and s only adapt to what widens all distances alike: when clean curves have
    heavier tails, such as those of a t law, several times the level are flagged, and many times it when they are
    skewed, such as exponentials of Gaussian curves. The warning is no proof of the contrary: it hardly ever comes for
    Gaussian curves, nor for outliers among them, and does not come for every other law, least of all for few rows.
    Transform such curves, by logarithms for example; a `ConformalNull` judges new ones, given clean training curves.

    Costs `n_samples` fits in q dimensions, at most as many as rows were kept: O(n q^2 + q^3) for each of their steps.

    References
    ----------
    .. [1] Wilson, E. B. and Hilferty, M. M. (1931). The distribution of chi-square. Proceedings of the National
       Academy of Sciences 17, 684-688. DOI 10.1073/pnas.17.12.684

    Examples
    --------
    >>> from fmahal.datasets import make_outlying_curves
    >>> from fmahal.nulls.robust_spectral import RobustSpectralNull
    >>> from fmahal.scatter.robust_spectral import RobustSpectralFilter
    >>> curves = make_outlying_curves("shape", 60, 20, random_state=0)
    >>> scatter = RobustSpectralFilter().fit(curves.data)
    >>> null = RobustSpectralNull().fit(scatter, curves.data, scatter.d2_)
    >>> flagged = null.train_dist_.sf(null.train_d2_) <= 0.01
    >>> bool(flagged[curves.outliers].all())
    True
    """

    train_d2_: FloatArray
    train_dist_: EmpiricalLaw
    new_dist_: EmpiricalLaw
    centre_: float
    spread_: float

    def __init__(self, n_samples: int = 20, *, tail: str | None = None, random_state: RandomState = 0):
        self.n_samples = n_samples
        self.tail = tail
        self.random_state = random_state

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> RobustSpectralNull:
        """Simulate the law.

        Parameters
        ----------
        estimator : fitted RobustSpectralFilter, or Pipeline that ends in one
            The estimator that gave the distances. Steps before it are not refitted.
        X : array-like of shape (n_samples, n_features)
            The training rows, as they were given to `estimator`.
        d2 : ndarray of shape (n_samples,)
            Their squared distances.

        Returns
        -------
        self : RobustSpectralNull
            The fitted law.
        """
        count = self.n_samples
        if not isinstance(count, Integral) or isinstance(count, bool | np.bool_) or count < 1:
            raise ValueError(f"n_samples must be a whole number of at least 1, got {count!r}.")
        refuse_sketch("RobustSpectralNull", estimator)
        space, scatter = resolve(estimator)
        if not is_robust_spectral(scatter):
            raise ValueError(
                f"RobustSpectralNull is the law of RobustSpectralFilter, not of {type(scatter).__name__}. "
                'null="auto" finds the law of an estimator.'
            )
        check_is_fitted(scatter, "filter_")
        d2 = check_distances(d2, scatter.n_samples_)
        Z = np.asarray(X if space is None else space.transform(X), dtype=np.float64)
        if len(Z) != scatter.n_samples_:
            raise ValueError(
                f"X has {len(Z)} rows, and the estimator was fitted to {scatter.n_samples_}: pass the training rows."
            )
        own = left_out(scatter, d2)
        centre, spread = bulk(own)
        train, new, shapes = self._simulated(scatter, Z[scatter.support_])
        if is_strange(shape(own, centre, spread), shapes):
            warn_caller(
                "The bulk of the squared distances is wider or more skewed than for Gaussian curves, whose law this "
                "is: more clean curves than the level says are called outlying, perhaps many times more. Usual causes: "
                "positive curves with a long upper tail (take logarithms), curves of different scale (divide by it), "
                "several groups. ConformalNull assumes no law, for clean training rows.",
                CalibrationWarning,
            )
        self.train_d2_, self.centre_, self.spread_ = own, centre, spread
        self.train_dist_, self.new_dist_ = (
            EmpiricalLaw(np.maximum(centre + spread * t, 0.0) ** 3, tail=self.tail) for t in (train, new)
        )
        return self

    def check_level(self, level: float) -> None:
        """Warn when no p-value can be as small as a level, and say how many samples that needs.

        Parameters
        ----------
        level : float
            The level at which rows are judged.

        Raises
        ------
        ValueError
            When it is not strictly between 0 and 1.
        NotFittedError
            Before `fit`.

        Warns
        -----
        CalibrationWarning
            Without `tail`, when the number of references, `n_samples` times that of the rows, is below 1/level - 1.
        """
        check_is_fitted(self, "new_dist_")
        level, M = checked_level(level), self.new_dist_.size
        if self.tail is not None or level * (M + 1) * (1 + 1e-12) >= 1.0:
            return
        rows = M // int(self.n_samples)
        warn_caller(
            f"n_samples={self.n_samples} is too few for level {level:.3g}: with {M} references no p-value can be that "
            f"small, so that no row is flagged. Use n_samples={math.ceil((1 / level - 1) / rows)} or more, or "
            "tail='gpd'.",
            CalibrationWarning,
        )

    def _simulated(self, scatter: Any, kept: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return studentised cube roots of training and of fresh rows, a sample a row, and the shapes of the bulks."""
        n, deviations = scatter.n_samples_, _deviations(kept)
        seeds = as_seed_sequence(self.random_state).spawn(int(self.n_samples))
        train, new, shapes = np.empty((len(seeds), n)), np.empty((len(seeds), n)), np.empty((len(seeds), 2))
        with one_blas_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FmahalWarning)  # of a simulated sample they concern nobody
            for k, seed in enumerate(seeds):
                rows = np.random.default_rng(seed).standard_normal((2 * n, deviations.size)) * deviations
                fit = template(scatter).fit(rows[:n])
                d2 = left_out(fit, fit.d2_)
                centre, spread = bulk(d2)
                shapes[k] = shape(d2, centre, spread)
                train[k] = (np.cbrt(d2) - centre) / spread
                new[k] = (np.cbrt(fit.mahalanobis(rows[n:])) - centre) / spread
        return train, new, shapes


def _deviations(rows: FloatArray) -> FloatArray:
    """Return the standard deviations of rows along their principal directions, those above rounding."""
    Y = coordinates(rows)
    found = np.linalg.svd(Y.values - Y.values.mean(axis=0), compute_uv=False) / np.sqrt(len(rows) - 1)
    there: FloatArray = np.ldexp(found[found > len(rows) * _EPS * found[0]], Y.exponent)
    return there


def is_robust_spectral(scatter: Any) -> bool:
    """Tell whether a scatter is a fitted `RobustSpectralFilter`."""
    return isinstance(scatter, RobustSpectralFilter)


def left_out(scatter: Any, d2: FloatArray) -> FloatArray:
    """Return squared distances of training rows from fits without them."""
    out = np.array(d2, dtype=np.float64)
    out[scatter.support_] = scatter.filter_.leave_one_out()
    return out


def bulk(d2: FloatArray) -> tuple[float, float]:
    """Return centre and scale of the cube roots of most distances, as those of a normal law cut above."""
    roots = np.cbrt(d2[np.isfinite(d2)])
    centre = float(np.median(roots))
    spread = max((centre - float(np.quantile(roots, 0.25))) / 0.6745, _EPS * centre)
    for _ in range(_MOST_STEPS):
        inside = roots[roots <= centre + _BULK * spread]
        scale = max(float(inside.std(ddof=1)) / _SPREAD, _EPS * centre)
        moved = abs(scale - spread)
        centre, spread = float(inside.mean()) + _MEAN * scale, scale
        if moved <= 1e-9 * spread:
            break
    return centre, spread


def shape(d2: FloatArray, centre: float, spread: float) -> tuple[float, float]:
    """Return what units do not change of a bulk: the logarithm of its relative width, and its skewness."""
    roots = np.cbrt(d2[np.isfinite(d2)])
    inside = roots[roots <= centre + _BULK * spread]
    scale = float(inside.std())
    if not (centre > 0 and spread > 0 and scale > 0):
        return 0.0, 0.0
    return math.log(spread / centre), float(np.mean(((inside - inside.mean()) / scale) ** 3))


def is_strange(own: tuple[float, float], shapes: FloatArray) -> bool:
    """Tell whether a bulk is wider and more skewed than those of simulated samples, by the sum of both scores."""
    S = len(shapes)
    spread = shapes.std(axis=0, ddof=1) if S >= _FEW_SAMPLES else np.zeros(2)
    if not (spread > 0).all():
        return False
    scores = ((shapes - shapes.mean(axis=0)) / spread).sum(axis=1)
    own_score = float(((np.array(own) - shapes.mean(axis=0)) / spread).sum())
    error = float(scores.std(ddof=1)) * math.sqrt(1.0 + 1.0 / S)
    return own_score > float(stats.t.isf(_STRANGE, S - 1)) * error
