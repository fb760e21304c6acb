"""Time to import, and to the first distance in a fresh process."""

import statistics
import subprocess
import sys
import time

ROUNDS = 7


def wall(code):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


FIRST = """
import time, numpy as np, fmahal
X = np.ones((10, 3)); C = np.eye(3)
start = time.perf_counter()
fmahal.mahalanobis(X, covariance=C)
print(time.perf_counter() - start)
"""


def test_import(record):
    wall("import numpy, fmahal")
    extra = [wall("import numpy, fmahal") - wall("import numpy") for _ in range(ROUNDS)]
    value = statistics.median(extra)
    record.add(
        "import fmahal, beyond import numpy", "< 0.15 s", f"{value:.3f} s", value < 0.15, rounds=ROUNDS
    )


def test_first_call_with_a_warm_cache(record):
    def first():
        return float(subprocess.check_output([sys.executable, "-c", FIRST], text=True))

    first()
    value = statistics.median(first() for _ in range(ROUNDS))
    record.add(
        "first mahalanobis in a fresh process", "< 1.5 s", f"{value:.2f} s", value < 1.5, rounds=ROUNDS
    )
