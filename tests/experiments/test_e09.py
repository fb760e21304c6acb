"""The study of costs: its gauge, its slopes, its agreement with peers, and what a small run says."""

import time
from pathlib import Path

import numpy as np
import pytest

if not (Path(__file__).parents[2] / "experiments").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)

from experiments import _render
from experiments._run import run
from experiments._spec import Method, Seeds, methods
from experiments.e09_cost import gauge, page, spec

SEEDS = Seeds("e09", "tests", 0)
QUICK = "empirical|sklearn-empirical|scipy-cdist|ledoit-wolf|sklearn-ledoit-wolf|oas"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    store = run(spec.EXPERIMENT, "smoke", only={"method": QUICK}, folder=tmp_path_factory.mktemp("e09"))
    return _render.load_results(spec.EXPERIMENT, store.parquet.parent)


def test_memory_is_the_peak_and_not_what_is_left():
    def much():
        return float(np.ones(4_000_000).sum())  # 32 MB, given back at the end

    peak, _, total = gauge.peak_bytes(much)
    if peak is None:
        pytest.skip("no high-water mark on this system")
    assert total == 4_000_000
    assert 30e6 < peak < 60e6
    assert gauge.peak_bytes(lambda: None)[0] < 5e6


def test_times_follow_the_work():
    x = np.ones(2_000_000)
    assert gauge.seconds_of(lambda: x.sum(), 1e-3) > 5 * gauge.seconds_of(lambda: x[:2000].sum(), 1e-5) > 0
    assert gauge.seconds_of(lambda: 1 / 0, 10.0) == 10.0  # a call that took long is not made again


def test_a_slope_is_that_of_the_larger_sizes():
    sizes = np.array([10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0])
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal((4, 6)))
    costs = (1e-3 * (sizes < 200) + 1e-9 * sizes**2) * noise  # a fixed cost hides the law at small sizes
    law = page.law_of(page.Curve(sizes, costs))
    assert law.low <= law.exponent <= law.high
    assert (law.exponent, law.factor, law.first) == pytest.approx((2.0, 1e-9, 300.0), rel=0.1)
    assert page.law_of(page.Curve(sizes[:1], costs[:, :1])) is None
    costs[0, -1] *= 100.0  # one slow call of four
    assert page.law_of(page.Curve(sizes, costs)).exponent == pytest.approx(2.0, rel=0.05)
    assert np.isnan(page.law_of(page.Curve(sizes, costs[:1])).low)


def test_rows_have_unit_variance_and_correlated_neighbours():
    X = spec.draw(40_000, 4, SEEDS).rows
    want = spec.AR ** np.abs(np.subtract.outer(range(4), range(4)))
    np.testing.assert_allclose(np.cov(X, rowvar=False), want, atol=0.05)


@pytest.mark.parametrize("name", [one.name for one in methods("cost") if one.options.get("same_as")])
def test_peers_of_one_definition_agree(name):
    one = next(each for each in methods("cost") if each.name == name)
    spec.agree(spec.draw(60, 4, SEEDS), one, 0)
    if one.applies(20, 30):
        spec.agree(spec.draw(20, 30, SEEDS), one, 0)


def test_another_definition_is_refused():
    ours = next(one for one in methods("cost") if one.name == "shrunk")
    wrong = Method("wrong", ours.make, options={"same_as": "empirical"})
    with pytest.raises(RuntimeError, match="taken for the same estimator"):
        spec.measure(spec.draw(60, 4, SEEDS), wrong, SEEDS)


def test_a_declared_size_is_the_last():
    slow = Method("slow", lambda seed: None, options={"largest": (1000, 30)})
    run_at = [data.axes for data in spec.data_sets("paper") if spec.repetitions(data, slow, "paper")]
    assert max(axes["n"] for axes in run_at if axes["sweep"] == "rows") == 1000
    assert max(axes["p"] for axes in run_at if axes["sweep"] == "columns") == 30
    assert set(spec.LARGEST) <= {one.name for one in methods("cost")} | {
        "robpy-mcd", "robpy-ogk", "statsmodels-detmcd", "statsmodels-ogk",
    }  # fmt: skip


def test_the_first_call_at_a_size_is_not_timed():
    class SlowAtFirst:
        calls = 0

        def fit(self, X):
            type(self).calls += 1
            time.sleep(0.3 if type(self).calls == 1 else 0.0)
            return self

        def mahalanobis(self, X):
            return X[:, 0] ** 2

    one = Method("slow at first", lambda seed: SlowAtFirst())
    fit, score = spec.measure(spec.draw(20, 3, SEEDS), one, SEEDS)
    assert SlowAtFirst.calls > 2
    assert fit["took"] < 0.1
    assert score["failed"] is None


def test_a_failure_is_a_record_and_is_shown(small):
    class Broken:
        def fit(self, X):
            raise ValueError("no luck")

    records = spec.measure(spec.draw(20, 3, SEEDS), Method("broken", lambda seed: Broken()), SEEDS)
    assert [record["failed"] for record in records] == ["ValueError: no luck"] * 2
    frame = small.frame.copy()
    frame.loc[frame["method"] == "oas", "took"] = np.nan
    made = page.render(_render.Results("e09", frame, small.facts))
    row = next(row for row in made.tables["e09_times"].rows if row[0] == "OAS")
    assert {"failed / failed"} <= set(row)


def test_a_small_run_shows_all_methods_and_who_is_faster(small, panels):
    made = _render.rendering(spec.EXPERIMENT, small)
    labels = {one.label for one in methods("cost") if one.name in QUICK.split("|")}
    for stem in ("e09_exponents", "e09_times"):
        assert {row[0] for row in made.tables[stem].rows} == labels
    *against, last = made.tables["e09_peers"].rows
    pairs = [(row[0], row[1]) for row in against]
    assert ("EmpiricalCovariance", "cov, inv (NumPy), cdist (SciPy)") in pairs
    assert last == ["no peer here: OAS"]  # its peer was not run
    assert made.findings
    both = "columns.ledoit-wolf.sklearn-ledoit-wolf"
    assert made.numbers[f"e09.same.last.{both}"] == "80"
    assert f"e09.same.exponent.{both}.sklearn-ledoit-wolf" in made.numbers
    assert panels(made.figures["e09_fit"])
