"""What the minimum covariance determinant promises on any data: equivariance, breakdown, repeatability, interface."""

import functools
import pickle
import warnings

import numba
import numpy as np
import pandas as pd
import pytest
import reference_mcd as twin
import sklearn.covariance as skcov
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from strategies import LAYOUTS, SCALES, generators, lay_out

from fmahal.exceptions import FmahalWarning
from fmahal.scatter import EmpiricalCovariance, MinCovDet

EPS = np.finfo(float).eps
METHODS = ("auto", "fast", "deterministic")
FEW = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def fit(X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        return MinCovDet(**({"random_state": 0} | options)).fit(X)


def contaminated(rng, n, p, share=0.2, far=20.0):
    X = rng.normal(size=(n, p)) @ of_condition(rng, p, 3.0)
    X[: int(share * n)] += far * rng.normal(size=p) / np.sqrt(p)
    return X


def of_condition(rng, p, kappa):
    U, _ = np.linalg.qr(rng.normal(size=(p, p)))
    V, _ = np.linalg.qr(rng.normal(size=(p, p)))
    return U * np.logspace(0.0, -np.log10(kappa), p) @ V


def assert_same(a, b, rtol):
    np.testing.assert_array_equal(a.raw_support_, b.raw_support_)
    np.testing.assert_array_equal(a.support_, b.support_)
    np.testing.assert_allclose(a.d2_, b.d2_, rtol=rtol)


# Equivariance.


@FEW
@given(generators(), st.integers(2, 5), st.sampled_from([1.0, 10.0, 1e3, 1e5]))
def test_fast_is_affine_equivariant(rng, p, kappa):
    X = contaminated(rng, 60, p)
    A = of_condition(rng, p, kappa) * 10.0 ** rng.integers(-8, 9)
    b = X.std() * 10.0 * rng.normal(size=p) @ A
    before, after = fit(X, method="fast"), fit(X @ A + b, method="fast")
    assert_same(after, before, rtol=max(100 * EPS * kappa**2, 1e-10))
    shift = 2 * np.log(np.abs(np.linalg.svd(A)[1])).sum()
    assert after.objective_ == pytest.approx(before.objective_ + shift, abs=max(100 * EPS * kappa**2, 1e-8))


@FEW
@given(generators(), st.integers(1, 3), st.sampled_from([1.0, 1e2, 1e5]))
def test_exact_is_affine_equivariant(rng, p, kappa):
    X = contaminated(rng, 12, p)
    A = of_condition(rng, p, kappa) * 10.0 ** rng.integers(-8, 9)
    before, after = fit(X, method="exact"), fit(X @ A + 5.0 * A.sum(axis=0), method="exact")
    assert_same(after, before, rtol=max(100 * EPS * kappa**2, 1e-10))


@pytest.mark.parametrize("method", METHODS)
@FEW
@given(generators(), st.integers(1, 6))
def test_units_order_of_columns_and_origin(method, rng, p):
    X = contaminated(rng, 70, p)
    before = fit(X, method=method)
    units = 10.0 ** rng.integers(-8, 9, size=p)
    assert_same(fit(X * units, method=method), before, rtol=1e-9)
    assert_same(fit(X[:, rng.permutation(p)], method=method), before, rtol=1e-9)
    assert_same(fit(X + 100.0 * rng.normal(size=p), method=method), before, rtol=1e-9)


@pytest.mark.parametrize("method", ["deterministic", "exact"])
@FEW
@given(generators(), st.integers(1, 3))
def test_order_of_rows(method, rng, p):
    X = contaminated(rng, 14 if method == "exact" else 60, p)
    order = rng.permutation(len(X))
    before, after = fit(X, method=method), fit(X[order], method=method)
    np.testing.assert_array_equal(after.raw_support_, before.raw_support_[order])
    np.testing.assert_allclose(after.d2_, before.d2_[order], rtol=1e-9)


def test_declared_equivariances_hold_for_each_method():
    assert "affine" in MinCovDet(method="fast").equivariances
    assert "affine" in MinCovDet(method="exact").equivariances
    assert "affine" not in MinCovDet().equivariances
    assert {"translation", "permutation", "scale", "columns"} <= MinCovDet().equivariances
    assert MinCovDet.robust
    assert not MinCovDet().regularized


# The optimum.


@FEW
@given(
    generators(), st.integers(1, 3), st.integers(0, 4), st.sampled_from([0, 1, 12]), st.sampled_from(SCALES)
)
def test_exact_is_enumeration(rng, p, more, digits, scale):
    n = 2 * p + 3 + more
    X = np.round(rng.normal(size=(n, p)) * 3.0, digits) * scale
    fitted = fit(X, method="exact")
    h = (n + p + 1) // 2
    assert fitted.n_support_ == fitted.raw_support_.sum() == h
    least, winners = twin.enumerate_subsets(X, h)
    if np.isfinite(least):
        assert fitted.objective_ == pytest.approx(least, abs=1e-8)
        assert fitted.exact_fit_ is None
        assert tuple(np.flatnonzero(fitted.raw_support_)) in winners
    else:
        assert fitted.exact_fit_ is not None
        assert fitted.objective_ == -np.inf


@pytest.mark.parametrize("method", METHODS)
@given(generators(), st.integers(5, 60), st.sampled_from([0, 1, 12]), st.sampled_from(SCALES))
def test_one_column_is_the_exact_univariate_algorithm(method, rng, n, digits, scale):
    x = np.round(rng.standard_t(2, size=n) * 3.0, digits) * scale
    h = (n + 2) // 2
    value, winners = twin.univariate(x, h)
    assume(value - 2 * np.log(x.std() + 1e-300) > -40)  # ties of h rows are exact fits, tested elsewhere
    fitted = fit(x[:, None], method=method)
    assert fitted.method_ == "univariate"
    assert fitted.objective_ == pytest.approx(value, abs=1e-8)
    assert fitted.raw_support_.sum() == h
    sd = np.exp(value / 2)
    assert min(abs(fitted.raw_location_[0] - mean) for mean, _ in winners) < 1e-7 * sd


@pytest.mark.parametrize("method", METHODS)
def test_all_rows(method):
    X = contaminated(np.random.default_rng(3), 40, 3)
    fitted = fit(X, method=method, support_fraction=1.0)
    assert fitted.raw_support_.all()
    np.testing.assert_allclose(fitted.raw_location_, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fitted.raw_covariance_, np.cov(X.T), rtol=1e-12)
    raw = fit(X, method=method, support_fraction=1.0, reweight=None, correction=None)
    classical = EmpiricalCovariance().fit(X)
    np.testing.assert_allclose(raw.covariance_, classical.covariance_, rtol=1e-12)
    np.testing.assert_allclose(raw.d2_, classical.mahalanobis(X), rtol=1e-10)


@FEW
@given(generators(), st.integers(2, 6), st.sampled_from(["normal", "ties", "tiny", "collinear", "t1"]))
def test_every_fit_is_stationary(rng, p, kind):
    X = adversarial(rng, 50, p, kind)
    fitted = fit(X)
    assume(fitted.exact_fit_ is None)
    rows = np.flatnonzero(fitted.raw_support_)
    assert fitted.objective_ == pytest.approx(twin.moments(X, rows)[2], abs=1e-6)
    following = twin.moments(X, twin.concentrate(X, rows))[2]
    assert following >= fitted.objective_ - 1e-6
    ratios, _ = twin.exchange_ratios(X, rows)
    assert ratios.min() > 1 - 1e-6


def adversarial(rng, n, p, kind):
    """Ties, tiny or huge units, near-collinear columns, no moments."""
    X = rng.normal(size=(n, p))
    if kind == "ties":
        X = np.round(X * 2.0)
    elif kind == "tiny":
        X = X * 10.0 ** rng.integers(-120, 120, size=p)
    elif kind == "collinear":
        X[:, -1] = X[:, 0] + 10.0 ** -rng.uniform(2, 4) * X[:, -1]
    elif kind == "t1":
        X = X / np.abs(rng.normal(size=(n, 1)))
    return X


# Breakdown.


@functools.cache
def fit_of_clean_rows(method, p, seed):
    """The fit to the rows that no distance moves, made once."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, p))
    return fit(np.delete(X, rng.permutation(200)[:90], axis=0), method=method, random_state=seed)


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize(
    ("method", "p"), [("fast", 4), ("auto", 2), ("auto", 4), ("auto", 10), ("deterministic", 4)]
)
def test_breakdown(method, p, distance):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(200, p))
        bad = np.zeros(200, bool)
        bad[rng.permutation(200)[:90]] = True
        clean = fit_of_clean_rows(method, p, seed)
        X[bad] += distance * np.linalg.qr(rng.normal(size=(p, 1)))[0][:, 0]
        fitted = fit(X, method=method, random_state=seed)
        assert not fitted.support_[bad].any()
        ratios = np.linalg.eigvals(np.linalg.solve(clean.covariance_, fitted.covariance_)).real
        assert ratios.max() < 4.0
        assert ratios.min() > 0.25
        assert clean.mahalanobis(fitted.location_[None])[0] < 1.0
        assert fitted.d2_[bad].min() > 1e-3 * distance**2


@pytest.mark.parametrize("method", METHODS)
def test_each_direction_of_scattered_outliers(method):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(150, 3))
    X[:60] *= 1e4
    fitted = fit(X, method=method)
    assert not fitted.support_[:60].any() or fitted.d2_[:60][fitted.support_[:60]].max() < 15.0
    assert np.linalg.eigvalsh(fitted.covariance_).max() < 4.0


@pytest.mark.parametrize(("shape", "tol"), [((100, 5), 0.1), ((500, 5), 0.035)])
def test_trace_of_the_final_covariance_on_clean_rows(shape, tol):
    """The published factors leave some 6 % at 20 rows a column, 2 % at 100."""
    rng = np.random.default_rng(12)
    fits = [fit(rng.normal(size=shape), n_starts=30, method="fast") for _ in range(40)]
    traces = [np.trace(fitted.covariance_) / shape[1] for fitted in fits]
    error = np.std(traces) / np.sqrt(len(traces))
    assert np.mean(traces) == pytest.approx(1.0, abs=tol)
    assert error < tol / 3


# Repeatability.


@pytest.mark.parametrize("shape", [(80, 4), (700, 3)])
@pytest.mark.parametrize("method", METHODS)
def test_repeats_exactly(method, shape):
    X = contaminated(np.random.default_rng(1), *shape)
    first = fit(X, method=method, random_state=7)
    again = fit(X, method=method, random_state=7)
    np.testing.assert_array_equal(again.raw_support_, first.raw_support_)
    np.testing.assert_array_equal(again.d2_, first.d2_)
    drawn = [fit(X, method=method, random_state=np.random.RandomState(7)) for _ in range(2)]
    np.testing.assert_array_equal(drawn[0].d2_, drawn[1].d2_)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
@pytest.mark.parametrize("shape", [(80, 4), (900, 6)])
@pytest.mark.parametrize("method", METHODS)
def test_threads_do_not_matter(method, shape):
    X = contaminated(np.random.default_rng(2), *shape)
    before = numba.get_num_threads()
    fits = []
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            fits.append(fit(X, method=method))
    finally:
        numba.set_num_threads(before)
    fits += [fit(X, method=method, n_jobs=n_jobs) for n_jobs in (1, 2, -1)]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.raw_support_, fits[0].raw_support_)
        assert other.objective_ == fits[0].objective_
        np.testing.assert_array_equal(other.d2_, fits[0].d2_)
    assert numba.get_num_threads() == before


def test_more_starts_are_never_worse():
    for seed in range(5):
        X = contaminated(np.random.default_rng(seed), 60, 8)
        few, many = (fit(X, n_starts=n, random_state=seed).objective_ for n in (10, 500))
        assert many <= few + 1e-9


# Interface.


def test_float32():
    X = contaminated(np.random.default_rng(4), 60, 3).astype(np.float32)
    narrow, wide = fit(X), fit(X.astype(np.float64))
    np.testing.assert_array_equal(narrow.raw_support_, wide.raw_support_)
    np.testing.assert_array_equal(narrow.support_, wide.support_)
    np.testing.assert_allclose(narrow.covariance_, wide.covariance_, rtol=1e-6)
    assert narrow.mahalanobis(X).dtype == np.float32
    assert narrow.transform(X).dtype == np.float32


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_input_left_alone(layout):
    X = contaminated(np.random.default_rng(5), 60, 3)
    laid = lay_out(X, layout)
    fitted = fit(laid)
    np.testing.assert_array_equal(laid, X)
    np.testing.assert_array_equal(fitted.d2_, fit(X).d2_)


def test_names_pickle_and_clone():
    frame = pd.DataFrame(contaminated(np.random.default_rng(6), 50, 3), columns=["height", "weight", "age"])
    fitted = fit(frame)
    assert list(fitted.feature_names_in_) == ["height", "weight", "age"]
    np.testing.assert_array_equal(fitted.d2_, fit(frame.to_numpy()).d2_)
    copy = pickle.loads(pickle.dumps(fitted))
    for name in ("d2_", "raw_d2_", "covariance_", "raw_support_", "weights_"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(fitted, name))
    np.testing.assert_array_equal(copy.mahalanobis(frame), fitted.mahalanobis(frame))
    assert clone(fitted).get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "location_")


def test_attributes_belong_together():
    X = contaminated(np.random.default_rng(7), 80, 4)
    fitted = fit(X)
    assert fitted.n_samples_ == 80
    assert fitted.rank_ == 4
    assert fitted.n_support_ == (80 + 4 + 1) // 2 == fitted.raw_support_.sum()
    for mask in (fitted.raw_support_, fitted.support_, fitted.weights_):
        assert mask.shape == (80,)
        assert mask.dtype == bool
    np.testing.assert_array_equal(fitted.dist_, fitted.d2_)
    np.testing.assert_allclose(fitted.precision_ @ fitted.covariance_, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(fitted.mahalanobis(X), fitted.d2_, rtol=1e-12)
    np.testing.assert_allclose((fitted.transform(X) ** 2).sum(axis=1), fitted.d2_, rtol=1e-9)
    np.testing.assert_array_equal(fitted.residual(X), np.zeros(80))
    assert fitted.exact_fit_ is None
    assert fitted.method_ in ("fast", "deterministic")


def test_raw_estimate_without_reweighting():
    X = contaminated(np.random.default_rng(8), 80, 4)
    fitted = fit(X, reweight=None)
    np.testing.assert_array_equal(fitted.support_, fitted.raw_support_)
    np.testing.assert_array_equal(fitted.location_, fitted.raw_location_)
    np.testing.assert_allclose(fitted.covariance_, fitted.raw_covariance_, rtol=1e-12)
    np.testing.assert_allclose(fitted.d2_, fitted.raw_d2_, rtol=1e-12)


def test_corrections_are_named():
    X = contaminated(np.random.default_rng(9), 80, 4)
    pison, asymptotic, none = (fit(X, correction=name) for name in ("pison", "asymptotic", None))
    h = pison.n_support_
    _, S, _ = twin.moments(X, np.flatnonzero(pison.raw_support_))
    factor = twin.consistency_factor(4, h / 80)
    np.testing.assert_allclose(pison.raw_covariance_, S * np.prod(pison.raw_factors_), rtol=1e-10)
    assert pison.raw_factors_[0] == pytest.approx(factor, rel=1e-12)
    assert pison.raw_factors_[1] > 1.0
    np.testing.assert_allclose(asymptotic.raw_covariance_, S * factor, rtol=1e-10)
    np.testing.assert_allclose(none.raw_covariance_, S * (h - 1) / h, rtol=1e-10)
    again = twin.reweight(X, np.flatnonzero(pison.raw_support_), (factor, 1.0), asymptotic.factors_)
    np.testing.assert_allclose(asymptotic.covariance_, again["covariance"], rtol=1e-10)
    assert tuple(asymptotic.factors_) == (pytest.approx(twin.consistency_factor(4, 0.975)), 1.0)


def test_numbers_of_scikit_learn():
    """Where both searches find the same subset and nothing is corrected, every attribute is the same."""
    same = 0
    for seed in range(12):
        X = contaminated(np.random.default_rng(seed), 60, 2, share=0.1, far=50.0)
        theirs = skcov.MinCovDet(support_fraction=0.75, random_state=0).fit(X)
        ours = fit(X, support_fraction=0.75, correction=None)
        if not np.array_equal(ours.raw_support_, theirs.raw_support_):
            continue
        same += 1
        np.testing.assert_array_equal(ours.support_, theirs.support_)
        for name in ("raw_location_", "raw_covariance_", "location_", "covariance_", "precision_", "dist_"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, err_msg=name)
        factor = twin.consistency_factor(2, 0.75)
        np.testing.assert_allclose(ours.correct_covariance(X), theirs.raw_covariance_ * factor, rtol=1e-9)
        location, covariance, support = ours.reweight_covariance(X)
        np.testing.assert_allclose(location, theirs.location_, rtol=1e-9)
        np.testing.assert_allclose(covariance, theirs.covariance_, rtol=1e-9)
        np.testing.assert_array_equal(support, theirs.support_)
        np.testing.assert_allclose(ours.mahalanobis(X), theirs.mahalanobis(X), rtol=1e-9)
        assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-9)
    assert same >= 4


def test_known_centre():
    rng = np.random.default_rng(10)
    X = rng.normal(size=(80, 3))
    X[:20] += 10.0
    fitted = fit(X, assume_centered=True)
    np.testing.assert_array_equal(fitted.location_, np.zeros(3))
    np.testing.assert_array_equal(fitted.raw_location_, np.zeros(3))
    assert not fitted.support_[:20].any()
    rows = X[fitted.raw_support_]
    S = rows.T @ rows / len(rows)
    np.testing.assert_allclose(
        fitted.raw_covariance_ / fitted.raw_covariance_[0, 0], S / S[0, 0], rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("fraction", [0.5, 0.61, 0.75, 0.9, 1.0])
def test_support_fraction_is_that_of_scikit_learn(fraction):
    X = contaminated(np.random.default_rng(11), 50, 2)
    theirs = skcov.MinCovDet(support_fraction=fraction, random_state=0).fit(X)
    assert fit(X, support_fraction=fraction).n_support_ == theirs.raw_support_.sum() == int(fraction * 50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "method"),
        ({"support_fraction": 0.0}, "support_fraction"),
        ({"support_fraction": 1.2}, "support_fraction"),
        ({"support_fraction": 0.2}, "support_fraction"),
        ({"n_starts": 0}, "n_starts"),
        ({"n_starts": 2.5}, "n_starts"),
        ({"correction": "croux"}, "correction"),
        ({"reweight": 1.5}, "reweight"),
        ({"assume_centered": "no"}, "assume_centered"),
        ({"store_precision": 1}, "store_precision"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        MinCovDet(**options).fit(contaminated(np.random.default_rng(0), 40, 3))


@pytest.mark.parametrize("shape", [(5, 5), (6, 5), (4, 20), (2, 1)])
def test_too_few_rows_point_to_the_regularised_estimator(shape):
    with pytest.raises(ValueError, match="MRCD"):
        MinCovDet().fit(np.random.default_rng(0).normal(size=shape))


def test_enumeration_is_refused_when_too_long():
    with pytest.raises(ValueError, match="exact"):
        MinCovDet(method="exact").fit(np.random.default_rng(0).normal(size=(200, 3)))
