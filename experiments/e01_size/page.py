"""What the study of sizes shows: tables and figure of the paper, and the blocks of docs/nulls.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import mean, median
from typing import Any

from experiments._render import Figure, Rendering, Results, Table
from experiments._spec import methods
from experiments._tables import fixed
from fmahal.nulls import auto_table

from . import verdicts
from .drawing import GROUPS, draw_rates
from .verdicts import LEVELS, Line, chosen, rate, standard_error

LAWS = ("normal", "t5", "lognormal", "skew-normal", "uniform")
NULLS = (
    *("chi2", "weighted", "normal", "auto", "cerioli", "bootstrap", "split", "jackknife", "full"),
    "empirical",
)
SHOWN = (100, 10)  # the size in the figure
KEYS = ("method", "robust", "law", "n", "p", "null", "rows")
FIVE = LEVELS[1]


# ------------------------------------------------------------------------------------------------- lines


def lines_of(frame: Any) -> list[Line]:
    """Sum the counts of all repetitions: one line a rate, in the order of the tables."""
    counts = [name for name in frame.columns if name.startswith(("flagged_", "squares_"))]
    found = frame.groupby(list(KEYS), sort=False, observed=True)
    sums = found[["sets", "lost", *counts]].sum().join(found[["tested", "references", "milliseconds"]].max())
    out, printed = [], labels()
    for one in sums.reset_index().to_dict("records"):
        name = one["method"]
        same = {"scatter": name, "label": printed.get(name, name), **{key: one[key] for key in KEYS[1:]}}
        same |= {key: one[key] for key in ("sets", "lost", "tested", "references", "milliseconds")}
        for level in LEVELS:
            percent = f"{100 * level:.0f}"
            counted = {key: one[f"{key}_{percent}"] for key in ("flagged", "squares")}
            out.append({**same, "level": level, **counted})
    return sorted(out, key=lambda line: (_place(line["scatter"], [*printed]), *_order(line)))


def labels() -> dict[str, str]:
    """Return the printed names of the scatters, plain ones first and robust ones last."""
    found = sorted(
        methods("size"), key=lambda one: (one.name != "empirical", bool(one.options.get("robust")))
    )
    return {one.name: one.label or one.name for one in found}


def _place(name: str, known: Sequence[str]) -> tuple[int, str]:
    """Sort by a list of names; others after them."""
    return (known.index(name) if name in known else len(known)), name


def _order(line: Line) -> tuple[Any, ...]:
    size = line["n"], line["p"]
    return _place(line["law"], LAWS), *size, _place(line["null"], NULLS), line["rows"], line["level"]


def _pairs(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Scatters, in the order of the lines, with their nulls."""
    scatters = list(dict.fromkeys(line["scatter"] for line in lines))
    found = dict.fromkeys((line["scatter"], line["null"]) for line in lines)
    return sorted(found, key=lambda pair: (_place(pair[0], scatters), _place(pair[1], NULLS)))


def _clean(lines: Iterable[Line], **wanted: Any) -> list[Line]:
    return [line for line in chosen(lines, **wanted) if line["law"] != "planted"]


def _errors(lines: Iterable[Line]) -> list[float]:
    """Distances of rates from their level, in percent points."""
    return [100 * abs(rate(line) - line["level"]) for line in lines]


# ------------------------------------------------------------------------------------------------- paper


