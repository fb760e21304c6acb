"""Holdout fits of spectral filters, in the coordinates of the span of all rows.

A spectral filter sees rows through their dot products alone, so that they may be turned: of n rows in p > n columns
n - 1 coordinates are left, once for all replicates. A fit is then one eigendecomposition of a small covariance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from .._typing import FloatArray
from ..exceptions import RankDeficientError
from ..scatter import SpectralFilter
from ..scatter._blas import one_blas_thread
from ..scatter._spectral_fit import count_of_share
from ._draws import Draws, generator_key, held_out

_EPS = float(np.finfo(np.float64).eps)
_DIGITS = (
    1e-8  # share of the largest eigenvalue, below which products of rows have too few digits to divide by
)
_SHARE = 0.95  # what "truncate" keeps by default
_BLOCK = 64  # replicates
_PARTIAL = 200  # columns from which a few leading eigenpairs are cheaper than all


class _Fit(NamedTuple):
    location: FloatArray  # (k,)
    vectors: FloatArray  # (k, r)
    weights: FloatArray  # (r,): what squared scores are multiplied with


def fast_spectral(scatter: Any) -> bool:
    """Tell whether `spectral_draws` serves a fitted scatter: a `SpectralFilter` that divides by nothing too small.

    Parameters
    ----------
    scatter : fitted scatter
        Not a pipeline.

    Returns
    -------
    served : bool
        False for subclasses, which may follow other rules.
    """
    if type(scatter) is not SpectralFilter:
        return False
    values = scatter.eigenvalues_
    return bool((scatter.alpha_ if scatter.alpha_ > 0 else values[-1]) >= _DIGITS * values[0])


def spectral_seconds(scatter: Any, n: int, p: int) -> float:
    """Return the predicted time of a replicate, by constants measured once."""
    k = min(n, p)
    return 4e-3 + 3e-10 * n * k**2 + (2e-10 if _few(scatter, k) else 1e-9) * k**3


def spectral_draws(
    scatter: Any,
    Z: FloatArray,
    *,
    n_resamples: int,
    seed: np.random.SeedSequence,
    n_held: int,
    max_bytes: int,
    kept: bool = True,
) -> Iterator[Draws]:
    """Yield blocks of squared distances of kept and of held-out rows.

    Parameters
    ----------
    scatter : fitted SpectralFilter
        One that `fast_spectral` knows; its parameters are read.
    Z : ndarray of shape (n, p)
        Finite float64 rows, those of the fit.
    n_resamples : int
        Replicates, each one fit without `n_held` rows.
    seed : SeedSequence
        Keys the rows that are held out: the same as those of `refit_draws`.
    n_held : int
        Rows that a fit leaves out, at least 1.
    max_bytes : int
        Bound of the distances of a block.
    kept : bool, default=True
        Must be True: no rows are drawn with replacement.

    Yields
    ------
    draws : Draws
        Squared distances; blocks in the order of the replicates.

    Raises
    ------
    RankDeficientError
        When more than half of all replicates lack directions that `n_components` names.

    Notes
    -----
    With k = min(n - 1, p), O(n k^2 + k^3) a replicate and O(n k) memory, after O(n p min(n, p)) once.
    """
    Y, alpha, floor = _coordinates(scatter, np.asarray(Z, dtype=np.float64))
    n, key = len(Y), generator_key(seed)
    step = int(np.clip(max_bytes // (8 * n), 1, _BLOCK))
    again = 0
    for first in range(0, n_resamples, step):
        size = min(step, n_resamples - first)
        draws, redrawn = Draws(np.empty((size, n - n_held)), np.empty((size, n_held)), 0), 0
        with one_blas_thread():
            for i in range(size):
                attempt = 0
                while not _replicate(
                    scatter,
                    Y,
                    held_out(key, first + i, attempt, n, n_held)[0],
                    alpha,
                    floor,
                    (draws.train[i], draws.new[i]),
                ):
                    attempt, redrawn = attempt + 1, redrawn + 1
                    if again + redrawn > n_resamples:
                        raise _too_many(n, scatter.n_components_)
        again += redrawn
        yield draws._replace(redrawn=redrawn)


def _coordinates(scatter: Any, Z: FloatArray) -> tuple[FloatArray, float, float]:
    """Return coordinates of the centred rows in one unit, alpha in its square, and the rounding of an eigenvalue."""
    n, p = Z.shape
    mean = Z.mean(axis=0)
    C = Z - mean
    C -= C.mean(axis=0)
    unit = float(np.abs(C).max())
    C /= unit
    offset = (max(n, p) * _EPS) ** 2 * n * float(np.square(mean / unit).sum())
    if p >= n:
        values, vectors = np.linalg.eigh(C @ C.T)
        values, vectors = values[::-1], vectors[:, ::-1]
        there = values > max(10 * n * _EPS * values[0], offset)
        there[n - 1 :] = False
        C = vectors[:, there] * np.sqrt(values[there])
    alpha = float(scatter.alpha)
    return C, alpha / unit / unit if scatter.alpha_units == "absolute" else alpha, offset


def _replicate(
    scatter: Any,
    Y: FloatArray,
    held: NDArray[np.int64],
    alpha: float,
    floor: float,
    out: tuple[FloatArray, FloatArray],
) -> bool:
    """Fit one replicate and write its distances; False when it lacks directions."""
    rest = np.delete(Y, held, axis=0)
    fit = _fit(scatter, rest, alpha, floor)
    if fit is None:
        return False
    for rows, d2 in ((rest, out[0]), (Y[held], out[1])):
        scores = (rows - fit.location) @ fit.vectors
        np.square(scores, out=scores)
        np.matmul(scores, fit.weights, out=d2)
    return True


def _fit(scatter: Any, rows: FloatArray, alpha: float, floor: float) -> _Fit | None:
    N, k = rows.shape
    location = rows.mean(axis=0)
    C = rows - location
    products = C.T @ C
    total = float(np.trace(products))
    few = _few(scatter, k)
    chosen = [k - int(scatter.n_components), k - 1] if few else None
    squares, vectors = eigh(
        products, subset_by_index=chosen, check_finite=False, driver="evr" if few else "evd"
    )
    squares, vectors = squares[::-1], vectors[:, ::-1]
    rank = int(np.count_nonzero(squares[: N - 1] > max(10 * N * _EPS * squares[0], floor)))
    wanted = _wanted(scatter, squares[:rank], total, rank)
    named = scatter.n_components is not None and scatter.n_components >= 1
    if rank < 1 or (named and rank < min(scatter.n_components_, N - 1)):
        return None
    K, divisor = min(wanted, rank), N - scatter.ddof
    values = squares / divisor
    if scatter.alpha_units != "absolute":
        alpha *= values[0] if scatter.alpha_units == "leading" else total / divisor
    weights = np.zeros(values.size)
    if scatter.filter == "ridge":
        weights[:] = 1.0 / alpha
        weights[:K] = 1.0 / (values[:K] + alpha)
    elif scatter.filter == "rkhs":
        weights[:K] = values[:K] / (values[:K] + alpha) ** 2
    else:
        weights[:K] = 1.0 / values[:K]
        vectors, weights = vectors[:, :K], weights[:K]
    return _Fit(location, vectors, weights)


def _wanted(scatter: Any, squares: FloatArray, total: float, rank: int) -> int:
    """Return how many directions the parameters ask for."""
    K = scatter.n_components
    if K is None:
        return count_of_share(squares, total, _SHARE) if scatter.filter == "truncate" and rank else rank
    return int(K) if K >= 1 else (count_of_share(squares, total, float(K)) if rank else 1)


def _few(scatter: Any, k: int) -> bool:
    """Tell whether only some leading eigenpairs are needed."""
    K = scatter.n_components
    return K is not None and K >= 1 and scatter.filter != "ridge" and k >= _PARTIAL and k >= 4 * K


def _too_many(n: int, K: int) -> RankDeficientError:
    return RankDeficientError(
        f"More than half of the fits without some of the {n} rows span fewer than the {K} dimensions that "
        "SpectralFilter keeps. Usual causes: few rows, or rows that are repeated. Pass more rows, or lower "
        "n_components."
    )
