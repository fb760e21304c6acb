"""Names under which estimators and nulls are found by the command line and by comparisons.

An estimator registers itself where it is defined; nothing that lists them has to be edited.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

_MARK = ":"  # between a form and a name


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
    suits : callable or None
        ``suits(made, n, p)``: like `applies`, of an object of the entry with its parameters set, where these matter.
    listed : callable or None
        ``listed(made, n, p)``: whether comparisons take it up unasked. Of composed entries only; None is no.
    """

    name: str
    factory: Callable[..., Any]
    summary: str
    order: int = 100
    applies: Callable[..., str | None] = field(default=lambda *args: None)
    cost: Callable[..., float] | None = None
    quick: dict[str, Any] = field(default_factory=dict)
    suits: Callable[[Any, int, int], str | None] | None = None
    listed: Callable[[Any, int, int], bool] | None = None

    def why_not(self, made: Any, n: int, p: int) -> str | None:
        """Return why an unfitted object of this entry, its parameters set, cannot be used; None when it can."""
        reason = self.applies(n, p)
        return self.suits(made, n, p) if reason is None and self.suits is not None else reason

    def refits(self, n: int, p: int, scatter_name: str) -> float:
        """Return the predicted cost on n rows and p columns, in refits of a scatter; 0 when it is not known."""
        if self.cost is None:
            return 0
        named = len(signature(self.cost).parameters) > 2
        return self.cost(n, p, scatter_name) if named else self.cost(n, p)


class Registry:
    """An ordered dictionary of entries with errors that help; a composed name, ``form:name``, stands for a variant.

    Iteration, `names` and the length are about plain entries alone; lookup knows composed names too.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        self._forms: dict[str, tuple[str, Callable[[Entry], Entry]]] = {}

    def register(self, name: str, summary: str, **options: Any) -> Callable[[Any], Any]:
        """Return a decorator that registers a class or factory under `name`."""

        def decorate(factory: Any) -> Any:
            self._entries[name] = Entry(name=name, factory=factory, summary=summary, **options)
            return factory

        return decorate

    def compose(self, form: str, summary: str, make: Callable[[Entry], Entry]) -> None:
        """Let ``form:name`` stand for ``make(entry)``, for every registered name, later ones too."""
        self._forms[form] = summary, make

    def forms(self) -> dict[str, str]:
        """Return how composed names are written, each with a line for listings."""
        return {f"{form}{_MARK}NAME": summary for form, (summary, _) in self._forms.items()}

    def composed(self, form: str | None = None) -> list[str]:
        """Return the composed names in listing order, of one form or of all."""
        forms = self._forms if form is None else (form,)
        return [f"{each}{_MARK}{name}" for each in forms for name in self.names()]

    def available(self) -> str:
        """Return what can be asked for, for messages: the plain names, and how variants of them are written."""
        forms = [f"{form} with each of these names" for form in self.forms()]
        return "; ".join([", ".join(self.names()), *forms])

    def __iter__(self):
        return iter(sorted(self._entries.values(), key=lambda entry: (entry.order, entry.name)))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or self._variant(name) is not None

    def _variant(self, name: object) -> tuple[str, str] | None:
        """Return form and plain name of a composed name, None of any other."""
        form, mark, plain = name.partition(_MARK) if isinstance(name, str) else ("", "", "")
        return (form, plain) if mark and form in self._forms and plain in self._entries else None

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> list[str]:
        """Return the registered names in listing order."""
        return [entry.name for entry in self]

    def __getitem__(self, name: str) -> Entry:
        if name in self._entries:
            return self._entries[name]
        variant = self._variant(name)
        if variant is None:
            raise ValueError(f"Unknown {self.kind} {name!r}. Available: {self.available()}.")
        form, plain = variant
        return self._forms[form][1](self._entries[plain])


scatters = Registry("scatter")
nulls = Registry("null")
