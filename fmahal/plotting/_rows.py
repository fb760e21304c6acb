"""What a fitted detector says about rows: the numbers that displays and reports draw, computed once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from sklearn.base import clone

from .._typing import FloatArray
from ..exceptions import FmahalWarning


@dataclass(frozen=True)
class JudgedRows:
    """Distances, p-values and labels of rows, with the law and the cutoff behind them.

    Attributes
    ----------
    detector : MahalanobisDetector
        The fitted detector (the last step when a Pipeline was given).
    X : array-like of shape (n, p) or None
        The rows as the detector takes them.
    d2 : ndarray of shape (n,)
        Squared distances.
    pvalues : ndarray of shape (n,)
        Under the law of training rows when `training`, else of new rows.
    flagged : ndarray of bool, shape (n,)
        The detector's label is -1.
    training : bool
        The rows are those that the detector was fitted to.
    law : object with ``cdf sf ppf isf``
        The null law of the squared distances.
    alpha, level : float
        The nominal level, and the level of one row (smaller when the detector is simultaneous).
    cutoff : float or ndarray of shape (n,)
        ``law.isf(level)``, a squared distance.
    """

    detector: Any
    X: Any
    d2: FloatArray
    pvalues: FloatArray
    flagged: np.ndarray
    training: bool
    law: Any
    alpha: float
    level: float
    cutoff: Any

    @property
    def least_pvalue(self) -> float | None:
        """The smallest p-value that the law can give; None where there is none."""
        least = float(np.min(self.law.sf(np.full(self.d2.shape, np.inf))))
        return least if least > 0 else None

    @property
    def common(self) -> tuple[FloatArray, Any, float]:
        """Squared distances, their one law and its cutoff, on a scale that all rows share.

        Where the law differs by row, each distance is mapped to the quantile of the law for new rows that
        has the same p-value; where it does not, these are `d2`, `law` and `cutoff`. Infinite distances, of rows off
        the subspace of the others that measure them, are drawn beyond all others.
        """
        if np.ndim(self.cutoff) == 0:
            return _drawable(self.d2), self.law, float(self.cutoff)
        shared = self.detector.null_.new_dist_
        mapped = np.asarray(shared.isf(self.law.sf(self.d2)), dtype=float)
        lost = ~np.isfinite(mapped)  # beyond the support of its law: far out by any measure
        if lost.any():
            top = mapped[~lost].max(initial=0.0)
            mapped[lost] = np.maximum(top, self.d2[lost])
        return mapped, shared, float(shared.isf(self.level))


def _drawable(d2: FloatArray) -> FloatArray:
    """Return squared distances with infinity replaced by one and a half times the largest finite one."""
    finite = np.isfinite(d2)
    return d2 if finite.all() else np.where(finite, d2, 1.5 * d2[finite].max(initial=1.0))


def judge(detector: Any, X: Any = None, alpha: float | None = None) -> JudgedRows:
    """Return what a fitted detector says about the rows of `X` (its training rows when None).

    Parameters
    ----------
    detector : MahalanobisDetector or Pipeline that ends in one
        Fitted.
    X : array-like of shape (n, p), default=None
        Rows. Training rows are recognised by their distances and judged by the law of training rows.
    alpha : float, default=None
        Level other than the detector's own.
    """
    from sklearn.utils.validation import check_is_fitted

    from ..models._steps import check_alpha, row_level

    detector, X = unpack(detector, X)
    check_is_fitted(detector, "null_")
    own = alpha is None or alpha == detector.alpha
    alpha = check_alpha(detector.alpha if alpha is None else alpha)
    if own:
        level = detector.level_
        alpha = getattr(detector.null_, "level_", None) or alpha  # a law may bring a level of its own
    else:
        together = detector.simultaneous and not getattr(detector.null_, "familywise_", False)
        level = row_level(alpha, detector.n_samples_ if together else None)
    d2 = detector.d2_ if X is None else np.asarray(detector.mahalanobis(X))
    training = X is None or _were_fitted(detector, X)
    if hasattr(detector, "d2_"):  # a detector that went on learning keeps none: to it all rows are new
        training |= _same_rows(d2, detector.d2_)
    if training:
        d2, pvalues, law = detector.d2_, detector.pvalues_, detector.null_.train_dist_
        labels = detector.labels_ if own else None
    else:
        pvalues, law = detector.pvalues(X), detector.null_.new_dist_
        labels = detector.predict(X) if own else None
    if labels is not None:
        flagged = labels == -1
    elif training and hasattr(detector.null_, "flags"):
        flagged = detector.null_.flags(pvalues, level, simultaneous=detector.simultaneous)
    else:
        flagged = pvalues <= level
    return JudgedRows(
        detector, X, np.asarray(d2, dtype=float), np.asarray(pvalues, dtype=float), np.asarray(flagged), training, law,
        alpha, float(level), law.isf(level),
    )  # fmt: skip


def unpack(detector: Any, X: Any) -> tuple[Any, Any]:
    """Return the detector and the rows as it sees them; a Pipeline is taken apart."""
    if hasattr(detector, "steps"):
        before = detector[:-1]
        X = before.transform(X) if X is not None and len(detector.steps) > 1 else X
        detector = detector[-1]
    if not hasattr(detector, "pvalues") or not hasattr(detector, "simultaneous"):
        if hasattr(detector, "pairwise"):
            raise TypeError(
                f"{type(detector).__name__} measures distances and has no law, which this display needs: pass "
                f"FunctionalOutlierDetector({type(detector).__name__}(...)).fit(X)."
            )
        raise TypeError(
            f"Expected a MahalanobisDetector, or a Pipeline that ends in one, got {type(detector).__name__}."
        )
    return detector, X


def _were_fitted(detector: Any, X: Any) -> bool:
    """Tell whether rows are the training rows where `d2_` holds distances from fits without them."""
    if not leaves_one_out(detector.null_) or len(X) != detector.n_samples_:
        return False
    measured = getattr(detector, "_measured", None)
    return measured is not None and _same_rows(_own_distances(detector, X), measured)


def leaves_one_out(null: Any) -> bool:
    """Tell whether a fitted null measures each training row from a fit without it."""
    names = {kind.__name__ for kind in type(null).__mro__}
    return hasattr(null, "train_d2_") and bool(names & {"ConformalNull", "RobustSpectralNull"})


def _own_distances(detector: Any, X: Any) -> FloatArray:
    """Return squared distances from the estimate that rests on all training rows."""
    from ..models._steps import squared_distances

    return np.asarray(squared_distances(*_on_all_rows(detector, X)), dtype=float)


def _on_all_rows(detector: Any, X: Any) -> tuple[Any, Any]:
    """Return the scatter that was fitted to all training rows, and rows in its coordinates."""
    from ..models._steps import in_space, in_table
    from ..scatter import resolve

    space, scatter = resolve(detector.estimator_)
    return scatter, in_table(X) if space is None else in_space(space, space.transform(X))


def contributions(detector: Any, X: Any, d2: FloatArray | None = None) -> FloatArray:
    """Return the contributions of rows, which add up to `d2` also where that comes from a fit without the row.

    Parameters
    ----------
    detector : MahalanobisDetector
        Fitted.
    X : array-like of shape (k, p)
        Rows.
    d2 : ndarray of shape (k,), default=None
        Their entries of ``detector.d2_`` when they are training rows; None for new rows.

    Notes
    -----
    Without row x the sample covariance S changes by a multiple of (x - m)(x - m)', and S^{-1} (x - m) by a factor:
    contributions from all rows times the ratio of the squared distances are those from the fit without x. The same
    holds for a ridge of a fixed amount. For other scatters it divides the distance without x as the fit with x does.
    """
    if d2 is None or not leaves_one_out(detector.null_):
        return np.asarray(detector.contributions(X), dtype=float)
    from ..models._steps import shapley_values

    parts = np.asarray(shapley_values(*_on_all_rows(detector, X)), dtype=float)
    total = parts.sum(axis=1)
    # A row off the subspace of the others is infinitely far from them: its part inside stays as it is.
    ratio = np.divide(d2, total, out=np.ones_like(total), where=(total > 0) & np.isfinite(d2))
    return parts * ratio[:, None]


def cutoff_on_all_rows(rows: JudgedRows) -> float:
    """Return the cutoff of `rows.common` for distances from the fit on all training rows.

    The cutoff of leave-one-out distances is one of them, and its row has a distance from the fit on all rows too.
    """
    cutoff = rows.common[2]
    own = not (rows.training and leaves_one_out(rows.detector.null_)) or rows.X is None
    if own or not np.isfinite(cutoff):
        return cutoff
    return float(np.interp(cutoff, np.sort(rows.d2), np.sort(_own_distances(rows.detector, rows.X))))


def _same_rows(d2: FloatArray, fitted: FloatArray) -> bool:
    if d2.shape != fitted.shape:
        return False
    return bool(np.all(np.abs(d2 - fitted) <= 1e-4 * (fitted + np.median(fitted))))


def feature_coordinates(detector: Any, X: Any) -> tuple[FloatArray, Any, list[str]]:
    """Return the rows in the coordinates of the scatter, the scatter, and the names of the coordinates."""
    from ..scatter import resolve

    space, scatter = resolve(detector.estimator_)
    if space is not None:
        return (
            np.asarray(space.transform(X), dtype=float),
            scatter,
            [str(c) for c in detector.contribution_names_],
        )
    return np.asarray(X, dtype=float), scatter, feature_names(detector, X)


def training_coordinates(detector: Any, X: Any) -> FloatArray | None:
    """Return training rows in the coordinates of the scatter; None unless `X` has their number of rows."""
    if X is None or len(X) != detector.n_samples_:
        return None
    return feature_coordinates(detector, X)[0]


def scatter_facts(detector: Any) -> Any:
    """Return rank, kind and the other facts of the detector's fitted scatter."""
    from ..scatter import resolve
    from ..scatter._facts import facts

    return facts(resolve(detector.estimator_)[1], getattr(detector, "d2_", None))


