"""Laws of distances from the minimum covariance determinant."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from sklearn import covariance as sk
from sklearn.pipeline import Pipeline

from .._registry import nulls
from .._typing import ArrayLike, FloatArray, RandomState
from ..exceptions import CalibrationWarning
from ..scatter import BaseScatter, FixedScatter, ScatterFacts, resolve
from ..scatter._mcd_grid import covers
from ..scatter._mcd_trace import trace_factor
from ._mapped import RowLaw, law_of_quantiles
from ._published import Published, cerioli, cerioli_laws, irmcd_flags, raw_estimate, raw_law
from ._simulation import LEVELS, chi2_quantiles, simulate
from ._sketches import refuse_sketch
from ._tabulated import lookup
from ._template import template
from .base import BaseNull, training_facts, warn_caller
from .exact import _LAWS, ChiSquareNull

_METHODS = ("simulated", "cerioli", "green-martin", "hardin-rocke")
_LARGEST = 1000  # rows of a simulated fit; beyond, the law comes nearer to chi-square like 1 / n
_KEPT = 32  # simulations that are remembered
_simulations: dict[Any, NDArray[np.float64]] = {}


def fits_needed(n: int) -> int:
    """Return how many fits of n rows `RobustNull` simulates by itself: some 40000 rows in all."""
    return int(np.clip(40_000 // n, 100, 2000))


def _applies(scatter_name: str, n: int, p: int) -> str | None:
    if scatter_name not in ("mcd", "detmcd"):
        return "the laws are those of the minimum covariance determinant, scatter 'mcd' or 'detmcd'"
    return None


def _applies_cerioli(scatter_name: str, n: int, p: int) -> str | None:
    if n < 2 * p + 2:
        return _applies(scatter_name, n, p) or f"needs at least 2 p + 2 rows (n = {n}, p = {p})"
    return _applies(scatter_name, n, p)


def _refits(n: int, p: int, scatter_name: str = "mcd") -> float:
    tabulated = scatter_name == "mcd" and covers(n, p)  # the table is that of the default settings
    return 0 if tabulated else fits_needed(min(n, _largest(p)))


@nulls.register(
    "robust", "Law of the minimum covariance determinant, simulated", order=30, applies=_applies, cost=_refits
)
class RobustNull(BaseNull):
    r"""Laws of squared distances from a `MinCovDet` of normal rows.

    The rows that make a robust estimate are chosen for lying close together, and so the others seem far: for n below
    20 p the chi-square law calls several times too many clean rows outlying. Four laws that fit better:

    * ``"simulated"``: `MinCovDet` is affine equivariant, so that for normal rows the law of its squared distances
      depends on n, p and its settings alone, and fits to rows from N(0, I) show it. Training rows and new rows have
      their own laws. At the default settings the quantiles come from a table that fmahal brings along; elsewhere
      they are simulated in `fit`.
    * ``"hardin-rocke"`` [1]_ and ``"green-martin"`` [2]_: for rows outside the subset, the squared distances from the
      raw estimate, with consistency and small-sample factors, behave like

      .. math:: \frac{p\,m}{m - p + 1} \, F_{p,\, m - p + 1}

      where m are the degrees of freedom of a Wishart law with the dispersion of the raw scatter. The first was fitted
      for the default subset size only.
    * ``"cerioli"`` [3]_: rows whose raw distance is beyond the 2.5 % cut-off of ``"green-martin"`` are dropped,
      location and covariance of the other m rows are taken, times the consistency factor of 97.5 %, and then

      .. math:: d^2(x_i) \sim \frac{(m-1)^2}{m} \, \mathrm{Beta}\!\left(\frac p2, \frac{m-p-1}2\right)
         \quad\text{(kept)}, \qquad
         d^2(x_i) \sim \frac{(m^2-1)\,p}{m\,(m-p)} \, F_{p,\,m-p} \quad\text{(dropped or new)}.

    The three published laws measure from their own estimate, `scorer_`; a detector uses it for training and new rows.

    Parameters
    ----------
    method : {"simulated", "cerioli", "green-martin", "hardin-rocke"}, default="simulated"
        Which law.
    n_fits : "auto" or int, default="auto"
        Number of simulated fits, at least 50. "auto" reads the table where it holds and simulates
        ``clip(40000 // n, 100, 2000)`` fits elsewhere; a number always simulates.
    n_jobs : int, optional
        ``n_jobs`` of the estimator in simulated fits; by default its own.
    random_state : int, RandomState, Generator or None, default=0
        Seeds the simulation; an int gives the same law every time, and it is remembered within the process.
    verbose : int, default=0
        Whether a simulation reports its progress on the error stream.

    Attributes
    ----------
    train_dist_, new_dist_ : law
        The laws of training rows and of new rows, with vectorised ``cdf sf ppf isf``. For "cerioli", `train_dist_`
        holds one law per row.
    source_ : {"table", "simulation", "published", "exact", "chi-square"}
        Where the laws come from: "exact" for the sample covariance that a subset of all rows without reweighting is,
        "chi-square" for a degenerate fit.
    n_fits_ : int
        Number of fits simulated in `fit`.
    scorer_ : scatter or Pipeline
        The estimate that the published laws are about; only for these.
    train_d2_ : ndarray of shape (n_samples,)
        Squared distances of the training rows from it; only for the published laws.
    kept_ : ndarray of shape (n_samples,)
        Which rows made it; only for the published laws.

    Raises
    ------
    ValueError
        For an unknown `method`, a bad `n_fits`, or an estimator other than a minimum covariance determinant.
    RankDeficientError
        When there are too few rows for the published law: m <= p - 1, or Cerioli's rule keeps fewer than p + 2 rows.

    Warns
    -----
    CalibrationWarning
        When at least half of the rows lie on a hyperplane, so that no normal law made them; chi-square with the rank
        as degrees of freedom takes the place.

    Notes
    -----
    The table reaches from n = 20 and n >= 2 p on, to p = 40, for the default subset size and larger ones (by monotone
    interpolation in 1/n, log p and the share of rows), with or without reweighting at 0.975. Beyond 1000 rows the
    distance to chi-square shrinks like 1/n. Below a tail probability of 1e-4 the laws go on like the F law that has
    their quantiles at 1e-2 and 1e-4, so that p-values keep their digits however small. Where the table holds,
    O(p_nodes) arithmetic; elsewhere `n_fits` fits of min(n, max(1000, 25 p)) rows.

    For "cerioli", `flags` is the rule IRMCD: training rows are flagged one by one at the level, but only if at least
    one is beyond the simultaneous cut-off of all n.

    References
    ----------
    .. [1] Hardin, J. and Rocke, D. M. (2005). The distribution of robust distances. Journal of Computational
       and Graphical Statistics 14(4), 928-946. :doi:`10.1198/106186005X77685`
    .. [2] Green, C. G. and Martin, R. D. (2017). An extension of a method of Hardin and Rocke, with an application to
       multivariate outlier detection via the IRMCD method of Cerioli. Working paper, University of Washington.
    .. [3] Cerioli, A. (2010). Multivariate outlier detection with high-breakdown estimators. Journal of the
       American Statistical Association 105(489), 147-156. :doi:`10.1198/jasa.2009.tm09147`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import MinCovDet, RobustNull
    >>> X = np.random.default_rng(0).normal(size=(50, 5))
    >>> scatter = MinCovDet(random_state=0).fit(X)
    >>> null = RobustNull().fit(scatter, X, scatter.mahalanobis(X))
    >>> bool(null.new_dist_.isf(0.01) > 25)  # chi-square says 15.1
    True
    """

    def __init__(
        self,
        method: Literal["simulated", "cerioli", "green-martin", "hardin-rocke"] = "simulated",
        *,
        n_fits: int | Literal["auto"] = "auto",
        n_jobs: int | None = None,
        random_state: RandomState = 0,
        verbose: int = 0,
    ):
        self.method = method
        self.n_fits = n_fits
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> RobustNull:
        """Find the laws of the distances of a fitted minimum covariance determinant.

        Parameters
        ----------
        estimator : fitted MinCovDet or Pipeline that ends in one
            The estimator that gave the distances, ours or scikit-learn's.
        X : array-like of shape (n_samples, n_features)
            The training rows.
        d2 : ndarray of shape (n_samples,)
            Their squared distances, not used.

        Returns
        -------
        self : RobustNull
            The fitted law.
        """
        self._check()
        refuse_sketch("RobustNull", estimator)
        space, scatter = resolve(estimator)
        if not is_mcd(scatter):
            raise ValueError(
                f"RobustNull knows the distances of a minimum covariance determinant, MinCovDet, and not those of "
                f"{type(scatter).__name__}. Use null='auto', which takes what is known about it."
            )
        for name in ("scorer_", "train_d2_", "kept_"):
            self.__dict__.pop(name, None)
        facts, self.n_fits_ = training_facts(estimator, X), 0
        if is_degenerate(scatter, facts):
            self._fall_back(estimator, X, d2, facts)
        elif self.method == "simulated":
            self._fit_simulated(scatter, facts)
        else:
            self._fit_published(space, scatter, X)
        return self

    def flags(
        self, pvalues: NDArray[np.float64], level: float, *, simultaneous: bool = False
    ) -> NDArray[np.bool_]:
        """Return which training rows are outlying, from their p-values.

        Parameters
        ----------
        pvalues : ndarray of shape (n_samples,)
            p-values of the training rows by `train_dist_`.
        level : float
            The level of one row.
        simultaneous : bool, default=False
            Whether `level` already accounts for all rows.

        Returns
        -------
        flags : ndarray of shape (n_samples,)
            ``pvalues <= level``; for "cerioli" and a level of one row, none unless some p-value is at most
            ``1 - (1 - level) ** (1 / n_samples)``.
        """
        pvalues = np.asarray(pvalues)
        if self.method == "cerioli" and not simultaneous:
            return irmcd_flags(pvalues, level)
        return pvalues <= level

    # ---------------------------------------------------------------- the four laws

    def _fit_simulated(self, scatter: Any, facts: ScatterFacts) -> None:
        exact = _exact_laws(scatter, facts)
        if exact is not None:
            self.train_dist_, self.new_dist_ = exact
            self.source_ = "exact"
            return
        n, p = facts.n_samples, facts.rank
        ratios = _from_table(scatter, n, p) if self.n_fits == "auto" else None
        self.source_ = "table"
        if ratios is None:
            ratios, self.source_ = self._simulated(scatter, n, p), "simulation"
        train, new = np.exp(ratios) * chi2_quantiles(p)
        self.new_dist_ = law_of_quantiles(p, LEVELS, new)
        self.train_dist_ = law_of_quantiles(p, LEVELS, train, base=self.new_dist_)

    def _simulated(self, scatter: Any, n: int, p: int) -> NDArray[np.float64]:
        """Simulate, or remember; beyond `_largest` rows what is left to chi-square shrinks like 1 / n."""
        rows = min(n, _largest(p))
        self.n_fits_ = fits_needed(rows) if self.n_fits == "auto" else int(self.n_fits)
        unfitted = template(scatter)
        if self.n_jobs is not None and "n_jobs" in unfitted.get_params(deep=False):
            unfitted.set_params(n_jobs=self.n_jobs)
        settings = {
            k: v for k, v in unfitted.get_params(deep=False).items() if k not in ("random_state", "n_jobs")
        }
        known = isinstance(self.random_state, Integral)
        key = (type(scatter), repr(sorted(settings.items())), rows, p, self.n_fits_, repr(self.random_state))
        ratios = _simulations.get(key) if known else None
        if ratios is None:
            ratios = simulate(
                unfitted,
                rows,
                p,
                n_fits=self.n_fits_,
                random_state=self.random_state,
                verbose=self.verbose,
            )
            if known:
                while len(_simulations) >= _KEPT:
                    _simulations.pop(next(iter(_simulations)))
                _simulations[key] = ratios
        return ratios * (rows / n)

    def _fit_published(self, space: Pipeline | None, scatter: Any, X: ArrayLike) -> None:
        Z = X if space is None else space.transform(X)
        rows = np.asarray(Z, dtype=np.float64)
        n, p = rows.shape
        known = np.zeros(p) if getattr(scatter, "assume_centered", False) else None
        subset = np.asarray(scatter.raw_support_, dtype=bool)
        h = int(np.count_nonzero(subset))
        estimate, kept = raw_estimate(rows, subset, known), subset
        if self.method == "cerioli":
            estimate, kept = cerioli(rows, estimate.d2, h, known)
            inner, outer = cerioli_laws(int(np.count_nonzero(kept)), p)
            train, new = RowLaw(kept, inner, outer), outer
        else:
            train = new = raw_law(n, p, h, cast("Published", self.method))
        scorer = FixedScatter(estimate.location, covariance=estimate.covariance).fit(Z)
        self.scorer_ = scorer if space is None else Pipeline([*space.steps, ("scorer", scorer)])
        self.train_d2_, self.kept_ = estimate.d2, kept
        self.train_dist_, self.new_dist_ = train, new
        self.source_ = "published"

    def _fall_back(self, estimator: Any, X: ArrayLike, d2: FloatArray, facts: ScatterFacts) -> None:
        warn_caller(
            "The p-values are approximate: the rows that made the estimate lie on a hyperplane, and no normal law, "
            f"which RobustNull is about, makes such rows. They come from the chi-square law with df = {facts.rank}. "
            "Read them as a ranking; exact_fit_ of the estimator names the hyperplane.",
            CalibrationWarning,
        )
        law = ChiSquareNull().fit(estimator, X, d2)
        self.train_dist_, self.new_dist_, self.source_ = law.train_dist_, law.new_dist_, "chi-square"

    def _check(self) -> None:
        if self.method not in _METHODS:
            raise ValueError(f"method must be one of {', '.join(map(repr, _METHODS))}, got {self.method!r}.")
        if self.n_fits != "auto" and (
            isinstance(self.n_fits, bool) or not isinstance(self.n_fits, Integral) or self.n_fits < 50
        ):
            raise ValueError(f'n_fits must be "auto" or a whole number of at least 50, got {self.n_fits!r}.')


nulls.register(
    "cerioli",
    "Beta and F laws of Cerioli's reweighted estimate",
    order=40,
    applies=_applies_cerioli,
    cost=lambda n, p: 0,
)(partial(RobustNull, "cerioli"))


def is_mcd(scatter: Any) -> bool:
    """Tell whether a scatter is a minimum covariance determinant, ours or scikit-learn's."""
    return isinstance(scatter, sk.MinCovDet) or getattr(scatter, "scatter_kind", None) == "mcd"


def is_degenerate(scatter: Any, facts: ScatterFacts) -> bool:
    """Tell whether only some rows lie on the hyperplane of the fit; with all of them the law is that of the rank."""
    plane = getattr(scatter, "exact_fit_", None)
    if plane is not None:
        return facts.rank == 0 or not bool(plane.rows.all())
    return facts.rank < np.asarray(scatter.location_).size


def chosen_by_auto(scatter: Any, facts: ScatterFacts) -> bool:
    """Tell whether null="auto" takes the simulated law: for our class, where that is a matter of seconds."""
    if not (isinstance(scatter, BaseScatter) and is_mcd(scatter)) or is_degenerate(scatter, facts):
        return False
    n, p = facts.n_samples, facts.rank
    return covers(n, p) or min(n, _largest(p)) * p**2 <= 500_000


def _largest(p: int) -> int:
    return max(_LARGEST, 25 * p)


def _from_table(scatter: Any, n: int, p: int) -> NDArray[np.float64] | None:
    """Return the log ratios of training and new rows for settings that the table is about."""
    if not isinstance(scatter, BaseScatter) or scatter.assume_centered:
        return None
    if scatter.correction not in ("pison", "simulated"):
        return None
    # On clean rows these find one and the same minimum; the deterministic starts alone do not.
    searched = scatter.method == "exact" or (scatter.method in ("auto", "fast") and scatter.n_starts >= 500)
    if not searched or scatter.reweight not in (None, 0.975):
        return None
    kinds = ("raw-train", "raw-new") if scatter.reweight is None else ("train", "new")
    h = int(scatter.n_support_)
    train, new = (lookup(n, p, h, kind) for kind in kinds)
    if train is None or new is None:
        return None
    # "simulated" is a factor on the final covariance, after all decisions: it divides all distances.
    factor = (
        trace_factor(n, p, h) if scatter.correction == "simulated" and scatter.reweight is not None else None
    )
    return np.stack([train, new]) - np.log(factor or 1.0)


def _exact_laws(scatter: Any, facts: ScatterFacts) -> Any:
    """Return the laws of the sample covariance, when the estimate is just that."""
    if (
        isinstance(scatter, BaseScatter)
        and scatter.n_support_ == facts.n_samples
        and scatter.reweight is None
        and scatter.correction is not None
        and not scatter.assume_centered
    ):
        return _LAWS["sample"](replace(facts, ddof=1))
    return None
