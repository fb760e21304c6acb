"""Where a sketch beats the exact distance: one centre, all pairs, queries; and the constants of the cost model.

OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/e06_sketches.py run [--grid small|full|tiny]
        [--cells workload=center,p=1024|2048] [--seconds 1.0] [--again]
python experiments/e06_sketches.py render    # the constants, the picture and the page, from stored results only
python experiments/e06_sketches.py check     # what was required, and what fails

A cell is one job (workload), one structure of the whitener, n, p and the type of the rows. In a cell the exact job and
those by sketches of every size and kind are timed in turn, a stage at a time: making the map, folding it, the rows,
then the pairs or the scan. Lines go to ``experiments/results/e06_sketches_<grid>.csv`` after each cell, where a later
run goes on; ``.json`` beside it tells the machine, its threads, the versions and the commands. Times taken with another
number of threads do not go into the same file. ``tiny`` is for tests and is never rendered.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import scipy
from e06_costs import check, fitted_constants, write_constants
from e06_page import into_page, render
from e06_picture import draw
from e06_workloads import CELL, OTHERS, STAGES, VARIANT, Cell, Variant, measure
from threadpoolctl import threadpool_info

import fmahal
from fmahal._maps import MAP_KINDS

RESULTS = Path(__file__).resolve().parent / "results"
FIELDS = (*CELL, *VARIANT, *STAGES, *OTHERS)
WORDS = ("workload", "structure", "dtype", "kind")
WHOLE = ("width", "p", "n", "k", "sample", "rank", "bytes_exact", "bytes_sketched", "rounds")
Line = dict[str, Any]


class Job(NamedTuple):
    """Cells of one workload and structure: all sizes whose work stays below `most`."""

    workload: str
    structure: str
    widths: tuple[int, ...]  # empty: p
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    most: float  # of n p (width or p)
    dtypes: tuple[str, ...] = ("float64",)


class Grid(NamedTuple):
    """Jobs, the sizes of sketches, where all kinds of maps are compared, and sketches of an index."""

    jobs: tuple[Job, ...]
    ks: tuple[int, ...]
    kinds_at: tuple[tuple[str, str, int, int], ...]  # workload, structure, p, n
    index: tuple[tuple[int, int], ...]  # k and number of sketches a query takes, for p and n from here on:
    index_from: tuple[int, int]


GRIDS = {
    "tiny": Grid(
        (
            Job("center", "triangular", (), (24, 40), (50, 500), 1e9),
            Job("center", "spectral", (6,), (40,), (50,), 1e9),
            Job("center", "banded", (2,), (40,), (50,), 1e9),
            Job("center", "sequential", (10,), (40,), (50,), 1e9),
            Job("pairs", "triangular", (), (40,), (60,), 1e9),
            Job("query", "triangular", (), (40,), (500,), 1e9, ("float32",)),
        ),
        (4, 16),
        (("center", "triangular", 40, 500),),
        ((16, 3),),
        (40, 500),
    ),
    "small": Grid(
        (
            Job("center", "triangular", (), (64, 256, 1024, 2048), (10, 300, 3000, 30000), 3.3e10),
            Job("center", "triangular", (), (1024, 2048), (3000,), 3.3e10, ("float32",)),
            Job("center", "spectral", (20, 100), (256, 1024, 4096), (10, 300, 3000, 20000), 3.3e9),
            Job("center", "banded", (2, 10), (256, 2048), (300, 3000), 1e9),
            Job("center", "sequential", (20, 100), (256, 2048), (10, 300, 3000), 4e8),
            Job("pairs", "triangular", (), (64, 256, 1024, 2048), (100, 1000, 3000), 3.3e10),
            Job("pairs", "spectral", (20,), (1024,), (100, 1000, 3000), 1e9),
            Job("pairs", "triangular", (), (1024,), (3000,), 3.3e10, ("float32",)),
            Job("query", "triangular", (), (64, 256, 1024, 4096), (1000, 20000, 80000), 4e11, ("float32",)),
        ),
        (16, 64, 256),
        (("center", "triangular", 1024, 3000), ("pairs", "triangular", 1024, 1000)),
        ((64, 1), (64, 5), (256, 1), (256, 5)),
        (1024, 20000),
    ),
    "full": Grid(
        (
            Job("center", "triangular", (), (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
                (1, 10, 100, 300, 1000, 3000, 10000, 30000, 100000), 4e11),
            Job("center", "spectral", (5, 20, 100, 300), (256, 1024, 4096, 16384),
                (1, 10, 100, 1000, 10000), 5e10),
            Job("center", "banded", (2, 5, 20), (256, 2048, 16384), (10, 300, 3000, 30000), 1e10),
            Job("center", "sequential", (50, 200), (256, 2048, 8192), (10, 300, 3000), 1e10),
            Job("pairs", "triangular", (), (64, 128, 256, 512, 1024, 2048, 4096),
                (100, 300, 1000, 3000, 6000), 2e11, ("float64", "float32")),
            Job("pairs", "spectral", (20, 100), (256, 1024, 4096), (100, 1000, 6000), 1e10),
            Job("query", "triangular", (), (64, 128, 256, 512, 1024, 2048, 4096),
                (100, 1000, 10000, 50000, 100000), 2e12, ("float32",)),
        ),
        (16, 32, 64, 128, 256, 512, 1024),
        (("center", "triangular", 1024, 3000), ("center", "triangular", 4096, 3000),
         ("pairs", "triangular", 1024, 1000), ("pairs", "triangular", 4096, 3000)),
        ((64, 1), (64, 5), (256, 1), (256, 5)),
        (1024, 10000),
    ),
}  # fmt: skip


# ------------------------------------------------------------------------------------------------- the plan


def cells_of(grid: Grid) -> Iterator[Cell]:
    """All cells of a grid, cheap jobs of a structure first."""
    for job in grid.jobs:
        for dtype in job.dtypes:
            for p in job.columns:
                for width in job.widths or (p,):
                    sizes = (n for n in job.rows if float(n) * p * width <= job.most)
                    yield from (Cell(job.workload, job.structure, width, p, n, dtype) for n in sizes)


def variants_of(cell: Cell, grid: Grid) -> list[Variant]:
    """Sketches that a cell is timed with: all below its rank, of all kinds where these are compared."""
    here = (cell.workload, cell.structure, cell.p, cell.n) in grid.kinds_at and cell.dtype == "float64"
    kinds = MAP_KINDS if here else ("gaussian",)
    found = [Variant(kind, k, 0) for kind in kinds for k in grid.ks if k < cell.p]
    if cell.workload == "query" and cell.p >= grid.index_from[0] and cell.n >= grid.index_from[1]:
        found += [Variant("gaussian", k, sample) for k, sample in grid.index if k < cell.p]
    return found


def missing(
    store: dict[tuple[Any, ...], Line], grid: Grid, only: dict[str, str]
) -> list[tuple[Cell, list[Variant]]]:
    """Cells that match the filter, and the sketches that they still lack."""
    tasks = []
    for cell in cells_of(grid):
        wanted = [v for v in variants_of(cell, grid) if (*cell, *v) not in store]
        wanted = [v for v in wanted if _matches({**cell._asdict(), **v._asdict()}, only)]
        if wanted:
            tasks.append((cell, wanted))
    return tasks


def _matches(line: Line, only: dict[str, str]) -> bool:
    return all(str(line[key]) in value.split("|") for key, value in only.items())


# ------------------------------------------------------------------------------------------------- the store


def load(path: Path) -> dict[tuple[Any, ...], Line]:
    """Stored lines by their key."""
    if not path.exists():
        return {}
    with path.open(newline="") as stream:
        lines = [typed(line) for line in csv.DictReader(stream)]
    return {key_of(line): line for line in lines}


def key_of(line: Line) -> tuple[Any, ...]:
    """Return what tells a line from the others."""
    return tuple(line[name] for name in (*CELL, *VARIANT))


def typed(line: dict[str, str]) -> Line:
    """Numbers of a stored line as numbers."""
    return {
        key: text if key in WORDS else int(text) if key in WHOLE else float(text)
        for key, text in line.items()
    }


def save(path: Path, lines: Iterable[Line]) -> None:
    """Write all lines, so that an interrupt leaves the file of before or the file of after."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as stream:
        table = csv.DictWriter(stream, FIELDS, lineterminator="\n")
        table.writeheader()
        for line in sorted(lines, key=key_of):
            table.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in line.items()})
    os.replace(partial, path)


