"""A scatter that is given, about a location that is given or simple."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .._typing import ArrayLike, FloatArray, Location
from .._validation import as_symmetric, as_vector
from ..exceptions import RankDeficientWarning
from ..whitener import Whitener
from ._location import spatial_median
from ._moments import column_means
from .base import BaseScatter


def _mean(X: FloatArray) -> FloatArray:
    origin = column_means(X)
    return origin + column_means(X, origin)


def _median(X: FloatArray) -> FloatArray:
    return np.median(X, axis=0).astype(np.float64)


LOCATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "mean": _mean,
    "median": _median,
    "spatial-median": spatial_median,
}


class FixedScatter(BaseScatter):
    r"""Any location with any given scatter; without a matrix, the identity.

    .. math:: d^2(x) = (x - m)^\top \Sigma^{-1} (x - m) \quad\text{with } \Sigma \text{ known}

    Parameters
    ----------
    location : {"mean", "median", "spatial-median"}, array-like of shape (n_features,) or callable, default="mean"
        The centre m: estimated from the rows by name ("median" is component by component), by a function that
        takes the (n, p) rows and returns (p,), or a known vector.
    covariance : array-like of shape (n_features, n_features), optional
        The known covariance, in squared units.
    precision : array-like of shape (n_features, n_features), optional
        Its inverse.
    factor : array-like of shape (n_features, n_features), optional
        The lower triangular L with covariance L L'.
    whitener : Whitener, optional
        A whitener made before. At most one of the four is given; with none the covariance is the identity and
        squared distances are squared Euclidean distances in the units of the data.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The centre m.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, formed on first use unless it was given.
    precision_ : ndarray of shape (n_features, n_features)
        Its inverse (on its range when it is singular), formed on first use.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        Dimension of the subspace on which distances are defined.
    n_samples_ : int
        Rows seen; one suffices.
    ddof_ : int
        0, and without meaning: the covariance is known, no divisor is involved.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For more than one matrix, a matrix or location of another size than the rows, an unknown location, NaN,
        infinity or text.
    NotPositiveDefiniteError
        When the matrix has a negative eigenvalue beyond rounding.

    Warns
    -----
    RankDeficientWarning
        When a given covariance, precision or factor is singular.

    Notes
    -----
    O(p^3) time for a matrix, O(n p) for the mean, O(n p log n) for the median; see `spatial_median` for the other.
    Without a matrix, O(p) memory. The class declares no equivariance: it has those of its parameters.

    References
    ----------
    .. [1] Mahalanobis, P. C. (1936). On the generalised distance in statistics. Proceedings of the National
       Institute of Sciences of India 2, 49-55. Reprint: :doi:`10.1007/s13171-019-00164-5`

    Examples
    --------
    >>> from fmahal import FixedScatter
    >>> scatter = FixedScatter("median", covariance=[[4.0, 0.0], [0.0, 1.0]])
    >>> scatter.fit([[0.0, 0.0], [1.0, 1.0], [50.0, 9.0]]).location_
    array([1., 1.])
    >>> scatter.mahalanobis([[3.0, 2.0]])
    array([2.])
    """

    regularized: ClassVar[bool] = True  # the matrix is known: no number of rows is too small
    scatter_kind: ClassVar[str] = "fixed"

    def __init__(
        self,
        location: str | Location = "mean",
        *,
        covariance: ArrayLike | None = None,
        precision: ArrayLike | None = None,
        factor: ArrayLike | None = None,
        whitener: Whitener | None = None,
    ):
        self.location = location
        self.covariance = covariance
        self.precision = precision
        self.factor = factor
        self.whitener = whitener

    def fit(self, X: ArrayLike, y: Any = None) -> FixedScatter:
        """Find the location and factor the given matrix.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored.

        Returns
        -------
        self : FixedScatter
            The fitted estimator.
        """
        rows = self._training_rows(X, min_samples=1)
        n, p = rows.shape
        whitener, kept = self._given(p)
        self._store(self._find_location(rows), whitener, n, covariance=kept)
        if self.whitener is None and self.rank_ < p:
            warnings.warn(
                f"FixedScatter: the given matrix has rank {self.rank_} of {p}. Distances are taken on its range, and "
                "`residual` measures what lies outside it.",
                RankDeficientWarning,
                stacklevel=2,
            )
        return self

    @property
    def location_is_known(self) -> bool:
        """Whether `location` is a vector, not an estimate from the rows."""
        return not (isinstance(self.location, str) or callable(self.location))

    def _given(self, p: int) -> tuple[Whitener, FloatArray | None]:
        names = ("covariance", "precision", "factor", "whitener")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"Pass at most one of {', '.join(names)}; got {' and '.join(given)}.")
        if not given:
            return Whitener.from_eigh(np.zeros(0), np.zeros((p, 0)), ridge=1.0), None
        name, value = given[0], getattr(self, given[0])
        kept = None
        if name == "whitener":
            if not isinstance(value, Whitener):
                raise ValueError(f"whitener must be a fmahal.Whitener, got {type(value).__name__}.")
            whitener = value
        elif name == "covariance":
            kept = as_symmetric(value, "covariance").copy()
            whitener = Whitener.from_covariance(value)
        elif name == "precision":
            whitener = Whitener.from_precision(value)
        else:
            whitener = Whitener.from_cholesky(value)
        if whitener.shape[1] != p:
            raise ValueError(f"{name} is for {whitener.shape[1]} columns, but X has {p} columns.")
        return whitener, kept

    def _find_location(self, rows: FloatArray) -> FloatArray:
        if isinstance(self.location, str):
            if self.location not in LOCATIONS:
                raise ValueError(
                    f"Unknown location {self.location!r}. Pass one of {', '.join(map(repr, LOCATIONS))}, a vector or a "
                    "function of the rows."
                )
            return LOCATIONS[self.location](rows)
        found = self.location(rows) if callable(self.location) else self.location
        return as_vector(found, "location", rows.shape[1]).copy()
