"""Partial whitening: its distance, its criterion, and what laws may say of it."""

import pickle
import tracemalloc

import numpy as np
import pytest
import reference_partial as reference
from sklearn import covariance as skcov
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fmahal.exceptions import CalibrationWarning, RankDeficientWarning
from fmahal.models import MahalanobisDetector
from fmahal.nulls import (
    BootstrapNull,
    NormalTheoryNull,
    WeightedChiSquareNull,
    _generated,
    _template,
    select_null,
)
from fmahal.scatter import (
    OAS,
    EmpiricalCovariance,
    FixedScatter,
    LedoitWolf,
    MinCovDet,
    ModifiedCholesky,
    PartialWhitening,
    Sketched,
    facts,
)

POWERS = (0.0, 0.4, 1.0)
DENSE = {
    "empirical": EmpiricalCovariance(),
    "mcd": MinCovDet(method="deterministic"),
    "cholesky": ModifiedCholesky(bandwidth=2),
    "fixed": FixedScatter("mean", covariance=np.diag([1.0, 4.0, 9.0, 16.0]) + 0.5),
}
SHRUNK = {"ledoit-wolf": LedoitWolf(), "oas": OAS(), "sklearn": skcov.LedoitWolf()}


def draw(n=80, p=4, seed=0):
    rng = np.random.default_rng([n, p, seed])
    return (rng.normal(size=(n, p)) @ (np.eye(p) + 0.5 * rng.normal(size=(p, p)))) * np.arange(
        1.0, p + 1
    ) + 5.0


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("name", DENSE)
def test_distances_are_the_twin_s(name, power):
    X, new = draw(), draw(20, seed=1)
    fitted, plain = PartialWhitening(DENSE[name], power=power).fit(X), clone(DENSE[name]).fit(X)
    expected = reference.distances(new, plain.location_, reference.metric(plain.covariance_, power))
    np.testing.assert_allclose(fitted.mahalanobis(new), expected, rtol=1e-8)
    np.testing.assert_allclose(np.square(fitted.transform(new)).sum(axis=1), expected, rtol=1e-8)
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(new)), new, rtol=1e-8)
    assert not fitted.is_standardised_
    if power == 1:
        np.testing.assert_allclose(fitted.mahalanobis(new), plain.mahalanobis(new), rtol=1e-8)
        np.testing.assert_allclose(fitted.null_weights_, 1.0)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("name", SHRUNK)
def test_scatters_that_mind_units_see_standardised_columns(name, power):
    X, new = draw(), draw(20, seed=1)
    sd = X.std(axis=0)
    fitted, plain = PartialWhitening(SHRUNK[name], power=power).fit(X), clone(SHRUNK[name]).fit(X / sd)
    expected = reference.distances(new / sd, plain.location_, reference.metric(plain.covariance_, power))
    assert fitted.is_standardised_
    np.testing.assert_allclose(fitted.mahalanobis(new), expected, rtol=1e-8)


def test_power_zero_is_euclidean_on_standardised_columns():
    X = draw()
    Z = StandardScaler().fit_transform(X)
    for scatter in (None, LedoitWolf()):
        d2 = PartialWhitening(scatter, power=0).fit(X).mahalanobis(X)
        np.testing.assert_allclose(d2 / d2[0], (Z**2).sum(axis=1) / (Z[0] ** 2).sum(), rtol=1e-10)
    np.testing.assert_allclose(
        PartialWhitening(power=0).fit(X).mahalanobis(X), (Z**2).sum(axis=1), rtol=1e-10
    )


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_wide_rows_live_on_their_span(power):
    X, new = draw(12, 30), draw(9, 30, seed=1)
    fitted = PartialWhitening(power=power).fit(X)
    M = reference.metric(np.cov(X.T, ddof=0), power)
    assert fitted.rank_ == fitted.eigenvalues_.size == 11
    np.testing.assert_allclose(
        fitted.mahalanobis(new), reference.distances(new, X.mean(axis=0), M), rtol=1e-7
    )
    assert not fitted.whitener_.off_subspace(X, fitted.location_).any()
    assert fitted.whitener_.off_subspace(new, fitted.location_).all()


