"""Constant, repeated and dependent columns, too few rows, and units that must not matter."""

import warnings

import numpy as np
import pandas as pd
import pytest
import reference

from fmahal._registry import scatters
from fmahal.exceptions import OutsideSubspaceError, RankDeficientWarning
from fmahal.scatter import OAS, QIS, EmpiricalCovariance, LedoitWolf, ShrunkCovariance
from fmahal.scatter._degenerate import dependent_columns

SCALES = [1e-8, 1.0, 1e8]
REGULARIZED = [LedoitWolf, OAS, QIS, ShrunkCovariance]


def draw(n, p, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p)) + 2.0


def fit_warned(X, match, make=EmpiricalCovariance, **attributes):
    scatter = make()
    for name, value in attributes.items():
        setattr(scatter, name, value)
    with pytest.warns(RankDeficientWarning, match=match) as caught:
        scatter.fit(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the caller's line
    return scatter


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("route", ["primal", "dual"])
def test_constant_column(route, scale):
    X = draw(30, 4)
    X[:, 2] = 0.1
    X *= scale
    scatter = fit_warned(X, r"30 rows span 3 of 4 dimensions\. Constant columns: 2\.", _route=route)
    assert scatter.rank_ == 3
    rest = EmpiricalCovariance().fit(X[:, [0, 1, 3]])
    np.testing.assert_allclose(scatter.mahalanobis(X), rest.mahalanobis(X[:, [0, 1, 3]]), rtol=1e-10)
    assert not scatter.whitener_.off_subspace(X - scatter.location_).any()
    moved = X[:1].copy()
    moved[0, 2] *= 1.001
    assert scatter.residual(moved)[0] == pytest.approx(1e-3, rel=1e-6)
    assert scatter.mahalanobis(moved)[0] == pytest.approx(scatter.mahalanobis(X[:1])[0], rel=1e-12)
    assert scatter.mahalanobis(moved, outside="inf")[0] == np.inf
    with pytest.raises(OutsideSubspaceError, match="row 0"):
        scatter.mahalanobis(moved, outside="raise")


@pytest.mark.parametrize("scale", SCALES)
def test_zero_column(scale):
    X = draw(30, 3) * scale
    X[:, 0] = 0.0
    scatter = fit_warned(X, "Constant columns: 0")
    moved = X[:1].copy()
    moved[0, 0] = scale
    assert scatter.residual(moved)[0] > 0.1
    assert scatter.whitener_.off_subspace(moved - scatter.location_)[0]


def test_small_spread_on_a_large_mean_is_no_constant():
    X = draw(50, 2)
    scatter = EmpiricalCovariance().fit(X * [1.0, 1e-6] + [0.0, 100.0])
    assert scatter.rank_ == 2
    np.testing.assert_allclose(
        scatter.mahalanobis(X * [1.0, 1e-6] + [0.0, 100.0]),
        EmpiricalCovariance().fit(X).mahalanobis(X),
        rtol=1e-6,
    )


def test_known_zero_location_makes_no_column_constant():
    X = draw(30, 3)
    X[:, 1] = 5.0
    assert EmpiricalCovariance(assume_centered=True).fit(X).rank_ == 3


@pytest.mark.parametrize("scale", SCALES)
def test_repeated_and_dependent_columns_are_named(scale):
    X = draw(40, 3) * scale
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["d"] = 3.0 - 1e5 * frame["b"]
    frame["e"] = frame["a"] - frame["c"]
    scatter = fit_warned(frame, r"span 3 of 5 .* determine: 'd' \(repeats 'b'\), 'e'\.")
    np.testing.assert_allclose(
        scatter.mahalanobis(frame), EmpiricalCovariance().fit(X).mahalanobis(X), rtol=1e-8
    )
    assert not scatter.whitener_.off_subspace(frame.to_numpy() - scatter.location_).any()


def test_many_dependent_columns_are_counted():
    X = draw(60, 8)
    fit_warned(np.hstack([X, X]), r"8 \(repeats 0\), 9 \(repeats 1\), .* 12 \(repeats 4\) and 3 more\.")


def test_dependent_columns():
    X = draw(50, 4)
    X = np.column_stack([X[:, 0], X[:, 1], X[:, 0] + X[:, 1], -X[:, 1], X[:, 2]])
    S = np.cov(X.T)
    assert dependent_columns(S, 50 * np.finfo(float).eps) == [(2, None), (3, 1)]
    assert dependent_columns(S[np.ix_([0, 1, 4], [0, 1, 4])], 50 * np.finfo(float).eps) == []


@pytest.mark.parametrize("n", [5, 10, 20, 21])
def test_too_few_rows(n):
    X = draw(n, 20)
    if n == 21:  # full rank, though all training distances are equal
        scatter = EmpiricalCovariance().fit(X)
    else:
        scatter = fit_warned(X, rf"all training distances are equal \(squared distance n - 1 = {n - 1}\)")
    assert scatter.rank_ == n - 1
    np.testing.assert_allclose(scatter.mahalanobis(X), n - 1, rtol=1e-7)


def test_too_few_rows_about_a_known_location():
    X = draw(7, 20)
    with pytest.warns(RankDeficientWarning, match=r"squared distance n = 7"):
        scatter = EmpiricalCovariance(assume_centered=True).fit(X)
    assert scatter.rank_ == 7
    np.testing.assert_allclose(scatter.mahalanobis(X), 7, rtol=1e-10)


@pytest.mark.parametrize("route", ["primal", "dual"])
def test_repeated_rows(route):
    X = np.repeat(draw(4, 10), 2, axis=0)
    scatter = fit_warned(
        X, r"8 rows span 3 of 10 dimensions\. So few rows span at most n - 1 = 7", _route=route
    )
    assert scatter.rank_ == 3
    np.testing.assert_allclose(scatter.mahalanobis(X), 3.0, rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2, 5])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_two_rows(p):
    X = draw(2, p)
    scatter = EmpiricalCovariance().fit(X)
    assert scatter.rank_ == 1
    np.testing.assert_allclose(scatter.mahalanobis(X), 1.0, rtol=1e-12)
    for make in (OAS, QIS, ShrunkCovariance):
        assert make().fit(X).rank_ == p
    wolf = LedoitWolf().fit(X)  # one direction and no noise about it: nothing to shrink
    assert (wolf.shrinkage_, wolf.rank_) == (0.0, 1)


