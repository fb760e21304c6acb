"""What reports and displays say about laws that come from the rows themselves."""

import html
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fmahal import ChiSquareNull, EmpiricalCovariance, LedoitWolf, MahalanobisDetector, MinCovDet
from fmahal.exceptions import CalibrationWarning, RankDeficientWarning
from fmahal.nulls._empirical_law import EmpiricalLaw
from fmahal.nulls.conformal import ConformalNull
from fmahal.nulls.empirical import EmpiricalNull
from fmahal.nulls.resampling import BootstrapNull
from fmahal.nulls.weighted_chi2 import WeightedChiSquareNull
from fmahal.plotting import DistanceDistanceDisplay, DistanceQQDisplay, ToleranceEllipseDisplay
from fmahal.plotting._rows import contributions, cutoff_on_all_rows, judge
from fmahal.report import _fit, _law, detect_report
from fmahal.report._page import percent
from fmahal.report._page import shown as on_one_line
from fmahal.report._words import describe_law, error_words


@pytest.fixture
def no_plots(monkeypatch):
    from fmahal.report import _figures

    monkeypatch.setattr(_figures, "inline_svg", lambda draw, key, label: "<svg></svg>")


def rows_of(n=60, p=3, seed=4):
    X = np.random.default_rng(seed).standard_t(5, size=(n, p))
    X[7] += 8.0
    return X


def fit(null, X, estimator=None, **options):
    return MahalanobisDetector(estimator or EmpiricalCovariance(), null, **options).fit(X)


def boot(**options):
    return BootstrapNull(**({"n_resamples": 99, "random_state": 0} | options))


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S)).split())


@pytest.mark.parametrize(
    ("null", "name"),
    [
        (boot(), "bootstrap law"),
        (ConformalNull(random_state=0), "conformal law"),
        (EmpiricalNull(), "empirical law"),
    ],
)
def test_laws_have_names_for_sentences(null, name, no_plots):
    X = rows_of()
    detector = fit(null, X, alpha=0.05)
    assert _law.law_name(detector.null_.train_dist_, detector.null_) == name
    assert name in text_of(detect_report(detector, X, title="t"))


@pytest.mark.parametrize(
    ("null", "exact"),
    [
        (ConformalNull(random_state=0), True),
        (ConformalNull("full"), True),
        (ConformalNull("jackknife"), False),
        (ConformalNull("cv", cv=5, random_state=0), False),
        (boot(), False),
        (EmpiricalNull(), False),
    ],
)
def test_only_split_and_full_conformal_laws_are_exact(null, exact):
    assert _law.law_is_exact(fit(null, rows_of(), alpha=0.05)) is exact


def test_a_law_of_references_is_described_by_their_number_and_the_error_of_the_cutoff():
    law = EmpiricalLaw(np.random.default_rng(0).chisquare(3, size=(100, 40)))
    assert describe_law(law) == "4,000 reference distances"
    text = describe_law(law, 0.01)
    cutoff, error = re.fullmatch(
        r"4,000 reference distances; cutoff ([\d.]+), standard error ([\d.]+)", text
    ).groups()
    assert float(cutoff) == pytest.approx(law.isf(0.01), rel=1e-3)
    assert float(error) == float(f"{law.standard_error(0.01):.2g}")
    assert describe_law(law, 1e-6) == "4,000 reference distances; cutoff ∞"
    assert "generalised Pareto" in describe_law(EmpiricalLaw(np.arange(1000.0), tail="gpd"))


