"""Rates of found and of wrongly flagged curves, what is required of the default, and where it is beaten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from .._stats import Estimate, average_ranks, critical_difference, estimate, friedman, holm
from .._tables import fixed
from ..methods.curves import DEFAULT, LEVEL
from .spec import MODELS, SMOOTH

FACTOR = 1.5  # of the level, up to which a share of clean curves flagged is near it
FAMILY = 0.05  # chance that anybody is said to be ahead in error
WELL = 0.9  # share of the outliers that a detector has to find not to be defeated by a model
WHY = {  # the default may miss outliers of a model
    "magnitude": "the whole curve is moved",
    "peak": "three points are moved, by eight standard deviations",
    "shift": "the curve is moved from some point on",
    "shape": "the mean is mirrored in time: a smooth difference, everywhere well inside the band of the clean curves",
    "covariance": "rougher curves of five times the variance",
    "bump": "a hill or a valley over a part of the domain",
    "periodic": "a wave is added",
    "phase": "the wave that all curves share is moved",
    "amplitude": "the difference lies within the two directions in which clean curves vary most, two to three standard "
    "deviations from their centre in each: inside what a normal law with their covariance produces, and outlying only "
    "because the clean coefficients are uniform; outliers at one end also pass for the bulk when they are many",
}
RATES = ("youden", "tpr", "fpr")


def with_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the shares of outliers found and of other curves flagged, and their difference; failed cells go."""
    out = frame[frame["hits"].notna()].copy()
    out["tpr"] = out["hits"].astype(float) / out["outliers"]
    out["fpr"] = out["false"].astype(float) / out["clean"]
    return out.assign(youden=out["tpr"] - out["fpr"])


def failed(frame: pd.DataFrame) -> dict[str, int]:
    """Return how many cells of each method gave no labels; methods without any are left out."""
    counts = frame.loc[frame["hits"].isna(), "method"].value_counts()
    return {str(name): int(number) for name, number in counts.items()}


def common(frame: pd.DataFrame) -> pd.DataFrame:
    """Rates on the data sets of the nine models that all methods have: means over others do not compare.

    Methods that failed somewhere are not among them: they would take their cells away from all others.
    """
    rates = with_rates(frame[frame["model"].isin(MODELS) & ~frame["method"].isin(list(failed(frame)))])
    seen = rates.groupby(["data", "repetition"])["method"].nunique()
    full = seen[seen == rates["method"].nunique()].index
    return rates.set_index(["data", "repetition"]).loc[full].reset_index()


def within_cells(values: pd.Series, cells: pd.Series) -> np.ndarray:
    """Return values without what cells differ by, around their mean: cells are chosen, only data sets are drawn.

    Deviations from the mean of k values are too small by (k - 1) / k in the square, which is put right.
    """
    groups = values.groupby(np.asarray(cells))
    means, sizes = groups.transform("mean"), groups.transform("size")
    if int(sizes.min()) < 2:
        return values.to_numpy()
    return (means.mean() + (values - means) * np.sqrt(sizes / (sizes - 1.0))).to_numpy()


def rate(rows: pd.DataFrame, name: str) -> Estimate:
    """Return the mean of a rate over data sets, and its interval over repetitions, as far as it can be a rate."""
    found = estimate(within_cells(rows[name], rows["data"]))
    lowest = -1.0 if name == "youden" else 0.0
    return Estimate(*(float(np.clip(value, lowest, 1.0)) for value in found))


def difference(shown: pd.DataFrame, method: str, other: str = DEFAULT, name: str = "youden") -> Estimate:
    """Return by how much a rate of a method exceeds that of another on the same data sets."""
    table = shown.pivot(index=["data", "repetition"], columns="method", values=name)
    if method not in table or other not in table:
        return Estimate(float("nan"), float("nan"), float("nan"))
    gaps = (table[method] - table[other]).dropna()
    return estimate(within_cells(gaps, pd.Series(gaps.index.get_level_values("data"), index=gaps.index)))


@dataclass(frozen=True)
class Standing:
    """A method on the common data sets."""

    method: str
    youden: Estimate
    tpr: Estimate
    fpr: Estimate
    ahead: Estimate  # of the default, in the Youden index
    seconds: float

    @property
    def level_kept(self) -> bool:
        """Whether it flags about as many clean curves as the level allows."""
        return self.fpr.value <= FACTOR * LEVEL


def standings(shown: pd.DataFrame) -> list[Standing]:
    """Return the methods on the common data sets, the highest Youden index first."""
    found = []
    for method, rows in shown.groupby("method"):
        rates = (rate(rows, name) for name in RATES)
        found.append(
            Standing(str(method), *rates, difference(shown, method), float(rows["seconds"].median()))
        )
    return sorted(found, key=lambda one: (-round(one.youden.value, 12), one.method))


def ranks(shown: pd.DataFrame) -> tuple[Any, float, float]:
    """Return mean ranks over models (1 is best), the critical difference, and the p-value of Friedman's test."""
    table = shown.pivot_table(index="model", columns="method", values="youden")
    p_value = friedman(table).pvalue if min(table.shape[0] - 1, table.shape[1] - 2) > 0 else float("nan")
    return average_ranks(table), critical_difference(max(2, table.shape[1]), table.shape[0]), p_value


# ------------------------------------------------------------------------------------------------- requirements


