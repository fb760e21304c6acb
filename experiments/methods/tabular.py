"""What only tables of real outliers are asked about: neighbours, mixtures, and an inverse without a rule for the rank.

Neighbours and mixtures are the answer where clean rows have several modes. The space of the neighbours is a scatter in
front of them: none for Euclidean distances, the plain covariance for fully whitened coordinates, and the one that
chooses how far to whiten from the training rows.
"""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

from fmahal import EmpiricalCovariance
from fmahal.scatter import PartialWhitening

from .._spec import method

ROLES = ("tabular",)


class InverseCovariance(BaseEstimator):
    """The sample covariance through `numpy.linalg.inv`: what distances are worth without a rule for the rank."""

    def fit(self, X: np.ndarray, y: Any = None) -> "InverseCovariance":
        """Estimate; a covariance with a zero pivot is a `LinAlgError`."""
        self.location_ = X.mean(axis=0)
        self.precision_ = np.linalg.inv(np.cov(X.T, ddof=0))
        return self

    def mahalanobis(self, X: np.ndarray) -> np.ndarray:
        """Return squared distances, whatever sign rounding gives them."""
        centred = X - self.location_
        return np.einsum("ij,ij->i", centred @ self.precision_, centred)


class ChosenMixture(BaseEstimator):
    """A mixture of normal laws with the number of components that BIC prefers.

    Components need ten rows for each column, so that one is all that few rows can have.
    """

    def __init__(self, components: tuple[int, ...] = (1, 2, 4, 8), random_state: int | None = None):
        self.components = components
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: Any = None) -> "ChosenMixture":
        """Fit each number of components and keep the best."""
        n, p = X.shape
        numbers = [k for k in self.components if k == 1 or n >= 10 * k * p]
        fits = [GaussianMixture(k, reg_covar=1e-3, random_state=self.random_state).fit(X) for k in numbers]
        self.mixture_ = min(fits, key=lambda fit: fit.bic(X))
        self.n_components_ = self.mixture_.n_components
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        """Return log densities."""
        return self.mixture_.score_samples(X)


method(
    "inverse",
    lambda seed: InverseCovariance(),
    roles=ROLES,
    label="covariance, no rank rule",
    package="numpy",
)
method(
    "neighbours",
    lambda seed: NearestNeighbors(n_neighbors=5),
    roles=ROLES,
    label="5 neighbours, Euclidean",
    package="scikit-learn",
)
method(
    "neighbours-whitened",
    lambda seed: make_pipeline(EmpiricalCovariance(), NearestNeighbors(n_neighbors=5)),
    roles=ROLES,
    label="5 neighbours, whitened",
)
method(
    "neighbours-partly",
    lambda seed: make_pipeline(PartialWhitening(random_state=seed), NearestNeighbors(n_neighbors=5)),
    roles=ROLES,
    label="5 neighbours, partly whitened",
)
method(
    "mixture",
    lambda seed: make_pipeline(EmpiricalCovariance(), ChosenMixture(random_state=seed)),
    roles=ROLES,
    label="normal mixture, whitened",
)
