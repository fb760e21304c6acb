"""More than a million rows: the search on a sample, the last concentration steps over blocks of all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from .._typing import FloatArray
from ..whitener import Whitener
from ._mcd_fit import (
    BoolArray,
    Estimate,
    Moments,
    Options,
    Passes,
    estimate,
    from_moments,
    squared,
)

LARGE_ROWS = 1_000_000
SAMPLE = 50_000
BLOCK = 65_536
STEPS = 50
SETTLED = 1e-8  # fall of the log-determinant below which concentration ends


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def _rows(X: FloatArray, block: slice) -> FloatArray:
    return np.ascontiguousarray(X[block], dtype=np.float64)


def _distances(X: FloatArray, location: FloatArray, whitener: Whitener) -> FloatArray:
    d2 = np.empty(len(X))
    for block in _blocks(len(X)):
        d2[block] = squared(_rows(X, block), location, whitener)
    return d2


def _moments(X: FloatArray, rows: BoolArray, centre: FloatArray, unit: FloatArray, known: bool) -> Moments:
    """Mean and scatter of some rows in one pass, about a point and in units close to theirs."""
    p = X.shape[1]
    total, products, count = np.zeros(p), np.zeros((p, p)), 0
    for block in _blocks(len(X)):
        inside = rows[block]
        part = (_rows(X, block)[inside] - centre) / unit
        total += part.sum(axis=0)
        products += part.T @ part
        count += len(part)
    if known:
        return Moments(np.zeros(p), products / count * unit * unit[:, None], count)
    mean = total / count
    scatter = (products - count * np.outer(mean, mean)) / (count - 1)
    return Moments(centre + unit * mean, scatter * unit * unit[:, None], count)


def _smallest(d2: FloatArray, h: int) -> BoolArray:
    """Mark the h smallest; of ties at the threshold the first ones."""
    threshold = np.partition(d2, h - 1)[h - 1]
    inside = d2 <= threshold
    surplus = int(np.count_nonzero(inside)) - h
    if surplus:
        inside[np.flatnonzero(d2 == threshold)[-surplus:]] = False
    return inside


def _log_determinant(found: Moments) -> float:
    unit = np.sqrt(np.diagonal(found.scatter))
    if not np.all(unit > 0):
        return -np.inf
    return float(np.linalg.slogdet(found.scatter / np.outer(unit, unit))[1] + 2.0 * np.log(unit).sum())


def estimate_large(
    X: FloatArray,
    h: int,
    options: Options,
    rng: np.random.Generator,
    otherwise: Callable[[], Estimate],
) -> Estimate:
    """Fit rows (n, p) that are read in blocks and never copied as a whole.

    Concentration ends when the log-determinant falls by less than SETTLED. A sample on a hyperplane goes to
    `otherwise`, the fit in memory.
    """
    n, p = X.shape
    drawn = np.unique(rng.integers(0, n, size=SAMPLE))
    sample = estimate(np.ascontiguousarray(X[drawn], dtype=np.float64), int(len(drawn) * h / n), options, rng)
    if sample.exact is not None:
        return otherwise()
    location, covariance = sample.raw_location, sample.raw_covariance
    unit = np.sqrt(np.diagonal(covariance))
    found, support, reached = None, None, np.inf
    for _ in range(STEPS):
        d2 = _distances(X, location, Whitener.from_covariance(covariance, n_samples=n))
        inside = _smallest(d2, h)
        step = _moments(X, inside, location, unit, options.known)
        logdet = _log_determinant(step)
        if logdet == -np.inf or Whitener.from_covariance(step.scatter, n_samples=n).rank < p:
            return otherwise()
        if found is not None and not logdet < reached:
            break
        fall, found, support, reached = reached - logdet, step, inside, logdet
        location, covariance = step.location, step.scatter
        if fall < SETTLED:
            break
    assert found is not None
    assert support is not None
    centre = found.location
    passes = Passes(lambda rows: _moments(X, rows, centre, unit, options.known), partial(_distances, X))
    return from_moments(passes, found, support, reached, sample.origin, options)
