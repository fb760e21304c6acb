"""The tabular benchmark: its protocol against a hand-written twin, its tables, and a page rendered from a few cells."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from fmahal import EmpiricalCovariance
from fmahal.exceptions import ExactFitWarning

ROOT = Path(__file__).parents[2]
if not (ROOT / "experiments").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))
pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")

from experiments._render import Results  # noqa: E402
from experiments._run import work  # noqa: E402
from experiments._spec import Method, Seeds, SpecError, methods  # noqa: E402
from experiments.datasets import tabular  # noqa: E402
from experiments.e07_tabular import EXPERIMENT, page, spec  # noqa: E402

SEEDS = Seeds("e07", "any", 1)


def twin(X, y, seed):
    """The protocol, written out row by row."""
    legacy = np.random  # the protocol names this stream
    legacy.seed(seed)
    rows = list(range(len(y)))
    if len(y) < 1000:
        rows = list(legacy.choice(np.arange(len(y)), 1000, replace=True))
    if len(y) > 50000:
        rows = list(legacy.choice(np.arange(len(y)), 50000, replace=False))
    clean, outlying = [i for i in rows if y[i] == 0], [i for i in rows if y[i] == 1]
    train = X[clean[: round(len(clean) / 2)]]
    test = X[clean[round(len(clean) / 2) :] + outlying]
    centre, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread == 0.0, 1.0, spread)
    truth = [0] * (len(test) - len(outlying)) + [1] * len(outlying)
    return (train - centre) / spread, (test - centre) / spread, truth


def table(n, p=3, outliers=0.2, seed=0):
    """Random rows; outliers moved."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < outliers).astype(int)
    return rng.normal(size=(n, p)) + 2.0 * y[:, None], y


def measured(method, data):
    """The one record of a cell."""
    (record,) = spec.measure(data, method, SEEDS)
    return record


@pytest.mark.parametrize("n", [60, 999, 1000, 1501, 50001])
def test_split_is_that_of_the_protocol(n):
    X, y = table(n)
    for mine, other in zip(spec.split(X, y, 3), twin(X, y, 3), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)


def test_constant_columns_stay_finite():
    X, y = table(80)
    X[:, 1] = 4.0
    train, test, _ = spec.split(X, y, 0)
    assert np.isfinite(test).all()
    assert not train[:, 1].any()


def test_small_tables_change_with_the_seed_and_whole_ones_do_not():
    X, y = table(80)
    assert not np.array_equal(spec.split(X, y, 0)[0], spec.split(X, y, 1)[0])
    X, y = table(1200)
    np.testing.assert_array_equal(spec.split(X, y, 0)[0], spec.split(X, y, 1)[0])


def test_scores_are_distances_neighbours_or_densities():
    X, y = table(300)
    train, test, truth = spec.split(X, y, SEEDS.repetition)
    plain = measured(Method("a", lambda seed: EmpiricalCovariance()), (X, y))
    expected = EmpiricalCovariance().fit(train).mahalanobis(test)
    assert plain["auroc"] == roc_auc_score(truth, expected)

    near = measured(Method("b", lambda seed: NearestNeighbors(n_neighbors=5)), (X, y))
    gaps = np.sort(np.linalg.norm(test[:, None] - train[None], axis=2), axis=1)
    assert near["auroc"] == roc_auc_score(truth, gaps[:, 4])

    by_density = type(
        "Density", (), {"fit": lambda self, X: self, "score_samples": lambda self, X: -X.sum(axis=1)}
    )
    density = measured(Method("c", lambda seed: by_density()), (X, y))
    assert density["auroc"] == roc_auc_score(truth, test.sum(axis=1))
    local = LocalOutlierFactor(novelty=True)
    assert spec.scores(local.fit(train), test).shape == (len(test),)


def test_refusals_and_warnings_are_recorded():
    tall = table(40, p=2)
    by_name = {one.name: one for one in methods("tabular")}
    wide = (np.random.default_rng(0).normal(size=(1000, 600)), np.repeat([0, 1], [990, 10]))
    refused = measured(by_name["mcd"], wide)
    assert refused["auroc"] is None
    assert "p + 1 rows" in refused["failed"]

    X, y = tall
    same = np.column_stack([X, np.random.default_rng(1).random(len(y)) < 0.2])  # four fifths on a plane
    flat = measured(by_name["mcd"], (same, y))
    assert ExactFitWarning.__name__ in flat["warned"]
    assert 0.7 < flat["flat"] < 0.9
    assert flat["rank"] == 2
    assert 0.1 < flat["off"] < 0.5


