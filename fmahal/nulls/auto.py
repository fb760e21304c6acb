"""Which law null="auto" means for which estimator: one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from .._registry import nulls
from .._typing import ArrayLike
from ..exceptions import CalibrationWarning
from ..scatter import facts as scatter_facts
from ..scatter import resolve
from ..scatter._resolve import inner_of, is_sketch
from ._auto_rules import FEWEST_ROWS, RULES, Case, is_plane
from ._cases import exact_case
from ._sketches import sketch_weights
from .base import BaseNull, training_facts, warn_caller
from .exact import ChiSquareNull
from .weighted_chi2 import WeightedChiSquareNull


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
    rows = [{"estimator": r.estimator, "condition": r.condition, "law": r.law} for r in RULES]
    return [
        *rows,
        {
            "estimator": "anything else",
            "condition": "",
            "law": "ChiSquareNull (SpectralFilter, Sketched: WeightedChiSquareNull), with a CalibrationWarning",
        },
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
        Level of one row for which a law by refits should be good: it decides their number, and, where it is far
        below 1 / n, their kind.

    Returns
    -------
    null : BaseNull
        By the first line of `auto_table` that applies: an exact law for the sample covariance and for known
        parameters, `RobustNull` for our `MinCovDet`, a parametric bootstrap for other robust scatters, a bootstrap for
        everything else; where that would take long, `ConformalNull` for a sketch, if half of the rows resolve the
        level, else `WeightedChiSquareNull` for a spectral filter or a sketch and `ChiSquareNull` for others.

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
    if is_sketch(scatter):
        facts = scatter_facts(inner_of(scatter), X)
    case = Case(estimator, space, scatter, facts, exact, why, int(np.size(scatter.location_)), alpha)
    for rule in RULES:
        if rule.applies(case):
            return rule.null(case)
    warn_caller(_approximate(case), CalibrationWarning)
    if is_sketch(scatter):
        return WeightedChiSquareNull(sketch_weights(scatter))
    return WeightedChiSquareNull() if _has_weights(case) else ChiSquareNull()


def _has_weights(case: Case) -> bool:
    return is_sketch(case.scatter) or getattr(case.scatter, "null_weights_", None) is not None


def _approximate(case: Case) -> str:
    """Return why chi-square, what it means, and the ways out."""
    n, rank, few = case.facts.n_samples, case.facts.rank, ""
    weighted = _has_weights(case)
    law, name = f"chi-square law with df = {rank}", "'chi2'"
    if weighted:
        law, name = "law of weighted sums of chi-square variables", "WeightedChiSquareNull()"
        if is_sketch(case.scatter):
            name = "WeightedChiSquareNull(scatter.singular_values_ ** 2), with scatter the fitted sketch,"
    sketched = is_sketch(case.scatter)
    if n < 5 * rank and (sketched or not weighted):
        few = " With so few rows for so many columns they say nothing: " + (
            "most rows that the estimate does not rest on are flagged, clean ones too, and so may be most new rows."
            if case.facts.robust
            else "hardly any training row can be flagged, and most new rows may be."
        )
    if is_plane(case):
        ways = ""
    elif n < FEWEST_ROWS:
        ways = f" {n} rows are too few for a resampled law."
    else:
        ways = (
            " A resampled law would take minutes here and is left to those who ask for it: null='bootstrap', or "
            "null='conformal', which refits less often."
        )
    if sketched and not is_plane(case):
        ways += (
            " ConformalNull('split') is valid for new rows whatever their law; of half of the rows, its smallest "
            f"p-value is {1 / (n // 2 + 1):.2g}."
        )
    instead = ", or use EmpiricalCovariance, which is not robust but whose p-values are exact for normal rows"
    return (
        f"The p-values are approximate: {case.why}. They come from the {law}, the law "
        f"of normal rows when location and covariance are known.{few}{ways} Read them as a "
        f"ranking{instead if n > rank + 1 else ''}. null={name} accepts the approximation and "
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
        ``"auto"``, another registered name such as ``"chi2"`` or ``"bootstrap"``, which is given ``random_state=0``
        where it draws, or a null, which is cloned.
    estimator : fitted scatter or Pipeline that ends in one
        The estimator that gives the distances.
    X : array-like of shape (n_samples, n_features)
        The training rows.
    alpha : float, default=0.01
        Level of one row, for ``"auto"``; see `select_null`.

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
    null = _named(spec) if isinstance(spec, str) else clone(spec, safe=False)
    return select_null(estimator, X, alpha=alpha) if isinstance(null, AutoNull) else null


def _named(name: str) -> Any:
    """Return a null by its name; one that draws gives the same law every time."""
    null = nulls[name].factory()
    if "random_state" in null.get_params(deep=False):
        null.set_params(random_state=0)
    return null


def check_null(spec: Any) -> None:
    """Raise what `resolve_null` would raise about `spec`, before anything costly has been fitted."""
    if isinstance(spec, str):
        nulls[spec]  # raises a ValueError that lists the names
    elif isinstance(spec, type) or not hasattr(spec, "fit"):
        raise TypeError(
            f"null must be one of {', '.join(map(repr, nulls.names()))} or an object such as ChiSquareNull(), "
            f"got {spec!r}."
        )
