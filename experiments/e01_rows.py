"""The data sets of the calibration study: five laws of the rows, each data set with a seed of its own."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from scipy.linalg import toeplitz

LAWS = ("normal", "t5", "lognormal", "skew-normal", "uniform")
SEED = 20260101
N_NEW = 500  # fresh rows for each data set, however few it was fitted on
SHARE = 0.15  # of the rows are planted outliers, where there are any,
SHIFT = 10.0  # so many standard deviations away in every column


def _standard(law: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return uncorrelated columns of mean 0 and variance 1."""
    if law == "uniform":
        return rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape)
    Z = rng.standard_normal(shape)
    if law == "t5":  # multivariate: one radius a row
        return Z * np.sqrt(3.0 / rng.chisquare(5.0, (shape[0], 1)))
    if law == "lognormal":
        return (np.exp(Z) - math.exp(0.5)) / math.sqrt(math.e**2 - math.e)
    if law == "skew-normal":  # shape parameter 5
        delta = 5.0 / math.sqrt(26.0)
        skew = delta * np.abs(rng.standard_normal(shape)) + math.sqrt(1.0 - delta**2) * Z
        return (skew - delta * math.sqrt(2.0 / math.pi)) / math.sqrt(1.0 - 2.0 * delta**2 / math.pi)
    return Z


def rows_of(law: str, n: int, p: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n rows; neighbouring columns have correlation 1/2, and 2 to the minus the lag in general."""
    return _standard(law, (n, p), rng) @ np.linalg.cholesky(toeplitz(0.5 ** np.arange(p))).T


def seed_of(*names: Any) -> np.random.SeedSequence:
    """Return a seed that depends on the names and numbers given, and on nothing else."""
    key = tuple(name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names)
    return np.random.SeedSequence(SEED, spawn_key=key)


def data_set(law: str, n: int, p: int, r: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return training rows, fresh rows, and how many of the training rows are planted outliers (the first)."""
    train, new = (np.random.default_rng(seed_of(law, n, p, r, which)) for which in ("train", "new"))
    X, fresh = rows_of(law, n, p, train), rows_of(law, N_NEW, p, new)
    n_out = int(SHARE * n) if law == "planted" else 0
    X[:n_out] += SHIFT * train.choice([-1.0, 1.0], p)  # one cluster
    return X, fresh, n_out
