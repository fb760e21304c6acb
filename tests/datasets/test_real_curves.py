"""Real curves: the bundled ones as FDataGrid, those that scikit-fda fetches, and what is said when it cannot."""

import sys

import numpy as np
import pytest

from fmahal.datasets import list_functional, load_elnino, load_functional


@pytest.fixture
def skfda():
    return pytest.importorskip("skfda")


@pytest.fixture
def octane(skfda, monkeypatch):
    """scikit-fda with curves of our own in the place of those it would fetch."""
    curves = skfda.FDataGrid(np.arange(12.0).reshape(3, 4), np.linspace(1102, 1552, 4))
    found = {"data": curves, "target": np.array([False, True, False]), "target_names": ["is outlier"]}
    found |= {"DESCR": "Gasolines.", "feature_names": ["absorbances"]}
    monkeypatch.setattr(skfda.datasets, "fetch_octane", lambda: found)
    monkeypatch.setattr(skfda.datasets, "fetch_growth", lambda: found)
    return found


def test_elnino_as_curves(skfda):
    plain, curves = load_elnino(), load_elnino(return_fdata=True)
    np.testing.assert_array_equal(curves.data.data_matrix[..., 0], plain.data)
    np.testing.assert_array_equal(curves.data.grid_points[0], np.arange(1, 13))
    assert curves.data.sample_names[0] == "1950"
    assert curves.data.argument_names == ("month",)
    np.testing.assert_array_equal(curves.outliers, plain.outliers)


def test_curves_come_as_scikit_fda_makes_them(octane):
    bunch = load_functional(" Octane ")
    assert bunch.data is octane["data"]
    np.testing.assert_array_equal(bunch.outliers, [False, True, False])
    assert "Gasolines." in bunch.DESCR
    assert (bunch.name, bunch.target_names, bunch.feature_names) == (
        "octane",
        ["is outlier"],
        ["absorbances"],
    )
    assert load_functional("growth").outliers is None


def test_every_name_has_a_loader(skfda):
    for name in list_functional():
        assert callable(getattr(skfda.datasets, "fetch_" + name.replace("-", "_")))


def test_without_a_network_the_error_says_so(skfda, monkeypatch):
    def fails():
        raise OSError("Name or service not known")

    monkeypatch.setattr(skfda.datasets, "fetch_bone_density", fails)
    with pytest.raises(OSError, match=r"could not fetch the curves 'bone-density': Name or .*no network"):
        load_functional("bone_density")


def test_without_scikit_fda_the_errors_say_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "skfda", None)
    with pytest.raises(ImportError, match="pip install scikit-fda"):
        load_functional("growth")
    with pytest.raises(ImportError, match="pip install scikit-fda"):
        load_elnino(return_fdata=True)


@pytest.mark.parametrize("name", ["wine", 3, None])
def test_unknown_names(name):
    with pytest.raises(ValueError, match=r"Unknown curves .* Available: aemet, bone-density"):
        load_functional(name)
