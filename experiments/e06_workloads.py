"""The three jobs of the study of sketches: what is timed, what memory it keeps, and how far off the answers are."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from e01_rows import seed_of
from scipy.linalg import qr

from fmahal import ModifiedCholesky, Whitener
from fmahal._maps import random_map

CELL = ("workload", "structure", "width", "p", "n", "dtype")
VARIANT = ("kind", "k", "sample")
STAGES = ("rows_exact", "rest_exact", "gemm", "map", "fold", "rows_sketched", "rest_sketched")
OTHERS = ("rank", "bytes_exact", "bytes_sketched", "error_median", "error_95", "error_max", "rounds")
N_SKETCHES = 6  # in an index, of which each query takes a sample
N_QUERIES = 5  # whose errors are pooled
LEAST = 0.002  # seconds of one timing; faster jobs are repeated within it


class Cell(NamedTuple):
    """A job on n rows of p columns under a whitener of `width` stored numbers a column."""

    workload: str
    structure: str
    width: int
    p: int
    n: int
    dtype: str


class Variant(NamedTuple):
    """Kind of map, coordinates, and how many sketches of an index a query takes; 0 is one array without an index."""

    kind: str
    k: int
    sample: int


# ------------------------------------------------------------------------------------------------- timing


def interleaved(jobs: dict[str, Callable[[], Any]], seconds: float) -> tuple[dict[str, float], int]:
    """Return the median seconds of each job, done in turn, and the number of rounds (3 to 15)."""
    first = {name: _seconds(job, 1) for name, job in jobs.items()}
    once = {name: _seconds(job, 1) if first[name] < 0.5 else first[name] for name, job in jobs.items()}
    loops = {name: max(1, min(1000, int(np.ceil(LEAST / max(t, 1e-7))))) for name, t in once.items()}
    total = sum(once[name] * loops[name] for name in jobs)
    rounds = int(np.clip(seconds / max(total, 1e-9), 3, 15))
    times: dict[str, list[float]] = {name: [] for name in jobs}
    names = list(jobs)
    for r in range(rounds):
        turn = r % len(names)
        for name in names[turn:] + names[:turn]:
            times[name].append(_seconds(jobs[name], loops[name]))
    return {name: median(values) for name, values in times.items()}, rounds


def _seconds(job: Callable[[], Any], loops: int) -> float:
    collected = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(loops):
            job()
        return (time.perf_counter() - start) / loops
    finally:
        if collected:
            gc.enable()


# ------------------------------------------------------------------------------------------------- whiteners and rows


def whitener_of(cell: Cell) -> Whitener:
    """Return a well-conditioned whitener of the structure; how it was estimated changes no cost."""
    p, width = cell.p, cell.width
    rng = _generator(cell, "whitener")
    if cell.structure == "triangular":
        L = np.tril(rng.standard_normal((p, p)), -1) / np.sqrt(p) + np.eye(p)
        return Whitener.from_cholesky(L)
    if cell.structure == "spectral":
        V = qr(rng.standard_normal((p, width)), mode="economic")[0]
        return Whitener.from_eigh(np.linspace(10.0, 2.0, width), V, ridge=1.0)
    if cell.structure == "banded":
        band = np.full((p, width), 0.3 / width)
        for j in range(min(width, p)):
            band[j, j:] = 0.0
        return Whitener.from_modified_cholesky(band, np.ones(p))
    fit = ModifiedCholesky(penalty="l2", alpha=1.0).fit(rng.standard_normal((width, p)))
    if fit.whitener_.kind != "sequential":
        raise ValueError(f"{width} rows of {p} columns give a {fit.whitener_.kind} whitener.")
    return fit.whitener_


def _generator(cell: Cell, what: str) -> np.random.Generator:
    return np.random.default_rng(seed_of(what, cell.structure, cell.width, cell.p))


def normal_rows(cell: Cell, what: str = "rows", n: int | None = None) -> np.ndarray:
    """Standard normal rows in the type of the cell."""
    shape = (cell.n if n is None else n, cell.p)
    return _generator(cell, what).standard_normal(shape, dtype=np.float32).astype(cell.dtype, copy=False)


def seed_for(cell: Cell, variant: Variant) -> int:
    """Return the seed of the map of a variant, the same for all jobs."""
    return int(seed_of("map", cell.p, *variant[:2]).generate_state(1)[0])


def quantiles(estimate: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Relative errors of squared distances: median, 95 % and the largest."""
    off = np.abs(estimate.astype(np.float64) / exact - 1.0)
    middle, most = np.quantile(off, (0.5, 0.95))
    return {"error_median": float(middle), "error_95": float(most), "error_max": float(off.max())}


