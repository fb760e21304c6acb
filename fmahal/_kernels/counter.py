"""A counter-based generator: Philox-4x32-10, and the resamples drawn with it.

Stateless: a 32-bit word is a function of a key (two words for a call) and of where it is used: (replicate, attempt,
stream, draw). So nothing depends on threads, blocks or the order of work. Every operand is a uint64 below 2^32, whose
products do not overflow; constants are typed, because uint64 and int64 would meet as float64.

Salmon, J. K., Moraes, M. A., Dror, R. O. and Shaw, D. E. (2011). Parallel random numbers: as easy as 1, 2, 3.
Proceedings of SC'11. doi:10.1145/2063384.2063405. Lemire, D. (2019). Fast random integer generation in an interval.
ACM Transactions on Modeling and Computer Simulation 29, 1-12. doi:10.1145/3230636
"""

import numpy as np
from numba import prange

from ._jit import jit, warms

COUNTS, HELD, FREE = (
    0,
    1,
    2,
)  # streams: with replacement, without replacement; other kernels take FREE and above
CHUNKS = 64  # pieces into which replicates are dealt; each allocates its workspace once
TILE = 256  # blocks of four words made at a time: they stay in the first cache

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_RETRY = np.uint64(16)  # a word that is refused is replaced by the same draw of stream + 2^16


