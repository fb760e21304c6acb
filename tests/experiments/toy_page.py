"""A small experiment with its rendering in one file, for the tests of render and check; not a test itself."""

from experiments._render import Figure, Rendering, Table
from experiments._spec import DataSet, Experiment, method
from experiments._stats import estimate
from experiments._tables import bold, fixed, percent

PAGE = "docs/toy.md"


class Constant:
    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return f"Constant({self.value})"


method("toy-one", lambda seed: Constant(1.0), roles=("toy-page",))
method("toy-two", lambda seed: Constant(2.0), roles=("toy-page",))


def data_sets(profile):
    return [DataSet("normal", lambda seeds: seeds.rng("rows").standard_normal(20), {"n": 20})]


def measure(rows, one, seeds):
    yield {"value": float(rows.mean() + one.make(0).value)}


EXPERIMENT = Experiment("toypage", "a toy page", "toy-page", data_sets, lambda data, one, profile: 4, measure)


def render(results):
    found = {name: estimate(rows["value"]) for name, rows in results.frame.groupby("method")}
    best = max(one.value for one in found.values())
    rows = [
        [name, bold(fixed(one.value), one.value == best), f"{fixed(one.low)} to {fixed(one.high)}"]
        for name, one in found.items()
    ]
    told = f"n = 20 rows, {results.repetitions()} repetitions, 95 % bootstrap intervals"
    table = Table(["method", "mean", "interval"], rows, caption=f"Means: {told}.")

    def draw(figure):
        ax = figure.subplots()
        ax.plot([one.value for one in found.values()], "o")

    return Rendering(
        numbers={f"toypage.{name}": fixed(one.value) for name, one in found.items()}
        | {"toypage.level": percent(0.05)},
        tables={"toypage_means": table},
        figures={"toypage_means_drawn": Figure(draw, f"Means: {told}.", (2.0, 1.5), docs=True)},
        blocks={PAGE: {"toypage": table.markdown()}},
        findings=[f"toy-two is {fixed(found['toy-two'].value)}."],
        failures=["toy-one should be toy-two."],
        files={"data/toy.json": "{}\n"},
    )
