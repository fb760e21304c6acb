"""Simulated data that are not normal, with known location and scatter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from .._random import as_generator
from .._typing import ArrayLike, FloatArray, RandomState
from ._checks import check_choice, check_count, check_location, check_positive, check_real, simulated
from ._covariances import TrueCovariance, resolve_covariance

if TYPE_CHECKING:
    from sklearn.utils import Bunch


def _t(generator: np.random.Generator, shape: tuple[int, int], df: float) -> FloatArray:
    Z = generator.standard_normal(shape)
    return Z / np.sqrt(generator.chisquare(df, size=(shape[0], 1)) / df)


def _lognormal(generator: np.random.Generator, shape: tuple[int, int], sigma: float) -> FloatArray:
    Z = generator.standard_normal(shape)
    # expm1 keeps the digits of a small sigma, where the law is close to normal.
    return np.expm1(sigma * Z - 0.5 * sigma**2) / np.sqrt(np.expm1(sigma**2))


def _skew_normal(generator: np.random.Generator, shape: tuple[int, int], slant: float) -> FloatArray:
    delta = slant / np.hypot(1.0, slant)
    half, rest = np.abs(generator.standard_normal(shape)), generator.standard_normal(shape)
    raw = delta * half + np.sqrt((1.0 - delta) * (1.0 + delta)) * rest
    mean = delta * np.sqrt(2.0 / np.pi)
    return (raw - mean) / np.sqrt(1.0 - mean**2)


def _uniform(generator: np.random.Generator, shape: tuple[int, int], parameter: None) -> FloatArray:
    return generator.uniform(-np.sqrt(3.0), np.sqrt(3.0), size=shape)


TAILS = {"t": _t, "lognormal": _lognormal, "skew-normal": _skew_normal, "uniform": _uniform}


def make_heavy_tailed(
    n_samples: int = 200,
    n_features: int = 5,
    *,
    kind: Literal["t", "lognormal", "skew-normal", "uniform"] = "t",
    df: float = 3.0,
    sigma: float = 1.0,
    slant: float = 5.0,
    covariance: str | ArrayLike = "identity",
    rho: float = 0.5,
    condition_number: float = 100.0,
    location: float | ArrayLike = 0.0,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate rows that are not normal, with known location and scatter.

    A row is ``m + A w`` with ``A A' = scatter``. For ``kind="t"`` it is multivariate t (elliptical):
    ``w = z / sqrt(g / df)``, g chi-square with `df` degrees of freedom. Else the entries of w are
    independent, with mean zero and variance one:

    - "lognormal": ``exp(sigma z)``, standardised; skewed with a heavy tail;
    - "skew-normal": ``delta |z| + sqrt(1 - delta^2) z'``, standardised, with
      ``delta = slant / sqrt(1 + slant^2)``;
    - "uniform": between ``-sqrt(3)`` and ``sqrt(3)``; tails lighter than normal, for contrast.

    Parameters
    ----------
    n_samples, n_features : int
        Numbers n of rows and p of columns.
    kind : {"t", "lognormal", "skew-normal", "uniform"}, default="t"
        Law of w.
    df : float, default=3.0
        Degrees of freedom of "t", positive.
    sigma : float, default=1.0
        Standard deviation of the logarithm for "lognormal", positive, at most 5.
    slant : float, default=5.0
        Slant of "skew-normal"; zero gives the normal law, a negative one mirrors it.
    covariance : {"identity", "ar1", "random"} or array-like of shape (p, p), default="identity"
        The scatter ``A A'``; as in `make_contaminated_normal`.
    rho, condition_number : float
        As in `make_contaminated_normal`.
    location : float or array-like of shape (p,), default=0.0
        Centre m: the mean where it exists.
    random_state : int, RandomState, Generator or None, default=None
        Stream; an integer gives the same rows on every call, a Generator is advanced.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`, `target` and `outliers` None: these rows are all regular. `location` is
        m, `scatter` is ``A A'`` and `covariance` the covariance of the rows: the scatter, for "t" times
        ``df / (df - 2)``, and None when it does not exist (``df <= 2``).

    Raises
    ------
    ValueError
        When an argument is out of range.
    NotPositiveDefiniteError
        When a given covariance is not positive definite.

    Notes
    -----
    Time and memory as for `make_contaminated_normal`.

    References
    ----------
    S. Kotz and S. Nadarajah, Multivariate t distributions and their applications, Cambridge University Press
    2004, doi:10.1017/CBO9780511550683.

    A. Azzalini, A class of distributions which includes the normal ones, Scandinavian Journal of Statistics
    12 (1985), 171-178.

    Examples
    --------
    >>> from fmahal.datasets import make_heavy_tailed
    >>> rows = make_heavy_tailed(50, 4, kind="t", df=5, random_state=0)
    >>> rows.data.shape, rows.covariance.scale
    ((50, 4), 1.6666666666666667)
    """
    n, p = check_count(n_samples, "n_samples"), check_count(n_features, "n_features")
    draw = check_choice(kind, "kind", TAILS)
    df, sigma = check_positive(df, "df"), check_positive(sigma, "sigma")
    if sigma > 5:
        raise ValueError(f"sigma must be at most 5: beyond, no sample shows the variance. Got {sigma!r}.")
    parameter = {"t": df, "lognormal": sigma, "skew-normal": check_real(slant, "slant")}.get(kind)
    m = check_location(location, p)
    generator = as_generator(random_state)
    scatter = resolve_covariance(
        covariance, p, rho=rho, condition_number=condition_number, generator=generator
    )
    label = "" if parameter is None else f" with parameter {parameter:.6g}"
    W = draw(generator, (n, p), parameter)
    truth: TrueCovariance | None = scatter
    if kind == "t":
        truth = scatter.scaled(df / (df - 2)) if df > 2 else None
    return simulated(
        scatter.color(W) + m,
        name=f"heavy-tailed-{kind}",
        model=f"Rows of law {kind!r}{label}, scatter {scatter!r}",
        citation=(
            "S. Kotz and S. Nadarajah, Multivariate t distributions and their applications, Cambridge "
            "University Press 2004, doi:10.1017/CBO9780511550683; A. Azzalini, A class of distributions "
            "which includes the normal ones, Scandinavian Journal of Statistics 12 (1985), 171-178"
        ),
        location=m,
        scatter=scatter,
        covariance=truth,
    )
