"""AUROC of e07, sets x methods, ours beside the published figures; and what its figures draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments._figures import (
    MUTED,
    Figure,
    colour,
    draw_critical_difference,
    legend,
    marker,
)
from experiments._render import Results
from experiments._spec import methods
from experiments._stats import Estimate, critical_difference, friedman, paired_difference

from .spec import FEW, MANY, PEERS, SEEDS

PUBLISHED = Path(__file__).with_name("published.csv")
PLAIN, EUCLID, WHITE, PARTLY, MIXTURE = (
    "empirical",
    "neighbours",
    "neighbours-whitened",
    "neighbours-partly",
    "mixture",
)
SUPPORT = {"mcd": "default", "mcd-75": "0.75", "mcd-90": "0.9"}
_SHORT = {
    "cardiotocography": "cardio",
    "internetads": "internet",
    "lymphography": "lympho",
    "mammography": "mammo",
}
_SHORT |= {"satimage-2": "satimage", "hepatitis": "hepat.", "pageblocks": "page"}
PROTOCOL = (
    "Trained on the first half of the clean rows, tested on the other half and all outliers; tables below "
    f"{FEW} rows are bootstrapped to {FEW}, above {MANY} subsampled; mean over {SEEDS} seeds where rows are drawn, or "
    "where the starts of a robust estimator are random. One seed on tables taken whole elsewhere: where nothing is "
    "random, where only the folds of a cross-validation (modified Cholesky), the rows that decide a power (partial "
    f"whitening) or the starts of a mixture are, and for random starts of other packages from {PEERS} rows on."
)
AS_THERE = "Protocol and seeds as in the table of means of all methods."
SOURCE = "Published: Livernoche et al. (ICLR 2024), tables of ADBench (Han et al. 2022)"


def short(name: str) -> str:
    """Return a set's name for the head of a column."""
    return _SHORT.get(name, name)


class Scores:
    """AUROC in percent, sets x methods: `ours`, `published` for the same sets, and `all` of them."""

    def __init__(self, results: Results) -> None:
        self.frame = results.frame
        self.labels = {one.name: one.label or one.name for one in methods("tabular")}
        wide = self.frame.pivot_table(
            index="data", columns="method", values="auroc", aggfunc="mean", dropna=False
        )
        self.ours = 100.0 * wide[list(dict.fromkeys(self.frame["method"]))]
        known = pd.read_csv(PUBLISHED, index_col="dataset")
        known = known[[name for name in known if name != "source" and not name.endswith("_sd")]]
        self.published = 100.0 * known.reindex(self.ours.index)
        self.all = self.ours.join(self.published.add_prefix("published "))
        self.at_random = ~self.frame.groupby("data")["n"].first().between(FEW, MANY)
        # a method that refuses more than one table in ten would take these from the means of all others
        same = {one.name: one.options.get("same_as") for one in methods("tabular")}
        beside = self.ours[self.published.notna().any(axis=1)]
        self.ranked = [
            name
            for name in self.ours
            if beside[name].isna().sum() <= len(beside) // 10
            and not self.twins(name, same.get(name))  # counted twice, it would widen the critical difference
        ]
        # where all of them give an answer, and others have published
        self.common = beside[self.ranked].dropna().index

    def twins(self, name: str, other: str | None) -> bool:
        """Whether a method gives the numbers of another one that it is said to be the same as."""
        return other in self.ours and bool(np.allclose(self.ours[name], self.ours[other], equal_nan=True))

    def label(self, name: str) -> str:
        """Return a method's name as printed."""
        return self.labels.get(name, name.removeprefix("published "))

    def loss(self, name: str, to: str = PLAIN) -> pd.Series:
        """Return the points that a method loses to another, set by set, where both gave an answer."""
        return (self.all[to] - self.all[name]).dropna()

    def gain(self, name: str, to: str) -> Estimate:
        """Return the mean gain over sets with its interval."""
        loss = self.loss(name, to)
        return paired_difference(-loss.to_numpy(), np.zeros(len(loss)))

    def of(self, method: str, column: str) -> pd.Series:
        """Return the mean of another column of the results over the repetitions, by set."""
        own = self.frame[self.frame["method"] == method]
        return pd.to_numeric(own[column]).groupby(own["data"]).mean()


# ------------------------------------------------------------------------------------------------- figures


def ranks_figure(scores: Scores, ranks: pd.Series) -> Figure:
    """Critical-difference diagram."""
    names, n = scores.ranked, len(scores.common)
    labels = {name: scores.label(name) for name in names}
    cd, pvalue = critical_difference(len(names), n), friedman(scores.ours.loc[scores.common, names]).pvalue
    said = "p < 0.001" if pvalue < 0.001 else f"p = {pvalue:.3f}"
    return Figure(
        lambda figure: draw_critical_difference(figure, ranks.to_dict(), cd, labels=labels),
        f"Mean ranks of {len(names)} methods by AUROC over {n} sets (1 is best). Bars join methods whose ranks "
        "differ by "
        f"less than Nemenyi's critical difference at the 5 % level; Friedman's test: {said}. {AS_THERE}",
        size=(6.3, 1.1 + 0.14 * len(names)),
        docs=True,
    )


def support_figure(scores: Scores) -> Figure:
    """Losses of the minimum covariance determinant, set by set."""
    names = [name for name in (*SUPPORT, "published MCD") if name in scores.all]
    losses = pd.DataFrame({name: scores.loss(name) for name in names}).dropna()
    losses = losses.sort_values(names[0], ascending=False)
    labels = [f"h/n {SUPPORT[name]}" if name in SUPPORT else name for name in names]

    def draw(figure: Any) -> None:
        ax = figure.add_subplot()
        for place, (name, label) in enumerate(zip(names, labels, strict=True)):
            x = np.arange(len(losses)) + 0.16 * (place - 1.5)
            fill = {"mcd": colour(name), "mcd-75": "white", "mcd-90": "white"}.get(name, colour(name))
            style = {"color": colour(name), "marker": marker(name), "label": label, "markerfacecolor": fill}
            ax.plot(x, losses[name].to_numpy(), linestyle="none", **style)
        ax.axhline(0.0, color=MUTED, linewidth=0.7)
        ax.set_xticks(range(len(losses)), [short(one) for one in losses.index], rotation=45, ha="right")
        ax.set_ylabel("loss of AUROC, points")
        legend(ax, columns=2)

    return Figure(
        draw,
        "Points of AUROC that a minimum covariance determinant loses to the plain covariance on clean training "
        "rows, by "
        f"the share h/n of the rows that its subset keeps. {len(losses)} sets; points are means over the seeds, "
        "without "
        f"bars. {AS_THERE}",
        size=(6.3, 3.4),
        docs=True,
    )
