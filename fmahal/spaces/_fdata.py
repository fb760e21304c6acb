"""Recognising the objects of scikit-fda without importing it."""

from __future__ import annotations

import sys
from typing import Any


def is_fdata(X: Any) -> bool:
    """Return whether `X` is an `FDataGrid`, an `FDataBasis` or an `FDataIrregular` of scikit-fda.

    scikit-fda is not imported: an object of its classes exists only where something else has loaded it, so
    that the question costs one look into `sys.modules`, O(1).

    Parameters
    ----------
    X : object
        Anything.

    Returns
    -------
    answer : bool
        True for functional data of scikit-fda, False for everything else.

    Examples
    --------
    >>> from fmahal.spaces import is_fdata
    >>> is_fdata([[0.0, 1.0]])
    False
    """
    return fdata_kind(X) is not None


def fdata_kind(X: Any) -> str | None:
    """Return "grid", "basis", "irregular" or "other" for functional data of scikit-fda, else None."""
    representation = sys.modules.get("skfda.representation")
    base = getattr(representation, "FData", None)
    if base is None or not isinstance(X, base):
        return None
    for kind, name in (("grid", "FDataGrid"), ("basis", "FDataBasis"), ("irregular", "FDataIrregular")):
        cls = getattr(representation, name, None)
        if cls is not None and isinstance(X, cls):
            return kind
    return "other"
