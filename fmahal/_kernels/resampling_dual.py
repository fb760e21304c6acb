"""Refits of shrinkage covariances to resamples of rows that have more columns than there are rows.

Notation: K (n, n) are the inner products of the rows about a fixed point; a resample takes row i w_i times, N in all.
G are the inner products about its own mean (or about the fixed point), S its covariance of divisor N, and the fit is
a S + r I. Everything is a function of G, so that no array has p columns. With A_ij = sqrt(w_i w_j) G_ij over the u rows
that the resample contains and M = (a / N) A + r I:

    row i inside:   w_i d2_i = (N / a) (1 - r (M^-1)_ii)
    any row y:      d2 = (G_yy - (a / N) k' M^-1 k) / r,                        k_i = sqrt(w_i) G_iy
    any row y:      d2 = min over c of |y - sum_i c_i sqrt(w_i) y_i|^2 / r + (N / a) |c|^2,      c = (a / N) M^-1 k

The first two cancel where r is large or small; the third never does: its terms are positive, and an error of c counts
only squared. A has the null vector z = sqrt(w / N) when the mean is removed: M + a tau z z' has the same
products with everything that is orthogonal to z, and its condition does not grow as r vanishes.
"""

from collections import namedtuple

import numpy as np
from numba import prange

from ._jit import jit, warms

CHUNKS = 32  # pieces into which replicates are dealt; each allocates its workspace once
EPS = 2.0**-52
LOST = 1e-11  # relative error of the short formulas above which the long one is taken
OK, INACCURATE, SINGULAR = 0, 1, 2

Work = namedtuple("Work", "rows root means diagonal total inverse U Z")


@jit
def _new_work(n):
    """Workspace of one thread."""
    return Work(
        np.empty(n, np.int64),
        np.empty(n),
        np.empty(n),
        np.empty(n),
        np.empty(n),
        np.empty(n),
        np.empty((n, n)),
        np.empty((n, n)),
    )


@jit
def _centre(K, counts, centred, work):
    """List the rows, those inside first, and what turns K into G: G_ij = K_ij - means_i - means_j + whole.

    Returns u, N and whole; sets work.rows, the roots of the counts and the diagonal of G, both in the order of rows.
    """
    n = K.shape[0]
    rows, means = work.rows, work.means
    u, outside, number = 0, n, 0.0
    for i in range(n):
        if counts[i] > 0:
            work.root[u] = np.sqrt(np.float64(counts[i]))
            rows[u] = i
            u += 1
            number += counts[i]
    outside = u
    for i in range(n):
        means[i] = 0.0
        if counts[i] == 0:
            rows[outside] = i
            outside += 1
    whole = 0.0
    if centred:
        for a in range(u):
            source, weight = K[rows[a]], counts[rows[a]] / number
            for i in range(n):
                means[i] += weight * source[i]
        for a in range(u):
            whole += counts[rows[a]] / number * means[rows[a]]
    for a in range(n):
        i = rows[a]
        work.diagonal[a] = max(K[i, i] - 2.0 * means[i] + whole, 0.0)
    return u, number, whole


@jit
def _trace(counts, u, number, work):
    trace = 0.0
    for a in range(u):
        trace += counts[work.rows[a]] * work.diagonal[a]
    return trace / number


@jit
def _invariants_one(K, counts, centred, work, out):
    u, number, whole = _centre(K, counts, centred, work)
    rows, means = work.rows, work.means
    trace = _trace(counts, u, number, work)
    out[:] = 0.0
    if not trace > 0.0:
        return
    unit = 1.0 / (trace * number)
    dispersion, fourth = 0.0, 0.0
    for a in range(u):
        i = rows[a]
        source, shift = K[i], whole - means[i]
        cross = 0.0
        for b in range(a):
            j = rows[b]
            g = (source[j] - means[j] + shift) * unit
            cross += counts[j] * g * g
        g = work.diagonal[a] * unit
        dispersion += counts[i] * (2.0 * cross + counts[i] * g * g)
        fourth += counts[i] * g * g
    out[0] = trace
    out[1] = dispersion
    out[2] = fourth * number


@jit
def _invariants_chunk(K, counts, centred, chunk, out):
    work = _new_work(K.shape[0])
    for b in range(chunk, counts.shape[0], CHUNKS):
        _invariants_one(K, counts[b], centred, work, out[b])


@jit(parallel=True)
def gram_invariants(K, counts, centred, out):
    """Take the sums over resamples that decide how much to shrink, into `out` (b, 3).

    tr S, |S|_F^2 / (tr S)^2 and mean |x|^4 / (tr S)^2 for counts (b, n) int32; three zeros where nothing varies.
    O(b n^2), parallel over resamples.
    """
    for chunk in prange(CHUNKS):
        _invariants_chunk(K, counts, centred, chunk, out)


