"""Displays of curves: what they draw is what the detector says; arrays, grids, bases and components."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from fmahal import EmpiricalCovariance, LedoitWolf, MahalanobisDetector, MinCovDet, SpectralFilter
from fmahal.inference import functional_contributions
from fmahal.plotting import DistanceDistanceDisplay, EigenfunctionDisplay, FunctionalOutlierDisplay
from fmahal.plotting._curves import as_curves, main_part, number_labels, stretch
from fmahal.spaces import L2Space

N, T = 40, 25
GRID = np.linspace(1.0, 3.0, T) ** 2


def made(d=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (N, T) if d is None else (N, T, d)
    X = np.cumsum(rng.normal(size=shape), axis=1) / 5
    X[3, 10:13] += 5.0
    X[8, 18:21] -= 4.0
    return X


def fitted(X, grid=GRID, scatter=None, null="chi2"):
    return MahalanobisDetector(
        make_pipeline(L2Space(grid_points=grid), scatter or SpectralFilter("truncate")), null
    ).fit(X)


@pytest.fixture(scope="module")
def one():
    X = made()
    return fitted(X), X


class TestOutliers:
    def test_flagged_curves_are_lines_and_the_others_grey(self, one):
        detector, X = one
        display = FunctionalOutlierDisplay.from_estimator(detector, X)
        flagged = np.flatnonzero(detector.labels_ == -1)
        assert {3, 8} <= set(flagged)
        drawn = {int(line.get_label()): line for line in display.lines_}
        assert set(drawn) == set(flagged)
        for i, line in drawn.items():
            assert_allclose(line.get_xdata(), GRID)
            assert_allclose(line.get_ydata(), X[i])
        assert len(display.regular_lines_[0].get_segments()) == N - len(flagged)
        assert_allclose(display.mean_lines_[0].get_ydata(), X.mean(axis=0), atol=1e-12)
        assert display.axes_.shape == (2, 1)
        assert display.ax_ is display.axes_[0, 0]

    def test_the_band_integrates_to_the_squared_distance(self, one):
        detector, X = one
        display = FunctionalOutlierDisplay.from_estimator(detector, X)
        for line, i in zip(display.contribution_lines_, display.contribution_rows, strict=True):
            assert_allclose(np.trapezoid(line.get_ydata(), line.get_xdata()), detector.d2_[i], rtol=1e-9)
        assert display.contribution_rows == list(np.argsort(-detector.d2_)[: len(display.contribution_rows)])

    def test_points_with_names_show_what_each_adds(self, one):
        detector, X = one
        display = FunctionalOutlierDisplay.from_estimator(
            detector, X, tick_labels=[f"p{k}" for k in range(T)]
        )
        line, i = display.contribution_lines_[0], display.contribution_rows[0]
        assert_allclose(line.get_ydata().sum(), detector.d2_[i], rtol=1e-9)
        assert [text.get_text() for text in display.axes_[-1, 0].get_xticklabels()][:2] == ["p0", "p3"]

    def test_smaller_p_values_are_darker(self, one):
        _, X = one
        pvalues = np.full(N, 0.5)
        pvalues[[0, 1, 2]] = 1e-3, 1e-6, 0.0
        display = FunctionalOutlierDisplay.from_predictions(X, pvalues, alpha=0.01)
        colours = {line.get_label(): np.asarray(line.get_color())[:3].sum() for line in display.lines_}
        assert colours["2"] < colours["1"] < colours["0"]
        assert len(display.axes_) == 1  # no contributions were given

    def test_one_curve_of_choice(self, one):
        detector, X = one
        display = FunctionalOutlierDisplay.from_estimator(detector, X, curve=-1)
        assert display.contribution_rows == [N - 1]
        with pytest.raises(ValueError, match=r"no curve 40: X has 40 curves, 0 to 39"):
            FunctionalOutlierDisplay.from_estimator(detector, X, curve=N)

    @pytest.mark.parametrize(
        ("wrong", "error", "words"),
        [
            ({"d2": np.ones(3)}, ValueError, r"d2 has shape \(3,\), expected \(40,\)"),
            ({"mean": np.ones(3)}, ValueError, r"mean has shape \(3,\), expected \(25,\)"),
            ({"alpha": 7.0}, ValueError, "alpha must be a number strictly between 0 and 1"),
            ({"n_labels": -1}, ValueError, "n_labels must be at least 0"),
            ({"n_labels": 2.5}, TypeError, "n_labels must be a whole number"),
            ({"ax": 3}, TypeError, "ax must be matplotlib Axes"),
        ],
    )
    def test_predictions_that_do_not_fit_are_named(self, wrong, error, words):
        given = {"alpha": 0.1, **wrong}
        with pytest.raises(error, match=words):
            FunctionalOutlierDisplay.from_predictions(made(), np.full(N, 0.5), **given)

    @pytest.mark.parametrize("curve", [1.5, "3", True])
    def test_a_curve_is_a_position(self, one, curve):
        with pytest.raises(TypeError, match="curve must be a whole number"):
            FunctionalOutlierDisplay.from_estimator(*one, curve=curve)

    def test_no_outlier(self, one):
        detector, X = one
        display = FunctionalOutlierDisplay.from_estimator(detector, X, alpha=1e-300)
        assert display.lines_ == []
        assert display.colorbar_ is None
        assert display.axes_.shape == (1, 1)

    def test_names_and_axes_inside_given_ones(self, one):
        detector, X = one
        names = [f"curve {i}" for i in range(N)]
        ax = Figure().subplots()
        display = FunctionalOutlierDisplay.from_estimator(detector, X, row_names=names, ax=ax, n_labels=1)
        assert display.figure_ is ax.figure
        assert not ax.axison
        assert [note.get_text() for note in display.annotations_] in (["curve 3"], ["curve 8"])
        axes = Figure().subplots(2, 1)
        assert FunctionalOutlierDisplay.from_estimator(detector, X, ax=axes).ax_ is axes[0]
        with pytest.raises(ValueError, match="2 x 1 axes"):
            FunctionalOutlierDisplay.from_estimator(detector, X, ax=Figure().subplots(1, 3))

    def test_components_have_columns_and_share_the_distance(self):
        X = made(d=2)
        detector = fitted(X)
        display = FunctionalOutlierDisplay.from_estimator(detector, X)
        assert display.axes_.shape == (2, 2)
        k = len(display.contribution_rows)
        areas = [np.trapezoid(line.get_ydata(), line.get_xdata()) for line in display.contribution_lines_]
        assert_allclose(areas[0] + areas[k], detector.d2_[display.contribution_rows[0]], rtol=1e-9)
        assert display.axes_[1, 0].get_ylim() == display.axes_[1, 1].get_ylim()
        assert display.axes_[0, 1].get_ylabel() == "component 2"

    def test_new_curves_by_the_law_of_new_ones(self, one):
        detector, X = one
        display = FunctionalOutlierDisplay.from_estimator(detector, X[:9] + 0.1)
        assert_allclose(display.pvalues, detector.pvalues(X[:9] + 0.1))

    def test_bad_input(self, one):
        _, X = one
        call = FunctionalOutlierDisplay.from_predictions
        good = np.full(N, 0.5)
        with pytest.raises(ValueError, match="surfaces"):
            call(np.zeros((3, 4, 5, 1)), [0.5] * 3, alpha=0.1)
        with pytest.raises(ValueError, match="pvalues must be 40 numbers"):
            call(X, [0.5], alpha=0.1)
        with pytest.raises(ValueError, match="pvalues must be 40 numbers"):
            call(X, good + 1, alpha=0.1)
        with pytest.raises(ValueError, match="Pass alpha"):
            call(X, good)
        with pytest.raises(ValueError, match="flagged has shape"):
            call(X, good, flagged=[True])
        with pytest.raises(ValueError, match="grid_points has shape"):
            call(X, good, alpha=0.1, grid_points=[0, 1])
        with pytest.raises(ValueError, match=r"must increase; point 1 is"):
            call(X, good, alpha=0.1, grid_points=GRID[::-1])
        with pytest.raises(ValueError, match="contributions has shape"):
            call(X, good, alpha=0.1, contributions=X[:2], contribution_rows=[0])
        with pytest.raises(ValueError, match="positions of curves"):
            call(X, good, alpha=0.1, contributions=X[:1], contribution_rows=[N])
        with pytest.raises(ValueError, match="tick_labels has 1 entries"):
            call(X, good, alpha=0.1, tick_labels=["a"])
        bad = X.copy()
        bad[4, 2] = np.nan
        with pytest.raises(ValueError, match=r"Curve 4 has \[nan\] at t = "):
            call(bad, good, alpha=0.1, grid_points=GRID)
        with pytest.raises(ValueError, match="at least two points"):
            call(X[:, :1], good, alpha=0.1)
        with pytest.raises(ValueError, match="one row a curve"):
            call(X[0], good, alpha=0.1)

    def test_units_change_nothing(self, one):
        detector, X = one
        base = FunctionalOutlierDisplay.from_estimator(detector, X)
        for value, time in ((1e-8, 1e6), (1e8, 1e-6)):
            other = fitted(X * value, GRID * time)
            display = FunctionalOutlierDisplay.from_estimator(other, X * value)
            assert [line.get_label() for line in display.lines_] == [line.get_label() for line in base.lines_]
            assert len(display.annotations_) == len(base.annotations_)


class TestEigenfunctions:
    def test_panels_show_the_eigenfunctions(self, one):
        _, X = one
        detector = fitted(X, scatter=SpectralFilter("truncate", n_components=4))
        display = EigenfunctionDisplay.from_estimator(detector, n_deviations=1.5)
        space, scatter = detector.estimator_[0], detector.estimator_[-1]
        phi = space.inverse_transform(scatter.components_)
        mean = X.mean(axis=0)
        assert display.axes_.shape == (1, 3)
        for k, (plus, minus) in enumerate(display.lines_):
            step = 1.5 * np.sqrt(scatter.eigenvalues_[k]) * phi[k]
            assert_allclose(plus.get_ydata(), mean + step, atol=1e-10)
            assert_allclose(minus.get_ydata(), mean - step, atol=1e-10)
            share = scatter.explained_variance_ratio_[k]
            title = display.axes_[0, k].get_title()
            assert abs(float(title.split(", ")[1].split("%")[0]) - 100 * share) <= 0.5
        weights = np.gradient(GRID)
        weights[[0, -1]] = np.diff(GRID)[[0, -1]] / 2
        weights[1:-1] = (GRID[2:] - GRID[:-2]) / 2
        assert_allclose((display.eigenfunctions[:, :, 0] ** 2 * weights).sum(axis=1), 1.0)

    def test_a_scatter_without_eigenvalues_is_decomposed(self, one):
        detector = fitted(one[1], scatter=LedoitWolf())
        display = EigenfunctionDisplay.from_estimator(detector, n_components=2)
        values = np.linalg.eigvalsh(detector.estimator_[-1].covariance_)[::-1][:2]
        assert_allclose(display.eigenvalues, values, rtol=1e-8)

    def test_scores_before_a_robust_scatter_are_turned_by_it(self, one):
        from fmahal import FunctionalMahalanobis
        from fmahal.spaces.spherical import SphericalPCA

        _, X = one
        pipe = make_pipeline(
            L2Space(grid_points=GRID), SphericalPCA(n_components=3), MinCovDet(random_state=0)
        )
        detector = MahalanobisDetector(pipe, "chi2").fit(X)
        display = EigenfunctionDisplay.from_estimator(detector, n_components=9)
        assert_allclose(display.eigenvalues, np.linalg.eigvalsh(detector.estimator_[-1].covariance_)[::-1])
        assert display.axes_.shape == (1, 3)
        metric = FunctionalMahalanobis(scatter=MinCovDet(random_state=0)).fit(X)
        display = EigenfunctionDisplay.from_estimator(metric, n_components=2)
        assert_allclose(display.eigenvalues, metric.eigenvalues_[:2])
        assert_allclose(display.eigenfunctions[:, :, 0], metric.eigenfunctions_[:2], atol=1e-9)
        outliers = FunctionalOutlierDisplay.from_estimator(detector, X)
        assert outliers.mean_lines_  # the centre comes back through both steps

    def test_components_have_rows(self):
        detector = fitted(made(d=2), scatter=SpectralFilter("truncate", n_components=3))
        display = EigenfunctionDisplay.from_estimator(detector, n_components=2)
        assert display.axes_.shape == (2, 2)
        assert len(display.lines_) == 4

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"shares": [0.5]}, r"shares has shape \(1,\), expected \(2,\)"),
            ({"mean": np.full(T, np.nan)}, "mean has nan at position 0"),
            ({"eigenfunctions": np.zeros((0, T)), "eigenvalues": np.zeros(0)}, "eigenfunctions is empty"),
            ({"eigenvalues": [1.0, np.inf]}, "cannot be negative, infinite or NaN"),
            ({"n_deviations": -1.0}, "n_deviations must be positive"),
        ],
    )
    def test_what_does_not_fit_is_named(self, wrong, words):
        given = {"mean": np.zeros(T), "eigenfunctions": np.eye(2, T), "eigenvalues": [2.0, 1.0], **wrong}
        with pytest.raises(ValueError, match=words):
            EigenfunctionDisplay.from_predictions(**given)

    @pytest.mark.parametrize("count", [1.5, "a", True])
    def test_a_count_is_a_whole_number(self, one, count):
        with pytest.raises(TypeError, match="n_components must be a whole number"):
            EigenfunctionDisplay.from_estimator(one[0], n_components=count)

    def test_nested_pipelines(self, one):
        from sklearn.decomposition import PCA

        _, X = one
        nested = make_pipeline(make_pipeline(L2Space(grid_points=GRID), PCA(3)), EmpiricalCovariance()).fit(X)
        flat = make_pipeline(L2Space(grid_points=GRID), PCA(3), EmpiricalCovariance()).fit(X)
        displays = [EigenfunctionDisplay.from_estimator(fit) for fit in (nested, flat)]
        assert_allclose(displays[0].eigenfunctions, displays[1].eigenfunctions)

    def test_bad_input(self, one):
        detector, X = one
        with pytest.raises(TypeError, match="no eigenfunctions"):
            EigenfunctionDisplay.from_estimator(MahalanobisDetector(EmpiricalCovariance()).fit(X))
        with pytest.raises(ValueError, match="n_components must be at least 1"):
            EigenfunctionDisplay.from_estimator(detector, n_components=0)
        with pytest.raises(ValueError, match="n_deviations"):
            EigenfunctionDisplay.from_estimator(detector, n_deviations=0)
        call = EigenfunctionDisplay.from_predictions
        with pytest.raises(ValueError, match="have shapes"):
            call(np.zeros(5), np.zeros((2, 4)), [1.0, 1.0])
        with pytest.raises(ValueError, match="cannot be negative"):
            call(np.zeros(5), np.zeros((1, 5)), [-1.0])
        with pytest.raises(ValueError, match="grid_points has shape"):
            call(np.zeros(5), np.zeros((1, 5)), [1.0], grid_points=[0, 1])
        surface = np.random.default_rng(0).normal(size=(9, 3, 4))
        space = L2Space(grid_points=(np.arange(3.0), np.arange(4.0)))
        flat = MahalanobisDetector(make_pipeline(space, LedoitWolf()), "chi2").fit(surface)
        with pytest.raises(ValueError, match="surfaces"):
            EigenfunctionDisplay.from_estimator(flat)
        with pytest.raises(ValueError, match="surfaces"):
            FunctionalOutlierDisplay.from_estimator(flat, surface[..., None])


class TestTwoDetectors:
    def test_a_second_detector_is_the_reference(self, one):
        X = one[1]
        detector = fitted(X, scatter=LedoitWolf())
        other = fitted(X, scatter=SpectralFilter("truncate", n_components=3))
        display = DistanceDistanceDisplay.from_estimator(detector, X, reference=other)
        assert_allclose(display.reference_d2, other.d2_)
        assert_allclose(display.d2, detector.d2_)
        assert_allclose(display.reference_cutoff, other.train_cutoff_)
        assert display.reference_name == "SpectralFilter"
        assert display.name == "LedoitWolf"

    def test_unfitted_ones_and_pipelines_are_fitted_to_the_curves(self, one):
        detector, X = one
        pipe = make_pipeline(L2Space(grid_points=GRID), SpectralFilter("truncate", n_components=3))
        d2 = fitted(X, scatter=SpectralFilter("truncate", n_components=3)).d2_
        display = DistanceDistanceDisplay.from_estimator(detector, X, reference=pipe)
        assert_allclose(display.reference_d2, d2)
        assert not hasattr(pipe[-1], "location_")  # a clone was fitted
        display = DistanceDistanceDisplay.from_estimator(
            detector, X, reference=MahalanobisDetector(pipe, "chi2")
        )
        assert_allclose(display.reference_d2, d2)

    def test_curves_are_compared_with_a_spectral_filter_by_default(self, one):
        detector, X = one
        display = DistanceDistanceDisplay.from_estimator(detector, X)
        expected = SpectralFilter().fit(detector.estimator_[0].transform(X))
        assert_allclose(display.reference_d2, expected.mahalanobis(detector.estimator_[0].transform(X)))


class TestWithScikitFda:
    @pytest.fixture
    def skfda(self):
        return pytest.importorskip("skfda")

    def test_a_grid_object_gives_what_its_array_gives(self, skfda, one):
        _, X = one
        curves = skfda.FDataGrid(
            X,
            GRID,
            sample_names=[f"s{i}" for i in range(N)],
            argument_names=("hour",),
            coordinate_names=("height",),
        )
        detector = MahalanobisDetector(make_pipeline(L2Space(), SpectralFilter("truncate")), "chi2").fit(
            curves
        )
        display = FunctionalOutlierDisplay.from_estimator(detector, curves)
        plain = FunctionalOutlierDisplay.from_estimator(*one)
        assert_allclose(display.pvalues, plain.pvalues, rtol=1e-6)
        assert {line.get_label() for line in display.lines_} == {f"s{i.get_label()}" for i in plain.lines_}
        assert_allclose(display.contributions, plain.contributions, rtol=1e-6, atol=1e-9)
        assert display.axes_[-1, 0].get_xlabel() == "hour"
        assert display.ax_.get_ylabel() == "height"
        eigen = EigenfunctionDisplay.from_estimator(detector)
        assert_allclose(eigen.mean[:, 0], X.mean(axis=0), atol=1e-9)
        assert eigen.ax_.get_xlabel() == "hour"

    def test_a_basis_object_is_drawn_on_a_fine_grid(self, skfda, one):
        _, X = one
        basis = skfda.representation.basis.BSplineBasis((GRID[0], GRID[-1]), n_basis=8)
        curves = skfda.FDataGrid(X, GRID).to_basis(basis)
        detector = MahalanobisDetector(make_pipeline(L2Space(), LedoitWolf()), "chi2", alpha=0.05).fit(curves)
        display = FunctionalOutlierDisplay.from_estimator(detector, curves, curve=3)
        assert_allclose(display.curves[5, :, 0], curves[5](display.grid_points).ravel())
        line = display.contribution_lines_[0]
        assert_allclose(np.trapezoid(line.get_ydata(), line.get_xdata()), detector.d2_[3], rtol=0.02)
        assert_allclose(display.mean[:, 0], curves.mean()(display.grid_points).ravel(), rtol=1e-6, atol=1e-9)

    def test_irregular_curves_are_drawn_as_smoothed(self, skfda):
        rng = np.random.default_rng(0)
        points = np.tile(np.linspace(0, 1, 12), 20)
        values = np.repeat(rng.normal(size=20), 12) * np.cos(points)
        curves = skfda.FDataIrregular(np.arange(0, 240, 12), points, values, domain_range=(0, 1))
        space = L2Space(basis=skfda.representation.basis.BSplineBasis((0, 1), n_basis=5))
        detector = MahalanobisDetector(make_pipeline(space, LedoitWolf()), "chi2").fit(curves)
        display = FunctionalOutlierDisplay.from_estimator(detector, curves, curve=0)
        assert_allclose(display.curves[0, [0, -1], 0], values[[0, 11]], rtol=1e-3)
        with pytest.raises(ValueError, match="no common grid"):
            as_curves(curves)


class TestMainPart:
    def test_shortest_run_with_half(self):
        part = main_part(np.array([1.0, 0.0, 4.0, 3.0, 0.0, 2.0]))
        assert (part.first, part.last, part.share) == (2, 3, 0.7)
        assert stretch(part, np.arange(6.0)) == "2 to 3"
        assert stretch(main_part(np.eye(6)[1]), np.arange(6.0), list("abcdef")) == "b"

    def test_brute_force(self):
        rng = np.random.default_rng(1)
        for _ in range(50):
            parts = rng.normal(size=9) + 0.4
            total = parts.sum()
            part = main_part(parts)
            if total <= 0:
                assert part is None
                continue
            runs = [(j - i, -parts[i:j].sum(), i) for i in range(9) for j in range(i + 1, 10)]
            length, negative, first = min(run for run in runs if -run[1] >= total / 2 - 1e-12)
            assert (part.first, part.last - part.first + 1) == (first, length)
            assert_allclose(part.share, -negative / total)

    def test_long_curves_are_looked_at_in_pieces(self):
        parts = np.zeros(100_000)
        parts[40_000:40_100] = 1.0
        part = main_part(parts)
        assert part.first <= 40_050
        assert part.last >= 40_049
        assert part.last - part.first < 200

    def test_a_curve_at_the_centre_has_none(self):
        assert main_part(np.zeros(4)) is None
        assert stretch(None, np.arange(4.0)) == ""

    def test_labels_differ(self):
        assert (
            number_labels(np.array([1000.0, 1000.5])) == ["1e+03", "1000.5"]
            or len(set(number_labels(np.array([1000.0, 1000.5])))) == 2
        )


def test_contributions_are_those_of_the_estimator(one):
    detector, X = one
    display = FunctionalOutlierDisplay.from_estimator(detector, X)
    split = functional_contributions(detector, X[display.contribution_rows])
    assert_allclose(display.contributions, split.density)
