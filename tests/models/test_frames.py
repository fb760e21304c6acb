"""Data frames that cannot be measured: the error names the columns."""

import re

import numpy as np
import pytest

from fmahal import (
    AdaptiveMahalanobisIndex,
    EmpiricalCovariance,
    LedoitWolf,
    MahalanobisDetector,
    MinCovDet,
    SpectralFilter,
    _validation,
)

pd = pytest.importorskip("pandas")


@pytest.fixture
def frame():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=list("abc"))


@pytest.mark.parametrize("estimator", [EmpiricalCovariance(), LedoitWolf(), MinCovDet(random_state=0), None])
@pytest.mark.parametrize("value", ["soft", pd.Timestamp("2020-02-02")])
def test_columns_of_text_and_dates_are_named(frame, estimator, value):
    detector = MahalanobisDetector(estimator, "chi2")
    with pytest.raises(
        ValueError, match=re.escape("columns that are not numbers: 'sort of \u00e9tat' (")
    ) as caught:
        detector.fit(frame.assign(**{"sort of \u00e9tat": value}))
    assert "'a'" not in str(caught.value)
    assert "select_dtypes('number')" in str(caught.value)


def test_new_rows_are_checked_too(frame):
    detector = MahalanobisDetector(EmpiricalCovariance()).fit(frame)
    with pytest.raises(ValueError, match=r"not numbers: 'b' \(object|not numbers: 'b' \(str"):
        detector.predict(frame.astype({"b": object}).assign(b="3,5"))


@pytest.mark.parametrize(
    "estimator",
    [EmpiricalCovariance(), MinCovDet(random_state=0), SpectralFilter(), AdaptiveMahalanobisIndex()],
)
def test_estimators_say_where_text_is(frame, estimator):
    with pytest.raises(ValueError, match=r"columns that are not numbers: 'b' \("):
        estimator.fit(frame.assign(b="3,5"))
    rows = frame.to_numpy().astype(object)
    rows[3, 1] = rows[7, 2] = "n/a"
    for given in (rows, rows.tolist()):
        with pytest.raises(ValueError, match="'n/a' in row 3, column 1, and 2 such entries"):
            estimator.fit(given)


def test_new_rows_of_an_estimator_are_checked_too(frame):
    estimator = EmpiricalCovariance().fit(frame.to_numpy())
    with pytest.raises(
        ValueError, match="entries that are not numbers: 'x' in row 0, column 2, and 1 such entry in"
    ):
        estimator.mahalanobis([[1.0, 2.0, "x"]])


def test_numbers_in_columns_of_objects_are_numbers(frame):
    detector = MahalanobisDetector(EmpiricalCovariance())
    np.testing.assert_array_equal(detector.fit(frame.astype(object)).d2_, detector.fit(frame).d2_)


@pytest.mark.parametrize("estimator", [EmpiricalCovariance(), MahalanobisDetector()])
def test_dates_alone_are_not_numbers(frame, estimator):
    days = pd.DataFrame(
        {"from": pd.date_range("2020", periods=30), "till": pd.date_range("2021", periods=30)}
    )
    with pytest.raises(ValueError, match=r"columns that are not numbers: 'from' \(datetime64.* 'till'"):
        estimator.fit(days)
    for given in (days.to_numpy(), days.to_numpy() - days.to_numpy()[0]):
        with pytest.raises(ValueError, match="dates or spans of time"):
            estimator.fit(given)


@pytest.mark.parametrize("entry", [pd.NA, {"a": 1}, 10**400, object()], ids=["NA", "dict", "huge", "object"])
def test_other_things_in_an_array_are_placed(frame, entry):
    rows = frame.to_numpy().astype(object)
    rows[4, 2] = entry
    with pytest.raises(
        (TypeError, ValueError), match=r"not numbers: .* in row 4, column 2, and 1 such entry"
    ):
        EmpiricalCovariance().fit(rows)


def test_columns_of_one_name_are_counted(frame):
    twice = frame.assign(b="x")
    twice.columns = list("aaa")
    with pytest.raises(ValueError, match=r"not numbers: 'a' \(.*, column 1\)\. Usual"):
        EmpiricalCovariance().fit(twice)


def test_a_mask_is_not_dropped(frame):
    with pytest.raises(ValueError, match="X is a masked array"):
        EmpiricalCovariance().fit(np.ma.masked_greater(frame.to_numpy(), 1.0))


def test_a_series_is_no_table(frame):
    for series in (frame["a"], frame["a"].astype(str) + "x"):
        with pytest.raises(ValueError, match=r"Series|2D array|convert string"):
            EmpiricalCovariance().fit(series)


def test_no_entry_of_an_array_of_floats_is_looked_at(frame, monkeypatch):
    monkeypatch.setattr(_validation, "_is_number", None)  # minutes in Python for a large table
    estimator = EmpiricalCovariance().fit(frame.to_numpy())
    with pytest.raises(ValueError, match="2 features"):
        estimator.mahalanobis(frame.to_numpy()[:, :2])


def test_other_errors_stay_what_they_are(frame):
    with pytest.raises(ValueError, match="minimum of 2"):
        MahalanobisDetector(EmpiricalCovariance()).fit(frame[:1])
