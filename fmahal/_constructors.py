"""The `from_` methods of `Whitener`: matrices and factors of every kind, checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from . import _factorize as _make
from ._structures import Sequential, Structure
from ._typing import ArrayLike, Outside
from ._validation import as_rows, check_finite

if TYPE_CHECKING:
    import scipy.stats

Self = TypeVar("Self", bound="Constructors")


class Constructors:
    """Class methods that make a whitener; mixed into `Whitener`."""

    __slots__ = ()

    def __init__(self, structure: Structure, outside: Outside = "ignore"):
        raise NotImplementedError

    @classmethod
    def from_covariance(
        cls: type[Self],
        covariance: ArrayLike,
        *,
        n_samples: int | None = None,
        scale: ArrayLike | None = None,
        rtol: float | None = None,
        noise: float | None = None,
        outside: Outside = "ignore",
    ) -> Self:
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
        rtol : float, optional
            Share of the largest eigenvalue of the correlation matrix below which one counts as zero; default
            ``max(n_samples, p, 16) * eps``.
        noise : float, optional
            Squared standardised residual up to which a row counts as inside the subspace.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Returns
        -------
        whitener : Whitener
            Of the covariance described.

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
        return cls(_make.from_covariance(covariance, n_samples, scale, noise, rtol), outside)

    @classmethod
    def from_precision(cls: type[Self], precision: ArrayLike, *, outside: Outside = "ignore") -> Self:
        r"""Whitener of a precision matrix :math:`\Sigma^{-1}`, which is not inverted.

        Directions of zero precision add nothing to the distance, whatever `outside` says of the rest.

        Parameters
        ----------
        precision : array-like of shape (p, p)
            Symmetric, positive semi-definite.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Returns
        -------
        whitener : Whitener
            Of the covariance described.

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
        cls: type[Self], factor: ArrayLike, *, n_samples: int | None = None, outside: Outside = "ignore"
    ) -> Self:
        r"""Whitener of the lower triangular factor L of a covariance, :math:`\Sigma = L L^\top`.

        Parameters
        ----------
        factor : array-like of shape (p, p)
            Lower triangular. A factor U of a *metric* A = U'U is not this factor.
        n_samples : int, optional
            Rows behind the estimate, for the rank rule.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Returns
        -------
        whitener : Whitener
            Of the covariance described.

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
    def from_modified_cholesky(cls: type[Self], T: ArrayLike, var: ArrayLike) -> Self:
        r"""Whitener of a modified Cholesky factorisation, :math:`\Sigma^{-1} = T^\top D^{-1} T`.

        Parameters
        ----------
        T : array-like of shape (p, p) or (p, k)
            Unit lower triangular; or, with k < p columns, the coefficients of a banded factor: row j holds
            :math:`\phi_{j,j-1} \dots \phi_{j,j-k}`, the *negatives* of the subdiagonals of T, zero padded.
        var : array-like of shape (p,)
            Innovation variances, the diagonal of D, positive.

        Returns
        -------
        whitener : Whitener
            Of the covariance described.

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
    def from_sequential(cls: type[Self], U: ArrayLike, X: ArrayLike, var: ArrayLike) -> Self:
        r"""Whitener of an implicit modified Cholesky factor for p > m: :math:`\phi_{jk} = x_k^\top u_j`, k < j.

        Parameters
        ----------
        U : array-like of shape (p, m)
            Row j solves the dual regression of variable j on its predecessors.
        X : array-like of shape (p, m)
            Row k is column k of the m fitted rows, centred: the transpose of the data.
        var : array-like of shape (p,)
            Innovation variances, positive.

        Returns
        -------
        whitener : Whitener
            Of the covariance described.

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
        cls: type[Self],
        w: ArrayLike,
        V: ArrayLike,
        ridge: float = 0.0,
        *,
        rtol: float | None = None,
        scale: ArrayLike | None = None,
        noise: float | None = None,
        outside: Outside = "ignore",
    ) -> Self:
        r"""Whitener of :math:`\Sigma = D (V \mathrm{diag}(w) V^\top + \rho I) D` from r eigenpairs.

        Parameters
        ----------
        w : array-like of shape (r,)
            Eigenvalues without the ridge, in any order; above minus the ridge, non-negative without one.
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

        Returns
        -------
        whitener : Whitener
            Of the covariance described.

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
    def from_scipy(
        cls: type[Self], covariance: scipy.stats.Covariance, *, outside: Outside = "ignore"
    ) -> Self:
        """Whitener of a `scipy.stats.Covariance` object, of any of its representations.

        Parameters
        ----------
        covariance : scipy.stats.Covariance
            A covariance object.
        outside : {"ignore", "inf", "raise"}, default="ignore"
            See `Whitener`.

        Returns
        -------
        whitener : Whitener
            Of the covariance described.

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
