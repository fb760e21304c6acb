"""Tables and numbers as text: written once as plain text, printed as LaTeX for the paper and Markdown for the pages."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_SPECIAL = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "$": r"\$"}
_SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SYMBOLS = {
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "–": "--", "—": "---", "…": r"\ldots{}", "≤": r"$\leq$",
    "≥": r"$\geq$", "≈": r"$\approx$", "∞": r"$\infty$", "√": r"$\surd$", "·": r"$\cdot$", "²": r"$^2$", "³": r"$^3$",
    "µ": r"$\mu$", "μ": r"$\mu$", "α": r"$\alpha$", "κ": r"$\kappa$", "χ": r"$\chi$", "ε": r"$\varepsilon$",
    "σ": r"$\sigma$", "λ": r"$\lambda$", "ρ": r"$\rho$", "→": r"$\rightarrow$", "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "\u00a0": "~", "\u2009": r"\,",
}  # fmt: skip
_PARTS = re.compile(r"(?P<math>\$[^$]+\$)|`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*")


class TableError(ValueError):
    """A table whose rows do not fit its columns."""


# ------------------------------------------------------------------------------------------------- numbers


def fixed(value: float, digits: int = 2) -> str:
    """Return a number with so many decimals; "-" where there is none."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not float(text) else text  # no "-0.00"


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent between 1e-4 and 1e6."""
    if value is None or not math.isfinite(value) or value == 0.0:
        return fixed(value, 0)
    size = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if -4 <= size < 6:
        return fixed(round(value, digits - 1 - size), max(0, digits - 1 - size))
    digits_text, exponent = f"{value:.{digits - 1}e}".split("e")
    return rf"${digits_text}\times10^{{{int(exponent)}}}$"


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage: 0.053 is "5.3 %"."""
    return "-" if share is None or math.isnan(share) else f"{fixed(100.0 * share, digits)}\u00a0%"


def count(number: float) -> str:
    """Return a whole number, its thousands set off by thin spaces."""
    return f"{round(number):,}".replace(",", "\u2009")


def interval(low: float, high: float, digits: int = 2) -> str:
    """Return "[1.19, 1.27]"."""
    return f"[{fixed(low, digits)}, {fixed(high, digits)}]"


def seconds(time: float) -> str:
    """Return a time in the unit that keeps three digits readable."""
    if time is None or math.isnan(time):
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if time >= size:
            return f"{significant(time / size)}\u00a0{unit}"
    return f"{significant(time / 1e-6)}\u00a0µs"


def size_of(number: float) -> str:
    """Return bytes as kB, MB or GB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{significant(number / size)}\u00a0{unit}"
    return f"{significant(number / 1e3)}\u00a0kB"


def bold(text: str, when: bool = True) -> str:
    """Return the text, printed bold where `when` holds."""
    return f"**{text}**" if when else text


# ------------------------------------------------------------------------------------------------- LaTeX, Markdown


def _plain(text: str) -> str:
    """Escape what LaTeX takes for something else; hyphens before numbers become minus signs."""
    text = "".join(_SPECIAL.get(c, _SYMBOLS.get(c, c)) for c in text)
    text = re.sub(r"(?<=\d)[ ~]\\%", r"\\,\\%", text)
    return re.sub(r"(?<![\w\d.\-~])-(?=[\d.]|\$\\infty)", "$-$", text)


def tex(text: str) -> str:
    r"""Return plain text as LaTeX: specials escaped; $math$ passes; \**bold** and \`code` are set as such."""
    out, end = [], 0
    for found in _PARTS.finditer(text):
        out.append(_plain(text[end : found.start()]))
        if found["math"]:
            out.append(found["math"])
        elif found["code"]:
            out.append(rf"\texttt{{{_plain(found['code'])}}}")
        else:
            out.append(rf"\textbf{{{tex(found['bold'])}}}")
        end = found.end()
    return "".join([*out, _plain(text[end:])])


def number_tex(text: str) -> str:
    """Return a number's text for LaTeX: as it is where it has a backslash outside mathematics, else as plain text."""
    return text if "\\" in re.sub(r"\$[^$]*\$", "", text) else tex(text)


