"""The covariance of wrapped data: R's numbers, a slow twin, positive definite in any dimension, breakdown."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
import reference_scales as twin
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import generators

from fmahal import LedoitWolf, WrappedCovariance, _validation
from fmahal._kernels import wrapping
from fmahal._registry import scatters
from fmahal._validation import readonly
from fmahal.exceptions import ExactFitWarning, RankDeficientWarning

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "scales_golden.json").read_text())


def draw(n, p, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + rng.normal(size=p)


def wrapped(X):
    """Wrapped rows by the twin."""
    fits = np.array([twin.wrapping_location_scale(x) for x in X.T])
    return fits[:, 0] + fits[:, 1] * twin.psi((X - fits[:, 0]) / fits[:, 1])


@pytest.mark.parametrize("name", [name for name in GOLDEN if "wrap" in GOLDEN[name]])
def test_golden(name):
    X, expected = np.array(GOLDEN[name]["x"]), GOLDEN[name]["wrap"]
    scatter = WrappedCovariance().fit(X)
    np.testing.assert_allclose(scatter.column_scale_, expected["scale"], rtol=1e-12)
    gap = (scatter.column_location_ - expected["loc"]) / expected["scale"]
    assert np.abs(gap).max() < 5e-8  # q1 and q2 have seven digits


@given(generators(), st.integers(2, 60), st.sampled_from(["normal", "rounded", "far", "skew"]))
def test_columns(rng, n, shape):
    x = rng.normal(size=n)
    if shape == "rounded":
        x = np.round(3.0 * x)
    elif shape == "far":
        x[: n // 3] += 1e12
    elif shape == "skew":
        x = np.exp(3.0 * x)
    columns, location, scale = readonly(x[None].copy()), np.empty(1), np.empty(1)
    wrapping.wrap_rows(columns, location, scale)
    m, s = twin.wrapping_location_scale(x)
    if s <= 1e-12 * np.abs(x).max():  # half of the values are equal: the twin has rounding
        assert s == pytest.approx(scale[0], abs=1e-12 * np.abs(x).max())
        return
    assert scale[0] == pytest.approx(s, rel=1e-6)
    assert location[0] == pytest.approx(m, rel=1e-6, abs=1e-6 * s)
    out = np.empty((1, n))
    wrapping.wrap_cells(columns, readonly(location), readonly(scale), out)
    expected = location + scale * twin.psi((x - location) / scale)
    np.testing.assert_allclose(out[0], expected, rtol=1e-12, atol=1e-12 * scale[0])


def test_windows_far_from_each_other():
    """Sums that slide over outliers on either side keep their digits."""
    rng = np.random.default_rng(0)
    y = np.sort(
        np.concatenate([rng.normal(size=30) - 1e12, rng.normal(size=80), rng.normal(size=30) * 1e9 + 1e12])
    )
    out = np.empty(71)
    wrapping.window_scatters(y, 70, out)
    np.testing.assert_allclose(out, [70 * np.var(y[s : s + 70]) for s in range(71)], rtol=1e-8)


@pytest.mark.parametrize("shape", [(50, 4), (30, 1), (30, 29)])
def test_covariance_of_wrapped_rows(shape):
    X = draw(*shape)
    X[0] += 50.0
    Y = wrapped(X)
    S = np.cov(Y.T, bias=True).reshape(shape[1], shape[1])
    sd = np.sqrt(np.diagonal(S))
    scatter = WrappedCovariance(correction=None).fit(X)
    assert scatter.shrinkage_ == 0.0
    assert scatter.factor_ == 1.0
    assert np.abs((scatter.location_ - Y.mean(axis=0)) / sd).max() < 1e-12
    assert np.abs((scatter.covariance_ - S) / np.outer(sd, sd)).max() < 1e-12
    expected = reference.squared_distance(X, Y.mean(axis=0), S)
    np.testing.assert_allclose(scatter.mahalanobis(X), expected, rtol=1e-5 if shape[1] == 29 else 1e-9)
    np.testing.assert_array_equal(scatter.d2_, scatter.mahalanobis(X))
    np.testing.assert_array_equal(scatter.dist_, scatter.d2_)
    corrected = WrappedCovariance().fit(X)
    np.testing.assert_allclose(corrected.covariance_, corrected.factor_ * scatter.covariance_, rtol=1e-12)


def test_factor():
    f = lambda z: twin.psi(np.array(z)) ** 2 * stats.norm.pdf(z)  # noqa: E731
    variance = 2 * (integrate.quad(f, 0, 1.5)[0] + integrate.quad(f, 1.5, 4)[0])
    assert WrappedCovariance().fit(draw(30, 2)).factor_ == pytest.approx(1 / variance, rel=1e-9)
    X = np.random.default_rng(0).normal(size=(20_000, 4)) * [1.0, 10.0, 1e6, 1e-6]
    scatter = WrappedCovariance().fit(X)
    np.testing.assert_allclose(np.diagonal(scatter.covariance_) / [1.0, 1e2, 1e12, 1e-12], 1.0, atol=0.05)


@pytest.mark.parametrize("route", ["primal", "dual"])
@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (20, 20)])
def test_shrinkage(shape, route):
    X = draw(*shape)
    Y = wrapped(X)
    sd = Y.std(axis=0)
    R = np.corrcoef(Y.T)
    for t in (0.2, 1.0):
        scatter = WrappedCovariance(shrinkage=t, correction=None)
        scatter._route = route
        scatter.fit(X)
        expected = np.outer(sd, sd) * ((1 - t) * R + t * np.eye(shape[1]))
        assert np.abs((scatter.covariance_ - expected) / np.outer(sd, sd)).max() < 1e-12
        d2 = reference.squared_distance(X, Y.mean(axis=0), expected)
        np.testing.assert_allclose(scatter.mahalanobis(X), d2, rtol=1e-9)
        assert scatter.rank_ == shape[1]


def test_automatic_shrinkage_is_that_of_the_standardised_wrapped_rows():
    X = draw(25, 60)
    Y = wrapped(X)
    Z = (Y - Y.mean(axis=0)) / Y.std(axis=0)
    scatter = WrappedCovariance().fit(X)
    assert scatter.shrinkage_ == pytest.approx(LedoitWolf().fit(Z).shrinkage_, rel=1e-9)
    assert 0.05 < scatter.shrinkage_ < 1.0
    assert np.linalg.eigvalsh(scatter.covariance_ / np.outer(Y.std(axis=0), Y.std(axis=0))).min() > 0.01


def test_no_square_matrix_for_many_columns(monkeypatch):
    X = np.random.default_rng(0).normal(size=(30, 3000))
    X[:3] += 20.0
    monkeypatch.setattr(_validation, "_memory_limit", lambda: 3000 * 3000 * 8.0 - 1)
    scatter = WrappedCovariance().fit(X)
    assert scatter.whitener_.kind == "spectral"
    assert scatter.rank_ == 3000
    assert scatter.d2_[:3].min() > 10 * scatter.d2_[3:].max()


@pytest.mark.parametrize("route", ["primal", "dual"])
def test_nothing_added_to_too_few_rows(route):
    X = draw(8, 12)
    scatter = WrappedCovariance(shrinkage=0.0)
    scatter._route = route
    with pytest.warns(RankDeficientWarning, match="WrappedCovariance: 8 rows span 7 of 12 dimensions"):
        scatter.fit(X)
    assert scatter.rank_ == 7


@given(generators(), st.integers(12, 50), st.integers(1, 20))
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_equivariant(rng, n, p):
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + rng.normal(size=p)
    order, units = rng.permutation(p), 10.0 ** rng.integers(-8, 9, size=p) * rng.choice([-1.0, 1.0], size=p)
    before = WrappedCovariance(shrinkage=0.1).fit(X)
    after = WrappedCovariance(shrinkage=0.1).fit((X * units + 2.0 * units)[:, order])
    np.testing.assert_allclose(after.d2_, before.d2_, rtol=1e-6)
    auto = WrappedCovariance().fit(X), WrappedCovariance().fit((X * units + 2.0 * units)[:, order])
    assert auto[0].shrinkage_ == pytest.approx(auto[1].shrinkage_, rel=1e-6)


@pytest.mark.parametrize("far", [1e2, 1e6, 1e12])
@pytest.mark.parametrize("shape", [(200, 5), (40, 80)])
def test_breakdown(shape, far):
    n, p = shape
    rng = np.random.default_rng(0)
    X = rng.normal(size=shape)
    clean = WrappedCovariance(shrinkage=0.3).fit(X)
    X[: int(0.4 * n)] = far * rng.normal(size=(int(0.4 * n), p))
    scatter = WrappedCovariance(shrinkage=0.3).fit(X)
    assert np.abs(scatter.location_).max() < 2.0
    ratio = np.linalg.eigvals(np.linalg.solve(clean.covariance_, scatter.covariance_)).real
    assert ratio.min() > 0.05
    assert ratio.max() < 20.0
    assert scatter.d2_[: int(0.4 * n)].min() > 10 * np.median(scatter.d2_[int(0.4 * n) :])


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_column_with_half_its_values_equal(unit):
    X = draw(60, 3)
    X[:40, 1] = 0.1
    frame = pd.DataFrame(X * unit, columns=["a", "b", "c"])
    with pytest.warns(
        ExactFitWarning, match=r"equal: 'b'\. 40 of 60 rows lie on a subspace of 2 of 3"
    ) as caught:
        scatter = WrappedCovariance().fit(frame)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    rest = WrappedCovariance().fit(X[:, [0, 2]])
    assert scatter.rank_ == 2
    np.testing.assert_allclose(scatter.d2_, rest.d2_, rtol=1e-9)
    assert scatter.residual(frame)[40:].min() > 1e3 * scatter.residual(frame)[:40].max()
    with pytest.warns(ExactFitWarning, match="'b'"):
        assert WrappedCovariance(shrinkage=0.2).fit(frame).rank_ == 3


@pytest.mark.parametrize("p", [1, 12])
def test_nothing_varies(p):
    with pytest.warns(ExactFitWarning, match=f"9 of 9 rows lie on a subspace of 0 of {p}"):
        scatter = WrappedCovariance(shrinkage=0.0).fit(np.full((9, p), 0.3))
    assert scatter.rank_ == 0
    np.testing.assert_array_equal(scatter.d2_, np.zeros(9))
    np.testing.assert_allclose(scatter.location_, 0.3, rtol=1e-15)


def test_few_rows():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in (2, 3, 4, 5, 6):
            for p in (1, 2, 7):
                scatter = WrappedCovariance().fit(draw(n, p, seed=n))
                assert np.isfinite(scatter.d2_).all()
                assert np.isfinite(scatter.covariance_).all()


@pytest.mark.parametrize("shape", [(50, 3), (20, 40)])
def test_narrow_rows_and_rows_left_alone(shape):
    X = draw(*shape).astype(np.float32)
    before = X.copy()
    scatter = WrappedCovariance().fit(X)
    np.testing.assert_array_equal(X, before)
    assert scatter.mahalanobis(X).dtype == scatter.transform(X).dtype == np.float32
    np.testing.assert_allclose(scatter.d2_, WrappedCovariance().fit(X.astype(np.float64)).d2_, rtol=1e-4)
    Y = draw(*shape)
    before = Y.copy()
    WrappedCovariance().fit(Y)
    np.testing.assert_array_equal(Y, before)


def test_registry():
    assert scatters["wrapped"].factory(shrinkage=0.5).shrinkage == 0.5
    assert scatters["wrapped"].applies(10, 1000) is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shrinkage": "ledoit"}, 'shrinkage must be "auto" or a number between 0 and 1'),
        ({"shrinkage": 1.5}, "shrinkage must be"),
        ({"shrinkage": np.nan}, "shrinkage must be"),
        ({"shrinkage": True}, "shrinkage must be"),
        ({"correction": "pison"}, 'correction must be "asymptotic" or None'),
        ({"store_precision": "no"}, "store_precision of WrappedCovariance must be True or False"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        WrappedCovariance(**parameters).fit(draw(10, 2))


def test_bad_rows():
    X = draw(10, 2)
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity: 1 entries, in rows 3 and columns 1"):
        WrappedCovariance().fit(X)
    with pytest.raises(ValueError, match="minimum of 2"):
        WrappedCovariance().fit(X[:1])


@parametrize_with_checks([WrappedCovariance(), WrappedCovariance(shrinkage=0.2)])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_sklearn(estimator, check):
    check(estimator)
