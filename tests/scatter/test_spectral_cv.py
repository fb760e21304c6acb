"""The choice of alpha: scores against refits, sensible amounts on simulations, units, bad input."""

import pickle
import warnings

import numpy as np
import pytest
import reference_spectral_loo as reference
from scipy.stats import chi2
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmahal._registry import scatters
from fmahal.exceptions import CalibrationWarning, FmahalWarning
from fmahal.nulls.weighted_chi2 import WeightedChiSquare
from fmahal.scatter.spectral import SpectralFilter
from fmahal.scatter.spectral_cv import TOLERANCE, SpectralFilterCV, smallest_stable


def brownian(n, seed=0, points=100):
    return np.random.default_rng([n, seed]).normal(size=(n, points)).cumsum(axis=1) / points


def white(n, p, seed=0):
    return np.random.default_rng([n, p, seed]).normal(size=(n, p))


@pytest.mark.parametrize(("n", "p"), [(12, 5), (10, 25)])
@pytest.mark.parametrize("ddof", [0, 1])
def test_likelihood_is_that_of_refits(n, p, ddof):
    X = white(n, p) * np.linspace(1, 2, p)
    fit = SpectralFilterCV("ridge", alphas=[0.5, 1e-2, 0.1, 2.0], ddof=ddof).fit(X)
    want = [reference.left_out_loglik(X, a, ddof) for a in fit.alphas_]
    np.testing.assert_allclose(fit.scores_, want, rtol=1e-10)
    assert fit.best_index_ == np.argmax(want)
    assert fit.alpha_ == fit.alphas_[fit.best_index_]


@pytest.mark.parametrize("name", ["rkhs", "ridge"])
def test_stability_is_that_of_refits(name):
    X = brownian(30, points=12)
    fit = SpectralFilterCV(name, alphas=[1e-3, 1e-2, 0.1, 1.0], criterion="stability").fit(X)
    for alpha, score in zip(fit.alphas_, fit.scores_, strict=True):
        out = reference.left_out(X, name, alpha, 1)
        mean, M = reference.matrices(X, name, alpha, 1)
        inside = np.einsum("ij,jk,ik->i", X - mean, M, X - mean)
        share = fit.eigenvalues_ / (fit.eigenvalues_ + alpha)
        spread = np.sqrt(2 * ((share**2 if name == "rkhs" else share) ** 2).sum())
        shift = (np.quantile(out, [0.5, 0.75]) - np.quantile(inside, [0.5, 0.75])) / spread
        np.testing.assert_allclose(score, -np.abs(shift).max(), rtol=1e-8)


def test_smallest_of_the_first_stable_run():
    good, bad = -0.5 * TOLERANCE, -2 * TOLERANCE
    assert smallest_stable(np.array([bad, good, good]))[0] == 1
    assert smallest_stable(np.array([good, bad, bad, good, good, bad]))[0] == 3  # not the one below a gap
    assert smallest_stable(np.array([good, good]))[0] == 0
    best, complaint = smallest_stable(np.array([3 * bad, bad, 2 * bad]))
    assert best == 1
    assert isinstance(complaint, CalibrationWarning)


@pytest.mark.parametrize(
    "parameters", [{}, {"filter": "ridge"}, {"filter": "ridge", "n_components": 4}, {"n_components": 4}]
)
def test_is_the_filter_of_the_chosen_alpha(parameters):
    X = brownian(40, points=20)
    fit = SpectralFilterCV(**parameters, alphas=np.logspace(-4, 0, 9)).fit(X)
    want = SpectralFilter(**parameters, alpha=fit.alpha_, alpha_units="absolute").fit(X)
    for name in ("filter_values_", "null_weights_", "alpha_", "residual_weight_", "eigenvalues_", "rank_"):
        np.testing.assert_allclose(getattr(fit, name), getattr(want, name), rtol=1e-8, err_msg=name)
    for method in ("mahalanobis", "transform", "conformance"):
        np.testing.assert_allclose(
            getattr(fit, method)(X[:5]), getattr(want, method)(X[:5]), rtol=1e-8, atol=1e-12
        )
    np.testing.assert_allclose(fit.leave_one_out(), want.leave_one_out(), rtol=1e-8)
    np.testing.assert_allclose(fit.conformance(), want.conformance(), rtol=1e-8)
    np.testing.assert_allclose(fit.precision_, want.precision_, rtol=1e-7, atol=1e-9 * want.precision_.max())


