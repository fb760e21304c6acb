"""Paired benchmarks: equal results first, then a peer and ours in turn, in one run.

A benchmark never fails on a time. Each prints one row (figure, target, measured), and the session writes all rows
with the machine and the versions to ``benchmarks/results/<file>.json``.
"""

import json
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

RESULTS = Path(__file__).parent / "results"
_rows: dict[str, list[dict]] = {}
_facts: dict[str, dict] = {}


def _seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def interleaved(functions, rounds, budget, pause=0.0, warm=0):
    """Times of each function, taken in turn after one untimed call each: {name: [seconds]}.

    `warm` untimed calls come before every timed one, so that each function finds its own data in the caches and
    its threads awake, and not those of the one before it.

    The threads of a BLAS go on spinning for some 30 ms after a call; a longer pause before each call keeps those of one
    function from taking the cores of the next one.
    """
    times = {name: [] for name in functions}
    start = time.perf_counter()
    for _ in range(rounds):
        for name, function in functions.items():
            time.sleep(pause)
            for _ in range(warm):
                function()
            times[name].append(_seconds(function))
        if time.perf_counter() - start > budget:
            break
    return times


class Recorder:
    def __init__(self, request):
        self.file = Path(request.node.fspath).stem.removeprefix("test_")

    def add(self, figure, target, measured, met, **details):
        row = {"figure": figure, "target": target, "measured": measured, "met": bool(met), **details}
        _rows.setdefault(self.file, []).append(row)
        return row

    def about(self, **facts):
        """State more about the machine of this file's figures: versions of peers, another command."""
        _facts.setdefault(self.file, {}).update(facts)


@pytest.fixture
def record(request):
    return Recorder(request)


@pytest.fixture
def pair(benchmark, record):
    """Compare ours with peers: ``pair(figure, ours, {"peer": f}, factors={"peer": 4})``.

    `factors` are the wanted ratios of medians peer / ours. Outputs are compared before anything is timed.
    """

    def run(figure, ours, peers, factors, *, rtol=1e-7, rounds=15, budget=20.0, pause=0.0, warm=0):
        want = ours()
        for name, peer in peers.items():
            np.testing.assert_allclose(peer(), want, rtol=rtol, err_msg=name)
        times = interleaved({"fmahal": ours, **peers}, rounds, budget, pause, warm)
        benchmark.pedantic(ours, rounds=3, warmup_rounds=0)
        medians = {name: statistics.median(values) for name, values in times.items()}
        for name in peers:
            ratio = statistics.median(p / o for p, o in zip(times[name], times["fmahal"], strict=True))
            benchmark.extra_info[name] = ratio
            record.add(
                f"{figure}: {name} / fmahal",
                f">= {factors[name]:g}x",
                f"{ratio:.1f}x" if ratio >= 2 else f"{ratio:.2f}x",
                ratio >= factors[name],
                fmahal_ms=round(1e3 * medians["fmahal"], 3),
                peer_ms=round(1e3 * medians[name], 3),
                rounds=len(times[name]),
            )

    return run


def machine():
    import numba
    import scipy
    import sklearn
    import threadpoolctl

    import fmahal

    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "fmahal": fmahal.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "numba": numba.__version__,
        "blas": sorted(
            {
                f"{lib['internal_api']} {lib['version']} x{lib['num_threads']}"
                for lib in threadpoolctl.threadpool_info()
            }
        ),
        "command": "nox -s bench",
    }


def pytest_terminal_summary(terminalreporter):
    for file, rows in _rows.items():
        terminalreporter.section(f"figures: {file}")
        width = max(len(row["figure"]) for row in rows)
        for row in rows:
            mark = "ok  " if row["met"] else "MISS"
            times = f"   ({row['fmahal_ms']} ms, peer {row['peer_ms']} ms)" if "fmahal_ms" in row else ""
            terminalreporter.write_line(
                f"{mark} {row['figure']:<{width}}  target {row['target']:>12}  measured {row['measured']:>12}{times}"
            )


def pytest_sessionfinish(session, exitstatus):
    if exitstatus != 0 or not _rows:
        return
    RESULTS.mkdir(exist_ok=True)
    for file, rows in _rows.items():
        text = json.dumps({"machine": machine() | _facts.get(file, {}), "figures": rows}, indent=1)
        (RESULTS / f"{file}.json").write_text(text + "\n")
