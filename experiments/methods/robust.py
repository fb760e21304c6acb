"""Scatters that outliers cannot move.

``options["robust"]`` is true for them. Their bootstrap is the parametric one, which takes clean rows for normal;
``"auto"`` is that too, except for `MinCovDet`, which has a law of its own.
"""

from fmahal import MRCD, OGK, MinCovDet, WrappedCovariance

from .._spec import method
from .sample import more_rows_than_columns

ROBUST_ROLES = ("size", "robustness", "tabular", "cost")

method(
    "mcd",
    lambda seed: MinCovDet(random_state=seed),
    roles=ROBUST_ROLES,
    label="MinCovDet",
    applies=more_rows_than_columns,
    options={"robust": True, "nulls": ("chi2", "auto", "cerioli", "bootstrap", "split", "empirical")},
)
method(
    "mcd-75",
    lambda seed: MinCovDet(support_fraction=0.75, random_state=seed),
    roles=("robustness", "tabular"),
    label="MinCovDet, h = 0.75 n",
    applies=more_rows_than_columns,
    options={"robust": True},
)
method(
    "mcd-90",
    lambda seed: MinCovDet(support_fraction=0.9, random_state=seed),
    roles=("robustness", "tabular"),
    label="MinCovDet, h = 0.9 n",
    applies=more_rows_than_columns,
    options={"robust": True},
)
method(
    "mrcd",
    lambda seed: MRCD(),
    roles=ROBUST_ROLES,
    label="MRCD",
    options={"robust": True, "nulls": ("chi2", "auto", "split")},
)
method(
    "ogk",
    lambda seed: OGK(),
    roles=ROBUST_ROLES,
    label="OGK",
    applies=more_rows_than_columns,
    options={"robust": True, "nulls": ("chi2", "auto", "split")},
)
method(
    "wrapped",
    lambda seed: WrappedCovariance(),
    roles=ROBUST_ROLES,
    label="WrappedCovariance",
    options={"robust": True, "nulls": ("chi2", "auto", "split")},
)
