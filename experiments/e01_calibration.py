"""How often clean rows are flagged: every scatter with every null law it can have, on five laws of the rows.

python experiments/e01_calibration.py run [--grid small|full] [--jobs 1] [--cells scatter=qis,n=100] [--again]
python experiments/e01_calibration.py render    # only writes the page
python experiments/e01_calibration.py check     # what was required, and what fails

A cell is one scatter, one law of the rows, one n and one p. All its nulls see the same data sets and the same
fits, and all scatters of one (law, n, p) the same data sets. Every data set and every null has a seed of its own,
made from the names of what it belongs to: a cell run alone gives the same numbers, and so does a larger grid. Counts
go to ``experiments/results/e01_calibration_<grid>.csv`` (one a line) after each cell, where a later run goes on;
``.json`` beside it tells the machine, the versions and the commands.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import scipy
import sklearn
from e01_rows import LAWS, data_set, seed_of
from e01_verdicts import LEVELS, ROBUST, check, into_page, render
from sklearn.base import clone

import fmahal
from fmahal import (
    MRCD,
    OAS,
    OGK,
    QIS,
    BootstrapNull,
    ChiSquareNull,
    ConformalNull,
    EmpiricalCovariance,
    LedoitWolf,
    MinCovDet,
    ModifiedCholesky,
    NormalTheoryNull,
    RobustNull,
    ShrunkCovariance,
    WrappedCovariance,
)
from fmahal.exceptions import FmahalWarning, RankDeficientError
from fmahal.nulls import AutoNull

RESULTS = Path(__file__).resolve().parent / "results"
KEYS = ("scatter", "law", "n", "p", "null", "rows", "level")
COUNTS = ("sets", "failed", "tested", "flagged", "squares", "references", "seconds")

SCATTERS: dict[str, Any] = {
    "empirical": EmpiricalCovariance(),
    "ledoit-wolf": LedoitWolf(),
    "oas": OAS(),
    "qis": QIS(),
    "shrunk": ShrunkCovariance(ridge=0.1),
    "modified-cholesky": ModifiedCholesky(penalty="l2", alpha=0.1),
    "mcd": MinCovDet(random_state=0),
    "mrcd": MRCD(),
    "ogk": OGK(),
    "wrapped": WrappedCovariance(),
}
REPLICATES = {"modified-cholesky": 49, "qis": 199}  # no short way, or not a very short one
MORE_ROWS_THAN_COLUMNS = ("empirical", "mcd", "ogk")


class Cell(NamedTuple):
    """One scatter on one law of the rows; `law` "planted" is the normal law with planted outliers."""

    scatter: str
    law: str
    n: int
    p: int


class Grid(NamedTuple):
    """Sizes, laws and numbers of data sets: for nulls that cost next to nothing, that resample, that refit."""

    sizes: tuple[tuple[int, int], ...]
    sets: tuple[int, int, int]


GRIDS = {
    "small": Grid(((30, 2), (30, 50), (100, 10), (100, 50), (500, 10)), (100, 40, 8)),
    "full": Grid(tuple((n, p) for n in (30, 100, 500) for p in (2, 10, 50)), (500, 250, 60)),
}


# ------------------------------------------------------------------------------------------------- nulls


def few_replicates(n: int) -> int:
    """As many replicates of a costly fit as give 2000 distances, 10 to 100: those of ``null="auto"`` at 1 %."""
    return min(max(math.ceil(20 / LEVELS[0] / n), 10), 100)


def _bootstrap(scatter: str, n: int, seed: int) -> Any:
    if scatter in ROBUST:
        return BootstrapNull(few_replicates(n), kind="parametric", random_state=seed)
    # A refit costs many times a replicate from weighted sums; calibration hardly depends on their number.
    return BootstrapNull(REPLICATES.get(scatter, 499), random_state=seed)


NULLS: dict[str, Callable[[str, int, int], Any]] = {
    "chi2": lambda scatter, n, seed: ChiSquareNull(),
    "normal": lambda scatter, n, seed: NormalTheoryNull(),
    "auto": lambda scatter, n, seed: AutoNull(),
    "cerioli": lambda scatter, n, seed: RobustNull("cerioli"),
    "bootstrap": _bootstrap,
    "split": lambda scatter, n, seed: ConformalNull("split", random_state=seed),
    "jackknife": lambda scatter, n, seed: ConformalNull("jackknife", random_state=seed),
    "full": lambda scatter, n, seed: ConformalNull("full", random_state=seed),
}
_PAIRS = {  # where null="auto" is another null of the list, it is not run twice
    "empirical": ("chi2", "normal", "bootstrap", "split", "jackknife", "full"),
    **dict.fromkeys(("ledoit-wolf", "oas", "qis"), ("chi2", "bootstrap", "split", "jackknife")),
    "shrunk": ("chi2", "bootstrap", "split", "jackknife", "full"),
    "modified-cholesky": ("chi2", "bootstrap", "split"),
    "mcd": ("chi2", "auto", "cerioli", "bootstrap", "split"),
    **dict.fromkeys(("mrcd", "ogk", "wrapped"), ("chi2", "auto", "split")),
}


def nulls_of(cell: Cell) -> list[str]:
    """Names of the nulls that make sense for a cell."""
    if cell.scatter in MORE_ROWS_THAN_COLUMNS and cell.n <= cell.p + 2:
        return []
    if cell.law == "planted":
        return ["auto"]
    out = list(_PAIRS[cell.scatter])
    if cell.scatter in MORE_ROWS_THAN_COLUMNS and cell.n / 2 <= cell.p + 2:
        out.remove("split")
    if cell.scatter == "mcd" and cell.p > 40:  # beyond its table each fit takes minutes of simulation
        out = [null for null in out if null not in ("auto", "bootstrap")]
    return out


def sets_of(cell: Cell, null: str, grid: Grid) -> int:
    """How many data sets a null of a cell is to have: it follows from what it costs, not from the clock."""
    free, resampled, refitted = grid.sets
    required = cell.n >= 10 * cell.p  # something is, of resampled rates
    if null in ("chi2", "normal", "full", "cerioli"):
        return free
    if cell.scatter in ROBUST:
        if cell.scatter == "mcd" and null == "auto":
            return resampled
        times = 10 if required and null == "auto" else 4
        return refitted * times if cell.law == "normal" and null != "split" else refitted
    if cell.scatter in REPLICATES:
        return resampled if required or null != "bootstrap" else (resampled + 1) // 2
    return resampled if null == "bootstrap" else free


# ------------------------------------------------------------------------------------------------- measuring


def pvalues(null: Any, scatter: Any, d2: np.ndarray, fresh: np.ndarray) -> dict[str, np.ndarray]:
    """p-values by a fitted null, of training and of fresh rows, as `MahalanobisDetector` makes them."""
    train = null.train_dist_.sf(getattr(null, "train_d2_", d2))
    if hasattr(null, "pvalues"):
        return {"train": train, "new": null.pvalues(fresh)}
    return {"train": train, "new": null.new_dist_.sf(getattr(null, "scorer_", scatter).mahalanobis(fresh))}


def _references(null: Any, n: int) -> int:
    """Return the number of distances that new rows are ranked among; 0 for a law in closed form."""
    return int(getattr(null.new_dist_, "size", 0)) if not hasattr(null, "pvalues") else n


class _Counter:
    """Counts of one null of one cell, summed over data sets."""

    def __init__(self) -> None:
        self.sets = self.failed = self.references = 0
        self.seconds = 0.0
        self.sums: dict[tuple[str, float], list[int]] = {}

    def add(self, p: dict[str, np.ndarray]) -> None:
        self.sets += 1
        for rows, values in p.items():
            for level in LEVELS:
                count = int(np.sum(values <= level))
                sums = self.sums.setdefault((rows, level), [values.size, 0, 0])
                sums[1] += count
                sums[2] += count**2

    def lines(self, cell: Cell, null: str) -> Iterator[dict[str, Any]]:
        nothing = {("new", level): [0, 0, 0] for level in LEVELS}  # every fit failed
        for (rows, level), (tested, flagged, squares) in (self.sums or nothing).items():
            key = dict(zip(KEYS, (*cell, null, rows, level), strict=True))
            values = (self.sets, self.failed, tested, flagged, squares, self.references, self.seconds)
            yield {**key, **dict(zip(COUNTS, values, strict=True))}


def measure(cell: Cell, spans: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Count flagged rows of the data sets `first` to `last` - 1 of each null of a cell."""
    counters = {null: _Counter() for null in spans}
    first, last = min(a for a, _ in spans.values()), max(b for _, b in spans.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        for r in range(first, last):
            wanted = [null for null, (a, b) in spans.items() if a <= r < b]
            X, fresh, n_out = data_set(cell.law, cell.n, cell.p, r)
            scatter = clone(SCATTERS[cell.scatter]).fit(X)
            d2 = scatter.mahalanobis(X)
            for name in wanted:
                seed = int(seed_of(cell.law, cell.n, cell.p, r, cell.scatter, name).generate_state(1)[0])
                null = NULLS[name](cell.scatter, cell.n, seed)
                _one(null, counters[name], scatter, (X, d2, fresh, n_out))
    return [line for null, counter in counters.items() for line in counter.lines(cell, null)]


def _one(null: Any, counter: _Counter, scatter: Any, data: tuple[Any, ...]) -> None:
    X, d2, fresh, n_out = data
    start = time.perf_counter()
    try:
        null = null.fit(scatter, X, d2)
        null = getattr(null, "null_", null)  # what "auto" has picked
        p = pvalues(null, scatter, d2, fresh)
    except RankDeficientError:  # too few rows for this law
        counter.failed += 1
        return
    counter.seconds = round(counter.seconds + time.perf_counter() - start, 4)
    counter.references = _references(null, len(X))
    if n_out:
        p = {"outliers": p["train"][:n_out], "clean": p["train"][n_out:], "new": p["new"]}
    counter.add(p)


# ------------------------------------------------------------------------------------------------- the store


def load(path: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Stored counts by their key."""
    if not path.exists():
        return {}
    with path.open(newline="") as stream:
        lines = [typed(line) for line in csv.DictReader(stream)]
    return {tuple(line[key] for key in KEYS): line for line in lines}


def typed(line: dict[str, str]) -> dict[str, Any]:
    """Numbers of a stored line as numbers."""
    words = ("scatter", "law", "null", "rows")
    return {
        key: text if key in words else float(text) if key in ("level", "seconds") else int(text)
        for key, text in line.items()
    }


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Add the counts of new data sets to those of earlier ones."""
    if old is None:
        return new
    sums = {key: old[key] + new[key] for key in ("sets", "failed", "flagged", "squares")}
    return {**new, **sums, "seconds": round(old["seconds"] + new["seconds"], 4)}


def save(path: Path, store: dict[tuple[Any, ...], dict[str, Any]]) -> None:
    """Write all counts, so that an interrupt leaves the file of before or the file of after."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as stream:
        table = csv.DictWriter(stream, (*KEYS, *COUNTS), lineterminator="\n")
        table.writeheader()
        table.writerows(store[key] for key in sorted(store, key=_order))
    os.replace(partial, path)


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    scatter, law, n, p, null, *rest = key
    return (
        list(SCATTERS).index(scatter),
        [*LAWS, "planted"].index(law),
        n,
        p,
        list(NULLS).index(null),
        *rest,
    )


def cells_of(grid: Grid) -> Iterator[Cell]:
    """All cells of a grid, small ones first."""
    for n, p in sorted(grid.sizes, key=math.prod):
        for law in LAWS:
            yield from (Cell(scatter, law, n, p) for scatter in SCATTERS)
        if n >= 5 * p and n >= 100:
            yield from (Cell(scatter, "planted", n, p) for scatter in ROBUST)


def missing(
    store: dict[tuple[Any, ...], dict[str, Any]], grid: Grid, only: dict[str, str]
) -> list[tuple[Cell, dict[str, tuple[int, int]]]]:
    """Cells that match the filter and the data sets that their nulls still lack."""
    done: dict[tuple[Any, ...], int] = {}
    for key, line in store.items():
        done[key[:5]] = line["sets"] + line["failed"]
    tasks = []
    for cell in cells_of(grid):
        spans = {}
        for null in nulls_of(cell):
            span = done.get((*cell, null), 0), sets_of(cell, null, grid)
            if span[0] < span[1] and _matches({**cell._asdict(), "null": null}, only):
                spans[null] = span
        if spans:
            tasks.append((cell, spans))
    return tasks


def _matches(line: dict[str, Any], only: dict[str, str]) -> bool:
    return all(str(line[key]) in value.split("|") for key, value in only.items())


def run(path: Path, grid: Grid, only: dict[str, str], *, again: bool = False, jobs: int = 1) -> None:
    """Measure what is missing, storing after each cell."""
    start, store, facts = time.perf_counter(), load(path), path.with_suffix(".json")
    if again:
        store = {key: line for key, line in store.items() if not _matches(line, only)}
    tasks = missing(store, grid, only)
    before = json.loads(facts.read_text())["commands"] if facts.exists() else []
    command = " ".join(["python", "experiments/e01_calibration.py", *sys.argv[1:]])
    commands = [*(one for one in before if one != command), command]
    parts = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(measure)(*task) for task in tasks
    )
    for (cell, _), lines in zip(tasks, parts, strict=True):
        for line in lines:
            key = tuple(line[name] for name in KEYS)
            store[key] = merged(store.get(key), line)
        save(path, store)
        facts.write_text(json.dumps({**machine(), "commands": commands}, indent=1) + "\n")
        print(
            f"{time.perf_counter() - start:7.1f} s  {' '.join(map(str, cell))}", file=sys.stderr, flush=True
        )


def machine() -> dict[str, Any]:
    """Describe what the numbers are made with."""
    modules = {m.__name__: m.__version__ for m in (fmahal, np, scipy, sklearn)}
    versions = {"python": platform.python_version(), **modules}
    return {"machine": platform.machine(), "cpus": joblib.cpu_count(), "versions": versions}


def main(argv: list[str] | None = None) -> None:
    """Run, render or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "render", "check"])
    parser.add_argument("--grid", choices=tuple(GRIDS), default="small")
    parser.add_argument("--jobs", type=int, default=1, help="cells measured at once, by processes (1)")
    parser.add_argument(
        "--cells", default="", help="only these, such as 'scatter=mcd|ogk,law=normal,n=100,null=auto'"
    )
    parser.add_argument("--again", action="store_true", help="forget what is stored about them first")
    options = parser.parse_args(argv)
    path = RESULTS / f"e01_calibration_{options.grid}.csv"
    if options.what == "run":
        only = dict(pair.split("=") for pair in options.cells.split(",") if pair)
        run(path, GRIDS[options.grid], only, again=options.again, jobs=options.jobs)
    lines = list(load(path).values())
    if options.what == "check":
        print("\n".join(check(lines)) or "nothing fails")
    elif options.grid == "small":
        into_page(render(lines, json.loads(path.with_suffix(".json").read_text())))


if __name__ == "__main__":
    main()
