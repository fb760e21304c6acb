"""Figures of whole processes."""

import os
import subprocess
import sys


def run_python(code, **environment):
    """Run code in a fresh process and return its standard output."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


# The high-water mark of this program alone: ru_maxrss would start at that of the process that launched it.
PEAK = """
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
"""
