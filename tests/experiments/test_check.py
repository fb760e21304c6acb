"""The check: every way in which something can be stale, edited or typed is found, and nothing else."""

import json
import shutil
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
        (
            "results/toypage.json",
            '"parquet_sha256": "',
            '"parquet_sha256": "0',
            "is not the file that its manifest",
        ),
    ],
)
def test_what_was_edited_is_found(place, path, old, new, words):
    edit(place / path, old, new)
    faults = check(place)
    assert len(faults) == 1, faults
    assert words in faults[0]


def test_what_is_missing_or_strange_is_found(place):
    (place / "paper/figures/toypage_means_drawn.pdf").unlink()
    (place / "paper/tables/by_hand.tex").write_text("1")
    faults = check(place)
    assert any("toypage_means_drawn.pdf is missing" in one for one in faults)
    assert any("paper/tables/by_hand.tex comes from no rendering" in one for one in faults)
    assert len(faults) == 2


def test_changed_sources_are_found_unless_data_alone_is_asked_for(place, monkeypatch):
    monkeypatch.setattr(type(TOY), "sources", lambda self: "other")
    faults = check(place)
    assert any("8 of 8 cells are missing or were measured by other sources" in one for one in faults)
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


def test_another_matplotlib_may_draw_other_bytes(place, monkeypatch):
    monkeypatch.setattr(
        _check, "drawings_of", lambda made: {"paper/figures/toypage_means_drawn.pdf": b"other"}
    )
    assert any("drawn otherwise now" in one for one in check(place))
    monkeypatch.setattr(_check, "drawing_versions", lambda: {"matplotlib": "0"})
    assert check(place) == []


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
    (sections / "toy.tex").write_text(text + "\\val{toypage.levle} \\fmtable{no}\n about 53 rows")
    faults = check(place)
    assert [words for words in (r"toy.tex:3: \val{toypage.levle}", r"\fmtable{no}", "toy.tex:4: a number typed")
            if not any(words in one for one in faults)] == []  # fmt: skip
    assert len(faults) == 3


# ------------------------------------------------------------------------------------------------- typed numbers


@pytest.mark.parametrize(
    "text",
    [
        r"\val{e01.auto.worst} by \citet{boudt2020}, see Section~\ref{sec:e01} and \eqref{eq:1}.",
        r"$\chi^2_p$ with $2\sqrt{p/n}$ and $n \ge 1000$; \(x_1\), \[ \tfrac12 x^2 \]",
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
        (r"a line \\ 12 of them \% 13", [1, 1]),
        (r"\caption{All 14 sets}\label{fig:3}", [1]),
    ],
)
def test_what_is_found(text, lines):
    assert [line for line, _ in typed_numbers(text)] == lines


def test_each_literal_that_is_allowed_has_a_reason():
    assert all(pattern and len(reason) > 5 for pattern, reason in (*_typed.ALLOWED, *_typed.ALLOWED_MATH))


def test_the_record_is_readable_by_people(place):
    record = json.loads((place / "paper/generated.json").read_text())
    assert set(record) == {"drawn with", "experiments"}
    assert set(record["experiments"]["toypage"]) == {
        "results",
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
