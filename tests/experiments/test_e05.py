"""The study of outlying curves: its data sets, methods, counts, rates and verdicts, and what is made of them."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.covariance import EmpiricalCovariance as Plain
from sklearn.pipeline import make_pipeline

from fmahal import (
    FunctionalMahalanobis,
    FunctionalOutlierDetector,
    L2Space,
    SpectralFilter,
    WrappedCovariance,
)

pytest.importorskip("skfda")
pytest.importorskip("pyarrow")
_spec = pytest.importorskip("experiments._spec", reason="the experiments are not next to the tests")
from experiments._render import Results, block_in, render_all  # noqa: E402
from experiments._run import run  # noqa: E402
from experiments.e05_curves import EXPERIMENT, page, spec, verdicts  # noqa: E402
from experiments.methods.curves import DEFAULT, LEVEL, on_the_grid  # noqa: E402

METHODS = {one.name: one for one in _spec.methods("curves")}
CHEAP = ("curves-wrapped", "skfda-lof", "skfda-mahalanobis")
PAPER = {one.name: one for one in EXPERIMENT.data_sets("paper")}


def seeds(repetition=0, data="d"):
    return _spec.Seeds("e05", data, repetition)


def rows(method=DEFAULT, hits=(9, 8), false=(1, 0), model="shape", n=100, share=10, **changes):
    """Rows of one cell, by default of 10 outliers and 90 other curves."""
    axes = {"model": model, "n": n, "contamination": share, "points": 50, "data": f"{model}-{n}-{share}"}
    out = [
        {
            **axes,
            "method": method,
            "repetition": r,
            "seconds": 0.5,
            "outliers": 10,
            "clean": 90,
            "hits": h,
            "false": f,
        }
        for r, (h, f) in enumerate(zip(hits, false, strict=True))
    ]
    return [{**one, "named": None, "failed": None, **changes} for one in out]


def frame(*parts):
    return pd.DataFrame([row for part in parts for row in part])


# ------------------------------------------------------------------------------------------------- data sets


def test_data_sets_have_seeds_of_their_own():
    one = PAPER["peak-100-20"]
    X, outliers, _ = one.draw(seeds())
    assert X.shape == (100, 50)
    assert outliers.sum() == 20
    np.testing.assert_array_equal(one.draw(seeds())[0], X)
    for other in (one.draw(seeds(1)), one.draw(seeds(data="e")), PAPER["shift-100-20"].draw(seeds())):
        assert not np.array_equal(other[0], X)


def test_every_model_is_in_the_plan_and_has_a_reason():
    from fmahal.datasets import make_outlying_curves

    assert list(verdicts.WHY) == list(spec.MODELS)
    for model in spec.MODELS:
        assert make_outlying_curves(model, 10, 5, random_state=0).model == model
    assert {one.axes["model"] for one in PAPER.values()} == {*spec.MODELS, spec.SMOOTH, spec.REAL}


def test_every_method_sees_four_data_sets_of_the_common_cells():
    planned = pd.DataFrame([vars(cell) for cell in EXPERIMENT.cells("paper")])
    sets = planned.groupby(["data", "method"])["repetition"].nunique().unstack(fill_value=0)
    assert set(sets.columns) == set(METHODS)
    common = sets[(sets > 0).all(axis=1)].drop(spec.REAL)
    assert (common == spec.COMMON).all(axis=None)
    assert spec.COMMON >= 4
    assert len(common) == 2 * len(spec.MODELS) + 1  # two percentages, and the smooth curves
    often = [name for name, one in METHODS.items() if one.options.get("often")]
    assert (sets.loc[sets.index.str.contains("-200-"), often] == spec.MORE).all(axis=None)


def test_smooth_curves_differ_by_their_wave_alone():
    X, outliers, _ = spec.smooth_waves(200, 10, 50)(seeds())
    assert outliers.sum() == 20
    kinks = np.abs(np.diff(X, 2, axis=1)).max(axis=1)
    assert kinks[outliers].min() > kinks[~outliers].max()
    assert np.abs(X[outliers]).mean() < 1.5 * np.abs(X[~outliers]).mean()


# ------------------------------------------------------------------------------------------------- measuring


def test_counts_are_those_of_the_detector():
    X, outliers, _ = spec.curves_of("shape", 40, 10, 20)(seeds())
    (one,) = spec.measure((X, outliers, None), METHODS["curves-wrapped"], seeds())
    scatter = make_pipeline(L2Space(), WrappedCovariance())
    flagged = FunctionalOutlierDetector(scatter, alpha=LEVEL).fit(X).labels_ == -1
    assert (one["outliers"], one["clean"]) == (4, 36)
    assert (one["hits"], one["false"]) == (flagged[outliers].sum(), flagged[~outliers].sum())
    assert one["failed"] is None


@pytest.mark.parametrize(
    "name",
    [
        name if METHODS[name].options.get("often") else pytest.param(name, marks=pytest.mark.slow)
        for name in METHODS
    ],
)
def test_every_method_says_which_curves_are_outlying(name):
    drawn = spec.curves_of("magnitude", 30, 10, 12)(seeds())
    (one,) = spec.measure(drawn, METHODS[name], seeds())
    assert one["failed"] is None
    assert 0 <= one["hits"] <= 3
    assert 0 <= one["false"] <= 27


def test_years_are_named():
    drawn = spec.el_nino(seeds())
    (one,) = spec.measure(drawn, METHODS["skfda-lof"], seeds())
    years = one["named"].split()
    assert len(years) == one["hits"] + one["false"] > 0
    assert set(years) <= set(drawn[2])
    assert one["outliers"] == 4


def test_what_only_has_distances_is_made_a_detector():
    for estimator in (
        Plain(),
        SpectralFilter(),
        FunctionalMahalanobis(),
        make_pipeline(L2Space(), SpectralFilter()),
    ):
        made = on_the_grid(estimator)
        assert isinstance(made, FunctionalOutlierDetector)
        assert made.alpha == LEVEL
    detector = FunctionalOutlierDetector(alpha=0.05)
    assert on_the_grid(detector) is detector

    class Labels(BaseEstimator):
        def fit(self, X):
            self.labels_ = np.ones(len(X))
            return self

    assert isinstance(on_the_grid(Labels()), Labels)


def test_a_plain_scatter_is_measured_and_one_that_fails_is_counted():
    toy = _spec.Method("toy", lambda seed: Plain())
    (one,) = spec.measure(spec.curves_of("shift", 40, 10, 5)(seeds()), toy, seeds())
    assert one["failed"] is None
    assert 0 <= one["hits"] <= 4
    (none,) = spec.measure(spec.curves_of("shift", 10, 20, 30)(seeds()), toy, seeds())
    assert none["hits"] is None
    assert none["failed"]


# ------------------------------------------------------------------------------------------------- rates


def test_rates_and_their_intervals():
    shown = verdicts.common(frame(rows(hits=(9, 7, 10, 8), false=(1, 0, 4, 2))))
    found = verdicts.rate(shown, "tpr")
    assert found.value == pytest.approx(0.85)
    assert verdicts.rate(shown, "fpr").value == pytest.approx(7 / 360)
    assert found.low < 0.85 < found.high
    spread = np.std([0.9, 0.7, 1.0, 0.8], ddof=1) / 2
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.25)


def test_what_cells_differ_by_is_no_uncertainty():
    easy, hard = rows(hits=(10, 10), false=(0, 0)), rows(hits=(1, 1), false=(0, 0), model="peak")
    found = verdicts.rate(verdicts.common(frame(easy, hard)), "tpr")
    assert found.value == pytest.approx(0.55)
    assert found.high - found.low == pytest.approx(0.0, abs=1e-12)


def test_values_within_cells_have_their_variance():
    rng = np.random.default_rng(0)
    values, cells = (
        pd.Series(rng.normal(size=4000) + 5.0 * np.repeat([0, 1], 2000)),
        np.repeat(np.arange(1000), 4),
    )
    within = verdicts.within_cells(values, pd.Series(cells))
    assert within.mean() == pytest.approx(values.mean())
    assert within.var() == pytest.approx(1.0, rel=0.1)


def test_only_data_sets_that_all_have_are_compared():
    every = frame(rows(), rows(model="peak"), rows("other", hits=(9,), false=(1,)), rows(model=spec.SMOOTH))
    shown = verdicts.common(every)
    assert set(shown["data"]) == {"shape-100-10"}
    assert set(shown["repetition"]) == {0}
    broken = frame(rows(), rows("other"), rows("bad"), rows("bad", model="peak", hits=(None,), false=(None,)))
    assert set(verdicts.common(broken)["method"]) == {DEFAULT, "other"}
    assert verdicts.failed(broken) == {"bad": 1}


def test_differences_are_paired():
    hard, easy = (2, 4, 6, 8), (3, 5, 7, 9)
    gap = verdicts.difference(
        verdicts.common(frame(rows(hits=hard, false=(0,) * 4), rows("b", easy, (0,) * 4))), "b"
    )
    assert gap == pytest.approx((0.1, 0.1, 0.1))
    assert np.isnan(verdicts.difference(verdicts.common(frame(rows("b"))), "b").value)


def test_verdicts():
    names = {DEFAULT: "default", "peer": "peer"}

    def failures(*parts):
        found = verdicts.standings(verdicts.common(frame(*parts)))
        return [text for call in verdicts.CHECKS.values() for text in call(found, names)]

    assert failures(rows(hits=(10, 10), false=(0, 1)), rows("peer", (9, 9), (0, 0))) == []
    (better,) = failures(rows(hits=(8, 8), false=(0, 0)), rows("peer", (10, 10), (0, 0)))
    assert better.startswith("peer has a mean Youden index above that of the default by 0.200")
    # of few data sets that disagree nobody can tell
    assert failures(rows(hits=(8, 9), false=(0, 0)), rows("peer", (10, 8), (0, 0))) == []
    # a detector that flags many clean curves is no rival, and the default may not be one
    assert failures(rows(hits=(8, 8), false=(0, 0)), rows("peer", (10, 10), (4, 4))) == []
    (level,) = failures(rows(hits=(10, 10), false=(3, 3)))
    assert level == "default flags 3.3 % of the clean curves at 1 %."


def test_defeats_say_who_sees_more():
    lost = [
        rows(hits=(2, 3, 2, 3), false=(0,) * 4, model="amplitude"),
        rows("mrcd", (9,) * 4, (0,) * 4, "amplitude"),
    ]
    shown = verdicts.common(frame(*lost, rows(hits=(10, 10)), rows("mrcd", (10, 10), (0, 0))))
    (one,) = verdicts.defeats(shown)
    assert (one.model, one.best, one.best_tpr.value) == ("amplitude", "mrcd", 0.9)
    (ahead,) = verdicts.beaten(shown)
    assert (ahead.model, ahead.method) == ("amplitude", "mrcd")


def test_leads_are_those_of_students_t_within_cells():
    from scipy import stats

    few = {"model": "peak", "share": 5}
    ours = [
        rows(hits=(5, 6, 7, 6), false=(0,) * 4, **few),
        rows(hits=(2, 3, 2, 1), false=(0,) * 4, model="peak"),
    ]
    theirs = [rows("b", (10, 9, 10, 10), (0,) * 4, **few), rows("b", (9, 9, 9, 9), (0,) * 4, model="peak")]
    (one,) = verdicts.leads(verdicts.common(frame(*ours, *theirs)))
    gaps = np.array([[0.5, 0.3, 0.3, 0.4], [0.7, 0.6, 0.7, 0.8]])
    error = np.sqrt(gaps.var(axis=1, ddof=1).mean() / 8)
    assert one.gap.value == pytest.approx(gaps.mean())
    assert one.gap.high - one.gap.low == pytest.approx(2 * stats.t(6).ppf(0.975) * error)
    assert one.p_value == pytest.approx(stats.t(6).sf((gaps.mean() - LEVEL) / error))


def test_nobody_is_ahead_by_chance_of_many_comparisons():
    rng, wrong, alone = np.random.default_rng(0), 0, 0
    for _ in range(6):
        parts = [
            rows(name, rng.binomial(10, 0.8, 8), (0,) * 8, model)
            for name in (DEFAULT, *"abcdef")
            for model in spec.MODELS
        ]
        shown = verdicts.common(frame(*parts))
        wrong += bool(verdicts.beaten(shown))
        alone += any(one.p_value < 0.05 for one in verdicts.leads(shown))
    assert wrong <= 1
    assert alone >= 3  # what single comparisons would have named


def test_differences_that_are_all_alike_are_not_certain():
    one, many = (
        verdicts.common(frame(rows(hits=(9,) * k, false=(0,) * k), rows("b", (10,) * k, (0,) * k)))
        for k in (2, 8)
    )
    assert verdicts.beaten(one) == []
    assert [lead.method for lead in verdicts.beaten(many)] == ["b"]


def test_sentences_of_the_paper_are_held_against_the_rates():
    def failures(default, sobolev, ridge):
        parts = []
        for name, (waves, index) in zip(
            (DEFAULT, "sobolev", "ridge"), (default, sobolev, ridge), strict=True
        ):
            parts += [
                rows(name, (waves,) * 2, (0, 0), spec.SMOOTH),
                rows(name, (index,) * 2, (0, 0), share=20),
            ]
        every = frame(*parts)
        return verdicts.sentence_failures(every, verdicts.common(every), "sobolev", "ridge")

    assert failures((1, 9), (8, 4), (1, 5)) == []
    assert len(failures((6, 4), (5, 5), (1, 5))) == 4


# ------------------------------------------------------------------------------------------------- the page


def invented():
    """Results of all cells of the paper profile, cheap: shares drawn for each method."""
    rng, out = np.random.default_rng(0), []
    for data in PAPER.values():
        n, k = data.axes["n"], round(data.axes["n"] * data.axes["contamination"] / 100)
        for place, method in enumerate(METHODS.values()):
            for r in range(EXPERIMENT.repetitions(data, method, "paper")):
                hits, false = rng.binomial(k, 0.95 - 0.06 * place), rng.binomial(n - k, 0.01)
                line = {
                    "key": f"{data.name}{method.name}{r}",
                    **data.axes,
                    "data": data.name,
                    "method": method.name,
                }
                line |= {
                    "repetition": r,
                    "seconds": 0.1,
                    "outliers": k,
                    "clean": n - k,
                    "hits": hits,
                    "false": false,
                }
                out.append({**line, "named": "1983 1997" if data.name == spec.REAL else None, "failed": None})
    return pd.DataFrame(out)


def test_everything_that_the_paper_quotes_is_rendered(panels):
    import re
    from pathlib import Path

    made = page.render(Results("e05", invented(), {"profile": "paper"}))
    text = (Path(spec.__file__).parents[2] / "paper" / "sections" / "e05.tex").read_text()
    assert set(re.findall(r"\\val\{([^}]*)\}", text)) <= set(made.numbers)
    assert set(re.findall(r"\\fmtable\{([^}]*)\}", text)) <= set(made.tables)
    assert set(re.findall(r"\\fmfigure\{([^}]*)\}", text)) == set(made.figures)
    for table in made.tables.values():
        assert len(table.rows) == len(METHODS)
    assert any("El Niño" in one for one in made.findings)
    assert all(panels(one) for one in made.figures.values())


def test_a_method_that_fails_is_shown():
    broken = rows("curves-mcd", hits=(None, None), false=(None, None))
    made = page.render(Results("e05", frame(rows(), rows("skfda-lof"), broken), {}))
    assert ["mcd of scores", "failed in 2 cells", "-", "-", "-", "-"] in made.tables["e05_summary"].rows


def test_a_tiny_run_is_stored_and_rendered(tmp_path, capsys):
    only = {"method": "|".join(CHEAP), "model": "shape"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = run(EXPERIMENT, "smoke", only=only, folder=tmp_path)
    assert {part[0]["method"] for part in store.rows.values()} == set(CHEAP)
    assert json.loads(store.manifest.read_text())["cells"] == len(CHEAP)
    assert render_all(["e05"], results=tmp_path, into=tmp_path / "out") == 0
    text = (tmp_path / "out" / "docs" / "outlying_curves.md").read_text()
    for name in CHEAP:
        assert f"| {METHODS[name].label} | " in block_in(text, "e05")
    assert "paper" not in block_in(text, "e05")
