"""Leave-one-out distances against the cost of one fit, and full conformal p-values against one refit a new row."""

import statistics
import time

import numpy as np
import pytest

import fmahal
from fmahal.nulls._full_conformal import FullConformal
from fmahal.nulls._jackknife import leave_one_out
from fmahal.nulls.conformal import ConformalNull


def data(n, p):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, p)) @ (np.eye(p) + rng.standard_normal((p, p)) / p)


def in_turn(functions, rounds):
    """Times of each function, taken in turn after one untimed call each: {name: [seconds]}."""
    times = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return times


def refits_without_each_row(estimator, X, rows):
    out = np.empty(len(rows))
    for k, i in enumerate(rows):
        out[k] = estimator.fit(np.delete(X, i, axis=0)).mahalanobis(X[i : i + 1])[0]
    return out


def at_most(record, figure, times, name, other, factor):
    """Record how many times as long as `other` one of the functions took."""
    ratio = statistics.median(a / b for a, b in zip(times[name], times[other], strict=True))
    record.add(
        figure,
        f"< {factor:g}x",
        f"{ratio:.2f}x",
        ratio < factor,
        fmahal_ms=round(1e3 * statistics.median(times[name]), 3),
        peer_ms=round(1e3 * statistics.median(times[other]), 3),
    )


@pytest.mark.parametrize(("n", "p"), [(10_000, 20), (500, 10)])
def test_jackknife_of_the_sample_covariance(record, n, p):
    X = data(n, p)
    fitted = fmahal.EmpiricalCovariance().fit(X)
    d2 = fitted.mahalanobis(X)
    some = np.arange(0, n, n // 20)
    want = refits_without_each_row(fmahal.EmpiricalCovariance(), X, some)
    np.testing.assert_allclose(leave_one_out(fitted, X, d2)[some], want, rtol=1e-9)
    times = in_turn(
        {
            "fit": lambda: fmahal.EmpiricalCovariance().fit(X),
            "jackknife": lambda: leave_one_out(fitted, X, fitted.mahalanobis(X)),
            "null": lambda: ConformalNull("jackknife").fit(fitted, X, d2),
        },
        rounds=25,
    )
    at_most(record, f"leave-one-out distances / one fit, n={n}, p={p}", times, "jackknife", "fit", 2.0)
    at_most(record, f"ConformalNull('jackknife').fit / one fit, n={n}, p={p}", times, "null", "fit", 2.0)


@pytest.mark.parametrize(("n", "p"), [(500, 10), (100, 500)])
def test_jackknife_of_ledoit_wolf(record, n, p):
    X = data(n, p)
    fitted = fmahal.LedoitWolf().fit(X)
    d2 = fitted.mahalanobis(X)
    some = np.arange(0, n, n // 20)
    want = refits_without_each_row(fmahal.LedoitWolf(), X, some)
    np.testing.assert_allclose(leave_one_out(fitted, X, d2)[some], want, rtol=1e-9)
    times = in_turn(
        {
            "fit": lambda: fmahal.LedoitWolf().fit(X),
            "jackknife": lambda: leave_one_out(fitted, X, d2),
        },
        rounds=15,
    )
    at_most(record, f"leave-one-out of LedoitWolf / one fit, n={n}, p={p}", times, "jackknife", "fit", 5.0)


def refits_with_each_row(estimator, X, Y):
    out = np.empty(len(Y))
    for k, y in enumerate(Y):
        augmented = np.vstack([X, y])
        d2 = estimator.fit(augmented).mahalanobis(augmented)
        out[k] = np.mean(d2 >= d2[-1] * (1 - 1e-9))
    return out


@pytest.mark.parametrize(
    ("estimator", "n", "p", "factor"),
    [
        (fmahal.EmpiricalCovariance(), 500, 10, 20.0),
        (fmahal.ShrunkCovariance(ridge=0.1), 500, 10, 10.0),
        (fmahal.ShrunkCovariance(ridge=0.1), 100, 500, 20.0),
    ],
    ids=repr,
)
def test_full_conformal(pair, estimator, n, p, factor):
    X, Y = data(n, p), 1.2 * data(200, p)[-100:]
    fitted = estimator.fit(X)
    fixed = type(estimator)(**estimator.get_params())
    pair(
        f"full conformal p-values of 100 rows with the set-up, {type(estimator).__name__}, n={n}, p={p}",
        lambda: FullConformal(fitted, X).pvalues(Y),
        {"one refit a row": lambda: refits_with_each_row(fixed, X, Y)},
        {"one refit a row": factor},
        rtol=1e-12,
        rounds=5,
        budget=10.0,
    )
