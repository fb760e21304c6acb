"""Slow readable twins of what fmahal computes: the specification, in plain NumPy.

Nothing here is fast, blocked or clever; each function is the formula.
"""

import numpy as np


def squared_distance(X, location, covariance):
    """d^2 = (x - m)' Sigma^-1 (x - m), row by row, by a linear solve in the units of the correlation matrix."""
    X = np.asarray(X, dtype=float)
    sd = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sd, sd)
    return np.array([z @ np.linalg.solve(correlation, z) for z in (X - location) / sd])


def squared_distance_on_range(X, location, covariance, rank):
    """The same on the range of a singular covariance: the `rank` leading directions of the correlation matrix."""
    sd = np.sqrt(np.diagonal(covariance))
    sd = np.where(sd > 0, sd, sd.max())
    w, V = np.linalg.eigh(covariance / np.outer(sd, sd))
    w, V = w[-rank:], V[:, -rank:]
    scores = ((np.asarray(X, dtype=float) - location) / sd) @ V
    return (scores**2 / w).sum(axis=1)


def cross_squared_distance(XA, XB, covariance):
    """All pairs of rows of two arrays."""
    return np.array([squared_distance(XB, a, covariance) for a in np.asarray(XA, dtype=float)])


def spectral_covariance(w, V, ridge, scale):
    """D (V diag(w) V' + ridge I) D as a dense matrix."""
    p = V.shape[0]
    D = np.diag(np.ones(p) if scale is None else scale)
    return D @ (V @ np.diag(w) @ V.T + ridge * np.eye(p)) @ D


def unit_lower_from_band(band):
    """T with -phi_{j,j-t} in row j, column j - t, from coefficients (p, k)."""
    p, k = band.shape
    T = np.eye(p)
    for j in range(p):
        for t in range(1, min(k, j) + 1):
            T[j, j - t] = -band[j, t - 1]
    return T


def unit_lower_from_dual(dual, columns):
    """T with -phi_jk = -columns_k . dual_j below the diagonal."""
    p = dual.shape[0]
    T = np.eye(p)
    for j in range(p):
        for k in range(j):
            T[j, k] = -(columns[k] @ dual[j])
    return T


def modified_cholesky_precision(T, var):
    """T' D^-1 T as a dense matrix."""
    return T.T @ np.diag(1.0 / np.asarray(var)) @ T


def sample_moments(X, assume_centered=False):
    """Location and covariance with divisor n."""
    X = np.asarray(X, dtype=float)
    location = np.zeros(X.shape[1]) if assume_centered else X.mean(axis=0)
    rows = X - location
    return location, sum(np.outer(x, x) for x in rows) / len(rows)


def ledoit_wolf_intensity(X, assume_centered=False):
    """Mean squared error of S over its distance to mu I: b^2 = (1/n^2) sum_k |x_k x_k' - S|^2, d^2 = |S - mu I|^2."""
    location, S = sample_moments(X, assume_centered)
    n, p = np.shape(X)
    b2 = sum(np.linalg.norm(np.outer(x, x) - S) ** 2 for x in np.asarray(X, dtype=float) - location) / n**2
    d2 = np.linalg.norm(S - np.trace(S) / p * np.eye(p)) ** 2
    return min(b2, d2) / d2


def oas_intensity(X, formula="sklearn", assume_centered=False):
    """Equation 23 of Chen et al. (2010), or the same without its two terms 2/p."""
    _, S = sample_moments(X, assume_centered)
    n, p = np.shape(X)
    c = 2 / p if formula == "paper" else 0.0
    square, trace2 = np.trace(S @ S), np.trace(S) ** 2
    return min(1.0, ((1 - c) * square + trace2) / ((n + 1 - c) * (square - trace2 / p)))


def qis_covariance(X, assume_centered=False):
    """Quadratic-inverse shrinkage, term by term; full rank of the data is taken for granted."""
    _, S = sample_moments(X, assume_centered)
    n = len(X) if assume_centered else len(X) - 1
    S = S * len(X) / n
    p = S.shape[0]
    eigenvalues, V = np.linalg.eigh(S)
    m = min(p, n)
    l = 1 / eigenvalues[p - m :]
    c = p / n
    h = min(c**2, 1 / c**2) ** 0.35 / p**0.35
    d = np.empty(p)
    for i in range(m):
        bottom = [(l[j] - l[i]) ** 2 + h**2 * l[j] ** 2 for j in range(m)]
        theta = sum(l[j] * (l[j] - l[i]) / bottom[j] for j in range(m)) / m
        conjugate = sum(h * l[j] ** 2 / bottom[j] for j in range(m)) / m
        amplitude2 = theta**2 + conjugate**2
        if p <= n:
            d[i] = 1 / ((1 - c) ** 2 * l[i] + 2 * c * (1 - c) * l[i] * theta + c**2 * l[i] * amplitude2)
        else:
            d[p - m + i] = 1 / (l[i] * amplitude2)
    if p > n:
        d[: p - m] = 1 / ((c - 1) * l.mean())
    d *= np.trace(S) / d.sum()
    return V @ np.diag(d) @ V.T