@jit
def _eliminate(target, factor, j, source, first, stop, triangular):
    """target_c -= sum_{k<j} factor_kj source_kc for first <= c < stop: eight terms a pass, one store for eight.

    `triangular`: source is zero beyond its diagonal, where at least seven zeros stand.
    """
    k = 0
    while k + 8 <= j:
        c0, c1, c2, c3 = factor[k, j], factor[k + 1, j], factor[k + 2, j], factor[k + 3, j]
        c4, c5, c6, c7 = factor[k + 4, j], factor[k + 5, j], factor[k + 6, j], factor[k + 7, j]
        end = min(stop, k + 8) if triangular else stop
        for c in range(first, end):
            target[c] -= (
                (c0 * source[k, c] + c1 * source[k + 1, c]) + (c2 * source[k + 2, c] + c3 * source[k + 3, c])
            ) + (
                (c4 * source[k + 4, c] + c5 * source[k + 5, c])
                + (c6 * source[k + 6, c] + c7 * source[k + 7, c])
            )
        k += 8
    while k < j:
        c0 = factor[k, j]
        end = min(stop, k + 1) if triangular else stop
        for c in range(first, end):
            target[c] -= c0 * source[k, c]
        k += 1


@jit
def _fill(K, u, width, whole, scale, shift, ridge, work):
    """Upper triangle of M + shift z z' in the first u columns of work.U, and k sqrt(scale) of other rows beyond.

    `scale` is a / N; `shift` adds to the inner products of rows inside.
    """
    rows, means, root = work.rows, work.means, work.root
    outer = np.sqrt(scale)
    largest = 0.0
    for a in range(u):
        i = rows[a]
        source, target = K[i], work.U[a]
        offset = whole - means[i] + shift
        inner = scale * root[a]
        for b in range(a + 1, u):
            j = rows[b]
            target[b] = inner * root[b] * (source[j] - means[j] + offset)
        target[a] = inner * root[a] * (work.diagonal[a] + shift) + ridge
        largest = max(largest, target[a])
        inner = outer * root[a]
        offset -= shift
        for b in range(u, width):
            j = rows[b]
            target[b] = inner * (source[j] - means[j] + offset)
    return largest


@jit
def _factorise(U, u, width, inverse):
    """Upper Cholesky factor in place, U'U = M, with the columns beyond u solved along; return the smallest pivot."""
    smallest = np.inf
    for j in range(u):
        row = U[j]
        _eliminate(row, U, j, U, j, width, False)
        pivot = row[j]
        if not pivot > 0.0:
            return 0.0
        smallest = min(smallest, pivot)
        inverse[j] = 1.0 / np.sqrt(pivot)
        for c in range(j, width):
            row[c] *= inverse[j]
    return smallest


@jit
def _invert(U, u, inverse, Z, total):
    """Write Z = (U')^-1, lower triangular, and the diagonal of M^-1, sums of squares of its columns, to `total`."""
    total[:u] = 0.0
    for j in range(u):
        row = Z[j]
        row[: min(j + 8, Z.shape[1])] = 0.0
        _eliminate(row, U, j, Z, 0, j, True)
        for c in range(j):
            row[c] *= inverse[j]
            total[c] += row[c] * row[c]
        row[j] = inverse[j]
        total[j] += row[j] * row[j]


@jit
def _spheres(ridge, work, out):
    """Distances to the fit r I: nothing of S is left."""
    for a in range(out.size):
        out[work.rows[a]] = work.diagonal[a] / ridge


@jit
def _shift(counts, u, number, centred, work):
    """Mean of the non-zero eigenvalues of S: the size that the null vector is lifted to."""
    return _trace(counts, u, number, work) / max(u - 1, 1) if centred else 0.0


@jit
def _distances_one(K, counts, weight, ridge, centred, inside, outside, work, out):
    n = K.shape[0]
    u, number, whole = _centre(K, counts, centred, work)
    if weight <= 0.0:
        _spheres(ridge, work, out)
        return OK
    shift = _shift(counts, u, number, centred, work)
    width = n if outside else u
    scale = weight / number
    largest = _fill(K, u, width, whole, scale, shift, ridge, work)
    smallest = _factorise(work.U, u, width, work.inverse)
    if not smallest > 0.0:
        return SINGULAR
    spread = largest / smallest
    worst = 0.0
    if inside:
        _invert(work.U, u, work.inverse, work.Z, work.total)
        lifted = shift * weight / (ridge + shift * weight) / number
        for a in range(u):
            w = counts[work.rows[a]]
            kept = ridge * work.total[a]
            share = 1.0 - kept - w * lifted
            worst = max(worst, (1.0 + kept * spread) / share if share > 0.0 else np.inf)
            out[work.rows[a]] = share / (scale * w)
    if outside:
        total = work.total
        total[u:n] = 0.0
        for j in range(u):
            row = work.U[j]
            for c in range(u, n):
                total[c] += row[c] * row[c]
        for c in range(u, n):
            rest = work.diagonal[c] - total[c]
            noise = work.diagonal[c] + spread * total[c]
            worst = max(worst, noise / rest if rest > 0.0 else (0.0 if noise == 0.0 else np.inf))
            out[work.rows[c]] = rest / ridge
    return OK if EPS * worst <= LOST else INACCURATE


