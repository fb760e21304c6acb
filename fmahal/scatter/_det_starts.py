"""Six deterministic subsets from which concentration steps start (Hubert, Rousseeuw and Verdonck 2012)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
from scipy.linalg import blas, lapack
from scipy.special import ndtri

from .._kernels.scales import qn_pairs, qn_rows, tau_pairs, tau_rows
from .._structures.base import BLOCK_BYTES
from .._typing import FloatArray
from .._validation import readonly
from ._blas import one_blas_thread

Scale: TypeAlias = Literal["qn", "tau"]
EPS = float(np.finfo(np.float64).eps)
LARGE = 1000  # rows from which the tau scale stands in for Qn
_LEVELS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.9875)


def resolve_scale(scale: str, n: int) -> Scale:
    """Return "qn" or "tau"; "auto" takes Qn below 1000 rows."""
    if scale == "auto":
        return "qn" if n < LARGE else "tau"
    if scale == "qn" or scale == "tau":
        return scale  # type: ignore[return-value]
    raise ValueError(f'scale must be "auto", "qn" or "tau", got {scale!r}.')


def row_medians(Zt: FloatArray) -> FloatArray:
    """Median of each row of (m, n)."""
    n = Zt.shape[1]
    high = n // 2
    part = np.partition(Zt, high, axis=1)
    if n % 2:
        return part[:, high].copy()
    return 0.5 * (part[:, :high].max(axis=1) + part[:, high])


def row_scales(Zt: FloatArray, kind: Scale, medians: FloatArray | None = None) -> FloatArray:
    """Robust scale of each row of (m, n), positive for every row that varies.

    A scale that vanishes gives way to the first positive quantile of the absolute deviations from the median
    (levels .5, .55 ... .95, .9875, made consistent for the normal law), then to their mean; a constant row has 1.
    """
    out = np.empty(Zt.shape[0])
    if kind == "qn":
        qn_rows(readonly(Zt), out)
    else:
        tau_rows(readonly(Zt), np.empty_like(out), out)
    for j in np.flatnonzero(~(out > 0)):
        centre = np.median(Zt[j]) if medians is None else medians[j]
        out[j] = _fallback(np.abs(Zt[j] - centre))
    return out


def floored(scales: FloatArray, n: int) -> FloatArray:
    """Scales along axes (last index), not below what rounding leaves of an axis that the rows do not span.

    Divided by more than its noise, such an axis tells nothing apart but the rows that leave the span.
    """
    floor = 1e3 * max(n, scales.shape[-1]) * EPS
    return np.maximum(scales, floor * scales.max(axis=-1, keepdims=True))


def _fallback(deviations: FloatArray) -> float:
    for level, value in zip(_LEVELS, np.quantile(deviations, _LEVELS), strict=True):
        if value > 0:
            return float(value / ndtri((level + 1.0) / 2.0))
    return float(deviations.mean()) or 1.0


def standardised_rows(Z: FloatArray, kind: Scale) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (x - median) / scale with variables in rows, (p, n), the medians and the scales."""
    Zt = np.array(Z.T, dtype=np.float64, order="C")
    medians = row_medians(Zt)
    Zt -= medians[:, None]
    scales = row_scales(Zt, kind, np.zeros(Zt.shape[0]))
    Zt /= scales[:, None]
    return Zt, medians, scales


# ---------------------------------------------------------------- six scores of the standardised data


def doubled_ranks(row: FloatArray) -> np.ndarray:
    """Twice the ranks 1 ... n of a vector, an integer also where ties share the average rank."""
    n = row.size
    order = np.argsort(row)
    ordered = row[order]
    ranks = np.empty(n, dtype=np.intp)
    fresh = ordered[1:] != ordered[:-1]
    if fresh.all():
        ranks[order] = np.arange(2, 2 * n + 2, 2)
        return ranks
    bounds = np.concatenate([[0], np.flatnonzero(fresh) + 1, [n]])
    ranks[order] = np.repeat(bounds[:-1] + bounds[1:] + 1, np.diff(bounds))
    return ranks


