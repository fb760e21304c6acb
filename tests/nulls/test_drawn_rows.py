"""Rows drawn from a shrunk robust covariance: a warning where rows that are left out lie farther than they do."""

import warnings

import numpy as np
import pytest

from fmahal import MRCD, CalibrationWarning, LedoitWolf, MahalanobisDetector, WrappedCovariance
from fmahal.nulls import BootstrapNull


def rows(n, p, *, shared=0.0, outliers=0, seed=0):
    rng = np.random.default_rng(seed)
    X = np.sqrt(shared) * rng.normal(size=(n, 1)) + np.sqrt(1.0 - shared) * rng.normal(size=(n, p))
    X[:outliers, :10] += 6.0
    return X


def flagged(detector, n, p, **law):
    return np.mean(detector.predict(rows(n, p, **law)) == -1)


def test_a_factor_that_all_columns_share_is_told():
    detector = MahalanobisDetector(WrappedCovariance(), alpha=0.05)
    with pytest.warns(
        CalibrationWarning, match=r"too small, most of all of new rows: \d+ % .* rows \(60\) than columns"
    ):
        detector.fit(rows(60, 120, shared=0.3))
    assert flagged(detector, 300, 120, shared=0.3, seed=1) > 0.5  # the warning is true


@pytest.mark.parametrize("outliers", [0, 12])
@pytest.mark.parametrize("scatter", [WrappedCovariance(), MRCD()], ids=["wrapped", "mrcd"])
def test_silent_where_the_law_holds(scatter, outliers):
    with warnings.catch_warnings():
        warnings.simplefilter("error", CalibrationWarning)
        detector = MahalanobisDetector(scatter, alpha=0.05).fit(rows(60, 120, outliers=outliers))
    assert flagged(detector, 300, 120, seed=1) < 0.12


@pytest.mark.parametrize(
    ("scatter", "n", "null"),
    [
        (WrappedCovariance(), 130, "auto"),  # more rows than columns
        (LedoitWolf(), 60, "auto"),  # rows are resampled, not drawn
        (MRCD(), 60, "auto"),  # on the safe side
        (
            WrappedCovariance(),
            9,
            BootstrapNull(20, kind="parametric", random_state=0),
        ),  # too few rows to tell
    ],
    ids=["tall", "ledoit-wolf", "mrcd", "nine rows"],
)
def test_silent_elsewhere(scatter, n, null):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*most of all of new rows")
        MahalanobisDetector(scatter, null, alpha=0.05).fit(rows(n, 120, shared=0.3))
