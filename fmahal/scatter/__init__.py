"""Scatter estimators: a location and a whitener, learned from rows.

Importing the package registers every family under its name.
"""

from . import _sketch_names as _sketch_names
from ._facts import ScatterFacts, facts
from ._location import spatial_median
from ._mcd_factors import mcd_subset_size
from ._resolve import resolve
from ._sketch_costs import SketchCosts, sketch_pays
from ._sketch_dim import johnson_lindenstrauss_dim
from .base import BaseScatter
from .cholesky import ModifiedCholesky
from .cholesky_cv import ModifiedCholeskyCV
from .empirical import EmpiricalCovariance
from .fixed import FixedScatter
from .mcd import MinCovDet
from .mrcd import MRCD
from .ogk import OGK
from .partial import PartialWhitening
from .qis import QIS
from .robust_location import robust_location
from .robust_scale import robust_scale
from .robust_spectral import RobustSpectralFilter
from .shrinkage import OAS, LedoitWolf, ShrunkCovariance
from .sketched import Sketched
from .spectral import SpectralFilter
from .spectral_cv import SpectralFilterCV
from .wrapped import WrappedCovariance

__all__ = [
    "MRCD",
    "OAS",
    "OGK",
    "QIS",
    "BaseScatter",
    "EmpiricalCovariance",
    "FixedScatter",
    "LedoitWolf",
    "MinCovDet",
    "ModifiedCholesky",
    "ModifiedCholeskyCV",
    "PartialWhitening",
    "RobustSpectralFilter",
    "ScatterFacts",
    "ShrunkCovariance",
    "SketchCosts",
    "Sketched",
    "SpectralFilter",
    "SpectralFilterCV",
    "WrappedCovariance",
    "facts",
    "johnson_lindenstrauss_dim",
    "mcd_subset_size",
    "resolve",
    "robust_location",
    "robust_scale",
    "sketch_pays",
    "spatial_median",
]
