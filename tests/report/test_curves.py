"""The report on curves: its plots, its table, its words."""

import re

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from fmahal import LedoitWolf, MahalanobisDetector, SpectralFilter
from fmahal.plotting._curves import along_time, main_part
from fmahal.report import detect_report
from fmahal.report._curves import are_curves, estimator_words, in_words_of_curves
from fmahal.spaces import L2Space

GRID = np.linspace(0.0, 6.0, 13)


def made(n=40, seed=0):
    X = np.cumsum(np.random.default_rng(seed).normal(size=(n, GRID.size)), axis=1) / 4
    X[5, 6:8] += 5.0
    return X


def fitted(X, scatter=None):
    scatter = scatter or SpectralFilter("truncate", n_components=6)
    return MahalanobisDetector(make_pipeline(L2Space(grid_points=GRID), scatter), "chi2").fit(X)


@pytest.fixture(scope="module")
def page():
    X = made()
    detector = fitted(X)
    names = [f"day {k}" for k in range(len(X))]
    text = detect_report(detector, X, title="Days", row_names=names, call="fmahal detect days.csv --curves")
    return text, detector, X


@pytest.fixture
def no_plots(monkeypatch):
    """Skip the drawing, for tests of words and numbers."""
    from fmahal.report import _curves, _figures

    for module in (_curves, _figures):
        monkeypatch.setattr(module, "inline_svg", lambda *args: "<svg></svg>")


def test_plots_of_curves_come_first(page):
    text, _, _ = page
    titles = re.findall(r"<h3>([^<]*)</h3>", text)
    assert titles[:3] == [
        "The curves, and where they are outlying",
        "How the curves vary",
        "Squared distances against their null law",
    ]
    assert text.count("<svg") == text.count("</svg>") >= 4
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert text.count('style="--names') == 1  # one table
    for key in ("curves", "eigen"):  # a second picture where the first would have to be scrolled
        assert f'id="{key}-narrow-' in text
    assert text.count('<div class="narrow">') == 2


def test_each_row_of_the_table_says_where(page):
    text, detector, X = page
    rows = re.findall(r'<tr[^>]* data-row="(\d+)">(.*?)</tr>', text, flags=re.S)
    assert [int(i) for i, _ in rows] == np.lexsort((-detector.d2_, detector.pvalues_))[: len(rows)].tolist()
    for i, row in rows:
        split = along_time(detector, X[[int(i)]])
        part = main_part(split.parts[0])
        said = re.search(r"<span>(.*?): (\d+(?:\.\d)?)%</span>", row)
        ends = [float(number) for number in said[1].split(" to ")]
        assert ends == sorted({GRID[part.first], GRID[part.last]})
        assert abs(float(said[2]) - 100 * part.share) <= 0.5
        assert 'class="spark"' in row
    assert rows[0][0] == "5"
    assert "2.5 to 3.5" in rows[0][1] or "3" in rows[0][1]


def test_words_are_about_curves(page):
    text, _, _ = page
    body = re.sub(r"<(style|svg)\b.*?</\1>", "", text, flags=re.S)
    prose = re.sub(r"<[^>]+>", " ", body)
    assert not re.search(r"\b[Rr]ows?\b", prose)
    assert "curves</strong>" in text
    assert ">Curve</th>" in text
    assert "on 13 points" in text
    assert "The stretch named in the table is the shortest one" in prose
    assert "L2Space(grid_points=...), SpectralFilter(" in prose


def test_named_points(page):
    _, detector, X = page
    months = [f"m{k}" for k in range(GRID.size)]
    text = detect_report(detector, X, title="t", tick_labels=months)
    assert re.search(r"<span>m[5-8]( to m[5-8])?: ", text)
    assert "d² by point" in text
    assert detect_report(detector, X, title="t", tick_labels=months) == text  # equal input, equal page


def test_nothing_flagged(no_plots):
    X = made()
    detector = fitted(X)
    text = detect_report(detector, X, title="t", alpha=1e-300)
    assert "No curve is flagged" in text
    assert "Farthest curves" in text


def test_components_and_a_robust_comparison(no_plots):
    X = np.random.default_rng(0).normal(size=(30, GRID.size, 2))
    X[3, :5, 1] += 6.0
    detector = fitted(X, LedoitWolf())
    text = detect_report(detector, X, title="t")
    assert "on 13 points, 2 components" in text
    assert re.search(r"component 2: \d+%", text)
    assert "Classical and detector&#39;s distances" in text or "Classical and detector's distances" in text


def test_objects_of_scikit_fda(no_plots):
    skfda = pytest.importorskip("skfda")
    curves = skfda.FDataGrid(made(), GRID)
    detector = MahalanobisDetector(make_pipeline(L2Space(), SpectralFilter("truncate")), "chi2").fit(curves)
    text = detect_report(detector, curves, title="t")
    assert "on 13 points" in text
    basis = curves.to_basis(skfda.representation.basis.BSplineBasis((0, 6), n_basis=7))
    detector = MahalanobisDetector(make_pipeline(L2Space(), SpectralFilter("truncate")), "chi2").fit(basis)
    assert "in a basis of 7 functions" in detect_report(detector, basis, title="t")


def test_helpers():
    assert in_words_of_curves("3 rows; the row; Rows; arrows") == "3 curves; the curve; Curves; arrows"
    X = made()
    assert not are_curves(MahalanobisDetector(LedoitWolf(), "chi2").fit(X))
    assert estimator_words(fitted(X, LedoitWolf()).estimator_) == "L2Space(grid_points=...), LedoitWolf()"
