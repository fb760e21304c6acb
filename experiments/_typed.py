r"""Numbers typed by hand into LaTeX: outside mathematics every digit, in it decimals and percentages.

Numbers belong to results and come as ``\val{name}``. What theory says ($2\sqrt{p/n}$, $\chi^2_p$) has no decimals; what
is left over is on a short list of literals, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# what may stand in the text, and why
ALLOWED = (
    (r"\be\d\d\b", "names of experiments"),
    (r"\b(?:float|int|uint)(?:8|16|32|64)\b", "names of number types"),
    (r"\b[1-9]-?(?:[Dd]imensional|D|d)\b(?!\.\d)", "dimension of a space"),
    (r"\bL[12]\b|\bF1\b|\bt[1-9]\b|\bP-?[1-9]\b", "names of norms, scores, laws and properties"),
    (r"\bPython~?\s*3(?:\.\d+)?\b", "name of a language's version"),
    (r"\b(?:SHA|sha)-?256\b|\bUTF-?8\b|\bx86(?:\\_|_)64\b|\bBLAS-?[123]\b|\blevel-?[123]~BLAS\b", "names of standards"),
    (r"\b(?:Theorem|Lemma|Section|Chapter|Algorithm|Equation|Table|Figure)~\d+(?:\.\d+)*\b", "place in a cited work"),
)  # fmt: skip
# what may stand in mathematics although it has a decimal point or a percent sign, and why
ALLOWED_MATH = (
    (r"\\alpha\s*=\s*0?\.(?:05|01|1|001)(?!\d)", "a level that is asked for, not measured"),
    (r"(?<![\d.])0?\.5(?!\d)", "one half"),
)
# macros whose first so many arguments name something, or say how to set it; options in brackets go too
_SILENT = {
    "val": 1, "fmtable": 1, "fmfigure": 1, "label": 1, "ref": 1, "eqref": 1, "autoref": 1, "pageref": 1, "cref": 1,
    "Cref": 1, "nameref": 1, "cite": 1, "citep": 1, "citet": 1, "citealp": 1, "citealt": 1, "citeauthor": 1,
    "citeyear": 1, "citeyearpar": 1, "nocite": 1, "input": 1, "include": 1, "optional": 1, "IfFileExists": 3,
    "includegraphics": 1, "bibliography": 1, "bibliographystyle": 1, "begin": 1, "end": 1, "usepackage": 1, "url": 1,
    "href": 1, "hyperref": 0, "vspace": 1, "hspace": 1, "vspace*": 1, "hspace*": 1, "setlength": 2, "addtolength": 2,
    "setcounter": 2, "addtocounter": 2, "rule": 2, "raisebox": 1, "resizebox": 2, "parbox": 1, "color": 1,
    "textcolor": 1, "colorbox": 1, "definecolor": 3, "hypersetup": 1, "documentclass": 1, "newcommand": 1,
    "renewcommand": 1, "cmidrule": 1, "cline": 1, "multicolumn": 2, "multirow": 2, "looseness": 0, "enlargethispage": 1,
    "pdfbookmark": 2, "phantomsection": 0, "fontsize": 2, "linespread": 1, "item": 0, "\\": 0,
}  # fmt: skip
_SETS_COLUMNS = re.compile(r"\\begin\{(?:tabular\*?|tabularx|minipage|array|list|steps|longtable)\}")
_MATH = re.compile(
    r"\$\$(?P<a>.*?)\$\$|(?<!\\)\$(?P<b>(?:\\.|[^$\\])*)\$|\\\((?P<c>.*?)\\\)|\\\[(?P<d>.*?)\\\]"
    r"|\\begin\{(?P<name>equation|align|gather|multline|displaymath|math|eqnarray|alignat|flalign)(?P<star>\*?)\}"
    r"(?P<e>.*?)\\end\{(?P=name)(?P=star)\}",
    re.S,
)
_DISPLAY = re.compile(r"\{(?:equation|align|gather|multline|displaymath|math|eqnarray|alignat|flalign)\*?\}")
_VERBATIM = re.compile(
    r"\\begin\{(verbatim|lstlisting|Verbatim|minted)\}.*?\\end\{\1\}|\\verb\*?([^\w\s]).*?\2|\\lstinline([^\w\s{]).*?\3",
    re.S,
)
_DIMENSION = re.compile(
    r"-?(?:\d+\.?\d*|\.\d+)\s*(?:pt|em|ex|in|cm|mm|bp|mu|sp|\\\w*(?:width|height|skip))(?![a-z])"
)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _comments(text: str) -> str:
    return re.sub(
        r"(?<!\\)((?:\\\\)*)%[^\n]*", lambda found: found[1] + _blank(found[0][len(found[1]) :]), text
    )


def _group(text: str, start: int, pair: str = "{}") -> int:
    """Return where the group that opens at `start` ends; `start` where none opens there."""
    begin = start + len(text[start:]) - len(text[start:].lstrip(" \t"))
    if begin >= len(text) or text[begin] != pair[0]:
        return start
    depth = 1
    for place in range(begin + 1, len(text)):
        if text[place] in pair and text[place - 1] != "\\":
            depth += 1 if text[place] == pair[0] else -1
            if depth == 0:
                return place + 1
    return len(text)


def _silent_arguments(text: str) -> str:
    """Blank the arguments that are names, and code that has a letter in it."""
    out, place = [], 0
    for found in re.finditer(r"\\([A-Za-z]+\*?|\\)", text):
        name = found[1] if found[1] in _SILENT else found[1].rstrip("*")
        displayed = name in ("begin", "end") and _DISPLAY.match(text, found.end())
        if found.start() < place or name not in {*_SILENT, "code", "texttt"} or displayed:
            continue
        end = found.end()
        if name in ("code", "texttt"):
            stop = _group(text, end)
            end = stop if re.search(r"[A-Za-z_]", text[end:stop]) else end
        else:
            end = _group(text, end, "[]") if name not in ("item",) else end
            end = _group(text, end, "[]")
            for _ in range(_SILENT[name]):
                end = _group(text, end)
            for _ in range(2 * bool(_SETS_COLUMNS.fullmatch(text[found.start() : end].strip()))):
                end = _group(text, _group(text, end, "[]"))
        out += [text[place : found.start()], _blank(text[found.start() : end])]
        place = end
    return "".join([*out, text[place:]])


def typed_numbers(text: str) -> list[tuple[int, str]]:
    """Return the line and the text around each number that was typed by hand."""
    body = text.find(r"\begin{document}")
    if body >= 0:  # before it there is layout
        text = _blank(text[:body]) + text[body:]
    text = _VERBATIM.sub(lambda found: _blank(found[0]), _comments(text))
    text = _silent_arguments(text)
    faults: list[tuple[int, str]] = []

    def mathematics(found: re.Match[str]) -> str:
        inner = found[0]
        for pattern, _ in ALLOWED_MATH:
            inner = re.sub(pattern, lambda one: _blank(one[0]), inner)
        inner = _DIMENSION.sub(lambda one: _blank(one[0]), inner)
        for bad in re.finditer(r"\d*\.\d+|\d{,3}\\%", inner):
            line = text.count("\n", 0, found.start() + bad.start()) + 1
            faults.append((line, " ".join(found[0].split())[:60]))
        return _blank(found[0])

    plain = _MATH.sub(mathematics, text)
    for pattern, _ in ALLOWED:
        plain = re.sub(pattern, lambda one: _blank(one[0]), plain)
    plain = _DIMENSION.sub(lambda one: _blank(one[0]), plain)
    lines = text.splitlines()
    for number, line in enumerate(plain.splitlines()):
        for bad in re.finditer(r"\d[\d.,:/\\%]*", line):
            around = lines[number][max(0, bad.start() - 25) : bad.end() + 15].strip()
            faults.append((number + 1, around))
    return sorted(faults)


def tex_files(paper: Path) -> list[Path]:
    """Return the files that people write."""
    return [*sorted(paper.glob("main.tex")), *sorted((paper / "sections").glob("**/*.tex"))]


def names_used(files: Iterable[Path], macro: str) -> dict[str, str]:
    r"""Return the names given to ``\val``, ``\fmtable`` or ``\fmfigure``, with the first file and line of each."""
    found: dict[str, str] = {}
    for file in files:
        text = _comments(file.read_text(encoding="utf-8"))
        for one in re.finditer(rf"\\{macro}\s*(?:\[[^\]]*\])?\{{([^{{}}]*)\}}", text):
            found.setdefault(one[1].strip(), f"{file.name}:{text.count(chr(10), 0, one.start()) + 1}")
    return found
