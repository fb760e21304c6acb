"""Resampled laws on the command line: numbers, parameters, progress, interruption, words."""

import json
import os
import re

import numpy as np
import pytest

from fmahal import EmpiricalCovariance, LedoitWolf, MahalanobisDetector
from fmahal._registry import Entry, nulls, scatters
from fmahal.cli import _console, _nulls, _pairs
from fmahal.nulls.conformal import ConformalNull
from fmahal.nulls.empirical import EmpiricalNull
from fmahal.nulls.resampling import BootstrapNull

SAMPLE = ("--scatter", "empirical")
FEW = ("--null-set", "n_resamples=99")
MADE = {
    "bootstrap": BootstrapNull(n_resamples=99, random_state=0),
    "conformal": ConformalNull(random_state=0),
    "empirical": EmpiricalNull(),
}


@pytest.fixture
def wide_file(write, as_csv):
    X = np.random.default_rng(3).standard_t(5, size=(38, 200))
    return write(as_csv(X, names=[f"c{j}" for j in range(200)])), X


@pytest.fixture
def said(monkeypatch):
    """Return what the progress bar is told, terminal or not."""
    texts = []
    monkeypatch.setattr(_console.Progress, "say", lambda self, text: texts.append(text))
    return texts


@pytest.mark.parametrize("name", MADE)
def test_the_numbers_are_the_detectors(run, csv_file, X, name):
    few = FEW if name == "bootstrap" else ()
    code, text, err = run("detect", csv_file, *SAMPLE, "--null", name, *few, "--alpha", "0.05", "--json")
    assert (code, err) == (0, "")
    record = json.loads(text)
    detector = MahalanobisDetector(EmpiricalCovariance(), MADE[name], alpha=0.05).fit(X)
    law = detector.null_.train_dist_
    assert record["null"] == repr(detector.null_)  # no trace of the progress bar
    assert record["cutoff"] == detector.cutoff_
    assert record["train_cutoff"] == detector.train_cutoff_
    assert record["train_cutoff_se"] == law.standard_error(0.05)
    assert record["train_references"] == law.size
    assert record["references"] == detector.null_.new_dist_.size
    if detector.cutoff_se_ is not None:
        assert record["cutoff_se"] == detector.cutoff_se_
    assert [row["row"] - 1 for row in record["outliers"]] == np.lexsort((-detector.d2_, detector.pvalues_))[
        : record["flagged"]
    ].tolist()
    assert [row["pvalue"] for row in record["outliers"]] == sorted(detector.pvalues_)[: record["flagged"]]


def test_laws_in_closed_form_have_neither_references_nor_errors(run, csv_file):
    record = json.loads(run("detect", csv_file, *SAMPLE, "--json")[1])
    assert record["train_cutoff"] > 0
    assert {record[key] for key in ("cutoff_se", "train_cutoff_se", "references", "train_references")} == {
        None
    }
    assert "reference distances" not in run("detect", csv_file, *SAMPLE)[1]


@pytest.mark.parametrize("null", ["bootstrap", "conformal", "empirical"])
def test_more_columns_than_rows(run, wide_file, tmp_path, null):
    pytest.importorskip("jinja2")
    path, X = wide_file
    few, report = FEW if null == "bootstrap" else (), tmp_path / "r.html"
    call = (
        "detect",
        path,
        "--scatter",
        "ledoit-wolf",
        "--null",
        null,
        *few,
        "--alpha",
        "0.05",
        "--report",
        report,
    )
    code, text, err = run(*call, "--json")
    assert code == 0, err
    record = json.loads(text)
    detector = MahalanobisDetector(LedoitWolf(), MADE[null], alpha=0.05).fit(X)
    assert record["flagged"] == (detector.labels_ == -1).sum()
    np.testing.assert_allclose(record["train_cutoff"], detector.train_cutoff_, rtol=1e-10)
    assert "reference distances" in report.read_text()


