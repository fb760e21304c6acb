"""The paper: its sections are there, what it cites exists, what it prints is generated, and it builds where TeX is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "paper"
if not (PAPER / "main.tex").exists() or not (ROOT / "experiments" / "_typed.py").exists():
    pytest.skip("paper and experiments are not next to the tests", allow_module_level=True)

from experiments._figures import Figure  # noqa: E402
from experiments._render import Rendering, numbers_in, texts_of  # noqa: E402
from experiments._tables import Table  # noqa: E402
from experiments._typed import names_used, tex_files, typed_numbers  # noqa: E402

FILES = tex_files(PAPER)
TEXT = "\n".join(re.sub(r"(?<!\\)%.*", "", file.read_text(encoding="utf-8")) for file in FILES)
BIB = (PAPER / "references.bib").read_text(encoding="utf-8")
KEYS = re.findall(r"^@\w+\{([^,]+),", BIB, re.M)
OWN = ("abstract", "introduction", "formula", "algorithms", "laws", "experiments", "limits", "software")
NUMBERS = PAPER / "numbers.tex"
GENERATED = PAPER / "generated.json"
latex = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("latexmk", "pdflatex", "bibtex")),
    reason="no TeX is installed",
)


def entry(key):
    """The fields of one work, by name; values in which braces nest are cut at the second level."""
    text = re.split(r"^@", BIB.split("{" + key + ",", 1)[1], maxsplit=1, flags=re.M)[0]
    return dict(re.findall(r"(\w+) = \{([^{}]*)", text))


@pytest.mark.parametrize("section", OWN)
def test_section_is_there_and_printed(section):
    assert (PAPER / "sections" / f"{section}.tex").read_text(encoding="utf-8").strip()
    assert rf"\input{{sections/{section}}}" in TEXT


def test_every_experiment_has_its_place():
    names = {folder.name[:3] for folder in (ROOT / "experiments").glob("e[0-9][0-9]_*/")}
    assert {"e01", "e02", "e03", "e04", "e05", "e07", "e09"} <= names
    for name in names:
        assert rf"\optional{{{name}}}" in TEXT, name


def test_no_section_is_left_out():
    printed = set(re.findall(r"\\input\{sections/([^}]+)\}|\\optional\{([^}#]+)\}", TEXT))
    named = {one or other for one, other in printed}
    assert {file.stem for file in (PAPER / "sections").glob("*.tex")} <= named


def test_citations_and_bibliography_agree():
    used = {
        key.strip()
        for one in re.findall(r"\\cite\w*\*?(?:\[[^\]]*\])*\{([^}]*)\}", TEXT)
        for key in one.split(",")
    }
    assert len(KEYS) == len(set(KEYS))
    assert used == set(KEYS), (sorted(used - set(KEYS)), sorted(set(KEYS) - used))


@pytest.mark.parametrize("key", KEYS)
def test_works_can_be_found(key):
    fields = entry(key)
    assert {"author", "title", "year"} <= fields.keys()
    assert re.fullmatch(r"(19|20)\d\d", fields["year"])
    where = fields.keys() & {"doi", "url", "volume"}
    assert where, "a DOI, an address or a volume"
    assert re.fullmatch(r"10\.\d{4,9}/\S+", fields.get("doi", "10.0000/none"))
    assert key.endswith(fields["year"][-2:]) or not re.search(r"\d", key)


def test_dois_are_given_once():
    dois = re.findall(r"doi = \{([^}]*)\}", BIB)
    assert len(dois) == len(set(dois)) > 20


def test_references_within_have_their_labels():
    labels = re.findall(r"\\label\{([^}]*)\}", TEXT)
    labels += [f"tab:{stem}" for stem in names_used(FILES, "fmtable")]
    labels += [f"fig:{stem}" for stem in names_used(FILES, "fmfigure")]
    assert len(labels) == len(set(labels))
    used = set(re.findall(r"\\(?:eq|auto|page|c|C)?ref\{([^}#]*)\}", TEXT))
    assert used <= set(labels), sorted(used - set(labels))


def test_generated_floats_are_mentioned_in_the_text():
    for macro, kind in (("fmtable", "tab"), ("fmfigure", "fig")):
        for stem, where in names_used(FILES, macro).items():
            assert f"ref{{{kind}:{stem}}}" in TEXT, (
                f"{where}: {stem} is printed, and no sentence refers to it"
            )


def test_no_number_is_typed():
    for file in FILES:
        assert typed_numbers(file.read_text(encoding="utf-8")) == [], file.name


def test_nothing_is_left_to_do():
    assert not re.search(r"\b(?:TODO|FIXME|XXX|TBD)\b|\?\?|lorem ipsum", TEXT + BIB, re.I)


def test_abstract_is_short():
    abstract = (PAPER / "sections" / "abstract.tex").read_text(encoding="utf-8")
    assert 100 <= len(abstract.split()) <= 180


@pytest.mark.skipif(not NUMBERS.exists(), reason="nothing was rendered yet")
def test_named_numbers_and_floats_exist():
    missing = names_used(FILES, "val").keys() - numbers_in(NUMBERS.read_text(encoding="utf-8")).keys()
    missing |= {
        stem for stem in names_used(FILES, "fmtable") if not (PAPER / "tables" / f"{stem}.tex").exists()
    }
    missing |= {
        stem for stem in names_used(FILES, "fmfigure") if not (PAPER / "figures" / f"{stem}.pdf").exists()
    }
    assert not missing, sorted(missing)


def sample():
    """A rendering with all that the generated files may hold."""
    table = Table(
        ["method", "$n$", "share"],
        [["**best**", "1000", "5.3 %"], [], ["a heading"], ["`other_one`", "-", "0.1 ± 0.2"]],
        caption="Shares in % of 20 repetitions; ± is a 95 % interval.",
        note="Measured & printed.",
    )
    wide = Table(["a rather wide column"] * 9, [["a rather wide cell"] * 9], caption="Wide.")
    figure = Figure(lambda canvas: canvas.subplots().plot([0, 1]), caption="A line, $n = 2$.")
    return Rendering(tables={"toy_table": table, "toy_wide": wide}, figures={"toy_line": figure})


def test_macros_of_generated_files_are_defined():
    style = (PAPER / "fmahal.sty").read_text(encoding="utf-8")
    known = set(
        re.findall(
            r"\\(?:new|renew|Declare\w+)command\*?\{\\(\w+)\}|\\DeclareRobustCommand\*?\{\\(\w+)\}", style
        )
    )
    defined = {one or other for one, other in known} | {"fmdefine", "val"}
    made = "".join(texts_of(sample()).values())
    used = set(re.findall(r"\\(fm\w+)", made))
    assert {"fmtablecaption", "fmfigurecaption"} <= used <= defined


def compiled(folder, body):
    """Run LaTeX over a few lines with the style of the paper; return the finished process and its log."""
    shutil.copy(PAPER / "fmahal.sty", folder)
    head = "\\documentclass{article}\\usepackage{caption}\\usepackage{fmahal}\\usepackage{amsmath}\\begin{document}\n"
    (folder / "toy.tex").write_text(f"{head}{body}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "toy.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    return done.returncode, (folder / "toy.log").read_text(encoding="latin-1")


@latex
@pytest.mark.slow
def test_known_numbers_and_floats_are_printed(tmp_path):
    from matplotlib.figure import Figure as Canvas

    for path, text in texts_of(sample()).items():
        file = tmp_path / Path(path).relative_to("paper")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    canvas = Canvas(figsize=(9.0, 2.0))  # wider than the line
    canvas.subplots().plot([0, 1])
    canvas.savefig(tmp_path / "figures" / "toy_line.pdf")
    code, log = compiled(
        tmp_path,
        "\\fmdefine{toy.a}{5\\,\\%}\\val{toy.a} \\fmtable{toy_table}\\fmtable{toy_wide}\\fmfigure{toy_line}",
    )
    assert code == 0, log[-2000:]
    assert "Overfull" not in log


@latex
@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (r"\val{toy.unknown}", "Unknown number `toy.unknown'"),
        (r"\fmdefine{toy.a}{1}\fmdefine{toy.a}{2}", "`toy.a' is defined twice"),
        (r"\fmtable{toy_none}", "no generated file tables/toy_none.tex"),
        (r"\fmfigure{toy_none}", "no generated file figures/toy_none.tex"),
    ],
)
def test_what_was_not_generated_is_an_error(tmp_path, body, message):
    code, log = compiled(tmp_path, body)
    assert code != 0
    assert message in log.replace("\n", " ")


@latex
@pytest.mark.slow
@pytest.mark.skipif(not GENERATED.exists(), reason="nothing was rendered yet")
def test_paper_builds_without_complaints(tmp_path):
    copy = tmp_path / "paper"
    shutil.copytree(PAPER, copy, ignore=shutil.ignore_patterns("build"))
    command = [
        "latexmk",
        "-pdf",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-output-directory=build",
        "main.tex",
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    log = (copy / "build" / "main.log").read_text(encoding="latin-1")
    assert (copy / "build" / "main.pdf").stat().st_size > 50_000
    assert not re.search(
        r"undefined (?:references|citations|on input)|Citation .* undefined|multiply defined", log
    )
    assert [float(one) for one in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log) if float(one) > 2.0] == []
