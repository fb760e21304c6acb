"""Simulated normal data with known location, covariance and outliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from .._random import as_generator
from .._typing import ArrayLike, FloatArray, RandomState
from .._validation import as_vector
from ._checks import check_choice, check_count, check_location, check_positive, check_real, simulated
from ._covariances import SpectralCovariance, ar1_covariance, random_directions, resolve_covariance

if TYPE_CHECKING:
    from sklearn.utils import Bunch


def _shift(Z: FloatArray, d: float, u: FloatArray) -> FloatArray:
    return Z + d * u


def _cluster(Z: FloatArray, d: float, u: FloatArray) -> FloatArray:
    return 0.1 * Z + d * u


def _radial(Z: FloatArray, d: float, u: FloatArray) -> FloatArray:
    return Z * (d / np.sqrt(Z.shape[1]))


def _point(Z: FloatArray, d: float, u: FloatArray) -> FloatArray:
    return np.broadcast_to(d * u, Z.shape)


OUTLIERS = {"shift": _shift, "cluster": _cluster, "radial": _radial, "point": _point}


def make_contaminated_normal(
    n_samples: int = 200,
    n_features: int = 5,
    *,
    contamination: float = 0.1,
    kind: Literal["shift", "cluster", "radial", "point"] = "shift",
    distance: float | None = None,
    covariance: str | ArrayLike = "identity",
    rho: float = 0.5,
    condition_number: float = 100.0,
    location: float | ArrayLike = 0.0,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate normal rows, some of them replaced by outliers.

    A regular row is ``m + A z``, z standard normal, ``A A' = covariance``. An outlier is made of the same z,
    of the `distance` d, and of one random unit vector u, the same for all rows:

    ========= ====================================== =============================================
    `kind`    row                                    law
    ========= ====================================== =============================================
    shift     ``m + A (z + d u)``                    the regular law, moved by d
    cluster   ``m + A (z / 10 + d u)``               a tight cloud at d, a tenth as wide
    radial    ``m + A z d / sqrt(p)``                scattered all around, root mean square d
    point     ``m + A d u``                          one point, repeated
    ========= ====================================== =============================================

    so that d is a Mahalanobis distance (not squared) in the true covariance, whatever the covariance. The
    draws depend neither on `kind` nor on `contamination` or `distance`: two calls that differ only there, with
    one integer seed, share their regular rows, and the outliers of the smaller contamination are among those
    of the larger.

    Parameters
    ----------
    n_samples, n_features : int
        Numbers n of rows and p of columns.
    contamination : float, default=0.1
        Share of outliers, 0 to 0.5; their number is ``floor(contamination * n_samples + 0.5)``. They are
        spread over the rows at random.
    kind : {"shift", "cluster", "radial", "point"}, default="shift"
        See the table.
    distance : float or None, default=None
        Mahalanobis distance of the outliers' centre (`radial`: root mean square). None means ``sqrt(p) + 5``,
        well outside the regular rows, whose distances are near ``sqrt(p)``.
    covariance : {"identity", "ar1", "random"} or array-like of shape (p, p), default="identity"
        Covariance of the regular rows: identity; ``rho^|i-j|``; random eigenvectors with eigenvalues in
        geometric progression and the given condition number; or any positive definite matrix.
    rho : float, default=0.5
        Correlation of neighbours for ``covariance="ar1"``, strictly between -1 and 1.
    condition_number : float, default=100.0
        Ratio of the extreme eigenvalues for ``covariance="random"``.
    location : float or array-like of shape (p,), default=0.0
        Centre m of the regular rows.
    random_state : int, RandomState, Generator or None, default=None
        Stream; an integer gives the same rows on every call, a Generator is advanced.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `outliers` is the mask of the replaced rows, `target` the same as
        integers. Furthermore `location` (p,) and `covariance` of the regular rows. The covariance is an
        object of a few numbers: ``np.asarray(bunch.covariance)`` gives the (p, p) matrix,
        ``bunch.covariance.whitener()`` the `fmahal.Whitener` of its structure, for true distances without a
        p x p array. `scatter` is the same object.

    Raises
    ------
    ValueError
        When an argument is out of range.
    NotPositiveDefiniteError
        When a given covariance is not positive definite.

    Notes
    -----
    Time and memory O(n p) for "identity" and "ar1"; a given covariance takes O(n p^2 + p^3) time and O(p^2)
    memory, and so does "random".

    References
    ----------
    M. Hubert, P. J. Rousseeuw and T. Verdonck, A deterministic algorithm for robust location and scatter,
    Journal of Computational and Graphical Statistics 21 (2012), 618-637, doi:10.1080/10618600.2012.672100
    (point, cluster and radial contamination; the sizes differ here).

    Examples
    --------
    >>> from fmahal.datasets import make_contaminated_normal
    >>> data = make_contaminated_normal(100, 3, contamination=0.2, covariance="ar1", random_state=0)
    >>> data.data.shape, int(data.outliers.sum())
    ((100, 3), 20)
    """
    n, p = check_count(n_samples, "n_samples"), check_count(n_features, "n_features")
    check_choice(kind, "kind", OUTLIERS)
    if not 0 <= check_real(contamination, "contamination") <= 0.5:
        raise ValueError(
            f"contamination must lie between 0 and 0.5 (outliers are a minority), got {contamination!r}."
        )
    d = np.sqrt(p) + 5.0 if distance is None else check_positive(distance, "distance")
    m = check_location(location, p)
    generator = as_generator(random_state)
    sigma = resolve_covariance(covariance, p, rho=rho, condition_number=condition_number, generator=generator)
    Z = generator.standard_normal((n, p))
    direction = random_directions(p, 1, generator)[:, 0]
    outliers = np.zeros(n, dtype=bool)
    outliers[generator.permutation(n)[: int(np.floor(contamination * n + 0.5))]] = True
    Z[outliers] = OUTLIERS[kind](Z[outliers], float(d), direction)
    return simulated(
        sigma.color(Z) + m,
        name=f"contaminated-normal-{kind}",
        model=(
            f"Normal rows, {outliers.sum()} of {n} replaced by outliers of kind {kind!r} at Mahalanobis "
            f"distance {d:.6g}; covariance {sigma!r}"
        ),
        citation=(
            "M. Hubert, P. J. Rousseeuw and T. Verdonck, A deterministic algorithm for robust location and "
            "scatter, Journal of Computational and Graphical Statistics 21 (2012), 618-637, "
            "doi:10.1080/10618600.2012.672100"
        ),
        location=m,
        scatter=sigma,
        covariance=sigma,
        outliers=outliers,
        target=outliers.astype(int),
        target_names=["regular", "outlier"],
    )