def feature_names(detector: Any, X: Any) -> list[str]:
    """Return the column names the detector saw in fit, else those of `X`, else x0, x1, ..."""
    names = getattr(detector, "feature_names_in_", None)
    if names is None:
        names = getattr(X, "columns", None)
    if names is None:
        names = [f"x{j}" for j in range(detector.n_features_in_)]
    return [str(name) for name in names]


def row_labels(X: Any, n: int, row_names: Any = None) -> list[str]:
    """Return one name a row: those given, else the index of a data frame or the names of samples, else 0, 1, ..."""
    if row_names is None:
        index = getattr(X, "index", getattr(X, "sample_names", None))
        named = index is not None and not callable(index) and not any(name is None for name in index)
        row_names = index if named else range(n)
    names = [str(name) for name in row_names]
    if len(names) != n:
        raise ValueError(f"row_names has {len(names)} entries for {n} rows.")
    return names


def top_flagged(d2: FloatArray, flagged: np.ndarray, k: int) -> np.ndarray:
    """Return the positions of the `k` flagged rows with the largest distances, farthest first."""
    where = np.flatnonzero(flagged)
    return where[np.argsort(-d2[where], kind="stable")][:k]


@dataclass(frozen=True)
class Reference:
    """Squared distances of a second scatter or detector, its name and its cutoff (None where its law is not known)."""

    name: str
    d2: FloatArray
    cutoff: float | None


