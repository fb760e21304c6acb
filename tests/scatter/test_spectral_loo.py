"""Leave-one-out distances of spectral filters: closed forms against refits."""

import json
import pickle
import warnings

import numpy as np
import pytest
import reference_spectral_loo as reference
from hypothesis import given
from hypothesis import strategies as st

from fmahal.exceptions import FmahalWarning
from fmahal.nulls import ConformalNull
from fmahal.nulls._jackknife import leave_one_out
from fmahal.nulls._left_out import left_out
from fmahal.scatter._spectral_cut import cut_left_out_distances
from fmahal.scatter._spectral_deletion import (
    deletion,
    left_out_conformance,
    left_out_distances,
    left_out_logdet,
)
from fmahal.scatter._spectral_loo import leave_one_out as measured
from fmahal.scatter.spectral import SpectralFilter

SHAPES = [(20, 5), (8, 30), (12, 11), (12, 12), (4, 2), (3, 5)]


def rows(n, p, seed=0):
    rng = np.random.default_rng([n, p, seed])
    return rng.normal(size=(n, p)) @ np.diag(np.linspace(1.0, 3.0, p)) + 5.0


def frame(X, ddof):
    centred = X - X.mean(axis=0)
    left, roots, _ = np.linalg.svd(centred, full_matrices=False)
    r = min(int(np.count_nonzero(roots > 1e-10 * roots[0])), len(X) - 1)
    return deletion(left[:, :r], roots[:r] ** 2 / (len(X) - ddof), ddof=ddof)


