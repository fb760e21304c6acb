"""Simulated curves: the outlier models of the functional literature, and Gaussian processes of known spectrum."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from .._random import as_generator
from .._typing import ArrayLike, FloatArray, RandomState
from ._checks import check_choice, check_count, check_location, check_positive, check_real, simulated
from ._covariances import ar1_covariance

if TYPE_CHECKING:
    from sklearn.utils import Bunch

CurveModelName = Literal[
    "magnitude", "peak", "shift", "shape", "covariance", "bump", "periodic", "phase", "amplitude"
]

_CITATION = (
    "O. T. Ojo, A. Fernandez Anta, R. E. Lillo and C. Sguera, Detecting and classifying outliers in big functional "
    "data, Advances in Data Analysis and Classification 16 (2022), 725-760, doi:10.1007/s11634-021-00460-9"
)


class Draws(NamedTuple):
    """What a data set is made of: the same for every model and contamination, so that they can be compared."""

    t: FloatArray  # (T,) the grid
    noise: FloatArray  # (n, T) rows with covariance exp(-|s - t|)
    normal: FloatArray  # (n, T) the standard normal rows that the noise is made of
    sign: FloatArray  # (n, 1) -1 or 1
    uniform: FloatArray  # (n, 4) on (0, 1)

    def between(self, low: float, high: float, column: int) -> FloatArray:
        """Return a column (n, 1) of uniform draws on (low, high)."""
        return low + (high - low) * self.uniform[:, column : column + 1]


Pair = tuple[FloatArray, FloatArray]  # regular and outlying versions of every row


def _magnitude(d: Draws) -> Pair:
    regular = 4.0 * d.t + d.noise
    return regular, regular + 8.0 * d.sign


def _peak(d: Draws) -> Pair:
    regular = 4.0 * d.t + d.noise
    start = d.between(0.1, 0.9, 0)
    return regular, regular + 8.0 * d.sign * ((start <= d.t) & (d.t <= start + 0.05))


def _shift(d: Draws) -> Pair:
    regular = 4.0 * d.t + d.noise
    return regular, regular + 6.0 * d.sign * (d.between(0.1, 0.9, 0) <= d.t)


def _shape(d: Draws) -> Pair:
    return 30.0 * d.t * (1.0 - d.t) ** 1.5 + d.noise, 30.0 * (1.0 - d.t) * d.t**1.5 + d.noise


def _covariance(d: Draws) -> Pair:
    lag = np.abs(np.subtract.outer(d.t, d.t))
    factor = np.linalg.cholesky(5.0 * np.exp(-2.0 * np.sqrt(lag)))
    return 4.0 * d.t + d.noise, 4.0 * d.t + d.normal @ factor.T


def _bump(d: Draws) -> Pair:
    regular = 4.0 * d.t + d.noise
    hill = np.exp(-50.0 * (d.t - d.between(0.25, 0.75, 0)) ** 2) / np.sqrt(0.02 * np.pi)
    return regular, regular + d.sign * (hill - 1.8)


def _periodic(d: Draws) -> Pair:
    regular = 4.0 * d.t + d.noise
    return regular, regular + 2.0 * np.sin(4.0 * np.pi * (d.t + d.between(0.25, 0.75, 0)))


def _phase(d: Draws) -> Pair:
    return 2.0 * np.sin(15.0 * np.pi * d.t) + d.noise, 2.0 * np.sin(15.0 * np.pi * d.t + 2.0) + d.noise


def _amplitude(d: Draws) -> Pair:
    angle = 2.0 * np.pi * d.t
    low, width = np.where(d.sign > 0, 9.0, 1.5), np.where(d.sign > 0, 1.5, 1.0)
    waves = []
    for start, length in ((3.0, 5.0), (low, width)):
        a, b = (start + length * d.uniform[:, k : k + 1] for k in (0, 1))
        waves.append(a * np.sin(angle) + b * np.cos(angle) + d.noise)
    return waves[0], waves[1]


CURVE_MODELS: dict[str, Callable[[Draws], Pair]] = {  # in the order of their published numbers, from 1
    "magnitude": _magnitude,
    "peak": _peak,
    "shift": _shift,
    "shape": _shape,
    "covariance": _covariance,
    "bump": _bump,
    "periodic": _periodic,
    "phase": _phase,
    "amplitude": _amplitude,
}


def make_outlying_curves(
    model: CurveModelName | int = "magnitude",
    n_samples: int = 100,
    n_points: int = 50,
    *,
    contamination: float = 0.1,
    random_state: RandomState = None,
    return_fdata: bool = False,
) -> Bunch:
    r"""Simulate curves on [0, 1], some of them outlying in a known way: nine published models.

    The noise e is Gaussian with covariance :math:`\exp(-|s - t|)`: rough, of unit variance. s is -1 or 1 with equal
    probability, U(a, b) a uniform number, both drawn anew for each curve, and 1[.] one where the condition holds,
    else zero.

    ============== ===================================== ====================================================
    `model`        regular curve                         outlier
    ============== ===================================== ====================================================
    magnitude (1)  ``4 t + e``                           ``4 t + 8 s + e``
    peak (2)       ``4 t + e``                           ``4 t + 8 s 1[u <= t <= u + 0.05] + e``, u ~ U(0.1, 0.9)
    shift (3)      ``4 t + e``                           ``4 t + 6 s 1[u <= t] + e``, u ~ U(0.1, 0.9)
    shape (4)      ``30 t (1 - t)^1.5 + e``              ``30 (1 - t) t^1.5 + e``
    covariance (5) ``4 t + e``                           ``4 t + f``, f of covariance ``5 exp(-2 |s - t|^0.5)``
    bump (6)       ``4 t + e``                           ``4 t + s (exp(-50 (t - u)^2) / sqrt(0.02 pi) - 1.8) + e``,
                                                         u ~ U(0.25, 0.75)
    periodic (7)   ``4 t + e``                           ``4 t + 2 sin(4 pi (t + u)) + e``, u ~ U(0.25, 0.75)
    phase (8)      ``2 sin(15 pi t) + e``                ``2 sin(15 pi t + 2) + e``
    amplitude (9)  ``a sin(2 pi t) + b cos(2 pi t) + e`` the same with other a and b: both ~ U(1.5, 2.5) where
                   a, b ~ U(3, 8)                        s = -1, both ~ U(9, 10.5) where s = 1
    ============== ===================================== ====================================================

    Parameters
    ----------
    model : str or int, default="magnitude"
        Name of the model, or its number in [1]_.
    n_samples, n_points : int, default=100 and 50
        Numbers n of curves and T of points, at least 2, equally spaced from 0 to 1.
    contamination : float, default=0.1
        Share of outliers, 0 to 0.5; their number is ``floor(contamination * n_samples + 0.5)``. They are
        spread over the rows at random.
    random_state : int, RandomState, Generator or None, default=None
        Stream; an integer gives the same curves on every call, a Generator is advanced.
    return_fdata : bool, default=False
        Whether `data` is an `skfda.FDataGrid` in place of an array; needs scikit-fda.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `data` is (n, T), `grid_points` (T,), `outliers` the mask of the outliers,
        `target` the same as integers, `model` the name of the model.

    Raises
    ------
    ValueError
        When an argument is out of range.
    ImportError
        For `return_fdata` without scikit-fda.

    Notes
    -----
    The draws depend neither on `model` nor on `contamination`: with one integer seed the regular curves of two
    contaminations are the same, and the outliers of the smaller are among those of the larger. Models 1, 3 and 5 are
    those of [2]_ and [3]_ with other constants, 4, 6 and 7 have the means of [4]_; [1]_ brought all nine together,
    and its constants are used here. Regular curves of model 9 are no Gaussian process: a and b are uniform. Time and
    memory O(n T); model 5 takes O(n T^2 + T^3) time and O(T^2) memory.

    References
    ----------
    .. [1] Ojo, O. T., Fernandez Anta, A., Lillo, R. E. and Sguera, C. (2022). Detecting and classifying outliers in
       big functional data. Advances in Data Analysis and Classification 16, 725-760.
       :doi:`10.1007/s11634-021-00460-9`
    .. [2] Sun, Y. and Genton, M. G. (2011). Functional boxplots. Journal of Computational and Graphical Statistics
       20, 316-334. :doi:`10.1198/jcgs.2011.09224`
    .. [3] Dai, W. and Genton, M. G. (2018). Multivariate functional data visualization and outlier detection. Journal
       of Computational and Graphical Statistics 27, 923-934. :doi:`10.1080/10618600.2018.1473781`
    .. [4] Arribas-Gil, A. and Romo, J. (2014). Shape outlier detection and visualization for functional data: the
       outliergram. Biostatistics 15, 603-619. :doi:`10.1093/biostatistics/kxu006`

    Examples
    --------
    >>> from fmahal.datasets import make_outlying_curves
    >>> curves = make_outlying_curves("phase", 40, 30, contamination=0.2, random_state=0)
    >>> curves.data.shape, curves.grid_points.shape, int(curves.outliers.sum())
    ((40, 30), (30,), 8)
    """
    name, build = _model_of(model)
    n, n_times = check_count(n_samples, "n_samples"), _check_points(n_points)
    if not 0 <= check_real(contamination, "contamination") <= 0.5:
        raise ValueError(
            f"contamination must lie between 0 and 0.5 (outliers are a minority), got {contamination!r}."
        )
    generator = as_generator(random_state)
    t = np.linspace(0.0, 1.0, n_times)
    Z = generator.standard_normal((n, n_times))
    sign = np.where(generator.random((n, 1)) < 0.5, -1.0, 1.0)
    draws = Draws(t, ar1_covariance(n_times, np.exp(-t[1])).color(Z), Z, sign, generator.random((n, 4)))
    outliers = np.zeros(n, dtype=bool)
    outliers[generator.permutation(n)[: int(np.floor(contamination * n + 0.5))]] = True
    regular, outlying = build(draws)
    return _curves(
        np.where(outliers[:, None], outlying, regular),
        t,
        return_fdata,
        name=f"outlying-curves-{name}",
        text=f"Gaussian curves, {outliers.sum()} of {n} replaced by outliers of the model {name!r}",
        citation=_CITATION,
        model=name,
        outliers=outliers,
        target=outliers.astype(int),
        target_names=["regular", "outlier"],
    )


def _brownian(Z: FloatArray, t: FloatArray, length_scale: float) -> FloatArray:
    steps = np.sqrt(np.diff(t, prepend=0.0))
    return np.cumsum(steps * Z, axis=1)


def _bridge(Z: FloatArray, t: FloatArray, length_scale: float) -> FloatArray:
    path = _brownian(Z, t, length_scale)
    return path - t * path[:, -1:]


def _exponential(Z: FloatArray, t: FloatArray, length_scale: float) -> FloatArray:
    return ar1_covariance(t.size, float(np.exp(-t[1] / length_scale))).color(Z)


_PROCESSES: dict[str, tuple[Callable[..., FloatArray], Callable[..., FloatArray]]] = {
    "brownian": (_brownian, lambda s, t, length_scale: np.minimum(s, t)),
    "bridge": (_bridge, lambda s, t, length_scale: np.minimum(s, t) - s * t),
    "exponential": (_exponential, lambda s, t, length_scale: np.exp(-np.abs(s - t) / length_scale)),
}


def _spectrum(process: str, t: FloatArray) -> tuple[FloatArray, FloatArray] | tuple[None, None]:
    """Return eigenvalues (T - 1,) and eigenfunctions (T - 1, T) of the covariance operator, where they are simple."""
    if process == "exponential":  # roots of a transcendental equation
        return None, None
    m = np.arange(1, t.size)
    frequency = np.pi * (m - 0.5 if process == "brownian" else m)
    return frequency**-2.0, np.sqrt(2.0) * np.sin(np.multiply.outer(frequency, t))


def make_functional_samples(
    process: Literal["brownian", "bridge", "exponential"] = "brownian",
    n_samples: int = 100,
    n_points: int = 50,
    *,
    mean: float | ArrayLike = 0.0,
    scale: float = 1.0,
    length_scale: float = 1.0,
    random_state: RandomState = None,
    return_fdata: bool = False,
) -> Bunch:
    r"""Simulate a Gaussian process on [0, 1] whose covariance is known.

    =========== ========================== ============================== ===========================
    `process`   covariance                 m-th eigenvalue                its eigenfunction
    =========== ========================== ============================== ===========================
    brownian    ``min(s, t)``              ``1 / ((m - 1/2) pi)^2``       ``sqrt(2) sin((m - 1/2) pi t)``
    bridge      ``min(s, t) - s t``        ``1 / (m pi)^2``               ``sqrt(2) sin(m pi t)``
    exponential ``exp(-|s - t| / length)`` no closed form                 no closed form
    =========== ========================== ============================== ===========================

    Parameters
    ----------
    process : {"brownian", "bridge", "exponential"}, default="brownian"
        Brownian motion, Brownian bridge, or the stationary Ornstein-Uhlenbeck process.
    n_samples, n_points : int, default=100 and 50
        Numbers n of curves and T of points, at least 2, equally spaced from 0 to 1.
    mean : float or array-like of shape (T,), default=0.0
        Mean curve.
    scale : float, default=1.0
        Factor of the covariance, in squared units of the curves; positive.
    length_scale : float, default=1.0
        Length of the exponential covariance, positive; the others have none.
    random_state : int, RandomState, Generator or None, default=None
        Stream; an integer gives the same curves on every call, a Generator is advanced.
    return_fdata : bool, default=False
        Whether `data` is an `skfda.FDataGrid` in place of an array; needs scikit-fda.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`, `target` and `outliers` None; `data` is (n, T), `grid_points` (T,), `location` (T,)
        the mean and `covariance` (T, T) the covariance at the grid points; `eigenvalues` (T - 1,) and
        `eigenfunctions` (T - 1, T) those of the covariance operator on L2[0, 1] (not of the matrix), None where the
        table has none.

    Raises
    ------
    ValueError
        When an argument is out of range.
    ImportError
        For `return_fdata` without scikit-fda.

    Notes
    -----
    Brownian motion is the process of which regularised distances are mostly studied, among them the one of [1]_: all
    of its eigenvalues are positive, and the plain Mahalanobis distance of a path is infinite. The simulations
    of that article are more than this process, and are not repeated here. Curves are exact draws at the grid points.
    O(n T) time; O(n T + T^2) memory for the covariance.

    References
    ----------
    .. [1] Berrendero, J. R., Bueno-Larraz, B. and Cuevas, A. (2020). On Mahalanobis distance in functional settings.
       Journal of Machine Learning Research 21(9), 1-33. https://jmlr.org/papers/v21/18-156.html

    Examples
    --------
    >>> from fmahal.datasets import make_functional_samples
    >>> paths = make_functional_samples("bridge", 5, 21, random_state=0)
    >>> paths.data.shape, bool((abs(paths.data[:, [0, -1]]) < 1e-12).all())
    ((5, 21), True)
    """
    draw, kernel = check_choice(process, "process", _PROCESSES)
    n, n_times = check_count(n_samples, "n_samples"), _check_points(n_points)
    factor, length = check_positive(scale, "scale"), check_positive(length_scale, "length_scale")
    m = check_location(mean, n_times, "mean")
    t = np.linspace(0.0, 1.0, n_times)
    Z = as_generator(random_state).standard_normal((n, n_times))
    values, functions = _spectrum(process, t)
    return _curves(
        m + np.sqrt(factor) * draw(Z, t, length),
        t,
        return_fdata,
        name=f"{process}-curves",
        text=f"Gaussian curves, process {process!r}, scale {factor:.6g}",
        citation="J. R. Berrendero, B. Bueno-Larraz and A. Cuevas, On Mahalanobis distance in functional settings, "
        "Journal of Machine Learning Research 21(9) (2020), 1-33",
        model=process,
        location=m,
        covariance=factor * kernel(t[:, None], t, length),
        eigenvalues=None if values is None else factor * values,
        eigenfunctions=functions,
    )


def _model_of(model: Any) -> tuple[str, Callable[[Draws], Pair]]:
    if not isinstance(model, str | bool):
        try:
            number = operator.index(model)
        except TypeError:
            number = 0
        if not 1 <= number <= len(CURVE_MODELS):
            raise ValueError(
                f"model must be one of {', '.join(map(repr, CURVE_MODELS))}, or a number from 1 to "
                f"{len(CURVE_MODELS)}, got {model!r}."
            )
        model = list(CURVE_MODELS)[number - 1]
    return model, check_choice(model, "model", CURVE_MODELS)


def _check_points(n_points: Any) -> int:
    number = check_count(n_points, "n_points")
    if number < 2:
        raise ValueError("n_points must be at least 2: one point is not a curve.")
    return number


def _curves(
    X: FloatArray, t: FloatArray, return_fdata: bool, *, text: str, model: str, **fields: Any
) -> Bunch:
    bunch = simulated(X, model=text, grid_points=t, **fields)
    bunch["model"] = model
    bunch["feature_names"] = [f"t={point:.6g}" for point in t]
    if return_fdata:
        bunch["data"] = as_fdata(bunch.data, t, bunch.name)
    return bunch


def as_fdata(X: FloatArray, grid_points: FloatArray, name: str, **keywords: Any) -> Any:
    """Return rows (n, T) as an `skfda.FDataGrid`; raises ImportError that tells how to get scikit-fda."""
    try:
        import skfda
    except ImportError as error:
        raise ImportError(
            "Curves as FDataGrid need scikit-fda: pip install scikit-fda. Without it, the array and grid_points "
            "serve as well."
        ) from error
    return skfda.FDataGrid(X, grid_points=grid_points, dataset_name=name, **keywords)
