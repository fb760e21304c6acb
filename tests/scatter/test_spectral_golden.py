"""Spectral filters give the numbers of the reference programs, each in its own divisor, unit and power."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fmahal.scatter import SpectralFilter

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "hilbert_spectral.json").read_text())
NAMES = sorted(GOLDEN)
RTOL = 1e-9


def record(name):
    entry = GOLDEN[name]
    return np.array(entry["X"]), np.array(entry["Y"]), entry["outputs"], entry["params"]


def fitted(X, kind, n_components, alpha, ddof):
    """The filter of divisor n - ddof with an absolute alpha; alpha 0 is the exact inverse."""
    return SpectralFilter(
        kind, n_components=n_components, alpha=alpha, alpha_units="absolute", ddof=ddof
    ).fit(X)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("zoz")])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_zozoulenko(name):
    X, Y, outputs, params = record(name)
    for alpha in params["alphas"]:
        scatter = fitted(X, "rkhs", params["SVD_max_rank"], alpha, 0)
        assert scatter.n_components_ == outputs["rank"]
        np.testing.assert_allclose(scatter.eigenvalues_, outputs["eigenvalues"], rtol=RTOL)
        distance = scatter.mahalanobis(Y, squared=False)
        np.testing.assert_allclose(distance, outputs[f"mahalanobis_alpha_{alpha:g}"], rtol=RTOL)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("sigmahaknn")])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_sigmahaknn(name):
    X, Y, outputs, _ = record(name)
    scatter = SpectralFilter("inverse", ddof=0, outside="inf").fit(X)
    want = np.array(outputs["distance_Y_to_mean"], dtype=float)  # "inf" off the span
    assert scatter.n_components_ == outputs["rank"]
    np.testing.assert_allclose(scatter.mahalanobis(Y), len(X) * want, rtol=RTOL)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("skfda_grid")])
def test_scikit_fda_on_a_grid(name):
    X, Y, outputs, params = record(name)
    for K in params["n_components"]:
        for alpha in params["alpha"]:
            scatter = fitted(X, "rkhs", K, alpha, 1)
            want = outputs[f"sq_dist_to_mean_r{K}_alpha{alpha:g}"]
            np.testing.assert_allclose(scatter.mahalanobis(Y), want, rtol=RTOL)
            pairs = scatter.whitener_.sqnorm(Y - X[: len(Y)])
            np.testing.assert_allclose(pairs, outputs[f"sq_dist_Yi_to_Xi_r{K}_alpha{alpha:g}"], rtol=RTOL)
    np.testing.assert_allclose(scatter.eigenvalues_, outputs["eigenvalues_r6"], rtol=RTOL)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("skfda_basis")])
def test_scikit_fda_in_a_basis(name):
    X, Y, outputs, params = record(name)
    for alpha in params["alpha"]:
        scatter = fitted(X, "rkhs", params["n_components"], alpha, 1)
        want = outputs[f"sq_dist_to_mean_r{params['n_components']}_alpha{alpha:g}"]
        np.testing.assert_allclose(scatter.mahalanobis(Y), want, rtol=RTOL)
    np.testing.assert_allclose(scatter.eigenvalues_, outputs["eigenvalues"], rtol=RTOL)


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")
def test_trapezoid_weights():
    X, Y, outputs, _ = record("derived_grid_trapezoid")
    seen = 0
    for key, want in outputs.items():
        ddof = 1 if key.endswith("n_minus_1") else 0
        if match := re.match(r"galeano_sq_K(\d+)_", key):
            scatter = fitted(X, "truncate", int(match[1]), 0.0, ddof)
        elif match := re.match(r"berrendero_sq_alpha([\d.]+)_", key):
            scatter = fitted(X, "rkhs", None, float(match[1]), ddof)
        elif match := re.match(r"ghiglietti_sq_p(\d+)_", key):
            scatter = fitted(X, "ridge", None, 1.0 / float(match[1]), ddof)
        else:
            continue
        seen += 1
        np.testing.assert_allclose(scatter.mahalanobis(Y), want, rtol=RTOL, err_msg=key)
    assert seen == 13
    values = SpectralFilter("inverse", ddof=0, n_components=11).fit(X).eigenvalues_
    want = outputs["eigenvalues_divisor_n"]
    np.testing.assert_allclose(values, want[: len(values)], rtol=RTOL)


@pytest.mark.parametrize("p", [1, 100, 100000])
def test_ghiglietti_with_one_quadrature(p):
    X, Y, outputs, _ = record("gmfd_X")
    scatter = fitted(X, "ridge", None, 1.0 / p, 1)
    pair = np.sqrt(scatter.whitener_.sqnorm(Y[:1] - Y[1:]))
    np.testing.assert_allclose(pair, outputs[f"consistent_quadrature_value_p{p}"], rtol=RTOL)


@pytest.mark.parametrize("K", [1, 3, 5])
def test_truncated_with_one_quadrature(K):
    X, Y, outputs, _ = record("gmfd_X")
    scatter = fitted(X, "truncate", K, 0.0, 1)
    pair = np.sqrt(scatter.whitener_.sqnorm(Y[:1] - Y[1:]))
    np.testing.assert_allclose(pair, outputs[f"consistent_quadrature_trunc_k{K}"], rtol=RTOL)
