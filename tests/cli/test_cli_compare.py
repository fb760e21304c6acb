import csv
import json
import re

import numpy as np
import pytest
from sklearn.metrics import jaccard_score, roc_auc_score

from fmahal import EmpiricalCovariance, MahalanobisDetector, NormalTheoryNull
from fmahal._registry import nulls, scatters
from fmahal.cli._pairs import _timed, auroc, jaccard
from fmahal.datasets import load_dataset

CHEAP = ("--scatter", "empirical,ledoit-wolf")


@pytest.fixture
def registered():
    """Register entries for one test and take them out again."""
    added = []

    def add(registry, name, factory, **options):
        registry.register(name, f"toy {name}", **options)(factory)
        added.append((registry, name))

    yield add
    for registry, name in added:
        del registry._entries[name]


def records(run, *arguments):
    code, text, _ = run("compare", *arguments, "--json")
    assert code == 0
    return json.loads(text)


def test_every_registered_pair_is_run_or_given_a_reason(run):
    pairs = records(run, "hbk")["pairs"]
    expected = {(s, n) for s in scatters.names() for n in nulls.names() if n != "auto"}
    assert {(pair["scatter"], pair["null"]) for pair in pairs} == expected
    assert all((pair["status"] == "ok") == (pair["flagged"] is not None) for pair in pairs)
    assert sum(pair["auto"] for pair in pairs) == len(scatters)
    starred = {pair["scatter"]: pair for pair in pairs if pair["auto"]}
    assert starred["empirical"]["null"] == "normal"
    assert starred["mcd"]["null"] == "robust"
    assert starred["ledoit-wolf"]["null"] == starred["ogk"]["null"] == "bootstrap"
    assert starred["ledoit-wolf"]["configured"] is None
    assert "kind='parametric'" in starred["ogk"]["configured"]
    assert starred["ogk"]["status"] == "ok"


def test_a_pair_equals_the_detector(run):
    data = load_dataset("hbk")
    summary = records(run, "hbk", "--alpha", "0.05")
    (pair,) = [p for p in summary["pairs"] if (p["scatter"], p["null"]) == ("empirical", "normal")]
    detector = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull(), alpha=0.05).fit(data.data)
    flagged = detector.labels_ == -1
    assert pair["flagged"] == flagged.sum()
    assert pair["found"] == flagged[data.outliers].mean()
    np.testing.assert_allclose(pair["auroc"], roc_auc_score(data.outliers, detector.d2_), rtol=1e-12)
    assert pair["fit_seconds"] > 0


def test_agreement_is_measured_against_the_other_scatters(run, registered, csv_file):
    class Fixed(EmpiricalCovariance):
        def mahalanobis(self, X, *, squared=True):
            d2 = np.ones(len(X))
            d2[: FLAGGED[type(self).__name__]] = 1e6
            return d2

    names = {}
    FLAGGED = {"A": 3, "B": 4, "C": 5}
    for name in FLAGGED:
        names[name.lower()] = type(name, (Fixed,), {})
        registered(scatters, name.lower(), names[name.lower()])
    pairs = records(run, csv_file, "--scatter", "a,b,c", "--null", "chi2")["pairs"]
    agreement = {pair["scatter"]: pair["agreement"] for pair in pairs}
    assert agreement == {"a": (3 / 4 + 3 / 5) / 2, "b": (3 / 4 + 4 / 5) / 2, "c": (3 / 5 + 4 / 5) / 2}
    (alone,) = records(run, csv_file, "--scatter", "a", "--null", "chi2")["pairs"]
    assert alone["agreement"] is None


def test_a_new_scatter_and_a_new_null_appear_by_registration(run, registered, csv_file):
    class Toy(EmpiricalCovariance):
        pass

    class ToyNull(NormalTheoryNull):
        pass

    registered(scatters, "toy", Toy, order=1)
    registered(
        nulls, "toy-null", ToyNull, applies=lambda scatter, n, p: None if scatter == "toy" else "only toys"
    )
    _, text, _ = run("compare", csv_file)
    body = [line.split()[:2] for line in text.splitlines()]
    assert ["toy", "chi2"] in body
    assert ["toy", "toy-null"] in body
    assert ["empirical", "toy-null"] not in body
    assert re.search("^skipped toy-null with empirical, .*: only toys$", text, re.MULTILINE)
    assert run("detect", csv_file, "--scatter", "toy", "--null", "toy-null")[0] == 0


def test_costly_pairs_are_skipped_with_their_estimate(run, registered, csv_file):
    class Refitting(NormalTheoryNull):
        def fit(self, estimator, X, d2):
            raise AssertionError("must not run")

    registered(nulls, "refitting", Refitting, cost=lambda n, p: 1e9)
    pairs = records(run, csv_file, "--scatter", "empirical")["pairs"]
    (pair,) = [p for p in pairs if p["null"] == "refitting"]
    assert "predicted to take" in pair["reason"]
    assert "1e+09 refits" in pair["reason"]
    pairs = records(run, csv_file, "--scatter", "empirical", "--budget", "1e12")["pairs"]
    (pair,) = [p for p in pairs if p["null"] == "refitting"]
    assert "must not run" in pair["reason"]  # it was tried, and its failure did not stop the others


def test_quick_parameters_are_used(run, registered, csv_file):
    seen = []

    class Counting(NormalTheoryNull):
        def __init__(self, n_replicates=999):
            self.n_replicates = n_replicates

        def fit(self, estimator, X, d2):
            seen.append(self.n_replicates)
            return super().fit(estimator, X, d2)

    registered(nulls, "counting", Counting, quick={"n_replicates": 99})
    assert run("compare", csv_file, "--scatter", "empirical")[0] == 0
    assert set(seen) == {99}


