"""Rank-one changes of triangular factors by plane rotations.

Rotations are applied in their scaled form: what a rotation carries from one step to the next is kept times the root of
1 + weight |p|^2 so far, so that a step costs three multiply-adds and no division. Every term stays bounded by the
entries that the plane rotation would mix, hence the rounding is that of plane rotations. A factor L of the covariance
is passed four rows at once: one chain of dependent steps a row, enough of them to hide the latency of one, and few
enough for the registers. Of a whitening matrix W one row is one step, along contiguous entries.
"""

import numpy as np

from ._jit import jit, warms

WIDTH = 4  # rows of L that advance together; two are slower by half, eight run out of registers


@jit
def _rotation(square, term):
    """Cosine and scaled sine of the rotation after which the running square is square + term, both positive."""
    before, after = np.sqrt(square), np.sqrt(square + term)
    return before / after, 1.0 / (before * after)


@jit
def _grow_row(source, i, first, x, tables, out):
    """Rotate columns first ... i - 1 of row i of L from the left; the entry of the vector that is left."""
    for j in range(first, i):
        entry = source[i, j]
        out[i, j] = tables[1, j] * entry + tables[2, j] * x
        x -= tables[0, j] * entry
    return x


@jit
def _grow_rows(source, i, x0, x1, x2, x3, tables, out):
    """`_grow_row` of the four rows from i on, up to column i; the four entries that are left."""
    p, c, s = tables[0], tables[1], tables[2]
    r0, r1, r2, r3 = source[i], source[i + 1], source[i + 2], source[i + 3]
    o0, o1, o2, o3 = out[i], out[i + 1], out[i + 2], out[i + 3]
    for j in range(i):
        pj, cj, sj = p[j], c[j], s[j]
        l0, l1, l2, l3 = r0[j], r1[j], r2[j], r3[j]
        o0[j] = cj * l0 + sj * x0
        o1[j] = cj * l1 + sj * x1
        o2[j] = cj * l2 + sj * x2
        o3[j] = cj * l3 + sj * x3
        x0 -= pj * l0
        x1 -= pj * l1
        x2 -= pj * l2
        x3 -= pj * l3
    return x0, x1, x2, x3


@jit
def _grow(source, x, weight, root, out):
    """L for a weight that is not negative: p is solved for in the pass that uses it."""
    size = x.size
    tables = np.empty((3, size))
    left = np.empty(WIDTH)
    square = 1.0
    for i in range(0, size, WIDTH):
        last, first = min(i + WIDTH, size), 0
        for k in range(i, last):
            left[k - i] = x[k]
        if last - i == WIDTH:
            first = i
            left[0], left[1], left[2], left[3] = _grow_rows(
                source, i, left[0], left[1], left[2], left[3], tables, out
            )
        for k in range(i, last):
            pivot = source[k, k]
            p = _grow_row(source, k, first, left[k - i], tables, out) / pivot
            term = weight * p * p
            if not square + term < np.inf:  # NaN stops here too
                return k + 1, square + term
            cosine, sine = _rotation(square, term)
            tables[0, k], tables[1, k], tables[2, k] = p, root * cosine, root * (weight * p * sine)
            out[k, k] = pivot * (root / cosine)
            square += term
    return 0, square


@jit
def _solve(source, x, p):
    """Write the solution of L p = x; its squared norm."""
    size, total = x.size, 0.0
    for i in range(0, size, WIDTH):
        last, first = min(i + WIDTH, size), 0
        d0, d1, d2, d3 = 0.0, 0.0, 0.0, 0.0
        if last - i == WIDTH:
            first = i
            r0, r1, r2, r3 = source[i], source[i + 1], source[i + 2], source[i + 3]
            for j in range(i):
                d0 += r0[j] * p[j]
                d1 += r1[j] * p[j]
                d2 += r2[j] * p[j]
                d3 += r3[j] * p[j]
        done = (d0, d1, d2, d3)
        for k in range(i, last):
            rest = x[k] - done[k - i]
            for j in range(first, k):
                rest -= source[k, j] * p[j]
            p[k] = rest / source[k, k]
            total += p[k] * p[k]
    return total


@jit
def _first_failure(p, weight):
    """1 + the first column whose leading block is no longer positive definite."""
    square = 1.0
    for j in range(p.size):
        square += weight * p[j] * p[j]
        if not square > 0.0:
            return j + 1
    return p.size


@jit
def _shrink_row(source, i, first, x, tables, out):
    """Rotate columns i ... first of row i of L from the right; the entry of the vector that has grown."""
    for j in range(i, first - 1, -1):
        entry = source[i, j]
        out[i, j] = tables[1, j] * entry + tables[2, j] * x
        x += tables[0, j] * entry
    return x


@jit
def _shrink_rows(source, i, x0, x1, x2, x3, tables, out):
    """`_shrink_row` of the four rows from i on, from column i - 1."""
    p, c, s = tables[0], tables[1], tables[2]
    r0, r1, r2, r3 = source[i], source[i + 1], source[i + 2], source[i + 3]
    o0, o1, o2, o3 = out[i], out[i + 1], out[i + 2], out[i + 3]
    for j in range(i - 1, -1, -1):
        pj, cj, sj = p[j], c[j], s[j]
        l0, l1, l2, l3 = r0[j], r1[j], r2[j], r3[j]
        o0[j] = cj * l0 + sj * x0
        o1[j] = cj * l1 + sj * x1
        o2[j] = cj * l2 + sj * x2
        o3[j] = cj * l3 + sj * x3
        x0 += pj * l0
        x1 += pj * l1
        x2 += pj * l2
        x3 += pj * l3