def structure_bytes(cell: Cell) -> int:
    """Bytes of the exact whitener: the arrays that it keeps, in float64."""
    per_column = {"triangular": cell.p, "sequential": 2 * cell.width}.get(cell.structure, cell.width)
    return 8 * cell.p * per_column


# ------------------------------------------------------------------------------------------------- one centre


def fitted(w: Whitener, cell: Cell, variant: Variant) -> tuple[dict[str, Callable[[], Any]], np.ndarray]:
    """Return the two jobs of making a sketch, and the k x p array that they make."""
    seed = seed_for(cell, variant)
    S = random_map(variant.kind, variant.k, w.shape[0], seed).matrix()
    jobs = {
        f"map {variant}": lambda: random_map(variant.kind, variant.k, w.shape[0], seed).matrix(),
        f"fold {variant}": lambda: w.adjoint(S),
    }
    return jobs, w.adjoint(S)


def center(cell: Cell, variants: Iterable[Variant], seconds: float) -> list[dict[str, Any]]:
    """Squared distances of n rows to one centre."""
    w, X = whitener_of(cell), normal_rows(cell)
    jobs: dict[str, Callable[[], Any]] = {"rows_exact": lambda: w.sqnorm(X)}
    if cell.structure == "triangular":  # the dense product: more work than the triangle, at a higher rate
        W = np.ascontiguousarray(w.adjoint(np.eye(cell.p)).T.astype(cell.dtype))
        jobs["gemm"] = lambda: _sqnorms(X @ W)
    lines, exact = [], w.sqnorm(X)
    for variant in variants:
        making, _ = fitted(w, cell, variant)
        sketch = w.sketch(variant.k, kind=variant.kind, random_state=seed_for(cell, variant))
        jobs |= {**making, f"rows_sketched {variant}": lambda sketch=sketch: sketch.sqnorm(X)}
        sizes = {"bytes_exact": structure_bytes(cell), "bytes_sketched": 8 * variant.k * cell.p}
        lines.append({**_named(cell, variant, w), **sizes, **quantiles(sketch.sqnorm(X), exact)})
    return _with_times(lines, *interleaved(jobs, seconds))


