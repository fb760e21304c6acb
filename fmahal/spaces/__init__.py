"""Spaces: transformers from curves to coordinates whose dot product is the inner product."""

from ._contributions import TimeContributions
from ._fdata import is_fdata
from .functional import L2Space
from .sobolev import SobolevSpace
from .spherical import SphericalPCA

__all__ = ["L2Space", "SobolevSpace", "SphericalPCA", "TimeContributions", "is_fdata"]