class TestTooFewReferences:
    """The message is right when what it asks for is enough, and one less is not."""

    def needed(self, text, pattern):
        return int(re.search(pattern, text)[1].replace(",", ""))

    def test_replicates(self):
        X = rows_of()
        with pytest.warns(CalibrationWarning):
            detector = fit(boot(n_resamples=2), X, alpha=1e-3)
        law = detector.null_.train_dist_
        text = _law.too_few(detector.null_, law, 1e-3, _fit.shell_null_setting)
        assert (
            f"with {law.size:,} reference distances the smallest p-value is {1 / (law.size + 1):.3g}" in text
        )
        assert "--null-set tail=gpd" in text
        needed = self.needed(text, r"use --null-set n_resamples=(\d+)")
        assert _law.smallest_pvalue(fit(boot(n_resamples=needed), X).null_.train_dist_) <= 1e-3
        with pytest.warns(CalibrationWarning):
            one_less = fit(boot(n_resamples=needed - 1), X, alpha=1e-3)
        assert _law.smallest_pvalue(one_less.null_.train_dist_) > 1e-3

    def test_replicates_of_the_largest_distance(self):
        X = rows_of()
        null = boot(n_resamples=5, kind="parametric", statistic="max")
        with pytest.warns(CalibrationWarning):
            detector = fit(null, X, alpha=0.05)
        text = _law.too_few(detector.null_, detector.null_.train_dist_, 0.05, _fit.python_setting)
        assert "use n_resamples=19 or tail='gpd'" in text

    @pytest.mark.parametrize(("alpha", "needed"), [(0.01, 100), (0.015, 67)])
    def test_rows(self, alpha, needed):
        with pytest.warns(CalibrationWarning):
            detector = fit(ConformalNull("jackknife"), rows_of(60), alpha=alpha)
        text = _law.too_few(detector.null_, detector.null_.train_dist_, alpha, _fit.python_setting)
        assert f"it takes {needed} rows" in text
        enough = fit(ConformalNull("jackknife"), rows_of(needed), alpha=alpha)
        assert _law.too_few(enough.null_, enough.null_.train_dist_, alpha, _fit.python_setting) is None
        text = _law.too_few(detector.null_, detector.null_.new_dist_, alpha, _fit.python_setting)
        assert f"it takes {needed - 1} calibration rows" in text

    def test_the_report_says_so_first(self, no_plots):
        X = rows_of()
        with pytest.warns(CalibrationWarning):
            detector = fit(ConformalNull("jackknife"), X)
        page = text_of(detect_report(detector, X, title="t"))
        assert (
            page.index("Read this first")
            < page.index("No row can be flagged at level 0.01")
            < page.index("Set-up")
        )

    def test_other_laws_have_no_such_bound(self):
        detector = fit(ChiSquareNull(), rows_of())
        assert _law.too_few(detector.null_, detector.null_.train_dist_, 1e-9, _fit.python_setting) is None
        assert not _law.is_bounded(detector.null_.train_dist_, detector.d2_).any()


def test_p_values_at_their_bound_are_shown_as_bounds(no_plots):
    X = rows_of()
    X[7] += 50.0
    detector = fit(boot(kind="parametric"), X, estimator=MinCovDet(random_state=0))
    law = detector.null_.train_dist_
    assert detector.pvalues_[7] == 1 / (law.size + 1)
    page = detect_report(detector, X, title="t")
    cells = re.findall(r'data-label="p-value" data-value="([^"]+)">([^\n]*)</td>', page)
    for value, shown in cells:
        assert shown.startswith("≤") == (float(value) == 1 / (law.size + 1))
    ranked = fit(EmpiricalNull(), X, alpha=0.05)  # the farthest row is its own reference: 1/n is no bound
    assert not _law.is_bounded(ranked.null_.train_dist_, ranked.d2_).any()


