"""What the user sees: tables on standard output, notes and progress on standard error."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_PIPE_WIDTH = 160
_LEAST_WIDTH = 76


# scikit-learn says so once a start, each time with other numbers.
_SINGULAR = re.compile(
    r"(?P<who>[\w -]+: )?(Determinant has increased|.*covariance matrix .* is not full rank)"
)
_SINGULAR_NOTE = (
    "the rows or a subset of them are nearly collinear (constant, duplicate or dependent columns), so that the "
    "robust fit is delicate and its distances may be inaccurate"
)


class Notes(dict[str, Any]):
    """Warnings, text to category; those about results wait until the results are out, as (text, category)."""

    def __init__(self) -> None:
        super().__init__()
        self.deferred: list[tuple[str, Any]] = []


@contextmanager
def notes_on_stderr() -> Iterator[Notes]:
    """Show each distinct warning once, as a line ``note: ...`` on standard error.

    Warnings meant for programmers (deprecations) are left out; warnings about calibration, exact fits and
    competing fits come last, since they are about results. Yields what was shown.
    """
    from ..exceptions import AmbiguousFitWarning, CalibrationWarning, ExactFitWarning

    seen = Notes()

    def show(message: Any, category: Any, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        singular = _SINGULAR.match(text)
        if singular is not None:
            text = (singular["who"] or "") + _SINGULAR_NOTE
        if text in seen:
            return
        seen[text] = category
        if issubclass(category, AmbiguousFitWarning | CalibrationWarning | ExactFitWarning):
            seen.deferred.append((text, category))
        else:
            print(_fold(f"note: {text}"), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for kind in (
            DeprecationWarning,
            PendingDeprecationWarning,
            FutureWarning,
            ImportWarning,
            ResourceWarning,
        ):
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = show
        yield seen
    if seen.deferred:
        sys.stdout.flush()
    for text, _ in seen.deferred:
        print(_fold(f"note: {text}"), file=sys.stderr)


def _fold(text: str) -> str:
    """Fold a long line at the width of a terminal; on a pipe a note stays one line."""
    if not sys.stderr.isatty():
        return text
    return textwrap.fill(
        text, max(40, min(100, shutil.get_terminal_size().columns)), subsequent_indent="      "
    )


def console(stream: Any = None) -> Any:
    """Return a rich console; on a pipe it is wide and plain, a narrow terminal wraps lines by itself."""
    from rich.console import Console

    stream = sys.stdout if stream is None else stream
    width = max(_LEAST_WIDTH, shutil.get_terminal_size().columns) if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, highlight=False, soft_wrap=False, width=width)


def table(headings: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[Any]]) -> Any:
    """Return a rich table; a heading ``(text, "right")`` sets the alignment, cells are plain text.

    On a narrow terminal headings fold and the last column folds; no other cell is folded or cut.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row] for row in rows]
    result = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for k, heading in enumerate(headings):
        text, justify = (heading, "left") if isinstance(heading, str) else heading
        folds = k == len(headings) - 1 and justify == "left"
        width = None if folds else max((row[k].cell_len for row in cells), default=0)
        result.add_column(Text(text), justify=justify, min_width=width)  # type: ignore[arg-type]
    for row in cells:
        result.add_row(*row)
    return result


def show(screen: Any, result: Any) -> None:
    """Print a table between blank lines, without blanks at line ends on a pipe."""
    if screen.is_terminal:
        screen.print("", result, "", sep="\n")
        return
    with screen.capture() as captured:
        screen.print(result)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    screen.print("", *lines, "", sep="\n", markup=False, soft_wrap=True)


class Progress:
    """A bar or a spinner with the elapsed time on standard error; silent unless that is a terminal.

    Parameters
    ----------
    total : int or None
        Number of steps; None for a job whose length is not known.
    """

    def __init__(self, total: int | None = None):
        self.total = total
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            columns = [progress.SpinnerColumn(), progress.TextColumn("{task.description}")]
            if self.total is not None:
                columns += [progress.BarColumn(), progress.MofNCompleteColumn()]
            columns.append(progress.TimeElapsedColumn())
            self._bar = progress.Progress(*columns, console=Console(file=sys.stderr), transient=True)
            self._task = self._bar.add_task("", total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Show what is being done now."""
        if self._bar is not None:
            self._bar.update(self._task, description=text)

    def step(self, count: int = 1) -> None:
        """Count steps as done."""
        if self._bar is not None:
            self._bar.advance(self._task, count)


def seconds(value: float) -> str:
    """Format a time: ``0.0021`` -> ``2.1 ms``."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 1 or unit == "us":
            return f"{value * factor:.3g} {unit}"
    return ""


def percent(share: float) -> str:
    """Format a share of one as a percentage."""
    return f"{100 * share:.1f} %"


def distance(value: float) -> str:
    """Format a squared distance with four digits; large ones as whole numbers."""
    return f"{value:.0f}" if 1e4 <= value < 1e9 else f"{value:.4g}"


def pvalue(value: float) -> str:
    """Format a p-value with three digits; one too small for floating point is ``<1e-300``."""
    return "<1e-300" if value < 1e-300 else f"{value:.3g}"
