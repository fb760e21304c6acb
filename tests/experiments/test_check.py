"""The check: every way in which something can be stale, edited or typed is found, and nothing else."""

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "experiments" / "_check.py").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

from experiments import _check, _spec, _typed  # noqa: E402
from experiments._check import check_all  # noqa: E402
from experiments._render import render_all  # noqa: E402
from experiments._run import run  # noqa: E402
from experiments._store import library  # noqa: E402
from experiments._typed import typed_numbers  # noqa: E402

_spec.load([Path(__file__).with_name("toy_page.py")])
TOY = _spec.experiments()["toypage"]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("template")
    run(TOY, "paper", folder=root / "results", backend="sequential")
    (root / "docs").mkdir()
    (root / "docs" / "toy.md").write_text("<!-- toypage: begin -->\n<!-- toypage: end -->\n")
    render_all(["toypage"], results=root / "results", into=root)
    return root


@pytest.fixture
def place(template, tmp_path):
    """Return a root with results in it, rendered."""
    return Path(shutil.copytree(template, tmp_path / "root"))


DRAWINGS = ("paper/figures/toypage_means_drawn.pdf", "docs/pictures/toypage_means_drawn.svg")
_DRAWN = {}


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    """Draw the same numbers once in all tests: a drawing takes longer than the rest of a check."""
    draw = _check.drawings_of

    def known(made):
        key = repr((sorted(made.numbers.items()), sorted(made.figures)))
        return _DRAWN[key] if key in _DRAWN else _DRAWN.setdefault(key, draw(made))

    monkeypatch.setattr(_check, "drawings_of", known)


def check(place, **options):
    return check_all(["toypage"], root=place, results=place / "results", **options)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_what_was_just_rendered_is_right(place, capsys):
    assert check(place) == []
    assert "5 generated names are not used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (
            "paper/numbers.tex",
            r"{5.0\,\%}",
            r"{4.0\,\%}",
            "numbers.tex are stale or edited: toypage.level",
        ),
        ("paper/tables/toypage_means.tex", "toy-one", "toy-1", "toypage_means.tex is stale or was edited"),
        ("paper/figures/toypage_means_drawn.tex", "n = 20", "n = 30", "toypage_means_drawn.tex is stale"),
        (
            "docs/pictures/toypage_means_drawn.svg",
            "</svg>",
            "<!-- --></svg>",
            "was edited or replaced by hand",
        ),
        ("docs/toy.md", "| toy-two |", "| toy-2 |", "block toypage of docs/toy.md is stale or edited"),
        ("docs/toy.md", "<!-- toypage: end -->", "", "has no marks"),
        ("data/toy.json", "{}", "[]", "data/toy.json is stale"),
        ("results/toypage.json", '"processor": "', '"processor": "fast ', "was edited, or written anew"),
        ("paper/generated.json", "toy-one should be toy-two.", "All is well.", "has other failures"),
        ("paper/generated.json", "toy-two is", "toy-2 is", "has other findings"),
        ("paper/generated.json", '"numbers": "', '"numbers": "0', "has other numbers"),
        ("paper/generated.json", '"toypage": "', '"toypage": "0', "has other blocks"),
        ("paper/generated.json", '"data/toy.json": "', '"data/toy.json": "0', "has other data/toy.json"),
        (
            "paper/generated.json",
            '"data/toy.json": "',
            '"paper/tables/by_hand.tex": "", "data/toy.json": "',
            "page.py does not make paper/tables/by_hand.tex",
        ),
    ],
)
def test_what_was_edited_is_found(place, path, old, new, words):
    edit(place / path, old, new)
    faults = check(place)
    assert len(faults) == 1, faults
    assert words in faults[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r"\fmdefine{hand.worst}{5.3}", "hand.worst belong to no rendered experiment"),
        (r"\expandafter\gdef\csname fm@val@toypage.level\endcsname{9.9}", "has lines that"),
        (r"\fmdefine{toypage.level}{5.0\,\%}", "has lines that"),
    ],
)
def test_lines_of_others_in_the_numbers_are_found(place, line, words):
    with (place / "paper/numbers.tex").open("a") as stream:
        stream.write(line + "\n")
    faults = check(place)
    assert any(words in one for one in faults), faults
    assert all("numbers.tex" in one for one in faults)


