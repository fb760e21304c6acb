"""Every scatter with every null on one table: fitting, skipping, agreement, AUROC."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._registry import Entry, nulls, scatters
from .._typing import FloatArray
from ..exceptions import CalibrationWarning
from ._params import accepts, name_for_laws, seeded, settable

_REPEAT_BELOW = 3.0  # seconds; shorter runs are timed three times, since the first one may meet cold caches
_SAME_LAW = (
    "n_resamples",
    "random_state",
    "max_memory",
    "n_jobs",
    "verbose",
)  # how finely and where, not which
_REPEAT_NULL_BELOW = 0.3  # seconds; resampling many replicates is an average of its own


@dataclass
class Pair:
    """One scatter with one null on the training rows; `reason` is set when it was not run or failed.

    `configured` holds the null with its parameters where ``auto`` gives it others than its name alone does; `ranks`
    tells whether it ranks the rows among themselves, `pools` whether it resamples outliers with the other rows,
    `shrunk` whether the covariance is regularised;
    `sketch` tells of a sketched scatter how large the map is.
    """

    scatter: str
    null: str
    reason: str = ""
    failed: bool = False
    auto: bool = False
    configured: str = ""
    ranks: bool = False
    pools: bool = False
    shrunk: bool = False
    seconds: float = np.nan
    flagged: np.ndarray | None = None
    agreement: float | None = None
    auroc: float | None = None
    found: float | None = None
    false_alarms: float | None = None
    sketch: dict[str, Any] | None = None

    @property
    def ran(self) -> bool:
        """Whether there are results."""
        return self.flagged is not None


@dataclass
class Comparison:
    """Results of all pairs. A scatter that was left out altogether is one pair without a null."""

    pairs: list[Pair] = field(default_factory=list)
    interrupted: bool = False

    @property
    def ran(self) -> list[Pair]:
        """The pairs with results."""
        return [pair for pair in self.pairs if pair.ran]

    def left_out(self) -> list[tuple[str, str]]:
        """Return (what, why) of everything that has no results; equal reasons are told once."""
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for pair in self.pairs:
            if not pair.ran:
                what = f"{'failed' if pair.failed else 'skipped'} {pair.null + ' with ' if pair.null else ''}"
                groups[what, pair.reason].append(pair.scatter)
        return [(what + ", ".join(names), reason) for (what, reason), names in groups.items()]


@dataclass
class Plan:
    """What to run: the rows, the names, the level, and what a pair may cost."""

    X: FloatArray
    scatters: list[str]
    nulls: list[str]
    alpha: float
    budget: float
    settings: dict[str, Any]
    outliers: np.ndarray | None = None
    null_settings: dict[str, Any] = field(default_factory=dict)


def compare(plan: Plan, say: Callable[[str], None], step: Callable[[], None]) -> Comparison:
    """Run the plan with one BLAS thread; an interruption keeps what is finished.

    `say` hears what is being done, `step` that a scatter is done. One thread makes times comparable, and
    estimators of many small factorisations several times faster where other programs use the cores too.
    """
    from threadpoolctl import threadpool_limits

    result = Comparison()
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            for name in plan.scatters:
                say(name)
                _one_scatter(name, plan, result, say)
                step()
    except KeyboardInterrupt:
        result.interrupted = True
        result.pairs = [pair for pair in result.pairs if pair.ran or pair.reason]  # not the unfinished one
    _measure_agreement(result)
    return result


def _one_scatter(name: str, plan: Plan, result: Comparison, say: Callable[[str], None]) -> None:
    from ..report._sketch import sketch_of

    n, p = plan.X.shape
    reason = scatters[name].why_not(set_up(name, plan.settings), n, p)
    if reason is not None:
        result.pairs.append(Pair(name, "", reason))
        return
    try:
        estimator, d2, took = _timed_fit(name, plan)
        off = _off_subspace(estimator, plan.X)
    except Exception as error:
        result.pairs.append(Pair(name, "", _failure(error), failed=True))
        return
    picked, chosen = _auto_pick(estimator, plan)
    sketch = sketch_of(estimator)
    for entry in (nulls[null] for null in plan.nulls if null != "auto"):
        what = f"{name} x {entry.name}"
        say(what)
        null, auto = _made(entry, chosen if entry.name == picked else None, plan)
        pair = Pair(name, entry.name, auto=auto, sketch=sketch)
        result.pairs.append(pair)
        pair.configured = _configured(null, entry) if pair.auto else ""
        watched = _watched(null, what, say)
        _one_pair(pair, entry, watched, estimator, d2, off, took, plan)


def _watched(null: Any, what: str, say: Callable[[str], None]) -> Any:
    from ._nulls import listened, listener

    return listened(null, listener(lambda text: say(f"{what}: {text}")))


def _made(entry: Entry, chosen: Any, plan: Plan) -> tuple[Any, bool]:
    """Return the unfitted null of an entry with quick parameters and those of the user, and whether ``auto`` takes it.

    Where ``auto`` chose this null, it has the parameters that were chosen; where the user asks for others, more
    replicates apart, it is not what ``auto`` takes.
    """
    null = seeded(entry, quick=True)
    own = {key: value for key, value in plan.null_settings.items() if accepts(null, key, value)}
    if chosen is None:
        return null.set_params(**own), False
    usual, chosen_params = seeded(entry).get_params(deep=False), chosen.get_params(deep=False)
    if any(chosen_params.get(key) != value for key, value in own.items() if key not in _SAME_LAW):
        return null.set_params(**own), False
    null.set_params(**{key: value for key, value in chosen_params.items() if value != usual.get(key)})
    return null.set_params(**own), True


def _configured(null: Any, entry: Entry) -> str:
    """Return the null with its parameters where they are not those that its name gives here, else nothing."""
    usual = seeded(entry, quick=True).get_params(deep=False)
    return (
        repr(null) if any(value != usual[key] for key, value in null.get_params(deep=False).items()) else ""
    )


def set_up(name: str, settings: dict[str, Any]) -> Any:
    """Return the unfitted scatter of a name with those of the settings that it knows."""
    made = seeded(scatters[name], quick=True)
    known = settable(made)
    return made.set_params(**{known[key]: value for key, value in settings.items() if key in known})


def _timed_fit(name: str, plan: Plan) -> tuple[Any, FloatArray, float]:
    """Fit the scatter and measure the rows; return the time too."""

    def fit() -> tuple[tuple[Any, FloatArray], float]:
        estimator = set_up(name, plan.settings)
        start = time.perf_counter()
        d2 = np.asarray(estimator.fit(plan.X).mahalanobis(plan.X), dtype=np.float64)
        return (estimator, d2), time.perf_counter() - start

    with _prefixed_notes(name):
        (estimator, d2), took = _timed(fit)
    return estimator, d2, took


def _timed(run: Callable[[], tuple[Any, float]], below: float = _REPEAT_BELOW) -> tuple[Any, float]:
    """Return the result of `run` and its time, the median of three where the first took less than `below` seconds."""
    result, took = run()
    if took < below:
        took = float(np.median([took, run()[1], run()[1]]))
    return result, took


class _prefixed_notes(warnings.catch_warnings):
    """Pass warnings on with the scatter's name in front; calibration is what the table is about."""

    def __init__(self, name: str):
        super().__init__(record=True)
        self._name = name

    def __enter__(self) -> None:
        self._caught: Any = super().__enter__()
        warnings.simplefilter("always")

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        for caught in self._caught:
            if not issubclass(caught.category, CalibrationWarning):
                warnings.warn(f"{self._name}: {caught.message}", caught.category, stacklevel=2)


