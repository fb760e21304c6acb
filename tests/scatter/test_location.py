"""The spatial median: optimal, equivariant, and not stopped by data points or lines."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from strategies import generators

from fmahal.scatter import spatial_median


def residual(X, y):
    """Norm of the smallest subgradient of the total distance, per row."""
    gap = X - y
    distance = np.linalg.norm(gap, axis=1)
    at = distance <= 1e-12 * np.median(distance)
    pull = np.linalg.norm((gap[~at] / distance[~at, None]).sum(axis=0))
    return max(pull - at.sum(), 0.0) / len(X)


@given(generators(), st.integers(3, 60), st.integers(2, 12), st.sampled_from([1e-8, 1.0, 1e8]), st.booleans())
def test_optimal(rng, n, p, scale, heavy):
    X = rng.standard_t(1.5, size=(n, p)) if heavy else rng.normal(size=(n, p))
    X = scale * (X + 3.0)
    y = spatial_median(X)
    assert residual(X, y) < 1e-9
    total = reference.total_distance(X, y)
    for step in rng.normal(size=(5, p)) * scale:
        for size in (1e-3, 1e-1, 1.0):
            assert reference.total_distance(X, y + size * step) >= total * (1 - 1e-12)


@pytest.mark.parametrize("shape", [(30, 4), (12, 50), (51, 2)])
def test_equivariant(shape):
    rng = np.random.default_rng(0)
    X = rng.normal(size=shape)
    Q, _ = np.linalg.qr(rng.normal(size=(shape[1], shape[1])))
    shift = rng.normal(size=shape[1])
    np.testing.assert_allclose(
        spatial_median(1e4 * X @ Q + shift), 1e4 * spatial_median(X) @ Q + shift, rtol=1e-7, atol=1e-5
    )


def test_data_point_is_the_median():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(20, 3)) + 5.0
    X[4] = X[9]
    X = np.vstack([X, np.repeat(X[4:5], 12, axis=0)])
    np.testing.assert_allclose(spatial_median(X), X[4], rtol=1e-14)


def test_start_on_a_data_point_that_is_not_the_median():
    X = np.array([[0.0, 0.0], [1.0, -5.0], [-1.0, -4.0], [-6.0, 1.0], [7.0, 2.0], [0.5, 8.0], [3.0, 9.0]])
    np.testing.assert_array_equal(np.median(X, axis=0), [0.5, 1.0])
    X = X - [0.5, 1.0]
    X = np.vstack([X, [[0.0, 0.0]]])
    assert residual(X, spatial_median(X)) < 1e-10


def test_lines_and_single_columns():
    t = np.array([-7.0, -1.0, 0.0, 2.0, 30.0])
    np.testing.assert_array_equal(spatial_median(t[:, None]), [0.0])
    line = np.outer(t, [3.0, 4.0, 0.0]) + 1.0
    np.testing.assert_allclose(spatial_median(line), [1.0, 1.0, 1.0], rtol=1e-13)
    np.testing.assert_allclose(spatial_median(line[:4]), line[[1, 2]].mean(axis=0), rtol=1e-13)
    np.testing.assert_array_equal(spatial_median(np.full((4, 3), 0.3)), np.full(3, 0.3))
    np.testing.assert_array_equal(spatial_median(np.array([[1.0, 2.0]])), [1.0, 2.0])


def test_known_answers():
    triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    np.testing.assert_allclose(spatial_median(triangle), triangle.mean(axis=0), rtol=1e-10)  # Fermat point
    quadrilateral = np.array([[0.0, 0.0], [4.0, 0.0], [6.0, 6.0], [0.0, 4.0]])
    np.testing.assert_allclose(spatial_median(quadrilateral), [2.0, 2.0], rtol=1e-10)  # diagonals cross


def test_breakdown():
    X = np.random.default_rng(2).normal(size=(50, 3))
    X[:20] += 1e9
    assert np.linalg.norm(spatial_median(X)) < 10


def test_says_when_it_stops_early():
    X = np.random.default_rng(3).normal(size=(40, 3))
    with pytest.warns(ConvergenceWarning, match="after 1 steps"):
        spatial_median(X, max_iter=1)
