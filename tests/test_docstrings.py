"""Public names: the lazy list is complete, the docstrings follow numpydoc, and their examples run."""

import doctest
import importlib
import inspect
import re
import warnings

import pytest
from numpydoc.validate import validate

import fmahal

PUBLIC = [name for name in fmahal.__all__ if name not in {"datasets", "plotting"}]
# What numpydoc may ask for and we do not: extended summaries, See Also, periods after formulas, unnamed returns.
IGNORED = (
    {"ES01", "EX01", "GL01", "GL08", "YD01"}
    | {"PR04", "PR06", "PR08", "PR09"}
    | {"RT02", "RT03", "RT05"}
    | {"SA01", "SA03", "SA04", "SS02", "SS03", "SS05", "SS06"}
)


def own_members(thing):
    """What a class defines, and what the mixins of this package give it."""
    members = {}
    for base in reversed(inspect.getmro(thing)):
        if base.__module__.split(".")[0] == "fmahal":
            members |= vars(base)
    return members


def public_objects():
    for name in PUBLIC:
        thing = getattr(fmahal, name)
        yield f"fmahal.{name}", thing
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            for method, value in own_members(thing).items():
                if not method.startswith("_") and (
                    inspect.isfunction(value) or isinstance(value, classmethod)
                ):
                    yield f"fmahal.{name}.{method}", value


OBJECTS = dict(public_objects())


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_resolve(name):
    assert getattr(fmahal, name).__doc__.strip()


@pytest.mark.parametrize("name", OBJECTS)
def test_docstring_follows_numpydoc(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        errors = [(code, text) for code, text in validate(name)["errors"] if code not in IGNORED]
    assert not errors


@pytest.mark.parametrize("name", [n for n in OBJECTS if n.count(".") == 1])
def test_public_docstring_has_an_example_and_a_cost(name):
    thing = OBJECTS[name]
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return
    text = inspect.getdoc(thing)
    assert ">>>" in text
    if not name.endswith("Display"):
        assert re.search(r"\bO\(|sqnorm|Cost", text), "says nothing of its cost"


MODULES = [
    "fmahal.whitener",
    "fmahal.distance",
    "fmahal._kernels._jit",
    *[
        f"fmahal.{package}.{path.stem}"
        for package in ("scatter", "spaces", "nulls", "models", "inference", "online", "datasets", "plotting")
        for path in sorted((__import__("pathlib").Path(fmahal.__file__).parent / package).glob("*.py"))
        if path.stem != "__init__"
    ],
]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_examples_run(name):
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failures == 0
