"""Which colour, marker and dash the series of a method has: the same in all figures.

An estimator keeps its colour whatever package it is from; marker and dash tell the packages apart. The colours are
Okabe and Ito's, told apart under every common colour vision.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#7A7A7A"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (8, 2, 1, 1.5, 1, 1.5)),
)


class Look(NamedTuple):
    """How the series of a method is drawn."""

    colour: str
    marker: str
    dash: Any


_FIXED: dict[str, tuple[str, str, int]] = {
    "empirical": (BLACK, "o", 0), "truth": (BLACK, "*", 2), "inverse": (GREY, "X", 1),
    "ledoit-wolf": (BLUE, "s", 0), "sklearn-ledoit-wolf": (BLUE, "P", 1), "oas": (BLUE, "D", 1),
    "sklearn-oas": (BLUE, "X", 2), "qis": (SKY, "^", 0), "shrunk": (SKY, "v", 1), "spectral": (GREY, "P", 0),
    "modified-cholesky": (GREEN, "<", 1), "modified-cholesky-cv": (GREEN, ">", 0), "cholesky-bands": (GREEN, "s", 2),
    "cholesky-10-orders": (GREEN, "D", 3), "cholesky-bic": (GREEN, "v", 1), "cholesky-rcm": (GREEN, "p", 4),
    "sklearn-graphical-lasso": (ORANGE, "s", 1),
    "mcd": (VERMILION, "o", 0), "mcd-75": (VERMILION, "^", 1), "mcd-90": (VERMILION, "v", 2),
    "mcd-deterministic": (VERMILION, "X", 3), "sklearn-mcd": (VERMILION, "s", 1), "robpy-mcd": (VERMILION, "P", 3),
    "statsmodels-detmcd": (VERMILION, "D", 2), "robpy-detmcd": (VERMILION, "<", 4), "mrcd": (ORANGE, "D", 0),
    "ogk": (PURPLE, "^", 0), "statsmodels-ogk": (PURPLE, "D", 2), "robpy-ogk": (PURPLE, "P", 3),
    "wrapped": (PURPLE, "X", 1), "robpy-wrapping": (PURPLE, "s", 3),
    "statsmodels-detmm": (GREY, "D", 2), "statsmodels-tyler": (GREY, "v", 2),
    "neighbours": (ORANGE, "v", 1), "neighbours-whitened": (ORANGE, "h", 0), "mixture": (SKY, "p", 3),
    "gaussian": (BLUE, "o", 0), "rademacher": (VERMILION, "s", 1), "sparse": (GREEN, "^", 2), "srht": (PURPLE, "D", 3),
    "curves-default": (BLACK, "o", 0), "curves-robust-rkhs": (BLUE, "s", 0), "curves-robust-ridge-0.3": (BLUE, "D", 1),
    "curves-robust-sobolev": (BLUE, "^", 3), "curves-mcd": (VERMILION, "o", 0), "curves-mrcd": (ORANGE, "D", 0),
    "curves-wrapped": (PURPLE, "X", 1), "curves-rkhs": (SKY, "s", 0), "curves-ridge": (SKY, "D", 1),
    "curves-truncate": (SKY, "^", 2), "skfda-boxplot": (GREEN, "v", 2), "skfda-msplot": (GREEN, ">", 3),
    "skfda-lof": (GREEN, "P", 1), "skfda-mahalanobis": (GREEN, "s", 4),
}  # fmt: skip


def look(name: str) -> Look:
    """Return colour, marker and dash of a method: fixed for those known, for others decided by the name alone."""
    if name in _FIXED:
        hue, shape, dashes = _FIXED[name]
        return Look(hue, shape, DASHES[dashes])
    number = zlib.crc32(name.encode())
    return Look(
        PALETTE[number % len(PALETTE)],
        MARKERS[number // 8 % len(MARKERS)],
        DASHES[number // 96 % len(DASHES)],
    )


def colour(name: str) -> str:
    """Return the colour of a method, the same in all figures."""
    return look(name).colour


def marker(name: str) -> str:
    """Return the marker of a method, the same in all figures."""
    return look(name).marker


def dash(name: str) -> Any:
    """Return the dashes of a method's line, the same in all figures."""
    return look(name).dash


def readable(hue: str) -> str:
    """Return a colour dark enough for letters on white."""
    return {ORANGE: "#9A6A00", SKY: "#2076A8", PURPLE: "#A04F7E", GREY: "#5a5a5a"}.get(hue, hue)
