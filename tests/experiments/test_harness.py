"""The harness of the experiments: nothing is lost, nothing is done twice, methods meet the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "experiments" / "_spec.py").exists():
    pytest.skip("the experiments are not next to the tests", allow_module_level=True)
pytest.importorskip("pyarrow")

from experiments import _spec  # noqa: E402
from experiments.__main__ import main  # noqa: E402
from experiments._run import CellError, run, work  # noqa: E402
from experiments._store import Store  # noqa: E402

TOY = str(Path(__file__).with_name("toy_experiment.py"))
_spec.load([TOY])
TOY_EXPERIMENT = _spec.experiments()["toy"]


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Which cells were measured, by any process; the module reads the path when a process imports it."""
    path = tmp_path / "calls.txt"
    monkeypatch.setenv("FMAHAL_TOY_CALLS", str(path))
    monkeypatch.setattr(sys.modules[TOY_EXPERIMENT.measure.__module__], "CALLS", path)
    return lambda: path.read_text().splitlines() if path.exists() else []


def test_all_cells_are_measured_and_stored_flat(tmp_path, calls):
    store = run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    import pandas as pd

    frame = pd.read_parquet(store.parquet)
    assert len(calls()) == 9 == frame["key"].nunique()  # 2 sizes x 2 methods x 3, trimmed not at n = 5
    assert set(zip(frame["method"], frame["n"])) == {("toy-mean", 5), ("toy-mean", 10), ("toy-trimmed", 10)}
    assert list(frame.columns[:7]) == ["key", "n", "law", "data", "method", "repetition", "seconds"]
    assert frame["threads"].isna().sum() == 9  # a column that only some records have


def test_methods_are_paired_and_repetitions_are_not(tmp_path):
    rows = [row for cell in run(TOY_EXPERIMENT, "smoke", folder=tmp_path).rows.values() for row in cell]
    first = {}
    for row in rows:
        if row["metric"] == "error":
            first.setdefault(row["repetition"], set()).add(row["first"])
    assert [len(values) for values in first.values()] == [1, 1, 1]
    assert len(set.union(*first.values())) == 3


def test_a_second_run_measures_nothing_and_changes_no_byte(tmp_path, calls):
    store = run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    before, manifest, n = store.parquet.read_bytes(), store.manifest.read_text(), len(calls())
    run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    assert store.parquet.read_bytes() == before
    assert store.manifest.read_text() == manifest
    assert len(calls()) == n


def test_results_depend_neither_on_jobs_nor_on_the_backend(tmp_path):
    def values(name, **options):
        store = run(TOY_EXPERIMENT, "paper", folder=tmp_path / name, plugins=[TOY], **options)
        return {key: [row["value"] for row in rows] for key, rows in store.rows.items()}

    alone = values("alone")
    assert values("loky", jobs=2) == alone
    assert values("threads", jobs=2, backend="threading") == alone


def test_only_and_again(tmp_path, calls):
    run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={"n": "10", "method": "toy-mean|nobody"})
    assert calls() == [f"toy-mean 10 {r}" for r in range(3)]
    run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    assert len(calls()) == 9
    run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={"repetition": "2"}, again=True)
    assert len(calls()) == 12
    assert len(Store(TOY_EXPERIMENT, "paper", tmp_path).load().rows) == 9


def test_a_failing_cell_names_itself_and_keeps_the_others(tmp_path, monkeypatch, calls):
    monkeypatch.setenv("FMAHAL_TOY_FAIL", "toy-trimmed 1")
    with pytest.raises(CellError, match="toy-trimmed on normal n=10, repetition 1 failed"):
        run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    n = len(calls())
    assert len(Store(TOY_EXPERIMENT, "smoke", tmp_path).load().rows) == n - 1 > 0
    monkeypatch.delenv("FMAHAL_TOY_FAIL")
    run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    assert len(calls()) == n + 6 - (n - 1)


