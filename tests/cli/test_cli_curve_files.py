"""Tables of curves as other programs write them: names of rows, long tables, headers in any order, transposed ones."""

import json
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fmahal.cli import _curve_headers as headers
from fmahal.cli._curves import read_curves
from fmahal.cli._parser import build_parser
from fmahal.exceptions import DataError

N, T = 12, 9
GRID = np.round(np.linspace(0.0, 10.0, T) ** 1.1, 3)
IDS = [f"s{k:02d}" for k in range(N)]


@pytest.fixture
def X():
    rng = np.random.default_rng(3)
    return np.round(np.cumsum(rng.normal(size=(N, T)), axis=1) + np.sin(GRID), 4)


@pytest.fixture
def read(write):
    """Return the curves in a text and the notes about them; `to` makes an error of the message."""

    def call(text, *options):
        arguments = build_parser().parse_args(["detect", str(write(text)), "--curves", *map(str, options)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            table = read_curves(arguments)
        return table, " ".join([str(w.message) for w in caught] + list(table.notes))

    return call


@pytest.fixture
def error(read):
    def call(text, *options):
        with pytest.raises(DataError) as caught:
            read(text, *options)
        return str(caught.value)

    return call


def csv(X, header=None, names=None):
    lines = [] if header is None else [",".join(map(str, header))]
    for k, row in enumerate(X.tolist()):
        cells = list(map(repr, row))
        lines.append(",".join(cells if names is None else [str(names[k]), *cells]))
    return "\n".join(lines) + "\n"


def long_csv(X, header, ids=IDS, extra=None):
    rows = [header]
    for i, curve in enumerate(X.tolist()):
        for k, value in enumerate(curve):
            cells = [ids[i], GRID[k], value] + ([] if extra is None else [extra[i, k]])
            rows.append(",".join(map(str, cells)))
    return "\n".join(rows) + "\n"


class TestNamesOfRows:
    @pytest.mark.parametrize("names", [range(N), range(1, N + 1), IDS, range(1950, 1950 + N)])
    @pytest.mark.parametrize("corner", ["", '""'])
    def test_an_unnamed_first_column_before_times_names_the_curves(self, read, X, names, corner):
        table, notes = read(csv(X, [corner, *GRID], list(names)))
        assert_allclose(table.X, X)
        assert_allclose(table.grid, GRID)
        assert table.row_labels == [str(name) for name in names]
        assert "curves are named by the first column, which has no name of its own" in notes

    @pytest.mark.parametrize("names", [range(N), IDS])
    def test_and_before_words(self, read, X, names):
        table, notes = read(csv(X, ["", *(f"X{k + 1}" for k in range(T))], list(names)))
        assert_allclose(table.X, X)
        assert table.row_labels == [str(name) for name in names]
        assert "which has no name of its own" in notes

    def test_the_planted_outlier_is_found_again(self, run, write, X):
        X[4, 3:6] += 40.0
        quick = ("--curves", "--json", "--scatter", "ledoit-wolf", "--null", "chi2")
        code, out, _ = run("detect", write(csv(X, ["", *GRID], range(N))), *quick)
        assert code == 0
        found = json.loads(out)
        assert found["columns"] == T
        plain = json.loads(run("detect", write(csv(X, GRID), "p.csv"), *quick)[1])
        assert found["outliers"]
        assert_allclose([row["d2"] for row in found["outliers"]], [row["d2"] for row in plain["outliers"]])

    def test_a_missing_first_value_is_no_header(self, error, X):
        X[0, 0] = np.nan
        assert "curve '1', row 1, has no value" in error(csv(X).replace("nan", "")).replace(" (line 1)", "")

    def test_columns_may_keep_it(self, read, X):
        names = ["x0", *(f"p{k}" for k in range(T))]
        table, _ = read(csv(X, ["", *names[1:]], range(N)), "--columns", ",".join(names))
        assert table.X.shape == (N, T + 1)

    def test_marks_of_outliers_are_no_names(self, error, X):
        message = error(csv(X, ["outlier", *GRID], [1, *[0] * (N - 1)]))
        assert "the header holds grid points, and also 'outlier'" in message
        assert "--labels" in message


class TestOrderOfTheHeader:
    @pytest.mark.parametrize("named", [False, True])
    def test_decreasing(self, error, X, named):
        wavenumbers = np.round(np.linspace(4000, 400, T), 1)
        text = csv(X, [*(["id"] if named else []), *wavenumbers], IDS if named else None)
        message = error(text)
        assert f"grid points must increase; point 2 is {wavenumbers[1]:g} after 4000" in message
        assert "Reverse the order of the columns" in message
        assert "--header no" in message

    @pytest.mark.parametrize("named", [False, True])
    def test_a_point_twice(self, error, X, named):
        header = GRID.copy()
        header[4] = header[3]
        message = error(csv(X, [*(["id"] if named else []), *header], IDS if named else None))
        assert f"point 5 is {header[4]:g} after {header[3]:g}" in message

    def test_whole_numbers_twice_are_not_renamed_into_points_between(self, error, X):
        header = [0, 1, 2, 2, *range(3, T - 1)]
        assert "point 4 is 2 after 2" in error(csv(X, ["id", *header], IDS))

    def test_shuffled_equal_steps(self, error, X):
        header = np.arange(T)
        header[[2, 5]] = header[[5, 2]]
        assert "grid points must increase" in error(csv(X, header))

    def test_header_no_reads_it_as_a_curve(self, read, X):
        assert read(csv(X, GRID[::-1]), "--header", "no")[0].X.shape == (N + 1, T)

    def test_falling_curves_without_a_header_stay_curves(self, read, X):
        falling = -np.cumsum(np.abs(X), axis=1)
        table, notes = read(csv(falling))
        assert table.X.shape == (N, T)
        assert "no grid" in notes

    def test_rounded_equal_steps_before_rising_curves(self, read, X):
        rising = np.cumsum(np.abs(X) + 0.1, axis=1)
        table, _ = read(csv(rising, np.round(np.linspace(0, 10, T), 3)))
        assert table.grid is not None

    def test_a_grid_or_a_far_first_curve_is_asked_about(self, error, read, X):
        growth = 80.0 + np.cumsum(np.abs(X) + 0.1, axis=1)
        ages = GRID + 1.0
        assert "may be the grid as well as the first curve" in error(csv(growth, ages))
        assert read(csv(growth, ages), "--header", "yes")[0].X.shape == (N, T)
        assert read(csv(growth, ages), "--header", "no")[0].X.shape == (N + 1, T)

    def test_units_of_time_decide_nothing(self, read, error, X):
        for unit in (1e-6, 1e6):
            assert read(csv(X, (GRID * unit).tolist()))[0].X.shape == (N, T)
            assert "must increase" in error(csv(X, (GRID[::-1] * unit).tolist()))


class TestLongTables:
    def test_other_names_are_an_error_that_names_the_option(self, error, read, X):
        text = long_csv(X, "patient,when,temp")
        message = error(text)
        assert "looks like a long table: 'patient'" in message
        assert "Pass --long" in message
        assert_allclose(read(text, "--long")[0].X, X)

    def test_numbers_as_names_too(self, error, X):
        assert "looks like a long table" in error(long_csv(X, "patient,when,temp", ids=range(100, 100 + N)))

    def test_index_does_not_silence_it(self, error, X):
        assert "looks like a long table" in error(long_csv(X, "who,when,temp"), "--index", "who")

    def test_components_side_by_side(self, error, read, X):
        text = long_csv(X, "id,t,x,y", extra=X[::-1])
        assert "one component each" in error(text)
        table, _ = read(text, "--long")
        assert table.components == ("x", "y")
        assert_allclose(table.X, np.stack([X, X[::-1]], axis=2))
        one, _ = read(text, "--long", "--columns", "id,t,y")
        assert_allclose(one.X, X[::-1])

    def test_units_of_components_are_asked_about(self, read, X):
        for unit in (1e-6, 1.0, 1e3):
            _, notes = read(long_csv(X, "id,t,x,y", extra=unit * X[::-1]), "--long")
            assert ("hardly counts" in notes) == (unit != 1.0)
            assert ("component 'x'" in notes) == (unit > 1.0)

    def test_an_unnamed_index_is_left_out(self, read, X):
        lines = long_csv(X, "id,t,value").splitlines()
        text = "\n".join(["," + lines[0], *(f"{k},{line}" for k, line in enumerate(lines[1:]))]) + "\n"
        for options in ((), ("--long",), ("--drop", "x0"), ("--columns", "id,t,value")):
            table, notes = read(text, *options)
            assert_allclose(table.X, X)
            assert ("counts the rows: it is left out" in notes) == (options in ((), ("--long",)))

    def test_groups_of_wide_curves_are_not_long(self, read, X):
        group = [f"g{k % 3}" for k in range(N)]
        table, _ = read(csv(X, ["group", *(f"p{k}" for k in range(T))], group))
        assert table.X.shape == (N, T)

    def test_dates_and_decimal_commas(self, error, X):
        text = long_csv(X[:, :2], "id,t,value").replace(",0.0,", ",2020-01-05,")
        assert "Dates are not read as times" in error(text)
        text = long_csv(X[:, :2], "id,t,value").replace(",", ";").replace(".", ",")
        assert "Numbers are written with a decimal point" in error(text)


class TestTransposed:
    def table(self, X, corner="t"):
        return csv(X.T, [corner, *IDS], GRID)

    @pytest.mark.parametrize("corner", ["t", "time", "Wavelength"])
    def test_a_column_of_time_is_asked_about(self, error, X, corner):
        message = error(self.table(X, corner))
        assert f"column {corner!r} increases" in message
        assert "--transpose" in message

    def test_transpose(self, read, error, X):
        table, _ = read(self.table(X), "--transpose")
        assert_allclose(table.X, X)
        assert_allclose(table.grid, GRID)
        assert table.row_labels == IDS
        lines = self.table(X).splitlines()
        indexed = "\n".join(["," + lines[0], *(f"{k},{line}" for k, line in enumerate(lines[1:]))]) + "\n"
        assert_allclose(read(indexed, "--transpose")[0].X, X)
        assert "grid points must increase" in error(csv(X.T, ["t", *IDS], GRID[::-1]), "--transpose")
        assert "must hold the grid points" in error(csv(X, ["id", *GRID], IDS), "--transpose")

    def test_options_that_do_not_go_together(self, refused, write, X):
        path = write(self.table(X))
        assert "pass one" in refused("detect", path, "--curves", "--transpose", "--long")
        assert "--transpose is about curves" in refused("detect", path, "--transpose")


class TestGrids:
    def test_header_and_file_disagree(self, error, read, write, X):
        other = write("\n".join(map(repr, np.linspace(0, 1, T).tolist())), "other.txt")
        same = write("\n".join(map(repr, GRID.tolist())), "same.txt")
        for text in (csv(X, GRID), csv(X, ["id", *GRID], IDS)):
            assert "is another grid, from 0 to" in error(text, "--grid", other)
            assert_allclose(read(text, "--grid", same)[0].grid, GRID)

    def test_a_given_grid_is_not_said_to_be_missing(self, read, write, X):
        same = write("\n".join(map(repr, GRID.tolist())), "same.txt")
        for text in (csv(X), csv(X, [f"p{k}" for k in range(T)])):
            table, notes = read(text, "--grid", same)
            assert_allclose(table.grid, GRID)
            assert "no grid" not in notes

    @pytest.mark.parametrize("form", ["X{}", "{}nm", "t = {} s"])
    def test_numbers_inside_names(self, read, X, form):
        table, notes = read(csv(X, ["id", *(form.format(t) for t in GRID)], IDS))
        assert_allclose(table.grid, GRID)
        assert "the numbers in the header" in notes

    def test_words_are_said_to_be_no_grid(self, read, X):
        for words in (list("abcdefghi"), [f"x{k}" for k in (1, 10, 2, 3, 4, 5, 6, 7, 8)]):
            table, notes = read(csv(X, ["id", *words], IDS))
            assert table.grid is None
            assert "no grid: the header" in notes

    def test_a_column_among_grid_points(self, error, X):
        assert "and also 'dose'" in error(csv(X, [*GRID[:-1], "dose"]))

    def test_pattern_needs_one_pattern(self):
        assert headers.pattern_numbers(["a1", "b2", "c3"]) is None
        assert headers.pattern_numbers(["2020-01-01", "2020-01-02"]) is None
        assert_allclose(headers.pattern_numbers(["-1.5e0 m", "2 m"]), [-1.5, 2.0])