def markdown_text(text: str) -> str:
    """Return a cell's text for Markdown: a bar would end the cell."""
    return text.replace("|", r"\|").replace("\n", " ")


@dataclass
class Table:
    """Plain text in columns.

    Attributes
    ----------
    columns : list of str
        Heads.
    rows : list of lists of str
        As many cells as columns; a row of one cell is a heading across the table, an empty one a rule.
    caption : str
        Says the sizes, the number of repetitions, and what ± is.
    align : str
        ``"l r r"``; by default the first column to the left, the others to the right.
    note : str
        Small print below.
    """

    columns: list[str]
    rows: list[list[str]]
    caption: str
    align: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        width = len(self.columns)
        self.rows = [[str(cell) for cell in row] for row in self.rows]
        self.align = self.align or " ".join(["l", *"r" * (width - 1)])
        for number, row in enumerate(self.rows):
            if len(row) not in (0, 1, width):
                raise TableError(
                    f"Row {number} of a table has {len(row)} cells and its head {width}: {row} under {self.columns}. "
                    f"Give every row a cell for each column; one cell alone is a heading, none a rule."
                )
        if len(self.align.split()) != width or set(self.align.split()) - set("lrc"):
            raise TableError(
                f"align is {self.align!r} for {width} columns; it takes one of l, r, c for each, spaced."
            )

    def latex(self, stem: str) -> str:
        r"""Return caption, tabular and note: what ``\input`` finds in tables/STEM.tex."""
        width = len(self.columns)
        lines = [rf"\fmtablecaption{{{stem}}}{{{tex(self.caption)}}}%"]
        lines += [rf"\begin{{tabular}}{{@{{}}{self.align.replace(' ', '')}@{{}}}}", r"\toprule"]
        lines += [" & ".join(map(self._head, range(width))) + r" \\", r"\midrule"]
        for number, row in enumerate(self.rows):
            if not row:
                lines.append(r"\midrule")
            elif len(row) == 1 < width:
                lines += [r"\addlinespace"] if number and self.rows[number - 1] else []
                lines.append(rf"\multicolumn{{{width}}}{{@{{}}l@{{}}}}{{\emph{{{tex(row[0])}}}}} \\")
            else:
                lines.append(_row(row))
        lines += [r"\bottomrule", r"\end{tabular}%"]
        return "\n".join([*lines, *([rf"\fmtablenote{{{tex(self.note)}}}%"] if self.note else []), ""])

    def _head(self, column: int) -> str:
        """Return a head for LaTeX: on two lines where it alone would make its column wide."""
        head, width = self.columns[column], len(self.columns)
        widest = max((len(row[column]) for row in self.rows if len(row) == width), default=0)
        whole = [found.span() for found in re.finditer(rf"{_PARTS.pattern}|\S+ = \S+", head)]
        spaces = (at for at, sign in enumerate(head) if sign == " ")
        breaks = [at for at in spaces if not any(low < at < high for low, high in whole)]
        if not breaks or len(head) <= widest:
            return _cell(head)
        middle = min(breaks, key=lambda at: max(at, len(head) - at))
        first, second = tex(head[:middle]), tex(head[middle + 1 :])
        return rf"\fmhead{{{self.align.split()[column]}}}{{{first}}}{{{second}}}"

    def markdown(self, *, caption: bool = False) -> str:
        """Return a Markdown table with a blank line on both sides; its caption before it when asked for."""
        width = len(self.columns)
        marks = {"l": ":---", "r": "---:", "c": ":---:"}
        lines = ["", markdown_text(self.caption), ""] if caption else [""]
        lines.append("| " + " | ".join(map(markdown_text, self.columns)) + " |")
        lines.append("|" + "|".join(marks[one] for one in self.align.split()) + "|")
        for row in filter(None, self.rows):
            cells = [f"*{row[0]}*", *[""] * (width - 1)] if len(row) == 1 < width else row
            lines.append("| " + " | ".join(map(markdown_text, cells)) + " |")
        lines += ["", markdown_text(self.note)] if self.note else []
        return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(text: str) -> str:
    # one that begins with a bracket would be taken for an argument of the \\ or \midrule before it
    text = tex(text)
    return f"{{{text}}}" if text.startswith("[") else text
