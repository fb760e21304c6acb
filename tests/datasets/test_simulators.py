"""Simulators: seeds, laws within Monte-Carlo bands, structures, and errors."""

import pickle

import numpy as np
import pytest
from scipy import stats

from fmahal.datasets import make_ar1, make_contaminated_normal, make_heavy_tailed, make_spiked
from fmahal.datasets._covariances import AR1Covariance
from fmahal.exceptions import DenseSizeError, NotPositiveDefiniteError

KINDS = ["shift", "cluster", "radial", "point"]
TAILS = ["t", "lognormal", "skew-normal", "uniform"]
GIVEN = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, -0.5], [0.0, -0.5, 1.0]])
MAKERS = [
    pytest.param(make_contaminated_normal, id="contaminated"),
    pytest.param(make_ar1, id="ar1"),
    pytest.param(make_spiked, id="spiked"),
    pytest.param(make_heavy_tailed, id="heavy-tailed"),
]


def within_five_standard_errors(samples, expected):
    """The mean of iid rows is within five estimated standard errors of its expectation, entry by entry."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(samples.shape[0])
    assert np.all(np.abs(samples.mean(axis=0) - expected) <= 5 * error)


def check_moments(X, location, covariance):
    centred = X - location
    within_five_standard_errors(X, location)
    within_five_standard_errors(centred[:, :, None] * centred[:, None, :], covariance)


@pytest.mark.parametrize("make", MAKERS)
def test_fields(make):
    bunch = make(20, 6, random_state=0)
    assert bunch.data.shape == (20, 6)
    assert bunch.data.dtype == np.float64
    assert bunch.data.flags.c_contiguous
    assert bunch.feature_names == ["x1", "x2", "x3", "x4", "x5", "x6"]
    assert bunch.row_names is None
    assert bunch.location.shape == (6,)
    assert bunch.covariance.shape == (6, 6)
    for field in ("name", "DESCR", "source", "licence", "citation"):
        assert len(bunch[field]) >= 3
    again = pickle.loads(pickle.dumps(bunch))
    np.testing.assert_array_equal(np.asarray(again.covariance), np.asarray(bunch.covariance))


@pytest.mark.parametrize("make", MAKERS)
def test_seeds(make):
    first = make(15, 4, random_state=7).data
    np.testing.assert_array_equal(make(15, 4, random_state=7).data, first)
    assert np.all(make(15, 4, random_state=8).data != first)
    for stream in (np.random.default_rng, np.random.RandomState):
        one, two = stream(3), stream(3)
        drawn = make(15, 4, random_state=one).data
        np.testing.assert_array_equal(make(15, 4, random_state=two).data, drawn)
        assert np.all(make(15, 4, random_state=one).data != drawn)


@pytest.mark.parametrize("make", MAKERS)
def test_location_moves_the_rows(make):
    centre = np.array([1.0, -2.0, 3.0, 0.0])
    at_zero = make(15, 4, random_state=1)
    moved = make(15, 4, location=centre, random_state=1)
    np.testing.assert_allclose(
        moved.data - centre, at_zero.data, rtol=1e-12, atol=1e-14 * np.abs(centre).max()
    )
    np.testing.assert_array_equal(moved.location, centre)
    np.testing.assert_array_equal(make(15, 4, location=2.5, random_state=1).location, np.full(4, 2.5))


@pytest.mark.parametrize("make", MAKERS)
def test_one_row_and_one_column(make):
    options = {"spikes": [2.0]} if make is make_spiked else {}
    bunch = make(1, 1, random_state=0, **options)
    assert np.isfinite(bunch.data).all()
    np.testing.assert_allclose(
        bunch.scatter.whitener().sqnorm([[1.0]]), 1 / np.asarray(bunch.scatter)[0], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("covariance", "matrix"),
    [
        ("identity", np.eye(3)),
        ("ar1", np.array([[1, 0.7, 0.49], [0.7, 1, 0.7], [0.49, 0.7, 1]])),
        (GIVEN, GIVEN),
        ("random", None),
    ],
    ids=["identity", "ar1", "given", "random"],
)
def test_regular_rows_have_the_stated_moments(covariance, matrix):
    bunch = make_contaminated_normal(
        20_000, 3, contamination=0.0, covariance=covariance, rho=0.7, location=[1.0, 2.0, 3.0], random_state=5
    )
    truth = np.asarray(bunch.covariance)
    if matrix is not None:
        np.testing.assert_allclose(truth, matrix, rtol=1e-13)
    check_moments(bunch.data, bunch.location, truth)
    assert not bunch.outliers.any()


@pytest.mark.parametrize("condition_number", [1.0, 1e6])
def test_random_covariance_has_its_condition_number(condition_number):
    bunch = make_contaminated_normal(
        5, 8, covariance="random", condition_number=condition_number, random_state=2
    )
    eigenvalues = np.linalg.eigvalsh(np.asarray(bunch.covariance))
    np.testing.assert_allclose(eigenvalues[-1] / eigenvalues[0], condition_number, rtol=1e-7)
    np.testing.assert_allclose(np.prod(eigenvalues), 1.0, rtol=1e-7)


@pytest.mark.parametrize("covariance", ["identity", "ar1", "random", "given"])
def test_whitener_of_the_truth(covariance):
    p = 3
    bunch = make_contaminated_normal(
        30, p, covariance=GIVEN if covariance == "given" else covariance, random_state=3
    )
    centred = bunch.data - bunch.location
    dense = np.asarray(bunch.covariance)
    expected = np.einsum("ij,ij->i", centred @ np.linalg.inv(dense), centred)
    np.testing.assert_allclose(bunch.covariance.whitener().sqnorm(centred), expected, rtol=1e-10)
    np.testing.assert_allclose(
        bunch.covariance.scaled(4.0).whitener().sqnorm(centred), expected / 4, rtol=1e-10
    )
    np.testing.assert_allclose(np.asarray(bunch.covariance.scaled(4.0)), 4 * dense, rtol=1e-14)
    np.testing.assert_allclose(
        bunch.covariance.scaled(4.0).color(centred), 2 * bunch.covariance.color(centred), rtol=1e-12
    )


@pytest.mark.parametrize("covariance", ["identity", "ar1", "random"])
@pytest.mark.parametrize("kind", KINDS)
def test_outliers_are_where_they_should_be(kind, covariance):
    n, p, d = 4000, 6, 20.0
    bunch = make_contaminated_normal(
        n, p, contamination=0.25, kind=kind, distance=d, covariance=covariance, random_state=11
    )
    assert bunch.outliers.sum() == 1000
    np.testing.assert_array_equal(bunch.target, bunch.outliers)
    rows = bunch.covariance.whitener().whiten(bunch.data - bunch.location)
    d2 = np.sum(rows**2, axis=1)
    assert stats.kstest(d2[~bunch.outliers], stats.chi2(p).cdf).pvalue > 1e-4
    out = d2[bunch.outliers]
    laws = {
        "shift": stats.ncx2(p, d**2),
        "cluster": stats.ncx2(p, (10 * d) ** 2, scale=0.01),
        "radial": stats.chi2(p, scale=d**2 / p),
    }
    if kind == "point":
        np.testing.assert_allclose(out, d**2, rtol=1e-10)
        assert np.ptp(bunch.data[bunch.outliers], axis=0).max() == 0
    else:
        assert stats.kstest(out, laws[kind].cdf).pvalue > 1e-4


def test_kinds_share_regular_rows_and_nest():
    one = make_contaminated_normal(100, 4, contamination=0.1, kind="shift", random_state=4)
    two = make_contaminated_normal(100, 4, contamination=0.3, kind="point", distance=50.0, random_state=4)
    assert np.all(two.outliers[one.outliers])
    np.testing.assert_array_equal(one.data[~two.outliers], two.data[~two.outliers])
    assert np.all(one.data[one.outliers] != two.data[one.outliers])


def test_outliers_are_spread_over_the_rows():
    positions = np.flatnonzero(make_contaminated_normal(2000, 2, contamination=0.5, random_state=0).outliers)
    # Ranks of a random half of the rows: mean (n + 1) / 2, standard error sqrt((n + 1) / 12) for n / 2 of n.
    assert abs(positions.mean() - 999.5) < 5 * np.sqrt(2001 / 12)


@pytest.mark.parametrize(
    ("n", "contamination", "k"), [(10, 0.25, 3), (10, 0.5, 5), (7, 0.0, 0), (5, 0.09, 0)]
)
def test_number_of_outliers(n, contamination, k):
    assert make_contaminated_normal(n, 2, contamination=contamination, random_state=0).outliers.sum() == k


def test_default_distance_is_outside_in_any_dimension():
    for p in (1, 10, 1000):
        bunch = make_contaminated_normal(60, p, contamination=0.3, kind="cluster", random_state=0)
        d2 = bunch.covariance.whitener().sqnorm(bunch.data)
        assert d2[bunch.outliers].min() > d2[~bunch.outliers].max()


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.95])
def test_ar1_moments(rho):
    bunch = make_ar1(20_000, 5, rho=rho, random_state=6)
    truth = rho ** np.abs(np.subtract.outer(np.arange(5.0), np.arange(5.0)))
    np.testing.assert_allclose(np.asarray(bunch.covariance), truth, rtol=1e-14)
    check_moments(bunch.data, 0.0, truth)


def test_ar1_recursion():
    bunch = make_ar1(3, 6, rho=0.6, random_state=9)
    Z = bunch.covariance.whitener().whiten(bunch.data)
    expected = np.empty_like(Z)
    expected[:, 0] = Z[:, 0]
    for j in range(1, 6):
        expected[:, j] = 0.6 * expected[:, j - 1] + 0.8 * Z[:, j]
    np.testing.assert_allclose(bunch.data, expected, rtol=1e-10)


def test_spiked_moments_and_eigenvalues():
    bunch = make_spiked(20_000, 6, spikes=[9.0, 30.0], noise=2.0, random_state=6)
    truth = np.asarray(bunch.covariance)
    np.testing.assert_allclose(np.linalg.eigvalsh(truth), [2, 2, 2, 2, 9, 30], rtol=1e-12)
    check_moments(bunch.data, 0.0, truth)
    d2 = bunch.covariance.whitener().sqnorm(bunch.data)
    assert stats.kstest(d2, stats.chi2(6).cdf).pvalue > 1e-4


def test_spikes_may_fill_the_space():
    bunch = make_spiked(5, 2, spikes=[3.0, 2.0], noise=1.0, random_state=0)
    np.testing.assert_allclose(np.linalg.eigvalsh(np.asarray(bunch.covariance)), [2.0, 3.0], rtol=1e-12)


def test_directions_are_uniform():
    """A QR routine that prefers an orientation would give first entries of one sign."""
    signs = [make_spiked(1, 3, spikes=[2.0], random_state=seed).covariance.V[0, 0] > 0 for seed in range(200)]
    assert stats.binomtest(int(np.sum(signs)), 200, 0.5).pvalue > 1e-4


@pytest.mark.parametrize("kind", ["lognormal", "skew-normal", "uniform"])
def test_component_laws_have_the_stated_moments(kind):
    bunch = make_heavy_tailed(
        40_000, 3, kind=kind, sigma=0.5, slant=-3.0, covariance="ar1", rho=-0.4, location=7.0, random_state=8
    )
    check_moments(bunch.data, bunch.location, np.asarray(bunch.covariance))
    assert bunch.scatter is bunch.covariance
    assert bunch.outliers is None
    assert bunch.target is None


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        ("lognormal", stats.lognorm(0.8)),
        ("skew-normal", stats.skewnorm(-4.0)),
        ("uniform", stats.uniform()),
    ],
)
def test_component_laws(kind, law):
    X = make_heavy_tailed(5000, 2, kind=kind, sigma=0.8, slant=-4.0, random_state=12).data
    for column in X.T:
        assert stats.kstest(law.mean() + law.std() * column, law.cdf).pvalue > 1e-4
    assert stats.spearmanr(X[:, 0], X[:, 1]).pvalue > 1e-4


def test_lognormal_of_small_sigma_is_normal():
    X = make_heavy_tailed(5000, 1, kind="lognormal", sigma=1e-9, random_state=1).data[:, 0]
    assert stats.kstest(X, "norm").pvalue > 1e-4


@pytest.mark.parametrize("df", [0.5, 3.0, 30.0])
def test_t_is_elliptical(df):
    p = 4
    bunch = make_heavy_tailed(5000, p, kind="t", df=df, covariance="random", random_state=13)
    d2 = bunch.scatter.whitener().sqnorm(bunch.data)
    assert stats.kstest(d2 / p, stats.f(p, df).cdf).pvalue > 1e-4


def test_t_covariance_exists_above_two_degrees():
    assert make_heavy_tailed(5, 2, df=2.0, random_state=0).covariance is None
    bunch = make_heavy_tailed(40_000, 2, df=9.0, covariance="ar1", random_state=3)
    np.testing.assert_allclose(np.asarray(bunch.covariance), 9 / 7 * np.asarray(bunch.scatter), rtol=1e-14)
    check_moments(bunch.data, 0.0, np.asarray(bunch.covariance))


@pytest.mark.parametrize("make", [make_ar1, make_spiked, make_contaminated_normal])
def test_wide_data_need_no_square_array(make):
    p = 200_000
    bunch = make(2, p, random_state=0)
    d2 = bunch.covariance.whitener().sqnorm(bunch.data - bunch.location)
    assert np.all(np.abs(d2 / p - 1) < 10 * np.sqrt(2 / p))


def test_dense_truth_is_refused_when_too_large():
    with pytest.raises(DenseSizeError, match="3000000 x 3000000"):
        np.asarray(AR1Covariance(3_000_000, 0.5))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("bad", [0, -3, 2.5, "4", True, None])
def test_bad_sizes(make, bad):
    with pytest.raises(ValueError, match="n_samples must be a positive integer"):
        make(bad, 3)
    with pytest.raises(ValueError, match="n_features must be a positive integer"):
        make(3, bad)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (make_contaminated_normal, {"contamination": 0.6}, "contamination must lie between 0 and 0.5"),
        (make_contaminated_normal, {"contamination": -0.1}, "contamination must lie between 0 and 0.5"),
        (make_contaminated_normal, {"contamination": np.nan}, "contamination must be finite"),
        (make_contaminated_normal, {"contamination": "auto"}, "contamination must be a number"),
        (make_contaminated_normal, {"kind": "shifted"}, "kind must be one of 'shift', 'cluster'"),
        (make_contaminated_normal, {"kind": None}, "kind must be one of"),
        (make_contaminated_normal, {"distance": 0.0}, "distance must be positive"),
        (make_contaminated_normal, {"distance": np.inf}, "distance must be finite"),
        (make_contaminated_normal, {"covariance": "full"}, "covariance must be 'identity', 'ar1', 'random'"),
        (make_contaminated_normal, {"covariance": np.eye(3)}, r"covariance must have shape \(2, 2\)"),
        (make_contaminated_normal, {"covariance": [[1, 0.5], [0, 1]]}, "covariance is not symmetric"),
        (make_contaminated_normal, {"covariance": [[1, np.nan], [0, 1]]}, "covariance contains NaN"),
        (make_contaminated_normal, {"covariance": "ar1", "rho": 1.0}, "rho must lie strictly between"),
        (make_contaminated_normal, {"covariance": "random", "condition_number": 0.5}, "at least 1"),
        (make_contaminated_normal, {"location": [1.0, 2.0, 3.0]}, r"location must have shape \(2,\)"),
        (make_contaminated_normal, {"location": np.nan}, "location contains NaN"),
        (make_contaminated_normal, {"random_state": "seed"}, "random_state takes"),
        (make_ar1, {"rho": -1.0}, "rho must lie strictly between -1 and 1"),
        (make_ar1, {"rho": "high"}, "rho must be a number"),
        (make_spiked, {"spikes": [3.0, 2.0, 5.0]}, "3 entries, more than n_features=2"),
        (make_spiked, {"spikes": [3.0, 0.5]}, "Every spike must exceed noise=1, got 0.5"),
        (make_spiked, {"spikes": [[3.0]]}, "spikes must have shape"),
        (make_spiked, {"spikes": [3.0], "noise": 0.0}, "noise must be positive"),
        (make_heavy_tailed, {"kind": "cauchy"}, "kind must be one of 't', 'lognormal'"),
        (make_heavy_tailed, {"df": 0.0}, "df must be positive"),
        (make_heavy_tailed, {"sigma": 6.0}, "sigma must be at most 5"),
        (make_heavy_tailed, {"slant": np.inf}, "slant must be finite"),
    ],
)
def test_bad_arguments(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(10, 2, **options)


def test_indefinite_covariance():
    with pytest.raises(NotPositiveDefiniteError, match="covariance is not positive definite"):
        make_contaminated_normal(10, 2, covariance=[[1.0, 2.0], [2.0, 1.0]])
