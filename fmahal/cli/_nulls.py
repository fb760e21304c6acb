"""The null of a detector on the command line: its parameters, its progress, what its reference distances say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .._registry import nulls
from .._typing import ArrayLike
from ..nulls import BaseNull, select_null
from . import _params
from ._table import plural

_AUTO = "auto"
ABOUT_NEW_ROWS = "No new row can be called outlying"  # what a conformal null says of them


class Picked(BaseNull):
    """What ``null="auto"`` picks, with a listener to its replicates; `fit` returns the null that was picked.

    Parameters
    ----------
    alpha : float, default=0.01
        Level that the number of replicates has to suit.
    callback : callable, default=None
        ``callback(done, total)``, called after each block of replicates.
    """

    def __init__(self, alpha: float = 0.01, callback: Callable[[int, int], None] | None = None):
        self.alpha = alpha
        self.callback = callback

    def fit(self, estimator: Any, X: ArrayLike, d2: Any) -> Any:
        """Pick the law that suits the fitted estimator, fit and return it."""
        null = select_null(estimator, X, alpha=self.alpha)
        return listened(null, self.callback).fit(estimator, X, d2)


def listener(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return a callback that tells `say` how many replicates are done."""

    def heard(done: int, total: int) -> None:  # a function: clone copies objects, which a screen cannot be
        say(f"resampling {done} of {total}")

    return heard


def make_null(name: str, settings: dict[str, Any], alpha: float, say: Callable[[str], None]) -> Any:
    """Return the unfitted null of a registered name with its parameters set; `say` hears of its replicates."""
    _params.check_name(nulls, name, "--null")
    if name == _AUTO:
        if settings:
            key, value = next(iter(settings.items()))
            raise ValueError(
                "--null-set sets a parameter of a null that is named; the one picked by auto has its own. Name it, "
                f"for example --null bootstrap --null-set {key}={value}"
            )
        return Picked(alpha, listener(say))
    null = _params.apply_settings(_params.seeded(nulls[name]), settings, name, "--null-set", "null")
    return listened(null, listener(say))


def listened(null: Any, callback: Any) -> Any:
    """Set the callback of a null that has one."""
    if "callback" in null.get_params(deep=False):
        null.set_params(callback=callback)
    return null


def forget_listener(detector: Any) -> None:
    """Take the progress bar out of a fitted detector, whose nulls are shown with their parameters."""
    if isinstance(detector.null, Picked):
        detector.null = _AUTO
    for null in (detector.null, detector.null_):
        if hasattr(null, "get_params"):
            listened(null, None)


def numbers(detector: Any) -> dict[str, Any]:
    """Return cutoffs, their standard errors and the numbers of reference distances; None for what there is not."""
    from ..report._law import cutoff_se, error_source, references

    train, new, level = detector.null_.train_dist_, detector.null_.new_dist_, detector.level_
    return {
        "cutoff": finite(detector.cutoff_),
        "cutoff_se": finite(cutoff_se(new, level) if detector.cutoff_se_ is None else detector.cutoff_se_),
        "train_cutoff": finite(detector.train_cutoff_),
        "train_cutoff_se": cutoff_se(train, level),
        "cutoff_se_from": error_source(detector.null_),
        "references": references(new),
        "train_references": references(train),
        "redrawn": getattr(detector.null_, "n_redrawn_", None),
        "leave_one_out": leaves_one_out(detector),
    }


def leaves_one_out(detector: Any) -> bool:
    """Tell whether the distances of the rows come from fits without them."""
    from ..plotting._rows import leaves_one_out

    return leaves_one_out(detector.null_)


def finite(value: Any) -> float | None:
    """Return a number that JSON can hold; None for a law per row and for an infinite cutoff."""
    return None if value is None or np.ndim(value) or not np.isfinite(value) else float(value)


def cutoff_words(detector: Any) -> str:
    """Return the cutoff of the rows of the table with what it rests on, to follow the level."""
    facts = numbers(detector)
    count, error = facts["train_references"], facts["train_cutoff_se"]
    if facts["train_cutoff"] is None:
        return "" if count is None else f", which none of {count:,} reference distances allows"
    text = f", squared distance above {facts['train_cutoff']:.4g}"
    if count is None:
        return text
    return f"{text} ({count:,} reference distances{_error_words(detector, error)})"


