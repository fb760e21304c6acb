"""What reports say about a robust fit: subset, exact fit, competing fit."""

import html
import re
from types import SimpleNamespace

import numpy as np
import pytest

from fmahal import ChiSquareNull, EmpiricalCovariance, MahalanobisDetector, MinCovDet, RobustNull
from fmahal.datasets import load_dataset
from fmahal.exceptions import AmbiguousFitWarning, ExactFitWarning
from fmahal.plotting._rows import judge
from fmahal.report import _fit, detect_report


@pytest.fixture
def no_plots(monkeypatch):
    from fmahal.report import _figures

    monkeypatch.setattr(_figures, "inline_svg", lambda draw, key, label: "<svg></svg>")


class Told(EmpiricalCovariance):
    """A scatter that says of itself what the test sets on the class."""

    robust = True
    scatter_kind = "other"
    said: dict = {}  # noqa: RUF012

    def fit(self, X, y=None):
        super().fit(X)
        self.__dict__.update(self.said)
        return self


def detector_that_says(X, **said):
    kind = type("Told", (Told,), {"said": said})
    return MahalanobisDetector(kind(), ChiSquareNull()).fit(X)


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S)).split())


@pytest.mark.parametrize(
    ("normal", "offset", "text"),
    [
        ([0.0, 1.0, 0.0], 3.0, "b = 3"),
        ([0.0, -1.0, 0.0], -3.0, "b = 3"),
        ([0.0, 0.5**0.5, -(0.5**0.5)], 0.0, "b = 'c d'"),
        ([0.0, -(0.5**0.5), 0.5**0.5], 0.0, "b = 'c d'"),
        ([1.0, 1.0, -1.0], 0.0, "a + b = 'c d'"),
        ([-2.0, -1.0, 0.0], -5.0, "2*a + b = 5"),
        ([2.0, 0.0, -1.0], -4.0, "2*a = 'c d' - 4"),
        ([-2.0, 0.0, 1.0], 4.0, "2*a = 'c d' - 4"),
        ([-1.0, -1.0, 1.0], 0.0, "a + b = 'c d'"),
        ([1.0, np.pi, 0.0], 0.0, "0.31831*a + b = 0"),
        ([1.0, 1.0, 1e-14], 1e-13, "a + b = 0"),
    ],
)
def test_equations(normal, offset, text):
    size = np.ones(3)
    assert _fit.equation(np.array(normal), offset, ["a", "b", "c d"], size) == text


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_terms_are_chosen_in_the_units_of_the_columns(unit):
    # b is measured in a unit that makes its numbers 1 / unit times larger or smaller, its coefficient the inverse.
    normal, size = np.array([1.0, unit, 1e-13]), np.array([1.0, 1 / unit, 1.0])
    text = _fit.equation(normal, 2.0, ["a", "b", "c"], size)
    assert "a" in text
    assert "b" in text
    assert "c" not in text


def test_long_equations_keep_their_largest_terms():
    normal = 1.0 / np.arange(1, 13)
    text = _fit.equation(normal, 1.0, [f"x{j}" for j in range(12)], np.ones(12))
    assert [f"x{j}" in text for j in range(9)] == [True] * 8 + [False]
    assert text.endswith("(and 4 smaller terms)")


@pytest.fixture
def on_a_plane():
    X = np.random.default_rng(0).normal(size=(40, 3)) + 10.0
    X[:30, 2] = X[:30, 0] + X[:30, 1]
    rows = np.arange(40) < 30
    fit = SimpleNamespace(normal=np.array([1.0, 1.0, -1.0]) / 3**0.5, offset=0.0, rows=rows)
    return X, fit


def test_an_exact_fit_is_explained(on_a_plane, no_plots):
    X, fit = on_a_plane
    detector = detector_that_says(X, exact_fit_=fit)
    page = detect_report(
        detector, X, title="t", feature_names=["a", "b", "c"], row_names=range(1, 41),
        warnings=[ExactFitWarning("words of the estimator")],
    )  # fmt: skip
    text = text_of(page)
    assert "Exact fit: 30 of the 40 rows lie on the hyperplane a + b = c." in text
    assert "The 10 rows off it (rows 31, 32, 33, 34, 35, 36, 37, 38, 39 and 40) have p-value 0" in text
    assert "words of the estimator" not in text
    assert text.index("Exact fit") < text.index("Set-up")


