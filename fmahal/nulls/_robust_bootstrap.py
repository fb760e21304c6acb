r"""Fast robust bootstrap of the minimum covariance determinant: no search in any replicate.

The raw estimate :math:`\hat\theta = (m_0, S_0)` of a sample is a fixed point of the concentration step g: the h rows
nearest to it have it as their moments. On a resample one step from there gives :math:`g^*(\hat\theta)`, and

.. math:: \theta^* = \hat\theta + [I - \nabla g(\hat\theta)]^{-1} (g^*(\hat\theta) - g(\hat\theta))

has the first-order deviations of a full search on the resample. For normal rows, a the share of them that is kept,
:math:`q = \chi^2_{p, a}` and :math:`F_k` the distribution function of :math:`\chi^2_k`, moving the ellipsoid that keeps
them by v moves their mean by :math:`\int_{|y|^2 \le q} y\, \varphi(y + v)\, dy / a + v = (1 - F_{p+2}(q) / a)\, v`;
stretching it by I + A, tr A = 0, stretches their covariance by :math:`I + (1 - F_{p+4}(q) / F_{p+2}(q)) A`; its size
does not count. In coordinates whitened by :math:`S_0` the inverse is therefore

* location: times :math:`a / F_{p+2}(q)`;
* shape, the covariance at determinant 1: deviations times :math:`F_{p+2}(q) / F_{p+4}(q)`, applied to logarithms of
  eigenvalues (to first order the same), so that the result is positive definite; a log-ratio to their mean beyond 12
  stays there;
* determinant: as it is.

One step of reweighting follows, by the rule and with the factors of the estimator.

Rows. `Z` may be all rows of the fit, or those of its `support_`, when the others are not to be resampled. Either way
a replicate stands for the estimator as it was fitted, h of n rows, and not for another one fitted to the rows of `Z`
alone, which would keep half of these: the step keeps the rows of the raw subset that are in `Z` (usually all h) or
their share of a smaller resample, factors are those of the n rows of the fit, or of the same share of them, and a is h
over the number of clean rows of the fit, estimated by those within the cutoff, `weights_`, over its level. Deviations
are relative to the step on `Z` itself, so that the estimate is exactly the fitted one when nothing is resampled.

References
----------
.. [1] Salibian-Barrera, M., Van Aelst, S. and Willems, G. (2008). Fast and robust bootstrap. Statistical Methods and
   Applications 17, 41-71. :doi:`10.1007/s10260-007-0048-6`
.. [2] Willems, G. and Van Aelst, S. (2005). Fast and robust bootstrap for LTS. Computational Statistics and Data
   Analysis 48, 703-715. :doi:`10.1016/j.csda.2004.03.018`
.. [3] Croux, C. and Haesbroeck, G. (1999). Influence function and efficiency of the minimum covariance determinant
   scatter matrix estimator. Journal of Multivariate Analysis 71, 161-190. :doi:`10.1006/jmva.1999.1839`
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special
from sklearn.utils.validation import check_is_fitted

from .._kernels import robust_resampling as kernels
from .._validation import readonly
from ..exceptions import RankDeficientError
from ..scatter._mcd_factors import consistency_factor
from ..scatter._mcd_fit import Options, cutoff, final_factors
from ..scatter.mcd import MinCovDet
from ..whitener import Whitener
from ._draws import Draws, generator_key, held_out, resample_counts

Array = NDArray[np.float64]
LEVEL = 0.975  # of the cutoff for clean rows when there is no reweighting
TIES = 1e-6  # relative rounding of raw distances, which float32 data have in float32


def fast_robust(scatter: Any) -> bool:
    """Return whether `mcd_draws` serves a fitted scatter.

    Parameters
    ----------
    scatter : object
        A fitted scatter estimator.

    Returns
    -------
    served : bool
        True for a `MinCovDet` of full rank; not for an exact fit, where the estimate lives on a hyperplane, nor for a
        subclass, which may do something else.

    Raises
    ------
    NotFittedError
        When a `MinCovDet` is not fitted.

    Notes
    -----
    O(p^3).
    """
    if type(scatter) is not MinCovDet:
        return False
    check_is_fitted(scatter)
    p = scatter.n_features_in_
    return scatter.exact_fit_ is None and scatter.rank_ == p and _raw_whitener(scatter).rank == p


def mcd_draws(
    scatter: MinCovDet,
    Z: Array,
    *,
    n_resamples: int,
    seed: np.random.SeedSequence,
    n_held: int,
    max_bytes: int,
    kept: bool = False,
) -> Iterator[Draws]:
    """Yield squared distances to fast robust bootstrap replicates of a minimum covariance determinant.

    Parameters
    ----------
    scatter : MinCovDet
        Fitted, with ``fast_robust(scatter)``.
    Z : ndarray of shape (n, p)
        The rows to resample: all that it was fitted on, or those of its `support_`.
    n_resamples : int
        Replicates: a resample of n rows with replacement and a fit without `n_held` rows each.
    seed : numpy.random.SeedSequence
        Everything random follows from it.
    n_held : int
        Rows that a replicate leaves out, without replacement, for `new`; 0 for out-of-bag rows of the resample.
    max_bytes : int
        Size of the arrays of a block.
    kept : bool, default=False
        With `n_held`: no resamples with replacement, one fit a replicate; `train` has the rows that it keeps.

    Yields
    ------
    draws : Draws
        Blocks of replicates, in order. Where blocks end makes no difference, nor do threads.

    Raises
    ------
    RankDeficientError
        When more than half of all resamples lack rank, or when too few rows are left for any fit.

    Notes
    -----
    O(n_resamples (n p^2 + p^3)) time; O(n p) memory a thread beyond the block. A replicate without full rank, of its
    resample or of its holdout fit, is drawn again, both parts. See the module for the method; to first order in 1 / n
    replicates vary like full searches. What these do beyond it, at some hundred rows, is missing: at n = 500 and p = 2
    to 10 the variance of their raw shape is larger by a quarter, of the reweighted one by a tenth; quantiles of
    distances agree to one or two per cent.
    """
    start = _start(scatter, np.asarray(Z, dtype=np.float64))
    n = start.order.size
    job = _Job(
        start.order,
        generator_key(seed),
        n_held,
        _part(start, n) if n_held == 0 or not kept else None,
        _part(start, n - n_held) if n_held else None,
    )
    size = int(max(1, min(n_resamples, max_bytes // (40 * n))))
    refused = 0
    for first in range(0, n_resamples, size):
        ids = np.arange(first, min(first + size, n_resamples))
        draws = _block(job, ids, n_resamples - refused)
        refused += draws.redrawn
        yield draws


# ---------------------------------------------------------------- replicates


class _Part(NamedTuple):
    """What a fit of some rows needs: coordinates in which its centre is (0, I), and the constants of the kernel."""

    Yt: Array  # (p, n)
    rule: Any


class _Job(NamedTuple):
    """What all replicates share."""

    order: NDArray[np.int64]
    key: NDArray[np.uint32]
    n_held: int
    resample: _Part | None  # of fits with replacement, if any
    holdout: _Part | None


def _block(job: _Job, ids: NDArray[np.int64], allowed: int) -> Draws:
    """Draw the replicates `ids`, those without full rank again: at most `allowed` times in all."""
    attempts = np.zeros(ids.size, np.int64)
    train, new, failed = _fits(job, ids, attempts)
    redrawn = 0
    while failed.any():
        again = np.flatnonzero(failed)
        redrawn += again.size
        if redrawn > allowed:
            p, n = (job.resample or job.holdout).Yt.shape  # type: ignore[union-attr]
            raise RankDeficientError(
                f"More than half of the resamples of n = {n} rows and p = {p} columns have a robust scatter without "
                "full rank. Usual causes are too few rows for the columns, and values that many rows share. Use fewer "
                "columns, more rows, or MRCD, which is regularised."
            )
        attempts[again] += 1
        train[again], new[again], failed[again] = _fits(job, ids[again], attempts[again])
    return Draws(train, new, redrawn)


def _fits(
    job: _Job, ids: NDArray[np.int64], attempts: NDArray[np.int64]
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Distances of each replicate, and whether it failed."""
    n, b, m = job.order.size, ids.size, job.n_held
    failed = np.zeros(b, bool)
    if job.resample is not None:
        counts = resample_counts(job.key, ids, attempts, n)
        train, new = np.empty((b, n)), np.empty((b, 0 if m else n))
        failed |= _measure(job, job.resample, counts, train, new)
    if job.holdout is not None:
        held = held_out(job.key, ids, attempts, n, m)
        ones = np.ones((b, n), np.int32)
        np.put_along_axis(ones, held, 0, axis=1)
        rest, others = np.empty((b, n - m)), np.empty((b, n))
        failed |= _measure(job, job.holdout, ones, rest, others)
        new = np.take_along_axis(others, held, axis=1)
        train = train if job.resample is not None else rest
    return train, new, failed


