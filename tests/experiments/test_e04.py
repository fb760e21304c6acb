"""The study of sketches: its jobs and games, the fit of the cost model, and that what is committed was rendered."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

if not (Path(__file__).parents[2] / "experiments").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)

from experiments import _render
from experiments._run import run
from experiments._spec import Method, Seeds, methods
from experiments.e04_sketches import adaptive, costs, page, picture, quality, spec, speed
from experiments.e04_sketches import workloads as work
from fmahal.scatter import _sketch_costs as model

SEEDS = Seeds("e04", "tests", 0)
GAUSSIAN = next(one for one in methods("sketch") if one.name == "gaussian")
STORED = spec.EXPERIMENT.folder / "results" / "paper.parquet"
TABLE = json.loads(model.TABLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Results of the smallest run that has every part."""
    only = {"method": "gaussian|srht", "repetition": "0"}
    store = run(spec.EXPERIMENT, "smoke", only=only, folder=tmp_path_factory.mktemp("e04"))
    return _render.load_results(spec.EXPERIMENT, store.parquet.parent)


@pytest.fixture(scope="module")
def stored():
    if not STORED.exists():
        pytest.skip(f"no stored results at {STORED}: python -m experiments run e04 --profile paper")
    return _render.load_results(spec.EXPERIMENT)


# ------------------------------------------------------------------------------------------------- the jobs


