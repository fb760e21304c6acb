"""Displays as SVG that can stand inside an HTML page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from . import _style

_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
_SIZE = (4.1, 3.7)  # inches; at this size 8.5 point type stays legible in a column 320 px wide
_WIDTH = re.compile(r'(<svg\b[^>]*?) width="[^"]*"')
_HEIGHT = re.compile(r'(<svg\b[^>]*?) height="[^"]*"')


def inline_svg(draw: Callable[[Any], Any], key: str, label: str, size: tuple[float, float] = _SIZE) -> str:
    """Return the SVG element of one plot.

    Parameters
    ----------
    draw : callable
        Called with matplotlib Axes.
    key : str
        Unique within the page: it prefixes every id, so that two plots do not take each other's clip paths.
    label : str
        Description for screen readers.
    size : (width, height), default=(4.1, 3.7)
        In inches; the type is 8.5 points high.

    Returns
    -------
    str
        An ``<svg>`` element without namespaces, metadata or a fixed size. Text stays text, in the fonts of the
        reader's system. Equal input gives equal text.
    """
    _style.require_matplotlib("An HTML report")
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        figure = Figure(figsize=size, layout="constrained", dpi=200)
        draw(figure.subplots())
        stream = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=nothing)
    return _embed(stream.getvalue(), key, label)


def _embed(svg: str, key: str, label: str) -> str:
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="', f'id="{key}-', svg)
    svg = re.sub(r'\bhref="#', f'href="#{key}-', svg)
    svg = svg.replace("url(#", f"url(#{key}-")
    svg = re.sub(r"(font(?:-family)?: [^;\"]*?)('DejaVu Sans'[^;\"]*)", rf"\1{_FONTS}", svg)
    head, body = svg.split(">", 1)
    head = _HEIGHT.sub(r"\1", _WIDTH.sub(r"\1", head + ">"))
    return head[:-1] + f' role="img" aria-label="{escape(label)}">' + body.rstrip()
