"""The scripts behind the shipped table of null laws, and behind tables of the pages on robust laws and on precision."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "constants"
if not FOLDER.exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sizes, maker, choice = (load(name) for name in ("robust_sizes", "robust_null_table", "variance_choice"))


@pytest.mark.parametrize("script", [sizes, choice], ids=["robust_sizes", "variance_choice"])
def test_the_page_shows_the_stored_result(script):
    text = script.PAGE.read_text()
    assert script.rendered(text) == text
    emptied = text.split(script.BEGIN)[0] + script.BEGIN + script.END + text.split(script.END)[1]
    assert script.rendered(emptied) == text


@pytest.mark.parametrize("name", ["robust_sizes", "robust_null_table", "variance_choice"])
def test_commands_that_are_told_are_where_the_scripts_are(name):
    told = re.findall(r"python (experiments/\S*?\.py)", (FOLDER / f"{name}.py").read_text())
    assert told
    assert all((FOLDER.parents[1] / path).is_file() for path in told)


def test_fewer_samples_give_the_table_of_variances(monkeypatch):
    monkeypatch.setattr(choice, "N", 12)
    monkeypatch.setattr(choice, "P", 40)
    monkeypatch.setattr(choice, "SEEDS", 2)
    rows = choice.measure()
    assert len(rows) == 2 * 3 * len(choice.ALPHAS)
    ratio = {(r["seed"], r["alpha"], r["variance"]): r["ratio"] for r in rows}
    for seed in range(2):  # residuals of fitted rows are too small, and distances of new rows too large
        assert ratio[seed, 1.0, "mle"] > ratio[seed, 1.0, "unbiased"] > ratio[seed, 1.0, "loo"]
    assert choice.table(rows).splitlines()[2].startswith("| 0.1 | ")


@pytest.mark.parametrize("kind", ["train", "new"])
def test_the_default_keeps_its_level_within_a_quarter(kind):
    result = json.loads(sizes.RESULTS.read_text())
    assert [(cell["n"], cell["p"]) for cell in result["cells"]] == [
        (n, p) for p in sizes.COLUMNS for n in sizes.ROWS
    ]
    for cell in result["cells"]:
        law, levels = cell["laws"]["default"], np.array(result["levels"])
        error = np.array(law["error"][["train", "new"].index(kind)])  # the size is simulated as well
        # Up to 5 rows for a column the estimates differ so much from fit to fit that the table is less sure.
        share = 0.5 if cell["n"] <= 5 * cell["p"] else 0.25
        assert (np.abs(law[kind] - levels) <= share * levels + 2 * error).all(), (cell["n"], cell["p"])


def test_chi_square_does_not():
    result = json.loads(sizes.RESULTS.read_text())
    shares = {(cell["n"], cell["p"]): cell["laws"]["chi-square"]["train"][0] for cell in result["cells"]}
    assert shares[50, 5] > 0.05
    assert shares[50, 20] > shares[500, 20]


def test_measuring_gives_every_law_a_share():
    cell = sizes.measure(60, 2, 6)
    assert set(cell["laws"]) == set(sizes.LAWS)
    for law in cell["laws"].values():
        assert np.shape(law["train"]) == np.shape(law["new"]) == (2,)
    text = sizes.table({"levels": [0.01, 0.025], "machine": {"python": "3"}, "cells": [cell]})
    assert text.count("\n| 60 | 2 |") == 2


def test_the_table_is_made_point_by_point(tmp_path, monkeypatch, capsys):
    cells = [maker.Cell(0.5, 2, 30), maker.Cell(0.75, 2, 30), maker.Cell(1.0, 1, 25)]
    monkeypatch.setattr(maker, "grid", lambda: cells)
    monkeypatch.setattr(maker, "FEWEST_FITS", 10)
    settings = {"of": 2, "seconds": 0.0}
    targets = tmp_path / "table.npz", tmp_path / "trace.npz"
    maker.run(tmp_path, worker=0, until=-1.0, **settings)  # no time for any
    with pytest.raises(SystemExit, match="3 points are missing"):
        maker.pack(tmp_path, *targets)
    maker.run(
        tmp_path, worker=0, until=1e9, **settings
    )  # with nobody beside it, it does the share of the other too
    (part,) = tmp_path.glob("*.jsonl")
    lines = part.read_text().splitlines()
    assert [json.loads(line)["cell"] for line in lines] == [list(cells[k]) for k in (0, 2, 1)]
    part.write_text("\n".join(lines)[:-20])  # stopped in the middle of the last line
    assert set(maker.finished(tmp_path)) == {(cells[0], 0), (cells[2], 0)}
    maker.run(tmp_path, worker=0, until=1e9, **settings)
    again = maker.finished(tmp_path)
    assert [again[cell, 0]["ratios"] for cell in (cells[0], cells[2], cells[1])] == [
        json.loads(line)["ratios"] for line in lines
    ]
    maker.pack(tmp_path, *targets)
    with np.load(targets[0]) as data:
        assert data["n"].tolist() == [30, 30, 25]
        assert data["ratios"].shape == (3, 4, data["levels"].size)
        assert (data["n_fits"] == 10).all()
    assert "3 points" in capsys.readouterr().out