def quiet(X, *args, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        return SpectralFilter(*args, **parameters).fit(X)


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("name", ["rkhs", "ridge", "inverse"])
@pytest.mark.parametrize("alpha", [1e-4, 1.0, 50.0])
def test_all_directions(n, p, ddof, name, alpha):
    X = rows(n, p)
    got = left_out_distances(frame(X, ddof), name, alpha, lost="ignore")
    np.testing.assert_allclose(got, reference.left_out(X, name, alpha, ddof), rtol=1e-9)


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("name", ["rkhs", "ridge", "inverse"])
@pytest.mark.parametrize("alpha", [1e-4, 1.0])
def test_nearest_other_row(n, p, ddof, name, alpha):
    X = rows(n, p)
    want = reference.left_out_conformance(X, name, alpha, ddof)
    got = left_out_conformance(frame(X, ddof), name, alpha, lost="ignore")
    np.testing.assert_allclose(got, want, rtol=1e-9)
    one_by_one = left_out_conformance(frame(X, ddof), name, alpha, lost="ignore", block=1)
    np.testing.assert_allclose(one_by_one, got, rtol=1e-12)


@pytest.mark.parametrize(("n", "p", "ddof"), [(20, 5, 0), (8, 30, 1), (12, 12, 1), (30, 40, 1)])
@pytest.mark.parametrize("name", ["rkhs", "ridge", "truncate"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_directions_of_a_cut_are_chosen_again(n, p, ddof, name, count):
    X = rows(n, p)
    scatter = quiet(X, name, alpha=0.3, alpha_units="absolute", ddof=ddof, n_components=count)
    want = reference.left_out(X, name, 0.3, ddof, count)
    np.testing.assert_allclose(scatter.leave_one_out(), want, rtol=1e-9)
    nearest = []
    for i in range(n):
        others = np.delete(X, i, axis=0)
        M = reference.matrices(others, name, 0.3, ddof, count)[1]
        nearest.append(min((X[i] - x) @ M @ (X[i] - x) for x in others))
    np.testing.assert_allclose(scatter.conformance(), nearest, rtol=1e-9)


def test_cut_with_equal_eigenvalues_and_rows_on_axes():
    """Rows on the axes: scores that are zero, and eigenvalues that are equal."""
    X = np.vstack([np.diag([5.0, 5.0, 2.0, 1.0]), -np.diag([5.0, 5.0, 2.0, 1.0])])
    got = cut_left_out_distances(frame(X, 1), "truncate", 0.0, 2)
    want = []
    for i in range(len(X)):  # the eigenvectors are the axes, and the row shortens its own
        others = np.delete(X, i, axis=0)
        v = X[i] - others.mean(axis=0)
        values, vectors = np.linalg.eigh(
            (others - others.mean(axis=0)).T @ (others - others.mean(axis=0)) / 6
        )
        want.append(((vectors[:, ::-1][:, :2].T @ v) ** 2 / values[::-1][:2]).sum())
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12 * max(want))


def test_golden(fixtures_dir):
    outputs = json.loads((fixtures_dir / "hilbert_loo.json").read_text())["derived_leave_one_out"]["outputs"]
    X = np.random.default_rng(101).standard_normal((20, 5))
    for key, want in outputs.items():
        kind, _, level = key.split("_")
        alpha = float(level.removeprefix("alpha"))
        name = "inverse" if alpha == 0 else {"ber": "rkhs", "tik": "ridge", "conf": "rkhs"}[kind]
        scatter = SpectralFilter(name, alpha=alpha, alpha_units="absolute", ddof=0).fit(X)
        got = scatter.conformance() if kind == "conf" else scatter.leave_one_out()
        np.testing.assert_allclose(got, want, rtol=1e-9, err_msg=key)


@given(st.integers(0, 10_000), st.floats(1e-6, 1e3), st.sampled_from(["rkhs", "ridge"]))
def test_any_alpha(seed, alpha, name):
    n, p = 4 + seed % 9, 1 + seed % 13
    X = rows(n, p, seed)
    got = left_out_distances(frame(X, 1), name, alpha, lost="ignore")
    assert (got >= 0).all()
    np.testing.assert_allclose(got, reference.left_out(X, name, alpha, 1), rtol=1e-6)


def test_rkhs_stays_below_ridge():
    f = frame(rows(15, 40), 1)
    for alpha in (1e-6, 1e-2, 10.0):
        low, high = (left_out_distances(f, name, alpha, lost="ignore") for name in ("rkhs", "ridge"))
        assert (low <= high).all()


def test_logdet():
    for n, p in ((12, 5), (8, 20)):
        X = rows(n, p)
        want = []
        for i in range(n):
            others = np.delete(X, i, axis=0)
            want.append(np.linalg.slogdet(np.cov(others.T) + 0.7 * np.eye(p))[1])
        np.testing.assert_allclose(left_out_logdet(frame(X, 1), 0.7, p), want, rtol=1e-11)


@pytest.mark.parametrize("ddof", [0, 1])
def test_unregularised_rows_that_span_all_they_can_are_infinitely_far(ddof):
    scatter = quiet(rows(8, 30), "inverse", ddof=ddof)
    assert np.isinf(scatter.leave_one_out()).all()
    assert np.isinf(scatter.conformance()).all()
    assert np.isinf(quiet(rows(8, 30), "rkhs", outside="inf", ddof=ddof).leave_one_out()).all()
    assert np.isfinite(quiet(rows(8, 30), "rkhs", ddof=ddof).leave_one_out()).all()
    assert np.isfinite(quiet(rows(8, 30), "ridge", ddof=ddof).leave_one_out()).all()


def test_a_row_alone_in_its_direction():
    rng = np.random.default_rng(2)
    X = np.hstack([rng.normal(size=(30, 3)), np.zeros((30, 1))])
    X[4, 3] = 2.0
    got = quiet(X, "inverse").leave_one_out()
    assert np.isinf(got[4])
    np.testing.assert_allclose(
        np.delete(got, 4), np.delete(reference.left_out(X, "inverse", 0, 1), 4), rtol=1e-9
    )


@pytest.mark.parametrize("distance", [10.0, 1e3, 1e5])
def test_denominators_near_zero(distance):
    """A row that nearly makes up a direction alone."""
    X = rows(25, 4)
    X[3] += distance
    got = SpectralFilter("inverse").fit(X).leave_one_out()
    np.testing.assert_allclose(got, reference.left_out(X, "inverse", 0, 1), rtol=1e-15 * distance**2 + 1e-10)


def test_tiny_alpha_keeps_digits():
    """For p > n and a vanishing alpha the limit is a moment of 1/s^2, not a ratio of rounding errors."""
    X = rows(8, 30)
    want = left_out_distances(frame(X, 1), "inverse", 0.0, lost="ignore")
    for alpha in (1e-9, 1e-13, 1e-200):
        got = left_out_distances(frame(X, 1), "rkhs", alpha, lost="ignore")
        np.testing.assert_allclose(got, want, rtol=1e-8)


@pytest.mark.parametrize("unit", [1e-8, 1e8])
@pytest.mark.parametrize("name", ["rkhs", "ridge", "inverse"])
def test_units_do_not_matter(unit, name):
    X = rows(20, 6)
    want, got = SpectralFilter(name).fit(X), SpectralFilter(name).fit(unit * X)
    np.testing.assert_allclose(got.leave_one_out(), want.leave_one_out(), rtol=1e-9)
    np.testing.assert_allclose(got.conformance(), want.conformance(), rtol=1e-9)


def test_alpha_is_frozen_at_its_absolute_value():
    X = rows(15, 4)
    scatter = SpectralFilter("rkhs", alpha=0.1).fit(X)
    np.testing.assert_allclose(
        scatter.leave_one_out(), reference.left_out(X, "rkhs", scatter.alpha_, 1), rtol=1e-10
    )
    np.testing.assert_allclose(scatter.leave_one_out(squared=False) ** 2, scatter.leave_one_out(), rtol=1e-14)


def test_few_rows_and_lost_rows():
    with pytest.raises(ValueError, match=r"2 rows with ddof=1 leave a divisor of 0 .* at least 3"):
        quiet(rows(2, 5), "rkhs").leave_one_out()
    X = rows(12, 4)
    stored = pickle.loads(pickle.dumps(SpectralFilter("truncate", n_components=2).fit(X)))
    with pytest.raises(ValueError, match="unpickled"):
        stored.leave_one_out()


def test_duplicated_rows_give_no_nan():
    X = np.repeat(rows(5, 3), 3, axis=0)
    for name in ("rkhs", "ridge", "inverse"):
        scatter = SpectralFilter(name).fit(X)
        assert np.isfinite(scatter.leave_one_out()).all()
        np.testing.assert_allclose(scatter.conformance(), 0.0, atol=1e-25)


# -------------------------------------------------------------------- conformal nulls


FIXED = [
    {"filter": "rkhs", "alpha": 0.2, "alpha_units": "absolute"},
    {"filter": "ridge", "alpha": 0.2, "alpha_units": "absolute"},
    {"filter": "inverse"},
    {"filter": "truncate", "n_components": 3},
    {"filter": "rkhs", "alpha": 0.2, "alpha_units": "absolute", "outside": "inf"},
    {"filter": "ridge", "alpha": 0.2, "alpha_units": "absolute", "n_components": 2},
]


@pytest.mark.parametrize("parameters", FIXED)
@pytest.mark.parametrize(("n", "p"), [(15, 4), (10, 25)])
@pytest.mark.parametrize("gross", [0.0, 1e3, 1e9])
def test_conformal_nulls_take_the_closed_form(parameters, n, p, gross):
    X = rows(n, p)
    X[0] += gross
    scatter = quiet(X, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        got = leave_one_out(scatter, X, scatter.mahalanobis(X))
        if gross > 1e6:  # such a row hides the directions of the others: refits know better
            assert got is None
            return
        want = np.array([left_out(scatter, X, np.array([i]))[0] for i in range(n)])
    np.testing.assert_allclose(got, want, rtol=1e-8)


@pytest.mark.parametrize(
    "parameters",
    [{"filter": "rkhs"}, {"filter": "truncate"}, {"filter": "truncate", "n_components": 0.9}],
)
def test_parameters_that_change_with_the_rows_take_refits(parameters):
    X = rows(15, 4)
    scatter = quiet(X, **parameters)
    assert leave_one_out(scatter, X, scatter.mahalanobis(X)) is None


def test_conformal_null_end_to_end():
    X = rows(40, 3)
    scatter = SpectralFilter("rkhs", alpha=0.5, alpha_units="absolute").fit(X)
    null = ConformalNull("jackknife").fit(scatter, X, scatter.mahalanobis(X))
    d2 = np.sort(measured(scatter))
    np.testing.assert_allclose(null.new_dist_.sf(d2[-3] * (1 + 1e-9)), 3 / 41, rtol=1e-12)


@pytest.mark.parametrize("count", [6, 9, 11])
def test_a_cut_keeps_directions_far_below_the_largest(count):
    """Smooth curves: shares of the variance that fall below the rounding of one."""
    t = np.linspace(0, 1, 60)
    scores = np.random.default_rng(0).normal(size=(30, 12))
    X = (scores * 10.0 ** -np.arange(12)) @ np.cos(np.pi * np.arange(12)[:, None] * t)
    scatter = quiet(X, "truncate", n_components=count)
    one, nearest = scatter.leave_one_out(), scatter.conformance()
    for i in (0, 7, 20):
        rest = quiet(np.delete(X, i, axis=0), "truncate", n_components=count)
        assert one[i] == pytest.approx(rest.mahalanobis(X[i : i + 1])[0], rel=1e-4)
        assert nearest[i] == pytest.approx(rest.conformance(X[i : i + 1])[0], rel=1e-4)


@pytest.mark.parametrize("alpha", [1e8, 1e12, 1e16, 1e100])
def test_a_large_alpha_keeps_digits(alpha):
    """Far above all eigenvalues rkhs weighs direction j by lambda_j / alpha^2."""
    X = np.random.default_rng(0).normal(size=(20, 5))
    scatter = quiet(X, "rkhs", alpha=alpha, alpha_units="absolute")
    distances, nearest = scatter.leave_one_out(), scatter.conformance()
    for i in (0, 11):
        others = np.delete(X, i, axis=0)
        C = np.cov(others.T)
        v, pairs = X[i] - others.mean(axis=0), X[i] - others
        assert distances[i] * alpha**2 == pytest.approx(v @ C @ v, rel=1e-6)
        least = np.einsum("ij,jk,ik->i", pairs, C, pairs).min()
        assert nearest[i] * alpha**2 == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("gross", [1e7, 1e10])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("inverse", {}),
        ("truncate", {"n_components": 3}),
        ("rkhs", {"alpha": 0.01}),
        ("ridge", {"alpha": 0.01, "alpha_units": "absolute"}),
    ],
)
def test_a_gross_row_is_measured_by_the_others(gross, name, parameters):
    """What is left of its leverage is below the rounding of one."""
    X = np.random.default_rng(0).normal(size=(30, 5))
    X[0] += gross
    scatter = quiet(X, name, **parameters)
    alpha = {"alpha": scatter.alpha_, "alpha_units": "absolute"} if "alpha" in parameters else {}
    rest = quiet(X[1:], name, **(parameters | alpha))
    assert scatter.leave_one_out()[0] == pytest.approx(rest.mahalanobis(X[:1])[0], rel=1e-9)
    assert scatter.conformance()[0] == pytest.approx(rest.conformance(X[:1])[0], rel=1e-9)


def test_a_filter_that_found_no_more_directions_is_no_cut():
    X = np.repeat(np.random.default_rng(0).normal(size=(4, 30)), 3, axis=0)
    scatter = quiet(X, "rkhs", n_components=6)
    again = pickle.loads(pickle.dumps(scatter))
    np.testing.assert_allclose(again.leave_one_out(), scatter.leave_one_out(), rtol=1e-9)
    whole = quiet(X, "rkhs", alpha=scatter.alpha_, alpha_units="absolute")
    np.testing.assert_allclose(scatter.leave_one_out(), whole.leave_one_out(), rtol=1e-9)
