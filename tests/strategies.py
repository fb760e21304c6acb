"""Hypothesis strategies: data and scatter matrices over shape, dtype, layout, conditioning and scale."""

import numpy as np
from hypothesis import strategies as st

SCALES = (1e-8, 1e-3, 1.0, 1e3, 1e8)
LAYOUTS = ("C", "F", "strided", "readonly", "reversed")


def lay_out(X, layout):
    """Return the same numbers in another memory layout."""
    if layout == "F":
        return np.asfortranarray(X)
    if layout == "strided":
        wide = np.zeros((X.shape[0], 2 * X.shape[1]), X.dtype)
        wide[:, ::2] = X
        return wide[:, ::2]
    if layout == "reversed":
        return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    X = np.array(X, order="C")
    if layout == "readonly":
        X.flags.writeable = False
    return X


@st.composite
def generators(draw):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


@st.composite
def shapes(draw, max_n=90, max_p=12, min_n=2, min_p=1):
    return draw(st.integers(min_n, max_n)), draw(st.integers(min_p, max_p))


@st.composite
def covariances(draw, p, max_log_condition=6.0):
    """Positive definite (p, p) matrix with columns in units from 1e-8 to 1e8."""
    rng = draw(generators())
    log_condition = draw(st.floats(0.0, max_log_condition))
    Q, _ = np.linalg.qr(rng.standard_normal((p, p)))
    eigenvalues = np.logspace(0.0, -log_condition, p) if p > 1 else np.ones(1)
    units = np.array([draw(st.sampled_from(SCALES)) for _ in range(p)])
    matrix = (Q * eigenvalues) @ Q.T * np.outer(units, units)
    return 0.5 * (matrix + matrix.T)


@st.composite
def rows(draw, n, p, dtype=None):
    """(n, p) array of normal rows with an offset, in a drawn dtype and layout."""
    rng = draw(generators())
    offset = draw(st.sampled_from((0.0, 1.0, 100.0)))
    X = rng.standard_normal((n, p)) + offset
    X = X.astype(dtype or draw(st.sampled_from((np.float64, np.float32))))
    return lay_out(X, draw(st.sampled_from(LAYOUTS)))
