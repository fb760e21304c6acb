"""Bad input: exit code 2, one message that names the place and the way out, nothing on standard output."""

import io

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n3,nan\n4,5\n", ["missing values", "row 2 (line 3)", "column 'b'", "--drop b"]),
        ("a,b\n1,2\n\n3,\n4,5\n", ["missing values", "row 2 (line 4)", "column 'b'"]),
        ("a,b\n1,2\n3,-inf\n4,5\n", ["infinite values", "row 2 (line 3)", "column 'b'"]),
        (
            "a,b\n1,2\n3,x\n4,5\n",
            ["column 'b' holds text", "row 2 (line 3) is 'x'", "--columns a", "--index b"],
        ),
        ("a,b\n1,2\n3,1_000\n4,5\n", ["column 'b' holds text", "'1_000'"]),
        ("a,b,c\n1,2,3\n1,3,5\n1,5,9\n", ["constant columns: 'a'", "--drop a", "--allow-degenerate"]),
        ("a,b,c\n1,2,1\n4,3,4\n3,5,3\n", ["duplicate columns: 'c' (equals 'a')", "--drop c"]),
        ("a,b\n1,2\n", ["1 row of data", "at least two"]),
        ("a,b\n", ["header and no rows"]),
        ("", ["is empty"]),
        ("\n  \n", ["is empty"]),
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", ["line 3 has 2 fields where the first line has 3", "'comma'"]),
        ("a,b\nr1,1,2\nr2,3,5\n", ["line 2 has 3 fields", "first column seems to lack a name"]),
        ("a;b\n1,5;2,5\n3,5;7\n", ["'a' holds text", "'1,5', a number with a comma", "sed 's/,/./g'"]),
        ('a,b\n1,"2\n3,4\n', ["'b' holds text", "a quote that is not closed"]),
    ],
)
def test_bad_tables(refused, write, text, expected):
    message = refused("detect", write(text))
    for part in expected:
        assert part in message


