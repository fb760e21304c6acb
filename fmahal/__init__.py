"""fmahal: Mahalanobis distances with laws that fit them.

Everything here loads on first use: ``import fmahal`` brings in neither numba nor scikit-learn,
scikit-fda or matplotlib.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
