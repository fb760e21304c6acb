"""The working set of one penalised regression: who is in, with gradient, Gram matrix and Cholesky factor."""

from typing import NamedTuple

import numpy as np

from ._jit import jit

FIRST = 32  # members of a working set to begin with
SINGULAR = 1e-12  # pivot over diagonal below which the members count as dependent


class Row(NamedTuple):
    """Working set of one row: the members, their coefficients, gradient, Gram matrix and Cholesky factor."""

    members: np.ndarray  # (cap,) variables in the working set
    inside: np.ndarray  # (j,) whether a variable is a member
    coef: np.ndarray  # (cap,)
    slope: np.ndarray  # (cap,) negative gradient of the smooth part at the members
    cross: np.ndarray  # (cap,) products of the members with variable j
    gram: np.ndarray  # (cap, cap)
    factor: np.ndarray  # (cap, cap) lower Cholesky factor of the members in `order`
    order: np.ndarray  # (cap,) members in the factor
    scratch: np.ndarray  # (3, cap)
    count: np.ndarray  # (3,) members, factorised members, passes over the data
    diag: np.ndarray  # (2,) multiplier x, square g_jj


@jit
def new_row(j, x, square):
    """Return an empty working set."""
    cap = max(1, min(j, FIRST))
    diag = np.empty(2)
    diag[0], diag[1] = x, square
    return Row(
        np.empty(cap, np.int64),
        np.zeros(j, np.bool_),
        np.zeros(cap),
        np.zeros(cap),
        np.zeros(cap),
        np.zeros((cap, cap)),
        np.zeros((cap, cap)),
        np.zeros(cap, np.int64),
        np.zeros((3, cap)),
        np.zeros(3, np.int64),
        diag,
    )


@jit
def grow(row, need):
    """Return the same working set with room for `need` members."""
    old = row.coef.size
    if need <= old:
        return row
    cap = min(row.inside.size, max(need, 2 * old))
    new = Row(
        np.empty(cap, np.int64),
        row.inside,
        np.zeros(cap),
        np.zeros(cap),
        np.zeros(cap),
        np.zeros((cap, cap)),
        np.zeros((cap, cap)),
        np.zeros(cap, np.int64),
        np.zeros((3, cap)),
        row.count,
        row.diag,
    )
    for i in range(
        old
    ):  # loops, not slices: those bring half a minute of compilation for their error messages
        new.members[i], new.order[i] = row.members[i], row.order[i]
        new.coef[i], new.slope[i], new.cross[i] = row.coef[i], row.slope[i], row.cross[i]
        for k in range(old):
            new.gram[i, k], new.factor[i, k] = row.gram[i, k], row.factor[i, k]
    return new


@jit
def dot(a, b):
    """Inner product of two contiguous vectors."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@jit
def largest(a):
    """Largest absolute entry of a vector, zero if it is empty."""
    top = 0.0
    for i in range(a.size):
        top = max(top, abs(a[i]))
    return top


@jit
def remove(row, place):
    """Take a member out of the factor by rotations of neighbouring columns, row by row. O((a - place)^2)."""
    a = row.count[1]
    cosine, sine = row.scratch[0], row.scratch[1]
    for i in range(place, a - 1):
        line, below = row.factor[i], row.factor[i + 1]
        row.order[i] = row.order[i + 1]
        for c in range(place):
            line[c] = below[c]
        value = below[place]
        for c in range(place, i):
            other = below[c + 1]
            line[c] = cosine[c] * value + sine[c] * other
            value = cosine[c] * other - sine[c] * value
        size = np.hypot(value, below[i + 1])
        cosine[i], sine[i] = value / size, below[i + 1] / size
        line[i] = size
    row.count[1] = a - 1


@jit
def factorise(row):
    """Bring the factor up to date with the nonzero members: take out those that left, append the new ones.

    Returns the first member that depends on those before it, or -1. O(a^2) a new member.
    """
    m = row.count[0]
    held = row.scratch[2]
    for i in range(m):
        held[i] = 0.0
    for place in range(row.count[1] - 1, -1, -1):
        if row.coef[row.order[place]] == 0.0:
            remove(row, place)
        else:
            held[row.order[place]] = 1.0
    kept = row.count[1]
    for i in range(m):
        if row.coef[i] == 0.0 or held[i] != 0.0:
            continue
        line = row.factor[kept]
        pivot = row.gram[i, i]
        for c in range(kept):
            above = row.factor[c]
            value = (row.gram[i, row.order[c]] - dot(line[:c], above[:c])) / above[c]
            line[c] = value
            pivot -= value * value
        if not pivot > SINGULAR * row.gram[i, i]:
            return i
        line[kept] = np.sqrt(pivot)
        row.order[kept] = i
        kept += 1
        row.count[1] = kept
    return -1


@jit
def solve(row, a, rhs):
    """Solve with the factor in place: rhs <- (F F')^{-1} rhs."""
    for i in range(a):
        rhs[i] = (rhs[i] - dot(row.factor[i, :i], rhs[:i])) / row.factor[i, i]
    for i in range(a - 1, -1, -1):
        rhs[i] /= row.factor[i, i]
        for k in range(i):
            rhs[k] -= row.factor[i, k] * rhs[i]


@jit
def refresh(row):
    """Recompute the negative gradient at the members from their coefficients. O(m a)."""
    m = row.count[0]
    for k in range(m):
        row.slope[k] = -row.diag[0] * row.cross[k]
    for i in range(m):
        b, source = row.coef[i], row.gram[i]
        if b != 0.0:
            for k in range(m):
                row.slope[k] -= b * source[k]


@jit
def slide(row, dependent):
    """Take one coefficient out along a direction on which the fit does not change and the l1 norm does not grow.

    The member `dependent`, at which `factorise` stopped, is a combination of those in the factor.
    """
    a = row.count[1]
    v = row.scratch[0]
    for c in range(a):
        v[c] = row.factor[a, c]
    for c in range(a - 1, -1, -1):
        v[c] /= row.factor[c, c]
        for k in range(c):
            v[k] -= row.factor[c, k] * v[c]
    growth = -np.sign(row.coef[dependent])
    for c in range(a):
        growth += v[c] * np.sign(row.coef[row.order[c]])
    way = -1.0 if growth > 0.0 else 1.0
    length, leaves = np.inf, dependent
    for c in range(a + 1):
        i = row.order[c] if c < a else dependent
        rate = way * v[c] if c < a else -way
        if row.coef[i] * rate < 0.0 and -row.coef[i] / rate < length:
            length, leaves = -row.coef[i] / rate, i
    if length == np.inf:  # rounding hid the crossing
        length = 0.0
    for c in range(a):
        row.coef[row.order[c]] += length * way * v[c]
    row.coef[dependent] -= length * way
    row.coef[leaves] = 0.0
    refresh(row)
