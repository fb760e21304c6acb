"""The precision experiment: its losses are their formulas, and a tiny run gives a full result and page."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SOURCE = Path(__file__).parents[2] / "experiments" / "e02_precision.py"
if not SOURCE.exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)


@pytest.fixture(scope="module")
def e02():
    spec = importlib.util.spec_from_file_location("e02_precision", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def lines(e02):
    tables = [("AR(1)", 6), ("AR(1)", 30), ("spiked", 30)]
    return [line for design, p in tables for line in e02.one_table(design, p, 25, 0)]


def test_losses_are_their_formulas(e02):
    rng = np.random.default_rng(0)
    S = e02.DESIGNS["block"](7, rng)
    X, new = e02.rows_of(S, 40, rng), e02.rows_of(S, 30, rng)
    fit = e02.LedoitWolf().fit(X)
    P, m = np.linalg.inv(fit.covariance_), X.mean(axis=0)
    SP = S @ P
    true = np.array([x @ np.linalg.solve(S, x) for x in new])
    ours = np.array([(x - m) @ P @ (x - m) for x in new])
    truth = np.linalg.inv(S)
    want = {
        "kl": (np.trace(SP) - np.log(np.linalg.det(SP)) - 7) / 7,
        "frobenius": np.sqrt(((P - truth) ** 2).sum() / (truth**2).sum()),
        "d2_rms": np.sqrt(np.mean(((ours - true) / true) ** 2)),
        "d2_correlation": np.mean((ours - ours.mean()) * (true - true.mean())) / (ours.std() * true.std()),
    }
    assert e02.losses(fit, S, new) == pytest.approx(want, rel=1e-8)


def test_designs_are_covariances_of_the_stated_kind(e02):
    for name, make in e02.DESIGNS.items():
        S = make(24, np.random.default_rng(1))
        assert np.linalg.eigvalsh(S).min() > 0
        if name != "spiked":
            np.testing.assert_allclose(np.diagonal(S), 1.0)
    P = np.linalg.inv(e02.DESIGNS["banded"](24, np.random.default_rng(1)))
    far = np.abs(np.subtract.outer(range(24), range(24))) > 3
    assert np.abs(P[far]).max() < 1e-10 * np.abs(P).max()
    assert np.abs(np.diagonal(P, 3)).min() > 1e-3 * np.abs(P).max()
    w = np.linalg.eigvalsh(e02.DESIGNS["spiked"](24, np.random.default_rng(1)))
    np.testing.assert_allclose(w[:-3], 1.0)
    np.testing.assert_allclose(w[-3:], [1 + 2.4, 1 + 4.8, 1 + 9.6])


def test_a_tiny_run_has_every_cell(e02, lines):
    cells = e02.medians(lines, "kl")
    assert set(cells) == {("AR(1)", 6, 25), ("AR(1)", 30, 25), ("spiked", 30, 25)}
    for (design, p, _), cell in cells.items():
        assert ("graphical lasso CV" in cell) == (p == 6)
        assert ("modified Cholesky, bands" in cell) == (design in e02.ORDERED)
        assert ("modified Cholesky, 10 orders" in cell) == (design not in e02.ORDERED)
        assert abs(cell["truth, mean estimated"]) < 1e-6 * cell["Ledoit-Wolf"]
    assert {line["loss"] for line in lines} == set(e02.LOSSES)
    assert tuple(lines[0]) == e02.FIELDS
    chain = cells["AR(1)", 30, 25]
    assert chain["modified Cholesky, bands"] < chain["Ledoit-Wolf"]


def test_a_run_takes_every_design_and_repeats_itself(e02, monkeypatch):
    monkeypatch.setattr(e02, "methods", lambda design, covariance, n: [("QIS", e02.QIS())])
    lines = e02.run({6: 2}, (25,), verbose=0)
    assert [line["value"] for line in lines] == [line["value"] for line in e02.run({6: 2}, (25,), verbose=0)]
    tables = {(line["design"], line["repetition"]) for line in lines}
    assert tables == {(design, r) for design in e02.DESIGNS for r in range(2)}
    assert len({line["value"] for line in lines if line["loss"] == "kl"}) == len(tables)


def test_the_page_is_written_between_its_marks(e02, lines, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("before <!-- e02: begin -->old<!-- e02: end --> after")
    monkeypatch.setattr(e02, "PAGE", page)
    e02.into_page(e02.render(lines, e02.machine()))
    text = page.read_text()
    assert text.startswith("before <!-- e02: begin -->")
    assert text.endswith("<!-- e02: end --> after")
    assert "old" not in text
    value = e02.medians(lines, "kl")["AR(1)", 30, 25]["Ledoit-Wolf"]
    row = next(line for line in text.splitlines() if line.startswith("| AR(1) | 30 | 25 |"))
    assert row.split(" | ")[4] == f"{value:.3f}"
