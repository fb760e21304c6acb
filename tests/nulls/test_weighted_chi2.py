"""Weighted sums of chi-square variables: closed forms far into both tails, 30-digit integrals, properties."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone

import fmahal
from fmahal._registry import nulls
from fmahal.nulls import _weighted_law
from fmahal.nulls._weighted_law import Weights, tail
from fmahal.nulls.weighted_chi2 import WeightedChiSquare, WeightedChiSquareNull

LEVELS = np.array([1e-300, 1e-100, 1e-40, 1e-10, 1e-3, 0.05, 0.3, 0.5, 0.7, 0.95, 0.999])
BROWNIAN = 1 / ((np.arange(1, 51) - 0.5) * np.pi) ** 2  # eigenvalues of Brownian motion
CASES = [
    [1.0, 0.5],
    [1.0, 1e-7],
    [2.0, 2.0, 0.3],
    [1.0, 0.999, 0.9],
    [1.0, *[0.01] * 100],
    [1.0, *[5e-3] * 400],
    list(BROWNIAN),
]
WEIGHTS = st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=12)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 7, 50, 500])
def test_integral_gives_chi_square(m):
    # Past the shortcut for equal weights: the integral itself.
    law, weights = stats.chi2(m), Weights(np.ones(1), np.array([float(m)]))
    x = law.isf(LEVELS[LEVELS <= 0.3])
    x = x[x >= m]
    found = tail(weights, x, upper=True)
    np.testing.assert_allclose(np.exp(found.log_tail), law.sf(x), rtol=1e-12)
    np.testing.assert_allclose(found.hazard, law.pdf(x) / law.sf(x), rtol=1e-11)
    x = np.append(law.ppf([1e-100, 1e-10, 0.01, 0.4]), m)
    found = tail(weights, x, upper=False)
    np.testing.assert_allclose(np.exp(found.log_tail), law.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(found.hazard, law.pdf(x) / law.cdf(x), rtol=1e-11)


@pytest.mark.parametrize("method", ["imhof", "hall-buckley-eagleson", "satterthwaite"])
@pytest.mark.parametrize("m", [1, 2, 5, 40])
def test_equal_weights_are_chi_square(m, method):
    law, reference = WeightedChiSquare(np.full(m, 3.0), method), stats.chi2(m, scale=3)
    x = np.array([1e-3, 1.0, 3.0 * m, 1300.0])
    np.testing.assert_allclose(law.sf(x), reference.sf(x), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(x), reference.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(law.isf(LEVELS), reference.isf(LEVELS), rtol=1e-12)


@pytest.mark.parametrize("weights", [[1.0, 0.5], [3.0, 1.0, 0.2], [1.0, 0.7, 0.4, 0.1, 0.01]])
def test_paired_weights_are_hypoexponential(weights):
    # w (chi2_1 + chi2_1) is exponential with mean 2 w; a sum of such with different means has a closed form.
    w = np.array(weights)
    factors = [np.prod([a / (a - b) for b in w if b != a]) for a in w]
    law = WeightedChiSquare(np.repeat(w, 2))
    for x in [2 * w.sum(), 10.0, 50.0, 1200.0 * w.max()]:
        np.testing.assert_allclose(law.sf(x), np.dot(factors, np.exp(-x / (2 * w))), rtol=1e-12)


@pytest.mark.parametrize(
    ("weights", "x", "upper", "expected"),
    # The integral in 30 digits along another contour.
    [
        ([1, 0.5], 3.0, True, 0.13575623731068813),
        ([1, 0.5], 300.0, True, 4.6667042120898601e-67),
        ([1, 0.3, 1e-3], 60.0, True, 1.1383283138130224e-14),
        ([1, *[0.01] * 100], 2.2, True, 0.27521230108478074),
        ([1, *[0.01] * 100], 200.0, True, 3.4606762777259336e-45),
        ([1, 0.9, 0.8, 0.01], 1000.0, True, 1.2847082152216495e-218),
        ([1, 0.5], 1e-3, False, 7.0684168610321242e-4),
        ([1, *[0.01] * 100], 1.0, False, 0.12343012996080323),
        ([1, 0.9, 0.8, 0.01], 1e-6, False, 1.4731264388149601e-12),
    ],
)
def test_thirty_digits(weights, x, upper, expected):
    law = WeightedChiSquare(weights)
    np.testing.assert_allclose(law.sf(x) if upper else law.cdf(x), expected, rtol=2e-13)


@pytest.mark.parametrize(
    ("weights", "expected"),
    # Imhof's integral with the real axis as its path, and the two approximations; q = 0.9, 0.95, 0.99.
    [
        (
            (BROWNIAN / (BROWNIAN + 0.01)) ** 2,
            {
                "imhof": [4.78791092081, 5.94591626189, 8.66492793204],
                "hall-buckley-eagleson": [4.83102885256, 5.99936584093, 8.6683169683],
                "satterthwaite": [4.86186604128, 5.9295876601, 8.29781891977],
            },
        ),
        (
            BROWNIAN / (BROWNIAN + 0.01),
            {
                "imhof": [7.73930796586, 9.06144257404, 12.0542590985],
                "hall-buckley-eagleson": [7.78969061194, 9.11429614325, 12.0341234316],
                "satterthwaite": [7.79263447981, 8.96667049508, 11.4571930438],
            },
        ),
    ],
    ids=["squared", "ridge"],
)
def test_golden_quantiles(weights, expected):
    for method, quantiles in expected.items():
        law = WeightedChiSquare(weights, method)
        np.testing.assert_allclose(law.ppf([0.9, 0.95, 0.99]), quantiles, rtol=1e-11)
        np.testing.assert_allclose(law.isf([0.1, 0.05, 0.01]), quantiles, rtol=1e-11)


@pytest.mark.parametrize("weights", CASES, ids=lambda w: f"{len(w)}")
def test_quantiles_are_inverses(weights):
    law = WeightedChiSquare(weights)
    np.testing.assert_allclose(law.sf(law.isf(LEVELS)), LEVELS, rtol=1e-12)
    low = LEVELS[LEVELS > 1e-101]
    np.testing.assert_allclose(law.cdf(law.ppf(low)), low, rtol=1e-12)
    np.testing.assert_allclose(law.ppf(1 - 2.0**-30), law.isf(2.0**-30), rtol=1e-12)
    np.testing.assert_allclose(law.sf(law.ppf(0.3)), 0.7, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(WEIGHTS, st.floats(1e-3, 30))
def test_tails_are_complements_and_fall(weights, far):
    law = WeightedChiSquare(weights)
    x = np.sort(law.mean() * np.array([1e-3, 0.5, 1 - 1e-9, 1, 1 + 1e-9, 3, far]))
    sf, cdf = law.sf(x), law.cdf(x)
    np.testing.assert_allclose(sf + cdf, 1, rtol=1e-12)
    assert ((sf >= 0) & (cdf >= 0)).all()
    assert (np.diff(sf) <= 1e-13 * sf[:-1]).all()
    x = law.mean() * np.linspace(0.01, 20, 60)
    assert (np.diff(law.sf(x)) <= 0).all()
    assert (np.diff(law.isf(np.linspace(0.001, 0.999, 12))) < 0).all()


@settings(max_examples=30, deadline=None)
@given(WEIGHTS, st.sampled_from([1e-150, 1e-8, 0.37, 1e8, 1e150]), st.randoms())
def test_scale_and_order_of_the_weights(weights, scale, random):
    law = WeightedChiSquare(weights)
    shuffled = random.sample(weights, len(weights))
    scaled = WeightedChiSquare(np.multiply(shuffled, scale))
    x = law.mean() * np.array([0.1, 1.0, 8.0])
    np.testing.assert_allclose(scaled.sf(x * scale), law.sf(x), rtol=1e-11)
    np.testing.assert_allclose(scaled.isf([0.9, 0.01]), law.isf([0.9, 0.01]) * scale, rtol=1e-11)


@given(WEIGHTS)
def test_larger_weights_give_larger_distances(weights):
    law, larger = WeightedChiSquare(weights), WeightedChiSquare([*weights[:-1], weights[-1] * 1.5])
    x = law.mean() * np.array([0.2, 1.0, 5.0])
    assert (larger.sf(x) > law.sf(x)).all()


@pytest.mark.parametrize("weights", CASES, ids=lambda w: f"{len(w)}")
def test_moments_and_monte_carlo(weights):
    w, rng = np.array(weights), np.random.default_rng(1)
    draws = rng.chisquare(1, size=(40_000, w.size)) @ w
    law = WeightedChiSquare(w)
    np.testing.assert_allclose(law.mean(), w.sum(), rtol=1e-14)
    np.testing.assert_allclose(law.var(), 2 * (w**2).sum(), rtol=1e-14)
    for q in [0.9, 0.5, 0.1, 0.01]:
        band = 4 * np.sqrt(q * (1 - q) / draws.size)
        assert abs(np.mean(draws > law.isf(q)) - q) < band


@pytest.mark.parametrize("weights", [[1.0, 0.6, 0.2], list(BROWNIAN)])
def test_cumulants_of_the_approximations(weights):
    exact = WeightedChiSquare(weights)
    three = WeightedChiSquare(weights, "hall-buckley-eagleson")._chi2
    two = WeightedChiSquare(weights, "satterthwaite")._chi2
    for law in (three, two):
        np.testing.assert_allclose([law.mean(), law.var()], [exact.mean(), exact.var()], rtol=1e-12)
    third = 8 * np.sum(np.power(weights, 3))
    np.testing.assert_allclose(three.stats("s"), third / exact.var() ** 1.5, rtol=1e-12)


def test_negligible_weights_become_a_shift():
    tiny = np.full(1000, 0.9e-8)
    law, main = WeightedChiSquare([1.0, 0.5, *tiny]), WeightedChiSquare([1.0, 0.5])
    assert law.shift == pytest.approx(tiny.sum(), rel=1e-12)
    x = np.array([1e-3, 1.0, 30.0])
    np.testing.assert_array_equal(law.sf(x), main.sf(x - law.shift))
    np.testing.assert_allclose(law.isf(0.01), main.isf(0.01) + law.shift, rtol=1e-14)
    assert law.sf(law.shift / 2) == 1
    assert law.mean() == pytest.approx(1.5 + tiny.sum(), rel=1e-14)
    kept = WeightedChiSquare([1.0, 0.5, 1.1e-8])
    assert kept.shift == 0


def test_ends_and_shapes():
    law = WeightedChiSquare([1.0, 0.5, 0.1])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        x = np.array([-1.0, 0.0, 1e-300, 1e-30, 1e5, 1e300, np.inf])
        np.testing.assert_array_equal(law.cdf(x)[[0, 1, -3, -2, -1]], [0, 0, 1, 1, 1])
        np.testing.assert_array_equal(law.sf(x)[[0, 1, -2, -1]], [1, 1, 0, 0])
        # Near zero the law of m variables is a power of x, m / 2.
        np.testing.assert_allclose(law.cdf(1e-110) / law.cdf(1e-100), 1e-15, rtol=1e-9)
        np.testing.assert_array_equal(law.isf([0.0, 1.0]), [np.inf, 0.0])
        np.testing.assert_array_equal(law.ppf([0.0, 1.0]), [0.0, np.inf])
        assert law.isf(5e-324) > 1000
    assert np.isnan(law.sf(np.nan))
    assert np.isnan(law.isf([np.nan, -0.1, 1.1])).all()
    assert law.sf(1.0).shape == law.isf(0.1).shape == ()
    assert law.sf([]).shape == (0,)
    assert law.cdf(np.ones((2, 3))).shape == law.ppf(np.full((2, 3), 0.5)).shape == (2, 3)


def test_many_arguments_are_worked_off_in_blocks():
    weights = Weights(BROWNIAN / BROWNIAN[0], np.ones(50))
    x = np.linspace(0.01, 10, 6000)
    one, some = tail(weights, x, upper=True), tail(weights, x[::500], upper=True)
    np.testing.assert_allclose(np.exp(one.log_tail[::500]), np.exp(some.log_tail), rtol=1e-12)


MANY = [
    *CASES,
    list(1 / np.arange(1, 101) ** 2.0),
    list(np.linspace(0.9, 1, 100)),
    list(10.0 ** -np.linspace(0, 8, 30)),
]


@pytest.mark.parametrize("weights", MANY, ids=lambda w: f"{len(w)}")
def test_interpolated_probabilities_are_those_of_single_arguments(weights):
    law, rng = WeightedChiSquare(weights), np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.normal(law.mean(), np.sqrt(law.var()), 5000),
            law.mean() * np.exp(rng.uniform(-12, 7, 5000)),  # p-values of 1e-300 among them
            law.mean() * np.array([1e-120, 1e-101, 1, 1 - 1e-15, 1 + 1e-15, 1e5, 1e300]),
            [-1.0, 0.0, np.inf, np.nan],
        ]
    )
    some = np.r_[: x.size : 311, x.size - 11 : x.size]
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        sf, cdf = law.sf(x), law.cdf(x)
        np.testing.assert_allclose(sf[some], [law.sf(value) for value in x[some]], rtol=1e-11)
        np.testing.assert_allclose(cdf[some], [law.cdf(value) for value in x[some]], rtol=1e-11)
    np.testing.assert_allclose(sf[:10_000] + cdf[:10_000], 1, rtol=1e-12)


def test_many_arguments_take_few_integrals(monkeypatch):
    taken = []

    def counted(weights, x, **options):
        taken.append(x.size)
        return tail(weights, x, **options)

    monkeypatch.setattr(_weighted_law, "tail", counted)
    law = WeightedChiSquare(1 / np.arange(1, 101) ** 2.0)
    x = np.random.default_rng(0).chisquare(1, size=(30_000, 100)) @ law.weights
    law.sf(x)
    assert 0 < sum(taken) < 1500
    taken.clear()
    np.testing.assert_array_equal(law.sf(np.full(5000, 3.0)), law.sf(3.0))  # ties: one integral
    assert sum(taken) == 2


def test_interpolation_does_not_depend_on_the_unit_or_the_order():
    law, x = WeightedChiSquare(BROWNIAN), np.random.default_rng(0).uniform(0.01, 5, 3000)
    np.testing.assert_array_equal(law.sf(x[::-1]), law.sf(x)[::-1])
    for unit in (1e-8, 1e8):
        scaled = WeightedChiSquare(BROWNIAN * unit)
        np.testing.assert_allclose(scaled.sf(x * unit), law.sf(x), rtol=1e-11)


def test_variance_beyond_the_largest_number_is_infinite():
    assert WeightedChiSquare([1e300, 5e299]).var() == np.inf
    assert WeightedChiSquare([1e300, 5e299]).mean() == 1.5e300


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "at least one"),
        ([[1.0]], "vector"),
        ([1.0, -0.5], "-0.5 at 1"),
        ([np.nan, 1.0], "nan at 0"),
        ([1.0, np.inf], "inf at 1"),
        (np.full(9, -1.0), "and 4 more"),
        ([0.0, 0.0], "zero for every row"),
        ("abc", "weights must be real numbers, got 'abc'"),
        ([1.0, None], "weights must be real numbers"),
        (np.ma.array([1.0, 2.0], mask=[False, True]), "weights is a masked array"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        WeightedChiSquareNull(weights).fit(None, None, None)


def test_unknown_method():
    with pytest.raises(ValueError, match="'imhof', 'hall-buckley-eagleson', 'satterthwaite'"):
        WeightedChiSquareNull([1.0], method="davies").fit(None, None, None)


# --- the null


def test_weights_of_the_scatter():
    X = np.random.default_rng(0).normal(size=(50, 3))
    scatter = fmahal.EmpiricalCovariance().fit(X)
    with pytest.raises(ValueError, match=r"EmpiricalCovariance has no null_weights_. Pass weights="):
        WeightedChiSquareNull().fit(scatter, X, scatter.mahalanobis(X))
    scatter.null_weights_ = np.array([1.0, 0.5, 0.2])
    null = WeightedChiSquareNull().fit(scatter, X, scatter.mahalanobis(X))
    np.testing.assert_array_equal(null.weights_, scatter.null_weights_)
    assert null.train_dist_ is null.new_dist_
    given = WeightedChiSquareNull([1.0, 0.5, 0.2]).fit(None, None, None)
    assert given.new_dist_.isf(0.01) == null.new_dist_.isf(0.01)


def test_failed_fit_leaves_the_earlier_one():
    null = WeightedChiSquareNull([1.0, 0.5]).fit(None, None, None)
    before = null.new_dist_
    null.set_params(weights=[-1.0])
    with pytest.raises(ValueError, match="at least zero"):
        null.fit(None, None, None)
    assert null.new_dist_ is before


def test_level_of_a_ridge_with_known_covariance():
    # d2 = sum z_j^2 l_j / (l_j + a) for rows with covariance diag(l) and a ridge a.
    rng, eigenvalues, ridge = np.random.default_rng(5), np.array([4.0, 1.0, 0.3, 0.01]), 0.2
    X = rng.normal(size=(20_000, 4)) * np.sqrt(eigenvalues)
    scatter = SimpleNamespace(null_weights_=eigenvalues / (eigenvalues + ridge))
    law = WeightedChiSquareNull(scatter.null_weights_).fit(None, None, None).new_dist_
    pvalues = law.sf((X**2 / (eigenvalues + ridge)).sum(axis=1))
    assert stats.kstest(pvalues, "uniform").pvalue > 1e-3
    for level in (0.05, 0.01):
        assert abs(np.mean(pvalues <= level) - level) < 4 * np.sqrt(level * (1 - level) / len(X))


def test_clone_pickle_and_command_line():
    null = clone(WeightedChiSquareNull([1.0, 0.5], method="satterthwaite"))
    assert null.method == "satterthwaite"
    law = WeightedChiSquare([1.0, 0.5])
    assert pickle.loads(pickle.dumps(law)).sf(3.0) == law.sf(3.0)
    assert not any("weighted" in name for name in nulls.names())
