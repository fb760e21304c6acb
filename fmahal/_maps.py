"""Random linear maps to k dimensions that keep squared lengths in expectation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ._typing import ArrayLike, FloatArray
from ._validation import as_rows, readonly

MAP_KINDS = ("gaussian", "rademacher", "sparse", "srht")
NONZEROS = 8  # of a column of a sparse map
_BLOCK = 256  # columns drawn from one stream
_FEW = 8  # sampled entries of a transform are few when there are so many more of the others
_SLAB = 4  # blocks of columns that meet the rows in one product


def random_map(kind: str, k: int, m: int, seed: int) -> RandomMap:
    """Return the random map of one kind, shape and seed.

    Parameters
    ----------
    kind : {"gaussian", "rademacher", "sparse", "srht"}
        Law of the map.
    k : int
        Dimension of the image, at least 1; at most the next power of two of m for "srht".
    m : int
        Dimension of the rows it is applied to, at least 1.
    seed : int
        Entropy of the one `numpy.random.SeedSequence` of the map, not negative.

    Returns
    -------
    random_map : RandomMap
        Nothing is drawn before it is used.

    Raises
    ------
    ValueError
        If the kind is unknown, a dimension is below 1, k exceeds the padded length of "srht", or the seed is negative.
    TypeError
        If a dimension or the seed is not an integer.
    """
    if kind not in MAP_KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, MAP_KINDS))}, got {kind!r}.")
    k, m = _integer(k, "k", 1, "the dimension of the image"), _integer(m, "m", 1, "the length of a row")
    if kind == "srht" and k > padded_length(m):
        raise ValueError(
            f"k = {k} rows cannot be drawn without replacement from the Hadamard matrix of order "
            f"{padded_length(m)} that serves rows of length {m}: take k <= {padded_length(m)}, or another kind."
        )
    return RandomMap(kind, (k, m), _integer(seed, "seed", 0, "the entropy of a SeedSequence"))


def padded_length(m: int) -> int:
    """Return the smallest power of two that is not below m."""
    return 1 << (m - 1).bit_length()


def _integer(value: Any, name: str, least: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}, {what}, must be an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name}, {what}, must be at least {least}, got {value}.")
    return int(value)


@dataclass(frozen=True)
class RandomMap:
    r"""A random k x m matrix S with E \|S x\|^2 = \|x\|^2 for every x; made by `random_map`.

    Attributes
    ----------
    kind : str
        "gaussian": entries N(0, 1/k). "rademacher": entries :math:`\pm 1/\sqrt{k}`. "sparse": the rows of S fall into
        s = min(k, 8) blocks; a column has one entry other than zero in each, in a uniform row, of a random sign and of
        size :math:`\sqrt{k_t / k}` in a block of :math:`k_t` rows (:math:`1/\sqrt{s}` when s divides k). "srht":
        :math:`k^{-1/2} R H D`, where D has random signs, H is the Hadamard matrix of order m' (the next power of two
        of m; rows x are padded with zeros) and R draws k of its rows without replacement, in ascending order.
    shape : tuple of int
        (k, m).
    seed : int
        Its entropy.

    Notes
    -----
    Variance of :math:`|Sx|^2`, with :math:`|x|_4^4 = \sum_j x_j^4`: :math:`(2/k) |x|^4` for "gaussian";
    :math:`(2/k) (|x|^4 - |x|_4^4)` for "rademacher" and "sparse", whatever k and s, for two columns of a sparse map
    meet in block t with probability :math:`1/k_t`; and that times :math:`(m' - k) / (m' - 1)` for "srht", which is an
    isometry when k = m'. The tails are known to be as light as those of a Gaussian map for "rademacher" (Achlioptas);
    a sparse map needs s to grow with k for that in the worst case, and 8 is the number found to be enough in practice
    (Tropp et al.); a sparse map keeps the lengths of coordinate vectors exactly.

    For "gaussian", "rademacher" and "sparse" column j depends on (kind, k, seed, j) alone: a map of more columns begins
    with the same ones. For "srht" that holds while m' is the same.

    Draws are float64 whatever the dtype asked for, which rounds them. Nothing depends on the number of threads.

    References
    ----------
    Achlioptas, D. (2003). Database-friendly random projections: Johnson-Lindenstrauss with binary coins. Journal of
    Computer and System Sciences 66, 671-687. doi:10.1016/S0022-0000(03)00025-4

    Kane, D. M. and Nelson, J. (2014). Sparser Johnson-Lindenstrauss transforms. Journal of the ACM 61, 4.
    doi:10.1145/2559902

    Tropp, J. A. (2011). Improved analysis of the subsampled randomized Hadamard transform. Advances in Adaptive Data
    Analysis 3, 115-126. doi:10.1142/S1793536911000787

    Tropp, J. A., Yurtsever, A., Udell, M. and Cevher, V. (2019). Streaming low-rank matrix approximation with an
    application to scientific simulation. SIAM Journal on Scientific Computing 41, A2430-A2463. doi:10.1137/18M1201068
    """

    kind: str
    shape: tuple[int, int]
    seed: int

    def __reduce__(self) -> tuple[Any, ...]:
        return random_map, (self.kind, *self.shape, self.seed)

    def apply(self, X: ArrayLike) -> FloatArray:
        r"""Return the images S x of rows.

        Parameters
        ----------
        X : array-like of shape (n, m)
            Rows. NaN and infinity are not looked for, and show in the images.

        Returns
        -------
        Z : ndarray of shape (n, k)
            Of the dtype of X.

        Raises
        ------
        ValueError
            If X does not have m columns, or does not hold real numbers.

        Notes
        -----
        O(n m k) for "gaussian" and "rademacher", which draw S anew on each call, 1024 columns at a time: call `matrix`
        once for many calls of few rows. O(n m s) for "sparse", O(n m' log m') for "srht".

        Sums over float32 rows: in float64 for "sparse"; in float32 within 1024 columns and float64 beyond for
        "gaussian" and "rademacher"; in float32 for "srht", whose errors are at most about log2(m') + 1 units of
        rounding of float32, relative to \|x\|: every level of the transform is orthogonal up to its scale.
        """
        rows = as_rows(X, n_features=self.shape[1])
        if self.kind in ("gaussian", "rademacher"):
            return self._by_slabs(rows)
        return self._by_signed_sums(rows) if self.kind == "sparse" else self._by_transform(rows)

    def matrix(self, dtype: Any = np.float64) -> FloatArray:
        """Return S as a (k, m) array in C order. O(k m)."""
        k, m = self.shape
        out = np.empty((k, m), dtype)
        for start in range(0, m, _BLOCK):
            stop = min(start + _BLOCK, m)
            out[:, start:stop] = self._block(start // _BLOCK)[: stop - start].T
        return out

    def columns(self, indices: ArrayLike, dtype: Any = np.float64) -> FloatArray:
        """Return the columns S[:, indices] as a (k, len(indices)) array, drawing only the blocks they lie in.

        Raises
        ------
        IndexError
            If an index is not an integer in 0 ... m - 1.
        """
        chosen = np.atleast_1d(np.asarray(indices))
        if chosen.size == 0:
            return np.empty((self.shape[0], 0), dtype)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise IndexError(
                f"indices must be integers in one dimension, got {chosen.dtype} of shape {chosen.shape}."
            )
        outside = (chosen < 0) | (chosen >= self.shape[1])
        if outside.any():
            raise IndexError(
                f"Column {chosen[outside][0]} does not exist: the map has columns 0 ... {self.shape[1] - 1}."
            )
        out = np.empty((self.shape[0], chosen.size), dtype)
        number, within = np.divmod(chosen.astype(np.int64), _BLOCK)
        for b in np.unique(number):
            here = number == b
            out[:, here] = self._block(int(b))[within[here]].T
        return out

    def norm_variance(self, X: ArrayLike) -> FloatArray:
        r"""Return the variance of \|S x\|^2 over the law of S, for given rows.

        Parameters
        ----------
        X : array-like of shape (n, m)
            Rows.

        Returns
        -------
        variance : ndarray of shape (n,)
            In float64; the formula is in the notes of the class. O(n m).
        """
        k, m = self.shape
        squares = np.square(as_rows(X, n_features=m), dtype=np.float64)
        total = squares.sum(axis=1)
        if self.kind == "gaussian":
            return 2.0 / k * total * total
        variance = 2.0 / k * np.maximum(total * total - np.square(squares).sum(axis=1), 0.0)
        if self.kind == "srht":
            padded = padded_length(m)
            variance *= (padded - k) / max(padded - 1, 1)
        return variance

    def _stream(self, *key: int) -> np.random.Generator:
        """Return the generator of one block of columns (one number), or of the sampled rows (two)."""
        spawn_key = (MAP_KINDS.index(self.kind), self.shape[0], *key)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=spawn_key))

    def _block(self, number: int) -> FloatArray:
        """Return the columns of one block as the rows of a (256, k) array, whether or not the map has them all."""
        k = self.shape[0]
        if self.kind == "gaussian":
            return self._stream(number).standard_normal((_BLOCK, k)) / np.sqrt(k)
        if self.kind == "rademacher":
            return self._signs_block(number, k) / np.sqrt(k)
        if self.kind == "sparse":
            rows, signs = self._sparse_block(number)
            out = np.zeros((_BLOCK, k))
            np.put_along_axis(out, rows, signs, axis=1)
            return out * self._row_scale
        j = np.arange(number * _BLOCK, (number + 1) * _BLOCK)
        return _hadamard(j, self._sample) * self._signs_block(number, 1) / np.sqrt(k)

    def _signs_block(self, number: int, width: int) -> FloatArray:
        """Return random signs of shape (256, width); row j takes whole bytes of the stream."""
        octets = -(-width // 8)
        raw = np.frombuffer(self._stream(number).bytes(_BLOCK * octets), np.uint8).reshape(_BLOCK, octets)
        return 1.0 - 2.0 * np.unpackbits(raw, axis=1, count=width)

    @property
    def _starts(self) -> np.ndarray:
        """Return the first row of each block of rows of a sparse map, and k at the end: (s + 1,)."""
        k = self.shape[0]
        s = min(k, NONZEROS)
        return np.arange(s + 1) * k // s

    @cached_property
    def _row_scale(self) -> FloatArray:
        sizes = np.diff(self._starts)
        return np.repeat(np.sqrt(sizes / self.shape[0]), sizes)

    def _sparse_block(self, number: int) -> tuple[np.ndarray, FloatArray]:
        """Return the rows and the signs of the entries of 256 columns, (256, s) each."""
        starts = self._starts
        draws = self._stream(number).random((_BLOCK, starts.size - 1, 2))
        rows = starts[:-1] + np.floor(draws[:, :, 0] * np.diff(starts)).astype(np.int64)
        return rows, np.where(draws[:, :, 1] < 0.5, -1.0, 1.0)

    @cached_property
    def _sample(self) -> np.ndarray:
        """Return the rows of the Hadamard matrix that are kept, ascending."""
        order = padded_length(self.shape[1])
        return np.sort(self._stream(0, order).choice(order, self.shape[0], replace=False, shuffle=False))

    def _by_slabs(self, rows: FloatArray) -> FloatArray:
        """Product with a dense map, drawn a slab of columns at a time; slabs are summed in float64."""
        k, m = self.shape
        width = _SLAB * _BLOCK
        out = np.zeros((len(rows), k))
        for start in range(0, m, width):
            blocks = range(start // _BLOCK, -(-min(start + width, m) // _BLOCK))
            slab = np.concatenate([self._block(b) for b in blocks]).astype(rows.dtype, copy=False)
            part = rows[:, start : start + width]
            out += part @ slab[: part.shape[1]]
        return out.astype(rows.dtype, copy=False)

    def _by_signed_sums(self, rows: FloatArray) -> FloatArray:
        from ._kernels.sketching import sparse_rows

        out = np.empty((len(rows), self.shape[0]), rows.dtype)
        sparse_rows(readonly(rows), self._codes, readonly(self._row_scale), out)
        return out

    @cached_property
    def _codes(self) -> np.ndarray:
        """Return the row of each entry of a sparse map, as its complement where the sign is minus: (m, s) int32."""
        m = self.shape[1]
        blocks = [self._sparse_block(b) for b in range(-(-m // _BLOCK))]
        codes = np.concatenate([np.where(signs < 0, ~rows, rows) for rows, signs in blocks])[:m]
        return readonly(codes.astype(np.int32))

    def _by_transform(self, rows: FloatArray) -> FloatArray:
        from ._kernels.sketching import TAIL, hadamard_rows

        k, m = self.shape
        order = padded_length(m)
        # The last levels are done for the sampled entries alone where these are few.
        few = order >= 2 * TAIL and _FEW * k <= order
        corner = np.arange(TAIL if few else 0)
        out = np.empty((len(rows), k), rows.dtype)
        hadamard_rows(
            readonly(rows),
            readonly(self._signs.astype(rows.dtype)),
            readonly(_hadamard(corner, corner).astype(rows.dtype)),
            readonly(self._sample),
            rows.dtype.type(1.0 / np.sqrt(k)),
            order,
            out,
        )
        return out

    @cached_property
    def _signs(self) -> FloatArray:
        m = self.shape[1]
        return np.concatenate([self._signs_block(b, 1)[:, 0] for b in range(-(-m // _BLOCK))])[:m]


def _hadamard(rows: np.ndarray, columns: np.ndarray) -> FloatArray:
    """Return entries of a Hadamard matrix: H[r, j] = -1 to the power of the number of bits that r and j share."""
    return 1.0 - 2.0 * (np.bitwise_count(rows[:, None] & columns) & 1)
