"""Robust scatters on the command line: real tables, exact fits, competing fits, more columns than rows."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fmahal.datasets import load_dataset

REFERENCE = Path(__file__).parents[2].parent / "shared" / "data"
ROBUST = ("mcd", "mrcd", "ogk", "wrapped")
reference_data = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data are not here")


@pytest.fixture
def flagged(run):
    """Return the rows, from 1, that a call flags."""

    def call(*arguments):
        code, text, err = run("detect", *arguments, "--json")
        assert code == 0, err
        return sorted(row["row"] for row in json.loads(text)["outliers"])

    return call


def page_text(path):
    import html

    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", path.read_text(encoding="utf-8"), flags=re.S)
    return " ".join(html.unescape(text).split())


@pytest.mark.parametrize("scatter", ROBUST)
def test_the_outliers_of_hbk_are_flagged_and_no_other_row(flagged, scatter):
    assert flagged("hbk", "--scatter", scatter) == list(range(1, 15))


@pytest.mark.parametrize("scatter", ["mcd", "mrcd"])
def test_the_outliers_of_the_wood_table_rank_first(run, scatter):
    known = np.flatnonzero(load_dataset("wood").outliers) + 1
    code, text, _ = run("detect", "wood", "--scatter", scatter, "--alpha", "0.05", "--json")
    assert code == 0
    ranked = [row["row"] for row in json.loads(text)["outliers"]]
    assert set(known) <= set(ranked[:6])


@pytest.mark.parametrize("scatter", ["mrcd", "wrapped"])
def test_more_columns_than_rows_with_a_picture(run, write, as_csv, tmp_path, scatter):
    pytest.importorskip("jinja2")
    X = np.random.default_rng(3).normal(size=(30, 60))
    X[:3] += 5.0
    report = tmp_path / "r.html"
    path = write(as_csv(X, names=[f"c{j}" for j in range(60)]))
    code, text, err = run("detect", path, "--scatter", scatter, "--report", report, "--json")
    assert code == 0, err
    assert [row["row"] for row in json.loads(text)["outliers"]][:3] != []
    assert {row["row"] for row in json.loads(text)["outliers"][:3]} == {1, 2, 3}
    page = page_text(report)
    assert "Regularised and detector's distances" in page
    assert "Ledoit-Wolf shrinkage of the standardised columns" in page
    assert "There is no distance-distance plot" not in page


def test_flags_that_only_repeat_the_subset_are_no_finding(run, write, as_csv, tmp_path):
    pytest.importorskip("jinja2")
    clean = np.random.default_rng(5).normal(size=(20, 80))
    path = write(as_csv(clean, names=[f"c{j}" for j in range(80)]))
    report = tmp_path / "r.html"
    code, text, err = run("detect", path, "--scatter", "mrcd", "--null", "chi2", "--report", report)
    assert code == 0
    assert "5 of 20 rows flagged" in text
    assert "subset   15 of 20 rows (75.0 %)" in text
    message = "The flagged rows are all rows that the fit does not rest on: it rests on 15 of 20."
    assert message in err
    assert message in page_text(report)
    assert '<strong class="plain">5 of 20 rows</strong>' in report.read_text()


def test_a_scatter_that_needs_more_rows_names_robust_ones(refused, write, as_csv):
    wide = write(as_csv(np.random.default_rng(0).normal(size=(8, 12)), names="abcdefghijkl"))
    for scatter in ("mcd", "ogk"):
        message = refused("detect", wide, "--scatter", scatter)
        assert f"--scatter {scatter} does not apply here" in message
        assert "Use --scatter mrcd or wrapped" in message


def test_parameters_reach_the_scatter_and_bad_ones_are_refused(run, refused):
    _, text, _ = run("detect", "hbk", "--scatter", "mcd", "--set", "support_fraction=0.75", "--json")
    record = json.loads(text)
    assert "support_fraction=0.75" in record["scatter"]
    assert record["subset"] == 56
    message = refused("detect", "hbk", "--scatter", "mcd", "--set", "support_fraction=75")
    assert "support_fraction" in message
    assert "75" in message
    message = refused("detect", "hbk", "--scatter", "mcd", "--set", "metthod=fast")
    assert "Did you mean 'method'?" in message
    message = refused("detect", "hbk", "--scatter", "mcd", "--set", "method=quick")
    assert "deterministic" in message
    message = refused("detect", "hbk", "--scatter", "mrcd", "--set", "target=zero")
    assert "equicorrelation" in message
    message = refused("detect", "hbk", "--scatter", "ogk", "--set", "scale=sd")
    assert "tau" in message


class TestExactFit:
    @pytest.fixture
    def table(self, write):
        X = np.random.default_rng(2).normal(size=(60, 3)).round(3) + 10.0
        X[:48, 2] = X[:48, 0] + X[:48, 1]
        lines = ["width,height,half perimeter"] + [",".join(map(repr, row)) for row in X.tolist()]
        return write("\n".join(lines))

    def test_the_terminal_tells_rows_and_equation(self, run, table):
        code, text, err = run("detect", table, "--scatter", "mcd")
        assert code == 0
        (note,) = [line for line in err.splitlines() if "Exact fit" in line]
        assert "48 of the 60 rows lie on the hyperplane width + height = 'half perimeter'." in note
        assert (
            "The 12 rows off it (rows 49, 50, 51, 52, 53, 54, 55, 56, 57, 58 and 2 more) have p-value 0"
            in note
        )
        assert text.count("off the subspace") == 10  # of the ten rows shown

    def test_json_and_report(self, run, table, tmp_path):
        pytest.importorskip("jinja2")
        report = tmp_path / "r.html"
        code, text, _ = run("detect", table, "--scatter", "mcd", "--json", "--report", report)
        assert code == 0
        record = json.loads(text)
        assert record["exact_fit"] == {
            "equation": "width + height = 'half perimeter'",
            "rows_on": 48,
            "rows_off": list(range(49, 61)),
        }
        assert record["competing_fit"] is None
        assert {row["row"] for row in record["outliers"]} >= set(range(49, 61))
        page = page_text(report)
        assert page.count("Exact fit:") == 1
        assert "48 of the 60 rows lie on the hyperplane width + height = 'half perimeter'." in page


class TestCompetingFits:
    @pytest.fixture
    def table(self, write, as_csv):
        rng = np.random.default_rng(8)
        X = rng.normal(size=(100, 5))
        X[:30] = 5.0 + 0.1 * rng.normal(size=(30, 5))  # a tight group: its half has the least determinant
        return write(as_csv(X, names="abcde"))

    def test_both_are_told(self, run, table, tmp_path):
        pytest.importorskip("jinja2")
        report = tmp_path / "r.html"
        code, text, err = run("detect", table, "--scatter", "mcd", "--json", "--report", report)
        assert code == 0
        other = json.loads(text)["competing_fit"]
        assert other["share"] >= 0.1
        assert len(other["disputed_rows"]) == round(100 * other["share"])
        (note,) = [line for line in err.splitlines() if "Two fits compete" in line]
        assert "--set method=deterministic" in note
        page = page_text(report)
        assert page.count("Two fits compete.") == 1
        assert "The two fits that compete" in page


@reference_data
class TestReferenceTables:
    def table(self, write, as_csv, name, key, folder="multivariate"):
        X = np.load(REFERENCE / folder / name, allow_pickle=True)[key]
        return write(as_csv(X, names=[f"c{j}" for j in range(X.shape[1])]))

    @pytest.mark.parametrize("scatter", ["mcd", "ogk", "mrcd", "wrapped"])
    def test_giant_stars(self, flagged, write, as_csv, scatter):
        path = self.table(write, as_csv, "classical.npz", "starsCYG")
        assert {11, 20, 30, 34} <= set(flagged(path, "--scatter", scatter))

    @pytest.mark.parametrize("scatter", ["mcd", "ogk"])
    def test_bushfire(self, flagged, write, as_csv, scatter):
        path = self.table(write, as_csv, "classical.npz", "bushfire")
        known = {7, 8, 9, 10, 11, *range(32, 39)}
        if scatter == "ogk":
            known.remove(11)  # at the edge: chi-square, which flags too many, flags it
        assert known <= set(flagged(path, "--scatter", scatter, "--alpha", "0.025"))

    def test_octane_has_six_samples_with_alcohol(self, flagged, write, as_csv):
        path = self.table(write, as_csv, "octane.npz", "X", folder="functional")
        assert flagged(path, "--scatter", "mrcd") == [25, 26, 36, 37, 38, 39]

    @pytest.mark.parametrize("name", ["golub38", "srbct"])
    def test_genes(self, run, write, as_csv, tmp_path, name):
        pytest.importorskip("jinja2")
        path = self.table(write, as_csv, f"{name}.npz", "X", folder="genes")
        report = tmp_path / "r.html"
        code, _, err = run("detect", path, "--scatter", "mrcd", "--report", report)
        assert code == 0
        assert "The flagged rows are" in err
        assert "Regularised and detector's distances" in page_text(report)


def test_compare_and_detect_agree_about_laws_with_an_estimate_of_their_own(run):
    options = ("wood", "--scatter", "mcd", "--null", "cerioli")
    pair = json.loads(run("compare", *options, "--json")[1])["pairs"][0]
    record = json.loads(run("detect", *options, "--json")[1])
    assert pair["status"] == "ok"
    assert pair["flagged"] == record["flagged"] == 4
    assert pair["auroc"] == 1.0
