"""The detectors of outlying curves of scikit-fda, at their own defaults.

They take functions, and so get the rows as curves on an equally spaced grid. Without scikit-fda they are not there.
"""

import importlib.util

import numpy as np
from scipy import stats
from sklearn.base import BaseEstimator

from .._spec import method
from .curves import LEVEL


def as_curves(X):
    """Return rows as functions on [0, 1]."""
    import skfda

    return skfda.FDataGrid(X, np.linspace(0.0, 1.0, X.shape[1]))


class CurveDetector(BaseEstimator):
    """A detector of `skfda.exploratory.outliers`, by its name and parameters, for the rows of an array."""

    def __init__(self, detector, parameters):
        self.detector, self.parameters = detector, parameters

    def fit(self, X, y=None):
        """Set labels_: -1 for outlying rows."""
        from skfda.exploratory import outliers

        found = getattr(outliers, self.detector)(**self.parameters).fit_predict(as_curves(X))
        self.labels_ = np.asarray(found).ravel()
        return self


class DistanceToTheMean(BaseEstimator):
    """scikit-fda's distance to the mean, which is squared, against the chi-square law of its components."""

    def __init__(self, n_components=10, alpha=LEVEL):
        self.n_components, self.alpha = n_components, alpha

    def fit(self, X, y=None):
        """Set labels_: -1 for rows beyond the quantile."""
        from skfda.misc.metrics import MahalanobisDistance

        curves = as_curves(X)
        d2 = MahalanobisDistance(n_components=self.n_components).fit(curves)(curves, curves.mean())
        self.labels_ = np.where(np.ravel(d2) > stats.chi2.isf(self.alpha, self.n_components), -1, 1)
        return self


def _peer(name, make):
    about = {"roles": ("curves",), "package": "scikit-fda", "options": {"often": True}}
    method(f"skfda-{name}", make, label=f"scikit-fda {name}", **about)


if importlib.util.find_spec("skfda"):
    _peer("boxplot", lambda seed: CurveDetector("BoxplotOutlierDetector", {}))
    _peer("msplot", lambda seed: CurveDetector("MSPlotOutlierDetector", {"random_state": seed}))
    _peer("lof", lambda seed: CurveDetector("LocalOutlierFactor", {}))
    _peer("mahalanobis", lambda seed: DistanceToTheMean())
