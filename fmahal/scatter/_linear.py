"""What the linear shrinkage estimators share."""

from __future__ import annotations

from typing import ClassVar

from .._typing import ArrayLike
from ._moments import DualMoments, PrimalMoments, Route, second_moments
from .base import BaseScatter


class LinearShrinkage(BaseScatter):
    """Location and (1 - s) S + s (tr S / p) I; subclasses choose s, or the two weights."""

    regularized: ClassVar[bool] = True
    equivariances: ClassVar[frozenset[str]] = frozenset({"translation", "permutation", "orthogonal", "scale"})
    _route: Route = None  # tests force one

    store_precision: bool
    assume_centered: bool
    shrinkage_: float

    def _fit_shrunk(self, X: ArrayLike) -> None:
        self._check_flags("store_precision", "assume_centered")
        self._check_parameters()
        rows = self._training_rows(X)
        moments = second_moments(rows, centred=not self.assume_centered, route=self._route)
        weight, ridge = self._weights(moments)
        whitener, covariance = moments.whitener(weight, ridge * moments.invariants.trace / moments.p)
        self._store(moments.location, whitener, moments.n, covariance=covariance)
        self._warn_rank(moments)

    def _check_parameters(self) -> None:
        """Check the parameters that only the subclass has."""

    def _weights(self, moments: PrimalMoments | DualMoments) -> tuple[float, float]:
        """Return the weights of S and of (tr S / p) I; here the convex pair."""
        self.shrinkage_ = self._intensity(moments)
        return 1.0 - self.shrinkage_, self.shrinkage_

    def _intensity(self, moments: PrimalMoments | DualMoments) -> float:
        raise NotImplementedError
