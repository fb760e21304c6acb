"""Outlying curves: the detector with a default for functional data."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from ..scatter import RobustSpectralFilter
from ..spaces import L2Space
from .detector import MahalanobisDetector


class FunctionalOutlierDetector(MahalanobisDetector):
    r"""Calibrated detection of outlying curves.

    .. math:: d^2(x) = \lVert W \phi(x - m) \rVert^2, \qquad \text{p-value} = 1 - F_0(d^2)

    with :math:`\phi` the coordinates of a curve in a Hilbert space, in which the dot product is the inner product of
    functions. It is `MahalanobisDetector` with a robust default for curves; everything else about it is said there.

    Parameters
    ----------
    estimator : FunctionalMahalanobis, scatter or Pipeline that ends in one, optional
        What measures the distances; filters and spaces are set on it. By default
        ``make_pipeline(L2Space(), RobustSpectralFilter())``: the ridge filter of the three quarters of the curves that
        agree best and of all others near them. It sees the whole curves, directions included in which regular curves
        hardly vary; a quarter of the curves may be outliers.
    null : str or null, default="auto"
        The law of squared distances when no curve is an outlier, as in `MahalanobisDetector`.
    alpha : float, default=0.01
        Level, between 0 and 1: the share of clean curves that is called outlying, by the default law for curves that
        are Gaussian; of others more, see `RobustSpectralNull`. It has nothing to do with the
        regularisation ``alpha`` of `FunctionalMahalanobis`.
    simultaneous : bool, default=False
        Whether `alpha` is the probability that any of n clean curves is called outlying.

    Attributes
    ----------
    estimator_ : Pipeline
        The fitted estimator: a space, perhaps further steps, and a scatter.
    null_ : null
        The fitted law, with `train_dist_` and `new_dist_`.
    d2_ : ndarray of shape (n_samples,)
        Squared distances of the training curves. By the default law each is from a fit without its curve, so that it
        differs from ``mahalanobis(X)``, the distance from the fit to all curves, of which
        `fmahal.functional_contributions` gives the parts.
    pvalues_ : ndarray of shape (n_samples,)
        Their p-values.
    labels_ : ndarray of shape (n_samples,)
        -1 for training curves with a p-value of at most `level_`, else 1.
    level_, cutoff_, train_cutoff_, cutoff_se_, offset_ : float
        As in `MahalanobisDetector`.
    contribution_names_ : ndarray of shape (n_coordinates,)
        Names of the coordinates; along time see `fmahal.functional_contributions`.
    n_samples_ : int
        Number of training curves.
    n_features_in_ : int
        Number of grid points, for arrays only.

    Raises
    ------
    ValueError
        For NaN in a curve (which curve, which t), other grids than in the fit, `alpha` outside (0, 1) and an unknown
        `null`.

    Warns
    -----
    CalibrationWarning, ExactFitWarning, AmbiguousFitWarning
        As `MahalanobisDetector`.

    See Also
    --------
    MahalanobisDetector : the same for rows of a table.
    FunctionalMahalanobis : distances of curves by a spectral filter.
    functional_contributions : which part of the domain makes a curve an outlier.

    Notes
    -----
    `X` is an FDataGrid, an FDataBasis, or an array of shape (n_samples, n_grid_points), whose grid is equally spaced
    unless the estimator says otherwise: ``make_pipeline(L2Space(grid_points=t), RobustSpectralFilter())``.

    For n curves on T points the default costs O(n T min(n, T)) time for a fit, and a hundred fits or more for its law.

    References
    ----------
    .. [1] Ghiglietti, A., Ieva, F. and Paganoni, A. M. (2017). Statistical inference for stochastic processes:
       two-sample hypothesis tests. Journal of Statistical Planning and Inference 180, 49-68.
       DOI 10.1016/j.jspi.2016.08.004
    .. [2] Berrendero, J. R., Bueno-Larraz, B. and Cuevas, A. (2020). On Mahalanobis distance in functional settings.
       Journal of Machine Learning Research 21(9), 1-33. https://jmlr.org/papers/v21/18-156.html

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import FunctionalOutlierDetector
    >>> steps = np.random.default_rng(0).normal(size=(60, 30)) / np.sqrt(30)
    >>> X = np.cumsum(steps, axis=1)  # Brownian motion
    >>> X[7, 12:15] += 3.0  # a short peak
    >>> detector = FunctionalOutlierDetector(alpha=0.001).fit(X)
    >>> np.flatnonzero(detector.labels_ == -1)
    array([7])
    """

    def _default_estimator(self, X: Any) -> Pipeline:
        return Pipeline([("space", L2Space()), ("scatter", RobustSpectralFilter())])
