"""OGK: R's numbers, a slow twin, breakdown, equivariance, and columns without a robust scale."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference_scales as twin
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.utils.estimator_checks import parametrize_with_checks
from strategies import generators

from fmahal import OGK, Whitener, robust_scale
from fmahal._registry import scatters
from fmahal.exceptions import ExactFitWarning, RankDeficientWarning

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "scales_golden.json").read_text())
CASES = [(name, key) for name in GOLDEN for key in GOLDEN[name].get("ogk", ())]
SINGULAR = {"biomassTill", "octane_s30", "sim13_pgtn_n40_p60"}
TWINS = {
    "qn": lambda x: (np.median(x), twin.qn(x)),
    "tau": twin.tau,
    "mad": lambda x: (np.median(x), twin.mad(x)),
}


def draw(n, p, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + rng.normal(size=p)


def gap(found, expected, sd):
    """Largest difference in units of the scales; of matrices, of which large ones are stored as diagonals."""
    expected = np.array(expected, dtype=float)
    if np.ndim(found) == 1:
        return np.max(np.abs(found - expected) / sd)
    if expected.ndim == 1:
        return np.max(np.abs(np.diagonal(found) - expected) / sd**2)
    return np.max(np.abs(found - expected) / np.outer(sd, sd))


@pytest.mark.parametrize(("name", "key"), CASES)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_golden(name, key):
    X = np.array(GOLDEN[name]["x"])
    expected = GOLDEN[name]["ogk"][key]
    scatter = OGK(scale="qn" if key == "robustbase_Qn" else "tau", correction=None).fit(X)
    sd = np.sqrt(np.diagonal(scatter.raw_covariance_))
    if key == "rrcov_CovOgk":  # its centre and covariance are the reweighted ones
        assert gap(scatter.location_, expected["center"], sd) < 1e-8
        assert gap(scatter.covariance_, expected["cov"], sd) < 1e-8
        return
    loose = 5e-3 if key == "robustbase_Qn" else 1e-8  # R rounds Qn to float32, and eigenvectors feel it
    assert gap(scatter.raw_location_, expected["center"], sd) < loose
    assert gap(scatter.raw_covariance_, expected["cov"], sd) < loose
    np.testing.assert_allclose(scatter.raw_d2_, expected["distances"], rtol=max(2 * loose, 1e-6))
    np.testing.assert_array_equal(scatter.support_, np.array(expected["weights"]) > 0)
    assert gap(scatter.location_, expected["wcenter"], sd) < 1e-8
    assert gap(scatter.covariance_, expected["wcov"], sd) < 1e-8


def test_factor_of_rrcov():
    """rrcov multiplies the raw covariance by med(d2) / chi2_{p, 1/2}, which its weights do not feel."""
    X = np.array(GOLDEN["hbk_x"]["x"])
    plain, scaled = OGK(scale="tau", correction=None).fit(X), OGK(scale="tau").fit(X)
    assert scaled.raw_factor_ == pytest.approx(np.median(plain.raw_d2_) / stats.chi2.ppf(0.5, 3), rel=1e-13)
    np.testing.assert_allclose(scaled.raw_covariance_, scaled.raw_factor_ * plain.raw_covariance_, rtol=1e-13)
    np.testing.assert_allclose(np.median(scaled.raw_d2_), stats.chi2.ppf(0.5, 3), rtol=1e-13)
    np.testing.assert_array_equal(scaled.support_, plain.support_)
    q = stats.chi2.ppf(0.9, 3)
    assert scaled.factor_ == pytest.approx(0.9 / stats.chi2.cdf(q, 5), rel=1e-12)
    np.testing.assert_allclose(scaled.covariance_, scaled.factor_ * plain.covariance_, rtol=1e-13)


@pytest.mark.parametrize("scale", ["qn", "tau", "mad"])
@pytest.mark.parametrize("n_iter", [1, 2, 3])
@pytest.mark.parametrize("shape", [(40, 1), (35, 3), (12, 15)])
def test_twin(scale, n_iter, shape):
    X = draw(*shape)
    location, covariance, d2 = twin.ogk(X, TWINS[scale], n_iter)
    scatter = OGK(scale=scale, n_iter=n_iter, correction=None, reweight=None).fit(X)
    sd = np.sqrt(np.diagonal(covariance))
    assert gap(scatter.raw_location_, location, sd) < 1e-9
    assert gap(scatter.raw_covariance_, covariance, sd) < 1e-9
    np.testing.assert_allclose(scatter.raw_d2_, d2, rtol=1e-7)
    np.testing.assert_array_equal(scatter.covariance_, scatter.raw_covariance_)
    assert scatter.rank_ == shape[1]
    assert scatter.factor_ == 1.0
    assert scatter.support_.all()
    np.testing.assert_allclose(scatter.d2_, d2, rtol=1e-6)


def test_fitted_attributes():
    X = draw(60, 4)
    X[:9] += 100.0
    scatter = OGK().fit(X)
    kept = X[scatter.support_]
    np.testing.assert_allclose(scatter.location_, kept.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scatter.covariance_, scatter.factor_ * np.cov(kept.T, bias=True), rtol=1e-10)
    np.testing.assert_array_equal(scatter.dist_, scatter.d2_)
    np.testing.assert_allclose(scatter.d2_, scatter.mahalanobis(X), rtol=1e-14)
    np.testing.assert_array_equal(scatter.weights_, scatter.d2_ <= stats.chi2.ppf(0.9, 4))
    raw = Whitener.from_covariance(scatter.raw_covariance_).sqnorm(X - scatter.raw_location_)
    np.testing.assert_allclose(scatter.raw_d2_, raw, rtol=1e-10)
    bound = np.median(scatter.raw_d2_) * stats.chi2.ppf(0.9, 4) / stats.chi2.ppf(0.5, 4)
    np.testing.assert_array_equal(scatter.support_, scatter.raw_d2_ <= bound)
    assert not scatter.support_[:9].any()
    np.testing.assert_array_equal(OGK().fit(X).d2_, scatter.d2_)  # deterministic


@pytest.mark.parametrize("p", [1, 3])
def test_rows_are_left_alone(p):
    X = draw(30, p)
    before = X.copy()
    OGK().fit(X)
    np.testing.assert_array_equal(X, before)


def test_function_as_scale():
    X = draw(30, 3)
    ours = OGK(scale="mad").fit(X)
    theirs = OGK(scale=lambda x: robust_scale(x[:, None], "mad")[0]).fit(X)
    np.testing.assert_allclose(theirs.raw_covariance_, ours.raw_covariance_, rtol=1e-12)
    np.testing.assert_allclose(theirs.d2_, ours.d2_, rtol=1e-12)
    classical = OGK(scale=np.std, reweight=None, correction=None).fit(
        X
    )  # with a quadratic scale: the covariance
    np.testing.assert_allclose(classical.covariance_, np.cov(X.T, bias=True), rtol=1e-9, atol=1e-12)
    for bad in (np.nan, -1.0, "wide", None):
        with pytest.raises(ValueError, match="function passed as scale returned"):
            OGK(scale=lambda x, bad=bad: bad).fit(X)


@pytest.mark.parametrize("scale", ["qn", "tau", "mad"])
@given(generators(), st.integers(20, 60), st.integers(1, 6))
def test_equivariant(scale, rng, n, p):
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + rng.normal(size=p)
    before = OGK(scale=scale).fit(X)
    order, units = rng.permutation(p), 10.0 ** rng.integers(-8, 9, size=p) * rng.choice([-1.0, 1.0], size=p)
    Y = (X * units + 5.0 * units)[:, order]
    after = OGK(scale=scale).fit(Y)
    np.testing.assert_array_equal(after.support_, before.support_)
    np.testing.assert_allclose(after.d2_, before.d2_, rtol=1e-6)
    np.testing.assert_allclose(after.location_, (before.location_ * units + 5.0 * units)[order], rtol=1e-8)


@pytest.mark.parametrize("far", [1e2, 1e6, 1e12])
@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("scale", ["qn", "tau", "mad"])
def test_breakdown(scale, tight, far):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    clean = OGK(scale=scale).fit(X)
    X[:80] = far * (1.0 if tight else rng.normal(size=(80, 5))) + X[:80]
    scatter = OGK(scale=scale).fit(X)
    assert np.abs(scatter.location_).max() < 1.0
    ratio = np.linalg.eigvalsh(np.linalg.solve(clean.covariance_, scatter.covariance_))
    assert ratio.min() > 0.2
    assert ratio.max() < 5.0
    assert not scatter.support_[:80].any()


def test_consistent_at_the_normal():
    X = np.random.default_rng(1).normal(size=(2500, 4)) * [1.0, 2.0, 1e3, 1e-3]
    for scale in ("qn", "tau", "mad"):
        scatter = OGK(scale=scale).fit(X)
        units = np.array([1.0, 4.0, 1e6, 1e-6])
        np.testing.assert_allclose(np.diagonal(scatter.covariance_) / units, 1.0, atol=0.1)
        np.testing.assert_allclose(np.diagonal(scatter.raw_covariance_) / units, 1.0, atol=0.12)
        assert np.mean(scatter.weights_) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_column_with_half_its_values_equal(unit):
    X = draw(60, 3)
    X[:40, 1] = 7.0
    frame = pd.DataFrame(X * unit, columns=["a", "b", "c"])
    with pytest.warns(
        ExactFitWarning, match=r"equal: 'b'\. 40 of 60 rows lie on a subspace of 2 of 3"
    ) as caught:
        scatter = OGK().fit(frame)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert scatter.rank_ == 2
    assert not scatter.support_[40:].any()
    assert scatter.location_[1] == pytest.approx(7.0 * unit, rel=1e-14)
    assert np.all(scatter.residual(frame)[40:] > 1e-6)
    assert np.all(scatter.residual(frame)[:40] < 1e-12)
    inside = OGK().fit(X[:40, [0, 2]])
    np.testing.assert_allclose(scatter.mahalanobis(frame)[:40][scatter.support_[:40]].max(), 5.0, atol=5.0)
    assert np.mean(scatter.support_[:40] == inside.support_) > 0.8


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_constant_and_repeated_columns(unit):
    X = draw(50, 3)
    X = np.column_stack([X, X[:, 0], np.full(50, 0.1), 3.0 - 1e3 * X[:, 1]]) * unit
    with pytest.warns(ExactFitWarning, match=r"equal: 4\. 50 of 50 rows lie on a subspace of 3 of 6"):
        scatter = OGK().fit(X)
    assert scatter.rank_ == 3
    assert scatter.support_.sum() > 30
    np.testing.assert_array_equal(np.linalg.matrix_rank(scatter.covariance_ / unit**2 / 1e3), 3)
    with pytest.warns(ExactFitWarning, match=r"Columns that others to their left determine: 3 \(repeats 0\)"):
        OGK().fit(X[:, :4])


def test_rows_kept_lie_on_a_hyperplane():
    X = draw(50, 3)
    X[:40, 2] = X[:40, 0] - 2.0 * X[:40, 1]
    X[40:] += 100.0
    with pytest.warns(
        RankDeficientWarning, match=r"span 2 of 3 dimensions\. Columns that others .* determine: 2"
    ):
        scatter = OGK().fit(X)
    assert scatter.rank_ == 2
    assert not scatter.support_[40:].any()


def test_indicators_that_share_no_half():
    """Many columns with a majority value each, and few rows that have them all."""
    rng = np.random.default_rng(0)
    X = np.column_stack([draw(90, 2), rng.random((90, 6)) < 0.3]).astype(float)
    with pytest.warns(ExactFitWarning, match=r"equal: 2, 3, 4, 5, 6 and 1 more\.") as caught:
        scatter = OGK().fit(X)
    assert len(caught) == 1
    assert scatter.support_.sum() >= 30
    assert np.isfinite(scatter.d2_).all()


@pytest.mark.parametrize("p", [1, 4])
def test_nothing_varies(p):
    X = np.full((9, p), 0.3)
    with pytest.warns(ExactFitWarning, match=f"9 of 9 rows lie on a subspace of 0 of {p} dimensions"):
        scatter = OGK().fit(X)
    assert scatter.rank_ == 0
    np.testing.assert_array_equal(scatter.d2_, np.zeros(9))
    np.testing.assert_array_equal(scatter.covariance_, np.zeros((p, p)))


def test_more_columns_than_rows():
    X = draw(20, 30)
    with pytest.warns(RankDeficientWarning, match="OGK: .* rows span .* of 30 dimensions"):
        scatter = OGK(scale="tau").fit(X)
    assert scatter.rank_ == scatter.support_.sum() - 1
    raw = OGK(scale="tau", reweight=None).fit(X)
    assert raw.rank_ == 30
    assert np.all(raw.d2_ > 0)


def test_one_and_two_columns_of_few_rows():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in (2, 3, 4, 5):
            for p in (1, 2, 3):
                for scale in ("qn", "tau", "mad"):
                    scatter = OGK(scale=scale).fit(draw(n, p, seed=n))
                    assert np.isfinite(scatter.d2_).all()
                    assert np.isfinite(scatter.covariance_).all()


def test_narrow_rows():
    X = draw(50, 3).astype(np.float32)
    scatter = OGK().fit(X)
    wide = OGK().fit(X.astype(np.float64))
    assert scatter.mahalanobis(X).dtype == scatter.transform(X).dtype == np.float32
    np.testing.assert_array_equal(scatter.support_, wide.support_)
    np.testing.assert_allclose(scatter.d2_, wide.d2_, rtol=1e-5)


def test_registry():
    assert scatters["ogk"].factory(scale="tau").scale == "tau"
    assert scatters["ogk"].applies(20, 9) is None
    assert scatters["ogk"].applies(20, 10) == "needs at least 2 (p + 1) rows (n = 20, p = 10)"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scale": "sd"}, 'scale must be "qn", "tau", "mad" or a function'),
        ({"n_iter": 0}, "n_iter must be an integer, at least 1"),
        ({"n_iter": True}, "n_iter must be an integer"),
        ({"reweight": 1.0}, "reweight must be between 0 and 1, or None"),
        ({"reweight": "hard"}, "reweight must be"),
        ({"correction": "pison"}, 'correction must be "asymptotic" or None'),
        ({"store_precision": 1}, "store_precision of OGK must be True or False"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        OGK(**parameters).fit(draw(10, 2))


def test_bad_rows():
    X = draw(10, 2)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="rows 3 and columns 1"):
        OGK().fit(X)
    with pytest.raises(ValueError, match="minimum of 2"):
        OGK().fit(X[:1])


@parametrize_with_checks([OGK(), OGK(scale="tau", reweight=None)])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_sklearn(estimator, check):
    check(estimator)
