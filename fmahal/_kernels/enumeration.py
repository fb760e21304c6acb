"""The subset of least determinant by enumeration, with the bound of Agullo (1996)."""

import numpy as np

from ._jit import jit, warms
from .moments import cholesky


@jit
def best_subset(Zt, h, ddof, tol, bound, best):
    """Depth-first search of all subsets of h observations; fills `best` and returns the least log-determinant found.

    The products of a subset grow with every observation, and so does their determinant: a partial subset whose
    determinant is not below the best one is not continued. `bound` is the log-determinant, of products, to beat; it
    is returned unchanged when nothing does. At most C(n, h) leaves of O(p^3).
    """
    p, n = Zt.shape
    chosen = np.empty(h, np.int64)
    mean = np.zeros((h + 1, p))
    products = np.zeros((h + 1, p, p))
    L, inverse = np.zeros((p, p)), np.zeros(p)
    m = 0
    row = 0
    while True:
        if row > n - (h - m):  # too few observations are left at this depth
            if m == 0:
                return bound
            m -= 1
            row = chosen[m] + 1
            continue
        chosen[m] = row
        weight = m / (m + 1.0) if ddof else 1.0
        for j in range(p):
            delta = Zt[j, row] - mean[m, j]
            mean[m + 1, j] = mean[m, j] + (delta / (m + 1.0) if ddof else 0.0)
            for k in range(j + 1):
                products[m + 1, j, k] = products[m, j, k] + weight * delta * (Zt[k, row] - mean[m, k])
        m += 1
        row += 1
        if m >= p + ddof:
            logdet = cholesky(products[m], L, inverse, tol)[0]  # minus infinity when singular
            if logdet >= bound or (m == h and not logdet < bound):
                m -= 1
                row = chosen[m] + 1
                continue
            if m == h:
                bound = logdet
                best[:] = chosen
                if bound == -np.inf:
                    return bound
        if m == h:
            m -= 1
            row = chosen[m] + 1


@warms
def _warm():
    Zt = np.random.default_rng(0).normal(size=(2, 7))
    Zt.setflags(write=False)
    best_subset(Zt, 5, 1, 1e-13, np.inf, np.zeros(5, np.int64))
