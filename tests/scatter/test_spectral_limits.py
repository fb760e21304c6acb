"""Rounding and range of floats: what counts as a direction, what lies off the span, which units are refused."""

import numpy as np
import pytest

from fmahal.exceptions import RankDeficientError, RankDeficientWarning
from fmahal.scatter.spectral import SpectralFilter
from fmahal.scatter.spectral_cv import SpectralFilterCV

FILTERS = ("rkhs", "truncate", "ridge", "inverse")


def white(n, p, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p))


# -------------------------------------------------------------------- rank


@pytest.mark.parametrize("n", [50, 2500, 50000])
@pytest.mark.parametrize("route", [None, "svd"])
@pytest.mark.parametrize("kind", ["ridge", "inverse"])
def test_more_rows_remove_no_direction(n, route, kind):
    """Directions of some hundred units in the last place of the mean: 1e-4 next to 1e8."""
    X = 1e8 + np.array([4e-4, 2e-4, 1e-4, 1e-4]) * white(n, 4)
    scatter = SpectralFilter(kind, alpha=1e-3)
    scatter._route = route
    d2 = scatter.fit(X).mahalanobis(X)
    assert scatter.n_components_ == 4
    covariance = np.cov((X - X.mean(axis=0)).T) + (scatter.alpha_ * np.eye(4) if kind == "ridge" else 0)
    centred = (X - X.mean(axis=0)) - (X - X.mean(axis=0)).mean(axis=0)
    want = np.einsum("ij,ij->i", centred @ np.linalg.inv(covariance), centred)
    np.testing.assert_allclose(d2.mean(), want.mean(), rtol=1e-4)


@pytest.mark.parametrize("n", [50, 50000])
def test_rows_of_small_spread_are_not_called_equal(n):
    X = 1e8 + 1e-6 * white(n, 4)
    assert SpectralFilter("inverse").fit(X).n_components_ == 4


@pytest.mark.parametrize(("n", "p"), [(5, 30), (40, 12), (5000, 6)])
@pytest.mark.parametrize("offset", [1e2, 1e7, 1e11])
@pytest.mark.parametrize("route", [None, "svd"])
def test_rounding_far_from_zero_is_no_direction(n, p, offset, route):
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, 2)) @ rng.normal(size=(2, p)) + offset * rng.normal(size=p)
    scatter = SpectralFilter("rkhs")
    scatter._route = route
    assert scatter.fit(X).n_components_ == 2


# -------------------------------------------------------------------- span


@pytest.mark.parametrize("n", [200, 20000])
def test_float32_rows_off_the_span_are_found_for_any_number_of_rows(n):
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    X = (rng.normal(size=(n, 5)) @ basis[:5]).astype(np.float32)
    with pytest.warns(RankDeficientWarning, match="span 5 of 40"):
        scatter = SpectralFilter("inverse", outside="inf").fit(X)
    assert np.isfinite(scatter.mahalanobis(X)).all()
    new = rng.normal(size=(50, 5)) @ basis[:5]
    for size, outside in ((0.0, 0), (1e-5, 50), (1e-3, 50)):
        off = new + size * np.linalg.norm(new, axis=1)[:, None] * basis[5]
        assert np.isinf(scatter.mahalanobis(off.astype(np.float32))).sum() == outside


def test_a_row_that_carries_what_the_rank_rule_dropped_is_inside():
    X = np.zeros((60, 4))
    X[:, :2] = white(60, 2)
    X[0, 2] = 1e-14  # below the rounding of the others
    with pytest.warns(RankDeficientWarning, match="span 2 of 4"):
        scatter = SpectralFilter("inverse", outside="inf").fit(X)
    assert np.isfinite(scatter.mahalanobis(X)).all()
    X[1, 3] = 1e-9
    assert np.isinf(scatter.mahalanobis(X)).nonzero()[0].tolist() == [1]


# -------------------------------------------------------------------- range of floats


@pytest.mark.parametrize("shape", [(20, 5), (5, 20)])
@pytest.mark.parametrize("kind", FILTERS)
def test_units_give_the_same_distances_or_a_named_error(shape, kind):
    X = white(*shape)
    K = 2 if kind in ("truncate", "inverse") else None
    want = SpectralFilter(kind, n_components=K).fit(X).mahalanobis(X)
    for unit in (1e-150, 1e-140, 1e140, 1e150):
        got = SpectralFilter(kind, n_components=K).fit(unit * X).mahalanobis(unit * X)
        np.testing.assert_allclose(got, want, rtol=1e-9)
    for unit, words in (
        (1e-155, "vanish below the smallest float.*larger units"),
        (1e-165, "vanish below the smallest float.*larger units"),
        (1e-170, "rows differ by .*e-170 at most.*larger units"),
        (1e155, "exceed the largest float.*smaller units"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            SpectralFilter(kind, n_components=K).fit(unit * X)
        assert not isinstance(caught.value, RankDeficientError)


def test_the_unit_that_an_error_proposes_helps():
    X = 1e-170 * white(20, 5)
    with pytest.raises(ValueError, match=r"for example 2.0\*\*563 \* X"):
        SpectralFilter().fit(X)
    assert SpectralFilter().fit(2.0**563 * X).n_components_ == 5


def test_directions_that_vanish_are_not_cut_in_silence():
    X = white(20, 3) * np.array([1.0, 1.0, 1e-9])
    assert SpectralFilter("inverse").fit(X * 1e-140).n_components_ == 3
    with pytest.raises(ValueError, match="squares of small ones vanish"):
        SpectralFilter("inverse").fit(X * 1e-150)


@pytest.mark.parametrize("unit", [1e-130, 1.0, 1e130])
def test_equal_rows_stay_equal_rows(unit):
    with pytest.raises(RankDeficientError, match="equal up to rounding"):
        SpectralFilter().fit(unit * np.full((6, 3), 1.1))


@pytest.mark.parametrize(
    ("kind", "alpha", "unit"),
    [("ridge", 1e8, 1e150), ("rkhs", 1e160, 1.0), ("ridge", 1e-310, 1.0), ("rkhs", 1e308, 1e10)],
)
def test_an_alpha_beyond_the_range_of_floats_is_named(kind, alpha, unit):
    X = white(20, 5)
    with pytest.raises(ValueError, match=rf"SpectralFilter\('{kind}'\): alpha is .* range of floats"):
        SpectralFilter(kind, alpha=alpha).fit(unit * X)


@pytest.mark.parametrize(("kind", "alpha"), [("ridge", 1e308), ("rkhs", 1e200)])
def test_candidates_beyond_the_range_of_floats_are_named(kind, alpha):
    with pytest.raises(ValueError, match=r"SpectralFilterCV.*range of floats"):
        SpectralFilterCV(kind, alphas=[1e-3, alpha]).fit(white(20, 5))
