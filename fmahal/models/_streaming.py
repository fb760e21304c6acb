"""A detector that goes on learning: rows of a stream are judged first, and then, if they are wanted, learned from."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from .._typing import ArrayLike
from .._validation import refuse_curves
from ..exceptions import RankDeficientError
from ..nulls import ChiSquareNull, NormalTheoryNull, check_null, resolve_null
from ..nulls._cases import space_is_fixed
from ..nulls._forgetting import NoLaw
from ..scatter import BaseScatter, resolve
from ..scatter._resolve import as_pipeline
from . import _steps

if TYPE_CHECKING:
    from ..nulls import BaseNull

_OF_TRAINING_ROWS = ("d2_", "pvalues_", "labels_", "train_cutoff_")
_CLOSED = (NormalTheoryNull, ChiSquareNull)


def _scatter_has(detector: Any, method: str) -> bool:
    """Tell whether the scatter that the user gave to a detector has a method."""
    try:
        return hasattr(resolve(detector.estimator)[1], method)
    except TypeError:  # None, or no scatter
        return False


def learns_on(detector: Any) -> bool:
    """Tell whether a detector has `partial_fit`."""
    return _scatter_has(detector, "partial_fit")


def unlearns(detector: Any) -> bool:
    """Tell whether a detector has `remove`."""
    return learns_on(detector) and _scatter_has(detector, "remove")


class StreamingMixin:
    """`partial_fit` for a detector, and what it takes away: training rows are not kept, so that none is judged."""

    estimator: Any
    null: Any
    alpha: float
    simultaneous: bool
    null_: BaseNull
    estimator_: Any
    n_features_in_: int
    contribution_names_: NDArray[np.object_]

    def __getattr__(self, name: str) -> Any:
        fitted = self.__dict__
        if name in _OF_TRAINING_ROWS and "null_" in fitted and "d2_" not in fitted:
            raise AttributeError(
                f"{type(self).__name__} has no {name} after partial_fit: the rows learned from are not kept, and each "
                "later row changes the distances of all of them. Call predict or pvalues on a row before it is learned."
            )
        if name in ("partial_fit", "remove"):  # `available_if` says only that there is none
            given = getattr(self, "estimator", None)
            given = "the default estimator" if given is None else type(given).__name__
            raise AttributeError(
                f"This {type(self).__name__} has no {name}: {given} has none. Pass an estimator that has it, "
                "EmpiricalCovariance() for example, or EmpiricalCovariance(forgetting=0.99)."
            )
        return object.__getattribute__(
            self, name
        )  # once more, for the error of the property that brought us here

    @available_if(learns_on)
    def partial_fit(self, X: ArrayLike, y: Any = None) -> Any:
        """Learn from more rows, in addition to those seen by `fit` and by earlier calls.

        Nothing else changes the detector: `predict`, `pvalues` and `decision_function` judge rows and leave it as it
        is. So batches are judged first, and then learned from, all of them or only the rows that were not flagged.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, the oldest first; at least two in the first call. Later an array without rows, a batch of which all
            were flagged, changes nothing.
        y : None
            Ignored.

        Returns
        -------
        self : MahalanobisDetector
            The updated detector; when the call fails, it stays as it was. `labels_`, `pvalues_`, `d2_` and
            `train_cutoff_` are gone: training rows are not kept. `estimator_` is a new object each time.

        Raises
        ------
        ValueError
            When the law needs stored rows or a new simulation (only ``null="auto"`` for an estimator whose law is
            known, ``"normal"`` and ``"chi2"`` do not), when steps before the scatter learn from the rows, or when
            another kind of scatter has been set since the last fit.
        AttributeError
            When the estimator that was given has no `partial_fit`; the default one has none.

        Warns
        -----
        CalibrationWarning
            When rows fade so fast that the law is only a bound; see `NormalTheoryNull`.

        Notes
        -----
        m rows cost O(m p^2) while they are few against p, as `EmpiricalCovariance.partial_fit` says, and the law
        O(1). While there are too few rows for a law, at most rank + 1, it is `predict` that raises the
        RankDeficientError, not this method. Pass ``EmpiricalCovariance(forgetting=0.99)``, for example, to follow a
        drift. Parameters of the scatter that were changed between two calls, by
        ``set_params(estimator__forgetting=0.95)``, hold from the second on, as they do for the scatter itself.

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal import EmpiricalCovariance, MahalanobisDetector
        >>> rng = np.random.default_rng(0)
        >>> detector = MahalanobisDetector(EmpiricalCovariance(), alpha=0.001)
        >>> for _ in range(5):
        ...     batch = rng.normal(size=(20, 3))
        ...     _ = detector.partial_fit(batch)
        >>> detector.n_samples_, detector.predict([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0]]).tolist()
        (100, [1, -1])
        """
        check_null(self.null)
        _steps.check_alpha(self.alpha)
        first = "null_" not in self.__dict__
        if not first and getattr(X, "shape", None) == (0, self.n_features_in_):
            return self
        estimator = as_pipeline(clone(self.estimator)) if first else self._next_estimator()
        space, scatter = resolve(estimator)
        check_streams(self.null, estimator)
        if space is None:
            refuse_curves(X, type(scatter).__name__)
        Z = _steps.in_table(X) if space is None else _steps.in_space(space, _mapped(space, X, first))
        if not first:
            validate_data(self, X, skip_check_array=True, reset=False)
        scatter.partial_fit(Z.given)
        names = _steps.coordinate_names(space, scatter, Z.table.shape[1])
        self._follow(estimator, Z.table, names)
        if first:
            validate_data(self, X, skip_check_array=True)
        return self

    @available_if(unlearns)
    def remove(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Take rows learned from out again, a bad batch for instance, as if they had never been seen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows that were learned from, in any order.
        sample_weight : float or array-like of shape (n_samples,), optional
            Their present weights, needed when rows fade or have faded: ``forgetting ** a`` for a row after which a
            rows came.

        Returns
        -------
        self : MahalanobisDetector
            The updated detector, in the state in which `partial_fit` leaves it.

        Raises
        ------
        ValueError
            As `partial_fit`, and as `EmpiricalCovariance.remove`: rows that were never in, or of which too much hangs.
        RankDeficientError
            When fewer than two rows would be left.

        Notes
        -----
        Costs as `partial_fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal import EmpiricalCovariance, MahalanobisDetector
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
        >>> detector.partial_fit(X[:10] + 5.0).remove(X[:10] + 5.0).n_samples_
        100
        """
        check_is_fitted(self, "null_")
        check_streams(self.null, self.estimator_)
        estimator = self._next_estimator()
        space, scatter = resolve(estimator)
        Z = _steps.in_table(X) if space is None else _steps.in_space(space, space.transform(X))
        scatter.remove(Z.given, sample_weight)
        self._follow(estimator, Z.table, self.contribution_names_)
        return self

    def _next_estimator(self) -> Any:
        """Return a copy of the fitted estimator that can go on, with the parameters that its scatter is given now."""
        estimator = _successor(self.estimator_)
        scatter, template = resolve(estimator)[1], resolve(self.estimator)[1]
        if type(scatter) is not type(template):
            raise ValueError(
                f"The estimator is {type(template).__name__} now, and {type(scatter).__name__} was fitted: one cannot "
                "go on with what the other has learned. Call fit to start again, or set the estimator back."
            )
        scatter.set_params(**clone(template).get_params(deep=False))
        return estimator

    def _follow(self, estimator: Any, rows: NDArray[Any], names: NDArray[np.object_]) -> None:
        """Set what depends on the fitted estimator; rows learned from are known by their number alone."""
        scatter = resolve(estimator)[1]
        n = getattr(scatter, "n_samples_", getattr(self, "n_samples_", 0) + len(rows))
        level = _steps.row_level(self.alpha, n if self.simultaneous else None)
        null = stream_law(self.null, estimator, rows, level)
        rank = getattr(scatter, "rank_", np.size(scatter.location_))
        subspace = _steps.training_subspace(scatter, int(rank), n)

        # Nothing can fail from here on, so that the attributes belong to one state.
        self.estimator_, self.null_, self._subspace = estimator, null, subspace
        self.n_samples_, self.contribution_names_ = n, names
        for name in ("d2_", "pvalues_", "_measured"):
            self.__dict__.pop(name, None)


