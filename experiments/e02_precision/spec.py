"""How near estimated precisions come to the true one: six designs, and losses that any scatter can be measured by."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import toeplitz
from sklearn.exceptions import ConvergenceWarning

from experiments._spec import DataSet, Experiment, Method, Seeds

N_NEW = 200  # rows on which distances are compared
REPETITIONS = {50: 10, 200: 6, 500: 4}  # by columns
SLOW_REPETITIONS = 3
ROWS = (50, 200)


# ------------------------------------------------------------------------------------------------- designs


def _ar1(p: int, rng: np.random.Generator) -> np.ndarray:
    return toeplitz(0.7 ** np.arange(p))


def _unit(covariance: np.ndarray) -> np.ndarray:
    sd = np.sqrt(np.diagonal(covariance))
    return covariance / np.outer(sd, sd)


def _banded(p: int, rng: np.random.Generator) -> np.ndarray:
    """Precision T'T, T unit lower triangular with three random bands; brought to unit variances."""
    T = np.eye(p)
    for lag, top in ((1, 0.6), (2, 0.4), (3, 0.3)):
        T -= np.diag(rng.uniform(0.1, top, p - lag) * rng.choice([-1.0, 1.0], p - lag), -lag)
    inverse = np.linalg.inv(T)
    return _unit(inverse @ inverse.T)


def _block(p: int, rng: np.random.Generator) -> np.ndarray:
    covariance, start = np.eye(p), 0
    while start < p:
        stop = min(start + int(rng.integers(5, 11)), p)
        covariance[start:stop, start:stop] += 0.5 * (1.0 - np.eye(stop - start))
        start = stop
    return covariance


def _spiked(p: int, rng: np.random.Generator) -> np.ndarray:
    directions = np.linalg.qr(rng.standard_normal((p, 3)))[0]
    return np.eye(p) + directions @ np.diag([0.4, 0.2, 0.1]) @ directions.T * p


def _shuffled(p: int, rng: np.random.Generator) -> np.ndarray:
    order = rng.permutation(p)
    return _ar1(p, rng)[np.ix_(order, order)]


def _factors(p: int, rng: np.random.Generator) -> np.ndarray:
    """Five factors, each loading on a random fifth of the columns, and unequal noise; unit variances."""
    loadings = rng.standard_normal((p, 5)) * (rng.random((p, 5)) < 0.2)
    return _unit(loadings @ loadings.T + np.diag(rng.uniform(0.5, 1.5, p)))


DESIGNS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "AR(1)": _ar1,
    "banded": _banded,
    "block": _block,
    "spiked": _spiked,
    "shuffled AR(1)": _shuffled,
    "sparse factors": _factors,
}
ORDERED = ("AR(1)", "banded", "block")


class Table(NamedTuple):
    """Normal rows of mean zero, new ones, and their covariance."""

    X: np.ndarray
    new: np.ndarray
    covariance: np.ndarray


def table_of(design: str, p: int, n: int, seeds: Seeds) -> Table:
    """Draw a covariance of the design, n rows and new rows."""
    covariance = DESIGNS[design](p, seeds.rng("covariance"))
    factor = np.linalg.cholesky(covariance)
    X, new = (seeds.rng(name).standard_normal((m, p)) @ factor.T for name, m in (("X", n), ("new", N_NEW)))
    return Table(X, new, covariance)


def data_set(design: str, p: int, n: int) -> DataSet:
    """Return the data set of one design and size."""
    axes = {"design": design, "p": p, "n": n}
    return DataSet(f"{design} {n} x {p}", lambda seeds: table_of(design, p, n, seeds), axes)


def data_sets(profile: str) -> list[DataSet]:
    """Return the six designs at every size."""
    sizes = [(16, 30), (24, 20)] if profile == "smoke" else [(p, n) for p in REPETITIONS for n in ROWS]
    return [data_set(design, p, n) for p, n in sizes for design in DESIGNS]


def repetitions(data: DataSet, method: Method, profile: str) -> int:
    """How often: a method for ordered columns is run on these alone, and the other way round."""
    n, p = int(data.axes["n"]), int(data.axes["p"])
    kind = "ordered" if data.axes["design"] in ORDERED else "unordered"
    if not method.applies(n, p) or method.options.get("columns", kind) != kind:
        return 0
    slow = bool(method.options.get("slow"))
    if profile == "smoke":
        return 1 - slow
    return min(REPETITIONS[p], SLOW_REPETITIONS) if slow else REPETITIONS[p]


# ------------------------------------------------------------------------------------------------- losses


def losses(estimator: Any, covariance: np.ndarray, new: np.ndarray) -> dict[str, float]:
    """Losses of a fitted scatter against the true covariance (mean zero) and on new rows.

    Any estimator with `location_` and `get_precision` will do.
    """
    p = covariance.shape[0]
    precision = estimator.get_precision()
    precision = precision.toarray() if hasattr(precision, "toarray") else precision
    truth = np.linalg.inv(covariance)
    logdet = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(precision)[1]
    d2 = np.einsum("ij,ij->i", new @ truth, new)
    gap = new - estimator.location_
    ours = np.einsum("ij,ij->i", gap @ precision, gap)
    return {
        "kl": float((np.vdot(covariance, precision) - logdet - p) / p),
        "frobenius": float(np.linalg.norm(precision - truth) / np.linalg.norm(truth)),
        "d2_rms": float(np.sqrt(np.mean((ours / d2 - 1.0) ** 2))),
        "d2_correlation": float(np.corrcoef(ours, d2)[0, 1]),
    }


def measure(table: Table, method: Method, seeds: Seeds) -> Iterator[dict[str, Any]]:
    """Fit one method to one table and measure its losses, to six digits."""
    estimator = method.make(seeds.integer("fit"))
    if method.options.get("truth"):
        estimator.set_params(location="mean", covariance=table.covariance)
    with warnings.catch_warnings():
        # of scikit-learn's graphical lasso, at its smallest penalties
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        estimator.fit(table.X)
    found = losses(estimator, table.covariance, table.new)
    yield {name: float(f"{value:.6g}") for name, value in found.items()}


EXPERIMENT = Experiment(
    "e02",
    "precision estimation in high dimension",
    role="precision",
    data_sets=data_sets,
    repetitions=repetitions,
    measure=measure,
    modules=("experiments.methods.variants",),
)
