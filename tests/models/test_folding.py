"""Short ways from curves to distances: the same numbers as through the coordinates, and the same errors."""

import numpy as np
import pytest

from fmahal import FunctionalMahalanobis
from fmahal._kernels.pairs import narrow_product
from fmahal._validation import readonly
from fmahal.models import _folding
from fmahal.spaces import L2Space, SobolevSpace

KINDS = ("truncate", "rkhs", "ridge", "inverse")


def curves(n=40, T=31, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    k, t = np.arange(1, 9), np.linspace(0.0, 1.0, T)
    return scale * (2.0 + (rng.standard_normal((n, 8)) / k) @ np.sin(np.pi * k[:, None] * t))


def the_long_way(metric, X):
    """Through the coordinates of the space, by the whitener."""
    return metric.whitener_.sqnorm(metric.space_.transform(X) - metric.scatter_.location_)


@pytest.mark.filterwarnings("ignore::fmahal.RankDeficientWarning")  # eight directions of 31
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("K", [2, 5, None])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_scores_are_those_of_the_long_way(kind, K, scale):
    X, Y = curves(scale=scale), curves(7, seed=1, scale=scale)
    weights = np.linspace(0.5, 1.5, 31)
    metric = FunctionalMahalanobis(kind, n_components=K, alpha=1e-3, weights=weights).fit(X)
    for Z in (X, Y, X[:1]):
        np.testing.assert_allclose(metric.mahalanobis(Z), the_long_way(metric, Z), rtol=1e-9)
    differences = metric.space_.transform(X)[:, None] - metric.space_.transform(Y)
    want = metric.whitener_.sqnorm(differences.reshape(-1, 31)).reshape(40, 7)
    np.testing.assert_allclose(metric.pairwise(X, Y) ** 2, want, rtol=1e-9)
    own = metric.pairwise(X)
    assert np.array_equal(own, own.T)
    assert not own.diagonal().any()
    assert not metric.pairwise(X, X.copy()).diagonal().any()


def test_when_the_short_way_is_taken():
    X = curves()
    assert FunctionalMahalanobis(n_components=3).fit(X)._folded is not None
    assert FunctionalMahalanobis("ridge").fit(X)._folded is None  # the rest of the space counts
    assert FunctionalMahalanobis(n_components=3, space=SobolevSpace(1)).fit(X)._folded is None
    far = FunctionalMahalanobis("truncate", n_components=3).fit(X + 1e6)
    assert far._folded is None  # digits of the mean would be lost
    np.testing.assert_allclose(far.mahalanobis(X + 1e6), the_long_way(far, X + 1e6), rtol=1e-9)


def test_near_curves_keep_their_digits():
    X = curves()
    metric = FunctionalMahalanobis("truncate", n_components=3).fit(X)
    Y = X[:5] + 1e-9 * curves(5, seed=2)
    want = metric(X[:5], Y)
    np.testing.assert_allclose(np.diagonal(metric.pairwise(X[:5], Y)), want, rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["rkhs", "ridge"])
def test_bad_values_are_named(kind, bad, monkeypatch):
    X = curves()
    metric = FunctionalMahalanobis(kind, n_components=3).fit(X)
    Y = curves(50, seed=1)
    Y[44, 30] = bad
    for few in (False, True):
        if few:
            monkeypatch.setattr(_folding, "BLOCK_BYTES", 0)
        for call in (metric.mahalanobis, metric.pairwise):
            with pytest.raises(ValueError, match=r"curve 44 at t = 1"):
                call(Y)


@pytest.mark.parametrize("space", [None, SobolevSpace(1), L2Space(derivative=1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_of_curves(space, dtype, monkeypatch):
    X, Y = curves().astype(dtype), curves(50, seed=1).astype(dtype)
    metric = FunctionalMahalanobis("ridge", space=space).fit(X)
    whole = metric.mahalanobis(Y)
    monkeypatch.setattr(_folding, "BLOCK_BYTES", 0)
    monkeypatch.setattr("fmahal._structures.base.BLOCK_BYTES", 8 * 31 * 16)
    np.testing.assert_allclose(metric.mahalanobis(Y), whole, rtol=1e-6 if dtype == np.float32 else 1e-12)
    assert metric.mahalanobis(Y).dtype == np.float64


def test_curves_on_another_grid_are_refused():
    skfda = pytest.importorskip("skfda")
    X, t = curves(), np.linspace(0.0, 1.0, 31)
    metric = FunctionalMahalanobis(n_components=3).fit(skfda.FDataGrid(X, t))
    np.testing.assert_array_equal(
        metric.mahalanobis(skfda.FDataGrid(X, t.copy())), metric.mahalanobis(skfda.FDataGrid(X, t))
    )
    near = t.copy()
    near[7] += 1e-9
    np.testing.assert_array_equal(
        metric.mahalanobis(skfda.FDataGrid(X, near)), metric.mahalanobis(skfda.FDataGrid(X, t))
    )
    near[7] += 1e-3
    with pytest.raises(ValueError, match="first at point 7"):
        metric.mahalanobis(skfda.FDataGrid(X, near))
    with pytest.raises(ValueError, match="30 points now"):
        metric.pairwise(skfda.FDataGrid(X[:, :30], t[:30]))


@pytest.mark.parametrize("n", [1, 3, 4, 5, 11])
@pytest.mark.parametrize("r", [1, 3])
def test_products_with_few_directions(n, r):
    rng = np.random.default_rng(n)
    X, W, shift = rng.standard_normal((n, 9)), rng.standard_normal((r, 9)), rng.standard_normal(r)
    out = np.full((n, r), np.nan)
    narrow_product(readonly(X), readonly(W), readonly(shift), out)
    np.testing.assert_allclose(out, X @ W.T - shift, rtol=1e-12, atol=1e-14)
