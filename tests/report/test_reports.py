"""Reports: the detector's numbers, every text escaped, one page that loads nothing."""

import os
import re
import stat
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.covariance import MinCovDet
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fmahal import ChiSquareNull, EmpiricalCovariance, LedoitWolf, MahalanobisDetector, NormalTheoryNull
from fmahal.datasets import load_dataset
from fmahal.exceptions import CalibrationWarning
from fmahal.report import compare_report, detect_report, write_html

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags, texts by tag, and a check that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.rows, self.ids = [], [], [], []
        self.text = []
        self.feed(text)
        assert self.stack == [], self.stack

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "tr" and "data-row" in attrs:
            self.rows.append({"row": int(attrs["data-row"]), "inlier": attrs.get("class") == "inlier"})
        if tag == "td" and "data-label" in attrs and "data-value" in attrs:
            self.rows[-1][attrs["data-label"]] = float(attrs["data-value"])
        if tag == "span" and attrs.get("class") == "val":
            self.rows[-1].setdefault("parts", []).append(float(attrs["data-value"]))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def contaminated(n=60, p=3, k=5):
    X = np.random.default_rng(0).normal(size=(n, p))
    X[:k] += 9.0
    return X


def chi2_detector(X, **options):
    return MahalanobisDetector(MinCovDet(random_state=0), ChiSquareNull(), **options).fit(X)


@pytest.fixture(scope="module")
def detected():
    X = contaminated()
    detector = chi2_detector(X)
    return (
        detector,
        X,
        detect_report(detector, X, title="Sixty rows", source="made up", call="fmahal detect x.csv"),
    )


@pytest.fixture
def no_plots(monkeypatch):
    """Skip the drawing, for tests of words and numbers."""
    from fmahal.report import _figures

    monkeypatch.setattr(_figures, "inline_svg", lambda draw, key, label: "<svg></svg>")


def test_numbers_in_the_table_are_the_detectors(detected):
    detector, X, text = detected
    rows = Page(text).rows
    order = np.argsort(-detector.d2_)[: len(rows)]
    assert [row["row"] for row in rows] == order.tolist()
    for row in rows:
        i = row["row"]
        assert row["Squared"] == detector.d2_[i]
        assert row["Distance"] == np.sqrt(detector.d2_[i])
        assert row["p-value"] == detector.pvalues_[i]
        assert row["inlier"] == (detector.labels_[i] == 1)
        contributions = detector.contributions(X[[i]])[0]
        assert_allclose(row["parts"], np.sort(contributions[contributions > 0])[::-1][:3], rtol=1e-9)
    assert len(rows) == (detector.labels_ == -1).sum() + 3


def test_summary_counts(detected):
    detector, _, text = detected
    k = int((detector.labels_ == -1).sum())
    assert f"<strong>{k} of 60 rows</strong>" in text
    assert f'<dd data-value="{k}">' in text
    assert f'<dd data-value="{60 * 0.01!r}">' in text
    assert f'<dd data-value="{float(detector.train_cutoff_)!r}">' in text


def test_nothing_is_loaded(detected):
    for text in (detected[2], compare_report([pair()], title="t")):
        for tag, attrs in Page(text).tags:
            assert tag not in ("link", "img", "iframe", "object", "embed")
            assert tag != "script" or "src" not in attrs
            for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                target = attrs.get(name, "")
                if tag == "a" and name == "href":
                    assert target.startswith("https://doi.org/")
                else:
                    assert target == "" or target.startswith(("#", "data:image/png"))
        assert "@import" not in text
        assert not re.search(r"url\((?!#)", text)


def test_plots_share_no_ids_and_point_to_their_own(detected):
    page = Page(detected[2])
    assert len(page.ids) == len(set(page.ids))
    targets = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', detected[2])
    assert targets
    assert {a or b for a, b in targets} <= set(page.ids)
    assert sum(tag == "svg" for tag, _ in page.tags) == 2
    assert all(attrs["role"] == "img" and attrs["aria-label"] for tag, attrs in page.tags if tag == "svg")


def test_equal_input_equal_page(detected):
    detector, X, text = detected
    assert (
        detect_report(detector, X, title="Sixty rows", source="made up", call="fmahal detect x.csv") == text
    )


def test_everything_a_user_writes_is_escaped():
    X = contaminated(p=2)
    evil = "<script>alert('x')</script>"
    detector = chi2_detector(X)
    text = detect_report(
        detector, X, title=evil, source=evil, call=evil, feature_names=[evil, "b"], extra={evil: evil},
        row_names=[evil] * len(X), warnings=[evil],
    )  # fmt: skip
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    Page(text)
    text = compare_report(
        [pair(scatter=evil, other=evil), pair(status="skipped", scatter=evil, reason=evil)],
        title=evil, source=evil, call=evil, notes=[evil],
    )  # fmt: skip
    assert text.count("<script") == 1  # ours, which sorts the table
    assert "alert" in text


