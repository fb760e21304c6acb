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
