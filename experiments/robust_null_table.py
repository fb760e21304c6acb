"""Simulate the null laws of MinCovDet: writes fmahal/nulls/tables/min_cov_det.npz.

python experiments/robust_null_table.py run --worker 0 --of 2    # in one terminal, and --worker 1 in another
python experiments/robust_null_table.py pack

Finished points are kept in experiments/results/robust_null_table_*.jsonl, so that a run can be stopped and goes on
where it was. `--seconds` is what a point may take with the default subset size; the others get less.
"""

import argparse
import json
import math
import sys
import time
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np

from fmahal.nulls._simulation import LEVELS, simulate
from fmahal.nulls._tabulated import TABLE, UNITS
from fmahal.scatter._mcd_factors import mcd_subset_size
from fmahal.scatter._mcd_grid import SHARES, Cell, grid
from fmahal.scatter.mcd import MinCovDet

RESULTS = Path(__file__).parent / "results"
PART_OF_BUDGET = {0.5: 1.0, 0.75: 0.65, 1.0: 0.4}
FEWEST_FITS, MOST_FITS = 40, 4000


class Traced(MinCovDet):
    """MinCovDet that notes the mean variance of each fit, reweighted and raw; 1 is the truth."""

    traces: ClassVar[list] = []

    def fit(self, X, y=None):
        super().fit(X)
        self.traces.append([np.trace(C) / X.shape[1] for C in (self.covariance_, self.raw_covariance_)])
        return self


def estimator_of(cell):
    """Return the unfitted estimator of a point."""
    # For few columns the six deterministic starts add nothing to 500 random ones but time.
    made = Traced(method="fast" if cell.p < 10 else "auto")
    if cell.share == 0.5:
        return made
    h = mcd_subset_size(cell.n, cell.p, cell.share)
    return made.set_params(support_fraction=min((h + 0.5) / cell.n, 1.0))


def finished(folder):
    """Return the records of the points that some worker has finished, by point and round."""
    done = {}
    for path in sorted(folder.glob("robust_null_table_*.jsonl")):
        for line in path.read_text().splitlines():
            if line.endswith("}"):  # a worker may have been stopped in the middle of a line
                record = json.loads(line)
                done[Cell(*record["cell"]), record["round"]] = record
    return done


def fits_for(estimator, cell, seconds):
    """Return how many fits a point gets: as many as its time allows."""
    rng, trials = np.random.default_rng(0), 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rng.standard_normal((cell.n, cell.p)))
        start = time.perf_counter()
        for _ in range(trials):
            estimator.fit(rng.standard_normal((cell.n, cell.p)))
    one = (time.perf_counter() - start) / trials + 3e-4  # what is measured of each fit
    return int(np.clip(seconds * PART_OF_BUDGET[cell.share] / one, FEWEST_FITS, MOST_FITS))


def order_of(worker, of, only):
    """Yield the points of one worker, then those that the others have not finished, from the end."""
    cells = [cell for cell in grid() if cell.p in only] if only else grid()
    yield from cells[worker::of]
    yield from reversed(cells)


def one_point(cell, seconds, turn):
    """Return the record of a point: how many fits, how long it took, mean variances, and ratios in whole units."""
    estimator, start = estimator_of(cell), time.perf_counter()
    n_fits = fits_for(estimator, cell, seconds)
    rng = np.random.default_rng([20260, round(100 * cell.share), cell.p, cell.n, turn])
    Traced.traces.clear()
    ratios = simulate(estimator, cell.n, cell.p, n_fits=n_fits, random_state=rng, raw=True)
    traces = np.array(Traced.traces)
    record = {"cell": list(cell), "round": turn, "n_fits": n_fits, "seconds": round(time.perf_counter() - start, 2)}
    record |= {
        "trace": traces.mean(axis=0).tolist(),
        "trace_error": (traces.std(axis=0) / n_fits**0.5).tolist(),
    }
    return record | {"ratios": np.round(ratios * UNITS).astype(int).tolist()}


def run(folder, worker, of, seconds, until, turn=0, only=()):
    """Simulate the points that are not finished yet, one after the other."""
    path, began = folder / f"robust_null_table_{worker}.jsonl", time.perf_counter()
    if path.exists() and not path.read_text().endswith("\n"):
        with path.open("a") as file:
            file.write("\n")  # ends the line in which an earlier run was stopped
    for cell in order_of(worker, of, only):
        if time.perf_counter() - began > until:
            break
        if (cell, turn) in finished(folder):
            continue
        record = one_point(cell, seconds, turn)
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        factor = math.exp(record["ratios"][0][25] / UNITS)
        print(
            f"{cell} {record['n_fits']} fits {record['seconds']} s, factor at 1 % {factor:.3f}",
            file=sys.stderr,
            flush=True,
        )


def pack(folder, target):
    done = finished(folder)
    missing = [cell for cell in grid() if cell not in done]
    if missing:
        sys.exit(f"{len(missing)} points are missing, the first is {missing[0]}; go on with 'run'.")
    records = [done[cell] for cell in grid()]
    target.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        target,
        levels=LEVELS,
        share=np.array([record["cell"][0] for record in records]),
        p=np.array([record["cell"][1] for record in records], dtype=np.int64),
        n=np.array([record["cell"][2] for record in records], dtype=np.int64),
        n_fits=np.array([record["n_fits"] for record in records], dtype=np.int32),
        ratios=np.array([record["ratios"] for record in records], dtype=np.int16),
    )
    print(f"{target}: {len(records)} points, shares {SHARES}, {target.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "pack"])
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0, help="time for a point (8)")
    parser.add_argument("--until", type=float, default=1e9, help="start no point after so many seconds")
    parser.add_argument("--round", type=int, default=0, help="later rounds are averaged with the earlier ones (0)")
    parser.add_argument("--only", type=int, nargs="*", default=(), help="numbers of columns (all)")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--target", type=Path, default=TABLE)
    options = parser.parse_args()
    if options.what == "run":
        run(
            options.folder,
            options.worker,
            options.of,
            options.seconds,
            options.until,
            options.round,
            options.only,
        )
    else:
        pack(options.folder, options.target)