def doubled_ranks_rows(block: FloatArray) -> np.ndarray:
    """`doubled_ranks` of each row of a block small enough for a few integer arrays of its size."""
    n = block.shape[1]
    order = np.argsort(block, axis=1)
    ordered = np.take_along_axis(block, order, axis=1)
    ranks = np.empty(block.shape, dtype=np.intp)
    np.put_along_axis(ranks, order, np.arange(2, 2 * n + 2, 2)[None, :], axis=1)
    for j in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        ranks[j] = doubled_ranks(block[j])
    return ranks


def normal_scores(n: int) -> FloatArray:
    """Return normal scores by doubled rank: entry k is the quantile of (k/2 - 1/3) / (n + 1/3)."""
    return ndtri((np.maximum(0.5 * np.arange(2 * n + 1), 1.0) - 1.0 / 3.0) / (n + 1.0 / 3.0))


def spatial_weights(sqnorms: FloatArray) -> FloatArray:
    """1 / |z|^2, and 0 for a row at the origin."""
    return np.divide(1.0, sqnorms, out=np.zeros_like(sqnorms), where=sqnorms > 0)


def _correlation(St: FloatArray) -> FloatArray:
    """Correlation matrix of variables in centred rows; a constant one correlates with nothing."""
    matrix = St @ St.T
    sd = np.sqrt(np.diagonal(matrix))
    sd = np.where(sd > 0, sd, 1.0)
    matrix /= sd[:, None]
    matrix /= sd
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _rank_shapes(Zt: FloatArray) -> Iterator[FloatArray]:
    """Correlations of ranks (Spearman), then of normal scores; one sort serves both."""
    p, n = Zt.shape
    table = normal_scores(n)
    scores, ranks = np.empty_like(Zt), np.empty_like(Zt)
    for j in range(p):
        twice = doubled_ranks(Zt[j])
        np.take(table, twice, out=scores[j])
        np.subtract(twice, n + 1.0, out=ranks[j])
    yield _correlation(ranks)
    del ranks
    scores -= scores.mean(axis=1, keepdims=True)
    yield _correlation(scores)


