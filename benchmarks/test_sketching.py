"""Random maps of rows: the fast transform against a dense map, sparse sums against SciPy's sparse product.

The dense map is the float32 GEMM with the matrix of the same transform at hand, so that both have one result to agree
on. It costs what any dense map of that shape costs, a Gaussian one included, whose draws are left out here.
"""

import numpy as np
import pytest
from scipy import sparse

from fmahal._maps import random_map

N, P = 2000, 16384


@pytest.fixture(scope="module")
def rows():
    """Small integers: with k a power of four every sum is exact, in any order."""
    return np.random.default_rng(0).integers(-8, 9, (N, P)).astype(np.float32)


@pytest.mark.parametrize(("k", "factor"), [(1024, 4.0), (256, 0.0)])
def test_transform(pair, rows, k, factor):
    S = random_map("srht", k, P, seed=0)
    matrix = S.matrix(np.float32)
    np.testing.assert_array_equal(S.apply(rows), rows @ matrix.T)
    pair(
        f"SRHT of {N} float32 rows, p={P}, k={k}",
        lambda: S.apply(rows),
        {"dense GEMM": lambda: rows @ matrix.T},
        {"dense GEMM": factor},
        rounds=7,
        budget=12.0,
    )


def test_sparse_map(pair):
    """Float64 rows, so that entries near zero agree too."""
    k = 1024
    X = np.random.default_rng(1).standard_normal((500, P))
    S = random_map("sparse", k, P, seed=0)
    matrix = sparse.csr_array(S.matrix())
    np.testing.assert_allclose(S.apply(X), X @ matrix.toarray().T, rtol=1e-5)
    pair(
        f"sparse map of {len(X)} rows, p={P}, k={k}",
        lambda: S.apply(X),
        {"scipy CSR": lambda: (matrix @ X.T).T},
        {"scipy CSR": 2.0},
        rtol=1e-5,
        rounds=5,
        budget=10.0,
    )