def test_scatters_that_do_not_apply_are_listed(run, write, as_csv):
    wide = write(as_csv(np.random.default_rng(0).normal(size=(6, 9)), names="abcdefghi"))
    code, text, _ = run("compare", wide)
    assert code == 0
    assert "skipped empirical: " in text
    assert "ledoit-wolf" in text
    pairs = records(run, wide)["pairs"]
    assert {pair["scatter"] for pair in pairs if pair["flagged"] is None and not pair["null"]} >= {
        "empirical"
    }


def test_nothing_that_applies_is_an_error(refused, write, as_csv):
    wide = write(as_csv(np.random.default_rng(0).normal(size=(6, 9)), names="abcdefghi"))
    assert "nothing could be compared" in refused("compare", wide, "--scatter", "empirical")


def test_labels_of_a_file(run, write, X):
    lines = [
        "a,b,c,d,bad",
        *(",".join(map(repr, row)) + f",{int(k == 17)}" for k, row in enumerate(X.tolist())),
    ]
    code, text, _ = run("compare", write("\n".join(lines)), "--labels", "bad", *CHEAP)
    assert code == 0
    assert "AUROC" in text
    assert "bad = 1" in text
    assert "AUROC" not in run("compare", write("\n".join(lines)), *CHEAP)[1]


def test_clean_rows_flagged_are_the_false_alarms(run, tmp_path):
    pytest.importorskip("jinja2")
    data, report = load_dataset("hbk"), tmp_path / "r.html"
    call = ("hbk", "--scatter", "empirical,mcd", "--null", "chi2", "--alpha", "0.5")
    pairs = records(run, *call)["pairs"]
    flagged = MahalanobisDetector(EmpiricalCovariance(), "chi2", alpha=0.5).fit(data.data).labels_ == -1
    assert pairs[0]["false_alarms"] == flagged[~data.outliers].mean() > 0
    code, text, _ = run("compare", *call, "--report", report)
    assert code == 0
    assert "at level 0.5 about 50.0 % if the law held" in text
    heading = next(line for line in text.splitlines() if line.startswith("scatter"))
    page = report.read_text()
    columns = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', page)
    assert re.split(r"\s{2,}", heading)[-3:] == ["outliers found", "clean rows flagged", "AUROC"]
    assert columns[-3:] == ["Outliers found", "Clean rows flagged", "AUROC"]
    assert f'data-heading="Clean rows flagged" class="num" data-value="{pairs[0]["false_alarms"]}"' in page
    assert re.findall(r"<b>([^<]*)</b>", page) == [f"{pairs[1]['auroc']:.3f}"]  # nothing else can be best
    unlabelled = records(run, "wine", "--scatter", "empirical")["pairs"]
    assert all(pair["false_alarms"] is None for pair in unlabelled)


def test_short_runs_are_timed_by_their_median():
    times = iter([0.9, 0.1, 0.2])
    assert _timed(lambda: ("result", next(times))) == ("result", 0.2)
    times = iter([3.5])
    assert _timed(lambda: ("result", next(times))) == ("result", 3.5)


def test_table_and_report_are_written(run, csv_file, tmp_path):
    pytest.importorskip("jinja2")
    out, report = tmp_path / "t.csv", tmp_path / "r.html"
    code, text, _ = run("compare", csv_file, *CHEAP, "--out", out, "--report", report)
    assert code == 0
    rows = list(csv.DictReader(out.open()))
    assert {row["scatter"] for row in rows} == {"empirical", "ledoit-wolf"}
    assert sum(row["auto"] == "true" for row in rows) == 2
    html = report.read_text()
    assert "ledoit-wolf" in html
    assert "fmahal compare" in html
    assert str(out) in text


def test_set_reaches_the_scatters_that_have_the_parameter(run, csv_file):
    first = records(
        run, csv_file, "--scatter", "shrunk,empirical", "--alpha", "0.2", "--set", "shrinkage=0.9"
    )["pairs"]
    again = records(run, csv_file, "--scatter", "shrunk,empirical", "--alpha", "0.2")["pairs"]
    flagged = [{p["scatter"]: p["flagged"] for p in pairs if p["null"] == "chi2"} for pairs in (first, again)]
    assert flagged[0]["empirical"] == flagged[1]["empirical"]
    assert flagged[0]["shrunk"] != flagged[1]["shrunk"]


def test_an_interruption_keeps_what_is_finished(run, registered, csv_file):
    class Interrupted(EmpiricalCovariance):
        def fit(self, X, y=None):
            if len(X) == 60:
                raise KeyboardInterrupt
            return super().fit(X)

    registered(scatters, "late", Interrupted, order=999)
    code, text, _ = run("compare", csv_file)
    assert code == 130
    assert ["empirical", "normal"] in [line.split()[:2] for line in text.splitlines()]
    assert "interrupted" in text


def test_jaccard_and_auroc_against_scikit_learn():
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 50)) < 0.4
    assert jaccard(a, b) == jaccard_score(a, b)
    assert jaccard(a & ~a, b & ~b) == 1.0
    score = rng.integers(0, 6, size=50).astype(float)
    np.testing.assert_allclose(auroc(score, a), roc_auc_score(a, score), rtol=1e-12)
    assert auroc(np.array([np.inf, 1.0, np.inf]), np.array([True, False, True])) == 1.0
    assert auroc(score, np.zeros(50, dtype=bool)) is None
