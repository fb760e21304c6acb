"""The generated parts of docs/sketching.md: tables of stored results, and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from e05_verdicts import rendered
from e06_costs import (
    best_exact,
    check,
    exact_seconds,
    judged,
    single,
    sketched_seconds,
    theory,
)

from fmahal._maps import MAP_KINDS
from fmahal.scatter._sketch_costs import costs_by
from fmahal.scatter._sketch_dim import johnson_lindenstrauss_dim

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sketching.md"
ANSWER_P = (64, 256, 1024, 4096)
ANSWER_K = (16, 64, 256)
MANY = 10**12  # rows from which on nobody waits to see a sketch pay
NAMES = {
    "triangular": "full covariance",
    "spectral": "rank {width} + ridge",
    "banded": "banded, {width}",
    "sequential": "sequential, {width} rows",
}
Line = dict[str, Any]


# ------------------------------------------------------------------------------------------------- words


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Markdown table with a blank line on both sides."""
    names = list(head)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(["", *lines, ""])


def seconds_text(t: float) -> str:
    """Seconds in the unit that keeps three digits readable."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if t >= size:
            return f"{t / size:.3g} {unit}"
    return f"{t / 1e-6:.3g} µs"


def bytes_text(size: int) -> str:
    """Bytes in MB, or kB below one."""
    return (
        f"{size / 1e6:,.0f} MB"
        if size >= 1e7
        else f"{size / 1e6:.2g} MB"
        if size >= 1e6
        else f"{size / 1e3:.0f} kB"
    )


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
    return f"{math.ceil(n / 10**digits) * 10**digits:,}".replace(",", " ")


def name_of(line: Line) -> str:
    """Structure of a line in words."""
    return NAMES[line["structure"]].format(width=line["width"])


# ------------------------------------------------------------------------------------------------- the model


def break_even(constants: dict[str, Any], structure: str, p: int, width: int, k: int, workload: str) -> float:
    """Return the number of rows from which on the sketch is cheaper by the given constants."""

    def pays(n: int) -> bool:
        part = [(structure, width)]
        return costs_by(constants, part, n=n, p=p, rank=p, k=k, workload=workload, kind="gaussian").pays

    if not pays(MANY):
        return math.inf
    first, last = 0, MANY
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (first, middle) if pays(middle) else (middle, last)
    return float(last)


def answer(constants: dict[str, Any]) -> str:
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
            rows.append((title, NAMES[structure].format(width=width), p, *cells))
    return table(("job", "whitener", "p", *(f"k = {k}" for k in ANSWER_K)), rows)


def verdict(lines: list[Line], facts: dict[str, Any], constants: dict[str, Any]) -> str:
    """How well the model chooses, its constants, what fails, and what made the numbers."""
    found = judged(lines, constants)
    text = [
        "",
        f"Against the {found['lines']} measured jobs that the constants were fitted to: the choice is the faster way, "
        f"or within 10 % of it, in {found['agreement']:.0%}; choices cost {found['mean'] - 1:.1%} more than the "
        f"faster way in the (geometric) mean, the worst one of a job of a millisecond or more "
        f"{found['worst'] - 1:.0%}. Predicted seconds are off by a factor of {found['off']:.2f} (median) and "
        f"{found['off_95']:.2f} (95 %).",
        table(
            ("operation", "constants (seconds for one unit of each term)"),
            [
                (f"{group}, {name}", ", ".join(f"{c:.3g}" for c in values))
                for group in ("score", "fold", "map")
                for name, values in constants[group].items()
            ]
            + [(name, ", ".join(f"{c:.3g}" for c in constants[name])) for name in ("pairs", "query")],
        ),
    ]
    failures = check(lines, constants)
    text += ["What was required, and fails:", "", *(f"- {one}." for one in failures), ""] if failures else []
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    threads = ", ".join(f"{name} {number}" for name, number in facts["threads"].items())
    text += [
        f"Measured on {facts['machine']}, {facts['cpus']} cores, threads: {threads}; {versions}; by",
        "",
        "```text",
        *facts["commands"],
        "```",
        "",
    ]
    return "\n".join(text)


# ------------------------------------------------------------------------------------------------- measured


def _cells(
    lines: list[Line], chosen: Callable[[Line], bool]
) -> list[tuple[Line, dict[tuple[int, int], Line]]]:
    """Gaussian lines of each cell by k and sample."""
    groups: dict[tuple[Any, ...], dict[tuple[int, int], Line]] = {}
    for x in sorted(
        lines, key=lambda x: (x["structure"] != "triangular", x["structure"], x["dtype"] == "float32")
    ):
        if x["kind"] == "gaussian" and chosen(x):
            key = tuple(x[name] for name in ("structure", "width", "p", "n", "dtype"))
            groups.setdefault(key, {})[x["k"], x["sample"]] = x
    return [(next(iter(group.values())), group) for group in groups.values()]


def _cell_text(group: dict[tuple[int, int], Line], key: tuple[int, int], *, made: bool | None) -> str:
    line = group.get(key)
    if line is None:
        return "-"
    first = times_text(best_exact(line), sketched_seconds(line))
    if made is None:
        return first
    return f"{first} / {times_text(best_exact(line), sketched_seconds(line, made=True))}"


def memory_text(line: Line, group: dict[tuple[int, int], Line]) -> str:
    """Bytes kept by the exact way and by the largest sketch."""
    most = max(group.values(), key=lambda x: x["k"])
    return f"{bytes_text(line['bytes_exact'])}, {bytes_text(most['bytes_sketched'])}"


def center(lines: list[Line]) -> str:
    """One centre: exact seconds and the speed of sketches, with their making and without."""
    rows = []
    for line, group in _cells(lines, lambda x: x["workload"] == "center"):
        gemm = seconds_text(line["gemm"]) if line["gemm"] > 0 else "-"
        cells = [_cell_text(group, (k, 0), made=False) for k in ANSWER_K]
        kind = f"{name_of(line)}{', float32' if line['dtype'] == 'float32' else ''}"
        seconds = seconds_text(line["rows_exact"])
        rows.append((kind, line["p"], line["n"], seconds, gemm, *cells, memory_text(line, group)))
    names = (f"k = {k}" for k in ANSWER_K)
    return table(("whitener", "p", "n", "exact", "dense GEMM", *names, "memory: exact, largest k"), rows)


def pairs(lines: list[Line]) -> str:
    """All pairs: the same."""
    rows = []
    for line, group in _cells(lines, lambda x: x["workload"] == "pairs"):
        cells = [_cell_text(group, (k, 0), made=False) for k in ANSWER_K]
        kind = f"{name_of(line)}{', float32' if line['dtype'] == 'float32' else ''}"
        seconds = seconds_text(exact_seconds(line))
        rows.append((kind, line["p"], line["n"], seconds, *cells, memory_text(line, group)))
    head = ("whitener", "p", "n", "exact", *(f"k = {k}" for k in ANSWER_K), "memory: exact, largest k")
    return table(head, rows)


def query(lines: list[Line]) -> str:
    """One query of stored rows: one stored sketch, and the median of r sketches of an index."""
    rows = []
    samples = sorted({x["sample"] for x in lines if x["workload"] == "query" and x["sample"]})
    shown = [(k, 0) for k in ANSWER_K] + [(k, r) for k in ANSWER_K[1:] for r in samples]
    for line, group in _cells(lines, lambda x: x["workload"] == "query"):
        cells = [_cell_text(group, key, made=None) for key in shown]
        kept = [bytes_text(line["bytes_exact"])]
        kept += [
            bytes_text(group[key]["bytes_sketched"]) if key in group else "-" for key in ((256, 0), (256, 5))
        ]
        rows.append((line["p"], line["n"], seconds_text(exact_seconds(line)), *cells, ", ".join(kept)))
    names = [f"k = {k}" if not r else f"k = {k}, index, r = {r}" for k, r in shown]
    return table(("p", "n", "exact", *names, "memory: exact, k = 256, index"), rows)


def kinds(lines: list[Line]) -> str:
    """Kinds of maps: what making them costs, and their errors."""
    several = {
        tuple(x[name] for name in ("workload", "structure", "p", "n", "dtype"))
        for x in lines
        if x["kind"] == MAP_KINDS[-1] and x["workload"] == "center"
    }
    found = [
        x
        for x in single(lines)
        if tuple(x[name] for name in ("workload", "structure", "p", "n", "dtype")) in several
    ]
    rows = [
        (
            f"`{x['kind']}`", x["p"], x["k"], seconds_text(x["map"]), seconds_text(x["fold"]),
            f"{x['error_median']:.1%}", f"{x['error_95']:.1%}", f"{x['error_max']:.1%}",
        )
        for x in sorted(found, key=lambda x: (x["p"], x["k"], MAP_KINDS.index(x["kind"])))
    ]  # fmt: skip
    return table(("kind", "p", "k", "drawing S", "folding S W", "median error", "95 %", "largest"), rows)


def errors(lines: list[Line]) -> str:
    """Relative errors of squared distances by k: theory, one centre, and the worst of all pairs."""
    rows = []
    for k in sorted({x["k"] for x in lines}):
        here = [x for x in lines if x["k"] == k and x["kind"] == "gaussian" and x["n"] >= 1000]
        one = [x for x in single(here) if x["p"] >= 4 * k and x["workload"] != "query"]
        all_pairs = [x["error_max"] for x in one if x["workload"] == "pairs"]
        row: list[Any] = [k, f"{theory(k):.1%}"]
        row.append(f"{np.median([x['error_median'] for x in one]):.1%}" if one else "-")
        row.append(f"{np.median([x['error_95'] for x in one]):.1%}" if one else "-")
        row.append(f"{max(all_pairs):.0%}" if all_pairs else "-")
        for r in (1, 5):
            index = [x["error_median"] for x in here if x["sample"] == r]
            row.append(f"{np.median(index):.1%}" if index else "-")
        rows.append(row)
    head = ("k", "median, theory", "median", "95 %", "largest of all pairs", "index, r = 1", "index, r = 5")
    return table(head, rows)


def dims() -> str:
    """Coordinates that the theory asks for."""
    rows = []
    for n, what in ((1, "any one row"), (1000, "1000 rows, one centre"), (1000, "1000 rows, all pairs"),
                    (10**6, "a million rows, one centre"), (10**6, "a million rows, all pairs")):  # fmt: skip
        cells = [
            johnson_lindenstrauss_dim(n, eps, 0.01, pairs="pairs" in what) for eps in (0.5, 0.25, 0.1, 0.05)
        ]
        rows.append((what, *cells))
    return table(("at most this error, except with 1 %", "50 %", "25 %", "10 %", "5 %"), rows)


def summary(lines: list[Line]) -> str:
    """Return the share of measured jobs that the sketch wins, bluntly."""
    out = [""]
    for title, chosen in (
        ("one centre, full covariance", ("center", "triangular")),
        ("one centre, low rank + ridge", ("center", "spectral")),
        ("one centre, banded", ("center", "banded")),
        ("one centre, sequential", ("center", "sequential")),
        ("all pairs", ("pairs", None)),
        ("one query of stored rows", ("query", None)),
    ):
        found = [
            x
            for x in single(lines)
            if x["workload"] == chosen[0] and chosen[1] in (None, x["structure"]) and x["kind"] == "gaussian"
        ]
        if found:
            ratios = [best_exact(x) / sketched_seconds(x) for x in found]
            wins = sum(r > 1.0 for r in ratios)
            worst = (
                f"at worst it takes {factor_text(1 / min(ratios))} times as long as exact"
                if min(ratios) < 1
                else f"at least {factor_text(min(ratios))} times"
            )
            out.append(
                f"- {title}: the sketch is faster in {wins} of {len(found)} measured jobs, at best "
                f"{factor_text(max(ratios))} times; {worst}."
            )
    return "\n".join([*out, ""])


# ------------------------------------------------------------------------------------------------- the page


def render(lines: list[Line], facts: dict[str, Any], constants: dict[str, Any]) -> dict[str, str]:
    """Return all generated parts by the names of their marks."""
    return {
        "answer": answer(constants),
        "summary": summary(lines),
        "dims": dims(),
        "center": center(lines),
        "pairs": pairs(lines),
        "query": query(lines),
        "kinds": kinds(lines),
        "errors": errors(lines),
        "model": verdict(lines, facts, constants),
    }


def into_page(parts: dict[str, str]) -> None:
    """Write the generated parts into the page."""
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")
