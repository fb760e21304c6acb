"""`Whitener`: the value object between a scatter matrix and everything that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _factorize as _make
from ._random import as_generator
from ._structures import Sequential, Sketch, Structure, Triangular
from ._typing import ArrayLike, FloatArray, Outside, RandomState
from ._validation import as_rows, check_finite
from .exceptions import OutsideSubspaceError

if TYPE_CHECKING:
    import scipy.stats

_OUTSIDE = ("ignore", "inf", "raise")


class Whitener:
    r"""Linear operator that whitens: an immutable record of a scatter matrix with its cheapest algorithm.

    A whitener holds :math:`W` (rank x p) with :math:`W^\top W = \Sigma^{-1}`, so that the squared Mahalanobis
    distance of a centred row is :math:`d^2(x) = \lVert W x \rVert^2`. No inverse and no p x p array is formed
    unless the structure is one. Make one with a ``from_`` method; the constructor is not for users.

    All methods take **centred** rows: the location belongs to the estimator.

    Attributes
    ----------
    kind : {"triangular", "banded", "spectral", "sequential", "sketched"}
        Structure, which decides memory and time (table below).
    shape : tuple of int
        (rank, p); for a sketch (k, p).
    rank : int
        Dimension of the subspace on which the distance is defined.
    outside : {"ignore", "inf", "raise"}
        What `sqnorm` does with the part of a row off that subspace.
    logdet : float
        Log-determinant of the covariance, on its range when it is singular.
    condition_number : float
        Condition number of the covariance with unit diagonal (spectral: on its own scale): exact up to 400
        columns, an estimate by order of magnitude above.

    Notes
    -----
    ============ ======================= ======== =====================
    kind         made by                 memory   `sqnorm` of n rows
    ============ ======================= ======== =====================
    triangular   covariance, Cholesky    p^2      n p^2
    banded       (T, D), k subdiagonals  p k      n p k
    spectral     r eigenpairs + ridge    p r      n p r
    sequential   implicit (T, D), m rows 2 p m    n p m
    sketched     `sketch(k)`             k p      n k p
    ============ ======================= ======== =====================

    Examples
    --------
    >>> import numpy as np
    >>> from fmahal import Whitener
    >>> w = Whitener.from_covariance([[4.0, 0.0], [0.0, 1.0]])
    >>> w
    Whitener(triangular, 2 x 2, rank 2, condition number 1)
    >>> w.sqnorm([[2.0, 1.0]])
    array([2.])
    """

    __slots__ = ("_condition", "_structure", "outside")

    _structure: Structure
    outside: Outside

    def __init__(self, structure: Structure, outside: Outside = "ignore"):
        if outside not in _OUTSIDE:
            raise ValueError(f"outside must be one of {_OUTSIDE}, got {outside!r}.")
        object.__setattr__(self, "_structure", structure)
        object.__setattr__(self, "outside", outside)
        object.__setattr__(self, "_condition", None)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Whitener is immutable; make a new one instead of setting {name!r}.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Whitener is immutable.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._structure, self.outside)

    def __repr__(self) -> str:
        rank, p = self.shape
        text = f"Whitener({self.kind}, {p} x {p}, rank {rank}, condition number {self.condition_number:.3g}"
        return text + (f", outside={self.outside!r})" if self.outside != "ignore" else ")")

    # ---------------------------------------------------------------- construction

    @classmethod
    def from_covariance(
        cls,
        covariance: ArrayLike,
        *,
        n_samples: int | None = None,
        scale: ArrayLike | None = None,
        noise: float | None = None,
        outside: Outside = "ignore",
    ) -> Whitener:
        r"""Whitener of a covariance matrix :math:`\Sigma`.

        The correlation matrix is factorised by Cholesky; only when one of its squared pivots falls below
        ``max(n_samples, p) * eps`` an eigendecomposition decides the rank, and the whitener lives on the range.

        Parameters
        ----------
        covariance : array-like of shape (p, p)
            Symmetric, positive semi-definite.
        n_samples : int, optional
            Rows behind the estimate, for the rank rule.
        scale : array-like of shape (p,), optional
            Units of the columns, positive; by default the standard deviations, and for a column of zero
            variance the largest of them.
        noise : float, optional
            Squared standardised residual up to which a row counts as inside the subspace.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Raises
        ------
        NotPositiveDefiniteError
            If an eigenvalue of the correlation matrix is negative beyond rounding.

        Notes
        -----
        O(p^3 / 3) time, O(p^2) memory.

        Examples
        --------
        >>> from fmahal import Whitener
        >>> Whitener.from_covariance([[1.0, 1.0], [1.0, 1.0]]).rank
        1
        """
        return cls(_make.from_covariance(covariance, n_samples, scale, noise), outside)

    @classmethod
    def from_precision(cls, precision: ArrayLike, *, outside: Outside = "ignore") -> Whitener:
        r"""Whitener of a precision matrix :math:`\Sigma^{-1}`, which is not inverted.

        Directions of zero precision add nothing to the distance, whatever `outside` says of the rest.

        Parameters
        ----------
        precision : array-like of shape (p, p)
            Symmetric, positive semi-definite.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Raises
        ------
        NotPositiveDefiniteError
            If an eigenvalue is negative beyond rounding.

        Notes
        -----
        O(p^3 / 3) time, O(p^2) memory.

        Examples
        --------
        >>> from fmahal import Whitener
        >>> Whitener.from_precision([[0.25, 0.0], [0.0, 1.0]]).sqnorm([[2.0, 1.0]])
        array([2.])
        """
        return cls(_make.from_precision(precision), outside)

    @classmethod
    def from_cholesky(
        cls, factor: ArrayLike, *, n_samples: int | None = None, outside: Outside = "ignore"
    ) -> Whitener:
        r"""Whitener of the lower triangular factor L of a covariance, :math:`\Sigma = L L^\top`.

        Parameters
        ----------
        factor : array-like of shape (p, p)
            Lower triangular. A factor U of a *metric* A = U'U is not this factor.
        n_samples : int, optional
            Rows behind the estimate, for the rank rule.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Notes
        -----
        O(p^2) when the factor has full rank.

        Examples
        --------
        >>> from fmahal import Whitener
        >>> Whitener.from_cholesky([[2.0, 0.0], [0.0, 1.0]]).sqnorm([[2.0, 1.0]])
        array([2.])
        """
        return cls(_make.from_cholesky(factor, n_samples), outside)

    @classmethod
    def from_modified_cholesky(cls, T: ArrayLike, var: ArrayLike) -> Whitener:
        r"""Whitener of a modified Cholesky factorisation, :math:`\Sigma^{-1} = T^\top D^{-1} T`.

        Parameters
        ----------
        T : array-like of shape (p, p) or (p, k)
            Unit lower triangular; or, with k < p columns, the coefficients of a banded factor: row j holds
            :math:`\phi_{j,j-1} \dots \phi_{j,j-k}`, the *negatives* of the subdiagonals of T, zero padded.
        var : array-like of shape (p,)
            Innovation variances, the diagonal of D, positive.

        Notes
        -----
        Banded: O(p k) memory, O(n p k) for n distances [1]_.

        References
        ----------
        .. [1] Pourahmadi (1999), Joint mean-covariance models with applications to longitudinal data.
           Biometrika 86, 677-690. :doi:`10.1093/biomet/86.3.677`

        Examples
        --------
        >>> from fmahal import Whitener
        >>> w = Whitener.from_modified_cholesky([[0.0], [0.5], [0.5]], [1.0, 0.75, 0.75])  # AR(1)
        >>> w.kind, w.covariance.round(6).tolist()[0]
        ('banded', [1.0, 0.5, 0.25])
        """
        return cls(_make.from_modified_cholesky(T, var))

    @classmethod
    def from_sequential(cls, U: ArrayLike, X: ArrayLike, var: ArrayLike) -> Whitener:
        r"""Whitener of an implicit modified Cholesky factor for p > m: :math:`\phi_{jk} = x_k^\top u_j`, k < j.

        Parameters
        ----------
        U : array-like of shape (p, m)
            Row j solves the dual regression of variable j on its predecessors.
        X : array-like of shape (p, m)
            Row k is column k of the m fitted rows, centred: the transpose of the data.
        var : array-like of shape (p,)
            Innovation variances, positive.

        Notes
        -----
        2 p m numbers of memory, O(n p m) for n distances: no p x p array exists.

        Examples
        --------
        >>> from fmahal import Whitener
        >>> w = Whitener.from_sequential([[0.0], [0.5]], [[1.0], [1.0]], [1.0, 0.75])
        >>> w.precision.round(6).tolist()
        [[1.333333, -0.666667], [-0.666667, 1.333333]]
        """
        columns = as_rows(X, name="X").astype(np.float64)
        dual = as_rows(U, name="U", n_features=columns.shape[1]).astype(np.float64)
        if dual.shape != columns.shape:
            raise ValueError(f"U and X must have one shape (p, m), got {dual.shape} and {columns.shape}.")
        check_finite(dual, "U")
        check_finite(columns, "X")
        return cls(Sequential(dual, columns, np.sqrt(_make.positive(var, "var", dual.shape[0]))))

    @classmethod
    def from_eigh(
        cls,
        w: ArrayLike,
        V: ArrayLike,
        ridge: float = 0.0,
        *,
        rtol: float | None = None,
        scale: ArrayLike | None = None,
        noise: float | None = None,
        outside: Outside = "ignore",
    ) -> Whitener:
        r"""Whitener of :math:`\Sigma = D (V \mathrm{diag}(w) V^\top + \rho I) D` from r eigenpairs.

        Parameters
        ----------
        w : array-like of shape (r,)
            Eigenvalues without the ridge, in any order, non-negative.
        V : array-like of shape (p, r)
            Orthonormal columns.
        ridge : float, default=0.0
            :math:`\rho`. Positive: full rank p. Zero: the rank is the number of w above ``rtol * max(w)``.
        rtol : float, optional
            Default ``max(p, r) * eps``.
        scale : array-like of shape (p,), optional
            Diagonal of D; None is the identity.
        noise : float, optional
            Squared standardised residual up to which a row counts as inside the span; default
            ``rtol * max(w)`` plus the eigenvalues cut.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Notes
        -----
        O(p r) memory, O(n p r) for n distances.

        Examples
        --------
        >>> from fmahal import Whitener
        >>> w = Whitener.from_eigh([3.0], [[1.0], [0.0]], ridge=1.0)
        >>> w.sqnorm([[2.0, 1.0]])
        array([2.])
        """
        return cls(_make.from_eigh(w, V, ridge, rtol, scale, noise), outside)

    @classmethod
    def from_scipy(cls, covariance: scipy.stats.Covariance, *, outside: Outside = "ignore") -> Whitener:
        """Whitener of a `scipy.stats.Covariance` object, of any of its representations.

        Examples
        --------
        >>> from scipy import stats
        >>> from fmahal import Whitener
        >>> Whitener.from_scipy(stats.Covariance.from_diagonal([4.0, 1.0])).sqnorm([[2.0, 1.0]])
        array([2.])
        """
        dense = getattr(covariance, "covariance", None)
        if dense is None:
            raise ValueError(
                f"from_scipy takes a scipy.stats.Covariance object, got {type(covariance).__name__}; "
                "for a matrix use from_covariance."
            )
        return cls.from_covariance(dense, outside=outside)

    # ---------------------------------------------------------------- facts

    @property
    def kind(self) -> str:
        """Name of the structure."""
        return self._structure.kind

    @property
    def shape(self) -> tuple[int, int]:
        """(rank, p)."""
        return self._structure.shape

    @property
    def rank(self) -> int:
        """Dimension of the whitened rows."""
        return self._structure.shape[0]

    @property
    def logdet(self) -> float:
        """Log-determinant of the covariance, on its range when it is singular."""
        return self._structure.logdet

    @property
    def condition_number(self) -> float:
        """Condition number of the covariance; computed once, O(p^3) up to 400 columns, else O(p^2)."""
        if self._condition is None:
            object.__setattr__(self, "_condition", self._structure.condition_number)
        return self._condition  # type: ignore[return-value]

    @property
    def covariance(self) -> FloatArray:
        """Dense covariance matrix (p, p), made on each access; DenseSizeError when memory cannot hold it."""
        return self._structure.covariance()

    @property
    def precision(self) -> FloatArray:
        """Dense precision matrix (p, p), made on each access; DenseSizeError when memory cannot hold it."""
        return self._structure.precision()

    # ---------------------------------------------------------------- work

    def whiten(self, X: ArrayLike) -> FloatArray:
        """Whitened rows W x, (n, rank), of centred rows (n, p); float32 in, float32 out."""
        rows = self._rows(X)
        self._check_inside(rows)
        return self._finish(self._structure.whiten(rows), rows, "X")

    def color(self, Z: ArrayLike) -> FloatArray:
        """Rows (n, p) of which `whiten` gives Z (n, rank): the inverse of `whiten` on the subspace."""
        rows = as_rows(Z, name="Z", n_features=self.rank)
        return self._finish(self._structure.color(rows.astype(np.float64, copy=False)), rows, "Z")

    def adjoint(self, Z: ArrayLike) -> FloatArray:
        """Rows W'z, (n, p), of rows Z (n, rank)."""
        rows = as_rows(Z, name="Z", n_features=self.rank)
        return self._finish(self._structure.adjoint(rows.astype(np.float64, copy=False)), rows, "Z")

    def precision_dot(self, X: ArrayLike) -> FloatArray:
        """Centred rows times the precision matrix, (n, p), without forming it; the cost of whitening twice."""
        rows = self._rows(X)
        return self._finish(self._structure.adjoint(self._structure.whiten(rows)), rows, "X")

    def sqnorm(self, X: ArrayLike, out: FloatArray | None = None) -> FloatArray:
        r"""Squared distances :math:`\lVert W x \rVert^2` of centred rows, never negative.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Centred rows.
        out : ndarray of shape (n,), optional
            Where to write; float32 for float32 rows, else float64.

        Returns
        -------
        d2 : ndarray of shape (n,)
            Squared distances.

        Raises
        ------
        ValueError
            If X holds NaN or infinity; the message names rows and columns.
        OutsideSubspaceError
            With ``outside="raise"``, if a row has a part off the subspace.
        """
        return self._sqnorm(self._rows(X), None, out)

    def _sqnorm(self, rows: FloatArray, location: FloatArray | None, out: FloatArray | None) -> FloatArray:
        """`sqnorm` of checked rows, subtracting a location on the way."""
        n = rows.shape[0]
        if out is None:
            out = np.empty(n, dtype=rows.dtype)
        elif out.shape != (n,) or out.dtype != rows.dtype or not out.flags.writeable:
            raise ValueError(
                f"out must be a writeable {rows.dtype} array of shape ({n},), got {out.dtype} {out.shape}."
            )
        self._structure.sqnorm(rows, location, out)
        if not np.isfinite(out.sum(dtype=np.float64)):
            check_finite(rows, "X")  # the input is searched only once the output shows that it must be
        if self.outside != "ignore":
            self._mark_outside(rows, location, out)
        return out

    def residual(self, X: ArrayLike) -> FloatArray:
        """Euclidean norm of the part of centred rows off the subspace, in standardised units; 0 at full rank."""
        rows = self._rows(X)
        return self._finish(self._structure.residual(rows, None)[0], rows, "X")

    def off_subspace(self, X: ArrayLike) -> np.ndarray:
        """Boolean mask (n,) of centred rows that leave the subspace by more than rounding."""
        return self._structure.residual(self._rows(X), None)[1]

    def scaled(self, factor: float) -> Whitener:
        """Whitener of `factor` times the covariance; distances shrink by its square root."""
        if not (np.isfinite(factor) and factor > 0):
            raise ValueError(f"factor must be positive and finite, got {factor!r}.")
        return type(self)(self._structure.scaled(float(factor)), self.outside)

    def sketch(self, k: int, *, random_state: RandomState = None) -> Whitener:
        r"""Whitener followed by a Gaussian map to k dimensions, folded into one k x p array.

        Squared distances keep their expectation and get a relative standard deviation of :math:`\sqrt{2/k}`.

        Parameters
        ----------
        k : int
            Number of rows of the map; below the rank.
        random_state : int, RandomState, Generator or None
            Source of the map.

        Notes
        -----
        O(k) whitened rows to make; O(n k p) for n distances.

        Examples
        --------
        >>> import numpy as np
        >>> from fmahal import Whitener
        >>> w = Whitener.from_covariance(np.eye(50)).sketch(10, random_state=0)
        >>> w.shape
        (10, 50)
        """
        if not 1 <= k < self.rank:
            raise ValueError(
                f"k must lie in 1 ... {self.rank - 1}, got {k}: above the rank exact is cheaper."
            )
        if isinstance(self._structure, Sketch):
            raise ValueError("This whitener is a sketch already; sketch the original one.")
        S = as_generator(random_state).standard_normal((k, self.rank)) / np.sqrt(k)
        return type(self)(Sketch(self._structure.adjoint(S), self.logdet, self.rank))

    def to_scipy(self) -> scipy.stats.Covariance:
        """`scipy.stats.Covariance` object of the same matrix; dense, O(p^2) memory, O(p^3) time."""
        from scipy.stats import Covariance

        if isinstance(self._structure, Triangular) and self._structure.inverse:
            return Covariance.from_cholesky(self._structure.matrix)
        w, V = np.linalg.eigh(self.covariance)
        w[: w.size - min(self.rank, w.size)] = 0.0
        return Covariance.from_eigendecomposition((w, V))

    # ---------------------------------------------------------------- inside

    def _rows(self, X: ArrayLike) -> FloatArray:
        return as_rows(X, name="X", n_features=self.shape[1])

    @staticmethod
    def _finish(result: FloatArray, rows: FloatArray, name: str) -> FloatArray:
        if not np.isfinite(result.sum(dtype=np.float64)):
            check_finite(rows, name)
        return result.astype(rows.dtype, copy=False)

    def _check_inside(self, rows: FloatArray, location: FloatArray | None = None) -> None:
        if self.outside == "raise":
            residual, off = self._structure.residual(rows, location)
            if off.any():
                i = int(np.flatnonzero(off)[0])
                raise OutsideSubspaceError(
                    f"{int(off.sum())} rows have a part off the {self.rank}-dimensional subspace of the "
                    f"covariance, first row {i} with residual {residual[i]:.3g} standard units. The distance is "
                    'not defined there: use outside="ignore" for the part inside, or "inf".'
                )

    def _mark_outside(self, rows: FloatArray, location: FloatArray | None, out: FloatArray) -> None:
        if self.outside == "raise":
            self._check_inside(rows, location)
        else:
            out[self._structure.residual(rows, location)[1]] = np.inf


__all__ = ["Whitener"]
