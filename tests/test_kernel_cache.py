"""Kernels from the cache on disk: the same bits as in the process that compiled them, whatever is loaded first."""

import os
import subprocess
import sys

import pytest

from fmahal._kernels import _jit

needs_cache = pytest.mark.skipif(
    _jit._config.DISABLE_JIT or not _jit._CACHE, reason="kernels are not compiled, or not cached"
)

TOY = """
import numpy as np
from fmahal._kernels._jit import jit

@jit
def leaf(x):
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return total

@jit
def middle(x):
    return leaf(x) + 1.0

@jit(parallel=True)
def top(x):
    return middle(x) + x.sum()

print(top(np.arange(5.0)), len(leaf.overloads), len(middle.overloads), sum(leaf.stats.cache_hits.values()))
"""

SUBSETS = """
import hashlib, sys
import numpy as np
from fmahal._kernels import concentration, moments, selection
if sys.argv[1] == "callees":
    for module in (selection, moments):
        for kernel in list(vars(module).values()):
            for key in kernel._cache._cache_file._load_index() if hasattr(kernel, "_cache") else ():
                kernel.compile(key[0])
rng = np.random.default_rng(0)
p, n, s = 33, 382, 6
Zt = rng.standard_normal((p, n))
Zt.setflags(write=False)
subsets = np.array([rng.permutation(n)[:208] for _ in range(s)])
out = np.empty(s), np.empty((s, p)), np.zeros((s, p, p)), np.zeros(s, dtype=np.int64), np.zeros((s, p))
concentration.subset_moments(Zt, subsets, 1, 1e-13, *out)
print(hashlib.sha256(b"".join(one.tobytes() for one in out)).hexdigest())
"""


def said(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.split()


@needs_cache
def test_what_a_cached_kernel_calls_is_loaded_before_it(tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    first, second = (
        said(str(tmp_path / "toy.py"), NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)
    )
    assert first == ["41.0", "1", "1", "0"]
    assert second == ["41.0", "1", "1", "1"]


@needs_cache
def test_moments_have_the_same_bits_whatever_was_loaded_first():
    said("-c", SUBSETS, "nothing")  # compiles, where no test has done so yet
    assert said("-c", SUBSETS, "nothing") == said("-c", SUBSETS, "callees")
