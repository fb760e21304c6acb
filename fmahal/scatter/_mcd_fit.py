"""From the subset of least determinant to an estimate: factors, reweighting, exact fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import special

from .._typing import FloatArray
from ..whitener import Whitener
from ._mcd_factors import consistency_factor, nominal_alpha, small_sample_factor
from ._mcd_search import EPS, Plane, Problem, Subset, search, standardised
from ._mcd_trace import trace_factor
from ._mcd_univariate import univariate

SMALLEST = 1e-152  # spread of a column whose variance is still a normal number
QR_SIZE = 300_000  # entries up to which a log-determinant is worth an orthogonal factorisation
BoolArray = np.ndarray
Factors = tuple[float, float]


class Options(NamedTuple):
    """The parameters of the estimator that the numbers depend on."""

    method: str
    n_starts: int
    correction: str | None
    reweight: float | None
    known: bool  # the location is known to be 0
    eps: float = EPS  # relative rounding of the entries
    floor: float = 0.0  # relative squared pivots below which a scatter is flat, inside a hyperplane


@dataclass(frozen=True)
class ExactFit:
    """A hyperplane {x : normal . x = offset} that holds at least h of the n rows.

    Attributes
    ----------
    normal : ndarray of shape (n_features,)
        Unit normal vector.
    offset : float
        Signed distance of the hyperplane from the origin, in the units of the data.
    rows : ndarray of shape (n_samples,), bool
        The rows on it; when these span fewer dimensions still, the rows in the smallest flat found.
    """

    normal: FloatArray
    offset: float
    rows: BoolArray


@dataclass(frozen=True)
class Estimate:
    """Everything that the estimator shows after a fit."""

    raw_location: FloatArray
    raw_covariance: FloatArray
    raw_support: BoolArray
    raw_d2: FloatArray
    raw_factors: Factors
    location: FloatArray
    covariance: FloatArray
    whitener: Whitener
    support: BoolArray
    d2: FloatArray
    weights: BoolArray
    factors: Factors
    objective: float
    origin: str
    exact: ExactFit | None = None
    other: BoolArray | None = None  # raw support of the deterministic solution, when another one is better


class Moments(NamedTuple):
    """Location and scatter (divisor m - ddof) of m rows."""

    location: FloatArray
    scatter: FloatArray
    size: int


def moments(X: FloatArray, rows: BoolArray, known: bool) -> Moments:
    """Mean and scatter of some rows in two passes, products in units of each column's spread."""
    part = np.array(X[rows], dtype=np.float64, copy=None)
    location = np.zeros(part.shape[1]) if known else part.mean(axis=0)
    part -= location
    unit = np.maximum(part.max(axis=0, initial=0.0), -part.min(axis=0, initial=0.0))
    unit[unit == 0] = 1.0
    part /= unit
    m = len(part)
    scatter = part.T @ part / max(m - (not known), 1)
    return Moments(location, scatter * unit * unit[:, None], m)


def cutoff(p: int, level: float) -> float:
    """Return the chi-square quantile of squared distances."""
    return float(special.chdtri(p, 1.0 - level)) if p else np.inf


def raw_factors(n: int, p: int, h: int, options: Options) -> Factors:
    """Consistency and small-sample factors of the scatter of the subset."""
    if options.correction is None or h == n:
        return 1.0, 1.0
    small = 1.0
    if options.correction != "asymptotic":
        small = small_sample_factor(n, p, nominal_alpha(n, p, h))
    return consistency_factor(p, h / n), small


def final_factors(n: int, p: int, h: int, all_rows: bool, options: Options) -> Factors:
    """Return those of the reweighted scatter; when no row was left out, only what was simulated with all steps."""
    level = options.reweight
    assert level is not None
    if options.correction is None:
        return consistency_factor(p, level), 1.0
    extra = trace_factor(n, p, h) or 1.0 if options.correction == "simulated" else 1.0
    if all_rows:
        return 1.0, extra
    small = 1.0
    if options.correction != "asymptotic":
        small = small_sample_factor(n, p, nominal_alpha(n, p, h), reweighted=True)
    return consistency_factor(p, level), small * extra


