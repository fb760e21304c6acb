"""Simulated curves: formulas through moments, labels, seeds, shared draws, spectra, and errors."""

import importlib.util

import numpy as np
import pytest

from fmahal.datasets import make_functional_samples, make_outlying_curves
from fmahal.datasets._curves import CURVE_MODELS

HAS_SKFDA = importlib.util.find_spec("skfda") is not None
MODELS = list(CURVE_MODELS)
T = 21
t = np.linspace(0.0, 1.0, T)
LAG = np.abs(np.subtract.outer(t, t))
WAVES = np.outer(np.sin(2 * np.pi * t), np.sin(2 * np.pi * t)) + np.outer(
    np.cos(2 * np.pi * t), np.cos(2 * np.pi * t)
)
ROUGH = np.exp(-LAG)


def covered(start, width):
    """Probability that t lies in [u, u + width], u uniform on (0.1, 0.9)."""
    return (np.clip(start, 0.1, 0.9) - np.clip(start - width, 0.1, 0.9)) / 0.8


def both_covered(width):
    low = np.maximum.outer(t, t) - width
    return np.maximum(np.clip(np.minimum.outer(t, t), 0.1, 0.9) - np.clip(low, 0.1, 0.9), 0.0) / 0.8


U = np.linspace(0.25, 0.75, 20_001)
BUMP = np.exp(-50.0 * (t[:, None] - U) ** 2) / np.sqrt(0.02 * np.pi) - 1.8
WAVE = 2.0 * np.sin(4.0 * np.pi * (t[:, None] + U))
AMOUNTS = [(2.0, 1.0 / 12.0), (9.75, 1.5**2 / 12.0)]  # mean and variance of both ends
MEAN_A = np.mean([m for m, _ in AMOUNTS])
LAW = {  # mean and covariance of regular curves, then of outliers, by the formulas
    "magnitude": (4 * t, ROUGH, 4 * t, ROUGH + 64.0),
    "peak": (4 * t, ROUGH, 4 * t, ROUGH + 64.0 * both_covered(0.05)),
    "shift": (4 * t, ROUGH, 4 * t, ROUGH + 36.0 * both_covered(10.0)),
    "shape": (30 * t * (1 - t) ** 1.5, ROUGH, 30 * (1 - t) * t**1.5, ROUGH),
    "covariance": (4 * t, ROUGH, 4 * t, 5.0 * np.exp(-2.0 * np.sqrt(LAG))),
    "bump": (4 * t, ROUGH, 4 * t, ROUGH + BUMP @ BUMP.T / U.size),
    "periodic": (
        4 * t,
        ROUGH,
        4 * t + WAVE.mean(axis=1),
        ROUGH + np.cov(WAVE, ddof=0),
    ),
    "phase": (2 * np.sin(15 * np.pi * t), ROUGH, 2 * np.sin(15 * np.pi * t + 2), ROUGH),
    "amplitude": (
        5.5 * (np.sin(2 * np.pi * t) + np.cos(2 * np.pi * t)),
        ROUGH + 25.0 / 12.0 * WAVES,
        MEAN_A * (np.sin(2 * np.pi * t) + np.cos(2 * np.pi * t)),
        ROUGH
        + np.mean([v for _, v in AMOUNTS]) * WAVES
        + np.var([m for m, _ in AMOUNTS])
        * np.outer(
            np.sin(2 * np.pi * t) + np.cos(2 * np.pi * t), np.sin(2 * np.pi * t) + np.cos(2 * np.pi * t)
        ),
    ),
}


def check_moments(X, mean, covariance):
    """Sample moments of iid rows are within six estimated standard errors of their expectation."""
    rounding = 1e-12 * np.abs(X).max()  # where the curves are pinned
    error = X.std(axis=0) / np.sqrt(len(X))
    assert (np.abs(X.mean(axis=0) - mean) <= 6 * error + rounding).all()
    V = X - mean
    products = V[:, :, None] * V[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(X))
    assert (np.abs(products.mean(axis=0) - covariance) <= 6 * error + rounding).all()


@pytest.mark.parametrize("model", MODELS)
def test_moments_are_those_of_the_formulas(model):
    bunch = make_outlying_curves(model, 3000, T, contamination=0.5, random_state=3)
    mean, covariance, other_mean, other_covariance = LAW[model]
    check_moments(bunch.data[~bunch.outliers], mean, covariance)
    check_moments(bunch.data[bunch.outliers], other_mean, other_covariance)


@pytest.mark.parametrize("model", MODELS)
def test_outliers_are_the_curves_that_differ_from_the_clean_sample(model):
    clean = make_outlying_curves(model, 80, T, contamination=0.0, random_state=5)
    some = make_outlying_curves(model, 80, T, contamination=0.1, random_state=5)
    more = make_outlying_curves(model, 80, T, contamination=0.3, random_state=5)
    assert not clean.outliers.any()
    assert some.outliers.sum() == 8
    assert more.outliers.sum() == 24
    assert more.outliers[some.outliers].all()
    for one in (some, more):
        np.testing.assert_array_equal(np.any(one.data != clean.data, axis=1), one.outliers)
        np.testing.assert_array_equal(one.target, one.outliers.astype(int))
    np.testing.assert_array_equal(more.data[some.outliers], some.data[some.outliers])


def test_models_share_their_noise():
    magnitude, shape = (make_outlying_curves(m, 30, T, contamination=0.2, random_state=1) for m in (1, 4))
    clean = ~magnitude.outliers
    np.testing.assert_array_equal(magnitude.outliers, shape.outliers)
    noise = magnitude.data[clean] - 4 * t
    np.testing.assert_allclose(shape.data[clean] - 30 * t * (1 - t) ** 1.5, noise, rtol=0, atol=1e-12)