def test_the_rank_rule_decides_a_collinear_table():
    X, y = table(1500)
    by_name = {one.name: one for one in methods("tabular")}
    collinear = np.column_stack([X, X[:, 0] + X[:, 1]])
    plain, bare = (measured(by_name[name], (X, y))["auroc"] for name in ("empirical", "inverse"))
    assert plain == pytest.approx(bare, rel=1e-12)
    again = measured(by_name["empirical"], (collinear, y))
    assert again["auroc"] == pytest.approx(plain, rel=1e-9)
    assert again["rank"] == 3


def test_repetitions_are_spent_where_something_is_random():
    by_name = {one.name: one for one in methods("tabular")}
    small, whole = (
        {one.name: one for one in EXPERIMENT.data_sets("paper")}[name] for name in ("wdbc", "thyroid")
    )
    count = {
        name: spec.repetitions(whole, by_name[name], "paper") for name in ("empirical", "mcd", "neighbours")
    }
    assert count == {"empirical": 1, "mcd": spec.SEEDS, "neighbours": 1}
    assert spec.repetitions(small, by_name["empirical"], "paper") == spec.SEEDS


def test_tables_in_the_project_are_as_described():
    here = tabular.find(tabular.BUNDLED)
    assert len(here) == 10
    assert sum(file.stat().st_size for file in here.values()) < 600_000
    for name in here:
        X, y = tabular.table(name)
        assert X.shape == tabular.SHAPES[name]
        assert 0 < y.sum() < len(y) / 2
    text = (tabular.BUNDLED / "README.md").read_text(encoding="utf-8")
    assert "BSD 2-Clause License" in text


@pytest.fixture
def without_folder(monkeypatch):
    """The tables of the project alone."""
    monkeypatch.delenv(tabular.FOLDER, raising=False)
    caches = (tabular.files, tabular.table, spec.stored, spec.say_missing)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_what_is_missing_is_left_out_with_a_line(without_folder, monkeypatch, capsys):
    monkeypatch.setattr(spec, "stored", frozenset)
    planned = {cell.data for cell in EXPERIMENT.cells("paper")}
    assert planned == set(tabular.find(tabular.BUNDLED))
    assert capsys.readouterr().err.count(tabular.FOLDER) == 1
    with pytest.raises(SpecError, match="mammography is not at hand"):
        tabular.table("mammography")


def test_stored_results_keep_their_cells(without_folder, monkeypatch):
    monkeypatch.setattr(spec, "stored", lambda: frozenset({("skin", "empirical")}))
    kept = [(cell.data, cell.method) for cell in EXPERIMENT.cells("paper") if cell.data == "skin"]
    assert set(kept) == {("skin", "empirical")}


def test_a_folder_that_is_none_is_an_error(without_folder, monkeypatch):
    monkeypatch.setenv(tabular.FOLDER, "/nowhere/at/all")
    with pytest.raises(SpecError, match="no folder"):
        tabular.missing()


def test_another_file_under_the_name_is_an_error(without_folder, monkeypatch, tmp_path):
    np.savez(tmp_path / "32_shuttle.npz", X=np.zeros((5, 2)), y=np.array([0, 0, 0, 1, 1]))
    monkeypatch.setenv(tabular.FOLDER, str(tmp_path))
    with pytest.raises(ValueError, match="32_shuttle"):
        tabular.table("shuttle")


def test_page_is_rendered_from_a_few_cells(panels):
    cells = [cell for cell in EXPERIMENT.cells("smoke") if not cell.method.startswith("modified-cholesky")]
    frame = pd.DataFrame([row for cell in cells for row in work(cell)])
    made = page.render(Results("e07", frame, {}))
    known = pd.read_csv(ROOT / "experiments" / "e07_tabular" / "published.csv", index_col="dataset")
    rows = {row[0]: row[1:] for row in made.tables["e07_whole"].rows}
    assert rows["KNN"] == [f"{100 * known.at['cardiotocography', 'KNN']:.1f}"]
    assert (
        rows["5 neighbours, Euclidean"] == rows["KNN"]
    )  # nothing is random there: the published figure, again
    assert made.numbers["e07.knn.apart"] in {"0.00", "0.01"}
    assert made.tables["e07_rank"].rows[0][0] == "cardiotocography"
    text = (ROOT / "docs" / "tabular.md").read_text(encoding="utf-8")
    for mark in made.blocks["docs/tabular.md"]:
        assert f"<!-- {mark}: begin -->" in text
    for figure in made.figures.values():
        assert panels(figure)


def test_no_measured_number_is_typed_into_the_page():
    text = (ROOT / "docs" / "tabular.md").read_text(encoding="utf-8")
    outside = "".join(part.split("end -->")[-1] for part in text.split("begin -->"))
    words = re.sub(r"```.*?```", "", outside, flags=re.S)
    assert (
        re.findall(r"\d\.\d|\d ?%", words.replace("support_fraction=0.9", "").replace("h = 0.9 n", "")) == []
    )
