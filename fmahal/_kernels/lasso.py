"""Coordinate descent for all row regressions of a modified Cholesky factor at once, with an exact finish.

Row j minimises, over coefficients b of its predecessors and a multiplier x of variable j itself,

    b'Gb / 2 + x g'b + alpha |b|_1,   G = gram[:j, :j], g = gram[:j, j].

With x = -1 held fixed b is the lasso of variable j on its predecessors; with x > 0 free and g_jj x^2 / 2 - log x
added it is row j of the jointly convex factor L. One solver serves both.
"""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .working_set import FIRST, SINGULAR, dot, factorise, grow, largest, new_row, refresh, slide, solve

FAR = 1e3  # times x
LANES = 64  # interleaved groups of rows: each mixes long and short ones, so that threads end together


@jit
def full_slope(data, is_gram, j, row, full):
    """Negative gradient at every predecessor. O(j a) from a Gram matrix, O(n (j + a)) from the columns."""
    x, m = row.diag[0], row.count[0]
    if is_gram:
        for k in range(j):
            full[k] = -x * data[j, k]
        for i in range(m):
            b = row.coef[i]
            if b != 0.0:
                source = data[row.members[i]]
                for k in range(j):
                    full[k] -= b * source[k]
        return
    n = data.shape[1]
    residual = np.empty(n)
    for t in range(n):
        residual[t] = -x * data[j, t]
    for i in range(m):
        b = row.coef[i]
        if b != 0.0:
            source = data[row.members[i]]
            for t in range(n):
                residual[t] -= b * source[t]
    for k in range(j):
        full[k] = dot(data[k], residual) / n


@jit
def optimality(row, full, alpha, free):
    """Largest violation of the optimality conditions over all predecessors, and over the multiplier if free."""
    worst = 0.0
    for k in range(full.size):
        worst = max(worst, abs(full[k]) - alpha)
    total = 0.0
    for i in range(row.count[0]):
        b = row.coef[i]
        total += b * row.cross[i]
        if b != 0.0:
            worst = max(worst, abs(full[row.members[i]] - (alpha if b > 0.0 else -alpha)))
    if free:
        x, square = row.diag
        worst = max(worst, abs(square * x + total - 1.0 / x))
    return worst


@jit
def extend(data, is_gram, j, row, full, level):
    """Take the variables with the largest |gradient| above `level` into the working set.

    About as many as twice the variables in use (or `FIRST`) enter at most, those in the upper part: from a cold
    start at a small alpha nearly every variable is above the level, and few of them stay.
    """
    m, used = row.count[0], 0
    for i in range(m):
        used += row.coef[i] != 0.0
    top = 0.0
    for k in range(j):
        if not row.inside[k]:
            top = max(top, abs(full[k]))
    found = j
    for turn in range(30):
        if turn > 0:
            level = 0.5 * (level + top)
        found = 0
        for k in range(j):
            found += not row.inside[k] and abs(full[k]) > level
        if found <= max(FIRST, 2 * used):
            break
    row = grow(row, m + found)
    for k in range(j):
        if row.inside[k] or not abs(full[k]) > level:
            continue
        row.inside[k] = True
        row.members[m], row.coef[m], row.slope[m] = k, 0.0, full[k]
        for i in range(m + 1):
            other = row.members[i]
            row.gram[m, i] = data[k, other] if is_gram else dot(data[k], data[other]) / data.shape[1]
            row.gram[i, m] = row.gram[m, i]
        row.cross[m] = data[j, k] if is_gram else dot(data[k], data[j]) / data.shape[1]
        m += 1
    row.count[0] = m
    return row


@jit
def set_multiplier(row):
    """Bring the free multiplier to its optimum given the coefficients; return its relative change."""
    m = row.count[0]
    x, square = row.diag
    b = dot(row.coef[:m], row.cross[:m])
    root = np.sqrt(b * b + 4.0 * square)
    new = 2.0 / (b + root) if b > 0.0 else (root - b) / (2.0 * square)
    step = new - x
    for i in range(m):
        row.slope[i] -= step * row.cross[i]
    row.diag[0] = new
    return abs(step) * np.sqrt(square)


@jit
def sweep(row, alpha, free):
    """One pass of coordinate descent over the working set; returns the largest scaled change."""
    m = row.count[0]
    coef, slope = row.coef, row.slope
    moved = 0.0
    for i in range(m):
        square, old = row.gram[i, i], coef[i]
        z = slope[i] + square * old
        new = 0.0
        if z > alpha:
            new = (z - alpha) / square
        elif z < -alpha:
            new = (z + alpha) / square
        step = new - old
        if step != 0.0:
            coef[i] = new
            source = row.gram[i]
            for k in range(m):
                slope[k] -= step * source[k]
            moved = max(moved, abs(step) * np.sqrt(square))
    if free:
        moved = max(moved, set_multiplier(row))
    row.count[2] += 1
    return moved