def test_a_peak_covers_the_points_within_a_twentieth():
    bunch = make_outlying_curves("peak", 400, 101, contamination=0.5, random_state=2)
    clean = make_outlying_curves("peak", 400, 101, contamination=0.0, random_state=2)
    moved = np.abs(bunch.data - clean.data)[bunch.outliers]
    where = moved > 1.0
    assert set(where.sum(axis=1)) <= {5, 6}
    np.testing.assert_allclose(moved[where], 8.0)
    for row in where:
        assert np.all(np.diff(np.flatnonzero(row)) == 1)
        assert bunch.grid_points[np.flatnonzero(row)[0]] + 1e-9 >= 0.1


def test_numbers_are_names():
    for number, name in enumerate(MODELS, start=1):
        one, two = (make_outlying_curves(m, 10, 5, random_state=0) for m in (number, name))
        np.testing.assert_array_equal(one.data, two.data)
        assert one.model == two.model == name


@pytest.mark.parametrize("make", [make_outlying_curves, make_functional_samples])
def test_fields_and_seeds(make):
    bunch = make(n_samples=12, n_points=7, random_state=4)
    assert bunch.data.shape == (12, 7)
    assert bunch.data.flags.c_contiguous
    np.testing.assert_array_equal(bunch.grid_points, np.linspace(0, 1, 7))
    assert len(bunch.feature_names) == 7
    for field in ("name", "DESCR", "source", "licence", "citation", "model"):
        assert len(bunch[field]) >= 3
    np.testing.assert_array_equal(make(n_samples=12, n_points=7, random_state=4).data, bunch.data)
    assert np.all(make(n_samples=12, n_points=7, random_state=5).data[:, 1] != bunch.data[:, 1])
    for stream in (np.random.default_rng, np.random.RandomState):
        one, two = stream(3), stream(3)
        drawn = make(n_samples=5, n_points=4, random_state=one).data
        np.testing.assert_array_equal(make(n_samples=5, n_points=4, random_state=two).data, drawn)
        assert np.any(make(n_samples=5, n_points=4, random_state=one).data != drawn)


@pytest.mark.parametrize("process", ["brownian", "bridge", "exponential"])
def test_moments_of_a_process(process):
    mean = np.cos(t)
    bunch = make_functional_samples(process, 2000, T, mean=mean, scale=4.0, length_scale=0.3, random_state=0)
    check_moments(bunch.data, mean, bunch.covariance)
    kernel = {
        "brownian": np.minimum.outer(t, t),
        "bridge": np.minimum.outer(t, t) - np.outer(t, t),
        "exponential": np.exp(-LAG / 0.3),
    }[process]
    np.testing.assert_allclose(bunch.covariance, 4.0 * kernel, atol=1e-14)


@pytest.mark.parametrize("process", ["brownian", "bridge"])
def test_the_spectrum_is_that_of_the_covariance_operator(process):
    bunch = make_functional_samples(process, 2, 201, scale=2.0, random_state=0)
    step = np.diff(bunch.grid_points)[0]
    weights = np.full(201, step)
    weights[[0, -1]] /= 2
    root = np.sqrt(weights)
    values, vectors = np.linalg.eigh(root[:, None] * bunch.covariance * root)
    np.testing.assert_allclose(values[::-1][:5], bunch.eigenvalues[:5], rtol=2e-3)
    for k in range(5):
        assert abs(vectors[:, -1 - k] @ (root * bunch.eigenfunctions[k])) > 0.999
    assert make_functional_samples("exponential", 2, 5).eigenvalues is None


def test_an_odd_number_of_outliers_is_rounded_up():
    assert make_outlying_curves(n_samples=25, contamination=0.1, random_state=0).outliers.sum() == 3


@pytest.mark.skipif(not HAS_SKFDA, reason="scikit-fda is not installed")
@pytest.mark.parametrize("make", [make_outlying_curves, make_functional_samples])
def test_fdata(make):
    curves = make(n_samples=6, n_points=9, random_state=0, return_fdata=True)
    plain = make(n_samples=6, n_points=9, random_state=0)
    np.testing.assert_array_equal(curves.data.data_matrix[..., 0], plain.data)
    np.testing.assert_array_equal(curves.data.grid_points[0], plain.grid_points)


def test_without_scikit_fda_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skfda", None)
    with pytest.raises(ImportError, match="pip install scikit-fda"):
        make_outlying_curves(return_fdata=True)


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (make_outlying_curves, {"model": "wave"}, "model must be one of 'magnitude'"),
        (make_outlying_curves, {"model": 0}, "number from 1 to 9"),
        (make_outlying_curves, {"model": 10}, "number from 1 to 9"),
        (make_outlying_curves, {"model": True}, "model must be one of"),
        (make_outlying_curves, {"model": 2.5}, "number from 1 to 9"),
        (make_outlying_curves, {"contamination": 0.6}, "between 0 and 0.5"),
        (make_outlying_curves, {"contamination": np.nan}, "contamination"),
        (make_outlying_curves, {"n_points": 1}, "one point is not a curve"),
        (make_outlying_curves, {"n_samples": 0}, "n_samples"),
        (make_functional_samples, {"process": "levy"}, "process must be one of"),
        (make_functional_samples, {"n_points": 1}, "one point is not a curve"),
        (make_functional_samples, {"scale": 0.0}, "scale must be positive"),
        (make_functional_samples, {"length_scale": -1.0}, "length_scale must be positive"),
        (make_functional_samples, {"mean": [1.0, 2.0]}, "mean must have shape"),
    ],
)
def test_errors_name_the_argument(make, arguments, words):
    with pytest.raises(ValueError, match=words):
        make(**arguments)
