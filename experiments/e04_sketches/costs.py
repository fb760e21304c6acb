"""The cost model of sketches: constants fitted to stored times, and how often its choice is the faster one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from fmahal.scatter import SketchCosts, sketch_pays

CELL = ("workload", "structure", "width", "p", "n", "dtype")
VARIANT = ("kind", "k", "sample")
STAGES = ("rows_exact", "rest_exact", "gemm", "map", "fold", "rows_sketched", "rest_sketched")
WHOLE = ("width", "p", "n", "k", "sample", "rank", "bytes_exact", "bytes_sketched")
ERRORS = ("error_median", "error_95", "error_max")
TABLE = "fmahal/scatter/tables/sketch_costs.json"

Line = dict[str, Any]
NEAR = 1.1  # the slower of two ways is no wrong choice up to this ratio
AGREEMENT, MEAN_REGRET, WORST_REGRET = 0.9, 1.05, 2.0
NOTICED = 0.001  # seconds: nobody waits for jobs below them
ERROR_BAND = 1.15  # of the median error of theory
HALF_NORMAL = 0.6745  # median of |N(0, 1)|


def lines_of(frame: Any) -> list[Line]:
    """Return a line for each job and sketch: medians over the repetitions, and the largest error."""
    found = frame[frame["part"] == "speed"].rename(columns={"method": "kind"})
    keys = [*CELL, *VARIANT]
    how: dict[str, Any] = dict.fromkeys([*STAGES, *ERRORS[:2]], "median")
    how |= dict.fromkeys(["rank", "bytes_exact", "bytes_sketched", "error_max"], "max")
    table = found.groupby(keys, observed=True).agg(how).reset_index()
    return [
        {key: int(value) if key in WHOLE else value for key, value in line.items()}
        for line in table.to_dict("records")
    ]


# ------------------------------------------------------------------------------------------------- totals


def exact_seconds(line: Line) -> float:
    """Seconds of the exact job by the whitener."""
    return line["rows_exact"] + line["rest_exact"]


def best_exact(line: Line) -> float:
    """Seconds of the exact job by the whitener or by the dense product, whichever is faster."""
    rows = min(line["rows_exact"], line["gemm"]) if line["gemm"] > 0 else line["rows_exact"]
    return rows + line["rest_exact"]


def sketched_seconds(line: Line, *, made: bool = False) -> float:
    """Seconds of the sketched job; of a query, and with `made`, without the making of the sketch."""
    seconds = line["rows_sketched"] + line["rest_sketched"]
    return seconds if made or line["workload"] == "query" else seconds + line["map"] + line["fold"]


def single(lines: Iterable[Line]) -> list[Line]:
    """Lines of one sketch, without those of an index."""
    return [line for line in lines if line["sample"] == 0]


def once(lines: Iterable[Line], key: Any) -> list[Line]:
    """One line for each value of `key`."""
    return list({key(line): line for line in lines}.values())


def work_of(line: Line) -> float:
    """Multiply-adds of one exact row, as `sketch_pays` counts them."""
    if line["structure"] == "triangular":
        return 0.5 * line["p"] * line["rank"]
    return (2.0 if line["structure"] == "sequential" else 1.0) * line["p"] * line["width"]


# ------------------------------------------------------------------------------------------------- the fit


def fit_terms(terms: list[tuple[float, ...]], seconds: list[float]) -> list[float]:
    """Nonnegative constants of a sum of terms: least squares on the logarithms of measured and predicted seconds."""
    A, t = np.array(terms, dtype=float), np.array(seconds)
    scale = (A / t[:, None]).max(axis=0)  # at 1 / scale a term alone explains no time more than once
    B = A / scale

    def misfit(c: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(B @ c, 1e-12 * t) / t)

    found = least_squares(misfit, np.full(A.shape[1], 0.5), bounds=(0.0, np.inf), x_scale="jac").x
    found[found * B.max(axis=0) < 1e-6 * t.min()] = 0.0
    return [float(f"{value:.3g}") for value in found / scale]


def fitted_constants(lines: Iterable[Line]) -> dict[str, Any]:
    """Constants of every operation of the cost model."""
    lines = single(lines)
    wide = [line for line in lines if line["dtype"] == "float64" and line["workload"] != "query"]
    structures = list(dict.fromkeys(x["structure"] for x in wide))
    scores = {name: fit_terms(*_rows_exact(wide, name)) for name in structures}
    scored = [x for x in wide if x["workload"] == "center"]
    scores["sketched"] = fit_terms(
        [(1.0, x["n"] * x["p"], float(x["n"]) * x["k"] * x["p"]) for x in scored],
        [x["rows_sketched"] for x in scored],
    )
    made = once(wide, lambda x: (x["structure"], x["width"], x["p"], x["kind"], x["k"]))
    folds = {name: _making(made, "fold", "structure", name, work_of) for name in structures}
    kinds = dict.fromkeys(x["kind"] for x in made)
    maps = {name: _making(made, "map", "kind", name, lambda x: x["rank"]) for name in kinds}
    return {"score": scores, "fold": folds, "map": maps, "pairs": _pairs(wide), "query": _query(lines)}


def _making(made: list[Line], stage: str, column: str, name: str, work: Any) -> list[float]:
    here = [x for x in made if x[column] == name]
    return fit_terms([(1.0, x["k"] * work(x)) for x in here], [x[stage] for x in here])


def _rows_exact(lines: list[Line], name: str) -> tuple[list[tuple[float, ...]], list[float]]:
    cells = [x for x in lines if x["structure"] == name and x["workload"] == "center"]
    cells = once(cells, lambda x: tuple(x[key] for key in CELL))
    return (
        [(1.0, x["n"] * x["p"], x["n"] * work_of(x)) for x in cells],
        [x["rows_exact"] for x in cells],
    )


def _pairs(lines: list[Line]) -> list[float]:
    found = [x for x in lines if x["workload"] == "pairs"]
    terms, seconds = [], []
    for x in once(found, lambda x: (x["rank"], x["n"])):
        terms.append((1.0, x["n"] ** 2, x["n"] ** 2 * x["rank"]))
        seconds.append(x["rest_exact"])
    for x in found:
        terms.append((1.0, x["n"] ** 2, x["n"] ** 2 * x["k"]))
        seconds.append(x["rest_sketched"])
    return fit_terms(terms, seconds)


def _query(lines: list[Line]) -> list[float]:
    found = [x for x in lines if x["workload"] == "query"]
    terms, seconds = [], []
    for x in once(found, lambda x: (x["structure"], x["width"], x["p"], x["n"])):
        terms.append((1.0, x["n"], x["n"] * x["rank"], 2.0 * work_of(x)))
        seconds.append(exact_seconds(x))
    for x in found:
        terms.append((1.0, x["n"], x["n"] * x["k"], x["k"] * x["p"]))
        seconds.append(sketched_seconds(x))
    return fit_terms(terms, seconds)


def table_text(constants: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Return the table that the package reads, and what it was made with."""
    about = {"script": "python -m experiments render e04", "source": "experiments/e04_sketches/results"}
    names = ("machine", "processor", "cpus", "threads", "blas", "versions", "profile")
    made = {name: facts[name] for name in names if name in facts}
    return json.dumps({**about, "unit": "seconds", **made, "constants": constants}, indent=1) + "\n"


