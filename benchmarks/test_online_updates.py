"""An adaptive index after a change of its metric: the update against a new initialisation, each with one query."""

import numpy as np
import pytest

import fmahal.online

N, P, K, SKETCHES = 50_000, 4096, 256, 10


class Switch:
    """U and U + u v' in turn: every call of `update` changes the metric, and `U` is what a new index starts from."""

    def __init__(self, p, rng):
        self.u, self.v = rng.standard_normal(p), rng.standard_normal(p) / p
        base = 0.01 * rng.standard_normal((p, p))
        base[np.diag_indices(p)] += 1.0
        self.both = base, base + np.outer(self.u, self.v)
        self.state = 0

    @property
    def U(self):
        return self.both[self.state]

    def update(self, index):
        index.update_metric(self.u if self.state == 0 else -self.u, self.v)
        self.state = 1 - self.state


def new_index(U):
    return fmahal.online.AdaptiveMahalanobisIndex(U, n_components=K, n_sketches=SKETCHES, random_state=0)


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(0)
    switch = Switch(P, rng)
    index = new_index(switch.U).fit(rng.random((N, P), dtype=np.float32))
    return index, switch, rng.random(P, dtype=np.float32)


def one_query(index, x):
    index._store.rng = np.random.default_rng(
        1
    )  # the same sample of sketches, or outputs could not be compared
    return index.query(x)


def test_update_metric(pair, setting):
    index, switch, x = setting

    def ours():
        switch.update(index)
        return one_query(index, x)

    def initialise():
        return one_query(new_index(switch.U).fit(index.points_), x)

    pair(
        f"update_metric (rank one) and a query, n={N}, p={P}, k={K}, {SKETCHES} sketches",
        ours,
        {"new index": initialise},
        {"new index": 10.0},
        rtol=1e-3,
        rounds=3,
        budget=20.0,
    )
