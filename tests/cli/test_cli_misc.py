import io
import json
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fmahal
from fmahal.cli import _console, main
from fmahal.cli._io import load
from fmahal.cli._params import parse_settings
from fmahal.datasets import list_datasets, load_dataset


def test_data_sets_are_listed(run):
    code, text, err = run("datasets")
    assert (code, err) == (0, "")
    for name in list_datasets():
        assert any(line.split()[:1] == [name] for line in text.splitlines())
    assert [record["name"] for record in json.loads(run("datasets", "--json")[1])] == list_datasets()


def test_a_data_set_is_described_with_its_citation(run):
    dataset = load_dataset("hbk")
    code, text, _ = run("datasets", "hbk")
    assert code == 0
    flat = " ".join(text.split())
    assert " ".join(dataset.citation.split()) in flat
    assert " ".join(dataset.licence.split()) in flat
    assert "75 rows, 3 columns, 14 of the rows known as outliers" in text
    record = json.loads(run("datasets", "hbk", "--json")[1])
    assert record["outlier_rows"] == list(range(1, 15))


@pytest.mark.parametrize("name", ["hbk", "wine", "elnino"])
def test_an_exported_data_set_reads_back_bit_by_bit(run, tmp_path, name):
    path = tmp_path / "t.csv"
    code, text, _ = run("datasets", name, "--csv", path)
    assert code == 0
    dataset = load_dataset(name)
    table = load(str(path), index="name" if "--index name" in text else None, header="yes")
    assert_array_equal(table.X, dataset.data)
    assert table.names == dataset.feature_names
    assert f"fmahal detect {path}" in text


def test_known_outliers_are_exported_on_request(run, tmp_path, refused):
    path = tmp_path / "t.csv"
    assert run("datasets", "hbk", "--csv", path, "--with-outlier")[0] == 0
    assert_array_equal(load(str(path), labels="outlier").outliers, load_dataset("hbk").outliers)
    without = next(name for name in list_datasets() if load_dataset(name).outliers is None)
    assert "no known outliers" in refused("datasets", without, "--csv", path, "--with-outlier")


def test_info_names_versions_threads_and_registered_names(run):
    code, text, _ = run("info", "--json")
    assert code == 0
    facts = json.loads(text)
    assert facts["fmahal"]["version"] == fmahal.__version__
    assert facts["packages"]["numpy"] == np.__version__
    assert {"empirical", "ledoit-wolf", "oas", "qis", "shrunk", "mcd"} <= set(facts["scatters"])
    assert {"auto", "chi2", "normal"} <= set(facts["nulls"])
    assert facts["machine"]["cores"] >= 1
    assert facts["blas"]
    _, text, _ = run("info")
    assert "cache_dir" in text
    assert "ledoit-wolf" in text


def test_warmup_prints_the_time(run, monkeypatch):
    monkeypatch.setattr(fmahal, "warmup", lambda: 1.25)
    assert run("warmup") == (0, "kernels ready in 1.25 s\n", "")


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("a=0.1", 0.1),
        ("a=3", 3),
        ("a=None", None),
        ("a=True", True),
        ("a=(1, 2)", (1, 2)),
        ("a=median", "median"),
        ("a='1'", "1"),
        ("a=x=y", "x=y"),
        ("a=", ""),
    ],
)
def test_settings_are_literals_else_text(item, value):
    assert parse_settings([item]) == {"a": value}


def test_warnings_become_notes_once(capsys):
    with _console.notes_on_stderr():
        for _ in range(3):
            warnings.warn("same\n  thing", fmahal.CalibrationWarning, stacklevel=1)
        warnings.warn("for programmers", DeprecationWarning, stacklevel=1)
        warnings.warn("for programmers", FutureWarning, stacklevel=1)
    assert capsys.readouterr().err == "note: same thing\n"


def test_warnings_of_scikit_learn_about_singular_fits_are_one_line(capsys):
    with _console.notes_on_stderr():
        for k in range(3):
            text = (
                f"Determinant has increased; this should not happen: log(det) > log(previous_det) ({k} > 0)."
            )
            warnings.warn(text, RuntimeWarning, stacklevel=1)
        warnings.warn(
            "The covariance matrix associated to your dataset is not full rank", UserWarning, stacklevel=1
        )
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "nearly collinear" in err


def test_notes_fold_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    with _console.notes_on_stderr():
        warnings.warn("many words " * 20, UserWarning, stacklevel=1)
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 60 for line in lines)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_shows_on_a_terminal_and_not_on_a_pipe(monkeypatch):
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with _console.Progress(total=2) as progress:
            progress.say("fitting mcd")
            progress.step()
        assert ("fitting mcd" in stream.getvalue()) is shown


def test_tables_on_a_pipe_are_plain_and_uncut():
    stream = io.StringIO()
    _console.show(
        _console.console(stream), _console.table(["a", ("b", "right")], [["x" * 90, "[red]1"], ["y", "2"]])
    )
    assert "x" * 90 in stream.getvalue()
    assert "[red]1" in stream.getvalue()  # cells are no markup
    assert not any(line.endswith(" ") for line in stream.getvalue().splitlines())
    assert "\x1b" not in stream.getvalue()


def test_formats():
    assert [_console.seconds(value) for value in (2.0, 0.0213, 3e-5)] == ["2 s", "21.3 ms", "30 us"]
    assert [_console.distance(value) for value in (12.34567, 133_412.3)] == ["12.35", "133412"]
    assert [_console.pvalue(value) for value in (0.0, 0.012345)] == ["<1e-300", "0.0123"]


def test_interruption_and_closed_pipe_have_their_codes(monkeypatch, capsys, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fmahal.cli._datasets.run_datasets", interrupt)
    assert main(["datasets"]) == 130
    assert capsys.readouterr().err == "fmahal: interrupted\n"


def test_version_and_help_return_zero(run):
    assert run("--version") == (0, f"fmahal {fmahal.__version__}\n", "")
    for command in ("detect", "compare", "datasets", "warmup", "info"):
        code, text, _ = run(command, "--help")
        assert code == 0
        assert f"usage: fmahal {command}" in text