# ------------------------------------------------------------------------------------------------- the check


def model(
    constants: Mapping[str, Any], structure: str, width: int, **sizes: Any
) -> SketchCosts:  # n, p, k, workload, perhaps rank and kind
    """Return what the given constants say of a job; by default of full rank and a Gaussian map."""
    return sketch_pays(structure, width=width, constants=constants, **{"rank": sizes["p"], **sizes})


def predicted(line: Line, constants: Mapping[str, Any]) -> SketchCosts:
    """Return what the model says of a measured line."""
    sizes = {key: line[key] for key in ("n", "p", "rank", "k", "workload", "kind")}
    return model(constants, line["structure"], line["width"], **sizes)


def regret(line: Line, constants: Mapping[str, Any]) -> float:
    """Measured seconds of the way that the model chooses, over those of the faster way."""
    exact, sketched = exact_seconds(line), sketched_seconds(line)
    chosen = sketched if predicted(line, constants).pays else exact
    return chosen / min(exact, sketched)


def judged(lines: Iterable[Line], constants: Mapping[str, Any]) -> dict[str, float]:
    """Agreement, mean and worst regret, and how far predictions are off, over all lines of one sketch."""
    lines = [line for line in single(lines) if line["dtype"] == "float64" or line["workload"] == "query"]
    regrets = [regret(line, constants) for line in lines]
    noticed = [
        r
        for r, line in zip(regrets, lines, strict=True)
        if min(exact_seconds(line), sketched_seconds(line)) >= NOTICED
    ]
    off = []
    for line in lines:
        costs = predicted(line, constants)
        off.append(abs(math.log(costs.exact / exact_seconds(line))))
        off.append(abs(math.log(costs.sketched / sketched_seconds(line))))
    return {
        "lines": len(lines),
        "agreement": float(np.mean([r <= NEAR for r in regrets])),
        "mean": float(np.exp(np.mean(np.log(regrets)))),
        "worst": max(noticed, default=1.0),
        "off": float(np.exp(np.median(off))),
        "off_95": float(np.exp(np.quantile(off, 0.95))),
    }


def theory(k: int) -> float:
    """Median relative error of a squared distance by a Gaussian sketch, for large k."""
    return HALF_NORMAL * math.sqrt(2.0 / k)


def error_ratio(lines: Iterable[Line], k: int) -> float:
    """Median over cells of the median error of one Gaussian sketch, over that of theory."""
    found = [x for x in single(lines) if x["k"] == k and x["kind"] == "gaussian" and x["n"] >= 1000]
    found = [x for x in found if x["p"] >= 4 * k and x["workload"] != "query"]
    return float(np.median([x["error_median"] for x in found]) / theory(k)) if found else math.nan


def check(lines: Iterable[Line], constants: Mapping[str, Any]) -> list[str]:
    """Return what was required of the model and of the errors, and fails."""
    lines, out = list(lines), []
    found = judged(lines, constants)
    if found["agreement"] < AGREEMENT:
        out.append(f"the model chooses well in {found['agreement']:.1%} of {found['lines']} lines only")
    if found["mean"] > MEAN_REGRET:
        out.append(f"its choices take {found['mean']:.3f} of the fastest in the mean")
    if found["worst"] > WORST_REGRET:
        out.append(f"one of its choices takes {found['worst']:.2f} of the fastest")
    for k in sorted({line["k"] for line in lines if line["k"] >= 64}):
        ratio = error_ratio(lines, k)
        if not math.isnan(ratio) and not 1.0 / ERROR_BAND <= ratio <= ERROR_BAND:
            out.append(f"k = {k}: median error {ratio:.2f} of theory")
    return out
