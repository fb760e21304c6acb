"""Resampling by refits: for any estimator, pipelines included, one clone fitted to each resample."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple, Protocol

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from .._kernels._jit import thread_limit
from .._typing import FloatArray
from ..exceptions import NotPositiveDefiniteError, RankDeficientError
from ..scatter import facts as scatter_facts
from ..scatter import resolve
from ..scatter._blas import one_blas_thread
from ..scatter._resolve import inner_of
from ._draws import Draws, generator_key, held_out, resample_counts
from ._left_out import lost_directions, scatter_distances
from ._template import template

_LACKS_RANK = (RankDeficientError, NotPositiveDefiniteError, np.linalg.LinAlgError)


class Measured(NamedTuple):
    """Rows whose distances go to row `kind` of the draws, at `places` (None: in order from the first)."""

    kind: str  # "train" or "new"
    rows: Any
    places: NDArray[np.int64] | None = None


class Fit(NamedTuple):
    """One fit of a replicate and what is measured from it."""

    rows: Any
    measured: tuple[Measured, ...]


class Sampler(Protocol):
    """Where the rows of the replicates come from; picklable, because other processes call it."""

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of training and of new distances of one replicate."""

    def fits(self, replicate: int, attempt: int) -> list[Fit]:
        """Return the fits of a replicate, a function of its arguments alone."""