@jit
def _shrink(source, x, weight, root, out):
    """L for a negative weight: rotations that carry (p, root of the margin) to a unit vector, taken from the bottom."""
    size = x.size
    tables = np.empty((3, size))
    margin = 1.0 + weight * _solve(source, x, tables[0])
    square = margin
    if not margin > 0.0:
        return _first_failure(tables[0], weight), margin
    for j in range(size - 1, -1, -1):
        p = tables[0, j]
        term = -weight * p * p
        cosine, sine = _rotation(square, term)
        tables[1, j], tables[2, j] = root * cosine, root * (weight * p * sine)
        square += term
    left = np.empty(WIDTH)
    for i in range(0, size, WIDTH):
        last = min(i + WIDTH, size)
        whole = last - i == WIDTH
        for k in range(i, last):
            left[k - i] = _shrink_row(source, k, i if whole else 0, 0.0, tables, out)
        if whole:
            _shrink_rows(source, i, left[0], left[1], left[2], left[3], tables, out)
    return 0, margin


@jit
def factor_update(source, x, weight, root, out):
    """Write root times the lower factor of L L' + weight x x' into `out`.

    Returns 0, or 1 + the failing column, and 1 + weight x' (LL')^-1 x. `source` is L, of which the lower half is read;
    `out` may be the same memory, and its upper half is left alone. A negative weight fails before anything is written.
    """
    if weight < 0.0:
        return _shrink(source, x, weight, root, out)
    return _grow(source, x, weight, root, out)


@jit
def _take(source, x, count, row):
    """Copy the first entries of a row of W, so that it can be overwritten by vectors; their product with x."""
    z = 0.0
    for j in range(count):
        row[j] = source[j]
        z += source[j] * x[j]
    return z


@jit
def _mix(row, v, count, c, s, z, out):
    """Write c row + s v, and add z row to v."""
    for j in range(count):
        out[j] = c * row[j] + s * v[j]
        v[j] += z * row[j]


@jit
def _whitening_grow(source, x, weight, root, out):
    """W for a weight that is not negative; v is the sum of z_k W_k over the rows above."""
    size, square = x.size, 1.0
    v, row = np.zeros(size), np.empty(size)
    for i in range(size):
        z = _take(source[i], x, i + 1, row)
        term = weight * z * z
        if not square + term < np.inf:
            return i + 1, square + term
        cosine, sine = _rotation(square, term)
        _mix(row, v, i + 1, root * cosine, -root * (weight * z * sine), z, out[i])
        square += term
    return 0, square


@jit
def _whitening_shrink(source, x, weight, root, out):
    """W for a negative weight: W'z is one more row, rotated into the others from the bottom."""
    size, total = x.size, 0.0
    v, row, zs = np.zeros(size), np.empty(size), np.empty(size)
    for i in range(size):
        z = _take(source[i], x, i + 1, row)
        for j in range(i + 1):
            v[j] += z * row[j]
        zs[i] = z
        total += z * z
    margin = 1.0 + weight * total
    square = margin
    if not margin > 0.0:
        return _first_failure(zs, weight), margin
    for i in range(size - 1, -1, -1):
        z = zs[i]
        term = -weight * z * z
        cosine, sine = _rotation(square, term)
        for j in range(i + 1):
            row[j] = source[i, j]
        _mix(row, v, i + 1, root * cosine, -root * (weight * z * sine), -z, out[i])
        square += term
    return 0, margin


@jit
def whitening_update(source, x, weight, root, out):
    """Write root times the lower W~ with W~'W~ the inverse of (W'W)^-1 + weight x x'.

    Arrays and results as in `factor_update`. With z = W x and K the factor of I + weight z z', W~ = K^-1 W.
    """
    if weight < 0.0:
        return _whitening_shrink(source, x, weight, root, out)
    return _whitening_grow(source, x, weight, root, out)


@jit
def clear_upper(out):
    """Write zeros above the diagonal: fresh zeros everywhere would cost twice the memory traffic."""
    size = out.shape[0]
    for i in range(size - 1):
        out[i, i + 1 :] = 0.0


def cholesky_update(L, x, weight):
    """Turn the lower factor L of a covariance into that of L L' + weight x x', in place; O(p^2).

    Parameters
    ----------
    L : ndarray of shape (p, p)
        Float64, C-ordered, writable, positive on the diagonal. Only the lower half is read and written.
    x : ndarray of shape (p,)
        Float64, contiguous; left as it is.
    weight : float
        Negative: down-date.

    Returns
    -------
    status : int
        0, or 1 + the first column at which the matrix stops being positive definite (or finite). Then L is garbage
        after a positive weight, untouched after a negative one.
    """
    source, row = L.view(), x.view()
    source.flags.writeable = row.flags.writeable = False
    return factor_update(source, row, float(weight), 1.0, L)[0]


@warms
def _warm():
    L, x = np.eye(2), np.ones(2)
    cholesky_update(L, x, 1.0)
    clear_upper(L)
    source = np.eye(2)
    source.flags.writeable = x.flags.writeable = False
    whitening_update(source, x, 1.0, 1.0, L)
