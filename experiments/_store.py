"""Where cells go: a journal line as soon as one is done, a flat Parquet at the end, and what they were made with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments._spec import HERE, Cell, Experiment, SpecError

PACKAGES = ("fmahal", "numpy", "scipy", "scikit-learn", "numba", "scikit-fda", "joblib", "pandas", "pyarrow")
PACKAGES += ("statsmodels", "robpy")
Rows = list[dict[str, Any]]


class Store:
    """Rows of one profile of one experiment, by the keys of their cells.

    Parameters
    ----------
    experiment : Experiment
    profile : str
    folder : Path, optional
        Where ``<experiment>.parquet`` is to be; by default it is ``results/<profile>.parquet`` beside the sources.
    """

    def __init__(self, experiment: Experiment, profile: str, folder: Path | None = None) -> None:
        self.experiment, self.profile = experiment, profile
        stem = folder / experiment.name if folder else experiment.folder / "results" / profile
        self.parquet, self.manifest = stem.with_suffix(".parquet"), stem.with_suffix(".json")
        self.journal, self.lock = stem.with_suffix(".journal.jsonl"), stem.with_suffix(".lock")
        self.rows: dict[str, Rows] = {}

    def load(self) -> Store:
        """Read what is stored, and what a stopped run has left in its journal."""
        self.rows = {}
        if self.parquet.exists():
            import pyarrow.parquet as pq

            for row in pq.read_table(self.parquet).to_pylist():
                self.rows.setdefault(row["key"], []).append(row)
        if self.journal.exists():
            for line in self.journal.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(
                    json.JSONDecodeError
                ):  # the last line of a killed run may be half a line
                    rows = json.loads(line)
                    self.rows[rows[0]["key"]] = rows
        return self

    def add(self, rows: Rows) -> None:
        """Write the rows of one finished cell; they are on the disk when this returns."""
        self.rows[rows[0]["key"]] = rows
        with self.journal.open("a", encoding="utf-8") as stream:
            stream.write("\n" * (stream.tell() > 0) + json.dumps(rows))
            stream.flush()
            os.fsync(stream.fileno())

    def forget(self, keys: set[str]) -> None:
        """Drop cells, on the disk too."""
        if keys & self.rows.keys():
            self.rows = {key: rows for key, rows in self.rows.items() if key not in keys}
            self._pack()

    def finish(self, plan: list[Cell], session: Mapping[str, Any]) -> None:
        """Write the Parquet and the manifest, and only then drop the journal.

        Rows that were measured by other sources, or are no longer planned, go; rows of methods that are not
        registered just now stay.
        """
        planned = {cell.key for cell in plan}
        known = {cell.method for cell in plan}
        kept = {k: rows for k, rows in self.rows.items() if k in planned or rows[0]["method"] not in known}
        order = {cell.key: i for i, cell in enumerate(plan)}
        by_plan = sorted(kept, key=lambda key: (order.get(key, len(order)), key))
        self.rows = {key: kept[key] for key in by_plan}
        before = json.loads(self.manifest.read_text()) if self.manifest.exists() else {"sessions": []}
        measured = (
            session["cells"] or not before["sessions"]
        )  # else the machine and the commit stay those of before
        facts = machine(self.experiment) if measured else before
        facts |= {"experiment": self.experiment.name, "profile": self.profile}
        facts |= {"cells": len(self.rows), "planned": len(plan), "sources": self.experiment.sources()}
        new = [{**session, "commit": facts["commit"]}] if session["cells"] else []
        self._pack()
        facts["parquet_sha256"] = hashlib.sha256(self.parquet.read_bytes()).hexdigest()
        facts["sessions"] = [*before["sessions"], *new]
        facts["wall_seconds"] = round(sum(one["wall_seconds"] for one in facts["sessions"]), 1)
        facts["cell_seconds"] = round(sum(rows[0]["seconds"] for rows in self.rows.values()), 1)
        replace(self.manifest, (json.dumps(facts, indent=1) + "\n").encode())

    def _pack(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [row for rows in self.rows.values() for row in rows]
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = pa.table({name: [row.get(name) for row in rows] for name in names})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", compression_level=19)
        replace(self.parquet, sink.getvalue().to_pybytes())
        self.journal.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[Store]:
        """Keep a second run of the same experiment away."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            owner = int(self.lock.read_text())
            os.kill(owner, 0)
            if owner != os.getpid():
                raise SpecError(
                    f"Process {owner} is running {self.experiment.name} already ({self.lock}). Wait for it, or stop "
                    "it: what it has finished is kept."
                )
        except (FileNotFoundError, ValueError, ProcessLookupError):
            pass  # nobody, or a run that was killed
        self.lock.write_text(str(os.getpid()))
        try:
            yield self.load()
        finally:
            self.lock.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a file so that an interrupt leaves the one of before or the one of after."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def machine(experiment: Experiment) -> dict[str, Any]:
    """Describe what numbers are made with: versions, processor, threads, BLAS, commit."""
    import threadpoolctl

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    blas = sorted(
        {f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in pools}
    )
    facts = {"machine": platform.machine(), "processor": _processor(), "cpus": os.cpu_count(), "blas": blas}
    return facts | {"threads": experiment.threads, "commit": _commit(), "versions": versions}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    """Return the commit that the code stands at; with a plus sign when it was changed since."""
    git = ["git", "-C", str(HERE.parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + "+" * bool(changed.stdout.strip())
