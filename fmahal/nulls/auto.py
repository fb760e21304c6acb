"""Which law null="auto" means for which estimator: one table."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from .._registry import nulls
from .._typing import ArrayLike
from ..exceptions import CalibrationWarning
from ..scatter import resolve
from ._cases import exact_case, space_keeps_law
from .base import BaseNull, training_facts, warn_caller
from .exact import ChiSquareNull, NormalTheoryNull
from .robust import RobustNull, chosen_by_auto

# Estimators whose law under normality is known. Our MinCovDet has a simulated law, `RobustNull`; every other one gets
# the chi-square law and a warning.
#
#   estimator                                               case                law
_EXACT: dict[str, type[BaseNull]] = {
    # EmpiricalCovariance                                   sample              Beta and F
    # EmpiricalCovariance(assume_centered=True)             known-location      Beta and F
    # FixedScatter("mean", covariance=...)                  known-covariance    scaled chi-square
    # FixedScatter(location, covariance=...)                known               chi-square
    "sample": NormalTheoryNull,
    "known-location": NormalTheoryNull,
    "known-covariance": NormalTheoryNull,
    "known": ChiSquareNull,
}


def select_null(estimator: Any, X: ArrayLike) -> BaseNull:
    """Return the unfitted null law that suits a fitted estimator.

    Parameters
    ----------
    estimator : fitted scatter or Pipeline that ends in one
        The estimator that gives the distances.
    X : array-like of shape (n_samples, n_features)
        The training rows, as they were given to `estimator`.

    Returns
    -------
    null : BaseNull
        `NormalTheoryNull` for the sample covariance, ours or scikit-learn's, and for a known covariance with
        the sample mean; `RobustNull` for our `MinCovDet`, unless half of the rows lie on a hyperplane or its law
        would take minutes to simulate (far more than 40 columns); `ChiSquareNull` for everything else. A pipeline
        keeps the law when its steps are fixed in advance, or only shift and scale columns.

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
    case, reason = exact_case(estimator, facts)
    if case is not None:
        return _EXACT[case]()
    if chosen_by_auto(scatter, facts) and space_keeps_law(space):
        return RobustNull()
    instead = ", or use EmpiricalCovariance, which is not robust but whose p-values are exact for normal rows"
    few = ""
    if facts.n_samples < 5 * facts.rank:
        few = " With so few rows for so many columns they say nothing: " + (
            "most rows that the estimate does not rest on are flagged, clean ones too, and so may be most new rows."
            if facts.robust
            else "hardly any training row can be flagged, and most new rows may be."
        )
    warn_caller(
        f"The p-values are approximate: {reason}. They come from the chi-square law with df = {facts.rank}, the law "
        f"of normal rows when location and covariance are known.{few} Read them as a "
        f"ranking{instead if facts.n_samples > facts.rank + 1 else ''}. null='chi2' accepts the approximation and "
        "silences this warning.",
        CalibrationWarning,
    )
    return ChiSquareNull()


@nulls.register("auto", "The law that suits the estimator, else chi-square", order=0, cost=lambda n, p: 0)
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


def resolve_null(spec: Any, estimator: Any, X: ArrayLike) -> Any:
    """Return the unfitted null that `spec` means for a fitted estimator.

    Parameters
    ----------
    spec : str or null
        ``"auto"``, another registered name such as ``"chi2"`` or ``"normal"``, or a null, which is cloned.
    estimator : fitted scatter or Pipeline that ends in one
        The estimator that gives the distances.
    X : array-like of shape (n_samples, n_features)
        The training rows.

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
    return select_null(estimator, X) if isinstance(null, AutoNull) else null


def check_null(spec: Any) -> None:
    """Raise what `resolve_null` would raise about `spec`, before anything costly has been fitted."""
    if isinstance(spec, str):
        nulls[spec]  # raises a ValueError that lists the names
    elif isinstance(spec, type) or not hasattr(spec, "fit"):
        raise TypeError(
            f"null must be one of {', '.join(map(repr, nulls.names()))} or an object such as ChiSquareNull(), "
            f"got {spec!r}."
        )
