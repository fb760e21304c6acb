"""Squared distances against the quantiles of their null law."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from .._typing import ArrayLike, FloatArray
from . import _style
from ._bands import uniform_envelope
from ._rows import judge, row_labels, top_flagged


class DistanceQQDisplay:
    """Quantile plot of squared distances against their null law, with an order-statistic band.

    The i-th smallest squared distance is drawn over the median of the i-th order statistic under the law,
    F^{-1}(median of Beta(i, n + 1 - i)). Clean rows follow the line y = x inside the band; outliers leave it
    at the upper right. Build it with `from_estimator` or `from_distances`; nothing is computed in `plot`
    that the display does not already hold.

    Parameters
    ----------
    d2 : ndarray of shape (n_samples,)
        Squared distances, in the order of the rows.
    quantiles : ndarray of shape (n_samples,)
        The quantile of the law that belongs to each of them (squared distance).
    flagged : ndarray of bool, shape (n_samples,)
        Rows called outliers.
    cutoff : float or None, default=None
        Squared distance above which a row is flagged.
    band : tuple of three ndarrays or None, default=None
        Quantile, lower and upper squared distance.
    band_name : str, default=""
        How the band is called in the legend.
    alpha : float or None, default=None
        Level behind `cutoff`.
    training : bool, default=True
        Whether the law is that of training rows (else of new rows).
    row_names : list of str or None, default=None
        Names for the labels.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_, flagged_points_ : matplotlib PathCollection or None
        Rows within and beyond the cutoff.
    line_ : matplotlib Line2D
        y = x.
    band_ : matplotlib PolyCollection or None
    cutoff_line_ : matplotlib Line2D or None
    annotations_ : list of matplotlib Annotation

    See Also
    --------
    DistanceDistanceDisplay : Classical against robust distances.
    ToleranceEllipseDisplay : Two features with their tolerance ellipses.

    Notes
    -----
    The band is exact for independent rows. The distances of training rows are weakly dependent (those of a
    sample covariance sum to a constant), which matters only when n is not much larger than p.

    References
    ----------
    Aldor-Noiman, S. et al. (2013). The power to see: a new graphical test of normality. The American
    Statistician, 67, 249-260. doi:10.1080/00031305.2013.847865

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np
    >>> from scipy import stats
    >>> from fmahal.plotting import DistanceQQDisplay
    >>> d2 = np.random.default_rng(0).chisquare(3, size=100)
    >>> display = DistanceQQDisplay.from_distances(d2, stats.chi2(3), alpha=0.01)
    >>> display.ax_.get_ylabel()
    'Observed squared distance'
    """

    def __init__(
        self,
        *,
        d2: FloatArray,
        quantiles: FloatArray,
        flagged: np.ndarray,
        cutoff: float | None = None,
        band: tuple[FloatArray, FloatArray, FloatArray] | None = None,
        band_name: str = "",
        alpha: float | None = None,
        training: bool = True,
        row_names: list[str] | None = None,
    ):
        self.d2 = d2
        self.quantiles = quantiles
        self.flagged = flagged
        self.cutoff = cutoff
        self.band = band
        self.band_name = band_name
        self.alpha = alpha
        self.training = training
        self.row_names = row_names

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: ArrayLike | None = None,
        *,
        alpha: float | None = None,
        band: str | None = "simultaneous",
        confidence: float = 0.95,
        row_names: ArrayLike | None = None,
        n_labels: int = 5,
        scale: str = "auto",
        ax: Any = None,
    ) -> DistanceQQDisplay:
        """Draw the distances of a fitted detector.

        Parameters
        ----------
        detector : MahalanobisDetector or Pipeline that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_features), default=None
            None, or the training rows: drawn against ``null_.train_dist_``. Other rows: against
            ``null_.new_dist_``.
        alpha : float, default=None
            Level of the cutoff and the flags; None takes the detector's.
        band : {"simultaneous", "pointwise"} or None, default="simultaneous"
            Envelope that holds all order statistics, or each of them, with probability `confidence`.
        confidence : float, default=0.95
            Coverage of the band.
        row_names : sequence of n_samples names, default=None
            None takes the index of a data frame, else row numbers from 0.
        n_labels : int, default=5
            The farthest flagged rows are labelled, at most this many.
        scale : {"auto", "linear", "log"}, default="auto"
            Scale of both axes; "auto" takes the logarithm when a squared distance exceeds 20 cutoffs.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        DistanceQQDisplay

        Raises
        ------
        ImportError
            matplotlib is missing.
        sklearn.exceptions.NotFittedError
            The detector is not fitted.

        Notes
        -----
        Where the law differs by row, each distance is mapped to the squared distance of a new row with the
        same p-value. O(n log n) time beyond the distances themselves.
        """
        _style.require_matplotlib(f"{cls.__name__}.from_estimator")
        rows = judge(detector, X, alpha)
        d2, law, cutoff = rows.common
        return cls.from_distances(
            d2, law, flagged=rows.flagged, cutoff=cutoff, alpha=rows.alpha, training=rows.training,
            band=band, confidence=confidence, row_names=row_labels(X, d2.size, row_names),
            n_labels=n_labels, scale=scale, ax=ax,
        )  # fmt: skip

    @classmethod
    def from_distances(
        cls,
        d2: ArrayLike,
        law: Any,
        *,
        alpha: float | None = None,
        cutoff: float | None = None,
        flagged: ArrayLike | None = None,
        training: bool = True,
        band: str | None = "simultaneous",
        confidence: float = 0.95,
        row_names: ArrayLike | None = None,
        n_labels: int = 5,
        scale: str = "auto",
        ax: Any = None,
    ) -> DistanceQQDisplay:
        """Draw squared distances against a law.

        Parameters
        ----------
        d2 : array-like of shape (n_samples,)
            Squared distances.
        law : object with ``ppf`` and ``isf``
            Their null law, for example ``scipy.stats.chi2(p)``.
        alpha : float, default=None
            Level; the cutoff is ``law.isf(alpha)`` unless given.
        cutoff : float, default=None
            Squared distance.
        flagged : array-like of bool, shape (n_samples,), default=None
            None flags ``d2 > cutoff``.
        training, band, confidence, row_names, n_labels, scale, ax
            As in `from_estimator`; `training` only names the law on the axis.

        Returns
        -------
        DistanceQQDisplay
        """
        _style.require_matplotlib(f"{cls.__name__}.from_distances")
        d2 = np.asarray(d2, dtype=float)
        if d2.ndim != 1 or d2.size == 0 or not np.all(np.isfinite(d2)) or d2.min() < 0:
            raise ValueError("d2 must be a non-empty vector of finite squared distances (none negative).")
        if cutoff is None and alpha is not None:
            cutoff = float(law.isf(alpha))
        if flagged is None:
            flagged = np.zeros(d2.shape, dtype=bool) if cutoff is None else d2 > cutoff
        flagged = np.asarray(flagged, dtype=bool)
        if flagged.shape != d2.shape:
            raise ValueError(f"flagged has shape {flagged.shape}, d2 {d2.shape}.")
        envelope, name = (None, "") if band is None else _envelope(law, d2.size, confidence, band)
        display = cls(
            d2=d2, quantiles=_quantiles(law, d2), flagged=flagged, cutoff=cutoff, band=envelope,
            band_name=name, alpha=alpha, training=training, row_names=row_labels(None, d2.size, row_names),
        )  # fmt: skip
        return display.plot(ax=ax, n_labels=n_labels, scale=scale)

    def plot(self, ax: Any = None, *, n_labels: int = 5, scale: str = "auto") -> DistanceQQDisplay:
        """Draw what the display holds.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        n_labels : int, default=5
            The farthest flagged rows are labelled, at most this many.
        scale : {"auto", "linear", "log"}, default="auto"
            Scale of both axes; "auto" takes the logarithm when a squared distance exceeds 20 cutoffs.

        Returns
        -------
        DistanceQQDisplay
            Itself.
        """
        ax = _style.axes_for(ax, f"{type(self).__name__}.plot")
        scale = _style.choose_scale(scale, self.d2, self.cutoff)
        self._fix_limits(ax, scale)
        self.band_ = None
        if self.band is not None:
            at, lower, upper = self.band
            self.band_ = ax.fill_between(
                at, lower, upper, color=_style.SKY, alpha=0.28, linewidth=0, zorder=1, label=self.band_name
            )
        ends = np.array(ax.get_xlim())
        (self.line_,) = ax.plot(ends, ends, color=_style.INK, linewidth=0.9, zorder=2, label="y = x")
        self.cutoff_line_ = None
        if self.cutoff is not None and np.isfinite(self.cutoff):  # too few references: no row can be beyond
            self.cutoff_line_ = ax.axhline(
                self.cutoff, color=_style.VERMILION, linewidth=1.1, linestyle=(0, (5, 3)), zorder=2,
                label=f"cutoff {self.cutoff:.4g}" + (f" (α = {self.alpha:g})" if self.alpha else ""),
            )  # fmt: skip
        self.points_, self.flagged_points_ = _style.draw_rows(ax, self.quantiles, self.d2, self.flagged)
        kind = "training" if self.training else "new"
        _style.tidy(ax, f"Null quantile for {kind} rows (squared distance)", "Observed squared distance")
        _style.legend_above(ax, (self.points_, self.flagged_points_), [self.band_, self.cutoff_line_])
        top = top_flagged(self.d2, self.flagged, n_labels)
        names = row_labels(None, self.d2.size, self.row_names)
        taken = [np.column_stack([self.quantiles, self.d2])]
        if self.cutoff is not None and self.cutoff_line_ is not None:
            taken.append(_style.straight((ends[0], self.cutoff), (ends[1], self.cutoff)))
        self.annotations_ = _style.label_points(
            ax, self.quantiles[top], self.d2[top], [names[i] for i in top], np.concatenate(taken)
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _fix_limits(self, ax: Any, scale: str) -> None:
        heights: list[Any] = [self.d2, [] if self.cutoff is None else [self.cutoff]]
        if self.band is not None:
            heights.append(self.band[2])
        start = _style.far_from_zero(np.concatenate([self.quantiles, self.d2]))  # of many columns
        _style.set_limits(ax, "x", self.quantiles, scale, start)
        _style.set_limits(ax, "y", np.concatenate(heights), scale, start)


def _quantiles(law: Any, d2: FloatArray) -> FloatArray:
    """Return, for each distance in row order, the median of its order statistic under the law."""
    n = d2.size
    ranks = np.arange(1, n + 1)
    quantiles = np.empty(n)
    quantiles[np.argsort(d2, kind="stable")] = _drawable(law.ppf(stats.beta.median(ranks, n + 1 - ranks)))
    return quantiles


def _envelope(law: Any, n: int, confidence: float, kind: str) -> tuple[tuple, str]:
    ranks, lower, upper = uniform_envelope(n, confidence, kind)
    at = law.ppf(stats.beta.median(ranks, n + 1 - ranks))
    band = (_drawable(at), _drawable(law.ppf(lower)), _drawable(law.ppf(upper)))
    return band, f"{100 * confidence:g}% {kind} band"


def _drawable(values: ArrayLike) -> FloatArray:
    """Replace infinite quantiles (resampled laws have them at their ends) by the nearest finite one."""
    values = np.asarray(values, dtype=float)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    return np.nan_to_num(values, nan=high, posinf=high, neginf=low)
