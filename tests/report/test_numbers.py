"""Numbers as text."""

import numpy as np
import pytest

from fmahal.report._page import number, percent, pvalue, seconds, short, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1.000"), (12.3456, "12.35"), (1234.56, "1,235"), (-0.012345, "−0.01235"),
        (999999.4, "999,999"), (2.5e7, "2.500 × 10<sup>7</sup>"), (-1e-9, "−1.000 × 10<sup>−9</sup>"),
        (np.inf, "∞"), (np.nan, "n/a"),
    ],
)  # fmt: skip
def test_number(value, text):
    assert str(number(value)) == text


def test_short_drops_zeros_only_behind_the_point():
    assert [short(v) for v in (0.01, 1.0, 100.0, 1.78, 0.0)] == ["0.01", "1", "100", "1.78", "0"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.0123456, "0.0123"), (0.001, "0.001"), (3.2e-12, "3.20 × 10<sup>−12</sup>"), (0.0, "0")],
)
def test_pvalue(value, text):
    assert str(pvalue(value)) == text


def test_parts_take_the_decimals_of_the_largest():
    assert [signed(v, -111.9) for v in (-111.9, 0.1234)] == ["−111.9", "+0.1"]
    assert signed(0.5, 6.563) == "+0.500"
    assert str(signed(2e8, 3e8)) == "+2.000 × 10<sup>8</sup>"
    assert signed(0.0, 0.0) == "0"


def test_percent_and_seconds():
    assert [percent(s) for s in (0.0, 0.0123, 0.2, 1.0)] == ["0%", "1.2%", "20%", "100%"]
    assert [seconds(s) for s in (2e-5, 0.0021, 1.5, 75.0)] == ["20 µs", "2.1 ms", "1.5 s", "75 s"]
