"""Real curves whose outliers are known."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from fmahal import MRCD, MahalanobisDetector, MinCovDet
from fmahal.datasets import load_elnino
from fmahal.scatter import SpectralFilter
from fmahal.spaces import L2Space, SphericalPCA

CURVES = Path(__file__).parents[2].parent / "shared" / "data" / "functional"


def load(name):
    if not (CURVES / name).exists():
        pytest.skip(f"{name} is not there")
    with np.load(CURVES / name) as file:
        return {key: file[key] for key in file.files}


ROBUST = {
    "mcd": make_pipeline(L2Space(), SphericalPCA(), MinCovDet(random_state=0)),
    "mrcd on scores": make_pipeline(L2Space(), SphericalPCA(), MRCD()),
    "mrcd": make_pipeline(L2Space(), MRCD()),
}
ALL = ROBUST | {
    "rkhs": make_pipeline(L2Space(), SpectralFilter()),
    "truncate": make_pipeline(L2Space(), SpectralFilter("truncate")),
}


@pytest.mark.parametrize("name", ROBUST)
def test_octane(name):
    """Six gasoline spectra with added alcohol, of 39."""
    X = load("octane.npz")["X"]
    detector = MahalanobisDetector(ROBUST[name], alpha=0.01).fit(X)
    assert (np.flatnonzero(detector.labels_ == -1) + 1).tolist() == [25, 26, 36, 37, 38, 39]


def test_octane_is_masked_without_robustness():
    X = load("octane.npz")["X"]
    detector = MahalanobisDetector(ALL["rkhs"], alpha=0.01).fit(X)
    assert np.sum(detector.labels_ == -1) < 6


@pytest.mark.parametrize("name", ALL)
def test_el_nino(name):
    """The sea was warm in 1982 and 1983, and in 1997 and 1998."""
    sst = load_elnino()
    detector = MahalanobisDetector(ALL[name], alpha=0.05).fit(sst.data)
    flagged = set(sst.years[detector.labels_ == -1].tolist())
    assert {1982, 1983, 1997, 1998} <= flagged
    assert len(flagged) <= 8


@pytest.mark.parametrize("name", ALL)
def test_nitrogen_oxides_of_days_without_work(name):
    """Concentrations over the day, in logarithms, at a street of Poblenou: against the law of working days."""
    data = load("poblenou_nox.npz")
    curves, free = np.log(data["X"]), data["label_nonworking"] == 1
    detector = MahalanobisDetector(ALL[name], alpha=0.05).fit(curves[~free])
    assert np.mean(detector.predict(curves[free]) == -1) > 0.3
    assert np.mean(detector.labels_ == -1) < 0.15
