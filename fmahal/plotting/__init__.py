"""Displays in scikit-learn's convention; matplotlib loads when one is drawn, not before."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
