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
        ValueError, match="text that is not numbers: 'x' in row 0, column 2, and 1 such entry in"
    ):
        estimator.mahalanobis([[1.0, 2.0, "x"]])


def test_numbers_in_columns_of_objects_are_numbers(frame):
    detector = MahalanobisDetector(EmpiricalCovariance())
    np.testing.assert_array_equal(detector.fit(frame.astype(object)).d2_, detector.fit(frame).d2_)


def test_other_errors_stay_what_they_are(frame):
    with pytest.raises(ValueError, match="minimum of 2"):
        MahalanobisDetector(EmpiricalCovariance()).fit(frame[:1])
