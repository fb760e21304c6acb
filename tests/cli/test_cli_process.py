"""The command line as a process: exit codes, streams, start-up."""

import os
import signal
import subprocess
import sys
import time

import pytest

import fmahal

FMAHAL = (sys.executable, "-m", "fmahal")
ROOT = os.path.dirname(os.path.dirname(fmahal.__file__))


@pytest.fixture
def process(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}

    def call(*arguments, command=FMAHAL, **options):
        options = {"capture_output": True, "text": True, "timeout": 300} | options
        command = [*command, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False, **options)

    call.environment = environment
    return call


def test_help_and_version_import_nothing_heavy(process):
    code = (
        "import sys; from fmahal.cli import main; main(['--version']); main(['detect', '--help']); "
        "print(sorted({'sklearn', 'numba', 'scipy', 'matplotlib', 'pandas', 'rich', 'numpy'} & set(sys.modules)))"
    )
    result = process(command=(sys.executable, "-c", code))
    assert result.stdout.startswith(f"fmahal {fmahal.__version__}\n")
    assert result.stdout.endswith("\n[]\n")


def test_bad_data_is_refused_before_scikit_learn_is_loaded(process, write):
    path = write("a,b\n1,2\n3,nan\n")
    result = process("detect", path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("fmahal: error: ")
    assert result.stderr.count("\n") == 1
    code = (
        f"import sys; from fmahal.cli import main; main(['detect', {str(path)!r}]); "
        "print(sorted({'sklearn', 'numba', 'scipy'} & set(sys.modules)))"
    )
    assert process(command=(sys.executable, "-c", code)).stdout == "[]\n"


def test_detect_from_a_pipe_to_a_pipe(process, run, X, as_csv, csv_file):
    result = process("detect", "-", "--out", "-", input=as_csv(X))
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "row,d2,pvalue,label,flagged,top_columns"
    assert len(lines) == 61
    assert result.stderr == ""  # the law of the default estimator is known: nothing to add
    assert "Warning" not in result.stderr
    path = csv_file.with_name("scores.csv")
    assert run("detect", csv_file, "--out", path)[0] == 0  # in this process: a file of the same bytes
    assert path.read_bytes().decode() == result.stdout


@pytest.mark.parametrize(
    "options",
    [pytest.param((), marks=pytest.mark.slow), ("--scatter", "mcd", "--null", "chi2,robust")],
    ids=len,
)
def test_compare_as_a_newcomer_runs_it(process, options):
    start = time.perf_counter()
    result = process("compare", *options)
    assert result.returncode == 0
    assert time.perf_counter() - start < 120  # a minute on an idle machine
    assert "AUROC" in result.stdout
    assert "mcd" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_missing_file(process):
    result = process("detect", "nowhere.csv")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "fmahal: error: There is no file 'nowhere.csv'.\n"


def wait_until_idle(pid, most=60.0):
    """Wait until a process has used no processor time for two seconds: imports take long on a cold, busy machine."""
    stat, used, since, end = f"/proc/{pid}/stat", -1, time.monotonic(), time.monotonic() + most
    if not os.path.exists(stat):
        time.sleep(5.0)
        return
    while time.monotonic() < end:
        with open(stat) as file:
            fields = file.read().rpartition(")")[2].split()
        if (now := int(fields[11]) + int(fields[12])) != used:
            used, since = now, time.monotonic()
        elif now > 0 and fields[0] == "S" and time.monotonic() - since > 2.0:
            return
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
def test_interruption_exits_with_130_and_leaves_no_file(process, tmp_path):
    child = subprocess.Popen(
        [*FMAHAL, "detect", "-", "--out", "scores.csv"],
        cwd=tmp_path,
        env=process.environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background ignore it
    )
    wait_until_idle(child.pid)  # it now waits for its standard input
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == "fmahal: interrupted\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
def test_a_reader_that_leaves_is_met_quietly(process, write):
    body = "\n".join(f"{k % 97},{k % 89},{k % 83}" for k in range(20_000))
    path = write("a,b,c\n" + body)
    command = f"{sys.executable} -m fmahal detect {path} --scatter empirical --out - | head -n 1"
    result = process(command=("bash", "-o", "pipefail", "-c", command))
    assert result.stdout == "row,d2,pvalue,label,flagged,top_columns\n"
    assert result.stderr == ""
    assert result.returncode == 141
