"""The F law with an inverse survival function for the far tail."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats


class FisherF(type(stats.f)):  # type: ignore[misc]
    r"""SciPy's F law, but for `isf`.

    SciPy 1.17 takes ``ppf(1 - q)``, which has lost three digits at q = 1e-14 and is infinite at q = 1e-17: a
    simultaneous level can be there. With :math:`B \sim \mathrm{Beta}(p/2, m/2)`, :math:`F = (m/p) \, B / (1-B)`,
    and the tail of B and of 1 - B are found apart, each with all its digits.
    """

    def _isf(self, q: Any, dfn: Any, dfd: Any) -> Any:
        share = special.betainccinv(dfn / 2, dfd / 2, q)
        rest = special.betaincinv(dfd / 2, dfn / 2, q)
        # SciPy's inverse gives up somewhere below 1e-100, where the first term of the series is all there is.
        first = np.exp((np.log(q) + np.log(dfd / 2) + special.betaln(dfd / 2, dfn / 2)) / (dfd / 2))
        lost = np.isnan(rest) | np.isnan(share)
        share, rest = np.where(lost, 1.0, share), np.where(lost, first, rest)
        return dfd / dfn * share / rest


fisher_f = FisherF(a=0.0, name="f")
