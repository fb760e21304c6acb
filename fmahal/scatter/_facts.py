"""What a law of distances has to know about the estimator that made them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sklearn import covariance as sk
from sklearn.utils.validation import _num_samples

from .._typing import ArrayLike
from ..whitener import Whitener
from ._resolve import inner_of, is_sketch
from ._streaming import is_weighted
from .base import BaseScatter
from .fixed import FixedScatter
from .mcd import MinCovDet

_SKLEARN_KINDS = {
    sk.EmpiricalCovariance: "empirical",
    sk.LedoitWolf: "ledoit-wolf",
    sk.OAS: "oas",
    sk.ShrunkCovariance: "shrunk",
    sk.MinCovDet: "mcd",
    MinCovDet: "mcd",
    sk.EllipticEnvelope: "mcd",
}
_SKLEARN_REGULARIZED = (
    sk.LedoitWolf,
    sk.OAS,
    sk.ShrunkCovariance,
    sk.GraphicalLasso,
    sk.GraphicalLassoCV,
)


@dataclass(frozen=True)
class ScatterFacts:
    """Facts of a fitted scatter.

    Attributes
    ----------
    n_samples : int
        Training rows.
    rank : int
        Dimension of the subspace on which distances are defined.
    ddof : int
        The divisor of the covariance is ``n_samples - ddof``.
    assume_centered : bool
        Whether the location was known and not estimated.
    kind : str
        Registered name ("empirical", "mcd", "ledoit-wolf", ...), "fixed", "sketched", or "other".
    regularized : bool
        Whether distances exist for more columns than rows.
    robust : bool
        Whether some rows count for less than others by their distance.
    effective_n_samples : float or None
        Rows of equal weight whose mean varies as much, when rows have unequal weights, as by forgetting; else None.
    """

    n_samples: int
    rank: int
    ddof: int
    assume_centered: bool
    kind: str
    regularized: bool
    robust: bool
    effective_n_samples: float | None = None


def facts(estimator: Any, X: ArrayLike | None = None) -> ScatterFacts:
    """Return the facts of a fitted scatter, ours, scikit-learn's or of anybody.

    Parameters
    ----------
    estimator : fitted scatter
        Not a pipeline: see `resolve`.
    X : array-like of shape (n_samples, n_features), optional
        Training rows; only their number is used, for estimators that do not record it.

    Returns
    -------
    facts : ScatterFacts
        The facts; of a sketch those of the scatter under it, with kind "sketched".

    Raises
    ------
    ValueError
        When the estimator does not record its number of rows and `X` is missing.

    Notes
    -----
    O(1) for our estimators. For others the rank costs a Cholesky factorisation of the covariance, O(p^3).
    """
    if getattr(estimator, "scatter_kind", None) == "sketched":
        inner = facts(inner_of(estimator), X)
        return replace(inner, kind="sketched") if is_sketch(estimator) else inner
    if isinstance(estimator, BaseScatter):
        known = isinstance(estimator, FixedScatter) and estimator.location_is_known
        return ScatterFacts(
            n_samples=estimator.n_samples_,
            rank=estimator.rank_,
            ddof=estimator.ddof_,
            assume_centered=known or bool(getattr(estimator, "assume_centered", False)),
            kind=estimator.scatter_kind,
            regularized=estimator.regularized,
            robust=estimator.robust,
            effective_n_samples=estimator.effective_n_samples_ if is_weighted(estimator) else None,
        )
    if X is None:
        raise ValueError(
            f"{type(estimator).__name__} does not record its number of rows: pass the training rows."
        )
    n = int(_num_samples(X))
    kind = _SKLEARN_KINDS.get(type(estimator), "other")
    return ScatterFacts(
        n_samples=n,
        rank=_rank(estimator, n),
        ddof=0,
        assume_centered=bool(getattr(estimator, "assume_centered", False)),
        kind=kind,
        regularized=isinstance(estimator, _SKLEARN_REGULARIZED)
        or bool(getattr(estimator, "regularized", False)),
        robust=isinstance(estimator, sk.MinCovDet) or bool(getattr(estimator, "robust", False)),
    )


def _rank(estimator: Any, n: int) -> int:
    covariance = getattr(estimator, "covariance_", None)
    if covariance is None:
        return Whitener.from_precision(estimator.get_precision()).rank
    return Whitener.from_covariance(covariance, n_samples=n).rank
