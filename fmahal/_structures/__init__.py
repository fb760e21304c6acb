"""The representations behind a `Whitener`: each knows its own cheapest algorithm.

A structure is an immutable record with the methods of `Structure`. All of them take float arrays of checked
shape; the public checks live in `fmahal.whitener`.
"""

from .banded import Banded
from .base import Structure
from .ordered import Permuted, Stacked
from .sequential import Sequential
from .sketched import Sketch
from .spectral import Spectral
from .triangular import Triangular

__all__ = ["Banded", "Permuted", "Sequential", "Sketch", "Spectral", "Stacked", "Structure", "Triangular"]
