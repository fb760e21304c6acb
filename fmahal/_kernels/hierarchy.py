"""Rows of a Cholesky factor under the hierarchical group penalty, which gives each row its own bandwidth.

Row r minimises, over the entries beta before the diagonal and the diagonal x > 0,

    (beta, x)' S (beta, x) - 2 log x + alpha sum_{l<r} |W_l beta_{<=l}|,   W_l = diag(w_l, ..., w_0).

A predecessor is in use only if every nearer one is: the zeros of a row are its first entries, and on the others the
criterion is smooth. Without weights proximal steps find the first nonzero and Newton steps the values. With weights
there is no cheap proximal map; a primal-dual path on smoothed norms, |.|_eps = (|.|^2 + eps^2)^{1/2}, finds it.
"""

import numpy as np
from numba import prange

from ._jit import jit, warms
from .lasso import LANES
from .nested import cholesky, substitute
from .working_set import dot, largest

NEWTON_STEPS = 40
PROXIMAL_STEPS = 300  # before the path takes over
NOISE = 1e-10  # predicted gains below this share of the objective are taken without a look at it
COOLING = 0.2  # of eps after a full step


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
def trim(beta):
    """Set to zero the first entries that are zero up to rounding; return the index of the first that is not."""
    least = 1e-14 * largest(beta)
    start = 0
    while start < beta.size and abs(beta[start]) <= least:
        beta[start] = 0.0
        start += 1
    return start


@jit
def group_norms(beta, w, weighted, eps, start, norms):
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
        norms[l] = np.sqrt(total + eps * eps)


@jit
def row_value(gram, r, beta, x, alpha, w, weighted, eps, start, norms, push):
    """Objective of row r; leaves group norms in `norms` and G beta + x g in `push`. O(r k)."""
    g = gram[r]
    for m in range(r):
        push[m] = x * g[m]
    for m in range(start, r):
        b, source = beta[m], gram[m]
        for k in range(r):
            push[k] += b * source[k]
    group_norms(beta, w, weighted, eps, start, norms)
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
    value = row_value(gram, r, beta, x, alpha, w, weighted, 0.0, start, norms, push)
    for _ in range(NEWTON_STEPS):
        k = r - start
        newton_system(gram, r, beta, x, alpha, w, weighted, start, norms, push, H, rhs)
        for i in range(k + 1):
            grad[i] = rhs[i]
        if largest(rhs[: k + 1]) <= small or not cholesky(H, k + 1):
            break
        substitute(H, k + 1, rhs)
        gain = 2.0 * dot(rhs[: k + 1], grad[: k + 1])
        noise = NOISE * (1.0 + abs(value))
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
            new = row_value(gram, r, trial, x + share * rhs[k], alpha, w, weighted, 0.0, first, norms, push)
            if new <= value - 1e-4 * share * gain or gain <= noise:
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
def proximal_row(gram, r, alpha, w, bound, small, steps, beta):
    """Proximal gradient steps without weights, with Newton steps whenever the first nonzero rests.

    With x at its optimum the smooth part has the gradient 2 (G beta + x g), whose Lipschitz constant is at most
    2 lambda_max(G). Returns x, the last step over its length, and the steps taken.
    """
    y = np.zeros(r)
    total = 0.0
    for m in range(r):
        reach = 0.0
        for k in range(r):
            reach += abs(gram[m, k])
        total = max(total, reach)
    rate = 0.5 / min(bound, total)
    x, worst, last = best_diagonal(gram, r, beta), np.inf, -1
    for step in range(steps + 1):
        for m in range(r):
            y[m] = beta[m] - rate * 2.0 * x * gram[r, m]
        for m in range(r):
            if beta[m] != 0.0:
                for k in range(r):
                    y[k] -= 2.0 * rate * beta[m] * gram[m, k]
        if alpha > 0.0:
            shrink_nested(y, rate * alpha)
        worst = 0.0
        for m in range(r):
            worst = max(worst, abs(y[m] - beta[m]) / rate)
        if worst <= small or step == steps:
            return x, worst, step
        for m in range(r):
            beta[m] = y[m]
        start = trim(beta)
        if start == last:
            newton(gram, r, beta, best_diagonal(gram, r, beta), alpha, w, False, start, 0.01 * small)
            start = trim(beta)
        last = start
        x = best_diagonal(gram, r, beta)
    return x, worst, steps


@jit
def path_system(gram, r, beta, x, alpha, w, norms, push, dual, H, rhs):
    """Half the primal-dual matrix (lower triangle) and minus half the gradient of the smoothed criterion. O(r^3 / 3).

    The matrix replaces one of the two directions in each group's curvature by its dual, which is what makes the steps
    long when eps is small; it is positive definite as long as the duals lie in their balls.
    """
    turn, pull = np.empty(r), np.empty(r)
    for m in range(r):
        for k in range(m + 1):
            H[m, k] = gram[m, k]
        H[r, m] = gram[r, m]
        rhs[m] = -push[m]
    H[r, r] = gram[r, r] + 1.0 / (x * x)
    rhs[r] = 1.0 / x - gram[r, r] * x - dot(gram[r, :r], beta)
    for l in range(r):
        inverse = 1.0 / norms[l]
        for m in range(l + 1):
            weight = w[l - m]
            turn[m] = weight * weight * beta[m] * inverse
            pull[m] = weight * dual[l, m]
            H[m, m] += 0.5 * alpha * weight * weight * inverse
            rhs[m] -= 0.5 * alpha * turn[m]
        for m in range(l + 1):
            a, b = 0.25 * inverse * pull[m], 0.25 * inverse * turn[m]
            for k in range(m + 1):
                H[m, k] -= a * turn[k] + b * pull[k]


