"""Rows of a Cholesky factor with a bandwidth of their own: nested lasso, and the hierarchical group penalty.

In both, a predecessor can be in use only if every nearer one is. The zeros of a row are therefore its first
entries, and on the others both penalties are smooth: proximal steps find the first nonzero, Newton steps the values.
"""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .lasso import LANES
from .working_set import dot, largest

GONE = 1e-10  # standardised nested-lasso coefficient below which it and all farther ones are zero
NEWTON_STEPS = 40
PASSES = 5000  # of the dual projections inside one weighted proximal step
EVERY = 5  # passes between two extrapolations


@jit
def cholesky(A, m):
    """Lower factor of the leading m x m block, in place; False if it is not positive definite. O(m^3 / 6)."""
    for i in range(m):
        for k in range(i):
            A[i, k] = (A[i, k] - dot(A[i, :k], A[k, :k])) / A[k, k]
        pivot = A[i, i] - dot(A[i, :i], A[i, :i])
        if not pivot > 1e-15 * A[i, i]:
            return False
        A[i, i] = np.sqrt(pivot)
    return True


@jit
def substitute(A, m, rhs):
    """Solve with the factor in place. O(m^2)."""
    for i in range(m):
        rhs[i] = (rhs[i] - dot(A[i, :i], rhs[:i])) / A[i, i]
    for i in range(m - 1, -1, -1):
        rhs[i] /= A[i, i]
        for k in range(i):
            rhs[k] -= A[i, k] * rhs[i]


@jit
def nested_row(gram, j, alpha, tol, max_iter, phi):
    """Nested lasso of variable j by local quadratic iteration; returns relative change, iterations, success.

    Coefficients phi[t] run from the nearest predecessor (t = 0) outwards. With s_t^2 = |phi_t phi_{t-1}| at the
    previous iterate (phi_{-1} the marginal slope on the nearest) the ridge system (G + alpha S^-2) phi = g is solved as
    (S G S + alpha I) psi = S g, phi = S psi, whose condition does not suffer from coefficients on their way to zero.
    """
    near = 0.0
    for t in range(j):
        square = gram[j - 1 - t, j - 1 - t]
        phi[t] = gram[j, j - 1 - t] / square if square > 0.0 else 0.0
    near = abs(phi[0])
    m, change = j, np.inf
    A, new, s = np.empty((j, j)), np.empty(j), np.empty(j)
    for step in range(max_iter):
        for t in range(m):
            k = j - 1 - t
            if abs(phi[t]) * np.sqrt(gram[k, k]) <= GONE * np.sqrt(gram[j, j]):
                for c in range(t, m):
                    phi[c] = 0.0
                m = t
                break
            s[t] = np.sqrt(abs(phi[t]) * (near if t == 0 else abs(phi[t - 1])))
        for t in range(m):
            for c in range(t + 1):
                A[t, c] = s[t] * gram[j - 1 - t, j - 1 - c] * s[c]
            A[t, t] += alpha
            new[t] = s[t] * gram[j, j - 1 - t]
        if not cholesky(A, m):
            return change, step, False
        substitute(A, m, new)
        moved, size = 0.0, 0.0
        for t in range(m):
            value = s[t] * new[t]
            moved += abs(value - phi[t])
            size += abs(phi[t])
            phi[t] = value
        change = moved / size if size > 0.0 else 0.0
        if change <= tol:
            return change, step + 1, True
    return change, max_iter, True