def _sqnorms(Z: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", Z, Z)


# ------------------------------------------------------------------------------------------------- all pairs


def pair_squares(Z: np.ndarray) -> np.ndarray:
    """All squared distances by norms and the symmetric product (half a GEMM): exact and sketched alike."""
    squares = Z @ Z.T  # NumPy sees the transpose of the same array and calls BLAS's symmetric product
    norms = squares.diagonal().copy()
    squares *= -2.0
    squares += norms
    squares += norms[:, None]
    return squares


def pairs(cell: Cell, variants: Iterable[Variant], seconds: float) -> list[dict[str, Any]]:
    """Squared distances between all pairs of n rows."""
    w, X = whitener_of(cell), normal_rows(cell)
    Z = w.whiten(X)
    upper = np.triu_indices(cell.n, 1)
    exact = pair_squares(Z)[upper]
    jobs = {"rows_exact": lambda: w.whiten(X), "rest_exact": lambda: pair_squares(Z)}
    lines, size = [], X.itemsize
    for variant in variants:
        making, matrix = fitted(w, cell, variant)
        folded = matrix.astype(cell.dtype)
        Y = np.ascontiguousarray(X @ folded.T)
        jobs |= making
        jobs[f"rows_sketched {variant}"] = lambda folded=folded: X @ folded.T
        jobs[f"rest_sketched {variant}"] = lambda Y=Y: pair_squares(Y)
        sizes = {
            "bytes_exact": structure_bytes(cell) + size * (Z.size + cell.n**2),
            "bytes_sketched": 8 * variant.k * cell.p + size * (Y.size + cell.n**2),
        }
        lines.append({**_named(cell, variant, w), **sizes, **quantiles(pair_squares(Y)[upper], exact)})
    return _with_times(lines, *interleaved(jobs, seconds))


# ------------------------------------------------------------------------------------------------- queries


def scan(Z: np.ndarray, norms: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Squared distances of one point to stored ones by cached norms and one matrix-vector product."""
    out = Z @ z
    out *= -2.0
    out += norms
    out += z @ z
    return out


def query(cell: Cell, variants: Iterable[Variant], seconds: float) -> list[dict[str, Any]]:
    """Squared distances of one new row to n stored ones, which were whitened or sketched before."""
    w, X = whitener_of(cell), normal_rows(cell)
    questions = normal_rows(cell, "questions", N_QUERIES).astype(np.float64)
    W = w.adjoint(np.eye(cell.p)).T.astype(cell.dtype)
    Z = np.ascontiguousarray(X @ W)
    W = np.ascontiguousarray(W.T)
    x, norms = questions[0].astype(cell.dtype), _sqnorms(Z)
    z = W @ x
    exact = np.array([_distances(Z, W @ one.astype(cell.dtype)) for one in questions])
    jobs = {"rows_exact": lambda: W @ x, "rest_exact": lambda: scan(Z, norms, z)}
    lines = []
    for variant in variants:
        line = _named(cell, variant, w) | {"bytes_exact": Z.nbytes + W.nbytes}
        if variant.sample:
            jobs_of, kept, answers = _index(W, X, cell, variant, questions)
        else:
            jobs_of, kept, answers = _stored(w, X, cell, variant, questions)
        jobs |= jobs_of
        lines.append({**line, "bytes_sketched": kept, **quantiles(answers, exact)})
    return _with_times(lines, *interleaved(jobs, seconds))


def _distances(Z: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Squared distances by differences, in blocks: the truth that errors are measured against."""
    blocks = np.array_split(Z, max(1, Z.shape[0] // 1000))
    return np.concatenate([_sqnorms((block - z).astype(np.float64)) for block in blocks])


def _stored(
    w: Whitener, X: np.ndarray, cell: Cell, variant: Variant, questions: np.ndarray
) -> tuple[dict[str, Callable[[], Any]], int, np.ndarray]:
    """One array of sketched rows, scanned as the exact one is."""
    making, matrix = fitted(w, cell, variant)
    folded = matrix.astype(cell.dtype)
    Y = np.ascontiguousarray(X @ folded.T)
    x, norms = questions[0].astype(cell.dtype), _sqnorms(Y)
    y = folded @ x
    jobs = making | {
        f"rows_sketched {variant}": lambda: folded @ x,
        f"rest_sketched {variant}": lambda: scan(Y, norms, y),
    }
    answers = np.array([_distances(Y, folded @ one.astype(cell.dtype)) for one in questions])
    return jobs, Y.nbytes + folded.nbytes, answers


def _index(
    W: np.ndarray, X: np.ndarray, cell: Cell, variant: Variant, questions: np.ndarray
) -> tuple[dict[str, Callable[[], Any]], int, np.ndarray]:
    """Sketches of an index: the median of a fresh sample of them, safe against questions that adapt."""
    from fmahal.online import AdaptiveMahalanobisIndex

    index = AdaptiveMahalanobisIndex(
        W,
        n_components=variant.k,
        n_sketches=N_SKETCHES,
        sample_size=variant.sample,
        kind=variant.kind,
        random_state=seed_for(cell, variant),
    ).fit(X)
    x = questions[0].astype(cell.dtype)
    answers = np.array([index.query(one.astype(cell.dtype)) for one in questions])
    return {f"rest_sketched {variant}": lambda: index.query(x)}, index.memory_bytes_, answers


# ------------------------------------------------------------------------------------------------- lines


def _named(cell: Cell, variant: Variant, w: Whitener) -> dict[str, Any]:
    return {**cell._asdict(), **variant._asdict(), "rank": w.shape[0]}


def _with_times(lines: list[dict[str, Any]], times: dict[str, float], rounds: int) -> list[dict[str, Any]]:
    """Add the seconds of each stage; 0 where a job has no such stage."""
    for line in lines:
        variant = Variant(*(line[key] for key in VARIANT))
        for stage in STAGES:
            line[stage] = times.get(stage, times.get(f"{stage} {variant}", 0.0))
        line["rounds"] = rounds
    return lines


WORKLOADS = {"center": center, "pairs": pairs, "query": query}


def measure(cell: Cell, variants: Iterable[Variant], seconds: float) -> list[dict[str, Any]]:
    """Return one line for each variant of a cell, all timed in turn with the exact job."""
    return WORKLOADS[cell.workload](cell, list(variants), seconds)
