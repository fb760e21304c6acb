"""What makes curves in a picture tellable: colours, dashes, names; and short words about contributions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from fmahal import FunctionalMahalanobis, LedoitWolf, MahalanobisDetector, SpectralFilter
from fmahal.inference import functional_contributions
from fmahal.nulls import RobustSpectralNull
from fmahal.plotting import DistanceDistanceDisplay, EigenfunctionDisplay, FunctionalOutlierDisplay
from fmahal.plotting import _curve_axes as axes
from fmahal.scatter import RobustSpectralFilter
from fmahal.spaces import L2Space

N, T = 40, 25


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    X = np.cumsum(rng.normal(size=(N, T)), axis=1) / 5
    X[3, 10:13] += 5.0
    X[8, 18:21] -= 4.0
    X[20, :4] += 4.0
    return X


@pytest.fixture(scope="module")
def detector(X):
    return MahalanobisDetector(make_pipeline(L2Space(), SpectralFilter("truncate")), "chi2", alpha=0.05).fit(
        X
    )


class TestColours:
    def test_they_run_from_the_level_to_the_smallest_p_value_there_is(self):
        scale = axes.pvalue_colours(np.array([5e-4, 5e-4]), 0.05, 5e-4)
        assert_allclose((scale.norm.vmin, scale.norm.vmax), (5e-4, 0.05))
        wide = axes.pvalue_colours(np.array([5e-4]), 0.05)
        assert wide.norm.vmin < 5e-4
        few = axes.pvalue_colours(np.array([0.05, 0.05]), 0.05, 0.05)  # a law of very few values
        assert few.norm.vmin < few.norm.vmax

    def test_the_law_says_which(self, X):
        pipe = make_pipeline(L2Space(), RobustSpectralFilter())
        law = RobustSpectralNull(n_samples=10)
        judged = MahalanobisDetector(pipe, law, alpha=0.05).fit(X)
        display = FunctionalOutlierDisplay.from_estimator(judged, X)
        least = float(judged.null_.train_dist_.sf(np.inf))
        assert display.least_pvalue == (least if least > 0 else None)
        assert judged.pvalues_.min() >= least

    def test_dashes_are_the_same_above_and_below(self, detector, X):
        display = FunctionalOutlierDisplay.from_estimator(detector, X)
        below = {line.get_label(): line for line in display.contribution_lines_}
        above = {line.get_label(): line for line in display.lines_}
        assert len(below) == 3
        for name, line in below.items():
            assert above[name].get_linestyle() == line.get_linestyle()
            assert above[name].get_color() == line.get_color()
            assert above[name].get_linewidth() > 1.5
        assert len({tuple(line._dash_pattern[1] or ()) for line in below.values()}) == 3


class TestNames:
    def test_they_do_not_overlap_and_stand_near_their_curve(self, X):
        wave = np.sin(np.linspace(0, 6, T))
        crowd = np.vstack([0.1 * X[:20], [k * 0.05 + 3 + wave for k in range(5)]])
        pvalues = np.r_[np.full(20, 0.5), np.full(5, 1e-4)]
        display = FunctionalOutlierDisplay.from_predictions(crowd, pvalues, alpha=0.01)
        assert len(display.annotations_) == 5
        display.figure_.canvas.draw()
        boxes = [note.get_window_extent() for note in display.annotations_]
        for k, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:k])
        at = np.linspace(0, 1, T)
        for note in display.annotations_:
            x, y = note.xy
            assert_allclose(y, np.interp(x, at, crowd[int(note.get_text())]), rtol=1e-9)
            assert np.hypot(*note.xyann) < 80  # points

    def test_sample_names_of_curves(self, detector, X):
        skfda = pytest.importorskip("skfda")
        names = [f"station {k}" for k in range(N)]
        curves = skfda.FDataGrid(X, np.linspace(0, 1, T), sample_names=names)
        judged = MahalanobisDetector(make_pipeline(L2Space(), LedoitWolf()), "chi2").fit(curves)
        display = DistanceDistanceDisplay.from_estimator(judged, curves)
        assert display.row_names == names
        bare = skfda.FDataGrid(X, np.linspace(0, 1, T))
        assert DistanceDistanceDisplay.from_estimator(judged, bare).row_names[:2] == ["0", "1"]


def test_one_cutoff_is_called_one():
    one = DistanceDistanceDisplay.from_distances([1.0, 4.0], [1.0, 9.0], cutoff=4.0)
    two = DistanceDistanceDisplay.from_distances([1.0, 4.0], [1.0, 9.0], cutoff=4.0, reference_cutoff=4.0)
    assert one.cutoff_line_.get_label() == "cutoff"
    assert two.cutoff_line_.get_label() == "cutoffs"


def test_a_metric_has_no_law(X):
    metric = FunctionalMahalanobis().fit(X)
    for display in (DistanceDistanceDisplay, FunctionalOutlierDisplay):
        with pytest.raises(TypeError, match=r"pass FunctionalOutlierDetector\(FunctionalMahalanobis"):
            display.from_estimator(metric, X)


def test_eigenfunctions_are_at_most_six(X):
    display = EigenfunctionDisplay.from_estimator(FunctionalMahalanobis().fit(X), n_components=500)
    assert display.axes_.shape == (1, 6)


def test_contributions_have_a_short_repr(detector, X):
    found = functional_contributions(detector, X)
    assert repr(found) == (
        f"TimeContributions(n_samples={N}, points={T}, components=1, domain=(0 to 1), with grid_points, density and "
        "weights)"
    )
