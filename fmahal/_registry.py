"""Names under which estimators and nulls are found by the command line and by comparisons.

An estimator registers itself where it is defined; nothing that lists them has to be edited.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One registered name.

    Attributes
    ----------
    name : str
        The name on the command line.
    factory : callable
        Called without arguments, or with parameters as keywords, returns an unfitted object.
    summary : str
        One line for listings.
    order : int
        Rank in listings; ties are broken by the name.
    applies : callable
        ``applies(n, p)`` (scatters) or ``applies(scatter_name, n, p)`` (nulls): None when the entry can be
        used on n rows and p columns, else the reason why not, as text.
    cost : callable or None
        ``cost(n, p)``, or ``cost(n, p, scatter_name)`` where it depends on the scatter: the number of estimator
        refits that the entry needs (nulls), with `quick` parameters.
    quick : dict
        Parameters that comparisons set, so that many pairs finish soon: fewer replicates, for example.
    """

    name: str
    factory: Callable[..., Any]
    summary: str
    order: int = 100
    applies: Callable[..., str | None] = field(default=lambda *args: None)
    cost: Callable[..., float] | None = None
    quick: dict[str, Any] = field(default_factory=dict)

    def refits(self, n: int, p: int, scatter_name: str) -> float:
        """Return the predicted cost on n rows and p columns, in refits of a scatter; 0 when it is not known."""
        if self.cost is None:
            return 0
        named = len(signature(self.cost).parameters) > 2
        return self.cost(n, p, scatter_name) if named else self.cost(n, p)


class Registry:
    """An ordered dictionary of entries with errors that help."""

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, name: str, summary: str, **options: Any) -> Callable[[Any], Any]:
        """Return a decorator that registers a class or factory under `name`."""

        def decorate(factory: Any) -> Any:
            self._entries[name] = Entry(name=name, factory=factory, summary=summary, **options)
            return factory

        return decorate

    def __iter__(self):
        return iter(sorted(self._entries.values(), key=lambda entry: (entry.order, entry.name)))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> list[str]:
        """Return the registered names in listing order."""
        return [entry.name for entry in self]

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise ValueError(f"Unknown {self.kind} {name!r}. Available: {', '.join(self.names())}.") from None


scatters = Registry("scatter")
nulls = Registry("null")
