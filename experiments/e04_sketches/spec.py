"""e04, sketches: errors against theory, outliers lost, times of three jobs, adversaries, and changes of an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from experiments._spec import DataSet, Experiment, Method, Seeds

from . import adaptive, quality, workloads
from .workloads import Drawn, Job


class Family(NamedTuple):
    """Jobs of one workload and structure: all sizes whose work stays below `most`."""

    workload: str
    structure: str
    widths: tuple[int, ...]  # empty: p
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    most: float  # of n p (width or p)
    dtypes: tuple[str, ...] = ("float64",)


class Grid(NamedTuple):
    """Sizes of one profile."""

    families: tuple[Family, ...]
    ks: tuple[int, ...]
    kinds_at: tuple[tuple[str, int, int], ...]  # workload, p, n at which all kinds of maps are timed
    index: tuple[tuple[int, int], ...]  # its coordinates, and sketches that a query takes:
    index_from: tuple[int, int]  # from these columns and rows on
    seconds: float  # of timing a job once
    error: tuple[int, int, tuple[int, ...]]  # n, p, ks
    power: tuple[int, int, tuple[int, ...]]
    game: tuple[int, int, tuple[int, ...]]  # p, k, questions
    update: tuple[int, int, int]  # n, p, k
    often: Mapping[str, tuple[int, int]]  # repetitions of a part by Gaussian maps, and by others


GRIDS = {
    "smoke": Grid(
        families=(
            Family("center", "triangular", (), (64, 96), (50, 500), 1e9),
            Family("center", "spectral", (6,), (80,), (50, 500), 1e9),
            Family("center", "banded", (2,), (80,), (50, 500), 1e9),
            Family("center", "sequential", (10,), (80,), (50, 500), 1e9),
            Family("pairs", "triangular", (), (64, 96), (60,), 1e9),
            Family("query", "triangular", (), (64, 96), (500, 2000), 1e9, ("float32",)),
        ),
        ks=(4, 16),
        kinds_at=(("center", 96, 500),),
        index=((16, 3),),
        index_from=(64, 500),
        seconds=0.0,
        error=(200, 96, (4, 16)),
        power=(60, 100, (10, 40)),
        game=(48, 12, (0, 256, 1024)),
        update=(200, 80, 16),
        often={"error": (3, 3), "power": (2, 2), "adaptivity": (2, 2), "update": (1, 0), "speed": (1, 1)},
    ),
    "paper": Grid(
        families=(
            Family("center", "triangular", (), (64, 256, 1024, 2048), (10, 300, 3000, 20000), 1.3e10),
            Family("center", "triangular", (), (1024,), (3000,), 3.3e10, ("float32",)),
            Family("center", "spectral", (20, 100), (256, 1024, 4096), (10, 300, 3000, 10000), 1.3e9),
            Family("center", "banded", (2, 10), (256, 2048), (300, 3000), 1e9),
            Family("center", "sequential", (20, 100), (256, 2048), (10, 300, 3000), 2e8),
            Family("pairs", "triangular", (), (64, 256, 1024, 2048), (100, 1000, 2000), 5e9),
            Family("pairs", "spectral", (20,), (1024,), (100, 1000, 2000), 1e9),
            Family("pairs", "triangular", (), (1024,), (2000,), 3.3e10, ("float32",)),
            Family("query", "triangular", (), (64, 256, 1024, 2048), (1000, 10000, 60000), 1.1e10, ("float32",)),
        ),
        ks=(16, 64, 256),
        kinds_at=(("center", 1024, 3000), ("pairs", 1024, 1000)),
        index=((64, 1), (64, 5), (256, 1), (256, 5)),
        index_from=(1024, 10000),
        seconds=0.1,
        error=(500, 1024, (16, 64, 256)),
        power=(200, 2000, (64, 215, 1000)),
        game=(256, 64, (0, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)),
        update=(4000, 1024, 64),
        often={"error": (10, 5), "power": (6, 1), "adaptivity": (10, 3), "update": (3, 0), "speed": (3, 2)},
    ),
}  # fmt: skip


# ------------------------------------------------------------------------------------------------- data sets


def jobs_of(grid: Grid) -> Iterator[Job]:
    """All jobs of a grid."""
    for one in grid.families:
        for dtype in one.dtypes:
            for p in one.columns:
                for width in one.widths or (p,):
                    sizes = (n for n in one.rows if float(n) * p * width <= one.most)
                    yield from (Job(one.workload, one.structure, width, p, n, dtype) for n in sizes)


def sizes_of(job: Job, grid: Grid) -> tuple[tuple[int, int], ...]:
    """Sketches that a job is timed with: all below its rank, and those of an index where queries are many."""
    found = [(k, 0) for k in grid.ks if k < job.p]
    if job.workload == "query" and job.p >= grid.index_from[0] and job.n >= grid.index_from[1]:
        found += [(k, sample) for k, sample in grid.index if k < job.p]
    return tuple(found)


def data_sets(profile: str) -> list[DataSet]:
    """Parts and sizes of a profile; a cheap one comes first, since it is what is run as a warm-up."""
    grid, found = GRIDS[profile], []
    n, p, ks = grid.error
    for law in ("normal", "few"):
        axes = {"part": "error", "law": law, "n": n, "p": p}
        found.append(DataSet(f"error-{law}", partial(quality.draw_rows, law, n, p, ks), axes))
    p, k, questions = grid.game
    axes = {"part": "adaptivity", "p": p}
    found.append(DataSet("adaptivity", partial(adaptive.draw_game, p, k, questions), axes))
    for job in jobs_of(grid):
        name = "-".join(map(str, job))
        make = partial(workloads.draw, job, sizes_of(job, grid), grid.seconds)
        found.append(DataSet(name, make, {"part": "speed", **job._asdict()}))
    n, p, k = grid.update
    axes = {"part": "update", "n": n, "p": p}
    found.append(DataSet("update", partial(adaptive.draw_points, n, p, k, grid.seconds), axes))
    n, p, ks = grid.power
    axes = {"part": "power", "law": "normal", "n": n, "p": p}
    found.append(DataSet("power", partial(quality.draw_outliers, n, p, ks), axes))
    return found


def repetitions(data: DataSet, method: Method, profile: str) -> int:
    """How often; the time of a job is that of a Gaussian map, but where the kinds are compared."""
    grid, part = GRIDS[profile], data.axes["part"]
    kind = method.options.get("kind")
    gaussian, others = grid.often[part]
    if kind == "gaussian":
        return gaussian
    if part in ("error", "power"):
        return others
    if part == "speed":
        at = tuple(data.axes[name] for name in ("workload", "p", "n"))
        compared = at in grid.kinds_at and data.axes["structure"] == "triangular"
        others *= compared and data.axes["dtype"] == "float64"
    return others if kind else 0


# ------------------------------------------------------------------------------------------------- measure


def measure(drawn: Any, method: Method, seeds: Seeds) -> list[dict[str, Any]]:
    """Return the records of the part that the drawn data belong to."""
    if isinstance(drawn, Drawn):
        return workloads.timed(drawn, method.options["kind"], seeds.integer("map"))
    if isinstance(drawn, adaptive.Game):
        return adaptive.game_records(drawn, method, seeds)
    if isinstance(drawn, adaptive.Stored):
        return adaptive.update_records(drawn, method, seeds)
    if drawn.groups.any():
        return quality.power_records(drawn, method, seeds)
    return quality.error_records(drawn, method, seeds)


EXPERIMENT = Experiment(
    name="e04",
    title="sketches: errors, outliers lost, speed, adversaries",
    role="sketch",
    data_sets=data_sets,
    repetitions=repetitions,
    measure=measure,
    timed=True,
    modules=tuple(f"experiments.e04_sketches.{name}" for name in ("workloads", "quality", "adaptive")),
)
