"""Classical against robust (or regularised) distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import ArrayLike, FloatArray
from . import _style
from ._rows import judge, reference_of, row_labels, top_flagged


class DistanceDistanceDisplay:
    """Distance-distance plot: the detector's distances over those of the classical scatter.

    Both axes show distances, not squared ones. Without outliers the points follow the line y = x; outliers
    that mask each other in the classical distances stand high above it. Build it with `from_estimator` or
    `from_distances`.

    Parameters
    ----------
    reference_d2, d2 : ndarray of shape (n_samples,)
        Squared distances by the reference scatter and by the detector; `plot` draws their square roots.
    flagged : ndarray of bool, shape (n_samples,)
        Rows that the detector calls outliers.
    reference_cutoff, cutoff : float or None, default=None
        Cutoffs, squared distances.
    alpha : float or None, default=None
        Level behind the cutoffs.
    reference_name, name : str
        Names of the two scatters, for the axes.
    row_names : list of str or None, default=None
        Names for the labels.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_, flagged_points_ : matplotlib PathCollection or None
        Rows that the detector keeps and flags.
    line_ : matplotlib Line2D
        y = x.
    cutoff_line_, reference_cutoff_line_ : matplotlib Line2D or None
    annotations_ : list of matplotlib Annotation

    See Also
    --------
    DistanceQQDisplay : Distances against their null law.

    References
    ----------
    Rousseeuw, P. J. & van Zomeren, B. C. (1990). Unmasking multivariate outliers and leverage points. Journal
    of the American Statistical Association, 85, 633-639. doi:10.1080/01621459.1990.10474920

    Rousseeuw, P. J. & Van Driessen, K. (1999). A fast algorithm for the minimum covariance determinant
    estimator. Technometrics, 41, 212-223. doi:10.1080/00401706.1999.10485670

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> from fmahal.plotting import DistanceDistanceDisplay
    >>> display = DistanceDistanceDisplay.from_distances([1.0, 4.0, 9.0], [1.0, 4.0, 100.0], cutoff=16.0)
    >>> display.flagged_points_.get_offsets().tolist()
    [[3.0, 10.0]]
    """

    def __init__(
        self,
        *,
        reference_d2: FloatArray,
        d2: FloatArray,
        flagged: np.ndarray,
        reference_cutoff: float | None = None,
        cutoff: float | None = None,
        alpha: float | None = None,
        reference_name: str = "reference",
        name: str = "detector",
        row_names: list[str] | None = None,
    ):
        self.reference_d2 = reference_d2
        self.d2 = d2
        self.flagged = flagged
        self.reference_cutoff = reference_cutoff
        self.cutoff = cutoff
        self.alpha = alpha
        self.reference_name = reference_name
        self.name = name
        self.row_names = row_names

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: ArrayLike,
        *,
        reference: Any = None,
        alpha: float | None = None,
        row_names: ArrayLike | None = None,
        n_labels: int = 5,
        scale: str = "auto",
        ax: Any = None,
    ) -> DistanceDistanceDisplay:
        """Draw the distances of a fitted detector over those of a reference scatter.

        Parameters
        ----------
        detector : MahalanobisDetector or Pipeline that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_features), or curves
            Rows: those of the training set or new ones.
        reference : scatter, Pipeline or detector, default=None
            What the distances are compared with. A scatter works on the coordinates that the detector's scatter sees, a
            pipeline or a second detector on `X`, with its own law. An unfitted one is fitted to `X`, a fitted one is
            used as it is. None is `EmpiricalCovariance`, and for curves `SpectralFilter` on their space, which is not
            robust.
        alpha : float, default=None
            Level of both cutoffs; None takes the detector's.
        row_names : sequence of n_samples names, default=None
            None takes the index of a data frame or the sample names of curves, else row numbers from 0.
        n_labels : int, default=5
            The farthest flagged rows are labelled, at most this many.
        scale : {"auto", "linear", "log"}, default="auto"
            Scale of both axes; "auto" takes the logarithm when a distance exceeds 20 cutoffs.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        DistanceDistanceDisplay

        Raises
        ------
        ValueError
            The rows fill no more dimensions than there are rows: every classical distance is then the same.
        ImportError
            matplotlib is missing.

        Notes
        -----
        O(n p^2 + p^3) time for the classical fit.
        """
        _style.require_matplotlib(f"{cls.__name__}.from_estimator")
        from ..scatter import resolve

        rows = judge(detector, X, alpha)
        other = reference_of(rows, reference)
        d2, _, cutoff = rows.common
        return cls.from_distances(
            other.d2, d2, flagged=rows.flagged, reference_cutoff=other.cutoff, cutoff=cutoff, alpha=rows.alpha,
            reference_name=other.name, name=type(resolve(rows.detector.estimator_)[1]).__name__,
            row_names=row_labels(X, d2.size, row_names), n_labels=n_labels, scale=scale, ax=ax,
        )  # fmt: skip

    @classmethod
    def from_distances(
        cls,
        reference_d2: ArrayLike,
        d2: ArrayLike,
        *,
        flagged: ArrayLike | None = None,
        reference_cutoff: float | None = None,
        cutoff: float | None = None,
        alpha: float | None = None,
        reference_name: str = "reference",
        name: str = "detector",
        row_names: ArrayLike | None = None,
        n_labels: int = 5,
        scale: str = "auto",
        ax: Any = None,
    ) -> DistanceDistanceDisplay:
        """Draw two vectors of squared distances against each other, as distances.

        Parameters
        ----------
        reference_d2, d2 : array-like of shape (n_samples,)
            Squared distances, drawn along x and y after the square root.
        flagged : array-like of bool, shape (n_samples,), default=None
            None flags ``d2 > cutoff``.
        reference_cutoff, cutoff : float, default=None
            Squared distances; their square roots are drawn as lines.
        alpha : float, default=None
            Level, for the legend only.
        reference_name, name : str
            Names of the scatters.
        row_names, n_labels, scale, ax
            As in `from_estimator`.

        Returns
        -------
        DistanceDistanceDisplay
        """
        _style.require_matplotlib(f"{cls.__name__}.from_distances")
        reference_d2, d2 = np.asarray(reference_d2, dtype=float), np.asarray(d2, dtype=float)
        if d2.ndim != 1 or d2.size == 0 or reference_d2.shape != d2.shape:
            raise ValueError(
                "reference_d2 and d2 must be vectors of one length, got shapes "
                f"{reference_d2.shape} and {d2.shape}."
            )
        if not (np.all(np.isfinite(d2)) and np.all(np.isfinite(reference_d2))):
            raise ValueError("The squared distances contain NaN or infinity.")
        if min(d2.min(), reference_d2.min()) < 0:
            raise ValueError("Squared distances cannot be negative.")
        if flagged is None:
            flagged = np.zeros(d2.shape, dtype=bool) if cutoff is None else d2 > cutoff
        display = cls(
            reference_d2=reference_d2, d2=d2, flagged=np.asarray(flagged, dtype=bool),
            reference_cutoff=reference_cutoff, cutoff=cutoff, alpha=alpha, reference_name=reference_name,
            name=name, row_names=row_labels(None, d2.size, row_names),
        )  # fmt: skip
        return display.plot(ax=ax, n_labels=n_labels, scale=scale)

    def plot(self, ax: Any = None, *, n_labels: int = 5, scale: str = "auto") -> DistanceDistanceDisplay:
        """Draw what the display holds.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        n_labels : int, default=5
            The farthest flagged rows are labelled, at most this many.
        scale : {"auto", "linear", "log"}, default="auto"
            Scale of both axes; "auto" takes the logarithm when a distance exceeds 20 cutoffs.

        Returns
        -------
        DistanceDistanceDisplay
            Itself.
        """
        ax = _style.axes_for(ax, f"{type(self).__name__}.plot")
        x, y = np.sqrt(self.reference_d2), np.sqrt(self.d2)
        cut_x, cut_y = _root(self.reference_cutoff), _root(self.cutoff)
        scale = _style.choose_scale(scale, y, cut_y)
        _style.set_limits(ax, "x", np.append(x, [] if cut_x is None else cut_x), scale)
        _style.set_limits(ax, "y", np.append(y, [] if cut_y is None else cut_y), scale)
        ends = np.array(ax.get_xlim())
        (self.line_,) = ax.plot(
            ends, ends, color=_style.INK, linewidth=0.9, zorder=2, label="equal distances (y = x)"
        )
        style = {"color": _style.VERMILION, "linewidth": 1.1, "linestyle": (0, (5, 3)), "zorder": 2}
        label = "cutoff" if cut_x is None or cut_y is None else "cutoffs"
        label += f" (α = {self.alpha:g})" if self.alpha else ""
        self.cutoff_line_ = None if cut_y is None else ax.axhline(cut_y, label=label, **style)
        self.reference_cutoff_line_ = None if cut_x is None else ax.axvline(cut_x, label=label, **style)
        self.points_, self.flagged_points_ = _style.draw_rows(ax, x, y, self.flagged)
        _style.tidy(
            ax,
            f"Distance by {_style.literal(self.reference_name)} (not squared)",
            f"Distance by {_style.literal(self.name)} (not squared)",
        )
        cutoffs = self.cutoff_line_ or self.reference_cutoff_line_
        _style.legend_above(ax, (self.points_, self.flagged_points_), [self.line_, cutoffs])
        top = top_flagged(self.d2, self.flagged, n_labels)
        names = row_labels(None, x.size, self.row_names)
        taken = [np.column_stack([x, y])]
        if cut_x is not None:
            taken.append(_style.straight((cut_x, ax.get_ylim()[0]), (cut_x, ax.get_ylim()[1])))
        self.annotations_ = _style.label_points(
            ax, x[top], y[top], [names[i] for i in top], np.concatenate(taken)
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _root(cutoff: float | None) -> float | None:
    return None if cutoff is None or not np.isfinite(cutoff) else float(np.sqrt(cutoff))