def _measure(job: _Job, part: _Part, counts: NDArray[Any], train: Array, new: Array) -> NDArray[np.bool_]:
    """Fill in distances; return which fits lack rank."""
    statuses = np.empty(len(counts), np.int64)
    kernels.robust_fits(part.Yt, job.order, readonly(counts), part.rule, train, new, statuses)
    return statuses != kernels.OK


# ---------------------------------------------------------------- the estimate that is resampled


class _Start(NamedTuple):
    """The rows to resample, seen from the raw estimate."""

    scatter: MinCovDet
    options: Options
    Y: Array  # (n, p), whitened by the raw estimate, from the nearest row to the farthest
    order: NDArray[np.int64]  # (n,), the row of Z that each of them is
    h: int  # how many belong to the raw subset


def _raw_whitener(scatter: MinCovDet) -> Whitener:
    return Whitener.from_covariance(scatter.raw_covariance_, n_samples=scatter.n_samples_)


def _start(scatter: MinCovDet, Z: Array) -> _Start:
    """Whiten and sort rows by the raw estimate, and count those of its subset."""
    options, _ = scatter._options()
    Y = np.asarray(_raw_whitener(scatter).whiten(Z - scatter.raw_location_), dtype=np.float64)
    d2 = np.einsum("ij,ij->i", Y, Y)
    order = np.argsort(d2, kind="stable")
    bound = float(scatter.raw_d2_[scatter.raw_support_].max()) * (1.0 + TIES)
    h = min(scatter.n_support_, int((d2 <= bound).sum()))
    return _Start(scatter, options, Y[order], readonly(order), h)