@jit
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds on a counter of four words with a key of two, all uint64 below 2^32; returns four such words."""
    for _ in range(10):
        a = _M0 * c0
        b = _M1 * c2
        c0 = (b >> _HALF) ^ c1 ^ k0
        c1 = b & _LOW
        c2 = (a >> _HALF) ^ c3 ^ k1
        c3 = a & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@jit
def fill_words(key, replicate, attempt, stream, first, count, words):
    """Write the words of draws 4 first, 4 first + 1, ...: draw 4 (first + t) + c goes to words[c, t], t < count."""
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    c1, c2, c3 = np.uint64(replicate), np.uint64(attempt), np.uint64(stream)
    for t in range(count):
        w0, w1, w2, w3 = philox(np.uint64(first + t), c1, c2, c3, k0, k1)
        words[0, t] = w0
        words[1, t] = w1
        words[2, t] = w2
        words[3, t] = w3


@jit
def word(key, replicate, attempt, stream, draw):
    """Return the 32-bit word of one draw, as uint64."""
    w0, w1, w2, w3 = philox(
        np.uint64(draw >> 2),
        np.uint64(replicate),
        np.uint64(attempt),
        np.uint64(stream),
        np.uint64(key[0]),
        np.uint64(key[1]),
    )
    c = draw & 3
    if c == 0:
        return w0
    if c == 1:
        return w1
    return w2 if c == 2 else w3


@jit
def _again(key, replicate, attempt, stream, draw, bound):
    """Return an integer below `bound` for a draw whose first word could not be taken: no value is favoured."""
    n = np.uint64(bound)
    refused = (np.uint64(0x100000000) - n) % n
    product = word(key, replicate, attempt, stream, draw) * n
    retry = np.uint64(0)
    while (product & _LOW) < refused:
        retry += np.uint64(1)
        product = word(key, replicate, attempt, np.uint64(stream) | (retry << _RETRY), draw) * n
    return np.int64(product >> _HALF)


@jit
def below(key, replicate, attempt, stream, draw, bound):
    """Return a uniform integer 0 ... bound - 1, bound < 2^32, without bias (Lemire), from its arguments alone."""
    n = np.uint64(bound)
    product = word(key, replicate, attempt, stream, draw) * n
    if (product & _LOW) < n:
        return _again(key, replicate, attempt, stream, draw, bound)
    return np.int64(product >> _HALF)


@jit
def unit(key, replicate, attempt, stream, draw):
    """Return a uniform double in the open interval (0, 1), of 52 bits: words 2 draw and 2 draw + 1 of the stream."""
    high = word(key, replicate, attempt, stream, 2 * draw) >> np.uint64(6)
    low = word(key, replicate, attempt, stream, 2 * draw + 1) >> np.uint64(6)
    return (np.float64(high) + (np.float64(low) + 0.5) / 67108864.0) / 67108864.0


@jit
def fill_below(key, replicate, attempt, stream, bound, words, out):
    """Draws 0, 1, ... of `below`, as many as `out` holds; `words` is a (4, TILE) work space of uint64."""
    n = np.uint64(bound)
    size = out.size
    for start in range(0, size, 4 * TILE):
        width = min(4 * TILE, size - start)
        blocks = (width + 3) >> 2
        fill_words(key, replicate, attempt, stream, start >> 2, blocks, words)
        doubtful = 0
        for c in range(4):
            plane = words[c]
            for t in range(blocks):  # no branch: one pass of SIMD
                product = plane[t] * n
                plane[t] = product >> _HALF
                doubtful += (product & _LOW) < n
        for i in range(width):
            out[start + i] = np.int64(words[i & 3, i >> 2])
        if doubtful > 0:
            for i in range(width):
                out[start + i] = below(key, replicate, attempt, stream, start + i, bound)


@jit
def _count_chunk(key, replicates, attempts, chunk, counts):
    """Every CHUNKS-th replicate: n rows drawn from n with replacement, counted."""
    b, n = counts.shape
    words = np.empty((4, TILE), np.uint64)
    rows = np.empty(n, np.int64)
    for r in range(chunk, b, CHUNKS):
        fill_below(key, replicates[r], attempts[r], COUNTS, n, words, rows)
        for i in range(n):
            counts[r, i] = 0
        for i in range(n):
            counts[r, rows[i]] += 1


@jit
def draw_distinct(key, replicate, attempt, n, words, pool, out):
    """`out.size` distinct rows of n: the first steps of a Fisher-Yates shuffle.

    `words` (4, TILE) uint64 and `pool` (n,) int64 are work spaces. Step t takes draw t, an integer below n - t.
    """
    for i in range(n):
        pool[i] = i
    for t in range(out.size):
        place = t & (4 * TILE - 1)
        if place == 0:
            fill_words(key, replicate, attempt, HELD, t >> 2, min(TILE, (out.size - t + 3) >> 2), words)
        bound = np.uint64(n - t)
        product = words[place & 3, place >> 2] * bound
        if (product & _LOW) < bound:
            other = t + _again(key, replicate, attempt, HELD, t, n - t)
        else:
            other = t + np.int64(product >> _HALF)
        chosen = pool[other]
        pool[other] = pool[t]
        out[t] = chosen


@jit
def _held_chunk(key, replicates, attempts, n, chunk, out):
    words = np.empty((4, TILE), np.uint64)
    pool = np.empty(n, np.int64)
    for r in range(chunk, out.shape[0], CHUNKS):
        draw_distinct(key, replicates[r], attempts[r], n, words, pool, out[r])


@jit(parallel=True)
def resample_counts(key, replicates, attempts, counts):
    """How often each of n rows is in a resample of n rows with replacement, into `counts` (b, n).

    `key` (2,) uint32, `replicates` (b,) and `attempts` (b,) int64: a row of counts depends on key, its replicate, its
    attempt and n alone. O(b n), parallel over replicates.
    """
    for chunk in prange(CHUNKS):
        _count_chunk(key, replicates, attempts, chunk, counts)


@jit(parallel=True)
def held_out(key, replicates, attempts, n, out):
    """Draw m distinct rows of n for each replicate, uniform over all subsets and their orders, into `out` (b, m) int64.

    A row of `out` depends on key, its replicate, its attempt, n and m alone, and not on m but for its length.
    O(b (n + m)), parallel over replicates.
    """
    for chunk in prange(CHUNKS):
        _held_chunk(key, replicates, attempts, n, chunk, out)


@warms
def _warm():
    key, ids = np.zeros(2, np.uint32), np.zeros(1, np.int64)
    for array in (key, ids):
        array.flags.writeable = False
    for dtype in (np.int32, np.float64):
        resample_counts(key, ids, ids, np.empty((1, 3), dtype))
    held_out(key, ids, ids, 3, np.empty((1, 2), np.int64))
