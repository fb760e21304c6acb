"""Is anything older than its results, edited by hand, or typed by hand? Each fault says what, where, and what to do."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ._figures import drawing_versions
from ._render import (
    NUMBERS,
    ROOT,
    RenderError,
    Rendering,
    block_in,
    digest,
    drawings_of,
    generated,
    load_results,
    numbers_in,
    numbers_of,
    numbers_text,
    recorded,
    rendering,
    stored,
    texts_of,
)
from ._spec import Experiment, chosen, experiments, methods
from ._store import library
from ._typed import names_used, style_files, tex_files, typed_numbers

AGAIN = "python -m experiments render"
SHOWN = 6  # names in one message
DECIDE = ("numpy", "scipy", "scikit-learn")  # packages whose other versions may give other numbers
# marks in pages that something else than an experiment fills
OTHER_MARKS = {
    "docs/benchmarks.md": ("figures",),
    "docs/precision.md": ("variance",),
    "docs/robust.md": ("sizes",),
}
WRITTEN = (
    "README.md",
    "references.bib",
    "generated.json",
    "numbers.tex",
)  # in paper/, besides what is read as TeX
# what the text of the paper may not hold, since no check could say where it is from
FORBIDDEN = (
    (
        r"\\(?:includegraphics|includepdf|pgfimage|graphicspath)(?![A-Za-z])",
        "a picture that no results have drawn",
    ),
    (r"\\fmdefine(?![A-Za-z])|fm@val@", "a number defined beside the generated ones"),
)


def check_all(
    names: Sequence[str], *, data_only: bool = False, root: Path | None = None, results: Path | None = None
) -> list[str]:
    """Return what is wrong with the named experiments (all by default), and with the paper.

    Parameters
    ----------
    names : sequence of str
    data_only : bool
        Do not ask whether sources have changed since the cells were measured.
    root : Path, optional
        Where the artefacts are, if not in the repository.
    results : Path, optional
        Folder with NAME.parquet instead of the stored results.
    """
    root = root or ROOT
    record = generated(root)
    faults: list[str] = []
    for one in chosen(names):
        source = stored(one, results)
        if not source.exists():
            run = f"python -m experiments run {one.name} --profile paper"
            faults.append(f"{one.name}: there are no results at {source}. Run: {run}")
            continue
        faults += _results(one, source, record["experiments"].get(one.name))
        faults += [] if data_only else _cells(one, source)
        faults += _artefacts(one, root, record, results)
        for note in notes(one, source):
            print(note)
    checked = {one.name for one in chosen(names)}
    spare = unused(root)
    if spare:
        print(f"{len(spare)} generated names are not used in the paper, which is no fault: {_some(spare)}")
    faults += [*_strays(root, record), *_unowned_numbers(root, record, checked), *_old_blocks(root, record)]
    return [*faults, *paper_faults(root)]


# ------------------------------------------------------------------------------------------------- results


def _results(one: Experiment, source: Path, known: Mapping[str, Any] | None) -> Iterator[str]:
    content = source.read_bytes()
    manifest = source.with_suffix(".json")
    if not manifest.exists():
        yield f"{one.name}: {source.name} has no manifest {manifest.name} beside it. Run the experiment again."
    else:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
        if facts.get("parquet_sha256", "") != hashlib.sha256(content).hexdigest():
            yield (
                f"{one.name}: {source} is not the file that its manifest describes. Was one of them copied, merged "
                f"or edited? Run: python -m experiments run {one.name} --profile paper"
            )
        if facts.get("profile", "paper") != "paper":
            yield (
                f"{one.name}: {source} holds the profile {facts['profile']!r}. "
                f"Run: python -m experiments run {one.name} --profile paper"
            )
    if known is None:
        yield f"{one.name}: never rendered. Run: {AGAIN} {one.name}"
    elif known["results"] != digest(content):
        yield f"{one.name}: paper and pages are made from other results than {source}. Run: {AGAIN} {one.name}"
    elif manifest.exists() and known.get("manifest") != digest(manifest.read_bytes()):
        yield (
            f"{one.name}: {manifest} was edited, or written anew, since the last rendering. Take the stored one back, "
            f"or run: {AGAIN} {one.name}"
        )


@lru_cache(maxsize=1)
def _today() -> dict[str, str]:
    return {"fmahal at": library()} | {name: metadata.version(name) for name in DECIDE}


def notes(one: Experiment, source: Path) -> Iterator[str]:
    """Say what the results were measured with, where that is not what is here today: no fault, but worth knowing."""
    manifest = source.with_suffix(".json")
    facts = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    sessions = facts.get("sessions") or [facts]
    others = []
    for name, now in _today().items():
        seen = [
            one["library"] if name not in DECIDE and "library" in one else one.get("versions", {}).get(name)
            for one in sessions
        ]
        then = [text for text in dict.fromkeys(seen) if text and text != now]
        others += [f"{name} {' and '.join(then)} (now {now})"] if then else []
    if others:
        yield (
            f"{one.name}: cells were measured with {', '.join(others)}. That is no fault, but results may be out "
            f"of date; to be sure: python -m experiments run {one.name} --profile paper --again"
        )


def _cells(one: Experiment, source: Path) -> Iterator[str]:
    import pandas as pd

    have = pd.read_parquet(source, columns=["key", "method"]).drop_duplicates()
    plan = one.cells("paper")
    there = set(have["key"])
    missing = [cell for cell in plan if cell.key not in there]
    again = f"python -m experiments run {one.name} --profile paper, then {AGAIN} {one.name}"
    if missing:
        yield (
            f"{one.name}: {len(missing)} of {len(plan)} cells are missing or were measured by another spec or method, "
            f"first: {missing[0]}. Run: {again}"
        )
    extra = have[~have["key"].isin({cell.key for cell in plan})]
    here = extra["method"].isin({method.name for method in methods(one.role)})
    if (
        not here.all()
    ):  # a package that is not installed here: a run keeps the rows, so that no run could mend it
        absent = sorted(set(extra["method"][~here]))
        print(f"{one.name}: cells of {_some(absent)} cannot be compared: no such method is registered here.")
    extra = extra[here]
    if len(extra):
        yield (
            f"{one.name}: {len(extra)} stored cells are not planned any more, of methods "
            f"{_some(sorted(set(extra['method'])))}. Run: {again}"
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more


# ------------------------------------------------------------------------------------------------- artefacts


def _artefacts(one: Experiment, root: Path, record: Mapping[str, Any], results: Path | None) -> list[str]:
    known = record["experiments"].get(one.name, {})
    have = load_results(one, results)
    absent = set(have.frame["method"]) - {method.name for method in methods(one.role)}
    if (
        absent and known
    ):  # a page orders and names the methods that are registered: here it would make other tables
        print(
            f"{one.name}: {_some(sorted(absent))} are not registered here; artefacts are held against the record."
        )
        return list(_as_recorded(one, root, known))
    try:
        made = rendering(one, have)
    except RenderError as error:
        return [f"{one.name}: {error}"]
    faults = [*_texts(one, made, root), *_numbers(one, made, root), *_blocks(one, made, root)]
    files: Mapping[str, str] = known.get("files", {})
    drawn = drawings_of(made)
    same_pen = record["drawn with"] == drawing_versions()  # another matplotlib may write other bytes
    if drawn and not same_pen:
        print(
            f"{one.name}: drawn with {record['drawn with']}; here figures are compared with their digests alone."
        )
    if known:
        faults += _record(
            one, known, recorded(made, stored(one, results), {**texts_of(made), **drawn}), drawn
        )
    for path, content in drawn.items():
        if not (root / path).exists():
            faults.append(f"{one.name}: {path} is missing. Run: {AGAIN} {one.name}")
        elif digest((root / path).read_bytes()) != files.get(path):
            faults.append(f"{one.name}: {path} was edited or replaced by hand. Run: {AGAIN} {one.name}")
        elif same_pen and digest(content) != files.get(path):
            faults.append(f"{one.name}: {path} is drawn otherwise now. Run: {AGAIN} {one.name}")
    return faults


def _as_recorded(one: Experiment, root: Path, known: Mapping[str, Any]) -> Iterator[str]:
    """Compare files, blocks and numbers with the digests that were recorded when they were rendered."""
    for path, wanted in known["files"].items():
        if not (root / path).exists() or digest((root / path).read_bytes()) != wanted:
            yield f"{one.name}: {path} is missing, or was edited or replaced by hand. Run: {AGAIN} {one.name}"
    for path, blocks in known["blocks"].items():
        text = (root / path).read_text(encoding="utf-8") if (root / path).exists() else ""
        for mark, wanted in blocks.items():
            if digest(block_in(text, mark) or "") != wanted:
                yield f"{one.name}: block {mark} of {path} is missing or edited. Run: {AGAIN} {one.name}"
    file = root / NUMBERS
    yield from _other_numbers(
        one.name, numbers_in(file.read_text(encoding="utf-8")) if file.exists() else {}, known
    )


def _other_numbers(name: str, found: Mapping[str, str], known: Mapping[str, Any]) -> Iterator[str]:
    """Compare the numbers of one experiment with the digest that was recorded."""
    own = {number: text for number, text in found.items() if number.partition(".")[0] == name}
    if digest(numbers_text(own)) != known["numbers"]:
        yield f"{name}: numbers in {NUMBERS} are not those that were rendered. Run: {AGAIN} {name}"


def _record(
    one: Experiment, known: Mapping[str, Any], made: Mapping[str, Any], drawn: Mapping[str, bytes]
) -> Iterator[str]:
    """Compare what was recorded with what the page makes: an artefact it makes no more stays in paper and pages."""
    gone, new = (sorted(a["files"].keys() - b["files"].keys()) for a, b in ((known, made), (made, known)))
    if gone:
        yield f"{one.name}: page.py does not make {_some(gone)} any more. Run: {AGAIN} {one.name}"
    if new:
        yield f"{one.name}: page.py makes {_some(new)}, which was not rendered yet. Run: {AGAIN} {one.name}"
    other = [part for part in ("blocks", "numbers", "findings", "failures") if known.get(part) != made[part]]
    other += [path for path in known["files"].keys() & made["files"].keys() - drawn.keys()
              if known["files"][path] != made["files"][path]]  # fmt: skip
    if other:
        yield (
            f"{one.name}: paper/generated.json has other {_some(sorted(other))} than page.py makes of the results: "
            f"edited, or rendered by another page.py. Run: {AGAIN} {one.name}"
        )


def _texts(one: Experiment, made: Rendering, root: Path) -> Iterator[str]:
    for path, text in texts_of(made).items():
        file = root / path
        if not file.exists():
            yield f"{one.name}: {path} is missing. Run: {AGAIN} {one.name}"
        elif file.read_text(encoding="utf-8") != text:
            yield f"{one.name}: {path} is stale or was edited by hand. Run: {AGAIN} {one.name}"


def _numbers(one: Experiment, made: Rendering, root: Path) -> Iterator[str]:
    file = root / NUMBERS
    found = numbers_in(file.read_text(encoding="utf-8")) if file.exists() else {}
    have = {name: text for name, text in found.items() if name.startswith(f"{one.name}.")}
    want = numbers_of(made)
    wrong = sorted(name for name in have.keys() | want.keys() if have.get(name) != want.get(name))
    if wrong:
        yield f"{one.name}: numbers in {NUMBERS} are stale or edited: {_some(wrong)}. Run: {AGAIN} {one.name}"


def _blocks(one: Experiment, made: Rendering, root: Path) -> Iterator[str]:
    for path, blocks in made.blocks.items():
        file = root / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for mark, block in blocks.items():
            found = block_in(text, mark)
            if found is None:
                yield f"{one.name}: {path} has no marks <!-- {mark}: begin --> and <!-- {mark}: end -->. Add them."
            elif found != block.strip("\n"):
                yield f"{one.name}: block {mark} of {path} is stale or edited. Run: {AGAIN} {one.name}"


def _strays(root: Path, record: Mapping[str, Any]) -> Iterator[str]:
    known = {path for one in record["experiments"].values() for path in one["files"]}
    for folder in ("paper/tables", "paper/figures", "docs/pictures"):
        for file in sorted((root / folder).glob("**/[!.]*")):
            path = file.relative_to(root).as_posix()
            if file.is_file() and path not in known:
                yield f"{path} comes from no rendering that {AGAIN} has recorded. Delete it, or let a page.py make it."
    paper = root / "paper"
    made = {paper / name for name in ("tables", "figures", "build")}
    read = {*tex_files(paper), *style_files(paper), *(paper / name for name in WRITTEN)}
    for file in sorted(paper.glob("**/[!.]*")):
        by_latex = file.parent == paper and file.name.startswith("main.")
        if file.is_file() and not made & set(file.parents) and file not in read and not by_latex:
            path = file.relative_to(root).as_posix()
            yield f"{path} is of a kind that is not checked for numbers. Delete it, or write it as a .tex file."
    for name in sorted(set(record["experiments"]) - set(experiments())):
        yield f"{name} was rendered, but no experiment is called so. Remove what it made, and it from generated.json."


def _unowned_numbers(root: Path, record: Mapping[str, Any], checked: set[str]) -> Iterator[str]:
    """Hold all of numbers.tex against what wrote it: nothing but definitions, each of a rendered experiment."""
    file = root / NUMBERS
    if not file.exists():
        return
    text = file.read_text(encoding="utf-8")
    found = numbers_in(text)
    if text != numbers_text(found):
        yield f"{NUMBERS} has lines that {AGAIN} does not write, or not in this order. Run: {AGAIN}"
    owners = {name: name.partition(".")[0] for name in found}
    unowned = [name for name, owner in owners.items() if owner not in {*record["experiments"], *checked}]
    if unowned:
        yield f"{NUMBERS}: {_some(sorted(unowned))} belong to no rendered experiment. Delete these lines."
    for name in sorted(set(record["experiments"]) - checked):
        yield from _other_numbers(name, found, record["experiments"][name])


def _old_blocks(root: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Find filled marks that nobody fills any more."""
    known = {(path, mark) for one in record["experiments"].values() for path, marks in one["blocks"].items()
             for mark in marks}  # fmt: skip
    known |= {(path, mark) for path, marks in OTHER_MARKS.items() for mark in marks}
    for file in [*sorted((root / "docs").glob("**/*.md")), *sorted(root.glob("*.md"))]:
        path, text = file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
        for mark in re.findall(r"<!-- ([\w.-]+): begin -->", text):
            if (path, mark) not in known and block_in(text, mark):
                yield f"{path}: no page.py fills the block {mark}. Run {AGAIN}, or delete it with its marks."


