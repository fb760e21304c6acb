"""Numbers computed elsewhere: R, scikit-learn, and a separate implementation of the nonlinear shrinkage."""

import json

import numpy as np
import pytest

from fmahal.exceptions import RankDeficientWarning
from fmahal.scatter import OAS, QIS, EmpiricalCovariance, LedoitWolf


@pytest.fixture(scope="module")
def cases(fixtures_dir):
    return json.loads((fixtures_dir / "robust_classical.json").read_text())


FULL_RANK = [
    "bushfire",
    "cars",
    "cushny",
    "hbk_x",
    "iris4",
    "octane_s30",
    "pulpfiber",
    "salinity_x",
    "stackloss_full",
    "toxicity",
    "wages",
    "wood_x",
]
WIDE = ["sim12_pgtn_n60_p100", "sim13_pgtn_n40_p60"]


@pytest.mark.parametrize("name", FULL_RANK)
def test_classical(cases, name):
    case = cases[name]
    X = np.array(case["x"])
    n = len(X)
    scatter = EmpiricalCovariance().fit(X)
    np.testing.assert_allclose(scatter.location_, case["mean"], rtol=1e-12)
    rtol = 1e-6 if name in ("octane_s30", "wages") else 1e-10  # ill conditioned
    np.testing.assert_allclose(scatter.mahalanobis(X) * (n - 1) / n, case["mah"], rtol=rtol)
    logdet = scatter.whitener_.logdet + case["p"] * np.log(n / (n - 1))
    assert logdet == pytest.approx(case["logdet"], rel=rtol)
    if "cov" in case:
        covariance = np.atleast_2d(case["cov"])
        sd = np.sqrt(np.diagonal(covariance))
        gap = (scatter.covariance_ * n / (n - 1) - covariance) / np.outer(sd, sd)
        assert np.abs(gap).max() < 1e-13


def test_singular_data_of_the_literature(cases):
    X = np.array(cases["possum_mat"]["x"])
    with pytest.warns(RankDeficientWarning, match=r"span 12 of 14 .* determine: 9, 13\."):
        scatter = EmpiricalCovariance().fit(X)
    assert scatter.rank_ == 12
    np.testing.assert_allclose(scatter.mahalanobis(X).sum(), 12 * len(X), rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in FULL_RANK if name != "cushny"] + ["possum_mat", *WIDE])
def test_linear_shrinkage(cases, name):
    case = cases[name]
    X = np.array(case["x"])
    for estimator, field in ((LedoitWolf(), "lw2004"), (OAS(), "oas")):
        scatter = estimator.fit(X)
        assert scatter.shrinkage_ == pytest.approx(case[f"{field}_shrinkage"], rel=1e-10)
        if f"{field}_cov" in case:
            expected = np.array(case[f"{field}_cov"])
            assert np.abs(scatter.covariance_ - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("name", [name for name in FULL_RANK if name != "cushny"] + WIDE)
def test_quadratic_inverse_shrinkage(cases, name):
    case = cases[name]
    X = np.array(case["x"])
    scatter = QIS().fit(X)
    rtol = 1e-6 if name in ("octane_s30", "wages") else 1e-9
    np.testing.assert_allclose(scatter.eigenvalues_, case["qis2022_eigenvalues"], rtol=rtol)
    total = np.sum(case["sample_eigenvalues_ascending"])
    assert scatter.eigenvalues_.sum() == pytest.approx(total, rel=1e-12)
    if "qis2022_cov" in case:
        expected = np.array(case["qis2022_cov"])
        assert np.abs(scatter.covariance_ - expected).max() < 1e-10 * np.abs(expected).max()