@jit
def support_solution(row, alpha, free):
    """Minimise over the nonzero members with their signs held: into scratch[0]; returns x.

    b = x u + v with u = -G^{-1} g, v = -alpha G^{-1} s; a free x then solves (g_jj + g'u) x + g'v = 1/x. Without
    curvature and with g'v <= 0 the l1 norm falls as x grows, until a coefficient meets zero: x is a far point.
    """
    a = row.count[1]
    u, v = row.scratch[0], row.scratch[1]
    for c in range(a):
        i = row.order[c]
        u[c] = -row.cross[i]
        v[c] = -alpha * np.sign(row.coef[i])
    x = row.diag[0]
    if not free:
        for c in range(a):
            u[c] = x * u[c] + v[c]
        solve(row, a, u[:a])
        return x
    solve(row, a, u[:a])
    solve(row, a, v[:a])
    curvature, tilt = row.diag[1], 0.0
    for c in range(a):
        curvature += row.cross[row.order[c]] * u[c]
        tilt += row.cross[row.order[c]] * v[c]
    if not curvature > SINGULAR * row.diag[1]:  # variable j is a combination of the members
        x = 1.0 / tilt if tilt > 0.0 else FAR * x
    else:
        root = np.sqrt(tilt * tilt + 4.0 * curvature)
        x = 2.0 / (tilt + root) if tilt > 0.0 else (root - tilt) / (2.0 * curvature)
    for c in range(a):
        u[c] = x * u[c] + v[c]
    return x


@jit
def finish(row, alpha, free):
    """Jump to the minimum on the current signs, or to the first sign change on the way there.

    Returns whether the jump was complete; if not, it ended at a zero and a coefficient has left. No jump raises the
    objective, which is convex and smooth on the way.
    """
    dependent = factorise(row)
    if dependent >= 0:
        slide(row, dependent)
        return False
    x = support_solution(row, alpha, free)
    a = row.count[1]
    goal = row.scratch[0]
    share, leaves = 1.0, -1
    for c in range(a):
        b = row.coef[row.order[c]]
        if alpha > 0.0 and goal[c] * b <= 0.0:
            part = b / (b - goal[c])
            if part < share or leaves < 0:
                share, leaves = part, row.order[c]
    for c in range(a):
        i = row.order[c]
        row.coef[i] = goal[c] if leaves < 0 else row.coef[i] + share * (goal[c] - row.coef[i])
    if leaves >= 0:
        row.coef[leaves] = 0.0
    row.diag[0] += share * (x - row.diag[0])
    refresh(row)
    return leaves < 0


@jit
def descend(row, alpha, free, small, last):
    """Minimise over the working set: a pass of coordinate descent for the signs, then linear systems, in turn."""
    while row.count[2] < last:
        if sweep(row, alpha, free) <= small:
            return
        while not finish(row, alpha, free):  # no passes in between: they would let collinear members back in
            pass
        outside = False
        for i in range(row.count[0]):
            outside = outside or (row.coef[i] == 0.0 and abs(row.slope[i]) > alpha)
        if not outside:
            return


@jit
def row_path(data, is_gram, j, alphas, free, tol, unit, max_iter, coef, x, rss, kkt, passes):
    """One row at every alpha, largest first, each from the solution before. Fills column j of the results.

    The violation allowed is tol unit_0; a pass that moves no coefficient by tol unit_1 is taken for the end. Each
    round minimises over the working set, then looks at the gradient of every predecessor.
    """
    square = data[j, j] if is_gram else dot(data[j], data[j]) / data.shape[1]
    row = new_row(j, 1.0 / np.sqrt(square) if free else -1.0, square)
    full = np.zeros(j)
    full_slope(data, is_gram, j, row, full)
    before = largest(full)
    for step in range(alphas.size):
        alpha = alphas[step]
        row.count[2] = 0
        row = extend(data, is_gram, j, row, full, max(0.0, 2.0 * alpha - before))
        small = tol * unit[1]
        while True:
            worst = optimality(row, full, alpha, free)
            if worst <= tol * unit[0] or row.count[2] >= max_iter:
                break
            row = extend(data, is_gram, j, row, full, alpha)
            for i in range(row.count[0]):
                row.slope[i] = full[row.members[i]]
            descend(row, alpha, free, small, max_iter)
            small *= 0.1
            full_slope(data, is_gram, j, row, full)
        explained = 0.0
        for i in range(row.count[0]):
            coef[step, row.members[i]] = row.coef[i]
            explained += row.coef[i] * (row.cross[i] + full[row.members[i]])
        x[step] = row.diag[0]
        rss[step] = max(0.0, square - explained)
        kkt[step] = worst
        passes[step] = row.count[2]
        before = alpha


@jit(parallel=True)
def l1_rows(data, is_gram, first, alphas, free, unit, tol, max_iter, coef, x, rss, kkt, passes):
    """Rows first, ..., first + rows - 1 at every alpha; coef (rows, n_alphas, width), the others (rows, n_alphas).

    `data` is the Gram matrix (p, p), or the transposed data (p, n); `unit` (rows, 2) are the units of gradient and
    scaled coefficient of each row. No row depends on another, so the numbers do not depend on the threads.
    """
    rows = coef.shape[0]
    lanes = min(LANES, rows)
    for number in prange(lanes):
        lane = np.int64(number)
        for turn in range((rows + lanes - 1) // lanes):
            i = turn * lanes + (lane if turn % 2 == 0 else lanes - 1 - lane)
            if i < rows:
                row_path(
                    data,
                    is_gram,
                    first + i,
                    alphas,
                    free,
                    tol,
                    unit[i],
                    max_iter,
                    coef[i],
                    x[i],
                    rss[i],
                    kkt[i],
                    passes[i],
                )


@warms
def _warm():
    gram, rows = np.array([[1.0, 0.5], [0.5, 1.0]]), np.ones((2, 2))
    for array in (gram, rows):
        array.flags.writeable = False
    out = [np.zeros((2, 1)) for _ in range(3)]
    l1_rows(
        gram,
        True,
        0,
        np.full(1, 0.1),
        False,
        rows,
        1e-9,
        9,
        np.zeros((2, 1, 2)),
        *out,
        np.zeros((2, 1), np.int64),
    )
