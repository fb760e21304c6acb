"""The null law of those who know what share of the rows are outliers: ranks among the training distances."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .._registry import nulls
from .._typing import ArrayLike, FloatArray
from ._empirical_law import EmpiricalLaw
from .base import BaseNull, check_distances


@nulls.register("empirical", "Ranks among the training distances", order=70, cost=lambda n, p: 0)
class EmpiricalNull(BaseNull):
    r"""Ranks among the squared distances of the training rows.

    .. math::

        p_i = \frac{\#\{j : d^2_j \ge d^2_i\}}{n}, \qquad
        p(x) = \frac{1 + \#\{j : d^2_j \ge d^2(x)\}}{n + 1}

    for a training row and for a new row. Nothing is supposed about the law of the rows, and nothing is learned about
    outliers among them: of n training rows always the share `alpha` is called outlying, clean or not. It is for people
    who come from scikit-learn's ``EllipticEnvelope`` or from pyod, where the user says how many outliers there are.

    With `contamination` the labels are those of ``EllipticEnvelope(contamination=c)``, given the same distances: -1
    where the squared distance is above the upper c-quantile of the training distances, ``numpy.percentile(-d2, 100 c)``
    with its sign changed. This holds for training rows and for new rows, ties included; `alpha` and `simultaneous` of
    the detector have no influence then.

    Parameters
    ----------
    contamination : float, optional
        Share of training rows to call outlying, above 0 and at most 0.5. It is no probability: neither the
        probability that a clean row is called outlying, which nobody knows here, nor a bound of one. By default the
        detector judges the ranks by its `alpha`.

    Attributes
    ----------
    train_dist_ : EmpiricalLaw
        Law of the squared distances of training rows, each of which is one of the references.
    new_dist_ : EmpiricalLaw
        Law of the squared distances of new rows. With `contamination` the cut-off is one more reference, since a new
        row may lie between it and the training distance next to it.
    level_ : float
        With `contamination` only: p-values of at most this belong to the rows called outlying. The detector takes it
        in the place of `alpha`; ``new_dist_.isf(level_)`` is the cut-off.

    Raises
    ------
    ValueError
        When `contamination` is not a number above 0 and at most 0.5, or the cut-off lies among infinite distances.

    Notes
    -----
    A new row is compared with distances from an estimate in which those rows took part, and their distances are
    smaller than those of new rows: for few rows per column its p-values are too small. `ConformalNull` has ranks
    that are p-values. O(n log n) time and O(n) memory.

    References
    ----------
    .. [1] Rousseeuw, P. J. and Van Driessen, K. (1999). A fast algorithm for the minimum covariance determinant
       estimator. Technometrics 41(3), 212-223. DOI 10.1080/00401706.1999.10485670
    .. [2] Zhao, Y., Nasrullah, Z. and Li, Z. (2019). PyOD: a Python toolbox for scalable outlier detection. Journal of
       Machine Learning Research 20(96), 1-7. https://jmlr.org/papers/v20/19-011.html

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.covariance import EllipticEnvelope
    >>> from fmahal import EmpiricalNull
    >>> X = np.random.default_rng(0).normal(size=(105, 3))
    >>> envelope = EllipticEnvelope(contamination=0.1, random_state=0).fit(X)
    >>> null = EmpiricalNull(contamination=0.1).fit(envelope, X, envelope.dist_)
    >>> outlying = null.train_dist_.sf(envelope.dist_) <= null.level_
    >>> bool((outlying == (envelope.predict(X) == -1)).all())
    True
    """

    train_dist_: EmpiricalLaw
    new_dist_: EmpiricalLaw
    level_: float

    def __init__(self, contamination: float | None = None):
        self.contamination = contamination

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> EmpiricalNull:
        """Keep the squared distances of the training rows.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances; not looked at.
        X : array-like of shape (n_samples, n_features)
            The training rows; only their number is looked at.
        d2 : ndarray of shape (n_samples,)
            Their squared distances.

        Returns
        -------
        self : EmpiricalNull
            The fitted law.
        """
        d2 = check_distances(d2, None if X is None else np.shape(X)[0])
        train = EmpiricalLaw(d2, itself=True)
        if self.contamination is None:
            self.train_dist_, self.new_dist_ = train, EmpiricalLaw(d2)
            self.__dict__.pop("level_", None)  # of an earlier fit
            return self
        cutoff = _envelope_cutoff(d2, _checked(self.contamination))
        n, outlying = d2.size, int(np.count_nonzero(d2 > cutoff))
        # p-values of at most k / n, and of at most (1 + k) / (n + 2), are those of distances above the cut-off: the
        # larger of the two is smaller than both next steps, (k + 1) / n and (2 + k) / (n + 2).
        level = max(outlying / n, (1 + outlying) / (n + 2))
        self.train_dist_, self.new_dist_ = train, EmpiricalLaw(np.append(d2, cutoff))
        self.level_ = level
        return self


def _checked(contamination: Any) -> float:
    if (
        isinstance(contamination, bool | np.bool_)
        or not isinstance(contamination, Real)
        or not 0 < float(contamination) <= 0.5
    ):
        raise ValueError(
            f"contamination must be a number above 0 and at most 0.5, got {contamination!r}. It is the share of "
            "training rows to call outlying, for example 0.05; None judges their ranks by the level of the detector."
        )
    return float(contamination)


def _envelope_cutoff(d2: FloatArray, contamination: float) -> float:
    """Return the cut-off of scikit-learn, to the last bit."""
    with np.errstate(invalid="ignore"):
        cutoff = -float(np.percentile(-d2, 100.0 * contamination))
    if not np.isfinite(cutoff):
        raise ValueError(
            f"The cut-off for contamination={contamination:.6g} lies among infinite distances: {np.isinf(d2).sum()} of "
            f"{d2.size} training rows are infinitely far from the rest, since they leave its subspace. Pass a larger "
            "contamination."
        )
    return cutoff
