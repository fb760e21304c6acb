"""A scatter that whitens only partly: eigenvalues of the correlation matrix by a power."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import clone

from .._random import as_generator
from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray, RandomState
from ..whitener import Whitener
from ._facts import facts
from ._moments import constant_columns
from ._partial_spectrum import Spectrum, distinct_rows, log_densities, spectrum_of
from ._sketch_parts import check_scatter, is_regularized, is_robust, whitener_of
from .base import BaseScatter
from .empirical import EmpiricalCovariance

_POWERS = tuple(k / 10 for k in range(11))
_REFUSED = {
    "sketched": "sketch it afterwards, Sketched(PartialWhitening(scatter)).",
    "partial": "two powers are one, their product, so set one power.",
}
_FORWARDED = ("support_", "exact_fit_")  # of robust scatters: laws ask which rows count


class PartialWhitening(BaseScatter):
    r"""Any scatter, whose whitening goes only part of the way: eigenvalues enter by a power between 0 and 1.

    .. math:: d^2(x) = \sum_j \lambda_j^{-\gamma} \, (v_j^\top D^{-1} (x - m))^2, \qquad
       D^{-1} \Sigma D^{-1} = \sum_j \lambda_j v_j v_j^\top

    with the scatter's location m and covariance :math:`\Sigma`, and D the diagonal matrix of its standard deviations.
    Power :math:`\gamma = 0` is the Euclidean distance between standardised columns, 1 the Mahalanobis distance of the
    scatter. Full whitening makes directions of little variance as loud as all others: right where they carry the
    structure that outliers break, wrong where they carry noise. A power between says "partly".

    Parameters
    ----------
    scatter : scatter estimator, optional
        Ours or scikit-learn's; by default `EmpiricalCovariance`. A space goes in front: ``make_pipeline(space,
        PartialWhitening(scatter))``.
    power : float or "auto", default="auto"
        The power, between 0 and 1. "auto": the one of `powers` in whose coordinates nearest neighbours describe the
        density of the training rows best (Notes).
    powers : sequence of float, optional
        Candidates for "auto"; by default 0, 0.1, ..., 1.
    n_neighbors : int, optional
        Neighbours k that the criterion of "auto" looks at; by default the root of the number m of rows that it is taken
        over.
    max_samples : int, default=2000
        Distinct rows, drawn at random where there are more, that the criterion of "auto" is taken over.
    random_state : int, RandomState, Generator or None, default=None
        Source of that draw.

    Attributes
    ----------
    power_ : float
        The power in use.
    powers_ : ndarray of shape (n_powers,)
        The candidates, ascending; `power_` alone where it was given.
    scores_ : ndarray of shape (n_powers,) or None
        Mean leave-one-out log-density of the standardised rows for each candidate; larger is better. None where the
        power was given, or where rows do not vary.
    best_index_ : int
        Index of `power_` in `powers_`.
    scatter_ : object
        The fitted clone of `scatter`; in standardised units where `is_standardised_`.
    is_standardised_ : bool
        Whether the columns were divided by their standard deviations before the scatter saw them: where its shrinkage
        depends on their units, which by itself it does not undo.
    eigenvalues_ : ndarray of shape (n_eigenvalues,)
        :math:`\lambda_j`, descending; of a covariance of few directions and a ridge only those of the directions.
    scale_ : ndarray of shape (n_features,)
        Diagonal of D, in the units of the columns.
    null_weights_ : ndarray of shape (n_weights,)
        :math:`\lambda_j^{1 - \gamma}`: the squared distance of a normal row is about the sum of independent chi-square
        variables of one degree of freedom with these weights, for `WeightedChiSquareNull`.
    location_ : ndarray of shape (n_features,)
        Of the scatter.
    whitener_ : Whitener
        Of the matrix :math:`D V \Lambda^\gamma V^\top D`, whose Mahalanobis distance this is.
    covariance_, precision_ : ndarray of shape (n_features, n_features)
        That matrix and its (generalised) inverse; the covariance of the rows is that of `scatter_`.
    rank_, n_samples_, ddof_
        Of the scatter.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    TypeError
        For a pipeline, a sketch, a partly whitening scatter, a class, or an object that is no scatter.
    ValueError
        For a parameter out of its range, and what the scatter itself refuses.

    See Also
    --------
    SpectralFilter : other functions of the eigenvalues, on the columns' own scale.
    Sketched : whitened rows of fewer coordinates.

    Notes
    -----
    *The criterion.* In the coordinates :math:`A_\gamma x`, a row has the k-th nearest of the m - 1 other rows at the
    distance :math:`\rho_i`; the nearest-neighbour estimate of its log-density [1]_, in standardised units, is

    .. math:: \log \frac{k}{m - 1} - \log V_r - r \log \rho_i + \log \lvert \det A_\gamma \rvert, \qquad
       \log \lvert \det A_\gamma \rvert = -\frac{\gamma}{2} \sum_j \log \lambda_j,

    with the volume :math:`V_r` of the unit ball in r dimensions, r the rank. Its mean over the rows is a leave-one-out
    likelihood, by which smoothing parameters are chosen [2]_, and minus the nearest-neighbour estimate of entropy [3]_.
    The entropy itself does not depend on the coordinates; what does is the loss by smoothing over balls of them, so
    that the largest likelihood belongs to coordinates in which the rows are locally as round as balls. With few
    neighbours the balls are small, all powers do about as well, and chance decides: hence k grows with the rows,
    however many neighbours are asked for afterwards. The criterion looks at training rows alone, and chooses for
    *density*: no distance is best for all outliers. Repeated rows count once, or their distance zero would decide
    alone. Differences of scores that are within rounding count as ties; the largest power wins a tie. For rows of one
    elliptical law the power found is near 1, and less only by chance; for several modes the whole covariance may mostly
    be the distance between these, and a smaller power is often found.

    *Units.* The eigenvalues are those of the correlation matrix, so that units of columns do not matter: a scatter that
    minds them (the shrinkage family) is fitted to standardised columns. A covariance that is kept as few directions and
    a ridge, as that of `LedoitWolf` for more columns than rows, has no correlation matrix of that form; its own
    spectrum in standardised units is taken then, ridge included. Power 0 is Euclidean there, too.

    *Rank.* Directions without variance stay without weight for all powers, 0 among them: with fewer rows than columns
    the distance lives on the span of the rows, as for `EmpiricalCovariance`.

    *Law.* Distances of normal rows are not chi-square unless the power is 1: ``null="auto"`` resamples, with the power
    that was found held fixed; `NormalTheoryNull` warns that it is none of its laws. Only for normal rows in large
    number are the weights of `null_weights_` the law. Of a robust scatter that shrinks (`MRCD`) the law inherits what
    holds of it at power 1, too: for correlated columns and p near n or above it flags fewer rows than asked for, since
    the law that rows would have to be drawn from cannot be estimated from so few.

    *Cost.* The fit costs that of the scatter, O(p r^2) for the spectrum, and for "auto" O(m^2 r) for each candidate,
    with m at most `max_samples`; n rows are measured in O(n p r). No p x p array is formed where the scatter has none.

    References
    ----------
    .. [1] Loftsgaarden, D. O. and Quesenberry, C. P. (1965). A nonparametric estimate of a multivariate density
       function. Annals of Mathematical Statistics 36, 1049-1051. :doi:`10.1214/aoms/1177700079`
    .. [2] Duin, R. P. W. (1976). On the choice of smoothing parameters for Parzen estimators of probability density
       functions. IEEE Transactions on Computers C-25, 1175-1179. :doi:`10.1109/TC.1976.1674577`
    .. [3] Singh, H., Misra, N., Hnizdo, V., Fedorowicz, A. and Demchuk, E. (2003). Nearest neighbor estimates of
       entropy. American Journal of Mathematical and Management Sciences 23, 301-321.
       :doi:`10.1080/01966324.2003.10737616`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import NearestNeighbors
    >>> from sklearn.pipeline import make_pipeline
    >>> from fmahal import PartialWhitening
    >>> X = np.random.default_rng(0).normal(size=(200, 3)) @ [[1, 0.9, 0], [0, 1, 0.9], [0, 0, 1]]
    >>> half = PartialWhitening(power=0.5).fit(X)
    >>> np.allclose(half.transform(X).var(axis=0), half.null_weights_)
    True
    >>> near = make_pipeline(PartialWhitening(random_state=0), NearestNeighbors(n_neighbors=5)).fit(X)
    >>> near[0].power_ > 0.5  # one normal law: whitening serves
    True
    """

    scatter_kind: ClassVar[str] = "partial"

    power_: float
    powers_: FloatArray
    scores_: FloatArray | None
    best_index_: int
    scatter_: Any

    def __init__(
        self,
        scatter: Any = None,
        *,
        power: float | Literal["auto"] = "auto",
        powers: Sequence[float] | None = None,
        n_neighbors: int | None = None,
        max_samples: int = 2000,
        random_state: RandomState = None,
    ):
        self.scatter = scatter
        self.power = power
        self.powers = powers
        self.n_neighbors = n_neighbors
        self.max_samples = max_samples
        self.random_state = random_state

    # ---------------------------------------------------------------- facts of the scatter

    def _inner(self) -> Any:
        return EmpiricalCovariance() if self.scatter is None else self.scatter

    @property
    def robust(self) -> bool:  # type: ignore[override]
        """Whether the scatter is robust."""
        return is_robust(self._inner())

    @property
    def regularized(self) -> bool:  # type: ignore[override]
        """Whether distances of the scatter exist for more columns than rows."""
        return is_regularized(self._inner())

    @property
    def assume_centered(self) -> bool:
        """Whether the location is known to be zero."""
        return bool(getattr(self._inner(), "assume_centered", False))

    @property
    def equivariances(self) -> frozenset[str]:  # type: ignore[override]
        """Transformations of all rows that leave squared distances as they are."""
        inner = self._inner()
        known: frozenset[str] = getattr(inner, "equivariances", frozenset())
        kept = known & {"translation", "permutation", "scale", "columns"}
        return kept | {"columns"} if known and _minds_units(inner) else kept

    # ---------------------------------------------------------------- fit

    def fit(self, X: ArrayLike, y: Any = None) -> PartialWhitening:
        """Fit the scatter, decompose its correlation matrix and choose the power.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : PartialWhitening
            The fitted estimator.
        """
        scatter = self._inner()
        check_scatter(
            scatter, "PartialWhitening", "make_pipeline(space, PartialWhitening(scatter))", _REFUSED
        )
        powers = self._candidates()
        rows = self._training_rows(X)
        units = _units(rows) if _minds_units(scatter) else None
        given = rows / units if units is not None else X if hasattr(X, "columns") else rows
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = clone(scatter).fit(given)
        for warning in caught:  # from the line that called this fit
            warnings.warn(warning.message, warning.category, stacklevel=2)
        exact = whitener_of(fitted)
        spectrum = spectrum_of(exact)
        location = np.asarray(fitted.location_, dtype=np.float64)
        if units is not None:
            location, spectrum = location * units, spectrum._replace(scale=spectrum.scale * units)
        scores = self._scores(rows, location, spectrum, powers) if powers.size > 1 else None
        best = 0 if scores is None else _last_best(scores, spectrum.values.size)
        self.power_, self.powers_, self.scores_ = float(powers[best]), powers, scores
        self.best_index_, self.scatter_, self.is_standardised_ = best, fitted, units is not None
        ours = facts(fitted) if isinstance(fitted, BaseScatter) else None
        n, ddof = (len(rows), 0) if ours is None else (ours.n_samples, ours.ddof)
        self._store(location, spectrum.whitener(self.power_, exact.outside), n, ddof=ddof)
        self.eigenvalues_, self.scale_, self._spectrum = spectrum.values, spectrum.scale, spectrum
        for name in _FORWARDED:
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))
        return self

    def _candidates(self) -> FloatArray:
        """Return the powers to choose among, one where it is given, after a check of all parameters."""
        for name, least in (("n_neighbors", 1), ("max_samples", 3)):
            value = getattr(self, name)
            if value is None and name == "n_neighbors":
                continue
            if isinstance(value, bool | np.bool_) or not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
        if isinstance(self.power, str):
            if self.power != "auto":
                raise ValueError(f'power must be a number between 0 and 1 or "auto", got {self.power!r}.')
            return _checked(_POWERS if self.powers is None else self.powers, "powers")
        if isinstance(self.power, bool | np.bool_) or not isinstance(self.power, Real):
            raise ValueError(f'power must be a number between 0 and 1 or "auto", got {self.power!r}.')
        if self.powers is not None:
            raise ValueError(
                f'powers are candidates for power="auto", and power={self.power!r} was given too: pass one of them.'
            )
        return _checked([float(self.power)], "power")

    def _scores(
        self, rows: FloatArray, location: FloatArray, spectrum: Spectrum, powers: FloatArray
    ) -> FloatArray | None:
        """Return the criterion of all candidates; None where rows do not vary in what the scatter sees."""
        part = distinct_rows(rows, int(self.max_samples), as_generator(self.random_state))
        r = spectrum.values.size
        if len(part) < 2 or r == 0:
            return None
        scores = np.empty((len(part), r))
        for block in row_blocks(*part.shape):
            centred = np.subtract(part[block], location, dtype=np.float64)
            scores[block] = (centred / spectrum.scale) @ spectrum.vectors
        scores -= scores.mean(axis=0)  # for the digits of their distances
        if not scores.any():
            return None
        k = round(len(part) ** 0.5) if self.n_neighbors is None else int(self.n_neighbors)
        return log_densities(scores, spectrum.values, powers, min(k, len(part) - 1))

    # ---------------------------------------------------------------- what laws ask

    @property
    def null_weights_(self) -> FloatArray:
        """Weights of the law of a normal row's squared distance, (n_weights,)."""
        self._check_fitted("null_weights_")
        rest = self.rank_ - self.eigenvalues_.size  # directions of the ridge
        return np.append(self.eigenvalues_, np.full(rest, self._spectrum.ridge)) ** (1.0 - self.power_)

    @property
    def _row_whitener(self) -> Whitener:
        """Whitener of the covariance of the rows, from which laws draw them; `whitener_` is another's."""
        return self._spectrum.whitener(1.0, "ignore")

    def _pinned_params(self) -> dict[str, Any]:
        """Return the parameters of a refit whose distances are to be compared with those of this fit."""
        return {"power": self.power_, "powers": None}


