"""A small experiment in one file, for the tests of the harness; not a test itself."""

import os
import time
from pathlib import Path

import numpy as np

from experiments._spec import DataSet, Experiment, method

CALLS = Path(os.environ.get("FMAHAL_TOY_CALLS", os.devnull))  # a line a cell measured, in whatever process


class Mean:
    def __init__(self, trim):
        self.trim = trim

    def __repr__(self):
        return f"Mean({self.trim})"


method("toy-mean", lambda seed: Mean(0.0), roles=("toy",))
method("toy-trimmed", lambda seed: Mean(0.25), roles=("toy",), applies=lambda n, p: n > 5)


def _draw(n):
    return lambda seeds: seeds.rng("rows").standard_normal(n)


def data_sets(profile):
    sizes = {"smoke": (10,), "paper": (5, 10)}[profile]
    return [DataSet(f"normal n={n}", _draw(n), {"n": n, "law": "normal"}) for n in sizes]


def repetitions(data, one, profile):
    return 3 * one.applies(data.axes["n"], 1)


def measure(rows, one, seeds):
    with CALLS.open("a") as stream:
        stream.write(f"{one.name} {len(rows)} {seeds.repetition}\n")
    time.sleep(float(os.environ.get("FMAHAL_TOY_SLEEP", "0")))
    if os.environ.get("FMAHAL_TOY_FAIL") == f"{one.name} {seeds.repetition}":
        raise ArithmeticError("a planted failure")
    trim = int(one.make(seeds.integer("start")).trim * len(rows))
    kept = np.sort(rows)[trim : len(rows) - trim]
    yield {"metric": "error", "value": kept.mean(), "first": rows[0]}
    yield {"metric": "kept", "value": float(kept.size), "threads": 1}


EXPERIMENT = Experiment("toy", "a toy", "toy", data_sets, repetitions, measure)
