"""The page of e07: AUROC beside the published figures, what a robust default costs, neighbours, collinear tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments._render import Rendering, Results
from experiments._stats import Estimate, average_ranks, critical_difference
from experiments._tables import Table, bold, fixed, interval

from .reproduction import published_mcd, reproduction
from .scores import (
    AS_THERE,
    EUCLID,
    MIXTURE,
    PARTLY,
    PLAIN,
    PROTOCOL,
    SOURCE,
    SUPPORT,
    WHITE,
    Scores,
    ranks_figure,
    short,
    support_figure,
)
from .spec import LEVEL

HEADS = {PARTLY: "partly whitened", WHITE: "fully whitened"}
RECOMMENDED = "mcd-90"
FEWEST = 2  # sets in a mean
MUCH = 5.0  # points of AUROC that are worth a name


def render(results: Results) -> Rendering:
    """Make tables, figures and numbers."""
    scores, out = Scores(results), Rendering()
    _auroc(scores, out)
    if len(scores.common) < FEWEST:
        out.findings.append(
            f"AUROC by set only: means, ranks and comparisons take {FEWEST} sets with published figures, and here "
            f"are {len(scores.common)}."
        )
        return _with_blocks(out)
    _summary(scores, out)
    _support(scores, out)
    _rank(scores, out)
    _neighbours(scores, out)
    reproduction(scores, out)
    published_mcd(scores, out)
    return _with_blocks(out, e07answer=_answer(out))


def _with_blocks(out: Rendering, **more: str) -> Rendering:
    page = {stem.replace("_", ""): table.markdown(caption=True) for stem, table in out.tables.items()}
    out.blocks["docs/tabular.md"] = {**page, **more}
    return out


# ------------------------------------------------------------------------------------------------- all sets


def _auroc(scores: Scores, out: Rendering) -> None:
    """Two tables, methods x sets, so that another method is another row."""
    words = {
        "random": "whose rows the protocol draws at random (few rows, or very many)",
        "whole": "taken whole",
    }
    for part, chosen in (("random", scores.at_random), ("whole", ~scores.at_random)):
        names = [name for name in scores.ours.index if chosen[name]]
        ours, published = scores.ours.loc[names].round(1), scores.published.loc[names]
        rows: list[list[str]] = [["Measured here"]]
        for method in ours:
            cells = [
                bold(fixed(ours.at[s, method], 1), ours.at[s, method] == ours.loc[s].max()) for s in names
            ]
            rows.append([scores.label(method), *cells])
        rows += [[SOURCE]]
        rows += [[one, *(fixed(published.at[s, one], 1) for s in names)] for one in published]
        out.tables[f"e07_{part}"] = Table(
            ["", *map(short, names)],
            rows,
            f"AUROC in percent on the {len(names)} set{'s' * (len(names) != 1)} {words[part]}. {AS_THERE} Bold: best "
            "of those measured here. A dash: the method takes no such table, or nothing is published.",
        )


def _summary(scores: Scores, out: Rendering) -> None:
    """Means, differences to the plain covariance, ranks over the sets on which all methods answer."""
    complete, ours, n = scores.all.loc[scores.common], scores.ranked, len(scores.common)
    means, ranks = complete.mean(skipna=False), average_ranks(complete[ours])
    rows: list[list[str]] = []
    rest = [name for name in complete if name not in ours]
    heads = {False: "On fewer sets, or the same numbers as one above", True: SOURCE}
    for name in [*sorted(ours, key=lambda one: -means[one]), *rest]:
        if name in rest and (head := heads.pop(name.startswith("published"), None)):
            rows.append([head])
        gain, loss = scores.gain(name, PLAIN), scores.loss(name)
        against = [
            f"{fixed(gain.value, 1)} {interval(gain.low, gain.high, 1)}",
            fixed(loss.max(), 1),
            short(loss.idxmax()),
        ]
        against = ["-", "-", "-"] if name == PLAIN else against
        rows.append([scores.label(name), fixed(means[name], 1), *against, fixed(ranks.get(name, np.nan), 1)])
        if np.isfinite(means[name]):
            out.numbers[f"e07.mean.{name.replace(' ', '.')}"] = fixed(means[name], 1)
    left = sorted(set(scores.ours.index) - set(scores.common))
    without = f" (without {', '.join(left)})" if left else ""
    out.tables["e07_summary"] = Table(
        ["", "mean", "gain on the plain covariance", "largest loss", "on", "mean rank"],
        rows,
        f"AUROC in percent: means and mean ranks (1 is best, of {len(ours)}) over the {n} sets with published figures "
        f"on which all of these methods answer{without}; gain on the plain covariance over all sets that a method "
        f"answers, with its 95 % bootstrap interval over sets, and its largest loss to it. {PROTOCOL}",
        align="l r r r l r",
    )
    out.figures["e07_ranks"] = ranks_figure(scores, ranks)
    best = means[ours].idxmax()
    out.numbers |= {
        "e07.sets": str(len(scores.ours)),
        "e07.sets.common": str(n),
        "e07.methods": str(len(ours)),
    }
    out.numbers |= {
        "e07.sets.without": ", ".join(left) or "none",
        "e07.cd": fixed(critical_difference(len(ours), n), 1),
    }
    out.numbers |= {"e07.best.name": scores.label(best), "e07.best.mean": fixed(means[best], 1)}
    out.findings.append(
        f"On {n} tables the best mean AUROC is that of {scores.label(best)}, {fixed(means[best], 1)}; the plain "
        f"covariance reaches {fixed(means[PLAIN], 1)}, the published KNN {fixed(means['published KNN'], 1)}."
    )


# ------------------------------------------------------------------------------------------------- the default of MCD


def _warned(scores: Scores, method: str) -> pd.Series:
    """Return what was said of each set: warnings in short."""
    said = scores.frame[scores.frame["method"] == method].groupby("data")["warned"]
    words = said.agg(
        lambda texts: " ".join(sorted({word for text in texts.dropna() for word in text.split()}))
    )
    for long, brief in {
        "Warning": "",
        "RankDeficient": "rank",
        "ExactFit": "flat",
        "AmbiguousFit": "ambiguous",
    }.items():
        words = words.str.replace(long, brief)
    return words


def _support(scores: Scores, out: Rendering) -> None:
    """What MinCovDet loses to the plain covariance, by h."""
    out.figures["e07_support"] = support_figure(scores)
    losses = (
        pd.DataFrame({name: scores.loss(name) for name in SUPPORT})
        .dropna()
        .sort_values("mcd", ascending=False)
    )
    published, words, flat = scores.loss("published MCD"), _warned(scores, "mcd"), scores.of("mcd", "flat")
    flagged = {name: scores.of(name, "flagged") for name in ("mcd", RECOMMENDED)}
    rows = []
    for one in losses.index:
        on_flat = f" ({100 * flat[one]:.0f} %)" if np.isfinite(flat[one]) else ""
        cells = [fixed(losses.at[one, name], 1) for name in SUPPORT] + [fixed(published.get(one, np.nan), 1)]
        cells += [fixed(100.0 * share[one], 0) for share in flagged.values()]
        rows.append(
            [one, fixed(scores.ours.at[one, PLAIN], 1), *cells, (words[one] + on_flat).strip() or "-"]
        )
    both = losses.index.intersection(published.index)
    means = [fixed(losses[name].mean(), 1) for name in SUPPORT] + [fixed(published[both].mean(), 1)]
    means += [fixed(100.0 * share[losses.index].mean(), 0) for share in flagged.values()]
    out.numbers |= {
        f"e07.flagged.{name}": fixed(100 * s[losses.index].mean(), 0) for name, s in flagged.items()
    }
    out.numbers["e07.flagged.mcd.worst"] = fixed(100.0 * flagged["mcd"].max(), 0)
    rows += [[], ["mean", fixed(scores.ours.loc[losses.index, PLAIN].mean(), 1), *means, ""]]
    out.tables["e07_support"] = Table(
        [
            "set",
            "plain",
            *(f"loss, {text}" for text in SUPPORT.values()),
            "loss, published",
            "flagged %",
            "at 0.9",
            "said at the default",
        ],
        rows,
        "AUROC of the plain covariance, the points that MinCovDet loses to it on clean training rows with h/n at its "
        "default (half), 0.75 and 0.9, and what the published MCD loses to it; percent of the clean training "
        "rows beyond "
        f"the chi-square cut-off at {100 * LEVEL:.0f} %, or off the flat, at the default and at 0.9; what the "
        "fit warned "
        "about at the default, with the share of the training rows on the flat (a hyperplane or less) that it found. "
        f"{len(losses)} sets. {AS_THERE}",
        align="l r r r r r r r l",
    )
    for name in SUPPORT:
        key, worst = f"e07.loss.{name}", losses[name].idxmax()
        out.numbers |= {
            f"{key}.mean": fixed(losses[name].mean(), 1),
            f"{key}.worst": fixed(losses[name].max(), 1),
        }
        out.numbers[f"{key}.worst.set"] = worst
    out.numbers["e07.loss.published.worst"] = fixed(published.max(), 1)
    out.numbers["e07.loss.published.mean"] = fixed(published[both].mean(), 1)
    flats = int(flat[losses.index].notna().sum())
    out.numbers["e07.flats"] = str(flats)
    _verdicts(losses, words, out)


def _verdicts(losses: pd.DataFrame, words: pd.Series, out: Rendering) -> None:
    """Where the losses are large, and who was told."""
    heavy = losses.index[losses["mcd"] > MUCH]
    silent = [one for one in heavy if not words[one]]
    over = losses.index[losses[RECOMMENDED] > MUCH]
    out.numbers |= {"e07.heavy": str(len(heavy)), "e07.heavy.warned": str(len(heavy) - len(silent))}
    out.numbers |= {
        "e07.heavy.sets": ", ".join(heavy) or "none",
        "e07.heavy.silent": ", ".join(silent) or "none",
    }
    out.numbers["e07.over"] = ", ".join(over) or "none"
    get = out.numbers.__getitem__
    out.findings.append(
        f"MinCovDet at its default loses {get('e07.loss.mcd.mean')} points to the plain covariance on clean "
        "training rows "
        f"on average and {get('e07.loss.mcd.worst')} at most ({get('e07.loss.mcd.worst.set')}); with h = 0.9 n "
        f"{get('e07.loss.mcd-90.mean')} and {get('e07.loss.mcd-90.worst')} ({get('e07.loss.mcd-90.worst.set')}); of "
        f"{len(heavy)} sets with a loss above {MUCH:.0f} points the fit warned on {len(heavy) - len(silent)}."
    )
    out.findings.append(
        f"A chi-square cut-off at {100 * LEVEL:.0f} % flags {get('e07.flagged.mcd')} % of the clean training "
        "rows of these "
        f"tables on average with MinCovDet at its default, and {get('e07.flagged.mcd-90')} % with h = 0.9 n."
    )
    if len(over):
        out.failures.append(
            f"MinCovDet with h = 0.9 n does not stay within {MUCH:.0f} points of the plain covariance on "
            f"{', '.join(over)} (loss up to {get('e07.loss.mcd-90.worst')})."
        )
    if silent:
        lost = ", ".join(f"{one} ({fixed(losses.at[one, 'mcd'], 1)})" for one in silent)
        out.findings.append(
            f"MinCovDet at its default is silent where it loses more than {MUCH:.0f} points on {lost}."
        )
        out.failures.append(
            f"MinCovDet at its default loses more than {MUCH:.0f} points and warns of nothing on {', '.join(silent)}."
        )


# ------------------------------------------------------------------------------------------------- collinear tables


def _rank(scores: Scores, out: Rendering) -> None:
    """What the rule for the rank decides."""
    rank, columns, off = (scores.of(PLAIN, name) for name in ("rank", "columns", "off"))
    first, bare = 100.0 * scores.of(PLAIN, "auroc_off"), scores.ours["inverse"]
    thin = rank.index[rank < columns]
    others = [name for name in ("ledoit-wolf", WHITE, EUCLID) if name in scores.ours]
    rows = []
    for one in thin:
        without = "fails" if np.isnan(bare[one]) else fixed(bare[one], 1)
        cells = [
            fixed(scores.ours.at[one, PLAIN], 1),
            without,
            f"{100 * off[one]:.0f} %",
            fixed(first[one], 1),
        ]
        beside = [fixed(scores.ours.at[one, name], 1) for name in others]
        rows.append([one, f"{rank[one]:.0f} of {columns[one]:.0f}", *cells, *beside])
    out.tables["e07_rank"] = Table(
        ["set", "rank", "rank rule", "no rule", "rows off", "off first", *map(scores.label, others)],
        rows,
        f"The {len(thin)} sets whose training rows are collinear: AUROC in percent of the plain covariance with "
        "the rule "
        "for the rank on the correlation scale, and of its inverse without any (`numpy.linalg.inv`); the share of test "
        "rows off the training subspace, and AUROC when these are ranked above all others by how far off they are; "
        f"other methods beside. {AS_THERE}",
    )
    gain, failed = (scores.ours.loc[thin, PLAIN] - bare[thin]).max(), int(bare[thin].isna().sum())
    out.numbers |= {
        "e07.rank.sets": str(len(thin)),
        "e07.rank.failed": str(failed),
        "e07.rank.gain": fixed(gain, 1),
    }
    if not len(thin):
        return
    lost = f" and loses up to {fixed(gain, 1)} points where it can" if np.isfinite(gain) else ""
    out.findings.append(
        f"On the {len(thin)} table{'s' * (len(thin) > 1)} with collinear columns a covariance without a rule for the "
        f"rank cannot be inverted {failed} time{'s' * (failed != 1)}{lost}."
    )


# ------------------------------------------------------------------------------------------------- neighbours


def _neighbours(scores: Scores, out: Rendering) -> None:
    """Euclidean, partly and fully whitened neighbours; the covariance and a mixture beside."""
    power, many = scores.of(PARTLY, "power"), scores.of(MIXTURE, "components")
    lead = (scores.ours[EUCLID] - scores.ours[PLAIN]).sort_values(ascending=False)
    gains = {name: scores.gain(name, EUCLID) for name in HEADS}
    beside = {PLAIN: "plain covariance", MIXTURE: "mixture"}
    rows = []
    for one in lead.index:
        own = scores.ours.loc[one]
        cells = [fixed(own[name] - own[EUCLID], 1) for name in HEADS] + [
            fixed(own[name], 1) for name in beside
        ]
        rows.append([one, fixed(own[EUCLID], 1), *cells, fixed(power[one], 1), fixed(many[one], 0)])
    means = [fixed(gain.value, 1) for gain in gains.values()] + [
        fixed(scores.ours[name].mean(), 1) for name in beside
    ]
    spans = [interval(gain.low, gain.high, 1) for gain in gains.values()]
    rows += [
        [],
        ["mean", fixed(scores.ours[EUCLID].mean(), 1), *means, "", ""],
        ["interval", "", *spans, "", "", "", ""],
    ]
    out.tables["e07_neighbours"] = Table(
        ["set", "Euclidean", *HEADS.values(), *beside.values(), "power", "components"],
        rows,
        "AUROC in percent of the distance to the fifth neighbour among the training rows: Euclidean, and what "
        "whitening "
        "adds; the distance to the mean (plain covariance) and a mixture of normal laws beside; the power of partial "
        "whitening (0 none, 1 full) and the number of components, as the training rows choose them, means over the "
        f"seeds. {len(scores.ours)} sets, ordered by what neighbours gain on the plain covariance; the last line has "
        f"95 % bootstrap intervals over sets. {AS_THERE}",
    )
    for name, gain in gains.items():
        _whitening(scores.ours[name] - scores.ours[EUCLID], HEADS[name], gain, out)
    if max(gain.value for gain in gains.values()) < 0.0:
        out.failures.append("Neighbours in whitened coordinates are on average worse than Euclidean ones.")
    several = ", ".join(lead.index[lead > MUCH]) or "none"
    out.numbers |= {
        "e07.modes": fixed(lead.iloc[0], 1),
        "e07.modes.set": lead.index[0],
        "e07.modes.sets": several,
    }
    out.numbers |= {"e07.modes.lost": fixed(-lead.iloc[-1], 1), "e07.modes.lost.set": lead.index[-1]}
    out.numbers |= {
        f"e07.modes.{name}": fixed(scores.ours.at[lead.index[0], name], 1) for name in (PLAIN, EUCLID)
    }
    if lead.iloc[0] <= MUCH:
        return
    out.findings.append(
        f"A distance to one centre is the wrong tool on {several}: Euclidean neighbours gain more than "
        f"{MUCH:.0f} points "
        f"on the plain covariance there (most: {fixed(lead.iloc[0], 1)})."
    )


def _whitening(difference: pd.Series, word: str, gain: Estimate, out: Rendering) -> None:
    """Say what whitening adds to neighbours, and whether one set decides it."""
    best, key = difference.idxmax(), word.split()[0]
    rest = difference.drop(best).mean()
    values = {"gain": gain.value, "low": gain.low, "high": gain.high, "median": difference.median()}
    values |= {"best": difference.max(), "rest": rest}
    out.numbers |= {f"e07.{key}.{name}": fixed(value, 1) for name, value in values.items()}
    out.numbers[f"e07.{key}.best.set"] = best
    verdict = "a gain" if gain.low > 0.0 else "a loss" if gain.high < 0.0 else "not told apart from nothing"
    out.numbers[f"e07.{key}.verdict"] = verdict
    out.findings.append(
        f"Five neighbours in {word} coordinates gain {fixed(gain.value, 1)} points on Euclidean ones on average "
        f"{interval(gain.low, gain.high, 1)}, {verdict}; the median is {fixed(difference.median(), 1)}, and "
        f"without {best} ({fixed(difference.max(), 1)}) the mean is {fixed(rest, 1)}."
    )


def _answer(out: Rendering) -> str:
    """The headline, in words, for the guide."""
    get = out.numbers.__getitem__
    return (
        f"On {get('e07.sets.common')} real tables, learned from clean rows, the mean AUROC is "
        f"{get('e07.mean.' + PLAIN)} for the plain covariance, "
        f"**{get('e07.mean.' + RECOMMENDED)} for `MinCovDet(support_fraction=0.9)`**, {get('e07.mean.mcd')} for "
        f"`MinCovDet()` at its default and {get('e07.mean.published.MCD')} for the published MCD. The default "
        "loses up to "
        f"{get('e07.loss.mcd.worst')} points to the plain covariance ({get('e07.loss.mcd.worst.set')}), h = 0.9 "
        "n up to "
        f"{get('e07.loss.mcd-90.worst')} ({get('e07.loss.mcd-90.worst.set')}). Five neighbours reach "
        f"{get('e07.mean.' + EUCLID)} by Euclidean, {get('e07.mean.' + PARTLY)} by partly and "
        f"{get('e07.mean.' + WHITE)} by "
        "fully whitened distances."
    )