def _started(folder, calls, *more):
    environment = {**os.environ, "FMAHAL_TOY_SLEEP": "0.3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "experiments", "run", "toy", "--profile", "paper", "--with", TOY]
    process = subprocess.Popen(
        [*command, "--results", str(folder), *more],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(calls()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_where_it_was(tmp_path, calls, sign):
    process = _started(tmp_path, calls)
    process.send_signal(sign)
    message = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if sign == signal.SIGINT else -sign), message
    stored = len(Store(TOY_EXPERIMENT, "paper", tmp_path).load().rows)
    n = len(calls())
    assert n - 1 <= stored <= n  # one cell may be under way
    run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    assert len(calls()) == n + 9 - stored
    assert len(Store(TOY_EXPERIMENT, "paper", tmp_path).load().rows) == 9


def test_half_a_line_in_the_journal_is_no_result(tmp_path):
    cells = TOY_EXPERIMENT.cells("smoke")
    store = Store(TOY_EXPERIMENT, "smoke", tmp_path)
    for cell in cells[:2]:
        store.add(work(cell))
    store.journal.write_text(store.journal.read_text()[:-9])
    assert list(store.load().rows) == [cells[0].key]
    store.add(work(cells[1]))  # on a line of its own, after the half one
    assert set(Store(TOY_EXPERIMENT, "smoke", tmp_path).load().rows) == {cell.key for cell in cells[:2]}


def test_two_runs_of_one_experiment_do_not_meet(tmp_path):
    store = Store(TOY_EXPERIMENT, "smoke", tmp_path)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        store.lock.write_text(str(other.pid))
        with pytest.raises(_spec.SpecError, match=f"Process {other.pid} is running toy already"):
            run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    finally:
        other.kill()
        other.wait()
    run(TOY_EXPERIMENT, "smoke", folder=tmp_path)  # a lock that a killed run has left
    assert not store.lock.exists()


def test_keys_follow_what_decides_numbers_and_nothing_else(tmp_path, monkeypatch):
    def keys():
        return [cell.key for cell in TOY_EXPERIMENT.cells("smoke")]

    source, before = Path(TOY).read_text(), keys()
    module = sys.modules[TOY_EXPERIMENT.measure.__module__]
    copy = tmp_path / "copy.py"
    monkeypatch.setattr(_spec.inspect, "getfile", lambda function: str(copy))
    monkeypatch.setattr(module, "__file__", str(copy))
    for text, same in (
        (source.replace('"""A small', '"""Another small').replace("# a line", "# one line"), True),
        (source.replace("\n\n\nclass", "\n\nclass").replace("    yield", "    \n    yield"), True),
        (source.replace("trim : len(rows) - trim", "trim:"), False),
    ):
        assert text != source
        copy.write_text(text)
        assert (keys() == before) is same


def test_another_parameter_of_a_method_is_another_key():
    a = _spec.Method("a", lambda seed: np.random.RandomState)
    one, other = (
        _spec.Method("m", lambda seed, r=r: __import__("fmahal").ShrunkCovariance(ridge=r)) for r in (1, 2)
    )
    assert one.fingerprint() != other.fingerprint()
    assert a.fingerprint() == a.fingerprint()


def test_finishing_drops_what_is_not_planned_and_keeps_unknown_methods(tmp_path):
    store = run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    rows = next(iter(store.rows.values()))
    store.add([{**row, "key": "old", "repetition": 99} for row in rows])
    store.add([{**row, "key": "stranger", "method": "somebody's"} for row in rows])
    kept = run(TOY_EXPERIMENT, "smoke", folder=tmp_path).rows
    assert "stranger" in kept
    assert "old" not in kept


def test_the_manifest_tells_with_what(tmp_path):
    facts = json.loads(run(TOY_EXPERIMENT, "smoke", folder=tmp_path).manifest.read_text())
    assert {"python", "numpy", "scipy", "scikit-learn", "numba", "fmahal"} <= facts["versions"].keys()
    assert facts["cells"] == facts["planned"] == 6
    assert facts["profile"] == "smoke"
    assert facts["threads"] == 1
    assert facts["blas"]
    assert facts["cpus"] == os.cpu_count()
    assert [one["cells"] for one in facts["sessions"]] == [6]


def test_names_are_unique_and_the_error_says_where(tmp_path):
    twin = tmp_path / "twin.py"
    twin.write_text("from experiments._spec import method\nmethod('toy-mean', lambda seed: None)\n")
    with pytest.raises(
        _spec.SpecError, match=r"Two methods are called 'toy-mean'.*toy_experiment\.py.*twin\.py"
    ):
        _spec.load([twin])


def test_the_command_line_refuses_by_name(capsys, tmp_path):
    assert main(["run", "e99"]) == 2
    assert "No experiment is called e99" in capsys.readouterr().err
    assert main(["run", "toy", "--with", TOY, "--only", "n"]) == 2
    assert "write KEY=VALUE" in capsys.readouterr().err
    assert main(["run", "toy", "--with", str(tmp_path / "none.py")]) == 2
    assert "none.py is not a Python file" in capsys.readouterr().err


def test_list_counts_what_is_stored(capsys, tmp_path):
    run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={"n": "5"})
    assert main(["list", "toy", "--with", TOY, "--results", str(tmp_path)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "a toy" in line)
    assert [word for word in line.split() if word.isdigit()] == ["2", "9", "3", "3"]
