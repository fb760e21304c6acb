"""Ranks among training distances, and the labels of scikit-learn's EllipticEnvelope."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope

from fmahal import EmpiricalCovariance, MahalanobisDetector
from fmahal._registry import nulls
from fmahal.nulls.empirical import EmpiricalNull

DISTANCES = st.lists(st.integers(0, 5).map(float) | st.floats(0, 1e6), min_size=1, max_size=60)


def fitted(d2, contamination=None):
    return EmpiricalNull(contamination).fit(None, None, np.asarray(d2, dtype=float))


def rows(n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_t(3, size=(n, 3)) @ rng.normal(size=(3, 3))


def assert_labels(d2, contamination, new):
    """Compare with the rule of EllipticEnvelope, for training rows and for new rows."""
    null = fitted(d2, contamination)
    offset = np.percentile(-d2, 100.0 * contamination)  # offset_ of EllipticEnvelope
    np.testing.assert_array_equal(null.train_dist_.sf(d2) <= null.level_, -d2 - offset < 0)
    np.testing.assert_array_equal(null.new_dist_.sf(new) <= null.level_, -new - offset < 0)
    assert null.new_dist_.isf(null.level_) == -offset
    np.testing.assert_array_equal(d2 > null.train_dist_.isf(null.level_), -d2 - offset < 0)
    return null


@given(DISTANCES, st.floats(1e-6, 0.5) | st.integers(1, 50).map(lambda k: k / 100))
def test_labels_follow_the_rule_of_the_envelope(distances, contamination):
    d2 = np.array(distances)
    cutoff = -np.percentile(-d2, 100.0 * contamination)
    near = [cutoff, np.nextafter(cutoff, np.inf), np.nextafter(cutoff, -np.inf)]
    assert_labels(d2, contamination, np.concatenate([d2, near, d2 + 0.5, [0.0, 1e9]]))


@pytest.mark.parametrize("n", [20, 50, 101, 105, 200])
@pytest.mark.parametrize("contamination", [0.01, 0.05, 0.1, 0.13, 0.25, 0.5])
def test_labels_of_a_fitted_envelope(n, contamination):
    X, new = rows(n, n), rows(300, 1)
    envelope = EllipticEnvelope(contamination=contamination, random_state=0, support_fraction=0.9).fit(X)
    null = assert_labels(envelope.dist_, contamination, envelope.mahalanobis(new))
    far = envelope.mahalanobis(new)
    np.testing.assert_array_equal(null.new_dist_.sf(far) <= null.level_, envelope.predict(new) == -1)
    # predict measures the training rows anew, and a row right at the cut-off may then fall on either side of it.
    clear = np.abs(envelope.dist_ + envelope.offset_) > 1e-9 * envelope.dist_
    labels = np.where(null.train_dist_.sf(envelope.dist_) <= null.level_, -1, 1)
    np.testing.assert_array_equal(labels[clear], envelope.predict(X)[clear])
    assert np.count_nonzero(~clear) <= 1
    assert np.count_nonzero(labels == -1) == np.ceil(contamination * (n - 1) * (1 - 1e-12))


def test_labels_with_rows_that_are_there_twice():
    X = np.repeat(rows(30, 5), [1, 2, 3] * 10, axis=0)
    envelope = EllipticEnvelope(contamination=0.2, random_state=0, support_fraction=1.0).fit(X)
    d2 = np.round(envelope.dist_, 6)
    assert np.unique(d2).size < d2.size
    assert_labels(d2, 0.2, np.concatenate([d2, d2 + 1e-6]))


@given(DISTANCES)
def test_pvalues_are_ranks(distances):
    d2 = np.array(distances)
    null = fitted(d2)
    ranks = [np.count_nonzero(d2 >= value) for value in d2]
    np.testing.assert_array_equal(null.train_dist_.sf(d2), np.array(ranks) / d2.size)
    np.testing.assert_array_equal(null.new_dist_.sf(d2), (np.array(ranks) + 1) / (d2.size + 1))
    assert not hasattr(null, "level_")


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale_changes_no_label(scale):
    d2, new = np.random.default_rng(0).chisquare(3, size=(2, 101))
    one, other = fitted(d2, 0.1), fitted(d2 * scale, 0.1)
    assert one.level_ == other.level_
    np.testing.assert_array_equal(one.new_dist_.sf(new), other.new_dist_.sf(new * scale))


def test_level_of_an_earlier_fit_goes():
    null = fitted(np.arange(10.0), 0.2)
    assert null.level_
    null.set_params(contamination=None).fit(None, None, np.arange(10.0))
    assert not hasattr(null, "level_")


def test_registered_and_cloned():
    assert type(nulls["empirical"].factory()) is EmpiricalNull
    assert clone(EmpiricalNull(0.3)).contamination == 0.3


@pytest.mark.parametrize("contamination", [0, 0.0, -0.1, 0.51, 1, np.nan, np.inf, "auto", True])
def test_bad_contamination(contamination):
    with pytest.raises(ValueError, match="contamination must be"):
        fitted(np.arange(10.0), contamination)


def test_cutoff_among_infinite_distances():
    d2 = np.array([1.0, 2.0, 3.0, np.inf, np.inf])
    with pytest.raises(ValueError, match="2 of 5 training rows"):
        fitted(d2, 0.1)
    null = fitted(d2, 0.5)
    np.testing.assert_array_equal(null.train_dist_.sf(d2) <= null.level_, [False, False, False, True, True])


@pytest.mark.parametrize("contamination", [0.1, 0.25])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.4}, {"simultaneous": True}])
def test_detector_labels_like_the_envelope(contamination, options):
    X, new = rows(105, 2), rows(400, 3)
    detector = MahalanobisDetector(EmpiricalCovariance(), EmpiricalNull(contamination), **options).fit(X)
    offset = np.percentile(-detector.d2_, 100 * contamination)
    np.testing.assert_array_equal(detector.labels_ == -1, -detector.d2_ < offset)
    assert np.count_nonzero(detector.labels_ == -1) == np.ceil(104 * contamination)
    assert detector.offset_ == offset
    np.testing.assert_array_equal(detector.predict(new) == -1, detector.decision_function(new) < 0)


def test_detector_judges_ranks_by_its_level():
    X = rows(100, 2)
    detector = MahalanobisDetector(EmpiricalCovariance(), "empirical", alpha=0.07).fit(X)
    assert np.count_nonzero(detector.labels_ == -1) == 7
    assert detector.set_params(alpha=0.3).labels_.sum() == 70 - 30