def make_ar1(
    n_samples: int = 200,
    n_features: int = 50,
    *,
    rho: float = 0.5,
    location: float | ArrayLike = 0.0,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate normal rows whose columns are a stationary autoregression of order one.

    ``x_1 = z_1``, ``x_j = rho x_{j-1} + sqrt(1 - rho^2) z_j``: unit variances and covariance ``rho^|i-j|``,
    whose inverse is tridiagonal.

    Parameters
    ----------
    n_samples, n_features : int
        Numbers n of rows and p of columns.
    rho : float, default=0.5
        Correlation of neighbouring columns, strictly between -1 and 1.
    location : float or array-like of shape (p,), default=0.0
        Mean.
    random_state : int, RandomState, Generator or None, default=None
        Stream; an integer gives the same rows on every call, a Generator is advanced.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`, `target` and `outliers` None, with `location`, `covariance` and `scatter`
        as in `make_contaminated_normal`.

    Raises
    ------
    ValueError
        When an argument is out of range.

    Notes
    -----
    Time and memory O(n p): the recursion runs over the columns, no p x p array exists.

    References
    ----------
    P. J. Bickel and E. Levina, Regularized estimation of large covariance matrices, Annals of Statistics 36
    (2008), 199-227, doi:10.1214/009053607000000758.

    Examples
    --------
    >>> from fmahal.datasets import make_ar1
    >>> rows = make_ar1(5, 10_000, rho=0.9, random_state=0)
    >>> rows.data.shape, rows.covariance
    ((5, 10000), AR1Covariance(size=10000, rho=0.9, scale=1.0))
    """
    n, p = check_count(n_samples, "n_samples"), check_count(n_features, "n_features")
    m = check_location(location, p)
    sigma = ar1_covariance(p, rho)
    Z = as_generator(random_state).standard_normal((n, p))
    return simulated(
        sigma.color(Z) + m,
        name="ar1",
        model=f"Normal rows, stationary autoregression along the columns with rho = {sigma.rho:.6g}",
        citation=(
            "P. J. Bickel and E. Levina, Regularized estimation of large covariance matrices, Annals of "
            "Statistics 36 (2008), 199-227, doi:10.1214/009053607000000758"
        ),
        location=m,
        scatter=sigma,
        covariance=sigma,
    )


def make_spiked(
    n_samples: int = 100,
    n_features: int = 1000,
    *,
    spikes: Sequence[float] = (50.0, 20.0, 10.0),
    noise: float = 1.0,
    location: float | ArrayLike = 0.0,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate normal rows with a few large eigenvalues above white noise.

    The covariance is ``noise I + V diag(spikes - noise) V'`` with r random orthonormal directions V (p, r):
    its largest eigenvalues are the spikes, the other p - r equal `noise`.

    Parameters
    ----------
    n_samples, n_features : int
        Numbers n of rows and p of columns.
    spikes : sequence of r floats, default=(50.0, 20.0, 10.0)
        Largest eigenvalues (variances), each above `noise`; r is at most p.
    noise : float, default=1.0
        Variance in every other direction, positive.
    location : float or array-like of shape (p,), default=0.0
        Mean.
    random_state : int, RandomState, Generator or None, default=None
        Stream; an integer gives the same rows on every call, a Generator is advanced.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`, `target` and `outliers` None, with `location`, `covariance` and `scatter`
        as in `make_contaminated_normal`; the directions are ``bunch.covariance.V``.

    Raises
    ------
    ValueError
        When an argument is out of range.

    Notes
    -----
    Time O(n p r + p r^2), memory O(n p + p r): no p x p array exists.

    References
    ----------
    I. M. Johnstone, On the distribution of the largest eigenvalue in principal components analysis, Annals of
    Statistics 29 (2001), 295-327, doi:10.1214/aos/1009210544.

    Examples
    --------
    >>> from fmahal.datasets import make_spiked
    >>> make_spiked(20, 5000, spikes=(30, 10), random_state=0).data.shape
    (20, 5000)
    """
    n, p = check_count(n_samples, "n_samples"), check_count(n_features, "n_features")
    noise = check_positive(noise, "noise")
    values = as_vector(spikes, "spikes")
    if values.size > p:
        raise ValueError(f"spikes has {values.size} entries, more than n_features={p}.")
    if np.any(values <= noise):
        raise ValueError(f"Every spike must exceed noise={noise:g}, got {values.min():g}.")
    m = check_location(location, p)
    generator = as_generator(random_state)
    sigma = SpectralCovariance(values - noise, random_directions(p, values.size, generator), ridge=noise)
    return simulated(
        sigma.color(generator.standard_normal((n, p))) + m,
        name="spiked",
        model=f"Normal rows with eigenvalues {values.tolist()} above noise {noise:.6g}",
        citation=(
            "I. M. Johnstone, On the distribution of the largest eigenvalue in principal components "
            "analysis, Annals of Statistics 29 (2001), 295-327, doi:10.1214/aos/1009210544"
        ),
        location=m,
        scatter=sigma,
        covariance=sigma,
    )