def test_pairs_and_scans_are_squared_distances():
    Z = np.random.default_rng(0).standard_normal((7, 4))
    want = ((Z[:, None] - Z[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(work.pair_squares(Z), want, atol=1e-13 * want.max())
    np.testing.assert_allclose(work.scan(Z, (Z**2).sum(axis=1), Z[2]), want[2], atol=1e-13 * want.max())
    np.testing.assert_allclose(work.distances(Z, Z[2]), want[2], atol=1e-13 * want.max())


@pytest.mark.parametrize("structure", ["triangular", "spectral", "banded", "sequential"])
def test_whiteners_have_their_structure(structure):
    job = work.Job("center", structure, 6, 20, 5, "float64")
    w = work.whitener_of(job, np.random.default_rng(0))
    assert (w.kind, w.shape) == (structure, (20, 20))
    assert w.condition_number < 1e4
    sizes = {"triangular": 20 * 20, "spectral": 20 * 6, "banded": 20 * 6, "sequential": 2 * 20 * 6}
    assert work.structure_bytes(job) == 8 * sizes[structure]


@pytest.mark.parametrize("kind", ["gaussian", "srht"])
def test_map_and_fold_make_the_sketch_that_is_scored(kind):
    job = work.Job("center", "triangular", 20, 20, 5, "float64")
    w = work.whitener_of(job, np.random.default_rng(0))
    _, folded = work.fitted(w, work.Variant(kind, 6, 0), seed=3)
    X = np.random.default_rng(1).standard_normal((5, 20))
    want = w.sketch(6, kind=kind, random_state=3).sqnorm(X)
    np.testing.assert_allclose(((X @ folded.T) ** 2).sum(axis=1), want, rtol=1e-12)


def test_interleaved_times_follow_the_work():
    x = np.ones(2_000_000)
    times, rounds = work.interleaved({"little": lambda: x[:2000].sum(), "much": lambda: x.sum()}, 0.01)
    assert rounds >= 2
    assert 0 < 5 * times["little"] < times["much"]


def test_the_paper_covers_the_model():
    grid = spec.GRIDS["paper"]
    jobs = list(spec.jobs_of(grid))
    assert len(set(jobs)) == len(jobs)
    assert {job.structure for job in jobs} == set(model.STRUCTURES)
    assert {job.workload for job in jobs} == set(model.WORKLOADS)
    timed = {
        one.name
        for data in spec.data_sets("paper")
        for one in methods("sketch")
        if data.axes["part"] == "speed" and spec.repetitions(data, one, "paper")
    }
    assert timed == set(model.constants()["map"])


def test_a_sketch_of_another_kind_takes_part_where_estimators_are_compared():
    other = Method("other", GAUSSIAN.make, roles=("sketch",))
    parts = {data.axes["part"] for data in spec.data_sets("smoke") if spec.repetitions(data, other, "smoke")}
    assert parts == {"error", "power"}
    data = next(one for one in spec.data_sets("smoke") if one.name == "error-few")
    records = spec.measure(data.draw(SEEDS), other, SEEDS)
    assert all(record["theory_rms"] is None and record["error_rms"] > 0 for record in records)


# ------------------------------------------------------------------------------------------------- errors, outliers


@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sparse", "srht"])
def test_errors_of_few_coordinates_have_the_variance_of_theory(kind):
    """One row, many maps: mean and variance of its sketched squared length."""
    z = np.zeros((1, 24))
    z[0, [1, 5, 6]] = 2.0, 1.0, -1.0
    job = work.Job("center", "triangular", 24, 24, 5, "float64")
    identity = work.Whitener.from_cholesky(np.eye(job.p))
    maps = [identity.sketch(8, kind=kind, random_state=seed).sqnorm(z)[0] for seed in range(1500)]
    off = np.array(maps) / (z**2).sum() - 1.0
    want = quality.relative_variance(kind, 8, z)[0]
    assert np.mean(off**2) == pytest.approx(want, rel=0.2)


def test_rows_of_few_coordinates_and_outliers_are_what_they_say():
    drawn = quality.draw_rows("few", 30, 12, (4,), SEEDS)
    Z = drawn.scatter.whitener_.whiten(drawn.rows)
    assert ((np.abs(Z) > 1e-9 * np.abs(Z).max()).sum(axis=1) == quality.NONZERO).all()
    drawn = quality.draw_outliers(400, 50, (4,), SEEDS)
    d2 = drawn.scatter.mahalanobis(drawn.rows)
    means = [d2[drawn.groups == i].mean() / 50 for i in range(len(quality.EXCESS) + 1)]
    np.testing.assert_allclose(means, np.array([1.0, *(1.0 + e for e in quality.EXCESS)]), rtol=0.05)


def test_one_fixed_sketch_is_fooled_and_many_are_less():
    records = adaptive.game_records(adaptive.Game(64, 8, (0, 2048)), GAUSSIAN, SEEDS)
    end = {(r["kept"], r["sample"]): r["ratio"] for r in records if r["questions"] == 2048}
    assert end[1, 1] < 0.02
    assert end[1, 1] < 0.2 * end[10, 5] < 0.2 * end[40, 5]


# ------------------------------------------------------------------------------------------------- the fit


def test_the_fit_finds_constants_and_keeps_them_nonnegative():
    sizes = np.geomspace(10, 1e6, 9)
    found = costs.fit_terms([(1.0, s, s**1.5) for s in sizes], list(1e-5 + 2e-9 * sizes + 3e-12 * sizes**1.5))
    assert found == pytest.approx([1e-5, 2e-9, 3e-12], rel=0.02)
    falling = costs.fit_terms([(1.0, s) for s in sizes], list(1e-3 / sizes))
    assert min(falling) >= 0.0


def made_up(line, known):
    """A line with the seconds that the model predicts."""
    found = costs.predicted(line, known)
    return (
        line | dict.fromkeys(costs.STAGES, 0.0) | {"rest_exact": found.exact, "rest_sketched": found.sketched}
    )


def test_the_model_counts_work_as_the_package_does():
    for structure in model.STRUCTURES:
        line = {"structure": structure, "p": 70, "rank": 60, "width": 9}
        assert costs.work_of(line) == model.multiply_adds(structure, 70, 60, 9)


def test_a_true_model_agrees_with_itself_and_a_wrong_one_is_found_out(small):
    known = TABLE["constants"]
    measured = [line for line in costs.lines_of(small.frame) if line["dtype"] == "float64"]
    lines = [made_up(line, known) for line in measured]
    found = costs.judged(lines, known)
    assert (found["off"], found["mean"]) == pytest.approx((1.0, 1.0))
    sketches = {**known["score"], "sketched": [0.0, 0.0, 0.0]}
    free = {name: [0.0, 0.0] for name in known["fold"]}
    cheap = {**known, "score": sketches, "fold": free, "map": {name: [0.0, 0.0] for name in known["map"]}}
    assert any("chooses well in" in text for text in costs.check(lines, cheap))


@pytest.mark.parametrize("workload", model.WORKLOADS)
def test_the_rows_needed_are_where_the_answer_changes(workload):
    known, job = model.constants(), {"p": 4096, "width": 4096, "k": 256, "workload": workload}
    n = int(speed.break_even(known, "triangular", **job))
    sizes = {"p": 4096, "rank": 4096, "k": 256, "workload": workload}
    assert model.sketch_pays("triangular", n, **sizes).pays
    assert n == 1 or not model.sketch_pays("triangular", n - 1, **sizes).pays
    low = {"p": 5000, "width": 50, "k": 100, "workload": "center"}
    assert speed.break_even(known, "spectral", **low) == float("inf")


def test_words_and_marks():
    assert [speed.rows_text(n) for n in (1.0, 85.0, float("inf"))] == ["1", "85", "never"]
    assert speed.rows_text(1234.0).split() == ["1", "300"]
    assert (speed.times_text(3.0, 1.0), speed.times_text(1.0, 4.0)) == ("**3x**", "0.25x")
    assert [picture.mark(ratio)[0] for ratio in (2.0, 0.5, 1.05)] == ["o", "s", "D"]


# ------------------------------------------------------------------------------------------------- the page


def test_a_small_run_makes_all_tables_figures_and_blocks(small, panels):
    made = _render.rendering(spec.EXPERIMENT, small)
    assert set(made.tables) == {"e04_error", "e04_flagged", "e04_answers", "e04_changes", "e04_speed"}
    assert set(made.figures) == {"e04_crossover", "e04_power", "e04_adversary"}
    assert not made.files  # the package's constants come from the paper profile alone
    text = (_render.ROOT / page.PAGE).read_text(encoding="utf-8")
    assert _render.with_blocks(text, made.blocks[page.PAGE], page.PAGE) != text
    assert set(re.findall(r"<!-- (\w+): begin -->", text)) == set(made.blocks[page.PAGE])
    assert "python -m experiments run e04 --profile smoke" in made.blocks[page.PAGE]["model"]
    for name in ("e04_power", "e04_adversary"):
        assert panels(made.figures[name])


def test_a_sketch_that_is_not_fooled_is_a_failure(small):
    frame = small.frame.copy()
    frame.loc[frame["part"] == "adaptivity", "ratio"] = 0.5
    made = page.render(_render.Results("e04", frame, small.facts))
    assert any("one fixed sketch still reports 0.50 of the truth" in text for text in made.failures)


def test_numbers_stand_in_generated_blocks_only():
    text = (_render.ROOT / page.PAGE).read_text(encoding="utf-8")
    prose = re.sub(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", "", text, flags=re.S)
    prose = re.sub(r"```.*?```", "", prose, flags=re.S)
    assert not re.search(r"\d+(\.\d+)?\s*(x\b|ms\b|µs\b|seconds|MB|GB|times)", prose)


def test_the_constants_of_the_package_are_those_of_the_stored_results(stored):
    assert TABLE["source"] == "experiments/e04_sketches/results"
    assert TABLE["versions"] == stored.facts["versions"]
    found, want = flat(costs.fitted_constants(costs.lines_of(stored.frame))), flat(TABLE["constants"])
    assert found.keys() == want.keys()
    for key in want:  # another version of SciPy may stop its search a little earlier
        assert found[key] == pytest.approx(want[key], rel=0.05), key


def flat(tree, path=()):
    if isinstance(tree, dict):
        return {k: v for name, sub in tree.items() for k, v in flat(sub, (*path, name)).items()}
    return {(*path, i): value for i, value in enumerate(tree)}


def test_the_model_chooses_well(stored):
    lines = costs.lines_of(stored.frame)
    assert costs.check(lines, costs.fitted_constants(lines)) == []
