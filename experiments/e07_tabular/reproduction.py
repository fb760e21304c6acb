"""How near our runs come to published figures of the same methods: neighbours, and the MCD of scikit-learn."""

from __future__ import annotations

from experiments._render import Rendering
from experiments._tables import fixed, interval

from .scores import EUCLID, Scores

PEER = "sklearn-mcd"  # the code behind the published MCD


def reproduction(scores: Scores, out: Rendering) -> None:
    """Euclidean neighbours are the published KNN where the protocol draws nothing."""
    apart = (scores.ours[EUCLID] - scores.published["KNN"]).abs().dropna().round(2)
    whole, drawn = apart[~scores.at_random[apart.index]], apart[scores.at_random[apart.index]]
    out.numbers |= {"e07.knn.sets": str(len(whole)), "e07.knn.apart": fixed(whole.max(), 2)}
    out.numbers["e07.knn.drawn"] = fixed(drawn.max(), 1)
    if whole.max() > 0.05:
        out.failures.append(
            f"Euclidean neighbours should equal the published KNN where nothing is random; on {whole.idxmax()} they "
            f"differ by {fixed(whole.max(), 2)} points."
        )
    out.findings.append(
        f"Our protocol gives the published KNN within {fixed(whole.max(), 2)} points on all {len(whole)} sets without "
        f"random rows, and within {fixed(drawn.max(), 1)} on the others."
    )


def published_mcd(scores: Scores, out: Rendering) -> None:
    """How far scikit-learn's MCD, run here, is from the published one, and how ours stands to it."""
    if PEER not in scores.ours:
        return
    apart = (scores.ours[PEER] - scores.published["MCD"]).dropna()
    ours = scores.gain("mcd", PEER)
    out.numbers |= {
        "e07.sklearn-mcd.apart.mean": fixed(apart.mean(), 1),
        "e07.sklearn-mcd.apart.worst": fixed(apart.abs().max(), 1),
        "e07.sklearn-mcd.apart.set": apart.abs().idxmax(),
        "e07.sklearn-mcd.sets": str(len(apart)),
        "e07.sklearn-mcd.ours": f"{fixed(ours.value, 1)} {interval(ours.low, ours.high, 1)}",
    }
    out.findings.append(
        f"Scikit-learn's MinCovDet, run here, is {fixed(apart.mean(), 1)} points above the published MCD on average "
        f"over {len(apart)} tables, and at most {fixed(apart.abs().max(), 1)} apart ({apart.abs().idxmax()}); ours at "
        f"its default is {fixed(ours.value, 1)} {interval(ours.low, ours.high, 1)} points above scikit-learn's."
    )