def test_new_rows_are_not_named_as_rows_of_the_fit(on_a_plane, no_plots):
    X, fit = on_a_plane
    detector = detector_that_says(X, exact_fit_=fit)
    text = text_of(detect_report(detector, X[:7] + 1.0, title="t"))
    assert "30 of the 40 rows lie on the hyperplane x0 + x1 = x2" in text
    assert "The 10 rows off it have p-value 0" in text


def competing(rows_that_differ=8):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 2))
    X[:rows_that_differ] += 6.0
    keeps = np.arange(40) >= rows_that_differ
    other = SimpleNamespace(
        d2=np.ones(40),
        objective=-1.0,
        share=rows_that_differ / 40,
        location=np.zeros(2),
        covariance=np.eye(2),
    )
    d2 = np.where(keeps, 1.0, 100.0)
    return X, {
        "alternative_": other, "weights_": keeps, "d2_": d2, "objective_": -2.5, "reweight": 0.975
    }  # fmt: skip


def test_a_competing_fit_is_explained_and_drawn():
    X, said = competing()
    detector = detector_that_says(X, **said)
    warning = AmbiguousFitWarning("words of the estimator")
    page = detect_report(detector, X, title="t", row_names=range(1, 41), warnings=[warning])
    text = text_of(page)
    assert "They disagree widely on 20% of the 40 rows (rows 1, 2, 3, 4, 5, 6, 7 and 8)." in text
    assert "has the smaller log-determinant, by 1.5," in text
    assert "method='deterministic'" in text
    assert "words of the estimator" not in text
    assert "The two fits that compete" in text
    assert "Distance by the other fit (not squared)" in page
    assert "The one shown here calls 8 rows outlying, the other 0." in text
    own, others, disputed = _fit.two_verdicts(detector.estimator_)
    assert disputed.tolist() == own.tolist()
    assert own.tolist() == [True] * 8 + [False] * 32
    assert not others.any()


def test_rows_near_the_cutoff_of_both_are_not_disputed():
    X, said = competing()
    said["d2_"][3:8] = 10.0  # the cutoff is 7.4: outlying, but nobody would quarrel over it
    verdicts = _fit.two_verdicts(detector_that_says(X, **said).estimator_)
    assert verdicts.own.sum() == 8
    assert np.flatnonzero(verdicts.disputed).tolist() == [0, 1, 2]


def test_a_fit_that_is_neither_says_nothing(no_plots):
    X, _ = competing()
    detector = detector_that_says(X, exact_fit_=None, alternative_=None)
    text = text_of(detect_report(detector, X, title="t"))
    assert "Exact fit" not in text
    assert "compete" not in text
    assert _fit.fit_facts(detector) == []
    assert _fit.fit_numbers(detector, ["a", "b"]) == {
        "subset": None,
        "exact_fit": None,
        "competing_fit": None,
    }


@pytest.fixture(scope="module")
def hbk():
    X = load_dataset("hbk").data
    return X, MahalanobisDetector(MinCovDet(random_state=0)).fit(X)


def test_the_set_up_of_a_minimum_covariance_determinant(hbk, no_plots):
    X, detector = hbk
    text = text_of(detect_report(detector, X, title="t"))
    assert "Subset h = 39 of 75 rows (52%)" in text
    assert "log-determinant −1.04786" in text
    assert "Correction factors raw 2.368 × 1.128, final 1.078 × 1.005 (consistency × small sample)" in text
    assert "Rows behind the final estimate 61 of 75" in text
    assert "RobustNull(), from a table of simulated fits at these settings" in text
    assert "it comes from the simulated law for rows that took part in the fit" in text
    assert "If the rows were normal and none an outlier, about 0.75 would be flagged." in text


@pytest.mark.parametrize(
    ("method", "name"), [("cerioli", "law of Cerioli"), ("green-martin", "law of Green and Martin")]
)
def test_published_laws_keep_their_name_and_their_rule(hbk, no_plots, method, name):
    X, _ = hbk
    detector = MahalanobisDetector(MinCovDet(random_state=0), RobustNull(method)).fit(X)
    text = text_of(detect_report(detector, X, title="t"))
    assert f"If no row were an outlier and the {name} held, about 0.75 would be flagged." in text
    flagged = judge(detector, X, alpha=0.2).flagged
    assert flagged.tolist() == (detector.set_params(alpha=0.2).labels_ == -1).tolist()
