"""Where cells go: a journal line as soon as one is done, a flat Parquet at the end, and what they were made with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments._spec import HERE, Cell, Experiment, SpecError

PACKAGES = (
    "fmahal", "numpy", "scipy", "scikit-learn", "numba", "scikit-fda", "statsmodels", "robpy", "joblib", "pandas",
    "pyarrow",
)  # fmt: skip
Rows = list[dict[str, Any]]


class Store:
    """Rows of one profile of one experiment, by the keys of their cells.

    The journal has a line for each session (what machine, which versions, which commit) and one for each cell, which
    is on the disk before the next one is begun. `finish` turns it into Parquet and manifest.

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
        self.sessions: list[dict[str, Any]] = []
        self._start = 0.0

    def load(self) -> Store:
        """Read what is stored, and what a stopped run has left in its journal."""
        self.rows, self.sessions = {}, []
        if self.manifest.exists():
            facts = json.loads(self.manifest.read_text(encoding="utf-8"))
            self._same_profile(facts["profile"])
            self.sessions = facts["sessions"]
        if self.parquet.exists():
            import pyarrow.parquet as pq

            for row in pq.read_table(self.parquet).to_pylist():
                self.rows.setdefault(row["key"], []).append(row)
        if self.journal.exists():
            for text in self.journal.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(
                    json.JSONDecodeError
                ):  # the last line of a killed run may be half a line
                    self._replay(json.loads(text))
        return self

    def _same_profile(self, profile: str) -> None:
        if profile != self.profile:
            raise SpecError(
                f"{self.parquet} holds the profile {profile!r}, and {self.profile!r} is asked for: one would replace "
                "the other. Give --results another folder, or --profile the other profile."
            )

    def _replay(self, line: dict[str, Any]) -> None:
        if "session" in line:
            self._same_profile(line["session"]["profile"])
            self.sessions = [*self.sessions, line["session"]]
        else:
            self.rows[line["rows"][0]["key"]] = line["rows"]
            last = self.sessions[-1]
            last["cells"], last["wall_seconds"] = last["cells"] + 1, line["wall"]

    def _write(self, line: dict[str, Any]) -> None:
        with self.journal.open("a", encoding="utf-8") as stream:
            stream.write("\n" * (stream.tell() > 0) + json.dumps(line))
            stream.flush()
            os.fsync(stream.fileno())
        self._replay(line)

    def begin(self, session: Mapping[str, Any]) -> None:
        """Note by what the next cells are measured."""
        self._start = time.perf_counter()
        facts = {"profile": self.profile, "cells": 0, "wall_seconds": 0.0}
        self._write({"session": {**session, **machine(self.experiment), **facts}})

    def add(self, rows: Rows) -> None:
        """Write the rows of one finished cell; they are on the disk when this returns."""
        self._write({"wall": round(time.perf_counter() - self._start, 1), "rows": rows})

    def forget(self, keys: set[str]) -> None:
        """Drop cells, on the disk too."""
        if keys & self.rows.keys():
            self.rows = {key: rows for key, rows in self.rows.items() if key not in keys}
            self.finish([])

    def finish(self, plan: list[Cell]) -> None:
        """Write the Parquet and the manifest, and only then drop the journal.

        Rows that were measured by other sources go as soon as the same cell has been measured again, and rows of cells
        that are no longer planned when all planned ones are there; rows of methods that nobody registers just now stay.
        """
        order = {cell.key: i for i, cell in enumerate(plan)}
        again = {(cell.data, cell.method, cell.repetition) for cell in plan if cell.key in self.rows}
        whole, known = len(again) == len(plan) > 0, {cell.method for cell in plan}
        for key, (row, *_) in list(self.rows.items()):
            old = (row["data"], row["method"], row["repetition"]) in again or (
                whole and row["method"] in known
            )
            if key not in order and old:
                del self.rows[key]
        by_plan = sorted(self.rows, key=lambda key: (order.get(key, len(order)), key))
        self.rows = {key: self.rows[key] for key in by_plan}
        sessions = [one for one in self.sessions if one["cells"]] or self.sessions[-1:]
        facts = {**(sessions[-1] if sessions else {}), "experiment": self.experiment.name}
        facts |= {"cells": len(self.rows), "planned": len(plan), "sources": self.experiment.sources()}
        facts["wall_seconds"] = round(sum(one["wall_seconds"] for one in sessions), 1)
        facts["cell_seconds"] = round(sum(rows[0]["seconds"] for rows in self.rows.values()), 1)
        content = self._packed()
        facts |= {"parquet_sha256": hashlib.sha256(content).hexdigest(), "sessions": sessions}
        replace(self.parquet, content)
        replace(self.manifest, (json.dumps(facts, indent=1) + "\n").encode())
        self.journal.unlink(missing_ok=True)
        self.sessions = sessions

    def _packed(self) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [row for rows in self.rows.values() for row in rows]
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = pa.table({name: [row.get(name) for row in rows] for name in names})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", compression_level=19)
        return sink.getvalue().to_pybytes()

    @contextlib.contextmanager
    def locked(self) -> Iterator[Store]:
        """Keep a second run of the same experiment away; a run that ends, in whatever way, lets go of the lock."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        with self.lock.open("a+") as stream:
            if not _lock(stream):
                raise SpecError(
                    f"{self.experiment.name} is being run already by another process ({self.lock}). Wait for it, or "
                    "stop it: what it has finished is kept."
                )
            yield self.load()


def _lock(stream: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # a system without them: two runs at once are then the user's care
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def replace(path: Path, content: bytes) -> None:
    """Write a file so that an interrupt leaves the one of before or the one of after."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def machine(experiment: Experiment) -> dict[str, Any]:
    """Describe what numbers are made with: versions, processor, threads, BLAS, commit, the library's sources."""
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
    return facts | {
        "threads": experiment.threads,
        "commit": _commit(),
        "library": library(),
        "versions": versions,
    }


def library() -> str:
    """Digest of fmahal's own sources: results of another library may be out of date."""
    found = find_spec("fmahal")
    root = Path(str(found.origin)).parent if found else HERE
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    """Return the commit that the code stands at; with a plus sign when code was changed or added since."""
    git = ["git", "-C", str(HERE.parent)]
    made = [f":!{name}" for name in ("paper", "docs", "README.md", "experiments/*/results")]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", ".", *made], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + "+" * bool(changed.stdout.strip())
