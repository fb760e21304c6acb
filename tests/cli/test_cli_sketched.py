"""Sketched variants under composed names: found, refused with a reason, set up, shown."""

import csv
import json
import re

import numpy as np
import pytest

from fmahal import BootstrapNull, MahalanobisDetector, ShrunkCovariance, Sketched
from fmahal._registry import Registry, nulls, scatters
from fmahal.cli import _params
from fmahal.cli._compare import _worthwhile
from fmahal.scatter._sketch_names import rank_bound

NAME = "sketched:shrunk"


@pytest.fixture
def wide(write, as_csv):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(30, 50))
    X[4] += 5 * rng.normal(size=50)
    return X, write(as_csv(X, names=[f"v{j}" for j in range(50)]))


def records(run, *arguments):
    code, text, err = run(*arguments, "--json")
    assert code == 0, err
    return json.loads(text)


# ------------------------------------------------------------------------------------------------ names


def test_every_plain_name_has_a_variant_that_no_listing_doubles():
    plain = scatters.names()
    assert not any(":" in name for name in plain)
    assert len(scatters) == len(plain) == len(list(scatters))
    assert scatters.composed() == [f"sketched:{name}" for name in plain]
    for entry in scatters:
        name = f"sketched:{entry.name}"
        assert name in scatters
        made = scatters[name].factory()
        assert isinstance(made, Sketched)
        assert repr(made.scatter) == repr(entry.factory())
        assert scatters[name].name == name


@pytest.mark.parametrize(
    "name", ["sketched", "sketched:", "sketched:nothing", "sketched:sketched:oas", "oas:oas", ":oas", None, 3]
)
def test_other_names_with_a_colon_are_unknown(name):
    assert name not in scatters
    with pytest.raises(ValueError, match=r"Unknown scatter .*oas.*; sketched:NAME with each of these names"):
        scatters[name]


def test_a_form_is_of_one_registry_and_covers_later_names():
    registry = Registry("toy")
    registry.compose("twice", "Twice", lambda entry: entry)
    assert "twice:a" not in registry
    registry.register("a", "A")(object)
    assert registry["twice:a"] is registry["a"]
    assert registry.forms() == {"twice:NAME": "Twice"}
    assert nulls.forms() == {}
    assert "sketched:chi2" not in nulls


def test_a_near_name_is_suggested(refused, csv_file):
    message = refused("detect", csv_file, "--scatter", "sketched:shrnk")
    assert "Did you mean 'sketched:shrunk'?" in message
    assert "sketched:NAME with each of these names" in message
    assert "Did you mean 'sketched:oas'?" in refused("compare", csv_file, "--scatter", "skteched:oas")


def test_info_tells_the_form(run):
    _, text, _ = run("info")
    assert re.search(r"^  sketched:NAME +.*n_components", text, re.MULTILINE)


# ------------------------------------------------------------------------------------------------ settings


def test_settings_reach_the_sketch_and_the_scatter_in_it():
    made = _params.make_scatter(
        NAME, {"n_components": 20, "kind": "srht", "shrinkage": 0.3, "random_state": 5}
    )
    assert (made.n_components, made.kind, made.random_state) == (20, "srht", 5)
    assert made.scatter.shrinkage == 0.3
    both = _params.make_scatter(
        "sketched:mcd", {"random_state": 5, "scatter__random_state": 6, "n_starts": 7}
    )
    assert (both.random_state, both.scatter.random_state, both.scatter.n_starts) == (5, 6, 7)
    seeded = _params.make_scatter("sketched:mcd", {})
    assert seeded.random_state == seeded.scatter.random_state == 0
    assert _params.accepts(made, "kind", "sparse")
    assert not _params.accepts(made, "kind", "convex")


def test_unknown_settings_are_refused_with_the_names_of_both(refused, csv_file):
    message = refused("detect", csv_file, "--scatter", NAME, "--set", "shrinkag=1")
    assert "Did you mean 'shrinkage'" in message
    assert "n_components" in message
    assert "scatter__" not in message
    assert "no such value of kind" in refused(
        "compare", csv_file, "--scatter", f"oas,{NAME}", "--set", "kind=convex"
    )
    assert "eps must" in refused(
        "detect", csv_file, "--scatter", NAME, "--set", "eps=2"
    )  # by the sketch itself


# ------------------------------------------------------------------------------------------------ where it applies


def test_a_variant_that_cannot_gain_says_why(run, refused, csv_file):
    reason = "keeps k = 215 coordinates, not below the rank 4: exact distances are cheaper"
    message = refused("detect", csv_file, "--scatter", NAME)
    assert reason in message
    assert message.endswith("Use --scatter shrunk.")
    left_out = records(run, "compare", csv_file, "--scatter", f"shrunk,{NAME}", "--null", "empirical")[
        "pairs"
    ]
    assert [(pair["scatter"], pair["status"]) for pair in left_out] == [("shrunk", "ok"), (NAME, "skipped")]
    assert left_out[1]["reason"] == reason
    assert "k = 4 coordinates" in refused("compare", csv_file, "--scatter", NAME, "--set", "n_components=4")


def test_what_the_rank_can_be():
    def bound(name, **settings):
        return rank_bound(_params.make_scatter(f"sketched:{name}", settings), 30, 50)

    assert bound("oas") == 50
    assert bound("empirical") == 29
    assert bound("empirical", assume_centered=True) == 30