@jit
def _distances_chunk(K, counts, amounts, centred, inside, outside, chunk, status, out):
    work = _new_work(K.shape[0])
    weight, ridge = amounts
    for b in range(chunk, counts.shape[0], CHUNKS):
        status[b] = _distances_one(K, counts[b], weight[b], ridge[b], centred, inside, outside, work, out[b])


@jit(parallel=True)
def gram_distances(K, counts, weight, ridge, centred, inside, outside, status, out):
    """Squared distances of rows to the fit weight S + ridge I of each resample, by the two short formulas.

    counts (b, n) int32, weight and ridge (b,), ridge > 0. `out` (b, n) receives those of the rows that a resample
    contains when `inside`, and those of all others when `outside`; `status` (b,) int64 is OK, INACCURATE (digits were
    lost: call `refined_distances`) or SINGULAR. O(b u^2 (u + n)), parallel over resamples.
    """
    for chunk in prange(CHUNKS):
        _distances_chunk(K, counts, (weight, ridge), centred, inside, outside, chunk, status, out)


@jit
def _solve(Z, u, k, forward, c):
    """C = M^-1 k by the rows of the inverse factor Z."""
    c[:u] = 0.0
    for j in range(u):
        row = Z[j]
        s = 0.0
        for a in range(j + 1):
            s += row[a] * k[a]
        forward[j] = s
    for j in range(u):
        row, s = Z[j], forward[j]
        for a in range(j + 1):
            c[a] += s * row[a]


@jit
def _long_formula(Y, y, u, scale, ridge, work, vectors):
    """Squared distance of the row Y_y by the minimum over c."""
    k, forward, c, gap = vectors
    r = Y.shape[1]
    gap[:] = Y[y]
    for a in range(u):
        source = Y[work.rows[a]]
        s = 0.0
        for j in range(r):
            s += source[j] * gap[j]
        k[a] = work.root[a] * s
    _solve(work.Z, u, k, forward, c)
    size = 0.0
    for a in range(u):
        s = scale * c[a]
        size += s * s
        source, s = Y[work.rows[a]], s * work.root[a]
        for j in range(r):
            gap[j] -= s * source[j]
    rest = 0.0
    for j in range(r):
        rest += gap[j] * gap[j]
    return rest / ridge + size / scale


@jit
def _refine_one(K, T, counts, weight, ridge, centred, work, vectors, Y, out):
    n, r = T.shape
    u, number, whole = _centre(K, counts, centred, work)
    mean = vectors[3]
    mean[:] = 0.0
    if centred:
        for a in range(u):
            source, w = T[work.rows[a]], counts[work.rows[a]] / number
            for j in range(r):
                mean[j] += w * source[j]
    for i in range(n):
        for j in range(r):
            Y[i, j] = T[i, j] - mean[j]
    shift = _shift(counts, u, number, centred, work)
    scale = weight / number
    _fill(K, u, u, whole, scale, shift, ridge, work)
    if not _factorise(work.U, u, u, work.inverse) > 0.0:
        return SINGULAR
    _invert(work.U, u, work.inverse, work.Z, work.total)
    for i in range(n):
        out[i] = _long_formula(Y, i, u, scale, ridge, work, vectors)
    return OK


@jit
def _refine_chunk(K, T, counts, amounts, centred, chunk, status, out):
    n, r = T.shape
    work, Y = _new_work(n), np.empty((n, r))
    vectors = (np.empty(n), np.empty(n), np.empty(n), np.empty(r))
    weight, ridge = amounts
    for b in range(chunk, counts.shape[0], CHUNKS):
        status[b] = _refine_one(K, T, counts[b], weight[b], ridge[b], centred, work, vectors, Y, out[b])


@jit(parallel=True)
def refined_distances(K, T, counts, weight, ridge, centred, status, out):
    """As `gram_distances`, of all rows and by the long formula; weight > 0.

    T (n, r) are coordinates of the rows in an orthonormal basis, T T' = K up to rounding, better than K itself.
    O(b u n (u + r)), parallel over resamples.
    """
    for chunk in prange(CHUNKS):
        _refine_chunk(K, T, counts, (weight, ridge), centred, chunk, status, out)


@warms
def _warm():
    K, one = np.eye(3), np.ones(1)
    counts = np.array([[2, 1, 0]], np.int32)
    for array in (K, one, counts):
        array.flags.writeable = False
    status, out = np.empty(1, np.int64), np.empty((1, 3))
    gram_invariants(K, counts, True, np.empty((1, 3)))
    gram_distances(K, counts, one, one, True, True, True, status, out)
    refined_distances(K, K, counts, one, one, True, status, out)
