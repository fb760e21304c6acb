"""Thread caps for long sequences of small matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run BLAS on one thread: below some hundreds of rows its hand-over costs more than the second core gives."""
    with threadpool_limits(1, user_api="blas"):
        yield
