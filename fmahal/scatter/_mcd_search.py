"""The search for the h rows whose scatter has the least determinant: starts, concentration, exchange."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .._kernels.concentration import (
    FLAT,
    OK,
    SINGULAR,
    concentrate_all,
    elemental_starts,
    standardise,
    subset_moments,
)
from .._kernels.enumeration import best_subset
from .._kernels.exchange import descend_all
from .._typing import FloatArray
from .._validation import readonly
from ._det_starts import deterministic_starts

EPS = float(np.finfo(np.float64).eps)
GROUP = 300  # rows of a group, as in the published algorithm; five a column where columns are many
GROUPS = 5
KEPT = 10  # candidates that go on from stage to stage
SMALL = (
    600  # rows up to which every boundary row takes part in the exchange, and three times as many candidates
)
POLISHED = 4  # candidates that end in exchange descent with more rows than that
LARGE = 5000  # rows above which candidates that are behind after two steps are dropped
LEADERS = 2
LAST_TOL = EPS
LADDER = 10_000  # rows of the sample on which candidates converge first when there are at least twice as many
MAX_STEPS = 200
MOST_SUBSETS = 10**7  # that method="exact" may have to visit
DETERMINISTIC_COST = 1e9  # n p^2 up to which "auto" runs the deterministic starts too


class Solutions(NamedTuple):
    """Candidates, one an entry: log-determinants on the standardised scale, moments, subsets, null directions."""

    logdets: FloatArray
    means: FloatArray
    scatters: FloatArray
    statuses: np.ndarray
    normals: FloatArray
    subsets: np.ndarray

    def at(self, index: np.ndarray) -> Solutions:
        """Return copies of some candidates."""
        return Solutions(*(np.ascontiguousarray(part[index]) for part in self))


@dataclass
class Plane:
    """A hyperplane, in standardised units, that holds at least h rows."""

    normal: FloatArray
    rows: np.ndarray


class OnPlane(Exception):
    """Ends a search that has met a hyperplane with h rows."""

    def __init__(self, plane: Plane):
        super().__init__()
        self.plane = plane


@dataclass
class Problem:
    """Standardised rows (p, n), h, and what rounding means for them."""

    Zt: FloatArray
    h: int
    ddof: int
    floor: float = 0.0  # what the rounding of the data themselves does to a relative squared pivot
    whole: Problem | None = None  # of which this is a sample
    tol: float = field(init=False)

    def __post_init__(self) -> None:
        p, n = (self.whole or self).Zt.shape
        self.tol = max(16.0 * EPS * max(p, 16.0, math.sqrt(n)), self.floor)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the data."""
        return self.Zt.shape[1], self.Zt.shape[0]

    @property
    def kept(self) -> int:
        """Number of candidates that go on from stage to stage."""
        return 3 * KEPT if self.shape[0] <= SMALL else KEPT

    def sample(self, rows: np.ndarray) -> Problem:
        """Return the problem on some rows, with h in proportion."""
        n = self.shape[0]
        return Problem(
            np.ascontiguousarray(self.Zt[:, rows]), int(len(rows) * self.h / n), self.ddof, self.floor, self
        )

    def plane(self, found: Solutions) -> Plane | None:
        """Return a hyperplane with at least h rows among those that made candidates singular."""
        if self.whole is not None:
            return self.whole.plane(found)
        # The rows of a flat subset scatter about its hyperplane, that of an elemental start goes through its rows.
        width = math.sqrt((FLAT if found.subsets.shape[1] else 1.0) * self.tol)
        for c in np.flatnonzero(found.statuses == SINGULAR)[: 4 * KEPT]:
            rows = self._near(found.normals[c], found.means[c] * self.ddof, width)
            if rows.sum() >= self.h:
                return self._refined(Plane(found.normals[c], rows))
        return None

    def _near(self, normal: FloatArray, point: FloatArray, width: float) -> np.ndarray:
        parts = normal[:, None] * (self.Zt - point[:, None])
        bound = width * np.abs(normal).max() + 16.0 * EPS * np.abs(parts).sum(axis=0)
        return np.abs(parts.sum(axis=0)) <= bound

    def _refined(self, plane: Plane) -> Plane:
        """Return the hyperplane of least variance of the rows on it, as long as that holds more rows."""
        for _ in range(3):
            near = plane.rows & (np.abs(self.Zt).max(axis=0) <= 1e3)
            if near.sum() < self.h:
                break
            part = self.Zt[:, near]
            point = part.mean(axis=1) * self.ddof
            part = part - point[:, None]
            normal = np.linalg.eigh(part @ part.T)[1][:, 0]
            rows = self._near(normal, point, math.sqrt(FLAT * self.tol))
            if rows.sum() <= plane.rows.sum():
                break
            plane = Plane(normal, rows)
        return plane