def _successor(estimator: Any) -> Any:
    """Return a shallow copy, whose scatter can go on learning while the original stays as it is."""
    new = copy(estimator)
    if isinstance(new, Pipeline):
        new.steps = [*estimator.steps[:-1], (estimator.steps[-1][0], _successor(estimator.steps[-1][1]))]
    return new


def _mapped(space: Any, X: Any, first: bool) -> Any:
    return space.fit_transform(X) if first else space.transform(X)


def check_streams(null: Any, estimator: Any) -> None:
    """Raise when a detector of this law and estimator cannot go on learning."""
    space, scatter = resolve(estimator)
    if space is not None and not space_is_fixed(space):
        raise ValueError(
            "partial_fit needs steps before the scatter that learn nothing from the rows, and one of "
            f"{[name for name, _ in space.steps]} does: what it learned from earlier rows would not hold for others. "
            f"Leave it out ({type(scatter).__name__} needs no scaling of columns), or fit it once beforehand and pass "
            "rows that it has transformed."
        )
    name = null if isinstance(null, str) else type(null).__name__
    if name not in ("auto", "normal", "chi2") and not isinstance(null, _CLOSED):
        _stored_rows(name)
    if name == "auto" and not _has_closed_law(scatter):
        raise ValueError(
            f"partial_fit with null='auto' knows the law of EmpiricalCovariance alone, and not of "
            f"{type(scatter).__name__}, whose law would have to be simulated again after each call. "
            "null='chi2' takes chi-square for an approximation."
        )
    if (isinstance(null, NormalTheoryNull) or name == "normal") and not isinstance(scatter, BaseScatter):
        raise ValueError(
            f"null='normal' depends on the number of rows, which {type(scatter).__name__} does not keep. Use "
            "EmpiricalCovariance of fmahal, or null='chi2'."
        )


def _stored_rows(name: str) -> NoReturn:
    raise ValueError(
        f"partial_fit keeps no rows, and null {name!r} needs them, or simulates anew for each estimate. Use "
        "null='auto', 'normal' or 'chi2', or call fit with all rows."
    )


def _has_closed_law(scatter: Any) -> bool:
    return isinstance(scatter, BaseScatter) and scatter.scatter_kind == "empirical"


def stream_law(spec: Any, estimator: Any, rows: Any, level: float) -> BaseNull:
    """Return the law of new rows for a fitted estimator, whose own rows are not at hand; O(1)."""
    null = NormalTheoryNull() if spec == "auto" else resolve_null(spec, estimator, rows, alpha=level)
    try:
        null.fit(estimator, rows, np.empty(0))
    except (
        RankDeficientError
    ) as error:  # a stream has to start somewhere: more rows may come before the first verdict
        null.new_dist_ = NoLaw(error)
    null.train_dist_ = NoLaw(
        AttributeError("After partial_fit there is no law of training rows: they are not kept.")
    )
    return null