def _part(start: _Start, size: int) -> _Part:
    """Prepare fits of `size` of the n rows."""
    scatter, options = start.scatter, start.options
    n, p = start.Y.shape
    share = size / n
    rows, subset, h = scatter.n_samples_, scatter.n_support_, start.h
    if size < n:
        rows = round(share * rows)
        if min(size, rows) <= p + 1:
            raise _too_few(size, n, p)
        subset = scatter._subset_size(rows, p)
        h = min(round(h * subset / scatter.n_support_), size)
    if h <= p:
        raise _too_few(size, n, p)
    ddof = 0 if options.correction is None or options.known else 1
    raw_scale = prod(scatter.raw_factors_)
    location, shape = gains(p, _share_kept(scatter, options))
    scale = scale_all = 1.0
    if options.reweight is not None:
        scale = scale_all = prod(final_factors(rows, p, subset, False, options))
        if n == scatter.n_samples_:  # rows were left out otherwise, whatever a resample of the others does
            scale_all = prod(final_factors(rows, p, subset, True, options))
    bound = cutoff(p, options.reweight or LEVEL)
    if options.correction is None and subset < rows:
        bound *= consistency_factor(p, subset / rows)
    rule = kernels.Rule(
        h=h, ddof=ddof, known=options.known, raw_scale=raw_scale, location=location, shape=shape,
        reweight=options.reweight is not None, bound=bound, scale=scale, scale_all=scale_all,
        tol=max(n, p, 16) * float(np.finfo(float).eps),
    )  # fmt: skip
    return _Part(_centred(start, h / share, rule), rule)


def _share_kept(scatter: MinCovDet, options: Options) -> float:
    """Share of the clean rows that the raw subset is; clean ones are counted within the final cutoff."""
    clean = min(scatter.n_samples_, float(scatter.weights_.sum()) / (options.reweight or LEVEL))
    return scatter.n_support_ / max(clean, scatter.n_support_)


def _too_few(size: int, n: int, p: int) -> RankDeficientError:
    return RankDeficientError(
        f"Fits of {size} of {n} rows are too few for p = {p} columns: the subset of a minimum covariance determinant "
        "needs more than p rows. Leave out fewer rows (holdout), use fewer columns, more rows, or MRCD, which is "
        "regularised."
    )


def _centred(start: _Start, leading: float, rule: Any) -> Array:
    """Rows in coordinates in which the step on all of them, `leading` being kept, leads to (0, I); (p, n)."""
    Y = start.Y
    weights = np.clip(leading - np.arange(len(Y)), 0.0, 1.0)
    total = weights.sum()
    if not rule.known:
        Y = Y - weights @ Y / total
    scatter = (Y * weights[:, None]).T @ Y * (rule.raw_scale / (total - rule.ddof))
    try:
        factor = linalg.cholesky(scatter, lower=True)
    except linalg.LinAlgError:
        raise _too_few(int(leading), *Y.shape) from None
    return readonly(linalg.solve_triangular(factor, Y.T, lower=True))


def gains(p: int, a: float) -> tuple[float, float]:
    r"""Return what one concentration step has to be multiplied by to be a whole search, to first order.

    Parameters
    ----------
    p : int
        Number of columns.
    a : float
        Share of the rows that is kept, above 0 and at most 1.

    Returns
    -------
    location, shape : float
        :math:`a / F_{p+2}(q)` and :math:`F_{p+2}(q) / F_{p+4}(q)` with :math:`q = \chi^2_{p, a}`; 1 for ``a=1``.

    Notes
    -----
    O(1). Inverses of 1 minus the derivatives of the step at the normal law.

    Examples
    --------
    >>> from fmahal.nulls._robust_bootstrap import gains
    >>> location, shape = gains(10, 0.5)
    >>> round(location, 2), round(shape, 2)
    (1.53, 1.71)
    """
    half = special.gammaincinv(p / 2, a)
    inner = special.gammainc(p / 2 + 1, half)
    return float(a / inner), float(inner / special.gammainc(p / 2 + 2, half))
