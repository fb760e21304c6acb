import io
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fmahal.cli._io import load, read_table, sniff
from fmahal.cli._table import split_names, suggest, to_numbers
from fmahal.exceptions import DataError


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " "])
def test_every_delimiter_is_found_and_digits_survive(X, write, mark, as_csv):
    table = load(str(write(as_csv(X, mark=mark))))
    assert table.names == list("abcd")
    assert_array_equal(table.X, X)


def test_quoted_and_blank_padded_cells_read_the_same(X, write):
    lines = ['"a, first" , "b"', *(f'"{x!r}",  {y!r} ' for x, y in X[:, :2].tolist()), "", "   "]
    table = load(str(write("\n".join(lines))))
    assert table.names == ["a, first", "b"]
    assert_array_equal(table.X, X[:, :2])


def test_byte_order_mark_utf16_and_windows_lines(X, tmp_path, as_csv):
    for encoding in ("utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(as_csv(X).replace("\n", "\r\n").encode(encoding))
        table = load(str(path))
        assert table.names == list("abcd")
        assert_array_equal(table.X, X)


def test_numeric_first_row_is_data_unless_told_otherwise(X, write, as_csv):
    path = str(write(as_csv(X, names=None)))
    with pytest.warns(UserWarning, match="no header.*--header yes"):
        table = load(path)
    assert table.names == ["x0", "x1", "x2", "x3"]
    assert_array_equal(table.X, X)
    named = load(path, header="yes")
    assert named.names == [repr(value) for value in X[0].tolist()]
    assert_array_equal(named.X, X[1:])


def test_text_in_a_first_row_with_numbers_is_taken_as_names_with_a_note(write):
    path = str(write("site,1950,1951\nA,1,2\nB,3,5\n"))
    with pytest.warns(UserWarning, match="column names.*--header no"):
        table = load(path, index="site")
    assert table.names == ["1950", "1951"]
    assert table.row_names == ["A", "B"]
    assert_array_equal(table.X, [[1, 2], [3, 5]])


def test_repeated_names_are_renamed_with_a_note(write):
    with pytest.warns(UserWarning, match="'a.1'"):
        table = load(str(write("a,b,a,\n1,2,3,4\n5,6,7,9\n")))
    assert table.names == ["a", "b", "a.1", "x3"]


def test_columns_drop_index_and_labels(write):
    text = 'id,"b, c",d,class\nr1,1,2,ok\nr2,3,4,ok\nr3,5,7,bad\n'
    table = load(str(write(text)), index="id", labels="class")
    assert (table.names, table.index, table.row_names) == (["b, c", "d"], "id", ["r1", "r2", "r3"])
    assert table.outliers.tolist() == [False, False, True]
    assert "class = bad" in table.notes[0]
    assert load(str(write(text)), columns='d,"b, c"').names == ["d", "b, c"]
    assert load(str(write(text)), drop='id,class,"b, c"').names == ["d"]


def test_numeric_labels_mark_the_rarer_value(write):
    table = load(str(write("a,y\n1,1\n2,-1\n3,1\n")), labels="y")
    assert table.outliers.tolist() == [False, True, False]


def test_standard_input(monkeypatch, X, as_csv):
    class Stdin:
        buffer = io.BytesIO(as_csv(X).encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    table = load("-")
    assert table.source == "standard input"
    assert_array_equal(table.X, X)


def test_parquet_types(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "t.parquet"
    data = {
        "name": ["a", "b", "c"],
        "i": pa.array([1, 2, 3], pa.int16()),
        "f": pa.array([0.1, 0.2, 0.4], pa.float32()),
        "yes": [True, False, True],
    }
    pq.write_table(pa.table(data), path)
    table = load(str(path), index="name")
    assert table.row_names == ["a", "b", "c"]
    assert_array_equal(table.X, np.column_stack([[1, 2, 3], np.float32([0.1, 0.2, 0.4]), [1, 0, 1]]))
    with pytest.raises(DataError, match="'name' holds text: row 1 is 'a'"):
        load(str(path))
    pq.write_table(pa.table({"a": pa.array([1, None], pa.int64()), "b": [1.0, 2.0]}), path)
    with pytest.raises(DataError, match=r"missing values.*row 2, column 'a'"):
        load(str(path))


def test_parquet_is_known_by_its_content_and_damage_is_named(tmp_path, X):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "t.csv"
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1]}), path)
    assert_array_equal(load(str(path)).X, X[:, :2])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load(str(path))


def test_a_file_comes_before_a_data_set_of_its_name(tmp_path, monkeypatch, X, as_csv):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wine").write_text(as_csv(X))
    assert_array_equal(load("wine").X, X)


def test_the_two_parsers_agree(write, X, as_csv):
    fast = read_table(str(write(as_csv(X))))
    slow = read_table(str(write(as_csv(X) + 'nan,1,2,"3"\n')))
    assert fast.lines is None  # read in C
    assert slow.lines is not None  # read with care, since a cell is missing
    for a, b in zip(fast.columns, slow.columns):
        assert_array_equal(a, b[:-1])


def test_a_million_cells_take_seconds_also_with_care(write):
    rng = np.random.default_rng(0)
    block = rng.normal(size=(1000, 50))
    body = "\n".join(",".join(f"{value:.6f}" for value in row) for row in block)
    text = "id," + ",".join(f"c{j}" for j in range(49)) + "\n" + "\n".join([body] * 20)
    path = str(write(text))
    start = time.perf_counter()
    assert read_table(path).n_rows == 20_000
    fast = time.perf_counter() - start
    write(text + "\nlast" + ",0.5" * 49)
    start = time.perf_counter()
    assert load(path, index="id").X.shape == (20_001, 49)
    slow = time.perf_counter() - start
    assert fast < 10
    assert slow < 20


@pytest.mark.parametrize(
    ("lines", "mark"),
    [
        (["a;b", "1,5;2,5", "3;4"], ";"),
        (["1,5;2,5", "1,5;2,5"], ";"),
        (["a,b,c", "1,2,3", "1,2"], ","),
        (["value", "1", "2"], None),
        (["sea level", "1", "2"], None),
        (["a b", "1 2", "  3   4 "], " "),
        (["note,x", '"a;b;c",1'], ","),
        (["a\tb, c", "1\t2"], "\t"),
    ],
)
def test_sniffing(lines, mark):
    assert sniff(lines) == mark


def test_number_parsing():
    assert_array_equal(to_numbers([" 1", "-2e3 ", "NA", "", "?"]), [1, -2000, np.nan, np.nan, np.nan])
    assert to_numbers(["1", "x"]) is None
    assert to_numbers(["1_000"]) is None  # Python would read it as 1000
    assert_array_equal(to_numbers(["inf", "-Infinity"]), [np.inf, -np.inf])


def test_names_and_suggestions():
    assert split_names('a, "b, c" ,d') == ["a", "b, c", "d"]
    assert suggest("Proline", ["proline", "hue"]) == " Did you mean 'proline'?"
    assert suggest("zzz", ["proline", "hue"]) == ""
