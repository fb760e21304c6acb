"""The harness of the experiments: nothing is lost, nothing is done twice, methods meet the same numbers."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

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


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_results_depend_neither_on_jobs_nor_on_the_backend(tmp_path, backend):
    def values(name, **options):
        store = run(TOY_EXPERIMENT, "paper", folder=tmp_path / name, plugins=[TOY], **options)
        return {key: [row["value"] for row in rows] for key, rows in store.rows.items()}

    assert values("two", jobs=2, backend=backend) == values("alone")


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
    assert len(Store(TOY_EXPERIMENT, "smoke", tmp_path).load().rows) == 5  # a cell stops no other cell
    monkeypatch.delenv("FMAHAL_TOY_FAIL")
    run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    assert len(calls()) == 7


def _started(folder, calls, *more):
    environment = {**os.environ, "FMAHAL_TOY_SLEEP": "0.3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "experiments", "run", "toy", "--profile", "paper", "--with", TOY]
    process = subprocess.Popen(
        [*command, "--results", str(folder), *more],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background ignore it
    )
    deadline = time.monotonic() + 60
    while len(calls()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


def test_an_interrupted_run_keeps_its_cells_and_goes_on(tmp_path, calls, monkeypatch):
    stored = []

    def interrupted(cell, plugins=()):
        stored.append(
            len(Store(TOY_EXPERIMENT, "paper", tmp_path).load().rows)
        )  # what a killed run would leave
        if len(calls()) == 4:
            raise KeyboardInterrupt
        return work(cell, plugins)

    command = ["run", "toy", "--profile", "paper", "--jobs", "1", "--results", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr("experiments._run.work", interrupted)
        assert main(command) == 130
    assert stored == [0, 1, 2, 3, 4]
    assert len(Store(TOY_EXPERIMENT, "paper", tmp_path).load().rows) == 4
    assert main(command) == 0
    assert len(calls()) == 9 == len(set(calls()))


@pytest.mark.slow
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
    store.begin({"jobs": 1})
    for cell in cells[:2]:
        store.add(work(cell))
    store.journal.write_text(store.journal.read_text()[:-9])
    assert list(store.load().rows) == [cells[0].key]
    store.add(work(cells[1]))  # on a line of its own, after the half one
    assert set(Store(TOY_EXPERIMENT, "smoke", tmp_path).load().rows) == {cell.key for cell in cells[:2]}


def test_two_runs_of_one_experiment_do_not_meet(tmp_path):
    refused = pytest.raises(_spec.SpecError, match="toy is being run already")
    with Store(TOY_EXPERIMENT, "smoke", tmp_path).locked(), refused:
        run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    left = run(TOY_EXPERIMENT, "smoke", folder=tmp_path)  # the file of a run that is over does not matter
    assert len(left.rows) == 6


def test_profiles_do_not_replace_each_other(tmp_path):
    run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    with pytest.raises(_spec.SpecError, match="holds the profile 'paper', and 'smoke' is asked for"):
        run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    assert len(Store(TOY_EXPERIMENT, "paper", tmp_path).load().rows) == 9


def test_choosing_by_what_is_no_axis_is_an_error_and_forgets_nothing(tmp_path):
    run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    for name in ("metric", "methods"):  # a column of the records, and a slip
        with pytest.raises(_spec.SpecError, match=f"toy has no axis {name}"):
            run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={name: "error"}, again=True)
    assert len(Store(TOY_EXPERIMENT, "paper", tmp_path).load().rows) == 9


def _moved(monkeypatch, tmp_path, text):
    """Let another text be the source of the toy experiment."""
    copy = tmp_path / "copy.py"
    copy.write_text(text)
    monkeypatch.setattr(_spec.inspect, "getfile", lambda function: str(copy))
    monkeypatch.setattr(sys.modules[TOY_EXPERIMENT.measure.__module__], "__file__", str(copy))


def test_results_of_other_sources_stay_until_they_are_measured_again(tmp_path, monkeypatch):
    store = run(TOY_EXPERIMENT, "paper", folder=tmp_path)
    before = set(store.rows)
    _moved(monkeypatch, tmp_path, Path(TOY).read_text().replace("trim : len(rows) - trim", "trim:"))
    some = run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={"repetition": "0", "n": "5"})
    assert len(some.rows) == 9
    assert len(set(some.rows) - before) == 1
    assert not set(run(TOY_EXPERIMENT, "paper", folder=tmp_path).rows) & before


def test_keys_follow_what_decides_numbers_and_nothing_else(tmp_path, monkeypatch):
    def keys():
        return [cell.key for cell in TOY_EXPERIMENT.cells("smoke")]

    source, before = Path(TOY).read_text(), keys()
    for text, same in (
        (source.replace('"""A small', '"""Another small').replace("# a line", "# one line"), True),
        (source.replace("\n\n\nclass", "\n\nclass").replace("    yield", "    \n    yield"), True),
        (source.replace('kept.mean(), "first"', 'kept.mean(),\n        "first"'), True),
        (source.replace("trim : len(rows) - trim", "trim:"), False),
        (source.replace('"a planted failure"', '"aplanted failure"'), False),
        (
            source.replace('    yield {"metric": "kept"', '    if trim:\n        yield {"metric": "kept"'),
            False,
        ),
    ):
        assert text != source
        _moved(monkeypatch, tmp_path, text)
        assert (keys() == before) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("for i in x:\n    s = 1\n    s *= 2\n", "for i in x:\n    s = 1\ns *= 2\n"),
        ('def f(): "d"; return 3\n', 'def f(): "d"; return 4\n'),
        ('x = f"{a} b"\n', 'x = f"{a}  b"\n'),
        ('x = "a # b"\n', 'x = "a # c"\n'),
    ],
)
def test_sources_that_mean_other_things_differ(tmp_path, one, other):
    file = tmp_path / "one.py"
    meanings = []
    for text in (one, other, "# a remark\n" + one):
        file.write_text(text)
        meanings.append(_spec._meaning(file))
    assert meanings[0] != meanings[1]
    assert meanings[0] == meanings[2]


def test_the_source_of_a_method_and_of_a_data_set_counts(tmp_path):
    text = (
        "from functools import partial\nfrom experiments._spec import dataset, method\n"
        "class Own:\n    def __init__(self, a):\n        self.a = 1\n"
        "def draw(seeds):\n    return 1\n"
        "def make(seed, a):\n    return Own(a)\n"
        "METHOD = method('{0}', partial(make, a=1), roles=('none',))\n"
        "DATA = dataset('{0}', draw, {{}})\n"
    )
    prints = []
    for name, other in (("first", text), ("second", text.replace("self.a = 1", "self.a = 2"))):
        file = tmp_path / f"{name}.py"
        file.write_text(other.format("renamed" + name))
        _spec.load([file])
        module = next(one for one in sys.modules.values() if getattr(one, "__file__", "") == str(file))
        prints.append(
            (module.METHOD.fingerprint().replace(name, ""), _spec._own(module.DATA.draw)[0].replace(name, ""))
        )
    assert prints[0][0] != prints[1][0]
    assert prints[0][1] != prints[1][1]


def test_what_is_compared_is_in_the_key(monkeypatch):
    """Axes, version, further modules; parameters and options of the method; repetition."""

    def keys(experiment=TOY_EXPERIMENT):
        return {cell.key for cell in experiment.cells("smoke")}

    before = keys()
    assert len(before) == 6
    other_axes = [
        dataclasses.replace(data, axes={**data.axes, "law": "t"})
        for data in TOY_EXPERIMENT.data_sets("smoke")
    ]
    for changed in (
        dataclasses.replace(TOY_EXPERIMENT, version=2),
        dataclasses.replace(TOY_EXPERIMENT, modules=("experiments._stats",)),
        dataclasses.replace(TOY_EXPERIMENT, data_sets=lambda profile: other_axes),
    ):
        assert not keys(changed) & before
    for options in ({"nulls": ("a",)}, {"nulls": ("b",)}):
        one = dataclasses.replace(_spec._METHODS["toy-mean"], options=options)
        monkeypatch.setitem(_spec._METHODS, "toy-mean", one)
        now = keys()
        assert len(now & before) == 3  # those of the other method
        before = (before & now) | now


def test_another_parameter_of_a_method_is_another_key():
    import fmahal

    one, other = (_spec.Method("m", lambda seed, r=r: fmahal.ShrunkCovariance(ridge=r)) for r in (1, 2))
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint() == one.fingerprint()


def test_two_data_sets_of_one_name_are_an_error():
    twice = TOY_EXPERIMENT.data_sets("smoke") * 2
    with pytest.raises(_spec.SpecError, match="toy has several data sets called normal n=10"):
        dataclasses.replace(TOY_EXPERIMENT, data_sets=lambda profile: twice).cells("smoke")


def test_timed_cells_run_alone_here_after_a_warm_up_and_with_the_threads_declared(tmp_path, monkeypatch):
    import threadpoolctl

    seen = []

    def measure(rows, one, seeds):
        pools = {
            pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"
        }
        seen.append((one.name, seeds.names[1], os.getpid(), pools))
        yield {"value": 1.0}

    measure.__module__ = TOY_EXPERIMENT.measure.__module__
    timed = dataclasses.replace(TOY_EXPERIMENT, name="timed", measure=measure, timed=True, threads=1)
    monkeypatch.setitem(_spec._PLUGGED, "timed", timed)
    store = run(timed, "smoke", jobs=2, folder=tmp_path)
    assert len(store.rows) == 6
    assert {pid for _, _, pid, _ in seen} == {os.getpid()}
    assert {frozenset(pools) for *_, pools in seen} == {frozenset({1})}
    for name in ("toy-mean", "toy-trimmed"):
        assert [data for one, data, *_ in seen if one == name] == ["warm-up", *["normal n=10"] * 3]


def test_finishing_drops_what_is_not_planned_and_keeps_unknown_methods(tmp_path):
    store = run(TOY_EXPERIMENT, "smoke", folder=tmp_path)
    rows = next(iter(store.rows.values()))
    store.begin({"jobs": 1})
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
    assert re.fullmatch(r"[0-9a-f]{40}\+?|unknown", facts["commit"])
    assert re.fullmatch(r"[0-9a-f]{12}", facts["library"])
    assert [one["cells"] for one in facts["sessions"]] == [6]


def test_every_session_is_in_the_manifest_with_its_own_machine(tmp_path, monkeypatch):
    run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={"n": "5"})
    killed = Store(TOY_EXPERIMENT, "paper", tmp_path).load()
    monkeypatch.setattr("platform.machine", lambda: "another")
    killed.begin({"jobs": 1})
    killed.add(work(next(cell for cell in TOY_EXPERIMENT.cells("paper") if cell.key not in killed.rows)))
    monkeypatch.undo()  # and now it is killed: only the journal knows of it
    facts = json.loads(run(TOY_EXPERIMENT, "paper", folder=tmp_path).manifest.read_text())
    assert [one["cells"] for one in facts["sessions"]] == [3, 1, 5]
    assert [one["machine"] == "another" for one in facts["sessions"]] == [False, True, False]
    assert facts["wall_seconds"] == pytest.approx(
        sum(one["wall_seconds"] for one in facts["sessions"]), abs=0.1
    )


def test_a_session_that_measured_nothing_is_not_in_the_manifest(tmp_path):
    run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={"n": "5"})
    before = json.loads(Store(TOY_EXPERIMENT, "paper", tmp_path).manifest.read_text())["sessions"]
    store = Store(TOY_EXPERIMENT, "paper", tmp_path).load()
    store.begin({"jobs": 7})  # and every cell fails
    store.finish(TOY_EXPERIMENT.cells("paper"))
    assert json.loads(store.manifest.read_text())["sessions"] == before


PLUGIN_FILE = """
from experiments._spec import Method
from fmahal import OAS


