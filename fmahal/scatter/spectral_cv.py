"""A spectral filter whose regularisation is chosen from leave-one-out distances in closed form."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .._registry import scatters
from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray, Outside
from ..exceptions import CalibrationWarning, FmahalWarning
from ..whitener import Whitener
from ._spectral_deletion import Deletion, deletion, left_out_distances, left_out_logdet
from ._spectral_loo import training_left
from .spectral import SpectralFilter

Array = NDArray[np.float64]

CRITERIA = ("auto", "likelihood", "stability")
TOLERANCE = 0.25  # standard deviations of the null law by which leave-one-out distances may exceed the others
_QUANTILES = (0.5, 0.75)
_ALPHAS = tuple(np.logspace(-9, 1, 41))


@scatters.register("spectral-cv", "Spectral filter, regularisation by leave-one-out in closed form", order=94)
class SpectralFilterCV(SpectralFilter):
    r"""`SpectralFilter` whose alpha is chosen by leaving out each row, in closed form.

    All candidates are judged from one decomposition. Without row i, mean, eigenvalues and eigenvectors are those of the
    other rows; alpha is frozen at its *absolute* value, a candidate times the largest eigenvalue of *all* rows.

    Parameters
    ----------
    filter : {"rkhs", "ridge"}, default="rkhs"
        As in `SpectralFilter`; the others have no alpha.
    alphas : sequence of float, optional
        Candidates, as shares of the largest eigenvalue. Default: 41 from 1e-9 to 10, a quarter of a decade apart.
    n_components : int, float or None, default=None
        As in `SpectralFilter`. The directions of a cut are frozen at those of all rows.
    criterion : {"auto", "likelihood", "stability"}, default="auto"
        "likelihood" takes the largest mean leave-one-out log-likelihood, and needs ``filter="ridge"``: only that
        distance belongs to a density. "stability" takes the smallest alpha for which the distances of rows left out
        are those of rows that are not (Notes). "auto" is "likelihood" for "ridge", "stability" for "rkhs"; where the
        likelihood has no bound, because directions without any variance exist, it is "stability" for "ridge" too.
    ddof : int, default=1
        The divisor of the covariance is ``n_samples - ddof``.
    outside : {"ignore", "inf", "raise"}, default="ignore"
        As in `SpectralFilter`; it has no influence on the choice.

    Attributes
    ----------
    alpha_ : float
        The chosen alpha, in squared units of the data.
    alphas_ : ndarray of shape (n_alphas,)
        The candidates, ascending, in the same units.
    scores_ : ndarray of shape (n_alphas,)
        Larger is better. "likelihood": mean log-density of a row left out. "stability": minus the largest shift, in
        standard deviations of the null law; 0 is perfect.
    best_index_ : int
        Index of `alpha_` in `alphas_`. For "stability" the smallest stable candidate, not the one of largest score.
    criterion_ : {"likelihood", "stability"}
        The criterion of `scores_`.
    location_, eigenvalues_, components_, n_components_, filter_values_, residual_weight_, null_weights_
        As `SpectralFilter`.
    explained_variance_ratio_, total_variance_, whitener_, rank_, n_samples_, ddof_
        As `SpectralFilter`.
    covariance_, precision_, n_features_in_, feature_names_in_
        As `SpectralFilter`.

    Raises
    ------
    ValueError
        For fewer than three rows (four with ddof=2, and so on), a parameter out of its range, a criterion that the
        filter does not have.
    RankDeficientError
        When all rows are equal.

    Warns
    -----
    CalibrationWarning
        When no candidate is stable: the nearest to it is taken.
    FmahalWarning
        When the likelihood is largest at an end of the candidates.

    See Also
    --------
    SpectralFilter : the filter for a given alpha.

    Notes
    -----
    *Likelihood.* The mean over rows of

    .. math:: -\tfrac12 \left( p \log 2\pi + \log\det(C_{-i} + \alpha I)
       + (x_i - m_{-i})^\top (C_{-i} + \alpha I)^{-1} (x_i - m_{-i}) \right).

    It is the criterion for vectors in p dimensions. For curves, p is the number of coordinates: on a finer grid more
    directions without variance count, and alpha becomes smaller, as the variance of white noise per coordinate does.
    Then "stability", which does not depend on the grid, is the better question. Outliers count with their full
    distance. Where columns are linear combinations of others, as for smooth curves without measurement noise, the
    likelihood has no bound: "likelihood" then takes the smallest candidate, with a warning, "auto" turns to stability.

    *Stability.* Regularisation serves one end here: that the distance measures a new row as it measures those that it
    was fitted to. Too small an alpha weighs directions by variances that the rows themselves made small; a row left
    out, or a new one, is then farther away than all others. The shift of a candidate is

    .. math:: \max_{q \in \{1/2, 3/4\}} \frac{Q_q(d^2_{-1}, \dots, d^2_{-n}) - Q_q(d^2_1, \dots, d^2_n)}
       {\sqrt{2 \sum_m w_m^2}}

    with the quantiles of the squared distances with and without leaving out, in units of the standard deviation of
    the null law :math:`\sum_m w_m \chi^2_1` of the filter. (The mean of :math:`d^2_i` is that of the law up to the
    divisor, whatever the rows are; so the two are compared, and no assumption on their law is made.) The law has the
    right level for new rows as far as the shift is small against 1: 0.25 turns a nominal 5 % into about 8 %. A
    candidate is stable when both quantiles are shifted by at most 0.25 either way; of the run of stable candidates that
    is met first from the largest one down, the smallest is taken, which still sees the most directions. Below such a
    run, "rkhs" may look stable once more for p > n, where it fits all rows alike: that is not taken. For the sample
    covariance in k dimensions leaving out adds about :math:`d^4 / n` to :math:`d^2`, and the shift is about :math:`q^2
    / (n \sqrt{2k})` with the quantile :math:`q` of order 3/4 of :math:`\chi^2_k`: from :math:`\sqrt 2\, k^{3/2} / n`
    for few dimensions to :math:`k^{3/2} / (\sqrt 2\, n)` for many. So between :math:`(n / 6)^{2/3}` and :math:`(n /
    3)^{2/3}` directions are kept.

    *Outliers.* Quantiles up to 3/4 do not depend on the distances of fewer outliers than a quarter, but all else does:
    outliers turn eigenvectors, and make the largest eigenvalue, of which the candidates are shares, their own. Once
    that has pushed the smallest candidate above the eigenvalues of the other rows, no candidate sees their shape: a
    share of 1e-9 gives way to a single row some ten thousand times as far as the others. `RobustSpectralFilter` does
    not depend on such rows.

    Without a cut the closed forms are exact for the frozen alpha. O(n r) for each candidate, after the decomposition.

    References
    ----------
    .. [1] Hoffbeck, J. P. and Landgrebe, D. A. (1996). Covariance matrix estimation and classification with limited
       training data. IEEE Transactions on Pattern Analysis and Machine Intelligence 18, 763-767.
       :doi:`10.1109/34.506799`
    .. [2] Berrendero, J. R., Bueno-Larraz, B. and Cuevas, A. (2020). On Mahalanobis distance in functional settings.
       Journal of Machine Learning Research 21(9), 1-33. https://jmlr.org/papers/v21/18-156.html

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import SpectralFilterCV
    >>> X = np.random.default_rng(0).normal(size=(100, 200)).cumsum(axis=1)
    >>> scatter = SpectralFilterCV().fit(X)
    >>> bool(1e-4 < scatter.alpha_ / scatter.eigenvalues_[0] < 1e-2)
    True
    >>> bool(scatter.alpha_ == scatter.alphas_[scatter.best_index_])
    True
    """

    alpha_units: ClassVar[Literal["leading"]] = "leading"  # type: ignore[misc]
    regularized: ClassVar[bool] = True

    alphas_: FloatArray
    scores_: FloatArray
    best_index_: int
    criterion_: str

    def __init__(
        self,
        filter: Literal["rkhs", "ridge"] = "rkhs",
        *,
        alphas: Sequence[float] | None = None,
        n_components: float | None = None,
        criterion: Literal["auto", "likelihood", "stability"] = "auto",
        ddof: int = 1,
        outside: Outside = "ignore",
    ):
        self.filter = filter
        self.alphas = alphas
        self.n_components = n_components
        self.criterion = criterion
        self.ddof = ddof
        self.outside = outside

    @property
    def alpha(self) -> float:  # type: ignore[override]
        """The smallest candidate, as a share of the largest eigenvalue: the decomposition must have its digits."""
        return float(self._candidates()[0])

    def fit(self, X: ArrayLike, y: Any = None) -> SpectralFilterCV:
        """Decompose the centred rows, choose alpha and filter their spectrum.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least three.
        y : None
            Ignored.

        Returns
        -------
        self : SpectralFilterCV
            The fitted estimator.
        """
        candidates, criterion = self._candidates(), self._criterion()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            super().fit(X)
        for warning in caught:  # from the line that called this fit
            warnings.warn(warning.message, warning.category, stacklevel=2)
        with np.errstate(over="ignore"):
            alphas = candidates * float(self.eigenvalues_[0])
        self._inverse_weights(self.eigenvalues_, float(alphas[-1]))  # an error when it is out of range
        frame = deletion(training_left(self), self.eigenvalues_, ddof=self.ddof)
        rest = self._rest() if self.filter == "ridge" else np.zeros(self.n_samples_)
        if criterion == "likelihood":
            scores = np.array([self._likelihood(frame, a, rest) for a in alphas])
            best, complaint = int(np.argmax(scores)), _at_end(scores)
            unbounded = best == 0 and len(alphas) > 1 and self.n_components_ < self.n_features_in_
            if unbounded and self.criterion == "auto":  # no noise off the directions: nothing to find there
                criterion = "stability"
        if criterion == "stability":
            shifts = np.array([self._shift(frame, a, rest) for a in alphas])
            scores = -np.abs(shifts).max(axis=1)
            best, complaint = smallest_stable(scores)
        if complaint is not None:
            warnings.warn(complaint, stacklevel=2)
        self._refilter(float(alphas[best]))
        self.alphas_, self.scores_, self.best_index_, self.criterion_ = alphas, scores, best, criterion
        return self

    # ---------------------------------------------------------------- inside

    def _candidates(self) -> Array:
        if self.alphas is None:
            return np.array(_ALPHAS)
        try:
            values = np.asarray(self.alphas, dtype=np.float64)
        except (TypeError, ValueError):
            values = np.array([np.nan])
        if values.ndim != 1 or values.size == 0 or not (np.isfinite(values).all() and values.min() > 0):
            raise ValueError(
                "alphas must be a sequence of positive finite numbers, shares of the largest eigenvalue, got "
                f"{self.alphas!r}."
            )
        return np.unique(values)

    def _criterion(self) -> str:
        if self.filter not in ("rkhs", "ridge"):
            raise ValueError(
                f'filter of SpectralFilterCV must be "rkhs" or "ridge", got {self.filter!r}: "truncate" and "inverse" '
                "have no alpha to choose; use SpectralFilter for them."
            )
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion must be one of {CRITERIA}, got {self.criterion!r}.")
        if self.criterion == "auto":
            return "likelihood" if self.filter == "ridge" else "stability"
        if self.criterion == "likelihood" and self.filter != "ridge":
            raise ValueError(
                f'criterion="likelihood" needs filter="ridge", got {self.filter!r}: the distance of "rkhs" belongs to '
                'no density. Take criterion="stability", or filter="ridge".'
            )
        return self.criterion

    def _rest(self) -> Array:
        """Squared lengths of the training rows off the kept directions: zeros where all are kept."""
        out = np.zeros(self.n_samples_)
        if self.n_components is None or self._fitted_rows is None:
            return out
        for rows in row_blocks(*self._fitted_rows.shape):
            block = np.subtract(self._fitted_rows[rows], self.location_, dtype=np.float64)
            block -= (block @ self.components_.T) @ self.components_
            out[rows] = np.einsum("ij,ij->i", block, block)
        return out

    def _left_out(self, frame: Deletion, alpha: float, rest: Array) -> Array:
        d2 = left_out_distances(frame, self.filter, alpha, lost="ignore")
        return d2 + frame.k**2 * rest / alpha

    def _likelihood(self, frame: Deletion, alpha: float, rest: Array) -> float:
        """Mean leave-one-out log-density."""
        p = self.n_features_in_
        deviance = left_out_logdet(frame, alpha, p) + self._left_out(frame, alpha, rest)
        return float(-0.5 * (p * np.log(2.0 * np.pi) + deviance.mean()))

    def _shift(self, frame: Deletion, alpha: float, rest: Array) -> Array:
        """How much larger quantiles are for rows left out, in standard deviations of the null law."""
        n = self.n_samples_
        share = self.eigenvalues_ / (self.eigenvalues_ + alpha)
        weights = share**2 if self.filter == "rkhs" else share
        inside = (n - self.ddof) * ((frame.left**2) @ weights) + rest / alpha
        if self.filter == "ridge":
            weights = np.append(weights, self.null_weights_[weights.size :] * (self.alpha_ / alpha))
        spread = np.sqrt(2.0) * float(np.linalg.norm(weights))
        quantiles = np.quantile([self._left_out(frame, alpha, rest), inside], _QUANTILES, axis=1)
        shift: Array = (quantiles[:, 0] - quantiles[:, 1]) / spread
        return shift

    def _refilter(self, alpha: float) -> None:
        """Put another alpha into the fitted filter."""
        values, K = self.eigenvalues_, self.n_components_
        inverse, ridge = self._inverse_weights(values, alpha)
        structure: Any = self.whitener_._structure
        rest = self.n_features_in_ > K  # of the space, which weighs 1 / ridge
        structure = replace(
            structure, eigenvalues=inverse if rest else inverse + ridge, ridge=ridge if rest else 0.0
        )
        whitener = Whitener(structure, self.outside)
        self._store(self.location_, whitener, self.n_samples_, ddof=self.ddof_)
        self.filter_values_ = 1.0 / (inverse + ridge)
        others = self.null_weights_[K:] * (self.alpha_ / alpha)
        self.null_weights_ = np.append(values * self.filter_values_, others)
        self.alpha_, self.residual_weight_ = alpha, 1.0 / alpha if ridge else 0.0
        self._whitened = None


def smallest_stable(scores: Array, tolerance: float = TOLERANCE) -> tuple[int, FmahalWarning | None]:
    """Return the last of the first run of stable candidates from the largest down; or the best, and a warning."""
    stable = scores >= -tolerance
    if stable.any():
        best = int(np.flatnonzero(stable)[-1])
        while best > 0 and stable[best - 1]:
            best -= 1
        return best, None
    best = int(np.argmax(scores))
    return best, CalibrationWarning(
        f"No alpha among the candidates is stable: the distances of rows left out differ by {-scores[best]:.2g} "
        f"standard deviations of the null law, at best, from those of the others; {tolerance:g} is tolerated. p-values "
        "of new rows need a resampling null. Usual causes: many more columns of noise than rows, for which "
        'filter="ridge" is the better choice, few rows, or candidates that leave out a range.'
    )


def _at_end(scores: Array) -> FmahalWarning | None:
    """Warn when the largest score is at an end of the candidates."""
    best = int(np.argmax(scores))
    if scores.size == 1 or 0 < best < scores.size - 1:
        return None
    end, side = ("smallest", "smaller") if best == 0 else ("largest", "larger")
    return FmahalWarning(
        f"The leave-one-out likelihood is largest for the {end} of the candidate alphas: pass {side} ones as alphas. "
        "When no end is reached, columns may be linear combinations of others, which gives a likelihood without bound: "
        "leave them out, or fix alpha in SpectralFilter."
    )
