"""Distances change as the class attributes say, and in no other way."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import generators

from fmahal.scatter import (
    MRCD,
    OAS,
    OGK,
    QIS,
    BaseScatter,
    EmpiricalCovariance,
    FixedScatter,
    LedoitWolf,
    ShrunkCovariance,
    Sketched,
    WrappedCovariance,
)

SCATTERS = [EmpiricalCovariance, LedoitWolf, OAS, QIS, ShrunkCovariance, WrappedCovariance]
ROBUST = [WrappedCovariance, OGK, MRCD]
TRANSFORMATIONS = ("translation", "permutation", "orthogonal", "scale", "columns", "affine")


def transformed(X, kind, rng):
    p = X.shape[1]
    if kind == "translation":
        return X + 10.0 * rng.normal(size=p)
    if kind == "permutation":
        return X[:, rng.permutation(p)]
    if kind == "orthogonal":
        return X @ np.linalg.qr(rng.normal(size=(p, p)))[0]
    if kind == "scale":
        return X * 10.0 ** rng.integers(-8, 9)
    if kind == "columns":
        return X * 10.0 ** rng.integers(-8, 9, size=p)
    U, _ = np.linalg.qr(rng.normal(size=(p, p)))
    V, _ = np.linalg.qr(rng.normal(size=(p, p)))
    return X @ (U * np.linspace(1.0, 10.0, p) @ V) + rng.normal(size=p)


@pytest.mark.parametrize("kind", TRANSFORMATIONS)
@pytest.mark.parametrize("make", SCATTERS)
@given(generators(), st.integers(3, 24), st.integers(1, 14), st.sampled_from([None, "primal", "dual"]))
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_declared(make, kind, rng, n, p, route):
    if kind not in make.equivariances:
        return
    # near n = p the sample covariance is as badly conditioned as it pleases
    assume(make is not EmpiricalCovariance or abs(n - 1 - p) > 1)
    X = rng.normal(size=(n, p)) * rng.uniform(0.5, 2.0, size=p)
    a, b = make(), make()
    a._route = b._route = route
    Y = transformed(X, kind, rng)
    np.testing.assert_allclose(b.fit(Y).mahalanobis(Y), a.fit(X).mahalanobis(X), rtol=1e-6)
    assert a.rank_ == b.rank_


@pytest.mark.parametrize("kind", TRANSFORMATIONS)
@pytest.mark.parametrize("make", ROBUST)
@given(generators(), st.integers(20, 50), st.integers(1, 8))
def test_declared_by_robust_scatters(make, kind, rng, n, p):
    """Enough rows for half of them to span all columns: a few outliers among them."""
    if kind not in make.equivariances:
        return
    X = rng.normal(size=(n, p)) * rng.uniform(0.5, 2.0, size=p)
    X[: n // 6] += 10.0
    Y = transformed(X, kind, rng)
    np.testing.assert_allclose(make().fit(Y).mahalanobis(Y), make().fit(X).mahalanobis(X), rtol=1e-6)


@pytest.mark.parametrize("make", [*SCATTERS, OGK, MRCD])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_undeclared_does_not_hold(make):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 4))
    before = make().fit(X).mahalanobis(X)
    for kind in set(TRANSFORMATIONS) - make.equivariances:
        Y = transformed(X, kind, rng)
        assert not np.allclose(make().fit(Y).mahalanobis(Y), before, rtol=1e-3)
    assert make.affine_equivariant == ("affine" in make.equivariances)


def test_every_class_declares():
    def subclasses(cls):
        return {cls}.union(*(subclasses(c) for c in cls.__subclasses__()))

    for cls in subclasses(BaseScatter):
        scatter = cls(LedoitWolf()) if cls is Sketched else cls()
        assert scatter.equivariances <= set(TRANSFORMATIONS)  # of MinCovDet they depend on the method
        assert isinstance(scatter.robust, bool)  # of Sketched it is that of the scatter in it
        assert isinstance(scatter.regularized, bool)  # of the family of modified Cholesky, by its parameters
    assert FixedScatter.equivariances == frozenset()