@pytest.mark.parametrize("name", ["rkhs", "ridge"])
def test_brownian_motion(name):
    """More rows allow less regularisation; new rows have the level that the law of the filter says."""
    chosen = []
    for n in (40, 160, 640):
        X = brownian(n)
        fit = SpectralFilterCV(name, criterion="stability").fit(X)
        chosen.append(fit.alpha_ / fit.eigenvalues_[0])
        law = WeightedChiSquare(fit.null_weights_, "hall-buckley-eagleson")
        rejected = (fit.mahalanobis(brownian(2000, seed=1)) > law.isf(0.05)).mean()
        assert 0.02 < rejected < 0.12
    assert 1e-5 < chosen[2] < chosen[1] < chosen[0] < 0.2


def test_white_noise_needs_much():
    """No direction is better than another: the filter must be flat over the spectrum."""
    X = white(200, 100)
    rkhs = SpectralFilterCV().fit(X)
    ridge = SpectralFilterCV("ridge", criterion="stability").fit(X)
    likely = SpectralFilterCV("ridge").fit(X)
    assert rkhs.alpha_ > 0.1 * rkhs.eigenvalues_[0]
    assert ridge.alpha_ > ridge.eigenvalues_[0]
    assert 0.05 < likely.alpha_ / likely.eigenvalues_[0] < 1
    few = SpectralFilterCV().fit(white(2000, 3))  # nothing to regularise
    assert few.alpha_ == few.alphas_[0]


def test_nothing_is_stable():
    with pytest.warns(CalibrationWarning, match='filter="ridge" is the better choice'):
        fit = SpectralFilterCV().fit(white(50, 100))
    assert fit.scores_[fit.best_index_] == fit.scores_.max() < -TOLERANCE


def test_noise_level_of_noisy_curves():
    """Likelihood finds the variance that white measurement noise has in each coordinate."""
    t = np.linspace(0, 1, 80)
    basis = np.array([np.sin((j + 0.5) * np.pi * t) / (j + 1) ** 3 for j in range(20)])
    rng = np.random.default_rng(3)
    X = rng.normal(size=(150, 20)) @ basis + 0.05 * rng.normal(size=(150, 80))
    fit = SpectralFilterCV("ridge", alphas=np.logspace(-6, 0, 49)).fit(X)
    assert 0.3 < fit.alpha_ / 0.05**2 < 2


def test_a_likelihood_without_bound_is_not_asked():
    """Smooth curves without noise: no variance off a few directions, and any alpha may be too large for it."""
    t = np.linspace(0, 1, 60)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 8)) / (1 + np.arange(8)) ** 3 @ np.cos(3 * np.arange(8)[:, None] * t)
    fit = SpectralFilterCV("ridge").fit(X)
    assert fit.criterion_ == "stability"
    assert fit.alpha_ == SpectralFilterCV("ridge", criterion="stability").fit(X).alpha_ > fit.alphas_[0]
    noisy = SpectralFilterCV("ridge").fit(X + 0.01 * rng.normal(size=X.shape))
    assert noisy.criterion_ == "likelihood"
    assert SpectralFilterCV().fit(X).criterion_ == "stability"


@pytest.mark.parametrize(("n", "k"), [(600, 10), (2000, 40)])
def test_the_shift_of_the_sample_covariance(n, k):
    fit = SpectralFilterCV(alphas=[1e-9]).fit(white(n, k))
    q = chi2.ppf(0.75, k)
    np.testing.assert_allclose(-fit.scores_[0], q**2 / (n * np.sqrt(2 * k)), rtol=0.25)


