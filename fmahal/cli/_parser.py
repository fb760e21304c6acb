"""The arguments of the command line. Nothing heavy is imported here: help must come at once."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from .. import __version__

_DETECT = """\
Fit a location and a scatter to the rows of a table, turn squared Mahalanobis distances into p-values, and
list the rows that are outliers at level alpha, with the columns that made them so. Rows are numbered from 1
here and in reports, from 0 in Python.

examples:
  fmahal detect measurements.csv
  fmahal detect measurements.csv --drop id,site --scatter ledoit-wolf --alpha 0.001 --out scores.csv
  fmahal detect wine --scatter mcd --set support_fraction=0.75 --report wine.html
  fmahal detect wine --scatter ledoit-wolf --null bootstrap --null-set n_resamples=4999
  fmahal detect wine --scatter empirical --null conformal --alpha 0.05
  fmahal detect wide.csv --scatter sketched:ledoit-wolf --set n_components=100 --set kind=srht
  cut -d, -f2- big.csv | fmahal detect - --out - > scores.csv

curves (a row is a function of time, say, not a list of unrelated columns):
  fmahal detect elnino --curves --report elnino.html
  fmahal detect spectra.csv --curves --grid wavelengths.txt --space sobolev
  fmahal detect points.csv --curves --long          (columns id, t, value and perhaps component)"""

_COMPARE = """\
Run every registered scatter with every null that applies to the table, and show them side by side: fit time,
share of rows flagged, agreement with the other scatters, and where outlier labels exist the shares of outliers
and of clean rows that are flagged, and the AUROC.

agreement: Jaccard index |A and B| / |A or B| of the rows A that the pair flags and the rows B that another
scatter flags, averaged over that scatter's nulls and then over the other scatters; 1 if both flag nothing.
AUROC: probability that a labelled outlier has a larger distance than another row; ties count one half.

sketched:NAME is a scatter behind a random map to few coordinates. Without --scatter such variants are run where they
can gain something: the number of coordinates is given (--set n_components=K), or the table is so large that a fixed
cost model predicts that they are cheaper than exact distances. The agreement leaves them out of the other scatters.

examples:
  fmahal compare
  fmahal compare hbk --report hbk.html
  fmahal compare wide.csv --scatter ledoit-wolf,sketched:ledoit-wolf --set eps=0.3
  fmahal compare measurements.csv --labels is_faulty --out table.csv"""


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument as a ValueError, like every other bad input."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def build_parser() -> Parser:
    """Return the parser of ``fmahal``."""
    parser = Parser(prog="fmahal", description="Mahalanobis distances with laws that fit them.")
    parser.add_argument("--version", action="version", version=f"fmahal {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    _add_detect(commands)
    _add_compare(commands)
    _add_datasets(commands)
    commands.add_parser("warmup", help="compile every kernel now, so that later calls start fast")
    info = commands.add_parser("info", help="versions, threads, BLAS, cache, registered names")
    info.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _command(commands: Any, name: str, help_: str, description: str) -> Parser:
    return commands.add_parser(
        name, help=help_, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _add_input(parser: Parser, **options: Any) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="CSV or Parquet file, '-', or a bundled data set", **options
    )
    group = parser.add_argument_group("reading the table")
    group.add_argument("--columns", metavar="A,B,...", help="analyse these columns (default: all)")
    group.add_argument("--drop", metavar="A,B,...", help="leave these columns out")
    group.add_argument("--index", metavar="COLUMN", help="column that names the rows")
    group.add_argument(
        "--labels", metavar="COLUMN", help="two-valued column; the rarer value marks known outliers"
    )
    group.add_argument("--delimiter", metavar="D", help="character, or tab, comma, semicolon, pipe, space")
    group.add_argument(
        "--header", choices=("auto", "yes", "no"), default="auto", help="does row 1 hold the names?"
    )
    group.add_argument(
        "--allow-degenerate",
        action="store_true",
        help="accept constant and duplicate columns (distances in the span)",
    )


def _add_curves(parser: Parser) -> None:
    group = parser.add_argument_group("curves")
    group.add_argument(
        "--curves",
        action="store_true",
        help="a row is a curve; a header of numbers is its grid, else equal steps",
    )
    group.add_argument("--grid", metavar="FILE", help="the grid points, one number a line")
    group.add_argument("--long", action="store_true", help="a row is a point: id, t, value[, component]")
    group.add_argument(
        "--transpose", action="store_true", help="a column is a curve, the first holds the grid"
    )
    group.add_argument("--space", metavar="NAME", help="l2 (default), or sobolev, which also compares slopes")


def _add_model(parser: Parser) -> None:
    parser.add_argument(
        "--alpha", type=_number, default=0.01, metavar="A", help="level in (0, 1), default 0.01"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a parameter of the scatter; repeatable",
    )
    parser.add_argument(
        "--null-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a parameter of the null; repeatable",
    )


def _add_output(parser: Parser, what: str) -> None:
    group = parser.add_argument_group("results")
    group.add_argument(
        "--out", metavar="FILE", help=f"{what} to FILE.csv, .tsv or .parquet; '-': CSV on stdout"
    )
    group.add_argument("--report", metavar="FILE", help="self-contained HTML report")
    group.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_detect(commands: Any) -> None:
    parser = _command(commands, "detect", "find the outliers of a table", _DETECT)
    _add_input(parser)
    _add_curves(parser)
    group = parser.add_argument_group("model")
    group.add_argument(
        "--scatter",
        metavar="NAME",
        help="default: mcd, mrcd for few rows, robust-spectral for curves (see fmahal info)",
    )
    group.add_argument("--null", metavar="NAME", default="auto", help="law of the distances, default auto")
    _add_model(group)  # type: ignore[arg-type]
    group.add_argument(
        "--simultaneous",
        action="store_true",
        help="alpha for any false alarm among all rows, not for each row",
    )
    _add_output(parser, "scores of all rows")
    parser.add_argument("--top", type=_count, default=10, metavar="K", help="rows in the table, default 10")


def _add_compare(commands: Any) -> None:
    parser = _command(commands, "compare", "every scatter with every null on one table", _COMPARE)
    _add_input(parser, nargs="?", default=None)
    group = parser.add_argument_group("model")
    group.add_argument("--scatter", metavar="A,B,...", help="only these scatters, sketched:NAME among them")
    group.add_argument("--null", metavar="A,B,...", help="only these nulls")
    _add_model(group)  # type: ignore[arg-type]
    group.add_argument(
        "--budget",
        type=_number,
        default=10.0,
        metavar="SECONDS",
        help="skip pairs predicted to cost more (10)",
    )
    _add_output(parser, "the table")


def _add_datasets(commands: Any) -> None:
    parser = commands.add_parser("datasets", help="list, describe and export the bundled data sets")
    parser.add_argument("name", nargs="?", metavar="NAME", help="describe this data set")
    parser.add_argument("--csv", metavar="FILE", help="export it to FILE.csv; '-' is standard output")
    parser.add_argument(
        "--with-outlier", action="store_true", help="export a 0/1 column of the known outliers too"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count (0, 1, 2, ...)")
    return value
