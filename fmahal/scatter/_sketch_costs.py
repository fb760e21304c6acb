"""Whether a sketch costs less than exact distances: a fixed model of their time, never a clock."""

# The constants in tables/sketch_costs.json are fitted to measured times by `python -m experiments render e04`
# and say on which machine. They are read once and never measured at run time: the same call decides alike everywhere.

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .._structures.base import Structure
from .._structures.ordered import Permuted, Stacked
from ..whitener import Whitener

TABLE = Path(__file__).parent / "tables" / "sketch_costs.json"
WORKLOADS = ("center", "pairs", "query")
STRUCTURES = ("triangular", "banded", "spectral", "sequential")
FEWEST_COLUMNS = 64  # the narrowest rows that were timed: below, the constants are not to be trusted
_WIDTH_OF = {
    "banded": "band",
    "spectral": "vectors",
    "sequential": "dual",
}  # the array whose columns are its width


class SketchCosts(NamedTuple):
    """Predicted seconds of one job, done exactly and by a sketch.

    Attributes
    ----------
    exact : float
        Seconds by the exact whitener.
    sketched : float
        Seconds by the sketch, with the making of it where the job pays for that.
    pays : bool
        Whether the sketch is the cheaper one; never when it keeps as many coordinates as the exact one has.
    """

    exact: float
    sketched: float
    pays: bool


@cache
def constants(path: Path = TABLE) -> dict[str, Any]:
    """Fitted constants: seconds of each operation for one unit of each of its terms.

    Parameters
    ----------
    path : Path
        The table.

    Returns
    -------
    constants : dict
        ``score`` and ``fold`` for each structure, ``map`` for each kind of map, ``pairs`` and ``query``.
    """
    return dict(json.loads(path.read_text(encoding="utf-8"))["constants"])


_stored = constants  # by a name that no argument hides


def sketch_pays(
    structure_kind: str,
    n: int,
    p: int,
    rank: int,
    k: int,
    workload: str = "center",
    *,
    width: int | None = None,
    kind: str = "gaussian",
    constants: Mapping[str, Any] | None = None,
) -> SketchCosts:
    r"""Predict whether a sketch to k coordinates is cheaper than exact distances.

    Parameters
    ----------
    structure_kind : {"triangular", "banded", "spectral", "sequential"}
        How the exact whitener is stored.
    n : int
        Rows: of which distances to one centre are wanted, of which all pairs are, or that are stored for queries.
    p : int
        Columns.
    rank : int
        Coordinates of the exact whitener.
    k : int
        Coordinates of the sketch.
    workload : {"center", "pairs", "query"}, default="center"
        ``center``: n distances to one centre, the making of the sketch included. ``pairs``: all distances between n
        rows, likewise included. ``query``: distances of one new row to n rows that are stored in exact or sketched
        coordinates; what storing costs is paid before.
    width : int, optional
        What the structure stores for each column: eigenvectors of a spectral one, subdiagonals of a banded one,
        fitted rows of a sequential one. Default: `rank`.
    kind : {"gaussian", "rademacher", "sparse", "srht"}, default="gaussian"
        Kind of the map, which changes only what making it costs.
    constants : mapping, optional
        Seconds of each operation for one unit of each of its terms, as another machine has them: ``score`` and
        ``fold`` by structure, ``map`` by kind, ``pairs`` and ``query``. Default: those that come with the package.

    Returns
    -------
    costs : SketchCosts
        Predicted seconds of both ways and which is cheaper.

    Raises
    ------
    ValueError
        If a name is unknown or a size is not positive.

    Notes
    -----
    With w the multiply-adds of one exact row (p rank / 2 triangular, p width banded and spectral, 2 p width
    sequential), each job costs a sum of terms with nonnegative constants, hence the sketch gains with n and loses
    with k:

    ======== ============================ ===========================================
    job      exact                        sketched
    ======== ============================ ===========================================
    center   1, n p, n w                  1, n p, n k p; the map k rank; its fold k w
    pairs    1, n p, n w; n^2, n^2 rank   as center; n^2, n^2 k
    query    1, 2 w; n, n rank            1, k p; n, n k
    ======== ============================ ===========================================

    One query passes the dense factor, hence 2 w; its rows are float32, those of the other two jobs float64.

    Three bounds hold whatever the constants: a sketch with k >= rank never pays, to one centre neither does one with
    k >= width of a spectral structure, which spends n p width multiply-adds on exact distances, and none pays below 64
    columns, the fewest that the constants were fitted to: there rows cost their reading, sketched or not.

    Examples
    --------
    >>> from fmahal.scatter import sketch_pays
    >>> sketch_pays("triangular", n=100, p=500, rank=500, k=200).pays
    False
    >>> sketch_pays("triangular", n=1_000_000, p=5000, rank=5000, k=100).pays
    True
    >>> sketch_pays("spectral", n=1_000_000, p=5000, rank=5000, k=100, width=50).pays
    False
    """
    width = rank if width is None else width
    sizes = {"n": n, "p": p, "rank": rank, "k": k, "width": width}
    for name, value in sizes.items():
        if value < (0 if name == "width" else 1):
            raise ValueError(f"{name} must be positive, got {value!r}.")
    known = _stored() if constants is None else constants
    _check_names(structure_kind, workload, kind, known)
    return costs_by(known, [(structure_kind, width)], n=n, p=p, rank=rank, k=k, workload=workload, kind=kind)