@pytest.mark.parametrize("p", [1, 3, 12])
@pytest.mark.parametrize("make", [EmpiricalCovariance, *REGULARIZED])
def test_nothing_varies(make, p):
    X = np.full((6, p), 0.3)
    scatter = fit_warned(X, f"6 rows span 0 of {p} dimensions", make)
    assert scatter.rank_ == 0
    np.testing.assert_array_equal(scatter.mahalanobis(X), np.zeros(6))
    assert scatter.transform(X).shape == (6, 0)
    np.testing.assert_array_equal(scatter.covariance_, np.zeros((p, p)))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(30, 4), (6, 12)])
@pytest.mark.parametrize("make", [LedoitWolf, OAS, ShrunkCovariance])
def test_shrinkage_repairs_degenerate_columns(make, shape, scale):
    X = draw(*shape)
    X[:, 2] = 0.1
    X[:, 1] = X[:, 0]
    X *= scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scatter = make().fit(X)
    assert scatter.rank_ == shape[1]
    expected = reference.squared_distance(X, scatter.location_, scatter.covariance_)
    np.testing.assert_allclose(scatter.mahalanobis(X), expected, rtol=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_nonlinear_shrinkage_of_dependent_columns(scale):
    X = draw(40, 4)
    X[:, 3] = X[:, 0] + X[:, 1]
    scatter = fit_warned(X * scale, "span 3 of 4 .* determine: 3", QIS)
    assert scatter.rank_ == 3
    assert scatter.eigenvalues_[0] == 0.0
    nearly = X.copy()
    nearly[:, 3] += 1e-6 * draw(40, 1, seed=1)[:, 0]
    expected = QIS().fit(nearly * scale).eigenvalues_[1:]  # the limit as the smallest one vanishes
    np.testing.assert_allclose(scatter.eigenvalues_[1:], expected, rtol=1e-4)


def test_nonlinear_shrinkage_of_repeated_rows():
    X = np.repeat(draw(6, 15), 2, axis=0)
    scatter = QIS().fit(X)
    assert scatter.rank_ == 15
    assert np.all(scatter.eigenvalues_ > 0)


@pytest.mark.parametrize(
    "amount", [{"shrinkage": 0.0}, {"shrinkage": 1e-30}, {"ridge": 0.0}, {"ridge": 1e-30}]
)
@pytest.mark.parametrize("shape", [(10, 10), (6, 12)])
def test_no_shrinkage_to_speak_of_is_none(amount, shape):
    X = draw(*shape)
    with pytest.warns(RankDeficientWarning, match=f"span {shape[0] - 1} of"):
        scatter = ShrunkCovariance(**amount).fit(X)
    np.testing.assert_allclose(scatter.mahalanobis(X), shape[0] - 1, rtol=1e-9)


def test_score_on_a_subspace():
    X = draw(30, 3)
    X = np.column_stack([X, X[:, 0]])
    scatter = fit_warned(X, "repeats 0")
    w, V = np.linalg.eigh(np.cov(X.T, bias=True))
    Z = (X - X.mean(0)) @ V[:, 1:]
    expected = -0.5 * (3 + np.log(w[1:]).sum() + 3 * np.log(2 * np.pi))
    assert np.mean((Z**2 / w[1:]).sum(axis=1)) == pytest.approx(3)
    assert scatter.score(X) == pytest.approx(expected, rel=1e-10)
    assert scatter.score(X + np.array([0.0, 0.0, 0.0, 1.0])) == -np.inf


def test_units_too_far_apart_are_blamed():
    X = draw(40, 4) * [1.0, 1e-9, 1.0, 1.0]
    fit_warned(X, r"span 3 of 4 .* differ by a factor of .e\+09: bring them to comparable units", QIS)
    assert EmpiricalCovariance().fit(X).rank_ == 4


# ------------------------------------------------------------------ training rows and their own subspace


CONSTANT, SUM = 6, 8


def mixed_units(p):
    """Return units that span sixteen decimal powers, in no order."""
    return 10.0 ** np.random.default_rng(5).permutation(np.linspace(-8.0, 8.0, p))


def dependent_table(n=80, units=1.0):
    """Return rows with a constant column, `CONSTANT`, between others, a sum of two, `SUM`, and a repeated one."""
    rng = np.random.default_rng(0)
    X, a, b = rng.normal(size=(n, 5)), *rng.normal(size=(2, n))
    table = np.column_stack([X, a, np.full(n, 3.0), b, a + b, X[:, 0]])
    return table * (mixed_units(table.shape[1]) if units == "mixed" else units)


@pytest.mark.parametrize("units", [*SCALES, "mixed"])
@pytest.mark.parametrize("name", scatters.names())
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_training_rows_lie_on_their_own_subspace(name, units):
    X = dependent_table(units=units)
    scatter = scatters[name].factory().fit(X)
    assert np.isfinite(scatter.mahalanobis(X)).all()
    # A semi-distance does not judge what it leaves out.
    if getattr(scatter, "outside", None) == "ignore":
        return
    centred = X - scatter.location_
    assert not scatter.whitener_.off_subspace(X, scatter.location_).any()
    assert not scatter.whitener_.off_subspace(centred).any()
    assert scatter.residual(X).max() < 1e-6


@pytest.mark.parametrize("units", SCALES)
@pytest.mark.parametrize("route", ["primal", "dual"])
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_constant_column_changes_no_shrunk_eigenvalue_distance(route, level, units):
    X = dependent_table(units=units)
    X[:, CONSTANT] = level * units
    scatter = fit_warned(X, "span 7 of 10 dimensions", QIS, _route=route)
    rest = fit_warned(np.delete(X, CONSTANT, axis=1), "span 7 of 9 dimensions", QIS, _route=route)
    assert scatter.rank_ == rest.rank_ == 7
    assert scatter.residual(X).max() < 1e-6
    assert not scatter.covariance_[CONSTANT].any()
    assert not scatter.covariance_[:, CONSTANT].any()
    assert not scatter.whitener_.off_subspace(X, scatter.location_).any()
    moved = X[:2].copy()
    moved[0, CONSTANT] += 1e-3 * units
    np.testing.assert_array_equal(scatter.whitener_.off_subspace(moved, scatter.location_), [True, False])
    moved = X[:2].copy()
    moved[0, SUM] += 1e-3 * units  # no sum any more
    np.testing.assert_array_equal(scatter.whitener_.off_subspace(moved, scatter.location_), [True, False])
