"""Loaders: shapes, known values, masks, terms, and errors."""

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fmahal import datasets
from fmahal.datasets._bunch import read_table

REFERENCE = Path(__file__).parents[2].parent / "shared" / "data"
NAMES = ["hbk", "wood", "elnino", "wine", "breast-cancer", "iris", "diabetes", "digits", "linnerud"]
FIELDS = {
    "data",
    "feature_names",
    "target",
    "target_names",
    "outliers",
    "row_names",
    "name",
    "DESCR",
    "source",
    "licence",
    "citation",
}


def reference(path):
    full = REFERENCE / path
    if not full.exists():
        pytest.skip("reference data are not on this machine")
    return np.load(full, allow_pickle=True)


def squared_distances(X, rows):
    """Squared distances of X from mean and covariance of its `rows`, by the textbook formula."""
    centred = X - X[rows].mean(axis=0)
    return np.einsum("ij,ij->i", centred @ np.linalg.inv(np.cov(X[rows].T)), centred)


def test_names_in_listing_order():
    assert datasets.list_datasets() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_fields(name):
    bunch = datasets.load_dataset(name)
    assert set(bunch) >= FIELDS
    n, p = bunch.data.shape
    assert bunch.data.dtype == np.float64
    assert bunch.data.flags.c_contiguous
    assert np.isfinite(bunch.data).all()
    assert len(bunch.feature_names) == p == len(set(bunch.feature_names))
    assert all(type(column) is str for column in bunch.feature_names)
    assert bunch.name == name
    if bunch.target is not None:
        assert bunch.target.shape == (n,)
        assert bunch.target.dtype.kind == "i"
    if bunch.target_names is not None:
        assert set(np.unique(bunch.target)) == set(range(len(bunch.target_names)))
    if bunch.outliers is not None:
        assert bunch.outliers.shape == (n,)
        assert bunch.outliers.dtype == bool
        assert 0 < bunch.outliers.sum() < n / 2
    if bunch.row_names is not None:
        assert len(set(bunch.row_names)) == n
    for text in (bunch.source, bunch.licence, bunch.citation):
        assert len(text) > 20
        assert text in bunch.DESCR


@pytest.mark.parametrize("record", datasets.dataset_summaries(), ids=lambda record: record["name"])
def test_summary_tells_the_truth_without_loading(record):
    bunch = datasets.load_dataset(record["name"])
    assert (record["n"], record["p"]) == bunch.data.shape
    assert record["outliers"] == (None if bunch.outliers is None else bunch.outliers.sum())
    assert record["source"] == bunch.source
    assert record["licence"] == bunch.licence
    assert record["citation"] == bunch.citation
    assert 0 < len(record["summary"]) <= 100
    assert "\n" not in record["summary"]


@pytest.mark.parametrize("name", NAMES)
def test_loads_are_independent_and_pickle(name):
    first = datasets.load_dataset(name)
    kept = first.data.copy()
    again = pickle.loads(pickle.dumps(first))
    first.data[:] = -1.0
    np.testing.assert_array_equal(datasets.load_dataset(name).data, kept)
    np.testing.assert_array_equal(again.data, kept)


def test_name_is_forgiving():
    assert datasets.load_dataset(" Breast_Cancer").name == "breast-cancer"


@pytest.mark.parametrize("name", ["hbx", "", None, 3])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=r"Unknown data set .*hbk, wood, elnino, wine, breast-cancer"):
        datasets.load_dataset(name)


def test_import_is_cheap():
    code = (
        "import sys, fmahal.datasets as d; d.dataset_summaries(); "
        "print([m for m in ('sklearn', 'numba', 'scipy.signal', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("filename", "digits", "digest"),
    [
        ("hbk.csv", 1, "ad2fade43e22450686a71adac271c03ede49ea49bb6dcb1feb25093fe516c12e"),
        ("wood.csv", 4, "1ed3a7d5bbaedb3d106db7b0edf5c9bb65a33f2a5a9d7c2a0d27bd905e67f83c"),
        ("elnino.csv", 2, "6000a82208820e24d2b64566c3871bd4d7b8244acd1ff213ca1b2e32347cf362"),
    ],
)
def test_bundled_numbers_are_unchanged(filename, digits, digest):
    """The digest is that of the numbers as integers, so that line ends and formats of the file do not matter."""
    values = read_table(filename)[2]
    whole = np.rint(values * 10**digits)
    np.testing.assert_allclose(values * 10**digits, whole, rtol=1e-12)
    assert hashlib.sha256(whole.astype("<i8").tobytes()).hexdigest() == digest


def test_hbk():
    hbk = datasets.load_hbk()
    assert hbk.data.shape == (75, 3)
    assert hbk.response.shape == (75,)
    np.testing.assert_array_equal(hbk.data[[0, 13, 74]], [[10.1, 19.6, 28.3], [11, 34, 34], [0.3, 0.4, 2.6]])
    np.testing.assert_array_equal(hbk.response[[0, 13, 74]], [9.7, 0.1, 0.2])
    assert np.flatnonzero(hbk.outliers).tolist() == list(range(14))
    d2 = squared_distances(hbk.data, ~hbk.outliers)
    assert d2[hbk.outliers].min() > 10 * d2[~hbk.outliers].max()


