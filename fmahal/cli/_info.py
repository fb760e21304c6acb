"""``fmahal info`` and ``fmahal warmup``: the machine behind the numbers."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from . import _console, _params

_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "scikit-fda",
    "joblib",
    "threadpoolctl",
    "rich",
    "matplotlib",
    "pandas",
    "jinja2",
    "pyarrow",
)


def run_warmup(options: argparse.Namespace) -> int:
    """Compile every kernel and say how long it took."""
    from .. import warmup

    with _console.Progress() as progress:
        progress.say("compiling kernels (half a minute on a machine that has never run them)")
        took = warmup()
    print(f"kernels ready in {_console.seconds(took)}")
    return 0


def run_info(options: argparse.Namespace) -> int:
    """Print versions, threads, BLAS, cache and registered names."""
    facts = collect()
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    for section, values in facts.items():
        print(f"{section}:")
        width = max(map(len, values))
        for key, value in values.items():
            print(f"  {key:<{width}}  {value}")
    return 0


def collect() -> dict[str, dict[str, Any]]:
    """Return everything that ``fmahal info`` prints, by section."""
    from .. import __version__
    from .._kernels._jit import threading_facts

    scatters, nulls = _params.registered()
    packages = {name: _version(name) for name in _PACKAGES}
    return {
        "fmahal": {"version": __version__, "location": os.path.dirname(os.path.dirname(__file__))},
        "machine": {
            "python": f"{platform.python_version()} ({sys.executable})",
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": _cores(),
        },
        "packages": packages,
        "kernels": threading_facts(),
        "blas": _blas(),
        "scatters": {entry.name: entry.summary for entry in scatters} | scatters.forms(),
        "nulls": {entry.name: entry.summary for entry in nulls},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cores() -> int:
    """Cores this process may use, which a container or taskset may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _blas() -> dict[str, Any]:
    from threadpoolctl import threadpool_info

    pools = {}
    for pool in threadpool_info():
        layer = f", {pool['threading_layer']}" if pool.get("threading_layer") else ""
        architecture = f", {pool['architecture']}" if pool.get("architecture") else ""
        name = f"{pool['internal_api']} ({os.path.basename(pool['filepath'])})"
        pools[name] = (
            f"{pool.get('version') or 'version unknown'}, {pool['num_threads']} threads{layer}{architecture}"
        )
    return pools or {"none": "no BLAS was found"}