@pytest.mark.parametrize("power", POWERS)
def test_wide_rows_with_a_ridge(power):
    X, new = draw(12, 30), draw(9, 30, seed=1)
    sd = X.std(axis=0)
    fitted, plain = PartialWhitening(LedoitWolf(), power=power).fit(X), LedoitWolf().fit(X / sd)
    expected = reference.distances(new / sd, plain.location_, reference.metric(plain.covariance_, power))
    c = np.diagonal(plain.covariance_)[0] ** (
        1.0 - power
    )  # the twin takes the correlation scale, one factor here
    np.testing.assert_allclose(fitted.mahalanobis(new), expected * c, rtol=1e-8)
    assert fitted.rank_ == 30
    assert fitted.null_weights_.size == 30


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_very_wide_rows_form_no_square_matrix():
    X = np.random.default_rng(0).normal(size=(15, 4000))
    for scatter in (EmpiricalCovariance(), LedoitWolf()):
        tracemalloc.start()
        fitted = PartialWhitening(scatter).fit(X)
        d2 = fitted.mahalanobis(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert np.isfinite(d2).all()
        assert np.isfinite(fitted.scores_).all()
        assert peak < 8 * 4000**2 / 8


@pytest.mark.parametrize("shape", [(40, 6), (8, 30)])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_columns_without_variance_do_not_matter(shape):
    X, new = draw(*shape), draw(9, shape[1], seed=1)
    alone = PartialWhitening().fit(X)
    constant, other = np.full((len(X), 2), 3.0), np.random.default_rng(2).normal(size=(9, 2))
    both = PartialWhitening().fit(np.hstack([X, constant]))
    assert both.power_ == alone.power_
    np.testing.assert_allclose(both.mahalanobis(np.hstack([new, other])), alone.mahalanobis(new), rtol=1e-6)
    assert both.whitener_.off_subspace(np.hstack([new, other]), both.location_).all()


def test_a_column_that_repeats_others_warns_at_the_caller():
    X = draw()
    with pytest.warns(RankDeficientWarning) as caught:
        fitted = PartialWhitening(power=0.5).fit(np.column_stack([X, X[:, 0] + X[:, 1]]))
    assert caught[0].filename == __file__
    assert fitted.rank_ == 4


# The criterion.


@pytest.mark.parametrize("k", [1, 5, None])
def test_scores_are_the_twin_s(k):
    X = draw(40)
    fitted = PartialWhitening(powers=[0.9, 0.0, 0.4], n_neighbors=k).fit(X)
    assert fitted.powers_.tolist() == [0.0, 0.4, 0.9]
    expected = [reference.score(X, np.cov(X.T, ddof=0), power, k or 6) for power in fitted.powers_]
    np.testing.assert_allclose(fitted.scores_, expected, rtol=1e-9)
    assert fitted.power_ == fitted.powers_[fitted.best_index_] == fitted.powers_[np.argmax(expected)]


def test_one_normal_law_is_whitened_and_two_far_modes_are_not():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(600, 3)) @ [[1, 0.95, 0.9], [0, 0.3, 0.2], [0, 0, 0.2]]
    two = rng.normal(size=(300, 3)) + 20.0 * rng.integers(
        2, size=(300, 1)
    )  # the covariance is that of the modes
    assert PartialWhitening().fit(one).power_ >= 0.8
    assert PartialWhitening().fit(two).power_ <= 0.2


def test_repeated_rows_count_once():
    X = draw(40)
    fixed = FixedScatter("median", covariance=np.cov(X.T))
    once, thrice = (PartialWhitening(fixed).fit(rows) for rows in (X, np.vstack([X, X, X])))
    np.testing.assert_allclose(thrice.scores_, once.scores_, rtol=1e-12)


def test_the_sample_of_rows_follows_the_seed():
    X = draw(300)
    a, b, c = (PartialWhitening(max_samples=60, random_state=seed).fit(X).scores_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c, rtol=1e-3)
    whole = PartialWhitening(max_samples=300, random_state=0).fit(X)
    np.testing.assert_array_equal(whole.scores_, PartialWhitening(random_state=1).fit(X).scores_)


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_nothing_to_choose_by():
    same = PartialWhitening().fit(np.ones((5, 3)))
    assert same.scores_ is None
    assert same.rank_ == 0
    assert (
        PartialWhitening().fit(draw(2, 3)).power_ == 1.0
    )  # one direction: all powers tie, and whitening wins


# Transformations.

KINDS = {
    "translation": lambda X, rng: X + 10.0 * rng.normal(size=X.shape[1]),
    "permutation": lambda X, rng: X[:, rng.permutation(X.shape[1])],
    "scale": lambda X, rng: X * 1e-8,
    "columns": lambda X, rng: X * 10.0 ** rng.integers(-8, 9, size=X.shape[1]),
    "orthogonal": lambda X, rng: X @ np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0],
    "affine": lambda X, rng: X @ rng.normal(size=(X.shape[1],) * 2),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scatter", [None, LedoitWolf(), MinCovDet(method="deterministic")])
@pytest.mark.parametrize("powers", [(0.2, 0.6), (0.5,)])
def test_distances_change_as_declared(scatter, powers, kind):
    X, make = draw(), PartialWhitening(scatter, powers=powers)
    Y = KINDS[kind](X, np.random.default_rng(3))
    before, after = clone(make).fit(X).mahalanobis(X), clone(make).fit(Y).mahalanobis(Y)
    assert np.allclose(after, before, rtol=1e-6) == (kind in make.equivariances)


