"""What an experiment is: data sets x methods, repeated; where each is registered, and the seeds that pair methods.

A method or a data set is one file in ``methods/`` or ``datasets/``, or anywhere else when its path is given
(``--with FILE.py``): the file calls `method` or `dataset`, and every experiment that the roles name takes it up.
An experiment is a folder eNN_name whose ``__init__.py`` has ``EXPERIMENT``, or a file given in the same way.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import io
import json
import pkgutil
import re
import sys
import tokenize
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
PROFILES = ("smoke", "paper")
PLUGIN = "experiments_plugin_"
BETWEEN = ("NEWLINE", "INDENT", "DEDENT")  # what layout says of the meaning
SCATTER_ROLES = ("size", "precision", "robustness", "tabular", "cost")


class SpecError(Exception):
    """A method, a data set or an experiment that contradicts another, or that nobody knows."""


# ------------------------------------------------------------------------------------------------- seeds


class Seeds:
    """Random numbers of one repetition of one data set: all methods get the same ones, so that they are paired."""

    def __init__(self, experiment: str, data: str, repetition: int) -> None:
        self.names, self.repetition = (experiment, data, repetition), repetition

    def _sequence(self, names: tuple[Any, ...]) -> np.random.SeedSequence:
        digest = hashlib.sha256(json.dumps([*self.names, *names]).encode()).digest()
        return np.random.SeedSequence(int.from_bytes(digest[:16], "little"))

    def rng(self, *names: Any) -> np.random.Generator:
        """Return the generator of a name: other names give independent ones."""
        return np.random.default_rng(self._sequence(("rng", *names)))

    def integer(self, *names: Any) -> int:
        """Return a seed below 2^31, for what takes a number."""
        return int(self._sequence(("integer", *names)).generate_state(1)[0] >> 1)


# ------------------------------------------------------------------------------------------------- specifications


def _always(n: int, p: int) -> bool:
    return True


@dataclass(frozen=True)
class Method:
    """Something that is compared: `make` takes a seed and returns an unfitted estimator.

    Attributes
    ----------
    name, label : str
        In results and in print.
    roles : tuple of str
        Experiments that take it up.
    package : str
        Where it comes from.
    applies : callable
        ``applies(n, p)``: whether it can be fitted to n rows of p columns.
    options : dict
        What single experiments want to know of it.
    """

    name: str
    make: Callable[[int], Any]
    roles: tuple[str, ...] = SCATTER_ROLES
    label: str = ""
    package: str = "fmahal"
    applies: Callable[[int, int], bool] = _always
    options: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return what content hashes know of it: class, parameters, options; and sources that are not fmahal's."""
        made = self.make(0)
        known = made.get_params() if hasattr(made, "get_params") else made
        text = f"{type(made).__qualname__} {known!r} {sorted(self.options.items())!r}"
        plugin = _own(self.make) if _module(self.make).startswith(PLUGIN) else []
        return "\0".join([re.sub(r" at 0x[0-9a-fA-F]+", "", text), *plugin, *_own(type(made))])


