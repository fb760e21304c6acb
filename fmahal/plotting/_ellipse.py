"""Tolerance ellipses of two features."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from .._typing import ArrayLike, FloatArray
from . import _style
from ._rows import (
    classical_reference,
    cutoff_on_all_rows,
    feature_coordinates,
    judge,
    row_labels,
    top_flagged,
)


class ToleranceEllipseDisplay:
    """Two features, with the tolerance ellipses of the detector's and of the classical scatter.

    An ellipse is the set of points whose squared distance, by the 2 x 2 block of the scatter that belongs to
    the two features, equals the cutoff at level 1 - alpha. With two features in all it is the detector's own
    boundary: rows outside are the flagged ones. With more it shows the marginal scatter, and a row may be
    flagged for what it does in the other features.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        The rows, two features.
    ellipses : dict of str to (location, covariance, cutoff)
        Name, (2,) centre, (2, 2) covariance and cutoff (squared distance) of each ellipse.
    flagged : ndarray of bool, shape (n_samples,)
        Rows that the detector calls outliers, by all features.
    d2 : ndarray of shape (n_samples,)
        Their squared distances, by all features.
    feature_names : sequence of two str
        Labels of the axes.
    alpha : float
        Level.
    row_names : list of str or None, default=None
        Names for the labels.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_, flagged_points_ : matplotlib PathCollection or None
    ellipses_ : list of matplotlib Line2D
        In the order of `ellipses`.
    annotations_ : list of matplotlib Annotation

    See Also
    --------
    DistanceDistanceDisplay : The same comparison for any number of features.

    References
    ----------
    Hubert, M. & Debruyne, M. (2010). Minimum covariance determinant. WIREs Computational Statistics, 2,
    36-43. doi:10.1002/wics.61

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np
    >>> from fmahal.plotting import ToleranceEllipseDisplay
    >>> display = ToleranceEllipseDisplay(
    ...     points=np.zeros((1, 2)), ellipses={"unit": (np.zeros(2), np.eye(2), 4.0)},
    ...     flagged=np.array([False]), d2=np.zeros(1), feature_names=["a", "b"], alpha=0.05,
    ... ).plot()
    >>> float(np.round(display.ellipses_[0].get_xdata().max(), 6))
    2.0
    """

    def __init__(
        self,
        *,
        points: FloatArray,
        ellipses: dict[str, tuple[FloatArray, FloatArray, float]],
        flagged: np.ndarray,
        d2: FloatArray,
        feature_names: list[str],
        alpha: float,
        row_names: list[str] | None = None,
    ):
        self.points = points
        self.ellipses = ellipses
        self.flagged = flagged
        self.d2 = d2
        self.feature_names = feature_names
        self.alpha = alpha
        self.row_names = row_names

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: ArrayLike,
        *,
        features: tuple[int | str, int | str] | None = None,
        reference: Any = None,
        alpha: float | None = None,
        row_names: ArrayLike | None = None,
        n_labels: int = 5,
        ax: Any = None,
    ) -> ToleranceEllipseDisplay:
        """Draw two features of a fitted detector's rows.

        Parameters
        ----------
        detector : MahalanobisDetector or Pipeline that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_features)
            Rows: those of the training set or new ones.
        features : pair of column positions or names, default=None
            None takes the two features of two-column data; with more columns it must be given.
        reference : scatter, default=None
            None is `EmpiricalCovariance`. An unfitted one is fitted to the two columns of `X`; a fitted one
            must know all features, and its 2 x 2 block is taken.
        alpha : float, default=None
            Level; None takes the detector's.
        row_names : sequence of n_samples names, default=None
            None takes the index of a data frame, else row numbers from 0.
        n_labels : int, default=5
            The farthest flagged rows are labelled, at most this many.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        ToleranceEllipseDisplay

        Raises
        ------
        ValueError
            Fewer than two features, unknown or equal features, or none chosen among more than two.
        ImportError
            matplotlib is missing.

        Notes
        -----
        The detector's ellipse uses the detector's cutoff when there are two features, else the chi-square
        quantile with 2 degrees of freedom, since the null law at hand is that of all features together. O(n p rank)
        time for the distances, and the fit of an unfitted `reference` to two columns.
        """
        _style.require_matplotlib(f"{cls.__name__}.from_estimator")
        rows = judge(detector, X, alpha)
        Z, scatter, names = feature_coordinates(rows.detector, rows.X)
        pair = _pair(features, names)
        cutoff = cutoff_on_all_rows(rows) if Z.shape[1] == 2 else float(stats.chi2.isf(rows.level, 2))
        # A law of too few references has no finite cutoff: nothing is outside, and there is no ellipse to draw.
        own = {type(scatter).__name__: (*_block(scatter, pair), cutoff)} if np.isfinite(cutoff) else {}
        return cls(
            points=Z[:, pair],
            ellipses=own | _reference_ellipse(Z, pair, reference, rows.level),
            flagged=rows.flagged,
            d2=rows.common[0],
            feature_names=[names[j] for j in pair],
            alpha=rows.alpha,
            row_names=row_labels(X, Z.shape[0], row_names),
        ).plot(ax=ax, n_labels=n_labels)

    def plot(self, ax: Any = None, *, n_labels: int = 5) -> ToleranceEllipseDisplay:
        """Draw what the display holds.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        n_labels : int, default=5
            The farthest flagged rows are labelled, at most this many.

        Returns
        -------
        ToleranceEllipseDisplay
            Itself.
        """
        ax = _style.axes_for(ax, f"{type(self).__name__}.plot")
        curves = [ellipse_curve(*ellipse) for ellipse in self.ellipses.values()]
        everything = np.concatenate([self.points, *curves])
        low, high = everything.min(axis=0), everything.max(axis=0)
        pad = 0.07 * np.where(high > low, high - low, np.maximum(np.abs(high), np.finfo(float).tiny))
        ax.set_xlim(low[0] - pad[0], high[0] + pad[0])
        ax.set_ylim(low[1] - pad[1], high[1] + pad[1])
        looks = [(_style.BLUE, "-"), (_style.MUTED, (0, (5, 3))), (_style.GREEN, (0, (1, 1.5)))]
        self.ellipses_ = []
        for k, (name, curve) in enumerate(zip(self.ellipses, curves)):
            color, dashes = looks[k % len(looks)]
            (line,) = ax.plot(
                curve[:, 0], curve[:, 1], color=color, linestyle=dashes, linewidth=1.4, zorder=4.5,
                label=f"{_style.literal(name, 20)} {100 * (1 - self.alpha):g}%",
            )  # fmt: skip
            self.ellipses_.append(line)
        x, y = self.points.T
        self.points_, self.flagged_points_ = _style.draw_rows(ax, x, y, self.flagged)
        _style.tidy(ax, *(_style.literal(name, 48) for name in self.feature_names))
        _style.legend_above(ax, (self.points_, self.flagged_points_), self.ellipses_)
        top = top_flagged(self.d2, self.flagged, n_labels)
        names = row_labels(None, x.size, self.row_names)
        self.annotations_ = _style.label_points(ax, x[top], y[top], [names[i] for i in top], everything)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def ellipse_curve(location: FloatArray, covariance: FloatArray, cutoff: float, k: int = 240) -> FloatArray:
    """Return (k + 1, 2) points with squared distance `cutoff` from `location`, a closed curve.

    Built from standard deviations and correlation, so that features of very different size keep their digits;
    a correlation of one gives the segment that the ellipse has shrunk to.
    """
    scale = np.sqrt(np.diagonal(covariance))
    product = scale[0] * scale[1]
    correlation = np.clip(covariance[0, 1] / product, -1.0, 1.0) if product > 0 else 0.0
    angle = np.linspace(0.0, 2 * np.pi, k + 1)
    circle = np.column_stack(
        [np.cos(angle), correlation * np.cos(angle) + np.sqrt(1 - correlation**2) * np.sin(angle)]
    )
    return np.asarray(location) + np.sqrt(cutoff) * scale * circle


def _pair(features: Any, names: list[str]) -> list[int]:
    """Return the positions of the two features."""
    if len(names) < 2:
        raise ValueError("A tolerance ellipse needs two features, the data have one.")
    if features is None:
        if len(names) > 2:
            raise ValueError(
                f"The data have {len(names)} features: choose two, for example "
                f"features=({names[0]!r}, {names[1]!r})."
            )
        return [0, 1]
    if isinstance(features, str) or len(features) != 2:
        raise ValueError(f"features takes a pair of column positions or names, got {features!r}.")
    pair = []
    for feature in features:
        if isinstance(feature, str):
            if feature not in names:
                raise ValueError(f"Unknown feature {feature!r}. Available: {', '.join(names[:20])}.")
            pair.append(names.index(feature))
        else:
            pair.append(range(len(names))[feature])
    if pair[0] == pair[1]:
        raise ValueError(f"features names {names[pair[0]]!r} twice.")
    return pair


def _block(scatter: Any, pair: list[int]) -> tuple[FloatArray, FloatArray]:
    return np.asarray(scatter.location_)[pair], np.asarray(scatter.covariance_)[np.ix_(pair, pair)]


def _reference_ellipse(Z: FloatArray, pair: list[int], reference: Any, level: float) -> dict[str, tuple]:
    """Return the name and the ellipse of the reference scatter."""
    if hasattr(reference, "location_"):
        cutoff = float(stats.chi2.isf(level, 2))
        return {type(reference).__name__: (*_block(reference, pair), cutoff)}
    fitted, _, law = classical_reference(np.ascontiguousarray(Z[:, pair]), reference, level)
    return {type(fitted).__name__: (*_block(fitted, [0, 1]), float(np.median(law.isf(level))))}