def _design(lines: list[Line]) -> str:
    """Say in a caption what was measured, and how exactly."""
    sizes = dict.fromkeys((line["n"], line["p"]) for line in sorted(lines, key=lambda k: (k["n"], k["p"])))
    sets = [line["sets"] for line in lines]
    errors = [100 * standard_error(line) for line in lines]
    where = ", ".join(f"{n} × {p}" for n, p in sizes)
    return (
        f"Sizes n × p: {where}; {_range(sets)} data sets a rate, fewer where a null costs more, "
        f"{max(line['tested'] for line in lines)} fresh rows each. Standard errors between data sets: median "
        f"{fixed(median(errors), 1)}, largest {fixed(max(errors), 1)} points."
    )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def summary(lines: list[Line]) -> Table:
    """Mean and worst error of each null of each scatter, on normal rows and on others, new ones and training ones."""
    found = _clean(lines, rows=("new", "train"), level=FIVE)
    rows: list[list[str]] = []
    before, printed = "", {line["scatter"]: line["label"] for line in found}
    for scatter, null in _pairs(found):
        cells = []
        for kind in ("new", "train"):
            here = chosen(found, scatter=scatter, null=null, rows=kind)
            for law in (("normal",), LAWS[1:]):
                errors = _errors(chosen(here, law=law))
                cells.append(f"{fixed(mean(errors), 1)} ({fixed(max(errors), 1)})" if errors else "-")
        sets = _range([line["sets"] for line in chosen(found, scatter=scatter, null=null)])
        rows += [[]] if before not in ("", scatter) else []
        rows.append([printed[scatter] if scatter != before else "", f"`{null}`", sets, *cells])
        before = scatter
    caption = (
        "Size of every null of every scatter: distance of the share of flagged clean rows from the level, 5 %, in "
        "percent points, mean and in brackets the worst over all sizes, on normal rows and on four other laws (t with "
        "five degrees of freedom, lognormal, skew-normal, uniform), for new rows and for training rows. "
        f"{_design(found)} A distance holds the error of its simulation, which is larger where the data sets of a rate "
        "(third column) are fewer: rows with different numbers of them compare roughly only. Split conformal p-values "
        "from few rows cannot reach the level: that distance is on the safe side."
    )
    heads = ["scatter", "null", "sets", "new, normal", "new, other", "training, normal", "training, other"]
    return Table(heads, rows, caption, align="l l r r r r r")


def figure(lines: list[Line]) -> Figure:
    """Rates of new rows of one size by kind of null and law, a dot a scatter."""
    found = _clean(lines, rows="new", level=FIVE)
    sizes = dict.fromkeys((line["n"], line["p"]) for line in found)
    n, p = SHOWN if SHOWN in sizes else next(iter(sizes), SHOWN)
    found = chosen(found, n=n, p=p)
    dots = []
    for line in found:
        group = next((title for title, takes in GROUPS.items() if takes(line)), None)
        if group:
            share, error = 100 * rate(line), 200 * standard_error(line)
            place = (group, line["law"], line["scatter"], line["label"], line["null"])
            dots.append((*place, share, share - error, share + error))
    laws = [law for law in LAWS if any(dot[1] == law for dot in dots)]
    caption = (
        f"Share of new rows flagged at 5 %, n = {n}, p = {p}, by law of the rows (vertical) and kind of null (panels); "
        "a dot is a scatter under a null, bars are two standard errors either way between data sets "
        f"({_range([line['sets'] for line in found] or [0])} data sets of {_fresh(found)} fresh rows). Shaded: "
        "within a factor of 1.3 of the level, what is required of the bootstrap. Shares below 0.1 % are drawn at 0.1 %."
    )
    return Figure(lambda canvas: draw_rates(canvas, dots, laws), caption, size=(6.3, 5.2), docs=True)


def _fresh(lines: list[Line]) -> int:
    """Return the number of fresh rows of a data set."""
    return max((line["tested"] for line in lines), default=0)


def numbers(lines: list[Line]) -> dict[str, str]:
    """Numbers of the paper's text; "-" where the results do not hold what they are made of."""
    rates = [line for line in lines if line["law"] != "planted" and line["sets"]]
    new = _clean(lines, rows="new", level=FIVE)
    errors = [100 * standard_error(line) for line in new]
    out = {
        "rates": str(len(rates)),
        "scatters": str(len({line["scatter"] for line in rates})),
        "nulls": str(len({line["null"] for line in rates})),
        "laws": str(len({line["law"] for line in rates})),
        "sets": _range([line["sets"] for line in rates]) if rates else "-",
        "fresh": str(_fresh(new)),
        "se.median": fixed(median(errors), 1) if errors else "-",
        "se.worst": fixed(max(errors), 1) if errors else "-",
    }
    for name, (text, call) in zip(_CHECKED, verdicts.CHECKS.items(), strict=True):
        out[f"{name}.checked"] = str(verdicts.checked(lines)[text])
        out[f"{name}.failed"] = str(len(call(lines)))
    out["bootstrap.doubts"] = str(len(verdicts.bootstrap_doubts(lines)))
    zero, half = verdicts.conformal_resolution(lines)
    out |= {"conformal.zero": str(zero), "conformal.half": fixed(100 * half, 1)}
    out |= _worst_numbers(new)
    return {f"e01.{name}": text for name, text in out.items()}


