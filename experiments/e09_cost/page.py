"""What e09 says: exponents of time in rows and in columns, times side by side, memory, and who is faster where."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from experiments._figures import FONT, MUTED, draw_power_laws
from experiments._render import Figure, Rendering, Results, Table
from experiments._spec import Method, methods
from experiments._stats import estimate
from experiments._tables import fixed, seconds, significant, size_of

from .gauge import MOST
from .spec import largest

RESAMPLES = 1000
FEWEST = 3  # sizes of a slope, where there are so many
SWEEPS = {"rows": ("n", 0), "columns": ("p", 1)}
LARGER = f"the larger half of the sizes (the largest {FEWEST} at least, or all where there are fewer)"
OURS = "fmahal"
# ours and the peer that does the same or stands nearest
PAIRS = (
    ("empirical", "sklearn-empirical"),
    ("empirical", "scipy-cdist"),
    ("ledoit-wolf", "sklearn-ledoit-wolf"),
    ("oas", "sklearn-oas"),
    ("mcd", "sklearn-mcd"),
    ("mcd", "robpy-mcd"),
    ("mcd", "statsmodels-detmcd"),
    ("ogk", "statsmodels-ogk"),
    ("ogk", "robpy-ogk"),
    ("wrapped", "robpy-wrapping"),
)


class Curve(NamedTuple):
    """Costs of one method along a sweep: a row for each repetition, a column for each size."""

    sizes: np.ndarray
    costs: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """Medians over repetitions."""
        return np.median(self.costs, axis=0)


class Law(NamedTuple):
    """cost = factor * size ** exponent over the larger sizes; ends of the exponent's interval."""

    exponent: float
    low: float
    high: float
    factor: float
    first: float


def render(results: Results) -> Rendering:
    """Make everything from stored results."""
    out, known = Rendering(), {one.name: one for one in methods("cost")}
    frame = results.frame
    curves = {
        (sweep, task): _curves(frame[(frame["sweep"] == sweep) & (frame["task"] == task)], axis, "took")
        for sweep, (axis, _) in SWEEPS.items()
        for task in ("fit", "score")
    }
    labels = {name: _label(name, known) for name in frame["method"].unique()}
    _exponents(results, curves, labels, known, out)
    _times(results, curves, labels, out)
    _memory(results, labels, out)
    _pairs(results, curves, labels, known, out)
    _figure(results, curves, labels, known, out)
    return out


def _label(name: str, known: Mapping[str, Method]) -> str:
    return (known[name].label or name) if name in known else name


def _curves(frame: Any, axis: str, column: str) -> dict[str, Curve]:
    """Costs of each method by size; sizes at which a repetition failed are left out, and shown as failed."""
    out = {}
    for name in frame["method"].unique():
        table = frame[frame["method"] == name].pivot_table(index="repetition", columns=axis, values=column)
        table = table.dropna(axis=1)
        if table.shape[1]:
            out[name] = Curve(table.columns.to_numpy(float), np.maximum(table.to_numpy(float), 1e-9))
    return out


