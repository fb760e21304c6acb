"""Interpolation on the simulated grid, and the bias of the reweighted covariance that is tabulated on it."""

import numpy as np
import pytest

from fmahal.scatter._mcd_factors import mcd_subset_size
from fmahal.scatter._mcd_grid import COLUMNS, SHARES, Table, covers, grid
from fmahal.scatter._mcd_trace import TABLE, trace_factor
from fmahal.scatter.mcd import MinCovDet

CELLS = grid()


def table_of(function):
    share, p, n = (np.array(part) for part in zip(*CELLS))
    return Table(share, p, n, np.array([function(*cell) for cell in CELLS]))


def test_a_value_that_is_proportional_to_p_over_n_is_found_between_the_points():
    table = table_of(lambda share, p, n: [p / n, -(2 - share) * p / n])
    for n, p in ((20, 1), (57, 6), (63, 6), (90, 39), (80, 40), (1000, 20), (123456, 11)):
        for alpha in (0.5, 0.6, 0.75, 1.0):
            h = mcd_subset_size(n, p, alpha)
            first, second = table.at(n, p, h)
            assert first == pytest.approx(p / n, rel=0.03)
            assert second == pytest.approx(-(2 - alpha) * p / n, rel=0.06)  # h is a whole number


def test_points_are_met_exactly():
    rng = np.random.default_rng(0)
    values = dict(zip(CELLS, rng.normal(size=len(CELLS))))
    table = table_of(lambda *cell: values[cell])
    for share, p, n in CELLS:
        if covers(n, p):
            assert table.at(n, p, mcd_subset_size(n, p, share)) == pytest.approx(
                values[share, p, n], rel=1e-12
            )


def test_even_and_odd_have_their_own_points_below_a_hundred_rows():
    table = table_of(lambda share, p, n: (n + p) % 2 / n if n < 100 else 0.5 / n)
    for n in (30, 31, 44, 45, 60, 61):
        assert table.at(n, 3, (n + 4) // 2) == pytest.approx((n + 3) % 2 / n, abs=0.2 / n)


def test_every_pair_that_is_covered_has_points():
    table = table_of(lambda share, p, n: 1 / n)
    for p in (1, 2, 6, 8, 9, 11, 12, 16, 19, 25, 32, 39, 40):
        for n in (*range(max(20, 2 * p), 2 * p + 24), 99, 100, 101, 2000):
            if covers(n, p):
                for h in ((n + p + 1) // 2, n):
                    assert table.at(n, p, h) == pytest.approx(1 / n, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "p", "h"), [(19, 2, 11), (30, 16, 24), (500, 41, 300), (60, 3, 31), (60, 3, 61)]
)
def test_off_the_grid_there_is_nothing(n, p, h):
    assert trace_factor(n, p, h) is None


def test_the_grid_is_what_it_says():
    assert len(set(CELLS)) == len(CELLS)
    assert {cell.share for cell in CELLS} == set(SHARES)
    assert {cell.p for cell in CELLS} == set(COLUMNS)
    assert all(
        n in {cell.n for cell in CELLS if cell.p == p and cell.share == 0.5}
        for n in (50, 100, 250, 500)
        for p in (2, 5, 10, 20)
    )


def test_the_table_is_complete():
    with np.load(TABLE) as data:
        assert [tuple(cell) for cell in CELLS] == list(
            zip(data["share"].tolist(), data["p"].tolist(), data["n"].tolist())
        )
        assert (data["error"] < 0.05).all()
    assert TABLE.stat().st_size < 50_000


def test_the_factor_tends_to_one():
    values = np.array([trace_factor(n, 5, (n + 6) // 2) for n in (50, 100, 250, 1000, 10_000, 10**6)])
    assert (np.abs(values - 1) < [0.2, 0.1, 0.05, 0.02, 0.005, 1e-4]).all()


@pytest.mark.parametrize(
    ("n", "p", "fits"),
    [
        (50, 5, 150),
        pytest.param(100, 10, 200, marks=pytest.mark.slow),
        pytest.param(45, 3, 600, marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.AmbiguousFitWarning")
def test_the_factor_removes_the_bias(n, p, fits):
    rng, estimator, traces = np.random.default_rng([n, p]), MinCovDet(), []
    for k in range(fits):
        scatter = estimator.set_params(random_state=k).fit(rng.normal(size=(n, p)))
        traces.append(np.trace(scatter.covariance_) / p)
    factor, error = trace_factor(n, p, scatter.n_support_), np.std(traces) / np.sqrt(fits)
    assert factor * np.mean(traces) == pytest.approx(1.0, abs=0.01 + 3 * error)
