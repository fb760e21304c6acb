"""Another solution beside that of least determinant: when there is one worth a warning, and what to say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import FloatArray
from ._mcd_cluster import SEPARATE, cluster_message, separate_cluster
from ._mcd_fit import Estimate, ExactFit, Options, cutoff, from_subset
from ._mcd_large import LARGE_ROWS
from ._mcd_search import standardised

DISAGREE = 0.1  # share of rows with another verdict from which two solutions are worth a warning
FAR = 4.0  # cutoffs beyond which one solution has to put a row that the other accepts
_TERMS = 6  # of a hyperplane's equation, in a message


@dataclass(frozen=True)
class Alternative:
    """Another solution: the deterministic one, where that of least determinant disagrees, or one with a cluster.

    Attributes
    ----------
    location, covariance : ndarray
        Reweighted estimate, as `location_` and `covariance_`.
    objective : float
        Log-determinant of its subset, not below `objective_`.
    raw_support : ndarray of shape (n_samples,), bool
        Its h rows; with a cluster all rows of `support_` and of the cluster.
    d2 : ndarray of shape (n_samples,)
        Squared distances from it.
    share : float
        Share of the rows that one solution accepts and the other puts beyond four times its cutoff; with a cluster the
        share of its rows.
    cluster : ndarray of shape (n_samples,), bool, or None
        The rows of a separate cluster that the fit leaves out and this solution counts in.
    """

    location: FloatArray
    covariance: FloatArray
    objective: float
    raw_support: np.ndarray
    d2: FloatArray
    share: float
    cluster: np.ndarray | None = None


def alternative_to(X: FloatArray, found: Estimate, h: int, options: Options) -> Alternative | None:
    """Return the solution that competes with a fit to the rows `X`, subsets of h rows; None where none does.

    The deterministic one where the fit knows one that disagrees; else one with a separate cluster, if one is left out.
    """
    if found.other is not None and not np.array_equal(found.other, found.raw_support):
        other = _estimate(X, found.other, "deterministic", h, options)
        bound = FAR * cutoff(X.shape[1], options.reweight or 0.975)
        far = np.maximum(other.d2, found.d2) > bound
        share = float(np.mean(far & (other.weights != found.weights)))
        if share >= DISAGREE:
            return _shown(other, found.other, share)
    return _with_cluster(X, found, h, options)


def _with_cluster(X: FloatArray, found: Estimate, h: int, options: Options) -> Alternative | None:
    """Return the estimate that counts a separate cluster in, when the fit leaves one out."""
    if found.exact is not None or len(X) > LARGE_ROWS or np.mean(found.support) > 1.0 - SEPARATE:
        return None
    rows = np.asarray(X, dtype=np.float64)
    cluster = separate_cluster(found.whitener.whiten(rows - found.location), found.support)
    if cluster is None:
        return None
    support = found.support | cluster
    other = _estimate(rows, support, "cluster", h, options)
    return _shown(other, support, float(np.mean(cluster)), cluster)


def _estimate(X: FloatArray, support: np.ndarray, origin: str, h: int, options: Options) -> Estimate:
    rows = np.asarray(X, dtype=np.float64)
    Zt, _, scale = standardised(rows, h, options.known)
    return from_subset(rows, Zt, support, origin, options, 2.0 * float(np.log(scale).sum()))


def _shown(
    other: Estimate, support: np.ndarray, share: float, cluster: np.ndarray | None = None
) -> Alternative:
    return Alternative(other.location, other.covariance, other.objective, support, other.d2, share, cluster)


def exact_fit_message(plane: ExactFit, rank: int, names: Any) -> str:
    """Return what it means that rows lie on a hyperplane, by its equation, and what to do, for a warning."""
    terms = [
        f"{value:+.4g} {names[j] if names is not None else f'x{j}'}"
        for j, value in enumerate(plane.normal)
        if abs(value) > 1e-8
    ]
    shown = " ".join(terms[:_TERMS]) + (" ..." if len(terms) > _TERMS else "")
    where = f"lie on the hyperplane {shown} = {plane.offset:.6g}" if rank else "are the same point"
    return (
        f"{int(plane.rows.sum())} of {plane.rows.size} rows {where}: their determinant is zero. Usual causes are "
        "constant, duplicated or coded columns, sums of columns, and repeated rows. Distances are measured inside "
        f"({rank} dimensions); rows off it have a residual and weight 0. Drop such a column if it carries no "
        "information. If the training rows are known to be clean, support_fraction=0.9 leaves fewer of them off a "
        "hyperplane."
    )


def alternative_message(other: Alternative, support: np.ndarray, objective: float) -> str:
    """Return what a competing solution may mean and what to do, for a warning."""
    if other.cluster is not None:
        return cluster_message(support, other.share)
    return (
        f"Two solutions disagree on {100 * other.share:.0f} % of the rows: the subset of least determinant (objective "
        f"{objective:.6g}) and the deterministic one ({other.objective:.6g}, in alternative_). A tight cluster of rows "
        "is the usual cause: the least determinant may hold all of it. Look at both sets of distances."
    )
