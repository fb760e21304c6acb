"""Tabular outlier sets of ADBench: ten small ones that lie beside this file, the others from a folder of the user.

The environment variable ``FMAHAL_ADBENCH`` names that folder, with ADBench's files as they are (``12_fault.npz``:
arrays X and y). A set of role "tabular" draws its whole table, ``(X, y)`` with y = 1 for outliers; how it is split into
training and test rows is the experiment's affair. All sets are registered, at hand or not: stored results of a set go
on being those of a planned cell where its table is not.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from .._spec import Seeds, SpecError, dataset

BUNDLED = Path(__file__).resolve().parent / "adbench"
FOLDER = "FMAHAL_ADBENCH"
SHAPES = {
    "breastw": (683, 9),
    "campaign": (41188, 62),
    "cardiotocography": (2114, 21),
    "fault": (1941, 27),
    "hepatitis": (80, 19),
    "internetads": (1966, 1555),
    "ionosphere": (351, 32),
    "lymphography": (148, 18),
    "mammography": (11183, 6),
    "pageblocks": (5393, 10),
    "satimage-2": (5803, 36),
    "shuttle": (49097, 9),
    "skin": (245057, 3),
    "smtp": (95156, 3),
    "stamps": (340, 9),
    "thyroid": (3772, 6),
    "vertebral": (240, 6),
    "wdbc": (367, 30),
    "wpbc": (198, 33),
}  # rows and columns of the sets with published figures to compare with


def find(folder: Path) -> dict[str, Path]:
    """Return the sets of a folder: name in small letters, and file."""
    return {file.stem.partition("_")[2].lower(): file for file in sorted(folder.glob("[0-9]*_*.npz"))}


@lru_cache(maxsize=1)
def files() -> dict[str, Path]:
    """Return the files at hand, those of the project first."""
    named = os.environ.get(FOLDER)
    if named and not Path(named).is_dir():
        raise SpecError(
            f"{FOLDER} names {named}, which is no folder. Name the one with ADBench's .npz files, or unset it."
        )
    return {**(find(Path(named)) if named else {}), **find(BUNDLED)}


def missing() -> tuple[str, ...]:
    """Return the names of the sets that are not at hand."""
    return tuple(name for name in SHAPES if name not in files())


@lru_cache(maxsize=2)  # cells of one set follow one another
def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as float64 and labels, 1 for outliers."""
    if name not in files():
        raise SpecError(
            f"The table {name} is not at hand. Download ADBench's folder adbench/datasets/Classical and name it in the "
            f"environment variable {FOLDER} (docs/tabular.md), or run the others: --only 'data={'|'.join(files())}'."
        )
    with np.load(files()[name]) as arrays:
        X, y = np.asarray(arrays["X"], dtype=np.float64), np.ravel(arrays["y"]).astype(int)
    if X.shape != SHAPES[name] or y.shape != X.shape[:1] or set(np.unique(y)) != {0, 1}:
        raise ValueError(
            f"{files()[name]}: X has the shape {X.shape}, y {y.shape} with the labels {sorted(set(y.tolist()))[:5]}; "
            f"expected {SHAPES[name]} and one label of 0 or 1 a row. Is it the file of ADBench's folder Classical?"
        )
    X.flags.writeable = y.flags.writeable = False
    return X, y


def _drawer(name: str) -> Callable[[Seeds], tuple[np.ndarray, np.ndarray]]:
    def draw(seeds: Seeds) -> tuple[np.ndarray, np.ndarray]:
        return table(name)

    return draw


for _name, (_rows, _columns) in SHAPES.items():
    dataset(_name, _drawer(_name), {"n": _rows, "p": _columns}, roles=("tabular",))
