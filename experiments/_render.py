"""From stored results to the paper and the pages: numbers, tables, figures and blocks, all generated, none typed.

What is written, below the repository's root:

paper/numbers.tex        ``\\fmdefine{e01.auto.worst}{5.3}`` a line, sorted
paper/tables/STEM.tex    ``\\fmtablecaption{STEM}{...}``, a tabular, perhaps ``\\fmtablenote{...}``
paper/figures/STEM.pdf   and STEM.tex beside it: ``\\fmfiguregraphic{STEM}`` and ``\\fmfigurecaption{STEM}{...}``
docs/pictures/STEM.svg   figures with docs=True
docs/*.md                what stands between ``<!-- mark: begin -->`` and ``<!-- mark: end -->``
paper/generated.json     digests of the results and of everything made from them, findings, failures
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ._figures import Figure, drawing_versions
from ._spec import Experiment, SpecError, chosen
from ._tables import Table, number_tex, tex

ROOT = Path(__file__).resolve().parents[1]
NUMBERS, GENERATED = "paper/numbers.tex", "paper/generated.json"
_DEFINE = re.compile(r"\\fmdefine\{([^{}]*)\}\{(.*)\}$", re.M)
_NAME = re.compile(r"[A-Za-z0-9.+_-]+")

Number = str  # text ready for LaTeX, or plain text such as "5.3 %"


class RenderError(SpecError):
    """A rendering that cannot be written: a name without its experiment's prefix, a page without the mark."""


@dataclass
class Results:
    """Stored results of one experiment: all that a page may read.

    Attributes
    ----------
    name : str
        Of the experiment.
    frame : pandas.DataFrame
        A row for each record.
    facts : dict
        The manifest: versions, CPU, threads, profile, wall time.
    """

    name: str
    frame: Any
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def profile(self) -> str:
        """Profile that the results are of."""
        return str(self.facts.get("profile", "paper"))

    def repetitions(self, **where: Any) -> str:
        """Return how many repetitions there are: "20", or "10 to 50" where cells differ."""
        frame = self.frame
        for column, value in where.items():
            frame = frame[frame[column] == value]
        per_cell = frame.groupby(["data", "method"], observed=True)["repetition"].nunique()
        low, high = (int(per_cell.min()), int(per_cell.max())) if len(per_cell) else (0, 0)
        return str(low) if low == high else f"{low} to {high}"


