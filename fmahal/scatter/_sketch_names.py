"""The sketched variant of every registered scatter, under the name ``sketched:NAME``."""

from __future__ import annotations

from inspect import signature
from typing import Any

from .._registry import Entry, scatters
from ._sketch_costs import SketchCosts, sketch_pays
from .sketched import Sketched

FORM = "sketched"
_OWN = frozenset(signature(Sketched).parameters) - {"scatter"}
# Whiteners of a size that only the fit knows, and that is mostly small: what exact distances cost is open before it.
_NARROW = ("spectral", "modified-cholesky")


def variant(entry: Entry) -> Entry:
    """Return the sketched variant of a registered scatter.

    Parameters
    ----------
    entry : Entry
        The plain scatter.

    Returns
    -------
    variant : Entry
        Its factory hands parameters of `Sketched` to the sketch and all others to the scatter. Whether it can be used
        depends on the number of coordinates and hence on the parameters: ask `Entry.why_not`.
    """

    def factory(**parameters: Any) -> Sketched:
        inner = entry.factory(**{key: value for key, value in parameters.items() if key not in _OWN})
        return Sketched(inner, **{key: value for key, value in parameters.items() if key in _OWN})

    return Entry(
        name=f"{FORM}:{entry.name}",
        factory=factory,
        summary=f"{entry.summary}, behind a random map to k coordinates",
        order=entry.order,
        applies=entry.applies,
        quick=entry.quick,
        suits=suits,
        listed=listed,
    )


def rank_bound(sketch: Sketched, n: int, p: int) -> int:
    """Return what the rank of the scatter can be at most on n rows: p, or n - 1 where nothing is regularised."""
    return p if sketch.regularized else min(n - (not sketch.assume_centered), p)


def suits(sketch: Sketched, n: int, p: int) -> str | None:
    """Return why a sketch with these parameters cannot be used on n rows and p columns, None where it can."""
    k, rank = sketch._wanted(), rank_bound(sketch, n, p)
    if isinstance(sketch.n_components, str) or k < rank:
        return None
    return f"keeps k = {k} coordinates, not below the rank {rank}: exact distances are cheaper"


def predicted(sketch: Sketched, n: int, p: int) -> SketchCosts | None:
    """Predict the costs of the distances of n rows before any fit; None where the size of the whitener is not known."""
    if getattr(sketch.scatter, "scatter_kind", None) in _NARROW:
        return None
    rank, k = rank_bound(sketch, n, p), sketch._wanted()
    name, width = ("triangular", None) if n > p else ("spectral", max(n - 1, 1))
    return sketch_pays(name, n, p, rank, k, width=width, kind=sketch.kind)


def listed(sketch: Sketched, n: int, p: int) -> bool:
    """Tell whether a sketch can gain something here: k was asked for, or the fixed cost model says that it pays."""
    if suits(sketch, n, p) is not None:
        return False
    if sketch.n_components is not None:
        return True
    costs = predicted(sketch, n, p)
    return costs is not None and costs.pays


scatters.compose(
    FORM,
    "Any of these behind a random map to k coordinates: --set n_components=K or eps=E, kind=KIND",
    variant,
)