def test_a_number_that_no_page_makes_is_found(place):
    numbers = place / "paper" / "numbers.tex"
    found = {**_check.numbers_in(numbers.read_text()), "toypage.extra": "7"}
    numbers.write_text(_check.numbers_text(found))
    (fault,) = check(place)
    assert "are stale or edited: toypage.extra" in fault


def test_an_experiment_that_is_no_more_is_found(place):
    file = place / "paper" / "generated.json"
    record = json.loads(file.read_text())
    record["experiments"]["gone"] = {**record["experiments"]["toypage"], "files": {}, "blocks": {}}
    record["experiments"]["gone"]["numbers"] = _check.digest(_check.numbers_text({}))
    file.write_text(json.dumps(record))
    (fault,) = check(place)
    assert fault.startswith("gone was rendered, but no experiment is called so")


def test_numbers_of_experiments_that_were_not_asked_for_are_those_rendered(place):
    record = json.loads((place / "paper/generated.json").read_text())
    assert list(_check._unowned_numbers(place, record, set())) == []
    edit(place / "paper/numbers.tex", r"{5.0\,\%}", r"{4.0\,\%}")
    (fault,) = _check._unowned_numbers(place, record, set())
    assert "are not those that were rendered" in fault


def test_what_the_page_makes_no_more_is_found(place, monkeypatch):
    page = sys.modules[TOY.measure.__module__]
    whole = page.render

    def less(results):
        made = whole(results)
        made.tables, made.blocks = {}, {}
        return made

    monkeypatch.setattr(page, "render", less)
    faults = check(place)
    assert any("does not make paper/tables/toypage_means.tex any more" in one for one in faults)
    assert any("has other blocks" in one for one in faults)
    assert len(faults) == 2
    render_all(["toypage"], results=place / "results", into=place)
    (fault,) = check(place)
    assert "no page.py fills the block toypage" in fault


def test_a_manifest_of_another_profile_is_found(place):
    edit(place / "results/toypage.json", '"profile": "paper"', '"profile": "smoke"')
    assert any("holds the profile 'smoke'" in one for one in check(place))


def test_the_manifest_and_its_parquet_belong_together(place):
    edit(place / "results/toypage.json", '"parquet_sha256": "', '"parquet_sha256": "0')
    assert any("is not the file that its manifest" in one for one in check(place))


def test_another_library_is_noted_and_sessions_may_differ(place, capsys):
    file = place / "results/toypage.json"
    facts = json.loads(file.read_text())
    (session,) = facts["sessions"]
    session |= {"library": library()}  # sources may change while the tests run
    older, newer = (json.loads(json.dumps(session)) for _ in range(2))
    older |= {"library": "0ther", "processor": "another", "commit": "0"}
    newer["versions"]["numpy"] = "0.1"
    facts["sessions"] = [session, older, newer]
    file.write_text(json.dumps(facts))
    render_all(["toypage"], results=place / "results", into=place)
    capsys.readouterr()
    _check._today.cache_clear()
    assert check(place) == []
    told = capsys.readouterr().out
    assert f"fmahal at 0ther (now {session['library']})" in told
    assert f"numpy 0.1 (now {session['versions']['numpy']})" in told
    assert "scipy" not in told
    assert "results may be out of date" in told
    facts["sessions"] = [session]
    file.write_text(json.dumps(facts))
    assert list(_check.notes(TOY, file.with_suffix(".parquet"))) == []


