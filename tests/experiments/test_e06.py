"""The study of sketches: its jobs, its store, the fit of the cost model, and that what is committed was rendered."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from fmahal.scatter import _sketch_costs as model

FOLDER = Path(__file__).parents[2] / "experiments"
if not FOLDER.exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
try:
    import e06_costs as costs
    import e06_page as page
    import e06_picture as picture
    import e06_sketches as e06
    import e06_workloads as work
finally:
    sys.path.remove(str(FOLDER))

STORED = e06.RESULTS / "e06_sketches_small.csv"
TINY = e06.GRIDS["tiny"]


@pytest.fixture(scope="module")
def stored():
    if not STORED.exists():
        pytest.skip("no stored result")
    lines = list(e06.load(STORED).values())
    return lines, json.loads(STORED.with_suffix(".json").read_text()), costs.fitted_constants(lines)


# ------------------------------------------------------------------------------------------------- the jobs


def test_pairs_and_scans_are_squared_distances():
    Z = np.random.default_rng(0).standard_normal((7, 4))
    want = ((Z[:, None] - Z[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(work.pair_squares(Z), want, atol=1e-13 * want.max())
    np.testing.assert_allclose(work.scan(Z, (Z**2).sum(axis=1), Z[2]), want[2], atol=1e-13 * want.max())
    np.testing.assert_allclose(work._distances(Z, Z[2]), want[2], atol=1e-13 * want.max())


@pytest.mark.parametrize("structure", ["triangular", "spectral", "banded", "sequential"])
def test_whiteners_have_their_structure(structure):
    cell = work.Cell("center", structure, 6, 20, 5, "float64")
    w = work.whitener_of(cell)
    assert (w.kind, w.shape) == (structure, (20, 20))
    assert w.condition_number < 1e4
    sizes = {"triangular": 20 * 20, "spectral": 20 * 6, "banded": 20 * 6, "sequential": 2 * 20 * 6}
    assert work.structure_bytes(cell) == 8 * sizes[structure]


def test_interleaved_times_follow_the_work():
    x = np.ones(2_000_000)
    times, rounds = work.interleaved({"little": lambda: x[:2000].sum(), "much": lambda: x.sum()}, 0.01)
    assert rounds >= 3
    assert 0 < 5 * times["little"] < times["much"]


def test_a_tiny_run_is_stored_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["e06_sketches.py", "run"])
    path = tmp_path / "results" / "tiny.csv"
    only = {"p": "40", "structure": "triangular", "kind": "gaussian"}
    e06.run(path, TINY, only, seconds=0.0)
    store = e06.load(path)
    assert not e06.missing(store, TINY, only)
    assert {(line["workload"], line["sample"]) for line in store.values()} == {
        ("center", 0),
        ("pairs", 0),
        ("query", 0),
        ("query", 3),
    }
    for line in store.values():
        assert costs.exact_seconds(line) > 0
        assert costs.sketched_seconds(line) > 0
        assert 0 < line["error_median"] < line["error_95"] < line["error_max"]
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["commands"] == ["python experiments/e06_sketches.py run"]
    wanted = e06.missing(store, TINY, {**only, "kind": "srht"})
    assert [(cell.n, [v.kind for v in variants]) for cell, variants in wanted] == [(500, ["srht", "srht"])]
    facts["threads"]["numba"] += 1
    path.with_suffix(".json").write_text(json.dumps(facts))
    with pytest.raises(SystemExit, match="timed with threads"):
        e06.run(path, TINY, only)


def test_grids_cover_the_model():
    for grid in (e06.GRIDS["small"], e06.GRIDS["full"]):
        cells = list(e06.cells_of(grid))
        assert len(set(cells)) == len(cells)
        assert {cell.structure for cell in cells} == set(model.STRUCTURES)
        assert {cell.workload for cell in cells} == set(model.WORKLOADS)
        kinds = {v.kind for cell in cells for v in e06.variants_of(cell, grid)}
        assert kinds == set(model.constants()["map"])


# ------------------------------------------------------------------------------------------------- the fit


def test_the_fit_finds_constants_and_keeps_them_nonnegative():
    sizes = np.geomspace(10, 1e6, 9)
    found = costs.fit_terms([(1.0, s, s**1.5) for s in sizes], list(1e-5 + 2e-9 * sizes + 3e-12 * sizes**1.5))
    assert found == pytest.approx([1e-5, 2e-9, 3e-12], rel=0.02)
    falling = costs.fit_terms([(1.0, s) for s in sizes], list(1e-3 / sizes))
    assert min(falling) >= 0.0


def made_up(line, known):
    """A stored line with the seconds that the model predicts."""
    out = dict(line)
    for stage in work.STAGES:
        out[stage] = 0.0
    predicted = costs.predicted(line, known)
    return out | {"rest_exact": predicted.exact, "rest_sketched": predicted.sketched}


def test_a_true_model_agrees_with_itself(stored):
    lines = [made_up(line, stored[2]) for line in stored[0] if line["dtype"] == "float64"]
    found = costs.judged(lines, stored[2])
    bounded = [x for x in lines if x["structure"] == "spectral"]  # the bound may overrule the constants there
    assert found["off"] == pytest.approx(1.0)
    assert costs.judged([x for x in lines if x not in bounded], stored[2])["worst"] == pytest.approx(1.0)


def test_wrong_constants_are_found_out(stored):
    lines, _, known = stored
    dear = {**known, "score": {**known["score"], "sketched": [1.0, 1.0, 1.0]}, "query": [0.0, 0.0, 0.0, 1.0]}
    assert any("chooses well in" in text for text in costs.check(lines, dear))


@pytest.mark.parametrize("workload", model.WORKLOADS)
def test_the_rows_needed_are_where_the_answer_changes(workload):
    known, job = model.constants(), {"p": 4096, "width": 4096, "k": 256, "workload": workload}
    n = int(page.break_even(known, "triangular", **job))
    sizes = {"p": 4096, "rank": 4096, "k": 256, "workload": workload}
    assert model.sketch_pays("triangular", n, **sizes).pays
    assert n == 1 or not model.sketch_pays("triangular", n - 1, **sizes).pays
    low = {"p": 5000, "width": 50, "k": 100, "workload": "center"}
    assert page.break_even(known, "spectral", **low) == float("inf")


def test_figures_are_readable():
    assert [page.rows_text(n) for n in (1.0, 85.0, 1234.0, float("inf"))] == ["1", "85", "1 300", "never"]
    assert [page.seconds_text(t) for t in (2.0, 0.0123, 4.5e-5)] == ["2 s", "12.3 ms", "45 µs"]
    assert [page.bytes_text(b) for b in (5.2e8, 2_100_000, 9000)] == ["520 MB", "2.1 MB", "9 kB"]
    assert (page.times_text(3.0, 1.0), page.times_text(1.0, 4.0)) == ("**3x**", "0.25x")


# ------------------------------------------------------------------------------------------------- what is committed


def test_the_constants_of_the_package_are_those_of_the_stored_results(stored):
    table = json.loads(model.TABLE.read_text())
    assert table["source"] == STORED.name
    assert table["versions"] == stored[1]["versions"]
    found, want = _flat(stored[2]), _flat(table["constants"])
    assert found.keys() == want.keys()
    for key in want:  # another version of SciPy may stop its search a little earlier
        assert found[key] == pytest.approx(want[key], rel=0.05), key


def _flat(tree, path=()):
    if isinstance(tree, dict):
        return {k: v for name, sub in tree.items() for k, v in _flat(sub, (*path, name)).items()}
    return {(*path, i): value for i, value in enumerate(tree)}


def test_the_page_shows_the_stored_results(stored):
    text = page.PAGE.read_text(encoding="utf-8")
    lines, facts, _ = stored
    constants = json.loads(model.TABLE.read_text())["constants"]
    assert page.rendered(text, page.render(lines, facts, constants)) == text


def test_the_picture_was_drawn_from_the_stored_results(stored):
    text = picture.PICTURE.read_text(encoding="utf-8")
    constants = json.loads(model.TABLE.read_text())["constants"]
    assert picture.digest(stored[0], constants) in text


def test_numbers_stand_in_generated_blocks_only():
    text = page.PAGE.read_text(encoding="utf-8")
    prose = re.sub(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", "", text, flags=re.S)
    prose = re.sub(r"```.*?```", "", prose, flags=re.S)
    assert not re.search(r"\d+(\.\d+)?\s*(x\b|ms\b|µs\b|seconds|MB|GB|times)", prose)


def test_the_model_chooses_well(stored):
    assert costs.check(stored[0], stored[2]) == []
