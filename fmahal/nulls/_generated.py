"""Rows that are made and not resampled: from a normal law, a smoothed, an elliptical or a symmetric one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray
from ..scatter import OAS, LedoitWolf, ScatterFacts
from ..scatter._moments import constant_columns, second_moments
from ..whitener import Whitener
from ._draws import generator_key, held_out
from ._refit_bootstrap import Fit, Measured, stream, stream_key


def bandwidth(n: int, r: int) -> float:
    r"""Return Silverman's bandwidth :math:`(4 / (r + 2))^{1/(r+4)} \, n^{-1/(r+4)}` of n white rows in r dimensions."""
    return float((4 / ((r + 2) * n)) ** (1 / (r + 4)))


class Span(NamedTuple):
    """Where rows vary.

    Attributes
    ----------
    basis : ndarray of shape (k, r) or None
        Orthonormal rows that span them, in r whitened coordinates; None where they vary in all of these.
    fixed : ndarray of shape (p,), bool
        Columns that are constant.
    """

    basis: FloatArray | None
    fixed: NDArray[np.bool_]

    def inside(self, white: FloatArray) -> FloatArray:
        """Return the k coordinates of whitened rows within the span."""
        return white if self.basis is None else white @ self.basis.T


def span_of(Z: FloatArray, location: FloatArray, whitener: Whitener, *, centred: bool) -> Span:
    """Return the span of rows about their mean, or about a known location.

    A regularised covariance has variance also where the rows have none, in columns that are constant or repeat others.
    Rows made there would be told apart by a refit, and those at hand are not. Directions that are missing only
    because there are more columns than distinct rows are no such case; columns that are constant among so many are
    `fixed`, which is the same but for a common scale of the rows.
    """
    moments = second_moments(Z if centred else Z - location, centred=centred)
    fixed = np.array(moments.constant)
    inside, _ = moments.whitener()
    short = inside.rank < min(len(Z) - centred, whitener.shape[0])
    if (
        not short or inside.rank >= len(np.unique(Z, axis=0)) - centred
    ):  # repeated rows take no dimensions away
        return Span(None, fixed)
    vectors = inside.color(np.eye(inside.shape[0]))
    return Span(np.linalg.qr(whitener.whiten(vectors).T)[0].T, fixed)


@dataclass(frozen=True)
class GeneratedSampler:
    """n rows to fit and n fresh rows of the same law, made in whitened coordinates.

    Parameters
    ----------
    kind : {"parametric", "smoothed", "elliptical"}
        Which law.
    Z : ndarray of shape (m, r)
        Whitened rows, for "smoothed".
    radii : ndarray of shape (m,)
        Their distances from the centre, not squared, for "elliptical".
    location, whitener : ndarray of shape (p,), Whitener
        From whitened coordinates to those of the scatter.
    n : int
        Rows of a fit.
    seed : numpy.random.SeedSequence
        The one of the call.
    back : callable, optional
        From the coordinates of the scatter to those of the estimator.
    span : Span, optional
        Where the rows vary, and so those made.
    """

    kind: str
    Z: FloatArray
    radii: FloatArray
    location: FloatArray
    whitener: Whitener
    n: int
    seed: np.random.SeedSequence
    back: Callable[[FloatArray], Any] | None = None
    span: Span | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Return n training and n new rows."""
        return self.n, self.n

    def fits(self, replicate: int, attempt: int) -> list[Fit]:
        """Return one fit, to the first half of the rows made."""
        white = self.white(stream(stream_key(self.seed), replicate, attempt), 2 * self.n)
        rows = self.location + self.whitener.color(white)
        if (
            self.span is not None
        ):  # what is constant stays so to the last bit: rounding about zero would be a column
            rows[:, self.span.fixed] = self.location[self.span.fixed]
        if self.back is not None:
            rows = self.back(rows)
        own, fresh = rows[: self.n], rows[self.n :]
        return [Fit(own, (Measured("train", own), Measured("new", fresh)))]

    def white(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Return whitened rows of the law."""
        basis = None if self.span is None else self.span.basis
        noise = rng.standard_normal((size, self.whitener.shape[0] if basis is None else len(basis)))
        made = self._made(rng, noise)
        return made if basis is None else made @ basis

    def _made(self, rng: np.random.Generator, noise: FloatArray) -> FloatArray:
        size, r = noise.shape
        if self.kind == "parametric":
            return noise
        if self.kind == "elliptical":
            radii = self.radii[rng.integers(self.radii.size, size=size)]
            return noise * (radii / np.linalg.norm(noise, axis=1))[:, None]
        h = bandwidth(len(self.Z), r)
        Z = self.Z if self.span is None else self.span.inside(self.Z)
        return (Z[rng.integers(len(Z), size=size)] + h * noise) / np.sqrt(1 + h * h)