def _off_subspace(estimator: Any, X: FloatArray) -> np.ndarray | None:
    from ..models._steps import training_subspace
    from ..scatter._facts import facts

    subspace = training_subspace(estimator, facts(estimator, X).rank, X.shape[0])
    return None if subspace is None else subspace.off_subspace(X - estimator.location_)


def _auto_pick(estimator: Any, plan: Plan) -> tuple[str | None, Any]:
    """Return the null that ``auto`` means for this estimator, its registered name first."""
    from ..nulls import select_null

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = select_null(estimator, plan.X, alpha=plan.alpha)
    except ValueError:
        return None, None
    names = (entry.name for entry in nulls if entry.name != "auto" and entry.factory is type(chosen))
    return next(names, None), chosen


def _one_pair(
    pair: Pair,
    entry: Entry,
    null: Any,
    estimator: Any,
    d2: FloatArray,
    off: np.ndarray | None,
    took: float,
    plan: Plan,
) -> None:
    from ..report._law import resamples_outliers
    from ..scatter._facts import facts

    n, p = plan.X.shape
    name = name_for_laws(pair.scatter, estimator)
    pair.reason = entry.applies(name, n, p) or ""
    if pair.reason:
        return
    refits = _predicted(entry, null, name, n, p)
    if refits * took > plan.budget:
        estimate = f"{_duration(refits * took)} ({refits:.4g} refits)"
        pair.reason = f"predicted to take {estimate}, above --budget {plan.budget:g} s"
        return

    def judge() -> tuple[tuple[Any, FloatArray, np.ndarray], float]:
        start = time.perf_counter()
        fitted = null.fit(estimator, plan.X, d2)
        own = np.asarray(getattr(fitted, "train_d2_", d2))  # a law may measure from an estimate of its own
        pvalues = np.array(fitted.train_dist_.sf(own), dtype=np.float64)
        return (fitted, own, pvalues), time.perf_counter() - start

    try:
        with _prefixed_notes(f"{pair.scatter} x {entry.name}"):
            (null, score, pvalues), more = _timed(judge, _REPEAT_NULL_BELOW)
            pair.seconds = took + more
    except Exception as error:
        pair.reason, pair.failed = _failure(error), True
        return
    if off is not None and not getattr(null, "ranked_", False):  # a rank says that already
        pvalues[off] = 0.0
        score = np.where(off, np.inf, score)
    pair.ranks = bool(getattr(null.train_dist_, "itself", False))
    known = facts(estimator, plan.X)
    pair.pools, pair.shrunk = resamples_outliers(null, known.robust), known.regularized
    level = getattr(null, "level_", plan.alpha)
    pair.flagged = null.flags(pvalues, level) if hasattr(null, "flags") else pvalues <= level
    if plan.outliers is not None:
        pair.auroc = auroc(score, plan.outliers)
        pair.found = _mean(pair.flagged[plan.outliers])
        pair.false_alarms = _mean(pair.flagged[~plan.outliers])


