"""Bootstrap of a ridge covariance with more columns than rows: n x n matrices against refits of a p x p one."""

import numpy as np
import pytest

import fmahal
from fmahal.nulls._draws import generator_key, resample_counts
from fmahal.nulls._dual_bootstrap import dual_draws

B = 30  # the peer takes about 0.1 s for each


def data(n, p):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, p)) * rng.uniform(0.5, 2.0, p)


def loop(X, rows, ridge):
    """The plain loop: index, np.cov, ridge, inv, einsum."""
    n, p = X.shape
    out = np.empty((len(rows), n))
    for b, chosen in enumerate(rows):
        Y = X[chosen]
        S = np.cov(Y.T, bias=True)
        S.flat[:: p + 1] += ridge * np.trace(S) / p
        Y = Y - Y.mean(axis=0)
        out[b] = np.einsum("ij,jk,ik->i", Y, np.linalg.inv(S), Y)
    return out


@pytest.mark.parametrize("n_held", [0, 10])
def test_more_columns_than_rows(pair, n_held):
    n, p = 100, 500
    X = data(n, p)
    seed = np.random.SeedSequence(0)
    counts = resample_counts(generator_key(seed), np.arange(B), 0, n)
    rows = [np.repeat(np.arange(n), count) for count in counts]
    scatter = fmahal.ShrunkCovariance(ridge=1.0)

    def ours():
        blocks = dual_draws(scatter, X, n_resamples=B, seed=seed, n_held=n_held, max_bytes=2**28)
        return np.concatenate([block.train for block in blocks])

    # Ours does more than the loop: the out-of-bag distances, or a second fit to nine tenths of the rows.
    more = f" and {B} holdout fits" if n_held else ""
    pair(
        f"{B} resamples{more}, ShrunkCovariance(ridge=1), n={n}, p={p}",
        ours,
        {"NumPy loop without them" if n_held else "NumPy loop": lambda: loop(X, rows, 1.0)},
        {"NumPy loop without them" if n_held else "NumPy loop": 100.0},
        rounds=3,
        budget=20,
    )
