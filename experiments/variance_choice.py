"""Which innovation variance keeps new rows at d^2 / p near 1 when p >> n: writes its table into docs/precision.md.

python experiments/variance_choice.py
"""

import json
from pathlib import Path

import numpy as np

from fmahal import ModifiedCholesky

ROOT = Path(__file__).parents[1]
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
        f"iid normal rows, n = {N}, p = {P}, median of {SEEDS} samples; by `python experiments/variance_choice.py`.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    rows = measure()
    results = ROOT / "experiments" / "results"
    results.mkdir(exist_ok=True)
    (results / "variance_choice.json").write_text(json.dumps(rows, indent=1) + "\n")
    page = ROOT / "docs" / "precision.md"
    text = page.read_text()
    before, rest = text.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{rest.split(END)[1]}")
