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


PARALLEL = """
import hashlib
import numpy as np
from fmahal._kernels.sequences import banded_sqnorm, sequential_sqnorm
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for n, p in ((5, 3), (70, 64), (333, 131)):
    X, location, scale = rng.standard_normal((n, p)), rng.standard_normal(p), rng.uniform(0.5, 2.0, p)
    one, two = rng.standard_normal((2, p, 7)) / 9
    for array in (X, location, scale, one, two):
        array.setflags(write=False)
    out = np.empty((2, n))
    banded_sqnorm(X, location, one, scale, out[0])
    sequential_sqnorm(X, location, one, two, scale, out[1])
    digest.update(out.tobytes())
print(digest.hexdigest())
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
def test_what_another_process_has_compiled_since_is_loaded_too(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "toy.py").write_text(TOY)
    doubles = "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np; import toy"
    floats = f"{doubles}; toy.top(np.ones(3, np.float32))"
    both = f"""
{doubles}
import subprocess
subprocess.run([sys.executable, "-c", {floats!r}, sys.argv[1]], check=True, capture_output=True)
toy.top(np.ones(3, np.float32))
print(len(toy.leaf.overloads), sum(toy.leaf.stats.cache_hits.values()))
"""
    said(str(tmp_path / "toy.py"), **cache)
    assert said("-c", both, str(tmp_path), **cache)[-2:] == ["2", "2"]


@needs_cache
@pytest.mark.parametrize("broken", ["nbi", "nbc"])
def test_a_broken_file_of_a_callee_stops_nobody(tmp_path, broken):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "toy.py").write_text(TOY)
    said(str(tmp_path / "toy.py"), **cache)
    (file,) = (tmp_path / "cache").rglob(f"toy.leaf-*.{broken}")
    file.write_bytes(file.read_bytes()[:60])
    assert said(str(tmp_path / "toy.py"), **cache)[0] == "41.0"


@needs_cache
def test_sums_in_written_order_have_the_same_bits_compiled_and_loaded(tmp_path):
    first, second = (said("-c", PARALLEL, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first == second


@needs_cache
def test_moments_have_the_same_bits_whatever_was_loaded_first():
    said("-c", SUBSETS, "nothing")  # compiles, where no test has done so yet
    assert said("-c", SUBSETS, "nothing") == said("-c", SUBSETS, "callees")