class TestLeaveOneOut:
    @pytest.fixture
    def fitted(self):
        X = rows_of()
        return fit(ConformalNull(random_state=0), X, alpha=0.05), X

    def test_training_rows_are_known_again(self, fitted):
        detector, X = fitted
        rows = judge(detector, X)
        assert rows.training
        assert_array_equal(rows.d2, detector.d2_)
        assert_array_equal(rows.pvalues, detector.pvalues_)
        assert not judge(detector, X + 0.5).training
        assert not judge(detector, X[:30]).training

    def test_contributions_are_those_of_the_fit_without_the_row(self, fitted):
        detector, X = fitted
        parts = contributions(detector, X, detector.d2_)
        assert_allclose(parts.sum(axis=1), detector.d2_, rtol=1e-9)
        for i in (0, 7, 30):
            without = EmpiricalCovariance().fit(np.delete(X, i, axis=0))
            centred = X[i] - without.location_
            assert_allclose(
                parts[i], centred * np.linalg.solve(without.covariance_, centred), rtol=1e-7, atol=0
            )

    def test_new_rows_are_explained_by_the_fit_that_measures_them(self, fitted):
        detector, X = fitted
        new = X[:5] + 1.0
        assert_allclose(contributions(detector, new).sum(axis=1), detector.mahalanobis(new), rtol=1e-9)

    def test_the_words_say_it(self, fitted, no_plots):
        detector, X = fitted
        page = text_of(detect_report(detector, X, title="t"))
        assert "leave-one-out distances: each row is measured from a fit to all the other rows" in page
        assert "for rows that were measured without themselves" in page
        assert "The conformal law is exact for exchangeable rows, whatever their law" in page
        assert "at this level it flags the 3 farthest, in clean data too." in page
        assert "leave-one-out" not in text_of(detect_report(detector, X + 0.5, title="t"))

    def test_distances_from_folds_are_called_so(self, no_plots):
        X = rows_of()
        detector = fit(ConformalNull("cv", cv=5, random_state=0), X, alpha=0.05)
        assert judge(detector, X).training
        page = text_of(detect_report(detector, X, title="t"))
        assert (
            "cross-validated distances: each row is measured from the fit to the folds that it is not in"
            in page
        )
        assert "leave-one-out" not in page

    def test_the_ellipse_separates_the_flagged_rows(self):
        X = rows_of(p=2)
        detector = fit(ConformalNull(random_state=0), X, alpha=0.05)
        cutoff = cutoff_on_all_rows(judge(detector, X))
        own = EmpiricalCovariance().fit(X).mahalanobis(X)
        assert_array_equal(own > cutoff * (1 + 1e-9), detector.labels_ == -1)
        assert cutoff < detector.train_cutoff_

    def test_rows_infinitely_far_are_drawn(self):
        X = rows_of(40)
        X[:, 2] = 0.0
        X[3, 2] = 1.0  # off the subspace of all the others
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankDeficientWarning)
            detector = fit(ConformalNull(random_state=0), X, estimator=EmpiricalCovariance(), alpha=0.05)
        assert np.isinf(detector.d2_).sum() == 1
        page = text_of(detect_report(detector, X, title="t"))
        assert "∞" in page


def test_limits_say_what_resampling_cannot_do(no_plots):
    X = rows_of()
    plain = text_of(detect_report(fit(boot(), X), X, title="t"))
    assert "however many rows are outlying, as a rule about 1.0% of the rows are flagged. With" in plain
    assert "(asymptotically)" in plain
    assert "The laws assume that clean rows are independent and normal" not in plain
    with pytest.warns(CalibrationWarning, match="are missing in the tail"):
        robust = fit(boot(), X, estimator=MinCovDet(random_state=0))
    kept = int(robust.estimator_.support_.sum())
    page = text_of(detect_report(robust, X, title="t"))
    assert f"It draws from the {kept} rows that the robust fit rests on" in page
    more = f"{percent(1 - kept / 60)} of clean rows are flagged in addition to the level"
    assert page.count(f"up to {more}") == 2  # in the verdict and among the limits
    assert "would be flagged" not in page  # no number is expected of a law that is known to be wrong
    assert "Expected by chance – not known" in page
    assert "as a rule about" not in page
    assert (
        "The law resamples these rows, outliers too, and widens with them: as a rule about 0.6 are" in plain
    )
    assert "no bound" not in plain
    shrunk = text_of(detect_report(fit(boot(), X, estimator=LedoitWolf()), X, title="t"))
    assert (
        shrunk.count("(no bound for a shrunk scatter, which flags many more where its law does not fit") == 2
    )
    page = text_of(detect_report(fit(boot(kind="parametric"), X), X, title="t"))
    assert "and the bootstrap law of normal rows held, about 0.6 would be flagged" in page
    assert "assumes that clean rows are independent and normal" in page
    share = fit(EmpiricalNull(contamination=0.05), X)
    page = text_of(detect_report(share, X, title="t"))
    assert "no model of clean rows" in page
    assert f"no more than {percent(share.level_)} of them can be flagged" in page


