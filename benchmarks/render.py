"""Write the measured figures of ``benchmarks/results`` into the generated block of ``docs/benchmarks.md``.

The block lies between ``<!-- figures: begin -->`` and ``<!-- figures: end -->``; nobody types a number there.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
FILES = (
    *("distance", "shrinkage", "startup", "cholesky", "lasso", "robust", "robust_r", "robust_kernels"),
    *(
        "resampling",
        "resampling_dual",
        "resampling_robust",
        "conformal",
        "spectral",
        "functional",
        "conformance",
    ),
    *("sketching", "updates", "online_queries", "online_updates"),
)
R_PEERS = ("R", "robustbase", "rrcov", "BLAS of R")


def table():
    lines, machine, commands = ["| figure | wanted | measured |", "|---|---|---|"], {}, []
    for name in FILES:
        path = ROOT / "benchmarks" / "results" / f"{name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text())
        machine |= result["machine"]
        commands += [c for c in [result["machine"]["command"]] if c not in commands]
        for row in result["figures"]:
            target = re.sub(r"0\.909091x", "0.91x", row["target"])
            lines.append(f"| {row['figure']} | {target} | {row['measured']} |")
    if machine:
        versions = ", ".join(
            f"{k} {machine[k]}"
            for k in ("python", "numpy", "scipy", "scikit-learn", "numba", "statsmodels", *R_PEERS)
            if k in machine
        )
        told = " and ".join(f"`{command}`" for command in commands)
        lines += [
            "",
            f"Medians of interleaved runs, {machine['cores']} cores, {versions}; by {told}.",
        ]
    return "\n".join(lines)


def rendered(text):
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    path = ROOT / "docs" / "benchmarks.md"
    text = path.read_text()
    new = rendered(text)
    if "--check" in sys.argv:
        sys.exit(
            new != text and f"{path} is not what benchmarks/results say: run python benchmarks/render.py"
        )
    path.write_text(new)
