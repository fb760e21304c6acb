"""Figures: the same bytes each time, looks that stay, helpers that draw what they are given and compute nothing."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "experiments" / "_figures.py").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
pytest.importorskip("matplotlib")

from matplotlib.figure import Figure as Canvas  # noqa: E402

from experiments import _figures as figures  # noqa: E402
from experiments import _looks, _spec  # noqa: E402
from experiments._figures import Figure  # noqa: E402

RANKS = {"mcd": 1.5, "mrcd": 1.9, "ogk": 3.0, "empirical": 3.6}


def drawn(call, *args, size=(4.0, 3.0), **options):
    with figures.style():
        canvas = Canvas(figsize=size, layout="constrained")
        call(canvas if call is figures.draw_critical_difference else canvas.subplots(), *args, **options)
        canvas.draw_without_rendering()
    return canvas.axes[0]


# ------------------------------------------------------------------------------------------------- looks


def test_methods_that_meet_in_a_figure_look_different():
    roles = {role for one in map(_spec.methods, _spec.SCATTER_ROLES) for m in one for role in m.roles}
    for role in sorted(roles):
        looks = {one.name: figures.look(one.name) for one in _spec.methods(role)}
        alike = [pair for pair in combinations(looks, 2) if looks[pair[0]][:2] == looks[pair[1]][:2]]
        known = [pair for pair in alike if set(pair) <= set(_looks._FIXED)]
        assert not known, f"{known}: give them another marker or colour in experiments/_looks.py"


def test_a_look_depends_on_the_name_alone():
    assert figures.look("somebody's estimator") == figures.look("somebody's estimator")
    looks = {figures.look(f"estimator {i}") for i in range(200)}
    assert len(looks) > 100
    assert {one.colour for one in looks} == set(figures.PALETTE)
    assert figures.colour("mcd") == figures.colour("sklearn-mcd")  # an estimator keeps its colour
    assert figures.dash("mcd") != figures.dash("sklearn-mcd")


def test_colours_are_told_apart_in_grey_or_by_marker():
    light = {name: np.dot([0.299, 0.587, 0.114], _rgb(look[0])) for name, look in _looks._FIXED.items()}
    for one, other in combinations(("mcd", "mrcd", "ogk", "empirical", "ledoit-wolf"), 2):
        grey = abs(light[one] - light[other]) > 0.08
        assert grey or figures.marker(one) != figures.marker(other)


def _rgb(hue):
    return [int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)]


# ------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(("kind", "head"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_same_figure_is_the_same_bytes(kind, head):
    def draw(canvas):
        ax = canvas.subplots()
        figures.draw_series(ax, [1, 2, 3], [1.0, 4.0, 2.0], "mcd", low=[0, 3, 1], high=[2, 5, 3])
        figures.legend(ax)

    one = Figure(draw, "", (3.0, 2.0))
    first, again = one.drawn(kind, "e00_a"), one.drawn(kind, "e00_a")
    assert first == again
    assert first.startswith(head)
    assert b"Date" not in first.replace(b"/ModDate", b"Date") or kind != "pdf"


def test_fonts_are_inside_and_dates_are_not():
    def draw(canvas):
        canvas.subplots().set_xlabel("columns $p$")

    content = Figure(draw, "").drawn("pdf")
    assert b"CreationDate" not in content
    assert b"STIXGeneral" in content
    assert b"/Type3" not in content


def test_drawing_leaves_the_settings_of_others_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    Figure(lambda canvas: canvas.subplots(), "").drawn("svg")
    assert dict(mpl.rcParams) == before


# ------------------------------------------------------------------------------------------------- helpers


def test_series_show_what_they_are_given():
    low, high = [0.5, 1.5, 2.5], [1.5, 2.5, 4.0]
    ax = drawn(figures.draw_series, [1, 2, 3], [1.0, 2.0, 3.0], "mcd", low=low, high=high, label="MinCovDet")
    line, band = ax.lines[0], ax.collections[0]
    np.testing.assert_array_equal(line.get_xydata(), [[1, 1], [2, 2], [3, 3]])
    assert (line.get_color(), line.get_marker(), line.get_label()) == (
        figures.colour("mcd"),
        "o",
        "MinCovDet",
    )
    corners = {tuple(point) for point in band.get_paths()[0].vertices}
    assert {(x, y) for ends in (low, high) for x, y in zip((1, 2, 3), ends)} <= corners


def test_intervals_stand_in_the_order_given():
    ax = drawn(
        figures.draw_intervals, ["a", "b"], [1.0, 2.0], [0.5, 1.0], [1.5, 4.0], ["mcd", "ogk"], reference=0.0
    )
    heights = dict(zip([text.get_text() for text in ax.get_yticklabels()], ax.get_yticks()))
    assert heights["a"] > heights["b"]
    spans = {line.get_color(): line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2}
    np.testing.assert_array_equal(spans[figures.colour("ogk")], [1.0, 4.0])


def test_power_laws_show_points_lines_and_exponents():
    law = {"x": [10.0, 100.0], "y": [3.0, 200.0], "exponent": 2.0, "factor": 0.02}
    ax = drawn(figures.draw_power_laws, {"mcd": law, "ogk": {"x": [10.0], "y": [1.0]}}, labels={"mcd": "MCD"})
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    fits = [line for line in ax.lines if line.get_marker() == "None"]
    np.testing.assert_allclose(fits[0].get_xydata(), [[10, 2], [100, 200]])
    assert ax.get_legend_handles_labels()[1] == ["MCD  (2.00)", "ogk"]


def test_a_critical_difference_diagram_joins_the_runs_and_no_others():
    ax = drawn(figures.draw_critical_difference, RANKS, 1.3, size=(6.3, 2.0))
    bars = sorted(tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() > 2)
    assert bars == [(1.5, 1.9), (1.9, 3.0), (3.0, 3.6)]
    length = next(line.get_xdata() for line in ax.lines if line.get_marker() == "|")
    assert length[1] - length[0] == pytest.approx(1.3)
    texts = [text.get_text() for text in ax.texts]
    assert "critical difference 1.30" in texts
    assert "mcd  1.50" in texts  # the better half to the left
    assert "3.60  empirical" in texts
    heights = {line.get_xdata()[0]: line.get_ydata()[0] for line in ax.lines if line.get_linewidth() > 2}
    assert heights[1.5] != heights[1.9] != heights[3.0]  # bars that touch are in different rows


def test_bars_far_apart_share_a_row():
    assert figures._rows_of_bars([(1.0, 2.0), (1.5, 3.0), (2.5, 4.0), (5.0, 6.0)], 0.1) == [0, 1, 0, 0]


def test_a_figures_legend_names_each_series_once():
    with figures.style():
        canvas = Canvas(layout="constrained")
        for ax in canvas.subplots(1, 2):
            figures.draw_series(ax, [1, 2], [1, 2], "mcd")
        found = figures.legend(canvas, columns=2)
    assert [text.get_text() for text in found.get_texts()] == ["mcd"]