@dataclass(frozen=True)
class SignSampler:
    """The rows themselves, each on its own side of the centre or on the opposite one.

    Parameters
    ----------
    centred : ndarray of shape (n, p)
        Rows less the location.
    location : ndarray of shape (p,)
        The centre.
    seed : numpy.random.SeedSequence
        The one of the call.
    n_held : int
        Rows held out of the second fit.
    back : callable, optional
        From the coordinates of the scatter to those of the estimator.
    """

    centred: FloatArray
    location: FloatArray
    seed: np.random.SeedSequence
    n_held: int
    back: Callable[[FloatArray], Any] | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Return all rows, training rows of the first fit; those held out of the second, new ones."""
        return len(self.centred), self.n_held

    def fits(self, replicate: int, attempt: int) -> list[Fit]:
        """Return a fit to all rows, and one without those held out."""
        n = len(self.centred)
        signs = 2.0 * stream(stream_key(self.seed), replicate, attempt).integers(2, size=(n, 1)) - 1.0
        rows = self.location + signs * self.centred
        if self.back is not None:
            rows = self.back(rows)
        held = held_out(generator_key(self.seed), replicate, attempt, n, self.n_held)[0]
        return [
            Fit(rows, (Measured("train", rows),)),
            Fit(np.delete(rows, held, axis=0), (Measured("new", rows[held]),)),
        ]


def whitener_of(scatter: Any, facts: ScatterFacts) -> Whitener:
    """Return a whitener with as many whitened coordinates as the scatter has rank."""
    # Partial whitening: its distance has another matrix than the covariance of the rows.
    whitener = getattr(scatter, "_row_whitener", None) or getattr(scatter, "whitener_", None)
    if isinstance(whitener, Whitener) and whitener.shape[0] == whitener.rank:
        return whitener
    covariance = getattr(scatter, "covariance_", None)
    if covariance is None:
        return Whitener.from_precision(scatter.get_precision())
    return Whitener.from_covariance(covariance, n_samples=facts.n_samples)


def sample_whitener(Z: FloatArray) -> Whitener:
    """Return a whitener of the sample covariance of rows, on their span and in one unit for all columns.

    For distances that filter its eigenvalues: the generalised inverse of their precision is no law of rows.
    """
    centred = Z - Z.mean(axis=0)
    _, roots, right = np.linalg.svd(centred, full_matrices=False)
    most = min(len(Z) - 1, Z.shape[1])
    there = roots[:most] > max(Z.shape) * np.finfo(np.float64).eps * max(
        roots[0], np.sqrt(len(Z)) * np.linalg.norm(Z.mean(axis=0))
    )
    values = roots[:most][there] ** 2 / (len(Z) - 1)
    return Whitener.from_eigh(values, right[:most][there].T, rtol=0.0)


def shrunk_whitener(Z: FloatArray) -> Whitener:
    """Return a whitener of `OAS`'s covariance: eigenvalues less spread than the sample's, none of them zero.

    A refit to rows of the sample covariance spreads eigenvalues once more. Where the true ones are about equal, its
    training rows are then too near, and its new ones, which leave the span of the rows at hand, too. `LedoitWolf`
    shrinks a dozen such rows too little in some samples.
    """
    return OAS().fit(Z).whitener_


def clean_normal(Z: FloatArray) -> tuple[Whitener, FloatArray]:
    """Return the normal law of the rows that a shrunk robust estimate rests on, in units of their own columns.

    Its own covariance is no law of rows: off the span of the few rows that it rests on it is the target, far from which
    clean rows lie, so that rows drawn from it are too near. What `LedoitWolf` makes of the same rows errs on the other
    side. Units are left out, as the refits do not depend on them.
    """
    mean, sd = Z.mean(axis=0), Z.std(axis=0)
    fixed = constant_columns(sd, mean, len(Z))
    scatter = LedoitWolf().fit(np.where(fixed, 0.0, (Z - mean) / np.where(fixed, 1.0, sd)))
    return scatter.whitener_, np.zeros(Z.shape[1])
