"""SphericalPCA: equivariance, breakdown, ranks, both routes, and the rule for the number of scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmahal import robust_location, robust_scale
from fmahal.exceptions import RankDeficientError
from fmahal.spaces.spherical import SphericalPCA

SPREAD = np.array([9.0, 5.0, 3.0, 1.0, 0.5, 0.2])


def make_rows(n=60, p=30, seed=0):
    """Rows whose principal directions are the first axes."""
    rng = np.random.default_rng(seed)
    scales = np.full(p, 0.05)
    scales[: SPREAD.size] = SPREAD
    return rng.normal(size=(n, p)) * scales


def projector(pca):
    return pca.components_.T @ pca.components_


def reference(X, scale="qn"):
    """The definition, by an eigendecomposition of the p x p matrix."""
    m = robust_location(X)
    V = X - m
    U = V / np.linalg.norm(V, axis=1)[:, None]
    _, E = np.linalg.eigh(U.T @ U)
    variances = robust_scale(V @ E, scale) ** 2
    order = np.argsort(-variances)
    return m, E[:, order].T, variances[order]


@parametrize_with_checks([SphericalPCA(n_components=1)])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("p", [6, 30, 200])
@pytest.mark.parametrize("scale", ["qn", "tau"])
def test_it_is_its_definition_by_either_route(p, scale):
    X = make_rows(60, p) + 100.0
    pca = SphericalPCA(n_components=4, scale=scale).fit(X)
    m, E, variances = reference(X, scale)
    np.testing.assert_allclose(pca.location_, m, rtol=1e-8)
    np.testing.assert_allclose(pca.eigenvalues_, variances[:4], rtol=1e-7)
    np.testing.assert_allclose(np.abs(np.sum(pca.components_ * E[:4], axis=1)), 1.0, rtol=1e-7)
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(4), atol=1e-12)
    assert np.all(np.take_along_axis(pca.components_, np.abs(pca.components_).argmax(1)[:, None], 1) > 0)


@pytest.mark.parametrize("p", [20, 90])
def test_scores_residual_and_way_back_share_a_row(p):
    X = make_rows(50, p)
    pca = SphericalPCA(n_components=3).fit(X)
    Z = pca.transform(X)
    np.testing.assert_allclose(
        np.sum(Z**2, axis=1) + pca.residual(X) ** 2, np.sum((X - pca.location_) ** 2, axis=1), rtol=1e-10
    )
    np.testing.assert_allclose(pca.transform(pca.inverse_transform(Z)), Z, rtol=1e-9, atol=1e-12)
    everything = SphericalPCA(n_components=pca.rank_).fit(X)
    np.testing.assert_allclose(everything.inverse_transform(everything.transform(X)), X, atol=1e-10)


@given(st.integers(0, 10_000), st.sampled_from([6, 40]))
def test_rotations_shifts_and_units(seed, p):
    X = make_rows(30, p, seed)
    rng = np.random.default_rng(seed + 1)
    Q, _ = np.linalg.qr(rng.normal(size=(p, p)))
    pca = SphericalPCA(n_components=2).fit(X)
    moved = SphericalPCA(n_components=2).fit(3.0 * X @ Q + 7.0)
    np.testing.assert_allclose(moved.eigenvalues_, 9.0 * pca.eigenvalues_, rtol=1e-6)
    np.testing.assert_allclose(projector(moved), Q.T @ projector(pca) @ Q, atol=1e-5)
    np.testing.assert_allclose(moved.residual(3.0 * X @ Q + 7.0), 3.0 * pca.residual(X), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-8, 1e8, 1e-150, 1e150])
def test_units_change_no_decision(unit):
    X = make_rows()
    pca, other = SphericalPCA().fit(X), SphericalPCA().fit(unit * X)
    assert other.n_components_ == pca.n_components_
    assert other.rank_ == pca.rank_
    np.testing.assert_allclose(other.transform(unit * X) / unit, pca.transform(X), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("unit", [1e-170, 1e160])
def test_variances_beyond_the_range_of_floats_are_named(unit):
    with pytest.raises(ValueError, match=r"exceed the range of floats.*for example 2\.0\*\*-?\d+ \* X"):
        SphericalPCA().fit(unit * make_rows())


@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_shares_of_the_variance_survive_extreme_units(unit):
    X = make_rows()
    pca, other = SphericalPCA().fit(X), SphericalPCA().fit(unit * X)
    np.testing.assert_allclose(other.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(other.eigenvalues_ / unit / unit, pca.eigenvalues_, rtol=1e-9)


@pytest.mark.parametrize("p", [30, 150])
@pytest.mark.parametrize("where", ["cluster", "scattered"])
@pytest.mark.parametrize("far", [1e2, 1e8])
def test_thirty_per_cent_of_far_outliers_do_not_turn_the_leading_directions(p, where, far):
    X = make_rows(100, p)
    rng = np.random.default_rng(5)
    if where == "cluster":
        X[:30, -1] += far
    else:
        X[:30] = far * rng.normal(size=(30, p))
    clean = SphericalPCA(n_components=2).fit(X[30:])
    pca = SphericalPCA(n_components=2).fit(X)
    cosines = np.linalg.svd(pca.components_ @ clean.components_.T, compute_uv=False)
    assert cosines.min() > 0.93
    assert (
        np.abs(np.linalg.svd(X - X.mean(0), full_matrices=False)[2][0, :3]).max() < 0.9
    )  # classical PCA does
    assert pca.eigenvalues_[0] < 6 * clean.eigenvalues_[0]


def test_the_number_of_scores():
    X = make_rows(400, 30)
    pca = SphericalPCA().fit(X)
    shares = np.cumsum(SphericalPCA(n_components=30).fit(X).explained_variance_ratio_)
    assert pca.n_components_ == 1 + np.searchsorted(shares, 0.95)
    assert SphericalPCA(n_components=0.5).fit(X).n_components_ == 1 + np.searchsorted(shares, 0.5)
    noise = np.random.default_rng(1).normal(size=(200, 50))
    assert SphericalPCA().fit(noise).n_components_ == 10
    assert SphericalPCA().fit(noise[:22]).n_components_ == 4
    assert SphericalPCA().fit(noise[:3]).n_components_ == 1


@pytest.mark.parametrize("p", [4, 40])
def test_few_rows_and_repeated_rows(p):
    rng = np.random.default_rng(3)
    two = SphericalPCA().fit(rng.normal(size=(2, p)))
    assert two.rank_ == 1
    X = rng.normal(size=(3, p))[rng.integers(3, size=30)]
    pca = SphericalPCA(n_components=2).fit(X + 1e3)
    assert pca.rank_ == 2
    assert np.isfinite(pca.transform(X)).all()


def test_most_rows_equal():
    X = np.zeros((20, 5))
    X[0, 0], X[1, 1] = 1.0, 2.0
    pca = SphericalPCA().fit(X)
    assert pca.eigenvalues_[0] == 0.0
    assert np.isfinite(pca.transform(X)).all()
    with pytest.raises(RankDeficientError, match="equal"):
        SphericalPCA().fit(np.ones((5, 3)))


def test_bad_parameters_and_rows():
    X = make_rows(10, 20)
    for bad in (0, 1.5, -1, True, "all"):
        with pytest.raises(ValueError, match="n_components of SphericalPCA"):
            SphericalPCA(n_components=bad).fit(X)
    with pytest.raises(ValueError, match="directions in which the 10 rows vary, 9"):
        SphericalPCA(n_components=10).fit(X)
    with pytest.raises(ValueError, match="scale of SphericalPCA"):
        SphericalPCA(scale="std").fit(X)
    X[3, 4] = np.nan
    with pytest.raises(ValueError, match="rows 3 and columns 4"):
        SphericalPCA().fit(X)


def test_dtype_and_names():
    X = make_rows(40, 10).astype(np.float32)
    pca = clone(SphericalPCA(n_components=2)).fit(X)
    assert pca.transform(X).dtype == np.float32
    assert pca.residual(X).dtype == np.float32
    assert list(pca.get_feature_names_out()) == ["sphericalpca0", "sphericalpca1"]