@jit(parallel=True)
def nested_rows(gram, alpha, tol, max_iter, coef, rss, change, steps, solved):
    """Nested lasso of every variable on its predecessors: coef (p, p) strictly lower, the others (p,)."""
    p = gram.shape[0]
    lanes = min(LANES, p)
    for number in prange(lanes):
        lane = np.int64(number)
        for turn in range((p + lanes - 1) // lanes):
            j = turn * lanes + (lane if turn % 2 == 0 else lanes - 1 - lane)
            if j >= p:
                continue
            phi = np.zeros(j)
            change[j], steps[j], solved[j] = 0.0, 0, True
            if j > 0 and gram[j, j] > 0.0:
                change[j], steps[j], solved[j] = nested_row(gram, j, alpha, tol, max_iter, phi)
            total = gram[j, j]
            for t in range(j):
                k = j - 1 - t
                coef[j, k] = phi[t]
            for k in range(j):
                b = coef[j, k]
                if b != 0.0:
                    total += b * (dot(gram[k, :j], coef[j, :j]) - 2.0 * gram[j, k])
            rss[j] = max(0.0, total)


@jit
def shrink_nested(y, level):
    """Proximal map of level * sum_l |y_{<=l}|_2, in place: one pass of group shrinkage from the smallest group. O(r).

    Exact because shrinking a group by a factor does not turn the directions of the groups inside it.
    """
    r = y.size
    factor = np.empty(r)
    size = 0.0
    for l in range(r):
        size = np.hypot(size, y[l])
        factor[l] = 0.0 if size <= level else 1.0 - level / size
        size *= factor[l]
    total = 1.0
    for l in range(r - 1, -1, -1):
        total *= factor[l]
        y[l] *= total


@jit
def project_group(y, a, w, l, level, nu):
    """Dual of one weighted group: a = argmin |y - W a| with |a| <= level on entries 0..l; returns its multiplier.

    a_m = w_m y_m / (w_m^2 + nu), nu >= 0 the root of |a| = level, by Newton's method on 1/|a|, which converges from the
    left without overshooting. w_m = w[l - m].
    """
    top = 0.0
    for m in range(l + 1):
        top += (w[l - m] * y[m]) ** 2
    nu = max(nu, np.sqrt(top) / level - 1.0, 0.0)
    for _ in range(60):
        size, slope = 0.0, 0.0
        for m in range(l + 1):
            q = w[l - m] * w[l - m]
            part = (w[l - m] * y[m]) / (q + nu)
            a[m] = part
            size += part * part
            slope += part * part / (q + nu)
        size = np.sqrt(size)
        if nu == 0.0 and size <= level:
            return 0.0
        if abs(size - level) <= 1e-14 * level:
            break
        nu = max(0.0, nu + size * size / slope * (size - level) / level)
    return nu


@jit
def dual_pass(y, w, level, dual, old, nu):
    """Project the dual of every group in turn; y stays the primal point. Returns the largest move of y. O(r^2)."""
    moved = 0.0
    for l in range(y.size):
        for m in range(l + 1):
            old[l, m] = dual[l, m]
            y[m] += w[l - m] * dual[l, m]
        nu[l] = project_group(y, dual[l], w, l, level, nu[l])
        for m in range(l + 1):
            y[m] -= w[l - m] * dual[l, m]
            moved = max(moved, w[l - m] * abs(dual[l, m] - old[l, m]))
            if nu[l] == 0.0:
                y[m] = 0.0
    return moved


@jit
def extrapolate(target, y, w, level, dual, old, stretch):
    """Move the dual on by `stretch` times its last change, back into the balls, if that lowers the dual objective."""
    trial = target.copy()
    for l in range(y.size):
        size = 0.0
        for m in range(l + 1):
            old[l, m] = dual[l, m] + stretch * (dual[l, m] - old[l, m])
            size += old[l, m] ** 2
        inside = min(1.0, level / np.sqrt(size)) if size > 0.0 else 1.0
        for m in range(l + 1):
            old[l, m] *= inside
            trial[m] -= w[l - m] * old[l, m]
    if dot(trial, trial) < dot(y, y):
        for l in range(y.size):
            y[l] = trial[l]
            for m in range(l + 1):
                dual[l, m] = old[l, m]


@jit
def shrink_weighted(y, w, level, beta, small, dual, old, nu):
    """Proximal map of level * sum_l (sum_{m<=l} w_{l-m}^2 y_m^2)^{1/2}, in place: cyclic projections of the dual.

    Non-uniform shrinkage turns the directions of the inner groups, so that one pass is not enough, as it is without
    weights. The passes converge linearly, often slowly and along one direction: every few passes the dual jumps to the
    limit of a geometric series. They start at zero; from the dual of a neighbouring point, where a large group holds
    what small ones should, they take far longer. They end once y is known to a tenth of its distance from `beta`, or
    lies within `small` of it. O(r^2) a pass; `dual`, `old` (r, r) and `nu` (r,) are work space.
    """
    r = y.size
    target, size = y.copy(), largest(y)
    for l in range(r):
        nu[l] = 0.0
        for m in range(l + 1):
            dual[l, m] = 0.0
    before = np.inf
    for turn in range(1, PASSES):
        moved = dual_pass(y, w, level, dual, old, nu)
        away = 0.0
        for m in range(r):
            away = max(away, abs(y[m] - beta[m]))
        rate = min(moved / before, 0.9999)
        before = moved
        if away <= small or moved <= 1e-15 * size or moved <= 0.1 * (1.0 - rate) * away:
            break
        if turn % EVERY == 0 and rate > 0.5:
            extrapolate(target, y, w, level, dual, old, rate / (1.0 - rate))


@jit
def trim(beta):
    """Set to zero the first entries that are zero up to rounding; return the index of the first that is not."""
    least = 1e-14 * largest(beta)
    start = 0
    while start < beta.size and abs(beta[start]) <= least:
        beta[start] = 0.0
        start += 1
    return start


@jit
def group_norms(beta, w, weighted, start, norms):
    """Norms of the nested groups that hold a nonzero entry, the first of which is `start`; the others are zero."""
    r = beta.size
    total = 0.0
    for l in range(start, r):
        if weighted:
            total = 0.0
            for m in range(start, l + 1):
                total += (w[l - m] * beta[m]) ** 2
        else:
            total += beta[l] * beta[l]
        norms[l] = np.sqrt(total)


@jit
def row_value(gram, r, beta, x, alpha, w, weighted, start, norms, push):
    """Objective of row r; leaves group norms in `norms` and G beta + x g in `push`. O(r k)."""
    g = gram[r]
    for m in range(r):
        push[m] = x * g[m]
    for m in range(start, r):
        b, source = beta[m], gram[m]
        for k in range(r):
            push[k] += b * source[k]
    group_norms(beta, w, weighted, start, norms)
    total = g[r] * x * x - 2.0 * np.log(x)
    for m in range(start, r):
        total += beta[m] * (push[m] + x * g[m]) + alpha * norms[m]
    return total


@jit
def best_diagonal(gram, r, beta):
    """Minimise g_rr x^2 + 2 x g'beta - 2 log x over x > 0."""
    b = dot(gram[r, :r], beta)
    root = np.sqrt(b * b + 4.0 * gram[r, r])
    return 2.0 / (b + root) if b > 0.0 else (root - b) / (2.0 * gram[r, r])


@jit
def newton_system(gram, r, beta, x, alpha, w, weighted, start, norms, push, H, rhs):
    """Half the Hessian (lower triangle) and minus half the gradient on the nonzero entries and the diagonal."""
    k = r - start
    near = np.zeros(r + 1)
    bend = np.zeros(r + 1)
    for l in range(r - 1, start - 1, -1):
        near[l] = near[l + 1] + 1.0 / norms[l]
        bend[l] = bend[l + 1] + 1.0 / norms[l] ** 3
    for m in range(start, r):
        i = m - start
        pull = near[m]
        if weighted:
            pull = 0.0
            for l in range(m, r):
                pull += w[l - m] ** 2 / norms[l]
        for c in range(start, m + 1):
            turn = bend[m]
            if weighted:
                turn = 0.0
                for l in range(m, r):
                    turn += (w[l - m] * w[l - c]) ** 2 / norms[l] ** 3
            H[i, c - start] = gram[m, c] - 0.5 * alpha * turn * beta[m] * beta[c]
        H[i, i] += 0.5 * alpha * pull
        rhs[i] = -push[m] - 0.5 * alpha * pull * beta[m]
        H[k, i] = gram[r, m]
    H[k, k] = gram[r, r] + 1.0 / (x * x)
    rhs[k] = 1.0 / x - gram[r, r] * x - dot(gram[r, :r], beta)


@jit
def newton(gram, r, beta, x, alpha, w, weighted, start, small):
    """Minimise over the entries from `start` on and the diagonal by damped Newton steps; returns start and x.

    The first nonzero entry has a kink at zero: a step that would cross it stops there and the entry leaves.
    """
    norms, push, trial = np.zeros(r), np.zeros(r), beta.copy()
    H, rhs, grad = np.empty((r + 1, r + 1)), np.empty(r + 1), np.empty(r + 1)
    value = row_value(gram, r, beta, x, alpha, w, weighted, start, norms, push)
    for _ in range(NEWTON_STEPS):
        k = r - start
        newton_system(gram, r, beta, x, alpha, w, weighted, start, norms, push, H, rhs)
        for i in range(k + 1):
            grad[i] = rhs[i]
        if largest(rhs[: k + 1]) <= small or not cholesky(H, k + 1):
            break
        substitute(H, k + 1, rhs)
        gain = 2.0 * dot(rhs[: k + 1], grad[: k + 1])
        share = 1.0 if x + rhs[k] > 0.0 else 0.9 * x / -rhs[k]
        kink = -1.0
        if k > 0 and alpha > 0.0 and (beta[start] + share * rhs[0]) * beta[start] <= 0.0:
            kink = share = -beta[start] / rhs[0]
        done = False
        for _ in range(30):
            for m in range(start, r):
                trial[m] = beta[m] + share * rhs[m - start]
            first = start
            if share == kink:
                trial[start] = 0.0
                first += 1
                while first < r and trial[first] == 0.0:
                    first += 1
            new = row_value(gram, r, trial, x + share * rhs[k], alpha, w, weighted, first, norms, push)
            if new <= value - 1e-4 * share * gain + 1e-14 * abs(value):
                done = True
                break
            share *= 0.5
        if not done:
            break
        for m in range(r):
            beta[m] = trial[m]
        x += share * rhs[k]
        start, value = first, new
    return start, x


@jit
def hierarchical_row(gram, r, alpha, w, weighted, bound, small, max_iter, out):
    """Row r of L, into out[:r+1]; returns the optimality residual (units of the gradient) and the iterations.

    min over beta and x > 0 of (beta, x)' S (beta, x) - 2 log x + alpha sum_l |W_l beta_{<=l}|. With x at its optimum
    the smooth part has a gradient 2 (G beta + x g) whose Lipschitz constant is at most 2 lambda_max(G).
    """
    beta, y = np.zeros(r), np.zeros(r)
    side = r if weighted else 0
    dual, old = np.zeros((side, side)), np.zeros((side, side))
    nu = np.zeros(r)
    total = 0.0
    for m in range(r):
        reach = 0.0
        for k in range(r):
            reach += abs(gram[m, k])
        total = max(total, reach)
    rate = 0.5 / min(bound, total) if total > 0.0 else 1.0
    x, worst, last, steps = 1.0 / np.sqrt(gram[r, r]), 0.0, -1, 0
    while r > 0:
        for m in range(r):
            y[m] = beta[m] - rate * 2.0 * x * gram[r, m]
        for m in range(r):
            if beta[m] != 0.0:
                for k in range(r):
                    y[k] -= 2.0 * rate * beta[m] * gram[m, k]
        if weighted and alpha > 0.0:
            shrink_weighted(y, w, rate * alpha, beta, 0.5 * rate * small, dual, old, nu)
        elif alpha > 0.0:
            shrink_nested(y, rate * alpha)
        worst = 0.0
        for m in range(r):
            worst = max(worst, abs(y[m] - beta[m]) / rate)
        if worst <= small or steps >= max_iter:
            break
        steps += 1
        for m in range(r):
            beta[m] = y[m]
        start = trim(beta)
        x = best_diagonal(gram, r, beta)
        if start == last:
            start, x = newton(gram, r, beta, x, alpha, w, weighted, start, 0.01 * small)
            start = trim(beta)
            x = best_diagonal(gram, r, beta)
        last = start
    for m in range(r):
        out[m] = beta[m]
    out[r] = x
    return worst, steps


@jit(parallel=True)
def hierarchical_rows(gram, alpha, w, weighted, bound, units, tol, max_iter, L, kkt, passes):
    """All rows of L (p, p); `w` (p,) weights by distance, `bound` the largest eigenvalue, `units` (p,) of gradients."""
    p = gram.shape[0]
    lanes = min(LANES, p)
    for number in prange(lanes):
        lane = np.int64(number)
        for turn in range((p + lanes - 1) // lanes):
            r = turn * lanes + (lane if turn % 2 == 0 else lanes - 1 - lane)
            if r < p:
                worst, passes[r] = hierarchical_row(
                    gram, r, alpha, w, weighted, bound, tol * units[r], max_iter, L[r]
                )
                kkt[r] = worst / units[r]


@warms
def _warm():
    gram, ones = np.array([[1.0, 0.5], [0.5, 1.0]]), np.ones(2)
    for array in (gram, ones):
        array.flags.writeable = False
    steps = np.zeros(2, np.int64)
    nested_rows(gram, 0.1, 1e-4, 9, np.zeros((2, 2)), np.zeros(2), np.zeros(2), steps, np.zeros(2, np.bool_))
    hierarchical_rows(gram, 0.1, ones, True, 1.5, ones, 1e-9, 9, np.zeros((2, 2)), np.zeros(2), steps)
