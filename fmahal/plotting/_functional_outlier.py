"""Curves with their outliers, and where along the domain these are outlying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._typing import ArrayLike, FloatArray
from . import _checks, _style
from ._curve_axes import (
    colour_of,
    dash,
    draw_bands,
    label_curves,
    legend_of,
    line_collection,
    one_scale,
    panels,
    pvalue_bar,
    pvalue_colours,
    rank_of,
    set_span,
    write_words,
)
from ._curves import (
    AlongTime,
    Curves,
    along_time,
    as_curves,
    centre_curve,
    chosen_rows,
    curve_space,
    given_split,
    taken,
)
from ._rows import judge, row_labels, top_flagged, unpack


class FunctionalOutlierDisplay:
    """Curves coloured by p-value, the fitted centre, and below them the contributions along the domain.

    Curves that are not flagged are grey. Flagged ones have a colour by p-value, the smaller the darker; the farthest
    carry their names, and dashes that are theirs above and below. The lower axes show, for the farthest flagged curves
    or one of your choice, the squared distance per unit of the domain: the area below such a line is the squared
    distance of its curve, and where the line is high the curve is unusual. Vector-valued curves have a column of axes
    for each component. Build it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    curves : ndarray of shape (n_samples, n_points, n_components)
        Values of the curves on the grid.
    grid_points : ndarray of shape (n_points,)
        The grid.
    pvalues : ndarray of shape (n_samples,)
        p-values.
    flagged : ndarray of bool, shape (n_samples,)
        Curves that are called outliers.
    alpha : float or None, default=None
        Level behind the flags, for the legend and the range of colours.
    mean : ndarray of shape (n_points, n_components) or None, default=None
        The fitted centre.
    contributions : ndarray of shape (k, m, n_components) or None, default=None
        Squared distance per unit of the domain, of k curves.
    contribution_rows : sequence of k int, default=()
        Which curves these are.
    contribution_grid : ndarray of shape (m,) or None, default=None
        Their grid; None is `grid_points`.
    contribution_weights : ndarray of shape (m,) or None, default=None
        Quadrature weights of that grid. With them and `tick_labels`, points that have names, the lower axes show what
        each point adds to the squared distance: density times weight.
    d2 : ndarray of shape (n_samples,) or None, default=None
        Squared distances, by which the farthest curves are found; None takes the smallest p-values.
    least_pvalue : float or None, default=None
        The smallest p-value that the law can give, where the colours end.
    row_names : list of str or None, default=None
        Names of the curves.
    component_names : list of str or None, default=None
        Names of the components, for the vertical axes.
    tick_labels : sequence of n_points str or None, default=None
        Names of the grid points (months, say) instead of numbers.
    argument_name : str, default="t"
        Name of the domain.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (1 or 2, n_components)
        Curves above, contributions below.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Flagged curves, component after component.
    regular_lines_ : list of matplotlib LineCollection
        The other curves, one collection a component.
    mean_lines_ : list of matplotlib Line2D
        The centre, one line a component.
    contribution_lines_ : list of matplotlib Line2D
        Contributions, component after component.
    colorbar_ : matplotlib Colorbar or None
    annotations_ : list of matplotlib Annotation

    See Also
    --------
    EigenfunctionDisplay : Main directions in which the curves vary.
    DistanceDistanceDisplay : The distances of two detectors.

    References
    ----------
    Hyndman, R. J. & Shang, H. L. (2010). Rainbow plots, bagplots, and boxplots for functional data. Journal of
    Computational and Graphical Statistics, 19, 29-45. doi:10.1198/jcgs.2009.08158

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np
    >>> from fmahal.plotting import FunctionalOutlierDisplay
    >>> curves = np.outer([1.0, 1.1, 0.9, 3.0], np.sin(np.linspace(0, 3, 50)))
    >>> display = FunctionalOutlierDisplay.from_predictions(curves, [0.5, 0.4, 0.4, 1e-5], alpha=0.01)
    >>> [line.get_label() for line in display.lines_]
    ['3']
    """

    def __init__(
        self,
        *,
        curves: FloatArray,
        grid_points: FloatArray,
        pvalues: FloatArray,
        flagged: np.ndarray,
        alpha: float | None = None,
        mean: FloatArray | None = None,
        contributions: FloatArray | None = None,
        contribution_rows: Sequence[int] = (),
        contribution_grid: FloatArray | None = None,
        contribution_weights: FloatArray | None = None,
        d2: FloatArray | None = None,
        least_pvalue: float | None = None,
        row_names: list[str] | None = None,
        component_names: list[str] | None = None,
        tick_labels: Sequence[str] | None = None,
        argument_name: str = "t",
    ):
        self.curves = curves
        self.grid_points = grid_points
        self.pvalues = pvalues
        self.flagged = flagged
        self.alpha = alpha
        self.mean = mean
        self.contributions = contributions
        self.contribution_rows = contribution_rows
        self.contribution_grid = contribution_grid
        self.contribution_weights = contribution_weights
        self.d2 = d2
        self.least_pvalue = least_pvalue
        self.row_names = row_names
        self.component_names = component_names
        self.tick_labels = tick_labels
        self.argument_name = argument_name

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: Any,
        *,
        alpha: float | None = None,
        curve: int | None = None,
        grid_points: ArrayLike | None = None,
        row_names: ArrayLike | None = None,
        component_names: Sequence[str] | None = None,
        tick_labels: Sequence[str] | None = None,
        n_labels: int = 5,
        ax: Any = None,
    ) -> FunctionalOutlierDisplay:
        """Draw curves as a fitted detector judges them.

        Parameters
        ----------
        detector : FunctionalOutlierDetector, or MahalanobisDetector of a pipeline that starts with a space of curves
            Fitted.
        X : FDataGrid, FDataBasis, FDataIrregular or array-like of shape (n_samples, n_points[, n_components])
            The training curves (recognised by their distances and judged by the law of training rows) or new ones.
        alpha : float, default=None
            Level; None takes the detector's.
        curve : int, default=None
            Contributions of this curve, counted from 0 or -1; None takes the three farthest flagged ones.
        grid_points : array-like of shape (n_points,), default=None
            Grid of arrays; None takes that of the detector's space.
        row_names : sequence of n_samples names, default=None
            None takes the names in `X`, else numbers from 0.
        component_names : sequence of n_components str, default=None
            None takes those in `X`.
        tick_labels : sequence of n_points str, default=None
            Names of the grid points.
        n_labels : int, default=5
            The farthest flagged curves carry their names, at most this many.
        ax : matplotlib Axes or array of them, default=None
            None makes a new figure; one Axes is divided; an array has the shape of `axes_`.

        Returns
        -------
        FunctionalOutlierDisplay

        Raises
        ------
        ValueError
            The functions are surfaces, there is no such `curve`, or another argument is out of its range.
        TypeError
            `curve` or `n_labels` is no whole number, or `ax` no axes.
        ImportError
            matplotlib is missing.
        """
        _style.require_matplotlib(f"{cls.__name__}.from_estimator")
        rows = judge(detector, X, alpha)
        fitted, X = unpack(detector, X)
        space = curve_space(fitted.estimator_)
        drawn = as_curves(X, grid_points, space, component_names)
        n = rows.d2.size
        chosen = chosen_rows(curve, rows.d2, rows.flagged, n)
        split = None
        if space is not None and len(chosen):
            split = along_time(fitted, taken(X, chosen), rows.d2[chosen] if rows.training else None)
        return cls._of(
            drawn, rows.pvalues, rows.flagged, alpha=rows.alpha, mean=centre_curve(fitted.estimator_, drawn.grid),
            split=split, chosen=chosen, d2=rows.d2, row_names=row_names, tick_labels=tick_labels,
            least_pvalue=rows.least_pvalue,
        ).plot(ax=ax, n_labels=n_labels)  # fmt: skip

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        pvalues: ArrayLike,
        *,
        alpha: float | None = None,
        flagged: ArrayLike | None = None,
        mean: ArrayLike | None = None,
        contributions: Any = None,
        contribution_rows: Sequence[int] = (),
        d2: ArrayLike | None = None,
        grid_points: ArrayLike | None = None,
        row_names: ArrayLike | None = None,
        tick_labels: Sequence[str] | None = None,
        n_labels: int = 5,
        ax: Any = None,
    ) -> FunctionalOutlierDisplay:
        """Draw curves with p-values from anywhere.

        Parameters
        ----------
        X : FDataGrid, FDataBasis or array-like of shape (n_samples, n_points[, n_components])
            Curves.
        pvalues : array-like of shape (n_samples,)
            p-values.
        alpha : float, default=None
            Level; needed where `flagged` is None.
        flagged : array-like of bool, shape (n_samples,), default=None
            None flags ``pvalues <= alpha``.
        mean : array-like of shape (n_points[, n_components]), default=None
            A centre to draw.
        contributions : TimeContributions or array-like of shape (k, n_points[, n_components]), default=None
            Squared distance per unit of the domain, of k curves.
        contribution_rows : sequence of k int
            Their positions.
        d2 : array-like of shape (n_samples,), default=None
            Squared distances; None takes the smallest p-values as the farthest curves.
        grid_points, row_names, tick_labels, n_labels, ax
            As in `from_estimator`.

        Returns
        -------
        FunctionalOutlierDisplay

        Raises
        ------
        ValueError, TypeError
            For arguments of another length than the curves, out of their range or of another type, by name.
        """
        _style.require_matplotlib(f"{cls.__name__}.from_predictions")
        drawn = as_curves(X, grid_points)
        judged = _checks.judged(pvalues, flagged, alpha, d2, len(drawn.values))
        split = given_split(contributions, contribution_rows, drawn)
        return cls._of(
            drawn, **judged, split=split, chosen=np.asarray(contribution_rows, dtype=int), row_names=row_names,
            mean=None if mean is None else _checks.mean_of(mean, *drawn.values.shape[1:]), tick_labels=tick_labels,
        ).plot(ax=ax, n_labels=n_labels)  # fmt: skip

    @classmethod
    def _of(
        cls, drawn: Curves, pvalues: FloatArray, flagged: np.ndarray, *, split: AlongTime | None, chosen: Any,
        row_names: Any, **known: Any,
    ) -> FunctionalOutlierDisplay:  # fmt: skip
        names = row_labels(None, len(drawn.values), drawn.names if row_names is None else row_names)
        return cls(
            curves=drawn.values, grid_points=drawn.grid, pvalues=pvalues, flagged=flagged, row_names=names,
            contributions=None if split is None else split.density,
            contribution_rows=[int(i) for i in chosen] if split is not None else [],
            contribution_grid=None if split is None else split.grid,
            contribution_weights=None if split is None else split.weights,
            component_names=drawn.components, argument_name=drawn.argument, **known,
        )  # fmt: skip

    def plot(self, ax: Any = None, *, n_labels: int = 5) -> FunctionalOutlierDisplay:
        """Draw what the display holds.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            None makes a new figure; one Axes is divided; an array has the shape of `axes_`.
        n_labels : int, default=5
            The farthest flagged curves carry their names, at most this many.

        Returns
        -------
        FunctionalOutlierDisplay
            Itself.
        """
        _checks.whole("n_labels", n_labels, 0, "It is the largest number of curves that carry their names.")
        bands = len(self.contribution_rows) > 0
        self.contribution_lines_: list[Any] = []
        d = self.curves.shape[2]
        heights = (2.3, 1.0) if bands else (1.0,)
        self.axes_ = panels(ax, heights, d, f"{type(self).__name__}.plot")
        self.ax_, self.figure_ = self.axes_[0, 0], self.axes_[0, 0].figure
        scale = pvalue_colours(self.pvalues[self.flagged], self.alpha, self.least_pvalue)
        self.lines_: list[Any] = []
        self.regular_lines_: list[Any] = []
        self.mean_lines_: list[Any] = []
        for j in range(d):
            self._draw_component(j, scale)
            if bands:
                self._draw_contributions(j, scale)
            for row in self.axes_:
                set_span(row[j], self.grid_points, self.tick_labels)
            self._words(j, bands)
        if bands:
            one_scale(self.axes_[-1])
        self.colorbar_ = None
        if self.flagged.any():
            self.colorbar_ = pvalue_bar(self.figure_, self.axes_, scale, self.pvalues[self.flagged])
        self._name_curves(n_labels)
        return self

    def _draw_component(self, j: int, scale: Any) -> None:
        """Draw component j of the curves: regular ones, the centre, and the farthest flagged ones on top."""
        ax, grid, values = self.axes_[0, j], self.grid_points, self.curves[:, :, j]
        label = f"not flagged ({_style.count(~self.flagged)})"
        self.regular_lines_.append(line_collection(ax, grid, values[~self.flagged], label))
        names = row_labels(None, len(values), self.row_names)
        chosen = {row: k for k, row in enumerate(self.contribution_rows)}
        rank = rank_of(self.pvalues, self.d2)
        for i in sorted(np.flatnonzero(self.flagged), key=lambda i: -rank[i]):  # the farthest on top
            colour = colour_of(scale, self.pvalues[i])
            k = chosen.get(int(i))  # with a line below, which has the same colour and dashes
            width, dashes, z = (1.2, "-", 4.0) if k is None else (1.9, dash(k), 4.5)
            style = {"color": colour, "linewidth": width, "linestyle": dashes, "zorder": z}
            self.lines_ += ax.plot(grid, values[i], label=names[i], **style)
        if self.mean is not None:
            style = {"color": _style.INK, "linewidth": 1.4, "linestyle": (0, (5, 2)), "zorder": 5}
            self.mean_lines_ += ax.plot(grid, self.mean[:, j], label="centre", **style)
        ax.autoscale_view()

    def _draw_contributions(self, j: int, scale: Any) -> None:
        """Draw the contributions of component j."""
        ax = self.axes_[-1, j]
        grid = self.grid_points if self.contribution_grid is None else self.contribution_grid
        densities = np.asarray(self.contributions)[:, :, j]
        if self._by_point:
            densities = densities * self.contribution_weights
        names = row_labels(None, len(self.curves), self.row_names)
        rows, by_point = self.contribution_rows, self._by_point
        colours = [colour_of(scale, self.pvalues[i]) if self.flagged[i] else _style.MUTED for i in rows]
        labels = [names[i] for i in rows]
        self.contribution_lines_ += draw_bands(ax, grid, densities, colours, labels, by_point=by_point)

    @property
    def _by_point(self) -> bool:
        """Whether the points have names, so that each stands for itself."""
        return self.tick_labels is not None and self.contribution_weights is not None

    def _words(self, j: int, bands: bool) -> None:
        """Write axis labels, titles and legends of column j."""
        name = self.component_names[j] if self.component_names else ""
        words = "" if self.tick_labels is not None else _style.literal(self.argument_name)
        unit = "d² by point" if self._by_point else "d² per unit"
        write_words(list(self.axes_[:, j]), name, words, unit if j == 0 else "")
        if j == 0:
            if bands:
                legend_of(self.axes_[1, 0], self.contribution_lines_[: len(self.contribution_rows)])
            legend_of(self.axes_[0, 0], [self.regular_lines_[0], *self.mean_lines_[:1]])

    def _name_curves(self, n_labels: int) -> None:
        """Write the names of the farthest flagged curves where they leave the others behind."""
        top = top_flagged(-rank_of(self.pvalues, self.d2), self.flagged, n_labels)
        names = row_labels(None, len(self.curves), self.row_names)
        self.annotations_ = label_curves(
            self.axes_[0], self.grid_points, self.curves, top, [names[i] for i in top], ~self.flagged
        )
