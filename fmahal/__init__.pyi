from . import datasets as datasets
from . import plotting as plotting
from ._kernels._jit import warmup as warmup
from .distance import cdist as cdist
from .distance import mahalanobis as mahalanobis
from .distance import pdist as pdist
from .exceptions import CalibrationWarning as CalibrationWarning
from .exceptions import DenseSizeError as DenseSizeError
from .exceptions import ExactFitWarning as ExactFitWarning
from .exceptions import NotPositiveDefiniteError as NotPositiveDefiniteError
from .exceptions import OutsideSubspaceError as OutsideSubspaceError
from .exceptions import RankDeficientError as RankDeficientError
from .exceptions import RankDeficientWarning as RankDeficientWarning
from .models import MahalanobisDetector as MahalanobisDetector
from .nulls import ChiSquareNull as ChiSquareNull
from .nulls import NormalTheoryNull as NormalTheoryNull
from .plotting import DistanceDistanceDisplay as DistanceDistanceDisplay
from .plotting import DistanceQQDisplay as DistanceQQDisplay
from .plotting import ToleranceEllipseDisplay as ToleranceEllipseDisplay
from .scatter import OAS as OAS
from .scatter import QIS as QIS
from .scatter import EmpiricalCovariance as EmpiricalCovariance
from .scatter import FixedScatter as FixedScatter
from .scatter import LedoitWolf as LedoitWolf
from .scatter import ShrunkCovariance as ShrunkCovariance
from .whitener import Whitener as Whitener

__version__: str
