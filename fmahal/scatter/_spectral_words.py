"""What a spectral filter says about a spectrum that does not determine it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._typing import FloatArray
from ..exceptions import AmbiguousFitWarning, FmahalWarning, RankDeficientWarning
from ._moments import EPS
from ._spectral_fit import Spectrum, Sums, gram_spectrum

_EQUAL = 1e-8  # relative gap from which on eigenvalues are called equal


class Gap(NamedTuple):
    """Where a cut falls among equal eigenvalues: the relative gap, and the numbers at which to cut instead.

    Attributes
    ----------
    size : float
        Gap between the last kept and the first cut eigenvalue, as a share of the former.
    below, above : int
        The nearest cuts between different eigenvalues; `below` is 0 where the cluster is the first.
    """

    size: float
    below: int
    above: int


def cut_gap(X: FloatArray, found: Sums, spectrum: Spectrum, count: int) -> Gap | None:
    """Return where a cut after `count` directions falls among equal eigenvalues, None where it does not."""
    noise = 10.0 * min(X.shape) * EPS * spectrum.squares[0]
    if spectrum.route == "svd":  # of a square whose root has the error eps times the largest root
        noise = 20.0 * min(X.shape) * EPS * float(np.sqrt(spectrum.squares[0] * spectrum.squares[count - 1]))

    def equal(squares: FloatArray) -> np.ndarray:
        return squares[:-1] - squares[1:] <= _EQUAL * squares[:-1] + noise

    if not equal(spectrum.squares[count - 1 : count + 1])[0]:
        return None
    if not spectrum.whole:
        spectrum = gram_spectrum(X, found, None)
    squares, same = spectrum.squares, equal(spectrum.squares)
    different = np.flatnonzero(~np.append(same, False)) + 1  # safe numbers to cut after; all is one of them
    below, above = different[different < count], different[different > count]
    size = float((squares[count - 1] - squares[count]) / squares[count - 1])
    return Gap(size, int(below[-1]) if below.size else 0, int(above[0]))


def complaints(
    fitted: Any, rows: FloatArray, found: Sums, spectrum: Spectrum, wanted: int
) -> Iterator[tuple[type[FmahalWarning], str]]:
    """Yield category and text of what a fit of `wanted` components has to warn of."""
    n, p = rows.shape
    K, rank = fitted.n_components_, spectrum.squares.size
    name = f"{type(fitted).__name__}({fitted.filter!r})"
    missing = fitted.n_components is not None and wanted > rank
    exact = fitted.filter in ("truncate", "inverse") or (fitted.filter == "rkhs" and fitted.alpha_ == 0)
    if exact and n - 1 == K:
        same = (n - 1) * (n - fitted.ddof) / n
        yield (
            RankDeficientWarning,
            f"{name}: "
            + (f"n_components = {wanted} are not there: " if missing else "")
            + f"{n} rows span n - 1 = {K} dimensions and all count alike, so that every training row has the "
            f"same squared distance (n - 1)(n - ddof) / n = {same:.6g}. Keep fewer components, regularise "
            '(filter="rkhs" or "ridge"), or add rows.',
        )
    elif missing:
        yield (
            RankDeficientWarning,
            f"{name}: n_components = {wanted}, but {n} rows in {p} columns span {rank} dimensions; all {rank} are "
            "kept. Lower n_components, or add rows.",
        )
    elif fitted.filter == "inverse" and fitted.n_components is None and rank < p:
        yield (
            RankDeficientWarning,
            f"{name}: {n} rows span {rank} of {p} dimensions. Distances are taken inside the span, and `residual` "
            'measures what lies off it; filter="rkhs" or "ridge" does not divide by eigenvalues near zero.',
        )
    gap = cut_gap(rows, found, spectrum, K) if rank > K else None
    if gap is not None:
        instead = f"{gap.below} or {gap.above}" if gap.below else f"{gap.above}"
        yield (
            AmbiguousFitWarning,
            f"{name}: the cut after K = {K} components lies among eigenvalues that are equal up to rounding (relative "
            f"gap {gap.size:.1g}): which directions are kept is arbitrary. Cut after {instead} instead.",
        )