def _error_words(detector: Any, error: float | None) -> str:
    """Return the standard error of a cutoff and what it measures, to follow the number of reference distances."""
    from ..report._law import error_source

    null = detector.null_
    if error_source(null) != "replicates":
        return "" if error is None else f"; standard error {error:.2g} from the sampling of the rows"
    rows = (
        f" from {getattr(null, 'n_rows_', detector.n_samples_):,} rows"
        if getattr(null, "kind", "parametric") != "parametric"
        else ""
    )
    added = "" if error is None else f"; the number of replicates alone adds a standard error of {error:.2g}"
    return rows + added


def picked_words(detector: Any) -> str:
    """Return that auto picked the null, and what that assumes where its name does not say it."""
    normal = getattr(detector.null_, "kind", None) == "parametric"
    return f" (picked by auto{'; it draws normal rows' if normal else ''})"


def level_words(detector: Any) -> str:
    """Return the level that the user chose and what it is about: alpha, or the share that the null itself flags."""
    from ..report._law import flagged_in_any_data, judges_together

    share, law = getattr(detector.null_, "level_", None), detector.null_.train_dist_
    if share is None:
        return f"{detector.alpha:g} for {'any of the rows' if judges_together(detector) else 'each row'}"
    count = flagged_in_any_data(law, share)
    asked = getattr(detector.null_, "contamination", None)
    if count is None or asked is None:
        return f"{share:g} for each row"
    return f"contamination {asked:g}, {count:,} of {plural(detector.n_samples_, 'row')}"


def idle_settings(detector: Any, settings: dict[str, Any]) -> list[str]:
    """Return a note where settings of a conformal null change nothing for the rows of the table."""
    from ..report._law import is_a

    idle = [key for key in ("kind", "calibration_fraction") if key in settings]
    if not idle or not is_a(detector.null_, "ConformalNull") or detector.null_.kind == "cv":
        return []
    return [
        f"{' and '.join(f'--null-set {key}={settings[key]}' for key in idle)}: no effect on the rows of the table. A "
        f"conformal law ranks them among their {'cross-validated' if _folds(detector) else 'leave-one-out'} "
        "distances, whatever the kind, which is about new rows: judge these in Python, with predict(X_new)."
    ]


def _folds(detector: Any) -> bool:
    return getattr(detector.null_, "engine_", None) == "folds"


def distance_words(detector: Any) -> list[str]:
    """Return what the distances are where they come from fits without the row, as no or one line."""
    if not leaves_one_out(detector):
        return []
    what = "cross-validated" if _folds(detector) else "leave-one-out"
    return [f"d2       {what}: the distance of each row by a fit without it"]


def expectation(detector: Any) -> str:
    """Return how many rows would be flagged by chance, for use in a sentence."""
    from ..plotting._rows import scatter_facts
    from ..report._law import (
        flagged_in_any_data,
        is_resampled,
        judges_together,
        law_is_exact,
        law_name,
        pooled_words,
        resamples_outliers,
    )
    from ..report._words import unknown_chance

    null, law, n = detector.null_, detector.null_.train_dist_, detector.n_samples_
    name = law_name(law, null)
    count = flagged_in_any_data(law, detector.level_)
    if count is not None:
        return f"the {name} ranks the rows among themselves and flags {count} of them in any data"
    if unknown := unknown_chance(detector, detector.level_):
        return unknown
    together = judges_together(detector)
    if not together and resamples_outliers(null, scatter_facts(detector).robust):
        return pooled_words(_count(n * detector.level_), scatter_facts(detector).regularized)
    condition = f"if the {name} held"
    if law_is_exact(detector):
        normal = not is_resampled(null)
        condition = "if the rows were normal and none an outlier" if normal else "if no row were an outlier"
    if together:
        return f"any false alarm has probability {detector.alpha:.2g} {condition}"
    return f"{_count(n * detector.level_)} expected {condition}"


def _count(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def in_shell_words(text: str) -> str:
    """Return what a null said of its parameters as options: ``kind='cv'`` becomes ``--null-set kind=cv``."""
    return re.sub(r"\b(kind|tail)='(\w+)'", r"--null-set \1=\2", text)


def too_few_note(detector: Any) -> str | None:
    """Return why no row can be flagged at this level and what to do; None where rows can be."""
    from ..report._fit import shell_null_setting
    from ..report._law import too_few

    return too_few(detector.null_, detector.null_.train_dist_, detector.level_, shell_null_setting)