def _predicted(entry: Entry, null: Any, scatter_name: str, n: int, p: int) -> float:
    """Return how many refits a null will need; of the registered number with as many replicates as it has."""
    refits, usual = entry.refits(n, p, scatter_name), seeded(entry, quick=True)
    if hasattr(null, "n_resamples"):
        refits *= null.n_resamples / usual.n_resamples
    return refits


def _mean(flagged: np.ndarray) -> float | None:
    return float(flagged.mean()) if flagged.size else None


def _duration(value: float) -> str:
    return f"{value:.3g} s" if value < 600 else f"{value / 60:.3g} min"


def _failure(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text and isinstance(error, ValueError) else f"{type(error).__name__} {text}".rstrip()


def _measure_agreement(result: Comparison) -> None:
    """Mean Jaccard index of each pair's flagged rows with those of the other scatters.

    Every other scatter has the same weight, whatever the number of its nulls. A majority vote would not do:
    it is empty as soon as half of the scatters flag nothing, and then says nothing about the others. A variant of a
    scatter is not counted among the others, unless there are none: else the numbers of all would depend on whether
    variants are shown.
    """
    for pair in result.ran:
        others: defaultdict[str, list[float]] | dict[str, list[float]] = defaultdict(list)
        for other in result.ran:
            if other.scatter != pair.scatter:
                others[other.scatter].append(jaccard(pair.flagged, other.flagged))  # type: ignore[arg-type]
        others = {name: values for name, values in others.items() if ":" not in name} or others
        if others:
            pair.agreement = float(np.mean([np.mean(values) for values in others.values()]))


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Size of the intersection of two sets of rows over that of their union; 1 when both are empty."""
    union = np.count_nonzero(a | b)
    return 1.0 if union == 0 else np.count_nonzero(a & b) / union


def auroc(score: FloatArray, positive: np.ndarray) -> float | None:
    """Probability that a marked row has a larger score than another row; ties count one half."""
    from scipy.stats import rankdata

    n1 = int(np.count_nonzero(positive))
    n0 = positive.size - n1
    if n1 == 0 or n0 == 0:
        return None
    return float((rankdata(score)[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def warm(names: Iterable[str], *, wide: bool = False) -> None:
    """Fit each scatter on a small table, so that the timings hold no compilation and no imports.

    A table with more columns than rows takes other routes, which `wide` warms.
    """
    X = np.random.default_rng(0).normal(size=(6, 12) if wide else (600, 3))  # 600 rows: on all threads
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            few = {"n_components": 2} if ":" in name else {}  # a sketch would refuse its usual number
            try:
                seeded(scatters[name], quick=True).set_params(**few).fit(X).mahalanobis(X)
            except Exception:  # the real fit will tell
                continue
