"""The lines of the table of null="auto": which estimator, under which condition, gets which law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from ..scatter import BaseScatter, ScatterFacts
from ..scatter._resolve import inner_of, is_sketch
from ._bootstrap_checks import too_rare
from ._cases import known_sketch, space_is_fixed, space_keeps_law, space_keeps_robust_law, weighted_case
from ._continued_law import reaches
from ._moment_bootstrap import fast_moments
from ._size_scale import FIRST, grows
from ._spectral_bootstrap import fast_spectral, spectral_seconds
from .base import BaseNull
from .conformal import ConformalNull
from .exact import ChiSquareNull, NormalTheoryNull
from .resampling import BootstrapNull
from .robust import RobustNull, chosen_by_auto, is_degenerate, is_mcd
from .robust_spectral import RobustSpectralNull, is_robust_spectral
from .weighted_chi2 import WeightedChiSquareNull

FEWEST_ROWS = 10  # below, a tenth of the rows is none
_REFERENCES = 20  # pooled distances for every one beyond the cut-off
_CROWDED = 0.5  # of their largest value: the mean squared distance beyond which all of them are alike
_LEAST, _MOST = 10, 100  # refits, where an estimator is fitted again from the start
_PATIENCE = 30.0  # seconds that the refits may take by the estimate below
_FOLDS = 5  # of training rows, where few fits have to do
_FEWEST_SAMPLES, _SIMULATION = 100, 10.0  # samples, and seconds that they may take by the estimate below
_FULL, _SHORT = 999, 3.0  # replicates of a fast engine, as far as they take this many seconds

# Predicted time of a fit of n rows and p columns on one core: a start in milliseconds, and nanoseconds for each of the
# n p min(n, p) products, for n >= p and for p > n. Constants measured once, so that no choice depends on the clock.
_FIT_TIMES = {
    "mcd": (10.0, 700.0, 700.0),
    "mcd, another's": (80.0, 30_000.0, 30_000.0),
    "mrcd": (4.0, 100.0, 6.0),
    "ogk": (3.0, 160.0, 160.0),
    "wrapped": (1.0, 6.0, 4.0),
    "modified-cholesky": (80.0, 100.0, 200.0),
    "spectral": (2.0, 4.0, 4.0),
    "robust spectral": (15.0, 15.0, 15.0),
    "moments": (2.0, 0.3, 1.0),  # refitted from the start under a sketch only
    "other": (20.0, 50.0, 50.0),
}
_MOMENTS = ("empirical", "ledoit-wolf", "oas", "shrunk", "fixed")
# Of a sketch, nanoseconds for each of the k p entries of its map, and of the k p min(n, p) products of its folding.
_DRAWN, _FOLDED = 10.0, 0.3


class Case(NamedTuple):
    """What the table looks at: a fitted estimator, its parts and its facts, for a sketch of the scatter under it."""

    estimator: Any
    space: Any
    scatter: Any
    facts: ScatterFacts
    exact: str | None  # the case in which a law is known in closed form
    why: str  # why none is
    p: int
    alpha: float

    @property
    def inner(self) -> Any:
        """The scatter, under a sketch the one that it sketches."""
        return inner_of(self.scatter)


@dataclass(frozen=True)
class Rule:
    """One line of the table; the first that applies is taken.

    Attributes
    ----------
    estimator, condition, law : str
        The line, as the documentation shows it.
    applies : callable
        Whether a `Case` falls under it.
    null : callable
        Returns the unfitted null for a `Case`.
    """

    estimator: str
    condition: str
    law: str
    applies: Callable[[Case], bool]
    null: Callable[[Case], BaseNull]


def _is_known(case: Case) -> bool:
    return case.exact == "known"


def _is_exact(case: Case) -> bool:
    return case.exact is not None or weighted_case(case.estimator, case.facts)


def _has_robust_law(case: Case) -> bool:
    return chosen_by_auto(case.scatter, case.facts) and space_keeps_robust_law(case.space)


def is_plane(case: Case) -> bool:
    """Tell whether the rows that made an estimate are equal, or a robust one's on a hyperplane: so are resamples."""
    plane = case.facts.rank < 1 or getattr(case.inner, "exact_fit_", None) is not None
    return plane or _rests_on_a_point(case) or (is_mcd(case.inner) and is_degenerate(case.inner, case.facts))


def _rests_on_a_point(case: Case) -> bool:
    """Tell whether all rows of the support are equal; a regularised covariance has full rank even then."""
    d2, support = (getattr(case.inner, name, None) for name in ("d2_", "support_"))
    if not case.facts.robust or d2 is None or support is None or np.shape(support) != np.shape(d2):
        return False
    return not np.any(np.asarray(d2)[np.asarray(support, dtype=bool)] > np.finfo(np.float64).eps)


