"""The three jobs that are timed: n rows to one centre, all pairs, a query of stored rows; exactly and by sketches.

In a cell the exact job and those by sketches of every size are timed in turn, a stage at a time: making the map,
folding it, the rows, then the pairs or the scan.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr

from experiments._spec import Seeds
from fmahal import AdaptiveMahalanobisIndex, ModifiedCholesky, Whitener

STAGES = ("rows_exact", "rest_exact", "gemm", "map", "fold", "rows_sketched", "rest_sketched")
N_SKETCHES = 6  # in an index, of which each query takes a sample
N_QUERIES = 5  # whose errors are pooled
MOST_JUDGED = 1000  # rows whose pairs tell the errors
LEAST = 0.001  # seconds of one timing; faster jobs are repeated within it
ROUNDS = (2, 7)
Jobs = dict[str, Callable[[], Any]]
Record = dict[str, Any]


class Job(NamedTuple):
    """A job on n rows of p columns under a whitener of `width` stored numbers a column."""

    workload: str
    structure: str
    width: int
    p: int
    n: int
    dtype: str


class Drawn(NamedTuple):
    """A job with its whitener, its rows, and questions for queries."""

    job: Job
    whitener: Whitener
    rows: np.ndarray
    questions: np.ndarray
    sizes: tuple[tuple[int, int], ...]  # coordinates of a sketch, and how many sketches a query takes
    seconds: float  # of timing, at least two rounds


class Variant(NamedTuple):
    """Kind of map, coordinates, and how many sketches of an index a query takes; 0 is one array without an index."""

    kind: str
    k: int
    sample: int


# ------------------------------------------------------------------------------------------------- timing


def interleaved(jobs: Jobs, seconds: float) -> tuple[dict[str, float], int]:
    """Return the median seconds of each job, done in turn, and the number of rounds."""
    once = {name: _seconds(job, 1) for name, job in jobs.items()}
    once = {name: _seconds(jobs[name], 1) if t < 0.1 else t for name, t in once.items()}
    loops = {name: max(1, min(1000, int(np.ceil(LEAST / max(t, 1e-7))))) for name, t in once.items()}
    total = sum(once[name] * loops[name] for name in jobs)
    rounds = int(np.clip(seconds / max(total, 1e-9), *ROUNDS))
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


def whitener_of(job: Job, rng: np.random.Generator) -> Whitener:
    """Return a well-conditioned whitener of the structure; how it was estimated changes no cost."""
    p, width = job.p, job.width
    if job.structure == "triangular":
        L = np.tril(rng.standard_normal((p, p)), -1) / np.sqrt(p) + np.eye(p)
        return Whitener.from_cholesky(L)
    if job.structure == "spectral":
        V = qr(rng.standard_normal((p, width)), mode="economic")[0]
        return Whitener.from_eigh(np.linspace(10.0, 2.0, width), V, ridge=1.0)
    if job.structure == "banded":
        band = np.full((p, width), 0.3 / width)
        for j in range(min(width, p)):
            band[j, j:] = 0.0
        return Whitener.from_modified_cholesky(band, np.ones(p))
    fit = ModifiedCholesky(penalty="l2", alpha=1.0).fit(rng.standard_normal((width, p)))
    if fit.whitener_.kind != "sequential":
        raise ValueError(f"{width} rows of {p} columns give a {fit.whitener_.kind} whitener.")
    return fit.whitener_


def draw(job: Job, sizes: tuple[tuple[int, int], ...], seconds: float, seeds: Seeds) -> Drawn:
    """Return the whitener, standard normal rows in the type of the job, and questions."""
    w = whitener_of(job, seeds.rng("whitener"))
    rows = seeds.rng("rows").standard_normal((job.n, job.p), dtype=np.float32).astype(job.dtype, copy=False)
    questions = seeds.rng("questions").standard_normal((N_QUERIES, job.p))
    return Drawn(job, w, rows, questions, sizes, seconds)


def errors(estimate: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Relative errors of squared distances: median, 95 % and the largest."""
    off = np.abs(estimate.astype(np.float64) / exact - 1.0)
    middle, most = np.quantile(off, (0.5, 0.95))
    return {"error_median": float(middle), "error_95": float(most), "error_max": float(off.max())}


