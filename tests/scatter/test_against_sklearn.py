"""The same numbers as scikit-learn wherever it has the class, whichever route was taken."""

import numpy as np
import pytest
import sklearn.covariance as skcov

from fmahal.scatter import OAS, EmpiricalCovariance, LedoitWolf, ShrunkCovariance

SHRUNK = [
    (LedoitWolf, skcov.LedoitWolf, {}),
    (OAS, skcov.OAS, {}),
    (ShrunkCovariance, skcov.ShrunkCovariance, {}),
    (ShrunkCovariance, skcov.ShrunkCovariance, {"shrinkage": 0.7}),
]
ALL = [(EmpiricalCovariance, skcov.EmpiricalCovariance, {}), *SHRUNK]
SHAPES = [(60, 5), (60, 1), (31, 29), (30, 30), (30, 31), (12, 40), (3, 50)]


def draw(n, p, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(p, p)) / np.sqrt(p) + np.eye(p)
    return (rng.normal(size=(n, p)) @ mix + 3.0).astype(dtype)


def pair(case, shape, **options):
    ours, theirs, parameters = case
    X = draw(*shape)
    return X, ours(**parameters, **options).fit(X), theirs(**parameters, **options).fit(X)


def close(a, b, rtol):
    scale = np.abs(b).max()
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case[0].__name__}{case[2]}")
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_location_and_covariance(case, shape, centered):
    _, ours, theirs = pair(case, shape, assume_centered=centered)
    close(ours.location_, theirs.location_, 1e-13)
    close(ours.covariance_, theirs.covariance_, 1e-12)
    np.testing.assert_array_equal(ours.covariance_, ours.covariance_.T)
    if hasattr(theirs, "shrinkage_"):
        assert ours.shrinkage_ == pytest.approx(theirs.shrinkage_, rel=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", SHRUNK, ids=lambda case: f"{case[0].__name__}{case[2]}")
def test_distances_of_shrunk_covariances(case, shape):
    X, ours, theirs = pair(case, shape)
    new = draw(20, shape[1], seed=1)
    for rows in (X, new):
        np.testing.assert_allclose(ours.mahalanobis(rows), theirs.mahalanobis(rows), rtol=1e-9)
    assert ours.score(new) == pytest.approx(theirs.score(new), rel=1e-10)
    close(ours.get_precision(), theirs.get_precision(), 1e-9)


@pytest.mark.parametrize("shape", [(60, 5), (60, 1), (31, 29)])
def test_distances_of_the_empirical_covariance(shape):
    X, ours, theirs = pair(ALL[0], shape)
    new = draw(20, shape[1], seed=1)
    for rows in (X, new):
        np.testing.assert_allclose(ours.mahalanobis(rows), theirs.mahalanobis(rows), rtol=1e-8)
    assert ours.score(new) == pytest.approx(theirs.score(new), rel=1e-8)
    close(ours.precision_, theirs.precision_, 1e-8)


@pytest.mark.parametrize("shape", [(30, 31), (12, 40)])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_training_distances_agree_on_the_span(shape):
    X, ours, theirs = pair(ALL[0], shape)
    np.testing.assert_allclose(ours.mahalanobis(X), theirs.mahalanobis(X), rtol=1e-6)
    np.testing.assert_allclose(ours.mahalanobis(X), shape[0] - 1, rtol=1e-9)


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("shape", [(60, 5), (12, 40)])
def test_error_norm(norm, scaling, squared, shape):
    _, ours, theirs = pair(SHRUNK[0], shape)
    other = np.diag(np.arange(1.0, shape[1] + 1))
    options = {"norm": norm, "scaling": scaling, "squared": squared}
    assert ours.error_norm(other, **options) == pytest.approx(theirs.error_norm(other, **options), rel=1e-10)


def test_error_norm_refuses():
    _, ours, _ = pair(SHRUNK[0], (60, 5))
    with pytest.raises(NotImplementedError, match="frobenius"):
        ours.error_norm(np.eye(5), norm="nuclear")
    with pytest.raises(ValueError, match=r"shape \(5, 5\)"):
        ours.error_norm(np.eye(4))


@pytest.mark.parametrize("shape", [(60, 5), (12, 40)])
def test_store_precision(shape):
    _, kept, _ = pair(SHRUNK[0], shape)
    _, bare, theirs = pair(SHRUNK[0], shape, store_precision=False)
    assert bare.precision_ is None
    assert theirs.precision_ is None
    assert kept.precision_ is kept.get_precision()
    np.testing.assert_array_equal(bare.get_precision(), kept.precision_)


@pytest.mark.parametrize("shape", [(60, 5), (12, 40)])
def test_block_size_changes_nothing(shape):
    X = draw(*shape)
    small, large = LedoitWolf(block_size=2).fit(X), LedoitWolf().fit(X)
    np.testing.assert_array_equal(small.covariance_, large.covariance_)