def total_distance(X, y):
    """What the spatial median minimises."""
    return sum(np.linalg.norm(x - y) for x in np.asarray(X, dtype=float))


def nearest_bic_gain(Z, j, nearest):
    """Fall of the BIC when column j is regressed on the first k of `nearest`, for the best k >= 1."""
    n = len(Z)
    gains = []
    for k in range(1, len(nearest) + 1):
        coefficients = np.linalg.lstsq(Z[:, nearest[:k]], Z[:, j], rcond=None)[0]
        residual = Z[:, j] - Z[:, nearest[:k]] @ coefficients
        gains.append(n * np.log(Z[:, j] @ Z[:, j] / (residual @ residual)) - k * np.log(n))
    return max(gains)


def greedy_bic_order(Z, m):
    """Sequences from the most correlated pair left, by the largest gain at either end, while it exceeds 2 log p.

    Equal gains at both ends: the end with the nearer last variable. A sequence goes on from the one before.
    """
    p = Z.shape[1]
    R = np.abs(Z.T @ Z)
    left, order, price = set(range(p)), [], 2 * np.log(p)
    while left:
        pairs = [(nearest_bic_gain(Z, j, [i]), i, j) for i in left for j in left if i < j]
        gain, *sequence = max(pairs) if pairs else (np.inf, *left)
        price = price if gain > price else -np.inf
        left -= set(sequence)
        while left:
            ends = [sequence[:m], sequence[::-1][:m]]
            moves = [(nearest_bic_gain(Z, j, ends[s]), R[j, ends[s][0]], j, s) for j in left for s in (0, 1)]
            best = max(moves)[0]
            gain, _, j, right = max(
                (m for m in moves if np.isclose(m[0], best, rtol=1e-9, atol=0)), key=lambda m: m[1]
            )
            if gain <= price:
                break
            sequence = [*sequence, j] if right else [j, *sequence]
            left.remove(j)
        first, last = sequence[:2], sequence[:-3:-1]
        if (R[order[-1], first[0]] < R[order[-1], last[0]]) if order else (R[*first] < R[*last]):
            sequence = sequence[::-1]
        order += sequence
    return order


def correlation_skeleton(R, n, cut, z):
    """Edges of size `cut`, above what keeps their component whole, that no third variable explains."""
    p, size = len(R), np.abs(R - np.diag(np.diagonal(R)))

    def reachable(start, level):
        found, front = {start}, {start}
        while front:
            front = {int(j) for i in front for j in np.flatnonzero(size[i] >= level)} - found
            found |= front
        return found

    edges = set()
    for i in range(p):
        part = reachable(i, cut)
        levels = size[np.ix_(list(part), list(part))].ravel()
        highest = max((level for level in levels if reachable(i, level) == part), default=0)
        edges |= {(i, int(j)) for j in np.flatnonzero(size[i] >= max(cut, highest)) if i < j}

    def explained(i, j, k):
        partial = (R[i, j] - R[i, k] * R[j, k]) / np.sqrt((1 - R[i, k] ** 2) * (1 - R[j, k] ** 2))
        return size[i, j] < min(size[i, k], size[j, k]) and np.sqrt(n - 4) * abs(np.arctanh(partial)) <= z

    return {(i, j) for i, j in edges if not any(explained(i, j, k) for k in set(range(p)) - {i, j})}


def lasso_violation(G, j, phi, alpha):
    """Largest violation of the optimality conditions of |x_j - X_{<j} phi|^2 / (2n) + alpha |phi|_1, G = X'X/n."""
    gradient = G[:j, :j] @ phi[:j] - G[:j, j]
    inside = gradient + alpha * np.sign(phi[:j])
    outside = np.maximum(np.abs(gradient) - alpha, 0)
    return np.where(phi[:j] != 0, np.abs(inside), outside).max(initial=0)


