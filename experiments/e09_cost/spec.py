"""e09, cost: seconds and memory of fits and scores against the numbers of rows and of columns, ours and all peers."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import lfilter

from experiments._spec import DataSet, Experiment, Method, Seeds, methods

from .gauge import peak_bytes, seconds_of

AR = 0.5  # correlation of neighbouring columns
SAME = 1e-6  # relative agreement of distances with those of a peer of the same definition


class Sweep(NamedTuple):
    """Sizes that grow, the one that stays, and repetitions."""

    rows: tuple[int, ...]  # of `columns`
    columns: int
    widths: tuple[int, ...]  # of `height` rows
    height: int
    repetitions: int


SWEEPS = {
    "smoke": Sweep((60, 240), 4, (3, 6, 80), 40, 1),
    "paper": Sweep((100, 300, 1000, 3000, 10000, 30000), 20, (10, 30, 100, 300, 1000, 3000), 500, 4),
}
NO_END = 10**9
_WARM: set[tuple[str, tuple[int, ...]]] = set()  # methods and shapes that this process has fitted and scored
# The largest sizes at which a method is run: rows in the sweep of rows, columns in that of columns. Declared, so that
# no clock decides what is run: beyond them a fit takes more than some seconds. Methods that are not named come to the
# end.
LARGEST = {
    "modified-cholesky-cv": (10000, 300),
    "mcd": (NO_END, 100),
    "mrcd": (NO_END, 300),
    "ogk": (10000, 100),
    "sklearn-ledoit-wolf": (NO_END, 1000),
    "sklearn-oas": (NO_END, 1000),
    "sklearn-mcd": (3000, 100),
    "robpy-mcd": (3000, 100),
    "robpy-ogk": (3000, 30),
    "statsmodels-detmcd": (1000, 30),
    "statsmodels-ogk": (10000, 30),
}


def largest(method: Method) -> tuple[int, int]:
    """Return the largest numbers of rows and of columns of a method; a new one names its own in its options."""
    return method.options.get("largest", LARGEST.get(method.name, (NO_END, NO_END)))


class Drawn(NamedTuple):
    """Training rows, and as many new ones."""

    rows: np.ndarray
    new: np.ndarray


def draw(n: int, p: int, seeds: Seeds) -> Drawn:
    """Draw normal rows whose neighbouring columns are correlated."""
    steps = seeds.rng("rows").standard_normal((2, n, p))
    steps[..., 1:] *= np.sqrt(1.0 - AR**2)
    rows = lfilter([1.0], [1.0, -AR], steps, axis=-1)
    return Drawn(*(np.ascontiguousarray(half) for half in rows))


def data_sets(profile: str) -> list[DataSet]:
    """Rows that grow, then columns that grow."""
    one = SWEEPS[profile]
    sizes = [("rows", n, one.columns) for n in one.rows] + [("columns", one.height, p) for p in one.widths]
    return [
        DataSet(f"{sweep}-{n}-{p}", partial(draw, n, p), {"sweep": sweep, "n": n, "p": p})
        for sweep, n, p in sizes
    ]


def repetitions(data: DataSet, method: Method, profile: str) -> int:
    """Return how often; none beyond what a method applies to, or its declared largest size."""
    n, p = data.axes["n"], data.axes["p"]
    most = largest(method)
    fits = n <= most[0] if data.axes["sweep"] == "rows" else p <= most[1]
    return SWEEPS[profile].repetitions if fits and method.applies(n, p) else 0


# ------------------------------------------------------------------------------------------------- measure


def squared_distances(fitted: Any, X: np.ndarray) -> np.ndarray:
    """Return squared distances by the estimator's own method; without one, by its precision and one product.

    No precision is computed here: estimators keep that of their fit.
    """
    if hasattr(fitted, "mahalanobis"):
        return fitted.mahalanobis(X)
    centred = X - fitted.location_
    return np.einsum("ij,ij->i", centred @ fitted.get_precision(), centred)


def measure(drawn: Drawn, method: Method, seeds: Seeds) -> list[dict[str, Any]]:
    """Return seconds and memory of fitting and of scoring as many new rows."""
    seed = seeds.integer("fit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how well a fit suits the rows is asked elsewhere
        if seeds.repetition == 0:
            agree(drawn, method, seed)
        try:
            warm_up(drawn, method, seed)
            memory, first, fitted = peak_bytes(lambda: method.make(seed).fit(drawn.rows))
            fit = seconds_of(lambda: method.make(seed).fit(drawn.rows), first)
            held, scored, _ = peak_bytes(lambda: squared_distances(fitted, drawn.new))
            score = seconds_of(lambda: squared_distances(fitted, drawn.new), scored)
        except (ValueError, np.linalg.LinAlgError) as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            return [_record(task, None, None, text) for task in ("fit", "score")]
    return [_record("fit", fit, memory, None), _record("score", score, held, None)]


def warm_up(drawn: Drawn, method: Method, seed: int) -> None:
    """Fit and score once untimed at each size of a method, before it is first timed there.

    Other sizes take other paths, as where columns outnumber rows, and the first call of a path loads or compiles it.
    """
    key = (method.name, drawn.rows.shape)
    if key not in _WARM:
        squared_distances(method.make(seed).fit(drawn.rows), drawn.new)
        _WARM.add(key)


def _record(task: str, seconds: float | None, memory: int | None, failed: str | None) -> dict[str, Any]:
    shown = None if seconds is None else float(f"{seconds:.4g}")
    return {"task": task, "took": shown, "memory": memory, "failed": failed}


def agree(drawn: Drawn, method: Method, seed: int) -> None:
    """Raise where a peer of the same definition gives other distances than ours: then the times compare nothing."""
    ours = {one.name: one for one in methods("cost")}.get(method.options.get("same_as", ""))
    if ours is None:
        return
    found = squared_distances(method.make(seed).fit(drawn.rows), drawn.new)
    wanted = squared_distances(ours.make(seed).fit(drawn.rows), drawn.new)
    off = float(np.max(np.abs(found / wanted - 1.0)))
    if not off <= SAME:
        raise RuntimeError(
            f"{method.name} and {ours.name} are taken for the same estimator, and their squared distances on "
            f"{drawn.rows.shape[0]} x {drawn.rows.shape[1]} rows differ by {off:.2g} of their size. Usual causes: "
            "another divisor of the covariance, or a rank that one of them cuts. Take out same_as, or mend one."
        )


EXPERIMENT = Experiment(
    name="e09",
    title="cost: time and memory against rows and columns",
    role="cost",
    data_sets=data_sets,
    repetitions=repetitions,
    measure=measure,
    timed=True,
    modules=("experiments.e09_cost.gauge",),
)