def reference_of(rows: JudgedRows, reference: Any = None) -> Reference:
    """Return what a second scatter, pipeline or detector says of the rows.

    Parameters
    ----------
    rows : JudgedRows
        What the detector says of them.
    reference : scatter, Pipeline or detector, default=None
        Fitted ones are used as they are, others are fitted to the rows. A scatter sees them in the coordinates of the
        detector's scatter, a pipeline or detector as they are. None: `EmpiricalCovariance`; for curves `SpectralFilter`
        on their space.
    """
    from ..scatter import SpectralFilter, resolve
    from ._curves import curve_space

    if hasattr(reference, "pvalues") and hasattr(reference, "simultaneous"):
        return _other_detector(rows, reference)
    space, scatter = (None, reference) if reference is None else resolve(reference)
    X, exact = rows.X, True
    if space is not None:
        X = space.transform(X) if hasattr(scatter, "location_") else clone(space).fit_transform(X)
    elif reference is None and (own := curve_space(rows.detector.estimator_)) is not None:
        X, scatter, exact = own.transform(X), SpectralFilter(), False
    else:
        X = feature_coordinates(rows.detector, X)[0]
    fitted, d2, law = classical_reference(X, scatter, rows.level)
    if not exact and isinstance(
        getattr(law, "dist", None), type(stats.chi2)
    ):  # stands for a law that is not known: here a wrong one
        return Reference(type(fitted).__name__, d2, None)
    cutoff = float(np.median(law.isf(rows.level)))
    return Reference(type(fitted).__name__, d2, cutoff)


def _other_detector(rows: JudgedRows, reference: Any) -> Reference:
    """Return what a second detector says, on a scale that all rows share."""
    if not hasattr(reference, "null_"):
        reference = clone(reference).fit(rows.X)
    judged = judge(reference, rows.X, None if reference.alpha == rows.alpha else rows.alpha)
    d2, _, cutoff = judged.common
    from ..scatter import resolve

    return Reference(
        type(resolve(reference.estimator_)[1]).__name__, d2, cutoff if np.isfinite(cutoff) else None
    )


def classical_reference(X: FloatArray, reference: Any, level: float) -> tuple[Any, FloatArray, Any]:
    """Return the fitted reference scatter, its squared distances of `X`, and their null law.

    An unfitted reference (default: `EmpiricalCovariance`) is fitted to `X`, which is then judged by the law
    of training rows; a fitted one judges `X` as new rows. A ValueError is raised where every distance of the
    reference would be the same number. Its law is chi-square where none is known: a line in a picture is not worth
    the time of resampling.
    """
    from ..nulls import BootstrapNull, ChiSquareNull, select_null
    from ..scatter import EmpiricalCovariance

    reference = EmpiricalCovariance() if reference is None else reference
    fitted = hasattr(reference, "location_")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)  # the detector has said what there is to say on X
        if not fitted:
            reference = clone(reference).fit(X)
            _check_distances_differ(reference, X)
        d2 = np.asarray(reference.mahalanobis(X), dtype=float)
        null = select_null(reference, X)
        null = (ChiSquareNull() if isinstance(null, BootstrapNull) else null).fit(reference, X, d2)
    return reference, d2, null.new_dist_ if fitted else null.train_dist_


def _check_distances_differ(reference: Any, X: FloatArray) -> None:
    from ..scatter._facts import facts

    known = facts(reference, X)
    if not known.regularized and X.shape[0] <= known.rank + 1:
        raise ValueError(
            f"{X.shape[0]} rows of rank {known.rank}: every {type(reference).__name__} distance is the same number, "
            "so there is nothing to compare with. Pass reference=LedoitWolf(), or fewer columns."
        )
