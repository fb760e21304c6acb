"""The factor U of the metric A = U'U under low-rank changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from .._structures.base import row_blocks
from .._typing import FloatArray
from .._validation import check_dense_size
from ._products import add_product, dot_rows, largest

PENDING = (
    16  # outer products kept before one pass over U adds them: that pass costs as much as for one of them
)
ROOM = 0.9  # of the range of a dtype that entries may fill; the rest is for rounding


class MetricFactor:
    """U (m, p) in float64, None standing for the identity, plus changes that are not yet added.

    Nothing but exact distances reads U, so that a change of the metric costs O(m + p) here, and O(m p) once in
    `PENDING` of them. The identity stays implicit, with its changes as outer products and sparse rows, until these
    fill as much memory as U would, or `matrix` is read.
    """

    def __init__(self, matrix: FloatArray | None, n_features: int):
        self._matrix = matrix
        self._n_features = n_features
        self._left: list[FloatArray] = []  # (r, m) each
        self._right: list[FloatArray] = []  # (r, p) each
        self._rows: list[
            tuple[np.ndarray, Any]
        ] = []  # of the identity: distinct rows (q,), CSR values (q, p)
        self._peak = 1.0 if matrix is None else largest(matrix)  # no entry of U is larger

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of U."""
        p = self._n_features
        return (p, p) if self._matrix is None else self._matrix.shape

    @property
    def is_identity(self) -> bool:
        """Whether U is the identity and no change has been made."""
        return self._matrix is None and not self._left and not self._rows

    @property
    def is_implicit(self) -> bool:
        """Whether U is the identity plus changes that are kept apart."""
        return self._matrix is None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        held = [] if self._matrix is None else [self._matrix]
        for rows, values in self._rows:
            held += [rows, values.data, values.indices, values.indptr]
        return sum(array.nbytes for array in [*held, *self._left, *self._right])

    @property
    def row_cost(self) -> int:
        """Multiply-adds of one product U x."""
        m, p = self.shape
        changes = self._rank() * (m + p) + sum(values.nnz for _, values in self._rows)
        return changes if self._matrix is None else changes + m * p

    @property
    def matrix(self) -> FloatArray | None:
        """U as one array, None for the identity; adds what is pending."""
        if self.is_identity:
            return None
        matrix = self._matrix
        if matrix is None:
            check_dense_size(self._n_features, "The metric factor, which is the identity no longer,")
            matrix = np.eye(self._n_features)
            for rows, values in self._rows:
                _add_entries(matrix, rows, values)
        left, right = self.pending()
        if len(left):
            add_product(matrix, left.T, right)
        self._matrix, self._left, self._right, self._rows = matrix, [], [], []
        return matrix

    def pending(self) -> tuple[FloatArray, FloatArray]:
        """Return left (t, m) and right (t, p), whose product left' right is still to be added."""
        m, p = self.shape
        if not self._left:
            return np.empty((0, m)), np.empty((0, p))
        return np.concatenate(self._left), np.concatenate(self._right)

    def pending_rows(self) -> list[tuple[np.ndarray, Any]]:
        """Return rows (q,) of the identity and CSR values (q, p), which are still to be added to them."""
        return self._rows

    def transform(self, X: FloatArray) -> FloatArray:
        """Return the rows U x, (n, m), in the dtype of X: O(n m p), or what `row_cost` says for the identity."""
        if self._matrix is None:
            Y = X.copy()
        else:
            Y = dot_rows(X, self._matrix.astype(X.dtype, copy=False))
        for left, right in zip(self._left, self._right):
            inner = dot_rows(X, right.astype(X.dtype))
            add_product(Y, inner, left.astype(X.dtype))
        for rows, values in self._rows:
            Y[:, rows] += (values.astype(X.dtype) @ X.T).T
        return Y

    def has_room(self, increment: float) -> bool:
        """Whether every entry of U stays finite when one of at most this size is added to it."""
        limit = ROOM * float(np.finfo(np.float64).max)
        if self._peak + increment < limit:
            return True
        self._peak = self._measure()  # a bound that grew by many changes, some of which were undone
        return self._peak + increment < limit

    def _measure(self) -> float:
        """Return the largest entry of U: O(m p), a block of rows at a time for the identity."""
        if self._matrix is not None:
            return largest(self._form())
        left, right = self.pending()
        peak = 0.0
        for block in row_blocks(*self.shape):
            part = np.eye(block.stop - block.start, self._n_features, block.start)
            for rows, values in self._rows:
                inside = (rows >= block.start) & (rows < block.stop)
                _add_entries(part, rows[inside] - block.start, values[inside])
            add_product(part, np.ascontiguousarray(left[:, block]).T, right)
            peak = max(peak, largest(part))
        return peak

    def add(self, left: FloatArray, right: FloatArray, increment: float = 0.0) -> None:
        """Add left' right: rows (r, m) and (r, p) in float64; `increment` bounds the entries of the product."""
        rank = self._rank()
        if (rank >= PENDING) if self._matrix is not None else self._is_full(2 * len(left) * self._n_features):
            _ = self.matrix  # before the new one is kept: what fails here leaves U as it was
        elif len(self._left) > PENDING:
            self._left, self._right = [np.concatenate(self._left)], [np.concatenate(self._right)]
        self._left.append(left.copy())  # the caller's arrays may change
        self._right.append(right.copy())
        self._peak += increment

    def add_rows(self, rows: np.ndarray, values: Any, increment: float = 0.0) -> None:
        """Add `values`, (q, p) dense or CSR, to distinct rows of U: O(q p), or O(nonzeros) when sparse.

        `increment` bounds the values. For the identity they are kept, merged so that each is copied O(log) times.
        """
        dense = isinstance(values, np.ndarray)
        if self._matrix is None and not self._is_full(2 * (values.size if dense else values.nnz)):
            if dense and len(rows) <= PENDING:
                left = np.zeros((len(rows), self._n_features))
                left[np.arange(len(rows)), rows] = 1.0
                self.add(left, values)
            else:
                self._keep_rows(rows, sparse.csr_array(values))
        else:
            matrix = self._form() if self._matrix is None else self._matrix
            if dense:
                matrix[rows] += values
            else:
                _add_entries(matrix, rows, values)
        self._peak += increment

    def _rank(self) -> int:
        return sum(map(len, self._left))

    def _is_full(self, numbers: int) -> bool:
        """Whether the changes of the identity, and so many numbers more, fill as much memory as U would."""
        p = self._n_features
        held = 2 * self._rank() * p + 2 * sum(values.nnz for _, values in self._rows)
        return held + numbers > max(p, 2 * PENDING) * p

    def _form(self) -> FloatArray:
        """Return U as one array, the identity, too, with what is pending added."""
        matrix = self.matrix
        if matrix is None:
            check_dense_size(self._n_features, "The metric factor, which is the identity no longer,")
            matrix = self._matrix = np.eye(self._n_features)
        return matrix

    def _keep_rows(self, rows: np.ndarray, values: Any) -> None:
        kept = [*self._rows, (np.array(rows), values)]
        while len(kept) > 1 and kept[-2][1].nnz <= 2 * kept[-1][1].nnz:
            kept[-2:] = [_merged(kept[-2], kept[-1])]
        self._rows = kept


def _add_entries(U: FloatArray, rows: np.ndarray, values: Any) -> None:
    entries = values.tocoo()  # CSR came with its duplicates summed: every entry is hit once
    U[rows[entries.row], entries.col] += entries.data


def _merged(first: tuple[np.ndarray, Any], second: tuple[np.ndarray, Any]) -> tuple[np.ndarray, Any]:
    """Return the sum of two changes of rows."""
    rows, place = np.unique(np.concatenate([first[0], second[0]]), return_inverse=True)
    entries = sparse.vstack([first[1], second[1]]).tocoo()
    total = sparse.coo_array((entries.data, (place[entries.row], entries.col)), (len(rows), entries.shape[1]))
    total = total.tocsr()  # sums what meets
    total.sum_duplicates()
    return rows, total
