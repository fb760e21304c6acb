"""Type names shared by every layer."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
Outside: TypeAlias = Literal["ignore", "inf", "raise"]
RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None
Location: TypeAlias = ArrayLike | Callable[[FloatArray], FloatArray]

__all__ = ["ArrayLike", "FloatArray", "Location", "Outside", "RandomState"]
