"""A scatter behind a random map to few coordinates."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .._maps import MAP_KINDS, random_map
from .._random import as_seed
from .._structures.sketched import folded
from .._typing import ArrayLike, FloatArray, RandomState
from ..exceptions import ExactIsCheaperWarning
from ..whitener import Whitener
from ._facts import facts
from ._sketch_costs import sketch_costs_of
from ._sketch_dim import (
    check_count,
    check_delta,
    check_eps,
    chi_square_interval,
    johnson_lindenstrauss_dim,
)
from ._sketch_exact import ExactParts
from ._sketch_parts import (
    check_scatter,
    is_known,
    is_regularized,
    is_robust,
    kept_message,
    not_below_message,
    singular_values,
    whitener_of,
)
from ._sketch_rows import SketchedRows
from .base import BaseScatter

_REFUSED = {
    "sketched": "it has to be no sketch already. A map of a map adds its error and saves nothing: ask for fewer "
    "n_components of the inner one."
}
_EPS = 0.25  # a k of about two hundred for one row


class Sketched(ExactParts, SketchedRows, BaseScatter):
    r"""Any scatter, whose whitened rows pass through a random map S to k coordinates.

    .. math:: \hat d^2(x) = \lVert S W (x - m) \rVert^2, \qquad E_S\, \hat d^2 = d^2, \qquad
       \mathrm{sd}_S\, \hat d^2 \le \sqrt{2/k}\; d^2

    The k x p array S W is folded once, in the fit; from then on a row costs k p multiply-adds.

    Parameters
    ----------
    scatter : scatter estimator
        Ours or scikit-learn's; `FixedScatter` for a known covariance. A space goes in front:
        ``make_pipeline(space, Sketched(scatter))``.
    n_components : int, "auto" or None, default=None
        Number of coordinates k, below the rank of the scatter. None: `johnson_lindenstrauss_dim` of `n_points`, `eps`
        and `delta`. "auto": the same k, but where a fixed cost model predicts that exact distances of as many rows as
        were fitted are cheaper, those are used, with a warning. It prices distances alone: not the fit, nor the law of
        a detector, which loses the closed form of `EmpiricalCovariance` and is resampled by refits instead.
    eps : float, optional
        Largest relative error of a squared distance wanted, between 0 and 1; None is 0.25. Not together with a number
        of components, which decides it.
    delta : float, default=0.01
        Probability, over the maps, with which an error may be larger.
    kind : {"gaussian", "rademacher", "sparse", "srht"}, default="gaussian"
        Law of the map. Rows cost the same, as the map is folded. "gaussian" has the exact law of its errors, and
        `distance_interval`; the others are cheaper to draw.
    n_points : int, default=1
        Number of rows whose distances to the centre are to keep `eps` all at once.
    random_state : int, RandomState, Generator or None, default=None
        Source of the map.

    Attributes
    ----------
    scatter_ : object
        The fitted clone of `scatter`.
    location_ : ndarray of shape (n_features,)
        Its centre m.
    whitener_ : Whitener
        The folded map, of kind "sketched" and shape (k, n_features); the exact whitener where `is_sketched_` is False.
    is_sketched_ : bool
        False where "auto" found exact distances to be cheaper.
    n_components_ : int
        Number of coordinates k, the columns of `transform`.
    sketch_se_ : float
        Standard error of a squared distance over the maps, relative to it: :math:`\sqrt{2/k}` for a Gaussian map, an
        upper bound for the other kinds. 0 where exact.
    seed_ : int
        With ``random_state=seed_`` another fit draws the same map S of whitened coordinates. Where these have no basis
        of their own (an `EmpiricalCovariance` of fewer rows than columns: eigenvectors, each up to its sign), the same
        rows in another order may meet other columns of S: other sketched distances, of the same law.
    singular_values_ : ndarray of shape (n_components_,)
        Of S, in decreasing order; computed on first use.
    null_weights_ : ndarray of shape (n_components_,)
        Squared singular values: given the map, the squared distance of a normal row is the sum of independent
        chi-square variables of one degree of freedom with these weights. Only where location and covariance are known
        (`FixedScatter`).
    covariance_ : ndarray of shape (n_features, n_features)
        Of the scatter: the map does not enter.
    precision_ : ndarray of shape (n_features, n_features)
        :math:`W^\top S^\top S W`, of rank k: the matrix of the sketched distance.
    rank_ : int
        Rank of the scatter, not of the map.
    n_samples_, ddof_ : int
        Of the scatter.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    TypeError
        For a pipeline, a sketched scatter, a class, or an object that is no scatter.
    ValueError
        For a number of components that is not below the rank (exact distances are cheaper then), a parameter out of
        range, and what the scatter itself refuses.

    Warns
    -----
    ExactIsCheaperWarning
        With ``n_components="auto"``, where the exact whitener is kept; with both predicted costs.

    See Also
    --------
    johnson_lindenstrauss_dim : the number of coordinates for an error.

    Notes
    -----
    The fit costs that of the scatter and k whitened rows, O(k p^2) for a triangular whitener, O(k p r) for r
    eigenpairs, O(k p n) for a sequential one, and O(k p) memory: no p x p array is formed that the scatter does not
    hold. n rows are measured in O(n k p). That gains on O(n p^2) where n is large and k far below p; it gains nothing
    on r eigenpairs with r <= k.

    float32 rows are centred and multiplied in float64, in blocks, and give float32 distances: their rounding, 6e-8, is
    far below the sketch's own error for any k.

    What follows the map: `mahalanobis`, `transform`, `inverse_transform`, `precision_dot`, `get_precision`,
    contributions. What does not: `covariance_`, `error_norm`, `score` (the likelihood of the scatter, exact), and
    `residual` with the part off the subspace, which no sketch sees; `outside` other than "ignore" therefore costs as
    much as an exact distance. Squared distances of clean rows have no chi-square law given the map: their law is that
    of `null_weights_`, or is resampled with the map held fixed: ``null="auto"`` then fits the sketch 10 to 100 times
    from the start, also of a scatter whose exact distances are resampled from sums in a fraction of that time.

    Outliers: squared distances of clean rows have a relative spread of about :math:`\sqrt{2/p}`, p the rank, to which
    the map adds :math:`\sqrt{2/k}`, which is more. To be flagged, a row has to exceed the others by about
    :math:`z \sqrt{2/p + 2/k}`, relatively, with z = 2.3 at the level 0.01: :math:`\sqrt{1 + p/k}` times as much as
    with exact distances. A sketch ranks neighbours that are far apart, answers queries and screens for gross outliers;
    judge single rows by exact distances.

    A fixed seed keeps distances under the transformations in `equivariances` only, and where the whitened coordinates
    have a basis of their own (see `seed_`); a permutation of the columns, say, meets other columns of the map.

    References
    ----------
    .. [1] Johnson, W. B. and Lindenstrauss, J. (1984). Extensions of Lipschitz mappings into a Hilbert space.
       Contemporary Mathematics 26, 189-206. :doi:`10.1090/conm/026/737400`
    .. [2] Qin, L., Reddy, A. and Song, Z. (2023). Online adaptive Mahalanobis distance estimation. IEEE International
       Conference on Big Data. :doi:`10.48550/arXiv.2309.01030`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import LedoitWolf
    >>> from fmahal.scatter import Sketched
    >>> X = np.random.default_rng(0).normal(size=(60, 2000))
    >>> scatter = Sketched(LedoitWolf(), n_components=400, random_state=0).fit(X)
    >>> scatter.transform(X).shape, scatter.rank_, round(scatter.sketch_se_, 3)
    ((60, 400), 2000, 0.071)
    >>> error = scatter.mahalanobis(X) / scatter.scatter_.mahalanobis(X) - 1
    >>> bool(abs(error).max() < 4 * scatter.sketch_se_)
    True
    """

    scatter_kind: ClassVar[str] = "sketched"

    scatter_: Any
    is_sketched_: bool
    n_components_: int
    sketch_se_: float
    seed_: int

    def __init__(
        self,
        scatter: Any,
        *,
        n_components: int | Literal["auto"] | None = None,
        eps: float | None = None,
        delta: float = 0.01,
        kind: Literal["gaussian", "rademacher", "sparse", "srht"] = "gaussian",
        n_points: int = 1,
        random_state: RandomState = None,
    ):
        self.scatter = scatter
        self.n_components = n_components
        self.eps = eps
        self.delta = delta
        self.kind = kind
        self.n_points = n_points
        self.random_state = random_state

    # ---------------------------------------------------------------- facts of the scatter

    @property
    def robust(self) -> bool:  # type: ignore[override]
        """Whether the scatter is robust."""
        return is_robust(self.scatter)

    @property
    def regularized(self) -> bool:  # type: ignore[override]
        """Whether distances of the scatter exist for more columns than rows."""
        return is_regularized(self.scatter)

    @property
    def equivariances(self) -> frozenset[str]:  # type: ignore[override]
        """Transformations of all rows that leave squared distances, by the map of one seed, as they are."""
        return frozenset({"translation", "scale"}) & getattr(self.scatter, "equivariances", frozenset())

    # ---------------------------------------------------------------- fit

    def fit(self, X: ArrayLike, y: Any = None) -> Sketched:
        """Fit the scatter, draw the map and fold both into one array.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored.

        Returns
        -------
        self : Sketched
            The fitted estimator.
        """
        check_scatter(self.scatter, "Sketched", "make_pipeline(space, Sketched(scatter))", _REFUSED)
        k, seed = self._wanted(), as_seed(self.random_state)
        rows = self._training_rows(X, min_samples=1)
        self._check_below(k, rows.shape[1], "n_features")  # before the cost of a fit
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = clone(self.scatter).fit(X if hasattr(X, "columns") else rows)
        for warning in caught:  # from the line that called this fit
            warnings.warn(warning.message, warning.category, stacklevel=2)
        exact = whitener_of(fitted)
        ours = facts(fitted) if isinstance(fitted, BaseScatter) else None
        n, ddof = (len(rows), 0) if ours is None else (ours.n_samples, ours.ddof)
        self._check_below(k, exact.rank, "the rank of the scatter")
        sketched = self._pays(exact, k, len(rows))
        drawn = random_map(self.kind, k, exact.shape[0], seed) if sketched else None
        whitener = exact if drawn is None else Whitener(folded(exact._structure, drawn))
        self._store(np.asarray(fitted.location_), whitener, n, ddof=ddof)
        self.scatter_, self._exact, self._drawn, self._subspace = fitted, exact, drawn, None
        self.rank_, self.seed_, self.is_sketched_ = exact.rank, seed, sketched
        self.n_components_ = whitener.shape[0]
        self.sketch_se_ = float(np.sqrt(2.0 / k)) if sketched else 0.0
        self._singular_values: FloatArray | None = None
        return self

    def _wanted(self) -> int:
        """Return k after a check of all parameters."""
        if self.kind not in MAP_KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, MAP_KINDS))}, got {self.kind!r}.")
        eps = None if self.eps is None else check_eps(self.eps)
        if eps is not None and eps.ndim:
            raise ValueError(f"eps must be one number, got {self.eps!r}.")
        delta, n_points = check_delta(self.delta), check_count(self.n_points, "n_points")
        if self.n_components is None or (isinstance(self.n_components, str) and self.n_components == "auto"):
            return int(
                johnson_lindenstrauss_dim(n_points, _EPS if eps is None else eps, delta, kind=self.kind)
            )
        if isinstance(self.n_components, str):
            raise ValueError(
                f'n_components must be a positive integer, "auto" or None, got {self.n_components!r}.'
            )
        k = check_count(self.n_components, "n_components")
        if eps is not None:
            raise ValueError(
                f"n_components={k} decides the error, and eps={self.eps!r} was given too: pass one of them."
            )
        return k

    def _check_below(self, k: int, rank: int, what: str) -> None:
        """Raise a ValueError where k was demanded and no sketch of that size can pay."""
        if isinstance(self.n_components, str) or k < rank:
            return
        raise ValueError(not_below_message(self, k, rank, what))

    def _pays(self, exact: Whitener, k: int, n: int) -> bool:
        """Whether to sketch; a warning where that was left open and exact distances are cheaper."""
        if not isinstance(self.n_components, str):
            return True
        costs = sketch_costs_of(exact, n, k, kind=self.kind)
        if not costs.pays:
            warnings.warn(kept_message(exact, n, k, costs), ExactIsCheaperWarning, stacklevel=3)
        return bool(costs.pays)

    # ---------------------------------------------------------------- the map

    @property
    def singular_values_(self) -> FloatArray:
        """Singular values of S, (n_components_,), decreasing; O(k^2 rank) on first use."""
        self._check_fitted("singular_values_")
        if self._singular_values is None:
            self._singular_values = (
                np.ones(self.n_components_) if self._drawn is None else singular_values(self._drawn)
            )
        return self._singular_values

    @property
    def null_weights_(self) -> FloatArray:
        """Weights of the law of a normal row's squared distance given the map, (n_components_,)."""
        self._check_fitted("null_weights_")
        if not is_known(self.scatter_):
            raise AttributeError(
                "null_weights_ exist where location and covariance are known, Sketched(FixedScatter(location, "
                f"covariance=...)); those of {type(self.scatter_).__name__} are estimated, which changes the law."
            )
        if self._exact.shape[0] == self.rank_:
            return self.singular_values_**2
        folded_map = self.whitener_.adjoint(np.eye(self.n_components_))  # whitened coordinates are correlated
        gram = folded_map @ self._exact.covariance @ folded_map.T
        return np.maximum(np.linalg.eigvalsh(0.5 * (gram + gram.T))[::-1], 0.0)

    def distance_interval(self, X: ArrayLike, level: float = 0.95) -> FloatArray:
        r"""Confidence interval, over the maps, for the exact squared distance of each row.

        .. math:: \left[ \frac{k \hat d^2}{\chi^2_{k, (1 + \gamma)/2}},\;
           \frac{k \hat d^2}{\chi^2_{k, (1 - \gamma)/2}} \right]

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.
        level : float, default=0.95
            Probability :math:`\gamma`, over the maps, with which an interval holds the squared distance of its row by
            the fitted scatter, whose own sampling error is not part of it; each row on its own.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper ends, squared distances. Both are the distance itself where `is_sketched_` is False.

        Raises
        ------
        ValueError
            For another kind of map than "gaussian", whose errors have no exact law, and for a level out of range.

        Notes
        -----
        Exact in finite samples. O(n p k) time.
        """
        check_is_fitted(self)
        if not (np.ndim(level) == 0 and isinstance(level, float | np.floating) and 0 < level < 1):
            raise ValueError(f"level must be a number strictly between 0 and 1, got {level!r}.")
        if self._drawn is None:
            return np.repeat(self.mahalanobis(X)[:, None], 2, axis=1)
        if self._drawn.kind != "gaussian":
            raise ValueError(
                f'The errors of a map of kind {self._drawn.kind!r} have no exact law: fit with kind="gaussian" for '
                "intervals, or use sketch_se_, an upper bound of the standard error."
            )
        return chi_square_interval(self.mahalanobis(X), self.n_components_, float(level))
