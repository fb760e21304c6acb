"""Figures drawn without a file of them: files, layout and fonts are the matter of test_figures alone."""

import pytest


@pytest.fixture
def panels():
    """Return a function that draws a figure as it is printed, layout apart, and returns its axes with data in them."""

    def draw(figure):
        from matplotlib.figure import Figure as Canvas

        from experiments._figures import style

        with style():
            canvas = Canvas(figsize=figure.size)
            figure.draw(canvas)
            canvas.draw_without_rendering()
        return [ax for ax in canvas.axes if ax.has_data()]

    return draw
