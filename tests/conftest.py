"""Shared settings: derandomised property tests in CI, the --slow switch, the shared reference data."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.register_profile("plain", parent=settings.get_profile("default"), max_examples=4, derandomize=True)
# kernels as plain Python are a thousand times slower
PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
SMALL = 2.0  # seconds up to which a case is small there
settings.load_profile("plain" if PLAIN else "ci" if os.environ.get("CI") else "default")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip what is no small case for kernels as plain Python."""
    if not PLAIN or not hasattr(signal, "setitimer"):
        return (yield)

    def stop(*_):
        pytest.skip(f"takes more than {SMALL:g} s with kernels as plain Python")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SMALL)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def fixtures_dir():
    return Path(__file__).parent / "fixtures"
