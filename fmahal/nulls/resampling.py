"""Laws of distances by resampling: the bootstrap."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import _num_samples, check_is_fitted

from .._random import as_seed_sequence
from .._registry import nulls
from .._typing import ArrayLike, FloatArray, RandomState
from ..exceptions import CalibrationWarning
from ._bootstrap_checks import as_bytes, check_numbers, check_tail, largest, one_of, too_rare, warn_left
from ._bootstrap_plan import Choice, Plan, make_plan
from ._continued_law import ContinuedLaw, FartherLaw, parametric_law
from ._drawn_rows import warn_near
from ._empirical_law import Pool
from ._maximum_law import MaximumLaw
from ._numbers import checked_level
from ._pooled import PooledNull
from ._refit_bootstrap import scatter_of
from .base import check_distances, warn_caller

_KINDS = ("nonparametric", "smoothed", "parametric", "elliptical", "wild")
_OFTEN = 0.05  # share of resamples drawn again that is worth a warning
_QUICK = 99  # replicates in a comparison
_SHARES = {"empirical": 20, "ledoit-wolf": 20, "oas": 20, "shrunk": 20, "mcd": 50, "detmcd": 50}


def _refits(n: int, p: int, scatter_name: str) -> float:
    """Return the predicted cost of a comparison in fits, of which a fast replicate takes a known share."""
    return _QUICK / _SHARES.get(scatter_name, 1)


@nulls.register(
    "bootstrap",
    "Bootstrap: refits to resampled rows",
    order=50,
    quick={"n_resamples": _QUICK},
    cost=_refits,
)
class BootstrapNull(PooledNull):
    r"""Laws of squared distances by resampling: the estimator is refitted many times, and its distances are pooled.

    No normal law is assumed (but for ``kind="parametric"``), any estimator will do, and the rows may be few: the
    p-value of a distance is its rank among the M pooled ones,

    .. math:: p(x) = \frac{1 + \#\{d_i^2 \ge d^2(x)\}}{M + 1} .

    Each replicate of the default kind leaves out a share `holdout` of the n rows and fits the other N. The left-out
    rows are new to that fit, and make `new_dist_`; the kept ones are its training rows, and make `train_dist_`.
    A resample of n rows *with* replacement, the textbook's bootstrap, would serve neither: a row that was drawn twice
    pulls the fit twice, and the fit is worth n / 2 rows only, so that the distances of the rows it misses are far too
    large, and for shrinkage estimators those of its own rows are as far off.

    Parameters
    ----------
    n_resamples : int, default=999
        Number of replicates, B.
    kind : {"nonparametric", "smoothed", "parametric", "elliptical", "wild"}, default="nonparametric"
        Where the rows of a replicate come from.

        * ``"nonparametric"``: the rows themselves, as above; nothing is assumed but that they are independent.
        * ``"parametric"``: n rows from the normal law with the fitted location and covariance (but see Notes on shrunk
          robust ones), and n more as new rows. Without ties, and with outliers neither in the fits nor in the law.
        * ``"smoothed"``: n rows and n new ones, each a resampled row in whitened coordinates plus noise,
          :math:`(z_J + h e) / \sqrt{1 + h^2}`, with Silverman's bandwidth
          :math:`h = (4 / (r + 2))^{1/(r+4)} n^{-1/(r+4)}` in r dimensions. Covariances stay as they are; the more
          columns, the nearer to normal the rows get (h = 0.6 at n = 500, r = 10).
        * ``"elliptical"``: n rows and n new ones, with distances resampled from those of the training rows (for the
          sample covariance, from what these are without a row's pull on the fit) and uniform directions in whitened
          coordinates: heavy tails stay, whatever is not elliptical goes.
        * ``"wild"``: each row stays at its distance from the centre, on its own side or the opposite one: a law that
          is symmetric about the centre. Left-out rows are new.
    statistic : {"point", "max"}, default="point"
        "max" pools one number a replicate, the largest distance: p-values and cut-offs are then those of the largest
        of as many rows as there are training rows, and `alpha` is the probability that any clean row is flagged. Use
        it with ``kind="parametric"``. Other kinds take the largest row at hand, its own reference in most replicates:
        hardly a training row can be flagged, and the cut-off for new rows ends near the largest, also with a `tail`.
    holdout : float or None, default=0.1
        Share of rows that a replicate leaves out, above 0 and at most 0.5, for the kinds "nonparametric" and "wild".
        None: resamples with replacement, and the rows that one misses are the new ones; for affine equivariant
        estimators (see Notes).
    tail : {None, "gpd", "normal"}, default=None
        Whether p-values beyond the largest reference distance follow a generalised Pareto law, fitted to the upper
        tenth, and do not stop at 1 / (M + 1). "normal": from the distance on that is exceeded with probability
        2.5 / n, where few rows are left to resample, the law of new rows has the shape of the parametric one, scaled to
        meet it there, by 3000 / n more replicates, between 10 and 100; for kinds that resample, and single rows.
    refit : {"fast", "full"}, default="fast"
        For ``kind="nonparametric"``, "fast" refits `EmpiricalCovariance`, `LedoitWolf`, `OAS`, `ShrunkCovariance`
        (scikit-learn's too) and `QIS` from weighted sums, many resamples in one matrix product; and `MinCovDet` by one
        step from the fit to all rows, with a linear correction [4]_. "full" refits a clone each time, as is done for
        other estimators and kinds. From sums the results are those of clones while all refits have one rank. They
        differ where a single row changes the rank, say one 1e8 standard deviations away: "fast" measures all refits in
        the space of the fit to all rows, "full" each in its own.
    max_memory : str or int, default="256MB"
        Bound of the working arrays, in bytes or with a unit KB, MB, GB, TB (powers of 1024); of refits that are not
        fast, one is in memory in each process.
    n_jobs : int, optional
        Processes for refits that are not fast, as in joblib; each keeps to one thread.
    random_state : int, RandomState, Generator or None
        Seeds the resamples. The result of an int depends on neither `n_jobs`, `max_memory` nor threads.
    verbose : int, default=0
        Whether progress is reported on the error stream.
    callback : callable, optional
        Called with (replicates done, `n_resamples`) after each block of replicates. What it raises ends the fit, which
        leaves an earlier fit as it was.

    Attributes
    ----------
    train_dist_, new_dist_ : law
        Laws of training rows and of new rows, with vectorised ``cdf sf ppf isf``.
    n_references_ : tuple of int
        Numbers M of pooled distances, of training rows and of new rows.
    n_rows_ : int
        Training rows that the replicates know of: all of them, or those that a robust estimate rests on.
    n_redrawn_ : int
        Resamples that lacked the rank of all rows and were drawn again.
    engine_ : {"moments", "gram", "fast-robust", "spectral", "refit"}
        How the replicates were fitted: from weighted sums; the same for more columns than rows, from inner products of
        rows; by the fast robust bootstrap; or by a clone each.
    familywise_ : bool
        Whether p-values account for all rows already: ``statistic == "max"``.

    Raises
    ------
    ValueError
        For an unknown `kind`, `statistic`, `tail` or `refit`, a bad number, other rows than those of the fit,
        ``holdout=None`` where no map is known, a made-up kind for a pipeline that has no way back to its rows, or a
        refit that fails.
    RankDeficientError
        When more than half of all resamples lack the rank of all rows, the rows that `holdout` leaves are too few, or
        all rows are equal, or all that a robust estimate rests on.

    Warns
    -----
    CalibrationWarning
        When a robust estimate rests on some rows only, and the others are missing in the law; when more than 5 % of
        the resamples were drawn again; from `check_level`, when there are too few replicates for a level.

    See Also
    --------
    ConformalNull : exact, for the price of half the rows or of n fits.

    Notes
    -----
    Sizes. Distances of N < n rows are turned into those of n. Training rows: with the sample covariance a distance q
    and the distance from the fit of the other rows are one number (a rank-one identity), and going from N down to
    N - 1 and up to n gives

    .. math:: q' = \frac{N (n - 1)\, q}{n (N - 1) - c\,(n - N)\, q}

    with c = 1, or 1 - shrinkage for `LedoitWolf`, `OAS` and `ShrunkCovariance`; for other estimators that are not
    robust, c is what links the middle of kept and left-out distances of the first 20 replicates. The sample covariance
    has, between the two steps, the map between the F laws (see `NormalTheoryNull`) of N - 1 and of n - 1 others, which
    gives training distances of normal rows their exact law. New rows: for affine equivariant estimators, by the same
    map of N and of n rows; for others they are left as they are, in the mean a little too large (but at levels near
    1 / n one or two rows are the cut-off: up to twice as many may be flagged). Distances of a `Sketched` scatter are
    multiplied, by what these maps do to the typical one. Regularised estimators with p >= n / 2, other than spectral
    filters, get a factor more: training distances the one to the median of those of the fit; new ones a power of n / N,
    the one that 20 replicates show that leave out more rows. ``holdout=None`` maps from the effective size n' to n by
    the same laws; n' = n / 2 for few columns, and in general solves :math:`1/\delta = E[w / (1 + w \delta p/n)]`,
    :math:`\delta = 1/(1 - p/n')` for Poisson weights w.

    "elliptical", "smoothed" and "parametric" hold their level for the rows that they assume, and flag too many where
    tails are heavier. With shrinkage, training p-values are too large where columns vary unequally and there are few
    rows for them, most of all those by made rows, which come from the shrunk covariance; p-values of new rows are not.
    Made rows vary only where the training rows do, not in constant or repeated columns. Sizes of all nulls are in the
    user guide, "Which null law".

    Robust estimators. Resampled rows cannot flag a share of outliers above alpha, as these would be part of the law.
    For an estimator tagged `robust`, all kinds but "parametric" therefore draw only rows of its `support_` (or, without
    one, rows within the 97.5 % point of chi-square scaled to the median). What that cuts off is missing in the tail,
    and up to as many clean rows are flagged in addition to the level. "parametric" has a whole tail, of normal rows.
    For a shrunk estimator, `MRCD`, they are drawn from the law that `LedoitWolf` makes of the rows of its support: its
    own covariance is the target off the span of these few rows, and rows drawn from it lie too near. So may those of
    `WrappedCovariance` with p >= n where few directions have most of the variance: ten refits without a tenth of the
    rows each look for it, and a warning tells.

    Pipelines. Steps that are fixed, or that only shift and scale columns before an affine equivariant scatter, are
    applied once. All others learn from the rows, and are refitted with the scatter, a sketch by the same map.

    Cost. Moment scatters, nonparametric: O(B n p^2) multiplications in matrix products and O(B p^3) for p <= n;
    O(B n^3) for p > n. `MinCovDet`: B concentration steps. All else: B fits; and up to 20 more, see Sizes. The pooled
    distances take 8 B n bytes, up to 32 MB; beyond, they are counted in bins of a relative width of 2^-16.

    References
    ----------
    .. [1] Efron, B. and Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman & Hall.
       :doi:`10.1201/9780429246593`
    .. [2] Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical Applications in
       Genetics and Molecular Biology 9(1), 39. :doi:`10.2202/1544-6115.1585`
    .. [3] El Karoui, N. and Purdom, E. (2018). Can we trust the bootstrap in high-dimensions? The case of linear
       models. Journal of Machine Learning Research 19(5), 1-66. https://jmlr.org/papers/v19/17-006.html
    .. [4] Salibian-Barrera, M., Van Aelst, S. and Willems, G. (2008). Fast and robust bootstrap. Statistical Methods
       and Applications 17, 41-71. :doi:`10.1007/s10260-007-0048-6`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import BootstrapNull, LedoitWolf
    >>> X = np.random.default_rng(0).standard_t(3, size=(200, 5))
    >>> scatter = LedoitWolf().fit(X)
    >>> null = BootstrapNull(n_resamples=199, random_state=0).fit(scatter, X, scatter.mahalanobis(X))
    >>> bool(null.new_dist_.isf(0.01) > 25)  # chi-square says 15.1
    True
    """

    n_references_: tuple[int, int]
    n_rows_: int
    n_redrawn_: int
    engine_: str
    familywise_: bool

    def __init__(
        self,
        n_resamples: int = 999,
        *,
        kind: Literal["nonparametric", "smoothed", "parametric", "elliptical", "wild"] = "nonparametric",
        statistic: Literal["point", "max"] = "point",
        holdout: float | None = 0.1,
        tail: Literal["gpd", "normal"] | None = None,
        refit: Literal["fast", "full"] = "fast",
        max_memory: str | int = "256MB",
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        callback: Callable[[int, int], Any] | None = None,
    ):
        self.n_resamples = n_resamples
        self.kind = kind
        self.statistic = statistic
        self.holdout = holdout
        self.tail = tail
        self.refit = refit
        self.max_memory = max_memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> BootstrapNull:
        """Resample, refit and pool.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances. It is cloned, and not changed.
        X : array-like of shape (n_samples, n_features)
            The training rows.
        d2 : ndarray of shape (n_samples,)
            Their squared distances, not used.

        Returns
        -------
        self : BootstrapNull
            The fitted law. When the fit fails or is interrupted, an earlier one stays as it was.
        """
        check_distances(d2, _num_samples(X), needed=False)
        plan = make_plan(estimator, X, self._choice())
        if plan.n_left:
            warn_left(plan.n_train, plan.n_left, type(scatter_of(estimator)).__name__)
        seed = as_seed_sequence(self.random_state)
        train, pooled, redrawn = self._pooled(plan, seed)
        if plan.other is not None:
            others = self._pooled(plan.other, seed, quiet=True)
            train, pooled = (FartherLaw(*pair) for pair in zip((train, pooled), others))
        new: Any = pooled
        if self.tail == "normal":
            new = ContinuedLaw(pooled, parametric_law(estimator, X, self._choice(), seed), plan.n_train)
        if redrawn > _OFTEN * self.n_resamples:
            warn_caller(
                f"{redrawn} resamples for {self.n_resamples} replicates lacked the rank of all rows and were drawn "
                "again, so that the reference distances are those of the luckier resamples. There are few rows for the "
                "columns: use a regularised estimator, kind='parametric', or a smaller holdout.",
                CalibrationWarning,
            )
        if self.kind == "parametric" and self.statistic == "point":
            warn_near(estimator, X, train, new)
        self.train_dist_, self.new_dist_ = train, new
        self.n_references_ = (train.size, new.size)
        self.n_rows_ = plan.n_train - plan.n_left
        self.n_redrawn_, self.engine_ = redrawn, plan.engine
        self.familywise_ = self.statistic == "max"
        return self

    def check_level(self, level: float) -> None:
        """Warn when no p-value can be as small as a level, and say how many replicates that needs.

        Parameters
        ----------
        level : float
            The level at which rows are judged.

        Raises
        ------
        ValueError
            When it is not strictly between 0 and 1.
        NotFittedError
            Before `fit`.

        Warns
        -----
        CalibrationWarning
            When 1 / (M + 1) is above the level, so that no row can be flagged; when the level is below a quarter of
            1 / (n + 1), of which n resampled rows say nothing.
        """
        check_is_fitted(self, "new_dist_")
        level = checked_level(level)
        resampled = self.kind != "parametric" and self.tail != "normal" and self.statistic == "point"
        if resampled and too_rare(level, self.n_rows_):
            warn_caller(
                f"The level {level:.3g} is too small for a law of {self.n_rows_} rows, whatever the number of "
                f"replicates: about one new row in {self.n_rows_ + 1} lies beyond all of them, and so many are flagged "
                "for no reason. kind='parametric' reaches farther, for rows that are normal.",
                CalibrationWarning,
            )
            return
        if self.tail is not None:
            return
        laws: tuple[Any, Any] = (self.train_dist_, self.new_dist_)
        short = [(needed, law) for law in laws if (needed := self._needed(law, level)) is not None]
        if short:
            needed = max(number for number, _ in short)
            rows = " and ".join(
                name for name, law in zip(("training", "new"), laws) if any(law is one for _, one in short)
            )
            warn_caller(
                f"n_resamples={self.n_resamples} is too few for level {level:.3g}: no p-value of {rows} rows can be "
                f"that small, so that no such row is flagged. Use n_resamples={needed} or more, or tail='gpd'.",
                CalibrationWarning,
            )

    def _needed(self, law: Any, level: float) -> int | None:
        """Return how many replicates a level needs, None when there are enough."""
        inner = law.base_level(np.asarray(level)) if isinstance(law, MaximumLaw) else level
        if 1 / (law.size + 1) <= inner * (1 + 1e-12):
            return None
        return math.ceil((1 / inner - 1) / (law.size / self.n_resamples) * (1 - 1e-12))

    def _pooled(self, plan: Plan, seed: np.random.SeedSequence, quiet: bool = False) -> tuple[Any, Any, int]:
        pool_tail = None if self.tail == "normal" else self.tail
        pools = (Pool(pool_tail), Pool(pool_tail))
        done = redrawn = 0
        for train, new, again in plan.references(seed):
            for pool, block in zip(pools, (train, new)):
                pool.add(largest(block) if self.statistic == "max" else block)
            before, done, redrawn = done, done + len(new), redrawn + again
            if quiet:
                continue
            if self.verbose and done * 10 // self.n_resamples > before * 10 // self.n_resamples:
                print(f"BootstrapNull: {done} of {self.n_resamples} replicates", file=sys.stderr)
            if self.callback is not None:
                self.callback(done, self.n_resamples)
        laws: list[Any] = [pool.law() for pool in pools]
        if self.statistic == "max":
            powers = [plan.n_train / size for size in plan.per_replicate]
            laws = [law if power == 1 else MaximumLaw(law, power) for law, power in zip(laws, powers)]
        return laws[0], laws[1], redrawn

    def _choice(self) -> Choice:
        check_numbers(self.n_resamples, self.holdout, self.n_jobs, self.callback)
        one_of("kind", self.kind, _KINDS)
        one_of("statistic", self.statistic, ("point", "max"))
        check_tail(self.tail, self.kind, self.statistic)
        one_of("refit", self.refit, ("fast", "full"))
        holdout = None if self.holdout is None else float(self.holdout)
        return Choice(
            int(self.n_resamples), self.kind, holdout, self.refit, as_bytes(self.max_memory), self.n_jobs
        )