def test_comparisons_take_up_variants_only_where_they_can_gain():
    assert _worthwhile({}, 75, 3) == []
    assert _worthwhile({}, 300, 400) == []  # the model: exact distances are cheaper
    assert "sketched:oas" in _worthwhile({}, 5000, 1000)
    assert "sketched:modified-cholesky" not in _worthwhile(
        {}, 5000, 1000
    )  # how wide it is, only the fit knows
    assert "sketched:empirical" not in _worthwhile({"n_components": 20}, 30, 50)  # does not apply itself
    assert "sketched:oas" in _worthwhile({"n_components": 20}, 30, 50)
    assert _worthwhile({"n_components": 20}, 75, 3) == []


def test_a_setting_of_variants_that_are_not_taken_up_is_told_as_such(refused, csv_file):
    message = refused("compare", csv_file, "--set", "delta=0.1")
    assert message.endswith("sketched:empirical and its like have it: name one with --scatter.")


def test_laws_of_exact_distances_do_not_apply(refused, wide):
    few = ("--set", "n_components=20")
    assert "weighted sums" in refused("detect", wide[1], "--scatter", NAME, *few, "--null", "chi2")
    assert "sample covariance" in refused("detect", wide[1], "--scatter", NAME, *few, "--null", "normal")


# ------------------------------------------------------------------------------------------------ results


def test_compare_runs_a_variant_beside_its_scatter(run, wide, tmp_path):
    X, path = wide
    common = ("compare", path, "--scatter", f"shrunk,oas,{NAME}", "--null", "chi2,empirical,bootstrap")
    settings = ("--set", "n_components=20", "--set", "shrinkage=0.3", "--set", "kind=sparse")
    report, out = tmp_path / "r.html", tmp_path / "t.csv"
    code, text, err = run(*common, *settings, "--alpha", "0.05", "--report", report, "--out", out)
    assert code == 0, err
    with out.open() as stream:
        rows = {(row["scatter"], row["null"]): row for row in csv.DictReader(stream)}
    assert rows[NAME, "chi2"]["status"] == "skipped"
    sketched = rows[NAME, "empirical"]
    assert sketched["sketch_components"] == "20"
    assert sketched["sketch_kind"] == "sparse"
    assert float(sketched["sketch_se"]) == pytest.approx(np.sqrt(2 / 20), rel=1e-12, abs=0)
    assert rows["shrunk", "empirical"]["sketch_kind"] == ""
    detector = MahalanobisDetector(
        Sketched(ShrunkCovariance(shrinkage=0.3), n_components=20, kind="sparse", random_state=0),
        BootstrapNull(n_resamples=99, random_state=0),
        alpha=0.05,
    ).fit(X)
    assert int(rows[NAME, "bootstrap"]["flagged"]) == (detector.labels_ == -1).sum() > 0
    page = report.read_text(encoding="utf-8")
    for shown in (text, page):
        assert "k = 20 sparse ±32%" in shown
        assert "the p-values hold the map fixed" in shown
    # the numbers of the others do not depend on whether a variant is shown
    rest = ("--null", "empirical", "--set", "shrinkage=0.3", "--alpha", "0.05")
    alone = records(run, "compare", path, "--scatter", "shrunk,oas", *rest)
    together = records(run, *common[:-2], *settings[:2], *rest)
    for one, other in zip(alone["pairs"], together["pairs"]):
        assert (one["scatter"], one["agreement"]) == (other["scatter"], other["agreement"])


def test_plain_tables_show_nothing_of_sketches(run, wide):
    _, text, _ = run("compare", wide[1], "--scatter", "shrunk", "--null", "empirical")
    assert "sketch" not in text


def test_detect_shows_the_map(run, wide, tmp_path):
    X, path = wide
    report = tmp_path / "r.html"
    call = (
        "detect",
        path,
        "--scatter",
        NAME,
        "--set",
        "n_components=20",
        "--null",
        "empirical",
        "--alpha",
        "0.05",
    )
    code, text, err = run(*call, "--report", report)
    assert code == 0, err
    assert (
        "sketch   20 coordinates by a gaussian map; relative standard error of a squared distance 32%" in text
    )
    assert "note: the distances are sketched" in text
    page = report.read_text(encoding="utf-8")
    assert "20 coordinates by a gaussian map" in page
    first = page[page.index("Read this first") : page.index("</aside>")]
    assert "The distances are sketched: another map would move them" in first
    assert page.count("another map would move them") == 1
    assert "ShrunkCovariance uses every row" in page
    facts = records(run, *call)
    assert (facts["sketch_components"], facts["sketch_kind"]) == (20, "gaussian")
    own = Sketched(ShrunkCovariance(), n_components=20, random_state=0).fit(X).mahalanobis(X)
    assert facts["outliers"][0]["d2"] == pytest.approx(own.max(), rel=1e-9, abs=0)


def test_a_sketch_that_stays_exact_is_judged_as_the_scatter_itself(run, csv_file):
    call = ("detect", csv_file, "--scatter", "sketched:empirical", "--set", "n_components=auto")
    code, text, err = run(*call, "--null", "normal")
    assert code == 0
    assert "exact distances cost no more" in err
    assert "sketch   " not in text
    plain = records(run, "detect", csv_file, "--scatter", "empirical")
    facts = records(run, *call)
    assert facts["sketch_kind"] is None
    assert facts["cutoff"] == plain["cutoff"]
    (pair,) = records(run, "compare", *call[1:], "--null", "normal")["pairs"]
    assert pair["status"] == "ok"
    assert pair["auto"]
