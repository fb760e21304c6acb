"""Seconds and peak memory of one call.

Memory is the high-water mark of the resident set of this process during the call over what was resident before it.
Unlike the counts of tracemalloc it holds the work space of BLAS, LAPACK and compiled kernels, which do not ask Python
for it; unlike a child process for each call it starts nothing. The mark is set back before the call, and memory that
was freed but kept by the allocator is handed back, so that what a call before it has used hides nothing. Both need
Linux and glibc; elsewhere there is no number.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEAST, MOST = 0.005, 0.1  # seconds: calls below the first are repeated, a call above the second is timed once
REPEATS = 3
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(call: Callable[[], Any]) -> tuple[int | None, float, Any]:
    """Return the peak memory of a call (None where it cannot be told), its seconds and its result."""
    before = _set_back()
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    return (None if before is None else max(0, _resident("VmHWM") - before)), seconds, result


def _set_back() -> int | None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _RESET.write_text("5")
        return _resident("VmRSS")
    except (OSError, AttributeError):
        return None


def _resident(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def seconds_of(call: Callable[[], Any], first: float) -> float:
    """Return the shortest seconds of a few calls; of one that took long the first time, those."""
    if first > MOST:
        return first
    loops = max(1, round(LEAST / max(first, 1e-6)))
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(loops):
            call()
        found.append((time.perf_counter() - start) / loops)
    return min(found)