def sketch_costs_of(
    whitener: Whitener, n: int, k: int, workload: str = "center", *, kind: str = "gaussian"
) -> SketchCosts:
    """Predict the costs of exact distances by a whitener and by a sketch of it.

    Parameters
    ----------
    whitener : Whitener
        An exact one, of any structure.
    n : int
        Rows, as in `sketch_pays`.
    k : int
        Coordinates of the sketch.
    workload : {"center", "pairs", "query"}, default="center"
        The job.
    kind : {"gaussian", "rademacher", "sparse", "srht"}, default="gaussian"
        Kind of the map.

    Returns
    -------
    costs : SketchCosts
        Predicted seconds of both ways and which is cheaper.

    Raises
    ------
    ValueError
        If a name is unknown, a size is not positive, or the whitener is a sketch already.
    """
    if n < 1 or k < 1:
        raise ValueError(f"n and k must be positive, got n={n!r} and k={k!r}.")
    parts = _parts(whitener._structure)
    for name, _ in parts:
        _check_names(name, workload, kind, constants())
    rank, p = whitener.shape
    return costs_by(constants(), parts, n=n, p=p, rank=rank, k=k, workload=workload, kind=kind)


# ---------------------------------------------------------------------------------------------- the terms


def multiply_adds(structure_kind: str, p: int, rank: int, width: int) -> float:
    """Multiply-adds of the exact distance of one row.

    Parameters
    ----------
    structure_kind : str
        One of `STRUCTURES`.
    p, rank, width : int
        As in `sketch_pays`.

    Returns
    -------
    count : float
        Without the centring of the row and the sum of squares.
    """
    if structure_kind == "triangular":
        return 0.5 * p * rank
    return (2.0 if structure_kind == "sequential" else 1.0) * p * width


def _check_names(structure_kind: str, workload: str, kind: str, known: Mapping[str, Any]) -> None:
    if structure_kind == "sketched":
        raise ValueError("The whitener is a sketch already; predict from the original one.")
    given = (("structure_kind", structure_kind, STRUCTURES), ("workload", workload, WORKLOADS))
    for name, value, allowed in (*given, ("kind", kind, tuple(known["map"]))):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")


def _parts(structure: Structure) -> list[tuple[str, int]]:
    """Kinds and widths of what a structure is made of."""
    if isinstance(structure, Permuted):
        return _parts(structure.inner)
    if isinstance(structure, Stacked):
        return [pair for part in structure.parts for pair in _parts(part)]
    name = _WIDTH_OF.get(structure.kind)
    return [(structure.kind, getattr(structure, name).shape[1] if name else structure.shape[0])]


def _score(known: Mapping[str, Any], name: str, n: int, p: int, work: float) -> tuple[float, float]:
    """Return the fixed seconds of scoring rows, and those that grow with them."""
    start, column, one = known["score"][name]
    return start, n * (column * p + one * work)


def costs_by(
    known: Mapping[str, Any],
    parts: list[tuple[str, int]],
    *,
    n: int,
    p: int,
    rank: int,
    k: int,
    workload: str,
    kind: str,
) -> SketchCosts:
    """Predict both costs from given constants.

    Parameters
    ----------
    known : mapping
        As `constants` returns them.
    parts : list of (structure kind, width)
        Structures whose distances are averaged: one, but for the mean of several precisions.
    n, p, rank, k, workload, kind
        As in `sketch_pays`; not checked.

    Returns
    -------
    costs : SketchCosts
        Predicted seconds of both ways and which is cheaper.
    """
    share = rank // len(parts)
    works = [multiply_adds(name, p, share, width) for name, width in parts]
    if workload == "query":
        start, each, one, row = known["query"]
        sketched = start + n * (each + one * k) + row * k * p
        exact = start + n * (each + one * rank) + row * 2.0 * sum(works)
        return SketchCosts(exact, sketched, bool(k < rank and p >= FEWEST_COLUMNS and sketched < exact))
    scores = [_score(known, name, n, p, work) for (name, _), work in zip(parts, works, strict=True)]
    exact_start, exact = (sum(column) for column in zip(*scores, strict=True))
    start, sketched = _score(known, "sketched", n, p, float(k) * p)
    start += known["map"][kind][0]
    sketched += known["map"][kind][1] * k * rank
    for (name, _), work in zip(parts, works, strict=True):
        start += known["fold"][name][0]
        sketched += known["fold"][name][1] * k * work
    least = rank
    if workload == "pairs":
        constant, each, one = known["pairs"]
        start, exact_start = start + constant, exact_start + constant
        exact += float(n) * n * (each + one * rank)
        sketched += float(n) * n * (each + one * k)
    elif all(name == "spectral" for name, _ in parts):
        least = min(rank, sum(width for _, width in parts))
    exact += exact_start
    sketched += max(
        start, exact_start
    )  # whatever the fit says, no sketch of few rows is cheaper than they are
    return SketchCosts(exact, sketched, bool(k < least and p >= FEWEST_COLUMNS and sketched < exact))
