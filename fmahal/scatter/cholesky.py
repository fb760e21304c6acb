"""Modified Cholesky precision: every variable regressed on the variables before it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from .._kernels.regression import column_moments
from .._structures import Banded, Permuted, Sequential, Stacked, Structure
from .._typing import ArrayLike, FloatArray, RandomState
from .._validation import readonly
from ..exceptions import RankDeficientWarning
from ..whitener import Whitener
from . import _cholesky_engines as engines
from ._chain import Columns, Innovations, band_factor
from ._moments import check_overflow, column_scale, constant_columns, row_weights
from ._orders import chosen_orders
from .base import BaseScatter

Penalty = Literal["l2", "l1", "nested", "hierarchical", "cscs", "shrink"]


class ModifiedCholesky(BaseScatter):
    r"""Precision matrix from regressions of every variable on its predecessors: the modified Cholesky family.

    With columns in order, :math:`x_j = \sum_{k<j} \phi_{jk} x_k + e_j` and :math:`\mathrm{var}\, e_j = s_j^2`,

    .. math:: \Sigma^{-1} = T^\top D^{-1} T, \qquad d^2(x) = \sum_j e_j(x)^2 / s_j^2,

    where T is unit lower triangular with :math:`-\phi_{jk}` below the diagonal and D holds the :math:`s_j^2`:
    positive definite by construction, whatever is done to the coefficients [1]_ [2]_.

    Parameters
    ----------
    bandwidth : int, optional
        Regress each variable on its `bandwidth` nearest predecessors only [3]_; None: on all of them.
    penalty : {None, "l2", "l1", "nested", "hierarchical", "cscs", "shrink"}, default=None
        How the coefficients are regularised, on standardised columns (see `standardize`):

        - None: least squares.
        - "l2": :math:`|x_j - X_{<j}\phi|^2 / n + \alpha |\phi|^2`, one alpha for all rows; goes with `bandwidth`.
        - "l1": :math:`|x_j - X_{<j}\phi|^2 / (2n) + \alpha |\phi|_1` [2]_, scikit-learn's lasso row by row.
        - "nested": the nested lasso of [4]_; a bandwidth for each row, chosen by the data.
        - "hierarchical": the nested group penalty of [5]_; convex, a bandwidth for each row.
        - "cscs": convex in the whole factor [6]_: :math:`\mathrm{tr}(LSL^\top) - 2\sum\log L_{jj} +
          \alpha \sum_{k<j} |L_{jk}|`.
        - "shrink": the factor itself is shrunk, the idea of [7]_ (see Notes).
    alpha : float, default=0.0
        Strength. "shrink": a share in [0, 1].
    variance : {"auto", "mle", "unbiased", "loo"}, default="auto"
        Innovation variances: residual sum of squares over n; over n - 1 - effective degrees of freedom; or the
        mean squared leave-one-out residual :math:`e_i / (1 - h_{ii})` ("l1" and its kin: leverages of the active
        set). "auto": "mle" without a penalty, "loo" with one, which alone keeps :math:`d^2 / p` of *new* rows near
        1 when p >> n; for "hierarchical" and "cscs" the variances that the objective itself estimates.
    standardize : bool, default=True
        Bring columns to variance 1 (divisor n) inside, so that alpha has no units; the result is mapped back.
    order : {None, "bic", "rcm"} or array-like of shape (n_features,), optional
        Order of the variables: as given, greedy by BIC, reverse Cuthill-McKee on the strong correlations, or a
        permutation.
    n_orders : int, default=1
        Above 1: fit that many random orders and average, so that the order of the columns matters in law no more.
    average : {"precision", "factors"}, default="precision"
        What is averaged: the precisions (:math:`d^2` is the mean of the orders' :math:`d^2`), or T and D [8]_, which
        needs p x p arrays and p < n - 1.
    target : {"identity", "banded", "ar1"} or array-like of shape (n_features, n_features), default="identity"
        For "shrink": the T towards which T is shrunk.
    assume_centered : bool, default=False
        Take the mean to be zero.
    tol : float, default=1e-8
        Largest optimality (KKT) residual, relative, of the iterative penalties.
    max_iter : int, default=10000
        Largest number of their sweeps.
    n_jobs : int, optional
        Orders fitted at once, by threads.
    random_state : int, RandomState, Generator or None
        Source of the random orders.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Mean.
    whitener_ : Whitener
        "banded", "triangular" or "sequential" (p >= n - 1: no p x p array), in `order_`; "stacked" for several orders.
    T_ : scipy.sparse array, ndarray of shape (n_features, n_features), or None
        Unit lower triangular factor of the columns in `order_`: sparse when banded or sparse, None when
        sequential or averaged (see `coefficients`).
    innovation_variance_ : ndarray of shape (n_features,) or (n_orders, n_features)
        Diagonal of D, in squared units, in order.
    order_ : ndarray of shape (n_features,) or (n_orders, n_features)
        Column j of the ordered table is column ``order_[j]`` of X.
    bandwidth_ : int
        Largest distance of a predecessor with a coefficient.
    n_floored_ : int
        Variances lifted to 1e-10 of the marginal variance.
    effective_dof_ : float
        Effective number of coefficients, the sum of the traces of the hat matrices.
    kkt_ : float
        Optimality residual reached (0 for closed forms).
    n_iter_ : int
        Largest number of sweeps a row took (1 for closed forms).
    rank_, n_samples_, ddof_, n_features_in_, feature_names_in_
        As `BaseScatter`.

    Raises
    ------
    ValueError
        For p >= n with neither a penalty nor a bandwidth below n - 1, a bad alpha, bandwidth or order.

    See Also
    --------
    ModifiedCholeskyCV : chooses bandwidth or alpha.

    Notes
    -----
    ============================= ================== ===========
    form                          fit                memory
    ============================= ================== ===========
    bandwidth k                   O(n p k + p k^2)   O(p k)
    all predecessors, p < n - 1   O(n p^2)           O(p^2)
    "l2", p >= n - 1 (n x n form) O(p n^2)           2 p n
    "l1" and its kin              O(n p^2) a sweep   O(p^2)
    ============================= ================== ===========

    "shrink" solves :math:`\min_T (1-\alpha)\|T-\hat T\|_F^2 + \alpha\|T-T_0\|_F^2`, that is
    :math:`T = (1-\alpha)\hat T + \alpha T_0` with the least-squares :math:`\hat T` on standardised columns, and
    shrinks D, likewise, towards its mean. Of [7]_ only abstract and introduction were available: they confirm that
    the regularisation is put on the Cholesky factor instead of the precision; the form of the penalty, the order
    of the variables and the tuning rule are left open there as far as we can tell, and this is our reading.

    References
    ----------
    .. [1] Pourahmadi (1999), Biometrika 86, 677-690. :doi:`10.1093/biomet/86.3.677`
    .. [2] Huang, Liu, Pourahmadi and Liu (2006), Biometrika 93, 85-98. :doi:`10.1093/biomet/93.1.85`
    .. [3] Bickel and Levina (2008), Annals of Statistics 36, 199-227. :doi:`10.1214/009053607000000758`
    .. [4] Levina, Rothman and Zhu (2008), Annals of Applied Statistics 2, 245-263. :doi:`10.1214/07-AOAS139`
    .. [5] Yu and Bien (2017), Journal of Machine Learning Research 18(42), 1-60.
    .. [6] Khare, Oh, Rahman and Rajaratnam (2019), Machine Learning 108, 2061-2086. :doi:`10.1007/s10994-019-05810-5`
    .. [7] Dai, Pan and Liang (2022), Communications in Statistics: Case Studies, Data Analysis and Applications.
       :doi:`10.1080/23737484.2022.2107961`
    .. [8] Kang and Deng (2020), arXiv:1710.05163.

    Examples
    --------
    >>> from fmahal import ModifiedCholesky, datasets
    >>> X = datasets.make_ar1(50, 400, rho=0.6, random_state=0).data
    >>> fit = ModifiedCholesky(bandwidth=1).fit(X)
    >>> fit.whitener_.kind, fit.T_.nnz
    ('banded', 799)
    >>> float((fit.mahalanobis(X) / 400).mean().round(2))
    1.0
    """

    scatter_kind: ClassVar[str] = "modified-cholesky"
    equivariances: ClassVar[frozenset[str]] = frozenset({"translation", "scale", "columns"})

    def __init__(
        self,
        *,
        bandwidth: int | None = None,
        penalty: Penalty | None = None,
        alpha: float = 0.0,
        variance: str = "auto",
        standardize: bool = True,
        order: Any = None,
        n_orders: int = 1,
        average: str = "precision",
        target: Any = "identity",
        assume_centered: bool = False,
        tol: float = 1e-8,
        max_iter: int = 10_000,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ):
        self.bandwidth = bandwidth
        self.penalty = penalty
        self.alpha = alpha
        self.variance = variance
        self.standardize = standardize
        self.order = order
        self.n_orders = n_orders
        self.average = average
        self.target = target
        self.assume_centered = assume_centered
        self.tol = tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def T_(self) -> Any:
        """Unit lower triangular factor of the columns in `order_`; made on each access when banded."""
        self._check_fitted("T_")
        structure = self.whitener_._structure
        chain = structure.inner if isinstance(structure, Permuted) else structure
        return band_factor(chain.band) if isinstance(chain, Banded) else self._factor

    @property
    def regularized(self) -> bool:  # type: ignore[override]
        """Whether distances exist for more columns than rows: with a bandwidth or a penalty."""
        return self.bandwidth is not None or self.penalty not in (None, "shrink")

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> ModifiedCholesky:
        """Fit location, coefficients and innovation variances.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights of the rows; only their ratios matter. Leaving a row out leaves all its weight out.

        Returns
        -------
        self : ModifiedCholesky
            The fitted estimator.
        """
        rows = self._training_rows(X)
        self._check_flags("standardize", "assume_centered")
        weights = None
        if sample_weight is not None:
            weights = row_weights(sample_weight, rows.shape[0])
            rows, weights = rows[weights > 0], weights[weights > 0]
        plan = engines.Plan.of(self, *rows.shape)
        columns = self._columns(rows, weights)
        fits = self._fit_orders(columns, plan)
        self._keep(fits, columns, plan)
        constant = columns.constant
        if constant is not None and constant.any():
            names = self._names()
            labels = [str(names[j]) if names is not None else str(j) for j in np.flatnonzero(constant)[:5]]
            warnings.warn(
                f"ModifiedCholesky: constant columns {', '.join(labels)} (of {int(constant.sum())}): their "
                "innovation variance is a floor, 1e-10 of their squared magnitude; drop them.",
                RankDeficientWarning,
                stacklevel=2,
            )
        return self

    # ---------------------------------------------------------------- inside

    def _columns(self, rows: FloatArray, weights: FloatArray | None) -> Columns:
        """Location, scale and constant columns, from two passes over the table."""
        n, p = rows.shape
        weights = np.ones(n) if weights is None else weights * (n / weights.sum())
        location, square = np.empty(p), np.empty(p)
        column_moments(readonly(rows), readonly(weights), not self.assume_centered, location, square)
        check_overflow(square)
        sd = np.sqrt(square)
        constant = constant_columns(sd, location, n)
        units = column_scale(np.where(constant, 0.0, sd), location, constant)
        scale = units if self.standardize else np.ones(p)
        return Columns(rows, location, scale, np.sqrt(weights), not self.assume_centered, units, constant)

    def _fit_orders(self, columns: Columns, plan: engines.Plan) -> list[tuple[np.ndarray, Innovations]]:
        orders = chosen_orders(columns, self.order, self.n_orders, self.random_state)
        trivial = [np.array_equal(order, np.arange(order.size)) for order in orders]

        def one(order: np.ndarray, same: bool) -> tuple[np.ndarray, Innovations]:
            if same:
                return order, plan.fit(columns)
            return order, plan.fit(columns.reordered(order))

        if len(orders) == 1:
            return [one(orders[0], trivial[0])]
        return Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(one)(order, same) for order, same in zip(orders, trivial)
        )

    def _keep(self, fits: list[tuple[np.ndarray, Innovations]], columns: Columns, plan: engines.Plan) -> None:
        """Turn the regressions into one whitener and the fitted attributes."""
        n, p = columns.X.shape
        structures: list[Structure] = []
        variances, floored = [], 0
        for order, fit in fits:
            # only the scales matter here, not the table
            own = Columns(columns.X, columns.location, columns.scale[order], columns.root, columns.centred)
            own = replace(own, marginal=columns.units[order])
            var, low = plan.variances(fit, own)
            variances.append(var)
            floored += int(low.sum())
            inner = fit.build(np.sqrt(var))
            structures.append(inner if np.array_equal(order, np.arange(p)) else Permuted(inner, order))
        if len(fits) == 1:
            structure, self.order_, self.innovation_variance_ = structures[0], fits[0][0], variances[0]
            banded = isinstance(inner, Banded)  # then T_ is made of the structure when asked for
            self._factor = None if banded else fits[0][1].factor()
        else:
            self.order_ = np.array([order for order, _ in fits])
            self.innovation_variance_ = np.array(variances)
            self._factor = None
            structure = Stacked(tuple(structures))
            if self.average == "factors":
                structure = engines.mean_of_factors(fits, variances)
        self.bandwidth_ = max(fit.reach for _, fit in fits)
        self.effective_dof_ = float(np.mean([fit.dof.sum() for _, fit in fits]))
        self.n_floored_ = floored
        self.kkt_ = max(fit.kkt for _, fit in fits)
        self.n_iter_ = max(fit.n_iter for _, fit in fits)
        if not all(fit.converged for _, fit in fits):
            warnings.warn(
                f"ModifiedCholesky(penalty={self.penalty!r}) stopped after max_iter={self.max_iter} sweeps with KKT "
                f"residual {self.kkt_:.2g}, above tol={self.tol:g}. Raise max_iter or alpha, or drop columns.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self._store(columns.location, Whitener(structure), n)
        self.rank_ = p

    def coefficients(self, j: int) -> FloatArray:
        """Return the regression coefficients of ordered variable j on its predecessors, in data units.

        Parameters
        ----------
        j : int
            Position in `order_`.

        Returns
        -------
        phi : ndarray of shape (j,)
            Minus row j of T, left of the diagonal; O(j n) when the factor is implicit.

        Raises
        ------
        ValueError
            When several orders were averaged, or j is out of range.
        """
        check_is_fitted(self)
        if np.ndim(self.order_) == 2:
            raise ValueError("Several orders were averaged: there is no single factor.")
        if not 0 <= j < self.n_features_in_:
            raise ValueError(f"j must lie in 0 ... {self.n_features_in_ - 1}, got {j}.")
        T = self.T_
        if T is not None:
            return -(T[[j]].toarray()[0] if sparse.issparse(T) else T[j])[:j]
        structure = self.whitener_._structure
        chain = structure.inner if isinstance(structure, Permuted) else structure
        assert isinstance(chain, Sequential)
        return chain.columns[:j] @ chain.dual[j]

    def sequential_contributions(self, X: ArrayLike) -> FloatArray:
        r"""Split of each squared distance that the factor gives for free: :math:`e_j^2 / s_j^2` per variable.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_features)
            Non-negative, in the columns' own order; rows sum to the squared distance. Entry j is what variable j
            adds to the distance on the variables before it in `order_` (averaged over several orders).

        Raises
        ------
        ValueError
            For NaN or infinity.
        """
        Z = self.transform(X).astype(np.float64) ** 2
        p = self.n_features_in_
        out = np.zeros((Z.shape[0], p))
        if self.average == "factors" and np.ndim(self.order_) == 2:
            raise ValueError('average="factors" has no order of the variables; use average="precision".')
        for m, order in enumerate(np.atleast_2d(self.order_)):
            out[:, order] += Z[:, m * p : (m + 1) * p]
        return out

    def get_precision(self) -> FloatArray:
        """Return the precision matrix: a `scipy.sparse` array when the factor is banded or sparse, else dense.

        Returns
        -------
        precision : sparse array or ndarray of shape (n_features, n_features)
            T' D^-1 T in the columns' own order.
        """
        check_is_fitted(self)
        T = self.T_
        if not sparse.issparse(T):
            return super().get_precision()
        if self._precision is None:
            precision = (T.T @ sparse.diags_array(1.0 / self.innovation_variance_) @ T).tocsr()
            back = np.argsort(self.order_)
            self._precision = precision[back][:, back] if np.any(back != np.arange(back.size)) else precision
        return self._precision