def log_determinant(Zt: FloatArray, rows: BoolArray, known: bool) -> float:
    """Log-determinant of the scatter of some rows; by an orthogonal factor where that is cheap, for its digits."""
    part = Zt[:, rows]
    m = part.shape[1]
    if not known:
        part = part - part.mean(axis=1, keepdims=True)
    divisor = m - (not known)
    if part.size > QR_SIZE:
        return float(np.linalg.slogdet(part @ part.T / divisor)[1])
    diagonal = np.abs(np.diagonal(np.linalg.qr(part.T, mode="r")))
    with np.errstate(divide="ignore"):
        return float(np.sum(2.0 * np.log(diagonal)) - len(part) * np.log(divisor))


def scaled(found: Moments, factors: Factors, options: Options) -> FloatArray:
    """Return the corrected scatter; without correction the divisor is the number of rows."""
    scale = factors[0] * factors[1]
    if options.correction is None and not options.known:
        scale *= (found.size - 1) / found.size
    return found.scatter * scale


def squared(X: FloatArray, location: FloatArray, whitener: Whitener) -> FloatArray:
    """Squared distances of rows."""
    return whitener._sqnorm(X, location, None)


# ---------------------------------------------------------------- the estimate


def estimate(X: FloatArray, h: int, options: Options, rng: np.random.Generator) -> Estimate:
    """Fit float64 rows (n, p), h > p; a hyperplane with h rows leads to the estimate inside it."""
    n, p = X.shape
    Zt, centre, scale = standardised(X, h, options.known)
    flat = np.flatnonzero(scale == 0)
    _check_units(scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        rounding = options.eps * (np.abs(centre) / scale + 1.0)
    floor = max(options.floor, 16.0 * float(np.max(rounding[scale > 0], initial=0.0)) ** 2)
    options = options._replace(floor=floor)
    if flat.size:
        return _flat_column(X, Zt, centre, scale, flat, h, options, rng)
    found: Subset | Plane
    if h == n:
        found = _whole(Problem(Zt, h, int(not options.known), floor))
    elif p == 1:
        found = Subset(univariate(X[:, 0], h, options.known), "univariate")
    else:
        found = search(Problem(Zt, h, int(not options.known), floor), options.method, options.n_starts, rng)
    if isinstance(found, Plane):
        return _inside(X, Zt, centre, scale, found, h, options, rng)
    support = _mask(found.rows, n)
    other = None if found.other is None else _mask(found.other, n)
    shift = 2.0 * float(np.log(scale).sum())
    fitted = from_subset(X, Zt, support, found.origin, options, shift, other)
    if fitted.whitener.rank < p:
        return _inside(X, Zt, centre, scale, _flat_subset(Zt, support, options.known), h, options, rng)
    return fitted


def _check_units(scale: FloatArray) -> None:
    """Refuse columns whose squares leave the range of double precision."""
    bad = np.flatnonzero((scale > 0) & ((scale < SMALLEST) | (scale > 1.0 / SMALLEST)))
    if bad.size:
        shown = ", ".join(f"{j} (spread {scale[j]:.3g})" for j in bad[:5])
        raise ValueError(
            f"Squares of columns {shown} leave the range of double precision. Give them in other units, for example "
            "divided by their spread."
        )


def _mask(rows: np.ndarray, n: int) -> BoolArray:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return mask


def _flat_subset(Zt: FloatArray, support: BoolArray, known: bool) -> Plane:
    """Return the hyperplane of a subset that is flat within rounding: all rows no farther off than the subset's."""
    found = moments(Zt.T, support, known)
    unit = np.sqrt(np.diagonal(found.scatter))
    unit[unit == 0] = 1.0
    normal = np.linalg.eigh(found.scatter / unit / unit[:, None])[1][:, 0] / unit
    normal /= np.linalg.norm(normal)
    height = np.abs(normal @ (Zt - found.location[:, None]))
    return Plane(normal, height <= height[support].max())


def _whole(problem: Problem) -> Subset | Plane:
    """All rows, unless they lie on a hyperplane."""
    p, n = problem.Zt.shape
    rows = np.arange(n)
    scatter = moments(problem.Zt.T, np.ones(n, dtype=bool), not problem.ddof).scatter
    w, V = np.linalg.eigh(scatter / np.sqrt(np.outer(np.diagonal(scatter), np.diagonal(scatter))))
    if w[0] > max(max(n, p, 16) * EPS, problem.floor) * w[-1]:
        return Subset(rows, "classical")
    normal = V[:, 0] / np.sqrt(np.diagonal(scatter))
    return Plane(normal / np.linalg.norm(normal), np.ones(n, dtype=bool))


class Passes(NamedTuple):
    """How the rows are read, whole or in blocks: moments of marked rows, squared distances of all."""

    moments: Callable[[BoolArray], Moments]
    squared: Callable[[FloatArray, Whitener], FloatArray]


def from_subset(
    X: FloatArray,
    Zt: FloatArray,
    support: BoolArray,
    origin: str,
    options: Options,
    shift: float = 0.0,
    other: BoolArray | None = None,
) -> Estimate:
    """Return the estimate that a subset of rows in memory leads to. `shift` takes log-determinants to data units."""
    passes = Passes(lambda rows: moments(X, rows, options.known), partial(squared, X))
    objective = log_determinant(Zt, support, options.known) + shift
    fitted = from_moments(passes, passes.moments(support), support, objective, origin, options)
    return replace(fitted, other=other)


def from_moments(
    passes: Passes, raw: Moments, support: BoolArray, objective: float, origin: str, options: Options
) -> Estimate:
    """Correct the scatter of a subset, reweight, correct again."""
    n, p = len(support), len(raw.location)
    h = int(support.sum())
    factors = raw_factors(n, p, h, options)
    covariance = scaled(raw, factors, options)
    whitener = Whitener.from_covariance(covariance, n_samples=n)
    d2 = passes.squared(raw.location, whitener)
    result = Estimate(
        raw_location=raw.location, raw_covariance=covariance, raw_support=support, raw_d2=d2, raw_factors=factors,
        location=raw.location, covariance=covariance, whitener=whitener, support=support, d2=d2,
        weights=within(d2, p, h / n, options), factors=factors, objective=objective, origin=origin,
    )  # fmt: skip
    return result if options.reweight is None else _reweighted(passes, result, options)


def _reweighted(passes: Passes, raw: Estimate, options: Options) -> Estimate:
    """Return the estimate from the rows within the chi-square cutoff of the raw distances."""
    n, p = len(raw.raw_d2), len(raw.raw_location)
    h = int(raw.raw_support.sum())
    assert options.reweight is not None
    bound = cutoff(p, options.reweight)
    support = weighting(raw.raw_d2, raw.raw_support, n, p, options)
    for kept in (support, support | raw.raw_support):  # the second when the rows within the cutoff are flat
        support = kept
        found = passes.moments(support)
        factors = final_factors(n, p, h, bool(support.all()), options)
        covariance = scaled(found, factors, options)
        whitener = Whitener.from_covariance(covariance, n_samples=n)
        if whitener.rank == p:
            break
    d2 = passes.squared(found.location, whitener)
    return replace(
        raw, location=found.location, covariance=covariance, whitener=whitener, support=support, d2=d2,
        weights=d2 < bound, factors=factors,
    )  # fmt: skip


def within(d2: FloatArray, p: int, share: float, options: Options) -> BoolArray:
    """Mark raw distances within the cutoff; those of an uncorrected scatter are made consistent first."""
    scale = consistency_factor(p, share) if options.correction is None and share < 1 else 1.0
    return d2 < cutoff(p, options.reweight or 0.975) * scale


def weighting(d2: FloatArray, support: BoolArray, n: int, p: int, options: Options) -> BoolArray:
    """Rows for the reweighted estimate: those within the cutoff, or the subset when these are too few."""
    inside = within(d2, p, int(support.sum()) / n, options)
    return inside if inside.sum() > p + 1 else support


# ---------------------------------------------------------------- exact fits


def _flat_column(
    X: FloatArray,
    Zt: FloatArray,
    centre: FloatArray,
    scale: FloatArray,
    flat: np.ndarray,
    h: int,
    options: Options,
    rng: np.random.Generator,
) -> Estimate:
    """H rows share a value in a column: the hyperplane on which it has that value."""
    p = X.shape[1]
    deviations = np.abs(X[:, flat] - centre[flat])
    equal = deviations <= 32.0 * EPS * np.abs(centre[flat])
    for t, j in enumerate(flat):
        spread = deviations[:, t].max()
        scale[j] = spread if spread > 0 else (abs(centre[j]) or 1.0)
        Zt[j] = (X[:, j] - centre[j]) / scale[j]
    j = int(np.argmax(equal.sum(axis=0)))
    normal = np.zeros(p)
    normal[flat[j]] = 1.0
    return _inside(X, Zt, centre, scale, Plane(normal, equal[:, j]), h, options, rng)


def _inside(
    X: FloatArray,
    Zt: FloatArray,
    centre: FloatArray,
    scale: FloatArray,
    plane: Plane,
    h: int,
    options: Options,
    rng: np.random.Generator,
) -> Estimate:
    """Fit the rows on a hyperplane in its own coordinates and bring the estimate back."""
    n, p = X.shape
    basis = np.linalg.qr(plane.normal[:, None], mode="complete")[0][:, 1:]
    on = Zt[:, plane.rows]
    origin = np.zeros(p)
    if (
        not options.known
    ):  # the row next to the median: a median of coordinates need not lie on the hyperplane
        origin[:] = on[:, np.abs(on - np.median(on, axis=1, keepdims=True)).max(axis=0).argmin()]
    held = np.ascontiguousarray((on - origin[:, None]).T @ basis)
    inner = estimate(held, h, options, rng) if p > 1 else None

    def everywhere(mask: BoolArray) -> BoolArray:
        out = np.zeros(n, dtype=bool)
        out[plane.rows] = mask
        return out

    def back(location: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray, Whitener]:
        w, V = np.linalg.eigh(covariance)
        kept = w > max(n, p, 16) * EPS * w[-1]
        directions = basis @ V[:, kept]
        matrix = (directions * w[kept]) @ directions.T * scale * scale[:, None]
        where = centre + scale * (origin + basis @ location)
        if not kept.any():
            return where, np.zeros((p, p)), Whitener.from_covariance(np.zeros((p, p)))
        return where, matrix, Whitener.from_eigh(w[kept], directions, scale=scale)

    if inner is None:  # all rows of the flat are equal
        first = np.flatnonzero(plane.rows)[:h]
        whitener = Whitener.from_covariance(np.zeros((1, 1)))
        where, zero, nothing = centre + scale * origin, np.zeros((p, p)), np.zeros(n)
        return Estimate(
            where, zero, _mask(first, n), nothing, (1.0, 1.0), where, zero, whitener, plane.rows, nothing,
            plane.rows, (1.0, 1.0), -np.inf, "univariate", _exact(plane, scale, where, plane.rows),
        )  # fmt: skip
    raw_location, raw_covariance, raw_whitener = back(inner.raw_location, inner.raw_covariance)
    location, covariance, whitener = back(inner.location, inner.covariance)
    rows = everywhere(inner.exact.rows if inner.exact else np.ones(len(held), dtype=bool))
    d2 = squared(X, location, whitener)
    bound = cutoff(whitener.rank, options.reweight or 0.975)
    return Estimate(
        raw_location=raw_location, raw_covariance=raw_covariance, raw_support=everywhere(inner.raw_support),
        raw_d2=squared(X, raw_location, raw_whitener), raw_factors=inner.raw_factors, location=location,
        covariance=covariance, whitener=whitener, support=everywhere(inner.support), d2=d2,
        weights=rows & (d2 < bound), factors=inner.factors, objective=-np.inf, origin=inner.origin,
        exact=_exact(plane, scale, location, rows),
    )  # fmt: skip


def _exact(plane: Plane, scale: FloatArray, location: FloatArray, rows: BoolArray) -> ExactFit:
    """Return the hyperplane in the units of the data."""
    normal = plane.normal / (scale / scale.min())
    normal = normal / np.linalg.norm(normal)
    offset = float(normal @ location)
    if abs(offset) <= 1e-12 * float(np.abs(normal) @ np.abs(location)):
        offset = 0.0
    return ExactFit(normal, offset, rows)
