"""The pages in docs do what they say: their Python blocks run, their names and links exist."""

import re
import warnings
from pathlib import Path

import pytest

import fmahal

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (
    "README.md",
    "shell.md",
    "tabular.md",
    "benchmarks.md",
    "precision.md",
    "robust.md",
    "outlying_curves.md",
    "migration.md",
    "robust_family.md",
    "nulls.md",
    "curves.md",
    "sketching.md",
    "streaming.md",
    "neighbours.md",
    "table.md",
    "wide.md",
    "large.md",
    "choosing.md",
)
TEXTS = {page: (DOCS / page).read_text(encoding="utf-8") for page in PAGES if (DOCS / page).is_file()}
BLOCKS = [
    (page, k, block)
    for page, text in TEXTS.items()
    for k, block in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.S))
]
pytestmark = pytest.mark.skipif(not TEXTS, reason="an installed copy has no docs folder")


@pytest.mark.parametrize(("page", "k", "block"), BLOCKS, ids=[f"{page}-{k}" for page, k, _ in BLOCKS])
def test_python_blocks_run(page, k, block):
    for name in ("skfda", "pynndescent", "faiss"):
        if name in block:
            pytest.importorskip(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # an old Matplotlib calls a new pyparsing by its old names
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"matplotlib|pyparsing")
        exec(compile(block, f"{page}, block {k}", "exec"), {})


def test_all_pages_are_listed_and_the_guides_have_blocks():
    assert {path.name for path in DOCS.glob("*.md")} == set(PAGES)
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert {page for page in PAGES if f"({page})" not in index} == {"README.md"}
    tables = {"README.md", "shell.md", "benchmarks.md", "precision.md", "robust.md"}  # nothing to type in
    assert {page for page, _, _ in BLOCKS} >= set(PAGES) - tables - {"tabular.md", "outlying_curves.md"}


def test_commands_of_the_shell_page_are_understood():
    from fmahal.cli import main

    commands = re.findall(r"^fmahal (\w+(?: \| \w+)*)", TEXTS["shell.md"], flags=re.M)
    known = {word for command in commands for word in command.split(" | ")}
    assert known == {"detect", "compare", "datasets", "info", "warmup"}
    for word in known:
        assert main([word, "--help"]) == 0


# Names of other packages that the pages write in code type.
FOREIGN = {
    "None",
    "EllipticEnvelope",
    "CovMcd",
    "CovMrcd",
    "CovOgk",
    "CovNAMcd",
    "Qn",
    "Sn",
    "MCD",
    "FALSE",
    "TRUE",
    "FDataIrregular",
    "MahalanobisDistance",
    "PairwiseMetric",
    "DistanceBasedDepth",
    "BoxplotOutlierDetector",
    "MSPlotOutlierDetector",
    "LocalOutlierFactor",
    "KMeans",
    "KNeighborsClassifier",
    "NearestNeighbors",
    "GaussianRandomProjection",
    "FunctionTransformer",
    "SparseRandomProjection",
    "Mahalanobis",
    "IndexIVFPQ",
    "IndexRefineFlat",
    "PCAMatrix",
    "RandomRotationMatrix",
    "Rscript",
}


@pytest.mark.parametrize("page", TEXTS)
def test_names_exist(page):
    prose = re.sub(r"```.*?```", "", TEXTS[page], flags=re.S)
    for name in set(re.findall(r"`([A-Z][A-Za-z]+)\b", prose)) - FOREIGN:
        assert hasattr(fmahal, name), name


def test_every_parameter_and_attribute_of_the_mcd_is_in_the_table():
    text = TEXTS["migration.md"]
    for name in fmahal.MinCovDet().get_params():
        assert name in text, name
    fitted = fmahal.MinCovDet(random_state=0).fit(fmahal.datasets.load_hbk().data)
    own = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    own -= {"rank_", "n_samples_", "ddof_", "n_features_in_"}  # of every scatter
    assert {name for name in own if f"{name}`" not in text} == set()


def anchors(text):
    """Anchors of the headings of a page, as hosts of Markdown make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    text = TEXTS[page]
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        there = (DOCS / target) if target else DOCS / page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), f"{target}#{anchor}"
