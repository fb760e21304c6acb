"""The compiled pieces of the robust estimators, each against a short good program with numpy or statsmodels."""

import numpy as np
import pytest
from _robust import contaminated, half
from scipy.linalg import solve_triangular

from fmahal._kernels import concentration, exchange, scales


def read_only(array):
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_selection(pair, n):
    """The rows of the n / 2 smallest distances, in order."""
    d = read_only(np.random.default_rng(0).chisquare(10, n))
    h = n // 2
    pool, rows = np.empty(n), np.empty(n + 1, np.int64)

    def ours():
        concentration.smallest(d, h, pool, rows)
        return rows[:h]

    pair(
        f"{h} smallest of {n}",
        ours,
        {
            "argpartition": lambda: np.sort(np.argpartition(d, h - 1)[:h]),
            "argsort": lambda: np.sort(np.argsort(d)[:h]),
        },
        {"argpartition": 1.0, "argsort": 1.0},
        rounds=41,
        budget=5,
    )


def candidates(X, count, size):
    """Means and scatters of random sets of rows."""
    rng = np.random.default_rng(1)
    picked = [X[rng.choice(len(X), size, replace=False)] for _ in range(count)]
    return np.array([rows.mean(axis=0) for rows in picked]), np.array([np.cov(rows.T) for rows in picked])


def numpy_step(X, h, mean, scatter):
    """Log-determinant of the scatter after one concentration step."""
    W = solve_triangular(np.linalg.cholesky(scatter), (X - mean).T, lower=True)
    rows = np.argpartition(np.einsum("ji,ji->i", W, W), h - 1)[:h]
    return np.linalg.slogdet(np.cov(X[rows].T))[1]


@pytest.mark.parametrize(
    ("n", "p", "count"), [(200, 5, 500), (300, 40, 500), (1_500, 10, 50), (100_000, 10, 10)]
)
def test_concentration_step(pair, n, p, count):
    X = contaminated(n, p)
    Zt, h = read_only(X.T), half(n, p)
    means, scatters = candidates(X, count, 2 * p)
    statuses, taken = np.empty(count, np.int64), np.empty(count, np.int64)
    logdets, normals, subsets = np.empty(count), np.empty((count, p)), np.empty((count, h), np.int64)

    def ours():
        concentration.concentrate_all(
            Zt, h, 1, 1, 1e-20, logdets, means.copy(), scatters.copy(), statuses, normals, subsets, taken
        )
        return logdets.copy()

    pair(
        f"one concentration step of {count} candidates, n={n}, p={p}",
        ours,
        {"numpy": lambda: np.array([numpy_step(X, h, *each) for each in zip(means, scatters, strict=True)])},
        {"numpy": 1.0},
        rtol=1e-9,
    )


def best_swap(X, inside):
    """Ratio of determinants of every pair (inside, outside) by one matrix product; the best pair and its ratio."""
    i, j = np.flatnonzero(inside), np.flatnonzero(~inside)
    h = len(i)
    c, e = h / (h - 1), 1 / (h - 1)
    A = X[i] - X[i].mean(axis=0)
    W = solve_triangular(np.linalg.cholesky(A.T @ A), (X - X[i].mean(axis=0)).T, lower=True).T
    d = np.einsum("ij,ij->i", W, W)
    T = W[i] @ W[j].T + e * d[i, None]
    rest = 1 - c * d[i, None]
    ratios = rest * (1 + (d[j] + 2 * e * T - e * e * d[i, None] + c * T * T / rest) / c)
    a, b = np.unravel_index(ratios.argmin(), ratios.shape)
    return i[a], j[b], ratios[a, b]


def numpy_descent(X, rows):
    """Best swaps while they help, concentration steps while they do, and again until neither does."""
    inside = np.zeros(len(X), bool)
    inside[rows] = True
    h, swapped = len(rows), True
    while swapped:
        swapped = False
        while (pair := best_swap(X, inside))[2] < 1 - 1e-10:
            inside[pair[0]], inside[pair[1]] = False, True
            swapped = True
        while swapped:
            S = np.cov(X[inside].T)
            W = solve_triangular(np.linalg.cholesky(S), (X - X[inside].mean(axis=0)).T, lower=True)
            rows = np.argpartition(np.einsum("ji,ji->i", W, W), h - 1)[:h]
            if inside[rows].all():
                break
            inside[:] = False
            inside[rows] = True
    return np.linalg.slogdet(np.cov(X[inside].T))[1]


