r"""Numbers typed by hand into LaTeX: in the text every digit, in mathematics what no theory needs.

Numbers belong to results and come as ``\val{name}``. What theory says ($2\sqrt{p/n}$, $\chi^2_p$) has no decimals, no
percentages, no powers of ten and no integer above twelve, and it is never a number alone: ``$7$ tables`` is text.
What is left over is on a short list of literals, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPERIMENTS = sorted({folder.name[:3] for folder in HERE.glob("e[0-9][0-9]_*/")})
# what may stand in the text, and why
ALLOWED = (
    (rf"\b(?:{'|'.join(EXPERIMENTS) or 'e01'})\b", "names of experiments that there are"),
    (r"\b(?:float|int|uint)(?:8|16|32|64)\b", "names of number types"),
    (r"\b[1-9]-?(?:[Dd]imensional|D)\b(?!\.\d)", "dimension of a space"),
    (r"\bL[12]\b|\bF1\b|\bt[1-9]\b|\bP-?[1-9]\b", "names of norms, scores, laws and properties"),
    (r"\bPython~?\s*3(?:\.\d+)?\b", "name of a language's version"),
    (r"\b(?:SHA|sha)-?256\b|\bUTF-?8\b|\bx86(?:\\_|_)64\b|\bBLAS-?[123]\b|\blevel-?[123]~BLAS\b", "names of standards"),
    (r"\blevel of five percent\b", "a level that is asked for, not measured"),
    (r"\bmore than five points\b", "the loss from which on a table is counted: declared, not measured"),
    (r"#\d", "argument of a macro"),
)  # fmt: skip
# what may stand in preamble and style, and why
LAYOUT = (
    (r"\\renewcommand\*?\{\\(?:dbl)?(?:float(?:page)?|top|bottom|text)fraction\}\{0?\.\d+\}", "how floats are placed"),
    (r"\\ProvidesPackage\{\w+\}\[[\d/]+ |\bLaTeX2e\b", "version of a style"),
)  # fmt: skip
# what may stand in the notes of \cite[...] besides
PLACES = (
    (r"\b(?:Theorem|Lemma|Section|Chapter|Algorithm|Equation|Table|Figure|Proposition|Corollary)~\d+(?:\.\d+)*\b",
     "place in a cited work"),
    (r"\bpp?\.~\d+(?:--\d+)?", "pages of a cited work"),
)  # fmt: skip
# what may stand in mathematics although it has a decimal point or a percent sign, and why
ALLOWED_MATH = (
    (r"\\alpha\s*=\s*0?\.(?:05|01|1|001)(?!\d)", "a level that is asked for, not measured"),
    (r"(?<![\d.])0?\.5(?!\d)", "one half"),
)
LARGEST = 12  # integers in formulas: beyond it they are sizes, counts or shares
# macros whose first so many arguments name something, or say how to set it; options in brackets go too
_SILENT = {
    "val": 1, "fmtable": 1, "fmfigure": 1, "label": 1, "ref": 1, "eqref": 1, "autoref": 1, "pageref": 1, "cref": 1,
    "Cref": 1, "nameref": 1, "cite": 1, "citep": 1, "citet": 1, "citealp": 1, "citealt": 1, "citeauthor": 1,
    "citeyear": 1, "citeyearpar": 1, "nocite": 1, "input": 1, "include": 1, "optional": 1, "IfFileExists": 1,
    "includegraphics": 1, "bibliography": 1, "bibliographystyle": 1, "begin": 1, "end": 1, "usepackage": 1,
    "RequirePackage": 1, "href": 1, "hyperref": 0, "vspace": 1, "hspace": 1, "vspace*": 1, "hspace*": 1,
    "setlength": 2, "addtolength": 2, "setcounter": 1, "addtocounter": 1, "rule": 2, "raisebox": 1, "resizebox": 2,
    "parbox": 1, "color": 1, "textcolor": 1, "colorbox": 1, "definecolor": 3, "documentclass": 1, "newcommand": 1,
    "renewcommand": 1, "providecommand": 1, "DeclareRobustCommand": 1, "newenvironment": 1, "cmidrule": 1, "cline": 1,
    "multicolumn": 2, "multirow": 2, "looseness": 0, "enlargethispage": 1, "phantomsection": 0, "fontsize": 2,
    "linespread": 1, "\\": 0,
}  # fmt: skip
_DEFINES = ("newcommand", "renewcommand", "providecommand", "DeclareRobustCommand", "newenvironment")
_COLUMNS = {
    "tabular": 0,
    "array": 0,
    "longtable": 0,
    "tabularx": 1,
    "tabular*": 1,
}  # widths before the columns
_DISPLAYS = "equation|align|gather|multline|displaymath|math|eqnarray|alignat|flalign"
_MATH = re.compile(
    r"\$\$(?P<a>.*?)\$\$|(?<!\\)\$(?P<b>(?:\\.|[^$\\])*)\$|\\\((?P<c>.*?)\\\)|\\\[(?P<d>.*?)\\\]"
    rf"|\\begin\{{(?P<name>{_DISPLAYS})(?P<star>\*?)\}}(?P<e>.*?)\\end\{{(?P=name)(?P=star)\}}",
    re.S,
)
_DISPLAY = re.compile(rf"\{{(?:{_DISPLAYS})\*?\}}")
_VERBATIM = re.compile(
    r"\\begin\{(verbatim\*?|lstlisting|Verbatim|minted)\}(.*?)\\end\{\1\}|\\verb\*?([^\w\s])(.*?)\3"
    r"|\\lstinline([^\w\s{])(.*?)\5",
    re.S,
)
_CODE = ("code", "texttt", "lstinline")
_UNITS = r"(?:pt|em|ex|in|cm|mm|bp|mu|sp)(?![a-zA-Z])"  # no blank before them: "53 in the paper" is text
_LENGTH = rf"-?(?:\d+\.?\d*|\.\d+){_UNITS}"
_DIMENSION = re.compile(  # after a primitive that wants one, or as a factor of a length, where a number cannot be text
    rf"\\(?:m?kern|[hvm]skip|(?:par|text|base|line|top|tab)\w*(?:skip|indent|width|height|sep))\s*=?\s*{_LENGTH}"
    rf"(?:\s*(?:plus|minus)\s*{_LENGTH})*|(?:\d+\.?\d*|\.\d+)\\(?:(?:text|line|column|paper)(?:width|height)|baselineskip)\b"
)  # fmt: skip
_WORD = (
    r"(?:half|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|six|seven"
    r"|eigh|nine)ty|hundred|thousand|million)"
)
_SPELLED = re.compile(
    rf"\b{_WORD}(?:(?:[\s~-]+(?:and[\s~]+a[\s~]+|and[\s~]+|point[\s~]+)?){_WORD})*"
    rf"(?:[\s~-]+(?:(?:and\s+)?a\s+half\s+)?(?:per[\s~]?cent\w*|percentage|points?\b|times\b)|-?fold\b)",
    re.I,
)
_UNIT_AFTER = re.compile(r"\d\s*(?:\$|\\\))[\s~-]*(?:per[\s~]?cent|points?\b|times\b|fold\b)")
_TYPED = re.compile(r"[\d¼-¾⅐-⅞²³¹⁰-₉①-⓿][\d.,:/\\%]*|\\(?:%|textpercent\b)")


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _comments(text: str) -> str:
    return re.sub(
        r"(?<!\\)((?:\\\\)*)%[^\n]*", lambda found: found[1] + _blank(found[0][len(found[1]) :]), text
    )


def _without(text: str, patterns: Iterable[tuple[str, str]]) -> str:
    for pattern, _ in patterns:
        text = re.sub(pattern, lambda one: _blank(one[0]), text)
    return text


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


# ------------------------------------------------------------------------------------------------- code, arguments


def _code(text: str) -> str:
    """Blank code but for its numbers that no name explains: float32, x[1] and h=0.75 may stand, "53 of p" not."""
    out = list(_blank(text))
    for found in re.finditer(r"(?<!#)\d[\d.,]*(?:\\?%)?", text):
        before = text[: found.start()]
        token = re.split(r"\s", before)[-1]
        given = re.search(r"[A-Za-z_]\w*[^\w\s]*\s*[=(\[][^=()\[\]]*$", before)
        if not re.search(r"[A-Za-z_]", token) and not given:
            out[found.start() : found.end()] = found[0]
    return "".join(out)


def _columns(text: str) -> str:
    """Blank the columns of a table but for what is printed between them: @{...}, !{...}, >{...}."""
    return re.sub(
        r"\\[hv]space\*?\{[^{}]*\}|[pmbwWX]\s*(?:\{\w\})?\{[^{}]*\}|\*\s*\{\d+\}|[lrcX|]",
        lambda one: _blank(one[0]),
        text,
    )


def _arguments(text: str, name: str, end: int) -> tuple[str, int]:
    """Return what stays of the arguments of a macro, from `end` on, and where they stop."""
    stop = _group(text, end, "[]")
    notes = stop = _group(text, stop, "[]")
    kept = _without(text[end:notes], PLACES) if name.startswith("cite") else _blank(text[end:notes])
    start = stop
    for _ in range(_SILENT[name]):
        stop = _group(text, stop)
    kept += _blank(text[start:stop])
    if name in _DEFINES:
        number = re.match(r"\[\d\]", text[stop:])  # how many arguments; the default of the first one is text
        kept, stop = kept + " " * (number.end() if number else 0), stop + (number.end() if number else 0)
    opened = text[start:stop].strip("{} \t") if name == "begin" else ""
    if opened == "minipage" or opened in _COLUMNS:
        start = stop
        stop = _group(text, stop, "[]")
        for _ in range(_COLUMNS.get(opened, 1)):
            stop = _group(text, stop)
        kept, start = kept + _blank(text[start:stop]), stop
        stop = _group(text, stop) if opened in _COLUMNS else stop
        kept += _columns(text[start:stop])
    return kept, stop


def _silent_arguments(text: str) -> str:
    """Blank the arguments that are names or settings, and code that is not a number."""
    text = re.sub(r"(\\val\{[^{}]*\}(?:\\,|~)?)\\%", r"\1  ", text)  # the unit of a generated number
    out, place = [], 0
    for found in re.finditer(r"\\([A-Za-z]+\*?|\\)", text):
        name = found[1] if found[1] in _SILENT else found[1].rstrip("*")
        displayed = name in ("begin", "end") and _DISPLAY.match(text, found.end())
        if found.start() < place or name not in {*_SILENT, *_CODE, "url"} or displayed:
            continue
        end = found.end()
        if name in _CODE or name == "url":
            stop = _group(text, _group(text, end, "[]") if name == "lstinline" else end)
            inner = text[end:stop]
            kept = _blank(inner) if name == "url" and "://" in inner else _code(inner)
        else:
            kept, stop = _arguments(text, name, end)
        out += [text[place : found.start()], _blank(found[0]), kept]
        place = stop
    return "".join([*out, text[place:]])


# ------------------------------------------------------------------------------------------------- mathematics


def _apart(text: str) -> str:
    """Set a mark behind each argument of a fraction, an index, an exponent: 1/2 is not 12, nor $x_1 2$."""
    places = []
    for found in re.finditer(r"\\[dt]?frac(?![A-Za-z])|\\[dt]?binom(?![A-Za-z])|[_^]", text):
        end = found.end()
        for _ in range(1 + (found[0] not in "_^")):
            end += len(text[end:]) - len(text[end:].lstrip())
            stop = _group(text, end)
            end = stop if stop > end else end + 1
            places.append(end)
    for place in sorted(set(places), reverse=True):
        text = f"{text[:place]};{text[place:]}"
    return text


def _shown(text: str) -> str:
    """Return a formula as it is printed: `5{.}3`, `5\\,300` and `\\mathrm 5 3` are numbers like others."""
    text = re.sub(r"[_^]\s*\{\s*\}", "", text)  # an empty index parts nothing
    text = re.sub(r"\{([.,])\}", lambda found: "." if found[1] == "," else found[1], text)
    text = re.sub(
        r"\\(?:math(?:rm|bf|it|sf|tt|normal|ord)|text\w*|mbox|hbox)(?![A-Za-z])|\\[,;:!> ]|[~{}]",
        "",
        _apart(text),
    )
    return re.sub(r"(?<=[\d.])\s+(?=[\d.])", "", text)


_OPERATORS = (
    r"\\(?:times|cdot|pm|mp|sim|approx|simeq|le|leq|ge|geq|ll|gg|div|to|ldots|dots|left|right)(?![A-Za-z])"
)


def _wrong_in(formula: str, inline: bool) -> bool:
    """Say whether there is a number in a formula that theory does not need."""
    formula = _DIMENSION.sub(lambda one: _blank(one[0]), _without(formula, ALLOWED_MATH))
    if re.search(r"\\(?:text\w*|mbox|hbox)\s*\{[^{}]*\d", formula):
        return True  # text within mathematics
    shown = _shown(formula)
    if re.search(r"\d*\.\d|\\?%|\\times\s*10|\\cdot\s*10|10;?\^|\\times\s*$", shown):
        return True
    if inline and re.search(r"\d\.", shown):  # a display may end a sentence
        return True
    if any(int(one) > LARGEST for one in re.findall(r"\d+", shown)):
        return True
    alone = re.sub(r"[;\s]", "", re.sub(_OPERATORS, "", shown))
    return inline and bool(re.search(r"[2-9]|\d\d|\d/\d", alone)) and not re.search(r"[A-Za-z\\_^]", alone)


def _mathematics(text: str, faults: list[tuple[int, str]]) -> str:
    """Note what is wrong in mathematics, and blank it."""
    for found in _UNIT_AFTER.finditer(text):
        faults.append((text.count("\n", 0, found.start()) + 1, found[0]))

    def one(found: re.Match[str]) -> str:
        name = next(name for name in "abcde" if found[name] is not None)
        inner, inline = found[name], name in "bc"
        if _wrong_in(inner, inline):
            lines = [number for number, line in enumerate(inner.split("\n")) if _wrong_in(line, False)]
            start = text.count("\n", 0, found.start(name)) + 1
            faults.append((start + (lines or [0])[0], " ".join(found[0].split())[:60]))
        return _blank(found[0])

    return _MATH.sub(one, text)


# ------------------------------------------------------------------------------------------------- the whole


def _listing(found: re.Match[str]) -> str:
    inner = next(number for number in (2, 4, 6) if found[number] is not None)
    start, end = (place - found.start() for place in found.span(inner))
    return _blank(found[0][:start]) + _code(found[inner]) + _blank(found[0][end:])


def typed_numbers(text: str) -> list[tuple[int, str]]:
    """Return the line and the text around each number that was typed by hand."""
    text = _without(_VERBATIM.sub(_listing, _comments(text)), LAYOUT)
    lines = text.splitlines()
    faults: list[tuple[int, str]] = []
    plain = _without(_mathematics(_silent_arguments(text), faults), ALLOWED)
    plain = _DIMENSION.sub(lambda one: _blank(one[0]), plain)
    for found in _SPELLED.finditer(plain):
        faults.append((plain.count("\n", 0, found.start()) + 1, " ".join(found[0].split())))
    for number, line in enumerate(plain.splitlines()):
        for bad in _TYPED.finditer(line):
            around = lines[number][max(0, bad.start() - 25) : bad.end() + 15].strip()
            faults.append((number + 1, around))
    return sorted(faults)


def tex_files(paper: Path) -> list[Path]:
    """Return the files of text that people write: all but what is generated or built."""
    made = {paper / name for name in ("tables", "figures", "build")}
    files = sorted(paper.glob("**/*.tex"))
    written = [one for one in files if not made & set(one.parents) and one != paper / "numbers.tex"]
    return sorted(written, key=lambda one: (one.name != "main.tex", one))


def style_files(paper: Path) -> list[Path]:
    """Return the files of macros that people write."""
    return [one for suffix in ("sty", "cls", "def", "cfg") for one in sorted(paper.glob(f"**/*.{suffix}"))]


def names_used(files: Iterable[Path], macro: str) -> dict[str, str]:
    r"""Return the names given to ``\val``, ``\fmtable`` or ``\fmfigure``, with the first file and line of each."""
    found: dict[str, str] = {}
    for file in files:
        text = _comments(file.read_text(encoding="utf-8"))
        for one in re.finditer(rf"\\{macro}\s*(?:\[[^\]]*\])?\{{([^{{}}]*)\}}", text):
            found.setdefault(one[1].strip(), f"{file.name}:{text.count(chr(10), 0, one.start()) + 1}")
    return found