def nested_lasso_row(G, j, alpha, tol, max_iter):
    """Local quadratic iteration of the nested lasso, nearest predecessor first; phi in the order of the variables."""
    G = G[: j + 1, : j + 1][::-1, ::-1] / np.sqrt(np.outer(np.diagonal(G)[j::-1], np.diagonal(G)[j::-1]))
    phi = G[0, 1:].copy()
    nearest = abs(phi[0])
    for _ in range(max_iter):
        m = np.argmax(np.append(np.abs(phi) < 1e-10, True))
        phi[m:] = 0
        products = np.abs(phi[:m]) * np.append(nearest, np.abs(phi[: m - 1]))[:m]
        new = np.zeros(j)
        new[:m] = np.linalg.solve(G[1 : m + 1, 1 : m + 1] + np.diag(alpha / products), G[0, 1 : m + 1])
        change = np.abs(new - phi).sum() / max(np.abs(phi).sum(), 1e-300)
        phi = new
        if change <= tol:
            break
    return phi[::-1]


def cholesky_loss(S, L):
    """tr(L S L') - 2 sum_i log L_ii."""
    return np.trace(L @ S @ L.T) - 2 * np.log(np.diagonal(L)).sum()


def cscs_objective(S, L, alpha):
    return cholesky_loss(S, L) + alpha * np.abs(np.tril(L, -1)).sum()


def cscs_violation(S, L, alpha):
    """Largest violation of the optimality conditions of the jointly convex l1 criterion, diagonal included."""
    gradient = 2 * L @ S - 2 * np.diag(1 / np.diagonal(L))
    inside = np.abs(gradient + alpha * np.sign(np.tril(L, -1)))
    outside = np.maximum(np.abs(gradient) - alpha, 0)
    return np.tril(np.where(L != 0, inside, outside)).max()


def nested_group_weights(r, weighted):
    """Row l holds the weights of the group {0, ..., l}; zero beyond it."""
    W = np.zeros((r, r))
    for l in range(r):
        for m in range(l + 1):
            W[l, m] = 1 / (l - m + 1) ** 2 if weighted else 1
    return W


def hierarchical_objective(S, L, alpha, weighted):
    penalty = sum(
        np.linalg.norm(nested_group_weights(i, weighted) * L[i, :i], axis=1).sum() for i in range(len(L))
    )
    return cholesky_loss(S, L) + alpha * penalty


def nested_group_prox(y, level, weighted, passes=400):
    """argmin |b - y|^2 / 2 + level sum_l |W_l b|: cyclic projections of the dual variables, each by bisection."""
    r = len(y)
    W, dual = nested_group_weights(r, weighted), np.zeros((r, r))
    for _ in range(passes if weighted else 1):
        before = dual.copy()
        for l in range(r):
            w = W[l, : l + 1]
            target = y[: l + 1] - (W * dual).sum(axis=0)[: l + 1] + w * dual[l, : l + 1]
            low, high = 0.0, 1.0 + np.linalg.norm(w * target) / level
            if np.linalg.norm(target / w) > level:
                for _ in range(120):
                    middle = (low + high) / 2
                    size = np.linalg.norm(w * target / (w**2 + middle))
                    low, high = (middle, high) if size > level else (low, middle)
            dual[l, : l + 1] = w * target / (w**2 + low)
        if np.abs(dual - before).max() <= 1e-15 * level:
            break
    return y - (W * dual).sum(axis=0)


def hierarchical_violation(S, L, alpha, weighted):
    """Largest step, over its length, of the proximal gradient map of any row; and the slope along the diagonal."""
    gradient = 2 * L @ S - 2 * np.diag(1 / np.diagonal(L))
    worst, rate = np.abs(np.diagonal(gradient)).max(), 0.5 / np.linalg.norm(S, 2)
    for i in range(1, len(L)):
        row = L[i, :i]
        moved = nested_group_prox(row - rate * gradient[i, :i], rate * alpha, weighted)
        worst = max(worst, np.abs(moved - row).max() / rate)
    return worst


def modified_cholesky_rows(Z, bandwidth=None, alpha=0.0, weights=None):
    """p explicit regressions of standardised columns on their (nearest) predecessors.

    Returns T (unit lower), residual sums of squares, effective predictors, mean squared leave-one-out residuals.
    `Z` is standardised already; `weights` sum to n, and 1/n is the leverage of the mean.
    """
    n, p = Z.shape
    w = np.ones(n) if weights is None else np.asarray(weights)
    R = Z * np.sqrt(w)[:, None]
    T, rss, dof, loo = np.eye(p), np.empty(p), np.empty(p), np.empty(p)
    for j in range(p):
        first = 0 if bandwidth is None else max(0, j - bandwidth)
        P, y = R[:, first:j], R[:, j]
        inverse = np.linalg.inv(P.T @ P + n * alpha * np.eye(j - first))
        phi = inverse @ (P.T @ y)
        e = y - P @ phi
        h = np.einsum("ij,jk,ik->i", P, inverse, P)
        T[j, first:j] = -phi
        rss[j], dof[j] = e @ e, h.sum()
        loo[j] = np.mean((e / (1.0 - w / n - h)) ** 2)
    return T, rss, dof, loo
