"""``fmahal detect``: outliers of one table."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from .._typing import FloatArray
from . import _console, _detect_curves, _params, _write
from ._curves import CurveTable, read_curves
from ._io import load
from ._show import coordinates, show, size_words, speech, top_columns
from ._table import Table, check_table

_SMALL_CELLS = 1_000_000


def run_detect(options: argparse.Namespace) -> int:
    """Fit a detector to the table, show its outliers, write scores and report."""
    _params.check_alpha(options.alpha)
    settings = _params.parse_settings(options.set)
    null_settings = _params.parse_settings(options.null_set, "--null-set")
    _write.check_output(options.out, "--out")
    _detect_curves.check_options(options)
    check_report(options.report)
    table = read_curves(options) if options.curves else read(options)
    from ..models._steps import row_level
    from . import _nulls

    start = time.perf_counter()
    with _console.Progress() as progress, _blas_threads(table.X):
        detector = _build(options, settings, table)
        level = row_level(options.alpha, table.X.shape[0] if options.simultaneous else None)
        detector.null = _nulls.make_null(options.null, null_settings, level, progress.say)
        progress.say(f"fitting {size_words(table)}")
        detector.fit(table.X)
        _nulls.forget_listener(detector)
        _in_shell_words(options, detector, table)
        options.notes.deferred += [
            (text, UserWarning) for text in _nulls.idle_settings(detector, null_settings)
        ]
        took = time.perf_counter() - start
        progress.say("explaining outliers")
        order = np.lexsort((-detector.d2_, detector.pvalues_))
        results = {}
        if options.out is not None:
            results = _scores(detector, table)
        report = _report(options, detector, table) if options.report else None
    if options.out is not None:
        _write.write_columns(options.out, results)
    if report is not None:
        _write.write_text(options.report, report)
    if options.out == "-":
        return 0
    if options.json:
        print(json.dumps(_record(options, detector, table, order, took), indent=2, allow_nan=False))
    else:
        show(options, detector, table, order, _facts(options, detector, table), took)
    return 0


def _blas_threads(X: FloatArray) -> Any:
    """One BLAS thread for tables of up to a million cells.

    Robust estimators factorise thousands of small matrices, where threads only wait for each other:
    scikit-learn's MinCovDet on 1000 x 100 took 6 s with one thread and minutes with two on a busy machine.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1 if X.size <= _SMALL_CELLS else None, user_api="blas")


def read(options: argparse.Namespace) -> Table:
    """Read and check the table that the options name."""
    table = load(
        options.file,
        columns=options.columns,
        drop=options.drop,
        index=options.index,
        labels=options.labels,
        delimiter=options.delimiter,
        header=options.header,
        keep_constant=options.allow_degenerate,
    )
    check_table(table, allow_degenerate=options.allow_degenerate)
    return table


def check_report(path: str | None) -> None:
    """Raise before any work is done when the report cannot be written or made."""
    if path is None:
        return
    if path == "-":
        raise ValueError("--report takes the name of a file, for example --report report.html.")
    _write.check_output(path, "--report", (".html", ".htm"))
    from importlib.util import find_spec

    missing = [name for name in ("matplotlib", "jinja2", "pandas") if find_spec(name) is None]
    if missing:
        raise ValueError(f"--report needs {', '.join(missing)}: pip install 'fmahal[report]'.")


def _build(options: argparse.Namespace, settings: dict[str, Any], table: Table) -> Any:
    if isinstance(table, CurveTable):
        return _detect_curves.build(options, settings, table)
    _, nulls = _params.registered()
    from ..models import MahalanobisDetector
    from ..models._steps import default_estimator

    _params.check_name(nulls, options.null, "--null")
    n, p = table.X.shape
    if options.scatter is not None:
        estimator = _params.make_scatter(options.scatter, settings)
        _params.check_applies(options.scatter, n, p, estimator)
        reason = nulls[options.null].applies(_params.name_for_laws(options.scatter, estimator), n, p)
        if reason is not None:
            raise ValueError(
                f"--null {options.null} does not apply to --scatter {options.scatter}: {reason}."
            )
    else:
        estimator = default_estimator(n, p) if settings else None
        if estimator is not None:
            _params.apply_settings(estimator, settings, type(estimator).__name__)
    return MahalanobisDetector(estimator, alpha=options.alpha, simultaneous=options.simultaneous)