@pytest.mark.parametrize(
    ("n", "p", "figures"),
    [(40, 1, 2), (40, 2, 3), (40, 3, 2), (12, 30, 1), (12, 11, 1)],
)
def test_shapes(n, p, figures):
    X = np.random.default_rng(3).normal(size=(n, p))
    detector = MahalanobisDetector(LedoitWolf(), ChiSquareNull()).fit(X)
    page = Page(detect_report(detector, X, title="shape"))
    assert sum(tag == "figure" for tag, _ in page.tags) == figures
    assert all(len(row["parts"]) == min(p, 3) for row in page.rows)


def test_classical_detector_has_no_plot_against_itself():
    X = np.random.default_rng(3).normal(size=(40, 2))
    detector = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull()).fit(X)
    text = detect_report(detector, X, title="t")
    assert sum(tag == "figure" for tag, _ in Page(text).tags) == 2  # quantiles and ellipse
    assert "uses the classical scatter" in text


def test_no_outliers(no_plots):
    X = np.random.default_rng(1).normal(size=(30, 2))
    detector = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull(), alpha=1e-9).fit(X)
    text = detect_report(detector, X, title="calm")
    assert "No row is flagged." in text
    assert "Farthest rows" in text
    rows = Page(text).rows
    assert len(rows) == 5
    assert all(row["inlier"] for row in rows)


def test_all_outliers_among_new_rows(no_plots):
    X = np.random.default_rng(1).normal(size=(30, 2))
    detector = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull()).fit(X)
    new = X + 100.0
    text = detect_report(detector, new, title="all", top=4)
    rows = Page(text).rows
    assert "<strong>30 of 30 rows</strong>" in text
    assert "did not take part in the fit" in text
    assert len(rows) == 4
    assert_allclose(
        [row["Squared"] for row in rows], np.sort(detector.mahalanobis(new))[::-1][:4], rtol=1e-12
    )
    assert_allclose([row["p-value"] for row in rows], np.sort(detector.pvalues(new))[:4], rtol=1e-12)
    assert "Read the ranking, not the p-values" in text


def test_rows_off_the_subspace_come_first_with_p_value_zero():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 3))
    with pytest.warns(match="span|rank"):
        detector = MahalanobisDetector(EmpiricalCovariance(), ChiSquareNull()).fit(X)
    normal = np.cross(*(X[1:3] - X[0]))
    new = np.vstack([X[:5], X.mean(axis=0) + normal])
    text = detect_report(detector, new, title="off")
    assert Page(text).rows[0]["row"] == 5
    assert Page(text).rows[0]["p-value"] == 0.0
    assert "span 2 of 3 dimensions" in text


def test_calibration_warning_is_found_again_and_shown_once(no_plots):
    X = contaminated(n=9, k=1)  # too few rows for a resampled law
    with pytest.warns(CalibrationWarning) as caught:
        detector = MahalanobisDetector(LedoitWolf()).fit(X)
    message = next(str(w.message) for w in caught if w.category is CalibrationWarning)
    text = detect_report(detector, X, title="t")
    shown = " ".join("".join(Page(text).text).split())
    assert shown.count(" ".join(message.split())) == 1
    again = detect_report(detector, X, title="t", warnings=[caught[0].message, "something else"])
    shown = " ".join("".join(Page(again).text).split())
    assert shown.count(" ".join(message.split())) == 1
    assert "something else" in shown
    assert shown.index("Read this first") < shown.index("Ranked")


def test_p_values_too_small_for_a_float_are_not_zero(no_plots):
    X = contaminated()
    X[0] = 1e4
    detector = chi2_detector(X)
    assert detector.pvalues_[0] == 0.0
    text = detect_report(detector, X, title="t")
    assert "&lt; 10<sup>−300</sup>" in text
    assert Page(text).rows[0]["p-value"] == 0.0


def test_exact_law_brings_no_warning(no_plots):
    X = np.random.default_rng(1).normal(size=(50, 3))
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(X)
    text = detect_report(detector, X, title="t")
    assert "Read this first" not in text
    assert "If the rows were normal and none an outlier, about 0.5 would be flagged." in text
    assert "<dt>Expected by chance</dt>" in text


