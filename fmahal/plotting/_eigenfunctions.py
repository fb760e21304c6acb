"""Main directions in which curves vary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._typing import ArrayLike, FloatArray
from ..models.functional import _spectrum_of
from . import _checks, _style
from ._curve_axes import panels, set_span, tick_words
from ._curves import names_of, to_curves

_MOST_DECOMPOSED = 2000  # coordinates
_COUNT = "It is how many eigenfunctions are drawn."
_MOST_PANELS = 6
_VISIBLE = 0.08  # of the height of the mean: smaller departures could not be told from it


class EigenfunctionDisplay:
    r"""Leading eigenfunctions of a fitted covariance of curves, each as the centre plus and minus what it adds.

    Panel k shows :math:`m(t) \pm c \sqrt{\lambda_k}\, \phi_k(t)`: how curves look that differ from the centre in
    direction k alone, by c standard deviations. Its title has the share of the variance, :math:`\lambda_k / \sum_j
    \lambda_j`. The sign of an eigenfunction is arbitrary. Where curves vary so little that nothing would be
    seen, the panels show the departures without the centre. Build it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    mean : ndarray of shape (n_points, n_components)
        The centre.
    eigenfunctions : ndarray of shape (k, n_points, n_components)
        Eigenfunctions, of norm 1 in the space of the curves.
    eigenvalues : ndarray of shape (k,)
        Variances along them.
    grid_points : ndarray of shape (n_points,)
        The grid.
    shares : ndarray of shape (k,) or None, default=None
        Shares of the variance.
    component_names : list of str or None, default=None
        Names of the components of the curves, for the vertical axes.
    tick_labels : sequence of n_points str or None, default=None
        Names of the grid points instead of numbers.
    argument_name : str, default="t"
        Name of the domain.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_components, k)
        A row for each component of the curves, a column for each eigenfunction.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
    lines_ : list of (plus, minus) pairs of matplotlib Line2D
        Panel after panel, row by row.
    mean_lines_ : list of matplotlib Line2D
    departures_ : bool
        Whether departures from the centre are drawn.

    See Also
    --------
    FunctionalOutlierDisplay : The curves and their outliers.

    References
    ----------
    Ramsay, J. O. & Silverman, B. W. (2005). Functional Data Analysis, 2nd ed., section 8.3.
    doi:10.1007/b98888

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np
    >>> from fmahal.plotting import EigenfunctionDisplay
    >>> t = np.linspace(0, 1, 101)
    >>> display = EigenfunctionDisplay.from_predictions(
    ...     np.zeros(101), [np.sqrt(2) * np.sin(np.pi * t)], [4.0], shares=[0.8], grid_points=t
    ... )
    >>> display.ax_.get_title()
    'Eigenfunction 1, 80% of the variance'
    """

    def __init__(
        self,
        *,
        mean: FloatArray,
        eigenfunctions: FloatArray,
        eigenvalues: FloatArray,
        grid_points: FloatArray,
        shares: FloatArray | None = None,
        component_names: list[str] | None = None,
        tick_labels: Sequence[str] | None = None,
        argument_name: str = "t",
    ):
        self.mean = mean
        self.eigenfunctions = eigenfunctions
        self.eigenvalues = eigenvalues
        self.grid_points = grid_points
        self.shares = shares
        self.component_names = component_names
        self.tick_labels = tick_labels
        self.argument_name = argument_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n_components: int = 3,
        n_deviations: float = 2.0,
        component_names: Sequence[str] | None = None,
        tick_labels: Sequence[str] | None = None,
        ax: Any = None,
    ) -> EigenfunctionDisplay:
        """Draw the leading eigenfunctions of a fitted estimator of curves.

        Parameters
        ----------
        estimator : FunctionalMahalanobis, detector, metric or Pipeline
            Fitted; a space of curves, perhaps linear steps, and a scatter. What is drawn is what
            `FunctionalMahalanobis` has as `eigenvalues_` and `eigenfunctions_`: those of a `SpectralFilter`, and of any
            other scatter those of its covariance. Scores of `SphericalPCA` that a robust scatter has looked at are
            turned by it, so that these are not the directions of that step.
        n_components : int, default=3
            Eigenfunctions to draw, at most six and as many as there are: panels of more in a row cannot be read.
        n_deviations : float, default=2.0
            c, in standard deviations along the eigenfunction.
        component_names : sequence of str, default=None
            Names of the components of the curves; None takes those that the space knows.
        tick_labels : sequence of n_points str, default=None
            Names of the grid points.
        ax : matplotlib Axes or array of them, default=None
            None makes a new figure; one Axes is divided; an array has the shape of `axes_`.

        Returns
        -------
        EigenfunctionDisplay

        Raises
        ------
        TypeError
            The estimator has no eigenfunctions, `n_components` is no whole number, or `ax` no axes.
        ValueError
            The functions are surfaces, or an argument is out of its range.
        ImportError
            matplotlib is missing.
        """
        _style.require_matplotlib(f"{cls.__name__}.from_estimator")
        steps, before = eigen_step(estimator)
        space = before[0][1]
        if len(space.grid_points_) != 1:
            raise ValueError("These are surfaces; the display draws eigenfunctions of one argument.")
        k = min(_checks.whole("n_components", n_components, 1, _COUNT), len(steps.eigenvalues_), _MOST_PANELS)
        centre = np.asarray(steps.location_, dtype=float)
        Z = np.vstack([centre, centre + np.asarray(steps.components_[:k], dtype=float)])
        drawn = to_curves(before, Z, space.grid_points_[0])
        if drawn is None:
            raise TypeError(
                "A step before the eigenfunctions has no inverse_transform: they cannot be drawn as curves."
            )
        argument, components = names_of(space, drawn.shape[2])
        if component_names is not None:
            components = [str(name) for name in component_names]
        return cls(
            mean=drawn[0], eigenfunctions=drawn[1:] - drawn[0],
            grid_points=np.asarray(space.grid_points_[0], dtype=float),
            eigenvalues=np.asarray(steps.eigenvalues_[:k], dtype=float),
            shares=_shares(steps, k), component_names=components, tick_labels=tick_labels, argument_name=argument,
        ).plot(ax=ax, n_deviations=n_deviations)  # fmt: skip

    @classmethod
    def from_predictions(
        cls,
        mean: ArrayLike,
        eigenfunctions: ArrayLike,
        eigenvalues: ArrayLike,
        *,
        shares: ArrayLike | None = None,
        grid_points: ArrayLike | None = None,
        n_deviations: float = 2.0,
        tick_labels: Sequence[str] | None = None,
        ax: Any = None,
    ) -> EigenfunctionDisplay:
        """Draw eigenfunctions from anywhere.

        Parameters
        ----------
        mean : array-like of shape (n_points[, n_components])
            The centre.
        eigenfunctions : array-like of shape (k, n_points[, n_components])
            Eigenfunctions.
        eigenvalues : array-like of shape (k,)
            Variances along them.
        shares : array-like of shape (k,), default=None
            Shares of the variance, for the titles.
        grid_points : array-like of shape (n_points,), default=None
            None takes points from 0 to 1 at equal steps.
        n_deviations, tick_labels, ax
            As in `from_estimator`.

        Returns
        -------
        EigenfunctionDisplay

        Raises
        ------
        ValueError, TypeError
            For arguments whose shapes do not fit, NaN, infinity and negative eigenvalues, by name.
        """
        _style.require_matplotlib(f"{cls.__name__}.from_predictions")
        mean, values = np.asarray(mean, dtype=float), np.asarray(eigenvalues, dtype=float)
        functions = np.asarray(eigenfunctions, dtype=float)
        if functions.shape != values.shape + mean.shape or values.ndim != 1 or mean.ndim not in (1, 2):
            raise ValueError(
                f"mean, eigenfunctions and eigenvalues have shapes {mean.shape}, {functions.shape} and {values.shape}; "
                "they must be (T,), (k, T) and (k,), or (T, d), (k, T, d) and (k,)."
            )
        if not len(values):
            raise ValueError("eigenfunctions is empty: give at least one to draw.")
        mean = _checks.numbers("mean", mean, mean.shape, "Give a finite number for each grid point.")
        functions = _checks.numbers("eigenfunctions", functions, functions.shape, "Give finite numbers.")
        if not ((values >= 0) & (values < np.inf)).all():
            raise ValueError("eigenvalues are variances: they cannot be negative, infinite or NaN.")
        grid = np.linspace(0, 1, len(mean)) if grid_points is None else np.asarray(grid_points, dtype=float)
        if grid.shape != mean.shape[:1]:
            raise ValueError(f"grid_points has shape {grid.shape} for curves of {len(mean)} points.")
        given = None
        if shares is not None:
            given = _checks.numbers(
                "shares", shares, values.shape, "Give one share of the variance for each eigenvalue."
            )
        return cls(
            mean=mean.reshape(len(mean), -1), eigenfunctions=functions.reshape(*functions.shape[:2], -1),
            eigenvalues=values, shares=given, grid_points=grid, tick_labels=tick_labels,
        ).plot(ax=ax, n_deviations=n_deviations)  # fmt: skip

    def plot(self, ax: Any = None, *, n_deviations: float = 2.0) -> EigenfunctionDisplay:
        """Draw what the display holds.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            None makes a new figure; one Axes is divided; an array has the shape of `axes_`.
        n_deviations : float, default=2.0
            Standard deviations along each eigenfunction.

        Returns
        -------
        EigenfunctionDisplay
            Itself.
        """
        _checks.positive(
            "n_deviations", n_deviations, "It is a number of standard deviations, 2 for example."
        )
        k, _, d = self.eigenfunctions.shape
        self.axes_ = panels(ax, (1.0,) * d, k, f"{type(self).__name__}.plot", across=2.7, share_y=True)
        self.ax_, self.figure_ = self.axes_[0, 0], self.axes_[0, 0].figure
        size = n_deviations * np.sqrt(self.eigenvalues[0]) * np.abs(self.eigenfunctions[0]).max()
        self.departures_ = bool(size < _VISIBLE * np.ptp(self.mean, axis=0).max())
        self.lines_: list[Any] = []
        self.mean_lines_: list[Any] = []
        for j in range(d):
            for i in range(k):
                self._draw(j, i, n_deviations)
        plus, minus = self.lines_[0]
        self.ax_.legend(
            handles=[self.mean_lines_[0], plus, minus], loc="best", frameon=False, fontsize=_style.FONT_SIZE - 1,
            labelcolor=_style.INK, handlelength=1.8,
        )  # fmt: skip
        return self

    def _draw(self, j: int, i: int, c: float) -> None:
        ax, grid = self.axes_[j, i], self.grid_points
        mean = self.mean[:, j] * (0.0 if self.departures_ else 1.0)
        step = c * np.sqrt(self.eigenvalues[i]) * self.eigenfunctions[i, :, j]
        ax.fill_between(grid, mean - step, mean + step, color=_style.SKY, alpha=0.16, linewidth=0, zorder=1)
        (line,) = ax.plot(grid, mean, color=_style.INK, linewidth=1.2, label="centre", zorder=3)
        (plus,) = ax.plot(grid, mean + step, color=_style.BLUE, linewidth=1.5, label=f"+{c:g} sd", zorder=4)
        (minus,) = ax.plot(
            grid,
            mean - step,
            color=_style.VERMILION,
            linewidth=1.5,
            linestyle=(0, (4, 2)),
            label=f"−{c:g} sd",
            zorder=4,
        )
        self.mean_lines_.append(line)
        self.lines_.append((plus, minus))
        name = self.component_names[j] if self.component_names else ""
        last = j == len(self.axes_) - 1
        words = _style.literal(self.argument_name) if last and self.tick_labels is None else ""
        what = (_style.literal(name) if name else "curve") + (" − centre" if self.departures_ else "")
        _style.tidy(ax, words, what if i == 0 else "")
        set_span(ax, grid)
        tick_words(ax, grid, self.tick_labels, most=6)
        if j == 0:
            share = "" if self.shares is None else f", {_percent(self.shares[i])} of the variance"
            ax.set_title(f"Eigenfunction {i + 1}{share}", fontsize=_style.FONT_SIZE + 0.5, color=_style.INK)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.0995 else f"{100 * share:.2g}%"


class _Decomposed:
    """Eigenvalues and eigenvectors of the covariance of a scatter that has none of its own, largest first."""

    def __init__(self, scatter: Any):
        covariance = getattr(scatter, "covariance_", None)
        covariance = scatter.whitener_.covariance if covariance is None else covariance
        self.location_ = scatter.location_
        self.eigenvalues_, self.components_ = _spectrum_of(np.asarray(covariance, dtype=np.float64))
        total = self.eigenvalues_.sum()
        self.explained_variance_ratio_ = self.eigenvalues_ / total if total > 0 else None


def eigen_step(estimator: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """Return what knows the eigenvalues and components, and the fitted steps before it, a space of curves first.

    That is the scatter, as for ``FunctionalMahalanobis.eigenvalues_``; one that knows no eigenvalues has its covariance
    decomposed, O(q^3).

    Raises
    ------
    TypeError
        When there is no space of curves, or the scatter has more than 2000 coordinates and no eigenvalues.
    """
    from ..scatter import resolve

    fitted = getattr(estimator, "estimator_", estimator)
    space, scatter = resolve(fitted)
    steps = [*([] if space is None else space.steps), ("scatter", scatter)]
    if hasattr(steps[0][1], "grid_points_"):
        if hasattr(scatter, "components_") and hasattr(scatter, "eigenvalues_"):
            return scatter, steps[:-1]
        if 0 < np.size(getattr(scatter, "location_", ())) <= _MOST_DECOMPOSED:
            return _Decomposed(scatter), steps[:-1]
    raise TypeError(
        "There are no eigenfunctions here: expected a fitted space of curves (L2Space), and after it a "
        f"SpectralFilter or a scatter of at most {_MOST_DECOMPOSED} coordinates, got {fitted!r}."
    )


def _shares(step: Any, k: int) -> FloatArray | None:
    """Return shares of the variance as the step knows them, else of its eigenvalues in their sum."""
    shares = getattr(step, "explained_variance_ratio_", None)
    if shares is not None:
        return np.asarray(shares[:k], dtype=float)
    return None
