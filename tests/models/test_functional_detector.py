"""Detection of outlying curves: FData and arrays, shortcuts and pipelines, one protocol."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from fmahal import (
    LedoitWolf,
    MahalanobisDetector,
    RobustSpectralFilter,
    RobustSpectralNull,
    SpectralFilter,
)
from fmahal.models.functional import FunctionalMahalanobis
from fmahal.models.functional_detector import FunctionalOutlierDetector
from fmahal.scatter import resolve
from fmahal.spaces import L2Space

GRID = np.linspace(0.0, 2.0, 30)


def brownian(n, seed, n_points=30):
    steps = np.random.default_rng(seed).normal(size=(n, n_points)) / np.sqrt(n_points)
    return np.cumsum(steps, axis=1)


def as_fdata(X, grid=GRID):
    skfda = pytest.importorskip("skfda")
    return skfda.FDataGrid(X, grid)


@pytest.fixture(scope="module")
def curves():
    X = brownian(60, 0)
    X[[3, 11], 12:15] += 4.0
    return X


def test_planted_peaks_are_found_in_every_kind_of_input(curves):
    fitted = FunctionalOutlierDetector().fit(curves)
    assert set(np.argsort(fitted.d2_)[-2:]) == {3, 11}
    assert (fitted.labels_[[3, 11]] == -1).all()
    assert (fitted.labels_ == -1).sum() <= 4
    again = FunctionalOutlierDetector().fit(as_fdata(curves))
    np.testing.assert_allclose(again.d2_, fitted.d2_, rtol=1e-9)  # the length of the domain changes nothing
    np.testing.assert_array_equal(again.labels_, fitted.labels_)
    np.testing.assert_allclose(again.mahalanobis(as_fdata(curves)), fitted.mahalanobis(curves), rtol=1e-9)


@pytest.mark.parametrize("values", [1e-6, 1e6])
@pytest.mark.parametrize("time", [1e-6, 1e6])
def test_units_of_values_and_time_change_no_verdict(curves, values, time):
    law = RobustSpectralNull(10)
    one = FunctionalOutlierDetector(null=law).fit(as_fdata(curves))
    other = FunctionalOutlierDetector(null=law).fit(as_fdata(values * curves, time * GRID))
    np.testing.assert_allclose(other.pvalues_, one.pvalues_, rtol=1e-6)
    np.testing.assert_array_equal(other.labels_, one.labels_)


def test_a_shortcut_stands_for_its_pipeline(curves):
    shortcut = FunctionalMahalanobis("ridge", alpha=0.1)
    by_name = MahalanobisDetector(shortcut, "chi2").fit(curves)
    pipeline = make_pipeline(L2Space(), SpectralFilter("ridge", alpha=0.1))
    by_hand = MahalanobisDetector(pipeline, "chi2").fit(curves)
    np.testing.assert_allclose(by_name.d2_, by_hand.d2_, rtol=1e-12)
    assert not hasattr(shortcut, "pipeline_")  # cloned, as every estimator
    space, scatter = resolve(by_name.estimator_)
    assert isinstance(scatter, SpectralFilter)
    assert isinstance(space.steps[0][1], L2Space)


def test_a_fitted_shortcut_resolves_to_its_fitted_parts(curves):
    metric = FunctionalMahalanobis().fit(curves)
    space, scatter = resolve(metric)
    np.testing.assert_allclose(scatter.mahalanobis(space.transform(curves)), metric.mahalanobis(curves))


def test_curves_off_the_span_of_few_training_curves_have_calibrated_pvalues():
    X, new = brownian(40, 1, 200), brownian(400, 2, 200)
    detector = FunctionalOutlierDetector(FunctionalMahalanobis(), alpha=0.05).fit(X)
    assert 0.01 < np.mean(detector.predict(new) == -1) < 0.12


def test_the_default_detector_of_tables_says_where_curves_go(curves):
    with pytest.raises(TypeError, match="FunctionalOutlierDetector"):
        MahalanobisDetector().fit(as_fdata(curves))


def test_errors_name_curve_and_time(curves):
    holes = curves.copy()
    holes[5, 7] = np.nan
    with pytest.raises(ValueError, match="5"):
        FunctionalOutlierDetector().fit(as_fdata(holes))
    detector = FunctionalOutlierDetector(null=RobustSpectralNull(2)).fit(as_fdata(curves))
    with pytest.raises(ValueError, match="differs"):
        detector.predict(as_fdata(curves, GRID + 1.0))
    with pytest.raises(ValueError, match="alpha"):
        FunctionalOutlierDetector(alpha=2).fit(curves)


def test_clone_and_pickle(curves):
    detector = FunctionalOutlierDetector(
        FunctionalMahalanobis("truncate", n_components=3), "chi2", alpha=0.05
    )
    fitted = clone(detector).fit(as_fdata(curves))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(as_fdata(curves)), fitted.predict(as_fdata(curves)))
    assert FunctionalOutlierDetector(make_pipeline(L2Space(), LedoitWolf())).fit(curves).d2_.shape == (60,)


def test_a_robust_filter_measures_whole_curves(curves):
    metric = FunctionalMahalanobis(scatter=RobustSpectralFilter()).fit(curves)
    assert [name for name, _ in metric.pipeline_.steps] == ["space", "scatter"]
    assert metric.weights_per_curve_[[3, 11]].tolist() == [0.0, 0.0]
    assert metric.eigenfunctions_.shape == (metric.eigenvalues_.size, 30)
