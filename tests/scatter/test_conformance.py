"""Conformance: distance to the nearest training row in the norm of a spectral filter."""

import json
import pickle
import warnings

import numpy as np
import pytest
import reference_spectral_loo as reference
from hypothesis import given
from hypothesis import strategies as st

from fmahal.exceptions import FmahalWarning, OutsideSubspaceError
from fmahal.nulls.conformance import ConformanceLaw
from fmahal.scatter import FixedScatter
from fmahal.scatter._conformance import conformance
from fmahal.scatter.spectral import SpectralFilter

SHAPES = [(20, 5), (8, 30), (12, 12), (40, 60)]


def rows(n, p, seed=0):
    return np.random.default_rng([n, p, seed]).normal(size=(n, p)) @ np.diag(np.linspace(1.0, 3.0, p)) + 5.0


def quiet(X, *args, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        return SpectralFilter(*args, **parameters).fit(X)


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("name", ["rkhs", "ridge", "inverse"])
def test_brute_force(n, p, ddof, name):
    X, Y = rows(n, p), rows(9, p, 1) * 1.3
    scatter = quiet(X, name, alpha=0.3, alpha_units="absolute", ddof=ddof)
    want = reference.conformance(X, Y, name, 0.3, ddof)
    np.testing.assert_allclose(scatter.conformance(Y), want, rtol=1e-9)
    np.testing.assert_allclose(scatter.conformance(Y, squared=False), np.sqrt(want), rtol=1e-9)


@pytest.mark.parametrize(("n", "p"), [(20, 5), (8, 30)])
@pytest.mark.parametrize("name", ["rkhs", "ridge", "truncate"])
def test_cut_filters(n, p, name):
    """The ridge weighs what is cut off the difference of two rows, which no constant can stand for."""
    X, Y = rows(n, p), rows(9, p, 1)
    scatter = quiet(X, name, alpha=0.3, alpha_units="absolute", n_components=3)
    M = reference.matrices(X, name, 0.3, 1, 3)[1]
    want = [min((y - x) @ M @ (y - x) for x in X) for y in Y]
    np.testing.assert_allclose(scatter.conformance(Y), want, rtol=1e-9)
    assert not scatter.conformance(X).any()


def test_golden(fixtures_dir):
    data = {
        "E1": lambda rng: (rng.standard_normal((20, 5)), 1.5 * rng.standard_normal((6, 5)) + 0.5),
        "E2": lambda rng: (rng.standard_normal((8, 15)), rng.standard_normal((4, 15))),
    }
    seeds = {"E1": 101, "E2": 102}
    records = json.loads((fixtures_dir / "hilbert_loo.json").read_text())
    checked = 0
    for name, record in records.items():
        if not name.startswith("zoz"):
            continue
        case = name.split("_")[1]
        X, Y = data[case](np.random.default_rng(seeds[case]))
        for key, want in record["outputs"].items():
            alpha = float(key.removeprefix("conformance_alpha_"))
            scatter = quiet(
                X, "rkhs", alpha=alpha, alpha_units="absolute", ddof=0, n_components=record["rank"]
            )
            np.testing.assert_allclose(scatter.conformance(Y, squared=False), want, rtol=1e-9, err_msg=key)
            checked += 1
    assert checked == 20


@given(st.integers(0, 10_000), st.sampled_from(["rkhs", "ridge", "inverse"]))
def test_not_above_any_pair_and_zero_for_training_rows(seed, name):
    n, p = 3 + seed % 20, 1 + seed % 17
    X, Y = rows(n, p, seed), rows(5, p, seed + 1)
    scatter = quiet(X, name)
    d2 = scatter.conformance(Y)
    for x in X:
        difference = Y - x
        whitened = scatter.whitener_.whiten(difference)
        assert (d2 <= np.einsum("ij,ij->i", whitened, whitened) * (1 + 1e-9) + 1e-12 * d2.max()).all()
    assert not scatter.conformance(X).any()
    assert not scatter.conformance(X[::-1]).any()


@pytest.mark.parametrize("block", [1, 2, 7, 1000])
def test_blocks_do_not_matter(block):
    X, Y = rows(60, 10), rows(50, 10, 1)
    scatter = SpectralFilter("ridge").fit(X)
    np.testing.assert_allclose(conformance(scatter, Y, block=block), scatter.conformance(Y), rtol=1e-12)


def test_near_neighbours_keep_their_digits():
    """Far from the mean, and a hair's breadth from a training row."""
    X = rows(30, 4)
    X[0] += 1e6
    scatter = SpectralFilter("inverse").fit(X)
    step = np.array([1e-3, 0, 0, 0])
    want = scatter.whitener_.sqnorm((X[:1] + step) - X[:1])
    np.testing.assert_allclose(scatter.conformance(X[:1] + step), want, rtol=1e-9)


def test_training_pairs_when_rows_span_all_they_can():
    """n - 1 directions, no regularisation: all pairs are at the squared distance 2n (divisor n)."""
    X = rows(8, 30)
    scatter = quiet(X, "inverse", ddof=0)
    between = scatter.conformance(X)
    assert not between.any()
    z = scatter._training_whitened()
    np.testing.assert_allclose(((z[0] - z[1:]) ** 2).sum(axis=1), 16.0, rtol=1e-10)


def test_off_the_span():
    X = rows(8, 30)
    inside = 0.25 * X[0] + 0.75 * X[1]
    Y = np.vstack([inside, rows(1, 30, 5), X[2]])
    ignored = quiet(X, "inverse").conformance(Y)
    assert np.isfinite(ignored).all()
    scatter = quiet(X, "inverse", outside="inf")
    got = scatter.conformance(Y)
    np.testing.assert_array_equal(np.isinf(got), [False, True, False])
    np.testing.assert_allclose(got[0], ignored[0], rtol=1e-8)
    assert got[2] == 0
    with pytest.raises(OutsideSubspaceError):
        quiet(X, "inverse", outside="raise").conformance(Y)
    assert np.isfinite(quiet(X, "ridge", outside="inf").conformance(Y)).all()


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_do_not_matter(unit):
    X, Y = rows(20, 6), rows(7, 6, 1)
    for name in ("rkhs", "ridge", "inverse"):
        want = SpectralFilter(name).fit(X).conformance(Y)
        np.testing.assert_allclose(SpectralFilter(name).fit(unit * X).conformance(unit * Y), want, rtol=1e-9)


def test_float32_and_names():
    pd = pytest.importorskip("pandas")
    X, Y = rows(20, 3).astype(np.float32), rows(5, 3, 1).astype(np.float32)
    scatter = SpectralFilter().fit(X)
    assert scatter.conformance(Y).dtype == np.float32
    assert not scatter.conformance(X).any()
    table = pd.DataFrame(rows(20, 3), columns=list("abc"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = SpectralFilter().fit(table)
        assert not named.conformance(table).any()
        named.leave_one_out()


def test_bad_rows():
    X = rows(20, 3)
    scatter = SpectralFilter().fit(X)
    bad = X.copy()
    bad[4, 1] = np.nan
    with pytest.raises(ValueError, match="rows 4"):
        scatter.conformance(bad)
    with pytest.raises(ValueError, match="features"):
        scatter.conformance(X[:, :2])
    X[:] = rows(20, 3, 9)
    with pytest.raises(ValueError, match="changed in place"):
        scatter.conformance(bad[:3])


@pytest.mark.parametrize(("n", "p"), [(20, 5), (8, 30)])
def test_after_pickling(n, p):
    X, Y = rows(n, p), rows(4, p, 1)
    for name in ("rkhs", "ridge"):
        scatter = quiet(X, name)
        want = scatter.conformance(Y)
        np.testing.assert_allclose(pickle.loads(pickle.dumps(scatter)).conformance(Y), want, rtol=1e-9)


def test_law_for_a_covariance_that_is_known():
    """Monte Carlo size: rows whitened by the covariance that they were drawn with."""
    rng = np.random.default_rng(0)
    n, k = 30, 4
    factor = rng.normal(size=(k, k))
    known = FixedScatter(covariance=factor @ factor.T, location=np.zeros(k))
    law, exceed = ConformanceLaw(n, k), 0
    cutoff = law.isf(0.05)
    for _ in range(800):
        train, new = rng.normal(size=(n, k)) @ factor.T, rng.normal(size=(1, k)) @ factor.T
        z = known.fit(train).transform(train) - known.transform(new)
        exceed += (z**2).sum(axis=1).min() > cutoff
    assert abs(exceed / 800 - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 1500)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
def test_what_a_cut_ridge_lost_by_pickling_is_an_error(shape):
    X, Y = rows(*shape), rows(3, shape[1], seed=1)
    scatter = quiet(X, "ridge", n_components=2)
    assert np.isfinite(scatter.conformance(Y)).all()
    with pytest.raises(ValueError, match="ridge filter was unpickled or copied"):
        pickle.loads(pickle.dumps(scatter)).conformance(Y)


def dense(X, Y, alpha):
    W = np.linalg.inv(np.cov(X.T) + alpha * np.eye(X.shape[1]))
    return [np.einsum("ij,jk,ik->i", y - X, W, y - X).min() for y in Y]


@pytest.mark.parametrize(("n", "p", "gross"), [(30, 5, 1e7), (30, 40, 1e6)])
def test_a_gross_row_does_not_make_the_others_one(n, p, gross):
    """It hides their directions from the rank rule, and the ridge weighs these all the same."""
    X = np.random.default_rng(0).normal(size=(n, p))
    X[0] += gross
    Y = np.random.default_rng(1).normal(size=(20, p))
    scatter = quiet(X, "ridge")
    assert scatter.n_components_ < min(n - 1, p)
    np.testing.assert_allclose(scatter.conformance(Y), dense(X, Y, scatter.alpha_), rtol=1e-6)


@pytest.mark.parametrize("unit", [1e12, 1e15])
def test_nothing_is_off_components_that_are_all(unit):
    """The rounding of what is left of a row would weigh 1 / alpha."""
    X = np.random.default_rng(0).normal(size=(20, 8)) * unit
    Y = X[:3] + 0.3 * unit
    scatter = quiet(X, "ridge", alpha_units="absolute")
    np.testing.assert_allclose(scatter.conformance(Y), dense(X, Y, scatter.alpha_), rtol=1e-6)


@pytest.mark.parametrize("filter", ["ridge", "truncate"])
def test_rows_changed_in_place_are_told_where_a_cut_needs_them(filter):
    X = np.random.default_rng(0).normal(size=(12, 30))
    scatter = quiet(X, filter, n_components=3)
    X *= 3
    with pytest.raises(ValueError, match="changed in place"):
        scatter.leave_one_out()
    with pytest.raises(ValueError, match="changed in place"):
        scatter.conformance()
    if filter == "ridge":
        with pytest.raises(ValueError, match="changed in place"):
            scatter.conformance(np.ones((1, 30)))


@pytest.mark.parametrize("name", ["rkhs", "ridge", "truncate"])
def test_the_rounding_of_a_large_mean_is_no_change(name):
    for seed in range(30, 40):
        X = np.random.default_rng(seed).normal(size=(40, 6)).cumsum(1) * 1e-5 + 1e8
        assert (quiet(X, name, alpha=1e-3).conformance(X[:2]) == 0).all()
