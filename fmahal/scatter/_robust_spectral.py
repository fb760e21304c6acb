"""The search for the rows that a robust spectral filter rests on: starts, concentration steps, and who is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.special import chdtri

from .._typing import FloatArray
from ._location import EPS, spatial_median

_MOST_STEPS = 100
_LEVEL = 0.975
_LEAST = 1e-10  # of the total variance: less than this alpha does not make a matrix positive definite
_TO_SD = 1.4826  # from the median absolute deviation


class Found(NamedTuple):
    """The best subset.

    Attributes
    ----------
    rows : ndarray of shape (h,)
        Its rows, ascending.
    objective : float
        log det(C + alpha I).
    n_steps : int
        Concentration steps of all starts.
    """

    rows: NDArray[np.int64]
    objective: float
    n_steps: int


def coordinates(X: FloatArray) -> FloatArray:
    """Return rows (n, q) of the same distances from each other, q at most n, about their mean."""
    Y = X.astype(np.float64)
    Y -= Y.mean(axis=0)
    n, p = Y.shape
    if p <= n:
        return Y
    squares, left = eigh(Y @ Y.T, overwrite_a=True, check_finite=False)
    there = squares > 10.0 * n * EPS * squares[-1]
    return left[:, there] * np.sqrt(squares[there])


def amount(values: FloatArray, alpha: float, units: str) -> float:
    """Return alpha in squared units of the data, from eigenvalues."""
    total = float(values.sum())
    size = {"leading": float(values.max(initial=0.0)), "trace": total, "absolute": 1.0}[units]
    return max(alpha * size, _LEAST * total)


def search(Y: FloatArray, h: int, alpha: float, units: str) -> Found | None:
    """Return the subset of least objective that the starts lead to; None where h rows are equal."""
    V = Y - spatial_median(Y)
    size = np.linalg.norm(V, axis=1)
    nearest = _nearest(size, h)
    if not Y.shape[1] or size[nearest].max() <= len(Y) * EPS * max(size.max(), np.abs(Y).max(initial=0.0)):
        return None
    values, vectors = _sign_spectrum(V, size)
    if not values.any():  # no direction in which most of the rows vary
        values = np.linalg.eigvalsh(_moments(V, nearest)[1])
    fixed = amount(np.maximum(values, 0.0), alpha, units)
    starts = [_nearest(((V @ vectors) ** 2 / (values + fixed)).sum(axis=1), h), nearest]
    pulled = V * np.minimum(1.0, np.median(size) / np.where(size > 0, size, 1.0))[:, None]
    starts.append(_nearest(_distances(V, pulled.T @ pulled / (len(V) - 1), fixed)[0], h))
    best, seen, steps = None, set(), 0
    for rows in starts:
        for _ in range(_MOST_STEPS):
            if rows.tobytes() in seen:  # an earlier start was here
                break
            seen.add(rows.tobytes())
            steps += 1
            mean, C = _moments(V, rows)
            d2, objective = _distances(V - mean, C, fixed)
            if best is None or objective < best.objective:
                best = Found(rows, objective, 0)
            rows = _nearest(d2, h)
    assert best is not None
    return best._replace(n_steps=steps)


def kept_rows(Y: FloatArray, rows: NDArray[np.int64], alpha: float, units: str) -> NDArray[np.bool_]:
    """Return which rows are not too far from a subset for the filtered normal law of its covariance."""
    mean, C = _moments(Y, rows)
    values = np.maximum(np.linalg.eigvalsh(C), 0.0)
    fixed = amount(values, alpha, units)
    d2 = _distances(Y - mean, C, fixed)[0]
    weights = values / (values + fixed)
    return d2 <= quantile(weights, _LEVEL) * (float(np.median(d2)) / quantile(weights, 0.5))


def quantile(weights: FloatArray, level: float) -> float:
    """Return a quantile of a weighted sum of chi-squares from three moments (Hall, Buckley and Eagleson)."""
    c1, c2, c3 = (float((weights**k).sum()) for k in (1, 2, 3))
    df = c2**3 / c3**2
    return c1 + float(np.sqrt(c2 / df)) * (float(chdtri(df, 1.0 - level)) - df)


def _moments(V: FloatArray, rows: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    part = V[rows]
    mean = part.mean(axis=0)
    part -= mean
    return mean, part.T @ part / (len(rows) - 1)


def _distances(V: FloatArray, C: FloatArray, alpha: float) -> tuple[FloatArray, float]:
    """Return squared distances of centred rows in C + alpha I, and its log-determinant."""
    lower = cholesky(C + alpha * np.eye(len(C)), lower=True, check_finite=False)
    white = solve_triangular(lower, V.T, lower=True, check_finite=False)
    return np.einsum("ij,ij->j", white, white), 2.0 * float(np.log(np.diagonal(lower)).sum())


def _nearest(d2: FloatArray, h: int) -> NDArray[np.int64]:
    return np.sort(np.argsort(d2, kind="stable")[:h])


def _sign_spectrum(V: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return robust variances along the eigenvectors of the rows' unit vectors, and these in columns."""
    units = V / np.where(size > 0, size, 1.0)[:, None]
    vectors = np.linalg.eigh(units.T @ units)[1]
    return (_TO_SD * np.median(np.abs(V @ vectors), axis=0)) ** 2, vectors
