import numpy as np
import pytest

from fmahal.cli import main


def as_csv(X, names="abcd", mark=","):
    lines = [mark.join(names)] if names else []
    lines += [mark.join(repr(float(value)) for value in row) for row in X]
    return "\n".join(lines) + "\n"


@pytest.fixture(name="as_csv")
def as_csv_fixture():
    return as_csv


@pytest.fixture
def run(capsys):
    """Run the command line in this process; return (code, stdout, stderr)."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def refused(run):
    """Run a call that must fail as bad input; return its message."""

    def call(*arguments):
        code, out, err = run(*arguments)
        assert code == 2
        assert out == ""
        lines = err.splitlines()
        assert lines[-1].startswith("fmahal: error: ")
        assert all(line.startswith("note: ") for line in lines[:-1])
        return lines[-1].removeprefix("fmahal: error: ")

    return call


@pytest.fixture
def X():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) + 10.0
    X[17] += [9.0, -9.0, 9.0, -9.0]
    return X


@pytest.fixture
def write(tmp_path):
    """Write text to a file of a fresh folder; return its path."""

    def to(text, name="data.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return to


@pytest.fixture
def csv_file(X, write):
    return write(as_csv(X))