def test_the_set_up_names_the_replicates_and_their_error(no_plots):
    X = rows_of()
    detector = fit(boot(), X, estimator=LedoitWolf(), alpha=0.05)
    page = text_of(detect_report(detector, X, title="t"))
    assert f"Law of new rows {describe_law(detector.null_.new_dist_, 0.05)}" in page
    assert f"Law of training rows {describe_law(detector.null_.train_dist_, 0.05)}" in page
    error = detector.null_.train_dist_.standard_error(0.05)  # rows of the table are training rows
    assert f"squared distance, {error_words(error)} from the number of replicates alone" in page
    ranked = fit(EmpiricalNull(), X, alpha=0.05)
    error = ranked.null_.train_dist_.standard_error(0.05)
    page = text_of(detect_report(ranked, X, title="t"))
    assert f"squared distance, {error_words(error)} from the sampling of the rows" in page


def test_no_number_is_expected_at_a_level_of_which_the_rows_say_nothing(no_plots):
    X = rows_of()
    with pytest.warns(CalibrationWarning, match="too small for a law of 60 rows"):
        detector = fit(boot(), X, estimator=LedoitWolf(), alpha=1e-3)
    page = text_of(detect_report(detector, X, title="t"))
    assert "How many are flagged by chance cannot be told from 60 rows at so small a level." in page
    assert "would be flagged" not in page


def test_a_largest_distance_law_judges_the_rows_together(no_plots):
    X = rows_of()
    detector = fit(boot(kind="parametric", statistic="max"), X, alpha=0.05)
    page = text_of(detect_report(detector, X, title="t"))
    assert "any row at all would be flagged with probability 0.05" in page
    assert "for all rows together" in page


def test_a_contamination_is_the_level(no_plots):
    X = rows_of()
    detector = fit(EmpiricalNull(contamination=0.1), X)
    rows = judge(detector, X)
    assert rows.level == rows.alpha == detector.level_
    assert rows.flagged.sum() == 6


class TestDisplays:
    @pytest.mark.parametrize("null", [boot(), ConformalNull(random_state=0), EmpiricalNull()])
    def test_quantiles_are_finite_and_ordered(self, null):
        detector = fit(null, rows_of(), alpha=0.05)
        display = DistanceQQDisplay.from_estimator(detector)
        assert np.isfinite(display.quantiles).all()
        assert (np.diff(display.quantiles[np.argsort(display.d2, kind="stable")]) >= 0).all()
        assert all(np.isfinite(edge).all() for edge in display.band)
        assert display.cutoff_line_ is not None
        display.figure_.canvas.draw()

    def test_an_infinite_cutoff_is_not_drawn(self):
        X = rows_of(p=2)
        with pytest.warns(CalibrationWarning):
            detector = fit(ConformalNull("jackknife"), X)
        assert detector.train_cutoff_ == np.inf
        display = DistanceQQDisplay.from_estimator(detector, X)
        assert display.cutoff_line_ is None
        display.figure_.canvas.draw()
        display = DistanceDistanceDisplay.from_estimator(detector, X)
        assert display.cutoff_line_ is None
        display.figure_.canvas.draw()
        display = ToleranceEllipseDisplay.from_estimator(detector, X)
        assert len(display.ellipses_) == 1  # the reference alone
        display.figure_.canvas.draw()

    def test_a_few_references_do_not_break_the_picture(self):
        d2 = np.random.default_rng(0).chisquare(3, size=200)
        display = DistanceQQDisplay.from_distances(d2, EmpiricalLaw([1.0, 2.0, 3.0]), alpha=0.01)
        assert np.isfinite(display.quantiles).all()
        assert display.quantiles.min() >= 1.0
        assert display.quantiles.max() <= 3.0
        display.figure_.canvas.draw()


def test_long_arrays_of_a_law_are_shortened():
    law = on_one_line(WeightedChiSquareNull(weights=np.linspace(1.0, 2.0, 500)))
    assert "..." in law
    assert len(law) < 120
    assert "\n" not in law
