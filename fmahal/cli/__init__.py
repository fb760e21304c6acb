"""The command line ``fmahal``: detect, compare, datasets, warmup, info."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

__all__ = ["main"]

_COMMANDS = {
    "detect": "_detect",
    "compare": "_compare",
    "datasets": "_datasets",
    "warmup": "_info",
    "info": "_info",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    code : int
        0 on success; 2 for bad input or arguments, said in one message on standard error; 130 when
        interrupted; 141 when the reader of standard output went away.

    Examples
    --------
    >>> from fmahal.cli import main
    >>> main(["datasets", "no-such-table"])
    2
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse after --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        print("fmahal: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _silence_stdout()
        return 141
    except (ValueError, OSError, MemoryError) as error:
        if debug:
            raise
        print(f"fmahal: error: {_message(error)}", file=sys.stderr)
        return 2


def _run(arguments: list[str]) -> int:
    from ._parser import build_parser

    options = build_parser().parse_args(arguments)
    from ._console import notes_on_stderr

    options.call = _shell_words(arguments)
    module = import_module(f".{_COMMANDS[options.command]}", __name__)
    with notes_on_stderr() as options.notes:
        return getattr(module, f"run_{options.command}")(options)


def _shell_words(arguments: list[str]) -> str:
    import shlex

    return shlex.join(["fmahal", *arguments])


def _message(error: BaseException) -> str:
    """Text of an error on one line, without the errno of the operating system."""
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename!r}" if error.filename else ""
        return f"{error.strerror}{where}."
    if isinstance(error, MemoryError) and not str(error):
        return "not enough memory for this table."
    return " ".join(str(error).split()) or type(error).__name__


def _silence_stdout() -> None:
    """Let the interpreter flush into nothing at exit: the reader has gone."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
