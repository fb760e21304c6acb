"""How often clean normal rows are flagged by the laws of MinCovDet: writes its table into docs/robust.md.

python experiments/constants/robust_sizes.py run       # simulates, to experiments/constants/results/robust_sizes.json
python experiments/constants/robust_sizes.py render    # only writes the page
"""

import argparse
import json
import platform
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from fmahal import ChiSquareNull, MinCovDet, RobustNull
from fmahal.exceptions import RankDeficientError
from fmahal.nulls import select_null

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results" / "robust_sizes.json"
PAGE = ROOT / "docs" / "robust.md"
BEGIN, END = "<!-- sizes: begin -->", "<!-- sizes: end -->"
ROWS, COLUMNS, LEVELS = (50, 100, 250, 500), (2, 5, 10, 20), (0.01, 0.025)
LAWS = {
    "default": None,
    "cerioli": RobustNull("cerioli"),
    "green-martin": RobustNull("green-martin"),
    "hardin-rocke": RobustNull("hardin-rocke"),
    "chi-square": ChiSquareNull(),
}
OWN_ESTIMATE = ("cerioli", "green-martin", "hardin-rocke")  # the others depend on n and p alone


def flagged(law, scatter, X, n):
    """Share of the first n rows, the training rows, and of the others flagged at each level by a fitted law."""
    d2 = getattr(law, "scorer_", scatter).mahalanobis(X)
    pvalues = law.train_dist_.sf(d2[:n]), law.new_dist_.sf(d2[n:])
    return np.array([[np.mean(p <= level) for level in LEVELS] for p in pvalues])


def measure(n, p, fits, seed=0):
    """Return per law the shares flagged and their standard errors; the published laws see every fourth fit."""
    rng = np.random.default_rng([seed, n, p])
    shares, laws = {name: [] for name in LAWS}, {}
    for k in range(fits):
        X = rng.standard_normal((2 * n, p))
        scatter = MinCovDet(random_state=k).fit(X[:n])
        for name, null in LAWS.items():
            if name in OWN_ESTIMATE and k % 4:
                continue
            try:
                if name not in laws or name in OWN_ESTIMATE:
                    null = select_null(scatter, X[:n]) if null is None else null
                    laws[name] = null.fit(scatter, X[:n], None)
                shares[name].append(flagged(laws[name], scatter, X, n))
            except RankDeficientError:  # the published law does not exist for so few rows
                continue
    out = {}
    for name, values in shares.items():
        if len(values) < fits // 8:
            out[name] = None
            continue
        mean, error = np.mean(values, axis=0), np.std(values, axis=0) / np.sqrt(len(values))
        out[name] = {"train": mean[0].tolist(), "new": mean[1].tolist(), "error": error.tolist()}
    return {"n": n, "p": p, "fits": fits, "laws": out}


def line(n, p, rows, seconds, seed=0):
    """Measure one line of the table with as many fits as its rows and its time allow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measure(n, p, 4, seed=1)  # compiles
        start = time.perf_counter()
        measure(n, p, 8, seed=1)
        one = (time.perf_counter() - start) / 8
        cell = measure(n, p, int(np.clip(min(rows / n, seconds / one), 100, 4000)), seed)
    took = time.perf_counter() - start
    print(f"n = {n}, p = {p}: {cell['fits']} fits, {took:.1f} s, {cell['laws']['default']}", file=sys.stderr)
    return cell


def pooled(old, new):
    """Return the mean of two measurements of one line, weighted by their fits."""
    share = np.array([old["fits"], new["fits"]]) / (old["fits"] + new["fits"])
    laws = {}
    for name in LAWS:
        pair = [old["laws"][name], new["laws"][name]]
        if None in pair:
            laws[name] = None
            continue
        laws[name] = {kind: (share @ [law[kind] for law in pair]).tolist() for kind in ("train", "new")}
        squares = np.tensordot(share**2, np.array([law["error"] for law in pair]) ** 2, axes=1)
        laws[name]["error"] = np.sqrt(squares).tolist()
    return {"n": old["n"], "p": old["p"], "fits": old["fits"] + new["fits"], "laws": laws}


def run(rows, seconds, jobs, more):
    """Measure all lines, or those with fewest rows once more, and store them with the versions in use."""
    import scipy
    import sklearn

    places = [(n, p) for p in COLUMNS for n in ROWS]
    if more:
        stored = {(cell["n"], cell["p"]): cell for cell in json.loads(RESULTS.read_text())["cells"]}
        again = [(n, p) for n, p in places if n <= 100]
        found = Parallel(n_jobs=jobs)(delayed(line)(n, p, rows, seconds, more) for n, p in again)
        stored |= {place: pooled(stored[place], cell) for place, cell in zip(again, found)}
        cells = [stored[place] for place in places]
    else:
        cells = Parallel(n_jobs=jobs)(delayed(line)(n, p, rows, seconds) for n, p in places)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    machine["scikit-learn"] = sklearn.__version__
    RESULTS.write_text(json.dumps({"levels": LEVELS, "machine": machine, "cells": cells}, indent=1) + "\n")


def cell_text(cell, name, kind):
    law = cell["laws"][name]
    return "-" if law is None else " / ".join(f"{100 * share:.2f}" for share in law[kind])


def table(result):
    lines = []
    for kind, title in (("train", "Training rows"), ("new", "New rows")):
        lines += [f"{title}, percent flagged at nominal 1 % / 2.5 %:", ""]
        lines += ["| n | p | " + " | ".join(LAWS) + " |", "|---" * (2 + len(LAWS)) + "|"]
        for cell in result["cells"]:
            texts = [cell_text(cell, name, kind) for name in LAWS]
            lines.append(f"| {cell['n']} | {cell['p']} | " + " | ".join(texts) + " |")
        lines.append("")
    fits = [cell["fits"] for cell in result["cells"]]
    worst = max(np.max(cell["laws"]["default"]["error"]) for cell in result["cells"])
    gap = max(
        abs(share / level - 1)
        for cell in result["cells"]
        for kind in ("train", "new")
        for share, level in zip(cell["laws"]["default"][kind], result["levels"])
    )
    versions = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines += [
        f"Largest relative departure of the default from nominal: {100 * gap:.0f} %.",
        "",
        f"{min(fits)} to {max(fits)} fits a line, standard error of the default at most {100 * worst:.2f} percent "
        f"points; {versions}; by `python experiments/constants/robust_sizes.py run`.",
    ]
    return "\n".join(lines)


def rendered(text):
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(json.loads(RESULTS.read_text()))}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "render"])
    parser.add_argument(
        "--rows", type=float, default=200_000, help="training rows simulated for a line (200000)"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="time for a line (20)")
    parser.add_argument(
        "--more", type=int, default=0, help="another seed: pool more fits for n <= 100 with the stored"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    options = parser.parse_args()
    if options.what == "run":
        run(options.rows, options.seconds, options.jobs, options.more)
    PAGE.write_text(rendered(PAGE.read_text()))
