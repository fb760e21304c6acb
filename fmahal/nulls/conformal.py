"""Conformal p-values: ranks among distances of rows that the estimate has not seen."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._random import as_generator
from .._registry import nulls, scatters
from .._typing import ArrayLike, FloatArray, RandomState
from ..exceptions import CalibrationWarning
from ..scatter import FixedScatter, ScatterFacts, resolve
from ..scatter._resolve import is_sketch
from ._conformal_checks import calibration_size, check_parameters, check_rank, warn_contamination
from ._empirical_law import EmpiricalLaw
from ._full_conformal import FullConformal, supports_full
from ._jackknife import leave_one_out
from ._left_out import fold_distances, lost_directions, new_distances, refit, take_rows, warn_lost
from ._numbers import checked_level
from .base import BaseNull, check_distances, training_facts, warn_caller

_QUICK_FOLDS = 5


class _Split(NamedTuple):
    calibration: NDArray[np.int64]
    scorer: Any
    d2: FloatArray


def _applies(scatter_name: str, n: int, p: int) -> str | None:
    reason = scatters[scatter_name].applies(n - n // 2, p)
    return None if reason is None else f"is fitted to half of the rows, and {scatter_name} then {reason}"


@nulls.register(
    "conformal",
    "Ranks among rows kept out of the fit: valid for any distribution",
    order=60,
    applies=_applies,
    cost=lambda n, p: 1 + _QUICK_FOLDS,
    quick={"cv": _QUICK_FOLDS},
)
class ConformalNull(BaseNull):
    r"""p-values that are ranks among the distances of rows left out of the fit.

    .. math:: \text{p-value}(x) = \frac{1 + \#\{i : d_i^2 \ge d^2(x)\}}{m + 1}

    with the squared distances :math:`d_i^2` of m calibration rows. Nothing is assumed of the distribution of the rows
    or of the estimator, but that the new row and the training rows are exchangeable.

    Parameters
    ----------
    kind : {"split", "jackknife", "cv", "full"}, default="split"
        Where the calibration distances come from.

        - ``"split"``: a random part of the training rows is kept for calibration and the estimator (the whole
          pipeline) fitted to the others; that fit, `scorer_`, measures new rows. Exact in finite samples: a clean new
          row has a p-value of at most a with probability floor(a (m + 1)) / (m + 1).
        - ``"jackknife"``: each row is measured by a fit to all the others, new rows by the fit to all. Asymptotic:
          valid as far as one row more changes the fit little (n much larger than p, or much regularisation).
        - ``"cv"``: the same with `cv` folds instead of single rows. Asymptotic, and conservative, as folds are
          measured by fits to fewer rows.
        - ``"full"``: the new row joins the sample, and its p-value is its rank among all n + 1 distances from their
          common fit. Exact, with m = n, and no row is set aside; in closed form for `EmpiricalCovariance` and
          `ShrunkCovariance` only.
    calibration_fraction : float, default=0.5
        Share of the training rows that ``"split"`` keeps for calibration, rounded down to a number of rows.
    cv : int, default=10
        Folds of ``"cv"``; also of the other kinds for the p-values of training rows, when the estimator has no
        leave-one-out distances in closed form.
    random_state : int, RandomState, Generator or None, default=None
        Which rows calibrate, and which fold a row is in. The fits take their own from the estimator.

    Attributes
    ----------
    train_dist_ : EmpiricalLaw
        Law of `train_d2_`: their ranks among themselves, at least 1/n.
    new_dist_ : EmpiricalLaw
        Law of the calibration distances. With ``"full"`` that of the leave-one-out distances, an approximation: its
        p-values come from `pvalues`, and only the cut-off from here.
    train_d2_ : ndarray of shape (n_samples,)
        Squared distance of each training row from a fit without it: leave-one-out in closed form for
        `EmpiricalCovariance`, `ShrunkCovariance`, `LedoitWolf` and `OAS`, ours or scikit-learn's, and for a given
        covariance; else, and with ``"cv"``, from the fit to the folds that the row is not in. +inf off the subspace
        of that fit.
    ranked_ : bool
        True. A detector then gives a new row off the subspace of the fit the rank of an infinite distance, as training
        and calibration rows off it have, and not the p-value 0.
    scorer_ : estimator
        The fit to the rows that do not calibrate; only with ``"split"``.
    calibration_rows_ : ndarray of shape (m,)
        Numbers of the rows that calibrate, ascending; only with ``"split"``.
    n_references_ : tuple of int
        Number of reference distances of the training law and of that of new rows.
    engine_ : {"closed form", "folds"}
        Where `train_d2_` come from.

    Raises
    ------
    ValueError
        For an unknown `kind`, parameters out of range, no row left to calibrate, distances that are NaN or not one
        for each row, or ``kind="full"`` with an estimator, or steps before it, without the closed form.
    NotFittedError
        When the estimator has not been fitted.
    RankDeficientError
        When a fit without the calibration rows, a fold or one row has too few rows for a scatter that is not
        regularised; the message says how many are needed.

    Warns
    -----
    CalibrationWarning
        With a robust estimator: calibration rows are drawn from the rows as they are, and if more than a share alpha
        of these are outliers, the cut-off lies among them. Calibrate on clean rows, or use `RobustNull`.
    RankDeficientWarning
        When the fit to the rows that do not calibrate, or without a fold, spans fewer directions than the fit to all
        rows: p-values stay valid, but rows off its subspace are infinitely far and tie.

    Notes
    -----
    Cost: ``"split"`` 1 fit, ``"cv"`` `cv` fits. Training rows cost nothing for `EmpiricalCovariance`, up to a few fits,
    O(n p min(n, p)), for `ShrunkCovariance`, `LedoitWolf` and `OAS` and `cv` fits for any other estimator. What a
    regularised estimator adds is chosen again without the row, also in closed form. ``"full"``: O((n + p) r) for a
    new row, r the rank. Memory for three copies of the rows.

    Training rows are ranked among themselves with every kind. The ranks of exchangeable rows make each p-value valid,
    taken by itself; together they depend on each other, and up to ties a share alpha of the training rows, rounded
    down, is flagged whatever the rows are. Only new rows are judged by how far out they are.

    With ``"full"`` the labels of new rows follow `pvalues`. The cut-off of a detector, and with it the sign of its
    ``decision_function``, is the leave-one-out approximation, which may disagree about rows near the cut-off: some
    1 % of all rows for n = 30, 0.1 % for n = 200. No cut-off could agree: a new row changes its own yardstick.

    A p-value is at least 1 / (m + 1): fewer than 1/alpha - 1 calibration rows cannot flag anything.

    References
    ----------
    .. [1] Vovk, V., Gammerman, A. and Shafer, G. (2005). Algorithmic Learning in a Random World. Springer.
       DOI 10.1007/b106715
    .. [2] Barber, R. F., Candes, E. J., Ramdas, A. and Tibshirani, R. J. (2021). Predictive inference with the
       jackknife+. Annals of Statistics 49(1), 486-507. DOI 10.1214/20-AOS1965
    .. [3] Bates, S., Candes, E., Lei, L., Romano, Y. and Sesia, M. (2023). Testing for outliers with conformal
       p-values. Annals of Statistics 51(1), 149-178. DOI 10.1214/22-AOS2244

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance, MahalanobisDetector
    >>> from fmahal.nulls.conformal import ConformalNull
    >>> X = np.random.default_rng(0).standard_t(3, size=(398, 4))
    >>> null = ConformalNull(random_state=0)
    >>> detector = MahalanobisDetector(EmpiricalCovariance(), null, alpha=0.05).fit(X)
    >>> detector.null_.new_dist_.size
    199
    >>> detector.pvalues([[0.0, 0.0, 0.0, 0.0], [30.0, 30.0, 30.0, 30.0]])
    array([0.995, 0.005])
    """

    train_dist_: EmpiricalLaw
    new_dist_: EmpiricalLaw

    def __init__(
        self,
        kind: Literal["split", "jackknife", "cv", "full"] = "split",
        *,
        calibration_fraction: float = 0.5,
        cv: int = 10,
        random_state: RandomState = None,
    ):
        self.kind = kind
        self.calibration_fraction = calibration_fraction
        self.cv = cv
        self.random_state = random_state

    def fit(self, estimator: Any, X: ArrayLike, d2: FloatArray) -> ConformalNull:
        """Measure the calibration rows and the training rows by fits without them.

        Parameters
        ----------
        estimator : fitted scatter or Pipeline that ends in one
            The estimator that gave the distances; clones of it are fitted to fewer rows.
        X : array-like of shape (n_samples, n_features)
            The training rows, as they were given to `estimator`.
        d2 : ndarray of shape (n_samples,)
            Their squared distances.

        Returns
        -------
        self : ConformalNull
            The fitted law. When the fit fails, the results of an earlier fit stay as they were.
        """
        rows: Any = X if hasattr(X, "shape") else np.asarray(X)
        measured = check_distances(d2, rows.shape[0])
        known = training_facts(estimator, rows)
        scatter = resolve(estimator)[1]
        self._check(estimator, known, len(measured), isinstance(scatter, FixedScatter))
        if known.robust:
            warn_contamination(scatter)
        generator = as_generator(self.random_state)
        split = self._split(estimator, rows, known.rank, generator) if self.kind == "split" else None
        train, engine = self._training_distances(estimator, rows, measured, known.rank, generator)
        full = FullConformal(estimator, rows) if self.kind == "full" else None
        reference = train if split is None else split.d2

        # Nothing can fail from here on, so that the attributes belong to one fit.
        for name in ("scorer_", "calibration_rows_", "_full"):
            self.__dict__.pop(name, None)
        if split is not None:
            self.scorer_, self.calibration_rows_ = split.scorer, split.calibration
        if full is not None:
            self._full = full
        self.train_d2_, self.engine_ = train, engine
        self.train_dist_, self.new_dist_ = EmpiricalLaw(train, itself=True), EmpiricalLaw(reference)
        self.n_references_ = (train.size, reference.size)
        self.ranked_ = True
        return self

    @available_if(lambda self: self.kind == "full")
    def pvalues(self, X: ArrayLike) -> NDArray[np.float64]:
        """p-values of new rows, each ranked in the sample that it joins; only with ``kind="full"``.

        Parameters
        ----------
        X : array-like of shape (m, n_features)
            New rows, each judged on its own.

        Returns
        -------
        pvalues : ndarray of shape (m,)
            Multiples of 1 / (n + 1).

        Raises
        ------
        ValueError
            When `X` is not a table with the columns of the training rows.

        Notes
        -----
        O((n + p) r) time a row, r the rank; blocks of rows bound the memory.
        """
        check_is_fitted(self, "_full")
        return self._full.pvalues(X)

    def cutoff_se(self, level: float, kind: Literal["new", "train"] = "new") -> float:
        """Return the standard error of the cut-off, which the finite number of calibration rows causes.

        Parameters
        ----------
        level : float
            Level of one row.
        kind : {"new", "train"}, default="new"
            For new rows or for training rows.

        Returns
        -------
        se : float
            In units of squared distance; infinite where the cut-off is infinite.

        Raises
        ------
        ValueError
            For another `kind`, or a `level` that is not strictly between 0 and 1.
        """
        check_is_fitted(self, "new_dist_")
        if kind not in ("new", "train"):
            raise ValueError(f"kind must be 'new' or 'train', got {kind!r}.")
        return (self.new_dist_ if kind == "new" else self.train_dist_).standard_error(checked_level(level))

    def check_level(self, level: float) -> None:
        """Warn when there are too few calibration rows for a p-value as small as `level`.

        Parameters
        ----------
        level : float
            Level of one row.

        Raises
        ------
        ValueError
            When `level` is not strictly between 0 and 1.

        Warns
        -----
        CalibrationWarning
            When the number of calibration rows is below 1/level - 1; the message says how many are needed.
        """
        check_is_fitted(self, "new_dist_")
        level = checked_level(level)
        n, m = self.n_references_
        slack = 1.0 + 1e-12  # 1 / 0.01 - 1 is 99
        new, train = level * (m + 1) * slack >= 1.0, level * n * slack >= 1.0
        if new and train:
            return
        who = "training row" if new else "new row" if train else "row"
        needed = max(math.ceil(1.0 / (level * slack)) - 1, 1)
        if self.kind == "split":
            total = max(math.ceil(needed / self.calibration_fraction), needed + 1)
            advice = (
                f"At least {needed} calibration rows are needed, which takes {total} training rows with "
                f"calibration_fraction={self.calibration_fraction:g}; kind='jackknife' calibrates with all rows."
            )
        else:
            advice = f"At least {needed + 1} training rows are needed."
        warn_caller(
            f"No {who} can be called outlying at the level {level:.3g}: p-values are ranks among {m} calibration rows "
            f"for new rows and among {n} for training rows, the smallest being {1 / (m + 1):.3g} and {1 / n:.3g}. "
            f"{advice} Or raise alpha.",
            CalibrationWarning,
        )

    def _split(self, estimator: Any, X: Any, rank: int, generator: np.random.Generator) -> _Split:
        n = X.shape[0]
        order = generator.permutation(n)
        m = calibration_size(n, self.calibration_fraction)
        calibration, proper = np.sort(order[:m]), np.sort(order[m:])
        scorer = refit(estimator, take_rows(X, proper))
        lost = lost_directions(scorer, X, rank)
        if lost:
            warn_lost(f"The {n - m} rows of {n} that do not calibrate span", lost, rank)
        # By the tolerance for n rows, as a detector measures new rows: ranks need the same rule for both.
        return _Split(calibration, scorer, new_distances(scorer, take_rows(X, calibration), X))

    def _training_distances(
        self, estimator: Any, X: Any, d2: NDArray[np.float64], rank: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], str]:
        if self.kind != "cv":
            closed = leave_one_out(estimator, X, d2)
            if closed is not None:
                return closed, "closed form"
        return fold_distances(estimator, X, min(self.cv, len(d2)), generator, rank), "folds"

    def _check(self, estimator: Any, known: ScatterFacts, n: int, fixed: bool) -> None:
        """Raise for parameters out of range and for too few rows, before anything costly."""
        check_parameters(self.kind, self.calibration_fraction, self.cv)
        if n < 3:
            raise ValueError(f"ConformalNull leaves rows out and needs at least 3, got {n}.")
        if self.kind == "cv" and self.cv > n:
            raise ValueError(f"cv={self.cv} folds need as many rows, got {n}. Pass a cv of at most {n}.")
        if self.kind == "full" and not supports_full(estimator):
            sketched = is_sketch(resolve(estimator)[1])
            why = (
                ", whose distances after a row has joined do not follow from those before" if sketched else ""
            )
            raise ValueError(
                f"kind='full' has a closed form for EmpiricalCovariance and ShrunkCovariance only, ours or "
                "scikit-learn's, behind steps that learn nothing from the rows (or, for EmpiricalCovariance, only "
                f"shift and scale columns); got {estimator!r}{why}. Use kind='split', which is exact too, 'jackknife' "
                "or 'cv': they take any estimator."
            )
        if self.kind == "full" and known.n_samples != n:
            raise ValueError(
                f"kind='full' ranks a new row among the rows of the fit: the estimator was fitted to {known.n_samples} "
                f"rows, got {n}. Pass the rows that it was fitted to, all of them."
            )
        m = calibration_size(n, self.calibration_fraction)
        if self.kind == "split" and m < 1:
            raise ValueError(
                f"The calibration set is empty: calibration_fraction={self.calibration_fraction!r} of {n} rows is "
                f"less than one row. Pass at least {math.ceil(1.0 / self.calibration_fraction)} rows or a larger "
                "calibration_fraction."
            )
        if not (known.regularized or fixed):
            check_rank(self.kind, known, n, m, self.calibration_fraction, min(self.cv, n))
