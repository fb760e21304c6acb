"""Amounts of shrinkage of many resamples at once are those that the classes find one by one."""

import numpy as np
import pytest
import sklearn.covariance as skcov

import fmahal
from fmahal.nulls._intensity import qis_spectra, shrinkage_weights
from fmahal.scatter._moments import rank_tolerance, second_moments
from fmahal.scatter.qis import qis_eigenvalues

LINEAR = [
    fmahal.EmpiricalCovariance(),
    fmahal.LedoitWolf(),
    fmahal.LedoitWolf(assume_centered=True),
    fmahal.OAS(),
    fmahal.OAS(formula="paper"),
    fmahal.ShrunkCovariance(shrinkage=0.3),
    fmahal.ShrunkCovariance(ridge=2.5),
    skcov.EmpiricalCovariance(),
    skcov.LedoitWolf(),
    skcov.LedoitWolf(assume_centered=True),
    skcov.OAS(),
    skcov.ShrunkCovariance(shrinkage=0.3),
]


def samples(n, p, count=5, unit=1.0):
    """Rows of growing correlation, so that the amounts differ; the last ones are repeated rows."""
    rng = np.random.default_rng(n + p)
    shared = rng.standard_normal((count, n, 1))
    X = unit * (rng.standard_normal((count, n, p)) + np.linspace(0, 2, count)[:, None, None] * shared)
    X[-1] = X[-1][rng.integers(0, n, n)]
    return X


def invariants(X, centred):
    found = [second_moments(rows, centred=centred).invariants for rows in X]
    return tuple(np.array(column) for column in zip(*found, strict=True))


@pytest.mark.filterwarnings(
    "ignore::fmahal.exceptions.RankDeficientWarning"
)  # nothing is added by one of them
@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(("n", "p"), [(30, 4), (9, 9), (8, 30), (20, 1)])
@pytest.mark.parametrize("scatter", LINEAR, ids=repr)
def test_linear_weights_give_the_covariance_of_the_class(scatter, n, p, unit):
    X = samples(n, p, unit=unit)
    centred = not scatter.assume_centered
    weight, ridge = shrinkage_weights(scatter, *invariants(X, centred), n, p)
    assert weight.shape == ridge.shape == (len(X),)
    for k, rows in enumerate(X):
        Y = rows - rows.mean(axis=0) if centred else rows
        found = weight[k] * (Y.T @ Y) / n + ridge[k] * np.eye(p)
        np.testing.assert_allclose(found, scatter.fit(rows).covariance_, rtol=1e-10, atol=1e-12 * found.max())


@pytest.mark.parametrize(
    "scatter", [fmahal.LedoitWolf(), fmahal.OAS(), fmahal.OAS(formula="paper")], ids=repr
)
def test_the_class_and_the_batch_share_one_formula(scatter):
    X = samples(12, 40)
    weight, _ = shrinkage_weights(scatter, *invariants(X, True), 12, 40)
    assert weight.tolist() == [1.0 - scatter.fit(rows).shrinkage_ for rows in X]


def test_a_sample_that_does_not_vary_gets_nothing():
    zero = np.zeros(2)
    for scatter in LINEAR:
        _, ridge = shrinkage_weights(scatter, zero, zero, zero, 10, 4)
        assert ridge.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("scatter", [skcov.MinCovDet(), fmahal.QIS(), skcov.GraphicalLasso()], ids=repr)
def test_other_rules_are_refused(scatter):
    one = np.ones(1)
    with pytest.raises(TypeError, match=type(scatter).__name__):
        shrinkage_weights(scatter, one, one, one, 10, 4)


@pytest.mark.parametrize("unit", [1e-16, 1.0, 1e16])
@pytest.mark.parametrize(("p", "freedom"), [(5, 40), (30, 31), (30, 30), (31, 30), (80, 19), (1, 7)])
def test_qis_matches_one_by_one(p, freedom, unit):
    rng = np.random.default_rng(p)
    m = min(p, freedom)
    values = -np.sort(-rng.gamma(2.0, size=(7, m + 2)), axis=1) * unit
    values[:, m:] = 0.0
    if m > 5:  # repeated rows, columns without spread
        values[3, m - 2 :] = 0.0
        values[4, 3:] *= 1e-20
    values[-1] = 0.0
    rtol = rank_tolerance(freedom + 1, p)
    shrunk, rest = qis_spectra(values, p, freedom, rtol)
    for k in range(len(values)):
        want, tail = qis_eigenvalues(values[k], p, freedom, rtol)
        np.testing.assert_allclose(shrunk[k, : want.size], want, rtol=1e-12)
        assert not shrunk[k, want.size :].any()
        np.testing.assert_allclose(rest[k], tail, rtol=1e-12)


def test_qis_does_not_depend_on_blocks(monkeypatch):
    values = -np.sort(-np.random.default_rng(0).gamma(2.0, size=(20, 9)), axis=1)
    whole = qis_spectra(values, 30, 9, 1e-14)
    monkeypatch.setattr("fmahal.nulls._intensity._CELLS", 200)
    for one, other in zip(whole, qis_spectra(values, 30, 9, 1e-14), strict=True):
        np.testing.assert_array_equal(one, other)
