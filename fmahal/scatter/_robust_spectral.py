"""The search for the rows that a robust spectral filter rests on: starts, concentration steps, and who is kept."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, eigh, qr, solve_triangular
from scipy.special import chdtri
from sklearn.exceptions import ConvergenceWarning

from .._typing import FloatArray
from ._location import EPS, spatial_median

_MOST_STEPS = 100
_LEVEL = 0.975
_LEAST = 1e-10  # of the total variance: less than this alpha does not make a matrix positive definite
_TO_SD = 1.4826  # from the median absolute deviation
_FAR = 1e6  # times the usual reach: a row beyond it is far whatever its distance, and would hide the others
_MOST = 1e200  # of alpha, in units of the rows: far from overflow


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


class Rows(NamedTuple):
    """Rows to search among.

    Attributes
    ----------
    values : ndarray of shape (n, q)
        Rows of the same distances from each other, q = min(n - 1, p), but for far ones, which are pulled in.
    exponent : int
        They are in units of two to this power.
    rounding : float
        Length by which rows that are equal may seem to differ.
    """

    values: FloatArray
    exponent: int
    rounding: float

    def alpha(self, alpha: float, units: str) -> float:
        """Return alpha as the search takes it: an absolute one in the unit of the rows."""
        return alpha if units != "absolute" else min(float(np.ldexp(alpha, -2 * self.exponent)), _MOST)

    def objective(self, value: float) -> float:
        """Return a log-determinant in squared units of the data."""
        return value + 2.0 * self.values.shape[1] * self.exponent * float(np.log(2.0))


def coordinates(X: FloatArray) -> Rows:
    """Bring rows to at most n - 1 columns, about a centre that outliers do not move.

    A row that is farther than a million times the usual is pulled in to there: its direction is what counts, and
    others would drown in the rounding of its length. The triangle of a QR factorisation has the rounding of each row
    relative to that row.
    """
    Y = X.astype(np.float64)
    n, p = Y.shape
    centre = np.median(Y, axis=0)
    Y -= centre
    reach = np.abs(Y).max(axis=1, initial=0.0)
    usual = float(np.median(reach)) or float(reach.max())
    exponent = int(np.frexp(usual)[1])
    Y *= np.minimum(1.0, _FAR * usual / np.where(reach > 0, reach, 1.0))[:, None]
    Y = np.ldexp(Y, -exponent)
    rounding = n * EPS * float(np.linalg.norm(np.ldexp(centre, -exponent)))
    if p < n:
        return Rows(Y, exponent, rounding)
    one = int(reach.argmin())
    Y -= Y[one]
    out, others = np.zeros((n, n - 1)), np.arange(n) != one
    out[others] = qr(Y[others].T, mode="r", overwrite_a=True, check_finite=False)[0][: n - 1].T
    return Rows(out, exponent, rounding)


def amount(values: FloatArray, alpha: float, units: str) -> float:
    """Return alpha in squared units of the data, from eigenvalues."""
    total = float(values.sum())
    size = {"leading": float(values.max(initial=0.0)), "trace": total, "absolute": 1.0}[units]
    return min(max(alpha * size, _LEAST * total), _MOST)


def search(Y: FloatArray, h: int, alpha: float, units: str, rounding: float = 0.0) -> Found | None:
    """Return the subset of least objective that the starts lead to; None where h rows are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is a start
        V = Y - spatial_median(Y)
    size = np.linalg.norm(V, axis=1)
    nearest = _nearest(size, h)
    reach = float(size[nearest].max())
    if reach <= rounding + len(Y) * EPS * float(np.median(size)):
        return None
    values, vectors = _sign_spectrum(V, size)
    if values.max() <= (rounding + len(Y) * EPS * reach) ** 2:  # no direction in which most of the rows vary
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
    unit = float(weights.max())  # cubes of small weights vanish
    c1, c2, c3 = (float(((weights / unit) ** k).sum()) for k in (1, 2, 3))
    df = c2**3 / c3**2
    return unit * (c1 + float(np.sqrt(c2 / df)) * (float(chdtri(df, 1.0 - level)) - df))


def _moments(V: FloatArray, rows: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    part = V[rows]
    mean = part.mean(axis=0)
    part -= mean
    return mean, part.T @ part / (len(rows) - 1)


def _distances(V: FloatArray, C: FloatArray, alpha: float) -> tuple[FloatArray, float]:
    """Return squared distances of centred rows in C + alpha I, and its log-determinant."""
    try:
        lower = cholesky(C + alpha * np.eye(len(C)), lower=True, check_finite=False)
    except LinAlgError:  # alpha is below the rounding of a subset that holds far rows
        values, vectors = eigh(C, check_finite=False)
        values = np.maximum(values, len(C) * EPS * values[-1]) + alpha
        return ((V @ vectors) ** 2) @ (1.0 / values), float(np.log(values).sum())
    white = solve_triangular(lower, V.T, lower=True, check_finite=False)
    return np.einsum("ij,ij->j", white, white), 2.0 * float(np.log(np.diagonal(lower)).sum())


def _nearest(d2: FloatArray, h: int) -> NDArray[np.int64]:
    return np.sort(np.argsort(d2, kind="stable")[:h])


def _sign_spectrum(V: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return robust variances along the eigenvectors of the rows' unit vectors, and these in columns."""
    units = V / np.where(size > 0, size, 1.0)[:, None]
    vectors = np.linalg.eigh(units.T @ units)[1]
    return (_TO_SD * np.median(np.abs(V @ vectors), axis=0)) ** 2, vectors