def test_an_approximate_law_is_hedged_throughout(no_plots):
    X = np.random.default_rng(1).normal(size=(150, 3))
    text = detect_report(chi2_detector(X), X, title="t")
    assert "If no row were an outlier and the chi-square law held, about 1.5 would be flagged." in text
    assert "<dt>Expected if the law held</dt>" in text
    assert "If the chi-square law held, about 1% of clean rows would be flagged by chance" in text
    assert "are flagged by chance" not in text
    text = detect_report(MahalanobisDetector(EmpiricalCovariance()).fit(X), X, title="t")
    assert "At this level about 1% of clean rows are flagged by chance." in text


def test_numbers_of_rows_say_where_they_start(no_plots):
    X = contaminated()
    detector = chi2_detector(X)
    assert "Rows are numbered from 0." in detect_report(detector, X, title="t")
    numbers = range(1, 61)
    text = detect_report(detector, X, title="t", row_names=numbers)
    assert "Rows are numbered from 1; in Python they count from 0." in text
    assert "Rows are numbered" not in detect_report(
        detector, X, title="t", row_names=[f"r{k}" for k in numbers]
    )


def test_a_law_that_does_not_fit_is_said_first(no_plots):
    X = np.random.default_rng(0).normal(size=(60, 3))
    detector = MahalanobisDetector(LedoitWolf(), ChiSquareNull(df=30)).fit(X)
    assert (detector.pvalues_ > 0.5).all()
    text = detect_report(detector, X, title="t")
    assert "100% of the p-values exceed 1/2" in text
    assert 'class="calm"' not in text
    detector = MahalanobisDetector(LedoitWolf(), ChiSquareNull()).fit(X)
    text = detect_report(detector, 3 * X, title="t")
    assert "Read the ranking, not the p-values" in text
    assert "1/2" not in detect_report(detector, X, title="t")


def test_known_outliers_are_counted(no_plots):
    data = load_dataset("hbk")
    detector = chi2_detector(data.data)
    text = detect_report(
        detector, data.data, title="hbk", row_names=data.row_names, known_outliers=data.outliers,
        feature_names=data.feature_names,
    )  # fmt: skip
    assert "All 14 known outliers are among them, and no other row." in text
    others = ~data.outliers
    text = detect_report(detector, data.data, title="hbk", known_outliers=others)
    assert "None of the 61 known outliers is among them." in text
    one = np.arange(75) == 3
    text = detect_report(detector, data.data, title="hbk", known_outliers=one)
    assert "The known outlier is among them, and 13 other rows." in text
    text = detect_report(detector, data.data, title="hbk", known_outliers=one | (np.arange(75) == 70))
    assert "1 of the 2 known outliers is among them, and 13 other rows." in text
    assert text.count("<small>known outlier</small>") == 1
    with pytest.raises(ValueError, match="known_outliers has shape"):
        detect_report(detector, data.data, title="t", known_outliers=[True])


def test_alpha_and_simultaneous(no_plots):
    X = contaminated()
    detector = chi2_detector(X, simultaneous=True)
    assert "for all rows together" in detect_report(detector, X, title="t")
    text = detect_report(chi2_detector(X), X, title="t", alpha=0.2)
    assert f"<strong>{(detector.pvalues_ <= 0.2).sum()} of 60 rows</strong>" in text
    with pytest.raises(ValueError, match="alpha"):
        detect_report(detector, X, title="t", alpha=2)


def test_data_frames_keep_their_names():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(contaminated(), columns=["width", "height", "depth"])
    X.index = [f"part {i}" for i in range(60)]
    text = detect_report(chi2_detector(X), X, title="t")
    assert 'title="height"' in text
    assert '<td class="name">part ' in text
    assert "numbered from 0" not in text


def test_pipelines_name_their_coordinates():
    X = contaminated()
    detector = MahalanobisDetector(make_pipeline(StandardScaler(), LedoitWolf()), ChiSquareNull()).fit(X)
    rows = Page(detect_report(detector, X, title="t")).rows
    assert_allclose(rows[0]["Squared"], detector.d2_.max(), rtol=1e-12)
    parts = detector.contributions(X)[detector.d2_.argmax()]
    assert_allclose(rows[0]["parts"], np.sort(parts[parts > 0])[::-1], rtol=1e-9)


def test_wrong_lengths_and_top(detected):
    detector, X, _ = detected
    with pytest.raises(ValueError, match="feature_names has 1 entries for 3 columns"):
        detect_report(detector, X, title="t", feature_names=["a"])
    with pytest.raises(ValueError, match="row_names"):
        detect_report(detector, X, title="t", row_names=["a"])
    with pytest.raises(ValueError, match="top"):
        detect_report(detector, X, title="t", top=0)


def test_missing_jinja2_names_the_extra(monkeypatch, detected):
    detector, X, _ = detected
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for call in (lambda: detect_report(detector, X, title="t"), lambda: compare_report([], title="t")):
        with pytest.raises(ImportError, match=r"fmahal\[report\]"):
            call()


