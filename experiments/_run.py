"""Measure the cells that a profile lacks, on all cores, so that a stopped run goes on where it was."""

from __future__ import annotations

import datetime
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
import numba
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from threadpoolctl import threadpool_limits

from experiments._spec import Cell, Experiment, Seeds, SpecError, experiments, load, methods
from experiments._store import Rows, Store

_WARM: set[tuple[str, str]] = set()


class CellError(RuntimeError):
    """A cell that could not be measured."""


@lru_cache(maxsize=8)
def _data_sets(experiment: str, profile: str) -> dict[str, Any]:
    return {data.name: data for data in experiments()[experiment].data_sets(profile)}


def attempt(cell: Cell, plugins: Sequence[str] = ()) -> Rows | CellError:
    """Measure one cell in any process; an error travels as a result, so that it stops no other cell."""
    try:
        return work(cell, plugins)
    except CellError as error:
        return error


def work(cell: Cell, plugins: Sequence[str] = ()) -> Rows:
    """Measure one cell in any process; its rows start with the key, the axes and the names."""
    try:
        load(plugins)
        experiment = experiments()[cell.experiment]
        (one,) = (each for each in methods(experiment.role) if each.name == cell.method)
        data, seeds = _data_sets(cell.experiment, cell.profile)[cell.data], None
        with threadpool_limits(experiment.threads):
            numba.set_num_threads(min(experiment.threads, numba.config.NUMBA_NUM_THREADS))
            if experiment.timed and (cell.experiment, cell.method) not in _WARM:
                warm = Seeds(cell.experiment, "warm-up", 0)
                list(experiment.measure(data.draw(warm), one, warm))
                _WARM.add((cell.experiment, cell.method))
            seeds = Seeds(cell.experiment, cell.data, cell.repetition)
            drawn = data.draw(seeds)
            start = time.perf_counter()
            records = [dict(record) for record in experiment.measure(drawn, one, seeds)]
            seconds = round(time.perf_counter() - start, 4)
    except Exception:
        raise CellError(f"{cell} failed.\n{traceback.format_exc()}") from None
    same = {
        "key": cell.key,
        **data.axes,
        "data": cell.data,
        "method": cell.method,
        "repetition": cell.repetition,
    }
    clash = {name for record in records for name in record} & {*same, "seconds"}
    if clash or not records:
        raise CellError(
            f"{cell}: measure must give at least one record, and none of the columns {', '.join({*same, 'seconds'})}"
            f" (it gave {len(records)} records; clashes: {', '.join(clash) or 'none'})."
        )
    return [{**same, "seconds": seconds, **{k: _plain(v) for k, v in record.items()}} for record in records]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _results(
    cells: list[Cell], plugins: Sequence[str], jobs: int, backend: str
) -> Iterator[Rows | CellError]:
    """Rows of the cells as they come; by chunks where a backend cannot hand them over one by one."""
    if jobs == 1 or backend == "sequential":
        yield from (attempt(cell, plugins) for cell in cells)
        return
    with joblib.parallel_config(backend=backend, n_jobs=jobs):
        try:
            parallel = joblib.Parallel(return_as="generator_unordered")
        except ValueError:
            chunks = [cells[i : i + 8 * jobs] for i in range(0, len(cells), 8 * jobs)]
            for chunk in chunks:
                yield from joblib.Parallel()(joblib.delayed(attempt)(cell, plugins) for cell in chunk)
            return
        yield from parallel(joblib.delayed(attempt)(cell, plugins) for cell in cells)


def matches(names: dict[str, Any], only: dict[str, str]) -> bool:
    """Whether a cell or a row is among those asked for: values of one key are separated by a bar."""
    return all(str(names.get(key)) in value.split("|") for key, value in only.items())


def run(
    experiment: Experiment,
    profile: str,
    *,
    jobs: int = 1,
    backend: str = "loky",
    plugins: Sequence[str] = (),
    only: dict[str, str] | None = None,
    again: bool = False,
    folder: Path | None = None,
) -> Store:
    """Measure what is missing of a profile and write Parquet and manifest; an interrupt keeps what is finished."""
    only = only or {}
    if jobs < 1:
        raise SpecError(f"--jobs {jobs}: at least one cell is measured at a time.")
    if backend != "sequential":
        try:
            joblib.parallel_config(backend=backend).unregister()
        except ValueError as error:
            raise SpecError(
                f"--backend {backend}: joblib has none of this name, or not what it needs. {error}"
            ) from None
    load(plugins)
    plan = experiment.cells(profile)
    axes = {data.name: dict(data.axes) for data in experiment.data_sets(profile)}
    names = {cell.key: {**axes[cell.data], **vars(cell)} for cell in plan}
    known = {name for one in names.values() for name in one}
    if set(only) - known:
        raise SpecError(
            f"{experiment.name} has no axis {', '.join(sorted(set(only) - known))}. Cells can be chosen by "
            f"{', '.join(sorted(known - {'experiment', 'profile'}))}."
        )
    with Store(experiment, profile, folder).locked() as store:
        if again:  # of stored rows that are not planned, columns of the same names tell which they are
            of = {
                key: names.get(key, {name: rows[0].get(name) for name in known})
                for key, rows in store.rows.items()
            }
            store.forget({key for key, one in of.items() if matches(one, only)})
        wanted = [cell for cell in plan if matches(names[cell.key], only)]
        if not wanted:
            raise SpecError(
                f"No cell of {experiment.name}, profile {profile}, is one of {only}; see the list of its axes."
            )
        cells = [cell for cell in wanted if cell.key not in store.rows]
        if not cells:
            store.finish(plan)
            return store
        alone = experiment.timed or jobs == 1
        store.begin({
            "started": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%MZ}",
            "jobs": 1 if alone else jobs,
            "backend": "sequential" if alone else backend,
            "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,  # others' work slows timings
        })  # fmt: skip
        failed: list[str] = []
        try:
            found = _results(cells, plugins, 1 if alone else jobs, backend)
            for rows in _shown(found, f"{experiment.name} {profile}", len(cells)):
                if isinstance(rows, CellError):
                    failed.append(str(rows))
                else:
                    store.add(rows)
        finally:
            store.finish(plan)
        if failed:
            more = f"\n{len(failed) - 1} more cells failed." if len(failed) > 1 else ""
            raise CellError(failed[0] + more)
    return store


def _shown(found: Iterable[Any], title: str, total: int) -> Iterator[Any]:
    """Show a bar with the remaining time; in a log, a line every half minute."""
    console = Console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"))
    said = time.perf_counter()
    if total and not console.is_terminal:
        print(
            f"{title}: {total} cells to measure; the first of each kind may have to compile kernels",
            file=sys.stderr,
        )
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        for i, rows in enumerate(found, 1):
            yield rows
            bar.advance(task)
            if not console.is_terminal and (time.perf_counter() - said > 30.0 or i == total):
                said = time.perf_counter()
                print(f"{title}: {i} of {total} cells", file=sys.stderr, flush=True)
