"""Thread caps for long sequences of small matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_controller = cache(
    ThreadpoolController
)  # finding the libraries costs milliseconds, setting them microseconds


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run BLAS on one thread: below some hundreds of rows its hand-over costs more than the second core gives."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