def test_cells_of_methods_that_are_not_installed_here_are_no_fault(place, capsys, monkeypatch):
    monkeypatch.delitem(_spec._METHODS, "toy-two")
    assert check(place) == []
    assert "cells of toy-two cannot be compared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("paper/tables/toypage_means.tex", "mean", "means", "toypage_means.tex is missing, or was edited"),
        ("docs/toy.md", "| method |", "| what |", "block toypage of docs/toy.md is missing or edited"),
        (
            "paper/numbers.tex",
            "toypage.level",
            "toypage.levels",
            "numbers in paper/numbers.tex are not those",
        ),
    ],
)
def test_edits_are_found_where_a_method_is_not_installed_too(place, monkeypatch, path, old, new, words):
    monkeypatch.delitem(_spec._METHODS, "toy-two")
    edit(place / path, old, new)
    (fault,) = check(place)
    assert words in fault


def test_cells_that_are_planned_no_more_are_found(place, monkeypatch):
    planned = TOY.cells("paper")
    monkeypatch.setattr(type(TOY), "cells", lambda self, profile: planned[:-1])
    (fault,) = check(place)
    assert "1 stored cells are not planned any more" in fault


def test_what_is_missing_or_strange_is_found(place):
    (place / "paper/figures/toypage_means_drawn.pdf").unlink()
    (place / "paper/tables/by_hand.tex").write_text("1")
    faults = check(place)
    assert any("toypage_means_drawn.pdf is missing" in one for one in faults)
    assert any("paper/tables/by_hand.tex comes from no rendering" in one for one in faults)
    assert len(faults) == 2
    (place / "docs/pictures/old.svg").write_text("<svg/>")
    (place / "paper/img").mkdir()
    (place / "paper/img/hand.pdf").write_bytes(b"1")
    faults = check(place)
    assert any("docs/pictures/old.svg comes from no rendering" in one for one in faults)
    assert any("paper/img/hand.pdf is of a kind that is not checked" in one for one in faults)
    assert len(faults) == 4


def test_every_file_of_the_paper_is_read(place):
    paper = place / "paper"
    (paper / "build").mkdir()
    (paper / "build" / "built.tex").write_text("53 rows")
    (paper / "extra.tex").write_text("takes 53 rows")
    (paper / "own.sty").write_text("\\newcommand{\\worst}{5.3}")
    (paper / "main.aux").write_text("53")
    faults = check(place)
    assert any("extra.tex:1: a number typed by hand" in one for one in faults)
    assert any("own.sty:1: a number typed by hand" in one for one in faults)
    assert len(faults) == 2, faults


@pytest.mark.parametrize(
    "text",
    [
        r"\includegraphics{img/h.pdf}",
        r"\fmdefine{toypage.own}{few}",
        r"\csname fm@val@toypage.level\endcsname",
    ],
)
def test_what_no_results_made_cannot_be_brought_in(place, text):
    (place / "paper" / "own.tex").write_text(text)
    (fault,) = check(place)
    assert "own.tex:1" in fault
    assert "brings in" in fault


def test_changed_sources_are_found_unless_data_alone_is_asked_for(place, monkeypatch):
    monkeypatch.setattr(type(TOY), "sources", lambda self: "other")
    faults = check(place)
    assert any("8 of 8 cells are missing or were measured by another spec or method" in one for one in faults)
    assert check(place, data_only=True) == []


def test_other_results_are_found(place):
    import pandas as pd

    file = place / "results" / "toypage.parquet"
    frame = pd.read_parquet(file)
    frame["value"] += 1.0
    frame.to_parquet(file)
    faults = "\n".join(check(place, data_only=True))
    for words in (
        "made from other results",
        "not the file that its manifest",
        "toypage.toy-one",
        "drawn otherwise now",
    ):
        assert words in faults


def test_another_matplotlib_may_draw_other_bytes(place, monkeypatch, capsys):
    monkeypatch.setattr(_check, "drawings_of", lambda made: dict.fromkeys(DRAWINGS, b"other"))
    assert any("drawn otherwise now" in one for one in check(place))
    monkeypatch.setattr(_check, "drawing_versions", lambda: {"matplotlib": "0"})
    assert check(place) == []
    assert "figures are compared with their digests alone" in capsys.readouterr().out


