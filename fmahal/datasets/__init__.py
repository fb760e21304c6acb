"""Real data with source and licence, and simulators that know the truth.

Importing this package loads neither scikit-learn nor any data.
"""

from ._bunch import dataset_summaries, list_datasets, load_dataset
from ._curves import make_functional_samples, make_outlying_curves
from ._elnino import load_elnino
from ._heavy_tailed import make_heavy_tailed
from ._real_curves import list_functional, load_functional
from ._simulators import make_ar1, make_contaminated_normal, make_spiked
from ._sklearn import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    load_wine,
)
from ._tables import load_hbk, load_wood

__all__ = [
    "dataset_summaries",
    "list_datasets",
    "list_functional",
    "load_breast_cancer",
    "load_dataset",
    "load_diabetes",
    "load_digits",
    "load_elnino",
    "load_functional",
    "load_hbk",
    "load_iris",
    "load_linnerud",
    "load_wine",
    "load_wood",
    "make_ar1",
    "make_contaminated_normal",
    "make_functional_samples",
    "make_heavy_tailed",
    "make_outlying_curves",
    "make_spiked",
]
