"""The report on one fitted detector."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._typing import ArrayLike, FloatArray
from ..exceptions import AmbiguousFitWarning, ExactFitWarning, FmahalWarning
from ..plotting._rows import JudgedRows, contributions, judge, row_labels, scatter_facts
from . import _curves, _figures, _fit, _law, _sketch
from ._page import facts_of, number, percent, plural, render, require_jinja2, short, shown
from ._words import describe_law, error_words, limits_of, meaning_of, misfit_of, unknown_chance, verdict_of

_SHOWN_PARTS = 3
_BEYOND = 3  # rows shown after the last flagged one: how clear the gap is
_REFERENCES = (
    (
        "Rousseeuw, P. J. & van Zomeren, B. C. (1990). Unmasking multivariate outliers and leverage points. "
        "Journal of the American Statistical Association, 85, 633–639.",
        "10.1080/01621459.1990.10474920",
    ),
    (
        "Mayrhofer, M. & Filzmoser, P. (2023). Multivariate outlier explanations using Shapley values and "
        "Mahalanobis distances. Econometrics and Statistics.",
        "10.1016/j.ecosta.2023.04.003",
    ),
)


def detect_report(
    detector: Any,
    X: ArrayLike,
    *,
    title: str,
    feature_names: Sequence[str] | None = None,
    row_names: Sequence[Any] | None = None,
    source: str = "",
    call: str = "",
    alpha: float | None = None,
    top: int = 20,
    extra: Mapping[str, Any] | None = None,
    known_outliers: ArrayLike | None = None,
    warnings: Sequence[Any] = (),
    tick_labels: Sequence[str] | None = None,
    component_names: Sequence[str] | None = None,
) -> str:
    """Return one self-contained HTML page about a fitted detector and its rows.

    Parameters
    ----------
    detector : MahalanobisDetector or Pipeline that ends in one
        Fitted.
    X : array-like of shape (n_samples, n_features), or curves
        The training rows (recognised by their distances and judged by the law of training rows) or new ones. Curves
        when the estimator starts with a space of curves: the page then shows them, their eigenfunctions, and where
        along their domain the outliers are outlying.
    title : str
        Heading of the page.
    feature_names : sequence of str, default=None
        Column names; None takes those the detector knows.
    row_names : sequence of n_samples names, default=None
        None takes the index of a data frame, else row numbers from 0.
    source : str, default=""
        Where the data come from, under the heading.
    call : str, default=""
        The command or code that reproduces the page.
    alpha : float, default=None
        Level other than the detector's own.
    top : int, default=20
        Largest number of rows in the table, which shows the flagged rows and a few more for comparison.
    extra : mapping of str to str, default=None
        Further lines of the set-up.
    known_outliers : array-like of bool, shape (n_samples,), default=None
        Rows known to be outliers: they are marked and counted, never used.
    warnings : sequence of str or Warning, default=()
        What was warned about on the way. That a law is only approximate, exact fits and competing fits are found
        again and need not be passed; what a law by resampling warned about in its fit is not.
    tick_labels : sequence of str, default=None
        Of curves, names of the grid points, for example months.
    component_names : sequence of str, default=None
        Of vector-valued curves, names of the components.

    Returns
    -------
    str
        HTML with inline style and inline SVG; no script, nothing is loaded. Equal input gives an equal page.

    Raises
    ------
    ImportError
        jinja2 or matplotlib is missing.
    sklearn.exceptions.NotFittedError
        The detector is not fitted.
    ValueError
        Lengths do not match, or `alpha` or `top` is out of range.

    Notes
    -----
    The numbers are those of the detector: `d2_`, `pvalues_` and `labels_` for training rows. O(n p^2 + p^3)
    time, for the classical scatter of the distance-distance plot.

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import EmpiricalCovariance, MahalanobisDetector
    >>> from fmahal.report import detect_report
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> page = detect_report(MahalanobisDetector(EmpiricalCovariance()).fit(X), X, title="Sixty rows")
    >>> page[:15], "<h1>Sixty rows</h1>" in page
    ('<!DOCTYPE html>', True)
    """
    require_jinja2()
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top!r}.")
    rows = judge(detector, X, alpha)
    n = rows.d2.size
    known = _known(known_outliers, n)
    names = row_labels(X, n, row_names)
    columns = _column_names(rows, feature_names)
    curves = _curves.are_curves(rows.detector)
    ranked = _ranked(rows, columns, names, top, known, with_parts=not curves)
    content = {
        "verdict": verdict_of(rows, known),
        "tiles": _tiles(rows),
        "notices": _fit_notices(rows, columns, names, call) + _notices(rows, warnings, call),
        "ranked": ranked,
        "ranked_title": "Ranked outliers" if rows.flagged.any() else "Farthest rows",
        "ranked_hint": _ranked_hint(rows, len(ranked)) + _numbering(names),
        "figures_hint": _figures.hint(rows),
        "figures": _figures.figures(rows, names, feature_names),
        "meaning": meaning_of(rows),
        "limits": limits_of(rows),
        "facts": _setup(rows) + facts_of(extra),
    }
    if curves:
        content |= _of_curves(
            rows, names, content, {"tick_labels": tick_labels, "component_names": component_names}
        )
    widths = [len(part["name"]) for row in ranked for part in row["parts"]]
    return render(
        "detect.html.j2", title=title, source=source, call=call, references=_REFERENCES,
        name_width=max(5, min(20, max(widths, default=5))),
        **({"curves": [], "row_word": "Row"} | content),
    )  # fmt: skip


def _of_curves(
    rows: JudgedRows, names: list[str], content: dict[str, Any], words: dict[str, Any]
) -> dict[str, Any]:
    """Return what differs on a page about curves: their plots, where they are outlying, and the words."""
    say = _curves.in_words_of_curves
    order = np.array([row["position"] for row in content["ranked"]], dtype=int)
    for row, cause in zip(content["ranked"], _curves.causes(rows, order, **words)):
        row["cause"] = cause
    tiles = [tile | {"label": say(tile["label"]), "unit": say(tile["unit"])} for tile in content["tiles"]]
    tiles[2]["unit"] = _curves.size(rows.detector)
    figures = [figure | {"caption": say(figure["caption"])} for figure in content["figures"]]
    hint = content["ranked_hint"].split(", each with")[0]
    return {
        "curves": _curves.figures(rows, names, words),
        "row_word": "Curve",
        "verdict": say(content["verdict"]),
        "tiles": tiles,
        "notices": [say(text) for text in content["notices"]],
        "ranked_title": say(content["ranked_title"]),
        "ranked_hint": f"{say(hint)}, each with its contributions along the domain, on a scale of its own, and the "
        f"shortest stretch with half of the squared distance.{say(_numbering(names))}",
        "figures_hint": say(content["figures_hint"]),
        "figures": figures,
        "meaning": _curves.meaning(content["meaning"]),
        "limits": _curves.limits(content["limits"]),
        "facts": [
            (
                say(name),
                _curves.estimator_words(rows.detector.estimator_) if name == "Estimator" else say(text),
            )
            for name, text in content["facts"]
        ],
    }


def _known(mask: ArrayLike | None, n: int) -> np.ndarray | None:
    if mask is None:
        return None
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != (n,):
        raise ValueError(f"known_outliers has shape {mask.shape} for {n} rows.")
    return mask


def _column_names(rows: JudgedRows, given: Sequence[str] | None) -> list[str]:
    """Return the names of the columns of `contributions`."""
    fitted = [str(name) for name in rows.detector.contribution_names_]
    if given is None:
        return fitted
    if len(given) != rows.detector.n_features_in_:
        raise ValueError(
            f"feature_names has {len(given)} entries for {rows.detector.n_features_in_} columns."
        )
    # A space before the scatter has its own coordinates: names of the columns do not belong to them.
    return [str(name) for name in given] if not hasattr(rows.detector.estimator_, "steps") else fitted


def _tiles(rows: JudgedRows) -> list[dict[str, Any]]:
    n, p = rows.d2.size, getattr(rows.detector, "n_features_in_", rows.detector.contribution_names_.size)
    k = int(rows.flagged.sum())
    expected = n * rows.level
    cutoff = rows.common[2]
    scope = "for all rows together" if _law.judges_together(rows.detector) else "a row"
    chance = "Expected by chance" if _law.law_is_exact(rows.detector) else "Expected if the law held"
    known = unknown_chance(rows.detector, rows.level) is None
    rank, full = scatter_facts(rows.detector).rank, rows.detector.contribution_names_.size

    def tile(label: str, shown: Any, unit: str = "", value: Any = None) -> dict[str, Any]:
        return {"label": label, "shown": shown, "unit": unit, "value": value}

    return [
        tile("Flagged rows", f"{k:,}", f"{percent(k / n)} of {n:,}", k),
        tile(chance, short(round(expected, 2)), "rows", expected)
        if known
        else tile("Expected by chance", "–", "not known, see below"),
        tile("Rows", f"{n:,}", f"in {plural(p, 'column')}", n),
        tile("Rank", f"{rank:,}", "full" if rank == full else f"of {full:,}", rank),
        tile("Level α", short(rows.alpha), scope, rows.alpha),
        tile("Cutoff", number(cutoff), "squared distance" + _error_of(rows), cutoff),
    ]  # fmt: skip


def _error_of(rows: JudgedRows) -> str:
    """Return the standard error of the cutoff of a law of reference distances."""
    error = _law.cutoff_se(rows.law, rows.level)
    return "" if error is None else f", {error_words(error, rows.detector.null_)}"


def _numbering(names: Sequence[str]) -> str:
    """Return how rows are numbered, where their names are their numbers: the command line counts from 1."""
    for first, text in (
        (0, " Rows are numbered from 0."),
        (1, " Rows are numbered from 1; in Python they count from 0."),
    ):
        if all(name == str(k) for k, name in enumerate(names, first)):
            return text
    return ""


def _ranked_hint(rows: JudgedRows, shown: int) -> str:
    k = int(rows.flagged.sum())
    text = f"The {plural(shown, 'row')} with the smallest p-values"
    if k > shown:
        text += f", of {k:,} flagged"
    return (
        text
        + ", each with the columns that add most to its squared distance. The contributions of all columns add up to "
        "it; negative ones pull a row towards the centre and are not shown."
    )


def _ranked(
    rows: JudgedRows,
    columns: list[str],
    names: list[str],
    top: int,
    known: np.ndarray | None,
    *,
    with_parts: bool = True,
) -> list[dict[str, Any]]:
    """Return the rows of the table, smallest p-value first, equal p-values by distance."""
    shown = min(top, max(int(rows.flagged.sum()) + _BEYOND, 5))
    order = np.lexsort((-rows.d2, rows.pvalues))[:shown]
    parts = _contributions(rows, order) if with_parts else None
    off = _law.off_subspace(rows.detector, rows.d2, rows.pvalues, rows.law)
    bounded = _law.is_bounded(rows.law, rows.d2)
    shared, law, _ = rows.common
    beyond = (
        np.asarray(law.sf(shared[order])) == 0
    )  # too small for a float; off the span p is 0 at any distance
    return [
        {
            "position": int(i),
            "name": names[i],
            "flagged": bool(rows.flagged[i]),
            "known": known is not None and bool(known[i]),
            "off": bool(off[i]),
            "d2": float(rows.d2[i]),
            "distance": float(np.sqrt(rows.d2[i])),
            "pvalue": float(rows.pvalues[i]),
            "underflow": rows.pvalues[i] == 0 and bool(beyond[k]),
            "bounded": bool(bounded[i]) and not off[i],
            "parts": [] if parts is None else _parts(parts[k], columns),
        }
        for k, i in enumerate(order)
    ]


def _contributions(rows: JudgedRows, order: np.ndarray) -> FloatArray:
    taken = rows.X.iloc[order] if hasattr(rows.X, "iloc") else np.asarray(rows.X)[order]
    return contributions(rows.detector, taken, rows.d2[order] if rows.training else None)


def _parts(values: FloatArray, columns: list[str]) -> list[dict[str, Any]]:
    """Return the contributions that add most to one row's distance, with the bars that show them on one scale."""
    largest = np.argsort(-values, kind="stable")[:_SHOWN_PARTS]
    largest = largest[values[largest] > 0]
    unit = values[largest].max(initial=0.0) / 100
    return [
        {
            "name": columns[j] if len(columns) == values.size else f"coordinate {j}",
            "value": float(values[j]),
            "width": round(values[j] / unit, 2),
        }
        for j in largest
    ]


