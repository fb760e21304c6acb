"""robustbase and rrcov in a running R: one process for a whole session, which times its own fits."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

SCRIPT = Path(__file__).with_name("robust.R")
PACKAGES = ("r-cran-robustbase", "r-cran-rrcov", "libopenblas0-pthread")
CHECK = 'for (name in c("robustbase", "rrcov")) if (!requireNamespace(name, quietly = TRUE)) quit(status = 1)'


def environment():
    """The caller's, and the BLAS of the directory FMAHAL_BENCH_BLAS where R's own is the slow reference one."""
    env = dict(os.environ)
    if blas := os.environ.get("FMAHAL_BENCH_BLAS"):
        home = subprocess.run(["R", "RHOME"], capture_output=True, text=True, check=True).stdout.strip()
        env["R_LD_LIBRARY_PATH"] = f"{blas}:{home}/lib"  # R puts it before LD_LIBRARY_PATH
    return env


def _works():
    command = shutil.which("Rscript")
    if command is None:
        return "Rscript is not installed"
    found = subprocess.run([command, "--vanilla", "-e", CHECK], capture_output=True, env=environment())
    return None if found.returncode == 0 else "the R packages robustbase and rrcov are not installed"


def _install():
    """Debian's packages, where that was asked for and may be done."""
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES],
    ):
        subprocess.run(command, check=True, capture_output=True)


def missing():
    """Why the R peers cannot run here, or None. Installs them first where FMAHAL_BENCH_INSTALL=1 allows it."""
    reason = _works()
    if reason is None:
        return None
    permitted = (
        os.geteuid() == 0 and shutil.which("apt-get") and os.environ.get("FMAHAL_BENCH_INSTALL") == "1"
    )
    if not permitted:
        return f"{reason} (apt-get install {' '.join(PACKAGES)}, or FMAHAL_BENCH_INSTALL=1 as root)"
    try:
        _install()
    except subprocess.CalledProcessError as error:
        return f"{reason}, and installing failed: {error.stderr.decode(errors='replace')[-300:]}"
    return _works()


class RPeers:
    """A running R that fits what it is asked to."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="fmahal-bench-")
        self._process = subprocess.Popen(
            [shutil.which("Rscript"), "--vanilla", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def ask(self, *fields):
        """One request, one answer."""
        self._process.stdin.write("\t".join(map(str, fields)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"R ended during {fields[0]!r}, with exit status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"R could not do {fields[0]!r}: {answer['error']}")
        return answer

    def facts(self):
        """Versions of R, of the two packages and its BLAS."""
        return self.ask("facts")

    def hand_over(self, X):
        """Write a table where R reads it: the fields that name it in a request."""
        path = Path(self._folder.name) / f"{len(os.listdir(self._folder.name))}.bin"
        np.asarray(X, dtype=np.float64).ravel(order="F").tofile(path)
        return (path, *X.shape)

    def fit(self, method, table, seed):
        """Seconds of one fit inside R, its objective as R reports it, rho and the best subset (rows from 0)."""
        answer = self.ask(method, *table, seed)
        best = np.array(answer["best"], dtype=np.intp) - 1
        return SimpleNamespace(
            seconds=answer["seconds"], objective=answer["objective"], rho=answer["rho"], best=best
        )
