"""The pages in docs do what they say: their Python blocks run, their names and links exist."""

import re
import warnings
from pathlib import Path

import pytest

import fmahal

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (
    "migration.md",
    "robust_family.md",
    "nulls.md",
    "curves.md",
    "sketching.md",
    "streaming.md",
    "neighbours.md",
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
        exec(compile(block, f"{page}, block {k}", "exec"), {})


def test_the_pages_have_blocks():
    assert {page for page, _, _ in BLOCKS} == set(PAGES)


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


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)h#][^)#]*)", TEXTS[page]):
        assert (DOCS / target).exists(), target
