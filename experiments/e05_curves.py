"""Who finds outlying curves: nine models of outliers, our variants and the detectors of scikit-fda.

python experiments/e05_curves.py run [--grid small|full] [--jobs 1] [--cells variant=default,model=phase] [--again]
python experiments/e05_curves.py render    # only writes the page
python experiments/e05_curves.py check     # what was required, and what fails

A cell is one model of outliers, one number of curves and one contamination; all variants see the same data sets. Every
data set has a seed of its own, made from the names of what it belongs to: a cell run alone gives the same numbers, and
so does a larger grid. Counts go to ``experiments/results/e05_curves_<grid>.csv`` (a variant of a cell a line) after
each cell, where a later run goes on; ``.json`` beside it tells the machine, the versions and the commands.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import scipy
import sklearn
from e01_rows import seed_of
from e05_verdicts import LEVEL, MODELS, SMOOTH, check, into_page, render
from scipy import stats
from sklearn.pipeline import make_pipeline

import fmahal
from fmahal.datasets import make_outlying_curves
from fmahal.models.functional import FunctionalMahalanobis
from fmahal.models.functional_detector import FunctionalOutlierDetector
from fmahal.scatter import MRCD, MinCovDet, WrappedCovariance
from fmahal.scatter.robust_spectral import RobustSpectralFilter
from fmahal.spaces import L2Space, SobolevSpace

RESULTS = Path(__file__).resolve().parent / "results"
KEYS = ("variant", "model", "n", "contamination")
COUNTS = ("sets", "outliers", "clean", "hits", "hits2", "false", "false2", "both", "seconds")
N_POINTS = 50
Flags = np.ndarray


class Cell(NamedTuple):
    """A model of outliers, the number of curves, and the percentage of outliers."""

    model: str
    n: int
    contamination: int


class Grid(NamedTuple):
    """Sizes, percentages, and numbers of data sets: for variants that are always run, and for the other ones."""

    sizes: tuple[int, ...]
    contaminations: tuple[int, ...]
    sets: tuple[int, int]


GRIDS = {
    "small": Grid((100, 200), (5, 10, 20), (12, 1)),
    "full": Grid((100, 200), (5, 10, 20), (200, 50)),
}


# ------------------------------------------------------------------------------------------------- variants


def _ours(make: Callable[[], Any]) -> Callable[[np.ndarray], Flags]:
    return lambda X: FunctionalOutlierDetector(make(), alpha=LEVEL).fit(X).labels_ == -1


def _fdata(X: np.ndarray) -> Any:
    import skfda

    return skfda.FDataGrid(X, np.linspace(0.0, 1.0, X.shape[1]))


def _peer(name: str, **parameters: Any) -> Callable[[np.ndarray], Flags]:
    def flags(X: np.ndarray) -> Flags:
        from skfda.exploratory import outliers

        return np.asarray(getattr(outliers, name)(**parameters).fit_predict(_fdata(X))) == -1

    return flags


def _skfda_distance(X: np.ndarray) -> Flags:
    """scikit-fda's distance to the mean, a square in spite of its name, against chi-square of its 10 components."""
    from skfda.misc.metrics import MahalanobisDistance

    curves = _fdata(X)
    squares = MahalanobisDistance(n_components=10).fit(curves)(curves, curves.mean())
    return np.asarray(squares) > stats.chi2.isf(LEVEL, 10)


VARIANTS: dict[str, Callable[[np.ndarray], Flags]] = {
    "default": _ours(lambda: None),
    "robust rkhs": _ours(lambda: make_pipeline(L2Space(), RobustSpectralFilter("rkhs", alpha=0.01))),
    "robust ridge 0.3": _ours(lambda: make_pipeline(L2Space(), RobustSpectralFilter(alpha=0.3))),
    "robust sobolev": _ours(lambda: make_pipeline(SobolevSpace(), RobustSpectralFilter())),
    "mcd of scores": _ours(lambda: FunctionalMahalanobis(scatter=MinCovDet(random_state=0))),
    "mrcd": _ours(lambda: make_pipeline(L2Space(), MRCD())),
    "wrapped": _ours(lambda: make_pipeline(L2Space(), WrappedCovariance())),
    "rkhs": _ours(lambda: FunctionalMahalanobis("rkhs")),
    "ridge": _ours(lambda: FunctionalMahalanobis("ridge")),
    "truncate": _ours(lambda: FunctionalMahalanobis("truncate")),
    "BoxplotOutlierDetector": _peer("BoxplotOutlierDetector"),
    "MSPlotOutlierDetector": _peer("MSPlotOutlierDetector", random_state=0),
    "LocalOutlierFactor": _peer("LocalOutlierFactor"),
    "MahalanobisDistance": _skfda_distance,
}
OFTEN = ("default", "robust rkhs", "MSPlotOutlierDetector", "LocalOutlierFactor", "MahalanobisDistance")


