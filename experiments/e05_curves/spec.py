"""Curves of which some are outlying, and how many of these and of the others a detector calls so."""

import warnings

import numpy as np

from fmahal import RankDeficientError
from fmahal.datasets import load_elnino, make_outlying_curves

from .._spec import DataSet
from ..methods.curves import on_the_grid

MODELS = ("magnitude", "peak", "shift", "shape", "covariance", "bump", "periodic", "phase", "amplitude")
SMOOTH = "smooth"  # beside the nine: smooth curves, a small fast wave on the outliers
REAL = "elnino"
COMMON, MORE = 4, 3  # data sets a cell of 100 curves, and of 200


def curves_of(model, n, contamination, points):
    """Return what draws a data set: curves, which of them are outliers, and names of them, if any."""

    def draw(seeds):
        bunch = make_outlying_curves(
            model, n, points, contamination=contamination / 100, random_state=seeds.integer("curves")
        )
        return bunch.data, bunch.outliers, None

    return draw


def smooth_waves(n, contamination, points):
    """Return what draws smooth curves of unit variance; outliers have a small fast wave on top."""

    def draw(seeds):
        t, rng = np.linspace(0.0, 1.0, points), seeds.rng("curves")
        values, vectors = np.linalg.eigh(np.exp(-0.5 * (np.subtract.outer(t, t) / 0.2) ** 2))
        X = (rng.standard_normal((n, points)) * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        outliers = np.zeros(n, dtype=bool)
        outliers[rng.permutation(n)[: round(contamination / 100 * n)]] = True
        X[outliers] += 0.2 * np.sin(12.0 * np.pi * (t + rng.uniform(size=(n, 1))[outliers]))
        return X, outliers, None

    return draw


def el_nino(seeds):
    """Temperatures of the sea by month, a curve for each year."""
    bunch = load_elnino()
    return bunch.data, bunch.outliers, bunch.row_names


def _data_set(model, n, contamination, points=50):
    axes = {"model": model, "n": n, "contamination": contamination, "points": points}
    size = (n, contamination, points)
    draw = smooth_waves(*size) if model == SMOOTH else curves_of(model, *size)
    return DataSet(f"{model}-{n}-{contamination}", draw, axes)


def data_sets(profile):
    """Models x numbers of curves x percentages of outliers, and the curves of El Nino."""
    if profile == "smoke":
        return [_data_set("shape", 40, 10, 16), _data_set(SMOOTH, 40, 10, 16)]
    found = [_data_set(model, *size) for size in ((100, 5), (100, 20), (200, 20)) for model in MODELS]
    real = DataSet(REAL, el_nino, {"model": REAL, "n": 69, "contamination": 6, "points": 12})
    return [*found, _data_set(SMOOTH, 100, 10), real]


def repetitions(data, method, profile):
    """All methods see the same data sets of 100 curves; those marked "often", quick or the default, also see more."""
    often = bool(method.options.get("often"))
    if not method.applies(data.axes["n"], data.axes["points"]):
        return 0
    if profile == "smoke":
        return 1 if data.axes["model"] != SMOOTH else int(often)
    if data.axes["model"] == REAL:
        return 1
    return COMMON if data.axes["n"] == 100 else MORE * often


def measure(drawn, method, seeds):
    """Count flagged curves among the outliers and among the others."""
    X, outliers, names = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # laws that are approximations, ranks, and what scikit-fda deprecates
        try:
            labels = np.asarray(on_the_grid(method.make(seeds.integer("method"))).fit(X).labels_)
        except (RankDeficientError, np.linalg.LinAlgError) as error:
            yield _record(outliers, None) | {"failed": str(error)[:200]}
            return
    record = _record(outliers, labels == -1)
    if names is not None:
        record["named"] = " ".join(name for name, label in zip(names, labels, strict=True) if label == -1)
    yield record


def _record(outliers, flagged):
    counts = {"outliers": int(outliers.sum()), "clean": int((~outliers).sum())}
    found = {"hits": None, "false": None}
    if flagged is not None:
        found = {"hits": int((flagged & outliers).sum()), "false": int((flagged & ~outliers).sum())}
    return {**counts, **found, "named": None, "failed": None}
