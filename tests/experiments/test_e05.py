"""The study of outlying curves: its data sets, counts, rates and verdicts, and a tiny run of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fmahal.models.functional_detector import FunctionalOutlierDetector

pytest.importorskip("skfda")
FOLDER = Path(__file__).parents[2] / "experiments"
if not FOLDER.exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
try:
    import e05_curves as e05
    import e05_verdicts as verdicts
finally:
    sys.path.remove(str(FOLDER))

TINY = e05.Grid((30,), (10,), (2, 1))
STORED = e05.RESULTS / "e05_curves_small.csv"
CHEAP = ("MSPlotOutlierDetector", "MahalanobisDistance")


def line(variant="default", hits=(9, 8), false=(1, 0), **changes):
    """One stored line; by default 2 data sets of 10 outliers and 90 clean curves."""
    hits, false = np.array(hits), np.array(false)
    out = {"variant": variant, "model": "shape", "n": 100, "contamination": 10}
    out |= {"sets": hits.size, "outliers": 10, "clean": 90, "seconds": 1.0}
    out |= {"hits": int(hits.sum()), "hits2": int((hits**2).sum()), "false": int(false.sum())}
    return {**out, "false2": int((false**2).sum()), "both": int((hits * false).sum()), **changes}


def numbers(one):
    return {key: value for key, value in one.items() if key != "seconds"}


# ------------------------------------------------------------------------------------------------- data sets


def test_data_sets_have_seeds_of_their_own():
    cell = e05.Cell("peak", 30, 10)
    X, outliers = e05.data_set(cell, 3)
    assert X.shape == (30, e05.N_POINTS)
    assert outliers.sum() == 3
    np.testing.assert_array_equal(e05.data_set(cell, 3)[0], X)
    for other in ((cell, 4), (cell._replace(model="shift"), 3), (cell._replace(contamination=20), 3)):
        assert not np.array_equal(e05.data_set(*other)[0], X)


def test_every_model_is_in_the_plan_and_has_a_reason():
    from fmahal.datasets._curves import CURVE_MODELS

    assert list(verdicts.MODELS) == list(CURVE_MODELS)
    cells = list(e05.cells_of(e05.GRIDS["full"]))
    assert len(set(cells)) == 10 * 2 * 3  # the nine and the smooth curves


def test_smooth_curves_differ_by_their_wave_alone():
    X, outliers = e05.data_set(e05.Cell("smooth", 200, 10), 0)
    assert outliers.sum() == 20
    kinks = np.abs(np.diff(X, 2, axis=1)).max(axis=1)
    assert kinks[outliers].min() > kinks[~outliers].max()
    assert np.abs(X[outliers]).mean() < 1.5 * np.abs(X[~outliers]).mean()


def test_smooth_curves_do_not_count_among_the_nine():
    lines = [line(), line("peer"), line(model="smooth", hits=[0, 0]), line("peer", model="smooth")]
    assert {one["model"] for one in verdicts.complete(lines)} == {"shape"}
    assert e05.sets_of("mrcd", "smooth", TINY) == 0
    assert e05.sets_of("default", "smooth", TINY) == 2


# ------------------------------------------------------------------------------------------------- counting


def test_counts_are_those_of_the_detector():
    cell = e05.Cell("shape", 40, 10)
    (one,) = e05.measure(cell, {"default": (0, 2)})
    hits, false = [], []
    for r in range(2):
        X, outliers = e05.data_set(cell, r)
        flagged = FunctionalOutlierDetector(alpha=verdicts.LEVEL).fit(X).labels_ == -1
        hits.append(int(flagged[outliers].sum()))
        false.append(int(flagged[~outliers].sum()))
    want = line(hits=hits, false=false, n=40, outliers=4, clean=36)
    assert numbers(one) == numbers(want)


def test_more_data_sets_are_added_to_those_at_hand():
    cell = e05.Cell("magnitude", 30, 10)
    (together,) = e05.measure(cell, {CHEAP[0]: (0, 3)})
    (first,), (rest,) = (e05.measure(cell, {CHEAP[0]: span}) for span in ((0, 1), (1, 3)))
    assert numbers(e05.merged(first, rest)) == numbers(together)
    assert e05.merged(None, first) is first


@pytest.mark.parametrize("variant", list(e05.VARIANTS))
def test_every_variant_runs(variant, monkeypatch):
    flagged = e05.VARIANTS[variant](e05.data_set(e05.Cell("magnitude", 30, 10), 0)[0])
    assert flagged.dtype == bool
    assert flagged.shape == (30,)


def test_a_tiny_run_is_stored_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(e05, "VARIANTS", {name: e05.VARIANTS[name] for name in CHEAP})
    monkeypatch.setattr(sys, "argv", ["e05_curves.py", "run"])
    path = tmp_path / "results" / "tiny.csv"
    e05.run(path, TINY, {"model": "shape|peak"})
    store = e05.load(path)
    assert set(store) == {(v, m, 30, 10) for v in CHEAP for m in ("peak", "shape")}
    assert all(one["sets"] == 2 for one in store.values())
    assert json.loads(path.with_suffix(".json").read_text())["commands"] == [
        "python experiments/e05_curves.py run"
    ]
    assert not e05.missing(store, TINY, {"model": "shape|peak"})
    more = e05.missing(store, TINY._replace(sets=(5, 5)), {"model": "peak", "variant": CHEAP[0]})
    assert more == [(e05.Cell("peak", 30, 10), {CHEAP[0]: (2, 5)})]


# ------------------------------------------------------------------------------------------------- rates


def test_rates_and_their_errors():
    hits, false = np.array([9, 7, 10, 8]), np.array([1, 0, 4, 2])
    found = verdicts.rates([line(hits=hits, false=false)])
    assert found["tpr"] == pytest.approx(0.85)
    assert found["fpr"] == pytest.approx(7 / 360)
    y = hits / 10 - false / 90
    assert found["youden"] == pytest.approx(y.mean())
    binomial = np.sqrt((0.85 * 0.15 / 10 + 7 / 360 * (1 - 7 / 360) / 90) / 4)
    assert found["youden error"] == pytest.approx(max(y.std(ddof=1) / 2, binomial))


def test_cells_count_alike_whatever_their_number_of_sets():
    lines = [line(hits=[10] * 8, false=[0] * 8), line(hits=[0], false=[0], model="peak")]
    assert verdicts.rates(lines)["tpr"] == pytest.approx(0.5)


def test_only_cells_that_all_have_are_compared():
    lines = [line(), line(model="peak"), line("other")]
    assert [one["model"] for one in verdicts.complete(lines)] == ["shape", "shape"]


def test_verdicts():
    good = line(hits=[10, 10], false=[0, 1])
    assert verdicts.check([good, line("peer", hits=[9, 9], false=[0, 0])]) == []
    worse, sets = line(hits=[8] * 40, false=[0] * 40), 40
    (better,) = verdicts.check([worse, line("peer", hits=[10] * sets, false=[0] * sets)])
    assert "peer: mean Youden index 1.000" in better
    # of few data sets nobody can tell
    unclear = [line(hits=[8, 9], false=[0, 0]), line("peer", hits=[9, 9], false=[0, 0])]
    assert verdicts.check(unclear) == []
    (doubt,) = verdicts.youden_doubts(unclear)
    assert "peer: mean Youden index 0.900" in doubt
    assert verdicts.youden_doubts([worse, line("peer", hits=[10] * sets, false=[0] * sets)]) == []
    # a detector that flags many clean curves is no rival, and the default may not be one
    assert verdicts.check([line(hits=[8, 8], false=[0, 0]), line("peer", hits=[10, 10], false=[4, 4])]) == []
    (level,) = verdicts.check([line(hits=[10, 10], false=[3, 3])])
    assert "of the clean curves flagged at 1 %" in level


def test_defeats_say_why_and_who_sees_them():
    lines = [line(hits=[2, 3], model="amplitude"), line("mrcd", hits=[9, 9], model="amplitude")]
    (text,) = verdicts.defeats([*lines, line(hits=[10, 10]), line("mrcd", hits=[10, 10])])
    assert text.startswith("**amplitude** (25.0")
    assert "Best: mrcd, 90.0" in text


# ------------------------------------------------------------------------------------------------- the page


def test_the_page_is_made_of_the_lines():
    facts = {
        "versions": {"python": "3"},
        "machine": "x",
        "commands": ["python experiments/e05_curves.py run"],
    }
    parts = verdicts.render([line(), line("peer", hits=[10, 10])], facts)
    text = verdicts.rendered(
        "a <!-- e05: begin -->stale<!-- e05: end --> <!-- defeats: begin --><!-- defeats: end --> "
        "<!-- smooth: begin --><!-- smooth: end --> z",
        parts,
    )
    assert "stale" not in text
    assert text.startswith("a ")
    assert text.endswith(" z")
    for variant in ("default", "peer"):
        assert f"| {variant} | " in text
    assert verdicts.rendered(text, parts) == text


@pytest.mark.skipif(not STORED.exists(), reason="no stored result")
def test_the_stored_result_is_what_the_page_shows():
    lines = list(e05.load(STORED).values())
    assert {one["variant"] for one in lines} == set(e05.VARIANTS)
    page = verdicts.PAGE.read_text()
    parts = verdicts.render(lines, json.loads(STORED.with_suffix(".json").read_text()))
    assert verdicts.rendered(page, parts) == page


@pytest.mark.skipif(not STORED.exists(), reason="no stored result")
def test_what_was_wanted_holds_in_the_stored_result():
    assert verdicts.check(e05.load(STORED).values()) == []
