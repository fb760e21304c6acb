"""The kernels of the concentration steps against their twins, on inputs made to break them."""

from itertools import pairwise

import numpy as np
import pytest
import reference_mcd as twin
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import generators

from fmahal._kernels import concentration, enumeration, exchange, selection
from fmahal._validation import readonly

KINDS = ("normal", "ties", "units", "collinear", "t1", "far", "clusters")
TOL = 1e-13


def adversarial(rng, n, p, kind):
    """Ties, tiny and huge units, near-collinear columns, no moments, far rows, two clusters."""
    X = rng.normal(size=(n, p))
    if kind == "ties":
        X = np.round(X * 1.5)
    elif kind == "units":
        X = X * 10.0 ** rng.integers(-120, 120, size=p)
    elif kind == "collinear" and p > 1:
        X[:, -1] = X[:, 0] + 10.0 ** -rng.uniform(2, 5) * X[:, -1]
    elif kind == "t1":
        X = X / np.abs(rng.normal(size=(n, 1)))
    elif kind == "far":
        X[: n // 4] += 10.0 ** rng.integers(2, 10)
    elif kind == "clusters":
        X = 0.01 * X + rng.integers(0, 2, size=(n, 1))
    return X


def concentrate_all(Zt, h, means, scatters, steps, tol=TOL):
    s, p = means.shape
    out = {
        "logdets": np.empty(s),
        "means": means.copy(),
        "scatters": scatters.copy(),
        "statuses": np.zeros(s, np.int64),
        "normals": np.zeros((s, p)),
        "subsets": np.zeros((s, h), np.int64),
        "taken": np.zeros(s, np.int64),
    }
    concentration.concentrate_all(readonly(Zt), h, 1, steps, tol, *out.values())
    return out


def subset_moments(Zt, subsets, tol=TOL):
    s, p = len(subsets), len(Zt)
    out = {
        "logdets": np.empty(s),
        "means": np.empty((s, p)),
        "scatters": np.zeros((s, p, p)),
        "statuses": np.zeros(s, np.int64),
        "normals": np.zeros((s, p)),
    }
    concentration.subset_moments(readonly(Zt), readonly(subsets), 1, tol, *out.values())
    return out


def rounding(found):
    """What rounding may do to the log-determinants: eps times the condition of the correlations."""
    scatters = full(found["scatters"])
    sd = np.sqrt(np.maximum(np.diagonal(scatters, axis1=1, axis2=2), 1e-300))
    smallest = np.linalg.eigvalsh(scatters / (sd[:, :, None] * sd[:, None, :]))[:, 0]
    return 1e-9 + 1e-13 / np.maximum(smallest, 1e-14)


def full(lower):
    return np.tril(lower) + np.swapaxes(np.tril(lower, -1), -1, -2)


# Selection.


def hard_arrays(rng, n):
    values = rng.normal(size=n)
    yield values
    yield np.sort(values)
    yield np.sort(values)[::-1].copy()
    yield np.round(values)
    yield np.zeros(n)
    yield np.where(rng.random(n) < 0.5, np.inf, values)
    yield np.full(n, np.inf)
    yield np.abs(np.arange(n) - n // 2).astype(float)  # organ pipe
    yield np.concatenate([np.zeros(n - 1), [-1.0]])
    yield values * 1e-320
    yield np.where(rng.random(n) < 0.9, 3.0, values)


@given(generators(), st.integers(1, 400), st.data())
def test_order_statistics(rng, n, data):
    k = data.draw(st.integers(0, n - 1))
    for values in hard_arrays(rng, n):
        pool = values.copy()
        assert selection.select(pool, n, k) == np.sort(values)[k]
        np.testing.assert_array_equal(np.sort(pool), np.sort(values))


@given(generators(), st.integers(1, 400), st.data())
def test_the_h_smallest_are_the_first_of_a_stable_sort(rng, n, data):
    h = data.draw(st.integers(1, n))
    for values in hard_arrays(rng, n):
        rows = np.full(n + 1, -1)
        concentration.smallest(values, h, np.empty(n), rows)
        np.testing.assert_array_equal(rows[:h], np.sort(np.argsort(values, kind="stable")[:h]))


@pytest.mark.parametrize("n", [10_000, 100_000])
def test_selection_in_linear_time(n):
    """Comparisons of equal, sorted and organ-pipe arrays stay within a few passes: n^2 would take minutes."""
    rng = np.random.default_rng(0)
    for values in hard_arrays(rng, n):
        pool = values.copy()
        assert selection.select(pool, n, n // 2) == np.partition(values, n // 2)[n // 2]


# Moments.


@given(generators(), st.integers(1, 7), st.integers(0, 90), st.sampled_from(KINDS))
def test_moments_of_subsets(rng, p, more, kind):
    n = 2 * p + 3 + more
    X = adversarial(rng, n, p, kind)
    h = n // 2 + p // 2 + 1
    subsets = np.sort(np.array([rng.permutation(n)[:h] for _ in range(3)]), axis=1)
    found = subset_moments(np.ascontiguousarray(X.T), subsets)
    for c, rows in enumerate(subsets):
        location, S, value = twin.moments(X, rows)
        sd = np.sqrt(np.diagonal(S))
        if not np.isfinite(value):
            assert found["statuses"][c] == concentration.SINGULAR or found["logdets"][c] < value + 1e9
            continue
        assume(sd.min() > 0)
        size = np.abs(X[rows]).max(axis=0)
        assert (np.abs(found["means"][c] - location) <= 1e-13 * size).all()
        loss = 1e-13 * np.maximum(1.0, (size / sd) ** 2).max()
        assert (np.abs(full(found["scatters"][c]) - S) <= loss * np.outer(sd, sd)).all()
        if found["statuses"][c] == concentration.OK:
            scaled = np.linalg.eigvalsh(S / np.outer(sd, sd))
            assert found["logdets"][c] == pytest.approx(value, abs=1e-8 + 10 * loss / scaled[0])


# Concentration.


@given(generators(), st.integers(1, 7), st.integers(0, 90), st.sampled_from(KINDS))
def test_the_objective_never_rises(rng, p, more, kind):
    """Step by step, from random subsets: each log-determinant is at most the last, and belongs to the subset."""
    n = 2 * p + 6 + more
    X = adversarial(rng, n, p, kind)
    Zt = np.ascontiguousarray(X.T)
    h = (n + p + 1) // 2
    subsets = np.sort(np.array([rng.permutation(n)[:h] for _ in range(4)]), axis=1)
    state = subset_moments(Zt, subsets)
    alive = state["statuses"] == concentration.OK
    before = state["logdets"]
    for _ in range(6):
        found = concentrate_all(Zt, h, state["means"], state["scatters"], 1)
        live = alive & (found["statuses"] == concentration.OK)
        slack = np.maximum(rounding(found), rounding(state))
        assert (found["logdets"] <= before + slack)[live].all()
        refit = subset_moments(Zt, found["subsets"])
        good = live & (refit["statuses"] == concentration.OK)
        gaps = np.abs(found["logdets"][good] - refit["logdets"][good])
        assert (gaps <= 10 * slack[good]).all()
        alive, before, state = live, found["logdets"], found


@given(generators(), st.integers(1, 7), st.integers(0, 90), st.sampled_from(KINDS))
def test_a_run_of_steps_ends_no_higher_than_each_of_its_steps(rng, p, more, kind):
    n = 2 * p + 6 + more
    X = adversarial(rng, n, p, kind)
    Zt = np.ascontiguousarray(X.T)
    h = (n + p + 1) // 2
    subsets = np.sort(np.array([rng.permutation(n)[:h] for _ in range(4)]), axis=1)
    start = subset_moments(Zt, subsets)
    alive = start["statuses"] == concentration.OK
    values, slack = [start["logdets"]], rounding(start)
    for steps in (1, 2, 3, 5, 100):
        found = concentrate_all(Zt, h, start["means"], start["scatters"], steps)
        assert (found["taken"] <= steps).all()
        values.append(np.where(found["statuses"] == concentration.OK, found["logdets"], -np.inf))
        slack = np.maximum(slack, rounding(found))
    for earlier, later in pairwise(values):
        assert ((later <= earlier + slack) | (later == -np.inf))[alive].all()
    for c in np.flatnonzero(alive & (found["statuses"] == concentration.OK)):
        rows = found["subsets"][c]
        assert len(np.unique(rows)) == h
        exact = twin.moments(X, rows)[2]
        if np.isfinite(exact):
            assert found["logdets"][c] == pytest.approx(exact, abs=10 * slack[c])


@given(generators(), st.integers(1, 5), st.integers(10, 70))
def test_steps_are_those_of_the_twin(rng, p, more):
    n = 2 * p + more
    X = rng.normal(size=(n, p)) + 3.0
    h = (n + p + 1) // 2
    Zt = np.ascontiguousarray(X.T)
    rows = np.sort(rng.permutation(n)[:h])
    start = subset_moments(Zt, rows[None])
    one = concentrate_all(Zt, h, start["means"], start["scatters"], 1)
    np.testing.assert_array_equal(np.sort(one["subsets"][0]), twin.concentrate(X, rows))
    settled, value = twin.converge(X, rows)
    run = concentrate_all(Zt, h, start["means"], start["scatters"], 200)
    np.testing.assert_array_equal(np.sort(run["subsets"][0]), settled)
    assert run["logdets"][0] == pytest.approx(value, abs=1e-9)
    location, S, _ = twin.moments(X, settled)
    np.testing.assert_allclose(run["means"][0], location, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(full(run["scatters"][0]), S, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 8])
@pytest.mark.parametrize("p", [1, 3, 6])
def test_starts_end_where_their_own_steps_lead(p, steps):
    """Every start is as good as when it is the only one: no workspace remembers the start before it."""
    rng = np.random.default_rng(p)
    n, s = 60, 200
    X = rng.standard_t(3, size=(n, p))
    Zt = np.ascontiguousarray(X.T)[None]
    h = (n + p + 1) // 2
    uniforms = rng.random((1, s, 2 * p + 4))

    def run(uniforms):
        s = uniforms.shape[1]
        out = {
            "logdets": np.empty((1, s)),
            "means": np.zeros((1, s, p)),
            "scatters": np.zeros((1, s, p, p)),
            "statuses": np.zeros((1, s), np.int64),
            "normals": np.zeros((1, s, p)),
        }
        concentration.elemental_starts(readonly(Zt), readonly(uniforms), h, 1, steps, TOL, *out.values())
        return out

    together = run(uniforms)
    alone = [run(uniforms[:, [k]].copy()) for k in range(s)]
    np.testing.assert_array_equal(together["logdets"][0], [one["logdets"][0, 0] for one in alone])
    np.testing.assert_array_equal(together["means"][0], [one["means"][0, 0] for one in alone])


# Exchanges.


def descend_all(Zt, subsets, sweeps=50, cap=1000, tol=TOL):
    start = subset_moments(Zt, subsets, tol)
    rows = subsets.copy()
    exchange.descend_all(readonly(Zt), subsets.shape[1], 1, sweeps, cap, tol, *start.values(), rows)
    return start | {"subsets": rows}


@given(generators(), st.integers(1, 5), st.integers(0, 40), st.sampled_from(KINDS))
def test_descent_ends_where_no_exchange_helps(rng, p, more, kind):
    n = 2 * p + 6 + more
    X = adversarial(rng, n, p, kind)
    Zt = np.ascontiguousarray(X.T)
    h = (n + p + 1) // 2
    subsets = np.sort(np.array([rng.permutation(n)[:h] for _ in range(3)]), axis=1)
    settled = concentrate_all(Zt, h, *(subset_moments(Zt, subsets)[k] for k in ("means", "scatters")), 100)
    alive = settled["statuses"] == concentration.OK
    assume(alive.any())
    found = descend_all(Zt, settled["subsets"][alive])
    slack = np.maximum(rounding(found), rounding({"scatters": settled["scatters"][alive]}))
    for c in np.flatnonzero(found["statuses"] == concentration.OK):
        rows = np.sort(found["subsets"][c])
        assert len(np.unique(rows)) == h
        value = twin.moments(X, rows)[2]
        if not np.isfinite(value) or slack[c] > 1e-5:
            continue
        assert found["logdets"][c] == pytest.approx(value, abs=10 * slack[c])
        assert found["logdets"][c] <= settled["logdets"][alive][c] + slack[c]
        ratios, _ = twin.exchange_ratios(X / np.std(X, axis=0), rows)
        assert ratios.min() > 1 - 1e-9 - 100 * slack[c]
        assert twin.moments(X, twin.concentrate(X, rows))[2] >= value - 100 * slack[c]


def test_descent_goes_below_concentration():
    """Concentration alone is stationary far from the optimum; exchanges go on to the twin's value or lower."""
    lower = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X = rng.standard_t(3, size=(40, 5))
        rows = np.sort(rng.permutation(40)[:23])
        rows, before = twin.converge(X, rows)
        found = descend_all(np.ascontiguousarray(X.T), rows[None])
        expected = twin.exchange_descent(X, rows)[1]
        assert found["logdets"][0] <= before + 1e-10
        lower += found["logdets"][0] < before - 1e-6
        assert found["logdets"][0] <= expected + 0.5  # another path may end elsewhere, not far
    assert lower >= 5


@pytest.mark.parametrize("cap", [1, 4, 24])
def test_few_boundary_rows_still_descend(cap):
    rng = np.random.default_rng(cap)
    X = rng.normal(size=(300, 4))
    rows, before = twin.converge(X, np.sort(rng.permutation(300)[:152]))
    found = descend_all(np.ascontiguousarray(X.T), rows[None], cap=cap)
    assert found["logdets"][0] <= before + 1e-12
    value = twin.moments(X, np.sort(found["subsets"][0]))[2]
    assert found["logdets"][0] == pytest.approx(value, abs=1e-10)
    if cap == 24:
        assert found["logdets"][0] < before - 1e-8


# Enumeration.


@given(generators(), st.integers(1, 3), st.integers(0, 4), st.sampled_from(["normal", "ties", "t1"]))
# Rows so far away that a subset with them has no digits left are the business of the search around the kernel.
def test_depth_first_search_is_enumeration(rng, p, more, kind):
    n = 2 * p + 3 + more
    X = adversarial(rng, n, p, kind)
    Zt = np.ascontiguousarray((X - np.median(X, axis=0)).T)
    h = (n + p + 1) // 2
    least, winners = twin.enumerate_subsets(X, h)
    best = np.zeros(h, np.int64)
    found = enumeration.best_subset(readonly(Zt), h, 1, TOL, np.inf, best)
    if not np.isfinite(least):
        assert found == -np.inf
        return
    assert tuple(best) in winners
    assert found - p * np.log(h - 1) == pytest.approx(least, abs=1e-8)
    for slack, expected in (
        (1e-9, found),
        (-1e-9, found - 1e-9),
    ):  # a bound that can be beaten, one that cannot
        assert enumeration.best_subset(readonly(Zt), h, 1, TOL, found + slack, best) == pytest.approx(
            expected, abs=1e-10
        )


# Standardisation.


@given(generators(), st.integers(1, 5), st.integers(3, 80), st.sampled_from(KINDS))
def test_standardise(rng, p, n, kind):
    X = adversarial(rng, n, p, kind)
    h = n // 2 + 1
    centre, scale, Zt = np.empty(p), np.empty(p), np.empty((p, n))
    concentration.standardise(readonly(X), h, False, centre, scale, Zt)
    np.testing.assert_allclose(centre, np.median(X, axis=0), rtol=1e-14, atol=0)
    expected = np.sort(np.abs(X - centre), axis=0)[h - 1]
    np.testing.assert_array_equal(scale, expected)
    reached = np.sort(np.abs(Zt), axis=1)[:, h - 1]
    np.testing.assert_allclose(reached, np.where(expected > 0, 1.0, 0.0), rtol=1e-15)
    concentration.standardise(readonly(X), h, True, centre, scale, Zt)
    np.testing.assert_array_equal(centre, np.zeros(p))
    np.testing.assert_array_equal(scale, np.sort(np.abs(X), axis=0)[h - 1])
