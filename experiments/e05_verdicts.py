"""Rates, requirements and tables of the study of outlying curves: what `e05_curves.py` makes of its counts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "outlying_curves.md"
LEVEL = 0.01
OURS = "default"
FACTOR = 1.5  # of the level, up to which a share of clean curves flagged is near it
WELL = 0.9  # share of the outliers that a detector has to find not to be defeated by a model
MODELS = {  # and why the default may miss their outliers
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
SMOOTH = "smooth"  # beside the nine: smooth curves, a small fast wave on the outliers
Line = dict[str, Any]


def rates(lines: Iterable[Line]) -> dict[str, float]:
    """Mean rates over cells and their standard errors, from the spread over data sets.

    Returns
    -------
    rates : dict
        "tpr", "fpr", "youden" and for each "... error", averaged over the cells with equal weight.
    """
    sums = dict.fromkeys(("tpr", "fpr", "youden"), 0.0)
    squares = dict.fromkeys(sums, 0.0)
    lines = list(lines)
    for line in lines:
        n, k, m = line["sets"], line["outliers"], line["clean"]
        tpr, fpr = line["hits"] / (n * k), line["false"] / (n * m)
        factor = n / (n - 1) if n > 1 else 0.0
        spread = {
            "tpr": (line["hits2"] / n / k**2 - tpr**2) * factor,
            "fpr": (line["false2"] / n / m**2 - fpr**2) * factor,
        }
        cross = (line["both"] / n / (k * m) - tpr * fpr) * factor
        spread["youden"] = spread["tpr"] + spread["fpr"] - 2.0 * cross
        binomial = {"tpr": tpr * (1.0 - tpr) / k, "fpr": fpr * (1.0 - fpr) / m}
        binomial["youden"] = sum(binomial.values())
        for name, value in (("tpr", tpr), ("fpr", fpr), ("youden", tpr - fpr)):
            sums[name] += value
            squares[name] += max(spread[name], binomial[name], 0.0) / n
    out = {name: value / len(lines) for name, value in sums.items()}
    return out | {f"{name} error": math.sqrt(value) / len(lines) for name, value in squares.items()}


def _of(lines: Iterable[Line], **wanted: Any) -> list[Line]:
    return [line for line in lines if line["sets"] and all(line[key] == v for key, v in wanted.items())]


def _variants(lines: Iterable[Line]) -> list[str]:
    return list(dict.fromkeys(line["variant"] for line in lines if line["sets"]))


def complete(lines: Iterable[Line]) -> list[Line]:
    """Lines of the cells of the nine models that every variant has: means over other cells do not compare."""
    lines = [line for line in lines if line["sets"] and line["model"] != SMOOTH]
    cells = [
        {(line["model"], line["n"], line["contamination"]) for line in _of(lines, variant=variant)}
        for variant in _variants(lines)
    ]
    common = set.intersection(*cells) if cells else set()
    return [line for line in lines if (line["model"], line["n"], line["contamination"]) in common]


def ranking(lines: Iterable[Line]) -> list[tuple[str, dict[str, float]]]:
    """Return variants and their mean rates, the highest Youden index first."""
    lines = complete(lines)
    found = [(variant, rates(_of(lines, variant=variant))) for variant in _variants(lines)]
    return sorted(found, key=lambda pair: -pair[1]["youden"])


def level_failures(lines: Iterable[Line]) -> list[str]:
    """The default flags at most 1.5 times the level of the clean curves."""
    found = dict(ranking(lines))
    if OURS not in found or found[OURS]["fpr"] <= FACTOR * LEVEL:
        return []
    return [f"default: {_percent(found[OURS], 'fpr')} of the clean curves flagged at {100 * LEVEL:g} %"]


def _better(lines: Iterable[Line], by: float) -> list[str]:
    """Variants near the level whose mean Youden index exceeds that of the default by so many standard errors."""
    found = ranking(lines)
    ours = dict(found).get(OURS)
    if ours is None:
        return []
    return [
        f"{variant}: mean Youden index {_plain(one, 'youden')}, default {_plain(ours, 'youden')}"
        for variant, one in found
        if variant != OURS
        and one["fpr"] <= FACTOR * LEVEL
        and one["youden"] > ours["youden"] + by * math.hypot(one["youden error"], ours["youden error"])
    ]


def youden_failures(lines: Iterable[Line]) -> list[str]:
    """Nobody near the level has a higher mean Youden index than the default, by more than two standard errors."""
    return _better(lines, 2.0)


def youden_doubts(lines: Iterable[Line]) -> list[str]:
    """Variants that are ahead by less than that: their data sets are too few to tell."""
    failures = set(youden_failures(lines := list(lines)))
    return [text for text in _better(lines, 0.0) if text not in failures]


CHECKS = {
    f"default: at most {100 * FACTOR * LEVEL:g} % of the clean curves flagged at {100 * LEVEL:g} %": level_failures,
    "default: the highest mean Youden index of all that flag no more than that": youden_failures,
}


def check(lines: Iterable[Line]) -> list[str]:
    """Everything that was required of the study and does not hold, one sentence each."""
    lines = list(lines)
    return [failure for failures in CHECKS.values() for failure in failures(lines)]


def defeats(lines: Iterable[Line]) -> list[str]:
    """Models of which the default misses more than a tenth of the outliers: why, and who finds more of them."""
    lines, out = complete(lines), []
    for model, why in MODELS.items():
        found = {v: rates(_of(lines, variant=v, model=model)) for v in _variants(_of(lines, model=model))}
        if OURS not in found or found[OURS]["tpr"] >= WELL:
            continue
        best = max(found, key=lambda v: found[v]["youden"])
        text = f"**{model}** ({_percent(found[OURS], 'tpr')} found): {why}."
        if best != OURS:
            one = found[best]
            text += f" Best: {best}, {_percent(one, 'tpr')} found, {_percent(one, 'fpr')} of the clean curves flagged."
        out.append(text)
    return out


# ------------------------------------------------------------------------------------------------- the page


def _percent(found: dict[str, float], name: str) -> str:
    return f"{100 * found[name]:.1f} ± {196 * found[f'{name} error']:.1f} %"


def _plain(found: dict[str, float], name: str) -> str:
    return f"{found[name]:.3f} ± {1.96 * found[f'{name} error']:.3f}"


def _summary(lines: list[Line]) -> list[str]:
    out = ["| detector | Youden index | outliers found | clean curves flagged | seconds a data set |"]
    out.append("|---|--:|--:|--:|--:|")
    for variant, found in ranking(lines):
        own = _of(complete(lines), variant=variant)
        cost = sum(line["seconds"] for line in own) / sum(line["sets"] for line in own)
        texts = [_plain(found, "youden"), _percent(found, "tpr"), _percent(found, "fpr"), f"{cost:.2g}"]
        out.append(f"| {variant} | " + " | ".join(texts) + " |")
    return [*out, ""]


def _by(lines: list[Line], key: str, title: str) -> list[str]:
    lines = complete(lines)
    values = list(dict.fromkeys(line[key] for line in lines))
    out = [
        "<details>",
        f"<summary>{title}: percent of outliers found / of clean curves flagged</summary>",
        "",
    ]
    out += ["| detector | " + " | ".join(map(str, values)) + " |", "|---" + "|--:" * len(values) + "|"]
    for variant, _ in ranking(lines):
        texts = []
        for value in values:
            found = rates(_of(lines, variant=variant, **{key: value}))
            texts.append(f"{100 * found['tpr']:.0f} / {100 * found['fpr']:.1f}")
        out.append(f"| {variant} | " + " | ".join(texts) + " |")
    return [*out, "", "</details>", ""]


def _smooth(lines: list[Line]) -> list[str]:
    found = _of(lines, model=SMOOTH)
    out = ["| detector | outliers found | clean curves flagged |", "|---|--:|--:|"]
    for variant in _variants(found):
        one = rates(_of(found, variant=variant))
        out.append(f"| {variant} | {_percent(one, 'tpr')} | {_percent(one, 'fpr')} |")
    return ["", *out, ""]


def render(lines: list[Line], facts: dict[str, Any]) -> dict[str, str]:
    """Generated parts of the page, by the name of their marks."""
    shown = complete(lines)
    sets = sorted({line["sets"] for line in shown})
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    minutes = sum(line["seconds"] for line in shown) / 60
    cells = len({(line["model"], line["n"], line["contamination"]) for line in shown})
    source = (
        f"± is 1.96 standard errors. {cells} cells, {sets[0]} to {sets[-1]} data sets a detector in each; "
        f"`{min(facts['commands'], key=len)}`, {minutes:.0f} minutes, {facts['machine']}; {versions}."
    )
    held = ["| required | holds |", "|---|---|"]
    held += [f"| {text} | {'no' if call(shown) else 'yes'} |" for text, call in CHECKS.items()]
    tables = [*_by(shown, "model", "By model"), *_by(shown, "contamination", "By percentage of outliers")]
    body = [*held, "", *_summary(shown), *tables, *_by(shown, "n", "By number of curves"), source, ""]
    misses = [f"- {text}" for text in defeats(shown)] or ["None."]
    failures = [f"- {text}." for text in check(shown)]
    doubts = youden_doubts(shown)
    if doubts:
        failures += [
            "",
            "Ahead of the default by less than two standard errors, so that nobody can tell:",
            "",
        ]
        failures += [f"- {text}." for text in doubts]
    return {
        "e05": "\n".join(["", *body]),
        "smooth": "\n".join(_smooth(lines)),
        "defeats": "\n".join(["", *misses, *([""] if failures else []), *failures, ""]),
    }


def rendered(text: str, parts: dict[str, str]) -> str:
    """Replace what stands between the marks of each part."""
    for name, block in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{block}{end}{rest.split(end)[1]}"
    return text


def into_page(parts: dict[str, str]) -> None:
    """Write the generated parts into the page."""
    PAGE.write_text(rendered(PAGE.read_text(), parts))
