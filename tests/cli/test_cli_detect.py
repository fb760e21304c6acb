import csv
import io
import json
import os
import re
import stat
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fmahal import EmpiricalCovariance, LedoitWolf, MahalanobisDetector, ShrunkCovariance
from fmahal.cli._detect import top_columns
from fmahal.cli._write import replacing, write_columns
from fmahal.datasets import load_dataset
from fmahal.exceptions import AmbiguousFitWarning

SAMPLE = ("--scatter", "empirical")


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_scores_are_the_detectors_own_numbers(run, csv_file, X, tmp_path):
    out = tmp_path / "scores.csv"
    code, text, err = run("detect", csv_file, *SAMPLE, "--alpha", "0.02", "--out", out)
    assert (code, err) == (0, "")
    detector = MahalanobisDetector(EmpiricalCovariance(), alpha=0.02).fit(X)
    rows = read(out.read_text())
    assert list(rows[0]) == ["row", "d2", "pvalue", "label", "flagged", "top_columns"]
    assert [int(row["row"]) for row in rows] == list(range(1, 61))
    assert_array_equal([float(row["d2"]) for row in rows], detector.d2_)
    assert_array_equal([float(row["pvalue"]) for row in rows], detector.pvalues_)
    assert_array_equal([int(row["label"]) for row in rows], detector.labels_)
    assert [row["flagged"] == "true" for row in rows] == (detector.labels_ == -1).tolist()
    best = detector.contributions(X).argmax(axis=1)
    assert [row["top_columns"].split(";")[0] for row in rows] == ["abcd"[j] for j in best]
    flagged = int((detector.labels_ == -1).sum())
    assert flagged >= 1
    assert f"{flagged} of 60 rows flagged" in text
    assert str(out) in text


def test_worst_row_comes_first_on_the_terminal(run, csv_file):
    _, text, _ = run("detect", csv_file, *SAMPLE, "--top", "3")
    body = [line for line in text.splitlines() if line.endswith("%")]
    assert len(body) == 3
    assert body[0].split()[0] == "18"  # rows are counted from 1
    assert "outlier" in body[0]
    assert "regular" in body[2]


def test_index_names_rows_in_table_and_file(run, write, X, tmp_path):
    names = [f"site {k}" for k in range(len(X))]
    lines = ["d2,a,b", *(f"{name},{x!r},{y!r}" for name, (x, y) in zip(names, X[:, :2].tolist()))]
    out = tmp_path / "s.csv"
    code, text, _ = run("detect", write("\n".join(lines)), "--index", "d2", *SAMPLE, "--out", out)
    assert code == 0
    rows = read(out.read_text())
    assert [row["index_d2"] for row in rows] == names  # a column named d2 would hide the distances
    assert "site 17" in text


def test_csv_on_standard_output_is_alone(run, csv_file):
    code, text, err = run("detect", csv_file, *SAMPLE, "--out", "-")
    assert (code, err) == (0, "")
    assert len(read(text)) == 60
    assert text.startswith("row,d2,pvalue,label,flagged,top_columns\n")