def test_the_terminal_tells_the_error_of_the_cutoff(run, csv_file, X):
    _, text, _ = run("detect", csv_file, *SAMPLE, "--null", "bootstrap", *FEW, "--alpha", "0.05")
    law = MahalanobisDetector(EmpiricalCovariance(), MADE["bootstrap"]).fit(X).null_.train_dist_
    (line,) = [line for line in text.splitlines() if line.startswith("level")]
    assert line == (
        f"level    0.05 for each row, squared distance above {law.isf(0.05):.4g} ({law.size:,} reference distances "
        f"from 60 rows; the number of replicates alone adds a standard error of {law.standard_error(0.05):.2g})"
    )
    assert "outliers too, and widens with them: as a rule about 3 flagged, outliers or not." in " ".join(
        text.split()
    )
    _, text, _ = run("detect", csv_file, *SAMPLE, "--null", "conformal", "--alpha", "0.05")
    assert re.search(r"60 reference distances; standard error \S+ from the sampling of the rows\)", text)


def test_the_json_tells_what_the_error_measures(run, csv_file):
    def measured(*options):
        return json.loads(run("detect", csv_file, *SAMPLE, "--alpha", "0.05", "--json", *options)[1])[
            "cutoff_se_from"
        ]

    assert measured("--null", "bootstrap", *FEW) == "replicates"
    assert measured("--null", "conformal") == measured("--null", "empirical") == "rows"
    assert measured() is None


def test_nothing_is_expected_of_a_law_that_is_known_to_lack_rows(run, csv_file):
    for more in ((), ("--simultaneous",)):
        code, text, err = run("detect", csv_file, "--scatter", "mcd", "--null", "bootstrap", *FEW, *more)
        assert code == 0
        said = re.search(
            r"the law is resampled from the (\d+) rows that the robust fit rests on: up to ([\d.]+)% of clean rows",
            " ".join(text.split()),
        )
        assert float(said[2]) == pytest.approx(100 * (60 - int(said[1])) / 60, rel=0.05)
        assert f"only the {said[1]} of 60 training rows" in err
        assert "expected if" not in text
        assert "law held" not in text


def test_the_kind_of_a_conformal_law_is_idle_and_said_to_be(run, csv_file):
    call = ("detect", csv_file, *SAMPLE, "--null", "conformal", "--alpha", "0.05")
    _, plain, err = run(*call, "--json")
    assert err == ""
    for kind in ("split", "jackknife", "full"):
        _, text, err = run(*call, "--null-set", f"kind={kind}", "--json")
        assert json.loads(text)["outliers"] == json.loads(plain)["outliers"]
        (note,) = err.splitlines()
        assert note.startswith(f"note: --null-set kind={kind}: no effect on the rows of the table.")
    _, text, err = run(*call, "--null-set", "kind=cv", "--json")
    assert err == ""
    assert json.loads(text)["outliers"][0]["d2"] != json.loads(plain)["outliers"][0]["d2"]
    _, _, err = run("detect", csv_file, *SAMPLE, "--null", "conformal", "--alpha", "0.02")
    assert "new row" not in err  # 30 calibration rows are too few for them; the table has none


def test_a_contamination_is_shown_as_it_was_asked_for(run, csv_file):
    _, text, _ = run("detect", csv_file, *SAMPLE, "--null", "empirical", "--null-set", "contamination=0.1")
    assert "level    contamination 0.1, 6 of 60 rows, squared distance above" in text
    assert "6 of 60 rows flagged" in text


def test_leave_one_out_distances_are_called_so(run, csv_file, X, tmp_path):
    pytest.importorskip("jinja2")
    report = tmp_path / "r.html"
    call = ("detect", csv_file, *SAMPLE, "--null", "conformal", "--alpha", "0.05", "--report", report)
    _, text, _ = run(*call)
    assert "d2       leave-one-out: the distance of each row by a fit without it" in text
    assert "the conformal law ranks the rows among themselves and flags 3 of them in any data." in text
    body = next(line for line in text.splitlines() if line.split()[:1] == ["18"])
    without = EmpiricalCovariance().fit(np.delete(X, 17, axis=0))
    assert float(body.split()[1]) == pytest.approx(without.mahalanobis(X[17:18])[0], rel=1e-3)
    page = report.read_text()
    assert "leave-one-out distances" in page
    assert "leave-one-out" not in run("detect", csv_file, *SAMPLE)[1]