# ------------------------------------------------------------------------------------------------- the paper


def paper_faults(root: Path) -> list[str]:
    """Return unknown names and typed numbers in the text of the paper."""
    paper = root / "paper"
    files = tex_files(paper)
    numbers = numbers_in((root / NUMBERS).read_text(encoding="utf-8")) if (root / NUMBERS).exists() else {}
    made = {
        "val": (set(numbers), "number"),
        "fmtable": ({file.stem for file in paper.glob("tables/*.tex")}, "table"),
        "fmfigure": ({file.stem for file in paper.glob("figures/*.pdf")}, "figure"),
    }
    faults = []
    for macro, (known, what) in made.items():
        for name, where in names_used(files, macro).items():
            if name not in known:
                faults.append(
                    f"paper, {where}: \\{macro}{{{name}}}, but no {what} is called so. Let the experiment's page.py "
                    f"make it and run {AGAIN}, or mend the name."
                )
    styles = style_files(paper)
    for file in [*files, *(one for one in styles if one.name != "fmahal.sty")]:
        text = file.read_text(encoding="utf-8")
        for pattern, what in FORBIDDEN:
            for one in re.finditer(pattern, text):
                line = text.count("\n", 0, one.start()) + 1
                faults.append(
                    f"paper, {file.name}:{line}: {one[0]} brings in {what}. Let the experiment's page.py make it, and "
                    f"write \\val{{name}} or \\fmfigure{{stem}}."
                )
    for file in [*files, *styles]:
        for line, around in typed_numbers(file.read_text(encoding="utf-8")):
            faults.append(
                f"paper, {file.name}:{line}: a number typed by hand in '{around}'. Let the experiment's page.py make "
                f"it and write \\val{{name}}; what no experiment can change goes to the list in experiments/_typed.py."
            )
    return faults


def unused(root: Path | None = None) -> list[str]:
    """Return numbers, tables and figures that no text of the paper names."""
    root = root or ROOT
    files = tex_files(root / "paper")
    numbers = numbers_in((root / NUMBERS).read_text(encoding="utf-8")) if (root / NUMBERS).exists() else {}
    made = [(set(numbers), "val")]
    made += [({file.stem for file in (root / "paper" / folder).glob("*.tex")}, macro)
             for folder, macro in (("tables", "fmtable"), ("figures", "fmfigure"))]  # fmt: skip
    return [name for known, macro in made for name in sorted(known - set(names_used(files, macro)))]
