"""What the displays draw is what the detector says; no pixels are compared."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.covariance import MinCovDet
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fmahal import ChiSquareNull, EmpiricalCovariance, LedoitWolf, MahalanobisDetector, NormalTheoryNull
from fmahal.datasets import load_dataset
from fmahal.plotting import DistanceDistanceDisplay, DistanceQQDisplay, ToleranceEllipseDisplay


def contaminated(n=80, p=3, k=6, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, p))
    X[:k] += 8.0
    return X


@pytest.fixture(scope="module")
def fitted():
    X = contaminated()
    return MahalanobisDetector(MinCovDet(random_state=0), ChiSquareNull()).fit(X), X


def offsets(*collections):
    return np.concatenate([c.get_offsets() for c in collections if c is not None])


def rows_of(drawn, values):
    return np.sort(np.asarray(drawn)), np.sort(values)


def test_missing_matplotlib_names_the_extra(monkeypatch, fitted):
    detector, X = fitted
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (
        lambda: DistanceQQDisplay.from_estimator(detector),
        lambda: DistanceDistanceDisplay.from_estimator(detector, X),
        lambda: ToleranceEllipseDisplay.from_estimator(detector, X, features=(0, 1)),
    ):
        with pytest.raises(ImportError, match=r"fmahal\[plot\]"):
            call()


class TestQQ:
    def test_draws_the_training_distances_over_their_quantiles(self, fitted):
        detector, _ = fitted
        display = DistanceQQDisplay.from_estimator(detector)
        drawn = offsets(display.points_, display.flagged_points_)
        assert_array_equal(*rows_of(drawn[:, 1], detector.d2_))
        n = detector.d2_.size
        ranks = np.arange(1, n + 1)
        expected = detector.null_.train_dist_.ppf(stats.beta.median(ranks, n + 1 - ranks))
        assert_allclose(np.sort(drawn[:, 0]), expected, rtol=1e-12)

    def test_order_of_quantiles_is_order_of_distances(self, fitted):
        display = DistanceQQDisplay.from_estimator(fitted[0])
        assert_array_equal(
            np.argsort(display.d2, kind="stable"), np.argsort(display.quantiles, kind="stable")
        )

    def test_flagged_are_the_detectors_labels(self, fitted):
        detector, _ = fitted
        display = DistanceQQDisplay.from_estimator(detector)
        assert_array_equal(
            *rows_of(display.flagged_points_.get_offsets()[:, 1], detector.d2_[detector.labels_ == -1])
        )
        assert_allclose(display.cutoff_line_.get_ydata()[0], detector.train_cutoff_, rtol=1e-12)

    def test_axes_say_squared(self, fitted):
        display = DistanceQQDisplay.from_estimator(fitted[0])
        assert "squared distance" in display.ax_.get_xlabel()
        assert "squared distance" in display.ax_.get_ylabel()
        assert display.figure_ is display.ax_.figure

    def test_training_rows_are_recognised_and_new_rows_follow_the_new_law(self):
        X = contaminated(k=0)
        detector = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull()).fit(X)
        train = DistanceQQDisplay.from_estimator(detector, X)
        new = DistanceQQDisplay.from_estimator(detector, X + 0.5)
        assert "training" in train.ax_.get_xlabel()
        assert "new" in new.ax_.get_xlabel()
        assert train.cutoff == pytest.approx(detector.train_cutoff_, rel=1e-12)
        assert new.cutoff == pytest.approx(detector.cutoff_, rel=1e-12)
        assert_allclose(new.d2, detector.mahalanobis(X + 0.5), rtol=1e-12)
        assert_array_equal(new.flagged, detector.predict(X + 0.5) == -1)

    def test_alpha_changes_cutoff_and_flags_only_here(self, fitted):
        detector, _ = fitted
        display = DistanceQQDisplay.from_estimator(detector, alpha=0.3)
        assert display.cutoff == pytest.approx(stats.chi2(3).isf(0.3), rel=1e-12)
        assert_array_equal(display.flagged, detector.pvalues_ <= 0.3)
        assert detector.alpha == 0.01

    def test_simultaneous_level(self, fitted):
        X = fitted[1]
        detector = MahalanobisDetector(LedoitWolf(), ChiSquareNull(), alpha=0.05, simultaneous=True).fit(X)
        display = DistanceQQDisplay.from_estimator(detector)
        assert display.cutoff == pytest.approx(stats.chi2(3).isf(1 - 0.95 ** (1 / len(X))), rel=1e-9)
        assert_array_equal(display.flagged, detector.labels_ == -1)

    def test_labels_are_the_farthest_row_names(self, fitted):
        detector, X = fitted
        names = [f"row{i}" for i in range(len(X))]
        display = DistanceQQDisplay.from_estimator(detector, row_names=names, n_labels=3)
        farthest = [names[i] for i in np.argsort(-detector.d2_)[:3]]
        assert {a.get_text() for a in display.annotations_} <= set(farthest)
        assert display.annotations_
        assert DistanceQQDisplay.from_estimator(detector, n_labels=0).annotations_ == []

    def test_dollar_signs_and_line_breaks_in_names_draw(self, fitted):
        detector, X = fitted
        names = [f"$x_{{{i}$\nmore" for i in range(len(X))]
        display = DistanceQQDisplay.from_estimator(detector, row_names=names)
        display.figure_.canvas.draw()
        assert display.annotations_

    def test_band_options(self, fitted):
        detector, _ = fitted
        wide = DistanceQQDisplay.from_estimator(detector)
        narrow = DistanceQQDisplay.from_estimator(detector, band="pointwise")
        assert np.all(wide.band[1] < narrow.band[1])
        assert np.all(wide.band[2] > narrow.band[2])
        none = DistanceQQDisplay.from_estimator(detector, band=None)
        assert none.band_ is None
        with pytest.raises(ValueError, match="band must be"):
            DistanceQQDisplay.from_estimator(detector, band="wide")
        with pytest.raises(ValueError, match="confidence"):
            DistanceQQDisplay.from_estimator(detector, confidence=1.0)

    def test_outliers_far_out_switch_to_logarithms(self):
        d2 = np.append(stats.chi2(2).ppf(np.linspace(0.02, 0.98, 50)), 5000.0)
        assert DistanceQQDisplay.from_distances(d2, stats.chi2(2), alpha=0.01).ax_.get_yscale() == "log"
        linear = DistanceQQDisplay.from_distances(d2, stats.chi2(2), alpha=0.01, scale="linear")
        assert linear.ax_.get_yscale() == "linear"
        assert (
            DistanceQQDisplay.from_distances(d2[:-1], stats.chi2(2), alpha=0.01).ax_.get_yscale() == "linear"
        )
        with pytest.raises(ValueError, match="scale"):
            DistanceQQDisplay.from_distances(d2, stats.chi2(2), scale="cubic")

    def test_one_law_a_row_is_mapped_to_one_scale(self, fitted):
        X = fitted[1]

        class PerRow(ChiSquareNull):
            def fit(self, estimator, X, d2):
                super().fit(estimator, X, d2)
                self.train_dist_ = stats.chi2(3, scale=np.linspace(1.0, 2.0, len(d2)))
                return self

        other = MahalanobisDetector(MinCovDet(random_state=0), PerRow()).fit(X)
        display = DistanceQQDisplay.from_estimator(other)
        assert_allclose(display.d2, other.d2_ / np.linspace(1.0, 2.0, len(X)), rtol=1e-6)
        assert_array_equal(display.flagged, other.labels_ == -1)

    def test_infinite_quantiles_are_drawable(self):
        class Empirical:
            sample = np.sort(np.random.default_rng(0).chisquare(2, 19))

            def ppf(self, q):
                k = np.ceil(np.asarray(q) * 20).astype(int)
                return np.where(k > 19, np.inf, self.sample[np.clip(k, 1, 19) - 1])

            def isf(self, q):
                return self.ppf(1 - np.asarray(q))

        display = DistanceQQDisplay.from_distances(np.arange(1.0, 41.0), Empirical())
        assert np.isfinite(display.quantiles).all()
        display.figure_.canvas.draw()

    @pytest.mark.parametrize("bad", [[], [1.0, np.nan], [-1.0, 2.0], [[1.0]]])
    def test_bad_distances(self, bad):
        with pytest.raises(ValueError, match="d2"):
            DistanceQQDisplay.from_distances(bad, stats.chi2(1))

    def test_wrong_number_of_names(self, fitted):
        with pytest.raises(ValueError, match="row_names has 1 entries for 80 rows"):
            DistanceQQDisplay.from_estimator(fitted[0], row_names=["a"])

    @pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
    def test_distances_of_many_columns_fill_the_picture(self, scale):
        d2 = scale * np.sort(stats.chi2(2000).rvs(60, random_state=0))
        ax = DistanceQQDisplay.from_distances(d2, stats.chi2(2000, scale=scale), band=None).ax_
        assert 0.7 * d2[0] < ax.get_xlim()[0] == ax.get_ylim()[0] < d2[0]
        assert d2[-1] < ax.get_ylim()[1]
        near = DistanceQQDisplay.from_distances(
            d2 / 2000 * [0.1, *np.ones(59)], stats.chi2(1, scale=scale)
        ).ax_
        assert near.get_xlim()[0] == near.get_ylim()[0] == 0.0


class TestDistanceDistance:
    def test_draws_square_roots_of_both(self, fitted):
        detector, X = fitted
        display = DistanceDistanceDisplay.from_estimator(detector, X)
        drawn = offsets(display.points_, display.flagged_points_)
        assert_allclose(*rows_of(drawn[:, 1], np.sqrt(detector.d2_)), rtol=1e-12)
        classical = EmpiricalCovariance().fit(X).mahalanobis(X)
        assert_allclose(*rows_of(drawn[:, 0], np.sqrt(classical)), rtol=1e-9)

    def test_cutoffs_are_square_roots_of_the_laws_quantiles(self, fitted):
        detector, X = fitted
        display = DistanceDistanceDisplay.from_estimator(detector, X)
        assert display.cutoff_line_.get_ydata()[0] == pytest.approx(
            np.sqrt(detector.train_cutoff_), rel=1e-12
        )
        classical = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull()).fit(X)
        expected = np.sqrt(classical.train_cutoff_)
        assert display.reference_cutoff_line_.get_xdata()[0] == pytest.approx(expected, rel=1e-9)

    def test_axes_say_not_squared_and_name_the_scatters(self, fitted):
        display = DistanceDistanceDisplay.from_estimator(*fitted)
        assert display.ax_.get_xlabel() == "Distance by EmpiricalCovariance (not squared)"
        assert display.ax_.get_ylabel() == "Distance by MinCovDet (not squared)"

    def test_line_is_y_equals_x(self, fitted):
        display = DistanceDistanceDisplay.from_estimator(*fitted)
        assert_array_equal(display.line_.get_xdata(), display.line_.get_ydata())

    def test_masked_outliers_of_hbk_lie_above_the_line(self):
        data = load_dataset("hbk")
        detector = MahalanobisDetector(MinCovDet(random_state=0), ChiSquareNull()).fit(data.data)
        display = DistanceDistanceDisplay.from_estimator(detector, data.data, row_names=data.row_names)
        assert_array_equal(display.flagged, data.outliers)
        x, y = display.flagged_points_.get_offsets().T
        assert np.all(y > 4 * x)

    def test_fitted_reference_is_used_as_it_is(self, fitted):
        detector, X = fitted
        reference = EmpiricalCovariance().fit(X[10:])
        display = DistanceDistanceDisplay.from_estimator(detector, X, reference=reference)
        assert_allclose(display.reference_d2, reference.mahalanobis(X), rtol=1e-12)

    def test_more_columns_than_rows_needs_another_reference(self):
        X = np.random.default_rng(0).normal(size=(12, 20))
        detector = MahalanobisDetector(LedoitWolf(), ChiSquareNull()).fit(X)
        with pytest.raises(ValueError, match="every EmpiricalCovariance distance is the same"):
            DistanceDistanceDisplay.from_estimator(detector, X)

    def test_pipelines(self, fitted):
        X = fitted[1]
        inside = MahalanobisDetector(make_pipeline(StandardScaler(), LedoitWolf()), ChiSquareNull()).fit(X)
        display = DistanceDistanceDisplay.from_estimator(inside, X)
        assert display.name == "LedoitWolf"
        outside = make_pipeline(
            StandardScaler(), MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull())
        ).fit(X)
        display = DistanceDistanceDisplay.from_estimator(outside, X)
        assert_allclose(display.d2, display.reference_d2, rtol=1e-9)
        assert_allclose(DistanceQQDisplay.from_estimator(outside, X).d2, outside[-1].d2_, rtol=1e-12)

    def test_bad_input(self):
        draw = DistanceDistanceDisplay.from_distances
        with pytest.raises(ValueError, match="one length"):
            draw([1.0, 2.0], [1.0])
        with pytest.raises(ValueError, match="NaN or infinity"):
            draw([1.0, np.nan], [1.0, 2.0])
        with pytest.raises(ValueError, match="negative"):
            draw([1.0, -2.0], [1.0, 2.0])


class TestEllipse:
    def test_two_columns_flagged_rows_are_those_outside(self):
        X = contaminated(p=2)
        detector = MahalanobisDetector(MinCovDet(random_state=0), ChiSquareNull()).fit(X)
        display = ToleranceEllipseDisplay.from_estimator(detector, X)
        curve = display.ellipses_[0].get_xydata()
        assert_allclose(detector.mahalanobis(curve), detector.train_cutoff_, rtol=1e-9)
        classical = EmpiricalCovariance().fit(X)
        law = NormalTheoryNull().fit(classical, X, classical.mahalanobis(X)).train_dist_
        assert_allclose(classical.mahalanobis(display.ellipses_[1].get_xydata()), law.isf(0.01), rtol=1e-9)
        assert_array_equal(
            np.sort(display.flagged_points_.get_offsets()[:, 0]), np.sort(X[detector.labels_ == -1, 0])
        )

    def test_marginal_block_of_more_columns(self, fitted):
        detector, X = fitted
        display = ToleranceEllipseDisplay.from_estimator(detector, X, features=(2, 0))
        location = detector.estimator_.location_[[2, 0]]
        block = detector.estimator_.covariance_[np.ix_([2, 0], [2, 0])]
        centred = display.ellipses_[0].get_xydata() - location
        d2 = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(block), centred)
        assert_allclose(d2, stats.chi2(2).isf(0.01), rtol=1e-9)
        assert_array_equal(display.points, X[:, [2, 0]])
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("x2", "x0")

    @pytest.mark.parametrize("scale", [1e-8, 1e8])
    def test_units_do_not_matter(self, scale):
        X = contaminated(p=2)
        factors = np.array([scale, 1.0])
        one, other = (
            ToleranceEllipseDisplay.from_estimator(
                MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull()).fit(Z), Z
            )
            for Z in (X, X * factors)
        )
        curves = [d.ellipses_[0].get_xydata() for d in (one, other)]
        assert_allclose(curves[1] / factors, curves[0], rtol=1e-7)
        other.figure_.canvas.draw()

    def test_features_by_name_and_bad_features(self, fitted):
        pandas = pytest.importorskip("pandas")
        X = pandas.DataFrame(fitted[1], columns=["a", "b", "c $"], index=[f"r{i}" for i in range(80)])
        detector = MahalanobisDetector(MinCovDet(random_state=0), ChiSquareNull()).fit(X)
        draw = ToleranceEllipseDisplay.from_estimator
        display = draw(detector, X, features=("c $", "a"))
        assert display.feature_names == ["c $", "a"]
        assert display.annotations_[0].get_text().startswith("r")
        display.figure_.canvas.draw()
        with pytest.raises(ValueError, match="choose two"):
            draw(detector, X)
        with pytest.raises(ValueError, match="Unknown feature 'd'"):
            draw(detector, X, features=("a", "d"))
        with pytest.raises(ValueError, match="twice"):
            draw(detector, X, features=("a", 0))
        with pytest.raises(ValueError, match="pair"):
            draw(detector, X, features="ab")

    def test_one_column_is_refused(self):
        X = np.random.default_rng(0).normal(size=(20, 1))
        detector = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull()).fit(X)
        with pytest.raises(ValueError, match="needs two features"):
            ToleranceEllipseDisplay.from_estimator(detector, X)


@pytest.mark.parametrize("shift", [0.0, 50.0])
@pytest.mark.parametrize("p", [1, 2])
def test_no_outliers_and_nothing_but_outliers(p, shift):
    X = np.random.default_rng(1).normal(size=(30, p))
    detector = MahalanobisDetector(EmpiricalCovariance(), NormalTheoryNull(), alpha=1e-6).fit(X)
    rows = X + shift
    displays = [
        DistanceQQDisplay.from_estimator(detector, rows),
        DistanceDistanceDisplay.from_estimator(detector, rows),
    ]
    if p == 2:
        displays.append(ToleranceEllipseDisplay.from_estimator(detector, rows))
    for display in displays:
        empty, full = (display.flagged_points_, display.points_)[:: 1 if shift == 0 else -1]
        assert empty is None
        assert len(full.get_offsets()) == 30
        display.figure_.canvas.draw()


def test_displays_draw_on_given_axes_and_again(fitted):
    detector, X = fitted
    axes = Figure().subplots(1, 3)
    displays = [
        DistanceQQDisplay.from_estimator(detector, ax=axes[0]),
        DistanceDistanceDisplay.from_estimator(detector, X, ax=axes[1]),
        ToleranceEllipseDisplay.from_estimator(detector, X, features=(0, 1), ax=axes[2]),
    ]
    for display, ax in zip(displays, axes):
        assert display.ax_ is ax
        assert display.plot() is display
        assert display.ax_ is not ax


def test_only_fitted_detectors_are_drawn(fitted):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        DistanceQQDisplay.from_estimator(MahalanobisDetector())
    with pytest.raises(TypeError, match="MahalanobisDetector"):
        DistanceQQDisplay.from_estimator(EmpiricalCovariance().fit(fitted[1]))


def test_labels_do_not_overlap(fitted):
    detector, X = fitted
    display = DistanceDistanceDisplay.from_estimator(detector, X, n_labels=6)
    display.figure_.canvas.draw()
    boxes = [a.get_window_extent() for a in display.annotations_]
    texts = [a.get_text() for a in display.annotations_]
    assert len(texts) >= 3
    for i, box in enumerate(boxes):
        for other in boxes[i + 1 :]:
            assert not (box.x0 < other.x1 and other.x0 < box.x1 and box.y0 < other.y1 and other.y0 < box.y1)