def test_unknown_scatters_declare_nothing():
    assert PartialWhitening(skcov.LedoitWolf()).equivariances == frozenset()
    assert PartialWhitening(FixedScatter()).equivariances == frozenset()


# Laws.


def test_refits_of_a_law_keep_the_power_and_those_that_judge_left_out_rows_choose_anew():
    X = draw()
    fitted = make_pipeline(StandardScaler(), PartialWhitening(powers=[0.2, 0.3], random_state=0)).fit(X)
    assert _template.template(fitted)[-1].power == fitted[-1].power_
    assert _template.template(fitted, choices=False)[-1].power == "auto"
    sketch = Sketched(PartialWhitening(random_state=0), n_components=2, random_state=0).fit(X)
    assert _template.template(sketch).scatter.power == sketch.scatter_.power_


def test_laws_draw_rows_of_the_covariance_and_not_of_the_metric():
    X = draw()
    fitted = PartialWhitening(power=0.3).fit(X)
    rows = _generated.whitener_of(fitted, facts(fitted))
    np.testing.assert_allclose(rows.covariance, np.cov(X.T, ddof=0), rtol=1e-8)
    assert not np.allclose(fitted.covariance_, rows.covariance, rtol=0.1)


def test_auto_resamples_and_the_closed_law_disclaims():
    X = draw(120)
    fitted = PartialWhitening(power=0.3).fit(X)
    assert isinstance(select_null(fitted, X), BootstrapNull)
    with pytest.warns(CalibrationWarning, match="PartialWhitening"):
        NormalTheoryNull().fit(fitted, X, fitted.mahalanobis(X))
    robust = PartialWhitening(MinCovDet(method="deterministic"), power=0.3).fit(X)
    assert select_null(robust, X).kind == "parametric"
    np.testing.assert_array_equal(robust.support_, robust.scatter_.support_)


def test_levels_on_normal_rows():
    rng = np.random.default_rng(5)
    A = np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(range(4), range(4))))
    train, new, law = [], [], []
    for _ in range(4):
        X, Y = rng.normal(size=(100, 4)) @ A.T, rng.normal(size=(1000, 4)) @ A.T
        fitted = MahalanobisDetector(PartialWhitening(powers=[0, 0.5]), alpha=0.05).fit(X)
        train.append(np.mean(fitted.labels_ == -1))
        new.append(np.mean(fitted.predict(Y) == -1))
        closed = WeightedChiSquareNull().fit(fitted.estimator_, X, None).new_dist_
        law.append(np.mean(closed.sf(fitted.mahalanobis(Y)) <= 0.05))
    assert 0.03 < np.mean(train) < 0.07
    assert 0.03 < np.mean(new) < 0.07
    assert 0.03 < np.mean(law) < 0.08  # of many rows


# A scatter as the others.


def test_neighbours_in_a_pipeline():
    X = draw()
    near = make_pipeline(PartialWhitening(random_state=0), NearestNeighbors(n_neighbors=5)).fit(X)
    Z = near[0].transform(X)
    distance, _ = near[-1].kneighbors(Z)
    brute = np.sort(np.linalg.norm(Z[:, None] - Z, axis=2), axis=1)[:, :5]
    np.testing.assert_allclose(distance, brute, atol=1e-6 * brute.max())


def test_float32_and_pickle():
    X = draw().astype(np.float32)
    fitted = PartialWhitening(random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(fitted))
    assert fitted.mahalanobis(X).dtype == fitted.transform(X).dtype == np.float32
    np.testing.assert_array_equal(again.mahalanobis(X), fitted.mahalanobis(X))


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"power": 1.5}, ValueError, "between 0"),
        ({"power": "half"}, ValueError, "auto"),
        ({"power": True}, ValueError, "auto"),
        ({"power": 0.5, "powers": [0, 1]}, ValueError, "candidates"),
        ({"powers": []}, ValueError, "powers"),
        ({"powers": "01"}, ValueError, "powers"),
        ({"n_neighbors": 0}, ValueError, "n_neighbors"),
        ({"max_samples": 2.5}, ValueError, "max_samples"),
        ({"scatter": LedoitWolf}, TypeError, r"LedoitWolf\(\)"),
        ({"scatter": make_pipeline(StandardScaler(), LedoitWolf())}, TypeError, "behind the space"),
        ({"scatter": PartialWhitening()}, TypeError, "one power"),
        ({"scatter": Sketched(LedoitWolf(), n_components=1)}, TypeError, "afterwards"),
        ({"scatter": StandardScaler()}, TypeError, "get_precision"),
    ],
)
def test_errors_say_what_to_do(parameters, error, words):
    with pytest.raises(error, match=words):
        PartialWhitening(**parameters).fit(draw())


@parametrize_with_checks([PartialWhitening(random_state=0), PartialWhitening(LedoitWolf(), power=0.5)])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.FmahalWarning")
def test_sklearn(estimator, check):
    check(estimator)
