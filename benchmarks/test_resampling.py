"""Resampled refits of the sample covariance against a plain NumPy loop over the same resamples."""

import math

import numpy as np
import pytest

import fmahal
from fmahal.nulls._draws import generator_key, held_out, resample_counts
from fmahal.nulls._moment_bootstrap import moment_draws
from fmahal.nulls._resample_maps import grown_normal, new_row_map

N_RESAMPLES, LEVEL = 2000, 0.05
SIZES = pytest.mark.parametrize(("n", "p"), [(500, 10), (200, 50)])


def data(n, p):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, p)) @ rng.standard_normal((p, p))


def estimate(rows):
    return rows.mean(axis=0), np.linalg.inv(np.cov(rows, rowvar=False, bias=True))


def squared(rows, location, precision):
    gap = rows - location
    return np.einsum("ij,jk,ik->i", gap, precision, gap)


def loop_with_replacement(X, n_resamples, n_held):
    """The distances of the rows of each resample, and of the rows that a holdout fit leaves out."""
    n = len(X)
    key, ids = generator_key(np.random.SeedSequence(0)), np.arange(n_resamples)
    counts, held = resample_counts(key, ids, 0, n), held_out(key, ids, 0, n, n_held)
    train, new = np.empty((n_resamples, n)), np.empty((n_resamples, n_held))
    for b in range(n_resamples):
        rows = X[np.repeat(np.arange(n), counts[b])]
        train[b] = squared(rows, *estimate(rows))
        new[b] = squared(X[held[b]], *estimate(np.delete(X, held[b], axis=0)))
    return train, new


def loop_without_replacement(X, n_resamples, n_held):
    """The distances of the rows that a fit keeps, and of those that it leaves out."""
    n = len(X)
    held = held_out(generator_key(np.random.SeedSequence(0)), np.arange(n_resamples), 0, n, n_held)
    train, new = np.empty((n_resamples, n - n_held)), np.empty((n_resamples, n_held))
    for b in range(n_resamples):
        rows = np.delete(X, held[b], axis=0)
        fit = estimate(rows)
        train[b], new[b] = squared(rows, *fit), squared(X[held[b]], *fit)
    return train, new


def ours(scatter, X, n_resamples, n_held, kept):
    blocks = moment_draws(
        scatter,
        X,
        n_resamples=n_resamples,
        seed=np.random.SeedSequence(0),
        n_held=n_held,
        max_bytes=256_000_000,
        kept=kept,
    )
    train, new = [], []
    for block in blocks:
        train.append(block.train)
        new.append(block.new)
    return np.concatenate(train), np.concatenate(new)


@SIZES
@pytest.mark.parametrize("kept", [False, True])
def test_refits_of_the_sample_covariance(pair, n, p, kept):
    X = data(n, p)
    scatter, n_held = fmahal.EmpiricalCovariance().fit(X), n // 10
    loop = loop_without_replacement if kept else loop_with_replacement
    for got, want in zip(ours(scatter, X, 50, n_held, kept), loop(X, 50, n_held), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8)
    pair(
        f"{N_RESAMPLES} {'holdout fits' if kept else 'resamples and holdout fits'}, n={n}, p={p}",
        lambda: ours(scatter, X, N_RESAMPLES, n_held, kept)[0],
        {"NumPy loop": lambda: loop(X, N_RESAMPLES, n_held)[0]},
        {"NumPy loop": 12.0},
        rounds=3,
        budget=10.0,
    )


@SIZES
def test_bootstrap_cutoffs(pair, n, p):
    X = data(n, p)
    scatter, n_held = fmahal.EmpiricalCovariance().fit(X), n // 10
    d2 = scatter.mahalanobis(X)

    def fmahal_cutoffs():
        null = fmahal.BootstrapNull(N_RESAMPLES, random_state=0).fit(scatter, X, d2)
        return np.array([null.train_dist_.isf(LEVEL), null.new_dist_.isf(LEVEL)])

    def numpy_cutoffs():  # the maps from n - m to n rows are monotone: they may follow the quantile
        train, new = (np.sort(d2, axis=None) for d2 in loop_without_replacement(X, N_RESAMPLES, n_held))
        train, new = (d2[-math.floor(LEVEL * (d2.size + 1)) :][:1] for d2 in (train, new))
        train = grown_normal(n - n_held, n, p, centred=True)(train)
        return np.concatenate([train, new_row_map(n - n_held, n, p, centred=True)(new)])

    pair(
        f"BootstrapNull({N_RESAMPLES}) and its cut-offs, n={n}, p={p}",
        fmahal_cutoffs,
        {"NumPy loop": numpy_cutoffs},
        {"NumPy loop": 12.0},
        rounds=3,
        budget=10.0,
    )
