"""The --slow switch, for tests and benchmarks alike."""

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--slow", action="store_true", help="run the checks and benchmarks that take minutes too"
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
