"""The law of reference distances: p-values that are ranks, and a pool that collects references block by block."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._typing import ArrayLike, FloatArray
from ._counts import Counts, binned, merged, number, number_at_least, sorted_counts
from ._gpd import FEWEST, MOST, Tail, fit_tail
from ._numbers import checked_level

_TINIEST = float(np.finfo(np.float64).tiny)  # no p-value is smaller, so that its logarithm exists
_KEPT = 4_000_000  # values that a pool keeps as they are


class EmpiricalLaw:
    r"""The law of M reference distances, whose p-values are ranks among them.

    .. math:: \mathrm{sf}(x) = \frac{1 + \#\{d_i \ge x\}}{M + 1}

    which is a valid p-value when x and the references are exchangeable, and never 0. `cdf` is ``1 - sf``. The
    cut-off ``isf(q)`` is the smallest reference t with ``sf(x) <= q`` for every x > t, so that ``x > isf(q)`` and
    ``sf(x) <= q`` are the same for every finite x, ties and rounding included. It is infinite when there are too few
    references, M < 1/q - 1, and minus infinity when every x has such a p-value (q >= 1).

    Parameters
    ----------
    reference : array-like of shape (M,) or (n_replicates, m)
        Squared distances; NaN stands for an absent one and is dropped. In two dimensions a row is one replicate,
        whose distances come from one estimate and depend on each other, which `standard_error` heeds.
    tail : {None, "gpd"}, default=None
        Beyond the largest reference `sf` stays at 1 / (M + 1), or goes on like a generalised Pareto law with a
        shape of at least 0, fitted to the upper tenth of the references.
    itself : bool, default=False
        Whether every x is one of the references: then the p-value is ``max(1, #{d_i >= x}) / M``.
    n_groups : int, default=20
        Into how many groups at most `standard_error` divides the replicates.

    Raises
    ------
    ValueError
        Without a reference, with fewer than 100 for ``tail="gpd"``, and for an unknown `tail`.

    Notes
    -----
    Sorting, on the first use: O(M log M) time, O(M) memory. Then O(log M) for each number. References that are all
    equal in their upper tenth have no tail to fit, and nothing lies beyond an infinite reference: in both cases `tail`
    changes nothing, and the p-value of a distance beyond all finite references is the share of the infinite ones.

    References
    ----------
    .. [1] Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical Applications
       in Genetics and Molecular Biology 9(1), 39. DOI 10.2202/1544-6115.1585
    .. [2] Hosking, J. R. M. and Wallis, J. R. (1987). Parameter and quantile estimation for the generalized Pareto
       distribution. Technometrics 29(3), 339-349. DOI 10.1080/00401706.1987.10488243

    Examples
    --------
    >>> law = EmpiricalLaw([1.0, 2.0, 3.0, 4.0])
    >>> law.sf([0.5, 4.0, 4.5])
    array([1. , 0.4, 0.2])
    >>> law.isf([0.4, 0.2, 0.1])
    array([ 3.,  4., inf])
    """

    def __init__(
        self,
        reference: ArrayLike,
        *,
        tail: Literal["gpd"] | None = None,
        itself: bool = False,
        n_groups: int = 20,
    ):
        values = np.array(reference, dtype=np.float64)  # a copy: it is sorted later
        if values.ndim not in (1, 2):
            raise ValueError(
                f"reference must have one or two dimensions (replicates, distances), got shape {values.shape}."
            )
        if isinstance(n_groups, bool) or not isinstance(n_groups, Integral) or n_groups < 2:
            raise ValueError(f"n_groups must be an integer of at least 2, got {n_groups!r}.")
        # One distance a replicate: all of them are independent.
        grouped = values.ndim == 2 and values.shape[1] > 1
        self._groups: list[Any] = [values[k::n_groups] for k in range(n_groups)] if grouped else []
        values = values.ravel()
        present = ~np.isnan(values)
        self._counts: Any = values if present.all() else values[present]
        self._start(tail, itself)

    def _start(self, tail: Any, itself: bool) -> None:
        self.tail, self.itself = tail, bool(itself)
        self._tail: Tail | Literal["unfitted"] | None = None if tail is None else "unfitted"
        if tail not in (None, "gpd"):
            raise ValueError(f"tail must be None or 'gpd', got {tail!r}.")
        if self.size == 0:
            raise ValueError(
                "There is no reference distance: the array is empty or all NaN. Usual causes: no replicate was "
                "drawn, or no row was left out of any fit."
            )
        if tail is not None and self.size < 10 * FEWEST:
            raise ValueError(
                f"tail='gpd' is fitted to the upper tenth of the reference distances and needs {FEWEST} there; "
                f"got M = {self.size}. Draw at least {10 * FEWEST} reference distances, or use tail=None."
            )

    @classmethod
    def _of_groups(cls, counts: Any, groups: list[Any], n_replicates: int, tail: Any) -> EmpiricalLaw:
        """Return the law of references without NaN, or binned, and of their groups of replicates."""
        law = cls.__new__(cls)
        law._counts = counts
        law._owned = True
        law._groups = groups if law.size > n_replicates else []
        law._start(tail, False)
        return law

    @property
    def size(self) -> int:
        """Number of reference distances, M."""
        return int(self._counts.size)

    _owned = False  # whether the references are in an array that nothing else looks at

    def _references(self) -> Counts:
        if not isinstance(self._counts, Counts):
            self._counts = sorted_counts(self._counts, in_place=self._owned)
        return self._counts

    def _fitted_tail(self) -> Tail | None:
        """Return the fitted tail, None for no tail."""
        if self._tail == "unfitted":
            refs = self._references()
            k = refs.size // 10
            threshold, start = float(refs.ranked(refs.size - 1 - k)), float(refs.ranked(refs.size - 1))
            if math.isinf(start):
                self._tail = None
                return None
            # Evenly spaced ranks stand for all, when there are very many.
            ranks = np.arange(k) if k <= MOST else ((np.arange(MOST) + 0.5) * (k / MOST)).astype(np.int64)
            self._tail = fit_tail(refs.ranked(refs.size - k + ranks) - threshold, threshold, start, k)
        return self._tail

    def _level(self, count: Any) -> NDArray[np.float64]:
        """Return the p-value of a distance that `count` references equal or exceed."""
        if self.itself:
            return np.maximum(count, 1) / self.size
        return (1 + count) / (self.size + 1)

    def _beyond(self, x: NDArray[np.float64], tail: Tail) -> NDArray[np.float64]:
        return np.maximum(self._level(0) * tail.sf(x), _TINIEST)

    def sf(self, x: ArrayLike) -> NDArray[np.float64]:
        """p-value of `x`: share of references that are `x` or larger, `x` counted in.

        Parameters
        ----------
        x : array-like
            Squared distances.

        Returns
        -------
        sf : ndarray, the shape of `x`
            Numbers in (0, 1]; NaN for NaN.
        """
        x = np.asarray(x, dtype=np.float64)
        out = np.asarray(self._level(self._references().at_least(x)), dtype=np.float64)
        if (tail := self._fitted_tail()) is not None:
            out = np.where(x > tail.start, self._beyond(x, tail), out)
        return np.where(np.isnan(x), np.nan, out)[()]

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return ``1 - sf(x)``.

        Parameters
        ----------
        x : array-like
            Squared distances.

        Returns
        -------
        cdf : ndarray, the shape of `x`
            Numbers in [0, 1).
        """
        return 1 - self.sf(x)

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Cut-off at level `q`: ``x > isf(q)`` exactly where ``sf(x) <= q``.

        Parameters
        ----------
        q : array-like
            Levels.

        Returns
        -------
        cutoff : ndarray, the shape of `q`
            Squared distances, plus or minus infinity where no or every distance has such a p-value.
        """
        q = np.asarray(q, dtype=np.float64)
        return self._threshold(q, q, lambda sf, q: sf <= q)

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Quantile: ``x > ppf(q)`` exactly where ``cdf(x) >= q``.

        Parameters
        ----------
        q : array-like
            Probabilities.

        Returns
        -------
        quantile : ndarray, the shape of `q`
            Squared distances, plus or minus infinity where no or every distance has such a `cdf`.
        """
        q = np.asarray(q, dtype=np.float64)
        return self._threshold(q, 1 - q, lambda sf, q: 1 - sf >= q)

    def _threshold(
        self, q: NDArray[np.float64], level: NDArray[np.float64], passes: Callable[[Any, Any], Any]
    ) -> NDArray[np.float64]:
        """Return the largest t whose p-value does not pass; the p-value that passes is `level`, but for rounding."""
        M, count = self.size, self._passing(q, level, passes)
        out = np.where(count < 0, np.inf, np.where(count >= M, -np.inf, 0.0))
        inside = (count >= 0) & (count < M)
        out[inside] = self._references().ranked(M - 1 - count[inside])
        tail = self._fitted_tail()
        beyond = (count < 0) & passes(_TINIEST, q)
        if tail is not None and beyond.any():
            out[beyond] = self._bisect(tail, q[beyond], passes)
        return np.where(np.isnan(q), np.nan, out)[()]

    def _passing(self, q: Any, level: Any, passes: Callable[[Any, Any], Any]) -> NDArray[np.int64]:
        """Return the largest number of references at or beyond a distance whose p-value passes, -1 for none."""
        M = self.size
        total, own = (M, 0) if self.itself else (M + 1, 1)
        guess = np.floor(np.clip(np.nan_to_num(level, nan=0.0), 0, 1) * total).astype(np.int64) - own
        found = np.full(q.shape, -1, dtype=np.int64)
        for candidate in (guess - 2, guess - 1, guess, guess + 1, guess + 2):  # the product was rounded
            candidate = np.minimum(candidate, M)
            found = np.where((candidate >= 0) & passes(self._level(candidate), q), candidate, found)
        return found

    def _bisect(self, tail: Tail, q: Any, passes: Callable[[Any, Any], Any]) -> NDArray[np.float64]:
        """Return the threshold in the tail by bisection over float64 numbers, which ends at neighbours."""
        low = np.full(q.shape, max(tail.start, 0.0)).view(np.int64)
        high = np.full(q.shape, np.inf).view(np.int64)
        while (high - low > 1).any():
            middle = low + (high - low) // 2
            passed = passes(self._beyond(middle.view(np.float64), tail), q)
            low, high = np.where(passed, low, middle), np.where(passed, middle, high)
        return low.view(np.float64)

    def standard_error(self, q: float) -> float:
        r"""Return the standard error of the cut-off ``isf(q)``, which a finite number of references causes.

        Parameters
        ----------
        q : float
            Level.

        Returns
        -------
        se : float
            In units of squared distance; infinite where the cut-off is infinite.

        Notes
        -----
        In two dimensions, where the distances of a replicate depend on each other: of M references those from the
        cut-off on, :math:`c_g` of the :math:`m_g` in group g, and their share :math:`\hat p` vary by

        .. math:: \mathrm{se}(\hat p)^2 = \frac{G}{G - 1} \sum_{g=1}^{G} \frac{(c_g - \hat p \, m_g)^2}{M^2},

        the replicates being dealt to G groups, ``n_groups`` or as many as there are replicates. Independent references
        have the binomial :math:`\mathrm{se}(\hat p)^2 = q (1 - q) / M`; with fewer than four groups the larger of the
        two is taken. The standard error of the cut-off is half the distance of the two references whose ranks are
        :math:`M \, \mathrm{se}(\hat p)` away [1]_. Beyond the largest reference, from the spread of the largest of M
        numbers and of the parameters of the tail, as for independent references. O(M) time, and sorting once.

        References
        ----------
        .. [1] Woodruff, R. S. (1952). Confidence intervals for medians and other position measures. Journal of the
           American Statistical Association 47(260), 635-646. DOI 10.1080/01621459.1952.10483443
        """
        q = checked_level(q)
        if not math.isfinite(self.isf(q)):
            return math.inf
        tail = self._fitted_tail()
        if tail is not None and q < self._level(0):
            return tail.standard_error(float(self._level(0) / q))
        return self._rank_error(q, self.size * self._share_error(q))

    def _share_error(self, q: float) -> float:
        """Return the standard error of the share of references beyond a fixed distance near the cut-off."""
        binomial = math.sqrt(q * (1 - q) / self.size)
        cutoff = self.isf(q)
        sizes = np.array([number(group) for group in self._groups])
        present = np.flatnonzero(sizes)
        if present.size < 2:
            return binomial
        beyond = np.array([number_at_least(self._groups[g], cutoff) for g in present])
        surplus = beyond - beyond.sum() / self.size * sizes[present]
        G = present.size
        share = math.sqrt(G / (G - 1) * float(surplus @ surplus)) / self.size
        # Two or three replicates may agree by chance; equal references tell nothing of their shares.
        return max(share, binomial) if G < 4 or share == 0.0 else share

    def _rank_error(self, q: float, spread: float) -> float:
        """Return the standard error of the cut-off from that of its rank."""
        refs, M = self._references(), self.size
        count = int(self._passing(np.asarray(q), np.asarray(q), lambda sf, q: sf <= q))
        ranks = np.array([math.floor(M - 1 - count - spread), math.ceil(M - 1 - count + spread)]).clip(
            0, M - 1
        )
        if ranks[0] == ranks[1]:
            return math.inf  # one reference tells nothing of its spread
        low, high = refs.ranked(ranks)
        return float((high - low) * spread / (ranks[1] - ranks[0]))


class Pool:
    """Collects blocks of reference distances and makes their `EmpiricalLaw`.

    Up to 4 million distances are kept as they are. Beyond, only their numbers in bins of a relative width of 2**-16
    or less are kept: a distance counts as the upper edge of its bin, so that p-values and cut-offs are at
    most larger. How the replicates were cut into blocks has no influence.

    Parameters
    ----------
    tail : {None, "gpd"}, default=None
        As for `EmpiricalLaw`.
    n_groups : int, default=20
        As for `EmpiricalLaw`.

    Examples
    --------
    >>> pool = Pool()
    >>> pool.add([[1.0, 2.0]])
    >>> pool.add([[3.0, 4.0]])
    >>> pool.law().sf(3.5)
    np.float64(0.4)
    """

    def __init__(self, tail: Literal["gpd"] | None = None, *, n_groups: int = 20):
        self.tail = tail
        self.n_replicates = 0
        self.size = 0
        self._pending = 0
        self._kept: list[list[FloatArray]] = [[] for _ in range(n_groups)]
        self._blocks: list[FloatArray] = []
        self._bins: list[Counts | None] = [None] * n_groups

    def add(self, block: ArrayLike) -> None:
        """Add replicates: (b, m) squared distances, NaN where absent; (b,) for one distance a replicate."""
        block = np.asarray(block, dtype=np.float64)
        if block.ndim == 1:
            block = block[:, None]
        if block.ndim != 2:
            raise ValueError(f"A block must have the shape (replicates, distances), got {block.shape}.")
        n_groups = len(self._kept)
        block = block.copy()  # engines use their arrays again
        absent = np.isnan(block)
        some = bool(absent.any())
        self._blocks.append(block[~absent] if some else block.ravel())
        for k in range(n_groups):
            part = slice((k - self.n_replicates) % n_groups, None, n_groups)
            values = block[part][~absent[part]] if some else block[part]  # a view
            self._kept[k].append(values)
            self._pending += values.size
            self.size += values.size
        self.n_replicates += len(block)
        if self._pending > _KEPT:
            self._fold()

    def _fold(self) -> None:
        """Put what was kept into the bins."""
        for k, kept in enumerate(self._kept):
            counts, old = binned(np.concatenate([values.ravel() for values in kept])), self._bins[k]
            self._bins[k] = counts if old is None else merged([old, counts])
            kept.clear()
        self._blocks.clear()
        self._pending = 0

    def law(self) -> EmpiricalLaw:
        """Return the law of all distances added so far."""
        if self.size > _KEPT:
            if self._pending:
                self._fold()
            counts: Any = merged([bins for bins in self._bins if bins is not None])
            groups: list[Any] = list(self._bins)
        else:
            counts = np.concatenate([np.empty(0), *self._blocks])
            groups = [list(kept) for kept in self._kept]
        return EmpiricalLaw._of_groups(counts, groups, self.n_replicates, self.tail)