@dataclass(frozen=True)
class RowSampler:
    """Rows with replacement, and rows without some that are held out.

    Parameters
    ----------
    X : indexable of n rows
        An array, a data frame or what else the estimator takes.
    key : ndarray of shape (2,)
        Of `generator_key`.
    n_held : int
        Rows held out; 0 measures the rows that a resample misses instead.
    kept : bool
        Whether training rows are those that the holdout fit keeps, one fit in all, and not those of a resample.
    """

    X: Any
    key: NDArray[np.uint32]
    n_held: int
    kept: bool

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of training and of new distances."""
        n = _num_samples(self.X)
        if self.n_held == 0:
            return n, n
        return (n - self.n_held if self.kept else n), self.n_held

    def fits(self, replicate: int, attempt: int) -> list[Fit]:
        """Return the fit to a resample, the holdout fit, or both."""
        out: list[Fit] = []
        n = _num_samples(self.X)
        if self.n_held == 0 or not self.kept:
            counts = resample_counts(self.key, replicate, attempt, n)[0]
            rows = self._take(np.repeat(np.arange(n), counts))
            measured = [Measured("train", rows)]
            if self.n_held == 0:
                missed = np.flatnonzero(counts == 0)
                measured += [Measured("new", self._take(missed), missed)] if missed.size else []
            out.append(Fit(rows, tuple(measured)))
        if self.n_held:
            held = held_out(self.key, replicate, attempt, n, self.n_held)[0]
            rest = self._take(np.delete(np.arange(n), held))
            new = Measured("new", self._take(held))
            out.append(Fit(rest, (Measured("train", rest), new) if self.kept else (new,)))
        return out

    def _take(self, rows: NDArray[np.int64]) -> Any:
        return _safe_indexing(self.X, rows)


@dataclass(frozen=True)
class _Job:
    """What a process needs for some replicates."""

    template: Any
    sampler: Sampler
    key: NDArray[np.uint64]
    rank: int  # of the fit to all rows
    deficit: int  # columns less rank of it
    most: int  # redrawn resamples after which it is no use


def refit_draws(
    estimator: Any,
    X: Any,
    *,
    n_resamples: int,
    seed: np.random.SeedSequence,
    n_held: int,
    max_bytes: int = 2**28,
    n_jobs: int | None = None,
    kept: bool = False,
    sampler: Sampler | None = None,
) -> Iterator[Draws]:
    """Yield the reference distances of refits.

    Parameters
    ----------
    estimator : fitted scatter or Pipeline that ends in one
        Copied for each fit, with the maps of its sketches held fixed. Where a parameter ``random_state`` is no integer,
        each fit gets its own from `seed`, and ``n_jobs`` becomes 1: the replicates run side by side instead.
    X : indexable of n rows
        Its rows.
    n_resamples : int
        Number of replicates.
    seed : numpy.random.SeedSequence
        The one of the call.
    n_held : int
        Rows that a second fit leaves out; 0 measures the rows that a resample misses.
    max_bytes : int
        Not used: one fit is in memory at a time, in each process.
    n_jobs : int, optional
        Processes, for joblib; each uses one thread of BLAS and of the kernels.
    kept : bool, default=False
        Whether training distances are those of the rows that the holdout fit keeps. Then that is the only fit.
    sampler : Sampler, optional
        Makes the rows, in place of resampled rows of `X`.

    Yields
    ------
    draws : Draws
        Of one replicate, or of some for each process.

    Raises
    ------
    RankDeficientError
        When more than half of all resamples lack rank.
    ValueError
        When a refit fails for another reason.

    Notes
    -----
    `n_resamples` fits (twice that with `n_held` and not `kept`). The same seed gives the same numbers, whatever the
    number of processes.
    """
    if sampler is None:
        sampler = RowSampler(X, generator_key(seed), n_held, kept)
    _, scatter = resolve(estimator)
    unfitted = template(estimator)
    _cap_jobs(unfitted)
    rank = scatter_facts(scatter, X).rank
    job = _Job(unfitted, sampler, stream_key(seed), rank, scatter.location_.size - rank, n_resamples)
    redrawn = 0
    for draws in _run(job, n_resamples, n_jobs):
        redrawn += draws.redrawn
        if redrawn > n_resamples:
            raise _too_many(job, rank)
        yield draws


def _run(job: _Job, n_resamples: int, n_jobs: int | None) -> Iterator[Draws]:
    workers = min(effective_n_jobs(n_jobs), n_resamples)
    if workers == 1:
        for replicate in range(n_resamples):
            yield _replicates(job, [replicate])
        return
    size = max(1, min(64, n_resamples // (8 * workers)))  # of a task: large enough to be worth its transfer
    tasks = [range(k, min(k + size, n_resamples)) for k in range(0, n_resamples, size)]
    with Parallel(n_jobs=n_jobs) as parallel:
        for k in range(0, len(tasks), workers):
            done = parallel(delayed(_replicates)(job, task) for task in tasks[k : k + workers])
            yield from done


def _replicates(job: _Job, replicates: Any) -> Draws:
    """Return the draws of some replicates; what a fit has to say about a resample concerns nobody."""
    b, (n_train, n_new), redrawn = len(replicates), job.sampler.sizes, 0
    draws = {"train": np.full((b, n_train), np.nan), "new": np.full((b, n_new), np.nan)}
    with one_blas_thread(), thread_limit(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k, replicate in enumerate(replicates):
            attempt = 0
            while not _replicate(job, replicate, attempt, {kind: a[k] for kind, a in draws.items()}):
                attempt, redrawn = attempt + 1, redrawn + 1
                if redrawn > job.most:
                    return Draws(draws["train"], draws["new"], redrawn)
    return Draws(draws["train"], draws["new"], redrawn)


def _replicate(job: _Job, replicate: int, attempt: int, out: dict[str, FloatArray]) -> bool:
    """Fit one replicate and write its distances; False when a fit lacks rank."""
    for fit in job.sampler.fits(replicate, attempt):
        estimator = clone(job.template)
        _seed(estimator, job.key, replicate, attempt)
        try:
            estimator.fit(fit.rows)
            _, scatter = resolve(estimator)
            if _lacks(scatter, fit.rows, job):
                return False
            for kind, rows, places in fit.measured:
                d2 = squared_distances(estimator, rows)
                out[kind][slice(d2.size) if places is None else places] = d2
        except _LACKS_RANK:
            return False
        except ValueError as error:
            raise ValueError(
                f"The refit of {type(scatter_of(estimator)).__name__} to resample {replicate} failed: {error} Usual "
                "causes: a step that needs more distinct rows than a resample has, or settings that fit all rows "
                "only. kind='parametric' draws rows without ties."
            ) from error
    return True


def _lacks(scatter: Any, rows: Any, job: _Job) -> bool:
    """Tell whether a fit has less rank than the one to all rows, other than by having fewer rows."""
    scatter = inner_of(scatter)
    known = scatter_facts(scatter, rows)
    if known.kind == "spectral" and known.regularized:
        return lost_directions(scatter, rows, job.rank) > 0
    return bool(scatter.location_.size - known.rank > job.deficit)


def scatter_of(estimator: Any) -> Any:
    """Return the scatter at the end of an estimator."""
    return resolve(estimator)[1]


def squared_distances(estimator: Any, rows: Any) -> FloatArray:
    """Return the squared distances of rows from a fitted scatter or pipeline, in float64."""
    space, scatter = resolve(estimator)
    Z = rows if space is None else space.transform(rows)
    d2 = scatter_distances(scatter, Z)
    if np.isnan(d2).any():
        raise NotPositiveDefiniteError(f"{type(scatter).__name__} gives NaN as a squared distance.")
    return d2


def stream_key(seed: np.random.SeedSequence) -> NDArray[np.uint64]:
    """Return the key of `stream`."""
    return np.asarray(seed.generate_state(2, np.uint64), dtype=np.uint64)


def stream(key: NDArray[np.uint64], replicate: int, attempt: int, lane: int = 0) -> np.random.Generator:
    """Return a generator of one attempt at a replicate; it depends on nothing else."""
    return np.random.Generator(np.random.Philox(key=key, counter=[0, lane, attempt, replicate]))


def _seed(estimator: Any, key: NDArray[np.uint64], replicate: int, attempt: int) -> None:
    free = {
        name: None
        for name, value in estimator.get_params(deep=True).items()
        if name.split("__")[-1] == "random_state" and not isinstance(value, Integral)
    }
    if free:
        number = int(stream(key, replicate, attempt, lane=1).integers(2**31))
        estimator.set_params(**dict.fromkeys(free, number))


def _cap_jobs(template: Any) -> None:
    jobs = [name for name in template.get_params(deep=True) if name.split("__")[-1] == "n_jobs"]
    template.set_params(**dict.fromkeys(jobs, 1))


def _too_many(job: _Job, rank: int) -> RankDeficientError:
    n = job.sampler.sizes[0]
    return RankDeficientError(
        f"More than half of the resamples of {n} rows span fewer than the {rank} dimensions that all rows span, so "
        "that they have no comparable distances. Usual causes: few rows for the columns, rows that are repeated, or a "
        "column that is nearly constant. Pass more rows or fewer columns, use a regularised estimator (LedoitWolf, "
        "OAS, QIS, ShrunkCovariance), or kind='parametric'."
    )
