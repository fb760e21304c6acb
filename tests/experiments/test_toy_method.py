"""A new method, data set or experiment is one file: those that CONTRIBUTING shows, run as it says."""

import dataclasses
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "experiments" / "_render.py").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

import pandas as pd  # noqa: E402

from experiments import _spec  # noqa: E402
from experiments.__main__ import main  # noqa: E402
from experiments._render import Results, load_results, rendering, stored  # noqa: E402

NAME, LABEL = "independent", "independent columns"
# whose stored rows stand for those of the new method: one that no table singles out
TWINS = {"sketch": "rademacher", "curves": "curves-wrapped", "tabular": "spectral"}
USUAL_TWIN = "ledoit-wolf"
REAL = [name for name, one in _spec.experiments().items() if ROOT / "experiments" in one.folder.parents]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write the files that CONTRIBUTING shows; what they register is forgotten after the test."""
    _spec.load()  # what is registered from here on is forgotten
    for store in ("_METHODS", "_DATA_SETS", "_PLUGGED", "_FROM"):
        monkeypatch.setattr(_spec, store, dict(getattr(_spec, store)))
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = dict(re.findall(r"```python\n# (my_\w+\.py)\n(.*?)```", text, re.S))
    for name, code in found.items():
        (tmp_path / name).write_text(code)
    return {name: str(tmp_path / name) for name in found}


def call(command, *names, files=(), **options):
    plugins = [word for file in files for word in ("--with", file)]
    return main(
        [
            command,
            *names,
            *plugins,
            *(word for key, value in options.items() for word in (f"--{key}", str(value))),
        ]
    )


def rows_of(tables):
    return {
        stem: {cell.strip("*`") for row in [table.columns, *table.rows] for cell in row}
        for stem, table in tables.items()
    }


def test_a_method_is_run_beside_the_others_and_printed(files, tmp_path):
    only = f"method={NAME}|{USUAL_TWIN}|oas,design=AR(1)|spiked,p=16"
    mine = [files["my_method.py"]]
    assert call("run", "e02", files=mine, only=only, results=tmp_path, backend="sequential") == 0
    frame = pd.read_parquet(tmp_path / "e02.parquet")
    assert set(frame["method"]) == {NAME, USUAL_TWIN, "oas"}
    assert frame.groupby("data")["method"].nunique().eq(3).all()
    ours = frame[frame["method"] == NAME].set_index("design")["kl"]
    assert (ours > 0).all()
    assert set(ours.index) == {"AR(1)", "spiked"}


def test_a_data_set_reaches_its_experiment(files, tmp_path):
    only = "data=shifted,method=empirical|ledoit-wolf"
    mine = [files["my_data.py"]]
    assert (
        call("run", "e07", files=mine, only=only, profile="paper", results=tmp_path, backend="sequential")
        == 0
    )
    frame = pd.read_parquet(tmp_path / "e07.parquet")
    assert set(frame["method"]) == {"empirical", "ledoit-wolf"}
    experiment = _spec.experiments()["e07"]
    made = rendering(experiment, load_results(experiment, tmp_path))
    assert "shifted" in made.tables["e07_whole"].columns
    # without published figures there is no mean
    assert "AUROC by set only" in " ".join(made.findings)
    assert (frame["data"] == "shifted").all()
    assert frame["auroc"].between(0.9, 1.0).all()  # outliers are four standard deviations away


def test_an_experiment_is_run_and_rendered(files, tmp_path, capsys):
    mine = [files["my_experiment.py"], files["my_method.py"]]
    only = f"method=empirical|{NAME}"
    assert call("run", "e90", files=mine, only=only, results=tmp_path, backend="sequential") == 0
    assert call("render", "e90", files=mine, results=tmp_path, into=tmp_path) == 0
    assert "No mean is longer than that of" in capsys.readouterr().out
    assert NAME in (tmp_path / "paper/tables/e90_bias.tex").read_text()
    assert rf"\fmdefine{{e90.{NAME}}}" in (tmp_path / "paper/numbers.tex").read_text()
    assert (tmp_path / "paper/figures/e90_bias.pdf").stat().st_size > 1000


def shown_in(tables, *names):
    return {
        stem
        for stem, cells in rows_of(tables).items()
        if any(name in cell for name in names for cell in cells)
    }


def beside(experiment, results, monkeypatch):
    """Return the tables of an experiment with a twin of one of its methods, and where each of the two is printed."""
    twin = next(
        one for one in _spec.methods(experiment.role) if one.name == TWINS.get(experiment.role, USUAL_TWIN)
    )
    _spec.method(
        NAME,
        **{k: v for k, v in vars(dataclasses.replace(twin, name=NAME, label=LABEL)).items() if k != "name"},
    )
    frame = results.frame
    more = frame[frame["method"] == twin.name].assign(method=NAME)
    made = rendering(
        experiment, Results(results.name, pd.concat([frame, more], ignore_index=True), results.facts)
    )
    return (
        made.tables,
        shown_in(made.tables, twin.label or twin.name, twin.name),
        shown_in(made.tables, LABEL, NAME),
    )


@pytest.mark.parametrize("name", REAL)
def test_a_method_is_in_every_table(name, files, monkeypatch):
    experiment = _spec.experiments()[name]
    if not stored(experiment).exists():
        pytest.skip(f"{name} has no committed results yet")
    tables, twin, ours = beside(experiment, load_results(experiment), monkeypatch)
    assert twin, f"no table of {name} has a row or a column for a usual method: {list(tables)}"
    assert twin <= ours, f"{twin - ours} show {USUAL_TWIN} and not a new method with the same results"


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_whole_smoke_run_with_the_method_in_every_table(name, files, tmp_path):
    experiment = _spec.experiments()[name]
    mine = [files["my_method.py"]] if experiment.role in _spec.SCATTER_ROLES else []
    assert call("run", name, files=mine, results=tmp_path, backend="sequential") == 0
    made = rendering(experiment, load_results(experiment, tmp_path))
    twin = next(
        one for one in _spec.methods(experiment.role) if one.name == TWINS.get(experiment.role, USUAL_TWIN)
    )
    theirs = shown_in(made.tables, twin.label or twin.name, twin.name)
    assert theirs
    if mine:
        assert theirs <= shown_in(made.tables, LABEL, NAME)
