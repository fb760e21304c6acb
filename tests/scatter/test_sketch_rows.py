"""Pre-images of sketched rows, what a seed holds, and what a sketch says about the scatter inside."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn import covariance as skcov

from fmahal import Whitener
from fmahal._maps import MAP_KINDS, random_map
from fmahal.exceptions import ExactIsCheaperWarning, RankDeficientWarning
from fmahal.scatter import (
    EmpiricalCovariance,
    FixedScatter,
    LedoitWolf,
    ModifiedCholesky,
    SpectralFilter,
)
from fmahal.scatter.sketched import Sketched

STACKED = ModifiedCholesky(penalty="l2", alpha=0.1, n_orders=2, random_state=0)


def draw(n, p, seed=0):
    rng = np.random.default_rng([n, p, seed])
    return rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p))) + 5.0


def singular(seed=0):
    """Rows of rank 5 in seven columns of very different units."""
    A = np.random.default_rng(seed).normal(size=(60, 5)) * [1.0, 10.0, 100.0, 0.1, 1.0]
    return np.c_[A, A[:, 0] + A[:, 1], A[:, 2] - 5 * A[:, 3]]


class Slow(LedoitWolf):
    """A scatter whose fit nobody should reach."""

    def fit(self, X, y=None):
        raise AssertionError("the scatter was fitted before the parameters were checked")


# ---------------------------------------------------------------- pre-images


@pytest.mark.parametrize(
    "inner",
    [EmpiricalCovariance(), skcov.EmpiricalCovariance(), SpectralFilter("truncate", n_components=4)],
    ids=["ours", "scikit-learn", "cut"],
)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_preimages_lie_in_the_subspace(inner):
    X = singular()
    scatter = Sketched(inner, n_components=3, random_state=0).fit(X)
    Z = scatter.transform(X)
    back = scatter.inverse_transform(Z)
    typical = np.median(scatter.residual(X + np.abs(X).max(axis=0) * np.eye(7)[5]))
    assert scatter.residual(back).max() < 1e-10 * typical
    np.testing.assert_allclose(scatter.transform(back), Z, rtol=1e-8, atol=1e-10 * np.abs(Z).max())


@pytest.mark.parametrize("inner", [EmpiricalCovariance(), LedoitWolf(), STACKED], ids=["full", "lw", "mean"])
def test_preimages_have_the_least_exact_distance(inner):
    X = draw(40, 8)
    scatter = Sketched(inner, n_components=3, random_state=0).fit(X)
    Z = scatter.transform(X[:4])
    back = scatter.inverse_transform(Z)
    np.testing.assert_allclose(scatter.transform(back), Z, rtol=1e-9, atol=1e-10 * np.abs(Z).max())
    least = scatter.scatter_.mahalanobis(back)
    assert np.all(least <= scatter.scatter_.mahalanobis(X[:4]))
    unseen = np.linalg.svd(scatter.whitener_.adjoint(np.eye(3)))[2][3:]  # what the sketch maps to zero
    away = scatter.scatter_.precision_dot(back) @ unseen.T
    size = np.linalg.norm(scatter.scatter_.precision_dot(back), axis=1)
    assert np.abs(away).max() < 1e-9 * size.max()


@pytest.mark.parametrize("unit", [1e-16, 1e-9, 1e100])
def test_preimages_do_not_depend_on_units(unit):
    X, units = draw(40, 8), np.ones(8)
    units[[0, 5]] = unit
    one, other = (
        Sketched(EmpiricalCovariance(), n_components=4, random_state=0).fit(Y) for Y in (X, X * units)
    )
    Z = one.transform(X)
    np.testing.assert_allclose(other.transform(X * units), Z, rtol=1e-7, atol=1e-8)
    back = other.inverse_transform(Z)
    np.testing.assert_allclose(back / units, one.inverse_transform(Z), rtol=1e-7)
    np.testing.assert_allclose(other.transform(back), Z, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_a_sketched_whitener_colours_by_the_one_it_was_made_of(kind):
    w = Whitener.from_covariance(np.cov(draw(40, 6).T))
    S = random_map(kind, 3, 6, 2).matrix()
    Z = draw(5, 6, 1) @ S.T  # a map of signs may have equal rows: not every Z is a sketched row
    sketch = w.sketch(3, kind=kind, random_state=2)
    want = w.color(Z @ np.linalg.pinv(S).T)
    for same in (sketch, pickle.loads(pickle.dumps(sketch))):
        np.testing.assert_allclose(same.color(Z), want, rtol=1e-12)
    twice = sketch.scaled(4.0).scaled(9.0)
    np.testing.assert_allclose(twice.color(Z), 6.0 * want, rtol=1e-12)
    np.testing.assert_allclose(twice.whiten(twice.color(Z)), Z, rtol=1e-9)
    assert twice.logdet == pytest.approx(w.logdet + 6 * np.log(36.0))


def test_a_scaled_sketch_of_a_mean_of_precisions_colours_right():
    w = STACKED.fit(draw(40, 6)).whitener_.sketch(3, random_state=0).scaled(4.0)
    Z = draw(5, 3, 1)
    np.testing.assert_allclose(w.whiten(w.color(Z)), Z, rtol=1e-8, atol=1e-9 * np.abs(Z).max())


@pytest.mark.parametrize("k", ["a", 2.0, True, None])
def test_a_whitener_names_a_number_of_coordinates_that_is_none(k):
    with pytest.raises(ValueError, match="k must be a positive integer"):
        Whitener.from_covariance(np.eye(6)).sketch(k)


# ---------------------------------------------------------------- the seed


def test_a_seed_holds_the_map_of_whitened_coordinates():
    """Rows in another order: equal distances where the coordinates have a basis of their own, one map everywhere."""
    X, wide = draw(40, 8), draw(12, 30)
    for inner, rows in ((EmpiricalCovariance(), X), (LedoitWolf(), X), (LedoitWolf(), wide)):
        first, last = (Sketched(inner, n_components=4, random_state=3).fit(Y) for Y in (rows, rows[::-1]))
        np.testing.assert_allclose(last.mahalanobis(rows), first.mahalanobis(rows), rtol=1e-9)
    for order in (np.arange(12), np.arange(12)[::-1], np.random.default_rng(0).permutation(12)):
        fit = Sketched(EmpiricalCovariance(), n_components=4, random_state=3)
        with pytest.warns(RankDeficientWarning):
            fit.fit(wide[order])
        assert fit.seed_ == 3
        S = random_map("gaussian", 4, fit.rank_, 3).matrix()
        np.testing.assert_allclose(
            fit.transform(wide), fit.scatter_.transform(wide) @ S.T, atol=1e-9 * np.abs(wide).max()
        )


def test_a_bad_seed_is_refused_before_the_scatter_is_fitted():
    for k in (2, None):
        with pytest.raises(ValueError, match="random_state takes"):
            Sketched(Slow(), n_components=k, random_state="a").fit(draw(30, 6))


# ---------------------------------------------------------------- words


@pytest.mark.parametrize("rows", [np.full((5, 4), 3.0), np.arange(4.0)[None]], ids=["equal", "one"])
def test_rows_without_spread_have_no_sketch(rows):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Only one sample available")
        with pytest.raises(
            ValueError, match=r"the rank of the scatter = 0, and .*a single row, rows that are all"
        ):
            Sketched(skcov.EmpiricalCovariance(), n_components=2).fit(rows)


def test_the_warning_says_why_equal_costs_are_no_gain():
    scatter = Sketched(skcov.EmpiricalCovariance(), n_components="auto")
    with pytest.warns(ExactIsCheaperWarning, match="cost no more .* only fewer coordinates than 0 can gain"):
        scatter.fit(np.full((5, 4), 3.0))


def test_what_the_scatter_warns_of_points_at_the_caller():
    with pytest.warns(RankDeficientWarning) as caught:
        Sketched(EmpiricalCovariance(), n_components=2).fit(singular())
    with pytest.warns(RankDeficientWarning) as given:
        Sketched(FixedScatter(covariance=np.diag([1.0, 2.0, 3.0, 0.0])), n_components=2).fit(draw(9, 4))
    assert [warning.filename for warning in (*caught, *given)] == [__file__] * 2


# ---------------------------------------------------------------- the subspace


def test_the_subspace_of_a_foreign_scatter_is_found_once(monkeypatch):
    X = singular()
    scatter = Sketched(skcov.EmpiricalCovariance(), n_components=3, random_state=0).fit(X)
    made, original = [], Whitener.from_covariance
    monkeypatch.setattr(
        Whitener, "from_covariance", lambda *args, **words: made.append(1) or original(*args, **words)
    )
    first = scatter.residual(X + 1.0)
    np.testing.assert_array_equal(scatter.residual(X + 1.0), first)
    scatter.mahalanobis(X, outside="inf")
    assert len(made) == 1
    scatter.fit(2.0 * X[:, ::-1])  # of the last fit
    assert scatter.residual(2.0 * X[:, ::-1]).max() < 1e-9 * first.max()
    assert len(made) == 2