SEES = ("default", "robust sobolev", "MSPlotOutlierDetector", "LocalOutlierFactor")


def sets_of(variant: str, model: str, grid: Grid) -> int:
    """Number of data sets of a variant: fewer for those that take seconds and are there for comparison."""
    if model == SMOOTH:
        return grid.sets[0] if variant in SEES else 0
    return grid.sets[0 if variant in OFTEN else 1]


# ------------------------------------------------------------------------------------------------- measuring


def data_set(cell: Cell, r: int) -> tuple[np.ndarray, Flags]:
    """Return the curves of a data set and which are outliers."""
    seed = int(seed_of("curves", cell.model, cell.n, cell.contamination, r).generate_state(1)[0])
    if cell.model == SMOOTH:
        return smooth_waves(cell.n, cell.contamination / 100, seed)
    bunch = make_outlying_curves(
        cell.model, cell.n, N_POINTS, contamination=cell.contamination / 100, random_state=seed
    )
    return bunch.data, bunch.outliers


def smooth_waves(n: int, contamination: float, seed: int) -> tuple[np.ndarray, Flags]:
    """Smooth curves of unit variance, and outliers with a small fast wave on top: outlying by their shape alone."""
    t, rng = np.linspace(0.0, 1.0, N_POINTS), np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(np.exp(-0.5 * (np.subtract.outer(t, t) / 0.2) ** 2))
    X = (rng.standard_normal((n, N_POINTS)) * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    outliers = np.zeros(n, dtype=bool)
    outliers[rng.permutation(n)[: round(contamination * n)]] = True
    X[outliers] += 0.2 * np.sin(12.0 * np.pi * (t + rng.uniform(size=(n, 1))[outliers]))
    return X, outliers


def measure(cell: Cell, spans: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Count flagged curves of the data sets `first` to `last` - 1 of each variant."""
    lines = {name: dict(zip((*KEYS, *COUNTS), (name, *cell, *(0,) * 8, 0.0), strict=True)) for name in spans}
    first, last = min(a for a, _ in spans.values()), max(b for _, b in spans.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for r in range(first, last):
            X, outliers = data_set(cell, r)
            for name in (name for name, (a, b) in spans.items() if a <= r < b):
                start = time.perf_counter()
                flagged = VARIANTS[name](X)
                _add(lines[name], flagged, outliers, time.perf_counter() - start)
    return list(lines.values())


def _add(line: dict[str, Any], flagged: Flags, outliers: Flags, seconds: float) -> None:
    hits, false = int(np.sum(flagged & outliers)), int(np.sum(flagged & ~outliers))
    line["outliers"], line["clean"] = int(outliers.sum()), int((~outliers).sum())
    sums = {
        "sets": 1,
        "hits": hits,
        "hits2": hits**2,
        "false": false,
        "false2": false**2,
        "both": hits * false,
    }
    for key, value in sums.items():
        line[key] += value
    line["seconds"] = round(line["seconds"] + seconds, 4)


# ------------------------------------------------------------------------------------------------- the store


def load(path: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Stored counts by their key."""
    if not path.exists():
        return {}
    with path.open(newline="") as stream:
        lines = [typed(line) for line in csv.DictReader(stream)]
    return {tuple(line[key] for key in KEYS): line for line in lines}


def typed(line: dict[str, str]) -> dict[str, Any]:
    """Numbers of a stored line as numbers."""
    return {
        key: text if key in KEYS[:2] else float(text) if key == "seconds" else int(text)
        for key, text in line.items()
    }


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Add the counts of new data sets to those of earlier ones."""
    if old is None:
        return new
    sums = {key: old[key] + new[key] for key in COUNTS if key not in ("outliers", "clean")}
    return {**new, **sums, "seconds": round(sums["seconds"], 4)}


def save(path: Path, store: dict[tuple[Any, ...], dict[str, Any]]) -> None:
    """Write all counts, so that an interrupt leaves the file of before or the file of after."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as stream:
        table = csv.DictWriter(stream, (*KEYS, *COUNTS), lineterminator="\n")
        table.writeheader()
        table.writerows(store[key] for key in sorted(store, key=_order))
    os.replace(partial, path)


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    variant, model, n, contamination = key
    return list(VARIANTS).index(variant), [*MODELS, SMOOTH].index(model), n, contamination


def cells_of(grid: Grid) -> Iterator[Cell]:
    """All cells of a grid: the whole plan at the smallest size first."""
    for n in grid.sizes:
        for contamination in grid.contaminations:
            yield from (Cell(model, n, contamination) for model in (*MODELS, SMOOTH))


def missing(
    store: dict[tuple[Any, ...], dict[str, Any]], grid: Grid, only: dict[str, str]
) -> list[tuple[Cell, dict[str, tuple[int, int]]]]:
    """Cells that match the filter and the data sets that their variants still lack."""
    tasks = []
    for cell in cells_of(grid):
        spans = {}
        for variant in VARIANTS:
            done = store.get((variant, *cell), {"sets": 0})["sets"]
            wanted = sets_of(variant, cell.model, grid)
            if done < wanted and _matches({"variant": variant, **cell._asdict()}, only):
                spans[variant] = done, wanted
        if spans:
            tasks.append((cell, spans))
    return tasks


def _matches(line: dict[str, Any], only: dict[str, str]) -> bool:
    return all(str(line[key]) in value.split("|") for key, value in only.items())


def run(path: Path, grid: Grid, only: dict[str, str], *, again: bool = False, jobs: int = 1) -> None:
    """Measure what is missing, storing after each cell."""
    start, store, facts = time.perf_counter(), load(path), path.with_suffix(".json")
    if again:
        store = {key: line for key, line in store.items() if not _matches(line, only)}
    tasks = missing(store, grid, only)
    before = json.loads(facts.read_text())["commands"] if facts.exists() else []
    command = " ".join(["python", "experiments/e05_curves.py", *sys.argv[1:]])
    commands = [*(one for one in before if one != command), command]
    parts = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(measure)(*task) for task in tasks
    )
    for (cell, _), lines in zip(tasks, parts, strict=True):
        for line in lines:
            key = tuple(line[name] for name in KEYS)
            store[key] = merged(store.get(key), line)
        save(path, store)
        facts.write_text(json.dumps({**machine(), "commands": commands}, indent=1) + "\n")
        print(
            f"{time.perf_counter() - start:7.1f} s  {' '.join(map(str, cell))}", file=sys.stderr, flush=True
        )


def machine() -> dict[str, Any]:
    """Describe what the numbers are made with."""
    import skfda

    modules = {m.__name__: m.__version__ for m in (fmahal, np, scipy, sklearn, skfda)}
    versions = {"python": platform.python_version(), **modules}
    return {"machine": platform.machine(), "cpus": joblib.cpu_count(), "versions": versions}


def main(argv: list[str] | None = None) -> None:
    """Run, render or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "render", "check"])
    parser.add_argument("--grid", choices=tuple(GRIDS), default="small")
    parser.add_argument("--jobs", type=int, default=1, help="cells measured at once, by processes (1)")
    parser.add_argument(
        "--cells", default="", help="only these, such as 'variant=default|mrcd,model=phase,n=100'"
    )
    parser.add_argument("--again", action="store_true", help="forget what is stored about them first")
    options = parser.parse_args(argv)
    path = RESULTS / f"e05_curves_{options.grid}.csv"
    if options.what == "run":
        only = dict(pair.split("=") for pair in options.cells.split(",") if pair)
        run(path, GRIDS[options.grid], only, again=options.again, jobs=options.jobs)
    lines = list(load(path).values())
    if options.what == "check":
        print("\n".join(check(lines)) or "nothing fails")
    elif options.grid == "small":
        into_page(render(lines, json.loads(path.with_suffix(".json").read_text())))


if __name__ == "__main__":
    main()