def _is_parametric(case: Case) -> bool:
    keeps = space_is_fixed(case.space) or (space_keeps_law(case.space) and _ignores_units(case.inner))
    keeps |= case.facts.robust and space_keeps_robust_law(case.space) and _ignores_units(case.inner)
    far = case.facts.n_samples >= FEWEST_ROWS and too_rare(case.alpha, case.facts.n_samples)
    sample = _is_sketch_of_the_sample(case)
    keeps |= sample and space_keeps_law(case.space)
    chosen = case.facts.robust or far or _is_crowded(case) or sample
    if not chosen or not keeps or is_plane(case):
        return False
    laws = 2 if case.facts.kind == "spectral" else 1
    return _in_time(case, laws * _parametric_replicates(case))


def _is_sketch_of_the_sample(case: Case) -> bool:
    """Tell whether a sketch is of the sample covariance.

    Given the map, the law of normal rows is then one law, whatever their covariance: the inverse of a Cholesky factor
    takes a triangular transformation of the rows back, so that rows made by the estimate serve as well as any.
    """
    return is_sketch(case.scatter) and case.facts.kind == "empirical"


def _has_weights(case: Case) -> bool:
    return known_sketch(case.estimator) is not None


def _is_crowded(case: Case) -> bool:
    """Tell whether the rows make most of a spectral filter's distances themselves: these are then nearly equal.

    The squared distances of the training rows sum to the trace of filter times covariance, and each is at most n - 1.
    Resamples of less than all rows do not tell such distances to the accuracy of their differences.
    """
    values, g = (getattr(case.inner, name, None) for name in ("eigenvalues_", "filter_values_"))
    if case.facts.kind != "spectral" or case.facts.robust or values is None or g is None:
        return False
    enough = case.facts.n_samples >= FEWEST_ROWS
    return enough and bool(np.sum(values * g) > _CROWDED * (case.facts.n_samples - 1))


def _has_studentised_law(case: Case) -> bool:
    known = is_robust_spectral(case.scatter) and space_is_fixed(case.space)
    enough = case.facts.n_samples >= FEWEST_ROWS and not is_plane(case)
    return known and enough and _in_time(case, _LEAST)


def _studentised(case: Case) -> BaseNull:
    samples = _samples(case)
    few = samples * case.facts.n_samples * case.alpha < _REFERENCES
    return RobustSpectralNull(samples, tail="gpd" if few else None)


def _samples(case: Case) -> int:
    """Return how many simulated samples give 20 / alpha distances, a hundred if that is more.

    All distances of a sample share its centre and scale: a cut-off is as accurate as there are samples, not distances.
    """
    wanted = max(_FEWEST_SAMPLES, _REFERENCES / (case.alpha * case.facts.n_samples))
    return int(np.clip(np.ceil(wanted), _LEAST, max(_LEAST, _SIMULATION / _fit_seconds(case))))


def _is_resampled(case: Case) -> bool:
    if case.facts.n_samples < FEWEST_ROWS or is_plane(case):
        return False
    fits = _replicates(case)
    if grows(case.scatter, case.facts):  # some of them a second time, with fewer rows
        fits += min(FIRST, fits)
    return fits * _fast_seconds(case) <= _PATIENCE if _is_fast(case) else _in_time(case, fits)


