"""Thread caps for long sequences of small matrix products."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_controller = cache(
    ThreadpoolController
)  # finding the libraries costs milliseconds, setting them microseconds
_lock = threading.Lock()
_inside = 0
_limits: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run BLAS on one thread: below some hundreds of rows its hand-over costs more than the second core gives.

    The number of threads belongs to the process. With several Python threads inside, the first sets it and the last
    one out puts it back, or one of them would put back what another had set.
    """
    global _inside, _limits
    with _lock:
        if _inside == 0:
            _limits = _controller().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limits.restore_original_limits()
                _limits = None
