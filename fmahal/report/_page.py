"""The page around a report: template, numbers as text, versions, and a safe way to the disk."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._files import write_text

_PACKAGES = ("numpy", "scipy", "scikit-learn", "numba")
_HINT = 'An HTML report needs jinja2: pip install "fmahal[report]"'


def require_jinja2() -> None:
    """Raise an ImportError that names the extra to install when jinja2 is missing."""
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise ImportError(_HINT) from error


def render(template: str, **content: Any) -> str:
    """Return a filled template of the package; every value is escaped unless it is marked as HTML."""
    require_jinja2()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fmahal", "_templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(number=number, pvalue=pvalue, signed=signed)
    return environment.get_template(template).render(versions=versions(), **content)


def versions() -> dict[str, str]:
    """Return the versions of everything that a number may depend on."""
    found = {"fmahal": __version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    found["Python"] = platform.python_version()
    return found


def number(value: float) -> Any:
    """Return four significant digits, as plain decimals where they are readable."""
    value = float(value)
    if not np.isfinite(value):
        return {np.inf: "∞", -np.inf: "−∞"}.get(value, "n/a")
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return minus(f"{value:,.{_decimals(value)}f}")
    return _power(value, 3)


def shown(estimator: Any) -> str:
    """Return the representation of an estimator on one line, long arrays in it shortened."""
    with np.printoptions(threshold=6, edgeitems=2, precision=4):
        return " ".join(repr(estimator).split())


def short(value: float) -> Any:
    """Return `number` without trailing zeros: for levels and counts that are whole or round."""
    text = number(value)
    if not isinstance(text, str) or hasattr(text, "__html__") or "." not in text:
        return text
    return text.rstrip("0").rstrip(".")


def pvalue(value: float, underflow: bool = False, bounded: bool = False) -> Any:
    """Return a p-value with three significant digits; small ones as a power of ten, a `bounded` one with a ≤."""
    value = float(value)
    if bounded:
        text = pvalue(value)
        return type(text)("≤ ") + text
    if underflow:
        from markupsafe import Markup

        return Markup("&lt; 10<sup>−300</sup>")
    if not 0 < value < 1e-3:
        return f"{value:.3g}"
    return _power(value, 2)


def signed(value: float, largest: float) -> Any:
    """Return `value` with its sign and the decimals that suit the `largest` of its column, so that they align."""
    value, largest = float(value), abs(float(largest))
    if not 1e-3 <= largest < 1e6:
        text = number(value)
        return type(text)("+") + text if value > 0 else text
    return minus(f"{value:+,.{_decimals(largest)}f}")


def _decimals(value: float) -> int:
    """Return the decimals that give `value` four significant digits."""
    return max(0, 3 - int(np.floor(np.log10(abs(value)))))


def percent(share: float) -> str:
    """Return a share as percentage with up to one decimal, none above ten."""
    value = 100 * float(share)
    return f"{value:.0f}%" if value >= 9.95 or value == 0 else f"{value:.1f}%"


def seconds(value: float) -> str:
    """Return a duration in the unit that reads best."""
    value = float(value)
    if value < 1e-3:
        return f"{1e6 * value:.0f} µs"
    if value < 1:
        return f"{1e3 * value:.3g} ms"
    return f"{value:.3g} s"


def minus(text: str) -> str:
    """Return `text` with a true minus sign."""
    return text.replace("-", "−")


def plural(count: int, noun: str) -> str:
    """Return "1 row", "2 rows"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _power(value: float, decimals: int) -> Any:
    from markupsafe import Markup

    mantissa, exponent = f"{value:.{decimals}e}".split("e")
    return Markup("{} × 10<sup>{}</sup>").format(minus(mantissa), minus(str(int(exponent))))


def facts_of(mapping: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the entries of a mapping as text."""
    return [(str(name), str(text)) for name, text in (mapping or {}).items()]


def write_html(path: str | os.PathLike[str], text: str) -> Path:
    """Write a report so that `path` holds either all of it or what it held before.

    Parameters
    ----------
    path : str or path-like
        File to write, replaced when it exists; a symbolic link is followed.
    text : str
        The page; written as UTF-8.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    OSError
        The folder does not exist or cannot be written to; no temporary file is left behind.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from fmahal.report import write_html
    >>> folder = tempfile.mkdtemp()
    >>> write_html(pathlib.Path(folder) / "page.html", "<p>d²</p>").read_text(encoding="utf-8")
    '<p>d²</p>'
    """
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file.")
    write_text(str(path), text)
    return path
