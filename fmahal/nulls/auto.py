"""Which law null="auto" means for which estimator: one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from .._registry import nulls
from .._typing import ArrayLike
from ..exceptions import CalibrationWarning
from ..scatter import BaseScatter, ScatterFacts, resolve
from ._cases import exact_case, space_is_fixed, space_keeps_law
from ._moment_bootstrap import fast_moments
from .base import BaseNull, training_facts, warn_caller
from .exact import ChiSquareNull, NormalTheoryNull
from .resampling import BootstrapNull
from .robust import RobustNull, chosen_by_auto, is_degenerate, is_mcd

_FEWEST_ROWS = 10  # below, a tenth of the rows is none
_REFERENCES = 20  # pooled distances for every one beyond the cut-off
_LEAST, _MOST = 10, 100  # refits, where an estimator is fitted again from the start
_PATIENCE = 30.0  # seconds that the refits may take by the estimate below

# Predicted time of a fit of n rows and p columns on one core: a start in milliseconds, and nanoseconds for each of the
# n p min(n, p) products, for n >= p and for p > n. Constants measured once, so that no choice depends on the clock.
_FIT_TIMES = {
    "mcd": (10.0, 700.0, 700.0),
    "mcd, another's": (80.0, 30_000.0, 30_000.0),
    "mrcd": (4.0, 100.0, 6.0),
    "ogk": (3.0, 160.0, 160.0),
    "wrapped": (1.0, 6.0, 4.0),
    "modified-cholesky": (80.0, 100.0, 200.0),
    "other": (20.0, 50.0, 50.0),
}


class Case(NamedTuple):
    """What the table looks at: a fitted estimator, its parts and its facts."""

    estimator: Any
    space: Any
    scatter: Any
    facts: ScatterFacts
    exact: str | None  # the case in which a law is known in closed form
    why: str  # why none is
    p: int
    alpha: float


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
    return case.exact is not None


def _has_robust_law(case: Case) -> bool:
    return chosen_by_auto(case.scatter, case.facts) and space_keeps_law(case.space)


def _is_plane(case: Case) -> bool:
    """Tell whether the rows that made a robust estimate lie on a hyperplane, which no resample of them leaves."""
    plane = getattr(case.scatter, "exact_fit_", None) is not None
    return plane or (is_mcd(case.scatter) and is_degenerate(case.scatter, case.facts))


def _is_parametric(case: Case) -> bool:
    keeps = space_is_fixed(case.space) or (space_keeps_law(case.space) and _ignores_units(case.scatter))
    return (
        case.facts.robust and keeps and not _is_plane(case) and _in_time(case, _parametric_replicates(case))
    )


def _is_resampled(case: Case) -> bool:
    if case.facts.n_samples < _FEWEST_ROWS or _is_plane(case):
        return False
    return _is_fast(case) or _in_time(case, 2 * _replicates(case))


def _is_fast(case: Case) -> bool:
    return space_is_fixed(case.space) and fast_moments(case.scatter)


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
    n, p = case.facts.n_samples, case.p
    kind = case.facts.kind
    if kind == "mcd" and not isinstance(case.scatter, BaseScatter):
        kind = "mcd, another's"
    start, tall, wide = _FIT_TIMES.get(kind, _FIT_TIMES["other"])
    seconds = 1e-3 * start + 1e-9 * (tall if n >= p else wide) * n * p * min(n, p)
    return fits * seconds <= _PATIENCE


def _parametric(case: Case) -> BaseNull:
    return BootstrapNull(_parametric_replicates(case), kind="parametric", random_state=0)


def _resampled(case: Case) -> BaseNull:
    if _is_fast(case):
        return BootstrapNull(random_state=0)
    return BootstrapNull(_replicates(case), random_state=0)


_RULES = (
    Rule(
        "FixedScatter",
        "location and covariance given",
        "ChiSquareNull",
        _is_known,
        lambda case: ChiSquareNull(),
    ),
    Rule(
        "EmpiricalCovariance, ours or scikit-learn's; FixedScatter with the mean and a given covariance",
        "n > rank + 1; steps before it fixed, or only shift and scale columns",
        "NormalTheoryNull",
        _is_exact,
        lambda case: NormalTheoryNull(),
    ),
    Rule(
        "MinCovDet",
        "no exact fit; up to 40 columns, or a simulation of at most 500 000 products a fit; steps before it fixed, "
        "or only shift and scale columns",
        "RobustNull",
        _has_robust_law,
        lambda case: RobustNull(),
    ),
    Rule(
        "MRCD, OGK, WrappedCovariance, any other robust scatter",
        "no exact fit; steps before it fixed, or only shift and scale columns; refits within half a minute "
        "by a fixed estimate",
        'BootstrapNull(kind="parametric") with 20 / alpha pooled distances, 10 to 100 refits',
        _is_parametric,
        _parametric,
    ),
    Rule(
        "LedoitWolf, OAS, QIS, ShrunkCovariance",
        "at least 10 rows; steps before it fixed",
        "BootstrapNull",
        lambda case: _is_fast(case) and _is_resampled(case),
        _resampled,
    ),
    Rule(
        "any other, and any pipeline whose steps learn from the rows",
        "at least 10 rows; refits within half a minute by a fixed estimate",
        "BootstrapNull of the whole pipeline with 20 / alpha pooled distances, 10 to 100 replicates",
        _is_resampled,
        _resampled,
    ),
)


def auto_table() -> list[dict[str, str]]:
    """Return the table of null="auto" as text: one dictionary a line, the first line that applies being taken.

    Returns
    -------
    rows : list of dict
        With the keys "estimator", "condition" and "law".

    Examples
    --------
    >>> from fmahal.nulls import auto_table
    >>> auto_table()[0]["law"]
    'ChiSquareNull'
    """
    rows = [{"estimator": r.estimator, "condition": r.condition, "law": r.law} for r in _RULES]
    return [
        *rows,
        {"estimator": "anything else", "condition": "", "law": "ChiSquareNull, with a CalibrationWarning"},
    ]


def select_null(estimator: Any, X: ArrayLike, *, alpha: float = 0.01) -> BaseNull:
    """Return the unfitted null law that suits a fitted estimator.

    Parameters
    ----------
    estimator : fitted scatter or Pipeline that ends in one
        The estimator that gives the distances.
    X : array-like of shape (n_samples, n_features)
        The training rows, as they were given to `estimator`.
    alpha : float, default=0.01
        Level for which a law by refits should be good: it decides their number.

    Returns
    -------
    null : BaseNull
        By the first line of `auto_table` that applies: an exact law for the sample covariance and for known
        parameters, `RobustNull` for our `MinCovDet`, a parametric bootstrap for other robust scatters, a bootstrap for
        everything else; `ChiSquareNull` where that would take long.

    Warns
    -----
    CalibrationWarning
        When the law only approximates the distances; the message says why and what to do.

    Notes
    -----
    O(1) time and memory, given the rank.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance
    >>> from fmahal.nulls import select_null
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> select_null(EmpiricalCovariance().fit(X), X)
    NormalTheoryNull()
    """
    space, scatter = resolve(estimator)
    facts = training_facts(estimator, X)
    exact, why = exact_case(estimator, facts)
    case = Case(estimator, space, scatter, facts, exact, why, int(np.size(scatter.location_)), alpha)
    for rule in _RULES:
        if rule.applies(case):
            return rule.null(case)
    warn_caller(_approximate(case), CalibrationWarning)
    return ChiSquareNull()


def _approximate(case: Case) -> str:
    """Return why chi-square, what it means, and the ways out."""
    n, rank, few = case.facts.n_samples, case.facts.rank, ""
    if n < 5 * rank:
        few = " With so few rows for so many columns they say nothing: " + (
            "most rows that the estimate does not rest on are flagged, clean ones too, and so may be most new rows."
            if case.facts.robust
            else "hardly any training row can be flagged, and most new rows may be."
        )
    if _is_plane(case):
        ways = ""
    elif n < _FEWEST_ROWS:
        ways = f" {n} rows are too few for a resampled law."
    else:
        ways = (
            " A resampled law would take minutes here and is left to those who ask for it: null='bootstrap', or "
            "null='conformal', which refits less often."
        )
    instead = ", or use EmpiricalCovariance, which is not robust but whose p-values are exact for normal rows"
    return (
        f"The p-values are approximate: {case.why}. They come from the chi-square law with df = {rank}, the law "
        f"of normal rows when location and covariance are known.{few}{ways} Read them as a "
        f"ranking{instead if n > rank + 1 else ''}. null='chi2' accepts the approximation and "
        "silences this warning."
    )


@nulls.register("auto", "The law that suits the estimator", order=0, cost=lambda n, p: 0)
class AutoNull(BaseNull):
    """The law that `select_null` picks for the estimator, behind the interface of a null.

    Attributes
    ----------
    null_ : BaseNull
        The fitted law that was picked.
    train_dist_, new_dist_ : frozen distribution
        Its two laws of squared distances.

    Warns
    -----
    CalibrationWarning
        When the law only approximates the distances.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance
    >>> from fmahal.nulls import AutoNull
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> scatter = EmpiricalCovariance().fit(X)
    >>> AutoNull().fit(scatter, X, scatter.mahalanobis(X)).null_
    NormalTheoryNull()
    """

    def fit(self, estimator: Any, X: ArrayLike, d2: Any) -> AutoNull:
        """Pick the law and fit it.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances.
        X : array-like of shape (n_samples, n_features)
            The training rows.
        d2 : ndarray of shape (n_samples,)
            Their squared distances.

        Returns
        -------
        self : AutoNull
            The fitted law.
        """
        self.null_ = select_null(estimator, X).fit(estimator, X, d2)
        self.train_dist_, self.new_dist_ = self.null_.train_dist_, self.null_.new_dist_
        return self


def resolve_null(spec: Any, estimator: Any, X: ArrayLike, *, alpha: float = 0.01) -> Any:
    """Return the unfitted null that `spec` means for a fitted estimator.

    Parameters
    ----------
    spec : str or null
        ``"auto"``, another registered name such as ``"chi2"`` or ``"normal"``, or a null, which is cloned.
    estimator : fitted scatter or Pipeline that ends in one
        The estimator that gives the distances.
    X : array-like of shape (n_samples, n_features)
        The training rows.
    alpha : float, default=0.01
        Level, for ``"auto"``; see `select_null`.

    Returns
    -------
    null : BaseNull
        An unfitted null.

    Raises
    ------
    ValueError
        When the name is not registered; the message lists the names.
    TypeError
        When `spec` is neither a name nor an object with ``fit``.

    Warns
    -----
    CalibrationWarning
        When ``"auto"`` finds only an approximation.

    Notes
    -----
    O(1) time and memory, given the rank.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance
    >>> from fmahal.nulls import resolve_null
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> resolve_null("chi2", EmpiricalCovariance().fit(X), X)
    ChiSquareNull()
    """
    check_null(spec)
    null = nulls[spec].factory() if isinstance(spec, str) else clone(spec, safe=False)
    return select_null(estimator, X, alpha=alpha) if isinstance(null, AutoNull) else null


def check_null(spec: Any) -> None:
    """Raise what `resolve_null` would raise about `spec`, before anything costly has been fitted."""
    if isinstance(spec, str):
        nulls[spec]  # raises a ValueError that lists the names
    elif isinstance(spec, type) or not hasattr(spec, "fit"):
        raise TypeError(
            f"null must be one of {', '.join(map(repr, nulls.names()))} or an object such as ChiSquareNull(), "
            f"got {spec!r}."
        )
