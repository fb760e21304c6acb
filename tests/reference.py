"""Slow readable twins of what fmahal computes: the specification, in plain NumPy.

Nothing here is fast, blocked or clever; each function is the formula.
"""

import numpy as np


def squared_distance(X, location, covariance):
    """d^2 = (x - m)' Sigma^-1 (x - m), row by row, by a linear solve in the units of the correlation matrix."""
    X = np.asarray(X, dtype=float)
    sd = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sd, sd)
    return np.array([z @ np.linalg.solve(correlation, z) for z in (X - location) / sd])


def squared_distance_on_range(X, location, covariance, rank):
    """The same on the range of a singular covariance: the `rank` leading directions of the correlation matrix."""
    sd = np.sqrt(np.diagonal(covariance))
    sd = np.where(sd > 0, sd, sd.max())
    w, V = np.linalg.eigh(covariance / np.outer(sd, sd))
    w, V = w[-rank:], V[:, -rank:]
    scores = ((np.asarray(X, dtype=float) - location) / sd) @ V
    return (scores**2 / w).sum(axis=1)


def cross_squared_distance(XA, XB, covariance):
    """All pairs of rows of two arrays."""
    return np.array([squared_distance(XB, a, covariance) for a in np.asarray(XA, dtype=float)])


def spectral_covariance(w, V, ridge, scale):
    """D (V diag(w) V' + ridge I) D as a dense matrix."""
    p = V.shape[0]
    D = np.diag(np.ones(p) if scale is None else scale)
    return D @ (V @ np.diag(w) @ V.T + ridge * np.eye(p)) @ D


def unit_lower_from_band(band):
    """T with -phi_{j,j-t} in row j, column j - t, from coefficients (p, k)."""
    p, k = band.shape
    T = np.eye(p)
    for j in range(p):
        for t in range(1, min(k, j) + 1):
            T[j, j - t] = -band[j, t - 1]
    return T


def unit_lower_from_dual(dual, columns):
    """T with -phi_jk = -columns_k . dual_j below the diagonal."""
    p = dual.shape[0]
    T = np.eye(p)
    for j in range(p):
        for k in range(j):
            T[j, k] = -(columns[k] @ dual[j])
    return T


def modified_cholesky_precision(T, var):
    """T' D^-1 T as a dense matrix."""
    return T.T @ np.diag(1.0 / np.asarray(var)) @ T
