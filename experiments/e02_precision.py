"""Regularised precisions where the truth is known: modified Cholesky against shrinkage and graphical lasso.

Usage: ``python experiments/e02_precision.py [--profile smoke|full] [--jobs 1] [--render-only]``. Writes
``experiments/results/e02_precision.csv`` (one number a line) and ``.json`` (machine, versions, command), and the
tables of ``docs/precision.md``. The smoke profile writes next to them, under ``e02_precision_smoke``, and renders
nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import scipy
import sklearn
from scipy.linalg import toeplitz
from sklearn.covariance import GraphicalLassoCV
from sklearn.exceptions import ConvergenceWarning

import fmahal
from fmahal import OAS, QIS, FixedScatter, LedoitWolf, ModifiedCholeskyCV

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "precision.md"
N_ROWS = (50, 200)
N_NEW = 200  # rows on which distances are compared
BANDS = (0, 1, 2, 3, 5, 8, 12)
RIDGES = (0.1, 1.0, 10.0)  # beside the bands
SHRINKAGE = ("Ledoit-Wolf", "OAS", "QIS")
LOSSES = ("kl", "frobenius", "d2_rms", "d2_correlation")
FIELDS = ("design", "p", "n", "repetition", "method", "loss", "value", "seconds")
FULL = {50: 10, 200: 5, 1000: 3}  # columns: repetitions
SMOKE = {8: 1, 60: 1}


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


def _factor(p: int, rng: np.random.Generator) -> np.ndarray:
    """Five factors, each loading on a random fifth of the columns, and unequal noise; unit variances."""
    loadings = rng.standard_normal((p, 5)) * (rng.random((p, 5)) < 0.2)
    return _unit(loadings @ loadings.T + np.diag(rng.uniform(0.5, 1.5, p)))


DESIGNS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "AR(1)": _ar1,
    "banded": _banded,
    "block": _block,
    "spiked": _spiked,
    "shuffled AR(1)": _shuffled,
    "sparse factors": _factor,
}
ORDERED = ("AR(1)", "banded", "block")


def rows_of(covariance: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw normal rows of mean zero."""
    return rng.standard_normal((n, covariance.shape[0])) @ np.linalg.cholesky(covariance).T


# ------------------------------------------------------------------------------------------------- methods


def methods(design: str, covariance: np.ndarray, n: int) -> Iterator[tuple[str, Any]]:
    """Names and unfitted estimators that are compared on one table of n rows."""
    p = covariance.shape[0]
    bands: dict[str, Any] = {"bandwidths": [k for k in BANDS if k < p], "alphas": RIDGES}
    yield "truth, mean estimated", FixedScatter(location="mean", covariance=covariance)
    yield from zip(SHRINKAGE, (LedoitWolf(), OAS(), QIS()), strict=True)
    if p <= 50 and n > p:  # for larger or squarer tables it does not finish in reasonable time
        yield "graphical lasso CV", GraphicalLassoCV(alphas=4, n_refinements=2)
    yield "modified Cholesky", ModifiedCholeskyCV()
    if design in ORDERED:
        yield "modified Cholesky, bands", ModifiedCholeskyCV(**bands)
    else:
        yield "modified Cholesky, 10 orders", ModifiedCholeskyCV(n_orders=10, random_state=0)
        yield "modified Cholesky, BIC order", ModifiedCholeskyCV(**bands, order="bic")
        yield "modified Cholesky, RCM order", ModifiedCholeskyCV(**bands, order="rcm")


# ------------------------------------------------------------------------------------------------- losses


def losses(estimator: Any, covariance: np.ndarray, new: np.ndarray) -> dict[str, float]:
    """Losses of a fitted estimator against the true covariance (mean zero) and on new rows."""
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


def one_table(design: str, p: int, n: int, repetition: int) -> list[dict[str, Any]]:
    """Every method on one simulated table, as lines of the result."""
    rng = np.random.default_rng([list(DESIGNS).index(design), p, n, repetition])
    covariance = DESIGNS[design](p, rng)
    X, new = rows_of(covariance, n, rng), rows_of(covariance, N_NEW, rng)
    lines = []
    for method, estimator in methods(design, covariance, n):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # scikit-learn's graphical lasso at its smallest alphas
            estimator.fit(X)
        seconds = time.perf_counter() - start
        where = {"design": design, "p": p, "n": n, "repetition": repetition, "method": method}
        for loss, value in losses(estimator, covariance, new).items():
            lines.append({**where, "loss": loss, "value": f"{value:.6g}", "seconds": f"{seconds:.3g}"})
    return lines


def run(
    sizes: dict[int, int], n_rows: tuple[int, ...], jobs: int = 1, verbose: int = 5
) -> list[dict[str, Any]]:
    """All tables of all designs; `sizes` maps columns to repetitions."""
    tables = [
        (d, p, n, r) for p, times in sizes.items() for n in n_rows for d in DESIGNS for r in range(times)
    ]
    parts = joblib.Parallel(n_jobs=jobs, verbose=verbose)(
        joblib.delayed(one_table)(*table) for table in tables
    )
    return [line for part in parts for line in part]