def structure_bytes(job: Job) -> int:
    """Bytes of the exact whitener: the arrays that it keeps, in float64."""
    per_column = {"triangular": job.p, "sequential": 2 * job.width}.get(job.structure, job.width)
    return 8 * job.p * per_column


# ------------------------------------------------------------------------------------------------- one centre


def fitted(w: Whitener, variant: Variant, seed: int) -> tuple[Jobs, np.ndarray]:
    """Return the two jobs of making a sketch, and the k x p array that they make.

    A sketch of the identity, kept as a ridge without eigenvectors, has nothing to fold: making it is drawing the map.
    """
    m = w.shape[0]
    identity = Whitener.from_eigh(np.ones(0), np.empty((m, 0)), ridge=1.0)
    S = identity.sketch(variant.k, kind=variant.kind, random_state=seed).adjoint(np.eye(variant.k))
    jobs: Jobs = {
        f"map {variant}": lambda: identity.sketch(variant.k, kind=variant.kind, random_state=seed),
        f"fold {variant}": lambda: w.adjoint(S),
    }
    return jobs, w.adjoint(S)


def center(drawn: Drawn, variants: Iterable[Variant], seed: int) -> list[Record]:
    """Squared distances of n rows to one centre."""
    job, w, X = drawn.job, drawn.whitener, drawn.rows
    jobs: Jobs = {"rows_exact": lambda: w.sqnorm(X)}
    if job.structure == "triangular":  # the dense product: more work than the triangle, at a higher rate
        W = dense(w, job)
        jobs["gemm"] = lambda: sqnorms(X @ W)
    records, exact = [], w.sqnorm(X)
    for variant in variants:
        making, _ = fitted(w, variant, seed)
        sketch = w.sketch(variant.k, kind=variant.kind, random_state=seed)
        jobs |= {**making, f"rows_sketched {variant}": lambda sketch=sketch: sketch.sqnorm(X)}
        sizes = {"bytes_exact": structure_bytes(job), "bytes_sketched": 8 * variant.k * job.p}
        records.append({**_named(variant, w), **sizes, **errors(sketch.sqnorm(X), exact)})
    return _with_times(records, variants, *interleaved(jobs, drawn.seconds))


def dense(w: Whitener, job: Job) -> np.ndarray:
    """Return the whitener as a p x r array: rows are whitened by one product with it."""
    return np.ascontiguousarray(w.adjoint(np.eye(w.shape[0])).T.astype(job.dtype))


def sqnorms(Z: np.ndarray) -> np.ndarray:
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


def pairs(drawn: Drawn, variants: Iterable[Variant], seed: int) -> list[Record]:
    """Squared distances between all pairs of n rows."""
    job, w, X = drawn.job, drawn.whitener, drawn.rows
    Z = w.whiten(X)
    upper = np.triu_indices(min(job.n, MOST_JUDGED), 1)
    exact = pair_squares(Z[:MOST_JUDGED])[upper]
    jobs: Jobs = {"rows_exact": lambda: w.whiten(X), "rest_exact": lambda: pair_squares(Z)}
    if job.structure == "triangular":
        W = dense(w, job)
        jobs["gemm"] = lambda: X @ W
    records, size = [], X.itemsize
    for variant in variants:
        making, matrix = fitted(w, variant, seed)
        folded = matrix.astype(job.dtype)
        Y = np.ascontiguousarray(X @ folded.T)
        jobs |= making
        jobs[f"rows_sketched {variant}"] = lambda folded=folded: X @ folded.T
        jobs[f"rest_sketched {variant}"] = lambda Y=Y: pair_squares(Y)
        sizes = {
            "bytes_exact": structure_bytes(job) + size * (Z.size + job.n**2),
            "bytes_sketched": 8 * variant.k * job.p + size * (Y.size + job.n**2),
        }
        records.append({**_named(variant, w), **sizes, **errors(pair_squares(Y[:MOST_JUDGED])[upper], exact)})
    return _with_times(records, variants, *interleaved(jobs, drawn.seconds))


# ------------------------------------------------------------------------------------------------- queries


