"""A robust fit that leaves out a separate cluster says so; heavy tails are none."""

import warnings

import numpy as np
import pytest

from fmahal.exceptions import AmbiguousFitWarning
from fmahal.models import MahalanobisDetector
from fmahal.report._fit import alternative_text, two_verdicts
from fmahal.scatter import MinCovDet
from fmahal.scatter._mcd_cluster import separate_cluster


def two_modes(n=300, p=4, share=0.3, apart=8.0, seed=0):
    rng = np.random.default_rng(seed)
    second = np.arange(n) < share * n
    return rng.normal(size=(n, p)) + apart * second[:, None], second


@pytest.mark.parametrize("p", [1, 2, 8])
@pytest.mark.parametrize("method", ["auto", "deterministic"])
def test_a_second_mode_is_reported_with_the_estimate_that_counts_it_in(p, method):
    X, second = two_modes(p=p)
    with pytest.warns(AmbiguousFitWarning, match="separate cluster") as caught:
        fitted = MinCovDet(method=method, random_state=0).fit(X)
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    for words in (f"{100 * fitted.alternative_.share:.0f} % of all rows", "support_fraction=0.9", "mixture"):
        assert words in message
    other = fitted.alternative_
    np.testing.assert_array_equal(other.cluster, second)
    assert other.share == second.mean()
    np.testing.assert_array_equal(other.raw_support, fitted.support_ | second)
    both = X[other.raw_support]
    off, before = (np.linalg.norm(m - both.mean(axis=0)) for m in (other.location, fitted.location_))
    assert off < 0.1 * before
    assert other.d2[second].max() < fitted.d2_[second].min()
    assert other.objective > fitted.objective_


def test_more_rows_kept_silence_it():
    X, _ = two_modes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MinCovDet(support_fraction=0.9, random_state=0).fit(X).alternative_ is None


def test_two_small_clusters_on_either_side():
    """Their mean is that of the bulk: no direction of the mean shows them."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 3))
    X[:90, 0] += 9.0
    X[90:180, 0] -= 9.0
    with pytest.warns(AmbiguousFitWarning, match="separate cluster"):
        fitted = MinCovDet(random_state=0).fit(X)
    found = fitted.alternative_.cluster
    assert found[:90].all() != found[90:180].all()
    assert not found[180:].any()


@pytest.mark.parametrize("law", ["normal", "t5", "t2", "exponential", "lognormal", "uniform"])
@pytest.mark.parametrize("shape", [(60, 2), (200, 8)])
def test_laws_with_one_peak_are_no_clusters(law, shape):
    for seed in range(8):
        rng = np.random.default_rng([seed, *shape])
        draws = {
            "normal": lambda size, rng=rng: rng.normal(size=size),
            "exponential": lambda size, rng=rng: rng.exponential(size=size),
            "lognormal": lambda size, rng=rng: rng.lognormal(size=size),
            "uniform": lambda size, rng=rng: rng.uniform(size=size),
        }
        X = draws.get(law, draws["normal"])(shape)
        if law[0] == "t":
            X = X / np.sqrt(rng.chisquare(int(law[1]), size=(shape[0], 1)))
        fitted = MinCovDet(method="deterministic").fit(X)
        assert fitted.alternative_ is None


def test_a_cluster_below_a_fifth_is_what_robust_fits_are_for():
    X, second = two_modes(share=0.15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = MinCovDet(random_state=0).fit(X)
    assert fitted.alternative_ is None
    assert not fitted.weights_[second].any()
    kept = ~second
    np.testing.assert_array_equal(separate_cluster(X, kept, share=0.1), second)


def test_many_rows_are_looked_at_by_a_sample():
    X, second = two_modes(n=30_000, p=2)
    np.testing.assert_array_equal(separate_cluster(X, ~second), second)


def test_repeated_rows_and_no_rows():
    X, second = two_modes(p=2)
    X[second] = 8.0
    np.testing.assert_array_equal(separate_cluster(X, ~second), second)
    assert separate_cluster(X, np.ones(len(X), dtype=bool)) is None
    assert separate_cluster(X[:, :0], ~second) is None


def test_the_report_says_what_to_do():
    X, second = two_modes()
    with pytest.warns(AmbiguousFitWarning):
        detector = MahalanobisDetector(null="chi2").fit(X)
    text = alternative_text(detector)
    assert "separate cluster of 30" in text
    assert "support_fraction=0.9" in text
    np.testing.assert_array_equal(two_verdicts(detector.estimator_).disputed, second)
