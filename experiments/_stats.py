"""Statistics of comparison: bootstrap intervals over repetitions, ranks over data sets, counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FloatArray = NDArray[np.float64]


class StatsError(ValueError):
    """Values of which a statistic does not exist."""


class Estimate(NamedTuple):
    """A value and its interval."""

    value: float
    low: float
    high: float


class Friedman(NamedTuple):
    """Friedman's test that no method's ranks differ."""

    statistic: float
    pvalue: float


def _finite(values: ArrayLike, what: str, least: int = 1) -> FloatArray:
    out = np.asarray(values, dtype=float)
    if out.size < least or not np.isfinite(out).all():
        missing = int((~np.isfinite(out)).sum())
        raise StatsError(
            f"{what}: {out.size} values, {missing} of them missing or infinite; at least {least} are needed and all "
            f"have to be finite. Usually a method failed in some cell: say so in the table, and leave the cell out "
            f"of every method that it is compared with."
        )
    return out


# ------------------------------------------------------------------------------------------------- repetitions


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic over repetitions; one repetition gives (nan, nan).

    `statistic` takes an array and ``axis``. The same values and seed give the same interval.
    """
    sample = _finite(values, "bootstrap_interval").ravel()
    if len(sample) == 1:
        return float("nan"), float("nan")
    # the order of the rows of a file should not decide: sorted values have one order
    rows = np.random.default_rng(seed).integers(0, len(sample), size=(n_resamples, len(sample)))
    found = statistic(np.sort(sample)[rows], axis=1)
    low, high = np.quantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def estimate(values: ArrayLike, statistic: Callable[..., Any] = np.mean, **options: Any) -> Estimate:
    """Return a statistic of the repetitions with its bootstrap interval."""
    sample = _finite(values, "estimate").ravel()
    return Estimate(float(statistic(sample, axis=0)), *bootstrap_interval(sample, statistic, **options))


def paired_difference(a: ArrayLike, b: ArrayLike, **options: Any) -> Estimate:
    """Return the mean of a - b over paired repetitions, with its bootstrap interval."""
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape or first.ndim != 1:
        raise StatsError(
            f"paired_difference: shapes {first.shape} and {second.shape}; one value of each method is needed for each "
            f"repetition, in the same order. Pivot the frame by data and repetition first."
        )
    return estimate(first - second, **options)


# ------------------------------------------------------------------------------------------------- ranks


def _places(values: FloatArray) -> FloatArray:
    """Number the different values of each row, least first: what only rounding tells apart is tied.

    A mean of the same counts in another order may differ in the last bit, and on another machine may not.
    """
    order = np.argsort(values, axis=1, kind="stable")
    steps = np.diff(np.take_along_axis(values, order, axis=1), axis=1)
    apart = steps > 1e-12 * np.abs(values).max(axis=1, keepdims=True)
    out = np.zeros(values.shape)
    np.put_along_axis(out, order[:, 1:], np.cumsum(apart, axis=1), axis=1)
    return out


def holm(p_values: ArrayLike) -> FloatArray:
    """Return p-values for which comparing each with a level bounds the chance of any false rejection by it (Holm)."""
    values = _finite(p_values, "holm").ravel()
    order = np.argsort(values, kind="stable")
    out = np.empty(values.size)
    steps = values[order] * np.arange(values.size, 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def average_ranks(table: Any, *, larger_is_better: bool = True) -> Any:
    """Return the mean rank of each method over data sets; rank 1 is the best, ties share their mean.

    `table` has a row for each data set and a column for each method: a DataFrame (a Series comes back) or an array.
    """
    values = _places(_finite(table, "average_ranks"))
    ranks = stats.rankdata(-values if larger_is_better else values, axis=1).mean(axis=0)
    if hasattr(table, "columns"):
        import pandas as pd

        return pd.Series(ranks, index=table.columns)
    return ranks


def friedman(table: Any) -> Friedman:
    """Test that no method is better than another (rows: data sets, columns: methods), corrected for ties."""
    values = _finite(table, "friedman")
    values = _places(values) if values.ndim == 2 else values
    if values.ndim != 2 or values.shape[1] < 3 or values.shape[0] < 2:
        raise StatsError(
            f"friedman: shape {values.shape}; two data sets and three methods are the least. "
            "Two methods are compared by paired_difference."
        )
    if (values == values[:, :1]).all():
        return Friedman(0.0, 1.0)  # ties only: SciPy divides by zero
    found = stats.friedmanchisquare(*values.T)
    return Friedman(float(found.statistic), float(found.pvalue))


def critical_difference(n_methods: int, n_datasets: int, alpha: float = 0.05) -> float:
    """Return the difference of mean ranks that Nemenyi's test takes for more than chance."""
    if n_methods < 2 or n_datasets < 1 or not 0.0 < alpha < 1.0:
        raise StatsError(f"critical_difference: {n_methods} methods, {n_datasets} data sets, alpha {alpha}.")
    # infinite degrees of freedom give NaN in older SciPy: so many that no digit changes
    spread = stats.studentized_range.isf(alpha, n_methods, 1e8) / np.sqrt(2.0)
    return float(spread * np.sqrt(n_methods * (n_methods + 1) / (6.0 * n_datasets)))


def undistinguished(mean_ranks: Mapping[str, float], cd: float) -> list[list[str]]:
    """Return the longest runs of two methods and more whose mean ranks differ by less than `cd`, best first."""
    names: Sequence[str] = sorted(mean_ranks, key=lambda name: (mean_ranks[name], name))
    runs: list[list[str]] = []
    reached = 0
    for first, name in enumerate(names):
        end = first
        while end < len(names) and mean_ranks[names[end]] - mean_ranks[name] < cd:
            end += 1
        if end - first > 1 and end > reached:  # a run inside an earlier one says nothing new
            runs.append(list(names[first:end]))
            reached = end
    return runs
