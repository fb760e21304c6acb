"""Rendering: text for LaTeX and Markdown, and what is written where."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "experiments" / "_render.py").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

from experiments import _render, _spec, _tables  # noqa: E402
from experiments._render import RenderError, Rendering, render_all, with_blocks  # noqa: E402
from experiments._run import run  # noqa: E402
from experiments._tables import Table, TableError, tex  # noqa: E402

_spec.load([Path(__file__).with_name("toy_page.py")])
TOY = _spec.experiments()["toypage"]
PAGE = "# Toy\n\n<!-- toypage: begin -->\nold\n<!-- toypage: end -->\n\nThe end.\n"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    run(TOY, "paper", folder=folder, backend="sequential")
    return folder


@pytest.fixture
def root(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "toy.md").write_text(PAGE)
    return tmp_path


# ------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("plain", "latex"),
    [
        ("a_b & c%", r"a\_b \& c\%"),
        ("5.3 %", r"5.3\,\%"),
        ("5.3\u00a0%", r"5.3\,\%"),
        ("-0.25", "$-$0.25"),
        ("[-1.20, -0.30]", "[$-$1.20, $-$0.30]"),
        ("-∞", r"$-$$\infty$"),
        ("ledoit-wolf", "ledoit-wolf"),
        ("2020-03", "2020-03"),
        ("1.23 ± 0.04", r"1.23 $\pm$ 0.04"),
        ("12\u2009345", r"12\,345"),
        ("$p > n_1$ & 3", r"$p > n_1$ \& 3"),
        ("costs $ 3", r"costs \$ 3"),
        ("**5.3 %**", r"\textbf{5.3\,\%}"),
        ("`a_b`", r"\texttt{a\_b}"),
        (r"C:\x{1}", r"C:\textbackslash{}x\{1\}"),
        ("x < 3", "x $<$ 3"),
        ("-", "-"),
    ],
)
def test_plain_text_becomes_latex(plain, latex):
    assert tex(plain) == latex


def test_numbers_that_are_latex_already_pass():
    assert _tables.number_tex(r"5.3\,\%") == r"5.3\,\%"
    assert _tables.number_tex("5.3 %") == r"5.3\,\%"
    assert _tables.number_tex(r"$1.2\times10^{-9}$") == r"$1.2\times10^{-9}$"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (_tables.fixed(-0.001), "0.00"),
        (_tables.fixed(1.005, 1), "1.0"),
        (_tables.fixed(math.nan), "-"),
        (_tables.fixed(-math.inf), "-∞"),
        (_tables.significant(0.0012345), "0.00123"),
        (_tables.significant(9.999), "10.0"),
        (_tables.significant(123456.0), "123000"),
        (_tables.significant(0.0), "0"),
        (_tables.significant(1.234e-9), r"$1.23\times10^{-9}$"),
        (_tables.percent(0.0531), "5.3\u00a0%"),
        (_tables.count(1234567), "1\u2009234\u2009567"),
        (_tables.interval(-1.2, 3.0, 1), "[-1.2, 3.0]"),
        (_tables.seconds(0.0123), "12.3\u00a0ms"),
        (_tables.seconds(3e-6), "3.00\u00a0µs"),
        (_tables.size_of(2.5e6), "2.50\u00a0MB"),
        (_tables.bold("x", False), "x"),
    ],
)
def test_numbers_as_text(text, wanted):
    assert text == wanted


def test_a_table_is_printed_twice_from_one_source():
    rows = [["first"], ["mcd", "1.0", "**5 %**"], [], ["a|b", "[1, 2]", "$x|y$"]]
    table = Table(["method", "n", "share"], rows, caption="Five % of 3.", note="± is nothing.")
    latex = table.latex("e00_a")
    assert (
        r"\fmtablecaption{e00_a}{Five\,\% of 3.}" in latex
        or r"\fmtablecaption{e00_a}{Five \% of 3.}" in latex
    )
    assert r"\begin{tabular}{@{}lrr@{}}" in latex
    assert r"mcd & 1.0 & \textbf{5\,\%} \\" in latex
    assert latex.count(r"\midrule") == 2
    assert r"\multicolumn{3}{@{}l@{}}{\emph{first}} \\" in latex
    assert r"a$|$b & {[1, 2]} & $x|y$ \\" in latex
    assert r"\fmtablenote{$\pm$ is nothing.}" in latex
    lines = table.markdown().strip().splitlines()
    assert lines[:3] == ["| method | n | share |", "|:---|---:|---:|", "| *first* |  |  |"]
    assert lines[4] == r"| a\|b | [1, 2] | $x\|y$ |"


def test_a_head_wider_than_its_column_is_set_on_two_lines():
    heads = ["method", "gain on the covariance", "$a b$ c d", "`a b`", "p = 9", "as wide as"]
    rows = [["a", "1", "2", "3", "4", "whatever it is"], ["a heading is no cell"]]
    latex = Table(heads, rows, caption="").latex("e00_a")
    first = r"method & \fmhead{r}{gain on the}{covariance} & \fmhead{r}{$a b$}{c d}"
    assert first + r" & \texttt{a b} & p = 9 & as wide as \\" in latex


def test_tables_are_shown_on_the_screen_too(stored, root, capsys):
    assert render_all(["toypage"], results=stored, into=root) == 0
    assert "| method |" not in capsys.readouterr().out
    assert render_all(["toypage"], results=stored, into=root, show=True) == 0
    said = capsys.readouterr().out
    assert "## toypage_means" in said
    assert "| method | mean | interval |" in said


def test_tables_that_do_not_fit_are_errors():
    with pytest.raises(TableError, match="Row 1 of a table has 2 cells and its head 3"):
        Table(["a", "b", "c"], [["1", "2", "3"], ["1", "2"]], caption="")
    with pytest.raises(TableError, match="align is 'l r' for 3"):
        Table(["a", "b", "c"], [], caption="", align="l r")


# ------------------------------------------------------------------------------------------------- files


def test_everything_is_written_and_recorded(stored, root, capsys):
    assert render_all(["toypage"], results=stored, into=root) == 0
    said = capsys.readouterr().out
    assert "found: toy-two is" in said
    assert "DOES NOT HOLD: toy-one should be toy-two." in said
    made = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert made == [
        "data/toy.json", "docs/pictures/toypage_means_drawn.svg", "docs/toy.md",
        "paper/figures/toypage_means_drawn.pdf", "paper/figures/toypage_means_drawn.tex", "paper/generated.json",
        "paper/numbers.tex", "paper/tables/toypage_means.tex",
    ]  # fmt: skip
    numbers = _render.numbers_in((root / "paper/numbers.tex").read_text())
    assert list(numbers) == ["toypage.level", "toypage.toy-one", "toypage.toy-two"]
    assert numbers["toypage.level"] == r"5.0\,\%"
    page = (root / "docs/toy.md").read_text()
    assert page.startswith("# Toy\n\n<!-- toypage: begin -->\n\n| method |")
    assert page.endswith("|\n\n<!-- toypage: end -->\n\nThe end.\n")
    record = json.loads((root / "paper/generated.json").read_text())["experiments"]["toypage"]
    assert record["results"] == _render.digest((stored / "toypage.parquet").read_bytes())
    assert record["failures"] == ["toy-one should be toy-two."]


def test_rendering_again_changes_no_byte_and_no_time(stored, root, capsys):
    render_all(["toypage"], results=stored, into=root)
    first = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}
    render_all(["toypage"], results=stored, into=root)
    assert first == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()
    }


def test_numbers_of_others_stay_and_what_is_no_longer_made_goes(stored, root, monkeypatch, capsys):
    (root / "paper").mkdir()
    (root / "paper/numbers.tex").write_text("\\fmdefine{e01.a}{$x_{1}$}\n\\fmdefine{toypage.old}{3}\n")
    render_all(["toypage"], results=stored, into=root)
    numbers = _render.numbers_in((root / "paper/numbers.tex").read_text())
    assert numbers["e01.a"] == "$x_{1}$"
    assert "toypage.old" not in numbers
    whole = _render.rendering

    def fewer(*args):
        made = whole(*args)
        made.tables, made.files = {}, {}
        return made

    monkeypatch.setattr(_render, "rendering", fewer)
    render_all(["toypage"], results=stored, into=root)
    assert not (root / "paper/tables/toypage_means.tex").exists()
    assert not (root / "data/toy.json").exists()
    assert (root / "paper/figures/toypage_means_drawn.pdf").exists()


def test_an_error_leaves_everything_as_it_was(stored, root, monkeypatch):
    monkeypatch.setattr(_render, "drawings_of", lambda made: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render_all(["toypage"], results=stored, into=root)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["toy.md"]


def test_missing_results_are_said(tmp_path, capsys):
    assert render_all(["toypage"], results=tmp_path, into=tmp_path) == 1
    assert "toypage: no results at" in capsys.readouterr().out


def test_names_belong_to_their_experiment(stored, monkeypatch):
    results = _render.load_results(TOY, stored)
    module = sys.modules[TOY.measure.__module__]
    for made in (
        Rendering(numbers={"e01.a": "1"}),
        Rendering(tables={"means": Table(["a"], [], "")}),
        Rendering(numbers={"toypage.a b": "1"}),
    ):
        monkeypatch.setattr(module, "render", lambda results, made=made: made)
        with pytest.raises(RenderError, match="cannot be kept apart"):
            _render.rendering(TOY, results)
    monkeypatch.setattr(module, "render", lambda results: None)
    with pytest.raises(RenderError, match="should return a Rendering"):
        _render.rendering(TOY, results)


def test_marks_are_there_once():
    for text in ("none", "<!-- a: begin -->", PAGE + PAGE, "<!-- toypage: end --> <!-- toypage: begin -->"):
        with pytest.raises(RenderError, match="each once"):
            with_blocks(text, {"toypage": "x"}, "docs/toy.md")


def test_repetitions_are_counted(stored):
    results = _render.load_results(TOY, stored)
    assert results.repetitions() == "4"
    frame = results.frame
    dropped = (frame["method"] == "toy-one") & (frame["repetition"] > 1)
    results.frame = frame[~dropped]
    assert results.repetitions() == "2 to 4"
    assert results.repetitions(method="toy-two") == "4"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_takes_the_generated_files(stored, root, capsys):
    render_all(["toypage"], results=stored, into=root)
    paper = root / "paper"
    shutil.copy(ROOT / "paper" / "fmahal.sty", paper)
    text = r"\val{toypage.level} \val{toypage.toy-one} \fmtable{toypage_means} \ref{tab:toypage_means}"
    text += r"\fmfigure{toypage_means_drawn} \ref{fig:toypage_means_drawn}"
    head = r"\documentclass{article}\usepackage{fmahal}\input{numbers}\begin{document}"
    (paper / "main.tex").write_text(head + text + r"\end{document}")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"], cwd=paper,
        capture_output=True, text=True, env={**os.environ, "SOURCE_DATE_EPOCH": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_missing_cells_stand_in_every_caption_and_page_and_nobody_is_the_best(stored):
    whole = _render.load_results(TOY, stored)
    assert whole.facts["cells"] == whole.facts["planned"] > 1
    part = _render.Results(TOY.name, whole.frame, {**whole.facts, "cells": 1})
    complete, incomplete = (_render.rendering(TOY, one) for one in (whole, part))
    assert incomplete.failures[0].startswith(f"INCOMPLETE: only 1 of {whole.facts['planned']} planned cells")
    assert incomplete.failures[1:] == complete.failures
    for kind in ("tables", "figures"):
        assert getattr(incomplete, kind)
        for stem, one in getattr(incomplete, kind).items():
            assert one.caption == f"{incomplete.failures[0]} {getattr(complete, kind)[stem].caption}"
    for page, blocks in complete.blocks.items():
        assert incomplete.blocks[page] == {
            m: f"{incomplete.failures[0]}\n\n{text}" for m, text in blocks.items()
        }
    crowned, plain = (
        sum("**" in cell for table in one.tables.values() for row in table.rows for cell in row)
        for one in (complete, incomplete)
    )
    assert crowned > 0 == plain