@dataclass(frozen=True)
class DataSet:
    """Where rows come from: ``draw(seeds)`` returns what the experiment measures on; `axes` describe it in results."""

    name: str
    draw: Callable[[Seeds], Any]
    axes: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """Data sets, the role of its methods, and how one method is measured on one drawn data set.

    Attributes
    ----------
    data_sets : callable
        ``data_sets(profile)``: sequence of `DataSet`.
    repetitions : callable
        ``repetitions(data_set, method, profile)``: how many; 0 leaves the pair out.
    measure : callable
        ``measure(drawn, method, seeds)``: flat records, a line of the results each.
    timed : bool
        Cells run alone, after an untimed call of each method.
    threads : int
        Threads of BLAS and numba in a cell.
    version : int
        Raised by hand when older results are void for a reason that no source tells.
    modules : tuple of str
        Further modules whose sources decide numbers; that of `measure` always counts.
    """

    name: str
    title: str
    role: str
    data_sets: Callable[[str], Sequence[DataSet]]
    repetitions: Callable[[DataSet, Method, str], int]
    measure: Callable[[Any, Method, Seeds], Iterable[Mapping[str, Any]]]
    timed: bool = False
    threads: int = 1
    version: int = 1
    modules: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its sources and its stored results are."""
        return Path(inspect.getfile(self.measure)).resolve().parent

    def renderer(self) -> Callable[[Any], Any]:
        """Return ``render(results)``: of page.py beside `measure`, or of the file that holds both."""
        own = self.measure.__module__
        page = own.rpartition(".")[0] + ".page"
        return importlib.import_module(
            page if own.startswith("experiments.e") and _exists(page) else own
        ).render

    def sources(self) -> str:
        """Digest of the code that decides numbers; comments, docstrings and layout do not."""
        files = [Path(inspect.getfile(self.measure))]
        files += [Path(inspect.getfile(importlib.import_module(name))) for name in self.modules]
        return _digest([_meaning(file) for file in files])

    def cells(self, profile: str) -> list[Cell]:
        """All cells of a profile, the first repetition of everything first: a stopped run has all of it, thinly."""
        sources, known = self.sources(), methods(self.role)
        prints = {one.name: one.fingerprint() for one in known}
        found = []
        data_sets = self.data_sets(profile)
        twice = {data.name for data in data_sets if sum(other.name == data.name for other in data_sets) > 1}
        if twice:
            raise SpecError(
                f"{self.name} has several data sets called {', '.join(sorted(twice))}. Seeds and results tell data "
                "sets apart by their names; give each its own."
            )
        for data in data_sets:
            for one in known:
                for repetition in range(self.repetitions(data, one, profile)):
                    content = [self.name, self.version, sources, data.name, dict(data.axes), *_own(data.draw)]
                    key = _digest([*content, one.name, prints[one.name], repetition])
                    found.append(Cell(self.name, profile, data.name, one.name, repetition, key))
        return sorted(found, key=lambda cell: cell.repetition)


@dataclass(frozen=True)
class Cell:
    """One repetition of one method on one data set; nothing but names, so that it travels to any worker."""

    experiment: str
    profile: str
    data: str
    method: str
    repetition: int
    key: str

    def __str__(self) -> str:
        return f"{self.experiment}: {self.method} on {self.data}, repetition {self.repetition}"


def _exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _meaning(file: Path) -> str:
    """Return what a file says without docstrings, comments and layout; the same on every version of Python."""
    return _meaning_of(file.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=256)
def _meaning_of(text: str) -> str:
    words = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            words.add(node.lineno)
    kept, opened, lines = [], None, text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":  # since Python 3.12 in parts: put together, as before
            opened = (token.start, 1) if opened is None else (opened[0], opened[1] + 1)
        elif kind == "FSTRING_END" and opened is not None:
            opened = opened[0], opened[1] - 1
            if opened[1] == 0:
                kept.append(_between(lines, opened[0], token.end))
                opened = None
        elif opened is None and kind not in ("COMMENT", "NL"):
            docstring = kind == "STRING" and token.start[0] in words and (not kept or kept[-1] in BETWEEN)
            kept.append("" if docstring else kind if kind in BETWEEN else token.string)
    return "\0".join(kept)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    part = lines[start[0] - 1 : end[0]]
    part[-1] = part[-1][: end[1]]
    part[0] = part[0][start[1] :]
    return "\n".join(part)


def _module(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__module__", "") or ""


def _own(function: Any) -> list[str]:
    """Sources of a function or class that is neither fmahal's nor an installed package's."""
    name = _module(function)
    if not name.startswith((PLUGIN, "experiments.methods.", "experiments.datasets.")):
        return []
    return [_meaning(Path(str(sys.modules[name].__file__)))]


# ------------------------------------------------------------------------------------------------- registries

_METHODS: dict[str, Method] = {}
_DATA_SETS: dict[str, DataSet] = {}
_PLUGGED: dict[str, Experiment] = {}
_FROM: dict[tuple[str, str], str] = {}


def _register(kind: str, store: dict[str, Any], one: Any) -> Any:
    where = sys._getframe(2).f_code.co_filename  # inspect.stack() would read the sources of all frames
    first = _FROM.setdefault((kind, one.name), where)
    if one.name in store and first != where:
        raise SpecError(
            f"Two {kind}s are called {one.name!r}: the one of {first} and the one of {where}. Results tell "
            f"{kind}s apart by their names; give the new one another name."
        )
    store[one.name] = one
    return one


def method(name: str, make: Callable[[int], Any], **fields: Any) -> Method:
    """Register a method and return it; fields are those of `Method`."""
    return _register("method", _METHODS, Method(name, make, **fields))


def dataset(name: str, draw: Callable[[Seeds], Any], axes: Mapping[str, Any], **fields: Any) -> DataSet:
    """Register a data set and return it; fields are those of `DataSet`."""
    return _register("data set", _DATA_SETS, DataSet(name, draw, axes, **fields))


def methods(role: str) -> list[Method]:
    """Return the methods of a role, files in the order of their names."""
    load()
    return [one for one in _METHODS.values() if role in one.roles]


def datasets(role: str) -> list[DataSet]:
    """Return the registered data sets of a role."""
    load()
    return [one for one in _DATA_SETS.values() if role in one.roles]


def load(plugins: Iterable[str | Path] = ()) -> None:
    """Import every file of ``methods/`` and ``datasets/``, and the files given."""
    for folder in ("methods", "datasets"):
        package = importlib.import_module(f"experiments.{folder}")
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.name):
            importlib.import_module(f"experiments.{folder}.{found.name}")
    for file in map(Path, plugins):
        name = PLUGIN + _digest(str(file.resolve()))
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None or not file.exists():
            raise SpecError(f"{file} is not a Python file that can be read (--with FILE.py).")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        _PLUGGED.update({one.name: one for one in _experiments_of(module)})


def experiments() -> dict[str, Experiment]:
    """Return the experiments of all folders eNN_name and of plugins, by name."""
    found = {}
    for file in sorted(HERE.glob("e[0-9][0-9]_*/__init__.py")):
        module = importlib.import_module(f"experiments.{file.parent.name}")
        found |= {one.name: one for one in _experiments_of(module)}
    return found | _PLUGGED


def _experiments_of(module: Any) -> Sequence[Experiment]:
    return getattr(module, "EXPERIMENTS", None) or [
        one for one in (getattr(module, "EXPERIMENT", None),) if one
    ]


def chosen(names: Iterable[str]) -> list[Experiment]:
    """Return the experiments that names or folders mean; "all", or none, means all."""
    known, names = experiments(), list(names)
    if not names or "all" in names:
        return list(known.values())
    by_name = {**{one.folder.name: one for one in known.values()}, **known}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise SpecError(
            f"No experiment is called {', '.join(unknown)}. There are: {', '.join(known)}, and all."
        )
    return [by_name[name] for name in names]