def level_failures(found: Iterable[Standing], name_of: dict[str, str]) -> list[str]:
    """The default flags at most 1.5 times the level of the clean curves."""
    return [
        f"{name_of[one.method]} flags {fixed(100 * one.fpr.value, 1)} % of the clean curves at {100 * LEVEL:g} %."
        for one in found
        if one.method == DEFAULT and not one.level_kept
    ]


def youden_failures(found: Iterable[Standing], name_of: dict[str, str]) -> list[str]:
    """Nobody near the level has a higher mean Youden index than the default: single 95 % intervals, not corrected."""
    return [
        f"{name_of[one.method]} has a mean Youden index above that of the default by {fixed(one.ahead.value, 3)} "
        f"[{fixed(one.ahead.low, 3)}, {fixed(one.ahead.high, 3)}]."
        for one in found
        if one.method != DEFAULT and one.level_kept and one.ahead.low > 0.0
    ]


CHECKS = {
    f"default: at most {100 * FACTOR * LEVEL:g} % of the clean curves flagged at {100 * LEVEL:g} %": level_failures,
    "default: nobody who flags no more has a higher mean Youden index (single 95 % intervals)": youden_failures,
}


@dataclass(frozen=True)
class Defeat:
    """A model of which the default misses many outliers, and who does best there."""

    model: str
    tpr: Estimate
    best: str
    best_tpr: Estimate
    best_fpr: Estimate


def defeats(shown: pd.DataFrame) -> list[Defeat]:
    """Models of which the default misses more than a tenth of the outliers."""
    out = []
    for model in (model for model in MODELS if model in set(shown["model"])):
        rows = dict(list(shown[shown["model"] == model].groupby("method")))
        if DEFAULT not in rows or rows[DEFAULT]["tpr"].mean() >= WELL:
            continue
        best = max(rows, key=lambda name: rows[name]["youden"].mean())
        own, others = rate(rows[DEFAULT], "tpr"), (rate(rows[best], name) for name in ("tpr", "fpr"))
        out.append(Defeat(model, own, str(best), *others))
    return out


@dataclass(frozen=True)
class Lead:
    """By how much a method is ahead of the default on a model, with its single 95 % interval by Student's t."""

    model: str
    method: str
    gap: Estimate
    p_value: float  # that it is ahead by no more than the level; of this comparison alone


def lead(rows: pd.DataFrame, model: str, method: str) -> Lead:
    """Compare a method with the default on the data sets of one model.

    Data sets of a cell are draws, cells are chosen: the variance is that within cells, its degrees of freedom the
    data sets less the cells. Differences that are all alike are given the spread of one outlier in one data set.
    """
    table = rows.pivot(index=["data", "repetition"], columns="method", values="youden")
    gaps = (table[method] - table[DEFAULT]).dropna()
    cells = gaps.groupby(gaps.index.get_level_values("data"))
    free = len(gaps) - cells.ngroups
    mean = float(gaps.mean())
    if free < 1:
        return Lead(model, method, Estimate(mean, float("nan"), float("nan")), 1.0)
    squares = float(((gaps - cells.transform("mean")) ** 2).sum())
    squares = max(squares, float(1.0 / rows["outliers"].max() ** 2))
    error = np.sqrt(squares / free / len(gaps))
    half = float(stats.t.isf(0.025, free) * error)
    p_value = float(stats.t.sf((mean - LEVEL) / error, free))
    return Lead(model, method, Estimate(mean, mean - half, mean + half), p_value)


def leads(shown: pd.DataFrame) -> list[Lead]:
    """Return all comparisons of a method with the default on a model."""
    out = []
    for model, rows in shown.groupby("model"):
        here = set(rows["method"])
        out += [lead(rows, str(model), str(one)) for one in sorted(here - {DEFAULT}) if DEFAULT in here]
    return out


def beaten(shown: pd.DataFrame) -> list[Lead]:
    """Return where a method's Youden index is above that of the default by more than the level, the largest first.

    By the level itself a detector is ahead that flags no clean curve, and finds not one outlier more. Holm's
    correction over all models and methods: the chance of naming any in error is 5 %.
    """
    every = leads(shown)
    if not every:
        return []
    sure = holm([one.p_value for one in every]) < FAMILY
    return sorted(
        (one for one, is_sure in zip(every, sure, strict=True) if is_sure), key=lambda one: -one.gap.value
    )


# ------------------------------------------------------------------------------------------------- sentences


def sentence_failures(frame: pd.DataFrame, shown: pd.DataFrame, sobolev: str, plain: str) -> list[str]:
    """Sentences of the paper that the rates contradict; what these results cannot tell is left out."""
    rates = with_rates(frame)
    smooth = rates[rates["model"] == SMOOTH].groupby("method")["tpr"].mean()
    nine, many = shown.groupby("method")["youden"].mean(), shown[shown["contamination"] >= 20]
    many = many.groupby("method")["tpr"].mean()
    told = {}
    if DEFAULT in smooth:
        told["the default misses most small fast waves"] = smooth[DEFAULT] < 0.5
    if {sobolev, DEFAULT} <= set(smooth.index):
        told["the Sobolev space finds more of the waves"] = smooth[sobolev] > smooth[DEFAULT]
    if {sobolev, DEFAULT} <= set(nine.index):
        told["on the nine models the Sobolev space is the worse choice"] = nine[sobolev] < nine[DEFAULT]
    if {plain, DEFAULT} <= set(many.index):
        told["without the search the ridge filter misses outliers where they are many"] = (
            many[plain] < many[DEFAULT]
        )
    return [
        f"The paper's text should not say any more that {words}."
        for words, holds in told.items()
        if not holds
    ]