def _fit_notices(rows: JudgedRows, columns: list[str], names: list[str], call: str) -> list[str]:
    """Return what the fit says of itself, an exact fit or a competing fit, in the language of the `call`."""
    own = names if rows.training else None  # rows at hand that were not fitted have other names
    X = rows.X if rows.training else None
    setting = _fit.shell_setting if call.startswith("fmahal ") else _fit.python_setting
    texts = (
        _fit.exact_fit_text(rows.detector, columns, own, X),
        _fit.alternative_text(rows.detector, own, setting),
    )
    return [text for text in texts if text]


def _notices(rows: JudgedRows, given: Sequence[Any], call: str) -> list[str]:
    """Return what a reader has to know before the numbers: each text once, in order."""
    setting = _fit.shell_null_setting if call.startswith("fmahal ") else _fit.python_setting
    items = [getattr(item, "message", item) for item in given]
    # The page has its own words for these: with names of rows and columns.
    texts = _sketch.limit(rows.detector)
    texts += [str(item) for item in items if not isinstance(item, AmbiguousFitWarning | ExactFitWarning)]
    texts += _calibration(rows)
    own = (misfit_of(rows), _law.too_few(rows.detector.null_, rows.law, rows.level, setting))
    return list(dict.fromkeys([*texts, *(text for text in own if text)]))


