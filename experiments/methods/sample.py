"""The sample covariance: what every other scatter is compared with."""

from fmahal import EmpiricalCovariance

from .._spec import method


def more_rows_than_columns(n: int, p: int) -> bool:
    """Whether n rows leave two degrees of freedom over the mean and p columns: an unregularised fit is of use."""
    return n > p + 2


method(
    "empirical",
    lambda seed: EmpiricalCovariance(),
    label="EmpiricalCovariance",
    applies=more_rows_than_columns,
    options={"nulls": ("chi2", "normal", "bootstrap", "split", "jackknife", "full", "empirical")},
)