def test_parameters_reach_the_null(run, csv_file):
    _, text, _ = run(
        "detect",
        csv_file,
        *SAMPLE,
        "--null",
        "conformal",
        "--null-set",
        "kind=jackknife",
        "--alpha",
        "0.05",
        "--json",
    )
    assert "kind='jackknife'" in json.loads(text)["null"]
    _, text, _ = run(
        "detect", csv_file, *SAMPLE, "--null", "bootstrap", "--null-set", "n_resamples=49",
        "--null-set", "kind=elliptical", "--json",
    )  # fmt: skip
    null = json.loads(text)["null"]
    assert "kind='elliptical'" in null
    assert "n_resamples=49" in null
    record = json.loads(
        run("detect", csv_file, *SAMPLE, "--null", "empirical", "--null-set", "contamination=0.1", "--json")[
            1
        ]
    )
    assert record["flagged"] == 6
    assert "any data" in run("detect", csv_file, *SAMPLE, "--null", "empirical")[1]


def test_bad_parameters_are_refused(refused, csv_file):
    call = ("detect", csv_file, *SAMPLE)
    boot = (*call, "--null", "bootstrap", "--null-set")
    assert refused(*boot, "n_resamples") == (
        "--null-set takes KEY=VALUE, for example --null-set n_resamples=4999; got 'n_resamples'."
    )
    message = refused(*boot, "n_resample=99")
    assert (
        "--null-set n_resample: null 'bootstrap' has no such parameter. Did you mean 'n_resamples'?"
        in message
    )
    assert "callback" not in message
    assert "no such parameter" in refused(*boot, "callback=print")
    assert "n_resamples" in refused(*boot, "n_resamples=0")
    assert "elliptical" in refused(*boot, "kind=bogus")
    message = refused(*call, "--null-set", "n_resamples=99")
    assert "picked by auto" in message
    assert "--null bootstrap --null-set n_resamples=99" in message
    assert "null 'chi2' has no such parameter" in refused(
        *call, "--null", "chi2", "--null-set", "n_resamples=9"
    )
    assert "elliptical" in refused(*boot, "kind=None")
    assert "no null here has such a parameter" in refused("compare", csv_file, "--null-set", "zzz=1")
    assert "KEY=VALUE" in refused("compare", csv_file, "--null-set", "zzz")


def test_none_in_small_letters_is_none(run, csv_file):
    call = ("detect", csv_file, *SAMPLE, "--null", "bootstrap", *FEW, "--null-set", "holdout=none", "--json")
    assert "holdout=None" in json.loads(run(*call)[1])["null"]


def test_progress_counts_replicates_to_the_end(run, csv_file, said):
    assert run("detect", csv_file, *SAMPLE, "--null", "bootstrap", *FEW)[0] == 0
    counts = [int(m[1]) for text in said if (m := re.fullmatch(r"resampling (\d+) of 99", text))]
    assert counts
    assert counts == sorted(counts)
    assert counts[-1] == 99


def test_progress_is_shown_for_what_auto_picks(run, csv_file, said):
    code, text, err = run("detect", csv_file, "--scatter", "ledoit-wolf", "--json")
    assert code == 0, err
    null = json.loads(text)["null"]
    assert null == "BootstrapNull(random_state=0)"
    assert "resampling 999 of 999" in said


