"""The warning about training rows that crowd just beyond the cut-off of a law of normal rows."""

import warnings

import numpy as np
import pytest

from fmahal import EmpiricalCovariance, MahalanobisDetector, MinCovDet
from fmahal.exceptions import CalibrationWarning
from fmahal.models._misfit import MISFIT, warn_of_misfit
from fmahal.nulls import ChiSquareNull, ConformalNull, NormalTheoryNull

SKEWED = np.exp(np.random.default_rng(0).normal(size=(150, 8)))


def robust(null="auto", **parameters):
    return MahalanobisDetector(MinCovDet(random_state=0), null, **parameters)


def said(detector, X):
    """Return how often the fit says that the rows do not suit the law."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detector.fit(X)
    return sum(str(item.message).startswith(MISFIT) for item in caught)


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_skewed_rows_are_said_not_to_suit_the_law(unit):
    with pytest.warns(
        CalibrationWarning, match=r"flagged at level 0.01.*moderately.*ConformalNull"
    ) as caught:
        detector = robust().fit(unit * SKEWED)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    share = np.mean(detector.labels_ == -1)
    assert share > 0.2
    assert f"{100 * share:.0f} % are flagged" in str(caught[0].message)


@pytest.mark.parametrize("alpha", [0.025, 0.05, 0.1])
def test_a_larger_level_hides_nothing(alpha):
    rows = np.exp(0.8 * np.random.default_rng(0).normal(size=(400, 5)))
    assert said(robust(alpha=alpha), rows) == said(robust(), rows) == 1


@pytest.mark.parametrize("null", [ChiSquareNull(), ConformalNull("split", random_state=0)], ids=repr)
def test_laws_that_are_not_those_of_normal_rows_say_nothing(null):
    assert said(robust(null), SKEWED) == 0


def test_normal_rows_say_nothing():
    rng = np.random.default_rng(1)
    for n, p in ((20, 2), (60, 3), (150, 8)):
        X = rng.normal(size=(n, p))
        assert said(robust(alpha=0.05), X) == said(MahalanobisDetector(EmpiricalCovariance()), X) == 0


@pytest.mark.parametrize("how", ["far", "wide"])
def test_gross_outliers_say_nothing(how):
    X = np.random.default_rng(2).normal(size=(150, 8))
    X[:45] = X[:45] * 10.0 if how == "wide" else X[:45] + 10.0 * np.sign(X[:45])
    detector = robust()
    assert said(detector, X) == 0
    assert (detector.labels_[:45] == -1).all()


@pytest.mark.parametrize(("near", "fires"), [(56, False), (64, True)])
def test_shares_that_it_takes(near, fires):
    null = NormalTheoryNull().fit(*fitted())
    cutoff = null.train_dist_.isf(0.01)
    d2 = np.full(400, 0.1 * cutoff)
    d2[:near] = 1.1 * cutoff
    d2[near:120] = 5.0 * cutoff
    pvalues = np.where(d2 > cutoff, 0.001, 0.5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_misfit(null, EmpiricalCovariance(), d2, pvalues, 0.01)
    assert bool(caught) == fires


def fitted():
    X = np.random.default_rng(3).normal(size=(400, 4))
    scatter = EmpiricalCovariance().fit(X)
    return scatter, X, scatter.mahalanobis(X)
