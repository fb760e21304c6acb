"""Laws of distances from rows that fade: exact for equal weights, in a stated band for others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fmahal import (
    BootstrapNull,
    ConformalNull,
    EmpiricalCovariance,
    MahalanobisDetector,
    NormalTheoryNull,
    Sketched,
    two_sample_test,
)
from fmahal.exceptions import CalibrationWarning, RankDeficientError
from fmahal.nulls import select_null
from fmahal.nulls._forgetting import (
    Profile,
    law_of_training_rows,
    new_law,
    weight_profile,
    weighted_laws,
)
from fmahal.nulls._jackknife import leave_one_out
from fmahal.nulls._moment_bootstrap import fast_moments
from fmahal.nulls.exact import _known_location_laws, _sample_laws
from fmahal.scatter import ScatterFacts

LEVELS = np.array([0.05, 0.01])


def geometric(forgetting, n):
    w = forgetting ** np.arange(n)
    return w / w.sum()


def facts(n, p, known=False, effective=None):
    return ScatterFacts(n, p, 0, known, "empirical", False, False, effective)


@given(st.integers(1, 30), st.integers(2, 300), st.booleans())
def test_equal_weights_give_the_exact_laws(p, more, known):
    n = p + more
    train, new = (_known_location_laws if known else _sample_laws)(facts(n, p, known))
    law = new_law(weight_profile(n, float(n)), p, not known)
    assert law.scale == pytest.approx(new.kwds["scale"], rel=1e-8)
    assert law.df == pytest.approx(n - p + known, rel=1e-8)
    if n > p + 2:
        rows = law_of_training_rows(facts(n, p, known, float(n)))
        q = np.full(n, 0.01)
        np.testing.assert_allclose(rows.isf(q), train.isf(0.01), rtol=1e-6)
        np.testing.assert_allclose(rows.cdf(rows.ppf(q)), 0.01, rtol=1e-8)


@settings(max_examples=40)
@given(st.floats(0.5, 0.9999), st.integers(2, 3000), st.integers(1, 6))
def test_profiles_of_few_nodes_stand_for_all_rows(forgetting, n, p):
    v = geometric(forgetting, n)
    profile = weight_profile(n, 1.0 / (v @ v))
    assert profile.weights.size < 2000
    assert float(profile.counts @ profile.weights) == pytest.approx(1.0)
    p = min(p, n - 1)
    found, all_rows = new_law(profile, p, True), new_law(Profile(v, np.ones(n)), p, True)
    assert found.scale == pytest.approx(all_rows.scale, rel=2e-3)
    assert found.df == pytest.approx(all_rows.df, rel=2e-3)


def sizes(forgetting, p, n, reps, known=False, each=100, seed=0):
    """Shares of clean new rows, and of the oldest and newest training row, beyond their cut-offs."""
    rng = np.random.default_rng(seed)
    v = geometric(forgetting, n)[::-1]
    train, new = weighted_laws(facts(n, p, known, 1.0 / (v @ v)), n)
    cuts = new.isf(LEVELS)
    train_cuts = np.array([train.isf(np.full(n, a))[[0, -1]] for a in LEVELS])
    hits, train_hits = np.zeros(2), np.zeros((2, 2))
    for _ in range(reps):
        X = rng.standard_normal((n, p))
        m = np.zeros(p) if known else v @ X
        D = X - m
        L = np.linalg.cholesky((D.T * v) @ D)
        z = np.linalg.solve(L, np.vstack([rng.standard_normal((each, p)) - m, D[[0, -1]]]).T)
        d2 = np.einsum("ij,ij->j", z, z)
        hits += np.mean(d2[:each] > cuts[:, None], axis=1)
        train_hits += d2[each:] > train_cuts
    return hits / reps, train_hits / reps


@pytest.mark.parametrize(("forgetting", "p", "n"), [(0.9, 2, 100), (0.95, 10, 150), (0.9, 9, 20)])
def test_clean_rows_are_flagged_in_the_stated_band(forgetting, p, n):
    found, train = sizes(forgetting, p, n, reps=1500)
    error = 3.0 * np.sqrt(LEVELS / 1500 / 10)  # new rows of one fit share it
    assert np.all(found <= 1.06 * LEVELS + error)
    assert np.all(found >= 0.75 * LEVELS - error)
    assert np.all(
        np.abs(train - LEVELS[:, None]) <= 0.3 * LEVELS[:, None] + 3 * np.sqrt(LEVELS / 1500)[:, None]
    )


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("p", [2, 10, 40])
@pytest.mark.parametrize("forgetting", [0.9, 0.95, 0.99, 0.999])
def test_the_stated_band(forgetting, p, known):
    effective = (1 + forgetting) / (1 - forgetting)
    if effective <= p + 1:
        pytest.skip("beyond the warning")
    n = int(min(np.ceil(12.0 / (1.0 - forgetting)), 6000)) + 3 * p
    reps = int(np.clip(6e7 / (n * p * max(p, 10)), 200, 4000))
    found, _ = sizes(forgetting, p, n, reps, known, each=400)
    error = 3.0 * np.sqrt(LEVELS / reps / 20)
    assert np.all(found <= 1.06 * LEVELS + error)
    assert np.all(found >= (0.75 if effective >= 2 * p else 0.67) * LEVELS - error)


def share_flagged(forgetting, p, alpha, reps, each=20, seed=0):
    """Shares of clean new rows beyond the cut-off in fits to long streams, and the mean's standard error.

    Given a fit and the direction of a row, its length has a chi law: rare flags need no rare rows.
    """
    rng = np.random.default_rng(seed)
    n = int(12.0 / (1.0 - forgetting)) + 3 * p
    v = geometric(forgetting, n)[::-1]
    cut = float(weighted_laws(facts(n, p, effective=1.0 / (v @ v)), n)[1].isf(alpha))
    found = np.empty(reps)
    for k in range(reps):
        X = rng.standard_normal((n, p))
        m = v @ X
        X -= m
        factor = np.linalg.cholesky((X.T * v) @ X)
        u = rng.standard_normal((each, p))
        u /= np.linalg.norm(u, axis=1)[:, None]
        z = np.linalg.solve(factor, np.vstack([u, m]).T)
        square, cross = np.einsum("ij,ij->j", z, z), z[:, each] @ z[:, :each]
        root = np.sqrt(cross**2 + square[:each] * (cut - square[each]))
        found[k] = special.chdtrc(p, ((cross + root) / square[:each]) ** 2).mean()
    return found.mean(), found.std() / np.sqrt(reps)


@pytest.mark.parametrize(("forgetting", "p", "least"), [(0.6, 2, 1 / 3), (0.9, 4, 1 / 2)])
def test_clean_rows_are_flagged_in_the_stated_band_at_the_level_of_an_alarm(forgetting, p, least):
    found, error = share_flagged(forgetting, p, 0.001, reps=3000)
    assert least * 0.001 - 2 * error <= found <= 0.001 + 2 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forgetting", "p"), [(0.6, 1), (0.6, 2), (0.9, 2), (0.9, 4), (0.9, 9), (0.95, 4), (0.95, 9), (0.95, 19)]
)
def test_the_stated_band_at_the_level_of_an_alarm(forgetting, p):
    found, error = share_flagged(forgetting, p, 0.001, reps=20_000 // p)
    twice = (1 + forgetting) / (1 - forgetting) < 4 * p * (1 - 1e-9)
    assert (1 / 3 if twice else 1 / 2) * 0.001 - 2 * error <= found <= 0.001 + 2 * error


def test_equal_rows_of_the_effective_number_would_not_do():
    v = geometric(0.9, 150)
    law = new_law(Profile(v, np.ones(150)), 10, True)
    plain = new_law(weight_profile(19, 19.0), 10, True)  # as if 19 rows of equal weight
    assert law.df > 1.8 * plain.df
    assert law.scale < 0.9 * plain.scale


def test_normal_theory_null_and_auto():
    X = np.random.default_rng(0).normal(size=(80, 3))
    scatter = EmpiricalCovariance(forgetting=0.95).fit(X)
    d2 = scatter.mahalanobis(X)
    assert isinstance(select_null(scatter, X), NormalTheoryNull)
    null = NormalTheoryNull().fit(scatter, X, d2)
    pvalues = null.train_dist_.sf(d2)
    assert pvalues.shape == (80,)
    assert ((pvalues > 0) & (pvalues < 1)).all()
    v = geometric(0.95, 80)[::-1]
    without = EmpiricalCovariance(forgetting=0.95).fit(X).remove(X[60:61], 0.95**19)
    left_out = without.mahalanobis(X[60:61])[0]
    assert d2[60] == pytest.approx((1 - v[60]) * left_out / (1 + v[60] * left_out))
    assert null.train_dist_.sf(np.full(80, 1e9)).max() == 0.0  # beyond the bound of a training distance
    scaled = make_pipeline(StandardScaler(), EmpiricalCovariance(forgetting=0.95)).fit(X)
    again = NormalTheoryNull().fit(scaled, X, d2)
    assert float(again.new_dist_.isf(0.01)) == float(null.new_dist_.isf(0.01))


def test_auto_takes_a_bootstrap_for_a_sketch_of_rows_that_fade():
    X = np.random.default_rng(4).normal(size=(200, 6))
    for scatter in (
        EmpiricalCovariance(forgetting=0.95),
        EmpiricalCovariance(forgetting=0.95, assume_centered=True),
    ):
        sketch = Sketched(scatter, n_components=2, random_state=0).fit(X)
        for estimator in (sketch, make_pipeline(StandardScaler(), sketch).fit(X)):
            null = select_null(estimator, X)
            assert isinstance(null, BootstrapNull)
            assert null.kind == "parametric"
        with pytest.raises(ValueError, match="NormalTheoryNull is no law of sketched distances"):
            NormalTheoryNull().fit(sketch, X, sketch.mahalanobis(X))


def test_level_of_a_sketch_of_rows_that_fade():
    rng = np.random.default_rng(5)
    train, new = [], []
    for k in range(30):
        sketch = Sketched(EmpiricalCovariance(forgetting=0.95), n_components=2, random_state=k)
        detector = MahalanobisDetector(sketch, alpha=0.05).fit(rng.normal(size=(200, 6)))
        train.append(np.mean(detector.labels_ == -1))
        new.append(np.mean(detector.predict(rng.normal(size=(500, 6))) == -1))
    for found in (train, new):
        error = np.std(found) / np.sqrt(30)
        assert error < 0.01
        assert abs(np.mean(found) - 0.05) <= 3 * error + 0.005


def test_what_is_not_known_is_said():
    X = np.random.default_rng(1).normal(size=(60, 4))
    scatter = EmpiricalCovariance(forgetting=0.9).fit(X)
    null = NormalTheoryNull().fit(scatter, X[:7], None)  # not all rows
    assert np.isfinite(null.new_dist_.isf(0.01))
    with pytest.raises(ValueError, match="7 rows were given, 60 seen"):
        null.train_dist_.sf([1.0])
    fast = EmpiricalCovariance(forgetting=0.5).fit(X)
    with pytest.warns(CalibrationWarning, match="60 rows count like 3 of equal weight"):
        NormalTheoryNull().fit(fast, X, None)
    few = EmpiricalCovariance(forgetting=0.9).fit(X[:6]).remove(X[5:6], 1.0)
    with pytest.raises(RankDeficientError, match="5 training rows span 4"):
        NormalTheoryNull().fit(few, X[:5], None)
    pca = make_pipeline(PCA(2), EmpiricalCovariance(forgetting=0.9)).fit(X)
    with pytest.warns(CalibrationWarning, match="PCA learns"):
        NormalTheoryNull().fit(pca, X, None)


def test_engines_for_equal_weights_are_not_used():
    X = np.random.default_rng(2).normal(size=(40, 2))
    for scatter in (
        EmpiricalCovariance(forgetting=0.9).fit(X),
        EmpiricalCovariance(forgetting=0.9).fit(X).set_params(forgetting=1.0),
    ):
        assert not fast_moments(scatter)
        assert leave_one_out(scatter, X, scatter.mahalanobis(X)) is None
        with pytest.raises(ValueError, match="closed form"):
            ConformalNull("full").fit(scatter, X, scatter.mahalanobis(X))
    scatter.set_params(forgetting=0.9)
    null = BootstrapNull(20, random_state=0).fit(scatter, X, scatter.mahalanobis(X))
    assert null.engine_ == "refit"
    with pytest.raises(ValueError, match="holdout"):
        BootstrapNull(20, holdout=None, random_state=0).fit(scatter, X, scatter.mahalanobis(X))


def test_permutation_test_does_not_see_the_order_of_samples():
    rng = np.random.default_rng(3)
    pvalues = [
        two_sample_test(
            rng.normal(size=(12, 2)),
            rng.normal(size=(12, 2)),
            EmpiricalCovariance(forgetting=0.8),
            n_permutations=19,
            random_state=k,
        ).pvalue
        for k in range(60)
    ]
    assert np.mean(np.array(pvalues) <= 0.2) <= 0.2 + 3 * np.sqrt(0.16 / 60)