def test_nothing_rendered_and_no_results(tmp_path, place):
    (place / "paper/generated.json").unlink()
    assert any("never rendered" in one for one in check(place))
    faults = check_all(["toypage"], root=place, results=place / "nowhere")
    assert any("there are no results" in one for one in faults)


def test_the_paper_may_use_known_names_alone(place, capsys):
    sections = place / "paper" / "sections"
    sections.mkdir()
    text = "\\val{toypage.level} \\fmtable{toypage_means} % \\val{commented.out}\n\\fmfigure[t]{toypage_means_drawn}\n"
    (sections / "toy.tex").write_text(text)
    assert check(place) == []
    assert "2 generated names are not used" in capsys.readouterr().out.splitlines()[-1]
    (sections / "toy.tex").write_text(text + "\\val{toypage.levelx} \\fmtable{no}\n about 53 rows")
    faults = check(place)
    assert [words for words in (r"toy.tex:3: \val{toypage.levelx}", r"\fmtable{no}", "toy.tex:4: a number typed")
            if not any(words in one for one in faults)] == []  # fmt: skip
    assert len(faults) == 3


# ------------------------------------------------------------------------------------------------- typed numbers


@pytest.mark.parametrize(
    "text",
    [
        r"\val{e01.auto.worst} by \citet{boudt2020}, see Section~\ref{sec:e01} and \eqref{eq:1}.",
        r"$\chi^2_p$ with $2\sqrt{p/n}$ and $n \ge 12p$; \(x_1\), \[ \tfrac12 x^2 \]",
        "\\begin{equation}\\label{eq:2}\n d^2 = x_1^2 + 3\n\\end{equation}",
        "\\begin{align*} a_1 &= 2 \\\\[2pt] b &= 3 \\end{align*}",
        r"\vspace{3mm}\includegraphics[width=0.5\linewidth]{e01_a.pdf} \hspace*{1.5em} \\[4pt] next",
        r"\begin{minipage}[t]{0.48\textwidth} text \end{minipage} \begin{tabular}{@{}p{2cm}r@{}} a & b \end{tabular}",
        r"text % 53 in a comment" + "\nmore",
        r"\code{float32} and \code{support_fraction=0.75} and \verb|x[1]| and experiment e05",
        r"at the level $\alpha = 0.05$ and half, $0.5$",
        r"\documentclass[11pt]{article}\usepackage[a4paper,margin=2cm]{geometry}\begin{document}text\end{document}",
        r"\href{https://example.org/10.1000/5}{the page} \url{https://x.org/1}",
        r"a 2-dimensional space, the $L^2$ norm",
        r"$O(n^2p+p^3)$, $\chi^2_k$, $\tfrac14\sum_{j=1}^{p}2^j$, $x_{1}2$, $\frac{1}{4}3$, $0$ or $1$",
        r"$\mathcal{O}(2^{-1/2})$, $1-\alpha$",
        "\\[ x = y_1 + 2. \\] and $\\kern2pt x\\mkern-3mu y$",
        r"\val{e01.share}\,\% of the rows, \val{e01.more} percent, at a level of five percent",
        r"\citep[Theorem~3.2, p.~117]{boudt2020}; three kinds, two rows, a tenth",
        r"\newcommand{\norm}[1]{\lVert #1\rVert}\renewcommand{\topfraction}{0.9}",
        r"\begin{tabular}{@{\hspace{2pt}}p{2cm}*{3}{r}@{}} a \end{tabular} \kern 3pt",
        r"\lstinline|f(x, k=10)| \texttt{x86\_64}",
    ],
)
def test_what_may_stand(text):
    assert typed_numbers(text) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\ntakes 53 rows", [2]),
        (r"about 5.3\,\% of", [1]),
        (r"about $5.3$ of", [1]),
        (r"about $5\%$ of", [1]),
        (r"$\alpha = 0.07$", [1]),
        ("a\n\\[ x = 1.25 \\]", [2]),
        ("\\begin{equation}\n x = .3\n\\end{equation}", [2]),
        (r"\emph{3 times} and \textbf{7}", [1, 1]),
        (r"\code{53} rows", [1]),
        (r"\section{The 5 laws}", [1]),
        (r"\begin{tabular}{lr} mcd & 5.3 \\ \end{tabular}", [1]),
        (r"\href{https://x.org}{53 pages}", [1]),
        (r"100\% of \val{e01.n}", [1]),
        (r"a line \\ 12 of them \% 13", [1, 1, 1]),
        (r"\caption{All 14 sets}\label{fig:3}", [1]),
        (r"about $53$\,\% of the rows", [1, 1]),
        ("a\n\\begin{align}\n x &= 1 \\\\\n y &= 53\n\\end{align}", [4]),
    ],
)
def test_what_is_found(text, lines):
    assert [line for line, _ in typed_numbers(text)] == lines


