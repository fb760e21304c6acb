"""What every data set carries, and the catalogue that lists them without loading any."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import FloatArray

if TYPE_CHECKING:
    from sklearn.utils import Bunch


@dataclass(frozen=True)
class Card:
    """The facts about a data set that need no data.

    Attributes
    ----------
    name : str
        Name in listings and on the command line.
    order : int
        Rank in listings.
    n_samples, n_features : int
        Shape of ``data``.
    n_outliers : int or None
        Rows marked in ``outliers``; None when no row is called an outlier by anybody.
    summary : str
        One line.
    source, licence, citation : str
        Where the numbers come from, under which terms, and what to cite.
    description : str
        Some paragraphs: what a row is, units, and which choices were made.
    """

    name: str
    order: int
    n_samples: int
    n_features: int
    n_outliers: int | None
    summary: str
    source: str
    licence: str
    citation: str
    description: str

    def bunch(self, data: FloatArray, feature_names: Sequence[str], **fields: Any) -> Bunch:
        """Return `data` with the facts of this card and further `fields`."""
        descr = (
            f"{self.summary}\n\n{self.description}\n\nSource: {self.source}\nLicence: {self.licence}\n"
            f"Cite: {self.citation}\n"
        )
        return make_bunch(
            data,
            feature_names,
            name=self.name,
            DESCR=descr,
            source=self.source,
            licence=self.licence,
            citation=self.citation,
            **fields,
        )


def make_bunch(data: FloatArray, feature_names: Sequence[str], **fields: Any) -> Bunch:
    """Return a `sklearn.utils.Bunch` with every promised field, absent ones None."""
    from sklearn.utils import Bunch  # here, so that importing fmahal.datasets stays cheap

    optional = dict.fromkeys(("target", "target_names", "outliers", "row_names"))
    return Bunch(
        data=np.ascontiguousarray(data, dtype=np.float64),
        feature_names=[str(name) for name in feature_names],
        **(optional | fields),
    )


class Catalogue:
    """Cards and loaders by name, in listing order."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Card, Callable[[], Bunch]]] = {}

    def register(self, card: Card) -> Callable[[Callable[[], Bunch]], Callable[[], Bunch]]:
        """Return a decorator that enters a loader under the name of `card`."""

        def decorate(loader: Callable[[], Bunch]) -> Callable[[], Bunch]:
            self._entries[card.name] = (card, loader)
            return loader

        return decorate

    def __iter__(self) -> Iterator[Card]:
        return iter(sorted((card for card, _ in self._entries.values()), key=lambda card: card.order))

    def loader(self, name: object) -> Callable[[], Bunch]:
        """Return the loader of `name`; an underscore counts as a hyphen."""
        key = name.strip().lower().replace("_", "-") if isinstance(name, str) else name
        if not isinstance(key, str) or key not in self._entries:
            names = ", ".join(card.name for card in self)
            raise ValueError(f"Unknown data set {name!r}. Available: {names}.")
        return self._entries[key][1]


catalogue = Catalogue()


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` accepts.

    Returns
    -------
    list of str
        Names in listing order: tables with known outliers first.

    Examples
    --------
    >>> from fmahal.datasets import list_datasets
    >>> list_datasets()[:3]
    ['hbk', 'wood', 'elnino']
    """
    return [card.name for card in catalogue]


def dataset_summaries() -> list[dict[str, Any]]:
    """Return one record a data set, without loading any of them.

    Returns
    -------
    list of dict
        In listing order, with the keys ``name``, ``n`` (rows), ``p`` (columns), ``outliers`` (number of rows
        marked as outliers, None when there is no such mark), ``summary``, ``source``, ``licence`` and
        ``citation``.

    Examples
    --------
    >>> from fmahal.datasets import dataset_summaries
    >>> first = dataset_summaries()[0]
    >>> first["name"], first["n"], first["p"], first["outliers"]
    ('hbk', 75, 3, 14)
    """
    return [
        {
            "name": card.name,
            "n": card.n_samples,
            "p": card.n_features,
            "outliers": card.n_outliers,
            "summary": card.summary,
            "source": card.source,
            "licence": card.licence,
            "citation": card.citation,
        }
        for card in catalogue
    ]


def load_dataset(name: str) -> Bunch:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        One of `list_datasets`; case does not matter, and an underscore counts as a hyphen.

    Returns
    -------
    sklearn.utils.Bunch
        ``data`` (n_samples, n_features) float64, ``feature_names`` (list of str), ``target`` (integer array
        (n_samples,) or None), ``target_names`` (names of the classes, None when `target` is None or not a
        class), ``outliers`` (boolean mask (n_samples,) or None), ``row_names`` (list of str or None),
        ``name``, ``DESCR``, ``source``, ``licence``, ``citation``.

    Raises
    ------
    ValueError
        When there is no data set of this name; the message lists the names.

    Examples
    --------
    >>> from fmahal.datasets import load_dataset
    >>> load_dataset("wood").data.shape
    (20, 5)
    """
    return catalogue.loader(name)()


def read_table(filename: str) -> tuple[list[str], list[str], FloatArray]:
    """Read a CSV file of this package.

    Parameters
    ----------
    filename : str
        File in the folder ``data``: comment lines that start with ``#``, a header, then rows whose first
        entry is the name of the row.

    Returns
    -------
    columns : list of str
        Names of the p columns.
    rows : list of str
        Names of the n rows.
    values : ndarray of shape (n, p)
        The numbers.
    """
    text = files(__package__).joinpath("data", filename).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    header, *records = csv.reader(lines)
    values = np.array([record[1:] for record in records], dtype=np.float64)
    return header[1:], [record[0] for record in records], values


def mask_of(n_samples: int, positions: Sequence[int]) -> np.ndarray:
    """Return a boolean mask of length `n_samples`, true at the zero-based `positions`."""
    mask = np.zeros(n_samples, dtype=bool)
    mask[list(positions)] = True
    return mask