def test_hints_for_standard_input_are_commands(refused, monkeypatch, write):
    class Stdin:
        buffer = io.BytesIO(b"a;b\n1,5;2,5\n3,5;7\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert refused("detect", "-").endswith("for example: ... | sed 's/,/./g' | fmahal detect -")
    Stdin.buffer = io.BytesIO("na\xefve,b\n1,2\n".encode("latin-1"))
    assert refused("detect", "-").endswith("for example: ... | iconv -f latin1 -t utf-8 | fmahal detect -")
    path = write("a;b\n1,5;2,5\n3,5;7\n", "two words.csv")
    assert refused("detect", path).endswith(f"sed 's/,/./g' '{path}' | fmahal detect -")


def test_wrong_delimiter(refused, write):
    path = write("a,b\n1,2\n3,5\n5,4\n")
    assert "Wrong delimiter?" in (message := refused("detect", path, "--delimiter", ";"))
    assert "--delimiter comma" in message
    path = write("a b\n1 2\n3 5\n5 4\n")
    assert "--delimiter space" in refused("detect", path, "--delimiter", "tab")
    assert "one character" in refused("detect", path, "--delimiter", "ab")


def test_files_that_are_no_tables(refused, tmp_path):
    assert "is a folder" in refused("detect", tmp_path)
    path = tmp_path / "measurements.csv"
    path.write_bytes("naïve,b\n1,2\n".encode("latin-1"))
    assert "iconv" in refused("detect", path)
    path.write_bytes(b"PK\x03\x04rest")
    assert "Excel" in refused("detect", path)
    path.write_bytes(b"1,2\x00,3\n")
    assert "binary" in refused("detect", path)
    parquet = tmp_path / "t.parquet"
    parquet.write_text("a,b\n1,2\n")
    assert "not a Parquet file" in refused("detect", parquet)


def test_missing_files_name_near_ones(refused, write, tmp_path):
    write("a\n1\n", "measurements.csv")
    message = refused("detect", tmp_path / "measurement.csv")
    assert "There is no file" in message
    assert "Did you mean 'measurements.csv'" in message
    assert "no folder" in refused("detect", tmp_path / "nowhere" / "t.csv")
    message = refused("detect", "wines")
    assert "neither a file nor a bundled data set" in message
    assert "'wine'" in message
    assert "hbk" in refused("detect", "qqqqq")


def test_unknown_columns_name_near_ones(refused, write):
    path = write("proline,hue,ash\n1,2,3\n3,1,4\n2,4,9\n")
    assert "no column 'Prolin' (--columns). Did you mean 'proline'?" in refused(
        "detect", path, "--columns", "hue,Prolin"
    )
    assert "The columns are 'proline', 'hue', 'ash'" in refused("detect", path, "--drop", "zzz")
    assert "(--index)" in refused("detect", path, "--index", "zzz")
    assert "more than once" in refused("detect", path, "--columns", "hue,hue")
    assert "keep one" in refused("detect", path, "--columns", "hue,ash", "--index", "hue")
    assert "no column is left" in refused("detect", path, "--drop", "proline,hue,ash")


def test_labels_need_two_values(refused, write):
    path = write("a,y\n1,1\n2,2\n3,3\n")
    assert "3 distinct values" in refused("compare", path, "--labels", "y")
    path = write("a,y\n1,1\n2,\n3,0\n")
    assert "missing values" in refused("compare", path, "--labels", "y")


@pytest.mark.parametrize("alpha", ["0", "1", "-0.1", "nan", "1.5"])
def test_bad_alpha(refused, csv_file, alpha):
    assert "strictly between 0 and 1" in refused("detect", csv_file, f"--alpha={alpha}")
    assert "strictly between 0 and 1" in refused("compare", csv_file, f"--alpha={alpha}")


def test_bad_arguments(refused, csv_file):
    assert "'x' is not a number (see fmahal detect --help)" in refused("detect", csv_file, "--alpha", "x")
    assert "not a count" in refused("detect", csv_file, "--top", "-1")
    assert "unrecognized arguments: --wrong" in refused("detect", csv_file, "--wrong")
    assert "invalid choice" in refused("explode")
    assert "required" in refused()
    assert "KEY=VALUE" in refused("detect", csv_file, "--set", "shrinkage")
    assert "--budget" in refused("compare", csv_file, "--budget", "-1")
    assert "Name the data set" in refused("datasets", "--csv", "x.csv")


def test_unknown_scatter_null_and_parameter(refused, csv_file):
    message = refused("detect", csv_file, "--scatter", "ledoit-wolff")
    assert "Did you mean 'ledoit-wolf'?" in message
    assert "empirical" in message
    assert "Available: auto" in refused("detect", csv_file, "--null", "zzz")
    message = refused("detect", csv_file, "--scatter", "shrunk", "--set", "shrinkages=0.2")
    assert "Did you mean 'shrinkage'?" in message
    assert "assume_centered" in message
    assert "no such parameter" in refused("detect", csv_file, "--set", "zzz=1")
    assert "--scatter: there is no scatter" in refused("compare", csv_file, "--scatter", "mcd,zzz")
    assert "no scatter here" in refused("compare", csv_file, "--set", "zzz=1")


def test_a_parameter_out_of_range_is_refused_by_the_estimator(refused, csv_file):
    assert "shrinkage" in refused("detect", csv_file, "--scatter", "shrunk", "--set", "shrinkage=7")


def test_as_many_columns_as_rows(refused, write, as_csv):
    wide = write(as_csv(np.random.default_rng(0).normal(size=(4, 6)), names="abcdef"))
    message = refused("detect", wide, "--scatter", "empirical")
    assert "n = 4, p = 6" in message
    assert "ledoit-wolf" in message


def test_null_that_does_not_belong_to_the_scatter(refused, csv_file):
    assert "--null normal does not apply" in refused(
        "detect", csv_file, "--scatter", "ledoit-wolf", "--null", "normal"
    )


def test_outputs_are_checked_before_any_work(refused, csv_file, tmp_path):
    assert "is a folder" in refused("detect", csv_file, "--out", tmp_path)
    assert "no folder" in refused("detect", csv_file, "--out", tmp_path / "none" / "s.csv")
    assert "must end in" in refused("detect", csv_file, "--out", tmp_path / "s.xlsx")
    assert "must end in" in refused("detect", csv_file, "--report", tmp_path / "r.pdf")
    assert "name of a file" in refused("compare", csv_file, "--report", "-")
    assert "no folder" in refused("compare", csv_file, "--report", tmp_path / "none" / "r.html")


def test_unwritable_output(refused, csv_file, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "permission denied" in refused("detect", csv_file, "--out", tmp_path / "s.csv")


def test_missing_extras_are_named(refused, csv_file, tmp_path, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "jinja2" else real(name, *rest)
    )
    message = refused("detect", csv_file, "--report", tmp_path / "r.html")
    assert "jinja2" in message
    assert "fmahal[report]" in message


def test_parquet_without_pyarrow_names_the_extra(refused, tmp_path, csv_file, monkeypatch):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 and more")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    assert "fmahal[experiments]" in refused("detect", path)
    assert "fmahal[experiments]" in refused("detect", csv_file, "--out", tmp_path / "s.parquet")


def test_debug_shows_the_traceback(csv_file, run):
    with pytest.raises(ValueError, match="strictly between"):
        run("--debug", "detect", csv_file, "--alpha", "2")
