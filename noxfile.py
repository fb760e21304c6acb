"""Sessions of the workshop: ``nox -s lint tests bench``, or ``nox -l`` for the list."""

import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = [
    "lint",
    "typing",
    "tests",
    "nojit",
    "bench",
    "compare",
    "experiments",
    "paper",
    "build",
]

HERE = Path(__file__).parent
PARALLEL = ("-n", "auto", "--dist", "worksteal")  # as in the README


@nox.session
def tests(session):
    """The test suite and the examples of the docstrings. Extra arguments go to pytest."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-q", *PARALLEL, *session.posargs)


@nox.session
def lint(session):
    """Style, layers, spelling, and the shape of the public docstrings."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run(
        "codespell", "fmahal", "tests", "benchmarks", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"
    )
    session.run("python", "-m", "pytest", "-q", "tests/test_docstrings.py")


@nox.session
def typing(session):
    """Static types."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def nojit(session):
    """The small cases of the kernels and of what stands on them, with every kernel as plain Python."""
    session.install("-e", ".[dev]")
    scatter = (
        "cholesky", "degenerate", "det_starts", "fixed", "location", "mcd_degenerate", "mcd_kernels", "mcd_properties",
        "mcd_reference", "mrcd", "ogk", "orders", "robust_location", "scales", "spectral", "wrapped",
    )  # fmt: skip
    nulls = ("dual_bootstrap", "empirical_law", "exact", "moment_bootstrap")
    session.run(
        "python", "-m", "pytest", "-q", *PARALLEL, "tests/whitener", "tests/distance", "tests/test_maps.py",
        *(f"tests/scatter/test_{name}.py" for name in scatter),
        *(f"tests/nulls/test_{name}.py" for name in nulls),
        *session.posargs,
        env={"NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip


@nox.session(python=["3.11", "3.12", "3.13"], venv_backend="venv")
def pythons(session):
    """The test suite on every version of Python that the metadata allows and this machine has."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-q", *PARALLEL, *session.posargs)


@nox.session(python="3.11", venv_backend="venv")
def oldest(session):
    """The test suite with the oldest versions of everything that the metadata allows."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *extras["plot"], *extras["report"], *extras["experiments"]]
    bounds = (re.match(r"([\w-]+)>=([\d.]+)", one) for one in listed)
    session.install("-e", ".[dev]", *(f"{one[1]}=={one[2]}" for one in bounds if one))
    session.run(
        "python", "-m", "pytest", "-q", *PARALLEL, *session.posargs,
        env={"SCIPY_ARRAY_API": "1"},  # older estimator checks of scikit-learn ask for it
    )  # fmt: skip


@nox.session
def experiments(session):
    """Every experiment at its smallest, rendered away from the checkout; then whether paper and pages are fresh."""
    session.install("-e", ".[dev]")
    away = session.create_tmp()
    session.run(
        "python", "-m", "experiments", "run", "all", "--profile", "smoke", "--jobs", "2", "--results", away,
        *session.posargs,
    )  # fmt: skip
    session.run("python", "-m", "experiments", "render", "--results", away, "--into", f"{away}/rendered")
    session.run("python", "-m", "experiments", "check")


@nox.session(venv_backend="none")
def paper(session):
    """The paper as paper/build/fmahal.pdf; skipped with a message where no TeX is installed."""
    missing = [tool for tool in ("latexmk", "pdflatex", "bibtex") if shutil.which(tool) is None]
    if missing:
        session.skip(
            f"No TeX here, the paper is not built: {', '.join(missing)} not found. On Debian: apt-get install "
            "texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended lmodern latexmk"
        )
    with session.chdir(HERE / "paper"):
        session.run(
            "latexmk", "-pdf", "-g", "-interaction=nonstopmode", "-halt-on-error", "-jobname=fmahal",
            "-output-directory=build", "main.tex", external=True,
        )  # fmt: skip
    session.log("paper/build/fmahal.pdf")


@nox.session
def bench(session):
    """Paired benchmarks: prints every figure and writes it to benchmarks/results/."""
    session.install("-e", ".[dev]", "statsmodels>=0.15")
    session.run(
        "python", "-m", "pytest", "-q", "benchmarks", "--ignore=benchmarks/test_robust_r.py",
        "--benchmark-disable-gc", *session.posargs,
    )  # fmt: skip
    session.run("python", "benchmarks/render.py")


@nox.session
def bench_r(session):
    """Paired benchmarks against R's robustbase and rrcov; skipped with a message where R is not there.

    FMAHAL_BENCH_INSTALL=1 lets root install Debian's packages of them; FMAHAL_BENCH_BLAS=FOLDER makes R use the
    libblas.so.3 in that folder, for R's default one can be the slow reference BLAS.
    """
    session.install("-e", ".[dev]")
    session.run(
        "python", "-m", "pytest", "-q", "-rs", "benchmarks/test_robust_r.py", "--benchmark-disable-gc",
        *session.posargs,
    )  # fmt: skip
    session.run("python", "benchmarks/render.py")


@nox.session
def compare(session):
    """The main job on every bundled data set, with its report."""
    session.install("-e", ".[report]")
    out = Path(session.create_tmp())
    names = session.posargs or ["wine", "breast-cancer", "elnino", "hbk", "wood"]
    for name in names:
        session.run("fmahal", "compare", name, "--report", str(out / f"compare-{name}.html"))
        session.run("fmahal", "detect", name, "--report", str(out / f"detect-{name}.html"))


@nox.session
def build(session):
    """Build the wheel, install it alone, and run the tests against it."""
    session.install("build")
    dist = Path(tempfile.mkdtemp())
    session.run("python", "-m", "build", "--outdir", str(dist))
    wheel = next(dist.glob("*.whl"))
    if not wheel.name.endswith("py3-none-any.whl"):
        session.error(f"{wheel.name} is not a pure Python wheel")
    session.install(f"{wheel}[dev]")
    session.install("--force-reinstall", "--no-deps", str(wheel))  # an older one of this version may be there
    away = Path(tempfile.mkdtemp())  # away from the checkout: the installed package is what gets tested
    shutil.copytree(HERE / "tests", away / "tests")
    shutil.copy(HERE / "pyproject.toml", away)
    for name in ("README.md", "conftest.py"):
        shutil.copy(HERE / name, away)
    with session.chdir(away):
        session.run("python", "-m", "pytest", "-q", *PARALLEL, "tests", *session.posargs)