# ------------------------------------------------------------------------------------------------- results


def write(lines: list[dict[str, Any]], stem: str, facts: dict[str, Any]) -> None:
    """Lines as CSV, and where they come from as JSON."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    with (folder / f"{stem}.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, FIELDS, lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
    (folder / f"{stem}.json").write_text(json.dumps(facts, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """Describe what the numbers are made with."""
    modules = {m.__name__: m.__version__ for m in (fmahal, np, scipy, sklearn)}
    return {
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "cpus": joblib.cpu_count(),
        "versions": {"python": platform.python_version(), **modules},
        "command": " ".join(["python", "experiments/e02_precision.py", *sys.argv[1:]]),
    }


def medians(lines: list[dict[str, Any]], loss: str) -> dict[tuple[str, int, int], dict[str, float]]:
    """{(design, p, n): {method: median over the repetitions}}."""
    values: dict[tuple[str, int, int], dict[str, list[float]]] = {}
    for line in lines:
        if line["loss"] == loss:
            cell = values.setdefault((line["design"], int(line["p"]), int(line["n"])), {})
            cell.setdefault(line["method"], []).append(float(line["value"]))
    return {key: {m: float(np.median(v)) for m, v in cell.items()} for key, cell in values.items()}


def verdicts(lines: list[dict[str, Any]]) -> list[str]:
    """Sentences on ours against the best shrinkage estimator of each cell, by medians."""
    groups = (
        ("ordered designs", ORDERED, "modified Cholesky, bands"),
        ("spiked", ("spiked",), "modified Cholesky, 10 orders"),
        ("unordered designs", ("shuffled AR(1)", "sparse factors"), "modified Cholesky, 10 orders"),
    )
    out = []
    for group, designs, ours in groups:
        for loss in ("kl", "d2_rms"):
            cells = {k: c for k, c in medians(lines, loss).items() if k[0] in designs}
            if not cells:
                continue
            ratio = {k: c[ours] / min(c[m] for m in SHRINKAGE) for k, c in cells.items()}
            worst = max(ratio, key=ratio.__getitem__)
            out.append(
                f"- {group}, {loss}: {ours} over the best shrinkage estimator: below 1 in "
                f"{sum(r < 1 for r in ratio.values())} and at most 1.1 in {sum(r <= 1.1 for r in ratio.values())} of "
                f"{len(ratio)} cells; largest {ratio[worst]:.2f} ({worst[0]}, p = {worst[1]}, n = {worst[2]})."
            )
    return out


def render(lines: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """Write the generated block of the page: verdicts, one table a loss, provenance."""
    names = list(dict.fromkeys(line["method"] for line in lines))
    out = ["", *verdicts(lines), ""]
    for loss in LOSSES:
        out += [f"**{loss}**", "", "| design | p | n | " + " | ".join(names) + " |"]
        out += ["|---|--:|--:|" + "--:|" * len(names)]
        for (design, p, n), cell in medians(lines, loss).items():
            numbers = [f"{cell[m]:.3f}" if m in cell else "" for m in names]
            out.append(f"| {design} | {p} | {n} | " + " | ".join(numbers) + " |")
        out.append("")
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    out += [f"`{facts['command']}`, {facts['cpus']} cores, {facts['machine']}; {versions}.", ""]
    return "\n".join(out)


def into_page(block: str) -> None:
    """Replace what stands between the two marks of the page."""
    begin, end = "<!-- e02: begin -->", "<!-- e02: end -->"
    head, rest = PAGE.read_text().split(begin)
    PAGE.write_text(head + begin + "\n" + block + end + rest.split(end)[1])


def main(argv: list[str] | None = None) -> None:
    """Run, write, render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=("smoke", "full"), default="full")
    parser.add_argument("--jobs", type=int, default=1, help="tables simulated at once, by processes")
    parser.add_argument("--render-only", action="store_true", help="render the stored result again")
    options = parser.parse_args(argv)
    stem = "e02_precision" + ("_smoke" if options.profile == "smoke" else "")
    if not options.render_only:
        start = time.perf_counter()
        sizes, n_rows = (SMOKE, (40,)) if options.profile == "smoke" else (FULL, N_ROWS)
        lines = run(sizes, n_rows, options.jobs)
        write(
            lines, stem, {**machine(), "jobs": options.jobs, "seconds": round(time.perf_counter() - start, 1)}
        )
    if options.profile == "full":
        with (HERE / "results" / f"{stem}.csv").open(newline="") as stream:
            stored = list(csv.DictReader(stream))
        into_page(render(stored, json.loads((HERE / "results" / f"{stem}.json").read_text())))


if __name__ == "__main__":
    main()