def _in_shell_words(options: argparse.Namespace, detector: Any, table: Table) -> None:
    """Say again, in words of the shell and names of the table, what was warned about the results."""
    from ..exceptions import AmbiguousFitWarning, CalibrationWarning, ExactFitWarning
    from ..models._misfit import MISFIT
    from ..plotting._rows import judge
    from ..report import _fit
    from ..report._words import misfit_of
    from . import _nulls

    misfit = misfit_of(judge(detector))
    said = {
        ExactFitWarning: lambda _: _fit.exact_fit_text(
            detector, coordinates(detector, table), table.row_labels, table.X
        ),
        AmbiguousFitWarning: lambda _: _fit.alternative_text(detector, table.row_labels, _fit.shell_setting),
        CalibrationWarning: lambda text: _calibration(detector, table, text),
    }
    notes: dict[str, Any] = {}
    for text, category in options.notes.deferred:
        if text.startswith(_nulls.ABOUT_NEW_ROWS):
            continue  # there are none here
        if misfit is not None and text.startswith(MISFIT):
            continue  # said below
        words = next((word for kind, word in said.items() if issubclass(category, kind)), lambda _: None)
        notes.setdefault(speech(table)(words(text) or text), category)
    for text in (misfit, _nulls.too_few_note(detector)):
        if text is not None:
            notes[speech(table)(text)] = CalibrationWarning
    options.notes.deferred[:] = notes.items()


def _calibration(detector: Any, table: Table, said: str) -> str:
    """Return in words of the shell why p-values are approximate, in short where auto found only chi-square."""
    from ..nulls import ChiSquareNull
    from ..report import _fit
    from ..report._law import law_name
    from ._nulls import in_shell_words, too_few_note

    if type(detector.null_) is not ChiSquareNull:
        out_of_reach = "No row can be" in said or "too few for level" in said
        return (too_few_note(detector) if out_of_reach else None) or in_shell_words(said)
    scatter = type(_fit.fitted_scatter(detector)).__name__
    name = law_name(detector.null_.train_dist_, detector.null_)
    n, p = table.X.shape[:2]
    exact = "--scatter empirical gives exact ones, " if n > p + 1 else ""
    if isinstance(table, CurveTable) or getattr(detector.estimator_, "scatter_kind", None) == "mcd":
        exact = ""  # of curves no law is exact; and here not that of mcd itself
    elif getattr(detector.estimator_, "robust", False) and n > 2 * p:
        exact = "--scatter mcd, robust too, has a law of its own, "
    return (
        f"The p-values are approximate: the {name} is not exact for {scatter}. "
        f"Read them as a ranking; {exact}--null chi2 silences this note."
    )


def _scores(detector: Any, table: Table) -> dict[str, Any]:
    n = table.X.shape[0]
    columns: dict[str, Any] = {"row": np.arange(1, n + 1)}
    labels = detector.labels_
    own: dict[str, Any] = {
        "d2": detector.d2_,
        "pvalue": detector.pvalues_,
        "label": labels,
        "flagged": labels == -1,
    }
    if isinstance(table, CurveTable):
        parts = _detect_curves.causes(detector, table, np.arange(n))
        own |= {
            f"top_{key}": ["" if part is None else part[key] for part in parts]
            for key in ("from", "to", "share")
        }
    else:
        causes = top_columns(detector, table.X, table.names)
        own["top_columns"] = [";".join(name for name, _ in row) for row in causes]
    if table.row_names is not None:
        name = str(table.index)
        while name in own or name in columns:
            name = f"index_{name}"
        columns[name] = table.row_names
    return columns | own


