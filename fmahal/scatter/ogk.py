"""The orthogonalised Gnanadesikan-Kettenring estimator: robust scales of sums and differences of columns."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from scipy.special import gammaincinv

from .._kernels import scales as kernels
from .._registry import scatters
from .._typing import ArrayLike, FloatArray
from .._validation import check_dense_size, readonly
from ..whitener import Whitener
from ._flat import flat_columns, warn_flat
from ._mcd_factors import consistency_factor
from ._moments import EPS, second_moments
from .base import BaseScatter
from .robust_scale import medians, row_scales

Scale: TypeAlias = Literal["qn", "tau", "mad"] | Callable[[FloatArray], float]
_PAIRS = {"qn": kernels.qn_pairs, "tau": kernels.tau_pairs, "mad": kernels.mad_pairs}


def _applies(n: int, p: int) -> str | None:
    if n < 2 * (p + 1):
        return f"needs at least 2 (p + 1) rows (n = {n}, p = {p})"
    return None


def _chi2(level: float, p: int) -> float:
    return float(2.0 * gammaincinv(0.5 * p, level))


class _Scales:
    """Scales of variables in rows and of all their pairs, by a kernel or by a function of the user."""

    def __init__(self, kind: Scale):
        self.kind = kind

    def rows(self, Zt: FloatArray) -> tuple[FloatArray, FloatArray]:
        if isinstance(self.kind, str):
            return row_scales(readonly(Zt), self.kind)
        return medians(Zt), np.array([self._one(z) for z in Zt])

    def pairs(self, Zt: FloatArray) -> FloatArray:
        p = Zt.shape[0]
        out = np.eye(p)
        if isinstance(self.kind, str):
            _PAIRS[self.kind](readonly(Zt), out)
            np.fill_diagonal(out, 1.0)
            return out
        for j in range(p):
            for k in range(j):
                plus, minus = self._one(Zt[j] + Zt[k]), self._one(Zt[j] - Zt[k])
                out[j, k] = out[k, j] = 0.25 * (plus - minus) * (plus + minus)
        return out

    def _one(self, z: FloatArray) -> float:
        assert callable(self.kind)
        value = self.kind(z)
        if not (isinstance(value, Real) and 0 <= float(value) < np.inf):
            raise ValueError(
                f"The function passed as scale returned {value!r} for {z.size} values; it must return a finite number, "
                "not negative, for a vector."
            )
        return float(value)


class _Components:
    """Centred columns turned step by step into robust components, and the way back.

    Attributes
    ----------
    Z : ndarray of shape (r, n)
        The rows in the components.
    back : ndarray of shape (p, r)
        Maps components to centred columns.
    location, scale : ndarray of shape (r,)
        Of the components.
    inside : ndarray of shape (n,)
        Mask of the rows that share the values of what has scale 0.
    exact : bool
        Whether anything had scale 0.
    """

    def __init__(self, columns: FloatArray, scale: FloatArray, scales: _Scales):
        p, n = columns.shape
        self.inside: np.ndarray = np.ones(n, dtype=bool)
        self.Z, self.scales = columns, scales
        self.back: FloatArray = np.eye(p)
        self.location: FloatArray = np.zeros(p)
        self.scale: FloatArray = scale
        self.exact = not scale.all()
        self._agree(columns[scale == 0] == 0)
        self._keep(scale > 0)

    def rotate(self) -> None:
        """Standardise, rotate to the eigenvectors of the pairwise robust correlations, and measure again.

        Components whose scale is rounding leave: what half of the rows have in common needs no scale.
        """
        Z = self.Z / self.scale[:, None]
        _, vectors = np.linalg.eigh(self.scales.pairs(Z))
        self.Z = np.ascontiguousarray(vectors.T @ Z)
        self.back = (self.back * self.scale) @ vectors
        self.location, self.scale = self.scales.rows(self.Z)
        rounding = 64.0 * max(self.back.shape[0], 16) * EPS  # of sums of p entries that are of scale 1
        flat = self.scale <= rounding
        if flat.any():
            size = np.maximum(np.sqrt(np.einsum("ij,ij->j", self.Z, self.Z)), 1.0)
            off = np.abs(self.Z[flat] - self.location[flat, None])
            self._agree(off <= 4.0 * rounding * size)
            self._keep(~flat)
            self.exact = True

    def _agree(self, on: np.ndarray) -> None:
        """Keep to the rows on hyperplanes, (k, n), the fullest first, as long as more than half of the rows remain."""
        shares = on.sum(axis=1)
        for share in np.unique(shares)[::-1]:
            inside = self.inside & on[shares == share].all(axis=0)
            if 2 * inside.sum() <= inside.size:
                return
            self.inside = inside

    def _keep(self, live: np.ndarray) -> None:
        self.Z, self.back = self.Z[live], self.back[:, live]
        self.location, self.scale = self.location[live], self.scale[live]

    def d2(self) -> FloatArray:
        """Squared distances of the rows in the components, (n,)."""
        total = np.zeros(self.inside.size)
        for z, m, s in zip(self.Z, self.location, self.scale):
            total += ((z - m) / s) ** 2
        return total


@scatters.register("ogk", "Orthogonalised pairwise robust scales, robust", order=80, applies=_applies)
class OGK(BaseScatter):
    r"""Robust covariance from robust scales of sums and differences of columns, orthogonalised and reweighted.

    .. math:: U_{jk} = \tfrac14 \bigl( s(z_j + z_k)^2 - s(z_j - z_k)^2 \bigr), \quad U = E \Lambda E^\top, \quad
       \Sigma_{\text{raw}} = c\, A \operatorname{diag}(s(y_1)^2, \dots, s(y_p)^2) A^\top, \quad A = D E, \quad
       y = E^\top z

    with the columns z = D^{-1} x of scale 1, :math:`D = \operatorname{diag} s(x_j)`, all of it repeated on the
    components y when `n_iter` is 2.

    Parameters
    ----------
    scale : {"qn", "tau", "mad"} or callable, default="qn"
        The univariate scale s, see `robust_scale`; or a function that takes a vector and returns its scale, which
        should not depend on the signs of the values about their median. "tau" is R's default and by far the fastest.
        The location of the components is the one of tau, else their median.
    n_iter : int, default=2
        How often to orthogonalise.
    reweight : float or None, default=0.9
        Level of the hard rejection: rows with raw squared distance at most
        :math:`\operatorname{med}(d^2)\, \chi^2_{p,\text{level}} / \chi^2_{p, 1/2}` give mean and covariance. None
        keeps the raw estimate.
    correction : {"asymptotic"} or None, default="asymptotic"
        Factors that make both estimates consistent at the normal: :math:`c = \operatorname{med}(d^2) / \chi^2_{p,1/2}`
        for the raw covariance, and level / P(:math:`\chi^2_{p+2} \le \chi^2_{p,\text{level}}`) for the reweighted one.
        None uses neither: the numbers of R's robustbase. (rrcov multiplies the raw covariance alone.)
    store_precision : bool, default=True
        Whether a precision matrix is kept once it has been asked for.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The mean of the rows in `support_`; without reweighting, `raw_location_`.
    covariance_ : ndarray of shape (n_features, n_features)
        Their covariance (divisor: their number) times `factor_`; without reweighting, `raw_covariance_`.
    raw_location_ : ndarray of shape (n_features,)
        The location of the components, brought back.
    raw_covariance_ : ndarray of shape (n_features, n_features)
        The orthogonalised covariance times `raw_factor_`, in squared units.
    factor_, raw_factor_ : float
        The consistency factors inside `covariance_` and `raw_covariance_`; 1 with ``correction=None``.
    support_ : ndarray of shape (n_samples,)
        Mask of the rows that produced `covariance_`.
    weights_ : ndarray of shape (n_samples,)
        Mask of the rows whose final squared distance is within :math:`\chi^2_{p,\text{level}}`.
    d2_, dist_ : ndarray of shape (n_samples,)
        Final squared distances of the training rows.
    raw_d2_ : ndarray of shape (n_samples,)
        Squared distances to the raw estimate.
    precision_ : ndarray of shape (n_features, n_features) or None
        Inverse of `covariance_`, formed on first use; None if not `store_precision`.
    whitener_ : Whitener
        The whitening operator.
    rank_ : int
        Dimension of the subspace on which distances are defined.
    n_samples_ : int
        Rows seen.
    ddof_ : int
        0: the divisor is the number of rows in `support_`.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN, infinity, text, fewer than two rows or a parameter out of range.
    DenseSizeError
        When a p x p array does not fit into memory.

    Warns
    -----
    ExactFitWarning
        When a column, or a component, has scale 0: more than half of the rows agree on it, exactly. They alone give
        the covariance, distances are taken inside their subspace, and `residual` measures what lies outside. (Where
        no half of the rows agrees on all such columns, the fullest ones count; the others take no part in the choice
        of rows.)
    RankDeficientWarning
        When the rows that are left span fewer dimensions than there are columns, for example for p > n.

    See Also
    --------
    MRCD : a robust covariance that is regular for more columns than rows.

    Notes
    -----
    O(p^2 n) time for "tau" and "mad", O(p^2 n log n) for "qn", each twice; O(n p + p^2) memory. Deterministic.
    Equivariant under translations, permutations of columns and a unit for each; not affine equivariant. A matrix of
    pairwise scales need not be positive definite; the orthogonalised one is [1]_.

    References
    ----------
    .. [1] Maronna, R. A. and Zamar, R. H. (2002). Robust estimates of location and dispersion for high-dimensional
       datasets. Technometrics 44, 307-317. :doi:`10.1198/004017002188618509`
    .. [2] Gnanadesikan, R. and Kettenring, J. R. (1972). Robust estimates, residuals, and outlier detection with
       multiresponse data. Biometrics 28, 81-124. :doi:`10.2307/2528963`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import OGK
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> X[:20] += 50.0
    >>> scatter = OGK().fit(X)
    >>> bool(scatter.mahalanobis(X)[:20].min() > 1000), bool(np.abs(scatter.location_).max() < 0.3)
    (True, True)
    """

    robust: ClassVar[bool] = True
    equivariances: ClassVar[frozenset[str]] = frozenset({"translation", "permutation", "scale", "columns"})
    scatter_kind: ClassVar[str] = "ogk"

    def __init__(
        self,
        *,
        scale: Scale = "qn",
        n_iter: int = 2,
        reweight: float | None = 0.9,
        correction: Literal["asymptotic"] | None = "asymptotic",
        store_precision: bool = True,
    ):
        self.scale = scale
        self.n_iter = n_iter
        self.reweight = reweight
        self.correction = correction
        self.store_precision = store_precision

    def fit(self, X: ArrayLike, y: Any = None) -> OGK:
        """Estimate location and covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        self : OGK
            The fitted estimator.
        """
        self._check_parameters()
        rows = self._training_rows(X)
        check_dense_size(rows.shape[1], "The matrix of pairwise scales")
        scales = _Scales(self.scale)
        columns = np.array(rows.T, dtype=np.float64, order="C")  # a copy, also of a single column
        centre, scale = scales.rows(columns)
        flat = flat_columns(centre, scale)
        middle = medians(columns)
        columns -= middle[:, None]
        components = _Components(columns, np.where(flat, 0.0, scale), scales)
        for _ in range(int(self.n_iter) if components.scale.size else 0):
            components.rotate()
        support = self._raw(middle, components)
        moments = self._finish(rows, support, components.scale.size)
        warn_flat(self, flat, components.inside, components.exact, moments, int(support.sum()))
        return self

    def _check_parameters(self) -> None:
        self._check_flags("store_precision")
        if not (callable(self.scale) or (isinstance(self.scale, str) and self.scale in _PAIRS)):
            raise ValueError(
                f'scale must be "qn", "tau", "mad" or a function of a vector, got {self.scale!r}.'
            )
        if isinstance(self.n_iter, bool) or not isinstance(self.n_iter, Integral) or self.n_iter < 1:
            raise ValueError(f"n_iter must be an integer, at least 1, got {self.n_iter!r}.")
        if self.reweight is not None and not (isinstance(self.reweight, Real) and 0 < self.reweight < 1):
            raise ValueError(f"reweight must be between 0 and 1, or None, got {self.reweight!r}.")
        if self.correction not in ("asymptotic", None):
            raise ValueError(f'correction must be "asymptotic" or None, got {self.correction!r}.')

    def _raw(self, middle: FloatArray, components: _Components) -> np.ndarray:
        """Set the raw estimate and return the mask of the rows to keep."""
        inside, rank = components.inside, components.scale.size
        d2 = components.d2()
        typical = float(np.median(d2[inside]))
        half = _chi2(0.5, rank) if rank else 1.0
        self.raw_factor_ = typical / half if self.correction and typical > 0 else 1.0
        self.raw_location_ = middle + components.back @ components.location
        tilted = components.back * components.scale
        self.raw_covariance_ = self.raw_factor_ * (tilted @ tilted.T)
        self.raw_d2_ = d2 / self.raw_factor_
        if self.reweight is None or rank == 0:
            return inside
        return inside & (d2 <= typical * (_chi2(float(self.reweight), rank) / half))

    def _finish(self, rows: FloatArray, support: np.ndarray, rank: int) -> Any:
        """Set the final estimate and return the moments behind it, None without reweighting."""
        n = rows.shape[0]
        self.factor_, moments = 1.0, None
        if self.reweight is None:
            self.support_ = np.ones(n, dtype=bool)
            whitener = Whitener.from_covariance(self.raw_covariance_, n_samples=n)
            self._store(self.raw_location_, whitener, n, covariance=self.raw_covariance_)
        else:
            self.support_ = support
            if self.correction and rank:
                self.factor_ = float(consistency_factor(rank, float(self.reweight)))
            moments = second_moments(rows[support], centred=True)
            whitener, covariance = moments.whitener(self.factor_)
            self._store(moments.location, whitener, n, covariance=covariance)
        self.d2_ = self.dist_ = self._distances(rows)
        level = _chi2(float(self.reweight), self.rank_) if self.reweight and self.rank_ else np.inf
        self.weights_ = self.d2_ <= level
        if self.whitener_.rank < rows.shape[1]:  # a row off the subspace is far whatever its distance inside
            self.weights_ &= ~self.whitener_.off_subspace(np.subtract(rows, self.location_, dtype=np.float64))
        return moments