_CHECKED = ("conformal", "exact", "bootstrap", "against", "planted")


def _worst_numbers(new: list[Line]) -> dict[str, str]:
    """Mean and worst errors of groups of nulls for new rows at 5 %, and a few single rates."""
    plain = [line for line in new if not line["robust"]]
    robust = [line for line in new if line["robust"]]
    wide = [line for line in plain if line["n"] >= 10 * line["p"]]
    other = LAWS[1:]
    chi2, bootstrap = (chosen(plain, null=null, law=other) for null in ("chi2", "bootstrap"))
    both = {_where(line) for line in chi2} & {_where(line) for line in bootstrap}
    groups = {
        "chi2.normal": chosen(plain, null="chi2", law="normal"),
        "chi2.other": [line for line in chi2 if _where(line) in both],
        "exact.normal": chosen(plain, null="normal", law="normal"),
        "exact.other": chosen(plain, null="normal", law=other),
        "bootstrap.normal": chosen(plain, null="bootstrap", law="normal"),
        "bootstrap.other": [line for line in bootstrap if _where(line) in both],
        "bootstrap.long": chosen(wide, null="bootstrap"),
        "robust.chi2": chosen(robust, null="chi2", law="normal"),
        "robust.normal": chosen(robust, null="auto", law="normal"),
        "robust.other": chosen(robust, null="auto", law=other),
        "mcd.auto": chosen(new, scatter="mcd", null="auto", law="normal"),
        "spectral.auto": chosen(new, scatter="spectral", null="auto"),
        "spectral.long": [k for k in chosen(new, scatter="spectral", null="auto") if k["p"] < k["n"] / 2],
        "spectral.wide": [k for k in chosen(new, scatter="spectral", null="auto") if k["p"] >= k["n"] / 2],
        "full": chosen(new, null="full"),
        "jackknife": chosen(new, null="jackknife"),
        "split": chosen(new, null="split"),
    }
    out = {"paired": str(len(both))}
    for name, found in groups.items():
        errors = _errors(found)
        out[f"{name}.mean"] = fixed(mean(errors), 1) if errors else "-"
        out[f"{name}.worst"] = fixed(max(errors), 1) if errors else "-"
        out[f"{name}.highest"] = fixed(100 * max(map(rate, found)), 1) if found else "-"
        out[f"{name}.lowest"] = fixed(100 * min(map(rate, found)), 1) if found else "-"
        far = max(found, key=lambda line: abs(rate(line) - line["level"]), default=None)
        out[f"{name}.where"] = f"{far['label']}, $n={far['n']}$, $p={far['p']}$" if far else "-"
    return out


def _where(line: Line) -> tuple[Any, ...]:
    """Return the design of a line: what it shares with other nulls."""
    return tuple(line[key] for key in ("scatter", "law", "n", "p"))


# ------------------------------------------------------------------------------------------------- findings