@pytest.mark.parametrize(("n", "p", "count"), [(200, 5, 10), (300, 20, 10)])
def test_exchange_descent(pair, n, p, count):
    """All pairs, from the ends of concentration; the lowest objective is compared, since single descents may part."""
    X = contaminated(n, p)
    Zt, h = read_only(X.T), half(n, p)
    means, scatters = candidates(X, count, 3 * p)
    statuses, taken = np.empty(count, np.int64), np.empty(count, np.int64)
    logdets, normals, subsets = np.empty(count), np.empty((count, p)), np.empty((count, h), np.int64)
    concentration.concentrate_all(
        Zt, h, 1, 200, 1e-20, logdets, means, scatters, statuses, normals, subsets, taken
    )

    def ours():
        reached, rows = logdets.copy(), subsets.copy()
        exchange.descend_all(
            Zt, h, 1, 100, n, 1e-20, reached, means.copy(), scatters.copy(), statuses, normals, rows
        )
        return reached.min()

    pair(
        f"exchange descent over all pairs of {count} subsets, n={n}, p={p}",
        ours,
        {"numpy": lambda: min(numpy_descent(X, rows) for rows in subsets)},
        {"numpy": 1.0},
        rtol=1e-9,
    )


# ------------------------------------------------------------------------------------------------------- scales


def columns(m, n):
    return read_only(np.random.default_rng(2).standard_t(3, (m, n)) + 3.0)


def filled(kernel, rows, *outs):
    kernel(rows, *outs)
    return np.array(outs[-1])


def qn_by_sorting(rows, correction):
    n = rows.shape[1]
    h = n // 2 + 1
    i, j = np.triu_indices(n, 1)
    rank = h * (h - 1) // 2 - 1
    return np.array([np.partition(np.abs(x[i] - x[j]), rank)[rank] for x in rows]) * correction


def sn_by_sorting(rows, correction):
    n = rows.shape[1]
    high, low = n // 2, (n + 1) // 2 - 1
    inner = [np.partition(np.abs(x[:, None] - x), high, axis=1)[:, high] for x in rows]
    return np.array([np.partition(m, low)[low] for m in inner]) * correction


@pytest.mark.parametrize("n", [200, 2_000])
def test_qn(pair, n):
    qn_scale = pytest.importorskip("statsmodels.robust.scale").qn_scale
    rows = columns(20, n)
    out, correction = np.empty(len(rows)), scales.qn_correction(n)
    pair(
        f"Qn of {len(rows)} columns, n={n}",
        lambda: filled(scales.qn_rows, rows, out),
        {
            "all differences": lambda: qn_by_sorting(rows, correction),
            "statsmodels": lambda: qn_scale(rows, c=correction, axis=1),
        },
        {"all differences": 1.0, "statsmodels": 1.0},
        rounds=9,
    )


@pytest.mark.parametrize("n", [200, 2_000])
def test_sn(pair, n):
    rows = columns(20, n)
    out = np.empty(len(rows))
    pair(
        f"Sn of {len(rows)} columns, n={n}",
        lambda: filled(scales.sn_rows, rows, out),
        {"all differences": lambda: sn_by_sorting(rows, scales.sn_correction(n))},
        {"all differences": 1.0},
        rounds=9,
    )


@pytest.mark.parametrize("n", [200, 20_000])
def test_tau(pair, n):
    scale_tau = pytest.importorskip("statsmodels.robust.scale").scale_tau
    rows = columns(20, n)
    location, scale = np.empty(len(rows)), np.empty(len(rows))
    pair(
        f"tau scale of {len(rows)} columns, n={n}",
        lambda: filled(scales.tau_rows, rows, location, scale),
        {"statsmodels": lambda: scale_tau(rows.T)[1]},
        {"statsmodels": 1.0},
    )


def pairs_by_columns(rows, scale):
    """Row by row, all partners of a row in one call of the peer."""
    p = len(rows)
    out = np.diag(scale(rows) ** 2)
    for j in range(p - 1):
        plus, minus = scale(rows[j] + rows[j + 1 :]), scale(rows[j] - rows[j + 1 :])
        out[j, j + 1 :] = out[j + 1 :, j] = (plus**2 - minus**2) / 4
    return out


SHIFT = 10.0  # added to entries near 0, so that a relative comparison is one of squared scales


@pytest.mark.parametrize(("n", "p"), [(200, 40), (5_000, 20)])
def test_tau_of_pairs(pair, n, p):
    """The scale of every sum and difference of two columns: the first step of OGK."""
    scale_tau = pytest.importorskip("statsmodels.robust.scale").scale_tau
    rows, out = columns(p, n), np.empty((p, p))
    pair(
        f"tau of all pairs, n={n}, p={p}",
        lambda: filled(scales.tau_pairs, rows, out) + SHIFT,
        {"statsmodels": lambda: pairs_by_columns(rows, lambda block: scale_tau(block.T)[1]) + SHIFT},
        {"statsmodels": 1.0},
    )


@pytest.mark.parametrize(("n", "p"), [(200, 40), (2_000, 10)])
def test_qn_of_pairs(pair, n, p):
    qn_scale = pytest.importorskip("statsmodels.robust.scale").qn_scale
    rows, out, correction = columns(p, n), np.empty((p, p)), scales.qn_correction(n)
    pair(
        f"Qn of all pairs, n={n}, p={p}",
        lambda: filled(scales.qn_pairs, rows, out) + SHIFT,
        {"statsmodels": lambda: pairs_by_columns(rows, lambda b: qn_scale(b, c=correction, axis=1)) + SHIFT},
        {"statsmodels": 1.0},
        rounds=3,
    )