def test_parquet_out(run, csv_file, X, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "s.parquet"
    assert run("detect", csv_file, *SAMPLE, "--out", out)[0] == 0
    data = pq.read_table(out).to_pydict()
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    assert_array_equal(data["d2"], detector.d2_)
    assert data["flagged"] == (detector.labels_ == -1).tolist()


def test_json(run, csv_file, X):
    code, text, _ = run("detect", csv_file, *SAMPLE, "--json", "--simultaneous")
    assert code == 0
    record = json.loads(text)
    detector = MahalanobisDetector(EmpiricalCovariance(), simultaneous=True).fit(X)
    assert record["level"] == detector.level_
    assert [row["row"] - 1 for row in record["outliers"]] == np.flatnonzero(detector.labels_ == -1).tolist()
    assert record["outliers"][0]["d2"] == detector.d2_.max()
    assert record["call"].startswith("fmahal detect ")


def test_default_scatter_and_its_parameters(run, csv_file, X):
    code, text, err = run("detect", csv_file, "--json")
    assert code == 0
    record = json.loads(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AmbiguousFitWarning)
        detector = MahalanobisDetector().fit(X)
    assert record["scatter"] == repr(detector.estimator_)
    assert record["flagged"] == int((detector.labels_ == -1).sum())
    assert "p-values are approximate" not in err
    _, text, _ = run("detect", csv_file, "--json", "--set", "support_fraction=0.9")
    assert "support_fraction=0.9" in json.loads(text)["scatter"]


def test_set_reaches_the_scatter(run, csv_file, X):
    _, text, _ = run(
        "detect", csv_file, "--scatter", "shrunk", "--set", "shrinkage=0.4", "--null", "chi2", "--json"
    )
    detector = MahalanobisDetector(ShrunkCovariance(shrinkage=0.4), "chi2").fit(X)
    assert json.loads(text)["outliers"][0]["d2"] == detector.d2_.max()


def test_columns_are_analysed_in_the_order_given(run, csv_file, X):
    _, text, _ = run("detect", csv_file, "--columns", "d,b", *SAMPLE, "--json")
    record = json.loads(text)
    d2 = MahalanobisDetector(EmpiricalCovariance()).fit(X[:, [3, 1]]).d2_
    assert record["columns"] == 2
    assert record["outliers"][0]["d2"] == d2.max()


def test_degenerate_columns_are_accepted_on_request(run, write, X, as_csv):
    twice = write(as_csv(np.column_stack([X[:, :3], X[:, 0], np.ones(len(X))]), names="abcde"))
    code, text, err = run("detect", twice, *SAMPLE, "--allow-degenerate", "--out", "-")
    assert code == 0
    assert err.startswith("note: ")
    d2 = EmpiricalCovariance().fit(X[:, :3]).mahalanobis(X[:, :3])
    np.testing.assert_allclose([float(row["d2"]) for row in read(text)], d2, rtol=1e-9)


def test_more_columns_than_rows(run, write, as_csv):
    wide = np.random.default_rng(1).normal(size=(12, 30))
    path = write(as_csv(wide, names=[f"c{j}" for j in range(30)]))
    code, text, _ = run("detect", path, "--scatter", "ledoit-wolf", "--null", "chi2", "--out", "-")
    assert code == 0
    assert_array_equal([float(row["d2"]) for row in read(text)], LedoitWolf().fit(wide).mahalanobis(wide))


def test_bundled_data_with_known_outliers(run):
    code, text, _ = run("detect", "hbk")
    assert code == 0
    flagged = json.loads(run("detect", "HBK", "--json")[1])["known_outliers_flagged"]
    known = int(load_dataset("hbk").outliers.sum())
    assert f"Of {known} known outliers {flagged} are flagged" in text


def test_report_is_written(run, csv_file, tmp_path):
    pytest.importorskip("jinja2")
    report = tmp_path / "r.html"
    code, text, _ = run("detect", csv_file, *SAMPLE, "--report", report)
    assert code == 0
    html = report.read_text()
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert f"--report {report}" in html  # the call that reproduces it
    assert str(report) in text


def test_a_failure_leaves_the_old_files(run, csv_file, tmp_path, monkeypatch):
    out = tmp_path / "s.csv"
    out.write_text("old")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fmahal.cli._write._write_delimited", fail)
    code, text, err = run("detect", csv_file, *SAMPLE, "--out", out)
    assert (code, text) == (2, "")
    assert err == "fmahal: error: No space left on device.\n"
    assert out.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["data.csv", "s.csv"]


def test_a_failing_report_writes_nothing(run, csv_file, tmp_path, monkeypatch):
    pytest.importorskip("jinja2")

    def fail(*_, **__):
        raise ValueError("no picture")

    monkeypatch.setattr("fmahal.report.detect_report", fail)
    code, _, err = run(
        "detect", csv_file, *SAMPLE, "--out", tmp_path / "s.csv", "--report", tmp_path / "r.html"
    )
    assert (code, err) == (2, "fmahal: error: no picture\n")
    assert os.listdir(tmp_path) == ["data.csv"]


def test_replacing_keeps_permissions_follows_links_and_spares_devices(tmp_path):
    target, link = tmp_path / "t.csv", tmp_path / "link.csv"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_columns(str(link), {"a": np.array([0.1, 1 / 3]), "b": ["x", 'y "z", w']})
    assert link.is_symlink()
    assert target.read_text() == 'a,b\n0.1,x\n0.3333333333333333,"y ""z"", w"\n'
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    write_columns(os.devnull, {"a": [1]})
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_replacing_gives_new_files_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    with replacing(str(tmp_path / "new")) as temporary, open(temporary, "w") as stream:
        stream.write("x")
    assert (tmp_path / "new").stat().st_mode == plain.stat().st_mode


def test_an_interruption_removes_the_temporary_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(str(tmp_path / "new")):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_top_columns_are_those_that_add_most(X):
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    parts = detector.contributions(X)
    names = list("abcd")
    largest = np.take_along_axis(parts, np.argsort(-np.abs(parts), axis=1)[:, :3], axis=1)
    assert (largest < 0).any()  # these are not always those that add
    for row, causes in zip(parts, top_columns(detector, X, names)):
        expected = [j for j in np.argsort(-row) if row[j] > 0][:3]
        assert [name for name, _ in causes] == [names[j] for j in expected]
        np.testing.assert_allclose([share for _, share in causes], row[expected] / row.sum(), rtol=1e-12)


def test_terminal_json_file_and_report_name_the_same_columns(run, csv_file, tmp_path):
    pytest.importorskip("jinja2")
    out, report = tmp_path / "s.csv", tmp_path / "r.html"
    call = ("detect", csv_file, *SAMPLE, "--alpha", "0.2", "--out", out, "--report", report)
    record = json.loads(run(*call, "--json")[1])
    _, text, _ = run(*call, "--top", "20")
    in_file = {row["row"]: row["top_columns"].split(";") for row in read(out.read_text())}
    shown = re.findall(
        r'<td class="name">(\d+)</td>.*?<div class="parts">(.*?)</div>', report.read_text(), re.DOTALL
    )
    in_page = {row: re.findall(r'class="col" title="(\w+)"', parts) for row, parts in shown}
    assert len(record["outliers"]) > 3
    for outlier in record["outliers"]:
        names = list(outlier["top_columns"])
        assert in_file[str(outlier["row"])] == in_page[str(outlier["row"])] == names
        body = next(line for line in text.splitlines() if line.split()[:1] == [str(outlier["row"])])
        visible = [name for name, share in outlier["top_columns"].items() if share >= 0.005]
        assert re.findall(r"(\w) \+\d+%", body) == visible
        assert "-" not in body.split("outlier")[1]


def test_data_that_contradict_the_law_are_warned_about_as_in_the_report(run, write, as_csv, tmp_path):
    pytest.importorskip("jinja2")
    report = tmp_path / "r.html"
    skewed = np.random.default_rng(2).lognormal(sigma=1.5, size=(200, 4))
    code, _, err = run("detect", write(as_csv(skewed)), "--report", report)
    assert code == 0
    (note,) = [line for line in err.splitlines() if "do not follow the simulated law" in line]
    assert "Read the ranking, not the p-values." in note
    assert report.read_text().count(note.removeprefix("note: ")) == 1
    normal = np.random.default_rng(2).normal(size=(200, 4))
    assert "do not follow" not in run("detect", write(as_csv(normal), "normal.csv"))[2]


def test_contributions_carry_signs_and_their_heading_says_what_they_are(run, csv_file, X):
    _, text, _ = run("detect", csv_file, *SAMPLE)
    assert "columns that add most (shares of d2, above 100% where others are negative)" in text
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    shares = detector.contributions(X)[17] / detector.d2_[17]
    body = next(line for line in text.splitlines() if line.split()[:1] == ["18"])
    for j in np.argsort(-shares)[:3]:
        assert shares[j] < 0.005 or f"{'abcd'[j]} {100 * shares[j]:+.0f}%" in body


def test_expected_number_is_hedged_unless_the_law_is_exact(run, csv_file):
    normal = "0.6 expected if the rows were normal and none an outlier."
    assert normal in run("detect", csv_file, *SAMPLE)[1]
    for options in (
        ("--scatter", "ogk", "--null", "chi2"),
        ("--scatter", "mcd", "--null", "chi2"),
        (*SAMPLE, "--null", "chi2"),
    ):
        assert "0.6 expected if the chi-square law held." in run("detect", csv_file, *options)[1]
    assert normal in run("detect", csv_file, "--scatter", "mcd")[1]
    _, text, _ = run("detect", csv_file, "--scatter", "ogk")
    assert "(picked by auto; it draws normal rows)" in text
    assert "0.6 expected if the bootstrap law of normal rows held." in text
    _, text, _ = run("detect", csv_file, "--scatter", "ogk", "--null", "chi2", "--simultaneous")
    assert "any false alarm has probability 0.01 if the chi-square law held." in text


@pytest.mark.parametrize(
    ("scatter", "n", "note"),
    [
        ("ledoit-wolf", 9, "LedoitWolf. Read them as a ranking; --scatter empirical gives exact ones, "),
        ("ogk", 60, "OGK. Read them as a ranking; --scatter mcd, robust too, has a law of its own, "),
    ],
)
def test_the_calibration_note_is_short_and_comes_after_the_table(
    write, as_csv, X, capfd, monkeypatch, scatter, n, note
):
    import sys

    from fmahal.cli import main

    monkeypatch.setattr(
        "fmahal.nulls._auto_rules._PATIENCE", 0.0
    )  # no time for refits; 9 rows are too few anyway
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    assert main(["detect", str(write(as_csv(X[:n]))), "--scatter", scatter]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == (
        f"note: The p-values are approximate: the chi-square law is not exact for {note}"
        "--null chi2 silences this note."
    )
    assert sum(line.startswith("note:") for line in lines) == 1


def test_rows_off_the_subspace_are_marked(run, write, tmp_path):
    pytest.importorskip("jinja2")
    rng = np.random.default_rng(4)
    X = rng.normal(size=(60, 3))
    X[:, 2] = X[:, 0] + X[:, 1]
    X[7, 2] += 1.0
    path = write("\n".join(["a,b,c", *(",".join(map(repr, row)) for row in X.tolist())]))
    report = tmp_path / "r.html"
    code, text, _ = run("detect", path, "--scatter", "mcd", "--null", "chi2", "--report", report)
    assert code == 0
    (body,) = [line for line in text.splitlines() if "off the subspace" in line]
    assert body.split()[0] == "8"
    assert body.split()[2] == "0"
    assert report.read_text().count("<small>off the subspace</small>") == 1
    outliers = json.loads(run("detect", path, "--scatter", "mcd", "--null", "chi2", "--json")[1])["outliers"]
    assert [row["row"] for row in outliers if row["off_subspace"]] == [8]


@pytest.mark.parametrize("command", ["detect", "compare"])
def test_columns_that_look_like_labels_are_noted(run, write, X, command):
    mark = [int(k == 17) for k in range(len(X))]
    half = [k % 2 for k in range(len(X))]
    body = [",".join(map(repr, [*row, a, b, a])) for row, a, b in zip(X[:, :3].tolist(), mark, half)]
    path = write("\n".join(["a,b,c,is_outlier,target,polygon", *body[:-1], body[-1]]))
    options = ("--scatter", "ledoit-wolf", "--null", "chi2", "--allow-degenerate")
    _, _, err = run(command, path, *options)
    assert err.count("--labels is_outlier") == 1
    assert "--labels target" not in err  # half of the rows
    assert "--labels polygon" not in err
    assert "--labels" not in run(command, path, *options, "--labels", "is_outlier")[2]


def test_a_data_set_analyses_without_its_constant_columns(run):
    cheap = ("--scatter", "ledoit-wolf", "--null", "chi2", "--json")
    code, text, _ = run("detect", "digits", *cheap)
    assert (code, json.loads(text)["columns"]) == (0, 61)
    assert json.loads(run("detect", "digits", *cheap, "--allow-degenerate")[1])["columns"] == 64
    text = run("detect", "digits", *cheap[:-1])[1]
    assert "3 constant columns left out: 'pixel_0_0', 'pixel_4_0', 'pixel_4_7'" in text


def test_the_report_describes_a_data_set_and_numbers_rows_from_1(run, tmp_path):
    pytest.importorskip("jinja2")
    report = tmp_path / "r.html"
    assert run("detect", "wine", *SAMPLE, "--report", report)[0] == 0
    page = report.read_text()
    assert '<p class="source">Chemical analysis of wines from three cultivars</p>' in page
    assert "Rows are numbered from 1; in Python they count from 0." in page


def test_one_known_outlier_is_singular(run, write, X):
    rows = [",".join(map(repr, row)) + f",{int(k == 17)}" for k, row in enumerate(X[:, :2].tolist())]
    path = write("\n".join(["a,b,bad", *rows]))
    _, text, _ = run("detect", path, *SAMPLE, "--columns", "a", "--labels", "bad")
    assert "60 rows, 1 column, " in text
    assert "the outlier is the 1 row with bad = 1" in text
    assert "Of 1 known outlier " in text
    _, text, _ = run("compare", path, *SAMPLE, "--labels", "bad")
    assert "1 known outlier, level" in text