def test_one_gross_row_takes_the_candidates_with_it():
    """What the Notes say: the candidates are shares of the largest eigenvalue, which is the outlier's."""
    X = brownian(60, points=10)
    clean = SpectralFilterCV().fit(X)
    far = X.copy()
    far[0] += 1e6 * X.std()
    assert SpectralFilterCV().fit(far).alpha_ > 100 * clean.alpha_


def test_gross_outliers_hardly_move_the_choice():
    X = brownian(200)
    clean = SpectralFilterCV().fit(X)
    X[:20] += 100 * X.std()
    dirty = SpectralFilterCV().fit(X)
    # in absolute units: the outliers have made the leading eigenvalue their own
    assert 0.05 < dirty.alpha_ / clean.alpha_ < 20


@pytest.mark.parametrize("unit", [1e-8, 1e8])
@pytest.mark.parametrize("parameters", [{}, {"filter": "ridge"}])
def test_units_do_not_matter(unit, parameters):
    X = brownian(50)
    want, got = SpectralFilterCV(**parameters).fit(X), SpectralFilterCV(**parameters).fit(unit * X)
    assert got.best_index_ == want.best_index_
    np.testing.assert_allclose(got.mahalanobis(unit * X), want.mahalanobis(X), rtol=1e-6)


def test_ends_of_the_candidates():
    X = white(40, 5)
    with pytest.warns(
        FmahalWarning, match="largest for the smallest of the candidate alphas: pass smaller ones"
    ):
        SpectralFilterCV("ridge", alphas=[10.0, 100.0]).fit(X)
    with pytest.warns(FmahalWarning, match="largest for the largest"):
        SpectralFilterCV("ridge", alphas=[1e-9, 1e-8, 1e-7]).fit(white(8, 7))
    with pytest.warns(FmahalWarning, match="linear combinations"):
        SpectralFilterCV("ridge", criterion="likelihood").fit(np.hstack([X, X]))
    SpectralFilterCV("ridge", alphas=[10.0]).fit(X)  # one candidate is a decision


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"filter": "truncate"}, "no alpha to choose"),
        ({"criterion": "likelihood"}, "belongs to no density"),
        ({"criterion": "gcv"}, "criterion must be one of"),
        ({"alphas": []}, "alphas must be a sequence"),
        ({"alphas": [1.0, -1.0]}, "alphas must be a sequence"),
        ({"alphas": 0.1}, "alphas must be a sequence"),
        ({"alphas": ["a"]}, "alphas must be a sequence"),
        ({"ddof": -1}, "ddof"),
        ({"outside": "nowhere"}, "outside"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        SpectralFilterCV(**parameters).fit(white(20, 3))


def test_two_rows_and_equal_rows():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FmahalWarning)
        with pytest.raises(ValueError, match="at least 3 rows"):
            SpectralFilterCV().fit(white(2, 3))
    with pytest.raises(ValueError, match="rows are equal"):
        SpectralFilterCV().fit(np.ones((10, 3)))


def test_conventions():
    X = brownian(40, points=20)
    fit = SpectralFilterCV(alphas=[0.1, 1e-3, 0.1]).fit(X)
    assert fit.alphas_.size == 2
    copy = clone(fit)
    assert copy.get_params() == {
        "filter": "rkhs",
        "alphas": [0.1, 1e-3, 0.1],
        "n_components": None,
        "criterion": "auto",
        "ddof": 1,
        "outside": "ignore",
    }
    assert not hasattr(copy, "alpha_")
    assert "SpectralFilterCV" in repr(copy)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fit)).mahalanobis(X), fit.mahalanobis(X))
    np.testing.assert_array_equal(copy.fit(X).scores_, fit.scores_)
    assert fit.regularized
    assert isinstance(scatters["spectral-cv"].factory(), SpectralFilterCV)
    assert not hasattr(fit, "score")
    assert hasattr(SpectralFilterCV("ridge").fit(X), "score")


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
@parametrize_with_checks([SpectralFilterCV(), SpectralFilterCV("ridge")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