def _minds_units(scatter: Any) -> bool:
    """Tell whether the columns' units decide what a scatter estimates, and one unit for all of them does not."""
    known = getattr(scatter, "equivariances", None)
    return known is None or ("scale" in known and "columns" not in known)


def _units(rows: FloatArray) -> FloatArray:
    """Return standard deviations of the columns in float64, 1 where they are constant."""
    largest = np.abs(rows).max(axis=0).astype(np.float64)  # squares of what is divided by it stay in range
    largest[largest == 0] = 1.0
    mean, total = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for block in row_blocks(*rows.shape):
        mean += (rows[block] / largest).sum(axis=0)
    mean /= len(rows)
    for block in row_blocks(*rows.shape):
        total += np.square(rows[block] / largest - mean).sum(axis=0)
    sd = np.sqrt(total / len(rows))
    return largest * np.where(constant_columns(sd, mean, len(rows)), 1.0, sd)


def _checked(values: Any, name: str) -> FloatArray:
    try:
        found = np.unique(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if np.ndim(values) != 1 or found.size == 0 or not (found.min() >= 0 and found.max() <= 1):
        raise ValueError(
            f"{name} must lie between 0 (Euclidean distance of standardised columns) and 1 (Mahalanobis distance), "
            f"got {values!r}."
        )
    return found


def _last_best(scores: FloatArray, r: int) -> int:
    """Return the last of the best scores, ties up to rounding: where nothing speaks against it, whiten."""
    rounding = 1e-9 * (r + np.abs(scores).max())
    return int(np.flatnonzero(scores >= scores.max() - rounding)[-1])