def scan(Z: np.ndarray, norms: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Squared distances of one point to stored ones by cached norms and one matrix-vector product."""
    out = Z @ z
    out *= -2.0
    out += norms
    out += z @ z
    return out


def distances(Z: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Squared distances by differences, in blocks: the truth that errors are measured against."""
    blocks = np.array_split(Z, max(1, Z.shape[0] // 1000))
    return np.concatenate([sqnorms((block - z).astype(np.float64)) for block in blocks])


def query(drawn: Drawn, variants: Iterable[Variant], seed: int) -> list[Record]:
    """Squared distances of one new row to n stored ones, which were whitened or sketched before."""
    job, w, X = drawn.job, drawn.whitener, drawn.rows
    W = dense(w, job)
    Z = np.ascontiguousarray(X @ W)
    W = np.ascontiguousarray(W.T)
    x, norms = drawn.questions[0].astype(job.dtype), sqnorms(Z)
    z = W @ x
    exact = np.array([distances(Z, W @ one.astype(job.dtype)) for one in drawn.questions])
    jobs: Jobs = {"rows_exact": lambda: W @ x, "rest_exact": lambda: scan(Z, norms, z)}
    records = []
    for variant in variants:
        made = _index(W, drawn, variant, seed) if variant.sample else _stored(drawn, variant, seed)
        jobs |= made[0]
        sizes = {"bytes_exact": Z.nbytes + W.nbytes, "bytes_sketched": made[1]}
        records.append({**_named(variant, w), **sizes, **errors(made[2], exact)})
    return _with_times(records, variants, *interleaved(jobs, drawn.seconds))


def _stored(drawn: Drawn, variant: Variant, seed: int) -> tuple[Jobs, int, np.ndarray]:
    """One array of sketched rows, scanned as the exact one is."""
    dtype = drawn.job.dtype
    making, matrix = fitted(drawn.whitener, variant, seed)
    folded = matrix.astype(dtype)
    Y = np.ascontiguousarray(drawn.rows @ folded.T)
    x, norms = drawn.questions[0].astype(dtype), sqnorms(Y)
    y = folded @ x
    jobs = making | {
        f"rows_sketched {variant}": lambda: folded @ x,
        f"rest_sketched {variant}": lambda: scan(Y, norms, y),
    }
    answers = np.array([distances(Y, folded @ one.astype(dtype)) for one in drawn.questions])
    return jobs, Y.nbytes + folded.nbytes, answers


def _index(W: np.ndarray, drawn: Drawn, variant: Variant, seed: int) -> tuple[Jobs, int, np.ndarray]:
    """Sketches of an index: the median of a fresh sample of them, for questions that adapt."""
    index = AdaptiveMahalanobisIndex(
        W,
        n_components=variant.k,
        n_sketches=N_SKETCHES,
        sample_size=variant.sample,
        kind=variant.kind,
        random_state=seed,
    ).fit(drawn.rows)
    x = drawn.questions[0].astype(drawn.job.dtype)
    answers = np.array([index.query(one.astype(drawn.job.dtype)) for one in drawn.questions])
    return {f"rest_sketched {variant}": lambda: index.query(x)}, index.memory_bytes_, answers


# ------------------------------------------------------------------------------------------------- records


def _named(variant: Variant, w: Whitener) -> Record:
    return {"k": variant.k, "sample": variant.sample, "rank": w.shape[0]}


def _with_times(
    records: list[Record], variants: Iterable[Variant], times: dict[str, float], rounds: int
) -> list[Record]:
    """Add the seconds of each stage; 0 where a job has no such stage."""
    for record, variant in zip(records, variants, strict=True):
        for stage in STAGES:
            record[stage] = float(f"{times.get(stage, times.get(f'{stage} {variant}', 0.0)):.4g}")
        record["rounds"] = rounds
    return records


WORKLOADS = {"center": center, "pairs": pairs, "query": query}


def timed(drawn: Drawn, kind: str, seed: int) -> list[Record]:
    """Return one record for each sketch of a job, all timed in turn with the exact way."""
    variants = [Variant(kind, k, sample) for k, sample in drawn.sizes]
    return WORKLOADS[drawn.job.workload](drawn, variants, seed)