def findings(lines: list[Line], known: dict[str, str]) -> list[str]:
    """Return what was found, a sentence each, also against us."""
    say = {name.removeprefix("e01."): text for name, text in known.items()}
    lost = chosen(lines, null="split", rows="new", level=LEVELS[0])
    never = sum(line["references"] + 1 < 1 / LEVELS[0] for line in lost)
    return [
        f"On normal rows with n > p the exact law keeps 5 % to within {say['exact.normal.worst']} points; "
        f"chi-square is off by {say['chi2.normal.mean']} in the mean and "
        f"{say['chi2.normal.worst']} at worst (scatters that are not robust).",
        f"On rows that are not normal the bootstrap errs by {say['bootstrap.other.mean']} points in the mean and "
        f"{say['bootstrap.other.worst']} at worst, chi-square by {say['chi2.other.mean']} and "
        f"{say['chi2.other.worst']} in the same {say['paired']} designs.",
        f"{say['conformal.failed']} of {say['conformal.checked']} conformal rates leave their band, on any law; "
        f"{say['conformal.zero']} of them aim at zero and cannot, the others' bands reach "
        f"{say['conformal.half']} points either way at 5 % (median).",
        f"Against us: the laws of normal rows that robust scatters have under auto flag up to "
        f"{say['robust.other.highest']} % of clean rows that are not normal, at 5 %.",
        f"Against us: at 1 % {never} of {len(lost)} split conformal rates could not be anything but zero: half of the "
        "rows are too few.",
        f"Against us: {say['bootstrap.failed']} of {say['bootstrap.checked']} bootstrap rates are outside what is "
        f"required of them, and {say['bootstrap.doubts']} more by less than two standard errors.",
    ]


# ------------------------------------------------------------------------------------------------- the page


def _required(lines: list[Line]) -> str:
    rows = [
        [text, str(verdicts.checked(lines)[text]), str(len(call(lines)))]
        for text, call in verdicts.CHECKS.items()
    ]
    return Table(["required", "rates", "fail"], rows, "").markdown()


def _ranges(lines: list[Line]) -> str:
    """For each null of each scatter the range of the rate of new rows at 5 %, law by law."""
    found = _clean(lines, rows="new", level=FIVE)
    laws = [law for law in LAWS if any(line["law"] == law for line in found)]
    rows = []
    for scatter, null in _pairs(found):
        texts = []
        for law in laws:
            rates = [100 * rate(line) for line in chosen(found, scatter=scatter, null=null, law=law)]
            texts.append(f"{min(rates):.1f} to {max(rates):.1f}" if rates else "-")
        rows.append([scatter, null, *texts])
    title = "New rows at nominal 5 %, percent flagged, smallest and largest over the sizes:"
    return Table(["scatter", "null", *laws], rows, title, align="l l" + " r" * len(laws)).markdown(
        caption=True
    )


def _mean_errors(lines: list[Line]) -> str:
    rows = [
        [scatter, kind, f"{100 * level:.0f} %", f"{100 * ours:.2f}", f"{100 * theirs:.2f}"]
        for (scatter, kind, level), (ours, theirs) in verdicts.mean_errors(lines).items()
    ]
    title = "Mean absolute error over the non-normal laws and the sizes with n > p + 2, in percent points:"
    heads = ["scatter", "rows", "level", "bootstrap", "chi2"]
    return Table(heads, rows, title, align="l l r r r").markdown(caption=True)


def _planted(lines: list[Line]) -> str:
    rows = []
    for line in chosen(lines, law="planted", rows="outliers", level=LEVELS[0]):
        where = {key: line[key] for key in ("scatter", "n", "p", "level")}
        (clean,) = chosen(lines, law="planted", rows="clean", **where)
        place = [str(line[key]) for key in ("scatter", "n", "p", "sets")]
        rows.append(
            [*place, f"{line['flagged']} of {line['sets'] * line['tested']}", f"{100 * rate(clean):.2f} %"]
        )
    title = (
        '15 % of the rows in one cluster, 10 standard deviations away in every column; null="auto" at 1 %:'
    )
    heads = ["scatter", "n", "p", "data sets", "outliers flagged", "clean rows flagged"]
    return Table(heads, rows, title).markdown(caption=True)