@pytest.mark.parametrize(
    "text",
    [
        "flags 53 in the paper", "takes 5.3 in all cases", "a speed of 12~in", "factor 3 sp", r"5.3\bigskip",
        r"\item[53 rows] x", r"\texttt{53 of p}", r"\code{of p, 53}", r"\verb|53|", r"\lstinline{53}", r"\url{53}",
        "\\begin{verbatim}\n53 rows\n\\end{verbatim}",
        r"\IfFileExists{main.tex}{53 rows}{}", r"\IfFileExists{main.tex}{}{53 rows}",
        r"\newcommand{\worst}{5.3}\begin{document}\worst", r"\def\worst{53}", r"\newcommand{\few}[1][53]{#1}",
        r"\citep[53 rows]{boudt2020}", r"\begin{tabular}{l@{53}r} a & b \end{tabular}",
        r"\begin{tabular}{lr}{53} \end{tabular}", r"\begin{list}{53}{} \item x \end{list}", r"\setcounter{page}{53}",
        "Table~5.3 says", "the e53", "e06 shows", "½ of", "x²", "5d on end", r"few \% of", r"few \textpercent",
        "fifty-three percent", "three times as fast", "two and a half times", "seven points", "tenfold",
        "five point three\nper cent", "a loss of five percent", "a gain of five points",
        r"$5{.}3$ points", r"$5.$ of", r"$5{,}3$ of", r"$1\,200$ rows", r"$5 3$", r"$\mathrm{5}\mathrm{3}$", r"$5^{}3$",
        r"$53$ data sets", r"$7$ data sets", r"$53/1000$", r"$3/4$ of", r"$\approx 7$ sets", r"\(7\) sets",
        r"$7\times$ faster", r"$2p = 5$ percent", r"$3\times10^4$ rows", r"$10^5$ rows", r"$n = 1000$",
        r"$x\text{ of 7 rows}$", r"$x < 5\%$", r"$x = 12in$ and 3 in",
    ],
)  # fmt: skip
def test_what_used_to_slip_through_is_found(text):
    assert typed_numbers(text) != []


def _lists():
    return (*_typed.ALLOWED, *_typed.ALLOWED_MATH, *_typed.LAYOUT, *_typed.PLACES, *_check.FORBIDDEN)


def test_each_literal_that_is_allowed_has_a_reason():
    assert all(pattern and len(reason) > 5 for pattern, reason in _lists())


def test_the_record_is_readable_by_people(place):
    record = json.loads((place / "paper/generated.json").read_text())
    assert set(record) == {"drawn with", "experiments"}
    assert set(record["experiments"]["toypage"]) == {
        "results",
        "manifest",
        "files",
        "blocks",
        "numbers",
        "findings",
        "failures",
    }


@pytest.mark.slow
def test_the_repository_passes():
    names = [one.name for one in _spec.experiments().values() if ROOT / "experiments" in one.folder.parents]
    assert check_all(names) == []