def pair(**entries):
    return {
        "scatter": "oas", "null": "chi2", "status": "ok", "reason": "", "fit_seconds": 0.002, "flagged": 3,
        "flagged_share": 0.03, "agreement": 0.75, "auroc": None,
    } | entries  # fmt: skip


class TestCompare:
    def test_values_and_best(self):
        text = compare_report(
            [pair(auroc=0.9), pair(scatter="mcd", fit_seconds=0.2, auroc=0.95), pair(auroc=float("nan"))],
            title="t",
        )  # fmt: skip
        page = Page(text)
        values = [float(a["data-value"]) for tag, a in page.tags if tag == "td" and "data-value" in a]
        assert values == [0.002, 3, 0.03, 0.75, 0.9, 0.2, 3, 0.03, 0.75, 0.95, 0.002, 3, 0.03, 0.75]
        assert re.findall(r"<b>([^<]*)</b>", text) == ["0.950"]  # neither times nor outliers found
        assert "ranked best by mcd (AUROC 0.950)" in text

    def test_no_labels_no_auroc_column(self):
        text = compare_report([pair(), pair(scatter="qis")], title="t")
        assert "AUROC" not in text
        assert "<b>" not in text  # equal times: nothing to win

    def test_skipped_and_failed_are_listed_with_reasons(self):
        text = compare_report(
            [
                pair(),
                pair(scatter="mcd", status="skipped", reason="too slow"),
                pair(scatter="ogk", status="skipped", reason="too slow"),
                pair(scatter="qis", status="failed", reason="broke"),
            ],
            title="t",
        )
        assert "1 pair of scatter and null law ran, 2 were not run, 1 failed." in text
        assert "<dt>mcd × chi2, ogk × chi2</dt><dd>too slow</dd>" in text
        assert "<dt>qis × chi2</dt><dd>broke</dd>" in text
        with pytest.raises(ValueError, match="status"):
            compare_report([pair(status="maybe")], title="t")

    def test_columns(self):
        text = compare_report([pair(rank=4)], title="t", columns={"scatter": "Who", "rank": "Rank!"})
        assert re.findall(r"<th scope=\"col\"[^>]*>([^<]*)</th>", text) == ["Who", "Rank!"]
        assert 'data-value="4.0"' in text
        text = compare_report([pair(rank=4)], title="t", columns=["null", "scatter"])
        assert re.findall(r"<th scope=\"col\"[^>]*>([^<]*)</th>", text) == ["Null law", "Scatter"]

    def test_nothing_ran(self):
        text = compare_report([pair(status="skipped", reason="why")], title="t")
        assert "<table" not in text
        assert "0 pairs" in text
        Page(compare_report([], title="t"))


class TestWrite:
    def test_replaces_and_leaves_nothing_else(self, tmp_path):
        target = tmp_path / "page.html"
        target.write_text("old")
        target.chmod(0o640)
        assert write_html(target, "new é") == target
        assert target.read_bytes() == "new é".encode()
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        assert os.listdir(tmp_path) == ["page.html"]

    def test_new_file_has_ordinary_permissions(self, tmp_path):
        (tmp_path / "other").write_text("")
        mode = (tmp_path / "other").stat().st_mode
        assert write_html(str(tmp_path / "page.html"), "x").stat().st_mode == mode

    @pytest.mark.parametrize("failing", ["replace", "fsync"])
    def test_a_failure_leaves_the_old_file_and_no_trace(self, tmp_path, monkeypatch, failing):
        target = tmp_path / "page.html"
        target.write_text("old")

        def fail(*args):
            raise OSError("disk full")

        monkeypatch.setattr(os, failing, fail)
        with pytest.raises(OSError, match="disk full"):
            write_html(target, "new")
        assert target.read_text() == "old"
        assert os.listdir(tmp_path) == ["page.html"]

    def test_unwritable_text_leaves_no_trace(self, tmp_path):
        with pytest.raises(UnicodeEncodeError):
            write_html(tmp_path / "page.html", "\ud800")
        assert os.listdir(tmp_path) == []

    def test_links_are_followed(self, tmp_path):
        (tmp_path / "real.html").write_text("old")
        (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
        write_html(tmp_path / "link.html", "new")
        assert (tmp_path / "link.html").is_symlink()
        assert (tmp_path / "real.html").read_text() == "new"

    def test_missing_folder_and_folder_as_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no folder"):
            write_html(tmp_path / "no" / "page.html", "x")
        with pytest.raises(IsADirectoryError, match="folder"):
            write_html(tmp_path, "x")