def machine() -> dict[str, Any]:
    """Describe what the numbers are made with."""
    modules = {m.__name__: m.__version__ for m in (fmahal, np, scipy)}
    threads = {one["internal_api"]: one["num_threads"] for one in threadpool_info()}
    return {
        "machine": f"{platform.machine()}, {_processor()}",
        "cpus": joblib.cpu_count(),
        "threads": {**threads, "numba": int(os.environ.get("NUMBA_NUM_THREADS", joblib.cpu_count()))},
        "versions": {"python": platform.python_version(), **modules},
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def run(path: Path, grid: Grid, only: dict[str, str], *, again: bool = False, seconds: float = 1.0) -> None:
    """Measure what is missing, storing after each cell."""
    start, facts, store = time.perf_counter(), path.with_suffix(".json"), load(path)
    if again:
        store = {key: line for key, line in store.items() if not _matches(line, only)}
    before = json.loads(facts.read_text()) if facts.exists() and store else {}
    now = machine()
    if before and before["threads"] != now["threads"]:
        raise SystemExit(
            f"{path.name} was timed with threads {before['threads']}, these are {now['threads']}: set "
            "OPENBLAS_NUM_THREADS and NUMBA_NUM_THREADS as then, or begin anew with --again."
        )
    command = " ".join(["python", "experiments/e06_sketches.py", *sys.argv[1:]])
    commands = [*(one for one in before.get("commands", []) if one != command), command]
    for cell, variants in missing(store, grid, only):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            store |= {key_of(line): line for line in measure(cell, variants, seconds)}
        save(path, store.values())
        facts.write_text(json.dumps({**now, "commands": commands}, indent=1) + "\n")
        print(
            f"{time.perf_counter() - start:7.1f} s  {' '.join(map(str, cell))}", file=sys.stderr, flush=True
        )


def main(argv: list[str] | None = None) -> None:
    """Run, render or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "render", "check"])
    parser.add_argument("--grid", choices=tuple(GRIDS), default="small")
    parser.add_argument("--small", dest="grid", action="store_const", const="small", help="--grid small")
    parser.add_argument("--cells", default="", help="only these, such as 'workload=pairs,p=256|1024'")
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing a cell, at least 3 rounds (1)")
    parser.add_argument("--again", action="store_true", help="forget what is stored about them first")
    options = parser.parse_args(argv)
    path = RESULTS / f"e06_sketches_{options.grid}.csv"
    if options.what == "run":
        only = dict(pair.split("=") for pair in options.cells.split(",") if pair)
        run(path, GRIDS[options.grid], only, again=options.again, seconds=options.seconds)
        return
    if options.grid == "tiny":
        parser.error("the tiny grid is for tests: nothing is made of it")
    lines = list(load(path).values())
    facts = json.loads(path.with_suffix(".json").read_text())
    constants = fitted_constants(lines)
    if options.what == "check":
        print("\n".join(check(lines, constants)) or "nothing fails")
        return
    write_constants(constants, facts, path.name)
    draw(lines, constants)
    into_page(render(lines, facts, constants))


if __name__ == "__main__":
    main()
