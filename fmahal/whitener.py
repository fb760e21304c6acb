"""`Whitener`: the value object between a scatter matrix and everything that uses it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._deriving import Derivations
from ._structures import Structure
from ._structures.base import EXACT_CONDITION_COLUMNS
from ._typing import ArrayLike, FloatArray, Outside
from ._validation import as_rows, as_vector, check_finite
from .exceptions import OutsideSubspaceError

_OUTSIDE = ("ignore", "inf", "raise")


class Whitener(Derivations):
    r"""Linear operator that whitens: an immutable record of a scatter matrix with its cheapest algorithm.

    A whitener holds :math:`W` (rank x p) with :math:`W^\top W = \Sigma^{-1}`, so that the squared Mahalanobis
    distance of a centred row is :math:`d^2(x) = \lVert W x \rVert^2`. No inverse and no p x p array is formed
    unless the structure is one. Make one with a ``from_`` method; the constructor is not for users.

    All methods take **centred** rows: the location belongs to the estimator.

    Parameters
    ----------
    structure : Structure
        Representation, made by one of the ``from_`` methods.
    outside : {"ignore", "inf", "raise"}, default="ignore"
        What `sqnorm` does with the part of a row off the subspace of the distance.

    Attributes
    ----------
    kind : {"triangular", "banded", "spectral", "sequential", "sketched", "permuted", "stacked"}
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
        columns, above them an order of magnitude (one-norm or Lanczos estimate).

    Raises
    ------
    ValueError
        For an `outside` that is none of the three.
    AttributeError
        When an attribute is set or deleted: whiteners do not change.

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
    permuted     a structure, reordered  as it    as it
    stacked      the mean of m of them   m times  m times
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
    _condition: float | None

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
        p = self.shape[1]
        text = f"Whitener({self.kind}, {p} x {p}, rank {self.rank}"
        if (
            p <= EXACT_CONDITION_COLUMNS or self._condition is not None
        ):  # else it would cost more than a glance
            text += f", condition number {self.condition_number:.3g}"
        return text + (f", outside={self.outside!r})" if self.outside != "ignore" else ")")

    # ---------------------------------------------------------------- facts

    @property
    def kind(self) -> str:
        """Name of the structure."""
        return self._structure.kind

    @property
    def shape(self) -> tuple[int, int]:
        """Number of whitened coordinates (the rank, but for stacked and sketched ones) and of columns."""
        return self._structure.shape

    @property
    def rank(self) -> int:
        """Dimension of the subspace on which the distance is defined (a sketch: of its rows)."""
        return self._structure.rank

    @property
    def logdet(self) -> float:
        """Log-determinant of the covariance, on its range when it is singular."""
        return self._structure.logdet

    @property
    def condition_number(self) -> float:
        """Condition number of the covariance, computed once: O(p^3) up to 400 columns, then an estimate."""
        known = self._condition
        if known is None:
            known = self._structure.condition_number
            object.__setattr__(self, "_condition", known)
        return known

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
        """Whiten centred rows: z = W x.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Centred rows.

        Returns
        -------
        Z : ndarray of shape (n, shape[0])
            Whitened rows; their squared norms are squared distances. float32 for float32 rows.

        Raises
        ------
        ValueError
            If a value is NaN or infinite; the message names rows and columns.
        """
        rows = self._rows(X)
        self._check_inside(rows)
        return self._finish(self._structure.whiten(rows), rows, "X")

    def color(self, Z: ArrayLike) -> FloatArray:
        """Invert `whiten` on the subspace.

        Parameters
        ----------
        Z : array-like of shape (n, shape[0])
            Whitened rows.

        Returns
        -------
        X : ndarray of shape (n, p)
            Centred rows of which `whiten` gives Z, in the subspace.

        Raises
        ------
        ValueError
            If a value is NaN or infinite; the message names rows and columns.
        """
        rows = as_rows(Z, name="Z", n_features=self.shape[0])
        return self._finish(self._structure.color(rows.astype(np.float64, copy=False)), rows, "Z")

    def adjoint(self, Z: ArrayLike) -> FloatArray:
        """Apply the transpose: rows W'z.

        Parameters
        ----------
        Z : array-like of shape (n, shape[0])
            Rows in whitened coordinates.

        Returns
        -------
        X : ndarray of shape (n, p)
            Rows W'z.

        Raises
        ------
        ValueError
            If a value is NaN or infinite; the message names rows and columns.
        """
        rows = as_rows(Z, name="Z", n_features=self.shape[0])
        return self._finish(self._structure.adjoint(rows.astype(np.float64, copy=False)), rows, "Z")

    def precision_dot(self, X: ArrayLike) -> FloatArray:
        """Multiply centred rows by the precision matrix without forming it.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Centred rows.

        Returns
        -------
        gradient : ndarray of shape (n, p)
            Half the gradient of the squared distance.

        Raises
        ------
        ValueError
            If a value is NaN or infinite; the message names rows and columns.

        Notes
        -----
        The cost of whitening twice.
        """
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
        """Measure the part of centred rows off the subspace.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Centred rows.

        Returns
        -------
        residual : ndarray of shape (n,)
            Euclidean norm in standardised units, not squared; 0 at full rank.

        Raises
        ------
        ValueError
            If a value is NaN or infinite; the message names rows and columns.
        """
        rows = self._rows(X)
        return self._finish(self._structure.residual(rows, None)[0], rows, "X")

    def off_subspace(self, X: ArrayLike, location: ArrayLike | None = None) -> np.ndarray:
        """Mark rows that leave the subspace by more than rounding.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Rows, centred unless `location` is given.
        location : array-like of shape (p,), optional
            Centre to subtract: then the rounding of the entries (of float32 rows, say) counts as noise too.

        Returns
        -------
        off : ndarray of shape (n,), bool
            True off the subspace.
        """
        rows = self._rows(X)
        check_finite(rows, "X")
        if location is None:
            return self._structure.residual(rows, None)[1]
        centre = as_vector(location, "location", rows.shape[1])
        return self._structure.residual(rows, centre, float(np.finfo(rows.dtype).eps))[1]

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
