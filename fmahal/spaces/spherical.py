"""Principal directions that outlying rows do not turn: those of the rows' unit vectors from their spatial median."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._structures.base import row_blocks
from .._typing import ArrayLike, FloatArray
from .._validation import as_rows, check_finite, readonly, refuse_curves
from ..exceptions import RankDeficientError
from ..scatter import spatial_median
from ..scatter.robust_scale import KINDS, row_scales

_DTYPES = (np.float64, np.float32)
_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_AT_MEDIAN = 64 * _EPS  # of a row's and the median's lengths: nearer, the direction to the row is rounding
_SHARE = 0.95  # of the robust variance
_ROWS_EACH = 5  # rows that a scatter of the scores wants for each of them
_MOST = 10


class _Axes(NamedTuple):
    """Orthonormal directions in rows (r, p) and the scores of the training rows (r, n), in the unit of the fit."""

    directions: FloatArray
    scores: FloatArray


class SphericalPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Scores of rows on robust principal directions: those of the spatial signs.

    .. math:: u_i = \frac{x_i - m}{\lVert x_i - m \rVert}, \qquad
       \sum_i u_i u_i^\top = \sum_k \sigma_k\, e_k e_k^\top, \qquad
       \lambda_k = s^2\bigl(\langle x_1 - m, e_k \rangle, \dots, \langle x_n - m, e_k \rangle\bigr), \qquad
       z_k(x) = \langle x - m, e_k \rangle

    with the spatial median m and a robust scale s. A row counts by its direction alone, however far it is. For an
    elliptical law the :math:`e_k` estimate the principal directions; their order is that of the :math:`\lambda_k`,
    so that a direction in which only outliers lie comes late.

    Parameters
    ----------
    n_components : int, float or None, default=None
        Number of directions K; a float between 0 and 1 is a share of the robust variance :math:`\sum_k \lambda_k`.
        None: the fewest directions with 95 % of it, but at most n / 5 of them, at most 10, and at least one, so that
        a robust scatter of the scores has rows enough.
    scale : {"qn", "sn", "tau", "mad"}, default="qn"
        The robust scale s, see `robust_scale`.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        The spatial median m.
    components_ : ndarray of shape (n_components_, n_features)
        Orthonormal directions, by falling robust variance; the largest entry of each is positive.
    eigenvalues_ : ndarray of shape (n_components_,)
        Robust variances :math:`\lambda_k` of the scores, in squared units.
    explained_variance_ratio_ : ndarray of shape (n_components_,)
        Their shares of the robust variance in all directions; 0 where that is 0.
    n_components_ : int
        K.
    rank_ : int
        Directions in which the rows vary, of which K are kept.
    n_samples_ : int
        Rows seen.
    n_features_in_ : int
        Columns seen.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when `X` has text column names.

    Raises
    ------
    ValueError
        For NaN, infinity, text, fewer than two rows, a parameter out of range, more directions than rows vary in, or
        variances beyond the range of floats.
    RankDeficientError
        When all rows are equal.

    See Also
    --------
    MinCovDet, MRCD : robust scatters for the scores.
    robust_location, robust_scale : its ingredients.

    Notes
    -----
    Equivariant under rotations and reflections (where the directions are unique), translations and a common change of
    unit; not under a unit for each column. Deterministic. Rows at the median have no direction and are left out of the
    sum.

    Far outliers move each :math:`u_i u_i^\top` of theirs by at most 2, whatever their distance, and the scale bounds
    what they add to :math:`\lambda_k` as long as they are fewer than half. Many in one and the same direction, oblique
    to the leading ones, do turn a direction by an angle that does not grow with their distance.

    *Law.* Directions that are estimated from the rows make scores of new rows a little larger and of training rows a
    little smaller than fixed directions do; for the directions of the signs the effect is small against what a
    robust scatter adds. ``null="auto"`` takes the law of the robust scatter for a fixed number of columns,
    `n_components_`.

    Directions are told apart from rounding by their :math:`\sigma_k`, relative to the largest one. A variance
    :math:`\lambda_k` is 0 when half of the rows have one and the same score.

    O(n p min(n, p)) time by way of the p x p matrix above or, for p > n, the n x n matrix of cosines between rows; no
    matrix of p x p elements is formed then. Three more arrays of the size of `X`.

    References
    ----------
    .. [1] Locantore, N., Marron, J. S., Simpson, D. G., Tripoli, N., Zhang, J. T. and Cohen, K. L. (1999). Robust
       principal component analysis for functional data. Test 8, 1-73. :doi:`10.1007/BF02595862`
    .. [2] Gervini, D. (2008). Robust functional estimation using the median and spherical principal components.
       Biometrika 95(3), 587-600. :doi:`10.1093/biomet/asn031`

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal.spaces.spherical import SphericalPCA
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 200)) * np.r_[9.0, 3.0, np.full(198, 0.1)]
    >>> X[:15] += 1e6 * rng.normal(size=(15, 200))
    >>> pca = SphericalPCA(n_components=2).fit(X)
    >>> np.abs(pca.components_[:, :2]).round(1)
    array([[1., 0.],
           [0., 1.]])
    >>> pca.transform(X).shape
    (60, 2)
    """

    fixed_space: ClassVar[bool] = False
    keeps_robust_law: ClassVar[bool] = True  # see Notes

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        scale: Literal["qn", "sn", "tau", "mad"] = "qn",
    ):
        self.n_components = n_components
        self.scale = scale

    def fit(self, X: ArrayLike, y: Any = None) -> SphericalPCA:
        """Find the spatial median, the directions of the signs and the robust variances along them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite rows; integers and booleans become float64.
        y : None
            Ignored.

        Returns
        -------
        self : SphericalPCA
            The fitted transformer.
        """
        self._check_parameters()
        refuse_curves(X, type(self).__name__)
        rows = validate_data(self, X, dtype=_DTYPES, order="C", ensure_all_finite=False, ensure_min_samples=2)
        check_finite(rows, "X", getattr(self, "feature_names_in_", None))
        rows = rows.astype(np.float64, copy=False)
        location, axes, unit = _spherical_axes(rows)
        variances = row_scales(readonly(np.ascontiguousarray(axes.scores)), self.scale)[1] ** 2
        order = np.argsort(-variances, kind="stable")
        variances = variances[order]
        K = self._number(variances, len(rows))
        total = float(variances.sum())
        kept = _in_units(variances[:K], unit)
        components = axes.directions[order[:K]]
        largest = np.abs(components).argmax(axis=1)
        components = components * np.sign(components[np.arange(K), largest])[:, None]
        self.location_ = location
        self.components_ = components
        self.eigenvalues_ = kept
        self.explained_variance_ratio_ = variances[:K] / total if total > 0 else np.zeros(K)
        self.n_components_ = K
        self.rank_ = len(variances)
        self.n_samples_ = len(rows)
        return self

    def _number(self, variances: FloatArray, n: int) -> int:
        """Return how many directions are kept."""
        r, wanted = variances.size, self.n_components
        if isinstance(wanted, Integral):
            if wanted > r:
                raise ValueError(
                    f"n_components={wanted} of SphericalPCA exceeds the number of directions in which the {n} rows "
                    f"vary, {r}. Usual causes: few rows, or rows that are repeated. Pass at most {r}, or None."
                )
            return int(wanted)
        share = _SHARE if wanted is None else float(wanted)
        summed = np.cumsum(variances)
        K = 1 + int(np.searchsorted(summed, share * summed[-1] * (1 - 8 * _EPS)))
        return max(1, min(K, n // _ROWS_EACH, _MOST)) if wanted is None else min(K, r)

    def transform(self, X: ArrayLike) -> FloatArray:
        """Return scores of rows on the directions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components_)
            Scores, in the units of the data; float32 for float32 rows.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.

        Notes
        -----
        O(n p K) time.
        """
        rows = self._rows(X)
        out = np.empty((len(rows), self.n_components_), dtype=rows.dtype)
        for block, centred in self._blocks(rows):
            out[block] = centred @ self.components_.T
        return out

    def inverse_transform(self, Z: ArrayLike) -> FloatArray:
        """Return the rows in the plane of the directions whose scores are `Z`.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components_)
            Scores.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows, in the units of the data; float32 for float32 scores.

        Raises
        ------
        ValueError
            For NaN, infinity or another number of columns.

        Notes
        -----
        O(n p K) time.
        """
        check_is_fitted(self)
        scores = as_rows(Z, name="Z", n_features=self.n_components_)
        check_finite(scores, "Z")
        return (scores.astype(np.float64) @ self.components_ + self.location_).astype(
            scores.dtype, copy=False
        )

    def residual(self, X: ArrayLike) -> FloatArray:
        """Return how far rows lie off the plane of the directions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with the columns of the fit.

        Returns
        -------
        residual : ndarray of shape (n_samples,)
            Euclidean norms of what the scores do not see, not squared, in the units of the data; float32 for float32
            rows.

        Raises
        ------
        ValueError
            For NaN or infinity; the message names rows and columns.

        Notes
        -----
        O(n p K) time. An outlier may be near in its scores and far here.
        """
        rows = self._rows(X)
        out = np.empty(len(rows), dtype=rows.dtype)
        for block, centred in self._blocks(rows):
            off = centred - (centred @ self.components_.T) @ self.components_
            out[block] = np.linalg.norm(off, axis=1)
        return out

    def _rows(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=_DTYPES, order="C", ensure_all_finite=False)
        check_finite(rows, "X", getattr(self, "feature_names_in_", None))
        return rows

    def _blocks(self, rows: FloatArray) -> Any:
        for block in row_blocks(*rows.shape):
            yield block, np.subtract(rows[block], self.location_, dtype=np.float64)

    def _check_parameters(self) -> None:
        wanted = self.n_components
        if isinstance(wanted, Integral) and not isinstance(wanted, bool):
            good = wanted >= 1
        else:
            good = wanted is None or (
                isinstance(wanted, Real) and not isinstance(wanted, bool) and 0 < wanted < 1
            )
        if not good:
            raise ValueError(
                "n_components of SphericalPCA must be None, a whole number of at least 1 or a share of the variance "
                f"between 0 and 1, got {wanted!r}."
            )
        if self.scale not in KINDS:
            raise ValueError(
                f"scale of SphericalPCA must be one of {', '.join(map(repr, KINDS))}, got {self.scale!r}."
            )

    @property
    def _n_features_out(self) -> int:
        """Number of scores, for `get_feature_names_out`."""
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _in_units(variances: FloatArray, unit: float) -> FloatArray:
    """Return variances in squared units of the data; a ValueError where floats have no room for them."""
    with np.errstate(over="ignore", under="ignore"):
        found = (variances * unit) * unit  # unit**2 alone may overflow
    if np.isfinite(found).all() and not ((found < _TINY) & (variances > 0)).any():
        return found
    raise ValueError(
        f"SphericalPCA: the entries of X are up to {2 * unit:.2g}, and variances of the scores, in squared units, "
        "exceed the range of floats. Bring the rows to other units first, for example "
        f"2.0**{-round(np.log2(unit))} * X."
    )


def _spherical_axes(rows: FloatArray) -> tuple[FloatArray, _Axes, float]:
    """Return the spatial median, the directions of the signs with the scores of the rows, and the unit of those."""
    largest = float(np.abs(rows).max(initial=0.0))
    unit = 2.0 ** np.floor(np.log2(largest)) if largest > 0 else 1.0  # exact, and no square overflows
    X = rows / unit
    location = spatial_median(X)
    centred = X - location
    length = np.linalg.norm(centred, axis=1)
    away = length > _AT_MEDIAN * (np.linalg.norm(X, axis=1) + np.linalg.norm(location))
    if not away.any():
        raise RankDeficientError(
            f"All {len(rows)} rows of SphericalPCA are equal: there is no direction in which they vary. Pass rows that "
            "differ."
        )
    signs = centred[away] / length[away, None]
    # What rounding of the centring leaves of a sign, squared, in all of them.
    noise = float(np.sum((_AT_MEDIAN * np.linalg.norm(X[away], axis=1) / length[away]) ** 2))
    directions = _directions(signs, noise)
    return location * unit, _Axes(directions, (centred @ directions.T).T), unit


def _directions(signs: FloatArray, noise: float) -> FloatArray:
    """Return orthonormal eigenvectors, in rows, of the sum of the signs' squares, the largest first."""
    m, p = signs.shape
    dual = p > m
    values, vectors = linalg.eigh(signs @ signs.T if dual else signs.T @ signs, check_finite=False)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > max(10 * max(m, p) * _EPS * values[0], noise)
    kept[0] = True
    if not dual:
        return np.ascontiguousarray(vectors[:, kept].T)
    # Through the cosines the small ones are orthogonal to a part of the digits only; QR keeps their order.
    raw = (signs.T @ vectors[:, kept]) / np.sqrt(values[kept])
    return np.ascontiguousarray(linalg.qr(raw, mode="economic", check_finite=False)[0].T)
