"""Long random sequences of updates against a plain model and a fresh index with the same seeds."""

import pickle

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from scipy import sparse

from fmahal._maps import MAP_KINDS
from fmahal.online import AdaptiveMahalanobisIndex

P, M, SKETCHES = 7, 9, 3
RTOL = 1e-9
seeds = st.integers(0, 2**32 - 1)
scales = st.sampled_from((0.01, 1.0, 100.0))


def close(ours, theirs, what):
    """Equal up to rounding, relative to the largest entry: what an entry lost by cancellation stays lost."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=RTOL * max(abs(theirs).max(), 1e-300), err_msg=what)


class Model(RuleBasedStateMachine):
    """The index, and beside it a list of (identifier, point) and a dense U."""

    def fresh(self, U, X):
        index = AdaptiveMahalanobisIndex(
            U,
            n_components=4,
            n_sketches=SKETCHES,
            sample_size=SKETCHES,  # all of them: answers are not random
            kind=self.kind,
            random_state=11,
        )
        return index.fit(X)

    @initialize(
        n=st.integers(1, 6),
        kind=st.sampled_from(MAP_KINDS),
        identity=st.booleans(),
        seed=seeds,
    )
    def start(self, n, kind, identity, seed):
        rng = np.random.default_rng(seed)
        self.kind = kind
        self.U = np.eye(P) if identity else rng.standard_normal((M, P))
        self.points = list(rng.standard_normal((n, P)))
        self.ids = list(range(n))
        self.next_id = n
        self.index = self.fresh(None if identity else self.U, np.array(self.points))
        self.maps = [one.matrix() for one in self.index._store.maps]

    # ---------------------------------------------------------------- the metric

    @rule(rank=st.integers(1, 3), scale=scales, seed=seeds)
    def update_metric(self, rank, scale, seed):
        rng = np.random.default_rng(seed)
        u, v = scale * rng.standard_normal((len(self.U), rank)), rng.standard_normal((P, rank))
        self.index.update_metric(*((u[:, 0], v[:, 0]) if rank == 1 else (u, v)))
        self.U = self.U + u @ v.T

    @rule(count=st.integers(0, 5), scale=scales, as_sparse=st.booleans(), seed=seeds)
    def update_metric_rows(self, count, scale, as_sparse, seed):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(self.U))[:count]
        values = scale * rng.standard_normal((count, P)) * (rng.random((count, P)) < 0.4)
        self.index.update_metric_rows(rows, sparse.csr_array(values) if as_sparse else values)
        self.U = self.U.copy()
        self.U[rows] += values

    # ---------------------------------------------------------------- points

    @rule(which=st.integers(0, 10**6), scale=scales, seed=seeds)
    def update_point(self, which, scale, seed):
        slot = which % len(self.ids)
        z = scale * np.random.default_rng(seed).standard_normal(P)
        self.index.update_point(self.ids[slot], z)
        self.points[slot] = z

    @rule(count=st.integers(0, 4), seed=seeds)
    def insert(self, count, seed):
        Z = np.random.default_rng(seed).standard_normal((max(count, 1), P))
        got = self.index.insert(Z if count else Z[0])
        want = list(range(self.next_id, self.next_id + len(Z)))
        assert np.atleast_1d(got).tolist() == want
        self.points += list(Z)
        self.ids += want
        self.next_id += len(Z)

    @precondition(lambda self: len(self.ids) > 1)
    @rule(which=st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
    def delete(self, which):
        chosen = list(dict.fromkeys(self.ids[w % len(self.ids)] for w in which))[: len(self.ids) - 1]
        self.index.delete(chosen[0] if len(chosen) == 1 else chosen)
        for identifier in chosen:
            slot = self.ids.index(identifier)
            self.ids[slot], self.points[slot] = self.ids[-1], self.points[-1]
            self.ids.pop()
            self.points.pop()

    # ---------------------------------------------------------------- what changes nothing

    @rule()
    def refresh(self):
        self.index.refresh()

    @rule()
    def read_the_factor(self):
        if self.index.metric_factor_ is not None:
            close(self.index.metric_factor_, self.U, "U")

    @rule()
    def pickle(self):
        self.index = pickle.loads(pickle.dumps(self.index))

    @rule(case=st.integers(0, 4))
    def fail(self, case):
        calls = [
            lambda: self.index.update_metric(np.full(len(self.U), np.nan), np.ones(P)),
            lambda: self.index.update_metric_rows([0, len(self.U)], np.ones((2, P))),
            lambda: self.index.update_point(self.next_id, np.ones(P)),
            lambda: self.index.insert(np.full(P, np.inf)),
            lambda: self.index.delete(self.ids),
        ]
        try:
            calls[case]()
        except (ValueError, IndexError):
            return
        raise AssertionError("no error")

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def points_are_those_of_the_model(self):
        np.testing.assert_array_equal(self.index.ids_, self.ids)
        np.testing.assert_array_equal(self.index.points_, self.points)

    @invariant()
    def exact_distances(self):
        x = np.linspace(-1.0, 1.0, P)
        d2 = (((np.array(self.points) - x) @ self.U.T) ** 2).sum(axis=1)
        close(self.index.exact(x), d2, "exact")

    @invariant()
    def pairs(self):
        """All sketches answer: the median of the three sketched distances."""
        gap = self.U @ (self.points[0] - self.points[-1])
        d2 = np.median([((S @ gap) ** 2).sum() for S in self.maps])
        size = (np.abs(self.points[0]) + np.abs(self.points[-1])) @ np.abs(self.U).sum(axis=0)
        assert abs(self.index.query_pair(self.ids[0], self.ids[-1]) - d2) <= RTOL * size**2

    def teardown(self):
        if not hasattr(self, "index"):
            return
        fresh = self.fresh(self.U, np.array(self.points))
        fresh._store.origin = self.index._store.origin
        fresh._store._sketched = fresh._store._sketch(fresh.points_)
        for name in ("sketched", "folded"):
            close(getattr(self.index._store, name), getattr(fresh._store, name), name)
        x = np.linspace(-1.0, 1.0, P)
        close(self.index.query(x), fresh.query(x), "query")


def test_random_operations():
    """A thousand of them in all."""
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=10,
            stateful_step_count=100,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_thousand_operations_in_a_row():
    """On one index: rounding does not pile up."""
    rng = np.random.default_rng(5)
    model = Model()
    model.start(5, "gaussian", False, 1)

    def seed():
        return int(rng.integers(2**32))

    steps = [
        lambda: model.update_metric(int(rng.integers(1, 4)), 0.1, seed()),
        lambda: model.update_metric_rows(int(rng.integers(1, 4)), 0.1, bool(rng.integers(2)), seed()),
        lambda: model.update_point(seed(), 1.0, seed()),
        lambda: model.insert(int(rng.integers(0, 3)), seed()),
        lambda: len(model.ids) > 2 and model.delete([seed(), seed()]),
    ]
    for _ in range(1000):
        steps[rng.integers(len(steps))]()
    assert model.next_id > 150
    model.points_are_those_of_the_model()
    model.exact_distances()
    model.teardown()
