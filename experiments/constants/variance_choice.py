"""Which innovation variance keeps new rows at d^2 / p near 1 when p >> n: writes its table into docs/precision.md.

python experiments/constants/variance_choice.py run       # simulates, to constants/results/variance_choice.json
python experiments/constants/variance_choice.py render    # only writes the page
"""

import argparse
import json
from pathlib import Path

import numpy as np

from fmahal import ModifiedCholesky

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results" / "variance_choice.json"
PAGE = ROOT / "docs" / "precision.md"
BEGIN, END = "<!-- variance: begin -->", "<!-- variance: end -->"
N, P, SEEDS = 100, 3000, 3
ALPHAS = (0.1, 1.0, 10.0)


def measure():
    """Mean d^2 / p of new iid normal rows, per alpha and kind of variance."""
    rows = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        X, Y = rng.standard_normal((N, P)), rng.standard_normal((100, P))
        for alpha in ALPHAS:
            for variance in ("mle", "unbiased", "loo"):
                fit = ModifiedCholesky(penalty="l2", alpha=alpha, variance=variance).fit(X)
                value = float(fit.mahalanobis(Y).mean()) / P
                rows.append({"seed": seed, "alpha": alpha, "variance": variance, "ratio": value})
    return rows


def table(rows):
    lines = ["| alpha | mle | unbiased | loo |", "|---|---|---|---|"]
    for alpha in ALPHAS:
        cells = []
        for variance in ("mle", "unbiased", "loo"):
            values = [r["ratio"] for r in rows if r["alpha"] == alpha and r["variance"] == variance]
            cells.append(f"{np.median(values):.4g}")
        lines.append(f"| {alpha:g} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"iid normal rows, n = {N}, p = {P}, median of {SEEDS} samples; "
        "by `python experiments/constants/variance_choice.py run`.",
    ]
    return "\n".join(lines)


def rendered(text):
    """Return the page with the table of the stored result."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(json.loads(RESULTS.read_text()))}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "render"])
    if parser.parse_args().what == "run":
        RESULTS.write_text(json.dumps(measure(), indent=1) + "\n")
    PAGE.write_text(rendered(PAGE.read_text()))
