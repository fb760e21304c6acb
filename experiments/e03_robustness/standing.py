"""What e03's page prints of each method, and how ours stand to peers: the worst arrangements, paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments._spec import methods

FAR = 2.5  # from this distance on the outliers are plain to see, unless they mask each other
REFERENCES = ("truth", "empirical", "ledoit-wolf")  # not robust, or not an estimate
MEASURES = ("location", "log_condition")
RESAMPLES, INTERVAL = 2000, 0.95
Size = tuple[int, int]


def arrangements(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with outliers, counts as shares; an estimate that failed is infinitely far and finds nothing."""
    bad = frame[frame["kind"] != "none"].copy()
    failed = bad["failed"].notna()
    for name in MEASURES:
        bad[name] = bad[name].astype(float).mask(failed, np.inf)
    for name in ("found", "beyond"):
        bad[name] = (bad[name].astype(float) / bad["outliers"]).mask(failed, 0.0)
    bad["auroc"] = bad["auroc"].astype(float).mask(failed, 0.0)
    return bad


def worst(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the worst over kinds and distances for each size, method and share.

    Biases are medians over repetitions. `found` and `beyond` are means over repetitions, the worst of the distances
    from `FAR` on. `found_mean` and `auroc_mean` are means over all kinds and distances.
    """
    bad = arrangements(frame)
    keys = ["n", "p", "method", "share"]
    spots = bad.groupby([*keys, "kind", "distance"])
    biases = spots[list(MEASURES)].median().groupby(keys).max()
    far = bad[bad["distance"] >= FAR].groupby([*keys, "kind", "distance"])
    detected = far[["found", "beyond"]].mean().groupby(keys).min()
    means = bad.groupby(keys)[["found", "auroc"]].mean().add_suffix("_mean")
    failed = bad["failed"].notna().groupby([bad[k] for k in keys]).mean().rename("failed")
    return biases.join(detected).join(means).join(failed)


def clean_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return biases and false alarms on rows without outliers, for each size and method."""
    keys = ["n", "p", "method"]
    good = frame[frame["kind"] == "none"]
    out = good.groupby(keys)[list(MEASURES)].median()
    done = good[good["failed"].isna()]
    rows = done.groupby(keys)[["n"]].sum().rename(columns={"n": "rows"})
    return out.join(done.groupby(keys)["false"].sum().rename("false")).join(rows)


def at(table: pd.DataFrame, column: str, *where: Any) -> float:
    """Return a number of a summary; NaN where the method was not run."""
    return float(table[column].get(where, np.nan))


def silent(frame: pd.DataFrame) -> tuple[int, int]:
    """Return how many fits of MinCovDet miss most outliers that are plain to see, and how many of them said so."""
    lost = frame[(frame["method"] == "mcd") & (frame["distance"] >= FAR)]
    lost = lost[lost["found"] < 0.5 * lost["outliers"]]
    return len(lost), int(lost["warned"].sum())


# ------------------------------------------------------------------------------------------------- ours and peers


def sides(names: Sequence[str]) -> dict[str, list[str]]:
    """Return names of our robust methods, and of those of other packages."""
    package = {one.name: one.package for one in methods("robustness")}
    own = [name for name in names if package.get(name, "fmahal") == "fmahal"]
    return {
        "ours": [name for name in own if name not in REFERENCES],
        "peers": [name for name in names if name not in own],
    }


def alarms_of(clean: pd.DataFrame, size: Size, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the shares of clean rows flagged at one size, for ours and for peers, where there are any."""
    found: dict[str, dict[str, float]] = {}
    for side, members in sides(names).items():
        for name in members:
            share = at(clean, "false", *size, name) / at(clean, "rows", *size, name)
            if np.isfinite(share):
                found.setdefault(side, {})[name] = share
    return found


class Contest(NamedTuple):
    """The best of ours and the best peer by one measure at one size and share.

    `low` and `high` hold ours minus the peer's, by a paired bootstrap over repetitions; `many` are how many variants
    each side had to choose from.
    """

    column: str
    names: tuple[str, str]
    values: tuple[float, float]
    low: float
    high: float
    many: tuple[int, int]

    @property
    def verdict(self) -> str:
        """Which side is ahead, if the interval leaves zero out."""
        if not (self.low > 0.0 or self.high < 0.0):
            return "not told apart"
        return "ours is ahead" if (self.low > 0.0) != (self.column in MEASURES) else "the peer is ahead"


def contests(
    frame: pd.DataFrame, names: Sequence[str], columns: Sequence[str], shares: Sequence[float]
) -> dict[tuple[Size, float, str], Contest]:
    """Return all contests of which both sides have an estimate."""
    standing, bad, out = worst(frame), arrangements(frame), {}
    found = sides(names)
    for size in sorted({(int(n), int(p)) for n, p in zip(frame["n"], frame["p"], strict=True)}):
        for share in shares:
            here = bad[(bad["n"] == size[0]) & (bad["p"] == size[1]) & (bad["share"] == share)]
            for column in columns:
                known = {
                    side: {
                        name: value
                        for name in members
                        if np.isfinite(value := at(standing, column, *size, name, share))
                    }
                    for side, members in found.items()
                }
                if not all(known.values()):
                    continue
                first = min if column in MEASURES else max
                best = {side: first(values, key=values.__getitem__) for side, values in known.items()}
                pair = best["ours"], best["peers"]
                values = known["ours"][pair[0]], known["peers"][pair[1]]
                many = len(known["ours"]), len(known["peers"])
                out[size, share, column] = Contest(
                    column, pair, values, *difference(here, *pair, column), many
                )
    return out


def difference(rows: pd.DataFrame, ours: str, peer: str, column: str) -> tuple[float, float]:
    """Return an interval of ours minus the peer's in one summary of `worst`, by resampling repetitions.

    Data sets are resampled each for itself, since their repetitions are different rows; both methods, and all
    distances of a repetition, together, since they are the same rows. One repetition has no interval: (nan, nan).
    """
    source = column.removesuffix("_mean")
    if column == "found":
        rows = rows[rows["distance"] >= FAR]
    rng, parts = np.random.default_rng(0), {ours: [], peer: []}
    for _, part in rows.groupby("kind"):
        wide = part.pivot_table(index="distance", columns=["method", "repetition"], values=source)
        both = wide[ours].columns.intersection(wide[peer].columns)
        if len(both) < 2:
            return np.nan, np.nan
        drawn = rng.integers(0, len(both), size=(RESAMPLES, len(both)))
        middle = np.median if column in MEASURES else np.mean
        for name, found in parts.items():
            found.append(middle(wide[name][both].to_numpy()[:, drawn], axis=2))
    over = np.max if column in MEASURES else np.mean if column.endswith("_mean") else np.min
    first, second = (over(np.concatenate(parts[name]), axis=0) for name in (ours, peer))
    gap = np.where(first == second, 0.0, first - np.where(first == second, 0.0, second))
    ends = np.quantile(gap, [(1.0 - INTERVAL) / 2.0, (1.0 + INTERVAL) / 2.0], method="inverted_cdf")
    return float(ends[0]), float(ends[1])
