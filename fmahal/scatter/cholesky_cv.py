"""Bandwidth or ridge of the modified Cholesky precision, chosen by held-out likelihood or by AIC and BIC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import check_cv

from .._kernels.regression import COLUMNS
from .._kernels.regression_path import banded_path
from .._registry import scatters
from .._typing import ArrayLike, FloatArray, RandomState
from .._validation import readonly
from ._chain import VARIANCE_FLOOR
from ._orders import check_order
from .base import BaseScatter
from .cholesky import ModifiedCholesky

WIDEST_SWEEP = 64  # beyond it the factors of a tile outgrow the cache, and fits one by one are as good
CRITERIA = ("loglik", "aic", "bic")
_BANDS = (0, 1, 2, 3, 5, 8, 12, 20, 30, 50)
_ALPHAS = tuple(np.logspace(-3, 2, 11))


@scatters.register(
    "modified-cholesky", "Modified Cholesky precision, bandwidth or ridge by held-out likelihood", order=60
)
class ModifiedCholeskyCV(BaseScatter):
    r"""`ModifiedCholesky` with bandwidth or ridge penalty chosen from the data.

    Candidates are least squares on the k nearest predecessors, for every k in `bandwidths`, and ridge regression
    on all of them, for every alpha in `alphas`. By default the held-out Gaussian log-likelihood decides,

    .. math:: -\tfrac12 \left( p \log 2\pi + \log|\hat\Sigma| + d^2(x) \right),

    averaged over held-out rows.

    Parameters
    ----------
    bandwidths : sequence of int, optional
        Candidate bandwidths. Default: a grid up to a third of the training rows when p < n; none when p >= n,
        where only an order that means something (time, place) justifies them: pass them then.
    alphas : sequence of float, optional
        Candidate ridge penalties. Default: eleven from 1e-3 to 1e2, half a decade apart, and when one of them is the
        best, two more between it and its neighbours. An empty sequence tries none.
    cv : int, cross-validation generator or iterable, default=5
        Folds, as in scikit-learn; for "loglik".
    criterion : {"loglik", "aic", "bic"}, default="loglik"
        Held-out log-likelihood, or :math:`-2 \ell + \{2, \log n\} \cdot (\mathrm{df} + p)` on the training rows.
    one_standard_error : bool, default=False
        Take the simplest candidate within one standard error of the best, fold by fold against the best:
        smallest bandwidth, largest alpha.
    n_jobs : int, optional
        Candidates and folds fitted at once, by threads.
    variance : {"auto", "mle", "unbiased", "loo"}, default="auto"
        Innovation variances, as in `ModifiedCholesky`, except that "auto" is "loo" for every candidate, banded ones
        too: with "mle" the :math:`d^2` of new rows is too large, by some 20 % at n = 50 and three predecessors.
    standardize : bool, default=True
        As in `ModifiedCholesky`.
    order : {None, "bic", "rcm"} or array-like of shape (n_features,), optional
        As in `ModifiedCholesky`; "bic" and "rcm" look for it once a fold, in the training rows alone.
    n_orders : int, default=1
        Above 1: the candidates are judged on one order of the columns, and the chosen one is averaged over so many
        random orders.
    assume_centered : bool, default=False
        As in `ModifiedCholesky`.
    random_state : int, RandomState, Generator or None
        Source of the random orders.
    verbose : int, default=0
        Progress of the fits, as in joblib.

    Attributes
    ----------
    estimator_ : ModifiedCholesky
        The chosen candidate, fitted to all rows.
    bandwidth_ : int
        Its bandwidth.
    alpha_ : float
        Its ridge penalty; 0 for a banded one.
    penalty_ : {None, "l2"}
        Its penalty.
    cv_results_ : dict of ndarray
        "bandwidth" (-1: all predecessors), "alpha", "mean_test_score", "std_test_score", "rank_test_score", and
        for "loglik" one "split<i>_test_score" a fold. Larger is better: AIC and BIC enter with a minus.
    location_, whitener_, rank_, n_samples_, ddof_, n_features_in_, feature_names_in_
        As `BaseScatter`.

    Raises
    ------
    ValueError
        When no candidate is left, or one is out of range.

    Notes
    -----
    All bandwidths cost one sweep a fold, O(n p k + p k^3 + n_test p k^2) for the widest k: the factor of a bandwidth
    contains those of all smaller ones. Each alpha costs a fit a fold; p > n stays in the n x n form, O(p n^2).

    References
    ----------
    Bickel and Levina (2008), Annals of Statistics 36, 199-227. :doi:`10.1214/009053607000000758`;
    Huang, Liu, Pourahmadi and Liu (2006), Biometrika 93, 85-98. :doi:`10.1093/biomet/93.1.85`

    Examples
    --------
    >>> from fmahal import ModifiedCholeskyCV, datasets
    >>> X = datasets.make_ar1(120, 40, rho=0.7, random_state=0).data
    >>> ModifiedCholeskyCV().fit(X).bandwidth_
    1
    """

    scatter_kind: ClassVar[str] = "modified-cholesky"
    regularized: ClassVar[bool] = True
    equivariances: ClassVar[frozenset[str]] = frozenset({"translation", "scale", "columns"})

    def __init__(
        self,
        bandwidths: Sequence[int] | None = None,
        alphas: Sequence[float] | None = None,
        cv: Any = 5,
        criterion: str = "loglik",
        one_standard_error: bool = False,
        n_jobs: int | None = None,
        *,
        variance: str = "auto",
        standardize: bool = True,
        order: Any = None,
        n_orders: int = 1,
        assume_centered: bool = False,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.bandwidths = bandwidths
        self.alphas = alphas
        self.cv = cv
        self.criterion = criterion
        self.one_standard_error = one_standard_error
        self.n_jobs = n_jobs
        self.variance = variance
        self.standardize = standardize
        self.order = order
        self.n_orders = n_orders
        self.assume_centered = assume_centered
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: Any = None) -> ModifiedCholeskyCV:
        """Choose a candidate and fit it to all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.

        Returns
        -------
        self : ModifiedCholeskyCV
            The fitted estimator.
        """
        rows = self._training_rows(X)
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion must be one of {', '.join(CRITERIA)}; got {self.criterion!r}.")
        folds = self._folds(rows)
        smallest = min((train.size for train, _ in folds), default=rows.shape[0])
        if smallest < 2:
            raise ValueError(
                f"{rows.shape[0]} rows leave {smallest} for training in a fold: lower cv={self.cv!r}."
            )
        if self.n_orders > 1 and self.order is not None:
            raise ValueError("order and n_orders > 1 exclude each other: several orders are drawn at random.")
        candidates = self._candidates(rows.shape[0], rows.shape[1], smallest)
        tasks = [(self._order(rows[train]), train, test) for train, test in folds]
        scores = self._scores(rows, candidates, tasks)
        between = self._between(scores, candidates)
        if between:
            scores = np.vstack([scores, self._scores(rows, between, tasks)])
            candidates = candidates + between
            simplest_first = sorted(range(len(candidates)), key=lambda i: _complexity(candidates[i]))
            scores, candidates = scores[simplest_first], [candidates[i] for i in simplest_first]
        best = self._choose(scores, candidates)
        chosen = self._estimator(candidates[best], self.order, final=True).fit(rows)
        self._report(scores, candidates)
        self.estimator_ = chosen
        self.penalty_, self.alpha_ = chosen.penalty, float(chosen.alpha)
        self.bandwidth_ = chosen.bandwidth_
        self._store(chosen.location_, chosen.whitener_, chosen.n_samples_)
        self.rank_ = rows.shape[1]
        return self

    # ---------------------------------------------------------------- inside

    def _folds(self, rows: FloatArray) -> list[tuple[np.ndarray, np.ndarray]]:
        if self.criterion != "loglik":
            return []
        splitter = check_cv(self.cv if not isinstance(self.cv, int) else min(self.cv, rows.shape[0]))
        return list(splitter.split(rows))

    def _candidates(self, n: int, p: int, smallest: int) -> list[tuple[int | None, float]]:
        """(bandwidth, alpha) pairs from the most to the least parsimonious: narrow bands, then strong ridges."""
        if self.bandwidths is None:
            limit = min(p - 1, max(smallest // 3, 1), smallest - 2)
            bands = [k for k in _BANDS if k <= limit] if p < n else []
        else:
            if any(isinstance(k, bool) or not isinstance(k, int | np.integer) for k in self.bandwidths):
                raise ValueError(f"bandwidths must be integers, got {list(self.bandwidths)}.")
            bands = sorted({int(k) for k in self.bandwidths})
        too_wide = [k for k in bands if k < 0 or k >= p or (k > 0 and k >= smallest - 1)]
        if too_wide:
            raise ValueError(
                f"bandwidths {too_wide} do not fit {p} columns and {smallest} training rows a fold: each must be "
                f"at least 0 and below {min(p, smallest - 1)}."
            )
        alphas = sorted(_ALPHAS if self.alphas is None else {float(a) for a in self.alphas}, reverse=True)
        if alphas and not (np.isfinite(alphas).all() and min(alphas) > 0):
            raise ValueError(f"alphas must be positive and finite, got {alphas}.")
        pairs: list[tuple[int | None, float]] = [(k, 0.0) for k in bands]
        pairs += [(None, a) for a in alphas] if p > 1 else []
        if not pairs:
            if p > 1 or self.bandwidths is not None:
                raise ValueError("No candidate is left: give bandwidths or alphas.")
            pairs = [(0, 0.0)]
        return pairs

    def _between(self, scores: FloatArray, candidates: list) -> list[tuple[int | None, float]]:
        """Quarter-decade neighbours of the best ridge, if from the default grid: its steps cost up to 10 % in loss."""
        alpha = candidates[int(np.argmax(scores.mean(axis=1)))][1]
        if self.alphas is not None or alpha == 0:
            return []
        near = (alpha * 10.0**0.25, alpha / 10.0**0.25)
        return [(None, a) for a in near if _ALPHAS[0] < a < _ALPHAS[-1]]

    def _order(self, rows: FloatArray) -> Any:
        """Return the order of the columns in these rows: searched for once, not once a candidate."""
        if not isinstance(self.order, str):
            return self.order
        probe = ModifiedCholesky(
            bandwidth=0, order=self.order, standardize=self.standardize, assume_centered=self.assume_centered
        )
        return probe.fit(rows).order_

    def _estimator(
        self, candidate: tuple[int | None, float], order: Any, final: bool = False
    ) -> ModifiedCholesky:
        bandwidth, alpha = candidate
        variance = "loo" if self.variance == "auto" else self.variance
        return ModifiedCholesky(
            bandwidth=bandwidth,
            penalty="l2" if alpha > 0 else None,
            alpha=alpha,
            variance=variance if final or self.criterion == "loglik" else "mle",
            standardize=self.standardize,
            order=order,
            n_orders=self.n_orders if final else 1,
            assume_centered=self.assume_centered,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def _scores(self, rows: FloatArray, candidates: list, tasks: list) -> FloatArray:
        """(candidates, folds) held-out log-likelihoods per row, or (candidates, 1) minus AIC or BIC."""

        def held_out(candidate: tuple, order: Any, train: np.ndarray, test: np.ndarray) -> float:
            fit = self._estimator(candidate, order).fit(rows[train])
            return -0.5 * float(_deviance(fit, rows[test]).mean())

        def criterion(candidate: tuple, order: Any) -> float:
            fit = self._estimator(candidate, order).fit(rows)
            price = 2.0 if self.criterion == "aic" else float(np.log(rows.shape[0]))
            df = fit.effective_dof_ + rows.shape[1]
            return -(float(_deviance(fit, rows).sum()) + price * df)

        parallel = Parallel(n_jobs=self.n_jobs, prefer="threads", verbose=self.verbose)
        if not tasks:
            order = self._order(rows)
            return np.array(parallel(delayed(criterion)(c, order) for c in candidates))[:, None]
        bands = [k for k, _ in candidates if k is not None]
        swept = bands if len(bands) > 1 and max(bands) <= WIDEST_SWEEP and self.standardize else []
        head = [self._sweep(rows, swept, *task) for task in tasks] if swept else []
        rest = candidates[len(swept) :]
        tail = parallel(delayed(held_out)(c, *task) for c in rest for task in tasks)
        tail = np.array(tail).reshape(len(rest), len(tasks))
        return np.vstack([np.array(head).reshape(len(tasks), len(swept)).T, tail])

    def _sweep(
        self, rows: FloatArray, bands: list[int], order: Any, train: np.ndarray, test: np.ndarray
    ) -> FloatArray:
        """Held-out log-likelihoods of all bandwidths from one pass over the widest; see `banded_path`."""
        p = rows.shape[1]
        order = np.arange(p) if order is None else check_order(order, p)
        seen = np.ascontiguousarray(rows[train][:, order])
        unseen = np.ascontiguousarray(rows[test][:, order])
        columns = ModifiedCholesky(assume_centered=self.assume_centered)._columns(seen, None)
        kind = {"mle": 0.0, "unbiased": 1.0}.get(self.variance, 2.0)
        tolerance = max(columns.n, max(bands)) * np.finfo(np.float64).eps
        settings = np.array([tolerance, VARIANCE_FLOOR, kind, float(columns.centred)])
        arrays = [readonly(a) for a in (seen, unseen, columns.location, columns.inverse)]
        scores = np.zeros((-(-p // COLUMNS), len(bands)))
        banded_path(*arrays, readonly(np.array(bands)), readonly(settings), scores)
        units = p * np.log(2.0 * np.pi) + 2.0 * np.log(columns.scale).sum()
        return -0.5 * (units + scores.sum(axis=0))

    def _choose(self, scores: FloatArray, candidates: list) -> int:
        mean = scores.mean(axis=1)
        best = int(np.argmax(mean))
        if not self.one_standard_error or scores.shape[1] < 2:
            return best
        family = [i for i, c in enumerate(candidates) if (c[0] is None) == (candidates[best][0] is None)]
        for i in family:  # ordered from the simplest
            gap = scores[best] - scores[i]
            if gap.mean() <= gap.std(ddof=1) / np.sqrt(gap.size):
                return i
        return best

    def _report(self, scores: FloatArray, candidates: list) -> None:
        mean = scores.mean(axis=1)
        results = {
            "bandwidth": np.array([-1 if k is None else k for k, _ in candidates]),
            "alpha": np.array([a for _, a in candidates]),
            "mean_test_score": mean,
            "std_test_score": scores.std(axis=1),
            "rank_test_score": np.argsort(np.argsort(-mean, kind="stable"), kind="stable") + 1,
        }
        if self.criterion == "loglik":
            results |= {f"split{i}_test_score": scores[:, i] for i in range(scores.shape[1])}
        self.cv_results_ = results

    def sequential_contributions(self, X: ArrayLike) -> FloatArray:
        """Return the split :math:`e_j^2 / s_j^2` of squared distances.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_features)
            As `ModifiedCholesky.sequential_contributions`.
        """
        self._check_fitted("estimator_")
        return self.estimator_.sequential_contributions(X)


def _complexity(candidate: tuple[int | None, float]) -> tuple[bool, float]:
    """Sort key from the most to the least parsimonious: narrow bands, then strong ridges."""
    bandwidth, alpha = candidate
    return (True, -alpha) if bandwidth is None else (False, bandwidth)


def _deviance(fit: ModifiedCholesky, rows: FloatArray) -> FloatArray:
    """Minus twice the Gaussian log-likelihood of each row."""
    p = rows.shape[1]
    return p * np.log(2.0 * np.pi) + fit.whitener_.logdet + fit.mahalanobis(rows).astype(np.float64)
