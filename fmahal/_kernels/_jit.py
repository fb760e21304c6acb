"""The one decorator for kernels: flags, cache switch, launch lock, warm-up registry."""

from __future__ import annotations

import functools
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numba
import numpy as np
from numba.core import config as _config

# Never fastmath=True: it would let the compiler assume that NaN and infinity do not occur, and they must be seen.
_FLAGS = {"reassoc", "contract", "arcp", "nsz"}
_CACHE = os.environ.get("FMAHAL_CACHE", "1").lower() not in {"0", "false", "off", "no"}
SMALL = 20_000  # array entries below which waking a second thread costs more than it does
_KERNEL_MODULES = (
    "quadform",
    "sequences",
    "regression",
    "lasso",
    "hierarchy",
    "nested",
    "scales",
    "wrapping",
    "exchange",
    "enumeration",
    "counter",
    "resampling",
    "resampling_dual",
    "robust_resampling",
    "interpolation",
    "lanczos",
    "pairs",
    "sketched_queries",
    "sketching",
    "updates",
)
_warmups: list[Callable[[], None]] = []
_indexes_read: dict[Any, int] = {}  # kernel -> when the index of its cache was written, in ns


def _threadsafe_layer_available() -> bool:
    chosen = _config.THREADING_LAYER
    if chosen == "workqueue":
        return False
    if chosen in {"tbb", "omp", "threadsafe", "safe", "forksafe"}:
        return True  # numba itself refuses to start when the layer asked for is missing
    for name in _config.THREADING_LAYER_PRIORITY:
        if name == "workqueue":
            return False
        try:
            importlib.import_module(f"numba.np.ufunc.{name}pool")
        except ImportError:
            continue
        return True
    return False


# numba's workqueue layer aborts the process when two Python threads enter parallel kernels at once.
_launch_lock = None if _threadsafe_layer_available() else threading.RLock()


def jit(
    function: Callable[..., Any] | None = None, *, parallel: bool = False, reassociate: bool = True
) -> Any:
    """Compile a kernel lazily, on first use, with a cache on disk.

    A kernel that writes the order of its sums out says ``reassociate=False``: it loses no speed, and the compiler may
    not choose another order. Set the environment variable ``FMAHAL_CACHE=0`` to keep compiled code in memory only, and
    ``NUMBA_DISABLE_JIT=1`` to run every kernel as plain Python.
    """
    if function is None:
        return functools.partial(jit, parallel=parallel, reassociate=reassociate)
    if _config.DISABLE_JIT:
        return function
    flags = _FLAGS if reassociate else _FLAGS - {"reassoc"}
    options = {"nogil": True, "fastmath": flags, "parallel": parallel, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=_CACHE, **options)(function)
    except RuntimeError:  # no place on disk can hold the cache
        compiled = numba.njit(cache=False, **options)(function)
    _load_callees_first(function, compiled)
    return _launcher(function, compiled) if parallel else compiled


def _load_callees_first(function: Callable[..., Any], compiled: Any) -> None:
    """Let a kernel that comes from the cache find the same callees in memory as in the process that compiled it.

    A compiled kernel brings copies of what it calls, optimised in its own context, and of several copies the linker
    takes the one loaded first. A process that compiles has each callee before its callers; one that loads a caller
    alone would run the copy inside, whose sums are in another order: the same numbers but for rounding, by which a
    search among near ties may end elsewhere. The body of a parallel loop is such a copy too, out of reach here: a
    search keeps its sums in callees, and what is left differs by rounding between the process that compiled and the
    later ones, which agree among themselves.
    """
    load = getattr(getattr(compiled, "_cache", None), "load_overload", None)
    if load is None:
        return

    def load_overload(signature: Any, context: Any) -> Any:
        for name in function.__code__.co_names:
            callee = function.__globals__.get(name)
            if name != function.__name__ and hasattr(callee, "_cache"):
                _load_all(callee)
        return load(signature, context)

    compiled._cache.load_overload = load_overload


def _load_all(kernel: Any) -> None:
    """Load all signatures of a kernel that this machine's cache holds, again when another process has added some.

    No error stops here: numba's private names may change, and without a file of a callee the caller has its own copy.
    """
    with suppress(Exception):
        cache, codegen = kernel._cache, kernel.targetctx.codegen()
        file = cache._cache_file
        written = os.stat(file._index_path).st_mtime_ns
        if _indexes_read.get(kernel) == written:
            return
        _indexes_read[kernel] = written
        for key in file._load_index():
            if key[0] not in kernel.overloads and key == cache._index_key(key[0], codegen):
                with suppress(Exception):
                    kernel.compile(key[0])


def _launcher(function: Callable[..., Any], compiled: Any) -> Callable[..., Any]:
    """Call a parallel kernel on as many threads as its arrays are worth, one launch at a time where that is needed."""

    @functools.wraps(function)
    def launch(*args: Any) -> Any:
        with _launch_lock or nullcontext():
            if sum(a.size for a in args if isinstance(a, np.ndarray)) >= SMALL:
                return compiled(*args)
            before = numba.get_num_threads()
            numba.set_num_threads(1)
            try:
                return compiled(*args)
            finally:
                numba.set_num_threads(before)

    launch.compiled = compiled  # type: ignore[attr-defined]
    return launch


@contextmanager
def thread_limit(count: int | None) -> Iterator[None]:
    """Run parallel kernels on at most `count` threads; None changes nothing."""
    if count is None:
        yield
        return
    before = numba.get_num_threads()
    numba.set_num_threads(max(1, min(count, before)))
    try:
        yield
    finally:
        numba.set_num_threads(before)


def thread_count() -> int:
    """Return how many threads parallel kernels run on."""
    return int(numba.get_num_threads())


def warms(function: Callable[[], None]) -> Callable[[], None]:
    """Register a function that calls kernels once with every type they serve."""
    _warmups.append(function)
    return function


def warmup() -> float:
    """Compile every kernel now, or load it from the cache on disk.

    Kernels compile on their first use otherwise: the first call of a function waits for the compiler on a machine that
    has never run it, and in later processes for the compiled code to be read, which is a small part of that.

    Returns
    -------
    seconds : float
        Time spent.

    Notes
    -----
    Cost: minutes of compilation on a machine that has not run them; the result is kept in the cache
    directory that ``fmahal info`` prints.

    Examples
    --------
    >>> import fmahal
    >>> seconds = fmahal.warmup()
    >>> seconds > 0
    True
    """
    start = time.perf_counter()
    for name in _KERNEL_MODULES:
        importlib.import_module(f"{__package__}.{name}")
    for function in _warmups:
        function()
    return time.perf_counter() - start


def threading_facts() -> dict[str, Any]:
    """Return what the launch of parallel kernels depends on: layer, threads, cache directory."""
    return {
        "numba": numba.__version__,
        "threads": int(_config.NUMBA_NUM_THREADS),
        "launches_locked": _launch_lock is not None,
        "jit": not _config.DISABLE_JIT,
        "cache": _CACHE,
        "cache_dir": _config.CACHE_DIR or "__pycache__ beside each kernel file",
    }
