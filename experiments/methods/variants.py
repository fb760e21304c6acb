"""Variants that only some experiments compare, and the truth.

``options["truth"]`` marks the reference that is told the true covariance by the experiment. ``options["columns"]``
is "ordered" or "unordered" for methods that make sense for columns of that kind alone.
"""

from fmahal import FixedScatter, MinCovDet, ModifiedCholeskyCV

from .._spec import method
from .sample import more_rows_than_columns

BANDS = (0, 1, 2, 3, 5, 8, 12)
RIDGES = (0.1, 1.0, 10.0)  # beside the bands


def banded(seed: int, **order: object) -> ModifiedCholeskyCV:
    """Bands and ridges are tried whatever the number of rows: more than 12 columns are needed."""
    return ModifiedCholeskyCV(bandwidths=list(BANDS), alphas=RIDGES, random_state=seed, **order)


def _register(name: str, make: object, label: str, columns: str) -> None:
    method(
        name,
        make,
        roles=("precision",),
        label=label,
        applies=lambda n, p: p > max(BANDS),
        options={"columns": columns},
    )


method(
    "truth",
    lambda seed: FixedScatter(),
    roles=("precision", "robustness"),
    label="truth",
    options={"truth": True},
)
_register("cholesky-bands", banded, "ModifiedCholeskyCV, bands", "ordered")
_register(
    "cholesky-10-orders",
    lambda seed: ModifiedCholeskyCV(n_orders=10, random_state=seed),
    "ModifiedCholeskyCV, 10 orders",
    "unordered",
)
_register(
    "cholesky-bic", lambda seed: banded(seed, order="bic"), "ModifiedCholeskyCV, BIC order", "unordered"
)
_register(
    "cholesky-rcm", lambda seed: banded(seed, order="rcm"), "ModifiedCholeskyCV, RCM order", "unordered"
)
method(
    "mcd-deterministic",
    lambda seed: MinCovDet(method="deterministic"),
    roles=("robustness",),
    label="MinCovDet, deterministic",
    applies=more_rows_than_columns,
    options={"robust": True, "slow": True},  # its law is simulated once for each size, in seconds
)
