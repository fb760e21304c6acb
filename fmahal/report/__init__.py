"""HTML reports: one self-contained page about one detector, or about many side by side."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