def law_of(curve: Curve) -> Law | None:
    """Least squares on logarithms of medians at the larger sizes; percentiles over resampled repetitions."""
    m = len(curve.sizes)
    kept = min(m, max(FEWEST, (m + 1) // 2))
    if kept < 2:
        return None
    x, y = np.log(curve.sizes[-kept:]), curve.costs[:, -kept:]
    rng = np.random.default_rng(0)
    draws = rng.integers(len(y), size=(RESAMPLES, len(y)))
    middles = np.log(np.vstack([np.median(y, axis=0), np.median(y[draws], axis=1)]))
    slopes = (middles - middles.mean(axis=1, keepdims=True)) @ (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    low, high = np.quantile(slopes[1:], (0.025, 0.975)) if len(y) > 1 else (np.nan, np.nan)
    factor = float(np.exp(middles[0].mean() - slopes[0] * x.mean()))
    return Law(float(slopes[0]), float(low), float(high), factor, float(np.exp(x[0])))


# ------------------------------------------------------------------------------------------------- tables


def _law_text(law: Law | None) -> str:
    if law is None:
        return "-"
    text = fixed(law.exponent, 2)
    return text if np.isnan(law.low) else f"{text} [{fixed(law.low, 2)}, {fixed(law.high, 2)}]"


def _exponents(
    results: Results, curves: Any, labels: Mapping[str, str], known: Mapping[str, Method], out: Rendering
) -> None:
    rows: list[list[str]] = []
    order = sorted(labels, key=lambda name: known[name].package != OURS if name in known else True)
    for name in order:
        laws = {key: law_of(found[name]) for key, found in curves.items() if name in found}
        cells = [_law_text(laws.get((sweep, task))) for sweep in SWEEPS for task in ("fit", "score")]
        rows.append([labels[name], *cells])
        for (sweep, task), law in laws.items():
            if law is not None:
                out.numbers[f"e09.exponent.{task}.{sweep}.{name}"] = fixed(law.exponent, 2)
    rows_at, columns_at = _sizes(results, "rows"), _sizes(results, "columns")
    out.tables["e09_exponents"] = Table(
        ["method", "fit, rows", "score, rows", "fit, columns", "score, columns"],
        rows,
        f"Exponents of seconds: in the number of rows ({rows_at}) and in that of columns ({columns_at}); least squares "
        f"on logarithms of medians of {results.repetitions()} repetitions at {LARGER} that a method is run at, so that "
        "methods that stop earlier are fitted to smaller sizes; brackets: 95 % bootstrap intervals over repetitions. "
        "As many rows are scored as are fitted. One thread.",
    )


def _sizes(results: Results, sweep: str) -> str:
    here = results.frame[results.frame["sweep"] == sweep]
    n, p = here["n"], here["p"]
    if sweep == "rows":
        return f"n = {n.min()} to {n.max()} at p = {p.max()}"
    return f"p = {p.min()} to {p.max()} at n = {n.max()}"


def _times(results: Results, curves: Any, labels: Mapping[str, str], out: Rendering) -> None:
    rows: list[list[str]] = []
    frame = results.frame
    shown = [("rows", size) for size in _spread(frame, "rows")]
    shown += [("columns", size) for size in _spread(frame, "columns")]
    for name in labels:
        cells = [
            " / ".join(_at(frame, curves[sweep, task], name, sweep, size) for task in ("fit", "score"))
            for sweep, size in shown
        ]
        rows.append([labels[name], *("-" if cell == "- / -" else cell for cell in cells)])
    heads = [f"{SWEEPS[sweep][0]} = {size}" for sweep, size in shown]
    out.tables["e09_times"] = Table(
        ["method", *heads],
        rows,
        f"Seconds of a fit / of scoring as many rows: {_sizes(results, 'rows')}, then {_sizes(results, 'columns')}. "
        f"Medians of {results.repetitions()} repetitions, each the shortest of a few calls (one call where that takes "
        f"more than {MOST:g} s) after an untimed one, one thread. A dash: not run, beyond what the method applies to "
        "or the largest size declared for it.",
    )


def _spread(frame: Any, sweep: str) -> list[int]:
    axis = SWEEPS[sweep][0]
    sizes = sorted(frame[frame["sweep"] == sweep][axis].unique())
    return [int(size) for size in sizes[1::2]]


def _at(frame: Any, found: Mapping[str, Curve], name: str, sweep: str, size: int) -> str:
    if name in found and size in found[name].sizes:
        return seconds(float(found[name].middle[list(found[name].sizes).index(size)]))
    axis = SWEEPS[sweep][0]
    tried = frame[(frame["method"] == name) & (frame["sweep"] == sweep) & (frame[axis] == size)]
    return "failed" if len(tried) else "-"


def _memory(results: Results, labels: Mapping[str, str], out: Rendering) -> None:
    frame = results.frame
    fits = frame[(frame["task"] == "fit") & frame["memory"].notna()]
    if not len(fits):
        out.failures.append("memory was not measured: it needs Linux (/proc/self/clear_refs) and glibc")
        return
    rows: list[list[str]] = []
    chosen = {
        sweep: sorted(fits[fits["sweep"] == sweep][axis].unique())[-3:] for sweep, (axis, _) in SWEEPS.items()
    }
    for name, label in labels.items():
        cells = []
        for sweep, sizes in chosen.items():
            for size in sizes:
                axis = SWEEPS[sweep][0]
                here = fits[(fits["method"] == name) & (fits["sweep"] == sweep) & (fits[axis] == size)]
                cells.append(size_of(float(here["memory"].median())) if len(here) else "-")
        rows.append([label, *cells])
    heads = [f"{SWEEPS[sweep][0]} = {int(size)}" for sweep, sizes in chosen.items() for size in sizes]
    out.tables["e09_memory"] = Table(
        ["method", *heads],
        rows,
        f"Peak memory of a fit beyond what was resident before: {_sizes(results, 'rows')}, then "
        f"{_sizes(results, 'columns')}; medians of {results.repetitions()} repetitions. High-water mark of the "
        "resident set, set back before a fit that follows an untimed one: unlike a count of Python's allocations it "
        "holds the work space of BLAS, LAPACK and compiled code. Pages of 4 kB; below a megabyte chance decides.",
    )


# ------------------------------------------------------------------------------------------------- against peers


def pairs_of(labels: Mapping[str, str], known: Mapping[str, Method]) -> list[tuple[str, str]]:
    """Return all of ours with their peers; without one, with an empty name."""
    ours = [name for name in labels if name in known and known[name].package == OURS]
    return [
        pair
        for name in ours
        for pair in ([one for one in PAIRS if one[0] == name and one[1] in labels] or [(name, "")])
    ]


def _pairs(
    results: Results, curves: Any, labels: Mapping[str, str], known: Mapping[str, Method], out: Rendering
) -> None:
    rows: list[list[str]] = []
    alone: list[str] = []
    for ours, peer in pairs_of(labels, known):
        if not peer:
            alone.append(labels[ours])
            continue
        for task in ("fit", "score"):
            cells, ratios = [], []
            for sweep in SWEEPS:
                found = curves[sweep, task]
                here = _ratios(found[ours], found[peer]) if ours in found and peer in found else {}
                if here and task == "fit":
                    _same_sizes(sweep, {name: found[name] for name in (ours, peer)}, list(here), out)
                ratios += [one.value for one in here.values()]
                cells += [_ratio_text(here, end) for end in (0, -1)]
            if ratios:
                wins = sum(ratio > 1.0 for ratio in ratios)
                rows.append([labels[ours], labels[peer], task, *cells, f"{wins} of {len(ratios)}"])
                out.numbers[f"e09.wins.{task}.{ours}.{peer}"] = f"{wins} of {len(ratios)}"
                out.findings.append(
                    f"{task}: {labels[ours]} is faster than {labels[peer]} at {wins} of {len(ratios)} sizes; the "
                    f"peer takes {fixed(min(ratios), 2)} to {fixed(max(ratios), 2)} of our time."
                )
    rows += [[f"no peer here: {', '.join(alone[i : i + 4])}"] for i in range(0, len(alone), 4)]
    heads = ["rows: least", "rows: most", "columns: least", "columns: most", "ours faster"]
    out.tables["e09_peers"] = Table(
        ["ours", "peer", "task", *heads],
        rows,
        "Seconds of a peer over ours at the least and the most rows and columns that both are run at (above 1 ours is "
        f"faster, bold; below 1 the peer is): medians of {results.repetitions()} paired repetitions, one thread, "
        f"{_sizes(results, 'rows')}, {_sizes(results, 'columns')}. EmpiricalCovariance, LedoitWolf and OAS: the same "
        "distances, checked before timing. The robust ones differ in their searches and need not agree.",
        align="l l l r r r r r",
    )


def _same_sizes(sweep: str, pair: Mapping[str, Curve], shared: list[float], out: Rendering) -> None:
    """Exponents of two fits over the sizes that both are run at, where these are, and seconds at the largest one."""
    key = ".".join([sweep, *pair])
    for name, curve in pair.items():
        where = np.isin(curve.sizes, shared)
        same = Curve(curve.sizes[where], curve.costs[:, where])
        law = law_of(same)
        out.numbers[f"e09.same.seconds.{key}.{name}"] = rf"{significant(float(same.middle[-1]), 2)}\,s"
        if law is not None:
            out.numbers[f"e09.same.exponent.{key}.{name}"] = _law_text(law)
            out.numbers[f"e09.same.first.{key}"] = f"{law.first:.0f}"
    out.numbers[f"e09.same.last.{key}"] = f"{max(shared):.0f}"


def _ratios(ours: Curve, peer: Curve) -> dict[float, Any]:
    shared = [size for size in ours.sizes if size in peer.sizes]
    out = {}
    for size in shared:
        a = ours.costs[:, list(ours.sizes).index(size)]
        b = peer.costs[:, list(peer.sizes).index(size)]
        m = min(len(a), len(b))
        out[size] = estimate(b[:m] / a[:m], np.median)
    return out


def _ratio_text(found: Mapping[float, Any], end: int) -> str:
    if not found:
        return "-"
    one = found[sorted(found)[end]].value
    text = fixed(one, 2) if one < 9.5 else fixed(one, 0)
    return f"**{text}**" if one > 1.0 else text


# ------------------------------------------------------------------------------------------------- the figure


def _figure(
    results: Results, curves: Any, labels: Mapping[str, str], known: Mapping[str, Method], out: Rendering
) -> None:
    panels: dict[tuple[str, bool], dict[str, dict[str, Any]]] = {}
    for sweep in SWEEPS:
        for name, curve in curves[sweep, "fit"].items():
            ours = name in known and known[name].package == OURS
            panels.setdefault((sweep, ours), {})[name] = _series(curve)
    stopped = [labels[name] for name in labels if name in known and min(largest(known[name])) < 10**8]
    text = f" Stopped at a size declared for it: {', '.join(stopped)}." if stopped else ""
    out.figures["e09_fit"] = Figure(
        partial(_draw, panels, labels),
        f"Seconds of a fit against rows ({_sizes(results, 'rows')}, left) and columns ({_sizes(results, 'columns')}, "
        f"right), ours above and peers below: medians of {results.repetitions()} repetitions, bars from the shortest "
        f"to the longest, one thread. Lines are fitted to {LARGER}." + text,
        size=(6.3, 7.6),
    )


def _series(curve: Curve) -> dict[str, Any]:
    law = law_of(curve)
    one: dict[str, Any] = {"x": curve.sizes, "y": curve.middle}
    one |= {"low": curve.costs.min(axis=0), "high": curve.costs.max(axis=0)}
    if law is not None:
        one |= {"exponent": law.exponent, "factor": law.factor, "fit_x": (law.first, float(curve.sizes[-1]))}
    return one


def _draw(panels: Mapping[tuple[str, bool], Any], labels: Mapping[str, str], figure: Any) -> None:
    parts = figure.subfigures(2, 1)
    rows = [part.subplots(1, len(SWEEPS), sharey=True) for part in parts]
    for (sweep, ours), series in panels.items():
        ax = rows[0 if ours else 1][list(SWEEPS).index(sweep)]
        draw_power_laws(ax, series, labels=labels)
        ax.set_title("ours" if ours else "peers", color=MUTED)
    limits = np.array([row[0].get_ylim() for row in rows])
    for part, row in zip(parts, rows, strict=True):
        row[0].set(ylim=(limits.min(), limits.max()), ylabel="seconds of a fit")
        for ax, (sweep, (axis, _)) in zip(row, SWEEPS.items(), strict=True):
            ax.set_xlabel(f"{sweep} {axis}")
        entries: dict[str, Any] = {}  # once for both sweeps, whose exponents stand in a table
        for ax in row:
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
                entries.setdefault(label.rpartition("  (")[0] or label, handle)
        part.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=3, fontsize=FONT - 1.5
        )