def _shapes(Zt: FloatArray, kind: Scale) -> Iterator[FloatArray]:
    """Yield the six shape matrices, (p, p) each; only their eigenvectors matter."""
    p, n = Zt.shape
    bounded = np.tanh(Zt)
    bounded -= bounded.mean(axis=1, keepdims=True)
    yield _correlation(bounded)
    del bounded
    yield from _rank_shapes(Zt)
    sqnorms = np.einsum("ij,ij->j", Zt, Zt)
    yield (Zt * spatial_weights(sqnorms)) @ Zt.T
    half = min(n, max((n + 1) // 2, p + 2))  # with fewer than p + 1 the null axes would be arbitrary
    near = np.take(Zt, np.sort(np.argpartition(sqnorms, half - 1)[:half]), axis=1)
    near -= near.mean(axis=1, keepdims=True)
    yield near @ near.T
    raw = np.empty((p, p))
    (qn_pairs if kind == "qn" else tau_pairs)(readonly(Zt), raw)
    np.fill_diagonal(raw, 1.0)
    yield raw


# ---------------------------------------------------------------- distances and orderings


def _distances(Zt: FloatArray, axes: list[FloatArray], kind: Scale) -> FloatArray:
    """Squared distances of all rows for each set of eigenvectors, (len(axes), n).

    With lambda the scales of the projections on P, S = P diag(lambda^2) P': the location is S^(1/2) times the
    coordinatewise median of S^(-1/2) z.
    """
    p, n = Zt.shape
    scores = np.concatenate([P.T @ Zt for P in axes])
    scales = floored(row_scales(scores, kind).reshape(-1, p), n)
    scores = scores.reshape(-1, p, n)
    d2 = np.empty((len(axes), n))
    for P, unit, block, out in zip(axes, scales, scores, d2, strict=True):
        block /= unit[:, None]
        block -= (P.T @ row_medians(P @ block))[:, None]
        np.einsum("ij,ij->j", block, block, out=out)
    return d2


def _subset_distances(Zt: FloatArray, rows: np.ndarray) -> FloatArray:
    """Squared distances of all rows to the mean and covariance of some, by size only.

    Directions in which those rows do not vary keep a rounding's worth of variance, so that the other rows are far.
    """
    p, n = Zt.shape
    subset = np.take(Zt, rows, axis=1)
    mean = subset.mean(axis=1)
    subset -= mean[:, None]
    covariance = subset @ subset.T
    centred = Zt - mean[:, None]
    floor = max(n, p) * EPS
    factor, status = lapack.dpotrf(covariance, lower=1, clean=1)
    pivots = np.diagonal(factor) ** 2
    if status == 0 and np.all(pivots > floor * np.diagonal(covariance)):
        blas.dtrsm(
            1.0, factor, centred.T, side=1, lower=1, trans_a=1, overwrite_b=1
        )  # in place: no copy in C order
    else:
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, floor * values[-1]) if values[-1] > 0 else np.ones(p)
        centred = (vectors / np.sqrt(values)).T @ centred
    return np.einsum("ij,ij->j", centred, centred)


def initial_distances(Zt: FloatArray, kind: Scale) -> Iterator[FloatArray]:
    """Yield the squared distances of all n rows, for standardised variables in rows, to each of the six starts."""
    p, n = Zt.shape
    together = max(
        1, min(6, 4 * BLOCK_BYTES // (8 * p * n))
    )  # few launches for small data, few copies of large
    waiting: list[FloatArray] = []
    for shape in _shapes(Zt, kind):
        waiting.append(np.linalg.eigh(shape)[1])
        if len(waiting) == together:
            yield from _distances(Zt, waiting, kind)
            waiting = []
    if waiting:
        yield from _distances(Zt, waiting, kind)


def deterministic_starts(Z: FloatArray, h: int, *, scale: str = "auto") -> np.ndarray:
    r"""Order all rows by distance to each of six robust initial estimates of shape.

    The columns are standardised by median and scale. Six matrices give eigenvectors P: the correlations of tanh z,
    of ranks, of normal scores, the spatial sign covariance, the covariance of the half of the rows nearest to the
    origin, and the pairwise (Gnanadesikan-Kettenring) matrix :math:`(s(z_j+z_k)^2 - s(z_j-z_k)^2) / 4`. Each is
    completed with the robust scales :math:`\lambda_j = s(z P_j)`; the h rows nearest by that estimate give a mean and
    a covariance, by whose distances the rows are ordered.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Finite rows, p <= h.
    h : int
        Subset size, between 1 and n.
    scale : {"auto", "qn", "tau"}, default="auto"
        Robust scale; "auto" is Qn for n < 1000, else the tau scale.

    Returns
    -------
    orderings : ndarray of shape (6, n), intp
        Row numbers, nearest first; the first h of each row are a start.

    Notes
    -----
    O(n p^2 + n p log n) time and O(n p) memory. Equivariant under translation, permutation and a change of unit of
    each column; not under rotations. A column whose scale vanishes gets that of `row_scales`.

    References
    ----------
    .. [1] Hubert, M., Rousseeuw, P. J. and Verdonck, T. (2012). A deterministic algorithm for robust location and
       scatter. Journal of Computational and Graphical Statistics 21, 618-637. :doi:`10.1080/10618600.2012.672100`
    """
    n = Z.shape[0]
    kind = resolve_scale(scale, n)
    orderings = np.empty((6, n), dtype=np.intp)
    with one_blas_thread():  # p is small beside n: the work lies in sorts and scales
        Zt = standardised_rows(Z, kind)[0]
        for k, d2 in enumerate(initial_distances(Zt, kind)):
            rows = np.sort(np.argpartition(d2, h - 1)[:h])
            orderings[k] = np.argsort(_subset_distances(Zt, rows))
    return orderings
