"""Eigenvalues of small symmetric matrices by rotations, and powers of their shapes."""

import numpy as np

from ._jit import jit

SWEEPS = 30  # of rotations; five are usual
LARGEST = 12.0  # largest log-ratio of an eigenvalue of a stretched matrix to their geometric mean


@jit
def _rotate(A, V, p, q):
    """Rotate rows and columns p < q of the symmetric A so that A[p, q] vanishes; eigenvectors are rows of V."""
    theta = 0.5 * (A[q, q] - A[p, p]) / A[p, q]
    t = 1.0 / (abs(theta) + np.sqrt(1.0 + theta * theta))
    if theta < 0.0:
        t = -t
    c = 1.0 / np.sqrt(1.0 + t * t)
    s = t * c
    size = A.shape[0]
    for k in range(size):
        x, y = A[p, k], A[q, k]
        A[p, k] = c * x - s * y
        A[q, k] = s * x + c * y
    for k in range(size):
        x, y = A[k, p], A[k, q]
        A[k, p] = c * x - s * y
        A[k, q] = s * x + c * y
    for k in range(size):
        x, y = V[p, k], V[q, k]
        V[p, k] = c * x - s * y
        V[q, k] = s * x + c * y


@jit
def eigen(A, V):
    """Diagonalise a symmetric A in place by cyclic rotations; row k of V is the eigenvector of A[k, k]. O(p^3)."""
    p = A.shape[0]
    for j in range(p):
        for k in range(p):
            V[j, k] = 1.0 if j == k else 0.0
    for _ in range(SWEEPS):
        off, size = 0.0, 0.0
        for j in range(p):
            size += A[j, j] * A[j, j]
            for k in range(j):
                off += A[j, k] * A[j, k]
        if not off > 1e-30 * size:
            return
        for j in range(p - 1):
            for k in range(j + 1, p):
                if abs(A[j, k]) > 1e-18 * np.sqrt(abs(A[j, j] * A[k, k])):
                    _rotate(A, V, j, k)


@jit
def stretch(S, power, tol, A, V):
    """Raise the shape of S to a power, its determinant staying; False when S is singular.

    Logarithms of eigenvalues, minus their mean, are multiplied by `power` and cut off at LARGEST. Reads and writes the
    lower half of S; A and V are (p, p) work space.
    """
    p = S.shape[0]
    for j in range(p):
        for k in range(j + 1):
            A[j, k] = S[j, k]
            A[k, j] = S[j, k]
    eigen(A, V)
    low, high, mean, trace = np.inf, 0.0, 0.0, 0.0
    for j in range(p):
        low = min(low, A[j, j])
        high = max(high, A[j, j])
        trace += A[j, j]
    if not low > tol * high or not trace < np.inf:  # NaN stops here too
        return False
    for j in range(p):
        A[j, 0] = np.log(A[j, j])
        mean += A[j, 0] / p
    for j in range(p):
        A[j, 0] = np.exp(mean + min(max(power * (A[j, 0] - mean), -LARGEST), LARGEST))
    for j in range(p):
        for k in range(j + 1):
            s = 0.0
            for l in range(p):
                s += A[l, 0] * V[l, j] * V[l, k]
            S[j, k] = s
    return True