def _all_rates(lines: list[Line]) -> str:
    """Return one table for new and one for training rows: sizes and nulls down, laws across."""
    shown = [line for line in lines if line["law"] != "planted" and line["sets"]]
    laws, out = list(dict.fromkeys(line["law"] for line in shown)), []
    starred = _starred(shown)
    for kind, title in (("new", "New rows"), ("train", "Training rows")):
        table: dict[tuple[Any, ...], dict[tuple[str, float], str]] = {}
        for line in shown:
            if line["rows"] == kind:
                mark = "\\*" if starred(line) else ""
                text = f"{100 * rate(line):.{1 if rate(line) >= 0.0995 else 2}f}{mark}"
                place = tuple(line[key] for key in ("scatter", "n", "p", "null"))
                table.setdefault(place, {})[line["law"], line["level"]] = text
        rows = [
            [
                *map(str, place),
                *(" / ".join(texts.get((law, level), "-") for level in LEVELS) for law in laws),
            ]
            for place, texts in table.items()
        ]
        body = Table(
            ["scatter", "n", "p", "null", *laws], rows, "", align="l r r l" + " r" * len(laws)
        ).markdown()
        summary = f"<summary>{title}, percent flagged at nominal 1 / 5 %</summary>"
        out += ["", "<details>", summary, body, "</details>"]
    return "\n".join([*out, ""])


def _starred(shown: list[Line]) -> Callable[[Line], bool]:
    """Return what tells whether a rate is outside its band, were all rates shown to be inside at once."""

    def starred(line: Line) -> bool:
        low, high = verdicts.band(line, verdicts.aim(line), len(shown))
        return not low <= rate(line) <= high

    return starred


def _source(lines: list[Line], facts: dict[str, Any]) -> str:
    shown = [line for line in lines if line["law"] != "planted" and line["sets"]]
    known = facts.get("versions", {})
    versions = [f"{name} {known[name]}" for name in ("python", "fmahal", "numpy", "scipy") if name in known]
    minutes = facts.get("wall_seconds", 0.0) / 60.0
    fewest = min(line["sets"] for line in shown)
    few = [line for line in shown if line["sets"] == fewest]
    return (
        f"A star: outside the band about the level, or about what whole ranks leave of it, Bonferroni over all "
        f"{len(shown)} rates. Bands are wider where data sets are fewer, so that the lack of a star says less there: "
        f"{sum(map(_starred(shown), few))} of the {len(few)} rates from {fewest} data sets have one, of all "
        f"{sum(map(_starred(shown), shown))}. "
        f"{_range([line['sets'] for line in shown])} data sets a rate, {_fresh(shown)} fresh "
        f"rows each; `python -m experiments run e01 --profile {facts.get('profile', 'paper')}`, {minutes:.0f} minutes, "
        f"{facts.get('machine', 'unknown machine')}; {', '.join(versions)}."
    )


def _misses(lines: list[Line]) -> str:
    listed = [f"- {miss}." for miss in verdicts.check(lines)] or ["Nothing that was required fails."]
    doubts = verdicts.bootstrap_doubts(lines)
    if doubts:
        listed += ["", "Outside by less than two standard errors, so that nobody can tell:", ""]
        listed += [f"- {doubt}." for doubt in doubts]
    return "\n".join(listed)


def auto_rows() -> str:
    """Return the table of ``null="auto"``, from the code that decides."""
    rows = [[row[key] for key in ("estimator", "condition", "law")] for row in auto_table()]
    return Table(["estimator", "when", "law"], rows, "", align="l l l").markdown()


def render(results: Results) -> Rendering:
    """Make everything of the stored counts."""
    lines = lines_of(results.frame)
    known = numbers(lines)
    parts = (_required, _ranges, _mean_errors, _planted, _all_rates)
    body = "\n".join([*(part(lines) for part in parts), _source(lines, results.facts)])
    return Rendering(
        numbers=known,
        tables={"e01_summary": summary(lines)},
        figures={"e01_level": figure(lines)},
        blocks={"docs/nulls.md": {"auto": auto_rows(), "e01": body, "misses": _misses(lines)}},
        findings=findings(lines, known),
        failures=verdicts.check(lines) + verdicts.sentence_failures(lines),
    )
