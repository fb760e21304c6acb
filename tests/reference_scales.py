"""Slow readable twins of the robust scales, locations and pairwise covariances: the specification, in plain NumPy."""

import numpy as np

QN_SMALL = [
    0.399356,
    0.99365,
    0.51321,
    0.84401,
    0.61220,
    0.85877,
    0.66993,
    0.87344,
    0.72014,
    0.88906,
    0.75743,
]
SN_SMALL = [0.743, 1.851, 0.954, 1.351, 0.993, 1.198, 1.005, 1.131]


def qn(x):
    """The C(h, 2)-th smallest of all |x_i - x_j|, i < j, h = n // 2 + 1, times consistency and small-sample factors."""
    n = len(x)
    if n < 2:
        return 0.0
    gaps = sorted(abs(x[i] - x[j]) for i in range(n) for j in range(i))
    h = n // 2 + 1
    if n <= 12:
        factor = QN_SMALL[n - 2]
    elif n % 2 == 1:
        factor = 1 / (1 + 1.60188 / n - 2.1284 / n**2 - 5.172 / n**3)
    else:
        factor = 1 / (1 + 3.67561 / n + 1.9654 / n**2 + 6.987 / n**3 - 77 / n**4)
    return 2.21914 * factor * gaps[h * (h - 1) // 2 - 1]


def sn(x):
    """Low median over i of the high median over j of |x_i - x_j|, times its factors."""
    n = len(x)
    if n < 2:
        return 0.0
    high = [np.sort(np.abs(x - value))[n // 2] for value in x]
    factor = SN_SMALL[n - 2] if n <= 9 else n / (n - 0.9) if n % 2 == 1 else 1.0
    return 1.1926 * factor * np.sort(high)[(n + 1) // 2 - 1]


def mad(x):
    return 1.4826 * np.median(np.abs(x - np.median(x)))


def tau(x):
    """Location and scale."""
    centre = np.median(x)
    spread = np.median(np.abs(x - centre))
    if spread == 0:
        return centre, 0.0
    weight = np.maximum(1 - ((x - centre) / (4.5 * spread)) ** 2, 0) ** 2
    m = np.sum(weight * x) / np.sum(weight)
    rho = np.minimum(((x - m) / spread) ** 2, 9)
    return m, spread * np.sqrt(np.mean(rho) / 0.9247153921761315)


def hodges_lehmann(x):
    """Median of the means of all pairs i <= j."""
    return np.median([0.5 * (x[i] + x[j]) for i in range(len(x)) for j in range(i + 1)])


def pairwise(s, Zt):
    """(s(z_j + z_k)^2 - s(z_j - z_k)^2) / 4 for all pairs of rows."""
    return np.array([[(s(a + b) ** 2 - s(a - b) ** 2) / 4 for b in Zt] for a in Zt])


def ogk(X, location_scale, n_iter=2):
    """Raw location, covariance and squared distances, without factors."""
    Z = np.array(X, dtype=float)
    back = np.eye(Z.shape[1])
    for _ in range(n_iter):
        d = np.array([location_scale(z)[1] for z in Z.T])
        Z = Z / d
        U = pairwise(lambda z: location_scale(z)[1], Z.T)
        np.fill_diagonal(U, 1.0)
        E = np.linalg.eigh(U)[1]
        Z = Z @ E
        back = back @ np.diag(d) @ E
    m, g = np.array([location_scale(z) for z in Z.T]).T
    d2 = (((Z - m) / g) ** 2).sum(axis=1)
    return back @ m, back @ np.diag(g**2) @ back.T, d2


def psi(z):
    """The wrapping function with b = 1.5, c = 4."""
    size = np.abs(z)
    tail = 1.540793 * np.tanh(0.8622731 * (4.0 - size)) * np.sign(z)
    return np.where(size <= 1.5, z, np.where(size < 4.0, tail, 0.0))


def wrapping_location_scale(x):
    """Univariate MCD of half of the values, reweighted, then one step of the wrapping M-estimator of location."""
    y = np.sort(x)
    n = len(y)
    h = n // 2 + (n < 12)
    sums = np.array([h * np.var(y[s : s + h]) for s in range(n - h + 1)])
    best = np.flatnonzero(sums <= sums.min() * (1 + 1e-9))
    centre = 0.5 * (y[best[(len(best) - 1) // 2] :][:h].mean() + y[best[len(best) // 2] :][:h].mean())
    reach = np.sort(np.abs(y - centre))[h - 1]
    kept = y[np.abs(y - centre) <= 3.3231087 * reach * (n / (n - 3) if n > 3 else 1)]
    scale = 1.0835 * n / (n - 1.4) * kept.std(ddof=1)
    if scale == 0:
        return kept[0], 0.0
    z = (x - kept.mean()) / scale
    weight = np.where(z == 0, 1.0, psi(z) / np.where(z == 0, 1.0, z))
    return np.sum(weight * x) / np.sum(weight), scale
