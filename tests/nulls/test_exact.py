"""The laws in closed form: identities that hold exactly, numbers of R, then Monte Carlo of whole fits."""

import json
import pickle
from types import SimpleNamespace

import numba
import numpy as np
import pytest
import sklearn.covariance as skcov
from scipy import stats

import fmahal
from fmahal.exceptions import CalibrationWarning, RankDeficientError
from fmahal.nulls import ChiSquareNull, NormalTheoryNull
from fmahal.nulls._fisher import fisher_f
from fmahal.nulls.exact import _LAWS

LEVELS = np.array([0.01, 0.1, 0.5, 0.9])
SAMPLE_COVARIANCES = [
    skcov.EmpiricalCovariance(),
    skcov.EmpiricalCovariance(assume_centered=True),
    fmahal.EmpiricalCovariance(),
    fmahal.EmpiricalCovariance(assume_centered=True),
]


def draw(seed, n, p, *, duplicate=False):
    """Correlated normal rows on different scales; perhaps with the first column twice."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) * 10.0 ** rng.integers(-1, 2, size=p)
    return np.column_stack([X, X[:, 0]]) if duplicate else X


def fitted(null, estimator, X):
    estimator = estimator.fit(X)
    d2 = estimator.mahalanobis(X)
    return null.fit(estimator, X, d2), estimator, d2


@pytest.mark.parametrize("estimator", SAMPLE_COVARIANCES, ids=repr)
@pytest.mark.parametrize(("n", "p"), [(5, 3), (12, 1), (40, 7)])
def test_training_law_has_the_mean_of_the_distances(estimator, n, p):
    # The squared training distances sum to a constant, so that their mean is the mean of their law.
    null, _, d2 = fitted(NormalTheoryNull(), estimator, draw(n * p, n, p))
    np.testing.assert_allclose(n * null.train_dist_.mean(), d2.sum(), rtol=1e-9)


@pytest.mark.parametrize("estimator", SAMPLE_COVARIANCES, ids=repr)
@pytest.mark.parametrize(("n", "p"), [(6, 3), (12, 1), (40, 7)])
def test_training_pvalue_is_the_deletion_pvalue(estimator, n, p):
    # A training row judged by the Beta law, and the same row judged as new by a fit without it: one p-value.
    X = draw(n + p, n, p)
    X[0] *= 3
    null, _, d2 = fitted(NormalTheoryNull(), estimator, X)
    deleted, rest, _ = fitted(NormalTheoryNull(), estimator, X[1:])
    np.testing.assert_allclose(
        null.train_dist_.sf(d2[0]), deleted.new_dist_.sf(rest.mahalanobis(X[:1])[0]), rtol=1e-7
    )


@pytest.mark.parametrize("ddof", [0, 1, 3])
@pytest.mark.parametrize("case", ["sample", "known-location"])
def test_divisor_scales_both_laws(case, ddof):
    n, rank = 15, 4
    base, other = (_LAWS[case](SimpleNamespace(n_samples=n, rank=rank, ddof=d)) for d in (0, ddof))
    for law, reference in zip(other, base):
        np.testing.assert_allclose(law.isf(LEVELS), reference.isf(LEVELS) * (n - ddof) / n, rtol=1e-12)


def test_cutoffs_of_r(fixtures_dir):
    # Divisor n - 1, as in R.
    rows = json.loads((fixtures_dir / "cutoffs.json").read_text())
    assert len(rows) > 40
    for row in rows:
        facts = SimpleNamespace(n_samples=row["n"], rank=row["p"], ddof=1)
        train, new = _LAWS["sample"](facts)
        known, _ = _LAWS["known"](facts)
        level = 1 - row["level"]
        np.testing.assert_allclose(train.isf(level), row["beta"], rtol=1e-9)
        np.testing.assert_allclose(new.isf(level), row["F_new"], rtol=1e-9)
        np.testing.assert_allclose(known.isf(level), row["chi2"], rtol=1e-9)


def test_duplicate_columns_change_nothing():
    X = draw(3, 20, 3)
    plain, _, d2 = fitted(NormalTheoryNull(), skcov.EmpiricalCovariance(), X / X.std(axis=0))
    with pytest.warns(fmahal.RankDeficientWarning):
        null, scatter, d2_double = fitted(
            NormalTheoryNull(), fmahal.EmpiricalCovariance(), np.column_stack([X, X[:, 0], X[:, 1]])
        )
    assert scatter.rank_ == 3
    np.testing.assert_allclose(null.train_dist_.sf(d2_double), plain.train_dist_.sf(d2), rtol=1e-7)
    np.testing.assert_allclose(null.new_dist_.isf(LEVELS), plain.new_dist_.isf(LEVELS), rtol=1e-12)


def pvalues_of_fits(estimator, n, p, *, reps, duplicate=False, null=None):
    """p-values of one training row and of one new row, from `reps` independent fits."""
    rng = np.random.default_rng(20240 + n + p)
    out = np.empty((reps, 2))
    law = null
    for r in range(reps):
        X = rng.normal(size=(n + 1, p))
        if duplicate:
            X = np.column_stack([X, X[:, 0]])
        scatter = estimator.fit(X[:n])
        if law is None:
            law = NormalTheoryNull().fit(scatter, X[:n], scatter.mahalanobis(X[:n]))
        d2 = scatter.mahalanobis(X[n - 1 :])
        out[r] = law.train_dist_.sf(d2[0]), law.new_dist_.sf(d2[1])
    return out


def within_binomial_band(pvalues, levels=LEVELS):
    """Whether the share of p-values up to each level is one that a uniform law makes plausible."""
    hits = (pvalues[:, None] <= levels).sum(axis=0)
    law = stats.binom(len(pvalues), levels)
    return np.minimum(law.cdf(hits), law.sf(hits - 1)) > 1e-4


@pytest.fixture
def one_thread():
    """Thousands of tiny calls: waking a second thread would cost more than the work, on a busy machine much more."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("estimator", "n", "p", "duplicate"),
    [
        (skcov.EmpiricalCovariance(), 8, 3, False),
        (fmahal.EmpiricalCovariance(), 8, 3, False),
        (fmahal.EmpiricalCovariance(), 5, 3, False),
        (fmahal.EmpiricalCovariance(), 8, 2, True),
        (skcov.EmpiricalCovariance(assume_centered=True), 7, 3, False),
        (fmahal.EmpiricalCovariance(assume_centered=True), 4, 3, False),
        (fmahal.FixedScatter("mean", covariance=np.eye(3)), 4, 3, False),
        (fmahal.FixedScatter(np.zeros(3), covariance=np.eye(3)), 4, 3, False),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_pvalues_of_normal_rows_are_uniform(estimator, n, p, duplicate):
    pvalues = pvalues_of_fits(estimator, n, p, reps=400, duplicate=duplicate)
    assert within_binomial_band(pvalues[:, 0]).all(), "training rows"
    assert within_binomial_band(pvalues[:, 1]).all(), "new rows"


def test_the_band_rejects_the_wrong_law():
    # The same experiment with the chi-square law: the band must see that it is not exact.
    wrong = SimpleNamespace(train_dist_=stats.chi2(3), new_dist_=stats.chi2(3))
    pvalues = pvalues_of_fits(skcov.EmpiricalCovariance(), 8, 3, reps=400, null=wrong)
    assert not within_binomial_band(pvalues[:, 0]).all()
    assert not within_binomial_band(pvalues[:, 1]).all()


@pytest.mark.parametrize("estimator", SAMPLE_COVARIANCES[::2], ids=repr)
def test_too_few_rows_is_an_error_that_says_why(estimator):
    X = draw(0, 4, 3)
    with pytest.raises(
        RankDeficientError, match=r"4 training rows span 3 dimensions.*constant.*at least two more rows"
    ):
        fitted(NormalTheoryNull(), estimator, X)
    d2 = estimator.fit(X).mahalanobis(X)
    np.testing.assert_allclose(d2, d2[0], rtol=1e-6)  # the constant that the message speaks of


def test_known_location_needs_one_row_less():
    estimator = fmahal.EmpiricalCovariance(assume_centered=True)
    null, _, _ = fitted(NormalTheoryNull(), estimator, draw(0, 4, 3))
    assert null.train_dist_.support() == (0.0, 4.0)
    with pytest.raises(RankDeficientError, match="n <= rank all"):
        fitted(NormalTheoryNull(), estimator, draw(0, 3, 3))


@pytest.mark.parametrize("null", [ChiSquareNull(), NormalTheoryNull()], ids=repr)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_equal_rows_have_no_law(null):
    with pytest.raises(RankDeficientError, match="All 5 training rows are equal"):
        fitted(null, fmahal.EmpiricalCovariance(), np.full((5, 2), 3.0))


@pytest.mark.parametrize(
    "estimator", [fmahal.LedoitWolf(), skcov.OAS(), skcov.MinCovDet(random_state=0)], ids=repr
)
def test_normal_theory_warns_for_another_scatter(estimator):
    with pytest.warns(CalibrationWarning, match=f"{type(estimator).__name__}.*EmpiricalCovariance") as record:
        null, _, _ = fitted(NormalTheoryNull(), estimator, draw(1, 30, 2))
    assert record[0].filename == __file__
    assert null.new_dist_.isf(0.01) > stats.chi2(2).isf(0.01)


def test_chi_square_takes_the_rank_or_the_given_df():
    X = draw(4, 30, 3)
    null, _, _ = fitted(ChiSquareNull(), fmahal.LedoitWolf(), X)
    assert null.df_ == 3
    np.testing.assert_allclose(null.train_dist_.isf(LEVELS), stats.chi2(3).isf(LEVELS), rtol=1e-14)
    null = ChiSquareNull(df=2.5).fit(None, X, None)
    np.testing.assert_allclose(null.new_dist_.isf(LEVELS), stats.chi2(2.5).isf(LEVELS), rtol=1e-14)


@pytest.mark.parametrize("df", [0, -1.0, np.nan, np.inf, "three", True])
def test_bad_df(df):
    with pytest.raises(ValueError, match="df must be a number greater than zero"):
        ChiSquareNull(df=df).fit(None, None, None)


@pytest.mark.parametrize("q", [1 - 1e-9, 0.5, 0.01, 1e-10, 1e-17, 1e-200])
@pytest.mark.parametrize(("n", "p"), [(9, 2), (200, 2), (5000, 60)])
def test_cutoffs_keep_the_tail(n, p, q):
    facts = SimpleNamespace(n_samples=n, rank=p, ddof=0)
    for case in ("sample", "known-location", "known-covariance", "known"):
        train, new = _LAWS[case](facts)
        np.testing.assert_allclose(new.sf(new.isf(q)), q, rtol=1e-9)
        if np.nextafter(train.isf(q), 0) < train.support()[1] * (
            1 - 1e-9
        ):  # rounding rules next to the bound
            np.testing.assert_allclose(train.sf(train.isf(q)), q, rtol=1e-6)


def test_fisher_agrees_with_scipy_where_scipy_is_right():
    q = np.linspace(0.001, 0.999, 21)
    np.testing.assert_allclose(fisher_f(3, 17, scale=2.5).isf(q), stats.f(3, 17, scale=2.5).isf(q), rtol=1e-9)
    x = np.geomspace(1e-3, 1e3, 21)
    np.testing.assert_allclose(fisher_f(3, 17).sf(x), stats.f(3, 17).sf(x), rtol=1e-12)


def test_laws_can_be_pickled():
    null, _, d2 = fitted(NormalTheoryNull(), fmahal.EmpiricalCovariance(), draw(5, 30, 2))
    copy = pickle.loads(pickle.dumps(null))
    np.testing.assert_array_equal(copy.train_dist_.sf(d2), null.train_dist_.sf(d2))
    np.testing.assert_array_equal(copy.new_dist_.isf(LEVELS), null.new_dist_.isf(LEVELS))
