"""Experiments are written for readers who will copy them: they use nothing of fmahal that is not public."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments"
FILES = sorted(
    file for file in FOLDER.rglob("*.py") if "constants" not in file.relative_to(FOLDER).parts
)  # the scripts there make tables that the package ships, and reach into it
if not FILES:
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)


def private(source):
    """Return what a source takes from fmahal that no package lists in __all__."""
    tree, found = ast.parse(source), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fmahal":
            names = [f"{node.module}.{one.name}" for one in node.names]
        elif isinstance(node, ast.Import):
            names = [one.name for one in node.names if one.name.startswith("fmahal.")]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[0] == "fmahal":
            names = [ast.unparse(node)]
        else:
            continue
        found += [name for name in names if not is_public(name)]
    return found


def is_public(name):
    """Whether each part of a dotted name is listed by the one before: `fmahal.nulls.RobustNull`."""
    place = importlib.import_module("fmahal")
    for part in name.split(".")[1:]:
        if isinstance(place, type):
            return not part.startswith("_")  # a method of a public class
        module = f"{place.__name__}.{part}"
        listed = part in getattr(place, "__all__", ()) or part == "__version__"
        if not listed and (part.startswith("_") or not _is_documented_module(module)):
            return False
        place = getattr(place, part) if hasattr(place, part) else importlib.import_module(module)
        if not hasattr(place, "__name__"):
            return True
    return True


def _is_documented_module(name):
    """Whether it can be imported and says what is public in it."""
    if importlib.util.find_spec(name) is None:
        return False
    return hasattr(importlib.import_module(name), "__all__")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_only_public_names_are_used(file):
    assert private(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ("from fmahal import MinCovDet, Whitener", []),
        ("from fmahal import nothing_of_this_name", ["fmahal.nothing_of_this_name"]),
        ("from fmahal.nulls import RobustNull\nRobustNull('cerioli').fit", []),
        ("from fmahal.nulls._simulation import LEVELS", ["fmahal.nulls._simulation.LEVELS"]),
        ("import fmahal.scatter._mcd_grid", ["fmahal.scatter._mcd_grid"]),
        ("import fmahal\nfmahal.__version__, fmahal.MRCD, fmahal.nulls.RobustNull", []),
        ("import fmahal\nfmahal._maps.random_map", ["fmahal._maps", "fmahal._maps.random_map"]),
        ("def f():\n    from fmahal.scatter.mcd import TABLE", ["fmahal.scatter.mcd.TABLE"]),
        ("import numpy\nnumpy._private", []),
    ],
)
def test_what_is_public_is_told_from_what_is_not(source, want):
    assert sorted(private(source)) == want
