"""From names and ``key=value`` on the command line to estimators and nulls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .._registry import Entry, Registry, nulls, scatters
from ._table import split_names, suggest

_WORDS = {"true": True, "false": False, "none": None}


def registered() -> tuple[Registry, Registry]:
    """Return the registries of scatters and nulls, filled."""
    import_module("fmahal.scatter")
    import_module("fmahal.nulls")
    return scatters, nulls


def check_name(registry: Registry, name: str, option: str) -> None:
    """Raise unless `name` is registered; the message names near matches or all names."""
    if name not in registry:
        near = suggest(name, registry.names())
        if ":" in name:  # composed names share their beginning and are all alike by that
            near = suggest(name, registry.composed(), cutoff=0.9)
        raise ValueError(
            f"{option}: there is no {registry.kind} named {name!r}.{near} Available: {registry.available()}."
        )


def check_names(registry: Registry, text: str | None, option: str) -> list[str]:
    """Return the names in a comma-separated option, all registered names when it is absent."""
    names = split_names(text) if text else registry.names()
    for name in names:
        check_name(registry, name, option)
    return names


def check_alpha(alpha: float) -> float:
    """Raise unless the level lies strictly between 0 and 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"--alpha must lie strictly between 0 and 1, got {alpha:g}. A usual level is 0.01.")
    return alpha


def parse_settings(items: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Turn ``["shrinkage=0.1", "location=median"]`` into a dictionary.

    Values are Python literals (numbers, True, None, tuples, quoted text); true, false and none in small letters
    are meant as such; anything else is text.
    """
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals or not key:
            example = "n_resamples=4999" if option == "--null-set" else "shrinkage=0.1"
            raise ValueError(f"{option} takes KEY=VALUE, for example {option} {example}; got {item!r}.")
        try:
            settings[key] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            settings[key] = _WORDS.get(value.strip(), value.strip())
    return settings


def apply_settings(
    estimator: Any, settings: dict[str, Any], name: str, option: str = "--set", kind: str = "scatter"
) -> Any:
    """Set parameters of an estimator or a null; an unknown one is an error that lists those there are."""
    known = settable(estimator)
    for key in settings:
        if key not in known:
            names = sorted(_shown(known))
            listing = f"It has {', '.join(names)}." if names else "It has none."
            raise ValueError(
                f"{option} {key}: {kind} {name!r} has no such parameter.{suggest(key, names)} {listing}"
            )
    return estimator.set_params(**{known[key]: value for key, value in settings.items()})


def settable(made: Any) -> dict[str, str]:
    """Return the names of all parameters that a text can set, each with the parameter that it means.

    That is the same, but for the parameters of a scatter inside another: they are called by their own name too, unless
    the outer one has it, and then by the path alone, ``scatter__random_state``.
    """
    own = parameters(made)
    inner = {key.rpartition("__")[2]: key for key in own if "__" in key}
    return inner | {key: key for key in own}


def _shown(known: dict[str, str]) -> list[str]:
    """Return the names worth telling: not the path of a parameter that has a short name."""
    return [key for key in known if "__" not in key or known[key.rpartition("__")[2]] != key]


def parameters(estimator: Any) -> dict[str, Any]:
    """Return the parameters that a text can set: all but a callback and estimators inside."""
    return {
        key: value
        for key, value in estimator.get_params(deep=True).items()
        if key.rpartition("__")[2] != "callback" and not hasattr(value, "get_params")
    }


def seeded(entry: Entry, *, quick: bool = False) -> Any:
    """Return an unfitted object of a registered name; a random one gets seed 0, so that runs agree."""
    made = entry.factory(**(entry.quick if quick else {}))
    unseeded = [
        key
        for key, value in made.get_params(deep=True).items()
        if key.rpartition("__")[2] == "random_state" and value is None
    ]
    return made.set_params(**dict.fromkeys(unseeded, 0))


def make_scatter(name: str, settings: dict[str, Any]) -> Any:
    """Return the unfitted scatter of a registered name with its parameters set."""
    check_name(scatters, name, "--scatter")
    return apply_settings(seeded(scatters[name]), settings, name)


def check_applies(name: str, n: int, p: int, made: Any = None) -> None:
    """Raise when the scatter cannot be used on n rows and p columns; the message names some that can.

    `made` is the unfitted scatter with its parameters, where these matter.
    """
    entry = scatters[name]
    reason = entry.why_not(entry.factory() if made is None else made, n, p)
    if reason is not None:
        usable = [entry for entry in scatters if entry.applies(n, p) is None]
        robust = _is_robust(entry)
        # of the same kind first: who asks for a robust one has a reason
        others = [other.name for other in sorted(usable, key=lambda other: _is_robust(other) != robust)]
        plain = name.rpartition(":")[2]
        if plain in others:  # a variant that does not pay: the scatter itself was meant
            others = [plain]
        hint = f" Use --scatter {' or '.join(others[:4])}." if others else ""
        raise ValueError(f"--scatter {name} does not apply here: it {_clause(reason)}.{hint}")


def name_for_laws(name: str, made: Any) -> str:
    """Return the name by which to ask whether a law applies: the plain one of a sketch that is or may stay exact."""
    sketches = getattr(made, "is_sketched_", getattr(made, "n_components", None) != "auto")
    return name if sketches else name.rpartition(":")[2]


def _is_robust(entry: Entry) -> bool:
    return bool(getattr(entry.factory(), "robust", False))


def _clause(reason: str) -> str:
    return reason.strip().rstrip(".")


def accepts(made: Any, key: str, value: Any) -> bool:
    """Tell whether an object has a parameter and, where this lists its values in its annotation, the value.

    Two nulls may have a parameter of one name and different values: the kind of a bootstrap is none of a conformal law.
    """
    known = settable(made)
    if key not in known:
        return False
    *path, key = known[key].split("__")
    for step in path:
        made = getattr(made, step)
    try:
        hint = get_type_hints(type(made).__init__).get(key)
    except (AttributeError, NameError, TypeError):  # annotations that cannot be read forbid nothing
        return True
    options = get_args(hint) if get_origin(hint) is not Literal else (hint,)
    listed = [choice for option in options if get_origin(option) is Literal for choice in get_args(option)]
    plain = [option for option in options if get_origin(option) is not Literal and option is not type(None)]
    if not listed or plain:
        return True
    return value in listed or (value is None and type(None) in options)


def known_to(
    settings: dict[str, Any], names: Iterable[str], registry: Registry = scatters, option: str = "--set"
) -> None:
    """Raise when nothing among `names` has one of the parameters, or one of the values."""
    every: set[str] = set()
    made = {name: registry[name].factory() for name in names}
    for one in made.values():
        every.update(_shown(settable(one)))
    for key, value in settings.items():
        if not any(key in settable(one) for one in made.values()):
            raise ValueError(
                f"{option} {key}: no {registry.kind} here has such a parameter.{suggest(key, every)} "
                f"They have {', '.join(sorted(every)) or 'none'}.{_of_variants(key, registry)}"
            )
        if not any(accepts(one, key, value) for one in made.values()):
            having = [name for name, one in made.items() if key in settable(one)]
            raise ValueError(
                f"{option} {key}={value}: {', '.join(having)} {_know(having)} no such value of {key}."
            )


def _of_variants(key: str, registry: Registry) -> str:
    """Return which variant, not among those at hand, has a parameter; nothing where none has."""
    having = [name for name in registry.composed() if key in settable(registry[name].factory())]
    return f" {having[0]} and its like have it: name one with --{registry.kind}." if having else ""


def _know(names: Sequence[str]) -> str:
    return "knows" if len(names) == 1 else "know"