@jit
def path_dual(beta, step, share, alpha, w, norms, dual):
    """Newton step of the duals that belongs to a step of beta, back into the balls of radius alpha. O(r^2)."""
    for l in range(beta.size):
        inverse = 1.0 / norms[l]
        along = 0.0
        for m in range(l + 1):
            along += w[l - m] * w[l - m] * beta[m] * step[m] * inverse
        size = 0.0
        for m in range(l + 1):
            weight, a = w[l - m], dual[l, m]
            change = alpha * weight * beta[m] * inverse - a + (alpha * weight * step[m] - a * along) * inverse
            dual[l, m] = a + share * change
            size += dual[l, m] ** 2
        if size > alpha * alpha:
            inside = alpha / np.sqrt(size)
            for m in range(l + 1):
                dual[l, m] *= inside


@jit
def settle(gram, r, beta, alpha, w, weighted, least, small, norms, push, out):
    """Turn a point of the path into a row: zeros, exact values, and a bound on the violation of optimality.

    Zeros are the entries before the first above `least`. The duals of their groups, inside the balls by construction,
    come from the path; what they leave of the gradient there, and the gradient on the nonzero entries, bound the
    violation.
    """
    start = 0
    while start < r and abs(beta[start]) <= least:
        start += 1
    for m in range(r):
        out[m] = beta[m] if m >= start else 0.0
    start, x = newton(gram, r, out, best_diagonal(gram, r, out), alpha, w, weighted, start, 0.01 * small)
    exact = np.zeros(r)
    row_value(gram, r, out, x, alpha, w, weighted, 0.0, start, exact, push)
    worst = abs(2.0 * (dot(gram[r, :r], out) + gram[r, r] * x - 1.0 / x))
    for m in range(r):
        slope = 2.0 * push[m]
        for l in range(m, r):
            if l < start:
                slope += alpha * w[l - m] * w[l - m] * beta[m] / norms[l]
            elif m >= start:
                slope += alpha * w[l - m] * w[l - m] * out[m] / exact[l]
        worst = max(worst, abs(slope))
    return x, worst


@jit
def path_row(gram, r, alpha, w, weighted, small, steps, out):
    """Primal-dual Newton steps while eps falls; returns x, the violation and the steps taken."""
    beta, trial, dual = np.zeros(r), np.zeros(r), np.zeros((r, r))
    norms, push = np.zeros(r), np.zeros(r)
    H, rhs, grad = np.empty((r + 1, r + 1)), np.empty(r + 1), np.empty(r + 1)
    x = 1.0 / np.sqrt(gram[r, r])
    eps, least = 0.1 * x, 1e-9 * x
    worst, diagonal = np.inf, x
    for step in range(1, steps + 1):
        value = row_value(gram, r, beta, x, alpha, w, weighted, eps, 0, norms, push)
        path_system(gram, r, beta, x, alpha, w, norms, push, dual, H, rhs)
        for i in range(r + 1):
            grad[i] = rhs[i]
        if eps <= least and largest(grad) <= 0.1 * small:
            for factor in (1e6, 1e4, 1e2):  # zeros shrink with eps, some of them slowly
                diagonal, worst = settle(
                    gram, r, beta, alpha, w, weighted, factor * eps, small, norms, push, out
                )
                if worst <= small or least < 1e-22 * x:
                    return diagonal, worst, step
            least *= 0.01
        if not cholesky(H, r + 1):
            break
        substitute(H, r + 1, rhs)
        gain = 2.0 * dot(rhs, grad)
        noise = NOISE * (1.0 + abs(value))
        share = 1.0 if x + rhs[r] > 0.0 else 0.9 * x / -rhs[r]
        for _ in range(40):
            for m in range(r):
                trial[m] = beta[m] + share * rhs[m]
            new = row_value(gram, r, trial, x + share * rhs[r], alpha, w, weighted, eps, 0, grad, push)
            if new <= value - 1e-4 * share * gain or gain <= noise:
                break
            share *= 0.5
        path_dual(beta, rhs, share, alpha, w, norms, dual)
        for m in range(r):
            beta[m] = trial[m]
        x += share * rhs[r]
        if share == 1.0 and eps > least:
            eps *= COOLING
    row_value(gram, r, beta, x, alpha, w, weighted, eps, 0, norms, push)
    diagonal, worst = settle(gram, r, beta, alpha, w, weighted, 1e4 * eps, small, norms, push, out)
    return diagonal, worst, steps


@jit
def hierarchical_row(gram, r, alpha, w, weighted, bound, small, max_iter, out):
    """Row r of L, into out[:r+1]; returns the violation of optimality (units of the gradient) and the iterations."""
    beta = np.zeros(r)
    x, worst, steps = 1.0 / np.sqrt(gram[r, r]), 0.0, 0
    if r > 0 and not weighted:
        x, worst, steps = proximal_row(gram, r, alpha, w, bound, small, min(max_iter, PROXIMAL_STEPS), beta)
    if r > 0 and steps < max_iter and (weighted or worst > small):
        x, worst, more = path_row(gram, r, alpha, w, weighted, small, max_iter - steps, beta)
        steps += more
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
    hierarchical_rows(gram, 0.1, ones, True, 1.5, ones, 1e-9, 9, np.zeros((2, 2)), np.zeros(2), steps)