def test_hbk_masks_its_outliers_from_the_classical_distance():
    hbk = datasets.load_hbk()
    d2 = squared_distances(hbk.data, np.full(75, True))
    assert np.flatnonzero(d2 > 9.348).tolist() == [11, 13]  # chi-square, 3 degrees of freedom, 97.5 %


def test_wood():
    wood = datasets.load_wood()
    assert wood.data.shape == (20, 5)
    np.testing.assert_array_equal(wood.data[3], [0.437, 0.1591, 0.446, 0.423, 0.992])
    assert [wood.row_names[i] for i in np.flatnonzero(wood.outliers)] == ["4", "6", "8", "19"]
    d2 = squared_distances(wood.data, ~wood.outliers)
    assert d2[wood.outliers].min() > 5 * d2[~wood.outliers].max()


def test_elnino():
    sst = datasets.load_elnino()
    assert sst.data.shape == (69, 12)
    assert sst.feature_names == [
        "Jan",
        "Feb",
        "Mar",
        "Apr",
        "May",
        "Jun",
        "Jul",
        "Aug",
        "Sep",
        "Oct",
        "Nov",
        "Dec",
    ]
    assert sst.row_names == [str(year) for year in range(1950, 2019)]
    np.testing.assert_array_equal(sst.years, np.arange(1950, 2019))
    assert sst.years[sst.outliers].tolist() == [1982, 1983, 1997, 1998]
    assert sst.data[0, 0] == 23.01
    assert sst.data[-1, -1] == 23.81
    climate = sst.data.mean(axis=0)
    assert np.argmax(climate) == 2  # the water is warmest in March
    assert sst.years[np.argmax(sst.data[:, 5])] == 1983  # and was never so warm in June as in 1983
    assert sst.years[np.argmax(sst.data[:, 11])] == 1997


def test_elnino_against_an_earlier_reconstruction():
    elnino = pytest.importorskip("statsmodels.datasets.elnino")
    earlier = elnino.load().raw_data.to_numpy(dtype=float)
    sst = datasets.load_elnino()
    np.testing.assert_array_equal(earlier[:, 0], sst.years[:61])
    gap = sst.data[:61] - earlier[:, 1:]
    spread = sst.data.std(axis=0).min()
    assert np.abs(gap).max() < spread  # 0.73 degrees at most
    np.testing.assert_allclose(gap.mean(), -0.123, rtol=0.01)
    assert np.corrcoef(sst.data[:61].ravel(), earlier[:, 1:].ravel())[0, 1] > 0.997


def test_tables_against_a_second_copy():
    copy = reference("multivariate/classical.npz")
    hbk, wood = datasets.load_hbk(), datasets.load_wood()
    np.testing.assert_array_equal(np.column_stack([hbk.data, hbk.response]), copy["hbk_full"])
    np.testing.assert_array_equal(hbk.outliers, copy["hbk_x__outlier"])
    np.testing.assert_array_equal(wood.data, copy["wood_x"])
    np.testing.assert_array_equal(wood.outliers, copy["wood_x__outlier"])


def test_elnino_against_a_second_copy():
    copy = reference("functional/elnino_sst.npz")
    sst = datasets.load_elnino()
    np.testing.assert_allclose(sst.data, copy["ERSST_1and2"], rtol=1e-12)
    np.testing.assert_array_equal(sst.years, copy["ERSST_years"])


def test_wine_has_cultivars_and_no_outliers():
    wine = datasets.load_wine()
    assert np.bincount(wine.target).tolist() == [59, 71, 48]
    assert wine.outliers is None


def test_breast_cancer_marks_the_malignant_minority():
    cancer = datasets.load_breast_cancer()
    assert cancer.target_names[0] == "malignant"
    np.testing.assert_array_equal(cancer.outliers, cancer.target == 0)
    assert cancer.outliers.sum() == 212


def test_diabetes_is_in_its_own_units():
    diabetes = datasets.load_diabetes()
    assert diabetes.data[0].tolist()[:4] == [59.0, 2.0, 32.1, 101.0]
    assert diabetes.target_names is None
    assert diabetes.target[0] == 151


def test_digits_span_61_dimensions():
    data = datasets.load_digits().data
    assert np.flatnonzero(np.ptp(data, axis=0) == 0).tolist() == [0, 32, 39]
    assert np.linalg.matrix_rank(data - data.mean(axis=0)) == 61


def test_linnerud_holds_both_halves():
    linnerud = datasets.load_linnerud()
    np.testing.assert_array_equal(linnerud.data[0], [5, 162, 60, 191, 36, 50])
    assert linnerud.target is None