@dataclass
class Rendering:
    """What a page makes of its results.

    Attributes
    ----------
    numbers : dict of str to str
        ``"e01.auto.worst"`` to ``"5.3"``; every name begins with the experiment's.
    tables, figures : dict
        By stem, ``"e01_summary"``; every stem begins with the experiment's name.
    blocks : dict of dict
        ``{"docs/nulls.md": {mark: markdown}}``.
    findings, failures : list of str
        A sentence each: what was found, also against us; requirements that do not hold.
    files : dict of str to str
        Further text files that the results decide, by their path from the repository's root.
    """

    numbers: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    blocks: dict[str, dict[str, str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------- reading


def digest(content: bytes | str) -> str:
    """Return the first sixteen digits of a SHA-256."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


def stored(experiment: Experiment, results: Path | None = None) -> Path:
    """Where the results of an experiment are: its own paper.parquet, or one of a given folder."""
    if results is None:
        return experiment.folder / "results" / "paper.parquet"
    places = [results / f"{experiment.name}.parquet", results / f"{experiment.folder.name}.parquet"]
    return next((place for place in places if place.exists()), places[0])


def load_results(experiment: Experiment, results: Path | None = None) -> Results:
    """Read stored results and their manifest."""
    import pandas as pd

    file = stored(experiment, results)
    if not file.exists():
        raise RenderError(
            f"{experiment.name} has no results at {file}. Run it first: "
            f"python -m experiments run {experiment.name} --profile paper."
        )
    facts = file.with_suffix(".json")
    known = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
    return Results(experiment.name, pd.read_parquet(file), known)


def rendering(experiment: Experiment, results: Results) -> Rendering:
    """Let the experiment's page render its results, and check the names that it gives."""
    render = experiment.renderer()
    made = render(results)
    if not isinstance(made, Rendering):
        raise RenderError(
            f"render of {render.__module__} returned {type(made).__name__}; it should return a Rendering."
        )
    wrong = [name for name in made.numbers if not name.startswith(f"{experiment.name}.")]
    wrong += [stem for stem in [*made.tables, *made.figures] if not stem.startswith(f"{experiment.name}_")]
    wrong += [name for name in [*made.numbers, *made.tables, *made.figures] if not _NAME.fullmatch(name)]
    if wrong:
        raise RenderError(
            f"{render.__module__} gives names that cannot be kept apart or written: {', '.join(sorted(set(wrong)))}. "
            f"Numbers begin with '{experiment.name}.', tables and figures with '{experiment.name}_'; "
            "they take letters, digits and . + - _ only."
        )
    return _incomplete(made, results)


def _incomplete(made: Rendering, results: Results) -> Rendering:
    """Say so in captions and pages when cells are missing, and print none as the best: fewer cells look otherwise."""
    cells, planned = results.facts.get("cells", 0), results.facts.get("planned", 0)
    if cells >= planned:
        return made
    note = f"INCOMPLETE: only {cells} of {planned} planned cells are stored, so that methods do not compare."
    for kind in (made.tables, made.figures):
        kind.update({stem: replace(one, caption=f"{note} {one.caption}") for stem, one in kind.items()})
    for table in made.tables.values():
        table.rows = [[cell.replace("**", "") for cell in row] for row in table.rows]
    for blocks in made.blocks.values():
        blocks.update({mark: f"{note}\n\n{text}" for mark, text in blocks.items()})
    made.failures.insert(0, note)
    return made


# ------------------------------------------------------------------------------------------------- texts


def numbers_text(numbers: Mapping[str, str]) -> str:
    """Return numbers.tex."""
    head = "% Written by `python -m experiments render` from stored results; edits are lost and found.\n"
    return head + "".join(rf"\fmdefine{{{name}}}{{{numbers[name]}}}" + "\n" for name in sorted(numbers))


def numbers_in(text: str) -> dict[str, str]:
    """Read numbers.tex."""
    return dict(_DEFINE.findall(text))


def with_blocks(text: str, blocks: Mapping[str, str], page: str) -> str:
    """Replace what stands between the marks of each block."""
    for mark, block in blocks.items():
        begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise RenderError(
                f"{page} should have '{begin}' and after it '{end}', each once and on its own line: the generated "
                f"text goes between them. Add the two lines, or take the block out of the experiment's page.py."
            )
        head, rest = text.split(begin)
        inner = block.strip("\n")
        text = f"{head}{begin}\n\n{inner}\n\n{end}{rest.split(end)[1]}"
    return text


def block_in(text: str, mark: str) -> str | None:
    """Return the generated text of a mark."""
    found = re.search(rf"<!-- {re.escape(mark)}: begin -->\n(.*)<!-- {re.escape(mark)}: end -->", text, re.S)
    return found[1].strip("\n") if found else None


def texts_of(made: Rendering) -> dict[str, str]:
    """Return the text files of a rendering by path; numbers, blocks and drawings apart."""
    head = "% Written by `python -m experiments render`; edits are lost and found.\n"
    out = {f"paper/tables/{stem}.tex": head + one.latex(stem) for stem, one in made.tables.items()}
    for stem, one in made.figures.items():
        out[f"paper/figures/{stem}.tex"] = (
            f"{head}\\fmfiguregraphic{{{stem}}}%\n\\fmfigurecaption{{{stem}}}{{{tex(one.caption)}}}%\n"
        )
    return {**out, **made.files}


def drawings_of(made: Rendering) -> dict[str, bytes]:
    """Draw the figures; bytes by path."""
    out = {}
    for stem, one in made.figures.items():
        out[f"paper/figures/{stem}.pdf"] = one.drawn("pdf", stem)
        if one.docs:
            out[f"docs/pictures/{stem}.svg"] = one.drawn("svg", stem)
    return out


def numbers_of(made: Rendering) -> dict[str, str]:
    """Return the numbers of a rendering as they stand in numbers.tex."""
    return {name: number_tex(text) for name, text in made.numbers.items()}


# ------------------------------------------------------------------------------------------------- writing


def write(file: Path, content: bytes | str) -> None:
    """Write a file at once or not at all; one that has the content already keeps its time."""
    data = content.encode() if isinstance(content, str) else content
    if file.exists() and file.read_bytes() == data:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_bytes(data)
    os.replace(part, file)


def read(root: Path, path: str) -> str:
    """Read a text file of another root; where that has none, the repository's."""
    file = root / path if (root / path).exists() else ROOT / path
    if not file.exists():
        raise RenderError(
            f"{path} is not there, and a block should be written into it. Make the page with its marks."
        )
    return file.read_text(encoding="utf-8")


def generated(root: Path) -> dict[str, Any]:
    """Return what generated.json records."""
    file = root / GENERATED
    empty: dict[str, Any] = {"drawn with": {}, "experiments": {}}
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else empty


def recorded(made: Rendering, source: Path, artefacts: Mapping[str, bytes | str]) -> dict[str, Any]:
    """Return what generated.json keeps of a rendering: what it was made from, and all that was made."""
    facts = source.with_suffix(".json")
    return {
        "results": digest(source.read_bytes()),
        "manifest": digest(facts.read_bytes()) if facts.exists() else "",
        "files": {path: digest(content) for path, content in artefacts.items()},
        "blocks": {
            path: {m: digest(b.strip("\n")) for m, b in blocks.items()}
            for path, blocks in made.blocks.items()
        },
        "numbers": digest(numbers_text(numbers_of(made))),
        "findings": made.findings,
        "failures": made.failures,
    }


def _write_one(experiment: Experiment, made: Rendering, source: Path, root: Path) -> None:
    artefacts: dict[str, bytes | str] = {**texts_of(made), **drawings_of(made)}
    pages = {path: with_blocks(read(root, path), blocks, path) for path, blocks in made.blocks.items()}
    record = generated(root)
    before = record["experiments"].get(experiment.name, {}).get("files", {})
    for path, content in [*artefacts.items(), *pages.items()]:
        write(root / path, content)
    for path in set(before) - set(artefacts):
        (root / path).unlink(missing_ok=True)  # made once, and no longer
    numbers = numbers_in((root / NUMBERS).read_text(encoding="utf-8")) if (root / NUMBERS).exists() else {}
    kept = {name: text for name, text in numbers.items() if not name.startswith(f"{experiment.name}.")}
    write(root / NUMBERS, numbers_text({**kept, **numbers_of(made)}))
    record["drawn with"] = drawing_versions()
    record["experiments"][experiment.name] = recorded(made, source, artefacts)
    write(root / GENERATED, json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def render_all(
    names: Sequence[str], *, results: Path | None = None, into: Path | None = None, show: bool = False
) -> int:
    """Render the named experiments, print what they found; 1 when one could not be rendered.

    Parameters
    ----------
    names : sequence of str
        Experiments; none means all that have results.
    results : Path, optional
        Folder with NAME.parquet instead of the stored results.
    into : Path, optional
        Another root than the repository; pages that it lacks are taken from the repository.
    show : bool
        Print the tables, as Markdown.
    """
    missing = []
    for one in chosen(names):
        source = stored(one, results)
        if not source.exists():
            missing.append(
                f"{one.name}: no results at {source}; python -m experiments run {one.name} --profile paper"
            )
            continue
        made = rendering(one, load_results(one, results))
        _write_one(one, made, source, into or ROOT)
        print(f"{one.name}: {one.title}")
        parts = {
            "numbers": made.numbers,
            "tables": made.tables,
            "figures": made.figures,
            "pages": made.blocks,
        }
        print("  " + ", ".join(f"{len(part)} {name}" for name, part in parts.items()))
        for title, lines in (("found", made.findings), ("DOES NOT HOLD", made.failures)):
            for line in lines:
                print(f"  {title}: {line}")
        for stem, table in made.tables.items() if show else ():
            print(f"\n## {stem}\n{table.markdown(caption=True)}")
    for line in missing:
        print(f"not rendered: {line}")
    return 1 if missing else 0
