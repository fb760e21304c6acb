"""The minimum regularised covariance determinant estimator: robust scatter for any number of columns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.special import chdtri

from .._registry import scatters
from .._typing import ArrayLike, FloatArray
from ..exceptions import RankDeficientWarning
from ..whitener import Whitener
from ._blas import one_blas_thread
from ._mcd_factors import consistency_factor
from ._moments import Route
from ._mrcd_data import Columns, gram_and_starts, gram_starts
from ._mrcd_engine import GramEngine, PrimalEngine, Solution, search
from ._mrcd_fit import Embedding, constant_message, dense_whitener, embed, primal_starts, spectral_whitener
from .base import BaseScatter

_LEVEL = 0.975
_NARROW = 500  # rows or columns below which a second thread costs BLAS more than it gives


def _applies(n: int, p: int) -> str | None:
    return f"needs at least 4 rows (n = {n})" if n < 4 else None


@scatters.register("mrcd", "Regularised minimum covariance determinant, robust", order=65, applies=_applies)
class MRCD(BaseScatter):
    r"""Robust location and covariance for any number of columns: the MCD of regularised covariances.

    Over subsets H of h rows of the columns standardised by median and :math:`Q_n`, it minimises the determinant of

    .. math:: K(H) = \rho T + (1 - \rho)\, c\, S_H, \qquad \Sigma = D K D, \quad D = \operatorname{diag}(Q_n)

    with the target T, the covariance :math:`S_H` of the subset and the consistency factor c of the share h/n.

    Parameters
    ----------
    support_fraction : float, default=0.75
        Share of the rows in the subset, between 0.5 and 1; h is the next larger whole number of rows. At most
        n - h rows may be outliers.
    target : {"identity", "equicorrelation"}, default="identity"
        T: the identity, or one common correlation, the mean over pairs of columns of
        :math:`\sin(\tfrac{\pi}{2} r)` with Spearman's r.
    rho : "auto" or float, default="auto"
        Weight of the target, in (0, 1]. "auto" takes the least that keeps the condition number of K (relative to T)
        at `max_condition` over the initial subsets that can be kept that well conditioned, and at least 1e-6.
    max_condition : float, default=50
        Bound for ``rho="auto"``, above 1.
    gram : bool, default=False
        Whether `X` is a centred (n, n) Gram matrix in place of rows, see the notes.
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Mean of the subset.
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, in squared units; formed on first use when p > h. :math:`S_H` has divisor h - 1.
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse, formed on first use; None if not `store_precision`.
    raw_support_, support_ : ndarray of shape (n_samples_,), bool
        The h rows of the subset; there is no reweighting step, so that both are the same.
    n_support_ : int
        h.
    rho_ : float
        Weight of the target.
    target_ : float
        Common correlation of the target; 0 for the identity.
    scale_ : ndarray of shape (n_features,)
        D, the unit of each column; None if `gram`.
    consistency_ : float
        The factor c.
    objective_ : float
        Log-determinant of `covariance_`.
    d2_, dist_ : ndarray of shape (n_samples_,)
        Squared distances of the training rows.
    weights_ : ndarray of shape (n_samples_,), bool
        Rows with `d2_` below the 0.975 quantile of chi-square with p degrees of freedom.
    n_steps_ : int
        Concentration steps of the start that won.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        n_features; the rank of the Gram matrix if `gram`.
    n_samples_ : int
        Rows seen.
    ddof_ : int
        n - h + 1: the divisor of :math:`S_H` is n_samples_ - ddof_.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN, infinity, text, fewer than two rows, parameters out of range, or a Gram matrix that is not square,
        symmetric, centred and positive semi-definite.

    Warns
    -----
    RankDeficientWarning
        When columns are constant. Their unit is the magnitude of their value (the median unit of the other columns
        for a column of zeros), so that the covariance stays positive definite.

    See Also
    --------
    MinCovDet : without regularisation, for many more rows than columns.
    LedoitWolf : regularised, not robust.

    Notes
    -----
    Generalised concentration steps [1]_, under which the objective never increases, from six deterministic starts
    [2]_. The same data give the same answer always; it is translation, permutation and unit equivariant, and not
    affine equivariant. For p <= h the starts are those of the deterministic MCD (with the equicorrelation target, both
    in the coordinates that make the target the identity and in those of the columns). For p > h everything comes from
    inner products: five of those starts, restricted to the range of their shape matrix, and the rows nearest to the
    spatial median [3]_. A column whose :math:`Q_n` vanishes (half of its values tie) is scaled by the first
    positive quantile of its absolute deviations; no unit is ever compared with a fixed number.

    p <= h: O(n p^2 + n p log n) time a step, O(n p) memory. p > h: O(n^2 p) once, O(n h^2) a step and O(p h^2) at the
    end, memory for one and a half copies of `X`; no p x p array is formed unless `covariance_` is asked for. The
    equicorrelation target takes O(n p^2) time once; it is measured on all rows, so that outliers which move all
    columns alike raise it and hide behind it.

    `gram`: the space is the span of the rows, of dimension r, the rank of the Gram matrix, and the target is the
    identity times the median squared distance from the spatial median over r; columns are not standardised. A "row"
    is then the vector of inner products of a point with the n training points, centred like the Gram matrix:
    `location_`, `covariance_`, `mahalanobis` and `transform` refer to such rows, while `objective_` is the
    log-determinant in the space itself. What lies off the span of the training rows is not seen.

    References
    ----------
    .. [1] Boudt, K., Rousseeuw, P. J., Vanduffel, S. and Verdonck, T. (2020). The minimum regularized covariance
       determinant estimator. Statistics and Computing 30, 113-128. :doi:`10.1007/s11222-019-09869-x`
    .. [2] Hubert, M., Rousseeuw, P. J. and Verdonck, T. (2012). A deterministic algorithm for robust location and
       scatter. Journal of Computational and Graphical Statistics 21, 618-637. :doi:`10.1080/10618600.2012.672100`
    .. [3] Schreurs, J., Vranckx, I., Hubert, M., Suykens, J. A. K. and Rousseeuw, P. J. (2021). Outlier detection in
       non-elliptical data by kernel MRCD. Statistics and Computing 31, 66. :doi:`10.1007/s11222-021-10041-7`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import MRCD
    >>> X = np.random.default_rng(0).normal(size=(40, 100))
    >>> X[:8] += 5.0
    >>> scatter = MRCD().fit(X)
    >>> scatter.support_[:8].any(), scatter.n_support_
    (np.False_, 30)
    """

    robust: ClassVar[bool] = True
    regularized: ClassVar[bool] = True
    equivariances: ClassVar[frozenset[str]] = frozenset({"translation", "permutation", "scale", "columns"})
    scatter_kind: ClassVar[str] = "mrcd"
    _route: Route = None  # tests force one

    rho_: float
    scale_: FloatArray | None
    objective_: float
    d2_: FloatArray

    def __init__(
        self,
        *,
        support_fraction: float = 0.75,
        target: Literal["identity", "equicorrelation"] = "identity",
        rho: float | Literal["auto"] = "auto",
        max_condition: float = 50.0,
        gram: bool = False,
        store_precision: bool = True,
    ):
        self.support_fraction = support_fraction
        self.target = target
        self.rho = rho
        self.max_condition = max_condition
        self.gram = gram
        self.store_precision = store_precision

    def fit(self, X: ArrayLike, y: Any = None) -> MRCD:
        """Estimate location, covariance and the weight of the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two; a centred Gram matrix if `gram`.
        y : None
            Ignored.

        Returns
        -------
        self : MRCD
            The fitted estimator.
        """
        self._check_parameters()
        rows = self._training_rows(X)
        with one_blas_thread() if min(rows.shape) < _NARROW else nullcontext():
            if self.gram:
                self._fit_gram(rows)
            else:
                self._fit_rows(rows)
        return self

    # ---------------------------------------------------------------- two kinds of input

    def _fit_rows(self, X: FloatArray) -> None:
        n, p = X.shape
        h = self._subset_size(n)
        factor = consistency_factor(p, h / n)
        columns = Columns(X)
        self._warn_constant(columns)
        if self.target == "equicorrelation" and p > 1:
            columns.set_equicorrelation()
        engine: PrimalEngine | GramEngine
        finish: Callable[..., tuple[FloatArray, Whitener, FloatArray | None]]
        if (self._route or ("primal" if p <= h else "dual")) == "primal":
            Wt = np.concatenate(list(columns.targeted_blocks()))
            engine, starts = PrimalEngine(Wt, factor), primal_starts(Wt, h)
            if (
                columns.correlation != 0.0
            ):  # the target turns the axes, to which the starts are not indifferent
                starts += primal_starts(np.concatenate([block for _, block in columns.blocks()]), h)
            finish = dense_whitener
        else:
            gram, starts = gram_and_starts(columns, h)
            engine, finish = GramEngine(gram, p, factor), spectral_whitener
        best, rho = search(engine, starts, self._given_rho(), float(self.max_condition))
        d2 = engine.step(best.rows, rho, ddof=1)[0]
        del engine, starts
        location, whitener, covariance = finish(columns, best.rows, rho, factor)
        self._store(location, whitener, n, covariance=covariance, ddof=n - h + 1)
        self.target_, self.scale_ = columns.correlation, columns.scales
        self._record(best, rho, factor, d2, whitener.logdet, p)

    def _fit_gram(self, X: FloatArray) -> None:
        n = X.shape[0]
        h = self._subset_size(n)
        space: Embedding = embed(X)
        factor = consistency_factor(space.rank, h / n)
        engine = GramEngine(space.gram, space.rank, factor)
        best, rho = search(engine, gram_starts(space.gram, h), self._given_rho(), float(self.max_condition))
        d2, logdet = engine.step(best.rows, rho, ddof=1)
        location, whitener = space.whitener(best.rows, rho, factor)
        self._store(location, whitener, n, ddof=n - h + 1)
        self.target_, self.scale_ = 0.0, None
        self._record(best, rho, factor, d2, logdet + space.rank * math.log(space.unit), space.rank)

    def _record(
        self, best: Solution, rho: float, factor: float, d2: FloatArray, objective: float, p: int
    ) -> None:
        self.raw_support_ = np.zeros(d2.size, dtype=bool)
        self.raw_support_[best.rows] = True
        self.support_ = self.raw_support_.copy()
        self.n_support_ = int(best.rows.size)
        self.n_steps_ = best.n_steps
        self.rho_, self.consistency_ = rho, factor
        self.objective_ = float(objective)
        self.d2_ = d2
        self.weights_ = d2 < chdtri(p, 1.0 - _LEVEL)

    @property
    def dist_(self) -> FloatArray:
        """Squared distances of the training rows, (n_samples_,): `d2_` under scikit-learn's name."""
        self._check_fitted("dist_")
        return self.d2_

    # ---------------------------------------------------------------- parameters

    def _check_parameters(self) -> None:
        self._check_flags("gram", "store_precision")
        if self.target not in ("identity", "equicorrelation"):
            raise ValueError(f'target must be "identity" or "equicorrelation", got {self.target!r}.')
        if self.gram and self.target != "identity":
            raise ValueError(
                "A Gram matrix does not tell the columns apart: gram=True takes target='identity' only."
            )
        _check_range(self.support_fraction, "support_fraction", 0.5, 1.0, "in [0.5, 1]")
        if not (isinstance(self.rho, str) and self.rho == "auto"):
            _check_range(self.rho, "rho", math.ulp(0.0), 1.0, '"auto" or in (0, 1]')
        _check_range(self.max_condition, "max_condition", 1.0 + 1e-6, math.inf, "above 1")

    def _given_rho(self) -> float | None:
        return None if isinstance(self.rho, str) else float(self.rho)

    def _subset_size(self, n: int) -> int:
        """Return ceil(support_fraction n); a product by a rounding error above a whole number counts as that number."""
        h = math.ceil(float(self.support_fraction) * n * (1.0 - 1e-15))
        return min(max(h, 2), n)

    def _warn_constant(self, columns: Columns) -> None:
        if columns.constant.any():
            message = constant_message(type(self).__name__, columns.constant, self._names())
            warnings.warn(message, RankDeficientWarning, stacklevel=4)


def _check_range(value: Any, name: str, lowest: float, highest: float, words: str) -> None:
    if not (isinstance(value, Real) and lowest <= float(value) <= highest):  # NaN fails the comparison
        raise ValueError(f"{name} of MRCD must be {words}, got {value!r}.")
