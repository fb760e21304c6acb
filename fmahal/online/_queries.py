"""The questions an adaptive index answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._typing import ArrayLike, FloatArray
from .._validation import as_rows, as_vector, check_finite
from ._accuracy import median_failure
from ._estimates import estimates, exact_distances, nearest, pair_estimate, sample
from ._store import Store, require_finite

_CANDIDATES = 10  # measured exactly for each neighbour asked for


class QueryMixin:
    """Estimated and exact squared distances from the store of a fitted index."""

    _store: Store

    def query(self, x: ArrayLike) -> FloatArray:
        r"""Estimate the squared distances of a vector to all points.

        .. math:: \hat d^2(x_i, x) = \operatorname*{median}_{l \in R} \; \lVert S_l U (x_i - c) - S_l U (x - c) \rVert^2

        with R a fresh random subset of `sample_size` of the `n_sketches` sketches, drawn without replacement, and c the
        mean of the fitted points, which takes an offset out of what is rounded.

        Parameters
        ----------
        x : array-like of shape (n_features,) or (q, n_features)
            A vector, or q of them.

        Returns
        -------
        d2 : ndarray of shape (n_points,) or (q, n_points)
            Squared distances in the order of `ids_`, of the dtype of the points. Of an even number of sketches the
            median is the mean of the middle two.

        Raises
        ------
        ValueError
            For another number of columns, NaN, infinity, or numbers out of the range of the dtype of the points.

        Notes
        -----
        One estimate (`sample_size` 1) is unbiased. For Gaussian maps it is :math:`d^2 \chi^2_k / k`, of relative
        standard deviation :math:`\sqrt{2/k}` and median relative error about :math:`0.67 \sqrt{2/k}`; the median of r
        has a bias of order 1/k and, for large r, about :math:`\sqrt{\pi / (2 r)}` of that deviation.
        `failure_probability` gives the tails.

        What the two counts protect against: a sketch S is wrong in *some* directions, by up to the factor
        :math:`(1 + \sqrt{m/k})^2`, and someone whose vectors depend on earlier answers finds such a direction from
        enough answers of one reused sketch. `n_sketches` makes directions that many sketches get wrong rare: from a
        number of order m on, there is none that more than a small share of them gets wrong, whatever is asked
        (reference [2]_ gives the rate, up to logarithms). `sample_size` makes it unlikely that a sample falls on that
        share: a number of order log(n / delta) gives all n answers to one question with probability 1 - delta; a fresh
        sample for each question keeps the answers from telling which sketches answered. With fewer sketches than that,
        protection is gradual: what answers reveal concerns all sketches, and each by 1 / `n_sketches` of it. All
        vectors of one call are answered by one subset: they cannot depend on each other's answers.

        A rule of thumb: choose `sample_size`, odd, so that `failure_probability` at the error that still serves, times
        the number of answers, is small; that is all that questions fixed beforehand need, and `n_sketches` may equal
        it. Where answers lead to the next question, take at least twice as many sketches as a sample: each sketch is
        then left out of at least half of the answers, and the sample differs from question to question. More
        sketches cost memory and updates, a larger sample costs time. Where somebody gains by a wrong answer, confirm
        what counts with exact distances (`exact`, `query_nearest`) rather than rely on a number short of order m.

        O(r k (p + n)) time for a vector, by differences of sketched coordinates (norms would cancel). O(r k) memory for
        each vector beyond the answer, which is in float64 before it is rounded to float32. Of q vectors, all are
        compared with a stored point when it is read.

        Rounding: a sketch keeps the digits of its dtype relative to the distance from c, so that estimates of d are
        wrong by a small multiple of that precision times the distances of both points from c (six digits or so for
        float32). An offset of all points costs nothing; near neighbours in groups that lie very far from each other
        drown in float32. When the points have moved away from c, `refresh` puts it at their present mean.

        Squared distances below the smallest positive number of the dtype of the points come out as 0, without an error
        (float32: differences under about 1e-22); those above the largest raise one.

        References
        ----------
        .. [1] Qin, L., Reddy, A. and Song, Z. (2023). Online adaptive Mahalanobis distance estimation. arXiv
           2309.01030. :doi:`10.48550/arXiv.2309.01030`
        .. [2] Cherapanamjeri, Y. and Nelson, J. (2020). On adaptive distance estimation. Advances in Neural
           Information Processing Systems 33, 11178-11190. arXiv 2010.11252. :doi:`10.48550/arXiv.2010.11252`
        .. [3] Hardt, M. and Woodruff, D. P. (2013). How robust are linear sketches to adaptive inputs? Proceedings of
           the 45th ACM Symposium on Theory of Computing, 121-130. :doi:`10.1145/2488608.2488624`

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal.online import AdaptiveMahalanobisIndex
        >>> X = np.random.default_rng(0).standard_normal((100, 500))
        >>> index = AdaptiveMahalanobisIndex(n_components=200, random_state=0).fit(X)
        >>> d2 = index.query(X[0])
        >>> d2.shape, index.query(X[:3]).shape
        ((100,), (3, 100))
        >>> bool(np.abs(d2[1:] / index.exact(X[0])[1:] - 1).max() < 0.3)
        True
        """
        store = _fitted(self)
        rows = as_rows(x, name="x", n_features=store.metric.shape[1])
        check_finite(rows, "x")
        d2 = _answer(store, estimates(store, rows))
        return d2[0] if np.ndim(x) == 1 else d2

    def query_pair(self, i: int, j: int) -> float:
        """Estimate the squared distance between two points of the index.

        Parameters
        ----------
        i, j : int
            Their identifiers.

        Returns
        -------
        d2 : float
            Squared distance: the median over a fresh random subset of `sample_size` sketches; 0 for i = j.

        Raises
        ------
        IndexError
            For an identifier that does not exist.

        Notes
        -----
        O(r k) time: neither the points nor the metric are read. The accuracy is that of `query`.

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal.online import AdaptiveMahalanobisIndex
        >>> X = np.random.default_rng(0).standard_normal((5, 500))
        >>> index = AdaptiveMahalanobisIndex(n_components=200, random_state=0).fit(X)
        >>> bool(abs(index.query_pair(0, 1) / ((X[0] - X[1]) ** 2).sum() - 1) < 0.3)
        True
        """
        store = _fitted(self)
        return pair_estimate(store, store.slot_of(i), store.slot_of(j))

    def query_nearest(
        self, x: ArrayLike, n_neighbors: int = 1, *, n_candidates: int | None = None
    ) -> tuple[np.ndarray, FloatArray]:
        r"""Find the points nearest to a vector: the best by the estimates, ranked by exact distances.

        Parameters
        ----------
        x : array-like of shape (n_features,)
            A vector.
        n_neighbors : int, default=1
            Points asked for, at most `n_points_`.
        n_candidates : int, optional
            Points with the smallest estimates that are measured exactly, at least `n_neighbors`; ten for each
            neighbour by default. From `n_points_` on all are, and the answer is exact.

        Returns
        -------
        ids : ndarray of shape (n_neighbors,)
            Identifiers, nearest first; of equal distances the smaller identifier first, and of equal estimates the
            smaller identifier is a candidate first.
        d2 : ndarray of shape (n_neighbors,)
            Their exact squared distances, of the dtype of the points.

        Raises
        ------
        ValueError
            For a count out of range or no integer, and for the reasons of `query`.

        Notes
        -----
        When no estimate has a relative error above eps, the nearest point is among the candidates unless more than
        `n_candidates` points have a squared distance within :math:`(1 + \varepsilon) / (1 - \varepsilon)` times the
        smallest; the same holds for the j-th nearest and its distance. Distances are exact in any case.

        O(r k (p + n)) time for the estimates, O(n) for the candidates and, for c of them and U of m rows, O(c m p) for
        the exact distances, O(c p) when the metric is the identity.

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal.online import AdaptiveMahalanobisIndex
        >>> X = np.random.default_rng(0).standard_normal((100, 500))
        >>> index = AdaptiveMahalanobisIndex(n_components=200, random_state=0).fit(X)
        >>> ids, d2 = index.query_nearest(X[7] + 0.01, 2)
        >>> int(ids[0]), round(float(d2[0]), 6)
        (7, 0.05)
        """
        store = _fitted(self)
        vector = _vector(store, x)
        wanted = _count(n_neighbors, "n_neighbors")
        if wanted > store.n:
            raise ValueError(f"n_neighbors = {wanted} exceeds the {store.n} points that the index holds.")
        candidates = _CANDIDATES * wanted if n_candidates is None else _count(n_candidates, "n_candidates")
        if candidates < wanted:
            raise ValueError(
                f"n_candidates = {candidates} is below n_neighbors = {wanted}: neighbours are chosen among them."
            )
        slots, d2 = nearest(store, vector, wanted, min(candidates, store.n))
        return store.ids[slots], _answer(store, d2)

    def sample_exact(self, x: ArrayLike, n_samples: int = 1, *, among: ArrayLike | None = None) -> np.ndarray:
        r"""Draw points with probabilities proportional to their exact squared distances from a vector.

        .. math:: P(\text{draw } i) = d^2(x_i, x) \Big/ \sum_j d^2(x_j, x)

        Parameters
        ----------
        x : array-like of shape (n_features,)
            A vector.
        n_samples : int, default=1
            Independent draws, with replacement.
        among : array-like of int, optional
            Identifiers of the points to draw from, each counted once; all by default.

        Returns
        -------
        ids : ndarray of shape (n_samples,)
            Identifiers. A point of distance 0 is never drawn.

        Raises
        ------
        ValueError
            When all squared distances are 0 in float64, for `n_samples` below 1, for `among` empty or of another shape,
            and for the reasons of `query`.
        IndexError
            For an identifier in `among` that does not exist.

        Notes
        -----
        By rejection: a point is proposed in proportion to its estimate e and kept with probability
        :math:`d^2 / (C e)`, with its exact distance. That gives the stated law whatever the errors of the estimates,
        as long as no point has :math:`d^2 > C e`. The constant C is taken from the law of the estimates so that this
        fails for some point with probability at most :math:`2^{-50}` (Gaussian maps, and x that does not depend on
        the maps; the draws differ from the stated law by no more than that). It is checked for every point measured;
        where it fails, and where rejection would cost as much, all distances are measured.

        O(r k (p + n)) time for the estimates and O(C m p) for a draw, O(C p) when the metric is the identity: C is
        below 2 for k = 256 and r = 5, below 3 for r = 1. Never more than the O(n m p) of all exact distances.

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal.online import AdaptiveMahalanobisIndex
        >>> X = np.vstack([np.zeros((3, 100)), np.ones((1, 100))])
        >>> index = AdaptiveMahalanobisIndex(n_components=50, random_state=0).fit(X)
        >>> index.sample_exact(np.zeros(100), 4)
        array([3, 3, 3, 3])
        """
        store = _fitted(self)
        vector, count = _vector(store, x), _count(n_samples, "n_samples")
        slots = np.arange(store.n) if among is None else _slots(store, among)
        return store.ids[sample(store, vector, count, slots)]

    def exact(self, x: ArrayLike) -> FloatArray:
        r"""Return the exact squared distances of a vector to all points.

        .. math:: d^2(x_i, x) = \lVert U (x_i - x) \rVert^2

        Parameters
        ----------
        x : array-like of shape (n_features,)
            A vector.

        Returns
        -------
        d2 : ndarray of shape (n_points,)
            Squared distances in the order of `ids_`, of the dtype of the points; computed in float64.

        Raises
        ------
        ValueError
            For the reasons of `query`.

        Notes
        -----
        O(n m p) time for U of m rows, O(n p) when the metric is the identity, O(n (p t + z)) for the identity changed
        by rank t and z single entries; by differences, a block of points at a time. It is what the estimates are to be
        compared with.

        Examples
        --------
        >>> from fmahal.online import AdaptiveMahalanobisIndex
        >>> index = AdaptiveMahalanobisIndex([[2.0, 0.0], [0.0, 1.0]], n_components=1, random_state=0)
        >>> index.fit([[0.0, 0.0], [3.0, 4.0]]).exact([0.0, 0.0])
        array([ 0., 52.])
        """
        store = _fitted(self)
        return _answer(store, exact_distances(store, _vector(store, x)))

    def failure_probability(self, eps: ArrayLike) -> float | FloatArray:
        """Return the probability that an answer has a relative error above eps.

        Parameters
        ----------
        eps : float or array-like
            Relative error of the squared distance, positive.

        Returns
        -------
        probability : float or ndarray
            For one answer, to a question that does not depend on earlier answers. Exact for Gaussian maps, whatever
            the points and the metric are, but for rounding (see the notes of `query`); multiply it by the number of
            answers that shall all be right.

        Raises
        ------
        ValueError
            If eps is not positive.

        Notes
        -----
        The law of the median of `sample_size` independent chi-squared variables over their `n_components` degrees of
        freedom. The tails of "rademacher" maps are no heavier moment by moment (Achlioptas 2003), so that theirs is of
        this order; for "sparse" and "srht" it is an approximation. Cost: O(1).

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal.online import AdaptiveMahalanobisIndex
        >>> X = np.zeros((2, 500))
        >>> index = AdaptiveMahalanobisIndex(n_components=256, sample_size=5, random_state=0).fit(X)
        >>> bool(index.failure_probability(0.2) < 1e-3)
        True
        """
        store = _fitted(self)
        return median_failure(store.folded.shape[1], store.sample_size, eps)


def _fitted(index: QueryMixin) -> Store:
    check_is_fitted(index, "_store")
    return index._store


def _answer(store: Store, d2: FloatArray) -> FloatArray:
    """Return squared distances in the dtype of the points, or say that they leave its range."""
    with np.errstate(over="ignore"):  # raised below, by name
        out = d2.astype(store.points.dtype, copy=False)
    return require_finite(out, "The squared distances")


def _vector(store: Store, x: ArrayLike) -> FloatArray:
    return as_vector(x, "x", store.metric.shape[1])


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    return int(value)


def _slots(store: Store, among: ArrayLike) -> np.ndarray:
    """Return the rows of identifiers, each once, in the order of the rows."""
    ids = np.asarray(among)
    if ids.ndim != 1 or ids.size == 0:
        raise ValueError(f"among must be a list of identifiers that is not empty, got shape {ids.shape}.")
    return np.unique([store.slot_of(identifier) for identifier in ids])
