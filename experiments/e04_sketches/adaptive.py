"""Somebody who learns from answers against one fixed sketch and against an index; and what changes of an index cost.

The adversary wants a point that is far from a stored one and is said to be near. It asks for the distance at pairs of
points left and right of where it stands, reads off them in which direction the answers fall, and goes there. Against
one sketch of k coordinates there is a whole subspace of such points.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from experiments._spec import Method, Seeds
from fmahal import AdaptiveMahalanobisIndex

from .workloads import interleaved, scan, sqnorms

DIRECTIONS = 64  # tried from one place, two questions each
CHECKED = 11  # answers whose median tells how far off they are
# sketches kept, and sketches a question takes
ANSWERERS = ((1, 1), (10, 10), (10, 5), (40, 5))
KEPT = (10, 5)  # by the index whose changes are timed
Record = dict[str, Any]


class Game(NamedTuple):
    """Columns, coordinates of a sketch, and after how many questions the adversary is looked at."""

    p: int
    k: int
    questions: tuple[int, ...]


def draw_game(p: int, k: int, questions: tuple[int, ...], seeds: Seeds) -> Game:
    """Return the rules: all that is random is the adversary's and the index's."""
    return Game(p, k, questions)


def game_records(game: Game, method: Method, seeds: Seeds) -> list[Record]:
    """Answer over truth at the adversary's point, by the number of questions it has asked."""
    records = []
    for kept, sample in ANSWERERS:
        index = AdaptiveMahalanobisIndex(
            n_components=game.k,
            n_sketches=kept,
            sample_size=sample,
            kind=method.options["kind"],
            random_state=seeds.integer("index", kept, sample),
        ).fit(np.zeros((1, game.p)))
        for asked, x in _descent(index, game, seeds.rng("adversary")):
            answers = [index.query(x)[0] for _ in range(CHECKED)]
            ratio = float(np.median(answers) / (x @ x))
            records.append({"k": game.k, "kept": kept, "sample": sample, "questions": asked, "ratio": ratio})
    return records


def _descent(index: AdaptiveMahalanobisIndex, game: Game, rng: np.random.Generator) -> Any:
    """Yield the number of questions asked and where the adversary stands, whenever it is looked at.

    The questions of one place are put in one call, as whoever wants many answers would: one sample answers them all.
    """
    x = rng.standard_normal(game.p)
    x /= np.linalg.norm(x)
    step = 1.0 / (1.0 + np.sqrt(game.p / game.k)) ** 2  # over the largest factor by which a sketch stretches
    asked, looks = 0, list(game.questions)
    while looks:
        if asked >= looks[0]:
            yield looks.pop(0), x
            continue
        directions = np.linalg.qr(rng.standard_normal((game.p, DIRECTIONS)))[0].T
        right, left = index.query(np.concatenate([x + directions, x - directions])).reshape(2, -1)
        asked += 2 * DIRECTIONS
        x = x - step * ((right - left) / 4.0) @ directions  # a quarter: x'S'S g of a fixed sketch S
        x /= np.linalg.norm(x)


# ------------------------------------------------------------------------------------------------- changes


class Stored(NamedTuple):
    """Points, their metric factor, and what they are changed by."""

    points: np.ndarray
    factor: np.ndarray
    left: np.ndarray
    right: np.ndarray
    new: np.ndarray
    k: int
    seconds: float


def draw_points(n: int, p: int, k: int, seconds: float, seeds: Seeds) -> Stored:
    """Draw normal points under a dense metric."""
    rng = seeds.rng("points")
    U = np.eye(p) + rng.standard_normal((p, p)) / (2.0 * np.sqrt(p))
    u, v, z = rng.standard_normal((3, p)) / np.sqrt(p)
    return Stored(rng.standard_normal((n, p)), U, u, v, z, k, seconds)


def update_records(drawn: Stored, method: Method, seeds: Seeds) -> list[Record]:
    """Seconds of each operation on an index, and on whitened rows that are kept up to date instead."""
    X, U, u, v, z = drawn.points, drawn.factor, drawn.left, drawn.right, drawn.new
    kept, sample = KEPT
    index = AdaptiveMahalanobisIndex(
        U,
        n_components=drawn.k,
        n_sketches=kept,
        sample_size=sample,
        kind=method.options["kind"],
        random_state=seeds.integer("index"),
    )
    index.fit(X)
    Z = X @ U.T
    norms = sqnorms(Z)

    def change(sign: float) -> None:
        Z[...] += np.outer(sign * (X @ v), u)
        norms[...] = sqnorms(Z)

    signs = iter(np.tile([1.0, -1.0], 10**6))  # there and back: the metric does not wander off
    jobs = {
        "make all, index": index.refresh,
        "make all, exact": lambda: X @ U.T,
        "metric by rank one, index": lambda: index.update_metric(next(signs) * u, v),
        "metric by rank one, exact": lambda: change(next(signs)),
        "one point, index": lambda: index.update_point(0, z),
        "one point, exact": lambda: U @ z,
        "one question, index": lambda: index.query(z),
        "one question, exact": lambda: scan(Z, norms, U @ z),
    }
    times, _ = interleaved(jobs, drawn.seconds)
    names = list(dict.fromkeys(name.rpartition(", ")[0] for name in jobs))
    return [
        {
            "k": drawn.k,
            "kept": kept,
            "sample": sample,
            "operation": name,
            "seconds_index": float(f"{times[f'{name}, index']:.4g}"),
            "seconds_exact": float(f"{times[f'{name}, exact']:.4g}"),
            "bytes_exact": Z.nbytes + U.nbytes,
            "bytes_sketched": index.memory_bytes_,
        }
        for name in names
    ]
