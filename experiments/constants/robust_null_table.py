"""Simulate MinCovDet on normal rows: writes fmahal/nulls/tables/min_cov_det.npz and scatter/tables/mcd_trace.npz.

python experiments/constants/robust_null_table.py run --worker 0 --of 2    # in one terminal, --worker 1 in another
python experiments/constants/robust_null_table.py pack

Finished points are kept in experiments/constants/results/robust_null_table_*.jsonl, so that a run can be stopped and
goes on where it was. `--seconds` is what a point may take with the default subset size; the others get less.
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
from fmahal.scatter._mcd_trace import TABLE as TRACE_TABLE
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
    # On clean rows the six deterministic starts add nothing to the random ones but time, nor 400 more for few columns.
    made = Traced(method="fast", n_starts=100 if cell.p <= 3 else 500)
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
    cells = [cell for cell in grid() if cell.share == 0.5 and cell.p in only] if only else grid()
    yield from cells[worker::of]
    yield from reversed(cells)


def one_point(cell, seconds, turn, rows=None):
    """Return the record of a point: how many fits, how long it took, mean variances, and ratios in whole units."""
    estimator, start = estimator_of(cell), time.perf_counter()
    n_fits = int(np.clip(rows / cell.n, FEWEST_FITS, 600)) if rows else fits_for(estimator, cell, seconds)
    rng = np.random.default_rng([20260, round(100 * cell.share), cell.p, cell.n, turn])
    Traced.traces.clear()
    ratios = simulate(estimator, cell.n, cell.p, n_fits=n_fits, random_state=rng, raw=True)
    traces = np.array(Traced.traces)
    record = {
        "cell": list(cell),
        "round": turn,
        "n_fits": n_fits,
        "seconds": round(time.perf_counter() - start, 2),
    }
    record |= {
        "trace": traces.mean(axis=0).tolist(),
        "trace_error": (traces.std(axis=0) / n_fits**0.5).tolist(),
    }
    return record | {"ratios": np.round(ratios * UNITS).astype(int).tolist()}


def run(folder, worker, of, seconds, until, turn=0, only=(), rows=None):
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
        record = one_point(cell, seconds, turn, rows)
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        factor = math.exp(record["ratios"][0][25] / UNITS)
        print(
            f"{cell} {record['n_fits']} fits {record['seconds']} s, factor at 1 % {factor:.3f}",
            file=sys.stderr,
            flush=True,
        )


def pooled(folder):
    """Return, per point of the grid, the number of fits, log ratios and mean variances of all rounds together."""
    rounds = {}
    for (cell, _), record in finished(folder).items():
        rounds.setdefault(cell, []).append(record)
    missing = [cell for cell in grid() if cell not in rounds]
    if missing:
        sys.exit(f"{len(missing)} points are missing, the first is {missing[0]}; go on with 'run'.")
    fits, ratios, traces, errors = [], [], [], []
    for cell in grid():
        weights = np.array([record["n_fits"] for record in rounds[cell]], dtype=float)
        share = weights / weights.sum()
        fits.append(int(weights.sum()))
        ratios.append(np.tensordot(share, np.array([r["ratios"] for r in rounds[cell]]) / UNITS, axes=1))
        traces.append(share @ [r["trace"][0] for r in rounds[cell]])
        errors.append(np.sqrt(share**2 @ [r["trace_error"][0] ** 2 for r in rounds[cell]]))
    return np.array(fits), np.array(ratios), np.array(traces), np.array(errors)


def smooth(fits, values, terms):
    """Return the least squares fit of values of shape (n_cells, ...) on the terms, points weighted by their fits."""
    weight = np.sqrt(fits)[:, None]
    flat = values.reshape(len(values), -1)
    coefficients = np.linalg.lstsq(weight * terms, weight * flat, rcond=None)[0]
    return (terms @ coefficients).reshape(values.shape)


def along_rows(cells, degree):
    """Return powers of log n, and what even and odd n + p differ by."""
    n = np.array([cell.n for cell in cells], dtype=float)
    columns = [np.log(n / 100) ** k for k in range(degree + 1)]
    odd = np.array([(cell.n + cell.p) % 2 - 0.5 if cell.n < 100 else 0.0 for cell in cells])
    if cells[0].share == 0.5:
        columns += [odd * 50 / n, odd * (50 / n) ** 2]
    return np.stack(columns, axis=1)


def smooth_new(index, cells, fits, ratios, traces):
    """Smooth the laws of new rows and the mean variance of some points, in place; training rows move along."""
    n = np.array([cell.n for cell in cells], dtype=float)
    terms = along_rows(cells, min(3, (len(cells) - 2) // 2))
    for train, new in ((0, 1), (2, 3)):
        rough = ratios[index, new]
        fine = rough.copy()
        positive = (rough > 1e-3).all(axis=0)
        fine[:, positive] = np.exp(smooth(fits[index], np.log(rough[:, positive]), terms))
        ratios[index, new] = fine
        ratios[index, train] += fine - rough
    traces[index] = 1 - smooth(fits[index] / n, n * (1 - traces[index]), terms) / n


def smooth_gap(index, cells, fits, ratios):
    """Smooth what training rows differ from new rows by in the tail, for fewer than 100 rows, in place."""
    inverse = 50 / np.array([cell.n for cell in cells], dtype=float)
    terms, tail = np.stack([inverse, inverse**2, inverse**3], axis=1), np.flatnonzero(LEVELS <= 0.03)
    few = np.array([cell.n < 100 for cell in cells])
    for train, new in ((0, 1), (2, 3)):
        gap = (ratios[index, train] - ratios[index, new])[:, tail]
        fine = smooth(fits[index], gap, terms)
        ratios[np.ix_(index[few], [train], tail)] += (fine - gap)[few][:, None, :]


def smoothed(fits, ratios, traces):
    """Take Monte Carlo noise out along n, for every share and p.

    From n = 5 p on, the log of the log ratio of new rows is a polynomial in log n, and so is n times the bias of the
    mean variance; for n from 2 p to 150, the difference between training and new rows in the tail is one in 1 / n.
    """
    ratios, traces, cells = ratios.copy(), traces.copy(), grid()
    for share in SHARES:
        for p in {cell.p for cell in cells}:
            curve = [k for k, cell in enumerate(cells) if cell.share == share and cell.p == p]
            index = np.array([k for k in curve if cells[k].n >= max(5 * p, 24)])
            if len(index) >= 6:
                smooth_new(index, [cells[k] for k in index], fits, ratios, traces)
            index = np.array([k for k in curve if 1.9 * p <= cells[k].n <= 150])
            if len(index) >= 6:
                smooth_gap(index, [cells[k] for k in index], fits, ratios)
    return ratios, traces


def pack(folder, target, trace_target):
    """Write the two tables that fmahal brings along."""
    fits, ratios, traces, errors = pooled(folder)
    ratios, traces = smoothed(fits, ratios, traces)
    points = {
        "share": np.array([cell.share for cell in grid()]),
        "p": np.array([cell.p for cell in grid()]),
        "n": np.array([cell.n for cell in grid()]),
        "n_fits": fits.astype(np.int32),
    }
    for path, content in (
        (target, {"levels": LEVELS, "ratios": np.round(ratios * UNITS).astype(np.int16)}),
        (trace_target, {"log_trace": np.log(traces), "error": errors}),
    ):
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, **points, **content)
        print(f"{path}: {len(fits)} points, {fits.sum()} fits, {path.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "pack"])
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0, help="time for a point (8)")
    parser.add_argument("--until", type=float, default=1e9, help="start no point after so many seconds")
    parser.add_argument(
        "--round", type=int, default=0, help="later rounds are averaged with the earlier ones (0)"
    )
    parser.add_argument(
        "--only", type=int, nargs="*", default=(), help="numbers of columns, default subset size"
    )
    parser.add_argument("--rows", type=float, help="rows simulated for a point, instead of --seconds")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--target", type=Path, default=TABLE)
    parser.add_argument("--trace-target", type=Path, default=TRACE_TABLE)
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
            options.rows,
        )
    else:
        pack(options.folder, options.target, options.trace_target)
