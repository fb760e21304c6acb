"""The calibration study: its rows, seeds, bands and verdicts, and a tiny run of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import toeplitz

from fmahal import EmpiricalCovariance, MahalanobisDetector

FOLDER = Path(__file__).parents[2] / "experiments"
if not FOLDER.exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
try:
    import e01_calibration as e01
    import e01_rows as rows
    import e01_verdicts as verdicts
finally:
    sys.path.remove(str(FOLDER))

TINY = e01.Grid(((30, 2), (40, 3)), (6, 4, 2))
STORED = e01.RESULTS / "e01_calibration_small.csv"


def line(**changes):
    """One stored line; 100 data sets of 500 rows, a twentieth of them flagged in each."""
    out = {
        "scatter": "empirical",
        "law": "normal",
        "n": 100,
        "p": 2,
        "null": "chi2",
        "rows": "new",
        "level": 0.05,
    }
    out |= {"sets": 100, "failed": 0, "tested": 500, "flagged": 2500, "squares": 62500, "references": 0}
    return {**out, "seconds": 1.0, **changes}


def counted(counts, tested, **changes):
    counts = np.asarray(counts)
    sums = {"sets": counts.size, "flagged": int(counts.sum()), "squares": int((counts**2).sum())}
    return line(**sums, tested=tested, **changes)


# ------------------------------------------------------------------------------------------------- rows and seeds


@pytest.mark.parametrize("law", rows.LAWS)
def test_every_law_has_the_same_mean_and_covariance(law):
    X = rows.rows_of(law, 200_000, 3, np.random.default_rng(0))
    want = toeplitz(0.5 ** np.arange(3))
    error = X.std(axis=0) / np.sqrt(len(X))
    assert (np.abs(X.mean(axis=0)) < 5 * error).all()
    heavy = 0.3 if law == "lognormal" else 0.05  # its fourth moment is 110 times that of the variance
    np.testing.assert_allclose(np.cov(X.T), want, atol=heavy)


def test_the_laws_are_those_that_they_are_called():
    d2 = {}
    for law in rows.LAWS:
        X = rows.rows_of(law, 50_000, 4, np.random.default_rng(1))
        d2[law] = np.einsum("ij,ij->i", X @ np.linalg.inv(toeplitz(0.5 ** np.arange(4))), X)
    kurtosis = {law: np.mean(values**2) / (4 * 6) for law, values in d2.items()}  # 1 for normal rows
    assert kurtosis["normal"] == pytest.approx(1.0, rel=0.02)
    assert kurtosis["t5"] == pytest.approx(3.0, rel=0.3)  # (5 - 2) / (5 - 4)
    assert kurtosis["uniform"] == pytest.approx((4 * 1.8 + 4 * 3) / 24, rel=0.02)
    assert kurtosis["lognormal"] > 5
    assert 1.05 < kurtosis["skew-normal"] < 1.3


def test_data_sets_differ_and_repeat_themselves():
    tables = {
        key: rows.data_set(*key)[0] for key in [("normal", 30, 2, 0), ("normal", 30, 2, 1), ("t5", 30, 2, 0)]
    }
    sums = {key: X.sum() for key, X in tables.items()}
    assert len(set(sums.values())) == 3
    X, fresh, n_out = rows.data_set("normal", 30, 2, 1)
    np.testing.assert_array_equal(X, tables["normal", 30, 2, 1])
    assert fresh.shape == (rows.N_NEW, 2)
    assert n_out == 0
    assert not np.isin(X[:, 0], fresh[:, 0]).any()


def test_planted_outliers_are_one_cluster_far_away():
    X, _, n_out = rows.data_set("planted", 100, 4, 0)
    assert n_out == 15
    gap = np.abs(X[:15].mean(axis=0) - X[15:].mean(axis=0))
    assert (gap > 8).all()
    assert (gap < 12).all()
    assert X[:15].std(axis=0).max() < 2


def test_a_null_alone_gives_the_numbers_that_it_gives_among_others():
    cell = e01.Cell("empirical", "t5", 30, 2)
    together = e01.measure(cell, {"chi2": (0, 3), "normal": (0, 5), "split": (1, 4)})
    for null, span in (("normal", (0, 5)), ("split", (1, 4))):
        alone = e01.measure(cell, {null: span})
        assert [numbers(one) for one in alone] == [numbers(one) for one in together if one["null"] == null]


def numbers(line):
    return {key: value for key, value in line.items() if key != "seconds"}


# ------------------------------------------------------------------------------------------------- measuring


@pytest.mark.parametrize("name", ["chi2", "normal", "bootstrap", "split", "jackknife", "full"])
def test_pvalues_are_those_of_the_detector(name):
    X, fresh, _ = rows.data_set("skew-normal", 40, 3, 0)
    scatter = EmpiricalCovariance().fit(X)
    null, again = (e01.NULLS[name]("empirical", 40, 5) for _ in range(2))
    detector = MahalanobisDetector(EmpiricalCovariance(), null, alpha=0.05).fit(X)
    d2 = scatter.mahalanobis(X)
    ours = e01.pvalues(again.fit(scatter, X, d2), scatter, d2, fresh)
    np.testing.assert_array_equal(ours["train"], detector.pvalues_)
    np.testing.assert_allclose(ours["new"], detector.pvalues(fresh), rtol=1e-10)


def test_counts_are_counts():
    cell = e01.Cell("empirical", "normal", 30, 2)
    lines = e01.measure(cell, {"chi2": (0, 4)})
    detectors = [
        MahalanobisDetector(EmpiricalCovariance(), "chi2").fit(rows.data_set(*cell[1:], r)[0])
        for r in range(4)
    ]
    for one in lines:
        if one["rows"] == "train":
            counts = [int((d.pvalues_ <= one["level"]).sum()) for d in detectors]
            assert (one["flagged"], one["squares"]) == (sum(counts), sum(c**2 for c in counts))
            assert (one["sets"], one["tested"]) == (4, 30)
        else:
            assert one["tested"] == rows.N_NEW
    assert {one["rows"] for one in lines} == {"train", "new"}


def test_a_fit_that_fails_is_counted(monkeypatch):
    class Fails:
        def fit(self, *args):
            raise e01.RankDeficientError("too few rows")

    monkeypatch.setitem(e01.NULLS, "chi2", lambda scatter, n, seed: Fails())
    lines = e01.measure(e01.Cell("empirical", "normal", 30, 2), {"chi2": (0, 3)})
    assert {(one["sets"], one["failed"]) for one in lines} == {(0, 3)}
    (failure,) = verdicts.check(lines)
    assert "3 fits failed" in failure


def test_cells_that_make_no_sense_are_left_out():
    for scatter in ("empirical", "mcd", "ogk"):
        assert e01.nulls_of(e01.Cell(scatter, "normal", 52, 50)) == []
        assert "split" not in e01.nulls_of(e01.Cell(scatter, "normal", 100, 50))
        assert "split" in e01.nulls_of(e01.Cell(scatter, "normal", 106, 50))
    for scatter in set(e01.SCATTERS) - {"empirical", "mcd", "ogk"}:
        assert "split" in e01.nulls_of(e01.Cell(scatter, "normal", 30, 50))
    for scatter in e01.SCATTERS:
        for n, p in e01.GRIDS["full"].sizes:
            for null in e01.nulls_of(e01.Cell(scatter, "normal", n, p)):
                assert e01.sets_of(e01.Cell(scatter, "normal", n, p), null, e01.GRIDS["full"]) >= 60
    assert set(e01.GRIDS["full"].sizes) == {(n, p) for n in (30, 100, 500) for p in (2, 10, 50)}


# ------------------------------------------------------------------------------------------------- the store


def test_a_run_goes_on_where_it_was(tmp_path, capsys):
    whole, parts, only = (
        tmp_path / "whole.csv",
        tmp_path / "parts.csv",
        {"scatter": "empirical|oas", "null": "chi2|normal"},
    )
    e01.run(whole, TINY, only)
    e01.run(parts, TINY._replace(sizes=TINY.sizes[:1], sets=(2, 2, 2)), {**only, "law": "normal|t5"})
    few = e01.load(parts)
    assert {one["sets"] for one in few.values()} == {2}
    e01.run(parts, TINY, only)
    stored = [[numbers(one) for one in e01.load(path).values()] for path in (whole, parts)]
    assert stored[0] == stored[1]
    assert len(stored[0]) == 2 * 5 * 4 * 3  # sizes, laws, rows and levels, nulls of both scatters
    assert e01.missing(e01.load(parts), TINY, only) == []
    facts = json.loads(parts.with_suffix(".json").read_text())
    assert len(facts["commands"]) == 1  # both with the same arguments, here those of the tests
    assert facts["versions"]["numpy"] == np.__version__
    before = parts.read_bytes()
    e01.run(parts, TINY, {**only, "law": "uniform"}, again=True)
    assert [numbers(one) for one in e01.load(parts).values()] == stored[1]
    assert len(before) > 0


def test_the_filter_takes_what_matches():
    tasks = e01.missing({}, TINY, {"scatter": "mcd|qis", "law": "t5", "n": "40", "null": "chi2|auto"})
    assert {(cell.scatter, cell.n, tuple(spans)) for cell, spans in tasks} == {
        ("mcd", 40, ("chi2", "auto")),
        ("qis", 40, ("chi2",)),
    }


# ------------------------------------------------------------------------------------------------- bands


def test_the_band_holds_although_rows_of_a_data_set_go_together():
    rng = np.random.default_rng(3)
    inside = binomial = 0
    for _ in range(400):
        one = counted(rng.binomial(500, rng.beta(2.5, 47.5, 60)), 500)
        low, high = verdicts.band(one, 0.05, tests=5)  # each misses once in a hundred
        inside += low <= verdicts.rate(one) <= high
        binomial += abs(verdicts.rate(one) - 0.05) < 2.576 * np.sqrt(0.05 * 0.95 / (60 * 500))
    assert inside >= 384  # 396 expected
    assert binomial < 240


def test_the_standard_error_is_that_of_the_mean_over_data_sets():
    counts = np.random.default_rng(0).poisson([20, 30, 40, 50, 60] * 5)
    want = np.std(counts, ddof=1) / 5 / 500
    assert verdicts.standard_error(counted(counts, 500)) == pytest.approx(want, rel=1e-12)
    assert verdicts.standard_error(counted([5] * 20, 100)) == pytest.approx(np.sqrt(0.05 * 0.95 / 2000))


@pytest.mark.parametrize(
    ("level", "m", "rate"), [(0.05, 19, 0.05), (0.05, 50, 2 / 51), (0.01, 50, 0.0), (0.01, 99, 0.01)]
)
def test_the_conformal_rate_is_a_whole_number_of_ranks(level, m, rate):
    assert verdicts.conformal_rate(level, m) == pytest.approx(rate, rel=1e-12)


def test_the_aim_is_the_level_or_whole_ranks():
    assert verdicts.aim(line(null="bootstrap", references=50)) == 0.05
    assert verdicts.aim(line(null="split", references=50)) == pytest.approx(2 / 51)
    assert verdicts.aim(line(null="jackknife", rows="train", tested=50, references=50)) == pytest.approx(
        2 / 50
    )


@pytest.mark.parametrize("m", [50, 250])
def test_the_split_band_is_the_law_of_ranks_among_shared_distances(m):
    rng = np.random.default_rng(1)
    k, inside = int(0.05 * (m + 1)), 0
    for _ in range(300):
        counts = [rng.binomial(200, q) for q in rng.beta(k, m + 1 - k, 40)]
        one = counted(counts, 200, null="split", references=m)
        low, high = verdicts.split_band(one, tests=5)
        inside += low <= verdicts.rate(one) <= high
    assert 287 <= inside < 300  # 297 expected
    assert high - low < 0.06
    assert verdicts.split_band(line(references=10, level=0.05), 5) == (0.0, 0.0)


# ------------------------------------------------------------------------------------------------- verdicts


def test_conformal_rates_are_held_to_their_ranks():
    good = line(null="split", references=99)
    assert verdicts.check([good, {**good, "null": "full"}]) == []
    for null in ("split", "full"):
        for flagged in (2000, 3000):
            (failure,) = verdicts.check(
                [line(null=null, references=99, flagged=flagged, squares=flagged**2 // 100)]
            )
            assert failure.startswith(f"empirical, {null}, normal rows, n = 100, p = 2, new rows at 5 %: ")
    few = line(null="split", references=50, level=0.01, flagged=1, squares=1)  # no rank is so small
    assert len(verdicts.check([few])) == 1
    assert verdicts.check([{**few, "rows": "train"}]) == []


def test_exact_laws_are_held_to_the_level_on_normal_rows():
    assert verdicts.check([line(null="normal")]) == []
    off = line(null="normal", flagged=3000, squares=90000)
    assert len(verdicts.check([off])) == 1
    assert verdicts.check([{**off, "law": "t5"}]) == []


@pytest.mark.parametrize(
    ("changes", "times", "fails"),
    [
        ({}, 1.25, False),
        ({}, 1.5, True),
        ({}, 0.6, True),
        ({"n": 15}, 1.5, False),  # fewer than ten rows a column
        ({"level": 0.01, "n": 500}, 1.5, False),
        ({"level": 0.01, "n": 500}, 1.9, True),
        ({"level": 0.01}, 1.9, False),
        ({"scatter": "mrcd", "null": "auto", "references": 2000}, 1.5, True),
        (
            {"scatter": "mrcd", "null": "auto", "references": 2000, "law": "t5"},
            1.5,
            False,
        ),  # outliers, for a law of normal rows
        ({"scatter": "qis", "law": "t5", "rows": "train"}, 1.5, True),
        ({"scatter": "mcd", "null": "auto"}, 1.5, False),  # no bootstrap
    ],
)
def test_bootstrap_rates_are_held_near_the_level(changes, times, fails):
    one = line(**{"null": "bootstrap", **changes})
    each = round(500 * one["level"] * times)
    one |= {"flagged": 100 * each, "squares": 100 * each**2}
    assert bool(verdicts.bootstrap_failures([one])) is fails


def test_what_nobody_can_tell_is_told_apart():
    sure = counted([33] * 99 + [34], 500, null="bootstrap")  # 6.6 %
    unsure = counted([0, 66] * 50, 500, null="bootstrap", scatter="oas")
    assert len(verdicts.bootstrap_doubts([unsure])) == 1
    assert verdicts.bootstrap_failures([unsure]) == []
    sure["flagged"] *= 2
    sure["squares"] *= 4
    assert verdicts.bootstrap_doubts([sure]) == []
    assert len(verdicts.bootstrap_failures([sure])) == 1


def test_the_bootstrap_is_held_against_chi_square():
    place = {"scatter": "qis", "law": "lognormal"}
    ours = line(null="bootstrap", flagged=3000, squares=90000, **place)
    theirs = line(null="chi2", flagged=5000, squares=250000, **place)
    assert verdicts.mean_errors([ours, theirs]) == {("qis", "new", 0.05): pytest.approx((0.01, 0.05))}
    assert verdicts.chi_square_failures([ours, theirs]) == []
    assert len(verdicts.chi_square_failures([{**ours, "null": "chi2"}, {**theirs, "null": "bootstrap"}])) == 1
    assert verdicts.mean_errors([{**ours, "law": "normal"}, {**theirs, "law": "normal"}]) == {}


def test_a_missed_outlier_fails():
    found = line(
        scatter="ogk", null="auto", law="planted", rows="outliers", level=0.01, tested=15, flagged=1500
    )
    assert verdicts.check([found]) == []
    (failure,) = verdicts.check([{**found, "flagged": 1499}])
    assert "1 of 1500 missed" in failure


# ------------------------------------------------------------------------------------------------- runs


def test_a_tiny_run_keeps_what_is_promised(tmp_path):
    path = tmp_path / "tiny.csv"
    e01.run(
        path, TINY._replace(sets=(40, 10, 2)), {"scatter": "empirical", "law": "normal|lognormal", "n": "30"}
    )
    lines = list(e01.load(path).values())
    assert {one["null"] for one in lines} == set(e01.nulls_of(e01.Cell("empirical", "normal", 30, 2)))
    assert verdicts.conformal_failures(lines) == verdicts.exact_failures(lines) == []
    parts = verdicts.render(lines, json.loads(path.with_suffix(".json").read_text()))
    assert "| empirical | 30 | 2 | chi2 |" in parts["e01"]
    page = "a<!-- e01: begin -->old<!-- e01: end -->b<!-- misses: begin --><!-- misses: end -->c"
    text = verdicts.rendered(page, parts)
    assert "old" not in text
    assert (text[0], text[-1]) == ("a", "c")
    assert verdicts.rendered(text, parts) == text


@pytest.mark.parametrize("scatter", verdicts.ROBUST)
def test_auto_flags_all_planted_outliers(scatter):
    lines = e01.measure(e01.Cell(scatter, "planted", 100, 10), {"auto": (0, 2)})
    assert {one["rows"] for one in lines} == {"outliers", "clean", "new"}
    assert verdicts.planted_failures(lines) == []


@pytest.mark.slow
@pytest.mark.parametrize("scatter", list(e01.SCATTERS))
def test_a_run_of_every_scatter_keeps_what_is_promised(scatter, tmp_path):
    path = tmp_path / "run.csv"
    e01.run(path, e01.Grid(((100, 2),), (100, 60, 6)), {"scatter": scatter})
    lines = list(e01.load(path).values())
    assert verdicts.conformal_failures(lines) == verdicts.exact_failures(lines) == []
    assert verdicts.bootstrap_failures(lines) == verdicts.chi_square_failures(lines) == []


@pytest.mark.skipif(not STORED.exists(), reason="the study has not been run")
def test_the_page_shows_the_stored_result():
    lines = list(e01.load(STORED).values())
    parts = verdicts.render(lines, json.loads(STORED.with_suffix(".json").read_text()))
    text = verdicts.PAGE.read_text()
    assert verdicts.rendered(text, {"auto": verdicts.auto_rows(), **parts}) == text


@pytest.mark.skipif(not STORED.exists(), reason="the study has not been run")
def test_the_stored_result_covers_the_small_grid():
    lines = list(e01.load(STORED).values())
    assert {(one["n"], one["p"]) for one in lines} == set(e01.GRIDS["small"].sizes)
    assert {one["scatter"] for one in lines} == set(e01.SCATTERS)
    for calls in (verdicts.conformal_failures, verdicts.exact_failures, verdicts.planted_failures):
        assert calls(lines) == []
