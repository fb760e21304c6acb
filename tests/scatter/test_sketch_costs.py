"""The cost model that decides whether to sketch: its order, its bounds, and that it never reads a clock."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import toeplitz

from fmahal import Whitener
from fmahal.scatter import _sketch_costs as model
from fmahal.scatter._sketch_costs import sketch_costs_of, sketch_pays

KINDS = st.sampled_from(model.STRUCTURES)
WORKLOADS = st.sampled_from(model.WORKLOADS)
SIZES = st.integers(1, 10**7)


@st.composite
def jobs(draw):
    """Sizes that occur: rank and width at most p."""
    p = draw(st.integers(2, 10**5))
    width = draw(st.integers(1, p))
    structure = draw(KINDS)
    rank = draw(st.sampled_from([width, p])) if structure == "spectral" else p
    return {"structure_kind": structure, "p": p, "rank": rank, "width": width, "workload": draw(WORKLOADS)}


@given(jobs(), SIZES, st.integers(1, 10**5), st.integers(1, 10**7))
def test_more_rows_favour_the_sketch(job, n, k, more):
    assert sketch_pays(n=n, k=k, **job).pays <= sketch_pays(n=n + more, k=k, **job).pays


@given(jobs(), SIZES, st.integers(1, 10**5), st.integers(1, 10**5))
def test_more_coordinates_do_not(job, n, k, more):
    few, many = sketch_pays(n=n, k=k, **job), sketch_pays(n=n, k=k + more, **job)
    assert few.exact == many.exact
    assert few.sketched <= many.sketched
    assert few.pays >= many.pays


@given(jobs(), SIZES, st.integers(0, 10**5))
def test_no_sketch_of_the_whole_rank_pays(job, n, more):
    assert not sketch_pays(n=n, k=job["rank"] + more, **job).pays


@given(st.integers(2, 10**5), SIZES, st.data())
def test_a_low_rank_is_a_sketch_already(p, n, data):
    width = data.draw(st.integers(1, p))
    k = data.draw(st.integers(width, p))
    assert not sketch_pays("spectral", n, p, p, k, width=width).pays


@given(jobs(), SIZES, st.integers(1, 10**5))
def test_costs_are_positive_seconds_and_pays_follows_them(job, n, k):
    costs = sketch_pays(n=n, k=k, **job)
    assert 0.0 < costs.exact < np.inf
    assert 0.0 < costs.sketched < np.inf
    assert not costs.pays or costs.sketched < costs.exact


def test_the_clear_cases():
    assert sketch_pays("triangular", 10**6, 10**4, 10**4, 100).pays
    assert not sketch_pays(
        "triangular", 100, 1000, 1000, 300
    ).pays  # one distance a row: the fold is not repaid
    assert not sketch_pays("banded", 10**7, 10**4, 10**4, 200, width=5).pays
    assert sketch_pays("triangular", 10**5, 4096, 4096, 256, "query").pays
    assert not sketch_pays("triangular", 10**5, 8, 8, 7, "center").pays


def test_a_kind_of_map_changes_what_making_it_costs():
    kinds = model.constants()["map"]
    assert set(kinds) == {"gaussian", "rademacher", "sparse", "srht"}
    costs = [sketch_pays("triangular", 10, 10**4, 10**4, 10**3, kind=kind).sketched for kind in kinds]
    assert len(set(costs)) > 1
    queries = [sketch_pays("triangular", 10, 10**4, 10**4, 10**3, "query", kind=kind) for kind in kinds]
    assert len(set(queries)) == 1


def test_whiteners_say_what_they_are_made_of():
    covariance = toeplitz(0.5 ** np.arange(12.0))
    dense = Whitener.from_covariance(covariance)
    assert sketch_costs_of(dense, 1000, 3) == sketch_pays("triangular", 1000, 12, 12, 3)
    values, vectors = np.linalg.eigh(covariance)
    low = Whitener.from_eigh(values[-4:], vectors[:, -4:], ridge=0.5)
    assert sketch_costs_of(low, 1000, 3, "pairs") == sketch_pays(
        "spectral", 1000, 12, 12, 3, "pairs", width=4
    )
    band = Whitener.from_modified_cholesky(np.tril(np.full((12, 2), 0.1), -1), np.ones(12))
    assert sketch_costs_of(band, 1000, 3, "query") == sketch_pays("banded", 1000, 12, 12, 3, "query", width=2)


def test_reordered_and_stacked_whiteners_cost_what_their_parts_do():
    from fmahal._structures.ordered import Permuted, Stacked

    dense = Whitener.from_covariance(toeplitz(0.5 ** np.arange(12.0)))
    moved = Permuted(dense._structure, np.arange(12)[::-1].copy())
    assert sketch_costs_of(Whitener(moved), 1000, 3) == sketch_costs_of(dense, 1000, 3)
    both = sketch_costs_of(Whitener(Stacked((dense._structure, moved))), 1000, 3)
    assert both.exact == pytest.approx(2.0 * sketch_costs_of(dense, 1000, 3).exact)


@pytest.mark.parametrize("workload", ["center", "pairs"])
def test_exact_distances_cost_their_start_too(workload):
    """The fixed seconds of both ways, by the terms of the table."""
    known = model.constants()
    start, column, one = known["score"]["triangular"]
    n, p = 7, 20
    want = start + n * (column * p + one * 0.5 * p * p)
    if workload == "pairs":
        constant, each, product = known["pairs"]
        want += constant + n * n * (each + product * p)
    assert start > 0
    assert sketch_pays("triangular", n, p, p, 3, workload).exact == pytest.approx(want, rel=1e-12)


def test_the_table_is_nonnegative_and_read_without_a_clock(monkeypatch):
    def clock():
        raise AssertionError("the model reads a clock")

    for name in ("perf_counter", "time", "monotonic", "process_time", "perf_counter_ns", "time_ns"):
        monkeypatch.setattr(time, name, clock)
    model.constants.cache_clear()
    first = sketch_pays("triangular", 10**5, 1000, 1000, 100)
    model.constants.cache_clear()
    assert sketch_pays("triangular", 10**5, 1000, 1000, 100) == first
    table = json.loads(model.TABLE.read_text())["constants"]
    assert set(table["score"]) == {*model.STRUCTURES, "sketched"}
    assert set(table["fold"]) == set(model.STRUCTURES)
    groups = [*table["score"].values(), *table["fold"].values(), *table["map"].values()]
    assert all(c >= 0 for group in [*groups, table["pairs"], table["query"]] for c in group)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"structure_kind": "dense"}, "structure_kind must be one of"),
        ({"structure_kind": "sketched"}, "a sketch already"),
        ({"workload": "centre"}, "workload must be one of"),
        ({"kind": "fourier"}, "kind must be one of"),
        ({"n": 0}, "n must be positive"),
        ({"k": -1}, "k must be positive"),
    ],
)
def test_errors_name_what_is_wrong(change, message):
    job = {"structure_kind": "triangular", "n": 10, "p": 5, "rank": 5, "k": 2}
    with pytest.raises(ValueError, match=message):
        sketch_pays(**{**job, **change})


def test_a_sketch_is_not_sketched_again():
    sketched = Whitener.from_covariance(np.eye(6)).sketch(2, random_state=0)
    with pytest.raises(ValueError, match="a sketch already"):
        sketch_costs_of(sketched, 10, 2)
