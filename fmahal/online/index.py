"""Squared Mahalanobis distances from sketches that follow changes of the metric and of the points."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted, validate_data

from .._maps import MAP_KINDS
from .._random import as_seed_sequence
from .._typing import ArrayLike, FloatArray, RandomState
from .._validation import as_rows, check_finite, only_numbers, readonly, refuse_curves
from ._queries import QueryMixin
from ._store import Store
from ._updates import UpdateMixin


class AdaptiveMahalanobisIndex(QueryMixin, UpdateMixin):
    r"""Distances to many points under a metric that changes, safe for questions that depend on earlier answers.

    .. math:: d^2(x, y) = (x - y)^\top A (x - y) = \lVert U (x - y) \rVert^2, \qquad A = U^\top U

    The index keeps L = `n_sketches` independent sketches :math:`S_l U (x_i - c)` of every point, k = `n_components`
    numbers each; c, the mean of the fitted points, drops out of every difference. An answer is the median of
    :math:`\lVert S_l U (x_i - x) \rVert^2` over a fresh random subset of `sample_size` sketches, so that no answer
    tells which directions a fixed sketch gets wrong. A change of a point, or of the metric by a matrix of low rank,
    changes the sketches without forming them again.

    Parameters
    ----------
    metric_factor : array-like of shape (m, n_features), optional
        U. By default the identity: squared Euclidean distances. For a fitted scatter pass
        ``scatter.whitener_.whiten(numpy.eye(p)).T``. (It is not the Cholesky factor of a covariance, called `factor`.)
    n_components : int, default=256
        Numbers k that a sketch keeps of a point, at most min(m, n_features): the relative standard deviation of one
        sketched squared distance is :math:`\sqrt{2/k}` for Gaussian maps.
    n_sketches : int, default=10
        Sketches L.
    sample_size : int, default=5
        Sketches that one answer takes, at most `n_sketches`.
    kind : {"gaussian", "rademacher", "sparse", "srht"}, default="gaussian"
        Law of the random maps.
    random_state : int, RandomState, Generator or None, default=None
        Source of the maps and of the samples of sketches. Two indexes with the same int, points and metric hold the
        same sketches, whichever updates led there, up to rounding and to a shift that is common to all points of a
        sketch; after `refresh`, up to rounding.

    Attributes
    ----------
    ids_ : ndarray of shape (n_points,)
        Identifiers of the points, in the order in which `query` answers: 0 to n - 1 after `fit`; `insert` gives new
        ones and `delete` moves the last into the gap.
    n_points_ : int
        Points held.
    points_ : ndarray of shape (n_points, n_features)
        The points in the order of `ids_`: a read-only view that later updates change.
    metric_factor_ : ndarray of shape (m, n_features) or None
        U: a read-only view that later updates change; None while it is the identity. Reading it forms the
        array, also of an identity that was changed.
    memory_bytes_ : int
        Bytes of all arrays of the index, room for further points included.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    TypeError
        By `fit`: for a whitener or a scatter in the place of its array.
    ValueError
        By `fit`: for NaN or infinity, a metric factor of the wrong shape, a parameter out of range, or `n_components`
        above min(m, n_features), where exact distances are cheaper.

    Notes
    -----
    Cost of each operation in multiply-adds, for n points, U of m rows, L sketches of k numbers, r of them sampled, and
    q points asked about or changed (for the identity, m is p and every product with U costs nothing):

    ==================  ============================================================================
    operation           cost
    ==================  ============================================================================
    fit, refresh        O(L k p (m + n)) for dense maps; "srht": O(L p m log m) and the lesser of
                        O(L n k p) and O(n p m + L n m log m); "sparse": with s = min(k, 8) for log m;
                        for the identity changed by rank t and z entries: O(L k (p t + z)) for O(L k p m)
    update_metric       O(t (n p + L n k + L k p + L k m)) for rank t, and O(m p) once in 16 of them
    update_metric_rows  O(n z + L k z + L n k q) for q rows that hold z nonzeros
    update_point        O(L k p), or as for rows in `fit`
    insert              O(q L k p), or as for rows in `fit`
    delete              O(q (p + L k)) moved, no products
    query               O(q r k (p + n))
    query_pair          O(r k)
    query_nearest       O(r k (p + n)) and O(c m p) for c candidates
    sample_exact        O(r k (p + n)) and O(m p) for each draw
    exact               O(n m p); O(n (p t + z)) for the identity changed by rank t and z entries
    ==================  ============================================================================

    Memory: (n + 1) p numbers for the points and c, L n k for their sketches, L k p for the folded maps :math:`S_l U`
    and, for dense maps, L k m for the maps, all in the dtype of the fitted points: float32 when `fit` gets float32,
    else float64. U takes m p float64 numbers. The identity takes none: its changes are kept, as 2 p numbers for each
    rank and 2 for each entry of a sparse row, until they would fill as many or `metric_factor_` is read. `insert`
    doubles the room for points when it is full, `refresh` holds the sketches twice.

    Rows pass through "srht" and "sparse" maps in their fast time where that is cheaper than the folded maps, an
    addition counted as 5 and 20 multiply-adds: for the identity when k exceeds about 5 log2 m and 160.

    What the counts protect against, when questions depend on earlier answers, is said in the notes of `query`;
    `failure_probability` gives the rate of errors for questions that do not.

    References
    ----------
    .. [1] Qin, L., Reddy, A. and Song, Z. (2023). Online adaptive Mahalanobis distance estimation. arXiv 2309.01030.
       :doi:`10.48550/arXiv.2309.01030`
    .. [2] Cherapanamjeri, Y. and Nelson, J. (2020). On adaptive distance estimation. Advances in Neural Information
       Processing Systems 33, 11178-11190. :doi:`10.48550/arXiv.2010.11252`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import AdaptiveMahalanobisIndex
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 64))
    >>> index = AdaptiveMahalanobisIndex(n_components=32, random_state=0).fit(X)
    >>> index.query(X[3]).shape
    (200,)
    >>> u, v = np.eye(64)[0], 2.0 * np.eye(64)[0]  # the first column now counts three times as much
    >>> index.update_metric(u, v).metric_factor_[0, 0]
    np.float64(3.0)
    >>> new = index.insert(X[3] + 0.01)
    >>> new, index.delete([0, 1]).n_points_
    (200, 199)
    """

    def __init__(
        self,
        metric_factor: ArrayLike | None = None,
        *,
        n_components: int = 256,
        n_sketches: int = 10,
        sample_size: int = 5,
        kind: str = "gaussian",
        random_state: RandomState = None,
    ):
        self.metric_factor = metric_factor
        self.n_components = n_components
        self.n_sketches = n_sketches
        self.sample_size = sample_size
        self.kind = kind
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Store points, draw the maps, and sketch.

        Parameters
        ----------
        X : array-like of shape (n_points, n_features)
            The points; they get the identifiers 0 to n_points - 1. They are copied.
        y : None
            Ignored.

        Returns
        -------
        self : AdaptiveMahalanobisIndex
            The fitted index.

        Raises
        ------
        ValueError
            See the class.
        """
        refuse_curves(X, type(self).__name__)
        with only_numbers(X):
            rows = validate_data(
                self, X, dtype=(np.float64, np.float32), order="C", ensure_all_finite=False, copy=True
            )
        check_finite(rows, "X", getattr(self, "feature_names_in_", None))
        U = self._factor_of(rows.shape[1])
        n_components, n_sketches, sample_size = self._sizes(rows.shape[1] if U is None else min(U.shape))
        self._store = Store(
            rows,
            U,
            kind=self.kind,
            n_components=n_components,
            n_sketches=n_sketches,
            sample_size=sample_size,
            seeds=as_seed_sequence(self.random_state),
        )
        return self

    def _factor_of(self, p: int) -> FloatArray | None:
        """Return an own finite float64 copy of the metric factor."""
        if self.metric_factor is None:
            return None
        if hasattr(self.metric_factor, "whiten") or hasattr(self.metric_factor, "whitener_"):
            given = "whitener" if hasattr(self.metric_factor, "whiten") else "scatter.whitener_"
            raise TypeError(
                f"metric_factor is a {type(self.metric_factor).__name__}, and shall be the array U: pass "
                f"{given}.whiten(numpy.eye({p})).T."
            )
        if sparse.issparse(self.metric_factor):
            raise ValueError("metric_factor is sparse: pass metric_factor.toarray().")
        U = as_rows(self.metric_factor, name="metric_factor")
        if U.shape[1] != p:
            raise ValueError(
                f"metric_factor has {U.shape[1]} columns, but X has {p}: U (m, {p}) acts on points, A = U'U."
            )
        check_finite(U, "metric_factor")
        return np.array(U, dtype=np.float64, order="C")

    def _sizes(self, limit: int) -> tuple[int, int, int]:
        """Return the three counts, or say which is out of range; `limit` is min(m, p)."""
        if self.kind not in MAP_KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, MAP_KINDS))}, got {self.kind!r}.")
        counts = []
        for name in ("n_components", "n_sketches", "sample_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}.")
            counts.append(int(value))
        n_components, n_sketches, sample_size = counts
        if n_components > limit:
            raise ValueError(
                f"n_components = {n_components} exceeds min(m, n_features) = {limit}: a sketch longer than what it "
                "sketches only adds noise. Exact distances are cheaper here: fmahal.cdist(..., factor=...) or "
                "scipy.spatial.distance.cdist on X @ U.T."
            )
        if sample_size > n_sketches:
            raise ValueError(
                f"sample_size = {sample_size} exceeds n_sketches = {n_sketches}: an answer samples without replacement."
            )
        return n_components, n_sketches, sample_size

    # ---------------------------------------------------------------- what it holds

    @property
    def ids_(self) -> np.ndarray:
        """Identifiers of the points in the order in which `query` answers."""
        return self._held("ids_").ids.copy()

    @property
    def n_points_(self) -> int:
        """Points held."""
        return self._held("n_points_").n

    @property
    def points_(self) -> FloatArray:
        """The points in the order of `ids_`, read-only."""
        return readonly(self._held("points_").points)

    @property
    def metric_factor_(self) -> FloatArray | None:
        """U as it is now, read-only; None while it is the identity."""
        U = self._held("metric_factor_").factor
        return None if U is None else readonly(U)

    @property
    def memory_bytes_(self) -> int:
        """Bytes of all arrays of the index."""
        return self._held("memory_bytes_").nbytes

    def _held(self, name: str) -> Store:
        check_is_fitted(
            self, "_store", msg=f"This %(name)s has no {name} yet: call fit first."
        )  # an AttributeError too
        return self._store