def test_an_interrupted_resampling_leaves_nothing(run, csv_file, tmp_path, monkeypatch):
    pytest.importorskip("jinja2")

    def interrupt(self, text):
        if text.startswith("resampling"):
            raise KeyboardInterrupt

    monkeypatch.setattr(_console.Progress, "say", interrupt)
    code, text, err = run(
        "detect", csv_file, *SAMPLE, "--null", "bootstrap", *FEW, "--out", tmp_path / "s.csv",
        "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert (code, text, err) == (130, "", "fmahal: interrupted\n")
    assert os.listdir(tmp_path) == ["data.csv"]


def test_a_level_out_of_reach_says_what_is_needed(run, csv_file, tmp_path):
    pytest.importorskip("jinja2")
    report = tmp_path / "r.html"
    call = ("detect", csv_file, *SAMPLE, "--null", "conformal")
    code, text, err = run(*call, "--report", report)
    assert code == 0
    note = (
        "No row can be flagged at level 0.01: with 60 reference distances the smallest p-value is 0.0167. "
        "To reach the level, it takes 100 rows, or a larger level."
    )
    assert err.splitlines().count(f"note: {note}") == 1
    assert err.count("note:") == 1
    assert "level    0.01 for each row, which none of 60 reference distances allows" in text
    assert report.read_text().count(note) == 1
    assert json.loads(run(*call, "--json")[1])["train_cutoff"] is None
    boot = ("detect", csv_file, *SAMPLE, "--null", "bootstrap", "--alpha", "0.001", "--null-set")
    _, _, err = run(*boot, "n_resamples=3")
    needed = int(re.search(r"--null-set n_resamples=(\d+)", err)[1])
    _, text, _ = run(*boot, f"n_resamples={needed}", "--json")
    assert json.loads(text)["train_cutoff"] is not None


def test_notes_about_a_null_speak_the_shell(run, csv_file, tmp_path):
    pytest.importorskip("jinja2")
    report = tmp_path / "r.html"
    call = ("detect", csv_file, "--scatter", "mcd", "--null", "bootstrap", *FEW, "--report", report)
    code, _, err = run(*call)
    assert code == 0
    (note,) = [
        line.removeprefix("note: ") for line in err.splitlines() if "--null-set kind=parametric" in line
    ]
    assert "kind='parametric'" not in err
    assert report.read_text().count(note.split(";")[0]) == 1


def test_p_values_beyond_every_reference_are_bounds(run, csv_file, write, as_csv, X):
    far = X.copy()
    far[17] += 1e3
    call = (
        "--scatter",
        "mcd",
        "--null",
        "bootstrap",
        "--null-set",
        "n_resamples=49",
        "--null-set",
        "kind=parametric",
    )
    _, text, _ = run("detect", write(as_csv(far), "far.csv"), *call)
    body = next(line for line in text.splitlines() if line.split()[:1] == ["18"])
    size = int(re.search(r"([\d,]+) reference distances", text)[1].replace(",", ""))
    assert body.split()[2] == f"<={1 / (size + 1):.3g}"


class TestCompare:
    def records(self, run, *arguments):
        code, text, err = run("compare", *arguments, "--json")
        assert code == 0, err
        return {(pair["scatter"], pair["null"]): pair for pair in json.loads(text)["pairs"]}

    def test_the_resampled_laws_are_listed_and_equal_the_detector(self, run, csv_file, X):
        pairs = self.records(run, csv_file, *SAMPLE, "--alpha", "0.05")
        for name in MADE:
            null = _pairs.seeded(nulls[name], quick=True)
            detector = MahalanobisDetector(EmpiricalCovariance(), null, alpha=0.05).fit(X)
            assert pairs["empirical", name]["flagged"] == (detector.labels_ == -1).sum(), name

    def test_the_cost_of_a_null_may_depend_on_the_scatter(self):
        def made(**options):
            return Entry("toy", dict, "", **options)

        assert made().refits(10, 2, "mcd") == 0
        assert made(cost=lambda n, p: n * p).refits(10, 2, "mcd") == 20
        assert made(cost=lambda n, p, name: 7 if name == "mcd" else 1).refits(10, 2, "mcd") == 7
        fast, slow = (nulls["bootstrap"].refits(100, 5, name) for name in ("ledoit-wolf", "ogk"))
        assert slow == nulls["bootstrap"].quick["n_resamples"] == 20 * fast

    def test_the_prediction_follows_the_replicates(self, run, csv_file):
        call = (csv_file, "--scatter", "ogk", "--null", "chi2,bootstrap", "--null-set", "n_resamples=1000000")
        pair = self.records(run, *call)["ogk", "bootstrap"]
        assert pair["status"] == "skipped"
        assert "(1e+06 refits), above --budget 10 s" in pair["reason"]

    def test_what_auto_configures_is_run_and_told(self, run, csv_file, monkeypatch):
        chosen = BootstrapNull(n_resamples=7, kind="parametric", random_state=0)
        monkeypatch.setattr("fmahal.nulls.select_null", lambda estimator, X, **level: chosen)
        call = (csv_file, "--scatter", "ogk,wrapped", "--null", "chi2,bootstrap", "--alpha", "0.05")
        pair = self.records(run, *call)["ogk", "bootstrap"]
        assert pair["auto"] is True
        assert pair["configured"] == repr(chosen)
        _, text, _ = run("compare", *call)
        assert f"bootstrap * of ogk, wrapped: {chosen!r}" in text
        assert re.search(r"^ogk +bootstrap \*", text, re.MULTILINE)
        # as many replicates as usual: those of a comparison
        monkeypatch.setattr(
            "fmahal.nulls.select_null", lambda estimator, X, **level: BootstrapNull(random_state=0)
        )
        pair = self.records(run, *call[:-2], "--scatter", "wrapped")["wrapped", "bootstrap"]
        assert (pair["auto"], pair["configured"]) == (True, None)

    def test_the_unfinished_pair_of_an_interruption_is_not_listed(self, run, csv_file, monkeypatch):
        def interrupt(self, text):
            if "resampling" in text:
                raise KeyboardInterrupt

        monkeypatch.setattr(_console.Progress, "say", interrupt)
        code, text, _ = run("compare", csv_file, *SAMPLE)
        assert code == 130
        assert re.search(r"^empirical +chi2 ", text, re.MULTILINE)
        assert "bootstrap" not in text
        assert "interrupted" in text

    def test_the_table_says_which_laws_rank_the_rows(self, run, csv_file):
        _, text, _ = run("compare", csv_file, *SAMPLE)
        assert "conformal and empirical: the rows are ranked among themselves" in text
        assert "ranked among themselves" not in run("compare", csv_file, *SAMPLE, "--null", "chi2")[1]

    def test_a_setting_reaches_the_nulls_that_know_its_value(self, run, refused, csv_file):
        call = (csv_file, "--scatter", "ledoit-wolf", "--null", "bootstrap,conformal,chi2", "--alpha", "0.05")
        usual = self.records(run, *call)
        pairs = self.records(run, *call, "--null-set", "kind=parametric")
        assert {pair["status"] for pair in pairs.values()} == {"ok"}
        assert pairs["ledoit-wolf", "conformal"]["flagged"] == usual["ledoit-wolf", "conformal"]["flagged"]
        assert pairs["ledoit-wolf", "bootstrap"]["flagged"] != usual["ledoit-wolf", "bootstrap"]["flagged"]
        assert usual["ledoit-wolf", "bootstrap"]["auto"] is True
        assert pairs["ledoit-wolf", "bootstrap"]["auto"] is False  # auto resamples the rows
        _, text, _ = run("compare", *call, "--null-set", "kind=parametric")
        assert "--null-set kind=parametric is no setting of conformal, which kept the usual one" in text
        message = refused(
            "compare", *call[:-4], "--null", "bootstrap,conformal,chi2", "--null-set", "kind=bogus"
        )
        assert message == "--null-set kind=bogus: bootstrap, conformal know no such value of kind."
        assert (
            self.records(run, *call, "--null-set", "n_resamples=19")["ledoit-wolf", "bootstrap"]["auto"]
            is True
        )

    def test_the_table_says_which_laws_resample_outliers(self, run, csv_file):
        call = ("compare", csv_file, "--scatter", "empirical,ogk", "--null", "bootstrap", *FEW)
        said = "bootstrap of empirical: the law resamples these rows, outliers too"
        assert said in run(*call)[1]
        shrunk = run("compare", csv_file, "--scatter", "empirical,oas", "--null", "bootstrap", *FEW)[1]
        assert re.search(r"bootstrap of empirical, oas: the law .* \(no bound for a shrunk scatter", shrunk)
        assert "outliers too" not in run(*call, "--null-set", "kind=parametric")[1]

    def test_every_scatter_has_a_known_cost(self):
        for entry in nulls:
            for scatter in scatters:
                assert entry.refits(569, 30, scatter.name) >= 0


def test_the_listener_survives_a_clone():
    from sklearn.base import clone

    heard = []
    null = clone(_nulls.make_null("bootstrap", {"n_resamples": 9}, 0.01, heard.append))
    X = np.random.default_rng(0).normal(size=(30, 2))
    null.fit(EmpiricalCovariance().fit(X), X, np.ones(30))
    assert heard[-1] == "resampling 9 of 9"