def make(seed):
    return {}


ONE = Method("m", make)
"""


def test_a_method_is_known_by_its_own_source_and_its_classs(tmp_path):
    prints = []
    for number, made in enumerate(("OAS()", "OAS()  # the same", "[OAS(), seed][0]")):
        file = tmp_path / f"plugin{number}.py"
        file.write_text(PLUGIN_FILE.format(made))
        _spec.load([file])
        prints.append(sys.modules[_spec.PLUGIN + _spec._digest(str(file.resolve()))].ONE.fingerprint())
    assert prints[0] == prints[1] != prints[2]
    made = [one for one in _spec.methods("tabular") if type(one.make(0)).__name__ == "InverseCovariance"]
    assert _spec._meaning(ROOT / "experiments" / "methods" / "tabular.py") in made[0].fingerprint()


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
    for more, message in (
        (["--only", "n=77"], "No cell of toy, profile smoke"),
        (["--jobs", "0"], "--jobs 0: at least one"),
        (["--backend", "foo"], "--backend foo: joblib has none"),
    ):
        assert main(["run", "toy", "--with", TOY, "--results", str(tmp_path), *more]) == 2
        assert message in capsys.readouterr().err
    assert main(["run", "toy", "--with", str(tmp_path / "none.py")]) == 2
    assert "none.py is not a Python file" in capsys.readouterr().err


def test_list_counts_what_is_stored(capsys, tmp_path):
    run(TOY_EXPERIMENT, "paper", folder=tmp_path, only={"n": "5"})
    assert main(["list", "toy", "--with", TOY, "--results", str(tmp_path)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "a toy" in line)
    assert [word for word in line.split() if word.isdigit()] == ["2", "9", "3", "3"]
