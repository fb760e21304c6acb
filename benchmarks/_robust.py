"""What the benchmarks of robust estimators share: the data, and a race of searches over three seeds.

Searches are compared by what they are for: the log-determinant of the covariance, divisor h - 1, of the h rows they end
with. The same h for all of them, the median over three seeds, and ours no higher than the best peer's, or nothing is
recorded. Only then do the times count.
"""

import functools
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SIZES = [(200, 5), (1_000, 10), (1_000, 40), (5_000, 20), (20_000, 10), (100_000, 10)]
SEEDS = (1, 2, 3)
LARGE = 5_000  # rows from which a search's own spread between runs is about 1e-3
TENS_OF_SECONDS = 10.0


@functools.cache
def contaminated(n, p, share=5, shift=5.0):
    """Return n standard normal rows in p dimensions, the first n // 5 of them shifted by 5 in every column.

    The shifted rows are spread as the others are, and lie 5 sqrt(p) from their centre: no row is hard to tell, the
    work is to find the set. Affine equivariant searches see the same problem for any other covariance.
    """
    X = np.random.default_rng([n, p]).standard_normal((n, p))
    X[: n // share] += shift
    X.flags.writeable = False
    return X


def half(n, p):
    """Return the subset size of the highest breakdown, the default of every search here."""
    return (n + p + 1) // 2


def objective(X, rows):
    """Log-determinant of the covariance of some rows, divisor one less than their number."""
    return float(np.linalg.slogdet(np.cov(X[rows].T))[1])


@dataclass
class Search:
    """One contestant: `fit(seed)` is timed, or `clock` reads the time off its result; `reached` is its objective."""

    fit: Callable[[int], Any]
    reached: Callable[[Any], float]
    clock: Callable[[Any], float] | None = None
    random: bool = True
    repeats: int = 1  # fits a round, whose median counts: a peer that takes minutes leaves few rounds
    result: Any = None
    seconds: list[float | None] = field(default_factory=list)
    objectives: list[float] = field(default_factory=list)

    def run(self, seed):
        """Fit once and keep time and objective; a search without randomness that takes long runs once."""
        if not self.random and self.seconds and (self.seconds[0] or 0) > TENS_OF_SECONDS:
            self.seconds.append(None)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            elapsed = statistics.median([self._timed(seed) for _ in range(self.repeats)])
        self.seconds.append(elapsed)
        if len(self.objectives) < len(SEEDS):
            self.objectives.append(self.reached(self.result))

    def _timed(self, seed):
        start = time.perf_counter()
        self.result = self.fit(seed)
        elapsed = time.perf_counter() - start
        return elapsed if self.clock is None else self.clock(self.result)

    @property
    def median_objective(self):
        return statistics.median(self.objectives)


def race(searches, rounds=15, budget=20.0):
    """Run every search in turn, one seed a round: at least one round for each seed, then until `budget` seconds."""
    start = time.perf_counter()
    for turn in range(rounds):
        if turn >= len(SEEDS) and time.perf_counter() - start > budget:
            break
        for search in searches.values():
            search.run(SEEDS[turn % len(SEEDS)])


def ratio(peer, ours):
    """Median over the rounds of peer / ours."""
    pairs = zip(peer.seconds, ours.seconds, strict=True)
    return statistics.median(p / o for p, o in pairs if p is not None)


def assert_no_worse(X, name, ours, peers):
    """The median objective of ours is at most the lowest of the peers', to 1e-3 for many rows."""
    best = min(peers, key=lambda peer: peers[peer].median_objective)
    allowed = 1e-3 if len(X) >= LARGE else 1e-8
    gap = ours.median_objective - peers[best].median_objective
    assert gap <= allowed, (
        f"{name}, (n, p) = {X.shape}: objective {ours.median_objective:.6f}, {gap:.2g} above {best}'s"
    )
    return gap


def times_text(value):
    return f"{value:.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 2 else f"{value:.2f}x"


def add_rows(record, figure, ours, peers, wanted):
    """One row for each peer with a wanted ratio; the objectives stand beside the times."""
    for name, factor in wanted.items():
        measured = ratio(peers[name], ours)
        taken = [s for s in peers[name].seconds if s is not None]
        record.add(
            f"{figure}: {name} / fmahal",
            f">= {factor:g}x",
            times_text(measured),
            measured >= factor,
            fmahal_ms=round(1e3 * statistics.median(ours.seconds), 3),
            peer_ms=round(1e3 * statistics.median(taken), 3),
            rounds=len(taken),
            fmahal_objective=ours.median_objective,
            peer_objective=peers[name].median_objective,
        )


def watch_anonymous_memory(code, **environment):
    """Run code in a fresh process; return its last line of output and the peak of its own (anonymous) memory in bytes.

    Pages of a mapped file do not count: the system may drop them at any time. Read from outside every 5 ms, since the
    process itself is busy in compiled code.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous_memory(process.pid))
        time.sleep(0.005)
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError(err[-2000:])
    return out.strip().splitlines()[-1], peak


def anonymous_memory(pid):
    """Bytes of anonymous memory, resident or swapped out, of a process; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            lines = [line.split() for line in status]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kept = ("RssAnon:", "RssShmem:", "VmSwap:")
    return 1024 * sum(int(words[1]) for words in lines if words and words[0] in kept)