@dataclass
class Subset:
    """The rows found, which starts led there, and the deterministic solution when it is another one."""

    rows: np.ndarray
    origin: str
    other: np.ndarray | None = None


def standardised(X: FloatArray, h: int, known: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return columns in units of their h-th smallest deviation, transposed, with centres and scales.

    A scale of 0, or one that is rounding of the centre, means that h rows share a value; it is returned as 0.
    """
    n, p = X.shape
    Zt, centre, scale = np.empty((p, n)), np.empty(p), np.empty(p)
    standardise(readonly(X), h, known, centre, scale, Zt)
    scale[scale <= 32.0 * EPS * np.abs(centre)] = 0.0
    return Zt, centre, scale


# ---------------------------------------------------------------- stages


def _empty(count: int, p: int, h: int) -> Solutions:
    return Solutions(
        np.full(count, np.inf),
        np.zeros((count, p)),
        np.zeros((count, p, p)),
        np.zeros(count, np.int64),
        np.zeros((count, p)),
        np.zeros((count, h), np.int64),
    )


def _best(problem: Problem, found: Solutions, count: int) -> Solutions:
    """Return the `count` best candidates that differ.

    A singular candidate that leads to a hyperplane ends the search; one that does not is dropped: its rows are too far
    apart for the digits there are.
    """
    if np.any(found.statuses == SINGULAR) and (plane := problem.plane(found)) is not None:
        raise OnPlane(plane)
    order = np.argsort(found.logdets, kind="stable")
    order = order[(found.statuses[order] == OK) & (found.logdets[order] < np.inf)]
    logdets = found.logdets[order]
    fresh = np.ones(logdets.size, dtype=bool)
    fresh[1:] = np.diff(logdets) > 64.0 * EPS * (1.0 + np.abs(logdets[1:]))
    return found.at(order[fresh][:count])


def _concentrate(problem: Problem, found: Solutions, steps: int) -> Solutions:
    """Concentrate candidates on the rows of `problem`, whose h may be another than before."""
    count = len(found.means)
    start = found._replace(subsets=np.zeros((count, problem.h), np.int64))
    taken = np.zeros(count, np.int64)
    concentrate_all(readonly(problem.Zt), problem.h, problem.ddof, steps, problem.tol, *start, taken)
    return start


def _converge(problem: Problem, found: Solutions) -> Solutions:
    """Concentrate until every subset stays; of many candidates on many rows, the leaders after two steps."""
    if problem.shape[0] >= LARGE and len(found.logdets) > LEADERS:
        found = _best(problem, _concentrate(problem, found, 2), LEADERS)
    return _best(problem, _concentrate(problem, found, MAX_STEPS), problem.kept)


def _random(problem: Problem, n_starts: int, rng: np.random.Generator) -> Solutions:
    """Solutions from random elemental starts: in groups of rows, then their union, then all rows."""
    n, p = problem.shape
    size = max(GROUP, 5 * p)
    k = max(1, min(n // size, GROUPS))
    m = size if n >= GROUPS * size else n // k
    drawn = rng.permutation(n)
    merged = problem.Zt if k == 1 else problem.Zt[:, drawn[: k * m]]
    groups = np.ascontiguousarray(merged.reshape(p, k, -1).swapaxes(0, 1))
    h = int(groups.shape[2] * problem.h / n)
    starts = -(-n_starts // k)
    uniforms = rng.random((k, starts, p + problem.ddof + 8))
    found = [np.zeros(shape) for shape in ((k, starts), (k, starts, p), (k, starts, p, p), (k, starts, p))]
    statuses = np.zeros((k, starts), np.int64)
    logdets, means, scatters, normals = found
    elemental_starts(
        readonly(groups), readonly(uniforms), h, problem.ddof, 2, problem.tol,
        logdets, means, scatters, statuses, normals,
    )  # fmt: skip
    kept = [
        _best(problem, Solutions(*parts, np.zeros((starts, 0), np.int64)), problem.kept)
        for parts in zip(logdets, means, scatters, statuses, normals, strict=True)
    ]
    best = Solutions(*(np.concatenate(parts) for parts in zip(*kept, strict=True)))
    if k == 1:
        return best
    if n <= 2 * k * m:
        return _best(problem, _concentrate(problem, best, 2), KEPT)
    sample = problem.sample(drawn[: k * m])
    best = _best(sample, _concentrate(sample, best, 2), KEPT)
    if n < 2 * LADDER:
        return best
    sample = problem.sample(drawn[:LADDER])
    best = _best(sample, _concentrate(sample, best, 2), 2 * LEADERS)
    return _best(sample, _concentrate(sample, best, MAX_STEPS), LEADERS)


def _deterministic(problem: Problem, sampled: bool) -> Solutions:
    """Return the six deterministic starts with their moments; where a sample is enough, converged in it."""
    n, p = problem.shape
    sampled = sampled and n >= 2 * LARGE
    whole = problem
    if sampled:  # a draw of its own, so that the result does not depend on the random starts
        problem = problem.sample(np.random.default_rng(0).permutation(n)[:LARGE])
    orders = deterministic_starts(problem.Zt.T, problem.h)
    found = _empty(len(orders), p, problem.h)
    found.subsets[:] = orders[:, : problem.h]
    subset_moments(
        readonly(problem.Zt), readonly(found.subsets), problem.ddof, problem.tol,
        found.logdets, found.means, found.scatters, found.statuses, found.normals,
    )  # fmt: skip
    found = _best(problem, found, len(orders))
    return _best(whole, _concentrate(problem, found, MAX_STEPS), LEADERS) if sampled else found


def _together(problem: Problem, solutions: dict[str, Solutions]) -> dict[str, Solutions]:
    """Concentrate the leader of each kind of start on all rows, side by side."""
    leaders = {
        name: _best(problem, _concentrate(problem, found, 2) if len(found.logdets) > LEADERS else found, 1)
        for name, found in solutions.items()
    }
    leaders = {name: found for name, found in leaders.items() if found.logdets.size}
    if not leaders:
        return solutions
    width = np.zeros((1, 0), np.int64)
    both = Solutions(
        *(np.concatenate(parts) for parts in zip(*(f._replace(subsets=width) for f in leaders.values())))
    )
    both = _concentrate(problem, both, MAX_STEPS)
    if np.any(both.statuses == SINGULAR) and (plane := problem.plane(both)) is not None:
        raise OnPlane(plane)
    return {name: both.at(np.array([c])) for c, name in enumerate(leaders)}


def _polish(problem: Problem, found: Solutions) -> Solutions:
    """Exchange descent of converged candidates."""
    n = problem.shape[0]
    cap, sweeps = (n, 100) if n <= SMALL else (24, 30 if n < LARGE else 3)
    good = found.at(
        np.arange(len(found.logdets))[: problem.kept if n <= SMALL else (POLISHED if n < LARGE else 1)]
    )
    if n == problem.h or not good.logdets.size:
        return found
    descend_all(readonly(problem.Zt), problem.h, problem.ddof, sweeps, cap, problem.tol, *good)
    return _best(problem, good, problem.kept)


# ---------------------------------------------------------------- methods


def search(problem: Problem, method: str, n_starts: int, rng: np.random.Generator) -> Subset | Plane:
    """Return the best subset that a method finds, or a hyperplane with h rows."""
    n, p = problem.shape
    solutions: dict[str, Solutions] = {}
    try:
        if method != "deterministic":
            solutions["fast"] = _random(problem, n_starts, rng)
        if method == "deterministic" or (method == "auto" and n * p * p <= DETERMINISTIC_COST):
            solutions["deterministic"] = _deterministic(problem, sampled=method == "auto")
        if method == "auto" and n >= LARGE:
            solutions = _together(problem, solutions)
        for name, found in solutions.items():
            solutions[name] = _polish(problem, _converge(problem, found))
    except OnPlane as met:
        return met.plane
    if not any(found.logdets.size for found in solutions.values()):
        if method in (
            "fast",
            "exact",
        ):  # far rows leave a random start no digits; the deterministic ones avoid them
            return search(problem, "deterministic", n_starts, rng)
        if problem.tol > LAST_TOL:
            problem.tol = LAST_TOL  # every subset is flat but for a few rows: go on with the digits there are
            return search(problem, method, n_starts, rng)
    return _enumerate(problem, solutions) if method == "exact" else _choose(solutions)


def _choose(solutions: dict[str, Solutions]) -> Subset:
    leaders = {name: found for name, found in solutions.items() if found.logdets.size}
    if not leaders:
        raise ArithmeticError(
            "No start led to a subset with a positive definite scatter: the rows are too far apart, or too close to a "
            "hyperplane, for double precision. Drop rows that are beyond 1e7 spreads from the others, and columns "
            "that are sums or multiples of others."
        )
    name = min(leaders, key=lambda key: leaders[key].logdets[0])
    rows = leaders[name].subsets[0]
    other = (
        leaders["deterministic"].subsets[0]
        if name != "deterministic" and "deterministic" in leaders
        else None
    )
    return Subset(np.sort(rows), name, None if other is None else np.sort(other))


def check_enumerable(n: int, h: int) -> None:
    """Raise a ValueError when there are too many subsets."""
    if math.comb(n, h) > MOST_SUBSETS:
        raise ValueError(
            f'method="exact" visits up to C({n}, {h}) = {math.comb(n, h):.2g} subsets, more than {MOST_SUBSETS:.0g}. '
            'Use method="auto", whose exchange descent finds the optimum of most small problems, or fewer rows.'
        )


def _enumerate(problem: Problem, solutions: dict[str, Solutions]) -> Subset | Plane:
    """Return the optimum by enumeration below the best subset of the random starts; far rows are decided first."""
    p = problem.shape[1]
    first = _choose(solutions)
    found = solutions[first.origin]
    Zt = problem.Zt
    L = np.linalg.cholesky(np.tril(found.scatters[0]) + np.tril(found.scatters[0], -1).T)
    order = np.argsort(
        -np.square(np.linalg.solve(L, Zt - found.means[0][:, None])).sum(axis=0), kind="stable"
    )
    divisor = problem.h - problem.ddof
    bound = found.logdets[0] + p * math.log(divisor)
    best = np.argsort(order, kind="stable")[first.rows]  # positions in the order of the search
    best_subset(
        readonly(Zt[:, order]),
        problem.h,
        problem.ddof,
        problem.tol,
        bound - 1e3 * EPS * (1.0 + abs(bound)),
        best,
    )
    rows = np.sort(order[best])
    check = _empty(1, p, problem.h)
    check.subsets[0] = rows
    subset_moments(
        readonly(Zt), readonly(check.subsets), problem.ddof, problem.tol,
        check.logdets, check.means, check.scatters, check.statuses, check.normals,
    )  # fmt: skip
    if check.statuses[0] == SINGULAR:
        return (
            problem.plane(check) or first
        )  # without a hyperplane far rows took the digits: it only looks flat
    return Subset(rows, "exact")
