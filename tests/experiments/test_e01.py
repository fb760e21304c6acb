"""The study of sizes: its rows, counts, bands and verdicts, what a small run of it says, and its page."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import toeplitz

if not (Path(__file__).parents[2] / "experiments").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)

from experiments._render import Results, with_blocks
from experiments._run import run
from experiments._spec import Method, Seeds, methods
from experiments.e01_size import page, spec, verdicts
from fmahal import EmpiricalCovariance, MahalanobisDetector, MinCovDet

ROWS = ("new", "train")


def line(**changes):
    """One rate; 100 data sets of 500 rows, a twentieth of them flagged in each."""
    out = {"scatter": "empirical", "label": "any", "robust": False, "law": "normal", "n": 100, "p": 2}
    out |= {"null": "chi2", "rows": "new", "level": 0.05, "sets": 100, "lost": 0, "tested": 500}
    return {**out, "flagged": 2500, "squares": 62500, "references": 0, "milliseconds": 1, **changes}


def counted(counts, tested, **changes):
    counts = np.asarray(counts)
    sums = {"sets": counts.size, "flagged": int(counts.sum()), "squares": int((counts**2).sum())}
    return line(**sums, tested=tested, **changes)


def method(name):
    (found,) = (one for one in methods("size") if one.name == name)
    return found


def cell(name, law, n, p, batch=2, repetition=0, nulls=None):
    """Records of one cell, by (null, rows); `nulls` instead of those of the method."""
    one = method(name)
    if nulls:
        one = dataclasses.replace(one, options={**one.options, "nulls": nulls})
    data = spec.data_set(law, n, p, batch)
    seeds = Seeds("e01", data.name, repetition)
    records = list(spec.measure(data.draw(seeds), one, seeds))
    return {(record["null"], record["rows"]): record for record in records}


def numbers(record):
    return {key: value for key, value in record.items() if key != "milliseconds"}


# ------------------------------------------------------------------------------------------------- rows and seeds


@pytest.mark.parametrize("law", spec.LAWS)
def test_every_law_has_the_same_mean_and_covariance(law):
    X = spec.rows_of(law, 200_000, 3, np.random.default_rng(0))
    want = toeplitz(0.5 ** np.arange(3))
    error = X.std(axis=0) / np.sqrt(len(X))
    assert (np.abs(X.mean(axis=0)) < 5 * error).all()
    heavy = 0.3 if law == "lognormal" else 0.05  # its fourth moment is 110 times that of the variance
    np.testing.assert_allclose(np.cov(X.T), want, atol=heavy)


def test_the_laws_are_those_that_they_are_called():
    d2 = {}
    for law in spec.LAWS:
        X = spec.rows_of(law, 50_000, 4, np.random.default_rng(1))
        d2[law] = np.einsum("ij,ij->i", X @ np.linalg.inv(toeplitz(0.5 ** np.arange(4))), X)
    kurtosis = {law: np.mean(values**2) / (4 * 6) for law, values in d2.items()}  # 1 for normal rows
    assert kurtosis["normal"] == pytest.approx(1.0, rel=0.02)
    assert kurtosis["t5"] == pytest.approx(3.0, rel=0.3)  # (5 - 2) / (5 - 4)
    assert kurtosis["uniform"] == pytest.approx((4 * 1.8 + 4 * 3) / 24, rel=0.02)
    assert kurtosis["lognormal"] > 5
    assert 1.05 < kurtosis["skew-normal"] < 1.3


def test_data_sets_differ_and_repeat_themselves():
    def draw(law, repetition):
        data = spec.data_set(law, 30, 2, 2)
        return data.draw(Seeds("e01", data.name, repetition)).tables

    first, again = draw("normal", 0), draw("normal", 0)
    np.testing.assert_array_equal(first[1].X, again[1].X)
    sums = {table.X.sum() for table in (*first, *draw("normal", 1), *draw("t5", 0))}
    assert len(sums) == 6
    assert first[0].fresh.shape == (spec.N_NEW, 2)
    assert first[0].n_out == 0
    assert not np.isin(first[0].X[:, 0], first[0].fresh[:, 0]).any()


def test_planted_outliers_are_one_cluster_far_away():
    X, _, n_out = spec.table_of("planted", 100, 4, Seeds("e01", "any", 0), 0)
    assert n_out == 15
    gap = np.abs(X[:15].mean(axis=0) - X[15:].mean(axis=0))
    assert (gap > 8).all()
    assert (gap < 12).all()
    assert X[:15].std(axis=0).max() < 2


def test_a_null_alone_gives_the_numbers_that_it_gives_among_others():
    together = cell("empirical", "t5", 30, 2, nulls=("chi2", "normal", "split"))
    for null in ("normal", "split"):
        alone = cell("empirical", "t5", 30, 2, nulls=(null,))
        assert {key[0] for key in alone} == {null}
        assert all(numbers(one) == numbers(together[key]) for key, one in alone.items())


# ------------------------------------------------------------------------------------------------- measuring


@pytest.mark.parametrize("name", ["chi2", "normal", "bootstrap", "split", "jackknife", "full", "empirical"])
def test_pvalues_are_those_of_the_detector(name):
    X, fresh, _ = spec.table_of("skew-normal", 40, 3, Seeds("e01", "any", 0), 0)
    scatter = EmpiricalCovariance().fit(X)
    null, again = (spec.NULLS[name](method("empirical"), 40, 5) for _ in range(2))
    detector = MahalanobisDetector(EmpiricalCovariance(), null, alpha=0.05).fit(X)
    d2 = scatter.mahalanobis(X)
    ours = spec.pvalues(again.fit(scatter, X, d2), scatter, d2, fresh)
    np.testing.assert_array_equal(ours["train"], detector.pvalues_)
    np.testing.assert_allclose(ours["new"], detector.pvalues(fresh), rtol=1e-10)


def test_counts_are_counts():
    records = cell("empirical", "normal", 30, 2, batch=4, nulls=("chi2",))
    tables = spec.data_set("normal", 30, 2, 4).draw(Seeds("e01", "normal 30 x 2", 0)).tables
    detectors = [MahalanobisDetector(EmpiricalCovariance(), "chi2").fit(table.X) for table in tables]
    values = {
        "train": [one.pvalues_ for one in detectors],
        "new": [one.pvalues(table.fresh) for one, table in zip(detectors, tables, strict=True)],
    }
    for rows, tested in (("train", 30), ("new", spec.N_NEW)):
        record = records["chi2", rows]
        assert (record["sets"], record["lost"], record["tested"]) == (4, 0, tested)
        for percent in (1, 5):
            counts = [int((p <= percent / 100).sum()) for p in values[rows]]
            assert record[f"flagged_{percent}"] == sum(counts)
            assert record[f"squares_{percent}"] == sum(c**2 for c in counts)


def test_a_fit_that_fails_is_counted(monkeypatch):
    class Fails:
        def fit(self, *args):
            raise spec.RankDeficientError("too few rows")

    monkeypatch.setitem(spec.NULLS, "chi2", lambda method, n, seed: Fails())
    records = cell("empirical", "normal", 30, 2, nulls=("chi2",))
    assert [(one["sets"], one["lost"], one["failed"]) for one in records.values()] == [
        (0, 2, "RankDeficientError")
    ]
    (failure,) = verdicts.check(page.lines_of(frame_of(records.values())))
    assert "2 fits failed" in failure


def frame_of(records, **changes):
    """Records as the results of one cell."""
    import pandas as pd

    same = {"law": "normal", "n": 30, "p": 2, "method": "empirical", "repetition": 0, **changes}
    return pd.DataFrame([{**same, **one} for one in records])


def test_cells_that_make_no_sense_are_left_out():
    known = {one.name: one for one in methods("size")}
    for name in ("empirical", "mcd", "ogk"):
        assert spec.nulls_of(known[name], "normal", 52, 50) == []
        assert "split" not in spec.nulls_of(known[name], "normal", 100, 50)
        assert "split" in spec.nulls_of(known[name], "normal", 106, 50)
    assert "auto" not in spec.nulls_of(known["mcd"], "normal", 500, 50)  # minutes of simulation
    for name in {*known} - {"empirical", "mcd", "ogk"}:
        assert "split" in spec.nulls_of(known[name], "normal", 30, 50)
    for name, one in known.items():
        assert spec.nulls_of(one, "planted", 100, 10) == (["auto"] if one.options.get("robust") else []), name
    assert spec.nulls_of(Method("mine", lambda seed: None), "t5", 30, 2) == list(spec.NULLS_BY_DEFAULT)


def test_costly_nulls_have_fewer_data_sets_and_later_repetitions_lack_them():
    one = method("modified-cholesky-cv")
    sets = {null: spec.sets_of(one, null, "normal", 100, 10) for null in ("chi2", "split")}
    assert sets["split"] < sets["chi2"]
    assert spec.repetitions(spec.data_set("normal", 100, 10), one, "paper") * spec.BATCH == sets["chi2"]
    first, second = (
        cell("wrapped", "normal", 30, 2, 1, repetition, ("chi2", "split")) for repetition in (0, 1)
    )
    assert {null for null, _ in first} == {"chi2", "split"}
    assert {null for null, _ in second} == {"chi2"}


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_every_scatter_is_in_every_profile(profile):
    planned = spec.EXPERIMENT.cells(profile)
    assert {one.method for one in planned} == {one.name for one in methods("size")}
    assert {one.data.split()[0] for one in planned} >= {"normal", "t5", "planted"}
    assert len({one.key for one in planned}) == len(planned)


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
        ({"scatter": "mrcd", "robust": True, "null": "auto", "references": 2000}, 1.5, True),
        (
            {"scatter": "mrcd", "robust": True, "null": "auto", "references": 2000, "law": "t5"},
            1.5,
            False,
        ),  # outliers, for a law of normal rows
        ({"scatter": "qis", "law": "t5", "rows": "train"}, 1.5, True),
        ({"scatter": "mcd", "robust": True, "null": "auto"}, 1.5, False),  # no bootstrap
        ({"scatter": "spectral", "null": "auto", "references": 2000}, 1.5, True),
        ({"sets": 1}, 1.5, False),  # no standard error
    ],
)
def test_bootstrap_rates_are_held_near_the_level(changes, times, fails):
    one = line(**{"null": "bootstrap", **changes})
    each = round(500 * one["level"] * times)
    one |= {"flagged": one["sets"] * each, "squares": one["sets"] * each**2}
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


def spread(share, se, sets=80, **changes):
    """A line whose rate is `share`, of `sets` data sets between which it has the standard error `se`."""
    wide = se * 500 * np.sqrt(sets - 1)
    counts = 500 * share + wide * np.array([-1.0, 1.0]).repeat(sets // 2)
    sums = {"sets": sets, "flagged": float(counts.sum()), "squares": float((counts**2).sum())}
    return line(**sums, **changes)


def test_bands_are_two_sided_and_those_of_students_t():
    from scipy import stats

    for sets, tests in ((6, 1), (80, 240)):
        one = spread(0.05, 0.004, sets)
        assert verdicts.standard_error(one) == pytest.approx(0.004)
        low, high = verdicts.band(one, 0.05, tests)
        want = 0.004 * stats.t(sets - 1).ppf(1 - 0.05 / tests / 2)
        assert (0.05 - low, high - 0.05) == pytest.approx((want, want))


@pytest.mark.parametrize(("null", "failures"), [("full", "conformal_failures"), ("normal", "exact_failures")])
def test_many_rates_are_held_to_their_bands_at_once(null, failures):
    call = getattr(verdicts, failures)
    far = spread(0.05 + 3.2 * 0.004, 0.004, null=null, references=99)
    assert len(call([far])) == 1
    assert call([far] * 200) == []  # of so many, some are that far by chance


def test_a_bootstrap_rate_fails_beyond_two_standard_errors():
    edge = 0.05 * 1.3
    near, far = (spread(edge + times * 0.004, 0.004, null="bootstrap") for times in (1.9, 2.1))
    assert verdicts.bootstrap_failures([near]) == []
    assert len(verdicts.bootstrap_doubts([near])) == len(verdicts.bootstrap_failures([far])) == 1


def test_the_bands_of_split_rates_leave_out_no_more_than_they_may():
    from scipy import stats

    one = line(null="split", references=50, sets=1, tested=60)
    law = stats.betabinom(60, 2, 49)
    for tests in (1, 10):
        low, high = (round(60 * end) for end in verdicts.split_band(one, tests))
        for tail in (law.cdf(low - 1), law.sf(high)):
            assert tail <= 0.025 / tests
        assert law.cdf(low) > 0.025 / tests < law.sf(high - 1)
    rng = np.random.default_rng(0)
    sums = rng.binomial(60, rng.beta(2, 49, (4000, 8))).sum(axis=1) / 480
    low, high = verdicts.split_band({**one, "sets": 8}, 1)
    assert 0.01 < (sums > high).mean() < 0.035
    assert (sums < low).mean() < 0.035


def test_rates_that_aim_at_zero_are_counted():
    lines = [line(null="split", references=m, level=level) for m in (15, 50) for level in verdicts.LEVELS]
    zero, half = verdicts.conformal_resolution(lines)
    low, high = verdicts.split_band(lines[-1], 4)
    assert (zero, half) == (3, pytest.approx((high - low) / 2))


def test_means_leave_out_sizes_with_hardly_more_rows_than_columns():
    wide = {"scatter": "qis", "law": "t5", "n": 52, "p": 50}
    pair = [line(null="bootstrap", **wide), line(null="chi2", **wide)]
    assert verdicts.mean_errors(pair) == {}
    assert len(verdicts.mean_errors([{**one, "n": 53} for one in pair])) == 1


def test_chi_square_and_the_bootstrap_are_compared_on_the_same_designs():
    place = {"law": "t5", "label": "any"}
    lines = [
        line(null="chi2", flagged=5000, squares=250000, **place),
        line(null="bootstrap", flagged=3000, squares=90000, **place),
        line(null="chi2", flagged=25000, squares=6250000, scatter="unpaired", **place),
        line(null="weighted", flagged=25000, squares=6250000, law="normal", label="any", scatter="spectral"),
    ]
    made = page.numbers(lines)
    assert (made["e01.paired"], made["e01.chi2.other.mean"], made["e01.bootstrap.other.mean"]) == (
        "1",
        "5.0",
        "1.0",
    )
    assert made["e01.chi2.normal.mean"] == "-"


def test_sentences_of_the_paper_are_held_against_the_rates():
    flagged = {"flagged": 10000, "squares": 1000000}
    good = [
        line(null="auto", robust=True, law="t5", scatter="ogk", **flagged),
        line(null="split", flagged=0, squares=0, references=10),
        line(null="auto", scatter="spectral", p=50, **flagged),
        line(null="auto", scatter="spectral", p=50, law="uniform", flagged=500, squares=2500),
    ]
    assert len(verdicts.facts_of_sentences(good)) == 3
    assert verdicts.sentence_failures(good) == verdicts.sentence_failures([]) == []
    bad = [{**one, "flagged": 2500, "squares": 62500} for one in good]
    assert len(verdicts.sentence_failures(bad)) == 3


def test_bars_of_the_figure_are_two_standard_errors(monkeypatch):
    seen = []
    monkeypatch.setattr(page, "draw_rates", lambda canvas, dots, laws: seen.extend(dots))
    one = spread(0.05, 0.004, n=100, p=10, label="any")
    made = page.figure([one])
    made.draw(None)
    ((*_, share, low, high),) = seen
    assert (share, low, high) == pytest.approx((5.0, 4.2, 5.8))
    assert "two standard errors" in made.caption
    assert made.docs


# ------------------------------------------------------------------------------------------------- runs and page


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Smoke cells of a few cheap methods, through the harness."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("e01")
    only = {"method": "empirical|ledoit-wolf|qis|mcd", "law": "normal|planted"}
    store = run(spec.EXPERIMENT, "smoke", only=only, folder=folder, backend="sequential")
    return Results("e01", pd.read_parquet(store.parquet), {"profile": "smoke", "versions": {"numpy": "0"}})


def test_the_page_shows_every_method_that_was_run(stored, panels):
    made = page.render(stored)
    table = made.tables["e01_summary"]
    shown = {row[0] for row in table.rows if row} - {""}
    assert shown == {method(name).label for name in ("empirical", "ledoit-wolf", "qis", "mcd")}
    assert "| ledoit-wolf | bootstrap |" in made.blocks["docs/nulls.md"]["e01"]
    assert "of 9 |" in made.blocks["docs/nulls.md"]["e01"]  # planted
    assert made.numbers["e01.scatters"] == "4"
    assert len(made.findings) >= 5
    assert panels(made.figures["e01_level"])
    blocks = made.blocks["docs/nulls.md"]
    text = "".join(f"a<!-- {mark}: begin -->before<!-- {mark}: end -->" for mark in blocks)
    text = with_blocks(text, blocks, "docs/nulls.md")
    assert "-->before<!--" not in text
    assert with_blocks(text, blocks, "docs/nulls.md") == text


def test_lines_sum_over_repetitions():
    same = {"null": "chi2", "rows": "new", "robust": False, "references": 0, "tested": 500, "milliseconds": 2}
    first = {"sets": 2, "lost": 0, "flagged_1": 3, "squares_1": 5, "flagged_5": 7, "squares_5": 25}
    second = {"sets": 3, "lost": 1, "flagged_1": 1, "squares_1": 1, "flagged_5": 9, "squares_5": 31}
    records = [{**same, **first}, {**same, **second, "failed": "RankDeficientError"}]
    one, five = page.lines_of(frame_of(records))
    assert (one["level"], five["level"]) == verdicts.LEVELS
    assert (one["sets"], one["lost"], one["flagged"], one["squares"]) == (5, 1, 4, 6)
    assert (five["flagged"], five["squares"], five["tested"]) == (16, 56, 500)


def test_numbers_of_missing_results_are_dashes():
    made = page.numbers([line(null="normal")])
    assert made["e01.exact.normal.worst"] == "0.0"
    assert made["e01.chi2.normal.worst"] == made["e01.robust.other.highest"] == "-"


def test_a_short_run_keeps_what_is_promised():
    records = cell("empirical", "lognormal", 30, 2, 10, nulls=("split", "full"))
    records |= cell("empirical", "normal", 30, 2, 10, nulls=("normal",))
    laws = {"normal": "normal", "split": "lognormal", "full": "lognormal"}
    lines = page.lines_of(frame_of([{**one, "law": laws[one["null"]]} for one in records.values()]))
    assert {one["null"] for one in lines} == set(laws)
    assert verdicts.conformal_failures(lines) == verdicts.exact_failures(lines) == []


@pytest.mark.parametrize("name", ["mcd", pytest.param("mrcd", marks=pytest.mark.slow), "ogk", "wrapped"])
def test_auto_flags_all_planted_outliers(name):
    records = cell(name, "planted", 100, 10, 1)
    assert {rows for _, rows in records} == {"outliers", "clean", "new"}
    lines = page.lines_of(frame_of(records.values(), law="planted", n=100, p=10, method=name))
    assert verdicts.planted_failures(lines) == []
    assert verdicts.checked(lines)[list(verdicts.CHECKS)[-1]] == 1


def test_scatters_that_draw_subsets_take_the_seed():
    one = method("mcd").make(17)
    assert isinstance(one, MinCovDet)
    assert one.random_state == 17


@pytest.mark.slow
@pytest.mark.parametrize("name", [one.name for one in methods("size")])
def test_a_run_of_every_scatter_keeps_what_is_promised(name):
    records = cell(name, "normal", 100, 2, 10)
    lines = page.lines_of(frame_of(records.values(), n=100, method=name))
    assert verdicts.conformal_failures(lines) == verdicts.exact_failures(lines) == []
    assert verdicts.bootstrap_failures(lines) == []


STORED = spec.EXPERIMENT.folder / "results" / "paper.parquet"


@pytest.mark.skipif(not STORED.exists(), reason="the paper's results are not here")
def test_the_stored_result_has_every_null_of_every_scatter_and_keeps_what_is_promised():
    import pandas as pd

    frame = pd.read_parquet(STORED)
    lines = page.lines_of(frame)
    want = {
        (one.name, data.axes["law"], data.axes["n"], data.axes["p"], null)
        for data in spec.data_sets("paper")
        for one in methods("size")
        for null in spec.nulls_of(one, data.axes["law"], data.axes["n"], data.axes["p"])
    }
    assert {tuple(k[key] for key in ("scatter", "law", "n", "p", "null")) for k in lines} >= want
    assert STORED.stat().st_size < 400_000
    for calls in (verdicts.conformal_failures, verdicts.exact_failures, verdicts.planted_failures):
        assert calls(lines) == []
