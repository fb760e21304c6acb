"""Is anything older than its results, edited by hand, or typed by hand? Each fault says what, where, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
    rendering,
    stored,
    texts_of,
)
from ._spec import Experiment, chosen, experiments
from ._typed import names_used, tex_files, typed_numbers

AGAIN = "python -m experiments render"
SHOWN = 6  # names in one message


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
    spare = unused(root)
    if spare:
        print(f"{len(spare)} generated names are not used in the paper, which is no fault: {_some(spare)}")
    return [*faults, *_strays(root, record), *paper_faults(root)]


# ------------------------------------------------------------------------------------------------- results


def _results(one: Experiment, source: Path, known: Mapping[str, Any] | None) -> Iterator[str]:
    content = source.read_bytes()
    manifest = source.with_suffix(".json")
    if not manifest.exists():
        yield f"{one.name}: {source.name} has no manifest {manifest.name} beside it. Run the experiment again."
    else:
        import hashlib

        facts = json.loads(manifest.read_text(encoding="utf-8"))
        if facts.get("parquet_sha256", "") != hashlib.sha256(content).hexdigest():
            yield (
                f"{one.name}: {source} is not the file that its manifest describes. Was one of them copied, merged "
                f"or edited? Run: python -m experiments run {one.name} --profile paper"
            )
    if known is None:
        yield f"{one.name}: never rendered. Run: {AGAIN} {one.name}"
    elif known["results"] != digest(content):
        yield f"{one.name}: paper and pages are made from other results than {source}. Run: {AGAIN} {one.name}"


def _cells(one: Experiment, source: Path) -> Iterator[str]:
    import pandas as pd

    have = pd.read_parquet(source, columns=["key", "method"]).drop_duplicates()
    plan = one.cells("paper")
    missing = [cell for cell in plan if cell.key not in set(have["key"])]
    again = f"python -m experiments run {one.name} --profile paper, then {AGAIN} {one.name}"
    if missing:
        yield (
            f"{one.name}: {len(missing)} of {len(plan)} cells are missing or were measured by other sources, "
            f"first: {missing[0]}. Run: {again}"
        )
    extra = have[~have["key"].isin({cell.key for cell in plan})]
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
    try:
        made = rendering(one, load_results(one, results))
    except RenderError as error:
        return [f"{one.name}: {error}"]
    known = record["experiments"].get(one.name, {})
    faults = [*_texts(one, made, root), *_numbers(one, made, root), *_blocks(one, made, root)]
    files: Mapping[str, str] = known.get("files", {})
    drawn = drawings_of(made)
    same_pen = record["drawn with"] == drawing_versions()  # another matplotlib may write other bytes
    for path, content in drawn.items():
        if not (root / path).exists():
            faults.append(f"{one.name}: {path} is missing. Run: {AGAIN} {one.name}")
        elif digest((root / path).read_bytes()) != files.get(path):
            faults.append(f"{one.name}: {path} was edited or replaced by hand. Run: {AGAIN} {one.name}")
        elif same_pen and digest(content) != files.get(path):
            faults.append(f"{one.name}: {path} is drawn otherwise now. Run: {AGAIN} {one.name}")
    return faults


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
    for folder in ("paper/tables", "paper/figures"):
        for file in sorted((root / folder).glob("[!.]*")):
            path = file.relative_to(root).as_posix()
            if path not in known:
                yield f"{path} comes from no rendering that {AGAIN} has recorded. Delete it, or let a page.py make it."
    for name in sorted(set(record["experiments"]) - set(experiments())):
        yield f"{name} was rendered, but no experiment is called so. Remove what it made, and it from generated.json."


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
    for file in files:
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
