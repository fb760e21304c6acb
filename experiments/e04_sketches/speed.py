"""Tables of the times of sketches: where they pay by the model, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments._tables import Table, count, percent, seconds, size_of
from fmahal import johnson_lindenstrauss_dim

from .costs import best_exact, check, exact_seconds, judged, model, single, sketched_seconds, theory

ANSWER_P = (64, 256, 1024, 4096)
ANSWER_K = (16, 64, 256)
MANY = 10**12  # rows from which on nobody waits to see a sketch pay
NAMES = {
    "triangular": "full covariance",
    "spectral": "rank {width} + ridge",
    "banded": "banded, {width}",
    "sequential": "sequential, {width} rows",
}
# what the summary and the paper's table count: workload, structure
GROUPS = {
    "one centre, full covariance": ("center", "triangular"),
    "one centre, low rank + ridge": ("center", "spectral"),
    "one centre, banded": ("center", "banded"),
    "one centre, sequential": ("center", "sequential"),
    "all pairs": ("pairs", None),
    "one query of stored rows": ("query", None),
}
Line = dict[str, Any]
Group = dict[tuple[int, int], Line]


def factor_text(ratio: float) -> str:
    """Two digits, or whole numbers from ten on."""
    return f"{ratio:.2g}" if ratio < 9.5 else f"{ratio:.0f}"


def times_text(exact: float, sketched: float) -> str:
    """Speed of the sketch relative to the exact way; bold where it is faster."""
    ratio = exact / sketched
    text = f"{factor_text(ratio)}x"
    return f"**{text}**" if ratio > 1.0 else text


def rows_text(n: float) -> str:
    """Break-even number of rows, to two digits."""
    if math.isinf(n):
        return "never"
    digits = max(0, len(str(int(n))) - 2)
    return count(math.ceil(n / 10**digits) * 10**digits)


def name_of(line: Line) -> str:
    """Structure of a line in words."""
    name = NAMES[line["structure"]].format(width=line["width"])
    return f"{name}, float32" if line["dtype"] == "float32" else name


# ------------------------------------------------------------------------------------------------- the model


def break_even(
    constants: Mapping[str, Any], structure: str, p: int, width: int, k: int, workload: str
) -> float:
    """Return the number of rows from which on the sketch is cheaper by the given constants."""

    def pays(n: int) -> bool:
        return model(constants, structure, width, n=n, p=p, k=k, workload=workload).pays

    if not pays(MANY):
        return math.inf
    first, last = 0, MANY
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (first, middle) if pays(middle) else (middle, last)
    return float(last)


def answer(constants: Mapping[str, Any]) -> Table:
    """Rows from which on a sketch pays, by job, columns and coordinates."""
    jobs = [("one centre", "center", "triangular", 0), ("one centre", "center", "spectral", 100)]
    jobs += [("all pairs", "pairs", "triangular", 0), ("one query of stored rows", "query", "triangular", 0)]
    rows = []
    for title, workload, structure, width in jobs:
        for p in (p for p in ANSWER_P if p > width):
            cells = [
                rows_text(break_even(constants, structure, p, width or p, k, workload)) if k < p else "-"
                for k in ANSWER_K
            ]
            rows.append([title, NAMES[structure].format(width=width), str(p), *cells])
    caption = (
        "Number of rows n from which on a Gaussian sketch of k coordinates is cheaper than exact distances, by the "
        "cost model with the constants of this machine."
    )
    return Table(
        ["job", "whitener", "p", *(f"k = {k}" for k in ANSWER_K)], rows, caption, align="l l r r r r"
    )


def verdict(lines: list[Line], facts: Mapping[str, Any], constants: Mapping[str, Any]) -> str:
    """How well the model chooses, its constants, what fails, and what made the numbers."""
    found = judged(lines, constants)
    rows = [
        [f"{group}, {name}", ", ".join(f"{c:.3g}" for c in values)]
        for group in ("score", "fold", "map")
        for name, values in constants[group].items()
    ] + [[name, ", ".join(f"{c:.3g}" for c in constants[name])] for name in ("pairs", "query")]
    head = ["operation", "constants (seconds for one unit of each term)"]
    text = [
        f"Against the {found['lines']} measured pairs of a job and a sketch that the constants were fitted to: the "
        f"choice is the faster way, or within 10 % of it, in {found['agreement']:.0%} (the exact way being that of the "
        f"whitener, without the dense GEMM); choices cost {found['mean'] - 1:.1%} more than the faster way in the "
        f"(geometric) mean, the worst one of a job of a millisecond or more {found['worst'] - 1:.0%}. Predicted "
        f"seconds are off by a factor of {found['off']:.2f} (median) and {found['off_95']:.2f} (95 %).",
        Table(head, rows, "", align="l l").markdown(),
    ]
    failures = check(lines, constants)
    text += ["What was required, and fails:", "", *(f"- {one}." for one in failures), ""] if failures else []
    versions = ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())
    where = f"{facts.get('machine', '?')}, {facts.get('processor', '?')}, {facts.get('cpus', '?')} cores"
    text += [
        f"Measured on {where}, threads: {facts.get('threads', '?')}; {versions}; by",
        "",
        "```text",
        f"python -m experiments run e04 --profile {facts.get('profile', 'paper')}",
        "python -m experiments render e04",
        "```",
        "",
    ]
    return "\n".join(text)


# ------------------------------------------------------------------------------------------------- measured


def _cells(lines: list[Line], chosen: Callable[[Line], bool]) -> list[tuple[Line, Group]]:
    """Gaussian lines of each cell by k and sample."""
    groups: dict[tuple[Any, ...], Group] = {}
    for x in sorted(
        lines, key=lambda x: (x["structure"] != "triangular", x["structure"], x["dtype"] == "float32")
    ):
        if x["kind"] == "gaussian" and chosen(x):
            key = tuple(x[name] for name in ("structure", "width", "p", "n", "dtype"))
            groups.setdefault(key, {})[x["k"], x["sample"]] = x
    return [(next(iter(group.values())), group) for group in groups.values()]


def _cell_text(group: Group, key: tuple[int, int], *, made: bool) -> str:
    line = group.get(key)
    if line is None:
        return "-"
    first = times_text(best_exact(line), sketched_seconds(line))
    return f"{first} / {times_text(best_exact(line), sketched_seconds(line, made=True))}" if made else first


def memory_text(line: Line, group: Group) -> str:
    """Bytes kept by the exact way and by the largest sketch."""
    most = max(group.values(), key=lambda x: x["k"])
    return f"{size_of(line['bytes_exact'])}, {size_of(most['bytes_sketched'])}"


def center(lines: list[Line], ks: tuple[int, ...]) -> Table:
    """One centre: exact seconds and the speed of sketches, with their making and without."""
    rows = []
    for line, group in _cells(lines, lambda x: x["workload"] == "center"):
        gemm = seconds(line["gemm"]) if line["gemm"] > 0 else "-"
        cells = [_cell_text(group, (k, 0), made=True) for k in ks]
        exact = seconds(line["rows_exact"])
        rows.append(
            [name_of(line), str(line["p"]), str(line["n"]), exact, gemm, *cells, memory_text(line, group)]
        )
    head = [
        "whitener",
        "p",
        "n",
        "exact",
        "dense GEMM",
        *(f"k = {k}" for k in ks),
        "memory: exact, largest k",
    ]
    return Table(head, rows, "")


def pairs(lines: list[Line], ks: tuple[int, ...]) -> Table:
    """All pairs: the same."""
    rows = []
    for line, group in _cells(lines, lambda x: x["workload"] == "pairs"):
        cells = [_cell_text(group, (k, 0), made=True) for k in ks]
        exact = seconds(exact_seconds(line))
        gemm = seconds(line["gemm"] + line["rest_exact"]) if line["gemm"] > 0 else "-"
        rows.append(
            [name_of(line), str(line["p"]), str(line["n"]), exact, gemm, *cells, memory_text(line, group)]
        )
    head = ["whitener", "p", "n", "exact", "dense GEMM", *(f"k = {k}" for k in ks)]
    return Table([*head, "memory: exact, largest k"], rows, "")


def query(lines: list[Line], ks: tuple[int, ...]) -> Table:
    """One query of stored rows: one stored sketch, and the median of r sketches of an index."""
    rows = []
    found = {(x["k"], x["sample"]) for x in lines if x["workload"] == "query" and x["sample"]}
    shown = [(k, 0) for k in ks] + sorted(found)
    most, index = (max(ks), 0), max(found, default=(0, 0))
    for line, group in _cells(lines, lambda x: x["workload"] == "query"):
        cells = [_cell_text(group, key, made=False) for key in shown]
        kept = [size_of(line["bytes_exact"])]
        kept += [size_of(group[key]["bytes_sketched"]) if key in group else "-" for key in (most, index)]
        rows.append([str(line["p"]), str(line["n"]), seconds(exact_seconds(line)), *cells, ", ".join(kept)])
    names = [f"k = {k}" if not r else f"k = {k}, index, r = {r}" for k, r in shown]
    return Table(["p", "n", "exact", *names, f"memory: exact, k = {most[0]}, index"], rows, "")


def kinds(lines: list[Line]) -> Table:
    """Kinds of maps: what making them costs, and their errors."""
    place = ("workload", "structure", "p", "n", "dtype")
    several = {
        tuple(x[name] for name in place)
        for x in lines
        if x["kind"] != "gaussian" and x["workload"] == "center"
    }
    found = [x for x in single(lines) if tuple(x[name] for name in place) in several]
    rows = [
        [
            f"`{x['kind']}`", str(x["p"]), str(x["k"]), seconds(x["map"]), seconds(x["fold"]),
            percent(x["error_median"]), percent(x["error_95"]), percent(x["error_max"]),
        ]
        for x in sorted(found, key=lambda x: (x["p"], x["k"], x["kind"]))
    ]  # fmt: skip
    head = ["kind", "p", "k", "drawing S", "folding S W", "median error", "95 %", "largest"]
    return Table(head, rows, "")


def errors(lines: list[Line]) -> Table:
    """Relative errors of squared distances by k: theory, one centre, and the worst of all pairs."""
    rows = []
    samples = sorted({x["sample"] for x in lines} - {0})
    for k in sorted({x["k"] for x in lines}):
        here = [x for x in lines if x["k"] == k and x["kind"] == "gaussian" and x["n"] >= 1000]
        one = [x for x in single(here) if x["p"] >= 4 * k and x["workload"] != "query"]
        all_pairs = [x["error_max"] for x in one if x["workload"] == "pairs"]
        row = [str(k), percent(theory(k))]
        row += [
            percent(np.median([x[name] for x in one])) if one else "-"
            for name in ("error_median", "error_95")
        ]
        row.append(percent(max(all_pairs), 0) if all_pairs else "-")
        for r in samples:
            index = [x["error_median"] for x in here if x["sample"] == r]
            row.append(percent(np.median(index)) if index else "-")
        rows.append(row)
    head = ["k", "median, theory", "median", "95 %", "largest of 1000 rows' pairs"]
    return Table([*head, *(f"index, r = {r}" for r in samples)], rows, "")


def dims() -> Table:
    """Coordinates that the theory asks for."""
    rows = []
    for n, what in ((1, "any one row"), (1000, "1000 rows, one centre"), (1000, "1000 rows, all pairs"),
                    (10**6, "a million rows, one centre"), (10**6, "a million rows, all pairs")):  # fmt: skip
        ends = (0.5, 0.25, 0.1, 0.05)
        cells = [johnson_lindenstrauss_dim(n, eps, 0.01, pairs="pairs" in what) for eps in ends]
        rows.append([what, *map(str, cells)])
    return Table(["at most this error, except with 1 %", "50 %", "25 %", "10 %", "5 %"], rows, "")


def won(lines: list[Line]) -> dict[str, list[float]]:
    """Speed of Gaussian sketches, their making included, relative to the better exact way, by group."""
    out = {}
    for title, (workload, structure) in GROUPS.items():
        found = [
            best_exact(x) / sketched_seconds(x)
            for x in single(lines)
            if x["workload"] == workload and structure in (None, x["structure"]) and x["kind"] == "gaussian"
        ]
        if found:
            out[title] = found
    return out


def summary(lines: list[Line]) -> str:
    """Return the share of measured jobs that the sketch wins, bluntly."""
    out = []
    for title, ratios in won(lines).items():
        slowest = min(ratios)
        worst = (
            f"at worst it takes {factor_text(1 / slowest)} times as long as exact"
            if slowest < 1
            else f"at least {factor_text(slowest)} times"
        )
        out.append(
            f"- {title}: the sketch is faster in {sum(r > 1.0 for r in ratios)} of {len(ratios)} measured pairs of "
            f"a job and a k, at best {factor_text(max(ratios))} times; {worst}."
        )
    return "\n".join(out)
