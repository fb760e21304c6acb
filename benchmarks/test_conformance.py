"""Conformance, the distance to the nearest training row, and leave-one-out distances without refits."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import fmahal

N, M, T = 1000, 2000, 500


@pytest.fixture(scope="module")
def curves():
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, T)).cumsum(axis=1), rng.standard_normal((M, T)).cumsum(axis=1)


def by_loop(scatter, train, Y):
    Z = scatter.transform(Y)
    return np.array([((z - train) ** 2).sum(axis=1).min() for z in Z])


def by_sklearn(scatter, neighbours, Y):
    return neighbours.kneighbors(scatter.transform(Y))[0][:, 0] ** 2


def test_new_rows(pair, curves):
    X, Y = curves
    scatter = fmahal.SpectralFilter("rkhs").fit(X)
    train = scatter.transform(X)
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(train)
    pair(
        f"SpectralFilter.conformance(Y), {M} curves to {N}, T={T}",
        lambda: scatter.conformance(Y),
        {
            "NumPy loop": lambda: by_loop(scatter, train, Y),
            "NearestNeighbors": lambda: by_sklearn(scatter, neighbours, Y),
        },
        {"NumPy loop": 10.0, "NearestNeighbors": 1.0},
        rounds=5,
    )


def by_refits(X, alpha):
    out = []
    for i in range(len(X)):
        fit = fmahal.SpectralFilter("rkhs", alpha=alpha, alpha_units="absolute").fit(np.delete(X, i, axis=0))
        out.append(fit.mahalanobis(X[i : i + 1])[0])
    return np.array(out)


def test_leave_one_out(pair, curves):
    X = curves[0][:150, ::5]
    scatter = fmahal.SpectralFilter("rkhs").fit(X)
    pair(
        f"SpectralFilter.fit(X).leave_one_out(), n=150, T={X.shape[1]}",
        lambda: fmahal.SpectralFilter("rkhs").fit(X).leave_one_out(),
        {"refits": lambda: by_refits(X, scatter.alpha_)},
        {"refits": 50.0},
        rounds=3,
    )


def test_choice_of_alpha(pair, curves):
    """All 41 candidates from one decomposition: the scores of the likelihood against a refit for each row."""
    X = curves[0][:60, ::10]
    fit = fmahal.SpectralFilterCV("ridge", alphas=[1e-4, 1e-3, 1e-2]).fit(X)

    def by_refits_of_each():
        scores = []
        for alpha in fit.alphas_:
            total = 0.0
            for i in range(len(X)):
                others = np.delete(X, i, axis=0)
                one = fmahal.SpectralFilter("ridge", alpha=alpha, alpha_units="absolute").fit(others)
                total += one.score(X[i : i + 1])
            scores.append(total / len(X))
        return np.array(scores)

    pair(
        f"SpectralFilterCV(alphas of 3).fit(X).scores_, n=60, T={X.shape[1]}",
        lambda: fmahal.SpectralFilterCV("ridge", alphas=[1e-4, 1e-3, 1e-2]).fit(X).scores_,
        {"refits": by_refits_of_each},
        {"refits": 30.0},
        rounds=3,
    )