def _is_split(case: Case) -> bool:
    """Tell whether half of the rows resolve the level for a sketch, and the other half can be fitted.

    Calibration among rows that may be outliers is not what a robust scatter is asked for.
    """
    n, plain = case.facts.n_samples, space_is_fixed(case.space) or space_keeps_law(case.space)
    if not is_sketch(case.scatter) or case.facts.robust or not plain or is_plane(case):
        return False
    enough = case.facts.rank >= case.p if case.facts.regularized else n - n // 2 >= case.facts.rank + 2
    return enough and (n // 2 + 1) * case.alpha >= 1


def _is_fast(case: Case) -> bool:
    return space_is_fixed(case.space) and (fast_moments(case.scatter) or fast_spectral(case.scatter))


def _ignores_units(scatter: Any) -> bool:
    return "columns" in getattr(scatter, "equivariances", ())


def _parametric_replicates(case: Case) -> int:
    """Return how many replicates give 20 / alpha distances: each gives n of training and n of new rows."""
    return int(np.clip(np.ceil(_REFERENCES / (case.alpha * case.facts.n_samples)), _LEAST, _MOST))


def _replicates(case: Case) -> int:
    """Return how many replicates give 20 / alpha distances of new rows: each leaves a tenth of the rows out."""
    held = max(1, case.facts.n_samples // 10)
    return int(np.clip(np.ceil(_REFERENCES / (case.alpha * held)), _LEAST, _MOST))


def _in_time(case: Case, fits: int) -> bool:
    return fits * _fit_seconds(case) <= _PATIENCE


def _fit_seconds(case: Case) -> float:
    """Return the predicted time of a fit from the start."""
    n, p = case.facts.n_samples, case.p
    kind = case.facts.kind
    if kind == "mcd" and not isinstance(case.inner, BaseScatter):
        kind = "mcd, another's"
    if is_robust_spectral(case.inner):
        kind = "robust spectral"
    k = 0
    if is_sketch(case.scatter):
        k = int(case.scatter.n_components_)
        kind = "moments" if kind in _MOMENTS else kind
    start, tall, wide = _FIT_TIMES.get(kind, _FIT_TIMES["other"])
    products = (tall if n >= p else wide) * n + _FOLDED * k
    return 1e-3 * start + 1e-9 * p * (products * min(n, p) + _DRAWN * k)


def _fast_seconds(case: Case) -> float:
    """Return the predicted time of a replicate that is fitted from weighted sums or inner products."""
    n, p = case.facts.n_samples, case.p
    if case.facts.kind == "spectral":
        return spectral_seconds(case.scatter, n, p)
    seconds = 5e-10 * n * p**2 if p <= n else 1.5e-9 * n**3
    return 2e-5 + seconds + (4e-9 * min(n, p) ** 3 if case.facts.kind == "qis" else 0.0)


def _parametric(case: Case) -> BaseNull:
    replicates = _parametric_replicates(case)
    few = replicates * case.facts.n_samples * case.alpha < _REFERENCES
    return BootstrapNull(replicates, kind="parametric", tail="gpd" if few else None, random_state=0)


def _resampled(case: Case) -> BaseNull:
    fewest = _replicates(case)
    if case.facts.kind == "spectral" and _is_fast(case):
        n_resamples = int(np.clip(_SHORT / _fast_seconds(case), fewest, _FULL))
        tail: Literal["normal"] | None = None if reaches(case.alpha, case.facts.n_samples) else "normal"
        return BootstrapNull(n_resamples, tail=tail, random_state=0)
    if _is_fast(case):
        n_resamples = int(np.clip(_SHORT / _fast_seconds(case), fewest, _FULL))
        return BootstrapNull(n_resamples, random_state=0)
    return BootstrapNull(fewest, random_state=0)


RULES = (
    Rule(
        "FixedScatter",
        "location and covariance given",
        "ChiSquareNull",
        _is_known,
        lambda case: ChiSquareNull(),
    ),
    Rule(
        "Sketched(FixedScatter)",
        "covariance given, location given or the mean; steps before it fixed",
        "WeightedChiSquareNull by the squared singular values of the map",
        _has_weights,
        lambda case: WeightedChiSquareNull(),
    ),
    Rule(
        "EmpiricalCovariance, ours or scikit-learn's; SpectralFilter('inverse') without a cut; FixedScatter with the "
        "mean and a given covariance",
        "n > rank + 1; steps before it fixed, or only shift and scale columns",
        "NormalTheoryNull",
        _is_exact,
        lambda case: NormalTheoryNull(),
    ),
    Rule(
        "MinCovDet",
        "no exact fit; up to 40 columns, or a simulation of at most 500 000 products a fit; steps before it fixed, "
        "or only shift and scale columns, or SphericalPCA",
        "RobustNull",
        _has_robust_law,
        lambda case: RobustNull(),
    ),
    Rule(
        "RobustSpectralFilter",
        "at least 10 rows; steps before it fixed; refits within half a minute by a fixed estimate",
        "RobustSpectralNull with 20 / alpha simulated distances and at least 100 samples, fewer where these take more "
        "than ten seconds by a fixed estimate, and then a generalised Pareto tail",
        _has_studentised_law,
        _studentised,
    ),
    Rule(
        "MRCD, OGK, WrappedCovariance, any other robust scatter; Sketched(EmpiricalCovariance), Sketched of a robust "
        "scatter; any scatter at all for levels below 1 / (4 (n + 1)), "
        "of which n rows say nothing; SpectralFilter whose squared distances are above (n - 1) / 2 in the mean, so "
        "that the rows make their own distances much alike",
        "no exact fit; steps before it fixed, or only shift and scale columns, or (robust scatters) SphericalPCA; "
        "refits within half a minute by a fixed estimate",
        'BootstrapNull(kind="parametric") with 20 / alpha pooled distances, 10 to 100 refits, and a generalised Pareto '
        "tail where 100 are too few; for SpectralFilter the larger tail of two, of rows of the sample covariance and "
        "of that of OAS",
        _is_parametric,
        _parametric,
    ),
    Rule(
        "LedoitWolf, OAS, QIS, ShrunkCovariance, SpectralFilter",
        "at least 10 rows; steps before it fixed; replicates within half a minute by a fixed estimate",
        "BootstrapNull, 999 replicates, or as many as three seconds take and 20 / alpha pooled distances need; for "
        'SpectralFilter with tail="normal" at levels below 1 / n',
        lambda case: _is_fast(case) and _is_resampled(case),
        _resampled,
    ),
    Rule(
        "any other, Sketched of any other, and any pipeline whose steps learn from the rows",
        "at least 10 rows; refits within half a minute by a fixed estimate",
        "BootstrapNull of the whole pipeline with 20 / alpha pooled distances, 10 to 100 replicates; a sketch with its "
        "map held fixed, as in the line for robust scatters",
        _is_resampled,
        _resampled,
    ),
    Rule(
        "Sketched of any other that is not robust",
        "refits would take longer; steps before it fixed, or only shift and scale columns; half of the rows resolve "
        "the level, n // 2 + 1 >= 1 / alpha, and half of them have the rank of all, or a regularised covariance has "
        "full rank",
        'ConformalNull("split") with five folds for training rows: six fits',
        _is_split,
        lambda case: ConformalNull("split", cv=_FOLDS, random_state=0),
    ),
)