def _calibration(rows: JudgedRows) -> list[str]:
    """Return the warning that the choice of the null gave in fit, which the detector does not keep."""
    from ..nulls import ChiSquareNull, NormalTheoryNull, resolve_null

    if not rows.training:
        return []
    detector = rows.detector
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        null = resolve_null(detector.null, detector.estimator_, rows.X, alpha=detector.alpha)
        degenerate = getattr(detector.null_, "source_", None) == "chi-square"
        if degenerate or isinstance(null, ChiSquareNull | NormalTheoryNull):  # others may refit many times
            null.fit(detector.estimator_, rows.X, detector.d2_)
    return [str(item.message) for item in caught if issubclass(item.category, FmahalWarning)]


def _source(null: Any) -> str:
    """Return where a simulated law comes from, as an addition to the name of the null."""
    source = getattr(null, "source_", None)
    if source == "table":
        return ", from a table of simulated fits at these settings"
    return f", from {null.n_fits_:,} simulated fits at these settings" if source == "simulation" else ""


def _setup(rows: JudgedRows) -> list[tuple[str, str]]:
    detector = rows.detector
    law, together = detector.null_, _law.judges_together(detector)
    facts = [
        ("Estimator", shown(detector.estimator_)),
        *_fit.fit_facts(detector),
        ("Null law", shown(law) + _source(law)),
        ("Law of training rows", describe_law(law.train_dist_, rows.level, law)),
        ("Law of new rows", describe_law(law.new_dist_, rows.level, law)),
        ("Rows in this report", "training rows" if rows.training else "new rows, not used in the fit"),
        ("Level", f"α = {rows.alpha:g}" + (", for all rows together" if together else " a row")),
    ]
    if together and rows.level != rows.alpha:
        facts.append(("Level of one row", f"{rows.level:.6g}"))
    return facts
