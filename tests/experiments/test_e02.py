"""The precision experiment: its losses are their formulas, its designs what they are called, its page is complete."""

import numpy as np
import pandas as pd
import pytest

from fmahal import LedoitWolf

pytest.importorskip("pyarrow")
_spec = pytest.importorskip("experiments._spec", reason="the experiments are not next to the tests")
from experiments._render import Results  # noqa: E402
from experiments._run import run  # noqa: E402
from experiments.e02_precision import EXPERIMENT, page, spec  # noqa: E402

METHODS = {one.name: one for one in _spec.methods("precision")}


def seeds(repetition=0, data="d"):
    return _spec.Seeds("e02", data, repetition)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two designs, the closed forms and what knows the order: a moment's work."""
    folder = tmp_path_factory.mktemp("e02")
    names = "truth|ledoit-wolf|oas|qis|cholesky-bands|empirical|sklearn-ledoit-wolf"
    run(EXPERIMENT, "smoke", folder=folder, only={"method": names, "design": "AR(1)|block"})
    return Results("e02", pd.read_parquet(folder / "e02.parquet"), {"profile": "smoke"})


def test_losses_are_their_formulas():
    rng = np.random.default_rng(0)
    S = spec.DESIGNS["block"](7, rng)
    X, new = (rng.standard_normal((n, 7)) @ np.linalg.cholesky(S).T for n in (40, 30))
    fit = LedoitWolf().fit(X)
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
    assert spec.losses(fit, S, new) == pytest.approx(want, rel=1e-8)


def test_designs_are_covariances_of_the_stated_kind():
    for name, make in spec.DESIGNS.items():
        S = make(24, np.random.default_rng(1))
        assert np.linalg.eigvalsh(S).min() > 0
        if name != "spiked":
            np.testing.assert_allclose(np.diagonal(S), 1.0)
    P = np.linalg.inv(spec.DESIGNS["banded"](24, np.random.default_rng(1)))
    far = np.abs(np.subtract.outer(range(24), range(24))) > 3
    assert np.abs(P[far]).max() < 1e-10 * np.abs(P).max()
    assert np.abs(np.diagonal(P, 3)).min() > 1e-3 * np.abs(P).max()
    w = np.linalg.eigvalsh(spec.DESIGNS["spiked"](24, np.random.default_rng(1)))
    np.testing.assert_allclose(w[:-3], 1.0)
    np.testing.assert_allclose(w[-3:], [1 + 2.4, 1 + 4.8, 1 + 9.6])


def test_rows_have_the_design_s_covariance_and_methods_meet_the_same_ones():
    table = spec.table_of("AR(1)", 3, 20000, seeds())
    np.testing.assert_allclose(np.cov(table.X.T), table.covariance, atol=5 / np.sqrt(20000))
    again = spec.table_of("AR(1)", 3, 20000, seeds())
    assert np.array_equal(table.X, again.X)
    assert not np.array_equal(table.X, spec.table_of("AR(1)", 3, 20000, seeds(1)).X)
    assert table.new.shape == (spec.N_NEW, 3)


def test_methods_for_an_order_are_run_where_columns_have_one():
    ordered, other = spec.data_set("AR(1)", 50, 200), spec.data_set("spiked", 50, 200)
    often = {
        name: [spec.repetitions(d, one, "paper") for d in (ordered, other)] for name, one in METHODS.items()
    }
    r = spec.REPETITIONS[50]
    assert often["cholesky-bands"] == [r, 0]
    assert often["cholesky-10-orders"] == often["cholesky-bic"] == often["cholesky-rcm"] == [0, r]
    assert often["ledoit-wolf"] == often["truth"] == often["modified-cholesky-cv"] == [r, r]
    assert often["sklearn-graphical-lasso"] == [spec.SLOW_REPETITIONS] * 2
    wide = spec.data_set("AR(1)", 200, 50)
    assert spec.repetitions(wide, METHODS["sklearn-graphical-lasso"], "paper") == 0
    assert spec.repetitions(wide, METHODS["empirical"], "paper") == 0


def test_the_truth_has_no_loss_and_two_programs_of_one_formula_agree(results):
    kl = results.frame.pivot_table(index=["data", "repetition"], columns="method", values="kl")
    assert (kl["truth"].abs() < 1e-9).all()
    assert (kl["ledoit-wolf"] > 1e-3).all()
    np.testing.assert_allclose(kl["sklearn-ledoit-wolf"], kl["ledoit-wolf"], rtol=1e-5)
    assert not page.render(results).failures


def test_two_programs_that_differ_are_a_failure(results):
    frame = results.frame.copy()
    frame.loc[frame["method"] == "sklearn-ledoit-wolf", "kl"] *= 1.01
    assert page.render(Results("e02", frame, {})).failures


def test_ratios_are_to_ledoit_and_wolf_on_the_same_table(results):
    summary = page.render(results).tables["e02_summary"]
    kl = results.frame.pivot_table(index=["design", "p", "n"], columns="method", values="kl").loc["block"]
    want = np.exp(np.log(kl["qis"] / kl["ledoit-wolf"]).mean())
    row = next(row for row in summary.rows if row[0] == METHODS["qis"].label)
    assert row[1 + list(spec.DESIGNS).index("block")].strip("*") == f"{want:.2f}"
    base = next(row for row in summary.rows if row[0] == METHODS["ledoit-wolf"].label)
    assert {cell.strip("*") for cell in base[1:-1]} == {"1.00", "-"}
    assert sum(row[1].startswith("**") for row in summary.rows) >= 1  # the best of a design
    partly = next(row for row in summary.rows if row[0] == METHODS["empirical"].label)
    assert partly[1].endswith("*")  # it was run on the size with more rows than columns alone


def test_verdicts_count_cells():
    frame = pd.DataFrame(
        [
            {"design": "AR(1)", "p": p, "n": 9, "repetition": r, "method": m, "kl": v, "d2_rms": v, "data": p}
            for p, ours in ((20, 1.0), (30, 4.2))
            for r in range(2)
            for m, v in (("ledoit-wolf", 2.0), ("oas", 4.0), ("qis", 5.0), ("cholesky-bands", ours))
        ]
    )
    found = page.standing(frame, "ordered")["kl"]
    assert (found["cells"], found["below"], found["near"]) == (2, 1, 1)
    assert found["worst"] == pytest.approx(2.1)
    assert found["typical"] == pytest.approx(np.sqrt(0.5 * 2.1))
    assert found["where"] == ("AR(1)", 30, 9)


def test_the_page_of_a_run_has_every_method_and_loss(results):
    made = page.render(results)
    block = made.blocks[page.PAGE]["e02"]
    for loss in page.LOSSES:
        assert f"**{loss}**" in block
    for name in results.frame["method"].unique():
        assert block.count(METHODS[name].label) >= len(page.LOSSES)
        assert METHODS[name].label in [row[0] for row in made.tables["e02_summary"].rows]


@pytest.mark.slow
def test_the_figure_is_drawn(results):
    assert page.render(results).figures["e02_kl"].drawn("pdf").startswith(b"%PDF")
