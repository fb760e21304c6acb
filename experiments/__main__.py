"""Every claim again with one command.

python -m experiments list
python -m experiments run e01 e07 --profile paper --jobs 2     # or: run all; what is stored is not measured again
python -m experiments run e02 --with my_estimator.py            # a file that registers a method, or a data set
python -m experiments render                                    # figures, tables and numbers of paper and pages
python -m experiments check                                     # is any of them older than its results, or typed?
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments._spec import PROFILES, SpecError, chosen, load, methods
from experiments._store import Store


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog="python -m experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = out.add_subparsers(dest="command", required=True)
    for name, text in (
        ("list", "the experiments, their sizes, and what is stored"),
        ("run", "measure what is missing"),
        ("render", "write figures, tables, numbers and pages from stored results"),
        ("check", "fail when something is stale, edited or typed by hand"),
    ):
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument("names", nargs="*", metavar="NAME", help="such as e01; all of them by default")
        one.add_argument(
            "--results", type=Path, metavar="DIR", help="keep results there, as DIR/NAME.parquet"
        )
        one.add_argument(
            "--with",
            dest="plugins",
            action="append",
            default=[],
            metavar="FILE.py",
            help="a method, data set or experiment of your own",
        )
        if name in ("list", "run"):
            one.add_argument("--profile", choices=PROFILES, default="smoke" if name == "run" else "paper")
        if name == "run":
            one.add_argument("--jobs", type=int, default=1, help="cells at once (1)")
            one.add_argument("--backend", default="loky", help="of joblib, or sequential (loky)")
            one.add_argument("--only", default="", metavar="KEY=A|B,KEY=C", help="cells of these axes alone")
            one.add_argument("--again", action="store_true", help="forget what is stored of them first")
        if name == "render":
            one.add_argument("--into", type=Path, metavar="DIR", help="write there, not into the checkout")
            one.add_argument("--show", action="store_true", help="print the tables too, as Markdown")
        if name == "check":
            one.add_argument(
                "--data-only", action="store_true", help="do not ask whether sources have changed"
            )
    return out


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser().parse_args(argv)
    try:
        load(options.plugins)
        return COMMANDS[options.command](options)
    except SpecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, and the same command goes on from there", file=sys.stderr)
        return 130


def _list(options: argparse.Namespace) -> int:
    table = Table("name", "title", "methods", f"cells ({options.profile})", "stored", "still valid")
    for one in chosen(options.names):
        plan = one.cells(options.profile)
        stored = Store(one, options.profile, options.results).load().rows
        current = sum(cell.key in stored for cell in plan)
        table.add_row(
            one.name, one.title, *map(str, (len(methods(one.role)), len(plan), len(stored), current))
        )
    Console().print(table)
    return 0


def _run(options: argparse.Namespace) -> int:
    from experiments._run import CellError, run

    pairs = [pair.partition("=") for pair in options.only.split(",") if pair]
    if any(not (key and mark and value) for key, mark, value in pairs):
        raise SpecError(
            f"--only {options.only}: write KEY=VALUE, such as --only 'method=mcd|mrcd,repetition=0'."
        )
    status = 0
    for one in chosen(options.names):
        try:
            store = run(
                one, options.profile, jobs=options.jobs, backend=options.backend, plugins=options.plugins,
                only={key: value for key, _, value in pairs}, again=options.again, folder=options.results,
            )  # fmt: skip
        except CellError as error:
            print(
                f"error: {error}\nWhat was measured is kept; the same command measures the rest.",
                file=sys.stderr,
            )
            status = 1
        else:
            print(f"{one.name}: {len(store.rows)} cells in {store.parquet}")
    return status


def _render(options: argparse.Namespace) -> int:
    from experiments._render import render_all

    return render_all(options.names, results=options.results, into=options.into, show=options.show)


def _check(options: argparse.Namespace) -> int:
    from experiments._check import check_all

    faults = check_all(options.names, data_only=options.data_only)
    print("\n".join(faults) or "nothing is stale, edited or typed by hand")
    return bool(faults)


COMMANDS = {"list": _list, "run": _run, "render": _render, "check": _check}

if __name__ == "__main__":
    sys.exit(main())