def _report(options: argparse.Namespace, detector: Any, table: Table) -> str:
    from ..exceptions import AmbiguousFitWarning, CalibrationWarning, ExactFitWarning
    from ..report import detect_report
    from ..report._law import is_resampled

    # The report finds out about these by itself, but would have to resample again to hear what a resampled law said.
    own = AmbiguousFitWarning | CalibrationWarning | ExactFitWarning
    notes = [text for text, kind in options.notes.items() if not issubclass(kind, own)]
    if is_resampled(detector.null_):
        notes += [text for text, kind in options.notes.deferred if issubclass(kind, CalibrationWarning)]
    curves: dict[str, Any] = {}
    if isinstance(table, CurveTable):
        curves = {"tick_labels": table.tick_labels, "component_names": list(table.components) or None}
    return detect_report(
        detector,
        table.X,
        title=f"Outliers of {table.source}",
        feature_names=None if curves else table.names,
        **curves,
        row_names=table.row_labels,
        source=table.summary,
        call=options.call,
        known_outliers=table.outliers,
        warnings=[*table.notes, *notes],
    )


def _facts(options: argparse.Namespace, detector: Any, table: Table) -> dict[str, Any]:
    from ..report import _fit, _sketch
    from ..report._page import shown

    flagged = detector.labels_ == -1
    facts: dict[str, Any] = {
        "source": table.source,
        "rows": int(table.X.shape[0]),
        "columns": int(table.X.shape[1]),
        "scatter": shown(detector.estimator_),
        **_curve_facts(detector, table),
        "null": shown(detector.null_),
        "alpha": options.alpha,
        "simultaneous": options.simultaneous,
        "level": detector.level_,
        "flagged": int(flagged.sum()),
        "subset": _fit.fit_numbers(detector)["subset"],
        **dict.fromkeys(("sketch_components", "sketch_kind", "sketch_se")),
        **(_sketch.of_detector(detector) or {}),
    }
    if table.outliers is not None:
        facts["known_outliers"] = int(table.outliers.sum())
        facts["known_outliers_flagged"] = int((flagged & table.outliers).sum())
    return facts


def _curve_facts(detector: Any, table: Table) -> dict[str, Any]:
    if not isinstance(table, CurveTable):
        return {}
    from ..report._curves import estimator_words

    return {
        "scatter": estimator_words(detector.estimator_),
        "grid": table.tick_labels or table.points.tolist(),
        "components": list(table.components) or None,
    }


def _record(
    options: argparse.Namespace, detector: Any, table: Table, order: np.ndarray, took: float
) -> dict[str, Any]:
    from ..report import _fit
    from ..report._law import off_subspace
    from . import _nulls

    rows = [i for i in order if detector.labels_[i] == -1]
    off = off_subspace(detector, detector.d2_, detector.pvalues_, detector.null_.train_dist_)
    curves = isinstance(table, CurveTable)
    causes: list[Any]
    if isinstance(table, CurveTable):
        causes = _detect_curves.causes(detector, table, np.array(rows, dtype=int))
    else:
        causes = [dict(cause) for cause in top_columns(detector, table.X[rows], table.names)] if rows else []
    outliers = [
        {
            "row": int(i) + 1,
            "name": table.row_names[i] if table.row_names else None,
            "d2": _nulls.finite(detector.d2_[i]),
            "pvalue": float(detector.pvalues_[i]),
            "off_subspace": bool(off[i]),
            "top_part" if curves else "top_columns": cause,
        }
        for i, cause in zip(rows, causes)
    ]
    numbers = _fit.fit_numbers(detector, coordinates(detector, table), table.X)
    return (
        _facts(options, detector, table)
        | _nulls.numbers(detector)
        | numbers
        | {
            "seconds": took,
            "call": options.call,
            "out": options.out,
            "report": options.report,
            "outliers": outliers,
        }
    )
